"""WebAssembly, run by wasmtime (the extra ``wasm``): a whole program is one call.

The code is that of the CPU for registers of 128 bits, on one thread. Arrays, the constants of
programs, their stacks and their temporaries lie in one memory of at most 4 GiB, which every program
imports.
"""

from __future__ import annotations

import atexit
import ctypes
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from weft.backends.device import Device, DeviceProgram, Memory
from weft.backends.dtypes import check_dtypes
from weft.backends.interrupts import Interrupts
from weft.backends.linear_memory import LinearMemory
from weft.codegen.program_llvm import Emitter, routines_of, stack_bytes
from weft.compile import Profiled, target_of
from weft.config import config
from weft.core.jaxpr import ClosedJaxpr
from weft.errors import DeviceError
from weft.kernels.program import Program, Routine, walk_steps
from weft.kernels.work import seconds
from weft.machines import machine_of
from weft.planning import Record, plan_program
from weft.primitives.library_call import LibraryCall
from weft.runtime.cache import compile_cached
from weft.runtime.callback import HostCallback
from weft.runtime.executable import raise_status
from weft.runtime.processors import wasm
from weft.runtime.wasm_object import FIRST, INTERRUPTS, MAX_PAGES, PAGE, WasmObject

#: Memory is asked for in steps of this many pages.
GROWTH = 256
#: A program that may take longer looks out for Ctrl-C.
LONG_SECONDS = 0.02


def available() -> list[Wasm]:
    """The one device; `DeviceError` that says what to install if there is no engine."""
    try:
        import wasmtime
    except ImportError as why:
        raise DeviceError(
            "the device 'wasm' needs the package wasmtime: pip install 'weft[wasm]'"
        ) from why
    return [Wasm(wasmtime)]


