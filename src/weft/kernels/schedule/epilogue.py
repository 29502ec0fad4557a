"""What follows a fold whose elements lie across lanes, in a loop of its own."""

from __future__ import annotations

from dataclasses import replace

from weft.kernels.ir import Buffer, For, Kernel, Load, Map, Stmt, Store, Var, walk
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.folds import unused_name
from weft.kernels.schedule.tree import clone, find_loop, like, replace_loop
from weft.kernels.uses import CHEAP_NS, OPERATION_NS
from weft.terms.affine import Affine, Axis

#: Operations, in the cheapest ones, from which on a loop of its own is worth a way through memory.
WORTH = 4


def epilogue_cost(kernel: Kernel, axis: Axis) -> float:
    """The operations that an iteration over ``axis`` does beside its loops, in cheap ones."""
    maps = (s for s in find_loop(kernel, axis).body if isinstance(s, Map))
    return sum(OPERATION_NS.get(s.op, CHEAP_NS) for s in maps) / CHEAP_NS


def part_epilogue(kernel: Kernel, axis: Axis) -> Kernel:
    """Finish the folds of a loop before anything is computed from them::

        for i: s = fold k of a[i, k] * b[k]; store c[i] = g(s)
        →
        for i: s = fold k of a[i, k] * b[k]; store t[i] = s
        for i': s' = load t[i']; store c[i'] = g(s')

    so that the second loop can lie across lanes where the fold does in the first.  Refuses loops
    that carry something, that have not exactly one loop in their bodies, or that store before it.
    """
    loop = find_loop(kernel, axis)
    folds = [s for s in loop.body if isinstance(s, For)]
    plain = loop.kind == "serial" and loop.step == 1 and not loop.carries
    if len(folds) != 1 or not folds[0].carries or not plain:
        raise ScheduleError(f"the loop over {axis} is not one around a single fold")
    fold = folds[0]
    before = loop.body[: loop.body.index(fold)]
    after = loop.body[loop.body.index(fold) + 1 :]
    written = {s.buffer for s in after if isinstance(s, Store)}
    reads = {s.buffer for s in walk([*before, fold]) if isinstance(s, Load)}
    if any(isinstance(s, Store) for s in walk([*before, fold])) or written & reads:
        raise ScheduleError(f"the loop over {axis} stores what its fold reads, or before it")
    second = Axis(axis.name, axis.extent)
    buffers: list[Buffer] = []
    stores: list[Stmt] = []
    loads: list[Stmt] = []
    names = {b.name for b in (*kernel.params, *kernel.scratch)}
    results: dict[Var, Var] = {}
    for carry in fold.carries:
        result = carry.result
        buffer = Buffer(unused_name("s", names), (loop.trip,), result.dtype, "scratch", "thread")
        results[result] = like(result)
        buffers.append(buffer)
        stores.append(Store(buffer, (Affine.of(axis) - loop.lo,), result))
        loads.append(Load(results[result], buffer, (Affine.of(second) - loop.lo,)))
    first = replace(loop, body=[*before, fold, *stores])
    copied, _ = clone([*before, *after], {axis: Affine.of(second)}, results)
    rest = replace(loop, axis=second, body=[*loads, *copied])
    kernel = replace_loop(kernel, axis, lambda _: [first, rest])
    return kernel.evolve(scratch=(*kernel.scratch, *buffers))
