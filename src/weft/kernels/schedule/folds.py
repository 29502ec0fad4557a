"""Reductions in stages: blocked accumulation, and partial results of threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from weft.core.extents import surely_less
from weft.kernels.ir import (
    Barrier,
    Buffer,
    Carry,
    Const,
    For,
    Kernel,
    Load,
    Stmt,
    Store,
    Var,
)
from weft.kernels.races import dependence
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.split import peel, widened
from weft.kernels.schedule.tile import combine
from weft.kernels.schedule.tree import (
    find_loop,
    like,
    path_to,
    rename,
    replace_loop,
    substitute,
)
from weft.terms.affine import Affine, Axis, row_major
from weft.terms.monoids import Monoid

#: Bytes between the partial results of different threads, so that they share no cache line.
_LINE = 64


def block_fold(kernel: Kernel, axis: Axis, block: int) -> Kernel:
    """Accumulate in blocks, each from the identity, so that no chain of additions is long::

        for k in 0:n fold add carrying s = s0: s' = s + x[k]
        →
        for k in 0:n:block fold add carrying s = s0:
          p = for ki in 0:block fold add carrying q = 0: q' = q + x[k + ki]
          s' = s + p

    The remainder is a block of its own.  Applied again to the outer loop it gives a tree (pairwise
    summation of blocks).  A loop of at most ``block`` iterations stays as it is.  Refuses loops
    that are no fold.
    """
    loop = fold_loop(kernel, axis)
    if block < 1:
        raise ScheduleError(f"cannot accumulate {axis} in blocks of {block}")
    if surely_less(loop.trip, block + 1):
        return kernel
    rest = Axis(axis.name, axis.extent)
    whole = loop.trip // block * block
    kernel = peel(kernel, axis, whole, rest)
    kernel = replace_loop(kernel, axis, lambda x: _blocks(x, block))
    if whole == loop.trip:
        return kernel
    renamed: dict[Var, Var] = {}
    kernel = replace_loop(kernel, rest, lambda x: _own_block(x, renamed))
    return rename(kernel, renamed)


def fold_loop(kernel: Kernel, axis: Axis) -> For:
    """The loop over ``axis``, which must be a fold."""
    loop = find_loop(kernel, axis)
    if loop.fold is None or not loop.carries:
        raise ScheduleError(f"the loop over {axis} is not a fold")
    return loop


def _blocks(loop: For, block: int) -> list[Stmt]:
    assert loop.fold is not None
    outer, at = widened(loop, block)
    inner = Axis(f"{loop.axis.name}i", block * loop.step)
    heads: list[Stmt] = []
    starts = identities(loop.fold, [c.var for c in loop.carries], heads)
    partial = [like(c.result) for c in loop.carries]
    strip = replace(
        loop,
        axis=inner,
        lo=0,
        hi=block * loop.step,
        body=substitute(loop.body, {loop.axis: at + inner}),
        carries=tuple(
            Carry(c.var, start, c.update, p)
            for c, start, p in zip(loop.carries, starts, partial, strict=True)
        ),
    )
    body: list[Stmt] = [strip]
    entries = [like(c.var) for c in loop.carries]
    totals = combine_all(loop.fold, entries, partial, body)
    carries = tuple(
        Carry(entry, c.init, total, c.result)
        for c, entry, total in zip(loop.carries, entries, totals, strict=True)
    )
    return [*heads, replace(outer, body=body, carries=carries)]


def _own_block(loop: For, renamed: dict[Var, Var]) -> list[Stmt]:
    """``loop`` started from the identity and combined with its start afterwards."""
    assert loop.fold is not None
    out: list[Stmt] = []
    starts = identities(loop.fold, [c.var for c in loop.carries], out)
    partial = [like(c.result) for c in loop.carries]
    carries = tuple(
        replace(c, init=start, result=p)
        for c, start, p in zip(loop.carries, starts, partial, strict=True)
    )
    out.append(replace(loop, carries=carries))
    totals = combine_all(loop.fold, [c.init for c in loop.carries], partial, out)
    renamed.update(zip((c.result for c in loop.carries), totals, strict=True))
    return out


def identities(monoid: Monoid, patterns: Sequence[Var], out: list[Stmt]) -> list[Var]:
    """Append constants that hold the monoid's identity for each variable of ``patterns``."""
    starts: list[Var] = []
    n = monoid.arity
    for g in range(0, len(patterns), n):
        group = patterns[g : g + n]
        for pattern, value in zip(group, monoid.identity([p.dtype for p in group]), strict=True):
            start = Var(pattern.dtype, pattern.axes)
            out.append(Const(start, value))
            starts.append(start)
    return starts


