"""Turning loop iterations into tile elements: vectors, register tiles, independent accumulators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from weft.core.extents import Extent
from weft.kernels.ir import (
    Carry,
    Const,
    Fold,
    For,
    Kernel,
    Map,
    Stmt,
    Store,
    Var,
    inputs_of,
    outputs_of,
    walk,
)
from weft.kernels.races import dependence
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.split import inline_loop, peel, widened
from weft.kernels.schedule.tree import (
    Renaming,
    expressions,
    find_loop,
    like,
    path_to,
    replace_loop,
    substitute,
)
from weft.terms.affine import Affine, Axis
from weft.terms.monoids import Monoid
from weft.terms.ops import result_dtype


def tile(
    kernel: Kernel, axis: Axis, width: int | Axis | None = None, lanes: bool = False
) -> Kernel:
    """Run ``width`` iterations (all of them by default) as one, on tiles::

        for j in 0:10: x = load a[j]; store b[j] = x
        →
        for j in 0:8:4: x = load a[j + t] (t:4); store b[j + t] = x
        x' = load a[8 + t'] (t':2); store b[8 + t'] = x'

    Every variable that depends on ``axis`` gets the tile axis, the carries of loops inside
    included: the tile is moved to the innermost position.  A fold loop gets one accumulator per
    element, folded and combined after the loop (after the outermost of the fold loops that only
    pass it on)::

        for k in 0:8 fold add carrying s = s0: s' = s + x[k]            → r
        →
        for k in 0:8:4 fold add carrying s = 0 (t:4): s' = s + x[k + t] → p
        r = s0 + fold(add, p over t)

    With ``lanes`` the tile axis lies across vector lanes.  The remainder has a static width of
    its own (a tile without a loop).  Refuses loops whose iterations depend on each other through
    memory or through carries that are no fold, and a second lane axis for one variable.
    """
    loop = find_loop(kernel, axis)
    count = width.extent if isinstance(width, Axis) else loop.trip if width is None else width
    if count < 1:
        raise ScheduleError(f"cannot tile {axis} by {count}: the width must be positive")
    if loop.trip == 0:
        return inline_loop(kernel, axis)
    if isinstance(loop.trip, Extent):
        raise ScheduleError(
            f"the trip count {loop.trip} of {axis} is left open: tile_open masks what is left over"
        )
    suffix = "v" if lanes else "t"
    t = width if isinstance(width, Axis) else None
    whole = loop.trip // count * count
    rest = Axis(axis.name, axis.extent)
    kernel = peel(kernel, axis, whole, rest)
    if whole:
        t = t if t is not None else Axis(axis.name + suffix, count)
        kernel = widen(kernel, axis, t, lanes)
    else:
        rest = axis
    if loop.trip - whole == 1 and count > 1:
        kernel = inline_loop(kernel, rest)  # a single element needs no tile
    elif whole != loop.trip:
        kernel = widen(kernel, rest, Axis(axis.name + suffix, loop.trip - whole), lanes)
    return kernel


def vectorize(kernel: Kernel, axis: Axis, width: int | Axis) -> Kernel:
    """`tile` across vector lanes (``width`` may be several vectors, which then are independent)::

    for j in 0:40: x = load a[j]; …
    →
    for j in 0:32:16: x = load a[j + v] (v:16, in lanes); …
    x' = load a[32 + v'] (v':8, in lanes); …
    """
    return tile(kernel, axis, width, lanes=True)


def interleave(kernel: Kernel, axis: Axis, n: int | Axis) -> Kernel:
    """`tile` over registers: ``n`` independent rows, or ``n`` accumulators of a fold::

    for i in 0:8: s = fold k of a[i, k]; …
    →
    for i in 0:8:4: s (i':4) = fold k of a[i + i', k]; …
    """
    return tile(kernel, axis, n)


# -- widening one loop -----------------------------------------------------------------------------


def widen(kernel: Kernel, axis: Axis, t: Axis, lanes: bool) -> Kernel:
    """Make ``t`` run through the iterations of a loop whose trip count it divides."""
    path = path_to(kernel, axis)
    loop = path[-1]
    _check_independent(loop, tuple(path[:-1]))
    top = _outermost_fold(path)
    dependent = _dependents(top, loop)
    if lanes:
        for var in dependent:
            other = next((a for a in var.axes if a in kernel.lanes), None)
            if other is not None:
                raise ScheduleError(
                    f"cannot put {axis} across lanes: {var} already lies across those of {other}"
                )
        kernel = kernel.evolve(lanes=kernel.lanes | {t})
    widener = _Widener(loop.axis, t, dependent, kernel.lanes - {t} if lanes else frozenset())
    renamed: dict[Var, Var] = {}
    new = widener.top(top, _identities(kernel, top), renamed)
    kernel = replace_loop(kernel, top.axis, lambda _: new)
    if renamed:
        kernel = kernel.evolve(body=substitute(kernel.body, {}, renamed))
    return inline_loop(kernel, axis) if find_loop(kernel, axis).trip == 1 else kernel


def _check_independent(loop: For, around: tuple[For, ...]) -> None:
    if loop.carries and loop.fold is None:
        raise ScheduleError(
            f"the loop over {loop.axis} carries {loop.carries[0].var} from one iteration to the "
            "next and is not a fold: its iterations cannot run side by side"
        )
    conflict = dependence(loop, around, private=True)
    if conflict is not None:
        raise ScheduleError(conflict[1] + ": they cannot run side by side")


def _outermost_fold(path: Sequence[For]) -> For:
    """The outermost loop that only passes on the fold of the last one (else that loop itself)."""
    top = path[-1]
    if not top.carries:
        return top
    for parent in reversed(path[:-1]):
        passes_on = (
            parent.fold is top.fold
            and len(parent.carries) == len(top.carries)
            and all(
                p.var is c.init and p.update is c.result
                for p, c in zip(parent.carries, top.carries, strict=True)
            )
        )
        if not passes_on:
            break
        top = parent
    return top


def _dependents(top: For, loop: For) -> set[Var]:
    """Variables that differ between iterations of ``loop``, carries of its folds included."""
    found: set[Var] = set()
    for around in (s for s in walk([top]) if isinstance(s, For)):
        if around is loop or (loop.carries and _contains(around, loop)):
            found.update(v for c in around.carries for v in (c.var, c.update, c.result))
    # What each statement or carry makes of what, in order.
    made: list[tuple[tuple[Var, ...], tuple[Var, ...]]] = []
    for stmt in walk([top]):
        if isinstance(stmt, For):
            made += [((c.init, c.var, c.update), (c.var, c.result)) for c in stmt.carries]
        elif any(loop.axis in e.axes() for e in expressions(stmt)):
            found.update(outputs_of(stmt))
        else:
            made.append((inputs_of(stmt), outputs_of(stmt)))
    size = -1
    while size != len(found):
        size = len(found)
        for inputs, outputs in made:
            if not found.isdisjoint(inputs):
                found.update(outputs)
    return found


def _contains(outer: For, inner: For) -> bool:
    return any(s is inner for s in walk(outer.body))


def _identities(kernel: Kernel, top: For) -> list[bool]:
    """For each carry of ``top``, whether its fold starts from the monoid's identity."""
    if top.fold is None:
        return []
    constants: dict[Var, Any] = {}
    for stmt in walk(kernel.body):
        if isinstance(stmt, Const):
            constants[stmt.out] = stmt.value
        elif isinstance(stmt, Map) and stmt.op == "splat" and stmt.args[0] in constants:
            constants[stmt.out] = constants[stmt.args[0]]
    n = top.fold.arity
    flags: list[bool] = []
    for g in range(0, len(top.carries), n):
        group = top.carries[g : g + n]
        neutral = top.fold.identity([c.var.dtype for c in group])
        same = all(
            c.init in constants and c.var.dtype.type(constants[c.init]) == e
            for c, e in zip(group, neutral, strict=True)
        )
        flags += [same] * n
    return flags


class _Widener(Renaming):
    """Rewrites the statements of a loop so that dependent variables get the tile axis."""

    def __init__(
        self, axis: Axis, t: Axis, dependent: set[Var], other_lanes: frozenset[Axis]
    ) -> None:
        super().__init__()
        self.axis, self.t, self.dependent = axis, t, dependent
        self.other_lanes = other_lanes

    def define(self, var: Var) -> Var:
        if var in self.dependent and var not in self.vars:
            self.vars[var] = like(var, (*var.axes, self.t))
        return self.var(var)

    def body(self, body: Any) -> list[Stmt]:
        out: list[Stmt] = []
        for stmt in body:
            if isinstance(stmt, For):
                out += self.any_loop(stmt)
            elif isinstance(stmt, Store):
                out.append(self.store(stmt))
            else:
                out.append(self.statement(stmt))
        return out

    def store(self, stmt: Store) -> Stmt:
        new = self.statement(stmt)
        assert isinstance(new, Store)
        if not any(self.t in i.axes() for i in new.index):
            raise ScheduleError(
                f"every iteration of {self.axis} stores to the same element of "
                f"{stmt.buffer.name}: the last one must win, so they cannot run side by side"
            )
        across = self.other_lanes & {a for i in new.index for a in i.axes()}
        if across:
            raise ScheduleError(
                f"cannot put {self.axis} across lanes: a store to {stmt.buffer.name} already lies "
                f"across those of {next(iter(across))}"
            )
        return new

    def any_loop(self, s: For) -> list[Stmt]:
        """An inner loop: its dependent carries become tiles, splat where they were scalar."""
        before: list[Stmt] = []
        inits = [self.spread(c.init, c.var, before) for c in s.carries]
        shell = self.enter(s)
        entries = [self.define(c.var) for c in s.carries]
        body = self.body(s.body)
        updates = [self.spread(c.update, c.var, body) for c in s.carries]
        results = [self.define(c.result) for c in s.carries]
        carries = tuple(
            Carry(*parts) for parts in zip(entries, inits, updates, results, strict=True)
        )
        return [*before, replace(shell, body=body, carries=carries)]

    def enter(self, s: For) -> For:
        if s.axis is not self.axis:
            return s
        shell, at = widened(s, self.t.extent)
        self.axes[self.axis] = at + Affine.of(self.t) * s.step
        return shell

    def spread(self, value: Var, pattern: Var, before: list[Stmt]) -> Var:
        """``value``, splat to the tile axes that ``pattern`` has now."""
        value = self.var(value)
        if pattern not in self.dependent or self.t in value.axes:
            return value
        out = like(value, (*value.axes, self.t))
        before.append(Map(out, "splat", (value,)))
        return out

    def top(self, s: For, neutral: list[bool], renamed: dict[Var, Var]) -> list[Stmt]:
        """The outermost loop: a fold of its own starts from the identity and ends in a `Fold`."""
        if s.fold is None or s.carries[0].var not in self.dependent:
            return self.any_loop(s)
        n = s.fold.arity
        before: list[Stmt] = []
        carries: list[Carry] = []
        for g in range(0, len(s.carries), n):
            group = s.carries[g : g + n]
            values = s.fold.identity([c.var.dtype for c in group])
            for c, value in zip(group, values, strict=True):
                start = like(c.init, (*c.var.axes, self.t))
                before.append(Const(start, value))
                carries.append(replace(c, init=start))
        loop = self.any_loop(replace(s, carries=tuple(carries)))
        after: list[Stmt] = []
        for g in range(0, len(s.carries), n):
            self.finish(s.fold, s.carries[g : g + n], neutral[g], after, renamed)
        return [*before, *loop, *after]

    def finish(
        self,
        monoid: Monoid,
        group: Sequence[Carry],
        neutral: bool,
        after: list[Stmt],
        renamed: dict[Var, Var],
    ) -> None:
        """Fold the tile axis and combine with the fold's original start."""
        tiles = tuple(self.var(c.result) for c in group)
        if neutral:
            after.append(Fold(tuple(c.result for c in group), monoid, (self.t,), tiles))
            return
        folded = tuple(like(c.result) for c in group)
        after.append(Fold(folded, monoid, (self.t,), tiles))
        totals = combine(monoid, tuple(c.init for c in group), folded, after)
        renamed.update((c.result, v) for c, v in zip(group, totals, strict=True))


def combine(monoid: Monoid, a: Sequence[Var], b: Sequence[Var], out: list[Stmt]) -> tuple[Var, ...]:
    """Append the statements that combine two tuples of tiles; returns the combined tuple."""

    def emit(op: str, *args: Var) -> Var:
        axes = dict.fromkeys(axis for v in args for axis in v.axes)
        var = Var(result_dtype(op, tuple(v.dtype for v in args)), tuple(axes))
        out.append(Map(var, op, args))
        return var

    return monoid.combine(emit, a, b)
