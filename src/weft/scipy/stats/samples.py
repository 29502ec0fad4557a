"""Statistics of samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import weft.numpy as wnp
from weft.core import dtypes
from weft.numpy._common import ArrayLike, Value, canonical_axis, check_arraylike, dtype_of


class ModeResult(NamedTuple):
    """What `mode` gives."""

    mode: Value
    count: Value


def _along(name: str, a: ArrayLike, axis: int | None, nan_policy: str) -> tuple[Value, int]:
    check_arraylike(f"scipy.stats.{name}", a)
    if nan_policy != "propagate":
        raise NotImplementedError(
            f"weft.scipy.stats.{name}: nan_policy is 'propagate', got {nan_policy!r}"
        )
    x = wnp.asarray(a)
    if axis is None:
        return wnp.ravel(x), 0
    return x, canonical_axis(f"scipy.stats.{name}", axis, x.ndim)


def sem(
    a: ArrayLike,
    axis: int | None = 0,
    ddof: int = 1,
    nan_policy: str = "propagate",
    *,
    keepdims: bool = False,
) -> Value:
    """The standard error of the mean along `axis`, or of all elements.

    >>> weft.scipy.stats.sem(np.array([1., 3.]))
    Array(1., dtype=float32)
    """
    x, along = _along("sem", a, axis, nan_policy)
    result = wnp.std(x, along, ddof=ddof, keepdims=keepdims) / np.sqrt(x.shape[along])
    if axis is None and keepdims:
        return wnp.reshape(result, (1,) * np.ndim(a))
    return result.astype(dtype_of(x)) if dtypes.is_inexact(dtype_of(x)) else result


def mode(
    a: ArrayLike, axis: int | None = 0, nan_policy: str = "propagate", keepdims: bool = False
) -> ModeResult:
    """The most frequent element along `axis`, the least of several, and how often it is there.

    >>> weft.scipy.stats.mode(np.array([2, 1, 2])).mode
    Array(2, dtype=int32)
    """
    x, along = _along("mode", a, axis, nan_policy)
    x = wnp.sort(wnp.moveaxis(x, along, -1), -1)
    if not x.shape[-1]:
        raise ValueError(f"weft.scipy.stats.mode: there are no elements along axis {axis}")
    # Of sorted elements a run is as long as the positions of its ends are apart.
    count = _ties(x, "right") - _ties(x, "left")
    first = wnp.argmax(count, -1)[..., None]
    value, often = wnp.take_along_axis(x, first, -1), wnp.take_along_axis(count, first, -1)
    if axis is None:
        shape = (1,) * np.ndim(a) if keepdims else ()
        return ModeResult(wnp.reshape(value, shape), wnp.reshape(often, shape))
    value, often = wnp.moveaxis(value, -1, along), wnp.moveaxis(often, -1, along)
    if keepdims:
        return ModeResult(value, often)
    return ModeResult(wnp.squeeze(value, along), wnp.squeeze(often, along))


def _ties(ordered: Value, side: str) -> Value:
    """For elements in order, how many are less, or (``"right"``) not greater."""
    n = ordered.shape[-1]
    index = np.arange(n, dtype=np.int32)
    new = wnp.concatenate(
        [wnp.ones_like(ordered[..., :1], dtype=bool), ordered[..., 1:] != ordered[..., :-1]], -1
    )
    if side == "left":
        return _running_maximum(wnp.where(new, index, 0))
    ends = wnp.concatenate([new[..., 1:], wnp.ones_like(new[..., :1])], -1)
    last = wnp.where(ends, index, n)
    return n - _running_maximum(wnp.flip(n - last, -1))[..., ::-1] + 1


def _running_maximum(x: Value) -> Value:
    from weft import lax

    return lax.cummax(x, axis=x.ndim - 1)


def rankdata(
    a: ArrayLike,
    method: str = "average",
    *,
    axis: int | None = None,
    nan_policy: str = "propagate",
) -> Value:
    """The ranks of elements, counted from 1, along `axis` or of all of them.

    Ties get the mean of their ranks (``"average"``), the least (``"min"``), the greatest
    (``"max"``), one rank less than what follows (``"dense"``), or ranks in their order
    (``"ordinal"``).

    >>> weft.scipy.stats.rankdata(np.array([3., 1., 3.]))
    Array([2.5, 1. , 2.5], dtype=float32)
    """
    if method not in ("average", "min", "max", "dense", "ordinal"):
        raise ValueError(
            "weft.scipy.stats.rankdata: method is 'average', 'min', 'max', 'dense' or 'ordinal', "
            f"got {method!r}"
        )
    x, along = _along("rankdata", a, axis, nan_policy)
    x = wnp.moveaxis(x, along, -1)
    order = wnp.argsort(x, -1)
    back = wnp.argsort(order, -1)
    if method == "ordinal":
        return wnp.moveaxis(back + 1, -1, along)
    ordered = wnp.sort(x, -1)
    if method == "dense":
        new = (ordered[..., 1:] != ordered[..., :-1]).astype(np.int32)
        ranks = wnp.concatenate(
            [wnp.ones_like(ordered[..., :1], dtype=np.int32), 1 + wnp.cumsum(new, -1)], -1
        )
    elif method == "min":
        ranks = _ties(ordered, "left") + 1
    elif method == "max":
        ranks = _ties(ordered, "right")
    else:
        ranks = (_ties(ordered, "left") + 1 + _ties(ordered, "right")).astype(np.float32) / 2
    return wnp.moveaxis(wnp.take_along_axis(ranks, back, -1), -1, along)
