"""How well prices rank schedules: candidates of a few problems, priced, compiled, run and compared.

    python tools/price_ranking.py [--threads=N] [problem …]

Every problem goes through the real pipeline; only the strategy is replaced, by each candidate
schedule in turn.  For each problem the table shows Spearman's rank correlation of price and time,
and the regret (time lost against the best candidate) of the cheapest, of the best among the three
cheapest, of the default schedule, of the one that `weft.kernels.candidates` chooses, and of the
median candidate.  Wants an idle machine: two busy neighbours are enough to shuffle the ranks.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

import weft
import weft.compile as pipeline
import weft.numpy as wnp
from weft.kernels import strategy
from weft.kernels.assemble import assemble
from weft.kernels.build import build_kernel
from weft.kernels.candidates import Choice
from weft.kernels.cones import make_cones
from weft.kernels.fusion import choose
from weft.kernels.ir import Kernel
from weft.kernels.machine import Machine
from weft.kernels.memory_plan import plan_memory
from weft.kernels.overwrite import overwrite_static
from weft.kernels.price import price
from weft.kernels.schedule.errors import ScheduleError
from weft.terms.lower import lower_jaxpr

Schedule = Callable[[Kernel, Machine], Kernel]


def softmax(x: Any) -> Any:
    e = wnp.exp(x - wnp.max(x, axis=1, keepdims=True))
    return e / wnp.sum(e, axis=1, keepdims=True)


PROBLEMS: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "matmul 512": (lambda a, b: a @ b, ((512, 512), (512, 512))),
    "matmul 768x1024x384": (lambda a, b: a @ b, ((768, 384), (384, 1024))),
    "matvec 2048": (lambda a, x: a @ x, ((2048, 2048), (2048,))),
    "softmax 1024x512": (softmax, ((1024, 512),)),
    "softmax 256x4096": (softmax, ((256, 4096),)),
    "transpose 2048": (lambda x: x.T * 2, ((2048, 2048),)),
    "transpose 1000x1500": (lambda x: x.T * 2, ((1000, 1500),)),
    "column sums 2048": (lambda x: wnp.sum(x, axis=0), ((2048, 2048),)),
    "row sums 2048": (lambda x: wnp.sum(x, axis=1), ((2048, 2048),)),
    "gelu 1M": (lambda x: 0.5 * x * (1 + wnp.tanh(0.8 * (x + 0.045 * x**3))), ((1 << 20,),)),
    "chain 4M": (lambda x, y: (x * y + x) * 0.5 - y, ((1 << 22,), (1 << 22,))),
    "small chain 4K": (lambda x, y: (x * y + x) * 0.5 - y, ((1 << 12,), (1 << 12,))),
}


def candidates(kernel: Kernel, machine: Machine) -> Iterator[Choice]:
    """The default and alternatives, good and bad."""
    yield Choice()
    plan = strategy.plan_contraction(kernel, machine)
    if plan is None:
        for parallel in (True, False):
            for axis in (0, 1):
                for vectors in (1, 2, 4, 8):
                    yield Choice(vectors, axis, parallel)
        return
    params, lanes = plan.params, machine.vector_bytes // 4
    for pack in ((True, True), (False, True), (True, False), (False, False)):
        packed = replace(params, pack_left=pack[0], pack_right=pack[1])
        for rows, vectors in ((8, 2), (12, 2), (4, 4), (8, 1), (2, 2), (14, 4)):
            yield Choice(contraction=replace(packed, rows=rows, columns=vectors * lanes))
    for block in (64, 128, 256):
        yield Choice(contraction=replace(params, block=block))
    yield Choice(contraction=replace(params, parallel="none"))


class Subject:
    """A problem: its program under any schedule, and arguments."""

    def __init__(self, name: str, machine: Machine) -> None:
        function, shapes = PROBLEMS[name]
        rng = np.random.default_rng(0)
        self.machine = machine
        self.arguments = [
            weft.numpy.asarray(rng.standard_normal(s).astype(np.float32)) for s in shapes
        ]
        self.closed = weft.make_jaxpr(function)(*self.arguments)
        self.naive: list[Kernel] = []
        self.build(lambda kernel, machine: self.naive.append(kernel) or kernel)

    def build(self, schedule: Schedule) -> tuple[Any, float]:
        """The program with ``schedule`` as its strategy, and the price of its kernels."""
        cost = 0.0

        def plan(region: Any) -> list[Any]:
            nonlocal cost
            planned = []
            choice = choose(overwrite_static(region), self.machine)
            for cone, scatter in make_cones(choice, region.outputs):
                kernel, values = build_kernel(cone)
                kernel = schedule(kernel, self.machine)
                cost += price(kernel, self.machine).seconds
                planned.append((kernel, values, scatter))
            return planned

        return plan_memory(assemble(lower_jaxpr(self.closed), plan)), cost

    def compile(self, program: Any) -> Callable[[], Any]:
        """A call of the program on the arguments."""
        native = pipeline._native(program, pipeline._emit(program))
        run = pipeline.Executable(self.closed, program, native, pipeline.Stats())
        return lambda: run(*self.arguments)


def measure(calls: list[Callable[[], Any]], rounds: int = 15) -> list[float]:
    """The least time of each call, all of them in random order every round."""
    best = [float("inf")] * len(calls)
    order = list(range(len(calls)))
    shuffle = random.Random(0)
    for _ in range(rounds):
        shuffle.shuffle(order)
        for n in order:
            for _ in range(3):
                start = time.perf_counter()
                calls[n]()
                best[n] = min(best[n], time.perf_counter() - start)
    return best


def spearman(a: list[float], b: list[float]) -> float:
    """Rank correlation (ties get the mean of their ranks)."""

    def ranks(x: list[float]) -> np.ndarray:
        _, inverse, count = np.unique(np.round(x, 10), return_inverse=True, return_counts=True)
        return (np.cumsum(count) - (count - 1) / 2)[inverse]

    if len(set(a)) < 2:
        return float("nan")
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def rank(name: str, machine: Machine) -> dict[str, float]:
    """Price and time the candidates of one problem; the figures of its row."""
    subject = Subject(name, machine)
    prices: list[float] = []
    calls: list[Callable[[], Any]] = []

    def chosen(choice: Choice) -> Schedule:
        return lambda kernel, machine: strategy.apply_choice(kernel, machine, choice)

    for choice in candidates(subject.naive[0], machine):
        try:
            program, cost = subject.build(chosen(choice))
        except ScheduleError:
            continue
        prices.append(cost)
        calls.append(subject.compile(program))
    program, _ = subject.build(strategy.schedule)
    seconds = measure([*calls, subject.compile(program)])
    times, picked = seconds[:-1], seconds[-1]
    least = min(times)
    order = sorted(range(len(times)), key=lambda n: prices[n])
    return {
        "n": len(times),
        "best µs": least * 1e6,
        "spearman": spearman(prices, times),
        "first": times[order[0]] / least - 1,
        "of three": min(times[n] for n in order[:3]) / least - 1,
        "default": times[0] / least - 1,
        "chosen": picked / least - 1,
        "median": sorted(times)[len(times) // 2] / least - 1,
        "price/time": prices[order[0]] / times[order[0]],
    }


def main(arguments: list[str]) -> None:
    names = [x for x in arguments if not x.startswith("--threads=")]
    for option in arguments:
        if option not in names:
            weft.config.threads = int(option.removeprefix("--threads="))
    machine = pipeline.host_machine(weft.config.threads)
    rows = [(n, rank(n, machine)) for n in PROBLEMS if not names or any(x in n for x in names)]
    print(f"{'problem':22s}" + "".join(f"{k:>11s}" for k in rows[0][1]))
    for name, row in rows:
        cells = [
            f"{v:10.0%} "
            if k in ("first", "of three", "default", "chosen", "median")
            else f"{v:10.2f} "
            if k in ("spearman", "price/time")
            else f"{v:10.0f} "
            for k, v in row.items()
        ]
        print(f"{name:22s}" + "".join(cells))


if __name__ == "__main__":
    main(sys.argv[1:])