class Wasm(Device):
    """An engine with a memory that its programs share; what is asked for is done at once."""

    forks = True

    def __init__(self, wasmtime: Any) -> None:
        self.name = "wasm:0"
        self.description = "wasmtime, SIMD, one thread"
        self.wasmtime = wasmtime
        self.cpu = wasm()
        self.machine = machine_of(self.cpu, 1)
        settings = wasmtime.Config()
        settings.wasm_threads = settings.shared_memory = True
        self.engine = wasmtime.Engine(settings)
        limits = wasmtime.Limits(GROWTH, MAX_PAGES)
        kind = wasmtime.MemoryType(limits, shared=True)
        self.memory = _importable(wasmtime)(self.engine, kind)
        #: Where it lies in this process; it never moves.
        self.base = ctypes.addressof(self.memory.data_ptr().contents)
        self.interrupts = Interrupts(self.base + INTERRUPTS)
        self._space = LinearMemory(FIRST, GROWTH * PAGE)
        self._lock = threading.Lock()
        #: Addresses to be taken back: memory is released at any moment, that of `alloc` included.
        self._released: deque[int] = deque()
        self._programs: weakref.WeakSet[WasmProgram] = weakref.WeakSet()
        atexit.register(self._close)

    def _close(self) -> None:
        """Before the interpreter takes apart the package, whose objects complain then."""
        if all([program.close() for program in self._programs]):
            self.memory.close()
            self.engine.close()

    def supports(self, dtype: np.dtype) -> bool:
        return True

    # -- memory ------------------------------------------------------------------------------------

    def alloc(self, nbytes: int) -> Memory:
        with self._lock:
            while self._released:
                self._space.give(self._released.popleft())
            address = self._space.take(nbytes)
            if address is None:
                self._grow(nbytes)
                address = self._space.take(nbytes)
        return Memory(self, address, nbytes)

    def _grow(self, nbytes: int) -> None:
        pages = -(-self._space.missing(nbytes) // PAGE)
        room = MAX_PAGES - self._space.end // PAGE
        try:
            if pages > room:
                raise MemoryError
            pages = min(room, -(-pages // GROWTH) * GROWTH)
            self.memory.grow(pages)
        except (MemoryError, self.wasmtime.WasmtimeError) as why:
            raise MemoryError(
                f"{self.name} ({self.description}) has no {nbytes:,} bytes for an array; all of "
                f"them together may have {MAX_PAGES * PAGE:,}"
            ) from why
        self._space.grow(pages * PAGE)

    def release(self, handle: int) -> None:
        self._released.append(handle)

    def write(self, target: Memory, data: np.ndarray) -> None:
        ctypes.memmove(self.base + target.handle, data.ctypes.data, data.nbytes)

    def read(self, source: Memory, out: np.ndarray) -> None:
        ctypes.memmove(out.ctypes.data, self.base + source.handle, out.nbytes)

    def copy(self, target: Memory, source: Memory, nbytes: int) -> None:
        ctypes.memmove(self.base + target.handle, self.base + source.handle, nbytes)

    def finish(self) -> None:
        pass

    # -- programs ----------------------------------------------------------------------------------

    def program(self, closed: ClosedJaxpr) -> DeviceProgram:
        check_dtypes(closed, self)
        record = Record()
        planned = plan_program(closed, record=record, machine=self.machine)
        program = WasmProgram(self, planned)
        self._programs.add(program)
        if not config.profiled:
            return program
        from weft.backends.stamped import TimedProgram

        return TimedProgram(program, Profiled(closed, planned, record, self.machine, whole=True))


class WasmProgram:
    """A program and its constants. Calls that run at a time, those of its own callbacks included,
    have an instance each.
    """

    def __init__(self, device: Wasm, program: Program) -> None:
        self.device = device
        for step in walk_steps(program.steps):
            if isinstance(step, Routine) and isinstance(step.function, LibraryCall):
                step.function = step.function.__call__  # its meaning, on the host
        text = Emitter(target_of(device.cpu), 1).finish(program)
        self.code = WasmObject(compile_cached(text, device.cpu))
        self.callbacks = _callbacks(program)
        self.stack_bytes = stack_bytes(program)
        self._constants = [
            device.upload(np.ascontiguousarray(slot.data)) for slot in program.constants
        ]
        self._outputs = [device.nbytes(slot.shape, slot.dtype) for slot in program.outputs]
        self._arena_bytes = program.arena_bytes
        self._watched = seconds(program.steps) > LONG_SECONDS
        self.count = len(self._constants) + len(program.inputs) + len(self._outputs)
        self._lock = threading.Lock()
        self._running = 0
        self._idle = [_Instance(self)]

    def __call__(self, arguments: Sequence[Memory]) -> list[Memory]:
        device = self.device
        outputs = [device.alloc(nbytes) for nbytes in self._outputs]
        arena = device.alloc(self._arena_bytes) if self._arena_bytes else None
        places = [m.handle for m in (*self._constants, *arguments, *outputs)]
        with self._instance() as instance:
            if self._watched:
                with device.interrupts.watched():
                    status = instance.run(places, arena)
            else:
                status = instance.run(places, arena)
        if status:
            raise_status(status)
        return outputs

    @contextmanager
    def _instance(self) -> Iterator[_Instance]:
        """One for this call; a call that traps has left its stack behind, so that it is let go."""
        with self._lock:
            idle = self._idle.pop() if self._idle else None
            self._running += 1
        try:
            instance = idle or _Instance(self)
            yield instance
            with self._lock:
                self._idle.append(instance)
        finally:
            with self._lock:
                self._running -= 1

    def close(self) -> bool:
        """Gives back what the engine has of it, unless a thread is still running it."""
        with self._lock:
            for instance in self._idle:
                instance.store.close()
            self._idle.clear()
            return not self._running


class _Instance:
    """A program's module with a stack and a table of arguments of its own: one call at a time."""

    def __init__(self, program: WasmProgram) -> None:
        self.device = device = program.device
        self._table = device.alloc(8 * program.count)
        self._data = device.alloc(program.code.data_bytes)
        self._stack = device.alloc(program.stack_bytes)
        module = program.code.module(
            self._data.handle, ["main"], {"weft_interrupts": INTERRUPTS}, shared=True
        )
        self.store = device.wasmtime.Store(device.engine)
        self._main = self._started(module, program.callbacks).exports(self.store)["main"]

    def run(self, places: Sequence[int], arena: Memory | None) -> int:
        """The status of a call for arguments at these addresses."""
        self.device.write(self._table, np.array(places, np.int64))
        table = _signed(self._table)
        try:
            status: int = self._main(self.store, table, _signed(arena) if arena else table, 0)
        except self.device.wasmtime.Trap as why:
            raise DeviceError(f"a program on {self.device.name} came to an end: {why}") from why
        return status

    def _started(self, module: bytes, callbacks: Mapping[str, HostCallback]) -> Any:
        wasmtime, store = self.device.wasmtime, self.store
        try:
            compiled = wasmtime.Module(self.device.engine, module)
        except wasmtime.WasmtimeError as why:
            raise DeviceError(f"{self.device.name} refuses a program:\n{why}") from why
        top = self._stack.handle + self._stack.nbytes
        pointer = wasmtime.GlobalType(wasmtime.ValType.i32(), True)
        known = {
            "__linear_memory": self.device.memory,
            "__stack_pointer": wasmtime.Global(
                store, pointer, wasmtime.Val.i32(_word(top // 64 * 64))
            ),
        }
        for name, callback in callbacks.items():
            kind = wasmtime.FuncType([wasmtime.ValType.i32()], [wasmtime.ValType.i32()])
            known[name] = wasmtime.Func(store, kind, self._routine(callback))
        return wasmtime.Instance(store, compiled, [known[i.name] for i in compiled.imports])

    def _routine(self, callback: HostCallback) -> Any:
        base, count = self.device.base, callback.count

        def call(table: int) -> int:
            # Of each place of eight bytes, programs write the four that a pointer has.
            places = (ctypes.c_uint32 * (2 * count)).from_address(base + (table & 0xFFFFFFFF))
            pointers = (ctypes.c_uint64 * count)(*(base + place for place in places[::2]))
            return callback.call(ctypes.addressof(pointers))

        return call


def _importable(wasmtime: Any) -> Any:
    """The class of memories of several stores, such that modules can import them.

    In wasmtime 50 that fails with a ``TypeError``: what describes an import holds a pointer to
    the pointer of the memory.
    """
    from wasmtime import _ffi as ffi

    class SharedMemory(wasmtime.SharedMemory):
        def _as_extern(self) -> Any:
            union = ffi.wasmtime_extern_union(sharedmemory=self.ptr())
            return ffi.wasmtime_extern_t(ffi.WASMTIME_EXTERN_SHAREDMEMORY, union)

    return SharedMemory


def _callbacks(program: Program) -> dict[str, HostCallback]:
    found = {}
    for symbol, step in routines_of(program):
        if step.function is None:
            raise TypeError(f"the routine {step.name!r} has no function that could run on the host")
        inputs, outputs = ([(s.shape, s.dtype) for s in x] for x in (step.inputs, step.outputs))
        found[symbol] = HostCallback.of(step.name, step.function, step.params, inputs, outputs)
    return found


def _signed(memory: Memory) -> int:
    return _word(memory.handle)


def _word(address: int) -> int:
    """An address as WebAssembly's integers of 32 bits, which Python passes with a sign."""
    return address - (1 << 32) if address >= 1 << 31 else address
