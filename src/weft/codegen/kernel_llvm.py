"""Kernels to LLVM IR: final SSA text with explicit vectors, for the CPU and wasm.

One kernel is one function ``void k(ptr args, i64 tid, i64 nt)``, run by every thread of a launch.
``args`` holds 64-bit pointers: the pool, then the parameters, then `placed_scratch`.  Parallel
loops are divided by thread number; private scratch is on the stack, or a thread's part of a place.

After the pointers comes what the interrupt counter was when the program was entered.  Loops with
much in an iteration compare: after a change they end, and so does the caller, which looks as well.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from math import gcd
from typing import Any, ClassVar

import numpy as np

from weft.codegen.accesses import Access, Memory, lane_mask
from weft.codegen.addresses import Indexer, Scope
from weft.codegen.llvm_text import Function, Loop, Module, Value, literal
from weft.codegen.scalar_llvm import Target, emit_op
from weft.codegen.tiles import Layout, Position, Tile, element_type, memory_type
from weft.kernels import ir
from weft.kernels.ir import Var
from weft.kernels.program import elements_per_thread, placed_scratch
from weft.kernels.work import heavy_loops
from weft.terms.affine import Affine, Axis, Dynamic, linearize
from weft.terms.ops import OPS, result_dtype


def emit_kernel(module: Module, kernel: ir.Kernel, target: Target, threads: int = 1) -> str:
    """Add ``kernel`` to ``module``; returns the symbol of its function.

    ``threads`` is how many parts a place of private scratch has; further threads do nothing then.
    """
    return _KernelEmitter(module, kernel, target, threads).emit()


def read_interrupts(f: Function) -> str:
    """The process's interrupt counter as it is now (i32)."""
    f.module.declare("@weft_interrupts = external global i32")
    return f.i("load atomic i32, ptr @weft_interrupts monotonic, align 4")


def machine_lanes(kernel: ir.Kernel, vector_bytes: int) -> int:
    """Lanes of a register: what fits of the narrowest element computed with (at least 4 bytes)."""
    sizes = [
        v.dtype.itemsize
        for s in ir.walk(kernel.body)
        for v in ir.outputs_of(s)
        if v.dtype != np.bool_ and any(a in kernel.lanes for a in v.axes)
    ]
    return vector_bytes // max(4, min(sizes, default=4))


