"""What tells compiled code from code that this process must not run, without loading LLVM.

Entries on disk are for a processor, and by a compiler: LLVM's library and, for whole programs, the
files of this package. Files are told apart by name, size and time of modification.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Iterator
from importlib.machinery import PathFinder

from weft.runtime.native import OPTIONS, architecture, cache_sizes
from weft.runtime.tile_permission import tiles_allowed


@functools.cache
def processor_identity() -> str:
    """Tells this processor from others."""
    text = f"{architecture()} {sorted(cache_sizes().items())} tiles {tiles_allowed()} "
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if not line.strip():  # the others are alike
                break
            name = line.split(":")[0].strip().lower()
            if name in _DESCRIPTION:
                text += line
    return hashlib.sha256(text.encode()).hexdigest()


#: Lines of /proc/cpuinfo, on x86-64 and AArch64.
_DESCRIPTION = frozenset(
    ("vendor_id", "cpu family", "model", "model name", "stepping", "flags", "features")
    + ("cpu implementer", "cpu architecture", "cpu variant", "cpu part", "cpu revision")
)


@functools.cache
def llvm_identity() -> str:
    """Tells the installed LLVM, and how it is used, from others."""
    spec = PathFinder.find_spec("llvmlite")
    folder = None if spec is None or spec.origin is None else os.path.dirname(spec.origin)
    return f"{OPTIONS} {_fingerprint(folder, '.so')}"


@functools.cache
def compiler_identity() -> str:
    """Tells this version of the whole compiler from others."""
    package = os.path.dirname(os.path.dirname(__file__))
    return f"{llvm_identity()} {_fingerprint(package, '.py')}"


def _fingerprint(folder: str | None, suffix: str) -> str:
    files = sorted(_files(folder, suffix)) if folder is not None else []
    return hashlib.sha256(repr(files).encode()).hexdigest()


def _files(folder: str, suffix: str) -> Iterator[tuple[str, int, int]]:
    """Name, size and time of modification of each file below ``folder``."""
    folders = [folder]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    if entry.name != "__pycache__":
                        folders.append(entry.path)
                elif entry.name.endswith(suffix):
                    status = entry.stat()
                    name = entry.path[len(folder) :]
                    yield name, status.st_size, status.st_mtime_ns
