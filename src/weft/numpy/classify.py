"""Elementwise questions about numbers (finite? close?), and the parts of complex numbers."""

from __future__ import annotations

import numpy as np

from weft import lax
from weft.array.calls import at_once
from weft.core import dtypes
from weft.numpy._common import (
    ArrayLike,
    Value,
    as_result,
    check_arraylike,
    dtype_of,
    no_out,
    promote,
    promote_and_broadcast,
    promote_inexact,
    shape_of,
)
from weft.numpy.ufuncs import absolute, add, arctan2, constant_like, less_equal, multiply, positive


def _false_like(x: Value) -> Value:
    return as_result(lax.broadcast_in_dim(np.asarray(False), shape_of(x), ()))


def isnan(x: ArrayLike, /) -> Value:
    """Whether an element is NaN.

    >>> np.isnan(np.array([1.0, np.inf, np.nan]))
    Array([False, False,  True], dtype=bool)
    """
    (x,) = promote("isnan", x)
    return lax.ne(x, x) if dtypes.is_inexact(dtype_of(x)) else _false_like(x)


def isfinite(x: ArrayLike, /) -> Value:
    """Whether an element is neither infinite nor NaN.

    >>> np.isfinite(np.array([1.0, np.inf, np.nan]))
    Array([ True, False, False], dtype=bool)
    """
    (x,) = promote("isfinite", x)
    dtype = dtype_of(x)
    if dtypes.is_complex(dtype):
        return lax.bitwise_and(lax.is_finite(lax.real(x)), lax.is_finite(lax.imag(x)))
    return lax.is_finite(x) if dtypes.is_floating(dtype) else lax.bitwise_not(_false_like(x))


def isinf(x: ArrayLike, /) -> Value:
    """Whether an element is +∞ or −∞.

    >>> np.isinf(np.array([1.0, np.inf, np.nan]))
    Array([False,  True, False], dtype=bool)
    """
    (x,) = promote("isinf", x)
    dtype = dtype_of(x)
    if dtypes.is_complex(dtype):
        return lax.bitwise_or(isinf(lax.real(x)), isinf(lax.imag(x)))
    if not dtypes.is_floating(dtype):
        return _false_like(x)
    return lax.eq(lax.abs(x), constant_like(x, np.inf))


def isposinf(x: ArrayLike, /, out: None = None) -> Value:
    """Whether an element is +∞; `out` must be None.

    >>> np.isposinf(np.array([-np.inf, np.inf]))
    Array([False,  True], dtype=bool)
    """
    no_out("isposinf", out)
    (x,) = promote("isposinf", x)
    if not dtypes.is_floating(dtype_of(x)):
        return _false_like(x)
    return lax.eq(x, constant_like(x, np.inf))


def isneginf(x: ArrayLike, /, out: None = None) -> Value:
    """Whether an element is −∞; `out` must be None.

    >>> np.isneginf(np.array([-np.inf, np.inf]))
    Array([ True, False], dtype=bool)
    """
    no_out("isneginf", out)
    (x,) = promote("isneginf", x)
    if not dtypes.is_floating(dtype_of(x)):
        return _false_like(x)
    return lax.eq(x, constant_like(x, -np.inf))


@at_once
def isclose(
    a: ArrayLike,
    b: ArrayLike,
    rtol: ArrayLike = 1e-5,
    atol: ArrayLike = 1e-8,
    equal_nan: bool = False,
) -> Value:
    """Whether |a − b| ≤ atol + rtol·|b|, with equal infinities close.

    >>> np.isclose(np.array([1.0, 2.0]), np.array([1.0, 2.1]))
    Array([ True, False], dtype=bool)
    """
    a, b = promote_and_broadcast("isclose", a, b)
    if not dtypes.is_inexact(dtype_of(a)):
        a, b = promote_inexact("isclose", a, b)
    close = less_equal(absolute(lax.sub(a, b)), add(atol, multiply(rtol, absolute(b))))
    both_finite = lax.bitwise_and(isfinite(a), isfinite(b))
    close = lax.select_n(both_finite, lax.eq(a, b), close)
    if equal_nan:
        close = lax.bitwise_or(close, lax.bitwise_and(isnan(a), isnan(b)))
    return close


# ---------------------------------------------------------------- complex numbers


def real(x: ArrayLike, /) -> Value:
    """The real part.

    >>> np.real(np.array([1 + 2j]))
    Array([1.], dtype=float32)
    """
    check_arraylike("real", x)
    return lax.real(x) if dtypes.is_complex(dtype_of(x)) else positive(x)


def imag(x: ArrayLike, /) -> Value:
    """The imaginary part; zeros for real arrays.

    >>> np.imag(np.array([1 + 2j]))
    Array([2.], dtype=float32)
    """
    check_arraylike("imag", x)
    if dtypes.is_complex(dtype_of(x)):
        return lax.imag(x)
    return as_result(lax.broadcast_in_dim(np.zeros((), dtype_of(x)), shape_of(x), ()))


def conjugate(x: ArrayLike, /) -> Value:
    """The complex conjugate; a real array's own value.

    >>> np.conjugate(np.array([1 + 2j]))
    Array([1.-2.j], dtype=complex64)
    """
    check_arraylike("conjugate", x)
    if not dtypes.is_complex(dtype_of(x)):
        return positive(x)
    return lax.complex(lax.real(x), lax.neg(lax.imag(x)))


conj = conjugate


@at_once
def angle(z: ArrayLike, deg: bool = False) -> Value:
    """The argument of complex numbers in radians (degrees with `deg`); 0 or π for real ones.

    >>> np.angle(np.array([1j, -1.0]), deg=True)
    Array([ 90., 180.], dtype=float32)
    """
    (z,) = promote_inexact("angle", z)
    result = arctan2(imag(z), real(z))
    return multiply(result, 180 / np.pi) if deg else result
