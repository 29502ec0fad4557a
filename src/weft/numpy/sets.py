"""Sets: distinct values of an array, and unions, intersections and differences of two.

How many values there are depends on values. Outside `jit` that is no matter; inside it `size` says
how many the result has: what is missing is filled up with `fill_value`, what is too much is left
out. The traced form sorts, marks where values begin, and is composed from primitives.
"""

from __future__ import annotations

import itertools
import math
import operator
from typing import Any, NamedTuple

import numpy as np

from weft import lax
from weft.array import Array, from_numpy
from weft.array.calls import at_once
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.core.trace import Tracer
from weft.numpy._common import (
    ArrayLike,
    Value,
    canonical_axis,
    check_arraylike,
    convert,
    dtype_of,
    promote,
    shape_of,
)
from weft.numpy.classify import isnan
from weft.numpy.creation import asarray
from weft.numpy.indexing import write
from weft.numpy.joining import concatenate
from weft.numpy.reductions import any as any_of
from weft.numpy.select import positions, where
from weft.numpy.shaping import moveaxis, ravel
from weft.numpy.sorting import lexsort, sort
from weft.numpy.taking import take


def unique(
    ar: ArrayLike,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    size: int | None = None,
    fill_value: ArrayLike | None = None,
    sorted: bool = True,
) -> Any:
    """The distinct values in ascending order (slices along `axis` if given).

    With `return_index`, `return_inverse` or `return_counts` a tuple: the values, then the indices
    (int32) of their first occurrences, those that rebuild the array from them, how often each
    occurs.

    How many there are depends on values, so that the argument cannot be traced without `size`. With
    it there are so many: the least values, then `fill_value` (the least value without it) with a
    count of 0.

    >>> unique(np.array([3, 1, 3]), return_counts=True)
    (Array([1, 3], dtype=int32), Array([1, 2], dtype=int32))
    >>> weft.jit(lambda x: unique(x, size=3, fill_value=-1))(np.array([3, 1, 3]))
    Array([ 1,  3, -1], dtype=int32)

    Raises
    ------
    ConcretizationError: for a traced argument without `size`.
    """
    del sorted  # they always are
    return _unique(
        "unique",
        ar,
        (return_index, return_inverse, return_counts),
        axis,
        equal_nan=equal_nan,
        size=size,
        fill_value=fill_value,
    )


def _unique(
    name: str,
    ar: ArrayLike,
    wanted: tuple[bool, bool, bool],
    axis: int | None = None,
    *,
    equal_nan: bool,
    size: int | None,
    fill_value: ArrayLike | None,
) -> Any:
    check_arraylike(name, ar)
    x = asarray(ar)
    number = 0 if axis is None else canonical_axis(name, axis, len(shape_of(x)))
    x = ravel(x) if axis is None else x
    if size is None:
        _check_concrete(name, ar)
        values, *asked = _concrete_unique(x, wanted, axis, number, equal_nan)
    else:
        every = _sized_unique(name, x, number, equal_nan, operator.index(size), fill_value)
        values, *asked = itertools.compress(every, (True, *wanted))
    if axis is None and wanted[1]:
        place = int(wanted[0])
        asked[place] = lax.reshape(asked[place], shape_of(ar))
    return (values, *asked) if asked else values


def _check_concrete(name: str, x: ArrayLike) -> None:
    """Raises an error that says why values are needed if those of `x` are not known."""
    if isinstance(x, Tracer) and x.concrete() is None:
        raise x._concretization_error(
            f"{name}()",
            "The size of its result depends on values: call it outside weft.jit and weft.vmap, or "
            "say how many there are at most (size=...).",
        )


def _concrete_unique(
    x: Value, wanted: tuple[bool, bool, bool], axis: int | None, number: int, equal_nan: bool
) -> list[Value]:
    """Values, and what is wanted of first indices, inverse and counts, by NumPy."""
    traced = isinstance(x, Tracer)
    known = x.concrete() if traced else x
    asked: Any = {
        "return_index": traced or wanted[0],
        "return_inverse": wanted[1],
        "return_counts": wanted[2],
    }
    array = known.numpy_view() if type(known) is Array else np.asarray(known)
    found: Any = np.unique(
        array, axis=None if axis is None else number, equal_nan=equal_nan, **asked
    )
    values, *indices = found if isinstance(found, tuple) else (found,)
    parts = [from_numpy(i.ravel().astype(np.int32), owned=True) for i in indices]
    if not traced:
        return [from_numpy(values, aval_of(x).weak_type, owned=True), *parts]
    # Read from the array itself, so that values have derivatives.
    return [take(x, parts[0], number), *parts[not wanted[0] :]]


