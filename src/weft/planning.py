"""Everything before code generation: a jaxpr becomes terms, terms kernels, kernels a program."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import field
from typing import TYPE_CHECKING, Any

from weft.config import config
from weft.core.check import check_jaxpr
from weft.core.extents import Extent
from weft.core.jaxpr import ClosedJaxpr
from weft.dumps import dump, printed_kernels, printed_program, printed_steps, printed_terms
from weft.kernels.ir import Kernel
from weft.kernels.machine import Machine
from weft.kernels.program import Launch, Program, walk_steps
from weft.machines import host_machine, machine_of
from weft.structs import struct

if TYPE_CHECKING:
    from weft.kernels.assemble import Planned
    from weft.kernels.passes import Pass
    from weft.kernels.plan import Picker, Weighed
    from weft.runtime.native import CPU
    from weft.saturate.saturate import Saturation
    from weft.terms.region import For, Region
    from weft.terms.region import Program as TermProgram
    from weft.terms.term import Value
    from weft.terms.tiles import TileProgram


@struct
class PlannedRegion:
    """What became of a region: as it was lowered, as rules left it, how they did, its kernels, and
    what else they could have been."""

    source: Region
    chosen: Region
    pieces: list[Saturation]
    kernels: list[Planned]
    weighed: Weighed


@struct
class Record:
    """What compiling a program did, level by level, for who wants to look (`weft.explain`).

    ``seconds`` are those of each pass, ``lowered`` the terms before any rule.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    regions: list[PlannedRegion] = field(default_factory=list)
    lowered: TermProgram | None = None

    def timed(self, name: str, run: Callable[[], Any]) -> Any:
        """The result of ``run``, a part of the pass ``name``."""
        start = time.perf_counter()
        result = run()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        return result


