"""An index, checked and taken apart.

It has two parts, for reading and for writing alike:

- the *basic* part, static: integers, slices with any step, ellipsis and new axes, which are a
  strided `Box` of the array;
- the *advanced* part, on what the basic part leaves: integer arrays and traced integers, one per
  indexed axis.

Boolean masks become their nonzero indices. Static indices are checked here, out of range is an
IndexError.
"""

from __future__ import annotations

import operator
from dataclasses import field
from functools import lru_cache
from typing import Any

import numpy as np

from weft import lax
from weft.array import Array
from weft.core import dtypes
from weft.core.avals import ShapedArray, is_array_like
from weft.core.trace import Tracer
from weft.numpy._common import (
    Value,
    broadcast_shape,
    broadcast_to_shape,
    convert,
    dtype_of,
    shape_of,
)
from weft.numpy.masks import Mask, concrete_mask, place_masks
from weft.structs import struct


@struct
class Box:
    """A static strided box of an array, and how its axes are laid out in the result.

    For each axis of the array: `start`, `step` (never 0, negative to go backwards), `length`.
    `dropped` are axes indexed by an integer. `layout` are the axes of the result: an axis of the
    array, or −1 for a new axis.
    """

    shape: tuple[int, ...]
    start: list[int] = field(default_factory=list)
    step: list[int] = field(default_factory=list)
    length: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    layout: list[int] = field(default_factory=list)

    @property
    def box_shape(self) -> tuple[int, ...]:
        """The lengths along every axis of the array."""
        return tuple(self.length)

    @property
    def result_shape(self) -> tuple[int, ...]:
        """The shape of `x[basic]`."""
        return tuple(1 if axis < 0 else self.length[axis] for axis in self.layout)

    def low(self, axis: int) -> int:
        """The smallest index taken along `axis`."""
        start, step, length = self.start[axis], self.step[axis], self.length[axis]
        if length == 0:
            return 0
        return start if step > 0 else start + step * (length - 1)

    @property
    def reversed_axes(self) -> tuple[int, ...]:
        """Axes read backwards."""
        return tuple(
            d for d, (s, n) in enumerate(zip(self.step, self.length, strict=True)) if s < 0 < n
        )

    def is_whole(self) -> bool:
        """Whether the box is the whole array, in order."""
        return self.box_shape == self.shape and not self.reversed_axes


@struct
class Plan:
    """An index taken apart.

    box: the basic part.
    arrays: advanced indices by axis of the basic result, already broadcast to `batch`.
    batch: the shape of the advanced indices together.
    position: where the batch axes go among the axes of the result.
    """

    box: Box
    arrays: dict[int, Value]
    batch: tuple[int, ...]
    position: int


# ---------------------------------------------------------------- taking an index apart


def plan_index(index: Any, aval: ShapedArray, checked: bool = True) -> Plan:
    """Checks an index of an array of type `aval` and takes it apart.

    Unless `checked`, numbers out of bounds are left to the mode of the access.
    """
    entries = _expand(index if isinstance(index, tuple) else (index,), aval)
    if not checked:
        entries = [_left_to_the_mode(entry) for entry in entries]
    box = Box(aval.shape)
    advanced: list[tuple[int, Any, int]] = []  # axis of the basic result, index, place in the index
    positions: list[int] = []  # places in the index of arrays and integers
    has_arrays = any(_is_advanced(entry) for entry in entries)
    before_first: int | None = None
    axis = 0
    for place, entry in enumerate(entries):
        if entry is None:
            box.layout.append(-1)
            continue
        size = aval.shape[axis]
        if isinstance(entry, slice):
            _add_slice(box, axis, *_slice_bounds(entry, axis, size))
            box.layout.append(axis)
        elif _is_advanced(entry):
            _add_slice(box, axis, 0, 1, size)
            at = _checked_array(entry, axis, size) if checked else _any_array(entry, size)
            advanced.append((len(box.layout), at, place))
            box.layout.append(axis)
        else:
            _add_slice(box, axis, _checked_integer(entry, axis, size), 1, 1)
            box.dropped.append(axis)
        if has_arrays and not isinstance(entry, slice):
            positions.append(place)
            if before_first is None:
                # Every advanced axis comes after this place, so these result axes are all windows.
                before_first = len(box.layout) - (1 if _is_advanced(entry) else 0)
        axis += 1
    if not advanced:
        return Plan(box, {}, (), 0)
    adjacent = positions == list(range(positions[0], positions[0] + len(positions)))
    shape = broadcast_shape("indexing", *(shape_of(array) for _, array, _ in advanced))
    arrays = {d: broadcast_to_shape(array, shape) for d, array, _ in advanced}
    return Plan(box, arrays, shape, (before_first or 0) if adjacent else 0)


