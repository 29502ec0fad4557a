"""``checkpoint``: keep a function's arguments for the backward pass, not its intermediate values.

The call is one equation, ``checkpoint``. Linearizing it computes the results and stages the whole
derivative, which starts from the arguments and the values that a policy keeps; transposing that
computes the other intermediate values again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from weft.core.avals import ShapedArray, aval_of
from weft.core.canonical import DerivativeRule
from weft.core.interpret import eval_closed, eval_jaxpr, numpy_closed
from weft.core.jaxpr import ClosedJaxpr, Eqn, Jaxpr, dce
from weft.core.linear import UndefPrimal, Zero, is_undef
from weft.core.primitive import Primitive
from weft.core.staging import StagingTrace, trace_to_jaxpr
from weft.core.trace import Trace, Tracer, current_trace, set_trace
from weft.primitives.shaping import instantiate
from weft.transforms.call import check_operands, jit_p
from weft.transforms.checkpoint_policies import Policy
from weft.transforms.closed import (
    Mask,
    Split,
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
from weft.transforms.jvp import is_differentiable, tangent_aval
from weft.transforms.linearize import PartialTrace, linearize_flat
from weft.transforms.transpose import backward_pass

checkpoint_p = Primitive("checkpoint", multiple_results=True)


@checkpoint_p.def_type
def _(*avals: ShapedArray, jaxpr: ClosedJaxpr, **params: Any) -> list[ShapedArray]:
    check_operands("checkpoint", jaxpr, avals)
    return jaxpr.out_avals


@checkpoint_p.def_effects
def _(*, jaxpr: ClosedJaxpr, **params: Any) -> frozenset[str]:
    return jaxpr.effects


@checkpoint_p.def_numpy
def _(*args: Any, jaxpr: ClosedJaxpr, **params: Any) -> list[Any]:
    return numpy_closed(jaxpr, *args)


@checkpoint_p.def_lower_complex
@checkpoint_p.def_lower
def _(ctx: Any, *args: Any, jaxpr: ClosedJaxpr, **params: Any) -> list[Any]:
    if not params["prevent_cse"]:
        return ctx.inline(jaxpr, args)
    with ctx.computed_anew():
        return ctx.inline(jaxpr, args)


@checkpoint_p.def_eval
def _(*args: Any, jaxpr: ClosedJaxpr, **params: Any) -> list[Any]:
    return eval_closed(jaxpr, *args)


@checkpoint_p.def_jvp
def _(primals: list[Any], tangents: list[Any], *, jaxpr: ClosedJaxpr, **params: Any) -> Any:
    derived = jvp_closed(jaxpr, moved_of(tangents))
    operands = [*derived.consts, *primals, *present(tangents)]
    outs = checkpoint_p.bind(*operands, jaxpr=derived.closed, **params)
    count = len(jaxpr.out_avals)
    return outs[:count], spread(outs[count:], derived.outs, jaxpr.out_avals)


@checkpoint_p.def_partial_eval
def _(
    trace: Any, args: list[Any], unknown: list[bool], *, jaxpr: ClosedJaxpr, **params: Any
) -> list[Any]:
    mask, rule = tuple(unknown), params["policy"]
    key = "kept", mask, None if rule is None else rule.policy
    parts = jaxpr.memo(key, lambda: _keeping(jaxpr, mask, rule))
    split = parts.split
    count = split.out_unknown.count(False)
    known_args = [a for a, u in zip(args, unknown, strict=True) if not u]
    values = eval_closed(parts.known, *split.known_consts, *known_args)
    known = iter(values[:count])
    operands = [*parts.rest.consts, *values[count:], *split.known_consts, *known_args]
    operands += [a for a, u in zip(args, unknown, strict=True) if u]
    staged = iter(trace.stage(checkpoint_p, operands, {"jaxpr": parts.rest.hoisted(), **params}))
    return [next(staged) if u else next(known) for u in split.out_unknown]


class Kept(DerivativeRule):
    """The policy of a checkpoint, as a parameter."""

    __slots__ = ("policy",)

    def __init__(self, policy: Policy):
        self.policy = policy

    def __repr__(self) -> str:
        return getattr(self.policy, "__name__", None) or repr(self.policy)


class _Parts(NamedTuple):
    """A checkpointed jaxpr in two: ``known`` gives the known results and the values that are kept;
    ``rest`` takes those and all arguments, and gives the unknown results."""

    split: Split
    known: ClosedJaxpr
    rest: ClosedJaxpr


def _keeping(closed: ClosedJaxpr, unknown: Mask, rule: Kept | None) -> _Parts:
    split = split_closed(closed, unknown)
    jaxpr = split.known.jaxpr
    chosen = [] if rule is None else [e for e in jaxpr.eqns if _is_kept(rule.policy, e)]
    kept = [v for eqn in chosen for v in eqn.outvars]
    count = split.out_unknown.count(False)
    outvars = [*jaxpr.outvars[:count], *kept]
    known = dce(Jaxpr([], jaxpr.invars, outvars, jaxpr.eqns, None, jaxpr.debug_name))
    # Effects have happened with the known part.
    again = [e for e in jaxpr.eqns if e not in chosen and not e.effects]
    replay = Jaxpr([], [*kept, *jaxpr.invars], jaxpr.outvars, again, None, jaxpr.debug_name)
    known_count = len(kept) + len(jaxpr.invars)

    def rest(*args: Any) -> list[Any]:
        values = eval_jaxpr(replay, (), *args[:known_count])
        known_args = args[len(kept) + len(split.known_consts) : known_count]
        residuals = split.residual_values(known_args, values)
        return eval_closed(split.unknown, *split.unknown_consts, *residuals, *args[known_count:])

    avals = [v.aval for v in replay.invars]
    avals += [a for a, u in zip(closed.in_avals, unknown, strict=True) if u]
    return _Parts(
        split, ClosedJaxpr(known), trace_to_jaxpr(rest, avals, info_of(closed, "checkpoint"))
    )


def _is_kept(policy: Policy, eqn: Eqn) -> bool:
    return bool(policy(eqn.primitive, *(v.aval for v in eqn.invars), **eqn.params))


def _inlined(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The jaxpr with calls of jitted functions replaced by their equations, for policies to see."""

    def run(part: ClosedJaxpr, args: Sequence[Any]) -> list[Any]:
        trace = InliningTrace(current_trace())
        with set_trace(trace):
            return eval_closed(part, *args)

    info = info_of(closed, "checkpoint")
    return trace_to_jaxpr(lambda *args: run(closed, args), closed.in_avals, info)


