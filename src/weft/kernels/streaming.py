"""Which streams of a region become blocked kernels, and in blocks of which size: by price.

A stream takes the place of definitions: of some kernels, or of parts of them.  It is taken where it
and what is left of these kernels are clearly cheaper.  The region is then cut where streams stand,
and what lies between is partitioned as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf, log2, prod

from weft.core.bounded import BoundedCache
from weft.kernels import partition
from weft.kernels.blocked import Blocks, build_blocked
from weft.kernels.canonical import region_key, stream_key
from weft.kernels.ir import Kernel
from weft.kernels.machine import Machine
from weft.kernels.masks import masks_of, may_hide
from weft.kernels.partition import AT_STAKE, Partition, least_seconds
from weft.kernels.price.price import estimate_of
from weft.kernels.print import print_kernel
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.stream_search import reads_of, sketches
from weft.kernels.streamed import SMALL, Streamed
from weft.kernels.streams import Stream, find_stages
from weft.kernels.wide_folds import WideFolds
from weft.structs import struct
from weft.terms.affine import Axis
from weft.terms.liveness import loaded
from weft.terms.region import Def, Region, Scatter
from weft.terms.term import Load, Value, postorder

#: Streams this much dearer than the limit in blocks of the first size are not looked at further.
HOPELESS = 1.2

#: Steps of a region for a GPU beyond which no streams are looked for. Its launches cost so much
#: that nearly every stream promises something, and what lies between those taken is searched again.
LONG = 200

#: Parallel iterations per thread, at most, for which a stream is computed in shares.
SHARES = 4

#: Seconds of kernels with fewer rows than threads from which on shares of a stream are looked at.
ALONE = 5e-5

#: What a stream may cost of what the kernels whose place it takes do. It need not be cheaper: it
#: saves the memory of what it streams besides.
CLEARLY = 1.0

#: Seconds of running for which one more size of blocks is worth its compile time, then twice that.
WORTH = 1.5e-2


_Choice = tuple[Kernel, float, tuple[int, ...]]

Divide = Callable[[Region], Partition]


@struct(frozen=True)
class _Rest:
    """What is left of kernels costs so many ``seconds``, and stores the values of these numbers.

    It holds so many bytes ``besides``, in values of its own. Sums that are computed several times
    come out the same (``keeps_bits``).
    """

    seconds: float
    stores: tuple[int, ...]
    besides: int
    keeps_bits: bool

    @staticmethod
    def of(
        parts: list[Partition | Streamed], numbers: Mapping[Value, int], repeated: frozenset[Value]
    ) -> _Rest:
        """What ``parts`` come to, the values of the region that they are of being numbered."""
        stores = _stores(parts)
        return _Rest(
            sum(p.seconds for p in parts),
            tuple(numbers[v] for v in stores if v in numbers),
            sum(v.nbytes for v in stores if v not in numbers),
            _keeps_bits(parts, repeated),
        )


#: What was found to be left of kernels, by structure: layers that are alike leave the same.
Rests = dict[Hashable, _Rest]


def with_streams(
    region: Region,
    machine: Machine,
    divide: Divide,
    repeated: frozenset[Value] = frozenset(),
    rests: Rests | None = None,
) -> list[Partition | Streamed]:
    """The parts of ``region`` in order: blocked kernels where they pay, partitions of the rest.

    The sums ``repeated`` are computed elsewhere, too, to the same bits. ``rests`` are known from
    other regions, divided in the same way; those of this one are added.
    """
    rests = {} if rests is None else rests
    whole = divide(region)
    if machine.kind == "gpu" and len(region.steps) > LONG:
        return [whole]
    small = SMALL * machine.levels[1].capacity
    taken: list[tuple[Stream, Streamed]] = []
    wide = WideFolds(region)
    readers = _readers(wide.region)
    for stream in sketches(wide.region, small / 8, small, repeated, machine.threads):
        few = prod(a.extent for a in stream.rows) < machine.threads
        if few and machine.kind == "gpu":
            continue  # blocks of a grid cannot share a stream, so most of the machine would idle
        if not all(_apart(stream, other) for other, _ in taken):
            continue
        concerned = stream.replaces | stream.anew
        concerned = concerned.union(*(readers[v] for v in stream.anew if v in readers))
        concerned |= {wide.whole[v] for v in concerned if v in wide.whole}
        affected = [(v, seconds) for v, seconds in whole.prices if v & concerned]
        inside = frozenset().union(*(v for v, _ in affected))
        now = sum(seconds for _, seconds in affected)
        now += rent([v for v in _stores([whole]) if v in inside], region, machine)
        # From above: what is saved would have been written and read, by launches of their own. Few
        # rows gain threads, too.
        launches = (len(affected) - 1) * machine.launch_ns
        saved = (2 * machine.traffic_ns(stream.saved) + launches) * 1e-9
        if now < ALONE if few else saved < AT_STAKE * now:
            continue
        rest = _rest(wide.region, stream, inside, readers)
        limit = CLEARLY * now - least_seconds((t for s in rest.steps for t in s.terms), machine)
        if floor_of(stream, machine) > limit:
            continue
        streamed = blocked(stream, machine, limit)
        if streamed is None:
            continue
        again = repeated | stream.repeated
        key, numbers = region_key(rest, again)
        left = rests.get(key)
        if left is None:
            others = with_streams(rest, machine, divide, again, rests) if rest.steps else []
            left = rests[key] = _Rest.of(others, numbers, again)
        if not left.keeps_bits:
            continue
        values = list(numbers)
        then = streamed.seconds + left.seconds
        stored = [*stream.outputs, *(values[n] for n in left.stores)]
        then += rent(stored, region, machine, left.besides)
        if then < CLEARLY * now and _have_order(wide, [*(s for s, _ in taken), stream]):
            taken.append((stream, streamed))
    if not taken:
        return [whole]
    repeated = repeated.union(*(s.repeated for s, _ in taken))
    region = wide.of(frozenset().union(*(s.replaces for s, _ in taken)))

    def within(part: Region) -> list[Partition | Streamed]:
        return with_streams(part, machine, divide, repeated, rests)

    parts = _in_order(region, taken, within)
    return parts if _keeps_bits(parts, repeated) else [whole]


def _stores(parts: list[Partition | Streamed]) -> list[Value]:
    """The values that kernels store."""
    found: dict[Value, None] = {}
    for part in parts:
        if isinstance(part, Streamed):
            found.update(dict.fromkeys(part.values))
        else:
            found.update((v, None) for g in part.cones for v in g.stores)
    return list(found)


def rent(values: Iterable[Value], region: Region, machine: Machine, besides: int = 0) -> float:
    """Seconds that holding intermediate ``values`` costs, and so many bytes ``besides``."""
    kept = {*region.outputs, *region.inputs}
    held = besides + sum(v.nbytes for v in dict.fromkeys(values) if v not in kept)
    return max(0.0, held - machine.levels[-1].capacity / 2) * machine.held_ns * 1e-9


def _keeps_bits(parts: list[Partition | Streamed], repeated: frozenset[Value]) -> bool:
    """Whether sums that are computed several times are always added up in order: by streams."""
    cones = (p for p in parts if isinstance(p, Partition))
    return not any(inside & repeated for p in cones for inside, _ in p.prices)


def floor_of(stream: Stream, machine: Machine) -> float:
    """`least_of` from below, before there are stages: as if one pass did; 0 if masks may hide some
    of it."""
    if may_hide(stream):
        return 0.0
    wanted = set(stream.outputs)
    once: list[Def] = []
    for step in reversed(stream.steps):
        kind = stream.kind[step.value]
        if kind != "streamed" or step.value in wanted:
            once.append(step)
            if kind != "row":
                wanted |= step.term.loads
    return least_seconds((d.term for d in once), machine)


def least_of(stream: Stream, machine: Machine) -> float:
    """Seconds of the operations of all passes, each of which computes what it needs; 0 if masks may
    leave some of them out."""
    if any(m.hides for n in range(stream.stages) for m in masks_of(stream, n)):
        return 0.0
    found: list[Def] = [d for d in stream.steps if stream.kind[d.value] == "row"]
    for stage in range(stream.stages):
        states = stream.states_of(stage)
        found += states
        found += (stream.definition[v] for v in stream.streamed_for(states, stage))
    return least_seconds((d.term for d in found), machine)


def _apart(a: Stream, b: Stream) -> bool:
    """Whether both can be taken: neither needs what only the other one knows.

    Nor does one add up in its own order what the other has to find the same bits of.
    """
    if a.replaces & b.replaces:
        return False
    for x, y in ((a, b), (b, a)):
        if x.repeated & y.definition.keys() and not y.alike:
            return False
        needs = set().union(*(loaded(d.term) for d in x.steps)) - x.definition.keys()
        if needs & y.replaces - set(y.outputs):
            return False
    before = _needs(a) & set(b.outputs)
    return not (before and _needs(b) & set(a.outputs))


Readers = Mapping[Value, Sequence[Value]]


def _readers(region: Region) -> Readers:
    """What is made of each value."""
    found: dict[Value, list[Value]] = {}
    for step in region.steps:
        for value in reads_of(step):
            found.setdefault(value, []).append(step.value)
    return found


def _needs(stream: Stream) -> set[Value]:
    """The values that a stream reads and does not compute."""
    return set().union(*(loaded(d.term) for d in stream.steps)) - stream.definition.keys()


def _rest(region: Region, stream: Stream, inside: frozenset[Value], readers: Readers) -> Region:
    """What kernels that computed ``inside`` are left with."""
    steps = [s for s in region.steps if s.value in inside and s.value not in stream.replaces]
    own = {s.value for s in steps}
    gone = own | stream.replaces
    needed = _needs(stream).union(region.outputs)
    needed.update(v for v in own if not gone.issuperset(readers.get(v, ())))
    return _region(steps, needed)


def _in_order(
    region: Region,
    taken: list[tuple[Stream, Streamed]],
    within: Callable[[Region], list[Partition | Streamed]],
) -> list[Partition | Streamed]:
    """Blocked kernels as soon as what they need is there, and ``within`` of what lies between."""
    gone = frozenset().union(*(s.replaces for s, _ in taken))
    steps = [s for s in region.steps if s.value not in gone]
    level = _levels(steps, [s for s, _ in taken])
    parts: list[Partition | Streamed] = []
    needed = set(region.outputs).union(*(_needs(s) for s, _ in taken))
    for now in range(1 + max(level.values(), default=0)):
        own = [s for s in steps if level[s] == now]
        if own:
            others = (reads_of(s) for s in steps if level[s] != now)
            parts += within(_region(own, needed.union(*others)))
        parts += [streamed for stream, streamed in taken if level[stream] == now]
    return parts


def _have_order(wide: WideFolds, streams: list[Stream]) -> bool:
    """Whether no stream waits for itself, through others and the steps between them."""
    gone = frozenset().union(*(s.replaces for s in streams))
    steps = [s for s in wide.of(gone).steps if s.value not in gone]
    return len(_levels(steps, streams)) == len(steps) + len(streams)


_Node = Def | Scatter | Stream


def _levels(steps: list[Def | Scatter], streams: list[Stream]) -> dict[_Node, int]:
    """How many streams come before each step and stream; steps stand as late as they can.

    What waits for itself has no level.
    """
    made: dict[Value, _Node] = {s.value: s for s in steps}
    made.update((v, s) for s in streams for v in s.outputs)
    needs: dict[_Node, set[Value]] = {s: reads_of(s) for s in steps}
    needs.update((s, _needs(s)) for s in streams)
    before = {n: {made[v] for v in values if v in made} for n, values in needs.items()}
    after: dict[_Node, list[_Node]] = {n: [] for n in needs}
    for node, several in before.items():
        for other in several:
            after[other].append(node)
    level: dict[_Node, int] = {}
    missing = {n: len(several) for n, several in before.items()}
    order = [n for n, count in missing.items() if not count]
    for node in order:
        ends = (level[o] + isinstance(o, Stream) for o in before[node])
        level[node] = max(ends, default=0)
        for other in after[node]:
            missing[other] -= 1
            if not missing[other]:
                order.append(other)
    for node in reversed(order):
        users = [level[o] for o in after[node] if o in level]
        if isinstance(node, Def) and users:
            level[node] = max(level[node], min(users))
    return level


def _region(steps: list[Def | Scatter], needed: set[Value]) -> Region:
    made = {s.value for s in steps}
    reads = set().union(*map(reads_of, steps)) - made
    inputs = tuple(sorted(reads, key=lambda v: v.name))
    return Region(inputs, tuple(steps), tuple(s.value for s in steps if s.value in needed))


# -- blocks ----------------------------------------------------------------------------------------


class _Sizes:
    """The blocked kernels of a stream in blocks of several sizes, made as they are asked for.

    They take ``least`` seconds at least, for ever if there are no stages. A choice is a kernel, its
    seconds, and the numbers of its parameters in the stream's key. Streams of that key are the same
    here; one has stages if something has been made of it.
    """

    def __init__(self, stream: Stream, machine: Machine) -> None:
        self.machine = machine
        self.least = least_of(stream, machine) if find_stages(stream) else inf
        self._first: _Choice | None = None
        self._best: _Choice | None = None
        self._rest: Iterator[Blocks] | None = None

    def first(self, stream: Stream, numbers: Mapping[Value, int]) -> _Choice | None:
        """The one in blocks of the most promising size that is possible."""
        if self._rest is None:
            _stage(stream)
            self._rest = sizes(stream, self.machine)
            self._first = self._next(stream, numbers, self._rest)
        return self._first

    def best(self, stream: Stream, numbers: Mapping[Value, int]) -> _Choice | None:
        """The cheapest; the more seconds the first takes, the more others are looked at."""
        first = self.first(stream, numbers)
        if self._best is None and first is not None:
            assert self._rest is not None
            _stage(stream)
            self._best = first
            for _ in range(int(log2(1 + first[1] / WORTH))):
                other = self._next(stream, numbers, self._rest)
                if other is not None and other[1] < partition.CLEARLY * self._best[1]:
                    self._best = other
        return self._best

    def ranked(self, stream: Stream, numbers: Mapping[Value, int], count: int) -> list[Kernel]:
        """The kernels of the lowest prices that take the parameters of the best, which is first."""
        best = self.best(stream, numbers)
        assert best is not None
        found = [best]
        _stage(stream)
        for blocks in sizes(stream, self.machine):
            with suppress(ScheduleError):
                found.append(self._made(stream, blocks, numbers))
        alike = [c for c in found if c[2] == best[2]]
        rest = sorted(alike, key=lambda c: c[1])
        different = {print_kernel(c[0]): c[0] for c in reversed([best, *rest])}
        return list(reversed(different.values()))[:count]

    def _next(
        self, stream: Stream, numbers: Mapping[Value, int], rest: Iterator[Blocks]
    ) -> _Choice | None:
        for blocks in rest:
            with suppress(ScheduleError):
                return self._made(stream, blocks, numbers)
        return None

    def _made(self, stream: Stream, blocks: Blocks, numbers: Mapping[Value, int]) -> _Choice:
        kernel, values = build_blocked(stream, blocks, self.machine, stream.outputs[0].name)
        seconds = estimate_of(kernel, self.machine).price({}).seconds
        return kernel, seconds, tuple(numbers[v] for v in values)


def _stage(stream: Stream) -> None:
    """Give a stream its stages, unless it has them."""
    if not stream.stage:
        find_stages(stream)


#: Blocked kernels by structure and machine: equal layers have equal streams.
_known: BoundedCache[_Sizes] = BoundedCache(1024)


def blocked(stream: Stream, machine: Machine, limit: float) -> Streamed | None:
    """The cheapest blocked kernel of ``stream``; None where that is beyond ``limit`` seconds."""
    key, numbers = stream_key(stream)
    known = _known.get((key, machine), lambda: _Sizes(stream, machine))
    if known.least > limit:
        return None
    first = known.first(stream, numbers)
    if first is None or first[1] > limit * HOPELESS:
        return None
    found = known.best(stream, numbers)
    if found is None or found[1] > limit:
        return None
    kernel, seconds, places = found
    values = list(numbers)

    def ranked(count: int) -> list[Kernel]:
        return known.ranked(stream, numbers, count)

    return Streamed(kernel, tuple(values[n] for n in places), seconds, key, ranked)


def sizes(stream: Stream, machine: Machine) -> Iterator[Blocks]:
    """Sizes of blocks, the most promising first.

    Rows that share what is read along the stream lie across lanes, a register tile of them.
    """
    extents = [a.extent for a in stream.rows]
    ones = [1] * len(extents)
    length = stream.along.extent
    if machine.kind == "gpu":
        yield from _of_threads(stream, machine)
        return
    lanes = machine.vector_bytes // max(4, stream.steps[-1].value.dtype.itemsize)
    if extents and extents[-1] >= lanes and _shares(stream, stream.rows[-1]):
        width = (2 if machine.registers >= 32 else 1) * lanes
        rows = (*ones[:-1], min(extents[-1], width))
        hides = any(m.hides for n in range(stream.stages) for m in masks_of(stream, n))
        if not hides:
            yield from _turned(Blocks(rows, even(length, 256), len(extents) - 1), stream, machine)
        for along in (128, 256) if hides else (256, 128, 512):
            yield from _shared(Blocks(rows, even(length, along), len(extents) - 1), stream, machine)
        return
    most = _held(stream, machine)
    for along in dict.fromkeys(min(n, most) for n in (2048, 512, 8192)):
        yield from _shared(Blocks(tuple(ones), even(length, along)), stream, machine)


def _held(stream: Stream, machine: Machine) -> int:
    """How much of a row half a core's cache holds, of all that is streamed."""
    each = 0
    for step in stream.steps:
        if stream.kind[step.value] == "streamed":
            classes = [(stream.classes.of(a), a.extent) for a in step.axes]
            others = (n for c, n in classes if c is not stream.along and c not in stream.rows)
            each += prod(others) * step.value.dtype.itemsize
    return max(1, machine.levels[1].capacity // 2 // max(1, each))


def _of_threads(stream: Stream, machine: Machine) -> Iterator[Blocks]:
    """A thread for each row of a block, as many as leave every multiprocessor something to do.

    Blocks cannot wait for each other, so that there are no shares.
    """
    extents = [a.extent for a in stream.rows]
    warp = machine.multiprocessor.warp
    if not extents or extents[-1] < warp or not _shares(stream, stream.rows[-1]):
        for along in (2048, 1024, 512):
            yield Blocks(tuple([1] * len(extents)), even(stream.along.extent, along))
        return
    widths = [w for w in (4 * warp, 2 * warp, warp) if w <= extents[-1]]
    busy = [w for w in widths if prod(extents) >= w * machine.threads]
    for width in (*busy, *(w for w in reversed(widths) if w not in busy)):
        rows = (*[1] * (len(extents) - 1), width)
        for along in (64, 32, 128):
            yield Blocks(rows, even(stream.along.extent, along), len(extents) - 1)


def _turned(blocks: Blocks, stream: Stream, machine: Machine) -> Iterator[Blocks]:
    """Shares that stay in a core's cache, where each row would stream more than that again."""
    row = stream.rows[-1]
    read: dict[Value, int] = {}
    for step in stream.steps:
        for term in postorder(step.term):
            if isinstance(term, Load) and term.value not in stream.definition:
                axes = {stream.classes.of(a) for a in term.axes}
                if stream.along in axes and row not in axes:
                    others = prod(r.extent for r in stream.rows if r in axes)
                    read[term.value] = term.value.nbytes // max(1, others)
    cache = machine.levels[1].capacity
    shares = -(-sum(read.values()) // (cache // 4))
    if sum(read.values()) > 2 * cache and stream.along.extent >= shares * blocks.along:
        yield replace(blocks, shares=shares, turned=True)


def _shared(blocks: Blocks, stream: Stream, machine: Machine) -> Iterator[Blocks]:
    """These blocks; first in shares, where there are too few rows for every thread."""
    parallel = prod(-(-a.extent // n) for a, n in zip(stream.rows, blocks.rows, strict=True))
    shares = min(SHARES * machine.threads // parallel, -(-stream.along.extent // blocks.along))
    if machine.threads > 1 and shares > 1:
        yield replace(blocks, shares=shares)
    yield blocks


def _shares(stream: Stream, row: Axis) -> bool:
    """Whether something along the stream is the same for all iterations over ``row``."""
    for step in stream.steps:
        for term in postorder(step.term):
            if isinstance(term, Load) and term.value not in stream.definition:
                axes = {stream.classes.of(a) for a in term.axes}
                if stream.along in axes and row not in axes:
                    return True
    return False


def even(extent: int, most: int) -> int:
    """Blocks of at most ``most`` elements, all alike where there is such a size nearby."""
    count = -(-extent // most)
    for n in range(count, 2 * count):
        if extent % n == 0:
            return extent // n
    return -(-extent // count)
