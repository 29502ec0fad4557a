"""A region as nodes of the e-graph's language.

Definitions are written over canonical axes (`weft.saturate.axes`) and looked through wherever they
are read element by element; a term that rules do not look into (a shifted or data-dependent load,
a running fold, the pieces of a `Fuse`) is a leaf, which keeps what it reads alive. Nodes are
numbered and hashed by structure: equal terms are one node before any rule runs.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import field
from math import prod
from typing import TypeGuard

import numpy as np

from weft.core.bounded import BoundedCache
from weft.saturate.axes import CanonicalAxes
from weft.saturate.instances import Instances
from weft.saturate.language import OPERATORS, free_axes
from weft.saturate.orders import Order, Product, cheapest_order, flatten, write_order
from weft.saturate.rule import FIRST_INTEGER
from weft.saturate.rules.products import LONGEST
from weft.structs import struct
from weft.terms.affine import Affine, Axis
from weft.terms.monoids import Monoid
from weft.terms.region import Def
from weft.terms.term import Const, Fold, Load, Map, Scan, Term, Value, postorder, substitute

#: An operator and its arguments: numbers of nodes, and plain numbers (see `OPERATORS`).
Node = tuple[str, tuple[float, ...]]

#: Multiplications that take as long as moving an element of an operand or a result.
MOVED = 8.0

#: The last orders of products, by all that they depend on: layers have the same ones.
_orders: BoundedCache[tuple[float, Order] | None] = BoundedCache(1024)

#: The dtypes that rules know, by code.
DTYPES: dict[int, np.dtype] = {
    1: np.dtype(np.float32),
    2: np.dtype(np.float64),
    **{
        FIRST_INTEGER + n: np.dtype(name)
        for n, name in enumerate(
            ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
        )
    },
}
_CODES = {dtype: code for code, dtype in DTYPES.items()}
_RING = {"add": "Add", "sub": "Sub", "mul": "Mul"}


@struct
class Leaf:
    """A term over canonical axes, and the definitions that it reads."""

    term: Term
    reads: tuple[Value, ...]

    @property
    def loads(self) -> list[tuple[int, int]]:
        """The bytes of each array that is read, and those of the points at which it is."""
        found: list[tuple[int, int]] = []
        for t in postorder(self.term):
            if isinstance(t, Load):
                reached = prod(a.extent for a in t.axes) * t.dtype.itemsize
                found.append((t.value.nbytes, reached))
        return found

    @property
    def operations(self) -> list[tuple[str, int]]:
        """The operations inside, and how often each runs."""
        found: list[tuple[str, int]] = []
        for t in postorder(self.term):
            if isinstance(t, Map):
                found.append((t.op, prod(a.extent for a in t.axes)))
            elif isinstance(t, Fold | Scan):
                over = t.over if isinstance(t, Fold) else (t.over,)
                axes = frozenset(over).union(*(b.axes for b in t.bodies))
                # A running fold also writes its total at every step.
                found += [(t.monoid.name, prod(a.extent for a in axes))] * (1 + isinstance(t, Scan))
        return found

    def key(self, numbers: Mapping[Value, int]) -> Hashable:
        """What its cost depends on; ``numbers`` are the nodes of definitions."""
        reads = tuple(numbers[v] for v in self.reads)
        return (self.term.dtype, tuple(self.loads), tuple(self.operations), reads)


@struct
class Encoded:
    """The nodes of a region, with the masks of their ``free`` axes.

    ``of`` gives the node of each definition, ``equal`` pairs of nodes known to be equal; the first
    ``source`` nodes are what the source computes. ``savings`` are multiplications that another
    order of a product saves, by the node of its sum.
    ``operations`` and ``monoids`` are what the numbers in nodes stand for.
    """

    axes: CanonicalAxes
    nodes: list[Node] = field(default_factory=list)
    free: list[int] = field(default_factory=list)
    source: int = 0
    of: dict[Value, int] = field(default_factory=dict)
    equal: list[tuple[int, int]] = field(default_factory=list)
    savings: dict[int, float] = field(default_factory=dict)
    leaves: list[Leaf] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=dict)  # points of sets of axes, once asked for
    operations: list[tuple[str, np.dtype]] = field(default_factory=list)
    monoids: list[tuple[Monoid, np.dtype]] = field(default_factory=list)

    @property
    def order(self) -> list[Axis]:
        """The canonical axes, by bit."""
        return self.axes.order

    def key(self) -> Hashable:
        """The nodes and all that their costs depend on, by structure."""
        return (
            tuple(self.nodes),
            self.source,
            tuple(self.equal),
            tuple(self.savings.items()),
            tuple(a.extent for a in self.order),
            tuple(self.operations),
            tuple((m.name, dtype) for m, dtype in self.monoids),
            tuple(leaf.key(self.of) for leaf in self.leaves),
        )

    def points(self, mask: int) -> int:
        """The points of a set of axes."""
        found = self.sizes.get(mask)
        if found is None:
            found = prod(a.extent for n, a in enumerate(self.order) if mask >> n & 1)
            self.sizes[mask] = found
        return found


def encode(
    defs: Sequence[Def], needed: Sequence[Value], instances: Instances, reorder: bool = True
) -> Encoded:
    """The nodes of ``defs``, in order, and of the ``instances`` of some of them.

    ``needed`` are the definitions whose values are used elsewhere. ``reorder`` allows long products
    of floats to be computed in other orders, too.

    Raises `TooManyAxesError` if the axes do not fit into a mask.
    """
    return _Encoder(defs, needed, instances, reorder).run()


class _Encoder:
    def __init__(
        self, defs: Sequence[Def], needed: Sequence[Value], instances: Instances, reorder: bool
    ) -> None:
        self.defs = defs
        self.needed = needed
        self.reorder = reorder
        self.instances = instances
        self.out = Encoded(CanonicalAxes([*defs, *instances.defs]))
        self.numbers: dict[Node, int] = {}
        self.leaf_ids: dict[Term, int] = {}
        self.operation_ids: dict[tuple[str, np.dtype], int] = {}
        self.monoid_ids: dict[tuple[str, np.dtype], int] = {}

    def run(self) -> Encoded:
        out = self.out
        for definition in self.defs:
            out.of[definition.value] = self.term(definition.term)
        out.source = len(out.nodes)
        self.orders()
        for definition in self.instances.defs:
            out.of[definition.value] = self.term(definition.term)
        for load, value in self.instances.of.items():
            out.equal.append((self.leaf(load), out.of[value]))
        return out

    def orders(self) -> None:
        """Say what long products are equal to, in the cheapest of their orders."""
        uses = self.uses()
        extents = [a.extent for a in self.out.order]
        for number in range(self.out.source):
            name, args = self.out.nodes[number]
            if name != "Sum" or not (self.reorder or args[0] >= FIRST_INTEGER):
                continue
            best: tuple[float, Product, Order] | None = None
            for through in (True, False):
                product = flatten(self.out.nodes, self.out.free, uses, number, through)
                if product is None:
                    continue
                found = self.cheapest_order(product, extents)
                if found is not None:
                    saved = sum(self.pair_cost(*pair) for pair in product.pairs) - found[0]
                    if saved > (0 if best is None else best[0]):
                        best = saved, product, found[1]
            if best is not None:
                self.out.savings[number], product, order = best
                if len(product.factors) > LONGEST:
                    other = write_order(self.node, int(args[0]), product, order)
                    self.out.equal.append((number, other))

    def cheapest_order(
        self, product: Product, extents: Sequence[int]
    ) -> tuple[float, Order] | None:
        """The cheapest order and its cost; found once for all products of one pattern."""

        def find() -> tuple[float, Order] | None:
            return cheapest_order(product, self.pair_cost)

        return _orders.get(product.pattern(extents), find)

    def uses(self) -> list[int]:
        """How many nodes of the source, or of those who ask for its results, use each node."""
        found = [0] * self.out.source
        stack = [self.out.of[v] for v in self.needed]
        for number in stack:
            found[number] += 1
            if found[number] == 1:
                name, args = self.out.nodes[number]
                stack += [int(args[place]) for place in OPERATORS[name].children]
                if name == "Leaf":
                    stack += [self.out.of[v] for v in self.out.leaves[int(args[0])].reads]
        return found

    def pair_cost(self, a: int, b: int, result: int) -> float:
        """Multiplications, and elements moved, of which each takes as long as some of those."""
        points = self.out.points
        return points(a | b) + MOVED * (points(a) + points(b) + points(result))

    def node(self, name: str, *args: float) -> int:
        """The number of a node, a new one if it has not been met."""
        key = (name, args)
        found = self.numbers.get(key)
        if found is None:
            found = self.numbers[key] = len(self.out.nodes)
            self.out.nodes.append(key)
            self.out.free.append(free_axes(key, self.out.free))
        return found

    def term(self, root: Term) -> int:
        done: dict[Term, int] = {}
        opaque = _under_opaque(root)
        for t in postorder(root):
            if t not in opaque:
                done[t] = self.one(t, done)
        return done[root]

    def one(self, t: Term, done: dict[Term, int]) -> int:
        """The node of a term whose subterms are ``done``."""
        code = _CODES.get(t.dtype)
        if isinstance(t, Load) and self.out.axes.reads_as_defined(t):
            return self.out.of[t.value]
        if isinstance(t, Const) and code is not None and _is_plain(t.value):
            return self.node("Const", code, float(t.value))
        if isinstance(t, Map):
            return self.operation(t, [done[a] for a in t.args], code)
        if isinstance(t, Fold) and t.monoid.arity == 1:
            mask = self.out.axes.mask(t.over)
            if not mask:
                return done[t.bodies[0]]
            if t.monoid.name == "add" and code is not None:
                return self.node("Sum", code, mask, self.factor(t.bodies[0], code, done))
            return self.node("Red", self.monoid(t.monoid, t.dtype), mask, done[t.bodies[0]])
        if _is_whole_scan(t):
            mask = self.out.axes.mask([t.over])
            body = t.bodies[0]
            if t.monoid.name == "add" and code is not None:
                return self.node("Last", code, mask, self.factor(body, code, done))
            return self.node("Red", self.monoid(t.monoid, t.dtype), mask, done[body])
        return self.leaf(t)

    def factor(self, body: Term, code: int, done: dict[Term, int]) -> int:
        """The node of what a sum adds up; a product written there is two factors."""
        if isinstance(body, Map) and body.op == "mul":
            a, b = (self.node("Of", done[x]) for x in body.args)
            return self.node("Times", code, a, b)
        return self.node("Of", done[body])

    def operation(self, t: Map, args: list[int], code: int | None) -> int:
        if code is not None:
            if t.op in _RING:
                return self.node(_RING[t.op], code, *args)
            if t.op == "neg":
                return self.node("Neg", code, *args)
            if t.op == "div" and code < FIRST_INTEGER:
                return self.node("Div", code, *args)
        if t.op == "not" and t.dtype == np.bool_:
            return self.node("Not", *args)
        number = self.number_of((t.op, t.dtype), self.operation_ids, self.out.operations)
        name = "Select" if t.op == "select" else f"Op{len(args)}"
        return self.node(name, number, *args)

    def monoid(self, monoid: Monoid, dtype: np.dtype) -> int:
        key = (monoid.name, dtype)
        found = self.monoid_ids.get(key)
        if found is None:
            found = self.monoid_ids[key] = len(self.out.monoids)
            self.out.monoids.append((monoid, dtype))
        return found

    def number_of(
        self,
        key: tuple[str, np.dtype],
        known: dict[tuple[str, np.dtype], int],
        table: list[tuple[str, np.dtype]],
    ) -> int:
        found = known.get(key)
        if found is None:
            found = known[key] = len(table)
            table.append(key)
        return found

    def leaf(self, t: Term) -> int:
        axes = self.out.axes
        mask = axes.mask(sorted(t.axes, key=lambda a: a.serial))  # numbers axes as they come
        # An axis of one iteration is 0: rules drop folds over it, and nothing would bind it.
        moved = substitute(
            t, {a: Affine.of(0) if a.extent == 1 else Affine.of(axes.find(a)) for a in t.axes}
        )
        known = self.leaf_ids.get(moved)
        if known is None:
            known = self.leaf_ids[moved] = len(self.out.leaves)
            loads = {x.value for x in postorder(t) if isinstance(x, Load) and x.value in axes.defs}
            self.out.leaves.append(Leaf(moved, tuple(sorted(loads, key=self.out.of.__getitem__))))
        return self.node("Leaf", known, mask)


def _under_opaque(root: Term) -> set[Term]:
    """Subterms that only terms which become leaves have."""
    visible: set[Term] = set()
    stack = [root]
    while stack:
        t = stack.pop()
        if t in visible:
            continue
        visible.add(t)
        fold = isinstance(t, Fold) and t.monoid.arity == 1
        if isinstance(t, Map) or fold or _is_whole_scan(t):
            stack.extend(t.children)
    return set(postorder(root)) - visible


def _is_whole_scan(t: Term) -> TypeGuard[Scan]:
    """Whether a term is a running fold of one component, read where it ends."""
    if not isinstance(t, Scan) or t.monoid.arity != 1 or t.over.extent == 1:
        return False
    return t.upto.is_constant and t.upto.const == t.over.extent - 1


def _is_plain(value: np.generic) -> bool:
    """Whether a constant is the same as a float64 that is finite, and not a negative zero."""
    number = float(value)
    return np.isfinite(number) and number == value and not (number == 0 and np.signbit(number))
