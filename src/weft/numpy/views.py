"""`x.view(dtype)`: the bits of an array read as another dtype, as NumPy's views are."""

from __future__ import annotations

import numpy as np

from weft import lax
from weft.array import alias
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.numpy._common import DType, Value
from weft.numpy.joining import stack


def view(x: Value, dtype: DType = None) -> Value:
    """The bits of `x` read as `dtype`; a value of its own.

    A narrower dtype makes the last axis longer, a wider one makes it shorter, in the machine's byte
    order. Booleans are read as bytes 0 and 1, complex numbers as real and imaginary parts in turn.

    >>> np.array([1.0, -2.0]).view(np.int32)
    Array([ 1065353216, -1073741824], dtype=int32)

    Raises
    ------
    ValueError: if the last axis does not hold a whole number of elements of the wider dtype.
    """
    own = aval_of(x).dtype
    new = own if dtype is None else dtypes.canonical_dtype(dtype)
    if own == new:
        return alias(x)
    _check_sizes(x, new)
    if dtypes.is_bool(own):
        return view(lax.convert_element_type(x, dtypes.uint8), new)
    if dtypes.is_bool(new):
        return lax.ne(view(x, np.uint8), np.uint8(0))
    if dtypes.is_complex(own):
        return view(_interleaved(lax.real(x), lax.imag(x)), new)
    if dtypes.is_complex(new):
        parts = view(x, dtypes.real_dtype(new))
        return lax.complex(parts[..., 0::2], parts[..., 1::2])
    return _bits(x, own, new)


def _check_sizes(x: Value, new: np.dtype) -> None:
    aval = aval_of(x)
    old = aval.dtype.itemsize
    if old == new.itemsize:
        return
    if not aval.shape:
        raise ValueError(
            f"view of {aval} as {new}: an array without axes keeps the width of its elements "
            f"({old} bytes, not {new.itemsize})"
        )
    if aval.shape[-1] * old % new.itemsize:
        raise ValueError(
            f"view of {aval} as {new}: the last axis has {aval.shape[-1] * old} bytes, not a "
            f"multiple of {new.itemsize}"
        )


def _interleaved(a: Value, b: Value) -> Value:
    """Elements of `a` and `b` in turn, along the last axis."""
    shape = aval_of(a).shape
    return lax.reshape(stack([a, b], -1), (*shape[:-1], 2 * shape[-1]) if shape else (2,))


def _bits(x: Value, old: np.dtype, new: np.dtype) -> Value:
    """A view between dtypes that are neither boolean nor complex."""
    shape = aval_of(x).shape
    if old.itemsize < new.itemsize:
        ratio = new.itemsize // old.itemsize
        x = lax.reshape(x, (*shape[:-1], shape[-1] // ratio, ratio))
    result = lax.bitcast_convert_type(x, new)
    if old.itemsize > new.itemsize:
        ratio = old.itemsize // new.itemsize
        result = lax.reshape(result, (*shape[:-1], shape[-1] * ratio))
    return result
