"""Arrays with parts taken out, put in or replaced: `delete`, `insert`, `put`, `fill_diagonal`, …

Functions that change their first argument in NumPy (`fill_diagonal`, `place`, `put`,
`put_along_axis`) do here what `x[i] = v` does: the handle `x` stands for a new value, which they
return too. With `inplace=False` they only return it, so that anything can be given, traced or not.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft import lax
from weft.array import Array
from weft.array.calls import at_once
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.core.trace import Tracer
from weft.numpy._common import (
    ArrayLike,
    Value,
    broadcast_shape,
    broadcast_to_shape,
    canonical_axes,
    canonical_axis,
    check_arraylike,
    convert,
    dtype_of,
    shape_of,
)
from weft.numpy.creation import asarray
from weft.numpy.division import remainder
from weft.numpy.index_plans import wrap_negative
from weft.numpy.indexing import write
from weft.numpy.joining import tile
from weft.numpy.masks import concrete_mask
from weft.numpy.select import clip, nonzero, where
from weft.numpy.shaping import diag, moveaxis, ravel
from weft.numpy.sorting import argsort, sort
from weft.numpy.taking import take
from weft.numpy.ufuncs import truth


def diagflat(v: ArrayLike, k: int = 0) -> Value:
    """A matrix with the elements of the flat array on diagonal `k`.

    >>> diagflat(np.array([[1, 2]]))
    Array([[1, 0],
           [0, 2]], dtype=int32)
    """
    check_arraylike("diagflat", v)
    return diag(ravel(v), operator.index(k))


def rollaxis(a: ArrayLike, axis: int, start: int = 0) -> Value:
    """The array with `axis` moved before the axis `start`; `moveaxis` is easier to read.

    >>> rollaxis(np.ones((2, 3, 4)), 2).shape
    (4, 2, 3)
    """
    check_arraylike("rollaxis", a)
    ndim = len(shape_of(a))
    number = canonical_axis("rollaxis", axis, ndim)
    if not -ndim <= operator.index(start) <= ndim:
        raise ValueError(
            f"weft.numpy.rollaxis: start={start} is out of bounds for an array with {ndim} axes"
        )
    first = start + ndim if start < 0 else start
    return moveaxis(a, number, first - 1 if number < first else first)


# ---------------------------------------------------------------- taking out


def delete(
    arr: ArrayLike,
    obj: Any,
    axis: int | None = None,
    *,
    assume_unique_indices: bool = False,
) -> Value:
    """The array without the slices at `obj` along `axis` (elements of the flat array without it).

    `obj` is an integer, a slice, integers or a mask. How much is left of repeated integers depends
    on values, so integers can only be traced with `assume_unique_indices`.

    >>> delete(np.array([5, 6, 7, 8]), np.array([1, -1]))
    Array([5, 7], dtype=int32)

    Raises
    ------
    IndexError: for integers out of bounds. ValueError: for a mask of another length.
    """
    check_arraylike("delete", arr)
    if isinstance(obj, int | slice) and not isinstance(obj, bool):
        return _without(arr, obj, axis)
    x = ravel(arr) if axis is None else asarray(arr)
    number = 0 if axis is None else canonical_axis("delete", axis, len(shape_of(x)))
    size = shape_of(x)[number]
    index = asarray(obj)
    if dtypes.is_bool(dtype_of(index)):
        mask = concrete_mask(index)
        if mask.shape != (size,):
            raise ValueError(
                f"weft.numpy.delete: a mask must be a vector of length {size}, got shape "
                f"{mask.shape}"
            )
        return take(x, np.flatnonzero(~mask).astype(np.int32), number)
    if not dtypes.is_integer(dtype_of(index)) and 0 not in shape_of(index):
        raise TypeError(
            "weft.numpy.delete: obj must be integers, a mask or a slice, got dtype "
            f"{dtype_of(index)}"
        )
    known = index.concrete() if isinstance(index, Tracer) else index
    if known is not None:
        return take(x, _others("delete", np.asarray(known), size), number)
    if not assume_unique_indices and shape_of(index):
        raise index._concretization_error(
            "delete()",
            "How much is left depends on values: if no index repeats, say so "
            "(assume_unique_indices=True).",
        )
    return take(x, _others_traced(ravel(index), size), number, mode="clip")


@at_once
def _without(arr: ArrayLike, obj: int | slice, axis: int | None) -> Value:
    """What `delete` leaves where the indices are no array, whose values would have to be checked
    at each call.
    """
    x = ravel(arr) if axis is None else asarray(arr)
    number = 0 if axis is None else canonical_axis("delete", axis, len(shape_of(x)))
    size = shape_of(x)[number]
    if isinstance(obj, slice):
        kept = np.setdiff1d(np.arange(size), np.arange(size)[obj]).astype(np.int32)
    else:
        kept = _others("delete", np.asarray(obj), size)
    return take(x, kept, number)


def _others(name: str, index: np.ndarray, size: int) -> np.ndarray:
    """The indices that are not among known ones."""
    if index.size and not -size <= index.min() <= index.max() < size:
        wrong = index.min() if index.min() < -size else index.max()
        raise IndexError(
            f"weft.numpy.{name}: index {wrong} is out of bounds for an axis of length {size}"
        )
    mask = np.ones(size, bool)
    mask[index.astype(np.intp)] = False
    return np.flatnonzero(mask).astype(np.int32)


def _others_traced(index: Value, size: int) -> Value:
    """The indices that are not among traced ones, of which none repeats."""
    (count,) = shape_of(index)
    index = sort(clip(wrap_negative(index, size), 0, size))
    # The k-th index is preceded by k others: how many of those that are left come before it.
    before = index - lax.broadcasted_iota(dtype_of(index), (count,), 0)
    left = lax.broadcasted_iota(dtype_of(index), (max(size - count, 0),), 0)
    return left + (left[:, None] >= before).sum(1, dtype=dtype_of(index))


def trim_zeros(filt: ArrayLike, trim: str = "fb", axis: int | Sequence[int] | None = None) -> Value:
    """The array without the zeros in front ("f") and at the back ("b"), along `axis` or all axes.

    How many there are depends on values, so the array cannot be traced.

    >>> trim_zeros(np.array([0, 0, 1, 0, 2, 0]))
    Array([1, 0, 2], dtype=int32)
    """
    check_arraylike("trim_zeros", filt)
    x = asarray(filt)
    if isinstance(x, Tracer) and x.concrete() is None:
        raise x._concretization_error(
            "trim_zeros()", "The size of its result depends on values: call it outside weft.jit."
        )
    sides = trim.lower()
    if not set(sides) <= set("fb"):
        raise ValueError(f"weft.numpy.trim_zeros: trim is made of 'f' and 'b', got {trim!r}")
    mask = np.asarray(truth(x.concrete() if isinstance(x, Tracer) else x))
    index = [slice(None)] * mask.ndim
    for number in canonical_axes("trim_zeros", axis, mask.ndim):
        others = tuple(d for d in range(mask.ndim) if d != number)
        (found,) = np.nonzero(mask.any(others))
        if sides and not found.size:
            index[number] = slice(0, 0)
            continue
        first = int(found[0]) if "f" in sides else None
        last = int(found[-1]) + 1 if "b" in sides else None
        index[number] = slice(first, last)
    return x[tuple(index)]


# ---------------------------------------------------------------- putting in


def insert(arr: ArrayLike, obj: Any, values: ArrayLike, axis: int | None = None) -> Value:
    """The array with `values` put in before the indices `obj` along `axis` (flat without it).

    `obj` is an integer, a slice, or a vector of integers, and refers to the array as it was.
    `values` are broadcast to what is put in, and take the dtype of the array.

    >>> insert(np.array([1, 2, 3]), 1, 9)
    Array([1, 9, 2, 3], dtype=int32)
    >>> insert(np.array([[1, 2], [3, 4]]), 2, np.array([8, 9]), axis=1)
    Array([[1, 2, 8],
           [3, 4, 9]], dtype=int32)

    Raises
    ------
    IndexError: for integers out of bounds (traced ones are clipped).
    TypeError: for indices that are not integers.
    """
    check_arraylike("insert", arr, values)
    shape = shape_of(arr)
    number = 0 if axis is None else canonical_axis("insert", axis, len(shape))
    size = math.prod(shape) if axis is None else shape[number]
    if not isinstance(obj, int | slice) or isinstance(obj, bool):
        obj = _insert_index(obj, size)
    return _with(arr, obj, values, axis)


@at_once
def _with(arr: ArrayLike, obj: Any, values: ArrayLike, axis: int | None) -> Value:
    """`insert` before indices whose values, if they are an array's, have been checked."""
    x = ravel(arr) if axis is None else asarray(arr)
    number = 0 if axis is None else canonical_axis("insert", axis, len(shape_of(x)))
    size = shape_of(x)[number]
    index = _insert_index(obj, size) if isinstance(obj, int | slice) else obj
    single = not shape_of(index)
    index = convert("insert", index, dtypes.int32)
    index = ravel(clip(where(index < 0, index + size, index), 0, size))
    new = convert("insert", asarray(values), dtype_of(x))
    new = lax.reshape(new, (1,) * (len(shape_of(x)) - len(shape_of(new))) + shape_of(new))
    if single:
        new = moveaxis(new, 0, number)
    if shape_of(index) == (1,):
        index = broadcast_to_shape(index, (shape_of(new)[number],))
    (count,) = broadcast_shape("insert", shape_of(index), (shape_of(new)[number],))
    rest = [n for d, n in enumerate(shape_of(x)) if d != number]
    whole = (*rest[:number], count, *rest[number:])
    new = broadcast_to_shape(new, broadcast_shape("insert", shape_of(new), whole))
    index = broadcast_to_shape(index, (count,))
    # Where new elements go: those before the same index in the order in which they are given.
    order = argsort(index)
    places = write(index, order, lax.broadcasted_iota(dtypes.int32, (count,), 0), "add")
    old = lax.broadcast_in_dim(np.asarray(True), (size + count,), ())
    old = write(old, places, False, mode="drop")
    (kept,) = nonzero(old, size=size)
    shape = (*rest[:number], size + count, *rest[number:])
    result = lax.broadcast_in_dim(np.zeros((), dtype_of(x)), shape, ())
    lead = (slice(None),) * number
    return write(write(result, (*lead, places), new), (*lead, kept), x)


