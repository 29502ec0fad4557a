"""What the functions of `weft.scipy.linalg` accept: stacks of matrices of one floating dtype."""

from __future__ import annotations

from weft.numpy._common import (
    ArrayLike,
    Value,
    broadcast_shape,
    broadcast_to_shape,
    dtype_of,
    promote_inexact,
    shape_of,
)
from weft.numpy.classify import conj
from weft.numpy.creation import asarray
from weft.numpy.shaping import matrix_transpose


def matrices(name: str, *xs: ArrayLike, square: bool = False) -> list[Value]:
    """Operands of one dtype; errors name the function unless they are (square) matrices."""
    values = [asarray(x) for x in promote_inexact(f"scipy.linalg.{name}", *xs)]
    for position, x in enumerate(values):
        shape = shape_of(x)
        if len(shape) < 2:
            raise ValueError(
                f"weft.scipy.linalg.{name}: argument {position} must have matrices in its last two "
                f"axes, got shape {shape}"
            )
        if square and shape[-1] != shape[-2]:
            raise ValueError(
                f"weft.scipy.linalg.{name}: argument {position} must be square in its last two "
                f"axes, got shape {shape}"
            )
        check_precision(name, position, x)
    return values


def check_precision(name: str, position: int, x: Value) -> None:
    """TypeError for 16-bit floats, for which there are no factorizations."""
    if dtype_of(x).itemsize < 4:
        raise TypeError(
            f"weft.scipy.linalg.{name}: argument {position} is {dtype_of(x)}, which is too narrow "
            "for linear algebra; convert it first (x.astype('float32'))"
        )


def system(name: str, a: ArrayLike, b: ArrayLike) -> tuple[Value, Value, bool]:
    """Square matrices and right-hand sides with columns, of one dtype and batch shape; and whether
    the right-hand side was one vector."""
    x, y = (asarray(v) for v in promote_inexact(f"scipy.linalg.{name}", a, b))
    matrices(name, x, square=True)
    check_precision(name, 1, y)
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
