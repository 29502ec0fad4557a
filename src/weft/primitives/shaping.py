"""Operations that move elements without computing: broadcast, reshape, transpose, slice, pad, ...

All of them are linear. Broadcasting and summing are each other's transpose, and so are slicing and
padding; transposing, reshaping and reversing are undone by themselves.
"""

from __future__ import annotations

import builtins
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.core.avals import ShapedArray
from weft.core.linear import is_undef, is_zero
from weft.core.primitive import Primitive
from weft.core.shape_classes import Naming, NoClassError, Sum, keep_params
from weft.primitives.rules import (
    Axes,
    Batched,
    Cotangents,
    Dims,
    Dual,
    Shape,
    Value,
    Values,
    all_weak,
    check_axes,
    check_same_dtype,
    def_linear,
    dtype_of,
    listing,
    remembered,
    shape_of,
    zero_tangent,
)
from weft.terms import build
from weft.terms.affine import Affine, delinearize, linearize, row_major
from weft.terms.lower import Indices, Lowering, Tensor, by_parts
from weft.terms.term import Term

Shapes = Sequence[Shape]

# ---------------------------------------------------------------- broadcast_in_dim

broadcast_in_dim_p = Primitive("broadcast_in_dim")
broadcast_in_dim_p.pointwise = True


def broadcast_in_dim(x: Value, shape: Sequence[int], broadcast_dimensions: Sequence[int]) -> Value:
    """Repeat `x` into `shape`; axis k of `x` becomes axis ``broadcast_dimensions[k]``."""
    shape, broadcast_dimensions = tuple(shape), tuple(broadcast_dimensions)
    if shape == shape_of(x) and broadcast_dimensions == tuple(range(len(shape))):
        return x
    return broadcast_in_dim_p.bind(x, shape=shape, broadcast_dimensions=broadcast_dimensions)


@broadcast_in_dim_p.def_type
@remembered
def _(x: ShapedArray, *, shape: Shape, broadcast_dimensions: Axes) -> ShapedArray:
    dims = broadcast_dimensions
    asked = f"broadcast_in_dim of {x} to shape {shape} with broadcast_dimensions={dims}"
    if len(dims) != x.ndim:
        raise ValueError(f"{asked} needs one entry for each of the operand's {x.ndim} axes.")
    if any(not 0 <= d < len(shape) for d in dims):
        raise ValueError(f"{asked} names an axis that the result does not have.")
    if any(a >= b for a, b in itertools.pairwise(dims)):
        raise ValueError(f"{asked} needs increasing dimensions; transpose the operand first.")
    if any(size < 0 for size in shape):
        raise ValueError(f"{asked} has a negative size.")
    for axis, d in enumerate(dims):
        if x.shape[axis] not in (1, shape[d]):
            raise ValueError(
                f"{asked}: axis {axis} has size {x.shape[axis]} and cannot be repeated to "
                f"{shape[d]}; only an axis of size 1 can."
            )
    return ShapedArray(shape, x.dtype, x.weak_type)


@broadcast_in_dim_p.def_numpy
def _(x: np.ndarray, *, shape: Shape, broadcast_dimensions: Axes) -> np.ndarray:
    placed = [1] * len(shape)
    for axis, d in enumerate(broadcast_dimensions):
        placed[d] = x.shape[axis]
    return np.broadcast_to(x.reshape(placed), shape)


def _broadcast_in_dim_transpose(
    ct: Value, x: Value, *, shape: Shape, broadcast_dimensions: Axes
) -> Value:
    from weft.primitives.reduction import reduce_sum  # the transpose of this one, and the reverse

    source = dict(zip(broadcast_dimensions, x.shape, strict=True))
    repeated = [d for d, size in enumerate(shape) if source.get(d) != size]
    return reshape(reduce_sum(ct, repeated), x.shape)


def_linear(broadcast_in_dim_p, _broadcast_in_dim_transpose)


@broadcast_in_dim_p.def_lower
def _(ctx: Lowering, x: Tensor, *, shape: Shape, broadcast_dimensions: Axes) -> Tensor:
    return x.view(
        shape,
        lambda index: [
            Affine() if n == 1 else index[d]
            for n, d in zip(x.shape, broadcast_dimensions, strict=True)
        ],
    )


by_parts(broadcast_in_dim_p)


