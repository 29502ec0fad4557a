"""``weft.lax.linalg``: factorizations and triangular systems, strict about dtypes and shapes.

Names and signatures follow ``jax.lax.linalg``. Operands are stacks of matrices, in the last two
axes, of float32, float64, complex64 or complex128. On the CPU LAPACK does the work where matrices
are large, and Weft's own operations, vectorised along the batch, where they are tiny; see
`weft.config.routines`.
"""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

from weft.lax.operands import ArrayLike, Value, operand
from weft.lax.polar import qdwh
from weft.lax.portable import condensed as _condensed  # noqa: F401 registers portable forms
from weft.lax.portable import factors as _factors  # noqa: F401
from weft.lax.portable import schur as _schur  # noqa: F401
from weft.lax.portable import spectra as _spectra  # noqa: F401
from weft.lax.portable import sylvester as _sylvester  # noqa: F401
from weft.primitives import (
    linalg_cholesky,
    linalg_eig,
    linalg_eigh,
    linalg_lu,
    linalg_qr,
    linalg_reductions,
    linalg_solve,
    linalg_svd,
    linalg_tridiagonal,
)
from weft.primitives.matrix import symmetrized

__all__ = [
    "EigImplementation",
    "EighImplementation",
    "SvdAlgorithm",
    "cholesky",
    "cholesky_update",
    "eig",
    "eigh",
    "geqp3",
    "geqrf",
    "hessenberg",
    "householder_product",
    "lu",
    "lu_pivots_to_permutation",
    "ormqr",
    "qdwh",
    "qr",
    "schur",
    "svd",
    "symmetric_product",
    "triangular_solve",
    "tridiagonal",
    "tridiagonal_solve",
]

cholesky_p = linalg_cholesky.cholesky_p
eig_p, schur_p = linalg_eig.eig_p, linalg_eig.schur_p
eigh_p = linalg_eigh.eigh_p
hessenberg_p, tridiagonal_p = linalg_reductions.hessenberg_p, linalg_reductions.tridiagonal_p
householder_product_p, qr_p = linalg_qr.householder_product_p, linalg_qr.qr_p
lu_p, lu_pivots_to_permutation_p = linalg_lu.lu_p, linalg_lu.lu_pivots_to_permutation_p
svd_p = linalg_svd.svd_p
triangular_solve_p = linalg_solve.triangular_solve_p
tridiagonal_solve_p = linalg_tridiagonal.tridiagonal_solve_p


class EigImplementation(enum.Enum):
    """Names that JAX gives to libraries for `eig`; here `weft.config.routines` chooses."""

    CUSOLVER = "cusolver"
    MAGMA = "magma"
    LAPACK = "lapack"


class EighImplementation(enum.Enum):
    """Names that JAX gives to algorithms for `eigh`; here `weft.config.routines` chooses."""

    QR = "qr"
    JACOBI = "jacobi"
    QDWH = "qdwh"


class SvdAlgorithm(enum.Enum):
    """Names that JAX gives to algorithms for `svd`; here `weft.config.routines` chooses."""

    DEFAULT = "default"
    QR = "QR"
    JACOBI = "Jacobi"
    POLAR = "polar"
    DIVIDE_AND_CONQUER = "divide_and_conquer"


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
    enable_eigvec_derivs: bool = True,
    implementation: EigImplementation | None = None,
    use_magma: bool | None = None,
) -> list[Value]:
    """``[w]``, then left and right eigenvectors as asked for, in columns; all complex.

    The derivatives of values and right vectors exist where the eigenvalues are distinct; vectors
    keep norm 1 and a real largest component. The last three arguments are accepted for
    compatibility.

    >>> lax.linalg.eig(np.diag(np.array([1.0, 2.0])), compute_left_eigenvectors=False)[0]
    Array([1.+0.j, 2.+0.j], dtype=complex64)
    """
    del enable_eigvec_derivs, implementation, use_magma
    a = _matrices("eig", x)
    return linalg_eig.eig(a, compute_left_eigenvectors, compute_right_eigenvectors)


