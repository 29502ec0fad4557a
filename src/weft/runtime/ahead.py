"""What the first program needs besides itself, made in a thread while that program is planned.

Loading LLVM and compiling the runtime's own modules takes as long as planning a small program.
What programs need (the pool, the handler of Ctrl-C) is made first.  The call path, which a first
call can do without, is made when the first program is about to run: its text is written in Python,
and would keep the interpreter from planning.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable

from weft.runtime.once import once

_started: list[threading.Thread] = []

#: Held by threads that import modules: `os.fork` waits for them, since a child would inherit the
#: locks of modules that are half imported without anybody to release them.
importing = threading.RLock()
os.register_at_fork(
    before=importing.acquire, after_in_parent=importing.release, after_in_child=importing.release
)


@once
def start() -> None:
    """Begins, unless it has begun; returns at once."""
    _in_thread(_for_programs)


def under_way() -> bool:
    """Whether the call path is not there yet, but will be.

    Who asks is about to call a program: it is made from then on.
    """
    if not _started:
        return False
    _go_on()
    return any(thread.is_alive() for thread in _started)


@once
def _go_on() -> None:
    _in_thread(_for_calls)


def _in_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work, name="weft-ahead")
    _started.append(thread)
    thread.start()


# Whoever needs a result and does not find it makes it again, and is told of the error.
_ERRORS = (ImportError, OSError, RuntimeError)


def _for_programs() -> None:
    with contextlib.suppress(*_ERRORS):
        with importing:
            from weft.runtime import llvm, native

        llvm.library()
        native.host_cpu()
        with importing:
            from weft.runtime import interrupt, pool

        interrupt.handler()
        pool.symbols()


def _for_calls() -> None:
    with contextlib.suppress(*_ERRORS):
        with importing:
            from weft.runtime import call_path, fast_call

        call_path.call_address()
        fast_call.entry_code()
