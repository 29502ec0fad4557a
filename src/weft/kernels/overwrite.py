"""Static updates of part of an array as ordinary definitions.

``x.at[1:-1].set(y)`` is a `Scatter` whose index is known.  Done in place it first needs a copy of
``x`` whenever ``x`` is still read (a stencil reads its neighbours), so updates of a good part of an
array become one pass over the whole: a definition that is ``y`` inside the box and ``x`` outside
(`Fuse`, cut into loops later).  Small updates stay scatters and happen in place.
"""

from __future__ import annotations

from math import prod

from weft.terms.affine import Affine, Axis
from weft.terms.liveness import loaded
from weft.terms.ops import result_dtype
from weft.terms.region import Def, Region, Scatter
from weft.terms.term import Fuse, Load, Map, Term, substitute

SMALL = 8  # an update of less than an eighth of the array stays in place, if nothing else reads it


def overwrite_static(region: Region, small: bool = False) -> Region:
    """``region`` with large static updates written as definitions, with ``small`` all of them."""
    steps: list[Def | Scatter] = []
    for step in region.steps:
        box = _box(step) if isinstance(step, Scatter) else None
        if isinstance(step, Scatter) and box is not None and (small or _worth(step)):
            steps.append(_definition(step, box))
        else:
            steps.append(step)
    return Region(region.inputs, tuple(steps), region.outputs)


def is_in_place(step: Scatter) -> bool:
    """Whether ``step`` stays an update in place, one that does not read the array it changes."""
    rewritten = _box(step) is not None and _worth(step)
    return not rewritten and step.operand not in loaded(*step.terms)


Box = list[tuple[Axis | None, int, int]]


def _box(step: Scatter) -> Box | None:
    """For each dimension of the array the update's axis (if any), start and length."""
    if step.guard is not None:
        return None
    box: Box = []
    used: set[Axis] = set()
    for index in step.index:
        if index.is_constant:
            box.append((None, index.const, 1))
            continue
        atom, k = index.terms[0]
        if len(index.terms) > 1 or k != 1 or not isinstance(atom, Axis) or atom in used:
            return None
        used.add(atom)
        box.append((atom, index.const, atom.extent))
    if used != {a for a in step.axes if a.extent != 1}:
        return None
    return box


def _worth(step: Scatter) -> bool:
    large = prod(a.extent for a in step.axes) * SMALL >= step.value.size
    return large or step.operand in loaded(step.update)


def _definition(step: Scatter, box: Box) -> Def:
    axes = tuple(Axis(f"i{d}", n) for d, n in enumerate(step.value.shape))
    old: Term = Load(step.operand, tuple(map(Affine.of, axes)))
    mapping = {a: Affine() for a in step.axes if a.extent == 1}
    for axis, (inner, start, _) in zip(axes, box, strict=True):
        if inner is not None:
            mapping[inner] = Affine.of(axis) - start
    new = substitute(step.update, mapping)
    if step.combine != "set":
        new = Map(step.combine, (old, new), result_dtype(step.combine, (old.dtype, new.dtype)))
    for axis, (_, start, length) in reversed(list(zip(axes, box, strict=True))):
        new = _inside(axis, start, length, new, old)
    return Def(step.value, axes, new, step.source)


def _inside(axis: Axis, start: int, length: int, new: Term, old: Term) -> Term:
    if start == 0 and length == axis.extent:
        return new
    pieces = [(0, start, old), (start, start + length, new), (start + length, axis.extent, old)]
    return Fuse(Affine.of(axis), tuple(p for p in pieces if p[0] < p[1]))
