"""Scalar operations of `Map`: arity, result dtype and meaning.

The names are those of the elementwise primitives and the meaning is the primitive's own NumPy
rule, so that no level can drift from another. A few operations exist only below the primitives:
``select`` (predicate, then, else), ``cast`` (to the term's dtype), ``bitcast``, ``fma``, and the
two roundings of halves, ``round_even`` and ``round_away`` (from zero).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from weft.core.primitive import primitive_named
from weft.terms.dots import DOTS


class Op(NamedTuple):
    """``result`` is ``same`` (dtype of the first operand), ``last`` (of the last one, which alone
    may have another dtype), ``bool``, or ``given`` (by the term)."""

    name: str
    arity: int
    result: str = "same"


# fmt: off
_UNARY = (
    "neg", "sign", "abs", "floor", "ceil", "round_even", "round_away", "exp", "exp2", "log",
    "log1p", "log2", "log10", "expm1", "sqrt", "rsqrt", "cbrt", "sin", "cos", "tan", "asin", "acos",
    "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "logistic", "erf", "erfc", "erf_inv",
    "not", "population_count", "clz",
)
_BINARY = (
    "add", "sub", "mul", "div", "rem", "max", "min", "pow", "atan2", "nextafter", "and", "or",
    "xor", "shift_left", "shift_right_logical", "shift_right_arithmetic",
)
# fmt: on
_COMPARE = ("eq", "ne", "lt", "le", "gt", "ge")

OPS: dict[str, Op] = {
    **{n: Op(n, 1) for n in _UNARY},
    **{n: Op(n, 2) for n in _BINARY},
    **{n: Op(n, 2, "bool") for n in _COMPARE},
    "is_finite": Op("is_finite", 1, "bool"),
    "select": Op("select", 3, "given"),
    "cast": Op("cast", 1, "given"),
    "bitcast": Op("bitcast", 1, "given"),
    "fma": Op("fma", 3),
    **{n: Op(n, 3, "last") for n in DOTS},
}

#: Operations whose last operand is a running sum, which the others' products are added to.
ACCUMULATING = frozenset(["fma", *DOTS])


def result_dtype(op: str, dtypes: tuple[np.dtype, ...], given: np.dtype | None = None) -> np.dtype:
    """Dtype of ``op`` applied to operands of ``dtypes``."""
    kind = OPS[op].result
    if kind == "bool":
        return np.dtype(np.bool_)
    if kind == "last":
        return dtypes[-1]
    if kind == "given":
        if op == "select":
            return dtypes[1]
        if given is None:
            raise ValueError(f"operation {op!r} needs its result dtype")
        return given
    return dtypes[0]


def alike(op: str, dtypes: tuple[np.dtype, ...]) -> tuple[np.dtype, ...]:
    """Those of the operands' dtypes that have to be the same."""
    if op == "select":
        return dtypes[1:]
    return dtypes[:-1] if OPS[op].result == "last" else dtypes


def evaluate(op: str, args: tuple[Any, ...], dtype: np.dtype) -> Any:
    """The meaning of ``op`` on NumPy arrays (or scalars), by the primitive's own NumPy rule."""
    with np.errstate(all="ignore"):
        own = _OWN_MEANING.get(op)
        if own is not None:
            return np.asarray(own(dtype, *args), dtype)
        return np.asarray(primitive_named(op).rule("numpy")(*args), dtype)


def _cast(dtype: np.dtype, x: Any) -> Any:
    rule = primitive_named("convert_element_type").rule("numpy")
    return rule(x, new_dtype=dtype, weak_type=False)


def _bitcast(dtype: np.dtype, x: Any) -> Any:
    return primitive_named("bitcast_convert_type").rule("numpy")(x, new_dtype=dtype)


def _clz(x: Any) -> Any:
    width = 8 * x.dtype.itemsize
    left = x.view(np.dtype(f"u{x.dtype.itemsize}"))
    length = np.zeros(left.shape, np.int64)
    for _ in range(width):
        length += left != 0
        left = left >> left.dtype.type(1)
    return width - length


def _round_away(dtype: np.dtype, x: Any) -> Any:
    whole = np.trunc(x)
    return np.where(np.abs(x - whole) >= 0.5, whole + np.sign(x), whole)


#: Operations that are not primitives: the result dtype, then the operands.
_OWN_MEANING: dict[str, Callable[..., Any]] = {
    "select": lambda dtype, p, a, b: np.where(p, a, b),
    "cast": _cast,
    "bitcast": _bitcast,
    "clz": lambda dtype, x: _clz(x),
    "fma": lambda dtype, a, b, c: a * b + c,
    **{name: lambda dtype, *args, dot=dot: dot.meaning(*args) for name, dot in DOTS.items()},
    "round_even": lambda dtype, x: np.rint(x),
    "round_away": _round_away,
}
