"""Which kernels have extents that are left open."""

from __future__ import annotations

from weft.core.extents import Extent
from weft.kernels.ir import Kernel, loops, walk
from weft.kernels.schedule.tree import expressions


def is_open(kernel: Kernel) -> bool:
    """Whether the kernel has extents that each call brings along."""
    bounds = (x for loop in loops(kernel.body) for x in (loop.lo, loop.hi))
    shapes = (d for b in kernel.params for d in b.shape)
    starts = (e.const for s in walk(kernel.body) for e in expressions(s))
    return any(isinstance(x, Extent) for x in (*bounds, *shapes, *starts))
