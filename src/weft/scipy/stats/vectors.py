"""Distributions of vectors: multivariate normal, Dirichlet, multinomial."""

from __future__ import annotations

import math

import numpy as np

import weft.numpy as wnp
from weft.core import dtypes
from weft.lax import linalg
from weft.numpy._common import ArrayLike, Value, dtype_of, promote_inexact
from weft.scipy import special


def _vectors(name: str, *args: ArrayLike) -> list[Value]:
    values = [wnp.asarray(x) for x in promote_inexact(f"scipy.stats.{name}", *args)]
    if dtypes.is_complex(dtype_of(values[0])):
        raise TypeError(
            f"weft.scipy.stats.{name}: arguments must be real, got {dtype_of(values[0])}"
        )
    return values


class _MultivariateNormal:
    """Normal vectors: ``logpdf(x, mean, cov)`` and ``pdf``, of vectors in the last axis of `x`.

    `cov` may be one number or a vector, for independent elements.
    """

    def logpdf(
        self, x: ArrayLike, mean: ArrayLike, cov: ArrayLike, allow_singular: None = None
    ) -> Value:
        """The logarithm of the density; `allow_singular` is not supported."""
        name = "multivariate_normal.logpdf"
        if allow_singular is not None:
            raise NotImplementedError(f"weft.scipy.stats.{name}: allow_singular is not supported")
        x, mean, cov = _vectors(name, x, mean, cov)
        if not mean.ndim:
            apart = (x - mean) / wnp.sqrt(cov)
            return -0.5 * (apart * apart + wnp.log(cov) + math.log(2 * math.pi))
        n = mean.shape[-1]
        if cov.ndim < 2:
            cov = wnp.eye(n, dtype=dtype_of(cov)) * cov
        if cov.shape[-2:] != (n, n):
            raise ValueError(
                f"weft.scipy.stats.{name}: mean of shape {mean.shape} needs cov of shape "
                f"(..., {n}, {n}), got {cov.shape}"
            )
        factor = wnp.linalg.cholesky(cov)
        apart = x - mean
        batch = np.broadcast_shapes(apart.shape[:-1], factor.shape[:-2])
        rows = wnp.broadcast_to(apart, (*batch, n))[..., None]
        square = wnp.broadcast_to(factor, (*batch, n, n))
        y = linalg.triangular_solve(square, rows, left_side=True, lower=True)[..., 0]
        size = wnp.sum(wnp.log(wnp.diagonal(factor, axis1=-2, axis2=-1)), -1)
        return -0.5 * (wnp.sum(y * y, -1) + n * math.log(2 * math.pi)) - size

    def pdf(self, x: ArrayLike, mean: ArrayLike, cov: ArrayLike) -> Value:
        """The density."""
        return wnp.exp(self.logpdf(x, mean, cov))


class _Dirichlet:
    """Vectors of chances: ``logpdf(x, alpha)`` and ``pdf``, of chances in the first axis of `x`."""

    def logpdf(self, x: ArrayLike, alpha: ArrayLike) -> Value:
        """The logarithm of the density; -inf for what are no chances that add up to 1.

        `x` may lack the last chance, which follows from the others.
        """
        x, alpha = _vectors("dirichlet.logpdf", x, alpha)
        if alpha.ndim != 1 or not x.ndim or x.shape[0] not in (alpha.shape[0], alpha.shape[0] - 1):
            raise ValueError(
                "weft.scipy.stats.dirichlet.logpdf: alpha is a vector, and x has as many elements "
                f"in its first axis, or one less; got shapes {alpha.shape} and {x.shape}"
            )
        if x.shape[0] != alpha.shape[0]:
            x = wnp.concatenate([x, 1 - wnp.sum(x, 0, keepdims=True)], 0)
        column = wnp.reshape(alpha, (-1, *[1] * (x.ndim - 1)))
        total = abs(wnp.sum(x, 0) - 1) < 1e-6
        inside = wnp.all(x >= 0, 0) & total
        constant = wnp.sum(special.gammaln(alpha)) - special.gammaln(wnp.sum(alpha))
        value = wnp.sum(special.xlogy(column - 1, wnp.where(x >= 0, x, 1)), 0) - constant
        return wnp.where(inside, value, -np.inf)

    def pdf(self, x: ArrayLike, alpha: ArrayLike) -> Value:
        """The density."""
        return wnp.exp(self.logpdf(x, alpha))


class _Multinomial:
    """Counts of `n` draws: ``logpmf(x, n, p)`` and ``pmf``, of counts in the last axis of `x`."""

    def logpmf(self, x: ArrayLike, n: ArrayLike, p: ArrayLike) -> Value:
        """The logarithm of the chance; -inf where the counts do not add up to `n`."""
        x, n, p = _vectors("multinomial.logpmf", x, n, p)
        good = (wnp.sum(x, -1) == n) & wnp.all((x >= 0) & (x == wnp.floor(x)), -1)
        safe = wnp.where(x >= 0, x, 0)
        each = special.xlogy(safe, p) - special.gammaln(safe + 1)
        return wnp.where(good, special.gammaln(n + 1) + wnp.sum(each, -1), -np.inf)

    def pmf(self, x: ArrayLike, n: ArrayLike, p: ArrayLike) -> Value:
        """The chance."""
        return wnp.exp(self.logpmf(x, n, p))


multivariate_normal = _MultivariateNormal()
dirichlet = _Dirichlet()
multinomial = _Multinomial()
