"""A flower that grows from one cell: neural cellular automata (Mordvintsev et al., Distill 2020).

Every cell knows its own state and the slopes of its neighbours' and updates itself by the same
small network, half of the cells at a time, at random. Where to go is learned by gradients through
all steps: a `scan` in `value_and_grad`, compiled as one program.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import weft
import weft.numpy as wnp
from weft import lax
from weft.demo.png import write_animation
from weft.demo.stage import Stage, compiled, median_seconds, timed

SIZE = 26  # cells along each side
CHANNELS, HIDDEN = 12, 64  # of a cell: red, green, blue, alpha, and what it keeps for itself
BATCH, GROWTH, STEPS, RATE = 4, 32, 600, 2.5e-3
CHECKED = (24, 28, 32)  # steps after which the flower should be there, and stay
FIRED = 0.5  # share of the cells that update themselves in a step
ALIVE = 0.1  # alpha from which a cell and its neighbours live
FILM, ZOOM = 36, 12  # frames, and pixels per cell
SHADES = 24  # of red, green and blue in the film, of which the 256 commonest colours are kept


class Rules(NamedTuple):
    """The network that every cell has: from what it perceives to how it changes."""

    inner: Any  # (3 * CHANNELS, HIDDEN)
    bias: Any
    outer: Any  # (HIDDEN, CHANNELS)


def flower(size: int = SIZE, fine: int = 8) -> np.ndarray:
    """Return what should grow: colours times alpha, and alpha, (size, size, 4)."""
    y, x = (np.indices((size * fine, size * fine)) + 0.5) / (size * fine) * 2 - 1
    picture = np.zeros((*x.shape, 4))

    def paint(where: np.ndarray, *colour: float) -> None:
        picture[where] = (*colour, 1)

    stem = abs(x - 0.10 * np.sin(3 * y)) < 0.05
    paint(stem & (y > 0) & (y < 0.86), 0.20, 0.50, 0.24)
    for side in (-1, 1):
        along, across = (
            (x * side - 0.26) * 0.8 + (0.55 - y) * 0.6,
            (0.55 - y) * 0.8 - (x * side - 0.26) * 0.6,
        )
        paint((along / 0.26) ** 2 + (across / 0.10) ** 2 < 1, 0.30, 0.62, 0.28)
    height = y + 0.28
    radius, angle = np.hypot(x, height), np.arctan2(height, x)
    petals = 0.52 * (0.62 + 0.38 * abs(np.cos(3 * angle + np.pi / 2)))
    paint(radius < petals, 0.86, 0.26, 0.46)
    paint(radius < 0.66 * petals, 0.96, 0.55, 0.62)
    paint(radius < 0.15, 0.98, 0.80, 0.25)
    return picture.reshape(size, fine, size, fine, 4).mean(axis=(1, 3)).astype(np.float32)


def seed(batch: int, size: int = SIZE) -> Any:
    """Empty grids with one living cell in the middle of each."""
    cells = np.zeros((batch, size, size, CHANNELS), np.float32)
    cells[:, size // 2, size // 2, 3:] = 1
    return wnp.asarray(cells)


def initial(key: Any) -> Rules:
    """A network that changes nothing yet."""
    inner = weft.random.normal(key, (3 * CHANNELS, HIDDEN)) / (3 * CHANNELS) ** 0.5
    return Rules(inner, wnp.zeros(HIDDEN), wnp.zeros((HIDDEN, CHANNELS)))


def around(cells: Any, combine: Any, middle: int, axis: int) -> Any:
    """Combine each cell with its two neighbours along an axis; beyond the rim is nothing."""
    padding = [(0, 0)] * cells.ndim
    padding[axis] = (1, 1)
    padded, size = wnp.pad(cells, padding), cells.shape[axis]
    before, after = (lax.slice_in_dim(padded, n, n + size, axis=axis) for n in (0, 2))
    return combine(before, cells * middle, after)


def perceive(cells: Any) -> Any:
    """Each cell's state, and Sobel's slopes in both directions: (…, 3 * CHANNELS)."""

    def smooth(cells: Any, axis: int) -> Any:
        return around(cells, lambda a, b, c: (a + b + c) / 4, 2, axis)

    def slope(cells: Any, axis: int) -> Any:
        return around(cells, lambda a, b, c: (c - a) / 2, 1, axis)

    down, right = slope(smooth(cells, 2), 1), slope(smooth(cells, 1), 2)
    return wnp.concatenate([cells, down, right], axis=-1)


def living(cells: Any) -> Any:
    """Whether a cell or one of its neighbours is opaque enough: (batch, size, size, 1)."""

    def largest(a: Any, b: Any, c: Any) -> Any:
        return wnp.maximum(wnp.maximum(a, b), c)

    alpha = cells[..., 3:4]
    return around(around(alpha, largest, 1, 1), largest, 1, 2) > ALIVE


def step(rules: Rules, cells: Any, key: Any) -> Any:
    """Cells that fire change; what was or is not alive is cleared."""
    change = weft.nn.relu(perceive(cells) @ rules.inner + rules.bias) @ rules.outer
    fires = weft.random.bernoulli(key, FIRED, (*cells.shape[:3], 1))
    moved = cells + wnp.where(fires, change, 0)
    return wnp.where(living(cells) & living(moved), moved, 0)


def grow(rules: Rules, cells: Any, key: Any, steps: int) -> Any:
    """All states on the way: (steps, batch, size, size, CHANNELS)."""

    def one(cells: Any, key: Any) -> Any:
        cells = step(rules, cells, key)
        return cells, cells

    return lax.scan(one, cells, weft.random.split(key, steps))[1]


def loss(rules: Rules, cells: Any, key: Any, target: Any) -> Any:
    """How far the colours are from the target's, after each of the `CHECKED` steps."""
    grown = grow(rules, cells, key, GROWTH)
    return sum(wnp.mean((grown[n - 1, ..., :4] - target) ** 2) for n in CHECKED) / len(CHECKED)


