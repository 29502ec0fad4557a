"""Functions of matrices: exponential, square root, and any function of the eigenvalues."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import weft.numpy as wnp
from weft import lax
from weft.array.calls import at_once
from weft.core import dtypes
from weft.lax import linalg as routines
from weft.numpy._common import ArrayLike, Value, dtype_of, shape_of
from weft.numpy.operands import matrices
from weft.numpy.solving import solve_matrices
from weft.primitives.linalg_eig import complex_of_dtype
from weft.primitives.linalg_sylvester import sylvester
from weft.scipy.linalg.factors import schur
from weft.scipy.linalg.operands import adjoint
from weft.transforms.api import jvp
from weft.transforms.control_flow import cond, fori_loop
from weft.transforms.custom_jvp import custom_jvp

# ---------------------------------------------------------------- exponential

#: Degrees of Padé approximants, and the 1-norm up to which their backward error is below rounding
#: (Higham 2005, "The scaling and squaring method for the matrix exponential revisited", table 2.3).
_DEGREES = {
    np.dtype(np.float32): (7, 3.925724783138660),
    np.dtype(np.float64): (13, 5.3719203511481),
}


@at_once
def expm(A: ArrayLike, *, upper_triangular: bool = False, max_squarings: int = 16) -> Value:
    """The exponential of square matrices, by scaling and squaring a Padé approximant.

    `upper_triangular` says that `A` is, which saves a factorization. NaN for matrices whose norm
    calls for more than `max_squarings`.

    >>> weft.scipy.linalg.expm(np.array([[0., 1.], [0., 0.]]))
    Array([[1., 1.],
           [0., 1.]], dtype=float32)
    """
    (a,) = matrices("scipy.linalg.expm", A, square=True)
    n = shape_of(a)[-1]
    degree, reach = _DEGREES[dtypes.real_dtype(dtype_of(a))]
    norm = wnp.max(wnp.sum(abs(a), -2), -1, initial=0)
    # The derivative is that of a fixed number of squarings.
    norm = lax.stop_gradient(norm)
    ratio = wnp.where(norm > 0, norm, 1) / reach
    squarings = wnp.maximum(wnp.ceil(wnp.log2(ratio)), 0)
    scaled = a * (2.0**-squarings)[..., None, None].astype(dtype_of(a))
    odd, even = _pade(scaled, degree, wnp.eye(n, dtype=dtype_of(a)))
    upper, lower = even + odd, even - odd
    if upper_triangular:
        result = routines.triangular_solve(lower, upper, left_side=True)
    else:
        result = solve_matrices(lower, upper)

    def square(k: Value, result: Value) -> Value:
        wanted = k < squarings
        return cond(
            wnp.any(wanted),
            lambda x: wnp.where(wanted[..., None, None], x @ x, x),
            lambda x: x,
            result,
        )

    result = fori_loop(0, max_squarings, square, result)
    too_many = (squarings > max_squarings) | wnp.isnan(norm)
    return wnp.where(too_many[..., None, None], np.nan, result).astype(dtype_of(a))


def _pade(a: Value, degree: int, identity: Value) -> tuple[Value, Value]:
    """The odd and the even part of the numerator of the diagonal Padé approximant.

    Even powers above the sixth are products with it, as in Higham (2005).
    """
    coefficients = [
        float(math.comb(degree, k) * math.factorial(2 * degree - k) // math.factorial(degree))
        for k in range(degree + 1)
    ]
    squares = [identity, a @ a]
    while len(squares) < min(4, degree // 2 + 1):
        squares.append(squares[-1] @ squares[1])

    def polynomial(terms: list[float]) -> Value:
        """In the square of the matrix, the constant term first."""
        low = sum(c * power for c, power in zip(terms[:4], squares, strict=False))
        if len(terms) <= 4:
            return low
        high = sum(c * power for c, power in zip(terms[4:], squares[1:], strict=False))
        return low + squares[3] @ high

    return a @ polynomial(coefficients[1::2]), polynomial(coefficients[::2])


def expm_frechet(
    A: ArrayLike, E: ArrayLike, *, method: str | None = None, compute_expm: bool = True
) -> Any:
    """``(expm(A), d)`` with the derivative d of `expm` at `A` in the direction `E`; or d alone.

    `method` is accepted for compatibility.

    >>> weft.scipy.linalg.expm_frechet(np.zeros((2, 2)), np.ones((2, 2)), compute_expm=False)
    Array([[1., 1.],
           [1., 1.]], dtype=float32)
    """
    del method
    a, e = matrices("scipy.linalg.expm_frechet", A, E, square=True)
    if shape_of(a) != shape_of(e):
        raise ValueError(
            f"weft.scipy.linalg.expm_frechet: A and E have one shape, got {shape_of(a)} and "
            f"{shape_of(e)}"
        )
    value, derivative = jvp(expm, (a,), (e,))
    return (value, derivative) if compute_expm else derivative


# ---------------------------------------------------------------- square root


def sqrtm(A: ArrayLike, blocksize: int = 1) -> Value:
    """The principal square root of square matrices, always complex (Björck and Hammarling 1983).

    It exists unless an eigenvalue 0 is defective (the result is NaN then), and has a derivative
    unless the matrix is singular.

    >>> weft.scipy.linalg.sqrtm(np.array([[4., 0.], [0., 9.]])).real
    Array([[2., 0.],
           [0., 3.]], dtype=float32)
    """
    if blocksize > 1:
        raise NotImplementedError("weft.scipy.linalg.sqrtm: there is no blocked form; blocksize=1")
    (a,) = matrices("scipy.linalg.sqrtm", A, square=True)
    return _sqrtm(a.astype(complex_of_dtype(dtype_of(a))))


@custom_jvp
def _sqrtm(a: Value) -> Value:
    t, z = routines.schur(a)
    return z @ _triangular_root(t) @ adjoint(z)


def _sqrtm_jvp(primals: tuple, tangents: tuple) -> tuple[Value, Value]:
    # X² = A: X dX + dX X = dA.
    (a,), (da,) = primals, tangents
    x = _sqrtm(a)
    return x, sylvester(x, x, da)


_sqrtm.defjvp(_sqrtm_jvp)


def _triangular_root(t: Value) -> Value:
    """The square root of upper triangular matrices, from the last row up.

    Row i of the root beyond the diagonal solves ``u (R + r I) = t`` with the rows below, R.
    """
    n = shape_of(t)[-1]
    index = np.arange(n, dtype=np.int32)
    roots = wnp.sqrt(wnp.diagonal(t, axis1=-2, axis2=-1))
    identity = np.eye(n, dtype=dtype_of(t))

    def step(count: Value, x: Value) -> Value:
        i = n - 1 - count
        here, beyond = index == i, index > i
        root = wnp.sum(wnp.where(here, roots, 0), -1)[..., None]
        row = wnp.where(beyond, lax.dynamic_index_in_dim(t, i, -2, keepdims=False), 0)
        line = wnp.where(beyond, roots + root, 1)
        # Where both roots are zero the equation holds for 0, or for no number at all: with 1 on the
        # diagonal the solution is what is left of the right-hand side.
        free = line == 0
        below = wnp.where(beyond[:, None] & beyond, wnp.triu(x, 1), 0)
        matrix = below + wnp.where(free, 1, line)[..., :, None] * identity
        new = routines.triangular_solve(matrix, row[..., None, :], left_side=False)[..., 0, :]
        new = wnp.where(free & (new != 0), np.nan, new)
        new = wnp.where(here, roots, wnp.where(beyond, new, 0))
        return lax.dynamic_update_index_in_dim(x, new.astype(dtype_of(x)), i, -2)

    return fori_loop(0, n, step, wnp.zeros_like(t))


# ---------------------------------------------------------------- any function


def funm(A: ArrayLike, func: Callable[[Value], Value], disp: bool = True) -> Any:
    """`func` of square matrices: of the eigenvalues, in a basis of eigenvectors; complex.

    `func` is called with arrays of eigenvalues. The rest of a triangular form follows from their
    values by Parlett's recurrence, which loses digits where eigenvalues are close to each other
    without being equal: with ``disp=False`` an estimate of the relative error comes with the
    result. There is no derivative.

    >>> weft.scipy.linalg.funm(np.array([[4., 0.], [0., 9.]]), np.sqrt).real
    Array([[2., 0.],
           [0., 3.]], dtype=float32)
    """
    (a,) = matrices("scipy.linalg.funm", A, square=True)
    n = shape_of(a)[-1]
    t, z = schur(a, output="complex")
    line = wnp.diagonal(t, axis1=-2, axis2=-1)
    values = wnp.asarray(func(line)).astype(dtype_of(t))
    gaps = line[..., None, :] - line[..., :, None]
    divisors = wnp.where(gaps == 0, 1, gaps)
    place = np.arange(n)[None, :] - np.arange(n)[:, None]

    def step(distance: Value, f: Value) -> Value:
        # f t = t f, of which what is nearer to the diagonal is known.
        return wnp.where(place == distance, (t @ f - f @ t) / divisors, f)

    f = fori_loop(1, n, step, values[..., :, None] * np.eye(n, dtype=dtype_of(t)))
    result = z @ f @ adjoint(z)
    if disp:
        return result
    unit = float(np.finfo(dtype_of(t)).eps)
    least = wnp.min(wnp.where(place > 0, abs(gaps), np.inf), (-2, -1), initial=np.inf)
    size = wnp.max(wnp.sum(abs(wnp.triu(t, 1)), -2), -1, initial=0)
    error = wnp.clip(unit / wnp.where(least == 0, unit, least) * size, unit, 1)
    return result, wnp.where(wnp.any(wnp.isinf(abs(f)), (-2, -1)), np.inf, error)