def _left_to_the_mode(entry: Any) -> Any:
    """An entry of an index, whose mode says what to do where a number is out of bounds."""
    return np.asarray(entry) if type(entry) is int else entry


def _is_advanced(entry: Any) -> bool:
    return isinstance(entry, Array | Tracer | np.ndarray)


def _expand(index: tuple[Any, ...], aval: ShapedArray) -> list[Any]:
    """The index with one entry per axis: ellipsis filled in, masks turned into index arrays."""
    entries: list[Any] = []
    for entry in index:
        entries.extend(_normalise(entry, aval))
    used = sum(_axes_used(entry) for entry in entries)
    if used > aval.ndim:
        raise IndexError(
            f"too many indices for an array of shape {aval.shape}: {used} given, it has "
            f"{aval.ndim} "
            f"{'axis' if aval.ndim == 1 else 'axes'}"
        )
    places = [k for k, entry in enumerate(entries) if entry is Ellipsis]
    if len(places) > 1:
        raise IndexError("an index can only have one ellipsis ('...')")
    fill = [slice(None)] * (aval.ndim - used)
    at = places[0] if places else len(entries)
    expanded = [*entries[:at], *fill, *entries[at + 1 :]]
    return place_masks(expanded, aval)


def _axes_used(entry: Any) -> int:
    if entry is None or entry is Ellipsis:
        return 0
    return entry.mask.ndim if isinstance(entry, Mask) else 1


def _normalise(entry: Any, aval: ShapedArray) -> list[Any]:
    """One entry as None, Ellipsis, a slice, a Python integer, an integer array or a mask."""
    if entry is None or entry is Ellipsis or isinstance(entry, slice):
        return [entry]
    if isinstance(entry, bool | np.bool_):
        return [Mask(np.asarray(entry))]
    if isinstance(entry, int | np.integer):
        return [int(entry)]
    if isinstance(entry, list):
        return _normalise(_list_index(entry), aval)
    if isinstance(entry, float | complex | np.inexact):
        raise TypeError(
            f"an array of shape {aval.shape} cannot be indexed with {entry} "
            f"({type(entry).__name__}); indices are integers: int(...) makes one, // divides "
            "integers"
        )
    if isinstance(entry, str) or not is_array_like(entry):
        try:
            return [operator.index(entry)]
        except TypeError:
            raise TypeError(
                f"an array of shape {aval.shape} cannot be indexed with {entry!r} "
                f"({type(entry).__name__}); indices are integers, slices, ..., None and arrays of "
                "integers or booleans"
            ) from None
    dtype = dtype_of(entry)
    if dtype == np.bool_:
        return [Mask(concrete_mask(entry))]
    if not dtypes.is_integer(dtype):
        raise TypeError(
            f"an array of shape {aval.shape} cannot be indexed with an array of dtype {dtype}; "
            "convert it with .astype(int)"
        )
    if isinstance(entry, np.ndarray) and entry.ndim == 0:
        return [int(entry)]
    return [entry]


def _list_index(entry: list[Any]) -> Any:
    from weft.numpy.creation import asarray

    if any(isinstance(item, Array | Tracer) for item in entry):
        return asarray(entry)
    array = np.asarray(entry)
    return array.astype(np.int32) if array.size == 0 else array


