"""Native programs and the two call paths, which must do the same."""

from __future__ import annotations

import gc
import math
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.config import config
from weft.runtime import call_path as call_path_module
from weft.runtime.allocator import allocator
from weft.runtime.buffer import Buffer
from weft.runtime.cache import compile_cached
from weft.runtime.call_path import ArrayLayout, CallPath, supports_native
from weft.runtime.executable import NativeProgram

FLOAT = np.dtype(np.float32)


class Aval:
    """Stands for an interned type."""


class Array:
    """Laid out as the front end's arrays are."""

    __slots__ = ("__weakref__", "_buffer", "_note", "_pending", "aval")

    def __init__(self, aval: Any, buffer: Any):
        self.aval = aval
        self._buffer = buffer
        self._note = self._pending = None


class SubclassOfArray(Array):
    __slots__ = ()


LAYOUT = ArrayLayout(Array, "aval", "_buffer", {"_note": None, "_pending": None})


def pointer(i: int) -> str:
    at = f"  %at{i} = getelementptr ptr, ptr %args, i64 {i}\n"
    return at + f"  %p{i} = load ptr, ptr %at{i}, align 8\n"


def sum_ir(n_in: int, n_out: int) -> str:
    """Output i is the first number of each input (and constant), summed, plus i."""
    lines = ["define i32 @main(ptr %args, ptr %arena, ptr %pool) nounwind {"]
    lines += [pointer(i) for i in range(n_in + n_out)]
    lines += ["  %s0 = fadd float 0.0, 0.0"]
    for i in range(n_in):
        lines += [f"  %v{i} = load float, ptr %p{i}, align 4"]
        lines += [f"  %s{i + 1} = fadd float %s{i}, %v{i}"]
    for i in range(n_out):
        lines += [f"  %r{i} = fadd float %s{n_in}, {float(i)}"]
        lines += [f"  store float %r{i}, ptr %p{n_in + i}, align 4"]
    return "\n".join(lines + ["  ret i32 0", "}"])


def sum_program(n_in: int, n_out: int, output_nbytes: int = 16, **settings: Any) -> NativeProgram:
    constants = len(settings.get("constants", ()))
    return NativeProgram(
        compile_cached(sum_ir(n_in + constants, n_out)),
        input_nbytes=[16] * n_in,
        output_nbytes=[output_nbytes] * n_out,
        **{"uses_pool": False, **settings},
    )


def array(value: float, aval: Any) -> Array:
    return Array(aval, Buffer.from_numpy(np.full(4, value, FLOAT)))


def first(result: Array) -> float:
    return float(result._buffer.as_numpy((1,), FLOAT)[0])


def slow(*arguments: Any) -> tuple[str, tuple[Any, ...]]:
    return ("slow", arguments)


def make_path(program: NativeProgram, aval: Any, single: bool = False) -> CallPath:
    n_in, n_out = len(program.input_nbytes), len(program.output_nbytes)
    return CallPath(program, [aval] * n_in, [aval] * n_out, LAYOUT, slow, single=single)


@pytest.fixture(autouse=True)
def configured_threads() -> Iterator[None]:
    before = config.threads
    yield
    config.threads = before


# ---- programs -----------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"uses_pool": True}, {"seconds": math.inf}])
def test_a_program_runs(settings: dict[str, Any]):
    program = sum_program(2, 3, **settings)
    assert program.long == bool(settings)
    outputs = program([Buffer.from_numpy(np.full(4, x, FLOAT)) for x in (1.0, 2.0)])
    assert [first(Array(None, buffer)) for buffer in outputs] == [3.0, 4.0, 5.0]


def test_constants_come_before_inputs_and_stay_alive():
    program = sum_program(1, 1, constants=[Buffer.from_numpy(np.full(4, 10.0, FLOAT))])
    gc.collect()
    (output,) = program([Buffer.from_numpy(np.ones(4, FLOAT))])
    assert first(Array(None, output)) == 11.0


@pytest.mark.parametrize("nbytes", [64, 100_000, 5 << 20])
def test_the_arena_is_aligned_memory_of_its_own(nbytes: int):
    ir = f"""
define i32 @main(ptr %args, ptr %arena, ptr %pool) nounwind {{
  %out = load ptr, ptr %args
  %address = ptrtoint ptr %arena to i64
  store i64 %address, ptr %out
  %last = getelementptr i8, ptr %arena, i64 {nbytes - 1}
  store i8 1, ptr %last
  ret i32 0
}}
"""
    program = NativeProgram(
        compile_cached(ir), input_nbytes=[], output_nbytes=[8], arena_nbytes=nbytes
    )
    live = allocator.statistics().live_bytes
    (output,) = program([])
    address = int(output.as_numpy((1,), np.dtype(np.uint64))[0])
    assert address % (4096 if nbytes >= 65536 else 64) == 0
    assert not output.ptr <= address < output.ptr + 8
    del output
    assert allocator.statistics().live_bytes == live


