"""Counting elements by value: `bincount` and histograms, as bisection and a scatter of weights.

Edges and weights may be traced; derivatives pass through weights. Numbers of bins are static.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import lax
from weft.array import Array, from_numpy, immediate
from weft.array.calls import at_once
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.core.trace import Tracer
from weft.numpy._common import (
    ArrayLike,
    Value,
    check_arraylike,
    convert,
    dtype_of,
    promote_inexact,
    shape_of,
)
from weft.numpy.calculus import diff, searchsorted
from weft.numpy.creation import asarray
from weft.numpy.indexing import write
from weft.numpy.joining import stack
from weft.numpy.ranges import linspace
from weft.numpy.reductions import max as max_of
from weft.numpy.reductions import min as min_of
from weft.numpy.reductions import sum as sum_of
from weft.numpy.select import clip, where
from weft.numpy.shaping import ravel


def bincount(
    x: ArrayLike,
    weights: ArrayLike | None = None,
    minlength: int = 0,
    *,
    length: int | None = None,
) -> Value:
    """How often each integer from 0 on occurs in a vector, as int32, or the sums of its `weights`.

    The result has one element more than the greatest integer, at least `minlength`: it depends on
    values, so that `x` cannot be traced without `length`, which fixes it. Integers beyond it are
    not counted.

    >>> bincount(np.array([1, 3, 1]))
    Array([0, 2, 0, 1], dtype=int32)
    >>> weft.jit(lambda x: bincount(x, length=3))(np.array([1, 3, 1]))
    Array([0, 2, 0], dtype=int32)

    Raises
    ------
    TypeError: for elements that are not integers. ValueError: for what is not a vector, weights of
        another shape, and negative integers (those of traced arrays count as 0).
    """
    check_arraylike("bincount", x)
    index = asarray(x)
    if dtypes.is_bool(dtype_of(index)):
        index = lax.convert_element_type(index, dtypes.int32)
    if not dtypes.is_integer(dtype_of(index)):
        raise TypeError(f"weft.numpy.bincount: x must be integers, got {aval_of(index)}")
    if len(shape_of(index)) != 1:
        raise ValueError(f"weft.numpy.bincount: x must be a vector, got shape {shape_of(index)}")
    if weights is not None and shape_of(weights) != shape_of(index):
        raise ValueError(
            f"weft.numpy.bincount: x and weights must have one shape, got {shape_of(index)} and "
            f"{shape_of(weights)}"
        )
    known = index.concrete() if isinstance(index, Tracer) else index
    least = operator.index(minlength)
    if least < 0:
        raise ValueError(f"weft.numpy.bincount: minlength must not be negative, got {least}")
    few = immediate.small_views(index) if weights is None and length is None else None
    if few is not None:
        return _bincount_few(few[0], least)
    if length is not None and operator.index(length) < 0:
        raise ValueError(f"weft.numpy.bincount: length must not be negative, got {length}")
    size = _bincount_size(index, known, least, length)
    return _tally(clip(index, 0, None), weights, size)


def _bincount_few(values: np.ndarray, minlength: int) -> Value:
    """Its size is another one each time, so that a program would not be used again."""
    try:
        counts = np.bincount(values.astype(np.intp, copy=False), minlength=minlength)
    except ValueError:
        if values.min() < 0:
            raise _negative(values) from None
        raise ValueError(
            f"weft.numpy.bincount: x has an element that is too large, {values.max()}; say how "
            "many numbers to count with length=..."
        ) from None
    return from_numpy(counts.astype(np.int32), owned=True)


def _negative(values: np.ndarray) -> ValueError:
    return ValueError(f"weft.numpy.bincount: x has a negative element, {values.min()}")


def _bincount_size(index: Value, known: Any, minlength: int, length: int | None) -> int:
    if known is None:
        if length is None:
            raise index._concretization_error(
                "bincount()",
                "The size of its result depends on values: fix it with length=...",
            )
        return operator.index(length)
    values = known.numpy_view() if type(known) is Array else np.asarray(known)
    least, greatest = (int(values.min()), int(values.max())) if values.size else (0, -1)
    if least < 0:
        raise _negative(values)
    found = greatest + 1
    return max(found, minlength) if length is None else operator.index(length)


@at_once
def _tally(index: Value, weights: ArrayLike | None, size: int) -> Value:
    """Sums of weights (or ones) by index; indices of at least `size` are left out."""
    if weights is None:
        known = immediate.small_views(index)
        if known is not None:
            values = known[0].ravel()
            beyond = min(size, np.iinfo(values.dtype).max)
            found = np.minimum(values, beyond).astype(np.intp)
            counts = np.bincount(found, minlength=size)[:size]
            return from_numpy(counts.astype(np.int32), owned=True)
        ones = lax.broadcast_in_dim(np.int32(1), shape_of(index), ())
        return _tally(index, ones, size)
    weights = asarray(weights)
    if dtypes.is_bool(dtype_of(weights)):
        weights = lax.convert_element_type(weights, dtypes.int32)
    zeros = lax.broadcast_in_dim(np.zeros((), dtype_of(weights)), (size,), ())
    return write(zeros, index, weights, "add", mode="drop")


def histogram_bin_edges(
    a: ArrayLike,
    bins: ArrayLike | str = 10,
    range: Sequence[ArrayLike] | None = None,
    weights: ArrayLike | None = None,
) -> Value:
    """The edges of the bins of `histogram`: one more than there are bins.

    `bins` is their number, the edges themselves, or the name of one of NumPy's rules for their
    number ("auto", "fd", "doane", "scott", "stone", "rice", "sturges", "sqrt"), which needs values.
    Bins of a number cover `range`, which is from the least to the greatest element without it.

    >>> histogram_bin_edges(np.array([0.0, 1.0, 4.0]), 4)
    Array([0., 1., 2., 3., 4.], dtype=float32)
    """
    check_arraylike("histogram_bin_edges", a)
    return _edges("histogram_bin_edges", a, bins, range, weights)


def _edges(name: str, a: ArrayLike, bins: Any, range: Any, weights: Any) -> Value:
    (x,) = promote_inexact(name, a)
    x = asarray(x)
    if isinstance(bins, str):
        if weights is not None:
            raise TypeError(f"weft.numpy.{name}: bins={bins!r} cannot be chosen for weighted data")
        bins = _count_of_rule(name, x, bins, range)
    if isinstance(bins, list | tuple) or shape_of(bins):
        edges = asarray(bins)
        if len(shape_of(edges)) != 1:
            raise ValueError(
                f"weft.numpy.{name}: bins must be a number or a vector of edges, got shape "
                f"{shape_of(edges)}"
            )
        return convert(name, edges, dtypes.result_type(edges, x)[0])
    count = operator.index(bins)
    if count < 1:
        raise ValueError(f"weft.numpy.{name}: there must be at least one bin, got bins={count}")
    low, high = _range(name, x, range)
    flat = low == high
    return linspace(where(flat, low - 0.5, low), where(flat, high + 0.5, high), count + 1)


def _range(name: str, x: Value, range: Any) -> tuple[Value, Value]:
    """The least and the greatest value that are counted."""
    if range is None:
        if not math.prod(shape_of(x)):
            return lax.full((), 0, dtype_of(x)), lax.full((), 1, dtype_of(x))
        return min_of(x), max_of(x)
    if len(range) != 2:
        raise ValueError(f"weft.numpy.{name}: range must be (least, greatest), got {range!r}")
    low, high = (convert(name, asarray(bound), dtype_of(x)) for bound in range)
    return low, high


def _count_of_rule(name: str, x: Value, rule: str, range: Any) -> int:
    """How many bins one of NumPy's rules wants for known values."""
    if isinstance(x, Tracer) and x.concrete() is None:
        raise x._concretization_error(
            f"{name}()",
            f"The number of bins of bins={rule!r} depends on values: give a number.",
        )
    values = np.asarray(x.concrete() if isinstance(x, Tracer) else x)
    bounds = None if range is None else [float(bound) for bound in range]
    return len(np.histogram_bin_edges(values, rule, bounds)) - 1  # type: ignore[arg-type]


