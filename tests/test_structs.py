"""`struct` makes of a class what `dataclasses.dataclass` would."""

from __future__ import annotations

import dataclasses
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft import structs
from weft.structs import struct


def _classes(make: Any, **options: Any) -> Any:
    @make(**options)
    class Base:
        a: int
        b: list[int] = field(default_factory=list, compare=False)
        c: int = field(init=False, repr=False)
        d: tuple[int, ...] = ()

        def __post_init__(self) -> None:
            object.__setattr__(self, "c", 2 * self.a)

    @make(**options)
    class Derived(Base):
        e: str = "e"

    return Base, Derived


numbers = st.integers(0, 2)


@given(
    eq=st.booleans(),
    frozen=st.booleans(),
    derived=st.booleans(),
    values=st.lists(st.tuples(numbers, numbers), min_size=2, max_size=2),
    patience=st.sampled_from([0, structs.PATIENCE]),
)
def test_methods_are_those_of_dataclass(eq, frozen, derived, values, patience):
    """Those that look at the fields, and those that are written."""
    with mock.patch.object(structs, "PATIENCE", patience):
        _compare(eq, frozen, derived, values)


def _compare(eq, frozen, derived, values):
    pair = [_classes(m, eq=eq, frozen=frozen)[derived] for m in (struct, dataclass)]
    (x, y), (p, q) = ([cls(a, d=(d,)) for a, d in values] for cls in pair)
    assert repr(x).split(".")[-1] == repr(p).split(".")[-1]
    assert (x == y) == (p == q)
    assert x != p
    assert [f.name for f in fields(x)] == [f.name for f in fields(p)]
    assert dataclasses.astuple(x) == dataclasses.astuple(p)
    assert replace(x, a=7).c == 14
    assert (type(x).__hash__ is None) == (type(p).__hash__ is None)
    if eq and frozen:
        assert hash(x) == hash(p)
    for thing in (x, p):
        if frozen:
            with pytest.raises(FrozenInstanceError, match="cannot assign to field 'a'"):
                thing.a = 1
            with pytest.raises(FrozenInstanceError, match="cannot delete field 'a'"):
                del thing.a
        else:
            thing.a = 1
    assert x.b == [] and x.b is not y.b


def test_what_a_class_defines_itself_stays():
    @struct(frozen=True)
    class Odd:
        a: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Odd) and self.a % 2 == other.a % 2

        def __hash__(self) -> int:
            return self.a % 2

        def __repr__(self) -> str:
            return "odd"

    assert Odd(1) == Odd(3) and hash(Odd(1)) == hash(Odd(3)) and repr(Odd(1)) == "odd"


def test_methods_are_written_when_they_are_called_often():
    @struct(frozen=True)
    class Point:
        x: int
        y: int = 0

    plain = Point.__init__, Point.__eq__, Point.__hash__
    for _ in range(structs.PATIENCE + 1):
        assert Point(1) == Point(1, 0) and hash(Point(2)) == hash(Point(2))
    for old, new in zip(plain, (Point.__init__, Point.__eq__, Point.__hash__), strict=True):
        assert old is not new
    assert Point(3, y=4).y == 4 and Point(1) != Point(2)


def test_arguments_are_checked():
    cls = _classes(struct)[0]
    for _ in range(2):  # also once the method is written
        with pytest.raises(TypeError, match=r"__init__\(\) missing 1 required positional argument"):
            cls()
        with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
            cls(1, z=2)


@struct(slots=True)
class Slotted:
    a: int
    b: int = 0


@struct(frozen=True)
class Frozen:
    a: int


def test_slots_and_pickles():
    assert not hasattr(Slotted(1), "__dict__")
    for thing in (Slotted(1, 2), Frozen(3)):
        assert pickle.loads(pickle.dumps(thing)) == thing


def test_classes_that_refer_to_themselves_print():
    @struct
    class Node:
        next: Any = None

    node = Node()
    node.next = node
    assert repr(node).endswith("Node(next=...)")
