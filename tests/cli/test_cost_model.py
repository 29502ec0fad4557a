"""The comparison of prices and times: it runs, compares what it says, and ranks as it should."""

from __future__ import annotations

import sys
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import weft
from weft.kernels import strategy
from weft.kernels.machine import cpu_machine
from weft.kernels.print import print_kernel
from weft.kernels.schedule.errors import ScheduleError
from weft.machines import host_machine

BENCH = str(Path(__file__).parents[2] / "bench")


@pytest.fixture
def cost_model(monkeypatch):
    monkeypatch.syspath_prepend(BENCH)
    monkeypatch.setitem(sys.modules, "cost_model", None)
    del sys.modules["cost_model"]
    import cost_model

    return cost_model


def test_schedules_of_a_problem_are_priced_and_timed(cost_model, monkeypatch):
    monkeypatch.setattr(cost_model, "SCHEDULES", 3)
    machine = host_machine(weft.config.threads)
    row = cost_model.compare(lambda x: x * 2 + 1, ((4096,),), machine)
    assert row["schedules"] == 3 and row["seconds"] > 0
    assert set(row["spearman"]) == set(cost_model.PARTS)
    assert all(0 < share <= 1 for share in (*row["first"].values(), row["of eight"], row["chosen"]))
    table = cost_model.family_table({"doubled": cost_model.summary([row, row])})
    assert table[-1].startswith("| doubled | 6 |")


def test_rank_correlation(cost_model):
    assert cost_model.spearman([1.0, 2.0, 3.0], [10.0, 20.0, 30.0]) == pytest.approx(1)
    assert cost_model.spearman([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]) == pytest.approx(-1)
    assert cost_model.spearman([1.0, 1.0, 1.0], [3.0, 2.0, 1.0]) == 0


def test_differences_below_the_noise_are_ties(cost_model):
    prices, times = [1.0, 2.0, 3.0, 3.01], [10.0, 20.0, 30.3, 30.0]
    assert cost_model.spearman(prices, times) < 1
    assert cost_model.spearman(prices, times, 0.02) == pytest.approx(1)
    assert cost_model.spearman(prices, [10.0, 10.1, 10.05, 10.02], 0.02) == 0


@given(st.lists(st.floats(0.1, 100.0), min_size=2, max_size=12), st.floats(0.0, 0.5))
def test_a_ranking_agrees_with_itself_and_contradicts_its_reverse(values, noise):
    sys.path.insert(0, BENCH)
    try:
        import cost_model
    finally:
        sys.path.remove(BENCH)
    same = cost_model.spearman(values, values, noise)
    assert same == 0 or same == pytest.approx(1)
    opposite = cost_model.spearman(values, [-x for x in values])
    assert opposite == 0 or opposite == pytest.approx(-1)


@pytest.mark.parametrize("family", ["transposition", "matrix times vector", "chain"])
def test_enumeration_starts_with_the_default_and_finds_many_schedules(cost_model, family):
    machine = cpu_machine(2, 64, (32 << 10, 1 << 20, 32 << 20))
    function, sizes = cost_model.FAMILIES[family]
    kernel = cost_model.Subject(function, sizes[0], machine).main
    found = list(islice(cost_model.enumerated(kernel, machine), 200))
    texts: dict[str, None] = {}
    for _, schedule in found:
        with suppress(ScheduleError):
            texts[print_kernel(schedule(kernel, machine))] = None
    assert next(iter(texts)) == print_kernel(strategy.apply_choice(kernel, machine))
    assert len(texts) > 15


def test_a_call_is_timed_while_the_machine_is_busy(cost_model, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(cost_model, "busy_seconds", lambda: float(next(clock)))
    timing = cost_model.measure([lambda: None, lambda: sum(range(100))], patience=1e-6)
    assert timing.disturbed == pytest.approx(0.5, abs=0.1) and min(timing.best) > 0


def test_there_are_families_enough(cost_model):
    assert len(cost_model.FAMILIES) >= 15
    assert all(len(sizes) > 1 for _, sizes in cost_model.FAMILIES.values())
