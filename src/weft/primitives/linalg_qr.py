"""QR factors by Householder reflections: ``a = Q R`` with orthonormal columns of Q, R upper.

``geqrf`` gives LAPACK's compact form (R above the diagonal, the reflectors below it, and their
factors ``taus``), ``householder_product`` the matrix that reflectors multiply to, ``qr`` Q and R.
"""

from __future__ import annotations

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.linear import is_zero
from weft.core.primitive import Primitive
from weft.primitives.arithmetic import add, mul, sub
from weft.primitives.joining import concatenate
from weft.primitives.library_call import (
    INFO,
    Argument,
    Array,
    Given,
    In,
    InOut,
    Integer,
    Out,
    Scratch,
    by_columns,
    call_library,
    workspace,
)
from weft.primitives.linalg_solve import triangular_solve
from weft.primitives.matrix import (
    as_dtype,
    check_matrices,
    eye,
    matmul,
    mH,
    real_part,
    tril,
    triu,
)
from weft.primitives.routines import Cost, Price, def_routine, inline_portable, price_of
from weft.primitives.rules import (
    Batched,
    Dims,
    Value,
    Values,
    check_same_dtype,
    dtype_of,
    shape_of,
    zero_tangent,
)
from weft.primitives.shaping import batch_first, full
from weft.primitives.slicing import pad, slice_along
from weft.terms.lower import Lowering
from weft.terms.tensor import AnyTensor

# ---------------------------------------------------------------- geqrf

geqrf_p = Primitive("geqrf", multiple_results=True)


def geqrf(a: Value) -> list[Value]:
    """``[compact, taus]``: reflectors ``H_i = 1 - tau_i v_i v_i^H`` with ``a = H_1 H_2 … R``."""
    return geqrf_p.bind(a)


@geqrf_p.def_type
def _(a: ShapedArray) -> list[ShapedArray]:
    check_matrices("geqrf", a)
    *batch, rows, columns = a.shape
    taus = ShapedArray((*batch, min(rows, columns)), a.dtype)
    return [ShapedArray(a.shape, a.dtype), taus]


@geqrf_p.def_numpy
def _(a: np.ndarray) -> list[np.ndarray]:
    from scipy.linalg import get_lapack_funcs

    *batch, rows, columns = a.shape
    out, taus = np.empty_like(a), np.zeros((*batch, min(rows, columns)), a.dtype)
    (function,) = get_lapack_funcs(("geqrf",), dtype=a.dtype)
    for index in np.ndindex(*batch) if a.size else ():
        out[index], taus[index], _, _ = function(a[index])
    return [out, taus]


@geqrf_p.def_jvp
def _(primals: Values, tangents: Values) -> tuple[list[Value], list[Value]]:
    outs = geqrf(*primals)
    if not is_zero(tangents[0]):
        raise TypeError("geqrf has no derivative: differentiate lax.linalg.qr, which has one.")
    return outs, [zero_tangent(x) for x in outs]


@geqrf_p.def_batch
def _(axis_size: int, args: Values, dims: Dims) -> tuple[list[Value], list[int]]:
    (a,) = batch_first(axis_size, args, dims)
    return geqrf(a), [0, 0]


_LIBRARY = Cost(call=30, row=20, square=7, cube=0.025)
_START, _LOOP = Cost(row=75), Cost(square=1.5, cube=0.11)


def _price(a: AnyTensor, *_: AnyTensor) -> Price:
    return price_of(a, _LIBRARY, _START, _LOOP)


def _geqrf_library(ctx: Lowering, a: AnyTensor) -> list[AnyTensor]:
    *batch, rows, columns = a.shape
    count = min(rows, columns)
    sizes = [Integer(rows), Integer(columns)]
    query: list[Argument] = [*sizes, Array(0), Integer(rows), Array(1), Array(2)]
    query += [Integer(-1), Array(3)]
    room = workspace("geqrf", a.dtype, query)
    given: list[Given] = [
        *sizes,
        InOut(by_columns(a), (columns, rows)),
        Integer(rows),
        Out((count,), a.dtype),
        Scratch(room, a.dtype),
        Integer(room),
        INFO,
    ]
    seconds = _LIBRARY.seconds(rows, columns)
    out, taus, _ = call_library(ctx, "geqrf", a.dtype, tuple(batch), given, seconds)
    return [by_columns(out), taus]