def _sized_unique(
    name: str, x: Value, number: int, equal_nan: bool, size: int, fill_value: ArrayLike | None
) -> list[Value]:
    """The same for a known number of values, without knowing values."""
    if size < 0:
        raise ValueError(f"weft.numpy.{name}: size={size} cannot be negative")
    rows = moveaxis(x, number, 0)
    length = shape_of(rows)[0]
    if not length:
        if size and fill_value is None:
            raise ValueError(
                f"weft.numpy.{name}: an empty array has no values to fill size={size} with; give "
                "fill_value"
            )
        nothing = lax.broadcast_in_dim(np.int32(0), (size,), ())
        values = lax.broadcast_in_dim(
            convert(name, 0 if fill_value is None else fill_value, dtype_of(x)),
            (size, *shape_of(rows)[1:]),
            (),
        )
        return [moveaxis(values, 0, number), nothing, nothing[:0], nothing]
    order, begins = _groups(rows, equal_nan)
    begin, count = positions(begins, size + 1)
    valid = lax.broadcasted_iota(dtypes.int32, (size,), 0) < count
    first = take(order, begin[:size], mode="clip")
    values = take(rows, first, 0, mode="clip")
    if fill_value is not None:
        filler = convert(name, asarray(fill_value), dtype_of(x))
        values = where(
            lax.reshape(valid, (size,) + (1,) * (len(shape_of(rows)) - 1)), values, filler
        )
    running = lax.cumsum(lax.convert_element_type(begins, dtypes.int32)) - 1
    inverse = write(lax.broadcast_in_dim(np.int32(0), (length,), ()), order, running)
    ends = where(lax.broadcasted_iota(dtypes.int32, (size + 1,), 0) < count, begin, length)
    counts = where(valid, ends[1:] - ends[:-1], 0)
    return [moveaxis(values, 0, number), first, inverse, counts]


def _groups(rows: Value, equal_nan: bool) -> tuple[Value, Value]:
    """The order that sorts rows, the first columns first, and where distinct ones begin in it."""
    length = shape_of(rows)[0]
    width = math.prod(shape_of(rows)[1:])
    columns = lax.reshape(rows, (length, width))
    whole = lax.broadcast_in_dim(np.asarray(True), (1,), ())
    if not width:
        order = lax.broadcasted_iota(dtypes.int32, (length,), 0)
        same = lax.broadcast_in_dim(np.asarray(False), (length - 1,), ())
        return order, concatenate([whole, same])
    order = lexsort([columns[:, k] for k in reversed(range(width))])
    ordered = take(columns, order, 0, mode="clip")
    before, after = ordered[:-1], ordered[1:]
    differ = before != after
    if equal_nan and dtypes.is_inexact(dtype_of(rows)):
        differ = differ & ~(isnan(before) & isnan(after))
    return order, concatenate([whole, any_of(differ, 1)])


class UniqueAll(NamedTuple):
    """What `unique_all` gives."""

    values: Value
    indices: Value
    inverse_indices: Value
    counts: Value


class UniqueCounts(NamedTuple):
    """What `unique_counts` gives."""

    values: Value
    counts: Value


class UniqueInverse(NamedTuple):
    """What `unique_inverse` gives."""

    values: Value
    inverse_indices: Value


def unique_all(
    x: ArrayLike, /, *, size: int | None = None, fill_value: ArrayLike | None = None
) -> UniqueAll:
    """The distinct values of the flat array with their first indices, the indices that rebuild the
    array, and counts; see `unique`. NaNs are distinct.

    >>> unique_all(np.array([3, 1, 3])).counts
    Array([1, 2], dtype=int32)
    """
    options: Any = {"equal_nan": False, "size": size, "fill_value": fill_value}
    return UniqueAll(*_unique("unique_all", x, (True, True, True), **options))


def unique_counts(
    x: ArrayLike, /, *, size: int | None = None, fill_value: ArrayLike | None = None
) -> UniqueCounts:
    """The distinct values of the flat array and how often each occurs; see `unique`. NaNs are
    distinct.

    >>> unique_counts(np.array([3, 1, 3])).values
    Array([1, 3], dtype=int32)
    """
    options: Any = {"equal_nan": False, "size": size, "fill_value": fill_value}
    return UniqueCounts(*_unique("unique_counts", x, (False, False, True), **options))


