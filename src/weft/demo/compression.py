"""An image in few numbers: truncated singular values, and a shortcut by random projections and QR.

The best approximation of rank k keeps the k largest singular values (Eckart and Young, 1936). The
shortcut of Halko, Martinsson and Tropp (2011) looks at the image through a few random vectors,
makes them orthogonal by QR, and decomposes only what they see. Factorizations are LAPACK's, as in
NumPy; what stands between them is compiled.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import weft
import weft.numpy as wnp
from weft.demo.png import write_png
from weft.demo.stage import Stage, compiled, median_seconds, timed

HEIGHT, WIDTH = 480, 720
RANKS = (2, 6, 16, 40, 64)
SHOWN = (2, 6, 16, 40)  # the ranks in the picture, a strip each; the last strip is the image
OVERSAMPLING, POWERS = 8, 2
SKY = ((0.10, 0.12, 0.30), (0.52, 0.30, 0.45), (0.96, 0.62, 0.42), (1.0, 0.87, 0.66))
RIDGES = 7


def landscape(height: int, width: int, seed: int = 11) -> np.ndarray:
    """Return ridges behind ridges under a low sun: float32 in [0, 1], (height, width, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.linspace(0, 1, height)[:, None], np.linspace(0, width / height, width)[None, :]
    stops = np.linspace(0, 0.62, len(SKY))
    image = np.stack([np.interp(y + 0 * x, stops, channel) for channel in np.array(SKY).T], -1)
    sun = np.hypot(y - 0.36, x - 1.02)
    glow = np.exp(-((sun / 0.28) ** 2))[..., None] * np.array([0.35, 0.22, 0.10])
    image = image + glow
    image = np.where((sun < 0.06)[..., None], np.array([1.0, 0.96, 0.85]), image)
    for ridge in range(RIDGES):
        near = ridge / (RIDGES - 1)
        line = 0.46 + 0.09 * ridge * np.ones_like(x)
        for octave in range(1, 9):
            size = 0.10 * (0.5 + near) * 0.52**octave
            wave = 2.1**octave * (0.6 + 0.5 * near)
            line = line - size * np.abs(np.sin(wave * x + rng.uniform(0, 6)))
            line = line + size * np.sin(1.7 * wave * x + rng.uniform(0, 6)) / 2
        colour = np.array([0.62, 0.44, 0.50]) * (1 - near) + np.array([0.05, 0.07, 0.13]) * near
        mist = np.clip((y - line) / 0.25, 0, 1)[..., None] * 0.35 * (1 - near)
        below = np.clip((y - line) * height, 0, 1)[..., None]
        ground = colour + mist * np.array([0.9, 0.7, 0.6])
        image = image * (1 - below) + below * ground
    return np.clip(image, 0, 1).astype(np.float32)


def flat(image: np.ndarray) -> np.ndarray:
    """The three channels side by side, as one matrix."""
    return image.transpose(0, 2, 1).reshape(len(image), -1)


def picture(matrix: Any, width: int) -> np.ndarray:
    """The image of a matrix that `flat` made."""
    return np.asarray(matrix).reshape(-1, 3, width).transpose(0, 2, 1)


@weft.jit
def singular(matrix: Any) -> Any:
    """The singular value decomposition, thin."""
    return wnp.linalg.svd(matrix, full_matrices=False)


def sketch(key: Any, matrix: Any, rank: int) -> Any:
    """Nearly the `rank` largest singular values and vectors, from a random look at the matrix."""
    look = weft.random.normal(key, (matrix.shape[1], rank + OVERSAMPLING), matrix.dtype)
    basis, _ = wnp.linalg.qr(matrix @ look)
    for _ in range(POWERS):  # what is large becomes larger
        basis, _ = wnp.linalg.qr(matrix.T @ basis)
        basis, _ = wnp.linalg.qr(matrix @ basis)
    u, s, v = wnp.linalg.svd(basis.T @ matrix, full_matrices=False)
    return basis @ u[:, :rank], s[:rank], v[:rank]


def signal_to_noise(error: np.ndarray) -> float:
    """The peak signal-to-noise ratio in dB of values in [0, 1]."""
    return float(-10 * np.log10(np.mean(np.square(error, dtype=np.float64))))


def show(stage: Stage) -> None:
    """Compress in both ways with several ranks, and show what is left."""
    image = landscape(HEIGHT, WIDTH)
    matrix = wnp.asarray(flat(image))
    rows, columns = matrix.shape
    stage.say(f"[bold]An image in few numbers[/bold]: a matrix of {rows} × {columns}")
    u, s, v = singular(matrix)
    whole = median_seconds(singular, matrix, samples=3)
    table = stage.table("rank", "of the numbers", "error, dB", "by the sketch", "its time")
    strips, key = [], weft.random.key(0)
    with stage.progress("Weft", len(RANKS)) as advance:
        for rank in RANKS:
            best = np.asarray((u[:, :rank] * s[:rank]) @ v[:rank])
            short = weft.jit(lambda key, a, rank=rank: sketch(key, a, rank))
            (su, ss, sv), first_call = timed(short, key, matrix)
            seconds = median_seconds(short, key, matrix, samples=3)
            near = np.asarray((su * ss) @ sv)
            size = rank * (rows + columns + 1) / (rows * columns)
            table.add_row(
                f"{rank}",
                f"{size:.1%}",
                f"{signal_to_noise(best - np.asarray(matrix)):.1f}",
                f"{signal_to_noise(near - np.asarray(matrix)):.1f}",
                f"{seconds * 1e3:.1f} ms",
            )
            if rank in SHOWN:
                strips.append(picture(near, WIDTH))
            advance(1, f"rank {rank}")
    stage.console.print(table)
    stage.say(f"All singular values take {whole * 1e3:.0f} ms.")
    stats = short.trace(key, matrix).executable.stats
    stage.say(compiled("the last sketch", stats, first_call - seconds))
    edges = np.linspace(0, WIDTH, len(strips) + 2).astype(int)
    joined = np.concatenate(
        [part[:, a:b] for part, a, b in zip([*strips, image], edges, edges[1:], strict=False)], 1
    )
    joined[:, edges[1:-1]] = 1
    pixels = (np.clip(joined, 0, 1) * 255 + 0.5).astype(np.uint8)
    write_png(stage.picture, np.repeat(np.repeat(pixels, 2, 0), 2, 1))
    stage.show_picture(f"Strips of rank {', '.join(map(str, SHOWN))}, and the image")
