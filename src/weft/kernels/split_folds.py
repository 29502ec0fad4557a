"""Folds with few results as folds of folds: a grid of blocks computes parts, another combines them.

::

    total = sum[i] f(x[i])    →    parts[o] = sum[t] f(x[32·o + t]);  total = sum[o] parts[o]

Blocks of a grid cannot wait for each other, so that what a CPU does within a kernel
(`weft.kernels.schedule.folds`) takes two launches on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from weft.terms.affine import Affine, Axis
from weft.terms.region import Def, Region
from weft.terms.term import FOLDS, Fold, Load, Term, Value, postorder, rebind, replace_subterms

#: Elements that a part should fold at least.
LEAST = 32


def split_folds(region: Region, threads: int) -> Iterator[Region]:
    """``region`` with the folds of one more definition in parts, one after the other.

    Folds are cut into parts until there are ``threads`` results to be computed side by side.
    """
    for place, step in enumerate(region.steps):
        if isinstance(step, Def) and step.term.holds & FOLDS:
            parts = _split(step, threads)
            if len(parts) > 1:
                steps = (*region.steps[:place], *parts, *region.steps[place + 1 :])
                yield Region(region.inputs, steps, region.outputs)


def _split(step: Def, threads: int) -> list[Def]:
    """``step``, after definitions of the parts of its folds."""
    found: list[Def] = []
    instead: dict[Term, Term] = {}
    for term in postorder(step.term):
        if not isinstance(term, Fold) or term.monoid.arity > 1 or not term.axes <= set(step.axes):
            continue
        kept, inner = cut(term, threads // max(1, prod(a.extent for a in term.axes)), LEAST)
        if not kept:
            continue
        axes = (*(a for a in step.axes if a in term.axes), *kept)
        shape = tuple(a.extent for a in axes)
        value = Value(f"{step.value.name}.parts{len(found)}", shape, term.dtype)
        found.append(Def(value, axes, inner, step.source))
        fresh = {a: Axis(a.name, a.extent) for a in kept}
        index = tuple(Affine.of(fresh.get(a, a)) for a in axes)
        instead[term] = Fold(term.monoid, tuple(fresh.values()), (Load(value, index),))
    return [*found, Def(step.value, step.axes, replace_subterms(step.term, instead), step.source)]


def cut(fold: Fold, wanted: int, least: int) -> tuple[list[Axis], Fold]:
    """The axes of ``wanted`` parts of a fold, or somewhat fewer, and the fold of one part: of at
    least so many elements. No axes where that cannot be.

    What lies together in memory, the last axes usually, stays together. Folds over axes of the same
    extents are cut alike.
    """
    kept: list[Axis] = []
    over = [a for a in fold.over if a.extent > 1]
    short = [a for a in fold.over if a.extent == 1]
    while over and prod(a.extent for a in over) > least and wanted > 1:
        axis = over[0]
        rest = prod(a.extent for a in over[1:])
        if rest >= least and axis.extent <= wanted:
            kept.append(axis)
            over = over[1:]
            wanted //= axis.extent
            continue
        count = _divisor(axis.extent, min(wanted, axis.extent * rest // least))
        if count < 2:
            break
        outer = Axis(axis.name, count)
        inner = Axis(axis.name, axis.extent // count)
        position = Affine.of(outer) * inner.extent + inner
        body = rebind(fold.bodies[0], {axis: position}, {})
        over = [inner, *over[1:]]
        return [*kept, outer], Fold(fold.monoid, (*over, *short), (body,))
    return kept, Fold(fold.monoid, (*over, *short), fold.bodies)


def _divisor(extent: int, most: int) -> int:
    """The largest divisor of ``extent`` up to ``most``."""
    return max(n for n in range(1, max(2, most + 1)) if extent % n == 0)