def eigh(
    x: ArrayLike,
    *,
    lower: bool = True,
    symmetrize_input: bool = True,
    sort_eigenvalues: bool = True,
    subset_by_index: tuple[int, int] | None = None,
    implementation: EighImplementation | None = None,
) -> tuple[Value, Value]:
    """``(v, w)`` of Hermitian matrices: eigenvectors in columns, and ascending eigenvalues.

    Derivatives of eigenvectors exist where the eigenvalues are distinct, and are inf or NaN
    elsewhere. `sort_eigenvalues` (they always are sorted) and `implementation` are accepted for
    compatibility.

    >>> v, w = weft.lax.linalg.eigh(np.array([[2., 0.], [0., 1.]]))
    >>> w
    Array([1., 2.], dtype=float32)
    """
    del sort_eigenvalues, implementation
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
    """LAPACK's compact QR form ``(compact, taus)``; see `householder_product`.

    >>> lax.linalg.geqrf(np.eye(2))[0]
    Array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    compact, taus = linalg_qr.geqrf(_matrices("geqrf", a))
    return compact, taus


def hessenberg(a: ArrayLike) -> tuple[Value, Value]:
    """``(compact, taus)`` of ``a = Q h Q^H``, where h is zero below its first subdiagonal.

    h is the upper part of `compact`, with one subdiagonal; the reflectors of Q are below it. There
    is no derivative.

    >>> lax.linalg.hessenberg(np.array([[1.0, 2.0], [4.0, 3.0]]))[0]
    Array([[1., 2.],
           [4., 3.]], dtype=float32)
    """
    compact, taus = linalg_reductions.hessenberg(_matrices("hessenberg", a))
    return compact, taus


def tridiagonal(a: ArrayLike, *, lower: bool = True) -> tuple[Value, Value, Value, Value]:
    """``(compact, d, e, taus)`` of Hermitian matrices, of which one triangle is read.

    `d` is the diagonal and `e` the one beside it of a real tridiagonal matrix with the same
    eigenvalues; `compact` and `taus` have the reflectors. There is no derivative.

    >>> compact, d, e, taus = lax.linalg.tridiagonal(np.array([[2.0, 1.0], [1.0, 3.0]]))
    >>> d, abs(e)
    (Array([2., 3.], dtype=float32), Array([1.], dtype=float32))
    """
    compact, d, e, taus = linalg_reductions.tridiagonal(_matrices("tridiagonal", a), lower)
    return compact, d, e, taus


def tridiagonal_solve(
    dl: ArrayLike, d: ArrayLike, du: ArrayLike, b: ArrayLike, *, perturb_singular: bool = False
) -> Value:
    """x with ``a x = b`` for tridiagonal matrices, by elimination with partial pivoting.

    ``dl[i] = a[i, i-1]``, ``d[i] = a[i, i]``, ``du[i] = a[i, i+1]``, all of one length; ``dl[0]``
    and ``du[-1]`` are not read. `b` has rows and columns. Singular matrices give NaN, unless
    `perturb_singular` asks for pivots that are zero to rounding to be replaced.

    >>> dl, d, du = np.array([0., 1.]), np.array([2., 2.]), np.array([1., 0.])
    >>> weft.lax.linalg.tridiagonal_solve(dl, d, du, np.array([[3.], [3.]]))
    Array([[1.],
           [1.]], dtype=float32)
    """
    dl, d, du, b = (_matrices("tridiagonal_solve", x) for x in (dl, d, du, b))
    return linalg_tridiagonal.tridiagonal_solve(dl, d, du, b, perturb_singular)


def cholesky_update(r_matrix: ArrayLike, w_vector: ArrayLike) -> Value:
    """The upper R with ``R^T R = r^T r + w w^T``, by rotations; of real matrices.

    >>> weft.lax.linalg.cholesky_update(np.array([[3.]]), np.array([4.]))
    Array([[5.]], dtype=float32)
    """
    import weft.numpy as wnp
    from weft.core.avals import aval_of
    from weft.primitives.matrix import check_matrices
    from weft.transforms.control_flow import scan

    r, w = _matrices("cholesky_update", r_matrix), _matrices("cholesky_update", w_vector)
    check_matrices("cholesky_update", aval_of(r), square=True)
    if aval_of(w).shape != aval_of(r).shape[:-1] or aval_of(w).dtype != aval_of(r).dtype:
        raise ValueError(
            f"lax.linalg.cholesky_update: a vector of {aval_of(r).shape[-1]} elements of the same "
            f"dtype is needed for {aval_of(r)}, got {aval_of(w)}."
        )
    if aval_of(r).dtype.kind == "c":
        raise TypeError(f"lax.linalg.cholesky_update: r_matrix must be real, got {aval_of(r)}.")

    def rotate(w: Value, row: tuple[Value, Value]) -> tuple[Value, Value]:
        line, here = row
        pivot, moved = (wnp.sum(wnp.where(here, x, 0), -1, keepdims=True) for x in (line, w))
        length = wnp.hypot(pivot, moved)
        nothing = length == 0
        length = wnp.where(nothing, 1, length)
        c, s = wnp.where(nothing, 1, pivot / length), moved / length
        return c * w - s * line, c * line + s * w

    rows = wnp.moveaxis(wnp.triu(r), -2, 0)
    _, rows = scan(rotate, w, (rows, np.eye(aval_of(r).shape[-1], dtype=bool)))
    return wnp.triu(wnp.moveaxis(rows, 0, -2))


def householder_product(a: ArrayLike, taus: ArrayLike) -> Value:
    """The first columns of the product of the reflectors that `a` has below its diagonal.

    >>> compact, taus = lax.linalg.geqrf(np.array([[3.0, 1.0], [4.0, 2.0]]))
    >>> q = lax.linalg.householder_product(compact, taus)
    >>> abs(q.T @ q).round(4)
    Array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    a = _matrices("householder_product", a)
    return linalg_qr.householder_product(a, _matrices("householder_product", taus))


