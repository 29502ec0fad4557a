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


def test_the_gradient_of_grouped_queries_is_planned() -> None:
    """Sums without rows beside them, over what slides, were said to have a longest row."""

    def grouped(np_: Any, q: Any, k: Any, v: Any) -> Any:
        k, v = (np_.repeat(x, 4, 1) for x in (k, v))
        s = q @ np_.swapaxes(k, -1, -2) / 8
        p = np_.exp(s - s.max(-1, keepdims=True))
        return (p / p.sum(-1, keepdims=True)) @ v

    def by_groups(q: Any, k: Any, v: Any, g: Any) -> Any:
        split = (x.reshape(2, 2, 4, 512, 64) for x in (q, g))
        q, g = (x.astype(np.float64) for x in split)
        k, v = (x.astype(np.float64)[:, :, None] for x in (k, v))
        p = np.exp(q @ k.swapaxes(-1, -2) / 8)
        p /= p.sum(-1, keepdims=True)
        dp = g @ v.swapaxes(-1, -2)
        ds = p * (dp - (p * dp).sum(-1, keepdims=True)) / 8
        dk, dv = ds.swapaxes(-1, -2) @ q, p.swapaxes(-1, -2) @ g
        return (ds @ k).reshape(2, 8, 512, 64), dk.sum(2), dv.sum(2)

    q, g = normals(2, 2, 8, 512, 64)
    k, v = normals(2, 2, 2, 512, 64)
    pulled = weft.jit(lambda q, k, v, g: weft.vjp(lambda *a: grouped(wnp, *a), q, k, v)[1](g))
    for found, exact in zip(pulled(q, k, v, g), by_groups(q, k, v, g), strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-3, atol=1e-5 * np.abs(exact).max())
