"""Host functions called from native programs.

A `HostCallback` is native code's way into a Python function: ``i32 callback(ptr table)``, where
the table holds pointers to the inputs and then the outputs.  It takes the GIL, gives the function
the inputs (copies, unless it says that it keeps none), checks what comes back and writes it to the
outputs.  An exception cannot cross native code: it waits in the calling thread, the program leaves
with status `CALLBACK_FAILED`, and `raise_pending` raises it there.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

#: Status of a program that left because a callback raised.
CALLBACK_FAILED = 2

#: Shape and dtype of an array that a callback gets or gives.
ArraySpec = tuple[tuple[int, ...], np.dtype]

_prototype = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)
_waiting = threading.local()


class HostRoutine(NamedTuple):
    """A function that a program calls, as plain data if the function is: it can lie on disk."""

    name: str
    function: Callable[..., Sequence[Any]]
    params: Mapping[str, Any]
    inputs: tuple[ArraySpec, ...]
    outputs: tuple[ArraySpec, ...]

    def callback(self) -> HostCallback:
        """Native code's way to the function."""
        return HostCallback.of(self.name, self.function, self.params, self.inputs, self.outputs)


class HostCallback:
    """``function(*inputs) -> outputs`` behind a native address, for arrays of fixed types.

    ``name`` is what error messages call it.  The object must outlive the code that calls it.
    A function that ``borrows`` keeps no array it is given, and gets them without a copy.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Sequence[Any]],
        inputs: Sequence[ArraySpec],
        outputs: Sequence[ArraySpec],
        borrows: bool = False,
    ) -> None:
        self.name = name
        self._function = function
        self._inputs = tuple(map(_Place, inputs))
        self._outputs = tuple(map(_Place, outputs))
        self.count = len(self._inputs) + len(self._outputs)
        self._table = ctypes.c_void_p * self.count
        self._borrows = borrows
        self._native = _prototype(self.call)
        address = ctypes.cast(self._native, ctypes.c_void_p).value
        assert address is not None
        self.address = address

    @classmethod
    def of(
        cls,
        name: str,
        function: Callable[..., Sequence[Any]],
        params: Mapping[str, Any],
        inputs: Sequence[ArraySpec],
        outputs: Sequence[ArraySpec],
    ) -> HostCallback:
        """A callback of a function with parameters; it borrows if the function says so."""
        borrows = getattr(function, "borrows", False)
        bound = partial(function, **params) if params else function
        return cls(name, bound, inputs, outputs, borrows)

    def call(self, table: int) -> int:
        """What native code calls: `table` is the address of ``count`` pointers."""
        try:
            pointers = iter(self._table.from_address(table))
            arguments = [place.at(next(pointers)) for place in self._inputs]
            if not self._borrows:  # what is kept is read later, and the memory is ours only now
                arguments = [x.copy() for x in arguments]
            results = list(self._function(*arguments))
            self._store(results, [place.at(next(pointers)) for place in self._outputs])
        except BaseException as error:  # it goes on in raise_pending, on the other side of the code
            _waiting.error = error
            return CALLBACK_FAILED
        return 0

    def _store(self, results: list[Any], targets: list[np.ndarray]) -> None:
        if len(results) != len(targets):
            raise ValueError(
                f"callback {self.name} gave {len(results)} arrays, {len(targets)} were promised"
            )
        for n, (result, target) in enumerate(zip(results, targets, strict=True)):
            array = np.asarray(result)
            same = array.dtype is target.dtype or np.can_cast(
                array.dtype, target.dtype, "same_kind"
            )
            if array.shape != target.shape or not same:
                raise ValueError(
                    f"result {n} of callback {self.name} is {array.dtype}{list(array.shape)}, but "
                    f"{target.dtype}{list(target.shape)} was promised"
                )
            target[...] = array


class _Place:
    """Memory of a type, which is an array once its address is known."""

    __slots__ = ("_bytes", "_dtype", "_shape")

    def __init__(self, spec: ArraySpec) -> None:
        self._shape, self._dtype = spec
        self._bytes = ctypes.c_uint8 * (math.prod(self._shape) * self._dtype.itemsize)

    def at(self, pointer: int | None) -> np.ndarray:
        memory: Any = self._bytes.from_address(pointer or 0)
        return np.ndarray(self._shape, self._dtype, memory)


def raise_pending() -> None:
    """Raise what the callback of this thread's last program raised."""
    error = _waiting.__dict__.pop("error", None)
    raise error if error is not None else RuntimeError("a callback failed and left no exception")
