"""The language of the e-graph: its operators, and how egglog declares them.

Axes are bits of a mask. A *term* (sort ``T``) is a scalar over its free axes, computed exactly as
written. A *factor* (sort ``F``) stands in the body of a sum, where products may be regrouped: what
a sum adds up is known within the sum's error bound only, so that rules that would be wrong for
scalars (their operands, order and rounding are kept) hold there, and nowhere else::

    T ::= Leaf(id, axes)                 a load, an index, or a term that rules do not look into
        | Const(dtype, value)
        | Add Sub Mul Div(dtype, T, T) | Neg(dtype, T)
        | Op1 Op2 Op3(operation, T…)     any other scalar operation, with its dtype
        | Select(operation, T, T, T)
        | Sum(dtype, axes, F)            sums of products: contractions among them
        | Red(monoid, axes, T)           any other fold of one component
        | Last(dtype, axes, F)           a running sum, read where it ends
        | Not(T)                         of a bool
    F ::= Of(T) | Times(dtype, F, F) | Over(dtype, T)      Over is 1 / T
"""

from __future__ import annotations

from collections.abc import Sequence

from weft.structs import struct


@struct(frozen=True)
class Operator:
    """``signature`` has a letter for each argument: ``t`` a term, ``f`` a factor, ``n`` a number
    (dtype, operation, mask or id), ``v`` a float64."""

    name: str
    sort: str
    signature: str

    @property
    def children(self) -> tuple[int, ...]:
        """The places of the arguments that are classes."""
        return tuple(n for n, kind in enumerate(self.signature) if kind in "tf")


OPERATORS: dict[str, Operator] = {
    o.name: o
    for o in (
        Operator("Leaf", "T", "nn"),
        Operator("Const", "T", "nv"),
        Operator("Add", "T", "ntt"),
        Operator("Sub", "T", "ntt"),
        Operator("Mul", "T", "ntt"),
        Operator("Div", "T", "ntt"),
        Operator("Neg", "T", "nt"),
        Operator("Op1", "T", "nt"),
        Operator("Op2", "T", "ntt"),
        Operator("Op3", "T", "nttt"),
        Operator("Select", "T", "nttt"),
        Operator("Sum", "T", "nnf"),
        Operator("Red", "T", "nnt"),
        Operator("Last", "T", "nnf"),
        Operator("Not", "T", "t"),
        Operator("Of", "F", "t"),
        Operator("Times", "F", "nff"),
        Operator("Over", "F", "nt"),
    )
}

#: Operators whose second argument is the mask of the axes that they bind.
BINDERS = frozenset(["Sum", "Red", "Last"])

_SORTS = {"n": "i64", "v": "f64", "t": "T", "f": "F"}

#: The function that gives the free axes of each sort.
FREE = {"T": "fv", "F": "fw"}


def free_axes(node: tuple[str, tuple[float, ...]], free: Sequence[int]) -> int:
    """The mask of a node's free axes, from those of its arguments (``free``, by number)."""
    name, args = node
    found = int(args[1]) if name == "Leaf" else 0
    for place in OPERATORS[name].children:
        found |= free[int(args[place])]
    return found & ~int(args[1]) if name in BINDERS else found


def declarations() -> str:
    """The sorts, the operators and the analyses, as an egglog program.

    ``fv`` and ``fw`` are the free axes of a class (the fewest that any of its nodes has), ``size``
    the number of factors of a product; ``term`` and ``factor`` name the nodes of a region.
    """
    lines = ["(sort T) (sort F)"]
    for o in OPERATORS.values():
        lines.append(
            f"(constructor {o.name} ({' '.join(_SORTS[k] for k in o.signature)}) {o.sort})"
        )
    lines += [
        "(function fv (T) i64 :merge (& old new))",
        "(function fw (F) i64 :merge (& old new))",
        "(function size (F) i64 :merge (max old new))",
        "(function term (i64) T :no-merge)",
        "(function factor (i64) F :no-merge)",
        "(ruleset analysis)",
    ]
    lines += [_free_axes(o) for o in OPERATORS.values()]
    lines += [
        "(rule ((= u (Of a))) ((set (size u) 1)) :ruleset analysis)",
        "(rule ((= u (Over d a))) ((set (size u) 1)) :ruleset analysis)",
        "(rule ((= u (Times d a b)) (= x (size a)) (= y (size b))) ((set (size u) (+ x y)))"
        " :ruleset analysis)",
    ]
    return "\n".join(lines)


def _free_axes(o: Operator) -> str:
    """The rule that gives the free axes of a node from those of its arguments."""
    names = [f"a{n}" for n in range(len(o.signature))]
    own = f"({FREE[o.sort]} u)"
    node = f"(= u ({o.name} {' '.join(names)}))"
    known = [f"(= x{n} ({FREE['T' if o.signature[n] == 't' else 'F']} a{n}))" for n in o.children]
    axes = "a1" if o.name == "Leaf" else "0"
    for count, n in enumerate(o.children):
        axes = f"x{n}" if count == 0 else f"(| {axes} x{n})"
    if o.name in BINDERS:
        axes = f"(& {axes} (not-i64 a1))"
    return f"(rule ({' '.join([node, *known])}) ((set {own} {axes})) :ruleset analysis)"
