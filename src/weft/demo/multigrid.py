"""The potential of charges in a grounded box: Poisson's equation by multigrid, in `weft.lazy`.

Brandt (1977), in the words of Petalisp: red-black relaxation, full weighting, linear interpolation.
Red points, coarse grids and gaps between rows are strided spaces; nothing is indexed by hand, and a
shift by one too many is an error where it happens, not a wrong number at the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import weft
import weft.numpy as wnp
from weft.demo.colours import TIDE, shade
from weft.demo.png import write_png
from weft.demo.stage import Stage, compiled, median_seconds, timed
from weft.lazy import (
    LazyArray,
    Space,
    lazy_fuse,
    lazy_overwrite,
    lazy_reduce,
    lazy_reshape,
    lazy_windows,
)

POINTS = 513  # along each side: a power of two and one
CHARGES = 26
CYCLES = 12


def at(u: Any, di: int, dj: int, space: Space) -> Any:
    """The elements at (i + di, j + dj) for the points (i, j) of a space."""
    return lazy_reshape(u, lambda i, j: (i - di, j - dj), space)


def around(u: Any, space: Space) -> Any:
    """The sum of the four neighbours of each point."""
    return at(u, 0, 1, space) + at(u, 1, 0, space) + at(u, 0, -1, space) + at(u, -1, 0, space)


def relax(u: Any, f: Any, h: float) -> Any:
    """A sweep of Gauss and Seidel's method for -Δu = f: all red points, then all black ones."""
    rows, columns = u.space.interior()
    for colour in (0, 1):
        for first in (0, 1):
            part = Space(rows[first::2], columns[(first + colour) % 2 :: 2])
            if part.size:
                u = lazy_overwrite(u, (around(u, part) + h * h * lazy_reshape(f, part)) / 4)
    return u


def residual(u: Any, f: Any, h: float) -> Any:
    """f + Δu inside, and 0 on the boundary."""
    inner = u.space.interior()
    laplace = (around(u, inner) - 4 * lazy_reshape(u, inner)) / (h * h)
    return lazy_overwrite(0 * u, lazy_reshape(f, inner) + laplace)


def restrict(r: Any) -> Any:
    """Every second point: the weighted mean of the neighbourhood."""
    near = lazy_windows(r, range(-1, 2), range(-1, 2))
    rows, columns, *moves = near.space
    near = lazy_reshape(near, Space(rows[1::2], columns[1::2], *moves))
    weights = lazy_reshape(
        wnp.outer(wnp.asarray([1, 2, 1]), wnp.asarray([1, 2, 1])) / 16, "k m -> k-1 m-1"
    )
    first = lazy_reshape(near * weights, "i j k m -> k m i j")
    mean = lazy_reduce(wnp.add, lazy_reduce(wnp.add, first))
    coarse = lazy_reshape(r, Space(*(axis[::2] for axis in r.space)))
    return lazy_reshape(lazy_overwrite(0 * coarse, mean), "i j -> i/2 j/2")


def between(e: Any) -> Any:
    """Points between the rows of a grid whose rows are two apart, as means."""
    rows, columns = e.space
    gaps = Space(range(rows[0] + 1, rows[-1], 2), columns)
    return lazy_fuse(e, (at(e, -1, 0, gaps) + at(e, 1, 0, gaps)) / 2)


def prolong(e: Any) -> Any:
    """Twice as many points along both axes."""
    e = between(lazy_reshape(e, "i j -> 2*i 2*j"))
    return lazy_reshape(between(lazy_reshape(e, "i j -> j i")), "j i -> i j")


def v_cycle(u: Any, f: Any, h: float) -> Any:
    """Relax, correct by what the coarser grid finds for the residual, relax again."""
    u = relax(u, f, h)
    if u.shape[0] > 3:
        coarse = restrict(residual(u, f, h))
        u = u + prolong(v_cycle(0 * coarse, coarse, 2 * h))
    return relax(u, f, h)


def charges(points: int, seed: int = 4) -> np.ndarray:
    """Return the density of round charges of random place, sign and size: (points, points)."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(*[np.linspace(0, 1, points)] * 2, indexing="ij")
    density = np.zeros((points, points))
    for sign in np.resize([1, -1], CHARGES):
        (cy, cx), width = rng.uniform(0.08, 0.92, 2), rng.uniform(0.008, 0.02)
        blob = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * width**2)) / width**2
        density += sign * rng.uniform(0.5, 1.5) * blob
    return density


def paint(potential: np.ndarray) -> np.ndarray:
    """Return the potential in colours, with lines where it is equal, every pixel doubled."""
    fine = np.repeat(np.repeat(potential, 2, 0), 2, 1)[1:-1, 1:-1]
    fine = (fine + np.roll(fine, 1, 0) + np.roll(fine, 1, 1) + np.roll(fine, 1, (0, 1))) / 4
    squeezed = np.arcsinh(fine / np.std(fine) * 1.5)
    height = squeezed / abs(squeezed).max()
    level = height * 14
    slope = np.hypot(*np.gradient(level)) + 1e-9
    line = np.clip(abs(level - np.round(level)) / slope / 1.1, 0, 1)
    colours = shade(0.5 + 0.5 * height, TIDE) * (0.45 + 0.55 * line[..., None])
    return (colours + 0.5).astype(np.uint8)


def show(stage: Stage) -> None:
    """Solve in float64, say how the residual falls, and paint the potential."""
    h = 1 / (POINTS - 1)
    stage.say(
        f"[bold]Charges in a box[/bold]: Poisson's equation on {POINTS} × {POINTS} points by "
        "multigrid, in weft.lazy"
    )
    f = LazyArray(wnp.asarray(charges(POINTS)))
    u = 0 * f
    cycle = weft.jit(lambda u, f: v_cycle(u, f, h))
    size = weft.jit(lambda u, f: wnp.max(abs(residual(u, f, h).values)))
    _, first_call = timed(cycle, u, f)
    left = [float(size(u, f))]
    with stage.progress("Weft", CYCLES) as advance:
        for _ in range(CYCLES):
            u = cycle(u, f)
            left.append(float(size(u, f)))
            advance(1, f"residual {left[-1] / left[0]:.1e}")
    per_cycle = median_seconds(cycle, u, f, samples=10)
    table = stage.table("after cycle", "residual, relative", "factor")
    for place in range(1, CYCLES + 1):
        factor = f"{left[place] / left[place - 1]:.3f}"
        table.add_row(f"{place}", f"{left[place] / left[0]:.1e}", factor)
    stage.console.print(table)
    stage.say(f"A cycle takes {per_cycle * 1e3:.2f} ms for {POINTS**2 / 1e3:.0f},000 unknowns.")
    stats = cycle.trace(u, f).executable.stats
    stage.say(compiled("cycle", stats, first_call - per_cycle))
    write_png(stage.picture, paint(np.asarray(u)))
    stage.show_picture("The potential")
