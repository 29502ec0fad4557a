"""Ctrl-C for programs whose memory is not where the signal's handler counts."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from weft.runtime import interrupt

#: Seconds between two looks.
PERIOD = 0.02


class Interrupts:
    """Copies the counter of Ctrl-C to an address for as long as somebody is watching it.

    The thread that does is started by the first `watched` and sleeps while there is none.
    """

    def __init__(self, address: int) -> None:
        self._copy = ctypes.c_uint32.from_address(address)
        self._changed = threading.Condition()
        self._watchers = 0
        self._thread: threading.Thread | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """The address follows the counter until this ends."""
        interrupt.arm()
        with self._changed:
            self._watchers += 1
            self._copy.value = self._counter()
            if self._thread is None or not self._thread.is_alive():  # none, or a parent's
                self._thread = threading.Thread(
                    target=self._follow, name="weft-interrupts", daemon=True
                )
                self._thread.start()
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._watchers -= 1

    def _follow(self) -> None:
        while True:
            with self._changed:
                while not self._watchers:
                    self._changed.wait()
                self._copy.value = self._counter()
            time.sleep(PERIOD)

    @staticmethod
    def _counter() -> int:
        return ctypes.c_uint32.from_address(interrupt.handler().counter).value
