"""Gather and scatter: reading and writing windows of an array at computed positions.

The semantics are XLA's. ``indices`` has shape ``(*batch, k)``: for each batch index it holds the k
coordinates at which a window of the operand starts. `gather` returns the windows; the scatters
combine `updates` (laid out as gather would return them) into the operand, in row-major order of
the batch: where windows overlap, the last update of a plain `scatter` wins.

A window that does not fit inside the operand is treated as the mode says: shifted until it does
(``CLIP``), or dropped by scatters and filled with a constant by gathers (``FILL_OR_DROP``).
``PROMISE_IN_BOUNDS`` says that this does not occur; were it to, gathers clip and scatters drop.
Gathering and scatter-adding are each other's transpose.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.linear import is_undef, is_zero
from weft.core.primitive import Primitive
from weft.primitives.arithmetic import add, div, mul
from weft.primitives.comparison import eq
from weft.primitives.creation import iota
from weft.primitives.rules import (
    ANY,
    NUMBER,
    ORDERED,
    Accepts,
    Batched,
    Cotangents,
    Dims,
    Dual,
    Shape,
    Value,
    Values,
    check_accepts,
    check_same_dtype,
    dtype_of,
    remembered,
    shape_of,
    zero_tangent,
)
from weft.primitives.select import select_n
from weft.primitives.shaping import batch_first, full, full_like, instantiate, move_axis, reshape
from weft.primitives.windows import (
    GatherDimensionNumbers,
    GatherScatterMode,
    ScatterDimensionNumbers,
    batch_dims,
    check_numbers,
    check_offset_dims,
    default_fill_value,
    pair_batch,
    positions,
    shift_operand,
    up,
    window_axes,
    window_sizes,
)
from weft.terms import build
from weft.terms.affine import Affine
from weft.terms.lower import Indices, Lowering, Tensor, by_parts, cast_tensor, real_results
from weft.terms.tensor import ComplexTensor
from weft.terms.term import Term

# ---------------------------------------------------------------- gather

gather_p = Primitive("gather")


def gather(
    operand: Value,
    indices: Value,
    dimension_numbers: GatherDimensionNumbers,
    slice_sizes: Sequence[int],
    *,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    mode: str | GatherScatterMode | None = None,
    fill_value: Any = None,
) -> Value:
    """Windows of `operand`, of sizes `slice_sizes`, that start at `indices`."""
    return gather_p.bind(
        operand,
        indices,
        dimension_numbers=GatherDimensionNumbers(*map(tuple, dimension_numbers)),
        slice_sizes=tuple(slice_sizes),
        unique_indices=bool(unique_indices),
        indices_are_sorted=bool(indices_are_sorted),
        mode=GatherScatterMode.from_any(mode),
        fill_value=fill_value,
    )


@gather_p.def_type
@remembered
def _(
    x: ShapedArray, indices: ShapedArray, *, dimension_numbers: Any, slice_sizes: Shape, **_: Any
) -> ShapedArray:
    numbers = dimension_numbers
    check_numbers("gather", x, indices, numbers)
    window = window_axes(x.ndim, numbers)
    result_ndim = indices.ndim - 1 + len(window)
    check_offset_dims("gather", numbers.offset_dims, result_ndim, len(window))
    if len(slice_sizes) != x.ndim or any(
        not 0 <= size <= n for size, n in zip(slice_sizes, x.shape, strict=True)
    ):
        raise ValueError(
            f"gather from {x} cannot have slice_sizes {slice_sizes}: one size for each axis is "
            "needed, at least 0 and at most the size of the axis."
        )
    for d in (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims):
        if slice_sizes[d] > 1:
            raise ValueError(
                f"gather from {x}: axis {d} is collapsed or batched, so its slice size must be 1, "
                f"got slice_sizes {slice_sizes}."
            )
    sizes, batch = iter([slice_sizes[d] for d in window]), iter(indices.shape[:-1])
    shape = (next(sizes if d in numbers.offset_dims else batch) for d in range(result_ndim))
    return ShapedArray(tuple(shape), x.dtype, x.weak_type)


@gather_p.def_numpy
def _(
    x: np.ndarray,
    indices: np.ndarray,
    *,
    dimension_numbers: Any,
    slice_sizes: Shape,
    mode: GatherScatterMode,
    fill_value: Any,
    **_: Any,
) -> np.ndarray:
    arrays, inside = positions(x.shape, indices, dimension_numbers, slice_sizes)
    windows = len(dimension_numbers.offset_dims)
    taken = np.asarray(x[arrays]) if arrays else np.broadcast_to(x, inside.shape)
    if mode == GatherScatterMode.FILL_OR_DROP:
        fill = default_fill_value(x.dtype) if fill_value is None else fill_value
        mask = inside.reshape(inside.shape + (1,) * windows)
        taken = np.where(mask, taken, np.asarray(fill, x.dtype))
    order = batch_dims(taken.ndim, dimension_numbers.offset_dims)
    return taken.transpose(np.argsort([*order, *dimension_numbers.offset_dims]).astype(int))


def _window_index(
    x_shape: Value, indices: Value, numbers: Value, sizes: Value, batch: Value, offsets: Value
) -> Value:
    """Where a window's element is in the operand, clipped; and whether the window fits.

    `batch` is the index of the window, `offsets` the position inside it; the test is a term, None
    for always.
    """
    window = iter(offsets)
    spanned = window_axes(len(x_shape), numbers)
    index = [next(window) if d in spanned else Affine() for d in range(len(x_shape))]
    tests = []
    for k, d in enumerate(numbers.start_index_map):
        start, last = indices.at((*batch, Affine.of(k))), max(x_shape[d] - sizes[d], 0)
        index[d] = index[d] + build.clamped_index(start, 0, last)
        tests.append(build.in_range(start, 0, last))
    for d, b in zip(
        numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True
    ):
        index[d] = batch[b]
    return index, build.all_of([test for test in tests if test is not None])


@gather_p.def_lower
def _(
    ctx: Lowering,
    x: Tensor,
    indices: Tensor,
    *,
    dimension_numbers: Any,
    slice_sizes: Shape,
    mode: GatherScatterMode,
    fill_value: Any,
    **_: Any,
) -> Tensor:
    numbers = dimension_numbers
    fill = default_fill_value(x.dtype) if fill_value is None else fill_value

    def element(index: Indices) -> Term:
        batch = [index[d] for d in batch_dims(len(index), numbers.offset_dims)]
        offsets = [index[d] for d in numbers.offset_dims]
        where, fits = _window_index(x.shape, indices, numbers, slice_sizes, batch, offsets)
        if mode != GatherScatterMode.FILL_OR_DROP or fits is None:
            return x.at(where)
        return build.select(fits, x.at(where), build.const(fill, x.dtype))

    return ctx.define(ctx.out.shape, x.dtype, element)


@gather_p.def_lower_complex
def _(
    ctx: Lowering, x: ComplexTensor, indices: Tensor, *, fill_value: Any, **params: Any
) -> ComplexTensor:
    fill = np.complex128(default_fill_value(x.dtype) if fill_value is None else fill_value)
    lowered = gather_p.rule("lower")
    with real_results(ctx):
        re = lowered(ctx, x.re, indices, fill_value=fill.real, **params)
        im = lowered(ctx, x.im, indices, fill_value=fill.imag, **params)
    return ComplexTensor(re, im)


@gather_p.def_jvp
def _(primals: Values, tangents: Values, **params: Any) -> Dual:
    ans = gather_p.bind(*primals, **params)
    if is_zero(tangents[0]):
        return ans, zero_tangent(ans)
    return ans, gather_p.bind(tangents[0], primals[1], **{**params, "fill_value": 0})


@gather_p.def_transpose
def _(
    ct: Value,
    x: Value,
    indices: Value,
    *,
    dimension_numbers: Any,
    slice_sizes: Shape,
    fill_value: Any,
    **params: Any,
) -> Cotangents:
    if is_zero(ct):
        return [None, None]
    zeros = full(shape_of(x), 0, dtype_of(ct))
    numbers = ScatterDimensionNumbers(*dimension_numbers)
    return [scatter_add(zeros, indices, ct, numbers, **params), None]


@gather_p.def_batch
def _(
    axis_size: int,
    args: Values,
    dims: Dims,
    *,
    dimension_numbers: Any,
    slice_sizes: Shape,
    **params: Any,
) -> Batched:
    (x, indices), (x_dim, indices_dim) = args, dims
    old = dimension_numbers
    if x_dim is not None:
        x = move_axis(x, x_dim, 0)
    if indices_dim is not None:
        indices = move_axis(indices, indices_dim, 0)
    if indices_dim is None:  # the mapped axis lies whole in every window
        numbers = shift_operand(old)._replace(offset_dims=(0, *up(old.offset_dims)))
        return gather(x, indices, numbers, (axis_size, *slice_sizes), **params), 0
    params = {**params, "unique_indices": False, "indices_are_sorted": False}
    if x_dim is None:  # the mapped axis is one more axis of the batch of indices
        numbers = old._replace(
            offset_dims=up(old.offset_dims),
            start_indices_batching_dims=up(old.start_indices_batching_dims),
        )
        return gather(x, indices, numbers, slice_sizes, **params), 0
    numbers = pair_batch(old)
    return gather(x, indices, numbers, (min(axis_size, 1), *slice_sizes), **params), 0


# ---------------------------------------------------------------- scatter, scatter_add, ...


def _scatter_lower(op: str) -> Callable[..., Any]:
    """The lowering of a scatter that combines by `op` ("set", or the name of a monoid)."""

    def rule(
        ctx: Value,
        x: Value,
        indices: Value,
        updates: Value,
        *,
        dimension_numbers: Any,
        mode: GatherScatterMode,
        unique_indices: Any,
        indices_are_sorted: Any,
    ) -> Value:
        numbers = GatherDimensionNumbers(*dimension_numbers)
        sizes = window_sizes(x.shape, updates.shape, numbers)
        batch = batch_dims(updates.ndim, numbers.offset_dims)
        order = [*batch, *numbers.offset_dims]  # windows one after the other: the last one wins
        # Clipping may push windows over one another, whatever was promised, unless there is one.
        windows = [n for b, n in enumerate(indices.shape[:-1]) if b not in numbers[4]]
        clips = mode == GatherScatterMode.CLIP
        wide = x.dtype if op == "set" else build.accumulator_dtype(x.dtype)

        def target(point: Value) -> Value:
            return _window_index(
                x.shape, indices, numbers, sizes, point[: len(batch)], point[len(batch) :]
            )

        def update(point: Value) -> Value:
            at = dict(zip(order, point, strict=True))
            return build.cast(updates.at([at[d] for d in range(updates.ndim)]), wide)

        result = ctx.scatter(
            cast_tensor(ctx, x, wide),
            tuple(updates.shape[d] for d in order),
            lambda point: target(point)[0],
            update,
            op,
            guard=None if clips else lambda point: target(point)[1],
            unique=math.prod(windows) <= 1 or (unique_indices and not clips),
        )
        return cast_tensor(ctx, result, x.dtype)

    return rule


def _scatter_primitive(
    name: str,
    accepts: Accepts,
    op: str,
    combine: Callable[[np.ndarray, Any, np.ndarray], None],
) -> Primitive:
    """Declare the types, meaning and batching of a scatter that combines by `combine`."""
    primitive = Primitive(name)

    @primitive.def_type
    def _(
        x: ShapedArray,
        indices: ShapedArray,
        updates: ShapedArray,
        *,
        dimension_numbers: Any,
        **_: Any,
    ) -> ShapedArray:
        numbers = GatherDimensionNumbers(*dimension_numbers)
        check_accepts(name, accepts, x)
        check_same_dtype(f"{name} (operand and updates)", x, updates)
        check_numbers(name, x, indices, numbers)
        window = window_axes(x.ndim, numbers)
        if updates.ndim != indices.ndim - 1 + len(window):
            raise ValueError(
                f"{name} into {x} at indices {indices} needs updates with "
                f"{indices.ndim - 1 + len(window)} axes, got {updates}."
            )
        check_offset_dims(name, numbers.offset_dims, updates.ndim, len(window))
        batch = tuple(updates.shape[d] for d in batch_dims(updates.ndim, numbers.offset_dims))
        if batch != indices.shape[:-1]:
            raise ValueError(
                f"{name}: updates {updates} need the batch axes of the indices {indices} outside "
                f"of their window dimensions {numbers.offset_dims}."
            )
        for size, d in zip((updates.shape[k] for k in numbers.offset_dims), window, strict=True):
            if size > x.shape[d]:
                raise ValueError(f"{name}: a window of {updates} does not fit in axis {d} of {x}.")
        return x

    @primitive.def_numpy
    def _(
        x: np.ndarray,
        indices: np.ndarray,
        updates: np.ndarray,
        *,
        dimension_numbers: Any,
        mode: GatherScatterMode,
        **_: Any,
    ) -> np.ndarray:
        numbers = GatherDimensionNumbers(*dimension_numbers)
        sizes = window_sizes(x.shape, updates.shape, numbers)
        arrays, inside = positions(x.shape, indices, numbers, sizes)
        batch = batch_dims(updates.ndim, numbers.offset_dims)
        updates = updates.transpose(*batch, *numbers.offset_dims)
        kept = np.full(inside.shape, True) if mode == GatherScatterMode.CLIP else inside
        # 16-bit floats are accumulated in 32 bits.
        narrow = dtypes.is_floating(x.dtype) and x.dtype.itemsize < 4
        out = x.astype(np.float32, order="C") if narrow else x.copy()
        # Index the flat operand: all kept windows, in row-major order of the batch.
        flat = np.zeros(updates.shape, np.int64)
        for array, n in zip(arrays, x.shape, strict=True):
            flat = flat * n + array
        with np.errstate(all="ignore"):
            combine(out.reshape(-1), flat[kept].reshape(-1), updates[kept].reshape(-1))
        return np.asarray(out, x.dtype)

    @primitive.def_batch
    def _(
        axis_size: int, args: Values, dims: Dims, *, dimension_numbers: Any, **params: Any
    ) -> Batched:
        (_, indices, _), (_, indices_dim, _) = args, dims
        old = GatherDimensionNumbers(*dimension_numbers)
        x, updates = batch_first(axis_size, args[::2], dims[::2])
        if indices_dim is None:
            numbers = shift_operand(old)._replace(offset_dims=(0, *up(old.offset_dims)))
        else:
            indices = move_axis(indices, indices_dim, 0)
            numbers = pair_batch(old)
            params = {**params, "indices_are_sorted": False}
        params = {**params, "dimension_numbers": ScatterDimensionNumbers(*numbers)}
        return primitive.bind(x, indices, updates, **params), 0

    primitive.def_lower(_scatter_lower(op))
    return primitive


def _scatter_function(primitive: Primitive) -> Callable[..., Value]:
    def scatter(
        operand: Value,
        indices: Value,
        updates: Value,
        dimension_numbers: ScatterDimensionNumbers,
        *,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        mode: str | GatherScatterMode | None = None,
    ) -> Value:
        return primitive.bind(
            operand,
            indices,
            updates,
            dimension_numbers=ScatterDimensionNumbers(*map(tuple, dimension_numbers)),
            indices_are_sorted=bool(indices_are_sorted),
            unique_indices=bool(unique_indices),
            mode=GatherScatterMode.from_any(mode),
        )

    scatter.__name__ = primitive.name
    return scatter


def gather_back(
    source: Value,
    indices: Value,
    updates: Value,
    *,
    dimension_numbers: Any,
    mode: GatherScatterMode,
    **_: Any,
) -> Value:
    """Read from `source` the windows that a scatter of `updates` writes; 0 for dropped ones."""
    numbers = GatherDimensionNumbers(*dimension_numbers)
    sizes = window_sizes(shape_of(source), shape_of(updates), numbers)
    # A scatter drops windows out of bounds unless it clips, so what it drops must read as 0.
    mode = mode if mode == GatherScatterMode.CLIP else GatherScatterMode.FILL_OR_DROP
    return gather(source, indices, numbers, sizes, mode=mode, fill_value=0)


def _def_jointly_linear_jvp(primitive: Primitive) -> None:
    """Register the tangent of a scatter that is linear in (operand, updates) together."""

    @primitive.def_jvp
    def _(primals: Values, tangents: Values, **params: Any) -> Dual:
        x, indices, updates = primals
        ans = primitive.bind(x, indices, updates, **params)
        if is_zero(tangents[0]) and is_zero(tangents[2]):
            return ans, zero_tangent(ans)
        tx, tu = instantiate(tangents[0]), instantiate(tangents[2])
        return ans, primitive.bind(tx, indices, tu, **params)


def _assign(flat: np.ndarray, index: np.ndarray, updates: np.ndarray) -> None:
    flat[index] = updates  # NumPy assigns in order: the last of equal indices stays


scatter_p = _scatter_primitive("scatter", ANY, "set", _assign)
by_parts(scatter_p)
scatter = _scatter_function(scatter_p)
_def_jointly_linear_jvp(scatter_p)


@scatter_p.def_transpose
def _(ct: Value, x: Value, indices: Value, updates: Value, **params: Any) -> Cotangents:
    if is_zero(ct):
        return [None, None, None]
    ct_x = ct_updates = None
    if is_undef(x):
        zeros = full(shape_of(updates), 0, dtype_of(ct))
        ct_x = scatter_p.bind(ct, indices, zeros, **params)
    if is_undef(updates):
        ct_updates = gather_back(ct, indices, updates, **params)
        if not params["unique_indices"]:
            wins = _last_writers(shape_of(x), indices, updates, **params)
            ct_updates = select_n(wins, full_like(ct_updates, 0), ct_updates)
    return [ct_x, None, ct_updates]


def _last_writers(x_shape: tuple[int, ...], indices: Value, updates: Value, **params: Any) -> Value:
    """Which elements of `updates` no later one overwrites: scatter numbers and read them back."""
    shape = shape_of(updates)
    count = int(np.prod(shape, dtype=np.int64))
    ids = reshape(iota(np.int32 if count < 2**31 else np.int64, (count,), 0), shape)
    written = scatter_p.bind(full(x_shape, 0, dtype_of(ids)), indices, ids, **params)
    return eq(ids, gather_back(written, indices, updates, **params))


scatter_add_p = _scatter_primitive("scatter_add", NUMBER, "add", np.add.at)
by_parts(scatter_add_p)
scatter_add = _scatter_function(scatter_add_p)
_def_jointly_linear_jvp(scatter_add_p)


@scatter_add_p.def_transpose
def _(ct: Value, x: Value, indices: Value, updates: Value, **params: Any) -> Cotangents:
    if is_zero(ct):
        return [None, None, None]
    ct_updates = gather_back(ct, indices, updates, **params) if is_undef(updates) else None
    return [ct if is_undef(x) else None, None, ct_updates]


scatter_mul_p = _scatter_primitive("scatter_mul", NUMBER, "mul", np.multiply.at)
scatter_mul = _scatter_function(scatter_mul_p)


@scatter_mul_p.def_jvp
def _(primals: Values, tangents: Values, **params: Any) -> Dual:
    (x, indices, updates), (tx, _, tu) = primals, tangents
    ans = scatter_mul_p.bind(x, indices, updates, **params)
    terms = []
    if not is_zero(tx):
        terms.append(scatter_mul_p.bind(tx, indices, updates, **params))
    if not is_zero(tu):
        if not params["unique_indices"]:
            raise NotImplementedError(
                "scatter_mul has a derivative with respect to its updates only with "
                "unique_indices=True: repeated indices would need the product of the others."
            )
        read = gather_back(x, indices, updates, **params)
        terms.append(scatter_add_p.bind(full_like(x, 0), indices, mul(tu, read), **params))
    if not terms:
        return ans, zero_tangent(ans)
    return ans, terms[0] if len(terms) == 1 else add(*terms)


@scatter_mul_p.def_transpose
def _(ct: Value, x: Value, indices: Value, updates: Value, **params: Any) -> Cotangents:
    if is_undef(updates):
        raise NotImplementedError(
            "scatter_mul is not linear in its updates: transpose it with respect to its "
            "operand only."
        )
    if is_zero(ct):
        return [None, None, None]
    return [scatter_mul_p.bind(ct, indices, updates, **params), None, None]


scatter_min_p = _scatter_primitive("scatter_min", ORDERED, "min", np.minimum.at)
scatter_min = _scatter_function(scatter_min_p)

scatter_max_p = _scatter_primitive("scatter_max", ORDERED, "max", np.maximum.at)
scatter_max = _scatter_function(scatter_max_p)


def _def_extremum_jvp(primitive: Primitive) -> None:
    @primitive.def_jvp
    def _(primals: Values, tangents: Values, **params: Any) -> Dual:
        (x, indices, updates), (tx, _, tu) = primals, tangents
        ans = primitive.bind(x, indices, updates, **params)
        if is_zero(tx) and is_zero(tu):
            return ans, zero_tangent(ans)
        # Each result is the mean of the tangents of all candidates that attain it.
        x_attains = eq(x, ans)
        u_attains = eq(updates, gather_back(ans, indices, updates, **params))

        def among(values_x: Value, values_u: Value) -> Value:
            kept_x = select_n(x_attains, full_like(values_x, 0), values_x)
            kept_u = select_n(u_attains, full_like(values_u, 0), values_u)
            return scatter_add_p.bind(kept_x, indices, kept_u, **params)

        hits = among(full_like(x, 1), full_like(updates, 1))
        return ans, div(among(instantiate(tx), instantiate(tu)), hits)


_def_extremum_jvp(scatter_min_p)
_def_extremum_jvp(scatter_max_p)
