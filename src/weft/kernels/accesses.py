"""The accesses of a kernel: which statement, inside which loops, at which points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from weft.kernels.ir import Buffer, For, Guard, Load, Stmt, Store
from weft.kernels.ranges import access_interval, loop_range
from weft.structs import struct
from weft.terms.affine import Affine, Axis, Interval, linearize, row_major
from weft.terms.constraints import Constraints, Linear, Point


@struct(frozen=True, eq=False)
class Access:
    """One load or store and the loops around it, outermost first."""

    stmt: Load | Store
    loops: tuple[For, ...]

    @property
    def buffer(self) -> Buffer:
        return self.stmt.buffer

    @property
    def writes(self) -> bool:
        return isinstance(self.stmt, Store)

    @property
    def index(self) -> tuple[Affine, ...]:
        return self.stmt.index

    @cached_property
    def guards(self) -> tuple[Guard, ...]:
        """Its own guards, and those of the iterations of loops that take part."""
        return (*self.stmt.guards, *(g for loop in self.loops for g in loop.where))

    @cached_property
    def ranges(self) -> dict[Axis, Interval]:
        """Intervals of the enclosing loops' axes."""
        return {loop.axis: loop_range(loop) for loop in self.loops}

    @cached_property
    def coordinates(self) -> tuple[Affine, ...]:
        """The dimensions of the index, and its row-major address if that is another one."""
        if len(self.index) == 1:
            return self.index
        return (*self.index, linearize(self.index, row_major(self.buffer.shape)))

    @cached_property
    def intervals(self) -> tuple[Interval, ...]:
        """Where each of the coordinates lies."""
        return tuple(access_interval(x, self.guards, self.ranges) for x in self.coordinates)

    def never_runs(self) -> bool:
        """Whether an enclosing loop is empty."""
        return any(loop.trip == 0 for loop in self.loops)

    def happens(self, c: Constraints, known: Mapping[Axis, Linear] | None = None) -> Point:
        """Some point at which the access happens: loops in an iteration, all guards true.

        Axes of ``known`` are as given there.
        """
        axes = dict(known or {})
        for loop in self.loops:
            if loop.axis not in axes:
                axes[loop.axis] = iteration(c, loop)[0]
        at = c.point(axes)
        for guard in self.guards:
            c.within(at(guard.expr), guard.lo, guard.hi)
        return at


def accesses(
    body: list[Stmt], around: tuple[For, ...] = (), private: bool = False
) -> Iterator[Access]:
    """Every access of a body, in order; those to thread-private scratch only with ``private``."""
    for stmt in body:
        if isinstance(stmt, For):
            yield from accesses(stmt.body, (*around, stmt), private)
        elif isinstance(stmt, Load | Store) and (
            is_shared(stmt.buffer) or (private and stmt.buffer.role == "scratch")
        ):
            yield Access(stmt, around)


def is_shared(buffer: Buffer) -> bool:
    """Whether all threads see the same memory (and someone may write it)."""
    if buffer.role == "scratch":
        return buffer.level == "shared"
    return buffer.role != "input"


def iteration(c: Constraints, loop: For) -> tuple[Linear, Linear]:
    """The axis of ``loop`` in some iteration, and the number of that iteration."""
    number = c.variable(0, loop.trip - 1)
    return c.number(loop.lo).plus(number, loop.step), number
