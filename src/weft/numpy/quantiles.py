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
from weft.core import dtypes
from weft.numpy import ufuncs
from weft.numpy._common import (
    ArrayLike,
    Axis,
    Value,
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
_METHODS = ("linear", "midpoint", *_ROUNDING)


def quantile(
    a: ArrayLike,
    q: ArrayLike,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Value:
    """The quantiles `q` (a number or vector in [0, 1], whose axis comes first) over `axis`.

    Between two elements, `method` is "linear" interpolation, the "lower" or "higher" element, their
    "midpoint", or the "nearest" one (halfway, that at an even position). The dtype is that of `a`,
    float32 for integers.

    >>> quantile(np.array([3.0, 1.0, 2.0, 4.0]), np.array([0.5, 1.0]))
    Array([2.5, 4. ], dtype=float32)
    """
    _check_unused("quantile", out, overwrite_input)
    return _quantile("quantile", a, q, axis, method, keepdims)


def percentile(
    a: ArrayLike,
    q: ArrayLike,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Value:
    """As `quantile`, with `q` in [0, 100].

    >>> np.percentile(np.array([3.0, 1.0, 2.0]), 50)
    Array(2., dtype=float32)
    """
    _check_unused("percentile", out, overwrite_input)
    return _quantile("percentile", a, _percent(q), axis, method, keepdims)


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


def nanquantile(
    a: ArrayLike,
    q: ArrayLike,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Value:
    """As `quantile`, of the elements that are not NaN.

    >>> np.nanquantile(np.array([1.0, np.nan, 3.0]), 0.5)
    Array(2., dtype=float32)
    """
    _check_unused("nanquantile", out, overwrite_input)
    return _quantile("nanquantile", a, q, axis, method, keepdims, ignore_nan=True)


def nanpercentile(
    a: ArrayLike,
    q: ArrayLike,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Value:
    """As `percentile`, of the elements that are not NaN.

    >>> np.nanpercentile(np.array([1.0, np.nan, 3.0]), 50)
    Array(2., dtype=float32)
    """
    _check_unused("nanpercentile", out, overwrite_input)
    percent = _percent(q)
    return _quantile("nanpercentile", a, percent, axis, method, keepdims, ignore_nan=True)


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
    ignore_nan: bool = False,
) -> Value:
    check_arraylike(name, a)
    (x,) = promote_inexact(name, asarray(a))
    q = _checked_quantiles(name, q)
    if dtypes.is_complex(dtype_of(x)):
        raise TypeError(f"weft.numpy.{name}: complex numbers have no order")
    if method not in _METHODS:
        raise ValueError(f"weft.numpy.{name}: method is one of {_METHODS}, got {method!r}")
    axes = canonical_axes(name, axis, len(shape_of(x)))
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
    shape = shape_of(x)
    kept = tuple(d for d in range(len(shape)) if d not in axes)
    count = math.prod(shape[d] for d in axes)
    if count == 0:
        raise ValueError(
            f"weft.numpy.{name}: no {name} of no elements: shape {shape} over axes {axes}"
        )
    rows = lax.transpose(x, (*kept, *axes))
    return lax.sort(lax.reshape(rows, (*(shape[d] for d in kept), count)), len(kept))


def _at_positions(rows: Value, q: Value, method: str) -> Value:
    """Elements at q·(n−1) of rows of n; the axis of q is last."""
    top = shape_of(rows)[-1] - 1
    work = _work_dtype(rows)
    if isinstance(q, np.ndarray):
        position = _rounded(np, np.atleast_1d(q) * top, method)
        low = np.floor(position)
        weight: Value = asarray((position - low).astype(work))
        below = low.astype(np.int32)
        above = np.minimum(below + 1, top)
        return _between(take(rows, below, -1), take(rows, above, -1), weight, method, work)
    position = clip(lax.reshape(asarray(q, work), shape_of(q) or (1,)) * top, 0, top)
    position = _rounded(ufuncs, position, method)
    low = ufuncs.floor(position)
    below = low.astype(np.int32)
    above = clip(below + 1, 0, top)
    lower, upper = (take(rows, index, -1, mode="clip") for index in (below, above))
    return _between(lower, upper, position - low, method, work)


def _at_counted_positions(rows: Value, counts: Value, q: Value, method: str) -> Value:
    """Elements at q·(n−1) where each row has its own n; NaN, the first element, where it is 0."""
    work = _work_dtype(rows)
    top = clip(counts - 1, 0)[..., None]
    position = lax.reshape(asarray(q, work), shape_of(q) or (1,)) * top.astype(work)
    position = _rounded(ufuncs, position, method)
    low = ufuncs.floor(position)
    below = clip(low.astype(np.int32), 0, top)
    above = clip(below + 1, 0, top)
    lower, upper = (take_along_axis(rows, index, -1, "clip") for index in (below, above))
    return _between(lower, upper, position - low, method, work)


def _rounded(functions: Any, position: Value, method: str) -> Value:
    """Where methods that read one element read it; `functions` are NumPy's or those of arrays."""
    return getattr(functions, _ROUNDING[method])(position) if method in _ROUNDING else position


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
