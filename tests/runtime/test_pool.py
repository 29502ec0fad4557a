"""The native thread pool: regions, barriers, several callers, resizing, fork."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from weft.config import config
from weft.runtime.pool import pool, symbols
from weft.runtime.pool_ir import MAX_THREADS, SUPPORTED, pool_ir

# Newer Pythons warn that forking with threads is delicate, which is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")

# count[tid] += nt for each region; `many` runs n regions.
COUNT = """
declare void @weft_parallel(ptr, ptr, ptr)

define void @region(ptr %count, i64 %tid, i64 %nt) nounwind {
  %p = getelementptr i64, ptr %count, i64 %tid
  %v = load i64, ptr %p
  %w = add i64 %v, %nt
  store i64 %w, ptr %p
  ret void
}

define void @many(ptr %pool, ptr %count, i64 %n) nounwind {
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%j, %loop]
  call void @weft_parallel(ptr %pool, ptr @region, ptr %count)
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, %n
  br i1 %more, label %loop, label %out
out:
  ret void
}
"""

# Each round, a thread writes the round to its own word, waits, reads its neighbour's, waits: a
# mismatch is counted. args: words i64[nt], errors i64, rounds i64, pool.
BARRIER = """
declare void @weft_parallel(ptr, ptr, ptr)
declare void @weft_barrier(ptr, i64)

define void @rounds(ptr %args, i64 %tid, i64 %nt) nounwind {
entry:
  %words = load ptr, ptr %args
  %errors.at = getelementptr ptr, ptr %args, i64 1
  %errors = load ptr, ptr %errors.at
  %n.at = getelementptr ptr, ptr %args, i64 2
  %n = load i64, ptr %n.at
  %pool.at = getelementptr ptr, ptr %args, i64 3
  %pool = load ptr, ptr %pool.at
  %mine = getelementptr [8 x i64], ptr %words, i64 %tid
  %next = add i64 %tid, 1
  %neighbour = urem i64 %next, %nt
  %theirs = getelementptr [8 x i64], ptr %words, i64 %neighbour
  br label %loop
loop:
  %i = phi i64 [1, %entry], [%j, %after]
  store i64 %i, ptr %mine
  call void @weft_barrier(ptr %pool, i64 %nt)
  %seen = load i64, ptr %theirs
  %good = icmp eq i64 %seen, %i
  br i1 %good, label %after, label %bad
bad:
  %e = atomicrmw add ptr %errors, i64 1 seq_cst
  br label %after
after:
  call void @weft_barrier(ptr %pool, i64 %nt)
  %j = add i64 %i, 1
  %more = icmp sle i64 %j, %n
  br i1 %more, label %loop, label %out
out:
  ret void
}

define void @run(ptr %pool, ptr %args) nounwind {
  call void @weft_parallel(ptr %pool, ptr @rounds, ptr %args)
  ret void
}
"""

NESTED = """
declare void @weft_parallel(ptr, ptr, ptr)

define void @inner(ptr %args, i64 %tid, i64 %nt) nounwind {
  %count = load ptr, ptr %args
  %n = atomicrmw add ptr %count, i64 %nt seq_cst
  ret void
}

define void @outer(ptr %args, i64 %tid, i64 %nt) nounwind {
  %pool.at = getelementptr ptr, ptr %args, i64 1
  %pool = load ptr, ptr %pool.at
  call void @weft_parallel(ptr %pool, ptr @inner, ptr %args)
  ret void
}

