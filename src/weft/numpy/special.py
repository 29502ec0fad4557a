"""Elementwise functions composed of several primitives, with care for overflow and NaN."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from weft import lax
from weft.array.calls import at_once
from weft.core import dtypes
from weft.numpy._common import (
    ArrayLike,
    Value,
    as_result,
    check_ordered,
    dtype_of,
    only_values,
    promote,
    promote_and_broadcast,
    promote_inexact,
)
from weft.numpy.ufuncs import constant_like, zeros_of
from weft.transforms.custom_jvp import custom_jvp


def _once_rounded(function: Callable[..., Value]) -> Callable[..., Value]:
    """``function`` of arrays of one dtype, with half types computed in float32 and rounded once.

    A chain of operations on half types would round after each.
    """

    @functools.wraps(function)
    def wrapped(*args: Value) -> Value:
        dtype = dtype_of(args[0])
        if dtype.itemsize != 2:
            return function(*args)
        wide = (lax.convert_element_type(x, dtypes.float32) for x in args)
        return lax.convert_element_type(function(*wide), dtype)

    return wrapped


@at_once
def hypot(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """√(x1² + x2²) without needless overflow.

    >>> np.hypot(3.0, np.array([4.0]))
    Array([5.], dtype=float32)
    """
    return _hypot(*promote_and_broadcast("hypot", x1, x2, inexact=True))


@_once_rounded
def _hypot(x1: Value, x2: Value) -> Value:
    x1, x2 = lax.abs(x1), lax.abs(x2)
    big, small = lax.max(x1, x2), lax.min(x1, x2)
    one = constant_like(big, 1)
    flat = lax.eq(big, zeros_of(big))
    ratio = lax.div(small, lax.select_n(flat, big, one))
    result = lax.mul(big, lax.sqrt(lax.add(one, lax.mul(ratio, ratio))))
    infinite = constant_like(big, np.inf)
    either = lax.bitwise_or(lax.eq(x1, infinite), lax.eq(x2, infinite))
    return lax.select_n(either, result, infinite)


@at_once
def logaddexp(x1: ArrayLike, x2: ArrayLike, /, *, out: None = None, where: None = None) -> Value:
    """log(exp(x1) + exp(x2)) without overflow, with smooth derivatives of any order.

    >>> np.logaddexp(np.array([0.0]), 0.0).round(4)
    Array([0.6931], dtype=float32)
    """
    only_values("logaddexp", out, where)
    check_ordered("logaddexp", x1, x2)
    return _logaddexp(*promote_and_broadcast("logaddexp", x1, x2, inexact=True))


@custom_jvp
@_once_rounded
def _logaddexp(x1: Value, x2: Value) -> Value:
    # Written with max and |difference|, which have a kink that the whole function does not have.
    difference = lax.sub(x1, x2)
    decay = lax.neg(lax.abs(difference))
    smooth = lax.add(lax.max(x1, x2), lax.log1p(lax.exp(decay)))
    # Equal infinities differ by NaN: their sum is the answer, and NaN stays NaN.
    return lax.select_n(lax.ne(difference, difference), smooth, lax.add(x1, x2))


@_logaddexp.defjvp
def _logaddexp_jvp(
    primals: tuple[Value, Value], tangents: tuple[Value, Value]
) -> tuple[Value, Value]:
    (x1, x2), (t1, t2) = primals, tangents
    difference = _finite_difference(x1, x2)
    first = lax.mul(t1, lax.logistic(difference))
    second = lax.mul(t2, lax.logistic(lax.neg(difference)))
    return _logaddexp(x1, x2), lax.add(first, second)


def _finite_difference(x1: Value, x2: Value) -> Value:
    """x1 − x2, and 0 for equal infinities."""
    difference = lax.sub(x1, x2)
    infinite = lax.bitwise_and(lax.eq(x1, x2), lax.ne(difference, difference))
    return lax.select_n(infinite, difference, zeros_of(x1))


@at_once
def logaddexp2(x1: ArrayLike, x2: ArrayLike, /, *, out: None = None, where: None = None) -> Value:
    """log2(2^x1 + 2^x2) without overflow.

    >>> np.logaddexp2(np.array([3.0]), 3.0)
    Array([4.], dtype=float32)
    """
    only_values("logaddexp2", out, where)
    check_ordered("logaddexp2", x1, x2)
    return _logaddexp2(*promote_and_broadcast("logaddexp2", x1, x2, inexact=True))


@custom_jvp
@_once_rounded
def _logaddexp2(x1: Value, x2: Value) -> Value:
    difference = lax.sub(x1, x2)
    decay = lax.exp2(lax.neg(lax.abs(difference)))
    more = lax.mul(lax.log1p(decay), constant_like(x1, 1 / np.log(2.0)))
    smooth = lax.add(lax.max(x1, x2), more)
    return lax.select_n(lax.ne(difference, difference), smooth, lax.add(x1, x2))


@_logaddexp2.defjvp
def _logaddexp2_jvp(
    primals: tuple[Value, Value], tangents: tuple[Value, Value]
) -> tuple[Value, Value]:
    (x1, x2), (t1, t2) = primals, tangents
    difference = lax.mul(_finite_difference(x1, x2), constant_like(x1, np.log(2.0)))
    first = lax.mul(t1, lax.logistic(difference))
    second = lax.mul(t2, lax.logistic(lax.neg(difference)))
    return _logaddexp2(x1, x2), lax.add(first, second)


@at_once
def deg2rad(x: ArrayLike, /) -> Value:
    """Degrees to radians.

    >>> np.deg2rad(180.0)
    Array(3.1415927, dtype=float32, weak_type=True)
    """
    return _scaled(np.pi / 180, *promote_inexact("deg2rad", x))


@at_once
def rad2deg(x: ArrayLike, /) -> Value:
    """Radians to degrees.

    >>> np.rad2deg(np.array([np.pi]))
    Array([180.], dtype=float32)
    """
    return _scaled(180 / np.pi, *promote_inexact("rad2deg", x))


def _scaled(factor: float, x: Value) -> Value:
    return _once_rounded(lambda x: lax.mul(x, constant_like(x, factor)))(x)


radians, degrees = deg2rad, rad2deg


@at_once
def sinc(x: ArrayLike, /) -> Value:
    """sin(πx) / (πx), and 1 at 0.

    >>> np.sinc(np.array([0.0, 0.5])).round(4)
    Array([1.    , 0.6366], dtype=float32)
    """
    return _sinc(*promote_inexact("sinc", x))


@_once_rounded
def _sinc(x: Value) -> Value:
    zero = lax.eq(x, zeros_of(x))
    one, pi = constant_like(x, 1), constant_like(x, np.pi)
    # At 0 the series, which has the derivatives (1 is all of its value there).
    near = lax.mul(lax.select_n(zero, zeros_of(x), x), pi)
    series = lax.sub(one, lax.div(lax.mul(near, near), constant_like(x, 6)))
    far = lax.select_n(zero, x, one)
    if dtypes.is_complex(dtype_of(x)):
        sine = lax.sin(lax.mul(far, pi))
    else:
        far = lax.abs(far)
        sine = _sin_of_pi(far)
    return lax.select_n(zero, lax.div(sine, lax.mul(far, pi)), series)


def _sin_of_pi(x: Value) -> Value:
    """sin(πx), to the last digits also where it is nearly 0: x less an even number is exact."""
    two = constant_like(x, 2)
    halves = lax.round(lax.div(x, two), lax.RoundingMethod.TO_NEAREST_EVEN)
    rest = lax.sub(x, lax.stop_gradient(lax.mul(two, halves)))  # in [-1, 1]
    # sin(π - a) = sin(a), so that the angle stays small where the sine does.
    beyond = lax.gt(lax.abs(rest), constant_like(x, 0.5))
    folded = lax.select_n(beyond, rest, lax.sub(lax.sign(rest), rest))
    return lax.sin(lax.mul(folded, constant_like(x, np.pi)))


@at_once
def fmax(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """The larger of two elements, ignoring a NaN beside a number.

    >>> np.fmax(np.array([1.0, np.nan]), 0.5)
    Array([1. , 0.5], dtype=float32)
    """
    check_ordered("fmax", x1, x2)
    x1, x2 = promote_and_broadcast("fmax", x1, x2)
    takes_first = lax.bitwise_or(lax.ge(x1, x2), lax.ne(x2, x2))
    return lax.select_n(takes_first, x2, x1)


@at_once
def fmin(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """The smaller of two elements, ignoring a NaN beside a number.

    >>> np.fmin(np.array([1.0, np.nan]), 0.5)
    Array([0.5, 0.5], dtype=float32)
    """
    check_ordered("fmin", x1, x2)
    x1, x2 = promote_and_broadcast("fmin", x1, x2)
    takes_first = lax.bitwise_or(lax.le(x1, x2), lax.ne(x2, x2))
    return lax.select_n(takes_first, x2, x1)


@at_once
def heaviside(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """0 below zero, 1 above, x2 at zero; NaN at NaN.

    >>> np.heaviside(np.array([-1.0, 0.0, 1.0]), 0.5)
    Array([0. , 0.5, 1. ], dtype=float32)
    """
    check_ordered("heaviside", x1, x2)
    x1, x2 = promote_and_broadcast("heaviside", x1, x2, inexact=True)
    zero, one = zeros_of(x1), constant_like(x1, 1)
    step = lax.select_n(lax.lt(x1, zero), one, zero)
    step = lax.select_n(lax.eq(x1, zero), step, x2)
    return lax.select_n(lax.ne(x1, x1), step, x1)


@at_once
def signbit(x: ArrayLike, /) -> Value:
    """Whether the sign bit is set: negative numbers, −0 and negative NaN.

    >>> np.signbit(np.array([-0.0, 1.0]))
    Array([ True, False], dtype=bool)
    """
    check_ordered("signbit", x)
    (x,) = promote("signbit", x)
    dtype = dtype_of(x)
    if not dtypes.is_floating(dtype):
        return lax.lt(x, zeros_of(x)) if dtype != np.bool_ else as_result(zeros_of(x))
    bits = lax.bitcast_convert_type(x, np.dtype(f"int{8 * dtype.itemsize}"))
    return lax.lt(bits, zeros_of(bits))


@at_once
def copysign(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """|x1| with the sign of x2.

    >>> np.copysign(np.array([1.0, 2.0]), -0.0)
    Array([-1., -2.], dtype=float32)
    """
    check_ordered("copysign", x1, x2)
    x1, x2 = promote_and_broadcast("copysign", x1, x2, inexact=True)
    magnitude = lax.abs(x1)
    return lax.select_n(signbit(x2), magnitude, lax.neg(magnitude))


def spacing(x: ArrayLike, /) -> Value:
    """The distance to the next float away from 0, with the sign of x; NaN for ±∞ and NaN.

    It is constant between powers of two, so its derivative is 0.

    >>> spacing(np.array([1.0, -4.0]))
    Array([ 1.1920929e-07, -4.7683716e-07], dtype=float32)

    Raises
    ------
    TypeError: for complex numbers.
    """
    (x,) = promote_inexact("spacing", x)
    if dtypes.is_complex(dtype_of(x)):
        raise TypeError("weft.numpy.spacing: complex numbers have no neighbours")
    size = lax.abs(x)
    above = lax.nextafter(size, constant_like(size, np.inf))
    below = lax.nextafter(size, constant_like(size, 0))
    # Above the greatest float there is none: there the distance is that to the one below.
    infinity = constant_like(size, np.inf)
    greatest = lax.bitwise_and(lax.eq(above, infinity), lax.ne(size, infinity))
    distance = lax.select_n(greatest, lax.sub(above, size), lax.sub(size, below))
    return lax.select_n(lax.lt(x, constant_like(x, 0)), distance, lax.neg(distance))
