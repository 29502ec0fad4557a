"""Programs on a device that are timed, for `weft.profile`.

Where the host asks for one step after the other, it waits for the device after each, so that steps
that would run side by side or be asked for ahead do not: the times are those of the steps, the
whole takes longer than usual. What a device runs in one go is timed as a whole.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from weft.backends.device import DeviceProgram, Memory
from weft.backends.programs import Run, SteppedProgram
from weft.codegen.stamps_llvm import stamped_steps
from weft.compile import Profiled
from weft.core.jaxpr import ClosedJaxpr
from weft.kernels.program import Step
from weft.planning import Record
from weft.runtime import stamps
from weft.runtime.stamps import EVENTS, Observation

if TYPE_CHECKING:
    from weft.backends.programs import KernelDevice


class StampedSteps(SteppedProgram):
    """A program that tells those who listen (`weft.runtime.stamps`) of its calls."""

    def __init__(self, closed: ClosedJaxpr, device: KernelDevice) -> None:
        record = Record()
        super().__init__(closed, device, record)
        self.subject = Profiled(closed, self.program, record, device.machine)
        self.numbers = {step: n for n, step in enumerate(stamped_steps(self.program))}

    def __call__(self, arguments: Sequence[Memory]) -> list[Memory]:
        self.device.finish()
        begin = time.perf_counter_ns()
        memory = dict(zip(self.program.inputs, arguments, strict=True)) | self._constants
        run = _StampedRun(self, memory)
        results = self._walk(run)
        count = len(self.numbers)
        rows = np.array(run.events, np.int64).reshape(-1, 3)
        nanoseconds = (rows[:, 2] - rows[:, 1]).astype(np.float64)
        seen = Observation(
            self.subject,
            threading.get_ident(),
            begin,
            time.perf_counter_ns(),
            np.bincount(rows[:, 0], minlength=count),
            np.bincount(rows[:, 0], nanoseconds, count) * 1e-9,
            rows[:EVENTS],
            max(0, len(rows) - EVENTS),
            tuple(arguments),
            tuple(results),
            run.scratch,
        )
        for listener in tuple(stamps.listeners):
            listener(seen)
        return results


class TimedProgram:
    """A program that its device runs in one go, and that is timed as a whole."""

    def __init__(self, program: DeviceProgram, subject: Profiled) -> None:
        self.program = program
        self.subject = subject

    def __call__(self, arguments: Sequence[Memory]) -> list[Memory]:
        begin = time.perf_counter_ns()
        results = self.program(arguments)
        end = time.perf_counter_ns()
        seen = Observation(
            self.subject,
            threading.get_ident(),
            begin,
            end,
            np.ones(1, np.int64),
            np.array([(end - begin) * 1e-9]),
            np.array([[0, begin, end]], np.int64),
            0,
            tuple(arguments),
            tuple(results),
            self.subject.program.arena_bytes,
        )
        for listener in tuple(stamps.listeners):
            listener(seen)
        return results


class _StampedRun(Run):
    """A call that waits for each step and notes when it ran."""

    def __init__(self, program: StampedSteps, memory: dict) -> None:
        super().__init__(program, memory)
        self.numbers = program.numbers
        self.events: list[tuple[int, int, int]] = []
        self.scratch = sum(self.nbytes(slot) for slot in program.program.temporaries)

    def step(self, step: Step) -> None:
        number = self.numbers.get(step)
        begin = time.perf_counter_ns()
        super().step(step)
        if number is not None:
            self.device.finish()
            self.events.append((number, begin, time.perf_counter_ns()))
