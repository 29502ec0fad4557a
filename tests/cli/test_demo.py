"""The demo programs, small: Weft and NumPy agree, the data and the picture are what they say."""

from __future__ import annotations

import hashlib
import struct
import zlib
from importlib.resources import files

import numpy as np
import pytest

import weft
from weft.demo import digits, fluid
from weft.demo.marbling import INKS, magnify, picture
from weft.demo.png import write_png


def test_digits_are_the_published_file():
    data = files("weft.demo").joinpath("digits.csv.gz").read_bytes()
    note = files("weft.demo").joinpath("DATA.md").read_text()
    assert hashlib.sha256(data).hexdigest() in note


def test_split_is_stratified_and_complete():
    train, test = digits.load()
    assert (len(train.labels), len(test.labels)) == (1438, 359)
    shares = np.bincount(test.labels) / np.bincount(np.append(train.labels, test.labels))
    assert np.all(np.abs(shares - 0.2) < 0.005)
    assert train.images.shape == (1438, 64) and train.images.dtype == np.float32
    assert train.images.min() == 0 and train.images.max() == 1
    everything = np.concatenate([train.images, test.images])
    assert len(np.unique(everything, axis=0)) == len(everything)  # none is on both sides


def test_gradients_by_hand_are_weft_s():
    train, _ = digits.load()
    images, targets = next(digits.batches(train))
    assert np.allclose(targets.sum(axis=1), 1)
    state = digits.initial_state()
    value, gradients = weft.value_and_grad(digits.loss)(state.layers, images, targets)
    layers = digits.numpy_state(state).layers
    numpy_value, numpy_gradients = digits.numpy_gradients(layers, images, targets)
    assert float(value) == pytest.approx(numpy_value, rel=1e-5)
    for ours, theirs in zip(gradients, numpy_gradients, strict=True):
        np.testing.assert_allclose(ours.weights, theirs.weights, atol=1e-6)
        np.testing.assert_allclose(ours.biases, theirs.biases, atol=1e-6)


def test_training_follows_numpy_and_learns():
    train, test = digits.load()
    state = digits.initial_state()
    numpy_state = digits.numpy_state(state)
    before = float(digits.accuracy(state.layers, *test))
    for _, batch in zip(range(20), digits.batches(train), strict=False):
        state, loss = digits.train_step(state, *batch)
        numpy_state, numpy_loss = digits.numpy_train_step(numpy_state, *batch)
        assert float(loss) == pytest.approx(numpy_loss, rel=1e-3)
    assert before < 0.3
    assert float(digits.accuracy(state.layers, *test)) > 0.8


def test_fluid_follows_numpy_and_projection_removes_divergence():
    start = fluid.initial_state(size=24)
    ours, theirs = fluid.simulate(start), fluid.numpy_simulate(start)
    for name, a, b in zip(fluid.State._fields, ours, theirs, strict=True):
        np.testing.assert_allclose(np.asarray(a), b, atol=2e-4, err_msg=name)
    carried = fluid.carry(np, theirs)
    pressure = carried.pressure
    for _ in range(2000):
        pressure = fluid.sweep(np, pressure, fluid.divergence(np, carried))
    before = np.abs(fluid.divergence(np, carried)).mean()
    after = np.abs(fluid.divergence(np, fluid.accelerate(np, carried, pressure))).mean()
    assert after < before


def test_png_holds_the_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    path = tmp_path / "picture.png"
    write_png(path, pixels)
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, place = {}, 8
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        kind, content = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, place + 8 + length)
        assert checksum == zlib.crc32(kind + content)
        chunks[kind], place = content, place + 12 + length
    assert chunks[b"IHDR"] == struct.pack(">IIBBBBB", 7, 5, 8, 2, 0, 0, 0)
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(5, 1 + 7 * 3)
    assert np.all(rows[:, 0] == 0)
    assert np.array_equal(rows[:, 1:].reshape(pixels.shape), pixels)


def test_png_refuses_what_is_not_a_picture(tmp_path):
    path = tmp_path / "picture.png"
    with pytest.raises(TypeError, match="pixels are float64; convert them to uint8"):
        write_png(path, np.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match=r"shape \(2, 2\), not \(height, width, 3\)"):
        write_png(path, np.zeros((2, 2), np.uint8))
    assert not path.exists()


def test_magnify_interpolates_around_the_edge():
    field = np.array([[0, 4], [8, 12]], np.float32)
    assert magnify(field, 2)[0].tolist() == [0, 2, 4, 2]
    assert magnify(field, 2)[:, 0].tolist() == [0, 4, 8, 4]


def test_picture_of_fluid_at_rest_shows_the_inks():
    size = 16
    rest = np.zeros((size, size), np.float32)
    pixels = picture(rest, rest)
    assert pixels.shape == (2 * size, 2 * size, 3) and pixels.dtype == np.uint8
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) >= len(np.unique(INKS, axis=0))
    # Moving everything by one cell moves the picture by two pixels.
    moved = picture(rest + 1, rest)
    assert np.array_equal(moved[:, :-2], pixels[:, 2:])
