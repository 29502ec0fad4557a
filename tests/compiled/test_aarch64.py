"""The compiler's kernels for AArch64: LLVM makes object code of them, without calls, in vectors."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import weft
from tests.compiled.agreement import EVERY, FLOATS, HALF
from tests.levels import programs as random_programs
from weft import lax
from weft import numpy as wnp
from weft.compile import emit_llvm
from weft.core.avals import ShapedArray
from weft.core.staging import trace_to_jaxpr
from weft.planning import plan_program
from weft.runtime.native import compile_module, emit_assembly
from weft.runtime.pool import symbols
from weft.runtime.processors import aarch64

CPU = aarch64()
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)

#: What code may call: the runtime, and the functions of libm and libc that every system has.
PROVIDED = {*symbols(), "fmod", "fmodf", "memcpy", "memset"}

UNARY = (
    *("exp", "exp2", "expm1", "log", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "sinh"),
    *("cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "erf_inv", "logistic", "cbrt"),
    *("rsqrt", "sqrt", "floor", "ceil", "round", "sign", "is_finite", "neg", "abs"),
)
BINARY = ("add", "div", "rem", "pow", "atan2", "nextafter", "max", "min", "lt")


def llvm_text(function: Callable[..., Any], *avals: ShapedArray) -> str:
    return emit_llvm(plan_program(trace_to_jaxpr(function, list(avals)), CPU), CPU)


def vector(dtype: Any, *shape: int) -> ShapedArray:
    return ShapedArray(shape or (1000,), np.dtype(dtype))


def undefined(code: bytes) -> set[str]:
    """The names an ELF object of AArch64 leaves to the linker."""
    assert code[:5] == b"\x7fELF\x02" and struct.unpack_from("<H", code, 18) == (183,)
    (start,) = struct.unpack_from("<Q", code, 40)
    size, count = struct.unpack_from("<HH", code, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, start + k * size) for k in range(count)]
    names = set()
    for table in (s for s in sections if s[1] == 2):  # symbol tables
        strings = sections[table[6]][4]
        for at in range(table[4] + 24, table[4] + table[5], 24):
            name, section = struct.unpack_from("<IxxH", code, at)
            if section == 0:
                begin = strings + name
                names.add(code[begin : code.index(b"\0", begin)].decode())
    return names


def check(text: str) -> None:
    """Object code is made and needs nothing but what the runtime and libm have."""
    assert undefined(compile_module(text, CPU, verify=True)) <= PROVIDED


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_elementwise_functions(dtype: np.dtype) -> None:
    # Half types are converted around the functions of float32.
    unary = UNARY[::8] if dtype in HALF else UNARY
    x = vector(dtype)
    check(llvm_text(lambda x: [getattr(lax, name)(x) for name in unary], x))
    check(llvm_text(lambda x, y: [getattr(lax, name)(x, y) for name in BINARY], x, x))


def test_conversions() -> None:
    for dtype in EVERY:
        check(llvm_text(lambda x: [x.astype(d) for d in EVERY], vector(dtype)))


def shapes(x: Any, y: Any) -> list[Any]:
    """Folds, products, scans, views and indices."""
    rows = np.array([3, 1, 2])
    return [
        weft.nn.softmax(x),
        x @ y,
        x.sum(0),
        x.max(1),
        lax.argmax(x, 1),
        lax.cumsum(x, 1),
        x.T + 0,
        x[rows],
        x.at[rows].add(1),
        wnp.where(x > 0, x, wnp.roll(x, 1, 1)),
        wnp.concatenate([x[:, ::2], x[:, 1::3]], 1),
        lax.rev(x, (1,)),
    ]


@pytest.mark.parametrize("dtype", [*HALF, F32, F64, np.dtype(np.int16)], ids=str)
def test_shapes(dtype: np.dtype) -> None:
    if dtype.kind == "i":
        check(
            llvm_text(lambda x, y: shapes(x, y)[1:], vector(dtype, 64, 96), vector(dtype, 96, 40))
        )
    else:
        check(llvm_text(shapes, vector(dtype, 64, 96), vector(dtype, 96, 40)))


def test_control_flow_and_random_numbers() -> None:
    def program(x: Any) -> list[Any]:
        y = lax.fori_loop(0, 10, lambda i, y: y * x + i, x)
        z = lax.cond(x[0] > 0, lambda: y, lambda: x)
        return [z, weft.random.normal(weft.random.key(0), (300,))]

    check(llvm_text(program, vector(F32)))


@settings(max_examples=25)
@given(random_programs.programs)
def test_random_programs(program: random_programs.Program) -> None:
    avals = [ShapedArray(x.shape, x.dtype) for x in random_programs.inputs_of(program)]
    check(llvm_text(program, *avals))


# Lanes taken out one by one, and scalar arithmetic, in what ought to be vector code.
EXTRACT = r"\b(?:u?mov)\s+[wx]\d+, v\d+\.[bhsd]\[\d+\]"
SCALAR = r"\bf(?:mul|add|sub|div|madd)\s+[sd]\d+,"


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
@pytest.mark.parametrize("name", ["exp", "log", "tanh", "erf", "atan", "cbrt", "floor", "sqrt"])
def test_elementwise_functions_stay_in_vectors(name: str, dtype: np.dtype) -> None:
    whole = llvm_text(lambda x: [getattr(lax, name)(x)], vector(dtype, 1024))
    code = emit_assembly(whole, CPU)
    lanes = "4s" if dtype == F32 else "2d"
    assert re.search(rf"\bf\w+\s+v\d+\.{lanes}", code)
    assert not re.search(EXTRACT, code) and not re.search(SCALAR, code)


def test_products_multiply_and_add_vectors_by_one_element() -> None:
    code = emit_assembly(
        llvm_text(lambda x, y: [x @ y], vector(F32, 128, 128), vector(F32, 128, 128)), CPU
    )
    fused = len(re.findall(r"\bfmla\s+v\d+\.4s, v\d+\.4s, v\d+\.(?:4s|s\[\d\])", code))
    assert fused >= 16
    assert not re.search(SCALAR, code)
