"""What the first program needs besides itself, made in a thread while that program is planned.

Loading LLVM and compiling the runtime's own modules (the call path, the pool, the handler of
Ctrl-C) takes as long as planning a small program, and hardly needs the interpreter.
"""

from __future__ import annotations

import contextlib
import threading

from weft.runtime.once import once


@once
def start() -> None:
    """Begins, unless it has begun; returns at once."""
    threading.Thread(target=_prepare, name="weft-ahead").start()


def _prepare() -> None:
    # Whoever needs a result and does not find it makes it again, and is told of the error.
    with contextlib.suppress(Exception):
        from weft.runtime import llvm, native

        llvm.library()
        native.host_cpu()
        from weft.runtime import call_path, fast_call, pool

        pool.symbols()
        call_path.call_address()
        fast_call.entry_code()
