"""``reduce_precision``: floats rounded to what a narrower format could hold, in their own dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from weft.core.avals import ShapedArray
from weft.core.primitive import Primitive
from weft.primitives.rules import FLOAT, Batched, Dims, Value, Values, check_accepts, def_linear
from weft.terms import build
from weft.terms.lower import Lowering, Tensor
from weft.terms.term import Term

reduce_precision_p = Primitive("reduce_precision")
reduce_precision_p.pointwise = True


def reduce_precision(x: Value, exponent_bits: int, mantissa_bits: int) -> Value:
    """Round to nearest, ties to even; what overflows becomes infinite, what underflows zero."""
    return reduce_precision_p.bind(
        x, exponent_bits=int(exponent_bits), mantissa_bits=int(mantissa_bits)
    )


@reduce_precision_p.def_type
def _(x: ShapedArray, *, exponent_bits: int, mantissa_bits: int) -> ShapedArray:
    check_accepts("reduce_precision", FLOAT, x)
    if exponent_bits < 1 or mantissa_bits < 0:
        raise ValueError(
            "reduce_precision needs exponent_bits of at least 1 and mantissa_bits of at least 0, "
            f"got {exponent_bits} and {mantissa_bits}."
        )
    return x


Bits = Any  # what an emitter computes with


def _rounded(
    emit: Callable[..., Bits],
    number: Callable[[int], Bits],
    bits: Bits,
    dtype: np.dtype,
    exponent_bits: int,
    mantissa_bits: int,
) -> Bits:
    """The bits of the rounded number; NaN and infinity are not for it.

    ``emit(op, *args)`` applies a scalar operation, ``number`` makes a constant.
    """
    info = ml_dtypes.finfo(dtype)
    if mantissa_bits < info.nmant:
        dropped = info.nmant - mantissa_bits
        last = emit("and", emit("shift_right_logical", bits, number(dropped)), number(1))
        # Halfway cases go up only if that makes the last bit even; a carry moves the exponent.
        bits = emit("add", bits, emit("add", last, number((1 << (dropped - 1)) - 1)))
        bits = emit("and", bits, number(~((1 << dropped) - 1)))
    if exponent_bits < info.nexp:
        bias, narrow = (1 << (info.nexp - 1)) - 1, (1 << (exponent_bits - 1)) - 1
        infinity = ((1 << info.nexp) - 1) << info.nmant
        exponent = emit("and", bits, number(infinity))
        sign = emit("and", bits, number(1 << (info.nmant + info.nexp)))
        overflows = emit("gt", exponent, number((bias + narrow) << info.nmant))
        underflows = emit("le", exponent, number((bias - narrow) << info.nmant))
        bits = emit("select", overflows, emit("or", sign, number(infinity)), bits)
        bits = emit("select", underflows, sign, bits)
    return bits


def _unsigned(dtype: np.dtype) -> np.dtype:
    return np.dtype(f"u{dtype.itemsize}")


_NUMPY: dict[str, Callable[..., Any]] = {
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "add": np.add,
    "gt": np.greater,
    "le": np.less_equal,
    "shift_right_logical": np.right_shift,
    "select": np.where,
}


def _emit_numpy(op: str, *args: Any) -> Any:
    return _NUMPY[op](*args)


@reduce_precision_p.def_numpy
def _(x: np.ndarray, **params: Any) -> np.ndarray:
    word = _unsigned(x.dtype)
    mask = (1 << 8 * word.itemsize) - 1
    bits = _rounded(_emit_numpy, lambda n: word.type(n & mask), x.view(word), x.dtype, **params)
    return np.where(np.isfinite(x), np.asarray(bits, word).view(x.dtype), x)


@reduce_precision_p.def_lower
def _(ctx: Lowering, x: Tensor, **params: Any) -> Tensor:
    word = _unsigned(x.dtype)
    mask = (1 << 8 * word.itemsize) - 1

    def emit(op: str, *args: Term) -> Term:
        return build.select(*args) if op == "select" else build.op(op, *args)

    def element(index: Any) -> Term:
        value = x.at(index)
        bits = build.bitcast(value, word)
        rounded = _rounded(emit, lambda n: build.const(n & mask, word), bits, x.dtype, **params)
        return build.select(build.op("is_finite", value), build.bitcast(rounded, x.dtype), value)

    return ctx.define(x.shape, x.dtype, element)


@reduce_precision_p.def_batch
def _(axis_size: int, args: Values, dims: Dims, **params: Any) -> Batched:
    return reduce_precision_p.bind(*args, **params), dims[0]


# As in JAX, tangents and cotangents are rounded too.
def_linear(reduce_precision_p, lambda ct, x, **params: reduce_precision_p.bind(ct, **params))
