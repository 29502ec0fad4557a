"""Eigenvalues and Schur forms of general square matrices.

Eigenvalues of real matrices are complex in general, so that results of ``eig`` always are. Vectors
have Euclidean norm 1 and a real component of largest magnitude, as LAPACK leaves them; the
derivative keeps to that choice. It does not exist where eigenvalues are repeated.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.linear import is_zero
from weft.core.primitive import Primitive
from weft.primitives.argreduce import argmax
from weft.primitives.arithmetic import add, div, mul, neg, sub
from weft.primitives.comparison import eq, gt, lt
from weft.primitives.complex import complex as complex_of
from weft.primitives.complex import imag, real
from weft.primitives.creation import iota
from weft.primitives.joining import concatenate
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
    by_columns,
    call_library,
    workspace,
)
from weft.primitives.linalg_lu import lu
from weft.primitives.linalg_solve import linear_solve
from weft.primitives.matrix import (
    as_columns,
    as_dtype,
    as_rows,
    check_matrices,
    conjugate,
    diagonal,
    eye,
    magnitude_of,
    matmul,
    mT,
    nan_where,
    real_of,
)
from weft.primitives.reduction import reduce_sum
from weft.primitives.routines import Cost, Price, apply, def_routine, price_of
from weft.primitives.rules import Dims, Shape, Value, Values, dtype_of, shape_of, zero_tangent
from weft.primitives.select import select_n
from weft.primitives.shaping import batch_first, broadcast_in_dim, full, full_like, reshape
from weft.primitives.slicing import slice_along
from weft.terms.lower import Lowering
from weft.terms.tensor import AnyTensor

_INT = np.dtype(np.int32)


def complex_of_dtype(dtype: np.dtype) -> np.dtype:
    """The complex dtype of the same precision."""
    single = dtype in (np.float32, np.complex64)
    return np.dtype(np.complex64 if single else np.complex128)


# ---------------------------------------------------------------- eig

eig_p = Primitive("eig", multiple_results=True)


def eig(a: Value, compute_left: bool = False, compute_right: bool = True) -> list[Value]:
    """``[values]``, then left and right vectors if asked for, in columns: ``a v = w v`` and
    ``v^H a = w v^H``."""
    return eig_p.bind(a, compute_left=bool(compute_left), compute_right=bool(compute_right))


@eig_p.def_type
def _(a: ShapedArray, *, compute_left: bool, compute_right: bool) -> list[ShapedArray]:
    check_matrices("eig", a, square=True)
    dtype = complex_of_dtype(a.dtype)
    vectors = [ShapedArray(a.shape, dtype)] * (compute_left + compute_right)
    return [ShapedArray(a.shape[:-1], dtype), *vectors]


@eig_p.def_numpy
def _(a: np.ndarray, *, compute_left: bool, compute_right: bool) -> list[np.ndarray]:
    from scipy.linalg import LinAlgError, eig

    dtype = complex_of_dtype(a.dtype)
    w, vl, vr = np.empty(a.shape[:-1], dtype), np.empty(a.shape, dtype), np.empty(a.shape, dtype)
    for index in np.ndindex(a.shape[:-2]) if a.size else ():
        _, exponent = np.frexp(np.max(abs(a[index])))
        scale = np.ldexp(real_of(a.dtype).type(1), exponent)  # see _library
        scale = scale if np.isfinite(scale) else scale.dtype.type(1)
        try:
            w[index], vl[index], vr[index] = eig(a[index] / scale, left=True, right=True)
            w[index] *= scale
        except (LinAlgError, ValueError):  # no convergence, or elements that are not finite
            w[index] = vl[index] = vr[index] = np.nan
    return [w, *([vl] if compute_left else []), *([vr] if compute_right else [])]


@eig_p.def_jvp
def _(
    primals: Values, tangents: Values, *, compute_left: bool, compute_right: bool
) -> tuple[list[Value], list[Value]]:
    (a,), (da,) = primals, tangents
    if is_zero(da) or 0 in shape_of(a):
        outs = eig(a, compute_left, compute_right)
        return outs, [zero_tangent(x) for x in outs]
    if compute_left:
        raise TypeError(
            "eig: left eigenvectors have no derivative here; compute_left_eigenvectors=False, or "
            "take the right eigenvectors of the conjugate transpose."
        )
    w, v = eig(a)
    factors, _, permutation = lu(v)
    # With C = V⁻¹ dA V: dw = diag(C), dV = V (F ∘ C) but for the scale of each vector.
    inner = linear_solve(v, factors, permutation, matmul(as_dtype(da, dtype_of(v)), v))
    if not compute_right:
        return [w], [diagonal(inner)]
    n = shape_of(w)[-1]
    one = eye(shape_of(v), dtype_of(v))
    gaps = add(sub(as_rows(w, n), as_columns(w, n)), one)
    dv = matmul(v, mul(sub(div(full_like(gaps, 1), gaps), one), inner))
    return [w, v], [diagonal(inner), _at_unit_norm(v, dv)]


def _at_unit_norm(v: Value, dv: Value) -> Value:
    """Tangents of vectors that keep their norm and their largest component real."""
    rows = len(shape_of(v)) - 2
    n = shape_of(v)[-2]
    largest = argmax(add(mul(real(v), real(v)), mul(imag(v), imag(v))), rows)
    index = iota(_INT, shape_of(v), rows)
    here = as_dtype(eq(index, as_rows(largest, n)), dtype_of(v))
    pivot, moved = (reduce_sum(mul(here, x), (rows,)) for x in (v, dv))
    turn = imag(div(moved, pivot))
    grow = real(reduce_sum(mul(conjugate(v), dv), (rows,)))
    return sub(dv, mul(v, as_rows(complex_of(grow, turn), n)))


@eig_p.def_batch
def _(axis_size: int, args: Values, dims: Dims, **params: Any) -> tuple[list[Value], list[int]]:
    (a,) = batch_first(axis_size, args, dims)
    outs = eig(a, **params)
    return outs, [0] * len(outs)


_LIBRARY = Cost(call=1000, row=500, square=150, cube=2)
_START, _STEPS = Cost(row=5000), Cost(square=300, cube=60)


def _price(a: AnyTensor, **_: Any) -> Price:
    return price_of(a, _LIBRARY, _START, _STEPS)


def _library(
    ctx: Lowering, a: AnyTensor, *, compute_left: bool, compute_right: bool
) -> list[AnyTensor]:
    *batch, n, _ = a.shape
    is_complex, real_dtype = dtypes.is_complex(a.dtype), real_of(a.dtype)
    # LAPACK scales matrices of extreme size itself, but there are builds that forget to scale the
    # eigenvalues back (OpenBLAS 0.3.30).
    a, scale = apply(ctx, _at_unit_magnitude, a)
    jobs = [Flag("V" if wanted else "N") for wanted in (compute_left, compute_right)]
    values = 1 if is_complex else 2
    query: list[Argument] = [
        *jobs,
        Integer(n),
        Array(0),
        Integer(n),
        *(Array(1 + k) for k in range(values)),
        *(Array(3), Integer(n), Array(4), Integer(n)),
        *(Array(5), Integer(-1)),
        *([Array(6)] if is_complex else []),
        Array(7),
    ]
    room = workspace("geev", a.dtype, query)
    given: list[Given] = [
        *jobs,
        Integer(n),
        InOut(by_columns(a), (n, n)),
        Integer(n),
        *[Out((n,), a.dtype)] * values,
    ]
    for wanted in (compute_left, compute_right):
        given += [Out((n, n), a.dtype) if wanted else Null(), Integer(n)]
    given += [Scratch(room, a.dtype), Integer(room)]
    given += [Scratch(2 * n, real_dtype)] if is_complex else []
    seconds = _LIBRARY.seconds(n)
    outs = call_library(ctx, "geev", a.dtype, tuple(batch), [*given, INFO], seconds)
    _, *outs = outs

    def finished(scale: Value, *outs: Value) -> list[Value]:
        *parts, failed = outs
        if is_complex:
            w, *vectors = parts
            vectors = [mT(x) for x in vectors]
        else:
            wr, wi, *rows = parts
            w = complex_of(wr, wi)
            vectors = [mT(_unpacked(x, wi)) for x in rows]
        w = mul(
            w, as_dtype(broadcast_in_dim(scale, shape_of(w), range(len(batch) + 1)), dtype_of(w))
        )
        return [nan_where(failed, x) for x in (w, *vectors)]

    return apply(ctx, finished, scale, *outs)


def _at_unit_magnitude(a: Value) -> list[Value]:
    """Matrices over a power of two of their size, and those powers, of shape ``(…, 1)``."""
    scale = magnitude_of(a)
    every = broadcast_in_dim(scale, shape_of(a), range(len(shape_of(a))))
    return [div(a, as_dtype(every, dtype_of(a))), reshape(scale, shape_of(scale)[:-1])]


def _unpacked(rows: Value, wi: Value) -> Value:
    """Complex vectors, in rows, from LAPACK's pairs of rows for conjugate pairs of eigenvalues."""
    n = shape_of(wi)[-1]
    axis = len(shape_of(rows)) - 2
    sign = as_columns(wi, n)
    zero = full_like(rows, 0)
    first, second = gt(sign, zero), lt(sign, zero)
    re = select_n(second, rows, _turned(rows, axis, -1))
    im = select_n(first, select_n(second, zero, neg(rows)), _turned(rows, axis, 1))
    return complex_of(re, im)


