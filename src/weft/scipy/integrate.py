"""`weft.scipy.integrate`: integrals of samples."""

from __future__ import annotations

from weft.numpy.calculus import trapezoid

__all__ = ["trapezoid"]
