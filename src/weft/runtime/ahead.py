"""What the first program needs besides itself, made in a thread while that program is planned.

Loading LLVM and compiling the runtime's own modules (the call path, the pool, the handler of
Ctrl-C) takes as long as planning a small program, and hardly needs the interpreter.  What a first
call can do without, it does not wait for.
"""

from __future__ import annotations

import contextlib
import os
import threading

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
    thread = threading.Thread(target=_prepare, name="weft-ahead")
    _started.append(thread)
    thread.start()


def under_way() -> bool:
    """Whether the thread is at work, so that what it makes is not there yet."""
    return any(thread.is_alive() for thread in _started)


def _prepare() -> None:
    # Whoever needs a result and does not find it makes it again, and is told of the error.
    with contextlib.suppress(ImportError, OSError, RuntimeError):
        with importing:
            from weft.runtime import llvm, native

        llvm.library()
        native.host_cpu()
        with importing:
            from weft.runtime import call_path, fast_call, interrupt, pool

        interrupt.handler()
        pool.symbols()
        call_path.call_address()
        fast_call.entry_code()
