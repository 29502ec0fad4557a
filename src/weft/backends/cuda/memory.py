"""Where bytes lie: on the device, and on their way in pinned memory of the host."""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from typing import Any

from weft.backends.cuda.driver import EVENT_DISABLE_TIMING, Driver


class Block:
    """Bytes of the device.

    ``uploaded`` is when what was sent to them will be there, until the stream of kernels has waited
    for that; ``computed`` is when a program will have filled them, if one did.
    """

    __slots__ = ("address", "computed", "uploaded")

    def __init__(self, address: int) -> None:
        self.address = address
        self.uploaded: Event | None = None
        self.computed: Event | None = None


class Event:
    """A point in the work of a stream. The driver's object is used again when it is let go."""

    __slots__ = ("_idle", "handle")

    def __init__(self, handle: int, idle: deque[int]) -> None:
        self.handle = handle
        self._idle = idle

    def __del__(self) -> None:
        self._idle.append(self.handle)


class Events:
    """Makes events; who waits for one that is used again waits for the point it was."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._idle: deque[int] = deque()

    def record(self, stream: int) -> Event:
        """The point after everything that ``stream`` was asked for so far."""
        try:
            handle = self._idle.pop()
        except IndexError:
            handle = self._driver.handle("cuEventCreate", EVENT_DISABLE_TIMING)
        event = Event(handle, self._idle)
        self._driver("cuEventRecord", handle, stream)
        return event


class _Chunk:
    """Pinned memory, and the copy that still uses it."""

    def __init__(self, address: int) -> None:
        self.address = address
        self.busy: Event | None = None


class Staging:
    """At most ``count`` chunks of pinned memory that copies to and from the device go through.

    A copy from ordinary memory would keep its caller waiting, and the device's copy engine too.
    """

    def __init__(self, driver: Driver, events: Events, nbytes: int, count: int) -> None:
        self.nbytes = nbytes
        self._driver = driver
        self._events = events
        self._unmade = count
        self._idle: deque[_Chunk] = deque()
        self._changed = threading.Condition()

    def send(self, target: int, source: int, nbytes: int, stream: int) -> None:
        """Copies from the host in the work of a stream; the source may change afterwards."""
        for start in range(0, nbytes, self.nbytes):
            size = min(self.nbytes, nbytes - start)
            chunk = self._take()
            try:
                ctypes.memmove(chunk.address, source + start, size)
                self._driver("cuMemcpyHtoDAsync_v2", target + start, chunk.address, size, stream)
                chunk.busy = self._events.record(stream)
            finally:
                self._give(chunk)

    def receive(self, target: int, source: int, nbytes: int, stream: int) -> None:
        """Copies to the host in the work of a stream, and waits for it."""
        underway: deque[tuple[_Chunk, int, int]] = deque()
        try:
            for start in range(0, nbytes, self.nbytes):
                size = min(self.nbytes, nbytes - start)
                chunk = self._take(wait=False) if len(underway) < 2 else None
                if chunk is None:  # a thread that waits for chunks must hold none
                    while underway:
                        self._arrive(underway, target)
                    chunk = self._take()
                underway.append((chunk, start, size))
                self._driver("cuMemcpyDtoHAsync_v2", chunk.address, source + start, size, stream)
                chunk.busy = self._events.record(stream)
            while underway:
                self._arrive(underway, target)
        finally:
            for chunk, _, _ in underway:
                self._give(chunk)

    def _arrive(self, underway: deque[tuple[_Chunk, int, int]], target: int) -> None:
        chunk, start, size = underway[0]
        self._wait(chunk)
        ctypes.memmove(target + start, chunk.address, size)
        underway.popleft()
        self._give(chunk)

    def _wait(self, chunk: _Chunk) -> None:
        if chunk.busy is not None:
            self._driver("cuEventSynchronize", chunk.busy.handle)
            chunk.busy = None

    def _take(self, wait: bool = True) -> Any:
        """A chunk that no copy uses; without ``wait``, None where there is none now."""
        with self._changed:
            while True:
                oldest = self._idle[0] if self._idle else None
                if oldest and (oldest.busy is None or self._driver.done(oldest.busy.handle)):
                    chunk = self._idle.popleft()
                    break
                if self._unmade:
                    chunk = _Chunk(self._driver.handle("cuMemHostAlloc", self.nbytes, 0))
                    self._unmade -= 1
                    break
                if not wait:
                    return None
                if oldest:
                    chunk = self._idle.popleft()
                    break
                self._changed.wait()
        self._wait(chunk)
        return chunk

    def _give(self, chunk: _Chunk) -> None:
        with self._changed:
            self._idle.append(chunk)
            self._changed.notify()
