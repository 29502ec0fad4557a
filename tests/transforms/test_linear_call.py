"""linear_call: transposes that functions bring with them, under every transformation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft import lax
from weft.custom_derivatives import linear_call


def divided(x: Any, by: Any) -> Any:
    return linear_call(lambda r, x: x / r, lambda r, ct: ct / r, by, x)


def seven(x: Any) -> Any:
    """The identity, with a transpose that tells it from one."""
    return linear_call(lambda _, x: x, lambda _, ct: ct * 7.0, (), x)


def transposed(f: Any) -> Any:
    return lambda y: weft.linear_transpose(f, 1.0)(y)[0]


def test_transposes_take_turns() -> None:
    assert float(transposed(lambda x: x + divided(x, 3.0))(18.0)) == 24.0
    f = seven
    for expected in (1.0, 7.0, 1.0, 7.0):
        assert float(f(1.0)) == expected
        f = transposed(f)


X = np.arange(1.0, 4.0, dtype=np.float32)

GRADIENTS: dict[str, tuple[Any, Any]] = {
    "grad": (lambda x: weft.vmap(weft.grad(seven))(x), [7.0, 7.0, 7.0]),
    "jit": (lambda x: weft.jit(weft.grad(weft.jit(lambda x: seven(x).sum())))(x), [7.0] * 3),
    "order 2": (lambda x: weft.vmap(weft.grad(weft.grad(lambda x: seven(x) ** 3)))(x), 42 * X),
    "vmap inside": (lambda x: weft.grad(lambda x: weft.vmap(seven)(x).sum())(x), [7.0] * 3),
    "residuals mapped": (
        lambda x: weft.grad(lambda x: weft.vmap(divided, (0, 0))(x, X).sum())(x),
        1 / X,
    ),
    "linear unmapped": (
        lambda x: weft.grad(lambda y: weft.vmap(divided, (None, 0))(y, X).sum())(2.0) * wnp.ones(3),
        [11 / 6] * 3,
    ),
    "in residuals": (lambda x: weft.vmap(weft.grad(lambda r: divided(3.0, r)))(x), -3 / X**2),
    "in a scan": (
        lambda x: weft.grad(
            lambda x: lax.scan(lambda c, _: (seven(c), None), x, None, length=2)[0].sum()
        )(x),
        [49.0] * 3,
    ),
    "checkpoint": (
        lambda x: weft.grad(weft.checkpoint(lambda x: wnp.sin(seven(x)).sum()))(x),
        7 * np.cos(X),
    ),
    "forward": (lambda x: weft.jvp(lambda x: divided(x, 2.0), (x,), (x,))[1], X / 2),
    "hessian": (
        lambda x: weft.hessian(lambda x: (divided(x, 2.0) ** 2).sum())(x).sum(0),
        [0.5] * 3,
    ),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_derivatives(name: str) -> None:
    f, expected = GRADIENTS[name]
    np.testing.assert_allclose(f(X), expected, rtol=1e-5)


def test_closed_over_values_are_differentiated() -> None:
    def f(y: Any) -> Any:
        own = lambda x: linear_call(lambda _, x: x * y, lambda _, ct: ct * y, (), x)  # noqa: E731
        return weft.grad(own)(1.0) ** 2

    assert float(weft.grad(f)(3.0)) == 6.0


def test_trees() -> None:
    def f(d: Any) -> Any:
        def fun(r: Any, d: Any) -> Any:
            return d["a"] * r, d["b"]

        return linear_call(fun, lambda r, ct: {"a": ct[0] * r, "b": -ct[1]}, 2.0, d)

    _, pull = weft.vjp(f, {"a": 1.0, "b": np.ones(2, np.float32)})
    (ct,) = pull((np.float32(1.0), np.ones(2, np.float32)))
    assert float(ct["a"]) == 2.0 and list(ct["b"]) == [-1.0, -1.0]


def test_errors() -> None:
    with pytest.raises(
        TypeError,
        match=r"must return what is like linear_args: it has the structure "
        r"\(\*, \*\), expected \*",
    ):
        linear_call(lambda r, x: x, lambda r, ct: (ct, ct), (), 1.0)
    with pytest.raises(TypeError, match=r"result has type f32\[3\], expected f32\[\]"):
        linear_call(lambda r, x: x, lambda r, ct: ct * wnp.ones(3), (), 1.0)
    with pytest.raises(TypeError, match="linear_call"):
        linear_call(1, lambda r, ct: ct, (), 1.0)
    with pytest.raises(weft.errors.NonlinearError, match=r"'linear_call' of .* is not linear"):
        weft.linear_transpose(lambda r: divided(1.0, r), 2.0)(1.0)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 4), st.booleans(), st.sampled_from(["plain", "jit", "vmap"]))
def test_loops_that_count_are_transposed(steps: int, scanned: bool, wrap: str) -> None:
    """<f(x), y> = <x, fᵀ(y)>: what does not depend on x (the counter, a sine) is no obstacle."""
    matrix = np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32)

    def step(i: Any, c: Any) -> Any:
        return wnp.sin(matrix) @ c * (i + 1)

    def f(x: Any) -> Any:
        if scanned:
            carry, ys = lax.scan(
                lambda c, a: ((c[0] + 1, step(*c)), c[1] * c[0] * a),
                (0, x),
                wnp.arange(float(steps)),
            )
            return carry[1] + ys.sum(0)
        return lax.fori_loop(0, steps, step, x)

    x, y = np.arange(3, dtype=np.float32), np.array([1, -2, 0.5], np.float32)

    def transposed(y: Any) -> Any:
        return weft.linear_transpose(f, x)(y)[0]

    if wrap == "vmap":
        found = weft.vmap(transposed)(y[None])[0]
    else:
        found = (weft.jit(transposed) if wrap == "jit" else transposed)(y)
    np.testing.assert_allclose(np.dot(f(x), y), np.dot(x, found), rtol=1e-4, atol=1e-4)
