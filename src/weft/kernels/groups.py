"""Definitions grouped into kernels: who reads whom, and which merges would make a cycle.

Definitions come in an order in which each reads only earlier ones.  The groups are kept in such an
order too.  Whether a merge would make a cycle is searched from both of its ends at once, between
their places only, and soon given up; so merging the groups of a long program takes linear time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence

from weft.terms.region import Def, Scatter
from weft.terms.term import Value

Member = Def | Scatter

#: Reads looked at for a path between two groups; if none is found nor excluded, there may be one.
FAR = 256

#: The distance of neighbours when places are handed out anew.
GAP = 1 << 32


class Groups:
    """A partition of ``steps``, at first each alone; ``reads`` are the values each step reads.

    Groups have numbers: ``of`` maps values to them, ``members`` maps them to steps.
    """

    def __init__(self, steps: Sequence[Member], reads: Mapping[Value, Iterable[Value]]) -> None:
        self.position = {s.value: n for n, s in enumerate(steps)}
        self.of = dict(self.position)
        self.members: dict[int, list[Member]] = {n: [s] for n, s in enumerate(steps)}
        #: The values that each group reads of others, and those that read it (some may have
        #: joined it meanwhile). Dictionaries are sets that keep their order.
        self.sources: dict[int, dict[Value, None]] = {n: {} for n in self.members}
        self.readers: dict[int, dict[Value, None]] = {n: {} for n in self.members}
        for value, read in reads.items():
            reader = self.position[value]
            for source in sorted(self.position[v] for v in read if v in self.position):
                if source != reader:
                    self.sources[reader][steps[source].value] = None
                    self.readers[source][value] = None
        self._line = _Line(len(steps))

    def readers_of(self, value: Value) -> Iterator[Value]:
        """The values whose definitions read ``value``, while its group has no other member."""
        return iter(self.readers[self.of[value]])

    def is_read_outside(self, value: Value, groups: tuple[int, ...]) -> bool:
        """Whether a step of none of ``groups`` reads ``value``, the only one of its group."""
        return any(self.of[r] not in groups for r in self.readers_of(value))

    def path_around(self, a: int, b: int) -> bool:
        """Whether a third group lies on a path from ``a`` to ``b``: merging would make a cycle.

        True as well where that takes too long to find out.
        """
        return self._search(a, b) is None

    def merge(self, a: int, b: int) -> int:
        """Make ``a`` and ``b`` one group, between which there is no path through others.

        Returns its number, which is one of the two.
        """
        if self._line.before(b, a):
            a, b = b, a
        found = self._search(a, b, patient=True)
        if found is None:
            raise ValueError("merging groups with others on a path between them makes a cycle")
        descendants, between = found
        # The new group goes to one end; what lies on the wrong side of it then comes along.
        between = self.placed(between)
        kept, gone = (a, b) if len(self.members[a]) >= len(self.members[b]) else (b, a)
        if descendants:
            for group in reversed(between):
                self._line.move_after(group, b)
        else:
            for group in between:
                self._line.move_before(group, a)
        self._line.take_place(kept, b if descendants else a)
        self._line.remove(gone)
        for step in self.members.pop(gone):
            self.of[step.value] = kept
            self.members[kept].append(step)
        for edges in (self.sources, self.readers):
            few, many = sorted((edges.pop(gone), edges[kept]), key=len)
            many.update(few)
            edges[kept] = many
        return kept

    def _search(self, a: int, b: int, patient: bool = False) -> tuple[bool, list[int]] | None:
        """None if a path leads from ``a`` to ``b`` through third groups, or that is not clear soon.

        Otherwise the groups that depend on ``a`` and are placed before ``b`` (and True), or those
        that ``b`` depends on and are placed behind ``a`` (and False), whichever were found first.
        """
        places = self._line.places
        first, last = places[a], places[b]
        if first > last:
            return False, []
        ahead: dict[int, None] = {}
        back: dict[int, None] = {}
        forward = [iter(self.readers[a])]
        backward = [iter(self.sources[b])]
        steps = 0
        while patient or steps < FAR:
            steps += 1
            for stack, seen, other, edges, ends in (
                (forward, ahead, back, self.readers, (a, b)),
                (backward, back, ahead, self.sources, (b, a)),
            ):
                value = next(stack[-1], None)
                if value is None:
                    stack.pop()
                    if not stack:
                        return seen is ahead, list(seen)
                    continue
                group = self.of[value]
                if group in ends:
                    if group == ends[1] and len(stack) > 1:
                        return None
                    continue
                if group in seen or not first < places[group] < last:
                    continue
                if group in other:
                    return None
                seen[group] = None
                stack.append(iter(edges[group]))
        return None

    def between(self, a: int, b: int) -> list[int]:
        """The third groups on paths from ``a`` to ``b``, which a merger of the two must include.

        They come in an order in which each depends on earlier ones only.
        """
        within = self._line.places[a], self._line.places[b]
        ahead = self._reached(a, self.readers, within)
        return self.placed(ahead & self._reached(b, self.sources, within))

    def placed(self, groups: Iterable[int]) -> list[int]:
        """The same groups in an order in which each depends on earlier ones only."""
        return sorted(groups, key=self._line.places.__getitem__)

    def _reached(
        self, group: int, edges: Mapping[int, dict[Value, None]], within: tuple[int, int]
    ) -> set[int]:
        """Groups to which ``edges`` lead from ``group``, at places strictly ``within``."""
        seen: set[int] = set()
        stack = [group]
        while stack:
            for value in edges[stack.pop()]:
                found = self.of[value]
                if found not in seen and within[0] < self._line.places[found] < within[1]:
                    seen.add(found)
                    stack.append(found)
        return seen

    def sorted_members(self, group: int) -> list[Member]:
        """The members of a group, each after those that it reads."""
        return sorted(self.members[group], key=lambda s: self.position[s.value])

    def in_order(self) -> list[list[Member]]:
        """The groups, sorted so that every value is stored before it is read."""
        groups = {g: self.sorted_members(g) for g in self.members}
        place = {g: self.position[steps[-1].value] for g, steps in groups.items()}
        followers = {g: {self.of[r] for r in self.readers[g]} - {g} for g in groups}
        waiting = dict.fromkeys(groups, 0)
        for after in followers.values():
            for follower in after:
                waiting[follower] += 1
        ready = [(place[g], g) for g, count in waiting.items() if not count]
        heapq.heapify(ready)
        result: list[list[Member]] = []
        while ready:
            group = heapq.heappop(ready)[1]
            result.append(groups[group])
            for follower in followers[group]:
                waiting[follower] -= 1
                if not waiting[follower]:
                    heapq.heappush(ready, (place[follower], follower))
        if len(result) != len(groups):
            raise RuntimeError("kernels of a region depend on one another in a cycle")
        return result


class _Line:
    """Numbers in a row that can be moved next to one another: ``places`` only say who is before.

    Moving one takes constant time but for now and then, when all get new places.
    """

    def __init__(self, count: int) -> None:
        # The ends of the row are -1 and ``count``.
        self.next = {n: n + 1 for n in range(-1, count)}
        self.previous = {n: n - 1 for n in range(count + 1)}
        self.places = {n: n * GAP for n in range(-1, count + 1)}

    def before(self, a: int, b: int) -> bool:
        """Whether ``a`` comes before ``b``."""
        return self.places[a] < self.places[b]

    def remove(self, n: int) -> None:
        """Take ``n`` out."""
        del self.places[n]
        self._unlink(n)

    def move_after(self, n: int, other: int) -> None:
        """Put ``n`` right behind ``other``."""
        self._unlink(n)
        self._link(n, other)

    def move_before(self, n: int, other: int) -> None:
        """Put ``n`` right before ``other``."""
        self._unlink(n)
        self._link(n, self.previous[other])

    def take_place(self, n: int, other: int) -> None:
        """Put ``n`` where ``other`` is, right behind it."""
        if n != other:
            self.move_after(n, other)

    def _unlink(self, n: int) -> None:
        before, after = self.previous.pop(n), self.next.pop(n)
        self.next[before], self.previous[after] = after, before

    def _link(self, n: int, before: int) -> None:
        after = self.next[before]
        self.next[before] = self.previous[after] = n
        self.previous[n], self.next[n] = before, after
        low, high = self.places[before], self.places[after]
        if high - low < 2:
            self._spread()
        else:
            self.places[n] = (low + high) // 2

    def _spread(self) -> None:
        """Places with gaps for everyone."""
        n: int | None = -1
        place = -GAP
        while n is not None:
            self.places[n] = place
            place += GAP
            n = self.next.get(n)
