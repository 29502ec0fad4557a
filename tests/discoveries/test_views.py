"""Windows and views: no copy before a value is needed, and no array of windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
from weft import numpy as wnp
from weft.report import Report


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def one_kernel(function: Callable[..., Any], *args: np.ndarray) -> Report:
    """The report of a function that is one kernel and keeps nothing in memory."""
    found = np.asarray(weft.jit(lambda *a: function(wnp, *a))(*args))
    exact = function(np, *(a.astype(np.float64) for a in args))
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-5)
    report = weft.explain(lambda *a: function(wnp, *a), *args)
    assert len(report.kernels) == 1
    assert report.peak_intermediate_bytes == 0
    # What is read: each input once, and what is written before it is written.
    assert report.bytes_moved["DRAM"] < 1.3 * (sum(a.nbytes for a in args) + 2 * found.nbytes)
    return report


def chain(np_: Any, x: Any) -> Any:
    y = x.reshape(64, 8, 128).transpose(2, 0, 1)[::-1, 3:60]
    y = np_.pad(y, ((1, 2), (0, 3), (0, 0)))
    return np_.roll(np_.flip(y, 1), 3, 0)


@pytest.mark.parametrize(
    "function",
    [
        lambda np_, x: chain(np_, x) * 2,
        lambda np_, x: np_.concatenate([chain(np_, x)[:50], chain(np_, x)[60:]], 0),
        lambda np_, x: np_.concatenate([np_.roll(x, 3, 0)[5:], np_.flip(x, 1)], 0) + 1,
        lambda np_, x: np_.stack([x, x[::-1]], 1).reshape(1024, 128)[::2].T - 1,
        lambda np_, x: np_.pad(x, ((2, 2), (3, 3)))[1:-1, 2:-2].T * 2,
    ],
)
def test_chains_of_views_are_one_pass(function: Callable[..., Any]) -> None:
    one_kernel(function, normal(512, 128))


def test_a_chain_of_views_is_summed_where_it_is_read() -> None:
    report = one_kernel(lambda np_, x: chain(np_, x).sum((0, 2)), normal(512, 128))
    assert report.bytes_moved["DRAM"] < 1.1 * 4 * 512 * 128


def convolution(np_: Any, x: Any, w: Any) -> Any:
    return sum(x[i : i + 254, j : j + 254] * w[i, j] for i in range(3) for j in range(3))


@pytest.mark.parametrize(
    "function",
    [
        convolution,
        lambda np_, x, w: np_.maximum(convolution(np_, x, w), 0)[::2, ::2],
        lambda np_, x, w: (
            np_.stack([x[i::2, j::2] for i in (0, 1) for j in (0, 1)]).max(0) * w[0, 0]
        ),
        lambda np_, x, w: x.reshape(128, 2, 128, 2).mean((1, 3)) + w[0, 0],
    ],
)
def test_windows_written_with_slices_are_one_pass(function: Callable[..., Any]) -> None:
    one_kernel(function, normal(256, 256), normal(3, 3))


def test_decoding_shares_the_cache_among_threads() -> None:
    """One query: nothing but the cache to share, and nothing of its length is stored."""
    length = 50_000

    def decode(np_: Any, q: Any, k: Any, v: Any) -> Any:
        s = k @ q / 8
        p = np_.exp(s - s.max(-1, keepdims=True))
        return (p / p.sum(-1, keepdims=True)) @ v

    args = normal(64), normal(length, 64), normal(length, 64)
    found = np.asarray(weft.jit(lambda *a: decode(wnp, *a))(*args))
    np.testing.assert_allclose(found, decode(np, *(a.astype("f8") for a in args)), atol=1e-6)
    report = weft.explain(lambda *a: decode(wnp, *a), *args)
    assert len(report.kernels) == 1
    assert report.peak_intermediate_bytes < length
    assert report.bytes_moved["DRAM"] < 1.02 * 2 * args[1].nbytes
    if weft.config.threads > 1:
        assert "parallel" in report.kernels[0].schedule
