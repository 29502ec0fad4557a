"""Weights of the windows that segments of a signal are multiplied with."""

from __future__ import annotations

import numpy as np

#: Weights of cosines of 0, 1, 2, … periods: the windows that are sums of these (SciPy's figures).
COSINES: dict[str, tuple[float, ...]] = {
    "boxcar": (1.0,),
    "hann": (0.5, 0.5),
    "hamming": (0.54, 1 - 0.54),
    "blackman": (0.42, 0.50, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
}


def window_of(window: str | float | tuple, length: int) -> np.ndarray:
    """``scipy.signal.get_window(window, length)``: one period, in float64.

    Sums of cosines are computed here, as importing SciPy's signals takes longer than compiling most
    programs; the others are SciPy's.
    """
    weights = COSINES.get(window) if isinstance(window, str) else None
    if weights is None:
        from scipy.signal import get_window

        return get_window(window, length)
    if length == 1:
        return np.ones(1)
    angles = np.linspace(-np.pi, np.pi, length + 1)[:-1]
    return sum((a * np.cos(k * angles) for k, a in enumerate(weights)), np.zeros(length))
