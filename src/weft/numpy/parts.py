"""Small parts of arrays that have a value, copied at once: `x[1, 2]` outside transformations.

A static index is a piece of a program's structure, so that a loop over the elements of an array
would compile a program for each of them; copying a few bytes takes less than recording it.
"""

from __future__ import annotations

import ctypes
from math import prod
from typing import Any

from weft.array import Array
from weft.config import detour
from weft.core.avals import ShapedArray
from weft.core.dtypes import is_key
from weft.core.trace import current_trace, eval_trace
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


def part_of(
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


def at_hand(x: Any) -> bool:
    """Whether ``x`` is an array with a value, and nothing is being traced or placed elsewhere."""
    return (
        type(x) is Array
        and x._buffer is not None
        and current_trace() is eval_trace
        and detour() is None
    )


def copied(x: Array, part: Part, index: Any) -> Array | None:
    """The elements of ``x`` at ``index``, which is ``part`` of it."""
    buffer = x.materialise()
    if part.start is None:
        if is_key(part.aval.dtype):
            return None
        return Array(part.aval, Buffer.from_numpy(x.numpy_view()[index]))
    result = Buffer.alloc(part.aval.nbytes)
    ctypes.memmove(result.ptr, buffer.ptr + part.start, part.aval.nbytes)
    return Array(part.aval, result)
