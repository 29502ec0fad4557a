"""Keys of the paths through trees, with JAX's names, and how they are written."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from optree import PyTreeAccessor
from optree.accessors import MappingEntry, NamedTupleEntry, PyTreeEntry, SequenceEntry


@dataclass(frozen=True)
class SequenceKey:
    """An element of a tuple or list."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"


@dataclass(frozen=True)
class DictKey:
    """A value of a dictionary."""

    key: Hashable

    def __str__(self) -> str:
        return f"[{self.key!r}]"


@dataclass(frozen=True)
class GetAttrKey:
    """A field of a named tuple, dataclass or other object."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"


@dataclass(frozen=True)
class FlattenedIndexKey:
    """A child of a node whose class was registered without keys."""

    key: int

    def __str__(self) -> str:
        return f"[<flat index {self.key}>]"


KeyEntry = Any
KeyPath = tuple[KeyEntry, ...]
_KEYS = SequenceKey, DictKey, GetAttrKey, FlattenedIndexKey


class OwnKey(PyTreeEntry):
    """The entry of a class registered with keys: the key is the entry."""

    __slots__ = ()


def _key(entry: PyTreeEntry) -> KeyEntry:
    if isinstance(entry, OwnKey):
        return entry.entry
    if isinstance(entry, MappingEntry):
        return DictKey(entry.entry)
    if isinstance(entry, NamedTupleEntry):
        return GetAttrKey(entry.field)
    if isinstance(entry, SequenceEntry):
        return SequenceKey(entry.entry)
    return FlattenedIndexKey(entry.entry)


def path_of(accessor: PyTreeAccessor) -> KeyPath:
    """The path of a leaf from the form in which optree gives it."""
    return tuple(map(_key, accessor))


def keystr(keys: Sequence[KeyEntry], *, simple: bool = False, separator: str = "") -> str:
    """A path as text: ``['w'][0].x``, or with ``simple`` the bare keys: ``w/0/x``.

    >>> keystr((DictKey("w"), SequenceKey(0), GetAttrKey("x")))
    "['w'][0].x"
    >>> keystr((DictKey("w"), SequenceKey(0), GetAttrKey("x")), simple=True, separator="/")
    'w/0/x'
    """
    return separator.join(_simple(key) if simple else str(key) for key in keys)


def _simple(key: KeyEntry) -> str:
    if not isinstance(key, _KEYS):
        return str(key)
    (value,) = vars(key).values()
    return str(value)
