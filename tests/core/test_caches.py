"""Keys of programs by structure, the bounded cache, and the pause of the collector."""

from __future__ import annotations

import gc
import sys
import threading

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from weft.core.bounded import BoundedCache
from weft.core.canonical import MAX_CONSTANT_BYTES, jaxpr_key
from weft.core.collector import collector_paused


def key(fun, *args):
    return jaxpr_key(weft.make_jaxpr(fun)(*args))


X = np.ones((3, 4), np.float32)


def test_equal_programs_have_equal_keys():
    def one(x):
        return wnp.tanh(x @ x.T).sum()

    def two(y):
        product = y @ y.T
        return wnp.tanh(product).sum()

    assert key(one, X) == key(two, X)
    assert hash(key(one, X)) == hash(key(two, X))


@pytest.mark.parametrize(
    "other",
    [
        lambda x: x * 3,
        lambda x: x + 2,
        lambda x: 2 * x * x,
        lambda x: (x * 2, x * 2),
        lambda x: x.sum(0) * 2,
        lambda x: weft.lax.fori_loop(0, 3, lambda i, y: y * 2, x),
    ],
)
def test_other_programs_have_other_keys(other):
    assert key(other, X) != key(lambda x: x * 2, X)


def test_types_of_arguments_count():
    assert key(wnp.sin, X) != key(wnp.sin, X.T)
    assert key(wnp.sin, X) != key(wnp.sin, X.astype(np.float64))


def test_signs_of_zeros_and_kinds_of_numbers_count():
    assert key(lambda x: x + 0.0, X) != key(lambda x: x + -0.0, X)
    assert key(lambda x: (x, 1), X) != key(lambda x: (x, True), X)


def test_bodies_of_loops_count():
    def loop(factor):
        return lambda x: weft.lax.fori_loop(0, 3, lambda i, y: y * factor, x)

    assert key(loop(2.0), X) == key(loop(2.0), X)
    assert key(loop(2.0), X) != key(loop(3.0), X)


def test_small_constants_count_by_value_and_large_ones_have_no_key():
    def adding(constant):
        return lambda x: x + constant

    a, b = np.arange(4, dtype=np.float32), np.arange(1, 5, dtype=np.float32)
    assert key(adding(a), X) == key(adding(a.copy()), X)
    assert key(adding(a), X) != key(adding(b), X)
    large = np.ones((MAX_CONSTANT_BYTES, 3, 4), np.float32)
    assert key(adding(large), X) is None


def test_an_equal_function_is_not_compiled_again(monkeypatch):
    import weft.compile

    compiled = []
    original = weft.compile.compile_jaxpr

    def counting(closed, *args, **kwargs):
        compiled.append(closed)
        return original(closed, *args, **kwargs)

    monkeypatch.setattr(weft.compile, "compile_jaxpr", counting)
    x = wnp.asarray(X)
    results = [weft.jit(lambda x: wnp.cos(x) * 5 - 0.125)(x).tolist() for _ in range(3)]
    assert results[0] == results[1] == results[2]
    assert len(compiled) <= 1


def test_stats_tell_what_was_compiled():
    @weft.jit
    def f(x):
        return wnp.exp(x @ x.T).sum()

    stats = f.stats(X)
    assert stats.kernels >= 1
    assert stats.seconds == sum(stats.passes.values()) > 0
    assert set(stats.passes) == {"plan", "codegen", "llvm", "link"}


def test_the_least_recently_used_is_dropped():
    cache = BoundedCache(2)
    made = []

    def get(name):
        return cache.get(name, lambda: made.append(name) or name.upper())

    assert [get(n) for n in "abacab"] == list("ABACAB")
    assert made == list("abcb")
    assert len(cache) == 2
    cache.clear()
    assert len(cache) == 0


def test_threads_that_miss_at_once_get_one_value():
    cache = BoundedCache(10)
    barrier = threading.Barrier(4)
    found = []

    def make():
        barrier.wait(10)
        return object()

    threads = [
        threading.Thread(target=lambda: found.append(cache.get("key", make))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


def test_the_collector_pauses_in_nested_blocks_and_after_errors():
    assert gc.isenabled()
    with collector_paused():
        assert not gc.isenabled()
        with pytest.raises(ValueError, match="inner"), collector_paused():
            raise ValueError("inner")
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_caches_are_cleared_while_other_threads_jit():
    kept, failed = [], []

    def work():
        for _ in range(3000):
            kept.append(weft.jit(lambda x: x))

    def clear():
        try:
            while any(thread.is_alive() for thread in threads):
                weft.clear_caches()
        except RuntimeError as why:
            failed.append(why)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work) for _ in range(2)]
        others = [threading.Thread(target=clear)]
        for thread in (*threads, *others):
            thread.start()
        for thread in (*threads, *others):
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not failed and len(kept) == 6000
