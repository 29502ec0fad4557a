"""Solving tridiagonal systems, in time proportional to their length.

The matrix is given by three vectors of equal length: ``dl[i] = a[i, i-1]``, ``d[i] = a[i, i]`` and
``du[i] = a[i, i+1]``; ``dl[0]`` and ``du[-1]`` are not read. The solution is linear in the
right-hand sides, and its transpose is the solution with the transposed matrix.
"""

from __future__ import annotations

import math

import numpy as np

from weft.core.avals import ShapedArray
from weft.core.linear import is_undef, is_zero
from weft.core.primitive import Primitive
from weft.primitives.arithmetic import add, mul, neg
from weft.primitives.library_call import INFO, Given, InOut, Integer, by_columns, call_library
from weft.primitives.matrix import SOLVABLE, as_columns, nan_where
from weft.primitives.routines import Price, apply, def_routine, inline_portable
from weft.primitives.rules import (
    Batched,
    Cotangents,
    Dims,
    Dual,
    Value,
    Values,
    check_accepts,
    check_same_dtype,
    dtype_of,
    shape_of,
    zero_tangent,
)
from weft.primitives.shaping import batch_first, instantiate
from weft.primitives.slicing import pad, slice_along
from weft.terms.lower import Lowering
from weft.terms.tensor import AnyTensor

tridiagonal_solve_p = Primitive("tridiagonal_solve")


def tridiagonal_solve(
    dl: Value, d: Value, du: Value, b: Value, perturb_singular: bool = False
) -> Value:
    """x with ``a x = b``; `b` has rows and columns.

    With `perturb_singular`, pivots that are zero to rounding are replaced by such that are not.
    """
    return tridiagonal_solve_p.bind(dl, d, du, b, perturb_singular=bool(perturb_singular))


@tridiagonal_solve_p.def_type
def _(
    dl: ShapedArray, d: ShapedArray, du: ShapedArray, b: ShapedArray, *, perturb_singular: bool
) -> ShapedArray:
    check_same_dtype("tridiagonal_solve", dl, d, du, b)
    check_accepts("tridiagonal_solve", SOLVABLE, d)
    if not d.ndim or not dl.shape == d.shape == du.shape or b.shape[:-1] != d.shape:
        raise ValueError(
            f"tridiagonal_solve of dl={dl}, d={d}, du={du} and b={b}: the diagonals must have one "
            "shape (dl[0] and du[-1] are not read), and b that shape and an axis of columns."
        )
    return b


@tridiagonal_solve_p.def_numpy
def _(
    dl: np.ndarray, d: np.ndarray, du: np.ndarray, b: np.ndarray, *, perturb_singular: bool
) -> np.ndarray:
    x = np.empty_like(b)
    for index in np.ndindex(d.shape[:-1]) if b.size else ():
        with np.errstate(all="ignore"):
            x[index] = _solved(dl[index], d[index], du[index], b[index], perturb_singular)
    return x


def _solved(
    dl: np.ndarray, d: np.ndarray, du: np.ndarray, b: np.ndarray, perturb: bool
) -> np.ndarray:
    """Elimination with partial pivoting, which leaves two diagonals above the main one."""
    n = len(d)
    rows = np.stack([d, du, np.zeros_like(d)])
    rows[1, -1] = 0
    x = b.copy()
    for i in range(n - 1):
        following = np.array([dl[i + 1], d[i + 1], du[i + 1] if i + 2 < n else 0])
        if abs(rows[0, i]) < abs(following[0]):
            rows[:, i], following = following, rows[:, i].copy()
            x[[i, i + 1]] = x[[i + 1, i]]
        factor = following[0] / rows[0, i] if following[0] else 0
        rows[:2, i + 1] = following[1:] - factor * rows[1:, i]
        rows[2, i + 1] = 0
        x[i + 1] -= factor * x[i]
    if perturb:
        least = np.finfo(d.dtype).eps * abs(rows).max()
        rows[0] = np.where(abs(rows[0]) < least, least, rows[0])
    for i in range(n - 1, -1, -1):
        for k in (1, 2):
            if i + k < n:
                x[i] = x[i] - rows[k, i] * x[i + k]
        x[i] = x[i] / rows[0, i]
    return x if np.all(rows[0]) else np.full_like(x, np.nan)


