"""Reductions to condensed forms by unitary similarity, and QR factors with columns in an order.

``hessenberg`` and ``tridiagonal`` give LAPACK's compact forms: what is left of the matrix, and
below (or above) it the reflectors that took it there. ``geqp3`` is ``geqrf`` of the matrix with its
columns in the order that takes the largest remaining one next. None of them has a derivative:
they are the first steps of algorithms that have, or whose results have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.linear import is_zero
from weft.core.primitive import Primitive
from weft.primitives.arithmetic import sub
from weft.primitives.creation import iota
from weft.primitives.library_call import (
    INFO,
    Argument,
    Array,
    Flag,
    Given,
    InOut,
    Integer,
    Out,
    Scratch,
    by_columns,
    call_library,
    workspace,
)
from weft.primitives.matrix import check_matrices, diagonal, real_of, real_part
from weft.primitives.routines import Cost, Price, apply, def_routine, price_of
from weft.primitives.rules import Dims, Value, Values, dtype_of, shape_of, zero_tangent
from weft.primitives.shaping import batch_first, full, full_like
from weft.terms.lower import Lowering
from weft.terms.tensor import AnyTensor, Tensor

_INT = np.dtype(np.int32)


def _without_derivative(primitive: Primitive, remedy: str) -> None:
    """Registers the rules of a routine that is differentiated by other means, and its batching."""

    @primitive.def_jvp
    def _(primals: Values, tangents: Values, **params: Any) -> tuple[list[Value], list[Any]]:
        outs = primitive.bind(*primals, **params)
        if not all(is_zero(t) for t in tangents):
            raise TypeError(f"{primitive.name} has no derivative: {remedy}.")
        return outs, [zero_tangent(x) for x in outs]

    @primitive.def_batch
    def _(axis_size: int, args: Values, dims: Dims, **params: Any) -> tuple[list[Value], list[int]]:
        outs = primitive.bind(*batch_first(axis_size, args, dims), **params)
        return outs, [0] * len(outs)


def _each_matrix(a: np.ndarray, function: Callable[..., Any], *outs: np.ndarray) -> None:
    """Fills `outs` with what `function` gives for each matrix."""
    for index in np.ndindex(a.shape[:-2]) if a.size else ():
        for out, result in zip(outs, function(a[index]), strict=False):
            out[index] = result


_LIBRARY = Cost(call=60, row=40, square=15, cube=0.1)
_START, _LOOP = Cost(row=150), Cost(square=3, cube=0.3)


def _price(a: AnyTensor, **_: Any) -> Price:
    return price_of(a, _LIBRARY, _START, _LOOP)


# ---------------------------------------------------------------- hessenberg

hessenberg_p = Primitive("hessenberg", multiple_results=True)


def hessenberg(a: Value) -> list[Value]:
    """``[compact, taus]``: ``a = Q h Q^H`` with h, upper but for one diagonal below the main one,
    in `compact`, and Q the product of the reflectors below it."""
    return hessenberg_p.bind(a)


def _taus_of(a: Any) -> ShapedArray:
    """The type of the factors of an array's reflectors."""
    return ShapedArray((*a.shape[:-2], max(a.shape[-1] - 1, 0)), a.dtype)


@hessenberg_p.def_type
def _(a: ShapedArray) -> list[ShapedArray]:
    check_matrices("hessenberg", a, square=True)
    return [ShapedArray(a.shape, a.dtype), _taus_of(a)]


@hessenberg_p.def_numpy
def _(a: np.ndarray) -> list[np.ndarray]:
    from scipy.linalg import get_lapack_funcs

    out, taus = np.empty_like(a), np.zeros(_taus_of(a).shape, a.dtype)
    (function,) = get_lapack_funcs(("gehrd",), dtype=a.dtype)
    if a.shape[-1] < 2:
        return [a.copy(), taus]
    _each_matrix(a, function, out, taus)
    return [out, taus]


_without_derivative(hessenberg_p, "where the eigenvalues are wanted, differentiate eigvals")


def _hessenberg_library(ctx: Lowering, a: AnyTensor) -> list[AnyTensor]:
    *batch, n, _ = a.shape
    sizes = [Integer(n), Integer(1), Integer(n)]
    query: list[Argument] = [*sizes, Array(0), Integer(n), Array(1), Array(2)]
    query += [Integer(-1), Array(3)]
    room = workspace("gehrd", a.dtype, query)
    given: list[Given] = [
        *sizes,
        InOut(by_columns(a), (n, n)),
        Integer(n),
        Out((n - 1,), a.dtype),
        Scratch(room, a.dtype),
        Integer(room),
        INFO,
    ]
    seconds = _LIBRARY.seconds(n)
    out, taus, _ = call_library(ctx, "gehrd", a.dtype, tuple(batch), given, seconds)
    return [by_columns(out), taus]


def _no_reflectors(a: Value) -> list[Value]:
    *batch, n, _ = shape_of(a)
    return [a, full((*batch, max(n - 1, 0)), 0, dtype_of(a))]


def_routine(hessenberg_p, _price, _hessenberg_library, _no_reflectors)

# ---------------------------------------------------------------- tridiagonal

tridiagonal_p = Primitive("tridiagonal", multiple_results=True)


def tridiagonal(a: Value, lower: bool = True) -> list[Value]:
    """``[compact, d, e, taus]`` of Hermitian matrices of which one triangle is read.

    `d` is the diagonal, `e` the one beside it, both real; `compact` has them and the reflectors in
    the triangle that was read.
    """
    return tridiagonal_p.bind(a, lower=bool(lower))


