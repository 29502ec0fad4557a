"""Compiling the modules of a program in several threads, while further ones are being written."""

from __future__ import annotations

import threading
from collections import deque

from weft.config import config
from weft.runtime.cache import compile_cached
from weft.runtime.native import CPU, usable_cores


class Compilation:
    """Object code of modules, for ``cpu``; a ``draft`` is made sooner and runs slower.

    `add` those that are written while there is more to write, `finish` with the last one; ``texts``
    has all in their order.
    """

    def __init__(self, cpu: CPU, *, draft: bool = False) -> None:
        self._cpu = cpu
        self._draft = draft
        self.texts: list[str] = []
        self._waiting: deque[tuple[int, str]] = deque()
        self._done: dict[int, bytes] = {}
        self._error: Exception | None = None
        self._threads: list[threading.Thread] = []
        self._most = min(config.threads, usable_cores()) - 1

    def add(self, ir_text: str) -> None:
        """Compile a module in another thread if there is one to spare, otherwise at the end."""
        self._put(ir_text)
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if len(self._threads) < self._most:
            thread = threading.Thread(target=self._help, name="weft-compile")
            self._threads.append(thread)
            thread.start()

    def finish(self, ir_text: str) -> list[bytes]:
        """The object code of all modules, in the order in which they were given.

        Raises what `compile_cached` does, for the first module of which it is known.
        """
        self._put(ir_text)
        self._help()
        for thread in self._threads:
            thread.join()
        if self._error is not None:
            raise self._error
        return [self._done[n] for n in range(len(self.texts))]

    def _put(self, ir_text: str) -> None:
        self._waiting.append((len(self.texts), ir_text))
        self.texts.append(ir_text)

    def _help(self) -> None:
        """Works, and leaves an error for `finish` to raise when no thread is at work any more."""
        try:
            self._work()
        except Exception as error:
            self._error = error
            self._waiting.clear()

    def _work(self) -> None:
        while True:
            try:
                number, text = self._waiting.popleft()
            except IndexError:
                return
            self._done[number] = compile_cached(text, self._cpu, draft=self._draft)
