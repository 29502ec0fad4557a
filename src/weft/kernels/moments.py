"""Sums of deviations from a mean, in one pass over rows that no cache holds: by blocks.

A sum whose elements are polynomials of a number that is itself a sum over the same elements takes
two passes: the number has to be known first.  Each block of a row has a number of its own, though,
as if the row were nothing else, and what the block has summed up with that one is repaired when the
number of the whole row is known (`weft.terms.expansion`)::

    m = sum[r] x[r] / n                        parts[o] = sum[t] x[o,t];  c[o] = O·(parts[o] / n)
    v = sum[r] (x[r] - m)²            →        p₀[o] = sum[t] (x[o,t] - c[o])²;  p₁[o] = …
                                               m = sum[o] parts[o] / n;  δ[o] = m - c[o]
                                               v = sum[o] p₀[o] + p₁[o]·δ[o] + p₂[o]·δ[o]²

A block is read twice, and stays in a core's cache.  Deviations are from the mean of their own
block, so that nothing cancels: the sum is as accurate as that of two passes.
"""

from __future__ import annotations

from math import prod

from weft.core import dtypes
from weft.kernels.machine import Machine
from weft.kernels.split_folds import cut
from weft.structs import struct
from weft.terms.affine import Affine, Axis
from weft.terms.build import const, op
from weft.terms.expansion import expansion, is_multiple
from weft.terms.monoids import ADD
from weft.terms.region import Def, Region, Scatter
from weft.terms.term import (
    FOLDS,
    FUSES,
    SCANS,
    Const,
    Fold,
    Load,
    Term,
    Value,
    postorder,
    replace_subterms,
    substitute,
)

#: Elements of a block at least: what is added to each block has to be little.
LEAST = 1024


@struct(frozen=True)
class _Cascade:
    """A ``fold`` whose elements are polynomials of ``moving``, a multiple of the sum ``total``."""

    step: Def
    fold: Fold
    moving: Load
    coefficients: tuple[Term | None, ...]
    number: Term
    total: Load
    first: Fold


