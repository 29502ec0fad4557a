"""Where the bytes of a materialised array live: the one place that knows the host buffer class.

The runtime's `Buffer` owns aligned memory from the caching allocator. The rest of the front end asks
only for the three things below: copy a NumPy array in, borrow one, look at a buffer as an array.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np


class HostBuffer(Protocol):
    """What the front end needs of a buffer on the host."""

    ptr: int
    nbytes: int

    def as_numpy(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """A read-only view that keeps the buffer alive."""
        ...


class NumpyBuffer:
    """Memory owned by a NumPy array; `borrowed` when somebody else may still write to it."""

    __slots__ = ("__weakref__", "borrowed", "data", "nbytes", "ptr")

    def __init__(self, data: np.ndarray, borrowed: bool = False):
        self.data = data
        self.ptr: int = data.ctypes.data
        self.nbytes = data.nbytes
        self.borrowed = borrowed

    def as_numpy(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        view = self.data.view()
        view.flags.writeable = False
        return view


def store(data: np.ndarray) -> HostBuffer:
    """A new buffer holding a C-contiguous copy of `data`."""
    return NumpyBuffer(np.array(data, order="C", copy=True))


def adopt(data: np.ndarray) -> HostBuffer:
    """A buffer for an array nobody else holds; copies only when it is not contiguous."""
    if data.flags.c_contiguous and data.flags.aligned:
        return NumpyBuffer(data)
    return store(data)


def borrow(data: np.ndarray) -> HostBuffer:
    """A buffer over memory that its owner may change later (DLPack); copies if not contiguous."""
    if data.flags.c_contiguous and data.flags.aligned:
        return NumpyBuffer(data, borrowed=True)
    return store(data)


def is_borrowed(buffer: HostBuffer) -> bool:
    """Whether work that reads this buffer must be done at once."""
    return type(buffer) is NumpyBuffer and buffer.borrowed