class InliningTrace(Trace):
    """Evaluates calls of jitted functions equation by equation; gives the rest to ``parent``."""

    def __init__(self, parent: Trace):
        self.parent = parent

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        if primitive is jit_p:
            return eval_closed(params["jaxpr"], *args)
        with set_trace(self.parent):
            return primitive.bind(*args, **params)


@checkpoint_p.def_transpose
def _(cts: list[Any], *args: Any, jaxpr: ClosedJaxpr, **params: Any) -> list[Any]:
    linear, given = tuple(map(is_undef, args)), moved_of(cts)
    backward = jaxpr.memo(("checkpoint", linear, given), lambda: _backward(jaxpr, linear, given))
    known = [a for a in args if not is_undef(a)]
    operands = [*backward.consts, *known, *present(cts)]
    outs = iter(checkpoint_p.bind(*operands, jaxpr=backward.hoisted(), **params))
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
def _(
    axis_size: int, args: list[Any], dims: list[Any], *, jaxpr: ClosedJaxpr, **params: Any
) -> Any:
    operands, mapped = mapped_first(axis_size, args, dims)
    derived = batch_closed(jaxpr, axis_size, mapped)
    outs = checkpoint_p.bind(*derived.consts, *operands, jaxpr=derived.closed, **params)
    return outs, [0 if m else None for m in derived.outs]


def checkpoint(
    fun: Callable[..., Any],
    *,
    prevent_cse: bool = True,
    policy: Policy | None = None,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
) -> Callable[..., Any]:
    """The same function; its intermediate values are computed again for gradients, not kept.

    Saves memory for time: only arguments are kept until the backward pass, and what the policy
    says.

    Parameters
    ----------
    policy: one of ``weft.checkpoint_policies``, or a function ``(primitive, *avals, **params) ->
        bool``: are the results of such an equation kept?
    prevent_cse: with False, the compiler may find that the values exist already; for functions that
        are called in a loop, where it cannot.
    static_argnums: positional arguments that are Python values rather than arrays.
    static_argnames: keyword arguments that are.

    >>> loss = lambda w, x: weft.checkpoint(layer)(w, x).sum()
    >>> keep = weft.checkpoint_policies.dots_saveable
    >>> loss = lambda w, x: weft.checkpoint(layer, policy=keep)(w, x).sum()
    """
    check_callable("checkpoint", fun)
    if policy is not None and not callable(policy):
        raise TypeError(
            f"checkpoint: policy is a function, such as those of weft.checkpoint_policies, got "
            f"{policy!r}"
        )
    static = (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)
    names = {static_argnames} if isinstance(static_argnames, str) else set(static_argnames)
    rule = None if policy is None else Kept(policy)

    @functools.wraps(fun)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        places = {n % len(args) for n in static}
        fixed = {n: v for n, v in kwargs.items() if n in names}
        kwargs = {n: v for n, v in kwargs.items() if n not in names}

        @functools.wraps(fun)
        def of_arrays(*arrays: Any, **named: Any) -> Any:
            given = iter(arrays)
            full = [a if i in places else next(given) for i, a in enumerate(args)]
            return fun(*full, **named, **fixed)

        arrays = [a for i, a in enumerate(args) if i not in places]
        target = of_arrays if places or fixed else fun
        flat, leaves = flat_function("checkpoint", target, arrays, kwargs)
        closed = trace_to_jaxpr(flat, [aval_of(x) for x in leaves], flat.info)
        consts, inner = closed.consts, closed.hoisted()
        if rule is not None:
            inner = _inlined(inner)
        outs = checkpoint_p.bind(
            *consts, *leaves, jaxpr=inner, policy=rule, prevent_cse=prevent_cse
        )
        return flat.unflatten(outs)

    return checkpointed


remat = checkpoint


def print_saved_residuals(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Prints the values that the gradient of ``fun`` at these arguments keeps, one a line.

    >>> from weft.ad_checkpoint import print_saved_residuals
    >>> print_saved_residuals(lambda x: np.sin(x) * 2.0, 1.0)  # doctest: +ELLIPSIS
    f32[] It depends on the argument x. It was computed at ...
    """
    flat, leaves = flat_function("print_saved_residuals", fun, args, kwargs)
    lines: list[str] = []

    def traced(*xs: Any) -> list[Any]:
        moved = [is_differentiable(aval_of(x)) for x in xs]
        lin = linearize_flat(flat, xs, moved, flat.info)
        for value in lin.linear.consts:
            traced_here = isinstance(value, Tracer)
            origin = value._trace.describe_tracer(value) if traced_here else "It is a constant."
            lines.append(f"{aval_of(value)} {origin}")
        return lin.primals_out

    trace_to_jaxpr(traced, [aval_of(x) for x in leaves], flat.info)
    print("\n".join(lines))
