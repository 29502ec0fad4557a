"""Spectra of signals by short Fourier transforms of overlapping segments."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import weft.numpy as wnp
from weft.core import dtypes
from weft.numpy._common import ArrayLike, Value, canonical_axis, dtype_of, promote_inexact
from weft.scipy.signal.windows import window_of

Window = str | float | tuple | ArrayLike


def detrend(
    data: ArrayLike,
    axis: int = -1,
    type: str = "linear",
    bp: int | Sequence[int] = 0,
    overwrite_data: None = None,
) -> Value:
    """Without the mean (``type="constant"``) or the line of least squares (``"linear"``) along
    `axis`; of each part between the breakpoints `bp` by itself.

    >>> weft.scipy.signal.detrend(np.array([1., 2., 3.]), type="constant")
    Array([-1.,  0.,  1.], dtype=float32)
    """
    del overwrite_data
    (x,) = (wnp.asarray(v) for v in promote_inexact("scipy.signal.detrend", data))
    if type not in ("constant", "linear"):
        raise ValueError(f"weft.scipy.signal.detrend: type is 'constant' or 'linear', got {type!r}")
    along = canonical_axis("scipy.signal.detrend", axis, x.ndim)
    if type == "constant":
        return x - wnp.mean(x, along, keepdims=True)
    n = x.shape[along]
    given = [operator.index(bp)] if isinstance(bp, int | np.integer) else [int(b) for b in bp]
    cuts = sorted({0, n, *given})
    if cuts[0] < 0 or cuts[-1] > n:
        raise ValueError(f"weft.scipy.signal.detrend: breakpoints lie in an axis of {n}, got {bp}")
    x = wnp.moveaxis(x, along, -1)
    parts = []
    for start, stop in itertools.pairwise(cuts):
        # Orthonormal columns of what lines are made of.
        lines = np.stack([np.ones(stop - start), np.arange(1.0, stop - start + 1)], -1)
        basis = np.linalg.qr(lines)[0].astype(dtype_of(x))
        part = x[..., start:stop]
        parts.append(part - (part @ basis) @ basis.T)
    return wnp.moveaxis(wnp.concatenate(parts, -1), -1, along)


def _window(name: str, window: Window, length: int | None, dtype: np.dtype) -> np.ndarray:
    """The window's weights; those of a name (or a tuple of one and its parameters) are SciPy's."""
    if isinstance(window, str | tuple | float):
        assert length is not None
        return np.asarray(window_of(window, length), dtype)
    weights = np.asarray(window)
    if weights.ndim != 1 or (length is not None and len(weights) != length):
        raise ValueError(
            f"weft.scipy.signal.{name}: window is a name or a vector of nperseg={length} weights, "
            f"got shape {weights.shape}"
        )
    return weights.astype(dtype)


def _segment_sizes(
    name: str, window: Window, n: int, nperseg: int | None, noverlap: int | None, nfft: int | None
) -> tuple[int, int, int]:
    """Lengths of segments, of what neighbours share, and of their transforms."""
    if nperseg is None:
        named = isinstance(window, str | tuple | float)
        nperseg = 256 if named else len(np.asarray(window))
    size = operator.index(nperseg)
    if size < 1:
        raise ValueError(f"weft.scipy.signal.{name}: nperseg is at least 1, got {size}")
    size = min(size, n)
    shared = size // 2 if noverlap is None else operator.index(noverlap)
    length = size if nfft is None else operator.index(nfft)
    if shared >= size or shared < 0:
        raise ValueError(
            f"weft.scipy.signal.{name}: 0 <= noverlap < nperseg is needed, got noverlap={shared}, "
            f"nperseg={size}"
        )
    if length < size:
        raise ValueError(
            f"weft.scipy.signal.{name}: nfft is at least nperseg, got nfft={length}, nperseg={size}"
        )
    return size, shared, length


def _segments(x: Value, size: int, step: int) -> Value:
    """Overlapping segments of the last axis, along a new axis before it."""
    count = (x.shape[-1] - size) // step + 1
    index = step * np.arange(count)[:, None] + np.arange(size)
    taken = wnp.take(x, index.reshape(-1).astype(np.int32), axis=-1)
    return wnp.reshape(taken, (*x.shape[:-1], count, size))


def _trend_of(detrend_type: Any) -> Callable[[Value], Value]:
    if not detrend_type:
        return lambda x: x
    if callable(detrend_type):
        return detrend_type
    return lambda x: detrend(x, -1, detrend_type)


_BOUNDARIES = {"zeros": "constant", "even": "reflect", "constant": "edge"}


def _extended(name: str, x: Value, boundary: str | None, width: int) -> Value:
    if boundary is None or not width:
        return x
    widths = [(0, 0)] * (x.ndim - 1) + [(width, width)]
    if boundary == "odd":
        left, right = x[..., :1], x[..., -1:]
        before = 2 * left - wnp.flip(x[..., 1 : width + 1], -1)
        after = 2 * right - wnp.flip(x[..., -width - 1 : -1], -1)
        return wnp.concatenate([before, x, after], -1)
    if boundary not in _BOUNDARIES:
        raise ValueError(
            f"weft.scipy.signal.{name}: boundary is None, 'zeros', 'even', 'odd' or 'constant', "
            f"got {boundary!r}"
        )
    return wnp.pad(x, widths, mode=_BOUNDARIES[boundary])


def _transformed(
    name: str,
    signals: Sequence[Value],
    fs: ArrayLike,
    window: Window,
    nperseg: int | None,
    noverlap: int | None,
    nfft: int | None,
    detrend_type: Any,
    onesided: bool,
    scaling: str,
    boundary: str | None = None,
    padded: bool = False,
) -> tuple[Value, Value, list[Value], Value, int]:
    """Frequencies, times, spectra ``(…, time, frequency)``, their scale, and nfft."""
    if scaling not in ("density", "spectrum"):
        raise ValueError(
            f"weft.scipy.signal.{name}: scaling is 'density' or 'spectrum', got {scaling!r}"
        )
    x = signals[0]
    real = dtypes.real_dtype(dtype_of(x))
    size, shared, length = _segment_sizes(name, window, x.shape[-1], nperseg, noverlap, nfft)
    step = size - shared
    weights = _window(name, window, size, real)
    trend = _trend_of(detrend_type)
    half = any(dtypes.is_complex(dtype_of(s)) for s in signals)
    onesided = onesided and not half
    spectra = []
    for signal in signals:
        signal = _extended(name, signal, boundary, size // 2)
        if padded:
            missing = (-(signal.shape[-1] - size) % step) % size
            signal = wnp.pad(signal, [(0, 0)] * (signal.ndim - 1) + [(0, missing)])
        segments = trend(_segments(signal, size, step)) * weights
        transform = wnp.fft.rfft if onesided else wnp.fft.fft
        spectra.append(transform(segments, length))
    rate = wnp.asarray(fs, real)
    if scaling == "density":
        scale = 1 / (rate * float(np.sum(np.square(weights.astype(np.float64)))))
    else:
        scale = wnp.asarray(1 / float(np.sum(weights.astype(np.float64))) ** 2, real)
    frequencies = wnp.fft.rfftfreq if onesided else wnp.fft.fftfreq
    f = frequencies(length, 1 / rate, dtype=real)
    times = (size / 2 + step * np.arange(spectra[0].shape[-2])).astype(real)
    if boundary is not None:
        times = times - np.asarray(size / 2, real)
    return f, wnp.asarray(times) / rate, spectra, scale, length


def _last(name: str, x: ArrayLike, axis: int) -> tuple[Value, int]:
    """The signal with time in the last axis, and where that was, counted from the end."""
    (value,) = (wnp.asarray(v) for v in promote_inexact(f"scipy.signal.{name}", x))
    if not value.size:
        raise ValueError(f"weft.scipy.signal.{name}: the signal has elements, got {value.shape}")
    along = canonical_axis(f"scipy.signal.{name}", axis, value.ndim)
    return wnp.moveaxis(value, along, -1), along - value.ndim


def stft(
    x: ArrayLike,
    fs: ArrayLike = 1.0,
    window: Window = "hann",
    nperseg: int = 256,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = False,
    return_onesided: bool = True,
    boundary: str | None = "zeros",
    padded: bool = True,
    axis: int = -1,
) -> tuple[Value, Value, Value]:
    """``(frequencies, times, Zxx)``: the Fourier transforms of windowed, overlapping segments.

    Frequencies are where `axis` was, times in a new last axis. Arguments are those of
    ``scipy.signal.stft``.

    >>> f, t, z = weft.scipy.signal.stft(np.ones(8), nperseg=4)
    >>> z.shape
    (3, 5)
    """
    signal, along = _last("stft", x, axis)
    f, t, (spectrum,), scale, _ = _transformed(
        "stft",
        [signal],
        fs,
        window,
        nperseg,
        noverlap,
        nfft,
        detrend,
        return_onesided,
        "spectrum",
        boundary,
        padded,
    )
    return f, t, wnp.moveaxis(spectrum * wnp.sqrt(scale), -1, along - 1)


def csd(
    x: ArrayLike,
    y: ArrayLike | None,
    fs: ArrayLike = 1.0,
    window: Window = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    average: str = "mean",
) -> tuple[Value, Value]:
    """``(frequencies, Pxy)``: the cross power spectral density, by Welch's method.

    Arguments are those of ``scipy.signal.csd``; without `y` it is that of `x` with itself.

    >>> x = np.sin(np.arange(64.0))
    >>> frequencies, density = weft.scipy.signal.csd(x, x, nperseg=32)
    >>> density.shape
    (17,)
    """
    return _density(
        "csd", x, y, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis,
        average,
    )  # fmt: skip


def welch(
    x: ArrayLike,
    fs: ArrayLike = 1.0,
    window: Window = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    average: str = "mean",
) -> tuple[Value, Value]:
    """``(frequencies, Pxx)``: the power spectral density, averaged over overlapping segments.

    Arguments are those of ``scipy.signal.welch``.

    >>> f, p = weft.scipy.signal.welch(np.ones(8), nperseg=4)
    >>> p.round(3)
    Array([0., 0., 0.], dtype=float32)
    """
    f, density = _density(
        "welch", x, None, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling,
        axis, average,
    )  # fmt: skip
    return f, wnp.real(density) if dtypes.is_complex(dtype_of(density)) else density


def _density(
    name: str,
    x: ArrayLike,
    y: ArrayLike | None,
    fs: ArrayLike,
    window: Window,
    nperseg: int | None,
    noverlap: int | None,
    nfft: int | None,
    detrend_type: Any,
    onesided: bool,
    scaling: str,
    axis: int,
    average: str,
) -> tuple[Value, Value]:
    if average not in ("mean", "median"):
        raise ValueError(
            f"weft.scipy.signal.{name}: average is 'mean' or 'median', got {average!r}"
        )
    first, along = _last(name, x, axis)
    signals = [first]
    if y is not None:
        second, _ = _last(name, y, axis)
        short = max(first.shape[-1], second.shape[-1])
        signals = [
            wnp.pad(s, [(0, 0)] * (s.ndim - 1) + [(0, short - s.shape[-1])])
            for s in (first, second)
        ]
    f, _, spectra, scale, length = _transformed(
        name, signals, fs, window, nperseg, noverlap, nfft, detrend_type, onesided, scaling
    )
    if y is None:
        power = wnp.square(wnp.real(spectra[0])) + wnp.square(wnp.imag(spectra[0]))
    else:
        power = wnp.conj(spectra[0]) * spectra[1]
    power = power * scale
    if power.shape[-1] != length:  # half of a spectrum: all but its own conjugates count twice
        twice = np.full(power.shape[-1], 2.0)
        twice[0] = 1
        if length % 2 == 0:
            twice[-1] = 1
        power = power * twice.astype(dtypes.real_dtype(dtype_of(power)))
    if average == "mean":
        result = wnp.mean(power, -2)
    else:
        result = _median(power, -2) / _median_bias(power.shape[-2])
    return f, wnp.moveaxis(result, -1, along)


def _median(x: Value, axis: int) -> Value:
    if not dtypes.is_complex(dtype_of(x)):
        return wnp.median(x, axis)
    return wnp.median(wnp.real(x), axis) + 1j * wnp.median(wnp.imag(x), axis)


def _median_bias(count: int) -> float:
    """The median over the mean of that many exponential numbers."""
    even = 2 * np.arange(1.0, (count - 1) // 2 + 1)
    return float(1 + np.sum(1 / (even + 1) - 1 / even))


def istft(
    Zxx: ArrayLike,
    fs: ArrayLike = 1.0,
    window: Window = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    input_onesided: bool = True,
    boundary: bool = True,
    time_axis: int = -1,
    freq_axis: int = -2,
) -> tuple[Value, Value]:
    """``(times, x)``: the signal of which `stft` with the same arguments gave `Zxx`.

    Exact where windows overlap such that their squares do not vanish.

    >>> x = np.arange(16.0)
    >>> _, _, z = weft.scipy.signal.stft(x, nperseg=8)
    >>> weft.scipy.signal.istft(z, nperseg=8)[1].round(3)[1:4]
    Array([1., 2., 3.], dtype=float32)
    """
    (z,) = (wnp.asarray(v) for v in promote_inexact("scipy.signal.istft", Zxx))
    if z.ndim < 2:
        raise ValueError(
            f"weft.scipy.signal.istft: Zxx has axes of frequencies and times, got {z.shape}"
        )
    times = canonical_axis("scipy.signal.istft", time_axis, z.ndim)
    frequencies = canonical_axis("scipy.signal.istft", freq_axis, z.ndim)
    if times == frequencies:
        raise ValueError("weft.scipy.signal.istft: time_axis and freq_axis are different axes")
    z = wnp.moveaxis(z, (times, frequencies), (-2, -1))
    count, known = z.shape[-2:]
    whole = 2 * (known - 1) if input_onesided else known
    size = whole if nperseg is None else operator.index(nperseg)
    if size < 1:
        raise ValueError(f"weft.scipy.signal.istft: nperseg is at least 1, got {size}")
    if nfft is None:
        length = size if input_onesided and size == whole + 1 else whole
    else:
        length = operator.index(nfft)
    shared = size // 2 if noverlap is None else operator.index(noverlap)
    if not 0 <= shared < size or length < size:
        raise ValueError(
            "weft.scipy.signal.istft: 0 <= noverlap < nperseg <= nfft is needed, got "
            f"noverlap={shared}, nperseg={size}, nfft={length}"
        )
    step = size - shared
    inverse = wnp.fft.irfft if input_onesided else wnp.fft.ifft
    segments = inverse(z, length)[..., :size]
    weights = _window("istft", window, size, dtypes.real_dtype(dtype_of(segments)))
    segments = segments * (weights * weights.sum())
    total = size + (count - 1) * step
    index = (step * np.arange(count)[:, None] + np.arange(size)).reshape(-1).astype(np.int32)
    flat = wnp.reshape(segments, (*segments.shape[:-2], -1))
    x = wnp.zeros((*flat.shape[:-1], total), dtype_of(flat)).at[..., index].add(flat)
    squares = np.zeros(total)
    np.add.at(squares, index, np.tile(np.square(weights.astype(np.float64)), count))
    if boundary:
        kept = slice(size // 2, total - size // 2)
        x, squares = x[..., kept], squares[kept]
    divisor = np.where(squares > 1e-10, squares, 1).astype(weights.dtype)
    x = x / divisor
    rate = wnp.asarray(fs, weights.dtype)
    t = wnp.asarray(np.arange(x.shape[-1]).astype(weights.dtype)) / rate
    return t, wnp.moveaxis(x, -1, times - (frequencies < times))