def _no_reflectors(a: Value) -> list[Value]:
    *batch, rows, columns = shape_of(a)
    return [a, full((*batch, min(rows, columns)), 0, dtype_of(a))]


def_routine(geqrf_p, _price, _geqrf_library, _no_reflectors)

# ---------------------------------------------------------------- householder_product

householder_product_p = Primitive("householder_product")


def householder_product(a: Value, taus: Value) -> Value:
    """The first columns of ``H_1 H_2 …``, as many as `a` has; its columns below the diagonal are
    the reflectors, `taus` their factors."""
    return householder_product_p.bind(a, taus)


@householder_product_p.def_type
def _(a: ShapedArray, taus: ShapedArray) -> ShapedArray:
    check_matrices("householder_product", a)
    check_same_dtype("householder_product", a, taus)
    rows, columns = a.shape[-2:]
    if rows < columns or taus.shape[:-1] != a.shape[:-2] or taus.shape[-1] > columns:
        raise ValueError(
            f"householder_product of a={a} and taus={taus}: a must not have more columns than "
            "rows, taus not more elements than a has columns, and the batch axes must be the same."
        )
    return ShapedArray(a.shape, a.dtype)


@householder_product_p.def_numpy
def _(a: np.ndarray, taus: np.ndarray) -> np.ndarray:
    from scipy.linalg import get_lapack_funcs

    out = np.broadcast_to(np.eye(*a.shape[-2:], dtype=a.dtype), a.shape).copy()
    name = "ungqr" if dtypes.is_complex(a.dtype) else "orgqr"
    (function,) = get_lapack_funcs((name,), dtype=a.dtype)
    for index in np.ndindex(a.shape[:-2]) if a.size and taus.size else ():
        out[index] = function(a[index], taus[index])[0]
    return out


@householder_product_p.def_jvp
def _(primals: Values, tangents: Values) -> tuple[Value, Value]:
    out = householder_product(*primals)
    if not all(is_zero(t) for t in tangents):
        raise TypeError(
            "householder_product has no derivative: differentiate lax.linalg.qr, which has one."
        )
    return out, zero_tangent(out)


@householder_product_p.def_batch
def _(axis_size: int, args: Values, dims: Dims) -> Batched:
    a, taus = batch_first(axis_size, args, dims)
    return householder_product(a, taus), 0


def _product_library(ctx: Lowering, a: AnyTensor, taus: AnyTensor) -> list[AnyTensor]:
    *batch, rows, columns = a.shape
    count = taus.shape[-1]
    name = "ungqr" if dtypes.is_complex(a.dtype) else "orgqr"
    sizes = [Integer(rows), Integer(columns), Integer(count)]
    query: list[Argument] = [*sizes, Array(0), Integer(rows), Array(1), Array(2)]
    query += [Integer(-1), Array(3)]
    room = workspace(name, a.dtype, query)
    given: list[Given] = [
        *sizes,
        InOut(by_columns(a), (columns, rows)),
        Integer(rows),
        In(taus, (count,)),
        Scratch(room, a.dtype),
        Integer(room),
        INFO,
    ]
    seconds = _LIBRARY.seconds(rows, columns)
    out, _ = call_library(ctx, name, a.dtype, tuple(batch), given, seconds)
    return [by_columns(out)]


def_routine(
    householder_product_p,
    _price,
    _product_library,
    lambda a, taus: [eye(shape_of(a), dtype_of(a))],
)

# ---------------------------------------------------------------- qr

qr_p = Primitive("qr", multiple_results=True)


