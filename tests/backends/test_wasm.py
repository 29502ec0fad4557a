"""Programs in WebAssembly: every primitive, and what is particular to an engine in this process."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

import weft
from tests.compiled import test_primitives as primitives
from weft import lax
from weft import numpy as wnp
from weft.backends.wasm import Wasm
from weft.runtime.wasm_object import PAGE


@pytest.fixture(autouse=True)
def _programs_run_in_wasm(wasm: Wasm, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(function: Callable[..., Any], arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [np.asarray(y) for y in weft.jit(function, device=wasm.name)(*arrays)]

    monkeypatch.setattr(primitives, "run_compiled", run)


#: Random keys have no dtype of NumPy's, which the machine code's results are compared as.
NAMES = [name for name in primitives.NAMES if name != "random_wrap"]


@pytest.mark.parametrize("name", NAMES)
def test_every_primitive(name: str) -> None:
    primitives.test_every_shape_and_dtype(name)


@pytest.mark.parametrize(("primitive", "arity", "kinds"), primitives.EXACT, ids=str)
def test_exact_operations(primitive: Any, arity: int, kinds: Any) -> None:
    primitives.test_exact_operations_on_special_values_and_random_bits(primitive, arity, kinds)


@pytest.mark.parametrize("name", primitives.ELEMENTARY.split())
def test_elementary_functions(name: str) -> None:
    primitives.test_elementary_functions_on_special_values_and_random_bits(name)


def test_conversions() -> None:
    for dtype in primitives.EVERY:
        primitives.test_conversions_between_all_dtypes(dtype)
    primitives.test_float64_is_rounded_once_to_half_types()
    primitives.test_select_of_half_types_keeps_the_bits()


def test_control_flow_and_many_launches(wasm: Wasm) -> None:
    def step(carry: Any, _: Any) -> Any:
        x, n = carry
        y = wnp.cumsum(x) @ wnp.ones((x.size, 3)) + wnp.sort(x)[:3]
        x = lax.cond(n % 2 == 0, lambda v: v[::-1], lambda v: v + y.sum() / 1e5, x)
        return (x / wnp.max(wnp.abs(x)), n + 1), y

    def f(x: Any) -> Any:
        (x, n), ys = lax.scan(step, (x, 0), length=7)
        return lax.while_loop(lambda c: c[1] < 20, lambda c: (c[0] * 0.5, c[1] + 1), (x, n)), ys

    x = np.linspace(0.1, 1, 500, dtype=np.float32)
    expected = weft.tree.leaves(weft.jit(f)(x))
    for found, e in zip(weft.tree.leaves(weft.jit(f, device=wasm.name)(x)), expected, strict=True):
        np.testing.assert_allclose(found, e, rtol=1e-4, atol=1e-5)


def test_a_program_of_many_parts(wasm: Wasm) -> None:
    def f(x: Any) -> Any:
        out = []
        for n in range(300):
            x = wnp.cumsum(wnp.sin(x + n))
            out.append(x.sum())
        return out

    x = np.ones(7, np.float32)
    found = weft.jit(f, device=wasm.name)(x)
    np.testing.assert_allclose(wnp.stack(found), wnp.stack(weft.jit(f)(x)), rtol=1e-4, atol=1e-4)


def test_routines_and_callbacks_run_on_the_host(wasm: Wasm) -> None:
    a = np.array([[4, 1], [1, 3]], np.float64)

    def g(a: Any) -> Any:
        return wnp.linalg.solve(a, a @ a), wnp.linalg.eigh(a)[0]

    found = weft.jit(g, device=wasm.name)(a)
    np.testing.assert_allclose(found[0], a, atol=1e-12)
    np.testing.assert_allclose(found[1], np.linalg.eigvalsh(a), rtol=1e-12)

    def fails(x: Any) -> Any:
        raise LookupError("the host has its reasons")

    shape = weft.ShapeDtypeStruct((2,), np.float32)
    f = weft.jit(lambda x: weft.pure_callback(fails, shape, x) + 1, device=wasm.name)
    with pytest.raises(LookupError, match="has its reasons"):
        f(np.ones(2, np.float32))


def test_a_program_may_run_again_before_it_has_ended(wasm: Wasm) -> None:
    shape = weft.ShapeDtypeStruct((), np.int32)
    calls = threading.Barrier(2, timeout=30)

    def before(n: Any) -> Any:
        return np.asarray(factorial(n - 1))

    @partial(weft.jit, device=wasm.name)
    def factorial(n: Any) -> Any:
        return lax.cond(n > 1, lambda n: n * weft.pure_callback(before, shape, n), lambda n: n, n)

    assert int(factorial(np.int32(5))) == 120

    def met(n: Any) -> Any:
        calls.wait()
        return n

    @partial(weft.jit, device=wasm.name)
    def meet(n: Any) -> Any:
        return weft.pure_callback(met, shape, n) + 1

    found: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(int(meet(np.int32(n))))) for n in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [2, 3]


def test_memory_comes_back_and_grows(wasm: Wasm) -> None:
    x = weft.device_put(np.ones((300, 300), np.float32), wasm)
    f = weft.jit(lambda x: wnp.tanh(x @ x) @ x)
    f(x)
    gc.collect()
    f(x)
    held = wasm._space.end
    for _ in range(50):
        f(x)
    assert wasm._space.end == held
    large = weft.device_put(np.full(held // 4 + PAGE, 2, np.float32), wasm)
    assert wasm._space.end > held and float(large.sum()) == 2 * large.size
    with pytest.raises(MemoryError, match=r"wasm:0 .* has no 4,294,967,296 bytes for an array"):
        wasm.alloc(1 << 32)


def test_control_c_ends_a_program(wasm: Wasm) -> None:
    def f(x: Any, n: Any) -> Any:
        return lax.fori_loop(0, n, lambda _, v: wnp.sin(v) + 1, x)

    run, x = weft.jit(f, device=wasm.name), np.ones(1024, np.float32)
    before = run(x, 10)
    # Whoever started the tests may have left the signal ignored.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            run(x, 2**31 - 1)
        timer.join()
    finally:
        signal.signal(signal.SIGINT, previous)
    np.testing.assert_array_equal(run(x, 10), before)


def test_threads_share_the_device(wasm: Wasm) -> None:
    x = weft.device_put(np.linspace(0, 1, 5000, dtype=np.float32), wasm)
    programs = [weft.jit(lambda v, n=n: wnp.cumsum(v * n)[-1]) for n in range(4)]
    expected = [float(p(x)) for p in programs]
    found: list[list[float]] = []

    def work() -> None:
        found.append([float(p(x)) for _ in range(20) for p in programs])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected * 20] * 4


def test_the_process_ends_quietly() -> None:
    code = "import weft, weft.numpy as np; print((np.ones(3).to('wasm') + 1).sum())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "6.0\n", "")
