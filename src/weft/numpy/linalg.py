"""`weft.numpy.linalg`: NumPy's linear algebra, and the names of the Array API standard.

Everything works on stacks of matrices, can be jitted, differentiated and batched. Nothing raises
for what only the numbers tell: a matrix that is singular or not positive definite gives inf or NaN.
"""

from __future__ import annotations

from typing import Any

from numpy.linalg import LinAlgError  # for programs that catch it: nothing here raises it

from weft.array.calls import at_once
from weft.numpy._common import ArrayLike, DType, Value, shape_of
from weft.numpy.contraction import cross as _cross
from weft.numpy.contraction import matmul, tensordot, vecdot
from weft.numpy.contraction import outer as _outer
from weft.numpy.decompositions import (
    EighResult,
    EigResult,
    QRResult,
    SVDResult,
    cholesky,
    eig,
    eigh,
    eigvals,
    eigvalsh,
    qr,
    svd,
    svdvals,
)
from weft.numpy.norms import matrix_norm, norm, vector_norm
from weft.numpy.shaping import diagonal as _diagonal
from weft.numpy.shaping import matrix_transpose
from weft.numpy.shaping import trace as _trace
from weft.numpy.solving import (
    SlogdetResult,
    cond,
    det,
    inv,
    lstsq,
    matrix_power,
    matrix_rank,
    pinv,
    slogdet,
    solve,
    tensorinv,
    tensorsolve,
)

__all__ = [
    "EigResult",
    "EighResult",
    "LinAlgError",
    "QRResult",
    "SVDResult",
    "SlogdetResult",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "tensorinv",
    "tensorsolve",
    "trace",
    "vecdot",
    "vector_norm",
]


@at_once
def cross(x1: ArrayLike, x2: ArrayLike, /, *, axis: int = -1) -> Value:
    """The cross product of vectors of three elements along `axis`; other axes broadcast.

    >>> np.linalg.cross(np.array([1, 0, 0]), np.array([0, 1, 0]))
    Array([0, 0, 1], dtype=int32)

    Raises
    ------
    ValueError: for other lengths than 3; `weft.numpy.cross` takes vectors of two elements too.
    """
    for place, x in (("x1", x1), ("x2", x2)):
        if not shape_of(x) or shape_of(x)[axis] != 3:
            raise ValueError(
                f"weft.numpy.linalg.cross: {place} must have three elements along axis {axis}, has "
                f"shape {shape_of(x)}"
            )
    return _cross(x1, x2, axis=axis)


@at_once
def diagonal(x: ArrayLike, /, *, offset: int = 0) -> Value:
    """The diagonals of the matrices over the last two axes.

    >>> np.linalg.diagonal(np.arange(4).reshape(2, 2), offset=1)
    Array([1], dtype=int32)
    """
    return _diagonal(x, offset, -2, -1)


@at_once
def trace(x: ArrayLike, /, *, offset: int = 0, dtype: DType = None) -> Value:
    """The sums of the diagonals of the matrices over the last two axes.

    >>> np.linalg.trace(np.ones((3, 2, 2)))
    Array([2., 2., 2.], dtype=float32)
    """
    return _trace(x, offset, -2, -1, dtype)


@at_once
def outer(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """The products of every element of one vector with every element of another, as a matrix.

    >>> np.linalg.outer(np.array([1, 2]), np.array([3, 4]))
    Array([[3, 4],
           [6, 8]], dtype=int32)

    Raises
    ------
    ValueError: for what is not a vector; `weft.numpy.outer` makes vectors of all arrays.
    """
    if len(shape_of(x1)) != 1 or len(shape_of(x2)) != 1:
        raise ValueError(
            f"weft.numpy.linalg.outer: x1 and x2 must be vectors, got shapes {shape_of(x1)} and "
            f"{shape_of(x2)}"
        )
    return _outer(x1, x2)


def multi_dot(arrays: Any, *, precision: Any = None) -> Value:
    """The product of a chain of matrices, in the order that takes the fewest operations.

    >>> np.linalg.multi_dot([np.ones((2, 3)), np.ones((3, 2)), np.ones(2)])
    Array([6., 6.], dtype=float32)
    """
    from weft.numpy.einsum import einsum
    from weft.numpy.shaping import atleast_2d

    matrices = list(arrays)
    if len(matrices) < 2:
        raise ValueError("weft.numpy.linalg.multi_dot: needs at least two arrays")
    first_vector, last_vector = len(shape_of(matrices[0])) == 1, len(shape_of(matrices[-1])) == 1
    matrices[0] = atleast_2d(matrices[0])
    if last_vector:
        matrices[-1] = matrices[-1][:, None]
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    terms = ",".join(letters[k] + letters[k + 1] for k in range(len(matrices)))
    result = einsum(f"{terms}->{letters[0]}{letters[len(matrices)]}", *matrices, optimize="optimal")
    if first_vector:
        result = result[0]
    return result[..., 0] if last_vector else result
