"""Row kernels whose rows fit into registers.

A row kernel passes over each row several times (softmax: its maximum, the sum, the quotients).
Short rows are loaded once and kept: rows shorter than a vector lie one in each lane, element by
element in registers, so that reductions are lane-wise; longer ones lie across lanes, several rows
side by side, so that their reductions overlap::

    for i: m = fold j of x[i, j]; for j: y[i, j] = f(x[i, j], m)
    →
    for i in steps of 16: t (16 × 10) = x[i + ii, :]; m (16) = fold t; y[i + ii, :] = f(t, m)
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from weft.kernels.ir import Buffer, For, Kernel, Load, Stmt, Store, walk
from weft.kernels.machine import Machine
from weft.kernels.nests import Nest, lanes_of, nests_of, stride_of
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.forward import forward
from weft.kernels.schedule.split import split
from weft.kernels.schedule.stage import Layout, stage
from weft.kernels.schedule.tile import interleave, tile, vectorize
from weft.kernels.schedule.tree import find_loop, has_loop
from weft.terms.affine import Axis

MOST_VECTORS = 8  # of a row: beyond that it is read again from cache
ROW_REGISTERS = 16  # for rows side by side; as many again are left for what is computed


def keep_rows(kernel: Kernel, machine: Machine) -> Kernel:
    """``kernel`` with short rows in registers; everything else stays as it is."""
    for nest in nests_of(kernel):
        if len(nest.path) < 2 or not has_loop(kernel, nest.leaf.axis):
            continue
        outer = nest.path[-2]
        passes = _passes(find_loop(kernel, outer.axis)) if has_loop(kernel, outer.axis) else None
        lanes = lanes_of(nest, machine)
        if passes is None or not nest.is_scalar(kernel) or not _rows_lie_apart(nest, passes):
            continue
        try:
            kernel = _kept(kernel, outer, passes, lanes)
        except ScheduleError:
            continue  # a pass whose steps depend on each other: rows are scheduled pass by pass
    return kernel


def _passes(outer: For) -> list[For] | None:
    """The loops over the row, if there are folds among them and all have the same length."""
    inner = [s for s in outer.body if isinstance(s, For)]
    folds = any(x.fold is not None for x in inner)
    alike = len({(x.lo, x.hi, x.step) for x in inner}) == 1 and inner[0].step == 1
    nested = any(isinstance(s, For) for x in inner for s in x.body)
    return inner if folds and alike and not nested and not outer.carries else None


def _rows_lie_apart(nest: Nest, passes: Sequence[For]) -> bool:
    """Whether rows are contiguous, rather than the elements of different rows."""
    row = nest.path[-2].axis
    found = False
    for loop in passes:
        for access in _accesses(loop.body):
            along, across = stride_of(access, loop.axis), stride_of(access, row)
            if across is None or along is None or abs(across) == 1:
                return False
            found = found or (along == 1 and across != 0)
    return found


def _accesses(body: list[Stmt]) -> list[Load | Store]:
    return [s for s in walk(body) if isinstance(s, Load | Store)]


def turn_rows(kernel: Kernel, machine: Machine) -> Kernel:
    """``kernel`` with rows that lie along columns of memory copied to scratch, turned, before use.

    Several passes with a row of scratch between them leave no choice of the vector axis: it is the
    row's.  Where another axis is the contiguous one, as many rows as there are lanes are turned at
    once::

        for i: for j: s[j] = x[j, i]; …; for j: … s[j]
        →
        for i in steps of 16: t[ii, j] = x[j, i + ii]; for ii: for j: s[j] = t[ii, j]; …
    """
    seen: set[Axis] = set()
    for nest in nests_of(kernel):
        if len(nest.path) < 2 or nest.path[-2].axis in seen:
            continue
        outer = nest.path[-2]
        seen.add(outer.axis)
        lanes = lanes_of(nest, machine)
        if outer.carries or outer.trip < lanes or not _keeps_a_row(outer):
            continue
        for buffer in _turned_buffers(outer, nest.leaf, machine):
            with suppress(ScheduleError):  # read in several ways, or under guards
                kernel = _turned(kernel, buffer, outer.axis, lanes)
    return kernel


def _keeps_a_row(outer: For) -> bool:
    """Whether every iteration writes the same scratch, so that iterations cannot share lanes."""
    return any(
        isinstance(s, Store) and s.buffer.role == "scratch" and stride_of(s, outer.axis) == 0
        for s in walk(outer.body)
    )


def _turned_buffers(outer: For, leaf: For, machine: Machine) -> list[Buffer]:
    """Inputs that the passes read along columns, if a turned block leaves room in the cache."""
    found: dict[Buffer, None] = {}
    for access in _accesses(outer.body):
        size = access.buffer.dtype.itemsize * leaf.trip * (machine.vector_bytes // 4)
        fits = size * 4 <= machine.levels[1].capacity if len(machine.levels) > 1 else False
        if access.buffer.role == "input" and fits and stride_of(access, outer.axis) == 1:
            found[access.buffer] = None
    return list(found)


def _turned(kernel: Kernel, buffer: Buffer, row: Axis, lanes: int) -> Kernel:
    if find_loop(kernel, row).step == 1:
        kernel = split(kernel, row, lanes)
    # Copies of buffers turned before stand in front of the loop over the rows.
    inside = find_loop(kernel, row).body[-1]
    rank = len(buffer.shape)
    reads = (
        [s for s in _accesses(inside.body) if s.buffer is buffer] if isinstance(inside, For) else []
    )
    if not isinstance(inside, For) or not reads:
        raise ScheduleError(f"the rows of {buffer} are not read in one loop")
    # A read may stay where others walk (a repeated edge), or walk several dimensions (a reshape).
    walked = [d for d in range(rank) if any(inside.axis in r.index[d].axes() for r in reads)]
    order = (*walked, *(d for d in range(rank) if d not in walked))
    return stage(kernel, buffer, inside.axis, "thread", Layout(order=order), vector=lanes)


def _kept(kernel: Kernel, outer: For, passes: Sequence[For], lanes: int) -> Kernel:
    length = passes[0].trip
    if length < 2 or length > MOST_VECTORS * lanes:
        raise ScheduleError(f"rows of {length} elements do not stay in registers")
    across = length > min(lanes, ROW_REGISTERS) or outer.trip < lanes
    t = Axis(passes[0].axis.name + ("v" if across else "t"), length)
    for loop in passes:
        kernel = tile(kernel, loop.axis, t, lanes=across)
    kernel = forward(kernel)
    if not across:
        return vectorize(kernel, outer.axis, lanes)
    together = min(4, ROW_REGISTERS // -(-length // lanes), outer.trip)
    return interleave(kernel, outer.axis, together) if together > 1 else kernel
