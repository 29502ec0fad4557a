"""Arithmetic: sums, products, quotients, signs, extrema and rounding.

Integers wrap around. Integer division truncates toward zero; dividing by zero gives -1 (all bits
set) and leaves the dividend as remainder, as XLA defines it. Where several operands attain a
maximum or minimum, each gets an equal share of the derivative.
"""

from __future__ import annotations

import enum

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.primitive import Primitive
from weft.core.shape_classes import keep_params
from weft.primitives.bitwise import and_
from weft.primitives.comparison import eq, ge, gt, lt
from weft.primitives.elementwise import elementwise, jvp_rule, numpy_meaning
from weft.primitives.rules import (
    FLOAT,
    NUMBER,
    ORDERED,
    REAL,
    Apply,
    Batched,
    Dims,
    Value,
    Values,
    check_accepts,
    check_same_dtype,
    dtype_of,
    shape_of,
)
from weft.primitives.select import select_n
from weft.primitives.shaping import batch_at, broadcast_in_dim, full_like
from weft.terms import build
from weft.terms.lower import Lowering, Tensor

# ---------------------------------------------------------------- neg, add, sub, mul

neg_p = elementwise(
    "neg",
    NUMBER,
    1,
    numpy=np.negative,
    jvp=(lambda t, ans, x: neg(t),),
    transpose=(lambda ct, x: neg(ct),),
)
neg: Apply = neg_p.bind

add_p = elementwise(
    "add",
    NUMBER,
    2,
    numpy=np.add,
    jvp=(lambda t, ans, x, y: t, lambda t, ans, x, y: t),
    transpose=(lambda ct, x, y: ct, lambda ct, x, y: ct),
)
add = add_p.bind

sub_p = elementwise(
    "sub",
    NUMBER,
    2,
    numpy=np.subtract,
    jvp=(lambda t, ans, x, y: t, lambda t, ans, x, y: neg(t)),
    transpose=(lambda ct, x, y: ct, lambda ct, x, y: neg(ct)),
)
sub = sub_p.bind

mul_p = elementwise(
    "mul",
    NUMBER,
    2,
    numpy=np.multiply,
    jvp=(lambda t, ans, x, y: mul(t, y), lambda t, ans, x, y: mul(x, t)),
    transpose=(lambda ct, x, y: mul(ct, y), lambda ct, x, y: mul(x, ct)),
)
mul: Apply = mul_p.bind


# ---------------------------------------------------------------- div, rem


