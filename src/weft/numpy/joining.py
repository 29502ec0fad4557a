"""Functions that join, split and repeat arrays."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from weft import lax
from weft.array import Array, from_numpy, immediate
from weft.array.calls import at_once
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.core.trace import Tracer
from weft.numpy._common import (
    ArrayLike,
    DType,
    Value,
    as_result,
    broadcast_to_shape,
    canonical_axis,
    check_arraylike,
    convert,
    dtype_of,
    no_out,
    promote,
    shape_of,
)
from weft.numpy.shaping import atleast_1d, atleast_2d, atleast_3d, expand_dims, ravel, reshape


def _sequence(name: str, arrays: Any) -> list[Any]:
    """The arrays to join; an array stands for its rows."""
    if isinstance(arrays, Array | Tracer | np.ndarray):
        if not shape_of(arrays):
            raise TypeError(
                f"weft.numpy.{name}: give a sequence of arrays, got an array without axes"
            )
        return list(arrays)
    try:
        items = list(arrays)
    except TypeError:
        raise TypeError(
            f"weft.numpy.{name}: give a sequence of arrays, got {type(arrays).__name__}"
        ) from None
    if not items:
        raise ValueError(f"weft.numpy.{name}: there must be at least one array")
    from weft.numpy.creation import asarray

    return [asarray(item) if isinstance(item, list | tuple) else item for item in items]


@at_once
def concatenate(arrays: Any, axis: int | None = 0, dtype: DType = None) -> Value:
    """Arrays joined along an axis they have; flattened first with `axis=None`.

    >>> np.concatenate([np.array([1, 2]), np.array([3])])
    Array([1, 2, 3], dtype=int32)
    """
    values = _promoted("concatenate", _sequence("concatenate", arrays), dtype)
    if axis is None:
        values, axis = [ravel(x) for x in values], 0
    first = shape_of(values[0])
    if not first:
        raise ValueError(
            "weft.numpy.concatenate: arrays without axes cannot be joined; use weft.numpy.stack"
        )
    number = canonical_axis("concatenate", axis, len(first))
    for position, x in enumerate(values):
        shape = shape_of(x)
        if len(shape) != len(first) or any(
            n != m for d, (n, m) in enumerate(zip(shape, first, strict=True)) if d != number
        ):
            raise ValueError(
                f"weft.numpy.concatenate: array {position} has shape {shape}, which does not match "
                f"{first} except along axis {number}"
            )
    joined = _joined_at_once(values, np.concatenate, number)
    if joined is not None:
        return joined
    result = lax.concatenate(values, number)
    return as_result(result) if result is values[0] else result


concat = concatenate


def _promoted(name: str, items: list[Any], dtype: DType) -> list[Value]:
    values = promote(name, *items)
    if dtype is not None:
        target = dtypes.canonical_dtype(dtype)
        values = [convert(name, x, target) for x in values]
    return values


@at_once
def stack(arrays: Any, axis: int = 0, out: None = None, dtype: DType = None) -> Value:
    """Arrays of one shape joined along a new axis.

    >>> np.stack([np.array([1, 2]), np.array([3, 4])])
    Array([[1, 2],
           [3, 4]], dtype=int32)
    """
    no_out("stack", out)
    values = _promoted("stack", _sequence("stack", arrays), dtype)
    shapes = [shape_of(x) for x in values]
    for position, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(
                f"weft.numpy.stack: array {position} has shape {shape}, array 0 has {shapes[0]}; "
                "all "
                "must be the same"
            )
    number = canonical_axis("stack", axis, len(shapes[0]) + 1)
    joined = _joined_at_once(values, np.stack, number)
    if joined is not None:
        return joined
    return lax.concatenate([expand_dims(x, number) for x in values], number)


#: Arrays from which on a program that joins them takes longer to make than is worth it: for another
#: number of them it would be another one.
_MANY = 8


def _joined_at_once(values: list[Value], join: Callable[..., Any], axis: int) -> Array | None:
    """Many small arrays, joined by NumPy; None for few, large, traced ones, and random keys."""
    if len(values) < _MANY or not all(type(x) in (Array, np.ndarray) for x in values):
        return None
    if dtypes.is_key(dtype_of(values[0])):
        return None
    if sum(x.nbytes for x in values) > immediate.SMALL:
        return None
    ours = [x for x in values if type(x) is not np.ndarray]
    views = immediate.small_views(*ours)
    if views is None:
        return None
    known = iter(views)
    arrays = [x if type(x) is np.ndarray else next(known) for x in values]
    weak = len(ours) == len(values) and all(x.weak_type for x in ours)
    return from_numpy(join(arrays, axis), weak, owned=True)


@at_once
def vstack(tup: Any, dtype: DType = None) -> Value:
    """Arrays joined along the first axis; vectors become rows.

    >>> np.vstack([np.array([1, 2]), np.array([3, 4])])
    Array([[1, 2],
           [3, 4]], dtype=int32)
    """
    items = atleast_2d(*_sequence("vstack", tup))
    return concatenate(items if isinstance(items, list) else [items], 0, dtype)


row_stack = vstack


@at_once
def hstack(tup: Any, dtype: DType = None) -> Value:
    """Arrays joined along the second axis, vectors along the first.

    >>> np.hstack([np.array([1]), np.array([2, 3])])
    Array([1, 2, 3], dtype=int32)
    """
    items = atleast_1d(*_sequence("hstack", tup))
    items = items if isinstance(items, list) else [items]
    return concatenate(items, 0 if len(shape_of(items[0])) == 1 else 1, dtype)


@at_once
def dstack(tup: Any, dtype: DType = None) -> Value:
    """Arrays joined along the third axis.

    >>> np.dstack([np.array([1, 2]), np.array([3, 4])]).shape
    (1, 2, 2)
    """
    items = atleast_3d(*_sequence("dstack", tup))
    return concatenate(items if isinstance(items, list) else [items], 2, dtype)


@at_once
def column_stack(tup: Any) -> Value:
    """Vectors as the columns of a matrix; matrices joined along the second axis.

    >>> np.column_stack([np.array([1, 2]), np.array([3, 4])])
    Array([[1, 3],
           [2, 4]], dtype=int32)
    """
    items = _sequence("column_stack", tup)
    return concatenate([expand_dims(x, 1) if len(shape_of(x)) == 1 else x for x in items], 1)


@at_once
def append(arr: ArrayLike, values: ArrayLike, axis: int | None = None) -> Value:
    """`values` joined to the end of `arr`; both flattened without an axis.

    >>> np.append(np.array([1, 2]), 3)
    Array([1, 2, 3], dtype=int32)
    """
    return concatenate([arr, values], axis)


@at_once
def block(arrays: Any) -> Value:
    """An array from nested lists of blocks: the innermost lists are joined along the last axis.

    >>> np.block([[np.ones(2), np.zeros(1)]])
    Array([[1., 1., 0.]], dtype=float32)
    """
    depth, level = 0, arrays
    while isinstance(level, list):
        depth, level = depth + 1, level[0]
    return _block(arrays, depth, max(depth, 1))


def _block(arrays: Any, depth: int, ndim: int) -> Value:
    if not isinstance(arrays, list):
        x = ravel(arrays) if not shape_of(arrays) else arrays
        return reshape(x, (1,) * (ndim - len(shape_of(x))) + shape_of(x))
    return concatenate([_block(item, depth - 1, ndim) for item in arrays], -depth)


# ---------------------------------------------------------------- splitting


def split(ary: ArrayLike, indices_or_sections: Any, axis: int = 0) -> list[Value]:
    """`ary` cut along `axis` into equal parts (an integer), or at the given indices.

    >>> np.split(np.arange(4), 2)
    [Array([0, 1], dtype=int32), Array([2, 3], dtype=int32)]
    """
    return _split("split", ary, indices_or_sections, axis)


def array_split(ary: ArrayLike, indices_or_sections: Any, axis: int = 0) -> list[Value]:
    """As `split`, with parts that may differ in length by one.

    >>> np.array_split(np.arange(5), 2)
    [Array([0, 1, 2], dtype=int32), Array([3, 4], dtype=int32)]
    """
    return _split("array_split", ary, indices_or_sections, axis)


def hsplit(ary: ArrayLike, indices_or_sections: Any) -> list[Value]:
    """`ary` cut along the second axis; vectors along the first.

    >>> [x.shape for x in np.hsplit(np.ones((2, 4)), 2)]
    [(2, 2), (2, 2)]
    """
    return _split("hsplit", ary, indices_or_sections, 0 if len(shape_of(ary)) == 1 else 1)


def vsplit(ary: ArrayLike, indices_or_sections: Any) -> list[Value]:
    """`ary` cut along the first axis.

    >>> [x.shape for x in np.vsplit(np.ones((4, 2)), 2)]
    [(2, 2), (2, 2)]
    """
    return _split("vsplit", ary, indices_or_sections, 0)


def dsplit(ary: ArrayLike, indices_or_sections: Any) -> list[Value]:
    """`ary` cut along the third axis.

    >>> [x.shape for x in np.dsplit(np.ones((1, 2, 4)), 2)]
    [(1, 2, 2), (1, 2, 2)]
    """
    return _split("dsplit", ary, indices_or_sections, 2)


def _split(name: str, ary: ArrayLike, indices_or_sections: Any, axis: int) -> list[Value]:
    check_arraylike(name, ary)
    number = canonical_axis(name, axis, len(shape_of(ary)))
    size = shape_of(ary)[number]
    several = isinstance(indices_or_sections, list | tuple | np.ndarray)
    if several or type(indices_or_sections) is Array:
        cuts = [operator.index(n) for n in indices_or_sections]
        cuts = [min(n % size if -size <= n < 0 else max(n, 0), size) for n in cuts]
        bounds = [0, *cuts, size]
    else:
        bounds = _equal_parts(name, size, operator.index(indices_or_sections))
    return [
        as_result(lax.slice_in_dim(ary, start, max(start, stop), axis=number))
        for start, stop in itertools.pairwise(bounds)
    ]


def _equal_parts(name: str, size: int, sections: int) -> list[int]:
    if sections <= 0:
        raise ValueError(f"weft.numpy.{name}: the number of parts must be positive, got {sections}")
    part, larger = divmod(size, sections)
    if larger and name != "array_split":
        raise ValueError(
            f"weft.numpy.{name}: {size} elements do not divide into {sections} equal parts; "
            "weft.numpy.array_split allows unequal ones"
        )
    bounds = [0]
    for k in range(sections):
        bounds.append(bounds[-1] + part + (k < larger))
    return bounds


def unstack(x: ArrayLike, /, *, axis: int = 0) -> tuple[Value, ...]:
    """The slices along `axis`, one by one.

    >>> np.unstack(np.array([[1, 2], [3, 4]]))
    (Array([1, 2], dtype=int32), Array([3, 4], dtype=int32))
    """
    check_arraylike("unstack", x)
    number = canonical_axis("unstack", axis, len(shape_of(x)))
    shape = tuple(n for d, n in enumerate(shape_of(x)) if d != number)
    return tuple(
        lax.reshape(lax.slice_in_dim(x, k, k + 1, axis=number), shape)
        for k in range(shape_of(x)[number])
    )


# ---------------------------------------------------------------- repeating


@at_once
def tile(A: ArrayLike, reps: Any) -> Value:
    """The array laid out `reps` times along each axis.

    >>> np.tile(np.array([1, 2]), 2)
    Array([1, 2, 1, 2], dtype=int32)
    """
    check_arraylike("tile", A)
    counts = [operator.index(n) for n in (reps if isinstance(reps, list | tuple) else (reps,))]
    shape = shape_of(A)
    ndim = max(len(shape), len(counts))
    counts = [1] * (ndim - len(counts)) + counts
    shape = (1,) * (ndim - len(shape)) + shape
    wide: list[int] = []
    for count, n in zip(counts, shape, strict=True):
        wide += [count, n]
    spread = lax.broadcast_in_dim(reshape(A, shape), tuple(wide), tuple(range(1, 2 * ndim, 2)))
    return lax.reshape(spread, tuple(c * n for c, n in zip(counts, shape, strict=True)))


@at_once
def repeat(
    a: ArrayLike, repeats: Any, axis: int | None = None, *, total_repeat_length: int | None = None
) -> Value:
    """Each element (slice along `axis`) repeated; `repeats` is a number or one for each.

    The numbers must be concrete, as the shape of the result depends on them; or else say how long
    it is: `total_repeat_length` cuts what is more, and repeats the last one where there is less.

    >>> np.repeat(np.array([1, 2]), 2)
    Array([1, 1, 2, 2], dtype=int32)
    """
    check_arraylike("repeat", a)
    x = ravel(a) if axis is None else a
    number = canonical_axis("repeat", 0 if axis is None else axis, len(shape_of(x)))
    size = shape_of(x)[number]
    if total_repeat_length is not None:
        return _repeated_to(x, repeats, number, operator.index(total_repeat_length))
    if isinstance(repeats, Tracer) and repeats.concrete() is None:
        raise repeats._concretization_error(
            "weft.numpy.repeat: use as repeats",
            "The shape of the result depends on it: say how long it is, total_repeat_length=n.",
        )
    counts = np.asarray(repeats)
    if counts.size and not dtypes.is_integer(counts.dtype):
        raise TypeError(f"weft.numpy.repeat: repeats are integers, got {counts.dtype}")
    if counts.ndim == 0 or counts.size == 1:
        count = int(counts.reshape(()))
        shape = shape_of(x)
        wide = (*shape[: number + 1], count, *shape[number + 1 :])
        kept = tuple(d if d <= number else d + 1 for d in range(len(shape)))
        spread = lax.broadcast_in_dim(x, wide, kept)
        return lax.reshape(spread, (*shape[:number], size * count, *shape[number + 1 :]))
    if counts.shape != (size,):
        raise ValueError(
            f"weft.numpy.repeat: {counts.size} repeats for {size} elements along axis {number}"
        )
    from weft.numpy.taking import take

    return take(x, np.repeat(np.arange(size, dtype=np.int32), counts), number)


def _repeated_to(x: Value, repeats: ArrayLike, axis: int, total: int) -> Value:
    """The first `total` of the repeated slices, or all and then the last one again."""
    from weft.numpy.calculus import searchsorted
    from weft.numpy.taking import take

    check_arraylike("repeat", repeats)
    size, counts = shape_of(x)[axis], shape_of(repeats)
    if not dtypes.is_integer(dtype_of(repeats)):
        raise TypeError(f"weft.numpy.repeat: repeats are integers, got {dtype_of(repeats)}")
    if total < 0 or (total and not size):
        raise ValueError(
            f"weft.numpy.repeat: total_repeat_length={total} of {size} elements along axis {axis}"
        )
    if counts not in ((), (1,), (size,)):
        raise ValueError(
            f"weft.numpy.repeat: repeats of shape {counts} for {size} elements along axis {axis}"
        )
    every = broadcast_to_shape(lax.convert_element_type(repeats, np.int32), (size,))
    wanted = lax.iota(np.int32, total)
    index = searchsorted(lax.cumsum(every), wanted, side="right")
    return take(x, index, axis, mode="clip")


@at_once
def resize(a: ArrayLike, new_shape: Any) -> Value:
    """The elements repeated or cut to fill a new shape.

    >>> np.resize(np.array([1, 2, 3]), (2, 2))
    Array([[1, 2],
           [3, 1]], dtype=int32)
    """
    from weft.numpy._common import canonical_shape
    from weft.numpy.taking import take

    shape = canonical_shape("resize", new_shape)
    flat = ravel(a)
    wanted = int(np.prod(shape, dtype=object))
    have = aval_of(flat).size
    if have == 0:
        return lax.broadcast_in_dim(np.zeros((), dtype_of(flat)), shape, ())
    return reshape(take(flat, (np.arange(wanted) % have).astype(np.int32), 0), shape)
