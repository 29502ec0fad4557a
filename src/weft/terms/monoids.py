"""Monoids of folds: identity and combination, k-ary where the fold carries several values.

A combination is written once, in terms of an ``emit(op, *args)`` callback, and so has as many
readings as there are callbacks: NumPy arrays, kernel statements, machine instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.structs import struct

Emit = Callable[..., Any]


@struct(frozen=True, eq=False)
class Monoid:
    """An associative combination with identity over tuples of ``arity`` scalars.

    ``combine(emit, a, b)`` returns the combined tuple; ``a`` comes before ``b`` in the source's
    order, which matters for ties of argmax. ``identity(dtypes)`` is the neutral tuple.
    """

    name: str
    arity: int
    combine: Callable[[Emit, Sequence[Any], Sequence[Any]], tuple[Any, ...]]
    identity: Callable[[Sequence[np.dtype]], tuple[Any, ...]]

    def __repr__(self) -> str:
        return self.name


def _lowest(dtype: np.dtype) -> Any:
    if dtype == np.bool_:
        return np.False_
    if np.issubdtype(dtype, np.integer):
        return dtype.type(np.iinfo(dtype).min)
    return dtype.type(-np.inf)


def _highest(dtype: np.dtype) -> Any:
    if dtype == np.bool_:
        return np.True_
    if np.issubdtype(dtype, np.integer):
        return dtype.type(np.iinfo(dtype).max)
    return dtype.type(np.inf)


def _all_bits(dtype: np.dtype) -> Any:
    return np.invert(np.zeros((), dtype))[()]


def _simple(name: str, op: str, identity: Callable[[np.dtype], Any]) -> Monoid:
    return Monoid(
        name,
        1,
        lambda emit, a, b: (emit(op, a[0], b[0]),),
        lambda dtypes: (identity(dtypes[0]),),
    )


def _arg(name: str, better: str, worst: Callable[[np.dtype], Any]) -> Monoid:
    """argmax/argmin of (value, index): a NaN wins, then the best value, then the least index."""

    def combine(emit: Emit, a: Sequence[Any], b: Sequence[Any]) -> tuple[Any, ...]:
        x, i = a
        y, j = b
        x_nan, y_nan = emit("ne", x, x), emit("ne", y, y)
        wins = emit("or", emit(better, y, x), emit("and", y_nan, emit("not", x_nan)))
        same = emit("or", emit("eq", x, y), emit("and", x_nan, y_nan))
        wins = emit("and", wins, emit("not", emit("and", x_nan, emit("not", y_nan))))
        takes = emit("or", wins, emit("and", same, emit("lt", j, i)))
        return emit("select", takes, y, x), emit("select", takes, j, i)

    def identity(dtypes: Sequence[np.dtype]) -> tuple[Any, ...]:
        return worst(dtypes[0]), dtypes[1].type(np.iinfo(dtypes[1]).max)

    return Monoid(name, 2, combine, identity)


def _logaddexp(emit: Emit, a: Sequence[Any], b: Sequence[Any]) -> tuple[Any, ...]:
    """log(exp(a) + exp(b)) without overflow; the difference of equal infinities is 0 here."""
    x, y = a[0], b[0]
    high = emit("max", x, y)
    apart = emit("sub", emit("min", x, y), high)
    none = emit("sub", emit("sign", x), emit("sign", y))
    apart = emit("select", emit("eq", x, y), none, apart)
    return (emit("add", high, emit("log1p", emit("exp", apart))),)


def _complex_mul(emit: Emit, a: Sequence[Any], b: Sequence[Any]) -> tuple[Any, ...]:
    """The product of complex numbers as pairs."""
    (x, y), (u, v) = a, b
    re = emit("sub", emit("mul", x, u), emit("mul", y, v))
    return re, emit("add", emit("mul", x, v), emit("mul", y, u))


ADD = _simple("add", "add", lambda t: t.type(0))
MUL = _simple("mul", "mul", lambda t: t.type(1))
MAX = _simple("max", "max", _lowest)
MIN = _simple("min", "min", _highest)
AND = _simple("and", "and", _all_bits)
OR = _simple("or", "or", lambda t: t.type(0))
XOR = _simple("xor", "xor", lambda t: t.type(0))
ARGMAX = _arg("argmax", "gt", _lowest)
ARGMIN = _arg("argmin", "lt", _highest)
LOGADDEXP = Monoid("logaddexp", 1, _logaddexp, lambda dtypes: (_lowest(dtypes[0]),))
COMPLEX_MUL = Monoid(
    "complex_mul", 2, _complex_mul, lambda dtypes: (dtypes[0].type(1), dtypes[1].type(0))
)

_ALL = (ADD, MUL, MAX, MIN, AND, OR, XOR, ARGMAX, ARGMIN, LOGADDEXP, COMPLEX_MUL)
MONOIDS = {m.name: m for m in _ALL}
