"""Nests whose accesses disagree on the contiguous axis: transpositions and whatever contains one.

One axis goes across lanes and the other over registers, as many elements as there are lanes: the
accesses that are contiguous along the second are then squares, which the code generator transposes
in registers.  Around the squares, rows of both sides are visited in blocks, so that every cache
line is used whole while it is near::

    for i: for j: y[i, j] = x[j, i]
    →
    for i in steps of 128: for j in steps of 64:
      for ii in steps of 16: for jj in steps of 16: y[16 × 16] = x[16 × 16] transposed
"""

from __future__ import annotations

from weft.kernels.ir import For, Kernel, Store
from weft.kernels.machine import Machine
from weft.kernels.nests import Nest, lanes_of, nests_of, stride_of, vector_axes
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.order import nest_perfectly, reorder
from weft.kernels.schedule.split import peel, split
from weft.kernels.schedule.tile import interleave, vectorize
from weft.kernels.schedule.tree import find_loop, has_loop, path_to
from weft.terms.affine import Axis

ACROSS = (
    4,
    5,
    6,
    3,
)  # squares along the lanes in a block: rows are written several lines at a time
ALONG = (8, 10, 7, 9, 6, 12, 5, 4)  # squares along the other axis; the first that fits evenly


def block_crossings(kernel: Kernel, machine: Machine, inside: Axis | None = None) -> Kernel:
    """``kernel`` with its crossing nests in blocks of squares; other nests stay as they are.

    Only loops ``inside`` the one over an axis move, if it is given.
    """
    for nest in nests_of(kernel, inside):
        if not has_loop(kernel, nest.leaf.axis) or not nest.is_scalar(kernel):
            continue
        lanes = lanes_of(nest, machine)
        pair = _crossing(nest, lanes)
        if pair is None:
            continue
        try:
            kernel = _in_blocks(_brought_inside(kernel, *pair), *pair, lanes, _line(nest, machine))
        except ScheduleError:
            continue  # the loops cannot be brought together; the nest keeps its gathers
    return kernel


def _crossing(nest: Nest, lanes: int) -> tuple[Axis, Axis] | None:
    """An axis for registers and one for lanes, if accesses are contiguous along either."""
    axes = vector_axes(nest, lanes)
    if not axes or any(loop.carries for loop in nest.path):
        return None
    lane, trips = axes[0], {loop.axis: loop.trip for loop in nest.path}
    weights: dict[Axis, float] = {}
    for access, often in nest.weighted():
        across = stride_of(access, lane)
        if across is None or abs(across) < 2 or access.guards:
            continue
        if isinstance(access, Store) and access.predicate is not None:
            continue
        for axis in axes[1:]:
            if stride_of(access, axis) == 1 and trips[axis] <= abs(across):
                weights[axis] = weights.get(axis, 0.0) + often
    if not weights:
        return None
    other = max(weights, key=lambda a: weights[a])
    # A short axis leaves lanes empty: it had better lie over registers.
    return (lane, other) if trips[lane] < min(lanes, trips[other]) else (other, lane)


def _brought_inside(kernel: Kernel, other: Axis, lane: Axis) -> Kernel:
    """Make ``other`` and ``lane``, in this order, the innermost loops of their nest."""
    outermost = min((other, lane), key=lambda a: len(path_to(kernel, a)))
    while True:
        inside = [s for s in find_loop(kernel, outermost).body if isinstance(s, For)]
        if not inside:
            break
        if len(inside) > 1:
            raise ScheduleError(f"several loops stand inside the loop over {outermost}")
        kernel = nest_perfectly(kernel, inside[0].axis)
        outermost = inside[0].axis
    for axis in (other, lane):
        while isinstance(inner := find_loop(kernel, axis).body[0], For):
            kernel = reorder(kernel, axis, inner.axis)
    return kernel


def _line(nest: Nest, machine: Machine) -> int:
    """Elements of a vector's size in memory: of types below four bytes, several squares of them.

    Writing a row's part of a cache line at once keeps many rows from fighting over cache sets.
    """
    return machine.vector_bytes // min(a.buffer.dtype.itemsize for a in nest.accesses())


def _in_blocks(kernel: Kernel, other: Axis, lane: Axis, lanes: int, line: int) -> Kernel:
    """Blocks of squares where there are several; what is left over is squares without blocks."""
    along = _block(find_loop(kernel, other).trip, lanes, ALONG)
    line = max(line, lanes)
    across = _block(find_loop(kernel, lane).trip, line, ACROSS)
    if not (along and across):
        return _squares(kernel, other, lane, lanes, line)
    rest = Axis(other.name, other.extent)
    kernel = peel(kernel, other, find_loop(kernel, other).trip // along * along, rest)
    if has_loop(kernel, rest):
        kernel = _squares(kernel, rest, _only_loop(kernel, rest), lanes, line)
    kernel = split(kernel, other, along)
    row = _only_loop(kernel, other)
    kernel = reorder(kernel, row, lane)
    rest = Axis(lane.name, lane.extent)
    kernel = peel(kernel, lane, find_loop(kernel, lane).trip // across * across, rest)
    if has_loop(kernel, rest):
        rows = _only_loop(kernel, rest)
        kernel = _squares(reorder(kernel, rest, rows), rows, rest, lanes, line)
    kernel = split(kernel, lane, across)
    column = _only_loop(kernel, lane)
    return _squares(reorder(kernel, column, row), row, column, lanes, line)


def _block(trip: int, lanes: int, sizes: tuple[int, ...]) -> int:
    """Iterations of a block: as many squares as go evenly into the loop; 0 for too short ones."""
    squares = trip // lanes
    if squares < 2 * min(sizes):
        return 0
    return lanes * next((n for n in sizes if squares % n == 0), sizes[0])


def _only_loop(kernel: Kernel, outer: Axis) -> Axis:
    inner = find_loop(kernel, outer).body[0]
    assert isinstance(inner, For)
    return inner.axis


def _squares(kernel: Kernel, other: Axis, lane: Axis, lanes: int, line: int) -> Kernel:
    kernel = vectorize(kernel, lane, min(line, find_loop(kernel, lane).trip))
    return interleave(kernel, other, min(lanes, find_loop(kernel, other).trip))
