"""The machine model: what prices need to know of a device.

Bandwidths are bytes per nanosecond (GB/s) of one core, capacities bytes.  The built-in model is a
recent server core; `weft devices --measure` can replace it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    """One memory level: its capacity and the bandwidth of reading from it."""

    name: str
    capacity: int
    bandwidth: float


@dataclass(frozen=True)
class Machine:
    """A device as the planner sees it.

    ``small_work`` is the number of element operations below which parallelism does not pay;
    ``fork_ns`` the cost of starting and joining a parallel region.  ``kind`` chooses the scheduling
    strategy: ``cpu`` (vector lanes, threads) or ``gpu`` (blocks of ``block`` threads; ``threads``
    then counts the blocks that run at a time).
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

    def level_of(self, nbytes: int) -> Level | None:
        """The first level that holds ``nbytes`` with room to spare; None for main memory."""
        for level in self.levels:
            if nbytes * 2 <= level.capacity:
                return level
        return None

    def traffic_ns(self, nbytes: int) -> float:
        """Time to move ``nbytes`` through the level a buffer of that size lives in."""
        level = self.level_of(nbytes)
        return nbytes / (self.memory_bandwidth if level is None else level.bandwidth)


def cpu_machine(threads: int, vector_bytes: int, caches: tuple[int, int, int]) -> Machine:
    """The built-in model of a CPU with these cache sizes (L1, L2 per core; L3 shared)."""
    l1, l2, l3 = caches
    levels = (Level("L1", l1, 200.0), Level("L2", l2, 115.0), Level("L3", l3, 95.0))
    registers = 32 if vector_bytes == 64 else 16
    return Machine("cpu", threads, vector_bytes, registers, levels, 30.0)


def gpu_machine(
    name: str, multiprocessors: int, block: int, shared_bytes: int, bandwidth: float
) -> Machine:
    """A model of a GPU: registers of a block, its shared memory, and the L2 cache.

    ``bandwidth`` is that of its memory in bytes per nanosecond.
    """
    levels = (
        Level("registers", 1 << 18, 40.0 * bandwidth),
        Level("shared", shared_bytes, 8.0 * bandwidth),
        Level("L2", 1 << 22, 2.5 * bandwidth),
    )
    return Machine(
        name, multiprocessors, 4 * block, 255, levels, bandwidth, 4000.0, kind="gpu", block=block
    )
