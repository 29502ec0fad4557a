"""The price on a GPU: blocks of threads that share multiprocessors, and the bytes they move.

Each nest of a kernel is a grid of blocks.  A multiprocessor runs as many of them at a time as their
threads, registers and shared memory let it (*occupancy*), and each in its turn::

    nest    = √(compute² + memory²)
    compute = waves · Σ executions · max(busiest unit, latency / blocks at a time)
    memory  = max(bytes from L2 / its rate, bytes from DRAM / its rate)

Where few threads are at work, rates are what their loads in flight can ask for.  A block finds in
its own memory what it has read before (footprints, as on a CPU), never what another block did;
all of them share the L2 cache.  *Coalescing* is the part of the sectors moved to the threads of
warps that they need.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import gcd, prod

from weft.kernels import ir
from weft.kernels.grid import block_size, index_axes, of_a_thread
from weft.kernels.ir import Buffer, For, Kernel
from weft.kernels.machine import Level, Machine
from weft.kernels.price.outline import Block, Nest
from weft.kernels.price.price import BlockPrice, Price
from weft.kernels.price.reader import read
from weft.kernels.price.traffic import Stream, Walker
from weft.kernels.price.warps import is_divided, sectors, turns
from weft.kernels.ranges import taken
from weft.kernels.schedule.errors import ScheduleError
from weft.structs import struct
from weft.terms.affine import Axis, linearize

#: A load of a warp takes as long as so many of its additions.
LOAD = 4.0

#: Registers of a thread for addresses and counters.
OVERHEAD = 16

#: The L2 cache answers so many times as fast as memory.
L2_NEARER = 3.0

_Access = ir.Load | ir.Store


@struct(frozen=True)
class GpuPrice(Price):
    """The price of a launch on a GPU; each of its blocks is a grid.

    ``block`` is in threads, ``grid`` the blocks of the largest one. ``registers`` are those of a
    thread, ``shared`` the bytes that a block keeps to itself; ``occupancy`` is the part of a
    multiprocessor's threads that are there at a time, ``coalescing`` the part of the sectors of
    global memory that are needed of those that are moved.
    """

    block: int = 1
    grid: int = 1
    registers: int = 0
    shared: int = 0
    occupancy: float = 0.0
    coalescing: float = 1.0


class GpuEstimate:
    """A kernel read once, to be priced under several circumstances.

    ``least`` are the seconds that arithmetic and the launch alone take.
    Raises `ScheduleError` for kernels of which not even one block fits.
    """

    #: Nobody has to be woken up.
    threads = 1

    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        self.machine = machine
        self.processor = machine.multiprocessor
        self.kernel = kernel
        self.block = max(self.processor.warp, block_size(kernel))
        self._root = read(kernel, replace(machine, vector_bytes=4 * self.block))
        self._parts = [_Part(child, self._root) for child in self._root.children]
        live = (b.live for part in self._parts for b, _, _ in part.blocks)
        self.registers = OVERHEAD + max(live, default=0)
        self.shared = sum(
            b.extent * b.dtype.itemsize
            for b in kernel.scratch
            if b.level == "thread" and not of_a_thread(kernel, b)
        )
        self.resident = self._resident()
        self._launch = machine.fork_ns * 1e-9
        self._compute = [self._computing(part) for part in self._parts]
        self.least = self._launch + sum(self._compute)
        self._moved: tuple[list[float], float, float] | None = None

    def _resident(self) -> int:
        """The blocks that a multiprocessor has room for at a time."""
        sm = self.processor
        by_registers = sm.registers // (self.block * min(self.machine.registers, self.registers))
        by_shared = self.machine.levels[1].capacity // max(1, self.shared)
        found = min(sm.blocks, sm.threads // self.block, by_registers, by_shared)
        if found < 1 or self.shared > sm.block_shared:
            raise ScheduleError(
                f"a block of {self.kernel.name} needs {self.block} threads of {self.registers} "
                f"registers and {self.shared} bytes of shared memory: no multiprocessor of "
                f"{self.machine.name} has room for it"
            )
        return found

    # -- prices ------------------------------------------------------------------------------------

    def without_traffic(self) -> GpuPrice:
        """The price of arithmetic and the launch."""
        return self._priced([0.0] * len(self._parts), {}, 1.0)

    def price(self, beyond: Mapping[Buffer, int] | None) -> GpuPrice:
        """The price where ``beyond`` bytes have been touched since each buffer was (`Traffic`)."""
        if self._moved is None:
            needed, sectors, exchanged = _Accesses(self.kernel, self.machine).totals()
            on_chip = sectors * self.processor.sector + exchanged
            self._moved = [self._filled(p) for p in self._parts], on_chip, needed / max(1, sectors)
        fills, on_chip, coalescing = self._moved
        dram = self._dram(beyond)
        whole = sum(fills)
        memory = [
            self._waiting(part, filled, dram * filled / whole if whole else 0.0)
            for part, filled in zip(self._parts, fills, strict=True)
        ]
        names = (level.name for level in self.machine.levels)
        moved = dict(zip(names, (on_chip, whole, dram), strict=True))
        return self._priced(memory, moved, coalescing or 1.0)

    def _priced(
        self, memory: Sequence[float], moved: Mapping[str, float], coalescing: float
    ) -> GpuPrice:
        # The kernel's bytes stand with the first of its grids.
        blocks = [
            BlockPrice(
                part.path,
                part.grid,
                compute * self.machine.core.ghz * 1e9,
                compute,
                seconds,
                {} if n else dict(moved),
                part.flops,
                0.0,
            )
            for n, (part, compute, seconds) in enumerate(
                zip(self._parts, self._compute, memory, strict=True)
            )
        ]
        return GpuPrice(
            self.threads,
            tuple(blocks),
            self._launch,
            block=self.block,
            grid=max((p.grid for p in self._parts), default=1),
            registers=self.registers,
            shared=self.shared,
            occupancy=self.resident * self.block / self.processor.threads,
            coalescing=coalescing,
        )

    # -- time --------------------------------------------------------------------------------------

    def _together(self, part: _Part) -> int:
        """Blocks of a grid that a multiprocessor runs at a time."""
        return max(1, min(self.resident, -(-part.grid // self.machine.threads)))

    def _computing(self, part: _Part) -> float:
        """Seconds of the multiprocessor with most blocks."""
        core = self.machine.core
        together = self._together(part)
        total = 0.0
        for block, nest, times in part.blocks:
            math = block.product + block.sum + block.other + block.divide
            busiest = max(math, LOAD * (block.load + block.store), block.issued / core.issue)
            chain = nest.recurrence if nest.carries else block.depth
            total += times * max(busiest, chain / together)
        waves = -(-part.grid // self.machine.threads)
        return total / max(1, part.grid) * waves / (core.ghz * 1e9)

    def _waiting(self, part: _Part, filled: float, dram: float) -> float:
        """Seconds of moving these bytes from the L2 cache and from memory."""
        if not part.grid:  # a loop over an empty axis: nobody asks for anything
            return 0.0
        at_work = min(self.machine.threads, part.grid)
        flying = at_work * self._together(part) * self.block * self.processor.flying
        asked = max(1.0, flying) / self.processor.wait
        from_l2 = min(
            self.machine.levels[2].bandwidth,
            at_work * self.processor.fill * self.machine.core.ghz,
            asked * L2_NEARER,
        )
        return max(filled / from_l2, dram / min(self.machine.memory_bandwidth, asked)) * 1e-9

    # -- bytes -------------------------------------------------------------------------------------

    def _filled(self, part: _Part) -> float:
        """Bytes that the L2 cache gives to and takes from the blocks of a grid."""
        sector = self.processor.sector
        room = max(64 * sector, 4 * self.processor.registers - self.shared)
        level = Level("L1", room, 0.0, line=sector, indexed=False)
        streams = Walker([level], 1).children(part.inside, (), 1, 1)
        return sector * part.grid * sum(_passed(s) for s in streams if not s.private)

    def _dram(self, beyond: Mapping[Buffer, int] | None) -> float:
        """Bytes that the L2 cache takes from and gives to memory."""
        level = self.machine.levels[2]
        walker = Walker([level], 1)
        streams = walker.children(self._root, (), 1, 1)
        if beyond is not None:
            walker.repeat(streams, beyond)
        return level.line * sum(_passed(s) for s in streams if not s.private)


def _passed(stream: Stream) -> float:
    """Sectors that a cache asks for or hands on: what is written need not be read before."""
    return stream.written[0] if stream.access.write else stream.misses[0]


class _Part:
    """A statement of a kernel's body: a grid of blocks.

    ``inside`` is what one block runs, ``blocks`` are its parts with the loops around them and how
    often the whole grid runs them.
    """

    def __init__(self, child: Nest | Block, root: Nest) -> None:
        self.grid = 1
        self.path: tuple[str, ...] = ()
        self.blocks = list(_visited(child, root, 1))
        self.flops = sum(b.flops * times for b, _, times in self.blocks)
        nest = root
        while isinstance(child, Nest) and child.parallel:
            self.grid *= child.trip
            self.path = (*self.path, child.axis.name)
            nest = child
            if len(child.children) != 1:
                break
            child = child.children[0]
        self.inside = replace(root, children=[child]) if nest is root else nest


def _visited(child: Nest | Block, nest: Nest, times: int) -> Iterator[tuple[Block, Nest, int]]:
    if isinstance(child, Block):
        yield child, nest, times
        return
    for inner in child.children:
        yield from _visited(inner, child, times * child.trip)


# -- accesses --------------------------------------------------------------------------------------


class _Accesses:
    """What the warps of a kernel ask of memory."""

    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        self.kernel = kernel
        self.processor = machine.multiprocessor
        self.loops = {x.axis for x in ir.loops(kernel.body)}

    def totals(self) -> tuple[float, float, float]:
        """Sectors needed and moved of global memory, and bytes to and from shared memory."""
        needed = moved = exchanged = 0.0
        for access, times in self._executions(self.kernel.body, (), 1):
            if access.buffer.role == "scratch" and access.buffer.level == "thread":
                exchanged += times * self._of_shared(access)
            else:
                need, get = self._of_global(access)
                needed += need * times
                moved += get * times
        return needed, moved, exchanged

    def _executions(
        self, body: list[ir.Stmt], around: tuple[For, ...], times: int
    ) -> Iterator[tuple[_Access, int]]:
        for stmt in body:
            if isinstance(stmt, For):
                trip = taken(stmt, list(around)) if stmt.where or stmt.unless else stmt.trip
                yield from self._executions(stmt.body, (*around, stmt), times * trip)
            elif isinstance(stmt, _Access):
                yield stmt, times

    def _tile(self, access: _Access) -> tuple[int, Axis | None]:
        """The elements of a thread, and the axis that lies across threads."""
        value = access.out if isinstance(access, ir.Load) else access.value
        axes = (set(index_axes(access)) - self.loops) | set(value.axes)
        lane = next((a for a in axes if a in self.kernel.lanes), None)
        return prod(a.extent for a in axes if a is not lane), lane

    def _of_global(self, access: _Access) -> tuple[float, float]:
        """Sectors that an access needs, and those that warps move for it."""
        each, lane = self._tile(access)
        if lane is None:
            return each, each
        size, sector = access.buffer.dtype.itemsize, self.processor.sector
        threads = min(self.processor.warp, lane.extent)
        warps = each * -(-lane.extent // self.processor.warp)
        step = _step(access, lane)
        if step == 0:
            return warps, warps
        if is_divided(access, lane):
            least, touched = sectors(access, lane, self.processor.warp, sector)
            return least * warps, touched * warps
        need = max(1.0, threads * size / sector)
        get = threads if step is None else min(threads, max(need, need * step))
        return need * warps, get * warps

    def _of_shared(self, access: _Access) -> float:
        """Bytes of an access, as often as threads meet in a bank."""
        each, lane = self._tile(access)
        count = each * access.buffer.dtype.itemsize
        if lane is None:
            return count
        if is_divided(access, lane):
            return count * lane.extent * turns(access, lane, self.processor.warp)
        step = _step(access, lane)
        return count * lane.extent * gcd(step or 1, self.processor.warp)


def _step(access: _Access, lane: Axis) -> int | None:
    """Elements between neighbouring threads; None where nobody knows."""
    linear = linearize(access.index, access.buffer.element_strides)
    return abs(linear.coefficient(lane)) if linear.is_affine_in(lane) else None
