"""Programs: launches of kernels and the control flow between them, over named buffers.

A program is what one call executes: on the CPU it becomes one native function, elsewhere a command
list.  Storage is by *slot*: an input, an output, a constant, or a temporary that the memory plan
places in the arena::

    step ::= Launch(kernel, slots)          slots bound to the kernel's parameters
           | Copy(target, source)           nothing if both are the same memory at run time
           | Swap(a, b)                     exchange the memory of two temporaries (loop carries)
           | For(length, counter, body)     counter: a scalar int32 slot, set before each iteration
           | While(condition, predicate, body)
           | If(index, branches)
           | Routine(name, slots, params)   library code and callbacks
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from weft.kernels.ir import Kernel


@dataclass(eq=False)
class Slot:
    """A piece of memory: ``role`` is ``input``, ``output``, ``constant`` or ``temporary``.

    ``offset`` is the byte offset of a temporary in the arena, set by the memory plan; ``data``
    holds a constant's array.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    role: str = "temporary"
    offset: int | None = None
    data: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        n = self.dtype.itemsize
        for d in self.shape:
            n *= d
        return n

    def __repr__(self) -> str:
        return self.name


@dataclass(eq=False)
class Launch:
    """Run ``kernel`` on ``slots`` (one per parameter, in order)."""

    kernel: Kernel
    slots: tuple[Slot, ...]
    source: Any = None


@dataclass(eq=False)
class Copy:
    target: Slot
    source: Slot


@dataclass(eq=False)
class Swap:
    a: Slot
    b: Slot


@dataclass(eq=False)
class For:
    length: int
    counter: Slot
    body: list[Step]


@dataclass(eq=False)
class While:
    """Run ``condition`` (it writes the scalar bool ``predicate``), then ``body`` while true."""

    condition: list[Step]
    predicate: Slot
    body: list[Step]


@dataclass(eq=False)
class If:
    """Run ``branches[clamp(index)]``; ``index`` is a scalar int32 slot."""

    index: Slot
    branches: tuple[list[Step], ...]


@dataclass(eq=False)
class Routine:
    """Library code or a host callback: it gets arrays for ``inputs`` and fills ``outputs``."""

    name: str
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    params: dict[str, Any] = field(default_factory=dict)


Step = Launch | Copy | Swap | For | While | If | Routine


@dataclass(eq=False)
class Program:
    """Everything one call executes.  ``outputs`` may repeat inputs or constants (then copied)."""

    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    constants: tuple[Slot, ...]
    temporaries: tuple[Slot, ...]
    steps: list[Step]
    arena_bytes: int = 0
    notes: dict[str, Any] = field(default_factory=dict)
