"""The native thread pool: sharing, several callers, resizing, fork."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.config import config
from weft.runtime import linker, native
from weft.runtime import pool as pool_module
from weft.runtime import pool_ir as pool_ir_module
from weft.runtime.pool import pool, symbols
from weft.runtime.pool_ir import BLOCK_BYTES, MAX_THREADS, SUPPORTED, pool_ir

# Newer Pythons warn that forking with threads is delicate, which is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")

# A loop over `trip` iterations: count[i] += 1, owner[i] = thread; `many` runs n regions of it.
# env: ptr count, ptr owner, i64 trip.
LOOP = """
declare void @weft_parallel(ptr, ptr, ptr, i64, i64)

define void @region(ptr %env, i64 %thread, i64 %lo, i64 %hi, i64 %whole) nounwind {
entry:
  %count = load ptr, ptr %env
  %owner.at = getelementptr i64, ptr %env, i64 1
  %owner = load ptr, ptr %owner.at
  %trip.at = getelementptr i64, ptr %env, i64 2
  %trip = load i64, ptr %trip.at
  %lo.trip = mul i64 %lo, %trip
  %first = udiv i64 %lo.trip, %whole
  %hi.trip = mul i64 %hi, %trip
  %last = udiv i64 %hi.trip, %whole
  br label %head
head:
  %i = phi i64 [%first, %entry], [%j, %body]
  %more = icmp slt i64 %i, %last
  br i1 %more, label %body, label %out
body:
  %p = getelementptr i64, ptr %count, i64 %i
  %v = load i64, ptr %p
  %w = add i64 %v, 1
  store i64 %w, ptr %p
  %q = getelementptr i64, ptr %owner, i64 %i
  store i64 %thread, ptr %q
  %j = add i64 %i, 1
  br label %head
out:
  ret void
}

define void @many(ptr %pool, ptr %env, i64 %n, i64 %blocks, i64 %most) nounwind {
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%j, %loop]
  call void @weft_parallel(ptr %pool, ptr @region, ptr %env, i64 %blocks, i64 %most)
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, %n
  br i1 %more, label %loop, label %out
out:
  ret void
}
"""

# Blocks of the caller count themselves; one of a worker waits until all others are done.
# env: i64 done.
PATIENT = """
declare void @weft_parallel(ptr, ptr, ptr, i64, i64)

define void @region(ptr %env, i64 %thread, i64 %lo, i64 %hi, i64 %whole) nounwind {
entry:
  %caller = icmp eq i64 %thread, 0
  %others = sub i64 %whole, 1
  br i1 %caller, label %count, label %wait
wait:
  %done = load atomic i64, ptr %env acquire, align 8
  %all = icmp sge i64 %done, %others
  br i1 %all, label %count, label %wait
count:
  %n = atomicrmw add ptr %env, i64 1 seq_cst
  ret void
}

define void @run(ptr %pool, ptr %env, i64 %blocks) nounwind {
  call void @weft_parallel(ptr %pool, ptr @region, ptr %env, i64 %blocks, i64 100)
  ret void
}
"""

# Every block of the outer region runs an inner one, whose every block adds its part of 2**20.
NESTED = """
declare void @weft_parallel(ptr, ptr, ptr, i64, i64)

define void @inner(ptr %env, i64 %thread, i64 %lo, i64 %hi, i64 %whole) nounwind {
  %count = load ptr, ptr %env
  %a = mul i64 %lo, 1048576
  %first = udiv i64 %a, %whole
  %b = mul i64 %hi, 1048576
  %last = udiv i64 %b, %whole
  %part = sub i64 %last, %first
  %n = atomicrmw add ptr %count, i64 %part seq_cst
  ret void
}

define void @outer(ptr %env, i64 %thread, i64 %lo, i64 %hi, i64 %whole) nounwind {
entry:
  %a = mul i64 %lo, 12
  %first = udiv i64 %a, %whole
  %b = mul i64 %hi, 12
  %last = udiv i64 %b, %whole
  %pool.at = getelementptr ptr, ptr %env, i64 1
  %pool = load ptr, ptr %pool.at
  br label %head
head:
  %i = phi i64 [%first, %entry], [%j, %body]
  %more = icmp slt i64 %i, %last
  br i1 %more, label %body, label %out
body:
  call void @weft_parallel(ptr %pool, ptr @inner, ptr %env, i64 5, i64 100)
  %j = add i64 %i, 1
  br label %head
out:
  ret void
}