def _insert_index(obj: Any, size: int) -> Value:
    """Indices as an array of integers; those whose values are known are within bounds."""
    if isinstance(obj, slice):
        return asarray(np.arange(size)[obj].astype(np.int32))
    index = asarray(obj)
    if not math.prod(shape_of(index)):
        index = asarray(np.zeros(0, np.int32))
    if not dtypes.is_integer(dtype_of(index)) or len(shape_of(index)) > 1:
        raise TypeError(
            "weft.numpy.insert: obj must be an integer, a slice or a vector of integers, got "
            f"{aval_of(index)}"
        )
    known = index.concrete() if isinstance(index, Tracer) else index
    values = None if known is None else np.asarray(known)
    if values is not None and values.size and not -size <= values.min() <= values.max() <= size:
        wrong = values.min() if values.min() < -size else values.max()
        raise IndexError(
            f"weft.numpy.insert: index {wrong} is out of bounds for an axis of length {size}"
        )
    return index


# ---------------------------------------------------------------- replacing


def delivered(name: str, x: ArrayLike, result: Value, inplace: bool) -> Value:
    """The result, for which the handle `x` stands too if `inplace`."""
    if not inplace:
        return result
    if not isinstance(x, Array | Tracer):
        raise TypeError(
            f"weft.numpy.{name}: a {type(x).__name__} cannot be changed in place; use "
            f"x = weft.numpy.{name}(x, ..., inplace=False)"
        )
    handle: Any = x
    handle[...] = result
    return x


