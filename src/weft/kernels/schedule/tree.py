"""Finding, replacing and copying parts of a kernel's statement tree.

Statements are never changed: a transformation builds new ones along the path to what it replaces
and shares the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace

from weft.kernels.ir import (
    Barrier,
    Buffer,
    Carry,
    Const,
    Fold,
    For,
    Guard,
    Iota,
    Kernel,
    Load,
    Map,
    Stmt,
    Store,
    Var,
    inputs_of,
    loops,
    outputs_of,
    walk,
)
from weft.kernels.schedule.errors import ScheduleError
from weft.structs import struct
from weft.terms.affine import Affine, Axis


def find_loop(kernel: Kernel, axis: Axis) -> For:
    """The loop over ``axis``; `ScheduleError` when there is none."""
    return path_to(kernel, axis)[-1]


def has_loop(kernel: Kernel, axis: Axis) -> bool:
    """Whether the kernel (still) has a loop over ``axis``."""
    return any(loop.axis is axis for loop in loops(kernel.body))


def path_to(kernel: Kernel, axis: Axis) -> list[For]:
    """The loops from the outermost to the one over ``axis``, inclusive."""
    stack: list[tuple[For, tuple[For, ...]]] = [(s, ()) for s in kernel.body if isinstance(s, For)]
    while stack:
        loop, around = stack.pop()
        if loop.axis is axis:
            return [*around, loop]
        stack.extend((s, (*around, loop)) for s in loop.body if isinstance(s, For))
    names = ", ".join(str(x.axis) for x in loops(kernel.body)) or "none"
    raise ScheduleError(
        f"kernel {kernel.name} has no loop over axis {axis}; its loops are over {names}"
    )


def replace_loop(kernel: Kernel, axis: Axis, make: Callable[[For], Sequence[Stmt]]) -> Kernel:
    """The kernel with the loop over ``axis`` replaced by the statements ``make(loop)``."""
    path = path_to(kernel, axis)
    target = path[-1]
    new: list[Stmt] = list(make(target))
    for parent in reversed(path[:-1]):
        new = [replace(parent, body=_spliced(parent.body, target, new))]
        target = parent
    return kernel.evolve(body=_spliced(kernel.body, target, new))


def _spliced(body: list[Stmt], old: Stmt, new: list[Stmt]) -> list[Stmt]:
    return [n for s in body for n in (new if s is old else (s,))]


@struct
class Renaming:
    """What a copy puts in place of free axes and variables.

    With ``fresh`` every loop of the copy gets a new axis and every definition a new variable, so
    that the copy may stand beside the original.
    """

    axes: dict[Axis, Affine] = field(default_factory=dict)
    vars: dict[Var, Var] = field(default_factory=dict)
    buffers: dict[Buffer, Buffer] = field(default_factory=dict)
    fresh: bool = False

    def var(self, var: Var) -> Var:
        return self.vars.get(var, var)

    def define(self, var: Var) -> Var:
        if self.fresh:
            self.vars[var] = Var(var.dtype, var.axes, var.name)
        return self.var(var)

    def index(self, expr: Affine) -> Affine:
        return expr.substitute(self.axes, self.var)

    def indices(self, index: Iterable[Affine]) -> tuple[Affine, ...]:
        return tuple(self.index(i) for i in index)

    def guards(self, guards: Iterable[Guard]) -> tuple[Guard, ...]:
        return tuple(Guard(self.index(g.expr), g.lo, g.hi) for g in guards)

    def buffer(self, buffer: Buffer) -> Buffer:
        return self.buffers.get(buffer, buffer)

    def body(self, body: Iterable[Stmt]) -> list[Stmt]:
        """A copy of the statements under this renaming."""
        return [self.statement(s) for s in body]

    def statement(self, s: Stmt) -> Stmt:
        """A copy of one statement under this renaming."""
        if isinstance(s, Const):
            return replace(s, out=self.define(s.out))
        if isinstance(s, Iota):
            expr = self.index(s.expr)
            return Iota(self.define(s.out), expr)
        if isinstance(s, Load):
            index, guards = self.indices(s.index), self.guards(s.guards)
            return Load(self.define(s.out), self.buffer(s.buffer), index, guards, s.streaming)
        if isinstance(s, Store):
            return replace(
                s,
                buffer=self.buffer(s.buffer),
                index=self.indices(s.index),
                value=self.var(s.value),
                guards=self.guards(s.guards),
                predicate=None if s.predicate is None else self.var(s.predicate),
            )
        if isinstance(s, Map):
            args = tuple(self.var(a) for a in s.args)
            return Map(self.define(s.out), s.op, args)
        if isinstance(s, Fold):
            args = tuple(self.var(a) for a in s.args)
            return Fold(tuple(self.define(o) for o in s.outs), s.monoid, s.over, args)
        if isinstance(s, For):
            return self.loop(s)
        assert isinstance(s, Barrier)
        return Barrier()

    def loop(self, s: For) -> For:
        inits = [self.var(c.init) for c in s.carries]
        axis = s.axis
        if self.fresh:
            axis = Axis(s.axis.name, s.axis.extent)
            self.axes[s.axis] = Affine.of(axis)
        entries = [self.define(c.var) for c in s.carries]
        body = self.body(s.body)
        updates = [self.var(c.update) for c in s.carries]
        results = [self.define(c.result) for c in s.carries]
        carries = tuple(
            Carry(*parts) for parts in zip(entries, inits, updates, results, strict=True)
        )
        where, unless = self.guards(s.where), self.guards(s.unless)
        return replace(s, axis=axis, body=body, carries=carries, where=where, unless=unless)


def substitute(
    body: Iterable[Stmt],
    axes: Mapping[Axis, Affine] | None = None,
    variables: Mapping[Var, Var] | None = None,
) -> list[Stmt]:
    """The same statements with free axes and variables replaced (its own definitions kept)."""
    return Renaming(dict(axes or {}), dict(variables or {})).body(body)


def clone(
    body: Iterable[Stmt],
    axes: Mapping[Axis, Affine] | None = None,
    variables: Mapping[Var, Var] | None = None,
) -> tuple[list[Stmt], Renaming]:
    """A second copy of the statements, with its own loops and variables, and how it names them."""
    renaming = Renaming(dict(axes or {}), dict(variables or {}), fresh=True)
    return renaming.body(body), renaming


def like(var: Var, axes: tuple[Axis, ...] | None = None) -> Var:
    """A new variable with the dtype, name and (unless given) tile axes of ``var``."""
    return Var(var.dtype, var.axes if axes is None else axes, var.name)


def divides(body: Iterable[Stmt], axis: Axis) -> bool:
    """Whether ``axis`` occurs inside a floor division by a number."""
    return any(
        axis in d.numerator.axes() and isinstance(d.divisor, int)
        for s in walk(list(body))
        for e in expressions(s)
        for d in e.divisions()
    )


_ACCESSES = Load | Store


def expressions(stmt: Stmt) -> tuple[Affine, ...]:
    """Index and guard expressions of one statement."""
    if isinstance(stmt, Iota):
        return (stmt.expr,)
    if isinstance(stmt, _ACCESSES):
        return (*stmt.index, *(g.expr for g in stmt.guards))
    return ()


def without_dead_code(kernel: Kernel) -> Kernel:
    """The kernel without unused results, empty loops and doubled barriers.

    Stores, barriers and loops that contain them stay; carries nobody reads go with their updates.
    """
    used: set[Var] = set()
    size = -1
    while len(used) != size:  # carries make uses circular: grow to a fixpoint
        size = len(used)
        _mark(kernel.body, used)
    return kernel.evolve(body=_swept(kernel.body, used))


def _live_carries(loop: For, used: set[Var]) -> tuple[Carry, ...]:
    live = tuple(c for c in loop.carries if c.result in used or c.var in used)
    tuples = loop.fold is not None and loop.fold.arity > 1
    return loop.carries if live and tuples else live


def _mark(body: list[Stmt], used: set[Var]) -> None:
    for stmt in reversed(body):
        if isinstance(stmt, For):
            live = _live_carries(stmt, used)
            used.update(c.init for c in live)
            used.update(c.update for c in live)
            _mark(stmt.body, used)
        elif isinstance(stmt, Store) or any(o in used for o in outputs_of(stmt)):
            used.update(inputs_of(stmt))


def _swept(body: list[Stmt], used: set[Var]) -> list[Stmt]:
    kept: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, For):
            carries = _live_carries(stmt, used)
            inner = _swept(stmt.body, used)
            if carries or (stmt.trip and inner):
                kept.append(replace(stmt, body=inner, carries=carries))
        elif isinstance(stmt, Barrier) and kept and isinstance(kept[-1], Barrier):
            continue
        elif isinstance(stmt, Store | Barrier) or any(o in used for o in outputs_of(stmt)):
            kept.append(stmt)
    return kept


def rename(kernel: Kernel, variables: Mapping[Var, Var]) -> Kernel:
    """The kernel with uses of some variables replaced."""
    return kernel.evolve(body=substitute(kernel.body, {}, variables)) if variables else kernel