@broadcast_in_dim_p.def_sizes
def _(
    naming: Naming, inputs: Shapes, outputs: Shapes, *, shape: Shape, broadcast_dimensions: Axes
) -> dict[str, Any]:
    return {"shape": naming.shape(shape), "broadcast_dimensions": broadcast_dimensions}


@broadcast_in_dim_p.def_batch
def _(
    axis_size: int, args: Values, dims: Dims, *, shape: Shape, broadcast_dimensions: Axes
) -> Batched:
    x = move_axis(args[0], dims[0], 0)
    shifted = (0, *(d + 1 for d in broadcast_dimensions))
    return broadcast_in_dim(x, (axis_size, *shape), shifted), 0


def full(shape: Sequence[int], value: Any, dtype: Any) -> Value:
    """An array of one repeated scalar."""
    return broadcast_in_dim(np.asarray(value, dtype), shape, ())


def full_like(x: Value, value: Any) -> Value:
    """An array of one repeated scalar, with the shape and dtype of `x`."""
    return full(shape_of(x), value, dtype_of(x))


def zeros_like_aval(aval: ShapedArray) -> Value:
    """Zeros of the shape and dtype of `aval`."""
    return full(aval.shape, 0, aval.dtype)


def instantiate(t: Value) -> Value:
    """A symbolic zero made into an array of zeros; anything else unchanged."""
    return zeros_like_aval(t.aval) if is_zero(t) else t


# ---------------------------------------------------------------- reshape

reshape_p = Primitive("reshape")
reshape_p.pointwise = True


def reshape(x: Value, new_sizes: Sequence[int]) -> Value:
    """The elements of `x`, in row-major order, in another shape."""
    new_sizes = tuple(new_sizes)
    return x if new_sizes == shape_of(x) else reshape_p.bind(x, new_sizes=new_sizes)


def expand_dims(x: Value, axes: Sequence[int]) -> Value:
    """Insert axes of size 1 so that they are at `axes` of the result."""
    sizes = iter(shape_of(x))
    ndim = len(shape_of(x)) + len(axes)
    return reshape(x, [1 if d in axes else next(sizes) for d in range(ndim)])


@reshape_p.def_type
@remembered
def _(x: ShapedArray, *, new_sizes: Shape) -> ShapedArray:
    if any(size < 0 for size in new_sizes):
        raise ValueError(f"reshape of {x} to {new_sizes}: sizes cannot be negative.")
    size = int(np.prod(new_sizes, dtype=object))
    if size != x.size:
        raise ValueError(
            f"reshape cannot turn {x}, of {x.size} elements, into shape {new_sizes}, "
            f"of {size} elements."
        )
    return ShapedArray(new_sizes, x.dtype, x.weak_type)


@reshape_p.def_numpy
def _(x: np.ndarray, *, new_sizes: Shape) -> np.ndarray:
    return x.reshape(new_sizes)


def_linear(reshape_p, lambda ct, x, *, new_sizes: reshape(ct, x.shape))


@reshape_p.def_lower
def _(ctx: Lowering, x: Tensor, *, new_sizes: Shape) -> Tensor:
    return x.view(
        new_sizes, lambda index: delinearize(linearize(index, row_major(new_sizes)), x.shape)
    )


by_parts(reshape_p)


@reshape_p.def_sizes
def _(naming: Naming, inputs: Shapes, outputs: Shapes, *, new_sizes: Shape) -> dict[str, Any]:
    for before, after in _groups(inputs[0], new_sizes):
        if len(before) == 1:
            naming.multiplies(naming.dim(before[0]), naming.shape(after))
        elif len(after) == 1:
            naming.multiplies(naming.dim(after[0]), naming.shape(before))
        else:
            raise NoClassError("a reshape neither splits nor merges axes")
    return {"new_sizes": naming.shape(new_sizes)}


def _groups(before: Shape, after: Shape) -> list[tuple[Shape, Shape]]:
    """Runs of axes of two shapes that hold the same elements, axes of one left out."""
    old, new = ([d for d in shape if d != 1] for shape in (before, after))
    if 0 in old:
        return []
    groups: list[tuple[Shape, Shape]] = []
    while old:
        m = n = 1
        a, b = old[0], new[0]
        while a != b:
            if a < b:
                a, m = a * old[m], m + 1
            else:
                b, n = b * new[n], n + 1
        groups.append((tuple(old[:m]), tuple(new[:n])))
        old, new = old[m:], new[n:]
    return groups


