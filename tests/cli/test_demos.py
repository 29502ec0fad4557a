"""The demos by name, on tiny problems: their mathematics is right."""

from __future__ import annotations

import hashlib
import importlib
import io
import re
import struct
import zlib
from importlib.resources import files
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

import weft
import weft.numpy as wnp
from weft.demo import (
    DEMOS,
    automata,
    compression,
    digits,
    geodesics,
    mandelbrot,
    multigrid,
    nbody,
    pca,
    statistics,
    svg,
    transformer,
    wave,
)
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
    h = 1 / 8
    f = LazyArray(wnp.asarray(multigrid.charges(9)))
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
    assert all(callable(importlib.import_module(f"weft.demo.{name}").show) for name in DEMOS)


def test_newton_finds_the_maximum_and_chains_the_mean():
    x = wnp.asarray(statistics.scaled(np.array(statistics.TEMPERATURE, np.float32)))
    y, ones = wnp.asarray(np.array(statistics.DAMAGED, np.float32)), wnp.ones(len(x))
    best = weft.jit(statistics.fit)(x, y, ones)
    np.testing.assert_allclose(weft.grad(statistics.log_density)(best, x, y, ones), 0, atol=1e-4)
    fits = weft.jit(lambda key: statistics.bootstrap(key, x, y, 16))(weft.random.key(0))
    assert np.isfinite(fits).all() and len(np.unique(np.asarray(fits)[:, 0])) > 8

    # The posterior's mean by a sum over a grid.
    grid = np.stack(np.meshgrid(np.linspace(-6, 4, 120), np.linspace(-9, 3, 120)), -1)
    z = grid[..., :1] + grid[..., 1:] * np.asarray(x)
    density = np.sum(np.asarray(y) * z - np.logaddexp(0, z), -1)
    density -= 0.5 * np.sum((grid / np.array(statistics.PRIOR)) ** 2, -1)
    weight = np.exp(density - density.max())
    expected = np.einsum("ij,ijk->k", weight, grid) / weight.sum()
    starts = wnp.zeros((4, 2)) + best
    chains = weft.vmap(lambda key, at: statistics.sample(key, at, x, y, 3000))
    theta = np.asarray(weft.jit(chains)(weft.random.split(weft.random.key(1), 4), starts).theta)
    np.testing.assert_allclose(theta.mean(axis=(0, 1)), expected, atol=0.1)
    assert np.all(statistics.r_hat(theta) < 1.03)


def test_components_are_singular_vectors_and_neighbours_are_nearest():
    train, _ = digits.load()
    images = train.images[:60]
    found = pca.components(images)
    singular = np.linalg.svd(images - images.mean(0), compute_uv=False)
    np.testing.assert_allclose(found.variance[:20], singular[:20] ** 2 / 59, rtol=1e-4)
    apart = ((images[:, None] - images[None]) ** 2).sum(-1) + np.diag(np.full(60, np.inf))
    assert np.array_equal(pca.neighbours(images), apart.argmin(axis=1))


def test_a_sketch_finds_a_matrix_of_low_rank(monkeypatch):
    monkeypatch.setattr(compression, "POWERS", 1)
    rng = np.random.default_rng(0)
    matrix = (rng.normal(size=(30, 4)) @ rng.normal(size=(4, 50))).astype(np.float32)
    u, s, v = weft.jit(lambda key, a: compression.sketch(key, a, 4))(weft.random.key(0), matrix)
    np.testing.assert_allclose((u * s) @ v, matrix, atol=1e-4)
    np.testing.assert_allclose(s, np.linalg.svd(matrix, compute_uv=False)[:4], rtol=1e-4)
    image = rng.uniform(size=(5, 7, 3))
    assert np.array_equal(compression.picture(compression.flat(image), 7), image)


def test_the_language_model_sees_the_past_alone_and_reads_as_it_learns(monkeypatch):
    for name, value in (("WIDTH", 16), ("LAYERS", 1), ("CONTEXT", 24)):
        monkeypatch.setattr(transformer, name, value)
    text, unseen, alphabet = transformer.load()
    assert len(text) > 7000 and len(unseen) > 500 and len(alphabet) < 64
    note = files("weft.demo").joinpath("DATA.md").read_text()
    data = files("weft.demo").joinpath("sonnets.txt").read_bytes()
    assert hashlib.sha256(data).hexdigest() in note
    model = transformer.initial(weft.random.key(0), len(alphabet))
    scores = weft.jit(transformer.scores)
    piece = text[: transformer.CONTEXT]
    changed = np.append(piece[:-1], (piece[-1] + 1) % len(alphabet)).astype(np.int32)
    before, after = scores(model, piece), scores(model, changed)
    np.testing.assert_allclose(before[:-1], after[:-1], atol=1e-5)
    assert np.abs(np.asarray(before - after)[-1]).max() > 1e-3
    bits = np.asarray(transformer.read(model, text[:40]))
    last = transformer.surprise(model, text[15:40])
    assert bits.shape == (39,) and bits[-1] == pytest.approx(float(last[-1]), abs=1e-4)


