"""Sums of products, from naive source: the cheapest order, and only what is used."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import weft
from weft import numpy as wnp
from weft.report import Report


def normal(*shape: int) -> np.ndarray:
    rng = np.random.default_rng(sum(shape))
    return rng.standard_normal(shape).astype(np.float32)


def discovered(function: Callable[..., Any], *args: np.ndarray, bound: float = 1e-4) -> Report:
    """The report of a function whose results, compiled, are those of NumPy in double precision."""
    found = np.asarray(weft.jit(lambda *a: function(wnp, *a))(*args))
    exact = function(np, *(a.astype(np.float64) for a in args))
    scale = np.abs(exact).max()
    np.testing.assert_allclose(found, exact, rtol=bound, atol=bound * scale)
    return weft.explain(lambda *a: function(wnp, *a), *args)


N = 300


@pytest.mark.parametrize(
    "function",
    [
        lambda np_, a, b: (a @ b).sum(),
        lambda np_, a, b: np_.trace(a @ b),
        lambda np_, a, b: np_.diagonal(a @ b),
        lambda np_, a, b: (a @ b)[17],
        lambda np_, a, b: (a @ b)[:, -1],
        lambda np_, a, b: (a @ b)[5, 7],
        lambda np_, a, b: (a @ b).sum(0),
        lambda np_, a, b: (a @ b).mean(1),
        lambda np_, a, b: np_.exp((a @ b)[3] / 40).sum(),
        lambda np_, a, b: ((a @ b) @ (a @ b))[:, 0],
    ],
)
def test_only_what_is_used_of_a_product_is_computed(function: Callable[..., Any]) -> None:
    report = discovered(function, normal(N, N), normal(N, N))
    assert report.flops < 14 * N * N  # a product takes 2·N of these
    assert report.peak_intermediate_bytes < 64 * N


def test_some_columns_of_a_product() -> None:
    report = discovered(lambda np_, a, b: (a @ b)[:, :8], normal(N, N), normal(N, N))
    assert report.flops < 2.2 * 8 * N * N


@pytest.mark.parametrize("length", [3, 4, 6, 10])
def test_a_chain_that_ends_in_a_vector_is_a_row_of_vectors(length: int) -> None:
    def chain(np_: Any, *factors: Any) -> Any:
        product = factors[0]
        for factor in factors[1:]:
            product = product @ factor
        return product

    factors = [normal(N, N) / np.float32(np.sqrt(N)) for _ in range(length - 1)]
    report = discovered(chain, *factors, normal(N, 1)[:, 0], bound=1e-3)
    assert report.flops < 2.5 * (length - 1) * N * N
    assert report.peak_intermediate_bytes < 64 * N * length


@pytest.mark.parametrize(
    "sizes",
    [
        (30, 350, 15, 50, 10, 200, 25),
        (200, 5, 200, 5, 200),
        (10, 300, 10, 300, 10, 300, 10, 300, 10),
        (400, 20, 300, 10, 250),
    ],
)
def test_chains_of_matrices_are_in_the_cheapest_order(sizes: tuple[int, ...]) -> None:
    def chain(np_: Any, *factors: Any) -> Any:
        product = factors[0]
        for factor in factors[1:]:
            product = product @ factor
        return product

    factors = [normal(n, m) / np.float32(np.sqrt(m)) for n, m in pairwise(sizes)]
    report = discovered(chain, *factors, bound=1e-3)
    assert report.flops < 1.15 * 2 * matrix_chain(sizes)


def matrix_chain(sizes: tuple[int, ...]) -> int:
    """Multiplications of the best order of a chain of matrices (Godbole, 1973)."""
    n = len(sizes) - 1
    cost = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i][j] = min(
                cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1]
                for k in range(i, j)
            )
    return cost[0][n - 1]


def low_rank(np_: Any, x: Any, w: Any, a: Any, b: Any) -> Any:
    return x @ w + (x @ a) @ b


def test_a_low_rank_update_of_many_rows_goes_into_the_weights() -> None:
    report = discovered(
        low_rank, normal(2000, 200), normal(200, 150), normal(200, 20), normal(20, 150)
    )
    assert report.flops < 2.1 * 2000 * 200 * 150


def test_a_low_rank_update_of_few_rows_stays_apart() -> None:
    report = discovered(low_rank, normal(4, 600), normal(600, 500), normal(600, 8), normal(8, 500))
    apart = 2 * 4 * (600 * 500 + 600 * 8 + 8 * 500)
    assert report.flops < 1.1 * apart
    assert report.peak_intermediate_bytes < 600 * 500


def test_a_kronecker_product_is_never_made() -> None:
    report = discovered(
        lambda np_, a, b, x: np_.kron(a, b) @ x,
        normal(40, 40),
        normal(30, 30),
        normal(1200, 1)[:, 0],
    )
    assert report.bytes_moved["DRAM"] < 4 * 1200 * 1200 / 8
    assert report.peak_intermediate_bytes < 4 * 1200 * 1200 / 8


def test_the_end_of_a_running_sum_is_a_sum() -> None:
    report = discovered(lambda np_, x: np_.cumsum(x, 0)[-1], normal(500, 400))
    assert len(report.kernels) == 1 and report.peak_intermediate_bytes == 0
    assert report.bytes_moved["DRAM"] < 1.1 * 4 * 500 * 400


def test_complementary_masks_are_one_pass() -> None:
    def masked(np_: Any, x: Any) -> Any:
        positive = x > 0.5
        return np_.where(positive, x, 0).sum(1) + np_.where(positive, 0, x).sum(1)

    report = discovered(masked, normal(500, 400))
    assert len(report.kernels) == 1
    assert report.flops < 1.2 * 500 * 400


def test_repeated_subexpressions_are_computed_once() -> None:
    def twice(np_: Any, a: Any, b: Any) -> Any:
        return np_.tanh(a @ b) + np_.tanh(a @ b) * (a @ b)

    report = discovered(twice, normal(N, N), normal(N, N))
    assert report.flops < 1.2 * 2 * N**3


def test_an_einsum_of_many_operands_has_the_best_order() -> None:
    n = N // 2  # NumPy sums n⁴ products
    report = discovered(
        lambda np_, a, b, c, d: np_.einsum("ij,jk,kl,l->i", a, b, c, d),
        normal(n, n),
        normal(n, n),
        normal(n, n),
        normal(n, 1)[:, 0],
    )
    assert report.flops < 2.5 * 3 * n * n


@pytest.mark.parametrize(
    "weights",
    [
        lambda np_, s: np_.exp(s - s.max(-1, keepdims=True)),
        lambda np_, s: np_.abs(s),
        lambda np_, s: np_.tanh(s) ** 2 + 1,
    ],
)
def test_weights_are_normalised_after_they_are_used(weights: Callable[..., Any]) -> None:
    def averages(np_: Any, s: Any, v: Any) -> Any:
        w = weights(np_, s)
        return (w / w.sum(-1, keepdims=True)) @ v

    report = discovered(averages, normal(512, 512), normal(512, 8))
    rules = {rule for step in report.derivation for rule in step.rules}
    assert rules & {"divisor out", "quotient out"}
