"""What a stream becomes, and from which size on: all that plans without streams need to know."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from weft.kernels.ir import Kernel
from weft.structs import struct
from weft.terms.term import Value

#: The part of a core's own cache that streamed arrays fill at least; less had better stay there.
SMALL = 0.5


@struct(frozen=True)
class Streamed:
    """A blocked kernel and the values of its parameters; ``key`` tells its structure.

    ``ranked`` gives so many kernels of the lowest prices, this one first.
    """

    kernel: Kernel
    values: tuple[Value, ...]
    seconds: float
    key: Hashable
    ranked: Callable[[int], list[Kernel]]
