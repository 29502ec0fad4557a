"""No public way of calling leaks, and running out of memory says how much was asked for."""

from __future__ import annotations

import contextlib
import copy
import gc
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from weft.runtime.allocator import allocator
from weft.transforms.call import _executables

x = np.ones(8, np.float32)
plus = weft.jit(lambda x, y: x + y)
nested = weft.jit(lambda t: {"a": t["b"] + 1, "b": (t["a"],)})
donating = weft.jit(lambda x: x * 2, donate_argnums=0)
slope = weft.jit(weft.grad(lambda x: (x * x).sum()))
X = weft.compute(wnp.ones(8))
scaled = weft.jit(lambda x, n: x * n, static_argnums=1)
running = weft.jit(lambda x: weft.lax.scan(lambda c, v: (c + v, c), 0.0, x))
chosen = weft.jit(lambda x: weft.lax.cond(x[0] > 0, lambda: x, lambda: -x))
sorting = weft.jit(wnp.sort)
calling = weft.jit(lambda x: weft.pure_callback(np.sin, weft.ShapeDtypeStruct((8,), x.dtype), x))
solving = weft.jit(lambda m, x: wnp.linalg.solve(m, x))
drawing = weft.jit(lambda seed: weft.random.normal(weft.random.key(seed), (8,)))
M = weft.compute(wnp.eye(8) * 2)


def failing() -> None:
    """Errors while tracing and while running."""
    for wrong in (lambda x: x + wnp.ones(3), lambda x: float(x[0])):
        with contextlib.suppress(TypeError, ValueError):
            weft.jit(wrong)(X)
    with contextlib.suppress(ZeroDivisionError):
        raising(X)


def raise_one(x: np.ndarray) -> np.ndarray:
    raise ZeroDivisionError


raising = weft.jit(lambda x: weft.pure_callback(raise_one, weft.ShapeDtypeStruct((8,), x.dtype), x))


def updated() -> Any:
    y = wnp.asarray(x)
    y[2] = 5
    y += 1
    return np.asarray(y.at[1].add(1))


CALLS: dict[str, tuple[int, Callable[[], Any]]] = {
    "jit": (10_000, lambda: plus(X, X)),
    "jit of NumPy": (2_000, lambda: plus(x, x)),
    "jit of containers": (10_000, lambda: nested({"a": X, "b": X})),
    "donation": (2_000, lambda: donating(wnp.asarray(x))),
    "grad": (10_000, lambda: slope(X)),
    "delayed": (2_000, lambda: np.asarray(X + 1)),
    "asarray": (10_000, lambda: wnp.asarray(x)),
    "to NumPy": (10_000, lambda: np.asarray(X)),
    "compute": (2_000, lambda: weft.compute(X * 2)),
    "delete": (2_000, lambda: wnp.asarray(x).delete()),
    "dlpack": (2_000, lambda: np.from_dlpack(X)),
    "from dlpack": (2_000, lambda: np.asarray(wnp.from_dlpack(x) + 1)),
    "pickle": (1_000, lambda: pickle.loads(pickle.dumps(X, 5))),
    "copy": (2_000, lambda: (copy.copy(X), copy.deepcopy(X))),
    "repr": (500, lambda: repr(X)),
    "numbers": (2_000, lambda: (float(X[0]), X.tolist())),
    "assignment": (500, updated),
    "indexing": (500, lambda: np.asarray(X[::2][X[0].astype(int)])),
    "static arguments": (2_000, lambda: scaled(X, 3)),
    "scan": (2_000, lambda: running(X)),
    "cond": (2_000, lambda: chosen(X)),
    "a routine": (2_000, lambda: sorting(X)),
    "a callback": (2_000, lambda: calling(X)),
    "LAPACK": (1_000, lambda: solving(M, X)),
    "random": (2_000, lambda: drawing(3)),
    "compute_async": (500, lambda: weft.compute_async(X * 2).result()),
    "grad outside jit": (300, lambda: np.asarray(weft.grad(lambda x: (x * x).sum())(X))),
    "vjp": (300, lambda: weft.vjp(lambda x: x * x, X)[1](X)[0].tolist()),
    "jvp": (300, lambda: weft.jvp(lambda x: x * x, (X,), (X,))[1].tolist()),
    "linearize": (300, lambda: weft.linearize(lambda x: x * x, X)[1](X).tolist()),
    "vmap": (300, lambda: weft.vmap(lambda x: x * 2)(X).tolist()),
    "make_jaxpr": (300, lambda: weft.make_jaxpr(lambda x: x * 2)(X)),
    "eval_shape": (300, lambda: weft.eval_shape(lambda x: x * 2, X)),
    "jit again": (300, lambda: weft.jit(lambda x: x * 3 - 1)(X)),
    "an error": (300, failing),
}


@pytest.mark.parametrize("name", CALLS)
def test_nothing_leaks(name: str):
    count, call = CALLS[name]
    for _ in range(800):  # caches are bounded, the largest at 512
        call()

    def held() -> tuple[int, int]:
        gc.collect()
        return len(gc.get_objects()), allocator.statistics().live_bytes

    objects, live = held()
    for _ in range(count):
        call()
    objects_now, live_now = held()
    assert objects_now - objects < 200
    assert live_now - live < 64 << 10


def test_code_of_functions_that_are_gone_is_unloaded():
    """Every program is dropped from the caches by those that follow; its pages are given back."""

    def compile_some(start: int) -> None:
        for n in range(start, start + 20):
            weft.jit(lambda x, n=n: x * (n + 0.5))(X)

    def pages() -> int:
        gc.collect()
        with open("/proc/self/maps") as file:
            return sum("r-xp 00000000 00:00" in line for line in file)

    before = _executables.limit
    _executables.limit = 5
    try:
        compile_some(0)
        mapped = pages()
        compile_some(100)
        assert pages() <= mapped
    finally:
        _executables.limit = before


@pytest.mark.parametrize(
    "ask",
    [
        lambda: weft.compute(wnp.ones((1 << 24, 1 << 20))),
        lambda: weft.jit(lambda x: wnp.zeros((1 << 24, 1 << 20)) + x[0])(X),
    ],
)
def test_out_of_memory_names_the_size(ask: Callable[[], Any]):
    with pytest.raises(MemoryError, match=r"cannot allocate 64\.0 TiB \(70368744177664 bytes\)"):
        ask()
    assert np.asarray(plus(X, X)).tolist() == [2] * 8
