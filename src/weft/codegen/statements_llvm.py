"""The statements of a kernel as LLVM IR: tiles in registers, loops, and accesses to memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from math import gcd
from typing import Any, ClassVar

import numpy as np

from weft.codegen.accesses import Access, Memory, lane_mask
from weft.codegen.addresses import Indexer, Scope
from weft.codegen.llvm_text import Function, Value, literal
from weft.codegen.matrix_llvm import Operand, emit_loop, pitch
from weft.codegen.outline import (
    Region,
)
from weft.codegen.scalar_llvm import Target, emit_op
from weft.codegen.tiles import Layout, Position, Tile, constant, element_type, memory_type
from weft.core.extents import Extent, surely_less
from weft.kernels import ir
from weft.kernels.ir import Var
from weft.kernels.matrix import Contracted, contracted, corner, element_strides
from weft.kernels.program import placed_scratch
from weft.terms.affine import Affine, Axis, Dynamic, linearize
from weft.terms.dots import MatrixUnit
from weft.terms.ops import OPS, result_dtype


def read_interrupts(f: Function) -> str:
    """The process's interrupt counter as it is now (i32)."""
    f.module.declare("@weft_interrupts = external global i32")
    return f.i("load atomic i32, ptr @weft_interrupts monotonic, align 4")


def _is_repeated(loop: ir.For) -> bool:
    """Whether a loop's body is written out: asked for, of known ends, and without threads in it."""
    closed = isinstance(loop.lo, int) and isinstance(loop.hi, int)
    return (
        loop.kind == "unroll" and closed and all(x.kind != "parallel" for x in ir.loops(loop.body))
    )


def machine_lanes(kernel: ir.Kernel, vector_bytes: int) -> int:
    """Lanes of a register: what fits of the narrowest element computed with (at least 4 bytes)."""
    sizes = [
        v.dtype.itemsize
        for s in ir.walk(kernel.body)
        for v in ir.outputs_of(s)
        if v.dtype != np.bool_ and any(a in kernel.lanes for a in v.axes)
    ]
    return vector_bytes // max(4, min(sizes, default=4))


