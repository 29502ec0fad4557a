"""Extraction: one way for every class that is needed, the cheapest as a whole.

What several users need is computed, and paid for, once. Greedy first: each class is computed in
the way whose whole DAG is cheapest by itself. Then single decisions are turned as long as that
makes the whole cheaper: what is needed anyway costs nothing more. On request the rest is left to
an integer program.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from weft.saturate.cost import Costs, Way
from weft.structs import struct

#: Classes looked at while single decisions are turned, at most.
TRIALS = 40_000

#: Sums of costs in another order differ by less than this part.
ROUNDING = 1e-9

#: A change must gain this part to be made: between equals, what the source says stays.
GAIN = 1e-6


@struct
class Extraction:
    """The way chosen for each class that the ``roots`` need, and what all of it costs."""

    roots: tuple[int, ...]
    ways: dict[int, Way]
    cost: float


def extract(costs: Costs, roots: Sequence[int], exact: bool = False) -> Extraction:
    """The cheapest extraction found for the classes ``roots``.

    With ``exact`` an integer program looks for a cheaper one (`weft.saturate.exact`).
    """
    ways = _reachable(costs, roots)
    found = _turned(ways, roots)
    if not exact:
        return found
    from weft.saturate.exact import solve

    picked = solve(ways, roots, found.cost)
    needed = None if picked is None else _needed(picked, roots, found.cost * (1 - GAIN))
    return found if needed is None else Extraction(tuple(roots), *needed)


def _turned(ways: Mapping[int, Sequence[Way]], roots: Sequence[int]) -> Extraction:
    """Greedy, then single decisions turned."""
    picked = {c: best[2] for c, best in _greedy(ways).items()}
    chosen, total = _needed(picked, roots)
    users = _users(chosen, roots)
    trials = TRIALS // max(1, len(chosen))
    improved = True
    while improved and trials > 0:
        improved = False
        for c in list(chosen):
            for way in ways[c]:
                if c not in chosen or way is picked[c] or trials <= 0:
                    continue
                trials -= 1
                limit = total * (1 - GAIN)
                if not all(n in picked for n in way.needs):
                    continue
                if total + _difference(chosen, picked, users, c, way) > limit * (1 + ROUNDING):
                    continue
                other = {**picked, c: way}
                found = _needed(other, roots, limit)
                if found is not None:
                    picked, (chosen, total), improved = other, found, True
                    users = _users(chosen, roots)
    return Extraction(tuple(roots), chosen, total)


def _users(chosen: Mapping[int, Way], roots: Sequence[int]) -> Counter[int]:
    """How many times each class is needed."""
    users = Counter(roots)
    for way in chosen.values():
        users.update(way.needs)
    return users


def _difference(
    chosen: Mapping[int, Way],
    picked: Mapping[int, Way],
    users: Mapping[int, int],
    turned: int,
    way: Way,
) -> float:
    """What it adds to the cost of all that is ``chosen`` to compute the class ``turned`` in another
    ``way``: what only that needs, less what nobody needs any more (as if there were no circles)."""
    added: dict[int, Way] = {}
    # Uses that are new; and then those that are gone, of what is still there.
    more: Counter[int] = Counter()
    stack = list(way.needs)
    while stack:
        c = stack.pop()
        more[c] += 1
        if c not in chosen and c not in added:
            added[c] = picked[c]
            stack += picked[c].needs
    cost = way.cost - picked[turned].cost + sum(w.cost for w in added.values())
    fewer: Counter[int] = Counter()
    stack = list(picked[turned].needs)
    while stack:
        c = stack.pop()
        fewer[c] += 1
        if fewer[c] == users[c] + more[c]:
            cost -= chosen[c].cost
            stack += chosen[c].needs
    return cost


def _needed(picked: Mapping[int, Way], roots: Sequence[int], limit: float = inf) -> Any:
    """What the roots need, and its cost; None if that is above the limit, or goes in a circle."""
    chosen: dict[int, Way] = {}
    open_: set[int] = set()
    total = 0.0
    stack = [(r, False) for r in roots]
    while stack:
        c, done = stack.pop()
        if done:
            open_.discard(c)
            continue
        if c in open_:
            return None
        if c in chosen:
            continue
        way = picked[c]
        total += way.cost
        if total > limit:
            return None
        chosen[c] = way
        open_.add(c)
        stack.append((c, True))
        stack += [(n, False) for n in way.needs]
    return chosen, total


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
