"""The comparison of prices and times: it runs, compares what it says, and ranks as it should."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import weft
from weft.machines import host_machine


@pytest.fixture
def cost_model(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))
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


def test_there_are_families_enough(cost_model):
    assert len(cost_model.FAMILIES) >= 15
    assert all(len(sizes) > 1 for _, sizes in cost_model.FAMILIES.values())
