"""Scalar operations of `Map`: arity, result dtype and meaning.

The names are those of the elementwise primitives and the meaning is the primitive's own NumPy rule, so
that no level can drift from another.  A few operations exist only below the primitives: ``select``
(predicate, then, else), ``cast`` (to the term's dtype), ``bitcast`` and ``fma``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Op:
    """``result`` is ``same`` (dtype of the first operand), ``bool``, or ``given`` (by the term)."""

    name: str
    arity: int
    result: str = "same"


_UNARY = """neg sign abs floor ceil exp exp2 log log1p expm1 sqrt rsqrt cbrt sin cos tan asin
acos atan sinh cosh tanh asinh acosh atanh logistic erf erfc erf_inv not population_count clz""".split()
_BINARY = """add sub mul div rem max min pow atan2 nextafter and or xor shift_left
shift_right_logical shift_right_arithmetic""".split()
_COMPARE = "eq ne lt le gt ge".split()

OPS: dict[str, Op] = {
    **{n: Op(n, 1) for n in _UNARY},
    **{n: Op(n, 2) for n in _BINARY},
    **{n: Op(n, 2, "bool") for n in _COMPARE},
    "is_finite": Op("is_finite", 1, "bool"),
    "select": Op("select", 3, "given"),
    "cast": Op("cast", 1, "given"),
    "bitcast": Op("bitcast", 1, "given"),
    "fma": Op("fma", 3),
}


def result_dtype(op: str, dtypes: tuple[np.dtype, ...], given: np.dtype | None = None) -> np.dtype:
    """Dtype of ``op`` applied to operands of ``dtypes``."""
    kind = OPS[op].result
    if kind == "bool":
        return np.dtype(np.bool_)
    if kind == "given":
        if op == "select":
            return dtypes[1]
        if given is None:
            raise ValueError(f"operation {op!r} needs its result dtype")
        return given
    return dtypes[0]


def evaluate(op: str, args: tuple[Any, ...], dtype: np.dtype) -> Any:
    """The meaning of ``op`` on NumPy arrays (or scalars), by the primitive's own NumPy rule."""
    from weft.core.primitive import primitive_named

    if op == "select":
        return np.where(args[0], args[1], args[2])
    if op == "cast":
        return primitive_named("convert_element_type").numpy(
            args[0], new_dtype=dtype, weak_type=False
        )
    if op == "bitcast":
        return primitive_named("bitcast_convert_type").numpy(args[0], new_dtype=dtype)
    if op == "fma":
        return args[0] * args[1] + args[2]
    return np.asarray(primitive_named(op).numpy(*args))
