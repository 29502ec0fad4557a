"""`weft.scipy.cluster`: vector quantization."""

from __future__ import annotations

from weft.scipy.cluster import vq

__all__ = ["vq"]
