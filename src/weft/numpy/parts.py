"""Parts of arrays at static indices, outside transformations: `x[1, 2]` in a loop.

A static index is a piece of a program's structure, so that a loop over the elements of an array
would compile a program for each of them. So small parts of arrays that have a value are copied,
which takes less than recording it; and where one place in the user's code reads a pending array,
or a large part, at varying indices, the array is computed first, or the indices are data. An index
that stays the same is static, so that expressions of parts fuse as they are written.
"""

from __future__ import annotations

import ctypes
from collections.abc import Hashable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from weft.array import Array
from weft.array.immediate import is_outside, is_small
from weft.core.avals import ShapedArray
from weft.core.dtypes import is_key
from weft.core.source import user_frame
from weft.numpy._common import Value
from weft.numpy.index_plans import basic_box, basic_entries, index_dtype
from weft.numpy.indexing import basic_reading
from weft.primitives.dynamic_slice import dynamic_slice, dynamic_update_slice_p
from weft.primitives.indexing import (
    scatter_add_p,
    scatter_max_p,
    scatter_min_p,
    scatter_mul_p,
    scatter_p,
)
from weft.primitives.shaping import reshape
from weft.runtime.buffer import Buffer
from weft.structs import struct

#: Bytes of a part up to which copying it takes about as long as recording an operation.
SMALL_PART = 1 << 13


@struct(frozen=True)
class Part:
    """Where `x[index]` lies in memory.

    ``start`` is its first byte if the part is contiguous, otherwise None and NumPy copies it.
    """

    aval: ShapedArray
    start: int | None


def _part_of(
    aval: ShapedArray,
    starts: tuple[int, ...],
    lengths: tuple[int, ...] | None,
    shape: tuple[int, ...],
) -> Part | None:
    """The part of an array of type ``aval`` in a box, laid out as ``shape``; None if it is large.

    ``lengths`` are those of the box, None if it has strides or is read backwards.
    """
    itemsize = aval.dtype.itemsize
    if prod(shape) * itemsize > SMALL_PART:
        return None
    start: int | None = None
    if lengths is not None:
        inner = next((d for d, n in enumerate(lengths) if n != 1), len(lengths))
        if lengths[inner + 1 :] == aval.shape[inner + 1 :]:
            start = 0
            for first, extent in zip(starts, aval.shape, strict=True):
                start = start * extent + first
            start *= itemsize
    return Part(ShapedArray(shape, aval.dtype, aval.weak_type), start)


#: The last index by the place in the user's code that read with it what was not copied at once.
_last_read: dict[Hashable, Hashable] = {}
_PLACES = 4096


def _varies(entries: Hashable) -> bool:
    """Whether the place in the user's code that reads at an index now read at another before."""
    frame = user_frame()
    if frame is None:
        return False
    place = frame.f_code, frame.f_lasti
    if len(_last_read) >= _PLACES:
        _last_read.clear()
    before = _last_read.get(place, entries)
    _last_read[place] = entries
    return before != entries


#: Primitives that make an array of another one by writing to parts of it.
_WRITES = frozenset(
    [dynamic_update_slice_p, scatter_p, scatter_add_p, scatter_mul_p, scatter_min_p, scatter_max_p]
)


def _settled(x: Array) -> bool:
    """Whether ``x`` has a value, after it was computed if it is small and was written in place.

    A loop that writes to an array and reads it would compute it in each pass anyway. Work that
    fails stays pending, and raises where its value is asked for.
    """
    pending = x._pending
    if pending is None:
        return x._buffer is not None
    operation = pending[0]
    if operation.results is None:
        if operation.primitive not in _WRITES or not is_small(x.aval):
            return False
        operation.segment.flush()
        if operation.results is None:
            return False
    x.materialise()
    return True


def _copied(x: Array, part: Part, index: Any) -> Array | None:
    """The elements of ``x`` at ``index``, which is ``part`` of it."""
    buffer = x.materialise()
    if part.start is None:
        if is_key(part.aval.dtype):
            return None
        return Array(part.aval, Buffer.from_numpy(x.numpy_view()[index]))
    result = Buffer.alloc(part.aval.nbytes)
    ctypes.memmove(result.ptr, buffer.ptr + part.start, part.aval.nbytes)
    return Array(part.aval, result)


@lru_cache(4096)
def _basic_part(aval: ShapedArray, entries: tuple[Any, ...]) -> Part | None:
    """Where the elements of a small result lie; None if it is not small."""
    starts, _, strides, reversed_axes, shape = basic_reading(aval, entries)
    together = strides is None and not reversed_axes
    return _part_of(aval, starts, basic_box(aval, entries).box_shape if together else None, shape)


def read_at_once(x: Value, index: Any) -> Array | None:
    """`x[index]` for a static index, outside transformations, without a program of its own.

    That is a copy of a small part of a value; of a large part, or of a pending array, a slice that
    has the index as data, where the same line reads at varying indices. None for anything else.
    """
    entries = basic_entries(index)
    if entries is None or type(x) is not Array or not is_outside():
        return None
    part = _basic_part(x.aval, entries)
    if part is not None and x._buffer is not None:
        return _copied(x, part, index)
    if not _varies(entries):
        return None
    if part is not None and _settled(x):
        return _copied(x, part, index)
    return _read_from_data(x, entries)


def _read_from_data(x: Array, entries: tuple[Any, ...]) -> Array | None:
    """`x[index]` for an index with integers and slices of step 1, so that all share a program."""
    starts, _, strides, reversed_axes, shape = basic_reading(x.aval, entries)
    box = basic_box(x.aval, entries)
    if strides is not None or reversed_axes or not box.dropped or 0 in box.length:
        return None
    dtype = index_dtype(max(x.aval.shape))
    first = [np.asarray(start, dtype) for start in starts]
    return reshape(dynamic_slice(x, first, box.box_shape), shape)
