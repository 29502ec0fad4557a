"""The checker of programs: slots, launches, control flow, and the memory plan if there is one."""

from __future__ import annotations

from math import prod

import numpy as np

from weft.core import dtypes
from weft.core.deep import deep
from weft.kernels.check import check_kernel
from weft.kernels.in_place import may_share
from weft.kernels.ir import Buffer, Kernel
from weft.kernels.liveness import lives
from weft.kernels.memory_plan import ALIGNMENT
from weft.kernels.program import (
    Copy,
    For,
    If,
    Launch,
    Program,
    Routine,
    Slot,
    Step,
    Swap,
    While,
    reads_of,
    walk_steps,
    writes_of,
)
from weft.kernels.program_print import print_step

_I32 = np.dtype(np.int32)
_BOOL = np.dtype(np.bool_)


class ProgramError(ValueError):
    """A program is not well formed; the message shows the step."""


def check_program(program: Program, kernels: bool = True) -> None:
    """Raises `ProgramError` (or a kernel's `KernelError`) naming the first thing that is wrong.

    Checks that every slot belongs to the program and fits its use, that nothing is read before it
    is written nor written if it must not be, and that no two temporaries alive together share
    memory. With ``kernels`` every kernel is checked as well.
    """
    roles = _slots(program)
    written = {s for s, role in roles.items() if role in ("input", "constant")}
    _block(program.steps, roles, written)
    for slot in program.outputs:
        if slot not in written:
            raise ProgramError(f"output {slot} is never written")
    if kernels:
        seen: set[Kernel] = set()
        for step in walk_steps(program.steps):
            if isinstance(step, Launch) and step.kernel not in seen:
                seen.add(step.kernel)
                check_kernel(step.kernel)
    if all(s.offset is not None for s in program.temporaries):
        _check_plan(program)


def _slots(program: Program) -> dict[Slot, str]:
    roles: dict[Slot, str] = {}
    groups = (
        ("input", program.inputs),
        ("constant", program.constants),
        ("temporary", program.temporaries),
    )
    for role, slots in groups:
        for slot in slots:
            if slot.role != role:
                raise ProgramError(f"slot {slot} has role {slot.role!r} among the {role}s")
            if slot in roles:
                raise ProgramError(f"slot {slot} is listed twice")
            roles[slot] = role
    for slot in program.outputs:
        roles.setdefault(slot, "output")
    return roles


def fail(step: Step, why: str) -> None:
    """Raises a `ProgramError` about ``step``."""
    raise ProgramError(f"{why}\n  at: {print_step(step)}")


@deep
def _block(steps: list[Step], roles: dict[Slot, str], written: set[Slot]) -> None:
    """Check steps in order; ``written`` grows by what they certainly write."""
    for step in steps:
        if isinstance(step, Launch) and len(step.kernel.params) != len(step.slots):
            raise ProgramError(
                f"launch of {step.kernel.name} with {len(step.slots)} slots; "
                f"it takes {len(step.kernel.params)}"
            )
        for slot in (*reads_of(step), *writes_of(step)):
            if slot not in roles:
                fail(step, f"slot {slot} does not belong to the program")
        if not isinstance(step, While):
            _check_read(step, written)
        for slot in writes_of(step):
            if roles[slot] in ("input", "constant"):
                fail(step, f"{roles[slot]} {slot} is written")
        _fits(step, roles)
        written.update(writes_of(step))
        if isinstance(step, For):
            inside = set(written)
            _block(step.body, roles, inside)
            if step.length > 0:
                written |= inside
        elif isinstance(step, While):
            _block(step.condition, roles, written)
            _check_read(step, written)
            _block(step.body, roles, set(written))
        elif isinstance(step, If):
            ends = [set(written) for _ in step.branches]
            for block, end in zip(step.branches, ends, strict=True):
                _block(block, roles, end)
            written |= set.intersection(*ends)


