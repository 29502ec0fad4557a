"""Operands that are computed: set apart while a contraction is scheduled, computed where packed.

A factor of a product may be an expression of what is loaded.  Evaluated in the innermost loop it
would be computed as often as the other side is long; so the schedule is made for a kernel that
reads it from memory, and then every read is replaced by the computation::

    for i: for j: s = fold k of f(a[i, k]) * b[k, j]
    →  set_apart       t[i, k] = f(a[i, k])
    for i: for j: s = fold k of t[i, k] * b[k, j]
    →  schedule        (the copy of t into a panel is the one place that reads it)
    for i: for k: store s[i, k] = t[i, k];  …
    →  rejoin
    for i: for k: store s[i, k] = f(a[i, k]);  …

Where the schedule reads an element more than once, the operand is computed into scratch first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod

from weft.core.extents import Extent
from weft.kernels.ir import (
    Barrier,
    Buffer,
    Const,
    For,
    Iota,
    Kernel,
    Load,
    Map,
    Stmt,
    Store,
    Var,
    inputs_of,
    outputs_of,
    walk,
)
from weft.kernels.schedule.find import Contraction, factors
from weft.kernels.schedule.folds import unused_name
from weft.kernels.schedule.order import parallelize
from weft.kernels.schedule.tree import expressions, without_dead_code
from weft.structs import struct
from weft.terms.affine import Affine, Axis, linearize

#: Evaluations of an element, on average, up to which computing it again is cheaper than memory.
RECOMPUTE_LIMIT = 1.25


@struct(frozen=True)
class Operand:
    """``buffer[axes…] = value``, computed by the straight-line ``body``."""

    buffer: Buffer
    axes: tuple[Axis, ...]
    body: tuple[Stmt, ...]
    value: Var


def set_apart(kernel: Kernel, contraction: Contraction) -> tuple[Kernel, tuple[Operand, ...]]:
    """The kernel reading computed factors of its contraction from buffers, and what these hold."""
    # Each is computed from what the kernel loads, though one may be part of the other.
    found = [_operand(kernel, var, n) for n, var in enumerate(dict.fromkeys(factors(contraction)))]
    operands = tuple(x for x in found if x is not None)
    for operand in operands:
        kernel = _reading(kernel, operand)
    return (without_dead_code(kernel) if operands else kernel), operands


def rejoin(kernel: Kernel, operands: Iterable[Operand]) -> Kernel:
    """The scheduled kernel with its operands computed: where they are read, or all before."""
    for operand in operands:
        if _evaluations(kernel.body, operand.buffer) <= RECOMPUTE_LIMIT * operand.buffer.size:
            kernel = kernel.evolve(
                params=tuple(b for b in kernel.params if b is not operand.buffer),
                body=_computed(kernel.body, operand),
            )
        else:
            kernel = _materialised(kernel, operand)
    return kernel


# -- setting apart ---------------------------------------------------------------------------------


def _operand(kernel: Kernel, var: Var, number: int) -> Operand | None:
    """What computes a factor, if it is more than a load and can be computed anywhere."""
    made = {out: s for s in walk(kernel.body) for out in outputs_of(s)}
    if isinstance(made.get(var), Load | None):
        return None
    body = _slice(made, var)
    written = {s.buffer for s in walk(kernel.body) if isinstance(s, Store)}
    if body is None or any(isinstance(s, Load) and s.buffer in written for s in body):
        return None
    loops = {s.axis: s for s in walk(kernel.body) if isinstance(s, For)}
    used = {a for s in body for e in expressions(s) for a in e.axes()}
    around = [loops[a] for a in loops if a in used]
    if len(around) != len(used) or any(x.lo or isinstance(x.trip, Extent) for x in around):
        return None
    axes = _contiguous_last(body, [x.axis for x in around])
    shape = tuple(loops[a].hi for a in axes)
    names = {b.name for b in (*kernel.params, *kernel.scratch)}
    buffer = Buffer(unused_name(f"operand{number}", names), shape, var.dtype)
    return Operand(buffer, axes, body, var)


def _slice(made: Mapping[Var, Stmt], var: Var) -> tuple[Stmt, ...] | None:
    """The statements that compute ``var``, in order; None if loops are among them."""
    found: dict[Stmt, None] = {}
    stack: list[tuple[Var, bool]] = [(var, False)]
    while stack:
        v, ready = stack.pop()
        stmt = made.get(v)
        if not isinstance(stmt, Const | Iota | Load | Map):
            return None
        if ready:
            found[stmt] = None
        elif stmt not in found:
            stack.append((v, True))
            stack.extend((x, False) for x in inputs_of(stmt))
    return tuple(found)


def _contiguous_last(body: Sequence[Stmt], axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """``axes``, the one along which most is read contiguously innermost."""

    def contiguous(axis: Axis) -> int:
        return sum(
            s.buffer.size
            for s in body
            if isinstance(s, Load)
            and linearize(s.index, s.buffer.element_strides).coefficient(axis) == 1
        )

    last = max(reversed(axes), key=contiguous, default=None)
    return (*(a for a in axes if a is not last), *(a for a in axes if a is last))


def _reading(kernel: Kernel, operand: Operand) -> Kernel:
    """The kernel with an operand loaded instead of computed."""
    var = operand.value
    load = Load(var, operand.buffer, tuple(map(Affine.of, operand.axes)))

    def body(stmts: Iterable[Stmt]) -> list[Stmt]:
        return [
            replace(s, body=body(s.body))
            if isinstance(s, For)
            else load
            if var in outputs_of(s)
            else s
            for s in stmts
        ]

    return kernel.evolve(params=(operand.buffer, *kernel.params), body=body(kernel.body))


# -- rejoining -------------------------------------------------------------------------------------


def _evaluations(body: Iterable[Stmt], buffer: Buffer, times: int = 1) -> int:
    """Elements of ``buffer`` that are read, each as often as it is."""
    total = 0
    for stmt in body:
        if isinstance(stmt, For):
            total += _evaluations(stmt.body, buffer, times * stmt.trip)
        elif isinstance(stmt, Load) and stmt.buffer is buffer:
            total += times * prod(a.extent for a in stmt.out.axes)
    return total


def _computed(body: Iterable[Stmt], operand: Operand) -> list[Stmt]:
    """``body`` with every read of the operand replaced by its computation."""
    out: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, For):
            out.append(replace(stmt, body=_computed(stmt.body, operand)))
        elif isinstance(stmt, Load) and stmt.buffer is operand.buffer:
            assert not stmt.guards  # where one fails the load is zero, the computation is not
            out += _at(operand, stmt.index, stmt.out)
        else:
            out.append(stmt)
    return out


def _at(operand: Operand, index: Sequence[Affine], result: Var) -> list[Stmt]:
    """The computation at an index, on tiles over those of the axes of ``result`` that matter."""
    place = dict(zip(operand.axes, index, strict=True))
    named: dict[Var, Var] = {}
    out: list[Stmt] = []

    def define(old: Var, axes: set[Axis]) -> Var:
        if old is operand.value:
            named[old] = result
        else:
            named[old] = Var(old.dtype, tuple(a for a in result.axes if a in axes))
        return named[old]

    def indices(exprs: Sequence[Affine]) -> tuple[tuple[Affine, ...], set[Axis]]:
        moved = tuple(e.substitute(place, lambda v: named.get(v, v)) for e in exprs)
        inside = {a for e in moved for a in e.axes()}
        return moved, inside.union(*(d.source.axes for e in moved for d in e.dynamics()))

    for stmt in operand.body:
        if isinstance(stmt, Map):
            args = tuple(named[a] for a in stmt.args)
            out.append(Map(define(stmt.out, set().union(*(a.axes for a in args))), stmt.op, args))
        elif isinstance(stmt, Load):
            moved, axes = indices(stmt.index)
            guards = tuple(
                replace(g, expr=e)
                for g, e in zip(stmt.guards, indices([g.expr for g in stmt.guards])[0], strict=True)
            )
            axes |= {a for g in guards for a in g.expr.axes()}
            out.append(replace(stmt, out=define(stmt.out, axes), index=moved, guards=guards))
        elif isinstance(stmt, Iota):
            (expr,), axes = indices([stmt.expr])
            out.append(Iota(define(stmt.out, axes), expr))
        else:
            assert isinstance(stmt, Const)
            out.append(Const(define(stmt.out, set()), stmt.value))
    return out


def _materialised(kernel: Kernel, operand: Operand) -> Kernel:
    """The kernel computing the operand into scratch before anything else."""
    buffer = replace(operand.buffer, role="scratch", level="shared")
    axes = [Axis(a.name, a.extent) for a in operand.axes]
    index = tuple(map(Affine.of, axes))
    value = Var(operand.value.dtype)
    nest: list[Stmt] = [*_at(operand, index, value), Store(buffer, index, value)]
    for axis, trip in zip(reversed(axes), reversed(buffer.shape), strict=True):
        nest = [For(axis, 0, trip, 1, nest)]
    kernel = kernel.evolve(
        params=tuple(b for b in kernel.params if b is not operand.buffer),
        scratch=(buffer, *kernel.scratch),
        body=[*nest, Barrier(), *_with_buffer(kernel.body, operand.buffer, buffer)],
    )
    shared = any(s.kind == "parallel" for s in walk(kernel.body) if isinstance(s, For))
    return parallelize(kernel, axes[0]) if shared and axes else kernel


def _with_buffer(body: Iterable[Stmt], old: Buffer, new: Buffer) -> list[Stmt]:
    return [
        replace(s, body=_with_buffer(s.body, old, new))
        if isinstance(s, For)
        else replace(s, buffer=new)
        if isinstance(s, Load) and s.buffer is old
        else s
        for s in body
    ]
