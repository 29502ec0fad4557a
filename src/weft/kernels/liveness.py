"""When a program's temporaries hold something that is still needed.

Steps are numbered in the order they stand.  A temporary lives from its first to its last access,
both inclusive, with two widenings:

- what a loop or branch does to a temporary that is also used outside it takes the whole of it;
- a temporary whose first access (within the innermost list of steps that holds all of them) does
not
  overwrite it gets its contents from an earlier iteration, so it lives through every loop around
  it.

Temporaries that are swapped exchange memory, so each lives whenever one of its partners does.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import field

from weft.kernels.program import (
    For,
    If,
    Program,
    Slot,
    Step,
    Swap,
    While,
    blocks_of,
    reads_of,
    walk_steps,
    writes_of,
)
from weft.structs import struct

#: First and last step of a life, inclusive.
Life = tuple[int, int]


@struct(frozen=True, eq=False)
class _Place:
    """A list of steps: the step it belongs to (None for the program) and where that one stands."""

    owner: int | None
    parent: _Place | None

    def around(self) -> list[_Place]:
        """This list and those around it, outermost first."""
        found: list[_Place] = []
        place: _Place | None = self
        while place is not None:
            found.append(place)
            place = place.parent
        return found[::-1]


@struct(eq=False)
class _Numbered:
    """A step: where it stands, and the numbers of the first and last step of each of its blocks."""

    step: Step
    place: _Place
    end: int
    blocks: list[tuple[int, int]] = field(default_factory=list)


def lives(program: Program) -> dict[Slot, Life]:
    """The life of every temporary that is used at all."""
    steps = _number(program)
    uses: dict[Slot, list[int]] = {}
    for n, item in enumerate(steps):
        for slot in dict.fromkeys((*reads_of(item.step), *writes_of(item.step))):
            if slot.role == "temporary":
                uses.setdefault(slot, []).append(n)
    found = {slot: _life(slot, at, steps) for slot, at in uses.items()}
    for group in swap_groups(program):
        known = [found[s] for s in group if s in found]
        union = (min(a for a, _ in known), max(b for _, b in known))
        found.update((s, union) for s in group)
    return found


def swap_groups(program: Program) -> list[list[Slot]]:
    """Temporaries connected by swaps."""
    group_of: dict[Slot, list[Slot]] = {}
    for step in walk_steps(program.steps):
        if isinstance(step, Swap):
            a = group_of.setdefault(step.a, [step.a])
            b = group_of.setdefault(step.b, [step.b])
            if a is not b:
                a.extend(b)
                group_of.update((s, a) for s in b)
    return list({id(g): g for g in group_of.values()}.values())


def _number(program: Program) -> list[_Numbered]:
    """Every step with its place, in order; ``end`` is the number of the last step inside it."""
    items: list[_Numbered] = []
    top = _Place(None, None)
    # (steps still to come, their place, number of the step they belong to)
    stack: list[tuple[list[Step], int, _Place]] = [(program.steps, 0, top)]
    while stack:
        steps, at, place = stack.pop()
        if at == 0 and place.owner is not None:
            items[place.owner].blocks.append((len(items), len(items) - 1))
        if at == len(steps):
            if place.owner is not None:
                owner = items[place.owner]
                owner.end = max(owner.end, len(items) - 1)
                owner.blocks[-1] = (owner.blocks[-1][0], len(items) - 1)
            continue
        stack.append((steps, at + 1, place))
        n = len(items)
        items.append(_Numbered(steps[at], place, n))
        for block in reversed(blocks_of(steps[at])):
            stack.append((block, 0, _Place(n, place)))
    return items


def _life(slot: Slot, uses: list[int], steps: list[_Numbered]) -> Life:
    paths = [steps[n].place.around() for n in uses]
    common = paths[0]
    for path in paths[1:]:
        depth = 0
        while depth < min(len(common), len(path)) and common[depth] is path[depth]:
            depth += 1
        common = common[:depth]
    depth = len(common)
    # Direct children of the common list through which each access happens.
    children = [
        n if len(path) == depth else path[depth].owner for n, path in zip(uses, paths, strict=True)
    ]
    spans = [(c, steps[c].end) for c in children if c is not None]
    lo, hi = min(a for a, _ in spans), max(b for _, b in spans)
    if not _overwrites(lo, slot, uses, steps):
        for place in common:
            owner = place.owner
            if owner is not None and isinstance(steps[owner].step, For | While):
                return min(lo, owner), max(hi, steps[owner].end)
    return lo, hi


def _overwrites(n: int, slot: Slot, uses: list[int], steps: list[_Numbered]) -> bool:
    """Whether step ``n``, whatever happens in it, writes ``slot`` before it reads it.

    ``uses`` are the numbers of the steps that use it.
    """
    # Every block that must overwrite it, by its span: what uses it first there has to.
    waiting = [n]
    while waiting:
        number = waiting.pop()
        step, blocks = steps[number].step, steps[number].blocks
        if slot in reads_of(step) and not isinstance(step, While):
            return False
        if slot in writes_of(step):
            continue
        if isinstance(step, If):
            spans = blocks
        elif isinstance(step, While) or (isinstance(step, For) and step.length > 0):
            spans = blocks[:1]  # the condition runs, the body may not
        else:
            return False
        for first, last in spans:
            at = bisect_left(uses, first)
            if at == len(uses) or uses[at] > last:
                return False
            waiting.append(_child(uses[at], number, steps))
    return True


def _child(n: int, owner: int, steps: list[_Numbered]) -> int:
    """The step of a block of ``owner`` that step ``n`` is, or is inside of."""
    while steps[n].place.owner != owner:
        inside = steps[n].place.owner
        assert inside is not None
        n = inside
    return n
