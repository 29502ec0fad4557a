"""Sorting, and the greatest elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import aval_of
from weft.lax.operands import ArrayLike, Value, canonical_axis
from weft.lax.operands import operand as array_operand
from weft.lax.portable import sorting as _portable  # noqa: F401 registers the portable form
from weft.primitives import sort as sorting
from weft.primitives.arithmetic import neg
from weft.primitives.creation import iota
from weft.primitives.shaping import rev
from weft.primitives.slicing import slice_along


def sort(
    operand: Any, dimension: int = -1, is_stable: bool = True, num_keys: int = 1
) -> Value | tuple[Value, ...]:
    """An array, or a sequence of arrays of one shape, sorted along `dimension`.

    Arrays of a sequence are compared by the first `num_keys` of them, the first being primary;
    the others are moved along. NaN comes last, -0 equals 0, and complex numbers are compared by
    real and then imaginary part.

    >>> order, moved = lax.sort((np.array([3, 1, 2]), np.arange(3)))
    >>> moved
    Array([1, 2, 0], dtype=int32)
    """
    several = isinstance(operand, list | tuple)
    xs = [array_operand("sort", x) for x in (operand if several else [operand])]
    if not xs:
        raise TypeError("lax.sort needs at least one array, got an empty sequence.")
    axis = canonical_axis("sort", dimension, aval_of(xs[0]).ndim)
    outs = sorting.sort(xs, axis, is_stable, num_keys)
    return tuple(outs) if several else outs[0]


def sort_key_val(
    keys: ArrayLike, values: ArrayLike, dimension: int = -1, is_stable: bool = True
) -> tuple[Value, Value]:
    """`keys` sorted along `dimension`, and `values` moved along with them.

    >>> [x.tolist() for x in lax.sort_key_val(np.array([3, 1, 2]), np.array([0, 1, 2]))]
    [[1, 2, 3], [1, 2, 0]]
    """
    first, second = sort((keys, values), dimension, is_stable)
    return first, second


def top_k(operand: ArrayLike, k: int, *, axis: int = -1) -> tuple[Value, Value]:
    """The `k` greatest elements along `axis` and their indices (int32), greatest first.

    Of equal elements, the one of the lowest index comes first; NaN counts as the greatest.

    >>> lax.top_k(np.array([1, 5, 2, 5], np.int32), 3)
    (Array([5, 5, 2], dtype=int32), Array([1, 3, 2], dtype=int32))
    """
    x = array_operand("top_k", operand)
    aval = aval_of(x)
    number = canonical_axis("top_k", axis, aval.ndim)
    if not 0 <= k <= aval.shape[number]:
        raise ValueError(
            f"lax.top_k of {aval} along axis {number}: k is from 0 to "
            f"{aval.shape[number]}, got {k}."
        )
    # Sorted backwards and read backwards: equal elements stay in order.
    index = iota(np.dtype(np.int32), aval.shape, number)
    pair = sorting.sort([rev(x, (number,)), rev(index, (number,))], number)
    values, indices = (slice_along(rev(y, (number,)), 0, k, number) for y in pair)
    return values, indices


def approx_max_k(
    operand: ArrayLike,
    k: int,
    reduction_dimension: int = -1,
    recall_target: float = 0.95,
    reduction_input_size_override: int = -1,
    aggregate_to_topk: bool = True,
) -> tuple[Value, Value]:
    """:func:`top_k` along `reduction_dimension`, of floats: all of them are found.

    `recall_target` and the arguments after it, which elsewhere say how many may be missed, are
    accepted for compatibility.

    >>> lax.approx_max_k(np.asarray([1.0, 5.0, 2.0]), 2)
    (Array([5., 2.], dtype=float32), Array([1, 2], dtype=int32))
    """
    return top_k(_floats("approx_max_k", operand), k, axis=reduction_dimension)


def approx_min_k(
    operand: ArrayLike,
    k: int,
    reduction_dimension: int = -1,
    recall_target: float = 0.95,
    reduction_input_size_override: int = -1,
    aggregate_to_topk: bool = True,
) -> tuple[Value, Value]:
    """The `k` least elements along `reduction_dimension` and their indices, the least first.

    See :func:`approx_max_k`.

    >>> lax.approx_min_k(np.asarray([1.0, 5.0, 2.0]), 2)
    (Array([1., 2.], dtype=float32), Array([0, 2], dtype=int32))
    """
    values, indices = top_k(neg(_floats("approx_min_k", operand)), k, axis=reduction_dimension)
    return neg(values), indices


def _floats(name: str, operand: ArrayLike) -> Value:
    x = array_operand(name, operand)
    if not dtypes.is_floating(aval_of(x).dtype):
        raise TypeError(f"lax.{name} needs floating-point numbers, got {aval_of(x)}.")
    return x