@reshape_p.def_batch
def _(axis_size: int, args: Values, dims: Dims, *, new_sizes: Shape) -> Batched:
    return reshape(move_axis(args[0], dims[0], 0), (axis_size, *new_sizes)), 0


# ---------------------------------------------------------------- transpose

transpose_p = Primitive("transpose")
transpose_p.pointwise = True


def transpose(x: Value, permutation: Sequence[int]) -> Value:
    """Permute axes: axis k of the result is axis ``permutation[k]`` of `x`."""
    permutation = tuple(permutation)
    if permutation == tuple(range(len(shape_of(x)))):
        return x
    return transpose_p.bind(x, permutation=permutation)


def move_axis(x: Value, source: int, destination: int) -> Value:
    """Move one axis of `x` and keep the order of the others."""
    order = [d for d in range(len(shape_of(x))) if d != source]
    order.insert(destination, source)
    return transpose(x, order)


@transpose_p.def_type
@remembered
def _(x: ShapedArray, *, permutation: Axes) -> ShapedArray:
    if sorted(permutation) != list(range(x.ndim)):
        raise ValueError(
            f"transpose of {x} needs a permutation of the axes {tuple(range(x.ndim))}, "
            f"got {permutation}."
        )
    return ShapedArray(tuple(x.shape[d] for d in permutation), x.dtype, x.weak_type)


@transpose_p.def_numpy
def _(x: np.ndarray, *, permutation: Axes) -> np.ndarray:
    return np.transpose(x, permutation)


def _inverse(permutation: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(d) for d in np.argsort(permutation))


def_linear(transpose_p, lambda ct, x, *, permutation: transpose(ct, _inverse(permutation)))


@transpose_p.def_lower
def _(ctx: Lowering, x: Tensor, *, permutation: Axes) -> Tensor:
    inverse = _inverse(permutation)
    return x.view(ctx.out.shape, lambda index: [index[d] for d in inverse])


by_parts(transpose_p)


transpose_p.def_sizes(keep_params)


@transpose_p.def_batch
def _(axis_size: int, args: Values, dims: Dims, *, permutation: Axes) -> Batched:
    (x,), (dim,) = args, dims
    others = [d for d in range(len(shape_of(x))) if d != dim]
    return transpose(x, (dim, *(others[d] for d in permutation))), 0


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


# ---------------------------------------------------------------- rev

rev_p = Primitive("rev")
rev_p.pointwise = True


def rev(x: Value, dimensions: Sequence[int]) -> Value:
    """Reverse the order of elements along `dimensions`."""
    dimensions = tuple(dimensions)
    return rev_p.bind(x, dimensions=dimensions) if dimensions else x


@rev_p.def_type
@remembered
def _(x: ShapedArray, *, dimensions: Axes) -> ShapedArray:
    check_axes("rev", x, dimensions, "dimensions")
    return x


@rev_p.def_numpy
def _(x: np.ndarray, *, dimensions: Axes) -> np.ndarray:
    return np.flip(x, dimensions)


def_linear(rev_p, lambda ct, x, *, dimensions: rev(ct, dimensions))


@rev_p.def_lower
def _(ctx: Lowering, x: Tensor, *, dimensions: Axes) -> Tensor:
    return x.view(
        x.shape,
        lambda index: [(x.shape[d] - 1) - i if d in dimensions else i for d, i in enumerate(index)],
    )


by_parts(rev_p)


rev_p.def_sizes(keep_params)


@rev_p.def_batch
def _(axis_size: int, args: Values, dims: Dims, *, dimensions: Axes) -> Batched:
    return rev(move_axis(args[0], dims[0], 0), [d + 1 for d in dimensions]), 0


# ---------------------------------------------------------------- concatenate

concatenate_p = Primitive("concatenate")


def concatenate(operands: Sequence[Value], dimension: int) -> Value:
    """Join arrays along one axis."""
    return operands[0] if len(operands) == 1 else concatenate_p.bind(*operands, dimension=dimension)


