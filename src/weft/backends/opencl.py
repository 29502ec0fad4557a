"""OpenCL, through pyopencl (the extra ``opencl``). PoCL makes a device of any CPU."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from weft.backends.device import Memory
from weft.backends.opencl_memory import IN_ORDER, Block, Buffers, size_of
from weft.backends.programs import KernelDevice, Launcher, scratch_bytes
from weft.codegen import opencl as text
from weft.codegen.c_halves import is_half
from weft.codegen.clike import KernelText
from weft.errors import DeviceError
from weft.kernels.ir import Kernel
from weft.kernels.machine import Machine, cpu_machine, gpu_machine

#: Work-items of a group that the planner starts from.
BLOCK = 64


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
        self._buffers = Buffers(cl, self._context)
        self._double = "cl_khr_fp64" in device.extensions
        self.machine = _machine(cl, self.name, device)

    def supports(self, dtype: np.dtype) -> bool:
        plain = dtype.kind in "biu" or dtype == np.float32 or is_half(dtype)
        return plain or (dtype == np.float64 and self._double)

    @contextlib.contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        """Within ``with``, what the driver says is an error of Weft's."""
        self.check()
        try:
            yield
        except self._cl.Error as why:
            raise self._error(why, what) from why

    def _error(self, why: Any, what: str) -> Exception:
        if isinstance(why, self._cl.MemoryError):
            return MemoryError(f"{self.name} ({self.description}) has no memory for {what}: {why}")
        codes = self._cl.status_code
        if why.code in (codes.DEVICE_NOT_AVAILABLE, codes.INVALID_COMMAND_QUEUE):
            return self.lose(why, what)
        return DeviceError(f"{self.name} ({self.description}) refuses {what}: {why}")

    # -- memory ------------------------------------------------------------------------------------

    def alloc(self, nbytes: int) -> Memory:
        with self._room(nbytes), self._asked("memory"):
            return Memory(self, self._buffers.take(nbytes), nbytes)

    @contextlib.contextmanager
    def _room(self, nbytes: int) -> Iterator[None]:
        largest = self._device.max_mem_alloc_size
        try:
            if size_of(nbytes) > largest:
                raise MemoryError
            yield
        except MemoryError as why:
            raise MemoryError(
                f"{self.name} ({self.description}) has no {nbytes:,} bytes for an array; one may "
                f"have {largest:,}. Delete arrays (x.delete()), or compute in parts"
            ) from why

    def release(self, handle: Block) -> None:
        self._buffers.give(handle)

    def upload(self, data: np.ndarray) -> Memory:
        with self._room(data.nbytes), self._asked("an upload"):
            return Memory(self, self._buffers.upload(data), data.nbytes)

    def write(self, target: Memory, data: np.ndarray) -> None:
        with self._asked("an upload"):
            self._buffers.write(target.handle, data)

    def read(self, source: Memory, out: np.ndarray) -> None:
        with self._asked("a result"):
            self._buffers.read(source.handle, out)

    def copy(self, target: Memory, source: Memory, nbytes: int) -> None:
        with self._asked("a copy"):
            self._buffers.copy(target.handle, source.handle, nbytes)

    def computed(self, results: Sequence[Memory]) -> None:
        with self._asked("a program"):
            self._buffers.computed(memory.handle for memory in results)

    def finish(self) -> None:
        with self._asked("the end of all work"):
            self._buffers.finish()

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

        buffers = self._buffers
        written = [n for n, b in enumerate(kernel.arguments) if b.role != "input"]

        def run(arguments: Sequence[Memory]) -> None:
            self.check()
            try:
                with buffers.lock:
                    buffers.asked += 1
                    compiled.set_args(*(memory.handle.buffer for memory in arguments))
                    for n in written:
                        arguments[n].handle.written = IN_ORDER
                    self._cl.enqueue_nd_range_kernel(buffers.queue, compiled, everything, group)
            except self._cl.Error as why:
                raise self._error(why, f"the kernel {kernel.symbol}") from why

        return run


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
