"""Printing and calling back from traced and compiled code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from weft import lax

X = np.arange(3.0, dtype=np.float32)


def recorded(f: Callable[[Callable[..., None]], Any]) -> list[Any]:
    seen: list[Any] = []
    f(lambda *values: weft.debug.callback(lambda *v: seen.append([x.tolist() for x in v]), *values))
    return [v[0] if len(v) == 1 else v for v in seen]


def test_eager_and_compiled() -> None:
    def twice(note: Callable[..., None]) -> Any:
        def f(x: Any) -> Any:
            note(x)
            y = wnp.exp(x) * 0 + 2 * x
            note(y, x)
            return y

        f(X)
        return weft.jit(f)(X)

    x, y = X.tolist(), (2 * X).tolist()
    assert recorded(twice) == [x, [y, x]] * 2


def test_in_loops_and_branches() -> None:
    def loops(note: Callable[..., None]) -> Any:
        def step(c: Any, v: Any) -> Any:
            note(c)
            lax.cond(v > 0, lambda v: note(-v), lambda v: None, v)
            return c + v, None

        return weft.jit(lambda x: lax.scan(step, wnp.float32(0), x))(X)

    assert recorded(loops) == [0, 0, -1, 1, -2]


def test_derivatives_do_not_see_it() -> None:
    def differentiated(note: Callable[..., None]) -> Any:
        def f(x: Any) -> Any:
            note(x)
            return x * x

        np.testing.assert_allclose(weft.grad(f)(3.0), 6)
        np.testing.assert_allclose(weft.jit(weft.grad(f))(4.0), 8)
        np.testing.assert_allclose(weft.jvp(f, (5.0,), (1.0,))[1], 10)
        return weft.grad(lambda x: lax.fori_loop(0, 2, lambda i, c: f(c), x))(2.0)

    assert recorded(differentiated) == [3, 4, 5, 2, 4]


def test_one_call_for_each_element() -> None:
    def mapped(note: Callable[..., None]) -> Any:
        return weft.jit(weft.vmap(lambda x, y: note(x, y), in_axes=(0, None)))(X, 7.0)

    assert recorded(mapped) == [[0, 7], [1, 7], [2, 7]]


def test_results_nobody_uses_do_not_matter() -> None:
    def unused(note: Callable[..., None]) -> Any:
        def f(x: Any) -> Any:
            note(x.sum())
            return 1.0

        return weft.jit(f)(X)

    assert recorded(unused) == [3]


def test_printing(capsys: pytest.CaptureFixture[str]) -> None:
    @weft.jit
    def f(x: Any) -> Any:
        weft.debug.print("x = {x}, sum {:.2f}, {{}} {t[a][0]}", x.sum(), x=x, t={"a": [x[1]]})
        return x

    f(X)
    assert capsys.readouterr().out == "x = [0. 1. 2.], sum 3.00, {} 1.0\n"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: weft.debug.print("x", x), ValueError, "no place for argument 0"),
        (lambda x: weft.debug.print("{}", x, y=x), ValueError, "no place for 'y'"),
        (lambda x: weft.debug.print("{} {}", x), ValueError, "a place for argument 1"),
        (lambda x: weft.debug.print("{y}", x=x), ValueError, "a place for argument 'y'"),
        (lambda x: weft.debug.print(x), TypeError, "the first argument is a format string"),
        (lambda x: weft.debug.callback(3, x), TypeError, "callback is a function, got 3"),
    ],
)
def test_errors_while_tracing(call: Callable[[Any], Any], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        weft.make_jaxpr(call)(X)


def test_an_error_in_a_callback_reaches_the_caller() -> None:
    def fail(x: Any) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        weft.jit(lambda x: weft.debug.callback(fail, x))(X)
