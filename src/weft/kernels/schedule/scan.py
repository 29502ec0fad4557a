"""Running reductions in segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from weft.kernels.ir import (
    Barrier,
    Buffer,
    Carry,
    For,
    Kernel,
    Load,
    Map,
    Stmt,
    Store,
    Var,
    inputs_of,
    outputs_of,
    walk,
)
from weft.kernels.races import dependence
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.folds import combine_all, identities, unused_name
from weft.kernels.schedule.split import peel
from weft.kernels.schedule.tree import clone, find_loop, like, path_to, replace_loop, substitute
from weft.terms.affine import Affine, Axis
from weft.terms.monoids import MONOIDS, Monoid

#: Operations that are monoids by themselves.
_ASSOCIATIVE = ("add", "mul", "max", "min")


def split_scan(kernel: Kernel, axis: Axis, count: int, parallel: bool = True) -> Kernel:
    """Cut a running reduction into segments that only need to know what precedes them::

        for k in 0:8n carrying s = s0: s' = s + f(k); store y[k] = s'
        →
        parallel p in 0:8: store partial[p] = fold ki in 0:n of f(n·p + ki)
        barrier
        for q in 0:8 carrying s = s0: store before[q] = s; s' = s + load partial[q]
        parallel p in 0:8:
          for ki in 0:n carrying s = load before[p]: s' = s + f(n·p + ki); store y[n·p + ki] = s'

    What is reduced is computed twice, and combined in another order.  The remainder follows in a
    loop of its own.  Refuses loops inside a parallel loop, loops that are no scan of one value by
    an associative operation, and iterations that depend on each other through memory.
    """
    loop = find_loop(kernel, axis)
    path = path_to(kernel, axis)
    if any(x.kind == "parallel" for x in path[:-1]):
        raise ScheduleError(f"the scan over {axis} is inside a parallel loop")
    if not 1 <= count <= loop.trip:
        raise ScheduleError(f"cannot cut the {loop.trip} iterations of {axis} into {count} pieces")
    monoid, element = _scanned(loop)
    conflict = dependence(loop, tuple(path[:-1]), private=True)
    if conflict is not None:
        raise ScheduleError(conflict[1] + ": they cannot run in segments")
    needed = _needed(loop, element)
    kernel = peel(kernel, axis, loop.trip // count * count)
    names = {b.name for b in (*kernel.params, *kernel.scratch)}
    dtype = element.dtype
    level = "shared" if parallel else "thread"
    partial = Buffer(unused_name("partial", names), (count,), dtype, "scratch", level)
    before = Buffer(unused_name("before", names), (count,), dtype, "scratch", "thread")
    kernel = kernel.evolve(scratch=(*kernel.scratch, partial, before))
    segments = _Segments(monoid, element, needed, count, partial, before)
    fences: list[Stmt] = [Barrier()] if parallel else []
    last = fences if len(path) > 1 else []

    def build(main: For) -> list[Stmt]:
        first = segments.totals(main, parallel)
        return [*first, *fences, *segments.offsets(main), segments.scans(main, parallel), *last]

    return replace_loop(kernel, axis, build)


def _scanned(loop: For) -> tuple[Monoid, Var]:
    """The operation of a scan and the variable it adds in every iteration."""
    if len(loop.carries) == 1 and loop.fold is None and not loop.carries[0].var.axes:
        carry = loop.carries[0]
        for stmt in loop.body:
            if isinstance(stmt, Map) and stmt.out is carry.update and stmt.op in _ASSOCIATIVE:
                others = [a for a in stmt.args if a is not carry.var]
                if len(others) == 1 and len(stmt.args) == 2:
                    return MONOIDS[stmt.op], others[0]
    raise ScheduleError(f"the loop over {loop.axis} is not a scan by an associative operation")


def _needed(loop: For, element: Var) -> list[Stmt]:
    """The statements that compute what an iteration adds; they must not need the total so far."""
    wanted = {element}
    needed: list[Stmt] = []
    for stmt in reversed(loop.body):
        if wanted.intersection(outputs_of(stmt)):
            if isinstance(stmt, For):
                raise ScheduleError(f"the scan over {loop.axis} contains a loop")
            needed.append(stmt)
            wanted.update(inputs_of(stmt))
    written = {s.buffer for s in walk(loop.body) if isinstance(s, Store)}
    rereads = any(isinstance(s, Load) and s.buffer in written for s in needed)
    if loop.carries[0].var in wanted or rereads:
        raise ScheduleError(f"what the loop over {loop.axis} adds up depends on earlier iterations")
    return needed[::-1]


class _Segments:
    """Builds the three phases."""

    def __init__(
        self,
        monoid: Monoid,
        element: Var,
        needed: Sequence[Stmt],
        count: int,
        partial: Buffer,
        before: Buffer,
    ) -> None:
        self.monoid, self.element, self.needed = monoid, element, needed
        self.count, self.partial, self.before = count, partial, before

    def axes(self, main: For) -> tuple[Axis, Axis, Affine]:
        """A segment's number, a place inside it, and what they make of the scan's axis."""
        size = main.trip // self.count
        p, inner = Axis(f"{main.axis.name}p", self.count), Axis(f"{main.axis.name}i", size)
        return p, inner, (Affine.of(p) * size + inner) * main.step + main.lo

    def totals(self, main: For, parallel: bool) -> list[Stmt]:
        """Every segment's own total."""
        p, inner, at = self.axes(main)
        carry = main.carries[0]
        out: list[Stmt] = []
        start = identities(self.monoid, [carry.var], out)[0]
        entry, total = like(carry.var), like(carry.var)
        body, names = clone(self.needed, {main.axis: at})
        new = combine_all(self.monoid, [entry], [names.var(self.element)], body)[0]
        carries = (Carry(entry, start, new, total),)
        fold = For(inner, 0, inner.extent, 1, body, "serial", carries, self.monoid)
        store = Store(self.partial, (Affine.of(p),), total)
        kind = "parallel" if parallel else "serial"
        return [*out, For(p, 0, self.count, 1, [fold, store], kind)]

    def offsets(self, main: For) -> list[Stmt]:
        """What precedes every segment, and the total of all."""
        q = Axis(f"{main.axis.name}q", self.count)
        carry = main.carries[0]
        entry, part = like(carry.var), like(carry.var)
        body: list[Stmt] = [
            Store(self.before, (Affine.of(q),), entry),
            Load(part, self.partial, (Affine.of(q),)),
        ]
        new = combine_all(self.monoid, [entry], [part], body)[0]
        carries = (Carry(entry, carry.init, new, carry.result),)
        return [For(q, 0, self.count, 1, body, "serial", carries)]

    def scans(self, main: For, parallel: bool) -> Stmt:
        """The scan of every segment."""
        p, inner, at = self.axes(main)
        carry = main.carries[0]
        start = like(carry.var)
        scan = replace(
            main,
            axis=inner,
            lo=0,
            hi=inner.extent,
            step=1,
            body=substitute(main.body, {main.axis: at}),
            carries=(replace(carry, init=start, result=like(carry.result)),),
        )
        load = Load(start, self.before, (Affine.of(p),))
        return For(p, 0, self.count, 1, [load, scan], "parallel" if parallel else "serial")
