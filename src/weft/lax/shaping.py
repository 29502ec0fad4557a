"""Functions that make arrays and move their elements: shapes, axes, slices, padding."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import aval_of
from weft.lax.operands import (
    ArrayLike,
    Value,
    canonical_axes,
    canonical_axis,
    canonical_shape,
    constant,
    is_scalar,
)
from weft.lax.operands import operand as as_operand
from weft.primitives import convert, creation, joining, shaping, slicing

# ---------------------------------------------------------------- new arrays


def full(shape: Sequence[int], fill_value: ArrayLike, dtype: Any = None) -> Value:
    """An array of `shape` with every element `fill_value`, a scalar.

    Without `dtype`, that of the value (float32, int32 or bool for Python numbers).

    >>> lax.full((2,), 7)
    Array([7, 7], dtype=int32)
    """
    sizes = canonical_shape("full", shape)
    if aval_of(as_operand("full", fill_value)).shape != ():
        raise TypeError(f"lax.full needs a scalar fill_value, got {aval_of(fill_value)}.")
    dtype = aval_of(fill_value).dtype if dtype is None else dtypes.canonical_dtype(dtype)
    if is_scalar(fill_value):
        return shaping.broadcast_in_dim_p.bind(
            constant(fill_value, dtype), shape=sizes, broadcast_dimensions=()
        )
    return shaping.broadcast_in_dim(convert.convert_element_type(fill_value, dtype), sizes, ())


def full_like(
    x: ArrayLike, fill_value: ArrayLike, dtype: Any = None, shape: Sequence[int] | None = None
) -> Value:
    """An array like `x`, of its shape and dtype unless given, with every element `fill_value`.

    >>> lax.full_like(np.ones(2), 7)
    Array([7., 7.], dtype=float32)
    """
    aval = aval_of(as_operand("full_like", x))
    return full(
        aval.shape if shape is None else shape, fill_value, aval.dtype if dtype is None else dtype
    )


def zeros_like_array(x: ArrayLike) -> Value:
    """Zeros of the shape and dtype of `x`.

    >>> lax.zeros_like_array(np.ones(2))
    Array([0., 0.], dtype=float32)
    """
    return full_like(x, 0)


def iota(dtype: Any, size: int) -> Value:
    """``0, 1, ..., size - 1``.

    >>> lax.iota(np.int32, 3)
    Array([0, 1, 2], dtype=int32)
    """
    return broadcasted_iota(dtype, (size,), 0)


def broadcasted_iota(dtype: Any, shape: Sequence[int], dimension: int) -> Value:
    """An array of `shape` whose elements are their index along `dimension`.

    >>> lax.broadcasted_iota(np.int32, (2, 3), 1)
    Array([[0, 1, 2],
           [0, 1, 2]], dtype=int32)
    """
    sizes = canonical_shape("broadcasted_iota", shape)
    axis = canonical_axis("broadcasted_iota", dimension, len(sizes))
    dtype = dtypes.canonical_dtype(dtype)
    if dtypes.is_complex(dtype):
        counted = creation.iota(dtypes.real_dtype(dtype), sizes, axis)
        return convert.convert_element_type(counted, dtype)
    return creation.iota(dtype, sizes, axis)


# ---------------------------------------------------------------- broadcasting


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that all `shapes` broadcast to by NumPy's rules.

    >>> lax.broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    try:
        return np.broadcast_shapes(*map(tuple, shapes))
    except ValueError:
        shown = ", ".join(str(tuple(shape)) for shape in shapes)
        raise ValueError(f"lax.broadcast_shapes: {shown} do not broadcast together.") from None


def broadcast(operand: ArrayLike, sizes: Sequence[int]) -> Value:
    """`operand` repeated along new leading axes of `sizes`.

    >>> lax.broadcast(np.arange(2), (3,)).shape
    (3, 2)
    """
    sizes, shape = tuple(sizes), aval_of(operand).shape
    return broadcast_in_dim(operand, sizes + shape, range(len(sizes), len(sizes) + len(shape)))


def broadcast_in_dim(
    operand: ArrayLike, shape: Sequence[int], broadcast_dimensions: Sequence[int]
) -> Value:
    """`operand` repeated to `shape`; its axis k becomes axis ``broadcast_dimensions[k]``.

    >>> lax.broadcast_in_dim(np.arange(3), (2, 3), (1,))
    Array([[0, 1, 2],
           [0, 1, 2]], dtype=int32)
    """
    return shaping.broadcast_in_dim(
        operand, canonical_shape("broadcast_in_dim", shape), tuple(broadcast_dimensions)
    )


def broadcast_to_rank(x: ArrayLike, rank: int) -> Value:
    """`x` with leading axes of size 1 up to `rank` axes.

    >>> lax.broadcast_to_rank(np.arange(2), 3).shape
    (1, 1, 2)
    """
    return expand_dims(x, range(rank - len(aval_of(x).shape)))


# ---------------------------------------------------------------- axes


def reshape(
    operand: ArrayLike, new_sizes: Sequence[int], dimensions: Sequence[int] | None = None
) -> Value:
    """The elements of `operand` in row-major order (or with axes ordered by `dimensions`).

    >>> lax.reshape(np.arange(4), (2, 2))
    Array([[0, 1],
           [2, 3]], dtype=int32)
    """
    if dimensions is not None:
        operand = transpose(operand, dimensions)
    return shaping.reshape(operand, canonical_shape("reshape", new_sizes))


def expand_dims(array: ArrayLike, dimensions: Sequence[int]) -> Value:
    """`array` with axes of size 1 inserted at `dimensions` of the result.

    >>> lax.expand_dims(np.ones(2), (0,)).shape
    (1, 2)
    """
    dimensions = tuple(dimensions)
    ndim = len(aval_of(array).shape) + len(dimensions)
    axes = canonical_axes("expand_dims", dimensions, ndim)
    if len(set(axes)) != len(axes):
        raise ValueError(f"lax.expand_dims got dimensions {dimensions}, where an axis is repeated.")
    return shaping.expand_dims(array, axes)


def squeeze(array: ArrayLike, dimensions: Sequence[int]) -> Value:
    """`array` without the axes `dimensions`, which must have size 1.

    >>> lax.squeeze(np.ones((1, 2)), (0,)).shape
    (2,)
    """
    aval = aval_of(array)
    axes = canonical_axes("squeeze", dimensions, aval.ndim)
    for axis in axes:
        if aval.shape[axis] != 1:
            raise ValueError(f"lax.squeeze cannot remove axis {axis} of {aval}: its size is not 1.")
    return shaping.reshape(array, [n for d, n in enumerate(aval.shape) if d not in axes])


def collapse(operand: ArrayLike, start_dimension: int, stop_dimension: int | None = None) -> Value:
    """`operand` with the axes from `start_dimension` up to `stop_dimension` made one.

    >>> lax.collapse(np.ones((2, 3, 4)), 0, 2).shape
    (6, 4)
    """
    shape = aval_of(operand).shape
    start, stop, _ = builtins.slice(start_dimension, stop_dimension).indices(len(shape))
    joined = int(np.prod(shape[start:stop], dtype=np.int64))
    return shaping.reshape(operand, (*shape[:start], joined, *shape[stop:]))


def transpose(operand: ArrayLike, permutation: Sequence[int]) -> Value:
    """`operand` with axis k of the result being its axis ``permutation[k]``.

    >>> lax.transpose(np.array([[1, 2], [3, 4]]), (1, 0))
    Array([[1, 3],
           [2, 4]], dtype=int32)
    """
    return shaping.transpose(operand, tuple(int(d) for d in permutation))


def rev(operand: ArrayLike, dimensions: Sequence[int]) -> Value:
    """`operand` with the order of elements reversed along `dimensions`.

    >>> lax.rev(np.array([1, 2, 3]), (0,))
    Array([3, 2, 1], dtype=int32)
    """
    return shaping.rev(operand, canonical_axes("rev", dimensions, len(aval_of(operand).shape)))


def concatenate(operands: Sequence[ArrayLike], dimension: int) -> Value:
    """`operands`, of one dtype, joined along one axis.

    >>> lax.concatenate([np.array([1]), np.array([2, 3])], 0)
    Array([1, 2, 3], dtype=int32)
    """
    if not operands:
        raise ValueError("lax.concatenate needs at least one operand.")
    xs = [as_operand("concatenate", x) for x in operands]
    axis = canonical_axis("concatenate", dimension, len(aval_of(xs[0]).shape))
    return joining.concatenate(xs, axis)


def split(operand: ArrayLike, sizes: Sequence[int], axis: int = 0) -> list[Value]:
    """`operand` cut along `axis` into pieces of `sizes`, which add up to the axis.

    >>> [part.shape for part in lax.split(np.ones((5, 2)), (2, 3))]
    [(2, 2), (3, 2)]
    """
    aval = aval_of(operand)
    axis = canonical_axis("split", axis, aval.ndim)
    if sum(sizes) != aval.shape[axis] or any(size < 0 for size in sizes):
        raise ValueError(
            f"lax.split of {aval} along axis {axis} into sizes {tuple(sizes)}: they must add up to "
            f"{aval.shape[axis]}."
        )
    ends = np.cumsum(sizes).tolist()
    return [
        slicing.slice_along(operand, end - size, end, axis)
        for end, size in zip(ends, sizes, strict=True)
    ]


# ---------------------------------------------------------------- slices and padding


def slice(
    operand: ArrayLike,
    start_indices: Sequence[int],
    limit_indices: Sequence[int],
    strides: Sequence[int] | None = None,
) -> Value:
    """The elements at ``start, start + stride, ...`` below ``limit`` along every axis.

    >>> lax.slice(np.arange(6), (1,), (6,), (2,))
    Array([1, 3, 5], dtype=int32)
    """
    return slicing.slice(
        operand,
        canonical_shape("slice", start_indices),
        canonical_shape("slice", limit_indices),
        None if strides is None else canonical_shape("slice", strides),
    )


def slice_in_dim(
    operand: ArrayLike,
    start_index: int | None,
    limit_index: int | None,
    stride: int = 1,
    axis: int = 0,
) -> Value:
    """``operand[start:limit:stride]`` along `axis`; negative bounds count from the end.

    >>> lax.slice_in_dim(np.arange(6), 1, 4)
    Array([1, 2, 3], dtype=int32)
    """
    shape = aval_of(operand).shape
    axis = canonical_axis("slice_in_dim", axis, len(shape))
    size = shape[axis]
    start = 0 if start_index is None else int(start_index)
    limit = size if limit_index is None else int(limit_index)
    start, limit = (bound + size if bound < 0 else bound for bound in (start, limit))
    return slicing.slice_along(operand, start, limit, axis, int(stride))


def index_in_dim(operand: ArrayLike, index: int, axis: int = 0, keepdims: bool = True) -> Value:
    """The element at a constant `index` along `axis`, which is kept with size 1 if `keepdims`.

    >>> lax.index_in_dim(np.array([[1, 2], [3, 4]]), 1, keepdims=False)
    Array([3, 4], dtype=int32)
    """
    shape = aval_of(operand).shape
    axis = canonical_axis("index_in_dim", axis, len(shape))
    if not -shape[axis] <= index < shape[axis]:
        raise IndexError(
            f"lax.index_in_dim: index {index} is out of bounds for axis {axis} of "
            f"{aval_of(operand)}."
        )
    index %= shape[axis]
    taken = slicing.slice_along(operand, index, index + 1, axis)
    return taken if keepdims else squeeze(taken, (axis,))


def pad(
    operand: ArrayLike, padding_value: ArrayLike, padding_config: Sequence[tuple[int, int, int]]
) -> Value:
    """`operand` with ``(low, high, interior)`` padding along every axis.

    `interior` elements go between each two; negative `low` and `high` remove elements.

    >>> lax.pad(np.array([1, 2, 3]), 0, [(2, 0, 1)])
    Array([0, 0, 1, 0, 2, 0, 3], dtype=int32)
    """
    dtype = aval_of(operand).dtype
    if is_scalar(padding_value):
        padding_value = constant(padding_value, dtype)
    return slicing.pad(operand, padding_value, padding_config)


# ---------------------------------------------------------------- stacks and tiles


def stack(operands: Sequence[ArrayLike], axis: int = 0) -> Value:
    """Arrays of one shape and dtype side by side along a new axis.

    >>> lax.stack([np.zeros(2), np.ones(2)], axis=1)
    Array([[0., 1.],
           [0., 1.]], dtype=float32)
    """
    if not operands:
        raise ValueError("lax.stack needs one array at least.")
    axis = canonical_axis("stack", axis, aval_of(as_operand("stack", operands[0])).ndim + 1)
    return concatenate([expand_dims(as_operand("stack", x), (axis,)) for x in operands], axis)


def unstack(x: ArrayLike, axis: int = 0) -> tuple[Value, ...]:
    """The slices of an array along an axis, which they lack.

    >>> [int(row.sum()) for row in lax.unstack(np.arange(6).reshape(3, 2))]
    [1, 5, 9]
    """
    shape = aval_of(as_operand("unstack", x)).shape
    axis = canonical_axis("unstack", axis, len(shape))
    return tuple(index_in_dim(x, i, axis, keepdims=False) for i in range(shape[axis]))


def tile(operand: ArrayLike, reps: Sequence[int]) -> Value:
    """`operand` again and again along each of its axes, for each of which `reps` has a number.

    >>> lax.tile(np.asarray([[1, 2]]), (2, 2))
    Array([[1, 2, 1, 2],
           [1, 2, 1, 2]], dtype=int32)
    """
    shape = aval_of(as_operand("tile", operand)).shape
    counts = canonical_shape("tile", reps)
    if len(counts) != len(shape):
        raise ValueError(f"lax.tile of an array of shape {shape} needs as many reps, got {reps}.")
    paired = tuple(n for pair in zip(counts, shape, strict=True) for n in pair)
    whole = shaping.broadcast_in_dim(operand, paired, tuple(range(1, 2 * len(shape), 2)))
    return shaping.reshape(whole, tuple(c * n for c, n in zip(counts, shape, strict=True)))


def empty(shape: Sequence[int], dtype: Any) -> Value:
    """An array whose elements are up to Weft: zeros.

    >>> lax.empty((2,), np.float32)
    Array([0., 0.], dtype=float32)
    """
    return full(shape, 0, dtype)


def broadcast_like(arr: ArrayLike, like_arr: ArrayLike) -> Value:
    """`arr` repeated to the shape of `like_arr`, with new axes in front.

    >>> lax.broadcast_like(np.ones(2), np.zeros((3, 2))).shape
    (3, 2)
    """
    shape = aval_of(as_operand("broadcast_like", like_arr)).shape
    own = aval_of(as_operand("broadcast_like", arr)).shape
    first = len(shape) - len(own)
    if first < 0 or any(n not in (1, m) for n, m in zip(own, shape[first:], strict=True)):
        raise ValueError(f"lax.broadcast_like: shape {own} does not broadcast to {shape}.")
    kept = tuple(first + d for d in range(len(own)))
    return shaping.broadcast_in_dim(arr, shape, kept)


def shape_as_value(shape: Sequence[int]) -> Value:
    """A shape as a vector of integers; empty for none.

    >>> lax.shape_as_value((2, 3))
    array([2, 3], dtype=int32)
    """
    sizes = canonical_shape("shape_as_value", shape)
    kind = np.int64 if max(sizes, default=0) > np.iinfo(np.int32).max else np.int32
    return np.asarray(sizes, kind) if sizes else full((0,), 0, kind)


def dtype(x: Any) -> np.dtype:
    """The dtype of an array, a number, or what names a dtype.

    >>> lax.dtype(1.5), lax.dtype(np.ones(2, np.int8)), lax.dtype(int)
    (dtype('float32'), dtype('int8'), dtype('int32'))
    """
    if x is None:
        raise ValueError("lax.dtype of None: did a function return nothing?")
    if isinstance(x, type) and x in (bool, int, float, builtins.complex):
        return aval_of(x(0)).dtype
    if isinstance(x, type | str | np.dtype):
        return dtypes.canonical_dtype(x)
    return aval_of(as_operand("dtype", x)).dtype
