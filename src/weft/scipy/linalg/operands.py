"""What solvers of `weft.scipy.linalg` accept: matrices and right-hand sides of one dtype."""

from __future__ import annotations

from weft.numpy._common import (
    ArrayLike,
    Value,
    broadcast_shape,
    broadcast_to_shape,
    promote_inexact,
    shape_of,
)
from weft.numpy.classify import conj
from weft.numpy.creation import asarray
from weft.numpy.operands import check_precision, matrices
from weft.numpy.shaping import matrix_transpose


def system(name: str, a: ArrayLike, b: ArrayLike) -> tuple[Value, Value, bool]:
    """Square matrices and right-hand sides with columns, of one dtype and batch shape; and whether
    the right-hand side was one vector."""
    x, y = (asarray(v) for v in promote_inexact(f"scipy.linalg.{name}", a, b))
    matrices(f"scipy.linalg.{name}", x, square=True)
    check_precision(f"scipy.linalg.{name}", 1, y)
    vector = len(shape_of(y)) == 1
    y = y[:, None] if vector else y
    n = shape_of(x)[-1]
    if len(shape_of(y)) < 2 or shape_of(y)[-2] != n:
        raise ValueError(
            f"weft.scipy.linalg.{name}: matrices of shape {shape_of(x)} need right-hand sides with "
            f"{n} rows (a vector, or matrices in the last two axes), got shape {shape_of(b)}"
        )
    batch = broadcast_shape(f"scipy.linalg.{name}", shape_of(x)[:-2], shape_of(y)[:-2])
    x = broadcast_to_shape(x, (*batch, n, n))
    return x, broadcast_to_shape(y, (*batch, *shape_of(y)[-2:])), vector


def adjoint(x: Value) -> Value:
    """Rows and columns exchanged, and conjugated."""
    return conj(matrix_transpose(x))
