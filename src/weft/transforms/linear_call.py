"""``linear_call``: linear functions that bring their own transposes.

An equation holds two jaxprs, of the function and of its transpose. Operands are the values that
each of them closes over, in this order, then the residuals, in which neither need be linear, then
the linear arguments; ``counts`` says how many of the first three.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from weft import tree
from weft.core.avals import ShapedArray, aval_of
from weft.core.interpret import eval_closed, numpy_closed
from weft.core.jaxpr import ClosedJaxpr
from weft.core.linear import Zero, is_undef, is_zero
from weft.core.primitive import Primitive
from weft.core.staging import FunctionInfo, trace_to_jaxpr
from weft.errors import NonlinearError
from weft.primitives.arithmetic import add
from weft.primitives.shaping import instantiate
from weft.transforms.closed import batch_closed, cut, jvp_closed, mapped_first, moved_of, present
from weft.transforms.functions import (
    FlatFunction,
    argument_names,
    at_user_line,
    check_callable,
    flat_function,
    function_name,
    where_defined,
)
from weft.transforms.jvp import tangent_aval
from weft.transforms.vmap import place_axis

Counts = tuple[int, int, int]

linear_call_p = Primitive("linear_call", multiple_results=True)


def _cut(args: Sequence[Any], counts: Counts) -> list[list[Any]]:
    """What belongs to the function, to its transpose, the residuals, and the linear arguments."""
    return cut(args, counts)


def _operands(args: Sequence[Any], counts: Counts) -> list[Any]:
    """The operands of the function's jaxpr."""
    consts, _, residuals, linear = _cut(args, counts)
    return [*consts, *residuals, *linear]


@linear_call_p.def_type
def _(*avals: ShapedArray, callee: ClosedJaxpr, **params: Any) -> list[ShapedArray]:
    return callee.out_avals


@linear_call_p.def_effects
def _(*, callee: ClosedJaxpr, **params: Any) -> frozenset[str]:
    return callee.effects


@linear_call_p.def_numpy
def _(*args: Any, callee: ClosedJaxpr, counts: Counts, **params: Any) -> list[Any]:
    return numpy_closed(callee, *_operands(args, counts))


@linear_call_p.def_eval
def _(*args: Any, callee: ClosedJaxpr, counts: Counts, **params: Any) -> list[Any]:
    return eval_closed(callee, *_operands(args, counts))


@linear_call_p.def_lower_complex
@linear_call_p.def_lower
def _(ctx: Any, *args: Any, callee: ClosedJaxpr, counts: Counts, **params: Any) -> list[Any]:
    return ctx.inline(callee, _operands(args, counts))


@linear_call_p.def_jvp
def _(
    primals: list[Any], tangents: list[Any], *, callee: ClosedJaxpr, counts: Counts, **params: Any
) -> Any:
    outs = linear_call_p.bind(*primals, callee=callee, counts=counts, **params)
    moved: list[Any] = [Zero(tangent_aval(aval_of(x))) for x in outs]
    *_, linear = _cut(tangents, counts)
    if not all(map(is_zero, linear)):
        own = [*primals[: sum(counts)], *map(instantiate, linear)]
        moved = linear_call_p.bind(*own, callee=callee, counts=counts, **params)
    consts, _, residuals, _ = _cut(tangents, counts)
    others = [*consts, *residuals]
    if not all(map(is_zero, others)):
        # How the function itself changes, at the linear arguments as they are.
        derived = jvp_closed(callee, (*moved_of(others), *(False for _ in linear)))
        operands = _operands(primals, counts)
        found = iter(eval_closed(derived.closed, *derived.consts, *operands, *present(others)))
        for _ in outs:
            next(found)
        moved = [_sum(t, next(found)) if g else t for t, g in zip(moved, derived.outs, strict=True)]
    return outs, moved


def _sum(a: Any, b: Any) -> Any:
    return b if is_zero(a) else add(a, b)


@linear_call_p.def_transpose
def _(
    cts: list[Any], *args: Any, callee: ClosedJaxpr, transpose: ClosedJaxpr, counts: Counts
) -> list[Any]:
    of_callee, of_transpose, residuals, linear = _cut(args, counts)
    if any(map(is_undef, args[: sum(counts)])) or not all(map(is_undef, linear)):
        raise NonlinearError("linear_call is linear in linear_args only")
    out = linear_call_p.bind(
        *of_transpose,
        *of_callee,
        *residuals,
        *map(instantiate, cts),
        callee=transpose,
        transpose=callee,
        counts=(counts[1], counts[0], counts[2]),
    )
    return [*(None for _ in range(sum(counts))), *out]


