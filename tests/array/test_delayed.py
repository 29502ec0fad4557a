"""Delayed evaluation: what is run when, what is compiled, and what is kept."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft.array import delayed
from weft.array.delayed import SEGMENT_LIMIT
from weft.compile import compiled


@pytest.fixture
def programs(monkeypatch):
    """The programs that were run: (number of equations, number of outputs)."""
    ran = []
    execute = delayed._execute

    def recording(program, outputs):
        ran.append((len(program), len(outputs)))
        return execute(program, outputs)

    monkeypatch.setattr(delayed, "_execute", recording)
    delayed._state.segment = None
    return ran


@pytest.fixture
def compilations(monkeypatch):
    """How many programs were compiled."""
    import weft.compile

    monkeypatch.setattr(delayed, "_cache", type(delayed._cache)())
    compiled = []
    original = weft.compile.compile_jaxpr

    def counting(closed, *args, **kwargs):
        compiled.append(closed)
        return original(closed, *args, **kwargs)

    monkeypatch.setattr(weft.compile, "compile_jaxpr", counting)
    delayed._state.segment = None
    return compiled


def ready(data):
    return wnp.asarray(np.asarray(data, np.float32))


def test_work_is_done_when_a_value_is_needed(programs):
    x = ready([1, 2, 3])
    y = x + x
    z = y * y
    assert not programs
    assert z.tolist() == [4, 16, 36]
    assert programs == [(2, 2)]  # y is held, so it was kept
    assert y.tolist() == [2, 4, 6]
    assert len(programs) == 1


def test_only_what_is_needed_is_run(programs):
    x = ready([1.0])
    y, z = x + x, x * x
    assert z.tolist() == [1]
    assert programs == [(1, 1)]
    assert y._pending is not None


def test_dead_intermediates_are_not_outputs(programs):
    x = ready([1.0])
    z = ((x + x) * x) - x
    z.block_until_ready()
    assert programs == [(3, 1)]


def test_shared_intermediates_of_pending_work_are_kept(programs):
    x = ready([2.0])
    shared = x * x
    y, z = shared + x, shared - x
    del shared
    assert y.tolist() == [6]
    assert programs == [(2, 2)]
    assert z.tolist() == [2]
    assert programs == [(2, 2), (1, 1)]


def test_unobserved_work_disappears(programs):
    x = ready([1.0])
    lost = x + x
    del lost
    assert (x * x).tolist() == [1]
    assert programs == [(1, 1)]


def test_compute_evaluates_together(programs):
    x = ready([1.0])
    y, z = weft.compute(x + x, x * x)
    assert programs == [(2, 2)]
    assert (y.tolist(), z.tolist()) == ([2], [1])
    assert weft.compute(y) is y
    with pytest.raises(TypeError, match=r"weft\.compute: argument 1 is int, not a weft array"):
        weft.compute(y, 3)


def test_a_loop_compiles_once(programs, compilations):
    x, b = ready([1.0, 2.0]), ready([1.0, 1.0])
    for _ in range(10):
        x = x + b
        x = x * b
    assert x.tolist() == [11, 12]
    assert programs == [(2, 1)] * 10
    assert len(compilations) == 1


def recurrence(np):
    x = np.zeros(40, np.float32)
    for i in range(1, 40):
        x[i] = np.sin(x[i - 1]) + np.float32(1)
    return x


def elimination(np):
    m = np.eye(12, dtype=np.float32) * 4 + np.ones((12, 12), np.float32)
    for k in range(11):
        for i in range(k + 1, 12):
            m[i] = m[i] - m[i, k] / m[k, k] * m[k]
    return m


def large_rows(np):
    m = np.ones((40, 4000), np.float32)
    for i in range(1, 40):
        m[i] = m[i] + m[i - 1]
    return m


def values_of_a_state(np):
    x, total = np.arange(20, dtype=np.float32), np.float32(0)
    for i in range(20):
        x = x + np.float32(1)
        total = total + x[i]
    return total


def pivoting(np):
    m = np.arange(40, dtype=np.float32).reshape(20, 2)
    for i in range(19):
        m[[i, 19]] = m[[19, i]]
        m[19] = m[19] + m[i]
    return m


@pytest.mark.parametrize("loop", [recurrence, elimination, large_rows, values_of_a_state, pivoting])
def test_loops_over_indices_of_pending_arrays_share_programs(loop):
    before = compiled.count
    result = loop(wnp)
    np.testing.assert_allclose(np.asarray(result), loop(np), rtol=1e-5)
    assert compiled.count - before <= 10


def test_reads_at_fixed_places_are_fused(programs):
    x = ready(np.arange(8))
    for _ in range(5):
        y = x + x
        z = (y[1:] - y[:-1]) * y[0] + y[-1]
        assert z.tolist() == [14] * 7
        del y
    assert len(programs) == 5


def test_work_that_fails_raises_where_a_value_is_needed() -> None:
    x = wnp.zeros(4)
    for i in range(3):
        x[0] = ready([1.0])[0]
        huge = wnp.broadcast_to(x, (10**9, 10**6, 4)) * 2
        value = x[i]
        with pytest.raises(MemoryError):
            huge.block_until_ready()
        del huge
        assert float(value) == (i == 0)


def test_constants_are_inputs(compilations):
    x = ready([1.0])
    for k in range(5):
        assert (x * (k + 0.5)).tolist() == [k + 0.5]
    assert len(compilations) == 1


def test_a_library_function_is_one_call_site(programs):
    x = ready(np.arange(6).reshape(2, 3))
    v = wnp.var(x, 1)  # several operations from one place of the user's code
    np.testing.assert_allclose(np.asarray(v), np.var(np.arange(6).reshape(2, 3), 1), rtol=1e-6)
    assert len(programs) == 1


def test_segments_end_at_their_limit(programs):
    x = one = ready([1.0])
    exec("\n".join(["x = x + one"] * 200), namespace := {"x": x, "one": one})
    assert namespace["x"].tolist() == [201]
    assert programs == [(128, 1), (72, 1)]


def test_results_do_not_depend_on_segments():
    data = np.linspace(0.1, 3, 50, dtype=np.float32)

    def chain(x, evaluate):
        x = wnp.exp(x) - x
        x = x.block_until_ready() if evaluate else x
        x = wnp.tanh(x * 0.3) / (x + 1)
        return wnp.sqrt(x) * 2

    whole, parts = (np.asarray(chain(wnp.asarray(data), flag)) for flag in (False, True))
    np.testing.assert_array_equal(whole, parts)


def test_errors_of_types_come_at_once_and_at_the_users_line():
    x = ready([1.0, 2.0])
    with pytest.raises(ValueError, match=r"shapes \(2,\), \(3,\)"):
        x + wnp.ones(3)


def test_errors_of_running_name_the_users_line(monkeypatch):
    def failing(*args, **kwargs):
        raise MemoryError("no room")

    monkeypatch.setattr(delayed, "_cache", type(delayed._cache)())
    monkeypatch.setattr("weft.compile.compile_jaxpr", failing)
    y = ready([1.0]) + ready([2.0])  # the line that the error names
    with pytest.raises(MemoryError) as caught:
        y.tolist()
    (note,) = caught.value.__notes__
    assert "while computing what was written at" in note
    assert "test_delayed.py" in note and "the line that the error names" in note
    monkeypatch.undo()
    assert y.tolist() == [3]  # still pending, so it can be tried again


def test_other_threads_may_ask_for_a_value():
    x = ready([1.0, 2.0])
    y = x * x + x
    seen = []
    threads = [threading.Thread(target=lambda: seen.append(y.tolist())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [[2, 6]] * 4


def test_threads_record_in_segments_of_their_own():
    shared = ready([1.0, 2.0]) + 1
    results = {}

    def work(k):
        x = shared
        for _ in range(20):
            x = x + k
            x = x - 1
        results[k] = x.tolist()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {k: [2 + 20 * (k - 1), 3 + 20 * (k - 1)] for k in range(6)}


def test_the_cache_of_programs_is_bounded(monkeypatch):
    monkeypatch.setattr(delayed, "CACHE_LIMIT", 2)
    monkeypatch.setattr(delayed, "_cache", type(delayed._cache)())
    for n in range(1, 6):
        (ready(np.ones(n)) + 1).block_until_ready()
    assert len(delayed._cache) == 2


def test_disable_jit_runs_each_operation_at_once(programs):
    with weft.disable_jit():
        x = ready([1.0]) + 1
        assert x._pending is None
    assert not programs
    assert (x + 1).tolist() == [3]
    assert programs


def test_pending_work_is_done_before_a_buffer_is_given_up(programs):
    x = ready([1.0, 2.0])
    y = x + x
    x.delete()
    assert programs == [(1, 1)]
    assert y.tolist() == [2, 4]


def test_aliases_of_pending_values_are_computed_together(programs):
    x = ready([1.0]) * ready([3.0])
    y = x.copy()
    assert y.tolist() == x.tolist() == [3]
    assert len(programs) == 1


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(0, 3)), max_size=25))
@settings(max_examples=60)
def test_random_sessions_agree_with_numpy(steps):
    """Work, copies, changes in place, deletions and questions, in any order."""
    arrays = [ready([k, k + 1.0]) for k in range(4)]
    expected = [np.array([k, k + 1.0], np.float32) for k in range(4)]
    for kind, i, j in steps:
        if kind == 0:
            arrays[i], expected[i] = arrays[i] + arrays[j], expected[i] + expected[j]
        elif kind == 1:
            arrays[i], expected[i] = arrays[j] * 0.5 - 1, expected[j] * 0.5 - 1
        elif kind == 2:
            arrays[i], expected[i] = arrays[j].copy(), expected[j].copy()
        elif kind == 3:
            arrays[i], expected[i] = arrays[i].copy(), expected[i].copy()
            arrays[i][j % 2], expected[i][j % 2] = 3.0, 3.0
        elif kind == 4:
            assert arrays[i].tolist() == expected[i].tolist()
        elif kind == 5:
            weft.compute(arrays[i], arrays[j])
        elif i != j:
            arrays[i].delete()
            arrays[i], expected[i] = arrays[j][::-1], expected[j][::-1].copy()
            arrays[i] = arrays[i].copy()
    for array, value in zip(arrays, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(array), value)


def test_callbacks_without_results_run_outside_jit() -> None:
    seen: list[float] = []
    x = wnp.ones(3) * 2
    weft.io_callback(lambda v: seen.append(float(v)), None, x.sum())
    assert seen == [6.0]


def test_what_does_not_fit_in_memory_leaves_other_work_alone() -> None:
    x = ready([1.0, 2.0])
    huge = wnp.broadcast_to(x, (10**9, 10**6, 2)) * 2
    y = x
    for _ in range(3 * SEGMENT_LIMIT):
        y = y + 1
    assert y.tolist() == [1 + 3 * SEGMENT_LIMIT, 2 + 3 * SEGMENT_LIMIT]
    for _ in range(2):
        with pytest.raises(MemoryError, match="TiB"):
            huge.block_until_ready()
        assert (x * 3).tolist() == [3, 6]


def test_a_callback_that_fails_leaves_other_work_alone() -> None:
    def refuse(value):
        raise ValueError("not today")

    x = ready([1.0, 2.0])
    failing = weft.pure_callback(refuse, weft.ShapeDtypeStruct((2,), np.float32), x * 2)
    others = [x + k for k in range(3 * SEGMENT_LIMIT)]
    assert [other.tolist()[0] for other in others] == [1.0 + k for k in range(3 * SEGMENT_LIMIT)]
    for _ in range(2):
        with pytest.raises(ValueError, match="not today"):
            failing.tolist()


def test_deleting_what_failing_work_reads_names_the_failure() -> None:
    x = ready([1.0, 2.0])
    huge = wnp.broadcast_to(x, (10**9, 10**6, 2)) * 2
    with pytest.raises(MemoryError):
        x.delete()
    del huge
    x.delete()
    assert x.is_deleted()


def test_long_chains_keep_few_operations() -> None:
    x = y = ready(np.ones(5000))
    for _ in range(20_000):
        y = y * 0.5
        y = y + x
    gc.collect()
    pending = sum(type(thing) is delayed.Operation for thing in gc.get_objects())
    assert pending <= 2 * SEGMENT_LIMIT
    assert y.tolist()[0] == 2.0
