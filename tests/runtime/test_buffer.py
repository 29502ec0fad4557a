"""Buffers and the caching allocator."""

from __future__ import annotations

import gc
import itertools
import os
import threading
import time
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.runtime import allocator as allocator_module
from weft.runtime.allocator import (
    ALIGNMENT,
    PAGE,
    SMALL_LIMIT,
    Allocator,
    allocator,
    human_bytes,
)
from weft.runtime.buffer import Buffer

MIB = 1 << 20


# ---- buffers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", [np.bool_, np.int8, np.float32, np.complex128, ml_dtypes.bfloat16]
)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (7,), (5, 4, 3)])
def test_from_numpy_as_numpy_round_trip(dtype: Any, shape: tuple[int, ...]):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    buffer = Buffer.from_numpy(array)
    view = buffer.as_numpy(shape, np.dtype(dtype))
    assert buffer.nbytes == array.nbytes
    assert view.dtype == array.dtype and view.shape == array.shape
    np.testing.assert_array_equal(view.astype(np.complex128), array.astype(np.complex128))


@pytest.mark.parametrize("view", [lambda a: a.T, lambda a: a[::2], lambda a: a[:, ::-1]])
def test_from_numpy_copies_any_layout_in_c_order(view: Any):
    array = view(np.arange(12.0).reshape(4, 3))
    copy = Buffer.from_numpy(array).as_numpy(array.shape, array.dtype)
    np.testing.assert_array_equal(copy, array)
    assert copy.flags.c_contiguous


def test_from_numpy_is_a_copy():
    array = np.ones(4)
    buffer = Buffer.from_numpy(array)
    array[:] = 2
    assert buffer.as_numpy((4,), array.dtype).tolist() == [1, 1, 1, 1]
    assert not buffer.borrowed


def test_views_are_read_only():
    view = Buffer.from_numpy(np.ones(4)).as_numpy((4,), np.dtype(float))
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 2
    with pytest.raises(ValueError, match=r"WRITEABLE|writeable"):
        view.flags.writeable = True


def test_a_view_keeps_its_buffer_alive():
    view = Buffer.from_numpy(np.full(1000, 3.0)).as_numpy((1000,), np.dtype(float))
    gc.collect()
    others = [Buffer.from_numpy(np.zeros(1000)) for _ in range(50)]
    assert view.sum() == 3000.0
    del others


def test_a_view_larger_than_the_buffer_is_refused():
    with pytest.raises(TypeError, match="too small"):
        Buffer.alloc(12).as_numpy((4,), np.dtype(np.float32))


def test_borrow_shares_memory_and_adopt_owns_it():
    array = np.arange(4.0)
    borrowed, adopted = Buffer.borrow(array), Buffer.adopt(array)
    assert borrowed.ptr == adopted.ptr == array.ctypes.data
    assert borrowed.borrowed and not adopted.borrowed
    array[0] = 9
    assert borrowed.as_numpy((4,), array.dtype)[0] == 9


def test_borrowing_what_is_not_contiguous_copies():
    array = np.arange(8.0)[::2]
    buffer = Buffer.borrow(array)
    assert not buffer.borrowed
    array[0] = 9
    assert buffer.as_numpy((4,), array.dtype)[0] == 0


def test_buffers_are_not_made_by_calling_the_class():
    with pytest.raises(TypeError, match=r"Buffer\.alloc"):
        Buffer()


# ---- allocator ----------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.lists(st.integers(0, 3 * MIB), min_size=1, max_size=12), st.randoms())
def test_live_buffers_are_aligned_large_enough_and_disjoint(sizes: list[int], random: Any):
    live: list[Buffer] = []
    for i, nbytes in enumerate(sizes):
        buffer = Buffer.alloc(nbytes)
        assert buffer.nbytes == nbytes
        assert buffer.ptr % (PAGE if nbytes > 64 * 1024 else ALIGNMENT) == 0
        writable = buffer._view((nbytes,), np.dtype(np.uint8), writeable=True)
        writable[:] = i
        live.append(buffer)
        if random.random() < 0.3:
            live.pop(random.randrange(len(live)))
    spans = sorted((buffer.ptr, buffer.ptr + max(1, buffer.nbytes)) for buffer in live)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


