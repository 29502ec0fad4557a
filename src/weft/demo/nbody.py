"""Two galaxies meet: Newton's law between all pairs of stars, leapfrog in time.

Each star circles the heavy centre of its disk, as in the restricted problem of Toomre and Toomre
(1972), but here every star attracts every other one. The forces are written as whole arrays of all
pairs; in Weft none of these exists in memory, the sums are one kernel.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

import weft
import weft.numpy as wnp
from weft import lax
from weft.demo.colours import MIDNIGHT, shade
from weft.demo.png import write_png
from weft.demo.stage import Stage, compiled, median_seconds, speed, timed

STARS = 2048  # in each galaxy, the centre included
CENTRE_SHARE = 0.97  # of the mass of a galaxy (which is 1) in its centre
SOFTENING = 0.06
TIME_STEP = 0.02
CHUNK = 20  # steps in one call
PANELS = (2, 3)
CHUNKS_PER_PANEL = 6
PANEL = 380  # pixels along each side
VIEW = 5.6  # what a panel shows, from its middle to its edge


class State(NamedTuple):
    """Positions and velocities: arrays of shape (3, bodies)."""

    place: Any
    velocity: Any


def galaxies(seed: int = 0, stars: int = STARS) -> tuple[State, np.ndarray]:
    """Return two disks on their way to each other, and the masses."""
    rng = np.random.default_rng(seed)
    parts = []
    for side, tilt in ((-1, 0.5), (1, -0.9)):
        radius = 0.3 + 1.3 * np.sqrt(rng.uniform(0, 1, stars - 1))
        angle = rng.uniform(0, 2 * np.pi, stars - 1)
        thick = rng.normal(0, 0.03, stars - 1)
        place = np.stack([radius * np.cos(angle), radius * np.sin(angle), thick])
        inside = CENTRE_SHARE + (1 - CENTRE_SHARE) * (np.argsort(np.argsort(radius)) / stars)
        pace = np.sqrt(inside * radius**2 / (radius**2 + SOFTENING**2) ** 1.5)
        velocity = pace * np.stack([-np.sin(angle), np.cos(angle), 0 * angle])
        turn = np.array(
            [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
        )
        centre = side * np.array([[2.9], [1.7], [0.0]])
        drift = side * np.array([[-0.38], [0.0], [0.0]])
        place = np.append(turn @ place, np.zeros((3, 1)), axis=1) + centre
        velocity = np.append(turn @ velocity, np.zeros((3, 1)), axis=1) + drift
        mass = np.append(np.full(stars - 1, (1 - CENTRE_SHARE) / (stars - 1)), CENTRE_SHARE)
        parts.append((place, velocity, mass))
    place, velocity, mass = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
    return State(place.astype(np.float32), velocity.astype(np.float32)), mass.astype(np.float32)


def attraction(xp: ModuleType, place: Any, mass: Any) -> Any:
    """Return the acceleration of each body: Plummer's softened law, of shape (3, bodies)."""
    dx, dy, dz = (p[None, :] - p[:, None] for p in place)
    nearness = 1 / xp.sqrt(dx * dx + dy * dy + dz * dz + xp.float32(SOFTENING**2))
    weight = mass * nearness * nearness * nearness
    return xp.stack([xp.sum(weight * d, axis=1) for d in (dx, dy, dz)])


def step(xp: ModuleType, state: State, mass: Any) -> State:
    """Kick, drift, kick is drift and kick when repeated: the order is two in the time step."""
    place = state.place + xp.float32(TIME_STEP) * state.velocity
    pull = attraction(xp, place, mass)
    return State(place, state.velocity + xp.float32(TIME_STEP) * pull)


@weft.jit
def simulate(state: State, mass: Any) -> State:
    """`CHUNK` time steps."""
    return lax.fori_loop(0, CHUNK, lambda _, state: step(wnp, state, mass), state)


def half_step(state: State, mass: Any, sign: int) -> State:
    """Move the velocities half a step ahead of the places, or back: what leapfrog starts with."""
    pull = np.asarray(attraction(wnp, state.place, mass))
    return state._replace(velocity=state.velocity + np.float32(sign * TIME_STEP / 2) * pull)


def energy(state: State, mass: np.ndarray) -> float:
    """Kinetic and potential energy, in float64."""
    place, velocity = (np.asarray(part, np.float64) for part in state)
    kinetic = 0.5 * np.sum(mass * velocity**2)
    apart = sum((p[None, :] - p[:, None]) ** 2 for p in place)
    pairs = mass[:, None] * mass[None, :] / np.sqrt(apart + SOFTENING**2)
    return float(kinetic - 0.5 * (pairs.sum() - np.trace(pairs)))


def photograph(place: np.ndarray, size: int = PANEL) -> np.ndarray:
    """Return an exposure of the stars from above: brightness from 0 to 1, (size, size)."""
    fine = np.linspace(-VIEW, VIEW, size + 1)
    light, _, _ = np.histogram2d(-place[1], place[0], bins=(fine, fine))
    glow = np.zeros_like(light)
    for width, strength in ((0.7, 1.0), (2.5, 1.6), (8.0, 2.2)):  # a sharp star and its halo
        reach = np.arange(-int(3 * width) - 1, int(3 * width) + 2)
        kernel = np.exp(-(reach**2) / (2 * width**2))
        kernel /= kernel.sum()
        blurred = np.apply_along_axis(np.convolve, 0, light, kernel, mode="same")
        glow += strength * np.apply_along_axis(np.convolve, 1, blurred, kernel, mode="same")
    return np.log1p(9 * glow) / np.log1p(9 * 6)


def show(stage: Stage) -> None:
    """Let the galaxies meet, and photograph them on the way."""
    state, mass = galaxies()
    bodies = len(mass)
    stage.say(
        f"[bold]Two galaxies[/bold]: {bodies:,} bodies, {bodies**2 / 1e6:.1f} million pairs a step"
    )
    before = energy(state, mass)
    state = half_step(state, mass, 1)
    _, first_call = timed(simulate, state, mass)
    panels, count = [], PANELS[0] * PANELS[1]
    with stage.progress("Weft", (count - 1) * CHUNKS_PER_PANEL * CHUNK) as advance:
        for panel in range(count):
            for _ in range(CHUNKS_PER_PANEL if panel else 0):
                state = simulate(state, mass)
                advance(CHUNK, "")
            panels.append(shade(photograph(np.asarray(state.place)), MIDNIGHT))
    per_step = median_seconds(simulate, state, mass, samples=5) / CHUNK
    numpy_state = State(*(np.asarray(part) for part in state))
    numpy_per_step = median_seconds(step, np, numpy_state, mass, samples=1)
    table = stage.table("", "time per step", "")
    table.add_row("Weft", *speed(per_step, numpy_per_step))
    table.add_row("NumPy", *speed(numpy_per_step, numpy_per_step))
    stage.console.print(table)
    stats = simulate.trace(state, mass).executable.stats
    stage.say(compiled("simulate", stats, first_call - per_step * CHUNK))
    after = energy(half_step(state, mass, -1), mass)
    steps = (count - 1) * CHUNKS_PER_PANEL * CHUNK
    stage.say(f"After {steps} steps the energy has changed by {abs(after / before - 1):.2%}.")
    framed = [np.pad(panel, ((1, 1), (1, 1), (0, 0)), constant_values=40) for panel in panels]
    rows = [np.concatenate(framed[i : i + PANELS[1]], 1) for i in range(0, count, PANELS[1])]
    write_png(stage.picture, np.concatenate(rows))
    stage.show_picture("Six photographs")