def _bin(edges: Value, x: Value) -> Value:
    """The number of each element's bin, from 1 on; 0 below the edges, and one too many above.

    The last bin contains its upper edge.
    """
    last = shape_of(edges)[0] - 1
    index = searchsorted(edges, x, side="right")
    known = immediate.small_views(index, edges, x)
    if known is not None:
        places, bounds, values = known
        found = np.where(values == bounds[last], np.int32(last), places)
        return from_numpy(found, owned=True)
    return where(x == edges[last], last, index)


@at_once
def histogram(
    a: ArrayLike,
    bins: ArrayLike | str = 10,
    range: Sequence[ArrayLike] | None = None,
    weights: ArrayLike | None = None,
    density: bool | None = None,
) -> tuple[Value, Value]:
    """How many elements are in each bin (or the sums of their `weights`), and the bins' edges.

    A bin contains its lower edge, the last one its upper edge too; what lies beyond all is not
    counted. For `bins` and `range` see `histogram_bin_edges`. Counts are int32, sums have the dtype
    of the weights; with `density` they are divided by their total and the widths of the bins.

    >>> histogram(np.array([0.0, 1.0, 1.5, 4.0]), 2)
    (Array([3, 1], dtype=int32), Array([0., 2., 4.], dtype=float32))

    Raises
    ------
    ValueError: for weights of another shape.
    """
    check_arraylike("histogram", a)
    _check_weights("histogram", weights, shape_of(a))
    edges = _edges("histogram", a, bins, range, weights)
    x = convert("histogram", ravel(a), dtype_of(edges))
    count = shape_of(edges)[0] - 1
    sums = _tally(_bin(edges, x), None if weights is None else ravel(weights), count + 1)[1:]
    if not density:
        return sums, edges
    return sums / diff(edges) / sum_of(sums), edges


