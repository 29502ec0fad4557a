"""Functions that read elements by index: `take`, `take_along_axis` and their kin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import lax
from weft.core import dtypes
from weft.numpy._common import (
    ArrayLike,
    Value,
    broadcast_shape,
    broadcast_to_shape,
    canonical_axis,
    check_arraylike,
    dtype_of,
    is_scalar,
    shape_of,
)
from weft.numpy.creation import asarray
from weft.numpy.indexing import concrete_mask, read, wrap_negative


def take(
    a: ArrayLike,
    indices: ArrayLike,
    axis: int | None = None,
    mode: str | None = None,
    fill_value: Any = None,
) -> Value:
    """Elements (slices along `axis`) at `indices`.

    Modes for indices out of bounds: "fill" (the default: NaN, or the extreme of an integer dtype,
    or `fill_value`), "clip", "wrap". Static indices are checked.
    """
    check_arraylike("take", a, indices)
    from weft.numpy.shaping import ravel

    x = asarray(a)
    number = 0 if axis is None else canonical_axis("take", axis, len(shape_of(x)))
    x = ravel(x) if axis is None else x
    if not dtypes.is_integer(dtype_of(indices)):
        raise TypeError(f"weft.numpy.take: indices must be integers, got dtype {dtype_of(indices)}")
    where_to = (slice(None),) * number
    if mode == "wrap":
        from weft.numpy.ufuncs import remainder

        indices, mode = remainder(indices, shape_of(x)[number]), "clip"
    if isinstance(indices, int | np.integer | np.ndarray) and mode is None:
        return read(x, (*where_to, indices))
    if is_scalar(indices):
        indices = np.asarray(indices)
    index = indices if not isinstance(indices, np.ndarray) else asarray(indices)
    return read(x, (*where_to, index), mode or "fill", fill_value)


def take_along_axis(
    arr: ArrayLike, indices: ArrayLike, axis: int | None = -1, mode: str | None = None
) -> Value:
    """For each position, the element at `indices` along `axis`: `arr[i, indices[i, j]]` for axis 1.

    Other axes of the two are broadcast. Indices out of bounds give NaN (the extreme for integers).
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
    return _gather_along(x, index, number, mode)


def _gather_along(x: Value, index: Value, number: int, mode: str | None) -> Value:
    """Gather with every other axis as a batch axis."""
    size = shape_of(x)[number]
    lead = [n for d, n in enumerate(shape_of(x)) if d != number]
    index_lead = [n for d, n in enumerate(shape_of(index)) if d != number]
    common = list(broadcast_shape("take_along_axis", tuple(lead), tuple(index_lead)))
    index_shape, x_shape = list(common), list(common)
    index_shape.insert(number, shape_of(index)[number])
    x_shape.insert(number, size)
    x = broadcast_to_shape(x, tuple(x_shape))
    index = broadcast_to_shape(wrap_negative(index, size), tuple(index_shape))
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
    return lax.gather(x, starts, numbers, sizes, mode=mode or "fill")


def compress(condition: ArrayLike, a: ArrayLike, axis: int | None = None) -> Value:
    """Slices where a concrete condition holds."""
    from weft.numpy.shaping import ravel

    mask = concrete_mask(condition)
    x = ravel(a) if axis is None else a
    return take(x, np.nonzero(mask)[0].astype(np.int32), 0 if axis is None else axis)


def extract(condition: ArrayLike, arr: ArrayLike) -> Value:
    """The elements where a concrete condition holds."""
    from weft.numpy.shaping import ravel

    return compress(concrete_mask(condition).ravel(), ravel(arr))


def choose(a: ArrayLike, choices: Sequence[ArrayLike]) -> Value:
    """The element of `choices[a]` at each position."""
    from weft.numpy.joining import stack
    from weft.numpy.shaping import broadcast_arrays

    index, *cases = broadcast_arrays(a, *choices)
    return take_along_axis(stack(cases), index[None], 0)[0]
