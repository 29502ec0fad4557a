"""Linear systems with matrices of known structure or known factors, and Sylvester equations."""

from __future__ import annotations

from typing import Any

import numpy as np

import weft.numpy as wnp
from weft import lax
from weft.core import dtypes
from weft.lax import linalg as routines
from weft.numpy._common import (
    ArrayLike,
    Value,
    broadcast_shape,
    broadcast_to_shape,
    dtype_of,
    promote_inexact,
    shape_of,
)
from weft.numpy.operands import check_precision, matrices
from weft.numpy.solving import solve_matrices
from weft.primitives.linalg_sylvester import sylvester
from weft.scipy.linalg.operands import adjoint, system

#: Names of SciPy for what is known of a matrix, and their abbreviations.
_STRUCTURES = {
    "gen": "general",
    "sym": "symmetric",
    "her": "hermitian",
    "pos": "positive definite",
}
_KNOWN = (
    *_STRUCTURES.values(),
    "banded",
    "diagonal",
    "tridiagonal",
    "upper triangular",
    "lower triangular",
)


def det(a: ArrayLike, overwrite_a: bool = False, check_finite: bool = True) -> Value:
    """The determinants of square matrices; only `a` is looked at.

    >>> weft.scipy.linalg.det(np.array([[2., 1.], [0., 3.]]))
    Array(6., dtype=float32)
    """
    return wnp.linalg.det(a)


def inv(a: ArrayLike, overwrite_a: bool = False, check_finite: bool = True) -> Value:
    """The inverses of square matrices; only `a` is looked at.

    >>> weft.scipy.linalg.inv(np.array([[2., 0.], [0., 4.]]))
    Array([[0.5 , 0.  ],
           [0.  , 0.25]], dtype=float32)
    """
    return wnp.linalg.inv(a)


def solve(
    a: ArrayLike,
    b: ArrayLike,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    debug: bool = False,
    check_finite: bool = True,
    assume_a: str = "gen",
) -> Value:
    """x with ``a x = b``; `b` of one axis is a vector, else matrices in its last two axes.

    `assume_a` says what is known of `a`: ``"gen"``, ``"sym"``, ``"her"`` (all solved by LU
    factors), ``"pos"`` (by Cholesky factors, of which `lower` says the triangle), or in words
    ``"diagonal"``, ``"tridiagonal"``, ``"banded"``, ``"upper triangular"``,
    ``"lower triangular"``, whose other elements are not read.

    >>> a, b = np.array([[4., 0.], [0., 16.]]), np.array([4., 8.])
    >>> weft.scipy.linalg.solve(a, b, assume_a="pos")
    Array([1. , 0.5], dtype=float32)
    """
    del overwrite_a, overwrite_b, debug, check_finite
    structure = _STRUCTURES.get(assume_a, assume_a)
    if structure not in _KNOWN:
        names = ", ".join(map(repr, (*_STRUCTURES, *_KNOWN)))
        raise ValueError(f"weft.scipy.linalg.solve: assume_a is one of {names}, got {assume_a!r}")
    x, y, vector = system("solve", a, b)
    if structure == "positive definite":
        result = _by_cholesky(x, y, lower)
    elif structure == "diagonal":
        result = y / wnp.diagonal(x, axis1=-2, axis2=-1)[..., None]
    elif structure == "tridiagonal":
        result = _tridiagonal(x, y)
    elif structure in ("upper triangular", "lower triangular"):
        is_lower = structure == "lower triangular"
        result = routines.triangular_solve(x, y, left_side=True, lower=is_lower)
    else:
        result = solve_matrices(x, y)
    return result[..., 0] if vector else result


def _by_cholesky(a: Value, b: Value, lower: bool) -> Value:
    half = a if lower else adjoint(a)
    return _with_factor(routines.cholesky(half, symmetrize_input=False), b, True)


def _tridiagonal(a: Value, b: Value) -> Value:
    lines = [wnp.diagonal(a, k, axis1=-2, axis2=-1) for k in (-1, 0, 1)]
    widths = [(0, 0)] * (a.ndim - 2)
    below = wnp.pad(lines[0], [*widths, (1, 0)])
    return routines.tridiagonal_solve(below, lines[1], wnp.pad(lines[2], [*widths, (0, 1)]), b)


def solve_triangular(
    a: ArrayLike,
    b: ArrayLike,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    debug: Any = None,
    check_finite: bool = True,
) -> Value:
    """x with ``op(a) x = b`` for triangular matrices; the other triangle is not read.

    `trans` is 0 or "N" for `a` itself, 1 or "T" for its transpose, 2 or "C" for its conjugate
    transpose.

    >>> a, b = np.array([[1., 1.], [0., 2.]]), np.array([2., 2.])
    >>> weft.scipy.linalg.solve_triangular(a, b)
    Array([1., 1.], dtype=float32)
    """
    del overwrite_b, debug, check_finite
    kind = _transposition("solve_triangular", trans)
    x, y, vector = system("solve_triangular", a, b)
    result = routines.triangular_solve(
        x,
        y,
        left_side=True,
        lower=lower,
        transpose_a=kind > 0,
        conjugate_a=kind == 2,
        unit_diagonal=unit_diagonal,
    )
    return result[..., 0] if vector else result


def _transposition(name: str, trans: Any) -> int:
    for number, letter in enumerate("NTC"):
        if trans in (number, letter):
            return number
    raise ValueError(
        f"weft.scipy.linalg.{name}: trans is 0 or 'N', 1 or 'T', 2 or 'C', got {trans!r}"
    )


