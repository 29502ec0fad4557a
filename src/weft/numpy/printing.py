"""Arrays as text: NumPy's print options hold for Weft's arrays too."""

from __future__ import annotations

from typing import Any

import numpy as np

set_printoptions, get_printoptions = np.set_printoptions, np.get_printoptions
printoptions = np.printoptions


def _options(
    max_line_width: int | None, precision: int | None, suppress_small: bool | None
) -> dict[str, Any]:
    given = {"linewidth": max_line_width, "precision": precision, "suppress": suppress_small}
    return {key: value for key, value in given.items() if value is not None}


def array_repr(
    arr: Any,
    max_line_width: int | None = None,
    precision: int | None = None,
    suppress_small: bool | None = None,
) -> str:
    """The text that `repr` gives, with some of the print options.

    >>> np.array_repr(np.array([1.23456]), precision=2)
    'Array([1.23], dtype=float32)'
    """
    with np.printoptions(**_options(max_line_width, precision, suppress_small)):
        return repr(arr)


def array_str(
    a: Any,
    max_line_width: int | None = None,
    precision: int | None = None,
    suppress_small: bool | None = None,
) -> str:
    """The text that `str` gives, with some of the print options.

    >>> np.array_str(np.array([1.23456]), precision=2)
    '[1.23]'
    """
    with np.printoptions(**_options(max_line_width, precision, suppress_small)):
        return str(a)
