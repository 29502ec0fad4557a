"""Reductions over windows that slide: the sum or extremum of each, and where the extremum lies.

A window has a size for each axis of the operand; it starts at multiples of the strides, and its
elements are the dilation apart.  Only windows that lie inside of the operand count: padding is
`pad` with the identity before.  A mapped axis gets windows of size 1.

Sums are linear, and their transpose sums windows of the padded cotangent.  The tangent of an
extremum is that of the first element of the window that attains it, as in JAX.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.linear import is_zero
from weft.core.primitive import Primitive
from weft.primitives.arithmetic import add, div, mul, rem
from weft.primitives.creation import iota
from weft.primitives.indexing import GatherDimensionNumbers, GatherScatterMode, gather
from weft.primitives.reduction import greatest, least
from weft.primitives.rules import (
    NUMBER,
    ORDERED,
    Accepts,
    Batched,
    Dims,
    Dual,
    Shape,
    Value,
    Values,
    check_accepts,
    def_linear,
    def_no_derivative,
    shape_of,
    zero_tangent,
)
from weft.primitives.shaping import expand_dims, full, full_like, move_axis, reshape
from weft.primitives.slicing import pad
from weft.terms import build, monoids
from weft.terms.affine import Affine
from weft.terms.lower import Indices, Lowering, Tensor, by_parts, new_axes
from weft.terms.monoids import Monoid
from weft.terms.term import Term


def reach(window: int, dilation: int) -> int:
    """Elements that a dilated window spans."""
    return (window - 1) * dilation + 1 if window else 0


def window_counts(shape: Shape, window: Shape, strides: Shape, dilation: Shape) -> Shape:
    """How many windows fit along each axis."""
    rooms = (n - reach(k, d) for n, k, d in zip(shape, window, dilation, strict=True))
    return tuple(r // s + 1 if r >= 0 else 0 for r, s in zip(rooms, strides, strict=True))


def _check(name: str, x: ShapedArray, window: Shape, strides: Shape, dilation: Shape) -> None:
    if not len(window) == len(strides) == len(dilation) == x.ndim:
        raise ValueError(
            f"{name} of {x} needs a window size, a stride and a dilation for each of {x.ndim} "
            f"axes, got {window}, {strides} and {dilation}."
        )
    if any(n < 1 for n in (*window, *strides, *dilation)):
        raise ValueError(
            f"{name} needs positive window sizes, strides and dilations, got {window}, {strides} "
            f"and {dilation}."
        )


def _windows(x: np.ndarray, window: Shape, strides: Shape, dilation: Shape) -> np.ndarray:
    """All windows, flat, along a new last axis."""
    counts = window_counts(x.shape, window, strides, dilation)
    if not all(counts):
        return np.empty((*counts, prod(window)), x.dtype)
    spans = tuple(map(reach, window, dilation))
    view = np.lib.stride_tricks.sliding_window_view(x, spans)
    steps: Any = [slice(None, None, n) for n in (*strides, *dilation)]
    return view[tuple(steps)].reshape((*counts, prod(window)))


def _bind(primitive: Primitive) -> Callable[..., Value]:
    def reduce(
        x: Value, window_dimensions: Shape, window_strides: Shape, window_dilation: Shape
    ) -> Value:
        return primitive.bind(
            x,
            window_dimensions=tuple(window_dimensions),
            window_strides=tuple(window_strides),
            window_dilation=tuple(window_dilation),
        )

    return reduce


def _def_batch(primitive: Primitive) -> None:
    @primitive.def_batch
    def _(
        axis_size: int,
        args: Values,
        dims: Dims,
        *,
        window_dimensions: Shape,
        window_strides: Shape,
        window_dilation: Shape,
    ) -> Batched:
        out = primitive.bind(
            move_axis(args[0], dims[0], 0),
            window_dimensions=(1, *window_dimensions),
            window_strides=(1, *window_strides),
            window_dilation=(1, *window_dilation),
        )
        return out, 0


class _Place:
    """An element of a window, as terms: bound axes over the window, and where they point."""

    def __init__(self, window: Shape, strides: Shape, dilation: Shape) -> None:
        axes = new_axes(window)
        self.over = tuple(a for a in axes if a.extent > 1)
        self.inside = [Affine() if a.extent == 1 else Affine.of(a) for a in axes]
        self.window, self.strides, self.dilation = window, strides, dilation

    def at(self, index: Indices) -> list[Affine]:
        """The element's index in the operand, for the window at ``index``."""
        parts = zip(index, self.inside, self.strides, self.dilation, strict=True)
        return [i * s + k * d for i, k, s, d in parts]

    def number(self) -> Affine:
        """The element's place in the window, in row-major order."""
        total = Affine()
        for k, n in zip(self.inside, self.window, strict=True):
            total = total * n + k
        return total


