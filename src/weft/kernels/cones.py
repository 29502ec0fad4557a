"""From the choice of what is stored to cones: terms with everything interior inlined.

Definitions over the same loops that read one another element by element merge into one cone with
several outputs (an optimiser's moments and its update; a layer's value and its activation).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from weft.kernels.axes import normalize_axes
from weft.kernels.build import Cone, Output
from weft.kernels.fusion import Choice
from weft.kernels.groups import Member
from weft.kernels.merging import loops_of, merge, reads_of
from weft.kernels.uses import has_scan
from weft.structs import struct
from weft.terms.affine import Affine, Axis
from weft.terms.region import Def, Scatter
from weft.terms.term import (
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
from weft.terms.unroll import unroll_inner

#: A definition read at an index.
_Reading = tuple[Value, tuple[Affine, ...]]


@struct(frozen=True)
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
    steps = [_expanded(s, inliner) if isinstance(s, Scatter) else s for s in choice.stored]
    choice = replace(choice, stored=steps)
    cones: list[Grouped] = []
    groups = merge(choice, inlined, set(wanted)).in_order()
    outside = _read_outside(groups, inlined)
    outside.update(wanted, *(reads_of(inlined[v], inlined) for v in choice.rows))
    for group in groups:
        # Nobody else needs what only they read of one another.
        stored = [s for s in group if s.value in outside or len(group) == 1]
        cone = _cone(group, stored, choice, inlined)
        first = group[0] if isinstance(group[0], Scatter) else None
        cones.append(Grouped(cone, first, tuple(s.value for s in stored)))
    return cones


def _read_outside(groups: Iterable[Sequence[Member]], inlined: dict[Value, Def]) -> set[Value]:
    """The values that a step of another group than their own reads."""
    found: set[Value] = set()
    for group in groups:
        own = {s.value for s in group}
        for step in group:
            found |= reads_of(step, inlined) - own
    return found


def _cone(
    group: Sequence[Member], stored: Sequence[Member], choice: Choice, inlined: dict[Value, Def]
) -> Cone:
    """What the kernel of a group computes; only ``stored`` are for others to read."""
    first = group[0]
    if isinstance(first, Scatter):
        return Cone(first.value.name, (_scatter_output(first),))
    if has_scan(inlined[first.value].term):
        return Cone(first.value.name, (_scan_output(inlined[first.value]),))
    terms = _forwarded([inlined[s.value] for s in group], stored)
    outputs: list[Output] = []
    for step in stored:
        d = terms[step.value]
        loops = tuple(d.axes[n] for n, _ in loops_of(step, choice))
        outputs.append(Output(d.value, loops, tuple(map(Affine.of, d.axes)), d.term))
    return Cone(stored[0].value.name, normalize_axes(outputs), _rows(outputs, choice, inlined))


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
        s.value: Def(s.value, s.axes, unroll_inner(inliner.expand(s.term)), s.source)
        for s in steps
        if isinstance(s, Def)
    }


def _rows(
    outputs: list[Output], choice: Choice, inlined: dict[Value, Def]
) -> tuple[tuple[Def, int], ...]:
    """The rows that the terms of ``outputs`` read, and the rows those read."""
    found: dict[Value, tuple[Def, int]] = {}
    stack = [o.term for o in outputs] if choice.rows else []
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
    for scan in scans:
        if not scan.is_whole or scan.upto != scans[0].upto:
            raise ValueError(
                f"{step.value} needs a scan up to {scan.upto}, which is no running pass"
            )
    over = Axis(scans[0].over.name, scans[0].over.extent)
    axis = next(iter(scans[0].upto.axes()))
    sign = scans[0].upto.coefficient(axis)
    here = (Affine.of(over) - scans[0].upto.const) * sign
    mapping = {axis: here} | {s.over: Affine.of(over) for s in scans}
    axes = (*(a for a in step.axes if a is not axis), over)
    index = tuple(Affine.of(a).substitute(mapping) for a in step.axes)
    term = substitute(step.term, mapping)
    return Output(step.value, axes, index, term, scans=True)


def _forwarded(group: Sequence[Def], stored: Sequence[Member]) -> dict[Value, Def]:
    """Definitions of one kernel over shared axes, what they read of one another as terms.

    The axes are those of the longest that is stored, so that terms share subterms.
    """
    longest = max(stored, key=lambda s: len(s.axes)).axes
    done: dict[Value, Def] = {}
    read: dict[_Reading, Term] = {}

    def load(reading: Load) -> Term:
        source = done.get(reading.value)
        if source is None:
            return reading
        pairs = zip(source.axes, reading.index, strict=True)
        mapping = {a: i for a, i in pairs if i != Affine.of(a)}
        if not mapping:
            return source.term
        key = (reading.value, reading.index)
        if key not in read:
            read[key] = substitute(source.term, mapping)
        return read[key]

    for d in group:
        pairs = list(zip(d.axes, longest, strict=False))
        shared = len(d.axes) <= len(longest) and all(a.extent == b.extent for a, b in pairs)
        mapping = {a: Affine.of(b) for a, b in pairs if a is not b} if shared else {}
        axes = longest[: len(d.axes)] if shared else d.axes
        done[d.value] = Def(d.value, axes, substitute(d.term, mapping, load), d.source)
    return done
