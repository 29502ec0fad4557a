"""Loops of a program that run several iterations in one pass, unrolled ones included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from weft.kernels import passes
from weft.kernels.assemble import Reads
from weft.kernels.machine import Machine
from weft.kernels.passes import Pass
from weft.kernels.rolled import find_repetitions
from weft.terms.region import Def, For, Program, Region, Scatter


class Repeats:
    """Decides for every loop once.

    ``prepare`` makes of a body what is planned, ``seconds`` is its price, and ``taken`` is told of
    passes.
    """

    def __init__(
        self,
        machine: Machine,
        prepare: Callable[[Region], Region],
        seconds: Callable[[Region], float],
        taken: Callable[[list[Pass]], None],
    ) -> None:
        self.machine = machine
        self.prepare = prepare
        self.seconds = seconds
        self.taken = taken
        #: The bodies of loops that run in passes, before and after ``prepare``.
        self.bodies: dict[For, tuple[Region, Region]] = {}
        self._found: dict[For, list[Pass]] = {}

    def passes(self, loop: For, pair: Region | None = None) -> list[Pass]:
        """Passes that run all of a loop; none if that is not cheaper.

        Two iterations could also be the kernels of ``pair``.
        """
        found = self._found.get(loop)
        if found is None:
            found = self._found[loop] = self._passes(loop, pair)
        return found

    def _passes(self, loop: For, pair: Region | None) -> list[Pass]:
        body = passes.body_of(loop, self.machine)
        if body is None:
            return []
        chosen = self.prepare(body)

        def seconds() -> float:
            alone = self.seconds(chosen)
            return alone if pair is None else min(alone, self.seconds(self.prepare(pair)) / 2)

        found = passes.in_passes(loop, chosen, self.machine, seconds)
        if found:
            self.bodies[loop] = body, chosen
            self.taken(found)
        return found

    def rolled(self, program: Program) -> Program:
        """``program`` with steps that repeat themselves as a loop, if it runs in passes."""
        steps = program.block.steps
        large = [s for s in steps if isinstance(s, Def | Scatter)]
        room = passes.LARGE * self.machine.levels[1].capacity
        if self.machine.kind != "cpu" or all(s.value.nbytes < room for s in large):
            return program
        reads = Reads()
        for found in find_repetitions(steps, program.outputs, [reads.of(s) for s in steps]):
            if self.passes(found.loop, found.pair):
                return replace(program, block=found.within(steps))
        return program
