"""How fast this processor computes and moves bytes: what the machine model needs, measured.

A few loops of a dozen instructions each, written in LLVM IR, run over memory of the size of every
cache and beyond, on one thread and on all of them.  Each figure is the best of several runs, as
whatever else the machine does can only make one slower.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from weft.runtime.figures import LINE, Figures, LevelFigures
from weft.runtime.linker import Library, link
from weft.runtime.native import CPU, compile_module

#: Seconds of one run, about, and how many there are.
RUN = 0.015
RUNS = 5
#: Bytes of memory that no cache holds, at most.
MOST = 1 << 29

_CHAIN = 32  # dependent additions of an iteration
_ACCUMULATORS = 12  # independent products of an iteration
_STREAMS = 8  # registers that an iteration loads or stores


def measure(cpu: CPU, threads: int, advance: Callable[[str], None] = lambda name: None) -> Figures:
    """Measure this processor; ``advance`` is told the name of each step before it starts."""
    probes = _Probes(cpu)
    advance("clock")
    ghz = 2 * _CHAIN / probes.nanoseconds("chain", None, 0)
    advance("arithmetic")
    products = _ACCUMULATORS / probes.nanoseconds("products", None, 0)
    width = cpu.vector_bits // 8
    vectors = max(0.5, round(2 * products * width / LINE / ghz) / 2)
    sizes = _sizes(cpu, threads)
    levels = []
    for name, nbytes in sizes.items():
        advance(name)
        levels.append(_level(probes, name, nbytes, threads))
    return Figures(_short(ghz), vectors, tuple(levels))


def steps(cpu: CPU, threads: int) -> int:
    """How often `measure` calls ``advance``."""
    return 2 + len(_sizes(cpu, threads))


def _sizes(cpu: CPU, threads: int) -> dict[str, int]:
    """Bytes for each thread that lie in each level, and in none before."""
    share = cpu.l3_bytes // 2 // threads
    return {
        "L1": cpu.l1_bytes // 2,
        "L2": cpu.l2_bytes // 2,
        "L3": max(share, min(2 * cpu.l2_bytes, cpu.l3_bytes // threads)),
        "DRAM": min(max(4 * cpu.l3_bytes, 64 << 20), MOST) // threads,
    }


def _level(probes: _Probes, name: str, nbytes: int, threads: int) -> LevelFigures:
    def both(probe: str) -> tuple[float, float]:
        """Nanoseconds per line, alone and with all threads busy."""
        alone = probes.per_line(probe, nbytes, 1)
        busy = probes.per_line(probe, nbytes, threads) if threads > 1 else alone
        return alone, busy / threads if name == "DRAM" else busy

    # Before and after what it is subtracted from: memory has good and bad moments.
    reads = [both("read")]
    scaled, streamed = both("scale"), both("stream")
    reads.append(both("read"))
    read = (min(r[0] for r in reads), min(r[1] for r in reads))
    written = tuple(max(0.0, w - r) for w, r in zip(scaled, read, strict=True))
    return LevelFigures(
        name,
        _short(LINE / read[0]),
        _pair(read),
        _pair(written),
        _pair(both("scatter")),
        _pair(streamed),
        _short(probes.nanoseconds("chase", _cycle(nbytes), nbytes // LINE)),
    )


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def _pair(values: Sequence[float]) -> tuple[float, float]:
    return _short(values[0]), _short(values[1])


# -- running ---------------------------------------------------------------------------------------


class _Probes:
    """The loops, compiled for this processor.

    All have the type ``void(pointer, size, repetitions)``.
    """

    def __init__(self, cpu: CPU) -> None:
        self.step = _STREAMS * cpu.vector_bits // 8
        self.library: Library = link(compile_module(_text(cpu.vector_bits // 32), cpu), _NAMES)
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        self.calls = {name: kind(self.library.address(name)) for name in _NAMES}

    def per_line(self, probe: str, nbytes: int, threads: int) -> float:
        """Nanoseconds per line of one of ``threads`` that do the same."""
        lines = nbytes // LINE
        if probe == "scatter":
            memory = [_scattered(nbytes, seed) for seed in range(threads)]
            return self.timed(probe, memory, lines) / lines
        floats = nbytes // 4
        memory = [np.ones(floats, np.float32) for _ in range(threads)]
        return self.timed(probe, memory, nbytes // self.step) / lines

    def nanoseconds(self, probe: str, memory: np.ndarray | None, size: int) -> float:
        """Nanoseconds of one repetition, or of one step of a chase."""
        several = [np.ones(1024, np.float32) if memory is None else memory]
        found = self.timed(probe, several, size)
        return found / size if size else found

    def timed(self, probe: str, memory: Sequence[np.ndarray], size: int) -> float:
        """Nanoseconds of a repetition with a thread for each piece of memory."""
        call = self.calls[probe]
        repetitions = 1
        while True:
            once = self._once(call, memory, size, repetitions)
            if once > RUN / 4:
                break
            repetitions *= 4
        repetitions = max(1, int(repetitions * RUN / once))
        best = min(self._once(call, memory, size, repetitions) for _ in range(RUNS))
        return best / repetitions * 1e9

    def _once(
        self, call: Callable[..., None], memory: Sequence[np.ndarray], size: int, repetitions: int
    ) -> float:
        if len(memory) == 1:
            start = time.perf_counter()
            call(memory[0].ctypes.data, size, repetitions)
            return time.perf_counter() - start
        seconds = [0.0] * len(memory)
        gate = threading.Barrier(len(memory))

        def run(n: int) -> None:
            gate.wait()
            start = time.perf_counter()
            call(memory[n].ctypes.data, size, repetitions)
            seconds[n] = time.perf_counter() - start

        threads = [threading.Thread(target=run, args=(n,)) for n in range(len(memory))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return max(seconds)


def _cycle(nbytes: int) -> np.ndarray:
    """Lines of which each holds the address of another one; a single cycle, in no order."""
    count = nbytes // LINE
    lines = np.zeros((count, LINE // 8), np.int64)
    order = np.random.default_rng(0).permutation(count)
    lines[order, 0] = lines.ctypes.data + LINE * np.roll(order, -1)
    return lines


def _scattered(nbytes: int, seed: int) -> np.ndarray:
    """Lines, and after them their numbers in no order."""
    count = nbytes // LINE
    memory = np.zeros(count * LINE + 4 * count, np.int8)
    order = np.random.default_rng(seed).permutation(count).astype(np.int32)
    memory[count * LINE :] = order.view(np.int8)
    return memory


# -- loops -----------------------------------------------------------------------------------------

_NAMES = ("chain", "products", "read", "scale", "stream", "scatter", "chase")


def _text(lanes: int) -> str:
    """The module of all loops, for registers of so many float32."""
    vector = f"<{lanes} x float>"
    return "\n".join(
        [
            _loop("chain", *_chain()),
            _loop("products", *_products(vector)),
            _sweep("read", lanes, _read(vector), accumulate=True),
            _sweep("scale", lanes, _scale(vector)),
            _sweep("stream", lanes, _stream(vector)),
            _SCATTER,
            _CHASE,
            "!0 = !{i32 1}",
        ]
    )


def _loop(name: str, before: list[str], phis: list[str], body: list[str], after: list[str]) -> str:
    """``body`` repeated; its phis come from ``%head`` and ``%again``."""
    lines = [
        f"define void @{name}(ptr %p, i64 %size, i64 %times) {{",
        "head:",
        *before,
        "br label %again",
        "again:",
        "%r = phi i64 [ 0, %head ], [ %r.next, %again ]",
        *phis,
        *body,
        "%r.next = add i64 %r, 1",
        "%more = icmp slt i64 %r.next, %times",
        "br i1 %more, label %again, label %end",
        "end:",
        *after,
        "ret void",
        "}",
    ]
    return "\n".join(lines)


def _chain() -> tuple[list[str], list[str], list[str], list[str]]:
    """Additions and exclusive ors, each of which needs the one before."""
    body = []
    x, y = "%x", "%y"
    for n in range(_CHAIN):
        body += [f"%x{n} = add i64 {x}, {y}", f"%y{n} = xor i64 {y}, %x{n}"]
        x, y = f"%x{n}", f"%y{n}"
    phis = [
        f"%x = phi i64 [ %x.start, %head ], [ {x}, %again ]",
        f"%y = phi i64 [ 7, %head ], [ {y}, %again ]",
    ]
    return ["%x.start = load i64, ptr %p"], phis, body, [f"store i64 {x}, ptr %p"]


def _products(vector: str) -> tuple[list[str], list[str], list[str], list[str]]:
    """Products that do not need each other."""
    names = range(_ACCUMULATORS)
    phis = [f"%a{n} = phi {vector} [ %m, %head ], [ %b{n}, %again ]" for n in names]
    body = [f"%b{n} = fmul {vector} %a{n}, %m" for n in names]
    after = []
    for n in names:
        after += [f"%q{n} = getelementptr {vector}, ptr %p, i64 {n}"]
        after += [f"store {vector} %b{n}, ptr %q{n}, align 4"]
    return [f"%m = load {vector}, ptr %p, align 4"], phis, body, after


def _sweep(name: str, lanes: int, body: list[str], accumulate: bool = False) -> str:
    """``body`` for every ``size`` stretches of memory, which start at ``%q``, repeated."""
    vector = f"<{lanes} x float>"
    kept = range(_STREAMS) if accumulate else range(0)
    outer = [f"%o{n} = phi {vector} [ zeroinitializer, %head ], [ %b{n}, %next ]" for n in kept]
    inner = [f"%a{n} = phi {vector} [ %o{n}, %again ], [ %b{n}, %in ]" for n in kept]
    after = []
    for n in kept:
        after += [f"%s{n} = getelementptr {vector}, ptr %p, i64 {n}"]
        after += [f"store {vector} %b{n}, ptr %s{n}, align 4"]
    lines = [
        f"define void @{name}(ptr %p, i64 %size, i64 %times) {{",
        "head:",
        "br label %again",
        "again:",
        "%r = phi i64 [ 0, %head ], [ %r.next, %next ]",
        *outer,
        "br label %in",
        "in:",
        "%i = phi i64 [ 0, %again ], [ %i.next, %in ]",
        *inner,
        f"%at = mul i64 %i, {_STREAMS * lanes * 4}",
        "%q = getelementptr i8, ptr %p, i64 %at",
        *body,
        "%i.next = add i64 %i, 1",
        "%more = icmp slt i64 %i.next, %size",
        "br i1 %more, label %in, label %next",
        "next:",
        "%r.next = add i64 %r, 1",
        "%repeat = icmp slt i64 %r.next, %times",
        "br i1 %repeat, label %again, label %end",
        "end:",
        *after,
        "ret void",
        "}",
    ]
    return "\n".join(lines)


def _pointers(vector: str) -> list[str]:
    return [f"%p{n} = getelementptr {vector}, ptr %q, i64 {n}" for n in range(_STREAMS)]


def _read(vector: str) -> list[str]:
    body = _pointers(vector)
    for n in range(_STREAMS):
        body += [f"%v{n} = load {vector}, ptr %p{n}, align 4"]
        body += [f"%b{n} = fadd {vector} %a{n}, %v{n}"]
    return body


def _scale(vector: str) -> list[str]:
    body = _pointers(vector)
    for n in range(_STREAMS):
        body += [f"%v{n} = load {vector}, ptr %p{n}, align 4"]
        body += [f"%b{n} = fadd {vector} %v{n}, %v{n}"]
        body += [f"store {vector} %b{n}, ptr %p{n}, align 4"]
    return body


def _stream(vector: str) -> list[str]:
    body = _pointers(vector)
    for n in range(_STREAMS):
        body += [f"store {vector} zeroinitializer, ptr %p{n}, align 16, !nontemporal !0"]
    return body


#: Lines in the order of a list of their numbers, which lies behind them.
_SCATTER = """\
define void @scatter(ptr %p, i64 %size, i64 %times) {
head:
  %bytes = mul i64 %size, 64
  %list = getelementptr i8, ptr %p, i64 %bytes
  br label %again
again:
  %r = phi i64 [ 0, %head ], [ %r.next, %next ]
  %o = phi i32 [ 0, %head ], [ %b, %next ]
  br label %in
in:
  %i = phi i64 [ 0, %again ], [ %i.next, %in ]
  %a = phi i32 [ %o, %again ], [ %b, %in ]
  %e = getelementptr i32, ptr %list, i64 %i
  %n = load i32, ptr %e
  %w = zext i32 %n to i64
  %at = mul i64 %w, 64
  %q = getelementptr i8, ptr %p, i64 %at
  %v = load i32, ptr %q
  %b = add i32 %a, %v
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %size
  br i1 %more, label %in, label %next
next:
  %r.next = add i64 %r, 1
  %repeat = icmp slt i64 %r.next, %times
  br i1 %repeat, label %again, label %end
end:
  store i32 %b, ptr %p
  ret void
}"""

#: From line to line.
_CHASE = """\
define void @chase(ptr %p, i64 %size, i64 %times) {
head:
  br label %again
again:
  %r = phi i64 [ 0, %head ], [ %r.next, %next ]
  br label %in
in:
  %i = phi i64 [ 0, %again ], [ %i.next, %in ]
  %q = phi ptr [ %p, %again ], [ %there, %in ]
  %there = load ptr, ptr %q
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %size
  br i1 %more, label %in, label %next
next:
  %r.next = add i64 %r, 1
  %repeat = icmp slt i64 %r.next, %times
  br i1 %repeat, label %again, label %end
end:
  %out = getelementptr ptr, ptr %p, i64 1
  store ptr %there, ptr %out
  ret void
}"""
