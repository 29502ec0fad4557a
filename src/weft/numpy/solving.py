"""Linear systems, inverses and determinants with NumPy's signatures, for `weft.numpy.linalg`."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from weft import lax
from weft.array.calls import at_once
from weft.core import dtypes
from weft.lax import linalg as routines
from weft.numpy._common import (
    ArrayLike,
    Axis,
    Value,
    broadcast_shape,
    broadcast_to_shape,
    dtype_of,
    promote_inexact,
    shape_of,
)
from weft.numpy.classify import conj, real
from weft.numpy.contraction import matmul
from weft.numpy.creation import asarray, eye
from weft.numpy.decompositions import (
    default_tolerance,
    eigvalsh,
    svdvals,
)
from weft.numpy.norms import norm
from weft.numpy.operands import check_precision, matrices
from weft.numpy.reductions import any as any_of
from weft.numpy.reductions import max as max_of
from weft.numpy.reductions import prod
from weft.numpy.reductions import sum as sum_of
from weft.numpy.select import where
from weft.numpy.shaping import (
    broadcast_to,
    diagonal,
    matrix_transpose,
    moveaxis,
    reshape,
    trace,
    transpose,
)
from weft.numpy.sorting import sort
from weft.numpy.ufuncs import absolute, log, sign
from weft.primitives.linalg_solve import linear_solve
from weft.transforms.custom_jvp import custom_jvp


class SlogdetResult(NamedTuple):
    """What `slogdet` gives."""

    sign: Value
    logabsdet: Value


@at_once
def solve(a: ArrayLike, b: ArrayLike) -> Value:
    """x with ``a x = b``, by LU factors with partial pivoting.

    `b` of one axis is a vector, else matrices in its last two axes; the axes before them broadcast.
    A singular `a` gives inf or NaN.

    >>> solve(np.array([[2., 0.], [0., 4.]], np.float32), np.array([2., 2.], np.float32))
    Array([1. , 0.5], dtype=float32)
    """
    x, y = promote_inexact("linalg.solve", a, b)
    matrices("linalg.solve", x, square=True)
    check_precision("linalg.solve", 1, y)
    vector = len(shape_of(y)) == 1
    y = y[:, None] if vector else y
    if not shape_of(y) or shape_of(x)[-1] != shape_of(y)[-2]:
        raise ValueError(
            f"weft.numpy.linalg.solve: a of shape {shape_of(x)} needs b with {shape_of(x)[-1]} "
            f"rows, got shape {shape_of(b)}"
        )
    result = solve_matrices(x, y)
    return result[..., 0] if vector else result


def solve_matrices(a: Value, b: Value) -> Value:
    """`solve` for operands of one dtype with matrices in their last two axes."""
    if len(shape_of(a)) == 2 and len(shape_of(b)) > 2:  # one system with more right-hand sides
        columns = moveaxis(b, -2, 0)
        flat = reshape(columns, (shape_of(b)[-2], -1 if b.size else 0))
        return moveaxis(reshape(solve_matrices(a, flat), shape_of(columns)), 0, -2)
    batch = broadcast_shape("linalg.solve", shape_of(a)[:-2], shape_of(b)[:-2])
    factors, _, permutation = lax.stop_gradient(routines.lu(a))
    n = shape_of(a)[-1]
    return linear_solve(
        broadcast_to_shape(a, (*batch, n, n)),
        broadcast_to_shape(factors, (*batch, n, n)),
        broadcast_to_shape(permutation, (*batch, n)),
        broadcast_to_shape(b, (*batch, *shape_of(b)[-2:])),
    )


@at_once
def inv(a: ArrayLike) -> Value:
    """The inverse; inf or NaN for singular matrices.

    >>> inv(np.array([[2., 0.], [0., 4.]], np.float32))
    Array([[0.5 , 0.  ],
           [0.  , 0.25]], dtype=float32)
    """
    (x,) = matrices("linalg.inv", a, square=True)
    return solve_matrices(x, broadcast_to(eye(shape_of(x)[-1], dtype=dtype_of(x)), shape_of(x)))


# ---------------------------------------------------------------- determinants


@at_once
def det(a: ArrayLike) -> Value:
    """The determinant. Its derivative is right for singular matrices as well.

    >>> det(np.array([[1., 2.], [3., 4.]], np.float32))
    Array(-2., dtype=float32)
    """
    (x,) = matrices("linalg.det", a, square=True)
    n = shape_of(x)[-1]
    if n == 2:
        return x[..., 0, 0] * x[..., 1, 1] - x[..., 0, 1] * x[..., 1, 0]
    if n == 3:
        minors = [
            x[..., 1, i] * x[..., 2, j] - x[..., 1, j] * x[..., 2, i]
            for i, j in ((1, 2), (2, 0), (0, 1))
        ]
        first = [x[..., 0, k] * minor for k, minor in enumerate(minors)]
        return first[0] + first[1] + first[2]
    return _det(x)


@custom_jvp
def _det(x: Value) -> Value:
    factors, pivots, _ = routines.lu(x)
    return prod(diagonal(factors, axis1=-2, axis2=-1), -1) * _parity(pivots).astype(dtype_of(x))


def _parity(pivots: Value) -> Value:
    """1 for an even number of exchanges, −1 for an odd one."""
    own = np.arange(shape_of(pivots)[-1], dtype=np.int32)
    exchanges = sum_of((pivots != own).astype(np.int32), -1)
    return 1 - 2 * (exchanges % 2)


def _det_jvp(primals: tuple, tangents: tuple) -> tuple[Value, Value]:
    # Jacobi's formula: d det(A) = tr(adj(A) dA). A singular matrix has an adjugate, but no inverse.
    (x,), (dx,) = primals, tangents
    value = _det(x)
    adjugate = lax.cond(any_of(value == 0), _adjugate_by_svd, _adjugate_by_inverse, x)
    return value, sum_of(matrix_transpose(adjugate) * dx, (-2, -1))


_det.defjvp(_det_jvp)


def _adjugate_by_inverse(x: Value) -> Value:
    return _det(x)[..., None, None] * inv(x)


def _adjugate_by_svd(x: Value) -> Value:
    """adj(U S V^H) = det(U V^H) V adj(S) U^H, where adj(S) has products of all but one value."""
    n = shape_of(x)[-1]
    u, s, vh = routines.svd(x)
    others = where(np.eye(n, dtype=bool), np.ones((), dtype_of(s)), s[..., None, :])
    products = prod(others, -1).astype(dtype_of(x))
    unit = (_det(u) * _det(vh))[..., None, None]
    middle = products[..., :, None] * conj(matrix_transpose(u))
    return unit * matmul(conj(matrix_transpose(vh)), middle)


@at_once
def slogdet(a: ArrayLike, *, method: str | None = None) -> SlogdetResult:
    """The sign of the determinant (its phase for complex matrices) and the log of its magnitude.

    A singular matrix gives 0 and −inf. `method` is ``"lu"``, the default.

    >>> slogdet(np.array([[0., 2.], [2., 0.]], np.float32)).sign
    Array(-1., dtype=float32)
    """
    (x,) = matrices("linalg.slogdet", a, square=True)
    if method not in (None, "lu", "qr"):
        raise ValueError(f"weft.numpy.linalg.slogdet: method is 'lu' or 'qr', got {method!r}")
    return SlogdetResult(*_slogdet(x))


@custom_jvp
def _slogdet(x: Value) -> tuple[Value, Value]:
    factors, pivots, _ = routines.lu(x)
    line = diagonal(factors, axis1=-2, axis2=-1)
    phase = prod(sign(line), -1) * _parity(pivots).astype(dtype_of(x))
    return phase, sum_of(log(absolute(line)), -1)


def _slogdet_jvp(primals: tuple, tangents: tuple) -> tuple[Any, Any]:
    (x,), (dx,) = primals, tangents
    phase, size = _slogdet(x)
    slope = trace(solve_matrices(x, dx), axis1=-2, axis2=-1)
    if not dtypes.is_complex(dtype_of(x)):
        return (phase, size), (phase * 0, slope)
    return (phase, size), ((slope - real(slope)) * phase, real(slope))


_slogdet.defjvp(_slogdet_jvp)

# ---------------------------------------------------------------- pseudo-inverses, least squares


@at_once
def pinv(
    a: ArrayLike,
    rtol: ArrayLike | None = None,
    hermitian: bool = False,
    *,
    rcond: ArrayLike | None = None,
) -> Value:
    """The Moore–Penrose inverse; singular values up to `rtol` times the greatest count as zero.

    `rtol` is ``10 max(rows, columns) eps`` by default, as in JAX. The derivative is that of Golub
    and Pereyra (1973), right wherever the rank stays the same. `hermitian` is accepted for
    compatibility.

    >>> np.linalg.pinv(np.array([[2.0, 0.0], [0.0, 4.0]]))
    Array([[0.5 , 0.  ],
           [0.  , 0.25]], dtype=float32)
    """
    (x,) = matrices("linalg.pinv", a)
    limit = rtol if rtol is not None else rcond
    limit = 10 * default_tolerance(x) if limit is None else limit
    return _pinv(x, asarray(limit, dtypes.real_dtype(dtype_of(x))))[0]


@custom_jvp
def _pinv(x: Value, limit: Value) -> tuple[Value, Value]:
    """The pseudo-inverse and the singular values."""
    u, s, vh = routines.svd(x, full_matrices=False)
    left = conj(matrix_transpose(vh)) * _inverse(s, limit, x)[..., None, :]
    return matmul(left, conj(matrix_transpose(u))), s


def _inverse(s: Value, limit: Value, x: Value) -> Value:
    """One by the singular values that count, in the dtype of `x`; 0 for the others."""
    kept = _kept(s, limit)
    return where(kept, 1 / where(kept, s, 1), 0).astype(dtype_of(x))


def _kept(s: Value, limit: Value) -> Value:
    """Which singular values do not count as zero."""
    if not shape_of(s)[-1]:
        return s > 0
    return s > limit[..., None] * max_of(s, -1, keepdims=True)


def _pinv_jvp(primals: tuple, tangents: tuple) -> tuple[Any, Any]:
    (x, limit), (dx, _) = primals, tangents
    p, s = _pinv(x, limit)
    ph, dxh = (conj(matrix_transpose(y)) for y in (p, dx))
    rows, columns = (eye(n, dtype=dtype_of(x)) for n in shape_of(x)[-2:])
    dp = matmul(matmul(p, ph), matmul(dxh, rows - matmul(x, p))) - matmul(p, matmul(dx, p))
    dp = dp + matmul(columns - matmul(p, x), matmul(dxh, matmul(ph, p)))
    return (p, s), (dp, _values_jvp(x, dx))


def _values_jvp(x: Value, dx: Value) -> Value:
    """How the singular values change."""
    u, _, vh = routines.svd(x, full_matrices=False)
    return real(sum_of(conj(u) * matmul(dx, conj(matrix_transpose(vh))), -2))


_pinv.defjvp(_pinv_jvp)


@custom_jvp
def _least_squares(x: Value, right: Value, limit: Value) -> tuple[Value, Value]:
    """The shortest solutions and the singular values.

    ``V (S⁻¹ (Uᴴ b))`` keeps ``a x`` near `b` however near to singular `x` is; the product of
    `right` with a pseudo-inverse, whose elements are as large as ``1 / s``, would lose that.
    """
    u, s, vh = routines.svd(x, full_matrices=False)
    parts = matmul(conj(matrix_transpose(u)), right) * _inverse(s, limit, x)[:, None]
    return matmul(conj(matrix_transpose(vh)), parts), s


def _least_squares_jvp(primals: tuple, tangents: tuple) -> tuple[Any, Any]:
    """As `_pinv_jvp`, each product taken with the right sides first."""
    (x, right, limit), (dx, dright, _) = primals, tangents
    solution, _ = _least_squares(x, right, limit)
    p, s = _pinv(x, limit)
    ph, dxh = (conj(matrix_transpose(y)) for y in (p, dx))
    across = matmul(dxh, matmul(ph, solution))
    change = matmul(ph, matmul(dxh, right - matmul(x, solution))) + dright - matmul(dx, solution)
    return (solution, s), (matmul(p, change - matmul(x, across)) + across, _values_jvp(x, dx))


_least_squares.defjvp(_least_squares_jvp)


@at_once
def lstsq(
    a: ArrayLike, b: ArrayLike, rcond: float | None = None, *, numpy_resid: bool = False
) -> tuple[Value, Value, Value, Value]:
    """The shortest x with the least ``|a x - b|``: ``(x, residuals, rank, singular values)``.

    `a` is one matrix, `b` a vector or matrix with as many rows. Singular values up to `rcond` times
    the greatest count as zero (``max(rows, columns) eps`` by default). `residuals` are squared
    lengths for each column of `b`; with `numpy_resid` they are empty where NumPy's are.

    >>> np.linalg.lstsq(np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([2.0, 4.0]))[0]
    Array([1., 1.], dtype=float32)
    """
    x, y = promote_inexact("linalg.lstsq", a, b)
    if len(shape_of(x)) != 2 or len(shape_of(y)) not in (1, 2):
        raise ValueError(
            "weft.numpy.linalg.lstsq: a must be a matrix and b a vector or a matrix, got shapes "
            f"{shape_of(x)} and {shape_of(y)}; use weft.vmap for several systems"
        )
    (rows, columns), vector = shape_of(x), len(shape_of(y)) == 1
    if shape_of(y)[0] != rows:
        raise ValueError(
            f"weft.numpy.linalg.lstsq: a has {rows} rows and b has {shape_of(y)[0]}; they must "
            "have as many"
        )
    check_precision("linalg.lstsq", 0, x)
    limit = default_tolerance(x) if rcond is None or rcond < 0 else rcond
    bound = asarray(limit, dtypes.real_dtype(dtype_of(x)))
    right = y[:, None] if vector else y
    solution, s = _least_squares(x, right, bound)
    rank = sum_of(_kept(s, bound).astype(np.int32), -1)
    residuals = sum_of(absolute(right - matmul(x, solution)) ** 2, 0)
    if numpy_resid and (rows <= columns or int(rank) < columns):
        residuals = residuals[:0]
    return solution[:, 0] if vector else solution, residuals, rank, s


@at_once
def matrix_rank(
    M: ArrayLike,
    rtol: ArrayLike | None = None,
    *,
    hermitian: bool = False,
    tol: ArrayLike | None = None,
) -> Value:
    """How many singular values exceed `rtol` times the greatest (or `tol` itself).

    `rtol` is ``max(rows, columns) eps`` by default. Those of a `hermitian` matrix are the
    magnitudes of its eigenvalues, which are found faster. An array of less than two axes has rank 1
    unless it is zero.

    >>> np.linalg.matrix_rank(np.ones((2, 2)))
    Array(1, dtype=int32)
    """
    (x,) = promote_inexact("linalg.matrix_rank", M)
    if len(shape_of(x)) < 2:
        return any_of(x != 0).astype(np.int32)
    check_precision("linalg.matrix_rank", 0, x)
    s = svdvals(x) if not hermitian else -sort(-absolute(eigvalsh(x)))
    if tol is not None:
        limit = asarray(tol)
        return sum_of((s > limit[..., None]).astype(np.int32), -1)
    limit = asarray(default_tolerance(x) if rtol is None else rtol, dtype_of(s))
    return sum_of(_kept(s, limit).astype(np.int32), -1)


@at_once
def cond(x: ArrayLike, p: Any = None) -> Value:
    """The condition number in the norm `p` (2 by default): ``|x| |x⁻¹|``; inf where singular.

    >>> cond(np.diag(np.array([1., 4.], np.float32)))
    Array(4., dtype=float32)
    """
    (a,) = matrices("linalg.cond", x, square=p not in (None, 2, -2))
    if p in (None, 2, -2):
        s = svdvals(a)
        ratio = s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    else:
        ratio = norm(a, p, (-2, -1)) * norm(inv(a), p, (-2, -1))
    # Not a number unless there was one before: the matrix is singular.
    bad = lax.bitwise_not(any_of(a != a, (-2, -1)))
    return where((ratio != ratio) & bad, np.inf, ratio).astype(dtype_of(ratio))


# ---------------------------------------------------------------- tensors, powers


@at_once
def tensorsolve(a: ArrayLike, b: ArrayLike, axes: Axis = None) -> Value:
    """x with ``tensordot(a, x, x.ndim) = b``; `axes` of `a` are moved to its end first.

    >>> np.linalg.tensorsolve(np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([2.0, 4.0]))
    Array([1., 1.], dtype=float32)
    """
    x, y = promote_inexact("linalg.tensorsolve", a, b)
    ndim = len(shape_of(x))
    if axes is not None:
        moved = [int(d) % ndim for d in (axes if isinstance(axes, list | tuple) else (axes,))]
        x = transpose(x, [d for d in range(ndim) if d not in moved] + moved)
    shape = shape_of(x)[len(shape_of(y)) :]
    if shape_of(x)[: len(shape_of(y))] != shape_of(y) or math.prod(shape) != y.size:
        raise ValueError(
            f"weft.numpy.linalg.tensorsolve: a of shape {shape_of(x)} must begin with the shape "
            f"{shape_of(y)} of b, and its other axes must have as many elements"
        )
    n = y.size
    return reshape(solve(reshape(x, (n, n)), reshape(y, (n,))), shape)


@at_once
def tensorinv(a: ArrayLike, ind: int = 2) -> Value:
    """The inverse of ``x -> tensordot(a, x, …)``; its results have the first `ind` axes of `a`.

    >>> np.linalg.tensorinv(np.array([[2.0, 0.0], [0.0, 4.0]]), ind=1)
    Array([[0.5 , 0.  ],
           [0.  , 0.25]], dtype=float32)
    """
    (x,) = promote_inexact("linalg.tensorinv", a)
    shape = shape_of(x)
    if ind <= 0:
        raise ValueError(f"weft.numpy.linalg.tensorinv: ind must be positive, got {ind}")
    n = math.prod(shape[:ind])
    if n != math.prod(shape[ind:]):
        raise ValueError(
            f"weft.numpy.linalg.tensorinv: the first {ind} axes of shape {shape} have {n} "
            f"elements, the others {math.prod(shape[ind:])}; they must have as many"
        )
    return reshape(inv(reshape(x, (n, n))), (*shape[ind:], *shape[:ind]))


@at_once
def matrix_power(a: ArrayLike, n: int) -> Value:
    """A square matrix multiplied n times, by repeated squaring; its inverse for negative n.

    >>> np.linalg.matrix_power(np.array([[2.0, 0.0], [0.0, 4.0]]), 3)
    Array([[ 8.,  0.],
           [ 0., 64.]], dtype=float32)
    """
    (x,) = promote_inexact("linalg.matrix_power", a) if n < 0 else (asarray(a),)
    shape = shape_of(x)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError(
            f"weft.numpy.linalg.matrix_power: needs square matrices, got shape {shape}"
        )
    if n < 0:
        x, n = inv(x), -n
    if n == 0:
        return broadcast_to(eye(shape[-1], dtype=dtype_of(x)), shape)
    result = None
    while n:
        if n & 1:
            result = x if result is None else matmul(result, x)
        n >>= 1
        if n:
            x = matmul(x, x)
    return result
