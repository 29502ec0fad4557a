"""Sums, extrema, means and the other functions that take axes away, and running sums.

Small integers and booleans are summed in int32 (uint32 for unsigned ones; `cumsum` and `cumprod`
keep their dtype, as in JAX); half precision is summed
in float32 and rounded once. Indices are int32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from weft import lax
from weft.array.calls import at_once
from weft.array.value import Array
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.numpy._common import (
    ArrayLike,
    Axis,
    DType,
    Value,
    broadcast_to_shape,
    canonical_axes,
    canonical_axis,
    check_arraylike,
    convert,
    dtype_of,
    inexact_type,
    no_out,
    promote_inexact,
    shape_of,
)
from weft.numpy.select import extremum_limits, where_mask
from weft.numpy.ufuncs import divide, sqrt, subtract, truth
from weft.primitives import reduction

Reducer = Callable[[Value, tuple[int, ...]], Value]


def _keep(x: Value, result: Value, axes: tuple[int, ...], keepdims: bool) -> Value:
    if not keepdims:
        return result
    return lax.reshape(result, tuple(1 if d in axes else n for d, n in enumerate(shape_of(x))))


@cache
def _sum_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype integers are added up in: at least 32 bits wide."""
    if dtype == np.bool_ or (dtypes.is_signed(dtype) and dtype.itemsize < 4):
        return dtypes.int32
    if dtypes.is_unsigned(dtype) and dtype.itemsize < 4:
        return dtypes.uint32
    return dtype


@cache
def _is_half(dtype: np.dtype) -> bool:
    return dtype in (dtypes.float16, dtypes.bfloat16)


def as_array(name: str, x: ArrayLike) -> Value:
    """`x` with a shape: numbers become arrays without axes."""
    if type(x) is Array:
        return x
    check_arraylike(name, x)
    from weft.numpy.creation import asarray

    return asarray(x)


def _accumulate(
    name: str,
    op: Reducer,
    neutral: int,
    x: ArrayLike,
    axis: Axis,
    dtype: DType,
    keepdims: bool,
    initial: ArrayLike | None,
    mask: ArrayLike | None,
    promote_integers: bool = True,
) -> Value:
    """A sum or product over axes."""
    x = as_array(name, x)
    if dtype is None:
        narrow = dtype_of(x) if dtype_of(x) != np.bool_ else dtypes.int32
        result_dtype = _sum_dtype(dtype_of(x)) if promote_integers else narrow
    else:
        result_dtype = dtypes.canonical_dtype(dtype)
    work = dtypes.float32 if _is_half(result_dtype) else result_dtype
    x = where_mask(convert(name, x, work), mask, neutral)
    axes = canonical_axes(name, axis, len(shape_of(x)))
    result = op(x, axes)
    if work is not result_dtype:
        result = convert(name, result, result_dtype)
    result = _keep(x, result, axes, keepdims)
    if initial is not None:
        result = (result + initial) if neutral == 0 else (result * initial)
    return result


@at_once
def sum(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DType = None,
    out: None = None,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
    promote_integers: bool = True,
) -> Value:
    """The sum of elements over `axis` (an integer, a tuple, or None for all axes).

    Integers narrower than 32 bits are added up in 32 bits unless `dtype` says otherwise, or
    `promote_integers` is False. `initial` is added, `where` says which elements count. `out` must
    be None.

    >>> sum(np.ones((2, 3)), axis=1)
    Array([3., 3.], dtype=float32)
    """
    no_out("sum", out)
    return _accumulate(
        "sum",
        reduction.reduce_sum,
        0,
        a,
        axis,
        dtype,
        keepdims,
        initial,
        where,
        promote_integers,
    )


@at_once
def prod(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DType = None,
    out: None = None,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
    promote_integers: bool = True,
) -> Value:
    """The product of elements over `axis`.

    >>> np.prod(np.array([[1, 2], [3, 4]]), axis=1)
    Array([ 2, 12], dtype=int32)
    """
    no_out("prod", out)
    return _accumulate(
        "prod",
        reduction.reduce_prod,
        1,
        a,
        axis,
        dtype,
        keepdims,
        initial,
        where,
        promote_integers,
    )