def lu(x: ArrayLike) -> tuple[Value, Value, Value]:
    """``(factors, pivots, permutation)`` with ``x[permutation] = L U``.

    `factors` has L below the diagonal (whose own is ones) and U on and above it; `pivots` says with
    which row each row was exchanged in turn, counted from 0.

    >>> lax.linalg.lu(np.array([[2.0, 1.0], [4.0, 6.0]]))[0]
    Array([[ 4. ,  6. ],
           [ 0.5, -2. ]], dtype=float32)
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


def ormqr(
    a: ArrayLike, taus: ArrayLike, c: ArrayLike, *, left: bool = True, transpose: bool = False
) -> Value:
    """``Q c``, or ``c Q`` without `left`, with the square Q whose reflectors `geqrf` gave.

    With `transpose`, Q is conjugated and transposed.

    >>> compact, taus = weft.lax.linalg.geqrf(np.array([[3.], [4.]]))
    >>> weft.lax.linalg.ormqr(compact, taus, np.array([[3.], [4.]]), transpose=True).round(3)
    Array([[-5.],
           [ 0.]], dtype=float32)
    """
    from weft.core.avals import aval_of
    from weft.primitives.matrix import check_matrices, matmul, mH
    from weft.primitives.slicing import pad, slice_along

    a, taus, c = (_matrices("ormqr", x) for x in (a, taus, c))
    check_matrices("ormqr", aval_of(a), aval_of(c))
    (*batch, rows, columns), shape = aval_of(a).shape, aval_of(c).shape
    side = shape[-2 if left else -1]
    if tuple(batch) != shape[:-2] or side != rows:
        raise ValueError(
            f"lax.linalg.ormqr: Q of a={aval_of(a)} has {rows} rows and columns and does not fit "
            f"c={aval_of(c)}, which has {side} {'rows' if left else 'columns'}."
        )
    last = len(batch) + 1
    if columns > rows:
        a = slice_along(a, 0, rows, last)
    elif columns < rows:
        widths = [(0, 0, 0)] * last + [(0, rows - columns, 0)]
        a = pad(a, np.zeros((), aval_of(a).dtype), widths)
    q = linalg_qr.householder_product(a, taus)
    q = mH(q) if transpose else q
    return matmul(q, c) if left else matmul(c, q)


def geqp3(a: ArrayLike) -> tuple[Value, Value, Value]:
    """``(compact, taus, permutation)``: `geqrf` of the columns of `a` in the order `permutation`,
    each the largest of those that remain.

    >>> compact, taus, order = lax.linalg.geqp3(np.array([[1.0, 3.0], [0.0, 4.0]]))
    >>> abs(compact[0, 0]).round(4), order
    (Array(5., dtype=float32), Array([1, 0], dtype=int32))
    """
    compact, taus, permutation = linalg_reductions.geqp3(_matrices("geqp3", a))
    return compact, taus, permutation


def qr(
    x: ArrayLike, *, pivoting: bool = False, full_matrices: bool = True, use_magma: None = None
) -> Any:
    """``(q, r)`` with ``x = q r``; `q` is square if `full_matrices`.

    With `pivoting`, ``(q, r, p)`` with ``x[:, p] = q r`` and a descending diagonal of r: columns
    are put in order first, and then factored. Differentiable for matrices of full rank, unless a
    full `q` has more columns than `x`.

    >>> q, r, p = weft.lax.linalg.qr(np.array([[1., 0.], [0., 2.]]), pivoting=True)
    >>> p
    Array([1, 0], dtype=int32)
    """
    a = _matrices("qr", x)
    if not pivoting:
        q, r = linalg_qr.qr(a, full_matrices)
        return q, r
    from weft.lax.elementwise import stop_gradient
    from weft.numpy.taking import take_along_axis

    _, _, order = linalg_reductions.geqp3(stop_gradient(a))
    q, r = linalg_qr.qr(take_along_axis(a, order[..., None, :], -1), full_matrices)
    return q, r, order


def schur(
    x: ArrayLike,
    *,
    compute_schur_vectors: bool = True,
    sort_eig_vals: bool = False,
    select_callable: Any = None,
) -> list[Value]:
    """``[t]`` or ``[t, z]`` with ``x = z t z^H``; there is no derivative.

    >>> lax.linalg.schur(np.array([[1.0, 2.0], [0.0, 3.0]]))[0]
    Array([[1., 2.],
           [0., 3.]], dtype=float32)
    """
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

    >>> lax.linalg.svd(np.diag(np.array([3.0, 2.0])), compute_uv=False)
    Array([3., 2.], dtype=float32)
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
    """``alpha a a^T + beta c``.

    >>> lax.linalg.symmetric_product(np.ones((2, 3)), np.zeros((2, 2)))
    Array([[3., 3.],
           [3., 3.]], dtype=float32)
    """
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
