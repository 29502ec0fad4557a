"""Times over sizes: products, softmax, attention and Jacobi sweeps, in Weft and in NumPy."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

SIZES = {
    "matmul, n × n": (64, 128, 256, 512, 1024),
    "softmax, n × n": (64, 128, 256, 512, 1024, 2048),
    "attention, n × 64": (64, 128, 256, 512, 1024),
    "10 Jacobi sweeps, n × n": (64, 128, 256, 512, 1024),
}
#: Seconds of runs for one point.
TURN = 0.2


def programs(xp, loop: Callable) -> dict[str, Callable]:
    """The computations, written with the namespace ``xp``; ``loop(n, f, x)`` is f applied n times.

    >>> list(programs(np, None)) == list(SIZES)
    True
    """

    def softmax(x):
        e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
        return e / xp.sum(e, axis=-1, keepdims=True)

    def sweep(u):
        inner = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
        return xp.pad(inner, 1)

    return {
        "matmul, n × n": lambda n, x: x @ x,
        "softmax, n × n": lambda n, x: softmax(x),
        "attention, n × 64": lambda n, x: softmax(x @ x.T / 8) @ x,
        "10 Jacobi sweeps, n × n": lambda n, x: loop(10, sweep, x),
    }


FRAMEWORKS = ("weft", "numpy")


def measure() -> dict[str, dict[str, dict[int, float]]]:
    """Seconds by computation, framework and size; a process for each framework.

    In one process, NumPy's idle threads keep cores busy for a while after each product.
    """
    found: dict[str, dict[str, dict[int, float]]] = {name: {} for name in SIZES}
    for framework in FRAMEWORKS:
        command = [sys.executable, __file__, framework]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        for name, points in json.loads(done.stdout).items():
            found[name][framework] = {int(size): value for size, value in points.items()}
    return found


def measure_here(framework: str) -> dict[str, dict[int, float]]:
    """Seconds by computation and size, in this process."""
    found: dict[str, dict[int, float]] = {}
    for name, sizes in SIZES.items():
        points = found[name] = {}
        for n in sizes:
            shape = (n, 64) if "64" in name else (n, n)
            x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
            points[n] = seconds(call_of(framework, name, n, x))
            print(f"{framework}: {name}, {n}: {points[n]:.3g} s", file=sys.stderr)
    return found


def call_of(framework: str, name: str, n: int, x: np.ndarray) -> Callable[[], object]:
    """A computation on ``x``, ready to be timed."""
    if framework == "numpy":
        return partial(programs(np, numpy_loop)[name], n, x)
    import weft
    import weft.numpy as wnp

    return partial(weft.jit(partial(programs(wnp, weft_loop)[name], n)), wnp.asarray(x))


def weft_loop(n, f, x):
    """``f`` applied ``n`` times, as one loop of the program."""
    import weft

    return weft.lax.fori_loop(0, n, lambda _, u: f(u), x)


def numpy_loop(n, f, x):
    """``f`` applied ``n`` times."""
    for _ in range(n):
        x = f(x)
    return x


def seconds(call: Callable) -> float:
    """The median time of a call, in runs of some length, after two to warm up."""
    call(), call()
    times = []
    end = time.perf_counter() + TURN
    while len(times) < 3 or time.perf_counter() < end:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


if __name__ == "__main__":
    print(json.dumps(measure_here(sys.argv[1])))
