"""Default schedules: vector axis, register tiles and threads, read off a kernel's accesses.

Every innermost loop is vectorised along the axis of its nest that most accesses walk contiguously;
folds get several independent accumulators; the outermost loop with enough iterations is shared
among threads.  A kernel that is one contraction is scheduled by
`weft.kernels.schedule.contraction`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from weft.kernels import ir
from weft.kernels.ir import For, Kernel, Load, Map, Store, loops, walk
from weft.kernels.machine import Machine
from weft.kernels.schedule.contraction import (
    default_params,
    find_contractions,
    schedule_contraction,
)
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.folds import block_fold, split_fold
from weft.kernels.schedule.order import parallelize
from weft.kernels.schedule.split import split
from weft.kernels.schedule.tile import vectorize
from weft.kernels.schedule.tree import find_loop
from weft.terms.affine import Axis, linearize
from weft.terms.monoids import ADD

PARALLEL_WORK = 16384  # operations below which a parallel region costs more than it saves
SHARES = 64  # partial results of a parallel reduction: the same for every number of threads
CHAIN = 64  # additions in a row before a sum moves on to another block
SMALL_CONTRACTION = 64**3  # products below which packing and threads cost more than they save


def schedule(kernel: Kernel, machine: Machine) -> Kernel:
    """The default schedule of a naive kernel."""
    contracted = _contract(kernel, machine)
    kernel = _share_among_threads(kernel, machine) if contracted is None else contracted
    tried: set[Axis] = set()
    while True:
        # Scheduling one nest can make others (remainders), so they are listed anew each time.
        nests = [n for n in _nests(kernel) if _is_scalar(n, kernel, tried)]
        if not nests:
            return _short_chains(kernel) if contracted is None else kernel
        # The one with most to do decides the vector axis of loops that several share.
        nest = max(nests, key=lambda n: n.iterations)
        tried.add(nest.leaf.axis)
        kernel = _schedule_nest(kernel, nest, machine)


def _is_scalar(nest: Nest, kernel: Kernel, tried: set[Axis]) -> bool:
    """Whether nothing in the innermost loop of ``nest`` lies across lanes yet."""
    if nest.leaf.axis in tried:
        return False
    tiles = {a for s in nest.leaf.body for v in ir.outputs_of(s) for a in v.axes}
    stored = {a for s in nest.leaf.body if isinstance(s, Store) for i in s.index for a in i.axes()}
    return kernel.lanes.isdisjoint(tiles | stored)


# -- nests -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Nest:
    """An innermost loop with the loops around it, outermost first."""

    path: tuple[For, ...]

    @property
    def leaf(self) -> For:
        return self.path[-1]

    @property
    def iterations(self) -> int:
        """How often the innermost body runs."""
        return prod(loop.trip for loop in self.path)

    def accesses(self) -> Iterator[Load | Store]:
        """Loads and stores of the innermost loop and of the loops around it."""
        return (access for access, _ in self.weighted())

    def weighted(self) -> Iterator[tuple[Load | Store, float]]:
        """The accesses, each with how often it happens per iteration of the innermost loop."""
        often = 1.0
        for loop in reversed(self.path):
            for stmt in loop.body:
                if isinstance(stmt, Load | Store):
                    yield stmt, often
            often /= max(1, loop.trip)


def _nests(kernel: Kernel) -> list[Nest]:
    """Innermost loops in order."""
    found: list[Nest] = []

    def visit(body: list[ir.Stmt], path: tuple[For, ...]) -> None:
        for stmt in body:
            if isinstance(stmt, For):
                inner = (*path, stmt)
                if not any(isinstance(s, For) for s in stmt.body):
                    found.append(Nest(inner))
                visit(stmt.body, inner)

    visit(kernel.body, ())
    return found


def _stride(access: Load | Store, axis: Axis) -> int | None:
    """Elements between neighbours along ``axis``; None when they are not evenly spaced."""
    linear = linearize(access.index, access.buffer.element_strides)
    if not linear.is_affine_in(axis):
        return None
    return linear.coefficient(axis)


# -- vectors ---------------------------------------------------------------------------------------


def _schedule_nest(kernel: Kernel, nest: Nest, machine: Machine) -> Kernel:
    lanes = _lanes(nest, machine)
    for axis in _vector_axes(nest, lanes):
        loop = next(x for x in nest.path if x.axis is axis)
        try:
            return vectorize(kernel, axis, _width(loop, nest, lanes))
        except ScheduleError:
            continue  # not legal along this axis; the next best may be
    return kernel


def _lanes(nest: Nest, machine: Machine) -> int:
    sizes = [a.buffer.dtype.itemsize for a in nest.accesses() if a.buffer.dtype.itemsize >= 4]
    return machine.vector_bytes // max(4, min(sizes, default=4))


def _vector_axes(nest: Nest, lanes: int) -> list[Axis]:
    """Axes of the nest, the best to vectorise first."""
    scored: list[tuple[float, int, Axis]] = []
    for depth, loop in enumerate(nest.path):
        if loop.trip < 2:
            continue
        score = 0.0
        for access, often in nest.weighted():
            stride = _stride(access, loop.axis)
            weight = often * (1.5 if isinstance(access, Store) else 1.0)
            if stride is not None and abs(stride) == 1:
                score += weight
            elif stride != 0:
                score -= weight
        used = min(1.0, loop.trip / lanes)
        scored.append((score * used if score > 0 else score, depth, loop.axis))
    scored.sort(key=lambda s: (-s[0], -s[1]))
    return [axis for _, _, axis in scored]


def _width(loop: For, nest: Nest, lanes: int) -> int:
    """Elements per tile: several vectors, fewer when each needs many registers."""
    operations = sum(isinstance(s, Map) for s in walk(nest.leaf.body))
    vectors = 4 if operations <= 12 else 2 if operations <= 40 else 1
    return max(1, min(vectors * lanes, loop.trip))


# -- contractions ----------------------------------------------------------------------------------


def _contract(kernel: Kernel, machine: Machine) -> Kernel | None:
    """The packed, tiled schedule of a kernel that is one contraction; None for any other."""
    found = find_contractions(kernel)
    if len(found) != 1 or prod(found[0].sizes) == 0:
        return None
    params = default_params(found[0], machine.threads, machine.vector_bytes, machine.registers)
    if prod(found[0].sizes) < SMALL_CONTRACTION or machine.threads == 1:
        params = replace(params, parallel="none")
    if prod(found[0].sizes[1:]) < SMALL_CONTRACTION:
        params = replace(params, pack_left=False, pack_right=False)
    try:
        return schedule_contraction(kernel, params, found[0])
    except ScheduleError:
        return None


# -- accuracy --------------------------------------------------------------------------------------


def _short_chains(kernel: Kernel) -> Kernel:
    """Break long float sums into blocks of blocks, so that rounding errors do not add up."""
    for axis in [x.axis for x in loops(kernel.body) if _sums_floats(x)]:
        while find_loop(kernel, axis).trip > 2 * CHAIN:
            kernel = block_fold(kernel, axis, CHAIN)
    return kernel


def _sums_floats(loop: For) -> bool:
    return loop.fold is ADD and any(c.var.dtype.kind == "f" for c in loop.carries)


# -- threads ---------------------------------------------------------------------------------------


def _share_among_threads(kernel: Kernel, machine: Machine) -> Kernel:
    """Parallel outermost loops, where there is enough to do."""
    if machine.threads < 2:
        return kernel
    for loop in [s for s in kernel.body if isinstance(s, For)]:
        if _work(loop) < PARALLEL_WORK:
            continue
        if loop.carries:
            kernel = _share_fold(kernel, loop)
            continue
        for candidate in _outer_loops(loop, machine):
            try:
                kernel = parallelize(kernel, candidate.axis)
                break
            except ScheduleError:
                continue
    return kernel


def _share_fold(kernel: Kernel, loop: For) -> Kernel:
    """A reduction to a single result: partial results in parallel, then their combination."""
    if loop.fold is None:
        return kernel
    shares = min(SHARES, loop.trip)
    try:
        return split_fold(split(kernel, loop.axis, loop.trip // shares), loop.axis)
    except ScheduleError:
        return kernel


def _outer_loops(top: For, machine: Machine) -> list[For]:
    """Perfectly nested outer loops, those with enough iterations for every thread first."""
    chain = [top]
    while len(chain[-1].body) == 1 and isinstance(chain[-1].body[0], For):
        chain.append(chain[-1].body[0])
    chain = [x for x in chain if not x.carries]
    return sorted(chain, key=lambda x: x.trip < 2 * machine.threads)


def _work(top: For) -> int:
    """Operations of a nest."""
    total = 0
    stack: list[tuple[For, int]] = [(top, 1)]
    while stack:
        loop, times = stack.pop()
        times *= loop.trip
        total += times * sum(not isinstance(s, For) for s in loop.body)
        stack.extend((s, times) for s in loop.body if isinstance(s, For))
    return total
