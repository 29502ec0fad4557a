"""Folds over several axes as folds of folds, so that they can end a stream.

::

    total = sum[i, j] f(x[i, j])    →    rows[j] = sum[i] f(x[i, j]);  total = sum[j] rows[j]

A stream is along one axis and keeps the others as rows, of which the last, usually contiguous in
memory, lies across lanes. What follows it folds the rows.
"""

from __future__ import annotations

from collections.abc import Container

from weft.terms.affine import Affine, Axis
from weft.terms.liveness import loaded
from weft.terms.region import Def, Region, Scatter
from weft.terms.term import Fold, Load, Term, Value, postorder, replace_subterms


class WideFolds:
    """The folds of a region over several axes, of what the region computes itself.

    ``whole`` gives the value whose definition folds the rows of another one; ``region`` has all
    of them.
    """

    def __init__(self, region: Region) -> None:
        self.original = region
        self.whole: dict[Value, Value] = {}
        self._parts: dict[Value, list[Def]] = {}
        made = {s.value for s in region.steps}
        for step in region.steps:
            if isinstance(step, Def):
                parts = _split(step, made)
                if len(parts) > 1:
                    self._parts[step.value] = parts
                    self.whole.update((d.value, step.value) for d in parts[:-1])
        self.region = self.of(self.whole)

    def of(self, rows: Container[Value]) -> Region:
        """The region in which the folds that make these ``rows`` are folds of folds."""
        if not self.whole:
            return self.original
        steps: list[Def | Scatter] = []
        for step in self.original.steps:
            parts = self._parts.get(step.value, [])
            steps += parts if any(d.value in rows for d in parts) else [step]
        return Region(self.original.inputs, tuple(steps), self.original.outputs)


def _split(step: Def, made: set[Value]) -> list[Def]:
    """``step``, after definitions of the rows that its wide folds fold."""
    found: list[Def] = []
    instead: dict[Term, Term] = {}
    for term in postorder(step.term):
        if not isinstance(term, Fold) or term.monoid.arity > 1 or not loaded(term) & made:
            continue
        over = [a for a in term.over if a.extent > 1]
        if len(over) < 2 or not term.axes <= set(step.axes):
            continue
        short = [a for a in term.over if a.extent == 1]  # bound with the first, as before
        inner = Fold(term.monoid, (over[0], *short), term.bodies)
        axes = (*(a for a in step.axes if a in term.axes), *over[1:])
        fresh = {a: Axis(a.name, a.extent) for a in over[1:]}
        shape = tuple(a.extent for a in axes)
        value = Value(f"{step.value.name}.rows{len(found)}", shape, term.dtype)
        found.append(Def(value, axes, inner, step.source))
        index = tuple(Affine.of(fresh.get(a, a)) for a in axes)
        instead[term] = Fold(term.monoid, tuple(fresh.values()), (Load(value, index),))
    return [*found, Def(step.value, step.axes, replace_subterms(step.term, instead), step.source)]
