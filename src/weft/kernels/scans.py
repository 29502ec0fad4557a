"""Running reductions along contiguous rows: many rows side by side, one in each lane.

The loop along a row hands its total on, so that only other rows can fill the lanes, and those are
far apart in memory.  Squares of rows and columns are therefore turned on the way in and out::

    for i: for j carrying s: s' = s + x[i, j]; y[i, j] = s'
    →
    for i in steps of 16: for j in steps of 64 carrying s (16 lanes):
      t[jj, ii] = x[i + ii, j + jj]
      for jj carrying s: s' = s + t[jj, ·]; u[jj, ·] = s'
      y[i + ii, j + jj] = u[jj, ii]
"""

from __future__ import annotations

from contextlib import suppress
from math import prod

from weft.kernels.ir import For, Kernel, Load, Store, walk
from weft.kernels.machine import Machine
from weft.kernels.nests import Nest, lanes_of, nests_of, stride_of
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.scan import split_scan
from weft.kernels.schedule.split import peel, split
from weft.kernels.schedule.stage import Layout, stage, stage_writes
from weft.kernels.schedule.tile import vectorize
from weft.kernels.schedule.tree import find_loop, has_loop
from weft.terms.affine import Axis

SEGMENTS = 64  # of a scan with few rows: the same for every number of threads
LONG = 64  # elements of a segment that are worth the two passes
COLUMNS = 64  # elements of each row turned at a time: whole lines of both sides stay near


def turn_scans(kernel: Kernel, machine: Machine) -> Kernel:
    """``kernel`` with scans of contiguous rows turned; what else it does stays as it is."""
    for nest in nests_of(kernel):
        lanes = lanes_of(nest, machine)
        row = _row_axis(nest, lanes)
        if row is not None and nest.is_scalar(kernel):
            try:
                kernel = _turned(kernel, row, nest.leaf, lanes)
            except ScheduleError:
                continue  # something on the way cannot be staged: the nest keeps its gathers
    return kernel


def cut_scans(kernel: Kernel, machine: Machine) -> Kernel:
    """``kernel`` with long scans of few rows cut into segments, which then are rows to turn."""
    for nest in nests_of(kernel):
        leaf = nest.leaf
        rows = prod(x.trip for x in nest.path[:-1])
        contiguous = all(stride_of(a, leaf.axis) in (0, 1) for a in _accesses(leaf))
        if rows >= lanes_of(nest, machine) or leaf.trip < SEGMENTS * LONG or not contiguous:
            continue
        if leaf.carries and leaf.fold is None:
            with suppress(ScheduleError):  # no scan: a recurrence of another kind
                whole = peel(kernel, leaf.axis, SEGMENTS * _segment(leaf.trip, machine))
                kernel = split_scan(whole, leaf.axis, SEGMENTS, machine.threads > 1)
    return kernel


def _segment(trip: int, machine: Machine) -> int:
    """Elements of a segment: an odd number of vectors, so that cache sets differ."""
    lanes = machine.vector_bytes // 4
    vectors = trip // SEGMENTS // lanes
    return lanes * (vectors - 1 + vectors % 2)


def _row_axis(nest: Nest, lanes: int) -> Axis | None:
    """The axis of rows that one carrying loop walks contiguously; None where that is not so."""
    leaf = nest.leaf
    if not leaf.carries or leaf.fold is not None or leaf.trip < lanes or leaf.step != 1:
        return None
    outer = [x for x in nest.path[:-1] if x.trip >= lanes and not x.carries]
    for loop in reversed(outer):
        strides = [(stride_of(a, loop.axis), stride_of(a, leaf.axis)) for a in _accesses(leaf)]
        if any(j == 1 and i is not None and abs(i) > 1 for i, j in strides):
            return loop.axis
    return None


def _accesses(loop: For) -> list[Load | Store]:
    return [s for s in walk(loop.body) if isinstance(s, Load | Store)]


def _turned(kernel: Kernel, row: Axis, leaf: For, lanes: int) -> Kernel:
    column, rest = leaf.axis, Axis(leaf.axis.name, leaf.axis.extent)
    kernel = peel(kernel, row, find_loop(kernel, row).trip // lanes * lanes)
    kernel = vectorize(kernel, row, lanes)
    kernel = peel(kernel, column, leaf.trip // COLUMNS * COLUMNS, rest)
    if has_loop(kernel, rest):
        kernel = _staged(kernel, rest, lanes)
    if leaf.trip < COLUMNS:
        return _staged(kernel, column, lanes)
    inner = Axis(f"{column.name}i", COLUMNS)
    return _staged(split(kernel, column, inner), inner, lanes)


def _staged(kernel: Kernel, at: Axis, lanes: int) -> Kernel:
    """Turn every buffer whose rows the loop over ``at`` walks."""
    for access in _accesses(find_loop(kernel, at)):
        wide = any(_tile_axes(access, d) for d in range(len(access.index)))
        if not wide or stride_of(access, at) != 1:
            continue
        layout = Layout(order=_turned_order(access, at))
        if isinstance(access, Load):
            kernel = stage(kernel, access.buffer, at, "thread", layout, vector=lanes)
        else:
            kernel = stage_writes(kernel, access.buffer, at, layout, vector=lanes)
    return kernel


def _turned_order(access: Load | Store, at: Axis) -> tuple[int, ...]:
    """The dimension walked by the loop before those of the lanes."""
    rank = len(access.index)
    walked = [d for d in range(rank) if at in access.index[d].axes()]
    wide = [d for d in range(rank) if d not in walked and _tile_axes(access, d)]
    others = [d for d in range(rank) if d not in walked and d not in wide]
    return (*others, *walked, *wide)


def _tile_axes(access: Load | Store, d: int) -> bool:
    tile = access.out if isinstance(access, Load) else access.value
    return bool(access.index[d].axes() & set(tile.axes))
