"""Schedules: vector axis, register tiles and threads, read off a kernel's accesses and priced.

Every innermost loop is vectorised along the axis of its nest that most accesses walk contiguously;
folds get several independent accumulators; the outermost loop with enough iterations is shared
among threads.  A kernel that is one contraction is scheduled by
`weft.kernels.schedule.contraction`.  These defaults compete by price with a few alternatives
(`weft.kernels.candidates`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import prod

from weft.kernels import ir
from weft.kernels.candidates import NEAR, WORTH_CONTRACTION, Choice, Contest, choices
from weft.kernels.crossing import block_crossings
from weft.kernels.ir import For, Kernel, Map, loops, walk
from weft.kernels.machine import Machine
from weft.kernels.nests import Nest, lanes_of, nests_of, vector_axes
from weft.kernels.past_caches import store_past_caches
from weft.kernels.rows import keep_rows, turn_rows
from weft.kernels.scans import cut_scans, turn_scans
from weft.kernels.schedule.contraction import Params, schedule_contraction
from weft.kernels.schedule.errors import ScheduleError, refused
from weft.kernels.schedule.find import Contraction, find_contractions
from weft.kernels.schedule.folds import block_fold, split_fold
from weft.kernels.schedule.numbers import default_params, params_on_unit
from weft.kernels.schedule.operands import Operand, rejoin, set_apart
from weft.kernels.schedule.order import parallelize
from weft.kernels.schedule.split import split
from weft.kernels.schedule.tile import interleave, vectorize
from weft.kernels.schedule.tree import find_loop
from weft.structs import struct
from weft.terms.affine import Axis
from weft.terms.monoids import ADD

DEFAULT = Choice()
PARALLEL_WORK = 262144  # operations (8 µs of vectors) below which a fork costs more than it saves
UNROLLED = 256  # operations on single vectors in the body of a loop
JAMMED = 16  # iterations of a loop that are unrolled into the fold inside of it
SHARES = 64  # partial results of a parallel reduction: the same for every number of threads
CHAIN = 16  # additions in a row before a sum moves on to another block
SMALL_CONTRACTION = 64**3  # products below which packing costs more than it saves
SHARED_CONTRACTION = (
    96**3
)  # products (8 µs on one core) below which a fork costs more than it saves


def contest(kernel: Kernel, machine: Machine, floor: float = 0.0) -> Contest:
    """The default schedule of a naive kernel and a few alternatives, to be compared by price.

    ``floor`` are seconds that any schedule takes.
    """
    plan = plan_contraction(kernel, machine)
    others = list(_choices(kernel, plan, machine))
    jams = bool(_short_around_folds(kernel))
    proposals = [partial(apply_choice, kernel, machine, c) for c in others if c.parallel]
    if plan is None:
        serial = (partial(apply_choice, kernel, machine, c) for c in others if not c.parallel)
        return Contest(kernel, machine, proposals, floor=floor, open=jams, alone=next(serial, None))
    floor = max(floor, _floor(plan, machine))
    return Contest(kernel, machine, proposals, WORTH_CONTRACTION, floor, NEAR, jams)


def open_choices(kernel: Kernel, machine: Machine) -> Iterator[Choice]:
    """What could be decided for a naive kernel: the default first."""
    return _choices(kernel, plan_contraction(kernel, machine), machine)


def _choices(kernel: Kernel, plan: ContractionPlan | None, machine: Machine) -> Iterator[Choice]:
    contraction, params = (None, None) if plan is None else (plan.contraction, plan.params)
    return choices(contraction, params, machine, bool(_short_around_folds(kernel)))


def _floor(plan: ContractionPlan, machine: Machine) -> float:
    """Seconds of the multiplications alone, on all threads."""
    contraction, unit = plan.contraction, plan.params.unit
    if unit is not None:
        products = prod(contraction.sizes) / (unit.rows * unit.columns * unit.terms)
        return products * unit.cycles / (machine.core.ghz * 1e9 * machine.threads)
    dtype = contraction.k[0].carries[0].var.dtype
    lanes = max(1, machine.vector_bytes // dtype.itemsize)
    cycles = (
        contraction.sums
        * prod(contraction.sizes)
        / lanes
        * machine.core.occupancy(machine.vector_bytes)
    )
    return cycles / (machine.core.ghz * 1e9 * machine.threads)


def schedule(kernel: Kernel, machine: Machine) -> Kernel:
    """The cheapest schedule of a naive kernel among the default one and a few alternatives."""
    return contest(kernel, machine).winner().kernel


def apply_choice(kernel: Kernel, machine: Machine, choice: Choice = DEFAULT) -> Kernel:
    """The schedule of a naive kernel in which ``choice`` decides what is open.

    Raises `ScheduleError` where the kernel cannot be scheduled as chosen.
    """
    contracted = None
    try:
        contracted = None if choice.jam else _contract(kernel, machine, choice)
    except ScheduleError as why:  # not perfectly nested, or its operands are read under guards
        if choice.contraction is not None:
            raise
        kernel = refused(kernel, "contract", why)
    if not choice.parallel:
        machine = replace(machine, threads=1)
    if contracted is None:
        for axis in _short_around_folds(kernel) if choice.jam else ():
            kernel = interleave(kernel, axis, find_loop(kernel, axis).trip)
        for prepare in (block_crossings, cut_scans, turn_scans, turn_rows, keep_rows):
            kernel = prepare(kernel, machine)
        kernel = _share_among_threads(kernel, machine)
    else:
        kernel = contracted
    kernel = vectorize_nests(kernel, machine, choice)
    kernel = short_chains(kernel) if contracted is None else kernel
    return store_past_caches(kernel, machine)


def vectorize_nests(
    kernel: Kernel, machine: Machine, choice: Choice = DEFAULT, inside: Axis | None = None
) -> Kernel:
    """Put an axis of every nest across lanes; one ``inside`` the loop over an axis, if given."""
    tried: set[Axis] = set()
    while True:
        # Scheduling one nest can make others (remainders), so they are listed anew each time.
        nests = [n for n in nests_of(kernel, inside) if _is_scalar(n, kernel, tried)]
        if not nests:
            return kernel
        # The one with most to do decides the vector axis of loops that several share.
        nest = max(nests, key=lambda n: n.iterations)
        tried.add(nest.leaf.axis)
        kernel = _schedule_nest(kernel, nest, machine, choice)


def _short_around_folds(kernel: Kernel) -> list[Axis]:
    """Short loops right around a fold, which compute several results from much the same."""
    found: dict[Axis, None] = {}
    for nest in nests_of(kernel):
        for loop, inner in pairwise(nest.path):
            if inner.fold is not None and not loop.carries and 1 < loop.trip <= JAMMED:
                found[loop.axis] = None
    return list(found)


def _is_scalar(nest: Nest, kernel: Kernel, tried: set[Axis]) -> bool:
    """Whether nothing in the innermost loop of ``nest`` lies across lanes yet."""
    return nest.leaf.axis not in tried and nest.is_scalar(kernel)


# -- vectors ---------------------------------------------------------------------------------------


def _schedule_nest(kernel: Kernel, nest: Nest, machine: Machine, choice: Choice) -> Kernel:
    lanes = lanes_of(nest, machine)
    axes = vector_axes(nest, lanes)
    for axis in axes[choice.axis :] + axes[: choice.axis]:
        loop = next(x for x in nest.path if x.axis is axis)
        try:
            return vectorize(kernel, axis, _width(loop, nest, lanes, choice.vectors))
        except ScheduleError as why:  # the next best axis may be legal
            kernel = refused(kernel, f"vectorize {axis.name}", why)
    return kernel


def _width(loop: For, nest: Nest, lanes: int, vectors: int | None) -> int:
    """Elements per tile: several vectors, fewer when each needs many registers."""
    operations = sum(isinstance(s, Map) for s in walk(nest.leaf.body))
    if vectors is None:
        vectors = 4 if operations <= 12 else 2 if operations <= 40 else 1
    # Long bodies are not unrolled: the code would take long to compile, and spill.
    vectors = max(1, min(vectors, UNROLLED // max(1, operations)))
    return max(1, min(vectors * lanes, loop.trip))


# -- contractions ----------------------------------------------------------------------------------


@struct(frozen=True)
class ContractionPlan:
    """A contraction to schedule: its kernel without the ``operands`` that it computes."""

    kernel: Kernel
    contraction: Contraction
    params: Params
    operands: tuple[Operand, ...]


def plan_contraction(kernel: Kernel, machine: Machine) -> ContractionPlan | None:
    """The one contraction of a kernel, what it reads set apart, and its schedule's numbers."""
    found = find_contractions(kernel)
    if len(found) != 1 or prod(found[0].sizes) == 0:
        return None
    apart, operands = set_apart(kernel, found[0])
    among = find_contractions(apart) if operands else found
    if len(among) == 1:
        kernel, found = apart, among
    else:
        operands = ()
    params = default_params(found[0], machine.threads, machine.vector_bytes, machine.registers)
    if machine.threads == 1 or not _is_worth_sharing(found[0], machine):
        params = replace(params, parallel="none")
    params = params_on_unit(params, found[0], machine)
    if prod(found[0].sizes[1:]) < SMALL_CONTRACTION:
        params = replace(params, pack_left=False, pack_right=False)
    computed = {o.buffer for o in operands}
    if params.parallel == "rows":  # computed as they are packed
        left, right = (
            any(x.buffer in computed for x in side) for side in (found[0].left, found[0].right)
        )
        params = replace(
            params, pack_left=params.pack_left or left, pack_right=params.pack_right or right
        )
    return ContractionPlan(kernel, found[0], params, operands)


