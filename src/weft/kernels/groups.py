"""Definitions grouped into kernels: who reads whom, and which merges would make a cycle.

Definitions come in an order in which each reads only earlier ones.  Queries about a group look at
the groups near it in that order only, so that merging a long program takes linear time.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from weft.terms.region import Def, Scatter
from weft.terms.term import Value

Member = Def | Scatter


class Groups:
    """A partition of ``steps``, at first each alone; ``reads`` are the values each step reads."""

    def __init__(self, steps: Sequence[Member], reads: Mapping[Value, set[Value]]) -> None:
        self.reads = reads
        self.position = {s.value: n for n, s in enumerate(steps)}
        self.of = dict(self.position)
        self.members: dict[int, list[Member]] = {n: [s] for n, s in enumerate(steps)}
        self.readers: dict[Value, list[Value]] = {v: [] for v in self.position}
        for value, sources in reads.items():
            for source in sources & self.position.keys():
                self.readers[source].append(value)
        # The last position of any group that has a member here or before.
        self.reach = list(range(len(steps)))

    def is_read_outside(self, value: Value, groups: tuple[int, ...]) -> bool:
        """Whether a step of none of ``groups`` reads ``value``."""
        return any(self.of[r] not in groups for r in self.readers[value])

    def merge(self, a: int, b: int) -> None:
        """Put the members of ``a`` into ``b``."""
        for step in self.members[a]:
            self.of[step.value] = b
        both = self.members.pop(a) + self.members[b]
        both.sort(key=lambda s: self.position[s.value])
        self.members[b] = both
        last = self.position[both[-1].value]
        for n in range(self.position[both[0].value], last):
            self.reach[n] = max(self.reach[n], last)

    def path_around(self, a: int, b: int) -> bool:
        """Whether a third group lies on a path from ``a`` to ``b``: merging would make a cycle."""
        end = self.position[self.members[b][-1].value]
        while self.reach[end] > end:  # a path to b only has groups that begin before
            end = self.reach[end]
        stack = [g for g in self._followers(a) if g != b]
        seen: set[int] = set()
        while stack:
            group = stack.pop()
            if group == b:
                return True
            if group not in seen and self.position[self.members[group][0].value] <= end:
                seen.add(group)
                stack.extend(self._followers(group))
        return False

    def between(self, a: int, b: int) -> list[int]:
        """The third groups on paths from ``a`` to ``b``, which a merger of the two must include."""
        if not self.path_around(a, b):
            return []
        before: dict[int, set[int]] = {}
        stack = [a]
        while stack:
            group = stack.pop()
            for follower in self._followers(group):
                if follower not in before and follower != b:
                    stack.append(follower)
                before.setdefault(follower, set()).add(group)
        found: set[int] = set()
        stack = [b]
        while stack:
            new = before.get(stack.pop(), set()) - found - {a}
            found |= new
            stack.extend(new)
        return sorted(found, key=lambda g: self.position[self.members[g][0].value])

    def _followers(self, group: int) -> set[int]:
        """Other groups that read something of ``group``."""
        found = {self.of[r] for s in self.members[group] for r in self.readers[s.value]}
        return found - {group}

    def in_order(self) -> list[list[Member]]:
        """The groups, sorted so that every value is stored before it is read."""
        place = {g: self.position[steps[-1].value] for g, steps in self.members.items()}
        followers = {g: self._followers(g) for g in self.members}
        waiting = dict.fromkeys(self.members, 0)
        for after in followers.values():
            for follower in after:
                waiting[follower] += 1
        ready = [(place[g], g) for g, count in waiting.items() if not count]
        heapq.heapify(ready)
        result: list[list[Member]] = []
        while ready:
            group = heapq.heappop(ready)[1]
            result.append(self.members[group])
            for follower in followers[group]:
                waiting[follower] -= 1
                if not waiting[follower]:
                    heapq.heappush(ready, (place[follower], follower))
        if len(result) != len(self.members):
            raise RuntimeError("kernels of a region depend on one another in a cycle")
        return result
