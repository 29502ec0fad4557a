"""Programs on a device that runs kernels, step by step as `weft.kernels.program` says.

The host walks the steps and asks the device for launches, copies and values of conditions. A
temporary has memory from its first use to the last step at the top of the program that mentions it.
Routines (factorizations, Fourier transforms, callbacks) run on the host, with copies before and
after.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.backends.device import Device, DeviceProgram, Memory
from weft.backends.dtypes import check_dtypes
from weft.codegen.clike import KernelText
from weft.config import config
from weft.core.jaxpr import ClosedJaxpr
from weft.kernels.ir import Kernel
from weft.kernels.program import (
    Copy,
    For,
    If,
    Launch,
    Routine,
    Slot,
    Step,
    Swap,
    While,
    reads_of,
    walk_steps,
    writes_of,
)
from weft.planning import Record, plan_program

#: A kernel on a device: run it on its arguments, the parameters and then shared scratch.
Launcher = Callable[[Sequence[Memory]], None]


class KernelDevice(Device):
    """A device that is asked to run one kernel after the other."""

    def program(self, closed: ClosedJaxpr) -> DeviceProgram:
        check_dtypes(closed, self)
        if config.profiled:
            from weft.backends.stamped import StampedSteps

            return StampedSteps(closed, self)
        return SteppedProgram(closed, self)

    def computed(self, results: Sequence[Memory]) -> None:
        """A program has asked for everything that fills its results."""

    @abstractmethod
    def kernels(self, kernels: Sequence[Kernel]) -> list[tuple[Launcher, tuple[int, ...]]]:
        """Compiles scheduled kernels of different names; gives the bytes of their shared scratch.

        Raises `weft.errors.DeviceError` with the driver's words for a kernel that it refuses,
        ``TypeError`` for operations and dtypes that it has no code for.
        """


def scratch_bytes(kernel: Kernel, emitted: KernelText) -> tuple[int, ...]:
    """What a kernel's shared scratch takes, which follows the parameters among its arguments."""
    shared = emitted.arguments[len(kernel.params) :]
    return tuple(buffer.extent * buffer.dtype.itemsize for buffer in shared)


class SteppedProgram:
    """A jaxpr compiled for a device; call it with the memory of its arguments."""

    def __init__(
        self, closed: ClosedJaxpr, device: KernelDevice, record: Record | None = None
    ) -> None:
        self.device = device
        self.program = plan_program(closed, record=record, machine=device.machine)
        self._kernels = self._compiled()
        self._constants = {slot: self._uploaded(slot) for slot in self.program.constants}
        self._last = self._last_uses()

    def __call__(self, arguments: Sequence[Memory]) -> list[Memory]:
        memory = dict(zip(self.program.inputs, arguments, strict=True)) | self._constants
        results = self._walk(Run(self, memory))
        self.device.computed(results)
        return results

    def _walk(self, run: Run) -> list[Memory]:
        for n, step in enumerate(self.program.steps):
            run.step(step)
            for slot in self._last.get(n, ()):
                run.memory.pop(slot, None)
        return [run.memory[slot] for slot in self.program.outputs]

    def launched(self, kernel: Kernel) -> tuple[Launcher, tuple[int, ...]]:
        """A compiled kernel and the bytes of its shared scratch."""
        return self._kernels[kernel]

    def _compiled(self) -> dict[Kernel, tuple[Launcher, tuple[int, ...]]]:
        steps = walk_steps(self.program.steps)
        kernels = list(dict.fromkeys(s.kernel for s in steps if isinstance(s, Launch)))
        named = [kernel.evolve(name=f"{n}_{kernel.name}") for n, kernel in enumerate(kernels)]
        return dict(zip(kernels, self.device.kernels(named), strict=True))

    def _uploaded(self, slot: Slot) -> Memory:
        return self.device.upload(np.ascontiguousarray(slot.data))

    def _last_uses(self) -> dict[int, list[Slot]]:
        """Temporaries by the number of the last step at the top that mentions them."""
        last: dict[Slot, int] = {}
        for n, step in enumerate(self.program.steps):
            for inner in walk_steps([step]):
                for slot in (*reads_of(inner), *writes_of(inner)):
                    if slot.role == "temporary":
                        last[slot] = n
        found: dict[int, list[Slot]] = {}
        for slot, n in last.items():
            found.setdefault(n, []).append(slot)
        return found


class Run:
    """One call: what every slot is in memory just now."""

    def __init__(self, program: SteppedProgram, memory: dict[Slot, Memory]) -> None:
        self.top = program
        self.device = program.device
        self.memory = memory

    def place(self, slot: Slot) -> Memory:
        """The memory of a slot, its own from the first use on."""
        found = self.memory.get(slot)
        if found is None:
            found = self.memory[slot] = self.device.alloc(self.nbytes(slot))
        return found

    def shared_scratch(self, sizes: Sequence[int]) -> list[Memory]:
        """Memory that the blocks of one launch share."""
        return [*map(self.device.alloc, sizes)]

    def nbytes(self, slot: Slot) -> int:
        """What a slot takes in memory."""
        return self.device.nbytes(slot.shape, slot.dtype)

    def value(self, slot: Slot) -> Any:
        """The number in a slot, once it is known."""
        out = np.empty((), slot.dtype)
        self.device.read(self.place(slot), out)
        return out[()]

    def steps(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.step(step)

    def step(self, step: Step) -> None:
        if isinstance(step, Launch):
            run, scratch = self.top.launched(step.kernel)
            run([*map(self.place, step.slots), *self.shared_scratch(scratch)])
        elif isinstance(step, Copy):
            target, source = self.place(step.target), self.place(step.source)
            self.device.copy(target, source, self.nbytes(step.source))
        elif isinstance(step, Swap):
            a, b = self.place(step.a), self.place(step.b)
            self.memory[step.a], self.memory[step.b] = b, a
        elif isinstance(step, For):
            for n in range(step.length):
                self.device.write(self.place(step.counter), np.array(n, step.counter.dtype))
                self.steps(step.body)
        elif isinstance(step, While):
            self.steps(step.condition)
            while self.value(step.predicate):
                self.steps(step.body)
                self.steps(step.condition)
        elif isinstance(step, If):
            last = len(step.branches) - 1
            self.steps(step.branches[min(max(int(self.value(step.index)), 0), last)])
        else:
            self.routine(step)

    def routine(self, step: Routine) -> None:
        if step.function is None:
            raise TypeError(f"the routine {step.name!r} has no function that could run on the host")
        arrays = []
        for slot in step.inputs:
            arrays.append(np.empty(slot.shape, slot.dtype))
            self.device.read(self.place(slot), arrays[-1])
        results = step.function(*arrays, **step.params)
        for slot, result in zip(step.outputs, results, strict=True):
            self.device.write(self.place(slot), np.ascontiguousarray(result, slot.dtype))
