"""Check and time one workload in one framework, within the current process."""

import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import conditions
import peers
from workloads import WORKLOADS, Workload

SAMPLES = 300_000  # output elements compared per array
TIME_LIMIT = 8.0  # seconds of timed runs per attempt
ATTEMPTS = 3  # repeated while other processes disturb the measurement


def sample(x: np.ndarray) -> np.ndarray:
    """A regular subset of a flat array; the odd stride visits every row, column and tile offset."""
    return x[:: max(1, x.size // SAMPLES) | 1]


def reference(workload: Workload) -> list[tuple[np.ndarray, int]]:
    """Sampled float64 outputs and their full sizes, cached between processes."""
    here = Path(__file__).parent
    sources = [here / "workloads.py", here / "peers" / "numpy_.py", Path(__file__)]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    cache = Path(os.environ.get("BENCH_CACHE") or Path(tempfile.gettempdir()) / "bench-references")
    path = cache / digest / f"{workload.name}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = [np.append(sample(x), x.size) for x in workload.reference()]
        temporary = path.with_name(f"{workload.name}-{os.getpid()}.npz")
        np.savez(temporary, *arrays)
        temporary.replace(path)
    with np.load(path) as stored:
        return [(stored[key][:-1], int(stored[key][-1])) for key in stored.files]


def check(workload: Workload, outputs: list[np.ndarray]) -> float:
    """Largest relative error; raises if it exceeds the tolerance or if sizes differ."""
    expected = reference(workload)
    sizes, expected_sizes = [x.size for x in outputs], [size for _, size in expected]
    if sizes != expected_sizes:
        raise ValueError(f"wrong output sizes: {sizes} instead of {expected_sizes}")
    errors = workload.errors([sample(x) for x in outputs], [x for x, _ in expected])
    error = float(np.max(errors))
    if not error <= workload.tolerance:
        raise ValueError(f"wrong result: error {error:.3g}, tolerance {workload.tolerance:g}")
    return error


def machine_seconds() -> float:
    """CPU seconds used by the whole machine since boot (0 where /proc is missing)."""
    try:
        fields = [int(x) for x in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    except OSError:
        return 0.0
    idle, waiting = fields[3:5]
    return (sum(fields) - idle - waiting) / os.sysconf("SC_CLK_TCK")


def time_calls(call: Callable, wait: Callable, count: int, inner: int) -> dict:
    """Statistics over ``count`` timings of ``inner`` back-to-back calls each, per call."""
    machine, own, start = machine_seconds(), sum(os.times()[:4]), time.perf_counter()
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        for _ in range(inner):
            outputs = call()
        wait(outputs)
        times.append((time.perf_counter() - begin) / inner)
    wall = time.perf_counter() - start
    others = machine_seconds() - machine - (sum(os.times()[:4]) - own)
    times.sort()
    return {
        "median": statistics.median(times),
        "times": times,
        "min": times[0],
        "p90": times[int(0.9 * count)],
        "count": count,
        "inner": inner,
        "wall": wall,
        "others": max(0.0, others / wall / (os.cpu_count() or 1)),  # share of the machine
    }


def memory(field: str) -> int:
    """Bytes in a field of ``/proc/self/status``, or 0.

    ``VmRSS`` is what is resident now, ``VmHWM`` was at the peak, ``RssFile`` is that part of the
    first which is mapped from files: the code of libraries, which processes share and the system
    may drop.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)


def measure(framework: str, name: str, check_only: bool = False) -> dict:
    """Run one workload: first call, correctness check, then timed runs."""
    begin = time.perf_counter()
    workload, peer = WORKLOADS[name], peers.load(conditions.base(framework))
    importing = time.perf_counter() - begin
    result = {"framework": framework, "workload": name}
    if not peer.supports(name):
        return result | {"status": "unsupported"}
    conditions.restrict_instructions(framework)
    idle, idle_files = memory("VmRSS"), memory("RssFile")

    def timed_call():
        begin = time.perf_counter()
        outputs = run()
        peer.wait(outputs)
        return outputs, time.perf_counter() - begin

    run = peer.prepare(workload)
    outputs, first = timed_call()
    checked = peer.leaves(outputs)
    for _ in range(max(peer.warmup_calls, workload.calls) - 1):
        outputs, seconds = timed_call()
        first += seconds
        if workload.calls > 1:
            checked += peer.leaves(outputs)
    peak = memory("VmHWM") - idle  # before the reference is loaded or computed
    files = memory("RssFile") - idle_files
    result |= {"status": "ok", "first_call": first, "start": importing + first}
    result |= {"memory": peak, "own_memory": peak - files}
    result["error"] = check(workload, checked)
    if check_only:
        return result

    timed_call()
    _, once = timed_call()
    inner = 1
    if once < 1e-3:  # short calls are timed in batches of about two milliseconds
        once = time_calls(run, peer.wait, 1, max(1, int(1e-3 / once)))["median"]
        inner = max(1, int(2e-3 / once))
    if once * inner < 0.03:
        count = 40
    elif once * 15 < TIME_LIMIT:
        count = 15
    else:
        count = max(3, int(TIME_LIMIT / once))
    best = None
    for _ in range(ATTEMPTS):
        timing = time_calls(run, peer.wait, count, inner)
        if best is None or timing["median"] < best["median"]:
            best = timing
        disturbed = timing["others"] > 0.06 or timing["median"] > 1.15 * timing["min"]
        if not disturbed or timing["wall"] > 6:
            break
    if workload.calls == 1:  # the last timed result has to be right, too
        check(workload, peer.leaves(run()))
    return result | best
