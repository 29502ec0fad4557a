"""How a piece came to be computed as it is: the rules of each iteration, and what they saved."""

from __future__ import annotations

from weft.kernels.machine import Machine
from weft.saturate.cost import Costs
from weft.saturate.decode import decode
from weft.saturate.engine import Run, engine
from weft.saturate.extract import extract
from weft.saturate.graph import part_text, whole_graph
from weft.saturate.promise import neighbourhood
from weft.saturate.saturate import Search
from weft.structs import struct
from weft.terms.print import format_step
from weft.terms.region import Region


@struct(frozen=True)
class Step:
    """One iteration: the ``rules`` that applied, and the estimated nanoseconds ``before`` and
    ``after`` of the cheapest way to compute the piece; ``gone`` are the definitions that were part
    of the one before, ``new`` those in their place."""

    rules: tuple[str, ...]
    before: float
    after: float
    gone: tuple[str, ...] = ()
    new: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.before * 1e-3:.2f} → {self.after * 1e-3:.2f} µs: {', '.join(self.rules)}"


def derivation(
    search: Search, before: float, machine: Machine, numerics: str, source: Region
) -> list[Step]:
    """The iterations of a search in ``source`` that made something cheaper.

    It is run again, bit by bit.
    """
    texts = list(map(format_step, source.steps))
    encoded = search.encoded
    text = part_text(encoded, neighbourhood(encoded, search.promising))
    steps: list[Step] = []
    seen: dict[str, int] = {}
    rules: list[str] = []
    for iterations in range(1, search.found.run.iterations + 1):
        run = Run()
        part = engine().saturate(text, numerics, run, most_iterations=iterations)
        graph = whole_graph(encoded, part)
        roots = [graph.terms[n] for n in search.roots]
        extraction = extract(Costs(graph, encoded, machine), roots)
        after = extraction.cost
        rules += sorted(r for r, n in run.matches.items() if n > seen.get(r, 0) and r not in rules)
        seen = run.matches
        if after < before:
            now = list(map(format_step, decode(source, encoded, graph, extraction)))
            gone = tuple(text for text in texts if text not in now)
            new = tuple(text for text in now if text not in texts)
            steps.append(Step(tuple(rules), before, after, gone, new))
            before, rules, texts = after, [], now
    return steps
