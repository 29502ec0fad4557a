"""Where native code looks out for Ctrl-C, and what it leaves undone then."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.samples import F32, at, few, loop
from weft.codegen import program_llvm
from weft.codegen.kernel_llvm import emit_kernel
from weft.codegen.llvm_text import Module
from weft.codegen.scalar_llvm import Target
from weft.kernels import work
from weft.kernels.interpret import run_kernel
from weft.kernels.ir import Buffer, Carry, For, Kernel, Load, Map, Store, Var
from weft.kernels.program import Copy, Program, Slot
from weft.runtime import interrupt
from weft.runtime.buffer import Buffer as Memory
from weft.runtime.cache import compile_cached
from weft.runtime.executable import NativeProgram
from weft.runtime.linker import link
from weft.runtime.native import compile_module
from weft.runtime.pool import symbols
from weft.terms.affine import Axis


def running_sum(n: int) -> Kernel:
    """``y[i] = x[0] + … + x[i]``, one by one."""
    i = Axis("i", n)
    x, y, start = Buffer("x", (n,), F32), Buffer("y", (n,), F32, "output"), Buffer("s", (), F32)
    zero, total, value, new, result = (Var(F32) for _ in range(5))
    body = [Load(value, x, at(i)), Map(new, "add", (total, value)), Store(y, at(i), new)]
    carry = Carry(total, zero, new, result)
    return Kernel(
        "running", (x, start, y), (), [Load(zero, start, ()), loop(i, body, carries=(carry,))]
    )


def run(kernel: Kernel, arrays: list[np.ndarray], interrupted: bool) -> None:
    """Calls the kernel's code; ``interrupted``: as if Ctrl-C had come since the program began."""
    module = Module()
    symbol = emit_kernel(module, kernel, Target(64, frozenset()))
    f = module.function("run", ["ptr %args"])
    f.do(f"call void {symbol}(ptr %args)")
    f.ret()
    library = link(compile_module(module.text(), verify=True), ["run"], symbols())
    count = ctypes.c_int32.from_address(interrupt.handler().counter).value
    pointers = [0, *(a.ctypes.data for a in arrays), count + interrupted]
    table = np.array(pointers, np.int64)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(library.address("run"))(table.ctypes.data)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 48, 100])
def test_stretches_cover_a_loop_once(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    monkeypatch.setattr(work, "LONG", 1)
    monkeypatch.setattr(work, "HEAVY", 4)
    kernel = running_sum(n)
    x = np.random.default_rng(n).standard_normal(n).astype(F32)
    arrays = [x, np.full((), 2, F32), np.zeros(n, F32)]
    params = kernel.params
    expected = run_kernel(kernel, dict(zip(params[:2], arrays, strict=False)))[params[2]]
    run(kernel, arrays, interrupted=False)
    np.testing.assert_array_equal(arrays[2], expected)


def test_an_interrupted_loop_ends_with_its_stretch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "LONG", 1)
    monkeypatch.setattr(work, "HEAVY", 4)
    kernel = running_sum(100)
    (stretch,) = work.long_loops(kernel).values()
    arrays = [np.ones(100, F32), np.zeros((), F32), np.zeros(100, F32)]
    run(kernel, arrays, interrupted=True)
    assert 0 < stretch < 50
    assert np.count_nonzero(arrays[2]) == stretch


def test_which_loops_poll() -> None:
    i, j = Axis("i", 1 << 20), Axis("j", 1 << 14)
    x = Buffer("x", (1 << 20, 1 << 14), F32, "output")
    one = Var(F32)
    inner = loop(j, [Store(x, at(i, j), one)])
    outer = loop(i, [inner])
    kernel = Kernel("k", (x,), (), [outer])
    assert work.heavy_loops(kernel) == {outer}
    assert work.long_loops(kernel) == {}
    flat = For(i, 0, 1 << 20, 1, [Store(x, at(i, 0), one)])
    assert work.long_loops(Kernel("k", (x,), (), [flat])) == {}
    k = Axis("k", 1 << 27)
    y = Buffer("y", (1 << 27,), F32, "output")
    light = loop(k, [Store(y, at(k), one)])
    assert list(work.long_loops(Kernel("k", (y,), (), [light]))) == [light]


@given(st.integers(1, 200), st.integers(1, 64))
@few
def test_copies_in_stretches(nbytes: int, stretch: int) -> None:
    source = Slot("source", (nbytes,), np.dtype(np.int8), "input")
    target = Slot("target", (nbytes,), np.dtype(np.int8), "output")
    program = Program((source,), (target,), (), (), [Copy(target, source)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program_llvm, "STRETCH", stretch)
        text = program_llvm.emit_program(program, Target(64, frozenset()))
    assert ("@weft_interrupts" in text.partition("loop")[2]) == (nbytes >= stretch)
    data = np.random.default_rng(0).integers(-128, 127, nbytes, np.int8)
    native = NativeProgram(compile_cached(text), input_nbytes=[nbytes], output_nbytes=[nbytes])
    (result,) = native([Memory.from_numpy(data)])
    assert (result.as_numpy((nbytes,), np.dtype(np.int8)) == data).all()


def test_long_copies_look_out_for_an_interruption() -> None:
    long, short = (
        Copy(Slot("a", (n,), np.dtype(np.int8)), Slot("b", (n,), np.dtype(np.int8)))
        for n in (1 << 30, 100)
    )
    assert work.seconds([long]) > 0.01
    assert work.seconds([short]) < 1e-6
