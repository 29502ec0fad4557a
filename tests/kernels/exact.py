"""What is wrong with a kernel, found by listing every access of every iteration of small loops.

The checker proves; this counts, and shares no code with it.  Threads are free to be fast or slow:
iterations of parallel loops are by different threads, statements outside them by every thread, and
only barriers order what different threads do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from weft.kernels.ir import (
    Barrier,
    Buffer,
    For,
    Kernel,
    Load,
    Stmt,
    Store,
    Var,
    inputs_of,
    loops,
    outputs_of,
)
from weft.terms.affine import Axis

#: Points of a single statement beyond which a kernel is too large to be listed.
LIMIT = 10_000


@dataclass
class _Where:
    """A statement's surroundings, outermost first: loops, and what is executed before it."""

    loops: tuple[For, ...]
    sizes: tuple[tuple[int, int], ...]  # of each loop: barriers and statements of an iteration
    starts: tuple[int, ...]  # of each loop: statements before it
    barriers: int
    position: int


def fault(kernel: Kernel, seed: int = 0) -> str | None:
    """The first thing found wrong, or None; raises `ValueError` for a kernel that is too large."""
    return (
        _undefined(kernel.body, set())
        or _outside(kernel, np.random.default_rng(seed))
        or _races(kernel, np.random.default_rng(seed))
    )


# -- variables -------------------------------------------------------------------------------------


def _undefined(body: list[Stmt], known: set[Var]) -> str | None:
    known = set(known)
    for stmt in body:
        if any(v not in known for v in inputs_of(stmt)):
            return "use before definition"
        if isinstance(stmt, For):
            inside = known | {c.var for c in stmt.carries}
            found = _undefined(stmt.body, inside)
            if found is not None:
                return found
            at_end = inside.union(*(outputs_of(s) for s in stmt.body))
            if any(c.update not in at_end for c in stmt.carries):
                return "carries what is not defined"
        known.update(outputs_of(stmt))
    return None


# -- points ----------------------------------------------------------------------------------------


def _size(body: Iterable[Stmt]) -> tuple[int, int]:
    """Barriers and statements that a body executes."""
    barriers = statements = 0
    for stmt in body:
        if isinstance(stmt, For):
            b, s = _size(stmt.body)
            barriers, statements = barriers + b * stmt.trip, statements + s * stmt.trip
        else:
            barriers += isinstance(stmt, Barrier)
            statements += 1
    return barriers, statements


def _statements(
    body: list[Stmt], where: _Where | None = None
) -> Iterator[tuple[Load | Store, _Where]]:
    at = where or _Where((), (), (), 0, 0)
    barriers, position = at.barriers, at.position
    for stmt in body:
        if isinstance(stmt, For):
            size = _size(stmt.body)
            sizes, starts = (*at.sizes, size), (*at.starts, position)
            inside = _Where((*at.loops, stmt), sizes, starts, barriers, position)
            yield from _statements(stmt.body, inside)
            barriers, position = barriers + size[0] * stmt.trip, position + size[1] * stmt.trip
            continue
        if isinstance(stmt, Load | Store):
            yield stmt, _Where(at.loops, at.sizes, at.starts, barriers, position)
        barriers += isinstance(stmt, Barrier)
        position += 1


def _points(
    stmt: Load | Store, where: _Where, rng: np.random.Generator
) -> tuple[list[np.ndarray], np.ndarray, list[np.ndarray]]:
    """Indices of each point at which the statement happens, and the iterations it happens in."""
    around = {x.axis for x in where.loops}
    exprs = [*stmt.index, *(g.expr for g in stmt.guards)]
    tiles = sorted({a for e in exprs for a in e.axes()} - around, key=lambda a: a.serial)
    shape = (*(x.trip for x in where.loops), *(a.extent for a in tiles))
    if prod(shape) > LIMIT:
        raise ValueError(f"a statement with {prod(shape)} points")
    grid = [g.reshape(-1) for g in np.indices(shape)] if shape else [np.zeros(1, int)]
    count = prod(shape)
    iterations = [grid[n] for n in range(len(where.loops))]
    at: dict[Axis, np.ndarray] = {}
    for n, loop in enumerate(where.loops):
        at[loop.axis] = loop.lo + loop.step * iterations[n]
    for n, axis in enumerate(tiles):
        at[axis] = grid[len(where.loops) + n]
    drawn: dict[Var, np.ndarray] = {}

    def dynamic(source: Var) -> np.ndarray:
        return drawn.setdefault(source, rng.integers(-3, 40, count))

    def value(expr: object) -> np.ndarray:
        return np.broadcast_to(expr.evaluate(at, dynamic), (count,))  # type: ignore[attr-defined]

    happens = np.ones(count, bool)
    for g in stmt.guards:
        happens &= (g.lo <= value(g.expr)) & (value(g.expr) < g.hi)
    index = [value(e)[happens] for e in stmt.index]
    return index, happens, [i[happens] for i in iterations]


