"""Functions that change shapes and move elements, without computing."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import lax
from weft.array import alias
from weft.array.calls import at_once
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.core.trace import Tracer
from weft.numpy._common import (
    ArrayLike,
    Axis,
    Value,
    as_result,
    broadcast,
    broadcast_to_shape,
    canonical_axes,
    canonical_axis,
    canonical_shape,
    check_arraylike,
    dtype_of,
    no_out,
    shape_of,
)


def _value(name: str, x: ArrayLike) -> Value:
    check_arraylike(name, x)
    from weft.numpy.creation import asarray

    return asarray(x)


def _new(x: Value, result: Value) -> Value:
    """`result`, or another handle when nothing was to be done: `y[0] = v` must not change `x`."""
    return as_result(x) if result is x else result


@at_once
def reshape(a: ArrayLike, shape: Any, order: str = "C", *, copy: bool | None = None) -> Value:
    """The elements in row-major order in another shape; one size may be −1 (what is left over).

    >>> reshape(np.arange(6), (2, -1))
    Array([[0, 1, 2],
           [3, 4, 5]], dtype=int32)
    """
    x = _value("reshape", a)
    if order == "F":
        reverse = tuple(_wanted_shape(x, shape)[::-1])
        return transpose(lax.reshape(transpose(x), reverse))
    if order not in ("C", "A"):
        raise ValueError(f"weft.numpy.reshape: order is 'C' or 'F', got {order!r}")
    return _new(x, lax.reshape(x, _wanted_shape(x, shape)))


def _wanted_shape(x: Value, shape: Any) -> tuple[int, ...]:
    sizes = shape if isinstance(shape, list | tuple | np.ndarray) else (shape,)
    try:
        wanted = [operator.index(size) for size in sizes]
    except TypeError:
        if any(isinstance(size, Tracer) for size in sizes):
            raise
        raise TypeError(f"weft.numpy.reshape: a shape is made of integers, got {shape!r}") from None
    aval = aval_of(x)
    if wanted.count(-1) > 1:
        raise ValueError(f"weft.numpy.reshape: only one size may be -1, got {tuple(wanted)}")
    if any(size < -1 for size in wanted):
        raise ValueError(f"weft.numpy.reshape: sizes cannot be negative, got {tuple(wanted)}")
    result = list(wanted)
    if -1 in wanted:
        rest = math.prod(size for size in wanted if size != -1)
        if rest and aval.size % rest == 0:
            result[wanted.index(-1)] = aval.size // rest
        elif rest == 0 and aval.size == 0:
            raise ValueError(
                f"weft.numpy.reshape: the size for -1 is not determined when another size is 0: "
                f"{tuple(wanted)}"
            )
    if math.prod(result) != aval.size or -1 in result:
        elements = math.prod(result) if -1 not in result else "a multiple of " + str(rest)
        raise ValueError(
            f"weft.numpy.reshape: cannot reshape array of shape {aval.shape} ({aval.size} "
            "elements) "
            f"into {tuple(wanted)} ({elements} elements)"
        )
    return tuple(result)


@at_once
def ravel(a: ArrayLike, order: str = "C") -> Value:
    """The elements in row-major order along one axis.

    >>> np.ravel(np.array([[1, 2], [3, 4]]))
    Array([1, 2, 3, 4], dtype=int32)
    """
    return reshape(a, (-1,) if aval_of(a).size else (0,), order)


@at_once
def transpose(a: ArrayLike, axes: Sequence[int] | None = None) -> Value:
    """Axes in another order; reversed without `axes`.

    >>> np.transpose(np.ones((2, 3, 4)), (1, 0, 2)).shape
    (3, 2, 4)
    """
    x = _value("transpose", a)
    ndim = len(shape_of(x))
    if axes is None:
        order = tuple(reversed(range(ndim)))
    else:
        order = tuple(canonical_axis("transpose", axis, ndim) for axis in axes)
        if sorted(order) != list(range(ndim)):
            raise ValueError(
                f"weft.numpy.transpose: axes={tuple(axes)} must name each of the {ndim} axes of an "
                f"array of shape {shape_of(x)} once"
            )
    return _new(x, lax.transpose(x, order))


permute_dims = transpose


@at_once
def matrix_transpose(x: ArrayLike, /) -> Value:
    """The last two axes exchanged.

    >>> np.matrix_transpose(np.array([[1, 2], [3, 4]]))
    Array([[1, 3],
           [2, 4]], dtype=int32)
    """
    if len(shape_of(x)) < 2:
        raise ValueError(
            f"weft.numpy.matrix_transpose: needs at least two axes, got shape {shape_of(x)}"
        )
    return swapaxes(x, -1, -2)


@at_once
def moveaxis(a: ArrayLike, source: Axis, destination: Axis) -> Value:
    """Axes moved to new positions, the others in their order.

    >>> np.moveaxis(np.ones((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = _value("moveaxis", a)
    ndim = len(shape_of(x))
    given = [
        [
            canonical_axis("moveaxis", n, ndim)
            for n in (axis if isinstance(axis, list | tuple) else [axis])
        ]
        for axis in (source, destination)
    ]
    sources, destinations = given
    if len(sources) != len(destinations) or len(set(sources)) != len(sources):
        raise ValueError(
            f"weft.numpy.moveaxis: source={source!r} and destination={destination!r} must be as "
            "many "
            "different axes"
        )
    order = [d for d in range(ndim) if d not in sources]
    for to, axis in sorted(zip(destinations, sources, strict=True)):
        order.insert(to, axis)
    return _new(x, lax.transpose(x, tuple(order)))


@at_once
def swapaxes(a: ArrayLike, axis1: int, axis2: int) -> Value:
    """Two axes exchanged.

    >>> np.swapaxes(np.ones((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    x = _value("swapaxes", a)
    ndim = len(shape_of(x))
    first = canonical_axis("swapaxes", axis1, ndim)
    second = canonical_axis("swapaxes", axis2, ndim)
    order = list(range(ndim))
    order[first], order[second] = second, first
    return _new(x, lax.transpose(x, tuple(order)))


@at_once
def squeeze(a: ArrayLike, axis: Axis = None) -> Value:
    """Axes of length 1 taken away: all, or those of `axis`.

    >>> np.squeeze(np.ones((1, 3))).shape
    (3,)
    """
    x = _value("squeeze", a)
    shape = shape_of(x)
    if axis is None:
        axes = tuple(d for d, n in enumerate(shape) if n == 1)
    else:
        axes = canonical_axes("squeeze", axis, len(shape))
        for d in axes:
            if shape[d] != 1:
                raise ValueError(
                    f"weft.numpy.squeeze: axis {d} has length {shape[d]}, not 1 (shape {shape})"
                )
    return _new(x, lax.reshape(x, tuple(n for d, n in enumerate(shape) if d not in axes)))


@at_once
def expand_dims(a: ArrayLike, axis: Axis) -> Value:
    """New axes of length 1, which are at `axis` of the result.

    >>> np.expand_dims(np.array([1, 2]), 1)
    Array([[1],
           [2]], dtype=int32)
    """
    x = _value("expand_dims", a)
    given = tuple(axis) if isinstance(axis, list | tuple) else (axis,)
    axes = canonical_axes("expand_dims", given, len(shape_of(x)) + len(given))
    sizes = iter(shape_of(x))
    count = len(shape_of(x)) + len(given)
    return _new(x, lax.reshape(x, tuple(1 if d in axes else next(sizes) for d in range(count))))


@at_once
def broadcast_to(array: ArrayLike, shape: Any) -> Value:
    """The array repeated to `shape`.

    >>> np.broadcast_to(np.array([1, 2]), (2, 2))
    Array([[1, 2],
           [1, 2]], dtype=int32)
    """
    x = _value("broadcast_to", array)
    wanted = canonical_shape("broadcast_to", shape)
    own = shape_of(x)
    fits = len(own) <= len(wanted) and all(
        n in (1, m) for n, m in zip(own, wanted[len(wanted) - len(own) :], strict=True)
    )
    if not fits:
        raise ValueError(
            f"weft.numpy.broadcast_to: shape {own} does not broadcast to {wanted}: aligned at the "
            "last "
            "axis, lengths must be equal or 1"
        )
    return _new(x, broadcast_to_shape(x, wanted))


def broadcast_arrays(*args: ArrayLike) -> tuple[Value, ...]:
    """The arrays repeated to their common shape, as a tuple.

    >>> np.broadcast_arrays(np.array([1, 2]), np.array([[3]]))
    (Array([[1, 2]], dtype=int32), Array([[3, 3]], dtype=int32))
    """
    if not args:
        return ()
    return tuple(broadcast("broadcast_arrays", *(_value("broadcast_arrays", x) for x in args)))


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that arrays of these shapes broadcast to.

    >>> np.broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    from weft.numpy._common import broadcast_shape

    if not shapes:
        return ()
    return broadcast_shape(
        "broadcast_shapes", *(canonical_shape("broadcast_shapes", shape) for shape in shapes)
    )


def atleast_1d(*arys: ArrayLike) -> Any:
    """Arrays with at least one axis.

    >>> np.atleast_1d(3)
    Array([3], dtype=int32, weak_type=True)
    """
    results = [_at_least("atleast_1d", x, 1) for x in arys]
    return results[0] if len(results) == 1 else results


def atleast_2d(*arys: ArrayLike) -> Any:
    """Arrays with at least two axes; new ones come first.

    >>> np.atleast_2d(np.array([1, 2]))
    Array([[1, 2]], dtype=int32)
    """
    results = [_at_least("atleast_2d", x, 2) for x in arys]
    return results[0] if len(results) == 1 else results


def atleast_3d(*arys: ArrayLike) -> Any:
    """Arrays with at least three axes; a matrix gets a last axis, a vector one on each side.

    >>> np.atleast_3d(np.array([1, 2])).shape
    (1, 2, 1)
    """
    results = []
    for ary in arys:
        x = _value("atleast_3d", ary)
        if len(shape_of(x)) == 2:
            x = expand_dims(x, -1)
        elif len(shape_of(x)) == 1:
            x = expand_dims(x, (0, 2))
        results.append(_at_least("atleast_3d", x, 3))
    return results[0] if len(results) == 1 else results


def _at_least(name: str, ary: ArrayLike, ndim: int) -> Value:
    x = _value(name, ary)
    missing = ndim - len(shape_of(x))
    return lax.reshape(x, (1,) * missing + shape_of(x)) if missing > 0 else alias(x)


@at_once
def flip(m: ArrayLike, axis: Axis = None) -> Value:
    """Elements in reverse order along `axis` (all axes without one).

    >>> np.flip(np.array([[1, 2], [3, 4]]), axis=1)
    Array([[2, 1],
           [4, 3]], dtype=int32)
    """
    x = _value("flip", m)
    return _new(x, lax.rev(x, canonical_axes("flip", axis, len(shape_of(x)))))


@at_once
def fliplr(m: ArrayLike) -> Value:
    """Columns in reverse order.

    >>> np.fliplr(np.array([[1, 2], [3, 4]]))
    Array([[2, 1],
           [4, 3]], dtype=int32)
    """
    return flip(m, 1)


@at_once
def flipud(m: ArrayLike) -> Value:
    """Rows in reverse order.

    >>> np.flipud(np.array([[1, 2], [3, 4]]))
    Array([[3, 4],
           [1, 2]], dtype=int32)
    """
    return flip(m, 0)


@at_once
def roll(a: ArrayLike, shift: Any, axis: Axis = None) -> Value:
    """Elements shifted along `axis`; those that fall off the end come back at the start.

    Without an axis the flat array is rolled. A shift that is traced costs a gather.

    >>> np.roll(np.arange(4), 1)
    Array([3, 0, 1, 2], dtype=int32)
    """
    x = _value("roll", a)
    if axis is None:
        return reshape(roll(ravel(x), shift, 0), shape_of(x))
    axes = [
        canonical_axis("roll", n, len(shape_of(x)))
        for n in (axis if isinstance(axis, list | tuple) else (axis,))
    ]
    given = shift if isinstance(shift, list | tuple) else (shift,)
    for n in given:
        if not dtypes.is_integer(dtype_of(n)):
            raise TypeError(f"weft.numpy.roll: a shift is an integer, got {n!r}")
    shifts = [n if isinstance(n, Tracer) else operator.index(n) for n in given]
    if len(shifts) == 1:
        shifts = shifts * len(axes)
    if len(shifts) != len(axes):
        raise ValueError(
            f"weft.numpy.roll: {len(shifts)} shifts for {len(axes)} axes; give one, or as many"
        )
    result = x
    for number, distance in zip(axes, shifts, strict=True):
        size = shape_of(x)[number]
        if isinstance(distance, Tracer):
            result = _roll_dynamically(result, distance, number)
            continue
        offset = distance % size if size else 0
        if offset:
            tail = lax.slice_in_dim(result, size - offset, size, axis=number)
            head = lax.slice_in_dim(result, 0, size - offset, axis=number)
            result = lax.concatenate([tail, head], number)
    return _new(x, result)


def _roll_dynamically(x: Value, distance: Value, number: int) -> Value:
    from weft.numpy.ranges import arange
    from weft.numpy.taking import take

    size = shape_of(x)[number]
    return take(x, (arange(size) - distance) % max(size, 1), number, mode="clip")


@at_once
def rot90(m: ArrayLike, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Value:
    """The array turned by k·90° in the plane of two axes, from the first towards the second.

    >>> np.rot90(np.array([[1, 2], [3, 4]]))
    Array([[2, 4],
           [1, 3]], dtype=int32)
    """
    x = _value("rot90", m)
    first, second = (canonical_axis("rot90", axis, len(shape_of(x))) for axis in axes)
    if first == second:
        raise ValueError(f"weft.numpy.rot90: axes={axes} must be two different axes")
    turns = operator.index(k) % 4
    if turns == 0:
        return alias(x)
    if turns == 2:
        return flip(x, (first, second))
    if turns == 1:
        return swapaxes(flip(x, second), first, second)
    return flip(swapaxes(x, first, second), second)


@at_once
def diagonal(a: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Value:
    """The diagonal of the matrices over two axes, as a new last axis.

    >>> np.diagonal(np.array([[1, 2], [3, 4]]))
    Array([1, 4], dtype=int32)
    """
    x = _value("diagonal", a)
    ndim = len(shape_of(x))
    first, second = (canonical_axis("diagonal", n, ndim) for n in (axis1, axis2))
    if first == second:
        raise ValueError("weft.numpy.diagonal: axis1 and axis2 must be different")
    x = moveaxis(x, (first, second), (-2, -1))
    rows, columns = shape_of(x)[-2:]
    row, column = max(0, -offset), max(0, offset)
    length = max(0, min(rows - row, columns - column))
    # The diagonal of a square block is every (length + 1)-th element of its flat form.
    lead = shape_of(x)[:-2]
    if length == 0:
        return lax.slice(
            lax.reshape(x, (*lead, rows * columns)), (0,) * (len(lead) + 1), (*lead, 0)
        )
    block = lax.slice(x, (0,) * len(lead) + (row, column), (*lead, row + length, column + length))
    flat = lax.reshape(block, (*lead, length * length))
    strides = (1,) * len(lead) + (length + 1,)
    return lax.slice(flat, (0,) * (len(lead) + 1), (*lead, length * length), strides)


@at_once
def diag(v: ArrayLike, k: int = 0) -> Value:
    """The diagonal of a matrix, or a matrix with the vector `v` on diagonal `k`.

    >>> np.diag(np.array([1, 2]))
    Array([[1, 0],
           [0, 2]], dtype=int32)
    """
    x = _value("diag", v)
    if len(shape_of(x)) == 2:
        return diagonal(x, k)
    if len(shape_of(x)) != 1:
        raise ValueError(f"weft.numpy.diag: needs one or two axes, got shape {shape_of(x)}")
    size = shape_of(x)[0] + builtin_abs(k)
    from weft.numpy.creation import diagonal_mask, zeros

    padded = lax.pad(x, np.zeros((), aval_of(x).dtype), [(max(0, -k), max(0, k), 0)])
    along_rows = lax.broadcast_in_dim(padded, (size, size), (0,))
    return lax.select_n(
        diagonal_mask((size, size), k), zeros((size, size), aval_of(x).dtype), along_rows
    )


builtin_abs = abs


@at_once
def trace(
    a: ArrayLike,
    offset: int = 0,
    axis1: int = 0,
    axis2: int = 1,
    dtype: Any = None,
    out: None = None,
) -> Value:
    """The sum of the diagonal of the matrices over two axes; `out` must be None.

    >>> np.trace(np.array([[1, 2], [3, 4]]))
    Array(5, dtype=int32)
    """
    no_out("trace", out)
    from weft.numpy.reductions import sum as reduce_sum

    return reduce_sum(diagonal(a, offset, axis1, axis2), -1, dtype)


def tril_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Value, Value]:
    """Rows and columns of the lower triangle of an n×m matrix.

    >>> np.tril_indices(2)
    (Array([0, 1, 1], dtype=int32), Array([0, 0, 1], dtype=int32))
    """
    return _triangle_indices(np.tril_indices(n, k, m))


def triu_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Value, Value]:
    """Rows and columns of the upper triangle of an n×m matrix.

    >>> np.triu_indices(2)
    (Array([0, 0, 1], dtype=int32), Array([0, 1, 1], dtype=int32))
    """
    return _triangle_indices(np.triu_indices(n, k, m))


def _triangle_indices(found: tuple[np.ndarray, np.ndarray]) -> tuple[Value, Value]:
    from weft.array import from_numpy

    rows, columns = (from_numpy(index.astype(np.int32), owned=True) for index in found)
    return rows, columns


def shape(a: ArrayLike) -> tuple[int, ...]:
    """The lengths of the axes.

    >>> np.shape(np.ones((2, 3)))
    (2, 3)
    """
    check_arraylike("shape", a)
    return shape_of(a)


def ndim(a: ArrayLike) -> int:
    """The number of axes.

    >>> np.ndim(np.ones((2, 3)))
    2
    """
    check_arraylike("ndim", a)
    return len(shape_of(a))


def size(a: ArrayLike, axis: int | None = None) -> int:
    """The number of elements, or the length of one axis.

    >>> np.size(np.ones((2, 3)))
    6
    """
    check_arraylike("size", a)
    return aval_of(a).size if axis is None else shape_of(a)[axis]
