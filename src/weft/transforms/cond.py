"""The ``cond`` primitive: one of several branches, chosen by an index.

``cond(index, *operands, branches)`` runs ``branches[clamp(index)]``; all branches have the same
types. A mapped index (under vmap) becomes a selection among the results of all branches; where a
branch has effects, the elements go one after the other instead, each through its own branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from weft.core.avals import ShapedArray, aval_of
from weft.core.axis_names import name_of, uses_axis
from weft.core.interpret import eval_closed, numpy_closed
from weft.core.jaxpr import ClosedJaxpr, Jaxpr, Var
from weft.core.linear import is_undef
from weft.core.primitive import Primitive
from weft.core.staging import trace_to_jaxpr
from weft.primitives.arithmetic import clamp
from weft.primitives.joining import concatenate
from weft.primitives.select import select_n
from weft.primitives.shaping import broadcast_in_dim, reshape, zeros_like_aval
from weft.primitives.slicing import slice as slice_array
from weft.terms.control_flow import lower_switch
from weft.transforms.call import check_operands
from weft.transforms.closed import (
    Derived,
    Mask,
    Split,
    batch_closed,
    info_of,
    jvp_closed,
    mapped_first,
    moved_of,
    present,
    split_closed,
    spread,
    transpose_closed,
)
from weft.transforms.one_by_one import both_ways, one_by_one, refuse_ordered

Branches = tuple[ClosedJaxpr, ...]

cond_p = Primitive("cond", multiple_results=True)


@cond_p.def_type
def _(index: ShapedArray, *avals: ShapedArray, branches: Branches) -> list[ShapedArray]:
    if index.shape or index.dtype != np.int32:
        raise TypeError(f"cond: the index of the branch is i32[], got {index}")
    for number, branch in enumerate(branches):
        check_operands(f"branch {number} of cond", branch, avals)
        for want, got in zip(branches[0].out_avals, branch.out_avals, strict=True):
            if want.shape != got.shape or want.dtype != got.dtype:
                raise TypeError(f"cond: branch {number} gives {got} where branch 0 gives {want}")
    return branches[0].out_avals


@cond_p.def_effects
def _(*, branches: Branches) -> frozenset[str]:
    return frozenset().union(*(branch.effects for branch in branches))


@cond_p.def_numpy
def _(index: np.ndarray, *args: np.ndarray, branches: Branches) -> list[np.ndarray]:
    return numpy_closed(branches[min(max(int(index), 0), len(branches) - 1)], *args)


@cond_p.def_lower_complex
@cond_p.def_lower
def _(ctx: Any, index: Any, *args: Any, branches: Branches) -> list[Any]:
    return lower_switch(ctx, index, branches, args)


def _same_operands(derived: Sequence[Derived]) -> tuple[Branches, list[Any]]:
    """Branches that take the constants of all of them first, and those constants."""
    consts = [c for d in derived for c in d.consts]
    if not consts:
        return tuple(d.closed for d in derived), []
    branches, start = [], 0
    counts = [len(d.consts) for d in derived]
    for d, count in zip(derived, counts, strict=True):
        jaxpr = d.closed.jaxpr
        own, rest = jaxpr.invars[:count], jaxpr.invars[count:]
        before = [Var(aval_of(c)) for c in consts[:start]]
        after = [Var(aval_of(c)) for c in consts[start + count :]]
        invars = [*before, *own, *after, *rest]
        branches.append(
            ClosedJaxpr(
                Jaxpr([], invars, jaxpr.outvars, jaxpr.eqns, jaxpr.effects, jaxpr.debug_name)
            )
        )
        start += count
    return tuple(branches), consts


def _union(masks: Sequence[Mask]) -> Mask:
    return tuple(any(column) for column in zip(*masks, strict=True))


@cond_p.def_jvp
def _(primals: list[Any], tangents: list[Any], *, branches: Branches) -> Any:
    index, *operands = primals
    moved = moved_of(tangents[1:])
    outs_moved = _union([jvp_closed(branch, moved).outs for branch in branches])
    derived = [jvp_closed(branch, moved, outs_moved) for branch in branches]
    new_branches, consts = _same_operands(derived)
    outs = cond_p.bind(index, *consts, *operands, *present(tangents[1:]), branches=new_branches)
    out_avals = branches[0].out_avals
    count = len(out_avals)
    return outs[:count], spread(outs[count:], outs_moved, out_avals)


@cond_p.def_partial_eval
def _(trace: Any, args: list[Any], unknown: list[bool], *, branches: Branches) -> list[Any]:
    if unknown[0]:
        return trace.stage(cond_p, args, {"branches": branches})
    mask = tuple(unknown[1:])
    out_unknown = _union([split_closed(branch, mask).out_unknown for branch in branches])
    splits = [split_closed(branch, mask, out_unknown) for branch in branches]
    known_args = [a for a, u in zip(args[1:], mask, strict=True) if not u]
    unknown_args = [a for a, u in zip(args[1:], mask, strict=True) if u]
    slots, avals = _residual_slots(splits)
    packing = Packing(avals)
    known_branches, known_consts = _same_operands(
        [_known_branch(s, slot, packing) for s, slot in zip(splits, slots, strict=True)]
    )
    known_outs: list[Any] = []
    if known_branches[0].out_avals:
        known_outs = cond_p.bind(args[0], *known_consts, *known_args, branches=known_branches)
    count = out_unknown.count(False)
    unknown_branches, unknown_consts = _same_operands(
        [
            _unknown_branch(s, slot, known_args, packing, count)
            for s, slot in zip(splits, slots, strict=True)
        ]
    )
    operands = [args[0], *unknown_consts, *known_args, *known_outs, *unknown_args]
    unknown_outs = iter(trace.stage(cond_p, operands, {"branches": unknown_branches}))
    known = iter(known_outs)
    return [next(unknown_outs) if u else next(known) for u in out_unknown]


def _residual_slots(splits: Sequence[Split]) -> tuple[list[list[int]], list[ShapedArray]]:
    """Common places for the new residuals of all branches: those of one type share a place."""
    avals: list[ShapedArray] = []
    slots: list[list[int]] = []
    for split in splits:
        free = list(range(len(avals)))
        chosen = []
        for aval in split.new_avals:
            strong = aval.strip_weak_type()
            place = next((i for i in free if avals[i] is strong), None)
            if place is None:
                place = len(avals)
                avals.append(strong)
            else:
                free.remove(place)
            chosen.append(place)
        slots.append(chosen)
    return slots, avals


#: Residuals of one dtype from this number on are handed over in one vector,
MANY = 8
#: if they have no more bytes than this.
SMALL = 4096


class Packing:
    """How residuals go from the known part of a cond to the unknown one.

    What each level of a nest hands on are its own residuals and those of all levels inside it. With
    an array for each, a nest of n levels would have n² of them; so small ones that are many are
    joined, and go further out as one array.

    ``avals`` are the residuals, ``packed_avals`` what is handed over in their place.
    """

    def __init__(self, avals: Sequence[ShapedArray]) -> None:
        self.avals = avals
        by_dtype: dict[np.dtype, list[int]] = {}
        for place, aval in enumerate(avals):
            if aval.nbytes <= SMALL:
                by_dtype.setdefault(aval.dtype, []).append(place)
        self._joined = [places for places in by_dtype.values() if len(places) >= MANY]
        inside = {place for places in self._joined for place in places}
        self._alone = [place for place in range(len(avals)) if place not in inside]
        self.packed_avals = [avals[place] for place in self._alone]
        for places in self._joined:
            length = sum(avals[place].size for place in places)
            self.packed_avals.append(ShapedArray((length,), avals[places[0]].dtype))

    def pack(self, residuals: Sequence[Any]) -> list[Any]:
        """Values of ``avals`` as values of ``packed_avals``."""
        packed = [residuals[place] for place in self._alone]
        for places in self._joined:
            flat = [reshape(residuals[place], (self.avals[place].size,)) for place in places]
            packed.append(concatenate(flat, 0))
        return packed

    def unpack(self, packed: Sequence[Any]) -> list[Any]:
        """Values of ``packed_avals`` as values of ``avals``."""
        found = dict(zip(self._alone, packed, strict=False))
        for places, vector in zip(self._joined, packed[len(self._alone) :], strict=True):
            start = 0
            for place in places:
                aval = self.avals[place]
                part = slice_array(vector, (start,), (start + aval.size,))
                found[place] = reshape(part, aval.shape)
                start += aval.size
        return [found[place] for place in range(len(self.avals))]


def _known_branch(split: Split, slots: list[int], packing: Packing) -> Derived:
    """The known part with its residuals in the common places and zeros in the others."""
    count = split.out_unknown.count(False)

    def fun(*args: Any) -> list[Any]:
        outs = eval_closed(split.known, *args)
        new = dict(zip(slots, outs[count:], strict=True))
        residuals = [
            new[i] if i in new else zeros_like_aval(a) for i, a in enumerate(packing.avals)
        ]
        return [*outs[:count], *packing.pack(residuals)]

    return _retraced(fun, split.known, split.known_consts, split.known.in_avals)


def _unknown_branch(
    split: Split, slots: list[int], known_args: list[Any], packing: Packing, count: int
) -> Derived:
    """The unknown part as a function of all known arguments, known results and residual places."""
    consts = len(split.unknown_consts)
    results = split.known.out_avals[:count]
    operands = [*(aval_of(a) for a in known_args), *results, *packing.packed_avals]
    unknown_avals = split.unknown.in_avals[consts + len(split.residuals) :]

    def fun(*args: Any) -> list[Any]:
        own, rest = args[:consts], args[consts:]
        arg_values = rest[: len(known_args)]
        out_values = rest[len(known_args) : len(operands)]
        common = packing.unpack(out_values[count:])
        placed = [*out_values[:count], *(common[slot] for slot in slots)]
        residuals = split.residual_values(arg_values, placed)
        return eval_closed(split.unknown, *own, *residuals, *rest[len(operands) :])

    in_avals = [*split.unknown.in_avals[:consts], *operands, *unknown_avals]
    return _retraced(fun, split.unknown, split.unknown_consts, in_avals)


def _retraced(
    fun: Any, source: ClosedJaxpr, consts: list[Any], in_avals: Sequence[ShapedArray]
) -> Derived:
    closed = trace_to_jaxpr(fun, in_avals, info_of(source, "linearize"))
    return Derived(closed.hoisted(), [*closed.consts, *consts], ())


@cond_p.def_transpose
def _(cts: list[Any], index: Any, *args: Any, branches: Branches) -> list[Any]:
    linear = tuple(map(is_undef, args))
    derived = [transpose_closed(b, linear, moved_of(cts), instantiated=True) for b in branches]
    new_branches, consts = _same_operands(derived)
    known = [a for a in args if not is_undef(a)]
    outs = iter(cond_p.bind(index, *consts, *known, *present(cts), branches=new_branches))
    return [None, *(next(outs) if lin else None for lin in linear)]


@cond_p.def_batch
def _(axis_size: int, args: list[Any], dims: list[Any], *, branches: Branches) -> Any:
    if dims[0] is not None and any(branch.effects for branch in branches):
        return _choose_one_by_one(axis_size, args, dims, branches)
    operands, mapped = mapped_first(axis_size, args[1:], dims[1:])
    if dims[0] is not None:
        return _select_branches(axis_size, args[0], operands, mapped, branches)
    outs_mapped = _union([batch_closed(b, axis_size, mapped).outs for b in branches])
    derived = [batch_closed(b, axis_size, mapped, outs_mapped) for b in branches]
    new_branches, consts = _same_operands(derived)
    outs = cond_p.bind(args[0], *consts, *operands, branches=new_branches)
    return outs, [0 if m else None for m in outs_mapped]


def _choose_one_by_one(axis_size: int, args: list[Any], dims: list[Any], branches: Branches) -> Any:
    """One branch for each element, so that the effects of no other one happen."""
    jaxprs = [branch.jaxpr for branch in branches]
    refuse_ordered(*jaxprs)
    name = name_of(axis_size)
    if name is not None and any(uses_axis(jaxpr, name) for jaxpr in jaxprs):
        raise both_ways("cond", "predicate", "branches", name)
    return one_by_one(partial(cond_p.bind, branches=branches), args, dims)


def _select_branches(
    axis_size: int, index: Any, operands: list[Any], mapped: Mask, branches: Branches
) -> Any:
    """Every branch for every element, and the chosen results."""
    everything = tuple(True for _ in branches[0].out_avals)
    results = []
    for branch in branches:
        derived = batch_closed(branch, axis_size, mapped, everything)
        results.append(eval_closed(derived.closed, *derived.consts, *operands))
    last = len(branches) - 1
    chosen = clamp(np.int32(0), index, np.int32(last))
    outs = [_choose(chosen, cases) for cases in zip(*results, strict=True)]
    return outs, [0] * len(outs)


def _choose(index: Any, cases: Sequence[Any]) -> Any:
    shape = aval_of(cases[0]).shape
    which = broadcast_in_dim(index, shape, (0,))
    if len(cases) == 1:
        return cases[0]
    return select_n(which, *cases)
