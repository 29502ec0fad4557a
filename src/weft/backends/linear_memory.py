"""Who has which part of one long memory: the free stretches, in order, joined where they meet."""

from __future__ import annotations

from bisect import bisect_left, insort

#: What is given out starts at, and is as long as, a multiple of this.
GRAIN = 64


class LinearMemory:
    """Addresses from ``start`` to ``end``; the best fitting free stretch is used first.

    >>> memory = LinearMemory(0, 1024)
    >>> memory.take(100), memory.take(1), memory.take(2000)
    (0, 128, None)
    """

    def __init__(self, start: int, end: int) -> None:
        self.end = end
        self._free = [(start, end)] if end > start else []
        self._taken: dict[int, int] = {}

    def take(self, nbytes: int) -> int | None:
        """The address of ``nbytes`` bytes, None if no free stretch has as many."""
        size = rounded(nbytes)
        fits = [(end - start, start) for start, end in self._free if end - start >= size]
        if not fits:
            return None
        length, start = min(fits)
        at = bisect_left(self._free, (start, start))
        self._free[at : at + 1] = [(start + size, start + length)] if length > size else []
        self._taken[start] = size
        return start

    def give(self, address: int) -> None:
        """Takes back what `take` gave."""
        self._add(address, address + self._taken.pop(address))

    def grow(self, nbytes: int) -> None:
        """Adds ``nbytes`` at the end."""
        self._add(self.end, self.end + nbytes)
        self.end += nbytes

    def missing(self, nbytes: int) -> int:
        """By how much to `grow` before ``nbytes`` can be taken at the end."""
        start, end = self._free[-1] if self._free else (self.end, self.end)
        return max(0, rounded(nbytes) - (end - start if end == self.end else 0))

    def _add(self, start: int, end: int) -> None:
        at = bisect_left(self._free, (start, end))
        if at < len(self._free) and self._free[at][0] == end:
            end = self._free.pop(at)[1]
        if at and self._free[at - 1][1] == start:
            start = self._free.pop(at - 1)[0]
        insort(self._free, (start, end))


def rounded(nbytes: int) -> int:
    """``nbytes``, but at least one, in whole grains."""
    return -(-max(nbytes, 1) // GRAIN) * GRAIN
