"""`saturate`: a region computed in the cheapest way that the rules find."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

from weft.kernels.machine import Machine
from weft.saturate.axes import TooManyAxesError
from weft.saturate.cost import Costs
from weft.saturate.decode import decode
from weft.saturate.encode import encode
from weft.saturate.engine import Run, engine
from weft.saturate.extract import extract
from weft.saturate.graph import source_graph
from weft.saturate.instances import find_instances
from weft.terms.liveness import loaded
from weft.terms.region import Def, Region, Scatter
from weft.terms.term import Fold, Value, postorder

#: Nanoseconds of running that are worth the time of looking for something better.
WORTH = 2000.0

#: What rules find must cost this part of the source at most, as costs are only estimates.
CLEARLY = 0.95


@dataclass
class Saturation:
    """What became of a region.

    ``before`` and ``after`` are estimated nanoseconds of the source and of what was chosen;
    ``skipped`` says why the rules did not run.
    """

    region: Region
    before: float = inf
    after: float = inf
    run: Run = field(default_factory=Run)
    skipped: str = ""

    @property
    def changed(self) -> bool:
        """Whether another way than the source's was chosen."""
        return self.after < self.before


def saturate(
    region: Region, machine: Machine, numerics: str, worth: float = WORTH
) -> Saturation:
    """``region``, or another that computes the same outputs at less cost.

    What costs less than ``worth`` nanoseconds is left alone.
    """
    defs = [s for s in region.steps if isinstance(s, Def)]
    reason = _reason_to_skip(defs)
    if reason:
        return Saturation(region, skipped=reason)
    try:
        encoded = encode(defs, find_instances(defs))
    except TooManyAxesError:
        return Saturation(region, skipped="too many axes")
    needed = _roots(region, defs)
    source = source_graph(encoded)
    before = extract(Costs(source, encoded, machine), [encoded.of[v] for v in needed]).cost
    found = Saturation(region, before, before)
    if before < worth:
        found.skipped = "too cheap"
        return found
    extents = {1 << n: a.extent for n, a in enumerate(encoded.order)}
    graph = engine(numerics).saturate(encoded.text(), extents, found.run)
    after = extract(Costs(graph, encoded, machine), [graph.terms[encoded.of[v]] for v in needed])
    if after.cost < CLEARLY * before:
        found.after = after.cost
        found.region = Region(region.inputs, decode(region, encoded, graph, after), region.outputs)
    return found


def _reason_to_skip(defs: Iterable[Def]) -> str:
    """Why no rule can apply, if that is plain to see."""
    folds = False
    for definition in defs:
        for t in postorder(definition.term):
            if any(not isinstance(a.extent, int) or a.extent == 0 for a in t.axes):
                return "open or empty axes"
            folds = folds or isinstance(t, Fold)
    return "" if folds else "no folds"


def _roots(region: Region, defs: Iterable[Def]) -> list[Value]:
    """The definitions that are needed whatever becomes of the others."""
    needed = set(region.outputs)
    for step in region.steps:
        if isinstance(step, Scatter):
            needed |= loaded(*step.terms) | {step.operand}
    return [d.value for d in defs if d.value in needed]
