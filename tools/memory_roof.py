"""How close memory-bound kernels come to a copy: GB/s of each, next to a copy in the same run.

    python tools/memory_roof.py [name…]      # kernels whose name contains one of these

Every kernel runs at two sizes: one whose data stay in the second cache level, one that main memory
has to deliver.  Bandwidth changes from minute to minute on shared machines, so each kernel is timed
in turns with a copy of as many bytes and the best of each is compared.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import weft
import weft.nn
import weft.numpy as wnp

Kernel = tuple[str, Callable[..., Any], tuple[tuple[int, ...], ...]]


def kernels() -> Iterator[Kernel]:
    """Name, function and argument shapes."""
    for m, n in ((384, 256), (4096, 4096)):
        size = f"{m}x{n}"
        yield f"transpose {size}", lambda x: x.T, ((m, n),)
        yield f"x.T + y {size}", lambda x, y: x.T + y, ((m, n), (n, m))
        yield f"x.T + y odd {size}", lambda x, y: x.T + y, ((m - 3, n + 5), (n + 5, m - 3))
        yield f"chain {size}", lambda x: (x * 2 + 1) * (x - 3), ((m, n),)
        yield f"bias {size}", lambda x, b: x + b, ((m, n), (n,))
        yield f"row scale {size}", lambda x, b: x * b, ((m, n), (m, 1))
        yield f"column sums {size}", lambda x: x.sum(0), ((m, n),)
        yield f"row sums {size}", lambda x: x.sum(1), ((m, n),)
        yield f"row max {size}", lambda x: x.max(1), ((m, n),)
        yield f"sum {size}", lambda x: x.sum(), ((m, n),)
        yield f"variance {size}", lambda x: x.var(), ((m, n),)
        yield f"matvec {size}", lambda x, v: x @ v, ((m, n), (n,))
        yield f"vecmat {size}", lambda x, v: v @ x, ((m, n), (m,))
        yield f"softmax {size}", lambda x: weft.nn.softmax(x, -1), ((m, n),)
        yield f"layer norm {size}", layer_norm, ((m, n),)
        yield f"cumsum rows {size}", lambda x: wnp.cumsum(x, 1), ((m, n),)
        yield f"cumsum columns {size}", lambda x: wnp.cumsum(x, 0), ((m, n),)
        yield f"cumsum of all {size}", lambda x: wnp.cumsum(x.ravel()), ((m, n),)
        yield f"softmax of x.T {size}", lambda x: weft.nn.softmax(x.T, -1), ((m, n),)
        rows = m * n // 64
        yield f"triples to planes {rows}x3", lambda x: x.T, ((rows, 3),)
        yield f"planes to triples 3x{rows}", lambda x: x.T, ((3, rows),)
        yield f"softmax {rows}x10", lambda x: weft.nn.softmax(x, -1), ((rows, 10),)
        yield f"softmax {rows}x64", lambda x: weft.nn.softmax(x, -1), ((rows, 64),)
        yield f"layer norm {rows}x64", layer_norm, ((rows, 64),)
        yield f"middle sum 16x{rows // 16}x64", lambda x: x.sum(1), ((16, rows // 16, 64),)
        yield f"every second {size}", lambda x: x[:, ::2], ((m, n),)
        yield f"every second row {size}", lambda x: x[::2], ((m, n),)
        yield f"reversed {size}", lambda x: x[:, ::-1], ((m, n),)
        yield f"concatenate {size}", lambda x, y: wnp.concatenate((x, y), 1), ((m, n), (m, n))
        yield f"roll {size}", lambda x: wnp.roll(x, 5, 1), ((m, n),)
        yield f"pad {size}", lambda x: wnp.pad(x, 3), ((m, n),)


def layer_norm(x: Any) -> Any:
    """Rows with mean zero and variance one."""
    centred = x - x.mean(-1, keepdims=True)
    return centred / wnp.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-5)


def times(seconds: float, calls: Sequence[tuple[Callable[..., Any], Sequence[Any]]]) -> list[float]:
    """The least time of each function on its arguments, called in turns."""
    least = [float("inf")] * len(calls)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for n, (function, arguments) in enumerate(calls):
            start = time.perf_counter()
            function(*arguments)
            least[n] = min(least[n], time.perf_counter() - start)
    return least


def main(names: list[str]) -> None:
    """Measure and print."""
    random = np.random.default_rng(0)
    print(f"{'kernel':34} {'µs':>9} {'GB/s':>7} {'copy':>7} {'of copy':>8} {'compile':>8}")
    for name, function, shapes in kernels():
        if names and not any(n in name for n in names):
            continue
        arrays = [wnp.asarray(random.random(s, dtype=np.float32)) for s in shapes]
        compiled, negate = weft.jit(function), weft.jit(lambda x: -x)
        start = time.perf_counter()
        result = compiled(*arrays)
        first = time.perf_counter() - start
        moved = sum(a.nbytes for a in arrays) + result.nbytes
        flat = wnp.asarray(random.random(moved // 8, dtype=np.float32))
        negate(flat)
        ours, copy = times(0.3, ((compiled, arrays), (negate, (flat,))))
        print(
            f"{name:34} {ours * 1e6:9.1f} {moved / ours / 1e9:7.1f} {moved / copy / 1e9:7.1f} "
            f"{copy / ours:8.0%} {first * 1e3:6.0f}ms"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
