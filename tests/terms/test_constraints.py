"""Constraints said to be impossible are; most that are impossible are said to be."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from weft.terms.affine import Affine, Axis, Dynamic
from weft.terms.constraints import Constraints

EXTENTS = (1, 2, 3, 4, 5, 7)


@dataclass
class Space:
    """A few axes and what is stated about one or two points of their space."""

    axes: list[Axis]
    ranges: list[tuple[Affine, int, int]]
    meetings: list[tuple[Affine, Affine]]
    two_points: bool


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    extents = draw(st.lists(st.sampled_from(EXTENTS), min_size=1, max_size=3))
    axes = [Axis(f"a{n}", e) for n, e in enumerate(extents)]

    def expr(depth: int = 0) -> Affine:
        total = Affine((), draw(st.integers(-5, 5)))
        for axis in axes:
            total = total + axis.expr * draw(st.sampled_from((0, 1, -1, 2, -3, 4, 6)))
        if depth < 2 and draw(st.booleans()):
            inner = expr(depth + 1).floordiv(draw(st.sampled_from((2, 3, 4, 6))))
            total = total + inner * draw(st.sampled_from((1, -1, 2, -3)))
        return total

    some = [
        (expr(), lo, lo + draw(st.integers(1, 8)))
        for lo in draw(st.lists(st.integers(-5, 5), min_size=1, max_size=3))
    ]
    meetings = [(expr(), expr()) for _ in range(draw(st.integers(0, 2)))]
    return Space(axes, some, meetings, draw(st.booleans()))


def has_solution(space: Space) -> bool:
    """By looking at every point, or pair of points."""
    grid = itertools.product(*(range(a.extent) for a in space.axes))
    points = [dict(zip(space.axes, values, strict=True)) for values in grid]
    inside = [p for p in points if all(lo <= e.evaluate(p) < hi for e, lo, hi in space.ranges)]
    return any(
        all(x.evaluate(p) == y.evaluate(q) for x, y in space.meetings)
        for p in inside
        for q in (points if space.two_points else [p])
    )


@given(spaces())
def test_impossible_agrees_with_enumeration(space: Space) -> None:
    c = Constraints()
    here = c.point()
    there = c.point() if space.two_points else here
    for expr, lo, hi in space.ranges:
        c.within(here(expr), lo, hi)
    for x, y in space.meetings:
        c.equal(here(x), there(y))
    assert c.impossible() is not has_solution(space)


def two_points_meet(axis: Axis, *index: Affine) -> bool:
    """Whether an index could be the same at different values of an axis, as far as is shown."""
    c = Constraints()
    here, there = c.point(), c.point()
    c.less(here(axis.expr), there(axis.expr))
    for i in index:
        c.equal(here(i), there(i))
    return not c.impossible(splits=0)


def test_digits_tell_the_number_they_are_of() -> None:
    axis = Axis("i", 10**12)
    q = axis.expr.floordiv(1000)
    assert not two_points_meet(axis, q.floordiv(77), q.mod(77), axis.expr.mod(1000))
    assert two_points_meet(axis, q.floordiv(77), axis.expr.mod(1000))
    # Digits in another order, and within one number: a transposed reshape.
    turned = axis.expr.mod(1000) * 10**9 + q
    assert not two_points_meet(axis, turned)
    assert two_points_meet(axis, axis.expr.mod(1000) * (10**9 - 1) + q)


def test_a_number_has_digits_in_every_base() -> None:
    i, j = Axis("i", 10**6), Axis("j", 37)
    flat = i.expr * 37 + j
    c = Constraints()
    at = c.point()
    row, column = flat.floordiv(3), flat.mod(3)
    c.within(at(flat), 3, 74)
    c.within(at(row), -(10**9), 1)
    assert c.impossible(splits=0)
    c = Constraints()
    at = c.point()
    c.within(at(row * 3 + column - flat), 1, 10**9)
    assert c.impossible(splits=0)


def test_dynamic_atoms_stay_within_their_limits_and_alike_at_a_point() -> None:
    d = Affine.of(Dynamic("x", 2, 5))
    c = Constraints()
    at = c.point()
    c.within(at(d), 6, 9)
    assert c.impossible()
    c = Constraints()
    at, other = c.point(), c.point()
    c.less(at(d), other(d))
    assert not c.impossible()
    c.less(at(d * 2), at(d))
    assert c.impossible()


def test_an_empty_range_makes_everything_impossible() -> None:
    c = Constraints()
    c.variable(3, 2)
    assert c.impossible()
    assert not Constraints().impossible()
