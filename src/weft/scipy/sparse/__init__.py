"""`weft.scipy.sparse`: solvers for systems that are given by functions."""

from __future__ import annotations

from weft.scipy.sparse import linalg

__all__ = ["linalg"]
