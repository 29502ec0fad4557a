"""`NativeProgram`: machine code with an entry, and all that one call of it needs.

The entry is ``i32 main(ptr args, ptr arena, ptr pool)``. ``args`` is an array of 64-bit pointers:
the constants, then the inputs, then the outputs. ``arena`` is scratch memory, 64-byte aligned (a
page if 64 KiB or more), uninitialised, this call's alone. ``pool`` goes to ``weft_parallel``. It
returns 0 when done and `INTERRUPTED` when it left early because of Ctrl-C; its outputs are then
garbage and dropped.

Inputs are aligned to their elements only (memory borrowed from others), outputs like the arena.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence

from weft.runtime import interrupt, linker
from weft.runtime.buffer import Buffer
from weft.runtime.callback import CALLBACK_FAILED, HostCallback, raise_pending
from weft.runtime.pool import pool, symbols

INTERRUPTED = 1

#: Calls expected to take longer release the GIL (10^-7 s) and look out for Ctrl-C.
LONG_CALL_SECONDS = 20e-6

_ARGUMENT_TYPES = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_holding_gil = ctypes.PYFUNCTYPE(ctypes.c_int32, *_ARGUMENT_TYPES)
_releasing_gil = ctypes.CFUNCTYPE(ctypes.c_int32, *_ARGUMENT_TYPES)


class NativeProgram:
    """A linked program, called with buffers. Thread-safe: a call shares nothing with another.

    - ``objects``: object code, from `weft.runtime.cache.compile_cached`, each using what those
      before it define; ``entry`` names the main function, in the last.
    - ``input_nbytes``, ``output_nbytes``: the size of each, in order.
    - ``constants``: buffers the program reads besides its inputs; it keeps them alive.
    - ``arena_nbytes``: scratch memory of one call.
    - ``seconds``: the estimated duration of a call (``math.inf`` if unknown), which decides whether
      it is `long`.
    - ``uses_pool``: whether it has parallel regions; such a program is long, since it may have to
      wait for another's region.
    - ``callbacks``: host functions by symbol; a program that has some is long.
    - ``imports``: further symbols; those of `weft.runtime.pool.symbols` are always there.
    """

    __slots__ = (
        "__weakref__",
        "_entry",
        "arena_nbytes",
        "callbacks",
        "constants",
        "entry_address",
        "input_nbytes",
        "library",
        "long",
        "output_nbytes",
        "uses_pool",
    )

    def __init__(
        self,
        objects: bytes | Sequence[bytes],
        *,
        entry: str = "main",
        input_nbytes: Sequence[int],
        output_nbytes: Sequence[int],
        constants: Sequence[Buffer] = (),
        arena_nbytes: int = 0,
        seconds: float = 0.0,
        uses_pool: bool = True,
        imports: Mapping[str, int] | None = None,
        callbacks: Mapping[str, HostCallback] | None = None,
    ):
        self.callbacks = dict(callbacks or {})  # kept alive: the code calls them
        hosts = {name: callback.address for name, callback in self.callbacks.items()}
        known = {**symbols(uses_pool), **hosts, **(imports or {})}
        self.library = linker.link(objects, [entry], known)
        self.entry_address = self.library.address(entry)
        self.input_nbytes = tuple(input_nbytes)
        self.output_nbytes = tuple(output_nbytes)
        self.constants = tuple(constants)
        self.arena_nbytes = arena_nbytes
        self.uses_pool = uses_pool
        self.long = uses_pool or bool(self.callbacks) or seconds > LONG_CALL_SECONDS
        prototype = _releasing_gil if self.long else _holding_gil
        self._entry = prototype(self.entry_address)

    def resized(
        self,
        *,
        input_nbytes: Sequence[int],
        output_nbytes: Sequence[int],
        constants: Sequence[Buffer],
        arena_nbytes: int,
    ) -> NativeProgram:
        """The same machine code for arrays of other sizes, which ``constants`` tell it."""
        other = object.__new__(NativeProgram)
        for name in NativeProgram.__slots__[1:]:
            setattr(other, name, getattr(self, name))
        other.input_nbytes = tuple(input_nbytes)
        other.output_nbytes = tuple(output_nbytes)
        other.constants = tuple(constants)
        other.arena_nbytes = arena_nbytes
        return other

    def __call__(self, inputs: Sequence[Buffer]) -> list[Buffer]:
        """Runs with fresh outputs, which it returns."""
        outputs = [Buffer.alloc(nbytes) for nbytes in self.output_nbytes]
        self.run(inputs, outputs)
        return outputs

    def run(self, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> None:
        """Runs into the given outputs. An output may be an input only where the program says so.

        Raises `ValueError` when a buffer is missing or too small, `KeyboardInterrupt` when Ctrl-C
        interrupted the call, `MemoryError` when there is no room for the arena.
        """
        self.enter(inputs, outputs)

    def enter(self, inputs: Sequence[Buffer], outputs: Sequence[Buffer], *log: Buffer) -> None:
        """As `run`; a program with stamps (`weft.runtime.stamps`) takes a ``log``, too."""
        _check("input", inputs, self.input_nbytes)
        _check("output", outputs, self.output_nbytes)
        groups = (self.constants, inputs, outputs, log)
        pointers = [buffer.ptr for group in groups for buffer in group]
        arguments = (ctypes.c_void_p * len(pointers))(*pointers)
        arena = Buffer.alloc(self.arena_nbytes) if self.arena_nbytes else None
        if self.long:
            interrupt.arm()
        threads = pool.address if self.uses_pool else None
        status = self._entry(arguments, arena.ptr if arena else None, threads)
        if status:
            raise_status(status)


def raise_status(status: int) -> None:
    """Raises what a program's non-zero status stands for."""
    if status == INTERRUPTED:
        interrupt.raise_interrupt()
    if status == CALLBACK_FAILED:
        raise_pending()
    raise RuntimeError(f"a compiled program returned the unknown status {status}")


def _check(kind: str, buffers: Sequence[Buffer], sizes: tuple[int, ...]) -> None:
    if len(buffers) != len(sizes):
        raise ValueError(f"this program has {len(sizes)} {kind}s, got {len(buffers)}")
    for i, (buffer, nbytes) in enumerate(zip(buffers, sizes, strict=True)):
        if buffer.nbytes < nbytes:
            raise ValueError(f"{kind} {i} needs {nbytes} bytes, its buffer has {buffer.nbytes}")
