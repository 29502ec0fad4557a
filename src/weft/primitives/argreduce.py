"""The index of the first greatest or least element along an axis. A NaN counts as the extremum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.primitive import Primitive
from weft.core.shape_classes import keep_params
from weft.primitives.rules import (
    ORDERED,
    Axes,
    Batched,
    Dims,
    Value,
    Values,
    check_accepts,
    check_axes,
    def_no_derivative,
)
from weft.primitives.shaping import move_axis
from weft.terms import build
from weft.terms.lower import Indices, Lowering, Tensor, insert, reduction_axes
from weft.terms.monoids import ARGMAX, ARGMIN, Monoid
from weft.terms.term import Term


def _arg_extremum(name: str, monoid: Monoid, numpy: Callable[..., Any]) -> Primitive:
    primitive = Primitive(name)

    @primitive.def_type
    def _(x: ShapedArray, *, axes: tuple[int], index_dtype: np.dtype) -> ShapedArray:
        check_accepts(name, ORDERED, x)
        if len(axes) != 1:
            raise ValueError(f"{name} works along one axis, got axes={axes}.")
        check_axes(name, x, axes)
        (axis,) = axes
        if x.shape[axis] == 0:
            raise ValueError(f"{name} of {x} along axis {axis}, which is empty, is undefined.")
        if not dtypes.is_integer(index_dtype):
            raise TypeError(f"{name} needs an integer index_dtype, got {index_dtype}.")
        if x.shape[axis] - 1 > np.iinfo(index_dtype).max:
            raise ValueError(f"{name} of {x}: index_dtype {index_dtype} cannot hold every index.")
        return ShapedArray(x.shape[:axis] + x.shape[axis + 1 :], index_dtype)

    @primitive.def_numpy
    def _(x: np.ndarray, *, axes: tuple[int], index_dtype: np.dtype) -> np.ndarray:
        wide = x.astype(np.float32) if dtypes.is_floating(x.dtype) and x.itemsize < 4 else x
        return np.asarray(numpy(wide, axis=axes[0]), index_dtype)

    @primitive.def_batch
    def _(
        axis_size: int, args: Values, dims: Dims, *, axes: Axes, index_dtype: np.dtype
    ) -> Batched:
        x = move_axis(args[0], dims[0], 0)
        return primitive.bind(x, axes=(axes[0] + 1,), index_dtype=index_dtype), 0

    @primitive.def_lower
    def _(ctx: Lowering, x: Tensor, *, axes: Axes, index_dtype: np.dtype) -> Tensor:
        over = reduction_axes(x.shape, axes)

        def element(index: Indices) -> Term:
            value = x.at(insert(index, axes, over))
            wide = build.cast(value, build.accumulator_dtype(x.dtype))
            pairs = build.fold(monoid, over, wide, build.position(over[0], index_dtype))
            return build.component(pairs, 1)

        return ctx.define(ctx.out.shape, index_dtype, element)

    primitive.def_sizes(keep_params)
    def_no_derivative(primitive)
    return primitive


# ---------------------------------------------------------------- argmax, argmin

argmax_p = _arg_extremum("argmax", ARGMAX, np.argmax)


def argmax(x: Value, axis: int, index_dtype: Any = np.int32) -> Value:
    """The index of the first greatest element along `axis`."""
    return argmax_p.bind(x, axes=(axis,), index_dtype=dtypes.canonical_dtype(index_dtype))


argmin_p = _arg_extremum("argmin", ARGMIN, np.argmin)


def argmin(x: Value, axis: int, index_dtype: Any = np.int32) -> Value:
    """The index of the first least element along `axis`."""
    return argmin_p.bind(x, axes=(axis,), index_dtype=dtypes.canonical_dtype(index_dtype))
