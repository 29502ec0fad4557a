"""Kernels to C-like text: what CUDA C++, WGSL and C have in common.

The lowering of statements is here; a `Dialect` spells types, literals, operations, loops and
barriers. How the kernel language maps to a GPU:

- iterations of parallel loops are spread over the blocks of a grid (strided, so that any grid will
  do); a grid has up to three dimensions, for up to three perfectly nested parallel loops;
- a tile axis in ``kernel.lanes`` lies across the threads of a block, one element each; threads
  beyond its extent touch no memory. Tiles without a lane axis are computed by every thread, and
  stored by the first;
- the other tile axes are unrolled: one named scalar per element;
- a fold over a lane axis is a tree in memory shared by the block;
- thread-level scratch belongs to whoever runs an iteration, which is a block, and one lane reads
  what another wrote: it is shared memory of the block. Where no access depends on a lane, every
  thread keeps an array of its own instead, which needs no barriers. Shared-level scratch is one
  more argument;
- barriers between the threads of a block are put where `block_sync` finds that they are needed.

Streaming is a hint that these targets do without.  A dialect without threads (C) clears the lanes
first and gets the same kernel for a single thread.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar

import numpy as np

from weft.codegen.block_sync import space_of, sync_points
from weft.codegen.dialect import Dialect, Frame
from weft.kernels import ir
from weft.kernels.grid import block_size, of_a_thread
from weft.kernels.ir import Buffer, Kernel, Var
from weft.kernels.print import Printer
from weft.kernels.ranges import loop_range
from weft.structs import struct
from weft.terms.affine import Affine, Atom, Axis, Dynamic, FloorDiv, Interval, linearize
from weft.terms.ops import result_dtype

#: Blocks along one dimension of a grid; what is more is done in strides.
MAX_GRID = 65535
#: Elements of a buffer up to which 32-bit index arithmetic (strides included) cannot overflow.
_NARROW = 1 << 30

Position = tuple[int, ...]
Where = Mapping[Axis, int]


@struct(frozen=True)
class KernelText:
    """Source of one kernel and how to launch it.

    ``arguments`` are the buffers in call order: the parameters, then shared scratch. Block size is
    in threads, the grid in blocks. ``dynamic`` are the bytes of memory shared by a block that a
    launch has to ask for.
    """

    symbol: str
    text: str
    arguments: tuple[Buffer, ...]
    grid: tuple[int, int, int]
    block: int
    dynamic: int = 0


#: Where arrays in memory shared by a block may start.
ALIGNMENT = 16


def aligned(nbytes: int) -> int:
    """``nbytes``, and what follows them until an array may start."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def emit(kernel: Kernel, dialect: Dialect) -> KernelText:
    """``kernel`` in the language of ``dialect``."""
    return Lowering(kernel, dialect).emit()


class _Names:
    """Identifiers, each given once and none a word of the language."""

    def __init__(self, reserved: frozenset[str]) -> None:
        self.taken = set(reserved)

    def fresh(self, wanted: str) -> str:
        base = re.sub(r"\W", "_", wanted).strip("_") or "x"
        base = base if base[0].isalpha() else f"x{base}"
        name, n = base, 0
        while name in self.taken:
            n += 1
            name = f"{base}_{n}"
        self.taken.add(name)
        return name


