"""Vectors."""

from __future__ import annotations

from typing import Any

from weft import numpy as wnp
from weft.numpy._common import (
    ArrayLike,
    DType,
    Value,
    canonical_shape,
    shape_of,
)
from weft.numpy.creation import asarray
from weft.random.continuous import normal
from weft.random.keys import Key


def multivariate_normal_from_factor(
    key: Key, mean: ArrayLike, factor: ArrayLike, shape: Any = (), dtype: DType = None
) -> Value:
    """Normal vectors with the given mean and covariance factor · factorᵀ."""
    size = shape_of(mean)[-1]
    wanted = canonical_shape("random.multivariate_normal_from_factor", shape)
    samples = normal(key, (*wanted, size), dtype)
    return asarray(mean) + wnp.einsum("ij,...j->...i", factor, samples)
