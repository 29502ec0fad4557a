"""Looking for the streams of a region: sets of definitions that one loop over an axis can compute.

`sketches` finds the members, `find_streams` keeps those that have stages (`weft.kernels.streams`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import prod

from weft.core import dtypes
from weft.kernels.streams import AxisClasses, Kind, Stream, find_stages, folds_over, reads_much
from weft.kernels.uses import has_scan, is_contraction
from weft.terms.affine import Affine, Axis
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
    return [s for s in sketches(region, least, saving, repeated, alone) if find_stages(s)]


def sketches(
    region: Region,
    least: float = 0,
    saving: float = 0,
    repeated: frozenset[Value] = frozenset(),
    alone: int = 0,
) -> list[Stream]:
    """What could be streams, in the order of `find_streams`: `find_stages` says which of them are.

    That is most of the work, and who looks for cheap streams can do without it for many.
    """
    return _Finder(region, least, saving, repeated, alone).streams()


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
        self.folds = {d.value: folds_over(d.term, lambda a: True) for d in self.steps}
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
        of = self.classes.of
        self.axes = {d.value: {of(a) for a in d.axes if a.extent > 1} for d in self.steps}
        #: The classes of the axes that a step folds over, and of all it walks, one for each axis.
        self.folded: dict[Value, set[Axis]] = {}
        self.walked: dict[Value, list[Axis]] = {}
        for step in self.steps:
            over = {a for f in self.folds[step.value] for a in f.over}
            self.folded[step.value] = {of(a) for a in over}
            self.walked[step.value] = [of(a) for a in over.union(step.axes)]
        #: For each load of a definition, the classes of the axes that it does not walk as they are.
        self.crooked = {v: [self.crooked_axes(t) for t in ts] for v, ts in self.reads.items()}
        self._split: dict[tuple[Value, Axis], list[Def]] = {}

    def crooked_axes(self, load: Load) -> tuple[Value, frozenset[Axis]]:
        """What ``load`` reads, and the classes of axes at which it reads it by an expression."""
        places = zip(self.definition[load.value].axes, load.index, strict=True)
        return load.value, frozenset(self.classes.of(a) for a, i in places if is_plain(i) is None)

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
        split = [d for step in inside for d in self.split(step, along)]
        stream = Stream(tuple(split), replaces, outputs, along, rows, self.classes, anew, alike)
        if stream.saved < self.saving_of(rows):
            return None
        for step in split:
            stream.kind[step.value] = _kind(step, stream, kind)
        return stream

    def split(self, step: Def, along: Axis) -> list[Def]:
        """`_split_folds` of ``step``, the same for all streams along that axis."""
        found = self._split.get((step.value, along))
        if found is None:
            found = _split_folds(step, lambda a: self.classes.of(a) is along)
            self._split[step.value, along] = found
        return found

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
        return along in self.folded[value]

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
        classes = [c for c in self.walked[step.value] if c in shared]
        if len(set(classes)) != len(classes):
            return False
        return all(v not in kind or shared.isdisjoint(odd) for v, odd in self.crooked[step.value])

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


def _split_folds(step: Def, along: Callable[[Axis], bool]) -> list[Def]:
    """The definition, with every component of a fold along the axis in one of its own."""
    out: list[Def] = []
    made: dict[Term, Term] = {}
    for term in _components(folds_over(step.term, along)):
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
