"""``weft.lax.linalg``: factorizations and triangular systems, strict about dtypes and shapes.

Names and signatures follow ``jax.lax.linalg``. Operands are stacks of matrices, in the last two
axes, of float32, float64, complex64 or complex128. On the CPU LAPACK does the work where matrices
are large, and Weft's own operations, vectorised along the batch, where they are tiny; see
`weft.config.routines`.
"""

from __future__ import annotations

from typing import Any

from weft.lax.operands import ArrayLike, Value, operand
from weft.lax.portable import factors as _factors  # noqa: F401 registers the portable forms
from weft.lax.portable import spectra as _spectra  # noqa: F401
from weft.primitives import (
    linalg_cholesky,
    linalg_eig,
    linalg_eigh,
    linalg_lu,
    linalg_qr,
    linalg_solve,
    linalg_svd,
)
from weft.primitives.matrix import symmetrized

__all__ = [
    "cholesky",
    "eig",
    "eigh",
    "geqrf",
    "householder_product",
    "lu",
    "lu_pivots_to_permutation",
    "qr",
    "schur",
    "svd",
    "symmetric_product",
    "triangular_solve",
]


def _matrices(name: str, x: ArrayLike) -> Value:
    return operand(f"linalg.{name}", x)


def cholesky(x: ArrayLike, *, symmetrize_input: bool = True) -> Value:
    """The lower L with ``x = L L^H``; NaN for matrices that are not positive definite.

    With `symmetrize_input`, ``(x + x^H) / 2`` is factored; otherwise only the lower triangle is
    read.

    >>> weft.lax.linalg.cholesky(np.array([[4., 2.], [2., 2.]], np.float32))
    Array([[2., 0.],
           [1., 1.]], dtype=float32)
    """
    a = _matrices("cholesky", x)
    return linalg_cholesky.cholesky(_symmetrized("cholesky", a) if symmetrize_input else a)


def _symmetrized(name: str, a: Value) -> Value:
    from weft.core.avals import aval_of
    from weft.primitives.matrix import check_matrices

    check_matrices(name, aval_of(a), square=True)
    return symmetrized(a)


def eig(
    x: ArrayLike,
    *,
    compute_left_eigenvectors: bool = True,
    compute_right_eigenvectors: bool = True,
) -> list[Value]:
    """``[w]``, then left and right eigenvectors as asked for, in columns; all complex.

    The derivatives of values and right vectors exist where the eigenvalues are distinct.
    """
    a = _matrices("eig", x)
    return linalg_eig.eig(a, compute_left_eigenvectors, compute_right_eigenvectors)


def eigh(
    x: ArrayLike,
    *,
    lower: bool = True,
    symmetrize_input: bool = True,
    sort_eigenvalues: bool = True,
    subset_by_index: tuple[int, int] | None = None,
) -> tuple[Value, Value]:
    """``(v, w)`` of Hermitian matrices: eigenvectors in columns, and ascending eigenvalues.

    Derivatives of eigenvectors exist where the eigenvalues are distinct, and are inf or NaN
    elsewhere. `sort_eigenvalues` is accepted for compatibility: they always are.

    >>> v, w = weft.lax.linalg.eigh(np.array([[2., 0.], [0., 1.]]))
    >>> w
    Array([1., 2.], dtype=float32)
    """
    del sort_eigenvalues
    a = _matrices("eigh", x)
    v, w = linalg_eigh.eigh(_symmetrized("eigh", a) if symmetrize_input else a, lower)
    if subset_by_index is None:
        return v, w
    start, stop = subset_by_index
    n = w.shape[-1]
    if not 0 <= start < stop <= n:
        raise ValueError(
            f"lax.linalg.eigh: subset_by_index=(start, stop) selects from {n} eigenvalues, got "
            f"{subset_by_index!r}."
        )
    return v[..., start:stop], w[..., start:stop]


def geqrf(a: ArrayLike) -> tuple[Value, Value]:
    """LAPACK's compact QR form ``(compact, taus)``; see `householder_product`."""
    compact, taus = linalg_qr.geqrf(_matrices("geqrf", a))
    return compact, taus


def householder_product(a: ArrayLike, taus: ArrayLike) -> Value:
    """The first columns of the product of the reflectors that `a` has below its diagonal."""
    a = _matrices("householder_product", a)
    return linalg_qr.householder_product(a, _matrices("householder_product", taus))


def lu(x: ArrayLike) -> tuple[Value, Value, Value]:
    """``(factors, pivots, permutation)`` with ``x[permutation] = L U``.

    `factors` has L below the diagonal (whose own is ones) and U on and above it; `pivots` says with
    which row each row was exchanged in turn, counted from 0.
    """
    factors, pivots, permutation = linalg_lu.lu(_matrices("lu", x))
    return factors, pivots, permutation


