"""Orders of long products, found directly.

A sum of a product of ``n`` factors can be computed in about ``(2n-3)!!`` orders: too many to leave
to rewriting. Dynamic programming over the subsets of the factors finds the cheapest, and the graph
is told that it is equal. (Bellman's principle as for matrix chains, over subsets rather than
intervals: the factors are in no order, and have any axes.)
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING

from weft.structs import struct

if TYPE_CHECKING:
    from weft.saturate.encode import Node

#: A pairing of factors: sets of them, each with the part of it that is one operand.
Order = tuple[tuple[int, int], ...]

#: Products of more factors are left as they are written.
MOST_FACTORS = 10


@struct(frozen=True)
class Factor:
    """A factor of a product: a node, its axes, and whether the product is divided by it."""

    node: int
    free: int
    divides: bool = False


@struct(frozen=True)
class Product:
    """``Σ over mask of Π factors``; ``pairs`` are the multiplications that the source does for this
    product only: the axes of two operands and of the result, summed as far as it is there."""

    mask: int
    factors: tuple[Factor, ...]
    pairs: tuple[tuple[int, int, int], ...] = ()

    @property
    def everything(self) -> int:
        """The set of all factors."""
        return (1 << len(self.factors)) - 1

    def pattern(self, extents: Sequence[int]) -> Hashable:
        """All that its orders and their costs depend on; ``extents`` are those of axes by bit."""
        used = self.mask | self.axes(self.everything)
        bits = [n for n in range(used.bit_length()) if used >> n & 1]

        def packed(mask: int) -> int:
            return sum(1 << place for place, n in enumerate(bits) if mask >> n & 1)

        factors = tuple((packed(f.free), f.divides) for f in self.factors)
        return tuple(extents[n] for n in bits), packed(self.mask), factors

    def axes(self, chosen: int) -> int:
        """The axes of a set of factors."""
        found = 0
        for i, f in enumerate(self.factors):
            if chosen >> i & 1:
                found |= f.free
        return found

    def kept(self, chosen: int) -> int:
        """The axes of the product of a set: those summed that no other factor has are gone."""
        rest = self.axes(self.everything & ~chosen)
        return self.axes(chosen) & ~(self.mask & ~rest)


def flatten(
    nodes: Sequence[Node], free: Sequence[int], uses: Sequence[int], number: int, through: bool
) -> Product | None:
    """The product that a sum adds up, seen through the sums and products inside; None if it has
    too many factors to be looked at. ``uses`` counts the users of each node; what others use, too,
    is a factor unless it is seen ``through``."""
    _, (_, mask, body) = nodes[number]
    total = int(mask)
    factors: list[Factor] = []
    pairs: list[tuple[int, int, int]] = []
    # Nodes, whether they divide, the axes that the sum around them has, and whether others use
    # them as well.
    stack: list[tuple[int, bool, int, bool]] = [(number, False, 0, False)]
    while stack:
        node, divides, summed, shared = stack.pop()
        name, args = nodes[node]
        children = [int(a) for a in args[1:]]
        shared = shared or (node != number and uses[node] > 1)
        if name == "Of":
            stack.append((int(args[0]), divides, summed, shared))
        elif shared and not through:
            factors.append(Factor(node, free[node], divides))
        elif name in ("Times", "Mul", "Div"):
            if not shared:
                pairs.append((free[children[0]], free[children[1]], free[node] & ~summed))
            stack.append((children[0], divides, 0, shared))
            stack.append((children[1], divides ^ (name == "Div"), 0, shared))
        elif name == "Sum" and (node == number or (not divides and not total & children[0])):
            total |= children[0]
            stack.append((children[1], False, children[0], shared))
        else:
            if summed and not shared:  # nothing is multiplied
                pairs.append((free[node], 0, free[node] & ~summed))
            factors.append(Factor(node, free[node], divides))
        if len(factors) + len(stack) > MOST_FACTORS:
            return None
    # An axis of an inner sum must not be free in a factor outside of it.
    if free[int(body)] & total & ~int(mask):
        return None
    return Product(total, tuple(reversed(factors)), tuple(pairs))


def cheapest_order(
    product: Product, cost: Callable[[int, int, int], float]
) -> tuple[float, Order] | None:
    """The cheapest pairing of factors, as sets: each with the part of it that is one operand; and
    what it costs.

    ``cost(a, b, result)`` is that of multiplying arrays over the axes ``a`` and ``b`` and summing
    to one over ``result``. None if there is no such order.
    """
    n = len(product.factors)
    divides = sum(1 << i for i, f in enumerate(product.factors) if f.divides)
    kept = cache(product.kept)
    best: dict[int, float] = {}
    split: dict[int, int] = {}
    for i, f in enumerate(product.factors):
        if f.divides and kept(1 << i) != f.free:
            return None  # a sum of reciprocals
        best[1 << i] = 0.0
    for size in range(2, n + 1):
        for chosen in combinations(range(n), size):
            s = sum(1 << i for i in chosen)
            if not s & ~divides:
                continue  # a quotient of nothing
            low = s & -s
            part = (s - 1) & s
            while part:
                rest = s ^ part
                if part & low and part in best and rest in best:
                    total = best[part] + best[rest]
                    if s not in best or total < best[s]:  # no product costs less than nothing
                        total += cost(kept(part), kept(rest), kept(s))
                        if s not in best or total < best[s]:
                            best[s], split[s] = total, part
                part = (part - 1) & s
    if product.everything not in split:
        return None
    order: list[tuple[int, int]] = []
    stack = [product.everything]
    while stack:
        s = stack.pop()
        if s in split:
            order.append((s, split[s]))
            stack += [split[s], s ^ split[s]]
    return best[product.everything], tuple(reversed(order))


def write_order(
    node: Callable[..., int], code: int, product: Product, order: Sequence[tuple[int, int]]
) -> int:
    """An order as nodes of dtype ``code``, which ``node`` makes; the term of the whole product."""
    terms: dict[int, int] = {}
    divided: set[int] = set()
    for i, f in enumerate(product.factors):
        s = 1 << i
        alone = f.free & ~product.kept(s)
        terms[s] = node("Sum", code, alone, node("Of", f.node)) if alone else f.node
        if f.divides:
            divided.add(s)
    for s, part in order:
        a, b = part, s ^ part
        if a in divided:
            a, b = b, a
        over = (product.kept(a) | product.kept(b)) & ~product.kept(s)
        if not over:
            terms[s] = node("Div" if b in divided else "Mul", code, terms[a], terms[b])
            continue
        right = node("Over", code, terms[b]) if b in divided else node("Of", terms[b])
        terms[s] = node("Sum", code, over, node("Times", code, node("Of", terms[a]), right))
    return terms[product.everything]
