"""The gradient of attention, from naive source: intermediates of the size of the inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

import weft
from weft import numpy as wnp

S, D = 2048, 32


def normals(count: int, *shape: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(np.float32) for _ in range(count)]


def gradient(np_: Any, q: Any, k: Any, v: Any, g: Any) -> tuple[Any, Any, Any]:
    """What the derivative of attention is, written out."""
    p = np_.exp(q @ k.T / 8 - (q @ k.T / 8).max(-1, keepdims=True))
    p = p / p.sum(-1, keepdims=True)
    dp = g @ v.T
    ds = p * (dp - (p * dp).sum(-1, keepdims=True)) / 8
    return ds @ k, ds.T @ q, p.T @ g


def test_a_gradient_of_attention_has_no_array_of_all_pairs() -> None:
    def attention(q: Any, k: Any, v: Any) -> Any:
        s = q @ k.T / 8
        p = wnp.exp(s - s.max(-1, keepdims=True))
        return (p / p.sum(-1, keepdims=True)) @ v

    def pulled(q: Any, k: Any, v: Any, g: Any) -> Any:
        return weft.vjp(attention, q, k, v)[1](g)

    args = normals(4, S, D)
    compiled = weft.jit(pulled)
    exact = gradient(np, *(a.astype(np.float64) for a in args))
    for found, e in zip(compiled(*args), exact, strict=True):
        np.testing.assert_allclose(found, e, rtol=1e-4, atol=1e-5 * np.abs(e).max())
    report = weft.explain(pulled, *args)
    assert len(report.kernels) <= 4
    assert report.peak_intermediate_bytes < S * S
    assert report.bytes_moved["DRAM"] < 4 * S * S
