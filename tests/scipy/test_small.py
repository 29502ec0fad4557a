"""Cosine transforms, interpolation, quantization and statistics of samples, against SciPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.cluster.vq
import scipy.fft
import scipy.ndimage
import scipy.stats

import weft
from weft.scipy import cluster, fft, integrate, ndimage, stats


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def close(actual: Any, wanted: Any) -> None:
    np.testing.assert_allclose(np.asarray(actual), wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("kind", [2, 3])
def test_cosine_transforms(norm: str | None, kind: int) -> None:
    for n in (1, 2, 5, 8):
        x = draw(3, n)
        for name in ("dct", "idct"):
            for size, axis in ((None, -1), (4, 1), (None, 0)):
                found = getattr(fft, name)(x, kind, size, axis, norm)
                close(found, getattr(scipy.fft, name)(x, kind, size, axis, norm))
    x = draw(3, 4, 5)
    for name in ("dctn", "idctn"):
        close(getattr(fft, name)(x, kind, norm=norm), getattr(scipy.fft, name)(x, kind, norm=norm))
        found = getattr(fft, name)(x, kind, (3, 6), (0, 2), norm)
        close(found, getattr(scipy.fft, name)(x, kind, (3, 6), (0, 2), norm))


@pytest.mark.parametrize("mode", ["constant", "nearest", "wrap", "mirror", "reflect"])
@pytest.mark.parametrize("order", [0, 1])
def test_interpolation(mode: str, order: int) -> None:
    x = draw(4, 5)
    at = np.random.default_rng(1).uniform(-6, 9, (2, 30))
    # SciPy's name for what is periodic in the number of elements.
    named = {"wrap": "grid-wrap", "constant": "grid-constant"}.get(mode, mode)
    wanted = scipy.ndimage.map_coordinates(x, at, order=order, mode=named, cval=0.5)
    close(ndimage.map_coordinates(x, list(at), order, mode, 0.5), wanted)
    whole = ndimage.map_coordinates(np.arange(5, dtype=np.int32), [np.array([1.4, 1.6])], 1)
    assert np.asarray(whole).tolist() == [1, 2] and whole.dtype == np.int32


def test_interpolation_has_derivatives() -> None:
    x, at, h = draw(6), np.array([1.3, 3.8]), 1e-6

    def f(x: Any, at: Any) -> Any:
        return (ndimage.map_coordinates(x, [at], 1) ** 2).sum()

    slopes = weft.grad(f, argnums=(0, 1))(x, at)
    d = draw(2, seed=1)
    difference = (float(f(x, at + h * d)) - float(f(x, at - h * d))) / (2 * h)
    np.testing.assert_allclose(np.sum(np.asarray(slopes[1]) * d), difference, rtol=1e-6)


def test_quantization_and_integrals() -> None:
    x, book = draw(9, 3), draw(4, 3, seed=1)
    for a, b in zip(cluster.vq.vq(x, book), scipy.cluster.vq.vq(x, book), strict=True):
        close(a, b)
    close(cluster.vq.vq(x[:, 0], book[:, 0])[1], scipy.cluster.vq.vq(x[:, 0], book[:, 0])[1])
    close(integrate.trapezoid(x[0], dx=0.5), np.trapezoid(x[0], dx=0.5))


@pytest.mark.parametrize("method", ["average", "min", "max", "dense", "ordinal"])
def test_ranks(method: str) -> None:
    x = np.random.default_rng(2).integers(0, 4, (3, 8)).astype(float)
    for axis in (None, 0, 1):
        found = np.asarray(stats.rankdata(x, method, axis=axis))
        wanted = scipy.stats.rankdata(x, method, axis=axis)
        np.testing.assert_array_equal(found.reshape(wanted.shape), wanted)


def test_modes_and_errors_of_means() -> None:
    x = np.random.default_rng(3).integers(0, 4, (5, 8))
    for axis in (None, 0, 1):
        for keepdims in (False, True):
            for a, b in zip(
                stats.mode(x, axis, keepdims=keepdims),
                scipy.stats.mode(x, axis, keepdims=keepdims),
                strict=True,
            ):
                np.testing.assert_array_equal(a, b)
        close(stats.sem(draw(5, 8), axis), scipy.stats.sem(draw(5, 8), axis))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: fft.dct(draw(3), 1), NotImplementedError, "type is 2 or 3, got 1"),
        (lambda: fft.dct(draw(3), norm="x"), ValueError, "norm is 'backward', 'ortho' or"),
        (lambda: fft.dct(draw(3) * 1j), TypeError, "x must be real"),
        (
            lambda: ndimage.map_coordinates(draw(3, 3), [draw(2)], 1),
            ValueError,
            "an array of 2 axes",
        ),
        (lambda: ndimage.map_coordinates(draw(3), [draw(2)], 3), NotImplementedError, "0 or 1"),
        (lambda: ndimage.map_coordinates(draw(3), [draw(2)], 1, "x"), ValueError, "mode is one of"),
        (lambda: cluster.vq.vq(draw(3, 2), draw(3, 3)), ValueError, "the last of one size"),
        (lambda: stats.rankdata(draw(3), "x"), ValueError, "method is 'average', 'min'"),
        (lambda: stats.sem(draw(3), nan_policy="omit"), NotImplementedError, "'propagate'"),
    ],
)
def test_errors_say_what_to_do(call: Callable[[], Any], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call()
