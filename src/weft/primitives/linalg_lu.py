"""LU factors with partial pivoting: ``a[permutation] = L U``, L with ones on its diagonal.

``lu`` gives L and U in one matrix, LAPACK's pivots counted from 0 (row i was exchanged with row
``pivots[i]``, one after the other), and the permutation they amount to. Singular matrices have
zeros on U's diagonal.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weft.core.avals import ShapedArray
from weft.core.linear import is_zero
from weft.core.primitive import Primitive
from weft.primitives.arithmetic import add, sub
from weft.primitives.convert import convert_element_type
from weft.primitives.creation import iota
from weft.primitives.library_call import (
    INFO,
    Given,
    In,
    InOut,
    Integer,
    Out,
    by_columns,
    call_library,
)
from weft.primitives.linalg_solve import permuted_rows, triangular_solve
from weft.primitives.matrix import check_matrices, eye, masked, matmul, tril, triu
from weft.primitives.routines import UNROLLED, Cost, Price, apply, def_routine, price_of
from weft.primitives.rules import Dims, Value, Values, dtype_of, shape_of, zero_tangent
from weft.primitives.shaping import batch_first, broadcast_in_dim, full_like
from weft.primitives.slicing import pad, slice_along
from weft.terms.lower import Lowering
from weft.terms.tensor import AnyTensor

_INT = np.dtype(np.int32)

# ---------------------------------------------------------------- lu

lu_p = Primitive("lu", multiple_results=True)


def lu(a: Value) -> list[Value]:
    """``[factors, pivots, permutation]`` of a stack of matrices of any shape."""
    return lu_p.bind(a)


@lu_p.def_type
def _(a: ShapedArray) -> list[ShapedArray]:
    check_matrices("lu", a)
    *batch, rows, columns = a.shape
    return [
        ShapedArray(a.shape, a.dtype),
        ShapedArray((*batch, min(rows, columns)), _INT),
        ShapedArray((*batch, rows), _INT),
    ]


@lu_p.def_numpy
def _(a: np.ndarray) -> list[np.ndarray]:
    from scipy.linalg import get_lapack_funcs

    *batch, rows, columns = a.shape
    out = np.empty_like(a)
    pivots = np.zeros((*batch, min(rows, columns)), _INT)
    (getrf,) = get_lapack_funcs(("getrf",), dtype=a.dtype)
    for index in np.ndindex(*batch) if a.size else ():
        out[index], pivots[index], _ = getrf(a[index])
    return [out, pivots, _permutation(pivots, rows)]


@lu_p.def_jvp
def _(primals: Values, tangents: Values) -> tuple[list[Value], list[Value]]:
    # With everything made square, L⁻¹ dA U⁻¹ = L⁻¹ dL + dU U⁻¹: its strictly lower and its upper
    # part (de Hoog, Anderssen and Lukas 2011, "Differentiation of matrix functionals using
    # triangular factorization").
    (da,) = tangents
    factors, pivots, permutation = lu(*primals)
    fixed = [zero_tangent(pivots), zero_tangent(permutation)]
    if is_zero(da):
        return [factors, pivots, permutation], [zero_tangent(factors), *fixed]
    lower, upper = _square_lower(factors), _square_upper(factors)
    left = triangular_solve(lower, permuted_rows(da, permutation), unit_diagonal=True)
    both = triangular_solve(upper, left, left_side=False, lower=False)
    d_factors = add(matmul(lower, tril(both, -1)), matmul(triu(both), upper))
    return [factors, pivots, permutation], [d_factors, *fixed]


def _square_lower(factors: Value) -> Value:
    """L with as many columns as rows: those it lacks are the identity's."""
    rows, columns = shape_of(factors)[-2:]
    left = slice_along(factors, 0, min(rows, columns), len(shape_of(factors)) - 1)
    square = _padded(tril(left, -1), 0, rows - min(rows, columns))
    return add(square, eye(shape_of(square), dtype_of(square)))


def _square_upper(factors: Value) -> Value:
    """U with as many rows as columns: those it lacks are the identity's."""
    rows, columns = shape_of(factors)[-2:]
    least = min(rows, columns)
    square = _padded(
        triu(slice_along(factors, 0, least, len(shape_of(factors)) - 2)), columns - least, 0
    )
    shape = shape_of(square)
    beyond = np.asarray(np.arange(columns) >= least)
    ones = masked(eye(shape, dtype_of(square)), broadcast_in_dim(beyond, (columns, columns), (1,)))
    return add(square, ones)


def _padded(x: Value, rows: int, columns: int) -> Value:
    """With rows and columns of zeros added at the end."""
    if not rows and not columns:
        return x
    batch = [(0, 0, 0)] * (len(shape_of(x)) - 2)
    return pad(x, np.zeros((), dtype_of(x)), [*batch, (0, rows, 0), (0, columns, 0)])


@lu_p.def_batch
def _(axis_size: int, args: Values, dims: Dims) -> tuple[list[Value], list[int]]:
    (a,) = batch_first(axis_size, args, dims)
    return lu(a), [0, 0, 0]


_LIBRARY = Cost(call=30, row=15, square=2.5, cube=0.012)
_TINY = Cost(square=1.2)
_START, _LOOP = Cost(row=130), Cost(square=3.4, cube=0.18)


