"""The price: seconds of a scheduled kernel, and where they go.

Every block costs √(compute² + memory²), its cycles and its lines overlapping partly; around them
come the entries of innermost loops, the fork, barriers, and lines whose owner changes between
threads.  A line is charged once, by the level that serves it: at the rate of a stream where the
access runs on for a few lines, by its latency over the misses in flight where it jumps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from math import gcd, hypot, inf
from typing import TYPE_CHECKING

from weft.kernels.ir import Buffer, Kernel
from weft.kernels.machine import LineCost, Machine
from weft.kernels.price.blocks import cycles, spilled
from weft.kernels.price.outline import Block, Nest
from weft.kernels.price.reader import read
from weft.kernels.price.traffic import Stream, Traffic, Visit
from weft.structs import struct

if TYPE_CHECKING:
    from weft.kernels.price.gpu import GpuEstimate


@struct(frozen=True)
class BlockPrice:
    """One block: the loops around it, how often one thread runs it, and seconds in all.

    ``bytes`` are those that cross each level's lower boundary (fills and write-backs): between L1
    and L2 under ``"L1"``, …; of one thread for private levels, of all for shared ones.  ``flops``
    are those of all threads, ``spills`` the store-and-reload pairs per execution.
    """

    path: tuple[str, ...]
    times: int
    cycles: float
    compute: float
    memory: float
    bytes: dict[str, float]
    flops: int
    spills: float

    @property
    def seconds(self) -> float:
        return hypot(self.compute, self.memory)


@struct(frozen=True)
class Price:
    """The estimated time of one launch on ``threads`` threads, in seconds, and its parts.

    ``print(price)`` shows a line per block and one per overhead.
    """

    threads: int
    blocks: tuple[BlockPrice, ...]
    fork: float = 0.0
    entries: float = 0.0
    barriers: float = 0.0
    ownership: float = 0.0
    seconds: float = field(init=False)

    def __post_init__(self) -> None:
        parts = [b.seconds for b in self.blocks]
        total = sum(parts) + self.fork + self.entries + self.barriers + self.ownership
        object.__setattr__(self, "seconds", total)

    @property
    def flops(self) -> int:
        """Floating-point operations of one launch."""
        return sum(b.flops for b in self.blocks)

    @property
    def bytes(self) -> dict[str, float]:
        """Bytes that cross each level's lower boundary; see `BlockPrice`."""
        total: dict[str, float] = {}
        for block in self.blocks:
            for name, count in block.bytes.items():
                total[name] = total.get(name, 0.0) + count
        return total

    def __str__(self) -> str:
        lines = [f"{_time(self.seconds)} on {self.threads} thread{'s' * (self.threads > 1)}"]
        for block in self.blocks:
            moved = ", ".join(f"{k} {_size(v)}" for k, v in block.bytes.items() if v >= 1)
            spills = f", {block.spills:.0f} spills" if block.spills else ""
            lines.append(
                f"  {_time(block.seconds):>10}  {' > '.join(block.path) or 'kernel'}: "
                f"{block.times} × {block.cycles:.1f} cycles{spills} = {_time(block.compute)}, "
                f"memory {_time(block.memory)}" + (f" ({moved})" if moved else "")
            )
        for name in ("fork", "entries", "barriers", "ownership"):
            seconds = getattr(self, name)
            if seconds:
                lines.append(f"  {_time(seconds):>10}  {name}")
        return "\n".join(lines)


def price(kernel: Kernel, machine: Machine, warm: bool = True, limit: float = inf) -> Price:
    """Estimate the time of one launch of a scheduled ``kernel``; on a GPU it is a `GpuPrice`.

    With ``warm`` the kernel has run before on the same memory, so that what fits in a cache is
    there; otherwise everything comes from memory.  Where arithmetic and overheads alone take longer
    than ``limit`` seconds, traffic is left out: a search has no use for it.  Deterministic, and
    independent of names.
    """
    estimate = estimate_of(kernel, machine)
    if estimate.least > limit:
        return estimate.without_traffic()
    return estimate.price({} if warm else None)


def estimate_of(kernel: Kernel, machine: Machine) -> Estimate | GpuEstimate:
    """``kernel`` read once for a machine of either kind.

    Raises `ScheduleError` where a GPU has no room for a block of it.
    """
    if machine.kind == "cpu":
        return Estimate(kernel, machine)
    from weft.kernels.price.gpu import GpuEstimate

    return GpuEstimate(kernel, machine)


class Estimate:
    """A kernel read once, to be priced under several circumstances.

    ``least`` are the seconds that arithmetic and overheads alone take.
    """

    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        if machine.kind != "cpu":
            raise ValueError(
                f"cannot price kernel {kernel.name} for {machine.name} as for a CPU: use "
                f"estimate_of for machines of kind {machine.kind!r}"
            )
        self.machine = machine
        self._root = read(kernel, machine)
        self.threads = machine.threads if any(n.parallel for n in _nests(self._root)) else 1
        self._fork = machine.fork_ns * 1e-9 if self.threads > 1 else 0.0
        self._entries = _entries(self._root, machine, self.threads) / (machine.core.ghz * 1e9)
        self._alone = _arithmetic(self._root, machine, self.threads)
        self.least = self._fork + self._entries + self._alone.compute
        self._traffic: Traffic | None = None

    def without_traffic(self) -> Price:
        """The price of arithmetic and overheads."""
        return Price(self.threads, (self._alone,), self._fork, self._entries)

    def price(self, beyond: Mapping[Buffer, int] | None) -> Price:
        """The price where ``beyond`` bytes have been touched since each buffer was (`Traffic`)."""
        if self._traffic is None:
            self._traffic = Traffic(self._root, self.machine, self.threads)
        self._traffic.after(beyond)
        visits = self._traffic.visits
        charge = _Charge(self.machine, self.threads)
        meetings = sum(v.block.barriers * v.times for v in visits)
        shared = self.threads > 1
        return Price(
            self.threads,
            tuple(charge.block(v) for v in visits),
            self._fork,
            self._entries,
            barriers=meetings * self.machine.barrier_ns * 1e-9 if shared else 0.0,
            ownership=sum(v.pieces for v in visits) * self.machine.ownership_ns * 1e-9,
        )