def lu_pivots_to_permutation(pivots: ArrayLike, permutation_size: int) -> Value:
    """The permutation that `pivots` of `lu` amount to.

    >>> weft.lax.linalg.lu_pivots_to_permutation(np.array([2, 2], np.int32), 3)
    Array([2, 0, 1], dtype=int32)
    """
    x = _matrices("lu_pivots_to_permutation", pivots)
    return linalg_lu.lu_pivots_to_permutation(x, permutation_size)


def qr(
    x: ArrayLike, *, pivoting: bool = False, full_matrices: bool = True, use_magma: None = None
) -> tuple[Value, Value]:
    """``(q, r)`` with ``x = q r``; `q` is square if `full_matrices`.

    Differentiable for matrices of full rank, unless a full `q` has more columns than `x`.
    """
    if pivoting:
        raise NotImplementedError(
            "lax.linalg.qr: pivoting is not supported; for a rank-revealing factorization use svd."
        )
    q, r = linalg_qr.qr(_matrices("qr", x), full_matrices)
    return q, r


def schur(
    x: ArrayLike,
    *,
    compute_schur_vectors: bool = True,
    sort_eig_vals: bool = False,
    select_callable: Any = None,
) -> list[Value]:
    """``[t]`` or ``[t, z]`` with ``x = z t z^H``; there is no derivative."""
    if sort_eig_vals or select_callable is not None:
        raise NotImplementedError(
            "lax.linalg.schur: eigenvalues cannot be sorted; leave out sort_eig_vals."
        )
    return linalg_eig.schur(_matrices("schur", x), compute_schur_vectors)


def svd(
    x: ArrayLike,
    *,
    full_matrices: bool = True,
    compute_uv: bool = True,
    subset_by_index: tuple[int, int] | None = None,
    algorithm: Any = None,
) -> Any:
    """``(u, s, vh)`` with ``x = u diag(s) vh``, or `s` alone; `s` is descending.

    Differentiable where singular values are distinct and not zero, vectors with
    ``full_matrices=False`` only.
    """
    del algorithm
    outs = linalg_svd.svd(_matrices("svd", x), full_matrices, compute_uv)
    if subset_by_index is not None:
        start, stop = subset_by_index
        n = outs[-2 if compute_uv else 0].shape[-1]
        if not 0 <= start < stop <= n or (full_matrices and compute_uv):
            raise ValueError(
                f"lax.linalg.svd: subset_by_index=(start, stop) selects from {n} singular values "
                f"with full_matrices=False, got {subset_by_index!r}."
            )
        if not compute_uv:
            return outs[0][..., start:stop]
        u, s, vh = outs
        return u[..., start:stop], s[..., start:stop], vh[..., start:stop, :]
    return tuple(outs) if compute_uv else outs[0]


def symmetric_product(
    a_matrix: ArrayLike,
    c_matrix: ArrayLike,
    *,
    alpha: float = 1.0,
    beta: float = 0.0,
    symmetrize_output: bool = False,
) -> Value:
    """``alpha a a^T + beta c``."""
    from weft.primitives.arithmetic import add
    from weft.primitives.matrix import matmul, mT, scaled

    del symmetrize_output  # the product is symmetric as it is
    a = _matrices("symmetric_product", a_matrix)
    c = _matrices("symmetric_product", c_matrix)
    return add(scaled(matmul(a, mT(a)), alpha), scaled(c, beta))


def triangular_solve(
    a: ArrayLike,
    b: ArrayLike,
    *,
    left_side: bool = False,
    lower: bool = False,
    transpose_a: bool = False,
    conjugate_a: bool = False,
    unit_diagonal: bool = False,
) -> Value:
    """x with ``x op(a) = b``, or ``op(a) x = b`` if `left_side`; `b` may be one vector.

    >>> a = np.array([[2., 0.], [1., 1.]], np.float32)
    >>> b = np.array([2., 3.], np.float32)
    >>> weft.lax.linalg.triangular_solve(a, b, left_side=True, lower=True)
    Array([1., 2.], dtype=float32)
    """
    from weft.core.avals import aval_of
    from weft.primitives.shaping import expand_dims, reshape

    a, b = _matrices("triangular_solve", a), _matrices("triangular_solve", b)
    vector = aval_of(b).ndim == aval_of(a).ndim - 1
    shape = aval_of(b).shape
    if vector:
        b = expand_dims(b, (len(shape),) if left_side else (len(shape) - 1,))
    x = linalg_solve.triangular_solve(
        a,
        b,
        left_side=left_side,
        lower=lower,
        transpose_a=transpose_a,
        conjugate_a=conjugate_a,
        unit_diagonal=unit_diagonal,
    )
    return reshape(x, shape) if vector else x
