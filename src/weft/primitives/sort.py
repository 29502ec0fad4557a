"""Sorting arrays along an axis, others moved along with them.

`sort` compares by its first ``num_keys`` operands, one after the other, and gives every operand in
that order. NaN comes last, -0 equals 0, and complex numbers are compared by their real and then
their imaginary part, as in ``jax.lax.sort``. Equal elements keep their order if ``is_stable``.

In compiled programs a sort is a call of a library routine, `SortRoutine`, which is NumPy's sort; it
has no form as a term. A native radix sort is to replace it on the CPU without a change for callers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.linear import is_zero
from weft.core.primitive import Primitive
from weft.primitives.creation import iota
from weft.primitives.indexing import GatherDimensionNumbers, GatherScatterMode, gather
from weft.primitives.rules import (
    Dims,
    Value,
    Values,
    check_axes,
    check_same_shape,
    shape_of,
)
from weft.primitives.shaping import batch_first, expand_dims
from weft.terms.lower import Lowering, Tensor
from weft.terms.region import Call

sort_p = Primitive("sort", multiple_results=True)


def sort(
    operands: Values, dimension: int, is_stable: bool = True, num_keys: int = 1
) -> list[Value]:
    """All operands in the order of the first `num_keys` along `dimension`."""
    return sort_p.bind(
        *operands, dimension=int(dimension), is_stable=bool(is_stable), num_keys=int(num_keys)
    )


@dataclass(frozen=True)
class SortRoutine:
    """``routine(*arrays)`` gives the arrays in the order of the first ``num_keys``, by NumPy.

    Routines of equal parameters are equal, so that programs that differ in nothing else are shared.
    """

    dimension: int
    is_stable: bool
    num_keys: int

    def __str__(self) -> str:
        return "sort"

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        axis = self.dimension
        keys = [part for x in arrays[: self.num_keys] for part in _comparable(x)]
        if len(arrays) == 1 and len(keys) == 1 and keys[0] is arrays[0]:
            # Equal integers cannot be told apart: the faster sort gives the same.
            stable = self.is_stable and not dtypes.is_integer(arrays[0].dtype)
            return [np.sort(arrays[0], axis=axis, kind="stable" if stable else None)]
        if len(keys) == 1:
            order = np.argsort(keys[0], axis=axis, kind="stable")
        else:
            order = np.lexsort(keys[::-1], axis=axis)
        return [np.take_along_axis(x, order, axis) for x in arrays]


def _comparable(x: np.ndarray) -> list[np.ndarray]:
    """Arrays that NumPy itself can order; their lexicographic order is that of ``x``."""
    if dtypes.is_complex(x.dtype):
        return [x.real, x.imag]
    return [x.astype(np.float32) if x.dtype == dtypes.bfloat16 else x]


@sort_p.def_type
def _(*xs: ShapedArray, dimension: int, is_stable: bool, num_keys: int) -> list[ShapedArray]:
    if not xs:
        raise TypeError("sort needs at least one operand, got none.")
    check_same_shape("sort", *xs)
    check_axes("sort", xs[0], (dimension,), "dimension")
    if not 1 <= num_keys <= len(xs):
        raise ValueError(
            f"sort compares by its first num_keys operands, so that 1 <= num_keys <= {len(xs)}, "
            f"the number of operands; got num_keys={num_keys}."
        )
    return list(xs)


@sort_p.def_numpy
def _(*xs: np.ndarray, **params: Any) -> list[np.ndarray]:
    return SortRoutine(**params)(*xs)


@sort_p.def_jvp
def _(
    primals: Values, tangents: Values, *, dimension: int, is_stable: bool, num_keys: int
) -> tuple[list[Value], list[Value]]:
    shape = shape_of(primals[0])
    if all(is_zero(t) for t in tangents):
        return sort(primals, dimension, is_stable, num_keys), list(tangents)
    index_dtype = np.dtype(np.int32 if shape[dimension] < 2**31 else np.int64)
    index = iota(index_dtype, shape, dimension)
    *outs, order = sort([*primals, index], dimension, is_stable, num_keys)
    return outs, [t if is_zero(t) else _along(t, order, dimension) for t in tangents]


def _along(x: Value, order: Value, axis: int) -> Value:
    """The elements of `x` at the positions `order` along `axis`, a permutation for each row."""
    shape = shape_of(x)
    others = tuple(d for d in range(len(shape)) if d != axis)
    return gather(
        x,
        expand_dims(order, (len(shape),)),
        GatherDimensionNumbers((), (axis,), (axis,), others, others),
        tuple(min(n, 1) for n in shape),
        unique_indices=True,
        mode=GatherScatterMode.PROMISE_IN_BOUNDS,
    )


@sort_p.def_batch
def _(
    axis_size: int, args: Values, dims: Dims, *, dimension: int, is_stable: bool, num_keys: int
) -> tuple[list[Value], list[int]]:
    outs = sort(batch_first(axis_size, args, dims), dimension + 1, is_stable, num_keys)
    return outs, [0] * len(outs)


@sort_p.def_lower
def _(ctx: Lowering, *xs: Tensor, **params: Any) -> Sequence[Tensor]:
    if xs[0].shape[params["dimension"]] < 2 or 0 in xs[0].shape:
        return list(xs)
    inputs = tuple(ctx.value(x) for x in xs)
    outputs = tuple(ctx.new_value(x.shape, x.dtype) for x in xs)
    ctx.emit(Call(SortRoutine(**params), inputs, outputs, {}, ctx.source))
    return [Tensor.whole(v) for v in outputs]
