"""Choosing elements: `where`, `select`, `clip` and the functions built on them."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import lax
from weft.array import Array, from_numpy
from weft.array.calls import at_once
from weft.core import dtypes
from weft.core.trace import Tracer
from weft.numpy._common import (
    ArrayLike,
    Value,
    as_result,
    broadcast,
    check_arraylike,
    dtype_of,
    promote,
    shape_of,
)
from weft.numpy.classify import isnan, isneginf, isposinf
from weft.numpy.ufuncs import constant_like, maximum, minimum, truth


@at_once
def where(
    condition: ArrayLike,
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    /,
    *,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """`x` where the condition holds, `y` elsewhere; the three are broadcast, `x` and `y` promoted.

    With the condition alone, the indices where it holds, as `nonzero` gives them (`size` and
    `fill_value` are its).

    >>> where(np.arange(4) > 1, 1.0, 0.0)
    Array([0., 0., 1., 1.], dtype=float32, weak_type=True)

    Raises
    ------
    ValueError: if one of `x` and `y` is missing, or `size` is given beside them.
    """
    if x is None and y is None:
        return nonzero(condition, size=size, fill_value=fill_value)
    if x is None or y is None:
        raise ValueError("weft.numpy.where: give both x and y, or neither")
    if size is not None or fill_value is not None:
        raise ValueError("weft.numpy.where: size= and fill_value= are for the condition alone")
    check_arraylike("where", condition, x, y)
    cases = promote("where", x, y)
    mask, x, y = broadcast("where", truth(condition), *cases)
    return lax.select_n(mask, y, x)


def nonzero(a: ArrayLike, *, size: int | None = None, fill_value: Any = None) -> tuple[Value, ...]:
    """The indices of elements that are not zero, one int32 array for each axis.

    Their number depends on the values, so that the argument cannot be traced without `size`: the
    first `size` indices then, with `fill_value` (a number, or one for each axis; 0) where there are
    fewer.

    >>> nonzero(np.array([0, 3, 0, 5]))
    (Array([1, 3], dtype=int32),)
    >>> weft.jit(lambda x: nonzero(x, size=3, fill_value=-1))(np.array([0, 3, 0, 5]))
    (Array([ 1,  3, -1], dtype=int32),)

    Raises
    ------
    ConcretizationError: for a traced argument without `size`.
    ValueError: for an array without axes.
    """
    check_arraylike("nonzero", a)
    if not shape_of(a):
        raise ValueError(
            "weft.numpy.nonzero: an array without axes has no indices; make a vector of it "
            "(weft.numpy.atleast_1d)"
        )
    if size is not None:
        return _first_nonzero(a, operator.index(size), fill_value)
    if isinstance(a, Tracer) and a.concrete() is None:
        raise a._concretization_error(
            "nonzero()",
            "Use weft.numpy.where(condition, x, y), whose shape does not depend on values, or say "
            "how many there are at most (size=...).",
        )
    found = np.nonzero(a.numpy_view() if type(a) is Array else np.asarray(a))
    return tuple(from_numpy(index.astype(np.int32), owned=True) for index in found)


def _first_nonzero(a: ArrayLike, size: int, fill_value: Any) -> tuple[Value, ...]:
    """The first `size` indices: each goes to its place by a running count of those before."""
    if size < 0:
        raise ValueError(f"weft.numpy.nonzero: size={size} cannot be negative")
    shape = shape_of(a)
    fills = fill_value if isinstance(fill_value, tuple) else (fill_value,) * len(shape)
    if len(fills) != len(shape) or any(f is not None and shape_of(f) for f in fills):
        raise ValueError(
            f"weft.numpy.nonzero: fill_value must be a number, or a tuple of one for each of "
            f"{len(shape)} axes, got {fill_value!r}"
        )
    mask = lax.reshape(truth(a), (math.prod(shape),))
    flat, count = positions(mask, size)
    found = []
    for axis, fill in enumerate(fills):
        stride = math.prod(shape[axis + 1 :])
        index = lax.rem(flat // max(stride, 1), constant_like(flat, max(shape[axis], 1)))
        beyond = lax.broadcasted_iota(dtypes.int32, (size,), 0) >= count
        found.append(index if fill is None else where(beyond, fill, index).astype(np.int32))
    return tuple(found)


def positions(mask: Value, size: int) -> tuple[Value, Value]:
    """The first `size` indices where the vector `mask` holds, then zeros; and how many hold."""
    from weft.numpy.indexing import write

    (length,) = shape_of(mask)
    zeros = lax.broadcast_in_dim(np.int32(0), (size,), ())
    if not length or not size:
        return zeros, lax.convert_element_type(mask, dtypes.int32).sum()
    running = lax.cumsum(lax.convert_element_type(mask, dtypes.int32))
    places = where(mask, running - 1, size)
    index = lax.broadcasted_iota(dtypes.int32, (length,), 0)
    return write(zeros, places, index, mode="drop", unique_indices=False), running[length - 1]


@at_once
def select(
    condlist: Sequence[ArrayLike], choicelist: Sequence[ArrayLike], default: ArrayLike = 0
) -> Value:
    """The first choice whose condition holds, `default` where none does.

    >>> np.select([np.arange(3) > 1], [np.arange(3) * 10], 7)
    Array([ 7,  7, 20], dtype=int32)
    """
    if len(condlist) != len(choicelist):
        raise ValueError(
            f"weft.numpy.select: {len(condlist)} conditions for {len(choicelist)} choices"
        )
    if not condlist:
        raise ValueError("weft.numpy.select: there must be at least one condition")
    *choices, result = promote("select", *choicelist, default)
    for condition, choice in zip(reversed(condlist), reversed(choices), strict=True):
        result = where(condition, choice, result)
    return result


@at_once
def clip(
    x: ArrayLike,
    min: ArrayLike | None = None,
    max: ArrayLike | None = None,
    *,
    a_min: ArrayLike | None = None,
    a_max: ArrayLike | None = None,
) -> Value:
    """Values limited to [min, max]; a limit of None is absent. NaN stays NaN.

    >>> np.clip(np.array([-1.0, 0.5, 2.0]), 0.0, 1.0)
    Array([0. , 0.5, 1. ], dtype=float32)
    """
    lower = min if min is not None else a_min
    upper = max if max is not None else a_max
    check_arraylike("clip", x)
    result = x
    if lower is not None:
        result = maximum(result, lower)
    if upper is not None:
        result = minimum(result, upper)
    return as_result(promote("clip", result)[0])


@at_once
def nan_to_num(
    x: ArrayLike,
    copy: bool = True,
    nan: ArrayLike = 0.0,
    posinf: ArrayLike | None = None,
    neginf: ArrayLike | None = None,
) -> Value:
    """NaN replaced by `nan`, infinities by the largest finite numbers (or what is given).

    >>> np.nan_to_num(np.array([1.0, np.nan]))
    Array([1., 0.], dtype=float32)
    """
    (x,) = promote("nan_to_num", x)
    dtype = dtype_of(x)
    if not dtypes.is_inexact(dtype):
        return as_result(x)
    if dtypes.is_complex(dtype):
        real, imag = lax.real(x), lax.imag(x)
        return lax.complex(
            nan_to_num(real, nan=nan, posinf=posinf, neginf=neginf),
            nan_to_num(imag, nan=nan, posinf=posinf, neginf=neginf),
        )
    largest = _finfo(dtype).max
    x = where(isnan(x), _as(nan, dtype), x)
    x = where(isposinf(x), _as(largest if posinf is None else posinf, dtype), x)
    return where(isneginf(x), _as(-largest if neginf is None else neginf, dtype), x)


def _as(value: Any, dtype: np.dtype) -> Any:
    return np.asarray(value).astype(dtype) if isinstance(value, int | float | np.generic) else value


def _finfo(dtype: np.dtype) -> Any:
    import ml_dtypes

    return ml_dtypes.finfo(dtype)


def extremum_limits(dtype: np.dtype) -> tuple[Any, Any]:
    """The least and greatest values of a real dtype: infinities where there are any."""
    if dtype == np.bool_:
        return False, True
    if dtypes.is_integer(dtype):
        info = np.iinfo(dtype)
        return info.min, info.max
    return -np.inf, np.inf


def where_mask(x: Value, mask: ArrayLike | None, neutral: Any) -> Value:
    """`x` with `neutral` where `mask` does not hold; `mask` may broadcast to `x`."""
    if mask is None:
        return x
    check_arraylike("where", mask)
    if dtype_of(mask) != np.bool_:
        raise TypeError(f"where= must be a boolean array, got dtype {dtype_of(mask)}")
    mask, x = broadcast("where", mask, x)
    return lax.select_n(mask, constant_like(x, neutral), x)
