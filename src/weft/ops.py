"""`weft.ops`: sums, products and extrema of the segments of an array, with `jax.ops`' signatures.

All of them combine the elements of `data`, along its first axis, that `segment_ids` gives the same
number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weft import numpy as wnp
from weft.core import dtypes
from weft.core.trace import Tracer
from weft.numpy._common import ArrayLike, Value, check_arraylike, dtype_of, shape_of

__all__ = ["segment_max", "segment_min", "segment_prod", "segment_sum"]


def segment_sum(
    data: ArrayLike,
    segment_ids: ArrayLike,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: Any = None,
) -> Value:
    """The sum of each segment; 0 for segments without elements.

    Parameters
    ----------
    data: of shape (n, ...). segment_ids: integers of shape (n,), in any order.
    num_segments: the length of the result; by default the greatest number and 1, which has to be
        known, so that it must be given under `jit`.
    indices_are_sorted, unique_indices: promises about `segment_ids`.
    bucket_size: combine that many elements at a time, and then these results: large sums get more
        accurate. Weft's sums without it are as in a loop.
    mode: of indices out of bounds, as for ``x.at[i].add``; by default they are left out. Negative
        numbers are out of bounds.

    Returns
    -------
    An array of shape (num_segments, ...) and data's dtype.

    >>> weft.ops.segment_sum(np.asarray([1.0, 2.0, 4.0, 8.0]), np.asarray([0, 2, 0, 2]))
    Array([ 5.,  0., 10.], dtype=float32)
    """
    return _segments("segment_sum", "add", wnp.sum, locals())


def segment_prod(
    data: ArrayLike,
    segment_ids: ArrayLike,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: Any = None,
) -> Value:
    """The product of each segment; 1 for segments without elements. See :func:`segment_sum`.

    >>> weft.ops.segment_prod(np.asarray([3, 2, 4]), np.asarray([0, 2, 0]))
    Array([12,  1,  2], dtype=int32)
    """
    return _segments("segment_prod", "multiply", wnp.prod, locals())


def segment_max(
    data: ArrayLike,
    segment_ids: ArrayLike,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: Any = None,
) -> Value:
    """The greatest element of each segment. See :func:`segment_sum`.

    Segments without elements get −inf, or the least integer.

    >>> weft.ops.segment_max(np.asarray([3.0, 2.0, 4.0]), np.asarray([0, 2, 0]))
    Array([  4., -inf,   2.], dtype=float32)
    """
    return _segments("segment_max", "max", wnp.max, locals())


def segment_min(
    data: ArrayLike,
    segment_ids: ArrayLike,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: Any = None,
) -> Value:
    """The least element of each segment. See :func:`segment_sum`.

    Segments without elements get inf, or the greatest integer.

    >>> weft.ops.segment_min(np.asarray([3.0, 2.0, 4.0]), np.asarray([0, 2, 0]))
    Array([ 3., inf,  2.], dtype=float32)
    """
    return _segments("segment_min", "min", wnp.min, locals())


def _segments(
    name: str, method: str, reducer: Callable[..., Value], given: dict[str, Any]
) -> Value:
    data, ids = given["data"], given["segment_ids"]
    check_arraylike(f"ops.{name}", data, ids)
    if not shape_of(data) or shape_of(ids) != shape_of(data)[:1]:
        raise ValueError(
            f"weft.ops.{name}: data of shape {shape_of(data)} needs one segment number for each "
            f"element of its first axis, got segment_ids of shape {shape_of(ids)}"
        )
    if not dtypes.is_integer(dtype_of(ids)):
        raise TypeError(f"weft.ops.{name}: segment_ids are integers, got {dtype_of(ids)}")
    data, ids = wnp.asarray(data), wnp.asarray(ids)
    count = _count(name, ids, given["num_segments"])
    start = _start(method, data.dtype)
    options = {
        "mode": "drop" if given["mode"] is None else given["mode"],
        "indices_are_sorted": given["indices_are_sorted"],
        "unique_indices": given["unique_indices"],
    }
    # Indexing counts negative numbers from the end; here they are out of bounds.
    ids = wnp.where(ids < 0, count, ids) if not dtypes.is_unsigned(ids.dtype) else ids
    size = given["bucket_size"]
    if size is None:
        whole = wnp.full((count, *data.shape[1:]), start, data.dtype)
        return getattr(whole.at[ids], method)(data, **options)
    if size < 1:
        raise ValueError(f"weft.ops.{name}: bucket_size is positive, got {size}")
    buckets = max(-(-data.shape[0] // size), 1)
    parts = wnp.full((buckets, count, *data.shape[1:]), start, data.dtype)
    bucket = np.arange(data.shape[0], dtype=np.int32) // size
    return reducer(getattr(parts.at[bucket, ids], method)(data, **options), axis=0).astype(
        data.dtype
    )


def _count(name: str, ids: Value, given: Any) -> int:
    if given is None:
        if isinstance(ids, Tracer):
            raise ValueError(
                f"weft.ops.{name}: inside of transformations num_segments has to be given, as an "
                "int: the shape of the result depends on it"
            )
        return int(wnp.max(ids)) + 1 if ids.shape[0] else 0
    if given < 0:
        raise ValueError(f"weft.ops.{name}: num_segments is not negative, got {given}")
    return int(given)


def _start(method: str, dtype: np.dtype) -> Any:
    """What an operation starts from: its neutral element."""
    if method in ("add", "multiply"):
        return int(method == "multiply")
    if dtype == np.bool_:
        return method == "min"
    if dtypes.is_integer(dtype):
        info = np.iinfo(dtype)
        return info.min if method == "max" else info.max
    return -np.inf if method == "max" else np.inf
