"""Kernels to LLVM IR: final SSA text with explicit vectors, for the CPU and wasm.

One kernel is one function ``void k(ptr args)``, which the caller of the program runs.  ``args``
holds 64-bit pointers: the pool, then the parameters, then `placed_scratch`.  Parallel loops become
functions of their own (`outline`), whose iterations the pool's threads share; since the pool
returns when all are done, a barrier leaves no code.  Private scratch is on the stack of whoever
writes it, or a thread's part of a place.

After the pointers comes what the interrupt counter was when the program was entered.  Loops with
much in an iteration compare, long ones with little after a stretch of iterations, and regions in
each block: after a change they end, and so does the caller, which looks as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from weft.codegen.extent_values import ExtentValues
from weft.codegen.llvm_text import Module
from weft.codegen.outline import (
    Environment,
    Region,
    blocks_of,
    free_variables,
    regions,
    written_outside,
)
from weft.codegen.scalar_llvm import Target
from weft.codegen.statements_llvm import Statements
from weft.codegen.tiles import Tile, memory_type
from weft.core.extents import Size
from weft.kernels import ir
from weft.kernels.program import elements_per_thread
from weft.kernels.work import heavy_loops, long_loops

#: As many threads as there are.
MANY = 1 << 20


def emit_kernel(
    module: Module,
    kernel: ir.Kernel,
    target: Target,
    threads: int = 1,
    sizes: Sequence[Size] = (),
    apart: Callable[[], Module] | None = None,
) -> str:
    """Add ``kernel`` to ``module``; returns the symbol of its function.

    ``threads`` is how many parts a place of private scratch has; no more threads take part then.
    ``sizes`` are those of the program; their table comes last among the function's arguments.
    ``apart`` is the module for the function of the next parallel region, if not this one.
    """
    return _KernelEmitter(module, kernel, target, threads, sizes, apart).emit()


class _KernelEmitter(Statements):
    """The function of a whole kernel, which the caller runs alone but for the regions in it."""

    def __init__(
        self,
        module: Module,
        kernel: ir.Kernel,
        target: Target,
        threads: int,
        sizes: Sequence[Size],
        apart: Callable[[], Module] | None,
    ) -> None:
        f = module.function(kernel.name, ["ptr noalias %args"])
        super().__init__(kernel, target, f)
        self.heavy, self.long = heavy_loops(kernel), long_loops(kernel)
        self.threads = threads
        self.sizes = sizes
        self.apart = apart
        self.regions = 0

    def emit(self) -> str:
        f = self.f
        self.written = written_outside(self.kernel.body)
        self._reserve(self.written)
        self._bind("%args", (*self.kernel.params, *self.placed))
        if self.sizes:
            place = 2 + len(self.kernel.params) + len(self.placed)
            table = f.load("ptr", f.gep("i64", "%args", place))
            hoist = partial(self.indexer.hoisted, 0)
            self.indexer.extent = ExtentValues(f, table, self.sizes, hoist).value
        self._open(None, "0")
        self._body(self.kernel.body)
        self._close()
        self._drain()
        f.ret()
        return f"@{self.kernel.name}"

    def _body(self, body: list[ir.Stmt]) -> None:
        for stmt in regions(body):
            if isinstance(stmt, tuple):
                self._region(stmt)
            else:
                self._STATEMENTS[type(stmt)](self, stmt)

    def _region(self, region: Region) -> None:
        f = self.f
        env = self._environment(region)
        name = f"{self.kernel.name}_region{self.regions}"
        self.regions += 1
        private = _BlockEmitter(self, region, env, name).emit()
        memory = self.indexer.hoisted(0, name, lambda: f.i(f"alloca [{env.nbytes} x i8], align 64"))
        env.store(f, memory)
        pool = f.load("ptr", "%args")
        most = self.threads if private else MANY
        f.module.use(f"@{name}", "void", "ptr, i64, i64, i64, i64")
        f.module.declare("declare void @weft_parallel(ptr, ptr, ptr, i64, i64)")
        f.do(
            f"call void @weft_parallel(ptr {pool}, ptr @{name}, ptr {memory}, "
            f"i64 {blocks_of(region)}, i64 {most})"
        )

    def _environment(self, region: Region) -> Environment:
        """The arguments, the positions of the loops around, private scratch, and tiles."""
        env = Environment()
        env.add("ptr", "%args")
        for scope in self.indexer.scopes[1:]:
            env.add("i64", str(scope.index))
        for buffer in self.written:
            env.add("ptr", self.bases[buffer])
        for var in free_variables(region):
            kind = self._vector(var)
            for register in dict.fromkeys(self.tiles[var].registers.values()):
                if register.startswith("%"):
                    env.add(kind, register)
        return env


class _BlockEmitter(Statements):
    """The function of a region: a block of the iterations of its loops, for any thread."""

    def __init__(self, outer: _KernelEmitter, region: Region, env: Environment, name: str) -> None:
        parameters = ["ptr noalias %env", "i64 %thread", "i64 %lo", "i64 %hi", "i64 %whole"]
        module, linkage = outer.f.module, "internal"
        if outer.apart is not None:
            module, linkage = outer.apart(), ""
        f = module.function(name, parameters, linkage=linkage)
        super().__init__(outer.kernel, outer.target, f)
        self.heavy, self.long = outer.heavy, outer.long
        self.outer = outer
        self.region = region
        self.env = env
        self.starts.update(outer.starts)

    def emit(self) -> bool:
        """Whether the threads need parts of placed private scratch."""
        f = self.f
        used = {s.buffer for s in ir.walk(list(self.region)) if isinstance(s, ir.Load | ir.Store)}
        self._reserve(used - set(self.outer.written))
        given = self.env.load(f, "%env")
        self._bind(given["%args"], used)
        self._leave_if_interrupted()
        for buffer in self.outer.written:
            self.bases[buffer] = given[self.outer.bases[buffer]]
        private = [b for b in self.placed if b.level == "thread" and b in used]
        private = [b for b in private if b not in self.outer.written]
        for buffer in private:
            start = f.mul("%thread", elements_per_thread(buffer))
            self.bases[buffer] = f.gep(memory_type(buffer.dtype), self.bases[buffer], start)
        for var in free_variables(self.region):
            tile = self.outer.tiles[var]
            names = {p: given.get(r, r) for p, r in tile.registers.items()}
            self.tiles[var] = Tile(tile.layout, tile.element, names)
        scopes = self.outer.indexer.scopes
        self._open(None, "0")
        for scope in scopes[1:]:
            self._open(scope.axis, given[str(scope.index)])
        self._body(list(self.region))
        for _ in scopes:
            self._close()
        self._drain()
        f.ret()
        return bool(private)

    def _leave_if_interrupted(self) -> None:
        f = self.f
        leave, go = f.label("leave"), f.label("go")
        f.branch(self._interrupted(), leave, go, unlikely=True)
        f.place(leave)
        f.ret()
        f.place(go)
