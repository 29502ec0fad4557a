"""``custom_vjp``: functions with their own reverse-mode rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from weft import tree
from weft.core.avals import ShapedArray, aval_of
from weft.core.canonical import DerivativeRule
from weft.core.interpret import eval_closed, numpy_closed
from weft.core.jaxpr import ClosedJaxpr
from weft.core.linear import Zero, is_undef, is_zero
from weft.core.primitive import Primitive
from weft.core.staging import FunctionInfo, trace_to_jaxpr
from weft.core.trace import current_trace
from weft.primitives.reduction import reduce_sum
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
    positional_names,
    where_defined,
)
from weft.transforms.jvp import is_differentiable, tangent_aval
from weft.transforms.vmap import place_axis

custom_vjp_call_p = Primitive("custom_vjp_call", multiple_results=True)
custom_lin_p = Primitive("custom_lin", multiple_results=True)


class CustomVjpCall(DerivativeRule):
    """A call of a flat function with its reverse-mode rule.

    ``fwd(args, perturbed) -> (outs, residuals)`` and ``bwd(residuals, cts) -> cts_in``, all flat;
    ``perturbed`` says which arguments have a tangent, and cotangents may be ``Zero``.
    """

    def __init__(
        self,
        name: str,
        fun: FlatFun,
        fwd: Callable[[list, Sequence[bool]], tuple[list, list]],
        bwd: Callable[[list, list], list],
    ):
        self.name = name
        self.fun = fun
        self.fwd = fwd
        self.bwd = bwd

    def __repr__(self) -> str:
        return f"<{self.name} with its own vjp>"

    def linearized(self, primals: list[Any], tangents: list[Any]) -> tuple[list[Any], list[Any]]:
        """Results and tangents of results; the latter only as something to transpose."""
        outs, residuals = self.fwd(primals, [type(t) is not Zero for t in tangents])
        out_avals = tuple(tangent_aval(aval_of(o)) for o in outs)
        moved = custom_lin_p.bind(
            *residuals,
            *map(instantiate, tangents),
            call=self,
            num_residuals=len(residuals),
            out_avals=out_avals,
        )
        given = iter(moved)
        return outs, [next(given) if is_differentiable(a) else Zero(a) for a in out_avals]

    def stage(self, args: list[Any]) -> list[Any]:
        """Binds the call as an equation of the jaxpr that is being staged."""
        info = FunctionInfo(self.name, tuple, "custom_vjp")
        closed = trace_to_jaxpr(self.fun, [aval_of(a) for a in args], info)
        return custom_vjp_call_p.bind(
            *closed.consts,
            *args,
            jaxpr=closed.hoisted(),
            call=self,
            num_consts=len(closed.consts),
        )

    def batched(
        self, axis_size: int, dims: Sequence[int | None], tag: object = None
    ) -> CustomVjpCall:
        """The call over mapped axes; results and residuals have the axis first."""

        def fwd(args: list, perturbed: Sequence[bool]) -> tuple[list[Any], list[Any]]:
            counts: list[int] = []

            def joined(*xs: Any) -> list[Any]:
                outs, residuals = self.fwd(list(xs), perturbed)
                counts.append(len(outs))
                return [*outs, *residuals]

            values = batched_fun(joined, axis_size, dims, tag)(*args)
            return values[: counts[0]], values[counts[0] :]

        def bwd(residuals: list[Any], cts: list[Any]) -> list[Any]:
            count = len(residuals)
            present = [ct for ct in cts if type(ct) is not Zero]
            zero_in: list[bool] = []

            def joined(*xs: Any) -> list[Any]:
                given = iter(xs[count:])
                own = [Zero(_element(ct.aval)) if type(ct) is Zero else next(given) for ct in cts]
                values, zeros = written_out(self.bwd(list(xs[:count]), own))
                zero_in.extend(zeros)
                return values

            flat = batched_fun(joined, axis_size, [0] * (count + len(present)), tag)
            found = flat(*residuals, *present)
            return [_placed(*item, axis_size) for item in zip(found, zero_in, dims, strict=True)]

        return CustomVjpCall(self.name, batched_fun(self.fun, axis_size, dims, tag), fwd, bwd)


def _element(aval: ShapedArray) -> ShapedArray:
    """The type of one element along the mapped first axis."""
    return aval.update(shape=aval.shape[1:])


def _placed(ct: Any, is_zero: bool, dim: int | None, axis_size: int) -> Any:
    """A cotangent with its mapped axis first, as that of an argument mapped at ``dim``."""
    if dim is None:  # an argument that is not mapped gets the sum over the axis
        return Zero(_element(aval_of(ct))) if is_zero else reduce_sum(ct, (0,))
    moved = place_axis(ct, axis_size, 0, dim)
    return Zero(aval_of(moved)) if is_zero else moved


@custom_vjp_call_p.def_type
def _(*avals: ShapedArray, jaxpr: ClosedJaxpr, call: CustomVjpCall, num_consts: int) -> list:
    return jaxpr.out_avals


@custom_vjp_call_p.def_effects
def _(*, jaxpr: ClosedJaxpr, **params: Any) -> frozenset[str]:
    return jaxpr.effects


@custom_vjp_call_p.def_numpy
def _(*args: Any, jaxpr: ClosedJaxpr, call: CustomVjpCall, num_consts: int) -> list[Any]:
    return numpy_closed(jaxpr, *args)


@custom_vjp_call_p.def_lower_complex
@custom_vjp_call_p.def_lower
def _(ctx: Any, *args: Any, jaxpr: ClosedJaxpr, call: CustomVjpCall, num_consts: int) -> list[Any]:
    return ctx.inline(jaxpr, args)


@custom_vjp_call_p.def_eval
def _(*args: Any, jaxpr: ClosedJaxpr, call: CustomVjpCall, num_consts: int) -> list[Any]:
    return eval_closed(jaxpr, *args)


@custom_vjp_call_p.def_jvp
def _(
    primals: list[Any],
    tangents: list[Any],
    *,
    jaxpr: ClosedJaxpr,
    call: CustomVjpCall,
    num_consts: int,
) -> Any:
    check_closure("custom_vjp", call.name, tangents[:num_consts])
    return call.linearized(primals[num_consts:], tangents[num_consts:])


@custom_vjp_call_p.def_batch
def _(
    axis_size: int,
    args: list[Any],
    dims: list[Any],
    *,
    jaxpr: ClosedJaxpr,
    call: CustomVjpCall,
    num_consts: int,
) -> Any:
    operands, derived = batched_jaxpr(jaxpr, axis_size, args, dims)
    call_dims = [None if d is None else 0 for d in dims[num_consts:]]
    outs = custom_vjp_call_p.bind(
        *derived.consts,
        *operands,
        jaxpr=derived.closed,
        call=call.batched(axis_size, call_dims),
        num_consts=len(derived.consts) + num_consts,
    )
    return outs, [0] * len(outs)


@custom_lin_p.def_type
def _(
    *avals: ShapedArray,
    call: CustomVjpCall,
    num_residuals: int,
    out_avals: tuple[ShapedArray, ...],
) -> list[ShapedArray]:
    return [a for a in out_avals if is_differentiable(a)]


def _forward_mode_error(call: CustomVjpCall) -> NoReturn:
    raise TypeError(
        f"forward-mode differentiation (jvp, jacfwd, linearize called forwards) of '{call.name}', "
        "which has a custom_vjp rule only: its derivative is known backwards. Use grad, vjp or "
        "jacrev, or define it with custom_jvp, which gives both directions"
    )


@custom_lin_p.def_numpy
def _(*args: Any, call: CustomVjpCall, **params: Any) -> NoReturn:
    _forward_mode_error(call)


@custom_lin_p.def_eval
def _(*args: Any, call: CustomVjpCall, **params: Any) -> NoReturn:
    _forward_mode_error(call)


@custom_lin_p.def_jvp
def _(primals: Any, tangents: Any, *, call: CustomVjpCall, **params: Any) -> NoReturn:
    _forward_mode_error(call)


@custom_lin_p.def_batch
def _(axis_size: int, args: Any, dims: Any, *, call: CustomVjpCall, **params: Any) -> NoReturn:
    _forward_mode_error(call)


@custom_lin_p.def_transpose
def _(
    cts: list[Any],
    *args: Any,
    call: CustomVjpCall,
    num_residuals: int,
    out_avals: tuple[ShapedArray, ...],
) -> list[Any]:
    residuals, linear = list(args[:num_residuals]), args[num_residuals:]
    given = iter(cts)
    full = [next(given) if is_differentiable(a) else Zero(a) for a in out_avals]
    found = call.bwd(residuals, full)
    return [
        *(None for _ in residuals),
        *(ct if is_undef(arg) else None for ct, arg in zip(found, linear, strict=True)),
    ]


class CustomVJPPrimal:
    """An argument of a ``fwd`` with ``symbolic_zeros``: its value, and whether it has a tangent."""

    __slots__ = ("perturbed", "value")

    def __init__(self, value: Any, perturbed: bool):
        self.value = value
        self.perturbed = perturbed

    def __repr__(self) -> str:
        return f"CustomVJPPrimal({self.value!r}, perturbed={self.perturbed})"


def _leaves_or_none(value: Any, spec: tree.PyTreeSpec) -> list[Any] | None:
    """The leaves of a tree of a structure in which None stands for any part; None for no such."""
    given, given_def = tree.flatten(value, lambda x: x is None)
    try:
        parts = given_def.flatten_up_to(tree.unflatten(spec, range(spec.num_leaves)))
    except ValueError:
        return None
    found: list[Any] = []
    for leaf, part in zip(given, parts, strict=True):
        if leaf is not None and not isinstance(part, int):
            return None
        found += [leaf] * len(tree.leaves(part))
    return found


class custom_vjp(CustomFunction[F]):
    """A function with its own reverse-mode rule.

    ``defvjp(fwd, bwd)``: ``fwd(*args) -> (result, residuals)`` with the arguments of the
    function, and ``bwd(residuals, cotangent) -> cotangents``, a tuple with one for each argument
    that is differentiated (None for zero, also of a part). Arguments listed in
    ``nondiff_argnums`` or ``nondiff_argnames`` come first in ``bwd``.

    With ``defvjp(fwd, bwd, symbolic_zeros=True)``, ``fwd`` gets arrays as ``CustomVJPPrimal``,
    whose ``perturbed`` says whether it is differentiated and which has the array as ``value``, and
    cotangents that are known to be zero are ``SymbolicZero``, without values; ``bwd`` may return
    such (both are in ``weft.custom_derivatives``).

    >>> @weft.custom_vjp
    ... def clip_gradient(x):
    ...     return x
    >>> clip_gradient.defvjp(lambda x: (x, None), lambda _, ct: (np.clip(ct, -1, 1),))
    """

    kind = "custom_vjp"

    def __init__(
        self,
        fun: F,
        nondiff_argnums: Sequence[int] | int = (),
        nondiff_argnames: Sequence[str] | str = (),
    ):
        super().__init__(fun, nondiff_argnums, nondiff_argnames)
        self.fwd: Callable[..., Any] | None = None
        self.bwd: Callable[..., Any] | None = None
        self.symbolic_zeros = False

    def defvjp(
        self,
        fwd: Callable[..., Any],
        bwd: Callable[..., Any],
        symbolic_zeros: bool = False,
        optimize_remat: bool = False,
    ) -> None:
        """Sets the forward and the backward function.

        ``optimize_remat`` is there for JAX's sake: inside ``checkpoint``, what only residuals need
        is left out of the forward pass in any case.
        """
        check_callable("custom_vjp", fwd)
        check_callable("custom_vjp", bwd)
        self.fwd, self.bwd, self.symbolic_zeros = fwd, bwd, symbolic_zeros

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.fwd is None or self.bwd is None:
            raise TypeError(f"custom_vjp '{self.name}' has no rule yet: give one with defvjp")
        args = self.positional(args, kwargs)
        nondiff, diff = self.split(args)
        leaves, treedef = self.flat_arguments(diff, len(args))
        avals = [aval_of(x) for x in leaves]
        out_defs: list[tree.PyTreeSpec] = []
        residual_defs: list[tree.PyTreeSpec] = []

        def fun(*xs: Any) -> list[Any]:
            result = self.fun(*self.merged(nondiff, tree.unflatten(treedef, xs)))
            outs, out_def = self.flatten_result("result", result, None)
            out_defs.append(out_def)
            types.note(xs, out_def, outs)
            return outs

        types = ResultTypes(self.kind, self.name, fun)

        def fwd(xs: list[Any], perturbed: Sequence[bool]) -> tuple[list[Any], list[Any]]:
            assert self.fwd is not None
            given = list(map(CustomVJPPrimal, xs, perturbed)) if self.symbolic_zeros else xs
            pair = self.fwd(*self.merged(nondiff, tree.unflatten(treedef, given)))
            if not (isinstance(pair, tuple | list) and len(pair) == 2):
                raise TypeError(
                    f"custom_vjp '{self.name}': fwd must return a pair (result, residuals), got "
                    f"{described(pair)} from {where_defined(self.fwd)}{at_user_line()}"
                )
            outs, out_def = self.flatten_result("result", pair[0], None)
            types.check(xs, out_def, outs, self.fwd)
            residuals, residual_def = self.flatten_result("residuals", pair[1], None)
            residual_defs.append(residual_def)
            return outs, residuals

        def bwd(residuals: list[Any], cts: list[Any]) -> list[Any]:
            assert self.bwd is not None
            ct_avals = [ct.aval if is_zero(ct) else aval_of(ct) for ct in cts]
            given = with_zeros(cts, ct_avals, self.symbolic_zeros)
            found = self.bwd(
                *nondiff,
                tree.unflatten(residual_defs[-1], residuals),
                tree.unflatten(out_defs[-1], given),
            )
            return self._cotangents(found, treedef, avals)

        call = CustomVjpCall(self.name, fun, fwd, bwd)
        outs = current_trace().process_custom_vjp(call, leaves)
        return tree.unflatten(out_defs[0], outs)

    def _cotangents(
        self, found: Any, treedef: tree.PyTreeSpec, avals: Sequence[ShapedArray]
    ) -> list[Any]:
        """What ``bwd`` returns, one cotangent for each leaf; None stands for zeros."""
        count = treedef.num_children
        everything = positional_names(self.fun, count + len(self.nondiff_argnums))
        names = [n for i, n in enumerate(everything) if i not in self.nondiff_argnums]
        assert self.bwd is not None
        if not isinstance(found, tuple | list) or len(found) != count:
            got = len(found) if isinstance(found, tuple | list) else described(found)
            raise TypeError(
                f"custom_vjp '{self.name}': bwd must return a tuple of {count} cotangents, one "
                f"for each argument ({', '.join(names)}), got {got} from {where_defined(self.bwd)}"
                f"{at_user_line()}"
            )
        cts: list[Any] = []
        start = 0
        for number, (value, spec) in enumerate(zip(found, treedef.children(), strict=True)):
            own = avals[start : start + spec.num_leaves]
            start += spec.num_leaves
            leaves = _leaves_or_none(value, spec)
            if leaves is None:
                got = tree.describe(tree.structure(value))
                raise TypeError(
                    f"custom_vjp '{self.name}': bwd returned {got} as the cotangent of "
                    f"{names[number]}, which has the structure {tree.describe(spec)}; it is "
                    f"{where_defined(self.bwd)}{at_user_line()}"
                )
            what = f"custom_vjp '{self.name}': the cotangent of {names[number]} that bwd returns"
            for ct, a in zip(leaves, own, strict=True):
                if ct is None or not is_differentiable(a):
                    cts.append(Zero(tangent_aval(a)))
                else:
                    cts.append(as_tangent(ct, tangent_aval(a), what))
        return cts
