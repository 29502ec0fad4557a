"""No public way of calling leaks, and running out of memory says how much was asked for."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from weft.runtime.allocator import allocator

x = np.ones(8, np.float32)
plus = weft.jit(lambda x, y: x + y)
nested = weft.jit(lambda t: {"a": t["b"] + 1, "b": (t["a"],)})
donating = weft.jit(lambda x: x * 2, donate_argnums=0)
slope = weft.jit(weft.grad(lambda x: (x * x).sum()))
X = weft.compute(wnp.ones(8))

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
}


@pytest.mark.parametrize("name", CALLS)
def test_nothing_leaks(name: str):
    count, call = CALLS[name]
    for _ in range(50):
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