def test_wrong_buffers_are_refused():
    program = sum_program(2, 1)
    with pytest.raises(ValueError, match="this program has 2 inputs, got 1"):
        program([Buffer.alloc(16)])
    with pytest.raises(ValueError, match="input 1 needs 16 bytes, its buffer has 8"):
        program([Buffer.alloc(16), Buffer.alloc(8)])
    with pytest.raises(ValueError, match="this program has 1 outputs, got 0"):
        program.run([Buffer.alloc(16)] * 2, [])


def test_an_unknown_status_is_an_error():
    ir = "define i32 @main(ptr %args, ptr %arena, ptr %pool) {\n  ret i32 77\n}\n"
    program = NativeProgram(compile_cached(ir), input_nbytes=[], output_nbytes=[4])
    path = make_path(program, Aval())
    live = allocator.statistics().live_bytes
    for call in (path.call, path.native):
        with pytest.raises(RuntimeError, match="unknown status 77"):
            call()
    assert allocator.statistics().live_bytes == live


# ---- call paths ---------------------------------------------------------------------------


def test_this_interpreter_is_supported():
    assert supports_native(LAYOUT)
    assert make_path(sum_program(1, 1), Aval()).native.__name__ == "weft_call"


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("n_in, n_out", [(0, 0), (0, 1), (1, 0), (1, 1), (2, 3), (40, 30)])
def test_both_paths_give_the_same(n_in: int, n_out: int, long: bool):
    aval = Aval()
    program = sum_program(n_in, n_out, uses_pool=long, arena_nbytes=100 * n_in)
    path = make_path(program, aval)
    arrays = [array(i, aval) for i in range(n_in)]
    for call in (path.call, path.native):
        results = call(*arrays)
        assert type(results) is tuple
        assert [first(r) for r in results] == [sum(range(n_in)) + i for i in range(n_out)]
        assert all(type(r) is Array and r.aval is aval for r in results)
        assert all(r._note is None and r._pending is None for r in results)
        assert all(type(r._buffer) is Buffer and r._buffer.nbytes == 16 for r in results)


def test_a_single_result_is_not_a_tuple():
    aval = Aval()
    path = make_path(sum_program(1, 1), aval, single=True)
    assert first(path.native(array(5, aval))) == first(path.call(array(5, aval))) == 5.0


def test_constants_and_large_outputs():
    aval = Aval()
    constants = [Buffer.from_numpy(np.full(4, 10.0, FLOAT))]
    program = sum_program(1, 2, output_nbytes=3 << 20, constants=constants, arena_nbytes=1 << 20)
    path = make_path(program, aval)
    for call in (path.call, path.native):
        live = allocator.statistics().live_bytes
        results = call(array(1, aval))
        assert [first(r) for r in results] == [11.0, 12.0]
        del results
        assert allocator.statistics().live_bytes == live


#: Ways to spoil an argument; each must go to the slow path.
MISFITS: list[Callable[[Aval], Any]] = [
    lambda aval: 3.0,
    lambda aval: None,
    lambda aval: np.ones(4, FLOAT),
    lambda aval: array(1, Aval()),  # another type
    lambda aval: Array(aval, None),  # delayed or deleted
    lambda aval: Array(aval, np.ones(4)),  # not our buffer
    lambda aval: SubclassOfArray(aval, Buffer.alloc(16)),
    lambda aval: object.__new__(Array),  # no slot is set
]


@given(st.lists(st.integers(-1, len(MISFITS) - 1), max_size=5))
def test_what_does_not_fit_goes_to_the_slow_path(kinds: list[int]):
    aval = Aval()
    path = make_path(sum_program(3, 1), aval)
    arguments = [array(1, aval) if kind < 0 else MISFITS[kind](aval) for kind in kinds]
    fits = kinds == [-1] * 3
    counts = [sys.getrefcount(a) for a in arguments if a is not None]
    buffers = [a._buffer for a in arguments if isinstance(getattr(a, "_buffer", None), Buffer)]
    buffer_counts = [sys.getrefcount(b) for b in buffers]
    for call in (path.call, path.native):
        result = call(*arguments)
        if fits:
            assert first(result[0]) == 3.0
        else:
            assert result[0] == "slow"
            assert all(a is b for a, b in zip(result[1], arguments, strict=True))
        del result
    assert [sys.getrefcount(a) for a in arguments if a is not None] == counts
    assert [sys.getrefcount(b) for b in buffers] == buffer_counts


@pytest.mark.parametrize("which", ["call", "native"])
def test_errors_of_the_slow_path_come_through(which: str):
    def refuse(*arguments: Any) -> None:
        raise TypeError("no such argument")

    path = CallPath(sum_program(1, 1), [Aval()], [Aval()], LAYOUT, refuse)
    with pytest.raises(TypeError, match="no such argument"):
        getattr(path, which)(1)