def _add_slice(box: Box, axis: int, start: int, step: int, length: int) -> None:
    box.start.append(start)
    box.step.append(step)
    box.length.append(length)


def _slice_bounds(entry: slice, axis: int, size: int) -> tuple[int, int, int]:
    """(start, step, length) of a slice of an axis."""
    for bound in (entry.start, entry.stop, entry.step):
        if isinstance(bound, Tracer) and bound.concrete() is None:
            raise bound._concretization_error(
                f"use as a slice bound on axis {axis}",
                "A slice must have a static length: use weft.lax.dynamic_slice(x, starts, sizes).",
            )
    if entry.step is not None and operator.index(entry.step) == 0:
        raise ValueError(f"slice step cannot be 0 (axis {axis})")
    try:
        start, stop, step = entry.indices(size)
    except TypeError:
        raise TypeError(f"slice bounds are integers or None, got {entry} for axis {axis}") from None
    return start, step, len(range(start, stop, step))


def _checked_integer(entry: int, axis: int, size: int) -> int:
    if not -size <= entry < size:
        raise IndexError(f"index {entry} is out of bounds for axis {axis} with size {size}")
    return entry % size


def _checked_array(entry: Any, axis: int, size: int) -> Value:
    """An index array with negative indices counted from the end; static ones are checked."""
    if isinstance(entry, np.ndarray):
        if entry.size:
            least, most = int(entry.min()), int(entry.max())
            if least < -size or most >= size:
                wrong = least if least < -size else most
                raise IndexError(f"index {wrong} is out of bounds for axis {axis} with size {size}")
        wrapped = np.where(entry < 0, entry + size, entry) if entry.size else entry
        return wrapped.astype(index_dtype(size))
    return wrap_negative(entry, size)


def _any_array(entry: Any, size: int) -> Value:
    """As `_checked_array`, with static indices out of bounds just outside of them."""
    if isinstance(entry, np.ndarray):
        wide = np.clip(entry, -size - 1, size).astype(index_dtype(size + 1))
        return np.where(wide < 0, wide + size, wide)
    return wrap_negative(entry, size)


def index_dtype(size: int) -> np.dtype:
    """The dtype of positions along an axis of that size."""
    return dtypes.int32 if size < 2**31 else dtypes.int64


def wrap_negative(index: Value, size: int) -> Value:
    """Dynamic indices with negative ones counted from the end of an axis of that size."""
    target = index_dtype(size)
    if dtypes.is_unsigned(dtype_of(index)):
        return convert("indexing", index, target)
    if dtype_of(index).itemsize < target.itemsize:
        index = convert("indexing", index, target)
    zero = lax.broadcast_in_dim(np.zeros((), dtype_of(index)), shape_of(index), ())
    length = lax.broadcast_in_dim(np.asarray(size, dtype_of(index)), shape_of(index), ())
    wrapped = lax.select_n(lax.lt(index, zero), index, lax.add(index, length))
    return convert("indexing", wrapped, target)


# ---------------------------------------------------------------- static indices as keys


@lru_cache(4096)
def basic_box(aval: ShapedArray, entries: tuple[Any, ...]) -> Box:
    """The box of an index of which `basic_entries` are known."""
    index = tuple(slice(*e) if type(e) is tuple else e for e in entries)
    return plan_index(index, aval).box


def basic_entries(index: Any) -> tuple[Any, ...] | None:
    """A static index of Python's own integers and slices as a key; None for any other."""
    entries = index if type(index) is tuple else (index,)
    key: list[Any] = []
    for e in entries:
        kind = type(e)
        if kind is slice:
            parts = (e.start, e.stop, e.step)
            if not _PLAIN.issuperset(map(type, parts)):
                return None
            key.append(parts)
        elif kind is int or e is None or e is Ellipsis:
            key.append(e)
        else:
            return None
    return tuple(key)


_PLAIN = frozenset([int, type(None)])
