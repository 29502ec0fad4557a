"""Sorted arrays, and what is found by sorting: orders, distinct values, positions.

All but the functions whose results have a size that depends on values (`unique`, `argwhere`,
`flatnonzero`) are composed from primitives, so they can be traced, differentiated and batched. NaN
counts as the greatest number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import lax
from weft.core.trace import Tracer
from weft.numpy._common import (
    ArrayLike,
    Value,
    canonical_axis,
    check_arraylike,
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


def argsort(
    a: ArrayLike,
    axis: int | None = -1,
    kind: str | None = None,
    order: None = None,
    *,
    stable: bool | None = True,
    descending: bool = False,
) -> Value:
    """The indices (int32) that sort along `axis`; equal elements keep their order.

    `kind` and `stable` are accepted for compatibility: the sort is always stable.

    >>> argsort(np.array([3, 1, 3]), descending=True)
    Array([0, 2, 1], dtype=int32)
    """
    _check_kind("argsort", kind, order)
    x, number = _array_and_axis("argsort", a, axis)
    index = lax.broadcasted_iota(np.dtype(np.int32), shape_of(x), number)
    if not descending:
        return lax.sort_key_val(x, index, number)[1]
    # Sorted backwards and read backwards: equal elements stay in order.
    backwards = (lax.rev(x, (number,)), lax.rev(index, (number,)))
    return lax.rev(lax.sort_key_val(*backwards, number)[1], (number,))


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


def partition(a: ArrayLike, kth: int, axis: int | None = -1) -> Value:
    """The elements along `axis` so that the `kth` is in its place: here, sorted entirely."""
    x, number = _array_and_axis("partition", a, axis)
    _check_kth("partition", kth, shape_of(x)[number])
    return lax.sort(x, number)


def argpartition(a: ArrayLike, kth: int, axis: int | None = -1) -> Value:
    """The indices of `partition`."""
    x, number = _array_and_axis("argpartition", a, axis)
    _check_kth("argpartition", kth, shape_of(x)[number])
    return argsort(x, number)


def _check_kth(name: str, kth: int, size: int) -> None:
    """Raises ValueError unless an axis of `size` has a `kth` element."""
    if not -size <= kth < size:
        raise ValueError(f"weft.numpy.{name}: there is no element {kth} among {size}")


# ---------------------------------------------------------------- distinct values, positions


def unique(
    ar: ArrayLike,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
) -> Any:
    """The distinct values in ascending order (slices along `axis` if given).

    With `return_index`, `return_inverse` or `return_counts` a tuple: the values, then the indices
    of their first occurrences, those that rebuild the array from them, how often each occurs. How
    many there are depends on values, so the argument cannot be traced.

    >>> unique(np.array([3, 1, 3]), return_counts=True)
    (Array([1, 3], dtype=int32), Array([1, 2], dtype=int32))
    """
    from weft.numpy.taking import take

    check_arraylike("unique", ar)
    _check_concrete("unique", ar)
    x, number = _array_and_axis("unique", ar, axis)
    del sorted  # they always are
    _, first, inverse, counts = np.unique(
        np.asarray(x.concrete() if isinstance(x, Tracer) else x),
        return_index=True,
        return_inverse=True,
        return_counts=True,
        axis=None if axis is None else number,
        equal_nan=equal_nan,
    )
    inverse = inverse.reshape(shape_of(ar)) if axis is None else inverse
    wanted = ((first, return_index), (inverse, return_inverse), (counts, return_counts))
    found = [asarray(index.astype(np.int32)) for index, asked in wanted if asked]
    # Read from the array itself, so that values have derivatives under grad.
    values = take(x, first, number)
    return (values, *found) if found else values


def _check_concrete(name: str, x: ArrayLike) -> None:
    """Raises an error that says why values are needed if those of `x` are not known."""
    if isinstance(x, Tracer) and x.concrete() is None:
        raise x._concretization_error(
            f"{name}()",
            "The size of its result depends on values: call it outside weft.jit and weft.vmap, or "
            "use weft.numpy.sort, whose result has the shape of its argument.",
        )


def argwhere(a: ArrayLike) -> Value:
    """The indices of elements that are not zero, one in each row; the argument cannot be traced.

    >>> argwhere(np.array([[0, 1], [2, 0]]))
    Array([[0, 1],
           [1, 0]], dtype=int32)
    """
    from weft.numpy.joining import stack

    check_arraylike("argwhere", a)
    if not shape_of(a):
        count = len(nonzero(a)[0])
        return asarray(np.zeros((count, 0), np.int32))
    return stack(nonzero(a), 1)


def flatnonzero(a: ArrayLike) -> Value:
    """The indices of elements of the flat array that are not zero; it cannot be traced.

    >>> flatnonzero(np.array([0, 3, 0, 5]))
    Array([1, 3], dtype=int32)
    """
    from weft.numpy.shaping import ravel

    check_arraylike("flatnonzero", a)
    return nonzero(ravel(a))[0]
