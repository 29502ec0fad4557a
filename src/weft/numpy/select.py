"""Choosing elements: `where`, `select`, `clip` and the functions built on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import lax
from weft.core import dtypes
from weft.core.trace import Tracer
from weft.numpy._common import (
    ArrayLike,
    Value,
    broadcast,
    check_arraylike,
    dtype_of,
    promote,
)
from weft.numpy.classify import isnan, isneginf, isposinf
from weft.numpy.ufuncs import constant_like, maximum, minimum, truth


def where(condition: ArrayLike, x: ArrayLike | None = None, y: ArrayLike | None = None) -> Value:
    """`x` where the condition holds, `y` elsewhere; the three are broadcast, `x` and `y` promoted.

    With the condition alone, the indices where it holds, as `nonzero` gives them: how many there
    are depends on values, so it works outside `jit` only.

    >>> where(np.arange(4) > 1, 1.0, 0.0)
    Array([0., 0., 1., 1.], dtype=float32, weak_type=True)
    """
    if x is None and y is None:
        return nonzero(condition)
    if x is None or y is None:
        raise ValueError("weft.numpy.where: give both x and y, or neither")
    check_arraylike("where", condition, x, y)
    cases = promote("where", x, y)
    mask, x, y = broadcast("where", truth(condition), *cases)
    return lax.select_n(mask, y, x)


def nonzero(x: ArrayLike) -> tuple[Value, ...]:
    """The indices of elements that are not zero, one int32 array for each axis.

    Their number depends on the values, so the argument cannot be traced.
    """
    from weft.array import from_numpy

    check_arraylike("nonzero", x)
    if isinstance(x, Tracer) and x.concrete() is None:
        raise x._concretization_error(
            "nonzero()",
            "Use weft.numpy.where(condition, x, y), whose shape does not depend on values.",
        )
    found = np.nonzero(np.atleast_1d(np.asarray(x)))
    return tuple(from_numpy(index.astype(np.int32), owned=True) for index in found)


def select(
    condlist: Sequence[ArrayLike], choicelist: Sequence[ArrayLike], default: ArrayLike = 0
) -> Value:
    """The first choice whose condition holds, `default` where none does."""
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


def clip(
    x: ArrayLike,
    min: ArrayLike | None = None,
    max: ArrayLike | None = None,
    *,
    a_min: ArrayLike | None = None,
    a_max: ArrayLike | None = None,
) -> Value:
    """Values limited to [min, max]; a limit of None is absent. NaN stays NaN."""
    lower = min if min is not None else a_min
    upper = max if max is not None else a_max
    check_arraylike("clip", x)
    result = x
    if lower is not None:
        result = maximum(result, lower)
    if upper is not None:
        result = minimum(result, upper)
    return promote("clip", result)[0]


def nan_to_num(
    x: ArrayLike,
    copy: bool = True,
    nan: ArrayLike = 0.0,
    posinf: ArrayLike | None = None,
    neginf: ArrayLike | None = None,
) -> Value:
    """NaN replaced by `nan`, infinities by the largest finite numbers (or what is given)."""
    (x,) = promote("nan_to_num", x)
    dtype = dtype_of(x)
    if not dtypes.is_inexact(dtype):
        return x
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
