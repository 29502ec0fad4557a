"""The edge of the Mandelbrot set: how long z² + c takes to leave, with all digits of float64.

The program is one loop over whole arrays. Its body is written out for `UNROLLED` iterations, which
Weft makes one pass over memory of: z, its derivative and the count stay in registers in between.

Colours follow the *smooth* number of iterations, and darken with the distance to the set, which
the derivative of z with respect to c gives (Milnor, Dynamics in One Complex Variable, appendix G).
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

import weft
import weft.numpy as wnp
from weft import lax
from weft.demo.colours import DUSK, palette
from weft.demo.png import write_png
from weft.demo.stage import Stage, compiled, timed

CENTRE, WIDTH = (-0.743643135, 0.131825963), 0.00065
PIXELS = (675, 1080)  # rows and columns
SAMPLES = 2  # points per pixel and direction
ITERATIONS = 1600
UNROLLED = 16
FAR = 1e4  # where a point counts as gone: far out, so that the smooth count is accurate
BANDS = 5  # rows of points are shared out among this many calls, for the bar to move


def points(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the real and the imaginary parts of the picture's points, each (rows, columns)."""
    step = WIDTH / columns
    x = CENTRE[0] + (np.arange(columns) - (columns - 1) / 2) * step
    y = CENTRE[1] - (np.arange(rows) - (rows - 1) / 2) * step
    real, imaginary = np.meshgrid(x, y)
    return real, imaginary


def iterate(xp: ModuleType, state: tuple[Any, ...], cx: Any, cy: Any) -> tuple[Any, ...]:
    """One iteration of z² + c and of its derivative 2 z z' + 1; what is far stands still."""
    x, y, dx, dy, count = state
    near = x * x + y * y < FAR
    return (
        xp.where(near, x * x - y * y + cx, x),
        xp.where(near, 2 * x * y + cy, y),
        xp.where(near, 2 * (x * dx - y * dy) + 1, dx),
        xp.where(near, 2 * (x * dy + y * dx), dy),
        count + near,
    )


def start(xp: ModuleType, cx: Any) -> tuple[Any, ...]:
    """z = z' = 0 after 0 iterations."""
    return (*(xp.zeros_like(cx) for _ in range(4)), xp.zeros(cx.shape, np.int32))


@weft.jit
def orbits(cx: Any, cy: Any) -> tuple[Any, ...]:
    """z, z' and the count of each point after `ITERATIONS` iterations, or when it was gone."""

    def several(_: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        for _ in range(UNROLLED):
            state = iterate(wnp, state, cx, cy)
        return state

    return lax.fori_loop(0, ITERATIONS // UNROLLED, several, start(wnp, cx))


def numpy_orbits(cx: np.ndarray, cy: np.ndarray, iterations: int) -> tuple[Any, ...]:
    """The same in NumPy, for fewer iterations."""
    state = start(np, cx)
    for _ in range(iterations):
        state = iterate(np, state, cx, cy)
    return state


def smooth_count(x: Any, y: Any, count: Any) -> Any:
    """The number of iterations as a continuous function of c."""
    return count + 1 - np.log2(np.log(np.maximum(x * x + y * y, FAR)) / np.log(FAR))


def distance(x: Any, y: Any, dx: Any, dy: Any) -> Any:
    """The distance to the set, up to a factor of two: |z| log |z| / |z'|."""
    size = np.hypot(x, y)
    return size * np.log(np.maximum(size, 1)) / np.maximum(np.hypot(dx, dy), 1e-300)


def paint(orbits: tuple[np.ndarray, ...], step: float) -> np.ndarray:
    """Return colours (uint8, one per point) for points `step` apart."""
    x, y, dx, dy, count = orbits
    phase = np.log(smooth_count(x, y, count)) * 2.2 % 1
    colours = palette(DUSK, 1024)[(phase * 1023).astype(int)].astype(np.float32)
    near = np.clip(distance(x, y, dx, dy) / (2 * step), 0, 1) ** 0.4
    inside = (x * x + y * y < FAR)[..., None]
    return np.where(inside, np.array([4, 5, 18]), colours * near[..., None]).astype(np.float32)


def show(stage: Stage) -> None:
    """Paint the picture, and compare the time of an iteration with NumPy's."""
    rows, columns = (n * SAMPLES for n in PIXELS)
    stage.say(
        f"[bold]Mandelbrot set[/bold]: {rows * columns / 1e6:.1f} million points, "
        f"{ITERATIONS} iterations of z² + c and its derivative in float64"
    )
    cx, cy = points(rows, columns)
    bands = list(zip(np.split(cx, BANDS), np.split(cy, BANDS), strict=True))
    _, first_call = timed(orbits, *bands[0])
    found, seconds = [], 0.0
    with stage.progress("Weft", rows) as advance:
        for band in bands:
            orbit, duration = timed(orbits, *band)
            found.append([np.asarray(part) for part in orbit])
            seconds += duration
            advance(len(band[0]), "")
    few = 2 * UNROLLED
    _, numpy_seconds = timed(numpy_orbits, *bands[0], few)
    ours = seconds / (rows * columns * ITERATIONS)
    theirs = numpy_seconds / (bands[0][0].size * few)
    table = stage.table("", "iterations per second", "")
    table.add_row("Weft", f"{1e-9 / ours:.2f} billion", f"{theirs / ours:.0f}× NumPy's speed")
    table.add_row("NumPy", f"{1e-9 / theirs:.2f} billion", "")
    stage.console.print(table)
    stats = orbits.trace(*bands[0]).executable.stats
    stage.say(compiled("orbits", stats, first_call - seconds / BANDS))
    whole = tuple(np.concatenate(parts) for parts in zip(*found, strict=True))
    colours = paint(whole, WIDTH / columns)
    height, width = PIXELS
    pixels = colours.reshape(height, SAMPLES, width, SAMPLES, 3).mean(axis=(1, 3))
    write_png(stage.picture, (pixels + 0.5).astype(np.uint8))
    stage.show_picture("The picture")
