"""Functions that read elements by index: `take`, `take_along_axis` and their kin."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import lax
from weft.array.calls import at_once
from weft.core import dtypes
from weft.core.trace import Tracer
from weft.numpy._common import (
    ArrayLike,
    Value,
    broadcast_shape,
    broadcast_to_shape,
    canonical_axis,
    check_arraylike,
    convert,
    dtype_of,
    is_scalar,
    no_out,
    shape_of,
)
from weft.numpy.creation import asarray
from weft.numpy.index_plans import wrap_negative
from weft.numpy.indexing import read
from weft.numpy.masks import concrete_mask


@at_once
def take(
    a: ArrayLike,
    indices: ArrayLike,
    axis: int | None = None,
    out: None = None,
    mode: str | None = None,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    fill_value: Any = None,
) -> Value:
    """Elements (slices along `axis`) at `indices`.

    `out` must be None; what is said about indices is taken at its word, and not needed.

    Modes for indices out of bounds: "fill" (the default: NaN, or the extreme of an integer dtype,
    or `fill_value`), "clip", "wrap". Static indices are checked.

    >>> np.take(np.array([5, 6, 7]), np.array([2, 0]))
    Array([7, 5], dtype=int32)
    """
    no_out("take", out)
    check_arraylike("take", a, indices)
    from weft.numpy.shaping import ravel

    x = asarray(a)
    number = 0 if axis is None else canonical_axis("take", axis, len(shape_of(x)))
    x = ravel(x) if axis is None else x
    if not dtypes.is_integer(dtype_of(indices)):
        raise TypeError(f"weft.numpy.take: indices must be integers, got dtype {dtype_of(indices)}")
    where_to = (slice(None),) * number
    if mode == "wrap":
        from weft.numpy.division import remainder

        indices, mode = remainder(indices, shape_of(x)[number]), "clip"
    if isinstance(indices, int | np.integer | np.ndarray) and mode is None:
        return read(x, (*where_to, indices))
    if is_scalar(indices):
        indices = np.asarray(indices)
    index = indices if not isinstance(indices, np.ndarray) else asarray(indices)
    return read(x, (*where_to, index), mode or "fill", fill_value)


@at_once
def take_along_axis(
    arr: ArrayLike,
    indices: ArrayLike,
    axis: int | None = -1,
    mode: str | None = None,
    fill_value: Any = None,
    *,
    wrap_negative_indices: bool | None = None,
) -> Value:
    """For each position, the element at `indices` along `axis`: `arr[i, indices[i, j]]` for axis 1.

    Other axes of the two are broadcast. Indices out of bounds give `fill_value` (NaN, or the
    extreme of an integer dtype, without it), unless `mode` says otherwise. Negative ones count from
    the end, unless `wrap_negative_indices` is False: then they are out of bounds.

    >>> np.take_along_axis(np.array([[1, 2], [3, 4]]), np.array([[1], [0]]), axis=1)
    Array([[2],
           [3]], dtype=int32)
    """
    check_arraylike("take_along_axis", arr, indices)
    from weft.numpy.shaping import ravel

    x, index = asarray(arr), asarray(indices)
    if not dtypes.is_integer(dtype_of(index)):
        raise TypeError(
            f"weft.numpy.take_along_axis: indices must be integers, got dtype {dtype_of(index)}"
        )
    if axis is None:
        x, axis = ravel(x), 0
    ndim = len(shape_of(x))
    if len(shape_of(index)) != ndim:
        raise ValueError(
            f"weft.numpy.take_along_axis: indices of shape {shape_of(index)} need as many axes as "
            "the "
            f"array of shape {shape_of(x)}"
        )
    number = canonical_axis("take_along_axis", axis, ndim)
    wrap = wrap_negative_indices is not False
    return _gather_along(x, index, number, mode, fill_value, wrap)


def _gather_along(
    x: Value, index: Value, number: int, mode: str | None, fill_value: Any, wrap: bool
) -> Value:
    """Gather with every other axis as a batch axis."""
    size = shape_of(x)[number]
    lead = [n for d, n in enumerate(shape_of(x)) if d != number]
    index_lead = [n for d, n in enumerate(shape_of(index)) if d != number]
    common = list(broadcast_shape("take_along_axis", tuple(lead), tuple(index_lead)))
    index_shape, x_shape = list(common), list(common)
    index_shape.insert(number, shape_of(index)[number])
    x_shape.insert(number, size)
    x = broadcast_to_shape(x, tuple(x_shape))
    index = wrap_negative(index, size) if wrap else index
    index = broadcast_to_shape(index, tuple(index_shape))
    others = tuple(d for d in range(len(x_shape)) if d != number)
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(),
        collapsed_slice_dims=(number,),
        start_index_map=(number,),
        operand_batching_dims=others,
        start_indices_batching_dims=others,
    )
    starts = lax.reshape(index, (*index_shape, 1))
    sizes = tuple(min(n, 1) for n in x_shape)
    return lax.gather(x, starts, numbers, sizes, mode=mode or "fill", fill_value=fill_value)


def compress(
    condition: ArrayLike,
    a: ArrayLike,
    axis: int | None = None,
    *,
    size: int | None = None,
    fill_value: ArrayLike = 0,
    out: None = None,
) -> Value:
    """Slices (elements of the flat array without `axis`) where a vector of conditions holds.

    Their number depends on values, so that the condition cannot be traced without `size`: the first
    `size` of them then, and slices of `fill_value` where there are fewer.

    >>> compress(np.array([True, False, True]), np.array([5, 6, 7]))
    Array([5, 7], dtype=int32)
    >>> weft.jit(lambda c, x: compress(c, x, size=3))(np.array([1, 0, 1]), np.array([5, 6, 7]))
    Array([5, 7, 0], dtype=int32)

    Raises
    ------
    ValueError: for conditions that are no vector.
    ConcretizationError: if they are traced, and there is no `size`.
    """
    from weft.numpy.select import positions, where
    from weft.numpy.shaping import ravel
    from weft.numpy.ufuncs import truth

    no_out("compress", out)
    check_arraylike("compress", condition, a)
    if len(shape_of(condition)) != 1:
        raise ValueError(
            f"weft.numpy.compress: the condition must be a vector, got shape {shape_of(condition)}"
        )
    x = ravel(a) if axis is None else asarray(a)
    number = 0 if axis is None else canonical_axis("compress", axis, len(shape_of(x)))
    if size is None:
        return take(x, np.nonzero(concrete_mask(condition))[0].astype(np.int32), number)
    mask = truth(asarray(condition))[: shape_of(x)[number]]
    index, count = positions(mask, operator.index(size))
    taken = take(x, index, number, mode="clip")
    valid = lax.broadcasted_iota(dtypes.int32, shape_of(taken), number) < count
    return where(valid, taken, convert("compress", asarray(fill_value), dtype_of(x)))


def extract(
    condition: ArrayLike, arr: ArrayLike, *, size: int | None = None, fill_value: ArrayLike = 0
) -> Value:
    """The elements where a condition of the same size holds; see `compress`.

    >>> extract(np.array([[True, False], [False, True]]), np.array([[1, 2], [3, 4]]))
    Array([1, 4], dtype=int32)
    """
    from weft.numpy.shaping import ravel

    check_arraylike("extract", condition, arr)
    return compress(ravel(condition), ravel(arr), size=size, fill_value=fill_value)


def choose(
    a: ArrayLike, choices: Sequence[ArrayLike], out: None = None, mode: str = "raise"
) -> Value:
    """The element of `choices[a]` at each position.

    `a` (integers) and the choices are broadcast. Modes for indices out of bounds: "wrap", "clip",
    and "raise" (the default), which looks at values where they are known and clips where they are
    not.

    >>> choose(np.array([0, 1]), [np.array([1, 2]), np.array([3, 4])])
    Array([1, 4], dtype=int32)
    """
    from weft.numpy.division import remainder
    from weft.numpy.joining import stack
    from weft.numpy.select import clip
    from weft.numpy.shaping import broadcast_arrays

    no_out("choose", out)
    index = asarray(a)
    if not dtypes.is_integer(dtype_of(index)) and not dtypes.is_bool(dtype_of(index)):
        raise TypeError(f"weft.numpy.choose: indices must be integers, got dtype {dtype_of(index)}")
    index, count = index.astype(np.int32), len(choices)
    if mode == "wrap":
        index = remainder(index, count)
    elif mode == "raise":
        _check_choices(index, count)
    elif mode != "clip":
        raise ValueError(f"weft.numpy.choose: mode is 'raise', 'wrap' or 'clip', got {mode!r}")
    index, *cases = broadcast_arrays(clip(index, 0, count - 1), *choices)
    return take_along_axis(stack(cases), index[None], 0)[0]


def _check_choices(index: Value, count: int) -> None:
    known = index.concrete() if isinstance(index, Tracer) else index
    if known is None:
        return
    values = np.asarray(known)
    if values.size and not 0 <= values.min() <= values.max() < count:
        raise ValueError(
            f"weft.numpy.choose: indices from {values.min()} to {values.max()} are out of bounds "
            f"for {count} choices; mode='wrap' or mode='clip' would do"
        )
