"""`weft.scipy.spatial`: rotations of space."""

from __future__ import annotations

from weft.scipy.spatial import transform

__all__ = ["transform"]
