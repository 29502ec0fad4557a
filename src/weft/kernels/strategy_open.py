"""Schedules of kernels whose extents are left open: right for all shapes of a class, fast for most.

Vectors go along the axis that most accesses walk contiguously, several at a time; what is left over
runs one masked vector at a time.  Long sums are taken in blocks, as many
deep as the class's largest extent asks for.  There is no choice by price: which schedule is best
depends on what is left open.
"""

from __future__ import annotations

from weft.core.extents import Extent, surely_less, typical
from weft.kernels.ir import For, Kernel, Map, loops, walk
from weft.kernels.machine import Machine
from weft.kernels.nests import Nest, lanes_of, nests_of, stride_of, vector_axes
from weft.kernels.schedule.errors import ScheduleError, refused
from weft.kernels.schedule.folds import block_fold
from weft.kernels.schedule.open import flatten_buffers, interleave_open, tile_open
from weft.kernels.schedule.order import reorder
from weft.kernels.schedule.tile import vectorize
from weft.kernels.schedule.tree import find_loop
from weft.terms.affine import Axis
from weft.terms.monoids import ADD

CHAIN = 16  # additions in a row before a sum moves on to another block
DEPTH = 8  # blocks inside blocks, at most: enough for every extent there is


def schedule(kernel: Kernel, machine: Machine) -> Kernel:
    """The schedule of a naive kernel with open extents."""
    kernel = flatten_buffers(kernel)
    tried: set[Axis] = set()
    while True:
        nests = [n for n in nests_of(kernel) if n.leaf.axis not in tried and n.is_scalar(kernel)]
        if not nests:
            return _short_chains(kernel)
        nest = max(nests, key=lambda n: typical(n.iterations))
        tried.add(nest.leaf.axis)
        before = {x.axis for x in loops(kernel.body)}
        kernel = _vectorized(kernel, nest, machine)
        tried.update(x.axis for x in loops(kernel.body) if x.axis not in before)  # left over


def _vectorized(kernel: Kernel, nest: Nest, machine: Machine) -> Kernel:
    lanes = lanes_of(nest, machine)
    for axis in vector_axes(nest, lanes):
        loop = next(x for x in nest.path if x.axis is axis)
        try:
            across = _crossed(nest, loop)
            if across is not None:
                turned = tile_open(reorder(kernel, across.axis, axis), axis, lanes, lanes)
                return interleave_open(turned, across.axis, lanes)
            if isinstance(loop.trip, Extent):
                return tile_open(kernel, axis, _vectors(nest) * lanes, lanes)
            return vectorize(kernel, axis, max(1, min(_vectors(nest) * lanes, loop.trip)))
        except ScheduleError as why:  # the next best axis may be legal
            kernel = refused(kernel, f"vectorize {axis.name}", why)
    return kernel


def _crossed(nest: Nest, loop: For) -> For | None:
    """The loop around ``loop`` along which something is contiguous that ``loop`` strides over.

    Tiles of both are turned in registers; then the inner loop is the one that is contiguous.
    """
    place = nest.path.index(loop)
    if place == 0 or loop.carries:
        return None
    other = nest.path[place - 1]
    both = isinstance(loop.trip, Extent) and isinstance(other.trip, Extent)
    if not both or other.carries or other.step != 1 or len(other.body) != 1:
        return None
    for access in nest.accesses():
        far = isinstance(stride_of(access, loop.axis), Extent)
        if far and stride_of(access, other.axis) == 1:
            return other
    return None


def _vectors(nest: Nest) -> int:
    """Vectors of a tile: fewer when each needs many registers."""
    operations = sum(isinstance(s, Map) for s in walk(nest.leaf.body))
    return 4 if operations <= 12 else 2 if operations <= 40 else 1


def _short_chains(kernel: Kernel) -> Kernel:
    """Break long float sums into blocks of blocks, so that rounding errors do not add up."""
    for axis in [x.axis for x in loops(kernel.body) if _sums_floats(x)]:
        for _ in range(DEPTH):
            if surely_less(find_loop(kernel, axis).trip, 2 * CHAIN + 1):
                break
            kernel = block_fold(kernel, axis, CHAIN)
    return kernel


def _sums_floats(loop: For) -> bool:
    return loop.fold is ADD and any(c.var.dtype.kind == "f" for c in loop.carries)
