"""An e-graph in Python: classes of nodes over classes, with their free axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from weft.saturate.encode import Encoded
from weft.saturate.language import FREE, OPERATORS, free_axes

#: An operator and its arguments, those that are classes by number.
ENode = tuple[str, tuple[float, ...]]


@dataclass
class Graph:
    """``classes`` are the nodes of each class; ``free`` the mask of its free axes.

    ``terms`` and ``factors`` give the class of a region's node by its number.
    """

    classes: list[list[ENode]] = field(default_factory=list)
    free: list[int] = field(default_factory=list)
    terms: dict[int, int] = field(default_factory=dict)
    factors: dict[int, int] = field(default_factory=dict)

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return sum(map(len, self.classes))


def read_graph(engine: Any) -> Graph:
    """What an egglog engine holds; nodes and classes in a fixed order."""
    graph = Graph()
    numbers: dict[Any, int] = {}
    plain: dict[tuple[str, Any], float] = {}
    convert: dict[str, Callable[[Any], float]] = {
        "n": engine.value_to_i64,
        "v": engine.value_to_f64,
    }

    def number(value: Any) -> int:
        found = numbers.get(value)
        if found is None:
            found = numbers[value] = len(graph.classes)
            graph.classes.append([])
            graph.free.append(0)
        return found

    def argument(kind: str, value: Any) -> float:
        if kind in "tf":
            return number(value)
        found = plain.get((kind, value))
        if found is None:
            found = plain[kind, value] = convert[kind](value)
        return found

    functions = engine.freeze().functions
    for name, table in (("term", graph.terms), ("factor", graph.factors)):
        for row in functions[name].rows:
            table[int(argument("n", row.inputs[0]))] = number(row.output)
    for name, o in OPERATORS.items():
        for row in functions[name].rows:
            args = tuple(argument(k, v) for k, v in zip(o.signature, row.inputs, strict=True))
            graph.classes[number(row.output)].append((name, args))
    for function in FREE.values():
        for row in functions[function].rows:
            graph.free[number(row.inputs[0])] = int(argument("n", row.output))
    return graph


def source_graph(encoded: Encoded) -> Graph:
    """The graph of what the source says: a class for each of its nodes."""
    graph = Graph()
    for number, node in enumerate(encoded.nodes[: encoded.source]):
        sort = OPERATORS[node[0]].sort
        (graph.terms if sort == "T" else graph.factors)[number] = number
        graph.classes.append([node])
        graph.free.append(free_axes(node, graph.free))
    return graph
