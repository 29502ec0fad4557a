"""Programs of tiles: what `weft.kernel` says, with index expressions and terms.

A grid of programs reads arrays that are inputs, keeps blocks of its own (*local* values) and writes
arrays that are outputs::

    tiles ::= inputs, outputs, locals, items
    item  ::= Loop(axis, lo, hi, step, kind, items)   kind: parallel (the grid) | serial
            | Def(value, axes, term)                  a tile, computed where it is needed
            | Write(value, index, axes, term)         value[index…] = term, for all of ``axes``

Terms load inputs, locals and tiles at expressions over their axes and those of the loops around.
As a routine of a `Call`, it is what it was traced from: `reference` runs that in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.structs import struct
from weft.terms.affine import Affine, Axis
from weft.terms.region import Def, Region
from weft.terms.term import Term, Value


@struct(eq=False)
class Write:
    """``value[index…] = term`` for every point of ``axes``."""

    value: Value
    index: tuple[Affine, ...]
    axes: tuple[Axis, ...]
    term: Term
    source: Any = None


@struct(eq=False)
class Loop:
    """``for axis in range(lo, hi, step)``; programs of a ``parallel`` one know nothing of each
    other."""

    axis: Axis
    lo: int
    hi: int
    step: int
    kind: str
    items: list[Item]


Item = Loop | Def | Write


@struct(eq=False)
class TileProgram:
    """A kernel as its user wrote it; ``staged`` are tiles to be kept in memory of their own."""

    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    locals: tuple[Value, ...]
    items: list[Item]
    staged: frozenset[Value]
    reference: Callable[..., Sequence[np.ndarray]]

    def written(self) -> Region:
        """What is stored in outputs, as definitions: for reports, which name values and lines."""
        steps: list[Def] = []
        waiting = list(self.items)
        while waiting:
            item = waiting.pop(0)
            if isinstance(item, Loop):
                waiting[:0] = item.items
            elif isinstance(item, Write) and item.value in self.outputs:
                steps.append(Def(item.value, item.axes, item.term, item.source))
        return Region(self.inputs, tuple(steps), self.outputs)

    def __call__(self, *arrays: np.ndarray) -> Sequence[np.ndarray]:
        return self.reference(*arrays)

    def __str__(self) -> str:
        return f"kernel {self.name}"
