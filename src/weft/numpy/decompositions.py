"""Factorizations with NumPy's signatures, for :mod:`weft.numpy.linalg`.

Integers are taken as float32. All functions work on stacks of matrices, in the last two axes, and
have derivatives; where those do not exist (repeated eigenvalues or singular values), `lax.linalg`
says what comes out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from weft.array.calls import at_once
from weft.core import dtypes
from weft.lax import linalg as routines
from weft.numpy._common import ArrayLike, Value, dtype_of, shape_of
from weft.numpy.classify import conj
from weft.numpy.operands import matrices
from weft.numpy.shaping import flip, matrix_transpose
from weft.numpy.sorting import argsort
from weft.numpy.taking import take_along_axis
from weft.numpy.ufuncs import absolute, sign


class EigResult(NamedTuple):
    """What `eig` gives."""

    eigenvalues: Value
    eigenvectors: Value


class EighResult(NamedTuple):
    """What `eigh` gives."""

    eigenvalues: Value
    eigenvectors: Value


class QRResult(NamedTuple):
    """What `qr` gives."""

    Q: Value
    R: Value


class SVDResult(NamedTuple):
    """What `svd` gives."""

    U: Value
    S: Value
    Vh: Value


@at_once
def cholesky(a: ArrayLike, *, upper: bool = False, symmetrize_input: bool = True) -> Value:
    """L with ``a = L L^H``, or ``U = L^H`` if `upper`; NaN where `a` is not positive definite.

    With `symmetrize_input`, ``(a + a^H) / 2`` is factored, which makes derivatives symmetric.

    >>> cholesky(np.array([[4., 2.], [2., 2.]], np.float32))
    Array([[2., 0.],
           [1., 1.]], dtype=float32)
    """
    (x,) = matrices("linalg.cholesky", a, square=True)
    if upper and not symmetrize_input:
        x = conj(matrix_transpose(x))
    factor = routines.cholesky(x, symmetrize_input=symmetrize_input)
    return conj(matrix_transpose(factor)) if upper else factor


@at_once
def qr(a: ArrayLike, mode: str = "reduced") -> Any:
    """``(Q, R)`` with ``a = Q R``; R alone for ``mode="r"``.

    ``"reduced"`` gives Q as many columns as `a` has rows or columns, whichever are fewer,
    ``"complete"`` a square one, ``"raw"`` LAPACK's reflectors (transposed) and their factors.

    >>> np.abs(np.linalg.qr(np.array([[2.0, 0.0], [0.0, 4.0]])).R)
    Array([[2., 0.],
           [0., 4.]], dtype=float32)
    """
    (x,) = matrices("linalg.qr", a)
    if mode == "raw":
        compact, taus = routines.geqrf(x)
        return QRResult(matrix_transpose(compact), taus)
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(
            f"weft.numpy.linalg.qr: mode is 'reduced', 'complete', 'r' or 'raw', got {mode!r}"
        )
    q, r = routines.qr(x, full_matrices=mode == "complete")
    return r if mode == "r" else QRResult(q, r)


@at_once
def svd(
    a: ArrayLike,
    full_matrices: bool = True,
    compute_uv: bool = True,
    hermitian: bool = False,
    subset_by_index: tuple[int, int] | None = None,
) -> Any:
    """``(U, S, Vh)`` with ``a = U diag(S) Vh``, or S alone; S is descending.

    With `full_matrices`, U and Vh are square. `hermitian` says that `a` is, which is faster.

    >>> np.linalg.svd(np.array([[2.0, 0.0], [0.0, 4.0]])).S
    Array([4., 2.], dtype=float32)
    """
    (x,) = matrices("linalg.svd", a, square=hermitian)
    if hermitian:
        return _hermitian_svd(x, compute_uv)
    outs = routines.svd(
        x,
        full_matrices=full_matrices,
        compute_uv=compute_uv,
        subset_by_index=subset_by_index,
    )
    return SVDResult(*outs) if compute_uv else outs


def _hermitian_svd(x: Value, compute_uv: bool) -> Any:
    vectors, values = routines.eigh(x)
    size = absolute(values)
    order = flip(argsort(size), -1)
    s = take_along_axis(size, order, -1)
    if not compute_uv:
        return s
    u = take_along_axis(vectors, order[..., None, :], -1)
    signs = take_along_axis(sign(values), order, -1).astype(dtype_of(u))
    return SVDResult(u, s, conj(matrix_transpose(u * signs[..., None, :])))


@at_once
def svdvals(x: ArrayLike, /) -> Value:
    """The singular values, descending.

    >>> svdvals(np.diag(np.array([1., 3., 2.], np.float32)))
    Array([3., 2., 1.], dtype=float32)
    """
    return svd(x, compute_uv=False)


@at_once
def eigh(a: ArrayLike, UPLO: str | None = None, symmetrize_input: bool = True) -> EighResult:
    """Ascending eigenvalues of Hermitian matrices, and eigenvectors in columns.

    `UPLO` says which triangle is read without `symmetrize_input`, which takes ``(a + a^H) / 2``.

    >>> eigh(np.array([[2., 0.], [0., 1.]], np.float32)).eigenvalues
    Array([1., 2.], dtype=float32)
    """
    (x,) = matrices("linalg.eigh", a, square=True)
    if UPLO not in (None, "L", "U", "l", "u"):
        raise ValueError(f"weft.numpy.linalg.eigh: UPLO is 'L' or 'U', got {UPLO!r}")
    lower = UPLO is None or UPLO.upper() == "L"
    vectors, values = routines.eigh(x, lower=lower, symmetrize_input=symmetrize_input)
    return EighResult(values, vectors)


@at_once
def eigvalsh(a: ArrayLike, UPLO: str | None = "L", *, symmetrize_input: bool = True) -> Value:
    """The ascending eigenvalues of Hermitian matrices.

    >>> np.linalg.eigvalsh(np.array([[2.0, 0.0], [0.0, 4.0]]))
    Array([2., 4.], dtype=float32)
    """
    return eigh(a, UPLO, symmetrize_input).eigenvalues


def eig(a: ArrayLike) -> EigResult:
    """Eigenvalues and (right) eigenvectors, in columns, of square matrices; both are complex.

    >>> np.linalg.eig(np.array([[2.0, 0.0], [0.0, 4.0]])).eigenvalues.real
    Array([2., 4.], dtype=float32)
    """
    (x,) = matrices("linalg.eig", a, square=True)
    values, vectors = routines.eig(x, compute_left_eigenvectors=False)
    return EigResult(values, vectors)


def eigvals(a: ArrayLike) -> Value:
    """The eigenvalues of square matrices; they are complex.

    >>> np.linalg.eigvals(np.array([[2.0, 0.0], [0.0, 4.0]])).real
    Array([2., 4.], dtype=float32)
    """
    (x,) = matrices("linalg.eigvals", a, square=True)
    return routines.eig(x, compute_left_eigenvectors=False, compute_right_eigenvectors=False)[0]


def default_tolerance(x: Value) -> float:
    """What counts as zero beside 1 in a matrix of this shape and dtype."""
    return max(shape_of(x)[-2:]) * float(np.finfo(dtypes.real_dtype(dtype_of(x))).eps)
