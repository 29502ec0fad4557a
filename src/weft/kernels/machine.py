"""The machine model: what prices need to know of a device.

Bandwidths are bytes per nanosecond (GB/s) of one core, capacities bytes.  The built-in numbers are
those measured on one server core with 512-bit vectors; halving or doubling most of them hardly
changes how schedules rank, so they serve other CPUs too, with the cache sizes of the host; Intel's
servers have figures of their own.  Where
``weft devices --measure`` has measured the host, its figures take their place (`measured`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from weft.structs import struct
from weft.terms.dots import MatrixUnit

if TYPE_CHECKING:
    from weft.runtime.figures import Figures, LevelFigures


@struct(frozen=True)
class LineCost:
    """Nanoseconds per cache line that a level serves: to one busy core, and with all cores busy.

    ``read`` is a stream that the prefetchers follow, ``latency`` one line that nothing announced (a
    core overlaps several).  ``scattered`` is a line visited alone, whose write-back costs more than
    one in a stream; ``streaming`` a non-temporal store.  Costs of a shared level count the lines of
    all threads together.
    """

    read: tuple[float, float] = (0.0, 0.0)
    write_back: tuple[float, float] = (0.0, 0.0)
    scattered: tuple[float, float] = (0.0, 0.0)
    streaming: tuple[float, float] = (0.0, 0.0)
    latency: float = 0.0


@struct(frozen=True)
class Level:
    """One memory level: its capacity and the bandwidth of reading from it.

    ``ways`` and ``line`` shape it; ``indexed`` means that a line's set is part of its address, so
    that power-of-two strides conflict (big shared caches hash it).  ``ramp`` is the range of
    (data / capacity) over which data stop staying resident.  ``cost`` is that of a line this
    level serves.
    """

    name: str
    capacity: int
    bandwidth: float
    ways: int = 8
    line: int = 64
    shared: bool = False
    indexed: bool = True
    ramp: tuple[float, float] = (0.7, 1.4)
    cost: LineCost = LineCost()

    @property
    def lines(self) -> int:
        return max(1, self.capacity // self.line)

    @property
    def sets(self) -> int:
        return max(1, self.lines // self.ways)


@struct(frozen=True)
class Pages:
    """One level of the translation buffers: entries, bytes of a page, nanoseconds of a miss."""

    entries: int
    miss_ns: float
    page: int = 4096


@struct(frozen=True)
class Core:
    """What a core does per cycle; costs are cycles of one 64-byte register unless said otherwise.

    ``vectors`` operations on 64-byte registers of each kind (multiply, add, …) start per cycle;
    two on shorter registers always do. Of all kinds ``together`` times as many do: twice where
    adders stand beside multipliers, once where one unit does both. ``window`` is the number of
    operations over which independent iterations overlap, ``reorder`` that over which cache misses
    do (at most ``misses`` at a time, ``misses_per_set`` in one set of the first level); prefetchers
    follow ``streams`` stretches of memory.  Entering an innermost loop costs ``entry`` cycles, a
    quarter of that when its trip count is at most
    ``predicted``.
    """

    ghz: float = 3.67
    vectors: float = 1.0
    together: float = 2.0
    issue: float = 6.0
    broadcast: float = 0.5
    store: float = 2.07
    scalar_store: float = 1.0
    gather: float = 1.5  # per element
    scatter: float = 2.0  # per element
    divide: float = 6.0
    across: float = 6.6  # reducing the lanes of a register by additions
    across_latency: float = 28.0
    load_latency: float = 7.0
    window: float = 160.0
    reorder: float = 320.0
    misses: float = 20.0
    misses_per_set: float = 8.0
    streams: float = 12.0
    spills: float = 0.55  # stores and reloads per arithmetic operation beyond the registers
    entry: float = 20.0
    predicted: int = 24

    def occupancy(self, size: int) -> float:
        """Cycles for which an operation on a register of ``size`` bytes keeps its unit."""
        return max(0.5, size / (64 * self.vectors))


@struct(frozen=True)
class Multiprocessor:
    """What a multiprocessor of a GPU holds and does.

    Blocks of threads share it as long as there are ``threads``, ``blocks``, ``registers`` (of 4
    bytes) and shared memory left; ``lanes`` operations on 4 bytes start per cycle, in warps of
    ``warp`` threads. Memory is moved in sectors of ``sector`` bytes; ``fill`` bytes per cycle reach
    it from the L2 cache. One block may have ``block_shared`` bytes of shared memory. ``wait`` are
    the nanoseconds of a load from memory, while each thread has ``flying`` bytes on their way.
    """

    threads: int = 2048
    blocks: int = 32
    registers: int = 65536
    lanes: int = 128
    warp: int = 32
    sector: int = 32
    fill: float = 64.0
    wait: float = 600.0
    flying: int = 16
    block_shared: int = 48 << 10


@struct(frozen=True)
class Machine:
    """A device as the planner sees it.

    ``small_work`` is the number of element operations below which parallelism does not pay;
    ``fork_ns`` the cost of starting and joining a parallel region, ``barrier_ns`` that of a meeting
    inside one, and ``ownership_ns`` that of each piece of memory a thread writes between pieces of
    others (lines change owners, prefetchers overshoot).  ``kind`` chooses the scheduling strategy:
    ``cpu`` (vector lanes, threads) or ``gpu`` (blocks of ``block`` threads; ``threads`` then counts
    the multiprocessors, ``fork_ns`` is the cost of a launch and ``multiprocessor`` says what one of
    them is). Intermediate values that no cache has room for cost ``held_ns`` per byte, beyond
    moving them: what it takes to touch fresh memory. Where the blocks of a grid are run by an
    ordinary processor, ``processor`` is one of its threads: its vectors do what threads would do.
    """

    name: str
    threads: int
    vector_bytes: int
    registers: int
    levels: tuple[Level, ...]
    memory_bandwidth: float
    fork_ns: float = 700.0
    small_work: int = 16384
    kind: str = "cpu"
    block: int = 1
    memory: LineCost = LineCost()
    pages: tuple[Pages, ...] = ()
    core: Core = Core()
    barrier_ns: float = 170.0
    ownership_ns: float = 60.0
    dots: frozenset[str] = frozenset()
    units: tuple[MatrixUnit, ...] = ()
    held_ns: float = 0.0
    multiprocessor: Multiprocessor = Multiprocessor()
    processor: Machine | None = None

    @property
    def launch_ns(self) -> float:
        """Nanoseconds of starting a kernel: a call on a CPU."""
        return self.fork_ns if self.kind == "gpu" else 0.0

    def level_of(self, nbytes: int) -> Level | None:
        """The first level that holds ``nbytes`` with room to spare; None for main memory.

        What belongs to a multiprocessor of a GPU holds nothing from one kernel to the next.
        """
        for level in self.levels:
            if nbytes * 2 <= level.capacity and (level.shared or self.kind == "cpu"):
                return level
        return None

    def products(self, size: int) -> float:
        """Products of elements of ``size`` bytes, each added up, per nanosecond."""
        if self.kind == "gpu":
            return 4 * self.multiprocessor.lanes / max(4, size) * self.core.ghz * self.threads
        lanes = max(1, self.vector_bytes // size)
        return lanes * self.core.ghz * self.core.vectors * self.threads

    def unit_for(self, dot: str) -> MatrixUnit | None:
        """The matrix unit that computes the operation called ``dot`` (`weft.terms.dots`)."""
        return next((unit for unit in self.units if unit.dot == dot), None)

    def traffic_ns(self, nbytes: int) -> float:
        """Time to move ``nbytes`` through the level a buffer of that size lives in."""
        level = self.level_of(nbytes)
        return nbytes / (self.memory_bandwidth if level is None else level.bandwidth)


_L2_COST = LineCost((0.546, 0.560), (0.055, 0.186), (0.574, 0.658), latency=3.9)
_L3_COST = LineCost((0.688, 0.739), (0.082, 0.085), (0.800, 0.843), latency=15.0)
_MEMORY_COST = LineCost((2.14, 1.18), (0.61, 0.79), (8.59, 4.83), (1.23, 0.58), latency=150.0)

#: Processors whose last cache lies along a mesh between all cores, far from each of them: measured
#: on one with 2 MiB of L2.
_MESH = frozenset(
    (
        "skylake-avx512",
        "cascadelake",
        "cooperlake",
        "icelake-server",
        "sapphirerapids",
        "emeraldrapids",
        "graniterapids",
    )
)
#: Latencies are half of what lines in no order took there (132 and 139 ns), as lines come in pairs
#: and pages need not be looked up for each: a loss of a product whose operand's rows lie 64 KiB
#: apart took 47 to 69 ms in several runs, and was priced at 155 by those.
_MESH_L3_COST = LineCost((2.71, 4.49), (0.391, 0.763), (5.43, 5.48), latency=60.0)
_MESH_MEMORY_COST = LineCost((4.07, 2.31), (0.486, 0.486), (5.08, 3.60), (3.64, 2.08), latency=75.0)


#: Cores with units of 64 bytes; others split such registers into halves.
_WIDE_CORE = Core(vectors=2.0, store=1.0)
_HALVING = frozenset(("", "znver4"))
#: Intel's server cores: two units of 64 bytes do everything. What a virtual CPU is there is one of
#: two threads of a core, which share what is issued.
_MESH_CORE = Core(
    ghz=2.6,
    vectors=2.0,
    together=1.0,
    issue=3.0,
    store=1.0,
    misses=48.0,
    misses_per_set=48.0,
    streams=32.0,
)


def cpu_machine(
    threads: int,
    vector_bytes: int,
    caches: tuple[int, int, int],
    name: str = "",
    architecture: str = "x86_64",
    dots: frozenset[str] = frozenset(),
    units: tuple[MatrixUnit, ...] = (),
) -> Machine:
    """The built-in model of a CPU with these cache sizes (L1, L2 per core; L3 shared).

    ``name`` is the processor's, as LLVM calls it, like the ``architecture``; ``dots`` are the
    operations on words of narrow numbers that it has (`weft.terms.dots`), ``units`` its matrix
    units.
    """
    l1, l2, l3 = caches
    # A set of the first level is chosen by the bits below the page number: 64 sets of 64 bytes.
    first = max(1, l1 // 4096)
    mesh = name in _MESH
    last = Level("L3", l3, 95.0, 16, shared=True, indexed=False, ramp=(0.4, 4.0), cost=_L3_COST)
    if mesh:
        last = replace(last, bandwidth=23.6, cost=_MESH_L3_COST)
    levels = (
        Level("L1", l1, 200.0, ways=first),
        Level("L2", l2, 115.0, cost=_L2_COST),
        last,
    )
    registers = 32 if vector_bytes == 64 or architecture == "aarch64" else 16
    return Machine(
        "cpu",
        threads,
        vector_bytes,
        registers,
        levels,
        15.7 if mesh else 30.0,
        memory=_MESH_MEMORY_COST if mesh else _MEMORY_COST,
        core=_core(vector_bytes, name, architecture),
        pages=(Pages(72, 0.25), Pages(3072, 7.1)),
        dots=dots,
        units=units,
        held_ns=0.5,
    )


def _core(vector_bytes: int, name: str, architecture: str) -> Core:
    if architecture == "wasm32":
        # Engines load a number, move it to a vector register, and then to all of its lanes.
        return Core(broadcast=1.5)
    if name in _MESH:
        return _MESH_CORE
    return _WIDE_CORE if vector_bytes == 64 and name not in _HALVING else Core()


def measured(machine: Machine, figures: Figures) -> Machine:
    """``machine`` with the figures of this processor, where they were measured."""
    by_name = {x.name: x for x in figures.levels}
    memory = figures.levels[-1]
    return replace(
        machine,
        core=replace(machine.core, ghz=figures.ghz, vectors=figures.vectors),
        levels=tuple(
            replace(
                level,
                bandwidth=by_name[level.name].bandwidth,
                # What the first level serves is part of the cycles of a block.
                cost=_line_cost(by_name[level.name]) if n else level.cost,
            )
            if level.name in by_name
            else level
            for n, level in enumerate(machine.levels)
        ),
        memory=_line_cost(memory),
        memory_bandwidth=memory.bandwidth,
    )


def _line_cost(level: LevelFigures) -> LineCost:
    """A stream is never dearer than lines in no order."""
    scattered = (
        max(level.read[0], level.scattered[0]),
        max(level.read[1], level.scattered[1]),
    )
    return LineCost(level.read, level.write_back, scattered, level.streaming, level.latency)


def gpu_machine(
    name: str,
    multiprocessors: int,
    block: int,
    shared_bytes: int,
    bandwidth: float,
    l2_bytes: int = 4 << 20,
    ghz: float = 1.5,
    launch_ns: float = 4000.0,
    block_shared: int = 48 << 10,
) -> Machine:
    """A model of a GPU: the registers and the shared memory of a multiprocessor, and the L2 cache.

    ``bandwidth`` is that of its memory in bytes per nanosecond.
    """
    processor = Multiprocessor(block_shared=min(shared_bytes, block_shared))
    vectors = processor.lanes / 16
    cycle = ghz * multiprocessors
    levels = (
        Level("registers", 4 * processor.registers, 4 * processor.lanes * cycle),
        Level("shared", shared_bytes, 128 * cycle, line=processor.sector, indexed=False),
        Level(
            "L2",
            l2_bytes,
            processor.fill / 2 * cycle,
            16,
            processor.sector,
            shared=True,
            indexed=False,
            ramp=(0.5, 1.5),
        ),
    )
    # Units are those of 64 bytes: a load takes as long as four additions, whatever it brings.
    core = Core(
        ghz=ghz,
        vectors=vectors,
        issue=vectors,
        broadcast=block / processor.lanes,
        store=1.0 / vectors,
        scalar_store=block / processor.lanes,
        gather=2.0 / processor.warp,
        scatter=2.0 / processor.warp,
        divide=8.0,
        across=4.0,
        across_latency=200.0,
        load_latency=30.0,
    )
    return Machine(
        name,
        multiprocessors,
        4 * block,
        255,
        levels,
        bandwidth,
        launch_ns,
        kind="gpu",
        block=block,
        core=core,
        multiprocessor=processor,
    )


def h100() -> Machine:
    """The built-in model of an H100 with its own memory (SXM5), from NVIDIA's data sheet."""
    return gpu_machine("h100", 132, 128, 228 << 10, 3350.0, 50 << 20, 1.755, 4000.0, 227 << 10)
