"""Indices and grids of them: `mgrid`, `r_`, `ix_`, indices of diagonals and triangles, numbers of
elements in flat arrays.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft import lax
from weft.array.calls import at_once
from weft.core import dtypes
from weft.core.trace import Tracer
from weft.numpy._common import (
    ArrayLike,
    DType,
    Value,
    canonical_shape,
    check_arraylike,
    convert,
    dtype_of,
    promote,
    shape_of,
)
from weft.numpy.creation import array, asarray, ones
from weft.numpy.division import floor_divide, remainder
from weft.numpy.joining import concatenate, stack
from weft.numpy.ranges import arange, linspace, meshgrid
from weft.numpy.select import clip, nonzero, where
from weft.numpy.shaping import expand_dims, transpose, tril_indices, triu_indices

#: Indices as objects: `s_[2::2]` is `slice(2, None, 2)`, `index_exp[2::2]` a tuple with it.
s_, index_exp = np.s_, np.index_exp


# ---------------------------------------------------------------- grids from slices


def _from_slice(name: str, part: Any) -> Value:
    """`start:stop:step` as a range; an imaginary step counts points, the end included."""
    if not isinstance(part, slice):
        raise TypeError(
            f"weft.numpy.{name}: an entry is a slice like 0:5 or 0:1:5j, got {part!r} "
            f"({type(part).__name__})"
        )
    start = 0 if part.start is None else part.start
    step = 1 if part.step is None else part.step
    if part.stop is None:
        raise TypeError(f"weft.numpy.{name}: the slice {part!r} has no end")
    if isinstance(step, complex):
        return linspace(start, part.stop, int(abs(step)))
    return arange(start, part.stop, step)


class Grid:
    """`mgrid` and `ogrid`: coordinates of a grid, indexed by slices, one for each axis.

    `start:stop:step` are the points of `arange`, `start:stop:5j` the 5 points of `linspace`.
    `mgrid` gives one array with a first axis for the coordinates, `ogrid` a tuple of arrays that
    broadcast to the grid. One slice gives a vector. Bounds must be concrete.

    >>> np.mgrid[0:2, 0:3]
    Array([[[0, 0, 0],
            [1, 1, 1]],
    <BLANKLINE>
           [[0, 1, 2],
            [0, 1, 2]]], dtype=int32)
    >>> np.ogrid[0:1:3j]
    Array([0. , 0.5, 1. ], dtype=float32)
    """

    def __init__(self, name: str, sparse: bool):
        self._name = name
        self._sparse = sparse

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, tuple):
            return _from_slice(self._name, key)
        vectors = [_from_slice(self._name, part) for part in key]
        if not vectors:
            return () if self._sparse else arange(0)
        grids = meshgrid(*promote(self._name, *vectors), indexing="ij", sparse=self._sparse)
        return grids if self._sparse else stack(grids)

    def __repr__(self) -> str:
        return f"weft.numpy.{self._name}"


mgrid, ogrid = Grid("mgrid", sparse=False), Grid("ogrid", sparse=True)


class Concatenator:
    """`r_` and `c_`: arrays, numbers and slices between brackets, joined to one array.

    `r_` joins along the first axis, `c_` stacks vectors as columns. Slices are as in `mgrid`. A
    string in front changes that, as in NumPy: "axis,ndmin,start" says along which axis, how many
    axes there are at least, and where those of narrower parts go; "r" and "c" make rows and columns
    of vectors.

    >>> np.r_[1:4, 0, np.array([7])]
    Array([1, 2, 3, 0, 7], dtype=int32)
    >>> np.c_[np.array([1, 2]), np.array([3, 4])]
    Array([[1, 3],
           [2, 4]], dtype=int32)
    """

    def __init__(self, name: str, axis: int, ndmin: int, first: int):
        self._name = name
        self._defaults = axis, ndmin, first

    def __getitem__(self, key: Any) -> Value:
        parts = list(key) if isinstance(key, tuple) else [key]
        axis, ndmin, first = self._defaults
        matrix = None
        if parts and isinstance(parts[0], str):
            directive, *parts = parts
            if directive in ("r", "c"):
                matrix = 0 if directive == "r" else 1
            else:
                axis, ndmin, first = self._numbers(directive)
        if any(isinstance(part, str) for part in parts):
            raise ValueError(f"weft.numpy.{self._name}: only the first entry can be a string")
        result = concatenate([self._part(part, ndmin, first) for part in parts], axis)
        if matrix is not None and len(shape_of(result)) == 1:
            result = expand_dims(result, matrix)
        return result

    def _numbers(self, directive: str) -> tuple[int, int, int]:
        try:
            given = [int(number) for number in directive.split(",")][:3]
        except ValueError:
            raise ValueError(
                f"weft.numpy.{self._name}: {directive!r} is none of 'r', 'c' and up to three "
                "integers 'axis,ndmin,start'"
            ) from None
        axis, ndmin, first = (*given, *self._defaults[len(given) :])
        return axis, ndmin, first

    def _part(self, part: Any, ndmin: int, first: int) -> Value:
        value = _from_slice(self._name, part) if isinstance(part, slice) else asarray(part)
        own = 0 if isinstance(part, slice) else len(shape_of(value))
        value = array(value, copy=False, ndmin=ndmin)
        if first == -1 or ndmin <= own:
            return value
        shifts = ndmin - abs(ndmin + first + 1) % ndmin
        axes = tuple(range(ndmin))
        return transpose(value, axes[shifts:] + axes[:shifts])

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return f"weft.numpy.{self._name}"


r_, c_ = Concatenator("r_", 0, 1, -1), Concatenator("c_", -1, 2, 0)


def ix_(*args: ArrayLike) -> tuple[Value, ...]:
    """Vectors as indices of a grid: `x[ix_(rows, columns)]` has those rows and columns of `x`.

    The k-th result has the k-th vector along its k-th axis. A vector of booleans stands for the
    indices where it holds, and must be concrete.

    >>> np.ix_(np.array([0, 2]), np.array([1]))
    (Array([[0],
           [2]], dtype=int32), Array([[1]], dtype=int32))

    Raises
    ------
    ValueError: for what is not a vector.
    """
    found = []
    for place, arg in enumerate(args):
        index = asarray(arg)
        if len(shape_of(index)) != 1:
            raise ValueError(
                f"weft.numpy.ix_: argument {place} must be a vector, got shape {shape_of(index)}"
            )
        if not shape_of(index)[0] and not dtypes.is_integer(dtype_of(index)):
            index = asarray(np.zeros(0, np.int32))
        if dtypes.is_bool(dtype_of(index)):
            (index,) = nonzero(index)
        shape = tuple(-1 if k == place else 1 for k in range(len(args)))
        found.append(index.reshape(shape))
    return tuple(found)


def fromfunction(
    function: Callable[..., Any], shape: Any, *, dtype: DType = float, **kwargs: Any
) -> Any:
    """What `function` gives for the coordinates of a grid of that shape, one argument per axis.

    As NumPy does, it is called once, with arrays of all the coordinates (of `dtype`; float32 by
    default).

    >>> np.fromfunction(lambda i, j: i * 10 + j, (2, 3), dtype=int)
    Array([[ 0,  1,  2],
           [10, 11, 12]], dtype=int32)
    """
    sizes = canonical_shape("fromfunction", shape)
    target = dtypes.canonical_dtype(dtype)
    grids = [lax.broadcasted_iota(target, sizes, axis) for axis in range(len(sizes))]
    return function(*grids, **kwargs)


# ---------------------------------------------------------------- diagonals and triangles


def diag_indices(n: int, ndim: int = 2) -> tuple[Value, ...]:
    """The indices (int32) of the main diagonal of an array with `ndim` axes of length `n`.

    >>> np.diag_indices(3)
    (Array([0, 1, 2], dtype=int32), Array([0, 1, 2], dtype=int32))

    Raises
    ------
    ValueError: for negative numbers.
    """
    size, count = operator.index(n), operator.index(ndim)
    if size < 0 or count < 0:
        raise ValueError(
            f"weft.numpy.diag_indices: n and ndim cannot be negative, got {size} and {count}"
        )
    return (arange(size),) * count


def diag_indices_from(arr: ArrayLike) -> tuple[Value, ...]:
    """The indices of the main diagonal of an array whose axes (two at least) have one length.

    >>> np.diag_indices_from(np.zeros((2, 2)))
    (Array([0, 1], dtype=int32), Array([0, 1], dtype=int32))

    Raises
    ------
    ValueError: for other shapes.
    """
    check_arraylike("diag_indices_from", arr)
    shape = shape_of(arr)
    if len(shape) < 2 or len(set(shape)) != 1:
        raise ValueError(
            "weft.numpy.diag_indices_from: the array must have at least two axes, all of one "
            f"length, got shape {shape}"
        )
    return diag_indices(shape[0], len(shape))


def tril_indices_from(arr: ArrayLike, k: int = 0) -> tuple[Value, Value]:
    """Rows and columns of the lower triangle (up to diagonal `k`) of a matrix of that shape.

    >>> np.tril_indices_from(np.zeros((2, 2)))
    (Array([0, 1, 1], dtype=int32), Array([0, 0, 1], dtype=int32))
    """
    rows, columns = _matrix_shape("tril_indices_from", arr)
    return tril_indices(rows, k, columns)


def triu_indices_from(arr: ArrayLike, k: int = 0) -> tuple[Value, Value]:
    """Rows and columns of the upper triangle (from diagonal `k`) of a matrix of that shape.

    >>> np.triu_indices_from(np.zeros((2, 2)))
    (Array([0, 0, 1], dtype=int32), Array([0, 1, 1], dtype=int32))
    """
    rows, columns = _matrix_shape("triu_indices_from", arr)
    return triu_indices(rows, k, columns)


def _matrix_shape(name: str, arr: ArrayLike) -> tuple[int, int]:
    shape = tuple(arr.shape) if hasattr(arr, "shape") else shape_of(arr)
    if len(shape) != 2:
        raise ValueError(f"weft.numpy.{name}: the array must have two axes, got shape {shape}")
    return shape


def mask_indices(
    n: int, mask_func: Callable[[Value, int], Value], k: int = 0, *, size: int | None = None
) -> tuple[Value, Value]:
    """Rows and columns where `mask_func(ones((n, n)), k)` is not zero; `triu` and `tril` are such.

    `size` fixes how many there are, as in `nonzero`.

    >>> np.mask_indices(2, np.triu)
    (Array([0, 0, 1], dtype=int32), Array([0, 1, 1], dtype=int32))
    """
    rows, columns = nonzero(mask_func(ones((n, n)), k), size=size)
    return rows, columns


# ---------------------------------------------------------------- numbers in flat arrays


def ravel_multi_index(
    multi_index: Sequence[ArrayLike],
    dims: Sequence[int],
    mode: str = "raise",
    order: str = "C",
    *,
    dtype: DType = None,
) -> Value:
    """The numbers of elements in the flat array of shape `dims`, from an index for each axis.

    Modes for indices out of bounds: "raise" (the default) needs their values, "clip" and "wrap" do
    not; "ignore" does nothing about them. `dtype` is that of the result (int32, or wider as the
    indices are).

    >>> np.ravel_multi_index((np.array([0, 1]), np.array([2, 0])), (2, 3))
    Array([2, 3], dtype=int32)

    Raises
    ------
    ValueError: for indices out of bounds, and if the numbers do not fit the dtype.
    ConcretizationError: for traced indices with mode="raise".
    """
    sizes = tuple(operator.index(d) for d in dims)
    if len(multi_index) != len(sizes):
        raise ValueError(
            f"weft.numpy.ravel_multi_index: {len(multi_index)} indices for {len(sizes)} axes"
        )
    indices = [asarray(index) for index in multi_index]
    for index in indices:
        if not dtypes.is_integer(dtype_of(index)):
            raise TypeError(
                "weft.numpy.ravel_multi_index: indices must be integers, got dtype "
                f"{dtype_of(index)}"
            )
    target = (
        dtypes.result_type(dtypes.int32, *indices)[0]
        if dtype is None
        else dtypes.canonical_dtype(dtype)
    )
    if not dtypes.is_integer(target) or math.prod(sizes) - 1 > np.iinfo(target).max:
        raise ValueError(
            f"weft.numpy.ravel_multi_index: numbers up to {math.prod(sizes) - 1} do not fit "
            f"{target}; give a wider dtype"
        )
    bounded = [
        _bounded(k, index, size, mode)
        for k, (index, size) in enumerate(zip(indices, sizes, strict=True))
    ]
    if order not in ("C", "F"):
        raise ValueError(f"weft.numpy.ravel_multi_index: order is 'C' or 'F', got {order!r}")
    result: Value = asarray(0, target)
    for k, index in enumerate(bounded):
        stride = math.prod(sizes[k + 1 :] if order == "C" else sizes[:k])
        result = result + convert("ravel_multi_index", index, target) * np.asarray(stride, target)
    return result


def _bounded(place: int, index: Value, size: int, mode: str) -> Value:
    if mode == "ignore":
        return index
    if mode == "clip":
        return clip(index, 0, size - 1)
    if mode == "wrap":
        return remainder(index, size)
    if mode != "raise":
        raise ValueError(
            "weft.numpy.ravel_multi_index: mode is 'raise', 'wrap', 'clip' or 'ignore', got "
            f"{mode!r}"
        )
    known = index.concrete() if isinstance(index, Tracer) else index
    if known is None:
        raise index._concretization_error(
            "ravel_multi_index() with mode='raise'",
            "Whether indices are within bounds depends on values: use mode='clip' or mode='wrap'.",
        )
    values = np.asarray(known)
    if values.size and not 0 <= values.min() <= values.max() < size:
        raise ValueError(
            f"weft.numpy.ravel_multi_index: indices from {values.min()} to {values.max()} are out "
            f"of bounds for axis {place} of length {size}"
        )
    return index


@at_once
def unravel_index(indices: ArrayLike, shape: Any) -> tuple[Value, ...]:
    """An index for each axis, from the numbers of elements in the flat array of that shape.

    Negative numbers count from the end; those out of bounds give the first or the last element.

    >>> np.unravel_index(np.array([2, 3]), (2, 3))
    (Array([0, 1], dtype=int32), Array([2, 0], dtype=int32))
    """
    check_arraylike("unravel_index", indices)
    rest = asarray(indices)
    if not dtypes.is_integer(dtype_of(rest)):
        raise TypeError(
            f"weft.numpy.unravel_index: indices must be integers, got dtype {dtype_of(rest)}"
        )
    sizes = canonical_shape("unravel_index", shape)
    found: list[Value] = []
    for size in reversed(sizes):
        divisor = max(size, 1)
        found.append(remainder(rest, divisor))
        rest = floor_divide(rest, divisor)
    below, above = rest < -1, rest > 0
    return tuple(
        where(above, size - 1, where(below, 0, index))
        for size, index in zip(sizes, reversed(found), strict=True)
    )
