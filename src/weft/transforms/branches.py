"""Tracing the functions that control flow is given: branches, conditions and loop bodies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from weft import tree
from weft.core import dtypes
from weft.core.avals import ShapedArray, aval_of
from weft.core.interpret import eval_closed
from weft.core.jaxpr import ClosedJaxpr, Jaxpr, Var
from weft.core.source import Source
from weft.core.staging import FunctionInfo, trace_to_jaxpr
from weft.primitives.convert import convert_element_type
from weft.structs import struct
from weft.transforms.functions import (
    FlatFunction,
    at_user_line,
    function_name,
    where_defined,
)


@struct(frozen=True)
class Body:
    """A traced function: its jaxpr, with what it closes over as constants, and its structure.

    ``where`` is its name with the line where it is defined.
    """

    name: str
    closed: ClosedJaxpr
    out_tree: tree.PyTreeSpec
    where: str

    def source_of(self, result: int) -> Source | None:
        """Where a result was computed; None for arguments, constants and numbers."""
        var = self.closed.jaxpr.outvars[result]
        for eqn in self.closed.eqns:
            if any(v is var for v in eqn.outvars):
                return eqn.source
        return None


def trace_body(
    what: str,
    fun: Callable[..., Any],
    args_def: tree.PyTreeSpec,
    avals: Sequence[ShapedArray],
    names: Sequence[str],
) -> Body:
    """Traces ``fun`` on arguments of structure ``args_def`` (a tuple) and types ``avals``."""
    info = FunctionInfo(function_name(fun), lambda: names, what)
    flat = FlatFunction(lambda args: fun(*args), _one_argument(args_def), info)
    closed = trace_to_jaxpr(flat, avals, info)
    assert flat.out_tree is not None
    return Body(info.name, closed, flat.out_tree, where_defined(fun))


def _one_argument(args_def: tree.PyTreeSpec) -> tree.PyTreeSpec:
    """The structure of ``((args,), {})``: how flat functions unpack a call with one argument."""
    args = tree.unflatten(args_def, [0] * args_def.num_leaves)
    return tree.structure(((args,), {}))


def check_same_results(what: str, bodies: Sequence[Body]) -> list[Body]:
    """Branches made to agree: weak results take the others' dtype; TypeError where they differ."""
    first = bodies[0]
    for body in bodies[1:]:
        if body.out_tree != first.out_tree:
            raise TypeError(
                f"{what}: branches must give the same structure: {first.where} gives "
                f"{tree.describe(first.out_tree)} and {body.where} {tree.describe(body.out_tree)}"
                f"{at_user_line()}"
            )
    names = tree.path_names(first.out_tree, "result")
    wanted: list[ShapedArray] = []
    for i, where in enumerate(names):
        avals = [body.closed.out_avals[i] for body in bodies]
        dtype, weak = dtypes.promote_weak([(a.dtype, a.weak_type) for a in avals])
        for body, aval in zip(bodies, avals, strict=True):
            fits = aval.dtype == dtype or aval.weak_type
            if aval.shape == avals[0].shape and fits:
                continue
            other = next(
                k for k, a in enumerate(avals) if (a.shape, a.dtype) != (aval.shape, aval.dtype)
            )
            raise TypeError(
                f"{what}: branches must give the same types: {where} is {aval} from {body.where} "
                f"and {avals[other]} from {bodies[other].where}{at_user_line()}"
            )
        wanted.append(ShapedArray(avals[0].shape, dtype, weak))
    return [_converted(body, wanted) for body in bodies]


def _converted(body: Body, wanted: Sequence[ShapedArray]) -> Body:
    """The body with its results converted to the wanted dtypes, and no weaker than wanted."""
    closed = body.closed

    def fits(a: ShapedArray, w: ShapedArray) -> bool:
        return a.dtype == w.dtype and a.weak_type <= w.weak_type

    if all(map(fits, closed.out_avals, wanted)):
        return body
    hoisted = closed.hoisted()

    def fun(*args: Any) -> list[Any]:
        outs = eval_closed(hoisted, *args)
        return [
            out if fits(aval_of(out), w) else convert_element_type(out, w.dtype)
            for out, w in zip(outs, wanted, strict=True)
        ]

    converted = trace_to_jaxpr(fun, hoisted.in_avals, FunctionInfo(body.name)).jaxpr
    count = len(closed.consts)
    jaxpr = Jaxpr(
        converted.invars[:count],
        converted.invars[count:],
        converted.outvars,
        converted.eqns,
        converted.effects,
        body.name,
    )
    return replace(body, closed=ClosedJaxpr(jaxpr, closed.consts))


