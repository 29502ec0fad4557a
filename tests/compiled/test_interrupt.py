"""Ctrl-C in the middle of long computations. Each case runs in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Seconds to hours of work in one kernel, or in a loop, unless it is interrupted.
SETUP = """
import os, signal, threading, time
# The background jobs of a shell inherit SIGINT as ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
import numpy as np
import weft, weft.numpy as wnp
from weft.compile import compile_jaxpr

weft.config.threads = {threads}
{case}
program = compile_jaxpr(weft.make_jaxpr(f)(*arguments))
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
start = time.perf_counter()
try:
    program(*arguments)
    print("finished")
except KeyboardInterrupt:
    print("interrupted" if time.perf_counter() - start < 5 else "late")
print(float(np.asarray(weft.jit(lambda v: v.sum())(wnp.ones(1000)))))
"""

CASES = {
    "a reduction": """
x = np.ones(2_000_000, np.float32)
arguments = (x,)
def f(x):
    return wnp.exp(x[:, None] * x[None, :]).sum(1)
""",
    "a contraction": """
x = np.ones((7000, 7000), np.float32)
arguments = (x,)
def f(x):
    return x @ x
""",
    "a loop": """
x = np.ones(100_000, np.float32)
arguments = (x,)
def f(x):
    return weft.lax.fori_loop(0, 2_000_000_000, lambda i, c: wnp.sin(c) + i, x)
""",
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_interrupted(case: str, threads: int) -> None:
    text = SETUP.format(threads=threads, case=CASES[case])
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == ["interrupted", "1000.0"], done.stderr
