"""The roof: what a machine could do at best, beside which kernels are measured."""

from __future__ import annotations

from collections.abc import Mapping

from weft.kernels.ir import Kernel
from weft.kernels.machine import LineCost, Machine
from weft.structs import struct


@struct(frozen=True)
class Roof:
    """``flops`` per second, and ``bandwidths`` in bytes per second by the level that serves."""

    flops: float
    bandwidths: Mapping[str, float]

    def seconds(self, flops: float, moved: Mapping[str, float]) -> float:
        """What so many operations and bytes (by the level that serves them) take at least."""
        arithmetic = flops / self.flops
        return max([arithmetic, *(n / self.bandwidths[k] for k, n in moved.items())])


def roof(machine: Machine, size: int = 4) -> Roof:
    """All threads of ``machine`` on floating-point numbers of ``size`` bytes."""
    bandwidths = {}
    for level in machine.levels[1:]:
        cores = 1 if level.shared else machine.threads
        bandwidths[level.name] = cores * _rate(level.cost, level.line, machine, level.bandwidth)
    bandwidths["DRAM"] = _rate(machine.memory, 64, machine, machine.memory_bandwidth)
    return Roof(2e9 * machine.products(size), bandwidths)


def _rate(cost: LineCost, line: int, machine: Machine, bandwidth: float) -> float:
    """Bytes per second, with all threads busy if there are several."""
    nanoseconds = cost.read[machine.threads > 1]
    return 1e9 * (line / nanoseconds if nanoseconds else bandwidth)


def float_size(kernel: Kernel) -> int:
    """Bytes of the widest floating-point numbers that a kernel reads or writes; 4 if none."""
    return max((b.dtype.itemsize for b in kernel.params if b.dtype.kind == "f"), default=4)
