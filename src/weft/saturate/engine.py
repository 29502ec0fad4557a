"""egglog, as Weft uses it: rules installed once, a scope for each region, budgets of nodes.

Only egglog's extension module is loaded: its Python package would import thirty others. The engine
runs one iteration per call, since there is no limit inside one; the same nodes and rules always
give the same graph.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from weft.saturate.graph import Graph, read_graph
from weft.saturate.language import declarations
from weft.saturate.rule import Rule

#: Nodes beyond which no further iteration starts.
MOST_NODES = 2000

#: Iterations at most; what is out of their reach is rarely worth the time.
MOST_ITERATIONS = 6


@dataclass
class Run:
    """What saturation did: iterations, nodes at the end, and how often each rule applied."""

    iterations: int = 0
    nodes: int = 0
    saturated: bool = False
    matches: dict[str, int] = field(default_factory=dict)


class Engine:
    """An e-graph with rules of some numerical level installed."""

    def __init__(self, rules: Sequence[Rule], numerics: str) -> None:
        self._graph = _bindings().EGraph()
        self._lock = threading.Lock()
        self.names: dict[str, str] = {}
        texts = [(rule, rule.text(numerics)) for rule in rules]
        phases = dict.fromkeys(rule.phase for rule in rules)
        self._do(declarations())
        self._do("\n".join(f"(ruleset {phase})" for phase in phases))
        self._do("\n".join(dict.fromkeys(text for _, text in texts if text)))
        self.schedule = " ".join(f"(run {p}) (saturate (run analysis))" for p in phases)

    def _do(self, text: str) -> list[Any]:
        return self._graph.run_program(*self._graph.parse_program(text))

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """What is added inside is forgotten afterwards."""
        with self._lock:
            self._do("(push)")
            try:
                yield
            finally:
                self._do("(pop)")

    def saturate(
        self, nodes: str, extents: Mapping[int, int], run: Run, most_nodes: int = MOST_NODES
    ) -> Graph:
        """The graph of ``nodes`` (a program) after the rules, within the budgets."""
        with self._scope():
            sizes = "\n".join(f"(set (extent {bit}) {float(n)})" for bit, n in extents.items())
            self._do(f"{sizes}\n{nodes}\n(run-schedule (saturate (run analysis)))")
            while run.iterations < MOST_ITERATIONS:
                report = self._do(f"(run-schedule {self.schedule})")[-1].report
                run.iterations += 1
                for rule, count in report.num_matches_per_rule.items():
                    run.matches[rule] = run.matches.get(rule, 0) + count
                run.nodes = self._size()
                run.saturated = not report.updated
                if run.saturated or run.nodes > most_nodes:
                    break
            return read_graph(self._graph)

    def _size(self) -> int:
        """Nodes in the graph."""
        return sum(len(f.rows) for f in self._graph.freeze().functions.values())


@cache
def engine(numerics: str) -> Engine:
    """The engine with all of Weft's rules that ``numerics`` allows."""
    from weft.saturate.rules import RULES

    return Engine(RULES, numerics)


@cache
def _bindings() -> Any:
    """egglog's extension module, without the package around it."""
    loaded = sys.modules.get("egglog.bindings")
    if loaded is not None:
        return loaded
    package = importlib.util.find_spec("egglog")
    if package is None or not package.submodule_search_locations:
        raise ImportError("Weft needs egglog to optimise programs: pip install egglog")
    finder = importlib.machinery.PathFinder()
    spec = finder.find_spec("egglog.bindings", list(package.submodule_search_locations))
    if spec is None or spec.loader is None:
        raise ImportError("egglog is installed without its extension module: reinstall egglog")
    # The engine reports what it does as Python log records; nobody here reads them.
    os.environ.setdefault("RUST_BACKTRACE", "0")
    logging.getLogger("egglog").setLevel(logging.CRITICAL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
