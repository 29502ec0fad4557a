"""`custom_linear_solve` and `custom_root`: derivatives that do not look at the solver."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from weft import lax
from weft.test_util import check_grads

RNG = np.random.default_rng(0)
A = RNG.normal(size=(4, 4)) + 4 * np.eye(4)
S = A + A.T
B = RNG.normal(size=4)


def jacobi(matrix: Any, rows: Any) -> Any:
    """An iteration that has no derivative in reverse mode: it stops when it has converged."""

    def solve(matvec: Any, b: Any) -> Any:
        diagonal = wnp.diag(matrix)
        start = (wnp.zeros_like(b), wnp.asarray(0, wnp.int32))

        def far(state: Any) -> Any:
            x, count = state
            return (wnp.max(abs(matvec(x) - b)) > 1e-13) & (count < 500)

        def step(state: Any) -> Any:
            x, count = state
            return x + (b - matvec(x)) / diagonal / rows, count + 1

        return lax.while_loop(far, step, start)[0]

    return solve


def by_iteration(a: Any, b: Any) -> Any:
    still = lax.stop_gradient(a)
    return lax.custom_linear_solve(
        lambda x: a @ x, b, jacobi(still, 1.5), lambda vecmat, b: jacobi(still.T, 1.5)(vecmat, b)
    )


def test_derivatives_and_compositions() -> None:
    with weft.disable_jit():
        np.testing.assert_allclose(by_iteration(A, B), np.linalg.solve(A, B), rtol=1e-10)
        np.testing.assert_allclose(
            weft.jacrev(by_iteration, 1)(A, B), np.linalg.inv(A), rtol=1e-9, atol=1e-11
        )
        np.testing.assert_allclose(
            weft.jacfwd(by_iteration, 1)(A, B), np.linalg.inv(A), rtol=1e-9, atol=1e-11
        )
        many = weft.vmap(by_iteration, (0, None))(np.stack([A, S]), B)
        np.testing.assert_allclose(many[1], np.linalg.solve(S, B), rtol=1e-9)
        slopes = weft.vmap(weft.grad(lambda a, b: by_iteration(a, b).sum()), (None, 0))
        found = slopes(A, np.stack([B, 2 * B]))
        np.testing.assert_allclose(found[1], 2 * found[0], rtol=1e-9)
        check_grads(by_iteration, (A, B), order=2)


def test_compiled() -> None:
    slope = weft.jit(weft.grad(lambda a, b: (by_iteration(a, b) ** 2).sum()))
    x = np.linalg.solve(A, B)
    wanted = -np.outer(np.linalg.solve(A.T, 2 * x), x)
    np.testing.assert_allclose(slope(A, B), wanted, rtol=1e-8)


def test_symmetric_trees_and_aux() -> None:
    b = {"p": B[:1], "q": (B[1:],)}

    def matvec(x: Any) -> Any:
        y = S @ wnp.concatenate([x["p"], x["q"][0]])
        return {"p": y[:1], "q": (y[1:],)}

    def solve(matvec: Any, b: Any) -> Any:
        y = wnp.linalg.solve(S, wnp.concatenate([b["p"], b["q"][0]]))
        return {"p": y[:1], "q": (y[1:],)}, {"steps": wnp.asarray(7, wnp.int32)}

    def f(b: Any) -> Any:
        x, aux = lax.custom_linear_solve(matvec, b, solve, symmetric=True, has_aux=True)
        assert aux["steps"].dtype == np.int32
        return x

    with weft.disable_jit():
        inverse = np.linalg.inv(S)
        found = weft.jacrev(f)(b)["p"]
        np.testing.assert_allclose(found["p"], inverse[:1, :1], rtol=1e-10)
        np.testing.assert_allclose(found["q"][0], inverse[:1, 1:], rtol=1e-9)


def test_complex_systems() -> None:
    z = A + 1j * A.T

    def f(b: Any) -> Any:
        return lax.custom_linear_solve(
            lambda x: z @ x,
            b,
            lambda matvec, b: wnp.linalg.solve(z, b),
            lambda vecmat, b: wnp.linalg.solve(z.T, b),
        )

    with weft.disable_jit():
        check_grads(f, (B + 0j,), order=1)


def test_roots() -> None:
    def root(a: Any, c: Any) -> Any:
        def newton(f: Any, x: Any) -> Any:
            def far(state: Any) -> Any:
                return (abs(f(state[0])) > 1e-13) & (state[1] < 50)

            def step(state: Any) -> Any:
                x, count = state
                value, slope = weft.jvp(f, (x,), (wnp.ones_like(x),))
                return x - value / slope, count + 1

            x, count = lax.while_loop(far, step, (x, wnp.asarray(0, wnp.int32)))
            return x, count

        found, _ = lax.custom_root(
            lambda x: a * x**3 - c, 1.0, newton, lambda g, y: y / g(wnp.ones_like(y)), has_aux=True
        )
        return found

    with weft.disable_jit():
        a, c = np.asarray(2.0), np.asarray(54.0)
        np.testing.assert_allclose(root(a, c), 3.0, rtol=1e-12)
        check_grads(root, (a, c), order=2)
        np.testing.assert_allclose(
            weft.vmap(root, (None, 0))(a, np.array([2.0, 54.0])), [1, 3], rtol=1e-12
        )


def test_composites_are_named() -> None:
    doubled = lax.composite(lambda v, n: v * n, "my.op")
    assert "my.op" in str(weft.make_jaxpr(lambda x: doubled(x, n=2.0))(1.0))


def test_errors() -> None:
    def solve(matvec: Any, b: Any) -> Any:
        return b

    for error, call in {
        "matvec must return what is like b": lambda: lax.custom_linear_solve(
            lambda x: x[:2], B, solve
        ),
        "solve must return what is like b": lambda: lax.custom_linear_solve(
            lambda x: x, B, lambda matvec, b: (b, b)
        ),
        r"with has_aux, solve returns a pair \(x, aux\)": lambda: lax.custom_linear_solve(
            lambda x: x, B, solve, has_aux=True
        ),
        "b has floating-point or complex arrays": lambda: lax.custom_linear_solve(
            lambda x: x, np.arange(3), solve
        ),
        "without a transpose_solve: give one, or say symmetric=True": lambda: weft.grad(
            lambda b: lax.custom_linear_solve(lambda x: x, b, solve).sum()
        )(B),
        r"f must return what is like initial_guess, .*, got": lambda: lax.custom_root(
            lambda x: x * B, 1.0, solve, solve
        ),
    }.items():
        with pytest.raises(TypeError, match=error):
            call()
