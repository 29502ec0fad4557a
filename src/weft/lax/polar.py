"""Polar factors by the dynamically weighted Halley iteration (QDWH).

Nakatsukasa, Bai and Gygi (2010), "Optimizing Halley's iteration for computing the matrix polar
decomposition". The weights depend only on a lower bound of the singular values; with the rounding
unit for that bound they are constants, and six steps do for any matrix in double precision.
"""

from __future__ import annotations

import math

import numpy as np

import weft.numpy as wnp
from weft.core.avals import aval_of
from weft.lax.operands import ArrayLike, Value, operand
from weft.primitives.linalg_cholesky import cholesky
from weft.primitives.linalg_qr import qr
from weft.primitives.linalg_solve import triangular_solve
from weft.primitives.matrix import check_matrices

#: Greater weights call for the step by QR factors, which is stable where Cholesky factors are not.
_LARGE_WEIGHT = 100.0


def qdwh(
    x: ArrayLike,
    *,
    is_hermitian: bool = False,
    max_iterations: int | None = None,
    eps: float | None = None,
    dynamic_shape: None = None,
) -> tuple[Value, Value, Value, Value]:
    """``(u, h, iterations, converged)`` with ``x = u h``: orthonormal columns, and Hermitian.

    `x` has at least as many rows as columns and full rank. `eps` is the bound that the smallest
    singular value has relative to the norm, the rounding unit by default: a greater one takes fewer
    steps. `is_hermitian` is accepted for compatibility, `dynamic_shape` is not.

    >>> u, h, _, _ = weft.lax.linalg.qdwh(np.array([[0., -2.], [2., 0.]]))
    >>> h.round(3) + 0
    Array([[2., 0.],
           [0., 2.]], dtype=float32)
    """
    del is_hermitian
    a = operand("linalg.qdwh", x)
    aval = aval_of(a)
    check_matrices("qdwh", aval)
    rows, columns = aval.shape[-2:]
    if rows < columns:
        raise ValueError(
            f"lax.linalg.qdwh: x has at least as many rows as columns, got {aval}; factor its "
            "conjugate transpose."
        )
    if dynamic_shape is not None:
        raise NotImplementedError("lax.linalg.qdwh: dynamic_shape is not supported.")
    unit = float(np.finfo(aval.dtype).eps)
    norm = wnp.sqrt(wnp.sum(wnp.square(abs(a)), (-2, -1), keepdims=True))
    u = a / wnp.where(norm == 0, wnp.ones_like(norm), norm)
    weights = _weights(unit if eps is None else float(eps), unit)[:max_iterations]
    previous = u
    for weight in weights:
        previous, u = u, _step(u, *weight)
    h = wnp.conj(wnp.matrix_transpose(u)) @ a
    h = (h + wnp.conj(wnp.matrix_transpose(h))) / 2
    change = wnp.sqrt(wnp.sum(wnp.square(abs(u - previous)), (-2, -1)))
    # The iteration is of third order: the error is the cube of the last change.
    limit = math.sqrt(max(columns, 1)) * (4 * unit) ** (1 / 3)
    return u, h, wnp.asarray(np.int32(len(weights))), wnp.all(change <= limit)


def _weights(bound: float, unit: float) -> list[tuple[float, float, float]]:
    """The weights of every step until singular values above `bound` are 1 to rounding."""
    found: list[tuple[float, float, float]] = []
    least = min(max(bound, 1e-300), 1.0)
    while abs(1 - least) > 10 * unit or not found:
        square = least * least
        d = (4 * (1 - square) / (square * square)) ** (1 / 3)
        root = math.sqrt(1 + d)
        a = root + 0.5 * math.sqrt(8 - 4 * d + 8 * (2 - square) / (square * root))
        b = (a - 1) ** 2 / 4
        c = a + b - 1
        found.append((a, b, c))
        least = min(least * (a + b * square) / (1 + c * square), 1.0)
    return found


def _step(u: Value, a: float, b: float, c: float) -> Value:
    """``u (a + b u^H u) (1 + c u^H u)⁻¹``."""
    rows, columns = u.shape[-2:]
    identity = wnp.broadcast_to(wnp.eye(columns, dtype=u.dtype), (*u.shape[:-2], columns, columns))
    if c > _LARGE_WEIGHT:
        q, _ = qr(wnp.concatenate([math.sqrt(c) * u, identity], -2), full_matrices=False)
        upper, lower = q[..., :rows, :], q[..., rows:, :]
        product = upper @ wnp.conj(wnp.matrix_transpose(lower))
        return (b / c) * u + ((a - b / c) / math.sqrt(c)) * product
    factor = cholesky(identity + c * (wnp.conj(wnp.matrix_transpose(u)) @ u))
    half = triangular_solve(
        factor, u, left_side=False, lower=True, transpose_a=True, conjugate_a=True
    )
    whole = triangular_solve(factor, half, left_side=False, lower=True)
    return (b / c) * u + (a - b / c) * whole
