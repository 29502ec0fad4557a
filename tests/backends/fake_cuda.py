"""A driver of CUDA that the host plays, behind the functions that the real one exports.

Work is done as late as is allowed: when somebody waits for it. So what is overwritten, or read, too
early is seen in results. Beyond that, every access to the device's memory is checked as it is asked
for: the memory has to be there, and of two accesses of which one writes, one must have been ordered
before the other by a stream, an event, or the host's waiting (vector clocks). Freed memory is given
out again as soon as the order of streams allows. What is wrong is kept in ``mistakes``.
"""

from __future__ import annotations

import ctypes
import itertools
import random
import threading
from bisect import bisect_right, insort
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from weft.backends.cuda.device import Cuda
from weft.backends.cuda.driver import PROTOTYPES, Driver
from weft.codegen.clike import KernelText
from weft.kernels.interpret import run_in_place
from weft.kernels.ir import Kernel

Clock = dict[int, int]

ATTRIBUTES = {
    16: 4,  # multiprocessors
    13: 1_000_000,  # kHz
    36: 2_000_000,  # kHz of memory
    37: 512,  # bits of its bus
    38: 4 << 20,  # L2
    75: 9,
    76: 0,
    81: 228 << 10,  # shared memory of a multiprocessor
    97: 227 << 10,  # and of a block
    115: 1,  # pools
}
NAMES = {
    1: b"CUDA_ERROR_INVALID_VALUE",
    2: b"CUDA_ERROR_OUT_OF_MEMORY",
    201: b"CUDA_ERROR_INVALID_CONTEXT",
    218: b"CUDA_ERROR_INVALID_PTX",
    700: b"CUDA_ERROR_ILLEGAL_ADDRESS",
    900: b"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
}
CONTEXT = 0xC0
BASE = 0x7000_0000_0000
GRAIN = 512


