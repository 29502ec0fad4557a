"""Floating-point numbers taken apart and put together: `frexp`, `ldexp` and `modf`.

Exponents are read from the bits and powers of two are made of bits, so that results are exact but
for the one rounding of an `ldexp` whose result is subnormal.
"""

from __future__ import annotations

import numpy as np

from weft import lax
from weft.core import dtypes
from weft.numpy._common import (
    ArrayLike,
    Value,
    broadcast_shape,
    broadcast_to_shape,
    check_arraylike,
    dtype_of,
    no_out,
    promote_inexact,
    shape_of,
)
from weft.numpy.creation import asarray
from weft.numpy.special import signbit
from weft.numpy.ufuncs import constant_like, zeros_of

#: Bits of the fraction, and what the exponent in the bits is less, of the dtypes worked in.
_FORMATS = {dtypes.float32: (23, 127, dtypes.int32), dtypes.float64: (52, 1023, dtypes.int64)}


def frexp(x: ArrayLike, /) -> tuple[Value, Value]:
    """Mantissas m and int32 exponents e with x = m · 2**e and 1/2 <= |m| < 1.

    Zero, infinities and NaN are their own mantissas, with exponent 0. The derivative of a mantissa
    is 2**-e.

    >>> frexp(np.array([6.0, -0.75]))
    (Array([ 0.75, -0.75], dtype=float32), Array([3, 0], dtype=int32))
    """
    value = _real("frexp", x)
    exponent = _exponent(lax.stop_gradient(value))
    return _scaled(value, lax.neg(exponent)), exponent


def ldexp(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """x1 · 2**x2, rounded once, for integers x2.

    >>> ldexp(0.75, np.array([3, -1]))
    Array([6.   , 0.375], dtype=float32)

    Raises
    ------
    TypeError: for exponents that are not integers, and for complex numbers.
    """
    value = _real("ldexp", x1)
    check_arraylike("ldexp", x2)
    if not dtypes.is_integer(dtype_of(x2)):
        raise TypeError(
            f"weft.numpy.ldexp: x2 must be an integer exponent, got {dtype_of(x2)}; for other "
            "powers write x1 * weft.numpy.exp2(x2)"
        )
    exponent = _clipped(asarray(x2))
    shape = broadcast_shape("ldexp", shape_of(value), shape_of(exponent))
    return _scaled(broadcast_to_shape(value, shape), broadcast_to_shape(exponent, shape))


def modf(x: ArrayLike, /, out: None = None) -> tuple[Value, Value]:
    """The fractional and the integral part, both with the sign of x; `out` must be None.

    >>> modf(np.array([2.5, -0.25]))
    (Array([ 0.5 , -0.25], dtype=float32), Array([ 2., -0.], dtype=float32))
    """
    no_out("modf", out)
    value = _real("modf", x)
    negative = signbit(value)
    magnitude = lax.select_n(negative, value, lax.neg(value))
    whole = lax.floor(magnitude)
    infinite = lax.eq(magnitude, constant_like(magnitude, np.inf))
    rest = lax.select_n(infinite, lax.sub(magnitude, whole), zeros_of(magnitude))
    return (
        lax.select_n(negative, rest, lax.neg(rest)),
        lax.select_n(negative, whole, lax.neg(whole)),
    )


def _real(name: str, x: ArrayLike) -> Value:
    """`x` as an array of floating-point numbers."""
    (value,) = promote_inexact(name, x)
    if dtypes.is_complex(dtype_of(value)):
        raise TypeError(
            f"weft.numpy.{name}: {dtype_of(value)} has no exponent; take x.real and x.imag"
        )
    return asarray(value)


def _exponent(x: Value) -> Value:
    """The exponents of `frexp`."""
    if dtype_of(x).itemsize == 2:
        x = lax.convert_element_type(x, dtypes.float32)
    fraction, bias, integer = _FORMATS[dtype_of(x)]
    tiny = lax.lt(lax.abs(x), constant_like(x, 2.0 ** (1 - bias)))
    up = fraction + 2  # makes subnormal numbers normal
    normal = lax.select_n(tiny, x, lax.mul(x, constant_like(x, 2.0**up)))
    bits = lax.bitcast_convert_type(normal, integer)
    biased = lax.bitwise_and(
        lax.shift_right_logical(bits, constant_like(bits, fraction)),
        constant_like(bits, 2 * bias + 1),
    )
    exponent = lax.sub(biased, constant_like(bits, bias - 1))
    exponent = lax.sub(exponent, lax.select_n(tiny, zeros_of(bits), constant_like(bits, up)))
    plain = lax.bitwise_and(lax.is_finite(x), lax.ne(x, zeros_of(x)))
    exponent = lax.select_n(plain, zeros_of(bits), exponent)
    return lax.convert_element_type(exponent, dtypes.int32)


#: Exponents beyond which every number becomes 0 or infinite.
_FAR = 2200


def _clipped(exponent: Value) -> Value:
    """Exponents as int32, not beyond `_FAR`."""
    dtype = dtype_of(exponent)
    if dtype.itemsize < 4:
        return lax.convert_element_type(exponent, dtypes.int32)
    exponent = lax.min(exponent, constant_like(exponent, _FAR))
    if dtypes.is_signed(dtype):
        exponent = lax.max(exponent, constant_like(exponent, -_FAR))
    return lax.convert_element_type(exponent, dtypes.int32)


def _scaled(x: Value, exponent: Value) -> Value:
    """x · 2**exponent for exponents up to `_FAR`, rounded once."""
    dtype = dtype_of(x)
    if dtype != dtypes.float64:
        # Every such product is exact in float64, or so far out that its last bits do not matter.
        wide = lax.convert_element_type(x, dtypes.float64)
        far = constant_like(exponent, 400)
        near = lax.max(lax.min(exponent, far), lax.neg(far))
        return lax.convert_element_type(lax.mul(wide, _power_of_two(near)), dtype)
    # In steps; one that ends in a subnormal number must be the last, lest it round twice.
    lowest = constant_like(exponent, -1022)
    for _ in range(2):
        down = constant_like(exponent, -1022 + 53)
        step = lax.min(exponent, constant_like(exponent, 1023))
        step = lax.select_n(lax.lt(exponent, lowest), step, down)
        x = lax.mul(x, _power_of_two(step))
        exponent = lax.sub(exponent, step)
    return lax.mul(x, _power_of_two(lax.max(exponent, lowest)))


def _power_of_two(exponent: Value) -> Value:
    """2**exponent in float64, for exponents of normal numbers."""
    bits = lax.convert_element_type(exponent, dtypes.int64)
    bits = lax.add(bits, constant_like(bits, 1023))
    return lax.bitcast_convert_type(lax.shift_left(bits, constant_like(bits, 52)), dtypes.float64)
