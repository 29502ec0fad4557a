"""Solving linear systems: with triangular matrices, and with matrices whose LU factors are known.

``triangular_solve`` is linear in its right-hand side, and its transpose is the solution with the
transposed matrix. ``linear_solve`` carries the matrix along for its derivative, so that solving
again for a tangent costs no second factorization (Giles 2008, section 2.3.1).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.linear import is_undef, is_zero
from weft.core.primitive import Primitive
from weft.primitives.arithmetic import add, neg
from weft.primitives.creation import iota
from weft.primitives.indexing import GatherDimensionNumbers, GatherScatterMode, gather
from weft.primitives.library_call import (
    Flag,
    Given,
    In,
    InOut,
    Integer,
    Number,
    call_library,
)
from weft.primitives.matrix import check_matrices, conjugate, matmul, mT, tril, triu
from weft.primitives.routines import (
    UNROLLED,
    Cost,
    Price,
    apply,
    def_routine,
    inline_portable,
    price_of,
)
from weft.primitives.rules import (
    Batched,
    Cotangents,
    Dims,
    Dual,
    Value,
    Values,
    check_same_dtype,
    dtype_of,
    shape_of,
    zero_tangent,
)
from weft.primitives.shaping import batch_first, expand_dims, move_axis, reshape
from weft.primitives.sort import sort
from weft.terms.lower import Lowering
from weft.terms.tensor import AnyTensor

# ---------------------------------------------------------------- triangular_solve

triangular_solve_p = Primitive("triangular_solve")


def triangular_solve(
    a: Value,
    b: Value,
    *,
    left_side: bool = True,
    lower: bool = True,
    transpose_a: bool = False,
    conjugate_a: bool = False,
    unit_diagonal: bool = False,
) -> Value:
    """x with ``op(a) x = b``, or ``x op(a) = b`` unless `left_side`.

    Only one triangle of `a` is read, without its diagonal if that is taken to be ones.
    """
    return triangular_solve_p.bind(
        a,
        b,
        left_side=bool(left_side),
        lower=bool(lower),
        transpose_a=bool(transpose_a),
        conjugate_a=bool(conjugate_a) and dtypes.is_complex(dtype_of(a)),
        unit_diagonal=bool(unit_diagonal),
    )


@triangular_solve_p.def_type
def _(a: ShapedArray, b: ShapedArray, *, left_side: bool, **_: Any) -> ShapedArray:
    check_matrices("triangular_solve", a, square=True)
    check_matrices("triangular_solve", b)
    check_same_dtype("triangular_solve", a, b)
    side = b.shape[-2 if left_side else -1]
    if a.shape[:-2] != b.shape[:-2] or a.shape[-1] != side:
        raise ValueError(
            f"triangular_solve of a={a} and b={b}: batch axes must be the same, and b must have "
            f"{a.shape[-1]} {'rows' if left_side else 'columns'}, as many as a; it has {side}."
        )
    return ShapedArray(b.shape, b.dtype)


@triangular_solve_p.def_numpy
def _(a: np.ndarray, b: np.ndarray, *, left_side: bool, **params: Any) -> np.ndarray:
    from scipy.linalg import solve_triangular

    if 0 in b.shape:
        return np.zeros_like(b)
    x = np.empty_like(b)
    for index in np.ndindex(a.shape[:-2]):
        with np.errstate(all="ignore"):
            x[index] = _solved(solve_triangular, a[index], b[index], left_side, **params)
    return x


def _solved(
    solve: Any,
    a: np.ndarray,
    b: np.ndarray,
    left_side: bool,
    lower: bool,
    transpose_a: bool,
    conjugate_a: bool,
    unit_diagonal: bool,
) -> np.ndarray:
    """One system; a zero on the diagonal gives inf or NaN, as dividing by it does."""
    a = a.conj() if conjugate_a else a
    a = np.tril(a) if lower else np.triu(a)
    if transpose_a:
        a, lower = a.T, not lower
    if not left_side:
        a, b, lower = a.T, b.T, not lower
    order = range(len(a)) if lower else range(len(a) - 1, -1, -1)
    if unit_diagonal or np.all(np.diagonal(a)):
        x = solve(a, b, lower=lower, unit_diagonal=unit_diagonal, check_finite=False)
    else:
        x = b.copy()
        for i in order:
            rest = np.arange(len(a)) < i if lower else np.arange(len(a)) > i
            x[i] = (b[i] - a[i, rest] @ x[rest]) / a[i, i]
    return x if left_side else x.T


@triangular_solve_p.def_jvp
def _(primals: Values, tangents: Values, **params: Any) -> Dual:
    a, b = primals
    da, db = tangents
    x = triangular_solve(a, b, **params)
    if is_zero(da) and is_zero(db):
        return x, zero_tangent(x)
    terms = [] if is_zero(db) else [db]
    if not is_zero(da):
        terms.append(neg(_applied(da, x, **params)))
    total = terms[0] if len(terms) == 1 else add(*terms)
    return x, triangular_solve(a, total, **params)


def _applied(
    a: Value,
    x: Value,
    left_side: bool,
    lower: bool,
    transpose_a: bool,
    conjugate_a: bool,
    unit_diagonal: bool,
) -> Value:
    """``op(a) x`` or ``x op(a)`` by the triangle that counts."""
    k = int(unit_diagonal)
    a = tril(a, -k) if lower else triu(a, k)
    a = conjugate(a) if conjugate_a else a
    a = mT(a) if transpose_a else a
    return matmul(a, x) if left_side else matmul(x, a)


@triangular_solve_p.def_transpose
def _(ct: Value, a: Value, b: Value, *, transpose_a: bool, **params: Any) -> Cotangents:
    if not is_undef(b) or is_undef(a):
        raise TypeError("triangular_solve is linear in b only.")
    if is_zero(ct):
        return [None, None]
    return [None, triangular_solve(a, ct, transpose_a=not transpose_a, **params)]


@triangular_solve_p.def_batch
def _(axis_size: int, args: Values, dims: Dims, *, left_side: bool, **params: Any) -> Batched:
    a, b = args
    if dims[0] is not None or len(shape_of(a)) != 2:
        a, b = batch_first(axis_size, args, dims)
        return triangular_solve(a, b, left_side=left_side, **params), 0
    # One matrix for all: the systems of the batch are more right-hand sides of one system.
    b = move_axis(b, dims[1], 1 if left_side else 0)
    shape = shape_of(b)
    n = shape[0] if left_side else shape[-1]
    flat = reshape(b, (n, shape[1] * shape[2]) if left_side else (shape[0] * shape[1], n))
    x = triangular_solve(a, flat, left_side=left_side, **params)
    return reshape(x, shape), 1 if left_side else 0


_LIBRARY = Cost(call=30, row=8, square=1, cube=0.03)
_TINY = Cost(square=0.7)
_START, _LOOP = Cost(row=50), Cost(square=0.4, cube=0.035)


def _price(a: AnyTensor, b: AnyTensor, **_: Any) -> Price:
    if max(a.shape[-2:]) <= UNROLLED:
        return price_of(b, _LIBRARY, Cost(), _TINY)
    return price_of(b, _LIBRARY, _START, _LOOP)


def _library(
    ctx: Lowering,
    a: AnyTensor,
    b: AnyTensor,
    *,
    left_side: bool,
    lower: bool,
    transpose_a: bool,
    conjugate_a: bool,
    unit_diagonal: bool,
) -> list[AnyTensor]:
    # By columns BLAS sees x^T op(a)^T = b^T: the other side, the other triangle, nothing copied.
    n, k = b.shape[-2:]
    if conjugate_a and not transpose_a:
        a = apply(ctx, lambda x: [conjugate(x)], a)[0]
    mode = ("C" if conjugate_a else "T") if transpose_a else "N"
    order = a.shape[-1]
    given: list[Given] = [
        Flag("R" if left_side else "L"),
        Flag("U" if lower else "L"),
        Flag(mode),
        Flag("U" if unit_diagonal else "N"),
        Integer(k),
        Integer(n),
        Number(1.0, b.dtype),
        In(a, (order, order)),
        Integer(order),
        InOut(b, (n, k)),
        Integer(k),
    ]
    seconds = _LIBRARY.seconds(n, k)
    return call_library(ctx, "trsm", b.dtype, b.shape[:-2], given, seconds)


def_routine(triangular_solve_p, _price, _library, lambda a, b, **_: [b])

# ---------------------------------------------------------------- linear_solve

linear_solve_p = Primitive("linear_solve")


def linear_solve(
    a: Value, lu: Value, permutation: Value, b: Value, transposed: bool = False
) -> Value:
    """x with ``a x = b`` (or ``a^T x = b``), given ``a[permutation] = L U`` in one matrix `lu`.

    The derivative is taken with respect to `a` and `b`; those of `lu` do not count.
    """
    return linear_solve_p.bind(a, lu, permutation, b, transposed=bool(transposed))


@linear_solve_p.def_type
def _(
    a: ShapedArray, lu: ShapedArray, permutation: ShapedArray, b: ShapedArray, *, transposed: bool
) -> ShapedArray:
    check_matrices("linear_solve", a, lu, square=True)
    check_matrices("linear_solve", b)
    check_same_dtype("linear_solve", a, lu, b)
    if a.shape != lu.shape or a.shape[:-2] != b.shape[:-2] or a.shape[-1] != b.shape[-2]:
        raise ValueError(
            f"linear_solve of a={a} and b={b}: batch axes must be the same, and b must have "
            f"{a.shape[-1]} rows, as many as a."
        )
    return ShapedArray(b.shape, b.dtype)


def _from_factors(a: Value, lu: Value, permutation: Value, b: Value, *, transposed: bool) -> Value:
    if not transposed:
        y = triangular_solve(lu, permuted_rows(b, permutation), unit_diagonal=True)
        return triangular_solve(lu, y, lower=False)
    y = triangular_solve(lu, b, lower=False, transpose_a=True)
    z = triangular_solve(lu, y, transpose_a=True, unit_diagonal=True)
    return permuted_rows(z, inverse_permutation(permutation))


def permuted_rows(x: Value, permutation: Value) -> Value:
    """Row i of each result is row ``permutation[i]`` of its matrix."""
    *batch, n, columns = shape_of(x)
    axes = tuple(range(len(batch)))
    return gather(
        x,
        expand_dims(permutation, (len(batch) + 1,)),
        GatherDimensionNumbers((len(batch) + 1,), (len(batch),), (len(batch),), axes, axes),
        (*(min(size, 1) for size in batch), min(n, 1), columns),
        unique_indices=True,
        mode=GatherScatterMode.PROMISE_IN_BOUNDS,
    )


def inverse_permutation(permutation: Value) -> Value:
    """Where each number from 0 on stands in the permutation."""
    shape = shape_of(permutation)
    index = iota(np.dtype(np.int32), shape, len(shape) - 1)
    return sort([permutation, index], len(shape) - 1)[1]


linear_solve_p.def_portable(_from_factors)


@linear_solve_p.def_numpy
def _(
    a: np.ndarray, lu: np.ndarray, permutation: np.ndarray, b: np.ndarray, *, transposed: bool
) -> np.ndarray:
    out = np.empty_like(b)
    solve = triangular_solve_p.rule("numpy")
    fixed = {"left_side": True, "transpose_a": transposed, "conjugate_a": False}
    unit_lower = {"lower": True, "unit_diagonal": True, **fixed}
    upper = {"lower": False, "unit_diagonal": False, **fixed}
    order = permutation[..., None]
    if not transposed:
        y = solve(lu, np.take_along_axis(b, order, -2), **unit_lower)
        return solve(lu, y, **upper)
    z = solve(lu, solve(lu, b, **upper), **unit_lower)
    np.put_along_axis(out, np.broadcast_to(order, z.shape), z, -2)
    return out


@linear_solve_p.def_jvp
def _(primals: Values, tangents: Values, *, transposed: bool) -> Dual:
    a, lu, permutation, b = primals
    da, _, _, db = tangents
    x = linear_solve(a, lu, permutation, b, transposed)
    if is_zero(da) and is_zero(db):
        return x, zero_tangent(x)
    terms = [] if is_zero(db) else [db]
    if not is_zero(da):
        terms.append(neg(matmul(mT(da) if transposed else da, x)))
    total = terms[0] if len(terms) == 1 else add(*terms)
    return x, linear_solve(a, lu, permutation, total, transposed)


@linear_solve_p.def_transpose
def _(
    ct: Value, a: Value, lu: Value, permutation: Value, b: Value, *, transposed: bool
) -> Cotangents:
    if is_zero(ct) or not is_undef(b):
        return [None] * 4
    return [None, None, None, linear_solve(a, lu, permutation, ct, not transposed)]


@linear_solve_p.def_batch
def _(axis_size: int, args: Values, dims: Dims, *, transposed: bool) -> Batched:
    a, lu, permutation, b = args
    if all(d is None for d in dims[:3]) and len(shape_of(a)) == 2:
        # One matrix for all: the systems of the batch are more right-hand sides.
        b = move_axis(b, dims[3], 1)
        shape = shape_of(b)
        flat = reshape(b, (shape[0], shape[1] * shape[2]))
        return reshape(linear_solve(a, lu, permutation, flat, transposed), shape), 1
    a, lu, permutation, b = batch_first(axis_size, args, dims)
    return linear_solve(a, lu, permutation, b, transposed), 0


@linear_solve_p.def_lower_complex
@linear_solve_p.def_lower
def _(ctx: Lowering, *args: AnyTensor, **params: Any) -> AnyTensor:
    return inline_portable(ctx, linear_solve_p, *args, **params)[0]