def test_size_classes_waste_little():
    for nbytes in (1, 65, 1000, 5000, 100_000, SMALL_LIMIT):
        free_list = allocator.free_list(nbytes)
        assert free_list is not None
        assert nbytes <= free_list.size <= max(ALIGNMENT, nbytes * 5 // 4 + ALIGNMENT)
    assert allocator.free_list(SMALL_LIMIT + 1) is None
    for nbytes in (SMALL_LIMIT + 1, 3 * MIB + 17, 1 << 33):
        size = Allocator.large_size(nbytes)
        assert nbytes <= size <= nbytes * 5 // 4 + PAGE
        assert size % PAGE == 0


@pytest.mark.parametrize("nbytes", [16, 5000, 40 * MIB])
def test_freed_memory_is_reused(nbytes: int):
    buffer = Buffer.alloc(nbytes)
    address = buffer.ptr
    del buffer
    assert Buffer.alloc(nbytes).ptr == address


def test_statistics_count_live_and_cached_bytes():
    mine = Allocator()
    address, size = mine.take_large(3 * MIB)
    small = mine.free_list(100)
    assert small is not None
    block = mine.refill(small)
    assert mine.statistics().live_bytes == size + small.size
    mine.give_back(address, size)
    small.append(block)
    statistics = mine.statistics()
    assert (statistics.live_bytes, statistics.cached_bytes) == (0, size + small.size)
    assert statistics.peak_bytes == size + small.size
    assert mine.trim() == size + small.size
    assert mine.statistics().cached_bytes == 0


def test_cached_bytes_are_bounded_by_the_recent_peak(monkeypatch: pytest.MonkeyPatch):
    clock = [0.0]
    monkeypatch.setattr(allocator_module.time, "monotonic", lambda: clock[0])
    mine = Allocator()
    blocks = [mine.take_large(16 * MIB + i * 4 * MIB) for i in range(8)]
    peak = mine.statistics().live_bytes
    for block in blocks:
        mine.give_back(*block)
    # Just after the peak everything is kept ...
    assert mine.statistics().cached_bytes == peak
    # ... later a large call returns what exceeds the floor, the oldest first ...
    clock[0] += 3 * allocator_module._HALF_LIFE
    mine.give_back(*mine.take_large(MIB))
    assert mine.statistics().cached_bytes <= allocator_module._CACHE_FLOOR
    # ... and in the end what was not used for long goes, but for the block just returned.
    clock[0] += 2 * allocator_module._IDLE_LIMIT
    mine.give_back(*mine.take_large(MIB))
    assert mine.statistics().cached_bytes == MIB
    mine.trim()


def test_a_full_class_hands_blocks_back():
    mine = Allocator()
    small = mine.free_list(200_000)
    assert small is not None
    blocks = [mine.refill(small) for _ in range(small.capacity)]
    assert small.acquired == small.capacity
    for block in blocks:
        mine.give_back(block, small)
    assert small.acquired == 0 and mine.statistics().live_bytes == 0


@pytest.mark.parametrize(
    "nbytes, text",
    [(40 << 40, r"40\.0 TiB \(43980465111040 bytes\)"), (1 << 62, r"4194304\.0 TiB")],
)
def test_running_out_of_memory_names_the_size(nbytes: int, text: str):
    live = allocator.statistics().live_bytes
    with pytest.raises(MemoryError, match=rf"cannot allocate {text}.*arrays already hold"):
        Buffer.alloc(nbytes)
    assert allocator.statistics().live_bytes == live


def test_a_negative_size_is_refused():
    with pytest.raises(ValueError, match="-1 bytes"):
        Buffer.alloc(-1)


@pytest.mark.parametrize(
    "nbytes, text", [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB")]
)
def test_human_bytes(nbytes: int, text: str):
    assert human_bytes(nbytes) == text


def test_many_threads_allocate_and_free():
    before = allocator.statistics().live_bytes
    failures: list[str] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for i in range(300):
            nbytes = int(rng.choice([8, 1000, 70_000, 600_000]))
            buffer = Buffer.alloc(nbytes)
            view = buffer._view((nbytes,), np.dtype(np.uint8), writeable=True)
            view[:] = (seed + i) % 256
            if not (view == (seed + i) % 256).all():
                failures.append(f"thread {seed} found another's bytes")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert allocator.statistics().live_bytes == before


def test_buffers_in_reference_cycles_are_freed():
    before = allocator.statistics().live_bytes
    for _ in range(100):
        cycle: list[Any] = [Buffer.alloc(MIB)]
        cycle.append(cycle)
        del cycle
    gc.collect()
    assert allocator.statistics().live_bytes == before


def test_ten_thousand_allocations_leak_nothing():
    statistics = allocator.statistics()
    for nbytes in (64, 4096, 300_000) * 3400:
        Buffer.alloc(nbytes)
    assert allocator.statistics().live_bytes == statistics.live_bytes
    assert allocator.statistics().cached_bytes <= statistics.cached_bytes + 2 * MIB


def test_a_child_process_allocates_and_frees():
    buffer = Buffer.from_numpy(np.full(100_000, 7.0))
    child = os.fork()
    if child == 0:
        other = Buffer.from_numpy(np.zeros(100_000))
        total = buffer.as_numpy((100_000,), np.dtype(float)).sum()
        del buffer, other
        os._exit(0 if total == 700_000 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert buffer.as_numpy((100_000,), np.dtype(float)).sum() == 700_000


def test_small_allocation_is_quick():
    start = time.perf_counter()
    for _ in range(10_000):
        Buffer.alloc(64)
    # 0.3 µs on a quiet machine; the limit only catches a lost fast path.
    assert (time.perf_counter() - start) / 10_000 < 20e-6


def test_only_arrays_are_adopted() -> None:
    for give in (Buffer.adopt, Buffer.from_numpy, Buffer.borrow):
        with pytest.raises(TypeError, match="memory of a NumPy array is needed, got float32"):
            give(np.float32(1))  # type: ignore[arg-type]
