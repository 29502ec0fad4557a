"""Eigenvalues and eigenvectors of Hermitian matrices: ``a V = V diag(w)``, w ascending.

Only one triangle of `a` is read. Eigenvectors are defined up to a factor of magnitude 1, and up to
a rotation where eigenvalues are equal: derivatives of eigenvectors of repeated eigenvalues do not
exist, and come out as inf or NaN; those of the eigenvalues themselves are finite.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.linear import is_zero
from weft.core.primitive import Primitive
from weft.primitives.arithmetic import add, div, mul, sub
from weft.primitives.library_call import (
    INFO,
    Flag,
    Given,
    InOut,
    Integer,
    Out,
    Scratch,
    call_library,
)
from weft.primitives.matrix import (
    as_columns,
    as_dtype,
    as_rows,
    check_matrices,
    conjugate,
    diagonal,
    eye,
    matmul,
    mH,
    mirrored,
    mT,
    nan_where,
    real_of,
    real_part,
)
from weft.primitives.routines import Cost, Price, apply, def_routine, price_of
from weft.primitives.rules import Dims, Value, Values, dtype_of, shape_of, zero_tangent
from weft.primitives.shaping import batch_first, full_like
from weft.terms.lower import Lowering
from weft.terms.tensor import AnyTensor

eigh_p = Primitive("eigh", multiple_results=True)


def eigh(a: Value, lower: bool = True) -> list[Value]:
    """``[vectors, values]``: the columns of `vectors` belong to the ascending `values`."""
    return eigh_p.bind(a, lower=bool(lower))


@eigh_p.def_type
def _(a: ShapedArray, *, lower: bool) -> list[ShapedArray]:
    check_matrices("eigh", a, square=True)
    return [ShapedArray(a.shape, a.dtype), ShapedArray(a.shape[:-1], real_of(a.dtype))]


@eigh_p.def_numpy
def _(a: np.ndarray, *, lower: bool) -> list[np.ndarray]:
    vectors, values = np.empty_like(a), np.empty(a.shape[:-1], real_of(a.dtype))
    for index in np.ndindex(a.shape[:-2]):
        try:
            values[index], vectors[index] = np.linalg.eigh(a[index], "L" if lower else "U")
        except np.linalg.LinAlgError:
            values[index] = vectors[index] = np.nan
    return [vectors, values]


@eigh_p.def_jvp
def _(primals: Values, tangents: Values, *, lower: bool) -> tuple[list[Value], list[Value]]:
    # Giles (2008), section 3.1: with C = V^H dA V, dw = diag(C) and dV = V (F ∘ C), where
    # F_ij = 1 / (w_j - w_i) off the diagonal.
    (da,) = tangents
    (a,) = primals
    vectors, values = eigh(a, lower)
    if is_zero(da):
        return [vectors, values], [zero_tangent(vectors), zero_tangent(values)]
    n = shape_of(values)[-1]
    inner = matmul(mH(vectors), matmul(mirrored(da, lower), vectors))
    one = eye(shape_of(vectors), dtype_of(values))
    gaps = add(sub(as_rows(values, n), as_columns(values, n)), one)
    factors = sub(div(full_like(gaps, 1), gaps), one)
    d_vectors = matmul(vectors, mul(as_dtype(factors, dtype_of(inner)), inner))
    return [vectors, values], [d_vectors, real_part(diagonal(inner))]


@eigh_p.def_batch
def _(axis_size: int, args: Values, dims: Dims, *, lower: bool) -> tuple[list[Value], list[int]]:
    (a,) = batch_first(axis_size, args, dims)
    return eigh(a, lower), [0, 0]


_LIBRARY = Cost(row=150, square=45)
_START, _SWEEPS = Cost(row=2000), Cost(square=35, cube=3)


def _price(a: AnyTensor, **_: Any) -> Price:
    return price_of(a, _LIBRARY, _START, _SWEEPS)


def _library(ctx: Lowering, a: AnyTensor, *, lower: bool) -> list[AnyTensor]:
    # By columns LAPACK sees conj(a): the other triangle, and conjugate vectors.
    *batch, n, _ = a.shape
    is_complex = dtypes.is_complex(a.dtype)
    real = real_of(a.dtype)
    room = 2 * n + n * n if is_complex else 1 + 6 * n + 2 * n * n
    reals = 1 + 5 * n + 2 * n * n
    integers = 3 + 5 * n
    more: list[Given] = [Scratch(reals, real), Integer(reals)] if is_complex else []
    given: list[Given] = [
        Flag("V"),
        Flag("U" if lower else "L"),
        Integer(n),
        InOut(a, (n, n)),
        Integer(n),
        Out((n,), real),
        Scratch(room, a.dtype),
        Integer(room),
        *more,
        Scratch(integers, np.dtype(np.int32)),
        Integer(integers),
        INFO,
    ]
    name = "heevd" if is_complex else "syevd"
    seconds = _LIBRARY.seconds(n)
    vectors, values, info = call_library(ctx, name, a.dtype, tuple(batch), given, seconds)

    def finished(rows: Value, values: Value, failed: Value) -> list[Value]:
        return [nan_where(failed, conjugate(mT(rows))), nan_where(failed, values)]

    return apply(ctx, finished, vectors, values, info)


def _empty(a: Value, **_: Any) -> list[Value]:
    return [a, real_part(diagonal(a))]


def_routine(eigh_p, _price, _library, _empty)