def _check_read(step: Step, written: set[Slot]) -> None:
    for slot in reads_of(step):
        # A swap may hand over memory that is only written later.
        if slot not in written and not isinstance(step, Swap):
            fail(step, f"{slot} is read before it is written")


def _fits(step: Step, roles: dict[Slot, str]) -> None:
    if isinstance(step, Launch):
        _launch(step)
    elif isinstance(step, Copy):
        _same(step, step.target, step.source)
    elif isinstance(step, Swap):
        _same(step, step.a, step.b)
        for slot in (step.a, step.b):
            if roles[slot] != "temporary":
                fail(step, f"{slot} is swapped but is no temporary")
    elif isinstance(step, For):
        _scalar(step, step.counter, _I32)
        if step.length < 0:
            fail(step, f"a loop of {step.length} iterations")
    elif isinstance(step, While):
        _scalar(step, step.predicate, _BOOL)
    elif isinstance(step, If):
        _scalar(step, step.index, _I32)
        if not step.branches:
            fail(step, "a choice without branches")
    elif not isinstance(step, Routine):
        raise ProgramError(f"unknown step {type(step).__name__}")


def _launch(step: Launch) -> None:
    params = step.kernel.params
    for buffer, slot in zip(params, step.slots, strict=True):
        # A kernel may address an array by one index.
        if buffer.shape not in (slot.shape, (prod(slot.shape),)) or buffer.dtype != slot.dtype:
            fail(step, f"parameter {_typed(buffer)} bound to {_typed(slot)}")
    changed = [s for b, s in zip(params, step.slots, strict=True) if b.role != "input"]
    for slot in changed:
        if step.slots.count(slot) > 1:
            fail(step, f"{slot} is written and bound to another parameter as well")


def _typed(place: Buffer | Slot) -> str:
    return f"{place.name}: {dtypes.short_name(place.dtype)}{list(place.shape)}"


def _same(step: Step, a: Slot, b: Slot) -> None:
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        fail(step, f"{_typed(a)} and {_typed(b)} differ")


def _scalar(step: Step, slot: Slot, dtype: np.dtype) -> None:
    if slot.shape != () or slot.dtype != dtype:
        fail(step, f"{_typed(slot)} is not a scalar {dtypes.short_name(dtype)}")


# -- the memory plan -------------------------------------------------------------------------------


def _check_plan(program: Program) -> None:
    alive = lives(program)
    placed = sorted(alive, key=lambda s: s.offset or 0)
    for slot in placed:
        assert slot.offset is not None
        if slot.offset % ALIGNMENT or slot.offset + slot.nbytes > program.arena_bytes:
            raise ProgramError(
                f"temporary {slot} ({slot.nbytes} bytes) at {slot.offset} is misaligned or leaves "
                f"the arena of {program.arena_bytes} bytes"
            )
    handed = _handed_over(program)
    for n, a in enumerate(placed):
        assert a.offset is not None
        for b in placed[n + 1 :]:
            assert b.offset is not None
            if b.offset >= a.offset + a.nbytes:
                break
            together = alive[a][0] <= alive[b][1] and alive[b][0] <= alive[a][1]
            touching = alive[a][1] == alive[b][0] or alive[b][1] == alive[a][0]
            exact = touching and a.offset == b.offset and frozenset((a, b)) in handed
            if together and b.nbytes and not exact:
                raise ProgramError(f"temporaries {a} and {b} share memory while both are alive")


def _handed_over(program: Program) -> set[frozenset[Slot]]:
    """Pairs of temporaries of which one may take over the other's bytes at a single step."""
    pairs: set[frozenset[Slot]] = set()
    for step in walk_steps(program.steps):
        if isinstance(step, Copy):
            pairs.add(frozenset((step.target, step.source)))
        elif isinstance(step, Launch):
            bound = list(zip(step.kernel.params, step.slots, strict=True))
            for output, target in bound:
                for source, slot in bound:
                    close = target.offset == slot.offset and target is not slot
                    if close and may_share(step.kernel, output, source):
                        pairs.add(frozenset((target, slot)))
    return pairs
