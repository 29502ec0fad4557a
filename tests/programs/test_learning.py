"""Models that people train, beside their gradients written out in NumPy."""

from __future__ import annotations

import numpy as np

import weft
import weft.numpy as wnp
from tests.programs.agreement import agree
from weft import lax

F32 = np.float32


def test_skip_gram_with_negative_samples() -> None:
    """Rows gathered twice over, and two scatters into one gradient."""
    random = np.random.default_rng(0)
    u, v = (random.normal(size=(40, 8)).astype(F32) for _ in range(2))
    center, context = (random.integers(0, 40, 16).astype(np.int32) for _ in range(2))
    noise = random.integers(0, 40, (16, 3)).astype(np.int32)

    def loss(u, v):
        rows = u[center]
        near = wnp.sum(rows * v[context], -1)
        far = wnp.einsum("bd,bnd->bn", rows, v[noise])
        log_sigmoid = weft.nn.log_sigmoid
        return -wnp.mean(log_sigmoid(near) + log_sigmoid(-far).sum(-1))

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    rows = u[center]
    near = (rows * v[context]).sum(-1)
    far = np.einsum("bd,bnd->bn", rows, v[noise])
    value = -np.mean(np.log(sigmoid(near)) + np.log(sigmoid(-far)).sum(-1))
    by_near, by_far = -sigmoid(-near)[:, None] / 16, sigmoid(far)[:, :, None] / 16
    by_u, by_v = np.zeros_like(u), np.zeros_like(v)
    np.add.at(by_u, center, by_near * v[context] + (by_far * v[noise]).sum(1))
    np.add.at(by_v, context, by_near * rows)
    np.add.at(by_v, noise, by_far * rows[:, None])
    agree(weft.value_and_grad(loss, (0, 1)), (u, v), (value.astype(F32), (by_u, by_v)))


def test_causal_attention_over_heads_by_vmap() -> None:
    random = np.random.default_rng(0)
    q, k, v = (random.normal(size=(2, 3, 9, 4)).astype(F32) for _ in range(3))
    past = np.tril(np.ones((9, 9), bool))

    def head(q, k, v):
        return weft.nn.softmax(wnp.where(past, q @ k.T / 2, -np.inf)) @ v

    scores = np.where(past, np.einsum("bhid,bhjd->bhij", q, k) / 2, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    expected = np.einsum("bhij,bhjd->bhid", weights, v)
    agree(weft.vmap(weft.vmap(head)), (q, k, v), expected)


def test_gradient_through_a_recurrent_cell() -> None:
    """Against the derivative along one direction, by central differences in float64."""
    random = np.random.default_rng(0)
    w = random.normal(size=(7, 12)) / 4
    x, direction = random.normal(size=(6, 2, 4)), random.normal(size=w.shape)

    def loss(np, scan, w, x):
        def cell(state, x_t):
            h, c = state
            i, f, o, g = np.split(np.concatenate([x_t, h], -1) @ w, 4, axis=-1)
            c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            return (np.tanh(c) / (1 + np.exp(-o)), c), None

        start = np.zeros((2, 3), w.dtype), np.zeros((2, 3), w.dtype)
        return (scan(cell, start, x)[0][0] ** 2).sum()

    def scan(f, carry, xs):
        for x_t in xs:
            carry, _ = f(carry, x_t)
        return carry, None

    def along(w, x):
        slope = weft.grad(lambda w: loss(wnp, lax.scan, w, x))(w)
        return (slope * direction).sum()

    ahead, behind = (loss(np, scan, w + s * 1e-4 * direction, x) for s in (1, -1))
    expected = (ahead - behind) / 2e-4
    agree(along, (w, x), expected, 1e-6)


def test_newton_steps_for_logistic_regression() -> None:
    """A Hessian by forward over reverse, and elimination by row updates."""
    random = np.random.default_rng(0)
    x = random.normal(size=(50, 3)).astype(F32)
    y = (x @ np.array([1, -1, 2], F32) + random.normal(size=50) > 0).astype(F32)

    def loss(w):
        z = x @ w
        return wnp.mean(wnp.logaddexp(0, z) - y * z) + 0.01 * (w**2).sum()

    def solve(a, b):
        m = wnp.concatenate([a, b[:, None]], 1)
        for i in range(3):
            m = m.at[i].divide(m[i, i])
            m = m - m[:, i].at[i].set(0)[:, None] * m[i]
        return m[:, -1]

    def fit(w):
        for _ in range(3):
            w = w - solve(weft.hessian(loss)(w), weft.grad(loss)(w))
        return w

    w = np.zeros(3)
    for _ in range(3):
        p = 1 / (1 + np.exp(-x @ w))
        slope = x.T @ (p - y) / 50 + 0.02 * w
        w -= np.linalg.solve((x.T * (p * (1 - p))) @ x / 50 + 0.02 * np.eye(3), slope)
    agree(fit, (np.zeros(3, F32),), w.astype(F32), 1e-4)


def test_second_derivatives_at_zero_of_logistic_functions() -> None:
    """Where they are computed with max and |x|, which have a kink there."""
    nn, second = weft.nn, lambda f: weft.vmap(weft.grad(weft.grad(f)))
    x = np.array([-2, 0, 3], F32)
    p = 1 / (1 + np.exp(-x))
    for function, sign in (
        (nn.softplus, 1),
        (nn.log_sigmoid, -1),
        (lambda x: wnp.logaddexp(x, 0), 1),
        (lambda x: wnp.logaddexp(1, x + 1), 1),
    ):
        agree(second(function), (x,), sign * p * (1 - p))
    both = weft.hessian(lambda x: wnp.logaddexp(x[0], x[1]))
    agree(both, (np.array([2, 2], F32),), np.array([[1, -1], [-1, 1]], F32) / 4)


def test_derivatives_where_pieces_meet() -> None:
    """The conventions of jax.nn at kinks; and sinc, which is smooth at 0."""
    nn, slope = weft.nn, lambda f: weft.vmap(weft.grad(f))
    ends = np.array([-3, -1, 0, 1, 3, 6], F32)
    agree(slope(nn.relu6), (ends,), np.array([0, 0, 0, 1, 1, 0], F32))
    agree(slope(nn.hard_tanh), (ends,), np.array([0, 1, 1, 1, 0, 0], F32))
    agree(slope(nn.hard_sigmoid), (ends,), np.array([0, 1, 1, 1, 0, 0], F32) / 6)
    curvature = np.array([-(np.pi**2) / 3, 2], F32)
    agree(slope(weft.grad(wnp.sinc)), (np.array([0, 1], F32),), curvature, 1e-5)
