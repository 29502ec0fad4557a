"""The checker of kernels: structure, types, bounds and independence, each proven or refused.

What it promises of a kernel that passes:

- every variable is assigned once, before its uses, in a scope that reaches them;
- tile axes and dtypes follow from the operands', and no tile has two lane axes;
- every access is inside its buffer wherever its guards hold, and a store of a tile puts different
  elements in different places;
- iterations of a parallel loop touch disjoint elements of everything they write;
- what one parallel loop writes is not touched by other code before a barrier (`check_races`).

The error names the statement, in the text of the printer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from weft.core import dtypes
from weft.core.extents import is_nonnegative, surely_less
from weft.kernels.accesses import Access
from weft.kernels.ir import (
    Barrier,
    Buffer,
    Const,
    Fold,
    For,
    Guard,
    Iota,
    Kernel,
    Load,
    Map,
    Stmt,
    Store,
    Var,
    inputs_of,
    outputs_of,
)
from weft.kernels.matrix import contracted
from weft.kernels.print import Printer
from weft.kernels.races import check_races, one_to_one
from weft.kernels.ranges import access_interval, is_empty
from weft.terms import ops
from weft.terms.affine import Affine, Axis, Interval
from weft.terms.constraints import Constraints


class KernelError(ValueError):
    """A kernel is not well formed; the message shows the statement."""


def check_kernel(kernel: Kernel) -> None:
    """Raises `KernelError` naming the first statement that breaks a rule."""
    _Checker(kernel).run()


class _Checker:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.printer = Printer(kernel)
        self.defined: set[Var] = set()
        self.visible: set[Var] = set()
        self.bound: set[Axis] = set()
        self.enclosing: list[For] = []
        self.ranges: dict[Axis, Interval] = {}
        self.tile_axes: set[Axis] = set()
        #: The parallel loops (None: outside of all) that fill thread scratch, and what reads it.
        self.filled: set[tuple[Buffer, For | None]] = set()
        self.read: dict[tuple[Buffer, For | None], Stmt] = {}

    def run(self) -> None:
        self.buffers()
        self.body(self.kernel.body)
        for axis in self.bound & self.tile_axes:
            raise KernelError(
                f"kernel {self.kernel.name}: axis {axis} is both a loop and a tile axis"
            )
        for (buffer, parallel), stmt in self.read.items():
            if not {(buffer, parallel), (buffer, None)} & self.filled:
                self.fail(
                    stmt,
                    f"{buffer.name} is filled by another parallel loop only: each thread has its "
                    "own",
                )
        found = check_races(self.kernel)
        if found is not None:
            self.fail(found[0], found[1])

    def fail(self, stmt: Stmt, why: str) -> None:
        raise KernelError(
            f"{why}\n  in kernel {self.kernel.name}, at: {self.printer.statement(stmt)}"
        )

    def buffers(self) -> None:
        for b in (*self.kernel.params, *self.kernel.scratch):
            expected = ("scratch",) if b in self.kernel.scratch else ("input", "output", "inout")
            if b.role not in expected:
                raise KernelError(
                    f"kernel {self.kernel.name}: buffer {b.name} has role {b.role!r}, "
                    f"expected one of {', '.join(expected)}"
                )
            if b.level not in ("thread", "shared"):
                raise KernelError(
                    f"kernel {self.kernel.name}: buffer {b.name} has level {b.level!r}, "
                    "expected thread or shared"
                )

    # -- structure ---------------------------------------------------------------------------------

    def body(self, body: list[Stmt]) -> None:
        for stmt in body:
            for var in inputs_of(stmt):
                if var not in self.visible:
                    self.fail(stmt, f"{self.printer.var(var)} is used before it is defined")
            self.statement(stmt)
            if not isinstance(stmt, For):
                self.define(stmt, outputs_of(stmt))

    def define(self, stmt: Stmt, outs: Iterable[Var]) -> None:
        for var in outs:
            name = self.printer.var(var)
            if var in self.defined:
                self.fail(stmt, f"{name} is assigned twice")
            lanes = [a for a in var.axes if a in self.kernel.lanes]
            if len(lanes) > 1:
                self.fail(stmt, f"{name} has {len(lanes)} lane axes {lanes}; at most one may be")
            if len(set(var.axes)) != len(var.axes):
                self.fail(stmt, f"{name} has a tile axis twice: {list(var.axes)}")
            self.tile_axes.update(var.axes)
            self.defined.add(var)
            self.visible.add(var)

    def statement(self, stmt: Stmt) -> None:
        if isinstance(stmt, Map):
            self.map(stmt)
        elif isinstance(stmt, Load):
            self.axes_cover(stmt, stmt.out, self.tiles_of((*stmt.index, *_exprs(stmt.guards))))
            self.dtype_is(stmt, stmt.out, stmt.buffer.dtype)
            self.access(stmt)
        elif isinstance(stmt, Store):
            self.store(stmt)
        elif isinstance(stmt, Iota):
            self.axes_cover(stmt, stmt.out, self.tiles_of((stmt.expr,)))
        elif isinstance(stmt, Fold):
            self.fold(stmt)
        elif isinstance(stmt, For):
            self.loop(stmt)
        elif isinstance(stmt, Barrier):
            if any(loop.kind == "parallel" for loop in self.enclosing):
                self.fail(stmt, "barrier inside a parallel loop: not every thread would arrive")
        elif not isinstance(stmt, Const):
            raise KernelError(f"unknown statement {type(stmt).__name__}")

    def loop(self, stmt: For) -> None:
        if stmt.unit is not None and contracted(stmt, stmt.unit, self.kernel.lanes) is None:
            self.fail(stmt, f"{stmt.unit.name} cannot run this loop: no fold of outer products")
        if stmt.kind not in ("serial", "parallel", "unroll"):
            self.fail(stmt, f"unknown loop kind {stmt.kind!r}")
        if stmt.step <= 0 or stmt.hi < stmt.lo or (stmt.hi - stmt.lo) % stmt.step:
            self.fail(
                stmt,
                f"the range {stmt.lo}:{stmt.hi} is not a whole number of steps of {stmt.step}; "
                "put the remainder in a loop of its own",
            )
        if stmt.lo < 0 or stmt.hi > stmt.axis.extent:
            self.fail(stmt, f"the range {stmt.lo}:{stmt.hi} leaves the axis {stmt.axis}")
        if stmt.axis in self.bound:
            self.fail(stmt, f"axis {stmt.axis} belongs to another loop already")
        if stmt.where or stmt.unless:
            if stmt.kind != "serial" or stmt.carries:
                self.fail(stmt, "only serial loops that carry nothing may leave iterations out")
            around = {loop.axis for loop in self.enclosing} | {stmt.axis}
            for guard in (*stmt.where, *stmt.unless):
                if guard.expr.dynamics() or not guard.expr.axes() <= around:
                    self.fail(stmt, "guards of a loop are about its axis and those of loops around")
        if stmt.kind == "parallel" and stmt.carries:
            self.fail(stmt, "a parallel loop carries values from one iteration to the next")
        self.bound.add(stmt.axis)
        outer = set(self.visible)
        for c in stmt.carries:
            self.define(stmt, (c.var,))
        self.enclosing.append(stmt)
        self.ranges[stmt.axis] = (stmt.lo, stmt.lo + (stmt.trip - 1) * stmt.step)
        self.body(stmt.body)
        self.enclosing.pop()
        for c in stmt.carries:
            if c.update not in self.visible:
                self.fail(stmt, f"{self.printer.var(c.update)}, carried on, is not defined")
        self.visible = outer
        for c in stmt.carries:
            self.define(stmt, (c.result,))
            for other in (c.init, c.update, c.result):
                self.axes_are(stmt, other, set(c.var.axes))
                self.dtype_is(stmt, other, c.var.dtype)
        if stmt.fold is not None and len(stmt.carries) % stmt.fold.arity:
            self.fail(stmt, f"folds by {stmt.fold} carry {stmt.fold.arity} values each")

    # -- types -------------------------------------------------------------------------------------

    def tiles_of(self, exprs: Sequence[Affine]) -> set[Axis]:
        """Tile axes of index expressions: all their axes but those of enclosing loops."""
        around = {loop.axis for loop in self.enclosing}
        return {a for e in exprs for a in e.axes()} - around

    def axes_cover(self, stmt: Stmt, var: Var, needed: set[Axis]) -> None:
        """A tile may repeat along axes that the index does not mention, but not lack any."""
        if not needed <= set(var.axes):
            self.axes_are(stmt, var, needed)

    def axes_are(self, stmt: Stmt, var: Var, expected: set[Axis]) -> None:
        if set(var.axes) != expected:
            wanted = sorted(expected, key=lambda a: a.serial)
            self.fail(
                stmt,
                f"{self.printer.var(var)} has tile axes {list(var.axes)}, expected {wanted}",
            )

    def dtype_is(self, stmt: Stmt, var: Var, expected: np.dtype) -> None:
        if var.dtype != expected:
            self.fail(
                stmt,
                f"{self.printer.var(var)} is {dtypes.short_name(var.dtype)}, "
                f"expected {dtypes.short_name(expected)}",
            )

    def map(self, stmt: Map) -> None:
        axes = {a for v in stmt.args for a in v.axes}
        if stmt.op == "splat":
            if len(stmt.args) != 1:
                self.fail(stmt, f"splat takes 1 operand, got {len(stmt.args)}")
            self.dtype_is(stmt, stmt.out, stmt.args[0].dtype)
            if not axes <= set(stmt.out.axes):
                self.fail(stmt, "splat loses a tile axis of its operand")
            return
        op = ops.OPS.get(stmt.op)
        if op is None:
            self.fail(stmt, f"unknown operation {stmt.op!r}")
        elif len(stmt.args) != op.arity:
            self.fail(stmt, f"{stmt.op} takes {op.arity} operands, got {len(stmt.args)}")
        self.axes_are(stmt, stmt.out, axes)
        given = tuple(v.dtype for v in stmt.args)
        self.dtype_is(stmt, stmt.out, ops.result_dtype(stmt.op, given, stmt.out.dtype))
        same = ops.alike(stmt.op, given)
        if len(set(same)) > 1:
            names = ", ".join(dtypes.short_name(t) for t in given)
            self.fail(stmt, f"operands of {stmt.op} have different dtypes: {names}")

    def fold(self, stmt: Fold) -> None:
        arity = stmt.monoid.arity
        if len(stmt.args) != arity or len(stmt.outs) != arity:
            self.fail(stmt, f"a fold by {stmt.monoid} takes and gives {arity} values")
        axes = {a for v in stmt.args for a in v.axes}
        missing = set(stmt.over) - axes
        if missing:
            names = sorted(missing, key=lambda a: a.serial)
            self.fail(stmt, f"folded axes {names} are no tile axes of the operands")
        for out, arg in zip(stmt.outs, stmt.args, strict=True):
            self.axes_are(stmt, out, axes - set(stmt.over))
            self.dtype_is(stmt, out, arg.dtype)

    # -- accesses ----------------------------------------------------------------------------------

    def store(self, stmt: Store) -> None:
        if stmt.buffer.role == "input":
            self.fail(stmt, f"store to {stmt.buffer.name}, which is read only")
        self.dtype_is(stmt, stmt.value, stmt.buffer.dtype)
        tiles = self.tiles_of(stmt.index)
        read = set(stmt.value.axes) | self.tiles_of(tuple(_exprs(stmt.guards)))
        if stmt.predicate is not None:
            self.dtype_is(stmt, stmt.predicate, np.dtype(np.bool_))
            read |= set(stmt.predicate.axes)
        if read - tiles:
            lost = sorted(read - tiles, key=lambda a: a.serial)
            self.fail(stmt, f"several elements go to one place: the index lacks tile axes {lost}")
        self.access(stmt)
        if not self.never_runs(stmt) and not one_to_one(Access(stmt, tuple(self.enclosing)), tiles):
            self.fail(stmt, f"several elements of the tile may go to one place of {stmt.buffer}")

    def access(self, stmt: Load | Store) -> None:
        if stmt.buffer.role == "scratch" and stmt.buffer.level == "thread":
            use = (stmt.buffer, next((x for x in self.enclosing if x.kind == "parallel"), None))
            if isinstance(stmt, Store):
                self.filled.add(use)
            else:
                self.read.setdefault(use, stmt)
        buffer, index = stmt.buffer, stmt.index
        if buffer not in self.kernel.params and buffer not in self.kernel.scratch:
            self.fail(stmt, f"buffer {buffer.name} is not one of the kernel's")
        if len(index) != len(buffer.shape):
            self.fail(stmt, f"{len(index)} indices for {buffer.name}{list(buffer.shape)}")
        if self.never_runs(stmt):
            return
        guards = Access(stmt, tuple(self.enclosing)).guards
        intervals = [access_interval(expr, guards, self.ranges) for expr in index]
        if any(is_empty(i) for i in intervals):
            return
        for d, ((lo, hi), size) in enumerate(zip(intervals, buffer.shape, strict=True)):
            below = not is_nonnegative(lo) and not self.excluded(stmt, index[d], lo, 0)
            above = not surely_less(hi, size) and not self.excluded(stmt, index[d], size, hi + 1)
            if below or above:
                first = lo if below else 0
                last = hi if above else size - 1
                self.fail(
                    stmt,
                    f"index {self.printer.affine(index[d])} of dimension {d} of {buffer.name}"
                    f"{list(buffer.shape)} may reach {first}..{last}",
                )

    def excluded(self, stmt: Load | Store, expr: Affine, lo: int, hi: int) -> bool:
        """Whether ``lo <= expr < hi`` at no point at which the access happens."""
        c = Constraints()
        at = Access(stmt, tuple(self.enclosing)).happens(c)
        c.within(at(expr), lo, hi)
        return c.impossible()

    def never_runs(self, stmt: Load | Store) -> bool:
        empty = any(a.extent == 0 for a in self.tiles_of(stmt.index))
        return empty or any(loop.trip == 0 for loop in self.enclosing)


def _exprs(guards: Iterable[Guard]) -> list[Affine]:
    return [g.expr for g in guards]
