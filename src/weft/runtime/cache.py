"""Bounded caches: programs in memory, object code on disk.

The disk cache maps a key (a hash of the module's text and of everything else that decides its
object code) to the object code. An entry is one file::

    magic "weft-object-1\\n" | SHA-256 of the payload | payload

It is written under a temporary name and renamed, so processes that share the folder see whole
entries or none. Machine code is only as trustworthy as the folder it comes from: the folder must
belong to this user and be closed to others, or it is not used. An entry that is truncated, damaged
or not a regular file counts as absent and is replaced.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

from weft.config import config
from weft.runtime import native
from weft.runtime.identity import llvm_identity, processor_identity
from weft.structs import struct

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_MAGIC = b"weft-object-1\n"
_DIGEST_BYTES = 32
_SUFFIX = ".o"

#: Every cache that has a lock. A child process gets new ones: in it, nobody would release a lock
#: that another thread of its parent held.
_locked: weakref.WeakSet[Any] = weakref.WeakSet()


def _renew_locks() -> None:
    for cache in list(_locked):
        cache._lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_locks)

#: Bytes of object code kept on disk; when passed, the least recently used quarter goes.
DISK_LIMIT = 256 << 20


@struct
class CacheStatistics:
    """What a cache did since it was made."""

    hits: int = 0
    misses: int = 0
    evictions: int = 0


# ---- memory -------------------------------------------------------------------------------


class LRUCache(Generic[K, V]):
    """At most `capacity` entries, the least recently used going first. Thread-safe.

    >>> cache = LRUCache(2)
    >>> _ = cache.put("a", 1), cache.put("b", 2), cache.get("a"), cache.put("c", 3)
    >>> cache.get("b") is None
    True
    """

    def __init__(self, capacity: int):
        if capacity < 1:
            raise ValueError(f"an LRUCache holds at least one entry, got capacity {capacity}")
        self.capacity = capacity
        self.statistics = CacheStatistics()
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.RLock()
        _locked.add(self)

    def get(self, key: K) -> V | None:
        """The value of `key`, which becomes the most recently used; None if there is none."""
        with self._lock:
            value = self._entries.get(key)
            if value is None:
                self.statistics.misses += 1
                return None
            self.statistics.hits += 1
            self._entries.move_to_end(key)
            return value

    def put(self, key: K, value: V) -> V:
        """Stores `value` (not None), evicts what no longer fits, and returns `value`."""
        evicted = []  # freed outside the lock: a value's finaliser may do anything
        with self._lock:
            self._entries[key] = value
            self._entries.move_to_end(key)
            while len(self._entries) > self.capacity:
                evicted.append(self._entries.popitem(last=False))
                self.statistics.evictions += 1
        return value

    def clear(self) -> None:
        """Forgets every entry."""
        with self._lock:
            entries, self._entries = self._entries, OrderedDict()
        entries.clear()

    def __len__(self) -> int:
        return len(self._entries)


# ---- disk ---------------------------------------------------------------------------------


class ObjectCache:
    """Object code by key in a private folder; see the module's text. Safe with many processes.

    Raises `OSError` on construction if the folder cannot be made, or is not this user's alone.
    """

    def __init__(self, folder: str | os.PathLike[str], limit: int = DISK_LIMIT):
        self.folder = os.fspath(folder)
        self.limit = limit
        self.statistics = CacheStatistics()
        self._size: int | None = None
        self._refused = False
        self._lock = threading.RLock()
        _locked.add(self)
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        status = os.stat(self.folder)
        if status.st_uid != os.geteuid():
            raise PermissionError(f"the cache folder {self.folder} belongs to another user")
        if status.st_mode & 0o077:
            os.chmod(self.folder, 0o700)

    def get(self, key: str) -> bytes | None:
        """The object code of `key`, or None."""
        path = self._path(key)
        payload = _read_entry(path)
        if payload is None:
            self.statistics.misses += 1
            return None
        self.statistics.hits += 1
        # Its time of modification is when it was last of use. Another process may have pruned it.
        with contextlib.suppress(OSError):
            os.utime(path)
        return payload

    def put(self, key: str, payload: bytes) -> None:
        """Stores an entry, replacing whatever was there; `OSError` if the disk refuses."""
        content = _MAGIC + hashlib.sha256(payload).digest() + payload
        # As `tempfile` does it, which takes long to import.
        temporary = os.path.join(self.folder, f"writing-{os.urandom(8).hex()}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(temporary, self._path(key))
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        self._grow(len(content))

    def keep(self, key: str, payload: bytes) -> None:
        """As `put`; a disk that refuses is a warning, the first time, and not an error.

        It costs the next process a compilation, never this one its result.
        """
        try:
            self.put(key, payload)
        except OSError as error:
            with self._lock:
                first, self._refused = not self._refused, True
            if first:
                _warn_not_kept(error)

    def clear(self) -> int:
        """Removes every entry; returns the bytes freed."""
        with self._lock:
            return self._prune_to(0)

    def nbytes(self) -> int:
        """Bytes of all entries now."""
        return sum(size for _, size, _ in self._entries())

    def _path(self, key: str) -> str:
        return os.path.join(self.folder, key + _SUFFIX)

    def _grow(self, nbytes: int) -> None:
        with self._lock:
            self._size = self.nbytes() if self._size is None else self._size + nbytes
            if self._size > self.limit:
                self._prune_to(self.limit * 3 // 4)

    def _prune_to(self, limit: int) -> int:
        entries = sorted(self._entries())
        size = sum(nbytes for _, nbytes, _ in entries)
        before = size
        for _, nbytes, path in entries:
            if size <= limit:
                break
            with contextlib.suppress(FileNotFoundError):  # another process was first
                os.unlink(path)
            size -= nbytes
            self.statistics.evictions += 1
        self._size = size
        return before - size

    def _entries(self) -> list[tuple[float, int, str]]:
        """(last use, bytes, path) of each file of ours, those left behind by a crash included."""
        entries = []
        for item in os.scandir(self.folder):
            if item.name.endswith(_SUFFIX) or item.name.startswith("writing-"):
                with contextlib.suppress(FileNotFoundError):
                    status = item.stat(follow_symlinks=False)
                    entries.append((status.st_mtime, status.st_size, item.path))
        return entries


def _read_entry(path: str) -> bytes | None:
    """The payload of an entry that is whole and ours; None for anything else."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                return None
            with os.fdopen(handle, "rb", closefd=False) as file:
                content = file.read()
        finally:
            os.close(handle)
    except OSError:  # absent, a symbolic link, or unreadable
        return None
    start = len(_MAGIC) + _DIGEST_BYTES
    payload = content[start:]
    if not content.startswith(_MAGIC) or len(content) < start:
        return None
    if hashlib.sha256(payload).digest() != content[len(_MAGIC) : start]:
        return None
    return payload


