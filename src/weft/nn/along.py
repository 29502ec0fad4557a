"""Softmax and its kin, normalisation, and `one_hot`: functions along axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft import lax
from weft.core import dtypes
from weft.nn.operands import floating
from weft.numpy import abs, clip, exp, log, maximum, mean, sign, squeeze
from weft.numpy import max as max_of
from weft.numpy import sum as sum_of
from weft.numpy._common import ArrayLike, Axis, DType, Value, canonical_axes, shape_of
from weft.numpy.classify import isfinite
from weft.numpy.creation import asarray
from weft.numpy.select import where_mask
from weft.numpy.ufuncs import constant_like, sqrt, square


def logsumexp(
    a: ArrayLike,
    axis: Axis = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
    where: ArrayLike | None = None,
) -> Any:
    """log(sum(b · exp(a))) over `axis` without overflow; −inf where nothing is summed.

    With `return_sign`, the logarithm of the magnitude and the sign of the sum.

    >>> weft.nn.logsumexp(np.array([0.0, 0.0])).round(4)
    Array(0.6931, dtype=float32)
    """
    x = floating("logsumexp", a)
    axes = canonical_axes("nn.logsumexp", axis, len(shape_of(x)))
    largest = max_of(x, axes, keepdims=True, initial=-np.inf, where=where)
    # An infinite maximum would give inf − inf; shift by 0 then.
    shift = lax.stop_gradient(_select(isfinite(largest), largest))
    weights = exp(x - shift) if b is None else b * exp(x - shift)
    total = sum_of(weights, axes, keepdims=True, where=where)
    magnitude = log(abs(total)) if return_sign or b is not None else log(total)
    result = magnitude + shift
    if b is not None and not return_sign:
        result = _select_or(total >= 0, result, np.nan)
    if not keepdims:
        result, total = squeeze(result, axes), squeeze(total, axes)
    return (result, sign(total)) if return_sign else result


def _select(condition: Value, x: Value) -> Value:
    return lax.select_n(condition, constant_like(x, 0), x)


def _select_or(condition: Value, x: Value, otherwise: float) -> Value:
    return lax.select_n(condition, constant_like(x, otherwise), x)


def logmeanexp(
    x: ArrayLike, axis: Axis = None, where: ArrayLike | None = None, keepdims: bool = False
) -> Value:
    """log(mean(exp(x))) over `axis` without overflow, of the elements where `where` holds.

    >>> weft.nn.logmeanexp(np.asarray([100.0, 100.0]))
    Array(100., dtype=float32)
    """
    x = floating("logmeanexp", x)
    total = logsumexp(x, axis, keepdims=keepdims, where=where)
    ones = where_mask(constant_like(x, 1), where, 0)
    return total - log(sum_of(ones, axis, keepdims=keepdims))


def softmax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Value:
    """exp(x) over its sum along `axis`, shifted by the maximum so that nothing overflows.

    Elements where `where` does not hold get 0, and so do all where it holds for none.

    >>> weft.nn.softmax(np.array([0.0, 0.0]))
    Array([0.5, 0.5], dtype=float32)
    """
    x = floating("softmax", x)
    axes = canonical_axes("nn.softmax", axis, len(shape_of(x)))
    largest = _largest(x, axes, where)
    unnormalised = exp(x - lax.stop_gradient(largest))
    if where is not None:
        unnormalised = where_mask(unnormalised, where, 0)
    result = unnormalised / sum_of(unnormalised, axes, keepdims=True)
    return result if where is None else where_mask(result, where, 0)


def _largest(x: Value, axes: tuple[int, ...], where: ArrayLike | None) -> Value:
    """The largest of the elements over `axes` where `where` holds; −∞ where there is none."""
    none = where is not None or any(shape_of(x)[d] == 0 for d in axes)
    return max_of(x, axes, keepdims=True, initial=-np.inf if none else None, where=where)


def log_softmax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Value:
    """log(softmax(x)) without underflow.

    >>> weft.nn.log_softmax(np.array([0.0, 0.0])).round(4)
    Array([-0.6931, -0.6931], dtype=float32)
    """
    x = floating("log_softmax", x)
    axes = canonical_axes("nn.log_softmax", axis, len(shape_of(x)))
    largest = _largest(x, axes, where)
    shifted = x - lax.stop_gradient(largest)
    result = shifted - log(sum_of(exp(shifted), axes, keepdims=True, where=where))
    if where is None:
        return result
    return where_mask(result, where, -np.inf)


def standardize(
    x: ArrayLike,
    axis: Axis = -1,
    mean: ArrayLike | None = None,
    variance: ArrayLike | None = None,
    epsilon: ArrayLike = 1e-5,
    where: ArrayLike | None = None,
    *,
    algorithm: str = "fast",
) -> Value:
    """(x − mean) / √(variance + epsilon), both taken over `axis` unless given.

    The variance is ``mean(x²) − mean(x)²``, or with `algorithm` "stable" ``mean((x − mean)²)``.

    >>> weft.nn.standardize(np.array([1.0, 3.0])).round(4)
    Array([-1.,  1.], dtype=float32)
    """
    if algorithm not in ("fast", "stable"):
        raise ValueError(f"weft.nn.standardize: algorithm is 'fast' or 'stable', got {algorithm!r}")
    x = floating("standardize", x)
    centre = _mean(x, axis, where) if mean is None else mean
    if variance is None and algorithm == "stable":
        variance = _mean(square(x - centre), axis, where)
    elif variance is None:
        variance = _mean(square(x), axis, where) - square(centre)
        variance = clip(variance, 0)
    return (x - centre) * lax.rsqrt(asarray(variance + epsilon))


def _mean(x: Value, axis: Axis, where: ArrayLike | None) -> Value:
    return mean(x, axis, keepdims=True, where=where)


def normalize(x: ArrayLike, axis: Axis = -1, epsilon: ArrayLike = 1e-12) -> Value:
    """x over its Euclidean norm along `axis`, which is taken to be at least `epsilon`.

    >>> weft.nn.normalize(np.array([1.0, 3.0])).round(4)
    Array([0.3162, 0.9487], dtype=float32)
    """
    x = floating("normalize", x)
    norm = sqrt(sum_of(square(x), axis, keepdims=True))
    return x / maximum(norm, epsilon)


def one_hot(x: ArrayLike, num_classes: int, *, dtype: DType = None, axis: int = -1) -> Value:
    """Vectors with 1 at the index `x` and 0 elsewhere, along a new axis; zeros for indices out of
    range.

    >>> one_hot(np.asarray([0, 2]), 3)
    Array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    x = asarray(x)
    target = dtypes.float32 if dtype is None else dtypes.canonical_dtype(dtype)
    ndim = len(shape_of(x)) + 1
    (number,) = canonical_axes("nn.one_hot", axis, ndim)
    shape = list(shape_of(x))
    shape.insert(number, int(num_classes))
    others = tuple(d for d in range(ndim) if d != number)
    index = lax.broadcast_in_dim(x, tuple(shape), others)
    classes = lax.broadcasted_iota(index.dtype, tuple(shape), number)
    return lax.convert_element_type(lax.eq(index, classes), target)
