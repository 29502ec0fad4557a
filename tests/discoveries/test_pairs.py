"""All pairs of points: no array of the size of all pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
from weft import numpy as wnp

N, M = 700, 900


def points(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def squares(np_: Any, x: Any, y: Any) -> Any:
    return ((x[:, None] - y[None]) ** 2).sum(-1)


def forces(np_: Any, x: Any, y: Any) -> Any:
    apart = y[None] - x[:, None]
    cubed = ((apart * apart).sum(-1, keepdims=True) + np_.float32(1e-2)) ** np_.float32(1.5)
    return (apart / cubed).sum(1)


CASES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "nearest distance": lambda np_, x, y: squares(np_, x, y).min(1),
    "nearest point": lambda np_, x, y: squares(np_, x, y).argmin(1),
    "farthest, other way round": lambda np_, x, y: squares(np_, y, x).max(0),
    "Gaussian kernel sum": lambda np_, x, y: np_.exp(-squares(np_, x, y)).sum(1),
    "Manhattan": lambda np_, x, y: np_.abs(x[:, None] - y[None]).sum(-1).min(1),
    "Chebyshev": lambda np_, x, y: np_.abs(x[:, None] - y[None]).max(-1).min(1),
    "neighbours within a radius": lambda np_, x, y: (squares(np_, x, y) < 1.5).sum(1),
    "forces": forces,
}


@pytest.mark.parametrize(
    ("name", "dimensions"),
    # A force in many dimensions would compute the distance again for some of its components.
    [(name, d) for name in CASES for d in (2, 3, 16) if (name, d) != ("forces", 16)],
)
def test_pairs_are_never_stored(name: str, dimensions: int) -> None:
    x, y = points(N, dimensions, 0), points(M, dimensions, 1)
    case = CASES[name]
    report = weft.explain(lambda x, y: case(wnp, x, y), x, y)
    assert len(report.kernels) == 1
    assert report.peak_intermediate_bytes < N * M
    assert report.bytes_moved["DRAM"] < N * M
    found = np.asarray(weft.jit(lambda x, y: case(wnp, x, y))(x, y))
    exact = case(np, x.astype(np.float64), y.astype(np.float64))
    if found.dtype.kind == "i":
        assert (found == case(np, x, y)).mean() > 0.995
    else:
        np.testing.assert_allclose(found, exact, rtol=2e-4, atol=2e-4)


def test_results_share_what_they_have_in_common() -> None:
    """A force has three components and one distance."""
    x = points(512, 3, 0)
    report = weft.explain(lambda x: forces(wnp, x, x), x)
    assert report.kernels[0].schedule.count("= pow ") == 1
    assert report.flops < 30 * 512 * 512