def _turned(x: Value, axis: int, by: int) -> Value:
    """Element i + by (cyclically) at i."""
    n = shape_of(x)[axis]
    cut = by % n
    return concatenate([slice_along(x, cut, n, axis), slice_along(x, 0, cut, axis)], axis)


def _empty(a: Value, *, compute_left: bool, compute_right: bool) -> list[Value]:
    dtype = complex_of_dtype(dtype_of(a))
    shape: Shape = shape_of(a)
    return [full(s, 0, dtype) for s in (shape[:-1], *[shape] * (compute_left + compute_right))]


def_routine(eig_p, _price, _library, _empty)

# ---------------------------------------------------------------- schur

schur_p = Primitive("schur", multiple_results=True)


def schur(a: Value, compute_vectors: bool = True) -> list[Value]:
    """``[t]`` or ``[t, z]`` with ``a = z t z^H``: t is upper triangular, but for 2×2 blocks on the
    diagonal that stand for pairs of complex eigenvalues of real matrices."""
    return schur_p.bind(a, compute_vectors=bool(compute_vectors))


@schur_p.def_type
def _(a: ShapedArray, *, compute_vectors: bool) -> list[ShapedArray]:
    check_matrices("schur", a, square=True)
    return [ShapedArray(a.shape, a.dtype)] * (1 + compute_vectors)