class _KernelEmitter:
    def __init__(self, module: Module, kernel: ir.Kernel, target: Target, threads: int) -> None:
        self.kernel = kernel
        self.threads = threads
        self.count = "%nt"
        self.target = target
        self.lanes = machine_lanes(kernel, target.vector_bytes)
        self.f: Function = module.function(
            kernel.name, ["ptr noalias %args", "i64 %tid", "i64 %nt"], linkage="internal"
        )
        self.tiles: dict[Var, Tile] = {}
        self.indexer = Indexer(self.f, self._dynamic)
        self.memory = Memory(self.f, self.indexer)
        self.bases: dict[ir.Buffer, str] = {}
        self.starts: dict[Axis, tuple[int, int]] = {}

    def emit(self) -> str:
        f = self.f
        placed = placed_scratch(self.kernel)
        for buffer in self.kernel.scratch:
            if buffer not in placed:
                room = f"[{max(1, buffer.extent)} x {memory_type(buffer.dtype)}]"
                self.bases[buffer] = f.i(f"alloca {room}, align 64")
        self.pool = f.load("ptr", "%args")
        for n, buffer in enumerate((*self.kernel.params, *placed), 1):
            self.bases[buffer] = f.load("ptr", f.gep("i64", "%args", n))
        self.heavy = heavy_loops(self.kernel)
        if self.heavy:
            count = 1 + len(self.kernel.params) + len(placed)
            self.seen = f.load("i32", f.gep("i64", "%args", count))
        self._divide([b for b in placed if b.level == "thread"])
        self._open(None, "0")
        self._body(self.kernel.body)
        self._close()
        self._drain()
        f.ret()
        return f"@{self.kernel.name}"

    def _divide(self, private: list[ir.Buffer]) -> None:
        """Give every thread its part of placed private scratch.

        Only as many threads work as there are parts: the pool may have grown since.
        """
        if not private:
            return
        f = self.f
        idle, busy = f.label("idle"), f.label("busy")
        f.branch(f.i(f"icmp uge i64 %tid, {self.threads}"), idle, busy)
        f.place(idle)
        f.ret()
        f.place(busy)
        self.count = f.intrinsic("umin", "i64", "%nt", self.threads)
        for buffer in private:
            start = f.mul("%tid", elements_per_thread(buffer))
            self.bases[buffer] = f.gep(memory_type(buffer.dtype), self.bases[buffer], start)

    # -- scopes ------------------------------------------------------------------------------------

    def _open(self, axis: Axis | None, index: str) -> None:
        self.f._lines.append("")
        self.indexer.scopes.append(Scope(axis, index, len(self.f._lines) - 1))

    def _close(self) -> None:
        scope = self.indexer.scopes.pop()
        if scope.lines:
            self.f._lines[scope.slot] = "\n".join(scope.lines)
        else:
            # An empty line is harmless in IR text.
            self.f._lines[scope.slot] = "  ; no hoisted addresses"

    # -- statements --------------------------------------------------------------------------------

    def _body(self, body: list[ir.Stmt]) -> None:
        for stmt in body:
            self._STATEMENTS[type(stmt)](self, stmt)

    def _layout(self, var: Var) -> Layout:
        return Layout.of(var, self.kernel.lanes, self.lanes)

    def _define(self, var: Var, registers: dict[Position, str]) -> None:
        self.tiles[var] = Tile(self._layout(var), element_type(var.dtype), registers)

    def _vector(self, var: Var) -> str:
        tile_layout = self._layout(var)
        element = element_type(var.dtype)
        return element if tile_layout.width == 1 else f"<{tile_layout.width} x {element}>"

    def _const(self, stmt: ir.Const) -> None:
        kind = self._vector(stmt.out)
        text = literal(kind, _python_scalar(stmt.value))
        self._define(stmt.out, {p: text for p in self._layout(stmt.out).positions()})

    def _iota(self, stmt: ir.Iota) -> None:
        layout = self._layout(stmt.out)
        registers: dict[Position, str] = {}
        for position in layout.positions():
            pinned = self._pinned(layout.unrolled, position)
            where = self.indexer.address(stmt.expr, layout, position, pinned)
            wide = self.indexer.vector(where, layout.width)
            registers[position] = emit_op(
                self.f,
                self.target,
                "cast",
                (wide,),
                np.dtype(np.int64),
                stmt.out.dtype,
                layout.width,
            )
        self._define(stmt.out, registers)

    def _map(self, stmt: ir.Map) -> None:
        layout = self._layout(stmt.out)
        registers: dict[Position, str] = {}
        operand_dtype = stmt.args[1].dtype if stmt.op == "select" else stmt.args[0].dtype
        for position in layout.positions():
            args = tuple(self._operand(a, layout, position) for a in stmt.args)
            if stmt.op == "splat":
                registers[position] = args[0]
            else:
                registers[position] = emit_op(
                    self.f, self.target, stmt.op, args, operand_dtype, stmt.out.dtype, layout.width
                )
        self._define(stmt.out, registers)

    def _operand(self, var: Var, layout: Layout, position: Position) -> str:
        """The register of ``var`` that meets ``position`` of a tile with ``layout``."""
        tile = self.tiles[var]
        if tile.layout == layout:
            return tile.registers[position]
        where = dict(zip(layout.unrolled, position, strict=False))
        missing = [a for a in tile.layout.unrolled if a not in where]
        if missing:
            raise ValueError(f"{var} has tile axes {missing} that its use lacks")
        key = tuple(where[a] for a in tile.layout.unrolled)
        if tile.layout.lane is not None:
            return tile.registers[(*key, position[-1])]
        register = tile.registers[(*key, 0)]
        return register if layout.width == 1 else self._splat(tile.element, register, layout.width)

    def _splat(self, element: str, register: str, width: int) -> str:
        if not register.startswith("%"):
            return f"splat ({element} {register})"
        scope = self.indexer.scopes[-1]
        key = (register, width)
        if key not in scope.splats:
            scope.splats[key] = self.f.splat(f"<{width} x {element}>", register)
        return scope.splats[key]

    def _fold(self, stmt: ir.Fold) -> None:
        layout = self._layout(stmt.args[0])
        outs = [self._layout(v) for v in stmt.outs]
        over_lane = layout.lane in stmt.over if layout.lane is not None else False
        groups: dict[Position, list[tuple[str, ...]]] = {}
        identity = stmt.monoid.identity([v.dtype for v in stmt.args])
        for position in layout.positions():
            values = tuple(self._operand(a, layout, position) for a in stmt.args)
            if over_lane and layout.active(position[-1]) < layout.width:
                values = self._mask_identity(values, stmt.args, identity, layout, position[-1])
            where = dict(zip(layout.unrolled, position, strict=False))
            key = tuple(where[a] for a in outs[0].unrolled)
            key += (0,) if over_lane else (position[-1],)
            groups.setdefault(key, []).append(values)
        results: list[dict[Position, str]] = [{} for _ in stmt.outs]
        for key, parts in groups.items():
            total = self._combine_tree(stmt, parts, layout.width)
            if over_lane:
                total = self._across_lanes(stmt, total, layout.width)
            for n, register in enumerate(total):
                results[n][key] = register
        for var, registers in zip(stmt.outs, results, strict=True):
            self._define(var, registers)

    def _mask_identity(
        self,
        values: tuple[str, ...],
        args: tuple[Var, ...],
        identity: tuple[Any, ...],
        layout: Layout,
        chunk: int,
    ) -> tuple[str, ...]:
        width = layout.width
        mask = lane_mask(width, layout.active(chunk))
        out = []
        for value, arg, neutral in zip(values, args, identity, strict=True):
            kind = f"<{width} x {element_type(arg.dtype)}>"
            other = literal(kind, _python_scalar(neutral))
            out.append(self.f.i(f"select <{width} x i1> {mask}, {kind} {value}, {kind} {other}"))
        return tuple(out)

    def _combine(
        self, stmt: ir.Fold, a: tuple[str, ...], b: tuple[str, ...], width: int
    ) -> tuple[str, ...]:
        """One application of the monoid, on registers of ``width`` lanes."""
        dtypes: dict[str, np.dtype] = {}
        for names in (a, b):
            dtypes.update((n, v.dtype) for n, v in zip(names, stmt.args, strict=True))

        def emit(op: str, *args: str) -> str:
            kinds = tuple(dtypes[x] for x in args)
            operand = kinds[1] if op == "select" else kinds[0]
            result = result_dtype(op, kinds) if op in OPS else operand
            name = emit_op(self.f, self.target, op, args, operand, result, width)
            dtypes[name] = result
            return name

        return stmt.monoid.combine(emit, a, b)

    def _combine_tree(
        self, stmt: ir.Fold, parts: list[tuple[str, ...]], width: int
    ) -> tuple[str, ...]:
        while len(parts) > 1:
            pairs = [
                self._combine(stmt, parts[n], parts[n + 1], width)
                for n in range(0, len(parts) - 1, 2)
            ]
            parts = pairs + parts[len(parts) - len(parts) % 2 :]
        return parts[0]

    def _across_lanes(self, stmt: ir.Fold, values: tuple[str, ...], width: int) -> tuple[str, ...]:
        """Combine the lanes of one register: halves onto halves."""
        f = self.f
        while width > 1:
            half = width // 2
            low, high = [], []
            for value, arg in zip(values, stmt.args, strict=True):
                element = element_type(arg.dtype)
                kind = f"<{width} x {element}>"
                if half == 1:
                    low.append(f.extract(kind, value, 0))
                    high.append(f.extract(kind, value, 1))
                else:
                    low.append(f.shuffle(kind, value, "poison", list(range(half))))
                    high.append(f.shuffle(kind, value, "poison", list(range(half, width))))
            values = self._combine(stmt, tuple(low), tuple(high), half)
            width = half
        return values

    def _for(self, stmt: ir.For) -> None:
        lo: Value = stmt.lo
        hi: Value = stmt.hi
        self.starts[stmt.axis] = (stmt.lo, stmt.step)
        if stmt.kind == "parallel":
            lo, hi = self._share(stmt)
        carried: list[tuple[str, Value]] = []
        for carry in stmt.carries:
            layout = self._layout(carry.var)
            kind = self._vector(carry.var)
            for position in layout.positions():
                carried.append((kind, self._operand(carry.init, layout, position)))
        always = stmt.kind != "parallel" and stmt.hi > stmt.lo
        with self._loop(lo, hi, stmt.step, carried, always) as loop:
            self._open(stmt.axis, loop.index)
            names = iter(loop.carried)
            for carry in stmt.carries:
                layout = self._layout(carry.var)
                self._define(carry.var, {p: next(names) for p in layout.positions()})
            self._body(stmt.body)
            following: list[Value] = []
            for carry in stmt.carries:
                layout = self._layout(carry.var)
                following += [self._operand(carry.update, layout, p) for p in layout.positions()]
            loop.carry(*following)
            if stmt in self.heavy:
                now = read_interrupts(self.f)
                loop.leave = self.f.i(f"icmp ne i32 {now}, {self.seen}")
            self._close()
        results = iter(loop.results)
        for carry in stmt.carries:
            layout = self._layout(carry.var)
            self._define(carry.result, {p: next(results) for p in layout.positions()})

    def _loop(
        self, lo: Value, hi: Value, step: int, carried: list[tuple[str, Value]], always: bool
    ) -> AbstractContextManager[Loop]:
        return self.f.loop(lo, hi, step, carried, at_least_once=always)

    def _share(self, stmt: ir.For) -> tuple[Value, Value]:
        """This thread's contiguous share of a parallel loop."""
        f, trip = self.f, stmt.trip
        first = f.i(f"udiv i64 {f.mul('%tid', trip)}, {self.count}")
        last = f.i(f"udiv i64 {f.mul(f.add('%tid', 1), trip)}, {self.count}")
        return (
            f.add(f.mul(first, stmt.step), stmt.lo),
            f.add(f.mul(last, stmt.step), stmt.lo),
        )

    def _barrier(self, stmt: ir.Barrier) -> None:
        del stmt
        self._drain()
        self.f.module.declare("declare void @weft_barrier(ptr, i64)")
        self.f.do(f"call void @weft_barrier(ptr {self.pool}, i64 {self.count})")

    # -- memory ------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Order non-temporal stores before what follows (other targets have none that need it)."""
        if self.memory.streamed and self.target.architecture == "x86_64":
            self.f.module.declare("declare void @llvm.x86.sse.sfence()")
            self.f.do("call void @llvm.x86.sse.sfence()")

    def _pinned(self, axes: tuple[Axis, ...], position: Position) -> dict[Axis, Affine]:
        return {a: Affine((), n) for a, n in zip(axes, position, strict=False)}

    def _dynamic(self, atom: Dynamic, position: Position, layout: Layout) -> str:
        """A clamped dynamic index as i64, per lane if its variable has the lane axis."""
        source: Var = atom.source
        tile = self.tiles[source]
        wide = tile.layout.lane is not None and tile.layout.lane is layout.lane
        where = dict(zip(layout.unrolled, position, strict=False))
        key = tuple(where[a] for a in tile.layout.unrolled)
        register = tile.registers[(*key, position[-1] if wide else 0)]
        width = layout.width if wide else 1
        value = emit_op(
            self.f, self.target, "cast", (register,), source.dtype, np.dtype(np.int64), width
        )
        kind = "i64" if width == 1 else f"<{width} x i64>"
        value = self.f.intrinsic("smax", kind, value, literal(kind, atom.lo))
        return self.f.intrinsic("smin", kind, value, literal(kind, atom.hi))

    def _access(self, stmt: ir.Load | ir.Store, layout: Layout) -> Access:
        buffer = stmt.buffer
        linear = linearize(stmt.index, buffer.element_strides)
        tile_axes = set(layout.unrolled) | ({layout.lane} if layout.lane is not None else set())
        loops: list[Any] = []
        rest: list[Any] = []
        for atom, k in linear.terms:
            fixed = not isinstance(atom, Dynamic) and not (
                Affine(((atom, 1),)).axes() & tile_axes or Affine(((atom, 1),)).dynamics()
            )
            (loops if fixed else rest).append((atom, k))
        pointer, _ = self.indexer.pointer(
            memory_type(buffer.dtype), self.bases[buffer], Affine(loops)
        )
        plain = not stmt.guards and getattr(stmt, "predicate", None) is None
        return Access(buffer, layout, pointer, Affine(rest, linear.const), self._grid(loops), plain)

    def _grid(self, terms: list[Any]) -> int:
        """A number that divides whatever these terms over loop axes add up to."""
        grid = 0
        for atom, k in terms:
            lo, step = self.starts.get(atom, (0, 1))
            grid = gcd(grid, k * step, k * lo)
        return grid

    def _mask(
        self,
        guards: tuple[ir.Guard, ...],
        layout: Layout,
        position: Position,
        predicate: Var | None = None,
    ) -> str | None:
        """Which lanes an access touches; None when all do."""
        width = layout.width
        kind = "i1" if width == 1 else f"<{width} x i1>"
        active = layout.active(position[-1])
        parts: list[str] = [] if active == width else [lane_mask(width, active)]
        for guard in guards:
            parts += self._guard(guard, layout, position)
        if predicate is not None:
            parts.append(self._operand(predicate, layout, position))
        if not parts:
            return None
        mask = parts[0]
        for part in parts[1:]:
            mask = self.f.i(f"and {kind} {mask}, {part}")
        return mask

    def _guard(self, guard: ir.Guard, layout: Layout, position: Position) -> list[str]:
        width = layout.width
        pinned = self._pinned(layout.unrolled, position)
        where = self.indexer.address(guard.expr, layout, position, pinned)
        value = self.indexer.vector(where, width)
        kind = "i64" if width == 1 else f"<{width} x i64>"
        low = literal(kind, guard.lo)
        high = literal(kind, guard.hi)
        return [
            self.f.i(f"icmp sge {kind} {value}, {low}"),
            self.f.i(f"icmp slt {kind} {value}, {high}"),
        ]

    def _load(self, stmt: ir.Load) -> None:
        layout = self._layout(stmt.out)
        access = self._access(stmt, layout)
        registers = self.memory.load(access, lambda p: self._mask(stmt.guards, layout, p))
        if stmt.buffer.dtype == np.bool_:
            kind = access.kind
            zero = literal(kind, 0)
            registers = {
                p: self.f.i(f"icmp ne {kind} {value}, {zero}") for p, value in registers.items()
            }
        self._define(stmt.out, registers)

    def _store(self, stmt: ir.Store) -> None:
        layout = self._store_layout(stmt)
        access = self._access(stmt, layout)
        values = {p: self._operand(stmt.value, layout, p) for p in layout.positions()}
        if stmt.buffer.dtype == np.bool_:
            bits = "i1" if layout.width == 1 else f"<{layout.width} x i1>"
            values = {
                p: self.f.i(f"zext {bits} {value} to {access.kind}") for p, value in values.items()
            }
        self.memory.store(
            access,
            values,
            lambda p: self._mask(stmt.guards, layout, p, stmt.predicate),
            stmt.streaming,
        )

    def _store_layout(self, stmt: ir.Store) -> Layout:
        """Tile axes of a store: those of its index that are tile axes, and of its value."""
        loops = {s.axis for s in self.indexer.scopes}
        axes = list(stmt.value.axes)
        for expr in stmt.index:
            for axis in sorted(expr.axes(), key=lambda a: a.serial):
                if axis not in loops and axis not in axes:
                    axes.append(axis)
        return Layout.of(Var(stmt.value.dtype, tuple(axes)), self.kernel.lanes, self.lanes)

    _STATEMENTS: ClassVar[dict[type, Callable[..., None]]] = {
        ir.Const: _const,
        ir.Iota: _iota,
        ir.Load: _load,
        ir.Store: _store,
        ir.Map: _map,
        ir.Fold: _fold,
        ir.For: _for,
        ir.Barrier: _barrier,
    }


def _python_scalar(value: Any) -> Any:
    exact = isinstance(value, np.generic) and value.dtype.kind in "biufc"
    return value.item() if exact else float(value)
