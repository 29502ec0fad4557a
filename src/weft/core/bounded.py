"""A bounded cache, safe to use from several threads."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

ValueT = TypeVar("ValueT")


class Members(Generic[ValueT]):
    """Objects that somebody else keeps, for whoever has to reach all of them; for many threads."""

    def __init__(self) -> None:
        self._members: weakref.WeakSet[ValueT] = weakref.WeakSet()
        self._lock = threading.RLock()  # a finalizer may add one at any moment

    def add(self, member: ValueT) -> None:
        """Adds one, which leaves when nobody keeps it."""
        with self._lock:
            self._members.add(member)

    def all(self) -> list[ValueT]:
        """Those that there are."""
        with self._lock:
            return list(self._members)


#: For `clear_all`.
_all: Members[BoundedCache[Any]] = Members()


def clear_all() -> None:
    """Clears every cache."""
    for cache in _all.all():
        cache.clear()


class BoundedCache(Generic[ValueT]):
    """The last ``limit`` values by key; the least recently used is dropped first.

    >>> squares = BoundedCache(100)
    >>> squares.get(7, lambda: 49)
    49
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._entries: OrderedDict[Hashable, ValueT] = OrderedDict()
        self._lock = threading.Lock()
        _all.add(self)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable, make: Callable[[], ValueT]) -> ValueT:
        """The value of ``key``, made if it is not here.

        Two threads that miss at once both make it; the first to finish is kept.
        """
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        value = make()
        with self._lock:
            value = self._entries.setdefault(key, value)
            self._entries.move_to_end(key)
            while len(self._entries) > self.limit:
                self._entries.popitem(last=False)
        return value

    def found(self, key: Hashable) -> ValueT | None:
        """The value of ``key``, or None if it is not here."""
        with self._lock:
            return self._entries.get(key)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
