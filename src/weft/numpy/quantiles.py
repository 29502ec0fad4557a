"""Order statistics: medians, quantiles and percentiles, read from sorted rows.

A quantile `q` of n numbers lies at position q·(n−1) of the sorted ones, as in NumPy; between two
numbers, `method` says what it is. Rows that contain NaN give NaN, except in the `nan…` functions,
which leave them out. Half precision is interpolated in float32 and rounded once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weft import lax
from weft.array.calls import at_once
from weft.core import dtypes
from weft.numpy import ufuncs
from weft.numpy._common import (
    ArrayLike,
    Axis,
    Value,
    broadcast_to_shape,
    canonical_axes,
    check_arraylike,
    convert,
    dtype_of,
    is_scalar,
    no_out,
    promote_inexact,
    shape_of,
)
from weft.numpy.classify import isnan
from weft.numpy.creation import asarray
from weft.numpy.select import clip, where
from weft.numpy.taking import take, take_along_axis
from weft.numpy.ufuncs import constant_like, divide

#: Methods that read one element, and what makes its position of that of the quantile.
_ROUNDING = {"lower": "floor", "higher": "ceil", "nearest": "round"}
#: The method that reads the first element up to which a part of all weights lies.
_BY_WEIGHT = "inverted_cdf"
#: Plotting positions (Hyndman and Fan, Sample quantiles in statistical packages, 1996): a quantile
#: q of n elements lies at q·(n + 1 − α − β) + α − 1, for the α and β of a method.
_PLOTTING = {
    "interpolated_inverted_cdf": (0.0, 1.0),
    "hazen": (0.5, 0.5),
    "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
}
_METHODS = ("linear", "midpoint", *_ROUNDING, _BY_WEIGHT, *_PLOTTING)


@at_once
def quantile(
    a: ArrayLike,
    q: ArrayLike,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: ArrayLike | None = None,
) -> Value:
    """The quantiles `q` (a number or vector in [0, 1], whose axis comes first) over `axis`.

    Between two elements, `method` is "linear" interpolation, the "lower" or "higher" element, their
    "midpoint", or the "nearest" one (halfway, that at an even position); "inverted_cdf" is the
    first element up to which a part `q` of all `weights` lies (of the shape of `a`, or one for each
    element along `axis`; 1 each by default). "interpolated_inverted_cdf", "hazen", "weibull",
    "median_unbiased" and "normal_unbiased" interpolate as NumPy's do. The dtype is that of `a`,
    float32 for integers.

    >>> quantile(np.array([3.0, 1.0, 2.0, 4.0]), np.array([0.5, 1.0]))
    Array([2.5, 4. ], dtype=float32)
    >>> np.quantile(
    ...     np.array([3.0, 1.0]), 0.5, weights=np.array([1, 5]), method="inverted_cdf"
    ... )
    Array(1., dtype=float32)

    Raises
    ------
    TypeError: for complex numbers. ValueError: for `q` outside of [0, 1], no elements, an unknown
    method, and `weights` with another method than "inverted_cdf" or of another shape.
    """
    _check_unused("quantile", out, overwrite_input)
    return _quantile("quantile", a, q, axis, method, keepdims, weights)


@at_once
def percentile(
    a: ArrayLike,
    q: ArrayLike,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: ArrayLike | None = None,
) -> Value:
    """As `quantile`, with `q` in [0, 100].

    >>> np.percentile(np.array([3.0, 1.0, 2.0]), 50)
    Array(2., dtype=float32)
    """
    _check_unused("percentile", out, overwrite_input)
    return _quantile("percentile", a, _percent(q), axis, method, keepdims, weights)


@at_once
def median(
    a: ArrayLike,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    keepdims: bool = False,
) -> Value:
    """The middle element over `axis`, or the mean of the middle two.

    >>> median(np.array([5, 1, 2, 4]))
    Array(3., dtype=float32)
    """
    _check_unused("median", out, overwrite_input)
    return _quantile("median", a, 0.5, axis, "midpoint", keepdims)


@at_once
def nanquantile(
    a: ArrayLike,
    q: ArrayLike,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: ArrayLike | None = None,
) -> Value:
    """As `quantile`, of the elements that are not NaN.

    >>> np.nanquantile(np.array([1.0, np.nan, 3.0]), 0.5)
    Array(2., dtype=float32)
    """
    _check_unused("nanquantile", out, overwrite_input)
    return _quantile("nanquantile", a, q, axis, method, keepdims, weights, ignore_nan=True)


@at_once
def nanpercentile(
    a: ArrayLike,
    q: ArrayLike,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: ArrayLike | None = None,
) -> Value:
    """As `percentile`, of the elements that are not NaN.

    >>> np.nanpercentile(np.array([1.0, np.nan, 3.0]), 50)
    Array(2., dtype=float32)
    """
    _check_unused("nanpercentile", out, overwrite_input)
    q = _percent(q)
    return _quantile("nanpercentile", a, q, axis, method, keepdims, weights, ignore_nan=True)


@at_once
def nanmedian(
    a: ArrayLike,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    keepdims: bool = False,
) -> Value:
    """As `median`, of the elements that are not NaN.

    >>> np.nanmedian(np.array([1.0, np.nan, 3.0]))
    Array(2., dtype=float32)
    """
    _check_unused("nanmedian", out, overwrite_input)
    return _quantile("nanmedian", a, 0.5, axis, "midpoint", keepdims, ignore_nan=True)


def _check_unused(name: str, out: None, overwrite_input: bool) -> None:
    """Arguments of NumPy that say where results go: arrays are values here."""
    no_out(name, out)
    if overwrite_input:
        raise ValueError(
            f"weft.numpy.{name}: overwrite_input=True is not supported: arrays are values"
        )


def _percent(q: ArrayLike) -> Value:
    return np.true_divide(q, 100) if _is_static(q) else divide(asarray(q), 100)


def _is_static(x: ArrayLike) -> bool:
    return is_scalar(x) or isinstance(x, np.ndarray | list | tuple)


def _quantile(
    name: str,
    a: ArrayLike,
    q: ArrayLike,
    axis: Axis,
    method: str,
    keepdims: bool,
    weights: ArrayLike | None = None,
    ignore_nan: bool = False,
) -> Value:
    check_arraylike(name, a)
    (x,) = promote_inexact(name, asarray(a))
    q = _checked_quantiles(name, q)
    if dtypes.is_complex(dtype_of(x)):
        raise TypeError(f"weft.numpy.{name}: complex numbers have no order")
    if method not in _METHODS:
        raise ValueError(f"weft.numpy.{name}: method is one of {_METHODS}, got {method!r}")
    if weights is not None and method != _BY_WEIGHT:
        raise ValueError(
            f"weft.numpy.{name}: only method={_BY_WEIGHT!r} takes weights, not {method!r}"
        )
    axes = canonical_axes(name, axis, len(shape_of(x)))
    if method == _BY_WEIGHT:
        values = _at_weights(name, x, weights, q, axes, ignore_nan)
        return _arranged(values, shape_of(x), axes, shape_of(q), keepdims)
    rows = _sorted_rows(name, x, axes)
    if ignore_nan:
        number_of = lax.reduce_sum((~isnan(rows)).astype(np.int32), (len(shape_of(rows)) - 1,))
        values = _at_counted_positions(rows, number_of, q, method)
    else:
        values = _at_positions(rows, q, method)
        # NaN sorts last: the last element tells whether there is one.
        last = rows[..., -1:]
        values = where(isnan(last), constant_like(last, np.nan), values)
    return _arranged(convert(name, values, dtype_of(x)), shape_of(x), axes, shape_of(q), keepdims)


def _checked_quantiles(name: str, q: ArrayLike) -> Value:
    """`q` as a NumPy array where it is known, so that positions are static."""
    if _is_static(q):
        q = np.asarray(q, np.float64)
        if not np.all((q >= 0) & (q <= 1)):
            raise ValueError(
                f"weft.numpy.{name}: q must be from 0 to {100 if 'percent' in name else 1}"
            )
    if len(shape_of(q)) > 1:
        raise ValueError(
            f"weft.numpy.{name}: q must be a number or a vector, got shape {shape_of(q)}"
        )
    return q


def _sorted_rows(name: str, x: Value, axes: tuple[int, ...]) -> Value:
    """The elements over `axes` as the last axis, sorted."""
    rows = _rows(name, x, axes)
    return lax.sort(rows, len(shape_of(rows)) - 1)


def _rows(name: str, x: Value, axes: tuple[int, ...]) -> Value:
    """The elements over `axes` as the last axis."""
    shape = shape_of(x)
    kept = tuple(d for d in range(len(shape)) if d not in axes)
    count = math.prod(shape[d] for d in axes)
    if count == 0:
        raise ValueError(
            f"weft.numpy.{name}: no {name} of no elements: shape {shape} over axes {axes}"
        )
    return lax.reshape(lax.transpose(x, (*kept, *axes)), (*(shape[d] for d in kept), count))


def _at_weights(
    name: str,
    x: Value,
    weights: ArrayLike | None,
    q: Value,
    axes: tuple[int, ...],
    ignore_nan: bool,
) -> Value:
    """The first elements up to which a part `q` of all weights lies; the axis of q is last."""
    work = _work_dtype(x)
    rows = _rows(name, x, axes)
    missing = isnan(rows)
    heavy = _weights_of(name, x, 1 if weights is None else weights, axes)
    heavy = where(missing, 0, heavy.astype(work)) if ignore_nan else heavy.astype(work)
    last = len(shape_of(rows)) - 1
    rows, heavy = lax.sort((rows, heavy), last, num_keys=1)
    below = lax.cumsum(heavy, last)
    part = lax.reshape(asarray(q, work), shape_of(q) or (1,)) * below[..., -1:]
    # Nothing is reached before the first element that has a weight.
    reached = (below[..., None, :] >= part[..., :, None]) & (below[..., None, :] > 0)
    index = lax.argmax(reached, last + 1, np.int32)
    values = take_along_axis(rows, index, -1, "clip")
    if ignore_nan:
        return where(below[..., -1:] > 0, values, constant_like(values, np.nan))
    return where(isnan(rows[..., -1:]), constant_like(values, np.nan), values)


def _weights_of(name: str, x: Value, weights: ArrayLike, axes: tuple[int, ...]) -> Value:
    """A weight for each element of the rows over `axes`."""
    check_arraylike(name, weights)
    shape, own = shape_of(x), shape_of(weights)
    w = asarray(weights)
    if own == tuple(shape[d] for d in axes) and len(own) < len(shape):
        w = lax.broadcast_in_dim(w, shape, axes)
    elif own not in ((), shape):
        raise ValueError(
            f"weft.numpy.{name}: weights of shape {own} are neither one for each element, {shape}, "
            f"nor one for each along the axes {axes}"
        )
    return _rows(name, broadcast_to_shape(w, shape), axes)


def _at_positions(rows: Value, q: Value, method: str) -> Value:
    """Elements at q·(n−1) of rows of n; the axis of q is last."""
    top = shape_of(rows)[-1] - 1
    work = _work_dtype(rows)
    if isinstance(q, np.ndarray):
        position = _position(np, np.atleast_1d(q), top, method)
        low = np.floor(position)
        weight: Value = asarray((position - low).astype(work))
        below = low.astype(np.int32)
        above = np.minimum(below + 1, top)
        return _between(take(rows, below, -1), take(rows, above, -1), weight, method, work)
    parts = clip(lax.reshape(asarray(q, work), shape_of(q) or (1,)), 0, 1)
    position = _position(ufuncs, parts, np.asarray(top, work), method)
    low = ufuncs.floor(position)
    below = low.astype(np.int32)
    above = clip(below + 1, 0, top)
    lower, upper = (take(rows, index, -1, mode="clip") for index in (below, above))
    return _between(lower, upper, position - low, method, work)


def _at_counted_positions(rows: Value, counts: Value, q: Value, method: str) -> Value:
    """Elements at q·(n−1) where each row has its own n; NaN, the first element, where it is 0."""
    work = _work_dtype(rows)
    top = clip(counts - 1, 0)[..., None]
    parts = lax.reshape(asarray(q, work), shape_of(q) or (1,))
    position = _position(ufuncs, parts, top.astype(work), method)
    low = ufuncs.floor(position)
    below = clip(low.astype(np.int32), 0, top)
    above = clip(below + 1, 0, top)
    lower, upper = (take_along_axis(rows, index, -1, "clip") for index in (below, above))
    return _between(lower, upper, position - low, method, work)


def _position(functions: Any, q: Value, top: Value, method: str) -> Value:
    """Where a method reads rows from 0 to `top`; `functions` are NumPy's or those of arrays."""
    if method in _ROUNDING:
        return getattr(functions, _ROUNDING[method])(q * top)
    if method not in _PLOTTING:
        return q * top
    alpha, beta = _PLOTTING[method]
    position = q * (top + (2 - alpha - beta)) + (alpha - 1)
    return functions.minimum(functions.maximum(position, 0), top)


def _work_dtype(x: Value) -> np.dtype:
    return dtypes.float32 if dtype_of(x).itemsize < 4 else dtype_of(x)


def _between(below: Value, above: Value, weight: Value, method: str, work: np.dtype) -> Value:
    """What lies a part `weight`, in [0, 1), of the way from `below` to `above`."""
    if method in _ROUNDING:
        return below
    low, high = below.astype(work), above.astype(work)
    if method == "midpoint":
        return where(weight > 0, (low + high) * 0.5, low)
    # An infinite neighbour has no influence where its weight is 0.
    return low * (1 - weight) + where(weight > 0, high, 0) * weight


def _arranged(
    values: Value,
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    q_shape: tuple[int, ...],
    keepdims: bool,
) -> Value:
    """Results with the axis of q first instead of last, and reduced axes of length 1 if wanted."""
    last = len(shape_of(values)) - 1
    values = lax.transpose(values, (last, *range(last)))
    kept = [1 if d in axes else n for d, n in enumerate(shape) if keepdims or d not in axes]
    return lax.reshape(values, (*q_shape, *kept))
