"""`weft.scipy.stats`: densities, chances and quantiles of distributions.

A distribution is an object with methods ``pdf``, ``logpdf``, ``cdf``, ``sf``, ``ppf`` and so on
(``pmf`` and ``logpmf`` for integers), which take shape parameters, then ``loc`` and ``scale``:
``stats.norm.cdf(x, loc=1, scale=2)``, ``stats.gamma.logpdf(x, 2.5)``. All of them can be jitted,
differentiated and batched.
"""

from __future__ import annotations

from weft.scipy.stats.continuous import (
    beta,
    cauchy,
    chi2,
    expon,
    gamma,
    gennorm,
    gumbel_l,
    gumbel_r,
    laplace,
    logistic,
    norm,
    pareto,
    t,
    truncnorm,
    uniform,
    vonmises,
    wrapcauchy,
)
from weft.scipy.stats.density import gaussian_kde
from weft.scipy.stats.discrete import bernoulli, betabinom, binom, geom, nbinom, poisson
from weft.scipy.stats.samples import mode, rankdata, sem
from weft.scipy.stats.vectors import dirichlet, multinomial, multivariate_normal

__all__ = [
    "bernoulli", "beta", "betabinom", "binom", "cauchy", "chi2", "dirichlet", "expon", "gamma",
    "gennorm", "geom", "gumbel_l", "gumbel_r", "laplace", "logistic", "mode", "multinomial",
    "multivariate_normal", "nbinom", "norm", "pareto", "poisson", "rankdata", "sem", "t",
    "truncnorm", "uniform", "vonmises", "wrapcauchy",
]  # fmt: skip
