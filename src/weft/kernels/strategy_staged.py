"""Contractions on a GPU whose blocks keep tiles of both operands in the memory that they share.

A block computes a tile of the result, each of its threads a smaller one in registers.  Along the
fold the block copies a strip of either operand at a time, all threads together, and reads it
there::

    parallel i in steps of 128: parallel j in steps of 128:
      for k in steps of 16 (carrying s of 8×8 for each of 16×16 threads):
        store x[k', i'] = a[i + i', k + k'];  store y[k', j'] = b[k + k', j + j']
        for k' in 0:16: s += x[k', i'] · y[k', j']

What a thread computes lies as far apart as there are threads along that side, so that neighbours
touch neighbouring elements.  Rows and columns beyond the last whole tile are nests of their own,
and so is what is left of the fold.  The method is that of Volkov and Demmel, Benchmarking GPUs to
tune dense linear algebra (2008).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from weft.kernels.ir import Buffer, Kernel, Load, loops, walk
from weft.kernels.machine import Machine
from weft.kernels.schedule.collapse import collapse
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.find import Contraction, find_contractions
from weft.kernels.schedule.order import nest_perfectly, reorder
from weft.kernels.schedule.split import inline_loop, peel, split, unroll
from weft.kernels.schedule.stage import Layout, stage
from weft.kernels.schedule.tile import interleave, vectorize
from weft.kernels.schedule.tree import find_loop, path_to
from weft.structs import struct
from weft.terms.affine import Axis

#: Threads of a block along the contiguous axis of the result: with 4 bytes each, two sectors.
ACROSS = 16

#: Elements between the rows of a tile that is turned: so many rows lie in different banks.
APART = 2

#: Results of a thread: more of them, and what they are computed from, do not fit into registers.
RESULTS = 128


@struct(frozen=True)
class Tile:
    """``down × across`` threads, each of which computes ``rows × columns`` results, from ``depth``
    steps of the fold at a time."""

    down: int
    rows: int
    columns: int
    depth: int
    across: int = ACROSS

    @property
    def height(self) -> int:
        """Rows of a block."""
        return self.down * self.rows

    @property
    def width(self) -> int:
        """Columns of a block."""
        return self.across * self.columns


def tiles(kernel: Kernel, machine: Machine) -> Iterator[Tile]:
    """Tiles for the kernel's one contraction that it is large enough for, the promising first."""
    found = find_contractions(kernel)
    if machine.processor is not None or len(found) != 1:
        return
    (c,) = found
    if c.row is None:
        return
    height, width = (find_loop(kernel, a).trip for a in (c.row, c.column))
    for threads, rows, columns, depth in (
        (2 * machine.block, 8, 8, 16),
        (2 * machine.block, 16, 8, 8),
        (machine.block, 8, 8, 16),
        (2 * machine.block, 8, 4, 16),
        (machine.block, 4, 4, 16),
    ):
        tile = Tile(threads // ACROSS, rows, columns, depth)
        fits = tile.down and height >= tile.height and width >= tile.width
        if fits and c.k[-1].trip >= depth and rows * columns * c.sums <= RESULTS:
            yield tile


def stage_contraction(kernel: Kernel, tile: Tile) -> Kernel:
    """The whole tiles of the kernel's one contraction, staged; what is left stays as it is.

    Refuses kernels with another number of contractions, nests that cannot be made perfect, and
    operands that are not read directly.
    """
    found = find_contractions(kernel)
    if len(found) != 1 or found[0].row is None:
        raise ScheduleError(f"kernel {kernel.name} is not one contraction of rows and columns")
    return _Staging(kernel, found[0], tile).run()


class _Staging:
    """The composition; ``kernel`` is the state."""

    def __init__(self, kernel: Kernel, c: Contraction, tile: Tile) -> None:
        self.kernel, self.c, self.tile = kernel, c, tile
        assert c.row is not None
        self.row, self.column = c.row, c.column
        self.threads = Axis("p", tile.down * tile.across)

    def run(self) -> Kernel:
        tile, k = self.tile, self.c.k[-1].axis
        if len(self.c.k) > 1:
            raise ScheduleError(f"the contraction folds over several loops, the last one {k}")
        self.perfect()
        around = [x.axis for x in (*self.c.batch, *self.c.m, *self.c.n)]
        outer = [a for a in around if a not in (self.row, self.column)]
        # What is left over goes to nests beside the outermost loop, so that this one stays perfect.
        self.whole(self.row, tile.height, [*outer, self.column])
        self.whole(self.column, tile.width, [*outer, self.row])
        ii, it = self.cut(self.row, tile.height, tile.down)
        ji, jt = self.cut(self.column, tile.width, tile.across)
        self.arrange([*outer, self.row, self.column, ii, ji, it, jt])
        self.kernel = collapse(self.kernel, it, jt, self.threads)
        self.kernel = vectorize(self.kernel, self.threads, Axis("t", self.threads.extent))
        rows, columns = Axis("y", tile.rows), Axis("x", tile.columns)
        self.kernel = interleave(interleave(self.kernel, ji, columns), ii, rows)
        inner = Axis(f"{k.name}i", tile.depth)
        self.kernel = split(self.kernel, k, inner)
        for side in (rows, columns):
            self.stage(inner, side)
        self.kernel = unroll(self.kernel, inner)
        return self.kernel

    def perfect(self) -> None:
        """Make the nest around the fold perfect."""
        around = path_to(self.kernel, self.c.k[0].axis)[:-1]
        for loop in around[1:]:
            self.kernel = nest_perfectly(self.kernel, loop.axis)

    def whole(self, axis: Axis, block: int, others: list[Axis]) -> None:
        """Leave whole tiles to a loop, made the outermost, and the rest to another one."""
        self.arrange([axis, *others])
        trip = find_loop(self.kernel, axis).trip
        self.kernel = peel(self.kernel, axis, trip // block * block)

    def cut(self, axis: Axis, block: int, threads: int) -> tuple[Axis, Axis]:
        """Tile a loop; returns the loops over what a thread has of a tile, and over threads."""
        each, among = Axis(f"{axis.name}r", block), Axis(f"{axis.name}t", threads)
        self.kernel = split(split(self.kernel, axis, each), each, among)
        return each, among

    def arrange(self, order: list[Axis]) -> None:
        """Bring perfectly nested loops into this order, by exchanging neighbours."""
        for place, axis in enumerate(order):
            while len(path := path_to(self.kernel, axis)) > 1:
                above = path[-2].axis
                if above not in order[place + 1 :]:
                    break
                self.kernel = reorder(self.kernel, above, axis)

    def stage(self, at: Axis, side: Axis) -> None:
        """Copy what the loop over ``at`` reads along one side of the tile."""
        loop = find_loop(self.kernel, at)
        reads = [s for s in walk(loop.body) if isinstance(s, Load)]
        along = [s for s in reads if any(side in i.axes() for i in s.index)]
        for buffer in dict.fromkeys(s.buffer for s in along):
            self.kernel = stage(
                self.kernel, buffer, at, layout=_layout(along, buffer, at), vector=0, reading={side}
            )
            self.share(at)

    def share(self, at: Axis) -> None:
        """Spread the copy that stands before a loop over the threads of the block."""
        *_, parent, loop = path_to(self.kernel, at)
        copy = parent.body[parent.body.index(loop) - 1]
        axes = [x.axis for x in loops([copy])]
        for axis in [a for a in axes if a.extent == 1 and len(axes) > 1]:
            self.kernel = inline_loop(self.kernel, axis)
            axes.remove(axis)
        first, *rest = axes
        for axis in rest:
            both = Axis("c", first.extent * axis.extent)
            self.kernel = collapse(self.kernel, first, axis, both)
            first = both
        self.kernel = vectorize(self.kernel, first, Axis("t", self.threads.extent))


def _layout(reads: Sequence[Load], buffer: Buffer, at: Axis) -> Layout:
    """The fold's dimensions outermost: neighbouring results lie beside each other."""
    one = next(s for s in reads if s.buffer is buffer)
    fold = [d for d, i in enumerate(one.index) if at in i.axes()]
    order = (*fold, *(d for d in range(len(one.index)) if d not in fold))
    # What is read along the fold is written across rows: they begin in different banks.
    turned = buffer.element_strides[order[-1]] != 1
    return Layout(order, pad=APART if turned else 0)
