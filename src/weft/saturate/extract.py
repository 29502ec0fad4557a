"""Extraction: one way for every class that is needed, the cheapest as a whole.

What several users need is computed, and paid for, once. Greedy: each class is computed in the way
whose whole DAG is cheapest by itself, improved until nothing changes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from weft.saturate.cost import Costs, Way

#: A change must gain this part to be made: between equals, what the source says stays.
GAIN = 1e-6


@dataclass
class Extraction:
    """The way chosen for each class that the ``roots`` need, and what all of it costs."""

    roots: tuple[int, ...]
    ways: dict[int, Way]
    cost: float


def extract(costs: Costs, roots: Sequence[int]) -> Extraction:
    """The cheapest extraction found for the classes ``roots``."""
    best = _greedy(_reachable(costs, roots))
    chosen: dict[int, Way] = {}
    stack = list(roots)
    while stack:
        c = stack.pop()
        if c not in chosen:
            chosen[c] = best[c][2]
            stack.extend(chosen[c].needs)
    total = sum(w.cost for w in chosen.values())
    return Extraction(tuple(roots), chosen, total)


def _reachable(costs: Costs, roots: Sequence[int]) -> dict[int, list[Way]]:
    found: dict[int, list[Way]] = {}
    stack = list(roots)
    while stack:
        c = stack.pop()
        if c not in found:
            found[c] = costs.ways(c)
            for way in found[c]:
                stack.extend(way.needs)
    return found


Best = tuple[float, dict[int, float], Way]


def _greedy(ways: Mapping[int, Sequence[Way]]) -> dict[int, Best]:
    """For each class the cost of its DAG, that DAG's classes with their costs, and the way."""
    users: dict[int, list[tuple[int, Way]]] = {}
    queue: deque[tuple[int, Way]] = deque()
    for c, several in ways.items():
        for way in several:
            if not way.needs:
                queue.append((c, way))
            for need in dict.fromkeys(way.needs):
                users.setdefault(need, []).append((c, way))
    best: dict[int, Best] = {}
    waiting = {(c, id(w)) for c, w in queue}
    while queue:
        c, way = queue.popleft()
        waiting.discard((c, id(way)))
        if any(n not in best or c in best[n][1] for n in way.needs):
            continue
        whole: dict[int, float] = {}
        for need in way.needs:
            whole.update(best[need][1])
        whole[c] = way.cost
        total = sum(whole.values())
        if c in best and total >= best[c][0] * (1 - GAIN):
            continue
        best[c] = (total, whole, way)
        for user in users.get(c, ()):
            if (user[0], id(user[1])) not in waiting:
                waiting.add((user[0], id(user[1])))
                queue.append(user)
    return best