@schur_p.def_numpy
def _(a: np.ndarray, *, compute_vectors: bool) -> list[np.ndarray]:
    from scipy.linalg import LinAlgError, schur

    t, z = np.empty_like(a), np.empty_like(a)
    for index in np.ndindex(a.shape[:-2]):
        try:
            t[index], z[index] = schur(a[index])
        except (LinAlgError, ValueError):  # no convergence, or elements that are not finite
            t[index] = z[index] = np.nan
    return [t, z] if compute_vectors else [t]


@schur_p.def_jvp
def _(
    primals: Values, tangents: Values, *, compute_vectors: bool
) -> tuple[list[Value], list[Value]]:
    (a,) = primals
    outs = schur(a, compute_vectors)
    if not is_zero(tangents[0]):
        raise TypeError(
            "schur has no derivative; where the eigenvalues are wanted, differentiate eigvals."
        )
    return outs, [zero_tangent(x) for x in outs]


@schur_p.def_batch
def _(
    axis_size: int, args: Values, dims: Dims, *, compute_vectors: bool
) -> tuple[list[Value], list[int]]:
    (a,) = batch_first(axis_size, args, dims)
    outs = schur(a, compute_vectors)
    return outs, [0] * len(outs)


def _schur_library(ctx: Lowering, a: AnyTensor, *, compute_vectors: bool) -> list[AnyTensor]:
    *batch, n, _ = a.shape
    is_complex = dtypes.is_complex(a.dtype)
    head: list[Any] = [Flag("V" if compute_vectors else "N"), Flag("N"), Null(), Integer(n)]
    values = 1 if is_complex else 2
    extra = [Array(6)] if is_complex else []
    query: list[Argument] = [*head, Array(0), Integer(n), Array(1)]
    query += [Array(2 + k) for k in range(values)]
    query += [Array(4), Integer(n), Array(5), Integer(-1), *extra, Null(), Array(7)]
    room = workspace("gees", a.dtype, query)
    given: list[Given] = [
        *head,
        InOut(by_columns(a), (n, n)),
        Integer(n),
        Scratch(1, _INT),
        *[Scratch(n, a.dtype)] * values,
        Out((n, n), a.dtype) if compute_vectors else Null(),
        Integer(n),
        Scratch(room, a.dtype),
        Integer(room),
        *([Scratch(n, real_of(a.dtype))] if is_complex else []),
        Null(),
        INFO,
    ]
    seconds = _LIBRARY.seconds(n)
    *outs, info = call_library(ctx, "gees", a.dtype, tuple(batch), given, seconds)

    def finished(failed: Value, *outs: Value) -> list[Value]:
        return [nan_where(failed, mT(x)) for x in outs]

    return apply(ctx, finished, info, *outs)


def_routine(
    schur_p,
    _price,
    _schur_library,
    lambda a, *, compute_vectors: [a] * (1 + compute_vectors),
)
