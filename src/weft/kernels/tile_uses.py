"""Which tiles of a user's kernel get memory, and which are computed where they are used.

A tile gets a block of its own where computing it with its readers would do its work again, where it
holds a fold whose readers have other loops, or where what it reads is overwritten before they come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from weft.structs import struct
from weft.terms.affine import Affine, Axis
from weft.terms.region import Def
from weft.terms.term import FOLDS, FUSES, SCANS, Fold, Load, Map, Term, Value, postorder
from weft.terms.tiles import Item, Loop, TileProgram, Write

#: How much more often than once a tile may be computed instead of being kept.
AGAIN = 1.5


@struct(eq=False)
class _Place:
    """A definition or write: its number in the order of execution, and the loops around it."""

    item: Def | Write
    number: int
    loops: tuple[Loop, ...]


def kept(program: TileProgram, items: Sequence[Item]) -> set[Value]:
    """The definitions among ``items`` to be kept in memory; others are computed where used."""
    return _Uses(program, items).kept()


def _reads(term: Term) -> Iterator[tuple[Load, int]]:
    """The loads of a term, and how often its folds repeat each."""
    found = postorder(term)
    folds = [t for t in found if isinstance(t, Fold)]
    for t in found:
        if isinstance(t, Load):
            around = (f for f in folds if t in postorder(*f.bodies))
            yield t, prod(a.extent for f in around for a in f.over)


def is_pointwise(index: Sequence[Affine], axes: Sequence[Axis]) -> bool:
    """Whether ``index`` goes through ``axes`` one by one, each once."""
    wanted = {a for a in axes if a.extent > 1}
    found: list[Axis] = []
    for expr in index:
        if expr.is_constant:
            continue
        own = expr.axes() & wanted
        if len(own) != 1 or len(expr.terms) != 1 or expr.const or expr.terms[0][1] != 1:
            return False
        found += own
    return len(found) == len(wanted) and set(found) == wanted


class _Uses:
    def __init__(self, program: TileProgram, items: Sequence[Item]) -> None:
        self.program = program
        self.mutable = set(program.locals) | set(program.outputs)
        self.places: list[_Place] = []
        self.ends: dict[Loop, int] = {}
        self._number(items, ())
        self.users: dict[Value, list[tuple[_Place, Load, int]]] = {}
        for place in self.places:
            for load, times in _reads(place.item.term):
                self.users.setdefault(load.value, []).append((place, load, times))
        self.result: set[Value] = set()
        #: Times that a definition is computed in all, when its last reader is through, and whether
        #: what reads it goes through its elements one by one.
        self.times: dict[Value, float] = {}
        self.last: dict[Value, int] = {}
        self.pointwise: dict[Value, bool] = {}

    def _number(self, items: Sequence[Item], loops: tuple[Loop, ...]) -> None:
        for item in items:
            if isinstance(item, Loop):
                self._number(item.items, (*loops, item))
                self.ends[item] = len(self.places)
            else:
                self.places.append(_Place(item, len(self.places), loops))

    def kept(self) -> set[Value]:
        for place in reversed(self.places):
            if isinstance(place.item, Def) and place.item.value in self.users:
                self.decide(place)
        return self.result

    def decide(self, place: _Place) -> None:
        step = place.item
        assert isinstance(step, Def)
        users = self.users[step.value]
        times, last, pointwise = 0.0, place.number, len(users) == 1
        for user, load, repeated in users:
            item = user.item
            deeper = user.loops[len(place.loops) :]
            often = prod((x.hi - x.lo) // x.step for x in deeper) * repeated
            points = prod(a.extent for a in item.axes)
            inlined = isinstance(item, Def) and item.value not in self.result
            through = self.times[item.value] / max(1, points) if inlined else 1.0
            times += often * points * through
            end = self.last[item.value] if inlined else user.number
            last = max(last, self.ends[deeper[0]] if deeper else end)
            pointwise &= often == 1 and is_pointwise(load.index, item.axes)
            pointwise &= self.pointwise[item.value] if inlined else True
        self.times[step.value], self.last[step.value] = times, last
        self.pointwise[step.value] = pointwise
        size = max(1, prod(a.extent for a in step.axes))
        if (
            step.value in self.program.staged
            or (self.folds(step.term) and not pointwise)
            or (times > AGAIN * size and step.term.loads and self.works(step.term))
            or self.overwritten(place, last)
        ):
            self.result.add(step.value)
            self.times[step.value] = size

    def folds(self, term: Term) -> bool:
        return bool(term.holds & (FOLDS | SCANS | FUSES))

    def works(self, term: Term) -> bool:
        """Whether computing it is more than reading it."""
        operations = (t for t in postorder(term) if isinstance(t, Map) and t.op != "cast")
        return bool(term.holds) or any(operations)

    def overwritten(self, place: _Place, last: int) -> bool:
        """Whether what is read may be written before the last reader comes."""
        read = place.item.term.loads & self.mutable
        return any(
            isinstance(w.item, Write) and w.item.value in read
            for w in self.places[place.number + 1 : last]
        )
