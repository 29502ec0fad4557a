"""Residency and misses: how many lines each access misses at every level of the machine.

From the inside out.  One execution of a block misses its footprint.  Around it, a loop of ``t``
iterations multiplies misses by ``t``, unless the data of the loop's body fit in the level: then
only by what the footprint grows.  Fitting is not all or nothing: it falls linearly over the
level's ramp, and data that can use few sets fill up early.  Statements side by side find in the
level what earlier ones left there, and so does a kernel that runs again (``warm``).  Private
levels see one thread's share of a parallel loop, shared levels all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import NamedTuple

from weft.kernels.ir import Buffer
from weft.kernels.machine import Level, Machine
from weft.kernels.price.footprint import Dims, line_count, merge, usable_sets
from weft.kernels.price.outline import Access, Block, Nest
from weft.structs import struct
from weft.terms.affine import Axis

#: Earlier siblings that may have left something: those of one pass in a few pieces.
REMEMBERED = 4

_NOTHING: Mapping[Buffer, int] = MappingProxyType({})


@struct(eq=False, slots=True)
class Stream:
    """One access of one block while the walk goes outwards.

    By level: ``footprint`` in lines under the loops seen so far, ``usable`` sets, ``misses`` (lines
    filled) and ``written`` (lines written back).  ``own`` are dimensions as one thread sees them,
    ``all`` as all threads together do.  ``near`` are the strides of the two innermost loops;
    ``order`` the bytes accessed in ascending order so far, ``sequence`` the lines of such a
    stretch.  All of it lies in ``span`` bytes from ``start`` (if known).
    ``private`` memory has a copy per thread; ``passing`` stores go past the caches and fill
    nothing.
    """

    access: Access
    visit: Visit
    buffer: Buffer
    own: Dims
    all: Dims
    footprint: list[int] = field(default_factory=list)
    usable: list[int] = field(default_factory=list)
    misses: list[float] = field(default_factory=list)
    written: list[float] = field(default_factory=list)
    near: list[int] = field(default_factory=list)
    order: int = 0
    sequence: float = 0.0
    start: int = 0
    span: int | None = None
    private: bool = False
    passing: bool = False

    def overlaps(self, other: Stream) -> bool:
        """Whether two streams of one buffer may touch the same lines."""
        if self.span is None or other.span is None:
            return True
        return self.start < other.start + other.span and other.start < self.start + self.span

    @property
    def stretch(self) -> float:
        """Lines accessed in ascending order before a jump."""
        return self.sequence or max(1.0, self.order / 64)

    @property
    def pieces(self) -> int:
        """Separate stretches that one execution of the block touches."""
        count = 1
        for _, trip in self.access.segments:
            count *= trip
        return count


@struct(eq=False, slots=True)
class Visit:
    """A block where it stands: its loops, executions by one thread and by all, and its streams.

    ``pieces`` are separate stretches of memory that a thread writes between those of other threads.
    """

    block: Block
    nest: Nest
    path: tuple[Axis, ...]
    times: int
    total: int
    streams: list[Stream] = field(default_factory=list)
    pieces: float = 0.0


class Traffic:
    """The misses of a kernel's accesses, under the circumstances that `after` sets.

    The lists of a stream are by the machine's caches, then by its translation buffers: levels of
    pages.
    """

    def __init__(self, root: Nest, machine: Machine, threads: int) -> None:
        pages = [
            Level(f"pages {p.entries}", p.entries * p.page, 0.0, p.entries, p.page, indexed=False)
            for p in machine.pages
        ]
        self._walker = Walker([*machine.levels, *pages], threads)
        self._streams = self._walker.children(root, (), 1, 1)
        self._cold = [(s.misses, s.written) for s in self._streams]

    @property
    def visits(self) -> list[Visit]:
        """The blocks of the kernel, in order."""
        return self._walker.visits

    def after(self, beyond: Mapping[Buffer, int] | None) -> None:
        """Count what is in the caches when the kernel starts: nothing if ``beyond`` is None.

        Otherwise it has run before, and so has everything else that runs in turn with it; for each
        buffer, ``beyond`` says how many bytes of memory that the kernel does not touch have been
        touched since the buffer was (none if it is not there).
        """
        for stream, (misses, written) in zip(self._streams, self._cold, strict=True):
            stream.misses, stream.written = list(misses), list(written)
        if beyond is not None:
            self._walker.repeat(self._streams, beyond)


class _Shape(NamedTuple):
    """The numbers of a level that the walk asks for all the time (``sets`` is 0 if hashed)."""

    line: int
    lines: int
    sets: int
    ways: int
    shared: bool
    ramp: tuple[float, float]


class Walker:
    """The recursion over the loop tree (as deep as loops nest, never as long as programs)."""

    def __init__(self, levels: list[Level], threads: int) -> None:
        self.threads = threads
        self.visits: list[Visit] = []
        self.shapes = [
            _Shape(x.line, x.lines, x.sets if x.indexed else 0, x.ways, x.shared, x.ramp)
            for x in levels
        ]

    # -- the walk ----------------------------------------------------------------------------------

    def children(self, nest: Nest, path: tuple[Axis, ...], times: int, total: int) -> list[Stream]:
        """Streams of everything in the body of ``nest``, siblings' reuse counted."""
        siblings: list[list[Stream]] = []
        for child in nest.children:
            if isinstance(child, Nest):
                if not child.trip:
                    continue
                trip = -(-child.trip // self.threads) if child.parallel else child.trip
                inner = (*path, child.axis)
                streams = self.children(child, inner, times * trip, total * child.trip)
                self.loop(child, trip, streams, times)
                if streams:
                    siblings.append(streams)
            else:
                visit = self.block(child, nest, path, times, total)
                for write in (False, True):
                    streams = [s for s in visit.streams if s.access.write is write]
                    if streams:
                        siblings.append(streams)
        if len(siblings) > 1:
            self.reuse(siblings)
        return [s for streams in siblings for s in streams]

    def block(
        self, block: Block, nest: Nest, path: tuple[Axis, ...], times: int, total: int
    ) -> Visit:
        visit = Visit(block, nest, path, times, total)
        self.visits.append(visit)
        for access in block.accesses:
            stream = Stream(
                access,
                visit,
                access.buffer,
                access.segments,
                access.segments,
                private=access.buffer.role == "scratch" and access.buffer.level == "thread",
                passing=access.write and access.streaming,
            )
            stream.order, stream.start, stream.span = access.run, access.start, access.span
            self.measure(stream)
            count = [float(n) for n in stream.footprint]
            stream.misses = [0.0] * len(count) if stream.passing else count
            stream.written = list(count) if access.write else [0.0] * len(count)
            visit.streams.append(stream)
        return visit

    def measure(self, stream: Stream) -> None:
        """Footprints of a stream and the sets it can use."""
        run = stream.access.run
        found: dict[tuple[int, bool], tuple[int, Dims, int]] = {}
        stream.footprint = []
        stream.usable = []
        same = stream.own is stream.all
        for shape in self.shapes:
            line = shape.line
            key = (line, shape.shared and not same)
            if key not in found:
                length, segments = merge(run, stream.all if key[1] else stream.own, line)
                found[key] = (length, segments, line_count(length, segments, line))
            length, segments, count = found[key]
            sets = shape.sets
            stream.footprint.append(count)
            stream.usable.append(usable_sets(length, segments, line, sets) if sets else 0)

    def loop(self, nest: Nest, trip: int, streams: list[Stream], times: int) -> None:
        """Around a loop: footprints grow, misses multiply."""
        share = nest.parallel and trip != nest.trip
        inside = [self.residency(streams, n) for n in range(len(self.shapes))]
        for stream in streams:
            dims = stream.access.dims_of(nest)
            before = stream.footprint
            if stream.span is not None:
                far = stream.access.terms.get(nest.axis, 0) * nest.step * (nest.trip - 1)
                stream.start += stream.access.terms.get(nest.axis, 0) * nest.lo + min(0, far)
                stream.span += abs(far)
            if share:
                self.own_pieces(stream, dims, trip, nest.trip, times)
            stride = min((s for s, _ in dims), default=0)
            if len(stream.near) < 2:
                stream.near.append(stride)
            buffer = stream.buffer
            growth: list[float] | None = None
            if dims:
                own = _shared(dims, trip, nest.trip) if share else dims
                whole = stream.all if share and stream.private else [*stream.all, *dims]
                same = stream.own is stream.all and not share
                stream.own = [*stream.own, *own]
                stream.all = stream.own if same else whole
                self.measure(stream)
                growth = [a / b for a, b in zip(stream.footprint, before, strict=True)]
                if not stream.sequence:
                    if stride <= max(stream.order, 64):
                        stream.order += stride * (trip - 1)
                    else:
                        stream.sequence = max(1.0, stream.order / 64)
            for n, fits in enumerate(inside):
                fit = fits[buffer]
                again = nest.trip if self.shapes[n].shared else trip
                factor = fit * (growth[n] if growth else 1.0) + (1.0 - fit) * again
                stream.misses[n] *= factor
                stream.written[n] *= factor

    def own_pieces(self, stream: Stream, dims: Dims, trip: int, whole: int, times: int) -> None:
        """Pieces that one thread writes between those of others, one by one."""
        access = stream.access
        if not access.write or stream.private or not dims:
            return
        span = max(s for s, _ in dims) * trip
        if span < 256:
            return
        pieces = 1
        for stride, count in stream.own:
            if stride >= span:
                pieces *= count
        if pieces > 1:
            stream.visit.pieces += times * pieces

    # -- residency ---------------------------------------------------------------------------------

    def residency(
        self, streams: list[Stream], n: int, beyond: Mapping[Buffer, int] = _NOTHING
    ) -> dict[Buffer, float]:
        """How much of each buffer's lines stays in level ``n`` when ``streams`` pass through it,
        and so many bytes ``beyond`` them.

        Accesses to one buffer overlap.  Non-temporal stores take no room: what counts for them is
        that a line is complete before it is pushed out.
        """
        shape = self.shapes[n]
        volume: dict[Buffer, tuple[int, int]] = {}
        passing: list[Buffer] = []
        for stream in streams:
            buffer = stream.buffer
            if stream.passing:
                passing.append(buffer)
                continue
            count = stream.footprint[n]
            if shape.shared and stream.private:
                count *= self.threads
            before = volume.get(buffer)
            if before is None or count > before[0]:
                volume[buffer] = (count, stream.usable[n])
        total = sum([count for count, _ in volume.values()])
        full = total / shape.lines
        low, high = shape.ramp
        sets, ways = shape.sets, shape.ways
        if total <= ways and full <= low and not beyond:  # not even one set is full
            return dict.fromkeys([*volume, *passing], 1.0)
        fits = dict.fromkeys(passing, staying(full, low, high))
        for buffer, (count, usable) in volume.items():
            level = full + beyond.get(buffer, 0) / shape.line / shape.lines
            if sets and level < high:
                level = max(level, (count / usable + (total - count) / sets) / ways)
            fits[buffer] = staying(level, low, high)
        return fits

    def reuse(self, siblings: list[list[Stream]]) -> None:
        """What later siblings find in a level because earlier ones have just used it.

        A loop and its remainder are siblings: each finds what its own part of an earlier pass left.
        """
        places: dict[Buffer, list[int]] = {}
        for place, streams in enumerate(siblings):
            for buffer in dict.fromkeys(s.buffer for s in streams):
                earlier = places.setdefault(buffer, [])
                now = [s for s in streams if s.buffer is buffer]
                for other in reversed(earlier[-REMEMBERED:]):
                    before = [s for s in siblings[other] if s.buffer is buffer]
                    met = [s for s in now if any(b.overlaps(s) for b in before)]
                    if not met:
                        continue
                    now = [s for s in now if s not in met]
                    between = [s for group in siblings[other : place + 1] for s in group]
                    for n in range(len(self.shapes)):
                        fit = self.residency(between, n)[buffer]
                        if fit:
                            self.discount(before, met, n, fit)
                    if not now:
                        break
                earlier.append(place)

    def discount(self, before: list[Stream], now: list[Stream], n: int, fit: float) -> None:
        for stream in now:
            same = [s for s in before if s.overlaps(stream)]
            touched = max((s.footprint[n] for s in same), default=0)
            dirty = max((s.footprint[n] for s in same if s.access.write), default=0)
            stream.misses[n] *= 1.0 - fit * min(1.0, touched / stream.footprint[n])
            stream.written[n] *= 1.0 - fit * min(1.0, dirty / stream.footprint[n])

    def repeat(self, streams: list[Stream], beyond: Mapping[Buffer, int]) -> None:
        """The same kernel has run before: what fits is still there."""
        for n in range(len(self.shapes)):
            fits = self.residency(streams, n, beyond)
            for stream in streams:
                kept = 0.0 if stream.passing else fits[stream.buffer]
                stream.misses[n] *= 1.0 - kept
                stream.written[n] *= 1.0 - kept


def _shared(dims: Dims, trip: int, whole: int) -> Dims:
    """What one thread sees of the dimensions of a loop of which it runs ``trip`` iterations.

    Iterations are dealt out in order, so that it is the widest dimension that is divided.
    """
    widest = max(dims)
    count = -(-widest[1] * trip // whole)
    return [(s, count if (s, t) == widest else t) for s, t in dims]


def staying(full: float, low: float, high: float) -> float:
    """The part of the data that stays in a level that is ``full`` times full."""
    return 1.0 if full <= low else 0.0 if full >= high else (high - full) / (high - low)
