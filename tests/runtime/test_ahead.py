"""What is made while the first program is planned."""

from __future__ import annotations

SCRIPT = """
import threading
import numpy as np
import weft
import weft.runtime.executable
from weft.runtime import ahead, pool

weft.config.cache_dir = None
f = weft.jit(lambda x: x * 2 + 1)
x = weft.numpy.ones(4)
held = threading.Event()
symbols = pool.symbols
pool.symbols = lambda *a: held.wait() and symbols(*a)  # the thread gets no further than this
print(f(x).tolist(), ahead.under_way(), f._fast)
held.set()
print(f(x).tolist(), f._fast is not None)
"""


def test_a_first_call_does_not_wait_for_the_native_call_path(run_python):
    result = run_python(SCRIPT)
    lines = ["[3.0, 3.0, 3.0, 3.0] True None", "[3.0, 3.0, 3.0, 3.0] True"]
    assert result.stdout.splitlines() == lines, result.stderr