@linear_call_p.def_batch
def _(
    axis_size: int,
    args: list[Any],
    dims: list[Any],
    *,
    callee: ClosedJaxpr,
    transpose: ClosedJaxpr,
    counts: Counts,
) -> Any:
    parts, part_dims = _cut(args, counts), _cut(dims, counts)
    placed, mapped = zip(
        *(mapped_first(axis_size, p, d) for p, d in zip(parts[:3], part_dims[:3], strict=True)),
        strict=True,
    )
    # All that is linear is mapped, on both sides, so that they stay each other's transposes.
    linear = [place_axis(x, axis_size, d, 0) for x, d in zip(parts[3], part_dims[3], strict=True)]
    derived = []
    for jaxpr, own in ((callee, mapped[0]), (transpose, mapped[1])):
        count = len(jaxpr.in_avals) - len(own) - len(mapped[2])
        masks = (*own, *mapped[2], *(True for _ in range(count)))
        derived.append(batch_closed(jaxpr, axis_size, masks, tuple(True for _ in jaxpr.out_avals)))
    consts = [[*d.consts, *p] for d, p in zip(derived, placed, strict=False)]
    outs = linear_call_p.bind(
        *consts[0],
        *consts[1],
        *placed[2],
        *linear,
        callee=derived[0].closed,
        transpose=derived[1].closed,
        counts=(len(consts[0]), len(consts[1]), counts[2]),
    )
    return outs, [0] * len(outs)


def linear_call(
    fun: Callable[[Any, Any], Any],
    fun_transpose: Callable[[Any, Any], Any],
    residual_args: Any,
    linear_args: Any,
) -> Any:
    """``fun(residual_args, linear_args)``, whose transpose is `fun_transpose`.

    Parameters
    ----------
    fun: a function of two trees, linear in the second one.
    fun_transpose: ``fun_transpose(residual_args, cotangents)`` gives the cotangents of
        `linear_args`, a tree of their structure and types; it is linear in the second argument, a
        tree like the result of `fun`.
    residual_args: a tree of arrays in which neither need be linear.
    linear_args: a tree of arrays.

    Forward mode differentiates `fun`; reverse mode with respect to `linear_args` runs
    `fun_transpose`, whose own transpose is `fun`.

    Raises
    ------
    TypeError: if `fun_transpose` does not return what is like `linear_args`.

    >>> from weft.custom_derivatives import linear_call
    >>> def divided(x, by):
    ...     return linear_call(lambda r, x: x / r, lambda r, ct: ct / r, by, x)
    >>> weft.linear_transpose(lambda x: divided(x, 4.0), 1.0)(8.0)
    (Array(2., dtype=float32),)
    """
    name = "linear_call"
    for function in (fun, fun_transpose):
        check_callable(name, function)
    flat, leaves = flat_function(name, fun, (residual_args, linear_args))
    callee = trace_to_jaxpr(flat, [aval_of(x) for x in leaves], flat.info)
    assert flat.out_tree is not None
    count = len(tree.leaves(residual_args))
    given = (residual_args, tree.unflatten(flat.out_tree, callee.out_avals))
    structure = tree.structure((given, {}))
    names = argument_names(fun_transpose, structure, given, {})
    info = FunctionInfo(function_name(fun_transpose), names, name)
    flipped = FlatFunction(fun_transpose, structure, info)
    avals = [*map(aval_of, leaves[:count]), *callee.out_avals]
    transpose = trace_to_jaxpr(flipped, avals, info)
    _check_like(fun_transpose, flipped.out_tree, transpose.out_avals, linear_args, leaves[count:])
    outs = linear_call_p.bind(
        *callee.consts,
        *transpose.consts,
        *leaves,
        callee=callee.hoisted(),
        transpose=transpose.hoisted(),
        counts=(len(callee.consts), len(transpose.consts), count),
    )
    return flat.unflatten(outs)


def _check_like(
    rule: Callable[..., Any],
    out_tree: tree.PyTreeSpec | None,
    found: Sequence[ShapedArray],
    linear_args: Any,
    leaves: Sequence[Any],
) -> None:
    """What the transpose returns must be what `linear_args` are."""
    assert out_tree is not None
    wanted = tree.structure(linear_args)
    what = f"linear_call: {where_defined(rule)} must return what is like linear_args"
    if out_tree != wanted:
        raise TypeError(
            f"{what}: it has the structure {tree.describe(out_tree)}, expected "
            f"{tree.describe(wanted)}{at_user_line()}"
        )
    names = tree.path_names(wanted, "result")
    for got, want, name in zip(found, map(aval_of, leaves), names, strict=True):
        if (got.shape, got.dtype) != (want.shape, want.dtype):
            raise TypeError(f"{what}: {name} has type {got}, expected {want}{at_user_line()}")
