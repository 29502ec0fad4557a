"""How well a product fits a matrix: no array of the size of the product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
from weft import numpy as wnp
from weft.report import Report

N, M, K = 800, 900, 16


def factors(seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    return tuple(rng.standard_normal(s).astype(np.float32) for s in ((N, M), (N, K), (M, K)))


def report_of(function: Callable[..., Any], *args: np.ndarray) -> Report:
    report = weft.explain(lambda *a: function(wnp, *a), *args)
    assert report.peak_intermediate_bytes < N * M
    assert report.bytes_moved["DRAM"] < 1.1 * sum(a.nbytes for a in args)
    return report


@pytest.mark.parametrize(
    "function",
    [
        lambda np_, x, u, v: ((x - u @ v.T) ** 2).sum(),
        lambda np_, x, u, v: ((x - u @ v.T) ** 2).mean() / 2,
        lambda np_, x, u, v: np_.abs(x - u @ v.T).max(),
        lambda np_, x, u, v: np_.sqrt(((x.T - v @ u.T) ** 2).sum()) + (u * u).sum(),
        lambda np_, x, u, v: np_.where(x > 0, (x - u @ v.T) ** 2, 0).sum(),
    ],
)
def test_a_loss_of_a_product_is_folded_as_it_is_computed(function: Callable[..., Any]) -> None:
    args = factors()
    report_of(function, *args)
    found = np.asarray(weft.jit(lambda *a: function(wnp, *a))(*args))
    exact = function(np, *(a.astype(np.float64) for a in args))
    np.testing.assert_allclose(found, exact, rtol=3e-6)


def test_a_fit_that_is_nearly_perfect_is_measured_without_cancellation() -> None:
    def misfit(np_: Any, x: Any, u: Any, v: Any) -> Any:
        return ((x - u @ v.T) ** 2).sum()

    noise, u, v = factors(1)
    x = (u.astype(np.float64) @ v.T + 1e-3 * noise).astype(np.float32)
    report_of(misfit, x, u, v)
    found = np.asarray(weft.jit(lambda *a: misfit(wnp, *a))(x, u, v))
    exact = misfit(np, *(a.astype(np.float64) for a in (x, u, v)))
    # Expanded, the squares would be 1e6 times as large as what is left of them.
    np.testing.assert_allclose(found, exact, rtol=1e-4)