def _extremum(
    name: str,
    op: Reducer,
    neutral_index: int,
    x: ArrayLike,
    axis: Axis,
    keepdims: bool,
    initial: ArrayLike | None,
    mask: ArrayLike | None,
) -> Value:
    x = as_array(name, x)
    dtype = dtype_of(x)
    axes = canonical_axes(name, axis, len(shape_of(x)))
    if initial is None:
        if mask is not None:
            raise ValueError(
                f"weft.numpy.{name}: with where=, give initial= for slices that it leaves empty"
            )
        if 0 in [shape_of(x)[d] for d in axes]:
            raise ValueError(
                f"weft.numpy.{name}: no {name} of no elements: {aval_of(x)} over axis {axis}; "
                "give initial= if that should have a value"
            )
    if mask is not None:
        x = where_mask(x, mask, extremum_limits(dtype)[neutral_index])
    result = _keep(x, op(x, axes), axes, keepdims)
    if initial is None:
        return result
    from weft.numpy.ufuncs import maximum, minimum

    return (maximum if name == "max" else minimum)(result, initial)


@at_once
def max(
    a: ArrayLike,
    axis: Axis = None,
    out: None = None,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Value:
    """The largest element over `axis`; NaN if there is one.

    >>> np.max(np.array([[1, 2], [3, 4]]), axis=0)
    Array([3, 4], dtype=int32)
    """
    no_out("max", out)
    return _extremum("max", reduction.reduce_max, 0, a, axis, keepdims, initial, where)


@at_once
def min(
    a: ArrayLike,
    axis: Axis = None,
    out: None = None,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Value:
    """The smallest element over `axis`; NaN if there is one.

    >>> np.min(np.array([[1, 2], [3, 4]]), axis=0)
    Array([1, 2], dtype=int32)
    """
    no_out("min", out)
    return _extremum("min", reduction.reduce_min, 1, a, axis, keepdims, initial, where)


amax, amin = max, min


@at_once
def ptp(a: ArrayLike, axis: Axis = None, out: None = None, keepdims: bool = False) -> Value:
    """The largest minus the smallest element over `axis`.

    >>> np.ptp(np.array([3.0, 1.0, 2.0]))
    Array(2., dtype=float32)
    """
    no_out("ptp", out)
    return subtract(max(a, axis, keepdims=keepdims), min(a, axis, keepdims=keepdims))


@at_once
def all(
    a: ArrayLike,
    axis: Axis = None,
    out: None = None,
    keepdims: bool = False,
    *,
    where: ArrayLike | None = None,
) -> Value:
    """Whether every element over `axis` is not zero.

    >>> np.all(np.array([1, 0, 2]))
    Array(False, dtype=bool)
    """
    no_out("all", out)
    return _logical("all", lax.reduce_and, True, a, axis, keepdims, where)


@at_once
def any(
    a: ArrayLike,
    axis: Axis = None,
    out: None = None,
    keepdims: bool = False,
    *,
    where: ArrayLike | None = None,
) -> Value:
    """Whether an element over `axis` is not zero.

    >>> np.any(np.array([[0, 1], [0, 0]]), axis=1)
    Array([ True, False], dtype=bool)
    """
    no_out("any", out)
    return _logical("any", lax.reduce_or, False, a, axis, keepdims, where)


def _logical(
    name: str,
    op: Reducer,
    neutral: bool,
    x: ArrayLike,
    axis: Axis,
    keepdims: bool,
    mask: ArrayLike | None,
) -> Value:
    x = where_mask(truth(as_array(name, x)), mask, neutral)
    axes = canonical_axes(name, axis, len(shape_of(x)))
    return _keep(x, op(x, axes), axes, keepdims)


@at_once
def count_nonzero(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Value:
    """How many elements over `axis` are not zero, as int32.

    >>> np.count_nonzero(np.array([0, 5, 0, 2]))
    Array(2, dtype=int32)
    """
    return sum(truth(as_array("count_nonzero", a)), axis, dtypes.int32, keepdims=keepdims)


# ---------------------------------------------------------------- means and moments


def _counts(x: Value, axes: tuple[int, ...], mask: ArrayLike | None, keepdims: bool) -> Any:
    """How many elements each result averages: a number, or an array under a mask."""
    if mask is None:
        return math.prod(shape_of(x)[d] for d in axes)
    spread = broadcast_to_shape(mask, shape_of(x))
    return sum(spread, axes, dtypes.int32, keepdims=keepdims)


def _float_types(name: str, x: Value, dtype: DType) -> tuple[np.dtype, np.dtype]:
    """(the dtype of the result, the dtype to compute in)."""
    result = inexact_type(x)[0] if dtype is None else dtypes.canonical_dtype(dtype)
    if not dtypes.is_inexact(result):
        raise TypeError(f"weft.numpy.{name}: dtype must be floating-point, got {result}")
    return result, dtypes.float32 if _is_half(result) else result


@at_once
def mean(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DType = None,
    out: None = None,
    keepdims: bool = False,
    *,
    where: ArrayLike | None = None,
) -> Value:
    """The arithmetic mean over `axis`, floating-point also for integers.

    >>> np.mean(np.array([1, 2, 6]))
    Array(3., dtype=float32)
    """
    no_out("mean", out)
    x = as_array("mean", a)
    result, work = _float_types("mean", x, dtype)
    axes = canonical_axes("mean", axis, len(shape_of(x)))
    total = sum(convert("mean", x, work), axes, work, keepdims=keepdims, where=where)
    return convert("mean", divide(total, _counts(x, axes, where, keepdims)), result)


@at_once
def var(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DType = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: ArrayLike | None = None,
    mean: ArrayLike | None = None,
    correction: float | None = None,
) -> Value:
    """The variance over `axis`: squared distances from the mean, over the count minus `ddof`.

    >>> np.var(np.array([1.0, 3.0]), ddof=1)
    Array(2., dtype=float32)
    """
    no_out("var", out)
    x = as_array("var", a)
    result, work = _float_types("var", x, dtype)
    real = dtypes.real_dtype(result)
    x = convert("var", x, work)
    axes = canonical_axes("var", axis, len(shape_of(x)))
    count = _counts(x, axes, where, True)
    centre = divide(sum(x, axes, work, keepdims=True, where=where), count) if mean is None else mean
    distance = subtract(x, centre)
    if where is not None:  # before squaring: the slope of what is left out must not be NaN
        distance = where_mask(distance, where, 0)
    if dtypes.is_complex(work):
        squares = lax.real(distance) ** 2 + lax.imag(distance) ** 2
    else:
        squares = lax.mul(distance, distance)
    total = sum(squares, axes, None, keepdims=keepdims, where=where)
    reduction = ddof if correction is None else correction
    divisor = _counts(x, axes, where, keepdims) - reduction
    if isinstance(divisor, int | float):
        divisor = float(divisor) if divisor > 0 else 0.0
    return convert("var", divide(total, divisor), real)


@at_once
def std(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DType = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: ArrayLike | None = None,
    mean: ArrayLike | None = None,
    correction: float | None = None,
) -> Value:
    """The standard deviation over `axis`: the square root of the variance.

    >>> np.std(np.array([1.0, 3.0]))
    Array(1., dtype=float32)
    """
    no_out("std", out)
    options: Any = {"where": where, "mean": mean, "correction": correction}
    return sqrt(var(a, axis, dtype, None, ddof, keepdims, **options))


@at_once
def average(
    a: ArrayLike,
    axis: Axis = None,
    weights: ArrayLike | None = None,
    returned: bool = False,
    keepdims: bool = False,
) -> Any:
    """The mean weighted by `weights`, of the shape of `a` or one for each index of `axis`.

    >>> np.average(np.array([3.0, 1.0, 2.0]), weights=np.array([1.0, 1.0, 2.0]))
    Array(2., dtype=float32)
    """
    x = as_array("average", a)
    if weights is None:
        result = mean(x, axis, keepdims=keepdims)
        axes = canonical_axes("average", axis, len(shape_of(x)))
        total: Value = lax.full_like(result, _counts(x, axes, None, keepdims))
    else:
        x, weights = promote_inexact("average", x, as_array("average", weights))
        if shape_of(weights) != shape_of(x):
            weights = _weights_along(x, weights, axis)
        total = sum(weights, axis, keepdims=keepdims)
        result = divide(sum(lax.mul(x, weights), axis, keepdims=keepdims), total)
    return (result, broadcast_to_shape(total, shape_of(result))) if returned else result


def _weights_along(x: Value, weights: Value, axis: Axis) -> Value:
    if not isinstance(axis, int) or len(shape_of(weights)) != 1:
        raise ValueError(
            f"weft.numpy.average: weights of shape {shape_of(weights)} for an array of shape "
            f"{shape_of(x)}: give the same shape, or a vector and an integer axis"
        )
    number = canonical_axis("average", axis, len(shape_of(x)))
    if shape_of(weights)[0] != shape_of(x)[number]:
        raise ValueError(
            f"weft.numpy.average: {shape_of(weights)[0]} weights for {shape_of(x)[number]} "
            "elements "
            f"along axis {number}"
        )
    return lax.broadcast_in_dim(weights, shape_of(x), (number,))


# ---------------------------------------------------------------- where the extremum is


def _arg_extremum(
    name: str, op: Any, x: ArrayLike, axis: int | None, keepdims: bool | None
) -> Value:
    x = as_array(name, x)
    shape = shape_of(x)
    if axis is None:
        flat = lax.reshape(x, (math.prod(shape),))
        number = 0
    else:
        flat, number = x, canonical_axis(name, axis, len(shape))
    if shape_of(flat)[number] == 0:
        raise ValueError(f"weft.numpy.{name}: no element to point at in {aval_of(x)}")
    result = op(flat, number, np.dtype(np.int32))
    if not keepdims:
        return result
    kept = [1 if axis is None or d == number else n for d, n in enumerate(shape)]
    return lax.reshape(result, tuple(kept))


@at_once
def argmax(
    a: ArrayLike, axis: int | None = None, out: None = None, keepdims: bool | None = None
) -> Value:
    """The index of the first largest element along `axis` (of the flat array without one).

    >>> np.argmax(np.array([3.0, 1.0, 2.0]))
    Array(0, dtype=int32)
    """
    no_out("argmax", out)
    return _arg_extremum("argmax", lax.argmax, a, axis, keepdims)


@at_once
def argmin(
    a: ArrayLike, axis: int | None = None, out: None = None, keepdims: bool | None = None
) -> Value:
    """The index of the first smallest element along `axis` (of the flat array without one).

    >>> np.argmin(np.array([3.0, 1.0, 2.0]))
    Array(1, dtype=int32)
    """
    no_out("argmin", out)
    return _arg_extremum("argmin", lax.argmin, a, axis, keepdims)


# ---------------------------------------------------------------- running sums


def _cumulative(name: str, op: Any, a: ArrayLike, axis: int | None, dtype: DType) -> Value:
    x = as_array(name, a)
    if axis is None:
        x, number = lax.reshape(x, (math.prod(shape_of(x)),)), 0
    else:
        number = canonical_axis(name, axis, len(shape_of(x)))
    own = dtypes.int32 if dtype_of(x) == np.bool_ else dtype_of(x)
    result = own if dtype is None else dtypes.canonical_dtype(dtype)
    work = dtypes.float32 if _is_half(result) else result
    return convert(name, op(convert(name, x, work), number), result)


@at_once
def cumsum(a: ArrayLike, axis: int | None = None, dtype: DType = None, out: None = None) -> Value:
    """Running sums along `axis` (of the flat array without one).

    Integers keep their dtype, as in JAX (booleans are counted in int32); `cumulative_sum` adds in
    at least 32 bits.

    >>> np.cumsum(np.array([1, 2, 3]))
    Array([1, 3, 6], dtype=int32)
    """
    no_out("cumsum", out)
    return _cumulative("cumsum", lax.cumsum, a, axis, dtype)


@at_once
def cumprod(a: ArrayLike, axis: int | None = None, dtype: DType = None, out: None = None) -> Value:
    """Running products along `axis` (of the flat array without one), in the dtype of `a`.

    >>> np.cumprod(np.array([1, 2, 3]))
    Array([1, 2, 6], dtype=int32)
    """
    no_out("cumprod", out)
    return _cumulative("cumprod", lax.cumprod, a, axis, dtype)


def cumulative_sum(
    x: ArrayLike, axis: int | None = None, dtype: DType = None, include_initial: bool = False
) -> Value:
    """Running sums along `axis`, from 0 with `include_initial`.

    >>> np.cumulative_sum(np.array([2, 3]), include_initial=True)
    Array([0, 2, 5], dtype=int32)
    """
    return _with_initial("cumulative_sum", cumsum, 0, x, axis, dtype, include_initial)


def cumulative_prod(
    x: ArrayLike, axis: int | None = None, dtype: DType = None, include_initial: bool = False
) -> Value:
    """Running products along `axis`, from 1 with `include_initial`.

    >>> np.cumulative_prod(np.array([2, 3]), include_initial=True)
    Array([1, 2, 6], dtype=int32)
    """
    return _with_initial("cumulative_prod", cumprod, 1, x, axis, dtype, include_initial)


def _with_initial(
    name: str,
    function: Callable[..., Value],
    initial: int,
    x: ArrayLike,
    axis: int | None,
    dtype: DType,
    include_initial: bool,
) -> Value:
    ndim = len(shape_of(x))
    if axis is None:
        if ndim != 1:
            raise ValueError(f"weft.numpy.{name}: give axis= for an array of shape {shape_of(x)}")
        axis = 0
    number = canonical_axis(name, axis, ndim)
    result = function(x, number, _sum_dtype(dtype_of(x)) if dtype is None else dtype)
    if not include_initial:
        return result
    shape = tuple(1 if d == number else n for d, n in enumerate(shape_of(result)))
    start = lax.broadcast_in_dim(np.asarray(initial, dtype_of(result)), shape, ())
    return lax.concatenate([start, result], number)
