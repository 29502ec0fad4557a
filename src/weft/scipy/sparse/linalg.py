"""Iterative solvers of linear systems: conjugate gradients, BiCGSTAB and GMRES, as in SciPy.

Unknowns are trees of arrays, and the operator is a function of them (or a square matrix). Solutions
are differentiated as solutions (`weft.lax.custom_linear_solve`), not through the iterations, to the
tolerance that these solve to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

import weft.numpy as wnp
from weft import lax, tree
from weft.core import dtypes
from weft.numpy._common import ArrayLike, check_arraylike, dtype_of, shape_of

__all__ = ["bicgstab", "cg", "gmres"]

Tree = Any
Operator = Callable[[Tree], Tree]


def cg(
    A: Any,
    b: Tree,
    x0: Tree = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
) -> tuple[Tree, None]:
    """x with ``A(x) = b`` by conjugate gradients, for A Hermitian and positive definite.

    Parameters
    ----------
    A: a function of trees like `b`, or a square matrix. b: a tree of floating-point or complex
        arrays. x0: where to start, by default 0.
    tol, atol: stop when the norm of the residual is at most ``max(tol * norm(b), atol)``.
    maxiter: of iterations, by default 10 for each unknown.
    M: the preconditioner, near the inverse of `A`.

    Returns
    -------
    ``(x, None)``: there is no report of convergence.

    Raises
    ------
    ValueError: if `x0` is not like `b`, or A is no square matrix. TypeError: for other operators.

    >>> A, b = np.asarray([[2.0, 1.0], [1.0, 2.0]]), np.asarray([3.0, 3.0])
    >>> weft.scipy.sparse.linalg.cg(A, b)[0]
    Array([1., 1.], dtype=float32)
    """
    b, x0, A, M, most = _prepared("cg", A, b, x0, M, maxiter)
    real = not any(dtypes.is_complex(x.dtype) for x in tree.leaves(b))

    def solve(A: Operator, b: Tree) -> Tree:
        limit = _limit(b, tol, atol)

        def going(state: Any) -> Any:
            _, r, _, _, k = state
            return (_square(r) > limit) & (k < most)

        def step(state: Any) -> Any:
            x, r, gamma, p, k = state
            q = A(p)
            alpha = gamma / _dot(p, q).real
            x, r = _plus(x, alpha, p), _plus(r, -alpha, q)
            z = M(r)
            after = _dot(r, z).real
            return x, r, after, _plus(z, after / gamma, p), k + 1

        r = _plus(b, -1, A(x0))
        z = M(r)
        start = (x0, r, _dot(r, z).real, z, wnp.zeros((), wnp.int32))
        return lax.while_loop(going, step, start)[0]

    x = lax.custom_linear_solve(A, b, solve, solve, symmetric=real)
    return x, None


def bicgstab(
    A: Any,
    b: Tree,
    x0: Tree = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
) -> tuple[Tree, None]:
    """x with ``A(x) = b`` by stabilised biconjugate gradients (van der Vorst, 1992), for any A.

    Arguments and results are those of :func:`cg`; the iteration ends, too, when it breaks down.

    >>> A, b = np.asarray([[2.0, 1.0], [0.0, 2.0]]), np.asarray([3.0, 2.0])
    >>> np.round(weft.scipy.sparse.linalg.bicgstab(A, b)[0], 4)
    Array([1., 1.], dtype=float32)
    """
    b, x0, A, M, most = _prepared("bicgstab", A, b, x0, M, maxiter)

    def solve(A: Operator, b: Tree) -> Tree:
        limit = _limit(b, tol, atol)

        def going(state: Any) -> Any:
            _, r, *_, k = state
            return (_square(r) > limit) & (k >= 0) & (k < most)

        def step(state: Any) -> Any:
            x, r, shadow, alpha, omega, rho, p, q, k = state
            after = _dot(shadow, r)
            beta = after / rho * alpha / omega
            p = _plus(r, beta, _plus(p, -omega, q))
            near = M(p)
            q = A(near)
            alpha = after / _dot(shadow, q)
            s = _plus(r, -alpha, q)
            half = M(s)
            t = A(half)
            omega = _dot(t, s) / _dot(t, t)
            done = _square(s) < limit
            x = _plus(x, alpha, near)
            x = _where(done, x, _plus(x, omega, half))
            r = _where(done, s, _plus(s, -omega, t))
            broken = (after == 0) | (((omega == 0) | (alpha == 0)) & ~done)
            return x, r, shadow, alpha, omega, after, p, q, wnp.where(broken, -1, k + 1)

        r = _plus(b, -1, A(x0))
        one = wnp.ones((), _dtype(b))
        start = (x0, r, r, one, one, one, r, r, wnp.zeros((), wnp.int32))
        return lax.while_loop(going, step, start)[0]

    return lax.custom_linear_solve(A, b, solve, solve), None


def gmres(
    A: Any,
    b: Tree,
    x0: Tree = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    restart: int = 20,
    maxiter: int | None = None,
    M: Any = None,
    solve_method: str = "batched",
) -> tuple[Tree, Any]:
    """x with ``A(x) = b`` by generalised minimal residuals (Saad and Schultz, 1986), for any A.

    Parameters
    ----------
    restart: the residual is made as small as it can be over that many directions, which are kept;
        then it starts again.
    maxiter: of restarts, by default 10 for each unknown.
    solve_method: "batched" or "incremental", accepted for compatibility: each restart ends when
        there are no more directions, and the small problem is solved once.
    A, b, x0, tol, atol, M: as for :func:`cg`.

    Returns
    -------
    ``(x, info)``, where info is 0, or -1 if x is NaN.

    >>> A, b = np.asarray([[2.0, 1.0], [0.0, 2.0]]), np.asarray([3.0, 2.0])
    >>> np.round(weft.scipy.sparse.linalg.gmres(A, b)[0], 4)
    Array([1., 1.], dtype=float32)
    """
    if solve_method not in ("batched", "incremental"):
        raise ValueError(
            "weft.scipy.sparse.linalg.gmres: solve_method is 'batched' or 'incremental', got "
            f"{solve_method!r}"
        )
    b, x0, A, M, most = _prepared("gmres", A, b, x0, M, maxiter)
    count = min(restart, _size(b))

    def solve(A: Operator, b: Tree) -> Tree:
        limit = _limit(b, tol, atol)

        def going(state: Any) -> Any:
            _, r, k = state
            return (_square(r) > limit) & (k < most)

        def step(state: Any) -> Any:
            x, _, k = state
            x = _minimised(A, b, x, M, count)
            return x, _plus(b, -1, A(x)), k + 1

        start = (x0, _plus(b, -1, A(x0)), wnp.zeros((), wnp.int32))
        return lax.while_loop(going, step, start)[0]

    x = lax.custom_linear_solve(A, b, solve, solve)
    bad = reduce(wnp.logical_or, [wnp.isnan(leaf).any() for leaf in tree.leaves(x)])
    return x, wnp.where(bad, -1, 0)


def _minimised(A: Operator, b: Tree, x: Tree, M: Operator, count: int) -> Tree:
    """x moved along `count` directions to where the preconditioned residual is least."""
    kind = _dtype(b)
    r = M(_plus(b, -1, A(x)))
    size = wnp.sqrt(_square(r))
    first = _scaled(r, _inverse(size))
    basis = tree.map(lambda v: wnp.zeros((count + 1, *v.shape), v.dtype).at[0].set(v), first)
    products = wnp.zeros((count + 1, count), kind)

    def arnoldi(k: Any, state: Any) -> Any:
        basis, products = state
        w = M(A(tree.map(lambda v: v[k], basis)))
        before = wnp.sqrt(_square(w))
        column = wnp.zeros(count + 1, kind)
        for _ in range(2):  # once more for what rounding has left
            along = _components(basis, w)
            w = tree.map(lambda w, v: w - wnp.tensordot(along, v, 1), w, basis)  # noqa: B023
            column = column + along
        norm = wnp.sqrt(_square(w))
        # Nothing but rounding is left where the directions are exhausted.
        norm = wnp.where(norm > float(wnp.finfo(kind).eps) * before, norm, 0)
        new = _scaled(w, _inverse(norm))
        basis = tree.map(lambda v, w: v.at[k + 1].set(w), basis, new)
        return basis, products.at[:, k].set(column.at[k + 1].set(norm))

    basis, products = lax.fori_loop(0, count, arnoldi, (basis, products))
    wanted = wnp.zeros(count + 1, kind).at[0].set(size.astype(kind))
    steps = wnp.linalg.lstsq(products, wanted)[0]
    return tree.map(lambda x, v: x + wnp.tensordot(steps, v[:count], 1), x, basis)


def _inverse(size: Any) -> Any:
    return wnp.where(size > 0, 1 / wnp.where(size > 0, size, 1), 0)


def _components(basis: Tree, w: Tree) -> Any:
    parts = tree.map(
        lambda v, w: wnp.tensordot(wnp.conj(v), w, w.ndim) if w.ndim else wnp.conj(v) * w, basis, w
    )
    return sum(tree.leaves(parts))


# ---------------------------------------------------------------- trees as vectors


def _dot(x: Tree, y: Tree) -> Any:
    return sum(tree.leaves(tree.map(lambda a, b: wnp.sum(wnp.conj(a) * b), x, y)))


def _square(x: Tree) -> Any:
    return _dot(x, x).real


def _plus(x: Tree, factor: Any, y: Tree) -> Tree:
    return tree.map(lambda a, b: wnp.asarray(a + factor * b, a.dtype), x, y)


def _scaled(x: Tree, factor: Any) -> Tree:
    return tree.map(lambda a: wnp.asarray(factor * a, a.dtype), x)


def _where(condition: Any, x: Tree, y: Tree) -> Tree:
    return tree.map(lambda a, b: wnp.where(condition, a, b), x, y)


def _dtype(b: Tree) -> np.dtype:
    return dtypes.result_type(*tree.leaves(b))[0]


def _size(b: Tree) -> int:
    return sum(math.prod(x.shape) for x in tree.leaves(b))


def _limit(b: Tree, tol: Any, atol: Any) -> Any:
    """The square of the residual's norm at which to stop."""
    return wnp.maximum(wnp.square(tol) * _square(b), wnp.square(atol))


