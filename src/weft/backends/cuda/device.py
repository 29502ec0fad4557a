"""CUDA devices: NVIDIA's driver by ctypes, and NVRTC (the extra ``cuda``).

A context is made when something is first put on a device. Nothing asks the driver at exit, so that
nothing waits there for a kernel: it takes everything back when the process ends.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

from weft.backends import nvrtc
from weft.backends.cuda import driver as cu
from weft.backends.cuda.driver import Driver, Fault, open_driver
from weft.backends.cuda.graphs import GraphedProgram
from weft.backends.cuda.memory import Block
from weft.backends.cuda.session import Session
from weft.backends.device import DeviceProgram, Memory
from weft.backends.dtypes import check_dtypes
from weft.backends.programs import KernelDevice, Launcher, scratch_bytes
from weft.codegen import cuda as text
from weft.codegen.clike import KernelText
from weft.config import config
from weft.core.jaxpr import ClosedJaxpr
from weft.errors import DeviceError
from weft.kernels.ir import Kernel
from weft.kernels.machine import gpu_machine

#: Threads of a block that the planner starts from.
BLOCK = 128
#: Shared memory of a block that a kernel has without asking.
STATIC_SHARED = 48 << 10
_DTYPES = frozenset(
    [
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "bfloat16",
        "float32",
        "float64",
    ]
)


def available() -> list[Cuda]:
    """The devices that the driver shows; `DeviceError` that says what to do if there are none."""
    driver = open_driver()
    nvrtc.library()
    return [Cuda(driver, n) for n in range(driver.number("cuDeviceGetCount"))]


class Cuda(KernelDevice):
    """A GPU of NVIDIA's; see `weft.backends.cuda.session` for the order of what it does."""

    def __init__(self, driver: Driver, ordinal: int) -> None:
        self.name = f"cuda:{ordinal}"
        self._driver = driver
        self._ordinal = ordinal
        name = ctypes.create_string_buffer(256)
        device = driver.number("cuDeviceGet", ordinal)
        driver("cuDeviceGetName", name, len(name), device)
        self.description = name.value.decode()

        def told(attribute: int) -> int:
            return driver.number("cuDeviceGetAttribute", attribute, device)

        if not told(cu.HAS_POOLS):
            raise DeviceError(
                f"{self.name} ({self.description}) has no memory pools: its driver, or the "
                "hypervisor that shares it, has to offer cuMemAllocAsync"
            )
        self.architecture = f"sm_{told(cu.MAJOR)}{told(cu.MINOR)}"
        self._block_shared = told(cu.BLOCK_SHARED_BYTES)
        self.machine = gpu_machine(
            self.name,
            multiprocessors=told(cu.MULTIPROCESSORS),
            block=BLOCK,
            shared_bytes=told(cu.SHARED_BYTES),
            # Two transfers in a cycle, in bytes per nanosecond; GPUs without own memory tell none.
            bandwidth=2e-6 * told(cu.MEMORY_CLOCK_KHZ) * told(cu.MEMORY_BUS_BITS) / 8 or 100.0,
            l2_bytes=told(cu.L2_BYTES),
            ghz=told(cu.CLOCK_KHZ) * 1e-6,
            block_shared=self._block_shared,
        )
        self._device = device
        self._session: Session | None = None
        self._starting = threading.RLock()
        #: The last kernels asked for: an error is told of later.
        self._recent: deque[str] = deque(maxlen=4)

    @property
    def session(self) -> Session:
        """Its context, from the first use on."""
        if self._session is None:
            with self._starting, self.explained("a context"):
                if self._session is None:
                    self._session = Session(self._driver, self._device)
        assert self._session is not None
        return self._session

    def supports(self, dtype: np.dtype) -> bool:
        return dtype.name in _DTYPES

    # -- errors ------------------------------------------------------------------------------------

    @contextmanager
    def explained(self, what: str) -> Iterator[None]:
        """Within ``with``, what the driver says is an error of Weft's."""
        self.check()
        try:
            yield
        except Fault as why:
            raise self.error(why, what) from why

    def error(self, why: Fault, what: str) -> Exception:
        """What a fault means when ``what`` was asked for."""
        device = f"{self.name} ({self.description})"
        if why.status == cu.OUT_OF_MEMORY:
            return MemoryError(f"{device} has no memory for {what}: {why}")
        if why.status not in cu.LOST:
            return DeviceError(f"{device} refuses {what}: {why}")
        kernels = ", ".join(self._recent) or "none"
        hint = f"The last kernels were {kernels}; CUDA_LAUNCH_BLOCKING=1 shows which one it was"
        return self.lose(why, what, hint)

    def asked(self, what: str) -> None:
        """Notes what the stream of kernels is asked for, for errors that are seen later."""
        self._recent.append(what)

    # -- memory ------------------------------------------------------------------------------------

    def alloc(self, nbytes: int) -> Memory:
        return self._alloc(nbytes, uploads=False)

    def _alloc(self, nbytes: int, uploads: bool) -> Memory:
        self.check()
        session = self.session
        try:
            with session:
                stream = session.up if uploads else session.compute
                return Memory(self, session.alloc(nbytes, stream), nbytes)
        except Fault as why:
            if why.status == cu.OUT_OF_MEMORY:
                raise self._no_room(nbytes) from why
            raise self.error(why, f"memory of {nbytes:,} bytes") from why

    def _no_room(self, nbytes: int) -> MemoryError:
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        with self.explained("the memory that is free"):
            self._driver("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return MemoryError(
            f"{self.name} ({self.description}) has no {nbytes:,} bytes for an array: of "
            f"{total.value:,} bytes {free.value:,} are free. Delete arrays (x.delete()), or move "
            "them away (x.to('cpu'))"
        )

    def release(self, handle: Block) -> None:
        if self._session is not None and not self.lost:
            self._session.release(handle)

    def upload(self, data: np.ndarray) -> Memory:
        memory = self._alloc(data.nbytes, uploads=True)
        with self.explained("an upload"):
            self.session.send(memory.handle, data)
        return memory

    def write(self, target: Memory, data: np.ndarray) -> None:
        with self.explained("an upload"):
            self.session.write(target.handle, data)

    def read(self, source: Memory, out: np.ndarray) -> None:
        with self.explained("a result"):
            self.session.read(source.handle, out)

    def copy(self, target: Memory, source: Memory, nbytes: int) -> None:
        with self.explained("a copy"):
            self.session.copy(target.handle, source.handle, nbytes)

    def finish(self) -> None:
        with self.explained("the end of all work"):
            self.session.finish()

    # -- kernels -----------------------------------------------------------------------------------

    def program(self, closed: ClosedJaxpr) -> DeviceProgram:
        if config.profiled:
            return super().program(closed)
        check_dtypes(closed, self)
        return GraphedProgram(closed, self)

    def kernels(self, kernels: Sequence[Kernel]) -> list[tuple[Launcher, tuple[int, ...]]]:
        texts = [text.emit_kernel(kernel) for kernel in kernels]
        for kernel, emitted in zip(kernels, texts, strict=True):
            if emitted.dynamic > self._block_shared:
                raise DeviceError(
                    f"{self.name} ({self.description}) has {self._block_shared:,} bytes of shared "
                    f"memory for a block, and the kernel {kernel.name} needs {emitted.dynamic:,}: "
                    "use smaller tiles"
                )
        with ThreadPoolExecutor(min(len(texts), os.cpu_count() or 1) or 1) as pool:
            codes = list(pool.map(self.code, kernels, texts))
        return [
            (self._loaded(k, t, code), scratch_bytes(k, t))
            for k, t, code in zip(kernels, texts, codes, strict=True)
        ]

    def code(self, kernel: Kernel, emitted: KernelText) -> bytes:
        """Machine code of a kernel."""
        try:
            return nvrtc.cached_code(emitted.text, self.architecture)
        except DeviceError as why:
            raise DeviceError(f"{self.name} refuses the kernel {kernel.name}: {why}") from why

    def _loaded(self, kernel: Kernel, emitted: KernelText, code: bytes) -> Launcher:
        driver, session = self._driver, self.session
        with self.explained(f"the kernel {kernel.name}"), session:
            module = driver.handle("cuModuleLoadData", code)
            function = driver.handle("cuModuleGetFunction", module, emitted.symbol.encode())
            if emitted.dynamic > STATIC_SHARED:
                driver("cuFuncSetAttribute", function, cu.MAX_DYNAMIC_SHARED, emitted.dynamic)
        launch = self._launcher(kernel, emitted, function)
        weakref.finalize(launch, session.retire, "cuModuleUnload", module).atexit = False
        return launch

    def _launcher(self, kernel: Kernel, emitted: KernelText, function: int) -> Launcher:
        driver, session = self._driver, self.session
        count = len(emitted.arguments)
        # The driver reads arguments at the addresses in a table, before a launch returns.
        values = (ctypes.c_uint64 * count)()
        start = ctypes.addressof(values)
        table = (ctypes.c_void_p * count)(*range(start, start + 8 * count, 8))
        written = [n for n, b in enumerate(emitted.arguments) if b.role != "input"]
        shape: Any = (*emitted.grid, emitted.block, 1, 1, emitted.dynamic)

        def run(arguments: Sequence[Memory]) -> None:
            self.check()
            try:
                with session:
                    for n, memory in enumerate(arguments):
                        session.use(memory.handle)
                        values[n] = memory.handle.address
                    for n in written:
                        arguments[n].handle.computed = None
                    self.asked(kernel.name)
                    driver("cuLaunchKernel", function, *shape, session.compute, table, None)
            except Fault as why:
                raise self.error(why, f"the kernel {kernel.name}") from why

        return run
