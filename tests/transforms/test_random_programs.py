"""Random programs: derivatives against finite differences, and every nesting of transformations
against its un-nested meaning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
from tests.transforms.programs import POINTS, meaning, programs
from weft.core import numpy_closed

CLOSE = {"rtol": 1e-9, "atol": 1e-9}
points = st.sampled_from(POINTS)
V = np.array([0.3, -0.5, 0.8])
W = np.array([-0.2, 0.6, 0.4])


def difference(f, x, y, h=1e-6):
    """The derivative of f along (V, W) by central differences."""
    closed = weft.make_jaxpr(f)(x, y)
    (high,), (low,) = (numpy_closed(closed, x + step * V, y + step * W) for step in (h, -h))
    return (high - low) / (2 * h)


@settings(max_examples=60)
@given(programs(), points)
def test_jvp_is_the_limit_of_differences(program, point):
    x, y = point
    tangent = meaning(lambda a, b: weft.jvp(program, (a, b), (V, W))[1], x, y)
    np.testing.assert_allclose(tangent, difference(program, x, y), rtol=2e-5, atol=2e-7)


@settings(max_examples=60)
@given(programs(), points)
def test_grad_agrees_with_jvp(program, point):
    x, y = point
    gx, gy = meaning(weft.grad(program.scalar, (0, 1)), x, y)
    tangent = meaning(lambda a, b: weft.jvp(program.scalar, (a, b), (V, W))[1], x, y)
    np.testing.assert_allclose(gx @ V + gy @ W, tangent, **CLOSE)


@settings(max_examples=40)
@given(programs(3), points)
def test_second_derivatives(program, point):
    x, y = point

    def slope(a, b):
        return weft.jvp(program.scalar, (a, b), (V, W))[1]

    over_forward = meaning(weft.grad(slope, (0, 1)), x, y)
    over_reverse = meaning(
        lambda a, b: weft.jvp(weft.grad(program.scalar, (0, 1)), (a, b), (V, W))[1], x, y
    )
    np.testing.assert_allclose(over_forward, over_reverse, **CLOSE)
    twice = meaning(lambda a, b: weft.jvp(slope, (a, b), (V, W))[1], x, y)
    np.testing.assert_allclose(over_forward[0] @ V + over_forward[1] @ W, twice, **CLOSE)
    np.testing.assert_allclose(twice, difference(slope, x, y), rtol=2e-4, atol=2e-6)


@settings(max_examples=50)
@given(programs(), points)
def test_jit_changes_nothing(program, point):
    x, y = point
    plain = meaning(weft.grad(program.scalar, (0, 1)), x, y)
    for f in (
        weft.jit(weft.grad(program.scalar, (0, 1))),
        weft.grad(weft.jit(program.scalar), (0, 1)),
        weft.jit(weft.grad(weft.jit(program.scalar), (0, 1))),
        weft.grad(weft.checkpoint(program.scalar), (0, 1)),
    ):
        np.testing.assert_allclose(meaning(f, x, y), plain, **CLOSE)


@settings(max_examples=50)
@given(programs(), st.sampled_from([(0, 0), (0, None), (None, 0)]))
def test_vmap_is_a_loop(program, in_axes):
    stack = [np.stack([p[k] for p in POINTS]) for k in (0, 1)]
    args = [stack[k] if in_axes[k] == 0 else POINTS[0][k] for k in (0, 1)]
    rows = [[a[i] if m == 0 else a for a, m in zip(args, in_axes, strict=True)] for i in (0, 1)]
    looped = np.stack([meaning(program, *row) for row in rows])
    for f in (
        weft.vmap(program, in_axes),
        weft.jit(weft.vmap(program, in_axes)),
        weft.vmap(weft.jit(program), in_axes),
    ):
        np.testing.assert_allclose(meaning(f, *args), looped, **CLOSE)


@settings(max_examples=40)
@given(programs(4))
def test_vmap_and_grad_in_both_orders(program):
    stack = [np.stack([p[k] for p in POINTS]) for k in (0, 1)]
    looped = [meaning(weft.grad(program.scalar, (0, 1)), *p) for p in POINTS]
    expected = [np.stack([row[k] for row in looped]) for k in (0, 1)]
    inside = meaning(weft.vmap(weft.grad(program.scalar, (0, 1))), *stack)

    def summed(a, b):
        return weft.lax.reduce_sum(weft.vmap(program.scalar)(a, b), (0,))

    outside = meaning(weft.grad(summed, (0, 1)), *stack)
    for found in (inside, outside):
        np.testing.assert_allclose(found[0], expected[0], **CLOSE)
        np.testing.assert_allclose(found[1], expected[1], **CLOSE)


@settings(max_examples=40)
@given(programs(4), points)
def test_linearize_and_vjp_agree_with_jvp(program, point):
    x, y = point
    pushed = meaning(lambda a, b: weft.linearize(program, a, b)[1](V, W), x, y)
    expected = meaning(lambda a, b: weft.jvp(program, (a, b), (V, W))[1], x, y)
    np.testing.assert_allclose(pushed, expected, **CLOSE)
    ct = np.array([1.0, -2.0, 0.5])
    gx, gy = meaning(lambda a, b: weft.vjp(program, a, b)[1](ct), x, y)
    np.testing.assert_allclose(gx @ V + gy @ W, ct @ expected, **CLOSE)


@settings(max_examples=25)
@given(programs(3), points)
def test_jacobians_agree(program, point):
    forward = meaning(weft.jacfwd(program, (0, 1)), *point)
    reverse = meaning(weft.jacrev(program, (0, 1)), *point)
    np.testing.assert_allclose(forward, reverse, **CLOSE)


@settings(max_examples=30)
@given(programs(4), points)
def test_running_operation_by_operation(program, point):
    with weft.disable_jit():
        found = weft.grad(program.scalar, (0, 1))(*point)
    expected = meaning(weft.grad(program.scalar, (0, 1)), *point)
    np.testing.assert_allclose([np.asarray(f) for f in found], expected, **CLOSE)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_argnums_keep_their_order(order):
    x, y = POINTS[0]
    gradients = meaning(weft.grad(lambda a, b: weft.lax.reduce_sum(a * a * b, (0,)), order), x, y)
    by_argument = dict(zip(order, gradients, strict=True))
    np.testing.assert_allclose(by_argument[0], 2 * x * y)
    np.testing.assert_allclose(by_argument[1], x * x)


@settings(max_examples=10)
@given(programs(4), points)
def test_machine_code_agrees(program, point):
    gradient = weft.grad(program.scalar, (0, 1))
    found = weft.jit(gradient)(*point)
    np.testing.assert_allclose([np.asarray(f) for f in found], meaning(gradient, *point), **CLOSE)
