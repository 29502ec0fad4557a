"""Sorted arrays, and what is found by sorting: orders and positions.

Everything is composed from primitives, so it can be traced, differentiated and batched. NaN
counts as the greatest number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import lax
from weft.array.calls import at_once
from weft.core import dtypes
from weft.numpy._common import (
    ArrayLike,
    DType,
    Value,
    canonical_axis,
    check_arraylike,
    convert,
    dtype_of,
    shape_of,
)
from weft.numpy.creation import asarray
from weft.numpy.select import nonzero


def _array_and_axis(name: str, a: ArrayLike, axis: int | None) -> tuple[Value, int]:
    """An array and which of its axes is meant; without one the array is flattened."""
    from weft.numpy.shaping import ravel

    check_arraylike(name, a)
    x = asarray(a)
    if axis is None:
        return ravel(x), 0
    return x, canonical_axis(name, axis, len(shape_of(x)))


def _check_kind(name: str, kind: str | None, order: None) -> None:
    if order is not None:
        raise TypeError(f"weft.numpy.{name}: order= is for structured arrays, which do not exist")
    if kind not in (None, "quicksort", "mergesort", "heapsort", "stable"):
        raise ValueError(
            f"weft.numpy.{name}: kind={kind!r} is not a sort; leave it out, the sort is stable"
        )


@at_once
def sort(
    a: ArrayLike,
    axis: int | None = -1,
    kind: str | None = None,
    order: None = None,
    *,
    stable: bool | None = True,
    descending: bool = False,
) -> Value:
    """The elements in ascending order along `axis` (of the flat array for None).

    `kind` is accepted for compatibility with NumPy.

    >>> sort(np.array([3, 1, 2]))
    Array([1, 2, 3], dtype=int32)
    """
    _check_kind("sort", kind, order)
    x, number = _array_and_axis("sort", a, axis)
    result = lax.sort(x, number, is_stable=stable is not False)
    return lax.rev(result, (number,)) if descending else result


@at_once
def argsort(
    a: ArrayLike,
    axis: int | None = -1,
    kind: str | None = None,
    order: None = None,
    *,
    stable: bool | None = True,
    descending: bool = False,
    dtype: DType = None,
) -> Value:
    """The indices (int32, or `dtype`) that sort along `axis`; equal elements keep their order.

    `kind` and `stable` are accepted for compatibility: the sort is always stable.

    >>> argsort(np.array([3, 1, 3]), descending=True)
    Array([0, 2, 1], dtype=int32)
    """
    _check_kind("argsort", kind, order)
    x, number = _array_and_axis("argsort", a, axis)
    target = dtypes.int32 if dtype is None else dtypes.canonical_dtype(dtype)
    index = lax.broadcasted_iota(target, shape_of(x), number)
    if not descending:
        return lax.sort_key_val(x, index, number)[1]
    # Sorted backwards and read backwards: equal elements stay in order.
    backwards = (lax.rev(x, (number,)), lax.rev(index, (number,)))
    return lax.rev(lax.sort_key_val(*backwards, number)[1], (number,))


@at_once
def lexsort(keys: Sequence[ArrayLike] | ArrayLike, axis: int = -1) -> Value:
    """The indices (int32) that sort by several keys, of which the last is primary.

    >>> lexsort((np.array([1, 0, 0]), np.array([5, 5, 4])))
    Array([2, 1, 0], dtype=int32)
    """
    several = isinstance(keys, list | tuple)
    xs = [asarray(x) for x in (keys if several else list(asarray(keys)))]
    if not xs:
        raise TypeError("weft.numpy.lexsort: there must be at least one key")
    shapes = [shape_of(x) for x in xs]
    if len(set(shapes)) > 1:
        raise ValueError(f"weft.numpy.lexsort: keys must have one shape, got {shapes}")
    number = canonical_axis("lexsort", axis, len(shapes[0]))
    index = lax.broadcasted_iota(np.dtype(np.int32), shapes[0], number)
    return lax.sort((*reversed(xs), index), number, num_keys=len(xs))[-1]


@at_once
def partition(a: ArrayLike, kth: int, axis: int | None = -1) -> Value:
    """The elements along `axis` so that the `kth` is in its place: here, sorted entirely.

    >>> np.partition(np.array([3, 1, 2]), 1)
    Array([1, 2, 3], dtype=int32)
    """
    x, number = _array_and_axis("partition", a, axis)
    _check_kth("partition", kth, shape_of(x)[number])
    return lax.sort(x, number)


@at_once
def argpartition(a: ArrayLike, kth: int, axis: int | None = -1) -> Value:
    """The indices of `partition`.

    >>> np.argpartition(np.array([3, 1, 2]), 1)
    Array([1, 2, 0], dtype=int32)
    """
    x, number = _array_and_axis("argpartition", a, axis)
    _check_kth("argpartition", kth, shape_of(x)[number])
    return argsort(x, number)


def _check_kth(name: str, kth: int, size: int) -> None:
    """Raises ValueError unless an axis of `size` has a `kth` element."""
    if not -size <= kth < size:
        raise ValueError(f"weft.numpy.{name}: there is no element {kth} among {size}")


# ---------------------------------------------------------------- positions


def argwhere(a: ArrayLike, *, size: int | None = None, fill_value: Any = None) -> Value:
    """The indices of elements that are not zero, one in each row.

    Their number depends on values; `size` fixes it, as that of `nonzero` does.

    >>> argwhere(np.array([[0, 1], [2, 0]]))
    Array([[0, 1],
           [1, 0]], dtype=int32)
    """
    from weft.numpy.joining import stack
    from weft.numpy.shaping import atleast_1d

    check_arraylike("argwhere", a)
    found = nonzero(atleast_1d(a), size=size, fill_value=fill_value)
    return stack(found, 1) if shape_of(a) else stack(found, 1)[:, :0]


def flatnonzero(a: ArrayLike, *, size: int | None = None, fill_value: Any = None) -> Value:
    """The indices of elements of the flat array that are not zero.

    Their number depends on values; `size` fixes it, as that of `nonzero` does.

    >>> flatnonzero(np.array([0, 3, 0, 5]))
    Array([1, 3], dtype=int32)
    """
    from weft.numpy.shaping import ravel

    check_arraylike("flatnonzero", a)
    return nonzero(ravel(a), size=size, fill_value=fill_value)[0]


def sort_complex(a: ArrayLike) -> Value:
    """The elements along the last axis in ascending order, as complex numbers.

    They are ordered by their real parts, then their imaginary parts.

    >>> sort_complex(np.array([2, 1]))
    Array([1.+0.j, 2.+0.j], dtype=complex64)
    """
    check_arraylike("sort_complex", a)
    if not shape_of(a):
        raise ValueError("weft.numpy.sort_complex: an array without axes has no order")
    result = sort(a)
    dtype = dtypes.result_type(dtype_of(result), dtypes.complex64)[0]
    return convert("sort_complex", result, dtype)
