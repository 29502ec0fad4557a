"""Several iterations of a loop in one pass over the arrays that it carries.

An iteration that computes row ``y`` of an array from rows near ``y`` (a stencil) need not wait for
the whole of the iteration before: row ``y`` of iteration ``t`` can follow as soon as the rows that
it reads are there.  A loop whose arrays no cache holds then goes through memory once for several
iterations (`weft.kernels.sweep_kernel`)::

    for n: x = body(x)        →        for n/k: x = body(… body(x))   in one kernel

What an iteration reads of its own and of earlier arrays is written as offsets along the first axis,
the *rows*. From these follow by how many rows each array lags behind what it is computed from, and
how many rows around those of a thread have to be computed besides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from weft.kernels.overwrite import overwrite_static
from weft.kernels.pieces import breakpoints, entered
from weft.kernels.uses import MAX_NODES, has_scan
from weft.structs import struct
from weft.terms.affine import Affine, Axis
from weft.terms.region import Carry, Def, Region
from weft.terms.term import (
    FUSES,
    Fold,
    Fuse,
    Load,
    Map,
    Proj,
    Term,
    Value,
    bound_axes,
    postorder,
    rebuild,
    rename_bound,
    replace_subterms,
    substitute,
)

#: Rows that an iteration reads away from its own, at most: more would be computed twice than once.
REACH = 16

#: So many rows may be a border, of which each is computed in its own way.
SHORT = 4

#: Ranges of rows that a term is cut into, at most.
PIECES = 12


#: Columns to the left and to the right.
_Sides = tuple[int, int]


@struct(frozen=True)
class Read:
    """What a stage reads of an array: rows ``lo`` to ``hi`` from its own.

    ``across`` are the columns from its own, along the second axis, if these are nearby, too.
    """

    source: Value
    lo: int
    hi: int
    across: tuple[int, int] | None


@struct(frozen=True, eq=False)
class Piece:
    """Rows ``lo`` to ``hi`` (exclusive) of a stage, all computed by ``term`` over ``row``.

    It reads rows of other stages relative to its own: beyond an array's end, where they wrap
    around. ``turned`` does so with columns, too; None where they are not all computed alike.
    """

    lo: int
    hi: int
    row: Axis
    term: Term
    turned: Term | None


@struct(frozen=True, eq=False)
class Stage:
    """An array that an iteration computes row by row, and the carry that it is the end of."""

    value: Value
    axes: tuple[Axis, ...]
    pieces: tuple[Piece, ...]
    reads: tuple[Read, ...]
    wraps: tuple[bool, bool]
    carry: Carry | None = None

    @property
    def columns(self) -> int:
        """Elements along the second axis."""
        return self.axes[1].extent


@struct(frozen=True, eq=False)
class Sweep:
    """An iteration as stages, in order.

    ``lag`` are the rows by which a stage is behind what is carried in, and ``period`` those by
    which what is carried out is.  ``above`` are the rows of each stage that are needed before those
    that are carried out, and ``reach`` those of what is carried in; ``kept`` are the rows that have
    to be kept of each array before the latest ones. ``across`` are the columns to the left and to
    the right of its own that an iteration reads of what is carried in; None if some are far away.
    Its stages read ``spare`` columns more. With ``wraps``, rows and columns go on at the other end
    of an array.
    """

    carries: tuple[Carry, ...]
    stages: tuple[Stage, ...]
    lag: Mapping[Value, int]
    period: int
    above: Mapping[Value, int]
    reach: int
    kept: Mapping[Value, int]
    across: _Sides | None
    spare: _Sides
    wraps: tuple[bool, bool]

    @property
    def farthest(self) -> int:
        """The most columns from its own that a stage reads."""
        beside = [r.across for s in self.stages for r in s.reads if r.across is not None]
        return max((max(-lo, hi) for lo, hi in beside), default=0)

    @property
    def columns(self) -> int:
        """Elements along the second axis of what is carried."""
        return self.carries[0].entry.shape[1]

    @property
    def rows(self) -> int:
        """Rows of what is carried."""
        return self.carries[0].entry.shape[0]


def find_sweep(region: Region, carries: Sequence[Carry]) -> Sweep | None:
    """The iteration that ``region`` is, if its arrays can follow one another row by row."""
    moving = tuple(c for c in carries if c.exit is not c.entry)
    steps = overwrite_static(region, small=True).steps
    shapes = [c.entry.shape for c in moving]
    if not moving or any(len(s) < 2 or s[:2] != shapes[0][:2] for s in shapes):
        return None
    if not all(isinstance(s, Def) and not has_scan(s.term) for s in steps):
        return None
    exits = {c.exit: c for c in moving}
    if not exits.keys() <= {s.value for s in steps}:
        return None
    entries = {c.entry for c in moving}
    stored = _inlined([s for s in steps if isinstance(s, Def)], exits.keys())
    known = entries | {d.value for d in stored}
    read = set().union(*(d.term.loads for d in stored))
    ends: list[tuple[Def, Carry | None]] = []
    for d in stored:
        carry = exits.get(d.value)
        if carry is None or d.value not in read:
            ends.append((d, carry))
        else:  # what the iteration itself reads is kept apart from what the next one does
            ends += [(d, None), (_copy(d, carry), carry)]
    stages: list[Stage] = []
    for d, carry in ends:
        stage = _stage(d, known, carry)
        if stage is None:
            return None
        stages.append(stage)
    return _laid_out(moving, stages)


def _copy(d: Def, carry: Carry) -> Def:
    axes = tuple(Axis(a.name, a.extent) for a in d.axes)
    value = Value(f"{carry.entry.name}_next", d.value.shape, d.value.dtype)
    return Def(value, axes, Load(d.value, tuple(map(Affine.of, axes))), d.source)


# -- stages ----------------------------------------------------------------------------------------


def _inlined(steps: Sequence[Def], wanted: Iterable[Value]) -> list[Def]:
    """The definitions to keep, over those alone: the rest is computed where it is read.

    That is what is read once, and what only moves elements.
    """
    kept = set(wanted)
    often: dict[Value, int] = {}
    for step in reversed(steps):  # who reads a definition comes after it
        if often.get(step.value, 0) > 1 and _computes(step.term):
            kept.add(step.value)
        times = 1 if step.value in kept else often.get(step.value, 0)
        for read in _loads(step.term):
            often[read.value] = often.get(read.value, 0) + times
    done: dict[Value, Def] = {}

    def load(t: Load) -> Term:
        d = done.get(t.value)
        if d is None:
            return t
        term = rename_bound(d.term, bound_axes(d.term))
        return substitute(term, dict(zip(d.axes, t.index, strict=True)))

    found: list[Def] = []
    for step in steps:
        d = Def(step.value, step.axes, substitute(step.term, {}, load), step.source)
        if step.value in kept or len(postorder(d.term)) > MAX_NODES:
            found.append(d)
        else:
            done[step.value] = d
    return found


def _computes(term: Term) -> bool:
    """Whether a term does anything but move elements."""
    return any(isinstance(t, Map | Fold | Proj) for t in postorder(term))


def _loads(term: Term) -> set[Load]:
    """What one evaluation of a term loads: of the pieces of a fuse, the one that loads most."""
    found: dict[Term, set[Load]] = {}
    for t in postorder(term):
        if isinstance(t, Load):
            found[t] = {t}
        elif isinstance(t, Fuse):
            found[t] = max((found[p] for _, _, p in t.pieces), key=len)
        else:
            found[t] = set().union(*(found[c] for c in t.children))
    return found[term]


def _stage(d: Def, known: set[Value], carry: Carry | None) -> Stage | None:
    """A definition as a stage, if its rows are cut into few pieces that read nearby rows."""
    if len(d.axes) < 2 or d.value.size == 0:
        return None
    rows = _relative(d.term, d.axes[0], 0, known)
    if rows is None or not all(rows.near):
        return None
    pieces: list[Piece] = []
    reads: dict[Read, None] = {}
    around = False
    for lo, hi, row, term in rows.ranges:
        columns = _relative(term, d.axes[1], 1, known)
        parts = [(d.axes[1], term)] if columns is None else [r[2:] for r in columns.ranges]
        nearby = [False] if columns is None else columns.near
        around = around or (columns is not None and columns.wraps)
        for near, (column, part) in zip(nearby, parts, strict=True):
            for load in postorder(part):
                if isinstance(load, Load) and load.value in known:
                    above = (load.index[0] - row).bounds()
                    beside = (load.index[1] - column).bounds() if near else None
                    reads[Read(load.value, *above, beside)] = None
        turned = None
        if len(parts) == 1:
            turned = substitute(parts[0][1], {parts[0][0]: Affine.of(d.axes[1])})
        pieces.append(Piece(lo, hi, row, term, turned))
    return Stage(d.value, d.axes, tuple(pieces), tuple(reads), (rows.wraps, around), carry)


@struct(frozen=True, eq=False)
class _Ranges:
    """Ranges of an axis with the terms there, each over an axis of its own.

    Whether each of them reads ``near`` itself along the axis, and whether some do so around the end
    of an array.
    """

    ranges: tuple[_Range, ...]
    near: tuple[bool, ...]
    wraps: bool


def _relative(term: Term, axis: Axis, place: int, known: set[Value]) -> _Ranges | None:
    """``term`` by ranges of an axis, what it reads of ``known`` in dimension ``place`` relative to
    it; neighbours that are alike then are one."""
    cut = _cut(term, axis)
    if cut is None:
        return None
    ranges: list[_Range] = []
    near: list[bool] = []
    wraps = False
    for lo, hi, own, part in _one_by_one(cut):
        made: dict[Term, Term] = {}
        loads = [t for t in postorder(part) if isinstance(t, Load) and t.value in known]
        for t in loads:
            away = _away(t, place, own, lo, hi)
            if away is None:
                continue
            made[t] = Load(t.value, (*t.index[:place], away + own, *t.index[place + 1 :]))
            at = {own: Affine((), lo)} if hi == lo + 1 else {}
            wraps = wraps or (away + own).substitute(at) != t.index[place].substitute(at)
        far = len(made) < len(loads)
        new = replace_subterms(part, made)
        alike = False
        if ranges and not far and near[-1]:
            first, _, before, old = ranges[-1]
            alike = substitute(new, {own: Affine.of(before)}) == old
            if alike:
                ranges[-1] = (first, hi, before, old)
        if not alike:
            ranges.append((lo, hi, own, new))
            near.append(not far)
    return _Ranges(tuple(ranges), tuple(near), wraps)


_Range = tuple[int, int, Axis, Term]


def _one_by_one(cut: Sequence[_Range]) -> Iterator[_Range]:
    """The same ranges, short ones one by one: each may read the same row of a border."""
    for lo, hi, own, part in cut:
        if hi - lo == 1 or hi - lo > SHORT:
            yield lo, hi, own, part
            continue
        for place in range(lo, hi):
            axis = Axis(own.name, own.extent)
            yield place, place + 1, axis, substitute(part, {own: Affine.of(axis)})


def _cut(term: Term, axis: Axis) -> list[_Range] | None:
    """The ranges of an axis in which no fuse changes its piece, and what ``term`` is there.

    It is over an axis of its own in each. None where there are too many, or unknown ones.
    """
    cuts = {0, axis.extent}
    for t in postorder(term) if term.holds & FUSES else ():
        if isinstance(t, Fuse) and axis in t.index.axes():
            found = breakpoints(t, axis)
            if not found:
                return None
            cuts.update(found)
    edges = sorted(c for c in cuts if 0 <= c <= axis.extent)
    if len(edges) > PIECES:
        return None
    ranges: list[_Range] = []
    for lo, hi in pairwise(edges):
        own = Axis(axis.name, axis.extent)
        (part,) = entered((term,), axis, own, {own: (lo, hi - 1)})
        ranges.append((lo, hi, own, _settled(part, own)))
    return ranges


def _settled(term: Term, row: Axis) -> Term:
    """``term`` without the fuses of which one piece is left."""
    done: dict[Term, Term] = {}
    for t in postorder(term):
        if isinstance(t, Fuse) and len(t.pieces) == 1 and row in t.index.axes():
            done[t] = done[t.pieces[0][2]]
        else:
            done[t] = rebuild(t, done)
    return done[term]


def _away(load: Load, place: int, axis: Axis, lo: int, hi: int) -> Affine | None:
    """How far from ``axis``, in its range, a load is in its dimension ``place``; None if far.

    An array may go on at its other end.
    """
    at = {axis: Affine((), lo)} if hi == lo + 1 else {}
    away = load.index[place].substitute(at) - Affine.of(axis).substitute(at)
    if axis in away.axes() or any(i.dynamics() for i in load.index):
        return None
    extent = load.value.shape[place]
    for turn in (0, -extent, extent):
        least, most = (away + turn).bounds()
        if max(-least, most) <= REACH:
            return away + turn
    return None


# -- layout ----------------------------------------------------------------------------------------


def _laid_out(carries: tuple[Carry, ...], stages: Sequence[Stage]) -> Sweep | None:
    """Who lags behind whom, and by how much; None if arrays of several lengths wrap around."""
    lag: dict[Value, int] = {c.entry: 0 for c in carries}
    for stage in stages:
        lag[stage.value] = max([0, *(lag[r.source] + r.hi for r in stage.reads)])
    # What is carried out is all at one place; nothing reads it before the next iteration.
    period = max(lag[s.value] for s in stages if s.carry is not None)
    lag.update((s.value, period) for s in stages if s.carry is not None)
    kept = dict.fromkeys(lag, 0)
    above = {s.value: 0 for s in stages}
    above.update((c.entry, 0) for c in carries)
    for stage in reversed(stages):
        for r in stage.reads:
            kept[r.source] = max(kept[r.source], lag[stage.value] - lag[r.source] - r.lo)
            above[r.source] = max(above[r.source], above[stage.value] - r.lo)
    reach = max(above[c.entry] for c in carries)
    wraps = any(s.wraps[0] for s in stages), any(s.wraps[1] for s in stages)
    found = _across(carries, stages)
    across, spare = ((0, 0), (0, 0)) if found is None else found
    shape = carries[0].entry.shape
    if wraps[0] and any(s.axes[0].extent != shape[0] for s in stages):
        return None
    alike = all(
        s.columns == shape[1] and all(p.turned is not None for p in s.pieces) for s in stages
    )
    near = found is not None and (alike or not wraps[1])
    return Sweep(
        carries,
        tuple(stages),
        lag,
        period,
        above,
        reach,
        kept,
        across if near else None,
        spare,
        (wraps[0], wraps[1] and near),
    )


def _across(carries: tuple[Carry, ...], stages: Sequence[Stage]) -> tuple[_Sides, _Sides] | None:
    """How far an iteration reads to the left and to the right of what it computes, and how much
    further its stages do."""
    left = dict.fromkeys([*(s.value for s in stages), *(c.entry for c in carries)], 0)
    right = dict(left)
    for stage in reversed(stages):
        for r in stage.reads:
            if r.across is None:
                return None
            left[r.source] = max(left[r.source], left[stage.value] - r.across[0])
            right[r.source] = max(right[r.source], right[stage.value] + r.across[1])
    # What stages read counts where it is more: a strip ends at the same column for each of them.
    most = [max(d[s.value] for s in stages) for d in (left, right)]
    net = [max(d[c.entry] for c in carries) for d in (left, right)]
    return (net[0], net[1]), (max(0, most[0] - net[0]), max(0, most[1] - net[1]))
