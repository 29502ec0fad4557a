"""Host functions called from native programs.

A `HostCallback` is native code's way into a Python function: ``i32 callback(ptr table)``, where
the table holds pointers to the inputs and then the outputs.  It takes the GIL, gives the function
copies of the inputs, checks what comes back and writes it to the outputs.  An exception cannot
cross native code: it waits in the calling thread, the program leaves with status
`CALLBACK_FAILED`, and `raise_pending` raises it there.
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
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Sequence[Any]],
        inputs: Sequence[ArraySpec],
        outputs: Sequence[ArraySpec],
    ) -> None:
        self.name = name
        self._function = function
        self._inputs = tuple(inputs)
        self._outputs = tuple(outputs)
        self.count = len(self._inputs) + len(self._outputs)
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
        """A callback of a function with parameters."""
        return cls(name, partial(function, **params), inputs, outputs)

    def call(self, table: int) -> int:
        """What native code calls: `table` is the address of ``count`` pointers."""
        try:
            pointers = (ctypes.c_void_p * self.count).from_address(table)
            views = [
                _view(p, spec)
                for p, spec in zip(pointers, (*self._inputs, *self._outputs), strict=True)
            ]
            # Copies: the function may keep its arguments, the memory is only ours during the call.
            results = list(self._function(*(v.copy() for v in views[: len(self._inputs)])))
            self._store(results, views[len(self._inputs) :])
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
            if array.shape != target.shape or not np.can_cast(
                array.dtype, target.dtype, "same_kind"
            ):
                raise ValueError(
                    f"result {n} of callback {self.name} is {array.dtype}{list(array.shape)}, but "
                    f"{target.dtype}{list(target.shape)} was promised"
                )
            target[...] = array


def _view(pointer: int | None, spec: ArraySpec) -> np.ndarray:
    """Memory as an array."""
    shape, dtype = spec
    nbytes = math.prod(shape) * dtype.itemsize
    if not nbytes:
        return np.empty(shape, dtype)
    raw = (ctypes.c_uint8 * nbytes).from_address(pointer or 0)
    return np.frombuffer(memoryview(raw), dtype).reshape(shape)


def raise_pending() -> None:
    """Raise what the callback of this thread's last program raised."""
    error = _waiting.__dict__.pop("error", None)
    raise error if error is not None else RuntimeError("a callback failed and left no exception")
