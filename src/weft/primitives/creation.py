"""Arrays made from nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.primitive import Primitive
from weft.core.shape_classes import Naming
from weft.primitives.rules import Batched, Dims, Shape, Value, Values, check_axes, def_no_derivative
from weft.terms import build
from weft.terms.lower import Lowering, Tensor

# ---------------------------------------------------------------- iota

iota_p = Primitive("iota")


def iota(dtype: Any, shape: Sequence[int], dimension: int) -> Value:
    """Each element's index along `dimension`."""
    return iota_p.bind(
        dtype=dtypes.canonical_dtype(dtype), shape=tuple(shape), dimension=int(dimension)
    )


@iota_p.def_type
def _(*, dtype: np.dtype, shape: tuple[int, ...], dimension: int) -> ShapedArray:
    if dtypes.is_bool(dtype) or dtypes.is_key(dtype):
        raise TypeError(f"iota counts, so it needs a numeric dtype, got {dtype}.")
    aval = ShapedArray(shape, dtype)
    check_axes("iota", aval, (dimension,), "dimension")
    return aval


@iota_p.def_numpy
def _(*, dtype: np.dtype, shape: tuple[int, ...], dimension: int) -> np.ndarray:
    column = [1] * len(shape)
    column[dimension] = shape[dimension]
    return np.broadcast_to(np.arange(shape[dimension]).astype(dtype).reshape(column), shape)


def_no_derivative(iota_p)


@iota_p.def_lower
def _(ctx: Lowering, *, dtype: np.dtype, shape: Shape, dimension: int) -> Tensor:
    return ctx.define(shape, dtype, lambda index: build.position(index[dimension], dtype))


@iota_p.def_sizes
def _(
    naming: Naming, inputs: Any, outputs: Any, *, dtype: np.dtype, shape: Shape, dimension: int
) -> dict[str, Any]:
    return {"dtype": dtype, "shape": naming.shape(shape), "dimension": dimension}


@iota_p.def_batch
def _(
    axis_size: int, args: Values, dims: Dims, *, dtype: np.dtype, shape: Shape, dimension: int
) -> Batched:
    return iota(dtype, shape, dimension), None
