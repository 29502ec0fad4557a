"""``jit(f, tune=True)``: the likeliest schedules of each kernel timed, and the fastest remembered.

Prices shortlist; a clock decides.  Each schedule of a kernel is compiled as a program of its own
and run on made-up arrays, all of them in turns, so that what else the machine does disturbs them
alike; the best time of each counts.  What won is kept on disk, by everything that the candidates
and their code depend on, so that another process or program with the same kernel times nothing.
"""

from __future__ import annotations

import hashlib
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

import numpy as np

from weft.compile import native_record, target_of
from weft.config import config
from weft.kernels.ir import Buffer, Kernel
from weft.kernels.memory_plan import plan_memory
from weft.kernels.print import print_kernel
from weft.kernels.program import Launch, Program, Slot
from weft.kernels.schedule.tree import Renaming
from weft.runtime import buffer as memory
from weft.runtime.cache import object_cache
from weft.runtime.identity import compiler_identity, processor_identity
from weft.runtime.native import CPU, compile_module

#: How often candidates take turns.
ROUNDS = 9
#: Seconds of one turn of a candidate, about.
TURN = 2e-3
#: Candidates that took so many times as long as the best, when first run, are not run again.
HOPELESS = 2.0
#: What the price would choose stays unless another one takes this part of its time.
CLEARLY = 0.98

_HEAD = b"weft-tuned-1 "


class Tuner:
    """Chooses among schedules by timing them on ``cpu``; shows how far it is on a terminal.

    ``timed`` counts the kernels that were timed, not remembered.
    """

    def __init__(self, cpu: CPU) -> None:
        self.cpu = cpu
        self.timed = 0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Tuner:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            columns = (TextColumn("tuning {task.description}"), BarColumn(), MofNCompleteColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=0)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def expect(self, count: int) -> None:
        """So many more kernels will be asked for."""
        if self._bar is not None:
            total = self._bar.tasks[0].total
            self._bar.update(self._task, total=total + count)

    def choose(self, kernels: Sequence[Kernel]) -> int:
        """The place of the fastest among schedules of one kernel."""
        if self._bar is not None:
            self._bar.update(self._task, description=kernels[0].name)
        found = self._chosen(kernels)
        if self._bar is not None:
            self._bar.advance(self._task)
        return found

    def _chosen(self, kernels: Sequence[Kernel]) -> int:
        in_place = any(b.role == "inout" for b in kernels[0].params)
        if len(kernels) < 2 or in_place:  # what works in place has other work to do each time
            return 0
        cache = object_cache()
        name = self._name(kernels)
        known = None if cache is None else _number(cache.get(name), len(kernels))
        if known is not None:
            return known
        self.timed += 1
        seconds = times([self.program(k) for k in kernels])
        found = 0 if min(seconds) > CLEARLY * seconds[0] else seconds.index(min(seconds))
        if cache is not None:
            cache.keep(name, _HEAD + str(found).encode())
        return found

    def _name(self, kernels: Sequence[Kernel]) -> str:
        """The name on disk of what won among these."""
        compiler = (compiler_identity(), processor_identity(), self.cpu.features)
        texts = [print_kernel(_anonymous(k)) for k in kernels]
        parts = repr((compiler, config.threads, texts))
        return "tuned-" + hashlib.sha256(parts.encode()).hexdigest()

    def program(self, kernel: Kernel) -> Callable[[], None]:
        """A call of ``kernel`` on arrays of its own."""
        from weft.codegen.program_llvm import emit_program

        slots = tuple(Slot(b.name, b.shape, b.dtype, b.role) for b in kernel.params)
        inputs = tuple(s for s in slots if s.role == "input")
        outputs = tuple(s for s in slots if s.role == "output")
        steps: list[Any] = [Launch(kernel, slots)]
        program = plan_memory(Program(inputs, outputs, (), (), steps, threads=config.threads))
        code = compile_module(emit_program(program, target_of(self.cpu)), self.cpu)
        native = native_record(program, [code]).link()
        given = [memory.Buffer.adopt(_made_up(s, n)) for n, s in enumerate(inputs)]
        results = [memory.Buffer.alloc(s.nbytes) for s in outputs]
        return lambda: native.run(given, results)


def times(calls: Sequence[Callable[[], None]]) -> list[float]:
    """Seconds of each call at its best, taken in turns."""
    best = [min(_seconds(call, 1), _seconds(call, 1)) for call in calls]
    hopeful = [n for n, s in enumerate(best) if s <= HOPELESS * min(best)]
    best = [s if n in hopeful else float("inf") for n, s in enumerate(best)]
    order = random.Random(0)
    for _ in range(ROUNDS):
        order.shuffle(hopeful)
        for n in hopeful:
            often = max(1, min(1000, int(TURN / best[n])))
            best[n] = min(best[n], _seconds(calls[n], often))
    return best


def _seconds(call: Callable[[], None], often: int) -> float:
    start = time.perf_counter()
    for _ in range(often):
        call()
    return (time.perf_counter() - start) / often


def _made_up(slot: Slot, seed: int) -> np.ndarray:
    """An array without special values: they can take longer."""
    rng = np.random.default_rng(seed)
    if slot.dtype.kind == "f":
        return rng.uniform(0.5, 1.5, slot.shape).astype(slot.dtype)
    if slot.dtype.kind == "b":
        return rng.random(slot.shape) < 0.5
    if slot.dtype.kind in "iu":
        return rng.integers(0, 100, slot.shape).astype(slot.dtype)
    return np.ones(slot.shape, slot.dtype)


def _anonymous(kernel: Kernel) -> Kernel:
    """``kernel`` without the names that its program gave to things."""
    own: dict[Buffer, Buffer] = {
        b: replace(b, name=f"b{n}") for n, b in enumerate((*kernel.params, *kernel.scratch))
    }
    return kernel.evolve(
        name="kernel",
        params=tuple(own[b] for b in kernel.params),
        scratch=tuple(own[b] for b in kernel.scratch),
        body=Renaming(buffers=own).body(kernel.body),
    )


def _number(payload: bytes | None, count: int) -> int | None:
    """What was remembered; None for anything else."""
    if payload is None or not payload.startswith(_HEAD):
        return None
    digits = payload.removeprefix(_HEAD)
    return int(digits) if digits.isdigit() and int(digits) < count else None
