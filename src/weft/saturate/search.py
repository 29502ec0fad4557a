"""The search for cheaper ways to compute a piece of a region: encode, saturate, extract, decode."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from weft.core.bounded import BoundedCache
from weft.kernels.machine import Machine
from weft.saturate.axes import TooManyAxesError
from weft.saturate.cost import Costs
from weft.saturate.encode import Encoded, encode
from weft.saturate.extract import extract
from weft.saturate.graph import part_text, source_graph, whole_graph
from weft.saturate.instances import find_instances
from weft.saturate.promise import neighbourhood, promises
from weft.saturate.rule import CLASSES
from weft.saturate.saturate import Found, Saturation, Search
from weft.terms.liveness import loaded
from weft.terms.region import Def, Region, Scatter
from weft.terms.term import Value

#: What rules find must cost this part of the source at most, as costs are only estimates.
CLEARLY = 0.995

#: The last searches, by structure.
_found: BoundedCache[Found] = BoundedCache(512)


def improved(
    region: Region,
    defs: Sequence[Def],
    machine: Machine,
    numerics: str,
    worth: float,
    exact: bool = False,
) -> Saturation:
    """What the rules make of a piece with the definitions ``defs``."""
    needed = _needed(region, defs)
    try:
        encoded = encode(defs, needed, find_instances(region), numerics != CLASSES[0])
    except TooManyAxesError:
        return Saturation(region, skipped="too many axes")
    roots = [encoded.of[v] for v in needed]
    costs = Costs(source_graph(encoded), encoded, machine)
    before = extract(costs, roots).cost
    result = Saturation(region, before, before)
    promising = promises(encoded, costs)
    if before < worth:
        result.skipped = "too cheap"
    elif sum(promising.values()) < (1 - CLEARLY) * before:
        result.skipped = "nothing to gain"
    if result.skipped:
        return result
    search = _search(encoded, tuple(roots), tuple(promising), machine, numerics, exact)
    result.search, found = search, search.found
    if found.extraction.cost < CLEARLY * before:
        from weft.saturate.decode import decode

        result.after = found.extraction.cost
        steps = decode(region, encoded, found.graph, found.extraction)
        result.region = Region(region.inputs, steps, region.outputs)
    return result


def _search(
    encoded: Encoded,
    roots: tuple[int, ...],
    promising: tuple[int, ...],
    machine: Machine,
    numerics: str,
    exact: bool,
) -> Search:
    """The cheapest ways found to compute the nodes ``roots``; once for all equal nodes."""

    def make() -> Found:
        from weft.saturate.engine import Run, engine

        run = Run()
        text = part_text(encoded, neighbourhood(encoded, promising))
        graph = whole_graph(encoded, engine().saturate(text, numerics, run))
        costs = Costs(graph, encoded, machine)
        return Found(graph, extract(costs, [graph.terms[n] for n in roots], exact), run)

    found = _found.get((encoded.key(), roots, machine, numerics, exact), make)
    return Search(encoded, roots, promising, found)


def _needed(region: Region, defs: Iterable[Def]) -> list[Value]:
    """The definitions that are needed whatever becomes of the others."""
    needed = set(region.outputs)
    for step in region.steps:
        if isinstance(step, Scatter):
            needed |= loaded(*step.terms) | {step.operand}
    return [d.value for d in defs if d.value in needed]
