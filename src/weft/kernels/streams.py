"""Streams: definitions that one loop over an axis can compute, a block of it at a time.

Where an array is only folded again along an axis, no more of it is needed at a time than a block.
A stream is a set of definitions of a region that share such an axis (*along*) and the axes outside
it (*rows*)::

    streamed   values along the axis: only blocks of them exist
    state      folds over the axis: what is carried from block to block
    row        values of a row, computed from states when their stage is over

A state whose body depends on other states runs in the same pass as these if what was added up
before can be repaired when they move (`weft.terms.cascade`); otherwise it belongs to a later
*stage*, another pass over the axis.  Nothing here knows what is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from math import prod
from typing import Literal

from weft.core import dtypes
from weft.kernels.uses import has_scan, is_contraction, own_folds
from weft.structs import struct
from weft.terms.affine import Affine, Axis
from weft.terms.cascade import FREE, UNKNOWN, Change, repaired
from weft.terms.liveness import loaded
from weft.terms.region import Def, Region, Scatter
from weft.terms.term import (
    Const,
    Fold,
    Index,
    Load,
    Map,
    Proj,
    Term,
    Value,
    postorder,
    replace_subterms,
    substitute,
)

Kind = Literal["streamed", "state", "row"]


class AxisClasses:
    """Axes of definitions and folds that walk the same dimension of the same values."""

    def __init__(self) -> None:
        self._above: dict[Axis, Axis] = {}
        self._shared: set[Axis] = set()

    def of(self, axis: Axis) -> Axis:
        """The representative of the class of ``axis``."""
        while axis in self._above:
            axis = self._above[axis]
        return axis

    def unite(self, a: Axis, b: Axis) -> None:
        """Make the classes of ``a`` and ``b`` one."""
        a, b = self.of(a), self.of(b)
        if a is not b:
            self._above[b] = a
            self._shared.add(a)

    def is_alone(self, axis: Axis) -> bool:
        """Whether nothing is in the class of ``axis`` but itself."""
        return axis not in self._above and axis not in self._shared


@struct(eq=False)
class Stream:
    """Definitions to compute in one kernel; see the module text.

    ``along`` and ``rows`` are representatives of axis classes, rows outermost first.  ``outputs``
    are the values that are needed outside; ``replaces`` those of the region's steps that it makes
    unnecessary.  ``anew`` are streamed values that others compute again, from rows and states.
    A state follows its ``drivers``, states of the same stage, by its ``change`` when
    they move; values of ``after`` stand there for where they move to.  ``whole`` are terms of
    streamed definitions with others put where they are read.

    Somebody asks whether sums are equal that others compute again (``alike``): each such sum is
    then added up in the order of its fold, whatever the blocks, so that it comes out the same.
    """

    steps: tuple[Def, ...]
    replaces: frozenset[Value]
    outputs: tuple[Value, ...]
    along: Axis
    rows: tuple[Axis, ...]
    classes: AxisClasses
    anew: frozenset[Value] = frozenset()
    alike: bool = False
    kind: dict[Value, Kind] = field(default_factory=dict)
    stage: dict[Value, int] = field(default_factory=dict)
    drivers: dict[Value, tuple[Value, ...]] = field(default_factory=dict)
    whole: dict[Value, Term] = field(default_factory=dict)
    change: dict[Value, Change] = field(default_factory=dict)
    after: dict[Value, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.definition = {d.value: d for d in self.steps}

    def is_along(self, axis: Axis) -> bool:
        """Whether ``axis`` walks the streamed one."""
        return self.classes.of(axis) is self.along

    def folds_along(self, term: Term) -> bool:
        """Whether a fold in ``term`` runs over the streamed axis."""
        return bool(_folds_over(term, self.is_along))

    @property
    def saved(self) -> int:
        """Bytes of what is no longer in memory, less those of what still is."""
        kept = sum(v.nbytes for v in self.outputs)
        return sum(d.value.nbytes for d in self.steps if d.value not in self.outputs) - kept

    def states_of(self, stage: int) -> list[Def]:
        """The states that are complete after a pass."""
        return [
            d
            for d in self.steps
            if (self.kind[d.value], self.stage.get(d.value)) == ("state", stage)
        ]

    def streamed_for(self, states: Sequence[Def], stage: int) -> dict[Value, list[Def]]:
        """The streamed values that a pass needs for its ``states``, with those that read them."""
        roots = [*states]
        roots += [
            d
            for d in self.steps
            if self.kind[d.value] == "streamed" and self.stage.get(d.value) == stage
        ]
        wanted: dict[Value, list[Def]] = {d.value: [] for d in roots if d not in states}
        for step in reversed(self.steps):
            if step in roots or step.value in wanted:
                for value in sorted(step.term.loads, key=lambda v: v.name):
                    if self.kind.get(value) == "streamed":
                        wanted.setdefault(value, []).append(step)
        return wanted

    @property
    def repeated(self) -> frozenset[Value]:
        """Sums that others have to compute again, to the same bits."""
        folding = (d.value for d in self.steps if own_folds(d.term))
        return self.anew.intersection(folding) if self.alike else frozenset()

    @property
    def stages(self) -> int:
        """Passes over the streamed axis."""
        return 1 + max(self.stage[v] for v in self.stage if self.kind[v] != "row")


def find_streams(
    region: Region,
    least: float = 0,
    saving: float = 0,
    repeated: frozenset[Value] = frozenset(),
    alone: int = 0,
) -> list[Stream]:
    """Streams of ``region``, those that save most first; those of few rows last.

    They are of arrays of ``least`` bytes or more, and save at least ``saving`` bytes, or have fewer
    than ``alone`` rows. The sums ``repeated`` are computed elsewhere, too, to the same bits.
    """
    return _Finder(region, least, saving, repeated, alone).streams()


def _folds_over(term: Term, chosen: Callable[[Axis], bool]) -> list[Fold]:
    return [t for t in reversed(own_folds(term)) if any(map(chosen, t.over))]


def reads_much(step: Def, rows: int, least: float) -> bool:
    """Whether a definition of fewer than so many rows reads ``least`` bytes or more.

    Its rows are those beside its longest axis: shares of them give each thread a part.
    """
    extents = sorted(a.extent for a in step.axes)
    if not extents or prod(extents[:-1]) >= rows:
        return False
    return sum(v.nbytes for v in step.term.loads) >= least


def is_plain(index: Affine) -> Axis | None:
    """The axis that ``index`` is, if it is one."""
    if index.const == 0 and len(index.terms) == 1:
        atom, k = index.terms[0]
        if isinstance(atom, Axis) and k == 1:
            return atom
    return None


class _Finder:
    def __init__(
        self,
        region: Region,
        least: float,
        saving: float,
        repeated: frozenset[Value],
        alone: int,
    ) -> None:
        self.region = region
        self.least = least
        self.saving = saving
        self.repeated = repeated
        self.alone = alone
        self.wanted = set(region.outputs)
        self.at = {s.value: n for n, s in enumerate(region.steps)}
        self.steps = _without_views(region)
        self.place = {d.value: n for n, d in enumerate(self.steps)}
        self.definition = {d.value: d for d in self.steps}
        self.inlined = {s.value for s in region.steps if isinstance(s, Def)} - self.place.keys()
        self.folds = {d.value: _folds_over(d.term, lambda a: True) for d in self.steps}
        self.contractions = {d.value for d in self.steps if is_contraction(d.term)}
        self.reads: dict[Value, list[Load]] = {
            d.value: [
                t for t in postorder(d.term) if isinstance(t, Load) and t.value in self.definition
            ]
            for d in self.steps
        }
        self.readers: dict[Value, dict[Value, None]] = {}
        for value, loads in self.reads.items():
            for load in loads:
                self.readers.setdefault(load.value, {})[value] = None
        #: What the region's steps read, and what reads that, before views were inlined.
        self.uses = {s.value: reads_of(s) for s in region.steps}
        self.users: dict[Value, list[Value]] = {}
        for step in region.steps:
            for value in self.uses[step.value]:
                self.users.setdefault(value, []).append(step.value)
                if not isinstance(step, Def):
                    self.readers.setdefault(value, {})[step.value] = None
        self.classes = AxisClasses()
        for loads in self.reads.values():
            for load in loads:
                for axis, index in zip(self.definition[load.value].axes, load.index, strict=True):
                    other = is_plain(index)
                    if other is not None and other.extent == axis.extent > 1:
                        self.classes.unite(axis, other)
        for step in self.steps:
            self.follow_inputs(step)
        self.axes = {
            d.value: {self.classes.of(a) for a in d.axes if a.extent > 1} for d in self.steps
        }

    def follow_inputs(self, step: Def) -> None:
        """Unite the axis that ``step`` folds an input along with that of who reads both.

        As in ``x[i, j] - m[i]`` where ``m[i] = max[r] x[i, r]``: no value is defined over ``j``.
        """
        for fold in self.folds[step.value]:
            axis = fold.over[0]
            if len(fold.over) > 1 or axis.extent < 2 or not self.classes.is_alone(axis):
                continue
            read = self.inputs_of(*fold.bodies)
            for reader in self.beyond(step):
                theirs = self.inputs_of(reader.term)
                other = next((o for o in self.along_with(axis, step, read, theirs)), None)
                if other is not None:
                    self.classes.unite(other, axis)
                    break

    def along_with(
        self, axis: Axis, step: Def, read: Sequence[Load], theirs: Sequence[Load]
    ) -> Iterator[Axis]:
        """Axes that walk an input in ``theirs`` as ``axis`` does where it is ``read``."""
        known = {self.classes.of(a) for a in step.axes}
        for a in read:
            for b in theirs:
                if a.value is not b.value:
                    continue
                for other in sorted(b.axes, key=lambda x: x.serial):
                    if other.extent == axis.extent and self.classes.of(other) not in known:
                        moved = (i.substitute({axis: Affine.of(other)}) for i in a.index)
                        if all(map(self.alike, moved, b.index)):
                            yield other

    def alike(self, a: Affine, b: Affine) -> bool:
        """Whether two indices are the same, of axes of the same classes."""
        first, second = (
            i.substitute({x: Affine.of(self.classes.of(x)) for x in i.axes()}) for i in (a, b)
        )
        return first == second

    def inputs_of(self, *terms: Term) -> list[Load]:
        """What terms read of the region's inputs."""
        loads = (t for t in postorder(*terms) if isinstance(t, Load))
        return [t for t in loads if t.value not in self.definition and not t.sources]

    def beyond(self, step: Def) -> Iterator[Def]:
        """What reads ``step``, or what is made of it for each row, along other axes too."""
        rows = {self.classes.of(a) for a in step.axes}
        seen: set[Value] = set()
        stack = [step.value]
        while stack:
            for value in self.readers.get(stack.pop(), ()):
                if value in seen or value not in self.definition:
                    continue
                seen.add(value)
                reader = self.definition[value]
                axes = {self.classes.of(a) for a in reader.axes if a.extent > 1}
                if axes <= rows and not self.folds[value]:
                    stack.append(value)
                else:
                    yield reader

    def streams(self) -> list[Stream]:
        found: list[Stream] = []
        seen: set[tuple[Value, Axis, frozenset[Axis]]] = set()
        for step, along in self.seeds():
            order = [self.classes.of(a) for a in step.axes if a.extent > 1]
            rows = tuple(a for a in order if a is not along)
            if len(set(order)) != len(order) or (step.value, along, frozenset(rows)) in seen:
                continue
            kind = self.convex(self.members(step, along, {along, *rows}))
            seen.update((v, along, frozenset(rows)) for v, k in kind.items() if k == "streamed")
            for again in (True, False):
                stream = self.stream(kind, along, rows, again)
                if stream is not None:
                    found.append(stream)
        # Shares of few rows are the next best where rows are for each thread.
        return sorted(found, key=lambda s: (self.is_alone(s.rows), -s.saved))

    def is_alone(self, rows: Sequence[Axis]) -> bool:
        """Whether there are too few rows for every thread."""
        return prod(a.extent for a in rows) < self.alone

    def saving_of(self, rows: Sequence[Axis]) -> float:
        """Bytes that a stream with these rows has to save."""
        return 0.0 if self.is_alone(rows) else self.saving

    def seeds(self) -> Iterator[tuple[Def, Axis]]:
        """Definitions and the axes that others fold them along, large ones first."""
        large = [
            d
            for d in self.steps
            if d.value.nbytes >= self.least or reads_much(d, self.alone, self.least)
        ]
        for step in sorted(large, key=lambda d: -d.value.nbytes):
            along: dict[Axis, None] = {}
            for reader in self.readers.get(step.value, ()):
                for fold in self.folds.get(reader, ()):
                    along.update((self.classes.of(a), None) for a in fold.over)
            yield from ((step, a) for a in along if a in self.axes[step.value])

    def stream(
        self, kind: Mapping[Value, Kind], along: Axis, rows: tuple[Axis, ...], again: bool
    ) -> Stream | None:
        """The stream of these members; with ``again``, others compute its streamed values anew."""
        inside = sorted((self.definition[v] for v in kind), key=lambda d: self.place[d.value])
        if "state" not in kind.values():
            return None
        if not all(self.is_regular(d, {along, *rows}, kind) for d in inside):
            return None
        anew = self.anew(inside, kind) if again else frozenset()
        if again and not anew:
            return None
        alike = bool(self.repeated & kind.keys())
        alike = alike or not _same_again([self.definition[v] for v in anew])
        outputs = tuple(d.value for d in inside if self.is_output(d.value, kind, anew))
        # Folds that become definitions of their own add to this, but less than there is.
        held = sum(d.value.nbytes for d in inside if d.value not in outputs)
        if 2 * held < self.saving_of(rows):
            return None
        gone = {v: k for v, k in kind.items() if v not in anew}
        replaces = frozenset(gone) | self.views_of(gone)
        split = _split_folds(inside, lambda a: self.classes.of(a) is along)
        stream = Stream(tuple(split), replaces, outputs, along, rows, self.classes, anew, alike)
        if stream.saved < self.saving_of(rows):
            return None
        for step in split:
            stream.kind[step.value] = _kind(step, stream, kind)
        return stream if _stages(stream) else None

    def anew(self, inside: Sequence[Def], kind: Mapping[Value, Kind]) -> frozenset[Value]:
        """Streamed members that others read, with those that these are made of."""
        found: set[Value] = set()
        for step in reversed(inside):
            if kind[step.value] == "streamed" and step.value not in self.wanted:
                readers = self.readers.get(step.value, ())
                if any(r not in kind or r in found for r in readers):
                    found.add(step.value)
        return frozenset(found)

    def is_output(self, value: Value, kind: Mapping[Value, Kind], anew: frozenset[Value]) -> bool:
        """Whether a member is needed elsewhere."""
        if value in self.wanted:
            return True
        readers = self.readers.get(value, ())
        return value not in anew and any(r not in kind or r in anew for r in readers)

    # -- membership --------------------------------------------------------------------------------

    def members(self, seed: Def, along: Axis, shared: set[Axis]) -> dict[Value, Kind]:
        """The definitions that belong with ``seed``: its neighbours, theirs, and so on."""
        kind: dict[Value, Kind] = {seed.value: "streamed"}
        stack = [seed.value]
        while stack:
            value = stack.pop()
            near = [r for r in self.readers.get(value, ()) if r in self.definition]
            if kind[value] != "state":
                near += [t.value for t in self.reads[value]]
            for other in near:
                if other in kind or not self.fits(other, along, shared, kind):
                    continue
                if along in self.axes[other]:
                    kind[other] = "streamed"
                elif self.folds_along(other, along):
                    kind[other] = "state"
                elif self.is_row(other, along, shared, kind):
                    kind[other] = "row"
                else:
                    continue
                stack.append(other)
        return kind

    def folds_along(self, value: Value, along: Axis) -> bool:
        return any(self.classes.of(a) is along for f in self.folds[value] for a in f.over)

    def is_row(
        self, value: Value, along: Axis, shared: set[Axis], kind: Mapping[Value, Kind]
    ) -> bool:
        """Whether a definition is made of members, or of folds along the stream."""
        stack, seen = [value], {value}
        if value in self.contractions:
            return False
        while stack:
            for load in self.reads[stack.pop()]:
                other = load.value
                if other in kind or self.folds_along(other, along):
                    return True
                if other not in seen and along not in self.axes[other] and not self.folds[other]:
                    seen.add(other)
                    if shared - {along} <= self.axes[other]:
                        stack.append(other)
        return False

    def fits(
        self, value: Value, along: Axis, shared: set[Axis], kind: Mapping[Value, Kind]
    ) -> bool:
        step = self.definition[value]
        if not shared - {along} <= self.axes[value] or has_scan(step.term):
            return False
        return self.is_regular(step, shared, kind)

    def convex(self, kind: dict[Value, Kind]) -> dict[Value, Kind]:
        """Without definitions that need what others compute from the stream's."""
        later: set[Value] = set()
        places = [self.at[v] for v in kind]
        for step in self.region.steps[min(places) : max(places) + 1]:
            value = step.value
            if value in kind:
                if any(t.value in later for t in self.reads[value]):
                    del kind[value]
                    later.add(value)
            elif any(v in kind or v in later for v in self.uses[value]):
                later.add(value)
        return kind

    def is_regular(self, step: Def, shared: set[Axis], kind: Mapping[Value, Kind]) -> bool:
        """Whether ``step`` has one axis of each class, and reads members at these axes alone."""
        axes = {*step.axes, *(a for f in self.folds[step.value] for a in f.over)}
        classes = [self.classes.of(a) for a in axes if self.classes.of(a) in shared]
        if len(set(classes)) != len(classes):
            return False
        for load in (t for t in self.reads[step.value] if t.value in kind):
            for axis, index in zip(self.definition[load.value].axes, load.index, strict=True):
                if self.classes.of(axis) in shared and is_plain(index) is None:
                    return False
        return True

    def views_of(self, kind: Mapping[Value, Kind]) -> frozenset[Value]:
        """Inlined views that nothing but members read."""
        gone: set[Value] = set(kind)
        stack = [v for value in kind for v in self.uses[value]]
        while stack:
            view = stack.pop()
            if view in gone or view not in self.inlined:
                continue
            if view not in self.wanted and all(r in gone for r in self.users[view]):
                gone.add(view)
                stack += self.uses[view]
        return frozenset(gone)


