"""Default schedules for a GPU: lanes over the threads of a block, outer loops over blocks.

Each innermost loop is spread over threads along the axis of its nest that most accesses walk
contiguously, so that neighbouring threads touch neighbouring elements; a fold along that axis gets
one accumulator per thread and a reduction in shared memory at its end. What is outside becomes the
grid. A contraction computes a few rows per block, so that what a thread loads of one operand serves
them all.

These defaults compete by price with blocks of other sizes and other numbers of rows, and a
contraction with tiles staged in shared memory (`strategy_staged`). One block reduces what has no
outer loops.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TypeGuard

from weft.kernels import strategy_staged, strategy_vectors
from weft.kernels.candidates import Contest
from weft.kernels.ir import For, Kernel, Load, Stmt, Store, outputs_of
from weft.kernels.machine import Machine
from weft.kernels.races import check_races
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.order import parallelize, scratch_between
from weft.kernels.schedule.split import peel, split
from weft.kernels.schedule.tile import tile, vectorize
from weft.kernels.schedule.tree import find_loop, path_to
from weft.structs import struct
from weft.terms.affine import Axis, linearize

WARP = 32  # threads that run, and access memory, together
ROWS = 4  # rows of a contraction that one block computes side by side, if nothing else is better
GRID_DIMENSIONS = 3
WORTH = 1e-6  # seconds of running for which one more proposal is worth its compile time, …

Path = tuple[For, ...]


@struct(frozen=True)
class Choice:
    """What may be decided otherwise: the threads of a block, the rows of a contraction that each
    of them computes, and the place of the axis across threads in the order of preference."""

    block: int
    rows: int = ROWS
    axis: int = 0


def contest(kernel: Kernel, machine: Machine) -> Contest:
    """The default schedule of a naive kernel and a few alternatives, to be compared by price."""
    wide = strategy_vectors.contract(kernel, machine)
    if wide is not None:
        return Contest(kernel, machine, (lambda: _over_blocks(wide),), WORTH)
    first, *others = (partial(schedule, kernel, machine, c) for c in choices(machine.block))
    shared = (partial(staged, kernel, machine, t) for t in strategy_staged.tiles(kernel, machine))
    return Contest(kernel, machine, (first, *shared, *others), WORTH)


def choices(block: int) -> Iterator[Choice]:
    """The default first, then the most promising."""
    yield Choice(block)
    yield Choice(block, axis=1)
    for rows in (8, 16):
        yield Choice(block, rows)
    for other in (2 * block, block // 2):
        if other >= WARP:
            yield Choice(other)
            yield Choice(other, 8)
    yield Choice(block, 8, axis=1)


def schedule(kernel: Kernel, machine: Machine, choice: Choice | None = None) -> Kernel:
    """The schedule of a naive kernel in which ``choice`` decides what is open."""
    return _over_blocks(spread(kernel, choice or Choice(machine.block)))


def staged(kernel: Kernel, machine: Machine, tile: strategy_staged.Tile) -> Kernel:
    """The schedule of a contraction whose blocks share ``tile``s of its operands."""
    whole = strategy_staged.stage_contraction(kernel, tile)
    return _over_blocks(spread(whole, Choice(machine.block)))


def spread(kernel: Kernel, choice: Choice, inside: Axis | None = None) -> Kernel:
    """Put an axis of every nest across threads; one ``inside`` the loop over an axis, if given."""
    tried: set[Axis] = set()
    while True:
        # Spreading one nest can make others (remainders), so they are listed anew each time.
        body = kernel.body if inside is None else find_loop(kernel, inside).body
        path = next((p for p in _nests(body) if _waits(p[-1], kernel, tried)), None)
        if path is None:
            return kernel
        tried.add(path[-1].axis)
        kernel = _spread(kernel, path, choice)


# -- threads ---------------------------------------------------------------------------------------


def _nests(body: list[Stmt], outer: Path = ()) -> Iterator[Path]:
    """Innermost loops with the loops around them, in order."""
    for stmt in body:
        if isinstance(stmt, For):
            if any(isinstance(s, For) for s in stmt.body):
                yield from _nests(stmt.body, (*outer, stmt))
            else:
                yield (*outer, stmt)


def _waits(leaf: For, kernel: Kernel, tried: set[Axis]) -> bool:
    """Whether nothing in an innermost loop lies across threads yet."""
    if leaf.axis in tried:
        return False
    tiles = {a for s in leaf.body for v in outputs_of(s) for a in v.axes}
    stored = {a for s in leaf.body if isinstance(s, Store) for i in s.index for a in i.axes()}
    return kernel.lanes.isdisjoint(tiles | stored)


def _spread(kernel: Kernel, path: Path, choice: Choice) -> Kernel:
    """Put the best axis of a nest that may be spread over threads across them."""
    axes = _candidates(path)
    for axis in axes[choice.axis :] + axes[: choice.axis]:
        loop = next(x for x in path if x.axis is axis)
        try:
            if loop is path[0] and not loop.carries and loop.trip > choice.block:
                wide = _in_strips(kernel, loop, choice.block, lanes=True)
            else:
                wide = vectorize(kernel, axis, max(1, min(choice.block, loop.trip)))
        except ScheduleError:
            continue  # not legal along this axis; the next best may be
        return _share_rows(wide, path, axis, choice.rows)
    return kernel


def _in_strips(kernel: Kernel, loop: For, width: int, lanes: bool) -> Kernel:
    """Cut a loop into tiles of ``width`` and a remainder, each inside a loop of its own::

        for i in 0:10: s(i)
        →
        for i in 0:8:4: s(i + t)  (t:4)
        for i' in 8:10:2: s(i' + t')  (t':2)

    so that a block does a part of it, and a single block the remainder (outside of loops, every
    block would).
    """
    whole = loop.trip // width * width
    rest = Axis(loop.axis.name, loop.axis.extent)
    kernel = peel(kernel, loop.axis, whole, rest)
    for part, count in ((loop.axis, width), (rest, loop.trip - whole)):
        if count > 1 or (count and lanes):
            inner = Axis(loop.axis.name, count)
            kernel = tile(split(kernel, part, inner), inner, lanes=lanes)
    return kernel


def _candidates(path: Path) -> list[Axis]:
    """Axes of a nest, those with the most contiguous accesses first, then the innermost."""
    scored: list[tuple[float, int, Axis]] = []
    for depth, loop in enumerate(path):
        together = apart = 0
        for access in (a for x in path for a in x.body if _is_access(a)):
            stride = _stride(access, loop.axis)
            # Memory moves sectors for single elements, banks of shared memory only wait.
            weight = 1 if access.buffer.role == "scratch" else 2
            if stride is None or abs(stride) > 1:
                apart += weight
            elif stride:
                together += weight
        used = min(1.0, loop.trip / WARP)
        score = float(together - apart)
        scored.append((score * used if score > 0 else score, depth, loop.axis))
    scored.sort(key=lambda s: (-s[0], -s[1]))
    return [axis for _, _, axis in scored]


def _is_access(stmt: Stmt) -> TypeGuard[Load | Store]:
    return isinstance(stmt, Load | Store)


def _stride(access: Stmt, axis: Axis) -> int | None:
    """Elements between neighbours along ``axis``; None when they are not evenly spaced."""
    assert isinstance(access, Load | Store)
    linear = linearize(access.index, access.buffer.element_strides)
    return linear.coefficient(axis) if linear.is_affine_in(axis) else None


def _share_rows(kernel: Kernel, path: Path, lane: Axis, rows: int) -> Kernel:
    """A few rows of a product per block, if what threads load does not depend on the row."""
    leaf = path[-1]
    if leaf.fold is None or leaf.axis is lane:
        return kernel
    loads = [s for s in leaf.body if isinstance(s, Load)]
    wide = [s for s in loads if _stride(s, lane) == 1]
    for row in reversed(path[:-1]):
        reused = wide and all(_stride(s, row.axis) == 0 for s in wide) and len(wide) < len(loads)
        if row.axis is lane or row.carries or row.trip < 2 or not reused:
            continue
        try:
            return _in_strips(kernel, row, min(rows, row.trip), lanes=False)
        except ScheduleError:
            continue  # this loop computes more than the product
    return kernel


# -- blocks ----------------------------------------------------------------------------------------


def _over_blocks(kernel: Kernel) -> Kernel:
    """Spread the outer loops of every nest over the blocks of a grid, outermost first.

    Blocks cannot wait for each other: a nest that needs what another computes, or updates memory in
    place outside of parallel loops, stays with one block.
    """
    for top in [s for s in kernel.body if isinstance(s, For)]:
        if scratch_between(kernel, top)[1]:
            continue
        spread = _grid(kernel, top)
        if check_races(spread) is None:
            kernel = spread
    return kernel


def _grid(kernel: Kernel, top: For) -> Kernel:
    """One nest with its perfectly nested outer loops parallel, as many as a grid has dimensions."""
    axis: Axis | None = top.axis
    for _ in range(GRID_DIMENSIONS):
        if axis is None:
            break
        try:
            kernel = parallelize(kernel, axis)
        except ScheduleError:
            break  # a fold, or iterations that meet in memory: each block runs the whole loop
        body = path_to(kernel, axis)[-1].body
        inner = body[0] if len(body) == 1 else None
        axis = inner.axis if isinstance(inner, For) and not inner.carries else None
    return kernel
