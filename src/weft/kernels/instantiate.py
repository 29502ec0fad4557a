"""Kernels and programs for a class of shapes, at one shape: numbers in place of extents.

What `weft.kernels.interpret` and the checkers say of the result they say of the original at these
sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from weft.core.extents import Size, extent_at
from weft.kernels.ir import Buffer, For, Kernel
from weft.kernels.program import Copy, Launch, Program, Slot, Step
from weft.kernels.schedule.tree import Renaming
from weft.terms.affine import Affine, Axis, Dynamic, FloorDiv

Values = Mapping[Size, int]


def instantiate_kernel(kernel: Kernel, values: Values) -> Kernel:
    """``kernel`` for arrays of these sizes."""
    buffers = {b: _buffer(b, values) for b in (*kernel.params, *kernel.scratch)}
    renaming = _Numbers(values, buffers)
    return kernel.evolve(
        params=tuple(buffers[b] for b in kernel.params),
        scratch=tuple(buffers[b] for b in kernel.scratch),
        body=renaming.body(kernel.body),
    )


def _buffer(buffer: Buffer, values: Values) -> Buffer:
    shape = tuple(extent_at(d, values) for d in buffer.shape)
    strides = buffer.strides and tuple(extent_at(s, values) for s in buffer.strides)
    return replace(buffer, shape=shape, strides=strides)


class _Numbers(Renaming):
    """A copy of statements with the values of extents."""

    def __init__(self, values: Values, buffers: dict[Buffer, Buffer]) -> None:
        super().__init__(buffers=buffers)
        self.values = values

    def number(self, extent: Any) -> int:
        return extent_at(extent, self.values)

    def index(self, expr: Affine) -> Affine:
        total = Affine((), self.number(expr.const))
        for atom, k in expr.terms:
            total = total + self._atom(atom) * self.number(k)
        return total

    def _atom(self, atom: Axis | FloorDiv | Dynamic) -> Affine:
        if isinstance(atom, Axis):
            return self.axes.get(atom, Affine.of(atom))
        if isinstance(atom, FloorDiv):
            return Affine(((FloorDiv(self.index(atom.numerator), self.number(atom.divisor)), 1),))
        moved = Dynamic(self.var(atom.source), self.number(atom.lo), self.number(atom.hi))
        return Affine.of(moved)

    def guards(self, guards: Any) -> Any:
        return tuple(
            replace(g, expr=self.index(g.expr), lo=self.number(g.lo), hi=self.number(g.hi))
            for g in guards
        )

    def loop(self, s: For) -> For:
        axis = Axis(s.axis.name, self.number(s.axis.extent))
        self.axes[s.axis] = Affine.of(axis)
        moved = super().loop(s)
        return replace(moved, axis=axis, lo=self.number(s.lo), hi=self.number(s.hi))


def instantiate_program(program: Program, values: Values) -> Program:
    """``program`` for arrays of these sizes; it consists of launches and copies."""
    slots: dict[Slot, Slot] = {}
    kernels: dict[Kernel, Kernel] = {}

    def slot(old: Slot) -> Slot:
        if old not in slots:
            shape = tuple(extent_at(d, values) for d in old.shape)
            offset = None if old.offset is None else extent_at(old.offset, values)
            slots[old] = replace(old, shape=shape, offset=offset)
        return slots[old]

    def step(old: Step) -> Step:
        if isinstance(old, Copy):
            return Copy(slot(old.target), slot(old.source))
        if not isinstance(old, Launch):
            raise TypeError(f"a program for a class of shapes has a {type(old).__name__}")
        if old.kernel not in kernels:
            kernels[old.kernel] = instantiate_kernel(old.kernel, values)
        bound, scratch = tuple(map(slot, old.slots)), tuple(map(slot, old.scratch))
        return replace(old, kernel=kernels[old.kernel], slots=bound, scratch=scratch)

    return Program(
        tuple(map(slot, program.inputs)),
        tuple(map(slot, program.outputs)),
        tuple(map(slot, program.constants)),
        tuple(map(slot, program.temporaries)),
        [step(s) for s in program.steps],
        extent_at(program.arena_bytes, values),
        program.threads,
    )