class Statements:
    """Statements of a kernel, written into one function."""

    #: The loops that poll: in each iteration, and after so many.
    heavy: set[ir.For]
    long: dict[ir.For, int]

    def __init__(self, kernel: ir.Kernel, target: Target, f: Function) -> None:
        self.kernel = kernel
        self.target = target
        self.lanes = machine_lanes(kernel, target.vector_bytes)
        self.f = f
        self.tiles: dict[Var, Tile] = {}
        self.indexer = Indexer(self.f, self._dynamic)
        self.memory = Memory(self.f, self.indexer)
        self.bases: dict[ir.Buffer, str] = {}
        self.starts: dict[Axis, tuple[int, int]] = {}
        self.region: Region = ()
        self.placed = placed_scratch(kernel)

    def _bind(self, args: str, buffers: Collection[ir.Buffer]) -> None:
        """Find buffers in the table of arguments, and the interrupt counter behind them."""
        table = (*self.kernel.params, *self.placed)
        for n, buffer in enumerate(table, 1):
            if buffer in buffers:
                self.bases[buffer] = self.f.load("ptr", self.f.gep("i64", args, n))
        self.seen = self.f.load("i32", self.f.gep("i64", args, 1 + len(table)))

    def _reserve(self, buffers: Collection[ir.Buffer]) -> None:
        """Room on the stack for private scratch."""
        for buffer in self.kernel.scratch:
            if buffer in buffers and buffer not in self.placed:
                room = f"[{max(1, buffer.extent)} x {memory_type(buffer.dtype)}]"
                self.bases[buffer] = self.f.i(f"alloca {room}, align 64")

    # -- scopes ------------------------------------------------------------------------------------

    def _open(self, axis: Axis | None, index: Value) -> None:
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
        text = constant(stmt.out.dtype, stmt.value, self._layout(stmt.out).width)
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
            other = constant(arg.dtype, neutral, width)
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
        self.starts[stmt.axis] = (stmt.lo, stmt.step)
        if stmt.unit is not None and stmt.unit.features <= self.target.features:
            self._on_unit(stmt, stmt.unit)
            return
        carried: list[tuple[str, str]] = []
        for carry in stmt.carries:
            layout = self._layout(carry.var)
            kind = self._vector(carry.var)
            for position in layout.positions():
                carried.append((kind, self._operand(carry.init, layout, position)))
        if stmt in self.region:
            totals = self._iterations(stmt, *self._share(stmt), carried, always=False)
        elif stmt in self.long:
            totals = self._in_stretches(stmt, carried)
        elif _is_repeated(stmt):
            totals = self._repeated(stmt, carried)
        else:
            lo, hi = self.indexer.extent(stmt.lo), self.indexer.extent(stmt.hi)
            always = surely_less(stmt.lo, stmt.hi)
            totals = self._iterations(stmt, lo, hi, carried, always)
        results = iter(totals)
        for carry in stmt.carries:
            layout = self._layout(carry.var)
            self._define(carry.result, {p: next(results) for p in layout.positions()})

    def _on_unit(self, stmt: ir.For, unit: MatrixUnit) -> None:
        """A loop on a matrix unit: totals go there and come back through memory."""
        f, carry = self.f, stmt.carries[0]
        parts = contracted(stmt, unit, self.kernel.lanes)
        if parts is None:
            raise ValueError(f"the loop over {stmt.axis} is none that {unit.name} can run")
        size = unit.tall * unit.rows * pitch(unit)
        room = self.indexer.hoisted(0, unit.name, lambda: f.i(f"alloca [{size} x i32], align 64"))
        layout, kind = self._layout(carry.var), self._vector(carry.var)
        places = {p: p[0] * pitch(unit) + p[-1] * layout.width for p in layout.positions()}
        inits = {p: self._operand(carry.init, layout, p) for p in places}
        zero = set(inits.values()) == {constant(carry.var.dtype, 0, layout.width)}
        for p, place in places.items() if not zero else ():
            f.store(kind, inits[p], f.gep("i32", room, place))
        left, right = (
            Operand(self._corner(load, stmt.axis, parts), strides[n])
            for n, (load, strides) in enumerate(
                (load, element_strides(load, parts.rows, stmt.axis) or ())
                for load in (parts.left, parts.right)
            )
        )
        emit_loop(f, unit, parts, (stmt.lo, stmt.hi), left, right, room, zero)
        self._define(
            carry.result, {p: f.load(kind, f.gep("i32", room, at)) for p, at in places.items()}
        )

    def _corner(self, load: ir.Load, fold: Axis, parts: Contracted) -> str:
        """A pointer to what a load reads first."""
        start = corner(load, fold, parts.rows, parts.columns)
        base = self.bases[load.buffer]
        pointer, const = self.indexer.pointer(memory_type(load.buffer.dtype), base, start)
        return self.f.gep("i32", pointer, const)

    def _iterations(
        self,
        stmt: ir.For,
        lo: Value,
        hi: Value,
        carried: Sequence[tuple[str, str]],
        always: bool,
    ) -> list[str]:
        """The loop from ``lo`` to ``hi``; what it carries in the end."""
        with self.f.loop(lo, hi, stmt.step, carried, at_least_once=always) as loop:
            following = self._iteration(stmt, loop.index, loop.carried)
            loop.carry(*following)
            if stmt in self.heavy:
                loop.leave = self._interrupted()
            self._close()
        return loop.results

    def _repeated(self, stmt: ir.For, carried: Sequence[tuple[str, str]]) -> list[str]:
        """The body once for each iteration: no counters, and indices are parts of addresses."""
        values = [value for _, value in carried]
        for index in range(stmt.lo, stmt.hi, stmt.step):
            values = self._iteration(stmt, index, values)
            self._close()
        return values

    def _iteration(self, stmt: ir.For, index: Value, carried: Sequence[str]) -> list[str]:
        """One iteration, whose scope stays open; what it hands to the next."""
        self._open(stmt.axis, index)
        names = iter(carried)
        for carry in stmt.carries:
            layout = self._layout(carry.var)
            self._define(carry.var, {p: next(names) for p in layout.positions()})
        if stmt.where or stmt.unless:
            self.f.if_(self._takes_part(stmt), lambda: self._body(stmt.body))
        else:
            self._body(stmt.body)
        following: list[str] = []
        for carry in stmt.carries:
            layout = self._layout(carry.var)
            following += [self._operand(carry.update, layout, p) for p in layout.positions()]
        return following

    def _takes_part(self, stmt: ir.For) -> str:
        """Whether a loop goes through the iteration at hand."""
        layout = Layout.of(Var(np.dtype(np.bool_)), self.kernel.lanes, self.lanes)

        def hold(guards: Sequence[ir.Guard]) -> str:
            position = next(iter(layout.positions()))
            return self._mask(tuple(guards), layout, position) or "true"

        takes = hold(stmt.where)
        if stmt.unless:
            other = self.f.i(f"xor i1 {hold(stmt.unless)}, true")
            takes = self.f.i(f"and i1 {takes}, {other}")
        return takes

    def _in_stretches(self, stmt: ir.For, carried: Sequence[tuple[str, str]]) -> list[str]:
        """A long loop with little in an iteration: it polls after a stretch of iterations."""
        f, stretch = self.f, self.long[stmt] * stmt.step
        with f.loop(stmt.lo, stmt.hi, stretch, carried, at_least_once=True) as outer:
            end = f.min(f.add(outer.index, stretch), stmt.hi)
            kinds = [kind for kind, _ in carried]
            inside = list(zip(kinds, outer.carried, strict=True))
            outer.carry(*self._iterations(stmt, outer.index, end, inside, always=True))
            outer.leave = self._interrupted()
        return outer.results

    def _interrupted(self) -> str:
        return self.f.i(f"icmp ne i32 {read_interrupts(self.f)}, {self.seen}")

    def _share(self, stmt: ir.For) -> tuple[Value, Value]:
        """What the block at hand has of a parallel loop."""
        f, trip = self.f, stmt.trip
        first = f.i(f"udiv i64 {f.mul('%lo', trip)}, %whole")
        last = f.i(f"udiv i64 {f.mul('%hi', trip)}, %whole")
        return (
            f.add(f.mul(first, stmt.step), stmt.lo),
            f.add(f.mul(last, stmt.step), stmt.lo),
        )

    def _barrier(self, stmt: ir.Barrier) -> None:
        """Nothing: a region is over when all that ran it have stored what they had to."""

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
        element, const = memory_type(buffer.dtype), linear.const
        base = self.bases[buffer]
        if isinstance(const, Extent):
            base, const = self._start(element, base, const), 0
        pointer, _ = self.indexer.pointer(element, base, Affine(loops))
        plain = not stmt.guards and getattr(stmt, "predicate", None) is None
        return Access(buffer, layout, pointer, Affine(rest, const), self._grid(loops), plain)

    def _start(self, element: str, base: str, offset: Extent) -> str:
        """A buffer's pointer moved by an extent, once for the whole kernel."""

        def build() -> str:
            return self.f.gep(element, base, self.indexer.extent(offset))

        return self.indexer.hoisted(0, (base, element, offset), build)

    def _grid(self, terms: list[Any]) -> int:
        """A number that divides whatever these terms over loop axes add up to."""
        grid = 0
        for atom, k in terms:
            lo, step = self.starts.get(atom, (0, 1))
            if isinstance(k, Extent) or isinstance(lo, Extent):
                return 1
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
        if isinstance(guard.hi, Extent):  # masks the end of a loop
            end = self.indexer.extent(guard.hi)
            last = end if width == 1 else self.f.splat(kind, end)
            return [self.f.i(f"icmp slt {kind} {value}, {last}")]
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
