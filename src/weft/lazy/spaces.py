"""Index spaces: products of strided ranges, as Python has them."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any


def canonical(axis: Any) -> range:
    """A range as its ascending, unique form; an integer n is ``range(n)``."""
    if not isinstance(axis, range):
        try:
            axis = range(operator.index(axis))
        except TypeError:
            raise TypeError(
                f"weft.lazy: an axis of a space is a range or an integer, got {axis!r}"
            ) from None
    if axis.step < 0:
        axis = axis[::-1]
    if not axis:
        return range(0)
    step = axis.step if len(axis) > 1 else 1
    return range(axis[0], axis[-1] + 1, step)


def intersection(a: range, b: range) -> range:
    """The numbers that are in both ranges."""
    if not a or not b:
        return range(0)
    common = math.gcd(a.step, b.step)
    if (b.start - a.start) % common:
        return range(0)
    # start = a.start + i * a.step, with i * a.step = b.start - a.start modulo b.step
    turns = b.step // common
    i = (b.start - a.start) // common * pow(a.step // common, -1, turns) % turns
    step = a.step * turns
    first = a.start + i * a.step
    low, high = max(a.start, b.start), min(a[-1], b[-1])
    first += max(0, -(-(low - first) // step)) * step
    return canonical(range(first, high + 1, step))


def covering(ranges: Iterable[range]) -> range:
    """The smallest range that all of them are in."""
    filled = [r for r in ranges if r]
    if not filled:
        return range(0)
    start = min(r.start for r in filled)
    step = math.gcd(*(r.start - start for r in filled), *(r.step for r in filled if len(r) > 1))
    return canonical(range(start, max(r[-1] for r in filled) + 1, step or 1))


class Space(tuple[range, ...]):
    """A product of ranges, one for each axis: where the elements of an array are.

    ``Space(3, range(1, 9, 2))`` has the points (i, j) with i in 0, 1, 2 and j in 1, 3, 5, 7.

    >>> a, b = weft.lazy.Space(range(0, 10, 2)), weft.lazy.Space(range(0, 10, 3))
    >>> a & b
    Space(range(0, 7, 6))
    >>> a.interior()
    Space(range(2, 7, 2))
    """

    __slots__ = ()

    def __new__(cls, *axes: Any) -> Space:
        return super().__new__(cls, map(canonical, axes))

    def __getnewargs__(self) -> tuple[range, ...]:
        return tuple(self)

    def __repr__(self) -> str:
        return f"Space({', '.join(map(repr, self))})"

    @property
    def shape(self) -> tuple[int, ...]:
        """The numbers of elements along each axis."""
        return tuple(map(len, self))

    @property
    def size(self) -> int:
        """The number of points."""
        return math.prod(self.shape)

    def __and__(self, other: Space) -> Space:
        """The points of both, of the same number of axes."""
        return Space(*(intersection(a, b) for a, b in zip(self, other, strict=True)))

    def __contains__(self, point: Any) -> bool:
        return len(point) == len(self) and all(i in r for i, r in zip(point, self, strict=True))

    def within(self, other: Space) -> bool:
        """Whether all of its points are in another space."""
        return len(self) == len(other) and (not self.size or (self & other) == self)

    def interior(self, width: int = 1) -> Space:
        """The space without `width` points at either end of every axis."""
        return Space(*(r[width : max(len(r) - width, width)] for r in self))
