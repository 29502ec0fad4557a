"""Where the threads of a block must wait for each other.

A kernel is written as if one thread ran the whole body of a parallel loop. On a GPU a block of
threads does, one lane each, so what one of them stores another may load (or store over) a statement
later. Between two such accesses there has to be a barrier, except where they are to different
ranges, or where every thread only ever touches elements of its own: the lane moves the index by
``c`` and everything else moves it by less than ``c``, or by multiples of more than a whole block of
lanes.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd

from weft.kernels.ir import Barrier, Buffer, Fold, For, Kernel, Load, Stmt, Store
from weft.kernels.ranges import loop_range
from weft.structs import struct
from weft.terms.affine import Affine, Axis, FloorDiv, Interval, linearize

#: Statement → the memory (``shared``, ``global``) that a barrier before it has to make visible.
SyncPoints = dict[int, frozenset[str]]


@struct(frozen=True, eq=False)
class _Access:
    stmt: Load | Store
    ranges: Mapping[Axis, Interval]
    steps: Mapping[Axis, int]

    @property
    def buffer(self) -> Buffer:
        return self.stmt.buffer

    @property
    def writes(self) -> bool:
        return isinstance(self.stmt, Store)


def space_of(buffer: Buffer) -> str:
    """Where a block sees ``buffer``: its own ``shared`` memory, or ``global`` memory."""
    return "shared" if buffer.role == "scratch" and buffer.level == "thread" else "global"


def sync_points(kernel: Kernel, private: frozenset[Buffer] = frozenset()) -> SyncPoints:
    """Statements (by ``id``) that need a block barrier before them.

    ``private`` buffers have one copy per thread and need none. No barrier is needed where a fold
    over lanes already has one for the same memory.
    """
    finder = _Finder(kernel, private)
    finder.body(kernel.body)
    return finder.points


class _Finder:
    def __init__(self, kernel: Kernel, private: frozenset[Buffer]) -> None:
        self.lanes = kernel.lanes
        self.private = private
        self.points: SyncPoints = {}
        self.pending: list[_Access] = []
        self.ranges: dict[Axis, Interval] = {}
        self.steps: dict[Axis, int] = {}

    def body(self, body: list[Stmt]) -> None:
        for stmt in body:
            if isinstance(stmt, For):
                self.loop(stmt)
            elif isinstance(stmt, Barrier):
                self.pending.clear()
            elif isinstance(stmt, Fold):
                if not self.lanes.isdisjoint(stmt.over):
                    self.pending = [a for a in self.pending if space_of(a.buffer) != "shared"]
            elif isinstance(stmt, Load | Store):
                self.access(stmt)

    def loop(self, loop: For) -> None:
        """The body twice: the second time it meets what the iteration before has left."""
        if not loop.trip:
            return
        before = list(self.pending)
        self.ranges[loop.axis] = loop_range(loop)
        self.steps[loop.axis] = loop.step
        self.body(loop.body)
        self.body(loop.body)
        if loop.kind == "parallel":  # a block beyond the end of the grid skips the loop
            self.pending += [a for a in before if a not in self.pending]

    def access(self, stmt: Load | Store) -> None:
        if stmt.buffer.role == "input" or stmt.buffer in self.private:
            return
        new = _Access(stmt, dict(self.ranges), dict(self.steps))
        marked = id(stmt) in self.points
        if marked or any(self.conflict(old, new) for old in self.pending):
            spaces = frozenset(space_of(a.buffer) for a in self.pending)
            self.points[id(stmt)] = self.points.get(id(stmt), frozenset()) | spaces
            self.pending.clear()
        self.pending.append(new)

    def conflict(self, old: _Access, new: _Access) -> bool:
        if old.buffer is not new.buffer or not (old.writes or new.writes):
            return False
        if old.writes and new.writes and not (self.lanes_of(old) or self.lanes_of(new)):
            return False  # what is the same in every thread is stored by the first
        strides = old.buffer.element_strides
        pairs = list(zip(old.stmt.index, new.stmt.index, strict=True))
        pairs.append((linearize(old.stmt.index, strides), linearize(new.stmt.index, strides)))
        return not any(_apart(x, y, old, new) or self.own(x, y, old, new) for x, y in pairs)

    def lanes_of(self, access: _Access) -> frozenset[Axis]:
        return self.lanes & {a for i in access.stmt.index for a in i.axes()}

    def own(self, x: Affine, y: Affine, old: _Access, new: _Access) -> bool:
        """Whether index ``x`` in one thread never meets index ``y`` in another."""
        c, p = self.lane_part(x)
        d, q = self.lane_part(y)
        if c is None or d is None or c.extent == 0 or d.extent == 0:
            return False
        k = x.coefficient(c)
        if k != y.coefficient(d):
            return False
        a, b = p.bounds(old.ranges), q.bounds(new.ranges)
        if max(a[1] - b[0], b[1] - a[0]) < abs(k):
            return True
        first, second = _residue(p, old), _residue(q, new)
        if first is None or second is None:
            return False
        modulus = gcd(first[1], second[1])
        same = (first[0] - second[0]) % modulus == 0 if modulus else first[0] == second[0]
        return same and (modulus == 0 or modulus >= abs(k) * max(c.extent, d.extent))

    def lane_part(self, expr: Affine) -> tuple[Axis | None, Affine]:
        """The lane axis of an index, if it is linear in one, and the rest."""
        found = [a for a in expr.axes() if a in self.lanes]
        if len(found) != 1 or not expr.is_affine_in(found[0]):
            return None, expr
        return found[0], expr - found[0].expr * expr.coefficient(found[0])


def _apart(x: Affine, y: Affine, old: _Access, new: _Access) -> bool:
    """Whether the two indices lie in different ranges."""
    a, b = x.bounds(old.ranges), y.bounds(new.ranges)
    return a[1] < b[0] or b[1] < a[0]


def _residue(rest: Affine, access: _Access) -> tuple[int, int] | None:
    """``(r, m)`` with every value of ``rest`` equal to ``r`` modulo ``m``; m = 0 for a constant."""
    residue, modulus = rest.const, 0
    for atom, k in rest.terms:
        if isinstance(atom, Axis):
            lo = access.ranges.get(atom, (0, 0))[0]
            residue += k * lo
            modulus = gcd(modulus, k * access.steps.get(atom, 1))
        elif isinstance(atom, FloorDiv):
            modulus = gcd(modulus, k)
        else:
            return None
    return residue, modulus
