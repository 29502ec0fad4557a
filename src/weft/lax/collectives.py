"""Collectives over a named axis of ``vmap``: sums, gathers and exchanges between its elements."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from weft import tree
from weft.core.avals import aval_of
from weft.core.axis_names import size_of
from weft.lax.operands import Value, canonical_axis, is_scalar, operand
from weft.primitives import collectives
from weft.primitives.arithmetic import div
from weft.primitives.convert import convert_element_type
from weft.primitives.shaping import full_like

AxisName = Hashable


def _names(name: str, axis_name: Any, axis_index_groups: Any = None) -> tuple[AxisName, ...]:
    """The names as a tuple, all of them in scope."""
    if axis_index_groups is not None:
        raise NotImplementedError(
            f"lax.{name}: axis_index_groups is not supported; map the groups by a vmap of their "
            "own and name its axis"
        )
    names = tuple(axis_name) if isinstance(axis_name, tuple | list) else (axis_name,)
    for one in names:
        size_of(one)
    return names


def _one_name(name: str, axis_name: Any, axis_index_groups: Any = None) -> AxisName:
    names = _names(name, axis_name, axis_index_groups)
    if len(names) != 1:
        raise NotImplementedError(
            f"lax.{name} takes one axis name, got {axis_name!r}; apply it once for each name"
        )
    return names[0]


def psum(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """The sum over a named axis (or several) of an array, or of each in a tree.

    A Python number gives a number: ``psum(1, "i")`` is the size of the axis.

    >>> weft.vmap(lambda x: x / weft.lax.psum(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    Array([0.25, 0.75], dtype=float32)

    Raises NameError for a name that no ``vmap`` around binds.
    """
    names = _names("psum", axis_name, axis_index_groups)

    def total(leaf: Any) -> Any:
        if isinstance(leaf, int | float | complex):
            for name in names:
                leaf = leaf * size_of(name)
            return leaf
        leaf = operand("psum", leaf)
        for name in names:
            leaf = collectives.psum(leaf, name)
        return leaf

    return tree.map(total, x)


def pmean(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """The mean over a named axis (or several) of an array, or of each in a tree.

    >>> weft.vmap(lambda x: x - lax.pmean(x, "i"), axis_name="i")(np.array([1.0, 3.0, 2.0]))
    Array([-1.,  1.,  0.], dtype=float32)
    """
    size = axis_size(axis_name)

    def mean(leaf: Any) -> Any:
        if is_scalar(leaf):
            return leaf / size
        if aval_of(leaf).dtype.kind in "biu":
            leaf = convert_element_type(leaf, "float32")
        return div(leaf, full_like(leaf, size))

    return tree.map(mean, psum(x, axis_name, axis_index_groups=axis_index_groups))


def _extremum(
    name: str, primitive: Any, x: Any, axis_name: AxisName, axis_index_groups: Any
) -> Any:
    names = _names(name, axis_name, axis_index_groups)

    def extremum(leaf: Any) -> Any:
        leaf = operand(name, leaf)
        for one in names:
            leaf = primitive.bind(leaf, axis_name=one)
        return leaf

    return tree.map(extremum, x)


def pmax(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """The greatest over a named axis (or several) of an array, or of each in a tree.

    >>> weft.vmap(lambda x: lax.pmax(x, "i"), axis_name="i")(np.array([1, 3, 2]))
    Array([3, 3, 3], dtype=int32)
    """
    return _extremum("pmax", collectives.pmax_p, x, axis_name, axis_index_groups)


def pmin(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """The least over a named axis (or several) of an array, or of each in a tree.

    >>> weft.vmap(lambda x: lax.pmin(x, "i"), axis_name="i")(np.array([1, 3, 2]))
    Array([1, 1, 1], dtype=int32)
    """
    return _extremum("pmin", collectives.pmin_p, x, axis_name, axis_index_groups)


def axis_size(axis_name: AxisName) -> int:
    """The size of a named axis (the product of several's).

    >>> weft.vmap(lambda x: x * lax.axis_size("i"), axis_name="i")(np.ones(3))
    Array([3., 3., 3.], dtype=float32)
    """
    size = 1
    for name in _names("axis_size", axis_name):
        size *= size_of(name)
    return size


def axis_index(axis_name: AxisName) -> Value:
    """Where on a named axis this element is, as int32; over several, the last varies fastest.

    >>> weft.vmap(lambda x: lax.axis_index("i"), axis_name="i")(np.zeros(3))
    Array([0, 1, 2], dtype=int32)
    """
    index: Value = None
    for name in _names("axis_index", axis_name):
        here = collectives.axis_index_p.bind(axis_name=name)
        index = here if index is None else index * size_of(name) + here
    return index


def _mapped(x: Any, function: Callable[[Value], Value], name: str) -> Any:
    return tree.map(lambda leaf: function(operand(name, leaf)), x)


def all_gather(
    x: Any,
    axis_name: AxisName,
    *,
    axis_index_groups: Any = None,
    axis: int = 0,
    tiled: bool = False,
) -> Any:
    """The values of all elements of a named axis, along a new axis at `axis`.

    With `tiled` they are joined along the axis that is there already.

    >>> weft.vmap(lambda x: lax.all_gather(x, "i"), axis_name="i")(np.array([1, 2]))
    Array([[1, 2],
           [1, 2]], dtype=int32)
    """
    name = _one_name("all_gather", axis_name, axis_index_groups)
    size = size_of(name)

    def gather(leaf: Value) -> Value:
        place = canonical_axis("all_gather", axis, aval_of(leaf).ndim + (not tiled))
        return collectives.all_gather(leaf, name, size, place, tiled)

    return _mapped(x, gather, "all_gather")


def psum_scatter(
    x: Any,
    axis_name: AxisName,
    *,
    scatter_dimension: int = 0,
    axis_index_groups: Any = None,
    tiled: bool = False,
) -> Any:
    """The sum over a named axis, of which each element keeps its part of `scatter_dimension`.

    That dimension has the size of the axis and goes away; with `tiled`, a multiple, and stays.

    >>> weft.vmap(lambda x: lax.psum_scatter(x, "i"), axis_name="i")(
    ...     np.array([[1, 2], [3, 4]])
    ... )
    Array([4, 6], dtype=int32)
    """
    name = _one_name("psum_scatter", axis_name, axis_index_groups)
    size = size_of(name)

    def scatter(leaf: Value) -> Value:
        place = canonical_axis("psum_scatter", scatter_dimension, aval_of(leaf).ndim)
        return collectives.psum_scatter(leaf, name, size, place, tiled)

    return _mapped(x, scatter, "psum_scatter")


def all_to_all(
    x: Any,
    axis_name: AxisName,
    split_axis: int,
    concat_axis: int,
    *,
    axis_index_groups: Any = None,
    tiled: bool = False,
) -> Any:
    """Each element sends the parts of its `split_axis` to all, and joins what it gets.

    The parts come along a new axis at `concat_axis`, and `split_axis`, of the size of the named
    axis, goes away; with `tiled` both axes stay, one shorter and one longer.

    >>> weft.vmap(lambda x: lax.all_to_all(x, "i", 0, 0), axis_name="i")(
    ...     np.array([[1, 2], [3, 4]])
    ... )
    Array([[1, 3],
           [2, 4]], dtype=int32)
    """
    name = _one_name("all_to_all", axis_name, axis_index_groups)
    size = size_of(name)

    def exchange(leaf: Value) -> Value:
        rank = aval_of(leaf).ndim
        split = canonical_axis("all_to_all", split_axis, rank)
        concat = canonical_axis("all_to_all", concat_axis, rank)
        return collectives.all_to_all(leaf, name, size, split, concat, tiled)

    return _mapped(x, exchange, "all_to_all")


def ppermute(x: Any, axis_name: AxisName, perm: Sequence[tuple[int, int]]) -> Any:
    """What the source of each pair (source, destination) has; zeros where there is no source.

    Raises ValueError for pairs out of range, or with a source or destination twice.

    >>> weft.vmap(lambda x: lax.ppermute(x, "i", [(0, 1), (1, 0)]), axis_name="i")(
    ...     np.array([1, 2])
    ... )
    Array([2, 1], dtype=int32)
    """
    name = _one_name("ppermute", axis_name)
    size = size_of(name)
    pairs = tuple((int(a), int(b)) for a, b in perm)
    ends = [*zip(*pairs, strict=True)] if pairs else []
    if any(not 0 <= n < size for pair in pairs for n in pair):
        raise ValueError(
            f"lax.ppermute: perm={pairs} leaves the axis {name!r}, which has size {size}"
        )
    if any(len(set(side)) != len(side) for side in ends):
        raise ValueError(f"lax.ppermute: perm={pairs} has a source or a destination twice")
    return _mapped(x, lambda leaf: collectives.ppermute(leaf, name, pairs), "ppermute")


def pshuffle(x: Any, axis_name: AxisName, perm: Sequence[int]) -> Any:
    """What the element ``perm[i]`` has, at i; `perm` is a permutation of the whole axis.

    >>> weft.vmap(lambda x: lax.pshuffle(x, "i", [1, 2, 0]), axis_name="i")(
    ...     np.array([1, 2, 3])
    ... )
    Array([2, 3, 1], dtype=int32)
    """
    name = _one_name("pshuffle", axis_name)
    if sorted(perm) != list(range(size_of(name))):
        raise ValueError(
            f"lax.pshuffle: perm={list(perm)} is no permutation of the axis {name!r}, which has "
            f"size {size_of(name)}"
        )
    return ppermute(x, axis_name, list(zip(perm, range(len(perm)), strict=True)))


def pswapaxes(x: Any, axis_name: AxisName, axis: int, *, axis_index_groups: Any = None) -> Any:
    """Exchanges a named axis with the array's axis `axis`, which has the same size.

    >>> weft.vmap(lambda x: lax.pswapaxes(x, "i", 0), axis_name="i")(
    ...     np.array([[1, 2], [3, 4]])
    ... )
    Array([[1, 3],
           [2, 4]], dtype=int32)
    """
    return all_to_all(x, axis_name, axis, axis, axis_index_groups=axis_index_groups)
