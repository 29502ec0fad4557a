"""Whether a program of terms is well formed; the message names the exact node that is not.

Checked are: values are defined once and before they are used; definitions have the axes, shapes and
dtypes of their values, and no axis is free; operations have the operands they take; pieces of a
`Fuse` cover its index; and every load is inside its array wherever it is evaluated, proven from
the extents of axes, clamped dynamic indices and the ranges of the enclosing pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import numpy as np

from weft.core import dtypes
from weft.core.deep import deep
from weft.terms import ops
from weft.terms.affine import Affine, Axis
from weft.terms.bounds import Fact, Facts, bounds_given, is_proven
from weft.terms.monoids import ARGMAX, ARGMIN, MONOIDS
from weft.terms.print import format_step, format_term, type_of
from weft.terms.region import Block, Call, Carry, Def, For, If, Program, Scatter, Step, While
from weft.terms.term import (
    Const,
    Fold,
    Fuse,
    Index,
    Load,
    Map,
    Proj,
    Scan,
    Term,
    Value,
)


class TermError(TypeError):
    """A program of terms is not well formed; the message shows the node and its step."""


def check_program(program: Program) -> None:
    """Raises `TermError` unless ``program`` is well formed.

    >>> from weft.terms.lower import lower_jaxpr
    >>> check_program(lower_jaxpr(weft.make_jaxpr(np.sin)(1.0)))
    """
    known: set[Value] = set()
    for value in (*program.inputs, *program.constants):
        if value in known:
            raise TermError(f"{value} is an input or constant twice")
        known.add(value)
    for value, data in program.constants.items():
        if data.shape != value.shape or data.dtype != value.dtype:
            raise TermError(
                f"constant {value} of type {type_of(value)} has data of dtype {data.dtype} and "
                f"shape {data.shape}"
            )
    known = check_block(program.block, known)
    for value in program.outputs:
        if value not in known:
            raise TermError(f"output {value} is not defined")


@deep
def check_block(block: Block, known: Iterable[Value]) -> set[Value]:
    """Checks the steps in order; the values known after them."""
    known = set(known)
    for step in block.steps:
        for value in _check_step(step, known):
            if value in known:
                _fail(step, f"{value} is defined a second time")
            known.add(value)
    return known


def _fail(step: Step, problem: str) -> NoReturn:
    where = f"\n{step.source}" if step.source is not None else ""
    raise TermError(f"{problem}\nin {format_step(step)}{where}")


def _check_step(step: Step, known: set[Value]) -> Sequence[Value]:
    if isinstance(step, Def):
        return _check_def(step, known)
    if isinstance(step, Scatter):
        return _check_scatter(step, known)
    if isinstance(step, For):
        if step.counter.shape or step.counter.dtype != np.int32:
            _fail(step, f"the counter {step.counter} is not a scalar int32")
        inner = {*known, step.counter}
        return _check_carries(step, step.carries, known, inner, step.body)
    if isinstance(step, While):
        inner = {*known, *(c.entry for c in step.carries)}
        inside = check_block(step.condition, inner)
        predicate = step.predicate
        if predicate not in inside or predicate.shape or predicate.dtype != np.bool_:
            _fail(
                step, f"the predicate {predicate} is not a scalar bool that the condition defines"
            )
        return _check_carries(step, step.carries, known, known, step.body)
    if isinstance(step, If):
        return _check_if(step, known)
    if isinstance(step, Call):
        _need(step, step.inputs, known)
        return step.outputs
    raise TermError(f"unknown step {type(step).__name__}")


def _need(step: Step, values: Iterable[Value], known: set[Value]) -> None:
    for value in values:
        if value not in known:
            _fail(step, f"{value} is used before it is defined")


def _check_carries(
    step: For | While,
    carries: Sequence[Carry],
    known: set[Value],
    inner: set[Value],
    body: Block,
) -> Sequence[Value]:
    _need(step, (c.init for c in carries), known)
    after = check_block(body, {*inner, *(c.entry for c in carries)})
    new = after - inner - {c.entry for c in carries}
    exits: set[Value] = set()
    for c in carries:
        if len({(v.shape, v.dtype) for v in (c.init, c.entry, c.exit, c.result)}) > 1:
            types = ", ".join(type_of(v) for v in (c.init, c.entry, c.exit, c.result))
            _fail(step, f"the carry {c.entry} changes its type: {types}")
        if c.exit is c.entry:
            continue
        if c.exit not in new:
            _fail(step, f"the carry {c.entry} leaves as {c.exit}, which the body does not define")
        if c.exit in exits:
            _fail(step, f"{c.exit} leaves the body as two carries")
        exits.add(c.exit)
    return [c.result for c in carries]


def _check_if(step: If, known: set[Value]) -> Sequence[Value]:
    _need(step, [step.index], known)
    if step.index.shape or step.index.dtype != np.int32:
        _fail(step, f"the index {step.index} of type {type_of(step.index)} is not a scalar int32")
    for number, (block, outputs) in enumerate(zip(step.branches, step.outputs, strict=True)):
        new = check_block(block, known) - known
        for value, result in zip(outputs, step.results, strict=True):
            if value not in new:
                _fail(step, f"branch {number} gives {value}, which it does not define")
            if (value.shape, value.dtype) != (result.shape, result.dtype):
                _fail(step, f"branch {number} gives {type_of(value)} for {type_of(result)}")
        if len(set(outputs)) != len(outputs):
            _fail(step, f"branch {number} gives one value twice")
    return step.results


def _check_def(step: Def, known: set[Value]) -> Sequence[Value]:
    value = step.value
    if tuple(a.extent for a in step.axes) != value.shape:
        _fail(step, f"{value} of type {type_of(value)} is defined over axes {list(step.axes)}")
    if step.term.dtype != value.dtype:
        _fail(step, f"{value} of type {type_of(value)} is defined by a term of {step.term.dtype}")
    _Checker(step, step.axes, known).check(step.term)
    return [value]


def _check_scatter(step: Scatter, known: set[Value]) -> Sequence[Value]:
    value, operand = step.value, step.operand
    _need(step, [operand], known)
    if (value.shape, value.dtype) != (operand.shape, operand.dtype):
        _fail(step, f"scatter of {type_of(operand)} gives {type_of(value)}")
    if step.combine != "set" and step.combine not in MONOIDS:
        _fail(step, f"scatter combines by {step.combine!r}, which is not a monoid")
    if step.update.dtype != value.dtype:
        _fail(step, f"scatter into {value.dtype} of a term of {step.update.dtype}")
    checker = _Checker(step, step.axes, known)
    checker.check(step.update)
    if step.guard is not None:
        if step.guard.dtype != np.bool_:
            _fail(step, f"the guard is of {step.guard.dtype}, not bool")
        checker.check(step.guard)
    for e in step.index:
        for d in e.dynamics():
            checker.check(d.source)
    checker.element(value, step.index, (), step.axes, f"scatter to {value.name}")
    return [value]


_Task = tuple[Term, Facts, tuple[Axis, ...]]


class _Checker:
    """Checks the terms of one step."""

    def __init__(self, step: Step, axes: Sequence[Axis], known: set[Value]) -> None:
        self.step = step
        self.axes = tuple(axes)
        self.known = known
        self.seen: set[_Task] = set()
        self.tasks: list[_Task] = []

    def fail(self, problem: str, term: Term) -> NoReturn:
        _fail(self.step, f"{problem}: {format_term(term)}")

    def check(self, term: Term) -> None:
        """Checks ``term`` and all below it: each subterm once for every set of facts."""
        if len(set(self.axes)) != len(self.axes):
            _fail(self.step, "an axis occurs twice among the axes of the step")
        self.tasks = [(term, (), self.axes)]
        while self.tasks:
            task = self.tasks.pop()
            if task not in self.seen:
                self.seen.add(task)
                self._check(*task)

    def _check(self, t: Term, facts: Facts, bound: tuple[Axis, ...]) -> None:
        free = [a for a in t.axes if a not in bound]
        if free:
            self.fail(f"axis {free[0]} is free in the term, but not an axis of the step", t)
        rule: Callable[..., None] | None = _RULES.get(type(t))
        if rule is None:
            raise TermError(f"unknown term {type(t).__name__}")
        rule(self, t, facts, bound)

    def go(self, term: Term, facts: Facts, bound: tuple[Axis, ...]) -> None:
        """Plans the check of a subterm."""
        self.tasks.append((term, facts, bound))

    def sources(self, exprs: Iterable[Affine], t: Term, facts: Facts, bound: Any) -> None:
        """Dynamic indices: integer sources, and a range that is not empty."""
        for expr in exprs:
            for d in expr.dynamics():
                if not isinstance(d.source, Term) or not dtypes.is_integer(d.source.dtype):
                    self.fail(f"the dynamic index {d.source} is not an integer term", t)
                if d.lo > d.hi:
                    self.fail(f"the dynamic index has the empty range {d.lo}..{d.hi}", t)
                self.go(d.source, facts, bound)

    def element(
        self, value: Value, index: Sequence[Affine], facts: Facts, bound: Sequence[Axis], what: str
    ) -> None:
        """The index is inside the value wherever it is evaluated (nowhere, on an empty axis)."""
        if any(a.extent == 0 for a in bound) or any(f.lo >= f.hi for f in facts):
            return
        for d, (expr, extent) in enumerate(zip(index, value.shape, strict=True)):
            if not is_proven(expr, 0, extent, facts):
                lo, hi = bounds_given(expr, facts)
                _fail(
                    self.step,
                    f"{what} is not proven in bounds: index {d} is {expr}, in {lo}..{hi}, but the "
                    f"value is {type_of(value)}",
                )


def _check_index(c: _Checker, t: Index, facts: Facts, bound: tuple[Axis, ...]) -> None:
    c.sources([t.expr], t, facts, bound)
    if dtypes.is_bool(t.dtype):
        c.fail("an index is a number, not a bool", t)


def _check_load(c: _Checker, t: Load, facts: Facts, bound: tuple[Axis, ...]) -> None:
    if t.value not in c.known:
        c.fail(f"{t.value} is used before it is defined", t)
    c.sources(t.index, t, facts, bound)
    c.element(t.value, t.index, facts, bound, f"load {format_term(t)}")


def _check_map(c: _Checker, t: Map, facts: Facts, bound: tuple[Axis, ...]) -> None:
    op = ops.OPS.get(t.op)
    if op is None:
        c.fail(f"there is no scalar operation {t.op!r}", t)
    if len(t.args) != op.arity:
        c.fail(f"{t.op} takes {op.arity} operands, got {len(t.args)}", t)
    types = tuple(a.dtype for a in t.args)
    shown = ", ".join(x.name for x in types)
    same = ops.alike(t.op, types)
    if any(x != same[0] for x in same) or (t.op == "select" and types[0] != np.bool_):
        c.fail(f"{t.op} of operands of dtypes {shown}", t)
    if t.op == "bitcast" and types[0].itemsize != t.dtype.itemsize:
        c.fail(f"bitcast of {shown} to {t.dtype}, which has another width", t)
    if ops.result_dtype(t.op, types, t.dtype) != t.dtype:
        c.fail(f"{t.op} of {shown} has dtype {t.dtype}", t)
    for a in t.args:
        c.go(a, facts, bound)


def _check_fold(c: _Checker, t: Fold | Scan, facts: Facts, bound: tuple[Axis, ...]) -> None:
    over = t.over if isinstance(t, Fold) else (t.over,)
    if len(t.bodies) != t.monoid.arity:
        c.fail(f"{t.monoid} takes {t.monoid.arity} bodies, got {len(t.bodies)}", t)
    for axis in over:
        if axis in bound or over.count(axis) > 1:
            c.fail(f"axis {axis} is bound twice", t)
    if t.monoid in (ARGMAX, ARGMIN) and not dtypes.is_integer(t.bodies[1].dtype):
        c.fail(f"{t.monoid} needs an integer position, got {t.bodies[1].dtype}", t)
    if isinstance(t, Scan):
        c.sources([t.upto], t, facts, bound)
        empty = any(a.extent == 0 for a in bound) or any(f.lo >= f.hi for f in facts)
        if not empty and not is_proven(t.upto, 0, t.over.extent, facts):
            c.fail(f"the end {t.upto} of the scan is not proven within {t.over}", t)
    for body in t.bodies:
        if isinstance(body, Fold | Scan) and body.monoid.arity > 1:
            c.fail("a tuple-valued fold is read without a projection", t)
        c.go(body, facts, (*bound, *over))


def _check_proj(c: _Checker, t: Proj, facts: Facts, bound: tuple[Axis, ...]) -> None:
    if not 0 <= t.position < t.fold.monoid.arity:
        c.fail(f"component {t.position} of a fold with {t.fold.monoid.arity}", t)
    c.go(t.fold, facts, bound)


def _check_fuse(c: _Checker, t: Fuse, facts: Facts, bound: tuple[Axis, ...]) -> None:
    c.sources([t.index], t, facts, bound)
    if not t.pieces:
        c.fail("a fuse without pieces", t)
    end = t.pieces[0][0]
    for lo, hi, piece in t.pieces:
        if lo != end or hi <= lo:
            c.fail(f"the pieces of a fuse do not follow one another at {lo}:{hi}", t)
        if piece.dtype != t.dtype:
            c.fail(f"a fuse of pieces of dtypes {t.dtype} and {piece.dtype}", t)
        end = hi
        c.go(piece, (*facts, Fact(t.index, lo, hi)), bound)
    empty = any(a.extent == 0 for a in bound) or any(f.lo >= f.hi for f in facts)
    if not empty and not is_proven(t.index, t.pieces[0][0], end, facts):
        lo, hi = bounds_given(t.index, facts)
        c.fail(f"the pieces of a fuse do not cover its index, which is in {lo}..{hi}", t)


def _check_const(c: _Checker, t: Const, facts: Facts, bound: tuple[Axis, ...]) -> None:
    if np.asarray(t.value).dtype != t.dtype:
        c.fail(f"a constant of {np.asarray(t.value).dtype} said to be of {t.dtype}", t)


_RULES: dict[type, Callable[..., None]] = {
    Const: _check_const,
    Index: _check_index,
    Load: _check_load,
    Map: _check_map,
    Fold: _check_fold,
    Scan: _check_fold,
    Proj: _check_proj,
    Fuse: _check_fuse,
}
