"""Products of which data say what is read: computed for those elements alone.

::

    s[i, j] = sum[k] x[i,k]·w[k,j];  p[i] = s[i, y[i]]    →    p[i] = sum[k] x[i,k]·w[k, y[i]]

Whoever reads few elements of a product need not wait until all of it is in memory, and what else
reads the product may then do without the array, too: the scores of a cross-entropy exist in blocks
only.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from weft.kernels.uses import is_contraction
from weft.terms.region import Def, Region
from weft.terms.term import (
    FOLDS,
    FUSES,
    SCANS,
    Load,
    Term,
    Value,
    bound_axes,
    rename_bound,
    substitute,
)

#: The part of a product's elements that may be computed once more.
FEW = 1 / 16


def gathered(region: Region) -> Region:
    """``region`` with elements of products that data choose computed where they are read.

    What is made of a product element by element (the logarithm of a softmax) is read through.
    """
    made: dict[Value, Def] = {}
    steps = list(region.steps)
    found = False
    for place, step in enumerate(steps):
        if not isinstance(step, Def):
            continue
        reads = not made.keys().isdisjoint(step.term.loads)
        if reads:
            term, products = _chosen(step.term, made)
            if products:
                found = True
                steps[place] = Def(step.value, step.axes, term, step.source)
        if is_contraction(step.term) or (reads and not step.term.holds & (FOLDS | SCANS | FUSES)):
            made[step.value] = step
    return Region(region.inputs, tuple(steps), region.outputs) if found else region


def _chosen(term: Term, made: Mapping[Value, Def]) -> tuple[Term, bool]:
    """``term`` with what data choose of ``made`` put in its place; whether products were."""
    found: list[Def] = []

    def load(t: Load) -> Term:
        source = made.get(t.value)
        if source is None or not t.sources or not _few(t):
            return t
        found.append(source)
        inner = rename_bound(source.term, bound_axes(source.term))
        return substitute(inner, dict(zip(source.axes, t.index, strict=True)))

    products, count = False, -1
    while len(found) > count:  # each time one definition further back
        count = len(found)
        term = substitute(term, {}, load)
        products = products or any(is_contraction(d.term) for d in found[count:])
    return term, products


def _few(load: Load) -> bool:
    """Whether a load reads few of the elements that there are, all of known number."""
    extents = [*(a.extent for a in load.axes), *load.value.shape]
    if not all(isinstance(n, int) for n in extents):
        return False
    return prod(a.extent for a in load.axes) <= FEW * load.value.size
