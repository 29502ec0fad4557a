"""Simulations and filters: loops over stencils, matrices and particles."""

from __future__ import annotations

import numpy as np

import weft.numpy as wnp
from tests.programs.agreement import agree
from weft import lax

F32 = np.float32


def test_game_of_life_in_bytes() -> None:
    cells = np.random.default_rng(0).integers(0, 2, (24, 31)).astype(np.uint8)
    around = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]

    def step(np, b):
        n = sum(np.roll(b, shift, (0, 1)) for shift in around)
        return ((n == 3) | ((b == 1) & (n == 2))).astype(np.uint8)

    expected = cells
    for _ in range(12):
        expected = step(np, expected)
    agree(lambda b: lax.fori_loop(0, 12, lambda _, b: step(wnp, b), b), (cells,), expected)


def test_wave_equation_with_fixed_borders() -> None:
    """Updates of the inside of an array, then of each of its edges."""
    start = np.exp(-((np.mgrid[:20, :20] - 9) ** 2).sum(0) / 9).astype(F32)

    def inside(u, before):
        around = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2]
        return (2 * u - before)[1:-1, 1:-1] + F32(0.25) * (around - 4 * u[1:-1, 1:-1])

    def wave(u):
        def step(carry, _):
            u, before = carry
            new = (2 * u - before).at[1:-1, 1:-1].set(inside(u, before))
            new = new.at[0].set(0).at[-1].set(0).at[:, 0].set(0).at[:, -1].set(0)
            return (new, u), (new**2).sum()

        (u, _), energies = lax.scan(step, (u, u), None, length=15)
        return u, energies

    u, before, energies = start, start, []
    for _ in range(15):
        new = np.zeros_like(u)
        new[1:-1, 1:-1] = inside(u, before)
        u, before = new, u
        energies.append((u**2).sum())
    agree(wave, (start,), (u, np.asarray(energies)))


def test_particles_attract_all_others() -> None:
    random = np.random.default_rng(0)
    x, v = random.normal(size=(37, 3)).astype(F32), np.zeros((37, 3), F32)

    def step(x, v):
        between = x[None] - x[:, None]
        distance = (between**2).sum(-1) + F32(0.1)
        v = v + F32(0.01) * (between * (distance**-1.5)[..., None]).sum(1)
        return x + F32(0.01) * v, v

    expected = x, v
    for _ in range(5):
        expected = step(*expected)
    agree(
        lambda x, v: lax.scan(lambda c, _: (step(*c), None), (x, v), None, length=5)[0],
        (x, v),
        expected,
    )


def test_kalman_filter() -> None:
    """Small matrices in the carry of a scan, one of them inverted by hand."""
    path = np.cumsum(np.random.default_rng(0).normal(size=(30, 2)), 0).astype(F32)
    dynamics = np.eye(4, dtype=F32) + F32(0.1) * np.eye(4, k=2, dtype=F32)
    seen, drift, noise = np.eye(2, 4, dtype=F32), np.eye(4, dtype=F32) / 100, np.eye(2, dtype=F32)

    def step(np, invert, x, cov, z):
        x, cov = dynamics @ x, dynamics @ cov @ dynamics.T + drift
        gain = cov @ seen.T @ invert(seen @ cov @ seen.T + noise)
        return x + gain @ (z - seen @ x), (np.eye(4, dtype=F32) - gain @ seen) @ cov

    def inverse(m):
        adjugate = wnp.array([[m[1, 1], -m[0, 1]], [-m[1, 0], m[0, 0]]])
        return adjugate / (m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0])

    def filtered(path):
        def body(carry, z):
            carry = step(wnp, inverse, *carry, z)
            return carry, carry[0]

        start = wnp.zeros(4), wnp.eye(4)
        (_, cov), states = lax.scan(body, start, path)
        return states, cov

    x, cov, states = np.zeros(4, F32), np.eye(4, dtype=F32), []
    for z in path:
        x, cov = step(np, np.linalg.inv, x, cov, z)
        states.append(x)
    agree(filtered, (path,), (np.asarray(states), cov), 1e-4)


def test_relaxation_until_nothing_moves() -> None:
    """A while loop that carries an array, its largest change and a count."""
    source = np.full((9, 9), 0.01, F32)

    def sweep(np, u, source):
        p = np.pad(u, 1)
        return (p[2:, 1:-1] + p[:-2, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2] + source) / 4

    def relax(source):
        def body(state):
            u, _, n = state
            new = sweep(wnp, u, source)
            return new, wnp.abs(new - u).max(), n + 1

        start = wnp.zeros_like(source), np.inf, 0
        return lax.while_loop(lambda s: (s[1] > 1e-4) & (s[2] < 500), body, start)

    u, change, n = np.zeros_like(source), F32(np.inf), 0
    while change > 1e-4:
        new = sweep(np, u, source)
        u, change, n = new, np.abs(new - u).max(), n + 1
    agree(relax, (source,), (u, change, np.int32(n)))


def test_spline_through_unevenly_spaced_points() -> None:
    """A cubic Hermite spline, slopes by differences over given coordinates."""
    random = np.random.default_rng(0)
    x = np.sort(random.uniform(0, 1, 12)).astype(F32)
    y = np.sin(7 * x)
    at = random.uniform(x[0], x[-1], 50).astype(F32)

    def spline(np, at):
        i = np.clip(np.searchsorted(x, at) - 1, 0, len(x) - 2)
        slopes, x0, y0 = np.gradient(y, x), np.take(x, i), np.take(y, i)
        h = np.take(x, i + 1) - x0
        t = (at - x0) / h
        ends = (2 * t**3 - 3 * t**2 + 1) * y0 + (3 * t**2 - 2 * t**3) * np.take(y, i + 1)
        start, end = np.take(slopes, i), np.take(slopes, i + 1)
        return ends + h * ((t**3 - 2 * t**2 + t) * start + (t**3 - t**2) * end)

    agree(lambda at: spline(wnp, at), (at,), spline(np, at), 1e-4)


def test_edges_of_an_image() -> None:
    """Borders that repeat, reflect and wrap around; results in bytes."""
    image = np.random.default_rng(0).integers(0, 256, (13, 18)).astype(np.uint8)

    def edges(np, image, mode, width):
        p = np.pad(image.astype(np.float32), width, mode=mode)
        across, down = p[:, 2:] - p[:, :-2], p[2:] - p[:-2]
        across = across[:-2] + 2 * across[1:-1] + across[2:]
        down = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
        return np.clip(np.floor(np.sqrt(across**2 + down**2)), 0, 255).astype(np.uint8)

    for mode, width in (("edge", 1), ("reflect", 2), ("symmetric", 3), ("wrap", 15)):
        expected = edges(np, image, mode, width)
        agree(lambda x, m=mode, w=width: edges(wnp, x, m, w), (image,), expected, 0.005)
