"""The meaning of a program: its steps in order, its kernels by their own interpreter.

Before the memory plan every slot has memory of its own; after it temporaries lie in one arena at
their offsets, so that a plan that lets two of them collide shows in the results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.deep import deep
from weft.kernels.interpret import poison, run_in_place
from weft.kernels.program import (
    Copy,
    For,
    If,
    Launch,
    Program,
    Routine,
    Slot,
    Step,
    Swap,
    While,
)

#: What a routine's name stands for: arrays and parameters in, a list of arrays out.
Routines = Mapping[str, Callable[..., Sequence[Any]]]


def run_program(
    program: Program, inputs: Sequence[Any], routines: Routines | None = None
) -> list[np.ndarray]:
    """Runs ``program`` on ``inputs`` and returns its outputs, in order.

    ``routines`` has the meaning of each `Routine` by name.  Raises ``ValueError`` for inputs of a
    wrong number, shape or dtype and ``KeyError`` for a routine without meaning.
    """
    run = _Run(program, inputs, routines or {})
    run.steps(program.steps)
    return [np.array(run.memory[s]) for s in program.outputs]


class _Run:
    def __init__(self, program: Program, inputs: Sequence[Any], routines: Routines) -> None:
        self.routines = routines
        self.memory: dict[Slot, np.ndarray] = {}
        if len(inputs) != len(program.inputs):
            raise ValueError(f"the program takes {len(program.inputs)} inputs, got {len(inputs)}")
        for slot, value in zip(program.inputs, inputs, strict=True):
            self.memory[slot] = _read_only(slot, np.asarray(value))
        for slot in program.constants:
            if slot.data is None:
                raise ValueError(f"constant {slot.name} has no data")
            self.memory[slot] = _read_only(slot, slot.data)
        for slot in program.outputs:
            self.memory.setdefault(slot, poison(slot.shape, slot.dtype))
        # All ones: a NaN in every floating dtype, nonsense elsewhere.
        arena = np.full(program.arena_bytes, 0xFF, np.uint8)
        for slot in program.temporaries:
            self.memory[slot] = _place(slot, arena)

    @deep
    def steps(self, steps: list[Step]) -> None:
        for step in steps:
            self.step(step)

    def step(self, step: Step) -> None:
        if isinstance(step, Launch):
            pairs = zip(step.kernel.params, step.slots, strict=True)
            run_in_place(step.kernel, {b: self.memory[s].reshape(b.shape) for b, s in pairs})
        elif isinstance(step, Copy):
            self.memory[step.target][...] = self.memory[step.source]
        elif isinstance(step, Swap):
            a, b = self.memory[step.a], self.memory[step.b]
            self.memory[step.a], self.memory[step.b] = b, a
        elif isinstance(step, For):
            for n in range(step.length):
                self.memory[step.counter][...] = n
                self.steps(step.body)
        elif isinstance(step, While):
            self.loop(step)
        elif isinstance(step, If):
            last = len(step.branches) - 1
            self.steps(step.branches[min(max(int(self.memory[step.index]), 0), last)])
        elif isinstance(step, Routine):
            self.routine(step)
        else:
            raise TypeError(f"unknown step {type(step).__name__}")

    def loop(self, step: While) -> None:
        self.steps(step.condition)
        while self.memory[step.predicate]:
            self.steps(step.body)
            self.steps(step.condition)

    def routine(self, step: Routine) -> None:
        function = self.routines.get(step.name, step.function)
        if function is None:
            raise KeyError(f"no meaning is given for the routine {step.name!r}")
        arrays = [self.memory[s] for s in step.inputs]
        results = function(*arrays, **step.params)
        for slot, value in zip(step.outputs, results, strict=True):
            self.memory[slot][...] = value


def _read_only(slot: Slot, array: np.ndarray) -> np.ndarray:
    if array.shape != slot.shape or array.dtype != slot.dtype:
        raise ValueError(
            f"{slot.role} {slot.name} is {dtypes.short_name(slot.dtype)}{list(slot.shape)}; "
            f"got {dtypes.short_name(array.dtype)}{list(array.shape)}"
        )
    view = array.view()
    view.flags.writeable = False
    return view


def _place(slot: Slot, arena: np.ndarray) -> np.ndarray:
    if slot.offset is None:
        return poison(slot.shape, slot.dtype)
    window = arena[slot.offset : slot.offset + slot.nbytes]
    if window.nbytes != slot.nbytes:
        raise ValueError(f"temporary {slot.name} at {slot.offset} leaves the arena")
    return window.view(slot.dtype).reshape(slot.shape)
