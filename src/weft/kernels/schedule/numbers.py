"""The numbers of a contraction's schedule, read off its sizes and strides.

They are what the strategy starts from; `weft.kernels.candidates` proposes others, and the price
decides.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from weft.kernels.ir import For, Load, Map, outputs_of
from weft.kernels.machine import Machine
from weft.kernels.schedule.contraction import Params, whole_block
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.find import Contraction, stride, swept
from weft.terms.affine import Axis
from weft.terms.dots import LEAST_ON_UNIT

#: Bytes of a right operand that a core's own cache holds between uses.
_CACHED = 1 << 20
#: Bytes of a panel of the right operand, which stays in the second cache level beside what is read
#: of the left one, and the longest fold that is not cut into blocks. Results are read and written
#: again for each block: 256 instead of 1024 cost a product of 2048 x 2048 in float64 seven percent.
_PANEL = 1 << 18
_LONGEST = 1024
#: Rows of the right operand read side by side when it is streamed: as many as prefetchers follow.
_STREAMED = 16
#: Rows that make up for packing what they share, and products that do.
_AMORTISED = 128
_WORTH_PACKING = 64**3
#: How much of the time an exchange of sides leaves.
_TURNING = 0.95
#: Sums side by side that hide the latency of an addition.
_CHAINS = 4
#: The rate of tiles one vector wide.
_NARROW = 0.85
#: Elements of a row that a sweep works on at a time.
_ROW = 128


def default_params(
    contraction: Contraction, threads: int, vector_bytes: int = 64, registers: int = 32
) -> Params:
    """Numbers that do well on a CPU with ``registers`` vectors of ``vector_bytes`` per core.

    A register tile fills most of the registers; a block of the right operand stays in the second
    cache level.  Few rows leave nothing to reuse, so the right operand is then read in place.
    """
    c = contraction
    itemsize = c.k[0].carries[0].var.dtype.itemsize
    lanes = max(1, vector_bytes // itemsize)
    _, m, n, k = c.sizes
    row_trip = _trip_of(c.m, c.row)
    column_trip = _trip_of(c.n, c.column)
    straight = all(stride(x, c.column) in (0, 1) for x in c.right)
    few = m <= 16
    if not straight and few:
        rows = min(row_trip, 4)
        width = 2 * lanes if rows == 1 else lanes
        shape = Params(rows, max(1, 8 // rows), lanes="fold", width=width)
        return replace(shape, parallel="columns", pack_left=False, pack_right=False)
    packed = (*c.left, *c.right) if not few else c.right
    if any(_divides(x, c) for x in packed):
        # Blocks of a divided axis are no boxes of the operands: read them in place, in one piece.
        whole = replace(Params(min(8, row_trip), 2 * lanes), block=k)
        return replace(whole, parallel="columns", pack_left=False, pack_right=False)
    if m * n * k >= _WORTH_PACKING and c.sums == 1 and _slides(c):
        sweeping = _sweep(c, threads, lanes)
        if sweeping is not None:
            return sweeping
    budget = registers - 6
    rows = min(8, row_trip)
    if c.sums > 1:
        # The sums, and what is read of the left operand, which all of them use.
        rows = max(1, min(rows, (registers - 2) // (c.sums + 1)))
    vectors = max(1, min(budget // ((rows + 1) * c.sums), -(-column_trip // lanes), 16))
    if rows == 8:
        vectors = min(2, vectors) if registers >= 32 else 1
    even = [v for v in range(vectors, vectors // 2, -1) if column_trip % (v * lanes) == 0]
    columns = (even or [vectors])[0] * lanes
    shape = Params(rows, columns, block=min(_LONGEST, _PANEL // (columns * itemsize)))
    outer = [x for x in (*c.batch, *c.m) if x.axis is not c.row]
    if outer and outer[0].trip >= 2 * threads and (n * k * itemsize <= 1 << 18 or c.batch):
        big = n * k * itemsize > 1 << 19 and not few
        return replace(shape, parallel="batch", pack_left=False, pack_right=big)
    if few:
        chains = max(1, _CHAINS // (rows * c.sums * (shape.columns // lanes)))
        shape = replace(shape, parallel="columns", pack_left=False, pack_right=False, chains=chains)
        if column_trip * k * itemsize <= _CACHED or k < 4 * _STREAMED:
            return shape
        columns = min(shape.columns, 2 * lanes)
        share = -(-column_trip // (threads * columns)) * columns
        return replace(shape, columns=columns, column_block=share, block=_STREAMED, unroll=4)
    block = _row_block(row_trip, rows, threads)
    # What a core's cache holds is read in place as fast as from panels, and others need not wait.
    held = c.sums * n * k * itemsize <= _CACHED and all(stride(x, c.column) == 1 for x in c.right)
    return replace(shape, row_block=block, pack_left=scattered(c), pack_right=not held)


def params_on_unit(params: Params, contraction: Contraction, machine: Machine) -> Params:
    """``params`` with the tile of a matrix unit, where the machine has one for the contraction.

    Few rows or columns leave it idle, and several sums at once do not fit into its registers.
    """
    c = contraction
    update = next(s for s in c.k[-1].body if c.k[-1].carries[0].update in outputs_of(s))
    unit = machine.unit_for(update.op) if isinstance(update, Map) else None
    few = min(_trip_of(c.m, c.row), _trip_of(c.n, c.column)) < LEAST_ON_UNIT
    usual = params.lanes == "columns" and params.parallel != "columns" and not params.sweep
    if unit is None or few or not usual or c.sums > 1:
        return params
    rows, columns = unit.tall * unit.rows, unit.wide * unit.columns
    block = _row_block(_trip_of(c.m, c.row), rows, machine.threads)
    return replace(params, rows=rows, columns=columns, row_block=block, unroll=1, unit=unit)


def params_off_unit(params: Params, lanes: int) -> Params:
    """``params`` with a tile of vectors instead of that of a matrix unit."""
    usual = Params()
    return replace(params, rows=usual.rows, columns=2 * lanes, unroll=usual.unroll, unit=None)


def scattered(c: Contraction) -> bool:
    """Whether neighbours of the left operand, along rows and along the fold, lie apart."""
    inner = c.k[-1].axis
    return any(min(_row_distance(x, c.row), abs(stride(x, inner))) > 1 for x in c.left)


def _slides(c: Contraction) -> bool:
    """Whether an operand is read at sums of the fold's axes and others: rows overlap."""
    axes = {x.axis for x in c.k}
    others = {x.axis for x in (*c.batch, *c.m, *c.n)}
    found = (i.axes() for load in (*c.left, *c.right) for i in load.index)
    return any(axes & a and others & a for a in found)


