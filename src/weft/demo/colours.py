"""Palettes: a few colours, and 256 between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MIDNIGHT = ("#05060f", "#101a4a", "#3b2a8c", "#a03a8e", "#f0715a", "#fdc56b", "#fff8e0")
TIDE = ("#031626", "#0b4a6f", "#2f93b0", "#f4f1e6", "#e8a15c", "#b4472f", "#3a0d12")
DUSK = ("#0a0a2a", "#1e3a7a", "#4f9bc9", "#f7f3dd", "#f2a541", "#8a2c1d", "#0a0a2a")


def palette(stops: Sequence[str], colours: int = 256) -> np.ndarray:
    """Colours from the first of `stops` ("#rrggbb") to the last: uint8, (colours, 3)."""
    known = np.array([[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in stops], float)
    place = np.linspace(0, len(stops) - 1, colours)
    channels = [np.interp(place, np.arange(len(stops)), channel) for channel in known.T]
    return (np.stack(channels, axis=1) + 0.5).astype(np.uint8)


def shade(values: np.ndarray, stops: Sequence[str]) -> np.ndarray:
    """Return the colours of numbers, clipped to 0 to 1, as uint8 of shape (..., 3)."""
    place = np.clip(np.nan_to_num(values), 0, 1) * 1023
    return palette(stops, 1024)[place.astype(int)]
