"""Numbers as people read them."""

from __future__ import annotations


def seconds_text(value: float) -> str:
    """Such as ``1.25 ms``."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= scale:
            return f"{_short(value / scale)} {unit}"
    return f"{_short(value * 1e9)} ns"


def bytes_text(value: float) -> str:
    """Such as ``1.25 MB``, of 10^6 bytes."""
    return f"{count_text(value)}B"


def count_text(value: float) -> str:
    """Such as ``1.25 M``: a unit follows."""
    for unit, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{_short(value / scale)} {unit}"
    return f"{value:.0f} "


def _short(value: float) -> str:
    """Three digits, and no exponent."""
    return f"{value:.0f}" if value >= 99.95 else f"{value:.3g}"
