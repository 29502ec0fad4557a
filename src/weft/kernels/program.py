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

from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from typing import Any

import numpy as np

from weft.core.extents import Extent, Size
from weft.kernels.ir import Buffer, Kernel
from weft.structs import struct

#: Bytes of private scratch that a thread keeps on its stack; what is beyond lies in the arena.
STACK_SCRATCH = 1 << 17
#: Bytes between what different threads write: a cache line.
LINE = 64


@struct(eq=False)
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


@struct(eq=False)
class Launch:
    """Run ``kernel`` on ``slots`` (one per parameter, in order).

    ``scratch`` has a temporary for each buffer of `placed_scratch(kernel)`, in order; the memory
    plan makes them.
    """

    kernel: Kernel
    slots: tuple[Slot, ...]
    source: Any = None
    scratch: tuple[Slot, ...] = ()


def placed_scratch(kernel: Kernel) -> tuple[Buffer, ...]:
    """Scratch that has a place in the arena: what threads share, and what no stack has room for.

    Private scratch is placed from the first buffer on that takes a thread beyond `STACK_SCRATCH`.
    """
    placed: list[Buffer] = []
    on_stack = 0
    for buffer in kernel.scratch:
        nbytes = buffer.extent * buffer.dtype.itemsize
        if (
            buffer.level == "shared"
            or isinstance(nbytes, Extent)
            or on_stack + nbytes > STACK_SCRATCH
        ):
            placed.append(buffer)
        else:
            on_stack += nbytes
    return tuple(placed)


def elements_per_thread(buffer: Buffer) -> int:
    """Distance between the copies of two threads of a private buffer, in elements."""
    line = max(1, LINE // buffer.dtype.itemsize)
    return -(-buffer.extent // line) * line


@struct(eq=False)
class Copy:
    """``target = source``, whole arrays of one shape and dtype."""

    target: Slot
    source: Slot


@struct(eq=False)
class Swap:
    """Exchange the memory that two temporaries name."""

    a: Slot
    b: Slot


@struct(eq=False)
class For:
    """Run ``body`` ``length`` times; ``counter``, a scalar int32 slot, is 0, 1, … meanwhile."""

    length: int
    counter: Slot
    body: list[Step]


@struct(eq=False)
class While:
    """Run ``condition`` (it writes the scalar bool ``predicate``), then ``body`` while true."""

    condition: list[Step]
    predicate: Slot
    body: list[Step]


@struct(eq=False)
class If:
    """Run ``branches[clamp(index)]``; ``index`` is a scalar int32 slot."""

    index: Slot
    branches: tuple[list[Step], ...]


@struct(eq=False)
class Routine:
    """Library code or a host callback: it gets arrays for ``inputs`` and fills ``outputs``.

    ``function(*inputs, **params)`` returns the outputs; without one, whoever runs the program must
    know the routine by its ``name``.
    """

    name: str
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    params: dict[str, Any] = field(default_factory=dict)
    function: Callable[..., Sequence[Any]] | None = None


Step = Launch | Copy | Swap | For | While | If | Routine


def blocks_of(step: Step) -> tuple[list[Step], ...]:
    """The lists of steps inside ``step``, in the order they run."""
    if isinstance(step, For):
        return (step.body,)
    if isinstance(step, While):
        return (step.condition, step.body)
    if isinstance(step, If):
        return step.branches
    return ()


def walk_steps(steps: list[Step]) -> Iterator[Step]:
    """Every step, outer before inner, in order."""
    stack = [iter(steps)]
    while stack:
        for step in stack[-1]:
            yield step
            blocks = blocks_of(step)
            if blocks:
                stack.extend(iter(b) for b in reversed(blocks))
                break
        else:
            stack.pop()


def reads_of(step: Step) -> tuple[Slot, ...]:
    """Slots whose contents ``step`` itself needs (not the steps inside it)."""
    if isinstance(step, Launch):
        pairs = zip(step.kernel.params, step.slots, strict=True)
        return tuple(s for b, s in pairs if b.role != "output")
    if isinstance(step, Copy):
        return (step.source,)
    if isinstance(step, Swap):
        return (step.a, step.b)
    if isinstance(step, While):
        return (step.predicate,)
    if isinstance(step, If):
        return (step.index,)
    if isinstance(step, Routine):
        return step.inputs
    return ()


def writes_of(step: Step) -> tuple[Slot, ...]:
    """Slots that ``step`` itself changes (not the steps inside it)."""
    if isinstance(step, Launch):
        pairs = zip(step.kernel.params, step.slots, strict=True)
        return (*(s for b, s in pairs if b.role != "input"), *step.scratch)
    if isinstance(step, Copy):
        return (step.target,)
    if isinstance(step, Swap):
        return (step.a, step.b)
    if isinstance(step, For):
        return (step.counter,)
    if isinstance(step, Routine):
        return step.outputs
    return ()


@struct(eq=False)
class Program:
    """Everything one call executes.  ``outputs`` may repeat inputs or constants (then copied).

    At most ``threads`` threads run a launch that has private scratch in the arena.  A program for a
    class of shapes has ``sizes``, which every call brings along.
    """

    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    constants: tuple[Slot, ...]
    temporaries: tuple[Slot, ...]
    steps: list[Step]
    arena_bytes: int = 0
    threads: int = 1
    sizes: tuple[Size, ...] = ()
