"""Programs that say when their steps ran: what `weft.profile` and `weft.explain` measure with.

A `StampedProgram` is a native program whose code writes the time before and after each step into a
log (`weft.codegen.stamps_llvm` says what is in it); its calls are `Observation`s, given to whoever
listens.  Other programs have no stamps and nothing that would look for listeners.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.runtime.buffer import Buffer
from weft.runtime.executable import NativeProgram
from weft.structs import struct

#: The clock of stamps: `time.perf_counter_ns` reads it too.
CLOCK = time.CLOCK_MONOTONIC
#: Events of one call that are kept; beyond them there are only sums.
EVENTS = 1 << 13


@struct(frozen=True, eq=False)
class Observation:
    """One call of a program: when it began and ended, in nanoseconds, and its steps.

    ``calls`` and ``seconds`` are sums for each stamped step; ``events`` are rows of step, begin and
    end, ``dropped`` those that were too many. ``subject`` is what the program was made of;
    ``inputs`` and ``outputs`` are its arrays' memory, which have ``nbytes``.
    """

    subject: Any
    thread: int
    begin: int
    end: int
    calls: np.ndarray
    seconds: np.ndarray
    events: np.ndarray
    dropped: int
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    arena_nbytes: int


#: Who is told of the calls of stamped programs.
listeners: list[Callable[[Observation], None]] = []


class StampedProgram(NativeProgram):
    """A native program with stamps around ``steps`` steps, made of ``subject``."""

    __slots__ = ("steps", "subject")

    steps: int
    subject: Any

    @classmethod
    def of(cls, native: NativeProgram, steps: int, subject: Any) -> StampedProgram:
        """``native``, whose code has stamps."""
        stamped: StampedProgram = object.__new__(cls)
        for name in NativeProgram.__slots__[1:]:
            setattr(stamped, name, getattr(native, name))
        stamped.steps, stamped.subject = steps, subject
        return stamped

    def run(self, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> None:
        seen = self.observe(inputs, outputs)
        for listener in tuple(listeners):
            listener(seen)

    def observe(self, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> Observation:
        """As `run`, and returns what was seen rather than tell those who listen."""
        head = 1 + 2 * self.steps
        log = Buffer.alloc(8 * (head + 3 * EVENTS))
        ctypes.memset(log.ptr, 0, 8 * head)
        begin = time.perf_counter_ns()
        self.enter(inputs, outputs, log)
        end = time.perf_counter_ns()
        words = log.as_numpy((head + 3 * EVENTS,), np.dtype(np.int64))
        count = int(words[0])
        kept = min(count, EVENTS)
        totals = words[1:head].reshape(self.steps, 2)
        return Observation(
            self.subject,
            threading.get_ident(),
            begin,
            end,
            totals[:, 0].copy(),
            totals[:, 1] * 1e-9,
            words[head : head + 3 * kept].reshape(kept, 3).copy(),
            count - kept,
            tuple(inputs),
            tuple(outputs),
            self.arena_nbytes,
        )


def clock_address() -> int:
    """Where the clock's function is."""
    address = ctypes.cast(ctypes.CDLL(None).clock_gettime, ctypes.c_void_p).value
    assert address is not None
    return address
