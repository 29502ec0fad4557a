"""Bounds of index expressions at a point of a term: intervals, refined by what is known there.

Inside a piece of a `Fuse` the index is known to lie in the piece's range. Such a *fact* ``lo <= e
< hi`` tightens the bounds of other expressions: of ``m·e + rest``, and of divisions of it. Where
intervals are not enough, what would have to hold outside the bounds is shown to be impossible.
"""

from __future__ import annotations

from typing import NamedTuple

from weft.terms.affine import Affine, Axis, FloorDiv, Interval
from weft.terms.constraints import Constraints


class Fact(NamedTuple):
    """``lo <= expr < hi``."""

    expr: Affine
    lo: int
    hi: int


Facts = tuple[Fact, ...]


def _meet(a: Interval, b: Interval) -> Interval:
    return max(a[0], b[0]), min(a[1], b[1])


def axis_ranges(facts: Facts) -> dict[Axis, Interval]:
    """Ranges of axes that single-axis facts restrict."""
    ranges: dict[Axis, Interval] = {}
    for expr, lo, hi in facts:
        if len(expr.terms) != 1:
            continue
        atom, k = expr.terms[0]
        if not isinstance(atom, Axis) or abs(k) != 1:
            continue
        ends = ((lo - expr.const) * k, (hi - 1 - expr.const) * k)
        known = ranges.get(atom, atom.bounds)
        ranges[atom] = _meet(known, (min(ends), max(ends)))
    return ranges


def bounds_given(expr: Affine, facts: Facts) -> Interval:
    """An inclusive interval that contains ``expr`` wherever all ``facts`` hold."""
    ranges = axis_ranges(facts)
    found = _meet(expr.bounds(ranges), _by_atoms(expr, facts, ranges))
    for fact in facts:
        found = _meet(found, _by_fact(expr, fact, ranges))
    return found


def _by_atoms(expr: Affine, facts: Facts, ranges: dict[Axis, Interval]) -> Interval:
    """Term by term, with the numerators of divisions bounded under the facts."""
    lo = hi = expr.const
    for atom, k in expr.terms:
        if isinstance(atom, FloorDiv):
            a, b = bounds_given(atom.numerator, facts)
            a, b = a // atom.divisor, b // atom.divisor
        else:
            a, b = Affine(((atom, 1),)).bounds(ranges)
        lo, hi = lo + min(k * a, k * b), hi + max(k * a, k * b)
    return lo, hi


def _by_fact(expr: Affine, fact: Fact, ranges: dict[Axis, Interval]) -> Interval:
    """``m·fact + rest`` for the multiple that removes the fact's first term."""
    whole = expr.bounds(ranges)
    if not fact.expr.terms:
        return whole
    atom, k = fact.expr.terms[0]
    m, left = divmod(expr.coefficient_of(atom), k)
    if not m or left:
        return whole
    lo, hi = (expr - fact.expr * m).bounds(ranges)
    ends = (m * fact.lo, m * (fact.hi - 1))
    return lo + min(ends), hi + max(ends)


def is_proven(expr: Affine, lo: int, hi: int, facts: Facts) -> bool:
    """Whether ``lo <= expr < hi`` wherever all ``facts`` hold, as far as can be shown."""
    first, last = bounds_given(expr, facts)
    below = first < lo and not _excluded(expr, first, lo, facts)
    return not below and (last < hi or _excluded(expr, hi, last + 1, facts))


def _excluded(expr: Affine, lo: int, hi: int, facts: Facts) -> bool:
    """Whether ``lo <= expr < hi`` contradicts the facts."""
    c = Constraints()
    at = c.point()
    for fact in facts:
        c.within(at(fact.expr), fact.lo, fact.hi)
    c.within(at(expr), lo, hi)
    return c.impossible()
