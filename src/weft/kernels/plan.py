"""`plan`: a region's terms become scheduled kernels.

Large static updates become definitions (`weft.kernels.overwrite`), what is stored and what is fused
is chosen by bytes and operations (`weft.kernels.fusion`), each cone becomes a naive loop nest
(`weft.kernels.build`), and the nest is scheduled for the machine by the strategy of its kind
(`weft.kernels.strategy`, `weft.kernels.strategy_gpu`).
"""

from __future__ import annotations

from collections.abc import Callable

from weft.kernels import strategy, strategy_gpu
from weft.kernels.assemble import Planned
from weft.kernels.build import build_kernel
from weft.kernels.cones import make_cones
from weft.kernels.fusion import choose
from weft.kernels.ir import Kernel
from weft.kernels.machine import Machine
from weft.kernels.overwrite import overwrite_static
from weft.terms.region import Region

#: How each kind of machine schedules a naive kernel.
STRATEGIES: dict[str, Callable[[Kernel, Machine], Kernel]] = {
    "cpu": strategy.schedule,
    "gpu": strategy_gpu.schedule,
}


def plan(region: Region, machine: Machine) -> list[Planned]:
    """Kernels for ``region`` in execution order, with the values of their parameters."""
    schedule = STRATEGIES[machine.kind]
    planned: list[Planned] = []
    choice = choose(overwrite_static(region), machine)
    for cone, scatter in make_cones(choice, region.outputs):
        kernel, values = build_kernel(cone)
        planned.append((schedule(kernel, machine), values, scatter))
    return planned
