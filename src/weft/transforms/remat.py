"""``checkpoint``: keep a function's arguments for the backward pass, not its intermediate values.

The call is one equation, ``checkpoint``. Linearizing it computes the results and stages the whole
derivative, which starts from the arguments; transposing that computes the intermediate values
again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from weft.core.avals import ShapedArray, aval_of
from weft.core.interpret import eval_closed, numpy_closed
from weft.core.jaxpr import ClosedJaxpr
from weft.core.linear import UndefPrimal, Zero, is_undef
from weft.core.primitive import Primitive
from weft.core.staging import StagingTrace, trace_to_jaxpr
from weft.core.trace import current_trace, set_trace
from weft.primitives.shaping import instantiate
from weft.transforms.call import check_operands
from weft.transforms.closed import (
    Mask,
    batch_closed,
    info_of,
    jvp_closed,
    mapped_first,
    moved_of,
    present,
    split_closed,
    spread,
)
from weft.transforms.functions import check_callable, flat_function
from weft.transforms.jvp import tangent_aval
from weft.transforms.linearize import PartialTrace
from weft.transforms.transpose import backward_pass

checkpoint_p = Primitive("checkpoint", multiple_results=True)


@checkpoint_p.def_type
def _(*avals: ShapedArray, jaxpr: ClosedJaxpr) -> list[ShapedArray]:
    check_operands("checkpoint", jaxpr, avals)
    return jaxpr.out_avals


@checkpoint_p.def_effects
def _(*, jaxpr: ClosedJaxpr) -> frozenset[str]:
    return jaxpr.effects


@checkpoint_p.def_numpy
def _(*args: Any, jaxpr: ClosedJaxpr) -> list[Any]:
    return numpy_closed(jaxpr, *args)


@checkpoint_p.def_lower_complex
@checkpoint_p.def_lower
def _(ctx: Any, *args: Any, jaxpr: ClosedJaxpr) -> list[Any]:
    with ctx.computed_anew():
        return ctx.inline(jaxpr, args)


@checkpoint_p.def_eval
def _(*args: Any, jaxpr: ClosedJaxpr) -> list[Any]:
    return eval_closed(jaxpr, *args)


@checkpoint_p.def_jvp
def _(primals: list[Any], tangents: list[Any], *, jaxpr: ClosedJaxpr) -> Any:
    derived = jvp_closed(jaxpr, moved_of(tangents))
    operands = [*derived.consts, *primals, *present(tangents)]
    outs = checkpoint_p.bind(*operands, jaxpr=derived.closed)
    count = len(jaxpr.out_avals)
    return outs[:count], spread(outs[count:], derived.outs, jaxpr.out_avals)


@checkpoint_p.def_partial_eval
def _(trace: Any, args: list[Any], unknown: list[bool], *, jaxpr: ClosedJaxpr) -> list[Any]:
    split = split_closed(jaxpr, tuple(unknown))
    count = split.out_unknown.count(False)
    known_args = [a for a, u in zip(args, unknown, strict=True) if not u]
    # The residuals are dropped: known results now, everything again in the backward pass.
    known = iter(eval_closed(split.known, *split.known_consts, *known_args)[:count])
    staged = iter(trace.stage(checkpoint_p, args, {"jaxpr": _only(jaxpr, split.out_unknown)}))
    return [next(staged) if u else next(known) for u in split.out_unknown]


def _only(closed: ClosedJaxpr, wanted: Mask) -> ClosedJaxpr:
    """The jaxpr with some of its results."""

    def fun(*args: Any) -> list[Any]:
        outs = eval_closed(closed, *args)
        return [out for out, w in zip(outs, wanted, strict=True) if w]

    return closed.memo(
        ("only", wanted),
        lambda: trace_to_jaxpr(fun, closed.in_avals, info_of(closed, "checkpoint")),
    )


@checkpoint_p.def_transpose
def _(cts: list[Any], *args: Any, jaxpr: ClosedJaxpr) -> list[Any]:
    linear, given = tuple(map(is_undef, args)), moved_of(cts)
    backward = jaxpr.memo(("checkpoint", linear, given), lambda: _backward(jaxpr, linear, given))
    known = [a for a in args if not is_undef(a)]
    operands = [*backward.consts, *known, *present(cts)]
    outs = iter(checkpoint_p.bind(*operands, jaxpr=backward.hoisted()))
    return [next(outs) if lin else None for lin in linear]


def _backward(jaxpr: ClosedJaxpr, linear: Mask, given: Mask) -> ClosedJaxpr:
    """Computes the intermediate values from the known arguments, then the cotangents."""
    info = info_of(jaxpr, "grad")

    def fun(*args: Any) -> list[Any]:
        values = iter(args)
        known = [None if lin else next(values) for lin in linear]
        cts = [
            next(values) if g else Zero(tangent_aval(a))
            for a, g in zip(jaxpr.out_avals, given, strict=True)
        ]
        staging = StagingTrace(info)
        partial = PartialTrace(current_trace(), staging)
        inputs = [
            staging.new_arg(tangent_aval(a)) if lin else x
            for a, x, lin in zip(jaxpr.in_avals, known, linear, strict=True)
        ]
        with set_trace(partial):
            outs = eval_closed(jaxpr, *inputs)
            linear_part = staging.finish(outs)
        partial.finished = True
        undefined = [UndefPrimal(v.aval) for v in linear_part.jaxpr.invars]
        found = backward_pass(linear_part.jaxpr, linear_part.consts, undefined, cts)
        return list(map(instantiate, found))

    in_avals = [a for a, lin in zip(jaxpr.in_avals, linear, strict=True) if not lin]
    in_avals += [tangent_aval(a) for a, g in zip(jaxpr.out_avals, given, strict=True) if g]
    return trace_to_jaxpr(fun, in_avals, info)


@checkpoint_p.def_batch
def _(axis_size: int, args: list[Any], dims: list[Any], *, jaxpr: ClosedJaxpr) -> Any:
    operands, mapped = mapped_first(axis_size, args, dims)
    derived = batch_closed(jaxpr, axis_size, mapped)
    outs = checkpoint_p.bind(*derived.consts, *operands, jaxpr=derived.closed)
    return outs, [0 if m else None for m in derived.outs]


def checkpoint(fun: Callable[..., Any]) -> Callable[..., Any]:
    """The same function; its intermediate values are computed again for gradients, not kept.

    Saves memory for time: only arguments are kept until the backward pass.

    >>> loss = lambda w, x: weft.checkpoint(layer)(w, x).sum()
    """
    check_callable("checkpoint", fun)

    @functools.wraps(fun)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        flat, leaves = flat_function("checkpoint", fun, args, kwargs)
        closed = trace_to_jaxpr(flat, [aval_of(x) for x in leaves], flat.info)
        outs = checkpoint_p.bind(*closed.consts, *leaves, jaxpr=closed.hoisted())
        return flat.unflatten(outs)

    return checkpointed


remat = checkpoint
