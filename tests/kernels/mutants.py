"""Kernels broken at random: an index, a bound, a guard, a barrier, an order, a kind of loop."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from weft.kernels.ir import Barrier, Buffer, For, Guard, Kernel, Load, Stmt, Store, walk
from weft.terms.affine import Affine, Axis

Edit = Callable[[Stmt], list[Stmt]]


def mutant(kernel: Kernel, seed: int) -> tuple[str, Kernel] | None:
    """What was done, and ``kernel`` with it; None where there is nothing to break in that way."""
    rng = random.Random(seed)
    name = rng.choice(sorted(_MUTATIONS))
    changed = _MUTATIONS[name](kernel, rng)
    return None if changed is None else (name, changed)


def _edited(body: list[Stmt], target: Stmt, edit: Edit) -> list[Stmt]:
    done: list[Stmt] = []
    for stmt in body:
        if stmt is target:
            done += edit(stmt)
        elif isinstance(stmt, For):
            done.append(replace(stmt, body=_edited(stmt.body, target, edit)))
        else:
            done.append(stmt)
    return done


def _change(kernel: Kernel, rng: random.Random, kinds: object, edit: Edit) -> Kernel | None:
    found = [s for s in walk(kernel.body) if isinstance(s, kinds)]  # type: ignore[arg-type]
    if not found:
        return None
    return kernel.evolve(body=_edited(kernel.body, rng.choice(found), edit))


def _broken_index(index: tuple[Affine, ...], rng: random.Random) -> tuple[Affine, ...]:
    if not index:
        return index
    at = rng.randrange(len(index))
    expr = index[at]
    way = rng.choice(("shift", "scale", "drop", "swap", "divide"))
    if way == "shift":
        expr = expr + rng.choice((-2, -1, 1, 2))
    elif way == "scale" and expr.terms:
        atom, k = rng.choice(expr.terms)
        expr = expr + Affine(((atom, rng.choice((-k, 1, -1, k))),))
    elif way == "drop" and expr.terms:
        atom, k = rng.choice(expr.terms)
        expr = expr - Affine(((atom, k),))
    elif way == "swap" and len(index) > 1:
        other = rng.randrange(len(index))
        swapped = list(index)
        swapped[at], swapped[other] = swapped[other], swapped[at]
        return tuple(swapped)
    elif way == "divide":
        expr = expr.floordiv(rng.choice((2, 3)))
    return (*index[:at], expr, *index[at + 1 :])


def _index(kernel: Kernel, rng: random.Random) -> Kernel | None:
    def edit(s: Stmt) -> list[Stmt]:
        assert isinstance(s, Load | Store)
        return [replace(s, index=_broken_index(s.index, rng))]

    return _change(kernel, rng, rng.choice((Load, Store)), edit)


def _guard(kernel: Kernel, rng: random.Random) -> Kernel | None:
    def edit(s: Stmt) -> list[Stmt]:
        assert isinstance(s, Load | Store)
        if not s.guards:
            return [s]
        at = rng.randrange(len(s.guards))
        g = s.guards[at]
        new = rng.choice(((), (Guard(g.expr, g.lo - 1, g.hi),), (Guard(g.expr, g.lo, g.hi + 1),)))
        return [replace(s, guards=(*s.guards[:at], *new, *s.guards[at + 1 :]))]

    return _change(kernel, rng, Load | Store, edit)


def _bound(kernel: Kernel, rng: random.Random) -> Kernel | None:
    def edit(s: Stmt) -> list[Stmt]:
        assert isinstance(s, For)
        way = rng.choice(("longer", "earlier", "denser"))
        if way == "longer":
            axis = Axis(s.axis.name, s.axis.extent + s.step)
            return [_over(replace(s, hi=s.hi + s.step), axis)]
        if way == "earlier":
            return [replace(s, lo=max(0, s.lo - s.step), hi=max(s.hi - s.step, s.lo))]
        step = max(1, s.step // 2)
        return [replace(s, step=step)]

    return _change(kernel, rng, For, edit)


def _over(loop: For, axis: Axis) -> For:
    """The loop over another axis."""
    mapping = {loop.axis: axis.expr}

    def moved(body: list[Stmt]) -> list[Stmt]:
        done: list[Stmt] = []
        for s in body:
            if isinstance(s, For):
                s = replace(s, body=moved(s.body))
            elif isinstance(s, Load | Store):
                index = tuple(i.substitute(mapping, lambda v: v) for i in s.index)
                guards = tuple(
                    Guard(g.expr.substitute(mapping, lambda v: v), g.lo, g.hi) for g in s.guards
                )
                s = replace(s, index=index, guards=guards)
            elif hasattr(s, "expr"):
                s = replace(s, expr=s.expr.substitute(mapping, lambda v: v))
            done.append(s)
        return done

    return replace(loop, axis=axis, body=moved(loop.body))


def _kind(kernel: Kernel, rng: random.Random) -> Kernel | None:
    def edit(s: Stmt) -> list[Stmt]:
        assert isinstance(s, For)
        return [replace(s, kind="parallel" if s.kind != "parallel" else "serial")]

    return _change(kernel, rng, For, edit)


def _barrier(kernel: Kernel, rng: random.Random) -> Kernel | None:
    return _change(kernel, rng, Barrier, lambda s: [])


def _missing(kernel: Kernel, rng: random.Random) -> Kernel | None:
    return _change(kernel, rng, object, lambda s: [])


def _order(kernel: Kernel, rng: random.Random) -> Kernel | None:
    bodies = [kernel.body, *(s.body for s in walk(kernel.body) if isinstance(s, For))]
    bodies = [b for b in bodies if len(b) > 1]
    if not bodies:
        return None
    body = rng.choice(bodies)
    at = rng.randrange(len(body) - 1)
    first, second = body[at : at + 2]
    swapped = _edited(kernel.body, first, lambda s: [second, first])
    # The second one stands there twice now: drop its old place, which is the last.
    return kernel.evolve(body=_without_last(swapped, second))


def _without_last(body: list[Stmt], target: Stmt) -> list[Stmt]:
    if any(s is target for s in body):
        last = max(n for n, s in enumerate(body) if s is target)
        return body[:last] + body[last + 1 :]
    return [
        replace(s, body=_without_last(s.body, target)) if isinstance(s, For) else s for s in body
    ]


def _smaller(kernel: Kernel, rng: random.Random) -> Kernel | None:
    """One buffer is an element shorter than the kernel believes."""
    old = rng.choice((*kernel.params, *kernel.scratch))
    if not old.shape or old.strides is not None:
        return None
    at = rng.randrange(len(old.shape))
    shape = (*old.shape[:at], max(0, old.shape[at] - 1), *old.shape[at + 1 :])
    new = Buffer(old.name, shape, old.dtype, old.role, old.level)

    def moved(body: list[Stmt]) -> list[Stmt]:
        done: list[Stmt] = []
        for s in body:
            if isinstance(s, For):
                s = replace(s, body=moved(s.body))
            elif isinstance(s, Load | Store) and s.buffer is old:
                s = replace(s, buffer=new)
            done.append(s)
        return done

    return kernel.evolve(
        params=tuple(new if b is old else b for b in kernel.params),
        scratch=tuple(new if b is old else b for b in kernel.scratch),
        body=moved(kernel.body),
    )


_MUTATIONS: dict[str, Callable[[Kernel, random.Random], Kernel | None]] = {
    "barrier": _barrier,
    "bound": _bound,
    "guard": _guard,
    "index": _index,
    "kind": _kind,
    "missing": _missing,
    "order": _order,
    "smaller": _smaller,
}
