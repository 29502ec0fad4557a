"""The smallest useful PNG writer (PNG specification, third edition: IHDR, IDAT, IEND)."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write `pixels`, uint8 of shape (height, width, 3), as an RGB picture.

    Raises `TypeError` for another dtype and `ValueError` for another shape.
    """
    if pixels.dtype != np.uint8:
        raise TypeError(f"write_png: pixels are {pixels.dtype}; convert them to uint8")
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(f"write_png: pixels have shape {pixels.shape}, not (height, width, 3)")
    height, width, _ = pixels.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB
    filters = np.zeros((height, 1), np.uint8)  # each row starts with its filter: none
    rows = np.concatenate([filters, pixels.reshape(height, -1)], axis=1).tobytes()
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*item) for item in chunks))
