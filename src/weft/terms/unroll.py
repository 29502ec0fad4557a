"""Unrolling: short folds inside other folds become expressions.

A distance between points of a few coordinates, summed or minimised over many points, is a fold of
folds. Written out, the inner one is arithmetic like any other in the loops of the outer one, which
can then be vectorised along any axis.
"""

from __future__ import annotations

from itertools import product
from math import prod

from weft.terms.affine import Affine
from weft.terms.monoids import ADD
from weft.terms.ops import OPS, result_dtype
from weft.terms.term import Fold, Map, Term, postorder, rebuild, substitute

#: Points of a fold that is written out.
SHORT = 32


def is_short(fold: Fold) -> bool:
    """Whether a fold can be written out where it stands in another one."""
    if fold.monoid.arity != 1 or not all(isinstance(a.extent, int) for a in fold.over):
        return False
    return 0 < prod(a.extent for a in fold.over) <= SHORT


def unroll_inner(root: Term) -> Term:
    """``root`` with the short folds that stand inside other folds written out."""
    order = postorder(root)
    folds = [t for t in order if isinstance(t, Fold)]
    inner = {t for f in folds for t in postorder(*f.bodies) if isinstance(t, Fold) and is_short(t)}
    if not inner:
        return root
    done: dict[Term, Term] = {}
    for t in order:
        new = rebuild(t, done)
        done[t] = _written_out(new) if t in inner and isinstance(new, Fold) else new
    return done[root]


def _written_out(fold: Fold) -> Term:
    """The elements of a fold combined one after the other, as its loop would."""
    total: Term | None = None
    for point in product(*(range(a.extent) for a in fold.over)):
        at = {a: Affine((), n) for a, n in zip(fold.over, point, strict=True)}
        element = substitute(fold.bodies[0], at)
        total = element if total is None else _combined(fold, total, element)
    assert total is not None
    return total


def _combined(fold: Fold, total: Term, element: Term) -> Term:
    if fold.monoid is ADD and isinstance(element, Map) and element.op == "mul":
        return Map("fma", (*element.args, total), fold.dtype)

    def emit(op: str, *args: Term) -> Term:
        dtypes = tuple(a.dtype for a in args)
        return Map(op, args, result_dtype(op, dtypes) if op in OPS else dtypes[0])

    return fold.monoid.combine(emit, (total,), (element,))[0]
