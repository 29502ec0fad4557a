"""Proofs that threads do not disturb each other.

Two facts are needed.  Inside one parallel loop, different iterations must touch different
elements of whatever the loop writes.  Between parallel loops (and the statements around them, which
every thread executes) there must be a barrier unless the accesses are to different elements.

A cheap test by intervals settles most cases: some dimension of both accesses (or their row-major
address) moves by ``c`` per unit of the loop's axis while everything else moves it by less than
``c·step``.  What it leaves open is stated as constraints that have no solution.

Thread-private scratch is exempt; read-only buffers have no conflicts.
"""

from __future__ import annotations

from collections.abc import Mapping

from weft.core.extents import surely_less
from weft.kernels.accesses import Access, accesses, is_shared, iteration
from weft.kernels.ir import Barrier, For, Kernel, Load, Stmt, Store, loops
from weft.kernels.ranges import is_empty
from weft.terms.affine import Affine, Axis, linearize, row_major
from weft.terms.constraints import Constraints, Linear

Conflict = tuple[Stmt, str]


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
    found = [a for a in found if a.buffer in written]
    for i, a in enumerate(found):
        for b in found[i:]:
            conflicting = (a.writes or b.writes) and a.buffer is b.buffer
            if conflicting and not apart(a, b, loop):
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


# -- the same element ------------------------------------------------------------------------------


def apart(a: Access, b: Access, loop: For) -> bool:
    """Whether different iterations of ``loop`` (around both) make ``a`` and ``b`` touch different
    elements, or no iterations can make them touch the same."""
    if a.never_runs() or b.never_runs() or loop.trip == 1 or _in_other_places(a, b):
        return True
    outer = {x.axis for x in a.loops[: a.loops.index(loop)]}
    pairs = zip(a.coordinates, b.coordinates, strict=True)
    if any(_moves_apart(x, y, a, b, loop, outer) for x, y in pairs):
        return True
    return _never_meet(a, b, loop) and (a is b or _never_meet(b, a, loop))


def disjoint(a: Access, b: Access) -> bool:
    """Whether the accesses touch different elements, whatever the iteration."""
    if a.never_runs() or b.never_runs() or _in_other_places(a, b):
        return True
    c = Constraints()
    x, y = a.happens(c), b.happens(c)
    for p, q in zip(a.index, b.index, strict=True):
        c.equal(x(p), y(q))
    return c.impossible()


def one_to_one(a: Access, tiles: set[Axis]) -> bool:
    """Whether different points of a tile over the axes ``tiles`` touch different elements."""
    address = linearize(a.index, row_major(a.buffer.shape))
    told = {
        t for i in (*a.index, address) for t in tiles if i.axes() & tiles == {t} and _tells(i, t)
    }
    c = Constraints()
    same = {loop.axis: iteration(c, loop)[0] for loop in a.loops}
    same.update((t, c.variable(*t.bounds)) for t in told)
    for t in sorted(tiles - told, key=lambda t: t.serial):
        # The first axis in which the two points differ; by symmetry the first point is less in it.
        if not _never_one(a, t, same, c.copy()):
            return False
        same[t] = c.variable(*t.bounds)
    return True


def _tells(index: Affine, axis: Axis) -> bool:
    """Whether the value of ``index`` determines that of ``axis``, given all other axes."""
    return index.is_affine_in(axis) and index.coefficient(axis) != 0


def _never_one(a: Access, t: Axis, same: Mapping[Axis, Linear], c: Constraints) -> bool:
    p, q = c.variable(*t.bounds), c.variable(*t.bounds)
    c.less(p, q)
    x, y = a.happens(c, {**same, t: p}), a.happens(c, {**same, t: q})
    for i in a.index:
        c.equal(x(i), y(i))
    return c.impossible()


def _in_other_places(a: Access, b: Access) -> bool:
    """Whether some dimension of the accesses, or their addresses, have intervals apart."""
    for p, q in zip(a.intervals, b.intervals, strict=True):
        if is_empty(p) or is_empty(q) or surely_less(p[1], q[0]) or surely_less(q[1], p[0]):
            return True
    return False


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
    lo_x, hi_x = (x - common).bounds(a.ranges)
    lo_y, hi_y = (y - common).bounds(b.ranges)
    reach = abs(c) * loop.step
    return all(surely_less(d, reach) and surely_less(-d, reach) for d in (hi_x - lo_y, hi_y - lo_x))


def _never_meet(a: Access, b: Access, loop: For) -> bool:
    """Whether ``a`` touches nothing that ``b`` touches in a later iteration of ``loop``."""
    c = Constraints()
    outer = {x.axis: iteration(c, x)[0] for x in a.loops[: a.loops.index(loop)]}
    now, n = iteration(c, loop)
    later, m = iteration(c, loop)
    c.less(n, m)
    x = a.happens(c, {**outer, loop.axis: now})
    y = b.happens(c, {**outer, loop.axis: later})
    for p, q in zip(a.index, b.index, strict=True):
        c.equal(x(p), y(q))
    return c.impossible()


# -- phases between barriers -----------------------------------------------------------------------


class _Phases:
    """What other threads may still be doing since the last barrier."""

    def __init__(self) -> None:
        self.parallel: list[Access] = []  # by one thread or another
        self.by_all: list[Access] = []  # by every thread
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
            self.by_all.clear()
        elif isinstance(stmt, For) and stmt.kind == "parallel":
            found = list(accesses(stmt.body, (*around, stmt)))
            for access in found:
                conflict = self.clash(access)
                if conflict is not None:
                    return conflict
            self.parallel.extend(found)
        elif isinstance(stmt, For):
            return self.serial(stmt, (*around, stmt))
        elif isinstance(stmt, Load | Store) and is_shared(stmt.buffer):
            access = Access(stmt, around)
            conflict = self.clash(access)
            self.by_all.append(access)
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

    def clash(self, access: Access) -> Conflict | None:
        """Whether another thread may still be at work on what ``access`` touches.

        What every thread writes may be read at once: the reader has written it itself.
        """
        for other in [*self.parallel, *(self.by_all if access.writes else ())]:
            if other.buffer is not access.buffer or not (access.writes or other.writes):
                continue
            if not self.independent(access, other):
                return access.stmt, (
                    f"another thread may still be at work on {access.buffer.name}: "
                    "a barrier is missing before this statement"
                )
        return None

    def independent(self, a: Access, b: Access) -> bool:
        if self.again:
            loop = self.again[-1]
            if loop in a.loops and loop in b.loops and apart(a, b, loop):
                return True
        return disjoint(a, b)
