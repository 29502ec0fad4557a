"""Reuse distances: the bytes of other memory touched since a value was.

Kernels run in turn, again and again.  What one touches was touched last by some kernel before it;
if little else was touched since, it is still in a cache.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from weft.terms.term import Value


def distances_of(
    touched: Sequence[Collection[Value]], place: int, enough: float
) -> dict[Value, int]:
    """The distances of what the kernel at ``place`` touches, ``touched`` being those of each.

    Distances beyond ``enough`` are not followed to the end.
    """
    own = touched[place]
    found: dict[Value, int] = {}
    seen: set[Value] = set(own)
    total = 0
    for back in range(1, len(touched) + 1):
        before = touched[place - back]
        for value in own:
            if value in before:
                found.setdefault(value, total)
        if len(found) == len(own):
            break
        for value in before:
            if value not in seen:
                seen.add(value)
                total += value.nbytes
        if total > enough:
            break
    for value in own:
        found.setdefault(value, total)
    return found


def all_distances(touched: Sequence[Collection[Value]]) -> list[dict[Value, int]]:
    """The distances of what each kernel touches: `distances_of` for all of them in one go.

    A sum over a stretch of kernels counts each value where it was touched last before its end; a
    tree of partial sums (Fenwick's) makes that logarithmic.
    """
    times = 2 * len(touched)
    sums = [0] * (times + 1)
    last: dict[Value, int] = {}

    def change(time: int, nbytes: int) -> None:
        time += 1
        while time <= times:
            sums[time] += nbytes
            time += time & -time

    def before(time: int) -> int:
        """The bytes of values touched last before ``time``."""
        total = 0
        while time > 0:
            total += sums[time]
            time -= time & -time
        return total

    found: list[dict[Value, int]] = []
    for now in range(times):  # the second round sees what the first has left
        own = touched[now % len(touched)]
        if now >= len(touched):
            # Of what was touched since, the kernel's own is no other memory.
            everything, inside = before(now), 0
            distances: dict[Value, int] = {}
            recent = sorted(own, key=last.__getitem__, reverse=True)
            start = 0
            for n, value in enumerate(recent):
                if last[value] != last[recent[start]]:
                    inside += sum(v.nbytes for v in recent[start:n])
                    start = n
                distances[value] = everything - before(last[value] + 1) - inside
            found.append(distances)
        for value in own:
            if value in last:
                change(last[value], -value.nbytes)
            last[value] = now
            change(now, value.nbytes)
    return found
