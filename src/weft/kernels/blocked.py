"""Blocked kernels: a stream as loops over blocks, with what is in between in private scratch.

::

    parallel over blocks of the rows:
      states = identities
      for each block along the streamed axis:
        blocks of streamed values; states combined with their folds, rescaled where drivers moved
      rows; outputs

What is computed in a block is a cone like any other, only over the axes of the block, and becomes a
nest that the usual operations schedule (`weft.kernels.block_nests`).  Blocks lie in memory with
the *lane* last, the axis of the rows that goes across vector lanes: folds along the streamed axis
are then lane by lane.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from weft.kernels import ir
from weft.kernels.block_nests import Nests
from weft.kernels.block_shares import Shares
from weft.kernels.block_step import Step
from weft.kernels.build import Output
from weft.kernels.drivers import changed, guarded, safe
from weft.kernels.machine import Machine
from weft.kernels.masks import guards_of, masks_of
from weft.kernels.streams import Stream, fold_of
from weft.structs import struct
from weft.terms.affine import Affine, Axis
from weft.terms.build import const, op, select
from weft.terms.cascade import Factor, Shift
from weft.terms.region import Def
from weft.terms.term import (
    Fold,
    Load,
    Proj,
    Term,
    Value,
    postorder,
    rebind,
)

#: Where a whole axis starts.
START = Affine((), 0)


@struct(frozen=True)
class Blocks:
    """The sizes of blocks: of each axis of the rows, and along the streamed axis.

    ``lane`` is the place among the rows of the axis that blocks have last; None for none.  With
    ``shares``, so many parts of the streamed axis are computed side by side and then combined; with
    ``turned``, a thread goes through all rows with one part, which stays in its cache.
    """

    rows: tuple[int, ...]
    along: int
    lane: int | None = None
    shares: int = 1
    turned: bool = False


#: Where axes are (to be read only), and what folds over them run over.
Positions = tuple[dict[Axis, Affine], dict[Axis, Axis | None]]


def build_blocked(
    stream: Stream, blocks: Blocks, machine: Machine, name: str
) -> tuple[ir.Kernel, tuple[Value, ...]]:
    """The scheduled kernel of ``stream``, and the values of its parameters (inputs, outputs).

    Raises `ScheduleError` where a block cannot be scheduled.
    """
    return Builder(stream, blocks, machine, name).build()


@struct(eq=False)
class Range:
    """A loop over the blocks of an axis, or of a part of it that starts at ``base``.

    It goes from ``lo`` to ``hi`` in steps of a block.
    """

    outer: Axis
    inner: Axis | None
    lo: int
    hi: int
    step: int
    base: Affine = START

    @staticmethod
    def over(axis: Axis, block: int, length: int = 0, base: Affine = START) -> list[Range]:
        """Whole blocks, then a smaller one for what is left: of an axis, or ``length`` of it."""
        length = length or axis.extent
        whole = length // block * block
        found = []
        for lo, hi, step in ((0, whole, block), (whole, length, length - whole)):
            if lo < hi:
                inner = Axis(f"{axis.name}i", step) if step > 1 else None
                found.append(Range(Axis(axis.name, length), inner, lo, hi, step, base))
        return found

    @property
    def position(self) -> Affine:
        here = self.base + self.outer
        return here if self.inner is None else here + self.inner

    def loop(
        self,
        body: list[ir.Stmt],
        kind: str,
        where: tuple[ir.Guard, ...] = (),
        unless: tuple[ir.Guard, ...] = (),
    ) -> ir.For:
        loop = ir.For(self.outer, self.lo, self.hi, self.step, body, kind)
        return replace(loop, where=where, unless=unless)

    def again(self) -> Range:
        """The same range with axes of its own."""
        inner = None if self.inner is None else Axis(self.inner.name, self.inner.extent)
        return replace(self, outer=Axis(self.outer.name, self.outer.extent), inner=inner)


class Builder:
    """Makes the kernel of a stream in blocks of given sizes (see `build_blocked`)."""

    def __init__(self, stream: Stream, blocks: Blocks, machine: Machine, name: str) -> None:
        self.stream = stream
        self.blocks = blocks
        self.machine = machine
        self.name = name
        self.nests = Nests(machine)
        self.axes = _axes_of(stream)

    def build(self) -> tuple[ir.Kernel, tuple[Value, ...]]:
        stream = self.stream
        for value in stream.outputs:
            self.nests.declare(value, "output")
        body: list[ir.Stmt] = []
        ranges = [
            Range.over(axis, size) for axis, size in zip(stream.rows, self.blocks.rows, strict=True)
        ]
        if self.blocks.shares > 1:
            body = Shares(self, _choices(ranges)).body()
        else:
            for chosen in _choices(ranges):
                body += in_parallel(chosen, Block(self, chosen).body())
        inputs, outputs = self.nests.parameters()
        kernel = ir.Kernel(
            self.name,
            (*inputs.values(), *outputs.values()),
            self.nests.scratch(),
            body,
            frozenset(self.nests.lanes),
            {"refused": tuple(self.nests.refused)} if self.nests.refused else {},
        )
        return kernel, (*inputs, *outputs)


def _axes_of(stream: Stream) -> list[tuple[Axis, bool]]:
    """The axes of a stream's definitions and of the folds in them, and whether one is the former.

    Every block asks for them several times, so the terms are searched once for all.
    """
    mapped: dict[Axis, bool] = {}
    for term in postorder(*(s.term for s in stream.steps)):
        if isinstance(term, Fold):
            mapped.update((a, False) for a in term.over)
    mapped.update((a, True) for s in stream.steps for a in s.axes)
    return list(mapped.items())


def around_rows(rows: tuple[Range, ...], share: Range, blocks: Blocks) -> tuple[Range, ...]:
    """The loops over rows and over shares, outermost first."""
    return (share, *rows) if blocks.turned else (*rows, share)


def in_parallel(ranges: Sequence[Range], body: list[ir.Stmt]) -> list[ir.Stmt]:
    """The body inside parallel loops."""
    for place in reversed(range(len(ranges))):
        body = [ranges[place].loop(body, "parallel")]
    return body


def _choices(ranges: Sequence[Sequence[Range]]) -> list[tuple[Range, ...]]:
    """One range for each axis, in all ways; axes are fresh in each."""
    found: list[tuple[Range, ...]] = [()]
    for several in ranges:
        found = [(*rest, r) for rest in found for r in several]
    return [tuple(r.again() for r in chosen) for chosen in found]


class Block:
    """The body for one block of the rows."""

    def __init__(
        self, builder: Builder, rows: tuple[Range, ...], share: Range | None = None
    ) -> None:
        self.stream = builder.stream
        self.blocks = builder.blocks
        self.nests = builder.nests
        self.rows = rows
        #: The loops around: over rows, and over parts of the streamed axis.
        self.loops = rows if share is None else around_rows(rows, share, self.blocks)
        self.around = tuple((r.outer, r.lo, r.hi, r.step) for r in self.loops)
        self.range: dict[Axis, Range] = dict(zip(self.stream.rows, rows, strict=True))
        lane = self.blocks.lane
        self.lane = None if lane is None else rows[lane].inner
        self.axes = builder.axes
        self.known_positions: dict[Range | None, Positions] = {}
        #: Private blocks that states, rows and packed operands live in.
        self.place: dict[Value, Value] = {}
        self.packed: dict[Term, Load] = {}
        self.before: list[ir.Stmt] = []

    # -- the whole ---------------------------------------------------------------------------------

    def body(self) -> list[ir.Stmt]:
        stream = self.stream
        body: list[ir.Stmt] = []
        for stage in range(stream.stages):
            states = stream.states_of(stage)
            if states:
                body += self.group([self.identity(d) for d in states])
            for along in Range.over(stream.along, self.blocks.along):
                body += self.trips(states, stage, along)
            body += self.finished(states, stage)
        body += self.states_stored()
        return [*self.before, *body]

    def finished(self, states: Sequence[Def], stage: int) -> list[ir.Stmt]:
        """What follows when the states of a stage are complete."""
        stream = self.stream
        body = self.corrected(states)
        for step in stream.steps:
            if stream.kind[step.value] == "row" and stream.stage[step.value] == stage:
                outputs = self.outputs_of(step, self.term(step))
                body += self.group(outputs) if outputs else []
        return body

    def trips(self, states: Sequence[Def], stage: int, along: Range) -> list[ir.Stmt]:
        """The loop along the stream; two where masks can be left out in some blocks.

        The first goes through the blocks in which every choice is the same, the second through
        what is left of those that do not hide.
        """
        masks = masks_of(self.stream, stage)
        whole = self.guards([t for m in masks for t in m.tests], along, surely=True)
        shown = self.guards([t for m in masks if m.hides for t in m.needed], along, surely=False)
        if shown is None:
            return []
        if whole == ():
            return [along.loop(Step(self, stage, along, masks).body(states), "serial", shown)]
        body: list[ir.Stmt] = []
        if whole is not None:
            inside = Step(self, stage, along, masks).body(states)
            body.append(along.loop(inside, "serial", whole))
            along = along.again()
            shown = self.guards([t for m in masks if m.hides for t in m.needed], along, False) or ()
            whole = self.guards([t for m in masks for t in m.tests], along, True)
        inside = Step(self, stage, along, ()).body(states)
        return [*body, along.loop(inside, "serial", shown, whole or ())]

    def guards(
        self, tests: Sequence[Affine], along: Range, surely: bool
    ) -> tuple[ir.Guard, ...] | None:
        """When tests hold in all of a block (``surely``), or somewhere in it."""
        axes, _ = self.positions(along)
        several = (*self.loops, along)
        inner = {r.inner for r in several if r.inner is not None}
        ranges = {r.outer: (r.lo, r.hi - r.step) for r in several}
        return guards_of([t.substitute(axes) for t in tests], inner, ranges, surely)

    def is_state(self, step: Def, stage: int) -> bool:
        return self.stream.kind[step.value] == "state" and self.stream.stage[step.value] == stage

    def group(self, outputs: Sequence[Output], along: Range | None = None) -> list[ir.Stmt]:
        """The scheduled nest of some outputs."""
        around = self.around
        in_order = False
        if along is not None:
            around = (*around, (along.outer, along.lo, along.hi, along.step))
            in_order = self.stream.alike and any(self.sums(o.term, along) for o in outputs)
        return self.nests.nest(tuple(outputs), around, in_order)

    def sums(self, term: Term, along: Range | None) -> bool:
        """Whether something is folded along other axes than the stream."""
        inner = None if along is None else along.inner
        folds = (t for t in postorder(term) if isinstance(t, Fold))
        return any(a is not inner for f in folds for a in f.over)

    # -- places ------------------------------------------------------------------------------------

    def inner_axes(self, axes: Iterable[Axis], along: Range | None) -> tuple[Axis, ...]:
        """The axes of a block of something over ``axes``, the lane last."""
        found: list[Axis] = []
        for axis in axes:
            mine = self.inner(axis, along)
            if mine is not None:
                found.append(mine)
        return tuple(sorted(found, key=lambda a: self.rank(a, along)))

    def inner(self, axis: Axis, along: Range | None) -> Axis | None:
        """The axis inside a block, None where a block has one element."""
        known = self.range_of(axis, along)
        if known is not None:
            return known.inner
        return axis if axis.extent > 1 else None

    def range_of(self, axis: Axis, along: Range | None) -> Range | None:
        root = self.stream.classes.of(axis)
        if root is self.stream.along:
            return along
        return self.range.get(root)

    def rank(self, axis: Axis, along: Range | None) -> tuple[int, int]:
        """Axes of their own first, then the streamed one, then the rows and the lane."""
        if self.lane is None:
            return (0, 0)
        if axis is self.lane:
            return (3, 0)
        if along is not None and axis is along.inner:
            return (1, 0)
        return (2 if any(axis is r.inner for r in self.rows) else 0, 0)

    def block_of(self, step: Def, along: Range | None, name: str, key: Value) -> Value:
        """The private array that holds a block of ``step``."""
        axes = self.inner_axes(step.axes, along)
        value = self.private(name, axes, step.value.dtype)
        self.place[key] = value
        return value

    def private(self, name: str, axes: Sequence[Axis], dtype: np.dtype) -> Value:
        """A block of private memory."""
        value = Value(name, tuple(a.extent for a in axes), dtype)
        self.nests.declare(value, "scratch")
        return value

    def element(self, step: Def) -> tuple[tuple[Axis, ...], tuple[Affine, ...]]:
        """The loops over a block of ``step``, and where its elements are in the whole array."""
        axes = tuple(a for a in (self.inner(x, None) for x in step.axes) if a is not None)
        where, _ = self.positions(None)
        return axes, tuple(where.get(a, Affine.of(a)) for a in step.axes)

    def read(self, step: Def, value: Value, index: Sequence[Affine], along: Range | None) -> Load:
        """``value``, the block of ``step``, where ``step`` is read at ``index``."""
        at: dict[Axis, Affine] = {}
        for axis, where in zip(step.axes, index, strict=True):
            mine = self.inner(axis, along)
            if mine is not None:
                known = self.range_of(axis, along)
                at[mine] = Affine.of(mine) if known is not None else where
        return Load(value, tuple(at[a] for a in self.inner_axes(step.axes, along)))

    def plain(self, step: Def, value: Value, along: Range | None = None) -> Load:
        """``value`` element by element."""
        return self.read(step, value, tuple(map(Affine.of, step.axes)), along)

    # -- terms -------------------------------------------------------------------------------------

    def positions(self, along: Range | None) -> Positions:
        """Where the axes of the stream's definitions are, and what folds over them run over."""
        found = self.known_positions.get(along)
        if found is None:
            axes: dict[Axis, Affine] = {}
            bound: dict[Axis, Axis | None] = {}
            for axis, mapped in self.axes:
                known = self.range_of(axis, along)
                if known is not None:
                    axes[axis] = known.position
                    bound[axis] = known.inner
                elif axis.extent == 1 and mapped:
                    axes[axis] = Affine((), 0)
            found = self.known_positions[along] = axes, bound
        return found

    def term(self, step: Def) -> Term:
        """The term of a row."""
        axes, bound = self.positions(None)

        def load(t: Load) -> Term:
            source = self.stream.definition.get(t.value)
            if source is None:
                return t
            return self.read(source, self.place[t.value], t.index, None)

        return rebind(step.term, axes, bound, load)

    # -- nests beside the passes -------------------------------------------------------------------

    def identity(self, step: Def) -> Output:
        """A state before anything has been seen."""
        fold = fold_of(step.term)
        kinds = [b.dtype for b in fold.bodies]
        n = step.term.position if isinstance(step.term, Proj) else 0
        value = self.block_of(step, None, step.value.name, step.value)
        neutral = const(fold.monoid.identity(kinds)[n], kinds[n])
        return self.stored(step, value, neutral, None)

    def stored(self, step: Def, value: Value, term: Term, along: Range | None) -> Output:
        """A block of ``step`` in its private array; loops with the lane outermost."""
        axes = self.inner_axes(step.axes, along)
        loops = axes if self.lane is None else (*reversed(axes),)
        return Output(value, loops, tuple(map(Affine.of, axes)), term)

    def outputs_of(self, step: Def, term: Term, along: Range | None = None) -> list[Output]:
        """``step`` stored where it is needed: in memory, and in its private array."""
        stream = self.stream
        found: list[Output] = []
        if step.value in stream.outputs:
            axes = tuple(a for a in map(lambda x: self.inner(x, along), step.axes) if a is not None)
            where, _ = self.positions(along)
            index = tuple(where.get(a, Affine.of(a)) for a in step.axes)
            found.append(Output(step.value, axes, index, term))
        if along is None and any(step.value in d.term.loads for d in stream.steps):
            value = self.block_of(step, None, step.value.name, step.value)
            found.append(self.stored(step, value, term, None))
        return found

    def states_stored(self) -> list[ir.Stmt]:
        """States that are outputs themselves."""
        body: list[ir.Stmt] = []
        for step in self.stream.steps:
            if self.stream.kind[step.value] == "state" and step.value in self.stream.outputs:
                term = self.plain(step, self.place[step.value])
                body += self.group([Output(step.value, *self.element(step), term)])
        return body

    def corrected(self, states: Sequence[Def]) -> list[ir.Stmt]:
        """States whose drivers never left an infinite identity, as the driver itself makes them.

        So far they were computed as if these drivers were 0.
        """
        body: list[ir.Stmt] = []
        for step in states:
            if any(safe(self.stream, v) for v in self.stream.drivers[step.value]):
                place = self.place[step.value]
                factor = self.moved(step, self.steady)
                term = changed(self.plain(step, place), self.stream.change[step.value], factor)
                body += self.group([self.stored(step, place, term, None)])
        return body

    def steady(self, driver: Def) -> tuple[Term, Term]:
        """What stood for a driver in the end, and itself."""
        now = self.plain(driver, self.place[driver.value])
        return guarded(self.stream, driver, now), now

    def moved(self, step: Def, ends: Callable[[Def], tuple[Term, Term]]) -> Term:
        """What a state has to be multiplied with, or is shifted by, where drivers moved.

        They go from one of ``ends`` to the other; where these are the same, infinities included,
        nothing changes.
        """
        stream = self.stream
        change = stream.change[step.value]
        assert isinstance(change, Factor | Shift)
        at: dict[Value, Term] = {}
        stays: Term | None = None
        for value in stream.drivers[step.value]:
            old, new = ends(stream.definition[value])
            at[value], at[stream.after[value]] = old, new
            same = op("eq", old, new)
            stays = same if stays is None else op("and", stays, same)
        axes, bound = self.positions(None)

        def load(t: Load) -> Term:
            if t.value in at:
                return at[t.value]
            source = stream.definition.get(t.value)
            return t if source is None else self.read(source, self.place[t.value], t.index, None)

        assert stays is not None
        neutral = const(1 if isinstance(change, Factor) else 0, change.by.dtype)
        return select(stays, neutral, rebind(change.by, axes, bound, load))
