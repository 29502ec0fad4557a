"""The error of scheduling operations."""

from __future__ import annotations

from weft.kernels.ir import Kernel


class ScheduleError(ValueError):
    """A scheduling operation would change what the kernel computes, or does not apply; says why."""


def refused(kernel: Kernel, step: str, why: ScheduleError) -> Kernel:
    """``kernel`` with a note that ``step`` was given up; the printer shows it, ``stats`` counts."""
    known, note = kernel.notes.get("refused", ()), f"{step}: {why}"
    notes = known if note in known else (*known, note)
    return kernel.evolve(notes={**kernel.notes, "refused": notes})