def reads_of(step: Def | Scatter) -> set[Value]:
    """The values that a step needs."""
    found = loaded(*step.terms)
    return found | {step.operand} if isinstance(step, Scatter) else found


def _same_again(steps: Iterable[Def]) -> bool:
    """Whether ``steps`` mean the same if they are computed twice, perhaps in another order.

    Sums may differ in their last bits: no matter, unless somebody asks whether they are equal.
    """
    terms = [t for d in steps for t in postorder(d.term)]
    if not any(isinstance(t, Fold) and dtypes.is_floating(t.dtype) for t in terms):
        return True
    return not any(
        isinstance(t, Map) and t.op in ("eq", "ne") and dtypes.is_floating(t.args[0].dtype)
        for t in terms
    )


def _without_views(region: Region) -> list[Def]:
    """The definitions, views and what is made of indices alone put where they are read."""
    views: dict[Value, Def] = {}
    kept: list[Def] = []

    def load(t: Load) -> Term:
        view = views.get(t.value)
        if view is None:
            return t
        return substitute(view.term, dict(zip(view.axes, t.index, strict=True)))

    for step in region.steps:
        if not isinstance(step, Def):
            continue
        term = substitute(step.term, {}, load)
        new = Def(step.value, step.axes, term, step.source)
        if step.value not in region.outputs and _is_view(term):
            views[step.value] = new
        else:
            kept.append(new)
    return kept


