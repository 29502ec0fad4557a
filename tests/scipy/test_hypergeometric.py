"""Hypergeometric functions against mpmath, spherical harmonics against SciPy, and derivatives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.special
import scipy.stats

import weft
import weft.numpy as wnp
from weft.scipy import special, stats
from weft.test_util import check_grads

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _one_operation_at_a_time() -> Iterator[None]:
    with weft.disable_jit():
        yield


def reference(function: Any, *args: np.ndarray) -> np.ndarray:
    return np.array([float(function(*map(float, row))) for row in zip(*args, strict=True)])


def test_hyp1f1() -> None:
    a, b = RNG.uniform(-3, 4, 60), RNG.uniform(0.3, 4, 60)
    x = RNG.uniform(-40, 40, 60)
    a[:4], x[:4] = [-3, 0, -1, 2], [30, 5, -20, -700]
    x[4:12] = [300, -300, 120, -120, 650, -2000, 1e-8, 0]
    b[12:14] = a[12:14] + 1
    wanted = reference(mpmath.hyp1f1, a, b, x)
    np.testing.assert_allclose(special.hyp1f1(a, b, x), wanted, rtol=2e-11)
    single = special.hyp1f1(*(v.astype(np.float32) for v in (a[12:], b[12:], x[12:])))
    close = reference(mpmath.hyp1f1, *(v.astype(np.float32) for v in (a[12:], b[12:], x[12:])))
    np.testing.assert_allclose(single, close, rtol=2e-4)
    assert np.asarray(special.hyp1f1(np.array([1.0, 0]), -2.0, 1.0)).tolist() == [np.inf, 1]


def test_hyp2f1() -> None:
    a, b, c = RNG.uniform(-2, 3, 40), RNG.uniform(-2, 3, 40), RNG.uniform(0.3, 4, 40)
    x = RNG.uniform(-8, 0.95, 40)
    x[:8] = [0.99, 0.95, 0.999, 0.9, -50, -1, 0.5, 0]
    a[8:12], x[8:12] = [-3, 0, -2, -5], [7, 3, -4, 0.97]
    c[12:14] = b[12:14]
    wanted = reference(mpmath.hyp2f1, a, b, c, x)
    np.testing.assert_allclose(special.hyp2f1(a, b, c, x), wanted, rtol=5e-10)
    # An integer c - a - b has no formula around 1; there the sum is long.
    found = special.hyp2f1(np.array([1.0, 0.5]), np.array([1.0, 0.5]), np.array([2.0, 1]), 0.93)
    wanted = reference(mpmath.hyp2f1, *np.array([[1, 0.5], [1, 0.5], [2, 1], [0.93, 0.93]]))
    np.testing.assert_allclose(found, wanted, rtol=1e-10)
    edges = special.hyp2f1(0.3, 0.4, np.array([2.0, 0.5, 2.0, -3.0]), np.array([1.0, 1, 1.5, 0.5]))
    gauss = float(mpmath.hyp2f1(0.3, 0.4, 2, 1))
    np.testing.assert_allclose(edges, [gauss, np.inf, np.inf, np.inf], rtol=1e-12)


def test_derivatives() -> None:
    a, b, c = np.array([0.7, 1.4]), np.array([1.2, 0.6]), np.array([1.9, 2.3])
    x = np.array([0.4, -0.8])
    check_grads(special.hyp1f1, (a, c, 3 * x), order=1, rtol=1e-5)
    check_grads(lambda x: special.hyp1f1(a, c, x), (3 * x,), order=2, rtol=1e-4)
    check_grads(special.hyp2f1, (a, b, c, x), order=1, rtol=1e-5)


def test_spherical_harmonics() -> None:
    n, m = np.array([(n, m) for n in range(5) for m in range(-n, n + 1)]).T
    theta, phi = RNG.uniform(0, np.pi, (4, 1)), RNG.uniform(0, 6, (4, 1))
    found = np.asarray(special.sph_harm_y(n, m, theta, phi))
    wanted = scipy.special.sph_harm_y(n, m, theta, phi)
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    high = np.asarray(special.sph_harm_y(np.array([60]), np.array([-31]), 0.7, 0.2))
    np.testing.assert_allclose(high, scipy.special.sph_harm_y(60, -31, 0.7, 0.2), rtol=2e-4)
    check_grads(
        lambda t, p: wnp.abs(special.sph_harm_y(n[:9], m[:9], t, p) + 1), (theta, phi), order=1
    )
    with pytest.raises(TypeError, match="n and m are integers, got float64"):
        special.sph_harm_y(theta, m, theta, phi)
    with pytest.raises(ValueError, match="n_max has to be given, as an int"):
        weft.make_jaxpr(lambda n: special.sph_harm_y(n, 0, 0.1, 0.2))(np.array([1]))
    with pytest.raises(NotImplementedError, match="diff_n is None"):
        special.sph_harm_y(1, 0, 0.1, 0.2, diff_n=1)


def test_more_of_discrete_distributions() -> None:
    q, p = np.array([-0.1, 0, 0.3, 0.5, 0.8, 1, 0.4]), np.array([0.4] * 6 + [1.5])
    np.testing.assert_array_equal(stats.bernoulli.ppf(q, p), [np.nan, -1, 0, 0, 1, 1, np.nan])
    mu = np.array([0, 0.01, 1, 20, 99, 101, 5000.0, -1])
    wanted = scipy.stats.poisson.entropy(mu[:7])
    np.testing.assert_allclose(stats.poisson.entropy(mu)[:7], wanted, rtol=1e-7, atol=1e-12)
    assert np.isnan(stats.poisson.entropy(mu)[7])
    with pytest.raises(NotImplementedError, match=r"stats.geom.entropy: there is no formula"):
        stats.geom.entropy(0.3)
