"""Machine models of processors: what programs are planned with."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from weft.config import config
from weft.kernels.machine import Machine, cpu_machine

if TYPE_CHECKING:
    from weft.runtime.figures import Figures
    from weft.runtime.native import CPU


#: Bytes of the last cache that a core can count on. A virtual machine shows the whole cache of the
#: processor, of whose cores it has a few: measured, what others leave is used up at this size.
SHARE = 16 << 20


def host_machine(threads: int) -> Machine:
    """The machine model of this host."""
    from weft.runtime.native import host_cpu

    return machine_of(host_cpu(), threads)


def target_machine() -> Machine:
    """The machine model that programs are compiled for."""
    from weft.runtime.processors import target_cpu

    return machine_of(target_cpu(), config.threads)


def machine_of(cpu: CPU, threads: int) -> Machine:
    """The machine model of a processor, with the figures of this one if it was measured."""
    from weft.runtime import figures
    from weft.runtime.native import host_cpu

    known = figures.measured() if cpu.triple == host_cpu().triple else None
    return _machine_of(cpu, threads, known)


@cache
def _machine_of(cpu: CPU, threads: int, figures: Figures | None) -> Machine:
    from weft.kernels.machine import measured
    from weft.terms.dots import dots_of, units_of

    caches = (cpu.l1_bytes, cpu.l2_bytes, min(cpu.l3_bytes, max(1, cpu.cores) * SHARE))
    features = frozenset(f[1:] for f in cpu.features.split(",") if f.startswith("+"))
    machine = cpu_machine(
        threads,
        cpu.vector_bits // 8,
        caches,
        cpu.name,
        cpu.architecture,
        dots_of(features),
        units_of(features),
    )
    return machine if figures is None else measured(machine, figures)
