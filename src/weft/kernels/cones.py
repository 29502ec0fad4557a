"""From the choice of what is stored to cones: terms with everything interior inlined.

Definitions over the same loops that read one another element by element merge into one cone with
several outputs (an optimiser's moments and its update; a layer's value and its activation).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from weft.core.extents import rank
from weft.kernels.axes import normalize_axes
from weft.kernels.build import Cone, Output
from weft.kernels.fusion import MAX_NODES, Choice, has_scan, is_contraction, own_folds
from weft.kernels.groups import Groups
from weft.terms.affine import Affine, Axis
from weft.terms.liveness import loaded
from weft.terms.region import Def, Scatter
from weft.terms.term import (
    Fuse,
    Load,
    Scan,
    Term,
    Value,
    bound_axes,
    known_index,
    postorder,
    rename_bound,
    substitute,
)

#: A definition read at an index.
_Reading = tuple[Value, tuple[Affine, ...]]


def make_cones(choice: Choice, wanted: Iterable[Value]) -> list[tuple[Cone, Scatter | None]]:
    """Kernels to build, in an order that respects their dependences (with the scatter it performs).

    ``wanted`` are the values needed after the region; others are stored only if another kernel
    reads them.
    """
    inliner = _Inliner(choice)
    inlined = _inline_all(choice, inliner)
    stored = [_expanded(s, inliner) if isinstance(s, Scatter) else s for s in choice.stored]
    choice = replace(choice, stored=stored)
    cones: list[tuple[Cone, Scatter | None]] = []
    outside = set(wanted).union(*(_reads(inlined[v], inlined) for v in choice.rows))
    for group in _without_internal(_merge(choice, inlined, set(wanted)), inlined, outside):
        first = group[0]
        if isinstance(first, Scatter):
            cones.append((Cone(first.value.name, (_scatter_output(first),)), first))
            continue
        if has_scan(inlined[first.value].term):
            cones.append((Cone(first.value.name, (_scan_output(inlined[first.value]),)), None))
            continue
        defs = _shared_axes([inlined[d.value] for d in group])
        outputs = [Output(d.value, d.axes, tuple(map(Affine.of, d.axes)), d.term) for d in defs]
        rows = _rows(outputs, choice, inlined)
        cones.append((Cone(first.value.name, normalize_axes(outputs), rows), None))
    return cones


class _Inliner:
    """Replaces loads of interior definitions by their terms, each (definition, index) once."""

    def __init__(self, choice: Choice) -> None:
        self.interior = {v: d for v, d in choice.interior.items() if v not in choice.rows}
        self.terms: dict[_Reading, Term] = {}
        self.missing: list[_Reading] = []

    def expand(self, root: Term) -> Term:
        """``root`` over stored values and rows only (iterative: programs can be deep)."""
        stack: list[tuple[_Reading | None, Term]] = [(None, root)]
        result = root
        while stack:
            reading, term = stack[-1]
            if reading in self.terms:
                stack.pop()
                continue
            self.missing = []
            result = substitute(term, {}, self._load)
            if self.missing:
                stack.extend((r, self._body(r)) for r in self.missing)
                continue
            stack.pop()
            if reading is not None:
                self.terms[reading] = result
        return result

    def _load(self, load: Load) -> Term:
        if load.value not in self.interior:
            return load
        reading = (load.value, load.index)
        if reading not in self.terms:
            self.missing.append(reading)
        return self.terms.get(reading, load)

    def _body(self, reading: _Reading) -> Term:
        """The term of a definition at an index, which may load others yet."""
        value, index = reading
        definition = self.interior[value]
        pairs = zip(definition.axes, index, strict=True)
        mapping = {a: i for a, i in pairs if i != Affine.of(a)}
        # A data-dependent index may contain folds of this very definition, over the same axes.
        within = bound_axes(*(d.source for i in index for d in i.dynamics()))
        clash = within & bound_axes(definition.term) if within else within
        term = rename_bound(definition.term, clash) if clash else definition.term
        return substitute(term, mapping) if mapping else term


def _inline_all(choice: Choice, inliner: _Inliner) -> dict[Value, Def]:
    """Stored definitions and rows, with loads of other interior definitions replaced by terms."""
    steps = [*(choice.interior[v] for v in choice.rows), *choice.stored]
    return {
        s.value: Def(s.value, s.axes, inliner.expand(s.term), s.source)
        for s in steps
        if isinstance(s, Def)
    }


def _rows(
    outputs: list[Output], choice: Choice, inlined: dict[Value, Def]
) -> tuple[tuple[Def, int], ...]:
    """The rows that the terms of ``outputs`` read, and the rows those read."""
    found: dict[Value, tuple[Def, int]] = {}
    stack = [o.term for o in outputs]
    while stack:
        for term in postorder(stack.pop()):
            if isinstance(term, Load) and term.value in choice.rows and term.value not in found:
                found[term.value] = (inlined[term.value], choice.rows[term.value])
                stack.append(inlined[term.value].term)
    return tuple(found.values())


def _expanded(step: Scatter, inliner: _Inliner) -> Scatter:
    """A scatter over stored values and rows only, as the kernel that performs it reads them."""
    return replace(
        step,
        index=tuple(i.substitute({}, lambda t: known_index(inliner.expand(t))) for i in step.index),
        update=inliner.expand(step.update),
        guard=None if step.guard is None else inliner.expand(step.guard),
    )


def _scatter_output(step: Scatter) -> Output:
    return Output(step.value, step.axes, step.index, step.update, step.combine, step.guard)


def _scan_output(step: Def) -> Output:
    """A running reduction: the loop over the scanned axis goes last and carries the totals.

    The output's own axis ``i`` becomes that loop's ``r`` (``n-1-r`` for a scan from the end).
    """
    scans = [t for t in postorder(step.term) if isinstance(t, Scan)]
    over = Axis(scans[0].over.name, scans[0].over.extent)
    axis = next(iter(scans[0].upto.axes()))
    sign = scans[0].upto.coefficient(axis)
    here = (Affine.of(over) - scans[0].upto.const) * sign
    mapping = {axis: here} | {s.over: Affine.of(over) for s in scans}
    axes = (*(a for a in step.axes if a is not axis), over)
    index = tuple(Affine.of(a).substitute(mapping) for a in step.axes)
    term = substitute(step.term, mapping)
    return Output(step.value, axes, index, term, scans=True)


# -- merging ---------------------------------------------------------------------------------------


def _merge(
    choice: Choice, inlined: dict[Value, Def], wanted: set[Value]
) -> list[list[Def | Scatter]]:
    """Group stored definitions that share their loops and feed one another element by element."""
    groups = Groups(choice.stored, {s.value: _reads(s, inlined) for s in choice.stored})
    size = {s.value: _size(s, inlined) for s in choice.stored}
    # Elementwise groups first: a contraction then gets all of its consumers as one epilogue.
    steps = [s for s in choice.stored if isinstance(s, Def)]
    for contractions, step in [*((False, s) for s in steps), *((True, s) for s in steps)]:
        if contractions and _is_one_contraction(inlined[step.value].term):
            _join_consumers(step, groups, inlined, size)
        for load in _permuted_loads(inlined[step.value]):
            a, b = groups.of.get(load.value), groups.of[step.value]
            if a is None or a == b or load.value not in inlined:
                continue
            if _folds(inlined[load.value].term) != contractions:
                continue
            first, second = groups.members[a], groups.members[b]
            if sum(size[s.value] for s in (*first, *second)) > MAX_NODES:
                continue
            kept = first[0].value in wanted or groups.is_read_outside(first[0].value, (a, b))
            if _joins(first, second, load, inlined, kept) and not groups.path_around(a, b):
                groups.merge(a, b)
                _forward(groups.members[b], inlined)
    return groups.in_order()


def _join_consumers(
    contraction: Def, groups: Groups, inlined: dict[Value, Def], size: dict[Value, int]
) -> None:
    """Let elementwise consumers of a contraction share a kernel, even if none reads another."""
    first: int | None = None
    for reader in groups.readers[contraction.value]:
        group = groups.of[reader]
        members = groups.members[group]
        simple = all(isinstance(s, Def) and not _folds(inlined[s.value].term) for s in members)
        if not simple or any(s.value not in inlined for s in members):
            continue
        if first is None or first == group:
            first = group
            continue
        both = [*groups.members[first], *members]
        shapes = {tuple(a.extent for a in s.axes) for s in both}
        if len(shapes) > 1 or sum(size[s.value] for s in both) > MAX_NODES:
            continue
        if not groups.path_around(first, group) and not groups.path_around(group, first):
            groups.merge(first, group)
            first = group


def _size(step: Def | Scatter, inlined: dict[Value, Def]) -> int:
    """Operators to compute for each element."""
    return len(postorder(inlined[step.value].term if isinstance(step, Def) else step.update))


def _without_internal(
    groups: list[list[Def | Scatter]], inlined: dict[Value, Def], wanted: set[Value]
) -> list[list[Def | Scatter]]:
    """Groups without the members that, since merging, nobody outside their kernel reads."""
    read = set(wanted)
    for group in groups:
        for step in group:
            read |= _reads(step, inlined) - {step.value}
    return [[s for s in group if s.value in read or len(group) == 1] for group in groups]


def _reads(step: Def | Scatter, inlined: dict[Value, Def]) -> set[Value]:
    if isinstance(step, Scatter):
        return loaded(*step.terms) | {step.operand}
    return loaded(inlined[step.value].term)


def _permuted_loads(step: Def) -> list[Load]:
    """Loads that read each element once, in the loops' order or another."""
    axes = {Affine.of(a) for a in step.axes}
    loads = [t for t in postorder(step.term) if isinstance(t, Load)]
    return [x for x in loads if len(x.index) == len(axes) and set(x.index) == axes]