def _outside(kernel: Kernel, rng: np.random.Generator) -> str | None:
    for stmt, where in _statements(kernel.body):
        index, happens, iterations = _points(stmt, where, rng)
        if not happens.any():
            continue
        for i, size in zip(index, stmt.buffer.shape, strict=True):
            if i.min() < 0 or i.max() >= size:
                return "out of bounds"
        if isinstance(stmt, Store):
            count = int(happens.sum())
            iteration = _flat(iterations, [x.trip for x in where.loops], count)
            at = iteration * stmt.buffer.size + _flat(index, stmt.buffer.shape, count)
            if len(np.unique(at)) < len(at):
                return "elements of a tile in one place"
    return None


def _flat(index: list[np.ndarray], shape: Sequence[int], count: int) -> np.ndarray:
    """Row-major numbers of points."""
    total = np.zeros(count, int)
    for i, size in zip(index, shape, strict=True):
        total = total * size + i
    return total


# -- races -----------------------------------------------------------------------------------------


def _races(kernel: Kernel, rng: np.random.Generator) -> str | None:
    if not any(x.kind == "parallel" for x in loops(kernel.body)):
        return None
    rows: dict[Buffer, list[np.ndarray]] = {}
    for stmt, where in _statements(kernel.body):
        buffer = stmt.buffer
        shared = buffer.level == "shared" if buffer.role == "scratch" else buffer.role != "input"
        if not shared:
            continue
        index, happens, iterations = _points(stmt, where, rng)
        count = int(happens.sum())
        phase, time = np.full(count, where.barriers), np.full(count, where.position)
        iteration, thread = np.zeros(count, int), np.full(count, -1)
        surroundings = zip(where.loops, where.sizes, where.starts, iterations, strict=True)
        for loop, (barriers, statements), start, i in surroundings:
            phase, time = phase + barriers * i, time + statements * i
            iteration = iteration + statements * i
            if loop.kind == "parallel":  # when an iteration starts tells it from all others
                thread = start + iteration
        element = phase * buffer.size + _flat(index, buffer.shape, count)
        writes = np.full(count, isinstance(stmt, Store))
        rows.setdefault(buffer, []).append(np.stack([element, time, thread, writes]))
    return "race" if any(_race(*np.concatenate(r, axis=1)) for r in rows.values()) else None


def _race(element: np.ndarray, time: np.ndarray, thread: np.ndarray, writes: np.ndarray) -> bool:
    """Whether accesses to elements (of one phase each) conflict; a thread of -1 is every thread."""
    if not len(element):
        return False
    order = np.argsort(element, kind="stable")
    element, time, thread, writes = (x[order] for x in (element, time, thread, writes == 1))
    starts = np.flatnonzero(np.diff(element, prepend=element[0] - 1))
    one, late = thread >= 0, np.iinfo(int).max

    def first(chosen: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.minimum.reduceat(np.where(chosen, values, late), starts)

    def last(chosen: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.maximum.reduceat(np.where(chosen, values, -1), starts)

    written_by_one = last(one & writes, time) >= 0
    several = last(one, thread) > first(one, thread)
    if (written_by_one & (several | (last(~one, time) >= 0))).any():
        return True
    # A read before a write by all may see it from a faster thread; one after two, the earlier one.
    read = one | ~writes
    begin, end = first(~one & writes, time), last(~one & writes, time)
    early = first(read, time) < end
    stale = (end > begin) & (last(read, time) > begin)
    return bool((early | stale).any())
