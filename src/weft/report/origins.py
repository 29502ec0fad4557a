"""Which lines of the user's program a launch computes."""

from __future__ import annotations

from collections.abc import Iterable

from weft.core.source import Source
from weft.kernels.ir import Kernel
from weft.kernels.program import Launch, Program, walk_steps
from weft.planning import PlannedRegion
from weft.terms.liveness import loaded
from weft.terms.region import Def, Scatter
from weft.terms.term import Value


def launches_of(program: Program) -> list[Launch]:
    """The launches, in the order in which they were planned."""
    return [s for s in walk_steps(program.steps) if isinstance(s, Launch)]


def planned_values(regions: Iterable[PlannedRegion]) -> list[tuple[Value, ...]]:
    """The values of each launch's parameters, in the order of `launches_of`."""
    return [values for region in regions for _, values, _ in region.kernels]


def written(kernel: Kernel, values: Iterable[Value]) -> list[Value]:
    """What a kernel with these values for its parameters writes."""
    pairs = zip(kernel.params, values, strict=True)
    return [v for buffer, v in pairs if buffer.role != "input"]


def computed(regions: Iterable[PlannedRegion]) -> list[list[Def | Scatter]]:
    """For each launch the definitions that it computes: those up to what others store."""
    found = []
    for region in regions:
        stored = {v for kernel, values, _ in region.kernels for v in written(kernel, values)}
        steps = {s.value: s for s in region.chosen.steps}
        for kernel, values, _ in region.kernels:
            found.append(_inside(steps, written(kernel, values), stored))
    return found


def _inside(
    steps: dict[Value, Def | Scatter], outputs: Iterable[Value], stored: set[Value]
) -> list[Def | Scatter]:
    inside: dict[Def | Scatter, None] = {}
    stack = list(outputs)
    while stack:
        step = steps.get(stack.pop())
        if step is None or step in inside:
            continue
        inside[step] = None
        stack += [v for v in loaded(*step.terms) if v not in stored]
    return list(inside)


def lines_of(steps: Iterable[Def | Scatter]) -> tuple[Source, ...]:
    """The lines of some definitions, in the order of their files."""
    found = dict.fromkeys(s.source for s in steps if s.source is not None)
    return tuple(sorted(found, key=lambda s: (s.file, s.line)))
