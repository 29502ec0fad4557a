"""`once`: a function whose result is made a single time, whoever asks, and kept for ever.

`functools.cache` calls the function again when two threads ask at the same moment, and keeps one of
the results: fatal where native code has the address of the other.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from typing import TypeVar

ResultT = TypeVar("ResultT")


def once(function: Callable[[], ResultT]) -> Callable[[], ResultT]:
    """``function`` without arguments, called at most once; others wait for its result."""
    results: list[ResultT] = []
    lock = threading.RLock()

    @functools.wraps(function)
    def result() -> ResultT:
        if not results:
            with lock:
                if not results:
                    results.append(function())
        return results[0]

    def renew() -> None:  # in a child process, nobody would release what another thread held
        nonlocal lock
        lock = threading.RLock()

    os.register_at_fork(after_in_child=renew)
    return result