def in_blocks(region: Region, machine: Machine) -> Region:
    """``region`` with such sums by blocks, where a row is more than half of the last cache."""
    large = machine.levels[-1].capacity // 2
    made = {s.value: s for s in region.steps if isinstance(s, Def)}
    found = [c for s in made.values() if (c := _cascade(s, made, large)) is not None]
    if not found:
        return region
    rewriter = _Rewriter(made, machine.levels[0].capacity // 2)
    for cascade in found:
        rewriter.rewrite(cascade)
    steps: list[Def | Scatter] = []
    for step in region.steps:
        steps += rewriter.before.get(step.value, [])
        steps.append(rewriter.instead.get(step.value, step))
    return Region(region.inputs, tuple(steps), region.outputs)


# -- finding ---------------------------------------------------------------------------------------


def _cascade(step: Def, made: dict[Value, Def], large: int) -> _Cascade | None:
    fold = _sum(step.term)
    if fold is None or prod(a.extent for a in fold.over) * fold.dtype.itemsize <= large:
        return None
    fold = Fold(fold.monoid, fold.over, (_inlined(fold.bodies[0], frozenset(fold.over), made),))
    for moving in postorder(fold.bodies[0]):
        source = made.get(moving.value) if isinstance(moving, Load) else None
        if not isinstance(moving, Load) or source is None or moving.axes & set(fold.over):
            continue
        coefficients = expansion(fold.bodies[0], moving)
        if coefficients is None or len(coefficients) < 3:
            continue
        number = substitute(source.term, dict(zip(source.axes, moving.index, strict=True)))
        for total in (t for t in postorder(number) if isinstance(t, Load)):
            made_by = made.get(total.value)
            first = None if made_by is None else _sum(made_by.term)
            alike = first is not None and [a.extent for a in first.over] == [
                a.extent for a in fold.over
            ]
            if first is not None and alike and is_multiple(number, total):
                return _Cascade(step, fold, moving, coefficients, number, total, first)
    return None


def _sum(term: Term) -> Fold | None:
    """A term that is a sum of floats, over known extents."""
    if not isinstance(term, Fold) or term.monoid is not ADD or not dtypes.is_floating(term.dtype):
        return None
    return term if all(isinstance(a.extent, int) for a in term.over) else None


def _inlined(term: Term, over: frozenset[Axis], made: dict[Value, Def]) -> Term:
    """``term`` with what is elementwise along ``over`` put where it is read."""

    def load(t: Load) -> Term:
        step = made.get(t.value)
        if step is None or not t.axes & over or step.term.holds & (FOLDS | SCANS | FUSES):
            return t
        return _inlined(
            substitute(step.term, dict(zip(step.axes, t.index, strict=True))), over, made
        )

    return substitute(term, {}, load)


# -- rewriting -------------------------------------------------------------------------------------


class _Rewriter:
    """Definitions to come ``before`` others, and some ``instead`` of them, in blocks of bytes."""

    def __init__(self, made: dict[Value, Def], block: int) -> None:
        self.made = made
        self.block = block
        self.before: dict[Value, list[Def]] = {}
        self.instead: dict[Value, Def] = {}
        #: The parts of sums.
        self.parts: dict[Value, Def] = {}

    def rewrite(self, cascade: _Cascade) -> None:
        """The sum of ``cascade``, and that which moves in it, by blocks."""
        step, fold = cascade.step, cascade.fold
        elements = prod(a.extent for a in fold.over)
        wanted = -(-elements * fold.dtype.itemsize // self.block)
        kept, _ = cut(fold, wanted, LEAST)
        if not kept:
            return
        count = prod(a.extent for a in kept)
        axes = (*step.axes, *kept)
        everywhere = tuple(map(Affine.of, axes))
        parts = self.parts_of(self.made[cascade.total.value], cascade.first, wanted)

        # The number of a block, as if the row were nothing else: as it is computed beside the
        # moments, and as it is read afterwards.
        where = (*cascade.total.index, *map(Affine.of, kept))
        summed = substitute(parts.term, dict(zip(parts.axes, where, strict=True)))
        beside, here = (
            op("mul", own, const(count, own.dtype))
            for own in (
                replace_subterms(cascade.number, {cascade.total: part})
                for part in (summed, Load(parts.value, where))
            )
        )
        self.before[step.value] = []
        whole: Term | None = None
        delta = op("sub", cascade.moving, here)
        for n, coefficient in reversed(list(enumerate(cascade.coefficients))):  # Horner's scheme
            whole = None if whole is None else op("mul", whole, delta)
            if coefficient is None:
                continue
            moment: Term
            if isinstance(coefficient, Const):
                moment = const(coefficient.value * (elements // count), coefficient.dtype)
            else:
                at, inner = cut(Fold(ADD, fold.over, (coefficient,)), wanted, LEAST)
                body = replace_subterms(inner.bodies[0], {cascade.moving: beside})
                body = substitute(body, {a: Affine.of(b) for a, b in zip(at, kept, strict=True)})
                known = _defined(step, f"moment{n}", axes, Fold(ADD, inner.over, (body,)))
                self.before[step.value].append(known)
                moment = Load(known.value, everywhere)
            whole = moment if whole is None else op("add", whole, moment)
        assert whole is not None
        self.instead[step.value] = _folded(step, kept, whole)

    def parts_of(self, step: Def, fold: Fold, wanted: int) -> Def:
        """The parts of the sum that ``step`` is."""
        found = self.parts.get(step.value)
        if found is None:
            kept, inner = cut(fold, wanted, LEAST)
            axes = (*step.axes, *kept)
            found = self.parts[step.value] = _defined(step, "parts", axes, inner)
            self.before[step.value] = [found]
            read = Load(found.value, tuple(map(Affine.of, axes)))
            self.instead[step.value] = _folded(step, kept, read)
        return found


def _defined(step: Def, name: str, axes: tuple[Axis, ...], term: Term) -> Def:
    """Something that ``step`` needs, over more axes."""
    value = Value(f"{step.value.name}.{name}", tuple(a.extent for a in axes), term.dtype)
    return Def(value, axes, term, step.source)


def _folded(step: Def, axes: list[Axis], body: Term) -> Def:
    """``step`` as the sum of ``body`` over ``axes``, which others have, too."""
    fresh = {a: Axis(a.name, a.extent) for a in axes}
    body = substitute(body, {a: Affine.of(b) for a, b in fresh.items()})
    return Def(step.value, step.axes, Fold(ADD, tuple(fresh.values()), (body,)), step.source)
