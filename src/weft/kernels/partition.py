"""Partitions of a region into kernels, compared by price.

A partition is a set of decisions: for every definition whether it is stored, computed where it is
used or kept there as a row (`weft.kernels.fusion`), and which kernels are joined because they read
the same data.  The estimates give the first partition.  Decisions with something at stake are then
turned, one at a time; the kernels that this changes are scheduled and priced, and the cheaper side
is kept::

    region ─estimate→ partition ─turn a decision→ cones ─schedule, price→ cheaper? keep it

Where a fold could only move into its consumer's loops together with others, those are turned with
it.  How many alternatives are priced grows with the logarithm of the region's price; what cannot
gain anything by its bytes and operations is not scheduled at all.  The same region always gives the
same partition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from itertools import combinations
from math import inf, log2, prod

from weft.kernels.build import Cone
from weft.kernels.cones import Grouped, make_cones
from weft.kernels.distances import all_distances, distances_of
from weft.kernels.fusion import Choice, Side, choose
from weft.kernels.machine import Machine
from weft.kernels.price.traffic import staying
from weft.kernels.uses import CHEAP_NS, OPERATION_NS, is_contraction
from weft.structs import struct
from weft.terms.liveness import loaded
from weft.terms.region import Def, Region, Scatter
from weft.terms.term import Load, Map, Term, Value, postorder

#: Seconds of running for which one more alternative is worth its compile time, then twice that, …
WORTH = 2e-5

#: An alternative must be this much cheaper, as prices rank kernels only roughly.
CLEARLY = 0.93

#: The part of what its kernels take that a decision must have at stake to be looked at.
AT_STAKE = 0.05

#: The same for contractions that share an operand: what is at stake is not what takes the time.
SHARED = 0.001

#: What such contractions may cost in one kernel: a pass and a launch less are not all in the price.
EVEN = 1.015

#: Decisions turned together at most.
LONGEST = 3

#: Seconds of a cone, by the bytes of other memory touched since each value was.
Seconds = Callable[[Cone, Mapping[Value, int]], float]

Joined = tuple[tuple[Value, Value], ...]


@struct(frozen=True)
class Trial:
    """An alternative that was priced: what was turned, and what its kernels take on either side.

    ``seconds`` is infinite where bytes and operations alone rule the alternative out.
    """

    turned: tuple[str, ...]
    seconds: float
    before: float
    taken: bool

    def __str__(self) -> str:
        verdict = "taken" if self.taken else "left"
        cost = "no gain possible" if self.seconds == inf else f"{self.seconds * 1e6:.2f} µs"
        return f"{', '.join(self.turned)}: {cost} instead of {self.before * 1e6:.2f} µs, {verdict}"


@struct
class Partition:
    """The kernels of a region as cones, and how they were found.

    ``sides`` and ``joined`` are the decisions in which it differs from the estimates, ``trials``
    the alternatives that were looked at, ``prices`` what each kernel takes: with the values that it
    computes, stored or not.
    """

    cones: list[Grouped]
    sides: dict[Value, Side] = field(default_factory=dict)
    joined: Joined = ()
    trials: list[Trial] = field(default_factory=list)
    prices: list[tuple[frozenset[Value], float]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The price of all kernels (0 without prices)."""
        return sum(seconds for _, seconds in self.prices)


def partition(region: Region, machine: Machine, seconds: Seconds | None) -> Partition:
    """The cheapest partition found; the estimated one where there are no prices (``None``)."""
    choice = choose(region, machine)
    cones = make_cones(choice, region.outputs)
    if seconds is None:
        return Partition(cones)
    return _Search(region, machine, seconds, choice, cones).run()


@struct(eq=False)
class _Kernel:
    """A kernel of the present partition.

    ``inside`` are the values it computes, stored or not; ``reads`` those that others store, and
    ``touched`` those in memory that it reads or writes.
    """

    grouped: Grouped
    inside: frozenset[Value]
    reads: frozenset[Value]
    seconds: float = 0.0
    touched: frozenset[Value] = field(init=False)

    def __post_init__(self) -> None:
        self.touched = self.reads.union(self.grouped.stores)


