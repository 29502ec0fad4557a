"""Resampling against JAX 0.10.2's numbers, and what holds for every kernel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import weft
from weft import image
from weft.test_util import check_grads

X = np.sin(np.arange(20.0)).reshape(4, 5)
#: Elements (0, 0), (3, 1), (5, 2) and (6, 2) of X as (7, 3), by method and antialiasing.
RESIZED = {
    ("nearest", True): [0.000000000, -0.536572918, 0.149877210, 0.149877210],
    ("linear", True): [0.360630422, 0.047905976, 0.114628332, -0.236207557],
    ("linear", False): [0.280490328, 0.060206840, 0.189186031, -0.150410942],
    ("cubic", True): [0.457295016, 0.062381257, 0.078392174, -0.320753833],
    ("cubic", False): [0.311779774, 0.070988949, 0.208690934, -0.167346419],
    ("cubic-pytorch", True): [0.457295016, 0.062381257, 0.078392174, -0.320753833],
    ("cubic-pytorch", False): [0.366126952, 0.076380004, 0.229497004, -0.219887614],
    ("lanczos3", True): [0.496234918, 0.079896471, 0.080769185, -0.356911166],
    ("lanczos3", False): [0.339632112, 0.084851661, 0.225112202, -0.192957302],
    ("lanczos5", True): [0.473015949, 0.092668985, 0.062888236, -0.329337729],
    ("lanczos5", False): [0.327457881, 0.095591458, 0.183543606, -0.180597575],
    ("area", True): [0.336588394, 0.049136062, 0.032756377, -0.210468573],
}
#: Elements (0, 0), (1, 1), (3, 2) and (5, 3) of X moved into a frame of (6, 5).
MOVED = {
    "linear": [0.000000000, -0.099363346, -0.122142097, -0.075338904],
    "cubic": [0.000000000, -0.163093034, -0.126304977, -0.112945906],
    "lanczos3": [0.000000000, -0.124591175, -0.148097712, -0.173580572],
    "area": [0.000000000, -0.291083896, -0.058202941, 0.021182287],
}
SCALE, MOVE = np.array([1.5, 0.6]), np.array([-0.4, 0.7])


@pytest.fixture(autouse=True)
def _one_operation_at_a_time() -> Iterator[None]:
    with weft.disable_jit():
        yield


@pytest.mark.parametrize(("method", "antialias"), RESIZED)
def test_resize(method: str, antialias: bool) -> None:
    found = np.asarray(image.resize(X, (7, 3), method, antialias))
    wanted = RESIZED[method, antialias]
    np.testing.assert_allclose(found[[0, 3, 5, 6], [0, 1, 2, 2]], wanted, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("method", MOVED)
def test_scale_and_translate(method: str) -> None:
    found = np.asarray(image.scale_and_translate(X, (6, 5), (0, 1), SCALE, MOVE, method))
    np.testing.assert_allclose(
        found[[0, 1, 3, 5], [0, 1, 2, 3]], MOVED[method], rtol=1e-7, atol=1e-8
    )


@pytest.mark.parametrize("method", [m for m in image.ResizeMethod if m.value])
def test_constant_images_stay_constant(method: image.ResizeMethod) -> None:
    for antialias in (True, False):
        found = np.asarray(image.resize(np.full((6, 2, 3), 2.5), (4, 5, 3), method, antialias))
        np.testing.assert_allclose(found, 2.5, rtol=1e-12)


def test_axes_that_keep_their_size_are_left_alone() -> None:
    kept = image.resize(X, X.shape, "cubic")
    assert np.array_equal(kept, X)
    assert image.resize(np.arange(4), (2,), "nearest").tolist() == [1, 3]
    assert image.resize(np.arange(4, dtype=np.int32), (2,), "linear").dtype == np.float32
    assert image.resize(X, (0, 5), "linear").shape == (0, 5)


def test_derivatives_in_scale_and_translation() -> None:
    def moved(x, scale, move):
        return image.scale_and_translate(x, (4, 5), (0, 1), scale, move, "cubic")

    check_grads(moved, (X, SCALE, MOVE), order=1)


def test_errors() -> None:
    for error, call in {
        r"resize: an image of shape \(4, 5\) gets a shape": lambda: image.resize(X, (3,), "linear"),
        "the method is one of .*, got 'best'": lambda: image.resize(X, (3, 3), "best"),
        "has no method 'nearest'": lambda: image.scale_and_translate(
            X, (4, 5), (0,), SCALE[:1], MOVE[:1], "nearest"
        ),
        r"a number for each of 1 spatial_dims, got shapes \(2,\)": lambda: (
            image.scale_and_translate(X, (4, 5), (0,), SCALE, MOVE, "linear")
        ),
    }.items():
        with pytest.raises(ValueError, match=error):
            call()
