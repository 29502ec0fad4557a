"""Schedules of a kernel by enumeration: what a strategy could decide, good and bad.

They come in this order: the default, what the planner looks at, and then, shuffled, everything that
can be said with a few numbers.  For a contraction these are the register tile, the blocks, packing,
unrolling, chains of sums and who shares the work; for other kernels the vector axis, how many
registers lie along it, threads, and changes of the loops themselves before the strategy sees them:
an exchange of the two outermost, blocks of one loop brought outside, steps of one side by side.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product

from weft.kernels import strategy
from weft.kernels.candidates import Choice
from weft.kernels.ir import For, Kernel, loops
from weft.kernels.machine import Machine
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.folds import block_fold
from weft.kernels.schedule.order import reorder
from weft.kernels.schedule.split import split
from weft.kernels.schedule.tile import interleave
from weft.structs import struct

Schedule = Callable[[Kernel, Machine], Kernel]

#: Registers along the lanes of a tile.
VECTORS = (1, 2, 3, 4, 6, 8, 12, 16)
#: Iterations of a block of a loop.
BLOCKS = (16, 64, 256, 1024)
#: Steps of a loop side by side.
SIDE_BY_SIDE = (2, 4, 8)


@struct(frozen=True)
class Loops:
    """A change of the loops of a kernel, before its strategy: a kind, a loop by place, a number."""

    kind: str = "as they are"
    place: int = 0
    number: int = 0

    def apply(self, kernel: Kernel) -> Kernel:
        """The kernel with its loops changed; `ScheduleError` where that is not possible."""
        if self.kind == "as they are":
            return kernel
        found = list(loops(kernel.body))
        if self.place >= len(found):
            raise ScheduleError(f"kernel {kernel.name} has no loop number {self.place}")
        loop = found[self.place]
        if self.kind == "exchanged":
            return reorder(kernel, loop.axis, _inside(loop).axis)
        if self.number >= loop.trip:
            raise ScheduleError(f"the loop over {loop.axis} is no longer than {self.number}")
        if self.kind == "side by side":
            return interleave(kernel, loop.axis, self.number)
        if loop.carries:
            return block_fold(kernel, loop.axis, self.number)
        kernel = split(kernel, loop.axis, self.number)
        for outer in reversed(found[: self.place]):
            if _inside(outer).axis is loop.axis:
                kernel = reorder(kernel, outer.axis, loop.axis)
        return kernel


def _inside(loop: For) -> For:
    inner = loop.body[0]
    if len(loop.body) != 1 or not isinstance(inner, For):
        raise ScheduleError(f"the loop over {loop.axis} holds more than a loop")
    return inner


def enumerated(kernel: Kernel, machine: Machine) -> Iterator[tuple[str, Schedule]]:
    """Schedules and their names, the default first; some may be refused, or be the same."""
    for choice in strategy.open_choices(kernel, machine):
        yield _named(Loops(), choice)
    plan = strategy.plan_contraction(kernel, machine)
    rest = list(_plain(machine) if plan is None else _contracted(plan.params, machine))
    random.Random(0).shuffle(rest)
    yield from (_named(*each) for each in rest)


def _named(change: Loops, choice: Choice) -> tuple[str, Schedule]:
    def schedule(kernel: Kernel, machine: Machine) -> Kernel:
        return strategy.apply_choice(change.apply(kernel), machine, choice)

    return f"{change} {choice}", schedule


def _plain(machine: Machine) -> Iterator[tuple[Loops, Choice]]:
    """Changes of loops, times what the strategy leaves open."""
    changes = [Loops(), *(Loops("exchanged", place) for place in range(2))]
    changes += [Loops("blocks", p, n) for p in range(3) for n in BLOCKS]
    changes += [Loops("side by side", p, n) for p in range(3) for n in SIDE_BY_SIDE]
    threads = (True, False) if machine.threads > 1 else (True,)
    for change, vectors, axis, parallel in product(changes, VECTORS, range(3), threads):
        yield change, Choice(vectors, axis, parallel)


def _contracted(params: strategy.Params, machine: Machine) -> Iterator[tuple[Loops, Choice]]:
    """The numbers of a contraction's schedule, each of a few values."""
    lanes = max(1, machine.vector_bytes // 4)
    rows, vectors = (1, 2, 4, 6, 8, 12, 14), (1, 2, 3, 4, 6)
    tiles = [t for t in product(rows, vectors) if t[0] * t[1] < machine.registers]
    shares = tuple(dict.fromkeys((params.parallel, "none")))
    packs = tuple(product((True, False), repeat=2))
    widths = (lanes, 2 * lanes, 4 * lanes) if params.lanes == "fold" else (params.width,)
    for (r, v), left_right, block, row_block, unrolled, chains, width, parallel in product(
        tiles, packs, (64, 256, 512, 1024), (16, 64, 128), (1, 4, 8), (1, 2, 4), widths, shares
    ):
        numbers = replace(
            params,
            rows=r,
            columns=v * lanes if params.lanes == "columns" else v,
            width=width,
            pack_left=left_right[0],
            pack_right=left_right[1],
            block=block,
            row_block=row_block,
            unroll=unrolled,
            chains=chains,
            parallel=parallel,
        )
        yield Loops(), Choice(contraction=numbers)
