"""Calls back to Python: values, order, errors, batching."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from weft import lax

SCALAR = weft.ShapeDtypeStruct((), np.float32)


def shape(*sizes: int) -> Any:
    return weft.ShapeDtypeStruct(sizes, np.float32)


@pytest.mark.parametrize("wrap", [weft.jit, lambda f: f], ids=["jit", "eager"])
def test_pure_callback_sits_in_the_middle_of_a_program(wrap: Any) -> None:
    @wrap
    def run(x: Any) -> Any:
        s = weft.pure_callback(lambda a, b: (np.sort(a), b + 1), (shape(4), SCALAR), x * 2, x[0])
        return wnp.concatenate([s[0], s[1][None]]) * 10

    x = np.array([3, 1, 2, 0], np.float32)
    np.testing.assert_array_equal(run(x), [0, 20, 40, 60, 40])


def test_arguments_keep_their_structure_and_outlive_the_call() -> None:
    kept = []

    def host(tree: Any, *, scale: Any) -> Any:
        kept.append(tree["a"])
        return {"out": tree["a"] * scale}

    f = weft.jit(
        lambda x: weft.pure_callback(host, {"out": shape(3)}, {"a": x + 1}, scale=x[0])["out"]
    )
    x = np.array([2, 3, 4], np.float32)
    np.testing.assert_array_equal(f(x), (x + 1) * 2)
    f(x * 0)
    np.testing.assert_array_equal(kept[0], x + 1)


def test_callbacks_inside_loops_run_once_an_iteration_in_order() -> None:
    seen: list[float] = []

    @weft.jit
    def run(x: Any) -> Any:
        def body(_: Any, c: Any) -> Any:
            weft.io_callback(lambda v: seen.append(float(v)), None, c)
            return c * 2

        return lax.fori_loop(0, 5, body, x)

    assert float(run(np.float32(1))) == 32
    assert seen == [1, 2, 4, 8, 16]


def test_exception_of_a_callback_reaches_the_caller_and_the_next_call_works() -> None:
    def host(x: np.ndarray) -> np.ndarray:
        if x < 0:
            raise KeyError("negative")
        return np.sqrt(x)

    f = weft.jit(lambda x: weft.pure_callback(host, SCALAR, x) + 1)
    with pytest.raises(KeyError, match="negative"):
        f(np.float32(-1))
    assert float(f(np.float32(4))) == 3


def test_what_was_promised_is_checked() -> None:
    f = weft.jit(lambda x: weft.pure_callback(lambda a: a[:2], shape(3), x))
    with pytest.raises(ValueError, match=r"result 0 of callback .* float32\[2\].*float32\[3\]"):
        f(np.ones(3, np.float32))
    g = weft.jit(lambda x: weft.pure_callback(lambda a: (a, a), shape(3), x))
    with pytest.raises(TypeError, match="promised"):
        g(np.ones(3, np.float32))


@pytest.mark.parametrize("method", ["sequential", "expand_dims", "broadcast_all"])
def test_vmap_of_a_callback(method: str) -> None:
    def one(x: Any, y: Any) -> Any:
        return weft.pure_callback(lambda a, b: a * b + 1, SCALAR, x, y, vmap_method=method)

    x = np.arange(5, dtype=np.float32)
    got = weft.jit(weft.vmap(one, in_axes=(0, None)))(x, np.float32(3))
    np.testing.assert_array_equal(got, x * 3 + 1)


def test_vmap_without_a_method_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="vmap_method"):
        weft.vmap(lambda x: weft.pure_callback(np.sin, SCALAR, x))(np.ones(3, np.float32))


def test_gradient_of_a_callback_says_what_to_do() -> None:
    with pytest.raises(TypeError, match="custom_jvp"):
        weft.grad(lambda x: weft.pure_callback(np.sin, SCALAR, x))(np.float32(1))


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="a function is needed"):
        weft.pure_callback(3, SCALAR, 1.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="vmap_method is one of"):
        weft.pure_callback(np.sin, SCALAR, 1.0, vmap_method="legacy")
