"""Marbled paper from a fluid: drops of ink in rings, drawn out by the flow.

The flow map says where the fluid of each point started, so that the colour of a point is the
colour that the undisturbed inks have there.
"""

from __future__ import annotations

import numpy as np

PAPER = (0.96, 0.93, 0.86)
INKS = np.array(
    [
        PAPER,
        (0.05, 0.09, 0.22),
        PAPER,
        (0.10, 0.27, 0.45),
        (0.16, 0.55, 0.60),
        PAPER,
        (0.86, 0.30, 0.22),
        (0.96, 0.72, 0.35),
    ],
    np.float32,
)
DROPS = 14
RING = 1 / 56  # width of a ring of ink, relative to the picture
SAMPLES = 4  # colours per cell and direction, of which SAMPLES / 2 are averaged into a pixel


def magnify(field: np.ndarray, factor: int) -> np.ndarray:
    """Interpolate a periodic field linearly to `factor` times as many points in each direction."""
    for axis in (0, 1):
        size = field.shape[axis]
        position = np.arange(size * factor) / factor
        cell = position.astype(int)
        weight = (position - cell).astype(field.dtype)
        weight = weight[:, None] if axis == 0 else weight[None, :]
        here, there = np.take(field, cell, axis), np.take(field, (cell + 1) % size, axis)
        field = here + weight * (there - here)
    return field


def inks(y: np.ndarray, x: np.ndarray, size: int, seed: int = 3) -> np.ndarray:
    """Return the colours of the undisturbed inks at points of a periodic square of `size`."""
    rng = np.random.default_rng(seed)
    nearest = np.full(y.shape, np.inf, y.dtype)
    for drop_y, drop_x in rng.uniform(0, size, (DROPS, 2)):
        dy, dx = ((d + size / 2) % size - size / 2 for d in (y - drop_y, x - drop_x))
        nearest = np.minimum(nearest, np.hypot(dy, dx))
    ring = (nearest / (RING * size)).astype(int)
    return INKS[ring % len(INKS)]


def picture(map_x: np.ndarray, map_y: np.ndarray) -> np.ndarray:
    """Return the picture of a flow map: uint8, of shape (2 * size, 2 * size, 3)."""
    size, fine = len(map_x), len(map_x) * SAMPLES
    place = np.arange(fine, dtype=np.float32) / SAMPLES
    average, rows = SAMPLES // 2, []
    for band in np.array_split(np.arange(size), 8):  # bounds the memory used
        # One more row of cells, which the last points of the band are interpolated with.
        cells = np.append(band, (band[-1] + 1) % size)
        points = slice(band[0] * SAMPLES, (band[-1] + 1) * SAMPLES)
        height = len(band) * SAMPLES
        y = place[points, None] + magnify(map_y[cells], SAMPLES)[:height]
        x = place[None, :] + magnify(map_x[cells], SAMPLES)[:height]
        colours = inks(y, x, size)
        colours = colours.reshape(height // average, average, fine // average, average, 3)
        rows.append((colours.mean(axis=(1, 3)) * 255 + 0.5).astype(np.uint8))
    return np.concatenate(rows)
