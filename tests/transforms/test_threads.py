"""Eight threads that trace, compile and call at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

import weft
import weft.numpy as wnp

THREADS = 8


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """What ``work(n)`` gives in eight threads that begin together; raises what one raised."""
    barrier = threading.Barrier(THREADS)
    results: list[Any] = [None] * THREADS
    failures: list[BaseException] = []

    def run(n: int) -> None:
        try:
            barrier.wait()
            results[n] = work(n)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results


def test_one_function_one_signature():
    @weft.jit
    def f(x):
        return wnp.tanh(x).sum() * 3

    def work(n: int) -> list[float]:
        x = wnp.full(50, float(n))
        return [float(f(x)) for _ in range(20)]

    for n, got in enumerate(at_once(work)):
        np.testing.assert_allclose(got, np.tanh(n) * 150, rtol=1e-5)
        assert len(set(got)) == 1


def test_one_function_many_signatures():
    @weft.jit
    def f(tree):
        return {"sum": tree["x"].sum() + tree["y"], "x": tree["x"] + 1}

    def work(n: int) -> list[Any]:
        out = []
        for size in (n + 1, 3, n + 2):
            result = f({"x": wnp.ones(size), "y": wnp.float32(n)})
            out.append((float(result["sum"]), np.asarray(result["x"]).shape))
        return out

    for n, got in enumerate(at_once(work)):
        assert got == [(2 * n + 1, (n + 1,)), (n + 3, (3,)), (2 * n + 2, (n + 2,))]


def test_functions_of_their_own_under_transformations():
    def work(n: int) -> list[Any]:
        def loss(w, x):
            return ((wnp.sin(w * n) @ x) ** 2).mean()

        w, x = wnp.ones((3, 4)), wnp.ones((4, 2))
        value, slope = weft.jit(weft.value_and_grad(loss))(w, x)
        rows = weft.vmap(lambda r: weft.lax.fori_loop(0, n, lambda i, c: c + r, r))(x)
        with weft.disable_jit():
            plain = loss(w, x)
        return [float(value), float(plain), np.asarray(slope), np.asarray(rows)]

    for n, (value, plain, slope, rows) in enumerate(at_once(work)):
        np.testing.assert_allclose([value, plain], (4 * np.sin(n)) ** 2, rtol=1e-4, atol=1e-6)
        expected = 2 * 4 * np.sin(n) * np.cos(n) * n / 3
        np.testing.assert_allclose(slope, np.full((3, 4), expected), rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(rows, np.full((4, 2), n + 1.0))


def test_delayed_work_shared_between_threads():
    x = wnp.arange(1000.0)
    shared = [(x + n) * 2 for n in range(THREADS)]

    def work(n: int) -> list[float]:
        mine = [float((s + n).sum()) for s in shared]
        weft.compute(*shared)
        return mine

    for n, got in enumerate(at_once(work)):
        assert got == [2 * (499_500 + 1000 * k) + 1000 * n for k in range(THREADS)]


def test_large_programs_share_the_pool():
    a = wnp.ones((300, 300))
    f = weft.jit(lambda a, n: (a @ a * n).sum(0))

    def work(n: int) -> list[set[float]]:
        return [set(np.asarray(f(a, wnp.float32(n))).tolist()) for _ in range(5)]

    for n, got in enumerate(at_once(work)):
        assert got == [{300.0 * 300 * n}] * 5