# ---------------------------------------------------------------- reduce_window_sum, _max, _min


def _windowed(name: str, accepts: Accepts, monoid: Monoid, numpy: Callable[..., Any]) -> Primitive:
    primitive = Primitive(name)

    @primitive.def_type
    def _(
        x: ShapedArray, *, window_dimensions: Shape, window_strides: Shape, window_dilation: Shape
    ) -> ShapedArray:
        check_accepts(name, accepts, x)
        _check(name, x, window_dimensions, window_strides, window_dilation)
        return x.update(
            shape=window_counts(x.shape, window_dimensions, window_strides, window_dilation)
        )

    @primitive.def_numpy
    def _(
        x: np.ndarray, *, window_dimensions: Shape, window_strides: Shape, window_dilation: Shape
    ) -> np.ndarray:
        # 16-bit floats are accumulated in 32 bits.
        narrow = dtypes.is_floating(x.dtype) and x.dtype.itemsize < 4
        wide = x.astype(np.float32) if narrow else x
        windows = _windows(wide, window_dimensions, window_strides, window_dilation)
        with np.errstate(all="ignore"):
            return np.asarray(numpy(windows), x.dtype)

    @primitive.def_lower
    def _(
        ctx: Lowering,
        x: Tensor,
        *,
        window_dimensions: Shape,
        window_strides: Shape,
        window_dilation: Shape,
    ) -> Tensor:
        place = _Place(window_dimensions, window_strides, window_dilation)
        wide = build.accumulator_dtype(x.dtype)

        def element(index: Indices) -> Term:
            value = build.cast(x.at(place.at(index)), wide)
            return build.cast(
                build.fold(monoid, place.over, value) if place.over else value, x.dtype
            )

        return ctx.define(ctx.out.shape, x.dtype, element)

    _def_batch(primitive)
    return primitive


reduce_window_sum_p = _windowed(
    "reduce_window_sum", NUMBER, monoids.ADD, lambda w: np.sum(w, axis=-1, dtype=w.dtype)
)
by_parts(reduce_window_sum_p)
reduce_window_sum = _bind(reduce_window_sum_p)


def _transposed_sum(
    ct: Value,
    x: ShapedArray,
    *,
    window_dimensions: Shape,
    window_strides: Shape,
    window_dilation: Shape,
) -> Value:
    """Each element is in the windows that the same window, slid over the cotangent, covers."""
    if 0 in shape_of(ct):
        return full(x.shape, 0, x.dtype)
    config = [
        (reach(k, d) - 1, n - 1 - (m - 1) * s, s - 1)
        for n, m, k, s, d in zip(
            x.shape,
            shape_of(ct),
            window_dimensions,
            window_strides,
            window_dilation,
            strict=True,
        )
    ]
    padded = pad(ct, np.zeros((), x.dtype), config)
    return reduce_window_sum(padded, window_dimensions, (1,) * len(config), window_dilation)


def_linear(reduce_window_sum_p, _transposed_sum)

reduce_window_max_p = _windowed(
    "reduce_window_max",
    ORDERED,
    monoids.MAX,
    lambda w: np.max(w, axis=-1, initial=least(w.dtype)),
)
reduce_window_max = _bind(reduce_window_max_p)

reduce_window_min_p = _windowed(
    "reduce_window_min",
    ORDERED,
    monoids.MIN,
    lambda w: np.min(w, axis=-1, initial=greatest(w.dtype)),
)
reduce_window_min = _bind(reduce_window_min_p)

