"""Continuous distributions, by the formulas of their standard forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import weft.numpy as wnp
from weft import nn
from weft.numpy._common import Value
from weft.scipy import special
from weft.scipy.stats.distribution import Continuous, log_of_difference

_LOG_ROOT_TWO_PI = 0.5 * math.log(2 * math.pi)
_POSITIVE = (0.0, np.inf)


def _normal(z: Value) -> Value:
    return -0.5 * z * z - _LOG_ROOT_TWO_PI


norm = Continuous(
    "norm",
    logpdf=_normal,
    cdf=special.ndtr,
    sf=lambda z: special.ndtr(-z),
    logcdf=special.log_ndtr,
    logsf=lambda z: special.log_ndtr(-z),
    ppf=special.ndtri,
    isf=lambda q: -special.ndtri(q),
)

uniform = Continuous(
    "uniform",
    logpdf=wnp.zeros_like,
    cdf=lambda z: z,
    sf=lambda z: 1 - z,
    ppf=lambda q: q,
    support=(0.0, 1.0),
    inner=0.5,
)

expon = Continuous(
    "expon",
    logpdf=lambda z: -z,
    cdf=lambda z: -wnp.expm1(-z),
    sf=lambda z: wnp.exp(-z),
    logcdf=lambda z: log_of_difference(-z),
    logsf=lambda z: -z,
    ppf=lambda q: -wnp.log1p(-q),
    isf=lambda q: -wnp.log(q),
    support=_POSITIVE,
    inner=1.0,
)


def _laplace_log_cdf(z: Value) -> Value:
    return wnp.where(z < 0, z - math.log(2), wnp.log1p(-0.5 * wnp.exp(-abs(z))))


def _laplace_quantile(q: Value) -> Value:
    low = wnp.log(2 * wnp.where(q < 0.5, q, 0.5))
    return wnp.where(q < 0.5, low, -wnp.log(2 * (1 - wnp.where(q < 0.5, 0.5, q))))


def _laplace_cdf(z: Value) -> Value:
    tail = 0.5 * wnp.exp(-abs(z))
    return wnp.where(z < 0, tail, 1 - tail)


laplace = Continuous(
    "laplace",
    logpdf=lambda z: -abs(z) - math.log(2),
    cdf=_laplace_cdf,
    sf=lambda z: _laplace_cdf(-z),
    logcdf=_laplace_log_cdf,
    logsf=lambda z: _laplace_log_cdf(-z),
    ppf=_laplace_quantile,
    isf=lambda q: -_laplace_quantile(q),
)

logistic = Continuous(
    "logistic",
    logpdf=lambda z: -z - 2 * nn.softplus(-z),
    cdf=special.expit,
    sf=lambda z: special.expit(-z),
    logcdf=lambda z: -nn.softplus(-z),
    logsf=lambda z: -nn.softplus(z),
    ppf=special.logit,
    isf=lambda q: -special.logit(q),
)


def _cauchy_upper_quantile(q: Value) -> Value:
    low = q < 0.5
    size = 1 / wnp.tan(math.pi * wnp.where(low, q, 1 - q))
    return wnp.where(low, size, -size)


cauchy = Continuous(
    "cauchy",
    logpdf=lambda z: -math.log(math.pi) - wnp.log1p(z * z),
    cdf=lambda z: wnp.arctan2(1.0, -z) / math.pi,
    sf=lambda z: wnp.arctan2(1.0, z) / math.pi,
    ppf=lambda q: -_cauchy_upper_quantile(q),
    isf=_cauchy_upper_quantile,
)


def _gamma_density(z: Value, a: Value) -> Value:
    return special.xlogy(a - 1, z) - z - special.gammaln(a)


gamma = Continuous(
    "gamma",
    ("a",),
    logpdf=_gamma_density,
    cdf=lambda z, a: special.gammainc(a, z),
    sf=lambda z, a: special.gammaincc(a, z),
    support=_POSITIVE,
    inner=1.0,
)

chi2 = Continuous(
    "chi2",
    ("df",),
    logpdf=lambda z, df: _gamma_density(z / 2, df / 2) - math.log(2),
    cdf=lambda z, df: special.gammainc(df / 2, z / 2),
    sf=lambda z, df: special.gammaincc(df / 2, z / 2),
    support=_POSITIVE,
    inner=1.0,
)

beta = Continuous(
    "beta",
    ("a", "b"),
    logpdf=lambda z, a, b: (
        special.xlogy(a - 1, z) + special.xlog1py(b - 1, -z) - special.betaln(a, b)
    ),
    cdf=lambda z, a, b: special.betainc(a, b, z),
    sf=lambda z, a, b: special.betainc(b, a, 1 - z),
    support=(0.0, 1.0),
    inner=0.5,
)


def _student_density(z: Value, df: Value) -> Value:
    half = df / 2
    constant = -special.betaln(half, wnp.full_like(half, 0.5)) - 0.5 * wnp.log(df)
    return constant - (half + 0.5) * wnp.log1p(z * z / df)


def _student_tail(z: Value, df: Value) -> Value:
    """The chance of more than \\|z\\|."""
    return 0.5 * special.betainc(df / 2, wnp.full_like(df, 0.5), df / (df + z * z))


t = Continuous(
    "t",
    ("df",),
    logpdf=_student_density,
    cdf=lambda z, df: wnp.where(z < 0, _student_tail(z, df), 1 - _student_tail(z, df)),
    sf=lambda z, df: wnp.where(z > 0, _student_tail(z, df), 1 - _student_tail(z, df)),
)

pareto = Continuous(
    "pareto",
    ("b",),
    logpdf=lambda z, b: wnp.log(b) - (b + 1) * wnp.log(z),
    cdf=lambda z, b: -wnp.expm1(-b * wnp.log(z)),
    sf=lambda z, b: wnp.exp(-b * wnp.log(z)),
    logcdf=lambda z, b: log_of_difference(-b * wnp.log(z)),
    logsf=lambda z, b: -b * wnp.log(z),
    ppf=lambda q, b: wnp.exp(-wnp.log1p(-q) / b),
    support=(1.0, np.inf),
    inner=2.0,
)

gumbel_r = Continuous(
    "gumbel_r",
    logpdf=lambda z: -z - wnp.exp(-z),
    cdf=lambda z: wnp.exp(-wnp.exp(-z)),
    sf=lambda z: -wnp.expm1(-wnp.exp(-z)),
    logcdf=lambda z: -wnp.exp(-z),
    ppf=lambda q: -wnp.log(-wnp.log(q)),
    isf=lambda q: -wnp.log(-wnp.log1p(-q)),
)

gumbel_l = Continuous(
    "gumbel_l",
    logpdf=lambda z: z - wnp.exp(z),
    cdf=lambda z: -wnp.expm1(-wnp.exp(z)),
    sf=lambda z: wnp.exp(-wnp.exp(z)),
    logsf=lambda z: -wnp.exp(z),
    ppf=lambda q: wnp.log(-wnp.log1p(-q)),
    isf=lambda q: wnp.log(-wnp.log(q)),
)


def _power_of_size(z: Value, beta: Value) -> Value:
    zero = z == 0
    return wnp.where(zero, 0, wnp.where(zero, 1, abs(z)) ** beta)


def _gennorm_cdf(z: Value, beta: Value) -> Value:
    part = 0.5 * special.gammaincc(1 / beta, _power_of_size(z, beta))
    return wnp.where(z < 0, part, 1 - part)


gennorm = Continuous(
    "gennorm",
    ("beta",),
    logpdf=lambda z, beta: (
        wnp.log(0.5 * beta) - special.gammaln(1 / beta) - _power_of_size(z, beta)
    ),
    cdf=_gennorm_cdf,
    sf=lambda z, beta: _gennorm_cdf(-z, beta),
)

vonmises = Continuous(
    "vonmises",
    ("kappa",),
    logpdf=lambda z, kappa: (
        kappa * (wnp.cos(z) - 1) - math.log(2 * math.pi) - wnp.log(special.i0e(kappa))
    ),
)

wrapcauchy = Continuous(
    "wrapcauchy",
    ("c",),
    logpdf=lambda z, c: wnp.log1p(-c * c) - wnp.log(2 * math.pi * (1 + c * c - 2 * c * wnp.cos(z))),
    support=(0.0, 2 * math.pi),
    inner=1.0,
)


def _log_mass(a: Value, b: Value) -> Value:
    """The logarithm of the chance that a normal number lies between a and b, a < b."""
    # Where both are positive, their mirror images: tails keep their digits below 0.
    flipped = a > 0
    low, high = wnp.where(flipped, -b, a), wnp.where(flipped, -a, b)
    top = special.log_ndtr(high)
    return top + log_of_difference(wnp.minimum(special.log_ndtr(low) - top, 0))


def _truncated(formula: Any, outside: tuple[float, float]) -> Any:
    def applied(z: Value, a: Value, b: Value) -> Value:
        inside = (z >= a) & (z <= b)
        value = formula(wnp.where(inside, z, a), a, b)
        below, above = outside
        value = wnp.where(z < a, below, wnp.where(z > b, above, value))
        return wnp.where(a < b, value, wnp.nan)

    return applied


_log_cdf = _truncated(lambda z, a, b: _log_mass(a, z) - _log_mass(a, b), (-np.inf, 0.0))
_log_sf = _truncated(lambda z, a, b: _log_mass(z, b) - _log_mass(a, b), (0.0, -np.inf))

truncnorm = Continuous(
    "truncnorm",
    ("a", "b"),
    logpdf=_truncated(lambda z, a, b: _normal(z) - _log_mass(a, b), (-np.inf, -np.inf)),
    cdf=lambda z, a, b: wnp.exp(_log_cdf(z, a, b)),
    sf=lambda z, a, b: wnp.exp(_log_sf(z, a, b)),
    logcdf=_log_cdf,
    logsf=_log_sf,
)
