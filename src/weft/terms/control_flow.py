"""Lowering of loops and branches: `While`, `For` and `If` with blocks of their own.

The jaxprs inside read values of the blocks around them directly; what the body passes on untouched
is read from outside as well, and only the rest is carried. Every carried value leaves the body as a
value that the body defines (or unchanged), so that each carry can have memory of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weft.core.dtypes import is_complex, real_dtype, stored_dtype
from weft.core.jaxpr import ClosedJaxpr
from weft.terms import build
from weft.terms.affine import Affine
from weft.terms.lower import Lowering
from weft.terms.region import Block, Carry, For, If, While
from weft.terms.tensor import AnyTensor, ComplexTensor, Tensor, from_parts, real_parts
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


class _State:
    """The state of a loop: what is carried, and what the body only passes on.

    ``inside`` are the tensors that the body (and the condition) reads for it. The parts of complex
    numbers are carried in arrays of their own.
    """

    def __init__(self, ctx: Lowering, inits: Sequence[AnyTensor], moving: Sequence[bool]) -> None:
        self.ctx = ctx
        self.inits = inits
        self.moving = moving
        self.starts = [ctx.value(t) for t in self._moved(inits)]
        self.entries = [ctx.new_value(v.shape, v.dtype) for v in self.starts]
        self.inside = self._state(self.entries)

    def _moved(self, tensors: Sequence[AnyTensor]) -> list[Tensor]:
        return real_parts(t for t, m in zip(tensors, self.moving, strict=True) if m)

    def _state(self, values: Sequence[Value]) -> list[AnyTensor]:
        """The state where ``values`` are carried."""
        moved = [t for t, m in zip(self.inits, self.moving, strict=True) if m]
        tensors = iter(from_parts(map(Tensor.whole, values), moved))
        return [next(tensors) if m else t for t, m in zip(self.inits, self.moving, strict=True)]

    def exits(self, results: Sequence[AnyTensor]) -> list[Value]:
        """The carried ones of the results of the body, whose block is the current one."""
        return own_values(self.ctx, self._moved(results), self.entries)

    def carries(self, exits: Sequence[Value]) -> tuple[Carry, ...]:
        return tuple(
            Carry(start, entry, exit, self.ctx.new_value(start.shape, start.dtype))
            for start, entry, exit in zip(self.starts, self.entries, exits, strict=True)
        )

    def results(self, carries: Sequence[Carry]) -> list[AnyTensor]:
        """The state after the loop."""
        return self._state([c.result for c in carries])


def _moving(body: ClosedJaxpr, consts: int, count: int) -> list[bool]:
    """Which of the ``count`` carried arguments the body does not merely return."""
    arguments = body.jaxpr.invars[consts : consts + count]
    return [a is not r for a, r in zip(arguments, body.jaxpr.outvars, strict=False)]


def lower_while(
    ctx: Lowering,
    condition: ClosedJaxpr,
    condition_consts: Sequence[AnyTensor],
    body: ClosedJaxpr,
    body_consts: Sequence[AnyTensor],
    inits: Sequence[AnyTensor],
) -> list[AnyTensor]:
    """Results of ``while condition(*consts, *state): state = body(*consts, *state)``."""
    source = ctx.source
    state = _State(ctx, inits, _moving(body, len(body_consts), len(inits)))
    with ctx.new_block() as condition_block:
        holds = real_parts(ctx.inline(condition, [*condition_consts, *state.inside]))
        (predicate,) = own_values(ctx, holds, [None])
    with ctx.new_block() as body_block:
        exits = state.exits(ctx.inline(body, [*body_consts, *state.inside]))
    carries = state.carries(exits)
    ctx.emit(While(condition_block, predicate, carries, body_block, source))
    return state.results(carries)


def lower_switch(
    ctx: Lowering, index: Tensor, branches: Sequence[ClosedJaxpr], operands: Sequence[AnyTensor]
) -> list[AnyTensor]:
    """Results of ``branches[index](*operands)``; ``index`` is an int32, clamped to the branches."""
    source = ctx.source
    if isinstance(index.source, Const):
        chosen = min(max(int(index.source.value), 0), len(branches) - 1)
        return ctx.inline(branches[chosen], operands)
    selector = ctx.value(index)
    blocks, outputs = [], []
    for branch in branches:
        with ctx.new_block() as block:
            results = real_parts(ctx.inline(branch, operands))
            outputs.append(tuple(own_values(ctx, results, [None] * len(results))))
        blocks.append(block)
    values = tuple(ctx.new_value(v.shape, v.dtype) for v in outputs[0])
    ctx.emit(If(selector, tuple(blocks), tuple(outputs), values, source))
    return from_parts(map(Tensor.whole, values), branches[0].out_avals)


def lower_scan(
    ctx: Lowering,
    body: ClosedJaxpr,
    consts: Sequence[AnyTensor],
    inits: Sequence[AnyTensor],
    xs: Sequence[AnyTensor],
    length: int,
    reverse: bool,
) -> list[AnyTensor]:
    """Final carries and stacked results of ``body(*consts, *carry, *x) -> (*carry, *y)``.

    ``xs`` are read at the counter; every ``y`` is scattered into a carried array at the counter
    (which the planner makes an update in place). From the last to the first with ``reverse``.
    """
    source, count = ctx.source, len(inits)
    y_avals = body.out_avals[count:]
    stacks = [_zeros(ctx, (length, *a.shape), stored_dtype(a.dtype)) for a in y_avals]
    if length == 0:
        return [*inits, *stacks]
    moving = [*_moving(body, len(consts), count), *(True for _ in stacks)]
    state = _State(ctx, [*inits, *stacks], moving)
    counter = ctx.new_value((), _COUNTER)
    step = dynamic_index(Load(counter, ()), 0, length - 1)
    now = (length - 1) - step if reverse else step
    with ctx.new_block() as block:
        rows = [_row(x, now) for x in xs]
        results = ctx.inline(body, [*consts, *state.inside[:count], *rows])
        ctx.source = source
        stacked = [
            _put(ctx, stack, now, y)
            for stack, y in zip(state.inside[count:], results[count:], strict=True)
        ]
        exits = state.exits([*results[:count], *stacked])
    carries = state.carries(exits)
    ctx.emit(For(length, counter, carries, block, source))
    return state.results(carries)


def _zeros(ctx: Lowering, shape: tuple[int, ...], dtype: np.dtype) -> AnyTensor:
    part = real_dtype(dtype)
    zeros = ctx.define(shape, part, lambda index: build.const(0, part))
    return ComplexTensor(zeros, zeros) if is_complex(dtype) else zeros


def _row(x: AnyTensor, now: Affine) -> AnyTensor:
    return x.view(x.shape[1:], lambda index: (now, *index))


def _put(ctx: Lowering, stack: AnyTensor, now: Affine, y: AnyTensor) -> AnyTensor:
    def put(stack: Tensor, y: Tensor) -> Tensor:
        return ctx.scatter(stack, y.shape, lambda index: (now, *index), y.at, unique=True)

    parts = zip(real_parts([stack]), real_parts([y]), strict=True)
    return from_parts([put(s, x) for s, x in parts], [stack])[0]
