"""Pieces of fuses in loops: where loops are cut, and what is left of terms inside of them.

A loop over an axis is cut where a `Fuse` changes its piece.  In each of the loops that this makes,
terms are those of the pieces that its range leaves::

    fuse[i] {0:1: a; 1:9: b[i-1]; 9:10: c}   in   for i in 1:9   is   fuse[i] {1:9: b[i-1]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from weft.terms.affine import Affine, Axis, Interval
from weft.terms.term import FOLDS, SCANS, Fuse, Term, known_index, rebuild

Ranges = Mapping[Axis, Interval]
Piece = tuple[int, int, Term]

#: Loops a single axis may be cut into; beyond that a fuse is guarded per element.
MAX_PIECES = 8


def live_pieces(fuse: Fuse, index: Affine, ranges: Ranges) -> tuple[Piece, ...]:
    """The pieces of ``fuse`` that its ``index`` reaches within ``ranges``."""
    lo, hi = index.bounds(ranges)
    return tuple(p for p in fuse.pieces if p[0] <= hi and lo < p[1])


def breakpoints(fuse: Fuse, axis: Axis) -> list[int]:
    """Values of ``axis`` at which ``fuse`` changes its piece, if the axis alone decides that."""
    k = fuse.index.coefficient(axis)
    rest = fuse.index - Affine.of(axis) * k
    if abs(k) != 1 or not rest.is_constant:
        return []
    edges = [p[0] for p in fuse.pieces] + [fuse.pieces[-1][1]]
    if k == 1:
        return [e - rest.const for e in edges]
    return [rest.const - e + 1 for e in edges]


def entered(terms: Sequence[Term], lead: Axis, axis: Axis, ranges: Ranges) -> tuple[Term, ...]:
    """``terms`` in a loop over ``axis`` that walks ``lead``: without the pieces that are elsewhere.

    Only fuses of that axis lose pieces, so that folds that were computed outside stay what they
    are. One of a single piece stays a fuse: what is made of constants alone is then computed in the
    loop, where the code generator knows them, and not passed into it. What terms share is visited
    once, and is shared afterwards.
    """
    mapping = {lead: Affine.of(axis)}
    done: dict[Term, Term] = {}
    live: dict[Fuse, tuple[Piece, ...]] = {}

    def moved(index: Affine) -> Affine:
        return index.substitute(mapping, lambda source: known_index(done[source]))

    stack: list[tuple[Term, bool]] = [(t, False) for t in reversed(terms)]
    while stack:
        term, ready = stack.pop()
        if term in done:
            continue
        if ready:
            if isinstance(term, Fuse) and term in live:
                pieces = tuple((lo, hi, done[p]) for lo, hi, p in live[term])
                done[term] = Fuse(moved(term.index), pieces)
            else:
                done[term] = rebuild(term, done, moved)
            continue
        # What a fold binds is none of its own axes, and may be meant all the same.
        if lead not in term.axes and not term.holds & (FOLDS | SCANS):
            done[term] = term
            continue
        children: Sequence[Term] = term.children
        if isinstance(term, Fuse) and lead in term.index.axes():
            pieces = live_pieces(term, term.index.substitute(mapping), ranges)
            if pieces:
                live[term] = pieces
                sources = (d.source for d in term.index.dynamics())
                children = (*(p for _, _, p in pieces), *sources)
        stack.append((term, True))
        stack.extend((c, False) for c in reversed(children) if c not in done)
    return tuple(done[t] for t in terms)