@pytest.mark.parametrize("arena", [0, 40 << 40])
def test_running_out_of_memory_leaves_nothing_behind(arena: int):
    aval = Aval()
    program = sum_program(2, 3, output_nbytes=16 if arena else 40 << 40, arena_nbytes=arena)
    path = make_path(program, aval)
    arrays = [array(1, aval), array(2, aval)]
    counts = [sys.getrefcount(a._buffer) for a in arrays]
    live = allocator.statistics().live_bytes
    for call in (path.call, path.native):
        with pytest.raises(MemoryError, match=r"40\.0 TiB"):
            call(*arrays)
    assert [sys.getrefcount(a._buffer) for a in arrays] == counts
    assert allocator.statistics().live_bytes == live


@pytest.mark.parametrize("long", [False, True])
def test_ten_thousand_calls_leak_nothing(long: bool):
    aval = Aval()
    path = make_path(sum_program(2, 2, uses_pool=long, arena_nbytes=300), aval)
    arrays = [array(1, aval), array(2, aval)]
    watched: Sequence[Any] = (aval, *arrays, arrays[0]._buffer, None, Array, Buffer, slow)

    def state() -> tuple[list[int], int, int]:
        while gc.collect():  # what other tests left behind may go in several steps
            pass
        counts = [sys.getrefcount(w) for w in watched]
        return counts, allocator.statistics().live_bytes, len(gc.get_objects())

    path.native(*arrays)
    counts, live, objects = state()
    for _ in range(10_000):
        path.native(*arrays)
        path.native(*arrays, 1)
    after = state()
    assert all(abs(a - b) < 50 for a, b in zip(after[0], counts, strict=True))
    assert after[1] == live
    assert after[2] - objects < 200  # others may have let go of theirs meanwhile


def test_the_builtin_keeps_alive_what_it_needs():
    aval = Aval()
    native = make_path(sum_program(1, 1), aval, single=True).native
    argument = array(4, aval)
    gc.collect()
    assert first(native(argument)) == 4.0


def test_the_builtin_lets_go_in_the_end():
    import weakref

    aval = Aval()
    program = sum_program(1, 1)
    path = make_path(program, aval)
    path.native(array(1, aval))
    gone = weakref.ref(program), weakref.ref(aval)
    del program, path, aval
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


def test_inputs_deleted_by_another_thread_stay_valid_during_the_call():
    aval = Aval()
    path = make_path(sum_program(1, 1, uses_pool=True), aval, single=True)
    failures: list[float] = []
    stop = threading.Event()
    shared = array(1, aval)

    def churn() -> None:
        while not stop.is_set():
            shared._buffer = Buffer.from_numpy(np.full(4, 1.0, FLOAT))
            [Buffer.from_numpy(np.full(4, 9.0, FLOAT)) for _ in range(8)]

    thread = threading.Thread(target=churn)
    thread.start()
    for _ in range(2000):
        value = first(path.native(shared))
        if value != 1.0:
            failures.append(value)
    stop.set()
    thread.join()
    assert not failures


def test_a_changed_number_of_threads_reaches_old_builtins():
    aval = Aval()
    ir = """
declare void @weft_parallel(ptr, ptr, ptr, i64, i64)
define void @region(ptr %out, i64 %thread, i64 %lo, i64 %hi, i64 %whole) {
  %x = sitofp i64 %whole to float
  %first = icmp eq i64 %lo, 0
  br i1 %first, label %write, label %done
write:
  store float %x, ptr %out
  br label %done
done:
  ret void
}
define i32 @main(ptr %args, ptr %arena, ptr %pool) {
  %out = load ptr, ptr %args
  call void @weft_parallel(ptr %pool, ptr @region, ptr %out, i64 1, i64 1000)
  ret i32 0
}
"""
    config.threads = 3
    program = NativeProgram(compile_cached(ir), input_nbytes=[], output_nbytes=[4])
    path = make_path(program, aval, single=True)
    assert first(path.native()) == 3.0
    config.threads = 2
    assert first(path.call()) == 2.0  # whoever runs a program in Python brings the pool up to date
    assert first(path.native()) == 2.0


def test_classes_laid_out_otherwise_use_the_python_path():
    class WithDict:
        pass

    class WithProperty:
        __slots__ = ("_buffer", "inner")

        @property
        def aval(self) -> Any:
            return self.inner

    for cls in (WithDict, WithProperty):
        layout = ArrayLayout(cls, "aval", "_buffer")
        assert not supports_native(layout)
        path = CallPath(sum_program(1, 1), [Aval()], [Aval()], layout, slow)
        assert path.native(1) == ("slow", (1,))


def test_other_interpreters_use_the_python_path(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(call_path_module, "known_interpreter", lambda: False)
    aval = Aval()
    path = make_path(sum_program(1, 1), aval, single=True)
    assert path.native == path.call
    assert first(path.native(array(2, aval))) == 2.0


def test_mismatched_signatures_are_refused():
    with pytest.raises(ValueError, match="1 inputs and 1 outputs, the call path 2 and 1"):
        CallPath(sum_program(1, 1), [Aval()] * 2, [Aval()], LAYOUT, slow)
    with pytest.raises(ValueError, match="one output, not 2"):
        CallPath(sum_program(1, 2), [Aval()], [Aval()] * 2, LAYOUT, slow, single=True)