define void @run(ptr %pool, ptr %env) nounwind {
  call void @weft_parallel(ptr %pool, ptr @outer, ptr %env, i64 12, i64 100)
  ret void
}
"""


@pytest.fixture(autouse=True)
def configured_threads() -> Iterator[None]:
    before = config.threads
    yield
    config.threads = before


@dataclass
class Counts:
    """How often each iteration ran, and on which thread it ran last."""

    count: np.ndarray
    owner: np.ndarray


@pytest.fixture(scope="module")
def loop_code() -> tuple[linker.Library, Any]:
    library = linker.link(native.compile_module(LOOP, verify=True), ["many"], symbols())
    kinds = [ctypes.c_void_p] * 2 + [ctypes.c_int64] * 3
    return library, ctypes.CFUNCTYPE(None, *kinds)(library.address("many"))


@pytest.fixture(scope="module")
def many(loop_code: tuple[linker.Library, Any]) -> Callable[..., Counts]:
    """``many(n)`` runs n regions of a loop."""
    _, code = loop_code

    def run(n: int, trip: int = 16, blocks: int = 8, most: int = 1000, block: int = 0) -> Counts:
        counts = Counts(np.zeros(trip, np.int64), np.full(trip, -1, np.int64))
        env = (ctypes.c_int64 * 3)(counts.count.ctypes.data, counts.owner.ctypes.data, trip)
        code(block or pool.address, ctypes.addressof(env), n, blocks, most)
        return counts

    return run


class PoolBlock:
    """A pool of a test's own, in whatever state."""

    def __init__(self, threads: int) -> None:
        self.memory = np.zeros(BLOCK_BYTES + 64, np.uint8)
        self.address = self.memory.ctypes.data + -self.memory.ctypes.data % 64
        self.word(pool_ir_module.WANTED_OFFSET, ctypes.c_int64).value = threads

    def word(self, offset: int, kind: Any) -> Any:
        return kind.from_address(self.address + offset)

    def start_nobody(self, threads: int) -> None:
        """As if the threads ran, but they never come: the system gives them no core."""
        self.word(pool_ir_module._STARTED, ctypes.c_int32).value = 1
        self.word(pool_ir_module._RUNNING, ctypes.c_int64).value = threads

    def claim(self, thread: int) -> Any:
        at = pool_ir_module._MEMBERS + pool_ir_module._MEMBER_BYTES * thread + pool_ir_module._CLAIM
        return self.word(at, ctypes.c_int64)

    def stop(self) -> None:
        pool_module._functions().resize(self.address, 1)


# ---- work is shared -----------------------------------------------------------------------


@given(
    st.integers(1, 5),
    st.integers(1, 200),
    st.integers(1, 300),
    st.integers(1, 6),
    st.integers(1, 30),
)
def test_every_iteration_runs_once_in_every_region(
    many: Callable, threads: int, trip: int, blocks: int, most: int, regions: int
):
    config.threads = threads
    counts = many(regions, trip, blocks, most)
    assert counts.count.tolist() == [regions] * trip
    assert counts.owner.min() >= 0 and counts.owner.max() < min(threads, most)


@pytest.mark.parametrize("threads", [2, 5])
def test_many_quick_regions(many: Callable, threads: int):
    """With more threads than cores, many come late, to regions that are over."""
    config.threads = threads
    assert set(many(5_000).count) == {5_000}


@given(st.integers(2, 9), st.integers(1, 100), st.integers(1, 100))
def test_the_caller_does_everything_if_nobody_comes(
    many: Callable, threads: int, trip: int, blocks: int
):
    block = PoolBlock(threads)
    block.start_nobody(threads)
    counts = many(3, trip, blocks, block=block.address)
    assert counts.count.tolist() == [3] * trip
    assert set(counts.owner) == {0}


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=4, max_size=4), st.integers(0, 2**40))
def test_claims_of_any_age_are_no_obstacle(many: Callable, claims: list[int], ticket: int):
    """Words that nobody has used for days of regions look newer than they are."""
    block = PoolBlock(4)
    block.start_nobody(4)
    block.word(pool_ir_module._TICKET, ctypes.c_int64).value = ticket
    for thread, claim in enumerate(claims):
        now = ticket + 1 & 0xFFFFFFFFFF
        block.claim(thread).value = claim if claim & 0xFFFFFFFFFF != now else 0
    assert set(many(1, 50, 20, block=block.address).count) == {1}


def test_numbers_of_regions_start_again(many: Callable):
    block = PoolBlock(3)
    block.word(pool_ir_module._TICKET, ctypes.c_int64).value = (1 << 40) - 50
    try:
        assert set(many(100, block=block.address).count) == {100}
        assert block.word(pool_ir_module._TICKET, ctypes.c_int64).value & 0xFFFFFFFFFF == 50
    finally:
        block.stop()


