"""Changing the order of iterations: exchange, merge, spread over threads."""

from __future__ import annotations

from dataclasses import replace

from weft.kernels.accesses import accesses
from weft.kernels.ir import Barrier, Buffer, For, Kernel, Stmt, Store, Var, inputs_of, walk
from weft.kernels.races import apart, dependence
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.tree import (
    Renaming,
    find_loop,
    path_to,
    replace_loop,
    substitute,
)
from weft.terms.affine import Affine, Axis


def parallelize(kernel: Kernel, axis: Axis) -> Kernel:
    """Spread the iterations of a loop over threads::

        for i in 0:8: store y[i] = f(i)
        →
        parallel i in 0:8: store y[i] = f(i)

    One thread runs a whole iteration, so what was cooperative inside becomes private: parallel
    loops inside turn serial, barriers go, and shared scratch used only inside becomes thread
    scratch; thread scratch that other loops fill, too, becomes scratch of this loop's own.  A
    parallel loop may hold another one only as its whole body (a grid).  Refuses loops that carry
    values, whose iterations touch the same memory, that fill thread scratch for others, or that are
    inside a parallel loop with other statements beside them.
    """
    path = path_to(kernel, axis)
    loop = path[-1]
    if loop.kind == "parallel":
        return kernel
    if loop.carries:
        raise ScheduleError(
            f"the loop over {axis} carries {loop.carries[0].var} from one iteration to the next; "
            "split the fold first"
        )
    for depth, outer in enumerate(path[:-1]):
        if outer.kind == "parallel" and any(len(x.body) != 1 for x in path[depth:-1]):
            raise ScheduleError(
                f"the loop over {axis} is inside the parallel loop over {outer.axis} and not its "
                "whole body"
            )
    for buffer in scratch_between(kernel, loop)[0]:
        raise ScheduleError(
            f"the loop over {axis} fills {buffer.name} for others: each thread has its own"
        )
    private = _only_inside(kernel, loop)
    swap = {b: replace(b, level="thread") for b in private}
    kernel = kernel.evolve(scratch=tuple(swap.get(b, b) for b in kernel.scratch))
    own = {b: replace(b, name=f"{b.name}.{axis.serial}") for b in _filled_again(kernel, loop)}
    kernel = kernel.evolve(scratch=(*kernel.scratch, *own.values()))
    swap |= own
    body = Renaming(buffers=swap).body(_alone(loop.body, grid=len(loop.body) == 1))
    new = replace(loop, kind="parallel", body=body)
    conflict = dependence(new, tuple(path[:-1]))
    if conflict is not None:
        raise ScheduleError(conflict[1] + ": they cannot run in parallel")
    return replace_loop(kernel, axis, lambda _: [new])


def _filled_again(kernel: Kernel, loop: For) -> list[Buffer]:
    """Thread scratch that a loop fills as others do: its threads need some of their own."""
    inside = {id(s): s.buffer for s in walk(loop.body) if isinstance(s, Store)}
    outside = {s.buffer for s in walk(kernel.body) if isinstance(s, Store) and id(s) not in inside}
    again = outside.intersection(inside.values())
    return [b for b in kernel.scratch if b in again and b.level == "thread"]


def scratch_between(kernel: Kernel, loop: For) -> tuple[list[Buffer], list[Buffer]]:
    """Thread scratch that a loop fills for what is outside of it, and that others fill for it."""
    inside = list(accesses(loop.body, private=True))
    within = {id(a.stmt) for a in inside}
    outside = [a for a in accesses(kernel.body, private=True) if id(a.stmt) not in within]
    both = {a.buffer for a in inside} & {a.buffer for a in outside}
    shared = [b for b in kernel.scratch if b in both and b.level == "thread"]
    mine, theirs = ({a.buffer for a in x if isinstance(a.stmt, Store)} for x in (inside, outside))
    given = [b for b in shared if b in mine and b not in theirs]
    return given, [b for b in shared if b in theirs and b not in mine]


def _only_inside(kernel: Kernel, loop: For) -> set[Buffer]:
    inside = {a.buffer for a in accesses(loop.body)}
    within = {id(a.stmt) for a in accesses(loop.body)}
    outside = {a.buffer for a in accesses(kernel.body) if id(a.stmt) not in within}
    return {b for b in inside - outside if b.role == "scratch"}


def _alone(body: list[Stmt], grid: bool) -> list[Stmt]:
    """The body as a single thread runs it."""
    out: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, For):
            inner = grid and stmt.kind == "parallel"
            kind = "serial" if stmt.kind == "parallel" and not inner else stmt.kind
            new = _alone(stmt.body, inner and len(stmt.body) == 1)
            out.append(replace(stmt, kind=kind, body=new))
        elif not isinstance(stmt, Barrier):
            out.append(stmt)
    return out


