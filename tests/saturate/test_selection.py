"""Sums of which indices leave one term, on request: no diagonal matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import weft
from weft import numpy as wnp


@pytest.fixture
def domain() -> Iterator[None]:
    weft.config.numerics = "domain"
    yield
    weft.config.numerics = "real"


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


CASES: list[tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = [
    (lambda np_, a, d: a @ np_.diag(d), (normal(200, 300), normal(300))),
    (lambda np_, a, d: np_.diag(d) @ a.T, (normal(200, 300), normal(300))),
    (lambda np_, a: a @ (np_.eye(300, dtype="f") * 3), (normal(200, 300),)),
    (lambda np_, a, b: -(b[0] * np_.eye(200, dtype="f")) @ a, (normal(200, 300), normal(4))),
    (lambda np_, a: np_.eye(200, 500, 100, dtype="f") @ a, (normal(500, 40),)),
    (lambda np_, a, d: (a @ np_.diag(d) @ a.T).sum(0), (normal(200, 300), normal(300))),
]


@pytest.mark.parametrize(("function", "args"), CASES)
@pytest.mark.usefixtures("domain")
def test_no_diagonal_matrix_is_made(
    function: Callable[..., Any], args: tuple[np.ndarray, ...]
) -> None:
    found = weft.jit(lambda *a: function(wnp, *a))(*args)
    exact = function(np, *(a.astype(np.float64) for a in args))
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-4 * np.abs(exact).max())
    report = weft.explain(lambda *a: function(wnp, *a), *args)
    assert report.peak_intermediate_bytes < 4 * 600
    assert report.flops < 8 * args[0].size


@pytest.mark.usefixtures("domain")
def test_what_is_out_of_reach_is_still_zero() -> None:
    """The diagonal of a wider matrix leaves columns without any term."""
    a = normal(20, 30)
    found = weft.jit(lambda a: a @ wnp.eye(30, 40, 5, dtype="f"))(a)
    np.testing.assert_allclose(found, a @ np.eye(30, 40, 5, dtype="f"), rtol=1e-6)


def test_infinities_are_not_lost_unless_allowed() -> None:
    a = np.array([[1.0, np.inf]], np.float32)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(
            weft.jit(lambda a: a @ wnp.eye(2, dtype="f"))(a), a @ np.eye(2, dtype="f")
        )
