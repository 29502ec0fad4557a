"""Factorizations with SciPy's signatures; they are those of `weft.lax.linalg`."""

from __future__ import annotations

from typing import Any

import numpy as np

import weft.numpy as wnp
from weft.core import dtypes
from weft.lax import linalg as routines
from weft.lax.portable.schur import complex_forms
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
from weft.primitives.linalg_eig import complex_of_dtype
from weft.primitives.linalg_sylvester import sylvester
from weft.scipy.linalg.operands import adjoint
from weft.transforms.custom_jvp import custom_jvp

# ---------------------------------------------------------------- Cholesky, LU


def cholesky(
    a: ArrayLike, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> Value:
    """U with ``a = U^H U``, or L with ``a = L L^H`` if `lower`.

    Only that triangle of `a` is read. NaN where `a` is not positive definite.

    >>> weft.scipy.linalg.cholesky(np.array([[4., 2.], [2., 2.]]))
    Array([[2., 1.],
           [0., 1.]], dtype=float32)
    """
    del overwrite_a, check_finite
    (x,) = matrices("scipy.linalg.cholesky", a, square=True)
    factor = routines.cholesky(x if lower else adjoint(x), symmetrize_input=False)
    return factor if lower else adjoint(factor)


def cho_factor(
    a: ArrayLike, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Value, bool]:
    """``(c, lower)`` for `cho_solve`: the factor that `cholesky` gives.

    >>> weft.scipy.linalg.cho_factor(4 * np.eye(2))[0]
    Array([[2., 0.],
           [0., 2.]], dtype=float32)
    """
    return cholesky(a, lower, overwrite_a, check_finite), lower


def lu_factor(
    a: ArrayLike, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Value, Value]:
    """``(lu, pivots)`` for `lu_solve`: both factors in one matrix, and the row that each row was
    exchanged with in turn.

    >>> weft.scipy.linalg.lu_factor(np.array([[2.0, 1.0], [4.0, 6.0]]))[0]
    Array([[ 4. ,  6. ],
           [ 0.5, -2. ]], dtype=float32)
    """
    del overwrite_a, check_finite
    factors, pivots, _ = routines.lu(*matrices("scipy.linalg.lu_factor", a))
    return factors, pivots


def lu(
    a: ArrayLike, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> Any:
    """``(p, l, u)`` with ``a = p l u``: a permutation, lower with ones on the diagonal, upper.

    With `permute_l`, ``(p l, u)``.

    >>> p, l, u = weft.scipy.linalg.lu(np.array([[0., 2.], [4., 1.]]))
    >>> u
    Array([[4., 1.],
           [0., 2.]], dtype=float32)
    """
    del overwrite_a, check_finite
    (x,) = matrices("scipy.linalg.lu", a)
    factors, _, order = routines.lu(x)
    rows, columns = shape_of(x)[-2:]
    least = min(rows, columns)
    dtype = dtype_of(x)
    lower = wnp.tril(factors, -1)[..., :least] + wnp.eye(rows, least, dtype=dtype)
    upper = wnp.triu(factors)[..., :least, :]
    if permute_l:
        return wnp.take_along_axis(lower, wnp.argsort(order)[..., None], -2), upper
    index = np.arange(rows, dtype=np.int32)
    return (order[..., None, :] == index[:, None]).astype(dtypes.real_dtype(dtype)), lower, upper


# ---------------------------------------------------------------- QR


def _check_mode(name: str, mode: str, modes: tuple[str, ...]) -> None:
    if mode not in modes:
        words = ", ".join(map(repr, modes))
        raise ValueError(f"weft.scipy.linalg.{name}: mode is one of {words}, got {mode!r}")


def qr(
    a: ArrayLike,
    overwrite_a: bool = False,
    lwork: Any = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> tuple[Value, ...]:
    """``(q, r)`` with ``a = q r``; with `pivoting` ``(q, r, p)`` with ``a[:, p] = q r``.

    `mode` is ``"full"`` (q is square), ``"economic"`` (q has as many columns as `a` has rows or
    columns, whichever are fewer) or ``"r"``, which leaves q out.

    >>> (r,) = weft.scipy.linalg.qr(np.array([[3.], [4.]]), mode="r")
    >>> abs(r).round(3)
    Array([[5.],
           [0.]], dtype=float32)
    """
    del overwrite_a, lwork, check_finite
    _check_mode("qr", mode, ("full", "economic", "r"))
    (x,) = matrices("scipy.linalg.qr", a)
    found = routines.qr(x, pivoting=pivoting, full_matrices=mode != "economic")
    return found[1:] if mode == "r" else found


def qr_multiply(
    a: ArrayLike,
    c: ArrayLike,
    mode: str = "right",
    pivoting: bool = False,
    conjugate: bool = False,
    overwrite_a: bool = False,
    overwrite_c: bool = False,
) -> tuple[Value, ...]:
    """``(c Q, r)``, or ``(Q c, r)`` for ``mode="left"``, with the economic Q of `qr`; and the
    permutation with `pivoting`.

    `conjugate` takes Q's conjugate. A `c` of one axis is one row, or one column.

    >>> weft.scipy.linalg.qr_multiply(np.eye(2), np.array([1.0, 2.0]))[0]
    Array([1., 2.], dtype=float32)
    """
    del overwrite_a, overwrite_c
    _check_mode("qr_multiply", mode, ("left", "right"))
    x, y = promote_inexact("scipy.linalg.qr_multiply", a, c)
    matrices("scipy.linalg.qr_multiply", x)
    check_precision("scipy.linalg.qr_multiply", 1, y)
    vector = len(shape_of(y)) == 1
    if vector:
        y = y[:, None] if mode == "left" else y[None, :]
    q, r, *order = routines.qr(x, pivoting=pivoting, full_matrices=False)
    rows, columns = shape_of(q)[-2:]
    needed, given = (columns, shape_of(y)[-2]) if mode == "left" else (rows, shape_of(y)[-1])
    if needed != given:
        raise ValueError(
            f"weft.scipy.linalg.qr_multiply: Q of a matrix of shape {shape_of(x)} has {rows} rows "
            f"and {columns} columns, which does not fit c of shape {shape_of(c)} on the {mode}"
        )
    q = wnp.conj(q) if conjugate else q
    product = q @ y if mode == "left" else y @ q
    return (wnp.ravel(product) if vector else product), r, *order


# ---------------------------------------------------------------- singular values, eigenvalues


def svd(
    a: ArrayLike,
    full_matrices: bool = True,
    compute_uv: bool = True,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> Any:
    """``(u, s, vh)`` with ``a = u diag(s) vh``, or `s` alone; `s` is descending.

    >>> weft.scipy.linalg.svd(np.diag(np.array([3.0, 2.0])), compute_uv=False)
    Array([3., 2.], dtype=float32)
    """
    del overwrite_a, check_finite, lapack_driver
    (x,) = matrices("scipy.linalg.svd", a)
    return routines.svd(x, full_matrices=full_matrices, compute_uv=compute_uv)


def eigh(
    a: ArrayLike,
    b: ArrayLike | None = None,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    turbo: bool = True,
    eigvals: tuple[int, int] | None = None,
    type: int = 1,
    check_finite: bool = True,
) -> Any:
    """Ascending eigenvalues of Hermitian matrices, and eigenvectors in columns.

    With a positive definite `b`, of the generalized problem: ``a v = w b v`` (`type` 1),
    ``a b v = w v`` (2) or ``b a v = w v`` (3). `eigvals` selects those from the first index to the
    last. Both triangles are read, and their mean taken; `lower` is accepted for compatibility.

    >>> w, v = weft.scipy.linalg.eigh(np.diag(np.array([3., 1.])))
    >>> w
    Array([1., 3.], dtype=float32)
    """
    del overwrite_a, overwrite_b, turbo, check_finite
    if type not in (1, 2, 3):
        raise ValueError(f"weft.scipy.linalg.eigh: type is 1, 2 or 3, got {type!r}")
    factor = None
    if b is None:
        (x,) = matrices("scipy.linalg.eigh", a, square=True)
    else:
        x, y = matrices("scipy.linalg.eigh", a, b, square=True)
        factor = routines.cholesky(y)
        x = _reduced(x, factor, type)
    vectors, values = routines.eigh(x, lower=lower)
    if eigvals is not None:
        first, last = eigvals
        if not 0 <= first <= last < shape_of(x)[-1]:
            raise ValueError(
                f"weft.scipy.linalg.eigh: eigvals=(first, last) selects from {shape_of(x)[-1]} "
                f"eigenvalues, got {eigvals!r}"
            )
        vectors, values = vectors[..., first : last + 1], values[..., first : last + 1]
    if eigvals_only:
        return values
    if factor is not None and type == 3:
        vectors = factor @ vectors
    elif factor is not None:
        vectors = routines.triangular_solve(
            factor, vectors, left_side=True, lower=True, transpose_a=True, conjugate_a=True
        )
    return values, vectors


def _reduced(a: Value, factor: Value, type: int) -> Value:
    """The Hermitian matrix with the eigenvalues of the generalized problem."""
    if type != 1:
        return adjoint(factor) @ a @ factor
    left = routines.triangular_solve(factor, a, left_side=True, lower=True)
    return routines.triangular_solve(
        factor, left, left_side=False, lower=True, transpose_a=True, conjugate_a=True
    )


def eigh_tridiagonal(
    d: ArrayLike,
    e: ArrayLike,
    *,
    eigvals_only: bool = False,
    select: str = "a",
    select_range: tuple[float, float] | None = None,
    tol: float | None = None,
    key: Any = None,
) -> Any:
    """Ascending eigenvalues of Hermitian tridiagonal matrices, and eigenvectors in columns.

    `d` is the diagonal, `e` the one above it. `select` is ``"a"`` for all, ``"i"`` for those from
    the first index of `select_range` to the last, ``"v"`` for those with values in
    ``(first, last]``, which cannot be traced as their number is not known. `tol` and `key` are
    accepted for compatibility.

    >>> d, e = np.array([2., 2.]), np.array([1.])
    >>> weft.scipy.linalg.eigh_tridiagonal(d, e, eigvals_only=True)
    Array([1., 3.], dtype=float32)
    """
    del tol, key
    x, y = promote_inexact("scipy.linalg.eigh_tridiagonal", d, e)
    check_precision("scipy.linalg.eigh_tridiagonal", 0, x)
    n = shape_of(x)[-1] if shape_of(x) else 0
    if not n or shape_of(y) != (*shape_of(x)[:-1], n - 1):
        raise ValueError(
            "weft.scipy.linalg.eigh_tridiagonal: e has one element less than d, and the same batch "
            f"axes, got shapes {shape_of(x)} and {shape_of(y)}"
        )
    if select not in ("a", "i", "v"):
        raise ValueError(
            f"weft.scipy.linalg.eigh_tridiagonal: select is 'a', 'i' or 'v', got {select!r}"
        )
    if select != "a" and select_range is None:
        raise ValueError(
            f"weft.scipy.linalg.eigh_tridiagonal: select={select!r} needs select_range"
        )
    line = wnp.real(x).astype(dtype_of(x))[..., :, None] * wnp.eye(n, dtype=dtype_of(x))
    above = wnp.pad(y, [(0, 0)] * (y.ndim - 1) + [(1, 0)])[..., None, :]
    band = above * wnp.eye(n, k=1, dtype=dtype_of(x))
    vectors, values = routines.eigh(line + band + adjoint(band), symmetrize_input=False)
    if select_range is not None and select != "a":
        first, last = select_range
        if select == "v":
            if values.ndim > 1:
                raise ValueError(
                    "weft.scipy.linalg.eigh_tridiagonal: select='v' takes one matrix, got shape "
                    f"{shape_of(x)}"
                )
            found = np.asarray((values > first) & (values <= last)).nonzero()[0]
            first, last = (found[0], found[-1]) if len(found) else (0, -1)
        chosen = slice(int(first), int(last) + 1)
        vectors, values = vectors[..., chosen], values[..., chosen]
    return values if eigvals_only else (values, vectors)


# ---------------------------------------------------------------- Schur, Hessenberg, polar


def schur(a: ArrayLike, output: str = "real") -> tuple[Value, Value]:
    """``(t, z)`` with ``a = z t z^H``: t is upper triangular and z unitary.

    For real matrices and ``output="real"``, t has 2×2 blocks on the diagonal for pairs of complex
    eigenvalues; ``"complex"`` gives a complex triangular one. There is no derivative.

    >>> weft.scipy.linalg.schur(np.array([[1.0, 2.0], [0.0, 3.0]]))[0]
    Array([[1., 2.],
           [0., 3.]], dtype=float32)
    """
    if output not in ("real", "complex"):
        raise ValueError(f"weft.scipy.linalg.schur: output is 'real' or 'complex', got {output!r}")
    (x,) = matrices("scipy.linalg.schur", a, square=True)
    if output == "complex":
        x = x.astype(complex_of_dtype(dtype_of(x)))
    t, z = routines.schur(x)
    return t, z


def rsf2csf(T: ArrayLike, Z: ArrayLike, check_finite: bool = True) -> tuple[Value, Value]:
    """The complex Schur form of a real one: ``(t, z)`` with the same ``z t z^H``, t triangular.

    >>> t, z = weft.scipy.linalg.schur(np.array([[0.0, 2.0], [-2.0, 0.0]]))
    >>> np.abs(np.diag(weft.scipy.linalg.rsf2csf(t, z)[0])).round(3)
    Array([2., 2.], dtype=float32)
    """
    del check_finite
    t, z = matrices("scipy.linalg.rsf2csf", T, Z, square=True)
    if shape_of(t)[-1] != shape_of(z)[-1]:
        raise ValueError(
            f"weft.scipy.linalg.rsf2csf: T and Z have one size, got shapes {shape_of(t)} and "
            f"{shape_of(z)}"
        )
    batch = broadcast_shape("scipy.linalg.rsf2csf", shape_of(t)[:-2], shape_of(z)[:-2])
    t, z = (broadcast_to_shape(x, (*batch, *shape_of(x)[-2:])) for x in (t, z))
    return complex_forms(t, z)


def hessenberg(
    a: ArrayLike, *, calc_q: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> Any:
    """h, or ``(h, q)`` with `calc_q`: ``a = q h q^H``, h being zero below its first subdiagonal.

    >>> weft.scipy.linalg.hessenberg(np.array([[1.0, 2.0], [4.0, 3.0]]))
    Array([[1., 2.],
           [4., 3.]], dtype=float32)
    """
    del overwrite_a, check_finite
    (x,) = matrices("scipy.linalg.hessenberg", a, square=True)
    compact, taus = routines.hessenberg(x)
    h = wnp.triu(compact, -1)
    if not calc_q:
        return h
    n = shape_of(x)[-1]
    if n < 2:
        return h, wnp.broadcast_to(wnp.eye(n, dtype=dtype_of(x)), shape_of(x))
    inner = routines.householder_product(compact[..., 1:, :-1], taus)
    corner = np.zeros((n, n), dtype_of(x))
    corner[0, 0] = 1
    return h, wnp.pad(inner, [(0, 0)] * (x.ndim - 2) + [(1, 0), (1, 0)]) + corner


def polar(
    a: ArrayLike,
    side: str = "right",
    *,
    method: str = "qdwh",
    eps: float | None = None,
    max_iterations: int | None = None,
) -> tuple[Value, Value]:
    """``(u, p)`` with ``a = u p``, or ``a = p u`` for ``side="left"``.

    p is positive semidefinite, and u has orthonormal columns (or rows, if there are fewer rows).
    `method` is ``"qdwh"`` or ``"svd"``. The derivative exists where `a` has full rank.

    >>> u, p = weft.scipy.linalg.polar(np.array([[2., 0.], [0., -3.]]))
    >>> p.round(3) + 0
    Array([[2., 0.],
           [0., 3.]], dtype=float32)
    """
    (x,) = matrices("scipy.linalg.polar", a)
    if side not in ("left", "right"):
        raise ValueError(f"weft.scipy.linalg.polar: side is 'right' or 'left', got {side!r}")
    if method not in ("qdwh", "svd"):
        raise ValueError(f"weft.scipy.linalg.polar: method is 'qdwh' or 'svd', got {method!r}")
    rows, columns = shape_of(x)[-2:]
    if rows >= columns:
        u = _unitary_factor(x, method, eps, max_iterations)
    else:
        u = adjoint(_unitary_factor(adjoint(x), method, eps, max_iterations))
    p = adjoint(u) @ x if side == "right" else x @ adjoint(u)
    return u, (p + adjoint(p)) / 2


def _unitary_factor(x: Value, method: str, eps: float | None, max_iterations: int | None) -> Value:
    """U of ``x = U P`` for matrices with at least as many rows as columns."""

    @custom_jvp
    def factor(x: Value) -> Value:
        if method == "qdwh":
            return routines.qdwh(x, eps=eps, max_iterations=max_iterations)[0]
        u, _, vh = routines.svd(x, full_matrices=False)
        return u @ vh

    def derivative(primals: tuple, tangents: tuple) -> tuple[Value, Value]:
        # With U^H dU = W skew: W P + P W = U^H dX - dX^H U; what is beside U's columns is divided
        # by P (Higham, "Functions of Matrices", section 8.2).
        (x,), (dx,) = primals, tangents
        u = factor(x)
        p = adjoint(u) @ x
        p = (p + adjoint(p)) / 2
        inner = adjoint(u) @ dx
        du = u @ sylvester(p, p, inner - adjoint(inner))
        if shape_of(x)[-2] > shape_of(x)[-1]:
            beside = dx - u @ inner
            du = du + adjoint(wnp.linalg.solve(p, adjoint(beside)))
        return u, du

    factor.defjvp(derivative)
    return factor(x)
