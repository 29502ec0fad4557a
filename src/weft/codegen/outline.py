"""Parallel loops as functions of their own: what goes together, and what they need from outside."""

from __future__ import annotations

from dataclasses import field

from weft.codegen.llvm_text import Function, bit_width, element_and_lanes
from weft.kernels.ir import (
    Barrier,
    Buffer,
    For,
    Stmt,
    Store,
    Var,
    inputs_of,
    outputs_of,
    walk,
)
from weft.kernels.work import kernel_work
from weft.structs import struct

#: Elements of a block of a parallel loop: some microseconds, beside which claiming it is nothing.
BLOCK = 1 << 14

#: Parallel loops that may run at the same time, one region of the pool.
Region = tuple[For, ...]


def regions(body: list[Stmt]) -> list[Stmt | Region]:
    """``body`` with its parallel loops gathered into regions.

    Loops with no barrier between them are independent. They are one region if what stands between
    them only computes values: that moves in front, since it cannot see what the loops store.
    """
    out: list[Stmt | Region] = []
    together: list[For] = []

    def end() -> None:
        if together:
            out.append(tuple(together))
            together.clear()

    for stmt in body:
        if isinstance(stmt, For) and stmt.kind == "parallel":
            if stmt.trip:
                together.append(stmt)
        else:
            if isinstance(stmt, For | Store | Barrier):
                end()
            out.append(stmt)
    end()
    return out


def blocks_of(region: Region) -> int:
    """Into how many blocks a region is worth dividing, at most."""
    work = sum(loop.trip * kernel_work(loop.body) for loop in region)
    return max(1, min(work // BLOCK, max(loop.trip for loop in region)))


def free_variables(region: Region) -> list[Var]:
    """The tiles that a region reads and something before it defines, each once."""
    used: dict[Var, None] = {}
    defined: set[Var] = set()
    for stmt in walk(list(region)):
        used.update(dict.fromkeys(inputs_of(stmt)))
        defined.update(outputs_of(stmt))
        if isinstance(stmt, For):
            used.update(dict.fromkeys(c.update for c in stmt.carries))
            defined.update(c.var for c in stmt.carries)
    return [v for v in used if v not in defined]


def written_outside(body: list[Stmt]) -> tuple[Buffer, ...]:
    """Private scratch that the caller fills before regions, which may only read it."""
    inside: set[Buffer] = set()
    outside: dict[Buffer, None] = {}
    stack = [(s, False) for s in reversed(body)]
    while stack:
        stmt, parallel = stack.pop()
        if isinstance(stmt, For):
            within = parallel or stmt.kind == "parallel"
            stack.extend((s, within) for s in reversed(stmt.body))
        elif isinstance(stmt, Store) and stmt.buffer.role == "scratch":
            if stmt.buffer.level == "thread" and parallel:
                inside.add(stmt.buffer)
            elif stmt.buffer.level == "thread":
                outside[stmt.buffer] = None
    for buffer in outside:
        if buffer in inside:
            raise ValueError(
                f"private scratch {buffer.name} is written both inside and outside parallel loops; "
                "give the loops scratch of their own"
            )
    return tuple(outside)


@struct
class Environment:
    """Values that one function leaves in memory for another: where each lies."""

    values: list[tuple[str, str, int]] = field(default_factory=list)
    nbytes: int = 0

    def add(self, kind: str, value: str) -> None:
        """Hand over ``value``, of LLVM type ``kind``."""
        element, lanes = element_and_lanes(kind)
        size = -(-bit_width(element) * lanes // 8)
        alignment = 64 if lanes > 1 else 8
        at = -(-self.nbytes // alignment) * alignment
        self.values.append((kind, value, at))
        self.nbytes = at + size

    def store(self, f: Function, env: str) -> None:
        """Fill the memory at ``env``, in the function that has the values."""
        for kind, value, at in self.values:
            f.store(kind, value, f.gep("i8", env, at))

    def load(self, f: Function, env: str) -> dict[str, str]:
        """The values' names in the function that is given ``env``."""
        return {value: f.load(kind, f.gep("i8", env, at)) for kind, value, at in self.values}
