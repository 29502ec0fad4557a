"""Cones by structure: equal keys mean the same kernel, up to the names of axes and values.

A cone is written out as a sequence of tokens in which axes, values and shared subterms are numbered
in the order they are met.  Layers that compute the same thing then have the same key, and are
planned and compiled once.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from weft.kernels.build import Cone, Output
from weft.terms.affine import Affine, Axis, Dynamic, FloorDiv
from weft.terms.region import Carry, Def, Region, Scatter
from weft.terms.term import Term, Value

if TYPE_CHECKING:
    from weft.kernels.streams import Stream

#: Fields that say what something is called, not what it computes.
_LABELS = ("name", "source")


def cone_key(cone: Cone) -> tuple[Hashable, dict[Value, int]]:
    """The key of ``cone``, and its values as they are numbered there.

    Cones of equal keys have corresponding values at equal numbers.
    """
    writer = _Writer()
    writer.write(cone)
    return tuple(writer.tokens), writer.values


def stream_key(stream: Stream) -> tuple[Hashable, dict[Value, int]]:
    """The same for a stream: for its definitions, what it is along and what is needed of it."""
    writer = _Writer()
    writer.write((stream.steps, stream.outputs, stream.along, stream.rows, stream.alike))
    return tuple(writer.tokens), writer.values


def region_key(region: Region, marked: Iterable[Value] = ()) -> tuple[Hashable, dict[Value, int]]:
    """The same for a region, some of whose values are ``marked``."""
    writer = _Writer()
    writer.write((region.steps, region.outputs))
    numbers = (writer.values[v] for v in marked if v in writer.values)
    return (tuple(writer.tokens), frozenset(numbers)), writer.values


def steps_key(steps: Iterable[Def | Scatter]) -> tuple[Hashable, dict[Value, int]]:
    """The same for steps, whatever is needed of them."""
    writer = _Writer()
    writer.write(tuple(steps))
    return tuple(writer.tokens), writer.values


def loop_key(region: Region, carries: Iterable[Carry]) -> tuple[Hashable, dict[Value, int]]:
    """The same for the body of a loop, a region."""
    writer = _Writer()
    writer.write((region.steps, tuple((c.entry, c.exit) for c in carries)))
    return tuple(writer.tokens), writer.values


# Made once: a union takes longer to make than to look something up in.
_SHARED = Term | Affine
_RECORDS = Cone | Output | Def | Scatter


class _Writer:
    def __init__(self) -> None:
        self.tokens: list[Hashable] = []
        self.axes: dict[Axis, int] = {}
        self.values: dict[Value, int] = {}
        self.seen: dict[Term | Affine, int] = {}

    def write(self, root: Any) -> None:
        """Append the tokens of ``root``, parents before children."""
        stack: list[Any] = [root]
        while stack:
            item = stack.pop()
            parts = self._open(item)
            stack.extend(reversed(parts))

    def _open(self, item: Any) -> tuple[Any, ...]:
        """Append the token of one object; returns what it consists of."""
        if isinstance(item, tuple):
            self.tokens.append(("tuple", len(item)))
            return item
        if isinstance(item, _SHARED):
            return self._shared(item)
        if isinstance(item, Axis):
            number = self.axes.setdefault(item, len(self.axes))
            self.tokens.append(("axis", number, item.extent))
        elif isinstance(item, Value):
            number = self.values.setdefault(item, len(self.values))
            self.tokens.append(("value", number, item.shape, item.dtype))
        elif isinstance(item, FloorDiv):
            self.tokens.append("floordiv")
            return (item.numerator, item.divisor)
        elif isinstance(item, Dynamic):
            self.tokens.append("dynamic")
            return (item.source, item.lo, item.hi)
        elif isinstance(item, _RECORDS):
            self.tokens.append(type(item).__name__)
            return tuple(getattr(item, f.name) for f in fields(item) if f.name not in _LABELS)
        else:
            self.tokens.append((type(item), item))
        return ()

    def _shared(self, item: Term | Affine) -> tuple[Any, ...]:
        number = self.seen.get(item)
        if number is not None:
            self.tokens.append(("again", number))
            return ()
        self.seen[item] = len(self.seen)
        if isinstance(item, Affine):
            self.tokens.append("affine")
            return (item.terms, item.const)
        self.tokens.append("term")
        return item.parts
