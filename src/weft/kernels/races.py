"""Proofs that threads do not disturb each other.

Two facts are needed.  Inside one parallel loop, different iterations must touch different
elements of whatever the loop writes: proven when some dimension of both accesses (or their
row-major address) moves by ``c`` per unit of the loop's axis while everything else moves it by
less than ``c·step``.  Between parallel loops (and the statements around them, which every thread
executes) there must be a barrier unless the accesses are to disjoint ranges.  For one access alone
it is also enough that the strides of its address are those of a mixed radix, each beyond what all
smaller ones add up to.

Thread-private scratch is exempt; read-only buffers have no conflicts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from weft.core.extents import surely_less
from weft.kernels.ir import Barrier, Buffer, For, Guard, Kernel, Load, Stmt, Store, loops
from weft.kernels.ranges import access_interval, is_empty, loop_range
from weft.terms.affine import Affine, Axis, Interval, linearize, row_major

Conflict = tuple[Stmt, str]


@dataclass(frozen=True, eq=False)
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

    @property
    def guards(self) -> tuple[Guard, ...]:
        return self.stmt.guards

    def ranges(self) -> dict[Axis, Interval]:
        """Intervals of the enclosing loops' axes."""
        return {loop.axis: loop_range(loop) for loop in self.loops}

    def never_runs(self) -> bool:
        """Whether an enclosing loop is empty."""
        return any(loop.trip == 0 for loop in self.loops)


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


def check_races(kernel: Kernel) -> Conflict | None:
    """The first conflict between threads: the statement and the reason, or None."""
    if not any(loop.kind == "parallel" for loop in loops(kernel.body)):
        return None
    return _iterations(kernel.body, ()) or _Phases().body(kernel.body, ())


def dependence(loop: For, around: tuple[For, ...] = (), private: bool = False) -> Conflict | None:
    """Accesses through memory that may tie iterations of ``loop`` together: one, and the reason.

    Thread-private scratch counts only with ``private``: threads have copies, iterations have not.
    """
    found = list(accesses(loop.body, (*around, loop), private))
    written = {a.buffer for a in found if a.writes}
    for i, a in enumerate(found):
        for b in found[i:]:
            conflicting = (a.writes or b.writes) and a.buffer is b.buffer
            if conflicting and a.buffer in written and not apart(a, b, loop):
                other = "itself" if a is b else f"another access to {b.buffer.name}"
                return a.stmt, (
                    f"iterations of {loop.axis} may touch the same element of {a.buffer.name} "
                    f"(this access and {other})"
                )
    return None


def _iterations(body: list[Stmt], around: tuple[For, ...]) -> Conflict | None:
    for stmt in body:
        if not isinstance(stmt, For):
            continue
        if stmt.kind == "parallel":
            conflict = dependence(stmt, around)
            if conflict is not None:
                return conflict[0], conflict[1] + ", but they run in parallel"
        conflict = _iterations(stmt.body, (*around, stmt))
        if conflict is not None:
            return conflict
    return None


def apart(a: Access, b: Access, loop: For) -> bool:
    """Whether different iterations of ``loop`` (around both) make ``a`` and ``b`` touch different
    elements, or no iterations can make them touch the same."""
    if a.never_runs() or b.never_runs() or disjoint(a, b):
        return True
    outer = {x.axis for x in a.loops[: a.loops.index(loop)]}
    strides = row_major(a.buffer.shape)
    pairs = [*zip(a.index, b.index, strict=True)]
    pairs.append((linearize(a.index, strides), linearize(b.index, strides)))
    if any(_moves_apart(x, y, a, b, loop, outer) for x, y in pairs):
        return True
    x, y = pairs[-1]
    return a.loops == b.loops and x == y and _is_mixed_radix(x, a, loop.axis, outer)


def _is_mixed_radix(address: Affine, a: Access, axis: Axis, outer: set[Axis]) -> bool:
    """Whether different values of ``axis`` give different addresses, the outer loops the same.

    Where the axes of two iterations differ, the one of the largest stride that does moves the
    address by more than the others can make up for.
    """
    steps = {x.axis: x.step for x in a.loops}
    ranges = a.ranges()
    strides: list[tuple[int, int, Axis]] = []
    for atom, k in address.terms:
        if not isinstance(atom, Axis):
            return False
        if atom not in outer:
            lo, hi = ranges.get(atom, atom.bounds)
            strides.append((abs(k) * steps.get(atom, 1), abs(k) * (hi - lo), atom))
    strides.sort(key=lambda s: s[0])
    reach, found = 0, False
    for stride, span, atom in strides:
        found = found or atom is axis
        if found and stride <= reach:
            return False
        reach += span
    return found