def _is_view(term: Term) -> bool:
    if isinstance(term, Load):
        return True
    return all(isinstance(t, Index | Const | Map) for t in postorder(term))


def _split_folds(steps: Iterable[Def], along: Callable[[Axis], bool]) -> list[Def]:
    """The definitions, with every component of a fold along the axis in one of its own."""
    out: list[Def] = []
    for step in steps:
        made: dict[Term, Term] = {}
        for term in _components(_folds_over(step.term, along)):
            if term == step.term:
                continue
            axes = tuple(a for a in step.axes if a in term.axes)
            shape = tuple(a.extent for a in axes)
            value = Value(f"{step.value.name}_{len(made)}", shape, term.dtype)
            out.append(Def(value, axes, term, step.source))
            made[term] = Load(value, tuple(map(Affine.of, axes)))
        out.append(Def(step.value, step.axes, replace_subterms(step.term, made), step.source))
    return out


def _components(folds: Iterable[Fold]) -> list[Term]:
    found: list[Term] = []
    for fold in folds:
        if fold.monoid.arity == 1:
            found.append(fold)
        else:
            found += [Proj(fold, n) for n in range(fold.monoid.arity)]
    return found


def _kind(step: Def, stream: Stream, known: Mapping[Value, Kind]) -> Kind:
    if step.value in known and known[step.value] == "streamed":
        return "streamed"
    return "state" if stream.folds_along(step.term) else "row"


