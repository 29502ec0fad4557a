"""Whether a loop goes through memory once for several iterations, and for how many: by price.

Only loops that carry more than a core's own cache holds are looked at, and of those the ones whose
iterations can follow one another row by row (`weft.kernels.sweeps`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from math import inf, log2

from weft.core.bounded import BoundedCache
from weft.kernels.canonical import loop_key
from weft.kernels.ir import Kernel
from weft.kernels.machine import Machine
from weft.kernels.price.price import estimate_of
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.sweep_kernel import Size, build_pass, bytes_of_column, fits, halo, least_columns
from weft.kernels.sweeps import Sweep, find_sweep
from weft.structs import struct
from weft.terms.region import Def, For, Region, Scatter
from weft.terms.term import Value

#: What a loop carries at least, as parts of a core's own cache.
LARGE = 2.0

#: Seconds of a loop for which one more size is worth its compile time, then twice that, …
WORTH = 1e-3

#: Iterations in a pass, and rows in a step of it, the most promising first.
COUNTS = (32, 16, 8, 4, 2)
STEPS = (8, 4)
PLANES = (4, 2)

#: Prices so near to each other are the same: the pass of more iterations moves less memory, which
#: is what prices underestimate.
EVEN = 1.1

#: The part of a core's own cache that windows fill.
FILLED = 0.5

#: What passes may cost of iterations of their own where the last cache holds all that is carried:
#: these are slower than they are priced only beyond it.
CACHED = 0.8

#: A strip has at least so many columns for each one around it.
AROUND = 3


@struct(frozen=True)
class Pass:
    """A kernel of several iterations, run so many times, and the values of its parameters."""

    times: int
    kernel: Kernel
    values: tuple[Value, ...]


#: So many passes of a loop are written one after the other: nothing is copied or swapped then.
APART = 8


def one_by_one(passes: Sequence[Pass]) -> list[Pass]:
    """Each pass as often as it runs, where these are few; none otherwise."""
    few = sum(p.times for p in passes) <= APART
    return [p for p in passes for _ in range(p.times)] if few else []


@struct(frozen=True)
class _Choice:
    """So many passes of one size, and the places of the values of their parameters in the key."""

    times: int
    kernel: Kernel
    places: tuple[int, ...]


def body_of(loop: For, machine: Machine) -> Region | None:
    """The body of a loop as a region, if it could be worth several iterations in a pass."""
    moving = [c for c in loop.carries if c.exit is not c.entry]
    steps = [s for s in loop.body.steps if isinstance(s, Def | Scatter)]
    if machine.kind != "cpu" or loop.length < 2 or len(steps) < len(loop.body.steps):
        return None
    if sum(c.entry.nbytes for c in moving) < LARGE * machine.levels[1].capacity:
        return None
    made = {s.value for s in steps}
    read = {v for s in steps for t in s.terms for v in t.loads}
    read |= {s.operand for s in steps if isinstance(s, Scatter)}
    if loop.counter in read:
        return None
    inputs = tuple(sorted(read - made, key=lambda v: v.name))
    return Region(inputs, tuple(steps), tuple(c.exit for c in moving))


#: What loops became, by structure, length and machine.
_known: BoundedCache[tuple[_Choice, ...]] = BoundedCache(256)


def in_passes(
    loop: For, body: Region, machine: Machine, seconds: Callable[[], float]
) -> list[Pass]:
    """Passes that run all of ``loop``, whose iterations are ``body``; none if that is not cheaper.

    An iteration of its own takes so many ``seconds``.
    """
    key, numbers = loop_key(body, loop.carries)

    def make() -> tuple[_Choice, ...]:
        sweep = find_sweep(body, loop.carries)
        if sweep is None:
            return ()
        size = _cheapest(sweep, loop.length, machine, seconds())
        return () if size is None else tuple(_made(sweep, size, loop.length, machine, numbers))

    found = _known.get((key, loop.length, machine), make)
    values = list(numbers)
    return [Pass(c.times, c.kernel, tuple(values[n] for n in c.places)) for c in found]


def _made(
    sweep: Sweep, size: Size, length: int, machine: Machine, numbers: dict[Value, int]
) -> Iterator[_Choice]:
    """The kernels of whole passes and of what is left of a loop."""
    whole, rest = divmod(length, size.count)
    for times, count in ((whole, size.count), (1, rest)):
        if count:
            kernel, values = build_pass(sweep, size.of(count), machine)
            yield _Choice(times, kernel, tuple(numbers[v] for v in values))


def _cheapest(sweep: Sweep, length: int, machine: Machine, alone: float) -> Size | None:
    """The size with the most iterations among those of the lowest price for one.

    None where each iteration had better run ``alone``. Passes over what no cache holds need not be
    cheaper by much, as they move less memory.
    """
    budget = 1 + int(log2(1 + alone * length / WORTH))
    found: list[tuple[Size, float]] = []
    for size in islice(_sizes(sweep, length, machine), budget):
        with suppress(ScheduleError):
            found.append((size, seconds_of(sweep, size, machine) / size.count))
    lowest = min((each for _, each in found), default=inf)
    carried = 2 * sum(c.entry.nbytes for c in sweep.carries)
    if lowest > alone * (1.0 if carried > machine.levels[-1].capacity else CACHED):
        return None
    return max((s for s, each in found if each <= EVEN * lowest), key=lambda s: s.count)


def seconds_of(sweep: Sweep, size: Size, machine: Machine) -> float:
    """The price of a pass; its edges are taken to be like the rest."""
    kernel, _ = build_pass(sweep, size, machine, edges=False)
    seconds = estimate_of(kernel, machine).price({}).seconds
    strips = sweep.columns // size.columns if size.columns else 1
    return seconds * strips / (strips - 2) if strips > 2 else seconds


def _sizes(sweep: Sweep, length: int, machine: Machine) -> Iterator[Size]:
    """Sizes to try: as many iterations as divide the loop into equal passes, or nearly.

    Where a row is a plane, steps are of fewer of them.
    """
    planes = len(sweep.carries[0].entry.shape) > 2
    tried: set[int] = set()
    for most in COUNTS:
        count = -(-length // -(-length // most))
        if count < 2 or count in tried or not fits(sweep, count):
            continue
        tried.add(count)
        for step in PLANES if planes else STEPS:
            size = Size(count, step, machine.threads)
            columns = _columns(sweep, size, machine)
            if columns is not None:
                yield replace(size, columns=columns)


def _columns(sweep: Sweep, size: Size, machine: Machine) -> int | None:
    """Columns of a strip whose windows stay in a cache, a core's own if possible.

    None where too much around them would be computed again.
    """
    own, last = machine.levels[1].capacity, machine.levels[-1].capacity // machine.threads
    for capacity in (own, last):
        room = int(FILLED * capacity) // bytes_of_column(sweep, size)
        if room >= sweep.columns:
            return sweep.columns
        if sweep.across is None:
            continue
        left, right = halo(sweep, size.count, machine)
        least = max(AROUND * (left + right), least_columns(sweep, size.count, machine))
        if room - left - right < least:
            continue
        width = sweep.columns // -(-sweep.columns // (room - left - right))
        value = sweep.carries[0].entry
        whole = machine.vector_bytes // value.dtype.itemsize if len(value.shape) == 2 else 1
        width = max(width // whole * whole, least)
        return width if sweep.columns >= 2 * width else sweep.columns
    return None
