"""OpenCL, through pyopencl (the extra ``opencl``). PoCL makes a device of any CPU."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from weft.backends.device import Memory
from weft.backends.programs import KernelDevice, Launcher, scratch_bytes
from weft.codegen import opencl as text
from weft.codegen.c_halves import is_half
from weft.codegen.clike import KernelText
from weft.errors import DeviceError
from weft.kernels.ir import Kernel
from weft.kernels.machine import Machine, cpu_machine, gpu_machine

#: Work-items of a group that the planner starts from.
BLOCK = 64
#: Bytes that a device's idle memory may take, beyond which it goes back to the driver.
IDLE_LIMIT = 256 << 20
#: Sizes of allocations are rounded up to these many bytes, so that they can be used again.
GRAIN = 256


def available() -> list[OpenCL]:
    """The devices of all platforms; `DeviceError` that says what to install if there are none."""
    try:
        import pyopencl
    except ImportError as why:
        raise DeviceError(
            "the device 'opencl' needs the package pyopencl: pip install 'weft[opencl]'"
        ) from why
    try:
        found = [
            device for platform in pyopencl.get_platforms() for device in platform.get_devices()
        ]
    except pyopencl.Error as why:
        raise DeviceError(
            f"no OpenCL driver was found ({why}): install your GPU's, or PoCL, which runs on any "
            "CPU (Debian: apt install pocl-opencl-icd)"
        ) from why
    if not found:
        raise DeviceError(
            "the OpenCL drivers of this machine have no device: install PoCL, which makes one of "
            "any CPU (Debian: apt install pocl-opencl-icd)"
        )
    return [OpenCL(pyopencl, device, n) for n, device in enumerate(found)]


class OpenCL(KernelDevice):
    """An OpenCL device with a context and a queue of its own, which does things in order."""

    def __init__(self, cl: Any, device: Any, number: int) -> None:
        self.name = f"opencl:{number}"
        self.description = " ".join(device.name.split())
        self._cl = cl
        self._device = device
        self._context = cl.Context([device])
        self._queue = cl.CommandQueue(self._context)
        self._double = "cl_khr_fp64" in device.extensions
        # Setting the arguments of a kernel and starting it are two calls.
        self._lock = threading.RLock()
        self._idle: dict[int, list[Any]] = {}
        self._idle_bytes = 0
        self.machine = _machine(cl, self.name, device)

    def supports(self, dtype: np.dtype) -> bool:
        plain = dtype.kind in "biu" or dtype == np.float32 or is_half(dtype)
        return plain or (dtype == np.float64 and self._double)

    # -- memory ------------------------------------------------------------------------------------

    def alloc(self, nbytes: int) -> Memory:
        size = -(-max(nbytes, 1) // GRAIN) * GRAIN
        with self._lock:
            idle = self._idle.get(size)
            if idle:
                self._idle_bytes -= size
                return Memory(self, idle.pop(), nbytes)
        largest = self._device.max_mem_alloc_size
        try:
            if size > largest:
                raise MemoryError
            handle = self._cl.Buffer(self._context, self._cl.mem_flags.READ_WRITE, size)
        except (MemoryError, self._cl.MemoryError) as why:
            raise MemoryError(
                f"{self.name} ({self.description}) has no {nbytes:,} bytes for an array; one may "
                f"have {largest:,}"
            ) from why
        return Memory(self, handle, nbytes)

    def release(self, handle: Any) -> None:
        size = handle.size
        with self._lock:
            if self._idle_bytes + size <= IDLE_LIMIT:
                # What comes next is queued behind what still uses it.
                self._idle.setdefault(size, []).append(handle)
                self._idle_bytes += size

    def write(self, target: Memory, data: np.ndarray) -> None:
        if data.size == 1:  # the queue takes it along, so there is nothing to wait for
            word = data.reshape(1).view(f"u{data.itemsize}")[0]
            self._cl.enqueue_fill_buffer(self._queue, target.handle, word, 0, data.itemsize)
        elif data.nbytes:
            self._cl.enqueue_copy(self._queue, target.handle, _words(data), is_blocking=True)

    def read(self, source: Memory, out: np.ndarray) -> None:
        if out.nbytes:
            self._cl.enqueue_copy(self._queue, _words(out), source.handle, is_blocking=True)

    def copy(self, target: Memory, source: Memory, nbytes: int) -> None:
        if nbytes:
            self._cl.enqueue_copy(self._queue, target.handle, source.handle, byte_count=nbytes)

    def finish(self) -> None:
        self._queue.finish()

    # -- kernels -----------------------------------------------------------------------------------

    def kernels(self, kernels: Sequence[Kernel]) -> list[tuple[Launcher, tuple[int, ...]]]:
        texts = [text.emit_kernel(kernel) for kernel in kernels]
        if not texts:
            return []
        source = text.PREAMBLE + "\n".join(t.text for t in texts)
        correct = (
            self._device.single_fp_config & self._cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT
        )
        options = [text.BUILD_OPTIONS] if correct else []
        with warnings.catch_warnings():  # compilers are talkative
            warnings.simplefilter("ignore", self._cl.CompilerWarning)
            try:
                program = self._cl.Program(self._context, source).build(options)
            except self._cl.Error as why:
                names = ", ".join(kernel.name for kernel in kernels)
                raise DeviceError(
                    f"{self.name} refuses one of the kernels {names}:\n{why}"
                ) from why
        return [
            (self._run(program, t), scratch_bytes(k, t))
            for k, t in zip(kernels, texts, strict=True)
        ]

    def _run(self, program: Any, kernel: KernelText) -> Launcher:
        compiled = self._cl.Kernel(program, kernel.symbol)
        x, y, z = kernel.grid
        everything, group = (x * kernel.block, y, z), (kernel.block, 1, 1)

        def run(arguments: Sequence[Memory]) -> None:
            with self._lock:
                compiled.set_args(*(memory.handle for memory in arguments))
                self._cl.enqueue_nd_range_kernel(self._queue, compiled, everything, group)

        return run


def _words(data: np.ndarray) -> np.ndarray:
    """Memory of half types as numbers that every library knows."""
    return data.view(np.uint16) if is_half(data.dtype) else data


def _machine(cl: Any, name: str, device: Any) -> Machine:
    """What is known of a device: what OpenCL tells, and the bandwidth of an ordinary one."""
    machine = gpu_machine(
        name,
        multiprocessors=device.max_compute_units,
        block=min(BLOCK, device.max_work_group_size),
        shared_bytes=device.local_mem_size,
        bandwidth=100.0,
        l2_bytes=device.global_mem_cache_size or 1 << 20,
        ghz=(device.max_clock_frequency or 1000) / 1000,
    )
    if not device.type & cl.device_type.CPU:
        return machine
    l3_bytes = device.global_mem_cache_size or 8 << 20
    vector_bytes = 4 * max(1, device.native_vector_width_float)
    return replace(machine, processor=cpu_machine(1, vector_bytes, (32 << 10, 1 << 20, l3_bytes)))