# -- stages ----------------------------------------------------------------------------------------


def fold_of(term: Term) -> Fold:
    """The fold that a state is, or is a component of."""
    fold = term.fold if isinstance(term, Proj) else term
    assert isinstance(fold, Fold)
    return fold


def _stages(stream: Stream) -> bool:
    """Give every state and row its stage; False where that is not possible."""
    for step in stream.steps:
        kind = stream.kind[step.value]
        term = expanded(step, stream)
        # What is streamed is there in every pass, an output, too: it stands apart from all states.
        placed = (v for v in loaded(term) if v in stream.stage)
        needs = [v for v in placed if stream.kind[v] != "streamed"]
        if kind == "row":
            stream.stage[step.value] = max((stream.stage[v] for v in needs), default=0)
        elif kind == "state":
            if not _place(step, term, needs, stream):
                return False
        elif step.value in stream.outputs:
            stream.stage[step.value] = max((stream.stage[v] + 1 for v in needs), default=0)
    return True


def _place(step: Def, term: Term, needs: Sequence[Value], stream: Stream) -> bool:
    if len(_folds_over(term, stream.is_along)) != 1:
        return False
    stage = 0
    for value in needs:
        stage = max(stage, stream.stage[value] + (stream.kind[value] == "row"))
    same = tuple(v for v in needs if stream.stage[v] == stage)
    if same:
        for v in same:
            stream.after.setdefault(v, Value(f"{v.name}_new", v.shape, v.dtype))
        fold = fold_of(term)
        moving = {v: stream.after[v] for v in same}
        others = (a for b in fold.bodies for a in b.axes)
        apart = frozenset(a for a in others if stream.classes.of(a) not in stream.rows)
        change = repaired(fold, moving, apart)
        if change is UNKNOWN:
            stage, same = stage + 1, ()
        elif change is FREE:
            same = ()
        else:
            stream.change[step.value] = change
    stream.stage[step.value] = stage
    stream.drivers[step.value] = same
    return True


def expanded(step: Def, stream: Stream) -> Term:
    """The term of ``step`` with streamed definitions put where they are read.

    Folds in these that depend on no state stay apart: what they are does not matter.
    """

    def load(t: Load) -> Term:
        inner = stream.whole.get(t.value)
        if inner is None:
            return t
        return substitute(inner, dict(zip(stream.definition[t.value].axes, t.index, strict=True)))

    term = substitute(step.term, {}, load)
    if stream.kind[step.value] == "streamed":
        moving = any(v in stream.stage for v in loaded(term))
        if moving or not any(isinstance(x, Fold) for x in postorder(term)):
            stream.whole[step.value] = term
    return term