def reorder(kernel: Kernel, outer: Axis, inner: Axis) -> Kernel:
    """Exchange two perfectly nested loops::

        for i in 0:4: for j in 0:8: s(i, j)
        →
        for j in 0:8: for i in 0:4: s(i, j)

    Carries may pass through both when they are one fold.  Refuses loops with statements between
    them, other carries, and iterations that depend on each other in both loops.
    """
    path = path_to(kernel, inner)
    if len(path) < 2 or path[-2].axis is not outer:
        raise ScheduleError(f"the loop over {inner} is not directly inside the loop over {outer}")
    a, b = path[-2], path[-1]
    if len(a.body) != 1:
        raise ScheduleError(
            f"the loops over {outer} and {inner} are not perfectly nested: "
            f"{len(a.body) - 1} statements stand between them"
        )
    if a.carries or b.carries:
        _check_one_fold(a, b)
    around = tuple(path[:-2])
    swapped = replace(b, body=[replace(a, body=b.body, carries=())], carries=())
    conflict = dependence(a, around, private=True)
    if conflict is not None and dependence(swapped, around, private=True) is not None:
        raise ScheduleError(f"cannot exchange {outer} and {inner}: {conflict[1]}")
    # The carries keep their places: outer ones hand over to inner ones.
    new_outer = replace(a, axis=b.axis, lo=b.lo, hi=b.hi, step=b.step, kind=b.kind)
    new_inner = replace(b, axis=a.axis, lo=a.lo, hi=a.hi, step=a.step, kind=a.kind)
    return replace_loop(kernel, outer, lambda _: [replace(new_outer, body=[new_inner])])


def _check_one_fold(a: For, b: For) -> None:
    passed = (
        a.fold is not None
        and a.fold is b.fold
        and len(a.carries) == len(b.carries)
        and all(
            p.var is c.init and p.update is c.result
            for p, c in zip(a.carries, b.carries, strict=True)
        )
    )
    if not passed:
        raise ScheduleError(
            f"the loops over {a.axis} and {b.axis} carry values that are not one fold"
        )


def nest_perfectly(kernel: Kernel, inner: Axis) -> Kernel:
    """Move what stands before a loop in its parent into it, to be computed once per iteration::

        for i: x = load a[i]; for j: s(x, j)
        →
        for i: for j: x = load a[i]; s(x, j)

    Refuses loops with carries, loops and stores beside it, and statements after it.
    """
    path = path_to(kernel, inner)
    if len(path) < 2 or len(path[-2].body) == 1:
        return kernel
    parent, loop = path[-2], path[-1]
    beside = [s for s in parent.body if s is not loop]
    movable = parent.body[-1] is loop and not any(
        isinstance(s, For | Store | Barrier) for s in beside
    )
    if not movable or loop.carries or parent.carries:
        raise ScheduleError(
            f"the loops over {parent.axis} and {inner} are not perfectly nested, and what stands "
            "between them cannot move"
        )
    new = replace(parent, body=[replace(loop, body=[*beside, *loop.body])])
    return replace_loop(kernel, parent.axis, lambda _: [new])


def fuse_loops(kernel: Kernel, first: Axis, second: Axis) -> Kernel:
    """Merge two neighbouring loops over equal ranges::

        for i in 0:8: s(i)
        for j in 0:8: t(j)
        →
        for i in 0:8: s(i); t(i)

    The carries of both stay.  Refuses loops that are not neighbours, whose ranges or kinds
    differ, and a second loop that needs what later iterations of the first compute.
    """
    path = path_to(kernel, first)
    a, b = path[-1], find_loop(kernel, second)
    siblings = path[-2].body if len(path) > 1 else kernel.body
    place = siblings.index(a)
    if place + 1 >= len(siblings) or siblings[place + 1] is not b:
        raise ScheduleError(f"the loop over {second} does not directly follow that over {first}")
    if (a.lo, a.hi, a.step, a.kind) != (b.lo, b.hi, b.step, b.kind):
        raise ScheduleError(
            f"the loops over {first} and {second} differ: "
            f"{a.kind} {a.lo}:{a.hi}:{a.step} and {b.kind} {b.lo}:{b.hi}:{b.step}"
        )
    results = {c.result for c in a.carries}
    if results & _uses(b):
        raise ScheduleError(f"the loop over {second} needs the result of the loop over {first}")
    fold = a.fold if a.fold is b.fold else None
    if not a.carries or not b.carries:
        fold = a.fold or b.fold
    moved = substitute(b.body, {b.axis: Affine.of(a.axis)})
    both = replace(a, body=[*a.body, *moved], carries=(*a.carries, *b.carries), fold=fold)
    _check_fusable(both, a, tuple(path[:-1]))
    kernel = replace_loop(kernel, second, lambda _: [])
    return replace_loop(kernel, first, lambda _: [both])


def _uses(loop: For) -> set[Var]:
    return {v for s in walk([loop]) for v in inputs_of(s)}


def _check_fusable(both: For, a: For, around: tuple[For, ...]) -> None:
    inside = (*around, both)
    found = list(accesses(both.body, inside, private=True))
    count = sum(1 for _ in accesses(a.body, inside, private=True))
    for x in found[:count]:
        for y in found[count:]:
            conflicting = (x.writes or y.writes) and x.buffer is y.buffer
            if conflicting and not apart(x, y, both):
                raise ScheduleError(
                    f"cannot merge the loops: both touch {x.buffer.name}, and an iteration of the "
                    "second may need what a later one of the first writes"
                )