def _sweep(contraction: Contraction, threads: int, lanes: int) -> Params | None:
    """Numbers of a sweep: the sides that fill more lanes, tiles that divide a row.

    None where its rows are too few to pack anything for, or there are none.
    """
    if not contraction.m:
        return None
    sides = [swept(contraction, turned=False)]
    with suppress(ScheduleError):
        sides.append(swept(contraction, turned=True))

    def worth(c: Contraction) -> float:
        trip = _trip_of(c.n, c.column)
        # A tile one vector wide broadcasts as much as it multiplies.
        narrow = _NARROW if trip <= lanes else 1
        return _fill(trip, lanes) * narrow * (1 if c is sides[0] else _TURNING)

    c = max(sides, key=worth)
    if c.sizes[1] < _AMORTISED:
        return None
    if len(c.m) == 1 and not c.batch and whole_block(c.m[0].trip, _ROW) < _ROW // 8:
        return None
    column_trip, row_trip = _trip_of(c.n, c.column), _trip_of(c.m, c.row)
    vectors = max((1, 2, 3), key=lambda v: (_fill(column_trip, v * lanes), v == 2))
    rows = max(range(4, 25 // vectors), key=lambda r: (_fill(row_trip, r), -abs(r * vectors - 16)))
    outer = [x for x in (*c.batch, *c.m) if x.axis is not c.row]
    shares = [d for d, x in enumerate(outer) if x.trip % threads == 0 or x.trip >= 4 * threads]
    itemsize = c.k[0].carries[0].var.dtype.itemsize
    longest = max(reversed(c.k), key=lambda x: x.trip).axis
    contiguous = all(stride(x, longest) in (0, 1) for x in c.left)
    # Rows a power of two apart fall into the same cache sets.
    crowded = any(_row_distance(x, c.row) * itemsize % 1024 == 0 for x in c.left)
    return Params(
        min(rows, row_trip),
        vectors * lanes,
        block=4096 // itemsize,
        row_block=min(row_trip, _ROW),
        parallel="batch",
        pack_left=crowded or not contiguous,
        sweep=True,
        turned=c is not sides[0],
        share=(shares or [len(outer) - 1])[0] if outer else 0,
    )


def _fill(trip: int, width: int) -> float:
    """The part of tiles of ``width`` that ``trip`` iterations fill."""
    return trip / (-(-trip // width) * width)


def _trip_of(group: tuple[For, ...], axis: Axis | None) -> int:
    """Iterations of the loop over ``axis`` in ``group`` (1 without one)."""
    return next((x.trip for x in group if x.axis is axis), 1)


def _divides(load: Load, c: Contraction) -> bool:
    axes = {x.axis for x in c.k}
    return any(axes & d.numerator.axes() for i in load.index for d in i.divisions())


def _row_distance(load: Load, row: Axis | None) -> int:
    return 1 if row is None else abs(stride(load, row))


def _row_block(trip: int, rows: int, threads: int) -> int:
    """Rows per parallel iteration: even shares, few sweeps over the right operand, no odd rest."""
    panels = max(1, trip // rows)

    def cost(count: int) -> float:
        blocks, rest = divmod(panels, count)
        # Panels the busiest thread works on, and sweeps over the right operand.
        busiest = -(-blocks // threads) * count + -(-rest // threads)
        sweeps = 1.5 * (blocks + rest) / (panels * rows)
        return busiest * threads / panels + sweeps + (0.02 if rest else 0.0)

    most = max(1, min(panels, 128 // rows))
    return rows * min(range(1, most + 1), key=lambda n: (cost(n), -n))
