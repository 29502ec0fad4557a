"""``weft.explain``: what became of a function, as data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
from weft import numpy as wnp


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def low_rank(x: Any, w: Any, a: Any, b: Any) -> Any:
    narrow = x @ a
    return x @ w + narrow @ b


@pytest.fixture(scope="module")
def report() -> weft.report.Report:
    return weft.explain(low_rank, zeros(1000, 600), zeros(600, 500), zeros(600, 4), zeros(4, 500))


def test_kernels_say_what_they_read_write_and_take(report: weft.report.Report) -> None:
    last = report.kernels[-1]
    assert len(last.inputs) == 2 and len(last.outputs) == 1
    # Two for each product, and some to join the parts of long sums.
    assert 1.0 <= last.flops / (2 * 1000 * 600 * 500) < 1.01
    whole = 4 * (1000 * 600 + 600 * 500 + 1000 * 500)
    assert whole <= last.bytes_moved["DRAM"] <= 4 * whole
    assert last.bytes_moved.keys() == {"L2", "L3", "DRAM"}
    assert 0 < last.predicted_time < 1
    assert "parallel" in last.schedule


def test_kernels_name_the_lines_that_they_compute(report: weft.report.Report) -> None:
    first = low_rank.__code__.co_firstlineno
    lines = {s.line for k in report.kernels for s in k.source_lines}
    assert lines and lines <= {first + 1, first + 2}
    assert all(s.file == __file__ for k in report.kernels for s in k.source_lines)


def test_a_derivation_shows_rules_and_prices(report: weft.report.Report) -> None:
    assert report.derivation
    assert "add products" in {r for step in report.derivation for r in step.rules}
    for step in report.derivation:
        assert step.after < step.before
        assert step.gone and step.new and not set(step.gone) & set(step.new)
    for step, later in zip(report.derivation, report.derivation[1:], strict=False):
        assert later.before == step.after


def test_the_graph_and_the_passes_are_counted(report: weft.report.Report) -> None:
    assert report.egraph.searched == 1 and report.egraph.nodes > report.egraph.classes > 0
    assert {"trace", "lower", "saturate", "plan", "llvm", "link"} <= report.compile_time.keys()
    assert all(seconds >= 0 for seconds in report.compile_time.values())


def test_memory_between_kernels_is_reported(report: weft.report.Report) -> None:
    # w + a @ b, then its copy in panels of 64 columns or fewer, the last one filled up; arrays
    # start within a page of one another.
    between, packed = 600 * 500 * 4, 600 * (500 + 63) * 4
    assert between <= report.peak_intermediate_bytes <= between + packed + 4096


def test_the_text_has_a_line_for_each_kernel(report: weft.report.Report) -> None:
    lines = str(report).splitlines()
    assert lines[0].startswith("low_rank: 2 kernels, ")
    assert all(k.name in line for k, line in zip(report.kernels, lines[1:], strict=False))
    assert "found by rules:" in lines


def test_pieces_that_promise_nothing_are_counted() -> None:
    report = weft.explain(lambda x: wnp.exp(x).sum(), zeros(3000))
    assert report.egraph.searched == 0 and sum(report.egraph.skipped.values()) == 1
    assert report.derivation == ()


def test_a_long_region_is_a_note() -> None:
    def layers(x: Any) -> Any:
        for _ in range(60):
            x = wnp.tanh(x) * wnp.cumsum(x, 0)
        return x.sum()

    report = weft.explain(layers, zeros(4000))
    assert any("pieces" in note for note in report.fallbacks)


def test_steps_that_are_refused_are_told_once_and_not_in_the_summary() -> None:
    report = weft.explain(lambda x: wnp.exp(x) + wnp.cumsum(x, 0)[:, :1], zeros(100, 100))
    assert any("vectorize" in note for note in report.refused)
    assert len(set(report.refused)) == len(report.refused)
    assert not any("vectorize" in note for note in report.fallbacks)
    assert "vectorize" not in str(report)


def test_jitted_functions_and_keywords_are_taken() -> None:
    report = weft.explain(
        weft.jit(lambda x, *, scale: (x * scale).sum()), zeros(100), scale=zeros()
    )
    assert len(report.kernels) >= 1


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match="explain"):
        weft.explain(3, zeros(3))  # type: ignore[arg-type]
