"""The meaning of a graph: every node of every class as a NumPy array.

All nodes of a class should be equal; `disagreements` lists those that are not. This is how rules
are tested: by evaluating everything they ever wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from weft.saturate.graph import ENode, Graph
from weft.saturate.language import OPERATORS
from weft.terms.monoids import Monoid
from weft.terms.ops import evaluate as evaluate_op

#: Arrays have a dimension for each canonical axis, of size 1 where the axis is not free.
Array = np.ndarray

_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Neg": np.negative,
}


class Evaluator:
    """Values of nodes, given those of their arguments.

    ``leaf`` gives the array of a leaf by its number, ``constant`` turns a number into an element.
    ``operations`` and ``monoids`` are those of `weft.saturate.encode.Encoded`.
    """

    def __init__(
        self,
        extents: Sequence[int],
        leaf: Callable[[int], Array],
        constant: Callable[[float], Any] = np.float64,
        operations: Sequence[tuple[str, np.dtype]] = (),
        monoids: Sequence[tuple[Monoid, np.dtype]] = (),
    ) -> None:
        self.extents = extents
        self.leaf = leaf
        self.constant = constant
        self.operations = operations
        self.monoids = monoids

    def node(self, node: ENode, args: Mapping[int, Array]) -> Array:
        """The value of a node whose argument ``n`` is ``args[n]``."""
        name, own = node
        if name == "Leaf":
            return self.leaf(int(own[0]))
        if name == "Const":
            return np.full((1,) * len(self.extents), self.constant(own[1]))
        if name in _ARITHMETIC:
            return _ARITHMETIC[name](*args.values())
        if name == "Of":
            return args[0]
        if name == "Select":
            return np.where(args[1].astype(bool), args[2], args[3])
        if name == "Over":
            return np.divide(self.constant(1.0), args[1])
        if name == "Times":
            return args[1] * args[2]
        if name == "Not":
            return np.logical_not(args[0])
        if name in ("Sum", "Red", "Last"):
            return self._fold(node, args[2])
        op, dtype = self.operations[int(own[0])]
        return evaluate_op(op, tuple(args.values()), dtype)

    def _fold(self, node: ENode, body: Array) -> Array:
        name, (number, mask, _) = node
        over = [n for n in range(len(self.extents)) if int(mask) >> n & 1]
        full = list(body.shape)
        for axis in over:
            full[axis] = self.extents[axis]
        body = np.broadcast_to(body, full)
        if name in ("Sum", "Last"):
            return body.sum(axis=tuple(over), keepdims=True)
        monoid, dtype = self.monoids[int(number)]
        for axis in over:
            parts = np.split(body, body.shape[axis], axis)
            body = parts[0]
            for part in parts[1:]:
                (body,) = monoid.combine(_emit(dtype), (body,), (part,))
        return body


def _emit(dtype: np.dtype) -> Callable[..., Array]:
    return lambda op, *args: evaluate_op(op, args, dtype)


def values_of(graph: Graph, evaluator: Evaluator) -> list[Array | None]:
    """The value of each class, by the first of its nodes that can be evaluated."""
    values: list[Array | None] = [None] * len(graph.classes)
    progress = True
    while progress:
        progress = False
        for c, nodes in enumerate(graph.classes):
            if values[c] is not None:
                continue
            for node in nodes:
                args = _arguments(node, values)
                if args is not None:
                    values[c] = evaluator.node(node, args)
                    progress = True
                    break
    return values


def disagreements(
    graph: Graph, evaluator: Evaluator, equal: Callable[[Array, Array], bool]
) -> Iterator[tuple[ENode, Array, Array]]:
    """Nodes that are not equal to their classes: the node, its value and that of its class."""
    values = values_of(graph, evaluator)
    for c, nodes in enumerate(graph.classes):
        known = values[c]
        if known is None:
            continue
        for node in nodes:
            args = _arguments(node, values)
            if args is None:
                continue
            own = evaluator.node(node, args)
            a, b = np.broadcast_arrays(own, known)
            if not equal(a, b):
                yield node, own, known


def _arguments(node: ENode, values: Sequence[Array | None]) -> dict[int, Array] | None:
    name, args = node
    found: dict[int, Array] = {}
    for place in OPERATORS[name].children:
        value = values[int(args[place])]
        if value is None:
            return None
        found[place] = value
    return found
