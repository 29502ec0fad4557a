"""Contractions: a fold of products scheduled as a packed, register-tiled, K-blocked nest.

`schedule_contraction` composes the operations of this package, for the loops that
`weft.kernels.schedule.find` sorts into rows (``m``), columns (``n``) and the fold's own (``k``):

1. blocks of the fold move outside the nest, through memory (`fold_through_memory`), so that a block
   of the right operand is reused while it is in cache; the epilogue stays with the last one;
2. that block is packed in panels as wide as the register tile, by all threads (`stage`);
3. rows are cut into blocks, one block per parallel iteration, with its own packed copy of the left
   operand, and the loop over a block's rows goes inside the loop over panels (`split`, `reorder`);
4. columns become lanes and rows registers (`vectorize`, `interleave`); remainders are static nests.

The blocking is that of Goto and van de Geijn, Anatomy of high-performance matrix multiplication
(2008).

Where rows are short and lie in several loops, as in a contraction whose operand is read at a sum of
axes (windows that slide), the nest is *swept* instead: the right operand is packed once, threads
share the outer loops over rows, and the tile runs along one row.  The sides may be exchanged for
that (``turned``), so that the lanes are along an axis that fills them; results then wait, turned,
in scratch until a row is done (`stage_writes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from math import prod

from weft.kernels.ir import Buffer, For, Kernel, Load, Store, loops, walk
from weft.kernels.schedule.epilogue import WORTH, epilogue_cost, part_epilogue
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.find import (
    Contraction,
    axes_of,
    dimension,
    find_contractions,
    fold_chain,
    swept,
)
from weft.kernels.schedule.folds import block_fold
from weft.kernels.schedule.matrix import on_unit
from weft.kernels.schedule.memory import through_memory
from weft.kernels.schedule.order import nest_perfectly, parallelize, reorder
from weft.kernels.schedule.split import peel, split, unroll
from weft.kernels.schedule.stage import Layout, stage, stage_writes
from weft.kernels.schedule.tile import interleave, vectorize
from weft.kernels.schedule.tree import find_loop, has_loop, path_to, without_dead_code
from weft.structs import struct
from weft.terms.affine import Axis
from weft.terms.dots import MatrixUnit

#: Dot products after which their epilogues follow, in a loop that lies across lanes.
EPILOGUE_BLOCK = 256

#: The longest fold of several sums of which a panel stays in a core's own cache.
SIDE_BY_SIDE = 2048


@struct(frozen=True)
class Params:
    """The numbers of a contraction's schedule.

    ``rows`` × ``columns`` is the register tile, ``block`` the length of a block of the fold,
    ``row_block`` the rows of one parallel iteration, ``unroll`` the steps of the fold written out.
    ``parallel`` says which loops belong to threads: blocks of ``rows``, ``columns``, the outermost
    loop beside them (``batch``), or ``none``.  ``column_block`` (with ``columns``) gives each
    parallel iteration that many columns and streams the right operand through it, ``block`` of its
    rows at a time, the sums waiting in cache.  With ``lanes="fold"`` the fold's innermost axis lies
    across lanes, ``width`` elements at a time (operands contiguous in it: dot products).
    ``unit`` is the matrix unit that runs the fold of each register tile.
    With few rows, ``chains`` steps of the fold are added up side by side, as one sum waits for the
    step before.
    """

    rows: int = 8
    columns: int = 32
    block: int = 512
    row_block: int = 64
    unroll: int = 4
    pack_left: bool = True
    pack_right: bool = True
    parallel: str = "rows"
    column_block: int = 0
    lanes: str = "columns"
    width: int = 32
    sweep: bool = False
    turned: bool = False
    share: int = 0
    chains: int = 1
    unit: MatrixUnit | None = None


# -- scheduling ------------------------------------------------------------------------------------


def schedule_contraction(
    kernel: Kernel, params: Params, contraction: Contraction | None = None
) -> Kernel:
    """Schedule a contraction of ``kernel`` (the first one found by default); see the module text::

        for i: for j: s = fold k of a[i, k] * b[k, j]; store c[i, j] = g(s)
        →
        for each block of k:
          parallel p: store s[p, k, r] = b[k, 32·p + r]
          barrier
          parallel i in steps of row_block:
            store t[i, k] = a[i, k]
            for j in steps of 32: for ii in steps of 8: s (8×32) = fold k; store c (+ epilogue)
          barrier

    Refuses kernels without a contraction and nests that cannot be made perfect.
    """
    if contraction is None:
        found = find_contractions(kernel)
        if not found:
            raise ScheduleError(f"kernel {kernel.name} has no contraction")
        contraction = found[0]
    return without_dead_code(_Scheduler(kernel, contraction, params).run())


class _Scheduler:
    """The composition; ``kernel`` is the state, every method takes the names axes have by now."""

    def __init__(self, kernel: Kernel, contraction: Contraction, params: Params) -> None:
        self.kernel = kernel
        self.c = swept(contraction, params.turned) if params.sweep else contraction
        self.params = params
        self.right_scratch: dict[Buffer, Buffer] = {}
        self.left_scratch: Buffer | None = None
        #: Length of the blocks that a fold is added up in within its tile; 0 for no blocks.
        self.in_blocks = 0

    def run(self) -> Kernel:
        c, params = self.c, self.params
        column = [x for x in c.n if x.axis is c.column]
        row = [x for x in c.m if x.axis is c.row]
        other = [x for x in (*c.m, *c.n) if x not in column and x not in row]
        inner = [x for x in other if x in c.n]
        outer = [x for x in other if x in c.m]
        order = [*c.batch, *outer, *row, *inner, *column]
        narrow = params.parallel == "columns" or params.lanes == "fold" or c.row is None
        if narrow:
            order = [*c.batch, *column, *inner, *outer, *row]
        self.perfect([x.axis for x in (*c.batch, *c.m, *c.n)])
        self.arrange([x.axis for x in order])
        if params.sweep:
            self.sweep([x.axis for x in order[: order.index(row[0])]])
            return self.kernel
        depth = len(c.batch)
        if params.parallel == "batch":
            if order[0] in column or order[0] in row:
                raise ScheduleError(
                    f"the contraction over {c.k[0].axis} has no loop but its rows and columns"
                )
            self.kernel = parallelize(self.kernel, order[0].axis)
            depth = max(1, depth)
        if narrow:
            self.columns()
        else:
            self.blocks(order[depth].axis)
        return self.kernel

    def perfect(self, axes: list[Axis]) -> None:
        """Make the nest perfect down to the innermost of ``axes``."""
        depth = {a: len(path_to(self.kernel, a)) for a in axes}
        for axis in sorted(axes, key=lambda a: depth[a])[1:]:
            self.kernel = nest_perfectly(self.kernel, axis)

    def arrange(self, order: list[Axis]) -> None:
        """Bring perfectly nested loops into this order, by exchanging neighbours."""
        for place, axis in enumerate(order):
            while True:
                path = path_to(self.kernel, axis)
                above = path[-2].axis if len(path) > 1 else None
                if above is None or above not in order[place + 1 :]:
                    break
                self.kernel = reorder(self.kernel, above, axis)

    # -- columns shared among threads: few rows ----------------------------------------------------

    def columns(self) -> None:
        """Few rows: the right operand is read once, unpacked; the fold stays in registers."""
        c, params = self.c, self.params
        if params.column_block:
            self.stream(c.column, params.column_block)
            return
        across = params.lanes == "fold"
        column = self.part_epilogue() if across else c.column
        if across:
            k = c.k[-1].axis
            self.kernel = vectorize(self.kernel, k, min(params.width, c.k[-1].trip))
        chains = min(params.chains, c.k[-1].trip)
        if chains > 1:
            self.kernel = interleave(self.kernel, c.k[-1].axis, chains)
        if has_loop(self.kernel, c.k[0].axis):
            terms = prod(x.trip for x in c.k[1:] if has_loop(self.kernel, x.axis))
            size = max(1, params.block // (terms * chains))
            self.kernel = block_fold(self.kernel, c.k[0].axis, size)
        if params.parallel in ("columns", "rows"):
            self.kernel = parallelize(self.kernel, c.column)
        if c.row is not None:
            rows = min(params.rows, find_loop(self.kernel, c.row).trip)
            self.kernel = interleave(self.kernel, c.row, rows)
        columns = min(params.columns, find_loop(self.kernel, column).trip)
        tile_columns = interleave if across else vectorize
        self.kernel = tile_columns(self.kernel, column, columns)

    def part_epilogue(self) -> Axis:
        """What follows dot products would be computed one by one: if it is much, in a loop of its
        own over a block of them. Returns the axis around the fold."""
        column = self.c.column
        trip = find_loop(self.kernel, column).trip
        around = [x.axis for x in path_to(self.kernel, self.c.k[0].axis)]
        block = whole_block(trip, EPILOGUE_BLOCK)
        apart = around[around.index(column) + 1 :] != [self.c.k[0].axis]
        if apart or block < min(trip, EPILOGUE_BLOCK // 8):
            return column
        if epilogue_cost(self.kernel, column) < WORTH:
            return column
        if block < trip:
            inside = Axis(f"{column.name}i", block)
            self.kernel = split(self.kernel, column, inside)
            column = inside
        self.kernel = part_epilogue(self.kernel, column)
        return column

    def stream(self, column: Axis, size: int) -> None:
        """Few rows and long ones to read: a block of them at a time, contiguously."""
        c, params = self.c, self.params
        trip = find_loop(self.kernel, column).trip
        size = min(size, trip)
        rest = Axis(column.name, column.extent)
        self.kernel = peel(self.kernel, column, trip // size * size, rest)
        twins = {x.axis: x.axis for x in (*c.m, *c.n, *c.k)}
        groups = [(column, size, twins)]
        if trip % size:
            groups.append((rest, trip % size, self.twins(column, rest)))
        for axis, count, names in groups:
            inside = Axis(f"{column.name}i", count)
            self.kernel = split(self.kernel, axis, inside)
            if params.parallel != "none":
                self.kernel = parallelize(self.kernel, axis)
            self.kernel, phases = through_memory(
                self.kernel, inside, names[c.k[0].axis], _even_block(c, params)
            )
            for phase in phases:
                self.unroll_fold(phase[names[c.k[0].axis]])
                if c.row is not None:
                    row = phase[names[c.row]]
                    rows = min(params.rows, find_loop(self.kernel, row).trip)
                    self.kernel = interleave(self.kernel, row, rows)
                self.kernel = vectorize(self.kernel, phase[inside], min(params.columns, count))

    # -- blocks of the fold, rows shared among threads ---------------------------------------------

    def blocks(self, at: Axis) -> None:
        """One nest per phase of the fold."""
        c, params = self.c, self.params
        size = _even_block(c, params)
        if c.sums > 1 and c.sizes[3] <= SIDE_BY_SIDE:
            # Only one sum could wait where its result goes.
            self.in_blocks = size
            size = c.k[0].trip
        self.kernel, phases = through_memory(self.kernel, at, c.k[0].axis, size)
        for names in phases:
            self.unroll_fold(names[c.k[0].axis])
        level = "shared" if params.parallel == "rows" else "thread"
        for names in phases:
            if params.pack_right:
                self.pack_right(names, names[at], level)
            assert c.row is not None  # without rows there are only columns to share
            self.rows(names, names[c.row])
        if params.unit is not None and not any(x.unit for x in loops(self.kernel.body)):
            raise ScheduleError(f"{params.unit.name} cannot read the operands as they lie")

    # -- one row after the other, outer loops shared among threads ---------------------------------

    def sweep(self, outer: list[Axis]) -> None:
        """Whole rows of the result, each with the packed right operand."""
        c, params = self.c, self.params
        assert c.row is not None  # rows are what it runs along
        row = c.row
        # Long loops inside: short ones cost a misprediction each time they end.
        c = self.c = replace(c, k=tuple(sorted(c.k, key=lambda x: x.trip)))
        self.arrange([x.axis for x in c.k])
        if not outer:
            block = whole_block(find_loop(self.kernel, row).trip, params.row_block)
            inside = Axis(f"{row.name}i", block)
            self.kernel = split(self.kernel, row, inside)
            outer, row = [row], inside
        top = outer[min(len(c.batch), len(outer) - 1)]
        parallel = params.parallel != "none"
        shared = parallel and not (c.batch and params.share < len(c.batch))
        if parallel and not shared:
            self.kernel = parallelize(self.kernel, outer[params.share])
        names = {a: a for a in (c.column, c.k[0].axis)}
        if params.pack_right:
            self.pack_right(names, top, "shared" if shared else "thread")
        if shared:
            self.kernel = parallelize(self.kernel, outer[min(params.share, len(outer) - 1)])
        if params.turned:
            self.stage_result(row)
        size = _even_block(c, params)
        self.kernel, phases = through_memory(self.kernel, row, c.k[0].axis, size)
        for phase in phases:
            self.unroll_fold(phase[c.k[0].axis])
        for phase in phases:
            self.rows(phase, phase[row])

    def stage_result(self, row: Axis) -> None:
        """Write a row's results as the lanes lie, and turn them once the row is done."""
        for buffer in {
            s.buffer: None for s in walk(find_loop(self.kernel, row).body) if isinstance(s, Store)
        }:
            stores = (
                s for s in walk(self.kernel.body) if isinstance(s, Store) and s.buffer is buffer
            )
            column = dimension(next(stores), self.c.column)
            if column is None:
                raise ScheduleError(f"{buffer.name} is not stored along {self.c.column}")
            others = [d for d in range(len(buffer.shape)) if d != column]
            layout = Layout(order=(*others, column))
            self.kernel = stage_writes(self.kernel, buffer, row, layout)

    def unroll_fold(self, axis: Axis) -> None:
        """Write out a few steps of the innermost loop of a fold."""
        k, count = _innermost_fold(self.kernel, axis), self.params.unroll
        if count > 1 and find_loop(self.kernel, k).trip > count:
            inner = Axis(f"{k.name}u", count)
            self.kernel = unroll(split(self.kernel, k, inner), inner)

    def pack_right(self, names: Mapping[Axis, Axis], at: Axis, level: str) -> None:
        column = names[self.c.column]
        moving = (x for x in self.c.right if self.c.column in axes_of((x,)))
        for load in {x.buffer: x for x in moving}.values():
            panels = dimension(load, self.c.column)
            if panels is None:
                continue
            before = self.kernel.scratch
            self.kernel = stage(
                self.kernel,
                load.buffer,
                at,
                level,
                Layout(self.fold_order(load), (panels, self.params.columns)),
                self.right_scratch.get(load.buffer),
                reading=(column,),
            )
            if load.buffer not in self.right_scratch:
                made = next(b for b in self.kernel.scratch if b not in before)
                self.right_scratch[load.buffer] = made

    def rows(self, names: Mapping[Axis, Axis], row: Axis) -> None:
        """Blocks of rows, then smaller ones for what is left."""
        params = self.params
        column = names[self.c.column]
        size = params.row_block
        while True:
            trip = find_loop(self.kernel, row).trip
            size = min(size, trip) if trip < params.rows else max(params.rows, min(size, trip))
            whole = trip // size * size
            rest = Axis(row.name, row.extent)
            self.kernel = peel(self.kernel, row, whole, rest)
            twins = self.twins(row, rest)
            self.row_group(row, column, size)
            if whole == trip:
                return
            row, column, size = rest, twins[column], params.rows

    def twins(self, a: Axis, b: Axis) -> dict[Axis, Axis]:
        """Corresponding loops of two copies of a body."""
        if not has_loop(self.kernel, b):
            return {}
        pairs = zip(
            walk(find_loop(self.kernel, a).body), walk(find_loop(self.kernel, b).body), strict=True
        )
        return {x.axis: y.axis for x, y in pairs if isinstance(x, For) and isinstance(y, For)}

    def row_group(self, row: Axis, column: Axis, size: int) -> None:
        """Rows in blocks of ``size``: the loop inside a block goes innermost, around the fold."""
        inside = Axis(f"{row.name}i", size)
        between = [x.axis for x in path_to(self.kernel, column)]
        between = between[between.index(row) + 1 :]
        self.kernel = split(self.kernel, row, inside)
        for axis in between:
            self.kernel = reorder(self.kernel, inside, axis)
        if self.params.parallel == "rows":
            self.kernel = parallelize(self.kernel, row)
        if self.params.pack_left and size >= self.params.rows:
            self.pack_left(inside, between[0])
        self.tiles([inside], column)

    def pack_left(self, inside: Axis, at: Axis) -> None:
        c = self.c
        load = next((x for x in c.left if c.row in axes_of((x,))), None)
        if load is None:
            return
        before = self.kernel.scratch
        self.kernel = stage(
            self.kernel,
            load.buffer,
            at,
            "thread",
            Layout(self.fold_order(load), pad=64 // load.buffer.dtype.itemsize),
            self.left_scratch,
            reading=(inside,),
        )
        if self.left_scratch is None:
            self.left_scratch = next(b for b in self.kernel.scratch if b not in before)

    def fold_order(self, load: Load) -> tuple[int, ...]:
        """The dimensions of a load in the order in which the fold walks them."""
        depth = {x.axis: d for d, x in enumerate(self.c.k)}
        deepest = [max((depth.get(a, -1) for a in i.axes()), default=-1) for i in load.index]
        return tuple(sorted(range(len(deepest)), key=deepest.__getitem__))

    def tiles(self, rows: list[Axis], column: Axis) -> None:
        """The register tile, with static remainders both ways."""
        params = self.params
        if self.in_blocks:
            fold = next(x for x in loops(find_loop(self.kernel, column).body) if x.carries)
            self.kernel = block_fold(self.kernel, fold.axis, max(1, self.in_blocks // fold.step))
        trip = find_loop(self.kernel, column).trip
        width = min(params.columns, trip)
        rest = Axis(column.name, column.extent)
        self.kernel = peel(self.kernel, column, trip // width * width, rest)
        twins = self.twins(column, rest)
        self.kernel = vectorize(self.kernel, column, width)
        if twins or has_loop(self.kernel, rest):
            self.kernel = vectorize(self.kernel, rest, trip % width)
        for axis in [*rows, *(twins[r] for r in rows if r in twins)]:
            count = min(params.rows, find_loop(self.kernel, axis).trip)
            self.kernel = interleave(self.kernel, axis, count)
        if params.unit is not None:
            self.on_unit(params.unit)

    def on_unit(self, unit: MatrixUnit) -> None:
        """Give the folds so far to a matrix unit, those of remainders where it can run them."""
        for loop in [x for x in loops(self.kernel.body) if x.carries and x.unit is None]:
            with suppress(ScheduleError):
                self.kernel = on_unit(self.kernel, loop.axis, unit)


def _even_block(c: Contraction, params: Params) -> int:
    """Iterations of the outermost fold loop per block: equal blocks of at most ``params.block``."""
    trip = c.k[0].trip
    most = max(1, params.block // prod(x.trip for x in c.k[1:]))
    count = -(-trip // most)
    size = -(-trip // max(1, count))
    return max(1, min(trip, -(-size // params.unroll) * params.unroll))


def whole_block(trip: int, most: int) -> int:
    """The greatest divisor of ``trip`` that is at most ``most``."""
    return next(n for n in range(min(trip, most), 0, -1) if trip % n == 0)


def _innermost_fold(kernel: Kernel, axis: Axis) -> Axis:
    return fold_chain(find_loop(kernel, axis))[-1].axis
