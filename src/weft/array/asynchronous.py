"""``compute_async``: evaluation that goes on while Python does something else.

A few threads of Python evaluate what they are given; compiled programs release the interpreter's
lock when they are long, so both really run. The result is a `concurrent.futures.Future`, which
waits, tells whether it is done, calls back, and can be awaited through `asyncio.wrap_future`.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from weft.array.evaluation import compute, delayed_leaves

#: Evaluations at the same time. More would not run faster: each uses the pool of threads.
_WORKERS = 2


class _Workers:
    """The threads that evaluate; a child process starts its own."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None

    def executor(self) -> ThreadPoolExecutor:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(_WORKERS, thread_name_prefix="weft-compute")
        return self._executor

    def forget(self) -> None:
        self._executor = None


_workers = _Workers()
os.register_at_fork(after_in_child=_workers.forget)


def compute_async(*arrays: Any) -> Future[Any]:
    """Evaluates delayed arrays in the background, together where they belong together.

    Takes arrays and containers of arrays, as :func:`compute`; returns a future at once. Its
    ``result()`` waits and gives what was given, a tuple if that is several (the same objects, now
    with values), or raises what evaluating raised; ``done()`` says whether it would have to wait.
    An array may be used meanwhile: that waits for its value.

    Raises TypeError at once for what is not an array.

    >>> import weft, weft.numpy as np
    >>> x = np.arange(4.0)
    >>> future = weft.compute_async(x + 1, {"double": x * 2})
    >>> future.result()[1]["double"]
    Array([0., 2., 4., 6.], dtype=float32)
    """
    delayed_leaves("weft.compute_async", arrays)
    return _workers.executor().submit(copy_context().run, compute, *arrays)
