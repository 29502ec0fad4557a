"""`pad`: borders around arrays."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft import lax
from weft.array.calls import at_once
from weft.core import dtypes
from weft.numpy._common import (
    ArrayLike,
    Value,
    as_result,
    broadcast_to_shape,
    check_arraylike,
    convert,
    dtype_of,
    shape_of,
)
from weft.numpy.functional import apply_along_axis
from weft.numpy.joining import concatenate
from weft.numpy.quantiles import median
from weft.numpy.ranges import arange, linspace
from weft.numpy.reductions import max as maximum_of
from weft.numpy.reductions import mean
from weft.numpy.reductions import min as minimum_of
from weft.numpy.shaping import flip, moveaxis
from weft.numpy.ufuncs import round

_STATISTICS: dict[str, Callable[..., Value]] = {
    "maximum": maximum_of,
    "mean": mean,
    "median": median,
    "minimum": minimum_of,
}
_REPEATING = ("edge", "wrap", "reflect", "symmetric")
_OPTIONS = {
    "constant": {"constant_values"},
    "linear_ramp": {"end_values"},
    **{mode: {"stat_length"} for mode in _STATISTICS},
    "reflect": {"reflect_type"},
    "symmetric": {"reflect_type"},
}
_MODES = ("constant", *_REPEATING, "linear_ramp", *_STATISTICS, "empty")


@at_once
def pad(array: ArrayLike, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Value:
    """The array with a border.

    `pad_width` is a number, `(before, after)`, or one such pair for each axis. Modes: `constant`
    (with `constant_values`), `edge`, `wrap`, `reflect` and `symmetric` (with
    `reflect_type="odd"`: mirrored at the edge's value), `linear_ramp` (to `end_values`),
    `maximum`, `mean`, `median` and `minimum` (of `stat_length` elements at each end), `empty`.
    A function as mode gets each vector, padded with zeros, its `(before, after)`, the axis and
    the other arguments as a dict, and returns the vector to put there.

    >>> np.pad(np.array([1, 2, 3]), 1, mode="edge")
    Array([1, 1, 2, 3, 3], dtype=int32)
    >>> np.pad(np.array([4.0, 4.0]), (2, 1), mode="linear_ramp", end_values=2)
    Array([2., 3., 4., 4., 2.], dtype=float32)
    """
    check_arraylike("pad", array)
    from weft.numpy.creation import asarray

    x = asarray(array)
    widths = _pairs("pad_width", pad_width, len(shape_of(x)))
    widths = [(operator.index(low), operator.index(high)) for low, high in widths]
    if any(low < 0 or high < 0 for low, high in widths):
        raise ValueError(f"weft.numpy.pad: pad_width cannot be negative, got {pad_width!r}")
    if callable(mode):
        return _pad_by(mode, x, widths, kwargs)
    if mode not in _MODES:
        raise ValueError(f"weft.numpy.pad: mode {mode!r} is not one of {', '.join(_MODES)}")
    unknown = set(kwargs) - _OPTIONS.get(mode, set())
    if unknown:
        raise TypeError(f"weft.numpy.pad: mode {mode!r} takes no {', '.join(sorted(unknown))}")
    if mode in ("constant", "empty"):
        return _pad_constant(x, widths, kwargs.get("constant_values", 0))
    ndim = len(shape_of(x))
    if mode == "linear_ramp":
        ends = _pairs("end_values", kwargs.get("end_values", 0), ndim)
    elif mode in _STATISTICS:
        lengths = _pairs("stat_length", kwargs.get("stat_length"), ndim)
    kind = kwargs.get("reflect_type", "even")
    if kind not in ("even", "odd"):
        raise ValueError(f"weft.numpy.pad: reflect_type is 'even' or 'odd', got {kind!r}")
    for axis, width in enumerate(widths):
        if width == (0, 0):
            continue
        if shape_of(x)[axis] == 0:
            raise ValueError(f"weft.numpy.pad: axis {axis} is empty: mode {mode!r} has no values")
        if mode == "linear_ramp":
            x = _pad_ramp(x, axis, width, ends[axis])
        elif mode in _STATISTICS:
            x = _pad_statistic(x, axis, width, mode, lengths[axis])
        elif kind == "odd":
            x = _pad_odd(x, axis, width, mode)
        else:
            x = _pad_repeating(x, axis, width, mode)
    return x


def _pad_repeating(x: Value, axis: int, width: tuple[int, int], mode: str) -> Value:
    """Modes whose border has elements of the array, along one axis."""
    size, low = shape_of(x)[axis], width[0]
    # NumPy knows which element each place repeats.
    source = np.pad(np.arange(size, dtype=np.int32), width, mode=mode)  # type: ignore[call-overload]
    before, after = _pieces(x, source[:low], axis), _pieces(x, source[low + size :], axis)
    return concatenate([*before, x, *after], axis)


def _pad_ramp(x: Value, axis: int, width: tuple[int, int], ends: tuple[Any, Any]) -> Value:
    """Even steps from the array's edges to the end values, along one axis."""
    size, dtype = shape_of(x)[axis], dtype_of(x)
    pieces = [x]
    for after, (count, end) in enumerate(zip(width, ends, strict=True)):
        edge = lax.index_in_dim(x, size - 1 if after else 0, axis, keepdims=False)
        ramp = moveaxis(_ramp(end, edge, count, dtype), 0, axis)
        pieces = [*pieces, flip(ramp, axis)] if after else [ramp, *pieces]
    return concatenate(pieces, axis)


def _ramp(end: Any, edge: Value, count: int, dtype: np.dtype) -> Value:
    """`count` even steps from `end` on the way to `edge`; of integers, the floors."""
    if not dtypes.is_integer(dtype):
        return linspace(end, edge, count, endpoint=False, dtype=dtype)
    work = dtypes.int64 if dtype.itemsize >= 4 else dtypes.int32
    start, steps = convert("pad", end, work), arange(count, dtype=work)
    far = (convert("pad", edge, work) - start)[None]
    scaled = far * steps.reshape(count, *[1] * (far.ndim - 1))
    return convert("pad", start + scaled // (count or 1), dtype)


def _pad_statistic(
    x: Value, axis: int, width: tuple[int, int], mode: str, lengths: tuple[Any, Any]
) -> Value:
    """A statistic of the elements at each end, along one axis."""
    size, dtype = shape_of(x)[axis], dtype_of(x)
    pieces = [x]
    for after, (count, length) in enumerate(zip(width, lengths, strict=True)):
        taken = size if length is None or operator.index(length) > size else operator.index(length)
        if taken < 1:
            raise ValueError(f"weft.numpy.pad: stat_length has to be positive, got {length!r}")
        start = size - taken if after else 0
        part = lax.slice_in_dim(x, start, start + taken, axis=axis)
        value = _STATISTICS[mode](part, axis=axis, keepdims=True)
        if dtypes.is_integer(dtype) and dtype_of(value) != dtype:
            value = round(value)
        shape = list(shape_of(x))
        shape[axis] = count
        border = broadcast_to_shape(convert("pad", value, dtype), tuple(shape))
        pieces = [*pieces, border] if after else [border, *pieces]
    return concatenate(pieces, axis)


def _pad_odd(x: Value, axis: int, width: tuple[int, int], mode: str) -> Value:
    """Twice the edge less what the mirror shows, along one axis."""
    size = shape_of(x)[axis]
    if size == 1 and mode == "reflect":  # there is nothing beside the edge
        return _pad_repeating(x, axis, width, "edge")
    skipped = 1 if mode == "reflect" else 0
    for after, count in enumerate(width):
        at = shape_of(x)[axis] - 1 if after else 0
        edge = lax.slice_in_dim(x, at, at + 1, axis=axis)
        while count > 0:
            taken, length = min(count, size - skipped), shape_of(x)[axis]
            start = length - skipped - taken if after else skipped
            mirrored = flip(lax.slice_in_dim(x, start, start + taken, axis=axis), axis)
            border = edge + edge - mirrored
            at = taken - 1 if after else 0
            edge = lax.slice_in_dim(border, at, at + 1, axis=axis)
            x = concatenate([x, border] if after else [border, x], axis)
            count -= taken
    return x


def _pad_by(
    function: Callable[..., Any], x: Value, widths: list[tuple[int, int]], options: dict[str, Any]
) -> Value:
    """What a function makes of each vector of the array padded with zeros, axis by axis."""
    x = _pad_constant(x, widths, 0)
    for axis, width in enumerate(widths):

        def padded(vector: Value, width: Any = width, axis: int = axis) -> Any:
            result = function(vector, width, axis, options)
            if result is None:
                raise TypeError(
                    "weft.numpy.pad: the function has to return the vector with its border; "
                    "it returned None"
                )
            return result

        x = apply_along_axis(padded, axis, x)
    return x


def _pieces(x: Value, source: np.ndarray, axis: int) -> list[Value]:
    """``take(x, source, axis)`` in pieces that are views: slices, reversed ones, repeated ones."""
    pieces: list[Value] = []
    start = 0
    while start < len(source):
        steps = np.diff(source[start:])
        step = int(steps[0]) if steps.size and abs(steps[0]) <= 1 else 1
        same = steps == step
        count = 1 + (int(np.argmin(same)) if not same.all() else steps.size)
        first, last = int(source[start]), int(source[start + count - 1])
        piece = lax.slice_in_dim(x, min(first, last), max(first, last) + 1, axis=axis)
        if step == 0:
            shape = list(shape_of(piece))
            shape[axis] = count
            piece = lax.broadcast_in_dim(piece, tuple(shape), tuple(range(len(shape))))
        pieces.append(lax.rev(piece, (axis,)) if step < 0 else piece)
        start += count
    return pieces


def _pairs(what: str, value: Any, ndim: int) -> list[tuple[Any, Any]]:
    """A number, a pair, or a sequence of pairs (or 1-tuples) as one pair for each axis."""
    if isinstance(value, dict):
        return [_pair(value.get(d, value.get(d - ndim, 0))) for d in range(ndim)]
    if not isinstance(value, list | tuple | np.ndarray):
        return [(value, value)] * ndim
    items = list(value)
    if items and not isinstance(items[0], list | tuple | np.ndarray):
        if len(items) == 1:
            return [(items[0], items[0])] * ndim
        items = [tuple(items)] if len(items) == 2 else items
    pairs: list[Any] = [tuple(item) * (2 // len(item)) for item in items]
    if len(pairs) == 1:
        pairs = pairs * ndim
    if len(pairs) != ndim or any(len(pair) != 2 for pair in pairs):
        raise ValueError(
            f"weft.numpy.pad: {what}={value!r} does not give a pair for each of {ndim} axes"
        )
    return pairs


def _pair(value: Any) -> tuple[Any, Any]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _pad_constant(x: Value, widths: Sequence[tuple[int, int]], constant_values: Any) -> Value:
    dtype = dtype_of(x)
    if not isinstance(constant_values, list | tuple):
        value = convert("pad", constant_values, dtype)
        padded = lax.pad(x, value, [(low, high, 0) for low, high in widths])
        return as_result(x) if padded is x else padded
    ndim = len(shape_of(x))
    for axis, (before, after) in enumerate(_pairs("constant_values", constant_values, ndim)):
        low, high = widths[axis]
        for amounts, value in (((low, 0, 0), before), ((0, high, 0), after)):
            config = [(0, 0, 0)] * ndim
            config[axis] = amounts
            x = lax.pad(x, convert("pad", value, dtype), config)
    return x
