"""Long regions are cut into pieces where few values are alive.

Rules see one piece at a time, so that the time they take is linear in the length of the program.
A cut is made where the fewest values cross it, so that repeated layers are cut alike, and each is
optimised once.
"""

from __future__ import annotations

from weft.terms.liveness import loaded
from weft.terms.region import Region, Scatter
from weft.terms.term import Value

#: Steps of a piece, at most; a cut is looked for in its second half.
LONGEST = 128


def pieces(region: Region, longest: int = LONGEST) -> list[Region]:
    """``region`` as a sequence of regions of at most ``longest`` steps each."""
    steps = region.steps
    if len(steps) <= longest:
        return [region]
    last = _last_uses(region)
    crossing = _crossing(region, last)
    found: list[Region] = []
    start = 0
    while start < len(steps):
        end = len(steps)
        if end - start > longest:
            places = range(start + longest // 2, start + longest + 1)
            end = min(places, key=lambda n: (crossing[n], n))
        found.append(_piece(region, start, end, last))
        start = end
    return found


def _last_uses(region: Region) -> dict[Value, int]:
    """Where each value is read last; after the end, if it is an output."""
    last: dict[Value, int] = {}
    for n, step in enumerate(region.steps):
        reads = loaded(*step.terms)
        if isinstance(step, Scatter):
            reads.add(step.operand)
        last.update(dict.fromkeys(reads, n))
    last.update(dict.fromkeys(region.outputs, len(region.steps)))
    return last


def _crossing(region: Region, last: dict[Value, int]) -> list[int]:
    """How many values defined before each place are read from there on."""
    change = [0] * (len(region.steps) + 2)
    for n, step in enumerate(region.steps):
        end = last.get(step.value, n)
        change[n + 1] += 1
        change[end + 1] -= 1
    crossing = [0]
    for delta in change[1:]:
        crossing.append(crossing[-1] + delta)
    return crossing


def _piece(region: Region, start: int, end: int, last: dict[Value, int]) -> Region:
    steps = region.steps[start:end]
    own = {s.value for s in steps}
    reads: set[Value] = set()
    for step in steps:
        reads |= loaded(*step.terms)
        if isinstance(step, Scatter):
            reads.add(step.operand)
    inputs = tuple(sorted(reads - own, key=lambda v: v.name))
    outputs = tuple(s.value for s in steps if last.get(s.value, -1) >= end)
    return Region(inputs, steps, outputs)
