"""Jitted functions called natively: the same as through Python, without entering it."""

from __future__ import annotations

import gc
import inspect
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft.config import jit_is_disabled
from weft.runtime import fast_call
from weft.runtime.buffer import Buffer
from weft.runtime.call_path import call_address
from weft.runtime.fast_call import FastCallable, install_finalizer
from weft.runtime.layout import known_interpreter
from weft.transforms.jit import JitFunction

# The first program of a process does not wait for the native call path; from then on it is there.
fast_call.entry_code()
call_address()

native_only = pytest.mark.skipif(not known_interpreter(), reason="Python path only")


def two(x: Any, y: Any = 3.0) -> Any:
    return x * 2 + y


def ready(*shape: int) -> Any:
    return weft.compute(wnp.ones(shape))


def frames_entered(call: Callable[[], Any]) -> list[str]:
    """The names of the Python functions that a call enters."""
    entered: list[str] = []

    def profile(frame: Any, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code is not call.__code__:
            entered.append(frame.f_code.co_name)

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return entered


@native_only
def test_a_repeated_call_enters_no_python():
    f = weft.jit(two)
    x, y = ready(4), ready(4)
    f(x, y)
    assert frames_entered(lambda: f(x, y)) == []


@native_only
def test_methods_and_partial_enter_no_python_either():
    class Model:
        @weft.jit
        def __call__(self, x: Any) -> Any:
            return x

        add = staticmethod(weft.jit(two))

    x = ready(4)
    call = Model.add
    call(x, x)
    assert frames_entered(lambda: Model.add(x, x)) == []
    bound = partial(call, x)
    assert frames_entered(lambda: bound(x)) == []


def python_call(f: JitFunction, *args: Any, **kwargs: Any) -> Any:
    return JitFunction.__call__(f, *args, **kwargs)


argument = st.sampled_from(["array", "other shape", "delayed", "number", "numpy", "text"])


def make(kind: str) -> Any:
    return {
        "array": lambda: ready(4),
        "other shape": lambda: ready(3, 4),
        "delayed": lambda: wnp.ones(4) + 1,
        "number": lambda: 2.5,
        "numpy": lambda: np.full(4, 7.0, np.float32),
        "text": lambda: "text",
    }[kind]()


def outcome(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return np.asarray(call(*args, **kwargs)).tolist()
    except TypeError as error:
        return str(error).partition("\nAt ")[0]  # the lines of the two calls differ


@given(st.lists(st.tuples(st.lists(argument, max_size=3), st.booleans()), min_size=1, max_size=6))
def test_every_call_gives_what_the_python_path_gives(calls: list[tuple[list[str], bool]]):
    f, specification = weft.jit(two), weft.jit(two)
    for kinds, named in calls:
        args = [make(kind) for kind in kinds]
        kwargs = {"y": args.pop()} if named and args else {}
        got = outcome(f, *args, **kwargs)
        assert got == outcome(partial(python_call, specification), *args, **kwargs)


def test_settings_and_contexts_are_obeyed():
    calls = []

    @weft.jit
    def f(x: Any) -> Any:
        calls.append(x)
        return x + 1

    x = ready(4)
    for _ in range(2):
        f(x)
    assert len(calls) == 1
    with weft.disable_jit():
        f(x)
    assert len(calls) == 2
    np.testing.assert_array_equal(weft.jit(lambda x: f(x) * 2)(x), np.full(4, 4.0))
    np.testing.assert_array_equal(weft.grad(lambda x: f(x).sum())(x), np.ones(4))
    before = weft.config.numerics
    try:
        weft.config.numerics = "exact"
        np.testing.assert_array_equal(f(x), np.full(4, 2.0))
    finally:
        weft.config.numerics = before
    f.clear_cache()
    np.testing.assert_array_equal(f(x), np.full(4, 2.0))


def test_disabling_jit_is_not_seen_by_other_threads():
    f = weft.jit(two)
    x = ready(4)
    f(x, x)
    seen = []
    with weft.disable_jit():
        thread = threading.Thread(target=lambda: seen.append(jit_is_disabled()))
        thread.start()
        thread.join()
    assert seen == [False]


def test_a_subclass_decides_for_itself():
    class Loud(JitFunction):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return "loud"

    f = Loud(two, (), (), (), False)
    assert f(ready(4)) == "loud"
    assert f(ready(4)) == "loud"


def test_calls_leak_nothing():
    f = weft.jit(two)
    x, y = ready(4), ready(4)
    f(x, y)

    def count() -> int:
        gc.collect()
        return len(gc.get_objects())

    for _ in range(10):
        f(x, y), f(x), f(x, y=y)
    before, references = count(), [sys.getrefcount(o) for o in (x, y, f, None)]
    for _ in range(10_000):
        f(x, y)
    for _ in range(500):
        f(x), f(x, y=y)
        with pytest.raises(TypeError):
            f(x, y, x)
    after = [sys.getrefcount(o) for o in (x, y, f, None)]
    assert count() - before < 100
    assert all(abs(a - b) < 100 for a, b in zip(after, references, strict=True))


def test_signatures_changing_under_other_threads_calls():
    f = weft.jit(two)
    arrays = [ready(n) for n in range(1, 9)]
    wrong: list[Any] = []

    def call(x: Any) -> None:
        for n in range(300):
            result = f(x, x)
            if n % 50 == 0 and np.asarray(result).tolist() != [3.0] * x.shape[0]:
                wrong.append(x.shape)
            if n % 100 == 0:
                f.clear_cache()

    threads = [threading.Thread(target=call, args=(x,)) for x in arrays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_attributes_of_the_function_stay():
    f = weft.jit(two)
    f(ready(4))
    assert f.__name__ == "two" and inspect.signature(f) == inspect.signature(two)
    assert callable(f) and repr(f) == "<jit of two>"


def test_without_native_words_everything_goes_through_python(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fast_call, "_Base", fast_call._NoWords)
    f = weft.jit(two)
    x = ready(4)
    for _ in range(3):
        np.testing.assert_array_equal(f(x, x), np.full(4, 3.0))
    if known_interpreter():
        assert "__call__" in frames_entered(lambda: f(x, x))
    assert issubclass(JitFunction, FastCallable)


# ---- buffers ------------------------------------------------------------------------------


@native_only
def test_small_blocks_go_back_to_their_list():
    assert install_finalizer()
    buffer = Buffer.alloc(1000)
    home, ptr = buffer.home, buffer.ptr
    while len(home) >= home.capacity:
        home.pop()
    before = len(home)
    del buffer
    assert len(home) == before + 1 and home[-1] == ptr


@native_only
def test_a_full_list_and_large_blocks_take_the_python_way():
    assert install_finalizer()
    buffers = [Buffer.alloc(200_000) for _ in range(100)]
    home = buffers[0].home
    del buffers
    assert len(home) <= home.capacity
    large = Buffer.alloc(10 << 20)
    del large


@native_only
def test_a_finalizer_leaves_an_exception_alone():
    assert install_finalizer()

    def fail() -> None:
        buffer = Buffer.alloc(100)
        assert buffer.nbytes == 100
        raise LookupError("on the way")

    with pytest.raises(LookupError, match="on the way"):
        fail()
    with pytest.raises(TypeError, match=r"use Buffer\.alloc"):
        Buffer()
