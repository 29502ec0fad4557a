"""The functions of NVIDIA's driver (``libcuda.so.1``) that Weft calls, by ctypes.

They are what CUDA 12 and 13 have in common, under the names that the library exports, so that no
package is needed beside the driver itself and the compiler.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any

from weft.errors import DeviceError

_OUT = POINTER(c_void_p)
_BYTES = c_uint64

#: Function -> types of its arguments; each returns a status, which is 0 if all went well.
PROTOTYPES: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuGetErrorName": (c_int, POINTER(c_char_p)),
    "cuGetErrorString": (c_int, POINTER(c_char_p)),
    # Devices and contexts.
    "cuDeviceGetCount": (POINTER(c_int),),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDeviceGetName": (c_void_p, c_int, c_int),
    "cuDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cuDevicePrimaryCtxRetain": (_OUT, c_int),
    "cuCtxSetCurrent": (c_void_p,),
    # Streams and events.
    "cuStreamCreate": (_OUT, c_uint),
    "cuStreamWaitEvent": (c_void_p, c_void_p, c_uint),
    "cuEventCreate": (_OUT, c_uint),
    "cuEventRecord": (c_void_p, c_void_p),
    "cuEventQuery": (c_void_p,),
    "cuEventSynchronize": (c_void_p,),
    # Memory.
    "cuMemGetInfo_v2": (POINTER(c_size_t), POINTER(c_size_t)),
    "cuDeviceGetDefaultMemPool": (_OUT, c_int),
    "cuMemPoolSetAttribute": (c_void_p, c_int, c_void_p),
    "cuMemPoolTrimTo": (c_void_p, c_size_t),
    "cuMemAllocAsync": (POINTER(_BYTES), c_size_t, c_void_p),
    "cuMemFreeAsync": (_BYTES, c_void_p),
    "cuMemHostAlloc": (_OUT, c_size_t, c_uint),
    "cuMemcpyHtoDAsync_v2": (_BYTES, c_void_p, c_size_t, c_void_p),
    "cuMemcpyDtoHAsync_v2": (c_void_p, _BYTES, c_size_t, c_void_p),
    "cuMemcpyDtoDAsync_v2": (_BYTES, _BYTES, c_size_t, c_void_p),
    "cuMemsetD8Async": (_BYTES, ctypes.c_ubyte, c_size_t, c_void_p),
    "cuMemsetD16Async": (_BYTES, ctypes.c_ushort, c_size_t, c_void_p),
    "cuMemsetD32Async": (_BYTES, c_uint, c_size_t, c_void_p),
    # Kernels.
    "cuModuleLoadData": (_OUT, c_void_p),
    "cuModuleUnload": (c_void_p,),
    "cuModuleGetFunction": (_OUT, c_void_p, c_char_p),
    "cuFuncSetAttribute": (c_void_p, c_int, c_int),
    "cuLaunchKernel": (c_void_p, *(c_uint,) * 7, c_void_p, _OUT, _OUT),
    # Graphs.
    "cuStreamBeginCapture_v2": (c_void_p, c_int),
    "cuStreamEndCapture": (c_void_p, _OUT),
    "cuGraphInstantiateWithFlags": (_OUT, c_void_p, ctypes.c_ulonglong),
    "cuGraphLaunch": (c_void_p, c_void_p),
    "cuGraphDestroy": (c_void_p,),
    "cuGraphExecDestroy": (c_void_p,),
}

# Numbers of cuda.h.
OUT_OF_MEMORY, NO_DEVICE, NOT_READY = 2, 100, 600
#: Statuses after which a context cannot be used any more.
LOST = frozenset(
    [
        4,  # deinitialized
        46,  # device unavailable
        201,  # invalid context
        214,  # uncorrectable error of ECC memory
        700,  # illegal address
        702,  # launch timed out
        709,  # context is destroyed
        710,  # assertion
        714,  # hardware stack error
        715,  # illegal instruction
        716,  # misaligned address
        717,  # invalid address space
        718,  # invalid program counter
        719,  # launch failed
        999,  # unknown
    ]
)
MULTIPROCESSORS, CLOCK_KHZ, MEMORY_CLOCK_KHZ, MEMORY_BUS_BITS, L2_BYTES = 16, 13, 36, 37, 38
MAJOR, MINOR, SHARED_BYTES, BLOCK_SHARED_BYTES, HAS_POOLS = 75, 76, 81, 97, 115
MAX_DYNAMIC_SHARED = 8
STREAM_NON_BLOCKING, EVENT_DISABLE_TIMING = 1, 2
POOL_INTERNAL_DEPENDENCIES, POOL_RELEASE_THRESHOLD = 3, 4
CAPTURE_OF_THIS_THREAD = 1


class Fault(Exception):
    """A function of the driver failed: its name, its status, and the driver's words for that."""

    def __init__(self, function: str, status: int, words: str) -> None:
        super().__init__(f"{words} ({function})")
        self.status = status


class Driver:
    """The functions of `PROTOTYPES`; each raises `Fault` where the driver's returns a status.

    ``library`` holds them by name, as `ctypes.CDLL` does.
    """

    def __init__(self, library: Any) -> None:
        self._functions = {}
        for name, kinds in PROTOTYPES.items():
            try:
                function = getattr(library, name)
            except AttributeError as why:
                raise DeviceError(
                    f"NVIDIA's driver is too old for the device 'cuda', it has no {name}: install "
                    "one for CUDA 12 or later"
                ) from why
            function.argtypes, function.restype = kinds, c_int
            self._functions[name] = function

    def __call__(self, name: str, *args: Any) -> None:
        """Calls a function; `Fault` if it fails."""
        status = self._functions[name](*args)
        if status:
            raise Fault(name, status, self._words(status))

    def handle(self, name: str, *args: Any) -> int:
        """What a function stores where its first argument points to."""
        out = c_void_p()
        self(name, ctypes.byref(out), *args)
        return out.value or 0

    def number(self, name: str, *args: Any) -> int:
        """As `handle`, for integers."""
        out = c_int()
        self(name, ctypes.byref(out), *args)
        return out.value

    def address(self, name: str, *args: Any) -> int:
        """As `handle`, for addresses of the device."""
        out = _BYTES()
        self(name, ctypes.byref(out), *args)
        return out.value

    def done(self, event: int) -> bool:
        """Whether everything before an event has been done."""
        status = self._functions["cuEventQuery"](event)
        if status not in (0, NOT_READY):
            raise Fault("cuEventQuery", status, self._words(status))
        return not status

    def _words(self, status: int) -> str:
        found = []
        for function in ("cuGetErrorName", "cuGetErrorString"):
            text = c_char_p()
            self._functions[function](status, ctypes.byref(text))
            found.append((text.value or b"unknown").decode())
        return ": ".join(found)


def open_driver() -> Driver:
    """The driver of this machine; `DeviceError` that says what to do where there is none."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError as why:
        raise DeviceError(
            "the device 'cuda' needs NVIDIA's driver, whose libcuda.so.1 was not found: install "
            "the driver of your GPU; 'opencl' and 'webgpu' drive those of other makers"
        ) from why
    driver = Driver(library)
    try:
        driver("cuInit", 0)
    except Fault as why:
        remedy = (
            "is there a GPU, and does CUDA_VISIBLE_DEVICES leave one?"
            if why.status == NO_DEVICE
            else "'nvidia-smi' says more"
        )
        raise DeviceError(f"NVIDIA's driver finds no GPU: {why}; {remedy}") from why
    return driver
