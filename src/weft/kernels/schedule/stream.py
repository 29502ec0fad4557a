"""Stores past the caches."""

from __future__ import annotations

from dataclasses import replace

from weft.kernels.ir import Buffer, For, Kernel, Load, Stmt, Store, walk
from weft.kernels.schedule.errors import ScheduleError


def stream(kernel: Kernel, buffer: Buffer) -> Kernel:
    """Ask for non-temporal stores to a buffer that nobody reads while it could be in a cache::

        for i: store y[i] = x
        →
        for i: store y[i] = x   (streaming)

    Refuses buffers that the kernel reads.
    """
    if any(isinstance(s, Load) and s.buffer is buffer for s in walk(kernel.body)):
        raise ScheduleError(f"{buffer.name} is read again by the kernel: keep it in the caches")
    return kernel.evolve(body=_streamed(kernel.body, buffer))


def _streamed(body: list[Stmt], buffer: Buffer) -> list[Stmt]:
    out: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, For):
            out.append(replace(stmt, body=_streamed(stmt.body, buffer)))
        elif isinstance(stmt, Store) and stmt.buffer is buffer:
            out.append(replace(stmt, streaming=True))
        else:
            out.append(stmt)
    return out
