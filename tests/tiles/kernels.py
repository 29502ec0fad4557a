"""Kernels that several tests run."""

from __future__ import annotations

from typing import Any

import weft
from weft import numpy as np
from weft import tiles


@weft.kernel
def saxpy(a: Any, x: Any, y: Any) -> Any:
    out = tiles.output(x.shape, x.dtype)
    for i in tiles.grid((x.shape[0], 32)):
        out[i] = a * x[i] + y[i]
    return out


@weft.kernel
def softmax(x: Any) -> Any:
    out = tiles.output(x.shape, x.dtype)
    for i in tiles.grid((x.shape[0], 8)):
        rows = x[i]
        e = np.exp(rows - rows.max(axis=1, keepdims=True))
        out[i] = e / e.sum(axis=1, keepdims=True)
    return out


@weft.kernel(static_argnames=("block", "stage"))
def matmul(a: Any, b: Any, *, block: int = 16, stage: bool = False) -> Any:
    (m, k), (_, n) = a.shape, b.shape
    c = tiles.output((m, n), a.dtype)
    for i, j in tiles.grid((m, block), (n, block)):
        acc = tiles.zeros((i, j))
        for p in tiles.steps(k, block):
            left, right = a[i, p], b[p, j]
            if stage:
                left, right = tiles.stage(left), tiles.stage(right)
            acc += left @ right
        c[i, j] = acc
    return c


@weft.kernel
def attention(q: Any, k: Any, v: Any) -> Any:
    n, d = q.shape
    out = tiles.output((n, d), q.dtype)
    for i in tiles.grid((n, 16)):
        top = tiles.full((i,), -np.inf, "float32")
        total = tiles.zeros((i,))
        mean = tiles.zeros((i, d))
        for j in tiles.steps(n, 16):
            scores = q[i] @ k[j].T / np.sqrt(d)
            new = np.maximum(top[...], scores.max(axis=1))
            weights = np.exp(scores - new[:, None])
            faded = np.exp(top[...] - new)
            total[...] = total[...] * faded + weights.sum(axis=1)
            mean[...] = mean[...] * faded[:, None] + weights @ v[j]
            top[...] = new
        out[i] = mean[...] / total[...][:, None]
    return out


@weft.kernel
def blur(x: Any) -> Any:
    """Means of three neighbours; the sums by the way."""
    n = x.shape[0] - 2
    mean, sums = tiles.output((n,), x.dtype), tiles.output((n,), x.dtype)
    for i in tiles.grid((n, 8)):
        total = x[i] + x[i + 1] + x[i + 2]
        sums[i] = total
        mean[i] = total / 3
    return {"mean": mean, "sums": sums}


@weft.kernel
def turned(x: Any) -> Any:
    """The transpose, marked by where each block was, and a sum for each row."""
    m, n = x.shape
    out, sums = tiles.output((n, m), x.dtype), tiles.output((m,), "float32")
    for i in tiles.grid(m):
        total = tiles.zeros(())
        for j in tiles.steps(n, 4):
            row = x[i, j]
            out[j, i] = np.where(j.indices % 2 == 0, row, row + i.value)
            total += row.sum()
        sums[i] = total
    return sums, out
