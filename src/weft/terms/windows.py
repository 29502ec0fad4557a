"""Pieces that are one view: windows stacked side by side, read where they are.

::

    y[k, i] = {k in 0:1 -> x[i]; 1:2 -> x[i+1]; 2:3 -> x[i+2]}    →    y[k, i] = x[i+k]

`Fuse` says that its pieces are different terms.  Where they are loads of one array, at places that
follow the digits of the fused axis in some mixed radix, they are one load, and its readers need no
array of all windows: the convolution that multiplies stacked slices with a kernel becomes the one
that slides.  Other readers see the same values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from weft.terms.affine import Affine, Axis
from weft.terms.region import Def, Region, Scatter
from weft.terms.term import FUSES, Fuse, Load, Term, Value, postorder, replace_subterms, substitute

#: Values of a fused axis that are looked at, at most, and so many that are always looked at.
LONGEST = 1024
SHORT = 32

#: Digits of the fused axis at most: the dimensions of a window.
DIGITS = 3

#: A view: the axes of its definition, and the load.
_View = tuple[tuple[Axis, ...], Load]


def slide_windows(region: Region) -> Region:
    """``region`` with fused pieces that are one view read as such."""
    if not any(isinstance(s, Def) and s.term.holds & FUSES for s in region.steps):
        return region
    views: dict[Value, _View] = {}
    #: The first rows of a grid, which more pieces may complete.
    begun: dict[Value, _View] = {}
    steps: list[Def | Scatter] = []
    kept = set(region.outputs)
    for step in region.steps:
        if isinstance(step, Scatter):  # what is scattered into is memory, and no view
            kept.update((step.operand, *(v for t in step.terms for v in t.loads)))
            steps.append(step)
            continue
        term = _through(step.term, views)
        if term.holds & FUSES:
            more = _merged(_through(term, begun))
            term = more if isinstance(more, Load) else _merged(term)
            start = _one_load(term, whole=False) if isinstance(term, Fuse) else None
            if start is not None:
                begun[step.value] = step.axes, start
        if term is not step.term and isinstance(term, Load) and not _is_dynamic(term):
            views[step.value] = step.axes, term
        steps.append(step if term is step.term else Def(step.value, step.axes, term, step.source))
    if not views:
        return region
    steps = [s for s in steps if s.value in kept or s.value not in views]
    read = kept.union(*(v.loads for s in steps for v in s.terms))
    steps = [s for s in steps if s.value in read or s.value not in begun]
    return Region(region.inputs, tuple(steps), region.outputs)


def _through(term: Term, views: dict[Value, _View]) -> Term:
    """``term`` with views replaced by what they read."""
    if not views or views.keys().isdisjoint(term.loads):
        return term

    def load(t: Load) -> Term:
        view = views.get(t.value)
        if view is None:
            return t
        axes, source = view
        return substitute(source, dict(zip(axes, t.index, strict=True)))

    return substitute(term, {}, load)


def _is_dynamic(load: Load) -> bool:
    return any(i.dynamics() for i in load.index)


def _merged(term: Term) -> Term:
    """``term`` with every `Fuse` that is one load written as one."""
    instead: dict[Term, Term] = {}
    for t in postorder(term):
        if isinstance(t, Fuse):
            one = _one_load(t)
            if one is not None:
                instead[t] = one
    return replace_subterms(term, instead) if instead else term


def _one_load(fused: Fuse, whole: bool = True) -> Load | None:
    """The load that all pieces of ``fused`` are, if they are one.

    Unless ``whole``, windows may end in the middle of a row of the grid.
    """
    axis = _bare_axis(fused.index)
    if axis is None or not 1 < axis.extent <= LONGEST:
        return None
    first = fused.pieces[0][2]
    for _, _, load in fused.pieces:
        alike = isinstance(load, Load) and load.value in first.loads
        if not isinstance(load, Load) or not alike or _is_dynamic(load):
            return None
    assert isinstance(first, Load)
    if not _may_be_one(fused, axis):
        return None
    start: tuple[Affine, ...] | None = None
    moves: list[tuple[int, ...]] = []
    for lo, hi, load in fused.pieces:
        assert isinstance(load, Load)
        for place in _places(load.index, axis, lo, hi):
            start = start or place
            apart = [here - there for here, there in zip(place, start, strict=True)]
            if not all(a.is_constant for a in apart):
                return None
            moves.append(tuple(a.const for a in apart))
    weights = _weights(moves)
    if start is None or weights is None or (whole and any(axis.extent % w for w in weights)):
        return None
    index = list(start)
    for digit, weight in zip(_digits(axis, weights[1:]), weights, strict=True):
        index = [i + digit * by for i, by in zip(index, moves[weight], strict=True)]
    return Load(first.value, tuple(index))


def _may_be_one(fused: Fuse, axis: Axis) -> bool:
    """Whether it is worth looking at every value of the axis.

    Pieces of a grid are of one length, or go on where the one before has ended; rows of a grid
    that have been put together already are short.
    """
    if len({hi - lo for lo, hi, _ in fused.pieces}) == 1 or axis.extent <= SHORT:
        return True
    for (_, _, a), (lo, _, b) in pairwise(fused.pieces):
        assert isinstance(a, Load) and isinstance(b, Load)
        at = {axis: Affine((), lo)}
        if any(i.substitute(at) != j.substitute(at) for i, j in zip(a.index, b.index, strict=True)):
            return False
    return True


def _places(
    index: tuple[Affine, ...], axis: Axis, lo: int, hi: int
) -> Iterator[tuple[Affine, ...]]:
    """An index at each value of an axis from ``lo`` to ``hi``."""
    first = tuple(i.substitute({axis: Affine((), lo)}) for i in index)
    yield first
    straight = all(i.is_affine_in(axis) for i in index)
    for n in range(lo + 1, hi):
        if straight:
            moved = (f + i.coefficient(axis) * (n - lo) for f, i in zip(first, index, strict=True))
            yield tuple(moved)
        else:
            yield tuple(i.substitute({axis: Affine((), n)}) for i in index)


def _weights(moves: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
    """Of what the digits of a number count, if steps of so much for each explain all ``moves``: of
    ones, and of rows, and of layers of these.

    Digits that are not all complete are no grid, and divisions cost more than pieces.
    """
    weights: tuple[int, ...] = (1,)
    while True:
        wrong = next((n for n, m in enumerate(moves) if _stepped(moves, weights, n) != m), None)
        if wrong is None:
            return weights
        if len(weights) == DIGITS or wrong % weights[-1] or wrong == weights[-1]:
            return None
        weights = (*weights, wrong)


def _stepped(
    moves: Sequence[tuple[int, ...]], weights: tuple[int, ...], number: int
) -> tuple[int, ...]:
    """Where ``number`` is if each digit takes steps of its own."""
    at = [0] * len(moves[0])
    for weight in reversed(weights):
        digit, number = divmod(number, weight)
        if digit:
            at = [a + digit * by for a, by in zip(at, moves[weight], strict=True)]
    return tuple(at)


def _bare_axis(index: Affine) -> Axis | None:
    """The axis that an index is, if it is one of known extent."""
    if index.const or len(index.terms) != 1:
        return None
    atom, k = index.terms[0]
    known = isinstance(atom, Axis) and isinstance(atom.extent, int)
    return atom if known and k == 1 and isinstance(atom, Axis) else None


def _digits(axis: Axis, radices: tuple[int, ...]) -> list[Affine]:
    """The digits of an axis, the lowest first."""
    number = Affine.of(axis)
    ends = [number, *(number.floordiv(r) for r in radices)]
    found = []
    for n, weight in enumerate((1, *radices)):
        above = ends[n + 1] * (radices[n] // weight) if n < len(radices) else Affine((), 0)
        found.append(ends[n] - above)
    return found
