"""Affine transformations of index spaces, in which each axis of the result comes from one axis.

They are written as what happens to a point: ``"i j -> j i+1"``, or ``lambda i, j: (j, i + 1)``. An
axis may be scaled and shifted by rational numbers, or be constant; an axis that does not come up in
the result has one element. All of them are invertible, and a chain of them is one.
"""

from __future__ import annotations

import ast
import inspect
import operator
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from weft.lazy.spaces import Space, canonical


@dataclass(frozen=True)
class Index:
    """``scale * i + offset`` for the index i of an axis, or just ``offset`` (axis None)."""

    axis: int | None
    scale: Fraction
    offset: Fraction

    def __add__(self, other: Any) -> Index:
        other = _as_index(other)
        if self.axis is not None and other.axis is not None:
            raise ValueError("weft.lazy: an index of the result comes from one axis, not a sum")
        axis = other.axis if self.axis is None else self.axis
        return Index(axis, self.scale + other.scale, self.offset + other.offset)

    def __mul__(self, other: Any) -> Index:
        other = _as_index(other)
        if self.axis is not None and other.axis is not None:
            raise ValueError("weft.lazy: indices are multiplied by numbers only")
        if self.axis is None:
            self, other = other, self
        return Index(self.axis, self.scale * other.offset, self.offset * other.offset)

    def __truediv__(self, other: Any) -> Index:
        other = _as_index(other)
        if other.axis is not None or other.offset == 0:
            raise ValueError("weft.lazy: indices are divided by numbers other than 0 only")
        return self * Index(None, Fraction(0), 1 / other.offset)

    def __neg__(self) -> Index:
        return self * -1

    def __sub__(self, other: Any) -> Index:
        return self + -_as_index(other)

    def __rsub__(self, other: Any) -> Index:
        return _as_index(other) + -self

    __radd__, __rmul__ = __add__, __mul__


def _as_index(value: Any) -> Index:
    if isinstance(value, Index):
        return value
    if isinstance(value, int | Fraction):
        return Index(None, Fraction(0), Fraction(value))
    raise TypeError(f"weft.lazy: an index is made of axes and whole numbers, got {value!r}")


class Transformation(NamedTuple):
    """What happens to points: ``rank`` axes before, and an `Index` for each axis after."""

    rank: int
    outputs: tuple[Index, ...]

    def __call__(self, space: Space) -> Space:
        """The points that come out of a space."""
        _check(self, space)
        return Space(*(_moved(space, index) for index in self.outputs))


def _moved(space: Space, index: Index) -> range:
    if index.axis is None:
        ends = [index.offset]
        count = 1
    else:
        old = space[index.axis]
        count = len(old)
        ends = [index.scale * old[i] + index.offset for i in ((0, -1) if old else ())]
    if any(end.denominator != 1 for end in ends) or (
        count > 1 and (ends[1] - ends[0]) / (count - 1) % 1
    ):
        raise ValueError(
            f"weft.lazy: {space} gets indices that are no whole numbers; select what does not first"
        )
    if count < 2:
        return canonical(range(int(ends[0]), int(ends[0]) + 1)) if ends else range(0)
    first, last = sorted(map(int, ends))
    return canonical(range(first, last + 1, (last - first) // (count - 1)))


def _check(transformation: Transformation, space: Space) -> None:
    if len(space) != transformation.rank:
        raise ValueError(
            f"weft.lazy: a transformation of {transformation.rank} axes met {space}, which has "
            f"{len(space)}"
        )
    used = [index.axis for index in transformation.outputs if index.axis is not None]
    for axis, places in enumerate(space):
        count = used.count(axis)
        if count > 1 or (count == 0 and len(places) != 1):
            raise ValueError(
                f"weft.lazy: axis {axis} of {space} comes up {count} times in the result; each "
                "axis does once, or not at all if it has one element"
            )


def transformation(given: Any) -> Transformation:
    """A transformation from text, from a function of indices, or as it is.

    >>> turn = weft.lazy.transformation("i j -> -j 2*i+1")
    >>> turn(weft.lazy.Space(3, 2))
    Space(range(-1, 1), range(1, 6, 2))
    """
    if isinstance(given, Transformation):
        return given
    if isinstance(given, str):
        return _parsed(given)
    if callable(given):
        return _traced(given)
    raise TypeError(
        "weft.lazy: a transformation is text such as 'i j -> j i+1' or a function of indices, got "
        f"{given!r}"
    )


def _traced(function: Callable[..., Any]) -> Transformation:
    rank = len(inspect.signature(function).parameters)
    result = function(*(Index(axis, Fraction(1), Fraction(0)) for axis in range(rank)))
    outputs = result if isinstance(result, tuple | list) else (result,)
    return _made(rank, outputs)


def _made(rank: int, outputs: Any) -> Transformation:
    indices = tuple(map(_as_index, outputs))
    # An axis scaled by 0 is constant.
    plain = (i if i.scale else Index(None, Fraction(0), i.offset) for i in indices)
    return Transformation(rank, tuple(plain))


_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
    ast.UAdd: lambda x: x,
}


def _parsed(text: str) -> Transformation:
    left, arrow, right = text.partition("->")
    if not arrow:
        raise ValueError(f"weft.lazy: a transformation has an arrow, as 'i j -> j i', got {text!r}")
    names: dict[str, Index] = {}
    tokens = left.split()
    for axis, name in enumerate(tokens):
        if name in names or not (name.isidentifier() or name.isdecimal()):
            raise ValueError(f"weft.lazy: {name!r} cannot name axis {axis} in {text!r}")
        if name.isidentifier():  # a number stands for an axis with one element
            names[name] = Index(axis, Fraction(1), Fraction(0))

    def value(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=int(number)) if not isinstance(number, bool):
                return _as_index(number)
            case ast.Name(id=name) if name in names:
                return names[name]
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](value(operand))
            case ast.BinOp(left=first, op=op, right=second) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](value(first), value(second))
        raise ValueError(
            f"weft.lazy: {ast.unparse(node)!r} in {text!r} is no axis of the left side, whole "
            "number, sum, difference, product or quotient of those"
        )

    outputs = []
    for token in right.split():
        try:
            outputs.append(value(ast.parse(token, mode="eval").body))
        except SyntaxError:
            raise ValueError(
                f"weft.lazy: {token!r} in {text!r} is no expression; those of different axes are "
                "apart by spaces, and have none within"
            ) from None
    return _made(len(tokens), outputs)
