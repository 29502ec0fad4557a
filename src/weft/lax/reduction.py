"""Reductions, running reductions, and products summed over axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.core.avals import aval_of
from weft.core.primitive import Primitive
from weft.lax.examples import EXAMPLES
from weft.lax.folding import Combine, Folding, combine_arrays
from weft.lax.operands import ArrayLike, Value, canonical_axes, canonical_axis, operand
from weft.lax.operands import operand as as_operand
from weft.lax.precision import check_precision
from weft.primitives import argreduce, arithmetic, bitwise, cumulative, reduction
from weft.primitives import dot_general as contraction
from weft.primitives.joining import concatenate
from weft.primitives.shaping import broadcast_in_dim, reshape, transpose
from weft.primitives.slicing import slice_along

# ---------------------------------------------------------------- reductions by one operation


def _reduction(
    name: str, apply: Callable[[Value, Sequence[int]], Value], doc: str
) -> Callable[[ArrayLike, Sequence[int]], Value]:
    def function(operand: ArrayLike, axes: Sequence[int]) -> Value:
        x = as_operand(name, operand)
        return apply(x, canonical_axes(name, axes, aval_of(x).ndim))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{doc} over `axes`, which the result lacks." + EXAMPLES.get(name, "")
    return function


reduce_sum = _reduction("reduce_sum", reduction.reduce_sum, "The sum")
reduce_prod = _reduction("reduce_prod", reduction.reduce_prod, "The product")
reduce_max = _reduction("reduce_max", reduction.reduce_max, "The greatest element")
reduce_min = _reduction("reduce_min", reduction.reduce_min, "The least element")
reduce_and = _reduction("reduce_and", reduction.reduce_and, "Bitwise or logical `and`")
reduce_or = _reduction("reduce_or", reduction.reduce_or, "Bitwise or logical `or`")
reduce_xor = _reduction("reduce_xor", reduction.reduce_xor, "Bitwise or logical exclusive `or`")


def argmax(operand: ArrayLike, axis: int, index_dtype: Any = np.int32) -> Value:
    """The index of the first greatest element along `axis`; a NaN counts as the greatest.

    >>> lax.argmax(np.array([[1, 4], [3, 2]]), 1, np.int32)
    Array([1, 0], dtype=int32)
    """
    axis = canonical_axis("argmax", axis, aval_of(operand).ndim)
    return argreduce.argmax(operand, axis, index_dtype)


def argmin(operand: ArrayLike, axis: int, index_dtype: Any = np.int32) -> Value:
    """The index of the first least element along `axis`; a NaN counts as the least.

    >>> lax.argmin(np.array([[1, 4], [3, 2]]), 1, np.int32)
    Array([0, 1], dtype=int32)
    """
    axis = canonical_axis("argmin", axis, aval_of(operand).ndim)
    return argreduce.argmin(operand, axis, index_dtype)


# ---------------------------------------------------------------- reductions by any operation

#: The reduction that folds with each binary primitive.
_MONOIDS: dict[Primitive, Callable[[Value, Sequence[int]], Value]] = {
    arithmetic.add_p: reduction.reduce_sum,
    arithmetic.mul_p: reduction.reduce_prod,
    arithmetic.max_p: reduction.reduce_max,
    arithmetic.min_p: reduction.reduce_min,
    bitwise.and_p: reduction.reduce_and,
    bitwise.or_p: reduction.reduce_or,
    bitwise.xor_p: reduction.reduce_xor,
}


def reduce(
    operands: Any,
    init_values: Any,
    computation: Callable[[Any, Any], Any],
    dimensions: Sequence[int],
) -> Any:
    """Fold arrays along `dimensions` with an associative function.

    `operands` is an array or a tree of arrays of one shape, `init_values` a like tree of scalars,
    the identity of `computation`. ``computation(a, b)`` takes and returns such trees of scalars.
    One that is a single addition, product, maximum, minimum or bitwise operation becomes the
    reduction of that name; any other is applied to neighbours, in log2(n) vectorised steps.

    >>> lax.reduce(np.ones((2, 3)), 0.0, lax.add, (1,))
    Array([3., 3.], dtype=float32)
    """
    folding = Folding("reduce", operands, init_values, computation)
    axes = canonical_axes("reduce", dimensions, folding.avals[0].ndim)
    return folding.finish(folded(folding, axes))


def folded(folding: Folding, axes: Sequence[int]) -> list[Value]:
    """The operands folded along `axes`; the initial values only where there is nothing to fold."""
    primitive = folding.recognised()
    if primitive in _MONOIDS:
        return [_MONOIDS[primitive](folding.xs[0], axes)]
    return _fold_neighbours(folding.combine, folding.xs, folding.starts, axes)


def _fold_neighbours(
    combine: Combine,
    xs: Sequence[Value],
    starts: Sequence[Value],
    axes: Sequence[int],
) -> list[Value]:
    """Fold along `axes` by combining neighbours, which keeps their order, until one is left."""
    shape = aval_of(xs[0]).shape
    kept = [d for d in range(len(shape)) if d not in axes]
    rows = tuple(shape[d] for d in kept)
    count = math.prod(shape[d] for d in axes)
    xs = [reshape(transpose(x, (*kept, *axes)), (*rows, count)) for x in xs]
    last = len(rows)
    if count == 0:
        return [broadcast_in_dim(start, rows, ()) for start in starts]
    while count > 1:
        half = count // 2
        left = [slice_along(x, 0, 2 * half, last, 2) for x in xs]
        right = [slice_along(x, 1, 2 * half, last, 2) for x in xs]
        rest = [slice_along(x, 2 * half, count, last) for x in xs]
        xs = combine_arrays(combine, left, right)
        if count % 2:
            xs = [concatenate(pair, last) for pair in zip(xs, rest, strict=True)]
        count = half + count % 2
    return [reshape(x, rows) for x in xs]


# ---------------------------------------------------------------- running reductions


def cumsum(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Value:
    """The sum of all elements up to each one along `axis` (from the end if `reverse`).

    >>> lax.cumsum(np.array([1, 2, 3]))
    Array([1, 3, 6], dtype=int32)
    >>> lax.cumsum(np.array([1, 2, 3]), reverse=True)
    Array([6, 5, 3], dtype=int32)
    """
    axis = canonical_axis("cumsum", axis, aval_of(operand).ndim)
    return cumulative.cumsum(operand, axis, reverse)


def cumprod(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Value:
    """The product of all elements up to each one along `axis` (from the end if `reverse`).

    >>> lax.cumprod(np.array([1, 2, 3]))
    Array([1, 2, 6], dtype=int32)
    """
    axis = canonical_axis("cumprod", axis, aval_of(operand).ndim)
    return cumulative.cumprod(operand, axis, reverse)


def cummax(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Value:
    """The greatest element up to each one along `axis` (from the end if `reverse`).

    >>> lax.cummax(np.array([1, 3, 2]))
    Array([1, 3, 3], dtype=int32)
    """
    axis = canonical_axis("cummax", axis, aval_of(operand).ndim)
    return cumulative.cummax(operand, axis, reverse)


def cummin(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Value:
    """The least element up to each one along `axis` (from the end if `reverse`).

    >>> lax.cummin(np.array([3, 1, 2]))
    Array([3, 1, 1], dtype=int32)
    """
    axis = canonical_axis("cummin", axis, aval_of(operand).ndim)
    return cumulative.cummin(operand, axis, reverse)


def cumlogsumexp(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Value:
    """log of the sum of exp of all elements up to each one along `axis` (from the end if
    `reverse`), without overflow.

    >>> lax.cumlogsumexp(np.array([0.0, 0.0, 0.0])).round(4)
    Array([0.    , 0.6931, 1.0986], dtype=float32)
    """
    axis = canonical_axis("cumlogsumexp", axis, aval_of(operand).ndim)
    return cumulative.cumlogsumexp(operand, axis, reverse)


# ---------------------------------------------------------------- products summed over axes


def dot_general(
    lhs: ArrayLike,
    rhs: ArrayLike,
    dimension_numbers: Any,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Value:
    """Products of elements, summed over contracted axes, for each index of the batch axes.

    ``dimension_numbers = ((lhs_contract, rhs_contract), (lhs_batch, rhs_batch))``. The result has
    the batch axes, then the other axes of `lhs`, then those of `rhs`. With
    `preferred_element_type` products are accumulated and returned in that dtype. `precision` is
    accepted for compatibility: products are never computed in less than the operands' precision.

    >>> lax.dot_general(np.ones((2, 3)), np.ones((3, 4)), (((1,), (0,)), ((), ()))).shape
    (2, 4)
    """
    check_precision("dot_general", precision)
    (lc, rc), (lb, rb) = dimension_numbers
    left, right = aval_of(operand("dot_general", lhs)), aval_of(operand("dot_general", rhs))
    numbers = (
        (
            canonical_axes("dot_general", lc, left.ndim),
            canonical_axes("dot_general", rc, right.ndim),
        ),
        (
            canonical_axes("dot_general", lb, left.ndim),
            canonical_axes("dot_general", rb, right.ndim),
        ),
    )
    return contraction.dot_general(lhs, rhs, numbers, preferred_element_type)


def dot(
    lhs: ArrayLike,
    rhs: ArrayLike,
    *,
    dimension_numbers: Any = None,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Value:
    """The product of vectors and matrices: the last axis of `lhs` with the first of `rhs`.

    With `dimension_numbers`, and in all else, as :func:`dot_general`.

    >>> lax.dot(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    Array(11., dtype=float32)
    """
    check_precision("dot", precision)
    if dimension_numbers is not None:
        return dot_general(lhs, rhs, dimension_numbers, precision, preferred_element_type)
    left, right = aval_of(operand("dot", lhs)), aval_of(operand("dot", rhs))
    if not (1 <= left.ndim <= 2 and 1 <= right.ndim <= 2):
        raise TypeError(f"lax.dot needs vectors or matrices, got {left} and {right}.")
    if left.shape[-1] != right.shape[0]:
        raise TypeError(
            f"lax.dot of {left} and {right}: the last axis of the first, {left.shape[-1]}, must "
            f"match the first axis of the second, {right.shape[0]}."
        )
    numbers = (((left.ndim - 1,), (0,)), ((), ()))
    return contraction.dot_general(lhs, rhs, numbers, preferred_element_type)


def batch_matmul(lhs: ArrayLike, rhs: ArrayLike, precision: Any = None) -> Value:
    """Matrix products of the last two axes, for each index of the leading ones.

    >>> lax.batch_matmul(np.ones((5, 2, 3)), np.ones((5, 3, 4))).shape
    (5, 2, 4)
    """
    check_precision("batch_matmul", precision)
    left, right = aval_of(operand("batch_matmul", lhs)), aval_of(operand("batch_matmul", rhs))
    if left.ndim != right.ndim or left.ndim < 2:
        raise ValueError(
            f"lax.batch_matmul needs operands with equally many axes, two or more, "
            f"got {left} and {right}."
        )
    batch = tuple(range(left.ndim - 2))
    numbers = (((left.ndim - 1,), (left.ndim - 2,)), (batch, batch))
    return contraction.dot_general(lhs, rhs, numbers)