class Lowering:
    """The text of one kernel, statement by statement."""

    def __init__(self, kernel: Kernel, dialect: Dialect) -> None:
        self.block = block_size(kernel)
        # For one thread, lanes of one element are like any other tile axis.
        self.kernel = kernel if self.block > 1 else kernel.evolve(lanes=frozenset())
        self.dialect = dialect
        if self.block > dialect.max_block:
            raise ValueError(
                f"kernel {kernel.name} needs blocks of {self.block} threads, but a "
                f"{dialect.language} block has at most {dialect.max_block} threads: split the axis "
                "before it becomes lanes"
            )
        self.printer = Printer(kernel)
        self.names = _Names(dialect.reserved | {"lane", "span", "memory"})
        self.buffers = {b: self.names.fresh(b.name) for b in (*kernel.params, *kernel.scratch)}
        self.private = frozenset(b for b in kernel.scratch if of_a_thread(self.kernel, b))
        self.points = sync_points(kernel, self.private) if self.block > 1 else {}
        self.values: dict[Var, dict[Position, str]] = {}
        self.axes: dict[Axis, str] = {}
        self.ranges: dict[Axis, Interval] = {}
        self.fold_arrays: dict[tuple[np.dtype, int], str] = {}
        self.fold_sizes: dict[str, tuple[np.dtype, int]] = {}
        self.grid = [1, 1, 1]
        self.depth = 0
        self.lines: list[str] = []
        self.indent = 1
        self.wide = any(b.extent >= _NARROW for b in self.buffers)

    def emit(self) -> KernelText:
        kernel = self.kernel
        symbol = self.names.fresh(f"k_{kernel.name}")
        self.body(kernel.body)
        scratch = [b for b in kernel.scratch if b.level == "thread"]
        shared = [
            (self.buffers[b], b.dtype, max(1, b.extent)) for b in scratch if b not in self.private
        ]
        shared += [(name, *self.fold_sizes[name]) for name in self.fold_arrays.values()]
        size = sum(aligned(dtype.itemsize * count) for _, dtype, count in shared)
        if size > self.dialect.shared_bytes:
            raise ValueError(
                f"kernel {kernel.name} needs {size} bytes of memory shared by a block; "
                f"{self.dialect.language} has {self.dialect.shared_bytes}: stage less at a time"
            )
        x, y, z = self.grid
        frame = Frame(
            symbol,
            self.buffers,
            (*kernel.params, *(b for b in kernel.scratch if b.level == "shared")),
            tuple(b for b in scratch if b in self.private),
            tuple(shared),
            dynamic := size if size > self.dialect.static_bytes else 0,
            (x, y, z),
            self.block,
            self.wide,
            self.lines,
        )
        return KernelText(
            symbol, self.dialect.function(frame), frame.arguments, frame.grid, self.block, dynamic
        )

    # -- text --------------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        self.lines.append("  " * self.indent + text)

    @contextmanager
    def braces(self, opening: str) -> Iterator[None]:
        self.line(f"{opening} {{")
        self.indent += 1
        yield
        self.indent -= 1
        self.line("}")

    @contextmanager
    def only_if(self, conditions: Sequence[str]) -> Iterator[None]:
        if not conditions:
            yield
            return
        with self.braces(f"if ({' && '.join(conditions)})"):
            yield

    def sync(self, spaces: Iterable[str]) -> None:
        for text in self.dialect.sync(sorted(spaces)):
            self.line(text)

    # -- tiles -------------------------------------------------------------------------------------

    def unrolled(self, var: Var) -> tuple[Axis, ...]:
        return tuple(a for a in var.axes if a not in self.kernel.lanes)

    def lane_of(self, axes: Iterable[Axis]) -> Axis | None:
        return next((a for a in axes if a in self.kernel.lanes), None)

    def value(self, var: Var, where: Where) -> str:
        """The scalar of ``var`` at a position of its unrolled axes."""
        return self.values[var][tuple(where[a] for a in self.unrolled(var))]

    def name(self, var: Var, position: Position) -> str:
        return self.names.fresh("_".join([self.printer.var(var), *map(str, position)]))

    def define(self, var: Var, position: Position, text: str) -> None:
        name = self.name(var, position)
        self.line(self.dialect.define(name, var.dtype, text))
        self.values.setdefault(var, {})[position] = name

    def inside(self, axis: Axis | None) -> list[str]:
        """The condition that this thread has an element of a lane axis."""
        if axis is None or axis.extent == self.block:
            return []
        return [f"lane < {axis.extent}"]

    # -- statements --------------------------------------------------------------------------------

    def body(self, body: list[ir.Stmt]) -> None:
        for stmt in body:
            getattr(self, self._STATEMENTS[type(stmt)])(stmt)

    def const(self, stmt: ir.Const) -> None:
        text = self.dialect.literal(stmt.value, stmt.out.dtype)
        if not self.dialect.inlines(stmt.value, stmt.out.dtype):
            name = self.name(stmt.out, ())
            self.line(self.dialect.define(name, stmt.out.dtype, text))
            text = name
        self.values[stmt.out] = {p: text for p, _ in positions(self.unrolled(stmt.out))}

    def iota(self, stmt: ir.Iota) -> None:
        self.values[stmt.out] = {}
        for position, where in positions(self.unrolled(stmt.out)):
            text = self.index(stmt.expr, where)
            self.define(stmt.out, position, self.dialect.index_value(text, stmt.out.dtype))

    def map(self, stmt: ir.Map) -> None:
        operand = (stmt.args[1] if stmt.op == "select" else stmt.args[0]).dtype
        self.values[stmt.out] = {}
        for position, where in positions(self.unrolled(stmt.out)):
            args = [self.value(a, where) for a in stmt.args]
            if stmt.op == "splat":
                self.values[stmt.out][position] = args[0]
                continue
            text = self.dialect.operation(stmt.op, args, operand, stmt.out.dtype)
            self.define(stmt.out, position, text)

    # -- loops -------------------------------------------------------------------------------------

    def loop(self, stmt: ir.For) -> None:
        mutable = [self.open_carry(c) for c in stmt.carries]
        name = self.axes[stmt.axis] = self.names.fresh(self.printer.axis(stmt.axis))
        self.ranges[stmt.axis] = loop_range(stmt)
        if stmt.kind == "unroll":
            for text in self.dialect.before_unrolled():
                self.line(text)
        with self.braces(self.loop_opening(stmt, name)):
            self.depth += stmt.kind == "parallel"
            with self.only_if(self.taken(stmt)):
                self.body(stmt.body)
            self.depth -= stmt.kind == "parallel"
            self.close_iteration(stmt, mutable)
        if (stmt.where or stmt.unless) and self.block > 1:
            # Barriers inside of iterations that were left out did not happen.
            self.sync(("global", "shared"))
        for c, names in zip(stmt.carries, mutable, strict=True):
            self.close_carry(c, names)

    def taken(self, stmt: ir.For) -> list[str]:
        """When an iteration is not left out: all threads of a block agree on it."""
        if stmt.carries and (stmt.where or stmt.unless):
            raise ValueError(
                f"kernel {self.kernel.name}: the loop over {stmt.axis} carries values and leaves "
                "iterations out, which only the CPU's code can: keep the values in scratch"
            )
        conditions = [self.within(g) for g in stmt.where]
        if stmt.unless:
            conditions.append(f"!({' && '.join(map(self.within, stmt.unless))})")
        return conditions

    def within(self, guard: ir.Guard) -> str:
        """A guard of loop axes alone."""
        at = self.index(guard.expr, {})
        return f"{at} >= {guard.lo} && {at} < {guard.hi}"

    def loop_opening(self, stmt: ir.For, name: str) -> str:
        lo, step = str(stmt.lo), str(stmt.step)
        if stmt.kind == "parallel" and self.depth < 3:
            self.grid[self.depth] = max(self.grid[self.depth], min(stmt.trip, MAX_GRID))
            lo, step = self.dialect.grid_stride(self.depth, stmt.lo, stmt.step, self.wide)
        return self.dialect.loop(name, lo, str(stmt.hi), step, self.wide)

    def open_carry(self, carry: ir.Carry) -> dict[Position, str]:
        names: dict[Position, str] = {}
        for position, where in positions(self.unrolled(carry.var)):
            names[position] = self.name(carry.var, position)
            init = self.value(carry.init, where)
            self.line(self.dialect.define(names[position], carry.var.dtype, init, mutable=True))
        self.values[carry.var] = names
        return names

    def close_iteration(self, stmt: ir.For, mutable: list[dict[Position, str]]) -> None:
        """Assign the updates, all at once when one of them is what another replaces."""
        moves: list[tuple[str, str, ir.Carry]] = []
        for c, names in zip(stmt.carries, mutable, strict=True):
            for position, new in self.updates(c):
                if new != names[position]:
                    moves.append((names[position], new, c))
        replaced = {target for target, _, _ in moves}
        for n, (target, new, c) in enumerate(moves):
            if new in replaced:
                copy = self.names.fresh(f"{new}_old")
                self.line(self.define_moved(c, copy, new))
                moves[n] = (target, copy, c)
        for target, new, _ in moves:
            self.line(f"{target} = {new};")

    def updates(self, carry: ir.Carry) -> list[tuple[Position, str]]:
        """What a carry becomes in the next iteration."""
        return [(p, self.value(carry.update, at)) for p, at in positions(self.unrolled(carry.var))]

    def define_moved(self, carry: ir.Carry, name: str, value: str) -> str:
        """The line that keeps the value of a carry for a moment."""
        return self.dialect.define(name, carry.var.dtype, value)

    def close_carry(self, carry: ir.Carry, names: dict[Position, str]) -> None:
        """What a carry is after its loop."""
        self.values[carry.result] = names

    def barrier(self, stmt: ir.Barrier) -> None:
        del stmt
        if self.dialect.max_block == 1:
            return  # one thread has nobody to wait for
        if any(loop.kind == "parallel" for loop in ir.loops(self.kernel.body)):
            raise ValueError(
                f"kernel {self.kernel.name} has a barrier, but the blocks of a "
                f"{self.dialect.language} grid cannot wait for each other: make what follows the "
                "barrier a kernel of its own"
            )
        if self.block > 1:
            self.sync(("global", "shared"))

    # -- folds -------------------------------------------------------------------------------------

    def combine(self, stmt: ir.Fold, a: Sequence[str], b: Sequence[str]) -> tuple[str, ...]:
        """One application of the monoid, as statements; returns the names of its results."""
        dtypes: dict[str, np.dtype] = {}
        for names in (a, b):
            dtypes.update((n, v.dtype) for n, v in zip(names, stmt.args, strict=True))

        def operation(op: str, *args: str) -> str:
            kinds = tuple(dtypes[x] for x in args)
            operand = kinds[1] if op == "select" else kinds[0]
            result = result_dtype(op, kinds)
            name = self.names.fresh("c0")
            text = self.dialect.operation(op, args, operand, result)
            self.line(self.dialect.define(name, result, text))
            dtypes[name] = result
            return name

        return stmt.monoid.combine(operation, a, b)

    def fold(self, stmt: ir.Fold) -> None:
        lane = self.lane_of(stmt.over)
        over = tuple(a for a in stmt.over if a is not lane)
        for out in stmt.outs:
            self.values[out] = {}
        for position, where in positions(self.unrolled(stmt.outs[0])):
            parts = [
                tuple(self.value(a, {**where, **inner}) for a in stmt.args)
                for _, inner in positions(over)
            ]
            while len(parts) > 1:
                pairs = zip(parts[::2], parts[1::2], strict=False)
                odd = parts[len(parts) - len(parts) % 2 :]
                parts = [self.combine(stmt, a, b) for a, b in pairs] + odd
            total = parts[0] if parts else self.identity(stmt)
            if lane is not None:
                total = self.across_lanes(stmt, lane, total, position)
            for out, name in zip(stmt.outs, total, strict=True):
                self.values[out][tuple(where[a] for a in self.unrolled(out))] = name

    def identity(self, stmt: ir.Fold) -> tuple[str, ...]:
        kinds = [a.dtype for a in stmt.args]
        values = stmt.monoid.identity(kinds)
        return tuple(self.dialect.literal(v, t) for v, t in zip(values, kinds, strict=True))

    def across_lanes(
        self, stmt: ir.Fold, lane: Axis, values: Sequence[str], position: Position
    ) -> tuple[str, ...]:
        """Every thread puts its element in shared memory, then halves fold onto halves."""
        if lane.extent == 0:
            return self.identity(stmt)
        arrays = [self.fold_array(a.dtype, n, lane.extent) for n, a in enumerate(stmt.args)]
        with self.only_if(self.inside(lane)):
            for array, value, arg in zip(arrays, values, stmt.args, strict=True):
                self.line(f"{array}[lane] = {self.dialect.stored(value, arg.dtype, 'shared')};")
        self.sync(("shared",))
        start = (1 << (lane.extent - 1).bit_length()) // 2
        with self.braces(self.dialect.halving_loop("span", start)):
            with self.braces(f"if (lane < span && lane + span < {lane.extent})"):
                mine = [f"{array}[lane]" for array in arrays]
                other = [f"{array}[lane + span]" for array in arrays]
                for target, new in zip(mine, self.combine(stmt, mine, other), strict=True):
                    self.line(f"{target} = {new};")
            self.sync(("shared",))
        names = []
        for array, out in zip(arrays, stmt.outs, strict=True):
            name = self.name(out, position)
            self.line(self.dialect.define(name, out.dtype, f"{array}[0]"))
            names.append(name)
        self.sync(("shared",))  # before the array is used again
        return tuple(names)

    def fold_array(self, dtype: np.dtype, component: int, extent: int) -> str:
        key = (dtype, component)
        if key not in self.fold_arrays:
            self.fold_arrays[key] = self.names.fresh("fold0")
        name = self.fold_arrays[key]
        self.fold_sizes[name] = (dtype, max(extent, self.fold_sizes.get(name, (dtype, 0))[1]))
        return name

    # -- memory ------------------------------------------------------------------------------------

    def load(self, stmt: ir.Load) -> None:
        self.wait(stmt)
        varies = self.varying(stmt)
        lane = self.lane_of(a for a in stmt.out.axes if a in varies)
        done: dict[Position, str] = {}
        self.values[stmt.out] = {}
        axes = self.unrolled(stmt.out)
        for position, where in positions(axes):
            key = tuple(n for a, n in zip(axes, position, strict=True) if a in varies)
            if key not in done:
                done[key] = self.load_one(stmt, key, where, lane)
            self.values[stmt.out][position] = done[key]

    def varying(self, stmt: ir.Load) -> set[Axis]:
        """Tile axes that a load depends on, through indices and guards."""
        exprs = (*stmt.index, *(g.expr for g in stmt.guards))
        return {a for e in exprs for a in e.axes()}

    def load_one(self, stmt: ir.Load, key: Position, where: Where, lane: Axis | None) -> str:
        conditions = self.conditions(stmt.guards, where)
        name = self.name(stmt.out, key)
        if conditions is None:
            zero = self.dialect.literal(stmt.out.dtype.type(0), stmt.out.dtype)
            self.line(self.dialect.define(name, stmt.out.dtype, zero))
            return name
        place, _ = self.place(stmt.buffer, stmt.index, where)
        test = " && ".join([*self.inside(lane), *conditions])
        space = self.space(stmt.buffer)
        for text in self.dialect.load(name, stmt.out.dtype, place, test, space):
            self.line(text)
        return name

    def store(self, stmt: ir.Store) -> None:
        self.wait(stmt)
        axes = self.store_axes(stmt)
        lane = self.lane_of(axes)
        alone = lane is None and self.block > 1 and stmt.buffer not in self.private
        writes: list[tuple[list[str], str]] = []
        for _, where in positions(tuple(a for a in axes if a is not lane)):
            conditions = self.conditions(stmt.guards, where)
            if conditions is None:
                continue
            tests = ["lane == 0"] if alone else self.inside(lane)
            tests = [*tests, *conditions]
            if stmt.predicate is not None:
                tests.append(self.value(stmt.predicate, where))
            place, space = self.place(stmt.buffer, stmt.index, where)
            value = self.dialect.stored(self.value(stmt.value, where), stmt.value.dtype, space)
            writes.append((tests, f"{place} = {value};"))
        for tests, group in itertools.groupby(writes, key=lambda w: w[0]):
            with self.only_if(tests):
                for _, text in group:
                    self.line(text)

    def store_axes(self, stmt: ir.Store) -> tuple[Axis, ...]:
        """Tile axes of a store: the value's, and those of its index that no loop runs over."""
        found = dict.fromkeys(stmt.value.axes)
        for expr in stmt.index:
            for axis in sorted(expr.axes(), key=lambda a: a.serial):
                if axis not in self.axes:
                    found.setdefault(axis)
        return tuple(found)

    def wait(self, stmt: ir.Load | ir.Store) -> None:
        spaces = self.points.get(id(stmt))
        if spaces:
            self.sync(spaces)

    def space(self, buffer: Buffer) -> str:
        return "private" if buffer in self.private else space_of(buffer)

    def place(self, buffer: Buffer, index: tuple[Affine, ...], where: Where) -> tuple[str, str]:
        address = self.index(linearize(index, buffer.element_strides), where)
        return f"{self.buffers[buffer]}[{address}]", self.space(buffer)

    def conditions(self, guards: Iterable[ir.Guard], where: Where) -> list[str] | None:
        """What has to be tested for these guards at run time; None when one never holds."""
        tests: list[str] = []
        for g in guards:
            expr = _pinned(g.expr, where)
            lo, hi = expr.bounds(self.ranges)
            if hi < g.lo or lo >= g.hi:
                return None
            text = self.index(expr, where)
            if lo < g.lo:
                tests.append(f"{text} >= {g.lo}")
            if hi >= g.hi:
                tests.append(f"{text} < {g.hi}")
        return tests

    # -- index expressions -------------------------------------------------------------------------

    def index(self, expr: Affine, where: Where) -> str:
        """An index expression with the unrolled axes at ``where``."""
        expr = _pinned(expr, where)
        parts: list[str] = []
        for atom, k in expr.terms:
            text = self.atom(atom, where)
            text = text if abs(k) == 1 else f"{text} * {abs(k)}"
            sign = ("- " if k < 0 else "+ ") if parts else ("-" if k < 0 else "")
            parts.append(sign + text)
        if expr.const or not parts:
            sign = "- " if expr.const < 0 else "+ "
            parts.append(sign + str(abs(expr.const)) if parts else str(expr.const))
        return " ".join(parts)

    def atom(self, atom: Atom, where: Where) -> str:
        if isinstance(atom, Axis):
            if atom in self.kernel.lanes:
                return "lane"
            if atom not in self.axes:
                raise ValueError(f"index uses axis {atom}, which no enclosing loop or tile has")
            return self.axes[atom]
        if isinstance(atom, FloorDiv):
            lowest = atom.numerator.bounds(self.ranges)[0] // atom.divisor
            shift = max(0, -lowest)  # division truncates, so the numerator must not be negative
            inner = self.index(atom.numerator + shift * atom.divisor, where)
            inner = inner if inner.isidentifier() else f"({inner})"
            back = f" - {shift}" if shift else ""
            return f"({inner} / {atom.divisor}{back})"
        return self.dynamic(atom, where)

    def dynamic(self, atom: Dynamic, where: Where) -> str:
        source: Var = atom.source
        return self.dialect.clamp(self.value(source, where), source.dtype, atom.lo, atom.hi)

    #: The method for each kind of statement, by name, so that others can be put in its place.
    _STATEMENTS: ClassVar[dict[type, str]] = {
        ir.Const: "const",
        ir.Iota: "iota",
        ir.Load: "load",
        ir.Store: "store",
        ir.Map: "map",
        ir.Fold: "fold",
        ir.For: "loop",
        ir.Barrier: "barrier",
    }


def positions(axes: tuple[Axis, ...]) -> Iterator[tuple[Position, dict[Axis, int]]]:
    """Positions of a tile over ``axes``, in row-major order."""
    for position in itertools.product(*(range(a.extent) for a in axes)):
        yield position, dict(zip(axes, position, strict=True))


def _pinned(expr: Affine, where: Where) -> Affine:
    """``expr`` with tile axes replaced by their positions."""
    return expr.substitute({a: Affine((), n) for a, n in where.items()}) if where else expr