class Stopwatch:
    """Seconds of what is done in the course of something else."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timing(self, action: Callable[[Any], None]) -> Callable[[Any], None]:
        """``action``, with its time taken."""

        def timed(argument: Any) -> None:
            start = time.perf_counter()
            action(argument)
            self.seconds += time.perf_counter() - start

        return timed


def plan_program(
    closed: ClosedJaxpr,
    cpu: CPU | None = None,
    record: Record | None = None,
    ready: Callable[[Kernel], None] | None = None,
    picker: Picker | None = None,
    machine: Machine | None = None,
    hasty: bool = False,
) -> Program:
    """Everything before code generation: terms, kernels, schedules and the memory plan.

    ``cpu`` is what it is planned for, by default the host, or any ``machine``; ``record`` is told
    what is done, and ``ready`` is given each kernel as soon as it is scheduled. Schedules are
    chosen by price, or by a ``picker``; a ``hasty`` plan is for few runs.
    """
    from weft.kernels.assemble import assemble
    from weft.kernels.memory_plan import plan_memory

    if machine is None:
        machine = host_machine(config.threads) if cpu is None else machine_of(cpu, config.threads)
    record = record or Record()
    planning = _Planning(closed, machine, record, ready, picker)
    lowered = planning.lowered(hasty)
    program = assemble(lowered, planning.region, planning.tiles, planning.passes)
    program.threads = machine.threads
    program = record.timed("memory", lambda: plan_memory(program))
    dump("kernels", lambda: printed_kernels(planning.naive or []))
    dump("schedule", lambda: printed_kernels(s.kernel for s in launches(program)))
    dump("program", lambda: printed_program(program))
    if planning.check:
        from weft.kernels.program_check import check_program

        check_program(program, kernels=False)  # each was checked when it was made
    return program


class _Planning:
    """One program on its way from a jaxpr to kernels; ``naive`` are those before schedules."""

    def __init__(
        self,
        closed: ClosedJaxpr,
        machine: Machine,
        record: Record,
        ready: Callable[[Kernel], None] | None,
        picker: Picker | None,
    ) -> None:
        from weft.kernels.plan import seconds_of
        from weft.kernels.repeats import Repeats

        self.closed, self.machine, self.record, self.picker = closed, machine, record, picker
        self.open = _is_open(closed)
        # What is for a class of shapes is checked at each shape it is used for (`OpenProgram.at`).
        self.check = config.check and not self.open
        self.exact = config.numerics == "exact"
        self.naive: list[Kernel] | None = [] if "kernels" in config.dump else None
        self._shared: dict[Hashable, Kernel] = {}
        self._early = Stopwatch()  # what is done with kernels while others are planned
        self._told = None if ready is None else self._early.timing(ready)
        self._searched: dict[Region, list[Saturation]] = {}
        self._repeats = Repeats(
            machine, self._prepared, lambda r: seconds_of(r, machine, self.exact), self._taken
        )

    def lowered(self, hasty: bool) -> TermProgram:
        """The terms; steps that repeat themselves are loops again."""
        from weft.terms.lower import lower_jaxpr

        closed, record = self.closed, self.record
        dump("jaxpr", lambda: str(closed))
        if self.check:
            check_jaxpr(closed)
        found: TermProgram = record.timed(
            "lower", lambda: lower_jaxpr(closed, self.machine.dots, hasty)
        )
        record.lowered = found
        dump("terms", lambda: printed_terms(found))
        self._check_terms(found)
        if self.open:
            return found
        rolled: TermProgram = record.timed("plan", lambda: self._repeats.rolled(found))
        if rolled is not found:
            self._check_terms(rolled)
        return rolled

    def _check_terms(self, program: TermProgram) -> None:
        if self.check:
            from weft.terms.check import check_program

            check_program(program)

    def region(self, region: Region) -> list[Planned]:
        """The kernels of a region."""
        from weft.kernels.plan import Weighed, plan
        from weft.terms.windows import slide_windows

        region = slide_windows(region)
        chosen, pieces = self.record.timed("saturate", lambda: saturated(region, self.machine))
        weighed = Weighed()
        watch = None if self.naive is None else self.naive.append
        options = (watch, self._shared, self._told, self.picker, self.exact, weighed)
        kernels = self._planned(lambda: plan(chosen, self.machine, *options))
        self.record.regions.append(PlannedRegion(region, chosen, pieces, kernels, weighed))
        return kernels

    def tiles(self, tiles: TileProgram) -> tuple[Kernel, tuple[Value, ...]]:
        """A kernel of the user's."""
        from weft.kernels.plan import Weighed
        from weft.kernels.tile_programs import build_tile_kernel
        from weft.saturate.saturate import Saturation

        def made() -> tuple[Kernel, tuple[Value, ...]]:
            kernel, values = build_tile_kernel(tiles, self.machine)
            self._finished(kernel)
            return kernel, values

        kernel, values = self._planned(made)
        region = tiles.written()
        left = [Saturation(region, skipped="the user's kernel")]
        kernels: list[Planned] = [(kernel, values, None)]
        self.record.regions.append(PlannedRegion(region, region, left, kernels, Weighed()))
        return kernel, values

    def passes(self, loop: For) -> list[Pass]:
        """Kernels that run several iterations of a loop in one pass over memory; none if it is
        cheaper to run them one by one."""
        from weft.kernels.passes import one_by_one
        from weft.kernels.plan import Weighed

        if self.open:
            return []
        found: list[Pass] = self._planned(lambda: self._repeats.passes(loop))
        if found:
            body, chosen = self._repeats.bodies[loop]
            ran: list[Planned] = [(p.kernel, p.values, None) for p in one_by_one(found) or found]
            pieces = self._searched[chosen]
            self.record.regions.append(PlannedRegion(body, chosen, pieces, ran, Weighed()))
        return found

    def _planned(self, run: Callable[[], Any]) -> Any:
        """The result of ``run``, timed without what was done with kernels meanwhile."""
        result = self.record.timed("plan", run)
        self.record.seconds["plan"] -= self._early.seconds
        self._early.seconds = 0.0
        return result

    def _prepared(self, region: Region) -> Region:
        from weft.terms.windows import slide_windows

        chosen, self._searched[chosen] = saturated(slide_windows(region), self.machine)
        return chosen

    def _taken(self, passes: list[Pass]) -> None:
        for kernel in (p.kernel for p in passes if p.kernel not in self._shared):
            self._shared[kernel] = kernel
            self._finished(kernel)

    def _finished(self, kernel: Kernel) -> None:
        """Checks a kernel, and gives it to who waits for it."""
        if self.check:
            from weft.kernels.check import check_kernel

            check_kernel(kernel)
        if self._told is not None:
            self._told(kernel)


def saturated(region: Region, machine: Machine) -> tuple[Region, list[Saturation]]:
    """``region``, computed in the cheapest way that the rules of ``weft.config.numerics`` find."""
    from weft.saturate.saturate import saturate

    exact = config.extraction == "exact"
    found, pieces = saturate(region, machine, config.numerics, exact=exact)
    if found is not region:
        dump("saturated", lambda: printed_steps(found))
        if config.check:
            from weft.terms.check import check_block
            from weft.terms.region import Block

            check_block(Block(list(found.steps)), region.inputs)
    return found, pieces


def _is_open(closed: ClosedJaxpr) -> bool:
    """Whether ``closed`` is for a class of shapes, be it that only arrays it makes have them."""
    made = (v.aval for eqn in closed.jaxpr.eqns for v in eqn.outvars)
    return any(isinstance(d, Extent) for aval in (*closed.in_avals, *made) for d in aval.shape)


def launches(program: Program) -> list[Launch]:
    """The launches of a program, those inside loops and branches included."""
    return [s for s in walk_steps(program.steps) if isinstance(s, Launch)]
