"""Reductions that leave out NaN: `nansum`, `nanmax`, `nanmean` and their kin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weft import lax
from weft.array.calls import at_once
from weft.core import dtypes
from weft.numpy._common import (
    ArrayLike,
    Axis,
    DType,
    Value,
    broadcast,
    dtype_of,
    no_out,
)
from weft.numpy.classify import isnan
from weft.numpy.reductions import all as all_of
from weft.numpy.reductions import (
    argmax,
    argmin,
    as_array,
    cumprod,
    cumsum,
    max,
    min,
    prod,
    sum,
    var,
)
from weft.numpy.reductions import mean as mean_of
from weft.numpy.select import where as choose
from weft.numpy.ufuncs import constant_like, sqrt


def _without_nan(x: Value, value: Any) -> Value:
    return choose(isnan(x), np.asarray(value).astype(dtype_of(x)), x)


@at_once
def nansum(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DType = None,
    out: None = None,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Value:
    """The sum over `axis`, NaN counting as 0.

    >>> np.nansum(np.array([1.0, np.nan, 3.0]))
    Array(4., dtype=float32)
    """
    no_out("nansum", out)
    return sum(_without_nan(as_array("nansum", a), 0), axis, dtype, None, keepdims, initial, where)


@at_once
def nanprod(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DType = None,
    out: None = None,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Value:
    """The product over `axis`, NaN counting as 1.

    >>> np.nanprod(np.array([1.0, np.nan, 3.0]))
    Array(3., dtype=float32)
    """
    no_out("nanprod", out)
    return prod(
        _without_nan(as_array("nanprod", a), 1), axis, dtype, None, keepdims, initial, where
    )


@at_once
def nanmax(
    a: ArrayLike,
    axis: Axis = None,
    out: None = None,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Value:
    """The largest element over `axis` that is not NaN; NaN where there is none.

    >>> np.nanmax(np.array([1.0, np.nan, 3.0]))
    Array(3., dtype=float32)
    """
    no_out("nanmax", out)
    return _nan_extremum("nanmax", max, -np.inf, a, axis, keepdims, initial, where)


@at_once
def nanmin(
    a: ArrayLike,
    axis: Axis = None,
    out: None = None,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Value:
    """The smallest element over `axis` that is not NaN; NaN where there is none.

    >>> np.nanmin(np.array([1.0, np.nan, 3.0]))
    Array(1., dtype=float32)
    """
    no_out("nanmin", out)
    return _nan_extremum("nanmin", min, np.inf, a, axis, keepdims, initial, where)


def _nan_extremum(
    name: str,
    function: Callable[..., Value],
    neutral: float,
    a: ArrayLike,
    axis: Axis,
    keepdims: bool,
    initial: ArrayLike | None,
    mask: ArrayLike | None,
) -> Value:
    x = as_array(name, a)
    options: Any = {"keepdims": keepdims, "initial": initial, "where": mask}
    if not dtypes.is_inexact(dtype_of(x)):
        return function(x, axis, **options)
    result = function(_without_nan(x, neutral), axis, **options)
    if initial is not None:  # that is an element which is not NaN
        return result
    return choose(all_of(isnan(x), axis, keepdims=keepdims), constant_like(result, np.nan), result)


@at_once
def nanmean(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DType = None,
    out: None = None,
    keepdims: bool = False,
    where: ArrayLike | None = None,
) -> Value:
    """The mean over `axis` of the elements that are not NaN.

    >>> np.nanmean(np.array([1.0, np.nan, 3.0]))
    Array(2., dtype=float32)
    """
    no_out("nanmean", out)
    x = as_array("nanmean", a)
    return mean_of(x, axis, dtype, keepdims=keepdims, where=_numbers(x, where))


@at_once
def nanvar(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DType = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    where: ArrayLike | None = None,
    mean: ArrayLike | None = None,
) -> Value:
    """The variance over `axis` of the elements that are not NaN.

    >>> np.nanvar(np.array([1.0, np.nan, 3.0]))
    Array(1., dtype=float32)
    """
    no_out("nanvar", out)
    x = as_array("nanvar", a)
    options: Any = {"ddof": ddof, "keepdims": keepdims, "mean": mean}
    return var(x, axis, dtype, where=_numbers(x, where), **options)


def _numbers(x: Value, mask: ArrayLike | None) -> Value:
    """Which elements count: those that are not NaN, and that `mask` names."""
    return ~isnan(x) if mask is None else lax.bitwise_and(*broadcast("where", ~isnan(x), mask))


@at_once
def nanstd(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DType = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    where: ArrayLike | None = None,
    mean: ArrayLike | None = None,
) -> Value:
    """The standard deviation over `axis` of the elements that are not NaN.

    >>> np.nanstd(np.array([1.0, np.nan, 3.0]))
    Array(1., dtype=float32)
    """
    no_out("nanstd", out)
    return sqrt(nanvar(a, axis, dtype, None, ddof, keepdims, where, mean))


@at_once
def nanargmax(
    a: ArrayLike, axis: int | None = None, out: None = None, keepdims: bool | None = None
) -> Value:
    """The index of the first largest element that is not NaN; −1 where there is none.

    >>> np.nanargmax(np.array([1.0, np.nan, 3.0]))
    Array(2, dtype=int32)
    """
    no_out("nanargmax", out)
    return _place(argmax, as_array("nanargmax", a), -np.inf, axis, keepdims)


@at_once
def nanargmin(
    a: ArrayLike, axis: int | None = None, out: None = None, keepdims: bool | None = None
) -> Value:
    """The index of the first smallest element that is not NaN; −1 where there is none.

    >>> np.nanargmin(np.array([1.0, np.nan, 3.0]))
    Array(0, dtype=int32)
    """
    no_out("nanargmin", out)
    return _place(argmin, as_array("nanargmin", a), np.inf, axis, keepdims)


def _place(
    search: Callable[..., Value], x: Value, nan: float, axis: int | None, keepdims: bool | None
) -> Value:
    """What `search` finds with `nan` in place of NaN, which it may not find."""
    if not dtypes.is_inexact(dtype_of(x)):
        return search(x, axis, keepdims=keepdims)
    index = search(_without_nan(x, nan), axis, keepdims=keepdims)
    return choose(all_of(isnan(x), axis, keepdims=bool(keepdims)), np.int32(-1), index)


@at_once
def nancumsum(
    a: ArrayLike, axis: int | None = None, dtype: DType = None, out: None = None
) -> Value:
    """Running sums along `axis`, NaN counting as 0.

    >>> np.nancumsum(np.array([1.0, np.nan, 3.0]))
    Array([1., 1., 4.], dtype=float32)
    """
    no_out("nancumsum", out)
    return cumsum(_without_nan(as_array("nancumsum", a), 0), axis, dtype)


@at_once
def nancumprod(
    a: ArrayLike, axis: int | None = None, dtype: DType = None, out: None = None
) -> Value:
    """Running products along `axis`, NaN counting as 1.

    >>> np.nancumprod(np.array([1.0, np.nan, 3.0]))
    Array([1., 1., 3.], dtype=float32)
    """
    no_out("nancumprod", out)
    return cumprod(_without_nan(as_array("nancumprod", a), 1), axis, dtype)
