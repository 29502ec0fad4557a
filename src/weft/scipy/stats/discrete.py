"""Distributions of integers, by the formulas of their chances."""

from __future__ import annotations

import numpy as np

import weft.numpy as wnp
from weft.numpy._common import Value
from weft.scipy import special
from weft.scipy.stats.distribution import Discrete


def _log_choose(n: Value, k: Value) -> Value:
    return -wnp.log1p(n) - special.betaln(n - k + 1, k + 1)


def _two(p: Value) -> tuple[float, float]:
    return 0.0, 1.0


def _poisson_entropy(mu: Value) -> Value:
    """By its sum, or for great means by its expansion in 1/mu."""
    near = wnp.where(mu < 100, mu, 1)[..., None]
    k = wnp.arange(2, 260).astype(mu.dtype)
    log_factorials = special.gammaln(k + 1)
    chances = wnp.exp(k * wnp.log(near) - near - log_factorials)
    short = wnp.sum(chances * log_factorials, -1) - special.xlogy(near, near)[..., 0] + near[..., 0]
    far = wnp.where(mu < 100, 100, mu)
    powers = 1 / (12 * far) + 1 / (24 * far**2) + 19 / (360 * far**3)
    long = 0.5 * wnp.log(2 * np.pi * np.e * far) - powers
    return wnp.where(mu < 0, wnp.nan, wnp.where(mu < 100, short, long))


bernoulli = Discrete(
    "bernoulli",
    ("p",),
    logpmf=lambda k, p: special.xlogy(k, p) + special.xlog1py(1 - k, -p),
    cdf=lambda k, p: 1 - p,
    ppf=lambda q, p: wnp.where((p >= 0) & (p <= 1), wnp.where(q <= 1 - p, 0, 1), wnp.nan),
    support=_two,
)

binom = Discrete(
    "binom",
    ("n", "p"),
    logpmf=lambda k, n, p: _log_choose(n, k) + special.xlogy(k, p) + special.xlog1py(n - k, -p),
    cdf=lambda k, n, p: special.betainc(n - k, k + 1, 1 - p),
    support=lambda n, p: (0.0, n),
)

poisson = Discrete(
    "poisson",
    ("mu",),
    logpmf=lambda k, mu: special.xlogy(k, mu) - special.gammaln(k + 1) - mu,
    cdf=lambda k, mu: special.gammaincc(k + 1, mu),
    entropy=_poisson_entropy,
    support=lambda mu: (0.0, np.inf),
)

geom = Discrete(
    "geom",
    ("p",),
    logpmf=lambda k, p: special.xlog1py(k - 1, -p) + wnp.log(p),
    cdf=lambda k, p: -wnp.expm1(special.xlog1py(k, -p)),
    support=lambda p: (1.0, np.inf),
)

nbinom = Discrete(
    "nbinom",
    ("n", "p"),
    logpmf=lambda k, n, p: (
        -special.betaln(k + 1, n) - wnp.log(n + k) + special.xlogy(n, p) + special.xlog1py(k, -p)
    ),
    cdf=lambda k, n, p: special.betainc(n, k + 1, p),
    support=lambda n, p: (0.0, np.inf),
)

betabinom = Discrete(
    "betabinom",
    ("n", "a", "b"),
    logpmf=lambda k, n, a, b: (
        _log_choose(n, k) + special.betaln(k + a, n - k + b) - special.betaln(a, b)
    ),
    support=lambda n, a, b: (0.0, n),
)