# ---- compiling through the disk -----------------------------------------------------------

_object_caches: dict[str, ObjectCache | None] = {}


def object_cache() -> ObjectCache | None:
    """The cache in ``weft.config.cache_dir``; None if that is None or cannot be used (with a
    warning, once)."""
    folder = config.cache_dir
    if folder is None:
        return None
    if folder not in _object_caches:
        _object_caches[folder] = _open_cache(folder)
    return _object_caches[folder]


def _open_cache(folder: str) -> ObjectCache | None:
    try:
        return ObjectCache(folder)
    except OSError as error:
        _warn_not_kept(error)
        return None


def _warn_not_kept(error: OSError) -> None:
    warnings.warn(
        f"compiled code is not kept between runs: {error}. "
        "Set weft.config.cache_dir to a folder of yours that has room, or to None.",
        RuntimeWarning,
        stacklevel=3,
    )


def object_key(ir_text: str, cpu: native.CPU | None = None, *, draft: bool = False) -> str:
    """The disk key of a module: its text and everything else that decides its object code."""
    target = processor_identity() if cpu is None else (cpu.triple, cpu.name, cpu.features)
    return hashlib.sha256(repr((llvm_identity(), target, draft, ir_text)).encode()).hexdigest()


def compile_cached(ir_text: str, cpu: native.CPU | None = None, *, draft: bool = False) -> bytes:
    """`native.compile_module`, looked up on disk first and stored there afterwards.

    For a ``draft``, the final code does as well. New code goes through LLVM's verifier when
    ``weft.config.dump`` shows it.

    A disk that cannot be written (full, read-only) is a warning, once.
    """
    cache = object_cache()
    code = None
    if cache is not None:
        kinds = (False, True) if draft else (False,)
        found = (cache.get(object_key(ir_text, cpu, draft=kind)) for kind in kinds)
        code = next((code for code in found if code is not None), None)
    if code is None:
        code = native.compile_module(ir_text, cpu, verify="llvm" in config.dump, draft=draft)
        if cache is not None:
            cache.keep(object_key(ir_text, cpu, draft=draft), code)
    return code
