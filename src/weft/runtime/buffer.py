"""`Buffer`: a run of bytes on the host, owned or borrowed, that frees itself."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from weft.runtime.allocator import FreeList, allocator

_new = object.__new__
_pointer_at = ctypes.c_void_p.from_address
# Every version of NumPy's C interface has the address of the data behind the header.
_DATA = object.__basicsize__
_free_list = allocator.free_list


class _Foreign:
    """Keeps alive the object whose memory a buffer uses."""

    __slots__ = ("borrowed", "owner")

    def __init__(self, owner: Any, borrowed: bool):
        self.owner = owner
        self.borrowed = borrowed


class Buffer:
    """``nbytes`` bytes at address ``ptr``, freed when the last reference goes.

    Made by `alloc`, `from_numpy`, `adopt` or `borrow`. Memory from `alloc` and `from_numpy` is
    aligned to 64 bytes and uninitialised beyond what was copied; memory of others is aligned to
    its elements only.

    ``home`` says where the bytes go back to: the free list of a small block, the mapping size of a
    large one, or the foreign owner to let go.
    """

    __slots__ = ("__weakref__", "home", "nbytes", "ptr")

    ptr: int
    nbytes: int
    home: FreeList | int | _Foreign

    def __new__(cls) -> Buffer:
        raise TypeError("use Buffer.alloc, Buffer.from_numpy, Buffer.adopt or Buffer.borrow")

    @property
    def owned(self) -> bool:
        """Whether the bytes are from Weft's allocator, rather than somebody else's memory."""
        return not isinstance(self.home, _Foreign)

    @staticmethod
    def alloc(nbytes: int) -> Buffer:
        """Uninitialised memory; `MemoryError` naming the size if there is none."""
        home = _free_list(nbytes)
        if home is None:
            ptr, size = allocator.take_large(nbytes)
            return _make(ptr, nbytes, size)
        try:
            ptr = home.pop()
        except IndexError:
            ptr = allocator.refill(home)
        return _make(ptr, nbytes, home)

    @staticmethod
    def from_numpy(array: np.ndarray) -> Buffer:
        """A copy of `array` in C order."""
        buffer = Buffer.alloc(array.nbytes)
        if array.flags.c_contiguous:
            ctypes.memmove(buffer.ptr, address_of(array), array.nbytes)
        else:
            np.copyto(buffer._view(array.shape, array.dtype, writeable=True), array)
        return buffer

    @staticmethod
    def adopt(array: np.ndarray) -> Buffer:
        """The memory of an array that nobody else will write to; copies unless contiguous."""
        return Buffer._over(array, borrowed=False)

    @staticmethod
    def borrow(array: np.ndarray) -> Buffer:
        """The memory of an array that its owner may still write to (DLPack); ``borrowed`` is true.

        Copies, and is then not borrowed, if the array is not contiguous in C order and aligned.
        """
        return Buffer._over(array, borrowed=True)

    @staticmethod
    def _over(array: np.ndarray, borrowed: bool) -> Buffer:
        flags = array.flags
        if not (flags.c_contiguous and flags.aligned):
            return Buffer.from_numpy(array)
        return _make(address_of(array), array.nbytes, _Foreign(array, borrowed))

    @property
    def borrowed(self) -> bool:
        """Whether somebody else may change these bytes."""
        home = self.home
        return type(home) is _Foreign and home.borrowed

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self._interface(writeable=False)

    def _interface(self, writeable: bool) -> dict[str, Any]:
        data = (self.ptr, not writeable)
        return {"version": 3, "shape": (self.nbytes,), "typestr": "|u1", "data": data}

    def as_numpy(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """A read-only array over these bytes, in C order, which keeps the buffer alive.

        `TypeError` if ``shape`` and ``dtype`` need more bytes than there are.
        """
        return np.ndarray(shape, dtype, buffer=np.asarray(self))

    def _view(self, shape: tuple[int, ...], dtype: np.dtype, writeable: bool) -> np.ndarray:
        return np.ndarray(shape, dtype, buffer=np.asarray(_Exporter(self, writeable)))

    def __repr__(self) -> str:
        return f"Buffer(nbytes={self.nbytes}, ptr={self.ptr:#x})"

    # Defaults rather than globals, which may be gone when the interpreter shuts down.
    def __del__(
        self,
        _small: type[FreeList] = FreeList,
        _give_back: Callable[[int, FreeList | int], None] = allocator.give_back,
    ) -> None:
        home = self.home
        if type(home) is _small:
            if len(home) < home.capacity:
                home.append(self.ptr)
            else:
                _give_back(self.ptr, home)
        elif type(home) is int:
            _give_back(self.ptr, home)


def address_of(array: np.ndarray) -> int:
    """Where the elements begin: ``array.ctypes.data`` in a quarter of the time.

    TypeError for NumPy's scalars and other objects, in which no address lies there.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"the memory of a NumPy array is needed, got {type(array).__name__}")
    return _pointer_at(id(array) + _DATA).value or 0


class _Exporter:
    """What NumPy asks for the memory of a buffer when it may also write to it."""

    __slots__ = ("__array_interface__",)

    def __init__(self, buffer: Buffer, writeable: bool):
        self.__array_interface__ = buffer._interface(writeable)


def _make(ptr: int, nbytes: int, home: FreeList | int | _Foreign) -> Buffer:
    buffer: Buffer = _new(Buffer)
    buffer.ptr = ptr
    buffer.nbytes = nbytes
    buffer.home = home
    return buffer
