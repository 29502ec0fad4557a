"""Spaces and transformations against sets of points."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

import weft
from weft.lazy import Space, transformation
from weft.lazy.spaces import canonical, covering, intersection

ranges = st.builds(
    lambda start, count, step: range(start, start + count * step, step),
    st.integers(-9, 9),
    st.integers(0, 6),
    st.sampled_from([1, 2, 3, 4, 6, -1, -2]),
)


@given(ranges, ranges)
def test_intersections_and_coverings(a: range, b: range) -> None:
    assert set(intersection(canonical(a), canonical(b))) == set(a) & set(b)
    whole = covering([canonical(a), canonical(b)])
    assert set(a) | set(b) <= set(whole)
    if len(whole) > 1:  # no coarser range has all of them
        both = sorted(set(a) | set(b))
        assert whole[0] == both[0] and whole[-1] == both[-1]
        gaps = [y - x for x, y in pairwise(both)]
        assert all(g % whole.step == 0 for g in gaps)


@given(ranges)
def test_canonical_ranges_are_unique(a: range) -> None:
    same = canonical(a)
    assert set(same) == set(a) and same == canonical(a[::-1])
    assert len(same) > 1 or same.step == 1


@given(st.lists(ranges, max_size=3), st.lists(ranges, max_size=3))
def test_spaces(a: list[range], b: list[range]) -> None:
    one, other = Space(*a), Space(*b[: len(a)], *a[len(b) :])
    points, others = set(product(*one)), set(product(*other))
    assert one.size == len(points)
    assert set(product(*(one & other))) == points & others
    assert one.within(other) == (points <= others)
    assert (all(p in one for p in points) and (99,) * len(a) not in one) or not a
    assert set(product(*one.interior())) <= points


@given(st.integers(-3, 3).filter(bool), st.integers(-4, 4), st.integers(1, 3), ranges)
def test_transformations_move_points(scale: int, offset: int, by: int, other: range) -> None:
    move = transformation(f"i j -> j/{by} {scale}*i+{offset} 7")
    space = Space(5, range(0, 6 * by, by))
    wanted = {(Fraction(j, by), scale * i + offset, 7) for i, j in product(*space)}
    assert set(product(*move(space))) == wanted
    assert move == transformation(lambda i, j: (j / by, scale * i + offset, 7))


def test_errors() -> None:
    for kind, error, call in (
        (ValueError, "has an arrow", lambda: transformation("i j")),
        (ValueError, "'i' cannot name axis 1", lambda: transformation("i i -> i")),
        (ValueError, "'k' in 'i -> k' is no axis", lambda: transformation("i -> k")),
        (ValueError, "'i[+]' in .* is no expression", lambda: transformation("i -> i+ 1")),
        (ValueError, "comes from one axis, not a sum", lambda: transformation("i j -> i+j")),
        (ValueError, "multiplied by numbers only", lambda: transformation("i j -> i*j")),
        (ValueError, "divided by numbers other than 0", lambda: transformation("i -> i/0")),
        (TypeError, "is text such as .* got 3", lambda: transformation(3)),
        (TypeError, "made of axes and whole numbers", lambda: transformation(lambda i: "i")),
        (ValueError, "no whole numbers", lambda: transformation("i -> i/2")(Space(4))),
        (
            ValueError,
            "axis 1 of .* comes up 0 times",
            lambda: transformation("i j -> i")(Space(2, 2)),
        ),
        (ValueError, "of 1 axes met", lambda: transformation("i -> i")(Space(2, 2))),
        (TypeError, "an axis of a space is a range", lambda: Space(1.5)),
    ):
        with pytest.raises(kind, match=error):
            call()
    assert weft.lazy.Space is Space
