"""Evenly spaced numbers, and grids of them: `arange`, `linspace`, `meshgrid` and their kin."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from weft import lax
from weft.array import Array, from_numpy
from weft.array.calls import at_once
from weft.core import dtypes
from weft.core.avals import is_array_like
from weft.core.trace import Tracer
from weft.numpy._common import (
    ArrayLike,
    DType,
    Value,
    broadcast_shape,
    broadcast_to_shape,
    canonical_axis,
    canonical_shape,
    check_arraylike,
    convert,
    dtype_of,
    promote_inexact,
    shape_of,
)
from weft.numpy.creation import asarray, check_device, zeros
from weft.numpy.ufuncs import constant_like


@at_once
def arange(
    start: ArrayLike, stop: Any = None, step: Any = None, dtype: DType = None, *, device: Any = None
) -> Value:
    """`start`, `start + step`, … below `stop`, as NumPy counts them.

    Integers give int32 (int64 where they do not fit), floats float32. The bounds must be concrete:
    the length of the result depends on them.

    >>> np.arange(1, 7, 2)
    Array([1, 3, 5], dtype=int32)
    """
    check_device("arange", device)
    if stop is None:
        start, stop = 0, start
    first = _concrete("arange", "start", start)
    last = _concrete("arange", "stop", stop)
    stride = 1 if step is None else _concrete("arange", "step", step)
    if stride == 0:
        raise ValueError("weft.numpy.arange: step cannot be 0")
    found = dtypes.result_type(first, last, stride)[0]
    if dtype is not None:
        found = dtypes.canonical_dtype(dtype)
    if found == np.bool_:
        raise TypeError("weft.numpy.arange: a range of booleans has no meaning; give dtype=int")
    if not all(isinstance(bound, int) for bound in (first, last, stride)):
        return _computed(np.arange(first, last, stride).astype(found))
    counted = range(first, last, stride)
    if dtype is None and counted and not all(_fits_int32(n) for n in (counted[0], counted[-1])):
        found = dtypes.int64
    if dtypes.is_complex(found):
        return lax.convert_element_type(arange(start, stop, step, dtypes.real_dtype(found)), found)
    if not dtypes.is_integer(found) and (first, stride) != (0, 1):
        return _computed(np.arange(first, last, stride).astype(found))
    result = lax.broadcasted_iota(found, (len(counted),), 0)
    if stride != 1:
        result = lax.mul(result, constant_like(result, stride))
    return result if first == 0 else lax.add(result, constant_like(result, first))


def _fits_int32(n: int) -> bool:
    return -(2**31) <= n < 2**31


def _concrete(name: str, what: str, value: Any) -> Any:
    if isinstance(value, Tracer) and value.concrete() is None:
        raise value._concretization_error(
            f"weft.numpy.{name}: use as {what}",
            "The length of the result must be known when tracing; make the argument static "
            "(static_argnums, static_argnames).",
        )
    if isinstance(value, Array | Tracer):
        return np.asarray(value).item()
    if not is_array_like(value):
        raise TypeError(f"weft.numpy.{name}: {what} must be a number, got {type(value).__name__}")
    return value.item() if isinstance(value, np.generic) else value


def _computed(values: np.ndarray) -> Value:
    """NumPy values that were computed here, as a constant."""
    return from_numpy(values, owned=True)


@at_once
def linspace(
    start: ArrayLike,
    stop: ArrayLike,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: DType = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    """`num` evenly spaced numbers from `start` to `stop`, which may be arrays.

    >>> np.linspace(0, 1, 3)
    Array([0. , 0.5, 1. ], dtype=float32)
    """
    check_device("linspace", device)
    num = operator.index(num)
    if num < 0:
        raise ValueError(f"weft.numpy.linspace: num={num} cannot be negative")
    first, last = promote_inexact("linspace", start, stop)
    if dtype is not None and dtypes.is_inexact(dtypes.canonical_dtype(dtype)):
        # Numbers of Python may not fit the default dtype.
        wider = dtypes.promote_types(dtype_of(first), dtypes.canonical_dtype(dtype))
        first, last = (convert("linspace", x, wider) for x in (start, stop))
    shape = broadcast_shape("linspace", shape_of(first), shape_of(last))
    work = dtype_of(first)
    divisions = num - 1 if endpoint else num
    first, last = broadcast_to_shape(first, shape), broadcast_to_shape(last, shape)
    full_shape = (num, *shape)
    along = tuple(range(1, len(full_shape)))
    count = lax.broadcasted_iota(work, full_shape, 0)
    fraction = lax.div(count, constant_like(count, max(divisions, 1)))
    low = lax.broadcast_in_dim(first, full_shape, along)
    high = lax.broadcast_in_dim(last, full_shape, along)
    one = constant_like(count, 1)
    # A weighted mean hits both ends exactly.
    values = lax.add(lax.mul(low, lax.sub(one, fraction)), lax.mul(high, fraction))
    target = work if dtype is None else dtypes.canonical_dtype(dtype)
    if dtypes.is_integer(target):
        values = lax.floor(values)
    from weft.numpy.shaping import moveaxis

    result = convert("linspace", values, target)
    result = moveaxis(result, 0, canonical_axis("linspace", axis, len(full_shape)))
    if not retstep:
        return result
    span = lax.sub(last, first)
    return result, lax.div(span, constant_like(span, divisions or np.nan))


@at_once
def logspace(
    start: ArrayLike,
    stop: ArrayLike,
    num: int = 50,
    endpoint: bool = True,
    base: ArrayLike = 10.0,
    dtype: DType = None,
    axis: int = 0,
) -> Value:
    """`base` to the power of evenly spaced exponents.

    >>> np.logspace(0, 2, 3).round(3)
    Array([  1.,  10., 100.], dtype=float32)
    """
    from weft.numpy.division import power

    result = power(base, linspace(start, stop, num, endpoint, axis=axis))
    return result if dtype is None else convert("logspace", result, dtypes.canonical_dtype(dtype))


@at_once
def geomspace(
    start: ArrayLike,
    stop: ArrayLike,
    num: int = 50,
    endpoint: bool = True,
    dtype: DType = None,
    axis: int = 0,
) -> Value:
    """Numbers spaced evenly on a logarithmic scale between two of the same sign.

    >>> np.geomspace(1, 1000, 4).round(3)
    Array([   1.,   10.,  100., 1000.], dtype=float32)
    """
    from weft.numpy.ufuncs import absolute, exp, log, sign

    first, last = promote_inexact("geomspace", start, stop)
    ends = log(absolute(first)), log(absolute(last))
    values = exp(linspace(*ends, num, endpoint))
    signs = broadcast_to_shape(sign(first), shape_of(values)[1:])
    from weft.numpy.shaping import moveaxis

    values = moveaxis(signs * values, 0, canonical_axis("geomspace", axis, len(shape_of(values))))
    return values if dtype is None else convert("geomspace", values, dtypes.canonical_dtype(dtype))


@at_once
def meshgrid(
    *xi: ArrayLike, indexing: str = "xy", sparse: bool = False, copy: bool = True
) -> tuple[Value, ...]:
    """Coordinate arrays of a grid from coordinate vectors, as a tuple.

    `indexing="xy"` (the default) puts the second vector first, as pictures do; `"ij"` keeps the
    order.

    >>> np.meshgrid(np.array([1, 2]), np.array([3, 4]))
    (Array([[1, 2],
           [1, 2]], dtype=int32), Array([[3, 3],
           [4, 4]], dtype=int32))
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"weft.numpy.meshgrid: indexing is 'xy' or 'ij', got {indexing!r}")
    check_arraylike("meshgrid", *xi)
    for position, x in enumerate(xi):
        if len(shape_of(x)) > 1:
            raise ValueError(
                f"weft.numpy.meshgrid: argument {position} must have one axis, has shape "
                f"{shape_of(x)}"
            )
    vectors = [asarray(x).reshape(-1) for x in xi]
    order = list(range(len(vectors)))
    if indexing == "xy" and len(vectors) >= 2:
        order[0], order[1] = 1, 0
    sizes = [0] * len(vectors)
    for k, x in enumerate(vectors):
        sizes[order[k]] = shape_of(x)[0]
    grids = []
    for k, x in enumerate(vectors):
        placed = [1] * len(vectors)
        placed[order[k]] = shape_of(x)[0]
        shape = tuple(placed) if sparse else tuple(sizes)
        grids.append(lax.broadcast_in_dim(x, shape, (order[k],)))
    return tuple(grids)


@at_once
def indices(dimensions: Any, dtype: DType = None, sparse: bool = False) -> Any:
    """The grid of indices of an array of that shape: row numbers, column numbers, …

    >>> np.indices((2, 2), sparse=True)
    (Array([[0],
           [1]], dtype=int32), Array([[0, 1]], dtype=int32))
    """
    from weft.numpy.joining import stack

    shape = canonical_shape("indices", dimensions)
    target = dtypes.int32 if dtype is None else dtypes.canonical_dtype(dtype)
    if sparse:
        return tuple(
            lax.reshape(
                lax.broadcasted_iota(target, (n,), 0),
                tuple(n if j == k else 1 for j in range(len(shape))),
            )
            for k, n in enumerate(shape)
        )
    if not shape:
        return zeros((0,), target)
    return stack([lax.broadcasted_iota(target, shape, k) for k in range(len(shape))])
