"""Slices that start at computed positions. A start is clamped so that the slice fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.linear import is_undef, is_zero
from weft.core.primitive import Primitive
from weft.primitives.indexing import gather_p, scatter_p
from weft.primitives.joining import concatenate
from weft.primitives.rules import (
    Batched,
    Cotangents,
    Dims,
    Dual,
    Shape,
    Value,
    Values,
    all_weak,
    check_same_dtype,
    dtype_of,
    listing,
    remembered,
    shape_of,
    zero_tangent,
)
from weft.primitives.shaping import batch_first, full, instantiate, move_axis, reshape
from weft.primitives.windows import (
    GatherDimensionNumbers,
    GatherScatterMode,
    ScatterDimensionNumbers,
)
from weft.terms import build
from weft.terms.lower import Lowering, Tensor, by_parts


def _check_starts(name: str, x: ShapedArray, starts: Sequence[ShapedArray]) -> None:
    if len(starts) != x.ndim:
        raise ValueError(f"{name} of {x} needs {x.ndim} start indices, got {len(starts)}.")
    for start in starts:
        if start.shape != () or not dtypes.is_integer(start.dtype):
            raise TypeError(
                f"{name} of {x} needs scalar integers as start indices, got {listing(starts)}."
            )
    check_same_dtype(f"{name} (start indices)", *starts)


def _window(x: np.ndarray, starts: Sequence[np.ndarray], sizes: Sequence[int]) -> tuple[slice, ...]:
    fits = zip(starts, sizes, x.shape, strict=True)
    first = [min(max(int(start), 0), n - size) for start, size, n in fits]
    return tuple(slice(start, start + size) for start, size in zip(first, sizes, strict=True))


def _stack_starts(axis_size: int, starts: Sequence[Value], dims: Sequence[int | None]) -> Batched:
    """Start indices as one vector, mapped if any of them is."""
    if all(dim is None for dim in dims):
        return concatenate([reshape(start, (1,)) for start in starts], 0), None
    columns = batch_first(axis_size, starts, dims)
    return concatenate([reshape(start, (axis_size, 1)) for start in columns], 1), 0


# ---------------------------------------------------------------- dynamic_slice

dynamic_slice_p = Primitive("dynamic_slice")


def dynamic_slice(x: Value, start_indices: Sequence[Value], slice_sizes: Sequence[int]) -> Value:
    """The window of sizes `slice_sizes` that starts at `start_indices`."""
    return dynamic_slice_p.bind(x, *start_indices, slice_sizes=tuple(slice_sizes))


@dynamic_slice_p.def_type
@remembered
def _(x: ShapedArray, *starts: ShapedArray, slice_sizes: tuple[int, ...]) -> ShapedArray:
    _check_starts("dynamic_slice", x, starts)
    if len(slice_sizes) != x.ndim or any(
        not 0 <= size <= n for size, n in zip(slice_sizes, x.shape, strict=False)
    ):
        raise ValueError(
            f"dynamic_slice of {x} cannot have slice_sizes {slice_sizes}: one size for each axis "
            "is needed, at least 0 and at most the size of the axis."
        )
    return ShapedArray(slice_sizes, x.dtype, x.weak_type)


@dynamic_slice_p.def_numpy
def _(x: np.ndarray, *starts: np.ndarray, slice_sizes: tuple[int, ...]) -> np.ndarray:
    return np.asarray(x[_window(x, starts, slice_sizes)])


def _clamped_starts(x: Value, starts: Value, sizes: Value) -> Value:
    """The first indices of the window that fits, as index expressions."""
    fits = zip(starts, sizes, x.shape, strict=True)
    return [build.clamped_index(start.at(()), 0, n - size) for start, size, n in fits]


@dynamic_slice_p.def_lower
def _(ctx: Lowering, x: Tensor, *starts: Tensor, slice_sizes: Shape) -> Tensor:
    first = _clamped_starts(x, starts, slice_sizes)
    return ctx.define(
        slice_sizes,
        x.dtype,
        lambda index: x.at([start + i for start, i in zip(first, index, strict=True)]),
    )


by_parts(dynamic_slice_p)


@dynamic_slice_p.def_jvp
def _(primals: Values, tangents: Values, *, slice_sizes: Shape) -> Dual:
    x, *starts = primals
    ans = dynamic_slice(x, starts, slice_sizes)
    if is_zero(tangents[0]):
        return ans, zero_tangent(ans)
    return ans, dynamic_slice(tangents[0], starts, slice_sizes)


@dynamic_slice_p.def_transpose
def _(ct: Value, x: Value, *starts: Value, slice_sizes: Shape) -> Cotangents:
    nothing = [None] * len(starts)
    if is_zero(ct):
        return [None, *nothing]
    return [dynamic_update_slice(full(shape_of(x), 0, dtype_of(ct)), ct, starts), *nothing]


@dynamic_slice_p.def_batch
def _(axis_size: int, args: Values, dims: Dims, *, slice_sizes: Shape) -> Batched:
    (x, *starts), (x_dim, *start_dims) = args, dims
    if all(dim is None for dim in start_dims) and starts:
        first = full((), 0, dtype_of(starts[0]))
        x = move_axis(x, x_dim, 0)
        return dynamic_slice(x, (first, *starts), (axis_size, *slice_sizes)), 0
    if not starts:  # a slice of a scalar is that scalar
        return x, x_dim
    # Every example has its own window: that is a gather.
    axes = tuple(range(len(starts)))
    indices, indices_dim = _stack_starts(axis_size, starts, start_dims)
    params: dict[str, Any] = {
        "dimension_numbers": GatherDimensionNumbers(axes, (), axes),
        "slice_sizes": slice_sizes,
        "unique_indices": True,
        "indices_are_sorted": True,
        "mode": GatherScatterMode.CLIP,
        "fill_value": None,
    }
    return gather_p.rule("batch")(axis_size, [x, indices], [x_dim, indices_dim], **params)


# ---------------------------------------------------------------- dynamic_update_slice

dynamic_update_slice_p = Primitive("dynamic_update_slice")


def dynamic_update_slice(x: Value, update: Value, start_indices: Sequence[Value]) -> Value:
    """`x` with the window that starts at `start_indices` replaced by `update`."""
    return dynamic_update_slice_p.bind(x, update, *start_indices)


@dynamic_update_slice_p.def_type
@remembered
def _(x: ShapedArray, update: ShapedArray, *starts: ShapedArray) -> ShapedArray:
    _check_starts("dynamic_update_slice", x, starts)
    check_same_dtype("dynamic_update_slice (operand and update)", x, update)
    if update.ndim != x.ndim or any(
        size > n for size, n in zip(update.shape, x.shape, strict=False)
    ):
        raise ValueError(
            f"dynamic_update_slice needs an update that fits in the operand, with as many axes, "
            f"got {update} for operand {x}."
        )
    return x.update(weak_type=all_weak(x, update))


@dynamic_update_slice_p.def_numpy
def _(x: np.ndarray, update: np.ndarray, *starts: np.ndarray) -> np.ndarray:
    out = x.copy()
    out[_window(x, starts, update.shape)] = update
    return out


@dynamic_update_slice_p.def_lower
def _(ctx: Lowering, x: Tensor, update: Tensor, *starts: Tensor) -> Tensor:
    first = _clamped_starts(x, starts, update.shape)
    return ctx.scatter(
        x,
        update.shape,
        lambda index: [start + i for start, i in zip(first, index, strict=True)],
        update.at,
        unique=True,
    )


by_parts(dynamic_update_slice_p)


@dynamic_update_slice_p.def_jvp
def _(primals: Values, tangents: Values) -> Dual:
    x, update, *starts = primals
    ans = dynamic_update_slice(x, update, starts)
    if is_zero(tangents[0]) and is_zero(tangents[1]):
        return ans, zero_tangent(ans)
    tx, tu = instantiate(tangents[0]), instantiate(tangents[1])
    return ans, dynamic_update_slice(tx, tu, starts)


@dynamic_update_slice_p.def_transpose
def _(ct: Value, x: Value, update: Value, *starts: Value) -> Cotangents:
    nothing = [None] * len(starts)
    if is_zero(ct):
        return [None, None, *nothing]
    zeros = full(shape_of(update), 0, dtype_of(ct))
    ct_x = dynamic_update_slice(ct, zeros, starts) if is_undef(x) else None
    ct_update = dynamic_slice(ct, starts, shape_of(update)) if is_undef(update) else None
    return [ct_x, ct_update, *nothing]


@dynamic_update_slice_p.def_batch
def _(axis_size: int, args: Values, dims: Dims) -> Batched:
    (x, update, *starts), (x_dim, update_dim, *start_dims) = args, dims
    if all(dim is None for dim in start_dims):
        x, update = batch_first(axis_size, [x, update], [x_dim, update_dim])
        first = full((), 0, dtype_of(starts[0]) if starts else np.int32)
        return dynamic_update_slice(x, update, (first, *starts)), 0
    # Every example has its own window: that is a scatter.
    axes = tuple(range(len(starts)))
    indices, indices_dim = _stack_starts(axis_size, starts, start_dims)
    params: dict[str, Any] = {
        "dimension_numbers": ScatterDimensionNumbers(axes, (), axes),
        "unique_indices": True,
        "indices_are_sorted": True,
        "mode": GatherScatterMode.CLIP,
    }
    operands, mapped = [x, indices, update], [x_dim, indices_dim, update_dim]
    return scatter_p.rule("batch")(axis_size, operands, mapped, **params)
