"""Terms as polynomials of a number that moves: the additive form of cascaded reductions.

`weft.terms.cascade` knows what becomes of a sum when a number in it moves and every element changes
by the same factor.  Where elements are polynomials of the number, moments of lower order repair the
sum::

    t(c + δ) = t₀ + t₁·δ + t₂·δ² …        (x - c - δ)² = (x - c)² - 2·(x - c)·δ + δ²

A table over operations, each by the identity that it stands for; any other operation on something
that moves has no expansion.
"""

from __future__ import annotations

from collections.abc import Callable

from weft.core import dtypes
from weft.terms.build import cast, const, op
from weft.terms.term import Const, Load, Map, Term, postorder

#: Powers that are expanded: fourth moments are the highest in use.
DEGREE = 4

#: Coefficients of 1, δ, δ², …; None for one that is zero.
Expansion = tuple[Term | None, ...]

Rule = Callable[[Map, list[Expansion]], Expansion | None]


def expansion(term: Term, moving: Load) -> Expansion | None:
    """The coefficients of ``term`` where ``moving`` has moved by δ; None if there are none.

    They do not mention δ; the first is ``term`` itself.
    """
    found: dict[Term, Expansion] = {}
    for t in postorder(term):
        if t == moving:
            found[t] = (t, const(1, t.dtype))
            continue
        parts = [found[c] for c in t.children]
        if all(len(p) == 1 for p in parts):
            found[t] = (t,)
            continue
        rule = _RULES.get(t.op) if isinstance(t, Map) else None
        if rule is None or not isinstance(t, Map) or not dtypes.is_floating(t.dtype):
            return None
        expanded = rule(t, parts)
        if expanded is None or len(expanded) > DEGREE + 1:
            return None
        found[t] = (t, *expanded[1:])
    return found[term]


def is_multiple(term: Term, of: Load) -> bool:
    """Whether ``term`` is a number times ``of``, as far as its operations show."""
    if term == of:
        return True
    if not isinstance(term, Map) or not dtypes.is_floating(term.dtype):
        return False
    inside = [a for a in term.args if of.value in a.loads]
    if len(inside) != 1 or not is_multiple(inside[0], of):
        return False
    first = inside[0] is term.args[0]
    return term.op in ("neg", "mul", "cast") or (term.op == "div" and first)


def _neg(term: Map, parts: list[Expansion]) -> Expansion:
    return tuple(None if a is None else _negated(a) for a in parts[0])


def _negated(a: Term) -> Term:
    return const(-a.value, a.dtype) if isinstance(a, Const) else op("neg", a)


def _add(term: Map, parts: list[Expansion]) -> Expansion:
    return _added("add", *parts)


def _sub(term: Map, parts: list[Expansion]) -> Expansion:
    return _added("sub", *parts)


def _added(name: str, a: Expansion, b: Expansion) -> Expansion:
    """Σ aₙ·δⁿ ± Σ bₙ·δⁿ = Σ (aₙ ± bₙ)·δⁿ."""
    count = max(len(a), len(b))
    found: list[Term | None] = []
    for n in range(count):
        x = a[n] if n < len(a) else None
        y = b[n] if n < len(b) else None
        if x is not None and y is not None:
            found.append(op(name, x, y))
        else:
            found.append(_negated(y) if name == "sub" and y is not None else x or y)
    return tuple(found)


def _mul(term: Map, parts: list[Expansion]) -> Expansion:
    """Σ aₙ·δⁿ · Σ bₘ·δᵐ = Σ (Σ aₙ·bₘ)·δⁿ⁺ᵐ."""
    a, b = parts
    found: list[Term | None] = [None] * (len(a) + len(b) - 1)
    for n, x in enumerate(a):
        for m, y in enumerate(b):
            if x is not None and y is not None:
                product = _product(x, y)
                before = found[n + m]
                found[n + m] = product if before is None else op("add", before, product)
    return tuple(found)


def _product(a: Term, b: Term) -> Term:
    for one, other in ((a, b), (b, a)):
        if isinstance(one, Const) and isinstance(other, Const):
            return const(one.value * other.value, one.dtype)
        if isinstance(one, Const) and abs(one.value) == 1:
            return other if one.value == 1 else _negated(other)
    return op("mul", a, b)


def _div(term: Map, parts: list[Expansion]) -> Expansion | None:
    """(Σ aₙ·δⁿ) / b = Σ (aₙ / b)·δⁿ, where b does not move."""
    a, b = parts
    if len(b) > 1:
        return None
    return tuple(None if x is None else op("div", x, term.args[1]) for x in a)


def _cast(term: Map, parts: list[Expansion]) -> Expansion | None:
    if not dtypes.is_floating(term.args[0].dtype):
        return None
    return tuple(None if x is None else cast(x, term.dtype) for x in parts[0])


_RULES: dict[str, Rule] = {
    "neg": _neg,
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "cast": _cast,
}
