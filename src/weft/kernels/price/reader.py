"""Reading a kernel into its outline: register operations by unit, latencies, live registers.

Latency is followed along definitions: from the start of a body (``depth``) and from the carries
of its loop (the recurrence).  Registers are counted where statements stand; scalars that are
loaded and used in vectors are broadcast by the instruction that uses them and need no register.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate
from math import log2
from typing import Any, ClassVar

import numpy as np

from weft.kernels import ir
from weft.kernels.ir import Const, Fold, For, Guard, Iota, Kernel, Load, Map, Stmt, Store, Var
from weft.kernels.machine import Machine
from weft.kernels.price.op_costs import INTEGER_DIVISION, OpCost, combine_cost, op_cost
from weft.kernels.price.outline import (
    Access,
    Block,
    Nest,
    Registers,
    TileShapes,
    access_of,
    group,
    store_axes,
)
from weft.kernels.price.warps import is_divided, turns
from weft.kernels.ranges import taken
from weft.terms.affine import Axis, Dynamic, FloorDiv
from weft.terms.dots import MatrixUnit
from weft.terms.ops import ACCUMULATING

#: Operations that move or choose values: no floating-point operation in the usual count.
_MOVES = frozenset(("splat", "cast", "bitcast", "select", "neg", "abs"))

#: Lanes at most this many elements apart are picked out of contiguous vectors.
_THIN = 8

#: The step of lanes that are not evenly spaced.
_IRREGULAR = 1 << 30

_ROOT = Axis("kernel", 1)


def read(kernel: Kernel, machine: Machine) -> Nest:
    """The outline of ``kernel``: a loop of one iteration around its body."""
    reader = _Reader(kernel, machine)
    root = Nest(_ROOT, 0, 1, 1, False)
    reader.body(kernel.body, root, ())
    return root


class _Reader:
    """The walk; ``steps`` are those of the loops around, ``varying`` what moves with a loop."""

    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        self.machine = machine
        self.lanes = kernel.lanes
        self.core = machine.core
        self.shapes = TileShapes(kernel, machine.vector_bytes)
        self.steps: dict[Axis, int] = {}
        self.around: list[For] = []
        self.shared_already: list[bool] = []
        self.affine = not any(
            isinstance(a, Dynamic | FloorDiv)
            for s in ir.walk(kernel.body)
            if isinstance(s, Load | Store)
            for e in s.index
            for a, _ in e.terms
        )
        self.varying = {} if self.affine else _varying(kernel)

    def body(self, body: list[Stmt], nest: Nest, carries: tuple[ir.Carry, ...]) -> set[Var]:
        """Read the statements of a loop; returns the outer variables that they use."""
        scope = _Scope(self, carries)
        for stmt in body:
            if isinstance(stmt, For):
                scope.close(nest)
                child = Nest(
                    stmt.axis,
                    stmt.lo,
                    stmt.step,
                    taken(stmt, self.around) if stmt.where or stmt.unless else stmt.trip,
                    self.shared(stmt),
                    unrolled=stmt.kind == "unroll",
                    carries=len(stmt.carries),
                    plain=self.affine,
                    varying=self.varying.get(stmt.axis, frozenset()),
                )
                nest.children.append(child)
                self.steps[stmt.axis] = stmt.step
                self.around.append(stmt)
                self.shared_already.append(child.parallel)
                outer = self.body(stmt.body, child, stmt.carries)
                if stmt.unit is not None:
                    on_unit(child, stmt, stmt.unit, self.lanes)
                self.around.pop()
                self.shared_already.pop()
                del self.steps[stmt.axis]
                scope.loop(stmt, outer)
            else:
                scope.statement(stmt)
        scope.close(nest)
        return scope.finish(nest)

    def shared(self, loop: For) -> bool:
        """Whether threads share the iterations of a loop; of nested parallel ones only one's.

        A grid of blocks has all of them.
        """
        if self.machine.kind == "gpu":
            return loop.kind == "parallel"
        if loop.kind != "parallel" or any(self.shared_already):
            return False
        inner = any(isinstance(s, For) and s.kind == "parallel" for s in loop.body)
        return not inner or loop.trip >= self.machine.threads

    def hardware(self, var: Var, shape: Registers) -> int:
        """Machine registers of a tile (masks and integer scalars live elsewhere)."""
        kind = var.dtype.kind
        if kind == "b" or (shape.width == 1 and kind != "f"):
            return 0
        return shape.count * max(1, shape.width * var.dtype.itemsize // self.machine.vector_bytes)


def on_unit(nest: Nest, loop: For, unit: MatrixUnit, lanes: frozenset[Axis]) -> None:
    """Price the block of a loop as that of a matrix unit: per word of the fold, whole matrices.

    Loading a matrix takes a line for each of its rows, two of them per cycle.
    """
    rows, columns = sorted(loop.carries[0].var.axes, key=lanes.__contains__)
    tall, wide = -(-rows.extent // unit.rows), -(-columns.extent // unit.columns)
    steps = -(-loop.trip // unit.terms) / max(1, loop.trip)
    nest.recurrence = 0.0
    for block in nest.children:
        assert isinstance(block, Block)  # such a loop has no other inside
        block.product = tall * wide * unit.cycles * steps
        block.sum = block.other = block.shuffle = block.depth = 0.0
        block.load = (tall * unit.rows + wide * unit.terms) / 2 * steps
        block.issued = (tall * wide + tall + wide) * steps
        block.live = 0


class _Scope:
    """One loop body being read: the open block, latencies and lifetimes of its variables."""

    def __init__(self, reader: _Reader, carries: tuple[ir.Carry, ...]) -> None:
        self.reader = reader
        self.core = reader.core
        self.shapes = reader.shapes
        self.carries = carries
        self.block: Block | None = None
        self.pending: list[Access] = []
        self.spans: list[tuple[Block, int, int]] = []
        self.first = 0
        self.place = 0
        self.depth: dict[Var, float] = {}
        self.recurrence: dict[Var, float] = {c.var: 0.0 for c in carries}
        self.made: dict[Var, Stmt | None] = {c.var: None for c in carries}
        self.born: dict[Var, int] = {c.var: 0 for c in carries}
        self.last: dict[Var, int] = {}
        self.uses: dict[Var, int] = {}
        self.matched: set[Var] = set()
        self.outer: set[Var] = set()

    # -- structure ---------------------------------------------------------------------------------

    def statement(self, stmt: Stmt) -> None:
        if self.block is None:
            self.block = Block()
            self.first = self.place
        self.use(ir.inputs_of(stmt))
        latency = self._COSTS[type(stmt)](self, stmt)
        self.define(stmt, latency)
        self.place += 1

    def loop(self, stmt: For, outer: set[Var]) -> None:
        self.use(outer)
        self.use(c.init for c in stmt.carries)
        for carry in stmt.carries:
            self.made[carry.result] = stmt
            self.born[carry.result] = self.place
            self.depth[carry.result] = 0.0
        self.place += 1

    def use(self, variables: Iterable[Var]) -> None:
        for var in variables:
            if var in self.made:
                self.uses[var] = self.uses.get(var, 0) + 1
                self.last[var] = self.place
            else:
                self.outer.add(var)

    def define(self, stmt: Stmt, latency: float) -> None:
        depth, recurrence = latency, -1.0
        for var in ir.inputs_of(stmt):
            depth = max(depth, self.depth.get(var, 0.0) + latency)
            if var in self.recurrence:
                recurrence = max(recurrence, self.recurrence[var] + latency)
        assert self.block is not None
        self.block.depth = max(self.block.depth, depth)
        for out in ir.outputs_of(stmt):
            self.made[out] = stmt
            self.born[out] = self.place
            self.depth[out] = depth
            if recurrence >= 0:
                self.recurrence[out] = recurrence

    def close(self, nest: Nest) -> None:
        """End the open block."""
        if self.block is None:
            return
        if not self.block.issued and not self.block.barriers:  # constants cost nothing
            self.block = None
            return
        self.block.accesses = group(self.pending)
        self.pending = []
        nest.children.append(self.block)
        self.spans.append((self.block, self.first, self.place))
        self.block = None

    def finish(self, nest: Nest) -> set[Var]:
        """Live registers and the recurrence; returns the outer variables used."""
        for carry in self.carries:
            if carry.update in self.made:
                self.last[carry.update] = self.place
            nest.recurrence = max(nest.recurrence, self.recurrence.get(carry.update, 0.0))
        change = [0] * (self.place + 2)
        rounds = self._rounds()
        for var, place in self.last.items():
            made = self.made[var]
            if isinstance(made, Const) or self._folded(made):
                continue
            count = self.reader.hardware(var, self.shapes.of(var.axes))
            if count % rounds == 0:
                count //= rounds
            change[self.born[var]] += count
            change[place] -= count
        levels = list(accumulate(change))
        constant = sum(self.reader.hardware(v, self.shapes.of(v.axes)) for v in self.outer)
        for block, start, end in self.spans:
            block.live = constant + max(levels[start : end + 1])
        return self.outer

    def _rounds(self) -> int:
        """How many registers of a tile are computed one after another.

        Where nothing is carried or folded they do not need each other, and the compiler orders
        them so that few values are alive.
        """
        made = self.made.values()
        if self.carries or any(isinstance(m, Fold | For) for m in made):
            return 1
        counts = (self.shapes.of(v.axes).count for v in self.made)
        return max(counts, default=1)

    def _folded(self, made: Stmt | None) -> bool:
        """Whether a loaded value is taken from memory by what uses it.

        So are scalars that are broadcast, and registers that are used only once.
        """
        if not isinstance(made, Load):
            return False
        once = self.uses.get(made.out) == 1 and made.out in self.matched
        return once or self.shapes.of(made.out.axes).width == 1

    # -- costs: each adds to the block and returns the latency -------------------------------------

    def add(self, cost: OpCost, registers: float, size: int) -> None:
        """``registers`` registers of ``size`` bytes through ``cost``."""
        block = self.block
        assert block is not None
        work = registers * self.core.occupancy(size)
        block.product += cost.product * work
        block.sum += cost.sum * work
        block.other += cost.other * work
        block.divide += cost.divide * work * self.core.divide
        issued = cost.instructions * registers * max(1.0, size / 64)
        block.issued += issued
        block.arithmetic += issued

    def const(self, stmt: Const) -> float:
        del stmt
        return 0.0

    def iota(self, stmt: Iota) -> float:
        shape = self.shapes.of(stmt.out.axes)
        self.add(OpCost(0, 0, 1, 0, 1), shape.count, shape.width * 8)
        return 1.0

    def map(self, stmt: Map) -> float:
        out = stmt.out
        operand = stmt.args[1 if stmt.op == "select" else 0] if stmt.args else out
        dtype = operand.dtype if out.dtype == np.bool_ else out.dtype
        shape = self.shapes.of(out.axes)
        if dtype.kind in "iu" and stmt.op in ("div", "rem"):
            assert self.block is not None
            self.block.divide += INTEGER_DIVISION * shape.elements
            self.block.issued += 3 * shape.elements
            return 2 * INTEGER_DIVISION
        cost = op_cost(stmt.op, dtype.kind, dtype.itemsize)
        self.add(cost, shape.count, shape.width * dtype.itemsize)
        for arg in stmt.args:
            if shape.width > 1:
                self.splat(arg)
            if self.shapes.of(arg.axes).count == shape.count:
                self.matched.add(arg)
        if dtype.kind == "f" and stmt.op not in _MOVES and out.dtype != np.bool_:
            assert self.block is not None
            self.block.flops += shape.elements * (2 if stmt.op in ACCUMULATING else 1)
        return cost.latency

    def splat(self, arg: Var) -> None:
        """Broadcasting a scalar computed in this body takes a shuffle; loads do it on the way."""
        shape = self.shapes.of(arg.axes)
        made = self.made.get(arg)
        if shape.width == 1 and isinstance(made, Map | Fold | For):
            self.shuffles(shape.count, 64)

    def fold(self, stmt: Fold) -> float:
        arg = stmt.args[0]
        block = self.block
        assert block is not None
        shape, out = self.shapes.of(arg.axes), self.shapes.of(stmt.outs[0].axes)
        cost, count = combine_cost(stmt.monoid, tuple(v.dtype for v in stmt.args))
        size = shape.width * arg.dtype.itemsize
        self.add(cost, shape.count - out.count, size)
        latency = cost.latency * log2(max(1, shape.count // max(1, out.count)))
        if arg.dtype.kind == "f":
            block.flops += (shape.elements - out.elements) * count
        if shape.lane in stmt.over:
            heavier = 0.5 + 0.5 * max(1.0, cost.instructions / 2)
            work = out.count * heavier * self.core.occupancy(size)
            block.sum += self.core.across * work
            block.issued += 2 * log2(shape.width) * heavier * out.count
            latency += self.core.across_latency * heavier
        return latency

    def load(self, stmt: Load) -> float:
        block = self.block
        assert block is not None
        shape = self.shapes.of(stmt.out.axes)
        access = access_of(stmt, stmt.out.axes)
        self.pending.append(access)
        self.guards(stmt.guards, shape)
        size = shape.width * stmt.buffer.dtype.itemsize
        step = self.lane_step(access, shape)
        if turns := self.turns(stmt, shape):
            block.load += shape.count * turns * self.core.occupancy(size)
            block.issued += shape.count
        elif step in (None, 0):
            block.load += shape.count * self.core.broadcast
            block.issued += shape.count
        elif step == 1:
            self.vectors(access, shape, size, shape.count)
        elif (squares := _squares(access, shape, stmt.out.axes)) and not stmt.guards:
            self.vectors(access, shape, size, squares * shape.width)
            self.shuffles(squares * shape.width * log2(shape.width), size)
        elif step is not None and abs(step) <= _THIN:
            self.vectors(access, shape, size, shape.count * abs(step))
            self.shuffles(shape.count * max(1, abs(step) - 1), size)
        else:
            block.load += shape.elements * self.core.gather
            block.issued += 3 * shape.elements
        return self.core.load_latency

    def store(self, stmt: Store) -> float:
        block = self.block
        assert block is not None
        axes = store_axes(stmt, set(self.reader.steps))
        access = access_of(stmt, axes)
        self.pending.append(access)
        shape = self.shapes.of(axes)
        self.guards(stmt.guards, shape)
        size = shape.width * stmt.buffer.dtype.itemsize
        step = self.lane_step(access, shape)
        count = shape.count
        if step is None:
            block.store += count * self.core.scalar_store
            block.issued += count
            return 0.0
        if turns := self.turns(stmt, shape):
            count *= turns
        elif step not in (1, -1):
            squares = 0 if stmt.guards else _squares(access, shape, axes)
            if not squares:
                block.store += shape.elements * self.core.scatter
                block.issued += 3 * shape.elements
                return 0.0
            count = squares * shape.width
            self.shuffles(count * log2(shape.width), size)
        block.store += count * self.core.store * max(0.5, size / 64)
        block.issued += count
        if self.splits(access, size, shape.lane):
            block.load += count * self.core.occupancy(size)
        return 0.0

    def vectors(self, access: Access, shape: Registers, size: int, count: int) -> None:
        """``count`` contiguous vectors loaded."""
        assert self.block is not None
        often = 2 if self.splits(access, size, shape.lane) else 1
        self.block.load += often * count * self.core.occupancy(size)
        self.block.issued += count

    def shuffles(self, count: float, size: int) -> None:
        assert self.block is not None
        self.block.shuffle += count * self.core.occupancy(size)
        self.block.issued += count

    def barrier(self, stmt: ir.Barrier) -> float:
        del stmt
        assert self.block is not None
        self.block.barriers += 1
        return 0.0

    def guards(self, guards: tuple[Guard, ...], shape: Registers) -> None:
        """Comparing the position of every lane: 64-bit, so of more registers than the data."""
        if guards:
            self.add(OpCost(0, 0, 4.0 * len(guards), 0, 0), shape.count, shape.width * 8)

    def lane_step(self, access: Access, shape: Registers) -> int | None:
        """Elements between neighbouring lanes; None for scalars."""
        if shape.lane is None:
            return None
        stride = access.terms.get(shape.lane, 0)
        for atom in access.terms:
            if isinstance(atom, FloorDiv) and shape.lane in atom.numerator.axes():
                return _IRREGULAR
            if isinstance(atom, Dynamic) and shape.lane in atom.source.axes:
                return _IRREGULAR
        step, rest = divmod(stride, access.buffer.dtype.itemsize)
        return step if rest == 0 else _IRREGULAR

    def turns(self, stmt: Load | Store, shape: Registers) -> int:
        """How often memory serves a warp whose threads lie in rows and columns; 0 if others do."""
        machine = self.reader.machine
        if machine.kind != "gpu" or shape.lane is None or not is_divided(stmt, shape.lane):
            return 0
        return turns(stmt, shape.lane, machine.multiprocessor.warp)

    def splits(self, access: Access, size: int, lane: Axis | None) -> bool:
        """Whether registers of ``size`` bytes cross cache lines as loops move them."""
        if access.start % 64 + size > 64:
            return True
        steps = self.reader.steps
        return any(
            (part := k * steps.get(atom, 1) % 64) and part + size > 64
            for atom, k in access.terms.items()
            if atom is not lane and isinstance(atom, Axis)
        )

    _COSTS: ClassVar[dict[type, Callable[[Any, Any], float]]] = {
        Const: const,
        Iota: iota,
        Map: map,
        Fold: fold,
        Load: load,
        Store: store,
        ir.Barrier: barrier,
    }


def _squares(access: Access, shape: Registers, axes: tuple[Axis, ...]) -> int:
    """Squares of registers to transpose, if another tile axis is contiguous in memory; else 0."""
    size = access.buffer.dtype.itemsize
    for axis in axes:
        if axis is not shape.lane and axis.extent > 1 and access.terms.get(axis) == size:
            return shape.count // axis.extent * -(-axis.extent // shape.width)
    return 0


def _varying(kernel: Kernel) -> dict[Axis, frozenset[Var]]:
    """For every loop, the variables whose value changes with it."""
    axes_of: dict[Var, frozenset[Axis]] = {}
    none: frozenset[Axis] = frozenset()
    loops: dict[Axis, set[Var]] = {}
    for stmt in ir.walk(kernel.body):
        exprs = stmt.index if isinstance(stmt, Load) else ()
        if isinstance(stmt, Iota):
            exprs = (stmt.expr,)
        moved = none.union(*(e.axes() for e in exprs))
        moved = moved.union(*(axes_of.get(v, none) for v in ir.inputs_of(stmt)))
        if isinstance(stmt, For):
            for carry in stmt.carries:
                axes_of[carry.var] = axes_of.get(carry.init, none) | {stmt.axis}
                axes_of[carry.result] = axes_of.get(carry.init, none)
            continue
        for out in ir.outputs_of(stmt):
            axes_of[out] = moved
            for axis in moved:
                loops.setdefault(axis, set()).add(out)
    return {axis: frozenset(found) for axis, found in loops.items()}