def cho_solve(
    c_and_lower: tuple[ArrayLike, bool],
    b: ArrayLike,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Value:
    """x with ``a x = b`` for the factor ``(c, lower)`` of `a` that `cho_factor` gave.

    >>> factor = weft.scipy.linalg.cho_factor(np.array([[4., 0.], [0., 1.]]))
    >>> weft.scipy.linalg.cho_solve(factor, np.array([4., 2.]))
    Array([1., 2.], dtype=float32)
    """
    del overwrite_b, check_finite
    c, lower = c_and_lower
    x, y, vector = system("cho_solve", c, b)
    result = _with_factor(x, y, bool(lower))
    return result[..., 0] if vector else result


def _with_factor(c: Value, b: Value, lower: bool) -> Value:
    """x with ``L L^H x = b``, or ``U^H U x = b``."""
    for adjoined in (not lower, lower):
        b = routines.triangular_solve(
            c, b, left_side=True, lower=lower, transpose_a=adjoined, conjugate_a=adjoined
        )
    return b


def lu_solve(
    lu_and_piv: tuple[ArrayLike, ArrayLike],
    b: ArrayLike,
    trans: int = 0,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Value:
    """x with ``op(a) x = b`` for the factors of `a` that `lu_factor` gave; `trans` as in
    `solve_triangular`.

    >>> factors = weft.scipy.linalg.lu_factor(np.array([[0., 2.], [1., 0.]]))
    >>> weft.scipy.linalg.lu_solve(factors, np.array([2., 3.]))
    Array([3., 1.], dtype=float32)
    """
    del overwrite_b, check_finite
    kind = _transposition("lu_solve", trans)
    lu, pivots = lu_and_piv
    x, y, vector = system("lu_solve", lu, b)
    n = shape_of(x)[-1]
    order = routines.lu_pivots_to_permutation(pivots, n)
    order = broadcast_to_shape(order, (*shape_of(x)[:-2], n))[..., None]

    def part(y: Value, lower: bool) -> Value:
        return routines.triangular_solve(
            x,
            y,
            left_side=True,
            lower=lower,
            transpose_a=kind > 0,
            conjugate_a=kind == 2,
            unit_diagonal=lower,
        )

    if kind == 0:
        y = part(part(wnp.take_along_axis(y, order, -2), True), False)
    else:
        y = wnp.take_along_axis(part(part(y, False), True), wnp.argsort(order, -2), -2)
    return y[..., 0] if vector else y


# ---------------------------------------------------------------- Sylvester equations


def solve_sylvester(
    A: ArrayLike, B: ArrayLike, C: ArrayLike, *, method: str = "schur", tol: float = 1e-8
) -> Value:
    """X with ``A X + X B = C``, by Schur forms (Bartels and Stewart 1972) or eigenvalues.

    NaN where an eigenvalue of `A` and one of `B` add up to less than `tol`, in magnitude: the
    equation has no unique solution if they add up to zero. `method` is ``"schur"`` or ``"eigen"``;
    the latter needs matrices that can be diagonalized.

    >>> X = weft.scipy.linalg.solve_sylvester(np.eye(2), np.eye(2), np.ones((2, 2)))
    >>> X.round(3)
    Array([[0.5, 0.5],
           [0.5, 0.5]], dtype=float32)
    """
    if method not in ("schur", "eigen"):
        raise ValueError(
            f"weft.scipy.linalg.solve_sylvester: method is 'schur' or 'eigen', got {method!r}"
        )
    a, b, c = promote_inexact("scipy.linalg.solve_sylvester", A, B, C)
    matrices("scipy.linalg.solve_sylvester", a, b, square=True)
    check_precision("scipy.linalg.solve_sylvester", 2, c)
    m, n = shape_of(a)[-1], shape_of(b)[-1]
    if shape_of(c)[-2:] != (m, n):
        raise ValueError(
            f"weft.scipy.linalg.solve_sylvester: A of shape {shape_of(a)} and B of shape "
            f"{shape_of(b)} need C of {m} rows and {n} columns, got shape {shape_of(c)}"
        )
    batch = broadcast_shape("scipy.linalg.solve_sylvester", *(shape_of(x)[:-2] for x in (a, b, c)))
    a, b, c = (broadcast_to_shape(x, (*batch, *shape_of(x)[-2:])) for x in (a, b, c))
    if method == "eigen":
        result, sums = _by_eigenvalues(a, b, c)
    else:
        p, q = (wnp.linalg.eigvals(lax.stop_gradient(x)) for x in (a, b))
        result, sums = sylvester(a, b, c), p[..., :, None] + q[..., None, :]
    least = wnp.min(abs(lax.stop_gradient(sums)), (-2, -1), initial=np.inf)
    return wnp.where((least < tol)[..., None, None], np.nan, result).astype(dtype_of(c))


def _by_eigenvalues(a: Value, b: Value, c: Value) -> tuple[Value, Value]:
    """The solution, and all sums of an eigenvalue of `a` and one of `b`."""
    p, u = wnp.linalg.eig(a)
    q, v = wnp.linalg.eig(b)
    sums = p[..., :, None] + q[..., None, :]
    f = solve_matrices(u, c.astype(dtype_of(u)) @ v)
    x = u @ (f / sums) @ wnp.linalg.inv(v)
    return (x if dtypes.is_complex(dtype_of(c)) else wnp.real(x)), sums
