"""The measured figures of this machine, as a file in the cache folder.

``weft devices --measure`` writes them; from then on the machine model has them in place of the
built-in ones.  The file's name tells the processor and the format, so that machines may share a
folder.  Only a file of this user that nobody else may write is read; one that is damaged is a
warning, and not used.
"""

from __future__ import annotations

import hashlib
import os
import stat
import warnings
from functools import lru_cache
from math import isfinite
from typing import Any

from weft.config import config
from weft.runtime.identity import processor_identity
from weft.structs import struct

#: Of the format, and of what the figures mean.
VERSION = 1

LINE = 64


@struct(frozen=True)
class LevelFigures:
    """A cache, or memory: what a line costs that it serves, in nanoseconds, to one busy core and
    with all cores busy (of memory, all of them together).

    ``bandwidth`` are bytes per nanosecond that one core reads, ``scattered`` is the cost of a line
    in no order, ``latency`` that of one whose address the line before holds.
    """

    name: str
    bandwidth: float
    read: tuple[float, float]
    write_back: tuple[float, float]
    scattered: tuple[float, float]
    streaming: tuple[float, float]
    latency: float


@struct(frozen=True)
class Figures:
    """A processor: its clock in GHz, 64-byte registers multiplied per cycle, and its memory.

    The last of ``levels`` is main memory, named ``DRAM``.
    """

    ghz: float
    vectors: float
    levels: tuple[LevelFigures, ...]


#: What a level is made of besides its name, and how many numbers each part has.
_PARTS = {
    "bandwidth": 1,
    "read": 2,
    "write_back": 2,
    "scattered": 2,
    "streaming": 2,
    "latency": 1,
}


def path() -> str | None:
    """Where the figures of this machine are kept; None without a cache folder."""
    if config.cache_dir is None:
        return None
    name = hashlib.sha256(processor_identity().encode()).hexdigest()[:16]
    return os.path.join(config.cache_dir, f"machine-{VERSION}-{name}.json")


def identity() -> str:
    """Tells the figures in use from others: what is compiled for them differs."""
    text = _read(path())
    return "" if text is None else hashlib.sha256(text).hexdigest()


def measured() -> Figures | None:
    """The figures of this machine, if it was measured."""
    where = path()
    text = _read(where)
    return None if where is None or text is None else _parsed(where, text)


def save(figures: Figures) -> str:
    """Write the figures for processes to come, and this one; returns the path.

    Raises `ValueError` without a cache folder, `OSError` if the disk refuses.
    """
    where = path()
    if where is None:
        raise ValueError(
            "there is no folder for the figures of this machine: set weft.config.cache_dir"
        )
    os.makedirs(os.path.dirname(where), mode=0o700, exist_ok=True)
    temporary = f"{where}.{os.urandom(8).hex()}"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(dumps(figures))
        os.replace(temporary, where)
    except BaseException:
        os.unlink(temporary)
        raise
    return where


def forget() -> bool:
    """Remove the figures of this machine; whether there were any."""
    where = path()
    if where is None or not os.path.lexists(where):
        return False
    os.unlink(where)
    return True


# -- text ------------------------------------------------------------------------------------------


def dumps(figures: Figures) -> str:
    """The figures as text."""
    import json  # most processes find no figures

    levels = {x.name: {part: getattr(x, part) for part in _PARTS} for x in figures.levels}
    content = {
        "version": VERSION,
        "ghz": figures.ghz,
        "vectors": figures.vectors,
        "levels": levels,
    }
    return json.dumps(content, indent=1) + "\n"


def loads(text: str) -> Figures:
    """The figures that `dumps` wrote; `ValueError` says what is wrong with others."""
    import json

    content = json.loads(text)
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise ValueError(f"it is not of version {VERSION}")
    levels = content.get("levels")
    if not isinstance(levels, dict) or not levels or list(levels)[-1] != "DRAM":
        raise ValueError("its levels do not end with DRAM")
    return Figures(
        _numbers(content, "ghz", 1)[0],
        _numbers(content, "vectors", 1)[0],
        tuple(_level(name, parts) for name, parts in levels.items()),
    )


def _level(name: str, parts: Any) -> LevelFigures:
    found = {part: _numbers(parts, part, count, name) for part, count in _PARTS.items()}
    values: dict[str, Any] = {p: v[0] if _PARTS[p] == 1 else v for p, v in found.items()}
    return LevelFigures(name, **values)


def _numbers(parts: Any, name: str, count: int, level: str = "") -> tuple[float, ...]:
    """So many numbers of some part, none of which is negative or absurd."""
    value = parts.get(name) if isinstance(parts, dict) else None
    several: list[Any] = value if isinstance(value, list) else [value]
    right = len(several) == count and all(
        isinstance(v, int | float) and isfinite(v) and 0 <= v < 1e5 for v in several
    )
    if not right or (name in ("ghz", "vectors", "bandwidth") and not several[0]):
        raise ValueError(f"{level or 'its'} {name} is {value!r}")
    return tuple(float(v) for v in several)


@lru_cache(maxsize=4)
def _parsed(where: str, text: bytes) -> Figures | None:
    try:
        return loads(text.decode())
    except ValueError as why:
        warnings.warn(
            f"the figures of this machine in {where} are not used: {why}. Run weft devices "
            "--measure to write them anew, or remove the file.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def _read(where: str | None) -> bytes | None:
    """The content of a file that is ours alone to write; None for anything else."""
    if where is None:
        return None
    try:
        handle = os.open(where, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:  # absent, a symbolic link, or unreadable
        return None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            return None
        return None if status.st_mode & 0o022 else file.read(1 << 16)
