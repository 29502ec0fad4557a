"""What a device is asked for: streams, memory in their order, and what is to be given back.

Kernels run in one stream, and copies to and from the host in one each, so that both overlap with
kernels. Memory belongs to the order of a stream: an array that is uploaded has its memory in that
of uploads and does not wait for kernels that run; kernels wait for the upload when they first use
it. Reading waits for the program that computed an array, not for what was asked for later.
"""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from contextlib import suppress

import numpy as np

from weft.backends.cuda.driver import (
    CAPTURE_OF_THIS_THREAD,
    OUT_OF_MEMORY,
    POOL_INTERNAL_DEPENDENCIES,
    POOL_RELEASE_THRESHOLD,
    STREAM_NON_BLOCKING,
    Driver,
    Fault,
)
from weft.backends.cuda.memory import Block, Event, Events, Staging

#: Chunks of pinned memory: bytes and number, for small and for large copies.
SMALL, LARGE = (64 << 10, 64), (4 << 20, 8)

_FILLS = {
    1: ("cuMemsetD8Async", np.uint8),
    2: ("cuMemsetD16Async", np.uint16),
    4: ("cuMemsetD32Async", np.uint32),
}


class Session:
    """A device's context. Within ``with session:`` one thread asks the stream of kernels.

    Everything here raises `Fault`.
    """

    def __init__(self, driver: Driver, ordinal: int) -> None:
        self.driver = driver
        self._context = driver.handle("cuDevicePrimaryCtxRetain", ordinal)
        driver("cuCtxSetCurrent", self._context)
        self.streams = [driver.handle("cuStreamCreate", STREAM_NON_BLOCKING) for _ in range(3)]
        self.up, self.compute, self.down = self.streams
        self._pool = driver.handle("cuDeviceGetDefaultMemPool", ordinal)
        # Keep what is free for the next array, and take more before an upload waits for kernels.
        for attribute, value in (
            (POOL_RELEASE_THRESHOLD, ctypes.c_uint64(2**64 - 1)),
            (POOL_INTERNAL_DEPENDENCIES, ctypes.c_int(0)),
        ):
            driver("cuMemPoolSetAttribute", self._pool, attribute, ctypes.byref(value))
        self.events = Events(driver)
        self._small = Staging(driver, self.events, *SMALL)
        self._large = Staging(driver, self.events, *LARGE)
        self._lock = threading.RLock()
        self._capturing = False
        #: Memory is released at any moment, that of a capture included.
        self._released: deque[Block] = deque()
        self._retired: deque[tuple[str, int]] = deque()
        self._unused: deque[tuple[Event, str, int]] = deque()

    def __enter__(self) -> Session:
        self._lock.acquire()
        try:
            self.driver("cuCtxSetCurrent", self._context)
            if not self._capturing:
                self._give_back()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    # -- memory ------------------------------------------------------------------------------------

    def alloc(self, nbytes: int, stream: int) -> Block:
        """Memory in the order of a stream."""
        try:
            return self._take(nbytes, stream)
        except Fault as why:
            if why.status != OUT_OF_MEMORY:
                raise
        self.finish()  # after which all that was released is free
        self.driver("cuMemPoolTrimTo", self._pool, 0)
        return self._take(nbytes, stream)

    def _take(self, nbytes: int, stream: int) -> Block:
        return Block(self.driver.address("cuMemAllocAsync", max(nbytes, 1), stream))

    def release(self, block: Block) -> None:
        """Gives memory back, now if nobody is asking for something, else when that is over."""
        self._released.append(block)
        # What fails here is the device, which whoever asks it next is told.
        if self._lock.acquire(blocking=False):
            try:
                if not self._capturing:
                    with suppress(Fault):
                        self.driver("cuCtxSetCurrent", self._context)
                        self._give_back()
            finally:
                self._lock.release()

    def retire(self, function: str, handle: int) -> None:
        """Lets ``function`` of the driver destroy something once the kernels asked for are done."""
        self._retired.append((function, handle))

    def _give_back(self) -> None:
        while self._released:
            block = self._released.popleft()
            # No kernel has waited for what was uploaded, so that none has used it.
            stream = self.compute if block.uploaded is None else self.up
            self.driver("cuMemFreeAsync", block.address, stream)
        while self._retired:
            self._unused.append((self.events.record(self.compute), *self._retired.popleft()))
        while self._unused and self.driver.done(self._unused[0][0].handle):
            _, function, handle = self._unused.popleft()
            self.driver(function, handle)

    def use(self, block: Block) -> None:
        """The stream of kernels waits for what is on its way to the block."""
        if block.uploaded is not None:
            self.driver("cuStreamWaitEvent", self.compute, block.uploaded.handle, 0)
            block.uploaded = None

    # -- copies ------------------------------------------------------------------------------------

    def send(self, block: Block, data: np.ndarray) -> None:
        """Copies a contiguous array to memory in the order of uploads that nothing has used."""
        try:
            # The stream of kernels may go on meanwhile; this thread has the context.
            staging = self._staging(data.nbytes)
            staging.send(block.address, data.ctypes.data, data.nbytes, self.up)
        finally:
            block.uploaded = self.events.record(self.up)

    def write(self, block: Block, data: np.ndarray) -> None:
        """Copies an array to memory that kernels may have used."""
        with self:
            self.use(block)
            block.computed = None
            if data.size == 1 and data.itemsize in _FILLS:  # the stream takes the value along
                name, word = _FILLS[data.itemsize]
                value = int(data.reshape(1).view(word)[0])
                self.driver(name, block.address, value, 1, self.compute)
            elif data.nbytes:
                staging = self._staging(data.nbytes)
                staging.send(block.address, data.ctypes.data, data.nbytes, self.compute)

    def read(self, block: Block, out: np.ndarray) -> None:
        """Waits for what fills the block, and copies it to a contiguous array."""
        if not out.nbytes:
            return
        with self:
            ready = block.computed or block.uploaded or self.events.record(self.compute)
            self.driver("cuStreamWaitEvent", self.down, ready.handle, 0)
        self._staging(out.nbytes).receive(out.ctypes.data, block.address, out.nbytes, self.down)

    def _staging(self, nbytes: int) -> Staging:
        return self._small if nbytes <= self._small.nbytes else self._large

    def copy(self, target: Block, source: Block, nbytes: int) -> None:
        """Copies within the device."""
        with self:
            self.use(source)
            self.use(target)
            target.computed = None
            if nbytes:
                self.driver(
                    "cuMemcpyDtoDAsync_v2", target.address, source.address, nbytes, self.compute
                )

    def finish(self) -> None:
        """Waits for what all streams were asked for."""
        with self:  # a stream must not be waited for while a graph is made of its work
            events = [self.events.record(stream) for stream in self.streams]
        for event in events:
            self.driver("cuEventSynchronize", event.handle)

    # -- capture -----------------------------------------------------------------------------------

    def capture(self) -> _Capture:
        """Within ``with``, what the stream of kernels is asked for goes into a graph instead."""
        return _Capture(self)


class _Capture:
    """A graph in the making; after its ``with``, ``graph`` is what the driver calls it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.graph = 0

    def __enter__(self) -> _Capture:
        session = self._session.__enter__()
        try:
            session.driver("cuStreamBeginCapture_v2", session.compute, CAPTURE_OF_THIS_THREAD)
        except BaseException:
            session.__exit__()
            raise
        session._capturing = True
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        session = self._session
        session._capturing = False
        try:
            graph = ctypes.c_void_p()
            session.driver("cuStreamEndCapture", session.compute, ctypes.byref(graph))
            self.graph = graph.value or 0
            if kind is not None:
                session.driver("cuGraphDestroy", self.graph)
        except Fault:
            if kind is None:  # else what went wrong before says more
                raise
        finally:
            session.__exit__()
