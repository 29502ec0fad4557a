"""Arrays put one after the other along an axis; slices are the transpose."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.core.avals import ShapedArray
from weft.core.linear import is_undef, is_zero
from weft.core.primitive import Primitive
from weft.core.shape_classes import Naming
from weft.primitives.rules import (
    Batched,
    Cotangents,
    Dims,
    Dual,
    Value,
    Values,
    all_weak,
    check_axes,
    check_same_dtype,
    listing,
    remembered,
    shape_of,
    zero_tangent,
)
from weft.primitives.shaping import (
    Shapes,
    batch_first,
    instantiate,
)
from weft.primitives.slicing import slice_along
from weft.terms import build
from weft.terms.lower import Indices, Lowering, Tensor, by_parts
from weft.terms.term import Term

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
