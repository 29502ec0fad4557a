"""From the choice of what is stored to cones: terms with everything interior inlined.

Definitions over the same loops that read one another element by element merge into one cone with
several outputs (an optimiser's moments and its update; a layer's value and its activation).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace

from weft.core.extents import rank
from weft.kernels.axes import normalize_axes
from weft.kernels.build import Cone, Output
from weft.kernels.fusion import Choice
from weft.kernels.groups import Groups
from weft.kernels.uses import MAX_NODES, has_scan, is_contraction, own_folds
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


@dataclass(frozen=True)
class Grouped:
    """A cone, the scatter that it performs (if it does), and the values that it stores."""

    cone: Cone
    scatter: Scatter | None
    stores: tuple[Value, ...]


def make_cones(choice: Choice, wanted: Iterable[Value]) -> list[Grouped]:
    """Kernels to build, in an order that respects their dependences.

    ``wanted`` are the values needed after the region; others are stored only if another kernel
    reads them.
    """
    inliner = _Inliner(choice)
    inlined = _inline_all(choice, inliner)
    stored = [_expanded(s, inliner) if isinstance(s, Scatter) else s for s in choice.stored]
    choice = replace(choice, stored=stored)
    cones: list[Grouped] = []
    outside = set(wanted).union(*(_reads(inlined[v], inlined) for v in choice.rows))
    for group in _without_internal(_merge(choice, inlined, set(wanted)), inlined, outside):
        cone = _cone(group, choice, inlined)
        first = group[0] if isinstance(group[0], Scatter) else None
        cones.append(Grouped(cone, first, tuple(s.value for s in group)))
    return cones


def _cone(group: list[Def | Scatter], choice: Choice, inlined: dict[Value, Def]) -> Cone:
    """What the kernel of a group computes."""
    first = group[0]
    if isinstance(first, Scatter):
        return Cone(first.value.name, (_scatter_output(first),))
    if has_scan(inlined[first.value].term):
        return Cone(first.value.name, (_scan_output(inlined[first.value]),))
    outputs: list[Output] = []
    for step, d in zip(group, _shared_axes([inlined[d.value] for d in group]), strict=True):
        loops = tuple(d.axes[n] for n, _ in _loops(step, choice))
        outputs.append(Output(d.value, loops, tuple(map(Affine.of, d.axes)), d.term))
    return Cone(first.value.name, normalize_axes(outputs), _rows(outputs, choice, inlined))


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
    reads = {s.value: _reads(s, inlined) for s in choice.stored}
    by_rows = {v: _read_by_rows(found, choice.rows, inlined) for v, found in reads.items()}
    groups = Groups(choice.stored, {v: found | by_rows[v] for v, found in reads.items()})
    size = {s.value: _size(s, inlined) for s in choice.stored}
    # Elementwise groups first: a contraction then gets all of its consumers as one epilogue.
    steps = [s for s in choice.stored if isinstance(s, Def)]
    for contractions, step in [*((False, s) for s in steps), *((True, s) for s in steps)]:
        if contractions and _is_one_contraction(inlined[step.value].term):
            _join_consumers(step, groups, inlined, size, by_rows)
        for load in _permuted_loads(inlined[step.value]):
            a, b = groups.of.get(load.value), groups.of[step.value]
            if a is None or a == b or load.value not in inlined:
                continue
            if _folds(inlined[load.value].term) != contractions:
                continue
            first, second = groups.members[a], groups.members[b]
            if sum(size[s.value] for s in (*first, *second)) > MAX_NODES:
                continue
            if any(x.value in by_rows[s.value] for s in second for x in first):
                continue  # a row is filled from memory, before anything of this kernel is there
            kept = first[0].value in wanted or groups.is_read_outside(first[0].value, (a, b))
            if _joins(first, second, load, inlined, kept) and not groups.path_around(a, b):
                groups.merge(a, b)
                _forward(groups.members[b], inlined)
    for x, y in choice.joined:
        a, b = groups.of[x], groups.of[y]
        if a == b:
            continue
        # What lies between them has to come along.
        chain = [a, *groups.between(a, b), *groups.between(b, a), b]
        if _side_by_side([s for g in chain for s in groups.members[g]], choice, inlined, size):
            for group in chain[:-1]:
                groups.merge(group, b)
            _forward(groups.members[b], inlined)
    return groups.in_order()


def _side_by_side(
    members: list[Def | Scatter],
    choice: Choice,
    inlined: dict[Value, Def],
    size: dict[Value, int],
) -> bool:
    """Whether definitions can be one kernel over shared outer loops, whatever they read of others.

    The loops of each must be the outermost ones of the longest.  What one reads of another is
    computed on the way, so it must belong to the same iteration of the loops that they share.
    """
    if any(isinstance(s, Scatter) or has_scan(inlined[s.value].term) for s in members):
        return False
    if any(_is_one_contraction(inlined[s.value].term) for s in members):
        return False
    if sum(size[s.value] for s in members) > MAX_NODES:
        return False
    longest = max(members, key=lambda s: len(s.axes))
    ordered = [s for s in members if s.value in choice.order]
    if ordered and any(len(s.axes) < len(longest.axes) for s in members):
        return False
    loops = {s.value: _loops(s, choice) for s in members}
    if any(own != loops[longest.value][: len(own)] for own in loops.values()):
        return False
    if any(loops.keys() & _reads(inlined[v], inlined) for v in choice.rows):
        return False  # a row is filled from memory, before anything of this kernel is there
    for step in members:
        for term in postorder(inlined[step.value].term):
            if isinstance(term, Load) and term.value in loops:
                pairs = zip(term.index, step.axes, strict=False)
                if any(i != Affine.of(a) and a.extent > 1 for i, a in pairs):
                    return False
    return True


def _loops(step: Def | Scatter, choice: Choice) -> list[tuple[int, int]]:
    """The loops of a definition: places of its axes, and their extents."""
    return [(step.axes.index(a), a.extent) for a in choice.order.get(step.value, step.axes)]


def _join_consumers(
    contraction: Def,
    groups: Groups,
    inlined: dict[Value, Def],
    size: dict[Value, int],
    by_rows: dict[Value, set[Value]],
) -> None:
    """Let elementwise consumers of a contraction share a kernel, even if none reads another."""
    first: int | None = None
    for reader in groups.readers[contraction.value]:
        if contraction.value in by_rows[reader]:
            continue
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


def _read_by_rows(
    reads: set[Value], rows: Container[Value], inlined: dict[Value, Def]
) -> set[Value]:
    """What the rows among ``reads`` read, and the rows those read: it has to be stored before."""
    found: set[Value] = set()
    stack = [v for v in reads if v in rows]
    while stack:
        new = _reads(inlined[stack.pop()], inlined) - found
        found |= new
        stack.extend(v for v in new if v in rows)
    return found


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
    """Definitions over the axes of the longest, so that their terms share subterms."""
    longest = max(defs, key=lambda d: len(d.axes)).axes
    out: list[Def] = []
    for d in defs:
        pairs = list(zip(d.axes, longest, strict=False))
        if d.axes != longest[: len(d.axes)] and all(a.extent == b.extent for a, b in pairs):
            mapping = {a: Affine.of(b) for a, b in pairs if a is not b}
            term = substitute(d.term, mapping)
            d = Def(d.value, longest[: len(d.axes)], term, d.source)
        out.append(d)
    return out
