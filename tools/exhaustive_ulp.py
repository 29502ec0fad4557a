"""Measures the error of float32 elementary functions on all 2^32 inputs.

    python tools/exhaustive_ulp.py [--target avx512|avx2|sse2] [function ...]

The reference is the float64 version of the same function, whose own error is below 2^-27 ulp of a
float; tests/codegen/test_vecmath.py measures that one against libm's long double. NaN where a
number is due (or the reverse) and wrong signs count as infinite error.
"""

from __future__ import annotations

import argparse
import ctypes
import time

import llvmlite.binding as llvm
import numpy as np

from weft.codegen.llvm_text import Module
from weft.codegen.vecmath.functions import UNARY
from weft.codegen.vecmath.vec import Features, Vec

TARGETS = {
    "avx512": ("x86-64-v4", 16),
    "avx2": ("x86-64-v3", 8),
    "sse2": ("x86-64", 4),
}
FEATURES = {
    "avx512": Features(fma=True, rounding=True, avx512=True),
    "avx2": Features(fma=True, rounding=True),
    "sse2": Features(),
}


def emit(name: str, lanes: int, features: Features) -> str:
    """void measure(ptr error, ptr argument, i64 start, i64 stop): the worst of each lane."""
    module = Module()
    f = module.function("measure", ["ptr %error", "ptr %argument", "i64 %start", "i64 %stop"])
    v = Vec(f, "float", lanes, features)
    w = v.like("double")
    numbers = ", ".join(f"i32 {k}" for k in range(lanes))
    carried = [(w.type, w.const(-1.0)), (v.int_type, v.int_const(0))]
    with f.loop("%start", "%stop", lanes, carried) as loop:
        base = f.splat(v.int_type, f.i(f"trunc i64 {loop.index} to i32"))
        bits = v.integer("add", base, f"<{numbers}>")
        x = v.from_bits(bits)
        error = emit_error(v, w, UNARY[name](v, x), UNARY[name](w, v.widen(x)))
        worse = w.compare("ogt", error, loop.carried[0])
        loop.carry(
            w.select(worse, error, loop.carried[0]),
            v.integer_select(worse, bits, loop.carried[1]),
        )
    f.store(w.type, loop.results[0], "%error")
    f.store(v.int_type, loop.results[1], "%argument")
    f.ret()
    return module.text()


def emit_error(v: Vec, w: Vec, result: str, exact: str) -> str:
    """|result - exact| in units of the last place of `exact` in float."""
    overflow = 2.0**128
    y = w.clamp(v.widen(result), -overflow, overflow)
    r = w.clamp(exact, -overflow, overflow)
    exponent = w.integer("and", w.to_bits(r), 0x7FF << 52)
    smallest = (1023 - 126) << 52
    exponent = w.integer_select(w.integer_compare("ugt", exponent, smallest), exponent, smallest)
    scale = w.from_bits(w.integer("sub", (2 * 1023 + 23) << 52, exponent))
    error = w.mul(w.abs(w.sub(y, r)), scale)
    y_nan, r_nan = w.compare("uno", y, y), w.compare("uno", r, r)
    signs = w.integer("xor", w.to_bits(y), w.to_bits(r))
    error = w.select(w.integer_compare("slt", signs, 0), float("inf"), error)
    error = w.select(w.both(y_nan, r_nan), 0.0, error)
    wrong = w.function.i(f"xor {w.bool_type} {y_nan}, {r_nan}")
    return w.select(wrong, float("inf"), error)


def measure(name: str, target: str) -> tuple[float, np.float32]:
    """The worst error in ulp and an input that has it."""
    cpu, lanes = TARGETS[target]
    triple = llvm.get_process_triple()
    machine = llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu, opt=1, reloc="pic", codemodel="small", jit=True
    )
    header = f'target datalayout = "{machine.target_data}"\ntarget triple = "{triple}"\n'
    module = llvm.parse_assembly(header + emit(name, lanes, FEATURES[target]))
    builder = llvm.JITLibraryBuilder()
    builder.add_object_img(machine.emit_object(module))
    builder.add_current_process()
    builder.export_symbol("measure")
    library = builder.link(llvm.create_lljit_compiler(), "measure")
    errors = np.zeros(lanes, np.float64)
    arguments = np.zeros(lanes, np.float32)
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 2)
    run = prototype(library["measure"])
    run(errors.ctypes.data, arguments.ctypes.data, 0, 1 << 32)
    worst = int(np.argmax(errors))
    return float(errors[worst]), arguments[worst]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", choices=TARGETS, default="avx512")
    parser.add_argument("functions", nargs="*", metavar="function")
    options = parser.parse_args()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    for name in options.functions or UNARY:
        start = time.perf_counter()
        error, argument = measure(name, options.target)
        seconds = time.perf_counter() - start
        print(f"{name:12} {error:6.3f} ulp at {argument!r:24} ({seconds:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
