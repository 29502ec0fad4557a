"""Stacks of matrices: what rules of linear algebra are written in.

The last two axes of every operand are rows and columns; the axes before them are the batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.primitives.arithmetic import abs as magnitude
from weft.primitives.arithmetic import add, clamp, floor, mul, neg
from weft.primitives.arithmetic import max as greater
from weft.primitives.bitwise import and_
from weft.primitives.comparison import eq, ge, gt, is_finite, le, ne
from weft.primitives.complex import conj, imag, real
from weft.primitives.convert import convert_element_type
from weft.primitives.creation import iota
from weft.primitives.dot_general import dot_general
from weft.primitives.reduction import reduce_max, reduce_sum
from weft.primitives.rules import Accepts, Shape, Value, check_accepts, dtype_of, shape_of
from weft.primitives.select import select_n
from weft.primitives.shaping import broadcast_in_dim, expand_dims, full_like, transpose
from weft.primitives.transcendental import exp2, log2

SOLVABLE = Accepts(
    "float32, float64, complex64 or complex128",
    lambda dtype: dtype.kind in "fc" and dtype.itemsize >= 4,
    "Convert it first, for example with lax.convert_element_type(x, 'float32').",
)


def check_matrices(name: str, *avals: ShapedArray, square: bool = False) -> None:
    """Raise unless every operand is a stack of (square) matrices of a dtype that LAPACK knows."""
    check_accepts(name, SOLVABLE, *avals)
    for aval in avals:
        if aval.ndim < 2:
            raise ValueError(
                f"{name} needs matrices in the last two axes, got {aval}. Add an axis with "
                "x[:, None] (a column) or x[None, :] (a row)."
            )
        if square and aval.shape[-1] != aval.shape[-2]:
            raise ValueError(
                f"{name} needs square matrices, got {aval} with {aval.shape[-2]} rows and "
                f"{aval.shape[-1]} columns in its last two axes."
            )


def real_of(dtype: np.dtype) -> np.dtype:
    """The dtype of magnitudes."""
    return dtypes.real_dtype(dtype)


def mT(x: Value) -> Value:
    """Rows and columns exchanged."""
    ndim = len(shape_of(x))
    return transpose(x, (*range(ndim - 2), ndim - 1, ndim - 2))


def conjugate(x: Value) -> Value:
    """The conjugate; real numbers are their own."""
    return conj(x) if dtypes.is_complex(dtype_of(x)) else x


def mH(x: Value) -> Value:
    """Rows and columns exchanged, and conjugated."""
    return conjugate(mT(x))


def matmul(a: Value, b: Value) -> Value:
    """Products of the matrices of two stacks of one batch shape."""
    ndim = len(shape_of(a))
    batch = tuple(range(ndim - 2))
    return dot_general(a, b, (((ndim - 1,), (ndim - 2,)), (batch, batch)))


def real_part(x: Value) -> Value:
    """The real part; real numbers are their own."""
    return real(x) if dtypes.is_complex(dtype_of(x)) else x


def as_dtype(x: Value, dtype: np.dtype) -> Value:
    """The same numbers in another dtype; itself if it has it."""
    return x if dtype_of(x) == dtype else convert_element_type(x, dtype)


def scaled(x: Value, factor: float) -> Value:
    """Every element times a number."""
    return mul(x, full_like(x, factor))


def place(shape: Shape, compare: Any, offset: int = 0) -> Value:
    """Where ``compare(row + offset, column)`` holds in matrices of `shape`, as one of booleans."""
    rows, columns = shape[-2:]
    index = np.dtype(np.int32)
    row, column = iota(index, (rows, columns), 0), iota(index, (rows, columns), 1)
    return compare(add(row, full_like(row, offset)) if offset else row, column)


def masked(x: Value, mask: Value) -> Value:
    """Elements where a matrix of booleans is true, zero elsewhere."""
    shape = shape_of(x)
    return select_n(over_batch(mask, shape), full_like(x, 0), x)


def over_batch(matrix: Value, shape: Shape) -> Value:
    """One matrix repeated for a batch."""
    return broadcast_in_dim(matrix, shape, (len(shape) - 2, len(shape) - 1))


def tril(x: Value, k: int = 0) -> Value:
    """The lower triangle up to the k-th diagonal, zero above."""
    return masked(x, place(shape_of(x), ge, k))


def triu(x: Value, k: int = 0) -> Value:
    """The upper triangle from the k-th diagonal on, zero below."""
    return masked(x, place(shape_of(x), le, k))


def strictly_lower(x: Value) -> Value:
    """What is below the diagonal."""
    return masked(x, place(shape_of(x), gt))


def eye(shape: Shape, dtype: np.dtype) -> Value:
    """The identity (ones on the main diagonal) repeated for a batch."""
    ones = place(shape, eq)
    return over_batch(convert_element_type(ones, dtype), shape)


def diagonal(x: Value) -> Value:
    """The elements of the main diagonals: square matrices to vectors."""
    return reduce_sum(masked(x, place(shape_of(x), eq)), (len(shape_of(x)) - 1,))


def as_rows(v: Value, rows: int) -> Value:
    """Vectors repeated as each of ``rows`` rows: element j of the vector in column j."""
    *batch, n = shape_of(v)
    return broadcast_in_dim(v, (*batch, rows, n), (*range(len(batch)), len(batch) + 1))


def as_columns(v: Value, columns: int) -> Value:
    """Vectors repeated as each of ``columns`` columns: element i of the vector in row i."""
    *batch, n = shape_of(v)
    return broadcast_in_dim(v, (*batch, n, columns), tuple(range(len(batch) + 1)))


def half_diagonal(x: Value) -> Value:
    """The lower triangle with half of the diagonal: Φ of Murray (2016)."""
    lower = strictly_lower(x)
    return add(lower, scaled(masked(x, place(shape_of(x), eq)), 0.5))


def nan_where(failed: Value, x: Value) -> Value:
    """NaN in all of the matrices (or vectors) of the batch for which ``failed`` is not zero."""
    shape = shape_of(x)
    flags = broadcast_in_dim(ne(failed, full_like(failed, 0)), shape, range(len(shape_of(failed))))
    return select_n(flags, x, full_like(x, np.nan))


def mirrored(x: Value, lower: bool = True) -> Value:
    """The Hermitian matrices of which x has one triangle; the other is not read."""
    rest = tril(x, -1) if lower else triu(x, 1)
    line = masked(x, place(shape_of(x), eq))
    return add(add(rest, mH(rest)), as_dtype(real_part(line), dtype_of(x)))


def symmetrized(x: Value) -> Value:
    """``(x + x^H) / 2``."""
    return scaled(add(x, mH(x)), 0.5)


def magnitude_of(x: Value) -> Value:
    """For each matrix the power of two below its largest element, of shape ``(…, 1, 1)``.

    Dividing by it is exact, and leaves elements whose squares neither overflow nor vanish. It is 1
    for matrices of zeros, and for those with elements that are not finite.
    """
    ndim = len(shape_of(x))
    if dtypes.is_complex(dtype_of(x)):
        size = greater(magnitude(real(x)), magnitude(imag(x)))
    else:
        size = magnitude(x)
    most = reduce_max(size, (ndim - 2, ndim - 1))
    # Its reciprocal, too, has to be a normal number.
    limit = full_like(most, float(np.finfo(dtype_of(most)).maxexp - 2))
    exponent = clamp(neg(limit), floor(log2(most)), limit)
    good = and_(is_finite(most), gt(most, full_like(most, 0)))
    return expand_dims(select_n(good, full_like(most, 1), exp2(exponent)), (ndim - 2, ndim - 1))
