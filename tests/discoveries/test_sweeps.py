"""17. Repeated stencils: several sweeps in one pass over memory, where that is cheaper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from weft import lax
from weft.kernels.price.price import price
from weft.kernels.program import For, Launch, Program, walk_steps
from weft.machines import host_machine
from weft.planning import Record, plan_program


def jacobi(u: Any) -> Any:
    return u.at[1:-1, 1:-1].set(0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]))


def nine_points(u: Any) -> Any:
    straight = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
    across = u[:-2, :-2] + u[:-2, 2:] + u[2:, :-2] + u[2:, 2:]
    return u.at[1:-1, 1:-1].add(0.1 * (straight + across / 4 - 5 * u[1:-1, 1:-1]))


def wave(state: Any) -> Any:
    u, before = state
    around = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * u[1:-1, 1:-1]
    inside = 2 * u[1:-1, 1:-1] - before[1:-1, 1:-1] + 0.1 * around
    return wnp.zeros_like(u).at[1:-1, 1:-1].set(inside), u


def blur(u: Any) -> Any:
    p = wnp.pad(u, 1, mode="edge")
    rows = (p[:-2] + 2 * p[1:-1] + p[2:]) / 4
    return (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4


def torus(u: Any) -> Any:
    return 0.25 * (wnp.roll(u, 1, 0) + wnp.roll(u, -1, 0) + wnp.roll(u, 1, 1) + wnp.roll(u, -1, 1))


def repeated(step: Callable[[Any], Any], start: Any, length: int, form: str) -> Any:
    if form == "unrolled":
        for _ in range(length):
            start = step(start)
        return start
    if form == "scan":
        return lax.scan(lambda state, _: (step(state), None), start, None, length=length)[0]
    return lax.fori_loop(0, length, lambda _, state: step(state), start)


def traffic(program: Program, record: Record) -> float:
    """Bytes between memory and the last cache of all iterations."""
    machine = host_machine(weft.config.threads)
    prices = {k: price(k, machine, warm=False) for r in record.regions for k, _, _ in r.kernels}
    total = 0.0
    for step in program.steps:
        times = step.length if isinstance(step, For) else 1
        for launch in walk_steps([step]):
            if isinstance(launch, Launch):
                total += times * prices[launch.kernel].bytes[machine.levels[-1].name]
    return total


@pytest.mark.parametrize("form", ["fori_loop", "scan", "unrolled"])
@pytest.mark.parametrize(
    ("step", "arrays", "shape", "dtype"),
    [
        (jacobi, 1, (4096, 4096), np.float32),
        (jacobi, 1, (4096, 4096), np.float64),
        (nine_points, 1, (3000, 5000), np.float32),
        (wave, 2, (4096, 4096), np.float32),
        (blur, 1, (4096, 4096), np.float32),
        (torus, 1, (4096, 4096), np.float32),
    ],
)
def test_sweeps_share_a_pass(
    step: Callable[[Any], Any], arrays: int, shape: tuple[int, ...], dtype: Any, form: str
) -> None:
    """Each pass does two sweeps at least: half the traffic, and nothing in between in memory."""
    length, one = 20, np.empty(shape, dtype)
    start = one if arrays == 1 else (one,) * arrays
    record = Record()
    closed = weft.make_jaxpr(lambda s: repeated(step, s, length, form))(start)
    program = plan_program(closed, record=record)
    each = 2 * arrays * one.nbytes
    assert traffic(program, record) < length / 2 * each
    assert program.arena_bytes < 3.5 * arrays * one.nbytes  # two states, windows of each thread


def test_small_grids_stay_in_the_cache() -> None:
    """Nothing is gained where the arrays never leave a core's own cache."""
    u = np.empty((200, 200), np.float32)
    program = plan_program(weft.make_jaxpr(lambda u: repeated(jacobi, u, 20, "fori_loop"))(u))
    assert any(isinstance(s, For) for s in program.steps)
