"""`weft.numpy.lib`: what NumPy keeps in modules of its library."""

from __future__ import annotations

from weft.numpy.lib import stride_tricks

__all__ = ["stride_tricks"]
