"""Scheduling operations for loops whose extents are left open: each call brings them along."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from weft.kernels.ir import Buffer, For, Guard, Iota, Kernel, Load, Map, Stmt, Store, Var, walk
from weft.kernels.schedule.split import peel
from weft.kernels.schedule.tile import widen
from weft.kernels.schedule.tree import find_loop, like, replace_loop, substitute
from weft.terms.affine import Affine, Axis, linearize


def tile_open(kernel: Kernel, axis: Axis, width: int, tail: int) -> Kernel:
    """Run ``width`` iterations as one across lanes, what is left over ``tail`` at a time, masked::

        for j in 0:n: x = load a[j]; store b[j] = x
        →
        for j in 0:32·(n//32):32: x = load a[j + v] (v:32); store b[j + v] = x
        for j' in 32·(n//32):8·((n+7)//8):8:
          x' = load a[j' + v'] where j' + v' < n (v':8); store b[j' + v'] = x' where j' + v' < n

    A fold's masked elements leave its carries as they are.  Refuses what `tile` refuses.
    """
    rest = Axis(axis.name, axis.extent)
    kernel = peel(kernel, axis, find_loop(kernel, axis).trip // width * width, rest)
    kernel = widen(kernel, axis, Axis(f"{axis.name}v", width), lanes=True)
    loop = find_loop(kernel, rest)
    hi = loop.lo + (loop.trip + tail - 1) // tail * tail
    padded = Axis(axis.name, hi)
    kernel = replace_loop(kernel, rest, lambda x: [_masked(x, padded, hi)])
    return widen(kernel, padded, Axis(f"{axis.name}v", tail), lanes=True)


def interleave_open(kernel: Kernel, axis: Axis, n: int) -> Kernel:
    """`interleave` where the trip count is left open; what is left over stays a loop::

    for i in 0:m: s(i)
    →
    for i in 0:4·(m//4):4: s(i + i') (i':4)
    for i'' in 4·(m//4):m: s(i'')
    """
    rest = Axis(axis.name, axis.extent)
    kernel = peel(kernel, axis, find_loop(kernel, axis).trip // n * n, rest)
    return widen(kernel, axis, Axis(f"{axis.name}t", n), lanes=False)


def _masked(loop: For, padded: Axis, hi: int) -> For:
    """``loop`` up to ``hi``, doing nothing beyond its own end."""
    guard = Guard(Affine.of(padded), 0, loop.hi)
    body = _guarded(substitute(loop.body, {loop.axis: Affine.of(padded)}), padded, guard)
    carries = []
    if loop.carries:
        here, end = Var(np.dtype(np.int64)), Var(np.dtype(np.int64))
        inside = Var(np.dtype(np.bool_))
        body += [Iota(here, guard.expr), Iota(end, Affine((), loop.hi))]
        body.append(Map(inside, "lt", (here, end)))
    for c in loop.carries:
        kept = like(c.update)
        body.append(Map(kept, "select", (inside, c.update, c.var)))
        carries.append(replace(c, update=kept))
    return replace(loop, axis=padded, hi=hi, body=body, carries=tuple(carries))


def _guarded(body: list[Stmt], axis: Axis, guard: Guard) -> list[Stmt]:
    out: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, For):
            out.append(replace(stmt, body=_guarded(stmt.body, axis, guard)))
        elif isinstance(stmt, Load | Store) and any(axis in i.axes() for i in stmt.index):
            out.append(replace(stmt, guards=(*stmt.guards, guard)))
        else:
            out.append(stmt)
    return out


def flatten_buffers(kernel: Kernel) -> Kernel:
    """Address a buffer by one index where that is no quotient, unlike its several indices::

    load a[ij // n, ij - n·(ij // n)]  (a: m × n)
    →
    load a[ij]                         (a: m·n)
    """
    accesses = [s for s in walk(kernel.body) if isinstance(s, Load | Store)]
    divided = {s.buffer for s in accesses if any(i.divisions() for i in s.index)}
    divided -= {s.buffer for s in accesses if _address(s).divisions()}
    if not divided:
        return kernel
    flat = {b: replace(b, shape=(b.size,)) for b in divided}
    params, scratch = (
        tuple(flat.get(b, b) for b in buffers) for buffers in (kernel.params, kernel.scratch)
    )
    return kernel.evolve(params=params, scratch=scratch, body=_addressed(kernel.body, flat))


def _address(access: Load | Store) -> Affine:
    return linearize(access.index, access.buffer.element_strides)


def _addressed(body: list[Stmt], flat: dict[Buffer, Buffer]) -> list[Stmt]:
    out: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, For):
            out.append(replace(stmt, body=_addressed(stmt.body, flat)))
        elif isinstance(stmt, Load | Store) and stmt.buffer in flat:
            out.append(replace(stmt, buffer=flat[stmt.buffer], index=(_address(stmt),)))
        else:
            out.append(stmt)
    return out