class Refused(Exception):
    """A status for the caller."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Access:
    """An operation touched bytes from ``lo`` to ``hi``."""

    def __init__(self, op: Operation, lo: int, hi: int, writes: bool) -> None:
        self.op, self.lo, self.hi, self.writes = op, lo, hi, writes

    def stands_for(self, old: Access) -> bool:
        """Whether what is ordered after this one is ordered after an older one, too."""
        inside = self.lo <= old.lo and old.hi <= self.hi
        return inside and (self.writes or (not old.writes and old.op.stream == self.op.stream))


class Allocation:
    """Memory of the device, with what touched it."""

    def __init__(self, address: int, size: int) -> None:
        self.address, self.size = address, size
        self.data = np.full(size, 0xFF, np.uint8)
        self.accesses: list[Access] = []
        self.freed: Operation | None = None


class Operation:
    """Something that a stream was asked for."""

    def __init__(self, what: str, stream: int, number: int, clock: Clock, order: int) -> None:
        self.what, self.stream, self.number, self.clock = what, stream, number, clock
        self.order = order
        self.kernel: Kernel | None = None
        self.run: Callable[[], None] | None = None

    def before(self, clock: Clock) -> bool:
        """Whether it has been done at a point in time."""
        return clock.get(self.stream, 0) >= self.number


#: What a graph does: a description, bytes it touches (address, size, writes), and how to do it.
Node = tuple[str, list[tuple[int, int, bool]], Callable[[list[np.ndarray]], None], Kernel | None]


class FakeLibrary:
    """The functions of `PROTOTYPES`, real functions of C to those who call them."""

    def __init__(self, room: int = 1 << 30, devices: int = 1) -> None:
        self.room, self.devices = room, devices
        self.mistakes: list[str] = []
        self.calls: dict[str, int] = dict.fromkeys(PROTOTYPES, 0)
        self.kernels: dict[bytes, tuple[Kernel, KernelText]] = {}
        #: Names of kernels that loading refuses, and that fail when they run.
        self.refused: set[str] = set()
        self.failing: set[str] = set()
        self.sticky = 0
        #: Function -> after how many calls it fails, and with which status, until that is removed.
        self.faults: dict[str, tuple[int, int]] = {}
        self._random = random.Random(0)
        self._lock = threading.RLock()
        self._handles = itertools.count(0x1000)
        self._current: dict[int, int] = {}
        self._host: Clock = {}
        self._streams: dict[int, Clock] = {}
        self._counts: dict[int, int] = {}
        self._events: dict[int, Clock] = {}
        self._pending: list[Operation] = []
        self._order = itertools.count()
        self._next = BASE
        self._places: list[int] = []
        self._live: dict[int, Allocation] = {}
        self._free: list[Allocation] = []
        self._pinned: dict[int, np.ndarray] = {}
        self._modules: dict[int, tuple[Kernel, KernelText]] = {}
        self._functions: dict[int, tuple[Kernel, KernelText]] = {}
        self._dynamic: dict[int, int] = {}
        self._capture: tuple[int, int, list[Node]] | None = None
        self._graphs: dict[int, list[Node]] = {}
        for name, kinds in PROTOTYPES.items():
            kind = ctypes.CFUNCTYPE(ctypes.c_int, *kinds)
            setattr(self, name, kind(self._answering(name)))

    def _answering(self, name: str) -> Callable[..., int]:
        function = getattr(self, f"_{name}")

        def answer(*args: Any) -> int:
            with self._lock:
                self.calls[name] += 1
                try:
                    if name.startswith(("cuGetError", "cuInit", "cuDevice", "cuCtx")):
                        function(*args)
                        return 0
                    if self._current.get(threading.get_ident()) != CONTEXT:
                        raise AssertionError(f"{name} without a context")
                    if self.sticky:
                        return self.sticky
                    after, status = self.faults.get(name, (1, 0))
                    if not after:
                        return status
                    self.faults |= {name: (after - 1, status)} if status else {}
                    function(*args)
                    return self.sticky
                except Refused as why:
                    return why.status
                except BaseException as why:  # ctypes would print and forget it
                    self.mistakes.append(f"{name}: {type(why).__name__}: {why}")
                    return 999

        return answer

    # -- what tests ask --------------------------------------------------------------------------

    @property
    def used(self) -> int:
        """Bytes of memory that is not freed."""
        return sum(a.size for a in self._live.values())

    @property
    def pending(self) -> list[str]:
        """What has been asked for and not been done."""
        return [op.what for op in self._pending]

    # -- order -----------------------------------------------------------------------------------

    def _submit(
        self,
        what: str,
        stream: int,
        touched: Iterable[tuple[int, int, bool]],
        run: Callable[[list[np.ndarray]], None],
        kernel: Kernel | None = None,
    ) -> None:
        """Checks what an operation touches; it is done when somebody waits."""
        touched = list(touched)
        if self._capture is not None and self._capture[0] == stream:
            self._capture[2].append((what, touched, run, kernel))
            return
        op = self._operation(what, stream)
        views = []
        for address, size, writes in touched:
            allocation = self._holding(address, size, what)
            lo = address - allocation.address
            self._touch(allocation, Access(op, lo, lo + size, writes))
            views.append(allocation.data[lo : lo + size])
        op.run, op.kernel = lambda: run(views), kernel

    def _operation(self, what: str, stream: int) -> Operation:
        number = self._counts[stream] = self._counts[stream] + 1
        clock = self._streams[stream] = joined(self._streams[stream], self._host) | {stream: number}
        op = Operation(what, stream, number, clock, next(self._order))
        self._pending.append(op)
        return op

    def _touch(self, allocation: Allocation, new: Access) -> None:
        for old in allocation.accesses:
            apart = old.hi <= new.lo or new.hi <= old.lo
            if not apart and (old.writes or new.writes) and not old.op.before(new.op.clock):
                raise AssertionError(
                    f"{new.op.what} and {old.op.what} touch the same memory at once"
                )
        # What comes after a write comes after what was before it; a stream's last read stands for
        # those before.
        allocation.accesses = [a for a in allocation.accesses if not new.stands_for(a)] + [new]

    def _holding(self, address: int, size: int, what: str) -> Allocation:
        at = bisect_right(self._places, address) - 1
        found = self._live.get(self._places[at]) if at >= 0 else None
        if found is None or address + size > found.address + found.size:
            raise AssertionError(f"{what} touches {size} bytes at {address:#x} that are not there")
        return found

    def _do(self, clock: Clock) -> None:
        """Does everything up to a point in time, and the host knows."""
        if self._capture is not None and self._capture[1] == threading.get_ident():
            raise Refused(900)
        ready = [op for op in self._pending if op.before(clock)]
        self._pending = [op for op in self._pending if not op.before(clock)]
        for op in ready:  # an operation comes after those it waits for
            if op.run is not None and not self.sticky:
                op.run()
            op.run = None
        self._host = joined(self._host, clock)

    # -- devices, streams, events ------------------------------------------------------------------

    def _cuInit(self, flags: int) -> None:
        assert flags == 0
        if not self.devices:
            raise Refused(100)

    def _cuGetErrorName(self, status: int, out: Any) -> None:
        out[0] = NAMES.get(status, b"CUDA_ERROR_UNKNOWN")

    def _cuGetErrorString(self, status: int, out: Any) -> None:
        out[0] = b"words of the driver"

    def _cuDeviceGetCount(self, out: Any) -> None:
        out[0] = self.devices

    def _cuDeviceGet(self, out: Any, ordinal: int) -> None:
        out[0] = 10 + ordinal

    def _cuDeviceGetName(self, out: int, size: int, device: int) -> None:
        ctypes.memmove(out, b"a GPU that the host plays", min(size, 26))

    def _cuDeviceGetAttribute(self, out: Any, attribute: int, device: int) -> None:
        out[0] = ATTRIBUTES[attribute]

    def _cuDevicePrimaryCtxRetain(self, out: Any, device: int) -> None:
        out[0] = CONTEXT

    def _cuDeviceGetDefaultMemPool(self, out: Any, device: int) -> None:
        out[0] = next(self._handles)

    def _cuCtxSetCurrent(self, context: int) -> None:
        assert context == CONTEXT
        self._current[threading.get_ident()] = context

    def _cuStreamCreate(self, out: Any, flags: int) -> None:
        assert flags == 1  # does not wait for the default stream
        out[0] = handle = next(self._handles)
        self._streams[handle], self._counts[handle] = {}, 0

    def _cuStreamWaitEvent(self, stream: int, event: int, flags: int) -> None:
        self._uncaptured(stream)
        self._streams[stream] = joined(self._streams[stream], self._events[event])

    def _cuEventCreate(self, out: Any, flags: int) -> None:
        out[0] = handle = next(self._handles)
        self._events[handle] = {}

    def _cuEventRecord(self, event: int, stream: int) -> None:
        self._uncaptured(stream)
        self._events[event] = joined(self._streams[stream], self._host)

    def _cuEventQuery(self, event: int) -> None:
        if self._random.random() < 0.5:
            self._do(self._events[event])
        elif any(op.before(self._events[event]) for op in self._pending):
            raise Refused(600)

    def _cuEventSynchronize(self, event: int) -> None:
        self._do(self._events[event])

    def _uncaptured(self, stream: int) -> None:
        if self._capture is not None and self._capture[0] == stream:
            raise AssertionError("only kernels, copies and fills belong into a graph")

    # -- memory ------------------------------------------------------------------------------------

    def _cuMemGetInfo_v2(self, free: Any, total: Any) -> None:
        free[0], total[0] = self.room - self.used, self.room

    def _cuMemPoolSetAttribute(self, pool: int, attribute: int, value: int) -> None:
        assert attribute in (3, 4)

    def _cuMemPoolTrimTo(self, pool: int, keep: int) -> None:
        self._free = [a for a in self._free if a.freed is None or not a.freed.before(self._host)]

    def _cuMemAllocAsync(self, out: Any, nbytes: int, stream: int) -> None:
        self._uncaptured(stream)
        assert nbytes > 0
        size = -(-nbytes // GRAIN) * GRAIN
        clock = joined(self._streams[stream], self._host)
        for n in reversed(range(len(self._free))):
            freed = self._free[n].freed
            if self._free[n].size == size and freed is not None and freed.before(clock):
                address = self._free.pop(n).address
                break
        else:
            if self.used + sum(a.size for a in self._free) + size > self.room:
                raise Refused(2)
            address, self._next = self._next, self._next + size + GRAIN
        allocation = self._live[address] = Allocation(address, size)
        if address not in self._places:
            insort(self._places, address)
        self._touch(allocation, Access(self._operation("an allocation", stream), 0, size, True))
        out[0] = address

    def _cuMemFreeAsync(self, address: int, stream: int) -> None:
        self._uncaptured(stream)
        allocation = self._live[address]
        op = self._operation("a release", stream)
        self._touch(allocation, Access(op, 0, allocation.size, True))
        allocation.freed = op
        self._free.append(self._live.pop(address))

    def _cuMemHostAlloc(self, out: Any, nbytes: int, flags: int) -> None:
        if self._capture is not None:
            raise Refused(900)
        memory = np.zeros(nbytes, np.uint8)
        out[0] = memory.ctypes.data
        self._pinned[memory.ctypes.data] = memory

    def _host_bytes(self, address: int, nbytes: int) -> np.ndarray:
        for start, memory in self._pinned.items():
            if start <= address and address + nbytes <= start + memory.size:
                return memory[address - start : address - start + nbytes]
        raise AssertionError("a copy from or to memory that is not pinned waits")

    def _cuMemcpyHtoDAsync_v2(self, target: int, source: int, nbytes: int, stream: int) -> None:
        host = self._host_bytes(source, nbytes)
        self._submit("an upload", stream, [(target, nbytes, True)], lambda m: np.copyto(m[0], host))

    def _cuMemcpyDtoHAsync_v2(self, target: int, source: int, nbytes: int, stream: int) -> None:
        host = self._host_bytes(target, nbytes)
        self._submit(
            "a download", stream, [(source, nbytes, False)], lambda m: np.copyto(host, m[0])
        )

    def _cuMemcpyDtoDAsync_v2(self, target: int, source: int, nbytes: int, stream: int) -> None:
        touched = [(target, nbytes, True), (source, nbytes, False)]
        self._submit("a copy", stream, touched, lambda m: np.copyto(m[0], m[1].copy()))

    def _fill(self, target: int, value: int, count: int, stream: int, kind: Any) -> None:
        nbytes = count * np.dtype(kind).itemsize
        self._submit(
            "a fill", stream, [(target, nbytes, True)], lambda m: m[0].view(kind).fill(value)
        )

    def _cuMemsetD8Async(self, target: int, value: int, count: int, stream: int) -> None:
        self._fill(target, value, count, stream, np.uint8)

    def _cuMemsetD16Async(self, target: int, value: int, count: int, stream: int) -> None:
        self._fill(target, value, count, stream, np.uint16)

    def _cuMemsetD32Async(self, target: int, value: int, count: int, stream: int) -> None:
        self._fill(target, value, count, stream, np.uint32)

    # -- kernels -----------------------------------------------------------------------------------

    def _cuModuleLoadData(self, out: Any, image: int) -> None:
        kernel, text = self.kernels[ctypes.string_at(image)]
        if any(name in kernel.name for name in self.refused):
            raise Refused(218)
        out[0] = handle = next(self._handles)
        self._modules[handle] = kernel, text

    def _cuModuleUnload(self, module: int) -> None:
        kernel, _ = self._modules.pop(module)
        waiting = any(op.kernel is kernel for op in self._pending)
        assert not waiting, f"the kernel {kernel.name} is unloaded before it ran"

    def _cuModuleGetFunction(self, out: Any, module: int, name: bytes) -> None:
        kernel, text = self._modules[module]
        assert name.decode() == text.symbol
        out[0] = handle = next(self._handles)
        self._functions[handle], self._dynamic[handle] = (kernel, text), 48 << 10

    def _cuFuncSetAttribute(self, function: int, attribute: int, value: int) -> None:
        assert attribute == 8
        if value > ATTRIBUTES[97]:
            raise Refused(1)
        self._dynamic[function] = value

    def _cuLaunchKernel(self, function: int, *rest: Any) -> None:
        kernel, text = self._functions[function]
        *shape, dynamic, stream, table, extra = rest
        assert tuple(shape) == (*text.grid, text.block, 1, 1) and not extra
        if dynamic > self._dynamic[function]:
            raise Refused(1)
        addresses = [
            ctypes.c_uint64.from_address(table[n]).value for n in range(len(text.arguments))
        ]
        touched = [
            (a, b.extent * b.dtype.itemsize, b.role != "input")
            for a, b in zip(addresses, text.arguments, strict=True)
        ]

        def run(memory: list[np.ndarray]) -> None:
            if any(name in kernel.name for name in self.failing):
                self.sticky = 700
                return
            views = zip(kernel.params, memory, strict=False)
            run_in_place(kernel, {b: m.view(b.dtype).reshape(b.shape) for b, m in views})

        self._submit(f"the kernel {kernel.name}", stream, touched, run, kernel)

    # -- graphs ------------------------------------------------------------------------------------

    def _cuStreamBeginCapture_v2(self, stream: int, mode: int) -> None:
        assert mode == 1 and self._capture is None
        self._capture = stream, threading.get_ident(), []

    def _cuStreamEndCapture(self, stream: int, out: Any) -> None:
        assert self._capture is not None and self._capture[0] == stream
        out[0] = handle = next(self._handles)
        self._graphs[handle] = self._capture[2]
        self._capture = None

    def _cuGraphInstantiateWithFlags(self, out: Any, graph: int, flags: int) -> None:
        assert flags == 0 and self._capture is None
        out[0] = handle = next(self._handles)
        self._graphs[handle] = self._graphs[graph]

    def _cuGraphLaunch(self, graph: int, stream: int) -> None:
        for what, touched, run, kernel in self._graphs[graph]:
            self._submit(what, stream, touched, run, kernel)

    def _cuGraphDestroy(self, graph: int) -> None:
        del self._graphs[graph]

    _cuGraphExecDestroy = _cuGraphDestroy


def joined(a: Clock, b: Clock) -> Clock:
    """When both have been."""
    return {s: max(a.get(s, 0), b.get(s, 0)) for s in {*a, *b}}


class FakeCuda(Cuda):
    """A device of the fake driver: its machine code is the number of a kernel.

    With ``compiles``, NVRTC is asked for the real one before, which takes long.
    """

    compiles = False

    def __init__(self, library: FakeLibrary, ordinal: int = 0) -> None:
        self.library = library
        super().__init__(Driver(library), ordinal)

    def code(self, kernel: Kernel, emitted: KernelText) -> bytes:
        if self.compiles:
            super().code(kernel, emitted)
        image = b"kernel %d" % len(self.library.kernels)
        self.library.kernels[image] = kernel, emitted
        return image
