"""Where a program of the grid is: positions and blocks, the indices of kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from weft.primitives.creation import iota
from weft.primitives.tile_body import position_p

if TYPE_CHECKING:
    from weft.core.trace import Tracer

#: ``Σ k·axis``, by the numbers of axes.
Terms = tuple[tuple[int, int], ...]


def _sum(a: Terms, b: Terms) -> Terms:
    total: dict[int, int] = dict(a)
    for axis, k in b:
        total[axis] = total.get(axis, 0) + k
    return tuple(sorted((axis, k) for axis, k in total.items() if k))


class Position:
    """One index that depends on the program: ``const`` plus multiples of loop positions.

    Positions are added to one another and to numbers, and multiplied by whole numbers; as an index
    they take one element. ``value`` is the number, an int32 tile without dimensions.
    """

    __slots__ = ("const", "terms")

    def __init__(self, const: int, terms: Terms) -> None:
        self.const = const
        self.terms = terms

    def __add__(self, other: Any) -> Any:
        if isinstance(other, Block):
            return other + self
        other = position_of(other)
        if other is None:
            return NotImplemented
        return Position(self.const + other.const, _sum(self.terms, other.terms))

    __radd__ = __add__

    def __mul__(self, k: Any) -> Any:
        if not _is_whole(k):
            return NotImplemented
        return Position(self.const * k, tuple((axis, c * k) for axis, c in self.terms if k))

    __rmul__ = __mul__

    def __neg__(self) -> Position:
        return self * -1

    def __sub__(self, other: Any) -> Any:
        other = position_of(other)
        return NotImplemented if other is None else self + -other

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def _no_number(self) -> Any:
        raise TypeError(
            "a position differs from program to program, so it has no value in Python: "
            "position.value is it as a tile, and numpy.where chooses by it"
        )

    __bool__ = __index__ = __int__ = __float__ = _no_number

    @property
    def value(self) -> Tracer:
        """The position as a tile: an int32 scalar."""
        return position_p.bind(const=self.const, terms=self.terms)


class Block:
    """Indices ``start``, ``start + 1``, …: ``size`` of them, from a place that depends on the
    program. ``block + n`` is as many indices, ``n`` further on.
    """

    __slots__ = ("size", "start")

    def __init__(self, start: Position, size: int) -> None:
        self.start = start
        self.size = size

    def __add__(self, other: Any) -> Any:
        other = position_of(other)
        return NotImplemented if other is None else Block(self.start + other, self.size)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        other = position_of(other)
        return NotImplemented if other is None else Block(self.start - other, self.size)

    def __len__(self) -> int:
        return self.size

    @property
    def indices(self) -> Tracer:
        """The indices as a tile: int32 of shape ``(size,)``."""
        return self.start.value + iota("int32", (self.size,), 0)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def position_of(value: Any) -> Position | None:
    """A number or position as a position; None for anything else."""
    if isinstance(value, Position):
        return value
    return Position(int(value), ()) if _is_whole(value) else None