def _is_worth_sharing(contraction: Contraction, machine: Machine) -> bool:
    """Whether there is so much to multiply, or to read for few products each, that threads pay."""
    batch, _, n, k = contraction.sizes
    itemsize = contraction.k[0].carries[0].var.dtype.itemsize
    read = batch * contraction.sums * n * k * itemsize
    return prod(contraction.sizes) >= SHARED_CONTRACTION or read >= machine.levels[1].capacity // 2


def _contract(kernel: Kernel, machine: Machine, choice: Choice) -> Kernel | None:
    """The packed, tiled schedule of a kernel that is one contraction; None for any other."""
    plan = plan_contraction(kernel, machine)
    if plan is None:
        return None
    scheduled = schedule_contraction(
        plan.kernel, choice.contraction or plan.params, plan.contraction
    )
    return rejoin(scheduled, plan.operands)


# -- accuracy --------------------------------------------------------------------------------------


def short_chains(kernel: Kernel) -> Kernel:
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
            except ScheduleError as why:
                kernel = refused(kernel, f"parallelize {candidate.axis.name}", why)
    return kernel


def _share_fold(kernel: Kernel, loop: For) -> Kernel:
    """A reduction to a single result: partial results in parallel, then their combination."""
    if loop.fold is None:
        return kernel
    shares = min(SHARES, loop.trip)
    try:
        return split_fold(split(kernel, loop.axis, loop.trip // shares), loop.axis)
    except ScheduleError as why:
        return refused(kernel, f"split the fold over {loop.axis.name}", why)


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
        total += times * sum(_elements(s) for s in loop.body if not isinstance(s, For))
        stack.extend((s, times) for s in loop.body if isinstance(s, For))
    return total


def _elements(stmt: ir.Stmt) -> int:
    """Scalars that a statement works on."""
    tiles = ir.outputs_of(stmt) or ir.inputs_of(stmt)
    return max((prod(a.extent for a in v.axes) for v in tiles), default=1)
