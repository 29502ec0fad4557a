"""Strides, dilations and padding of windows, as the functions of this package accept them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Pairs = Sequence[tuple[int, int]]


def padtype_to_pads(
    in_shape: Sequence[int],
    window_shape: Sequence[int],
    window_strides: Sequence[int],
    padding: str,
) -> list[tuple[int, int]]:
    """``(low, high)`` padding of each axis for "SAME", "SAME_LOWER" or "VALID".

    "SAME" gives ``ceil(size / stride)`` windows, an odd element of padding at the end
    ("SAME_LOWER": at the start); "VALID" pads nothing.

    >>> lax.padtype_to_pads((5,), (3,), (2,), "SAME")
    [(1, 1)]
    """
    kind = str(padding).upper()
    if kind == "VALID":
        return [(0, 0)] * len(in_shape)
    if kind not in ("SAME", "SAME_LOWER"):
        raise ValueError(
            f'padding={padding!r} is not known: use "SAME", "SAME_LOWER", "VALID" or pairs.'
        )
    pads = []
    for size, window, stride in zip(in_shape, window_shape, window_strides, strict=True):
        missing = max(0, (-(-size // stride) - 1) * stride + window - size)
        less, more = missing // 2, missing - missing // 2
        pads.append((less, more) if kind == "SAME" else (more, less))
    return pads


def per_axis(name: str, what: str, given: Any, count: int) -> tuple[int, ...]:
    """One positive integer for each axis; 1 by default, and a single one for all."""
    if given is None:
        return (1,) * count
    numbers = (int(given),) * count if isinstance(given, int | np.integer) else tuple(given)
    if len(numbers) != count or any(n < 1 for n in numbers):
        raise ValueError(
            f"lax.{name} needs {what} as {count} positive integers, one for each axis, "
            f"got {given!r}."
        )
    return tuple(int(n) for n in numbers)


def pairs(name: str, padding: Pairs, count: int) -> list[tuple[int, int]]:
    """Padding as (low, high) pairs of integers, one for each axis."""
    try:
        found = [(int(low), int(high)) for low, high in padding]
    except (TypeError, ValueError):
        found = []
    if len(found) != count:
        raise ValueError(
            f"lax.{name} needs padding as {count} (low, high) pairs, one for each axis, or "
            f'as "SAME", "SAME_LOWER" or "VALID"; got {padding!r}.'
        )
    return found
