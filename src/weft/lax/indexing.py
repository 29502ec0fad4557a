"""Reading and writing windows of arrays at computed positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import aval_of
from weft.lax.examples import EXAMPLES
from weft.lax.operands import (
    ArrayLike,
    Value,
    canonical_axis,
    canonical_shape,
    is_scalar,
    operand,
    operands,
)
from weft.primitives import dynamic_slice as windows
from weft.primitives import indexing, scatter_products
from weft.primitives.arithmetic import add, neg
from weft.primitives.comparison import lt
from weft.primitives.convert import convert_element_type
from weft.primitives.indexing import (
    GatherDimensionNumbers,
    GatherScatterMode,
    ScatterDimensionNumbers,
)
from weft.primitives.joining import concatenate
from weft.primitives.reduction import reduce_or
from weft.primitives.select import select_n
from weft.primitives.shaping import broadcast_in_dim, full_like, reshape
from weft.primitives.slicing import slice_along

# ---------------------------------------------------------------- slices at computed positions


def _starts(
    name: str, x: Value, start_indices: Any, negative: bool | Sequence[bool]
) -> list[Value]:
    """One scalar for each axis, all of one dtype; where `negative`, those count from the end."""
    if isinstance(start_indices, list | tuple):
        starts = list(start_indices)
    else:
        vector = aval_of(operand(name, start_indices))
        if vector.ndim != 1:
            raise TypeError(f"lax.{name} needs start indices as scalars or a vector, got {vector}.")
        pieces = (slice_along(start_indices, k, k + 1, 0) for k in range(vector.shape[0]))
        starts = [reshape(piece, ()) for piece in pieces]
    shape = aval_of(x).shape
    if len(starts) != len(shape):
        raise TypeError(
            f"lax.{name} of {aval_of(x)} needs {len(shape)} start indices, got {len(starts)}."
        )
    for start in starts:
        aval = aval_of(operand(name, start))
        if not dtypes.is_integer(aval.dtype) or aval.shape:
            raise TypeError(f"lax.{name} needs scalar integers as start indices, got {aval}.")
    dtype = dtypes.result_type(*starts)[0] if starts else np.dtype(np.int32)
    allowed = [negative] * len(starts) if isinstance(negative, bool) else list(negative)
    if len(allowed) != len(starts):
        raise ValueError(
            f"lax.{name}: allow_negative_indices is for {len(starts)} axes, got {len(allowed)}."
        )
    return [
        _from_front(start, n, dtype, allow)
        for start, n, allow in zip(starts, shape, allowed, strict=True)
    ]


def _from_front(start: Value, size: int, dtype: np.dtype, negative: bool) -> Value:
    if is_scalar(start):
        return np.asarray(start + size if negative and start < 0 else start, dtype)
    start = convert_element_type(start, dtype)
    if not (negative and dtypes.is_signed(dtype)):
        return start
    return select_n(lt(start, full_like(start, 0)), start, add(start, full_like(start, size)))


Negative = bool | Sequence[bool]


def dynamic_slice(
    operand: ArrayLike,
    start_indices: Any,
    slice_sizes: Sequence[int],
    *,
    allow_negative_indices: Negative = True,
) -> Value:
    """The window of `slice_sizes` that starts at `start_indices`, scalars that may be traced.

    Negative starts count from the end, where `allow_negative_indices` holds (for all axes or each
    of them). A start is then clamped so that the window fits.

    >>> lax.dynamic_slice(np.arange(5), (3,), (3,))
    Array([2, 3, 4], dtype=int32)
    """
    starts = _starts("dynamic_slice", operand, start_indices, allow_negative_indices)
    return windows.dynamic_slice(operand, starts, canonical_shape("dynamic_slice", slice_sizes))


def dynamic_update_slice(
    operand: ArrayLike,
    update: ArrayLike,
    start_indices: Any,
    *,
    allow_negative_indices: Negative = True,
) -> Value:
    """`operand` with the window that starts at `start_indices` replaced by `update`.

    Starts are treated as :func:`dynamic_slice` does.

    >>> lax.dynamic_update_slice(np.arange(5), np.array([9, 9]), (1,))
    Array([0, 9, 9, 3, 4], dtype=int32)
    """
    starts = _starts("dynamic_update_slice", operand, start_indices, allow_negative_indices)
    if is_scalar(update):
        update = operands("dynamic_update_slice", update, _scalar_of(operand))[0]
    return windows.dynamic_update_slice(operand, update, starts)


def _scalar_of(x: Value) -> np.ndarray:
    return np.zeros((), aval_of(x).dtype)


def _along(name: str, x: Value, index: ArrayLike, axis: int) -> list[Any]:
    starts: list[Any] = [0] * aval_of(operand(name, x)).ndim
    starts[axis] = index
    return starts


def dynamic_slice_in_dim(
    operand: ArrayLike,
    start_index: ArrayLike,
    slice_size: int,
    axis: int = 0,
    *,
    allow_negative_indices: bool = True,
) -> Value:
    """`slice_size` elements along `axis`, from `start_index` on.

    >>> lax.dynamic_slice_in_dim(np.arange(6), 2, 3)
    Array([2, 3, 4], dtype=int32)
    """
    shape = list(aval_of(operand).shape)
    axis = canonical_axis("dynamic_slice_in_dim", axis, len(shape))
    shape[axis] = int(slice_size)
    starts = _along("dynamic_slice_in_dim", operand, start_index, axis)
    return dynamic_slice(operand, starts, shape, allow_negative_indices=allow_negative_indices)


def dynamic_index_in_dim(
    operand: ArrayLike,
    index: ArrayLike,
    axis: int = 0,
    keepdims: bool = True,
    *,
    allow_negative_indices: bool = True,
) -> Value:
    """The element at `index` along `axis`, which is kept with size 1 if `keepdims`.

    >>> lax.dynamic_index_in_dim(np.array([[1, 2], [3, 4]]), 1, keepdims=False)
    Array([3, 4], dtype=int32)
    """
    shape = aval_of(operand).shape
    axis = canonical_axis("dynamic_index_in_dim", axis, len(shape))
    taken = dynamic_slice_in_dim(
        operand, index, 1, axis, allow_negative_indices=allow_negative_indices
    )
    return taken if keepdims else reshape(taken, shape[:axis] + shape[axis + 1 :])


def dynamic_update_slice_in_dim(
    operand: ArrayLike,
    update: ArrayLike,
    start_index: ArrayLike,
    axis: int,
    *,
    allow_negative_indices: bool = True,
) -> Value:
    """`operand` with the elements along `axis` from `start_index` on replaced by `update`.

    >>> lax.dynamic_update_slice_in_dim(np.arange(5), np.array([9, 9]), 1, 0)
    Array([0, 9, 9, 3, 4], dtype=int32)
    """
    axis = canonical_axis("dynamic_update_slice_in_dim", axis, aval_of(operand).ndim)
    starts = _along("dynamic_update_slice_in_dim", operand, start_index, axis)
    return dynamic_update_slice(
        operand, update, starts, allow_negative_indices=allow_negative_indices
    )


def dynamic_update_index_in_dim(
    operand: ArrayLike,
    update: ArrayLike,
    index: ArrayLike,
    axis: int,
    *,
    allow_negative_indices: bool = True,
) -> Value:
    """`operand` with the element at `index` along `axis` replaced by `update`.

    `update` may lack the axis.

    >>> lax.dynamic_update_index_in_dim(np.arange(3), 9, 1, 0)
    Array([0, 9, 2], dtype=int32)
    """
    shape = aval_of(operand).shape
    axis = canonical_axis("dynamic_update_index_in_dim", axis, len(shape))
    if is_scalar(update):
        update = operands("dynamic_update_index_in_dim", update, _scalar_of(operand))[0]
    if len(aval_of(update).shape) < len(shape):
        own = aval_of(update).shape
        update = reshape(update, (*own[:axis], 1, *own[axis:]))
    return dynamic_update_slice_in_dim(
        operand, update, index, axis, allow_negative_indices=allow_negative_indices
    )


# ---------------------------------------------------------------- gather and scatter


def gather(
    operand: ArrayLike,
    start_indices: ArrayLike,
    dimension_numbers: GatherDimensionNumbers,
    slice_sizes: Sequence[int],
    *,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    mode: str | GatherScatterMode | None = None,
    fill_value: Any = None,
) -> Value:
    """Windows of `operand`, of sizes `slice_sizes`, that start at `start_indices`.

    The last axis of `start_indices` holds the coordinates that `dimension_numbers` assigns to axes
    of the operand; its other axes are those of the result. `mode` says what happens to windows that
    do not fit: "fill" (the default) with `fill_value`, by default NaN or an extreme integer;
    "clip", to the nearest window that does; or "promise_in_bounds".

    >>> lax.gather(
    ...     np.arange(6),
    ...     np.array([[4], [1]]),
    ...     lax.GatherDimensionNumbers((), (0,), (0,)),
    ...     (1,),
    ... )
    Array([4, 1], dtype=int32)
    """
    return indexing.gather(
        operand,
        start_indices,
        dimension_numbers,
        canonical_shape("gather", slice_sizes),
        unique_indices=unique_indices,
        indices_are_sorted=indices_are_sorted,
        mode=mode,
        fill_value=fill_value,
    )


def _scatter(name: str, apply: Callable[..., Value], what: str) -> Callable[..., Value]:
    def function(
        operand: ArrayLike,
        scatter_indices: ArrayLike,
        updates: ArrayLike,
        dimension_numbers: ScatterDimensionNumbers,
        *,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        mode: str | GatherScatterMode | None = None,
    ) -> Value:
        if is_scalar(updates):
            updates = operands(name, updates, _scalar_of(operand))[0]
        return apply(
            operand,
            scatter_indices,
            updates,
            dimension_numbers,
            indices_are_sorted=indices_are_sorted,
            unique_indices=unique_indices,
            mode=mode,
        )

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"`operand` with windows of `updates` {what} at `scatter_indices`.\n\n"
        "The layout of indices and updates is that of :func:`gather`'s indices and result.\n"
        'Windows that do not fit are dropped (mode "drop", the default) or shifted ("clip").'
        + EXAMPLES.get(name, "")
    )
    return function


scatter = _scatter("scatter", indexing.scatter, "put in (the last one, where several meet)")
scatter_add = _scatter("scatter_add", indexing.scatter_add, "added")
scatter_mul = _scatter("scatter_mul", scatter_products.scatter_mul, "multiplied in")
scatter_min = _scatter("scatter_min", indexing.scatter_min, "combined by minimum")
scatter_max = _scatter("scatter_max", indexing.scatter_max, "combined by maximum")


def scatter_sub(
    operand: ArrayLike,
    scatter_indices: ArrayLike,
    updates: ArrayLike,
    dimension_numbers: ScatterDimensionNumbers,
    *,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: str | GatherScatterMode | None = None,
) -> Value:
    """`operand` with windows of `updates` subtracted; see :func:`scatter_add`.

    >>> lax.scatter_sub(
    ...     np.zeros(3),
    ...     np.array([[1], [1]]),
    ...     np.array([5.0, 2.0]),
    ...     lax.ScatterDimensionNumbers((), (0,), (0,)),
    ... )
    Array([ 0., -7.,  0.], dtype=float32)
    """
    if is_scalar(updates):
        updates = operands("scatter_sub", updates, _scalar_of(operand))[0]
    return scatter_add(
        operand,
        scatter_indices,
        neg(updates),
        dimension_numbers,
        indices_are_sorted=indices_are_sorted,
        unique_indices=unique_indices,
        mode=mode,
    )


def scatter_apply(
    operand: ArrayLike,
    scatter_indices: ArrayLike,
    func: Callable[[Value], Value],
    dimension_numbers: ScatterDimensionNumbers,
    *,
    update_shape: Sequence[int] = (),
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: str | GatherScatterMode | None = None,
) -> Value:
    """`operand` with `func` applied to the elements of windows, as often as windows hold each.

    `func` works element by element; `update_shape` is that of the updates that :func:`scatter`
    would take there. How often is known, and reverse-mode derivatives exist, for `unique_indices`
    and where the indices are no tracers; otherwise it is a loop.

    >>> numbers = lax.ScatterDimensionNumbers((), (0,), (0,))
    >>> where = np.array([[0], [2], [2]])
    >>> lax.scatter_apply(np.ones(3), where, lambda x: 2 * x, numbers, update_shape=(3,))
    Array([2., 1., 4.], dtype=float32)
    """
    shape = canonical_shape("scatter_apply", update_shape)
    params: dict[str, Any] = {
        "dimension_numbers": ScatterDimensionNumbers(*map(tuple, dimension_numbers)),
        "indices_are_sorted": bool(indices_are_sorted),
        "unique_indices": bool(unique_indices),
        "mode": GatherScatterMode.from_any(mode),
    }
    ones = np.ones(shape, np.int32)
    values = func(indexing.gather_back(operand, scatter_indices, ones, **params))
    if not unique_indices:
        none = np.zeros(aval_of(operand).shape, np.int32)
        values = _again(values, func, none, scatter_indices, ones, params)
    return indexing.scatter_p.bind(operand, scatter_indices, values, **params)


def _again(
    values: Value,
    func: Callable[[Value], Value],
    none: np.ndarray,
    indices: Value,
    ones: np.ndarray,
    params: dict[str, Any],
) -> Value:
    """`func` applied further to the elements that several windows hold."""
    if isinstance(indices, np.ndarray):
        counts = indexing.scatter_add_p.rule("numpy")(none, indices, ones, **params)
        most = int(counts.max(initial=0))
        times = indexing.gather_back(counts, indices, ones, **params)
        for done in range(1, most):
            more = lt(full_like(times, done), times)
            values = select_n(more, values, func(values))
        return values
    from weft.transforms.control_flow import while_loop

    counts = indexing.scatter_add_p.bind(none, indices, ones, **params)
    times = indexing.gather_back(counts, indices, ones, **params)
    axes = tuple(range(ones.ndim))

    def unfinished(state: tuple[Value, Value]) -> Value:
        return reduce_or(lt(_spread(state[0], times), times), axes)

    def step(state: tuple[Value, Value]) -> tuple[Value, Value]:
        done, values = state
        more = lt(_spread(done, times), times)
        return add(done, np.asarray(1, np.int32)), select_n(more, values, func(values))

    return while_loop(unfinished, step, (np.asarray(1, np.int32), values))[1]


def _spread(x: Value, like: Value) -> Value:
    return broadcast_in_dim(x, aval_of(like).shape, ())


def index_take(src: ArrayLike, idxs: Sequence[ArrayLike], axes: Sequence[int]) -> Value:
    """Elements of `src` at vectors of indices along `axes`, with the index axis first.

    Negative indices count from the end; others out of bounds are clamped.

    >>> lax.index_take(np.array([[1, 2], [3, 4]]), (np.array([1, 0]),), (0,))
    Array([[3, 4],
           [1, 2]], dtype=int32)
    """
    aval = aval_of(operand("index_take", src))
    axes = tuple(canonical_axis("index_take", axis, aval.ndim) for axis in axes)
    columns = []
    for index, axis in zip(idxs, axes, strict=True):
        own = aval_of(operand("index_take", index))
        if own.ndim != 1 or not dtypes.is_integer(own.dtype):
            raise TypeError(f"lax.index_take needs vectors of integers as indices, got {own}.")
        columns.append(
            reshape(_from_front(index, aval.shape[axis], own.dtype, True), (*own.shape, 1))
        )
    sizes = tuple(1 if d in axes else n for d, n in enumerate(aval.shape))
    numbers = GatherDimensionNumbers(
        offset_dims=tuple(range(1, aval.ndim - len(axes) + 1)),
        collapsed_slice_dims=tuple(sorted(axes)),
        start_index_map=axes,
    )
    return indexing.gather(src, concatenate(columns, 1), numbers, sizes, mode="clip")
