"""egglog, as Weft uses it: rules installed when first run, a scope per region, budgets of nodes.

Only egglog's extension module is loaded: its Python package would import thirty others. The engine
runs one iteration per call, since there is no limit inside one; the same nodes and rules always
give the same graph. An e-graph of egglog belongs to the thread that made it.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field
from functools import cache
from typing import TYPE_CHECKING, Any

from weft.saturate.graph import Graph, read_graph
from weft.saturate.language import declarations
from weft.saturate.rule import CLASSES, Rule
from weft.structs import struct

if TYPE_CHECKING:
    from weft.saturate.elsewhere import Elsewhere

#: Nodes beyond which no further iteration starts.
MOST_NODES = 2000

#: Iterations at most; what is out of their reach is rarely worth the time.
MOST_ITERATIONS = 6


@struct
class Run:
    """What saturation did: iterations, nodes at the end, and how often each rule applied."""

    iterations: int = 0
    nodes: int = 0
    saturated: bool = False
    matches: dict[str, int] = field(default_factory=dict)


class Engine:
    """An e-graph with rules, for the thread that makes it."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._graph = _bindings()[0].EGraph()
        sets = {f"{r.phase}-{kind}": None for r in rules for kind in (*CLASSES, "ring")}
        self._do(declarations())
        self._do("\n".join(f"(ruleset {name})" for name in sets))
        self._installed: set[tuple[str, str]] = set()
        self._schedules: dict[str, str] = {}
        self._names = {n for r in rules for n in (r.name, f"{r.name} (integers)")}

    def _install(self, numerics: str) -> None:
        """Adds the rules that a level runs and that are not there: each takes its time."""
        wanted = {(r.name, s): r for r in self.rules for s in r.rulesets(numerics)}
        new = [key for key in wanted if key not in self._installed]
        if new:
            self._do("\n".join(wanted[key].text(key[1]) for key in new))
            self._installed.update(new)

    def _do(self, text: str) -> list[Any]:
        return self._graph.run_program(*self._graph.parse_program(text))

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """What is added inside is forgotten afterwards."""
        self._do("(push)")
        try:
            yield
        finally:
            self._do("(pop)")

    def saturate(
        self,
        nodes: str,
        numerics: str,
        run: Run,
        most_nodes: int = MOST_NODES,
        most_iterations: int = MOST_ITERATIONS,
    ) -> Graph:
        """The graph of ``nodes`` (a program) after the rules that the level ``numerics`` allows,
        within the budgets."""
        self._install(numerics)
        with self._scope():
            self._do(f"{nodes}\n(run-schedule (saturate (run analysis)))")
            schedule = self._schedule(numerics)
            while run.iterations < most_iterations:
                report = self._do(schedule)[-1].report
                run.iterations += 1
                for rule, count in report.num_matches_per_rule.items():
                    if rule in self._names and count:
                        run.matches[rule] = run.matches.get(rule, 0) + count
                run.nodes = self._size()
                run.saturated = not report.updated
                if run.saturated or run.nodes > most_nodes:
                    break
            return read_graph(self._graph)

    def _schedule(self, numerics: str) -> str:
        """One iteration: the phases in turn, and what follows for the analyses after each."""
        found = self._schedules.get(numerics)
        if found is None:
            phases: dict[str, dict[str, None]] = {}
            for rule in self.rules:
                sets = phases.setdefault(rule.phase, {})
                sets.update(dict.fromkeys(rule.rulesets(numerics)))
            steps = [
                f"{' '.join(f'(run {name})' for name in sets)} (saturate (run analysis))"
                for sets in phases.values()
            ]
            found = self._schedules[numerics] = f"(run-schedule {' '.join(steps)})"
        return found

    def _size(self) -> int:
        """Nodes in the graph, and what the analyses know of them."""
        return sum(len(f.rows) for f in self._graph.freeze().functions.values())


class _Local(threading.local):
    engine: Engine | None = None


_local = _Local()


def engine() -> Engine | Elsewhere:
    """This thread's engine with all of Weft's rules."""
    if _loaded_before_fork():
        return _elsewhere(os.getpid())
    if _local.engine is None:
        from weft.saturate.rules.themes import RULES

        _local.engine = Engine(RULES)
    return _local.engine


def _loaded_before_fork() -> bool:
    """Whether egglog was loaded by a process of which this one is a fork."""
    return _bindings.cache_info().currsize > 0 and _bindings()[1] != os.getpid()


@cache
def _elsewhere(pid: int) -> Elsewhere:
    from weft.saturate.elsewhere import Elsewhere

    return Elsewhere()


@cache
def _bindings() -> tuple[Any, int]:
    """egglog's extension module, without the package around it, and the process that loaded it."""
    loaded = sys.modules.get("egglog.bindings")
    if loaded is not None:
        return loaded, os.getpid()
    package = importlib.util.find_spec("egglog")
    if package is None or not package.submodule_search_locations:
        raise ImportError("Weft needs egglog to optimise programs: pip install egglog")
    finder = importlib.machinery.PathFinder()
    spec = finder.find_spec("egglog.bindings", list(package.submodule_search_locations))
    if spec is None or spec.loader is None:
        raise ImportError("egglog is installed without its extension module: reinstall egglog")
    import logging  # takes long to import

    # The engine reports what it does as Python log records; nobody here reads them.
    os.environ.setdefault("RUST_BACKTRACE", "0")
    logging.getLogger("egglog").setLevel(logging.CRITICAL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, os.getpid()
