"""What the functions of `weft.nn` accept."""

from __future__ import annotations

from weft.numpy._common import ArrayLike, Value, promote_inexact
from weft.numpy.creation import asarray


def floating(name: str, x: ArrayLike) -> Value:
    """`x` as an array, of float32 if it has integers; TypeError that names ``weft.nn.name``."""
    (x,) = promote_inexact(f"nn.{name}", x)
    return asarray(x)
