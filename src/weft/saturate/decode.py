"""An extraction as a region again: a definition for each class that is computed.

Definitions are as fine as those that tracing gives, one operation each; `weft.kernels` decides what
is stored. A class that one of the source's definitions had keeps that definition's name and line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from weft.saturate.axes import axes_of
from weft.saturate.encode import DTYPES, Encoded
from weft.saturate.extract import Extraction
from weft.saturate.graph import Graph
from weft.terms.affine import Affine, Axis
from weft.terms.liveness import loaded
from weft.terms.monoids import ADD
from weft.terms.region import Def, Region, Scatter
from weft.terms.term import (
    SCANS,
    Const,
    Fold,
    Load,
    Map,
    Term,
    Value,
    bound_axes,
    postorder,
    rename_bound,
    substitute,
)

#: Operators that bind the axes of their second argument.
BOUND = frozenset(["SumOf", "Contract", "Red"])
_OPS = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Neg": "neg"}

#: Canonical axes as index expressions over the axes of one definition.
_At = Mapping[Axis, Affine]


def decode(
    region: Region, encoded: Encoded, graph: Graph, extraction: Extraction
) -> tuple[Def | Scatter, ...]:
    """The steps of ``region``, computed as ``extraction`` says."""
    return _Decoder(region, encoded, graph, extraction).run()


class _Decoder:
    def __init__(
        self, region: Region, encoded: Encoded, graph: Graph, extraction: Extraction
    ) -> None:
        self.region = region
        self.encoded = encoded
        self.free = graph.free
        self.ways = extraction.ways
        self.steps: list[Def | Scatter] = []
        self.defs = {s.value: s for s in region.steps if isinstance(s, Def)}
        self.class_of = {v: graph.terms[encoded.of[v]] for v in self.defs}
        #: The definition that gives its name to a class.
        self.named: dict[int, Def] = {}
        for value, number in self.class_of.items():
            definition = self.defs[value]
            if encoded.axes.mask(definition.axes) == self.free[number]:
                self.named.setdefault(number, definition)
        #: The values of classes, and the canonical axis of each of their dimensions.
        self.values: dict[int, tuple[Value, tuple[Axis | None, ...]]] = {}
        self.done: set[Value] = set()
        #: The user's line of what is being computed; definitions that rules made have none.
        self.line: Any = None

    def run(self) -> tuple[Def | Scatter, ...]:
        wanted = set(self.region.outputs)
        for step in self.region.steps:
            if isinstance(step, Scatter):
                reads = loaded(*step.terms) | {step.operand}
                self.line = step.source
                self.demand(sorted(reads & self.defs.keys(), key=lambda v: v.name))
                self.steps.append(step)
            elif step.value in wanted:
                self.line = step.source
                self.demand([step.value])
        return tuple(self.steps)

    # -- what is needed comes before what needs it -------------------------------------------------

    def demand(self, values: Iterable[Value]) -> None:
        """Define values of the source (iterative: programs can be deep)."""
        stack: list[tuple[Value | int, bool]] = [(v, False) for v in values]
        while stack:
            item, ready = stack.pop()
            if (item in self.done) if isinstance(item, Value) else (item in self.values):
                continue
            if not ready:
                stack.append((item, True))
                stack += [(n, False) for n in self.needs(item)]
            elif isinstance(item, Value):
                self.define(item)
            elif self.is_computed(item):
                self.compute(item)

    def needs(self, item: Value | int) -> list[Value | int]:
        if isinstance(item, Value):
            return [self.class_of[item]]
        name, args = self.ways[item].node
        if name == "Leaf":
            return list(self.encoded.leaves[int(args[0])].reads)
        return list(self.ways[item].needs)

    def is_computed(self, number: int) -> bool:
        """Whether a class is a definition; loads, constants and quotients stand where they are
        used, and running folds never do: kernels hold them at their roots."""
        name, args = self.ways[number].node
        if name == "Leaf":
            return bool(self.encoded.leaves[int(args[0])].term.holds & SCANS)
        return name not in ("Const", "Of", "Over")

    def define(self, value: Value) -> None:
        """A value of the source whose class goes by another name, or has fewer axes, or is a
        leaf."""
        definition = self.defs[value]
        fresh = {a: Axis(a.name, a.extent) for a in definition.axes}
        at = {self.encoded.axes.find(a): Affine.of(b) for a, b in fresh.items()}
        term = self.term(self.class_of[value], at)
        self.add(Def(value, tuple(fresh.values()), term, definition.source))

    def add(self, definition: Def) -> None:
        self.steps.append(definition)
        self.done.add(definition.value)

    # -- definitions -------------------------------------------------------------------------------

    def compute(self, number: int) -> None:
        """The definition of a class."""
        named = self.named.get(number)
        name, args = self.ways[number].node
        order = self.encoded.order
        bound = axes_of(int(args[1]), order) if name in BOUND else []
        own: tuple[Axis | None, ...]
        if named is None:
            own = tuple(self.layout(number))
        else:
            own = tuple(self.encoded.axes.find(a) if a.extent > 1 else None for a in named.axes)
        axes = tuple(Axis("_", 1) if a is None else Axis(a.name, a.extent) for a in own)
        at = {a: Affine.of(b) for a, b in zip(own, axes, strict=True) if a is not None}
        over = tuple(Axis(a.name, a.extent) for a in bound)
        at.update((a, Affine.of(b)) for a, b in zip(bound, over, strict=True))
        term = self.operation(number, at, over)
        if named is None:
            label = f"{self.region.outputs[0].name}.{len(self.values)}"
            value = Value(label, tuple(a.extent for a in axes), term.dtype)
        else:
            value = named.value
        self.values[number] = (value, own)
        self.add(Def(value, axes, term, self.line if named is None else named.source))

    def layout(self, number: int) -> list[Axis]:
        """The axes of a new array, in the order in which its operands have them.

        Those of the largest operand come first, so that it is read as it lies; of a contraction
        those of the first.
        """
        needs = self.ways[number].needs
        sequences = [self.sequence(n) for n in needs]
        if self.ways[number].node[0] != "Contract":
            sequences.sort(key=len, reverse=True)
        wanted = axes_of(self.free[number], self.encoded.order)
        found = dict.fromkeys(a for axes in sequences for a in axes if a in wanted)
        return list(found | dict.fromkeys(wanted))

    def sequence(self, number: int) -> list[Axis]:
        """The axes of an operand, outermost in memory first."""
        known = self.values.get(number)
        if known is not None:
            return [a for a in known[1] if a is not None]
        name, args = self.ways[number].node
        if name in ("Of", "Over"):
            return self.sequence(int(args[-1]))
        if name != "Leaf":
            return []
        loads = [
            t for t in postorder(self.encoded.leaves[int(args[0])].term) if isinstance(t, Load)
        ]
        found: dict[Axis, None] = {}
        for load in loads:
            for index in load.index:
                found.update(dict.fromkeys(sorted(index.axes(), key=lambda a: a.serial)))
        return list(found)

    def operation(self, number: int, at: _At, over: tuple[Axis, ...]) -> Term:
        """What a class is computed by, over other classes."""
        name, args = self.ways[number].node
        if name == "Leaf":
            return self.leaf(int(args[0]), at)
        if name == "Contract":
            return Fold(ADD, over, (self.product(int(args[2]), int(args[3]), int(args[0]), at),))
        if name == "Times":
            return self.product(int(args[1]), int(args[2]), int(args[0]), at)
        if name == "SumOf":
            return Fold(ADD, over, (self.term(int(args[2]), at),))
        if name == "Red":
            monoid, _ = self.encoded.monoids[int(args[0])]
            return Fold(monoid, over, (self.term(int(args[2]), at),))
        if name == "Not":
            return Map("not", (self.term(int(args[0]), at),), np.dtype(np.bool_))
        operands = tuple(self.term(int(a), at) for a in args[1:])
        if name in _OPS:
            return Map(_OPS[name], operands, DTYPES[int(args[0])])
        op, dtype = self.encoded.operations[int(args[0])]
        return Map(op, operands, dtype)

    def product(self, a: int, b: int, code: int, at: _At) -> Term:
        """A product of two factors, of which one may be a reciprocal."""
        dtype = DTYPES[code]
        if self.ways[a].node[0] == "Over":
            a, b = b, a
        if self.ways[b].node[0] == "Over":
            divisor = self.term(int(self.ways[b].node[1][1]), at)
            return Map("div", (self.term(a, at), divisor), dtype)
        return Map("mul", (self.term(a, at), self.term(b, at)), dtype)

    def term(self, number: int, at: _At) -> Term:
        """A class as an operand."""
        name, args = self.ways[number].node
        if name == "Of":
            return self.term(int(args[0]), at)
        if name == "Over":
            dtype = DTYPES[int(args[0])]
            return Map("div", (Const(1, dtype), self.term(int(args[1]), at)), dtype)
        if name == "Const":
            return Const(args[1], DTYPES[int(args[0])])
        if name == "Leaf" and number not in self.values:
            return self.leaf(int(args[0]), at)
        value, axes = self.values[number]
        return Load(value, tuple(_ZERO if a is None else at[a] for a in axes))

    def leaf(self, number: int, at: _At) -> Term:
        """A term that rules do not look into."""
        leaf = self.encoded.leaves[number].term
        moved = rename_bound(leaf, bound_axes(leaf))
        return substitute(moved, {a: i for a, i in at.items() if a in moved.axes})


_ZERO = Affine((), 0)