def unique_inverse(
    x: ArrayLike, /, *, size: int | None = None, fill_value: ArrayLike | None = None
) -> UniqueInverse:
    """The distinct values of the flat array and the indices that rebuild the array from them; see
    `unique`. NaNs are distinct.

    >>> unique_inverse(np.array([3, 1, 3])).inverse_indices
    Array([1, 0, 1], dtype=int32)
    """
    options: Any = {"equal_nan": False, "size": size, "fill_value": fill_value}
    return UniqueInverse(*_unique("unique_inverse", x, (False, True, False), **options))


def unique_values(
    x: ArrayLike, /, *, size: int | None = None, fill_value: ArrayLike | None = None
) -> Value:
    """The distinct values of the flat array in ascending order; see `unique`. NaNs are distinct.

    >>> unique_values(np.array([3, 1, 3]))
    Array([1, 3], dtype=int32)
    """
    options: Any = {"equal_nan": False, "size": size, "fill_value": fill_value}
    return _unique("unique_values", x, (False, False, False), **options)


# ---------------------------------------------------------------- membership

#: Up to so many elements to compare with, comparing is cheaper than sorting and bisecting.
_FEW = 8


@at_once
def isin(
    element: ArrayLike,
    test_elements: ArrayLike,
    assume_unique: bool = False,
    invert: bool = False,
    *,
    method: str = "auto",
) -> Value:
    """Whether each element is among `test_elements` (or is not, with `invert`).

    Few are compared one by one, many are sorted and found by bisection; complex numbers are always
    compared. NaN is equal to nothing. `assume_unique` changes nothing. `method` is JAX's:
    "compare_all" compares, "binary_search" and "sort" bisect, "auto" chooses.

    >>> isin(np.array([1, 2, 5]), np.array([5, 1]))
    Array([ True, False,  True], dtype=bool)

    Raises
    ------
    ValueError: for an unknown method.
    """
    check_arraylike("isin", element, test_elements)
    if method not in ("auto", "compare_all", "binary_search", "sort"):
        raise ValueError(
            f"weft.numpy.isin: method is 'auto', 'compare_all', 'binary_search' or 'sort', got "
            f"{method!r}"
        )
    x, tests = (asarray(v) for v in promote("isin", element, test_elements))
    tests = ravel(tests)
    (size,) = shape_of(tests)
    compare = method == "compare_all" or (method == "auto" and size <= _FEW)
    if compare or dtypes.is_complex(dtype_of(x)) or dtypes.is_bool(dtype_of(x)) or not size:
        found = any_of(x[..., None] == tests, -1)
    else:
        from weft.numpy.calculus import searchsorted

        tests = sort(tests)
        found = take(tests, searchsorted(tests, x), mode="clip") == x
    return ~found if invert else found


# ---------------------------------------------------------------- two sets


def union1d(
    ar1: ArrayLike,
    ar2: ArrayLike,
    *,
    size: int | None = None,
    fill_value: ArrayLike | None = None,
) -> Value:
    """The distinct values of two arrays together, in ascending order; see `unique`.

    >>> union1d(np.array([3, 1]), np.array([1, 2]))
    Array([1, 2, 3], dtype=int32)
    """
    first, second = _flat("union1d", ar1, ar2)
    if size is None:
        _check_concrete("union1d", first)
        _check_concrete("union1d", second)
    joined = concatenate([first, second])
    options: Any = {"equal_nan": True, "size": size, "fill_value": fill_value}
    return _unique("union1d", joined, (False, False, False), **options)


def intersect1d(
    ar1: ArrayLike,
    ar2: ArrayLike,
    assume_unique: bool = False,
    return_indices: bool = False,
    *,
    size: int | None = None,
    fill_value: ArrayLike | None = None,
) -> Any:
    """The distinct values that are in both arrays, in ascending order.

    With `return_indices` also the indices of their first occurrences in either flat array. `size`
    and `fill_value` (the least common value without it) as in `unique`; indices of what is filled
    in are the size of the array. `assume_unique` changes nothing.

    >>> intersect1d(np.array([3, 1, 3]), np.array([2, 3]))
    Array([3], dtype=int32)
    """
    first, second = _flat("intersect1d", ar1, ar2)
    values, indices = _chosen("intersect1d", first, second, True, size, fill_value)
    if not return_indices:
        return values
    (n,), (m,) = shape_of(first), shape_of(second)
    # The index of the least element that is equal: first occurrences, by bisection of the sorted.
    from weft.numpy.calculus import searchsorted

    index = lax.broadcasted_iota(dtypes.int32, (m,), 0)
    ordered, order = lax.sort_key_val(second, index, 0) if m else (second, index)
    there = take(order, searchsorted(ordered, take(first, indices, mode="clip")), mode="clip")
    return values, indices, where(indices < n, there, m) if m else indices * 0 + m


