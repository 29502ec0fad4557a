"""An e-graph in Python: classes of nodes over classes, with their free axes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import field
from typing import Any

from weft.saturate.encode import Encoded
from weft.saturate.language import FREE, OPERATORS
from weft.structs import struct

#: An operator and its arguments, those that are classes by number.
ENode = tuple[str, tuple[float, ...]]


@struct
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
    return _graph_of(encoded.nodes[: encoded.source], encoded.free)


def _graph_of(nodes: Sequence[ENode], free: Sequence[int]) -> Graph:
    graph = Graph()
    for number, node in enumerate(nodes):
        sort = OPERATORS[node[0]].sort
        (graph.terms if sort == "T" else graph.factors)[number] = number
        graph.classes.append([node])
        graph.free.append(free[number])
    return graph


# -- a part of a region, for the engine, and back --------------------------------------------------

#: Leaves from this number on stand for nodes that the engine does not see.
_OUTSIDE = 1_000_000

_NAMES = {"t": "term", "f": "factor"}


def part_text(encoded: Encoded, part: Collection[int]) -> str:
    """Some of the nodes as an egglog program; what they need besides is a leaf."""
    nodes, free = encoded.nodes, encoded.free

    def argument(kind: str, arg: float) -> str:
        number = int(arg)
        if kind not in _NAMES:
            return repr(float(arg)) if kind == "v" else str(number)
        if number in part:
            return f"({_NAMES[kind]} {number})"
        name, args = nodes[number]
        if name == "Const":
            return f"(Const {int(args[0])} {float(args[1])!r})"
        return f"(Leaf {_OUTSIDE + number} {free[number]})"

    lines: list[str] = []
    for number in sorted(part):
        name, args = nodes[number]
        o = OPERATORS[name]
        words = [argument(kind, arg) for kind, arg in zip(o.signature, args, strict=True)]
        lines.append(f"(set ({_NAMES[o.sort.lower()]} {number}) ({name} {' '.join(words)}))")
    for a, b in encoded.equal:
        if a in part and b in part:
            lines.append(f"(union (term {a}) (term {b}))")
    return "\n".join(lines)


def whole_graph(encoded: Encoded, part: Graph) -> Graph:
    """All nodes of a region, with what the engine found to be equal to some of them."""
    count = len(encoded.nodes)
    parent = list(range(count + len(part.classes)))

    def find(c: int) -> int:
        while parent[c] != c:
            parent[c] = parent[parent[c]]
            c = parent[c]
        return c

    def unite(a: int, b: int) -> None:
        a, b = find(a), find(b)
        parent[max(a, b)] = min(a, b)

    for a, b in encoded.equal:
        unite(a, b)
    for table in (part.terms, part.factors):
        for number, c in table.items():
            unite(number, count + c)
    for c, nodes in enumerate(part.classes):
        for name, args in nodes:
            if name == "Leaf" and args[0] >= _OUTSIDE:
                unite(int(args[0]) - _OUTSIDE, count + c)
    base = _graph_of(encoded.nodes, encoded.free)
    numbers: dict[int, int] = {}
    whole = Graph()
    for c in range(len(parent)):
        root = find(c)
        if root not in numbers:
            numbers[root] = len(whole.classes)
            whole.classes.append([])
            whole.free.append(-1)
    seen: list[dict[ENode, None]] = [{} for _ in whole.classes]
    for offset, graph in ((0, base), (count, part)):
        for c, nodes in enumerate(graph.classes):
            own = numbers[find(offset + c)]
            whole.free[own] &= graph.free[c]
            for name, args in nodes:
                if name == "Leaf" and args[0] >= _OUTSIDE:
                    continue
                places = OPERATORS[name].children
                moved = tuple(
                    numbers[find(offset + int(a))] if n in places else a for n, a in enumerate(args)
                )
                seen[own][name, moved] = None
    whole.classes = [list(nodes) for nodes in seen]
    for number, (name, _) in enumerate(encoded.nodes):
        table = whole.terms if OPERATORS[name].sort == "T" else whole.factors
        table[number] = numbers[find(number)]
    return whole
