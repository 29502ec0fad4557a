"""Models that people train, beside their gradients written out in NumPy."""

from __future__ import annotations

import numpy as np

import weft
import weft.numpy as wnp
from tests.programs.agreement import agree

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
