"""Figures of the benchmark kit: conditions under which is measured, and intervals of ratios."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def kit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))


def process(center: float, seed: int, calls: int = 40) -> dict[str, Any]:
    times = center * np.random.default_rng(seed).uniform(0.9, 1.1, calls)
    return {"status": "ok", "median": float(np.median(times)), "times": sorted(times.tolist())}


def test_an_interval_holds_the_ratio_and_narrows_with_more_processes() -> None:
    import intervals

    few, many = (
        intervals.of_ratio(
            [process(2.0, i) for i in range(count)],
            [process(1.0, i + 50) for i in range(count)],
            "median",
        )
        for count in (2, 12)
    )
    for low, high in (few, many):
        assert low < 2.0 < high
    assert many[1] - many[0] < few[1] - few[0] < 0.5


def test_processes_that_differ_widen_the_interval() -> None:
    import intervals

    alike = intervals.of_ratio([process(1, 1)] * 3, [process(1, 2)] * 3, "median")
    apart = intervals.of_ratio([process(1, 1), process(2, 3)], [process(1, 2)] * 3, "median")
    assert apart[1] - apart[0] > 5 * (alike[1] - alike[0])


def test_suffixes_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    import run

    for arguments, message in {
        "jax+avx2": "weft only",
        "weft+fast": "there is no .fast",
        "wefd+one": "unknown framework wefd",
    }.items():
        monkeypatch.setattr("sys.argv", ["run.py", "versus", "weft", arguments])
        with pytest.raises(SystemExit, match=message):
            run.selected_frameworks(run.parse_arguments())


def test_conditions_reach_the_process() -> None:
    import conditions

    one = conditions.environment("torch+one+tuned", 8)
    assert one["OMP_NUM_THREADS"] == "1" and "hugetlb" in one["GLIBC_TUNABLES"]
    assert "GLIBC_TUNABLES" not in conditions.environment("torch", 8)
    assert conditions.split("weft+one+avx2") == ("weft", ["+one", "+avx2"])


def test_a_framework_does_not_compete_with_itself() -> None:
    import run

    results = {"weft": [process(1, 0)], "weft+one": [process(0.1, 1)], "numpy": [process(2, 2)]}
    summary = run.summarise("mm512", results, None, "median")
    assert summary["best_other"] == "numpy"
    low, high = summary["interval"]
    assert low < summary["ratio"] < high < 0.6