@tridiagonal_p.def_type
def _(a: ShapedArray, *, lower: bool) -> list[ShapedArray]:
    check_matrices("tridiagonal", a, square=True)
    taus, real = _taus_of(a), real_of(a.dtype)
    return [
        ShapedArray(a.shape, a.dtype),
        ShapedArray(a.shape[:-1], real),
        ShapedArray(taus.shape, real),
        taus,
    ]


@tridiagonal_p.def_numpy
def _(a: np.ndarray, *, lower: bool) -> list[np.ndarray]:
    from scipy.linalg import get_lapack_funcs

    avals = tridiagonal_p.out_avals(ShapedArray(a.shape, a.dtype), lower=lower)
    out, d, e, taus = (np.zeros(aval.shape, aval.dtype) for aval in avals)
    name = "hetrd" if dtypes.is_complex(a.dtype) else "sytrd"
    (function,) = get_lapack_funcs((name,), dtype=a.dtype)
    if a.shape[-1] < 2:
        return [a.copy(), np.real(a)[..., 0].copy() if a.shape[-1] else d, e, taus]
    _each_matrix(a, lambda x: function(x, lower=int(lower)), out, d, e, taus)
    return [out, d, e, taus]


_without_derivative(tridiagonal_p, "where the eigenvalues are wanted, differentiate eigvalsh")


def _tridiagonal_library(ctx: Lowering, a: AnyTensor, *, lower: bool) -> list[AnyTensor]:
    *batch, n, _ = a.shape
    name = "hetrd" if dtypes.is_complex(a.dtype) else "sytrd"
    real = real_of(a.dtype)
    head: list[Any] = [Flag("L" if lower else "U"), Integer(n)]
    query: list[Argument] = [*head, Array(0), Integer(n), Array(1), Array(2), Array(3), Array(4)]
    query += [Integer(-1), Array(5)]
    room = workspace(name, a.dtype, query)
    given: list[Given] = [
        *head,
        InOut(by_columns(a), (n, n)),
        Integer(n),
        Out((n,), real),
        Out((n - 1,), real),
        Out((n - 1,), a.dtype),
        Scratch(room, a.dtype),
        Integer(room),
        INFO,
    ]
    seconds = _LIBRARY.seconds(n)
    out, d, e, taus, _ = call_library(ctx, name, a.dtype, tuple(batch), given, seconds)
    return [by_columns(out), d, e, taus]


def _nothing_beside(a: Value, *, lower: bool) -> list[Value]:
    *batch, n, _ = shape_of(a)
    shape = (*batch, max(n - 1, 0))
    real = real_of(dtype_of(a))
    return [a, real_part(diagonal(a)), full(shape, 0, real), full(shape, 0, dtype_of(a))]


def_routine(tridiagonal_p, _price, _tridiagonal_library, _nothing_beside)

# ---------------------------------------------------------------- geqp3

geqp3_p = Primitive("geqp3", multiple_results=True)


def geqp3(a: Value) -> list[Value]:
    """``[compact, taus, permutation]``: `geqrf` of ``a[:, permutation]``, R's diagonal descending
    in magnitude."""
    return geqp3_p.bind(a)


@geqp3_p.def_type
def _(a: ShapedArray) -> list[ShapedArray]:
    check_matrices("geqp3", a)
    *batch, rows, columns = a.shape
    return [
        ShapedArray(a.shape, a.dtype),
        ShapedArray((*batch, min(rows, columns)), a.dtype),
        ShapedArray((*batch, columns), _INT),
    ]


@geqp3_p.def_numpy
def _(a: np.ndarray) -> list[np.ndarray]:
    from scipy.linalg import get_lapack_funcs

    *batch, rows, columns = a.shape
    out, taus = a.copy(), np.zeros((*batch, min(rows, columns)), a.dtype)
    order = np.broadcast_to(np.arange(columns, dtype=_INT), (*batch, columns)).copy()
    (function,) = get_lapack_funcs(("geqp3",), dtype=a.dtype)

    def factored(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        compact, pivots, tau, _, _ = function(x)
        return compact, tau, pivots - 1

    _each_matrix(a, factored, out, taus, order)
    return [out, taus, order]


_without_derivative(geqp3_p, "differentiate lax.linalg.qr, which has one")


def _geqp3_library(ctx: Lowering, a: AnyTensor) -> list[AnyTensor]:
    *batch, rows, columns = a.shape
    is_complex, real = dtypes.is_complex(a.dtype), real_of(a.dtype)
    sizes = [Integer(rows), Integer(columns)]
    extra = [Array(5)] if is_complex else []
    query: list[Argument] = [*sizes, Array(0), Integer(rows), Array(1), Array(2), Array(3)]
    query += [Integer(-1), *extra, Array(4)]
    room = workspace("geqp3", a.dtype, query)
    given: list[Given] = [
        *sizes,
        InOut(by_columns(a), (columns, rows)),
        Integer(rows),
        InOut(Tensor.constant(0, _INT, (*batch, columns)), (columns,)),  # all may be moved
        Out((min(rows, columns),), a.dtype),
        Scratch(room, a.dtype),
        Integer(room),
        *([Scratch(2 * columns, real)] if is_complex else []),
        INFO,
    ]
    seconds = _LIBRARY.seconds(rows, columns)
    out, order, taus, _ = call_library(ctx, "geqp3", a.dtype, tuple(batch), given, seconds)
    (order,) = apply(ctx, lambda p: [sub(p, full_like(p, 1))], order)
    return [by_columns(out), taus, order]


def _nothing_moved(a: Value) -> list[Value]:
    *batch, rows, columns = shape_of(a)
    order = iota(_INT, (*batch, columns), len(batch))
    return [a, full((*batch, min(rows, columns)), 0, dtype_of(a)), order]


def_routine(geqp3_p, _price, _geqp3_library, _nothing_moved)
