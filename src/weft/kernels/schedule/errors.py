"""The error of scheduling operations."""

from __future__ import annotations


class ScheduleError(ValueError):
    """A scheduling operation would change what the kernel computes, or does not apply; says why."""