def _moves_apart(x: Affine, y: Affine, a: Access, b: Access, loop: For, outer: set[Axis]) -> bool:
    axis = loop.axis
    if not (x.is_affine_in(axis) and y.is_affine_in(axis)):
        return False
    c = x.coefficient(axis)
    if c == 0 or c != y.coefficient(axis):
        return False
    common = Affine(((axis, c),))
    for o in outer:
        if x.coefficient(o) == y.coefficient(o):
            common = common + Affine(((o, x.coefficient(o)),))
    lo_x, hi_x = (x - common).bounds(a.ranges())
    lo_y, hi_y = (y - common).bounds(b.ranges())
    reach = abs(c) * loop.step
    return all(surely_less(d, reach) and surely_less(-d, reach) for d in (hi_x - lo_y, hi_y - lo_x))


def disjoint(a: Access, b: Access) -> bool:
    """Whether the accesses lie in different ranges of some dimension or of their addresses,
    whatever
    the iteration."""
    if a.never_runs() or b.never_runs():
        return True
    strides = row_major(a.buffer.shape)
    pairs = [*zip(a.index, b.index, strict=True)]
    pairs.append((linearize(a.index, strides), linearize(b.index, strides)))
    for x, y in pairs:
        p = access_interval(x, a.guards, a.ranges())
        q = access_interval(y, b.guards, b.ranges())
        if is_empty(p) or is_empty(q) or surely_less(p[1], q[0]) or surely_less(q[1], p[0]):
            return True
    return False


class _Phases:
    """What other threads may still be doing since the last barrier."""

    def __init__(self) -> None:
        self.parallel: list[Access] = []
        self.read_by_all: list[Access] = []
        self.again: list[For] = []

    def body(self, body: list[Stmt], around: tuple[For, ...]) -> Conflict | None:
        for stmt in body:
            conflict = self.statement(stmt, around)
            if conflict is not None:
                return conflict
        return None

    def statement(self, stmt: Stmt, around: tuple[For, ...]) -> Conflict | None:
        if isinstance(stmt, Barrier):
            self.parallel.clear()
            self.read_by_all.clear()
        elif isinstance(stmt, For) and stmt.kind == "parallel":
            found = list(accesses(stmt.body, (*around, stmt)))
            conflict = next(filter(None, (self.clash(a, self.parallel) for a in found)), None)
            self.parallel.extend(found)
            return conflict
        elif isinstance(stmt, For):
            return self.serial(stmt, (*around, stmt))
        elif isinstance(stmt, Load | Store) and is_shared(stmt.buffer):
            access = Access(stmt, around)
            conflict = self.clash(access, self.parallel)
            if conflict is None and access.writes:
                conflict = self.clash(access, self.read_by_all)
            if not access.writes:
                self.read_by_all.append(access)
            return conflict
        return None

    def serial(self, loop: For, inside: tuple[For, ...]) -> Conflict | None:
        """The body twice: the second pass meets what the previous iteration left."""
        conflict = self.body(loop.body, inside)
        if conflict is not None or loop.trip <= 1:
            return conflict
        self.again.append(loop)
        conflict = self.body(loop.body, inside)
        self.again.pop()
        return conflict

    def independent(self, a: Access, b: Access) -> bool:
        if disjoint(a, b):
            return True
        if not self.again:
            return False
        loop = self.again[-1]
        return loop in a.loops and loop in b.loops and apart(a, b, loop)

    def clash(self, access: Access, earlier: list[Access]) -> Conflict | None:
        for other in earlier:
            if other.buffer is not access.buffer or not (access.writes or other.writes):
                continue
            if not self.independent(access, other):
                return access.stmt, (
                    f"another thread may still be at work on {access.buffer.name}: "
                    "a barrier is missing before this statement"
                )
        return None
