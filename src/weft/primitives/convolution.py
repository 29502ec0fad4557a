"""``convolution``: products summed over windows, a `dot_general` whose left operand slides.

The axes of the operands and of the result come in groups of fixed order::

    lhs [*groups, *rows,    *contracted, *space ]
    rhs [*groups, *columns, *contracted, *window]
    out [*groups, *rows,    *columns,    *places]

    out[g, n, o, p] = sum over c, k of lhs[g, n, c, p·stride + k·dilation] · rhs[g, o, c, k]

Only windows that lie inside of the left operand count: padding is `pad` before it, and so is the
dilation of the left operand.  It is linear in each operand, and both transposes are convolutions
again: that of ``lhs`` slides the reversed window over the padded cotangent, that of ``rhs`` slides
the cotangent, as a window, over ``lhs``.  A mapped axis becomes a group, a row or a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.linear import is_undef, is_zero
from weft.core.primitive import Primitive
from weft.primitives.arithmetic import add
from weft.primitives.convert import convert_element_type
from weft.primitives.rules import (
    NUMBER,
    Batched,
    Cotangents,
    Dims,
    Dual,
    Shape,
    Value,
    Values,
    all_weak,
    check_accepts,
    check_same_dtype,
    dtype_of,
    shape_of,
    zero_tangent,
)
from weft.primitives.shaping import full, move_axis, rev, transpose
from weft.primitives.slicing import pad, slice_along
from weft.terms import build, monoids
from weft.terms.lower import Indices, Lowering, Tensor, bilinear, points, reduction_axes
from weft.terms.term import Term

convolution_p = Primitive("convolution")


def convolution(
    lhs: Value,
    rhs: Value,
    strides: Sequence[int],
    dilation: Sequence[int],
    groups: int = 0,
    contracted: int = 1,
    preferred_element_type: Any = None,
) -> Value:
    """Slide `rhs` over `lhs`, both with `groups` and `contracted` axes of these kinds.

    `strides` and `dilation` have a number for each axis of the window.  With
    `preferred_element_type`, products are accumulated and returned in that dtype.
    """
    if preferred_element_type is not None:
        preferred_element_type = dtypes.canonical_dtype(preferred_element_type)
        if preferred_element_type == dtype_of(lhs):
            preferred_element_type = None
    return convolution_p.bind(
        lhs,
        rhs,
        strides=tuple(map(int, strides)),
        dilation=tuple(map(int, dilation)),
        groups=groups,
        contracted=contracted,
        preferred_element_type=preferred_element_type,
    )


class _Axes:
    """The shape of one operand by groups of axes."""

    def __init__(self, shape: Shape, groups: int, contracted: int, spatial: int) -> None:
        inner = len(shape) - spatial
        self.groups = shape[:groups]
        self.free = shape[groups : inner - contracted]
        self.contracted = shape[inner - contracted : inner]
        self.spatial = shape[inner:]


def _reach(window: int, dilation: int) -> int:
    """Elements that a dilated window spans."""
    return (window - 1) * dilation + 1 if window else 0


def _places(size: int, window: int, stride: int, dilation: int) -> int:
    """How many windows fit."""
    room = size - _reach(window, dilation)
    return room // stride + 1 if room >= 0 else 0


@convolution_p.def_type
def _(
    lhs: ShapedArray,
    rhs: ShapedArray,
    *,
    strides: Shape,
    dilation: Shape,
    groups: int,
    contracted: int,
    preferred_element_type: np.dtype | None,
) -> ShapedArray:
    check_accepts("convolution", NUMBER, lhs, rhs)
    check_same_dtype("convolution", lhs, rhs)
    fixed = groups + contracted + len(strides)
    if len(dilation) != len(strides) or min(lhs.ndim, rhs.ndim) < fixed:
        raise ValueError(
            f"convolution of {lhs} and {rhs} needs one stride and one dilation for each axis of "
            f"the window, and {groups} group and {contracted} contracted axes beside these; got "
            f"strides {strides} and dilation {dilation}."
        )
    if any(n < 1 for n in (*strides, *dilation)):
        raise ValueError(
            f"convolution needs positive strides and dilations, got {strides} and {dilation}."
        )
    left, right = (_Axes(x.shape, groups, contracted, len(strides)) for x in (lhs, rhs))
    if left.groups != right.groups or left.contracted != right.contracted:
        raise ValueError(
            f"convolution of {lhs} and {rhs}: group axes of sizes {left.groups} and "
            f"{right.groups}, and contracted axes of sizes {left.contracted} and "
            f"{right.contracted}, have to be the same."
        )
    if preferred_element_type is not None and (
        dtypes.kind_name(preferred_element_type) != dtypes.kind_name(lhs.dtype)
    ):
        raise TypeError(
            f"convolution of {lhs} and {rhs} cannot have preferred_element_type="
            f"{preferred_element_type}, a different kind of number. Convert the operands first."
        )
    places = map(_places, left.spatial, right.spatial, strides, dilation)
    shape = (*left.groups, *left.free, *right.free, *places)
    if preferred_element_type is not None:
        return ShapedArray(shape, preferred_element_type)
    return ShapedArray(shape, lhs.dtype, all_weak(lhs, rhs))


@convolution_p.def_numpy
def _(
    lhs: np.ndarray,
    rhs: np.ndarray,
    *,
    strides: Shape,
    dilation: Shape,
    groups: int,
    contracted: int,
    preferred_element_type: np.dtype | None,
) -> np.ndarray:
    out = preferred_element_type or lhs.dtype
    # 16-bit floats are accumulated in 32 bits, whatever the dtype of the result.
    wide = np.dtype(np.float32) if dtypes.is_floating(out) and out.itemsize < 4 else out
    left, right = (_Axes(x.shape, groups, contracted, len(strides)) for x in (lhs, rhs))
    places = tuple(map(_places, left.spatial, right.spatial, strides, dilation))
    shape = (*left.groups, *left.free, *right.free, *places)
    if not all(places) or not all(right.spatial):
        return np.zeros(shape, out)
    window = map(_reach, right.spatial, dilation)
    spatial = tuple(range(lhs.ndim - len(strides), lhs.ndim))
    windows = np.lib.stride_tricks.sliding_window_view(lhs, tuple(window), spatial)
    steps: Any = [slice(None, None, step) for step in (*strides, *dilation)]
    windows = windows[(..., *steps)].astype(wide)
    names = iter(range(1000))

    def fresh(axes: Sequence[int]) -> list[int]:
        return [next(names) for _ in axes]

    g, n, o, c, p, k = map(
        fresh,
        (left.groups, left.free, right.free, left.contracted, places, right.spatial),
    )
    with np.errstate(all="ignore"):
        product = np.einsum(
            windows, [*g, *n, *c, *p, *k], rhs.astype(wide), [*g, *o, *c, *k], [*g, *n, *o, *p]
        )
    return np.asarray(product, out)


@convolution_p.def_lower
def _(
    ctx: Lowering,
    lhs: Tensor,
    rhs: Tensor,
    *,
    strides: Shape,
    dilation: Shape,
    groups: int,
    contracted: int,
    preferred_element_type: np.dtype | None,
) -> Tensor:
    out = ctx.out.dtype
    wide = build.accumulator_dtype(out)
    spatial = len(strides)
    over = reduction_axes(rhs.shape, range(rhs.ndim - contracted - spatial, rhs.ndim))
    inner = points(over)
    over = tuple(a for a in over if a.extent != 1)
    channels, window = inner[:contracted], inner[contracted:]
    rows = lhs.ndim - contracted - spatial  # group axes included

    def element(index: Indices) -> Term:
        columns, places = index[rows : -spatial or None], index[len(index) - spatial :]
        at = [p * s for p, s in zip(places, strides, strict=True)]
        at = [p + k * d for p, k, d in zip(at, window, dilation, strict=True)]
        left = build.cast(lhs.at((*index[:rows], *channels, *at)), wide)
        right = build.cast(rhs.at((*index[:groups], *columns, *inner)), wide)
        product: Term = build.op("mul", left, right)
        if over:
            product = build.fold(monoids.ADD, over, product)
        return build.cast(product, out)

    return ctx.define(ctx.out.shape, out, element)


bilinear(convolution_p)


@convolution_p.def_jvp
def _(primals: Values, tangents: Values, **params: Any) -> Dual:
    ans = convolution_p.bind(*primals, **params)
    (x, y), (dx, dy) = primals, tangents
    terms = []
    if not is_zero(dx):
        terms.append(convolution_p.bind(dx, y, **params))
    if not is_zero(dy):
        terms.append(convolution_p.bind(x, dy, **params))
    if not terms:
        return ans, zero_tangent(ans)
    return ans, terms[0] if len(terms) == 1 else add(*terms)


@convolution_p.def_transpose
def _(ct: Value, lhs: Value, rhs: Value, **params: Any) -> Cotangents:
    if is_zero(ct):
        return [None, None]
    which = 0 if is_undef(lhs) else 1
    x, transposed = ((lhs, _transposed_lhs), (rhs, _transposed_rhs))[which]
    if 0 in (*shape_of(ct), *shape_of(x), *shape_of((rhs, lhs)[which])):
        result = full(shape_of(x), 0, dtype_of(x))
    else:
        result = transposed(ct, lhs, rhs, **params)
    return [result, None] if which == 0 else [None, result]


def _transposed_lhs(
    ct: Value,
    lhs: Value,
    rhs: Value,
    *,
    strides: Shape,
    dilation: Shape,
    groups: int,
    contracted: int,
    preferred_element_type: np.dtype | None,
) -> Value:
    """Slide the reversed window, its columns contracted, over the cotangent."""
    spatial = len(strides)
    left, right = (_Axes(shape_of(x), groups, contracted, spatial) for x in (lhs, rhs))
    config = [(0, 0, 0)] * (len(shape_of(ct)) - spatial)
    places = shape_of(ct)[len(config) :]
    for n, m, k, s, d in zip(left.spatial, places, right.spatial, strides, dilation, strict=True):
        config.append((_reach(k, d) - 1, n - 1 - (m - 1) * s, s - 1))
    window = range(len(shape_of(rhs)) - spatial, len(shape_of(rhs)))
    swapped = rev(_swap(rhs, groups, len(right.free), contracted), tuple(window))
    padded = pad(ct, np.zeros((), dtype_of(ct)), config)
    return convolution(
        padded,
        convert_element_type(swapped, dtype_of(ct)),
        [1] * spatial,
        dilation,
        groups,
        len(right.free),
        dtype_of(lhs),
    )


def _transposed_rhs(
    ct: Value,
    lhs: Value,
    rhs: Value,
    *,
    strides: Shape,
    dilation: Shape,
    groups: int,
    contracted: int,
    preferred_element_type: np.dtype | None,
) -> Value:
    """Slide the cotangent, its rows contracted, as a window over what windows covered of `lhs`."""
    spatial = len(strides)
    left, right = (_Axes(shape_of(x), groups, contracted, spatial) for x in (lhs, rhs))
    x = _swap(lhs, groups, len(left.free), contracted)
    first = len(shape_of(x)) - spatial
    places = shape_of(ct)[len(shape_of(ct)) - spatial :]
    for axis, (m, k, s, d) in enumerate(zip(places, right.spatial, strides, dilation, strict=True)):
        x = slice_along(x, 0, _reach(k, d) + (m - 1) * s, first + axis)
    moved = convolution(
        convert_element_type(x, dtype_of(ct)),
        _swap(ct, groups, len(left.free), len(right.free)),
        dilation,
        strides,
        groups,
        len(left.free),
        dtype_of(rhs),
    )
    return _swap(moved, groups, contracted, len(right.free))


def _swap(x: Value, first: int, count: int, others: int) -> Value:
    """`x` with `count` axes from `first` on moved behind the `others` that follow them."""
    rest = range(first + count + others, len(shape_of(x)))
    middle = range(first, first + count)
    moved = range(first + count, first + count + others)
    return transpose(x, (*range(first), *moved, *middle, *rest))


@convolution_p.def_batch
def _(
    axis_size: int,
    args: Values,
    dims: Dims,
    *,
    strides: Shape,
    dilation: Shape,
    groups: int,
    contracted: int,
    preferred_element_type: np.dtype | None,
) -> Batched:
    (lhs, rhs), (l_dim, r_dim) = args, dims
    if l_dim is not None and r_dim is not None:
        lhs, rhs = move_axis(lhs, l_dim, 0), move_axis(rhs, r_dim, 0)
        groups, position = groups + 1, 0
    elif l_dim is not None:
        lhs, position = move_axis(lhs, l_dim, groups), groups
    else:
        rhs = move_axis(rhs, r_dim, groups)
        position = len(shape_of(lhs)) - contracted - len(strides)
    out = convolution(lhs, rhs, strides, dilation, groups, contracted, preferred_element_type)
    return out, position
