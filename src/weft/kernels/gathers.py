"""Products of which data say what is read: computed for those elements alone.

::

    s[i, j] = sum[k] x[i,k]·w[k,j];  p[i] = s[i, y[i]]    →    p[i] = sum[k] x[i,k]·w[k, y[i]]

Whoever reads few elements of a product need not wait until all of it is in memory, and what else
reads the product may then do without the array, too: the scores of a cross-entropy exist in blocks
only.
"""

from __future__ import annotations

from math import prod

from weft.kernels.uses import is_contraction
from weft.terms.region import Def, Region
from weft.terms.term import Load, Term, Value, bound_axes, rename_bound, substitute

#: The part of a product's elements that may be computed once more.
FEW = 1 / 16


def gathered(region: Region) -> Region:
    """``region`` with elements of products that data choose computed where they are read."""
    products: dict[Value, Def] = {}
    steps = list(region.steps)
    chosen: list[Load] = []
    for place, step in enumerate(steps):
        if not isinstance(step, Def):
            continue

        def load(t: Load) -> Term:
            source = products.get(t.value)
            if source is None or not t.sources or not _few(t):
                return t
            chosen.append(t)
            term = rename_bound(source.term, bound_axes(source.term))
            return substitute(term, dict(zip(source.axes, t.index, strict=True)))

        if products and not products.keys().isdisjoint(step.term.loads):
            before = len(chosen)
            term = substitute(step.term, {}, load)
            if len(chosen) > before:
                steps[place] = Def(step.value, step.axes, term, step.source)
        elif is_contraction(step.term):
            products[step.value] = step
    return Region(region.inputs, tuple(steps), region.outputs) if chosen else region


def _few(load: Load) -> bool:
    """Whether a load reads few of the elements that there are, all of known number."""
    extents = [*(a.extent for a in load.axes), *load.value.shape]
    if not all(isinstance(n, int) for n in extents):
        return False
    return prod(a.extent for a in load.axes) <= FEW * load.value.size