def _order(index: Sequence[Affine], axes: Sequence[Axis]) -> tuple[int, ...]:
    """Positions in ``axes`` of the axes that ``index`` consists of."""
    places = {Affine.of(a): n for n, a in enumerate(axes)}
    return tuple(places.get(i, -1) for i in index)


def _joins(
    a: list[Def | Scatter],
    b: list[Def | Scatter],
    load: Load,
    inlined: dict[Value, Def],
    kept: bool,
) -> bool:
    """Whether ``a``, read by ``b`` through ``load``, can share its loops.

    ``kept`` says that ``a`` is needed elsewhere too.
    """
    if any(isinstance(s, Scatter) or _folds(inlined[s.value].term) for s in b):
        return False
    extents = sorted((x.extent for x in b[0].axes), key=rank)
    if any(sorted((x.extent for x in s.axes), key=rank) != extents for s in (*a, *b)):
        return False
    found = {
        (t.value, _order(t.index, s.axes))
        for s in b
        for t in postorder(inlined[s.value].term)
        if isinstance(t, Load) and t.value in {x.value for x in a}
    }
    straight = tuple(range(len(load.index)))
    if len(a) == 1 and isinstance(a[0], Def) and _is_one_contraction(inlined[a[0].value].term):
        # The consumers become the contraction's epilogue; in another order only if it has no
        # reader besides them, for it is then not stored at all.
        orders = {order for _, order in found}
        pieces = any(isinstance(t, Fuse) for x in b for t in postorder(inlined[x.value].term))
        return len(orders) == 1 and not pieces and (straight in orders or not kept)
    if any(isinstance(s, Scatter) or _folds(inlined[s.value].term) for s in a):
        return False
    return all(order == straight for value, order in found if value == load.value)


