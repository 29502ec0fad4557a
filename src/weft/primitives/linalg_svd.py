"""Singular values and vectors: ``a = U diag(s) V^H``, s descending.

Singular vectors are defined up to a factor of magnitude 1 for each pair, and up to a rotation where
singular values are equal or zero: their derivatives do not exist there, and come out as inf or NaN;
those of the singular values themselves are finite where the values are distinct and not zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.linear import is_zero
from weft.core.primitive import Primitive
from weft.primitives.arithmetic import add, div, mul, sub
from weft.primitives.comparison import eq
from weft.primitives.library_call import (
    INFO,
    Argument,
    Array,
    Flag,
    Given,
    InOut,
    Integer,
    Null,
    Out,
    Scratch,
    call_library,
    workspace,
)
from weft.primitives.matrix import (
    as_columns,
    as_dtype,
    as_rows,
    check_matrices,
    diagonal,
    eye,
    matmul,
    mH,
    nan_where,
    real_of,
    real_part,
    scaled,
)
from weft.primitives.routines import Cost, Price, apply, def_routine, price_of
from weft.primitives.rules import Dims, Value, Values, dtype_of, shape_of, zero_tangent
from weft.primitives.shaping import batch_first, full, full_like
from weft.terms.lower import Lowering
from weft.terms.tensor import AnyTensor

svd_p = Primitive("svd", multiple_results=True)


def svd(a: Value, full_matrices: bool = True, compute_uv: bool = True) -> list[Value]:
    """``[u, s, vh]``, or ``[s]`` without `compute_uv`; u and vh are square if `full_matrices`."""
    return svd_p.bind(a, full_matrices=bool(full_matrices), compute_uv=bool(compute_uv))


def _shapes(shape: tuple[int, ...], full_matrices: bool) -> tuple[tuple[int, ...], ...]:
    *batch, rows, columns = shape
    least = min(rows, columns)
    u = (*batch, rows, rows if full_matrices else least)
    return u, (*batch, least), (*batch, columns if full_matrices else least, columns)


@svd_p.def_type
def _(a: ShapedArray, *, full_matrices: bool, compute_uv: bool) -> list[ShapedArray]:
    check_matrices("svd", a)
    u, s, vh = _shapes(a.shape, full_matrices)
    values = ShapedArray(s, real_of(a.dtype))
    return [ShapedArray(u, a.dtype), values, ShapedArray(vh, a.dtype)] if compute_uv else [values]


@svd_p.def_numpy
def _(a: np.ndarray, *, full_matrices: bool, compute_uv: bool) -> list[np.ndarray]:
    shapes = _shapes(a.shape, full_matrices)
    dtypes = a.dtype, real_of(a.dtype), a.dtype
    u, s, vh = (np.empty(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True))
    for index in np.ndindex(a.shape[:-2]):
        try:
            u[index], s[index], vh[index] = np.linalg.svd(a[index], full_matrices)
        except np.linalg.LinAlgError:
            u[index] = s[index] = vh[index] = np.nan
    return [u, s, vh] if compute_uv else [s]


@svd_p.def_jvp
def _(
    primals: Values, tangents: Values, *, full_matrices: bool, compute_uv: bool
) -> tuple[list[Value], list[Value]]:
    (a,), (da,) = primals, tangents
    if is_zero(da):
        outs = svd(a, full_matrices, compute_uv)
        return outs, [zero_tangent(x) for x in outs]
    rows, columns = shape_of(a)[-2:]
    if compute_uv and full_matrices and rows != columns:
        raise TypeError(
            "svd: singular vectors beyond the singular values can be any basis and so have no "
            "derivative; use full_matrices=False."
        )
    u, s, vh = svd(a, full_matrices=False)
    ds, du, dvh = _tangents(u, s, vh, da)
    return ([u, s, vh], [du, ds, dvh]) if compute_uv else ([s], [ds])


def _tangents(u: Value, s: Value, vh: Value, da: Value) -> tuple[Value, Value, Value]:
    """Townsend (2016), "Differentiating the singular value decomposition"."""
    k = shape_of(s)[-1]
    inner = matmul(mH(u), matmul(da, mH(vh)))
    dtype = dtype_of(inner)
    ds = real_part(diagonal(inner))
    one = eye(shape_of(inner), dtype_of(s))
    across, down = as_rows(s, k), as_columns(s, k)
    gaps = add(mul(add(across, down), sub(across, down)), one)
    factors = as_dtype(sub(div(full_like(gaps, 1), gaps), one), dtype)
    times, scaled_rows = mul(inner, as_dtype(across, dtype)), mul(as_dtype(down, dtype), inner)
    # Only complex matrices turn a pair of vectors by a phase: the diagonal of inner - inner^H.
    zeros = as_dtype(eq(s, full_like(s, 0)), dtype_of(s))
    inverse = sub(div(full_like(s, 1), add(s, zeros)), zeros)
    phases = mul(sub(inner, mH(inner)), as_dtype(mul(one, as_rows(inverse, k)), dtype))
    turn_u = add(mul(factors, add(times, mH(times))), scaled(phases, 0.5))
    turn_v = mul(factors, add(scaled_rows, mH(scaled_rows)))
    du, dv = matmul(u, turn_u), matmul(mH(vh), turn_v)
    # What leaves the space that the vectors span.
    rows, columns = shape_of(u)[-2], shape_of(vh)[-1]
    if rows > k:
        moved = matmul(da, mH(vh))
        du = add(du, div(sub(moved, matmul(u, inner)), as_dtype(as_rows(s, rows), dtype)))
    if columns > k:
        moved = matmul(mH(da), u)
        rest = sub(moved, matmul(mH(vh), mH(inner)))
        dv = add(dv, div(rest, as_dtype(as_rows(s, columns), dtype)))
    return ds, du, mH(dv)


@svd_p.def_batch
def _(axis_size: int, args: Values, dims: Dims, **params: Any) -> tuple[list[Value], list[int]]:
    (a,) = batch_first(axis_size, args, dims)
    outs = svd(a, **params)
    return outs, [0] * len(outs)


_LIBRARY = Cost(row=300, square=75)
_START, _SWEEPS = Cost(row=3000), Cost(square=40, cube=4)


def _price(a: AnyTensor, **_: Any) -> Price:
    return price_of(a, _LIBRARY, _START, _SWEEPS)


def _library(
    ctx: Lowering, a: AnyTensor, *, full_matrices: bool, compute_uv: bool
) -> list[AnyTensor]:
    # By columns LAPACK sees a^T = conj(V) S U^T: what it calls U is vh by rows, its VT is u.
    *batch, rows, columns = a.shape
    least, most = min(rows, columns), max(rows, columns)
    is_complex, real = dtypes.is_complex(a.dtype), real_of(a.dtype)
    job = ("A" if full_matrices else "S") if compute_uv else "N"
    u, _, vh = _shapes((rows, columns), full_matrices)
    reals = max(5 * least**2 + 5 * least, 2 * most * least + 2 * least**2 + least)
    sizes: list[Any] = [Flag(job), Integer(columns), Integer(rows)]
    extra: list[Argument] = [Array(4)] if is_complex else []
    query: list[Argument] = [
        *sizes,
        Array(0),
        Integer(columns),
        Array(1),
        Array(2),
        Integer(columns),
        Array(3),
        Integer(u[-1]),
        Array(5),
        Integer(-1),
        *extra,
        Array(6),
        Array(7),
    ]
    room = workspace("gesdd", a.dtype, query)
    given: list[Given] = [
        *sizes,
        InOut(a, (rows, columns)),
        Integer(columns),
        Out((least,), real),
        Out(vh, a.dtype) if compute_uv else Null(),
        Integer(columns),
        Out(u, a.dtype) if compute_uv else Null(),
        Integer(u[-1]),
        Scratch(room, a.dtype),
        Integer(room),
        *([Scratch(reals, real)] if is_complex else []),
        Scratch(8 * least, np.dtype(np.int32)),
        INFO,
    ]
    seconds = _LIBRARY.seconds(rows, columns)
    _, s, *vectors, info = call_library(ctx, "gesdd", a.dtype, tuple(batch), given, seconds)
    outs = [vectors[1], s, vectors[0]] if compute_uv else [s]

    def finished(failed: Value, *outs: Value) -> list[Value]:
        return [nan_where(failed, x) for x in outs]

    return apply(ctx, finished, info, *outs)


def _empty(a: Value, *, full_matrices: bool, compute_uv: bool) -> list[Value]:
    u, s, vh = _shapes(shape_of(a), full_matrices)
    dtype = dtype_of(a)
    values = full(s, 0, real_of(dtype))
    return [eye(u, dtype), values, eye(vh, dtype)] if compute_uv else [values]


def_routine(svd_p, _price, _library, _empty)