def common_operands(bodies: Sequence[Body]) -> tuple[tuple[ClosedJaxpr, ...], list[Any]]:
    """Branches that take what any of them closes over as leading operands, and those values."""
    consts: list[Any] = []
    places: dict[int, int] = {}
    for body in bodies:
        for const in body.closed.consts:
            if id(const) not in places:
                places[id(const)] = len(consts)
                consts.append(const)
    branches = []
    for body in bodies:
        jaxpr = body.closed.jaxpr
        own = {places[id(c)]: v for c, v in zip(body.closed.consts, jaxpr.constvars, strict=True)}
        leading = [own.get(i) or Var(aval_of(c)) for i, c in enumerate(consts)]
        branches.append(
            ClosedJaxpr(
                Jaxpr(
                    [],
                    [*leading, *jaxpr.invars],
                    jaxpr.outvars,
                    jaxpr.eqns,
                    jaxpr.effects,
                    body.name,
                )
            )
        )
    return tuple(branches), consts


def stable_carry(
    what: str,
    init: Sequence[Any],
    treedef: tree.PyTreeSpec,
    names: Sequence[str],
    trace: Callable[[Sequence[ShapedArray]], Body],
    carry_of: Callable[[Any], Any],
) -> tuple[list[Any], Body]:
    """Traces a loop body whose carry keeps its type, and the initial carry for it.

    A weakly typed initial value (a Python scalar) takes the dtype that the body makes of it, and
    a weak result that of the carry. Anything else is a TypeError that names the leaf.
    ``carry_of`` takes the new carry out of what the body returns.
    """
    leaves = list(init)
    # Each round strengthens a weak leaf; three dtypes (int, float, complex) bound the rounds.
    for _ in range(4):
        avals = [aval_of(x) for x in leaves]
        body = trace(avals)
        out = tree.unflatten(body.out_tree, body.closed.out_avals)
        new, new_def = tree.flatten(carry_of(out), is_leaf=lambda x: isinstance(x, ShapedArray))
        if new_def != treedef:
            raise TypeError(
                f"{what}: '{body.name}' must return a carry of the structure it takes: it takes "
                f"{tree.describe(treedef)} and returns {tree.describe(new_def)}{at_user_line()}"
            )
        changed = False
        for i, (old, got) in enumerate(zip(avals, new, strict=True)):
            if (
                old.weak_type
                and old.shape == got.shape
                and not (got.weak_type and got.dtype == old.dtype)
            ):
                dtype, weak = dtypes.promote_weak([(old.dtype, True), (got.dtype, got.weak_type)])
                leaves[i] = _as_type(leaves[i], dtype, weak)
                changed = changed or aval_of(leaves[i]) is not old
        if not changed:
            break
    wanted = list(body.closed.out_avals)
    for i, (old, got) in enumerate(zip(avals, new, strict=True)):
        weak_fits = (
            got.weak_type
            and dtypes.promote_weak([(old.dtype, False), (got.dtype, True)])[0] == old.dtype
        )
        if old.shape != got.shape or not (old.dtype == got.dtype or weak_fits):
            raise TypeError(
                f"{what}: '{body.name}' must keep the type of the carry: {names[i]} has type {old} "
                f"and becomes {got}. {_carry_advice(old, got)}{at_user_line(body.source_of(i))}"
            )
        wanted[i] = old
    return leaves, _converted(body, wanted)


def _as_type(value: Any, dtype: np.dtype, weak: bool) -> Any:
    """``value`` converted; a number becomes a constant of that dtype."""
    if not weak and dtypes.scalar_type(value) is not None:
        return np.asarray(value, dtype)
    return convert_element_type(value, dtype, weak_type=weak)


def _carry_advice(old: ShapedArray, got: ShapedArray) -> str:
    if old.shape != got.shape:
        return "A loop cannot change shapes; allocate the final shape and update it with x.at[...]"
    return f"Convert one of them: start from {got.dtype}, or return .astype('{old.dtype}')"