def _folds(term: Term) -> bool:
    return bool(own_folds(term)) or has_scan(term)


def _is_one_contraction(term: Term) -> bool:
    return is_contraction(term) and len(own_folds(term)) == 1 and not has_scan(term)


def _forward(group: list[Def | Scatter], inlined: dict[Value, Def]) -> None:
    """Replace element-by-element loads inside a group by the terms they load."""
    terms: dict[Value, Def] = {}
    for step in group:
        own = inlined[step.value]

        def load(reading: Load) -> Term:
            source = terms.get(reading.value)
            if source is None:
                return reading
            return substitute(source.term, dict(zip(source.axes, reading.index, strict=True)))

        terms[step.value] = Def(own.value, own.axes, substitute(own.term, {}, load), own.source)
    inlined.update(terms)


def _shared_axes(defs: list[Def]) -> list[Def]:
    """Definitions of one shape over the first one's axes, so that their terms share subterms."""
    first = defs[0]
    out = [first]
    for d in defs[1:]:
        if [a.extent for a in d.axes] == [a.extent for a in first.axes]:
            mapping = {
                a: Affine.of(b) for a, b in zip(d.axes, first.axes, strict=True) if a is not b
            }
            term = substitute(d.term, mapping) if mapping else d.term
            out.append(Def(d.value, first.axes, term, d.source))
        else:
            out.append(d)
    return out
