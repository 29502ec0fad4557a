"""Complex products in `scatter_mul`: windows one after the other.

A scatter writes real numbers, and the parts of a complex product each depend on both parts of what
was there. So windows are read, multiplied and written back: all at once where no two of them
overlap, otherwise in a loop over them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weft.core.avals import ShapedArray
from weft.core.staging import trace_to_jaxpr
from weft.primitives.arithmetic import mul
from weft.primitives.convert import convert_element_type
from weft.primitives.creation import iota
from weft.primitives.indexing import (
    GatherDimensionNumbers,
    GatherScatterMode,
    ScatterDimensionNumbers,
    batch_dims,
    gather_back,
    scatter_mul,
    scatter_mul_p,
    scatter_p,
)
from weft.primitives.joining import concatenate
from weft.primitives.rules import Value, shape_of
from weft.primitives.shaping import reshape, transpose
from weft.terms.control_flow import lower_scan

__all__ = ["multiplied", "rows_of", "scatter_mul"]


def multiplied(x: Value, indices: Value, updates: Value, **params: Any) -> Value:
    """`x` with windows that do not overlap multiplied by `updates`."""
    product = mul(gather_back(x, indices, updates, **params), updates)
    return scatter_p.bind(x, indices, product, **{**params, "unique_indices": True})


def rows_of(
    indices: Value, updates: Value, numbers: GatherDimensionNumbers
) -> tuple[list[Value], ScatterDimensionNumbers]:
    """Indices and updates by window, with one batch axis in front, and the numbers of one window.

    Batching axes of the operand become axes like others, with indices of their own.
    """
    batch = shape_of(indices)[:-1]
    if numbers.start_indices_batching_dims and indices.dtype.itemsize < 4:
        indices = convert_element_type(indices, np.dtype(np.int32))
    columns = [indices]
    for axis in numbers.start_indices_batching_dims:
        columns.append(iota(indices.dtype, (*batch, 1), axis))
    joined = concatenate(columns, len(batch)) if len(columns) > 1 else indices
    count = math.prod(batch)
    rows = reshape(joined, (count, shape_of(joined)[-1]))
    own = batch_dims(len(shape_of(updates)), numbers.offset_dims)
    window = tuple(shape_of(updates)[d] for d in numbers.offset_dims)
    ordered = transpose(updates, (*own, *numbers.offset_dims))
    batching = numbers.operand_batching_dims
    one = ScatterDimensionNumbers(
        tuple(range(len(window))),
        tuple(sorted((*numbers.collapsed_slice_dims, *batching))),
        (*numbers.start_index_map, *batching),
    )
    return [rows, reshape(ordered, (count, *window))], one


@scatter_mul_p.def_lower_complex
def _(ctx: Value, x: Value, indices: Value, updates: Value, **params: Any) -> Value:
    avals = [ShapedArray(t.shape, t.dtype) for t in (x, indices, updates)]
    if params["unique_indices"] and params["mode"] != GatherScatterMode.CLIP:
        closed = trace_to_jaxpr(lambda *args: [multiplied(*args, **params)], avals)
        return ctx.inline(closed, [x, indices, updates])[0]
    numbers = GatherDimensionNumbers(*params["dimension_numbers"])
    one: list[ScatterDimensionNumbers] = []

    def rows(indices: Value, updates: Value) -> list[Value]:
        found, window = rows_of(indices, updates, numbers)
        one.append(window)
        return found

    split = trace_to_jaxpr(rows, avals[1:])
    params = {**params, "dimension_numbers": one[0], "indices_are_sorted": False}
    row_avals = [ShapedArray(a.shape[1:], a.dtype) for a in split.out_avals]
    body = trace_to_jaxpr(lambda *args: [multiplied(*args, **params)], [avals[0], *row_avals])
    windows = ctx.inline(split, [indices, updates])
    count = math.prod(indices.shape[:-1])
    return lower_scan(ctx, body, [], [x], windows, count, False)[0]
