"""`plan`: a region's terms become scheduled kernels.

Large static updates become definitions (`weft.kernels.overwrite`); what is stored, what is fused
and what shares a kernel is estimated first (`weft.kernels.fusion`) and then decided by price
(`weft.kernels.partition`); each cone becomes a naive loop nest (`weft.kernels.build`), and the nest
is scheduled for the machine by the strategy of its kind (`weft.kernels.strategy`,
`weft.kernels.strategy_gpu`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from weft.config import config
from weft.core.bounded import BoundedCache
from weft.kernels import strategy
from weft.kernels.assemble import Planned
from weft.kernels.build import Cone, build_kernel
from weft.kernels.candidates import CLEARLY, Contest
from weft.kernels.canonical import cone_key
from weft.kernels.ir import Kernel
from weft.kernels.machine import Machine
from weft.kernels.open_extents import is_open
from weft.kernels.overwrite import overwrite_static
from weft.kernels.partition import Partition, Trial, floor_seconds, partition
from weft.kernels.streamed import SMALL, Streamed
from weft.structs import struct
from weft.terms.region import Def, Region
from weft.terms.term import Load, Value, postorder

if TYPE_CHECKING:
    from weft.kernels.streaming import Rests


@struct(frozen=True)
class _Entry:
    """A kernel's schedules, and the numbers of its parameters in the key of its cone.

    The schedules are a contest by price; there is one for open extents.
    """

    schedules: Contest | Kernel
    places: tuple[int, ...]

    @property
    def kernel(self) -> Kernel:
        if isinstance(self.schedules, Kernel):
            return self.schedules
        return self.schedules.winner().kernel

    def ranked(self, count: int) -> list[Kernel]:
        """So many kernels of the lowest prices, the winner first."""
        if isinstance(self.schedules, Kernel):
            return [self.schedules]
        return [priced.kernel for priced in self.schedules.ranked(count)]


class Picker(Protocol):
    """Who chooses among schedules otherwise than by price."""

    def expect(self, count: int) -> None:
        """So many more kernels will be asked for."""

    def choose(self, kernels: Sequence[Kernel]) -> int:
        """The place of the best among schedules of one kernel."""


#: Schedules that a `Picker` chooses among: the best of so many prices is within 2% of the best.
SHORTLIST = 8


@struct
class Weighed:
    """What was compared in planning a region, for who asks what else there was.

    ``trials`` are the other partitions that were priced, ``schedules`` give so many schedules of a
    kernel, the cheapest first; they make those that nobody needed so far.
    """

    trials: list[Trial] = field(default_factory=list)
    schedules: dict[Kernel, Callable[[int], list[Kernel]]] = field(default_factory=dict)


#: Schedules of the last cones, by structure and machine.
_entries: BoundedCache[_Entry] = BoundedCache(2048)


def plan(
    region: Region,
    machine: Machine,
    watch: Callable[[Kernel], None] | None = None,
    shared: dict[Hashable, Kernel] | None = None,
    ready: Callable[[Kernel], None] | None = None,
    picker: Picker | None = None,
    exact: bool = False,
    weighed: Weighed | None = None,
) -> list[Planned]:
    """Kernels for ``region`` in execution order, with the values of their parameters.

    ``watch`` is called with each kernel as it is before it is scheduled. ``shared`` are the kernels
    of the program's other regions, by structure; those of this one are added. ``ready`` is given
    each of them as soon as it is scheduled. Schedules are chosen by price, or by a ``picker``. With
    ``exact``, no fold is computed in another way than written: neither repaired nor in parts.
    ``weighed`` is told what was compared.
    """
    weighed = weighed or Weighed()
    planner = _Planner(machine, exact)
    planned: list[Planned] = []
    shared = {} if shared is None else shared
    parts = planner.parts(region)
    if picker is not None:
        picker.expect(len(planner.structures(parts) - shared.keys()))
    # The same structure gives the same kernel, named after where it comes first.
    for part in parts:
        if isinstance(part, Streamed):
            kernel = shared.get(part.key)
            if kernel is None:
                kernel = part.kernel if picker is None else _picked(part, picker)
                kernel = shared[part.key] = kernel.evolve(name=part.values[-1].name)
                if config.check:
                    _check(kernel)
                if ready is not None:
                    ready(kernel)
            weighed.schedules[kernel] = part.ranked
            planned.append((kernel, part.values, None))
            continue
        weighed.trials += part.trials
        for grouped in part.cones:
            cone = grouped.cone
            if watch is not None:
                watch(build_kernel(cone)[0])
            key, numbers = planner.key(cone)
            entry = planner.entry(cone)
            kernel = shared.get(key)
            if kernel is None:
                kernel = entry.kernel if picker is None else _picked(entry, picker)
                kernel = shared[key] = kernel.evolve(name=cone.name)
                if config.check and not is_open(kernel):
                    _check(build_kernel(cone)[0])
                    _check(kernel)
                if ready is not None:
                    ready(kernel)
            weighed.schedules[kernel] = entry.ranked
            values = list(numbers)
            planned.append((kernel, tuple(values[n] for n in entry.places), grouped.scatter))
    return planned


def _picked(schedules: _Entry | Streamed, picker: Picker) -> Kernel:
    """The kernel that ``picker`` takes of those on the shortlist."""
    kernels = schedules.ranked(SHORTLIST)
    return kernels[picker.choose(kernels)]


def _check(kernel: Kernel) -> None:
    from weft.kernels.check import check_kernel

    check_kernel(kernel)


def cut(region: Region, machine: Machine) -> Partition:
    """The kernels of ``region`` before they are scheduled, and what was tried to find them."""
    return _Planner(machine).partition(region)


def seconds_of(region: Region, machine: Machine, exact: bool = False) -> float:
    """The price of the kernels that `plan` makes of ``region``."""
    return sum(part.seconds for part in _Planner(machine, exact).parts(region))


def _has_open_extents(region: Region) -> bool:
    """Whether some extent is known only when the program is called."""
    values = (*region.inputs, *(s.value for s in region.steps))
    if any(not isinstance(d, int) for v in values for d in v.shape):
        return True
    loads = (t for s in region.steps for t in postorder(*s.terms) if isinstance(t, Load))
    return any(not isinstance(i.const, int) for load in loads for i in load.index)


#: Folds of a region for a GPU that are tried in two launches, at most: each plans it all again.
SPLITS = 8


class _Planner:
    """The cones of one region on one machine."""

    def __init__(self, machine: Machine, exact: bool = False) -> None:
        self.machine = machine
        self.exact = exact
        self.keys: dict[Cone, tuple[Hashable, dict[Value, int]]] = {}
        self.rests: Rests = {}

    def parts(self, region: Region) -> list[Partition | Streamed]:
        """What becomes blocked kernels, and partitions of the rest; by prices, as below."""
        if self.exact or not self.priced(region):
            return [self.partition(region)]
        found = self.streamed(region)
        if self.machine.kind == "gpu":
            return self.split(region, found)
        from weft.kernels.gathers import gathered
        from weft.kernels.moments import in_blocks

        # An array less in memory is worth something, whatever the time.
        by_blocks = partial(in_blocks, machine=self.machine)
        for rewritten, cheaper in ((gathered, 1.0), (by_blocks, CLEARLY)):
            other = rewritten(region)
            if other is not region:
                parts = self.streamed(other)
                if sum(p.seconds for p in parts) < cheaper * sum(p.seconds for p in found):
                    region, found = other, parts
        return found

    def split(
        self, region: Region, found: list[Partition | Streamed]
    ) -> list[Partition | Streamed]:
        """``found`` for ``region``, or cheaper parts with some of its folds in two launches."""
        from weft.kernels.split_folds import split_folds

        threads = self.machine.threads * self.machine.multiprocessor.threads
        seconds = sum(p.seconds for p in found)
        trials = split_folds(region, threads)
        for _ in range(SPLITS):
            other = next(trials, None)
            if other is None:
                break
            parts = self.streamed(other)
            then = sum(p.seconds for p in parts)
            if then < CLEARLY * seconds:
                found, seconds = parts, then
                trials = split_folds(other, threads)
        return found

    def streamed(self, region: Region) -> list[Partition | Streamed]:
        """Blocked kernels where so much is kept in between that they may pay."""
        if not self.may_stream(region):
            return [self.partition(region)]
        from weft.kernels.streaming import with_streams

        return with_streams(region, self.machine, self.partition, rests=self.rests)

    def structures(self, parts: list[Partition | Streamed]) -> set[Hashable]:
        """The kernels of some parts, by structure."""
        found: set[Hashable] = set()
        for part in parts:
            if isinstance(part, Streamed):
                found.add(part.key)
            else:
                found.update(self.key(grouped.cone)[0] for grouped in part.cones)
        return found

    def may_stream(self, region: Region) -> bool:
        """Whether so much is kept in memory in between that not to keep it could pay.

        Or so much is read for a few rows that threads had better share them.
        """
        from weft.kernels.streams import reads_much

        between = [s for s in region.steps if s.value not in region.outputs]
        least, threads = SMALL * self.machine.levels[1].capacity, self.machine.threads
        if sum(s.value.nbytes for s in between) >= least:
            return True
        return any(isinstance(s, Def) and reads_much(s, threads, least) for s in between)

    def partition(self, region: Region) -> Partition:
        """The cheapest partition found; there are prices for known extents only."""
        prices = self.seconds if self.priced(region) else None
        return partition(overwrite_static(region), self.machine, prices)

    def priced(self, region: Region) -> bool:
        """Whether its kernels have prices."""
        return not _has_open_extents(region)

    def key(self, cone: Cone) -> tuple[Hashable, dict[Value, int]]:
        """The cone by structure, and its values as they are numbered there."""
        found = self.keys.get(cone)
        if found is None:
            found = self.keys[cone] = cone_key(cone)
        return found

    def entry(self, cone: Cone) -> _Entry:
        """The schedules of ``cone``, made once for all cones of its structure."""
        key, numbers = self.key(cone)

        def make() -> _Entry:
            kernel, values = build_kernel(cone)
            places = tuple(numbers[v] for v in values)
            if is_open(kernel):
                from weft.kernels import strategy_open

                return _Entry(strategy_open.schedule(kernel, self.machine), places)
            if self.machine.kind == "cpu":
                floor = floor_seconds(cone, self.machine)
                return _Entry(strategy.contest(kernel, self.machine, floor), places)
            from weft.kernels import strategy_gpu

            return _Entry(strategy_gpu.contest(kernel, self.machine), places)

        return _entries.get((key, self.machine), make)

    def seconds(self, cone: Cone, beyond: Mapping[Value, int]) -> float:
        """The price of ``cone`` under its default schedule, of which another is seldom cheaper,
        or under the best one where much is open.

        It is that of a kernel that runs again and again, and counts what else has been touched
        meanwhile.  Only what becomes of the region is worth comparing schedules of.
        """
        entry = self.entry(cone)
        schedules = entry.schedules
        assert isinstance(schedules, Contest)
        priced = schedules.winner() if schedules.open else schedules.default
        if not beyond:
            return priced.seconds
        values = list(self.key(cone)[1])
        since = {
            buffer: beyond[values[n]]
            for buffer, n in zip(priced.kernel.params, entry.places, strict=True)
            if values[n] in beyond
        }
        return priced.estimate.price(since).seconds
