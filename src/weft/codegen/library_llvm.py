"""Calls of LAPACK and BLAS routines as native code: a loop over the matrices of a batch.

``void name(ptr table, i64 thread, i64 lo, i64 hi, i64 whole)``, a parallel region: ``table`` holds
pointers to the inputs and then the outputs of a `LibraryCall`; ``lo / whole`` to ``hi / whole`` of
the matrices are done, in the thread's own part of the scratch.
"""

from __future__ import annotations

import numpy as np

from weft.codegen.llvm_text import Function, Module
from weft.primitives.library_call import (
    Argument,
    Array,
    Flag,
    Integer,
    LibraryCall,
    Number,
)
from weft.runtime.libraries import library_symbol

_MEMCPY = "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"


def emit_library_call(module: Module, name: str, call: LibraryCall) -> str:
    """Adds the function ``name`` to ``module`` and returns ``@name``."""
    parameters = ["ptr %table", "i64 %thread", "i64 %lo", "i64 %hi", "i64 %whole"]
    f = module.function(name, parameters, "void", linkage="internal")
    bases = [f.load("ptr", f.gep("i64", "%table", n)) for n in range(len(call.parts))]
    constants = {a: _constant(module, f, a) for a in call.arguments if not isinstance(a, Array)}
    begin, end = (f.i(f"udiv i64 {f.mul(x, call.count)}, %whole") for x in ("%lo", "%hi"))
    with f.loop(begin, end) as loop:
        parts = []
        for base, part in zip(bases, call.parts, strict=True):
            row = "%thread" if part.kind == "scratch" else loop.index
            parts.append(f.gep("i8", base, f.mul(row, part.nbytes)))
        for n, part in enumerate(call.parts):
            if part.filled_from is not None and part.nbytes:
                module.declare(_MEMCPY)
                f.do(
                    f"call void @llvm.memcpy.p0.p0.i64(ptr {parts[n]}, "
                    f"ptr {parts[part.filled_from]}, i64 {part.nbytes}, i1 false)"
                )
        pointers = [
            parts[a.position] if isinstance(a, Array) else constants[a] for a in call.arguments
        ]
        symbol = library_symbol(call.symbol)
        module.declare(f"declare void @{symbol}({', '.join(['ptr'] * len(pointers))})")
        f.do(f"call void @{symbol}({', '.join(f'ptr {p}' for p in pointers)})")
        loop.carry()
    f.ret()
    return f"@{name}"


def _constant(module: Module, f: Function, argument: Argument) -> str:
    """A pointer to the value of an argument that is the same for all matrices."""
    if isinstance(argument, Flag):
        return module.data("i8", [ord(argument.character)], align=1)
    if isinstance(argument, Integer):
        return module.data("i32", [argument.value], align=4)
    if isinstance(argument, Number):
        single = argument.dtype in (np.float32, np.complex64)
        parts = [argument.value, 0.0] if argument.dtype.kind == "c" else [argument.value]
        return module.data("float" if single else "double", parts, align=16)
    return "null"
