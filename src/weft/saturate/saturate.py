"""`saturate`: a region computed in the cheapest way that the rules find."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import TYPE_CHECKING

from weft.kernels.machine import Machine
from weft.saturate.pieces import pieces
from weft.structs import struct
from weft.terms.region import Def, Region
from weft.terms.term import Fold, Scan, postorder

if TYPE_CHECKING:
    from weft.saturate.encode import Encoded
    from weft.saturate.engine import Run
    from weft.saturate.extract import Extraction
    from weft.saturate.graph import Graph

#: Nanoseconds of running that are worth the time of looking for something better.
WORTH = 2000.0


@struct
class Saturation:
    """What became of a piece of a region.

    ``before`` and ``after`` are estimated nanoseconds of the source and of what was chosen;
    ``skipped`` says why the rules did not run, ``search`` what they worked on.
    """

    region: Region
    before: float = inf
    after: float = inf
    skipped: str = ""
    search: Search | None = None

    @property
    def changed(self) -> bool:
        """Whether another way than the source's was chosen."""
        return self.after < self.before


@struct
class Found:
    """What the search among the ways to compute some nodes came to; shared by equal pieces."""

    graph: Graph
    extraction: Extraction
    run: Run


@struct
class Search:
    """What was searched: the nodes of a piece, those that are needed, and those that promised a
    gain; and what was found."""

    encoded: Encoded
    roots: tuple[int, ...]
    promising: tuple[int, ...]
    found: Found


def saturate(
    region: Region, machine: Machine, numerics: str, worth: float = WORTH, exact: bool = False
) -> tuple[Region, list[Saturation]]:
    """``region``, or another that computes the same outputs at less cost, and how it was found.

    Pieces that cost less than ``worth`` nanoseconds are left alone. With ``exact``, integer
    programs choose among what the rules find.
    """
    if numerics == "domain":
        from weft.saturate.selection import select_out

        region = select_out(region)
    done = [_one(piece, machine, numerics, worth, exact) for piece in pieces(region)]
    if not any(s.changed for s in done):
        return region, done
    steps = tuple(step for s in done for step in s.region.steps)
    return Region(region.inputs, steps, region.outputs), done


def _one(region: Region, machine: Machine, numerics: str, worth: float, exact: bool) -> Saturation:
    defs = [s for s in region.steps if isinstance(s, Def)]
    reason = _reason_to_skip(defs)
    if reason:
        return Saturation(region, skipped=reason)
    from weft.saturate.search import improved  # most programs that are small do not need it

    return improved(region, defs, machine, numerics, worth, exact)


def _reason_to_skip(defs: Iterable[Def]) -> str:
    """Why no rule can apply, if that is plain to see."""
    folds = False
    for definition in defs:
        for t in postorder(definition.term):
            if any(not isinstance(a.extent, int) or a.extent == 0 for a in t.axes):
                return "open or empty axes"
            folds = folds or isinstance(t, Fold | Scan)
    return "" if folds else "no folds"
