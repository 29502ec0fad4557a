"""What the rules could gain at most: most programs promise nothing, and need no e-graph.

A region whose sums have no better order, no sum beside them to be added to, and nothing that is
read in part stays as it is whatever the rules do. Looking for that takes a hundredth of the time
that saturation takes, and says where to look: rules get to see what is connected by sums and
products with something that promises a gain. The figures are optimistic estimates.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from weft.saturate.cost import Costs
from weft.saturate.encode import DTYPES, Encoded
from weft.saturate.language import OPERATORS

#: Operators that rules look through; everything else is a leaf to them.
ALGEBRA = frozenset(
    [
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Neg",
        "Sum",
        "Red",
        "Last",
        "Of",
        "Times",
        "Over",
        "Select",
        "Not",
    ]
)

#: Operators whose arguments are factors of what a sum adds up.
_PRODUCTS = frozenset(["Of", "Times", "Mul", "Div", "Neg"])


def promises(encoded: Encoded, costs: Costs) -> dict[int, float]:
    """Nanoseconds that rules could save at most, by node; ``costs`` are those of the source."""
    nodes = encoded.nodes
    found: dict[int, float] = {}
    for number, saved in encoded.savings.items():
        dtype = DTYPES[int(nodes[number][1][0])]
        found[number] = saved / costs.multiplications(dtype)
    for number, _ in encoded.equal:
        found.setdefault(number, inf)
    for number, (name, args) in enumerate(nodes[: encoded.source]):
        inner = [nodes[int(args[place])][0] for place in OPERATORS[name].children]
        both = name == "Add" and inner == ["Sum", "Sum"]
        if both or (name == "Red" and "Red" in inner) or name == "Last":
            found[number] = inf
        elif name == "Mul" and "Sum" in inner:
            found[number] = found.get(number, 0.0) + costs.ways(number)[0].cost
        elif name == "Sum":
            saved = _operands_saved(encoded, costs, number)
            if saved:
                found[number] = found.get(number, 0.0) + saved
    return found


def _operands_saved(encoded: Encoded, costs: Costs, number: int) -> float:
    """What it could save to regroup the factors of what a sum adds up.

    Those that do not depend on all of its axes may be multiplied later, and the operand that they
    are part of is then less to compute, or nothing at all.
    """
    nodes, free = encoded.nodes, encoded.free
    code, mask, body = (int(a) for a in nodes[number][1])
    saved = 0.0
    stack = [body]
    while stack:
        name, args = nodes[stack.pop()]
        if name not in _PRODUCTS:
            continue
        places = [int(args[place]) for place in OPERATORS[name].children]
        stack += places
        # A divisor may be a factor of its own.
        if name == "Div" or any(not free[place] & mask for place in places):
            whole = max(places, key=lambda place: free[place].bit_count())
            saved += costs.operand(whole, DTYPES[code]) + costs.ways(whole)[0].cost
    return saved


def neighbourhood(encoded: Encoded, promising: Iterable[int]) -> set[int]:
    """The nodes that rules should see: all that algebra connects with the ``promising`` ones."""
    nodes = encoded.nodes
    links: dict[int, list[int]] = {}
    for number, (name, args) in enumerate(nodes):
        if name in ALGEBRA:
            for place in OPERATORS[name].children:
                child = int(args[place])
                if nodes[child][0] in ALGEBRA:
                    links.setdefault(number, []).append(child)
                    links.setdefault(child, []).append(number)
    for a, b in encoded.equal:
        links.setdefault(a, []).append(b)
        links.setdefault(b, []).append(a)
    found: set[int] = set()
    stack = list(promising)
    while stack:
        number = stack.pop()
        if number not in found:
            found.add(number)
            stack += links.get(number, ())
    return found