def setdiff1d(
    ar1: ArrayLike,
    ar2: ArrayLike,
    assume_unique: bool = False,
    *,
    size: int | None = None,
    fill_value: ArrayLike | None = None,
) -> Value:
    """The distinct values of `ar1` that are not in `ar2`, in ascending order.

    With `assume_unique` in the order of `ar1`, as they are. `size` and `fill_value` (0 without it)
    as in `unique`.

    >>> setdiff1d(np.array([3, 1, 2, 3]), np.array([1]))
    Array([2, 3], dtype=int32)
    """
    first, second = _flat("setdiff1d", ar1, ar2)
    if not assume_unique:
        fill_value = 0 if fill_value is None and size is not None else fill_value
        return _chosen("setdiff1d", first, second, False, size, fill_value)[0]
    mask = isin(first, second, invert=True)
    from weft.numpy.taking import compress

    if size is None:
        _check_concrete("setdiff1d", mask)
        return compress(mask, first)
    return compress(mask, first, size=size, fill_value=0 if fill_value is None else fill_value)


def setxor1d(
    ar1: ArrayLike,
    ar2: ArrayLike,
    assume_unique: bool = False,
    *,
    size: int | None = None,
    fill_value: ArrayLike | None = None,
) -> Value:
    """The distinct values that are in one of two arrays only, in ascending order.

    `size` and `fill_value` (the least value without it) as in `unique`. `assume_unique` changes
    nothing.

    >>> setxor1d(np.array([3, 1]), np.array([1, 2]))
    Array([2, 3], dtype=int32)
    """
    first, second = _flat("setxor1d", ar1, ar2)
    alone = concatenate([isin(first, second, invert=True), isin(second, first, invert=True)])
    return _among("setxor1d", concatenate([first, second]), alone, size, fill_value)[0]


def _flat(name: str, ar1: ArrayLike, ar2: ArrayLike) -> list[Value]:
    """Both arrays flat, in their common dtype."""
    check_arraylike(name, ar1, ar2)
    return [ravel(asarray(x)) for x in promote(name, ar1, ar2)]


def _chosen(
    name: str, first: Value, second: Value, inside: bool, size: int | None, fill_value: Any
) -> tuple[Value, Value]:
    """The distinct values of `first` that are in `second` (or are not), and their indices."""
    mask = isin(first, second, invert=not inside)
    return _among(name, first, mask, size, fill_value)


def _among(
    name: str, x: Value, mask: Value, size: int | None, fill_value: Any
) -> tuple[Value, Value]:
    """The distinct values of a vector where `mask` holds, in ascending order, and where they are.

    Indices of what is filled in are the length of the vector.
    """
    (length,) = shape_of(x)
    if size is None:
        _check_concrete(name, mask)
        size = _count_distinct(x, mask)
    size = operator.index(size)
    if not length or not size:
        if size and fill_value is None:
            raise ValueError(
                f"weft.numpy.{name}: an empty array has no values to fill size={size} with; give "
                "fill_value"
            )
        filler = convert(name, 0 if fill_value is None else fill_value, dtype_of(x))
        return (
            lax.broadcast_in_dim(filler, (size,), ()),
            lax.broadcast_in_dim(np.int32(length), (size,), ()),
        )
    index = lax.broadcasted_iota(dtypes.int32, (length,), 0)
    left_out = lax.convert_element_type(~mask, dtypes.int32)
    left_out, ordered, order = lax.sort((left_out, x, index), 0, num_keys=2)
    differ = ordered[1:] != ordered[:-1]
    if dtypes.is_inexact(dtype_of(x)):
        differ = differ & ~(isnan(ordered[1:]) & isnan(ordered[:-1]))
    begins = concatenate([lax.broadcast_in_dim(np.asarray(True), (1,), ()), differ])
    begin, count = positions(begins & (left_out == 0), size)
    valid = lax.broadcasted_iota(dtypes.int32, (size,), 0) < count
    values = take(ordered, begin, mode="clip")
    least = ordered[0] if fill_value is None else convert(name, asarray(fill_value), dtype_of(x))
    found = where(valid, values, least), where(valid, take(order, begin, mode="clip"), length)
    return convert(name, found[0], dtype_of(x)), lax.convert_element_type(found[1], dtypes.int32)


def _count_distinct(x: Value, mask: Value) -> int:
    """How many distinct values there are where a known mask holds."""
    known = (v.concrete() if isinstance(v, Tracer) else v for v in (x, mask))
    values, chosen = (np.asarray(v) for v in known)
    return np.unique(values[chosen]).size
