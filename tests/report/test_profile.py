"""``weft.profile``: what ran, for how long, and in which memory."""

from __future__ import annotations

import gc
import json
import threading
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import weft
from tests.compiled.random_programs import Program, programs
from tests.compiled.test_random_programs import agree
from weft import lax
from weft import numpy as wnp
from weft.compile import compile_jaxpr
from weft.core.interpret import eval_jaxpr_numpy
from weft.report.origins import computed, launches_of, planned_values
from weft.report.profile import program_name
from weft.report.steps import step_infos
from weft.report.units import bytes_text
from weft.runtime import stamps
from weft.runtime.buffer import Buffer

F32 = np.float32


def loops(x: Any) -> Any:
    y = lax.fori_loop(0, 7, lambda i, c: c * 0.5 + wnp.sin(x), x)
    return wnp.sort(y)[::-1], y.sum()


@pytest.fixture
def seen() -> Any:
    found: list[stamps.Observation] = []
    stamps.listeners.append(found.append)
    yield found
    stamps.listeners.remove(found.append)


def test_a_program_with_stamps_computes_the_same_and_counts_its_steps(seen: Any) -> None:
    x = wnp.linspace(0, 1, 3000)
    closed = weft.make_jaxpr(loops)(x)
    expected = compile_jaxpr(closed)(x)
    executable = compile_jaxpr(closed, stamped=True)
    for _ in range(2):
        for found, wanted in zip(executable(x), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
    assert len(seen) == 2
    for call in seen:
        assert 7 in call.calls and call.calls.sum() == len(call.events) and not call.dropped
        begins, ends = call.events[:, 1], call.events[:, 2]
        assert (begins >= call.begin).all() and (ends <= call.end).all()
        assert (begins[1:] >= ends[:-1]).all(), "steps run one after the other"
        sums = np.bincount(call.events[:, 0], ends - begins, len(call.calls)) * 1e-9
        np.testing.assert_allclose(sums, call.seconds)


def test_more_events_than_are_kept_are_counted(seen: Any) -> None:
    many = stamps.EVENTS + 10
    f = weft.make_jaxpr(lambda x: lax.fori_loop(0, many, lambda i, c: c + 1, x))
    (result,) = compile_jaxpr(f(0), stamped=True)(wnp.asarray(0))
    (call,) = seen
    assert int(result) == many
    assert call.calls.sum() == len(call.events) + call.dropped and len(call.events) == stamps.EVENTS


@settings(max_examples=12, suppress_health_check=list(HealthCheck), deadline=None)
@given(programs)
def test_random_programs_have_stamps_and_lines(program: Program) -> None:
    arrays = program.arrays()
    closed = weft.make_jaxpr(program)(*arrays)
    executable = compile_jaxpr(closed, stamped=True)
    native = executable.native
    assert isinstance(native, stamps.StampedProgram)
    outputs = [Buffer.alloc(nbytes) for nbytes in native.output_nbytes]
    call = native.observe([Buffer.from_numpy(x) for x in arrays], outputs)
    subject = call.subject
    assert len(call.calls) == len(step_infos(subject))
    assert call.calls.sum() == len(call.events) + call.dropped
    launches = launches_of(subject.program)
    regions = subject.record.regions
    assert [s.kernel for s in launches] == [k for r in regions for k, _, _ in r.kernels]
    assert all(computed(regions)), "every launch computes something"
    for launch, values in zip(launches, planned_values(regions), strict=True):
        assert [s.shape for s in launch.slots] == [v.shape for v in values]
    with np.errstate(all="ignore"):
        meaning = eval_jaxpr_numpy(closed.jaxpr, closed.consts, *arrays)
    found = [b.as_numpy(a.shape, a.dtype) for b, a in zip(outputs, closed.out_avals, strict=True)]
    agree(found, [np.asarray(y) for y in meaning], "with stamps")


@pytest.fixture(scope="module")
def measured() -> weft.report.profile.Profile:
    f = weft.jit(lambda x, w: wnp.tanh(x @ w).sum(0))  # a long line, which is cut at the end
    x, w = np.ones((300, 200), F32), np.ones((200, 400), F32)
    with weft.profile() as found:
        for _ in range(3):
            f(x, w)
        kept = wnp.arange(1000) + 1
        kept.block_until_ready()
    return found


def test_rows_say_how_often_how_long_and_how_near_the_roof(measured: Any) -> None:
    product = next(row for row in measured.kernels if row.flops >= 2 * 300 * 200 * 400)
    assert product.kind == "kernel" and product.calls == 3 and "f32[300,200]" in product.shapes
    assert product.gflops == pytest.approx(1e-9 * product.flops / product.each)
    assert 0 < product.of_roof < 20 and 0 < product.predicted_to_measured < 20
    assert product.least <= product.predicted
    assert product.bytes >= 4 * (300 * 200 + 200 * 400)
    assert [s.file for s in product.lines] == [__file__]
    assert sum(row.seconds for row in measured.kernels) <= measured.seconds <= measured.wall


def test_work_outside_jit_is_seen(measured: Any) -> None:
    lines = [s for row in measured.kernels for s in row.lines]
    assert any("wnp.arange(1000) + 1" in s.text() for s in lines)


def test_the_text_is_a_table(measured: Any) -> None:
    head, columns, *_ = text = str(measured).splitlines()
    assert head.startswith(f"{len(measured.runs)} calls of programs, ")
    names = "time calls each GB/s GFLOP/s of roof pred/meas kernel lines"
    assert columns.split() == names.split()
    assert len(text) - text.index(columns) > len(measured.kernels), "one line for each"
    assert any("in use, at" in line for line in text)
    assert all(len(line) <= 120 for line in text)


def test_notebooks_show_a_table_and_a_curve(measured: Any) -> None:
    html = measured._repr_html_()
    assert html.count("<tr>") == len(measured.kernels) + 1 and "<script" not in html
    start, end = html.index("<svg"), html.index("</svg>") + 6
    drawing = ElementTree.fromstring(html[start:end])
    assert bytes_text(measured.memory.peak[1]) in "".join(drawing.itertext())


def test_programs_are_called_what_functions_are(measured: Any) -> None:
    names = {program_name(run.subject) for run in measured.runs}
    assert "<lambda>" in names and len(names) == 2


def test_the_trace_nests_steps_in_programs(measured: Any, tmp_path: Path) -> None:
    measured.trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    programs = [e for e in events if e.get("cat") == "program"]
    steps = [e for e in events if e["ph"] == "X" and e["cat"] != "program"]
    assert len(programs) == len(measured.runs) and steps
    for step in steps:
        assert any(
            p["ts"] <= step["ts"] and step["ts"] + step["dur"] <= p["ts"] + p["dur"]
            for p in programs
        )
    assert max(e["args"]["bytes"] for e in events if e["ph"] == "C") == measured.memory.peak[1]


def test_the_memory_goes_up_and_down_with_arrays() -> None:
    f = weft.jit(lambda x: x * 2)
    x = wnp.ones(1 << 20)
    x.block_until_ready()
    with weft.profile() as found:
        first = f(x)
        second = f(x)
        del first
        third = f(x)
        del second, third
    bytes_of_each = [nbytes / (4 << 20) for _, nbytes in found.memory.timeline]
    # The argument, its first product, both, one, two, one, none but the argument.
    assert bytes_of_each == pytest.approx([1, 2, 3, 2, 3, 2, 1], abs=1e-3)
    largest = found.memory.largest()
    assert [h.nbytes for h in largest] == [4 << 20] * 3
    made = [h for h in largest if h.lines]
    assert len(made) == 2 and "lambda x: x * 2" in str(made[0])


def test_calls_are_what_they_were_afterwards(seen: Any) -> None:
    f = weft.jit(lambda x: x + 1)
    x = wnp.ones(5)
    f(x), f(x)
    settings, way = weft.config.compiled_for, f._fast
    with weft.profile():
        assert weft.config.compiled_for is not settings
        f(x)
        with weft.profile() as inner:
            f(x)
    assert weft.config.compiled_for is settings and not weft.config.profiled
    assert len(inner.runs) == 1 and len(seen) == 2
    f(x), f(x)
    assert len(seen) == 2 and type(f._fast) is type(way)


def test_threads_are_told_apart() -> None:
    f = weft.jit(lambda x: wnp.sin(x) + 1)
    f(np.ones(10))
    with weft.profile() as found:
        thread = threading.Thread(target=lambda: f(np.ones(10)))
        thread.start()
        thread.join()
        f(np.ones(10))
    assert len({run.thread for run in found.runs}) == 2


def test_profiles_of_threads_end_in_any_order() -> None:
    f, x = weft.jit(lambda x: wnp.sin(x) + 1), np.ones(10)
    began, leave = threading.Event(), threading.Event()

    def first() -> None:
        with weft.profile():
            began.set()
            leave.wait()

    thread = threading.Thread(target=first)
    thread.start()
    began.wait()
    with weft.profile() as second:
        f(x)
        leave.set()
        thread.join()
        f(x)
    assert len(second.runs) == 2 and not weft.config.profiled


def test_arrays_that_go_later_were_there_at_the_end() -> None:
    x = np.ones(1000)
    with weft.profile() as found:
        y = weft.jit(lambda x: x + 1)(x)
    before = found.memory.timeline
    del x, y
    gc.collect()
    assert found.memory.timeline == before
    assert any(h.what.startswith("result 0") and h.until is None for h in found.memory.largest())


def test_nothing_ran() -> None:
    with weft.profile() as found:
        pass
    assert str(found) == "nothing ran that has kernels" and found.memory.peak == (0.0, 0)


def test_an_error_inside_ends_the_profile() -> None:
    with pytest.raises(ZeroDivisionError), weft.profile():
        raise ZeroDivisionError
    assert not weft.config.profiled and not stamps.listeners
