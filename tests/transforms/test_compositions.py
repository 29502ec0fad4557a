"""Compositions of three transformations on random programs.

Each transformation takes a function of two vectors to another, so that they compose; beside it
stands what it means, by finite differences or a loop, of the function it is given. A composition is
interpreted; what it should be is the meaning of its last step applied to the one before, itself
already compared: so errors are found where they arise.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
from tests.transforms.programs import POINTS, meaning, programs
from weft.core.interpret import eval_closed
from weft.lax import add, mul

V = np.array([0.3, -0.5, 0.8])
W = np.array([-0.2, 0.6, 0.4])
CT = np.array([1.0, -2.0, 0.5])
Function = Callable[[Any, Any], Any]


def vjp(f: Function) -> Function:
    """The sum of the cotangents of both arguments."""
    return lambda x, y: add(*weft.vjp(f, x, y)[1](CT))


def grad(f: Function) -> Function:
    weighted = lambda x, y: weft.lax.reduce_sum(mul(f(x, y), CT), (0,))  # noqa: E731
    return lambda x, y: add(*weft.grad(weighted, (0, 1))(x, y))


def jvp(f: Function) -> Function:
    return lambda x, y: weft.jvp(f, (x, y), (V, W))[1]


def linearize(f: Function) -> Function:
    return lambda x, y: weft.linearize(f, x, y)[1](V, W)


def transposed(f: Function) -> Function:
    """The transpose of the linear part, twice: the linear part again."""

    def pushed(x: Any, y: Any) -> Any:
        linear = weft.linearize(f, x, y)[1]
        pulled = weft.linear_transpose(lambda t: linear(t, mul(t, W)), V)
        (out,) = weft.linear_transpose(lambda ct: pulled(ct)[0], CT)(V)
        return out

    return pushed


def vmap(f: Function) -> Function:
    """Over two rows, of which the sum."""
    rows = lambda x: weft.lax.concatenate([x[None], mul(x[None], 0.5)], 0)  # noqa: E731
    return lambda x, y: weft.lax.reduce_sum(weft.vmap(f, (0, None))(rows(x), y), (0,))


def evaluated(f: Function) -> Function:
    return lambda x, y: eval_closed(weft.make_jaxpr(f)(x, y), x, y)[0]


TRANSFORMS = {
    "jit": weft.jit,
    "checkpoint": weft.checkpoint,
    "make_jaxpr": evaluated,
    "jvp": jvp,
    "linearize": linearize,
    "linear_transpose": transposed,
    "vjp": vjp,
    "grad": grad,
    "vmap": vmap,
}


def difference(f: Function, x: Any, y: Any, v: Any, w: Any, h: float = 1e-6) -> Any:
    above, below = meaning(f, x + h * v, y + h * w), meaning(f, x - h * v, y - h * w)
    return (above - below) / (2 * h)


def expected(name: str, f: Function, x: Any, y: Any) -> Any:
    """What the transformation ``name`` of ``f`` gives at a point."""
    if name in ("jit", "checkpoint", "make_jaxpr"):
        return meaning(f, x, y)
    if name in ("jvp", "linearize"):
        return difference(f, x, y, V, W)
    if name == "linear_transpose":
        return difference(f, x, y, V, V * W)
    if name == "vmap":
        return meaning(f, x, y) + meaning(f, 0.5 * x, y)
    return np.array([CT @ difference(f, x, y, e, e) for e in np.eye(len(V))])


CHAINS = list(itertools.product(TRANSFORMS, repeat=3))


@settings(max_examples=120)
@given(programs(3), st.sampled_from(CHAINS), st.sampled_from(POINTS))
def test_compositions_mean_what_their_parts_mean(program, chain, point):
    f: Function = program
    for name in chain:
        transformed = TRANSFORMS[name](f)
        found, wanted = meaning(transformed, *point), expected(name, f, *point)
        scale = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(found / scale, wanted / scale, rtol=2e-5, atol=2e-6)
        f = transformed
