"""Index maps against brute force over all points of their axes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from weft.terms.affine import (
    Affine,
    Axis,
    Dynamic,
    delinearize,
    linearize,
    row_major,
)

AXES = (Axis("i", 4), Axis("j", 3), Axis("k", 1), Axis("l", 6))


def points(axes=AXES):
    return [
        dict(zip(axes, values, strict=True))
        for values in itertools.product(*(range(a.extent) for a in axes))
    ]


POINTS = points()
GRID = dict(zip(AXES, np.indices([a.extent for a in AXES]).reshape(len(AXES), -1), strict=True))


def values_of(expr: Affine) -> np.ndarray:
    return np.broadcast_to(np.asarray(expr.evaluate(GRID)), (len(POINTS),))


@st.composite
def expressions(draw) -> tuple[Affine, np.ndarray]:
    """An expression built by operations, with the values those operations give on all points."""
    axis = draw(st.sampled_from(AXES))
    expr, value = Affine.of(axis), GRID[axis]
    for _ in range(draw(st.integers(0, 5))):
        what = draw(st.sampled_from(["axis", "const", "scale", "floordiv", "mod"]))
        if what == "axis":
            axis, k = draw(st.sampled_from(AXES)), draw(st.integers(-4, 4))
            expr, value = expr + Affine.of(axis) * k, value + k * GRID[axis]
        elif what == "const":
            c = draw(st.integers(-9, 9))
            expr, value = expr + c, value + c
        elif what == "scale":
            k = draw(st.integers(-3, 3))
            expr, value = expr * k, value * k
        elif what == "floordiv":
            d = draw(st.integers(1, 12))
            expr, value = expr.floordiv(d), value // d
        else:
            d = draw(st.integers(1, 12))
            expr, value = expr.mod(d), value % d
    return expr, value


@given(expressions())
def test_arithmetic_means_what_it_says(case):
    expr, value = case
    assert (values_of(expr) == value).all()


@given(expressions())
def test_bounds_contain_every_value(case):
    expr, value = case
    lo, hi = expr.bounds()
    assert lo <= value.min() and value.max() <= hi


@given(expressions(), expressions())
def test_addition_is_canonical(a, b):
    assert a[0] + b[0] == b[0] + a[0]
    assert hash(a[0] + b[0]) == hash(b[0] + a[0])
    assert a[0] - a[0] == Affine()


@given(expressions(), expressions(), expressions())
def test_substitution_composes(outer, first, second):
    assume(all(v.min() >= 0 and v.max() < 20 for v in (first[1], second[1])))
    u, v = Axis("u", 20), Axis("v", 20)
    renamed = outer[0].substitute({AXES[0]: Affine.of(u), AXES[1]: Affine.of(v)})
    composed = renamed.substitute({u: first[0], v: second[0]})
    moved = {**GRID, u: first[1], v: second[1]}
    expected = np.broadcast_to(renamed.evaluate(moved), composed_values(composed).shape)
    assert (composed_values(composed) == expected).all()


def composed_values(expr: Affine) -> np.ndarray:
    return np.broadcast_to(np.asarray(expr.evaluate(GRID)), (len(POINTS),))


shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


def arrangements(size: int) -> list[tuple[int, ...]]:
    """All shapes with that many elements and at most three axes."""
    divisors = [d for d in range(1, size + 1) if size % d == 0]
    return [(a, b, size // (a * b)) for a in divisors for b in divisors if size % (a * b) == 0] + [
        (size,)
    ]


@given(shapes, st.data())
def test_reshape_is_inverted_by_the_reshape_back(shape, data):
    other = data.draw(st.sampled_from(arrangements(math.prod(shape))))
    axes = tuple(Axis(f"a{d}", n) for d, n in enumerate(shape))
    start = [Affine.of(a) if a.extent > 1 else Affine() for a in axes]
    flat = linearize(start, row_major(shape))
    index = delinearize(flat, other)
    values = dict(zip(axes, np.indices(shape).reshape(len(shape), -1), strict=True))
    count = math.prod(shape)
    wanted = np.unravel_index(np.arange(count), other)
    for expr, want, extent in zip(index, wanted, other, strict=True):
        assert (np.broadcast_to(expr.evaluate(values), (count,)) == want).all()
        lo, hi = expr.bounds()
        assert lo >= 0 and hi < extent, f"{expr} is not proven to be below {extent}"
    back = delinearize(linearize(index, row_major(other)), shape)
    assert list(back) == start


def test_a_split_and_its_merge_cancel():
    i = Axis("i", 24)
    outer, inner = Affine.of(i).floordiv(6), Affine.of(i).mod(6)
    assert outer * 6 + inner == Affine.of(i)
    assert inner.bounds() == (0, 5)


def test_division_drops_what_cannot_matter():
    i, j = Axis("i", 5), Axis("j", 4)
    assert (Affine.of(i) * 4 + j).floordiv(4) == Affine.of(i)
    assert (Affine.of(i) * 4 + j).floordiv(12) == Affine.of(i).floordiv(3)
    assert (Affine.of(i) * 8 + j + 3).floordiv(2).bounds() == (1, 19)


def test_nested_divisions_become_one():
    i = Axis("i", 100)
    assert Affine.of(i).floordiv(3).floordiv(4) == Affine.of(i).floordiv(12)
    digit = Affine.of(i).floordiv(3).mod(4)
    assert digit == Affine.of(i).floordiv(3) - Affine.of(i).floordiv(12) * 4
    assert digit.bounds() == (0, 3)


def test_dynamic_atoms_are_clamped():
    expr = Affine.of(Dynamic("n", 2, 5)) * 3 + 1
    assert expr.bounds() == (7, 16)
    for raw, value in ((-9, 7), (3, 10), (99, 16)):
        assert expr.evaluate({}, lambda source, raw=raw: raw) == value
    with pytest.raises(ValueError, match="no value for the dynamic index clamp"):
        expr.evaluate({})


def test_refusals():
    with pytest.raises(ValueError, match="axis 'i' has negative extent -1"):
        Axis("i", -1)
    with pytest.raises(ValueError, match="by 0: the divisor must be positive"):
        Affine.of(Axis("i", 3)).floordiv(0)


def test_bounds_of_a_transposed_reshape_of_what_cannot_be_split():
    flat = Affine.of(Dynamic("t", 0, 5))
    row, column = delinearize(flat, (3, 2))
    assert linearize((column, row), (3, 1)).bounds() == (0, 5)
    assert (linearize((column, row), (3, 1)) - 7).bounds() == (-7, -2)
