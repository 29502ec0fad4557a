"""Memory of an OpenCL device: buffers that are used again, and copies beside kernels.

Kernels run in one queue, copies to and from the host in one each. What is uploaded goes to a buffer
that no kernel asked for so far uses; reading waits for the program that computed an array, not for
what was asked for later.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import numpy as np

from weft.codegen.c_halves import is_half

#: Bytes that a device's idle memory may take, beyond which it goes back to the driver.
IDLE_LIMIT = 256 << 20
#: Sizes of allocations are rounded up to these many bytes, so that they can be used again.
GRAIN = 256
#: Contents are there when the queue of kernels gets to the end of what it was asked for.
IN_ORDER = object()


class Block:
    """A buffer of the driver's.

    ``written`` is None once its contents are there, `IN_ORDER`, or the event after which they are
    with the number of the request before it.
    """

    __slots__ = ("buffer", "written")

    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer
        self.written: Any = None


class Buffers:
    """Buffers of one context, and the queues that use them. Raises the driver's errors."""

    def __init__(self, cl: Any, context: Any) -> None:
        self._cl = cl
        self._context = context
        self.queue, self._up, self._down = (cl.CommandQueue(context) for _ in range(3))
        # Setting the arguments of a kernel and starting it are two calls.
        self.lock = threading.RLock()
        #: By size, with the number of the last request that may use it, the latest last.
        self._idle: dict[int, list[tuple[int, Any]]] = {}
        self._idle_bytes = 0
        #: Requests to the queue of kernels, and those known to be done.
        self.asked = 0
        self._done = 0

    # -- buffers -----------------------------------------------------------------------------------

    def take(self, nbytes: int) -> Block:
        """Memory for what the queue of kernels is asked for next."""
        return self._take(size_of(nbytes), latest=True)

    def _take(self, size: int, latest: bool) -> Block:
        with self.lock:
            idle = self._idle.get(size)
            # What comes next is queued behind what still uses the latest.
            if idle and (latest or idle[0][0] <= self._done):
                self._idle_bytes -= size
                return Block(idle.pop(-1 if latest else 0)[1])
        return Block(self._cl.Buffer(self._context, self._cl.mem_flags.READ_WRITE, size))

    def give(self, block: Block) -> None:
        """Takes a buffer back."""
        size = block.buffer.size
        with self.lock:
            if self._idle_bytes + size <= IDLE_LIMIT:
                self._idle.setdefault(size, []).append((self.asked, block.buffer))
                self._idle_bytes += size

    # -- copies ------------------------------------------------------------------------------------

    def upload(self, data: np.ndarray) -> Block:
        """A buffer with an array, which waits for no kernel."""
        block = self._take(size_of(data.nbytes), latest=False)
        if data.nbytes:
            self._cl.enqueue_copy(self._up, block.buffer, words(data), is_blocking=True)
        return block

    def write(self, block: Block, data: np.ndarray) -> None:
        """Copies an array to a buffer that kernels may have used."""
        if data.size == 1:  # the queue takes it along, so there is nothing to wait for
            word = data.reshape(1).view(f"V{data.itemsize}")
            with self.lock:
                self.asked += 1
                block.written = IN_ORDER
                self._cl.enqueue_fill_buffer(self.queue, block.buffer, word, 0, data.itemsize)
        elif data.nbytes:
            self._cl.enqueue_copy(self.queue, block.buffer, words(data), is_blocking=True)
            block.written = None

    def read(self, block: Block, out: np.ndarray) -> None:
        """Waits for what fills a buffer, and copies it to a contiguous array."""
        if not out.nbytes:
            return
        written, number, queue, events = block.written, self._done, self._down, None
        if written is IN_ORDER:
            number, queue = self.asked, self.queue
        elif written is not None:
            event, number = written
            events = [event]
            self.queue.flush()
        self._cl.enqueue_copy(queue, words(out), block.buffer, is_blocking=True, wait_for=events)
        with self.lock:
            self._done = max(self._done, number)

    def copy(self, target: Block, source: Block, nbytes: int) -> None:
        """Copies in the queue of kernels."""
        if nbytes:
            with self.lock:
                self.asked += 1
                target.written = IN_ORDER
                self._cl.enqueue_copy(self.queue, target.buffer, source.buffer, byte_count=nbytes)

    def computed(self, blocks: Iterable[Block]) -> None:
        """What was asked for so far fills these buffers, and nothing later does."""
        with self.lock:
            event = self._cl.enqueue_marker(self.queue)
            for block in blocks:
                block.written = event, self.asked

    def finish(self) -> None:
        """Waits for all queues."""
        number = self.asked
        for queue in (self._up, self.queue, self._down):
            queue.finish()
        with self.lock:
            self._done = max(self._done, number)


def size_of(nbytes: int) -> int:
    """What a buffer for ``nbytes`` bytes takes."""
    return -(-max(nbytes, 1) // GRAIN) * GRAIN


def words(data: np.ndarray) -> np.ndarray:
    """Memory of half types as numbers that every library knows."""
    return data.view(np.uint16) if is_half(data.dtype) else data