def _divide(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if not dtypes.is_integer(x.dtype):
        return np.divide(x, y)
    by_zero = y == 0
    # NumPy divides toward minus infinity; the remainder of the sign of x makes it exact first.
    quotient = np.floor_divide(x - _remainder(x, y), np.where(by_zero, x.dtype.type(1), y))
    return np.where(by_zero, ~np.zeros_like(x), quotient)


def _remainder(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if not dtypes.is_integer(x.dtype):
        return np.fmod(x, y)
    return np.where(y == 0, x, np.fmod(x, np.where(y == 0, x.dtype.type(1), y)))


div_p = elementwise(
    "div",
    NUMBER,
    2,
    numpy=_divide,
    jvp=(lambda t, ans, x, y: div(t, y), lambda t, ans, x, y: neg(div(mul(t, ans), y))),
    transpose=(lambda ct, x, y: div(ct, y), None),
)
div: Apply = div_p.bind

rem_p = elementwise(
    "rem",
    REAL,
    2,
    numpy=_remainder,
    jvp=(
        lambda t, ans, x, y: t,
        # x = trunc(x / y) * y + rem: the slope in y is the whole part of the quotient, negated.
        lambda t, ans, x, y: neg(mul(t, round(div(sub(x, ans), y)))),
    ),
)
rem = rem_p.bind

# ---------------------------------------------------------------- sign, abs


def _sign(x: np.ndarray) -> np.ndarray:
    if dtypes.is_complex(x.dtype):
        return np.where(x == 0, x, x / np.abs(x))
    return np.where(x == 0, x, np.sign(x))  # np.sign alone loses the sign of -0.0


sign_p = elementwise("sign", NUMBER, 1, numpy=_sign)
sign = sign_p.bind


def _abs_jvp(t: Value, ans: Value, x: Value) -> Value:
    if not dtypes.is_complex(dtype_of(x)):
        return select_n(ge(x, full_like(x, 0)), neg(t), t)
    # Re(conj(x / |x|) t), with a derivative of its own, which `sign` has not; imported here, as it
    # is made of arithmetic itself.
    from weft.primitives.complex import conj, real

    size = select_n(eq(ans, full_like(ans, 0)), ans, full_like(ans, 1))
    return div(real(mul(conj(x), t)), size)


abs_p = elementwise("abs", NUMBER, 1, numpy=np.abs, jvp=(_abs_jvp,), result=dtypes.real_dtype)
abs = abs_p.bind

# ---------------------------------------------------------------- max, min, clamp


def _share(t: Value, wins: Value, ties: Value) -> Value:
    """The part of a tangent that reaches an extremum: all, none, or half where operands tie."""
    return select_n(ties, select_n(wins, full_like(t, 0), t), mul(t, full_like(t, 0.5)))


max_p = elementwise(
    "max",
    ORDERED,
    2,
    numpy=np.maximum,
    jvp=(
        lambda t, ans, x, y: _share(t, gt(x, y), eq(x, y)),
        lambda t, ans, x, y: _share(t, lt(x, y), eq(x, y)),
    ),
)
max = max_p.bind

min_p = elementwise(
    "min",
    ORDERED,
    2,
    numpy=np.minimum,
    jvp=(
        lambda t, ans, x, y: _share(t, lt(x, y), eq(x, y)),
        lambda t, ans, x, y: _share(t, gt(x, y), eq(x, y)),
    ),
)
min = min_p.bind

clamp_p = Primitive("clamp")
clamp = clamp_p.bind  # clamp(lo, x, hi) is min(max(x, lo), hi); lo and hi may be scalars


@clamp_p.def_type
def _(lo: ShapedArray, x: ShapedArray, hi: ShapedArray) -> ShapedArray:
    check_same_dtype("clamp", lo, x, hi)
    check_accepts("clamp", ORDERED, lo, x, hi)
    for word, bound in (("minimum", lo), ("maximum", hi)):
        if bound.shape not in ((), x.shape):
            raise ValueError(
                f"clamp needs its {word} to be a scalar or of the operand's shape, "
                f"got {bound} for operand {x}."
            )
    return x.update(weak_type=lo.weak_type and x.weak_type and hi.weak_type)


clamp_p.def_numpy(numpy_meaning(lambda lo, x, hi: np.minimum(np.maximum(x, lo), hi)))


def _like(bound: Value, x: Value) -> Value:
    """A scalar repeated in the shape of `x`; an array of that shape unchanged."""
    return broadcast_in_dim(bound, shape_of(x), range(len(shape_of(bound))))


def _where(mask: Value, t: Value, x: Value) -> Value:
    return select_n(mask, full_like(x, 0), _like(t, x))


clamp_p.def_jvp(
    jvp_rule(
        clamp_p,
        (
            lambda t, ans, lo, x, hi: _where(
                and_(gt(_like(lo, x), x), lt(_like(lo, x), _like(hi, x))), t, x
            ),
            lambda t, ans, lo, x, hi: _where(and_(gt(x, _like(lo, x)), lt(x, _like(hi, x))), t, x),
            lambda t, ans, lo, x, hi: _where(lt(_like(hi, x), x), t, x),
        ),
    )
)


@clamp_p.def_batch
def _(axis_size: int, args: Values, dims: Dims) -> Batched:
    lo, x, hi = args
    lo_dim, x_dim, hi_dim = dims
    (x,) = batch_at(0, axis_size, [x], [x_dim])

    def bound(value: Value, dim: Value) -> Value:
        if dim is None and shape_of(value) == ():
            return value
        if dim is not None and len(shape_of(value)) == 1:
            return broadcast_in_dim(value, shape_of(x), (0,))
        return batch_at(0, axis_size, [value], [dim])[0]

    return clamp(bound(lo, lo_dim), x, bound(hi, hi_dim)), 0


clamp_p.def_sizes(keep_params)


@clamp_p.def_lower
def _(ctx: Lowering, lo: Tensor, x: Tensor, hi: Tensor) -> Tensor:
    def bound(value: Value, index: Value) -> Value:
        return value.at(index if value.ndim else ())

    return ctx.define(
        x.shape,
        x.dtype,
        lambda i: build.op("min", build.op("max", x.at(i), bound(lo, i)), bound(hi, i)),
    )


# ---------------------------------------------------------------- rounding, neighbours


class RoundingMethod(enum.IntEnum):
    """What :data:`round_p` does halfway between two integers."""

    AWAY_FROM_ZERO = 0
    TO_NEAREST_EVEN = 1


def _round(x: np.ndarray, *, rounding_method: RoundingMethod) -> np.ndarray:
    if rounding_method == RoundingMethod.TO_NEAREST_EVEN:
        return np.rint(x)
    whole = np.trunc(x)
    return np.where(np.abs(x - whole) >= 0.5, whole + np.copysign(np.ones_like(x), x), whole)


floor_p = elementwise("floor", FLOAT, 1, numpy=np.floor)
floor = floor_p.bind

ceil_p = elementwise("ceil", FLOAT, 1, numpy=np.ceil)
ceil = ceil_p.bind


def _round_lower(ctx: Value, x: Value, *, rounding_method: RoundingMethod) -> Value:
    even = rounding_method == RoundingMethod.TO_NEAREST_EVEN
    op = "round_even" if even else "round_away"
    return ctx.define(x.shape, x.dtype, lambda i: build.op(op, x.at(i)))


round_p = elementwise("round", FLOAT, 1, numpy=_round, lowered=_round_lower)


def round(x: Value, rounding_method: RoundingMethod = RoundingMethod.TO_NEAREST_EVEN) -> Value:
    """The nearest integer, as a floating-point number."""
    return round_p.bind(x, rounding_method=RoundingMethod(rounding_method))


nextafter_p = elementwise("nextafter", FLOAT, 2, numpy=np.nextafter)
nextafter = nextafter_p.bind
