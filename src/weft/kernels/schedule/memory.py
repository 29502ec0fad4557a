"""K-blocking: a fold's outer blocks moved outside the loops over its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from weft.kernels.accesses import Access, accesses
from weft.kernels.ir import (
    Barrier,
    Buffer,
    Carry,
    For,
    Kernel,
    Load,
    Stmt,
    Store,
    Var,
    walk,
)
from weft.kernels.races import apart, dependence, disjoint
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.folds import combine_all, fold_loop, identities, unused_name
from weft.kernels.schedule.tree import (
    Renaming,
    clone,
    divides,
    like,
    path_to,
    replace_loop,
    substitute,
)
from weft.structs import struct
from weft.terms.affine import Affine, Axis, linearize

Names = dict[Axis, Axis]


def fold_through_memory(kernel: Kernel, at: Axis, axis: Axis, block: int) -> Kernel:
    """Move blocks of a fold outside the loops from ``at`` inwards, through memory::

        for i: for j: s = fold k in 0:3b of f(i, j, k); store c[i, j] = g(s)
        →
        for i: for j: s = fold k in 0:b of f(i, j, k); store c[i, j] = s
        barrier
        for K in b:2b:b:
          for i': for j': s = fold k in 0:b of f(i', j', K + k); store c[i', j'] = c[i', j'] + s
          barrier
        for i″: for j″: s = fold k in 2b:3b of f(i″, j″, k); store c[i″, j″] = g(c[i″, j″] + s)

    so that an operand's block is reused by the whole nest while it is in cache.  Partial results
    stay in the output when every element is stored once, whole, with the accumulator's dtype;
    otherwise in shared scratch.  The first phase keeps the axes; barriers are left out inside
    parallel loops. Refuses folds whose nest carries values, stores before the fold, or depends on
    its order.
    """
    return through_memory(kernel, at, axis, block)[0]


def through_memory(kernel: Kernel, at: Axis, axis: Axis, block: int) -> tuple[Kernel, list[Names]]:
    """`fold_through_memory`, and what each phase calls the nest's axes."""
    loop = fold_loop(kernel, axis)
    path = path_to(kernel, axis)
    places = [d for d, x in enumerate(path[:-1]) if x.axis is at]
    if not places:
        raise ScheduleError(f"the loop over {at} is not around the fold over {axis}")
    nest = path[places[0] : -1]
    if block < 1:
        raise ScheduleError(f"cannot block the fold over {axis} by {block}")
    if loop.trip <= block:
        return kernel, [{x.axis: x.axis for x in (*nest, loop)}]
    around = tuple(path[: places[0]])
    _check_nest(nest, loop, around)
    kernel, buffers = _partial_buffers(kernel, around, nest, loop)
    parallel = any(x.kind == "parallel" for x in (*around, *nest))
    phases = _Phases(nest, loop, block, buffers, not parallel)
    kernel = replace_loop(kernel, at, lambda _: phases.build())
    return kernel, phases.names


def _check_nest(nest: Sequence[For], loop: For, around: tuple[For, ...]) -> None:
    inside = loop
    for depth in range(len(nest) - 1, -1, -1):
        level = nest[depth]
        if level.carries:
            raise ScheduleError(
                f"the loop over {level.axis}, around the fold over {loop.axis}, carries "
                f"{level.carries[0].var}; block the outermost loop of the fold"
            )
        before = level.body[: level.body.index(inside)]
        after = level.body[level.body.index(inside) + 1 :]
        early = before if depth == len(nest) - 1 else before + after
        if any(isinstance(s, Store | Barrier) for s in walk(early)):
            raise ScheduleError(
                f"the loop over {level.axis} stores something beside the fold over {loop.axis}, "
                "which would be stored once per block"
            )
        conflict = dependence(level, (*around, *nest[:depth]), private=True)
        if conflict is not None:
            raise ScheduleError(conflict[1] + ": they cannot run once per block")
        inside = level


@struct(frozen=True)
class _Place:
    """Where the partial result of one carry waits between blocks."""

    buffer: Buffer
    index: tuple[Affine, ...]


def _partial_buffers(
    kernel: Kernel, around: Sequence[For], nest: Sequence[For], loop: For
) -> tuple[Kernel, list[_Place]]:
    after = nest[-1].body[nest[-1].body.index(loop) + 1 :]
    every = (*around, *nest)
    level = "thread" if any(x.kind == "parallel" for x in every) else "shared"
    free = [s for s in after if isinstance(s, Store) and _holds_partials(s, kernel, every, nest)]
    names = {b.name for b in (*kernel.params, *kernel.scratch)}
    places: list[_Place] = []
    for c in loop.carries:
        fits = (
            s for s in free if s.buffer.dtype == c.var.dtype and _tiles(s, every) == set(c.var.axes)
        )
        store = next(fits, None)
        if store is not None:
            free.remove(store)
            places.append(_Place(store.buffer, store.index))
            continue
        place = _scratch_place(c, _contiguous_last(nest, after), unused_name("sums", names), level)
        kernel = kernel.evolve(scratch=(*kernel.scratch, place.buffer))
        places.append(place)
    return kernel, places


