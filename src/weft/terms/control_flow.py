"""Lowering of loops and branches: `While`, `For` and `If` with blocks of their own.

The jaxprs inside read values of the blocks around them directly; only what changes from one
iteration to the next is carried. Every carried value leaves the body as a value that the body
defines (or unchanged), so that each carry can have memory of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weft.core.jaxpr import ClosedJaxpr
from weft.terms import build
from weft.terms.affine import Affine
from weft.terms.lower import Lowering, Tensor
from weft.terms.region import Block, Carry, For, If, While
from weft.terms.term import Const, Load, Value, dynamic_index

_COUNTER = np.dtype(np.int32)


def defined_in(block: Block) -> set[Value]:
    """The values that steps of the block itself (not of blocks inside it) define."""
    found: set[Value] = set()
    for step in block.steps:
        if isinstance(step, For | While):
            found.update(c.result for c in step.carries)
        elif isinstance(step, If):
            found.update(step.results)
        elif hasattr(step, "outputs"):
            found.update(step.outputs)
        else:
            found.add(step.value)
    return found


def own_values(
    ctx: Lowering, tensors: Sequence[Tensor], unchanged: Sequence[Value | None]
) -> list[Value]:
    """The tensors as values that the current block defines, each a different one.

    A tensor that is the value at its place in ``unchanged`` stays that value.
    """
    taken: set[Value] = set()
    own = defined_in(ctx.block)
    values = []
    for tensor, same in zip(tensors, unchanged, strict=True):
        value = ctx.value(tensor)
        if value is not same:
            if value in taken or (tensor.is_whole and value not in own):
                value = ctx.copy(tensor)
            taken.add(value)
        values.append(value)
    return values


def _entries(ctx: Lowering, inits: Sequence[Tensor]) -> list[Tensor]:
    return [Tensor.whole(ctx.new_value(t.shape, t.dtype)) for t in inits]


def _carries(
    ctx: Lowering, inits: Sequence[Value], entries: Sequence[Tensor], exits: Sequence[Value]
) -> tuple[Carry, ...]:
    return tuple(
        Carry(init, ctx.value(entry), exit, ctx.new_value(init.shape, init.dtype))
        for init, entry, exit in zip(inits, entries, exits, strict=True)
    )


def lower_while(
    ctx: Lowering,
    condition: ClosedJaxpr,
    condition_consts: Sequence[Tensor],
    body: ClosedJaxpr,
    body_consts: Sequence[Tensor],
    inits: Sequence[Tensor],
) -> list[Tensor]:
    """Results of ``while condition(*consts, *state): state = body(*consts, *state)``."""
    source = ctx.source
    starts = [ctx.value(t) for t in inits]
    entries = _entries(ctx, inits)
    with ctx.new_block() as condition_block:
        (holds,) = ctx.inline(condition, [*condition_consts, *entries])
        (predicate,) = own_values(ctx, [holds], [None])
    with ctx.new_block() as body_block:
        results = ctx.inline(body, [*body_consts, *entries])
        exits = own_values(ctx, results, [ctx.value(e) for e in entries])
    carries = _carries(ctx, starts, entries, exits)
    ctx.emit(While(condition_block, predicate, carries, body_block, source))
    return [Tensor.whole(c.result) for c in carries]


def lower_switch(
    ctx: Lowering, index: Tensor, branches: Sequence[ClosedJaxpr], operands: Sequence[Tensor]
) -> list[Tensor]:
    """Results of ``branches[index](*operands)``; ``index`` is an int32, clamped to the branches."""
    source = ctx.source
    if isinstance(index.source, Const):
        chosen = min(max(int(index.source.value), 0), len(branches) - 1)
        return ctx.inline(branches[chosen], operands)
    selector = ctx.value(index)
    blocks, outputs = [], []
    for branch in branches:
        with ctx.new_block() as block:
            results = ctx.inline(branch, operands)
            outputs.append(tuple(own_values(ctx, results, [None] * len(results))))
        blocks.append(block)
    values = tuple(ctx.new_value(v.shape, v.dtype) for v in outputs[0])
    ctx.emit(If(selector, tuple(blocks), tuple(outputs), values, source))
    return [Tensor.whole(v) for v in values]


def lower_scan(
    ctx: Lowering,
    body: ClosedJaxpr,
    consts: Sequence[Tensor],
    inits: Sequence[Tensor],
    xs: Sequence[Tensor],
    length: int,
    reverse: bool,
) -> list[Tensor]:
    """Final carries and stacked results of ``body(*consts, *carry, *x) -> (*carry, *y)``.

    ``xs`` are read at the counter; every ``y`` is scattered into a carried array at the counter
    (which the planner makes an update in place). From the last to the first with ``reverse``.
    """
    source = ctx.source
    y_avals = body.out_avals[len(inits) :]
    stacks = [_zeros(ctx, (length, *a.shape), a.dtype) for a in y_avals]
    if length == 0:
        return [*inits, *stacks]
    starts = [ctx.value(t) for t in (*inits, *stacks)]
    entries = _entries(ctx, [*inits, *stacks])
    counter = ctx.new_value((), _COUNTER)
    step = dynamic_index(Load(counter, ()), 0, length - 1)
    now = (length - 1) - step if reverse else step
    with ctx.new_block() as block:
        rows = [_row(x, now) for x in xs]
        results = ctx.inline(body, [*consts, *entries[: len(inits)], *rows])
        ctx.source = source
        stacked = [
            _put(ctx, stack, now, y)
            for stack, y in zip(entries[len(inits) :], results[len(inits) :], strict=True)
        ]
        exits = own_values(ctx, [*results[: len(inits)], *stacked], [ctx.value(e) for e in entries])
    carries = _carries(ctx, starts, entries, exits)
    ctx.emit(For(length, counter, carries, block, source))
    return [Tensor.whole(c.result) for c in carries]


def _zeros(ctx: Lowering, shape: tuple[int, ...], dtype: np.dtype) -> Tensor:
    return ctx.define(shape, dtype, lambda index: build.const(0, dtype))


def _row(x: Tensor, now: Affine) -> Tensor:
    return x.view(x.shape[1:], lambda index: (now, *index))


def _put(ctx: Lowering, stack: Tensor, now: Affine, y: Tensor) -> Tensor:
    return ctx.scatter(stack, y.shape, lambda index: (now, *index), y.at, unique=True)
