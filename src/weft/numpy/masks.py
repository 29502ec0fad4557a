"""Boolean masks as indices: their nonzero indices, so their values must be known."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.array import Array, immediate
from weft.array.value import from_numpy
from weft.config import detour
from weft.core.avals import ShapedArray
from weft.core.dtypes import is_key
from weft.core.trace import Tracer
from weft.errors import NonConcreteBooleanIndexError
from weft.numpy._common import ArrayLike, Value, dtype_of, shape_of


class Mask:
    """A concrete boolean mask, before its axes are known."""

    def __init__(self, mask: np.ndarray):
        self.mask = mask


def concrete_mask(mask: Any) -> np.ndarray:
    """A boolean mask whose values are known; NonConcreteBooleanIndexError while they are not."""
    if isinstance(mask, Tracer) and mask.concrete() is None:
        raise mask._concretization_error(
            "indexing with a boolean mask: the shape of x[mask] depends on the values",
            "Use weft.numpy.where(mask, x, y), or reduce with where=mask. What is written may be "
            "one value: x.at[mask].set(v).",
            NonConcreteBooleanIndexError,
        )
    return mask.numpy_view() if type(mask) is Array else np.asarray(mask)


def unknown_mask(index: Any, values: ArrayLike, aval: ShapedArray) -> Value | None:
    """The mask, where an index is one whose values are not known, and the values are written to
    each row that it chooses, however many there are; None for every other index.
    """
    mask = index[0] if isinstance(index, tuple) and len(index) == 1 else index
    if not isinstance(mask, Tracer) or mask.dtype != np.bool_ or mask.concrete() is not None:
        return None
    rows = len(aval.shape) - mask.ndim
    own = shape_of(values)
    fits = len(own) <= rows or (len(own) == rows + 1 and own[0] == 1)
    return mask if mask.shape == aval.shape[: mask.ndim] and fits else None


def chosen_at_once(x: ArrayLike, index: Any) -> Value | None:
    """`x[mask]` for a small array and a mask of its own shape, None for everything else.

    How many elements that are is another number each time, so a program would not be used again.
    """
    if type(index) is not Array or index.aval.dtype != np.bool_ or type(x) is not Array:
        return None
    if not index.aval.shape or index.aval.shape != x.aval.shape or detour() is not None:
        return None
    if not immediate.is_small(x.aval) or is_key(x.aval.dtype):
        return None
    return from_numpy(x.numpy_view()[index.numpy_view()], x.aval.weak_type, owned=True)


def place_masks(entries: list[Any], aval: ShapedArray) -> list[Any]:
    """Masks replaced by index arrays, one for each axis that they cover."""
    placed: list[Any] = []
    axis = 0
    for entry in entries:
        if not isinstance(entry, Mask):
            placed.append(entry)
            axis += entry is not None
            continue
        mask = entry.mask
        if mask.ndim == 0:
            raise IndexError(
                "a single True or False beside other indices is not an index of a weft array; use "
                "x[None] to add an axis"
            )
        covered = aval.shape[axis : axis + mask.ndim]
        for k, (length, size) in enumerate(zip(mask.shape, covered, strict=True)):
            if length not in (size, 0):  # an empty mask chooses nothing, as in NumPy
                raise IndexError(
                    f"the boolean mask of shape {mask.shape} does not match axis {axis + k} of "
                    "size "
                    f"{size} of an array of shape {aval.shape}"
                )
        placed.extend(index.astype(np.int32) for index in np.nonzero(mask))
        axis += mask.ndim
    return placed


def lone_truth(index: Any) -> bool | None:
    """The value of an index that is one boolean without axes; None for every other index.

    `x[True]` is `x` with a first axis of length 1, `x[False]` with one of length 0.
    """
    entry = index[0] if isinstance(index, tuple) and len(index) == 1 else index
    if isinstance(entry, bool | np.bool_):
        return bool(entry)
    known = isinstance(entry, Array | Tracer | np.ndarray)
    if not known or shape_of(entry) or dtype_of(entry) != np.bool_:
        return None
    return bool(concrete_mask(entry))
