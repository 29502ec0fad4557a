"""Programs for WebGPU in browsers: kernels in WGSL, and the steps around them as data.

A module of JavaScript walks the steps as `weft.backends.programs` does. What WGSL has no code for,
dtypes of other than 32 bits above all, is a ``TypeError`` that names it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.codegen import wgsl
from weft.core.dtypes import short_name
from weft.core.jaxpr import ClosedJaxpr
from weft.kernels.ir import Kernel
from weft.kernels.machine import gpu_machine
from weft.kernels.packing import Packed, pack
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
)
from weft.planning import plan_program

#: A device with the limits that every implementation of WebGPU has, buffers of a kernel included.
BUFFERS = 8
MACHINE = gpu_machine("webgpu", 8, 64, 16 << 10, 100.0)


def program_text(closed: ClosedJaxpr) -> str:
    """The program as JSON: kernels, memory, steps and the limits that it needs.

    Raises ``TypeError`` for dtypes and operations that WGSL has not.
    """
    return json.dumps(_Shaders(closed).program(), separators=(",", ":"))


class _Shaders:
    def __init__(self, closed: ClosedJaxpr) -> None:
        self.planned = plan_program(closed, machine=MACHINE)
        self.numbers: dict[Slot, int] = {}
        self.slots: list[dict[str, Any]] = []
        self.kernels: dict[Kernel, int] = {}
        self.texts: list[dict[str, Any]] = []
        self.packed: list[Packed] = []
        #: Memory for what is packed, by kernel and parameter.
        self.wholes: list[list[int | None]] = []
        #: Memory that the blocks of a kernel share, after its parameters.
        self.shared: list[list[int]] = []
        self.longest = 0

    def program(self) -> dict[str, Any]:
        planned = self.planned
        for slot in planned.constants:
            words = np.ascontiguousarray(slot.data)
            words = words.astype(np.uint32) if words.dtype == np.bool_ else words
            self.slots[self.number(slot)]["data"] = base64.b64encode(words.tobytes()).decode()
        inputs = [self.number(s) for s in planned.inputs]
        outputs = [self.number(s) for s in planned.outputs]
        steps = self.steps(planned.steps)
        largest = max((s["bytes"] for s in self.slots), default=4)
        buffers = max((len(t["reads"]) for t in self.texts), default=1)
        return {
            "slots": self.slots,
            "kernels": self.texts,
            "inputs": inputs,
            "outputs": outputs,
            "steps": steps,
            "longest": self.longest,
            "limits": {
                "maxStorageBuffersPerShaderStage": buffers,
                "maxStorageBufferBindingSize": largest,
                "maxBufferSize": largest,
            },
        }

    def number(self, slot: Slot) -> int:
        found = self.numbers.get(slot)
        if found is None:
            found = self.numbers[slot] = self.place(slot.dtype, slot.nbytes // slot.dtype.itemsize)
        return found

    def place(self, dtype: np.dtype, count: int) -> int:
        if dtype.name not in wgsl.TYPES:
            raise TypeError(f"WGSL has no {short_name(dtype)}")
        self.slots.append({"bytes": 4 * count})
        return len(self.slots) - 1

    def kernel(self, kernel: Kernel) -> int:
        if kernel not in self.kernels:
            self.kernels[kernel] = len(self.texts)
            packed = pack(kernel, BUFFERS - sum(b.level == "shared" for b in kernel.scratch))
            self.packed.append(packed)
            self.wholes.append(
                [
                    self.place(b.dtype, b.extent) if len(parts) > 1 else None
                    for b, parts in zip(packed.kernel.params, packed.parts, strict=True)
                ]
            )
            kernel = packed.kernel
            emitted = wgsl.emit_kernel(kernel)
            self.texts.append(
                {
                    "symbol": emitted.symbol,
                    "code": emitted.text,
                    "reads": [b.role == "input" for b in emitted.arguments],
                    "grid": emitted.grid,
                }
            )
            shared = emitted.arguments[len(kernel.params) :]
            self.shared.append([self.place(b.dtype, b.extent) for b in shared])
            return len(self.texts) - 1
        return self.kernels[kernel]

    def steps(self, steps: Sequence[Step]) -> list[Any]:
        found: list[Any] = []
        for step in steps:
            found += self.launch(step) if isinstance(step, Launch) else [self.step(step)]
        return found

    def launch(self, launch: Launch) -> list[Any]:
        """A launch, and the copies into and out of what was packed for it."""
        which = self.kernel(launch.kernel)
        packed = self.packed[which]
        bound: list[int] = []
        before: list[Any] = []
        after: list[Any] = []
        for whole, buffer, parts in zip(
            self.wholes[which], packed.kernel.params, packed.parts, strict=True
        ):
            own = [self.number(launch.slots[place]) for place, _ in parts]
            bound.append(own[0] if whole is None else whole)
            if whole is None:
                continue
            for slot, (_, at) in zip(own, parts, strict=True):
                size = self.slots[slot]["bytes"]
                if buffer.role != "output":
                    before.append(["part", whole, 4 * at, slot, 0, size])
                if buffer.role != "input":
                    after.append(["part", slot, 0, whole, 4 * at, size])
        return [*before, ["launch", which, [*bound, *self.shared[which]]], *after]

    def step(self, step: Step) -> list[Any]:
        if isinstance(step, Copy):
            return ["copy", self.number(step.target), self.number(step.source)]
        if isinstance(step, Swap):
            return ["swap", self.number(step.a), self.number(step.b)]
        if isinstance(step, For):
            self.longest = max(self.longest, step.length)
            return ["for", step.length, self.number(step.counter), self.steps(step.body)]
        if isinstance(step, While):
            condition = self.steps(step.condition)
            return ["while", condition, self.number(step.predicate), self.steps(step.body)]
        if isinstance(step, If):
            return ["if", self.number(step.index), [self.steps(b) for b in step.branches]]
        assert isinstance(step, Routine)
        raise TypeError(f"the routine {step.name!r} is code of the host")
