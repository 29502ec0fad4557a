#!/usr/bin/env python3
"""How well prices rank schedules: predicted against measured, per kernel family.

    python bench/cost_model.py [--threads N] [--json FILE] [--markdown FILE] [FAMILY ...]

Every problem goes through the real pipeline; only the strategy is replaced, by each of up to 40
schedules in turn, good and bad (`schedules.enumerated`).  For each family, over its sizes, the
table shows Spearman's rank correlation of price and time (mean; "strict" ranks all differences, the
other column takes those below the clock's "noise" for ties), and how near to the best measured time
one gets (geometric mean) with the schedule of the lowest price ("first"), the best of the eight
lowest ("of eight"), the one that Weft takes by default ("chosen"), and a middling one ("median").
The eight cheapest, the eight fastest and the chosen one are timed again, in turns.  A second table
ranks the same schedules by parts of the price alone.  Wants an idle machine; the figures written
with ``--json`` say which part of the rounds other processes disturbed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

import record
import weft
import weft.compile as pipeline
import weft.numpy as wnp
from schedules import Schedule, enumerated
from weft.executable import Executable, Stats
from weft.kernels import strategy
from weft.kernels.assemble import assemble
from weft.kernels.build import build_kernel
from weft.kernels.cones import make_cones
from weft.kernels.fusion import choose
from weft.kernels.ir import Kernel
from weft.kernels.machine import Machine
from weft.kernels.memory_plan import plan_memory
from weft.kernels.overwrite import overwrite_static
from weft.kernels.price.price import Price, price
from weft.kernels.print import print_kernel
from weft.kernels.schedule.errors import ScheduleError
from weft.machines import host_machine
from weft.runtime.cache import compile_cached
from weft.runtime.processors import target_cpu
from weft.terms.lower import lower_jaxpr

Shape = tuple[int, ...]

SCHEDULES = 40
#: So many are tried: several may be the same in the end.
TRIED = 1000
#: Schedules this many times slower than the best so far are not timed again.
HOPELESS = 6.0
#: Seconds of timing for each schedule, about.
PATIENCE = 0.03
#: Rounds are judged together that take so many seconds: clocks of processes are coarse.
WATCHED = 0.2
#: Processors that other processes may take of a round.
QUIET = 0.15


def softmax(x: Any) -> Any:
    e = wnp.exp(x - wnp.max(x, axis=1, keepdims=True))
    return e / wnp.sum(e, axis=1, keepdims=True)


def normalised(x: Any) -> Any:
    centred = x - x.mean(1, keepdims=True)
    return centred / wnp.sqrt((centred * centred).mean(1, keepdims=True) + 1e-5)


def blurred(x: Any) -> Any:
    return (x[1:-1, 1:-1] * 4 + x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:]) * 0.125


def activation(x: Any) -> Any:
    return 0.5 * x * (1 + wnp.tanh(0.8 * (x + 0.045 * x**3)))


def distances(x: Any, y: Any) -> Any:
    return ((x[:, None, :] - y[None, :, :]) ** 2).sum(-1).min(1)


#: Family -> (function, shapes of its arguments for several sizes).
FAMILIES: dict[str, tuple[Callable[..., Any], list[tuple[Shape, ...]]]] = {
    "matrix product": (
        lambda a, b: a @ b,
        [((256, 256), (256, 256)), ((512, 512), (512, 512)), ((768, 384), (384, 1024))],
    ),
    "product, transposed": (
        lambda a, b: a @ b.T,
        [((256, 256), (256, 256)), ((512, 384), (640, 384))],
    ),
    "batched product": (
        lambda a, b: wnp.einsum("bij,bjk->bik", a, b),
        [((16, 64, 64), (16, 64, 64)), ((32, 128, 64), (32, 64, 128))],
    ),
    "layer": (
        lambda x, w, b: wnp.maximum(x @ w + b, 0),
        [((128, 512), (512, 512), (512,)), ((512, 256), (256, 512), (512,))],
    ),
    "matrix times vector": (lambda a, x: a @ x, [((1024, 1024), (1024,)), ((4096, 2048), (2048,))]),
    "vector times matrix": (lambda x, a: x @ a, [((1024,), (1024, 1024)), ((2048,), (2048, 4096))]),
    "softmax of rows": (softmax, [((1024, 512),), ((256, 4096),), ((2048, 2048),)]),
    "layer norm": (normalised, [((1024, 512),), ((256, 4096),), ((2048, 1024),)]),
    "transposition": (lambda x: x.T * 2, [((512, 512),), ((1000, 1500),), ((2048, 2048),)]),
    "sums of columns": (
        lambda x: wnp.sum(x, axis=0),
        [((512, 512),), ((2048, 2048),), ((8192, 64),)],
    ),
    "sums of rows": (lambda x: x.sum(1), [((512, 512),), ((2048, 2048),), ((8192, 64),)]),
    "maximum of the middle": (lambda x: x.max(1), [((64, 64, 64),), ((128, 32, 512),)]),
    "activation": (activation, [((1 << 14,),), ((1 << 20,),)]),
    "chain": (
        lambda x, y: (x * y + x) * 0.5 - y,
        [((1 << 12,), (1 << 12,)), ((1 << 18,), (1 << 18,)), ((1 << 22,), (1 << 22,))],
    ),
    "outer sum": (lambda x, y: wnp.exp(x[:, None] - y), [((512,), (512,)), ((2048,), (1024,))]),
    "stencil": (blurred, [((256, 256),), ((1024, 1024),), ((2048, 2048),)]),
    "nearest point": (distances, [((512, 3), (512, 3)), ((1024, 16), (1024, 16))]),
    "gather of rows": (
        lambda x, y: x[(wnp.abs(y) * 1000).astype(wnp.int32) % 512],
        [((512, 64), (4096,)), ((512, 256), (8192,))],
    ),
}


class Subject:
    """A problem: its program under any schedule, and arguments."""

    def __init__(self, function: Callable[..., Any], shapes: tuple[Shape, ...], machine: Machine):
        rng = np.random.default_rng(0)
        self.machine, self.cpu = machine, target_cpu()
        self.arguments = [wnp.asarray(rng.standard_normal(s).astype(np.float32)) for s in shapes]
        self.closed = weft.make_jaxpr(function)(*self.arguments)
        self.naive: list[Kernel] = []
        self.build(lambda kernel, machine: self.naive.append(kernel) or kernel)

    @property
    def main(self) -> Kernel:
        """The kernel that takes longest unscheduled: the one whose schedules are compared."""
        return max(self.naive, key=lambda k: price(k, self.machine).seconds)

    def build(self, schedule: Schedule) -> tuple[Any, list[Kernel]]:
        """The program with ``schedule`` as its strategy, and its kernels."""
        kernels: list[Kernel] = []

        def plan(region: Any) -> list[Any]:
            planned = []
            choice = choose(overwrite_static(region), self.machine)
            for grouped in make_cones(choice, region.outputs):
                kernel, values = build_kernel(grouped.cone)
                kernel = schedule(kernel, self.machine)
                kernels.append(kernel)
                planned.append((kernel, values, grouped.scatter))
            return planned

        program = assemble(lower_jaxpr(self.closed), plan)
        program.threads = self.machine.threads
        return plan_memory(program), kernels

    def under(self, chosen: Schedule) -> tuple[Any, list[Kernel]]:
        """The program with one schedule of its main kernel."""
        name = self.main.name

        def schedule(kernel: Kernel, machine: Machine) -> Kernel:
            return (chosen if kernel.name == name else strategy.schedule)(kernel, machine)

        return self.build(schedule)

    def compile(self, program: Any) -> Callable[[], Any]:
        """A call of the program on the arguments."""
        text = pipeline.emit_llvm(program, self.cpu)
        objects = [compile_cached(text, self.cpu)]
        native = pipeline.native_record(program, objects).link()
        run = Executable(self.closed, native, Stats(), program=program)
        return lambda: run(*self.arguments)


#: What a schedule is ranked by: the price, and parts of it.
PARTS: dict[str, Callable[[Price, Machine], float]] = {
    "everything": lambda p, m: p.seconds,
    "without overheads": lambda p, m: sum(b.seconds for b in p.blocks),
    "ports and latency": lambda p, m: sum(b.compute for b in p.blocks),
    "traffic of all levels": lambda p, m: sum(b.memory for b in p.blocks),
    "bytes of memory": lambda p, m: p.bytes.get(m.levels[-1].name, 0.0),
    "operations": lambda p, m: float(p.flops),
}


@dataclass
class Timing:
    """Times of several calls in seconds, and by how much (relatively) the clock leaves them open.

    ``noise`` is the median, over the calls, of how far the least times of the even and of the odd
    rounds lie apart; ``disturbed`` the part of the rounds that other processes disturbed.
    """

    best: list[float]
    noise: float = 0.0
    disturbed: float = 0.0


def measure(calls: list[Callable[[], Any]], patience: float = PATIENCE) -> Timing:
    """The least time of each call: once each, then those with hope in random order, in rounds.

    Rounds in which other processes were busy are timed again, as long as there are fewer of them
    than of the others.
    """
    first = [_seconds(call, 1) for call in calls]
    order = [n for n in range(len(calls)) if first[n] < HOPELESS * min(first)]
    shuffle = random.Random(0)
    rounds = max(6, min(300, round(patience / statistics.median(first[n] for n in order))))
    each = max(1, round(WATCHED / sum(3 * first[n] for n in order)))
    halves = [[inf, inf] for _ in calls]
    done = disturbed = 0
    while done < rounds:
        found: list[tuple[int, int, float]] = []
        before, start = busy_seconds(), time.perf_counter()
        for turn in range(each):
            shuffle.shuffle(order)
            found += [(n, (done + turn) % 2, _seconds(calls[n], 2)) for n in order]
        others = (busy_seconds() - before) / (time.perf_counter() - start)
        if others > QUIET and disturbed < rounds:
            disturbed += each
            continue
        done += each
        for n, half, seconds in found:
            halves[n][half] = min(halves[n][half], seconds)
    apart = [abs(halves[n][0] - halves[n][1]) / min(halves[n]) for n in order]
    best = [min(b) if min(b) < inf else a for a, b in zip(first, halves, strict=True)]
    return Timing(best, statistics.median(apart), disturbed / (done + disturbed))


def busy_seconds() -> float:
    """Seconds that processors have spent on other processes since the system started (Linux)."""
    try:
        line = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _, _, irq, soft, steal = (int(x) for x in line[:8])
    own = os.times()
    ticks = user + nice + system + irq + soft + steal
    return ticks / os.sysconf("SC_CLK_TCK") - own.user - own.system


def _seconds(call: Callable[[], Any], times: int) -> float:
    best = inf
    for _ in range(times + 1):  # the first one warms up
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def spearman(a: list[float], b: list[float], noise: float = 0.0) -> float:
    """Rank correlation; 0 where all of one side are equal.

    Values that differ by less than the part ``noise`` tie: the rank of each is the number of those
    that are clearly smaller, and half of those that tie with it.
    """

    def ranks(x: list[float]) -> np.ndarray:
        values = np.array([float(f"{v:.6g}") for v in x])
        smaller = values[None, :] * (1 + noise) < values[:, None]
        return smaller.sum(1) - smaller.sum(0)

    first, second = ranks(a), ranks(b)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def compare(function: Callable[..., Any], shapes: tuple[Shape, ...], machine: Machine) -> dict:
    """Price and time the schedules of one problem; the figures of its row."""
    subject = Subject(function, shapes, machine)
    prices: list[list[Price]] = []
    calls: list[Callable[[], Any]] = []
    names: list[str] = []
    seen: set[str] = set()
    for name, schedule in islice(enumerated(subject.main, machine), TRIED):
        if len(calls) == SCHEDULES:
            break
        try:
            program, kernels = subject.under(schedule)
        except ScheduleError:
            continue
        text = "\n".join(map(print_kernel, kernels))
        if text not in seen:
            seen.add(text)
            names.append(name)
            prices.append([price(k, machine) for k in kernels])
            calls.append(subject.compile(program))
    program, _ = subject.build(strategy.schedule)
    calls.append(subject.compile(program))
    timing = measure(calls)
    by = {
        part: [sum(worth(p, machine) for p in several) for several in prices]
        for part, worth in PARTS.items()
    }
    cheapest = sorted(range(len(prices)), key=lambda n: by["everything"][n])[:8]
    fastest = sorted(range(len(prices)), key=lambda n: timing.best[n])[:8]
    again = [*dict.fromkeys((*cheapest, *fastest)), len(prices)]
    for n, seconds in zip(again, measure([calls[n] for n in again]).best, strict=True):
        timing.best[n] = min(timing.best[n], seconds)
    *times, chosen = timing.best
    least = min(timing.best)
    return {
        "schedules": len(times),
        "seconds": least,
        "noise": timing.noise,
        "disturbed": timing.disturbed,
        "spearman": {part: spearman(values, times, timing.noise) for part, values in by.items()},
        "strict": spearman(by["everything"], times),
        "first": {part: least / times[values.index(min(values))] for part, values in by.items()},
        "of eight": least / min(times[n] for n in cheapest),
        "chosen": least / chosen,
        "median": least / statistics.median(times),
        "price / time": min(by["everything"]) / least,
        "names": names,
        "times": times,
        "prices": by["everything"],
    }


def summary(rows: list[dict]) -> dict:
    """The figures of several problems as one: means, geometric for ratios."""

    def ratio(values: list[float]) -> float:
        return statistics.geometric_mean(values)

    return {
        "schedules": sum(r["schedules"] for r in rows),
        "spearman": {p: statistics.mean(r["spearman"][p] for r in rows) for p in PARTS},
        "first": {p: ratio([r["first"][p] for r in rows]) for p in PARTS},
        **{
            key: ratio([r[key] for r in rows])
            for key in ("of eight", "chosen", "median", "price / time")
        },
        "strict": statistics.mean(r["strict"] for r in rows),
        "noise": statistics.median(r["noise"] for r in rows),
    }


def family_table(found: dict[str, dict]) -> list[str]:
    """A row for each family, and one for the mean of all."""
    lines = [
        "| family | schedules | noise | strict | Spearman | first | of eight | chosen | median"
        " | price / time |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in found.items():
        cells = [
            name,
            str(row["schedules"]),
            f"{100 * row['noise']:.1f}%",
            f"{row['strict']:.2f}",
            f"{row['spearman']['everything']:.2f}",
            *(f"{100 * x:.0f}%" for x in (row["first"]["everything"], row["of eight"])),
            *(f"{100 * row[key]:.0f}%" for key in ("chosen", "median")),
            f"{row['price / time']:.2f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def part_table(whole: dict) -> list[str]:
    """What remains of the ranking with parts of the price alone."""
    lines = ["| ranked by | Spearman | first |", "| --- | --- | --- |"]
    for part in PARTS:
        share = f"{100 * whole['first'][part]:.0f}%"
        lines.append(f"| {part} | {whole['spearman'][part]:.2f} | {share} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="families, or parts of names")
    parser.add_argument("--threads", type=int, help="threads that kernels are made for")
    parser.add_argument("--json", metavar="FILE", help="write all figures to this file")
    parser.add_argument("--markdown", metavar="FILE", help="put the tables into this file")
    options = parser.parse_args()
    if options.threads:
        weft.config.threads = options.threads
    machine = host_machine(weft.config.threads)
    found: dict[str, dict] = {}
    problems: list[dict] = []
    for name, (function, sizes) in FAMILIES.items():
        if options.families and not any(x in name for x in options.families):
            continue
        rows = [compare(function, shapes, machine) for shapes in sizes]
        problems += [{"family": name, **row} for row in rows]
        found[name] = summary(rows)
        print(family_table({name: found[name]})[-1], flush=True)
    found["all families"] = summary(list(found.values()))
    lines = [*family_table(found), "", *part_table(found["all families"])]
    print("\n" + "\n".join(lines))
    if options.markdown:
        where = (
            f"{record.processor()}, {machine.threads} threads, {datetime.date.today():%d %B %Y}."
        )
        record.write(options.markdown, [where, "", *lines, ""])
    if options.json:
        Path(options.json).write_text(json.dumps(problems, indent=1) + "\n")


if __name__ == "__main__":
    main()
