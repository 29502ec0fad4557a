"""Sylvester equations ``a x + x b = c``: linear in c, with the transposed equation for transpose.

Having a primitive for them makes derivatives equations of the same kind, of any order, though they
are solved by Schur forms, which have none.
"""

from __future__ import annotations

import numpy as np

from weft.core.avals import ShapedArray
from weft.core.linear import is_undef, is_zero
from weft.core.primitive import Primitive
from weft.primitives.arithmetic import add, neg
from weft.primitives.matrix import check_matrices, matmul, mT
from weft.primitives.routines import inline_portable
from weft.primitives.rules import (
    Batched,
    Cotangents,
    Dims,
    Dual,
    Value,
    Values,
    check_same_dtype,
    zero_tangent,
)
from weft.primitives.shaping import batch_first
from weft.terms.lower import Lowering
from weft.terms.tensor import AnyTensor

sylvester_p = Primitive("sylvester")


def sylvester(a: Value, b: Value, c: Value) -> Value:
    """x with ``a x + x b = c``; there is one if no eigenvalue of `a` is one of ``-b``."""
    return sylvester_p.bind(a, b, c)


@sylvester_p.def_type
def _(a: ShapedArray, b: ShapedArray, c: ShapedArray) -> ShapedArray:
    check_matrices("sylvester", a, b, square=True)
    check_matrices("sylvester", c)
    check_same_dtype("sylvester", a, b, c)
    batches = {x.shape[:-2] for x in (a, b, c)}
    if len(batches) > 1 or c.shape[-2:] != (a.shape[-1], b.shape[-1]):
        raise ValueError(
            f"sylvester of a={a}, b={b} and c={c}: c must have as many rows as a and as many "
            "columns as b, and batch axes must be the same."
        )
    return ShapedArray(c.shape, c.dtype)


@sylvester_p.def_numpy
def _(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    from scipy.linalg import LinAlgError, solve_sylvester

    x = np.empty_like(c)
    for index in np.ndindex(c.shape[:-2]) if c.size else ():
        try:
            x[index] = solve_sylvester(a[index], b[index], c[index])
        except (LinAlgError, ValueError):  # no solution, or elements that are not finite
            x[index] = np.nan
    return x


@sylvester_p.def_jvp
def _(primals: Values, tangents: Values) -> Dual:
    # a dx + dx b = dc - da x - x db.
    (a, b, c), (da, db, dc) = primals, tangents
    x = sylvester(a, b, c)
    changes = [] if is_zero(dc) else [dc]
    changes += [] if is_zero(da) else [neg(matmul(da, x))]
    changes += [] if is_zero(db) else [neg(matmul(x, db))]
    if not changes:
        return x, zero_tangent(x)
    total = changes[0]
    for change in changes[1:]:
        total = add(total, change)
    return x, sylvester(a, b, total)


@sylvester_p.def_transpose
def _(ct: Value, a: Value, b: Value, c: Value) -> Cotangents:
    if is_zero(ct):
        return [None] * 3
    if is_undef(a) or is_undef(b):
        raise NotImplementedError("sylvester is linear in c only.")
    return [None, None, sylvester(mT(a), mT(b), ct)]


@sylvester_p.def_batch
def _(axis_size: int, args: Values, dims: Dims) -> Batched:
    return sylvester_p.bind(*batch_first(axis_size, args, dims)), 0


@sylvester_p.def_lower_complex
@sylvester_p.def_lower
def _(ctx: Lowering, *args: AnyTensor) -> AnyTensor:
    """By Schur forms, which are routines themselves."""
    return inline_portable(ctx, sylvester_p, *args)[0]