def _holds_partials(
    store: Store, kernel: Kernel, every: Sequence[For], nest: Sequence[For]
) -> bool:
    """Whether each element of the store's buffer is written here only, by one iteration, whole."""
    if store.guards or store.predicate is not None or store.buffer.role != "output":
        return False
    access = Access(store, tuple(every))
    others = [
        x
        for x in accesses(kernel.body)
        if x.buffer is store.buffer and x.stmt is not store and not disjoint(x, access)
    ]
    return not others and all(apart(access, access, level) for level in nest)


def _tiles(store: Store, around: Sequence[For]) -> set[Axis]:
    return {a for i in store.index for a in i.axes()} - {x.axis for x in around}


def _contiguous_last(nest: Sequence[For], after: Sequence[Stmt]) -> list[For]:
    """The loops of a nest, the one that moves along what is stored afterwards last."""

    def moves(level: For) -> bool:
        return any(
            linearize(s.index, s.buffer.element_strides).coefficient(level.axis) == 1
            for s in after
            if isinstance(s, Store)
        )

    return sorted(nest, key=moves)


def _scratch_place(carry: Carry, nest: Sequence[For], name: str, where: str) -> _Place:
    for level in nest:
        if level.step != 1:
            raise ScheduleError(
                f"the loop over {level.axis} has step {level.step}; block the fold before tiling"
            )
    tiles = carry.var.axes
    shape = (*(x.hi - x.lo for x in nest), *(a.extent for a in tiles))
    index = (*(Affine.of(x.axis) - x.lo for x in nest), *map(Affine.of, tiles))
    return _Place(Buffer(name, shape, carry.var.dtype, "scratch", where), index)


class _Phases:
    """Builds the first, middle and last block."""

    def __init__(
        self, nest: Sequence[For], loop: For, block: int, places: list[_Place], barriers: bool
    ) -> None:
        self.nest, self.loop, self.block = nest, loop, block
        self.places, self.barriers = places, barriers
        self.names: list[Names] = []

    def build(self) -> list[Stmt]:
        step, lo = self.loop.step, self.loop.lo
        count = -(-self.loop.trip // self.block)
        size = self.block * step
        out: list[Stmt] = [self.phase(replace(self.loop, hi=lo + size), first=True)]
        out += self.barrier()
        if count > 2:
            out.append(self.middle(count - 2))
        last = replace(self.loop, lo=lo + (count - 1) * size)
        return [*out, self.phase(last, last=True)]

    def barrier(self) -> list[Stmt]:
        return [Barrier()] if self.barriers else []

    def middle(self, count: int) -> Stmt:
        """The loop over the blocks that are neither first nor last."""
        size = self.block * self.loop.step
        start = self.loop.lo + size
        k = self.loop.axis
        if divides(self.loop.body, k):
            outer = Axis(k.name, count)
            base, span, step = Affine.of(outer) * size + start, (0, count), 1
        else:
            outer = Axis(k.name, k.extent)
            base, span, step = Affine.of(outer), (start, start + count * size), size
        inner = Axis(f"{k.name}i", size)
        body = substitute(self.loop.body, {k: base + inner})
        fold = replace(self.loop, axis=inner, lo=0, hi=size, body=body)
        phase = self.phase(fold)
        return For(outer, *span, step, [phase, *self.barrier()])

    def phase(self, fold: For, first: bool = False, last: bool = False) -> Stmt:
        """The nest around one block of the fold."""
        assert self.loop.fold is not None
        innermost = self.nest[-1].body
        cut = innermost.index(self.loop)
        body: list[Stmt] = list(innermost[:cut])
        if not first:
            starts = identities(self.loop.fold, [c.var for c in fold.carries], body)
            fold = replace(
                fold,
                carries=tuple(
                    replace(c, init=s) for c, s in zip(fold.carries, starts, strict=True)
                ),
            )
        body.append(fold)
        results = [c.result for c in fold.carries]
        totals = results
        if not first:
            waiting = [self.load(place, c.var, body) for place, c in self.waiting(fold)]
            totals = combine_all(self.loop.fold, waiting, results, body)
        if last:
            body += substitute(innermost[cut + 1 :], {}, dict(zip(results, totals, strict=True)))
        else:
            for place, total in zip(self.places, totals, strict=True):
                body.append(Store(place.buffer, place.index, total))
        return self.around(body, fold, fresh=not first)

    def waiting(self, fold: For) -> list[tuple[_Place, Carry]]:
        return list(zip(self.places, fold.carries, strict=True))

    def load(self, place: _Place, pattern: Var, body: list[Stmt]) -> Var:
        var = like(pattern)
        body.append(Load(var, place.buffer, place.index))
        return var

    def around(self, body: list[Stmt], fold: For, fresh: bool) -> Stmt:
        new: Stmt = replace(self.nest[-1], body=body)
        for depth in range(len(self.nest) - 2, -1, -1):
            level, old = self.nest[depth], self.nest[depth + 1]
            new = replace(level, body=[new if s is old else s for s in level.body])
        axes = {x.axis: x.axis for x in self.nest}
        axes[self.loop.axis] = fold.axis
        if not fresh:
            self.names.append(axes)
            return new
        copies, renaming = clone([new])
        self.names.append({a: _only(renaming, b) for a, b in axes.items()})
        return copies[0]


def _only(renaming: Renaming, axis: Axis) -> Axis:
    atom = renaming.axes[axis].terms[0][0]
    assert isinstance(atom, Axis)
    return atom
