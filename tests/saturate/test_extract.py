"""Extraction: never dearer by the integer program, which finds what trying everything finds."""

from __future__ import annotations

from itertools import product
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import weft
from weft.saturate.cost import Way
from weft.saturate.exact import solve
from weft.saturate.extract import _difference, _needed, _users, extract

CLASSES = 6


class Table:
    """Costs as a table: the ways to compute each class."""

    def __init__(self, ways: dict[int, list[Way]]) -> None:
        self.table = ways

    def ways(self, number: int) -> list[Way]:
        return self.table[number]


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Few classes with few ways, which may need each other in circles; each can be computed."""
    ways: dict[int, list[Way]] = {}
    for c in range(CLASSES):
        count = draw(st.integers(0, 2))
        several = [Way(("leaf", (c,)), (), float(draw(st.integers(8, 30))))]
        for n in range(count):
            needs = draw(st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=3))
            several.append(Way(("op", (c, n)), tuple(needs), float(draw(st.integers(0, 6)))))
        ways[c] = several
    return Table(ways)


def cheapest(table: Table, roots: list[int]) -> float:
    """By trying everything."""
    best = inf
    for picked in product(*table.table.values()):
        found = _needed(dict(enumerate(picked)), roots)
        if found is not None:
            best = min(best, found[1])
    return best


@settings(max_examples=60)
@given(tables(), st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=3))
def test_nothing_is_cheaper(table: Table, roots: list[int]) -> None:
    greedy = extract(table, roots)  # type: ignore[arg-type]
    exact = extract(table, roots, exact=True)  # type: ignore[arg-type]
    best = cheapest(table, roots)
    assert exact.cost == pytest.approx(best)
    assert best <= greedy.cost + 1e-9
    assert exact.cost == pytest.approx(sum(w.cost for w in exact.ways.values()))
    assert set(roots) <= exact.ways.keys()
    assert all(n in exact.ways for way in exact.ways.values() for n in way.needs)


@given(tables(), st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=3), st.data())
def test_what_a_turned_decision_adds(table: Table, roots: list[int], data: st.DataObject) -> None:
    picked = {c: data.draw(st.sampled_from(ways)) for c, ways in table.table.items()}
    found = _needed(picked, roots)
    assume(found is not None)
    chosen, total = found
    turned = data.draw(st.sampled_from(sorted(chosen)))
    way = data.draw(st.sampled_from(table.ways(turned)))
    then = _needed({**picked, turned: way}, roots)
    assume(then is not None)
    added = _difference(chosen, picked, _users(chosen, roots), turned, way)
    assert total + added == pytest.approx(then[1])


def test_sharing_that_greedy_decisions_miss() -> None:
    """Two classes share a dear one only if both give up what is best for each alone."""
    leaf = [Way(("leaf", (0,)), (), 10.0)]
    users = {c: [Way(("alone", (c,)), (), 7.0), Way(("shared", (c,)), (0,), 1.0)] for c in (1, 2)}
    table = Table({0: leaf, **users})
    assert extract(table, [1, 2]).cost == 14.0  # type: ignore[arg-type]
    assert extract(table, [1, 2], exact=True).cost == 12.0  # type: ignore[arg-type]


def test_a_bound_that_cannot_be_met_gives_nothing() -> None:
    assert solve({0: [Way(("leaf", (0,)), (), 5.0)]}, [0], 4.0) is None


def test_without_time_the_greedy_choice_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft.saturate.exact.solve", lambda *_: None)
    table = Table({0: [Way(("leaf", (0,)), (), 5.0)]})
    assert extract(table, [0], exact=True).cost == 5.0  # type: ignore[arg-type]


def test_programs_agree() -> None:
    def function(x: Any, a: Any, b: Any, w: Any) -> Any:
        return x @ w + (x @ a) @ b, (x @ w).sum()

    rng = np.random.default_rng(0)
    shapes = ((300, 100), (100, 8), (8, 90), (100, 90))
    arrays = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    plain = weft.jit(function)(*arrays)
    before = weft.config.extraction
    weft.config.extraction = "exact"
    exact = weft.jit(function)(*arrays)
    weft.config.extraction = before
    for a, e in zip(exact, plain, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-3, atol=1e-2)


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match=r"config\.extraction is one of 'greedy', 'exact', got 3"):
        weft.config.extraction = 3  # type: ignore[assignment]
