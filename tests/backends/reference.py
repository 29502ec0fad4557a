"""A device that the host plays: bytes of its own, kernels by their interpreter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weft.backends.device import Memory
from weft.backends.programs import KernelDevice, Launcher
from weft.kernels.interpret import run_in_place
from weft.kernels.ir import Kernel
from weft.kernels.machine import gpu_machine


class ReferenceDevice(KernelDevice):
    """Counts what is asked of it, and never computes in float64."""

    def __init__(self, name: str, room: int = 1 << 24) -> None:
        self.name, self.description = name, "the interpreter"
        self.machine = gpu_machine(name, 4, block=32, shared_bytes=1 << 14, bandwidth=50.0)
        self.room = room
        self.used = self.launches = self.written = 0

    def supports(self, dtype: np.dtype) -> bool:
        return dtype.kind in "biu" or dtype == np.float32

    def alloc(self, nbytes: int) -> Memory:
        if self.used + nbytes > self.room:
            raise MemoryError(f"{self.name} has no {nbytes:,} bytes")
        self.used += nbytes
        return Memory(self, np.full(nbytes, 0xFF, np.uint8), nbytes)

    def release(self, handle: np.ndarray) -> None:
        self.used -= handle.nbytes

    def write(self, target: Memory, data: np.ndarray) -> None:
        self.written += data.nbytes
        target.handle[: data.nbytes] = data.reshape(-1).view(np.uint8)

    def read(self, source: Memory, out: np.ndarray) -> None:
        out.reshape(-1).view(np.uint8)[...] = source.handle[: out.nbytes]

    def copy(self, target: Memory, source: Memory, nbytes: int) -> None:
        target.handle[:nbytes] = source.handle[:nbytes]

    def kernels(self, kernels: Sequence[Kernel]) -> list[tuple[Launcher, tuple[int, ...]]]:
        return [(self._run(kernel), ()) for kernel in kernels]

    def finish(self) -> None:
        pass

    def _run(self, kernel: Kernel) -> Launcher:
        def run(arguments: Sequence[Memory]) -> None:
            self.launches += 1
            run_in_place(
                kernel,
                {
                    b: m.handle[: b.extent * b.dtype.itemsize].view(b.dtype).reshape(b.shape)
                    for b, m in zip(kernel.params, arguments, strict=True)
                },
            )

        return run