def _repeated(values: Value, count: int) -> Value:
    """The first `count` of values repeated as often as needed."""
    (size,) = shape_of(values)
    return tile(values, -(-count // size))[:count] if size < count else values[:count]


def put(
    a: ArrayLike, ind: ArrayLike, v: ArrayLike, mode: str | None = None, *, inplace: bool = True
) -> Value:
    """`v` at the indices `ind` of the flat array, repeated if there are too few of them.

    The array `a` stands for the result too unless `inplace=False`. Modes for indices out of bounds:
    they are left out by default; "clip", "wrap".

    >>> put(np.zeros(4), np.array([0, 2]), np.array([5.0, 6.0]), inplace=False)
    Array([5., 0., 6., 0.], dtype=float32)

    Raises
    ------
    ValueError: for other modes: whether indices are within bounds may depend on values.
    """
    check_arraylike("put", a, ind, v)
    x, index, values = asarray(a), ravel(ind), ravel(v)
    size = math.prod(shape_of(x))
    if mode not in (None, "clip", "wrap"):
        raise ValueError(f"weft.numpy.put: mode is None, 'clip' or 'wrap', got {mode!r}")
    if not size or not shape_of(index)[0] or not shape_of(values)[0]:
        return delivered("put", a, x, inplace)
    if mode == "clip":
        index = clip(index, 0, size - 1)
    elif mode == "wrap":
        index = remainder(index, size)
    new = write(ravel(x), index, _repeated(values, shape_of(index)[0]), mode="drop")
    return delivered("put", a, lax.reshape(new, shape_of(x)), inplace)


def place(arr: ArrayLike, mask: ArrayLike, vals: ArrayLike, *, inplace: bool = True) -> Value:
    """The k-th of `vals` at the k-th element where the mask holds, repeated if there are too few.

    The array `arr` stands for the result too unless `inplace=False`. The mask may be traced: it has
    as many elements as the array.

    >>> x = np.arange(4)
    >>> place(x, x > 1, np.array([7, 8]), inplace=False)
    Array([0, 1, 7, 8], dtype=int32)

    Raises
    ------
    ValueError: for a mask of another size, and if there are no values.
    """
    check_arraylike("place", arr, mask, vals)
    x, holds, values = asarray(arr), ravel(truth(asarray(mask))), ravel(vals)
    size = math.prod(shape_of(x))
    if shape_of(holds) != (size,):
        raise ValueError(
            "weft.numpy.place: the array and the mask must have one size, got shapes "
            f"{shape_of(x)} and {shape_of(mask)}"
        )
    if not shape_of(values)[0]:
        raise ValueError("weft.numpy.place: there are no values to place")
    number = lax.cumsum(lax.convert_element_type(holds, dtypes.int32)) - 1
    taken = take(values, remainder(number, shape_of(values)[0]), mode="clip")
    new = where(holds, convert("place", taken, dtype_of(x)), ravel(x))
    return delivered("place", arr, lax.reshape(new, shape_of(x)), inplace)


def put_along_axis(
    arr: ArrayLike,
    indices: ArrayLike,
    values: ArrayLike,
    axis: int | None,
    inplace: bool = True,
    *,
    mode: str | None = None,
) -> Value:
    """For each position, `values` at `indices` along `axis`: the inverse of `take_along_axis`.

    The other axes of array and indices are broadcast, values are broadcast to the indices. The
    array `arr` stands for the result too unless `inplace=False`. `mode` is that of
    `x.at[...].set`: indices out of bounds are left out by default.

    >>> x = np.zeros((2, 2))
    >>> put_along_axis(x, np.array([[1], [0]]), 9.0, 1, inplace=False)
    Array([[0., 9.],
           [9., 0.]], dtype=float32)

    Raises
    ------
    ValueError: if array and indices do not have equally many axes.
    """
    check_arraylike("put_along_axis", arr, indices, values)
    x, index = asarray(arr), asarray(indices)
    if not dtypes.is_integer(dtype_of(index)):
        raise TypeError(
            f"weft.numpy.put_along_axis: indices must be integers, got dtype {dtype_of(index)}"
        )
    shape = shape_of(x)
    flat = ravel(x) if axis is None else x
    number = 0 if axis is None else canonical_axis("put_along_axis", axis, len(shape))
    if len(shape_of(index)) != len(shape_of(flat)):
        raise ValueError(
            f"weft.numpy.put_along_axis: indices of shape {shape_of(index)} need as many axes as "
            f"the array of shape {shape_of(flat)}"
        )
    others = tuple(n for d, n in enumerate(shape_of(flat)) if d != number)
    wanted = (*others[:number], shape_of(index)[number], *others[number:])
    index = broadcast_to_shape(index, broadcast_shape("put_along_axis", shape_of(index), wanted))
    grid = [lax.broadcasted_iota(dtypes.int32, wanted, d) for d in range(len(wanted))]
    grid[number] = index
    new = write(flat, tuple(grid), values, mode=mode or "drop")
    return delivered("put_along_axis", arr, lax.reshape(new, shape), inplace)


def fill_diagonal(
    a: ArrayLike, val: ArrayLike, wrap: bool = False, *, inplace: bool = True
) -> Value:
    """The array with `val` on its main diagonal, repeated if there are too few values.

    The array `a` stands for the result too unless `inplace=False`. Axes beyond the second must all
    have one length. `wrap` starts the diagonal again below the square part of a tall matrix.

    >>> fill_diagonal(np.zeros((2, 2)), 5, inplace=False)
    Array([[5., 0.],
           [0., 5.]], dtype=float32)

    Raises
    ------
    ValueError: for fewer than two axes, and more than two of different lengths.
    """
    check_arraylike("fill_diagonal", a, val)
    x, values = asarray(a), ravel(val)
    shape = shape_of(x)
    if len(shape) < 2 or (len(shape) > 2 and len(set(shape)) > 1):
        raise ValueError(
            "weft.numpy.fill_diagonal: the array must have two axes, or more of one length, got "
            f"shape {shape}"
        )
    if len(shape) == 2:
        step, end = shape[1] + 1, math.prod(shape) if wrap else shape[1] * shape[1]
    else:
        step, end = sum(shape[0] ** d for d in range(len(shape))), math.prod(shape)
    flat = np.arange(0, min(end, math.prod(shape)), step).astype(np.int32)
    if not flat.size or not shape_of(values)[0]:
        return delivered("fill_diagonal", a, x, inplace)
    index = tuple(i.astype(np.int32) for i in np.unravel_index(flat, shape))
    new = write(x, index, _repeated(values, flat.size), unique_indices=True)
    return delivered("fill_diagonal", a, new, inplace)


# ---------------------------------------------------------------- piece by piece


def piecewise(x: ArrayLike, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Value:
    """For each element, what the function of the last condition that holds gives.

    `funclist` has a function or a number for each condition, and may have one more for elements
    where none holds (0 without it). Functions get the whole array (and `args` and `kw`), and what
    they give is taken where their condition holds, so they should not mind other elements; the
    result has the dtype of `x`. NumPy calls them with the elements in question only, whose number
    depends on values.

    >>> v = np.array([-2.0, 0.0, 3.0])
    >>> piecewise(v, [v < 0, v > 0], [lambda t: -t, lambda t: t * t, 7.0])
    Array([2., 7., 9.], dtype=float32)

    Raises
    ------
    ValueError: if there are neither as many functions as conditions nor one more.
    """
    check_arraylike("piecewise", x)
    value = asarray(x)
    conditions = _conditions(condlist, len(shape_of(value)))
    functions = list(funclist)
    if len(functions) not in (len(conditions), len(conditions) + 1):
        raise ValueError(
            f"weft.numpy.piecewise: {len(conditions)} conditions need as many functions, or one "
            f"more, got {len(functions)}"
        )
    otherwise = functions.pop() if len(functions) > len(conditions) else 0
    result = _piece(otherwise, value, args, kw)
    for condition, function in zip(conditions, functions, strict=True):
        result = where(condition, _piece(function, value, args, kw), result)
    return result


def _conditions(condlist: Any, ndim: int) -> list[Any]:
    """Conditions one by one: an array of as many axes as `x` is a single one."""
    if not isinstance(condlist, list | tuple):
        return list(condlist) if len(shape_of(condlist)) > ndim else [condlist]
    numbers = all(isinstance(c, bool | np.bool_) for c in condlist)
    return [asarray(condlist)] if ndim and numbers else list(condlist)


def _piece(function: Callable[..., Any] | ArrayLike, x: Value, args: Any, kw: Any) -> Value:
    value = function(x, *args, **kw) if callable(function) else function
    value = convert("piecewise", asarray(value), dtype_of(x))
    return broadcast_to_shape(value, broadcast_shape("piecewise", shape_of(value), shape_of(x)))