def combine_all(monoid: Monoid, a: Sequence[Var], b: Sequence[Var], out: list[Stmt]) -> list[Var]:
    """`combine` for several folds side by side."""
    n = monoid.arity
    totals: list[Var] = []
    for g in range(0, len(a), n):
        totals += combine(monoid, a[g : g + n], b[g : g + n], out)
    return totals


def split_fold(kernel: Kernel, axis: Axis) -> Kernel:
    """Reduce in two stages: every iteration's own partial result in parallel, then all of them::

        for p in 0:8 fold add carrying s = s0: s' = s + f(p)            → r
        →
        parallel p in 0:8: store partial[p] = 0 + f(p)
        barrier
        for q in 0:8 fold add carrying s = s0: s' = s + load partial[q] → r

    Split the fold first, so that each iteration has a large share.  The partial results lie in
    shared scratch, a cache line apart.  Refuses loops that are no fold, loops inside a parallel
    loop, and iterations that depend on each other through memory.
    """
    loop = fold_loop(kernel, axis)
    path = path_to(kernel, axis)
    outer = next((x for x in path[:-1] if x.kind == "parallel"), None)
    if outer is not None:
        raise ScheduleError(
            f"the fold over {axis} is inside the parallel loop over {outer.axis}: "
            "its threads are taken already"
        )
    conflict = dependence(loop, tuple(path[:-1]))
    if conflict is not None:
        raise ScheduleError(conflict[1] + ": they cannot run in parallel")
    names = {b.name for b in (*kernel.params, *kernel.scratch)}
    partial = [_partial(c.var, loop.trip, names) for c in loop.carries]
    kernel = kernel.evolve(scratch=(*kernel.scratch, *partial))
    again = len(path) > 1
    return replace_loop(kernel, axis, lambda x: _two_stages(x, partial, again))


def _partial(var: Var, count: int, names: set[str]) -> Buffer:
    tile = tuple(a.extent for a in var.axes)
    per_line = max(1, _LINE // var.dtype.itemsize)
    size = 1
    for d in tile:
        size *= d
    strides = (-(-size // per_line) * per_line, *row_major(tile))
    name = unused_name("partial", names)
    return Buffer(name, (count, *tile), var.dtype, "scratch", "shared", strides)


def unused_name(base: str, names: set[str]) -> str:
    """``base``, numbered if taken; the answer is added to ``names``."""
    name, n = base, 0
    while name in names:
        n += 1
        name = f"{base}{n}"
    names.add(name)
    return name


def _two_stages(loop: For, partial: Sequence[Buffer], again: bool) -> list[Stmt]:
    assert loop.fold is not None
    out: list[Stmt] = []
    starts = identities(loop.fold, [c.var for c in loop.carries], out)
    share = substitute(
        loop.body,
        {loop.axis: Affine.of(loop.axis) * loop.step + loop.lo},
        dict(zip((c.var for c in loop.carries), starts, strict=True)),
    )
    known = dict(zip((c.var for c in loop.carries), starts, strict=True))
    for c, buffer in zip(loop.carries, partial, strict=True):
        index = tuple(Affine.of(a) for a in (loop.axis, *c.var.axes))
        share.append(Store(buffer, index, known.get(c.update, c.update)))
    stage = replace(
        loop, lo=0, hi=loop.trip, step=1, kind="parallel", carries=(), fold=None, body=share
    )
    q = Axis(loop.axis.name, loop.trip)
    body: list[Stmt] = []
    parts: list[Var] = []
    entries = [like(c.var) for c in loop.carries]
    for c, buffer in zip(loop.carries, partial, strict=True):
        part = like(c.var)
        index = tuple(Affine.of(a) for a in (q, *c.var.axes))
        body.append(Load(part, buffer, index))
        parts.append(part)
    totals = combine_all(loop.fold, entries, parts, body)
    carries = tuple(
        Carry(entry, c.init, total, c.result)
        for c, entry, total in zip(loop.carries, entries, totals, strict=True)
    )
    out += [stage, Barrier(), For(q, 0, loop.trip, 1, body, "serial", carries, loop.fold)]
    return [*out, Barrier()] if again else out