define void @run(ptr %pool, ptr %args) nounwind {
  call void @weft_parallel(ptr %pool, ptr @outer, ptr %args)
  ret void
}
"""


@pytest.fixture(autouse=True)
def configured_threads() -> Iterator[None]:
    before = config.threads
    yield
    config.threads = before


@pytest.fixture
def many(function: Callable) -> Callable[[int], np.ndarray]:
    """Runs n regions and returns what each of 16 threads counted."""
    code = function(COUNT, "many", None, [ctypes.c_void_p] * 2 + [ctypes.c_int64], symbols())

    def run(n: int) -> np.ndarray:
        count = np.zeros(16, np.int64)
        code(pool.address, count.ctypes.data, n)
        return count

    return run


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_each_thread_runs_its_share_of_every_region(many: Callable, threads: int):
    config.threads = threads
    assert many(500).tolist() == [500 * threads] * threads + [0] * (16 - threads)


def test_many_quick_regions(many: Callable):
    config.threads = 2
    assert many(5_000)[:2].tolist() == [10_000, 10_000]


def test_the_address_is_constant_across_sizes(many: Callable):
    config.threads = 2
    address = pool.address
    many(1)
    config.threads = 4
    assert pool.address == address
    assert many(1)[:4].tolist() == [4] * 4
    config.threads = 2
    assert many(1)[:4].tolist() == [2, 2, 0, 0]


@pytest.mark.parametrize("threads", [2, 4])
def test_several_callers_each_get_every_thread(many: Callable, threads: int):
    config.threads = threads
    pool.address  # noqa: B018 - resize before the callers race
    results: list[list[int]] = []
    callers = [
        threading.Thread(target=lambda: results.append(many(300)[:threads].tolist()))
        for _ in range(6)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert results == [[300 * threads] * threads] * 6


def test_resizing_while_others_compute(many: Callable):
    totals: list[int] = []
    callers = [threading.Thread(target=lambda: totals.append(int(many(200)[0]))) for _ in range(3)]
    for caller in callers:
        caller.start()
    for threads in (3, 2, 4, 1, 2) * 4:
        config.threads = threads
        assert many(1)[0] == threads
    for caller in callers:
        caller.join()
    assert all(200 <= total <= 800 for total in totals)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_barriers_order_the_threads_of_a_region(function: Callable, threads: int):
    config.threads = threads
    run = function(BARRIER, "run", None, [ctypes.c_void_p] * 2, symbols())
    words, errors = np.zeros((threads, 8), np.int64), np.zeros(1, np.int64)
    rounds = 300
    arguments = (ctypes.c_int64 * 4)(words.ctypes.data, errors.ctypes.data, rounds, pool.address)
    run(pool.address, ctypes.addressof(arguments))
    assert errors[0] == 0
    assert words[:, 0].tolist() == [rounds] * threads


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_region_inside_a_region_runs_alone(function: Callable, threads: int):
    config.threads = threads
    run = function(NESTED, "run", None, [ctypes.c_void_p] * 2, symbols())
    count = np.zeros(1, np.int64)
    arguments = (ctypes.c_int64 * 2)(count.ctypes.data, pool.address)
    for _ in range(100):
        run(pool.address, ctypes.addressof(arguments))
    assert count[0] == 100 * threads


def test_a_child_process_starts_its_own_threads(many: Callable):
    config.threads = 3
    assert many(10)[:3].tolist() == [30] * 3
    for _ in range(3):
        child = os.fork()
        if child == 0:
            good = many(100)[:3].tolist() == [300] * 3
            os._exit(0 if good else 1)
        assert os.waitpid(child, 0)[1] == 0
    assert many(10)[:3].tolist() == [30] * 3


def test_fork_while_another_thread_computes(many: Callable):
    config.threads = 2
    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            many(50)

    busy = threading.Thread(target=compute)
    busy.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                os._exit(0 if many(10)[:2].tolist() == [20, 20] else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        busy.join()


@pytest.mark.parametrize("threads", [0, MAX_THREADS + 1])
def test_impossible_sizes_are_refused(threads: int):
    with pytest.raises(ValueError, match=rf"1 to {MAX_THREADS} threads, got {threads}"):
        pool.resize(threads)


@pytest.mark.parametrize("architecture", SUPPORTED)
def test_the_code_is_correct_ir_for_every_architecture(architecture: str):
    import llvmlite.binding as binding

    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    module = binding.parse_assembly(pool_ir(architecture))
    module.verify()
    target = binding.Target.from_triple(f"{architecture}-unknown-linux-gnu")
    machine = target.create_target_machine(opt=1, reloc="pic", codemodel="small")
    assert "weft_parallel" in machine.emit_assembly(module)


def test_idle_threads_use_no_processor_time(run_python: Callable):
    script = f"""
import ctypes, time
import numpy as np
from weft.config import config
from weft.runtime import native
from weft.runtime.pool import pool, symbols
config.threads = 2
library = native.link(native.compile_module({COUNT!r}), ["many"], symbols())
many = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
count = np.zeros(16, np.int64)
many(library.address("many"))(pool.address, count.ctypes.data, 1)
before = time.process_time()
time.sleep(0.1)
print(time.process_time() - before < 0.02)
"""
    result = run_python(script)
    assert result.stdout == "True\n", result.stderr


def test_a_process_may_end_while_its_threads_still_spin(run_python: Callable):
    script = f"""
import ctypes
import numpy as np
from weft.config import config
from weft.runtime import native
from weft.runtime.pool import pool, symbols
config.threads = 3
library = native.link(native.compile_module({COUNT!r}), ["many"], symbols())
many = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
count = np.zeros(16, np.int64)
many(library.address("many"))(pool.address, count.ctypes.data, 3)
"""
    for _ in range(3):
        assert run_python(script).returncode == 0


def test_threads_block_signals_so_that_python_handles_them(run_python: Callable):
    script = f"""
import ctypes, pathlib
import numpy as np
from weft.config import config
from weft.runtime import native
from weft.runtime.pool import pool, symbols
config.threads = 3
library = native.link(native.compile_module({COUNT!r}), ["many"], symbols())
many = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
count = np.zeros(16, np.int64)
before = set(pathlib.Path("/proc/self/task").iterdir())
many(library.address("many"))(pool.address, count.ctypes.data, 1)
masks = []
for task in set(pathlib.Path("/proc/self/task").iterdir()) - before:
    blocked = [x for x in (task / "status").read_text().splitlines() if x.startswith("SigBlk")]
    masks.append(int(blocked[0].split()[1], 16))
SIGINT, SIGSEGV = 1 << 1, 1 << 10
print([(bool(mask & SIGINT), bool(mask & SIGSEGV)) for mask in masks])
"""
    result = run_python(script)
    assert result.stdout == "[(True, False), (True, False)]\n", result.stderr
