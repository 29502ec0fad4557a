"""Delayed programs, compiled for classes of shapes, agree with the same programs under jit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from weft import lax, nn

PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "nanmean": wnp.nanmean,
    "nanmean of rows": lambda x: wnp.nanmean(x, axis=1),
    "nanmax": lambda x: wnp.nanmax(x, axis=0),
    "var of columns": lambda x: wnp.var(x, axis=0),
    "std of all": wnp.std,
    "standardised": lambda x: (x - x.mean(0)) / x.std(0),
    "softmax": lambda x: nn.softmax(x, axis=-1),
    "softmax of columns": lambda x: nn.softmax(x, axis=0),
    "log_softmax": lambda x: nn.log_softmax(x, axis=-1),
    "logsumexp": lambda x: nn.logsumexp(x, axis=1),
    "one_hot of argmax": lambda x: nn.one_hot(wnp.argmax(x, 1), x.shape[1]),
    "argmin of all": wnp.argmin,
    "all and any": lambda x: wnp.all(x > -9, axis=0) & wnp.any(x > 0, axis=0),
    "count_nonzero": lambda x: wnp.count_nonzero(x > 0, axis=1),
    "prod of a ratio": lambda x: wnp.prod(1 + x / 100, axis=1),
    "cumsum": lambda x: wnp.cumsum(x, axis=1),
    "cumprod": lambda x: wnp.cumprod(1 + x / 100, axis=0),
    "diff": lambda x: wnp.diff(x, axis=1),
    "roll": lambda x: wnp.roll(x, (3, -2), (0, 1)),
    "flip": lambda x: wnp.flip(x, 0) + wnp.flip(x, 1),
    "transposed": lambda x: x.T @ x,
    "transposed and added": lambda x: (x.T + x.T * 2).sum(0),
    "pad": lambda x: wnp.pad(x, ((1, 2), (3, 0))),
    "pad by reflection": lambda x: wnp.pad(x, 2, mode="reflect"),
    "pad by wrapping": lambda x: wnp.pad(x, 2, mode="wrap"),
    "concatenate": lambda x: wnp.concatenate([x, 2 * x, x[:5]], 0),
    "stack": lambda x: wnp.stack([x, -x], 1).reshape(-1, x.shape[1]),
    "tile": lambda x: wnp.tile(x, (2, 3)),
    "repeat": lambda x: wnp.repeat(x, 3, axis=1),
    "outer difference": lambda x: wnp.abs(x[:, None, 0] - x[None, :, 0]).min(1),
    "triangles": lambda x: wnp.tril(x, 2) - wnp.triu(x, 5),
    "where": lambda x: wnp.where(x > 0, x, wnp.exp(x)),
    "clip": lambda x: wnp.clip(x, -0.5, 0.5) * wnp.sign(x),
    "sort": lambda x: wnp.sort(x, axis=1)[:, ::-1],
    "median": lambda x: wnp.median(x, axis=0),
    "take": lambda x: x[wnp.arange(0, x.shape[0], 3)],
    "take_along_axis": lambda x: wnp.take_along_axis(x, wnp.argmax(x, 1)[:, None], 1),
    "strided": lambda x: x[1::2, ::3] * 2,
    "set": lambda x: x.at[2:9, ::2].set(7.0),
    "add at": lambda x: x.at[wnp.array([1, 1, 3])].add(2.0),
    "update": lambda x: lax.dynamic_update_slice(x, wnp.zeros((2, 2)), (3, 4)),
    "outer product": lambda x: wnp.outer(x[0], x[:, 0]),
    "norm of rows": lambda x: x / wnp.sqrt((x * x).sum(1, keepdims=True)),
    "covariance": lambda x: (x - x.mean(0)).T @ (x - x.mean(0)) / (x.shape[0] - 1),
    "game of life": lambda x: sum(
        wnp.roll(x > 0, (i, j), (0, 1)).astype(int) for i in (-1, 0, 1) for j in (-1, 0, 1)
    ),
    "laplacian": lambda x: (
        x[2:, 1:-1] + x[:-2, 1:-1] + x[1:-1, 2:] + x[1:-1, :-2] - 4 * x[1:-1, 1:-1]
    ),
    "reshape": lambda x: x.reshape(-1, 2).sum(1),
    "ravel": lambda x: wnp.ravel(x)[::7],
    "half precision": lambda x: (x.astype(wnp.float16) * 2).sum(0),
    "bytes": lambda x: (x * 20).astype(wnp.int8) + wnp.int8(100),
    "complex": lambda x: wnp.abs(wnp.exp(1j * x)) + (x + 1j * x).real,
    "gradient": lambda x: weft.grad(lambda v: (wnp.tanh(v) ** 2).sum())(x),
    "einsum": lambda x: wnp.einsum("ij,ik->jk", x, x[:, :3]),
    "moments": lambda x: wnp.stack([x.mean(), x.var(), x.max(), x.min()]),
}
SHAPES = [(50, 30), (51, 32), (17, 200), (20, 18)]


@pytest.mark.parametrize("name", PROGRAMS)
def test_eager_and_jit_agree(name: str) -> None:
    program = PROGRAMS[name]
    compiled = weft.jit(program)
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        x = rng.standard_normal(shape).astype(np.float32)
        expected = np.asarray(compiled(x))
        got = np.asarray(program(wnp.asarray(x)))
        assert got.dtype == expected.dtype
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-5)