def _of_stored(
    joined: Iterable[tuple[Value, Value]], choice: Choice
) -> tuple[tuple[Value, Value], ...]:
    """The pairs of which both are stored still: other moves may have turned that since."""
    there = set(stored(choice))
    return tuple(pair for pair in joined if there.issuperset(pair))


@struct(frozen=True)
class _Move:
    """Decisions to turn, or two stored values whose kernels to join; ``stake`` in seconds.

    With ``even``, contractions get to share a pass over what both read: they take as long to
    compute, so that less at stake will do, and as much time.
    """

    stake: float
    sides: tuple[tuple[Value, Side], ...] = ()
    pair: tuple[Value, Value] | None = None
    even: bool = False

    @property
    def part(self) -> float:
        """The part of what its kernels take that it must have at stake."""
        return SHARED if self.even else AT_STAKE

    @property
    def clearly(self) -> float:
        """The part of what its kernels take that they may take afterwards."""
        return EVEN if self.even else CLEARLY

    def __str__(self) -> str:
        if self.pair is not None:
            return f"join {self.pair[0]} and {self.pair[1]}"
        return ", ".join(f"{side} {value}" for value, side in self.sides)


class _Search:
    def __init__(
        self,
        region: Region,
        machine: Machine,
        seconds: Seconds,
        choice: Choice,
        cones: list[Grouped],
    ) -> None:
        self.region = region
        self.machine = machine
        self.seconds = seconds
        self.place = {s.value: n for n, s in enumerate(region.steps)}
        self.direct = {s.value: _reads(s) for s in region.steps}
        self.contractions = {s.value for s in region.steps if any(map(is_contraction, s.terms))}
        self.found = Partition(cones)
        self.opens = list(choice.open)
        #: Every decision as it stands, so that turning one does not turn others by the way.
        self.sides = {s.value: choice.side_of(s.value) for s in region.steps}
        self.tried: set[tuple[object, ...]] = set()
        self.budget = 0
        #: Beyond so many bytes it makes no difference how many; below so many, none.
        self.far = 4 * machine.levels[-1].capacity
        self.near = machine.levels[1].capacity // 4
        self.kernels = self.kernels_of(cones, ())
        for kernel, beyond in zip(self.kernels, self.all_beyond(self.kernels), strict=True):
            kernel.seconds = seconds(kernel.grouped.cone, beyond)

    def run(self) -> Partition:
        total = sum(k.seconds for k in self.kernels)
        self.budget = int(log2(1 + total / WORTH))
        while self.budget > 0:
            moves = [m for m in self.moves(total) if (m.sides, m.pair) not in self.tried]
            if not moves:
                break
            self.tried.add((moves[0].sides, moves[0].pair))
            self.follow(moves[0])
        self.found.prices = [(k.inside, k.seconds) for k in self.kernels]
        if self.found.sides or self.found.joined:
            choice = choose(self.region, self.machine, self.sides)
            choice.joined = _of_stored(self.found.joined, choice)
            self.found.cones = make_cones(choice, self.region.outputs)
        return self.found

    # -- what could be turned ----------------------------------------------------------------------

    def moves(self, total: float) -> list[_Move]:
        """Moves with something at stake, most first."""
        found = [
            _Move(o.stake * 1e-9, ((o.value, side),), even=o.even)
            for o in self.opens
            for side in o.others
        ]
        found += self.joins()
        found = [m for m in found if m.stake >= m.part / 2 * total]
        return sorted(found, key=lambda m: -m.stake)

    def joins(self) -> list[_Move]:
        """Kernels that read the same data, which one pass could serve."""
        readers: dict[Value, list[_Kernel]] = {}
        for kernel in self.kernels:
            for value in sorted(kernel.touched, key=lambda v: v.name):
                readers.setdefault(value, []).append(kernel)
        shared: dict[tuple[Value, Value], float] = {}
        for value, several in readers.items():
            for a, b in combinations(several[:4], 2):
                if a.grouped.stores and b.grouped.stores:
                    pair = (a.grouped.stores[0], b.grouped.stores[0])
                    saved = self.machine.traffic_ns(value.nbytes) * 1e-9
                    shared[pair] = shared.get(pair, 0.0) + saved
        return [
            _Move(saved, pair=pair, even=all(v in self.contractions for v in pair))
            for pair, saved in shared.items()
        ]

    # -- trials ------------------------------------------------------------------------------------

    def follow(self, move: _Move) -> None:
        """Try ``move``, and with it what it makes possible."""
        while True:
            choice = self.attempt(move)
            if choice is None or len(move.sides) == LONGEST or move.pair is not None:
                return
            known = {o.value for o in self.opens}
            more = [o for o in choice.open if o.value not in known and o.side == "store"]
            if not more or self.budget <= 0:
                return
            best = max(more, key=lambda o: o.stake)
            move = replace(move, sides=(*move.sides, (best.value, "inline")))

    def attempt(self, move: _Move) -> Choice | None:
        """Price ``move`` and keep it if it is clearly cheaper; else the choice that it led to.

        None where there is nothing to build upon: it was taken, or is not possible.
        """
        turned = {v for v, _ in move.sides} | set(move.pair or ())
        affected = [k for k in self.kernels if turned & k.inside or turned & k.reads]
        now = sum(k.seconds for k in affected)
        if move.stake < move.part * now:
            return None
        sides = {**self.sides, **dict(move.sides)}
        joined = self.found.joined if move.pair is None else (*self.found.joined, move.pair)
        part = self.part(affected)
        choice = choose(part, self.machine, sides)
        choice.joined = _of_stored(joined, choice)
        cones = make_cones(choice, part.outputs)
        before = {g.stores for g in (k.grouped for k in affected)}
        if any(choice.side_of(v) != side for v, side in move.sides):
            return None
        if move.pair is not None and {g.stores for g in cones} == before:
            return None
        kernels = self.replaced(affected, cones)
        old = set(self.kernels)
        limit = now * move.clearly
        seconds = self.price(kernels, [k for k in kernels if k not in old], limit)
        taken = seconds < limit
        self.found.trials.append(Trial((str(move),), seconds, now, taken))
        if not taken:
            return choice
        self.kernels = kernels
        # Turning it back would be no news.
        self.tried.update((((v, self.sides[v]),), None) for v, _ in move.sides)
        self.sides = {**sides, **{o.value: o.side for o in choice.open}}
        self.found.sides.update(move.sides)
        self.found.joined = joined
        inside = {s.value for s in part.steps}
        self.opens = [o for o in self.opens if o.value not in inside] + choice.open
        return None

    def price(self, kernels: Sequence[_Kernel], new: Sequence[_Kernel], limit: float) -> float:
        """Seconds of the ``new`` ones among ``kernels``; no more is looked at beyond ``limit``."""
        floors = [floor_seconds(k.grouped.cone, self.machine) for k in new]
        if sum(floors) >= limit:
            return inf
        self.budget -= 1
        total, rest = 0.0, sum(floors)
        for kernel, floor in zip(new, floors, strict=True):
            rest -= floor
            beyond = self.beyond(kernels, kernels.index(kernel))
            kernel.seconds = self.seconds(kernel.grouped.cone, beyond)
            total += kernel.seconds
            if total + rest >= limit:
                break
        return total + rest

    def replaced(self, affected: Sequence[_Kernel], cones: Sequence[Grouped]) -> list[_Kernel]:
        """The kernels with others instead of the ``affected``, where the last of those was."""
        gone = set(affected)
        rest = [k for k in self.kernels if k not in gone]
        new = self.kernels_of(cones, (v for k in rest for v in k.grouped.stores))
        last = max(n for n, k in enumerate(self.kernels) if k in gone)
        place = last + 1 - len(gone)
        return [*rest[:place], *new, *rest[place:]]

    def beyond(self, kernels: Sequence[_Kernel], place: int) -> dict[Value, int]:
        """For what a kernel touches, the bytes of other memory touched since it was, if many."""
        touched = [k.touched for k in kernels]
        return self.far_ones(distances_of(touched, place, self.far))

    def all_beyond(self, kernels: Sequence[_Kernel]) -> list[dict[Value, int]]:
        """`beyond` for each kernel."""
        touched = [k.touched for k in kernels]
        if sum(v.nbytes for v in set().union(*touched)) <= self.near:
            return [{} for _ in kernels]
        return [self.far_ones(found) for found in all_distances(touched)]

    def far_ones(self, distances: dict[Value, int]) -> dict[Value, int]:
        """The distances that make a difference, as far as they do."""
        return {v: min(n, self.far) for v, n in distances.items() if n > self.near}

    # -- neighbourhoods ----------------------------------------------------------------------------

    def kernels_of(self, cones: Sequence[Grouped], elsewhere: Iterable[Value]) -> list[_Kernel]:
        """``cones`` with what they compute and read; others store the values ``elsewhere``."""
        stored = set(elsewhere).union(*(g.stores for g in cones))
        kernels: list[_Kernel] = []
        for grouped in cones:
            inside: set[Value] = set()
            reads: set[Value] = set()
            stack = list(grouped.stores)
            while stack:
                value = stack.pop()
                if value in inside:
                    continue
                inside.add(value)
                for source in self.direct.get(value, ()):
                    if source in stored or source not in self.direct:
                        reads.add(source)
                    else:
                        stack.append(source)
            own = frozenset(inside)
            kernels.append(_Kernel(grouped, own, frozenset(reads) - own))
        return kernels

    def part(self, affected: Sequence[_Kernel]) -> Region:
        """The region of these kernels alone."""
        inside = set().union(*(k.inside for k in affected))
        stored = [v for k in affected for v in k.grouped.stores]
        wanted = set(self.region.outputs).union(
            *(k.reads for k in set(self.kernels).difference(affected))
        )
        places = sorted(self.place[v] for v in inside)
        outputs = tuple(v for v in stored if v in wanted)
        return Region((), tuple(self.region.steps[n] for n in places), outputs)


