"""Gradients through conds: nests of them, and branches that hand on many residuals."""

from __future__ import annotations

import numpy as np

import weft
import weft.numpy as wnp
from weft import lax
from weft.core.interpret import numpy_closed
from weft.core.jaxpr import all_equations


def _nest(depth):
    def level(k):
        if k == 0:
            return wnp.sin
        inner = level(k - 1)
        return lambda x: lax.cond(x > 0.01 * k, lambda y: inner(y * 1.01) * y, lambda y: y * 0.5, x)

    return level(depth)


def _written(closed):
    """How many operands and results the equations of a program have, those inside included."""
    return sum(len(e.invars) + len(e.outvars) for e in all_equations(closed.jaxpr))


def test_gradients_of_nested_conds_are_linear_in_their_depth():
    sizes = [_written(weft.make_jaxpr(weft.grad(_nest(d)))(2.0)) for d in (10, 20, 40)]
    assert sizes[2] - sizes[1] <= 2.2 * (sizes[1] - sizes[0])


def test_gradients_of_nested_conds():
    x, f = np.float32(0.8), _nest(20)
    with weft.disable_jit():
        expected = weft.grad(f)(x)
    np.testing.assert_allclose(_meaning(weft.grad(f), x), expected, rtol=1e-5)


def test_many_residuals_of_a_branch():
    def chosen(x, n):
        parts = [wnp.sin(x[0] * k) * wnp.cos(x[k % 3]) for k in range(9)]
        rows = [wnp.exp(x * k) * (n + k) for k in range(3)]
        return sum(parts) + sum(row.sum() for row in rows)

    def f(x, n):
        return lax.cond(n > 0, lambda: chosen(x, n), lambda: x[0] * x[1] * x[2])

    x = np.array([0.3, -0.2, 0.7], np.float32)
    xs = np.stack([x, 2 * x])
    for n in (np.int32(2), np.int32(-1)):
        plain = (lambda y: chosen(y, 2)) if n > 0 else (lambda y: y[0] * y[1] * y[2])
        for derived, at in [(weft.grad, x), (weft.hessian, x), (_each_gradient, xs)]:
            found = _meaning(derived(lambda y, n=n: f(y, n)), at)
            expected = _meaning(derived(plain), at)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def _each_gradient(f):
    return weft.vmap(weft.grad(f))


def _meaning(f, x):
    return numpy_closed(weft.make_jaxpr(f)(x), x)[0]
