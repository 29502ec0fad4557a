"""Kernels never read outside their inputs: pages before and after these cannot be touched."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = '''
import ctypes, mmap
import numpy as np
import weft
from weft import numpy as wnp
from weft.compile import compile_jaxpr
from weft.core.avals import ShapedArray
from weft.core.staging import trace_to_jaxpr
from weft.runtime.buffer import Buffer

PAGE = mmap.PAGESIZE
region = mmap.mmap(-1, 3 * PAGE)
start = ctypes.addressof(ctypes.c_char.from_buffer(region))
libc = ctypes.CDLL(None, use_errno=True)
for page in (0, 2):  # PROT_NONE
    assert libc.mprotect(ctypes.c_void_p(start + page * PAGE), PAGE, 0) == 0

def placed(x, last):
    """x at the very end or the very beginning of the page that may be touched."""
    offset = 2 * PAGE - x.nbytes if last else PAGE
    y = np.frombuffer(region, x.dtype, x.size, offset).reshape(x.shape)
    y[...] = x
    return y

def vectors(x):
    at = wnp.arange(x.shape[0])[::-1] * 3 - 5
    return (x + 1, x[::-1] * 2, x.sum(), x.max(), wnp.argmax(x), wnp.cumsum(x), x[at], x[1::2],
            wnp.roll(x, 3), wnp.concatenate([x, x[:-1]]), wnp.pad(x, (2, 1)), x @ x,
            x.at[at].add(1), (x > 0).any())

def matrices(x):
    z = x - x.max(1, keepdims=True)
    return (x.T + 1, x.sum(0), x.sum(1), x @ x.T, x.T @ x, z / z.sum(1, keepdims=True),
            x[::-1, ::2], x.reshape(-1), wnp.cumsum(x, 0), x.max(0), x @ x[0], x.T @ x[:, 0])

def run(function, x):
    closed = trace_to_jaxpr(lambda x: list(function(x)), [ShapedArray(x.shape, x.dtype)])
    executable = compile_jaxpr(closed)
    with weft.disable_jit():
        expected = [np.asarray(y) for y in function(wnp.asarray(x))]
    for last in (True, False):
        results = executable.native([Buffer.borrow(placed(x, last))])
        for aval, buffer, e in zip(executable.out_avals, results, expected, strict=True):
            a = buffer.as_numpy(aval.shape, aval.dtype)
            np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-4 * (1 + np.abs(e).max(initial=0)))

rng = np.random.default_rng(0)
for dtype in (np.float32, np.float64, np.int8, np.float16):
    for n in (1, 2, 3, 7, 16, 17, 33, 63, 65, 130, 257):
        run(vectors, rng.integers(-4, 5, n).astype(dtype))
for dtype in (np.float32, np.float64):
    for shape in ((1, 1), (3, 5), (7, 17), (16, 16), (33, 9), (5, 65), (1, 100), (100, 1)):
        run(matrices, rng.integers(-4, 5, shape).astype(dtype))
print("within bounds")
'''


def test_inputs_at_the_edge_of_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout == "within bounds\n", (done.returncode, done.stderr[-2000:])
