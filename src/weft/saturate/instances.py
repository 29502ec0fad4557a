"""Instances: what is read of a definition, computed for the elements that are read only.

A slice, a row or the diagonal of a product needs a part of it. For every load that reads fewer
elements than its definition has, and behind which there is a fold, an *instance* is added: the
definition's term at the load's index. The e-graph is told that both are equal; the price decides
whether the whole array is needed anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from math import prod

from weft.structs import struct
from weft.terms.region import Def, Region
from weft.terms.term import (
    Fold,
    Load,
    Scan,
    Term,
    Value,
    bound_axes,
    postorder,
    rename_bound,
    substitute,
)

#: Instances of one region; beyond that, arrays are computed whole.
MOST = 32


@struct
class Instances:
    """``of`` gives the value that stands for a load; each of ``defs`` may read earlier ones."""

    of: dict[Load, Value] = field(default_factory=dict)
    defs: list[Def] = field(default_factory=list)


def find_instances(region: Region) -> Instances:
    """The instances of what the definitions of ``region`` read of one another."""
    found = Instances()
    defs = [s for s in region.steps if isinstance(s, Def)]
    by_value = {d.value: d for d in defs}
    folds = _folding(defs)
    todo = list(defs)
    wanted = _read_in_part(region, folds)
    for reader in todo:
        for load in _loads(reader.term):
            source = by_value.get(load.value)
            if source is None or load in found.of or load.value not in folds:
                continue
            if reader in defs and load.value not in wanted:
                continue
            if not _restricts(load) or len(found.of) == MOST:
                continue
            instance = _instance(source, load, len(found.of))
            if not all(map(_is_computed, _scans(instance.term))):
                continue
            found.of[load] = instance.value
            todo.append(instance)
    found.defs = todo[: len(defs) - 1 : -1]
    return found


def _read_in_part(region: Region, folds: set[Value]) -> set[Value]:
    """Values of which all loads together read fewer elements than there are."""
    total = {v: v.size for v in region.outputs}
    loads = {load for s in region.steps for t in s.terms for load in _loads(t)}
    for load in loads:
        points = prod(a.extent for a in load.axes)
        total[load.value] = total.get(load.value, 0) + points
    return {v for v, points in total.items() if points < v.size and v in folds}


def _loads(term: Term) -> list[Load]:
    return [t for t in postorder(term) if isinstance(t, Load) and not t.sources]


def _folding(defs: Sequence[Def]) -> set[Value]:
    """Definitions that fold, or read by elementwise operations what does."""
    found: set[Value] = set()
    for d in defs:
        for t in postorder(d.term):
            if isinstance(t, Fold | Scan) or (isinstance(t, Load) and t.value in found):
                found.add(d.value)
    return found


def _restricts(load: Load) -> bool:
    """Whether a load reads fewer elements than there are."""
    return prod(a.extent for a in load.axes) < load.value.size


def _scans(term: Term) -> list[Scan]:
    return [t for t in postorder(term) if isinstance(t, Scan)]


def _is_computed(scan: Scan) -> bool:
    """Whether kernels can compute a running fold: all along its axis, or as a fold over it."""
    ends = scan.upto.is_constant and scan.upto.const == scan.over.extent - 1
    return ends or scan.is_whole


def _instance(source: Def, load: Load, number: int) -> Def:
    """``source`` at the index of ``load``, over the axes of that index."""
    term = rename_bound(source.term, bound_axes(source.term))
    moved = substitute(term, dict(zip(source.axes, load.index, strict=True)))
    axes = tuple(sorted(load.axes, key=lambda a: a.serial))
    shape = tuple(a.extent for a in axes)
    value = Value(f"{source.value.name}.part{number}", shape, source.value.dtype)
    return Def(value, axes, moved, source.source)
