"""Programs to LLVM IR: one native ``main`` that launches kernels, loops and copies.

``i32 main(ptr args, ptr arena, ptr pool)``: ``args`` are pointers to constants, inputs and outputs
(before them, for a class of shapes, to the table of sizes);
temporaries lie in the arena at the offsets of the memory plan.  A slot that is swapped lives in a
stack cell, every other slot is a plain pointer.  Long programs are cut into functions that ``main``
calls (`weft.codegen.parts`).  The interrupt counter is compared at every launch
of a parallel region, every iteration of a loop, within long copies, and after kernels that may have
left off early.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from weft.codegen.extent_values import ExtentValues
from weft.codegen.kernel_llvm import emit_kernel
from weft.codegen.library_llvm import emit_library_call
from weft.codegen.llvm_text import Function, Module, Value
from weft.codegen.parts import Call, Inline, Item, Parts, walk_items
from weft.codegen.scalar_llvm import Target
from weft.codegen.stamps_llvm import Stamps
from weft.codegen.statements_llvm import read_interrupts
from weft.core.extents import Extent, Size
from weft.kernels import program as ir
from weft.kernels.ir import Kernel, loops
from weft.kernels.program import walk_steps
from weft.kernels.work import heavy_loops, long_loops
from weft.primitives.library_call import LibraryCall

INTERRUPTED = 1

#: Bytes of a copy between looks at the interrupt counter: a few milliseconds.
STRETCH = 1 << 25


#: Lines of text from which on a module is complete and the next kernel goes into another. Those of
#: parallel regions are shorter: most of the work is in them, and threads share it.
MODULE = 800
REGIONS = 300


def emit_program(program: ir.Program, target: Target) -> str:
    """LLVM IR text of ``program`` with all its kernels and ``main``, in one module."""
    return Emitter(target, program.threads, program.sizes).finish(program)


def is_parallel(kernel: Kernel) -> bool:
    """Whether ``kernel`` has parallel regions."""
    return any(loop.kind == "parallel" for loop in loops(kernel.body))


def routines_of(program: ir.Program) -> list[tuple[str, ir.Routine]]:
    """The host functions that ``program`` calls, each with the symbol it is called by."""
    steps = [s for s in walk_steps(program.steps) if isinstance(s, ir.Routine)]
    hosted = [s for s in steps if not isinstance(s.function, LibraryCall)]
    return [(f"weft_routine_{n}", step) for n, step in enumerate(hosted)]


def library_calls(program: ir.Program) -> list[str]:
    """The names of the routines of native libraries that ``program`` calls."""
    calls = [s.function for s in walk_steps(program.steps) if isinstance(s, ir.Routine)]
    return sorted({c.symbol for c in calls if isinstance(c, LibraryCall)})


def uses_pool(program: ir.Program) -> bool:
    """Whether ``program`` has parallel regions."""
    return any(
        (isinstance(s, ir.Launch) and is_parallel(s.kernel))
        or (
            isinstance(s, ir.Routine)
            and isinstance(s.function, LibraryCall)
            and s.function.threads > 1
        )
        for s in walk_steps(program.steps)
    )


#: Bytes of a stack beside private scratch and the tables of launches.
_STACK = 1 << 16


def stack_bytes(program: ir.Program) -> int:
    """Bytes of a stack that are enough for ``program``, where it is up to us how long that is."""
    tables = sum(
        8 * (len(s.slots) + len(s.scratch) + 4) if isinstance(s, ir.Launch) else 64
        for s in walk_steps(program.steps)
    )
    return _STACK + 2 * ir.STACK_SCRATCH + tables


class Emitter:
    """LLVM IR text of a program: of its kernels as they become known, then of the whole.

    Without ``ready`` that is one module. Otherwise it is several, each of which may use what those
    before it define: ``ready`` is given all but the last. With ``stamped``, the program takes the
    time of its steps (`weft.codegen.stamps_llvm`).
    """

    program: ir.Program

    def __init__(
        self,
        target: Target,
        threads: int,
        sizes: Sequence[Size] = (),
        ready: Callable[[str], None] | None = None,
        stamped: bool = False,
    ) -> None:
        self.target = target
        self.stamped = stamped
        self.stamps: Stamps | None = None
        self.threads = threads
        self.sizes = sizes
        self.ready = ready
        self.module = Module()
        self.regions = Module()
        self.symbols: dict[Kernel, str] = {}
        self.libraries: dict[LibraryCall, str] = {}
        #: Functions that are called: their names, and what they run.
        self.called: list[tuple[str, list[ir.Step]]] = []

    def kernel(self, kernel: Kernel) -> None:
        """Adds a kernel, unless it is there."""
        if kernel in self.symbols:
            return
        self._next_module()
        named = kernel.evolve(name=f"k{len(self.symbols)}_{kernel.name}")
        self.symbols[kernel] = emit_kernel(
            self.module, named, self.target, self.threads, self.sizes, self._apart()
        )

    def finish(self, program: ir.Program) -> str:
        """Adds what is missing, ``main``, and the parts of it that are functions of their own;
        returns the last module."""
        self.program = program
        self.routines = {step: symbol for symbol, step in routines_of(program)}
        # The first argument of a program for a class of shapes is the table of sizes.
        slots = (*program.constants, *program.inputs, *program.outputs)
        self.places = {slot: n for n, slot in enumerate(slots, bool(program.sizes))}
        self.cells = {slot: n for n, slot in enumerate(_swapped(program.steps))}
        self.parts = Parts(program)
        self._kernels(program.steps)
        if self.ready is not None:
            self._regions_are_ready(self.ready)
        self._next_module()
        if self.stamped:
            self.stamps = Stamps(self.module, program)
        for call, name in self.libraries.items():
            emit_library_call(self.module, name, call)
        for symbol in self.symbols.values():
            self.module.use(symbol, "void", "ptr")
        f = self.module.function("main", ["ptr %args", "ptr %arena", "ptr %pool"], "i32")
        cells = f.i(f"alloca [{len(self.cells)} x i64], align 8") if self.cells else "null"
        main = _Function(self, f, self.program.steps, cells)
        if self.cells:  # all of them temporaries, and of known sizes
            offsets = self.module.data("i64", [_offset(slot) for slot in self.cells], align=8)
            with f.loop(0, len(self.cells), at_least_once=True) as loop:
                offset = f.load("i64", f.gep("i64", offsets, loop.index))
                start = f.gep("i8", "%arena", offset)
                f.store("ptr", start, f.gep("i64", cells, loop.index))
        main.emit(read_interrupts(f))
        parameters = ["ptr %args", "ptr %arena", "ptr %pool", "ptr %cells", "i32 %seen"]
        for name, steps in self.called:  # which grows meanwhile
            f = self.module.function(name, parameters, "i32", linkage="internal")
            _Function(self, f, steps, "%cells").emit("%seen")
        return self.module.text()

    def part(self, steps: list[ir.Step]) -> str:
        """The symbol of a function that runs ``steps``."""
        name = f"part{len(self.called)}"
        self.called.append((name, steps))
        return f"@{name}"

    def _kernels(self, steps: list[ir.Step]) -> None:
        for step in walk_steps(steps):
            if isinstance(step, ir.Launch):
                self.kernel(step.kernel)
            elif isinstance(step, ir.Routine) and isinstance(step.function, LibraryCall):
                call = step.function
                if call not in self.libraries:
                    self.libraries[call] = f"l{len(self.libraries)}_{call.symbol}"

    def _next_module(self) -> None:
        if self.ready is not None and self.module.lines() > MODULE:
            self._regions_are_ready(self.ready)
            self.ready(self.module.text())
            self.module = Module()

    def _apart(self) -> Callable[[], Module] | None:
        """Where the next parallel region goes, if not into the module of its kernel."""
        ready = self.ready
        if ready is None:
            return None

        def module() -> Module:
            if self.regions.lines() > REGIONS:
                self._regions_are_ready(ready)
            return self.regions

        return module

    def _regions_are_ready(self, ready: Callable[[str], None]) -> None:
        if self.regions.lines():
            ready(self.regions.text())
            self.regions = Module()


class _Function:
    """``main`` or a part of it: 0 if it ran to its end, `INTERRUPTED`, or what a routine returned.

    ``all_cells`` is an array of pointers to what swapped slots are at present.
    """

    def __init__(self, program: Emitter, f: Function, steps: list[ir.Step], all_cells: str) -> None:
        self.top = program
        self.program = program.program
        self.module = program.module
        self.f = f
        self.items = program.parts.items(steps)
        self.steps = [i.step for i in walk_items(self.items) if isinstance(i, Inline)]
        self.all_cells = all_cells
        self.cells: dict[ir.Slot, str] = {}
        self.pointers: dict[ir.Slot, str] = {}
        self.extent: Callable[[Any], Value] = lambda number: number
        if self.program.sizes:
            self.table = f.load("ptr", "%args")
            known: dict[object, Value] = {}

            def once(key: object, build: Callable[[], Value]) -> Value:
                if key not in known:
                    known[key] = build()
                return known[key]

            self.extent = ExtentValues(f, self.table, self.program.sizes, once).value
        if program.stamps is not None:
            last = len(program.places) + bool(self.program.sizes)
            self.log = f.load("ptr", f.gep("i64", "%args", last))
        self._bind_slots()

    def emit(self, seen: str) -> None:
        """Write the function; ``seen`` is the interrupt counter when the program began."""
        f, self.seen = self.f, seen
        self.out = f.label("interrupted")
        self.failed = f.label("failed")
        calls = any(isinstance(item, Call) for item in walk_items(self.items))
        may_fail = calls or any(step in self.top.routines for step in self.steps)
        self.status = f.i("alloca i32, align 4") if may_fail else None
        self.tables = self._launch_tables()
        self._items(self.items)
        f.ret("i32", 0)
        f.place(self.out)
        f.ret("i32", INTERRUPTED)
        if self.status is not None:
            f.place(self.failed)
            f.ret("i32", f.load("i32", self.status))

    # -- slots -------------------------------------------------------------------------------------

    def _bind_slots(self) -> None:
        """Pointers to what the steps of this function use, before the branches that use them."""
        numbers = self.top.cells
        for step in self.steps:
            if isinstance(step, ir.Copy):
                self.extent(step.target.nbytes)
            for slot in (*ir.reads_of(step), *ir.writes_of(step)):
                if slot in self.pointers or slot in self.cells:
                    continue
                if slot in numbers:
                    self.cells[slot] = self.f.gep("i64", self.all_cells, numbers[slot])
                else:
                    self.pointers[slot] = self.memory(slot)

    def memory(self, slot: ir.Slot) -> str:
        """Where ``slot`` lies."""
        if slot.role != "temporary":
            return self.f.load("ptr", self.f.gep("i64", "%args", self.top.places[slot]))
        return self.f.gep("i8", "%arena", self.extent(_offset(slot)))

    def _pointer(self, slot: ir.Slot) -> str:
        cell = self.cells.get(slot)
        return self.pointers[slot] if cell is None else self.f.load("ptr", cell)

    def _launch_tables(self) -> dict[ir.Step, str]:
        """Argument tables of launches and routines, on the stack, outside of loops."""
        tables: dict[ir.Step, str] = {}
        for step in self.steps:
            if isinstance(step, ir.Launch):
                count = len(step.slots) + len(step.scratch) + 2
                room = count + bool(self.program.sizes)
                table = tables[step] = self.f.i(f"alloca [{room} x i64], align 8")
                self.f.store("ptr", "%pool", table)
                self.f.store("i32", self.seen, self.f.gep("i64", table, count - 1))
                if self.program.sizes:
                    self.f.store("ptr", self.table, self.f.gep("i64", table, count))
            elif isinstance(step, ir.Routine):
                count = max(1, len(step.inputs) + len(step.outputs))
                tables[step] = self.f.i(f"alloca [{count} x i64], align 8")
        return tables

    # -- steps -------------------------------------------------------------------------------------

    def _items(self, items: Sequence[Item]) -> None:
        for item in items:
            if isinstance(item, Call):
                self._part(item)
            elif item.blocks:
                self._CONTROL[type(item.step)](self, item.step, *item.blocks)
            elif self.top.stamps is None:
                self._STEPS[type(item.step)](self, item.step)
            else:
                with self.top.stamps.around(self.f, item.step, self.log):
                    self._STEPS[type(item.step)](self, item.step)

    def _part(self, item: Call) -> None:
        symbol = self.top.part(item.steps)
        arguments = f"ptr %args, ptr %arena, ptr %pool, ptr {self.all_cells}, i32 {self.seen}"
        self._go_on(self.f.i(f"call i32 {symbol}({arguments})"))

    def _go_on(self, status: str) -> None:
        """Leave with ``status`` unless it is 0."""
        f = self.f
        assert self.status is not None
        f.store("i32", status, self.status)
        stopped = f.i(f"icmp ne i32 {status}, 0")
        go = f.label("go")
        f.branch(stopped, self.failed, go, unlikely=True)
        f.place(go)

    def _poll(self) -> None:
        f = self.f
        changed = f.i(f"icmp ne i32 {read_interrupts(f)}, {self.seen}")
        go = f.label("go")
        f.branch(changed, self.out, go, unlikely=True)
        f.place(go)

    def _launch(self, step: ir.Launch) -> None:
        f, table = self.f, self.tables[step]
        for n, slot in enumerate((*step.slots, *step.scratch), 1):
            f.store("ptr", self._pointer(slot), f.gep("i64", table, n))
        symbol = self.top.symbols[step.kernel]
        parallel = is_parallel(step.kernel)
        if parallel:
            self._poll()
        f.do(f"call void {symbol}(ptr {table})")
        if parallel or heavy_loops(step.kernel) or long_loops(step.kernel):
            self._poll()

    def _copy(self, step: ir.Copy) -> None:
        f = self.f
        target, source = self._pointer(step.target), self._pointer(step.source)
        if step.target.nbytes == 0 or target == source:
            return
        same = f.i(f"icmp eq ptr {target}, {source}")
        move, done = f.label("copy"), f.label("copied")
        f.branch(same, done, move)
        f.place(move)
        self.module.declare("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
        nbytes = step.target.nbytes
        # Arrays of a class of shapes are small.
        whole, rest = (0, nbytes) if isinstance(nbytes, Extent) else divmod(nbytes, STRETCH)
        if whole:
            with f.loop(0, whole, at_least_once=True) as loop:
                at = f.mul(loop.index, STRETCH)
                self._move(f.gep("i8", target, at), f.gep("i8", source, at), STRETCH)
                self._poll()
        if rest != 0:
            at = whole * STRETCH
            self._move(f.gep("i8", target, at), f.gep("i8", source, at), rest)
        f.jump(done)
        f.place(done)

    def _move(self, target: str, source: str, nbytes: Any) -> None:
        call = "call void @llvm.memcpy.p0.p0.i64"
        self.f.do(f"{call}(ptr {target}, ptr {source}, i64 {self.extent(nbytes)}, i1 false)")

    def _swap(self, step: ir.Swap) -> None:
        a, b = self._pointer(step.a), self._pointer(step.b)
        self.f.store("ptr", b, self.cells[step.a])
        self.f.store("ptr", a, self.cells[step.b])

    def _for(self, step: ir.For, body: Sequence[Item]) -> None:
        f = self.f
        with f.loop(0, step.length) as loop:
            self._poll()
            count = f.i(f"trunc i64 {loop.index} to i32")
            f.store("i32", count, self._pointer(step.counter))
            self._items(body)

    def _while(self, step: ir.While, condition: Sequence[Item], body: Sequence[Item]) -> None:
        f = self.f
        head, inside, done = f.label("while"), f.label("body"), f.label("done")
        f.jump(head)
        f.place(head)
        self._poll()
        self._items(condition)
        flag = f.load("i8", self._pointer(step.predicate))
        more = f.i(f"icmp ne i8 {flag}, 0")
        f.branch(more, inside, done)
        f.place(inside)
        self._items(body)
        f.jump(head)
        f.place(done)

    def _if(self, step: ir.If, *branches: Sequence[Item]) -> None:
        f = self.f
        index = f.load("i32", self._pointer(step.index))
        low = f.intrinsic("smax", "i32", index, 0)
        chosen = f.intrinsic("smin", "i32", low, len(step.branches) - 1)
        labels = [f.label("branch") for _ in step.branches]
        done = f.label("done")
        cases = " ".join(f"i32 {n}, label %{label}" for n, label in enumerate(labels[:-1]))
        f.do(f"switch i32 {chosen}, label %{labels[-1]} [{cases}]")
        for label, body in zip(labels, branches, strict=True):
            f.place(label)
            self._items(body)
            f.jump(done)
        f.place(done)

    def _routine(self, step: ir.Routine) -> None:
        f, table = self.f, self.tables[step]
        for n, slot in enumerate((*step.inputs, *step.outputs)):
            f.store("ptr", self._pointer(slot), f.gep("i64", table, n))
        if isinstance(step.function, LibraryCall):
            self._library(step.function, table)
        else:
            self._host(self.top.routines[step], table)

    def _library(self, call: LibraryCall, table: str) -> None:
        """A loop over matrices, on several threads if that is worth it."""
        f, symbol = self.f, f"@{self.top.libraries[call]}"
        self._poll()
        if call.threads > 1:
            self.module.declare("declare void @weft_parallel(ptr, ptr, ptr, i64, i64)")
            f.do(
                f"call void @weft_parallel(ptr %pool, ptr {symbol}, ptr {table}, "
                f"i64 {call.blocks}, i64 {call.threads})"
            )
        else:
            f.do(f"call void {symbol}(ptr {table}, i64 0, i64 0, i64 1, i64 1)")

    def _host(self, symbol: str, table: str) -> None:
        """A call back to the host; a status other than 0 means that it raised."""
        f = self.f
        self.module.declare(f"declare i32 @{symbol}(ptr)")
        self._go_on(f.i(f"call i32 @{symbol}(ptr {table})"))

    _STEPS: dict[type, Callable[..., None]] = {
        ir.Launch: _launch,
        ir.Copy: _copy,
        ir.Swap: _swap,
        ir.Routine: _routine,
    }
    _CONTROL: dict[type, Callable[..., None]] = {ir.For: _for, ir.While: _while, ir.If: _if}


def _offset(slot: ir.Slot) -> Any:
    """Where a temporary starts in the arena."""
    if slot.offset is None:
        raise ValueError(f"temporary {slot} has no place: plan the program's memory first")
    return slot.offset


def _swapped(steps: list[ir.Step]) -> list[ir.Slot]:
    slots: dict[ir.Slot, None] = {}
    for step in walk_steps(steps):
        if isinstance(step, ir.Swap):
            slots[step.a] = slots[step.b] = None
    return list(slots)
