"""Numbers that are passed again and again (a step size, a position), kept as arrays."""

from __future__ import annotations

from typing import Any

from weft.array.delayed import as_constant
from weft.array.value import Array

LIMIT = 1024

_kept: dict[tuple[type, Any], Array] = {}


def kept_scalar(x: Any) -> Any:
    """A Python number as an array, the same one each time; anything else as it is.

    Only for arguments that are read and never given away: others may hold the same array.
    """
    kind = type(x)
    if kind is not int and kind is not float and kind is not bool:
        return x
    if kind is float and (x == 0 or x != x):  # 0.0 equals -0.0, and nan does not equal itself
        return as_constant(x)
    found = _kept.get((kind, x))
    if found is None:
        if len(_kept) >= LIMIT:
            _kept.clear()
        found = _kept[kind, x] = as_constant(x)
    return found
