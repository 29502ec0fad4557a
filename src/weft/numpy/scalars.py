"""Dtype names that are also called to make arrays: `np.float32(0)` is an array without axes."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from weft.numpy.creation import asarray


class ScalarType:
    """A dtype under its name: usable wherever a dtype is, and as a constructor of arrays.

    >>> np.zeros(3, np.int32)
    Array([0, 0, 0], dtype=int32)
    >>> np.int32(7)
    Array(7, dtype=int32)
    """

    __slots__ = ("dtype",)

    def __init__(self, scalar: Any):
        self.dtype = np.dtype(scalar)

    def __call__(self, x: Any = 0) -> Any:
        return asarray(x, self.dtype)

    @property
    def __name__(self) -> str:
        return self.dtype.name

    def __repr__(self) -> str:
        return f"weft.numpy.{self.dtype.name}"

    def __eq__(self, other: Any) -> bool:
        # Only what may name a dtype: NumPy makes one of dictionaries, and of None.
        known = isinstance(other, type | str | np.dtype)
        named = other if known else getattr(other, "dtype", None)
        if named is None:
            return NotImplemented
        try:
            return self.dtype == np.dtype(named)
        except (TypeError, ValueError):  # NumPy's errors for other text
            return False

    def __hash__(self) -> int:
        return hash(self.dtype)


bool_ = ScalarType(np.bool_)
int8, int16, int32, int64 = map(ScalarType, (np.int8, np.int16, np.int32, np.int64))
uint8, uint16, uint32, uint64 = map(ScalarType, (np.uint8, np.uint16, np.uint32, np.uint64))
float16, float32, float64 = map(ScalarType, (np.float16, np.float32, np.float64))
bfloat16 = ScalarType(ml_dtypes.bfloat16)
complex64, complex128 = map(ScalarType, (np.complex64, np.complex128))

# Weft's default types, and names that NumPy has from C.
int_, uint, float_, complex_ = int32, uint32, float32, complex64
single, double, csingle, cdouble = float32, float64, complex64, complex128
