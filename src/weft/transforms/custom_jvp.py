"""``custom_jvp``: functions with their own forward-mode rule, which reverse mode transposes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from weft import tree
from weft.core.avals import ShapedArray, aval_of
from weft.core.canonical import DerivativeRule
from weft.core.interpret import eval_closed, numpy_closed
from weft.core.jaxpr import ClosedJaxpr
from weft.core.linear import Zero
from weft.core.primitive import Primitive
from weft.core.staging import FunctionInfo, trace_to_jaxpr
from weft.core.trace import current_trace
from weft.primitives.arithmetic import add
from weft.primitives.shaping import instantiate
from weft.transforms.api import as_tangent
from weft.transforms.custom_function import (
    CustomFunction,
    F,
    FlatFun,
    ResultTypes,
    batched_fun,
    batched_jaxpr,
    check_closure,
    with_zeros,
    written_out,
)
from weft.transforms.functions import (
    at_user_line,
    check_callable,
    described,
    where_defined,
)
from weft.transforms.jvp import is_differentiable, tangent_aval
from weft.transforms.transpose import backward_pass

custom_jvp_call_p = Primitive("custom_jvp_call", multiple_results=True)


class CustomJvpCall(DerivativeRule):
    """A call of a flat function ``fun`` with its forward-mode rule.

    ``rule(primals, tangents) -> (outs, tangents_out)``, all flat; tangents may be ``Zero``.
    """

    def __init__(self, name: str, fun: FlatFun, rule: Callable[[list, list], tuple[list, list]]):
        self.name = name
        self.fun = fun
        self.jvp = rule

    def __repr__(self) -> str:
        return f"<{self.name} with its own jvp>"

    def stage(self, args: list[Any]) -> list[Any]:
        """Binds the call as an equation of the jaxpr that is being staged."""
        info = FunctionInfo(self.name, tuple, "custom_jvp")
        closed = trace_to_jaxpr(self.fun, [aval_of(a) for a in args], info)
        return custom_jvp_call_p.bind(
            *closed.consts,
            *args,
            jaxpr=closed.hoisted(),
            call=self,
            num_consts=len(closed.consts),
        )

    def batched(
        self, axis_size: int, dims: Sequence[int | None], tag: object = None
    ) -> CustomJvpCall:
        """The call over mapped axes; results have the axis first."""

        def rule(primals: list[Any], tangents: list[Any]) -> tuple[list[Any], list[Any]]:
            count = len(primals)
            zero_out: list[bool] = []
            moved = [d for d, t in zip(dims, tangents, strict=True) if type(t) is not Zero]

            def joined(*xs: Any) -> list[Any]:
                given = iter(xs[count:])
                own = [
                    Zero(tangent_aval(aval_of(p))) if type(t) is Zero else next(given)
                    for p, t in zip(xs, tangents, strict=False)
                ]
                outs, out_tangents = self.jvp(list(xs[:count]), own)
                values, zeros = written_out(out_tangents)
                zero_out.extend(zeros)
                return [*outs, *values]

            # A mapped primal has a mapped tangent: ``dims`` are those of both.
            flat = batched_fun(joined, axis_size, [*dims, *moved], tag)
            found = flat(*primals, *(t for t in tangents if type(t) is not Zero))
            outs, out_tangents = found[: len(zero_out)], found[len(zero_out) :]
            return outs, [
                Zero(tangent_aval(aval_of(t))) if zero else t
                for t, zero in zip(out_tangents, zero_out, strict=True)
            ]

        return CustomJvpCall(self.name, batched_fun(self.fun, axis_size, dims, tag), rule)


@custom_jvp_call_p.def_type
def _(*avals: ShapedArray, jaxpr: ClosedJaxpr, call: CustomJvpCall, num_consts: int) -> list:
    return jaxpr.out_avals


@custom_jvp_call_p.def_effects
def _(*, jaxpr: ClosedJaxpr, **params: Any) -> frozenset[str]:
    return jaxpr.effects


@custom_jvp_call_p.def_numpy
def _(*args: Any, jaxpr: ClosedJaxpr, call: CustomJvpCall, num_consts: int) -> list[Any]:
    return numpy_closed(jaxpr, *args)


@custom_jvp_call_p.def_lower_complex
@custom_jvp_call_p.def_lower
def _(ctx: Any, *args: Any, jaxpr: ClosedJaxpr, call: CustomJvpCall, num_consts: int) -> list[Any]:
    return ctx.inline(jaxpr, args)


@custom_jvp_call_p.def_eval
def _(*args: Any, jaxpr: ClosedJaxpr, call: CustomJvpCall, num_consts: int) -> list[Any]:
    return eval_closed(jaxpr, *args)


@custom_jvp_call_p.def_jvp
def _(
    primals: list[Any],
    tangents: list[Any],
    *,
    jaxpr: ClosedJaxpr,
    call: CustomJvpCall,
    num_consts: int,
) -> Any:
    check_closure("custom_jvp", call.name, tangents[:num_consts])
    return call.jvp(primals[num_consts:], tangents[num_consts:])


@custom_jvp_call_p.def_transpose
def _(
    cts: list[Any], *args: Any, jaxpr: ClosedJaxpr, call: CustomJvpCall, num_consts: int
) -> list[Any]:
    return backward_pass(jaxpr.jaxpr, [], list(args), cts)


@custom_jvp_call_p.def_batch
def _(
    axis_size: int,
    args: list[Any],
    dims: list[Any],
    *,
    jaxpr: ClosedJaxpr,
    call: CustomJvpCall,
    num_consts: int,
) -> Any:
    operands, derived = batched_jaxpr(jaxpr, axis_size, args, dims)
    call_dims = [None if d is None else 0 for d in dims[num_consts:]]
    outs = custom_jvp_call_p.bind(
        *derived.consts,
        *operands,
        jaxpr=derived.closed,
        call=call.batched(axis_size, call_dims),
        num_consts=len(derived.consts) + num_consts,
    )
    return outs, [0] * len(outs)


class custom_jvp(CustomFunction[F]):
    """A function with its own forward-mode rule, which reverse mode transposes.

    ``defjvp(rule)`` sets ``rule(primals, tangents) -> (result, tangent of the result)``; arguments
    listed in ``nondiff_argnums`` or ``nondiff_argnames`` come before ``primals``.
    With ``defjvp(rule, symbolic_zeros=True)`` tangents that are known to be zero are objects of
    type ``weft.custom_derivatives.SymbolicZero``, without values, and the rule may return such.
    ``defjvps(*rules)`` sets one rule ``(t, result, *primals)`` for each argument, or None.

    >>> @weft.custom_jvp
    ... def f(x):
    ...     return np.sin(x)
    >>> @f.defjvp
    ... def f_jvp(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return f(x), np.cos(x) * t
    """

    kind = "custom_jvp"

    def __init__(
        self,
        fun: F,
        nondiff_argnums: Sequence[int] | int = (),
        nondiff_argnames: Sequence[str] | str = (),
    ):
        super().__init__(fun, nondiff_argnums, nondiff_argnames)
        self.rule: Callable[..., Any] | None = None
        self.symbolic_zeros = False

    def defjvp(self, jvp: Callable[..., Any], symbolic_zeros: bool = False) -> Callable[..., Any]:
        """Sets the rule; usable as a decorator."""
        check_callable("custom_jvp", jvp)
        self.rule, self.symbolic_zeros = jvp, symbolic_zeros
        return jvp

    def defjvps(self, *rules: Callable[..., Any] | None) -> None:
        """Sets a rule for each argument: ``(t, result, *primals) -> tangent``, None for zero."""
        if self.nondiff_argnums:
            raise TypeError("defjvps cannot be used with nondiff_argnums; use defjvp")

        def rule(primals: Any, tangents: Any) -> tuple[Any, Any]:
            result = self(*primals)
            parts = [
                r(t, result, *primals)
                for r, t in zip(rules, tangents, strict=True)
                if r is not None
            ]
            zeros = tree.map(lambda x: instantiate(Zero(tangent_aval(aval_of(x)))), result)
            return result, functools.reduce(lambda a, b: tree.map(add, a, b), parts, zeros)

        self.rule, self.symbolic_zeros = rule, False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.rule is None:
            raise TypeError(f"custom_jvp '{self.name}' has no rule yet: give one with defjvp")
        args = self.positional(args, kwargs)
        nondiff, diff = self.split(args)
        leaves, treedef = self.flat_arguments(diff, len(args))
        out_defs: list[tree.PyTreeSpec] = []

        def fun(*xs: Any) -> list[Any]:
            result = self.fun(*self.merged(nondiff, tree.unflatten(treedef, xs)))
            outs, out_def = self.flatten_result("result", result, None)
            out_defs.append(out_def)
            types.note(xs, out_def, outs)
            return outs

        types = ResultTypes(self.kind, self.name, fun)

        def rule(primals: list[Any], tangents: list[Any]) -> tuple[list[Any], list[Any]]:
            assert self.rule is not None
            given = with_zeros(tangents, list(map(aval_of, primals)), self.symbolic_zeros)
            pair = self.rule(
                *nondiff, tree.unflatten(treedef, primals), tree.unflatten(treedef, given)
            )
            if not (isinstance(pair, tuple | list) and len(pair) == 2):
                raise TypeError(
                    f"custom_jvp '{self.name}': the rule must return a pair (result, tangent), got "
                    f"{described(pair)} from {where_defined(self.rule)}{at_user_line()}"
                )
            outs, out_def = self.flatten_result("result", pair[0], None)
            types.check(primals, out_def, outs, self.rule)
            moved, _ = self.flatten_result("the tangent", pair[1], out_def)
            what = f"custom_jvp '{self.name}': the tangent that the rule returns for"
            names = tree.path_names(out_def, "result")
            avals = [tangent_aval(aval_of(o)) for o in outs]
            return outs, [
                as_tangent(t, a, f"{what} {name}") if is_differentiable(a) else Zero(a)
                for t, a, name in zip(moved, avals, names, strict=True)
            ]

        call = CustomJvpCall(self.name, fun, rule)
        outs = current_trace().process_custom_jvp(call, leaves)
        return tree.unflatten(out_defs[0], outs)
