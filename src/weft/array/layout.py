"""How `Array` stores what native code reads and writes."""

from __future__ import annotations

from functools import cache

from weft.array.value import Array
from weft.runtime.call_path import ArrayLayout


@cache
def array_layout() -> ArrayLayout:
    """Slots of `Array`, for the generated call path."""
    initial = {"_pending": None, "_note": None}
    return ArrayLayout(Array, aval="aval", buffer="_buffer", initial=initial)