@tridiagonal_solve_p.def_jvp
def _(primals: Values, tangents: Values, *, perturb_singular: bool) -> Dual:
    dl, d, du, b = primals
    *moved, db = tangents
    x = tridiagonal_solve(dl, d, du, b, perturb_singular)
    if all(map(is_zero, tangents)):
        return x, zero_tangent(x)
    if not all(map(is_zero, moved)):
        below, here, above = map(instantiate, moved)
        change = neg(_product(below, here, above, x))
        db = change if is_zero(db) else add(db, change)
    return x, tridiagonal_solve(dl, d, du, db, perturb_singular)


def _product(dl: Value, d: Value, du: Value, x: Value) -> Value:
    """The tridiagonal matrix times x."""
    columns = shape_of(x)[-1]
    below, here, above = (as_columns(v, columns) for v in (dl, d, du))
    result = mul(here, x)
    return add(add(result, mul(below, _moved(x, 1, -2))), mul(above, _moved(x, -1, -2)))


def _moved(x: Value, by: int, axis: int) -> Value:
    """Elements moved along an axis by one place, zero where none comes."""
    axis += len(shape_of(x))
    n = shape_of(x)[axis]
    kept = slice_along(x, 0, n - 1, axis) if by > 0 else slice_along(x, 1, n, axis)
    widths = [(0, 0, 0)] * len(shape_of(x))
    widths[axis] = (1, 0, 0) if by > 0 else (0, 1, 0)
    return pad(kept, np.zeros((), dtype_of(x)), widths)


@tridiagonal_solve_p.def_transpose
def _(ct: Value, dl: Value, d: Value, du: Value, b: Value, *, perturb_singular: bool) -> Cotangents:
    if is_zero(ct):
        return [None] * 4
    if any(map(is_undef, (dl, d, du))):
        raise NotImplementedError("tridiagonal_solve is not linear in the matrix.")
    back = tridiagonal_solve(_moved(du, 1, -1), d, _moved(dl, -1, -1), ct, perturb_singular)
    return [None, None, None, back]


@tridiagonal_solve_p.def_batch
def _(axis_size: int, args: Values, dims: Dims, *, perturb_singular: bool) -> Batched:
    operands = batch_first(axis_size, args, dims)
    return tridiagonal_solve_p.bind(*operands, perturb_singular=perturb_singular), 0


#: Seconds for each row of a system, and of a step of the portable loops for all of them together.
_CALL, _ROW, _ELEMENT, _STEP, _PORTABLE = 50e-9, 4e-9, 1e-9, 120e-9, 3e-9


def _price(
    dl: AnyTensor, d: AnyTensor, du: AnyTensor, b: AnyTensor, *, perturb_singular: bool
) -> Price:
    systems, n = math.prod(d.shape[:-1]), d.shape[-1]
    library = systems * (_CALL + n * _ROW) + b.size * _ELEMENT
    return Price(
        math.inf if perturb_singular else library,
        2 * n * _STEP + (systems * n + b.size) * _PORTABLE,
    )


def _library(
    ctx: Lowering,
    dl: AnyTensor,
    d: AnyTensor,
    du: AnyTensor,
    b: AnyTensor,
    *,
    perturb_singular: bool,
) -> list[AnyTensor]:
    if perturb_singular:  # which LAPACK has not
        return inline_portable(
            ctx, tridiagonal_solve_p, dl, d, du, b, perturb_singular=perturb_singular
        )
    *batch, n, columns = b.shape

    def shorter(dl: Value, du: Value) -> list[Value]:
        return [slice_along(dl, 1, n, len(batch)), slice_along(du, 0, n - 1, len(batch))]

    below, above = apply(ctx, shorter, dl, du)
    given: list[Given] = [
        Integer(n),
        Integer(columns),
        InOut(below, (n - 1,)),
        InOut(d, (n,)),
        InOut(above, (n - 1,)),
        InOut(by_columns(b), (columns, n)),
        Integer(n),
        INFO,
    ]
    seconds = _CALL + n * (_ROW + columns * _ELEMENT)
    *_, x, info = call_library(ctx, "gtsv", b.dtype, tuple(batch), given, seconds)
    return apply(ctx, lambda x, failed: [nan_where(failed, x)], by_columns(x), info)


def_routine(tridiagonal_solve_p, _price, _library, lambda dl, d, du, b, *, perturb_singular: [b])
