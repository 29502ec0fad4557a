"""What the nodes of a graph cost, in nanoseconds: a lower bound by operations and bytes.

These prices only decide between ways to compute the same thing; schedules have prices of their own
(`weft.kernels.price`). A value over some axes is computed once for each point of them. Elementwise
operations run in the loops of what uses them, so they cost operations; the operands and results of
contractions are arrays in memory, so they cost their bytes as well, at the level where an array of
that size lives.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from weft.kernels.machine import Machine
from weft.kernels.uses import CHEAP_NS, OPERATION_NS
from weft.saturate.encode import DTYPES, Encoded
from weft.saturate.graph import Graph
from weft.saturate.language import OPERATORS
from weft.structs import struct

#: Nanoseconds that a loop nest of its own takes before it has done anything.
PASS = 500.0

#: Operators whose results are arrays, or parts of arrays.
_ARRAYS = frozenset(["Leaf", "Const", "Sum", "Red", "Last"])
_PLAIN = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Neg": "neg"}


@struct(frozen=True)
class Way:
    """One way to compute a class: from the classes ``needs``, at a cost of its own."""

    node: tuple[str, tuple[float, ...]]
    needs: tuple[int, ...]
    cost: float


class Costs:
    """The ways to compute each class of a graph."""

    def __init__(self, graph: Graph, encoded: Encoded, machine: Machine) -> None:
        self.graph = graph
        self.encoded = encoded
        self.machine = machine
        self.extents = [a.extent for a in encoded.order]
        self._points: dict[int, int] = {}

    def ways(self, number: int) -> list[Way]:
        """The ways to compute a class, in a fixed order."""
        found: list[Way] = []
        for node in self.graph.classes[number]:
            found += self._KINDS.get(node[0], Costs._elementwise)(self, number, node)
        return found

    def points(self, mask: int) -> int:
        """The points of a set of axes."""
        found = self._points.get(mask)
        if found is None:
            chosen = (n for i, n in enumerate(self.extents) if mask >> i & 1)
            found = self._points[mask] = prod(chosen)
        return found

    def moved(self, number: int, dtype: np.dtype) -> float:
        """Moving an array once."""
        return self.machine.traffic_ns(self.points(self.graph.free[number]) * dtype.itemsize)

    def operand(self, number: int, dtype: np.dtype) -> float:
        """Moving an operand of a contraction: what is elementwise has to be brought to memory."""
        once = self.moved(number, dtype)
        if self._is_array(number):
            return once
        made = self._operations("div", self.graph.free[number]) if self._is_quotient(number) else 0
        return 2 * once + PASS + made

    def _is_quotient(self, number: int) -> bool:
        """Whether a factor is one by which something is divided."""
        return any(name == "Over" for name, _ in self.graph.classes[number])

    def _is_array(self, number: int) -> bool:
        """Whether a class is in memory by itself: a load, or the result of a fold."""
        names = {name for name, _ in self.graph.classes[number]}
        if names & _ARRAYS:
            return True
        inner = [args for name, args in self.graph.classes[number] if name == "Of"]
        if any(self._is_array(int(args[0])) for args in inner):
            return True
        return not inner and self._is_epilogue(number)

    def _is_epilogue(self, number: int) -> bool:
        """Whether something elementwise is done to the result of a fold where that is stored."""
        free = self.graph.free
        operands = (
            int(args[place])
            for name, args in self.graph.classes[number]
            for place in OPERATORS[name].children
        )
        return any(
            free[c] == free[number] and any(name == "Sum" for name, _ in self.graph.classes[c])
            for c in operands
        )

    def multiplications(self, dtype: np.dtype) -> float:
        """Multiplications, each with an addition, per nanosecond."""
        return self.machine.products(dtype.itemsize)

    # -- kinds of nodes ----------------------------------------------------------------------------

    def _leaf(self, number: int, node: tuple[str, tuple[float, ...]]) -> list[Way]:
        leaf = self.encoded.leaves[int(node[1][0])]
        needs = tuple(self.graph.terms[self.encoded.of[v]] for v in leaf.reads)
        # What many points read is moved once.
        nbytes = sum(map(min, leaf.loads))
        work = sum(OPERATION_NS.get(op, CHEAP_NS) * n for op, n in leaf.operations)
        cost = self.machine.traffic_ns(nbytes) + work / self.machine.threads
        return [Way(node, needs, cost)]

    def _const(self, number: int, node: tuple[str, tuple[float, ...]]) -> list[Way]:
        return [Way(node, (), 0.0)]

    def _elementwise(self, number: int, node: tuple[str, tuple[float, ...]]) -> list[Way]:
        name, args = node
        op = _PLAIN.get(name) or self.encoded.operations[int(args[0])][0]
        needs = tuple(int(a) for a in args[1:])
        return [Way(node, needs, self._operations(op, self.graph.free[number]))]

    def _not(self, number: int, node: tuple[str, tuple[float, ...]]) -> list[Way]:
        return [Way(node, (int(node[1][0]),), self._operations("not", self.graph.free[number]))]

    def _operations(self, op: str, mask: int) -> float:
        nanoseconds = OPERATION_NS.get(op, CHEAP_NS)
        return nanoseconds * self.points(mask) / self.machine.threads

    def _fold(self, number: int, node: tuple[str, tuple[float, ...]]) -> list[Way]:
        _, (_, mask, body) = node
        axes = self.graph.free[int(body)] | int(mask)
        return [Way(node, (int(body),), self._operations("add", axes))]

    def _last(self, number: int, node: tuple[str, tuple[float, ...]]) -> list[Way]:
        """A running sum has no end of its own: it is read from the whole, or it is a sum."""
        return []

    def _sum(self, number: int, node: tuple[str, tuple[float, ...]]) -> list[Way]:
        """A sum of products is one loop nest over both factors, of one factor over that."""
        _, (code, mask, body) = node
        nodes = self.graph.classes[int(body)]
        products = [args for name, args in nodes if name == "Times"]
        head = (int(code), int(mask))
        found = [self._contraction(number, head, int(a), int(b)) for _, a, b in products]
        for name, args in nodes:
            if name == "Of" and not products:
                term = int(args[0])
                fused = any(n[0] == "Mul" for n in self.graph.classes[term])
                axes = self.graph.free[term] | int(mask)
                cost = 0.0 if fused else self._operations("add", axes)
                found.append(Way(("SumOf", (code, mask, term)), (term,), cost))
        return found

    def _contraction(self, number: int, head: tuple[int, int], a: int, b: int) -> Way:
        code, mask = head
        dtype = DTYPES[code]
        free = self.graph.free
        axes = free[a] | free[b] | mask
        outside = axes & ~mask
        node = ("Contract", (code, mask, a, b))
        if not (free[a] & outside & ~free[b] and free[b] & outside & ~free[a]):
            # Nothing is read twice: as fast as memory, and each element takes an operation.
            cost = self._operations("mul", axes)
            if self._is_quotient(a) or self._is_quotient(b):
                cost += self._operations("div", axes)
            return Way(node, (a, b), cost)
        moved = self.moved(number, dtype) + self.operand(a, dtype) + self.operand(b, dtype)
        return Way(node, (a, b), self.points(axes) / self.multiplications(dtype) + moved + PASS)

    def _of(self, number: int, node: tuple[str, tuple[float, ...]]) -> list[Way]:
        return [Way(node, (int(node[1][0]),), 0.0)]

    def _times(self, number: int, node: tuple[str, tuple[float, ...]]) -> list[Way]:
        """A product of factors as an array of its own."""
        _, (code, a, b) = node
        free = self.graph.free
        divides = self._is_quotient(int(a)) or self._is_quotient(int(b))
        cost = self._operations("div" if divides else "mul", free[number])
        if free[int(a)] & ~free[int(b)] and free[int(b)] & ~free[int(a)]:
            # An outer product is larger than both: it does not run in anybody's loops for free.
            cost += 2 * self.moved(number, DTYPES[int(code)])
        return [Way(node, (int(a), int(b)), cost)]

    def _over(self, number: int, node: tuple[str, tuple[float, ...]]) -> list[Way]:
        return [Way(node, (int(node[1][1]),), 0.0)]

    _KINDS: dict[str, Callable[..., list[Way]]] = {
        "Leaf": _leaf,
        "Const": _const,
        "Not": _not,
        "Sum": _sum,
        "Red": _fold,
        "Last": _last,
        "Of": _of,
        "Times": _times,
        "Over": _over,
    }
