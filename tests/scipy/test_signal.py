"""`weft.scipy.signal` against SciPy, its derivatives and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.signal as oracle

import weft
from weft.scipy import signal
from weft.scipy.signal.windows import COSINES, window_of


def draw(*shape: int, dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def close(actual: Any, wanted: Any) -> None:
    np.testing.assert_allclose(np.asarray(actual), wanted, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("method", ["auto", "direct", "fft"])
@pytest.mark.parametrize(
    ("first", "second"), [((7,), (3,)), ((3,), (8,)), ((5, 6), (2, 3)), ((4, 3, 5), (2, 2, 4))]
)
def test_convolutions(mode: str, method: str, first: Any, second: Any) -> None:
    for dtype in (np.float64, np.complex128):
        a, b = draw(*first, dtype=dtype), draw(*second, dtype=dtype, seed=1)
        for name in ("convolve", "correlate"):
            found = getattr(signal, name)(a, b, mode, method)
            close(found, getattr(oracle, name)(a, b, mode, "direct"))


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("boundary", ["fill", "wrap", "symm"])
def test_planes(mode: str, boundary: str) -> None:
    for second in ((3, 3), (2, 4)):
        a, b = draw(6, 7), draw(*second, seed=1)
        for name in ("convolve2d", "correlate2d"):
            found = getattr(signal, name)(a, b, mode, boundary, 0.5)
            close(found, getattr(oracle, name)(a, b, mode, boundary, 0.5))


def test_integers_are_exact_and_large_arrays_go_by_transforms() -> None:
    a, b = np.arange(5, dtype=np.int32), np.array([1, -2], np.int32)
    found = signal.convolve(a, b)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, np.convolve(a, b))
    text = str(weft.make_jaxpr(signal.convolve)(draw(4000), draw(2000)))
    assert "fft" in text and "conv_general" not in text
    assert signal.fftconvolve(a, b).dtype == np.float32


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_convolutions_over_some_axes(mode: str) -> None:
    a, b = draw(3, 8), draw(1, 4, seed=1)
    close(signal.fftconvolve(a, b, mode, axes=1), oracle.fftconvolve(a, b, mode, axes=1))


def test_trends() -> None:
    x = draw(3, 20) + np.arange(20)
    for kind in ("linear", "constant"):
        close(signal.detrend(x, type=kind), oracle.detrend(x, type=kind))
        close(signal.detrend(x, 0, kind), oracle.detrend(x, 0, kind))
    close(signal.detrend(x, bp=[5, 12]), oracle.detrend(x, bp=[5, 12]))


@pytest.mark.parametrize(
    "options",
    [
        {"nperseg": 32},
        {"nperseg": 9, "noverlap": 3, "fs": 2.5},
        {"nperseg": 8, "nfft": 12, "window": "hamming", "boundary": None},
        {"nperseg": 8, "return_onesided": False, "padded": False},
        {"nperseg": 8, "boundary": "even", "detrend": "constant"},
        {"nperseg": 8, "boundary": "odd", "detrend": "linear"},
        {"nperseg": 8, "boundary": "constant", "window": np.hanning(8)},
    ],
)
def test_short_transforms(options: dict[str, Any]) -> None:
    x = draw(2, 45)
    for axis in (-1, 0):
        given = x if axis == -1 else x.T
        found = signal.stft(given, axis=axis, **options)
        for a, b in zip(found, oracle.stft(given, axis=axis, **options), strict=True):
            close(a, b)


@pytest.mark.filterwarnings("ignore:NOLA")
@pytest.mark.parametrize("onesided", [True, False])
@pytest.mark.parametrize("boundary", [True, False])
def test_short_transforms_are_undone(onesided: bool, boundary: bool) -> None:
    x = draw(2, 64)
    options: dict[str, Any] = {"nperseg": 16, "noverlap": 12}
    edge = "zeros" if boundary else None
    _, _, z = oracle.stft(x, return_onesided=onesided, boundary=edge, **options)
    t, back = signal.istft(z, 2.0, input_onesided=onesided, boundary=boundary, **options)
    _, wanted = oracle.istft(z, 2.0, input_onesided=onesided, boundary=boundary, **options)
    close(back, wanted)
    close(t, np.arange(64) / 2)
    if boundary:
        np.testing.assert_allclose(back, x, atol=1e-12)
    turned = np.moveaxis(z, (0, 1, 2), (2, 0, 1))
    close(
        signal.istft(
            turned, input_onesided=onesided, boundary=boundary, time_axis=1, freq_axis=0, **options
        )[1],
        wanted.T,
    )


@pytest.mark.parametrize(
    "options",
    [
        {"nperseg": 32},
        {"nperseg": 16, "fs": 3.0, "average": "median"},
        {"nperseg": 15, "scaling": "spectrum", "detrend": "linear"},
        {"nperseg": 16, "return_onesided": False, "detrend": False},
        {"nperseg": 16, "axis": 0},
    ],
)
def test_spectral_densities(options: dict[str, Any]) -> None:
    x, y = draw(60, 50), draw(60, 50, seed=1)
    for a, b in zip(signal.welch(x, **options), oracle.welch(x, **options), strict=True):
        close(a, b)
    for a, b in zip(signal.csd(x, y, **options), oracle.csd(x, y, **options), strict=True):
        close(a, b)


def test_derivatives_and_batches() -> None:
    x, d, h = draw(30), draw(30, seed=1), 1e-6
    kernel = draw(4, seed=2)
    functions: list[Callable[[Any], Any]] = [
        lambda x: signal.convolve(x, kernel),
        lambda x: signal.fftconvolve(x, kernel, "same"),
        lambda x: signal.welch(x, nperseg=8)[1],
        lambda x: abs(signal.stft(x, nperseg=8)[2]) ** 2,
        lambda x: signal.istft(signal.stft(x, nperseg=8)[2] ** 2, nperseg=8)[1],
    ]
    with weft.disable_jit():
        for f in functions:
            slope = np.asarray(weft.jvp(f, (x,), (d,))[1])
            difference = (np.asarray(f(x + h * d)) - np.asarray(f(x - h * d))) / (2 * h)
            np.testing.assert_allclose(slope, difference, rtol=1e-6, atol=1e-7)
            gradient = np.asarray(weft.grad(lambda x, f=f: (f(x) ** 2).sum())(x))
            value = 2 * np.sum(np.asarray(f(x)) * difference)
            np.testing.assert_allclose(np.sum(gradient * d), value, rtol=1e-6)
            close(weft.vmap(f)(np.stack([x, d]))[1], np.asarray(f(d)))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: signal.convolve(draw(3), draw(2), "x"), ValueError, "mode is 'full', 'same' or"),
        (lambda: signal.convolve(draw(3), draw(2, 2)), ValueError, "have as many axes, got shapes"),
        (lambda: signal.convolve(draw(0), draw(2)), ValueError, "inputs have elements"),
        (lambda: signal.convolve(draw(2), draw(2), method="x"), ValueError, "method is 'auto',"),
        (
            lambda: signal.convolve(draw(2, 3), draw(3, 2), "valid"),
            ValueError,
            "at least as large along every axis",
        ),
        (lambda: signal.convolve2d(draw(2), draw(2)), ValueError, "inputs have two axes"),
        (
            lambda: signal.convolve2d(draw(2, 2), draw(2, 2), boundary="x"),
            ValueError,
            "boundary is 'fill', 'wrap' or 'symm'",
        ),
        (lambda: signal.detrend(draw(3), type="x"), ValueError, "type is 'constant' or 'linear'"),
        (lambda: signal.detrend(draw(3), bp=4), ValueError, "breakpoints lie in an axis of 3"),
        (lambda: signal.stft(draw(9), noverlap=9), ValueError, "0 <= noverlap < nperseg is needed"),
        (lambda: signal.stft(draw(9), nfft=2), ValueError, "nfft is at least nperseg"),
        (
            lambda: signal.stft(draw(9), boundary="x"),
            ValueError,
            "boundary is None, 'zeros'",
        ),
        (lambda: signal.welch(draw(9), average="x"), ValueError, "average is 'mean' or 'median'"),
        (
            lambda: signal.welch(draw(9), scaling="x"),
            ValueError,
            "scaling is 'density' or",
        ),
        (
            lambda: signal.stft(draw(9), nperseg=4, window=np.ones(3)),
            ValueError,
            "a vector of nperseg=4 weights",
        ),
        (lambda: signal.istft(draw(3)), ValueError, "axes of frequencies and times"),
    ],
)
def test_errors_say_what_to_do(call: Callable[[], Any], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("window", [*COSINES, "bartlett", 8.6, ("gaussian", 3.0)])
def test_windows_are_those_of_scipy(window: Any) -> None:
    for length in (1, 2, 7, 64):
        found = window_of(window, length)
        np.testing.assert_array_equal(found, oracle.get_window(window, length))
        assert found.dtype == np.float64
