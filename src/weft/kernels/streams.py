"""Streams: definitions that one loop over an axis can compute, a block of it at a time.

Where an array is only folded again along an axis, no more of it is needed at a time than a block.
A stream is a set of definitions of a region that share such an axis (*along*) and the axes outside
it (*rows*)::

    streamed   values along the axis: only blocks of them exist
    state      folds over the axis: what is carried from block to block
    row        values of a row, computed from states when their stage is over

A state whose body depends on other states runs in the same pass as these if what was added up
before can be repaired when they move (`weft.terms.cascade`); otherwise it belongs to a later
*stage*, another pass over the axis.  Nothing here knows what is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from math import prod
from typing import Literal

from weft.kernels.uses import own_folds
from weft.structs import struct
from weft.terms.affine import Axis
from weft.terms.cascade import FREE, UNKNOWN, Change, repaired
from weft.terms.liveness import loaded
from weft.terms.region import Def
from weft.terms.term import (
    Fold,
    Load,
    Proj,
    Term,
    Value,
    postorder,
    substitute,
)

Kind = Literal["streamed", "state", "row"]


class AxisClasses:
    """Axes of definitions and folds that walk the same dimension of the same values."""

    def __init__(self) -> None:
        self._above: dict[Axis, Axis] = {}
        self._shared: set[Axis] = set()

    def of(self, axis: Axis) -> Axis:
        """The representative of the class of ``axis``."""
        while axis in self._above:
            axis = self._above[axis]
        return axis

    def unite(self, a: Axis, b: Axis) -> None:
        """Make the classes of ``a`` and ``b`` one."""
        a, b = self.of(a), self.of(b)
        if a is not b:
            self._above[b] = a
            self._shared.add(a)

    def is_alone(self, axis: Axis) -> bool:
        """Whether nothing is in the class of ``axis`` but itself."""
        return axis not in self._above and axis not in self._shared


@struct(eq=False)
class Stream:
    """Definitions to compute in one kernel; see the module text.

    ``along`` and ``rows`` are representatives of axis classes, rows outermost first.  ``outputs``
    are the values that are needed outside; ``replaces`` those of the region's steps that it makes
    unnecessary.  ``anew`` are streamed values that others compute again, from rows and states.
    A state follows its ``drivers``, states of the same stage, by its ``change`` when
    they move; values of ``after`` stand there for where they move to.  ``whole`` are terms of
    streamed definitions with others put where they are read.

    Somebody asks whether sums are equal that others compute again (``alike``): each such sum is
    then added up in the order of its fold, whatever the blocks, so that it comes out the same.
    """

    steps: tuple[Def, ...]
    replaces: frozenset[Value]
    outputs: tuple[Value, ...]
    along: Axis
    rows: tuple[Axis, ...]
    classes: AxisClasses
    anew: frozenset[Value] = frozenset()
    alike: bool = False
    kind: dict[Value, Kind] = field(default_factory=dict)
    stage: dict[Value, int] = field(default_factory=dict)
    drivers: dict[Value, tuple[Value, ...]] = field(default_factory=dict)
    whole: dict[Value, Term] = field(default_factory=dict)
    change: dict[Value, Change] = field(default_factory=dict)
    after: dict[Value, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.definition = {d.value: d for d in self.steps}

    def is_along(self, axis: Axis) -> bool:
        """Whether ``axis`` walks the streamed one."""
        return self.classes.of(axis) is self.along

    def folds_along(self, term: Term) -> bool:
        """Whether a fold in ``term`` runs over the streamed axis."""
        return bool(folds_over(term, self.is_along))

    @property
    def saved(self) -> int:
        """Bytes of what is no longer in memory, less those of what still is."""
        kept = sum(v.nbytes for v in self.outputs)
        return sum(d.value.nbytes for d in self.steps if d.value not in self.outputs) - kept

    def states_of(self, stage: int) -> list[Def]:
        """The states that are complete after a pass."""
        return [
            d
            for d in self.steps
            if (self.kind[d.value], self.stage.get(d.value)) == ("state", stage)
        ]

    def streamed_for(self, states: Sequence[Def], stage: int) -> dict[Value, list[Def]]:
        """The streamed values that a pass needs for its ``states``, with those that read them."""
        roots = [*states]
        roots += [
            d
            for d in self.steps
            if self.kind[d.value] == "streamed" and self.stage.get(d.value) == stage
        ]
        wanted: dict[Value, list[Def]] = {d.value: [] for d in roots if d not in states}
        for step in reversed(self.steps):
            if step in roots or step.value in wanted:
                for value in sorted(step.term.loads, key=lambda v: v.name):
                    if self.kind.get(value) == "streamed":
                        wanted.setdefault(value, []).append(step)
        return wanted

    @property
    def repeated(self) -> frozenset[Value]:
        """Sums that others have to compute again, to the same bits."""
        folding = (d.value for d in self.steps if own_folds(d.term))
        return self.anew.intersection(folding) if self.alike else frozenset()

    @property
    def stages(self) -> int:
        """Passes over the streamed axis."""
        return 1 + max(self.stage[v] for v in self.stage if self.kind[v] != "row")


def folds_over(term: Term, chosen: Callable[[Axis], bool]) -> list[Fold]:
    """Folds in ``term`` over an axis that is ``chosen``, innermost first."""
    return [t for t in reversed(own_folds(term)) if any(map(chosen, t.over))]


def reads_much(step: Def, rows: int, least: float) -> bool:
    """Whether a definition of fewer than so many rows reads ``least`` bytes or more.

    Its rows are those beside its longest axis: shares of them give each thread a part.
    """
    extents = sorted(a.extent for a in step.axes)
    if not extents or prod(extents[:-1]) >= rows:
        return False
    return sum(v.nbytes for v in step.term.loads) >= least


# -- stages ----------------------------------------------------------------------------------------


def fold_of(term: Term) -> Fold:
    """The fold that a state is, or is a component of."""
    fold = term.fold if isinstance(term, Proj) else term
    assert isinstance(fold, Fold)
    return fold


def find_stages(stream: Stream) -> bool:
    """Give every state and row its stage; False where that is not possible."""
    for step in stream.steps:
        kind = stream.kind[step.value]
        term = expanded(step, stream)
        # What is streamed is there in every pass, an output, too: it stands apart from all states.
        placed = (v for v in loaded(term) if v in stream.stage)
        needs = [v for v in placed if stream.kind[v] != "streamed"]
        if kind == "row":
            stream.stage[step.value] = max((stream.stage[v] for v in needs), default=0)
        elif kind == "state":
            if not _place(step, term, needs, stream):
                return False
        elif step.value in stream.outputs:
            stream.stage[step.value] = max((stream.stage[v] + 1 for v in needs), default=0)
    return True


def _place(step: Def, term: Term, needs: Sequence[Value], stream: Stream) -> bool:
    if len(folds_over(term, stream.is_along)) != 1:
        return False
    stage = 0
    for value in needs:
        stage = max(stage, stream.stage[value] + (stream.kind[value] == "row"))
    same = tuple(v for v in needs if stream.stage[v] == stage)
    if same:
        for v in same:
            stream.after.setdefault(v, Value(f"{v.name}_new", v.shape, v.dtype))
        fold = fold_of(term)
        moving = {v: stream.after[v] for v in same}
        others = (a for b in fold.bodies for a in b.axes)
        apart = frozenset(a for a in others if stream.classes.of(a) not in stream.rows)
        change = repaired(fold, moving, apart)
        if change is UNKNOWN:
            stage, same = stage + 1, ()
        elif change is FREE:
            same = ()
        else:
            stream.change[step.value] = change
    stream.stage[step.value] = stage
    stream.drivers[step.value] = same
    return True


def expanded(step: Def, stream: Stream) -> Term:
    """The term of ``step`` with streamed definitions put where they are read.

    Folds in these that depend on no state stay apart: what they are does not matter.
    """

    def load(t: Load) -> Term:
        inner = stream.whole.get(t.value)
        if inner is None:
            return t
        return substitute(inner, dict(zip(stream.definition[t.value].axes, t.index, strict=True)))

    term = substitute(step.term, {}, load)
    if stream.kind[step.value] == "streamed":
        moving = any(v in stream.stage for v in loaded(term))
        if moving or not any(isinstance(x, Fold) for x in postorder(term)):
            stream.whole[step.value] = term
    return term
