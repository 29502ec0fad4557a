"""Arrays: values on a device, delayed evaluation outside `jit`, and the protocols of Python."""

from __future__ import annotations

from weft.array.evaluation import block_until_ready, compute, evaluate, settle
from weft.array.value import (
    Array,
    View,
    alias,
    borrow_numpy,
    from_numpy,
    is_array,
    mark_view,
    rebind,
)

__all__ = [
    "Array",
    "View",
    "alias",
    "borrow_numpy",
    "block_until_ready",
    "compute",
    "evaluate",
    "from_numpy",
    "is_array",
    "rebind",
    "settle",
]
