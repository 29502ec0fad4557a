"""Extraction as an integer program: the cheapest way to compute some classes, sharing counted once.

A binary for every way to compute a class; of a class that is needed exactly one way is taken, and
what a way needs is needed.  Classes that could need each other in a circle have numbers as well,
which grow along what is taken.  HiGHS solves it, by `scipy.optimize.milp`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from weft.saturate.cost import Way

#: Seconds after which the best solution so far has to do.
LIMIT = 10.0

#: How near to 1 a binary is 1.
_HALF = 0.5


def solve(
    ways: Mapping[int, Sequence[Way]], roots: Sequence[int], bound: float, limit: float = LIMIT
) -> dict[int, Way] | None:
    """The ways of the cheapest extraction that costs at most ``bound``; None if the solver has
    found none after ``limit`` seconds.

    ``ways`` are those of every class that could be needed.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    columns: list[tuple[int, Way]] = [
        (c, way) for c, several in ways.items() for way in several if c not in way.needs
    ]
    place: dict[int, list[int]] = {c: [] for c in ways}
    for n, (c, _) in enumerate(columns):
        place[c].append(n)
    ring = _in_circles(ways)
    number = {c: len(columns) + n for n, c in enumerate(sorted(ring))}
    scale = max(bound, 1e-9)
    cost = np.array([way.cost / scale for _, way in columns] + [0.0] * len(number))

    rows: list[tuple[list[int], list[float], float, float]] = [
        (place[r], [1.0] * len(place[r]), 1.0, 1.0) for r in dict.fromkeys(roots)
    ]
    rows += [(several, [1.0] * len(several), 0.0, 1.0) for several in place.values()]
    most = float(len(ring))
    for n, (c, way) in enumerate(columns):
        for need in dict.fromkeys(way.needs):
            several = place[need]
            rows.append(([*several, n], [1.0] * len(several) + [-1.0], 0.0, np.inf))
            if c in ring and need in ring:
                # number[c] >= number[need] + 1 where this way is taken.
                entries = [number[c], number[need], n]
                rows.append((entries, [1.0, -1.0, -most], 1.0 - most, np.inf))
    everything = list(range(len(columns)))
    rows.append((everything, list(cost[: len(columns)]), -np.inf, 1.0 + 1e-9))

    matrix = csr_array(
        (
            np.concatenate([np.array(v) for _, v, _, _ in rows]),
            np.concatenate([np.array(i) for i, _, _, _ in rows]),
            np.cumsum([0, *(len(i) for i, _, _, _ in rows)]),
        ),
        shape=(len(rows), len(cost)),
    )
    found = milp(
        cost,
        integrality=np.array([1] * len(columns) + [0] * len(number)),
        bounds=Bounds(0.0, np.array([1.0] * len(columns) + [most] * len(number))),
        constraints=LinearConstraint(
            matrix, np.array([lo for _, _, lo, _ in rows]), np.array([hi for _, _, _, hi in rows])
        ),
        options={"time_limit": limit},
    )
    if found.x is None:
        return None
    taken = [columns[n] for n in range(len(columns)) if found.x[n] > _HALF]
    return dict(taken)


def _in_circles(ways: Mapping[int, Sequence[Way]]) -> set[int]:
    """The classes that can need themselves by way of others."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    place = {c: n for n, c in enumerate(ways)}
    edges = [
        (place[c], place[need])
        for c, several in ways.items()
        for way in several
        if c not in way.needs
        for need in way.needs
    ]
    if not edges:
        return set()
    start, end = np.array(edges).T
    graph = csr_array((np.ones(len(edges)), (start, end)), shape=(len(ways),) * 2)
    _, label = connected_components(graph, connection="strong")
    sizes = np.bincount(label)
    return {c for c, n in place.items() if sizes[label[n]] > 1}
