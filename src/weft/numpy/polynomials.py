"""Polynomials as vectors of coefficients, the highest power first, as NumPy's `poly*` functions.

Everything here is composed from primitives. Lengths are static, so leading zeros stay unless a
function is asked to strip them, which needs their values.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from weft import lax
from weft.array.calls import at_once
from weft.core import dtypes
from weft.core.trace import Tracer
from weft.numpy._common import (
    ArrayLike,
    Value,
    broadcast_to_shape,
    check_arraylike,
    convert,
    dtype_of,
    promote,
    promote_inexact,
    shape_of,
)
from weft.numpy.creation import asarray, diagonal_mask
from weft.numpy.joining import concatenate, stack
from weft.numpy.reductions import sum as sum_of
from weft.numpy.select import where
from weft.numpy.shaping import ravel
from weft.numpy.ufuncs import constant_like, sqrt


def _vector(name: str, argument: str, x: ArrayLike, least: int = 0) -> Value:
    """Coefficients as a vector: a number is a constant polynomial."""
    result = asarray(x)
    if not shape_of(result):
        result = lax.reshape(result, (1,))
    if len(shape_of(result)) != 1 or shape_of(result)[0] < least:
        raise ValueError(
            f"weft.numpy.{name}: {argument} must be a vector of coefficients, got shape "
            f"{shape_of(x)}"
        )
    return result


def _padded(x: Value, before: int, after: int = 0) -> Value:
    """A vector with zeros around it."""
    return lax.pad(x, np.zeros((), dtype_of(x)), [(before, after, 0)])


def _without_leading_zeros(name: str, x: Value, tolerance: float = 0.0) -> Value:
    """`x` from its first coefficient above `tolerance` on; needs its values."""
    if isinstance(x, Tracer) and x.concrete() is None:
        raise x._concretization_error(
            f"weft.numpy.{name}: leading zeros were to be stripped",
            "How many there are depends on values: leave them (trim_leading_zeros=False).",
        )
    significant = np.flatnonzero(np.abs(np.asarray(x)) > tolerance)
    return x[significant[0] if significant.size else shape_of(x)[0] - 1 :]


@at_once
def polyval(p: ArrayLike, x: ArrayLike, *, unroll: int = 16) -> Value:
    """The polynomial with coefficients `p`, highest power first, at `x` (Horner's rule).

    Coefficients may have further axes, which broadcast against `x`. The rule is written out
    step by step, so `unroll` makes no difference.

    >>> polyval(np.array([1.0, 0.0, 2.0]), 3.0)
    Array(11., dtype=float32)
    """
    check_arraylike("polyval", p, x)
    coefficients = asarray(p)
    if len(shape_of(coefficients)) < 1:
        raise ValueError("weft.numpy.polyval: p must have an axis of coefficients")
    count = shape_of(coefficients)[0]
    result = x * 0 if not count else x * 0 + coefficients[0]
    for k in range(1, count):
        result = result * x + coefficients[k]
    return result


@at_once
def polyadd(a1: ArrayLike, a2: ArrayLike) -> Value:
    """The sum of two polynomials, as coefficients of the longer one's length.

    >>> polyadd(np.array([1, 2]), np.array([1, 0, 0]))
    Array([1, 1, 2], dtype=int32)
    """
    first, second = _aligned("polyadd", a1, a2)
    return first + second


@at_once
def polysub(a1: ArrayLike, a2: ArrayLike) -> Value:
    """The difference of two polynomials, as coefficients of the longer one's length.

    >>> polysub(np.array([1, 2]), np.array([1, 0, 0]))
    Array([-1,  1,  2], dtype=int32)
    """
    first, second = _aligned("polysub", a1, a2)
    return first - second


def _aligned(name: str, a1: ArrayLike, a2: ArrayLike) -> list[Value]:
    """Both polynomials with as many coefficients as the longer one."""
    vectors = [_vector(name, f"a{k}", x) for k, x in enumerate(promote(name, a1, a2), 1)]
    size = max(shape_of(x)[0] for x in vectors)
    return [_padded(x, size - shape_of(x)[0]) for x in vectors]


@at_once
def polymul(a1: ArrayLike, a2: ArrayLike, *, trim_leading_zeros: bool = False) -> Value:
    """The product of two polynomials: the convolution of their coefficients, as floats.

    With n and m coefficients the result has n + m − 1, leading zeros included;
    `trim_leading_zeros` strips those of the factors first, as NumPy does, and needs their values.

    >>> polymul(np.array([1.0, 1.0]), np.array([1.0, -1.0]))
    Array([ 1.,  0., -1.], dtype=float32)
    """
    from weft.numpy.convolution import convolve

    vectors = [_vector("polymul", f"a{k}", x) for k, x in enumerate((a1, a2), 1)]
    if trim_leading_zeros:
        vectors = [_without_leading_zeros("polymul", x) for x in vectors]
    first, second = (x if shape_of(x)[0] else _padded(x, 1) for x in vectors)
    first, second = promote_inexact("polymul", first, second)
    return convolve(first, second, mode="full")


def polydiv(u: ArrayLike, v: ArrayLike, *, trim_leading_zeros: bool = False) -> tuple[Value, Value]:
    """The quotient and the remainder of two polynomials, as floats, by long division.

    The remainder has the length of `u`: leading zeros are left, for how many there are depends on
    values. `trim_leading_zeros` strips what rounding left of them, as NumPy does.

    >>> polydiv(np.array([1.0, 3.0, 5.0]), np.array([1.0, 1.0]))
    (Array([1., 2.], dtype=float32), Array([0., 0., 3.], dtype=float32))

    Raises
    ------
    ValueError: for polynomials without coefficients.
    """
    u, v = promote_inexact("polydiv", u, v)
    rest, divisor = _vector("polydiv", "u", u, 1), _vector("polydiv", "v", v, 1)
    size, steps = shape_of(rest)[0], shape_of(rest)[0] - shape_of(divisor)[0] + 1
    if steps < 1:
        return constant_like(rest[:1], 0), rest
    scale = 1 / divisor[0]
    shifted = _padded(divisor, 0, steps - 1)

    def divide(rest: Value, _: None) -> tuple[Value, Value]:
        """One step: what is left of the highest power goes to the end of the vector."""
        factor = scale * rest[0]
        left = rest - factor * shifted
        return concatenate([left[1:], left[:1]]), factor

    rest, quotient = lax.scan(divide, rest, None, length=steps)
    rest = concatenate([rest[size - steps :], rest[: size - steps]])
    if trim_leading_zeros:
        tolerance = float(np.sqrt(np.finfo(dtypes.real_dtype(dtype_of(rest))).eps))
        rest = _without_leading_zeros("polydiv", rest, tolerance)
    return quotient, rest


@at_once
def polyder(p: ArrayLike, m: int = 1) -> Value:
    """The m-th derivative of a polynomial, as coefficients.

    >>> polyder(np.array([1.0, 1.0, 1.0]))
    Array([2., 1.], dtype=float32)
    """
    order = _order("polyder", m)
    result = _vector("polyder", "p", p)
    for _ in range(order):
        degree = shape_of(result)[0] - 1
        powers = np.arange(degree, 0, -1).astype(dtypes.real_dtype(dtype_of(result)))
        result = result[:-1] * powers
    return result


@at_once
def polyint(p: ArrayLike, m: int = 1, k: ArrayLike | None = None) -> Value:
    """The m-th antiderivative of a polynomial, as floats.

    `k` are the constants of integration, the first one for the first integration; one number
    stands for all of them, and without `k` they are 0.

    >>> polyint(np.array([6.0, 2.0]), k=5.0)
    Array([3., 2., 5.], dtype=float32)
    """
    order = _order("polyint", m)
    (p,) = promote_inexact("polyint", p)
    result = _vector("polyint", "p", p)
    constants = convert("polyint", asarray(0.0 if k is None else k), dtype_of(result))
    if shape_of(constants) not in ((), (1,), (order,)):
        raise ValueError(
            f"weft.numpy.polyint: k must be a number or {order} constants, got shape "
            f"{shape_of(constants)}"
        )
    constants = broadcast_to_shape(ravel(constants), (order,)) if order else constants
    for step in range(order):
        powers = np.arange(shape_of(result)[0], 0, -1).astype(dtypes.real_dtype(dtype_of(result)))
        result = concatenate([result / powers, constants[step : step + 1]])
    return result


def _order(name: str, m: int) -> int:
    order = operator.index(m)
    if order < 0:
        raise ValueError(f"weft.numpy.{name}: the order m={order} cannot be negative")
    return order


def poly(seq_of_zeros: ArrayLike) -> Value:
    """The monic polynomial with the given zeros, or the characteristic polynomial of a matrix.

    The eigenvalues of a matrix are complex, and so is the result then: NumPy looks at values, and
    gives a real one where imaginary parts cancel.

    >>> poly(np.array([1.0, 2.0]))
    Array([ 1., -3.,  2.], dtype=float32)

    Raises
    ------
    ValueError: for what is neither a vector nor a square matrix.
    """
    (zeros,) = promote_inexact("poly", seq_of_zeros)
    zeros = asarray(zeros)
    shape = shape_of(zeros)
    if len(shape) == 2 and shape[0] == shape[1] and shape[0]:
        from weft.numpy.linalg import eigvals

        zeros = eigvals(zeros)
    elif len(shape) > 1:
        raise ValueError(
            "weft.numpy.poly: zeros are a vector, or the eigenvalues of a square matrix, got shape "
            f"{shape}"
        )
    zeros = ravel(zeros)
    result = lax.broadcast_in_dim(np.ones((), dtype_of(zeros)), (1,), ())
    for k in range(shape_of(zeros)[0]):
        result = _padded(result, 0, 1) - _padded(result * zeros[k], 1)
    return result


def roots(p: ArrayLike, *, strip_zeros: bool = True) -> Value:
    """The complex roots of the polynomial with coefficients `p`.

    They are the eigenvalues of its companion matrix. Zeros around the coefficients are stripped,
    which needs their values; without `strip_zeros` leading ones give roots that are NaN, at the
    end.

    >>> roots(np.array([1.0, -3.0, 2.0])).real
    Array([2., 1.], dtype=float32)

    Raises
    ------
    ConcretizationError: for traced coefficients without `strip_zeros=False`.
    """
    (p,) = promote_inexact("roots", p)
    coefficients = _vector("roots", "p", p)
    if strip_zeros:
        stripped = _without_leading_zeros("roots", coefficients)
        if shape_of(stripped)[0] < 2:
            return lax.broadcast_in_dim(np.zeros((), _complex(stripped)), (0,), ())
        trailing = _trailing_zeros(stripped)
        found = _companion_roots(stripped[: shape_of(stripped)[0] - trailing])
        return _padded(found, 0, trailing)
    size = shape_of(coefficients)[0]
    if size < 2:
        return lax.broadcast_in_dim(np.zeros((), _complex(coefficients)), (0,), ())
    from weft.numpy.reductions import cumsum
    from weft.numpy.shaping import roll

    nonzero = coefficients != 0
    leading = sum_of(cumsum(nonzero) == 0)
    coefficients = where(leading == size, constant_like(coefficients, 1), coefficients)
    found = _companion_roots(roll(coefficients, -(leading % size)))
    order = lax.sort_key_val(
        (found == 0).astype(np.int32), lax.broadcasted_iota(dtypes.int32, (size - 1,), 0)
    )[1]
    valid = lax.broadcasted_iota(dtypes.int32, (size - 1,), 0) < size - 1 - leading
    return where(valid, found[order], constant_like(found, complex(np.nan, np.nan)))


def _trailing_zeros(x: Value) -> int:
    return shape_of(x)[0] - 1 - int(np.flatnonzero(np.asarray(x))[-1])


def _complex(x: Value) -> np.dtype:
    return dtypes.result_type(dtype_of(x), dtypes.complex64)[0]


def _companion_roots(p: Value) -> Value:
    """The roots of a polynomial whose first coefficient is not zero."""
    from weft.numpy.linalg import eigvals

    degree = shape_of(p)[0] - 1
    if degree < 1:
        return lax.broadcast_in_dim(np.zeros((), _complex(p)), (0,), ())
    below = convert("roots", diagonal_mask((degree, degree), -1), dtype_of(p))
    first = lax.pad(
        (-p[1:] / p[0])[None], np.zeros((), dtype_of(p)), [(0, degree - 1, 0), (0, 0, 0)]
    )
    return eigvals(below + first)


@at_once
def polyfit(
    x: ArrayLike,
    y: ArrayLike,
    deg: int,
    rcond: float | None = None,
    full: bool = False,
    w: ArrayLike | None = None,
    cov: Any = False,
) -> Any:
    """The polynomial of degree `deg` that fits points (x, y) best, by least squares.

    Parameters
    ----------
    x: the n coordinates. y: n values, or a column of n values for each of several fits.
    deg: the degree: there are `deg + 1` coefficients, highest power first.
    rcond: singular values below `rcond` times the largest count as 0; n·ε without it.
    full: also gives the residuals, the rank, the singular values and `rcond`.
    w: n weights of the residuals.
    cov: also gives the covariance of the coefficients, scaled by χ²/(n − deg − 1) unless it is
        "unscaled".

    >>> polyfit(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0]), 1).round(3)
    Array([2., 1.], dtype=float32)

    Raises
    ------
    ValueError: for shapes that do not match, and for too few points to scale a covariance.
    """
    from weft.numpy.linalg import inv, lstsq

    degree = operator.index(deg)
    if degree < 0:
        raise ValueError(f"weft.numpy.polyfit: the degree deg={degree} cannot be negative")
    x, y = (asarray(v) for v in promote_inexact("polyfit", x, y))
    size = shape_of(x)[0] if len(shape_of(x)) == 1 else 0
    if not size or len(shape_of(y)) not in (1, 2) or shape_of(y)[0] != size:
        raise ValueError(
            "weft.numpy.polyfit: x must be a vector that is not empty, and y a vector or a matrix "
            f"with as many rows, got shapes {shape_of(x)} and {shape_of(y)}"
        )
    cutoff = size * float(np.finfo(dtypes.real_dtype(dtype_of(x))).eps) if rcond is None else rcond
    left, right = vander(x, degree + 1), y
    if w is not None:
        weights = convert("polyfit", asarray(w), dtype_of(x))
        if shape_of(weights) != (size,):
            raise ValueError(
                f"weft.numpy.polyfit: w must be a vector of {size} weights, got shape "
                f"{shape_of(weights)}"
            )
        left = left * weights[:, None]
        right = right * (weights[:, None] if len(shape_of(right)) == 2 else weights)
    scale = sqrt(sum_of(left * left, 0))
    left = left / scale
    found, residuals, rank, singular = lstsq(left, right, cutoff)
    found = (found.T / scale).T
    if full:
        return found, residuals, rank, singular, cutoff
    if not cov:
        return found
    base = inv(left.T @ left) / (scale[:, None] * scale)
    if cov == "unscaled":
        factor: Any = 1
    elif size <= degree + 1:
        raise ValueError(
            f"weft.numpy.polyfit: {size} points for {degree + 1} coefficients leave nothing to "
            'scale the covariance by; use cov="unscaled"'
        )
    else:
        factor = residuals / (size - degree - 1)
    if len(shape_of(y)) == 1:
        return found, base * (factor if cov == "unscaled" else factor[0])
    return found, base[:, :, None] * factor


@at_once
def vander(x: ArrayLike, N: int | None = None, increasing: bool = False) -> Value:
    """The matrix of powers of the vector `x`, highest first unless `increasing`.

    >>> vander(np.array([1, 2, 3]), 3)
    Array([[1, 1, 1],
           [4, 2, 1],
           [9, 3, 1]], dtype=int32)
    """
    vector = asarray(x)
    if len(shape_of(vector)) != 1:
        raise ValueError(f"weft.numpy.vander: x must be a vector, got shape {shape_of(vector)}")
    count = shape_of(vector)[0] if N is None else operator.index(N)
    powers = np.arange(count) if increasing else np.arange(count)[::-1]
    if not count:
        return lax.broadcast_in_dim(np.zeros((), dtype_of(vector)), (shape_of(vector)[0], 0), ())
    return stack([vector ** int(k) for k in powers], -1)
