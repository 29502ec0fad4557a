"""Densities estimated from samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

import weft.numpy as wnp
from weft import random, tree
from weft.core import dtypes
from weft.nn.along import logsumexp
from weft.numpy._common import ArrayLike, Value, check_arraylike, dtype_of, promote_inexact
from weft.scipy import linalg
from weft.scipy.special import ndtr

NAME = "weft.scipy.stats.gaussian_kde"
BandWidth = None | str | ArrayLike | Callable[["gaussian_kde"], Any]


@tree.register_node_class
@dataclasses.dataclass(frozen=True, init=False)
class gaussian_kde:
    """The density of samples, as a mean of normal densities around them.

    Parameters
    ----------
    dataset: of shape (d, n), n samples in d dimensions, or (n,).
    bw_method: the factor between the samples' covariance and the squares of the normal densities',
        or how it is found: "scott" (the default), "silverman", or a function of this object.
    weights: of the samples, of shape (n,); by default equal.

    Raises
    ------
    ValueError: for fewer than two numbers, weights of another shape, and other methods.

    >>> kde = weft.scipy.stats.gaussian_kde(np.asarray([-1.0, 0.0, 1.0]))
    >>> kde.integrate_box_1d(-np.inf, 0.0)
    Array(0.5, dtype=float32)
    """

    neff: Value
    dataset: Value
    weights: Value
    covariance: Value
    inv_cov: Value

    def __init__(
        self,
        dataset: ArrayLike,
        bw_method: BandWidth = None,
        weights: ArrayLike | None = None,
    ) -> None:
        check_arraylike("scipy.stats.gaussian_kde", dataset)
        _check_real(dataset)
        if weights is None:
            (samples,) = promote_inexact("scipy.stats.gaussian_kde", dataset)
        else:
            samples, weights = promote_inexact("scipy.stats.gaussian_kde", dataset, weights)
        samples = wnp.atleast_2d(wnp.asarray(samples))
        d, n = samples.shape
        if d * n < 2:
            raise ValueError(f"{NAME}: dataset has two samples or more, got shape {samples.shape}")
        shares = wnp.ones(n, samples.dtype) if weights is None else wnp.asarray(weights)
        if shares.shape != (n,):
            raise ValueError(f"{NAME}: a weight for each of {n} samples, got shape {shares.shape}")
        shares = shares / wnp.sum(shares)
        self._set(neff=1 / wnp.sum(shares**2), dataset=samples, weights=shares)
        factor = self._factor(bw_method)
        apart = samples - (samples @ shares)[:, None]
        spread = (shares * apart) @ apart.T / (1 - wnp.sum(shares**2))
        self._set(covariance=spread * factor**2, inv_cov=wnp.linalg.inv(spread) / factor**2)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _factor(self, method: BandWidth) -> Any:
        if method is None or (isinstance(method, str) and method == "scott"):
            return self.neff ** (-1 / (self.d + 4))
        if isinstance(method, str) and method == "silverman":
            return (self.neff * (self.d + 2) / 4) ** (-1 / (self.d + 4))
        if callable(method):
            return method(self)
        if not isinstance(method, str) and np.ndim(method) == 0:
            return method
        raise ValueError(
            f"{NAME}: bw_method is 'scott', 'silverman', a number or a function, got {method!r}"
        )

    def tree_flatten(self) -> tuple[tuple[Value, ...], None]:
        """The arrays, for trees."""
        return (self.neff, self.dataset, self.weights, self.covariance, self.inv_cov), None

    @classmethod
    def tree_unflatten(cls, data: None, children: Any) -> gaussian_kde:
        """An object of these arrays, for trees."""
        kde = object.__new__(cls)
        kde._set(**dict(zip((f.name for f in dataclasses.fields(cls)), children, strict=True)))
        return kde

    @property
    def d(self) -> int:
        """The number of dimensions."""
        return self.dataset.shape[0]

    @property
    def n(self) -> int:
        """The number of samples."""
        return self.dataset.shape[1]

    def evaluate(self, points: ArrayLike) -> Value:
        """The density at points of shape (d, m), or (m,) in one dimension: m numbers."""
        return wnp.exp(self.logpdf(points))

    __call__ = pdf = evaluate

    def logpdf(self, x: ArrayLike) -> Value:
        """The logarithm of the density at points of shape (d, m), or (m,) in one dimension."""
        points = self._points(x)
        root = wnp.linalg.cholesky(self.inv_cov)
        near, far = root.T @ self.dataset, root.T @ points
        distance = wnp.sum((far[:, :, None] - near[:, None, :]) ** 2, 0)
        scale = wnp.sum(wnp.log(wnp.diagonal(root))) - 0.5 * self.d * np.log(2 * np.pi)
        return logsumexp(scale - 0.5 * distance, 1, self.weights)

    def _points(self, points: ArrayLike) -> Value:
        check_arraylike("scipy.stats.gaussian_kde.evaluate", points)
        _check_real(points)
        (x,) = promote_inexact("scipy.stats.gaussian_kde.evaluate", points)
        x = wnp.atleast_2d(wnp.asarray(x))
        if x.shape[0] != self.d and x.shape == (1, self.d):
            x = x.T  # a single point
        if x.shape[0] != self.d:
            raise ValueError(f"{NAME}: points of {self.d} dimensions, got shape {x.shape}")
        return x

    def integrate_gaussian(self, mean: ArrayLike, cov: ArrayLike) -> Value:
        """The integral of the density times a normal one with this mean (d,) and covariance."""
        mean, cov = wnp.atleast_1d(wnp.squeeze(mean)), wnp.atleast_2d(cov)
        if mean.shape != (self.d,) or cov.shape != (self.d, self.d):
            raise ValueError(
                f"{NAME}: a mean and covariance of {self.d} dimensions, got shapes {mean.shape} "
                f"and {cov.shape}"
            )
        return wnp.sum(self._convolved(self.covariance + cov, mean[:, None])[:, 0] * self.weights)

    def integrate_kde(self, other: gaussian_kde) -> Value:
        """The integral of the product of two densities."""
        if other.d != self.d:
            raise ValueError(f"{NAME}: another density of {self.d} dimensions, got {other.d}")
        products = self._convolved(self.covariance + other.covariance, other.dataset)
        return self.weights @ products @ other.weights

    def _convolved(self, covariance: Value, means: Value) -> Value:
        """Normal densities of this covariance, from each sample to each mean."""
        factor = linalg.cho_factor(covariance)
        apart = self.dataset[:, :, None] - means[:, None, :]
        flat = apart.reshape(self.d, -1)
        energy = 0.5 * wnp.sum(flat * linalg.cho_solve(factor, flat), 0).reshape(apart.shape[1:])
        scale = (2 * np.pi) ** (0.5 * self.d) * wnp.prod(wnp.diagonal(factor[0]))
        return wnp.exp(-energy) / scale

    def integrate_box_1d(self, low: ArrayLike, high: ArrayLike) -> Value:
        """The chance of a number between two, in one dimension."""
        if self.d != 1 or np.ndim(low) or np.ndim(high):
            raise ValueError(f"{NAME}: integrate_box_1d takes two numbers, in one dimension")
        width = wnp.sqrt(self.covariance[0, 0])
        ends = [(x - self.dataset[0]) / width for x in (low, high)]
        return wnp.sum(self.weights * (ndtr(ends[1]) - ndtr(ends[0])))

    def integrate_box(
        self, low_bounds: ArrayLike, high_bounds: ArrayLike, maxpts: int | None = None
    ) -> Value:
        """Not there, as in JAX: see `integrate_box_1d`."""
        raise NotImplementedError(f"{NAME}: boxes of one dimension only; use integrate_box_1d")

    def set_bandwidth(self, bw_method: BandWidth = None) -> None:
        """Not there, as in JAX: densities are values; make another one."""
        raise NotImplementedError(f"{NAME}: a density does not change; make one with bw_method=")

    def resample(self, key: Any, shape: Any = ()) -> Value:
        """Samples of the estimated density, of shape (d, *shape)."""
        for_choice, for_noise = random.split(key)
        chosen = random.choice(for_choice, self.n, shape, p=self.weights)
        zero = wnp.zeros(self.d, self.covariance.dtype)
        noise = random.multivariate_normal(
            for_noise, zero, self.covariance, shape, self.dataset.dtype
        )
        return self.dataset[:, chosen] + noise.T


def _check_real(x: ArrayLike) -> None:
    if dtypes.is_complex(dtype_of(x)):
        raise NotImplementedError(f"{NAME}: samples and points are real, got {dtype_of(x)}")
