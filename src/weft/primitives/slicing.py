"""Parts of arrays, and arrays as parts of larger ones: slice and pad, each other's transpose."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.core.avals import ShapedArray
from weft.core.linear import is_undef, is_zero
from weft.core.primitive import Primitive
from weft.core.shape_classes import Naming, NoClassError, Sum
from weft.primitives.rules import (
    Batched,
    Cotangents,
    Dims,
    Dual,
    Shape,
    Value,
    Values,
    all_weak,
    check_same_dtype,
    def_linear,
    dtype_of,
    remembered,
    shape_of,
    zero_tangent,
)
from weft.primitives.shaping import (
    Shapes,
    batch_first,
    broadcast_in_dim,
    full,
    instantiate,
    move_axis,
)
from weft.terms import build
from weft.terms.lower import Indices, Lowering, Tensor, by_parts
from weft.terms.term import Term

# ---------------------------------------------------------------- slice

slice_p = Primitive("slice")
slice_p.pointwise = True

Steps = Shape | None  # None where every stride is 1


def slice(
    x: Value,
    start_indices: Sequence[int],
    limit_indices: Sequence[int],
    strides: Sequence[int] | None = None,
) -> Value:
    """The elements at ``start, start + stride, ...`` below ``limit`` along every axis."""
    start_indices, limit_indices = tuple(start_indices), tuple(limit_indices)
    if strides is not None:
        strides = None if all(s == 1 for s in strides) else tuple(strides)
    if strides is None and not any(start_indices) and limit_indices == shape_of(x):
        return x
    return slice_p.bind(
        x, start_indices=start_indices, limit_indices=limit_indices, strides=strides
    )


def slice_along(x: Value, start: int, limit: int, axis: int, stride: int = 1) -> Value:
    """Slice along one axis and keep the others whole."""
    shape = shape_of(x)
    starts, limits, strides = [0] * len(shape), list(shape), [1] * len(shape)
    starts[axis], limits[axis], strides[axis] = start, limit, stride
    return slice(x, starts, limits, strides)


@slice_p.def_type
@remembered
def _(x: ShapedArray, *, start_indices: Shape, limit_indices: Shape, strides: Steps) -> ShapedArray:
    steps = (1,) * x.ndim if strides is None else strides
    asked = f"slice of {x} from {start_indices} to {limit_indices} with strides {steps}"
    if not len(start_indices) == len(limit_indices) == len(steps) == x.ndim:
        raise ValueError(f"{asked} needs one start, limit and stride for each of {x.ndim} axes.")
    shape = []
    for axis, (start, limit, step) in enumerate(
        zip(start_indices, limit_indices, steps, strict=True)
    ):
        if not 0 <= start <= limit <= x.shape[axis]:
            raise ValueError(
                f"{asked} does not fit: axis {axis} needs 0 <= start <= limit <= {x.shape[axis]}, "
                f"got start {start} and limit {limit}."
            )
        if step < 1:
            raise ValueError(f"{asked} needs positive strides; use lax.rev to go backwards.")
        shape.append(-((start - limit) // step))
    return ShapedArray(tuple(shape), x.dtype, x.weak_type)


@slice_p.def_numpy
def _(x: np.ndarray, *, start_indices: Shape, limit_indices: Shape, strides: Steps) -> np.ndarray:
    steps = strides or (1,) * x.ndim
    return np.asarray(x[tuple(map(builtins.slice, start_indices, limit_indices, steps))])


def _slice_transpose(
    ct: Value, x: Value, *, start_indices: Shape, limit_indices: Shape, strides: Steps
) -> Value:
    steps = strides or (1,) * x.ndim
    config = []
    for size, start, step, taken in zip(x.shape, start_indices, steps, shape_of(ct), strict=True):
        end = start + (taken - 1) * step + 1 if taken else start
        config.append((start, size - end, step - 1))
    return pad(ct, np.zeros((), dtype_of(ct)), config)


def_linear(slice_p, _slice_transpose)


@slice_p.def_lower
def _(
    ctx: Lowering, x: Tensor, *, start_indices: Shape, limit_indices: Shape, strides: Steps
) -> Tensor:
    steps = strides or (1,) * x.ndim
    return x.view(
        ctx.out.shape,
        lambda index: [
            i * step + start for i, step, start in zip(index, steps, start_indices, strict=True)
        ],
    )


by_parts(slice_p)


@slice_p.def_sizes
def _(
    naming: Naming,
    inputs: Shapes,
    outputs: Shapes,
    *,
    start_indices: Shape,
    limit_indices: Shape,
    strides: Steps,
) -> dict[str, Any]:
    steps = strides or (1,) * len(start_indices)
    starts, limits = [], []
    for at, step, taken, extent in zip(start_indices, steps, outputs[0], inputs[0], strict=True):
        start, length = naming.start(at if taken else 0), naming.dim(taken)
        naming.fits(start, length, step, naming.dim(extent))
        starts.append(start)
        limits.append(Sum((start, *(length,) * step, 1 - step)))  # right after the last element
    return {
        "start_indices": tuple(starts),
        "limit_indices": tuple(limits),
        "strides": strides,
    }


@slice_p.def_batch
def _(
    axis_size: int,
    args: Values,
    dims: Dims,
    *,
    start_indices: Shape,
    limit_indices: Shape,
    strides: Steps,
) -> Batched:
    x = move_axis(args[0], dims[0], 0)
    steps = None if strides is None else (1, *strides)
    return slice(x, (0, *start_indices), (axis_size, *limit_indices), steps), 0


# ---------------------------------------------------------------- pad

pad_p = Primitive("pad")

PaddingConfig = Sequence[tuple[int, int, int]]


def pad(x: Value, padding_value: Value, padding_config: PaddingConfig) -> Value:
    """Put ``(low, high, interior)`` padding around and between elements along every axis.

    Negative `low` and `high` remove elements instead.
    """
    config = tuple((int(lo), int(hi), int(interior)) for lo, hi, interior in padding_config)
    if all(entry == (0, 0, 0) for entry in config) and len(config) == len(shape_of(x)):
        return x
    return pad_p.bind(x, padding_value, padding_config=config)


@pad_p.def_type
@remembered
def _(x: ShapedArray, padding_value: ShapedArray, *, padding_config: PaddingConfig) -> ShapedArray:
    if padding_value.shape != ():
        raise ValueError(f"pad needs a scalar padding value, got {padding_value}.")
    check_same_dtype("pad", x, padding_value)
    if len(padding_config) != x.ndim:
        raise ValueError(
            f"pad of {x} needs one (low, high, interior) for each of {x.ndim} axes, "
            f"got {padding_config}."
        )
    shape = []
    for size, (lo, hi, interior) in zip(x.shape, padding_config, strict=True):
        if interior < 0:
            raise ValueError(f"pad of {x} got negative interior padding in {padding_config}.")
        padded = lo + hi + size + max(size - 1, 0) * interior
        if padded < 0:
            raise ValueError(f"pad of {x} with {padding_config} removes more than there is.")
        shape.append(padded)
    return ShapedArray(tuple(shape), x.dtype, all_weak(x, padding_value))


@pad_p.def_numpy
def _(x: np.ndarray, padding_value: np.ndarray, *, padding_config: PaddingConfig) -> np.ndarray:
    grown = [
        max(lo, 0) + max(hi, 0) + n + max(n - 1, 0) * interior
        for n, (lo, hi, interior) in zip(x.shape, padding_config, strict=True)
    ]
    out = np.full(grown, padding_value, x.dtype)
    placed, kept = [], []
    for n, size, (lo, hi, interior) in zip(x.shape, grown, padding_config, strict=True):
        start, step = max(lo, 0), interior + 1
        placed.append(builtins.slice(start, start + n * step, step))
        kept.append(builtins.slice(max(-lo, 0), size - max(-hi, 0)))
    # The last step of `placed` may reach past the end when there is interior padding: NumPy clips
    # it, and the number of elements still is n.
    out[tuple(placed)] = x
    return np.asarray(out[tuple(kept)])


@pad_p.def_lower
def _(ctx: Lowering, x: Tensor, padding_value: Tensor, *, padding_config: PaddingConfig) -> Tensor:
    shape = ctx.out.shape
    blank = padding_value.at(())
    if x.size == 0:
        return ctx.define(shape, x.dtype, lambda index: blank)

    def element(index: Indices) -> Term:
        own, pieces = [], []
        for i, n, (lo, _, interior) in zip(index, x.shape, padding_config, strict=True):
            step = interior + 1
            own.append((i - lo).floordiv(step))
            pieces.append((i, max(lo, 0), lo + (n - 1) * step + 1))
            if interior:  # of `step` neighbours, one is an element
                pieces.append(((i - lo).mod(step), 0, 1))
        term = x.at(own)
        for i, lo, hi in reversed(pieces):
            term = build.within(i, lo, hi, term, blank)
        return term

    return ctx.define(shape, x.dtype, element)


by_parts(pad_p)


@pad_p.def_jvp
def _(primals: Values, tangents: Values, *, padding_config: PaddingConfig) -> Dual:
    ans = pad(primals[0], primals[1], padding_config)
    if all(is_zero(t) for t in tangents):
        return ans, zero_tangent(ans)
    return ans, pad(instantiate(tangents[0]), instantiate(tangents[1]), padding_config)


@pad_p.def_transpose
def _(ct: Value, x: Value, padding_value: Value, *, padding_config: PaddingConfig) -> Cotangents:
    from weft.primitives.arithmetic import sub
    from weft.primitives.reduction import reduce_sum

    if is_zero(ct):
        return [None, None]
    uncropped = pad(ct, np.zeros((), dtype_of(ct)), [(-lo, -hi, 0) for lo, hi, _ in padding_config])
    steps = [interior + 1 for _, _, interior in padding_config]
    ct_x = slice(uncropped, [0] * len(steps), shape_of(uncropped), steps)
    if not is_undef(padding_value):
        return [ct_x, None]
    every = range(len(padding_config))
    ct_value = sub(reduce_sum(ct, every), reduce_sum(ct_x, every))
    return [ct_x if is_undef(x) else None, ct_value]


@pad_p.def_sizes
def _(
    naming: Naming, inputs: Shapes, outputs: Shapes, *, padding_config: PaddingConfig
) -> dict[str, Any]:
    config = []
    for n, total, (lo, hi, interior) in zip(inputs[0], outputs[0], padding_config, strict=True):
        if lo < 0 or hi < 0 or interior:
            raise NoClassError("a pad removes elements or goes between them")
        before, after = naming.dim(lo), naming.dim(hi)
        naming.adds_up(naming.dim(total), (before, naming.dim(n), after))
        config.append((before, after, 0))
    return {"padding_config": tuple(config)}


@pad_p.def_batch
def _(axis_size: int, args: Values, dims: Dims, *, padding_config: PaddingConfig) -> Batched:
    from weft.primitives.select import select_n

    (x,), padding_value = batch_first(axis_size, args[:1], dims[:1]), args[1]
    config = ((0, 0, 0), *padding_config)
    if dims[1] is None:
        return pad(x, padding_value, config), 0
    # Each example has its own padding value: pad with anything, then put the values in by a mask.
    padded = pad(x, np.zeros((), dtype_of(x)), config)
    mask = pad(full(shape_of(x), True, np.bool_), np.zeros((), np.bool_), config)
    return select_n(mask, broadcast_in_dim(padding_value, shape_of(padded), (0,)), padded), 0