def stored(choice: Choice) -> list[Value]:
    """The values that a choice stores."""
    return [s.value for s in choice.stored]


def _reads(step: Def | Scatter) -> tuple[Value, ...]:
    found = loaded(*step.terms)
    if isinstance(step, Scatter):
        found.add(step.operand)
    return tuple(sorted(found, key=lambda v: v.name))


def least_seconds(terms: Iterable[Term], machine: Machine) -> float:
    """Seconds that the operations of ``terms`` take at least, each done once."""
    maps = (t for term in terms for t in postorder(term) if isinstance(t, Map))
    nanoseconds = sum(
        OPERATION_NS.get(t.op, CHEAP_NS) * prod(a.extent for a in t.axes) for t in maps
    )
    return nanoseconds * _at_best(machine) / machine.threads * 1e-9


def _at_best(machine: Machine) -> float:
    """What an operation takes at least, of what it usually takes.

    Half, and less where the cores of the machine start more of them in a cycle.
    """
    return min(0.5, machine.threads / machine.products(4) / CHEAP_NS)


def floor_seconds(cone: Cone, machine: Machine) -> float:
    """Seconds that ``cone`` takes at least, whatever its schedule: by its bytes and operations."""
    touched: dict[Value, int] = {o.value: o.value.nbytes for o in cone.outputs}
    nanoseconds = 0.0
    rows = {d.value for d, _ in cone.rows}
    terms = [*(o.term for o in cone.outputs), *(d.term for d, _ in cone.rows)]
    for term in postorder(*terms):
        points = prod(a.extent for a in term.axes)
        if isinstance(term, Map):
            nanoseconds += OPERATION_NS.get(term.op, CHEAP_NS) * points
        elif isinstance(term, Load) and term.value not in rows:
            reach = min(term.value.nbytes, points * term.dtype.itemsize)
            touched[term.value] = max(touched.get(term.value, 0), reach)
    last = machine.levels[-1]
    nbytes = sum(touched.values())
    missed = nbytes * (1.0 - staying(nbytes / last.capacity, *last.ramp))
    memory = missed / machine.memory_bandwidth
    return max(memory, nanoseconds * _at_best(machine)) / machine.threads * 1e-9
