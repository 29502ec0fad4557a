"""Time stamps around the steps of a program, for who measures it (`weft.runtime.stamps`).

The last of a stamped program's arguments is a log of 64-bit words: how many events there were,
then for each stamped step how often it ran and its nanoseconds in all, then the events: step,
begin, end.  Events beyond `EVENTS` are counted, but not kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from weft.codegen.llvm_text import Function, Module
from weft.kernels.program import Copy, Launch, Program, Routine, Step, walk_steps
from weft.runtime.stamps import CLOCK, EVENTS


def stamped_steps(program: Program) -> list[Step]:
    """The steps that have stamps, in the order of their numbers."""
    return [s for s in walk_steps(program.steps) if isinstance(s, Launch | Routine | Copy)]


class Stamps:
    """Writes the stamps of ``program`` into ``module``."""

    def __init__(self, module: Module, program: Program) -> None:
        self.module = module
        self.numbers = {step: n for n, step in enumerate(stamped_steps(program))}
        self._now()
        self._stamp()

    @contextmanager
    def around(self, f: Function, step: Step, log: str) -> Iterator[None]:
        """What is emitted inside is timed as ``step``, if that has a number."""
        number = self.numbers.get(step)
        if number is None:
            yield
            return
        begin = f.i("call i64 @weft_now()")
        yield
        f.do(f"call void @weft_stamp(ptr {log}, i64 {number}, i64 {begin})")

    def _now(self) -> None:
        """``i64 weft_now()``: nanoseconds of a clock that never goes back."""
        self.module.declare("declare i32 @clock_gettime(i32, ptr)")
        f = self.module.function("weft_now", [], "i64", linkage="internal")
        time = f.i("alloca [2 x i64], align 8")
        f.do(f"call i32 @clock_gettime(i32 {CLOCK}, ptr {time})")
        seconds = f.mul(f.load("i64", time), 1_000_000_000)
        f.ret("i64", f.add(seconds, f.load("i64", f.gep("i64", time, 1))))

    def _stamp(self) -> None:
        """``void weft_stamp(ptr log, i64 step, i64 begin)``: ends a step."""
        parameters = ["ptr %log", "i64 %step", "i64 %begin"]
        f = self.module.function("weft_stamp", parameters, linkage="internal")
        end = f.i("call i64 @weft_now()")
        place = f.gep("i64", "%log", f.add(f.mul("%step", 2), 1))
        total = f.gep("i64", place, 1)
        f.store("i64", f.add(f.load("i64", place), 1), place)
        f.store("i64", f.add(f.load("i64", total), f.sub(end, "%begin")), total)
        count = f.load("i64", "%log")
        f.store("i64", f.add(count, 1), "%log")
        keep, done = f.label("keep"), f.label("done")
        f.branch(f.i(f"icmp ult i64 {count}, {EVENTS}"), keep, done)
        f.place(keep)
        event = f.gep("i64", "%log", f.add(f.mul(count, 3), 1 + 2 * len(self.numbers)))
        f.store("i64", "%step", event)
        f.store("i64", "%begin", f.gep("i64", event, 1))
        f.store("i64", end, f.gep("i64", event, 2))
        f.jump(done)
        f.place(done)
        f.ret()
