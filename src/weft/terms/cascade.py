"""Cascaded reductions: how the body of a fold changes when a number that it depends on moves.

A fold over an axis may use the result of another fold over the same axis: a sum of
``exp(x - m)`` the maximum ``m``.  Computed block by block, the maximum is only known so far, and
what was added up before refers to an old one.  `change` finds out what becomes of a term when such
*moving* values go from old to new::

    Factor(g)   t(new) = t(old)·g        exp(x - m):  g = exp(m.old - m.new)
    Shift(s)    t(new) = t(old) + s      x - m:       s = m.old - m.new
    FREE        t(new) = t(old)          whatever does not depend on them
    UNKNOWN     none of these

and `repaired` carries that over to a fold: a sum of bodies that get a factor gets the factor, a
maximum of bodies that are shifted is shifted.  The rules are a table over all operations, each by
the identity that it stands for; an operation without a rule of its own gives `UNKNOWN` as soon as
an operand moves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from weft.core import dtypes
from weft.structs import struct
from weft.terms.affine import Axis
from weft.terms.build import cast, op
from weft.terms.dots import DOTS
from weft.terms.monoids import ADD, MAX, MIN, Monoid
from weft.terms.ops import OPS
from weft.terms.term import Const, Fold, Load, Map, Term, Value, postorder


@struct(frozen=True)
class Factor:
    """The new value is the old one times ``by``."""

    by: Term


@struct(frozen=True)
class Shift:
    """The new value is the old one plus ``by``."""

    by: Term


@struct(frozen=True)
class Other:
    """No relation (`UNKNOWN`), or no change at all (`FREE`)."""

    name: str


FREE = Other("free")
UNKNOWN = Other("unknown")

Change = Factor | Shift | Other

#: The change of an operation's result from its operands and their changes (one moves at least).
Rule = Callable[[Map, tuple[Change, ...]], Change]


def _unknown(term: Map, args: tuple[Change, ...]) -> Change:
    return UNKNOWN


def _neg(term: Map, args: tuple[Change, ...]) -> Change:
    """-(t·g) = (-t)·g and -(t + s) = -t + (-s)."""
    return Shift(op("neg", args[0].by)) if isinstance(args[0], Shift) else args[0]


def _add(term: Map, args: tuple[Change, ...]) -> Change:
    """(a + s) + (b + t) = (a + b) + (s + t), and a·g + b·g = (a + b)·g."""
    return _sum("add", args)


def _sub(term: Map, args: tuple[Change, ...]) -> Change:
    """(a + s) - (b + t) = (a - b) + (s - t), and a·g - b·g = (a - b)·g."""
    return _sum("sub", args)


def _sum(name: str, args: tuple[Change, ...]) -> Change:
    a, b = args
    if isinstance(a, Factor) and a == b:
        return a
    if isinstance(a, Shift) and isinstance(b, Shift):
        return Shift(op(name, a.by, b.by))
    if isinstance(a, Shift) and b is FREE:
        return a
    if a is FREE and isinstance(b, Shift):
        return b if name == "add" else Shift(op("neg", b.by))
    return UNKNOWN


def _mul(term: Map, args: tuple[Change, ...]) -> Change:
    """(a·g)·(b·h) = (a·b)·(g·h), and c·(a + s) = c·a + c·s."""
    a, b = args
    if isinstance(a, Factor) and isinstance(b, Factor):
        return Factor(op("mul", a.by, b.by))
    for changed, other, still in ((a, b, term.args[1]), (b, a, term.args[0])):
        if other is FREE:
            if isinstance(changed, Shift):
                return Shift(op("mul", still, changed.by))
            return changed
    return UNKNOWN


def _div(term: Map, args: tuple[Change, ...]) -> Change:
    """(a·g) / c = (a / c)·g, and (a + s) / c = a / c + s / c."""
    a, b = args
    if b is not FREE:
        return UNKNOWN
    return Shift(op("div", a.by, term.args[1])) if isinstance(a, Shift) else a


def _exponential(name: str) -> Rule:
    def rule(term: Map, args: tuple[Change, ...]) -> Change:
        """exp(t + s) = exp(t)·exp(s), in any base."""
        return Factor(op(name, args[0].by)) if isinstance(args[0], Shift) else UNKNOWN

    return rule


def _select(term: Map, args: tuple[Change, ...]) -> Change:
    """The change of both branches, if it is the same one and the choice does not move."""
    choice, a, b = args
    if choice is not FREE:
        return UNKNOWN
    for one, other, still in ((a, b, term.args[2]), (b, a, term.args[1])):
        if isinstance(one, Factor) and other is FREE and _is_zero(still):
            return one
    return a if a == b else UNKNOWN


def _cast(term: Map, args: tuple[Change, ...]) -> Change:
    """A conversion between floats keeps factors and shifts up to its rounding."""
    if not dtypes.is_floating(term.dtype) or not dtypes.is_floating(term.args[0].dtype):
        return UNKNOWN
    if isinstance(args[0], Factor):
        return Factor(cast(args[0].by, term.dtype))
    return Shift(cast(args[0].by, term.dtype)) if isinstance(args[0], Shift) else UNKNOWN


def _extreme(term: Map, args: tuple[Change, ...]) -> Change:
    """max(a + s, b + s) = max(a, b) + s, and so for min."""
    return args[0] if isinstance(args[0], Shift) and args[0] == args[1] else UNKNOWN


def _is_zero(term: Term) -> bool:
    return isinstance(term, Const) and term.value == 0


# fmt: off
#: Operations of which nothing is known once an operand moves.
_WITHOUT_IDENTITY = (
    "sign", "abs", "floor", "ceil", "round_even", "round_away", "log", "log1p", "log2", "log10",
    "expm1", "sqrt", "rsqrt", "cbrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh",
    "cosh", "tanh", "asinh", "acosh", "atanh", "logistic", "erf", "erfc", "erf_inv", "not",
    "population_count", "clz", "rem", "pow", "atan2", "nextafter", "and", "or", "xor",
    "shift_left", "shift_right_logical", "shift_right_arithmetic", "eq", "ne", "lt", "le", "gt",
    "ge", "is_finite", "bitcast", "fma",
)
# fmt: on

#: One rule for each operation. Those without an identity are listed, too, so that a new
#: operation is thought about.
RULES: dict[str, Rule] = {
    "neg": _neg,
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "exp": _exponential("exp"),
    "exp2": _exponential("exp2"),
    "select": _select,
    "cast": _cast,
    "max": _extreme,
    "min": _extreme,
    **dict.fromkeys((*_WITHOUT_IDENTITY, *DOTS), _unknown),
}


def change(term: Term, moving: Mapping[Value, Value], axes: frozenset[Axis]) -> Change:
    """What becomes of ``term`` when values move.

    ``moving`` maps each of them to the one that holds where it has moved to; loads of the former
    are the old numbers.  Factors and shifts do not depend on ``axes``.
    """
    found: dict[Term, Change] = {}
    for t in postorder(term):
        parts = tuple(found[c] for c in t.children)
        if isinstance(t, Load) and t.value in moving and not t.sources:
            found[t] = _moved(t, moving[t.value])
        elif all(p is FREE for p in parts):
            found[t] = FREE
        elif isinstance(t, Map) and t.op in OPS and dtypes.is_floating(t.dtype):
            found[t] = _within(RULES[t.op](t, parts), axes)
        else:
            found[t] = UNKNOWN
    return found[term]


def _moved(load: Load, new: Value) -> Change:
    if not dtypes.is_floating(load.dtype):
        return UNKNOWN
    return Shift(op("sub", Load(new, load.index), load))


def _within(changed: Change, axes: frozenset[Axis]) -> Change:
    if isinstance(changed, Other):
        return changed
    return UNKNOWN if changed.by.axes & axes else changed


def repaired(fold: Fold, moving: Mapping[Value, Value], axes: frozenset[Axis]) -> Change:
    """What becomes of ``fold`` when values move: of its result over what has been seen so far.

    ``axes`` are those that it is computed along, its own ones included.
    """
    if fold.monoid.arity != 1:
        parts = [change(b, moving, axes) for b in fold.bodies]
        return FREE if all(p is FREE for p in parts) else UNKNOWN
    found = change(fold.bodies[0], moving, axes)
    if found is FREE or _distributes(fold.monoid, found):
        return found
    return UNKNOWN


def _distributes(monoid: Monoid, changed: Change) -> bool:
    """Σ (b·g) = (Σ b)·g; max (b + s) = (max b) + s."""
    if isinstance(changed, Factor):
        return monoid is ADD
    return isinstance(changed, Shift) and monoid in (MAX, MIN)
