"""`plan`: a region's terms become scheduled kernels.

Large static updates become definitions (`weft.kernels.overwrite`), what is stored and what is fused
is chosen by bytes and operations (`weft.kernels.fusion`), each cone becomes a naive loop nest
(`weft.kernels.build`), and the nest is scheduled for the machine by the strategy of its kind
(`weft.kernels.strategy`, `weft.kernels.strategy_gpu`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from weft.core.bounded import BoundedCache
from weft.kernels import strategy, strategy_gpu, strategy_open
from weft.kernels.assemble import Planned
from weft.kernels.build import Cone, build_kernel
from weft.kernels.canonical import cone_key
from weft.kernels.cones import make_cones
from weft.kernels.fusion import choose
from weft.kernels.ir import Kernel
from weft.kernels.machine import Machine
from weft.kernels.overwrite import overwrite_static
from weft.kernels.strategy_open import is_open
from weft.terms.region import Region
from weft.terms.term import Value

#: How each kind of machine schedules a naive kernel.
STRATEGIES: dict[str, Callable[[Kernel, Machine], Kernel]] = {
    "cpu": strategy.schedule,
    "gpu": strategy_gpu.schedule,
}

#: A kernel, and the numbers of its parameters in the key of its cone.
_Scheduled = tuple[Kernel, tuple[int, ...]]

#: Scheduled kernels of the last cones, by structure and machine.
_kernels: BoundedCache[_Scheduled] = BoundedCache(2048)


def plan(
    region: Region, machine: Machine, watch: Callable[[Kernel], None] | None = None
) -> list[Planned]:
    """Kernels for ``region`` in execution order, with the values of their parameters.

    ``watch`` is called with each kernel as it is before it is scheduled.
    """
    schedule = STRATEGIES[machine.kind]
    planned: list[Planned] = []
    choice = choose(overwrite_static(region), machine)
    shared: dict[Hashable, Kernel] = {}
    for cone, scatter in make_cones(choice, region.outputs):
        key, numbers = cone_key(cone)
        if watch is not None:
            watch(build_kernel(cone)[0])

        def make(cone: Cone = cone, numbers: dict[Value, int] = numbers) -> _Scheduled:
            kernel, values = build_kernel(cone)
            choose_schedule = strategy_open.schedule if is_open(kernel) else schedule
            return choose_schedule(kernel, machine), tuple(numbers[v] for v in values)

        kernel, places = _kernels.get((key, machine), make)
        # The same structure gives the same kernel, named after where this region has it first.
        kernel = shared.setdefault(key, kernel.evolve(name=cone.name))
        values = list(numbers)
        planned.append((kernel, tuple(values[n] for n in places), scatter))
    return planned
