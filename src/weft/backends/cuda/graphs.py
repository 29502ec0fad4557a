"""Programs that a device replays as one graph.

A program without decisions of the host (`While`, `If`, routines) is always the same launches for
the same addresses. When it is called with addresses for a second time, its launches are captured
into a graph, which later calls with these addresses start by one request. Others go launch by
launch: so a graph never has to be changed, and a loop that hands a few buffers around finds one for
each turn.

Temporaries of a call lie in one piece of memory, placed by when they are first and last used.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from weft.backends.cuda.memory import Block
from weft.backends.cuda.session import Session
from weft.backends.device import Memory
from weft.backends.linear_memory import LinearMemory
from weft.backends.programs import Run, SteppedProgram
from weft.core.bounded import BoundedCache
from weft.core.jaxpr import ClosedJaxpr
from weft.kernels.liveness import swap_groups
from weft.kernels.program import (
    For,
    If,
    Launch,
    Program,
    Routine,
    Slot,
    Step,
    While,
    reads_of,
    walk_steps,
    writes_of,
)

if TYPE_CHECKING:
    from weft.backends.cuda.device import Cuda

#: Graphs of one program, and addresses of calls that it remembers.
GRAPHS, CALLS = 8, 64
#: Steps beyond which a program, its loops unrolled, is no graph: it would take long to make. One
#: step alone is not faster as a graph.
MOST_STEPS = 4096
#: Every temporary starts at a multiple of this many bytes, as what the driver gives does.
ALIGNMENT = 256


class GraphedProgram(SteppedProgram):
    """A program of kernels on a CUDA device; call it with the memory of its arguments."""

    device: Cuda

    def __init__(self, closed: ClosedJaxpr, device: Cuda) -> None:
        super().__init__(closed, device)
        program = self.program
        given = {*program.inputs, *program.constants}
        self._owned = [slot for slot in dict.fromkeys(program.outputs) if slot not in given]
        self.plan = _Plan(self)
        steps = launches(program.steps)
        self._replays = steps is not None and 1 < steps <= MOST_STEPS
        self._calls: BoundedCache[bool] = BoundedCache(CALLS)
        self._graphs: BoundedCache[_Graph] = BoundedCache(GRAPHS)
        kernels = [kernel.name for kernel in self._kernels]
        self._title = f"a program of {len(kernels)} kernels ({', '.join(kernels[:3])})"

    def __call__(self, arguments: Sequence[Memory]) -> list[Memory]:
        device, plan = self.device, self.plan
        memory = dict(zip(self.program.inputs, arguments, strict=True))
        memory |= {
            slot: device.alloc(device.nbytes(slot.shape, slot.dtype)) for slot in self._owned
        }
        arena = device.alloc(plan.nbytes) if plan.nbytes else None
        run = _PlannedRun(self, memory | self._constants, arena)
        places = [*memory.values(), *([arena] if arena else [])]
        session = device.session
        with device.explained(self._title), ExitStack() as asking:
            # What the host decides may take long, and need another thread that asks for something.
            if self._replays:
                asking.enter_context(session)
                self._replay(run, tuple(place.handle.address for place in places))
            else:
                self._walk(run)
            with session:
                filled = session.events.record(session.compute)
        for slot in self._owned:
            memory[slot].handle.computed = filled
        return [run.memory[slot] for slot in self.program.outputs]

    def _replay(self, run: _PlannedRun, addresses: tuple[int, ...]) -> None:
        session = self.device.session
        for slot in (*self.program.inputs, *self.program.constants):
            session.use(run.memory[slot].handle)
        if self._calls.found(addresses) is None:
            self._walk(run)
            self._calls.get(addresses, lambda: True)
            return
        graph = self._graphs.get(addresses, lambda: self._captured(run))
        self.device.asked(self._title)
        session.driver("cuGraphLaunch", graph.handle, session.compute)

    def _captured(self, run: _PlannedRun) -> _Graph:
        session = self.device.session
        with session.capture() as capture:
            self._walk(run)
        try:
            handle = session.driver.handle("cuGraphInstantiateWithFlags", capture.graph, 0)
        finally:
            session.driver("cuGraphDestroy", capture.graph)
        return _Graph(session, handle)

    def _walk(self, run: Run) -> list[Memory]:
        assert isinstance(run, _PlannedRun)
        for n, step in enumerate(self.program.steps):
            run.scratch_at = self.plan.scratch[n]
            run.step(step)
        return []


class _Graph:
    """What the driver replays, destroyed when it is done and nobody refers to it."""

    def __init__(self, session: Session, handle: int) -> None:
        self.handle = handle
        weakref.finalize(self, session.retire, "cuGraphExecDestroy", handle).atexit = False


class _Plan:
    """Where temporaries lie: ``offsets``, and of each step at the top where its scratch does."""

    def __init__(self, program: GraphedProgram) -> None:
        steps = program.program.steps
        starting: list[list[Slot]] = [[] for _ in steps]
        ending: list[list[Slot]] = [[] for _ in steps]
        for slot, (first, last) in _lives(program.program).items():
            starting[first].append(slot)
            ending[last].append(slot)
        space = LinearMemory(0, 1 << 62)
        self.offsets: dict[Slot, int] = {}
        self.scratch: list[int] = []
        self.nbytes = 0
        for n, step in enumerate(steps):
            for slot in starting[n]:
                nbytes = program.device.nbytes(slot.shape, slot.dtype)
                self.offsets[slot] = self._take(space, nbytes)
            scratch = self._take(space, _scratch(program, step))
            self.scratch.append(scratch)
            for offset in (scratch, *(self.offsets[slot] for slot in ending[n])):
                space.give(offset)

    def _take(self, space: LinearMemory, nbytes: int) -> int:
        size = _aligned(nbytes)
        offset = space.take(size)
        assert offset is not None
        self.nbytes = max(self.nbytes, offset + size)
        return offset


def _scratch(program: GraphedProgram, step: Step) -> int:
    """Bytes of scratch for one launch after the other."""
    inside = (inner for inner in walk_steps([step]) if isinstance(inner, Launch))
    sizes = (sum(map(_aligned, program.launched(inner.kernel)[1])) for inner in inside)
    return max(sizes, default=0)


def _aligned(nbytes: int) -> int:
    return -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT


def _lives(program: Program) -> dict[Slot, tuple[int, int]]:
    """The first and last step at the top that mentions a temporary, or one swapped with it."""
    outputs = frozenset(program.outputs)
    found: dict[Slot, tuple[int, int]] = {}
    for n, step in enumerate(program.steps):
        for inner in walk_steps([step]):
            # Scratch that the CPU's plan places is not among the slots of a launch.
            mentioned = (
                inner.slots if isinstance(inner, Launch) else (*reads_of(inner), *writes_of(inner))
            )
            for slot in mentioned:
                if slot.role == "temporary" and slot not in outputs:
                    found[slot] = (found.get(slot, (n, n))[0], n)
    for group in swap_groups(program):
        lives = [found[slot] for slot in group]
        whole = min(first for first, _ in lives), max(last for _, last in lives)
        found.update(dict.fromkeys(group, whole))
    return found


def launches(steps: Sequence[Step]) -> int | None:
    """Steps with loops unrolled; None if the host decides something among them."""
    total = 0
    for step in steps:
        if isinstance(step, While | If | Routine):
            return None
        inner = launches(step.body) if isinstance(step, For) else 1
        if inner is None:
            return None
        total += step.length * (inner + 1) if isinstance(step, For) else 1
    return total


class _Part(Memory):
    """A part of other memory, which it keeps; it is not given back by itself."""

    __slots__ = ("whole",)

    def __init__(self, whole: Memory, offset: int, nbytes: int) -> None:
        self.device, self.nbytes, self.whole = whole.device, nbytes, whole
        self.handle = Block(whole.handle.address + offset)


class _PlannedRun(Run):
    """A call whose temporaries are parts of one piece of memory."""

    top: GraphedProgram

    def __init__(
        self, program: GraphedProgram, memory: dict[Slot, Memory], arena: Memory | None
    ) -> None:
        super().__init__(program, memory)
        self._arena = arena
        self.scratch_at = 0

    def place(self, slot: Slot) -> Memory:
        found = self.memory.get(slot)
        if found is None:
            assert self._arena is not None
            offset = self.top.plan.offsets[slot]
            found = self.memory[slot] = _Part(self._arena, offset, self.nbytes(slot))
        return found

    def shared_scratch(self, sizes: Sequence[int]) -> list[Memory]:
        parts: list[Memory] = []
        at = self.scratch_at
        for nbytes in sizes:
            assert self._arena is not None
            parts.append(_Part(self._arena, at, nbytes))
            at += _aligned(nbytes)
        return parts
