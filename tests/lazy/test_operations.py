"""The operations on lazy arrays against dictionaries from points to numbers."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft import lazy as lz
from weft.lazy import LazyArray, Space

Points = dict[tuple[int, ...], Any]


@pytest.fixture(autouse=True)
def _one_operation_at_a_time() -> Iterator[None]:
    with weft.disable_jit():
        yield


def points(array: Any) -> Points:
    a = lz.as_lazy(array)
    return dict(zip(product(*a.space), np.asarray(a).ravel().tolist(), strict=True))


axes = st.builds(
    lambda start, count, step: range(start, start + count * step, step),
    st.integers(-5, 5),
    st.integers(1, 4),
    st.integers(1, 3),
)


@st.composite
def arrays(draw: st.DrawFn, rank: int = 2) -> LazyArray:
    space = Space(*draw(st.lists(axes, min_size=rank, max_size=rank)))
    start = draw(st.integers(0, 100))
    return LazyArray(
        np.arange(start, start + space.size, dtype=np.int32).reshape(space.shape), space
    )


@given(arrays(), st.data())
def test_map(a: LazyArray, data: st.DataObject) -> None:
    row = Space(a.space[1])
    b = LazyArray(np.arange(row.size, dtype=np.int32), row)
    with weft.disable_jit():
        total, difference = lz.lazy(lambda x, y: (x + 2 * y, x - y), a, b)
        mine, other = points(a), points(b)
        assert points(total) == {p: v + 2 * other[p[1:]] for p, v in mine.items()}
        assert points(difference) == points(a - b)
        assert points(3 - a * 2) == {p: 3 - 2 * v for p, v in mine.items()}
        assert points(-a) == points(0 - a) and points(abs(-a)) == mine
        assert points(a >= 5) == {p: v >= 5 for p, v in mine.items()}


@given(arrays())
def test_reduce(a: LazyArray) -> None:
    columns: dict[tuple[int, ...], list[int]] = {}
    for (i, *rest), value in points(a).items():
        columns.setdefault(tuple(rest), []).append((value, i))  # type: ignore[arg-type]

    def later(x: Any, i: Any, y: Any, j: Any) -> Any:
        return wnp.where(y % 7 >= x % 7, y, x), wnp.where(y % 7 >= x % 7, j, i)

    with weft.disable_jit():
        sums = lz.lazy_reduce(wnp.add, a)
        assert points(sums) == {p: sum(v for v, _ in c) for p, c in columns.items()}
        best, place = lz.lazy_reduce(later, a, lz.lazy_indices(a))
        wanted = {p: max(c, key=lambda pair: (pair[0] % 7, pair[1])) for p, c in columns.items()}
        assert points(best) == {p: v for p, (v, _) in wanted.items()}
        assert points(place) == {p: i for p, (_, i) in wanted.items()}


@given(arrays(), st.integers(-2, 2).filter(bool), st.integers(-3, 3))
def test_transformations(a: LazyArray, scale: int, offset: int) -> None:
    with weft.disable_jit():
        moved = lz.lazy_reshape(a, f"i j -> {scale}*j+{offset} 5 -i")
    wanted = {(scale * j + offset, 5, -i): v for (i, j), v in points(a).items()}
    assert points(moved) == wanted


@given(arrays(), st.data())
def test_selections_and_orders(a: LazyArray, data: st.DataObject) -> None:
    def part(axis: range) -> range:
        first = data.draw(st.integers(0, len(axis) - 1))
        return axis[first :: data.draw(st.integers(1, 3))]

    chosen = Space(*map(part, a.space))
    with weft.disable_jit():
        selected = points(lz.lazy_reshape(a, chosen))
        flat = lz.lazy_reshape(a, a.space.size)
        one = lz.lazy_reshape(selected_corner(a), Space(3, range(2, 6, 2)))
    assert selected == {p: v for p, v in points(a).items() if p in chosen}
    assert list(points(flat).values()) == list(points(a).values())
    assert set(points(one).values()) == {int(np.asarray(a).flat[0])} and one.shape == (3, 2)


def selected_corner(a: LazyArray) -> LazyArray:
    return lz.lazy_reshape(a, Space(*(r[:1] for r in a.space)))


@given(st.integers(1, 7), st.integers(2, 3), st.integers(-4, 4))
def test_fused_pieces(count: int, step: int, start: int) -> None:
    whole = LazyArray(
        np.arange(count * 2, dtype=np.int32).reshape(count, 2),
        Space(range(start, start + count), 2),
    )
    with weft.disable_jit():
        pieces = [
            lz.lazy_reshape(whole, Space(range(start + k, start + count, step), 2))
            for k in range(min(step, count))
        ]
        assert points(lz.lazy_fuse(*pieces[::-1])) == points(whole)
        assert points(lz.lazy_overwrite(*pieces, whole)) == points(whole)
        doubled = points(lz.lazy_overwrite(whole, pieces[0] * 2))
    wanted = {p: v * (2 if (p[0] - start) % step == 0 else 1) for p, v in points(whole).items()}
    assert doubled == wanted


@given(arrays(1), arrays(1))
def test_stacks(a: LazyArray, b: LazyArray) -> None:
    if len(a.space[0]) > 1:
        step = a.space[0].step
        b = lz.lazy_reshape(LazyArray(b.values), f"i -> {step}*i-3")
    with weft.disable_jit():
        both = lz.lazy_stack(a, b)
    assert list(points(both).values()) == [*points(a).values(), *points(b).values()]
    assert both.space[0].start == a.space[0].start


@given(arrays(), st.integers(-1, 1), st.integers(1, 3))
def test_windows(a: LazyArray, low: int, size: int) -> None:
    steps = [r.step for r in a.space]
    around = [range(low * s, (low + size) * s, s) for s in steps]
    with weft.disable_jit():
        found = points(lz.lazy_windows(a, *around))
    known = points(a)
    wanted = {}
    for i, j in product(*(range(r[0] - 9, r[-1] + 10) for r in a.space)):
        near = {(i, j, k, m): known.get((i + k, j + m)) for k, m in product(*around)}
        aligned = (i - a.space[0][0]) % steps[0] == 0 and (j - a.space[1][0]) % steps[1] == 0
        if aligned and None not in near.values():
            wanted |= near
    assert found == wanted or not wanted


def test_lazy_arrays_are_trees() -> None:
    a = LazyArray(np.arange(4.0), Space(range(1, 9, 2)))

    def energy(a: LazyArray) -> Any:
        inner = lz.lazy_reshape(a, a.space.interior())
        return wnp.sum((inner * inner).values)

    slope = weft.grad(energy)(a)
    assert points(slope) == {(1,): 0, (3,): 2, (5,): 4, (7,): 0}
    assert points(weft.jit(lambda a: lz.lazy_reshape(a, "i -> -i"))(a)) == {
        (-7,): 3, (-5,): 2, (-3,): 1, (-1,): 0
    }  # fmt: skip
    assert pickle.loads(pickle.dumps(a.space)) == a.space
    assert repr(a) == "LazyArray(float64, Space(range(1, 8, 2)))"
    assert points(np.ones(4) * a.values) and points(np.asarray(2.0) * a)[(7,)] == 6
    both = lz.compute(a, a + 1)
    assert np.array_equal(both[1], both[0] + 1)


def test_errors() -> None:
    a, b = LazyArray(np.ones(4)), lz.lazy_reshape(np.ones(4), "i -> i+1")
    for error, call in {
        r"lazy.lazy: Space.* differ in axis -1": lambda: a + b,
        "have Space.* in common; lazy_overwrite": lambda: lz.lazy_fuse(a, b),
        "leave parts of Space.range.0, 9.. without": lambda: lz.lazy_fuse(
            a, lz.lazy_reshape(a, "i -> i+5")
        ),
        "lazy_overwrite: .* without elements": lambda: lz.lazy_overwrite(
            a, lz.lazy_reshape(a, "i -> i+5")
        ),
        "does not become": lambda: lz.lazy_reshape(a, Space(5)),
        "no elements along a first axis": lambda: lz.lazy_reduce(wnp.add, np.ones((0, 2))),
        "do not fill": lambda: LazyArray(np.ones(3), Space(4)),
        "differ beside where axis 0 begins": lambda: lz.lazy_stack(
            np.ones((2, 2)), np.ones((2, 3))
        ),
        "has no axis 1": lambda: lz.lazy_stack(a, axis=1),
        "arrays of one number of axes, got none": lambda: lz.lazy_fuse(),
        "are no steps of": lambda: lz.lazy_windows(lz.lazy_reshape(a, "i -> 2*i"), 2),
        "needs offsets for each": lambda: lz.lazy_windows(a, 2, 2),
        "needs an offset, 0 at least": lambda: lz.lazy_windows(a, 0),
    }.items():
        with pytest.raises(ValueError, match=error):
            call()
