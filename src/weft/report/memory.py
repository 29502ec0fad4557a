"""Which arrays were alive when: the memory side of a profile."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import field
from typing import Any

from weft.compile import Profiled
from weft.core.source import Source, describe
from weft.kernels.program import Launch, Slot, walk_steps, writes_of
from weft.report.origins import computed, launches_of, lines_of
from weft.report.units import bytes_text
from weft.runtime.stamps import Observation
from weft.structs import struct


@struct(frozen=True)
class Holding:
    """Memory in use: ``nbytes`` of ``what``, made at ``lines`` of the user's program.

    ``since`` and ``until`` are seconds of the profile; ``until`` is None for what was still there
    at its end.
    """

    what: str
    nbytes: int
    lines: tuple[Source, ...]
    since: float
    until: float | None = None

    def __str__(self) -> str:
        where = f"  {describe(self.lines[0])}" if self.lines else ""
        return f"{bytes_text(self.nbytes):>9}  {self.what}{where}"


@struct(eq=False)
class _Life:
    what: str
    nbytes: int
    lines: tuple[Source, ...]
    born: int
    died: int | None = None
    parts: tuple[tuple[str, int, tuple[Source, ...]], ...] = ()


@struct(eq=False)
class Memory:
    """Arrays that profiled programs read and made, and the scratch memory of their calls.

    An array that was there before is counted from the first call that reads it.
    """

    origin: int = field(default_factory=time.perf_counter_ns)
    _lives: list[_Life] = field(default_factory=list)
    _known: dict[int, tuple[weakref.ref[Any], _Life]] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.RLock)
    _ended: bool = False

    def end(self) -> None:
        """Arrays that go from now on were there to the end."""
        with self._lock:
            self._ended = True
            self._known.clear()

    def note(self, seen: Observation, named: Makers) -> None:
        """The arguments and results of a call, and what it needed meanwhile."""
        with self._lock:
            if self._ended:
                return
            for buffer in seen.inputs:
                self._add(buffer, "an array from before", (), seen.begin)
            for buffer, (what, lines) in zip(seen.outputs, named.outputs, strict=True):
                self._add(buffer, what, lines, seen.begin)
            if seen.arena_nbytes:
                what = f"scratch memory of {named.program}"
                life = _Life(what, seen.arena_nbytes, (), seen.begin, seen.end, named.temporaries)
                self._lives.append(life)

    def _add(self, buffer: Any, what: str, lines: tuple[Source, ...], now: int) -> None:
        key = id(buffer)
        if key in self._known:
            return
        life = _Life(what, buffer.nbytes, lines, now)

        def gone(_: Any) -> None:
            life.died = time.perf_counter_ns()
            with self._lock:
                self._known.pop(key, None)

        self._known[key] = weakref.ref(buffer, gone), life
        self._lives.append(life)

    def _seconds(self, instant: int) -> float:
        return (instant - self.origin) * 1e-9

    @property
    def timeline(self) -> list[tuple[float, int]]:
        """Seconds since the profile began, and the bytes in use from then on."""
        with self._lock:
            changes = [(life.born, life.nbytes) for life in self._lives]
            changes += [(life.died, -life.nbytes) for life in self._lives if life.died is not None]
        points: list[tuple[float, int]] = []
        total = 0
        for instant, change in sorted(changes):
            total += change
            points.append((self._seconds(instant), total))
        return points

    @property
    def peak(self) -> tuple[float, int]:
        """When most memory was in use, and how much; zeros if nothing was."""
        return max(self.timeline, key=lambda point: point[1], default=(0.0, 0))

    def largest(self, count: int = 10) -> list[Holding]:
        """What took most memory at the peak; scratch memory is followed by what lay in it."""
        instant = self.peak[0]
        with self._lock:
            lives = [
                life
                for life in self._lives
                if self._seconds(life.born) <= instant
                and (life.died is None or self._seconds(life.died) > instant)
            ]
        found: list[Holding] = []
        for life in sorted(lives, key=lambda life: -life.nbytes)[:count]:
            since = self._seconds(life.born)
            until = None if life.died is None else self._seconds(life.died)
            found.append(Holding(life.what, life.nbytes, life.lines, since, until))
            for what, nbytes, lines in life.parts:
                found.append(Holding(f"  in it, {what}", nbytes, lines, since, until))
        return found


@struct(frozen=True)
class Makers:
    """What the results of a program and its largest temporaries are called, and their lines."""

    program: str
    outputs: tuple[tuple[str, tuple[Source, ...]], ...]
    temporaries: tuple[tuple[str, int, tuple[Source, ...]], ...]


def makers(subject: Profiled, name: str) -> Makers:
    """Who makes what in a program."""
    program = subject.program
    inside = computed(subject.record.regions)
    lines = dict(zip(launches_of(program), map(lines_of, inside), strict=True))
    made: dict[Slot, tuple[Source, ...]] = {}
    for step in walk_steps(program.steps):
        for slot in writes_of(step):
            if isinstance(step, Launch) and slot not in step.scratch:
                made.setdefault(slot, lines[step])
    outputs = tuple(
        (f"result {n} of {name}", made.get(s, ())) for n, s in enumerate(program.outputs)
    )
    return Makers(name, outputs, _largest(program.temporaries, made))


def _largest(
    slots: Sequence[Slot], made: dict[Slot, tuple[Source, ...]], count: int = 3
) -> tuple[tuple[str, int, tuple[Source, ...]], ...]:
    chosen = sorted(slots, key=lambda s: -s.nbytes)[:count]
    return tuple((s.name, s.nbytes, made.get(s, ())) for s in chosen if s.nbytes)
