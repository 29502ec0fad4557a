"""Integers made of indices, as expressions of axes that are nearly exact.

What divides an index, ``i // 128``, is no affine expression, but it is close to one: 128 times it
is ``i - r`` with ``0 <= r <= 127``.  A `Position` says so::

    value · scale = expr + slack        lo <= slack <= hi

Comparisons of such values give affine conditions that hold whenever the comparison does, and others
whenever which hold it does, too; without slack they are the same.
"""

from __future__ import annotations

from math import lcm
from typing import Any

import numpy as np

from weft.structs import struct
from weft.terms import ops
from weft.terms.affine import Affine, Axis, FloorDiv
from weft.terms.term import Const, Index, Map, Term, postorder

#: The longest axis along which a condition is looked at position by position.
LONGEST = 1 << 16


@struct(frozen=True)
class Position:
    """An integer that is ``(expr + slack) / scale``, the slack between ``lo`` and ``hi``."""

    expr: Affine
    scale: int = 1
    lo: int = 0
    hi: int = 0

    def __neg__(self) -> Position:
        return Position(-self.expr, self.scale, -self.hi, -self.lo)

    def __add__(self, other: Position) -> Position:
        scale = lcm(self.scale, other.scale)
        a, b = self.over(scale), other.over(scale)
        return Position(a.expr + b.expr, scale, a.lo + b.lo, a.hi + b.hi)

    def __sub__(self, other: Position) -> Position:
        return self + -other

    def __mul__(self, k: int) -> Position:
        if k < 0:
            return -(self * -k)
        return Position(self.expr * k, self.scale, self.lo * k, self.hi * k)

    @property
    def exact(self) -> Affine | None:
        """The value times its scale, if there is no slack."""
        return self.expr + self.lo if self.lo == self.hi else None

    def over(self, scale: int) -> Position:
        """The same over a multiple of its scale."""
        k = scale // self.scale
        return Position(self.expr * k, scale, self.lo * k, self.hi * k)

    def floordiv(self, divisor: int) -> Position:
        """The quotient, rounded down."""
        scale = self.scale * divisor
        return Position(self.expr, scale, self.lo - (divisor - 1) * self.scale, self.hi)

    def bounds(self) -> tuple[int, int]:
        """The least and the largest value that it may have."""
        least, most = self.expr.bounds()
        return -(-(least + self.lo) // self.scale), (most + self.hi) // self.scale


def position(term: Term) -> Position | None:
    """An integer made of indices; None for anything else."""
    if term.dtype.kind != "i":
        return None
    found: dict[Term, Position | None] = {}
    for t in postorder(term):
        value: Position | None = None
        if isinstance(t, Index):
            value = _of_index(t.expr)
        elif isinstance(t, Const) and t.dtype.kind == "i":
            value = Position(Affine((), int(t.value)))
        elif isinstance(t, Map) and t.dtype.kind == "i":
            value = _arithmetic(t, [found[c] for c in t.children])
        found[t] = value if value is not None and _fits(value, t.dtype) else None
    return found[term]


def _of_index(expr: Affine) -> Position | None:
    total = Position(Affine((), expr.const))
    for atom, k in expr.terms:
        if isinstance(atom, Axis):
            total += Position(Affine.of(atom)) * k
        elif isinstance(atom, FloorDiv) and isinstance(atom.divisor, int):
            inner = _of_index(atom.numerator)
            if inner is None:
                return None
            total += inner.floordiv(atom.divisor) * k
        else:
            return None
    return total


def _arithmetic(term: Map, args: list[Position | None]) -> Position | None:
    if term.op == "select":
        taken = _always(term.args[0])
        return None if taken is None else args[1 if taken else 2]
    a, b = (args[0], args[-1]) if args else (None, None)
    if a is None or b is None:
        return None
    if term.op == "neg":
        return -a
    if term.op == "cast":
        return a
    if term.op == "add":
        return a + b
    if term.op == "sub":
        return a - b
    if term.op == "mul":
        for one, other in ((a, b), (b, a)):
            if other.expr.is_constant and other.scale == 1 and other.lo == other.hi == 0:
                return one * other.expr.const
    if term.op == "div" and b.expr.is_constant and b.bounds()[0] == b.bounds()[1] > 0:
        # Rounded towards zero, which is down from there on.
        return a.floordiv(b.bounds()[0]) if a.bounds()[0] >= 0 else None
    return None


def _always(predicate: Term) -> bool | None:
    """What a condition on the position along one axis is everywhere; None if that differs."""
    axes = sorted(predicate.axes, key=lambda a: a.serial)
    if len(axes) != 1 or axes[0].extent > LONGEST:
        return None
    along = {axes[0]: np.arange(axes[0].extent)}
    found: dict[Term, Any] = {}
    for t in postorder(predicate):
        if isinstance(t, Const):
            found[t] = np.asarray(t.value, t.dtype)
        elif isinstance(t, Index) and not t.expr.dynamics():
            found[t] = np.asarray(t.expr.evaluate(along)).astype(t.dtype)
        elif isinstance(t, Map):
            with np.errstate(all="ignore"):
                found[t] = ops.evaluate(t.op, tuple(found[c] for c in t.args), t.dtype)
        else:
            return None
    seen = np.unique(found[predicate])
    return bool(seen[0]) if len(seen) == 1 else None


def _fits(value: Position, dtype: np.dtype) -> bool:
    """Whether no value wraps around."""
    lo, hi = value.bounds()
    info = np.iinfo(dtype)
    return info.min <= lo and hi <= info.max