def _arithmetic(root: Nest, machine: Machine, threads: int) -> BlockPrice:
    """All blocks as one, without traffic."""
    total = 0.0
    flops = 0
    stack = [(root, 1, 1)]
    while stack:
        nest, times, whole = stack.pop()
        for child in nest.children:
            if isinstance(child, Nest):
                trip = -(-child.trip // threads) if child.parallel else child.trip
                stack.append((child, times * trip, whole * child.trip))
            else:
                total += times * cycles(child, nest, machine)
                flops += whole * child.flops
    seconds = total / (machine.core.ghz * 1e9)
    return BlockPrice((), 1, total, seconds, 0.0, {}, flops, 0.0)


def _nests(root: Nest) -> Iterator[Nest]:
    stack = [root]
    while stack:
        nest = stack.pop()
        yield nest
        stack += [c for c in nest.children if isinstance(c, Nest)]


def _entries(root: Nest, machine: Machine, threads: int) -> float:
    """Cycles of entering loops: the pipeline restarts, and long loops end in a misprediction."""
    core = machine.core
    total = 0.0
    stack = [(root, 1)]
    while stack:
        around, times = stack.pop()
        for nest in around.children:
            if isinstance(nest, Nest):
                trip = -(-nest.trip // threads) if nest.parallel else nest.trip
                cost = core.entry if nest.innermost else core.entry / 4
                if not nest.unrolled:
                    total += times * cost * (1.0 if trip > core.predicted else 0.25)
                stack.append((nest, times * trip))
    return total


class _Charge:
    """Turns misses into seconds."""

    def __init__(self, machine: Machine, threads: int) -> None:
        self.machine = machine
        self.threads = threads
        self.busy = 1 if threads > 1 else 0  # which of the two costs of a line
        caches = machine.levels
        costs = [x.cost for x in caches[1:]] + [machine.memory]
        #: (level missed, cost of a line from below, whether the next level is shared …)
        self.served: list[tuple[int, LineCost, bool, bool]] = [
            (n, costs[n], caches[n].shared, n + 1 < len(caches) and caches[n + 1].shared)
            for n in range(len(caches))
        ]
        self.pages = list(enumerate(machine.pages, len(caches)))

    def block(self, visit: Visit) -> BlockPrice:
        block = visit.block
        per_run = cycles(block, visit.nest, self.machine)
        moved: dict[str, float] = {}
        memory = 0.0
        for stream in visit.streams:
            memory += self.stream(stream, block)
            for n, level in enumerate(self.machine.levels):
                count = stream.misses[n] + stream.written[n]
                moved[level.name] = moved.get(level.name, 0.0) + count * level.line
        return BlockPrice(
            tuple(a.name for a in visit.path),
            visit.times,
            per_run,
            visit.times * per_run / (self.machine.core.ghz * 1e9),
            memory * 1e-9,
            moved,
            visit.total * block.flops,
            spilled(block, self.machine),
        )

    def stream(self, stream: Stream, block: Block) -> float:
        """Nanoseconds of the lines of one access."""
        flying = self.in_flight(stream, block)
        stretch = stream.stretch
        jumps = min(1.0, 4.0 / stretch)
        # Prefetchers follow so many streams at a time; the rest come as if scattered.
        jumps = max(jumps, 1.0 - self.machine.core.streams / stream.pieces)
        written_apart = 0.5 * min(1.0, 1.0 / stretch)
        non_temporal = stream.access.write and stream.access.streaming
        total = 0.0
        for n, cost, shared, below_shared in self.served:
            read = cost.read[self.busy]
            below = stream.misses[n + 1] if n + 1 < len(self.served) else 0.0
            count = max(0.0, stream.misses[n] - (below / self.threads if below_shared else below))
            if count:
                latency = cost.latency / (self.threads if shared else 1)
                total += count * (read + (max(read, latency / flying) - read) * jumps)
            written = stream.written[n]
            if not written:
                continue
            if not non_temporal:
                apart = (cost.scattered[self.busy] - read) * written_apart
                total += written * (cost.write_back[self.busy] + apart)
            elif n + 1 == len(self.served):
                total += written * cost.streaming[self.busy]
        for n, pages in self.pages:
            total += stream.misses[n] * pages.miss_ns
        return total

    def in_flight(self, stream: Stream, block: Block) -> float:
        """Misses that overlap: few when neighbours share a set, or when much work lies between."""
        core = self.machine.core
        access = stream.access
        run_lines = max(1, -(-access.run // 64))
        strides = [s for s in stream.near if s >= max(64, access.run)]
        stride = min(strides) if strides else min((s for s, _ in access.segments), default=0)
        around = round(stride / 64) % 64
        if around:
            reachable = 64 // gcd(around, 64)
        else:
            reachable = 1 if stride >= 4096 else 64
        lines = run_lines * stream.pieces
        by_window = max(1.0, core.reorder / max(1.0, block.issued) * lines)
        return min(core.misses, core.misses_per_set * reachable * run_lines, by_window)


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _size(count: float) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f} B"