def test_cells_do_not_change_before_they_learn_and_do_not_reach_farther_than_neighbours():
    rules = automata.initial(weft.random.key(0))
    cells = automata.seed(1, 9)
    still = automata.step(rules, cells, weft.random.key(1))
    assert np.array_equal(still, cells)
    rules = rules._replace(outer=rules.outer + 0.1, bias=rules.bias + 1)
    grown = np.asarray(automata.grow(rules, cells, weft.random.key(1), 3))[:, 0]
    reach = [np.argwhere(state.any(-1)) - 4 for state in grown]
    assert [abs(r).max() <= n + 1 for n, r in enumerate(reach)] == [True] * 3
    ramp = np.broadcast_to(np.arange(9.0)[:, None, None], (1, 9, 9, 1))
    down, right = np.asarray(automata.perceive(ramp))[0, 4, 4, 1:]
    assert (down, right) == (1, 0)


def test_heat_finds_distances_on_a_flat_torus(monkeypatch):
    monkeypatch.setattr(geodesics, "SWEEPS", 400)
    # Flat in four dimensions; in three, a slender torus whose rings are nearly straight.
    along, around, radius = 96, 12, 30.0
    t, a = np.arange(along) * 2 * np.pi / along, np.arange(around) * 2 * np.pi / around
    ring = radius + 1.0 * np.cos(a)[None, :]
    x, y = ring * np.cos(t)[:, None], ring * np.sin(t)[:, None]
    places = np.stack([x, y, np.broadcast_to(np.sin(a), x.shape)], -1).reshape(-1, 3)
    mesh = geodesics.Mesh(places, geodesics.torus_faces(along, around))
    far = np.asarray(geodesics.distances(mesh, np.int32(0))).reshape(along, around)
    shape = geodesics.geometry(mesh)
    area = 4 * np.pi**2 * radius
    assert float(np.sum(shape.areas)) == pytest.approx(area, rel=0.05)
    # On the outer circle, where it starts, the inside is not longer than half of the way around.
    steps = np.arange(10, 40)
    expected = steps * 2 * np.pi * (radius - 1) / along
    np.testing.assert_allclose(far[steps].min(axis=1), expected, rtol=0.12)


def test_charts_are_xml_with_data_where_the_axes_say(tmp_path):
    chart = svg.Chart(200, 100)
    panel = svg.Panel(chart, (20, 10, 160, 80), (0, 4), (0, 2), "A < B")
    panel.line([0, 4], [0, 2], "#123456")
    panel.bars(np.array([0, 2, 4]), np.array([1, 2]), "#abcdef")
    chart.save(tmp_path / "chart.svg")
    root = ElementTree.parse(tmp_path / "chart.svg").getroot()
    name = "{http://www.w3.org/2000/svg}"
    assert root.find(f"{name}polyline").get("points") == "20.0,90.0 180.0,10.0"
    assert [r.get("height") for r in root.findall(f"{name}rect")[1:]] == ["40.0", "80.0"]
    assert "A < B" in [text.text for text in root.iter(f"{name}text")]


@pytest.mark.parametrize(
    ("name", "small"),
    [
        ("mandelbrot", {"PIXELS": (10, 16), "ITERATIONS": 48}),
        ("wave", {"SHAPE": (100, 160), "WALL": 35, "SETTLING": 1}),
        ("pca", {"KEPT": (2,), "SIZE": 200}),
    ],
)
def test_a_demo_says_what_it_did_and_leaves_a_picture(name, small, tmp_path, monkeypatch):
    demo = importlib.import_module(f"weft.demo.{name}")
    for constant, value in small.items():
        monkeypatch.setattr(demo, constant, value)
    written, path = io.StringIO(), tmp_path / f"picture{DEMOS[name].suffix}"
    demo.show(Stage(Console(file=written, width=200), path))
    assert (
        re.search(r": (1 kernel|\d+ kernels) in ", written.getvalue())
        and str(path) in written.getvalue()
    )
    assert path.read_bytes().startswith(b"\x89PNG" if path.suffix == ".png" else b"<svg")
