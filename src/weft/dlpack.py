"""Sharing memory with other libraries, by DLPack: `jax.dlpack`'s names."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft import numpy as wnp
from weft.core import dtypes
from weft.numpy._common import DType, Value

__all__ = ["from_dlpack", "is_supported_dtype"]


def from_dlpack(external_array: Any, device: Any = None, copy: bool | None = None) -> Value:
    """An array over the memory of another library's array; see :func:`weft.numpy.from_dlpack`.

    >>> import numpy
    >>> weft.dlpack.from_dlpack(numpy.arange(3, dtype=numpy.int32))
    Array([0, 1, 2], dtype=int32)
    """
    return wnp.from_dlpack(external_array, device=device, copy=copy)


def is_supported_dtype(dtype: DType) -> bool:
    """Whether arrays of `dtype` can be shared: all of Weft's dtypes can.

    >>> weft.dlpack.is_supported_dtype(np.bfloat16), weft.dlpack.is_supported_dtype("U3")
    (True, False)
    """
    try:
        dtypes.canonical_dtype(np.dtype(getattr(dtype, "dtype", dtype)))
    except TypeError:
        return False
    return True
