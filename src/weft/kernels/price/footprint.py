"""Footprints: how many cache lines a box of affine addresses touches, and which sets they fall in.

An access with byte strides ``s`` over loops of ``t`` iterations touches a box of addresses.  Taken
in ascending stride, dimensions that leave no gap as long as a line extend the contiguous *run*; one
that continues the last segment's stride extends that; any other opens a new segment.  The footprint
is the lines of a run times the runs: exact for nested boxes, and halos that overlap are merged.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import gcd

Dims = list[tuple[int, int]]  # (stride in bytes, trip count), any order


def merge(run: int, dims: Iterable[tuple[int, int]], line: int) -> tuple[int, Dims]:
    """The contiguous run (bytes) and the segments (stride, count) of a box of addresses.

    Example::

        merge(4, [(4, 16), (400, 8)], 64) == (64, [(400, 8)])
    """
    segments: Dims = []
    for stride, trip in sorted(dims):
        if not segments:
            if stride <= run or stride <= line:
                run += stride * (trip - 1)
            else:
                segments.append((stride, trip))
            continue
        last, count = segments[-1]
        if stride <= last * count and stride % last == 0:
            segments[-1] = (last, count + stride // last * (trip - 1))
        else:
            segments.append((stride, trip))
    return run, segments


def line_count(run: int, segments: Dims, line: int) -> int:
    """Lines of ``line`` bytes that the merged box touches."""
    count = -(-run // line)
    for _, trip in segments:
        count *= trip
    return count


def usable_sets(run: int, segments: Dims, line: int, sets: int) -> int:
    """Sets of a cache with ``sets`` sets that the merged box can use.

    A stride of a multiple of ``sets`` lines uses one set again and again: this is what makes
    columns of matrices with power-of-two rows slow.
    """
    usable = -(-run // line)
    for stride, trip in segments:
        if usable >= sets:
            return sets
        lines = round(stride / line) % sets
        usable *= min(trip, sets // gcd(lines, sets)) if lines else 1
    return min(usable, sets)
