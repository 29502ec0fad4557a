"""Arguments of jitted calls as arrays, without copies.

NumPy arrays are borrowed for the call. Numbers that are passed again and again (a step size, a
position) are kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.array.delayed import as_constant
from weft.array.value import Array, borrow_numpy

LIMIT = 1024

# Others (objects, text, dates) are errors, which name the argument where it is checked.
_KINDS = frozenset("biufc")

_kept: dict[tuple[type, Any], Array] = {}


def as_argument(x: Any) -> Any:
    """A NumPy array or Python number as an array, for one call that only reads it.

    Anything else comes back as it is.
    """
    kind = type(x)
    if kind is np.ndarray:
        return borrow_numpy(x) if x.dtype.kind in _KINDS else x
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
