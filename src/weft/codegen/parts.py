"""A program's steps cut into parts of bounded size, each to become a native function.

What a compiler does with a function may take the square of its length, so ``main`` is not to grow
with the program.  Runs of steps become functions that ``main`` calls, and so do the blocks of loops
and branches that are long themselves; then nothing is deeply nested within one function either.
"""

from __future__ import annotations

from collections.abc import Iterator

from weft.kernels.program import Program, Step, blocks_of, walk_steps
from weft.structs import struct

#: The weight of what one function does: steps, those inside its loops and branches included.
PART = 64
#: What a loop or branch weighs itself: one function has few of them, one in another.
CONTROL = 4
#: The weight that a block inside a long loop or branch may have without becoming a function.
SMALL = 8


@struct(frozen=True, eq=False)
class Call:
    """A run of steps in a function of its own."""

    steps: list[Step]


@struct(frozen=True, eq=False)
class Inline:
    """A step in this function; ``blocks`` are what its blocks have become."""

    step: Step
    blocks: tuple[list[Item], ...]


Item = Inline | Call


class Parts:
    """How the steps of ``program`` are cut."""

    def __init__(self, program: Program) -> None:
        #: The weights of loops and branches.
        self.weights: dict[Step, int] = {}
        for step in reversed([s for s in walk_steps(program.steps) if blocks_of(s)]):
            self.weights[step] = CONTROL + sum(self.weight(block) for block in blocks_of(step))

    def weight(self, steps: list[Step]) -> int:
        """The weight of all ``steps``."""
        return sum(self.weights.get(step, 1) for step in steps)

    def items(self, steps: list[Step]) -> list[Item]:
        """The contents of a function that runs ``steps``."""
        if self.weight(steps) <= PART:
            return [self._whole(step) for step in steps]
        found: list[Item] = []
        run: list[Step] = []
        room = PART
        for step in steps:
            weight = self.weights.get(step, 1)
            if weight > room and run:
                found.append(Call(run))
                run, room = [], PART
            if weight > PART:
                found.append(Inline(step, tuple(self._block(b) for b in blocks_of(step))))
            else:
                run.append(step)
                room -= weight
        return [*found, Call(run)] if run else found

    def _block(self, steps: list[Step]) -> list[Item]:
        if self.weight(steps) <= SMALL:
            return [self._whole(step) for step in steps]
        return [Call(steps)]

    def _whole(self, step: Step) -> Inline:
        """A step with everything inside it, which is not deeply nested: it weighs too little."""
        blocks = (tuple(self._whole(s) for s in block) for block in blocks_of(step))
        return Inline(step, tuple(list(block) for block in blocks))


def walk_items(items: list[Item]) -> Iterator[Item]:
    """What a function consists of, outer before inner, in order."""
    stack = list(reversed(items))
    while stack:
        item = stack.pop()
        yield item
        if isinstance(item, Inline):
            stack.extend(i for block in reversed(item.blocks) for i in reversed(block))
