"""`weft.scipy.stats` against SciPy, its derivatives, edges and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats as oracle

import weft
from weft.scipy import stats

RNG = np.random.default_rng(5)
PROBABILITIES = np.array([0.0, 1e-6, 0.1, 0.5, 0.8, 1 - 1e-6, 1.0])
ALL = ("logpdf", "pdf", "cdf", "sf", "logcdf", "logsf")

CONTINUOUS: list[tuple[str, tuple[float, ...], np.ndarray, tuple[str, ...]]] = [
    ("norm", (), np.linspace(-9, 9, 23), (*ALL, "ppf", "isf")),
    ("uniform", (), np.linspace(-0.5, 1.5, 9), (*ALL, "ppf")),
    ("expon", (), np.linspace(-1, 20, 23), (*ALL, "ppf", "isf")),
    ("laplace", (), np.linspace(-9, 9, 23), (*ALL, "ppf", "isf")),
    ("logistic", (), np.linspace(-30, 30, 23), (*ALL, "ppf", "isf")),
    ("cauchy", (), np.linspace(-30, 30, 22), (*ALL, "ppf", "isf")),
    ("gamma", (2.5,), np.linspace(-1, 20, 23), ALL),
    ("gamma", (0.5,), np.linspace(0.1, 9, 9), ALL),
    ("chi2", (3.0,), np.linspace(-1, 20, 23), ALL),
    ("beta", (2.0, 0.5), np.linspace(-0.2, 1.2, 15), ALL),
    ("t", (3.5,), np.linspace(-9, 9, 23), ALL),
    ("pareto", (2.5,), np.linspace(0.5, 9, 23), (*ALL, "ppf")),
    ("gumbel_r", (), np.linspace(-3, 9, 23), (*ALL, "ppf", "isf")),
    ("gumbel_l", (), np.linspace(-9, 3, 23), (*ALL, "ppf", "isf")),
    ("gennorm", (1.5,), np.linspace(-5, 5, 23), ALL),
    ("vonmises", (2.0,), np.linspace(-3, 3, 9), ("logpdf", "pdf")),
    ("wrapcauchy", (0.5,), np.linspace(-1, 7, 23), ("logpdf", "pdf")),
    ("truncnorm", (-1.0, 2.0), np.linspace(-2, 3, 23), ALL),
    ("truncnorm", (5.0, 9.0), np.linspace(4, 9.5, 23), ALL),
]


@pytest.mark.parametrize(("name", "shapes", "x", "methods"), CONTINUOUS)
def test_continuous_distributions(
    name: str, shapes: tuple[float, ...], x: np.ndarray, methods: tuple[str, ...]
) -> None:
    mine, theirs = getattr(stats, name), getattr(oracle, name)
    for method in methods:
        points = PROBABILITIES if method in ("ppf", "isf") else x
        for loc, scale in ((0.0, 1.0), (0.5, 2.0)):
            at = points if method in ("ppf", "isf") else loc + scale * points
            found = weft.jit(getattr(mine, method))(at, *shapes, loc, scale)
            with np.errstate(all="ignore"):
                wanted = getattr(theirs, method)(at, *shapes, loc, scale)
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-13, err_msg=method)


DISCRETE: list[tuple[str, tuple[float, ...], bool]] = [
    ("bernoulli", (0.3,), True),
    ("binom", (7.0, 0.3), True),
    ("poisson", (2.5,), True),
    ("geom", (0.3,), True),
    ("nbinom", (2.5, 0.3), True),
    ("betabinom", (7.0, 0.5, 2.0), False),
]


@pytest.mark.parametrize(("name", "shapes", "has_cdf"), DISCRETE)
def test_discrete_distributions(name: str, shapes: tuple[float, ...], has_cdf: bool) -> None:
    k = np.arange(-2.0, 10)
    mine, theirs = getattr(stats, name), getattr(oracle, name)
    for method in ("pmf", "logpmf", *(("cdf", "sf") if has_cdf else ())):
        for loc in (0, 1):
            found = weft.jit(getattr(mine, method))(k, *map(np.asarray, shapes), loc)
            np.testing.assert_allclose(
                found, getattr(theirs, method)(k, *shapes, loc), rtol=1e-9, atol=1e-14
            )
    assert float(mine.pmf(np.asarray(1.5), *shapes)) == 0
    assert mine.pmf(np.arange(3), *shapes).dtype == np.float32


def test_vectors() -> None:
    a = RNG.normal(size=(3, 3))
    mean, cov, x = RNG.normal(size=3), a @ a.T + np.eye(3), RNG.normal(size=(5, 3))
    wanted = oracle.multivariate_normal.logpdf(x, mean, cov)
    np.testing.assert_allclose(stats.multivariate_normal.logpdf(x, mean, cov), wanted, rtol=1e-10)
    np.testing.assert_allclose(
        stats.multivariate_normal.pdf(x, mean, 2.0),
        oracle.multivariate_normal.pdf(x, mean, 2 * np.eye(3)),
        rtol=1e-10,
    )
    alpha = np.array([0.5, 2.0, 3.0])
    p = RNG.dirichlet(alpha, 4).T
    wanted = oracle.dirichlet.logpdf(p, alpha)
    np.testing.assert_allclose(stats.dirichlet.logpdf(p, alpha), wanted, rtol=1e-9)
    np.testing.assert_allclose(stats.dirichlet.logpdf(p[:2], alpha), wanted, rtol=1e-9)
    assert np.asarray(stats.dirichlet.pdf(p + 1, alpha)).tolist() == [0] * 4
    counts = np.array([[1, 2, 3], [0, 0, 6], [1, 1, 1]])
    chances = np.array([0.2, 0.3, 0.5])
    np.testing.assert_allclose(
        stats.multinomial.logpmf(counts, 6, chances),
        oracle.multinomial.logpmf(counts, 6, chances),
        rtol=1e-9,
    )


def test_derivatives_are_limits_of_differences() -> None:
    with weft.disable_jit():
        compare_with_differences(1e-6)


def compare_with_differences(h: float) -> None:
    for name, shapes, x, methods in CONTINUOUS:
        point = np.asarray(x[len(x) // 2] + 0.07)
        for method in set(methods) & {"logpdf", "logcdf", "logsf"}:
            f = getattr(getattr(stats, name), method)
            arguments = [point, *(np.asarray(s) for s in shapes)]
            # gammainc and betainc have derivatives in their last argument.
            for at in range(len(arguments) if method == "logpdf" else 1):
                ahead, behind = list(arguments), list(arguments)
                ahead[at] = np.asarray(arguments[at] + h)
                behind[at] = np.asarray(arguments[at] - h)
                difference = (float(f(*ahead)) - float(f(*behind))) / (2 * h)
                slope = float(weft.grad(f, argnums=at)(*arguments))
                np.testing.assert_allclose(slope, difference, rtol=1e-5, atol=1e-6, err_msg=name)


def test_derivatives_outside_of_the_support_are_zero_and_not_nan() -> None:
    for name, shapes in (("gamma", (2.5,)), ("beta", (2.0, 3.0)), ("pareto", (2.0,))):
        slope = weft.grad(getattr(stats, name).cdf)(np.asarray(-1.0), *shapes)
        assert float(slope) == 0


def test_parameters_that_are_none_give_nan() -> None:
    assert np.isnan(float(stats.norm.pdf(1.0, 0.0, -1.0)))
    assert np.isnan(float(stats.norm.ppf(1.5)))
    assert np.isnan(float(stats.norm.cdf(np.nan)))
    assert np.isnan(float(stats.truncnorm.pdf(0.0, 1.0, -1.0)))


def test_parameters_by_name_and_batches() -> None:
    x = np.linspace(0.1, 0.9, 5)
    np.testing.assert_allclose(
        stats.beta.pdf(x, b=2.0, a=1.5, scale=2.0), oracle.beta.pdf(x, 1.5, 2.0, scale=2.0)
    )
    batched = weft.vmap(stats.gamma.logpdf, in_axes=(0, None))(x, 2.0)
    np.testing.assert_allclose(batched, oracle.gamma.logpdf(x, 2.0), rtol=1e-12)
    assert repr(stats.gamma) == "<weft.scipy.stats.gamma(a, loc, scale)>"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: stats.gamma.pdf(1.0), TypeError, r"gamma\.pdf|gamma\.logpdf: the parameter a is"),
        (
            lambda: stats.norm.cdf(1.0, 0, 1, 2),
            TypeError,
            r"norm\.cdf: at most 2 parameters, got 3",
        ),
        (lambda: stats.norm.cdf(1.0, mu=1), TypeError, "its parameters are loc, scale; not mu"),
        (lambda: stats.vonmises.cdf(1.0, 2.0), NotImplementedError, r"vonmises\.cdf: there is no"),
        (lambda: stats.betabinom.cdf(1, 2, 3, 4), NotImplementedError, r"betabinom\.cdf: there is"),
        (lambda: stats.norm.pdf(1j), TypeError, r"norm\.logpdf: arguments must be real"),
        (
            lambda: stats.multivariate_normal.pdf(np.ones(2), np.ones(2), np.eye(3)),
            ValueError,
            r"needs cov of shape \(\.\.\., 2, 2\)",
        ),
        (
            lambda: stats.dirichlet.pdf(np.ones(3), np.ones(5)),
            ValueError,
            "as many elements in its first axis, or one less",
        ),
    ],
)
def test_errors_say_what_to_do(call: Callable[[], Any], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call()
