"""What compiling gives: `Executable`, native code with the types of its arguments and results."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

import numpy as np

from weft.array.value import Array, donate, is_array
from weft.core.jaxpr import ClosedJaxpr
from weft.runtime import ahead
from weft.runtime.buffer import Buffer
from weft.structs import struct

if TYPE_CHECKING:
    from weft.kernels.program import Program


@struct
class Stats:
    """What compiling one program took and made; times in seconds.

    ``refused`` counts the scheduling steps that kernels had to do without (`weft.config.dump` shows
    them with the ``schedule``). A ``draft`` is machine code that was made sooner and runs slower
    (`weft.array.families`).
    """

    passes: dict[str, float] = field(default_factory=dict)
    kernels: int = 0
    arena_bytes: int = 0
    refused: int = 0
    draft: bool = False

    @property
    def seconds(self) -> float:
        """Compile time in all."""
        return sum(self.passes.values())


class Executable:
    """A compiled program for arrays of fixed shapes and dtypes.

    Calling it with materialised or delayed arrays of the right avals returns the list of its
    results. ``program`` and ``stats`` tell what was compiled. Arrays at the ``donated`` positions
    have no value after a call; ``reuse`` says which results may lie in their memory. ``runs`` is
    counted by who keeps it.
    """

    def __init__(
        self,
        closed: ClosedJaxpr,
        native: Any,
        stats: Stats,
        donated: Sequence[int] = (),
        reuse: Mapping[int, int] | None = None,
        program: Program | None = None,
        hasty: bool = False,
    ) -> None:
        self._closed = closed
        self._program = program
        self._hasty = hasty
        self.runs = 0
        self.donated = tuple(donated)
        self.reuse = dict(reuse or {})
        self.native = native
        self.stats = stats
        self.in_avals = tuple(closed.in_avals)
        self.out_avals = tuple(closed.out_avals)
        self._call: Callable[..., Any] = self._donating if donated else self._first

    @property
    def program(self) -> Program:
        """What was compiled; planned again if the machine code came from disk."""
        if self._program is None:
            from weft.planning import plan_program

            self._program = plan_program(self._closed, hasty=self._hasty)
        return self._program

    def __call__(self, *arrays: Any) -> list[Any]:
        return list(self._call(*arrays))

    def _first(self, *arrays: Any) -> tuple[Any, ...]:
        """The first call, which does not wait until the native call path is there."""
        self._call = self._second
        return self._slow(*arrays) if ahead.under_way() else self._second(*arrays)

    def _second(self, *arrays: Any) -> tuple[Any, ...]:
        self._call = self.call_path(self._slow, single=False)
        return self._call(*arrays)

    def call_path(self, slow: Callable[..., Any], single: bool) -> Callable[..., Any]:
        """A callable for exactly these avals, native unless something is donated.

        Everything else goes to ``slow``.
        """
        from weft.array.layout import array_layout
        from weft.runtime.call_path import CallPath

        if self.donated:
            return self._donating_path(slow, single)
        path = CallPath(
            self.native, self.in_avals, self.out_avals, array_layout(), slow, single=single
        )
        return path.native

    def _slow(self, *arrays: Any) -> tuple[Any, ...]:
        """Arguments that are delayed, or not arrays yet."""
        if len(arrays) != len(self.in_avals):
            raise TypeError(f"this program takes {len(self.in_avals)} arrays, got {len(arrays)}")
        buffers = [
            _buffer_of(x, aval, Buffer.borrow)  # read before the call returns
            for x, aval in zip(arrays, self.in_avals, strict=True)
        ]
        results = self.native(buffers)
        return tuple(Array(a, b) for a, b in zip(self.out_avals, results, strict=True))

    def _donating_path(self, slow: Callable[..., Any], single: bool) -> Callable[..., Any]:
        def call(*arrays: Any) -> Any:
            if len(arrays) != len(self.in_avals):
                return slow(*arrays)
            for array, aval in zip(arrays, self.in_avals, strict=True):
                if type(array) is not Array or array.aval is not aval or array._buffer is None:
                    return slow(*arrays)
            results = self._donating(*arrays)
            return results[0] if single else results

        return call

    def _donating(self, *arrays: Any) -> tuple[Any, ...]:
        """Any arguments; the donated ones are taken."""
        if len(arrays) != len(self.in_avals):
            raise TypeError(f"this program takes {len(self.in_avals)} arrays, got {len(arrays)}")
        inputs = [
            _buffer_of(x, aval, Buffer.from_numpy)
            for x, aval in zip(arrays, self.in_avals, strict=True)
        ]
        taken = [arrays[n] for n in self.donated if type(arrays[n]) is Array]
        donate(taken, "donated to a jitted function")
        outputs = []
        for n, nbytes in enumerate(self.native.output_nbytes):
            source = self.reuse.get(n)
            if source is not None and _is_ours_alone(inputs, source, nbytes):
                outputs.append(inputs[source])
            else:
                outputs.append(Buffer.alloc(nbytes))
        self.native.run(inputs, outputs)
        return tuple(Array(a, b) for a, b in zip(self.out_avals, outputs, strict=True))


def _is_ours_alone(inputs: list[Buffer], position: int, nbytes: int) -> bool:
    """Whether only the call under way can see the memory of an input.

    Other arrays, views and pending work hold references to its buffer.
    """
    buffer = inputs[position]
    return buffer.owned and buffer.nbytes == nbytes and _references(inputs, position) <= _IN_LIST


def _references(things: list[Any], position: int) -> int:
    thing = things[position]
    return sys.getrefcount(thing)


def _references_of_two(things: list[Any], position: int) -> int:
    thing = things[position]
    return _references(things, position) if thing is not None else 0


#: What `_references` gives for an object that is in the list, and in a variable of its caller;
#: versions of Python differ in which temporary references they count.
_IN_LIST = _references_of_two([object()], 0)


def _buffer_of(x: Any, aval: Any, of_numpy: Callable[[np.ndarray], Buffer]) -> Buffer:
    if is_array(x):
        if (x.shape, x.dtype) != (aval.shape, aval.dtype):
            raise TypeError(f"this program was compiled for {aval}, got an array of {x.aval}")
        return x.materialise()
    data = np.asarray(x, dtype=aval.dtype)
    if data.shape != aval.shape:
        raise TypeError(f"this program was compiled for {aval}, got shape {data.shape}")
    return of_numpy(data)
