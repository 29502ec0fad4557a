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

from weft.terms.affine import Affine, Axis
from weft.terms.region import Def, Region, Scatter
from weft.terms.term import FUSES, Fuse, Load, Term, Value, postorder, replace_subterms, substitute

#: Values of a fused axis that are looked at, at most.
LONGEST = 1024

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
    if not isinstance(first, Load) or _is_dynamic(first):
        return None
    places: list[tuple[Affine, ...]] = []
    for lo, hi, load in fused.pieces:
        if not isinstance(load, Load) or load.value is not first.value or _is_dynamic(load):
            return None
        places += [
            tuple(i.substitute({axis: Affine((), n)}) for i in load.index) for n in range(lo, hi)
        ]
    start = places[0]
    moves: list[list[int]] = []
    for place in places:
        apart = [here - there for here, there in zip(place, start, strict=True)]
        if not all(a.is_constant for a in apart):
            return None
        moves.append([a.const for a in apart])
    for radices in _radices(axis.extent, whole):
        found = _steps(moves, radices)
        if found is not None:
            digits = _digits(axis, radices)
            index = list(start)
            for digit, by in zip(digits, found, strict=True):
                index = [i + digit * b for i, b in zip(index, by, strict=True)]
            return Load(first.value, tuple(index))
    return None


def _bare_axis(index: Affine) -> Axis | None:
    """The axis that an index is, if it is one of known extent."""
    if index.const or len(index.terms) != 1:
        return None
    atom, k = index.terms[0]
    known = isinstance(atom, Axis) and isinstance(atom.extent, int)
    return atom if known and k == 1 and isinstance(atom, Axis) else None


def _radices(extent: int, whole: bool) -> Iterator[tuple[int, ...]]:
    """Where digits of a number below ``extent`` end: at none, one or two of its divisors.

    Digits that are not all complete are no grid, and divisions cost more than pieces.
    """
    yield ()
    ends = [p for p in range(2, extent) if not whole or extent % p == 0]
    for p in ends:
        yield (p,)
    for p in ends:
        yield from ((p, q) for q in ends if q > p and q % p == 0)


def _steps(moves: Sequence[Sequence[int]], radices: tuple[int, ...]) -> list[Sequence[int]] | None:
    """How far each digit moves every index, if that explains all ``moves``."""
    weights = (1, *radices)
    found = [moves[w] for w in weights]
    for n, move in enumerate(moves):
        rest, digits = n, []
        for weight in reversed(weights):
            digit, rest = divmod(rest, weight)
            digits.append(digit)
        digits.reverse()
        for d, there in enumerate(move):
            if there != sum(digit * by[d] for digit, by in zip(digits, found, strict=True)):
                return None
    return found


def _digits(axis: Axis, radices: tuple[int, ...]) -> list[Affine]:
    """The digits of an axis, the lowest first."""
    number = Affine.of(axis)
    ends = [number, *(number.floordiv(r) for r in radices)]
    found = []
    for n, weight in enumerate((1, *radices)):
        above = ends[n + 1] * (radices[n] // weight) if n < len(radices) else Affine((), 0)
        found.append(ends[n] - above)
    return found
