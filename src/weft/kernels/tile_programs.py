"""From a user's kernel to loops and tiles: its grid and loops stay, what is in them becomes nests.

Loops stay as the user wrote them. What is computed between them becomes a nest for each tile that
is kept (`weft.kernels.tile_uses`) and for each write, scheduled for the machine like the nests of
blocked kernels: vectors and register tiles on a CPU, the threads of a block on a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from weft.kernels import ir
from weft.kernels.block_nests import Around, Nests
from weft.kernels.build import Output
from weft.kernels.machine import Machine
from weft.kernels.tile_uses import kept
from weft.terms.affine import Affine, Axis
from weft.terms.region import Def
from weft.terms.tensor import new_axes, points
from weft.terms.term import Load, Term, Value, bound_axes, postorder, rename_bound, substitute
from weft.terms.tiles import Item, Loop, TileProgram, Write


def build_tile_kernel(
    program: TileProgram, machine: Machine
) -> tuple[ir.Kernel, tuple[Value, ...]]:
    """The scheduled kernel of ``program``, and the values of its parameters (inputs, outputs)."""
    return _Builder(program, machine).build()


class _Builder:
    def __init__(self, program: TileProgram, machine: Machine) -> None:
        self.program = program
        self.nests = Nests(machine, vectors=True)
        #: A machine with one thread has no parallel loops.
        self.kind = "parallel" if machine.kind == "gpu" or machine.threads > 1 else "serial"
        #: Blocks of memory that programs of the grid have, whichever runs, and those still free.
        self.blocks: list[ir.Buffer] = []
        self.free: list[ir.Buffer] = []

    def build(self) -> tuple[ir.Kernel, tuple[Value, ...]]:
        program = self.program
        for value in program.outputs:
            self.nests.declare(value, "output")
        body = self.grid(program.items, (), ())
        inputs, outputs = self.nests.parameters()
        kernel = ir.Kernel(
            program.name,
            (*inputs.values(), *outputs.values()),
            (*self.blocks, *self.nests.own),
            body,
            frozenset(self.nests.lanes),
            {"refused": tuple(self.nests.refused)} if self.nests.refused else {},
            self.nests.vectors,
        )
        return kernel, (*inputs, *outputs)

    def grid(
        self, items: Sequence[Item], before: tuple[Def, ...], around: tuple[Loop, ...]
    ) -> list[ir.Stmt]:
        """Parallel loops over programs; what stands ``before`` them is computed in each."""
        loops = [i for i in items if isinstance(i, Loop) and i.kind == "parallel"]
        if not loops:
            self.free = list(self.blocks)
            return _Program(self, [*before, *items], around).statements()
        before += tuple(i for i in items if isinstance(i, Def))
        body: list[ir.Stmt] = []
        for loop in loops:
            if loop.lo < loop.hi:
                inner = self.grid(loop.items, before, (*around, loop))
                body.append(ir.For(loop.axis, loop.lo, loop.hi, loop.step, inner, self.kind))
        return body

    def declare(self, value: Value) -> None:
        """A private block for a tile: one that another kind of program has, if it fits in."""
        for block in self.free:
            fits = len(block.shape) == len(value.shape) and block.dtype == value.dtype
            if fits and all(n <= m for n, m in zip(value.shape, block.shape, strict=True)):
                self.free.remove(block)
                break
        else:
            block = ir.Buffer(value.name, value.shape, value.dtype, "scratch")
            self.blocks.append(block)
        self.nests.buffers[value] = block


class _Program:
    """One program of the grid: everything inside the loops ``around`` it."""

    def __init__(self, builder: _Builder, items: list[Item], around: tuple[Loop, ...]) -> None:
        self.builder = builder
        self.items = items
        self.around = around
        self.kept = kept(builder.program, items)
        #: Definitions that are computed where they are used.
        self.open: dict[Value, Def] = {}

    def statements(self) -> list[ir.Stmt]:
        written = dict.fromkeys(_written(self.items))
        for value in self.builder.program.locals:
            if value in written:
                self.builder.declare(value)
        around = tuple((x.axis, x.lo, x.hi, x.step) for x in self.around)
        return self.block(self.items, around)

    def block(self, items: Sequence[Item], around: Around) -> list[ir.Stmt]:
        body: list[ir.Stmt] = []
        for item in items:
            if isinstance(item, Loop):
                if item.lo < item.hi:
                    own = (item.axis, item.lo, item.hi, item.step)
                    inner = self.block(item.items, (*around, own))
                    body.append(ir.For(*own, inner, "serial"))
            elif isinstance(item, Write):
                body += self.write(item, around)
            elif item.value in self.kept:
                self.builder.declare(item.value)
                body += self.nest(item.value, points(item.axes), item.axes, item.term, around)
            else:
                self.open[item.value] = item
        return body

    def write(self, write: Write, around: Around) -> list[ir.Stmt]:
        term = self.expanded(write.term)
        own = (t for t in postorder(term) if isinstance(t, Load) and t.value is write.value)
        if all(t.index == write.index for t in own):
            return self.nest(write.value, write.index, write.axes, term, around)
        # It reads other elements than the one it writes: all of them before the first is written.
        shape = tuple(a.extent for a in write.axes)
        before = Value(f"{write.value.name}_new", shape, write.value.dtype)
        self.builder.declare(before)
        at = points(write.axes)
        body = self.nest(before, at, write.axes, term, around)
        axes = new_axes(shape)
        there = tuple(
            i.substitute(dict(zip(write.axes, points(axes), strict=True))) for i in write.index
        )
        return body + self.nest(write.value, there, axes, Load(before, points(axes)), around)

    def nest(
        self,
        value: Value,
        index: tuple[Affine, ...],
        axes: tuple[Axis, ...],
        term: Term,
        around: Around,
    ) -> list[ir.Stmt]:
        if not prod(a.extent for a in axes):
            return []
        loops = tuple(a for a in axes if a.extent > 1)
        output = Output(value, loops, index, self.expanded(term))
        return self.builder.nests.nest((output,), around)

    def expanded(self, term: Term) -> Term:
        """``term`` over what lies in memory."""

        def load(t: Load) -> Term:
            step = self.open.get(t.value)
            if step is None:
                return t
            inner = self.expanded(step.term)
            inner = rename_bound(inner, bound_axes(inner))
            return substitute(inner, dict(zip(step.axes, t.index, strict=True)))

        if self.open.keys().isdisjoint(term.loads):
            return term
        return substitute(term, {}, load)


def _written(items: Sequence[Item]) -> list[Value]:
    found: list[Value] = []
    for item in items:
        if isinstance(item, Loop):
            found += _written(item.items)
        elif isinstance(item, Write):
            found.append(item.value)
    return found
