"""`weft.scipy.ndimage`: images at any coordinates."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

import weft.numpy as wnp
from weft.core import dtypes
from weft.numpy._common import ArrayLike, Value, broadcast, dtype_of, promote_inexact

__all__ = ["map_coordinates"]


def _mirrored(index: Value, size: int) -> Value:
    """``… 2 1 0 1 2 …``"""
    period = max(2 * (size - 1), 1)
    index = index % period
    return wnp.where(index >= size, period - index, index)


def _reflected(index: Value, size: int) -> Value:
    """``… 1 0 0 1 …``"""
    index = index % (2 * size)
    return wnp.where(index >= size, 2 * size - 1 - index, index)


_MODES: dict[str, Callable[[Value, int], Value]] = {
    "constant": lambda index, size: wnp.clip(index, 0, size - 1),
    "nearest": lambda index, size: wnp.clip(index, 0, size - 1),
    "wrap": lambda index, size: index % size,
    "mirror": _mirrored,
    "reflect": _reflected,
}


def map_coordinates(
    input: ArrayLike,
    coordinates: Sequence[ArrayLike],
    order: int,
    mode: str = "constant",
    cval: ArrayLike = 0.0,
) -> Value:
    """`input` at `coordinates`, of which there is an array for each axis.

    `order` is 0 for the nearest element and 1 for linear interpolation. `mode` says what is beyond
    the border: ``"constant"`` (`cval`), ``"nearest"``, ``"wrap"`` (periodic), ``"mirror"`` and
    ``"reflect"`` (mirrored at the centres of the outermost elements, or at their edges).

    >>> weft.scipy.ndimage.map_coordinates(np.array([1., 3.]), [np.array([0.5])], order=1)
    Array([2.], dtype=float32)
    """
    x = wnp.asarray(input)
    if len(coordinates) != x.ndim:
        raise ValueError(
            f"weft.scipy.ndimage.map_coordinates: an array of {x.ndim} axes needs coordinates for "
            f"each, got {len(coordinates)}"
        )
    if order not in (0, 1):
        raise NotImplementedError(
            f"weft.scipy.ndimage.map_coordinates: order is 0 or 1, got {order!r}"
        )
    if mode not in _MODES:
        raise ValueError(
            f"weft.scipy.ndimage.map_coordinates: mode is one of {', '.join(map(repr, _MODES))}, "
            f"got {mode!r}"
        )
    where = [
        wnp.asarray(c)
        for c in broadcast(
            "scipy.ndimage.map_coordinates",
            *promote_inexact("scipy.ndimage.map_coordinates", *coordinates),
        )
    ]
    wide = dtype_of(x) if dtypes.is_inexact(dtype_of(x)) else dtype_of(where[0])
    fill = wnp.asarray(cval, wide)
    neighbours = [_neighbours(c, order) for c in where]
    total = None
    for corner in itertools.product(*neighbours):
        indices, weight, inside = [], None, None
        for (index, share), size in zip(corner, x.shape, strict=True):
            indices.append(_MODES[mode](index, size))
            weight = share if weight is None else weight * share
            valid = (index >= 0) & (index < size)
            inside = valid if inside is None else inside & valid
        value = x[tuple(indices)].astype(wide)
        if mode == "constant":
            value = wnp.where(inside, value, fill)
        part = value if weight is None else value * weight.astype(wide)
        total = part if total is None else total + part
    assert total is not None
    if not dtypes.is_inexact(dtype_of(x)):
        return wnp.round(total).astype(dtype_of(x))
    return total


def _neighbours(c: Value, order: int) -> list[tuple[Value, Value]]:
    """Indices of the elements around, and their shares."""
    if order == 0:
        return [(wnp.round(c).astype(np.int32), wnp.ones_like(c))]
    low = wnp.floor(c)
    share = c - low
    index = low.astype(np.int32)
    return [(index, 1 - share), (index + 1, share)]
