"""Operations that move elements without computing: broadcast, reshape, transpose, reverse.

All of them are linear. Broadcasting and summing are each other's transpose; transposing, reshaping
and reversing are undone by themselves. Slices are in `slicing`, concatenation in `joining`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.core.avals import ShapedArray
from weft.core.linear import is_zero
from weft.core.primitive import Primitive
from weft.core.shape_classes import Naming, NoClassError, keep_params
from weft.primitives.rules import (
    Axes,
    Batched,
    Dims,
    Shape,
    Value,
    Values,
    check_axes,
    def_linear,
    dtype_of,
    remembered,
    shape_of,
)
from weft.terms.affine import Affine, delinearize, linearize, row_major
from weft.terms.lower import Lowering, Tensor, by_parts

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
