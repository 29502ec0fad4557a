"""What a scheduled kernel is to a GPU: the threads of a block, and what each has for itself."""

from __future__ import annotations

from weft.kernels import ir
from weft.kernels.ir import Buffer, Kernel
from weft.terms.affine import Axis

WARP = 32


def index_axes(stmt: ir.Stmt) -> tuple[Axis, ...]:
    """Axes of the index expressions of an access."""
    if not isinstance(stmt, ir.Load | ir.Store):
        return ()
    exprs = (*stmt.index, *(g.expr for g in stmt.guards))
    return tuple(a for e in exprs for a in e.axes())


def block_size(kernel: Kernel) -> int:
    """Threads of a block: the widest lane axis in whole warps; one without lanes."""
    if kernel.vectors:
        return 1
    found = [
        a.extent
        for s in ir.walk(kernel.body)
        for a in (*index_axes(s), *(a for v in ir.outputs_of(s) for a in v.axes))
        if a in kernel.lanes
    ]
    widest = max(found, default=1)
    return widest if widest <= 1 else -(-widest // WARP) * WARP


def of_a_thread(kernel: Kernel, buffer: Buffer) -> bool:
    """Whether every thread can have private scratch for itself: no access depends on the lane."""
    if buffer.level != "thread":
        return False
    for stmt in ir.walk(kernel.body):
        if isinstance(stmt, ir.Load | ir.Store) and stmt.buffer is buffer:
            varies = set(index_axes(stmt))
            if isinstance(stmt, ir.Store):
                varies.update(stmt.value.axes)
                varies.update(stmt.predicate.axes if stmt.predicate is not None else ())
            if not kernel.lanes.isdisjoint(varies):
                return False
    return True
