"""What the threads of one warp ask of memory together, where their addresses divide by the lane.

Threads in rows and columns are told apart by a division: element ``(t // 16, t % 16)``.  Their
addresses are listed, with everything else at zero, and counted: sectors of global memory, and how
often the threads of a warp meet in a bank of shared memory.
"""

from __future__ import annotations

from collections import Counter

from weft.kernels.ir import Load, Store
from weft.terms.affine import Affine, Axis, FloorDiv, linearize

#: Banks of shared memory, each of which serves one word of 4 bytes at a time.
BANKS = 32
WORD = 4


def is_divided(access: Load | Store, lane: Axis) -> bool:
    """Whether threads along ``lane`` are told apart by divisions of it, and by nothing unknown."""
    atoms = [a for i in access.index for a, _ in i.terms if lane in Affine(((a, 1),)).axes()]
    unknown = any(i.dynamics() for i in access.index)
    return not unknown and any(isinstance(a, FloorDiv) for a in atoms)


def offsets(access: Load | Store, lane: Axis, warp: int) -> list[int]:
    """The elements that the threads of the first warp access, counted from the buffer's start."""
    linear = linearize(access.index, access.buffer.element_strides)
    others = {a: Affine() for a in linear.axes() if a is not lane}
    along = linear.substitute(others)
    threads = range(min(warp, lane.extent))
    return [along.substitute({lane: Affine((), t)}).const for t in threads]


def sectors(access: Load | Store, lane: Axis, warp: int, sector: int) -> tuple[float, int]:
    """Sectors of ``sector`` bytes that a warp needs at least, and those that it touches."""
    size = access.buffer.dtype.itemsize
    found = set(offsets(access, lane, warp))
    touched = {x * size // sector for x in found}
    return max(1.0, len(found) * size / sector), len(touched)


def turns(access: Load | Store, lane: Axis, warp: int) -> int:
    """How many times the banks of shared memory serve a warp: words in the busiest one."""
    size = access.buffer.dtype.itemsize
    words = {x * size // WORD for x in offsets(access, lane, warp)}
    return max(Counter(w % BANKS for w in words).values()) * max(1, size // WORD)
