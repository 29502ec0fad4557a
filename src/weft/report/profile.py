"""`profile`: what runs inside of a ``with`` block, kernel by kernel.

Programs called inside are compiled once more, with time stamps around their steps
(`weft.runtime.stamps`); outside, nothing looks whether somebody profiles.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field
from os import PathLike
from typing import Any

from weft.compile import Profiled
from weft.config import config
from weft.core.source import Source
from weft.report.memory import Makers, Memory, makers
from weft.report.steps import StepInfo, step_infos
from weft.report.units import seconds_text
from weft.runtime import stamps
from weft.runtime.stamps import Observation
from weft.structs import struct

#: How many times faster than the machine could a copy must be to be one of nothing.
NOTHING_TO_DO = 30.0

#: Profiles of all threads, which may end in another order than they began.
_going_on: list[Profile] = []
_switching = threading.Lock()


@struct(frozen=True)
class Seen:
    """One call of a program: the ``thread``, and ``begin`` and ``end`` in nanoseconds.

    ``events`` are rows of step, begin and end; ``calls`` and ``seconds`` sums for each step, which
    count the ``dropped`` events as well.
    """

    subject: Profiled
    thread: int
    begin: int
    end: int
    calls: Any
    seconds: Any
    events: Any
    dropped: int


@struct(frozen=True)
class KernelTime:
    """All runs of a kernel, routine or copy.

    ``seconds`` are those of all ``calls``. For one call, ``flops`` and ``bytes`` (of main memory,
    when nothing is in a cache before) are what it does, ``predicted`` the seconds that the machine
    model expects, ``least`` those of a machine at its roof.
    """

    kind: str
    name: str
    shapes: str
    lines: tuple[Source, ...]
    calls: int
    seconds: float
    flops: int
    bytes: float
    predicted: float
    least: float

    @property
    def each(self) -> float:
        """Seconds of a call."""
        return self.seconds / self.calls

    @property
    def gflops(self) -> float:
        """10^9 floating-point operations per second."""
        return 1e-9 * self.flops / self.each

    @property
    def gbytes(self) -> float:
        """10^9 bytes of main memory per second."""
        return 1e-9 * self.bytes / self.each

    @property
    def of_roof(self) -> float:
        """Which part of what the machine could do it does; beyond 1 the model is too slow."""
        return self.least / self.each

    @property
    def predicted_to_measured(self) -> float:
        """1 where the machine model is right, less where it expects too little."""
        return self.predicted / self.each


@struct(eq=False)
class Profile:
    """What ran inside of `profile`; see there.

    ``memory`` says which arrays were alive when, ``runs`` are the calls of programs, and ``wall``
    the seconds of the whole block. Arrays that go after it were there at its end.
    """

    memory: Memory = field(default_factory=Memory)
    runs: list[Seen] = field(default_factory=list)
    wall: float = 0.0
    _infos: dict[int, tuple[Profiled, list[StepInfo]]] = field(default_factory=dict)
    _makers: dict[int, tuple[Profiled, Makers]] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.Lock)

    def note(self, seen: Observation) -> None:
        """A call of a program, from any thread. Keeps none of its arrays alive."""
        subject = seen.subject
        run = Seen(
            subject,
            seen.thread,
            seen.begin,
            seen.end,
            seen.calls,
            seen.seconds,
            seen.events,
            seen.dropped,
        )
        with self._lock:
            self.runs.append(run)
            if id(subject) not in self._makers:
                self._makers[id(subject)] = subject, makers(subject, program_name(subject))
        self.memory.note(seen, self._makers[id(subject)][1])

    def steps(self, subject: Profiled) -> list[StepInfo]:
        """The steps of a program that ran."""
        if id(subject) not in self._infos:
            self._infos[id(subject)] = subject, step_infos(subject)
        return self._infos[id(subject)][1]

    @property
    def seconds(self) -> float:
        """Seconds in programs, over all threads that called some."""
        return sum(run.end - run.begin for run in self.runs) * 1e-9

    @property
    def kernels(self) -> list[KernelTime]:
        """What ran, the longest first: equal kernels of the same lines are one row.

        Copies that found both arrays in the same memory, where nothing is to do, are left out.
        """
        rows: dict[tuple[object, ...], list[Any]] = {}
        for run in self.runs:
            infos = self.steps(run.subject)
            for info, calls, seconds in zip(infos, run.calls, run.seconds, strict=True):
                if calls:
                    key = (info.kind, info.name, info.shapes, info.lines, info.flops)
                    row = rows.setdefault(key, [info, 0, 0.0])
                    row[1] += int(calls)
                    row[2] += float(seconds)
        found = [
            KernelTime(
                info.kind,
                info.name,
                info.shapes,
                info.lines,
                calls,
                seconds or 1e-9,
                info.flops,
                info.memory_bytes,
                info.predicted,
                info.least,
            )
            for info, calls, seconds in rows.values()
        ]
        kept = [row for row in found if row.kind != "copy" or row.of_roof < NOTHING_TO_DO]
        return sorted(kept, key=lambda row: -row.seconds)

    def trace(self, path: str | PathLike[str]) -> None:
        """Writes a trace for Perfetto (https://ui.perfetto.dev) or Chrome's ``about:tracing``.

        Programs and their steps on the threads that called them, and the memory in use. Raises
        OSError where it cannot be written.
        """
        from weft.report.trace import write

        write(self, path)

    def __str__(self) -> str:
        from weft.report.terminal import profile_text

        return profile_text(self)

    def __rich__(self) -> Any:
        from weft.report.terminal import profile_view

        return profile_view(self)

    def _repr_html_(self) -> str:
        from weft.report.page.profiled import notebook

        return notebook(self)

    def __repr__(self) -> str:
        return f"<profile: {len(self.runs)} calls of programs, {seconds_text(self.seconds)}>"


@contextmanager
def profile() -> Iterator[Profile]:
    """Measures what runs inside of a ``with`` block, kernel by kernel, in all threads.

    Gives a `Profile`: ``print`` it, or look at its ``kernels`` (calls, seconds, GB/s, GFLOP/s, the
    part of the roof, predicted over measured time) and its ``memory`` (a timeline, and the largest
    arrays at its peak with the lines that made them); ``trace("trace.json")`` writes a trace.

    What runs inside is compiled for it: call it once before what you want to see the time of.
    Outside, programs are what they were.

    >>> f = weft.jit(lambda x: np.exp(x) / np.exp(x).sum())
    >>> with weft.profile() as measured:
    ...     y = f(np.ones(100_000))
    >>> {(row.kind, row.calls) for row in measured.kernels}
    {('kernel', 1)}
    """
    found = Profile()
    with _switching:
        _going_on.append(found)
        config._set_profiled(True)
    stamps.listeners.append(found.note)
    begin = time.perf_counter()
    try:
        yield found
    finally:
        found.wall = time.perf_counter() - begin
        stamps.listeners.remove(found.note)
        found.memory.end()
        with _switching:
            _going_on.remove(found)
            config._set_profiled(bool(_going_on))


def program_name(subject: Profiled) -> str:
    """The function that was traced, or the one that a program's last lines are in."""
    if subject.closed.jaxpr.debug_name:
        return subject.closed.jaxpr.debug_name
    for eqn in reversed(subject.closed.jaxpr.eqns):
        if eqn.source is not None:
            return eqn.source.function
    return "weft"
