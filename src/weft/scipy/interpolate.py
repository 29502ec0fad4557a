"""`weft.scipy.interpolate`: values between the points of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

import weft.numpy as wnp
from weft import tree
from weft.core import dtypes
from weft.numpy._common import (
    ArrayLike,
    Value,
    check_arraylike,
    dtype_of,
    promote_inexact,
    shape_of,
)

__all__ = ["RegularGridInterpolator"]

NAME = "weft.scipy.interpolate.RegularGridInterpolator"


class RegularGridInterpolator:
    """A function of points, from its values on a rectangular grid.

    Parameters
    ----------
    points: for each axis of the grid, its coordinates in ascending order.
    values: at the grid's points; further axes are interpolated alike.
    method: "linear" (in each axis) or "nearest".
    bounds_error: has to be False: what is found out of bounds is not known before the program runs.
    fill_value: outside of the grid; None extrapolates.

    It is called with points whose coordinates are in the last axis, or in a tuple of arrays that
    broadcast, and can be differentiated in points, values and coordinates of the grid.

    >>> grid = np.asarray([0.0, 1.0]), np.asarray([0.0, 2.0])
    >>> values = np.asarray([[0.0, 2.0], [1.0, 3.0]])
    >>> f = weft.scipy.interpolate.RegularGridInterpolator(grid, values)
    >>> f(np.asarray([[0.5, 1.0], [1.0, 1.5], [0.0, 3.0]]))
    Array([1.5, 2.5, nan], dtype=float32)
    """

    def __init__(
        self,
        points: Sequence[ArrayLike],
        values: ArrayLike,
        method: str = "linear",
        bounds_error: bool = False,
        fill_value: ArrayLike | None = np.nan,
    ) -> None:
        check_arraylike("scipy.interpolate.RegularGridInterpolator", values, *points)
        self.method = _checked(method)
        if bounds_error:
            raise NotImplementedError(
                f"{NAME}: bounds_error is False; give a fill_value, or None to extrapolate"
            )
        self.bounds_error = bounds_error
        shape, sizes = shape_of(values), tuple(shape_of(p) for p in points)
        if any(len(s) != 1 for s in sizes) or sizes != tuple((n,) for n in shape[: len(sizes)]):
            raise ValueError(
                f"{NAME}: points are a vector for each of the first axes of values, of shape "
                f"{shape}; got shapes {list(sizes)}"
            )
        (values,) = promote_inexact("scipy.interpolate.RegularGridInterpolator", values)
        self.values = wnp.asarray(values)
        self.grid = tuple(wnp.asarray(p) for p in points)
        if fill_value is not None:
            check_arraylike("scipy.interpolate.RegularGridInterpolator", fill_value)
            complex_only = dtypes.is_complex(dtype_of(fill_value))
            if complex_only and not dtypes.is_complex(self.values.dtype):
                raise ValueError(f"{NAME}: fill_value is complex, values are {self.values.dtype}")
        self.fill_value = fill_value

    def __call__(self, xi: Any, method: str | None = None) -> Value:
        """The values at points, by another method if it is given.

        Of the shape of the points without their last axis, and the further axes of the values.
        """
        method = self.method if method is None else _checked(method)
        count = len(self.grid)
        if isinstance(xi, tuple):
            columns = wnp.broadcast_arrays(*xi)
        else:
            xi = wnp.asarray(xi)
            if xi.ndim == 1:
                xi = xi.reshape(-1, count) if xi.shape[0] % count == 0 else xi[None]
            columns = tuple(xi[..., i] for i in range(xi.shape[-1]))
        if len(columns) != count:
            raise ValueError(f"{NAME}: points have {count} coordinates each, got {len(columns)}")
        lower, shares, outside = [], [], wnp.zeros(columns[0].shape, bool)
        for x, grid in zip(columns, self.grid, strict=True):
            place = wnp.clip(wnp.searchsorted(grid, x) - 1, 0, max(grid.shape[0] - 2, 0))
            above = wnp.minimum(place + 1, grid.shape[0] - 1)
            gap = grid[above] - grid[place]
            lower.append((place, above))
            shares.append((x - grid[place]) / wnp.where(gap == 0, 1, gap))
            outside = outside | (x < grid[0]) | (x > grid[-1])
        result = (
            _linear(self.values, lower, shares)
            if method == "linear"
            else self.values[
                tuple(wnp.where(y <= 0.5, *pair) for pair, y in zip(lower, shares, strict=True))
            ]
        )
        if self.fill_value is None:
            return result
        further = (1,) * (result.ndim - outside.ndim)
        return wnp.where(outside.reshape(outside.shape + further), self.fill_value, result)


def _linear(values: Value, pairs: Sequence[tuple[Value, Value]], shares: Sequence[Value]) -> Value:
    """The sum of the values at all corners, weighted by the opposite boxes."""
    total: Any = 0
    further = (1,) * (values.ndim - len(pairs))
    for corner in product((0, 1), repeat=len(pairs)):
        weight: Any = 1
        for side, y in zip(corner, shares, strict=True):
            weight = weight * (y if side else 1 - y)
        place = tuple(pair[side] for pair, side in zip(pairs, corner, strict=True))
        total = total + values[place] * weight.reshape(weight.shape + further)
    return total


def _checked(method: str) -> str:
    if method not in ("linear", "nearest"):
        raise ValueError(f"{NAME}: method is 'linear' or 'nearest', got {method!r}")
    return method


def _flatten(f: RegularGridInterpolator) -> tuple[Any, Any]:
    return (f.grid, f.values, f.fill_value), (f.method, f.bounds_error)


def _unflatten(settings: Any, children: Any) -> RegularGridInterpolator:
    f = object.__new__(RegularGridInterpolator)
    f.grid, f.values, f.fill_value = children
    f.method, f.bounds_error = settings
    return f


tree.register_node(RegularGridInterpolator, _flatten, _unflatten)
