"""Where temporaries lie in the arena: by their lives, first fit, largest first.

Two temporaries may share bytes if they are never alive at the same step.  Beyond that, an
elementwise launch may write its result over an input that dies there, and a copy may be from a
temporary to itself (`Copy` then does nothing).  Large temporaries start at different offsets
within a page, so that walking several of them at once does not fall into the same cache sets.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from weft.core.extents import Extent
from weft.kernels.in_place import Sharing
from weft.kernels.ir import Buffer, Kernel
from weft.kernels.liveness import Life, lives, swap_groups
from weft.kernels.program import (
    LINE,
    Copy,
    Launch,
    Program,
    Slot,
    elements_per_thread,
    placed_scratch,
    walk_steps,
)

#: Every temporary starts at a multiple of this many bytes (a cache line, and a vector).
ALIGNMENT = LINE
#: Temporaries of a page or more are staggered within it.
PAGE = 4096
#: Distance of their starts within a page: odd in cache lines, so that 64 of them all differ.
STAGGER = 9 * ALIGNMENT


def plan_memory(program: Program) -> Program:
    """Give every temporary an offset, every launch its placed scratch, and size the arena."""
    scratch = _bind_scratch(program)
    program.temporaries = (*program.temporaries, *scratch)
    for slot in program.temporaries:
        slot.offset = None
    alive = lives(program)
    if any(isinstance(slot.nbytes, Extent) for slot in program.temporaries):
        return _place_open(program, alive)
    arena = _Arena(len(program.temporaries))
    partners = _partners(program, alive)
    order = sorted(
        (s for s in program.temporaries if s in alive), key=lambda s: (-s.nbytes, alive[s])
    )
    for slot in order:
        arena.place(slot, alive[slot], partners.get(slot, []))
    for slot in program.temporaries:
        if slot not in alive:
            slot.offset = 0  # never touched
    program.arena_bytes = arena.size
    return program


def _place_open(program: Program, alive: dict[Slot, Life]) -> Program:
    """Places for temporaries whose sizes are left open: one takes over another's if equally large.

    Which of two is larger is not known, so there is no fitting into gaps.
    """
    places: list[tuple[Any, list[Slot]]] = []
    for slot in program.temporaries:
        for nbytes, tenants in places:
            if nbytes == slot.nbytes and not any(_meet(slot, t, alive) for t in tenants):
                tenants.append(slot)
                break
        else:
            places.append((slot.nbytes, [slot]))
    offset: Any = 0
    for nbytes, tenants in places:
        for slot in tenants:
            slot.offset = offset
        offset = offset + (nbytes + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    program.arena_bytes = offset
    return program


def _meet(a: Slot, b: Slot, alive: dict[Slot, Life]) -> bool:
    if a not in alive or b not in alive:
        return False
    return alive[a][0] <= alive[b][1] and alive[b][0] <= alive[a][1]


def _bind_scratch(program: Program) -> list[Slot]:
    """Temporaries for the scratch of every launch that does not lie on the stack."""
    made: list[Slot] = []
    for step in walk_steps(program.steps):
        if isinstance(step, Launch) and not step.scratch:
            step.scratch = tuple(
                Slot(f"{step.kernel.name}.{b.name}", _extents(b, program.threads), b.dtype)
                for b in placed_scratch(step.kernel)
            )
            made.extend(step.scratch)
    return made


def _extents(buffer: Buffer, threads: int) -> tuple[int, ...]:
    if buffer.level == "shared":
        return (buffer.extent,)
    return (threads, elements_per_thread(buffer))


# -- sharing at one step ---------------------------------------------------------------------------


def _partners(program: Program, alive: dict[Slot, Life]) -> dict[Slot, list[Slot]]:
    """For each temporary, those whose bytes it may take over exactly although their lives touch."""
    swapped = {s for group in swap_groups(program) for s in group}
    found: dict[Slot, list[Slot]] = {}
    sharing: dict[Kernel, Sharing] = {}
    shared: dict[tuple[Kernel, int, int], bool] = {}
    for step in walk_steps(program.steps):
        if isinstance(step, Copy):
            pairs = [(step.target, step.source)]
        elif isinstance(step, Launch):
            pairs = _launch_pairs(step, sharing, shared)
        else:
            continue
        for target, source in pairs:
            hands_over = (
                target in alive
                and source in alive
                and target is not source
                and target.nbytes == source.nbytes
                and not {target, source} & swapped
                and alive[source][1] == alive[target][0]
            )
            if hands_over:
                found.setdefault(target, []).append(source)
                found.setdefault(source, []).append(target)
    return found


def _launch_pairs(
    step: Launch, sharing: dict[Kernel, Sharing], shared: dict[tuple[Kernel, int, int], bool]
) -> list[tuple[Slot, Slot]]:
    kernel = step.kernel
    # What is bound to two parameters may be read through the other one, elsewhere.
    bound = Counter(step.slots)
    params = list(enumerate(zip(kernel.params, step.slots, strict=True)))
    temporary = [(n, b, slot) for n, (b, slot) in params if slot.role == "temporary"]
    sources: dict[int, list[tuple[int, Buffer, Slot]]] = {}
    for i, source, slot in temporary:
        if source.role == "input" and bound[slot] == 1:
            sources.setdefault(slot.nbytes, []).append((i, source, slot))
    pairs: list[tuple[Slot, Slot]] = []
    for o, output, target in temporary:
        for i, source, slot in sources.get(target.nbytes, ()) if output.role == "output" else ():
            key = (kernel, o, i)
            if key not in shared:
                if kernel not in sharing:
                    sharing[kernel] = Sharing(kernel)
                shared[key] = sharing[kernel].may_share(output, source)
            if shared[key]:
                pairs.append((target, slot))
    return pairs


# -- placing ---------------------------------------------------------------------------------------


class _Arena:
    """Placed temporaries by where they start, in arrays, so that neighbours are found fast.

    The columns of ``placed`` are first and last step, start, stop, and the position in ``slots``.
    """

    def __init__(self, capacity: int) -> None:
        self.slots: list[Slot] = []
        self.placed = np.zeros((5, capacity), np.int64)
        self.large = 0
        self.size = 0

    def place(self, slot: Slot, life: Life, partners: list[Slot]) -> None:
        """The lowest free offset; a partner's own if that is free but for the partner."""
        n = len(self.slots)
        size = _round_up(max(1, slot.nbytes), ALIGNMENT)
        placed = self.placed[:, :n]
        near = placed[2:, (placed[0] <= life[1]) & (placed[1] >= life[0])]
        offset = self._partner_offset(partners, near, size)
        if offset is None:
            phase = 0
            if slot.nbytes >= PAGE:
                phase = self.large * STAGGER % PAGE
                self.large += 1
            offset = _first_fit(near[0], near[1], size, phase)
        slot.offset = offset
        at = int(np.searchsorted(placed[2], offset, side="right"))
        self.placed[:, at + 1 : n + 1] = self.placed[:, at:n].copy()
        self.placed[:, at] = (*life, offset, offset + size, n)
        self.slots.append(slot)
        self.size = max(self.size, offset + size)

    def _partner_offset(self, partners: list[Slot], near: np.ndarray, size: int) -> int | None:
        for partner in partners:
            if partner.offset is None:
                continue
            clash = near[2, (near[0] < partner.offset + size) & (near[1] > partner.offset)]
            others = [self.slots[m] for m in clash]
            if all(other in partners and other.offset == partner.offset for other in others):
                return partner.offset
        return None


def _first_fit(starts: np.ndarray, stops: np.ndarray, size: int, phase: int) -> int:
    """The lowest offset for ``size`` bytes between what starts and stops there, in that order."""
    # Candidates: the beginning, and behind each and all before it.
    offsets = np.empty(len(starts) + 1, np.int64)
    offsets[0] = _aligned(0, phase)
    np.maximum.accumulate(_aligned(stops, phase), out=offsets[1:])
    np.maximum(offsets, offsets[0], out=offsets)
    fits = offsets[:-1] + size <= starts
    return int(offsets[fits.argmax() if fits.any() else -1])


def _aligned(offset: Any, phase: int) -> Any:
    """The next offset that is a multiple of the alignment (at ``phase`` in a page, if not zero)."""
    if phase == 0:
        return _round_up(offset, ALIGNMENT)
    return _round_up(np.maximum(0, offset - phase), PAGE) + phase


def _round_up(n: Any, to: int) -> Any:
    return -(-n // to) * to
