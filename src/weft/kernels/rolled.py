"""Steps that repeat themselves as the loop that they are.

A loop that a user writes in Python arrives unrolled: the same steps again and again, each time on
what the last ones made. Written as a loop, its iterations can share a pass over memory
(`weft.kernels.passes`)::

    b = f(a); c = f(b); d = f(c)        →        for 3: x = f(x)   carrying x from a to d

Steps are compared by structure, and the values of one repetition with those of the next.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from weft.kernels.canonical import steps_key
from weft.structs import struct
from weft.terms.affine import Affine, Axis
from weft.terms.liveness import loaded
from weft.terms.region import Block, Carry, Def, For, Region, Scatter, Step
from weft.terms.term import Load, Map, Term, Value, known_index, substitute

#: Steps of one repetition, at most.
LONGEST = 64

#: Stretches, and places to begin in one of them, that are looked at.
SPANS = 3

_Steps = Sequence[Def | Scatter]


@struct(frozen=True, eq=False)
class Rolled:
    """A loop that takes the place of some of a block's steps; ``pair`` are its first two
    iterations as they were."""

    loop: For
    first: int
    last: int
    pair: Region

    @property
    def carried(self) -> int:
        """Bytes that the loop carries."""
        return sum(c.entry.nbytes for c in self.loop.carries)

    def within(self, steps: Sequence[Step]) -> Block:
        """The block with the loop."""
        return Block([*steps[: self.first], self.loop, *steps[self.last :]])


def find_repetitions(
    steps: Sequence[Step], outputs: Sequence[Value], reads: Sequence[set[Value]]
) -> Iterator[Rolled]:
    """Loops that some of a block's ``steps`` are, the likeliest first: of most steps, then those
    that carry least (they may begin at any of the repeated steps).

    ``outputs`` are needed after the block, ``reads`` by each step.
    """
    plain = [isinstance(s, Def | Scatter) for s in steps]
    signs: dict[Hashable, int] = {}
    numbers = np.array([signs.setdefault(_sign(n, s), len(signs)) for n, s in enumerate(steps)])
    likely: list[tuple[int, int, int]] = []
    for period in range(1, min(LONGEST, len(steps) // 2) + 1):
        for first, length in _stretches(numbers[:-period] == numbers[period:]):
            if length >= period and all(plain[first : first + length + period]):
                likely.append((length + period, -period, first))
    keys: dict[int, Hashable] = {}

    def same(n: int, period: int) -> bool:
        for place in (n, n + period):
            if place not in keys:
                keys[place] = steps_key((steps[place],))[0]  # type: ignore[arg-type]
        return keys[n] == keys[n + period]

    spans: list[tuple[int, int, int]] = []
    for whole, period, begin in sorted(likely, reverse=True)[: 2 * SPANS]:
        alike = [same(n, -period) for n in range(begin, begin + whole + period)]
        for first, length in _stretches(np.array(alike)):
            if length >= -period:
                spans.append((length - period, period, begin + first))
    for length, period, first in sorted(spans, reverse=True)[:SPANS]:
        found = _within(steps, first, -period, length, outputs, reads)
        yield from sorted(found, key=lambda r: (-r.loop.length, r.carried))[:SPANS]


def _within(
    steps: Sequence[Step],
    first: int,
    period: int,
    length: int,
    outputs: Sequence[Value],
    reads: Sequence[set[Value]],
) -> Iterator[Rolled]:
    """Loops of so many steps, by where they begin in a stretch that repeats itself."""
    for start in range(first, first + period):
        most = (first + length - start) // period
        for times in range(most, max(1, most - 2), -1):
            end = start + times * period
            needed = set(outputs).union(*reads[end:])
            chunks = [steps[n : n + period] for n in range(start, end, period)]
            rolled = _rolled(chunks, start, end, needed)  # type: ignore[arg-type]
            if rolled is not None:
                yield rolled
                break


def _sign(place: int, step: Step) -> Hashable:
    """What is seen of a step at a glance; nothing else is like control flow."""
    if not isinstance(step, Def | Scatter):
        return place
    term = step.terms[0]
    operation = term.op if isinstance(term, Map) else type(term)
    return type(step), step.value.shape, step.value.dtype, operation, len(term.loads)


def _stretches(same: np.ndarray) -> Iterator[tuple[int, int]]:
    """Where something holds, and for how long."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], same.astype(np.int8), [0]))))
    yield from ((int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True))