OPTIMIZER = weft.optim.adam(lambda done: RATE * 0.1 ** (done / STEPS))


@weft.jit
def train_step(rules: Rules, memory: Any, key: Any, target: Any) -> tuple[Rules, Any, Any]:
    """One step, with the gradient of each array of weights scaled to length one."""
    value, slope = weft.value_and_grad(loss)(rules, seed(BATCH), key, target)
    slope = weft.tree.map(lambda g: g / (wnp.sqrt(wnp.sum(g * g)) + 1e-8), slope)
    updates, memory = OPTIMIZER.update(slope, memory)
    return weft.optim.apply_updates(rules, updates), memory, value


def film(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames of states (frames, size, size, ≥ 4) on white, and a palette of their colours."""
    alpha = np.clip(states[..., 3:4], 0, 1)
    colours = np.clip(1 - alpha + np.clip(states[..., :3], 0, 1), 0, 1)
    coarse = np.round(colours * (SHADES - 1)).astype(int)
    known, number, count = np.unique(
        coarse.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True
    )
    kept = known[np.argsort(-count, kind="stable")[:256]]
    nearest = np.argmin(((known[:, None] - kept) ** 2).sum(-1), axis=1).astype(np.uint8)
    frames = nearest[number].reshape(coarse.shape[:-1])
    frames = np.repeat(np.repeat(frames, ZOOM, axis=1), ZOOM, axis=2)
    return frames, (kept * 255 / (SHADES - 1)).round().astype(np.uint8)


def show(stage: Stage) -> None:
    """Learn to grow, and film it."""
    rules = initial(weft.random.key(0))
    weights = sum(leaf.size for leaf in weft.tree.leaves(rules))
    stage.say(
        f"[bold]A flower from one cell[/bold]: {SIZE} × {SIZE} cells share a network of "
        f"{weights:,} weights"
    )
    target, memory = wnp.asarray(flower()), OPTIMIZER.init(rules)
    keys = weft.random.split(weft.random.key(1), STEPS)
    _, first_call = timed(train_step, rules, memory, keys[0], target)
    with stage.progress("Weft", STEPS) as advance:
        for n, key in enumerate(keys):
            rules, memory, value = train_step(rules, memory, key, target)
            advance(1, f"error {float(value):.4f}")
            if n == 0:
                start = float(value)
    per_step = median_seconds(train_step, rules, memory, keys[0], target, samples=5)
    stage.say(f"The error falls from {start:.3f} to {float(value):.4f}.")
    stage.say(f"A step, {GROWTH} generations there and back, takes {per_step * 1e3:.1f} ms.")
    stats = train_step.trace(rules, memory, keys[0], target).executable.stats
    stage.say(compiled("train_step", stats, first_call - per_step))
    states = np.asarray(grow(rules, seed(1), weft.random.key(2), FILM))[:, 0]
    still = np.repeat(states[-1:], 16, axis=0)
    write_animation(stage.picture, *film(np.concatenate([states, still])), per_second=12)
    stage.show_picture("The flower grows")
