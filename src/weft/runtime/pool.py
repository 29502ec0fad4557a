"""The fork–join thread pool, native on both sides of the call.

A *parallel region* is a loop whose iterations are independent, outlined as ``void fn(ptr env, i64
thread, i64 lo, i64 hi, i64 whole)``: "run the iterations from ``lo/whole`` to ``hi/whole`` of the
way, as thread number ``thread``". Generated code links against two symbols (`symbols`):

``void weft_parallel(ptr pool, ptr fn, ptr env, i64 blocks, i64 threads)``
    Runs a region and returns when it is done, on at most ``threads`` threads, divided into about
    ``blocks`` blocks (the caller knows how small a block may be). Starts the threads first if need
    be.
``i32 weft_interrupts``
    The counter of `weft.runtime.interrupt`, to be polled.

Work is *shared, not dealt out*. Every thread has its own contiguous share of the blocks, the same
in every region of that size, so that what it touched last is in its cache; it claims them one by
one, and a thread that has none left claims those of others. The caller, thread 0, does the same:
if the others sleep, or other processes keep their cores, it ends up doing everything itself. At the
end it waits only for blocks that someone has claimed, so what a busy core costs is bounded by one
block. A region has no barriers inside: code that needs one is two regions.

When another thread of the program is in a region, the caller does not wait for it: it runs its
blocks alone, looks after each whether the threads are free now, and if so shares the rest. The same
happens in a region inside a region. Iterations are independent, so who runs which cannot change a
result.

Threads that wait spin for a bounded *time* (how long a `pause` takes differs tenfold between
processors), because the next region often comes within microseconds; then they sleep on a futex.
An idle pool costs nothing. The caller, at the end, does the same.

The pool's state is one block of memory that is never freed, so its address can be baked into
code. After a `fork`, the child resets the block, and starts its own threads when it first needs
them.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from typing import Any, NamedTuple

from weft.config import config
from weft.runtime import interrupt, linker, native
from weft.runtime.allocator import allocator
from weft.runtime.cache import compile_cached
from weft.runtime.once import once
from weft.runtime.pool_ir import BLOCK_BYTES, MAX_THREADS, SUPPORTED, WANTED_OFFSET, pool_ir


def _require_support() -> str:
    architecture = native.architecture()
    if not sys.platform.startswith("linux") or architecture not in SUPPORTED:
        raise ImportError(
            "Weft's native runtime supports Linux on x86-64 and AArch64; "
            f"this is {sys.platform} on {architecture}"
        )
    return architecture


class _Native(NamedTuple):
    """The pool's functions; `resize` releases the GIL, since it waits for running regions."""

    library: linker.Library
    resize: Any


@once
def _functions() -> _Native:
    exports = ("weft_parallel", "weft_pool_resize")
    library = linker.link(compile_cached(pool_ir(_require_support())), exports)
    linker.keep_forever(library)
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
    return _Native(library, prototype(library.address("weft_pool_resize")))


def symbols(parallel: bool = True) -> dict[str, int]:
    """The addresses generated code links against, by name; see the module's text.

    Code without regions, for which ``parallel`` is false, does not have to wait for the pool.
    """
    found = {"weft_interrupts": interrupt.handler().counter}
    if parallel:
        found["weft_parallel"] = _functions().library.address("weft_parallel")
    return found


class ThreadPool:
    """The process's pool. Threads start with the first region, and end with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._size = 0
        self._block = 0

    @property
    def address(self) -> int:
        """The ``pool`` argument of generated code, constant for the life of the process.

        Brings the number of threads up to date with ``weft.config.threads``.
        """
        if self._size != config.threads:
            self.resize(config.threads)
        return self._block

    def resize(self, threads: int) -> None:
        """Use `threads` threads, the caller included, from the next region on.

        Waits for running regions.
        """
        if not 1 <= threads <= MAX_THREADS:
            raise ValueError(f"a pool has 1 to {MAX_THREADS} threads, got {threads}")
        with self._lock:
            if not self._block:
                # Owned by the process, never freed: threads sleep on words inside it.
                self._block, size = allocator.take_large(BLOCK_BYTES)
                ctypes.memset(self._block, 0, size)
            _functions().resize(self._block, threads)
            self._size = threads

    def reset_after_fork(self) -> None:
        """In a child process: forget the parent's threads and whatever they were doing."""
        self._lock = threading.Lock()
        if self._block:
            ctypes.memset(self._block, 0, BLOCK_BYTES)
            ctypes.c_int64.from_address(self._block + WANTED_OFFSET).value = self._size


#: The process's pool.
pool = ThreadPool()
os.register_at_fork(after_in_child=pool.reset_after_fork)
