"""Indexing: `x[index]`, `x.at[index]`, `take` and their kin, as slices, gathers and scatters.

An index has a basic and an advanced part (`weft.numpy.index_plans`). Reading the basic part is
slice → reverse → reshape; writing back is the inverse, a static overwrite of a strided box. The
advanced part is read by `gather` (`dynamic_slice` for scalars) and written by `scatter`.

`x[basic][advanced]` reads; `x.at[...]` updates `y = x[basic]`, scatters into `y`, and puts `y`
back. Boolean masks must be concrete, unless what is written to their elements does not depend on
how many there are. Dynamic indices out of range are clipped by reads and dropped by writes, as in
JAX.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from weft import lax
from weft.array import Array
from weft.array.calls import at_once
from weft.core import dtypes
from weft.core.avals import ShapedArray, aval_of
from weft.core.trace import Tracer
from weft.numpy._common import (
    ArrayLike,
    Value,
    check_arraylike,
    convert,
    dtype_of,
    promote,
    shape_of,
)
from weft.numpy.index_plans import Box, Plan, basic_box, basic_entries, plan_index
from weft.numpy.masks import chosen_at_once, lone_truth, unknown_mask
from weft.numpy.updates import cast_updates, combined, fitted, write_where
from weft.primitives.dynamic_slice import dynamic_slice, dynamic_update_slice
from weft.primitives.shaping import reshape, rev
from weft.primitives.slicing import slice as static_slice

# ---------------------------------------------------------------- the basic part


def read_box(x: Value, box: Box) -> Value:
    """`x[basic]`."""
    return _read_steps(x, _reading(box))


_Ints = tuple[int, ...]
#: Starts, limits and strides (None for ones) of a slice, axes to reverse, the shape of the result.
_Reading = tuple[_Ints, _Ints, _Ints | None, _Ints, _Ints]


def _read_steps(x: Value, reading: _Reading) -> Value:
    starts, limits, strides, reversed_axes, shape = reading
    return reshape(rev(static_slice(x, starts, limits, strides), reversed_axes), shape)


def _reading(box: Box) -> _Reading:
    starts = [box.low(d) for d in range(len(box.shape))]
    strides = [abs(step) if n > 1 else 1 for step, n in zip(box.step, box.length, strict=True)]
    limits = [
        start + (n - 1) * stride + 1 if n else start
        for start, stride, n in zip(starts, strides, box.length, strict=True)
    ]
    reversed_axes, shape = tuple(box.reversed_axes), tuple(box.result_shape)
    steps = tuple(strides) if any(stride != 1 for stride in strides) else None
    return tuple(starts), tuple(limits), steps, reversed_axes, shape


@lru_cache(4096)
def basic_reading(aval: ShapedArray, entries: tuple[Any, ...]) -> _Reading:
    """How to read an index of which `basic_entries` are known: it recurs in eager code."""
    return _reading(basic_box(aval, entries))


def write_box(x: Value, y: Value, box: Box) -> Value:
    """`x` with `y`, of the shape of `x[basic]`, in place of it."""
    y = lax.rev(lax.reshape(y, box.box_shape), box.reversed_axes)
    if 0 in box.length:
        return x
    if box.box_shape == box.shape:
        # A constant becomes a value of the kind of x: of its trace, and not the caller's memory.
        return y if type(y) is type(x) else lax.select_n(np.asarray(True), x, y)
    starts = [box.low(d) for d in range(len(box.shape))]
    strides = [abs(step) if n > 1 else 1 for step, n in zip(box.step, box.length, strict=True)]
    if all(stride == 1 for stride in strides):
        return dynamic_update_slice(x, y, [np.asarray(start, np.int32) for start in starts])
    # Spread over the strided box: zeros between the elements, and a mask that says where they are.
    config = [
        (start, size - (start + (n - 1) * stride + 1), stride - 1)
        for start, stride, n, size in zip(starts, strides, box.length, box.shape, strict=True)
    ]
    spread = lax.pad(y, np.zeros((), dtype_of(y)), config)
    inside = lax.broadcast_in_dim(np.asarray(True), box.box_shape, ())
    return lax.select_n(lax.pad(inside, np.asarray(False), config), x, spread)


# ---------------------------------------------------------------- the advanced part


def _index_matrix(plan: Plan) -> Value:
    """All coordinates along a new last axis, as gather and scatter want them."""
    columns = [plan.arrays[d] for d in sorted(plan.arrays)]
    if all(isinstance(column, np.ndarray) for column in columns):
        dtype = np.result_type(*(column.dtype for column in columns))
        return np.stack([column.astype(dtype) for column in columns], -1)
    columns = promote("indexing", *columns)
    expanded = [lax.reshape(column, (*plan.batch, 1)) for column in columns]
    return lax.concatenate(expanded, len(plan.batch))


def _offset_dims(plan: Plan, ndim: int) -> tuple[int, ...]:
    """Axes of the result that come from axes without an advanced index."""
    windows = ndim - len(plan.arrays)
    batch = len(plan.batch)
    return tuple(k if k < plan.position else k + batch for k in range(windows))


def _gather_advanced(y: Value, plan: Plan, mode: Any, fill_value: Any) -> Value:
    shape = shape_of(y)
    indexed = tuple(sorted(plan.arrays))
    scalar = not plan.batch and mode in (None, "clip", "promise_in_bounds")
    if scalar and all(shape[d] for d in indexed):
        zero = np.zeros((), np.int32)
        starts = [plan.arrays.get(d, zero) for d in range(len(shape))]
        sizes = tuple(1 if d in plan.arrays else n for d, n in enumerate(shape))
        taken = dynamic_slice(y, promote("indexing", *starts), sizes)
        return lax.reshape(taken, tuple(n for d, n in enumerate(shape) if d not in plan.arrays))
    numbers = lax.GatherDimensionNumbers(_offset_dims(plan, len(shape)), indexed, indexed)
    sizes = tuple(1 if d in plan.arrays else n for d, n in enumerate(shape))
    if any(shape[d] == 0 for d in indexed):
        return _gather_nothing(y, plan, numbers, mode)
    return lax.gather(
        y, _index_matrix(plan), numbers, sizes, mode=mode or "clip", fill_value=fill_value
    )


def _gather_nothing(y: Value, plan: Plan, numbers: Any, mode: Any) -> Value:
    """Reading along an axis of length 0: fine when nothing is read."""
    if 0 not in plan.batch and mode not in ("fill", "drop"):
        raise IndexError(f"an axis of length 0 has no elements to take (shape {shape_of(y)})")
    shape = [n for d, n in enumerate(shape_of(y)) if d not in plan.arrays]
    shape[plan.position : plan.position] = plan.batch
    value = np.asarray(np.nan if dtypes.is_inexact(dtype_of(y)) else 0).astype(dtype_of(y))
    return lax.broadcast_in_dim(value, tuple(shape), ())


def read(
    x: Value, index: Any, mode: Any = None, fill_value: Any = None, checked: bool = True
) -> Value:
    """`x[index]`; unless `checked`, static indices may be out of bounds too."""
    chosen = chosen_at_once(x, index) if checked and type(index) is Array else None
    return _read(x, index, mode, fill_value, checked) if chosen is None else chosen


@at_once
def _read(x: Value, index: Any, mode: Any, fill_value: Any, checked: bool) -> Value:
    entries = basic_entries(index) if checked else None
    if entries is not None:
        return _read_steps(x, basic_reading(aval_of(x), entries))
    truth = lone_truth(index)
    if truth is not None:
        return read(x, None) if truth else read(read(x, None), slice(0))
    plan = plan_index(index, aval_of(x), checked)
    y = read_box(x, plan.box)
    return _gather_advanced(y, plan, mode, fill_value) if plan.arrays else y


def is_basic(index: Any) -> bool:
    """Whether NumPy would give a view: integers, slices, ellipsis and new axes only."""
    entries = index if isinstance(index, tuple) else (index,)
    return not any(
        isinstance(e, list | np.ndarray | Array | Tracer | bool | np.bool_) for e in entries
    )


# ---------------------------------------------------------------- writing

_SCATTERS = {
    "set": lambda: lax.scatter,
    "add": lambda: lax.scatter_add,
    "multiply": lambda: lax.scatter_mul,
    "min": lambda: lax.scatter_min,
    "max": lambda: lax.scatter_max,
}


@at_once
def write(
    x: Value,
    index: Any,
    values: ArrayLike,
    kind: str = "set",
    mode: Any = None,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    checked: bool = True,
) -> Value:
    """`x` with the elements at `index` combined with `values`, which are broadcast.

    Unless `checked`, static indices may be out of bounds too.
    """
    check_arraylike(f"ndarray.at[...].{kind}", values)
    aval = aval_of(x)
    entries = basic_entries(index) if checked else None
    if entries is None:
        mask = unknown_mask(index, values, aval)
        if mask is not None:
            updates = cast_updates(values, aval, kind)
            return write_where(x, mask, updates if kind == "set" else combined(kind, x, updates))
        truth = lone_truth(index)
        if truth is False:
            return x
        plan = plan_index(Ellipsis if truth else index, aval, checked)
    else:
        plan = Plan(basic_box(aval, entries), {}, (), 0)
    updates = cast_updates(values, aval, kind)
    if not plan.arrays:
        updates = fitted(updates, plan.box.result_shape)
        if kind != "set":
            updates = combined(kind, read_box(x, plan.box), updates)
        return write_box(x, updates, plan.box)
    y = read_box(x, plan.box)
    shape = _updated_shape(y, plan)
    updates = fitted(updates, shape)
    if 0 in shape:
        return x
    y = _SCATTERS[kind]()(
        y,
        _index_matrix(plan),
        updates,
        _scatter_numbers(y, plan),
        mode=mode,
        unique_indices=unique_indices or not plan.batch,
        indices_are_sorted=indices_are_sorted,
    )
    return write_box(x, y, plan.box)


def write_applied(
    x: Value,
    index: Any,
    function: Callable[[Value], Value],
    mode: Any = None,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    checked: bool = True,
) -> Value:
    """`x` with `function` applied to the elements at `index`, as often as each is named."""
    truth = lone_truth(index)
    if truth is False:
        return x

    def converted(v: Value) -> Value:
        return convert("ndarray.at[...].apply", function(v), aval_of(x).dtype)

    plan = plan_index(Ellipsis if truth else index, aval_of(x), checked)
    y = read_box(x, plan.box)
    if not plan.arrays:
        return write_box(x, fitted(converted(y), shape_of(y)), plan.box)
    shape = _updated_shape(y, plan)
    if 0 in shape:
        return x
    y = lax.scatter_apply(
        y,
        _index_matrix(plan),
        converted,
        _scatter_numbers(y, plan),
        update_shape=shape,
        mode=mode,
        unique_indices=unique_indices or not plan.batch,
        indices_are_sorted=indices_are_sorted,
    )
    return write_box(x, y, plan.box)


def _updated_shape(y: Value, plan: Plan) -> tuple[int, ...]:
    """The shape of the elements at an index."""
    shape = [n for d, n in enumerate(shape_of(y)) if d not in plan.arrays]
    shape[plan.position : plan.position] = plan.batch
    return tuple(shape)


def _scatter_numbers(y: Value, plan: Plan) -> Any:
    indexed = tuple(sorted(plan.arrays))
    return lax.ScatterDimensionNumbers(_offset_dims(plan, len(shape_of(y))), indexed, indexed)
