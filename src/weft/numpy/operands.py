"""What functions of linear algebra accept: stacks of matrices of one floating dtype."""

from __future__ import annotations

from weft.numpy._common import ArrayLike, Value, dtype_of, promote_inexact, public_name, shape_of
from weft.numpy.creation import asarray


def matrices(name: str, *xs: ArrayLike, square: bool = False) -> list[Value]:
    """Operands of one dtype; errors name the function unless they are (square) matrices.

    ``name`` begins with the namespace: `linalg.det`, `scipy.linalg.lu`.
    """
    values = [asarray(x) for x in promote_inexact(name, *xs)]
    for position, x in enumerate(values):
        shape = shape_of(x)
        if len(shape) < 2:
            raise ValueError(
                f"{public_name(name)}: argument {position} must have matrices in its last two "
                f"axes, got shape {shape}"
            )
        if square and shape[-1] != shape[-2]:
            raise ValueError(
                f"{public_name(name)}: argument {position} must be square in its last two "
                f"axes, got shape {shape}"
            )
        check_precision(name, position, x)
    return values


def check_precision(name: str, position: int, x: Value) -> None:
    """TypeError for 16-bit floats, for which there are no factorizations."""
    if dtype_of(x).itemsize < 4:
        raise TypeError(
            f"{public_name(name)}: argument {position} is {dtype_of(x)}, which is too narrow "
            "for linear algebra; convert it first (x.astype('float32'))"
        )
