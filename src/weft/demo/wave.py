"""Waves through two slits, in the words of Petalisp: arrays are functions on index spaces.

The wave equation by central differences (Courant, Friedrichs and Lewy, 1928). What lies in the
interior gets its next value from five shifted views of now and one of before; the rim keeps what it
has, by `lazy_overwrite`. A moving float plays the source, walls are where nothing moves, and a
beach along the rim swallows what arrives.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import weft
import weft.numpy as wnp
from weft import lax
from weft.demo.colours import TIDE, palette
from weft.demo.png import write_animation
from weft.demo.stage import Stage, compiled, median_seconds, timed
from weft.lazy import LazyArray, Space, lazy, lazy_overwrite, lazy_reshape

SHAPE = (400, 640)  # rows and columns
SPEED = 0.5  # cells per time step; below 1/√2, or it explodes
PERIOD = 44.0  # time steps between two crests of the source
BEACH = 40  # cells along the rim in which waves fade
WALL, SLIT, APART = 140, 22, 104  # column of the wall, width of the slits, distance between them
CHUNK = 11  # time steps in one call, and between two frames
SETTLING, FRAMES = 150, 4  # calls before the first frame; PERIOD / CHUNK of them make a loop


class State(NamedTuple):
    """The height of the water now and one time step before, and how many steps were made."""

    now: Any
    before: Any
    time: Any


class Basin(NamedTuple):
    """What does not move: 1 where water can move, how much of a wave survives, and the source."""

    open: Any
    keep: Any
    source: Any


def basin(rows: int, columns: int) -> Basin:
    """Return a basin with a wall that has two slits, and a line that moves on its left."""
    i, j = np.indices((rows, columns), np.float32)
    wall = (abs(j - WALL * columns / SHAPE[1]) < 3) & np.all(
        [abs(i - rows / 2 - side * APART / 2) > SLIT / 2 for side in (-1, 1)], axis=0
    )
    rim = np.minimum.reduce([i, j, rows - 1 - i, columns - 1 - j])
    depth = np.clip(1 - rim / BEACH, 0, 1)
    keep = 1 - 0.25 * depth**3
    source = np.exp(-((j - BEACH - 8) ** 2) / 8) * (depth < 0.6)
    parts = (np.float32(1) - wall, keep, source)
    return Basin(*(LazyArray(wnp.asarray(part.astype(np.float32))) for part in parts))


def at(u: Any, di: int, dj: int, space: Space) -> Any:
    """The elements at (i + di, j + dj) for the points (i, j) of a space."""
    return lazy_reshape(u, lambda i, j: (i - di, j - dj), space)


def step(state: State, basin: Basin) -> State:
    """One time step: u(t+1) = 2 u(t) − u(t−1) + c² Δu(t), and the source's push."""
    inner = state.now.space.interior()
    now, before, source, keep, open_ = (
        lazy_reshape(a, inner) for a in (state.now, state.before, *basin[::-1])
    )
    around = [at(state.now, *way, inner) for way in ((0, 1), (1, 0), (0, -1), (-1, 0))]
    push = 0.03 * wnp.sin(2 * np.pi / PERIOD * state.time)

    def moved(now: Any, before: Any, source: Any, keep: Any, open_: Any, *around: Any) -> Any:
        curvature = sum(around) - 4 * now
        ahead = now + keep * (now - before) + SPEED**2 * curvature + push * source
        return open_ * ahead

    ahead = lazy(moved, now, before, source, keep, open_, *around)
    return State(lazy_overwrite(state.now, ahead), state.now, state.time + 1)


@weft.jit
def simulate(state: State, basin: Basin) -> State:
    """`CHUNK` time steps, compiled with the loop."""
    return lax.fori_loop(0, CHUNK, lambda _, state: step(state, basin), state)


def still(rows: int, columns: int) -> State:
    """Water at rest."""
    flat = LazyArray(wnp.zeros((rows, columns)))
    return State(flat, flat, wnp.float32(0))


def show(stage: Stage) -> None:
    """Let the waves arrive everywhere, then film one period."""
    rows, columns = SHAPE
    stage.say(
        f"[bold]Two slits[/bold]: the wave equation on {rows} × {columns} points, in weft.lazy"
    )
    water, state = basin(*SHAPE), still(*SHAPE)
    _, first_call = timed(simulate, state, water)
    frames = []
    with stage.progress("Weft", (SETTLING + FRAMES) * CHUNK) as advance:
        for call in range(SETTLING + FRAMES):
            state = simulate(state, water)
            if call >= SETTLING:
                frames.append(np.asarray(state.now))
            advance(CHUNK, "")
    per_step = median_seconds(simulate, state, water) / CHUNK
    points = rows * columns / per_step
    stage.say(f"A step takes {per_step * 1e6:.0f} µs: {points / 1e9:.1f} billion points a second.")
    stats = simulate.trace(state, water).executable.stats
    stage.say(compiled("simulate", stats, first_call - per_step * CHUNK))
    film = np.stack(frames)
    light = 0.5 + 0.5 * np.tanh(film / (2.2 * film[:, :, WALL + 60 :].std()))
    places = (light * 254).astype(np.uint8)
    places[:, np.asarray(water.open) == 0] = 255
    colours = palette(TIDE)
    colours[255] = (20, 20, 24)
    write_animation(stage.picture, places, colours, per_second=12)
    stage.show_picture("One period, again and again")
