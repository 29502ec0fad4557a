"""The Cholesky factor of Hermitian positive definite matrices: ``a = L L^H`` with L lower.

Only the lower triangle of `a` is read. A matrix that is not positive definite gives NaN everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.core.avals import ShapedArray
from weft.core.linear import is_zero
from weft.core.primitive import Primitive
from weft.primitives.library_call import (
    INFO,
    Flag,
    Given,
    InOut,
    Integer,
    call_library,
)
from weft.primitives.linalg_solve import triangular_solve
from weft.primitives.matrix import (
    check_matrices,
    half_diagonal,
    matmul,
    mirrored,
    nan_where,
    tril,
)
from weft.primitives.routines import UNROLLED, Cost, Price, apply, def_routine, price_of
from weft.primitives.rules import Batched, Dims, Dual, Value, Values, zero_tangent
from weft.primitives.shaping import batch_first
from weft.terms.lower import Lowering
from weft.terms.tensor import AnyTensor

cholesky_p = Primitive("cholesky")


def cholesky(a: Value) -> Value:
    """The lower factors of a stack of matrices, zero above the diagonal."""
    return cholesky_p.bind(a)


@cholesky_p.def_type
def _(a: ShapedArray) -> ShapedArray:
    check_matrices("cholesky", a, square=True)
    return ShapedArray(a.shape, a.dtype)


@cholesky_p.def_numpy
def _(a: np.ndarray) -> np.ndarray:
    out = np.empty_like(a)
    for index in np.ndindex(a.shape[:-2]):
        try:
            out[index] = np.linalg.cholesky(a[index])
        except np.linalg.LinAlgError:
            out[index] = np.nan
    return out


@cholesky_p.def_jvp
def _(primals: Values, tangents: Values) -> Dual:
    # Murray (2016), equation 8: dL = L Φ(L⁻¹ dA L⁻ᴴ).
    (factor,) = map(cholesky, primals)
    (da,) = tangents
    if is_zero(da):
        return factor, zero_tangent(factor)
    right = triangular_solve(
        factor, mirrored(da), left_side=False, transpose_a=True, conjugate_a=True
    )
    return factor, matmul(factor, half_diagonal(triangular_solve(factor, right)))


@cholesky_p.def_batch
def _(axis_size: int, args: Values, dims: Dims) -> Batched:
    (a,) = batch_first(axis_size, args, dims)
    return cholesky(a), 0


_LIBRARY = Cost(call=20, row=8, square=1, cube=0.015)
_TINY = Cost(square=0.7)
_START, _LOOP = Cost(row=60), Cost(square=1.2, cube=0.05)


def _price(a: AnyTensor) -> Price:
    if max(a.shape[-2:]) <= UNROLLED:
        return price_of(a, _LIBRARY, Cost(), _TINY)
    return price_of(a, _LIBRARY, _START, _LOOP)


def _library(ctx: Lowering, a: AnyTensor, **_: Any) -> list[AnyTensor]:
    # By columns LAPACK sees conj(a), whose upper factor U, by rows, is the lower factor of a.
    n = a.shape[-1]
    given: list[Given] = [Flag("U"), Integer(n), InOut(a, (n, n)), Integer(n), INFO]
    seconds = _LIBRARY.seconds(n)
    factor, info = call_library(ctx, "potrf", a.dtype, a.shape[:-2], given, seconds)

    return apply(ctx, lambda x, failed: [nan_where(failed, tril(x))], factor, info)


def_routine(cholesky_p, _price, _library, lambda a: [a])
