"""Which axes a kernel iterates over: splits where views divide, merges what memory walks as one.

Only the iteration changes, never the result.  An axis ``c`` that some access divides by ``n`` is
split into ``c0:E/n, c1:n``, after which the access is affine.  Two adjacent axes that every access
walks as one are collapsed: ``value[i, j]`` over ``i:m, j:n`` becomes ``value[c // n, c % n]`` over
``c:m·n``, whose address is plain ``c``; odd trailing dimensions then cost nothing.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from weft.core.extents import typical
from weft.kernels.build import Output
from weft.kernels.uses import is_contraction, own_folds
from weft.terms.affine import Affine, Axis, linearize, row_major
from weft.terms.term import (
    Fold,
    Fuse,
    Index,
    Load,
    Map,
    Proj,
    Term,
    postorder,
    substitute,
    substitute_all,
)


def normalize_axes(outputs: Sequence[Output]) -> tuple[Output, ...]:
    """``outputs`` of one cone over split and collapsed axes."""
    done = list(outputs)
    if all(o.axes == done[0].axes for o in done):
        done = _split_divided(done)
        done = _collapse_outputs(done)
    return tuple(Output(o.value, o.axes, o.index, _collapse_folds(o.term)) for o in done)


# -- splitting -------------------------------------------------------------------------------------


def _addresses(outputs: Sequence[Output]) -> list[Affine]:
    """Linear addresses of every access of a cone, stores included."""
    found = [linearize(o.index, row_major(o.value.shape)) for o in outputs]
    for term in postorder(*(o.term for o in outputs)):
        if isinstance(term, Load):
            found.append(linearize(term.index, row_major(term.value.shape)))
    return found


def _split_divided(outputs: list[Output]) -> list[Output]:
    """Split axes that an address divides, until none does (or the division is not exact)."""
    for _ in range(8):  # each round splits one axis; reshapes rarely nest deeper
        found = _divided_axis(outputs)
        if found is None:
            return outputs
        axis, divisor = found
        outer = Axis(f"{axis.name}0", axis.extent // divisor)
        inner = Axis(f"{axis.name}1", divisor)
        whole = Affine.of(outer) * divisor + inner
        outputs = _replace(outputs, (axis,), (outer, inner), {axis: whole})
    return outputs


def _divided_axis(outputs: list[Output]) -> tuple[Axis, int] | None:
    axes = outputs[0].axes
    return _divided(axes, _addresses(outputs))


def _divided(axes: Container[Axis], addresses: Iterable[Affine]) -> tuple[Axis, int] | None:
    """One of ``axes`` that an address divides evenly, and by what."""
    for address in addresses:
        for division in address.divisions():
            terms = division.numerator.terms
            if len(terms) == 1 and division.numerator.const == 0 and terms[0][1] == 1:
                axis = terms[0][0]
                if not isinstance(axis, Axis) or axis not in axes:
                    continue
                if axis.extent % division.divisor == 0 and 1 < division.divisor < axis.extent:
                    return axis, division.divisor
    return None


def _replace(
    outputs: list[Output],
    old: tuple[Axis, ...],
    new: tuple[Axis, ...],
    mapping: dict[Axis, Affine],
) -> list[Output]:
    """Iterate over ``new`` instead of the adjacent axes ``old``."""
    moved: list[Output] = []
    terms = substitute_all([o.term for o in outputs], mapping)
    for o, term in zip(outputs, terms, strict=True):
        at = o.axes.index(old[0])
        axes = (*o.axes[:at], *new, *o.axes[at + len(old) :])
        index = tuple(i.substitute(mapping) for i in o.index)
        moved.append(Output(o.value, axes, index, term))
    return moved


# -- collapsing ------------------------------------------------------------------------------------


def _collapse_outputs(outputs: list[Output]) -> list[Output]:
    position = len(outputs[0].axes) - 2
    while position >= 0:
        a, b = outputs[0].axes[position : position + 2]
        if _walked_as_one(a, b, _addresses(outputs), [o.term for o in outputs]):
            c = Axis(a.name + b.name, a.extent * b.extent)
            outputs = _replace(outputs, (a, b), (c,), _merge_map(a, b, c))
        position -= 1
    return outputs


def _merge_map(a: Axis, b: Axis, c: Axis) -> dict[Axis, Affine]:
    quotient = Affine.of(c).floordiv(max(1, b.extent))
    return {a: quotient, b: Affine.of(c) - quotient * b.extent}


def _walked_as_one(a: Axis, b: Axis, addresses: Sequence[Affine], terms: Sequence[Term]) -> bool:
    """Whether every address steps over ``a`` just where ``b`` ends, and nothing else sees them."""
    if a.extent == 0 or b.extent == 0:
        return False
    for address in addresses:
        if address.coefficient(a) != b.extent * address.coefficient(b):
            return False
        if not (address.is_affine_in(a) and address.is_affine_in(b)):
            return False
    pair = {a, b}
    return not any(
        (isinstance(t, Index) and pair & t.expr.axes())
        or (isinstance(t, Fuse) and pair & t.index.axes())
        for t in postorder(*terms)
    )


def _collapse_folds(term: Term) -> Term:
    """The same term, each fold over as few axes as possible, the most contiguous one innermost."""
    folds = own_folds(term)
    if not any(len(f.over) > 1 or _split_fold(f) is not f for f in folds):
        return term
    result: dict[Term, Term] = {}
    for t in postorder(term):
        result[t] = _with_children(t, result)
    return result[term]


def _with_children(t: Term, result: Mapping[Term, Term]) -> Term:
    if isinstance(t, Map):
        return Map(t.op, tuple(result[a] for a in t.args), t.dtype)
    if isinstance(t, Fold):
        fold = Fold(t.monoid, t.over, tuple(result[b] for b in t.bodies))
        return _collapse_fold(_split_fold(fold))
    if isinstance(t, Proj):
        whole = result[t.fold]
        assert isinstance(whole, Fold)
        return Proj(whole, t.position)
    if isinstance(t, Fuse):
        return Fuse(t.index, tuple((lo, hi, result[p]) for lo, hi, p in t.pieces))
    return t


def _read(terms: Sequence[Term]) -> list[Affine]:
    """The linear addresses of what is loaded."""
    loads = (t for t in postorder(*terms) if isinstance(t, Load))
    return [linearize(t.index, row_major(t.value.shape)) for t in loads]


def _split_fold(fold: Fold) -> Fold:
    """A contraction over several axes where an access divides one: windows numbered in a row."""
    if not is_contraction(fold):
        return fold
    for _ in range(8):
        found = _divided(fold.over, _read(fold.bodies))
        if found is None:
            break
        axis, divisor = found
        outer = Axis(f"{axis.name}0", axis.extent // divisor)
        inner = Axis(f"{axis.name}1", divisor)
        whole = {axis: Affine.of(outer) * divisor + inner}
        at = fold.over.index(axis)
        over = (*fold.over[:at], outer, inner, *fold.over[at + 1 :])
        fold = Fold(fold.monoid, over, substitute_all(fold.bodies, whole))
    return fold


def _collapse_fold(fold: Fold) -> Fold:
    addresses = _read(fold.bodies)
    over = sorted(
        fold.over,
        key=lambda a: -max((typical(abs(x.coefficient(a))) for x in addresses), default=0),
    )
    bodies = fold.bodies
    position = len(over) - 2
    while position >= 0:
        a, b = over[position : position + 2]
        if _walked_as_one(a, b, addresses, bodies) and not _slides(a, bodies):
            c = Axis(a.name + b.name, a.extent * b.extent)
            mapping = _merge_map(a, b, c)
            bodies = tuple(substitute(x, mapping) for x in bodies)
            addresses = [x.substitute(mapping) for x in addresses]
            over[position : position + 2] = [c]
        position -= 1
    return Fold(fold.monoid, tuple(over), bodies)


def _slides(axis: Axis, bodies: Sequence[Term]) -> bool:
    """Whether a dimension is read at a sum of ``axis`` and others.

    Such windows overlap, and are boxes of what they are read from only while the axis is apart.
    """
    loads = (t for t in postorder(*bodies) if isinstance(t, Load))
    return any(
        len(i.terms) > 1 and any(atom is axis for atom, _ in i.terms)
        for t in loads
        for i in t.index
    )