def _prepared(
    name: str, A: Any, b: Tree, x0: Tree, M: Any, maxiter: int | None
) -> tuple[Tree, Tree, Operator, Operator, int]:
    check_arraylike(f"scipy.sparse.linalg.{name}", *tree.leaves(b))
    kinds = [dtypes.promote_types(dtype_of(x), dtypes.float32) for x in tree.leaves(b)]
    b = tree.unflatten(
        tree.structure(b),
        [wnp.asarray(x, kind) for x, kind in zip(tree.leaves(b), kinds, strict=True)],
    )
    if x0 is None:
        x0 = tree.map(wnp.zeros_like, b)
    shapes = [[shape_of(leaf) for leaf in tree.leaves(x)] for x in (x0, b)]
    if tree.structure(x0) != tree.structure(b) or shapes[0] != shapes[1]:
        raise ValueError(
            f"weft.scipy.sparse.linalg.{name}: x0 is like b, {tree.describe(tree.structure(b))} of "
            f"shapes {shapes[1]}, got {tree.describe(tree.structure(x0))} of shapes {shapes[0]}"
        )
    x0 = tree.map(lambda x, like: wnp.asarray(x, like.dtype), x0, b)
    most = 10 * _size(b) if maxiter is None else maxiter
    return b, x0, _operator(name, "A", A), _operator(name, "M", M), most


def _operator(name: str, what: str, given: Any) -> Operator:
    if given is None:
        return lambda x: x
    if callable(given):
        return given
    shape = getattr(given, "shape", None)
    if not hasattr(given, "__matmul__") or shape is None:
        raise TypeError(
            f"weft.scipy.sparse.linalg.{name}: {what} is a function or a square matrix, got "
            f"{type(given).__name__}"
        )
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(f"weft.scipy.sparse.linalg.{name}: {what} is square, got shape {shape}")
    matrix: ArrayLike = wnp.asarray(given) if isinstance(given, np.ndarray) else given
    return lambda x: matrix @ x
