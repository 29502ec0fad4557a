"""Barriers inside a block: enough of them, by brute force, and none that is not needed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from tests.codegen.gpu_programs import (
    F32,
    arg_of_largest,
    kernel_cases,
    launches,
    plan_for_gpu,
    reverse_through_scratch,
)
from tests.levels import programs as random_programs
from weft.codegen.block_sync import SyncPoints, space_of, sync_points
from weft.kernels.grid import block_size
from weft.kernels.ir import Buffer, Fold, For, Kernel, Load, Stmt, Store, Var
from weft.terms.affine import Affine, Axis

Touched = dict[tuple[Buffer, int], set[tuple[int, bool]]]


class Races:
    """Runs the accesses of a block, lane by lane, and collects those that meet unordered."""

    def __init__(self, kernel: Kernel, points: SyncPoints) -> None:
        self.kernel, self.points = kernel, points
        self.block = block_size(kernel)
        self.at: dict[Axis, int] = {}
        self.touched: Touched = {}
        self.found: list[str] = []

    def body(self, body: Iterable[Stmt]) -> None:
        for stmt in body:
            if isinstance(stmt, For):
                for position in range(stmt.lo, stmt.hi, stmt.step):
                    self.at[stmt.axis] = position
                    self.body(stmt.body)
                self.at.pop(stmt.axis, None)
            elif isinstance(stmt, Fold) and not self.kernel.lanes.isdisjoint(stmt.over):
                self.meet({"shared"})
            elif isinstance(stmt, Load | Store) and stmt.buffer.role != "input":
                self.meet(self.points.get(id(stmt), frozenset()))
                self.access(stmt)

    def meet(self, spaces: Iterable[str]) -> None:
        if spaces:  # or nobody waits
            for key in [k for k in self.touched if space_of(k[0]) in spaces]:
                del self.touched[key]

    def access(self, stmt: Load | Store) -> None:
        writes = isinstance(stmt, Store)
        linear = Affine()
        for i, s in zip(stmt.index, stmt.buffer.element_strides, strict=True):
            linear = linear + i * s
        tiles = [a for a in linear.axes() if a not in self.at]
        lane = next((a for a in tiles if a in self.kernel.lanes), None)
        rest = [a for a in tiles if a is not lane]
        if lane is not None:
            threads = range(lane.extent)
        else:  # the same in every thread: all load it, the first stores it
            threads = range(1 if writes else self.block)
        numbers = np.arange(len(threads))
        for position in np.ndindex(*(a.extent for a in rest)):
            where: dict[Axis, Any] = {**self.at, **dict(zip(rest, position, strict=True))}
            if lane is not None:
                where[lane] = numbers  # all at once
            elements = np.broadcast_to(linear.evaluate(where), numbers.shape)
            for thread, element in zip(threads, elements.tolist(), strict=True):
                self.touch(stmt, element, thread, writes)

    def touch(self, stmt: Load | Store, element: int, thread: int, writes: bool) -> None:
        others = self.touched.setdefault((stmt.buffer, element), set())
        if any(t != thread and (w or writes) for t, w in others):
            self.found.append(f"{stmt.buffer.name}[{element}]")
        others.add((thread, writes))


def races(kernel: Kernel, points: SyncPoints) -> list[str]:
    """Elements that two threads of a block touch between barriers, one of them writing."""
    check = Races(kernel, points)
    check.body(kernel.body)
    return check.found


@settings(max_examples=40)
@given(random_programs.programs)
def test_no_races_in_random_programs(program: random_programs.Program) -> None:
    for step in launches(plan_for_gpu(program, random_programs.inputs_of(program))):
        assert races(step.kernel, sync_points(step.kernel)) == []


@pytest.mark.parametrize("kernel", [k for k, _ in kernel_cases()], ids=lambda k: k.name)
def test_no_races_in_kernels(kernel: Kernel) -> None:
    assert races(kernel, sync_points(kernel)) == []


def test_the_brute_force_check_finds_missing_barriers() -> None:
    kernel = reverse_through_scratch()
    assert "row[0]" in races(kernel, {})
    assert races(arg_of_largest(), {}) == []  # the fold has its own


def through_scratch(n: int, block: int, shift: int) -> Kernel:
    """Stores a row in strips, then loads it, shifted, in strips."""
    i, j = Axis("i", n), Axis("j", n)
    t, v = Axis("t", block), Axis("v", block)
    x, y = Buffer("x", (n + shift,), F32), Buffer("y", (n,), F32, "output")
    row = Buffer("row", (n + shift,), F32, "scratch")
    a, b = Var(F32, (t,)), Var(F32, (v,))
    here, there = (i.expr + t.expr,), (j.expr + v.expr + shift,)
    body: list[Stmt] = [
        For(i, 0, n, block, [Load(a, x, here), Store(row, here, a)]),
        For(j, 0, n, block, [Load(b, row, there), Store(y, (j.expr + v.expr,), b)]),
    ]
    return Kernel("row", (x, y), (row,), body, frozenset({t, v}))


def test_strips_of_one_width_keep_elements_with_their_threads() -> None:
    assert sync_points(through_scratch(96, 32, 0)) == {}
    kernel = through_scratch(96, 32, 1)
    points = sync_points(kernel)
    assert len(points) == 1 and "shared" in next(iter(points.values()))
    assert races(kernel, {}) and races(kernel, points) == []
