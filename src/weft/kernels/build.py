"""Cones to loop nests: the naive kernel that computes some values of a region.

A cone's outputs are stored; everything between them and its inputs is computed on the way, in the
outermost loop that binds its axes.  That one placement rule yields prologues (a producer inside a
fold's loop), epilogues (what follows a fold, in the loop around it) and multi-pass rows (softmax
reads its row once per fold) without recognising any of them::

    sinks   stores and folds: what a loop nest is made for
    block   the sinks that become computable once some loops are open
    wave    sinks of a block that need no fold of the same wave; one loop serves a wave

Loops over an axis are cut where a `Fuse` changes its piece, so that interiors carry no guards.  The
result is scalar code over unit-step loops; schedules tile it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from weft.kernels import ir
from weft.kernels.build_terms import Scope, TermWriter
from weft.kernels.pieces import MAX_PIECES, breakpoints, entered
from weft.structs import struct
from weft.terms.affine import Affine, Axis
from weft.terms.dots import DOTS
from weft.terms.monoids import ADD, MONOIDS, Monoid
from weft.terms.region import Def
from weft.terms.term import (
    FOLDS,
    FUSES,
    Fold,
    Fuse,
    Load,
    Map,
    Scan,
    Term,
    Value,
    known_index,
    postorder,
    shared,
    substitute,
)


@struct(eq=False)
class Output:
    """``value[index…] = term`` for every point of ``axes``; with ``combine``, an update in place.

    ``combine`` is ``set`` or a monoid's name: the value is then read and written, and only where
    ``guard`` is true.  With ``scans``, the loop over the last axis carries the totals of the
    running reductions in ``term``.
    """

    value: Value
    axes: tuple[Axis, ...]
    index: tuple[Affine, ...]
    term: Term
    combine: str | None = None
    guard: Term | None = None
    scans: bool = False


@struct(eq=False)
class Cone:
    """What one kernel computes.

    ``outputs`` are the stored values, with every interior definition already inlined into their
    terms; ``rows`` are interior definitions kept in private scratch (one row per iteration of the
    loops over their first ``depth`` axes), which the outputs' terms still load.
    """

    name: str
    outputs: tuple[Output, ...]
    rows: tuple[tuple[Def, int], ...] = ()


@struct(eq=False)
class _Sink:
    """A store or a fold; ``axes`` are the loops it still needs inside its block."""

    axes: tuple[Axis, ...]
    bodies: tuple[Term, ...]
    store: ir.Buffer | None = None
    index: tuple[Affine, ...] = ()
    fold: Fold | None = None
    monoid: Monoid | None = None
    row: Value | None = None
    combine: str | None = None
    guard: Term | None = None
    scans: bool = False

    @property
    def terms(self) -> tuple[Term, ...]:
        """Everything the sink computes, its guard and dynamic indices included."""
        guard = () if self.guard is None else (self.guard,)
        return (*self.bodies, *guard, *(d.source for i in self.index for d in i.dynamics()))


@struct(eq=False)
class _Running:
    """A fold whose loops are open: its current carry variables."""

    sink: _Sink
    vars: tuple[ir.Var, ...]


def build_kernel(
    cone: Cone, around: frozenset[Axis] = frozenset()
) -> tuple[ir.Kernel, tuple[Value, ...]]:
    """The naive kernel of ``cone`` and the values of its parameters, in order (inputs, outputs).

    Terms may mention axes of loops ``around`` it.
    """
    return _Builder(cone, around).build()


class _Builder(TermWriter):
    def __init__(self, cone: Cone, around: frozenset[Axis]) -> None:
        super().__init__(cone.name)
        self.cone = cone
        self.around = around
        self.outputs: dict[Value, ir.Buffer] = {
            o.value: ir.Buffer(
                o.value.name, o.value.shape, o.value.dtype, "inout" if o.combine else "output"
            )
            for o in cone.outputs
        }
        for definition, depth in cone.rows:
            v = definition.value
            buffer = ir.Buffer(v.name, v.shape[depth:], v.dtype, "scratch", "thread")
            self.rows[v] = (definition, depth, buffer)
        self.row_wave: dict[Value, int] = {}
        self.wave = 0

    def build(self) -> tuple[ir.Kernel, tuple[Value, ...]]:
        terms = tuple(o.term for o in self.cone.outputs)
        if any(t.holds & FUSES for t in terms):  # these are gone through for each of their pieces
            terms = shared(*terms)
        sinks = [
            _Sink(
                o.axes,
                (term,),
                self.outputs[o.value],
                o.index,
                combine=o.combine,
                guard=o.guard,
                scans=o.scans,
            )
            for o, term in zip(self.cone.outputs, terms, strict=True)
        ]
        self._block(sinks, [])
        params = (*self.inputs.values(), *self.outputs.values())
        scratch = tuple(b for _, _, b in self.rows.values())
        kernel = ir.Kernel(self.cone.name, params, scratch, self.scopes[0].body)
        return kernel, (*self.inputs, *self.outputs)

    # -- blocks and waves --------------------------------------------------------------------------

    @property
    def _bound(self) -> set[Axis]:
        return {*self.around, *(s.axis for s in self.scopes if s.axis is not None)}

    def _block(self, sinks: list[_Sink], running: list[_Running]) -> None:
        """Emit everything ``sinks`` need under the open loops, wave by wave."""
        bound = self._bound
        everything = self._with_folds(sinks, bound)
        waves = self._waves(everything)
        for wave in range(max(waves.values(), default=-1) + 1):
            members = [s for s in everything if waves[s] == wave]
            self.inline_rows = {s.row for s in members if s.row is not None}
            for sink in members:
                if not sink.axes:
                    self._finish(sink, running)
            for group in _same_loop(s for s in members if s.axes):
                self._loop(group, running)

    def _with_folds(self, sinks: list[_Sink], bound: set[Axis]) -> list[_Sink]:
        """``sinks`` and the folds and rows they need that belong to this block, needed first."""
        found: dict[object, _Sink] = {s.fold or s.row: s for s in sinks if s.fold or s.row}
        order: dict[_Sink, None] = {}
        stack: list[tuple[_Sink, bool]] = [(s, False) for s in reversed(sinks)]
        while stack:
            sink, ready = stack.pop()
            if ready:
                order[sink] = None
            elif sink not in order:
                stack.append((sink, True))
                for need in self._needs(sink, bound, found):
                    known = found.setdefault(need.fold or need.row, need)
                    stack.append((known, False))
        return list(order)

    def _needs(self, sink: _Sink, bound: set[Axis], found: Mapping[object, _Sink]) -> list[_Sink]:
        """Folds and rows ``sink`` uses whose free axes are all bound here and that are not done."""
        needs: list[_Sink] = []
        if not self._uses_others(sink):
            return needs
        for term in self._read(sink, bound, found):
            if isinstance(term, Fold) and term.axes <= bound and not self._known(term):
                if sink.fold is not term:
                    needs.append(_Sink(term.over, term.bodies, fold=term, monoid=term.monoid))
            elif isinstance(term, Load) and term.value in self.rows and term.value is not sink.row:
                row = found.get(term.value) or self._row_sink(term, bound)
                if row is not None:
                    needs.append(row)
        return needs

    def _uses_others(self, sink: _Sink) -> bool:
        """Whether ``sink`` may use folds or rows."""
        return bool(self.rows) or any(t.holds & FOLDS for t in sink.terms)

    def _read(self, sink: _Sink, bound: set[Axis], filled: Container[object]) -> list[Term]:
        """Subterms of ``sink``, and those of rows that it reads and that inner loops fill.

        The folds in such rows are computed here if they belong here. Rows that are being ``filled``
        see to theirs.
        """
        terms = self._visible(sink.terms)
        for term in terms:  # it grows
            if (
                isinstance(term, Load)
                and term.value in self.rows
                and term.value not in filled
                and ("row", term.value) not in self._all_known()
                and not self._is_filled_here(term, bound)
            ):
                terms += self._visible([self._row_body(term)[1]])
        return terms

    def _visible(self, bodies: Iterable[Term]) -> list[Term]:
        """Subterms of ``bodies``, without the pieces of fuses that the open loops rule out."""
        seen: dict[Term, None] = {}
        stack = list(bodies)
        while stack:
            term = stack.pop()
            if term in seen:
                continue
            seen[term] = None
            if isinstance(term, Fuse):
                stack += [d.source for d in term.index.dynamics()]
                stack += [piece for _, _, piece in self._live(term)]
            else:
                stack.extend(term.children)
        return list(seen)

    def _row_sink(self, load: Load, bound: set[Axis]) -> _Sink | None:
        """The loop nest that fills a row, if this block and no earlier one binds its outer axes."""
        if ("row", load.value) in self._all_known() or not self._is_filled_here(load, bound):
            return None
        fresh, body = self._row_body(load)
        index = tuple(Affine.of(a) for a in fresh)
        return _Sink(fresh, (body,), self.rows[load.value][2], index, row=load.value)

    def _is_filled_here(self, load: Load, bound: set[Axis]) -> bool:
        """Whether the outer axes of a row are bound in this block, and in no earlier one."""
        outer = load.index[: self.rows[load.value][1]]
        needed = frozenset().union(*(i.axes() for i in outer)) if outer else frozenset()
        innermost = self.scopes[-1].axis
        if not needed:  # a row of the whole kernel is filled before any loop is open
            return innermost is None
        return needed <= bound and innermost in needed

    def _row_body(self, load: Load) -> tuple[tuple[Axis, ...], Term]:
        """Axes of the loops that fill a row, and what it holds there."""
        definition, depth, _ = self.rows[load.value]
        fresh = tuple(Axis(a.name, a.extent) for a in definition.axes[depth:])
        mapping = dict(zip(definition.axes[:depth], load.index, strict=False))
        mapping.update(zip(definition.axes[depth:], map(Affine.of, fresh), strict=True))
        return fresh, substitute(definition.term, mapping)

    def _all_known(self) -> set[object]:
        return {k for s in self.scopes for k in s.known}

    def _known(self, term: Term) -> bool:
        return any((term, ()) in s.known or term in s.known for s in self.scopes)

    def _waves(self, sinks: list[_Sink]) -> dict[_Sink, int]:
        """Wave of each sink: after every fold it uses, and after a row it reads.

        What reads a row in loops like those that fill it, at the element they fill, may do so in
        the same wave: there the element is at hand.
        """
        by_fold = {s.fold: s for s in sinks if s.fold is not None}
        by_row = {s.row: s for s in sinks if s.row is not None}
        waves: dict[_Sink, int] = {}
        bound = self._bound
        for sink in sinks:
            wave = 0
            for term in self._read(sink, bound, by_row) if self._uses_others(sink) else ():
                if isinstance(term, Fold) and term in by_fold and by_fold[term] is not sink:
                    wave = max(wave, waves[by_fold[term]] + 1)
                elif isinstance(term, Load) and by_row.get(term.value, sink) is not sink:
                    row = by_row[term.value]
                    depth = self.rows[term.value][1]
                    at_hand = _is_at_hand(term.index[depth:], sink, row)
                    wave = max(wave, waves[row] + (not at_hand))
            waves[sink] = wave
        return waves

    # -- loops -------------------------------------------------------------------------------------

    def _loop(self, group: list[_Sink], running: list[_Running]) -> None:
        """One loop nest level for sinks whose leading axes have the same extent."""
        lead = group[0].axes[0]
        carried = [r for r in running if any(r.sink is s for s in group)]
        fresh = [
            _Running(s, self._identity(s))
            for s in group
            if s.fold is not None and not any(r.sink is s for r in carried)
        ]
        fresh += [
            _Running(s, self._scan_identity(s)) for s in group if s.scans and len(s.axes) == 1
        ]
        folds = carried + fresh
        for lo, hi in self._pieces(group):
            self._one_loop(group, folds, lead, lo, hi)
        for run in fresh:
            if run.sink.fold is not None:
                self._know_fold(run)
        for sink in group:
            if sink.row is not None:
                self.scopes[-1].known[("row", sink.row)] = ir.Var(np.dtype(np.bool_))

    def _one_loop(
        self, group: list[_Sink], folds: list[_Running], lead: Axis, lo: int, hi: int
    ) -> None:
        axis = Axis(lead.name, lead.extent)
        self.ranges[axis] = (lo, hi - 1)
        inner = self._enter(group, axis)
        inside: list[_Running] = []
        by_sink = {r.sink: r for r in folds}
        entries: list[tuple[_Running, tuple[ir.Var, ...]]] = []
        for sink, moved in zip(group, inner, strict=True):
            if sink in by_sink:
                run = by_sink[sink]
                entry = tuple(ir.Var(v.dtype) for v in run.vars)
                entries.append((run, entry))
                inside.append(_Running(moved, entry))
        self.scopes.append(Scope(axis))
        rows = self.inline_rows
        self._block(inner, inside)
        self.inline_rows = rows
        scope = self.scopes.pop()
        carries: list[ir.Carry] = []
        for (run, entry), after in zip(entries, inside, strict=True):
            results = tuple(ir.Var(v.dtype) for v in entry)
            carries += [
                ir.Carry(*parts) for parts in zip(entry, run.vars, after.vars, results, strict=True)
            ]
            run.vars = results
        monoids = {r.sink.monoid for r in folds}
        fold = monoids.pop() if len(monoids) == 1 else None  # a scan's monoid is None: no fold
        self.scopes[-1].body.append(
            ir.For(axis, lo, hi, 1, scope.body, "serial", tuple(carries), fold)
        )

    def _enter(self, group: list[_Sink], axis: Axis) -> list[_Sink]:
        """The sinks with their leading axes bound to the loop just opened.

        What sinks over the same axis share is visited once, and is shared afterwards.
        """
        by_lead: dict[Axis, dict[Term, None]] = {}
        for sink in group:
            by_lead.setdefault(sink.axes[0], {}).update(dict.fromkeys(sink.terms))
        moved = {
            lead: dict(zip(terms, entered(tuple(terms), lead, axis, self.ranges), strict=True))
            for lead, terms in by_lead.items()
        }
        return [self._entered(sink, axis, moved[sink.axes[0]]) for sink in group]

    def _entered(self, sink: _Sink, axis: Axis, moved: Mapping[Term, Term]) -> _Sink:
        mapping = {sink.axes[0]: Affine.of(axis)}
        return _Sink(
            sink.axes[1:],
            tuple(moved[b] for b in sink.bodies),
            sink.store,
            tuple(i.substitute(mapping, lambda t: known_index(moved[t])) for i in sink.index),
            sink.fold,
            sink.monoid,
            sink.row,
            sink.combine,
            None if sink.guard is None else moved[sink.guard],
            sink.scans,
        )

    def _pieces(self, group: list[_Sink]) -> list[tuple[int, int]]:
        """Ranges of the leading axis on which every fuse over it keeps one piece."""
        extent = group[0].axes[0].extent
        cuts = {0, extent}
        for sink in group:
            lead = sink.axes[0]
            fused = any(t.holds & FUSES for t in sink.terms)
            for term in self._visible(sink.terms) if fused else ():
                if isinstance(term, Fuse):
                    cuts.update(breakpoints(term, lead))
        inside = sorted(c for c in cuts if 0 <= c <= extent)
        if len(inside) - 1 > MAX_PIECES:
            return [(0, extent)]
        return list(pairwise(inside)) or [(0, 0)]

    def _scan_identity(self, sink: _Sink) -> tuple[ir.Var, ...]:
        return tuple(
            self._constant(v, b.dtype)
            for scan in _scans(sink.bodies[0])
            for v, b in zip(
                scan.monoid.identity([b.dtype for b in scan.bodies]), scan.bodies, strict=True
            )
        )

    def _identity(self, sink: _Sink) -> tuple[ir.Var, ...]:
        assert sink.monoid is not None
        neutral = sink.monoid.identity([b.dtype for b in sink.bodies])
        return tuple(self._constant(v, b.dtype) for v, b in zip(neutral, sink.bodies, strict=True))

    def _know_fold(self, run: _Running) -> None:
        self.scopes[-1].known[run.sink.fold] = run.vars  # type: ignore[assignment]

    # -- sinks with all their loops open -----------------------------------------------------------

    def _finish(self, sink: _Sink, running: list[_Running]) -> None:
        run = next((r for r in running if r.sink is sink), None)
        if sink.store is not None:
            if run is not None:
                self._advance_scans(sink, run)
            self._store(sink, sink.store)
            return
        if run is None:  # a fold over no axes (or of extent-one axes already open) is its body
            assert sink.fold is not None
            values = tuple(self._term(b, ()) for b in sink.bodies)
            self.scopes[-1].known[sink.fold] = values  # type: ignore[assignment]
            return
        run.vars = self._accumulate(sink, run.vars)

    def _advance_scans(self, sink: _Sink, run: _Running) -> None:
        """Combine one more element into each running total, which the store then uses."""
        totals = list(run.vars)
        following: list[ir.Var] = []
        for scan in _scans(sink.bodies[0]):
            old = tuple(totals.pop(0) for _ in scan.bodies)
            new = self._combine(scan.monoid, old, tuple(self._term(b, ()) for b in scan.bodies))
            self.scopes[-1].known[scan] = new  # type: ignore[assignment]
            following += new
        run.vars = tuple(following)

    def _store(self, sink: _Sink, buffer: ir.Buffer) -> None:
        value = self._term(sink.bodies[0], ())
        index = tuple(self._index(i, ()) for i in sink.index)
        predicate = None if sink.guard is None else self._term(sink.guard, ())
        body = self.scopes[-1].body
        if sink.combine not in (None, "set"):
            old = ir.Var(buffer.dtype)
            body.append(ir.Load(old, buffer, index))
            value = self._combine(MONOIDS[sink.combine], (old,), (value,))[0]
        body.append(ir.Store(buffer, index, value, predicate=predicate))

    def _accumulate(self, sink: _Sink, totals: tuple[ir.Var, ...]) -> tuple[ir.Var, ...]:
        """Combine one more element; a product summed up becomes a fused multiply-add."""
        body = sink.bodies[0]
        if sink.monoid is ADD and isinstance(body, Map) and body.op == "mul":
            a, b = (self._term(x, ()) for x in body.args)
            return (self._map("fma", (a, b, totals[0]), body.dtype),)
        if sink.monoid is ADD and isinstance(body, Map) and body.op in DOTS:
            a, b = (self._term(x, ()) for x in body.args[:2])  # the third one is 0
            return (self._map(body.op, (a, b, totals[0]), body.dtype),)
        values = tuple(self._term(b, ()) for b in sink.bodies)
        assert sink.monoid is not None
        return self._combine(sink.monoid, totals, values)


def _scans(term: Term) -> list[Scan]:
    """Running reductions in a term, inner ones first."""
    return [t for t in postorder(term) if isinstance(t, Scan)]


def _alike(a: Sequence[Axis], b: Sequence[Axis]) -> bool:
    """Whether loops over ``a`` and ``b`` can be one nest."""
    return [x.extent for x in a] == [x.extent for x in b]


def _is_at_hand(index: Sequence[Affine], sink: _Sink, row: _Sink) -> bool:
    """Whether ``sink``, in one loop nest with ``row``, reads the element that is being filled."""
    if not _alike(sink.axes, row.axes):
        return False
    together = {r: Affine.of(s) for r, s in zip(row.axes, sink.axes, strict=True)}
    return all(
        filled.substitute(together) == read for filled, read in zip(row.index, index, strict=True)
    )


def _same_loop(sinks: Iterable[_Sink]) -> list[list[_Sink]]:
    """Group sinks that share a loop: equal extents, and one monoid among the folds.

    (A loop with one monoid is a reduction that schedules can split.)
    """
    groups: list[list[_Sink]] = []
    for sink in sorted(sinks, key=lambda s: s.monoid is None):
        for group in groups:
            monoids = {s.monoid for s in group if s.monoid is not None}
            if group[0].axes[0].extent == sink.axes[0].extent and (
                sink.monoid is None or not monoids or monoids == {sink.monoid}
            ):
                group.append(sink)
                break
        else:
            groups.append([sink])
    return groups
