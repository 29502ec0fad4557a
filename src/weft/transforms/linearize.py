"""Linearization: forward mode on top of partial evaluation.

Tangents are variables of a jaxpr that is being staged. An operation with such an operand is staged
too; every other operation goes to the parent trace, so the primal computation runs once, directly.
What staged operations need of it (the residuals) become constants of the linear jaxpr.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from weft.core.avals import aval_of
from weft.core.jaxpr import ClosedJaxpr
from weft.core.linear import Zero
from weft.core.primitive import Primitive
from weft.core.staging import FunctionInfo, StagedTracer, StagingTrace
from weft.core.trace import Trace, current_trace, set_trace
from weft.structs import struct
from weft.transforms.jvp import jvp_flat, tangent_aval


class PartialTrace(Trace):
    """Stages operations that touch a value of ``staging``; gives the others to ``parent``."""

    def __init__(self, parent: Trace, staging: StagingTrace):
        self.parent = parent
        self.staging = staging
        self.name = staging.name

    def is_unknown(self, value: Any) -> bool:
        """Is it a variable of the staged jaxpr?"""
        return isinstance(value, StagedTracer) and value._trace is self.staging

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        unknown = [self.is_unknown(arg) for arg in args]
        if not any(unknown):
            with set_trace(self.parent):
                return primitive.bind(*args, **params)
        rule = primitive.rules.get("partial_eval")
        if rule is None:
            return self.staging.process(primitive, args, params)
        with set_trace(self.parent):
            return rule(self, list(args), unknown, **params)

    def stage(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> list[Any]:
        """Stages an operation whatever its operands; the results as a list."""
        outs = self.staging.process(primitive, tuple(args), params)
        return outs if primitive.multiple_results else [outs]

    def process_custom_jvp(self, call: Any, args: list[Any]) -> list[Any]:
        target = self.staging if any(map(self.is_unknown, args)) else self.parent
        with set_trace(target):
            return target.process_custom_jvp(call, args)

    def process_custom_vjp(self, call: Any, args: list[Any]) -> list[Any]:
        target = self.staging if any(map(self.is_unknown, args)) else self.parent
        with set_trace(target):
            return target.process_custom_vjp(call, args)


@struct
class Linearized:
    """A function linearized at a point.

    ``linear`` takes the tangents of the arguments that have one (``moved_in``) and gives those of
    the results that have one (``moved_out``); its constants are the residuals.
    """

    primals_out: list[Any]
    linear: ClosedJaxpr
    moved_in: list[bool]
    moved_out: list[bool]


def linearize_flat(
    fun: Callable[..., Sequence[Any]],
    primals: Sequence[Any],
    moved: Sequence[bool],
    info: FunctionInfo | None = None,
) -> Linearized:
    """Linearizes a flat function at ``primals`` with respect to those marked in ``moved``."""
    info = info or FunctionInfo(transform="linearize")
    staging = StagingTrace(info)
    partial = PartialTrace(current_trace(), staging)
    tangents = [
        staging.new_arg(tangent_aval(aval_of(p))) if m else Zero(tangent_aval(aval_of(p)))
        for p, m in zip(primals, moved, strict=True)
    ]
    try:
        with set_trace(partial):
            outs, out_tangents = jvp_flat(fun, primals, tangents, info, partial)
            moved_out = [type(t) is not Zero for t in out_tangents]
            linear = staging.finish([t for t in out_tangents if type(t) is not Zero])
    finally:
        staging.finished = partial.finished = True
    return Linearized(outs, linear, list(moved), moved_out)
