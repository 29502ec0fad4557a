"""A two-dimensional fluid on a periodic grid: Stam's stable fluids (SIGGRAPH 1999).

Each step carries everything along the velocity (semi-Lagrangian, bilinear) and then removes the
divergence (pressure projection, by sweeps of Jacobi's method). The dye is carried as a *flow map*,
the displacement from each point to where its fluid started: unlike colours it is smooth, so that
carrying it for hundreds of steps does not blur the picture.

The physics is written once, for Weft and for NumPy (the argument ``xp``); only the loops differ.
In Weft they are part of the program and are compiled with it.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

import weft
import weft.numpy as wnp
from weft import lax
from weft.demo.marbling import picture
from weft.demo.png import write_png
from weft.demo.stage import Stage, compiled, speed, timed

SIZE = 512  # cells along each side
TIME_STEP = 1.0
SWEEPS = 20  # of Jacobi's method in each step
CHUNK = 10  # steps in one call
VORTICES = 40
SPEED = 2.0  # cells per unit of time, roughly
STEPS = 300
NUMPY_STEPS = 30  # enough to time them and to compare the results


class State(NamedTuple):
    """Fields of shape (SIZE, SIZE): velocity, displacement to the origin, pressure."""

    u: Any  # along columns
    v: Any  # along rows
    map_x: Any
    map_y: Any
    pressure: Any


def initial_state(seed: int = 0, size: int = SIZE) -> State:
    """Return fluid at its origin, stirred by vortices of random place, width and direction."""
    rng = np.random.default_rng(seed)
    rows, columns = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    stream = np.zeros((size, size), np.float32)
    for _ in range(VORTICES):
        (y, x), width = rng.uniform(0, size, 2), rng.uniform(0.03, 0.09) * size
        dy, dx = ((d + size / 2) % size - size / 2 for d in (rows - y, columns - x))
        strength = rng.choice([-1, 1]) * rng.uniform(0.5, 1) * width
        stream += (strength * np.exp(-(dx * dx + dy * dy) / (2 * width * width))).astype(np.float32)
    zeros = np.zeros_like(stream)
    u, v = SPEED * along_rows(np, stream), -SPEED * along_columns(np, stream)
    return State(u, v, zeros, zeros, zeros)


def along_rows(xp: ModuleType, f: Any) -> Any:
    """Return the central difference of `f` from row to row."""
    return 0.5 * (xp.roll(f, -1, 0) - xp.roll(f, 1, 0))


def along_columns(xp: ModuleType, f: Any) -> Any:
    """Return the central difference of `f` from column to column."""
    return 0.5 * (xp.roll(f, -1, 1) - xp.roll(f, 1, 1))


def carried(xp: ModuleType, u: Any, v: Any, fields: Sequence[Any]) -> list[Any]:
    """Return what was in each field, one time step ago, where the fluid of each cell came from."""
    size = len(u)
    cells = xp.arange(size, dtype=xp.float32)
    y = cells[:, None] - TIME_STEP * v
    x = cells[None, :] - TIME_STEP * u
    top, left = xp.floor(y), xp.floor(x)
    down, right = y - top, x - left
    y0, x0 = top.astype(xp.int32) % size, left.astype(xp.int32) % size
    y1, x1 = (y0 + 1) % size, (x0 + 1) % size

    def sample(f: Any) -> Any:
        upper = (1 - right) * f[y0, x0] + right * f[y0, x1]
        lower = (1 - right) * f[y1, x0] + right * f[y1, x1]
        return (1 - down) * upper + down * lower

    return [sample(f) for f in fields]


def carry(xp: ModuleType, state: State) -> State:
    """Give each cell what was, one time step ago, where its fluid came from."""
    u, v, map_x, map_y = carried(xp, state.u, state.v, state[:4])
    return State(u, v, map_x - TIME_STEP * state.u, map_y - TIME_STEP * state.v, state.pressure)


def divergence(xp: ModuleType, state: State) -> Any:
    """Return how much fluid leaves each cell."""
    return along_columns(xp, state.u) + along_rows(xp, state.v)


def sweep(xp: ModuleType, pressure: Any, outflow: Any) -> Any:
    """One sweep of Jacobi's method for the pressure that balances `outflow`."""
    vertical = xp.roll(pressure, 1, 0) + xp.roll(pressure, -1, 0)
    horizontal = xp.roll(pressure, 1, 1) + xp.roll(pressure, -1, 1)
    return 0.25 * (vertical + horizontal - outflow)


def accelerate(xp: ModuleType, state: State, pressure: Any) -> State:
    """Push the fluid down the slope of `pressure`."""
    u = state.u - along_columns(xp, pressure)
    v = state.v - along_rows(xp, pressure)
    return state._replace(u=u, v=v, pressure=pressure)


# In Weft


def step(state: State) -> State:
    """One time step."""
    state = carry(wnp, state)
    outflow = divergence(wnp, state)
    pressure = lax.fori_loop(0, SWEEPS, lambda _, p: sweep(wnp, p, outflow), state.pressure)
    return accelerate(wnp, state, pressure)


@weft.jit
def simulate(state: State) -> State:
    """`CHUNK` time steps, both loops compiled."""
    return lax.fori_loop(0, CHUNK, lambda _, state: step(state), state)


# In NumPy


def numpy_simulate(state: State) -> State:
    """`CHUNK` time steps, both loops in Python."""
    for _ in range(CHUNK):
        state = carry(np, state)
        outflow, pressure = divergence(np, state), state.pressure
        for _ in range(SWEEPS):
            pressure = sweep(np, pressure, outflow)
        state = accelerate(np, state, pressure)
    return state


# Beside each other


def show(stage: Stage) -> None:
    """Simulate the fluid, compare its first steps with NumPy's, and paint it."""
    stage.say(f"[bold]Stable fluids[/bold]: {SIZE} × {SIZE} cells, {SWEEPS} pressure sweeps a step")
    start = initial_state()
    _, first_call = timed(simulate, start)

    state, checkpoint, times = start, start, []
    with stage.progress("Weft", STEPS) as advance:
        for done in range(CHUNK, STEPS + 1, CHUNK):
            state, duration = timed(simulate, state)
            times.append(duration / CHUNK)
            checkpoint = state if done == NUMPY_STEPS else checkpoint
            advance(CHUNK, "")

    numpy_state, numpy_times = start, []
    with stage.progress("NumPy", NUMPY_STEPS) as advance:
        for _ in range(0, NUMPY_STEPS, CHUNK):
            numpy_state, duration = timed(numpy_simulate, numpy_state)
            numpy_times.append(duration / CHUNK)
            advance(CHUNK, "")

    apart = max(
        float(np.abs(np.asarray(ours) - theirs).max())
        for ours, theirs in zip(checkpoint, numpy_state, strict=True)
    )
    per_step, numpy_per_step = statistics.median(times), statistics.median(numpy_times)
    table = stage.table("", "steps", "time per step", "")
    table.add_row("Weft", str(STEPS), *speed(per_step, numpy_per_step))
    table.add_row("NumPy", str(NUMPY_STEPS), *speed(numpy_per_step, numpy_per_step))
    stage.console.print(table)
    stats = simulate.trace(start).executable.stats
    stage.say(compiled("simulate", stats, first_call - per_step * CHUNK))
    same = "agree to the last bit" if apart == 0 else f"differ by at most {apart:.1g}"
    stage.say(f"After {NUMPY_STEPS} steps the two {same}.")
    write_png(stage.picture, picture(np.asarray(state.map_x), np.asarray(state.map_y)))
    stage.show_picture("The fluid's picture")
