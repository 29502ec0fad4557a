"""Norms of vectors and matrices, for :mod:`weft.numpy.linalg`."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft import lax
from weft.array.calls import at_once
from weft.core import dtypes
from weft.numpy._common import (
    ArrayLike,
    Axis,
    Value,
    canonical_axes,
    dtype_of,
    promote_inexact,
    shape_of,
)
from weft.numpy.division import power
from weft.numpy.reductions import max as max_of
from weft.numpy.reductions import min as min_of
from weft.numpy.reductions import sum as sum_of
from weft.numpy.shaping import expand_dims, moveaxis
from weft.numpy.ufuncs import absolute, not_equal, sqrt


@at_once
def norm(x: ArrayLike, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Value:
    """The norm of vectors (one axis) or matrices (two axes).

    Without `ord` and `axis` it is that of the flat array. Vectors: any number, ±inf, 0 (how many
    are not zero). Matrices: "fro", "nuc", 1, −1, 2, −2, inf, −inf.

    >>> norm(np.array([3., 4.], np.float32))
    Array(5., dtype=float32)
    """
    (x,) = promote_inexact("linalg.norm", x)
    ndim = len(shape_of(x))
    if ord is None:
        axes = canonical_axes("linalg.norm", axis, ndim)
        return sqrt(sum_of(_square(x), axes, keepdims=keepdims))
    if axis is None:
        if ndim not in (1, 2):
            raise ValueError(
                f"weft.numpy.linalg.norm: give axis= for ord={ord!r} of an array of shape "
                f"{shape_of(x)}"
            )
        axis = tuple(range(ndim))
    axes = tuple(axis) if isinstance(axis, list | tuple) else (axis,)  # type: ignore[assignment]
    canonical = [canonical_axes("linalg.norm", (d,), ndim)[0] for d in axes]
    if len(canonical) == 1:
        return _vector_norm(x, ord, canonical[0], keepdims)
    if len(canonical) == 2:
        return _matrix_norm(x, ord, canonical[0], canonical[1], keepdims)
    raise ValueError(f"weft.numpy.linalg.norm: axis={axis!r} must be one axis or two")


def _square(x: Value) -> Value:
    if dtypes.is_complex(dtype_of(x)):
        real, imag = lax.real(x), lax.imag(x)
        return lax.add(lax.mul(real, real), lax.mul(imag, imag))
    return lax.mul(x, x)


def _vector_norm(x: Value, ord: Any, axis: int, keepdims: bool) -> Value:
    if isinstance(ord, str):
        raise ValueError(f"weft.numpy.linalg.norm: ord={ord!r} is not a norm of vectors")
    if ord == 2:
        return sqrt(sum_of(_square(x), axis, keepdims=keepdims))
    size = absolute(x)
    if ord == np.inf:
        return max_of(size, axis, keepdims=keepdims)
    if ord == -np.inf:
        return min_of(size, axis, keepdims=keepdims)
    if ord == 0:
        return sum_of(not_equal(x, 0).astype(dtype_of(size)), axis, keepdims=keepdims)
    if ord == 1:
        return sum_of(size, axis, keepdims=keepdims)
    return power(sum_of(power(size, float(ord)), axis, keepdims=keepdims), 1.0 / ord)


def _matrix_norm(x: Value, ord: Any, row: int, column: int, keepdims: bool) -> Value:
    if ord in ("fro", "f"):
        return sqrt(sum_of(_square(x), (row, column), keepdims=keepdims))
    if ord in ("nuc", 2, -2):
        return _spectral_norm(x, ord, row, column, keepdims)
    if ord not in (1, -1, np.inf, -np.inf):
        raise ValueError(
            f"weft.numpy.linalg.norm: ord={ord!r} is not a norm of matrices; use 'fro', 'nuc', 1, "
            "-1, 2, -2, inf or -inf"
        )
    summed, other = (row, column) if abs(ord) == 1 else (column, row)
    sums = sum_of(absolute(x), summed, keepdims=True)
    result = (max_of if ord > 0 else min_of)(sums, other, keepdims=True)
    shape = shape_of(result)
    if keepdims:
        return result
    return lax.reshape(result, tuple(n for d, n in enumerate(shape) if d not in (row, column)))


def _spectral_norm(x: Value, ord: Any, row: int, column: int, keepdims: bool) -> Value:
    """Norms made of singular values: their sum, the greatest, the least."""
    from weft.numpy.decompositions import svdvals

    s = svdvals(moveaxis(x, (row, column), (-2, -1)))
    fold: Any = {"nuc": sum_of, 2: max_of, -2: min_of}[ord]
    result = fold(s, -1)
    return expand_dims(result, tuple(sorted((row, column)))) if keepdims else result


@at_once
def vector_norm(
    x: ArrayLike, /, *, axis: Axis = None, keepdims: bool = False, ord: Any = 2
) -> Value:
    """The norm of vectors over any axes (all without `axis`).

    >>> np.linalg.vector_norm(np.array([3.0, 4.0]))
    Array(5., dtype=float32)
    """
    (x,) = promote_inexact("linalg.vector_norm", x)
    axes = canonical_axes("linalg.vector_norm", axis, len(shape_of(x)))
    kept = [d for d in range(len(shape_of(x))) if d not in axes]
    flat = moveaxis(x, axes, tuple(range(len(kept), len(shape_of(x)))))
    flat = lax.reshape(
        flat, (*(shape_of(x)[d] for d in kept), int(np.prod([shape_of(x)[d] for d in axes])))
    )
    result = _vector_norm(flat, ord, len(kept), False)
    if not keepdims:
        return result
    return lax.reshape(result, tuple(1 if d in axes else n for d, n in enumerate(shape_of(x))))


@at_once
def matrix_norm(x: ArrayLike, /, *, keepdims: bool = False, ord: Any = "fro") -> Value:
    """The norm of matrices over the last two axes.

    >>> np.linalg.matrix_norm(np.array([[2.0, 0.0], [0.0, 4.0]])).round(4)
    Array(4.4721, dtype=float32)
    """
    return norm(x, ord, (-2, -1), keepdims)
