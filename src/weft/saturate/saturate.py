"""`saturate`: a region computed in the cheapest way that the rules find."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from weft.core.bounded import BoundedCache
from weft.kernels.machine import Machine
from weft.saturate.axes import TooManyAxesError
from weft.saturate.cost import Costs
from weft.saturate.decode import decode
from weft.saturate.encode import Encoded, encode
from weft.saturate.engine import Run, engine
from weft.saturate.extract import Extraction, extract
from weft.saturate.graph import Graph, part_text, source_graph, whole_graph
from weft.saturate.instances import find_instances
from weft.saturate.pieces import pieces
from weft.saturate.promise import neighbourhood, promises
from weft.saturate.rule import CLASSES
from weft.structs import struct
from weft.terms.liveness import loaded
from weft.terms.region import Def, Region, Scatter
from weft.terms.term import Fold, Scan, Value, postorder

#: Nanoseconds of running that are worth the time of looking for something better.
WORTH = 2000.0

#: What rules find must cost this part of the source at most, as costs are only estimates.
CLEARLY = 0.995


@struct
class Saturation:
    """What became of a piece of a region.

    ``before`` and ``after`` are estimated nanoseconds of the source and of what was chosen;
    ``skipped`` says why the rules did not run, ``search`` what they worked on.
    """

    region: Region
    before: float = inf
    after: float = inf
    skipped: str = ""
    search: Search | None = None

    @property
    def changed(self) -> bool:
        """Whether another way than the source's was chosen."""
        return self.after < self.before


@struct
class Found:
    """What the search among the ways to compute some nodes came to; shared by equal pieces."""

    graph: Graph
    extraction: Extraction
    run: Run


@struct
class Search:
    """What was searched: the nodes of a piece, those that are needed, and those that promised a
    gain; and what was found."""

    encoded: Encoded
    roots: tuple[int, ...]
    promising: tuple[int, ...]
    found: Found


#: The last searches, by structure.
_found: BoundedCache[Found] = BoundedCache(512)


def saturate(
    region: Region, machine: Machine, numerics: str, worth: float = WORTH
) -> tuple[Region, list[Saturation]]:
    """``region``, or another that computes the same outputs at less cost, and how it was found.

    Pieces that cost less than ``worth`` nanoseconds are left alone.
    """
    done = [_one(piece, machine, numerics, worth) for piece in pieces(region)]
    if not any(s.changed for s in done):
        return region, done
    steps = tuple(step for s in done for step in s.region.steps)
    return Region(region.inputs, steps, region.outputs), done


def _one(region: Region, machine: Machine, numerics: str, worth: float) -> Saturation:
    defs = [s for s in region.steps if isinstance(s, Def)]
    reason = _reason_to_skip(defs)
    if reason:
        return Saturation(region, skipped=reason)
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
    search = _search(encoded, tuple(roots), tuple(promising), machine, numerics)
    result.search, found = search, search.found
    if found.extraction.cost < CLEARLY * before:
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
) -> Search:
    """The cheapest ways found to compute the nodes ``roots``; once for all equal nodes."""

    def make() -> Found:
        run = Run()
        text = part_text(encoded, neighbourhood(encoded, promising))
        graph = whole_graph(encoded, engine().saturate(text, numerics, run))
        costs = Costs(graph, encoded, machine)
        return Found(graph, extract(costs, [graph.terms[n] for n in roots]), run)

    found = _found.get((encoded.key(), roots, machine, numerics), make)
    return Search(encoded, roots, promising, found)


def _reason_to_skip(defs: Iterable[Def]) -> str:
    """Why no rule can apply, if that is plain to see."""
    folds = False
    for definition in defs:
        for t in postorder(definition.term):
            if any(not isinstance(a.extent, int) or a.extent == 0 for a in t.axes):
                return "open or empty axes"
            folds = folds or isinstance(t, Fold | Scan)
    return "" if folds else "no folds"


def _needed(region: Region, defs: Iterable[Def]) -> list[Value]:
    """The definitions that are needed whatever becomes of the others."""
    needed = set(region.outputs)
    for step in region.steps:
        if isinstance(step, Scatter):
            needed |= loaded(*step.terms) | {step.operand}
    return [d.value for d in defs if d.value in needed]
