"""Forward mode: run a function on pairs of a value and its tangent.

The rule of each primitive gives the result's tangent from the operands'. Tangents that are zero
stay symbolic (:class:`~weft.core.linear.Zero`), and operations without a tangent are not seen at
all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from weft.core import dtypes
from weft.core.avals import ShapedArray, aval_of
from weft.core.linear import Zero
from weft.core.primitive import Primitive
from weft.core.staging import FunctionInfo
from weft.core.trace import Trace, Tracer, as_arguments, current_trace, set_trace


def tangent_aval(aval: ShapedArray) -> ShapedArray:
    """The type of tangents (and cotangents) of values of type ``aval``."""
    return aval.strip_weak_type()


def is_differentiable(aval: ShapedArray) -> bool:
    """Do values of this type have tangents (floating point and complex)?"""
    return dtypes.is_inexact(aval.dtype)


class JVPTracer(Tracer):
    """A value with its tangent."""

    __slots__ = ("_primal", "_tangent")

    def __init__(self, trace: JVPTrace, primal: Any, tangent: Any):
        super().__init__(trace, aval_of(primal))
        self._primal = primal
        self._tangent = tangent

    def is_differentiated(self) -> bool:
        """Yes: values without a tangent have no tracer."""
        return True

    def concrete(self) -> Any:
        """The primal, when nothing else hides it."""
        return concrete_value(self._primal)


def concrete_value(value: Any) -> Any:
    """The array under any number of forward-mode tracers, or None when it is not known."""
    while isinstance(value, JVPTracer):
        if value._trace.finished:
            return None
        value = value._primal
    return value.concrete() if isinstance(value, Tracer) else value


def primal_value(trace: Trace, value: Any) -> Any:
    """The value without its tangent of the transformation ``trace``."""
    return value._primal if isinstance(value, JVPTracer) and value._trace is trace else value


class JVPTrace(Trace):
    """Applies forward-mode rules; their operations go to ``parent``."""

    def __init__(self, parent: Trace, info: FunctionInfo):
        self.parent = parent
        self.info = info
        self.name = str(info)

    def split(self, value: Any) -> tuple[Any, Any]:
        """The value and its tangent; values of other traces have a zero tangent."""
        if isinstance(value, JVPTracer) and value._trace is self:
            return value._primal, value._tangent
        return value, Zero(tangent_aval(aval_of(value)))

    def join(self, primal: Any, tangent: Any) -> Any:
        """A tracer for the pair, or the bare primal when there is no tangent."""
        return primal if type(tangent) is Zero else JVPTracer(self, primal, tangent)

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        pairs = [self.split(arg) for arg in args]
        primals, tangents = [p for p, _ in pairs], [t for _, t in pairs]
        with set_trace(self.parent):
            if all(type(t) is Zero for t in tangents):
                return primitive.bind(*primals, **params)
            rule = primitive.rule("jvp")
            outs, out_tangents = rule(primals, tangents, **params)
        if primitive.multiple_results:
            return list(map(self.join, outs, out_tangents))
        return self.join(outs, out_tangents)

    def process_custom_jvp(self, call: Any, args: list[Any]) -> list[Any]:
        pairs = [self.split(arg) for arg in args]
        primals, tangents = [p for p, _ in pairs], [t for _, t in pairs]
        with set_trace(self.parent):
            if all(type(t) is Zero for t in tangents):
                return self.parent.process_custom_jvp(call, primals)
            with self.suspend():
                outs, out_tangents = call.jvp(primals, tangents)
        return list(map(self.join, outs, out_tangents))

    def process_custom_vjp(self, call: Any, args: list[Any]) -> list[Any]:
        pairs = [self.split(arg) for arg in args]
        primals, tangents = [p for p, _ in pairs], [t for _, t in pairs]
        with set_trace(self.parent):
            if all(type(t) is Zero for t in tangents):
                return self.parent.process_custom_vjp(call, primals)
            with self.suspend():
                outs, out_tangents = call.linearized(primals, tangents)
        return list(map(self.join, outs, out_tangents))

    @contextmanager
    def suspend(self) -> Iterator[None]:
        """While a derivative rule runs, which must not use values of this trace."""
        previous, self.suspended = self.suspended, True
        try:
            yield
        finally:
            self.suspended = previous

    def describe_tracer(self, tracer: Tracer) -> str:
        primal = tracer._primal  # type: ignore[attr-defined]
        return primal._trace.describe_tracer(primal) if isinstance(primal, Tracer) else ""


def jvp_flat(
    fun: Callable[..., Sequence[Any]],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    info: FunctionInfo | None = None,
    parent: Trace | None = None,
) -> tuple[list[Any], list[Any]]:
    """Results of a flat function and their tangents; tangents may be ``Zero`` on both sides."""
    trace = JVPTrace(parent or current_trace(), info or FunctionInfo(transform="jvp"))
    try:
        with set_trace(trace):
            outs = fun(*as_arguments(trace, map(trace.join, primals, tangents)))
            pairs = [trace.split(out) for out in outs]
    finally:
        trace.finished = True
    return [primal for primal, _ in pairs], [tangent for _, tangent in pairs]
