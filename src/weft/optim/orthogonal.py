"""Orthogonal updates of matrices."""

from __future__ import annotations

from typing import Any, NamedTuple

from weft import numpy as wnp
from weft import tree
from weft.numpy._common import DType
from weft.optim.base import GradientTransformation, Params, Updates
from weft.optim.numerics import (
    first_count,
    next_count,
    norm,
    running_mean,
    unbiased,
    zeros_like,
)
from weft.optim.scaling import ahead


def orthogonalize_via_newton_schulz(
    x: Any,
    ns_coeffs: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
    ns_steps: int = 5,
    eps: float = 1e-8,
) -> Any:
    """A matrix near x's polar factor: the same singular vectors, singular values near 1.

    `ns_steps` times the odd polynomial a x + b x³ + c x⁵ with `ns_coeffs` (a, b, c), which takes
    every singular value of (0, 1] to the neighbourhood of 1 (Jordan et al., "Muon", 2024).

    >>> q = weft.optim.orthogonalize_via_newton_schulz(np.asarray([[2.0, 0.0], [0.0, 1.0]]))
    >>> bool(abs(q - np.eye(2)).max() < 0.4)
    True
    """
    if x.ndim != 2:
        raise ValueError(
            f"weft.optim.orthogonalize_via_newton_schulz: x is a matrix, got shape {x.shape}"
        )
    a, b, c = ns_coeffs
    tall = x.shape[0] > x.shape[1]
    y = x.T if tall else x
    y = y / (norm(y) + eps)
    for _ in range(ns_steps):
        square = y @ y.T
        y = a * y + (b * square + c * square @ square) @ y
    return y.T if tall else y


class MuonState(NamedTuple):
    """The number of steps done and the running mean of updates."""

    count: Any
    mu: Params


def scale_by_muon(
    ns_coeffs: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
    ns_steps: int = 5,
    beta: Any = 0.95,
    eps: float = 1e-8,
    mu_dtype: DType = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
) -> GradientTransformation:
    """The running mean of updates, matrices, made nearly orthogonal (Jordan et al., 2024).

    Matrices of shape (m, n) are scaled by √max(1, n / m). With `adaptive`, by the inner product of
    mean and result, too.

    >>> scale, g = weft.optim.scale_by_muon(), 3 * np.eye(2)
    >>> abs(scale.update(g, scale.init(g), g)[0]).round(1)
    Array([[1.1, 0. ],
           [0. , 1.1]], dtype=float32)
    """

    def init(params: Params) -> MuonState:
        return MuonState(first_count(), zeros_like(params, mu_dtype))

    def update(
        updates: Updates, state: MuonState, params: Params = None
    ) -> tuple[Updates, MuonState]:
        mu, count = running_mean(updates, state.mu, beta), next_count(state.count)
        mean = ahead(updates, mu, beta, count) if nesterov else unbiased(mu, beta, count)

        def orthogonal(m: Any) -> Any:
            q = orthogonalize_via_newton_schulz(m, ns_coeffs, ns_steps, eps)
            if adaptive:
                q = wnp.sum(m * q) * q
            return q * max(1, m.shape[1] / m.shape[0]) ** 0.5

        return tree.map(orthogonal, mean), MuonState(count, mu)

    return GradientTransformation(init, update)
