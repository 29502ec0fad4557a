"""Windows of an array at computed positions: what gather and scatter have in common.

``indices`` has shape ``(*batch, k)``: for each batch index it holds the k coordinates at which a
window of the operand starts. Dimension numbers say which axes belong together.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.primitives.rules import check_axes


class GatherDimensionNumbers(NamedTuple):
    """How the axes of a gather's operand, indices and result correspond.

    offset_dims: axes of the result that run inside a window.
    collapsed_slice_dims: axes of the operand whose window size is 1 and that the result lacks.
    start_index_map: the axis of the operand that each coordinate in `indices` is for.
    operand_batching_dims, start_indices_batching_dims: axes of the operand and of the indices that
        go together one by one.
    """

    offset_dims: tuple[int, ...]
    collapsed_slice_dims: tuple[int, ...]
    start_index_map: tuple[int, ...]
    operand_batching_dims: tuple[int, ...] = ()
    start_indices_batching_dims: tuple[int, ...] = ()


class ScatterDimensionNumbers(NamedTuple):
    """How the axes of a scatter's operand, indices and updates correspond.

    The fields are those of :class:`GatherDimensionNumbers`, in order, for the gather that would
    read what this scatter writes.
    """

    update_window_dims: tuple[int, ...]
    inserted_window_dims: tuple[int, ...]
    scatter_dims_to_operand_dims: tuple[int, ...]
    operand_batching_dims: tuple[int, ...] = ()
    scatter_indices_batching_dims: tuple[int, ...] = ()


class GatherScatterMode(enum.Enum):
    """What to do with windows that are partly or wholly outside of the operand."""

    CLIP = 0
    FILL_OR_DROP = 1
    PROMISE_IN_BOUNDS = 2

    @staticmethod
    def from_any(mode: str | GatherScatterMode | None) -> GatherScatterMode:
        """A mode from its name: "clip", "fill", "drop" or "promise_in_bounds"."""
        if isinstance(mode, GatherScatterMode):
            return mode
        if mode in _MODES:
            return _MODES[mode]
        names = ", ".join(repr(name) for name in _MODES if name)
        raise ValueError(f"mode={mode!r} is not a way to treat indices out of bounds: use {names}.")


_MODES = {
    None: GatherScatterMode.FILL_OR_DROP,
    "fill": GatherScatterMode.FILL_OR_DROP,
    "drop": GatherScatterMode.FILL_OR_DROP,
    "clip": GatherScatterMode.CLIP,
    "promise_in_bounds": GatherScatterMode.PROMISE_IN_BOUNDS,
}


def default_fill_value(dtype: np.dtype) -> Any:
    """What a gather gives out of bounds: NaN, the extreme of an integer dtype, or True."""
    if dtypes.is_inexact(dtype):
        return np.nan
    if dtypes.is_bool(dtype):
        return True
    return np.iinfo(dtype).min if dtypes.is_signed(dtype) else np.iinfo(dtype).max


def window_axes(ndim: int, numbers: GatherDimensionNumbers) -> list[int]:
    """Axes of the operand that a window spans, in the order of `offset_dims`."""
    absent = {*numbers.collapsed_slice_dims, *numbers.operand_batching_dims}
    return [d for d in range(ndim) if d not in absent]


def check_numbers(
    name: str, x: ShapedArray, indices: ShapedArray, numbers: GatherDimensionNumbers
) -> None:
    _, collapsed, start_map, batching, index_batching = numbers
    if not dtypes.is_integer(indices.dtype):
        raise TypeError(f"{name} needs integer indices, got {indices}.")
    if indices.ndim == 0:
        raise ValueError(f"{name} needs indices with a last axis of coordinates, got {indices}.")
    check_axes(name, x, (*collapsed, *batching), "collapsed and batching dimensions")
    check_axes(name, x, (*start_map, *batching), "indexed and batching dimensions")
    check_axes(name, indices, index_batching, "batching dimensions of the indices")
    if indices.shape[-1] != len(start_map):
        raise ValueError(
            f"{name} indexes the axes {start_map} of {x}, so the last axis of its indices must "
            f"have size {len(start_map)}, got {indices}."
        )
    if indices.ndim - 1 in index_batching:
        raise ValueError(f"{name}: the last axis of the indices {indices} cannot be a batch axis.")
    sizes = [x.shape[d] for d in batching], [indices.shape[d] for d in index_batching]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"{name}: batching axes {batching} of {x} and {index_batching} of {indices} do not "
            "match in number and size."
        )


def check_offset_dims(
    name: str, offset_dims: Sequence[int], result_ndim: int, windows: int
) -> None:
    if len(offset_dims) != windows or list(offset_dims) != sorted(set(offset_dims)):
        raise ValueError(
            f"{name} needs {windows} increasing window dimensions of its result, "
            f"got {tuple(offset_dims)}."
        )
    if any(not 0 <= d < result_ndim for d in offset_dims):
        raise ValueError(
            f"{name}: window dimensions {tuple(offset_dims)} are not all axes of a result with "
            f"{result_ndim} axes."
        )


def batch_dims(ndim: int, offset_dims: Sequence[int]) -> list[int]:
    """Axes of a gather's result (or a scatter's updates) that are not inside a window."""
    return [d for d in range(ndim) if d not in offset_dims]


def positions(
    shape: tuple[int, ...],
    indices: np.ndarray,
    numbers: GatherDimensionNumbers,
    slice_sizes: Sequence[int],
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """NumPy index arrays of all windows, clipped, and which windows needed no clipping.

    The index arrays broadcast to (*batch, *window axes of the operand); the mask to ``batch``.
    """
    batch = indices.shape[:-1]
    window = window_axes(len(shape), numbers)
    inside = np.ones(batch, np.bool_)
    starts = [np.zeros(batch, np.int64) for _ in shape]
    for k, d in enumerate(numbers.start_index_map):
        start = indices[..., k]
        if start.dtype == np.uint64:  # what is beyond the signed range stays large
            start = np.minimum(start, np.uint64(np.iinfo(np.int64).max))
        start = start.astype(np.int64)
        last = max(shape[d] - slice_sizes[d], 0)
        inside &= (start >= 0) & (start <= last)
        starts[d] = np.clip(start, 0, last)
    for d, b in zip(
        numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True
    ):
        along = [-1 if axis == b else 1 for axis in range(len(batch))]
        starts[d] = np.broadcast_to(np.arange(shape[d]).reshape(along), batch)
    arrays = []
    for d in range(len(shape)):
        offsets = np.zeros([1] * len(window), np.int64)
        if d in window:
            along = [-1 if w == d else 1 for w in window]
            offsets = np.arange(slice_sizes[d]).reshape(along)
        arrays.append(starts[d].reshape(batch + (1,) * len(window)) + offsets)
    return tuple(arrays), inside


def window_sizes(
    x_shape: tuple[int, ...], updates_shape: tuple[int, ...], numbers: GatherDimensionNumbers
) -> tuple[int, ...]:
    """The ``slice_sizes`` of the gather that reads what a scatter writes."""
    window = iter(updates_shape[d] for d in numbers.offset_dims)
    spanned = window_axes(len(x_shape), numbers)
    return tuple(next(window) if d in spanned else min(n, 1) for d, n in enumerate(x_shape))


def up(axes: Sequence[int]) -> tuple[int, ...]:
    """Axis numbers after a new first axis."""
    return tuple(d + 1 for d in axes)


def shift_operand(numbers: GatherDimensionNumbers) -> GatherDimensionNumbers:
    """Dimension numbers after the operand got a new first axis."""
    return numbers._replace(
        collapsed_slice_dims=up(numbers.collapsed_slice_dims),
        start_index_map=up(numbers.start_index_map),
        operand_batching_dims=up(numbers.operand_batching_dims),
    )


def pair_batch(numbers: GatherDimensionNumbers) -> GatherDimensionNumbers:
    """Dimension numbers after operand, indices and result got a first axis they share."""
    shifted = shift_operand(numbers)
    return shifted._replace(
        offset_dims=up(numbers.offset_dims),
        operand_batching_dims=(0, *shifted.operand_batching_dims),
        start_indices_batching_dims=(0, *up(numbers.start_indices_batching_dims)),
    )
