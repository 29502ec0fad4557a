"""Sums of which indices leave one term: diagonal and identity matrices are never made.

::

    sum[r] a[i, r] · where(r == j, d[r], 0)    →    a[i, j] · d[j]

What the other terms multiply by 0 is not looked at any more: an infinity or a NaN there is lost, so
that this belongs to the numerical class ``domain``. It needs the index of what it picks, which
masks of axes do not have; so it is done before there is an e-graph.
"""

from __future__ import annotations

from dataclasses import replace

from weft.kernels.positions import position
from weft.terms.affine import Affine, Axis
from weft.terms.monoids import ADD
from weft.terms.region import Def, Region, Scatter
from weft.terms.term import (
    FOLDS,
    FUSES,
    SCANS,
    Const,
    Fold,
    Index,
    Load,
    Map,
    Term,
    Value,
    postorder,
    replace_subterms,
    substitute,
)

#: Operators of a definition that is looked into.
LONGEST = 40


def select_out(region: Region) -> Region:
    """``region`` with the sums of which indices leave one term replaced by that term."""
    known: dict[Value, Def] = {}
    steps: list[Def | Scatter] = []

    def load(t: Load) -> Term:
        source = known.get(t.value)
        if source is None:
            return t
        return substitute(source.term, dict(zip(source.axes, t.index, strict=True)))

    for step in region.steps:
        if isinstance(step, Def):
            term = substitute(step.term, {}, load)
            if _is_made_of_indices(term):
                known[step.value] = replace(step, term=term)
            found: dict[Term, Term] = {}
            for fold in (t for t in postorder(term) if isinstance(t, Fold)):
                one = _one_term(fold)
                if one is not None:
                    found[fold] = one
            if found:
                step = replace(step, term=replace_subterms(term, found))
        steps.append(step)
    return Region(region.inputs, tuple(steps), region.outputs)


def _is_made_of_indices(term: Term) -> bool:
    if term.holds & (FOLDS | SCANS | FUSES):
        return False
    terms = postorder(term)
    return len(terms) <= LONGEST and any(isinstance(t, Index) for t in terms)


def _one_term(fold: Fold) -> Term | None:
    """The only term of a sum that is not 0; None if there may be more."""
    if fold.monoid is not ADD or len(postorder(*fold.bodies)) > 2 * LONGEST:
        return None
    found = _chosen(fold.bodies[0])
    if found is None:
        return None
    choice, body = found
    a, b = (position(t) for t in choice.args)
    if a is None or b is None:
        return None
    difference = (a - b).exact
    if difference is None:
        return None
    for axis in fold.over:
        where = _solved(difference, axis)
        if where is not None:
            rest = tuple(x for x in fold.over if x is not axis)
            one = substitute(body, {axis: where})
            return Fold(ADD, rest, (one,)) if rest else one
    return None


def _solved(difference: Affine, axis: Axis) -> Affine | None:
    """Where on ``axis`` a difference is 0, if that is on the axis wherever one looks."""
    k = difference.coefficient(axis)
    if k not in (1, -1):
        return None
    where = (Affine.of(axis) * k - difference) * k
    lo, hi = where.bounds()
    return where if axis not in where.axes() and lo >= 0 and hi < axis.extent else None


def _chosen(term: Term) -> tuple[Map, Term] | None:
    """The test of two indices without which a product is 0, and the product where it holds."""
    if not isinstance(term, Map):
        return None
    if term.op == "select":
        test, then, otherwise = term.args
        zero = isinstance(otherwise, Const) and otherwise.value == 0
        return (test, then) if zero and isinstance(test, Map) and test.op == "eq" else None
    if term.op == "cast" and isinstance(term.args[0], Map) and term.args[0].op == "eq":
        return term.args[0], Const(1, term.dtype)
    if term.op not in ("mul", "neg", "div"):
        return None
    for place, factor in enumerate(term.args[:1] if term.op == "div" else term.args):
        found = _chosen(factor)
        if found is not None:
            args = (*term.args[:place], found[1], *term.args[place + 1 :])
            return found[0], Map(term.op, args, term.dtype)
    return None
