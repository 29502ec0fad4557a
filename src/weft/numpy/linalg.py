"""`weft.numpy.linalg`: NumPy's linear algebra, and the names of the Array API standard.

Everything works on stacks of matrices, can be jitted, differentiated and batched. Nothing raises
for what only the numbers tell: a matrix that is singular or not positive definite gives inf or NaN.
"""

from __future__ import annotations

from typing import Any

from weft.numpy._common import Value, shape_of
from weft.numpy.contraction import cross, matmul, outer, tensordot, vecdot
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
from weft.numpy.shaping import diagonal, matrix_transpose, trace
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


def multi_dot(arrays: Any) -> Value:
    """The product of a chain of matrices, in the order that takes the fewest operations."""
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