@pytest.mark.parametrize("blocks", [2, 7, 64])
def test_a_slow_thread_keeps_nobody_from_the_other_blocks(function: Callable, blocks: int):
    config.threads = 2
    kinds = [ctypes.c_void_p] * 2 + [ctypes.c_int64]
    run = function(PATIENT, "run", None, kinds, symbols())
    for _ in range(200):
        done = ctypes.c_int64(0)
        run(pool.address, ctypes.addressof(done), blocks)
        assert done.value == 2 * max(1, min(blocks // 2, 32))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_region_inside_a_region(function: Callable, threads: int):
    config.threads = threads
    run = function(NESTED, "run", None, [ctypes.c_void_p] * 2, symbols())
    count = np.zeros(1, np.int64)
    arguments = (ctypes.c_int64 * 2)(count.ctypes.data, pool.address)
    for _ in range(100):
        run(pool.address, ctypes.addressof(arguments))
    assert count[0] == 100 * 12 << 20


# ---- sizes, callers, processes ------------------------------------------------------------


def test_the_address_is_constant_across_sizes(many: Callable):
    config.threads = 2
    address = pool.address
    many(1)
    config.threads = 4
    assert pool.address == address
    assert set(many(10).count) == {10}
    config.threads = 2
    assert many(10).owner.max() < 2


@pytest.mark.parametrize("threads", [2, 4])
def test_several_callers(many: Callable, threads: int):
    config.threads = threads
    pool.address  # noqa: B018 - resize before the callers race
    results: list[set[int]] = []
    callers = [
        threading.Thread(target=lambda: results.append(set(many(300, 100, 50).count)))
        for _ in range(6)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert results == [{300}] * 6


def test_resizing_while_others_compute(many: Callable):
    totals: list[set[int]] = []
    callers = [threading.Thread(target=lambda: totals.append(set(many(200).count))) for _ in "abc"]
    for caller in callers:
        caller.start()
    for threads in (3, 2, 4, 1, 2) * 4:
        config.threads = threads
        assert many(1).owner.max() < threads
    for caller in callers:
        caller.join()
    assert totals == [{200}] * 3


def test_a_child_process_starts_its_own_threads(many: Callable):
    config.threads = 3
    assert set(many(10).count) == {10}
    for _ in range(3):
        child = os.fork()
        if child == 0:
            os._exit(0 if set(many(100).count) == {100} else 1)
        assert os.waitpid(child, 0)[1] == 0
    assert set(many(10).count) == {10}


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
                os._exit(0 if set(many(10).count) == {10} else 1)
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
from weft.runtime import linker, native
from weft.runtime.pool import pool, symbols
config.threads = 2
library = linker.link(native.compile_module({LOOP!r}), ["many"], symbols())
many = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3)
count, owner = np.zeros(16, np.int64), np.zeros(16, np.int64)
env = (ctypes.c_int64 * 3)(count.ctypes.data, owner.ctypes.data, 16)
many(library.address("many"))(pool.address, ctypes.addressof(env), 1, 8, 100)
def used():  # in a window of 0.1 s
    before = time.process_time()
    time.sleep(0.1)
    return time.process_time() - before
# Threads that went on spinning would use all of every window; what else happens, not of all.
print(min(used() for _ in range(5)) < 0.02)
"""
    result = run_python(script)
    assert result.stdout == "True\n", result.stderr


def test_a_process_may_end_while_its_threads_still_spin(run_python: Callable):
    script = f"""
import ctypes
import numpy as np
from weft.config import config
from weft.runtime import linker, native
from weft.runtime.pool import pool, symbols
config.threads = 3
library = linker.link(native.compile_module({LOOP!r}), ["many"], symbols())
many = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3)
count, owner = np.zeros(16, np.int64), np.zeros(16, np.int64)
env = (ctypes.c_int64 * 3)(count.ctypes.data, owner.ctypes.data, 16)
many(library.address("many"))(pool.address, ctypes.addressof(env), 3, 8, 100)
"""
    for _ in range(3):
        assert run_python(script).returncode == 0


def test_threads_block_signals_so_that_python_handles_them(run_python: Callable):
    script = f"""
import ctypes, pathlib, time
import numpy as np
from weft.config import config
from weft.runtime import linker, native
from weft.runtime.pool import pool, symbols
config.threads = 3
library = linker.link(native.compile_module({LOOP!r}), ["many"], symbols())
many = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3)
count, owner = np.zeros(16, np.int64), np.zeros(16, np.int64)
env = (ctypes.c_int64 * 3)(count.ctypes.data, owner.ctypes.data, 16)
before = set(pathlib.Path("/proc/self/task").iterdir())
many(library.address("many"))(pool.address, ctypes.addressof(env), 1, 8, 100)
def mask(task):
    blocked = [x for x in (task / "status").read_text().splitlines() if x.startswith("SigBlk")]
    return int(blocked[0].split()[1], 16)
SIGINT, SIGSEGV = 1 << 1, 1 << 10
masks = []
for task in set(pathlib.Path("/proc/self/task").iterdir()) - before:
    while mask(task) & SIGSEGV:  # libc blocks everything until a new thread runs
        time.sleep(0.001)
    masks.append(mask(task))
print([(bool(mask & SIGINT), bool(mask & SIGSEGV)) for mask in masks])
"""
    result = run_python(script)
    assert result.stdout == "[(True, False), (True, False)]\n", result.stderr
