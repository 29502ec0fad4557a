"""Intervals of index expressions where an access really happens.

Loops bound their axes by ``lo``, ``hi`` and ``step``, tiles by their extent, and a guard
``lo <= g < hi`` bounds every expression of the form ``m·g + rest``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from weft.core.extents import OpenExtentError, larger, smaller, surely_less
from weft.kernels.ir import For, Guard
from weft.terms.affine import Affine, Axis, FloorDiv, Interval

EMPTY: Interval = (0, -1)


def is_empty(interval: Interval) -> bool:
    """Whether no value lies in the interval."""
    return surely_less(interval[1], interval[0])


def meet(a: Interval, b: Interval) -> Interval:
    """Intersection; of ends that cannot be compared, those of ``a``."""
    return _either(larger, a[0], b[0]), _either(smaller, a[1], b[1])


def _either(better: Callable[[int, int], int], a: int, b: int) -> int:
    try:
        return better(a, b)
    except OpenExtentError:
        return a


def scale(interval: Interval, k: int) -> Interval:
    """``k·interval``."""
    lo, hi = interval[0] * k, interval[1] * k
    return (lo, hi) if k >= 0 else (hi, lo)


def loop_range(loop: For) -> Interval:
    """The values a loop's axis takes, as an interval."""
    return loop.lo, loop.lo + (loop.trip - 1) * loop.step


#: Iterations of a loop that are looked at to tell how many take part in another.
_SAMPLED = 32


def taken(loop: For, around: Sequence[For]) -> int:
    """How many iterations of a loop take part on average, of some of the loops ``around`` it."""
    guards = (*loop.where, *loop.unless)
    axes = {a for g in guards for a in g.expr.axes()}
    samples = {x.axis: _some(x) for x in around if x.axis in axes}
    samples[loop.axis] = np.arange(loop.lo, loop.hi, loop.step)
    at = dict(zip(samples, np.ix_(*samples.values()), strict=True))
    shape = tuple(len(s) for s in samples.values())
    takes = np.broadcast_to(_hold(loop.where, at), shape)
    if loop.unless:
        takes = takes & ~_hold(loop.unless, at)
    count, total = int(np.count_nonzero(takes)), takes.size // max(1, shape[-1])
    return -(-count // max(1, total))


def _some(loop: For) -> np.ndarray:
    every = -(-loop.trip // _SAMPLED)
    return np.arange(loop.lo, loop.hi, loop.step * max(1, every))


def _hold(guards: Iterable[Guard], at: Mapping[Axis, np.ndarray]) -> np.ndarray:
    found = np.True_
    for g in guards:
        value = g.expr.evaluate(at, _no_variable)
        found = found & (g.lo <= value) & (value < g.hi)
    return np.asarray(found)


def _no_variable(source: object) -> int:
    raise ValueError(f"a guard of a loop reads {source}")


def _with_numerators(guard: Guard) -> list[Guard]:
    """A guard, and what it says of a numerator: ``lo <= x//d < hi`` is ``lo·d <= x < hi·d``."""
    found = [guard]
    while len(terms := found[-1].expr.terms) == 1:
        atom, k = terms[0]
        if not isinstance(atom, FloorDiv) or k != 1:
            break
        const, d = found[-1].expr.const, atom.divisor
        found.append(Guard(atom.numerator, (found[-1].lo - const) * d, (found[-1].hi - const) * d))
    return found


def access_interval(
    expr: Affine, guards: Iterable[Guard], ranges: Mapping[Axis, Interval]
) -> Interval:
    """The values of ``expr`` where all ``guards`` hold; `EMPTY` when they never do::

    access_interval(i + t - 1, [0 <= i + t - 1 < 8], {i: (0, 7)})  ==  (0, 7)
    """
    result = expr.bounds(ranges)
    for guard in (g for stated in guards for g in _with_numerators(stated)):
        held = meet(guard.expr.bounds(ranges), (guard.lo, guard.hi - 1))
        if is_empty(held):
            return EMPTY
        for atom, k in guard.expr.terms:
            m, remainder = divmod(expr.coefficient_of(atom), k)
            if m == 0 or remainder:
                continue
            rest = (expr - guard.expr * m).bounds(ranges)
            lo, hi = scale(held, m)
            result = meet(result, (lo + rest[0], hi + rest[1]))
    return result
