"""Where temporaries lie in the arena."""

from __future__ import annotations

from weft.kernels.program import Program

ALIGNMENT = 64


def plan_memory(program: Program) -> Program:
    """Give every temporary an offset in the arena, one after another."""
    offset = 0
    for slot in program.temporaries:
        slot.offset = offset
        offset += -(-max(1, slot.nbytes) // ALIGNMENT) * ALIGNMENT
    program.arena_bytes = offset
    return program
