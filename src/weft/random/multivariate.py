"""Vectors and matrices."""

from __future__ import annotations

import operator
from typing import Any

from weft import numpy as wnp
from weft.core import dtypes
from weft.numpy._common import (
    ArrayLike,
    DType,
    Value,
    broadcast_shape,
    canonical_shape,
    check_arraylike,
    shape_of,
)
from weft.numpy.creation import asarray
from weft.random.continuous import normal
from weft.random.keys import Key
from weft.random.uniform import float_dtype


def multivariate_normal(
    key: Key,
    mean: ArrayLike,
    cov: ArrayLike,
    shape: Any = None,
    dtype: DType = None,
    method: str = "cholesky",
) -> Value:
    """Normal vectors with means `mean` and covariance matrices `cov`.

    Parameters
    ----------
    mean: of shape ``(..., n)``. cov: of shape ``(..., n, n)``.
    shape: of the result without its last axis; the batch axes of `mean` and `cov` broadcast to it,
        and to one another by default.
    method: ``"cholesky"``, ``"eigh"`` or ``"svd"``: how `cov` is factored. The last two accept
        matrices that are only semidefinite.

    >>> mean, cov = np.zeros(2), np.eye(2)
    >>> weft.random.multivariate_normal(weft.random.key(0), mean, cov, (3,)).shape
    (3, 2)
    """
    name = "random.multivariate_normal"
    check_arraylike(name, mean, cov)
    target = float_dtype("multivariate_normal", dtype)
    if not shape_of(mean):
        raise ValueError(f"weft.{name}: mean has vectors in its last axis, got a scalar")
    n = shape_of(mean)[-1]
    if shape_of(cov)[-2:] != (n, n):
        raise ValueError(
            f"weft.{name}: mean of shape {shape_of(mean)} needs cov of shape (..., {n}, {n}), got "
            f"{shape_of(cov)}"
        )
    if method not in ("cholesky", "eigh", "svd"):
        raise ValueError(f"weft.{name}: method is 'cholesky', 'eigh' or 'svd', got {method!r}")
    batch = broadcast_shape(name, shape_of(mean)[:-1], shape_of(cov)[:-2])
    wanted = batch if shape is None else canonical_shape(name, shape)
    if broadcast_shape(name, batch, wanted) != wanted:
        raise ValueError(
            f"weft.{name}: means and covariances of batch shape {batch} do not broadcast to "
            f"shape={wanted}"
        )
    centre, covariance = asarray(mean, target), asarray(cov, target)
    samples = normal(key, (*wanted, n), target)
    return centre + wnp.einsum("...ij,...j->...i", _factor(covariance, method), samples)


def _factor(cov: Value, method: str) -> Value:
    """F with ``F F^T = cov``."""
    if method == "cholesky":
        return wnp.linalg.cholesky(cov)
    if method == "eigh":
        sizes, vectors = wnp.linalg.eigh(cov)
    else:
        vectors, sizes, _ = wnp.linalg.svd(cov)
    return vectors * wnp.sqrt(sizes[..., None, :])


def multivariate_normal_from_factor(
    key: Key, mean: ArrayLike, factor: ArrayLike, shape: Any = (), dtype: DType = None
) -> Value:
    """Normal vectors with the given mean and covariance factor · factorᵀ.

    >>> factor = np.array([[1.0, 0.0], [0.5, 2.0]])
    >>> key, mean = weft.random.key(0), np.zeros(2)
    >>> weft.random.multivariate_normal_from_factor(key, mean, factor, (3,)).shape
    (3, 2)
    """
    size = shape_of(mean)[-1]
    wanted = canonical_shape("random.multivariate_normal_from_factor", shape)
    samples = normal(key, (*wanted, size), dtype)
    return asarray(mean) + wnp.einsum("ij,...j->...i", factor, samples)


def orthogonal(
    key: Key, n: int, shape: Any = (), dtype: DType = None, m: int | None = None
) -> Value:
    """Matrices with orthonormal rows or columns, uniformly distributed (by Haar's measure).

    Parameters
    ----------
    n, m: numbers of rows and columns; they are square without `m`. shape: of the batch.
    dtype: floating, or complex for unitary matrices.

    Mezzadri (2007), "How to generate random matrices from the classical compact groups".

    >>> q = weft.random.orthogonal(weft.random.key(0), 3)
    >>> np.allclose(q @ q.T, np.eye(3), atol=1e-6)
    Array(True, dtype=bool)
    """
    target = dtypes.float32 if dtype is None else dtypes.canonical_dtype(dtype)
    if not dtypes.is_complex(target):
        target = float_dtype("orthogonal", target)
    sizes = []
    for letter, size in (("n", n), ("m", n if m is None else m)):
        try:
            sizes.append(operator.index(size))
        except TypeError:
            raise TypeError(f"weft.random.orthogonal: {letter} is an int, got {size!r}") from None
        if sizes[-1] < 0:
            raise ValueError(f"weft.random.orthogonal: {letter} is not negative, got {size}")
    wanted = canonical_shape("random.orthogonal", shape)
    z = normal(key, (*wanted, max(sizes), min(sizes)), target)
    q, r = wnp.linalg.qr(z)
    # The factors are unique where R's diagonal is positive.
    line = wnp.diagonal(r, axis1=-2, axis2=-1)
    x = q * wnp.sign(line)[..., None, :]
    return wnp.matrix_transpose(x) if sizes[0] < sizes[1] else x