def qr(a: Value, full_matrices: bool = False) -> list[Value]:
    """``[Q, R]``; with `full_matrices`, Q is square and R has as many rows as `a`."""
    return qr_p.bind(a, full_matrices=bool(full_matrices))


@qr_p.def_type
def _(a: ShapedArray, *, full_matrices: bool) -> list[ShapedArray]:
    check_matrices("qr", a)
    *batch, rows, columns = a.shape
    inner = rows if full_matrices else min(rows, columns)
    shapes = (*batch, rows, inner), (*batch, inner, columns)
    return [ShapedArray(shape, a.dtype) for shape in shapes]


@qr_p.def_numpy
def _(a: np.ndarray, *, full_matrices: bool) -> list[np.ndarray]:
    return list(np.linalg.qr(a, mode="complete" if full_matrices else "reduced"))


@qr_p.def_jvp
def _(primals: Values, tangents: Values, *, full_matrices: bool) -> tuple[list[Value], list[Value]]:
    (a,), (da,) = primals, tangents
    q, r = qr(a, full_matrices)
    if is_zero(da):
        return [q, r], [zero_tangent(q), zero_tangent(r)]
    rows, columns = shape_of(a)[-2:]
    if full_matrices and rows > columns:
        raise TypeError(
            f"qr: the columns of a full Q beyond the first {columns} can be any basis and so have "
            "no derivative; use the reduced form (full_matrices=False, mode='reduced')."
        )
    if rows >= columns:
        return [q, r], list(_tangents(q, r, da))
    # Q and the left part of R are those of the left columns; the rest of R is Q^H a.
    last = len(shape_of(a)) - 1
    dq, dr = _tangents(q, slice_along(r, 0, rows, last), slice_along(da, 0, rows, last))
    rest, d_rest = (slice_along(x, rows, columns, last) for x in (a, da))
    right = add(matmul(mH(dq), rest), matmul(mH(q), d_rest))
    return [q, r], [dq, concatenate([dr, right], last)]


def _tangents(q: Value, r: Value, da: Value) -> tuple[Value, Value]:
    """For full column rank (Walter and Lehmann 2018, "Algorithmic differentiation of linear algebra
    functions", section 4.2): ``Q^H dQ`` is skew-Hermitian with the lower part of ``Q^H dA R⁻¹``."""
    right = triangular_solve(r, da, left_side=False, lower=False)
    inner = matmul(mH(q), right)
    lower = tril(inner, -1)
    turn = sub(lower, mH(lower))
    if dtypes.is_complex(dtype_of(q)):
        diagonal = sub(inner, as_dtype(real_part(inner), dtype_of(q)))
        turn = add(turn, mul(eye(shape_of(inner), dtype_of(q)), diagonal))
    dq = add(matmul(q, sub(turn, inner)), right)
    return dq, matmul(sub(inner, turn), r)


@qr_p.def_batch
def _(
    axis_size: int, args: Values, dims: Dims, *, full_matrices: bool
) -> tuple[list[Value], list[int]]:
    (a,) = batch_first(axis_size, args, dims)
    return qr(a, full_matrices), [0, 0]


def _by_reflections(a: Value, *, full_matrices: bool) -> list[Value]:
    rows, columns = shape_of(a)[-2:]
    ndim = len(shape_of(a))
    compact, taus = geqrf(a)
    least = min(rows, columns)
    reflectors = slice_along(compact, 0, least, ndim - 1)
    if full_matrices and rows > columns:
        widths = [(0, 0, 0)] * (ndim - 1) + [(0, rows - columns, 0)]
        reflectors = pad(reflectors, np.zeros((), dtype_of(a)), widths)
    r = compact if full_matrices else slice_along(compact, 0, least, ndim - 2)
    return [householder_product(reflectors, taus), triu(r)]


qr_p.def_portable(_by_reflections)


@qr_p.def_lower_complex
@qr_p.def_lower
def _(ctx: Lowering, a: AnyTensor, *, full_matrices: bool) -> list[AnyTensor]:
    return inline_portable(ctx, qr_p, a, full_matrices=full_matrices)