def _price(a: AnyTensor) -> Price:
    if max(a.shape[-2:]) <= UNROLLED:
        return price_of(a, _LIBRARY, Cost(), _TINY)
    return price_of(a, _LIBRARY, _START, _LOOP)


def _library(ctx: Lowering, a: AnyTensor) -> list[AnyTensor]:
    *batch, rows, columns = a.shape
    # Rows are exchanged, not columns: the matrix has to be turned around.
    given: list[Given] = [
        Integer(rows),
        Integer(columns),
        InOut(by_columns(a), (columns, rows)),
        Integer(rows),
        Out((min(rows, columns),), _INT),
        INFO,
    ]
    seconds = _LIBRARY.seconds(rows, columns)
    factors, pivots, _ = call_library(ctx, "getrf", a.dtype, tuple(batch), given, seconds)
    (pivots,) = apply(ctx, lambda p: [sub(p, full_like(p, 1))], pivots)
    (permutation,) = _permutation_library(ctx, pivots, permutation_size=rows)
    return [by_columns(factors), pivots, permutation]


def _empty(a: Value) -> list[Value]:
    """Nothing is exchanged."""
    *batch, rows, columns = shape_of(a)
    pivots, order = (iota(_INT, (*batch, n), len(batch)) for n in (min(rows, columns), rows))
    return [a, pivots, order]


def_routine(lu_p, _price, _library, _empty)

# ---------------------------------------------------------------- pivots to permutation

lu_pivots_to_permutation_p = Primitive("lu_pivots_to_permutation")


def lu_pivots_to_permutation(pivots: Value, permutation_size: int) -> Value:
    """The order of rows that exchanging row i with row ``pivots[i]``, for i = 0, 1, …, leaves."""
    return lu_pivots_to_permutation_p.bind(pivots, permutation_size=int(permutation_size))


def _permutation(pivots: np.ndarray, size: int) -> np.ndarray:
    permutation = np.broadcast_to(np.arange(size, dtype=_INT), (*pivots.shape[:-1], size)).copy()
    for index in np.ndindex(pivots.shape[:-1]):
        order = permutation[index]
        for i, p in enumerate(pivots[index]):
            order[i], order[p] = order[p], order[i]
    return permutation


@lu_pivots_to_permutation_p.def_type
def _(pivots: ShapedArray, *, permutation_size: int) -> ShapedArray:
    if pivots.dtype != _INT or pivots.ndim < 1 or pivots.shape[-1] > permutation_size:
        raise TypeError(
            f"lu_pivots_to_permutation needs int32 pivots in the last axis, at most "
            f"permutation_size={permutation_size} of them, got {pivots}."
        )
    return ShapedArray((*pivots.shape[:-1], permutation_size), _INT)


@lu_pivots_to_permutation_p.def_numpy
def _(pivots: np.ndarray, *, permutation_size: int) -> np.ndarray:
    return _permutation(pivots, permutation_size)


@lu_pivots_to_permutation_p.def_jvp
def _(primals: Values, tangents: Values, *, permutation_size: int) -> Any:
    (pivots,) = primals
    ans = lu_pivots_to_permutation(pivots, permutation_size)
    return ans, zero_tangent(ans)


@lu_pivots_to_permutation_p.def_batch
def _(axis_size: int, args: Values, dims: Dims, *, permutation_size: int) -> Any:
    (a,) = batch_first(axis_size, args, dims)
    return lu_pivots_to_permutation(a, permutation_size), 0


_EXCHANGES = Cost(call=30, row=3)


def _permutation_price(pivots: AnyTensor, *, permutation_size: int) -> Price:
    batch, count = math.prod(pivots.shape[:-1]), pivots.shape[-1]
    steps = Cost(row=100).seconds(count) + batch * Cost(square=1).seconds(count, permutation_size)
    return Price(batch * _EXCHANGES.seconds(permutation_size), steps)


def _permutation_library(
    ctx: Lowering, pivots: AnyTensor, *, permutation_size: int
) -> list[AnyTensor]:
    """LAPACK exchanges the rows of a column of numbers; doubles hold any index."""
    double = np.dtype(np.float64)
    *batch, count = pivots.shape

    def operands(p: Value) -> list[Value]:
        order = iota(double, (*batch, permutation_size), len(batch))
        return [order, add(p, full_like(p, 1))]

    order, exchanged = apply(ctx, operands, pivots)
    given: list[Given] = [
        Integer(1),
        InOut(order, (permutation_size,)),
        Integer(permutation_size),
        Integer(1),
        Integer(count),
        In(exchanged, (count,)),
        Integer(1),
    ]
    seconds = _EXCHANGES.seconds(permutation_size)
    (order,) = call_library(ctx, "laswp", double, tuple(batch), given, seconds)
    return apply(ctx, lambda x: [convert_element_type(x, _INT)], order)


def _no_pivots(pivots: Value, *, permutation_size: int) -> list[Value]:
    batch = shape_of(pivots)[:-1]
    return [iota(_INT, (*batch, permutation_size), len(batch))]


def_routine(lu_pivots_to_permutation_p, _permutation_price, _permutation_library, _no_pivots)
