"""The caching allocator: memory that was used once is cheap to use again.

A fresh 40 MB output costs 4 to 18 ms of page faults, a reused one 0.08 ms, more than most kernels.
So freed blocks are kept, in size classes, and handed out again:

* *Small* blocks (up to 256 KiB) come from libc. Each class has a `FreeList`, a plain list of
  addresses: taking one is ``list.pop`` and giving one back ``list.append``, which the interpreter
  makes atomic, so neither needs a lock. A full list hands further blocks back to libc.
* *Large* blocks are anonymous mappings, aligned to and advised for huge pages where that helps.
  Bytes held are bounded: live plus cached stay below the recent peak of live bytes (a peak that
  halves every few seconds), or 64 MiB above what is live. Blocks not reused for a while go back
  first.

Classes are spaced four to a power of two, so at most a fifth of a block is wasted.

Blocks may be freed from ``__del__`` or a weak reference's callback, which can run in the middle of
anything, this module included. Freeing therefore never waits for the lock: what cannot be settled
at once is left in a queue for whoever holds it. The lock is re-entrant, and the code under it
changes its state in single steps, each of which leaves it consistent.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

ALIGNMENT = 64
PAGE = mmap.PAGESIZE
HUGE_PAGE = 2 << 20
SMALL_LIMIT = 256 << 10

#: Cached bytes that each small class may hold, though always this many blocks.
_SMALL_CLASS_BYTES = 1 << 20
_SMALL_CLASS_BLOCKS = 16
#: Large bytes that may be cached whatever the recent peak was.
_CACHE_FLOOR = 64 << 20
#: Seconds in which the remembered peak halves, and after which an unused block goes back.
_HALF_LIFE = 5.0
_IDLE_LIMIT = 20.0
_SWEEP_INTERVAL = 1.0
#: From this size on, ask how much memory there is before asking for it: Linux grants mappings it
#: cannot back, and kills the process when they are touched.
_CHECKED_SIZE = 64 << 20

_libc = ctypes.CDLL(None, use_errno=True)
_libc.aligned_alloc.restype = ctypes.c_void_p
_libc.aligned_alloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
_libc.free.restype = None
_libc.free.argtypes = [ctypes.c_void_p]
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_MAP_FAILED = ctypes.c_void_p(-1).value


def human_bytes(nbytes: float) -> str:
    """``1536`` -> ``"1.5 KiB"``."""
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if abs(nbytes) < 1024 or unit == "TiB":
            break
        nbytes /= 1024
    return f"{nbytes:.0f} {unit}" if unit == "bytes" else f"{nbytes:.1f} {unit}"


class Statistics(NamedTuple):
    """Bytes, sizes rounded up to their class: in use, kept for reuse, and the most ever held."""

    live_bytes: int
    cached_bytes: int
    peak_bytes: int


class FreeList(list):
    """The free blocks of one small class, as addresses.

    ``pop`` and ``append`` are all that a hit and a release need; ``len`` may pass ``capacity`` by
    the number of threads that release at the same moment.
    """

    __slots__ = ("acquired", "alignment", "capacity", "size")

    def __init__(self, size: int):
        super().__init__()
        self.size = size
        self.capacity = max(_SMALL_CLASS_BLOCKS, _SMALL_CLASS_BYTES // size)
        self.alignment = PAGE if size >= 16 * PAGE else ALIGNMENT
        #: Blocks of this class obtained from libc and not handed back.
        self.acquired = 0


def _size_classes() -> list[int]:
    """Sizes from 64 bytes to `SMALL_LIMIT`, four to a power of two, multiples of 64."""
    sizes = [64, 128, 192, 256]
    while sizes[-1] < SMALL_LIMIT:
        base = sizes[-1]
        sizes += [base + base // 4 * quarter for quarter in (1, 2, 3, 4)]
    return sizes


class Allocator:
    """Size classes over libc and anonymous mappings; see the module's text. One per process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._classes = [FreeList(size) for size in _size_classes()]
        # Units of 64 bytes -> class, so that finding a class is one index.
        self._by_units: list[FreeList] = []
        for free_list in self._classes:
            missing = free_list.size // 64 + 1 - len(self._by_units)
            self._by_units += [free_list] * missing
        #: Mapping size -> [(address, when it was freed)], oldest first.
        self._cached: dict[int, list[tuple[int, float]]] = {}
        self._large_live = 0
        self._large_cached = 0
        self._recent_peak = 0.0
        self._recent_peak_at = time.monotonic()
        self._next_sweep = 0.0
        self._returned: deque[tuple[int, FreeList | int]] = deque()
        self._small_held = 0
        self._peak = 0

    # ---- small blocks

    def free_list(self, nbytes: int) -> FreeList | None:
        """The class that serves `nbytes`, or None for a large block."""
        return self._by_units[(nbytes + 63) >> 6] if 0 <= nbytes <= SMALL_LIMIT else None

    def refill(self, free_list: FreeList) -> int:
        """A new block for an empty class."""
        address = self._from_libc(free_list)
        if address is None:
            self.trim()
            address = self._from_libc(free_list)
        if address is None:
            raise self._out_of_memory(free_list.size, "the system has none left")
        with self._lock:
            free_list.acquired += 1
            self._small_held += free_list.size
            self._note_peak()
        return address

    @staticmethod
    def _from_libc(free_list: FreeList) -> int | None:
        size = -(-free_list.size // free_list.alignment) * free_list.alignment
        return _libc.aligned_alloc(free_list.alignment, size)

    # A default rather than a global, which may be gone when the interpreter shuts down.
    def _discard(
        self, address: int, free_list: FreeList, _free: Callable[[int], None] = _libc.free
    ) -> None:
        _free(address)
        free_list.acquired -= 1
        self._small_held -= free_list.size

    # ---- large blocks

    @staticmethod
    def large_size(nbytes: int) -> int:
        """The mapping size that serves `nbytes`: four to a power of two, whole pages."""
        step = 1 << max(nbytes.bit_length() - 3, 12)
        return -(-nbytes // step) * step

    def take_large(self, nbytes: int) -> tuple[int, int]:
        """(address, mapping size) of a block of at least `nbytes`; give both to `give_back`."""
        if nbytes < 0:
            raise ValueError(f"cannot allocate {nbytes} bytes")
        size = self.large_size(nbytes)
        with self._lock:
            address = self._pop_cached(size)
            if address is None:
                self._return_excess(time.monotonic(), coming=size)
                address = self._map_or_trim(size, nbytes)
            self._large_live += size
            self._note_peak()
        if self._returned:
            self._settle()
        return address, size

    def _keep(self, address: int, size: int) -> None:
        now = time.monotonic()
        self._update_recent_peak(now)
        self._large_live -= size
        self._cached.setdefault(size, []).append((address, now))
        self._large_cached += size
        self._return_excess(now)

    def _pop_cached(self, size: int) -> int | None:
        blocks = self._cached.get(size)
        if not blocks:
            return None
        address, _ = blocks.pop()
        self._large_cached -= size
        return address

    def _map_or_trim(self, size: int, nbytes: int) -> int:
        if size >= _CHECKED_SIZE:
            available = available_memory()
            if size > available:
                available += self.trim()
            if size > available:
                raise self._out_of_memory(nbytes, f"{human_bytes(available)} are available")
        address = _map(size)
        if address is None:
            self.trim()
            address = _map(size)
        if address is None:
            raise self._out_of_memory(nbytes, "the system refused the mapping")
        return address

    def _update_recent_peak(self, now: float) -> None:
        decay = 0.5 ** ((now - self._recent_peak_at) / _HALF_LIFE)
        self._recent_peak_at = now
        self._recent_peak = max(self._recent_peak * decay, self._large_live)

    def _return_excess(self, now: float, coming: int = 0) -> None:
        """Unmaps cached blocks, those that waited longest first, down to the bound of the module's
        text; ``coming`` bytes are about to become live. Now and then, idle blocks go as well."""
        self._update_recent_peak(now)
        limit = max(_CACHE_FLOOR, self._recent_peak - self._large_live - coming)
        sweep = now >= self._next_sweep
        if self._large_cached <= limit and not sweep:
            return
        if sweep:
            self._next_sweep = now + _SWEEP_INTERVAL
        while self._large_cached > 0:
            heads = [(blocks[0][1], size) for size, blocks in list(self._cached.items()) if blocks]
            if not heads:
                return
            since, size = min(heads)
            if self._large_cached <= limit and now - since <= _IDLE_LIMIT:
                return
            self._unmap_oldest(size)

    def _unmap_oldest(self, size: int) -> None:
        blocks = self._cached[size]
        if blocks:
            address, _ = blocks.pop(0)
            self._large_cached -= size
            _libc.munmap(address, size)

    # ---- both

    def give_back(self, address: int, home: FreeList | int) -> None:
        """Takes back a block that its `FreeList` has no room for, or a large one of size ``home``.

        Never waits: see the module's text.
        """
        self._returned.append((address, home))
        self._settle()

    def _settle(self) -> None:
        """Deals with returned blocks, unless another thread has the lock: it will, afterwards."""
        while self._returned and self._lock.acquire(blocking=False):
            try:
                address, home = self._returned.popleft()
                if isinstance(home, int):
                    self._keep(address, home)
                else:
                    self._discard(address, home)
            except IndexError:  # a finaliser that ran meanwhile has dealt with the last one
                return
            finally:
                self._lock.release()

    def trim(self) -> int:
        """Gives every cached block back to the system; returns how many bytes that were."""
        self._settle()
        with self._lock:
            freed = self._large_cached
            for size in list(self._cached):
                while self._cached[size]:
                    self._unmap_oldest(size)
            for free_list in self._classes:
                while free_list:
                    try:
                        address = free_list.pop()
                    except IndexError:  # another thread took the last one
                        break
                    self._discard(address, free_list)
                    freed += free_list.size
        return freed

    def statistics(self) -> Statistics:
        """What is in use and what is kept, now."""
        self._settle()
        with self._lock:
            small_cached = sum(len(free_list) * free_list.size for free_list in self._classes)
            return Statistics(
                live_bytes=self._large_live + self._small_held - small_cached,
                cached_bytes=self._large_cached + small_cached,
                peak_bytes=self._peak,
            )

    def _note_peak(self) -> None:
        held = self._large_live + self._large_cached + self._small_held
        if held > self._peak:
            self._peak = held

    def _out_of_memory(self, nbytes: int, reason: str) -> MemoryError:
        live = human_bytes(self.statistics().live_bytes)
        return MemoryError(
            f"cannot allocate {human_bytes(nbytes)} ({nbytes} bytes): {reason}; "
            f"arrays already hold {live}"
        )

    def prepare_fork(self) -> None:
        """Waits until no thread is in the middle of something, so that a child starts sane."""
        self._lock.acquire()

    def finish_fork(self) -> None:
        """Lets the others go on, in the parent and in the child."""
        self._lock.release()


def _map(size: int) -> int | None:
    """Anonymous memory; huge-page aligned and advised if it spans one. None if refused.

    Faulting in 40 MB takes 16 ms in small pages and 3 ms in huge ones.
    """
    if size < HUGE_PAGE:
        return _anonymous_mapping(size)
    address = _anonymous_mapping(size + HUGE_PAGE)
    if address is None:
        return None
    start = -(-address // HUGE_PAGE) * HUGE_PAGE
    if start > address:
        _libc.munmap(address, start - address)
    tail = address + HUGE_PAGE - start
    if tail:
        _libc.munmap(start + size, tail)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        _libc.madvise(start, size, mmap.MADV_HUGEPAGE)
    return start


def _anonymous_mapping(size: int) -> int | None:
    protection = mmap.PROT_READ | mmap.PROT_WRITE
    address = _libc.mmap(None, size, protection, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    return None if address == _MAP_FAILED else address


def available_memory() -> int:
    """Bytes that can be used without swapping: the machine's, or the control group's if fewer."""
    available = 1 << 62
    for line in _text("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) << 10
    limit = _text("/sys/fs/cgroup/memory.max").strip()
    if limit not in ("", "max"):
        used = int(_text("/sys/fs/cgroup/memory.current"))
        for line in _text("/sys/fs/cgroup/memory.stat").splitlines():
            if line.startswith("inactive_file "):  # page cache, given up under pressure
                used -= int(line.split()[1])
        available = min(available, int(limit) - used)
    return available


def _text(path: str) -> str:
    """What a file says; nothing if there is none."""
    if not os.path.exists(path):
        return ""
    with open(path) as file:
        return file.read()


#: The process's allocator.
allocator = Allocator()
os.register_at_fork(
    before=allocator.prepare_fork,
    after_in_parent=allocator.finish_fork,
    after_in_child=allocator.finish_fork,
)
