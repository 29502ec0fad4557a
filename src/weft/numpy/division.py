"""Division that rounds, remainders and powers, where NumPy and the primitives differ."""

from __future__ import annotations

import numpy as np

from weft import lax
from weft.array.calls import at_once
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.numpy._common import (
    ArrayLike,
    Value,
    check_arraylike,
    dtype_of,
    is_scalar,
    promote_and_broadcast,
)
from weft.numpy.ufuncs import constant_like, refuse_bool, zeros_of


@at_once
def floor_divide(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """The largest integer not greater than x1 / x2, in the operands' common dtype.

    With an infinity it is x1 / x2, as the Array API standard says (NumPy: NaN for an infinite `x1`,
    and -1 for an infinite `x2` of the other sign).

    >>> np.floor_divide(np.array([7, -7]), 2)
    Array([ 3, -4], dtype=int32)
    >>> np.floor_divide(np.array([np.inf, 7.0]), np.array([2.0, -np.inf]))
    Array([inf, -0.], dtype=float32)
    """
    x1, x2 = promote_and_broadcast("floor_divide", x1, x2)
    dtype = dtype_of(x1)
    refuse_bool("floor_divide", x1, "convert them first (x.astype(int))")
    if dtypes.is_complex(dtype):
        raise TypeError("weft.numpy.floor_divide: complex numbers have no order to round by")
    if dtypes.is_unsigned(dtype):
        return lax.div(x1, x2)
    if dtypes.is_signed(dtype):
        quotient, remainder = lax.div(x1, x2), lax.rem(x1, x2)
        inexact = lax.ne(remainder, zeros_of(x1))
        below = lax.bitwise_and(lax.ne(lax.sign(x1), lax.sign(x2)), inexact)
        return lax.select_n(below, quotient, lax.sub(quotient, constant_like(x1, 1)))
    infinite = lax.eq(lax.max(lax.abs(x1), lax.abs(x2)), constant_like(x1, np.inf))
    return lax.select_n(infinite, _float_divmod(x1, x2)[0], lax.div(x1, x2))


@at_once
def remainder(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """x1 − x2 · floor(x1 / x2): the remainder with the sign of the divisor; 0 for integers by 0.

    >>> np.remainder(np.array([7, -7]), 3)
    Array([1, 2], dtype=int32)
    """
    divisor = x2
    x1, x2 = promote_and_broadcast("remainder", x1, x2)
    refuse_bool("remainder", x1, "convert them first (x.astype(int))")
    if dtypes.is_complex(dtype_of(x1)):
        raise TypeError("weft.numpy.remainder: complex numbers have no order to round by")
    rest = _rem(x1, x2, divisor)
    if dtypes.is_unsigned(dtype_of(x1)):
        return rest
    zero = zeros_of(x1)
    differs = lax.ne(lax.lt(rest, zero), lax.lt(x2, zero))
    whole = lax.eq(rest, zero)
    adjust = lax.bitwise_and(differs, lax.bitwise_not(whole))
    result = lax.select_n(adjust, rest, lax.add(rest, x2))
    if not dtypes.is_floating(dtype_of(x1)):
        return result
    # Zero with the divisor's sign, and the slope of `rest`.
    still = lax.stop_gradient(rest)
    signed = lax.select_n(lax.lt(x2, zero), lax.sub(rest, still), lax.neg(lax.sub(still, rest)))
    return lax.select_n(whole, result, signed)


mod = remainder


def _rem(x1: Value, x2: Value, divisor: ArrayLike) -> Value:
    """`lax.rem`, but 0 for integers by 0, as in NumPy; ``divisor`` is `x2` as it was given."""
    rest = lax.rem(x1, x2)
    if not dtypes.is_integer(dtype_of(x1)) or (isinstance(divisor, int) and divisor):
        return rest
    zero = zeros_of(x1)
    return lax.select_n(lax.eq(x2, zero), rest, zero)


@at_once
def fmod(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """The remainder with the sign of the dividend, as C's `fmod`; 0 for integers by 0.

    >>> np.fmod(np.array([7, -7]), 3)
    Array([ 1, -1], dtype=int32)
    """
    divisor = x2
    x1, x2 = promote_and_broadcast("fmod", x1, x2)
    return _rem(x1, x2, divisor)


@at_once
def divmod(x1: ArrayLike, x2: ArrayLike, /) -> tuple[Value, Value]:
    """`(floor_divide(x1, x2), remainder(x1, x2))`.

    >>> np.divmod(np.array([7, -7]), 3)
    (Array([ 2, -3], dtype=int32), Array([1, 2], dtype=int32))
    """
    x1, x2 = promote_and_broadcast("divmod", x1, x2)
    if dtypes.is_floating(dtype_of(x1)):
        return _float_divmod(x1, x2)
    return floor_divide(x1, x2), remainder(x1, x2)


def _float_divmod(x1: Value, x2: Value) -> tuple[Value, Value]:
    """As Python's: the quotient is rounded after the remainder is taken out, so they agree.

    The remainder taken out has the sign of `x1`, so that an infinite divisor does no harm.
    """
    truncated, zero = lax.rem(x1, x2), zeros_of(x1)
    quotient = lax.div(lax.sub(x1, truncated), x2)
    below = lax.bitwise_and(
        lax.ne(truncated, zero), lax.ne(lax.lt(truncated, zero), lax.lt(x2, zero))
    )
    quotient = lax.select_n(below, quotient, lax.sub(quotient, constant_like(x1, 1)))
    rounded = lax.round(quotient, lax.RoundingMethod.TO_NEAREST_EVEN)
    ratio = lax.div(x1, x2)
    # A quotient of zero has the sign of the ratio.
    rounded = lax.select_n(lax.eq(rounded, zero), rounded, lax.mul(ratio, zero))
    by_zero = lax.eq(x2, zero)
    return lax.select_n(by_zero, rounded, ratio), remainder(x1, x2)


def power(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """x1 to the power x2. A Python integer exponent multiplies, and keeps exact dtypes.

    Negative integer powers of integers are refused, as in NumPy: make the base floating-point.

    >>> np.power(np.array([2, 3]), 2)
    Array([4, 9], dtype=int32)
    """
    check_arraylike("power", x1, x2)
    if type(x2) is int and not is_scalar(x1):
        return _static_power(x1, x2)
    dtype, _ = dtypes.result_type(x1, x2)
    x1, x2 = promote_and_broadcast("power", x1, x2)
    if dtype == np.bool_:
        x1, x2 = (lax.convert_element_type(x, np.dtype(np.int8)) for x in (x1, x2))
        return _integer_power(x1, x2)
    return _integer_power(x1, x2) if dtypes.is_integer(dtype) else lax.pow(x1, x2)


pow = power


def _static_power(x: Value, exponent: int) -> Value:
    dtype = dtype_of(x)
    if dtype == np.bool_:
        x, dtype = lax.convert_element_type(x, dtypes.int32), dtypes.int32
    if dtypes.is_inexact(dtype):
        return lax.integer_pow(x, exponent)
    if exponent < 0:
        raise ValueError(
            f"weft.numpy.power: integers to the negative power {exponent} are not integers; "
            f"convert the base {aval_of(x)} to a floating-point dtype first"
        )
    return lax.integer_pow(x, exponent)


def _integer_power(base: Value, exponent: Value) -> Value:
    """By repeated squaring over the bits of the exponent; negative exponents give 0 or ±1."""
    one, zero = constant_like(base, 1), zeros_of(base)
    result, square_, rest = one, base, exponent
    for _ in range(dtype_of(base).itemsize * 8):
        odd = lax.ne(lax.bitwise_and(rest, one), zero)
        result = lax.select_n(odd, result, lax.mul(result, square_))
        square_ = lax.mul(square_, square_)
        rest = lax.shift_right_logical(rest, one)
    if dtypes.is_unsigned(dtype_of(base)):
        return result
    # A unit keeps its value to any power; other bases to a negative power truncate to 0.
    unit = lax.eq(lax.mul(base, base), one)
    negative_exponent = lax.lt(exponent, zero)
    return lax.select_n(lax.bitwise_and(negative_exponent, lax.bitwise_not(unit)), result, zero)


@at_once
def float_power(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """x1 to the power x2, computed in floating-point.

    >>> np.float_power(np.array([2, 3]), -1)
    Array([0.5       , 0.33333334], dtype=float32)
    """
    return lax.pow(*promote_and_broadcast("float_power", x1, x2, inexact=True))
