"""A small PNG writer: pictures in 24 bits, animations in 256 colours.

PNG specification, third edition: IHDR, PLTE, IDAT, IEND; acTL, fcTL and fdAT for animations.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

RGB, INDEXED = 2, 3  # types of colour
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write `pixels`, uint8 of shape (height, width, 3), as an RGB picture.

    Raises `TypeError` for another dtype and `ValueError` for another shape.
    """
    path.write_bytes(png(pixels))


def png(pixels: np.ndarray) -> bytes:
    """What `write_png` writes."""
    _require_bytes("write_png", "pixels", pixels)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(f"write_png: pixels have shape {pixels.shape}, not (height, width, 3)")
    height, width, _ = pixels.shape
    data = _compressed(pixels.reshape(height, -1))
    chunks = _header(height, width, RGB), _chunk(b"IDAT", data), _chunk(b"IEND", b"")
    return SIGNATURE + b"".join(chunks)


def write_animation(
    path: Path, frames: np.ndarray, palette: np.ndarray, per_second: int = 25
) -> None:
    """Write `frames` as a picture that moves, for ever: an animated PNG, which browsers show.

    `frames` is uint8 of shape (frames, height, width): places in `palette`, uint8 of shape
    (colours, 3) with at most 256 colours. Raises `TypeError` for other dtypes and `ValueError`
    for other shapes.
    """
    _require_bytes("write_animation", "frames", frames)
    _require_bytes("write_animation", "palette", palette)
    if frames.ndim != 3 or 0 in frames.shape:
        raise ValueError(
            f"write_animation: frames have shape {frames.shape}, not (frames, height, width)"
        )
    if palette.ndim != 2 or palette.shape[1] != 3 or frames.max() >= len(palette):
        raise ValueError(
            f"write_animation: palette has shape {palette.shape}; "
            f"frames need ({int(frames.max()) + 1}, 3)"
        )
    count, height, width = frames.shape
    chunks = [_header(height, width, INDEXED), _chunk(b"PLTE", palette.tobytes())]
    chunks.append(_chunk(b"acTL", struct.pack(">II", count, 0)))
    number = 0
    for place, frame in enumerate(frames):
        control = struct.pack(">IIIIIHHBB", number, width, height, 0, 0, 1, per_second, 0, 0)
        chunks.append(_chunk(b"fcTL", control))
        data, number = _compressed(frame), number + 1
        if place == 0:  # what viewers without animation show
            chunks.append(_chunk(b"IDAT", data))
        else:
            chunks.append(_chunk(b"fdAT", struct.pack(">I", number) + data))
            number += 1
    path.write_bytes(SIGNATURE + b"".join(chunks) + _chunk(b"IEND", b""))


def _require_bytes(name: str, argument: str, array: np.ndarray) -> None:
    if array.dtype != np.uint8:
        raise TypeError(f"{name}: {argument} are {array.dtype}; convert them to uint8")


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def _header(height: int, width: int, colour: int) -> bytes:
    return _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))


def _compressed(rows: np.ndarray) -> bytes:
    filters = np.zeros((len(rows), 1), np.uint8)  # each row starts with its filter: none
    return zlib.compress(np.concatenate([filters, rows], axis=1).tobytes(), 9)
