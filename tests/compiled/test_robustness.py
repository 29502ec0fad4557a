"""Leaks, memory that runs out, interruption, threads, forks, and the same bits on every run."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import threading
from typing import Any

import numpy as np
import pytest

import weft
from weft import lax
from weft import numpy as wnp
from weft.runtime.allocator import allocator


def in_a_process(code: str, seconds: float = 60) -> str:
    """Standard output of a program in a process of its own."""
    start = (
        "import os, signal, threading, time\nimport numpy as np\nimport weft\n"
        "from weft import lax\nfrom weft import numpy as wnp\n"
        # The background jobs of a shell inherit SIGINT as ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", start + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


# ---------------------------------------------------------------- leaks


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def test_ten_thousand_jitted_calls_leak_nothing() -> None:
    step = weft.jit(lambda s, x: ({"a": s["a"] * 0.5 + x, "n": s["n"] + 1}, wnp.sum(x)))
    state = {"a": wnp.zeros(1000), "n": 0}
    x = np.ones(1000, np.float32)
    for _ in range(500):
        state, _ = step(state, x)
    live, resident = allocator.statistics().live_bytes, resident_bytes()
    for _ in range(10_000):
        state, _ = step(state, x)
    assert allocator.statistics().live_bytes == live
    assert resident_bytes() - resident < 4 << 20
    assert int(state["n"]) == 10_500


def test_loops_of_delayed_work_leak_nothing() -> None:
    def run(times: int) -> Any:
        x = wnp.ones(1000)
        for _ in range(times):
            x = wnp.tanh(x * 1.5) + 0.1
            if float(x[0]) < 0:
                break
        return x

    run(300)
    gc.collect()
    live, resident = allocator.statistics().live_bytes, resident_bytes()
    run(3000)
    gc.collect()
    assert allocator.statistics().live_bytes == live
    assert resident_bytes() - resident < 8 << 20


def test_functions_that_are_dropped_free_their_code() -> None:
    def one(n: int) -> None:
        f = weft.jit(lambda x: x * n + wnp.sum(x))
        assert f(np.ones(3, np.float32)).shape == (3,)

    for n in range(20):
        one(n)
    live = allocator.statistics().live_bytes
    for n in range(40):
        one(n)
    assert allocator.statistics().live_bytes - live < 1 << 16


# ---------------------------------------------------------------- memory that runs out


@pytest.mark.parametrize(
    "ask",
    [
        lambda: weft.jit(lambda x: wnp.broadcast_to(x, (1 << 20, 1 << 22)) + 1)(1.0),
        lambda: np.asarray(wnp.ones((1 << 20, 1 << 22))),
        lambda: weft.jit(lambda x: wnp.cumsum(wnp.broadcast_to(x, (1 << 42,)) + 1)[:3])(1.0),
    ],
    ids=["result", "delayed", "temporary"],
)
def test_memory_that_is_not_there(ask: Any) -> None:
    with pytest.raises(MemoryError, match=r"cannot allocate (16|32)\.0 TiB \(\d+ bytes\)"):
        ask()
    assert weft.jit(lambda x: x + 1)(1.0) == 2.0


# ---------------------------------------------------------------- interruption

ENDLESS = "weft.jit(lambda x: lax.while_loop(lambda v: v[0] >= 0, lambda v: v * 1.0, x))"


def test_an_endless_loop_is_interrupted() -> None:
    out = in_a_process(
        f"""
        f = {ENDLESS}
        x = np.ones(4, np.float32)
        f(-x)
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            f(x)
        except KeyboardInterrupt:
            print("interrupted")
        print(f(-x)[0], weft.jit(wnp.sum)(x), wnp.ones(3) + 1)
        """
    )
    assert out.split("\n")[:2] == ["interrupted", "-1.0 4.0 [2. 2. 2.]"]


def test_a_delayed_loop_is_interrupted() -> None:
    out = in_a_process(
        """
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            x = lax.while_loop(lambda v: v[0] >= 0, lambda v: v * 1.0, wnp.ones(4))
            print(x)
        except KeyboardInterrupt:
            print("interrupted")
        print(wnp.ones(3) + 1)
        """
    )
    assert out == "interrupted\n[2. 2. 2.]\n"


def test_compilation_is_interrupted() -> None:
    out = in_a_process(
        """
        weft.config.cache_dir = None
        def long(x):
            for n in range(400):
                x = wnp.roll(wnp.tanh(x * n), n) @ wnp.ones((32, 32))
            return x
        f = weft.jit(long)
        x = np.ones((32, 32), np.float32)
        for delay in (0.05, 0.3, 0.6):
            timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
            try:
                f(x)
                print("finished")
            except KeyboardInterrupt:
                print("interrupted")
            timer.join()
        short = weft.jit(lambda x: wnp.tanh(x).sum() + 1)
        print(float(short(0 * x)))
        """
    )
    lines = out.split()
    assert lines[0] == "interrupted"
    assert lines[-1] == "1.0"


# ---------------------------------------------------------------- threads and processes


def test_a_fork_may_compute_and_compile() -> None:
    out = in_a_process(
        """
        f = weft.jit(lambda x: wnp.tanh(x).sum())
        x = np.ones(300_000, np.float32)
        first = float(f(x))
        child = os.fork()
        if child == 0:
            same = float(f(x)) == first
            fresh = float(weft.jit(lambda x: (x * 3).sum())(x)) == 900_000
            os._exit(0 if same and fresh and float((wnp.ones(3) + 1)[0]) == 2 else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), float(f(x)) == first)
        """
    )
    assert out == "0 True\n"


def test_four_threads_call_and_compile_at_once() -> None:
    shared = weft.jit(lambda x: wnp.tanh(x @ x.T).sum(0))
    x = np.random.default_rng(0).standard_normal((150, 150)).astype(np.float32)
    expected = np.asarray(shared(x))
    failures: list[BaseException] = []
    barrier = threading.Barrier(4)

    def work(number: int) -> None:
        try:
            barrier.wait()
            for n in range(12):
                own = weft.jit(lambda x, k=100 * number + n: (x * k).max())
                np.testing.assert_array_equal(shared(x), expected)
                scaled = np.float32(100 * number + n) * x
                assert float(own(x)) == scaled.max()
                assert float((wnp.asarray(x[0]) + n).max()) == (x[0] + np.float32(n)).max()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


# ---------------------------------------------------------------- the same bits


def test_repeated_runs_give_the_same_bits() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 700)).astype(np.float32)
    w = rng.standard_normal((700, 500)).astype(np.float32)

    @weft.jit
    def program(x: Any, w: Any) -> Any:
        y = wnp.tanh(x @ w)
        return y, y.sum(), wnp.exp(y - y.max(1, keepdims=True)).sum(1), wnp.cumsum(y, 0)

    first = [np.asarray(y).tobytes() for y in program(x, w)]
    for _ in range(5):
        assert [np.asarray(y).tobytes() for y in program(x, w)] == first


def test_elementwise_results_do_not_depend_on_segments() -> None:
    x = np.random.default_rng(0).standard_normal(10_001).astype(np.float32)

    def chain(x: Any, stops: set[int]) -> np.ndarray:
        y = wnp.asarray(x)
        for n in range(12):
            y = wnp.sin(y * 1.25 + 0.1) * y + wnp.exp(-y * y) / 3
            if n in stops:
                np.asarray(y)
        return np.asarray(y)

    whole = chain(x, set())
    for stops in ({3}, {0, 1, 7}, set(range(12))):
        assert chain(x, stops).tobytes() == whole.tobytes()
    jitted = weft.jit(lambda x: chain_jitted(x))(x)
    assert np.asarray(jitted).tobytes() == whole.tobytes()


def chain_jitted(x: Any) -> Any:
    for _ in range(12):
        x = wnp.sin(x * 1.25 + 0.1) * x + wnp.exp(-x * x) / 3
    return x


def test_compensated_sums_survive() -> None:
    """Kahan's sum and Dekker's product: (t - s) - y is zero only in exact arithmetic."""
    rng = np.random.default_rng(0)
    x = (rng.random(4000) * 1e4).astype(np.float32)

    def add(carry: Any, x: Any) -> Any:
        s, c = carry
        y = x - c
        t = s + y
        return (t, (t - s) - y), None

    (total, _), _ = weft.jit(lambda x: lax.scan(add, (0.0, 0.0), x))(x)
    exact = x.sum(dtype=np.float64)
    assert abs(float(total) - exact) <= np.spacing(np.float32(exact))

    def product_error(a: Any, b: Any) -> Any:
        def split(v: Any) -> Any:
            high = v * 4097.0 - (v * 4097.0 - v)
            return high, v - high

        (ah, al), (bh, bl), p = split(a), split(b), a * b
        return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl

    p, e = weft.jit(product_error)(x, x[::-1].copy())
    exact_products = x.astype(np.float64) * x[::-1]
    total = np.asarray(p).astype(np.float64) + np.asarray(e)
    np.testing.assert_array_equal(total, exact_products)


def test_running_folds_and_scatters_of_what_they_read_twice() -> None:
    """Values read several times by one kernel may be kept as rows, but not by these kernels."""
    x = np.random.default_rng(0).normal(size=(3, 8))
    order = np.argsort(x, -1).astype(np.int32)

    def differences(x: Any, order: Any) -> Any:
        taken = wnp.take_along_axis(x, order, -1)
        return taken[:, 1:] - taken[:, :-1]

    steps = np.diff(np.sort(x, -1), axis=-1)
    found = weft.jit(lambda x, order: wnp.cumsum(differences(x, order), -1))(x, order)
    np.testing.assert_allclose(found, np.cumsum(steps, -1), rtol=1e-12)
    to = np.array([2, 0], np.int32)
    found = weft.jit(
        lambda x, order: wnp.zeros((3, 7), np.float64).at[:2].add(differences(x, order)[to] * 2.0)
    )(x, order)
    np.testing.assert_allclose(found[:2], 2 * steps[to], rtol=1e-12)
