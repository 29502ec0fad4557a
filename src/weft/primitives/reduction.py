"""Reductions over any set of axes: sums, products, extrema, and logical operations.

The result lacks the reduced axes. Reducing nothing gives the identity of the operation: 0, 1, the
least or greatest value of the dtype, all bits set or none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.linear import is_zero
from weft.core.primitive import Primitive
from weft.core.shape_classes import keep_params
from weft.primitives.arithmetic import add, div, mul
from weft.primitives.comparison import eq
from weft.primitives.convert import convert_element_type
from weft.primitives.joining import concatenate
from weft.primitives.rules import (
    BITS,
    NUMBER,
    ORDERED,
    Accepts,
    Axes,
    Dual,
    Value,
    Values,
    check_accepts,
    check_axes,
    def_linear,
    def_no_derivative,
    dtype_of,
    remembered,
    shape_of,
    zero_tangent,
)
from weft.primitives.select import select_n
from weft.primitives.shaping import broadcast_in_dim, full_like, move_axis, reshape, transpose
from weft.primitives.slicing import slice_along
from weft.terms import build, monoids
from weft.terms.complex_math import Complex
from weft.terms.lower import Lowering, by_parts, insert, reduction_axes
from weft.terms.monoids import Monoid
from weft.terms.tensor import ComplexTensor, Indices


def least(dtype: np.dtype) -> Any:
    """The identity of ``max``: the least value of a dtype."""
    if dtypes.is_floating(dtype):
        return -math.inf
    return False if dtypes.is_bool(dtype) else np.iinfo(dtype).min


def greatest(dtype: np.dtype) -> Any:
    """The identity of ``min``: the greatest value of a dtype."""
    if dtypes.is_floating(dtype):
        return math.inf
    return True if dtypes.is_bool(dtype) else np.iinfo(dtype).max


def reduction(
    name: str, accepts: Accepts, monoid: Monoid, *, numpy: Callable[..., Any]
) -> Primitive:
    """Declare a reduction; `numpy` takes the array and ``axis=`` a tuple of axes."""
    primitive = Primitive(name)

    def type_rule(x: ShapedArray, *, axes: tuple[int, ...]) -> ShapedArray:
        check_accepts(name, accepts, x)
        check_axes(name, x, axes)
        return x.update(shape=tuple(n for d, n in enumerate(x.shape) if d not in axes))

    def meaning(x: np.ndarray, *, axes: tuple[int, ...]) -> np.ndarray:
        # 16-bit floats are accumulated in 32 bits.
        narrow = dtypes.is_floating(x.dtype) and x.dtype.itemsize < 4
        with np.errstate(all="ignore"):
            return np.asarray(numpy(x.astype(np.float32) if narrow else x, axis=axes), x.dtype)

    def batch(axis_size: int, args: Any, dims: Any, *, axes: tuple[int, ...]) -> tuple:
        x = move_axis(args[0], dims[0], 0)
        return primitive.bind(x, axes=tuple(d + 1 for d in axes)), 0

    def lowered(ctx: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        wide = build.accumulator_dtype(x.dtype)
        over = reduction_axes(x.shape, axes)
        return ctx.define(
            ctx.out.shape,
            x.dtype,
            lambda index: build.cast(
                build.fold(monoid, over, build.cast(x.at(insert(index, axes, over)), wide)), x.dtype
            ),
        )

    primitive.def_type(remembered(type_rule))
    primitive.def_numpy(meaning)
    primitive.def_batch(batch)
    primitive.def_lower(lowered)
    primitive.def_sizes(keep_params)
    return primitive


def reducer(primitive: Primitive) -> Callable[[Value, Sequence[int]], Value]:
    """The function ``reduce(x, axes)`` that applies a reduction."""

    def reduce(x: Value, axes: Sequence[int]) -> Value:
        return primitive.bind(x, axes=tuple(axes)) if len(tuple(axes)) else x

    return reduce


def spread(x: Value, shape: Sequence[int], axes: Sequence[int]) -> Value:
    """A reduced array repeated along the axes that were reduced away."""
    return broadcast_in_dim(x, shape, [d for d in range(len(shape)) if d not in axes])


# ---------------------------------------------------------------- reduce_sum

reduce_sum_p = reduction(
    "reduce_sum", NUMBER, monoids.ADD, numpy=lambda x, axis: np.sum(x, axis=axis, dtype=x.dtype)
)
by_parts(reduce_sum_p)
reduce_sum = reducer(reduce_sum_p)
def_linear(reduce_sum_p, lambda ct, x, *, axes: spread(ct, x.shape, axes))

# ---------------------------------------------------------------- reduce_prod

reduce_prod_p = reduction(
    "reduce_prod", NUMBER, monoids.MUL, numpy=lambda x, axis: np.prod(x, axis=axis, dtype=x.dtype)
)
reduce_prod = reducer(reduce_prod_p)


@reduce_prod_p.def_lower_complex
def _(ctx: Lowering, x: ComplexTensor, *, axes: Axes) -> ComplexTensor:
    over = reduction_axes(x.shape, axes)

    def element(index: Indices) -> Complex:
        product = build.fold(monoids.COMPLEX_MUL, over, *x.at(insert(index, axes, over)))
        return build.component(product, 0), build.component(product, 1)

    return ctx.define_complex(ctx.out.shape, ctx.out.dtype, element)


@reduce_prod_p.def_jvp
def _(primals: Values, tangents: Values, *, axes: Axes) -> Dual:
    (x,), (t,) = primals, tangents
    ans = reduce_prod(x, axes)
    if is_zero(t):
        return ans, zero_tangent(ans)
    # Multiply neighbours pairwise by the product rule, halving each time: unlike a quotient
    # ans / x, this is right where factors are zero.
    kept = [d for d in range(len(shape_of(x))) if d not in axes]
    count = math.prod(shape_of(x)[d] for d in axes)
    if count == 0:
        return ans, zero_tangent(ans)
    rows = (*(shape_of(x)[d] for d in kept), count)
    x, t = (reshape(transpose(v, (*kept, *axes)), rows) for v in (x, t))
    last = len(kept)
    while count > 1:
        half = count // 2
        (a, b, odd_x), (da, db, odd_t) = _halves(x, last, half), _halves(t, last, half)
        x, t = mul(a, b), add(mul(da, b), mul(a, db))
        if count % 2:
            x, t = concatenate([x, odd_x], last), concatenate([t, odd_t], last)
        count = half + count % 2
    return ans, reshape(t, shape_of(ans))


def _halves(x: Value, axis: int, half: int) -> tuple[Value, Value, Value]:
    """The first `half` elements, the next `half`, and what is left over."""
    size = shape_of(x)[axis]
    return (
        slice_along(x, 0, half, axis),
        slice_along(x, half, 2 * half, axis),
        slice_along(x, 2 * half, size, axis),
    )


# ---------------------------------------------------------------- reduce_max, reduce_min

reduce_max_p = reduction(
    "reduce_max",
    ORDERED,
    monoids.MAX,
    numpy=lambda x, axis: np.max(x, axis=axis, initial=least(x.dtype)),
)
reduce_max = reducer(reduce_max_p)

reduce_min_p = reduction(
    "reduce_min",
    ORDERED,
    monoids.MIN,
    numpy=lambda x, axis: np.min(x, axis=axis, initial=greatest(x.dtype)),
)
reduce_min = reducer(reduce_min_p)


def _def_extremum_jvp(primitive: Primitive) -> None:
    @primitive.def_jvp
    def _(primals: Values, tangents: Values, *, axes: Axes) -> Dual:
        (x,), (t,) = primals, tangents
        ans = primitive.bind(x, axes=axes)
        if is_zero(t):
            return ans, zero_tangent(ans)
        # The tangent is the mean of the tangents of the elements that attain the extremum.
        attains = eq(x, spread(ans, shape_of(x), axes))
        hits = reduce_sum(convert_element_type(attains, dtype_of(x)), axes)
        total = reduce_sum(select_n(attains, full_like(t, 0), t), axes)
        return ans, div(total, hits)


_def_extremum_jvp(reduce_max_p)
_def_extremum_jvp(reduce_min_p)

# ---------------------------------------------------------------- reduce_and, reduce_or, reduce_xor

reduce_and_p = reduction("reduce_and", BITS, monoids.AND, numpy=np.bitwise_and.reduce)
reduce_and = reducer(reduce_and_p)
def_no_derivative(reduce_and_p)

reduce_or_p = reduction("reduce_or", BITS, monoids.OR, numpy=np.bitwise_or.reduce)
reduce_or = reducer(reduce_or_p)
def_no_derivative(reduce_or_p)

reduce_xor_p = reduction("reduce_xor", BITS, monoids.XOR, numpy=np.bitwise_xor.reduce)
reduce_xor = reducer(reduce_xor_p)
def_no_derivative(reduce_xor_p)
