"""Collectives: operations over a named axis that ``vmap`` maps.

Inside the mapped function they see one element of the axis each. The trace of the ``vmap`` that
binds the name replaces them by operations on the axis itself (the rule ``def_collective``); other
traces of ``vmap`` map over them like over anything else. Those that are linear transpose into one
another: a sum into itself, gathering into summing and scattering.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NoReturn

from weft.core import dtypes
from weft.core.avals import ShapedArray, aval_of
from weft.core.axis_names import unbound
from weft.core.primitive import Primitive
from weft.primitives.arithmetic import mul
from weft.primitives.creation import iota
from weft.primitives.joining import concatenate
from weft.primitives.reduction import reduce_max, reduce_min, reduce_sum
from weft.primitives.rules import (
    NUMBER,
    ORDERED,
    Accepts,
    Batched,
    Value,
    check_accepts,
    def_linear,
    shape_of,
)
from weft.primitives.shaping import broadcast_in_dim, full_like, move_axis, reshape
from weft.primitives.slicing import slice_along

Perm = tuple[tuple[int, int], ...]


def _collective(name: str, accepts: Accepts | None = None) -> Primitive:
    """A primitive that means something only where its axis is mapped."""
    primitive = Primitive(name)

    def nowhere(*args: Any, axis_name: Hashable, **params: Any) -> NoReturn:
        raise unbound(axis_name)

    def lower_nowhere(ctx: Any, *args: Any, axis_name: Hashable, **params: Any) -> NoReturn:
        raise unbound(axis_name)

    primitive.def_numpy(nowhere)
    primitive.def_lower(lower_nowhere)
    if accepts is not None:

        @primitive.def_type
        def _(x: ShapedArray, **params: Any) -> ShapedArray:
            check_accepts(name, accepts, x)
            return x

    return primitive


def _same_place(primitive: Primitive) -> None:
    """Mapping over another axis: the collective treats all elements of an array alike."""

    @primitive.def_batch
    def _(size: int, args: Sequence[Value], dims: Sequence[Any], **params: Any) -> Batched:
        return primitive.bind(*args, **params), dims[0]


def _axis_in_front(primitive: Primitive, *dimensions: str) -> None:
    """Mapping over another axis, which goes first, so that these parameters count one more."""

    @primitive.def_batch
    def _(size: int, args: Sequence[Value], dims: Sequence[Any], **params: Any) -> Batched:
        moved = {name: params[name] + 1 for name in dimensions}
        return primitive.bind(move_axis(args[0], dims[0], 0), **(params | moved)), 0


def _repeated(x: Value, axis_size: int, dim: int | None) -> Value:
    """`x` with the mapped axis first, repeated along it if it is not mapped."""
    if dim is not None:
        return move_axis(x, dim, 0)
    shape = shape_of(x)
    return broadcast_in_dim(x, (int(axis_size), *shape), range(1, len(shape) + 1))


# ---------------------------------------------------------------- reductions

psum_p = _collective("psum", NUMBER)
pmax_p = _collective("pmax", ORDERED)
pmin_p = _collective("pmin", ORDERED)


def psum(x: Value, axis_name: Hashable) -> Value:
    """The sum over a named axis, the same for all of its elements."""
    return psum_p.bind(x, axis_name=axis_name)


@psum_p.def_collective
def _(axis_size: int, args: Sequence[Value], dims: Sequence[Any], **params: Any) -> Batched:
    (x,), (dim,) = args, dims
    if dim is None:
        return mul(x, full_like(x, int(axis_size))), None
    return reduce_sum(x, (dim,)), None


def_linear(psum_p, lambda ct, x, *, axis_name: psum(ct, axis_name))
_same_place(psum_p)


def _extremum(primitive: Primitive, reduce: Callable[..., Value]) -> None:
    @primitive.def_collective
    def _(axis_size: int, args: Sequence[Value], dims: Sequence[Any], **params: Any) -> Batched:
        (x,), (dim,) = args, dims
        return (x if dim is None else reduce(x, (dim,))), None

    @primitive.def_jvp
    def _(primals: Sequence[Value], tangents: Sequence[Value], **params: Any) -> NoReturn:
        raise NotImplementedError(
            f"lax.{primitive} has no derivative inside the mapped function: differentiate the "
            "result of vmap, or gather the axis (lax.all_gather) and reduce that"
        )

    _same_place(primitive)


_extremum(pmax_p, reduce_max)
_extremum(pmin_p, reduce_min)

# ---------------------------------------------------------------- the place on the axis

axis_index_p = _collective("axis_index")


@axis_index_p.def_type
def _(*, axis_name: Hashable) -> ShapedArray:
    return ShapedArray((), dtypes.int32)


@axis_index_p.def_collective
def _(axis_size: int, args: Sequence[Value], dims: Sequence[Any], **params: Any) -> Batched:
    return iota(dtypes.int32, (int(axis_size),), 0), 0


# ---------------------------------------------------------------- permutation

ppermute_p = _collective("ppermute", NUMBER)


def ppermute(x: Value, axis_name: Hashable, perm: Perm) -> Value:
    """What the source of each pair (source, destination) has; zeros without a source."""
    return ppermute_p.bind(x, axis_name=axis_name, perm=perm)


@ppermute_p.def_collective
def _(
    axis_size: int, args: Sequence[Value], dims: Sequence[Any], *, axis_name: Hashable, perm: Perm
) -> Batched:
    x = _repeated(args[0], axis_size, dims[0])
    sources = {destination: source for source, destination in perm}
    pieces = []
    start = 0
    while start < axis_size:
        # Neighbours with neighbouring sources are one slice; so are those without any.
        first, stop = sources.get(start), start + 1
        while stop < axis_size and sources.get(stop) == (
            None if first is None else first + stop - start
        ):
            stop += 1
        rows = slice_along(x, first or 0, (first or 0) + stop - start, 0)
        pieces.append(full_like(rows, 0) if first is None else rows)
        start = stop
    return concatenate(pieces, 0), 0


def_linear(
    ppermute_p,
    lambda ct, x, *, axis_name, perm: ppermute(ct, axis_name, tuple((b, a) for a, b in perm)),
)
_same_place(ppermute_p)

# ---------------------------------------------------------------- gathering and scattering

all_gather_p = _collective("all_gather")
psum_scatter_p = _collective("psum_scatter")
all_to_all_p = _collective("all_to_all")


def all_gather(x: Value, axis_name: Hashable, axis_size: int, axis: int, tiled: bool) -> Value:
    """The values of all, along a new axis, or one after the other along an axis (`tiled`)."""
    return all_gather_p.bind(x, axis_name=axis_name, axis_size=axis_size, axis=axis, tiled=tiled)


def psum_scatter(
    x: Value, axis_name: Hashable, axis_size: int, scatter_dimension: int, tiled: bool
) -> Value:
    """The sum over a named axis, of which each keeps its own part of a dimension."""
    _narrowed("psum_scatter", aval_of(x), scatter_dimension, axis_size, tiled)
    return psum_scatter_p.bind(
        x,
        axis_name=axis_name,
        axis_size=axis_size,
        scatter_dimension=scatter_dimension,
        tiled=tiled,
    )


def all_to_all(
    x: Value, axis_name: Hashable, axis_size: int, split_axis: int, concat_axis: int, tiled: bool
) -> Value:
    """Each sends the parts of `split_axis` to all; what it gets comes along `concat_axis`."""
    _narrowed("all_to_all", aval_of(x), split_axis, axis_size, tiled)
    return all_to_all_p.bind(
        x,
        axis_name=axis_name,
        axis_size=axis_size,
        split_axis=split_axis,
        concat_axis=concat_axis,
        tiled=tiled,
    )


def _widened(shape: tuple[int, ...], axis: int, axis_size: int, tiled: bool) -> tuple[int, ...]:
    """A shape with the mapped axis in it: a dimension of its own, or a multiple of one."""
    if tiled:
        return (*shape[:axis], shape[axis] * axis_size, *shape[axis + 1 :])
    return (*shape[:axis], axis_size, *shape[axis:])


def _narrowed(name: str, x: ShapedArray, axis: int, axis_size: int, tiled: bool) -> tuple[int, ...]:
    """A shape without the mapped axis in it; ValueError if it does not hold that axis."""
    size = x.shape[axis]
    if size % axis_size if tiled else size != axis_size:
        raise ValueError(
            f"lax.{name} needs a dimension {axis} of "
            + (f"a multiple of {axis_size}" if tiled else f"{axis_size}")
            + f", the size of the named axis, got {x}"
        )
    part = (size // axis_size,) if tiled else ()
    return (*x.shape[:axis], *part, *x.shape[axis + 1 :])


@all_gather_p.def_type
def _(
    x: ShapedArray, *, axis_name: Hashable, axis_size: int, axis: int, tiled: bool
) -> ShapedArray:
    return x.update(shape=_widened(x.shape, axis, axis_size, tiled))


@psum_scatter_p.def_type
def _(
    x: ShapedArray, *, axis_name: Hashable, axis_size: int, scatter_dimension: int, tiled: bool
) -> ShapedArray:
    check_accepts("psum_scatter", NUMBER, x)
    return x.update(shape=_narrowed("psum_scatter", x, scatter_dimension, axis_size, tiled))


@all_to_all_p.def_type
def _(
    x: ShapedArray,
    *,
    axis_name: Hashable,
    axis_size: int,
    split_axis: int,
    concat_axis: int,
    tiled: bool,
) -> ShapedArray:
    shape = _narrowed("all_to_all", x, split_axis, axis_size, tiled)
    return x.update(shape=_widened(shape, concat_axis, axis_size, tiled))


def _with_axis(x: Value, source: int, axis: int, tiled: bool) -> Value:
    """`x` with an axis moved to ``axis``; there it is joined to the one it meets if `tiled`."""
    moved = move_axis(x, source, axis)
    if not tiled:
        return moved
    shape = shape_of(moved)
    return reshape(moved, (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]))


def _split_off(x: Value, axis: int, axis_size: int, tiled: bool) -> tuple[Value, int]:
    """`x` with the parts of ``axis`` along a dimension, and which one that is."""
    if not tiled:
        return x, axis
    shape = shape_of(x)
    parts = (axis_size, shape[axis] // axis_size)
    return reshape(x, (*shape[:axis], *parts, *shape[axis + 1 :])), axis


@all_gather_p.def_collective
def _(
    size: int,
    args: Sequence[Value],
    dims: Sequence[Any],
    *,
    axis_name: Hashable,
    axis_size: int,
    axis: int,
    tiled: bool,
) -> Batched:
    return _with_axis(_repeated(args[0], size, dims[0]), 0, axis, tiled), None


@psum_scatter_p.def_collective
def _(
    size: int,
    args: Sequence[Value],
    dims: Sequence[Any],
    *,
    axis_name: Hashable,
    axis_size: int,
    scatter_dimension: int,
    tiled: bool,
) -> Batched:
    total = reduce_sum(_repeated(args[0], size, dims[0]), (0,))
    return _split_off(total, scatter_dimension, axis_size, tiled)


@all_to_all_p.def_collective
def _(
    size: int,
    args: Sequence[Value],
    dims: Sequence[Any],
    *,
    axis_name: Hashable,
    axis_size: int,
    split_axis: int,
    concat_axis: int,
    tiled: bool,
) -> Batched:
    parts, place = _split_off(_repeated(args[0], size, dims[0]), split_axis + 1, axis_size, tiled)
    # (receiver, sender, the rest): receivers become the mapped axis, senders one like any other.
    received = move_axis(parts, place, 0)
    return _with_axis(received, 1, concat_axis + 1, tiled), 0


def_linear(
    all_gather_p,
    lambda ct, x, *, axis_name, axis_size, axis, tiled: psum_scatter(
        ct, axis_name, axis_size, axis, tiled
    ),
)
def_linear(
    psum_scatter_p,
    lambda ct, x, *, axis_name, axis_size, scatter_dimension, tiled: all_gather(
        ct, axis_name, axis_size, scatter_dimension, tiled
    ),
)
def_linear(
    all_to_all_p,
    lambda ct, x, *, axis_name, axis_size, split_axis, concat_axis, tiled: all_to_all(
        ct, axis_name, axis_size, concat_axis, split_axis, tiled
    ),
)
_axis_in_front(all_gather_p, "axis")
_axis_in_front(psum_scatter_p, "scatter_dimension")
_axis_in_front(all_to_all_p, "split_axis", "concat_axis")
