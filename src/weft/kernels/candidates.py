"""Candidates: alternative schedules of one kernel, and the choice among them by price.

`choices` enumerates what the strategy leaves open: how many vectors a tile holds, along which axis,
whether threads share the work, and the numbers of a contraction's tile.  A `Contest` prices the
schedules and keeps the cheapest; the first proposal is the default, which stays unless another is
clearly cheaper, as prices only rank to within some ten percent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from math import inf, log2, prod
from typing import TYPE_CHECKING

from weft.kernels.ir import Kernel
from weft.kernels.machine import Machine
from weft.kernels.price.price import Estimate, estimate_of
from weft.kernels.print import print_kernel
from weft.kernels.schedule.contraction import Params
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.find import Contraction
from weft.kernels.schedule.numbers import params_off_unit
from weft.structs import struct

if TYPE_CHECKING:
    from weft.kernels.price.gpu import GpuEstimate

#: Seconds of running for which one more proposal is worth its compile time, then twice that, and so
#: on.  Schedules of contractions take long to make.
WORTH = 2e-5
WORTH_CONTRACTION = 1e-4

#: A proposal must be this much cheaper than the default to replace it.
CLEARLY = 0.93

#: Schedules are not improved upon where this part of their price is unavoidable: of 27 contractions
#: of a training step and a transformer block, none of those that near got clearly cheaper.
NEAR = 0.86

#: The same for kernels without a contraction, of which 15 of 60 in the benchmarks are that near.
NEAR_PLAIN = 0.7

#: Threads must gain this much to share a kernel of less than `SMALL_SECONDS`: waking them up costs
#: more on a busy machine.
SHARING_GAIN = 1.3
SMALL_SECONDS = 5e-6

Proposal = Callable[[], Kernel]


@struct(frozen=True)
class Choice:
    """What a strategy may decide otherwise; the defaults are its own decisions.

    ``vectors`` is the number of registers along the lanes of a tile, ``axis`` the place of the
    vector axis in the order of preference, ``parallel`` whether threads share the work, ``jam``
    whether short loops around a fold are unrolled into it, so that its results share what they have
    in common, and ``contraction`` the numbers of a contraction's schedule.
    """

    vectors: int | None = None
    axis: int = 0
    parallel: bool = True
    jam: bool = False
    contraction: Params | None = None


def choices(
    contraction: Contraction | None, params: Params | None, machine: Machine, jams: bool = False
) -> Iterator[Choice]:
    """The default choice, then alternatives, the most promising first.

    ``params`` are the default numbers of the kernel's one ``contraction``, if it is one; ``jams``
    says that it has short loops around a fold.
    """
    yield Choice()
    if jams:
        yield Choice(jam=True)
        yield Choice(jam=True, vectors=1)
    if contraction is None or params is None:
        if machine.threads > 1:
            yield Choice(parallel=False)
        for vectors in (2, 8, 1):
            yield Choice(vectors=vectors)
        yield Choice(axis=1)
        yield Choice(vectors=4)
        yield Choice(axis=1, vectors=1)
        return
    if params.parallel != "none" and prod(contraction.sizes) < 1 << 22:
        yield Choice(contraction=replace(params, parallel="none"))
    lanes = machine.vector_bytes // contraction.k[0].carries[0].var.dtype.itemsize
    for other in _tiles(contraction, params, max(1, lanes), machine.registers):
        yield Choice(contraction=other)


def _tiles(
    contraction: Contraction, params: Params, lanes: int, registers: int
) -> Iterator[Params]:
    """Other numbers for a contraction: packing, the register tile, the blocks."""
    if params.unit is not None:
        off_unit = params_off_unit(params, lanes)
        yield off_unit
        yield replace(params, pack_left=not params.pack_left)
        yield replace(params, pack_right=not params.pack_right)
        yield from _tiles(contraction, off_unit, lanes, registers)
        return
    if params.lanes == "columns":
        if params.pack_left:
            yield replace(params, pack_left=False)
        yield replace(params, pack_right=not params.pack_right)
        if params.pack_left and params.pack_right:
            yield replace(params, pack_left=False, pack_right=False)
        for rows, vectors in ((8, 2), (12, 2), (6, 4), (8, 3), (4, 4), (6, 2), (4, 2), (12, 1)):
            sums = contraction.sums * vectors
            # Several sums share what they read of the left operand: it stays in registers, too.
            fits = rows * sums + vectors + (rows if contraction.sums > 1 else 0) < registers
            if fits and (rows, vectors * lanes) != (params.rows, params.columns):
                yield replace(params, rows=rows, columns=vectors * lanes)
        yield replace(params, block=max(64, params.block // 2))
        if prod(contraction.sizes[:2]) >= 2 * params.row_block:
            yield replace(params, row_block=max(params.rows, params.row_block // 2))


@struct(frozen=True)
class Priced:
    """A scheduled kernel and its price, which can be asked again for other circumstances."""

    kernel: Kernel
    seconds: float
    estimate: Estimate | GpuEstimate


class Contest:
    """The schedules of one kernel, of which the cheapest wins.

    The first of ``proposals`` that works is the ``default``; it is ``kernel`` itself if none does.
    Nothing else is made before somebody asks for the `winner`, and nothing at all where the default
    takes hardly longer than ``floor``, the seconds that no schedule can do without: no longer than
    that if those were the part ``near`` of it.  ``open`` says that the default may be far from the
    best, ``alone`` is the proposal of one thread.
    """

    def __init__(
        self,
        kernel: Kernel,
        machine: Machine,
        proposals: Iterable[Proposal],
        worth: float = WORTH,
        floor: float = 0.0,
        near: float = NEAR_PLAIN,
        open: bool = False,
        alone: Proposal | None = None,
    ) -> None:
        self.machine = machine
        self.open = open
        self.alone = alone
        self.worth = worth
        self.enough = floor / near
        self._winner: Priced | None = None
        rest = deque(proposals)
        self.default = self._next(rest) or _priced(kernel, machine)
        self._others = tuple(rest)

    def _next(self, rest: deque[Proposal], limit: float = inf) -> Priced | None:
        """The next proposal that does not refuse (`ScheduleError`), priced as far as ``limit``."""
        while rest:
            with suppress(ScheduleError):
                return _priced(rest.popleft()(), self.machine, limit)
        return None

    def winner(self) -> Priced:
        """The cheapest schedule; the default unless another is clearly cheaper.

        Proposals whose arithmetic alone costs more than the best so far are passed over.  How many
        are looked at grows with the logarithm of the default's price over ``worth`` seconds.
        """
        if self._winner is None:
            self._winner = self._contest()
        return self._winner

    def ranked(self, count: int) -> list[Priced]:
        """The schedules of the lowest prices, at most so many, the winner first."""
        found = [self.default, self.winner()]
        alone = () if self.alone is None else (self.alone,)
        for proposal in (*alone, *self._others):
            with suppress(ScheduleError):
                found.append(_priced(proposal(), self.machine))
        rest = sorted(found, key=lambda priced: priced.seconds)
        different = {print_kernel(p.kernel): p for p in reversed([self.winner(), *rest])}
        return list(reversed(different.values()))[:count]

    def _contest(self) -> Priced:
        best = self.default
        small = best.estimate.threads > 1 and best.seconds < SMALL_SECONDS
        limit = best.seconds * (SHARING_GAIN if small else CLEARLY)
        rest = deque(self._others)
        trials = small + int(log2(1 + best.seconds / self.worth))
        if self.alone is not None:
            if _gained_alone(best) < limit:
                rest.appendleft(self.alone)
            else:
                trials -= 1
        for _ in range(trials):
            if best.seconds <= self.enough:
                break
            candidate = self._next(rest, limit)
            if candidate is None:
                break
            if candidate.seconds < limit:
                best, limit = candidate, candidate.seconds
        return best


def _gained_alone(shared: Priced) -> float:
    """Seconds that one thread takes at least: all that sharing the work does not add."""
    if shared.estimate.threads == 1:
        return shared.seconds
    price = shared.estimate.price({})
    return price.seconds - price.fork - price.barriers - price.ownership


def _priced(kernel: Kernel, machine: Machine, limit: float = inf) -> Priced:
    """Seconds of running again and again; without traffic where the rest is beyond ``limit``."""
    estimate = estimate_of(kernel, machine)
    seconds = estimate.least if estimate.least > limit else estimate.price({}).seconds
    return Priced(kernel, seconds, estimate)
