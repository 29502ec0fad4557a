"""The operations on lazy arrays: map, reduce, reshape, and joining of pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np

from weft import lax, tree
from weft import numpy as wnp
from weft.array import compute as compute_arrays
from weft.core import dtypes
from weft.lax.folding import Folding
from weft.lax.reduction import folded
from weft.lazy.arrays import LazyArray, as_lazy
from weft.lazy.spaces import Space, canonical, covering
from weft.lazy.transformations import Transformation, transformation
from weft.numpy._common import PYTHON_SCALARS, Value, broadcast_to_shape
from weft.transforms.functions import check_callable
from weft.transforms.vmap import vmap

# ---------------------------------------------------------------- map


def lazy(function: Callable[..., Any], *arrays: Any) -> Any:
    """`function` of the elements at each point.

    Parameters
    ----------
    function: of as many numbers as there are arrays; what it returns, a number or a tree of numbers
        (such as a tuple of several values), is made of lazy arrays in the result.
    arrays: lazy or not. They are broadcast, aligned at the last axis: axes have the same range, or
        one element, whose place then does not matter.

    Raises
    ------
    ValueError: for axes of other ranges.

    >>> quotient, rest = weft.lazy.lazy(np.divmod, np.arange(6), 4)
    >>> weft.lazy.compute(quotient, rest)
    (Array([0, 0, 0, 0, 1, 1], dtype=int32), Array([0, 1, 2, 3, 0, 1], dtype=int32))
    """
    check_callable("lazy", function)
    # Python's numbers stay what they are, and take the dtype of what they meet.
    numbers = {i: a for i, a in enumerate(arrays) if isinstance(a, PYTHON_SCALARS)}
    space, values = _broadcast("lazy", [as_lazy(a) for a in arrays])

    def mapped(*elements: Any) -> Any:
        return function(*(numbers.get(i, e) for i, e in enumerate(elements)))

    for _ in space:
        mapped = vmap(mapped)
    return tree.map(lambda v: LazyArray(v, space), mapped(*values))


def _broadcast(name: str, arrays: Sequence[LazyArray]) -> tuple[Space, list[Value]]:
    rank = max((len(a.space) for a in arrays), default=0)
    axes = []
    for axis in range(-rank, 0):
        there = [a.space[axis] for a in arrays if len(a.space) >= -axis]
        wide = {r for r in there if len(r) != 1} or set(there)
        if len(wide) != 1:
            shown = ", ".join(str(a.space) for a in arrays)
            raise ValueError(
                f"weft.lazy.{name}: {shown} differ in axis {axis}; select a common part with "
                "lazy_reshape, or give one of them one element there"
            )
        axes.append(wide.pop())
    space = Space(*axes)
    return space, [broadcast_to_shape(a.values, space.shape) for a in arrays]


def lazy_indices(space: Any, axis: int = 0) -> LazyArray:
    """The index along `axis` of each point of a space (or of an array's).

    >>> weft.lazy.compute(weft.lazy.lazy_indices(weft.lazy.Space(2, range(1, 6, 2)), 1))
    Array([[1, 3, 5],
           [1, 3, 5]], dtype=int32)
    """
    space = space.space if isinstance(space, LazyArray) else Space(*space)
    places = space[axis]
    line = wnp.arange(places.start, places.stop, places.step)
    line = line.reshape(-1, *(1 for _ in space[axis:][1:]))
    return LazyArray(broadcast_to_shape(line, space.shape), space)


# ---------------------------------------------------------------- reduce


def lazy_reduce(function: Callable[..., Any], *arrays: Any) -> Any:
    """The elements along the first axis, combined two at a time by an associative function.

    Parameters
    ----------
    function: of two numbers; with k arrays, of k numbers and k more, which returns a tuple of k.
    arrays: broadcast as by :func:`lazy`; the first axis is not empty.

    Returns
    -------
    A lazy array without that axis, or a tuple of k. The order of elements is kept; how they are
    paired is not said, and single operations (sums, products, extrema) become folds.

    >>> weft.lazy.compute(weft.lazy.lazy_reduce(np.add, np.arange(6).reshape(3, 2)))
    Array([6, 9], dtype=int32)
    >>> def greatest(a, i, b, j):
    ...     return np.where(b > a, b, a), np.where(b > a, j, i)
    >>> x = np.asarray([3.0, 7.0, 5.0])
    >>> weft.lazy.compute(*weft.lazy.lazy_reduce(greatest, x, np.arange(3)))
    (Array(7., dtype=float32), Array(1, dtype=int32))
    """
    check_callable("lazy_reduce", function)
    space, values = _broadcast("lazy_reduce", [as_lazy(a) for a in arrays])
    if not space or not space[0]:
        raise ValueError(f"weft.lazy.lazy_reduce: {space} has no elements along a first axis")
    several = len(values) > 1

    def combined(left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
        result = function(*left, *right)
        outs = tuple(result) if several else (result,)
        return tuple(wnp.asarray(o, x.dtype) for o, x in zip(outs, left, strict=True))

    starts = tuple(np.zeros((), v.dtype) for v in values)  # only its type is looked at
    results = folded(Folding("reduce", tuple(values), starts, combined), (0,))
    outs = tuple(LazyArray(r, Space(*space[1:])) for r in results)
    return outs if several else outs[0]


# ---------------------------------------------------------------- reshape


def lazy_reshape(array: Any, *steps: Any) -> LazyArray:
    """The same elements at other points, in one or more steps.

    A step is one of

    - a transformation of the points: text such as ``"m n -> n m 1"`` or ``"i -> 2*i+1"``, or a
      function of indices (see :func:`weft.lazy.transformation`);
    - a space (or a tuple of ranges and integers) of as many axes, each within the array's range
      (which selects), or anywhere where the array has one element (which repeats it);
    - a space of another number of axes and as many points: elements keep their order, the last
      axis running fastest.

    None of them moves data by itself: Weft composes the maps.

    >>> a = np.arange(6).reshape(2, 3)
    >>> odd = weft.lazy.lazy_reshape(a, (2, range(0, 3, 2)), "i j -> j/2 i")
    >>> odd
    LazyArray(int32, Space(range(0, 2), range(0, 2)))
    >>> weft.lazy.compute(odd)
    Array([[0, 3],
           [2, 5]], dtype=int32)
    """
    result = as_lazy(array)
    for step in steps:
        if isinstance(step, str | Transformation) or callable(step):
            result = _transformed(result, transformation(step))
        elif isinstance(step, tuple | list):
            result = _placed(result, Space(*step))
        else:
            result = _placed(result, Space(step))
    return result


def _transformed(array: LazyArray, how: Transformation) -> LazyArray:
    space = how(array.space)
    kept = [index.axis for index in how.outputs if index.axis is not None]
    gone = tuple(axis for axis in range(len(array.space)) if axis not in kept)
    order = [axis - sum(g < axis for g in gone) for axis in kept]
    values = lax.transpose(lax.squeeze(array.values, gone), order)
    scales = [index.scale for index in how.outputs if index.axis is not None]
    flipped = tuple(place for place, scale in enumerate(scales) if scale < 0)
    values = lax.rev(values, flipped) if flipped else values
    new = tuple(i for i, index in enumerate(how.outputs) if index.axis is None)
    return LazyArray(lax.expand_dims(values, new), space)


def _placed(array: LazyArray, space: Space) -> LazyArray:
    old = array.space
    pairs = list(zip(old, space, strict=True)) if len(old) == len(space) else None
    if pairs is not None and all(len(a) == 1 or Space(b).within(Space(a)) for a, b in pairs):
        parts = [(0, 1, 1) if len(a) == 1 else _places(a, b) for a, b in pairs]
        starts, stops, steps = zip(*parts, strict=True) if parts else ((), (), ())
        values = lax.slice(array.values, starts, stops, steps)
        return LazyArray(broadcast_to_shape(values, space.shape), space)
    if old.size == space.size:
        return LazyArray(lax.reshape(array.values, space.shape), space)
    raise ValueError(
        f"weft.lazy.lazy_reshape: {old} does not become {space}: that is no part of it, does not "
        "repeat single elements, and has another number of points"
    )


def _places(outer: range, inner: range) -> tuple[int, int, int]:
    """Where the numbers of `inner` are in `outer`: start, stop and step."""
    if not inner:
        return 0, 0, 1
    start, step = outer.index(inner[0]), max(inner.step // outer.step, 1)
    return start, start + (len(inner) - 1) * step + 1, step


# ---------------------------------------------------------------- joining


def lazy_fuse(*arrays: Any) -> LazyArray:
    """The elements of arrays on spaces without common points, which together make up a space.

    >>> even, odd = np.asarray([0, 2, 4]), np.asarray([1, 3])
    >>> pieces = [weft.lazy.lazy_reshape(x, f"i -> 2*i+{k}") for k, x in enumerate((even, odd))]
    >>> weft.lazy.compute(weft.lazy.lazy_fuse(*pieces))
    Array([0, 1, 2, 3, 4], dtype=int32)
    """
    pieces = _pieces("lazy_fuse", arrays)
    for a, b in combinations(pieces, 2):
        common = a.space & b.space
        if common.size:
            raise ValueError(
                f"weft.lazy.lazy_fuse: {a.space} and {b.space} have {common} in common; "
                "lazy_overwrite lets the later one win"
            )
    space = _covering(pieces)
    if sum(p.space.size for p in pieces) != space.size:
        raise ValueError(_hole("lazy_fuse", pieces, space))
    return _assembled(pieces, space)


def lazy_overwrite(*arrays: Any) -> LazyArray:
    """The elements of arrays on spaces that together make up a space; of common points, the last.

    >>> zeros, ones = np.zeros(5), weft.lazy.lazy_reshape(np.ones(2), "i -> 2*i+1")
    >>> weft.lazy.compute(weft.lazy.lazy_overwrite(zeros, ones))
    Array([0., 1., 0., 1., 0.], dtype=float32)
    """
    pieces = _pieces("lazy_overwrite", arrays)
    space = _covering(pieces)
    if not any(p.space == space for p in pieces):
        known = np.zeros(space.shape, bool)
        for piece in pieces:
            known[_slices(space, piece.space)] = True
        if not known.all():
            raise ValueError(_hole("lazy_overwrite", pieces, space))
    return _assembled(pieces, space)


def lazy_stack(*arrays: Any, axis: int = 0) -> LazyArray:
    """Arrays one after the other along an axis, on which they are moved next to the first.

    Steps along that axis, and all other ranges, are equal.

    >>> a = weft.lazy.lazy_stack(np.asarray([1, 2]), np.asarray([3]), np.asarray([4, 5]))
    >>> a
    LazyArray(int32, Space(range(0, 5)))
    """
    pieces = _pieces("lazy_stack", arrays)
    first = pieces[0].space
    if not -len(first) <= axis < len(first):
        raise ValueError(f"weft.lazy.lazy_stack: {first} has no axis {axis}")
    axis %= len(first)
    step = next((p.space[axis].step for p in pieces if len(p.space[axis]) > 1), 1)
    others = [Space(*p.space[:axis], *p.space[axis + 1 :]) for p in pieces]
    steps = {p.space[axis].step for p in pieces if len(p.space[axis]) > 1}
    if len(set(others)) > 1 or len(steps) > 1:
        shown = ", ".join(str(p.space) for p in pieces)
        raise ValueError(f"weft.lazy.lazy_stack: {shown} differ beside where axis {axis} begins")
    begin = first[axis].start
    count = sum(len(p.space[axis]) for p in pieces)
    whole = canonical(range(begin, begin + count * step, step))
    values = wnp.concatenate([p.values for p in pieces], axis)
    return LazyArray(values, Space(*first[:axis], whole, *first[axis + 1 :]))


def lazy_windows(array: Any, *offsets: Any) -> LazyArray:
    """Neighbourhoods: the element at (i…, k…) is that of the array at i + k.

    Parameters
    ----------
    offsets: for each axis, the range of k (an integer n is ``range(n)``), in steps of the array's
        range.

    Returns
    -------
    A lazy array with the points i whose whole neighbourhood is there, and an axis more for each k.

    >>> sums = weft.lazy.lazy_windows(np.asarray([1, 2, 4, 8]), range(-1, 2))
    >>> sums
    LazyArray(int32, Space(range(1, 3), range(-1, 2)))
    >>> weft.lazy.compute(weft.lazy.lazy_reduce(np.add, weft.lazy.lazy_reshape(sums, "i k -> k i")))
    Array([ 7, 14], dtype=int32)
    """
    a = as_lazy(array)
    around = Space(*offsets)
    if len(around) != len(a.space):
        raise ValueError(f"weft.lazy.lazy_windows: {a.space} needs offsets for each of its axes")
    if not around.size:
        raise ValueError("weft.lazy.lazy_windows: every axis needs an offset, 0 at least")
    centres = []
    for places, moves in zip(a.space, around, strict=True):
        if len(places) > 1 and (moves[0] % places.step or (moves[-1] - moves[0]) % places.step):
            raise ValueError(f"weft.lazy.lazy_windows: offsets {moves} are no steps of {places}")
        centres.append(range(places.start - moves[0], places.stop - moves[-1], places.step))
    space = Space(*centres)
    parts = []
    for offset in product(*around):
        shifts = zip(space, offset, strict=True)
        moved = Space(*(range(r.start + k, r.stop + k, r.step) for r, k in shifts))
        parts.append(_placed(a, moved).values)
    stacked = wnp.stack(parts, -1)
    return LazyArray(lax.reshape(stacked, (*space.shape, *around.shape)), Space(*space, *around))


def _pieces(name: str, arrays: Sequence[Any]) -> list[LazyArray]:
    pieces = [as_lazy(a) for a in arrays]
    if not pieces or len({len(p.space) for p in pieces}) > 1:
        shown = ", ".join(str(p.space) for p in pieces)
        raise ValueError(f"weft.lazy.{name}: arrays of one number of axes, got {shown or 'none'}")
    return pieces


def _covering(pieces: Sequence[LazyArray]) -> Space:
    filled = [p.space for p in pieces if p.space.size] or [pieces[0].space]
    return Space(*map(covering, zip(*filled, strict=True)))


def _hole(name: str, pieces: Sequence[LazyArray], space: Space) -> str:
    shown = ", ".join(str(p.space) for p in pieces)
    return f"weft.lazy.{name}: {shown} leave parts of {space} without elements"


def _slices(space: Space, part: Space) -> tuple[slice, ...]:
    return tuple(slice(*_places(a, b)) for a, b in zip(space, part, strict=True))


def _assembled(pieces: Sequence[LazyArray], space: Space) -> LazyArray:
    """The pieces written into a new array, one after the other."""
    dtype, _ = dtypes.result_type(*(p.values for p in pieces))
    if len(pieces) == 1:
        return pieces[0]
    first = next((i for i, p in enumerate(pieces) if p.space == space), None)
    values = wnp.zeros(space.shape, dtype)
    if first is not None:  # nothing written before it is left
        values = wnp.asarray(pieces[first].values, dtype)
        pieces = pieces[first + 1 :]
    for piece in pieces:
        if piece.space.size:
            part = wnp.asarray(piece.values, dtype)
            values = values.at[_slices(space, piece.space)].set(part)
    return LazyArray(values, space)


# ---------------------------------------------------------------- values


def compute(*arrays: Any) -> Any:
    """The elements as arrays of Weft, evaluated together; one for one array, else a tuple.

    >>> weft.lazy.compute(weft.lazy.lazy(np.add, np.arange(3), 1))
    Array([1, 2, 3], dtype=int32)
    """
    values = [as_lazy(a).values for a in arrays]
    compute_arrays(*values)
    return values[0] if len(values) == 1 else tuple(values)
