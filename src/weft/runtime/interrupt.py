"""Ctrl-C seen by native code.

Python's own handler of SIGINT only notes the signal; ``KeyboardInterrupt`` is raised when the main
thread next runs bytecode, which a long native call puts off. So while Python's handler is its
default one, a native handler stands in front of it: it counts the signal in ``weft_interrupts`` and
calls Python's. Generated code reads the counter once when it is entered and compares at each
launch, iteration and parallel block; a difference means "leave with status 1". Nothing is ever
reset, so a call cannot be interrupted by a signal that came before it.

Whoever installs another handler (``signal.signal``) replaces ours and decides alone what the signal
means; native calls then run to their end, as NumPy's do. `arm`, called before each long call,
notices when the default is back.

The counter is one per process: Ctrl-C abandons every native call that is running, in whichever
thread.
"""

from __future__ import annotations

import ctypes
import signal
from typing import Any, NamedTuple

from weft.runtime import linker
from weft.runtime.cache import compile_cached
from weft.runtime.once import once

# A `struct sigaction` begins with the handler on every Linux libc and is at most 152 bytes long.
# Ours is Python's with the handler replaced, so flags and mask stay what Python chose.
_IR = f"""
@weft_interrupts = global i32 0, align 64
@python_handler = internal global ptr null

declare i32 @sigaction(i32, ptr, ptr)

define void @weft_on_sigint(i32 %signal) nounwind {{
  %count = atomicrmw add ptr @weft_interrupts, i32 1 seq_cst
  %next = load atomic ptr, ptr @python_handler acquire, align 8
  call void %next(i32 %signal)
  ret void
}}

; Is our handler the one in place?
define i32 @weft_sigint_armed() nounwind {{
  %action = alloca [256 x i8], align 16
  %r = call i32 @sigaction(i32 {int(signal.SIGINT)}, ptr null, ptr %action)
  %handler = load ptr, ptr %action
  %ours = icmp eq ptr %handler, @weft_on_sigint
  %result = zext i1 %ours to i32
  ret i32 %result
}}

; Puts our handler in front of the one in place.
define void @weft_arm_sigint() nounwind {{
entry:
  %action = alloca [256 x i8], align 16
  %r = call i32 @sigaction(i32 {int(signal.SIGINT)}, ptr null, ptr %action)
  %handler = load ptr, ptr %action
  %ours = icmp eq ptr %handler, @weft_on_sigint
  br i1 %ours, label %done, label %install
install:
  store atomic ptr %handler, ptr @python_handler release, align 8
  store ptr @weft_on_sigint, ptr %action
  %r2 = call i32 @sigaction(i32 {int(signal.SIGINT)}, ptr %action, ptr null)
  br label %done
done:
  ret void
}}
"""


class _Handler(NamedTuple):
    """The native half: the counter's address, and the functions that put the handler in place."""

    library: linker.Library
    counter: int
    armed_address: int
    armed: Any
    arm: Any


@once
def handler() -> _Handler:
    """Compiles and links the handler, once; does not install it."""
    exports = ("weft_interrupts", "weft_sigint_armed", "weft_arm_sigint")
    library = linker.link(compile_cached(_IR), exports)
    # The kernel and Python's signal table may hold the handler's address until the process ends.
    linker.keep_forever(library)
    armed_address = library.address("weft_sigint_armed")
    return _Handler(
        library=library,
        counter=library.address("weft_interrupts"),
        armed_address=armed_address,
        armed=ctypes.PYFUNCTYPE(ctypes.c_int32)(armed_address),
        arm=ctypes.PYFUNCTYPE(None)(library.address("weft_arm_sigint")),
    )


def arm() -> bool:
    """Makes native calls see Ctrl-C if Python's default handler is in place; returns whether."""
    native_handler = handler()
    if native_handler.armed():
        return True
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    native_handler.arm()
    return True


def raise_interrupt() -> None:
    """Raises the `KeyboardInterrupt` that an interrupted native call stands for.

    In the main thread that is the pending one, so that the same signal is not raised again later.
    """
    ctypes.pythonapi.PyErr_CheckSignals()
    raise KeyboardInterrupt
