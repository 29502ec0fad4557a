"""The demos by name, on tiny problems: their mathematics is right."""

from __future__ import annotations

import io
import struct
import zlib
from itertools import pairwise

import numpy as np
import pytest
from rich.console import Console

import weft
import weft.numpy as wnp
from weft.demo import DEMOS, mandelbrot, multigrid, nbody, wave
from weft.demo.png import write_animation
from weft.demo.stage import Stage
from weft.lazy import LazyArray


def test_orbits_are_numpy_s_and_distances_are_bounds():
    away = np.array([[0.5, 0.01, 1e-4]])
    cx, cy = -2 - away, 0 * away  # the set's nearest point is -2
    x, y, dx, dy, count = map(np.asarray, mandelbrot.orbits(cx, cy))
    theirs = mandelbrot.numpy_orbits(cx, cy, 40)
    assert np.array_equal(count, theirs[-1]) and count.max() < 40
    np.testing.assert_allclose(np.stack([x, dx]), np.stack([theirs[0], theirs[2]]), rtol=1e-12)
    estimate = mandelbrot.distance(x, y, dx, dy)
    assert np.all((estimate / 2 < away) & (away < 2 * estimate))


def test_attraction_is_newton_s_and_leapfrog_keeps_what_it_should():
    state, mass = nbody.galaxies(stars=12)
    pull = np.asarray(nbody.attraction(wnp, state.place, mass), np.float64)
    expected = np.zeros_like(pull)
    for i in range(len(mass)):
        for j in range(len(mass)):
            apart = state.place[:, j].astype(float) - state.place[:, i]
            expected[:, i] += mass[j] * apart / (apart @ apart + nbody.SOFTENING**2) ** 1.5
    np.testing.assert_allclose(pull, expected, rtol=1e-4, atol=1e-5)
    after = nbody.simulate(nbody.half_step(state, mass, 1), mass)
    after = nbody.half_step(after, mass, -1)
    momentum = [np.asarray(s.velocity, np.float64) @ mass for s in (state, after)]
    np.testing.assert_allclose(*momentum, atol=1e-5)
    assert nbody.energy(after, mass) == pytest.approx(nbody.energy(state, mass), rel=5e-3)


def test_a_standing_wave_has_the_frequency_of_the_difference_equation():
    rows, columns = 9, 13
    i, j = np.indices((rows, columns))
    mode = np.sin(np.pi * i / (rows - 1)) * np.sin(2 * np.pi * j / (columns - 1))
    k = [np.pi / (rows - 1), 2 * np.pi / (columns - 1)]
    omega = 2 * np.arcsin(wave.SPEED * np.sqrt(sum(np.sin(a / 2) ** 2 for a in k)))
    now, before = (LazyArray(wnp.asarray(np.float32(c) * mode)) for c in (1, np.cos(omega)))
    ones = LazyArray(wnp.ones((rows, columns)))
    state = wave.State(now, before, wnp.float32(0))
    state = wave.simulate(state, wave.Basin(ones, ones, 0 * ones))
    expected = np.cos(omega * wave.CHUNK) * mode
    np.testing.assert_allclose(np.asarray(state.now), expected, atol=1e-5)


def test_multigrid_shrinks_any_residual():
    h = 1 / 16
    f = LazyArray(wnp.asarray(multigrid.charges(17)))
    cycle = weft.jit(lambda u: multigrid.v_cycle(u, f, h))
    u, sizes = 0 * f, []
    for _ in range(4):
        u = cycle(u)
        sizes.append(float(abs(np.asarray(multigrid.residual(u, f, h))).max()))
    assert all(after < 0.2 * before for before, after in pairwise(sizes))


def test_animations_hold_their_frames(tmp_path):
    frames = np.random.default_rng(0).integers(0, 5, (3, 4, 6), np.uint8)
    colours = np.arange(15, dtype=np.uint8).reshape(5, 3)
    path = tmp_path / "film.png"
    write_animation(path, frames, colours, per_second=10)
    data, place, found, numbers = path.read_bytes(), 8, [], []
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        kind, content = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert struct.unpack_from(">I", data, place + 8 + length)[0] == zlib.crc32(kind + content)
        if kind in (b"fcTL", b"fdAT"):
            numbers.append(struct.unpack_from(">I", content)[0])
        if kind in (b"IDAT", b"fdAT"):
            rows = np.frombuffer(zlib.decompress(content[4 * (kind == b"fdAT") :]), np.uint8)
            found.append(rows.reshape(4, 7)[:, 1:])
        if kind == b"PLTE":
            assert content == colours.tobytes()
        place += 12 + length
    assert np.array_equal(found, frames) and numbers == list(range(5))


def test_animations_refuse_what_they_cannot_show(tmp_path):
    frames, colours = np.full((1, 2, 2), 7, np.uint8), np.zeros((4, 3), np.uint8)
    with pytest.raises(ValueError, match=r"palette has shape \(4, 3\); frames need \(8, 3\)"):
        write_animation(tmp_path / "film.png", frames, colours)
    with pytest.raises(ValueError, match=r"shape \(2, 2\), not \(frames, height, width\)"):
        write_animation(tmp_path / "film.png", frames[0], colours)
    with pytest.raises(TypeError, match="frames are float64; convert them to uint8"):
        write_animation(tmp_path / "film.png", frames * 1.0, colours)


def test_progress_is_silent_outside_a_terminal(tmp_path):
    written = io.StringIO()
    stage = Stage(Console(file=written), tmp_path / "picture.png")
    with stage.progress("Weft", 3) as advance:
        advance(3, "a note")
    assert written.getvalue() == ""
    with Stage(Console(file=written, force_terminal=True), stage.picture).progress("W", 3) as go:
        go(3, "a note")
    assert "a note" in written.getvalue()


def test_every_demo_is_a_module_that_shows():
    from importlib import import_module

    assert all(callable(import_module(f"weft.demo.{name}").show) for name in DEMOS)
