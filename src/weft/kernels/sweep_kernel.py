"""The kernel of several sweeps in one pass, with windows of rows in private scratch.

::

    parallel over strips of columns, and over chunks of the rows:
      for each step of a few rows through the chunk and what is needed around it:
        the next rows of what is carried, into the first window
        for each iteration: rows of its stages, each behind what it reads, into windows
        rows of the last iteration, into the outputs
        the last rows of every window to its front, where the next step finds them

A window holds the rows of a step and, before them, those of earlier steps that are read again. Its
first index is the iteration, so that one nest serves all of them.  Rows are one nest each; the
first and last rows of an array, which are computed in another way, have nests of their own, and so
have its first and last columns.  Around a chunk and a strip, what later iterations read is computed
again: less with each of them. Where it ends, what is in the windows is never used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, product
from math import prod

from weft.kernels.block_nests import Around, Nests
from weft.kernels.build import Output
from weft.kernels.ir import For, Guard, Kernel, Stmt
from weft.kernels.machine import Machine
from weft.kernels.schedule.stream import stream
from weft.kernels.sweeps import Piece, Stage, Sweep
from weft.structs import struct
from weft.terms.affine import Affine, Axis
from weft.terms.term import Load, Term, Value, substitute

NOWHERE = Affine()


@struct(frozen=True)
class Size:
    """So many iterations in one pass, by steps of so many rows, over so many chunks of rows.

    Strips have so many columns, the last one up to twice as many; all of them with 0.
    """

    count: int
    step: int
    chunks: int
    columns: int = 0

    def of(self, count: int) -> Size:
        """The same for another number of iterations."""
        return replace(self, count=count)


@struct(frozen=True)
class Columns:
    """Columns ``lo`` to ``hi`` of a window, of an array that begins at column ``turn``."""

    lo: int
    hi: int
    turn: int


@struct(frozen=True, eq=False)
class Strip:
    """Columns that are computed alike: a loop over ``axis``, if there are several such strips.

    Windows begin at column ``start`` of an array and have so many columns at most; a strip's own
    are ``own`` of them from ``skipped`` on. ``first`` and ``last`` strips end where arrays do.
    """

    axis: Axis | None
    start: Affine
    columns: int
    skipped: int
    own: int
    first: bool
    last: bool


def strips(sweep: Sweep, size: Size, machine: Machine) -> Iterator[Strip]:
    """The strips of a pass: those between the first and the last are one loop."""
    total = max([sweep.columns, *(s.columns for s in sweep.stages)])
    around = sweep.wraps[1]
    left, right = (0, 0) if sweep.across is None else halo(sweep, size.count, machine)
    before, after = (left, right) if around else (0, 0)
    if not size.columns or sweep.columns < 2 * size.columns:
        start = Affine((), -before)
        yield Strip(None, start, before + total + after, before, sweep.columns, True, True)
        return
    count, width = sweep.columns // size.columns, size.columns
    start = Affine((), -before)
    yield Strip(None, start, before + width + right, before, width, True, False)
    if count > 2:
        axis = Axis("p", count - 2)
        start = (Affine.of(axis) + 1) * width - left
        yield Strip(axis, start, left + width + right, left, width, False, False)
    begin = (count - 1) * width
    start = Affine((), begin - left)
    columns = left + total - begin + after
    yield Strip(None, start, columns, left, sweep.columns - begin, False, True)


def fits(sweep: Sweep, count: int) -> bool:
    """Whether so many iterations go around an array once at most."""
    rows = not sweep.wraps[0] or count * (sweep.reach + sweep.period) < sweep.rows // 2
    columns = (
        not sweep.wraps[1] or sweep.across is None or count * sum(sweep.across) < sweep.columns // 2
    )
    return rows and columns


def halo(sweep: Sweep, count: int, machine: Machine) -> tuple[int, int]:
    """Columns around a strip that so many iterations need."""
    assert sweep.across is not None
    (left, right), spare = sweep.across, sweep.spare
    apart = margin(sweep, machine)
    return apart + count * left + spare[0], apart + count * right + spare[1]


def least_columns(sweep: Sweep, count: int, machine: Machine) -> int:
    """The fewest columns of a strip: it has neighbours for whatever it needs around it."""
    left, right = halo(sweep, count, machine)
    shortest = min([sweep.columns, *(s.columns for s in sweep.stages)])
    return max(left, right) + sweep.columns - shortest + 1


def margin(sweep: Sweep, machine: Machine) -> int:
    """Columns at the ends of windows that are read only: whole vectors, where these lie so."""
    value = sweep.carries[0].entry
    whole = machine.vector_bytes // value.dtype.itemsize if len(value.shape) == 2 else 1
    return -(-sweep.farthest // whole) * whole


def build_pass(
    sweep: Sweep, size: Size, machine: Machine, edges: bool = True
) -> tuple[Kernel, tuple[Value, ...]]:
    """The scheduled kernel, and the values of its parameters.

    These are what is carried in, anything else that is read, and what is carried out.

    Without ``edges``, for pricing, the rows and columns that are computed otherwise are left out.
    """
    return _Builder(sweep, size, machine, edges).build()


class _Builder:
    """The windows, which all strips share."""

    def __init__(self, sweep: Sweep, size: Size, machine: Machine, edges: bool) -> None:
        self.sweep = sweep
        self.size = size
        self.machine = machine
        self.edges = edges
        self.nests = Nests(machine)
        found = list(strips(sweep, size, machine))
        self.columns = max(s.columns for s in found)
        self.strips = found if edges or len(found) < 3 else [found[1]]
        self.windows: dict[Value, Value] = {}
        for carry in sweep.carries:
            self.window(carry.entry, size.count + 1)
        for stage in sweep.stages:
            if stage.carry is None:
                self.window(stage.value, size.count)

    def window(self, value: Value, iterations: int) -> None:
        rows = self.sweep.kept[value] + self.size.step
        columns = self.columns
        if len(value.shape) == 2:
            whole = self.machine.vector_bytes // value.dtype.itemsize
            columns = -(-columns // whole) * whole
        shape = (iterations, rows, columns, *value.shape[2:])
        made = Value(f"{value.name}_rows", shape, value.dtype)
        self.windows[value] = made
        self.nests.declare(made, "scratch")

    def build(self) -> tuple[Kernel, tuple[Value, ...]]:
        sweep = self.sweep
        for carry in sweep.carries:
            self.nests.buffer(carry.entry)
            self.nests.declare(carry.exit, "output")
        body: list[Stmt] = []
        for strip in self.strips:
            body += _Part(self, strip).body()
        inputs, outputs = self.nests.parameters()
        kernel = Kernel(
            sweep.carries[0].exit.name,
            (*inputs.values(), *outputs.values()),
            self.nests.scratch(),
            body,
            frozenset(self.nests.lanes),
            {"refused": tuple(self.nests.refused)} if self.nests.refused else {},
        )
        if sum(c.exit.nbytes for c in sweep.carries) >= self.machine.levels[-1].capacity:
            for buffer in outputs.values():
                kernel = stream(kernel, buffer)
        return kernel, (*inputs, *outputs)


class _Part:
    """The loops of one strip, or of several that are alike."""

    def __init__(self, builder: _Builder, strip: Strip) -> None:
        self.sweep, self.size = builder.sweep, builder.size
        self.nests, self.windows = builder.nests, builder.windows
        self.machine, self.edges = builder.machine, builder.edges
        self.strip = strip
        self.share = -(-self.sweep.rows // self.size.chunks)
        before = self.size.count * (self.sweep.reach + self.sweep.period)
        self.chunk = Axis("c", self.size.chunks)
        self.place = Axis("s", -(-(self.share + before) // self.size.step))
        self.iteration = Axis("t", self.size.count)
        outer = [self.chunk] if strip.axis is None else [strip.axis, self.chunk]
        self.outer = [(axis, 0, axis.extent, 1) for axis in outer]
        self.around: Around = (*self.outer, (self.place, 0, self.place.extent, 1))
        self.inside: Around = (*self.around, (self.iteration, 0, self.size.count, 1))

    def body(self) -> list[Stmt]:
        sweep = self.sweep
        body: list[Stmt] = []
        for carry in sweep.carries:
            body += self.entering(carry.entry)
        iteration: list[Stmt] = []
        for stage in sweep.stages:
            for piece in stage.pieces:
                if self.edges or piece.hi - piece.lo >= self.size.step:
                    iteration += self.computed(stage, piece)
        body.append(For(self.iteration, 0, self.size.count, 1, iteration))
        for carry in sweep.carries:
            body += self.leaving(carry.entry, carry.exit)
        for value in self.windows:
            body += self.moved(value)
        body = [For(self.place, 0, self.place.extent, 1, body)]
        kind = "parallel" if self.machine.threads > 1 else "serial"
        for axis, lo, hi, step in reversed(self.outer):
            body = [For(axis, lo, hi, step, body, kind)]
        return body

    # -- places ------------------------------------------------------------------------------------

    def row(self, within: Axis, lag: Affine) -> Affine:
        """The row that stands at ``within`` in a step, so far behind what is carried in."""
        first = Affine.of(self.chunk) * self.share - self.size.count * self.sweep.reach
        return first + Affine.of(self.place) * self.size.step + within - lag

    def columns(self, extent: int, margin: int) -> list[Columns]:
        """The columns of a window that are there of an array, but for a margin where it goes on.

        Where columns wrap around, those beyond its ends are ranges of their own.
        """
        strip, around = self.strip, self.sweep.wraps[1]
        lo = margin if around or not strip.first else 0
        end = strip.columns - margin
        if not around:
            return [Columns(lo, extent - strip.start.const if strip.last else end, 0)]
        if strip.axis is not None:
            return [Columns(lo, end, 0)]
        start = strip.start.const
        cuts = sorted({lo, end, *(c for c in range(-start % extent, end, extent) if c > lo)})
        return [Columns(a, b, (start + a) // extent * extent) for a, b in pairwise(cuts)]

    def across(self, value: Value, part: Columns) -> tuple[tuple[Axis, ...], tuple[Affine, ...]]:
        """Axes over columns of a window and whatever is beyond them, and the index in a window."""
        shape = (part.hi - part.lo, *value.shape[2:])
        axes = tuple(Axis(f"x{n}", d) for n, d in enumerate(shape))
        return axes, (Affine.of(axes[0]) + part.lo, *map(Affine.of, axes[1:]))

    def whole(self, index: tuple[Affine, ...], turn: int = 0) -> tuple[Affine, ...]:
        """An index in a window, without the row, as one in the array."""
        return (index[0] + self.strip.start - turn, *index[1:])

    def turns(self) -> tuple[int, ...]:
        """Where rows of an array begin: several times, if they wrap around."""
        rows = self.sweep.rows
        return (0, -rows, rows) if self.sweep.wraps[0] and self.edges else (0,)

    # -- rows --------------------------------------------------------------------------------------

    def rows(
        self,
        around: Around,
        guards: Callable[[Axis], Sequence[Guard]],
        output: Callable[[Axis], Output],
    ) -> list[Stmt]:
        """A nest for each of the rows of a step for which guards hold."""
        within = Axis("b", self.size.step)
        body = self.nests.nest((output(within),), (*around, (within, 0, self.size.step, 1)))
        return [For(within, 0, self.size.step, 1, body, where=tuple(guards(within)))]

    def entering(self, entry: Value) -> list[Stmt]:
        """The rows of a step of what is carried in."""
        body: list[Stmt] = []
        for part, turn in product(self.columns(entry.shape[1], 0), self.turns()):
            body += self.entering_part(entry, part, turn)
        return body

    def entering_part(self, entry: Value, part: Columns, turn: int) -> list[Stmt]:
        """Some columns of `entering`, of an array that begins at row ``turn``."""
        kept = self.sweep.kept[entry]
        axes, index = self.across(entry, part)

        def guards(b: Axis) -> list[Guard]:
            return [Guard(self.row(b, NOWHERE) - turn, 0, self.sweep.rows)]

        def output(b: Axis) -> Output:
            term = Load(entry, (self.row(b, NOWHERE) - turn, *self.whole(index, part.turn)))
            at = (NOWHERE, Affine.of(b) + kept, *index)
            return Output(self.windows[entry], axes, at, term)

        return self.rows(self.around, guards, output)

    def computed(self, stage: Stage, piece: Piece) -> list[Stmt]:
        """The rows of a step of a stage that are in a piece of it."""
        apart = 0 if self.sweep.across is None else margin(self.sweep, self.machine)
        body: list[Stmt] = []
        for part, turn in product(self.columns(stage.columns, apart), self.turns()):
            body += self.computed_part(stage, piece, part, turn)
        return body

    def computed_part(self, stage: Stage, piece: Piece, part: Columns, turn: int) -> list[Stmt]:
        """Some columns of `computed`, of an array that begins at row ``turn``."""
        sweep, t = self.sweep, Affine.of(self.iteration)
        lag = t * sweep.period + sweep.lag[stage.value]
        target = stage.value if stage.carry is None else stage.carry.entry
        level = t if stage.carry is None else t + 1
        axes, index = self.across(stage.value, part)
        term = piece.turned if sweep.wraps[1] else piece.term
        assert term is not None

        def guards(b: Axis) -> list[Guard]:
            row = self.row(b, lag)
            # What is computed of a chunk again, for the sake of later iterations.
            before = (self.size.count - 1 - t) * sweep.reach + sweep.above[stage.value]
            own = row - Affine.of(self.chunk) * self.share + before
            most = self.place.extent * self.size.step + self.size.count * sweep.reach
            found = [Guard(row - turn, piece.lo, piece.hi)]
            return [*found, Guard(own, 0, most + sweep.reach + 1)]

        def output(b: Axis) -> Output:
            here = self.row(b, lag) - turn
            mapping = dict(zip(stage.axes[1:], self.whole(index, part.turn), strict=True))
            mapping[piece.row] = here

            def load(read: Load) -> Term:
                window = self.windows.get(read.value)
                if window is None:
                    return read
                ahead = sweep.lag[read.value] - sweep.lag[stage.value] + sweep.kept[read.value]
                row = read.index[0] - here + b + ahead
                column = read.index[1] - self.strip.start + part.turn
                return Load(window, (t, row, column, *read.index[2:]))

            at = (level, Affine.of(b) + sweep.kept[target], *index)
            return Output(self.windows[target], axes, at, substitute(term, mapping, load))

        return self.rows(self.inside, guards, output)

    def leaving(self, entry: Value, result: Value) -> list[Stmt]:
        """The rows of a step that the last iteration has made."""
        count, sweep, strip = self.size.count, self.sweep, self.strip
        lag = Affine((), count * sweep.period)
        own = Columns(strip.skipped, strip.skipped + strip.own, 0)
        axes, index = self.across(entry, own)

        def guards(b: Axis) -> list[Guard]:
            row = self.row(b, lag)
            own = row - Affine.of(self.chunk) * self.share
            return [Guard(own, 0, self.share), Guard(row, 0, sweep.rows)]

        def output(b: Axis) -> Output:
            at = Affine.of(b) + sweep.kept[entry]
            term = Load(self.windows[entry], (Affine((), count), at, *index))
            return Output(result, axes, (self.row(b, lag), *self.whole(index)), term)

        return self.rows(self.around, guards, output)

    def moved(self, value: Value) -> list[Stmt]:
        """The rows that the next step reads again, brought to the front of a window."""
        kept = self.sweep.kept[value]
        if not kept:
            return []
        window = self.windows[value]
        t, d = Axis("t", self.size.count), Axis("d", kept)
        loops = ((t, 0, t.extent, 1), (d, 0, kept, 1))
        parts = self.columns(value.shape[1], 0)
        axes, index = self.across(value, Columns(parts[0].lo, parts[-1].hi, 0))
        old = Load(window, (Affine.of(t), Affine.of(d) + self.size.step, *index))
        output = Output(window, axes, (Affine.of(t), Affine.of(d), *index), old)
        body = self.nests.nest((output,), (*self.around, *loops))
        for axis, lo, hi, step in reversed(loops):
            body = [For(axis, lo, hi, step, body)]
        return body


def bytes_of_column(sweep: Sweep, size: Size) -> int:
    """Bytes that all windows take for each column."""
    total = 0
    for value, iterations in (
        *((c.entry, size.count + 1) for c in sweep.carries),
        *((s.value, size.count) for s in sweep.stages if s.carry is None),
    ):
        rows = iterations * (sweep.kept[value] + size.step)
        total += rows * prod(value.shape[2:]) * value.dtype.itemsize
    return total