def _check_weights(name: str, weights: ArrayLike | None, shape: tuple[int, ...]) -> None:
    if weights is not None and shape_of(weights) != shape:
        raise ValueError(
            f"weft.numpy.{name}: weights must have the shape of the data, got {shape_of(weights)} "
            f"and {shape}"
        )


def histogram2d(
    x: ArrayLike,
    y: ArrayLike,
    bins: Any = 10,
    range: Sequence[Any] | None = None,
    weights: ArrayLike | None = None,
    density: bool | None = None,
) -> tuple[Value, Value, Value]:
    """How many points (x, y) are in each cell of a grid, with the edges along x and along y.

    `bins` is a number of bins, or edges, for both axes, or a pair of those; see `histogramdd`.

    >>> histogram2d(np.array([0.0, 1.0]), np.array([0.0, 1.0]), 2)[0]
    Array([[1, 0],
           [0, 1]], dtype=int32)
    """
    check_arraylike("histogram2d", x, y)
    if len(shape_of(x)) != 1 or shape_of(x) != shape_of(y):
        raise ValueError(
            f"weft.numpy.histogram2d: x and y must be vectors of one length, got shapes "
            f"{shape_of(x)} and {shape_of(y)}"
        )
    several = isinstance(bins, list | tuple) or bool(shape_of(bins))
    if several and len(bins) not in (1, 2):
        bins = [asarray(bins)] * 2
    sample = stack([asarray(v) for v in (x, y)], 1)
    counts, edges = _histogramdd("histogram2d", sample, bins, range, weights, density)
    return counts, edges[0], edges[1]


def histogramdd(
    sample: ArrayLike,
    bins: Any = 10,
    range: Sequence[Any] | None = None,
    weights: ArrayLike | None = None,
    density: bool | None = None,
) -> tuple[Value, list[Value]]:
    """How many points (rows of `sample`, n × d) are in each cell of a grid, and its edges.

    `bins` is a number for all axes, or a sequence with a number or edges for each; `range` a
    sequence with (least, greatest) or None for each. `weights` (n) are summed in place of counting,
    `density` divides by their total and the cells' volumes.

    >>> histogramdd(np.array([[0.0, 0.0], [1.0, 1.0]]), 2)[0]
    Array([[1, 0],
           [0, 1]], dtype=int32)

    Raises
    ------
    ValueError: for a sample that is not n × d, and as many bins or ranges as it has no axes.
    """
    check_arraylike("histogramdd", sample)
    return _histogramdd("histogramdd", asarray(sample), bins, range, weights, density)


def _histogramdd(
    name: str, sample: Value, bins: Any, range: Any, weights: Any, density: bool | None
) -> tuple[Value, list[Value]]:
    if len(shape_of(sample)) != 2:
        raise ValueError(
            f"weft.numpy.{name}: the sample must be n × d, got shape {shape_of(sample)}"
        )
    rows, axes = shape_of(sample)
    _check_weights(name, weights, (rows,))
    each = bins if isinstance(bins, list | tuple) or shape_of(bins) else [bins] * axes
    ranges = [None] * axes if range is None else range
    if len(each) != axes or len(ranges) != axes:
        raise ValueError(
            f"weft.numpy.{name}: {axes} axes need as many bins and ranges, got {len(each)} and "
            f"{len(ranges)}"
        )
    edges, flat, sizes = [], lax.full((rows,), 0, dtypes.int32), []
    for axis in np.arange(axes).tolist():
        column = sample[:, axis]
        edges.append(_edges(name, column, each[axis], ranges[axis], weights))
        size = shape_of(edges[axis])[0] + 1
        flat = flat * size + _bin(edges[axis], convert(name, column, dtype_of(edges[axis])))
        sizes.append(size)
    sums = lax.reshape(_tally(flat, weights, math.prod(sizes)), tuple(sizes))
    sums = sums[(slice(1, -1),) * axes]
    if density:
        total = sum_of(sums)
        for axis, along in enumerate(edges):
            widths = tuple(-1 if k == axis else 1 for k in np.arange(axes).tolist())
            sums = sums / diff(along).reshape(widths)
        sums = sums / total
    return sums, edges
