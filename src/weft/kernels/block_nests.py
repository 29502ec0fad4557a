"""The nests inside a blocked kernel: each is built and scheduled inside the loops over blocks.

A nest is a cone over the axes of a block whose terms also mention the positions of the blocks.  It
is scheduled as a small kernel of its own, one thread's, within those loops; its body is then taken
out of them.
"""

from __future__ import annotations

from dataclasses import replace

from weft.kernels import strategy, strategy_gpu
from weft.kernels.build import Cone, Output, build_kernel
from weft.kernels.crossing import block_crossings
from weft.kernels.ir import Buffer, Fold, For, Kernel, Stmt, walk
from weft.kernels.machine import Machine
from weft.kernels.schedule.contraction import schedule_contraction
from weft.kernels.schedule.errors import ScheduleError, refused
from weft.kernels.schedule.find import find_contractions
from weft.kernels.schedule.tree import Renaming, find_loop, without_dead_code
from weft.kernels.strategy_vectors import in_place
from weft.terms.affine import Axis
from weft.terms.term import Value

#: A loop around a nest: its axis, from, to, and step.
Around = tuple[tuple[Axis, int, int, int], ...]


class Nests:
    """The nests of one blocked kernel, which share its buffers."""

    def __init__(self, machine: Machine, vectors: bool = False) -> None:
        #: Whether an ordinary processor runs the blocks of a grid: lanes are those of its vectors.
        self.vectors = vectors and machine.processor is not None
        processor = machine.processor if vectors else None
        self.machine = processor or replace(machine, threads=1)
        self.buffers: dict[Value, Buffer] = {}
        self.own: list[Buffer] = []
        self.lanes: set[Axis] = set()
        #: What was given up in scheduling the nests.
        self.refused: list[str] = []

    def parameters(self) -> tuple[dict[Value, Buffer], dict[Value, Buffer]]:
        """Buffers of what is read only, and of outputs."""
        inputs = {v: b for v, b in self.buffers.items() if b.role == "input"}
        outputs = {v: b for v, b in self.buffers.items() if b.role == "output"}
        return inputs, outputs

    def scratch(self) -> tuple[Buffer, ...]:
        """The private blocks."""
        return (*(b for b in self.buffers.values() if b.role == "scratch"), *self.own)

    def nest(
        self, outputs: tuple[Output, ...], around: Around, in_order: bool = False
    ) -> list[Stmt]:
        """The scheduled statements that compute ``outputs`` inside the loops ``around``.

        With ``in_order``, each sum is one chain of additions in the order of its fold.

        Raises `ScheduleError` where it cannot be.
        """
        cone = Cone(outputs[0].value.name, outputs)
        kernel, values = build_kernel(cone, frozenset(axis for axis, *_ in around))
        swap = {
            buffer: self.buffer(value) for value, buffer in zip(values, kernel.params, strict=True)
        }
        body = Renaming(buffers=swap).body(kernel.body)
        for axis, lo, hi, step in reversed(around):
            body = [For(axis, lo, hi, step, body)]
        used = tuple(dict.fromkeys(swap.values()))
        kernel = Kernel(
            kernel.name,
            tuple(b for b in used if b.role != "scratch"),
            tuple(b for b in used if b.role == "scratch"),
            body,
        )
        inside = around[-1][0] if around else None
        kernel = self.scheduled(kernel, inside, in_order)
        self.own += [b for b in kernel.scratch if b not in used]
        self.lanes |= kernel.lanes
        refusals = kernel.notes.get("refused", ())
        self.refused += [note for note in refusals if note not in self.refused]
        return kernel.body if inside is None else find_loop(kernel, inside).body

    def buffer(self, value: Value) -> Buffer:
        """The one buffer of a value: an input of the kernel unless it has been declared."""
        known = self.buffers.get(value)
        if known is None:
            known = self.buffers[value] = Buffer(value.name, value.shape, value.dtype, "input")
        return known

    def declare(self, value: Value, role: str, level: str = "thread") -> None:
        """Say what a value is to the kernel before anything touches it."""
        self.buffers[value] = Buffer(value.name, value.shape, value.dtype, role, level)

    def scheduled(self, kernel: Kernel, inside: Axis | None, in_order: bool) -> Kernel:
        """Tiles and lanes for one nest."""
        if self.machine.kind == "gpu":
            return self.spread(kernel, inside, in_order)
        contractions = find_contractions(kernel, inside, mixed=True)
        if len(contractions) == 1:
            c = contractions[0]
            params = in_place(c, self.machine)
            try:
                if not in_order or params.lanes == "columns":
                    return schedule_contraction(kernel, params, c)
            except ScheduleError as why:
                kernel = refused(kernel, "contract", why)
        if in_order:
            raise ScheduleError(f"the sums of {kernel.name} cannot be added up in order")
        kernel = block_crossings(kernel, self.machine, inside)
        kernel = strategy.vectorize_nests(kernel, self.machine, inside=inside)
        return without_dead_code(strategy.short_chains(kernel))

    def spread(self, kernel: Kernel, inside: Axis | None, in_order: bool) -> Kernel:
        """Threads for one nest: what they fold by themselves is added up in order."""
        kernel = strategy_gpu.spread(kernel, strategy_gpu.Choice(self.machine.block), inside)
        folds = (s for s in walk(kernel.body) if isinstance(s, Fold))
        if in_order and any(not kernel.lanes.isdisjoint(f.over) for f in folds):
            raise ScheduleError(f"the sums of {kernel.name} cannot be added up in order")
        return without_dead_code(kernel)
