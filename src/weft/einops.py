"""Weft's arrays for einops: `rearrange`, `reduce`, `repeat`, `einsum`, `pack`, `unpack`.

Importing this module, ``import weft.einops``, is all there is to do. einops asks every subclass of
its ``AbstractBackend`` whether it knows a tensor, which is how a package registers its arrays:
https://einops.rocks. Arrays and traced values are known, so its functions can be jitted,
differentiated and mapped.

>>> import einops
>>> import weft.einops
>>> einops.reduce(np.arange(6.0), "(row column) -> row", "sum", row=2)
Array([ 3., 12.], dtype=float32)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from einops._backends import AbstractBackend

from weft import numpy as wnp
from weft.array import Array
from weft.core import dtypes
from weft.core.trace import Tracer
from weft.numpy._common import Value, dtype_of

__all__ = ["WeftBackend"]


class WeftBackend(AbstractBackend):
    """What einops asks of an array library; the methods have the names that it gives them."""

    framework_name = "weft"

    def is_appropriate_type(self, tensor: Any) -> bool:
        """Whether it is an array of Weft, or a traced value."""
        return isinstance(tensor, Array | Tracer)

    def from_numpy(self, x: np.ndarray) -> Value:
        """A copy of NumPy's array."""
        return wnp.asarray(x)

    def to_numpy(self, x: Array) -> np.ndarray:
        """A read-only view; traced values have none, which is an error."""
        return np.asarray(x)

    def arange(self, start: int, stop: int) -> Value:
        """Integers from ``start`` to before ``stop``."""
        return wnp.arange(start, stop)

    def stack_on_zeroth_dimension(self, tensors: Sequence[Value]) -> Value:
        """Tensors of one shape along a new first axis."""
        return wnp.stack(tensors)

    def add_axis(self, x: Value, new_position: int) -> Value:
        """``x`` with an axis of length 1."""
        return wnp.expand_dims(x, new_position)

    def tile(self, x: Value, repeats: Sequence[int]) -> Value:
        """``x`` repeated along each axis."""
        return wnp.tile(x, repeats)

    def concat(self, tensors: Sequence[Value], axis: int) -> Value:
        """Tensors joined along an axis."""
        return wnp.concatenate(tensors, axis=axis)

    def is_float_type(self, x: Value) -> bool:
        """Whether einops may take means of it."""
        return dtypes.is_floating(dtype_of(x))

    def einsum(self, pattern: str, *x: Value) -> Value:
        """`weft.numpy.einsum`."""
        return wnp.einsum(pattern, *x)