@concatenate_p.def_type
@remembered
def _(*operands: ShapedArray, dimension: int) -> ShapedArray:
    if not operands:
        raise ValueError("concatenate needs at least one operand.")
    first = operands[0]
    check_same_dtype("concatenate", *operands)
    check_axes("concatenate", first, (dimension,), "dimension")
    rests = {(*aval.shape[:dimension], None, *aval.shape[dimension + 1 :]) for aval in operands}
    if len(rests) > 1:
        raise ValueError(
            f"concatenate along axis {dimension} needs operands that agree on every other axis, "
            f"got {listing(operands)}."
        )
    shape = list(first.shape)
    shape[dimension] = sum(aval.shape[dimension] for aval in operands)
    return ShapedArray(tuple(shape), first.dtype, all_weak(*operands))


@concatenate_p.def_numpy
def _(*operands: np.ndarray, dimension: int) -> np.ndarray:
    return np.concatenate(operands, dimension)


#: Operands that one pass puts together; more are first joined in groups, which are alike.
AT_ONCE = 8


@concatenate_p.def_lower
def _(ctx: Lowering, *operands: Tensor, dimension: int) -> Tensor:
    parts = [x for x in operands if x.shape[dimension]] or list(operands[:1])
    while len(parts) > AT_ONCE:
        groups = [parts[n : n + AT_ONCE] for n in range(0, len(parts), AT_ONCE)]
        parts = [_join(ctx, group, dimension) if len(group) > 1 else group[0] for group in groups]
    return _join(ctx, parts, dimension)


def _join(ctx: Lowering, parts: Sequence[Tensor], dimension: int) -> Tensor:
    """A new array of ``parts`` one after the other."""
    starts = [0, *itertools.accumulate(x.shape[dimension] for x in parts)]
    shape = ctx.out.shape[:dimension] + (starts[-1],) + ctx.out.shape[dimension + 1 :]

    def element(index: Indices) -> Term:
        pieces = []
        for x, (start, stop) in zip(parts, itertools.pairwise(starts), strict=True):
            moved = (*index[:dimension], index[dimension] - start, *index[dimension + 1 :])
            pieces.append((start, stop, x.at(moved)))
        return build.fuse(index[dimension], tuple(pieces))

    return ctx.define(shape, ctx.out.dtype, element)


by_parts(concatenate_p)


@concatenate_p.def_jvp
def _(primals: Values, tangents: Values, *, dimension: int) -> Dual:
    ans = concatenate(primals, dimension)
    if all(is_zero(t) for t in tangents):
        return ans, zero_tangent(ans)
    return ans, concatenate([instantiate(t) for t in tangents], dimension)


@concatenate_p.def_transpose
def _(ct: Value, *operands: Value, dimension: int) -> Cotangents:
    if is_zero(ct):
        return [None] * len(operands)
    pieces, start = [], 0
    for x in operands:
        size = shape_of(x)[dimension]
        piece = slice_along(ct, start, start + size, dimension) if is_undef(x) else None
        pieces.append(piece)
        start += size
    return pieces


@concatenate_p.def_sizes
def _(naming: Naming, inputs: Shapes, outputs: Shapes, *, dimension: int) -> dict[str, Any]:
    parts = [naming.dim(shape[dimension]) for shape in inputs]
    naming.adds_up(naming.dim(outputs[0][dimension]), parts)
    return {"dimension": dimension}


@concatenate_p.def_batch
def _(axis_size: int, args: Values, dims: Dims, *, dimension: int) -> Batched:
    return concatenate(batch_first(axis_size, args, dims), dimension + 1), 0


# ---------------------------------------------------------------- axes that vmap adds


def batch_first(axis_size: int, args: Values, dims: Dims) -> list[Value]:
    """All operands with the mapped axis in front; unmapped ones are broadcast along it."""
    return batch_at(0, axis_size, args, dims)


def batch_at(position: int, axis_size: int, args: Values, dims: Dims) -> list[Value]:
    """All operands with the mapped axis at `position`; unmapped ones are broadcast along it."""

    def repeated(x: Value) -> Value:
        shape = list(shape_of(x))
        kept = [d if d < position else d + 1 for d in range(len(shape))]
        shape.insert(position, axis_size)
        return broadcast_in_dim(x, shape, kept)

    pairs = zip(args, dims, strict=True)
    return [repeated(x) if dim is None else move_axis(x, dim, position) for x, dim in pairs]