def _rolled(chunks: Sequence[_Steps], first: int, last: int, needed: set[Value]) -> Rolled | None:
    """Repetitions as a loop; None where they are not one."""
    written = [steps_key(c) for c in chunks]
    if any(key != written[0][0] for key, _ in written):
        return None
    values = [list(numbers) for _, numbers in written]
    made = [{s.value for s in c} for c in chunks]
    source: dict[int, int] = {}
    for n, value in enumerate(values[0]):
        if value in made[0] or all(v[n] is value for v in values):
            continue
        if values[1][n] not in values[0]:
            return None
        source[n] = values[0].index(values[1][n])
    for before, after in pairwise(values):
        if any(after[n] is not before[m] for n, m in source.items()):
            return None
    local = {n for n, v in enumerate(values[0]) if v in made[0]}
    if not source or not set(source.values()) <= local | source.keys():
        return None
    results = {n: values[-1][m] for n, m in source.items()}
    inside = set().union(*made)
    if needed & inside - set(results.values()):
        return None
    return Rolled(_loop(chunks, values[0], source, results, needed), first, last, _pair(chunks))


def _loop(
    chunks: Sequence[_Steps],
    values: Sequence[Value],
    source: dict[int, int],
    results: dict[int, Value],
    needed: set[Value],
) -> For:
    """The loop of repetitions that carry the values of numbers ``source`` from where it says."""
    entries = {n: Value(f"{values[n].name}_in", values[n].shape, values[n].dtype) for n in source}
    renamed = {values[n]: entry for n, entry in entries.items()}
    body: list[Step] = [_renamed(s, renamed) for s in chunks[0]]
    carries: list[Carry] = []
    for n, m in source.items():
        exit = values[m]
        if m in source:  # what the repetition before started from
            exit = Value(f"{values[n].name}_out", exit.shape, exit.dtype)
            axes = tuple(Axis(f"i{d}", size) for d, size in enumerate(exit.shape))
            body.append(Def(exit, axes, Load(entries[m], tuple(map(Affine.of, axes)))))
        result = results[n]
        if result not in needed:
            result = Value(f"{values[n].name}_end", result.shape, result.dtype)
        carries.append(Carry(values[n], entries[n], exit, result))
    counter = Value("repetition", (), np.dtype(np.int32))
    return For(len(chunks), counter, tuple(carries), Block(body), chunks[0][0].source)


def _pair(chunks: Sequence[_Steps]) -> Region:
    """Two repetitions, of which what the second one makes is needed."""
    steps = (*chunks[0], *chunks[1])
    made = {s.value for s in steps}
    read = set().union(*(loaded(*s.terms) for s in steps))
    read |= {s.operand for s in steps if isinstance(s, Scatter)}
    after = set() if len(chunks) < 3 else set().union(*(loaded(*s.terms) for s in chunks[2]))
    last = chunks[1][-1].value
    outputs = tuple(s.value for s in steps if s.value in after or s.value is last)
    return Region(tuple(sorted(read - made, key=lambda v: v.name)), steps, outputs)


def _renamed(step: Def | Scatter, values: dict[Value, Value]) -> Def | Scatter:
    """A step that reads other values."""

    def load(t: Load) -> Term:
        return Load(values[t.value], t.index) if t.value in values else t

    def moved(term: Term) -> Term:
        return substitute(term, {}, load)

    if isinstance(step, Def):
        return replace(step, term=moved(step.term))
    return replace(
        step,
        operand=values.get(step.operand, step.operand),
        index=tuple(i.substitute({}, lambda t: known_index(moved(t))) for i in step.index),
        update=moved(step.update),
        guard=None if step.guard is None else moved(step.guard),
    )
