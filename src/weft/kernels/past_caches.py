"""Which outputs are stored past the caches.

A plain store reads its line first (half as much traffic again for a copy), writes it back later,
and leaves it in the last cache; a non-temporal one writes to memory at once, from where a reader
then has to fetch it. What no cache can hold goes past them anyway. What the last one can hold does
where that cache is so far from its cores, as along a mesh, that reading a line for its owner,
writing it back and reading it again cost more than memory does.
"""

from __future__ import annotations

from contextlib import suppress

from weft.kernels.ir import Kernel
from weft.kernels.machine import Machine
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.stream import stream

#: Times the caches of the cores' own: less than that leaves much of an output in them (measured).
OUTGROWN = 2


def store_past_caches(kernel: Kernel, machine: Machine) -> Kernel:
    """``kernel`` with streaming stores to the outputs that are better kept out of the caches.

    Kernels that only write get slower by that (measured), so those that read less than half as much
    keep their plain stores.
    """
    cache = machine.levels[-1].capacity if machine.levels else 0
    read = sum(b.size * b.dtype.itemsize for b in kernel.params if b.role == "input")
    for buffer in kernel.params:
        nbytes = buffer.size * buffer.dtype.itemsize
        if buffer.role != "output" or read < min(nbytes, cache) // 2:
            continue
        if nbytes >= cache or is_cheaper_past(nbytes, machine):
            with suppress(ScheduleError):  # read again by the kernel
                kernel = stream(kernel, buffer)
    return kernel


def is_cheaper_past(nbytes: int, machine: Machine) -> bool:
    """Whether so many bytes, stored and read once, cost less in memory than in the last cache."""
    *own, last = machine.levels
    if any(nbytes < OUTGROWN * x.capacity * machine.threads for x in own):
        return False
    busy = 1 if machine.threads > 1 else 0
    memory, cost = machine.memory, last.cost
    kept = cost.read[busy] + cost.write_back[busy] + cost.read[busy]
    return memory.streaming[busy] + memory.read[busy] < kept