# ---------------------------------------------------------------- window_argmax, window_argmin


def _arg_windowed(name: str, monoid: Monoid, numpy: Callable[..., Any]) -> Primitive:
    """The place in its window, in row-major order, of the first extremum."""
    primitive = Primitive(name)

    @primitive.def_type
    def _(
        x: ShapedArray, *, window_dimensions: Shape, window_strides: Shape, window_dilation: Shape
    ) -> ShapedArray:
        check_accepts(name, ORDERED, x)
        _check(name, x, window_dimensions, window_strides, window_dilation)
        counts = window_counts(x.shape, window_dimensions, window_strides, window_dilation)
        return ShapedArray(counts, np.dtype(np.int32))

    @primitive.def_numpy
    def _(
        x: np.ndarray, *, window_dimensions: Shape, window_strides: Shape, window_dilation: Shape
    ) -> np.ndarray:
        wide = x.astype(np.float32) if dtypes.is_floating(x.dtype) and x.itemsize < 4 else x
        windows = _windows(wide, window_dimensions, window_strides, window_dilation)
        return np.asarray(numpy(windows, axis=-1), np.int32)

    @primitive.def_lower
    def _(
        ctx: Lowering,
        x: Tensor,
        *,
        window_dimensions: Shape,
        window_strides: Shape,
        window_dilation: Shape,
    ) -> Tensor:
        place = _Place(window_dimensions, window_strides, window_dilation)
        index_dtype = np.dtype(np.int32)

        def element(index: Indices) -> Term:
            if not place.over:
                return build.const(0, index_dtype)
            value = build.cast(x.at(place.at(index)), build.accumulator_dtype(x.dtype))
            pairs = build.fold(
                monoid, place.over, value, build.position(place.number(), index_dtype)
            )
            return build.component(pairs, 1)

        return ctx.define(ctx.out.shape, index_dtype, element)

    _def_batch(primitive)
    def_no_derivative(primitive)
    return primitive


window_argmax_p = _arg_windowed("window_argmax", monoids.ARGMAX, np.argmax)
window_argmin_p = _arg_windowed("window_argmin", monoids.ARGMIN, np.argmin)


def _def_extremum_jvp(primitive: Primitive, place: Primitive) -> None:
    @primitive.def_jvp
    def _(primals: Values, tangents: Values, **params: Any) -> Dual:
        (x,), (t,) = primals, tangents
        ans = primitive.bind(x, **params)
        if is_zero(t):
            return ans, zero_tangent(ans)
        return ans, _elements(t, place.bind(x, **params), **params)


def _elements(
    t: Value,
    places: Value,
    *,
    window_dimensions: Shape,
    window_strides: Shape,
    window_dilation: Shape,
) -> Value:
    """The elements of `t` at `places` in its windows."""
    shape = shape_of(t)
    counts = shape_of(places)
    big = prod(shape) >= 2**31
    dtype = np.dtype(np.int64 if big else np.int32)
    rest, flat = places, full(counts, 0, dtype)
    if big:
        from weft.primitives.convert import convert_element_type

        rest = convert_element_type(places, dtype)
    step = 1
    for axis in range(len(shape) - 1, -1, -1):
        size = full_like(rest, window_dimensions[axis])
        inside, rest = rem(rest, size), div(rest, size)
        start = iota(dtype, counts, axis)
        coordinate = add(
            mul(start, full_like(start, window_strides[axis])),
            mul(inside, full_like(inside, window_dilation[axis])),
        )
        flat = add(flat, mul(coordinate, full_like(coordinate, step)))
        step *= shape[axis]
    return gather(
        reshape(t, (prod(shape),)),
        expand_dims(flat, (len(counts),)),
        GatherDimensionNumbers((), (0,), (0,)),
        (1,),
        mode=GatherScatterMode.PROMISE_IN_BOUNDS,
    )


_def_extremum_jvp(reduce_window_max_p, window_argmax_p)
_def_extremum_jvp(reduce_window_min_p, window_argmin_p)
