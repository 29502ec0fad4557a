"""Staging: run a function on tracers that record what is done to them, and keep the record.

:func:`trace_to_jaxpr` is the front door of ``jit`` and of control flow. What the function closes
over (arrays, or values of outer traces) becomes a constant of the closed jaxpr.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from weft.core.avals import ShapedArray, aval_of, is_array_like
from weft.core.deep import deep
from weft.core.jaxpr import Atom, ClosedJaxpr, Eqn, Jaxpr, Literal, Var, dce
from weft.core.primitive import Primitive
from weft.core.source import Source, user_source
from weft.core.trace import ARGUMENT, Trace, Tracer, captured, leaked_tracer_error, set_trace


class FunctionInfo(NamedTuple):
    """Names for messages: of the function, of its flat arguments, and the transformation."""

    name: str = "<function>"
    arg_names: Callable[[], Sequence[str]] = tuple
    transform: str = "jit"

    def arg_name(self, index: int) -> str:
        """The name of flat argument ``index``, such as ``params['w']``."""
        names = self.arg_names()
        return names[index] if index < len(names) else f"argument {index}"

    def __str__(self) -> str:
        return f"'{self.name}' (under {self.transform})"


_SCALARS = bool, int, float, complex, np.generic


class StagedTracer(Tracer):
    """A variable of the jaxpr that is being recorded."""

    __slots__ = ("_var",)

    def __init__(self, trace: StagingTrace, var: Var):
        super().__init__(trace, var.aval)
        self._var = var


class StagingTrace(Trace):
    """Records every primitive as an equation."""

    def __init__(self, info: FunctionInfo | None = None):
        self.info = info or FunctionInfo()
        self.name = str(self.info)
        self.invars: list[Var] = []
        self.eqns: list[Eqn] = []
        self._const_vars: dict[int, Var] = {}
        self._consts: list[Any] = []
        self._captured: list[Any] = []

    def new_arg(self, aval: ShapedArray) -> StagedTracer:
        """A tracer for the next argument."""
        var = Var(aval)
        self.invars.append(var)
        tracer = StagedTracer(self, var)
        tracer.note = ARGUMENT
        return tracer

    def atom(self, value: Any) -> Atom:
        """The variable of a tracer; scalars become literals, anything else a constant."""
        if isinstance(value, Tracer):
            if value._trace is self:
                return value._var  # type: ignore[attr-defined]
            if value._trace.finished or value._trace.suspended:
                raise leaked_tracer_error(value)
        elif isinstance(value, _SCALARS):
            return Literal(value, aval_of(value))
        elif isinstance(value, np.ndarray) and value.ndim == 0:
            aval = ShapedArray((), value.dtype)
            scalar = value[()]
            # NumPy scalars of NumPy's default types are weak; as an array the literal stays strong.
            return Literal(scalar if aval_of(scalar) is aval else value.copy(), aval)
        var = self._const_vars.get(id(value))
        if var is None:
            var = self._const_vars[id(value)] = Var(aval_of(value))
            self._consts.append(captured(value))
            self._captured.append(value)  # its id must not be given to another value meanwhile
        return var

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        atoms = [self.atom(arg) for arg in args]
        avals = primitive.out_avals(*(a.aval for a in atoms), **params)
        tracers = self.emit(primitive, atoms, avals, params)
        return tracers if primitive.multiple_results else tracers[0]

    def emit(
        self,
        primitive: Primitive,
        atoms: list[Atom],
        out_avals: Sequence[ShapedArray],
        params: dict[str, Any],
    ) -> list[StagedTracer]:
        """Appends an equation and gives tracers for its results."""
        outvars = [Var(aval) for aval in out_avals]
        effects = primitive.effects(params)
        self.eqns.append(Eqn(primitive, atoms, outvars, params, effects, user_source()))
        return [StagedTracer(self, var) for var in outvars]

    def process_custom_jvp(self, call: Any, args: list[Any]) -> list[Any]:
        return call.stage(args)

    def process_custom_vjp(self, call: Any, args: list[Any]) -> list[Any]:
        return call.stage(args)

    def finish(self, outs: Sequence[Any]) -> ClosedJaxpr:
        """Ends the recording: tracers of this trace are leaks from here on."""
        outvars = [self.atom(out) for out in outs]
        self.finished = True
        self._captured.clear()
        constvars = list(self._const_vars.values())
        jaxpr = Jaxpr(constvars, self.invars, outvars, self.eqns, None, self.info.name)
        return _prune_consts(ClosedJaxpr(dce(jaxpr), self._consts))

    def describe_tracer(self, tracer: Tracer) -> str:
        """Which arguments of the function the tracer depends on, or where it was made."""
        var = tracer._var  # type: ignore[attr-defined]
        for i, argument in enumerate(self.invars):
            if argument is var:
                return f"It is the argument {self.info.arg_name(i)}."
        made_at = _defining_source(self.eqns, var)
        where = f" It was computed at {made_at}." if made_at else ""
        return f"{self.dependence(_ancestors(self.eqns, var))}{where}"

    def dependence(self, needed: set[int]) -> str:
        """A sentence on the arguments among ``needed``, the variables of a value, by their ids."""
        used = [self.info.arg_name(i) for i, v in enumerate(self.invars) if id(v) in needed]
        return depends_on(used) or "It depends on no argument of the function."


def depends_on(arguments: Sequence[str]) -> str:
    """A sentence that names arguments; empty if there are none."""
    plural = "s" if len(arguments) > 1 else ""
    named = ", ".join(arguments[:5])
    return f"It depends on the argument{plural} {named}." if arguments else ""


def _defining_source(eqns: list[Eqn], var: Var) -> Source | None:
    for eqn in reversed(eqns):
        if any(v is var for v in eqn.outvars):
            return eqn.source
    return None


def _ancestors(eqns: list[Eqn], var: Var) -> set[int]:
    needed = {id(var)}
    for eqn in reversed(eqns):
        if any(id(v) in needed for v in eqn.outvars):
            needed.update(id(v) for v in eqn.invars)
    return needed


def _prune_consts(closed: ClosedJaxpr) -> ClosedJaxpr:
    jaxpr = closed.jaxpr
    if not jaxpr.constvars:
        return closed
    used = {id(v) for eqn in jaxpr.eqns for v in eqn.invars} | {id(v) for v in jaxpr.outvars}
    kept = [(v, c) for v, c in zip(jaxpr.constvars, closed.consts, strict=True) if id(v) in used]
    constvars, consts = [v for v, _ in kept], [c for _, c in kept]
    pruned = Jaxpr(
        constvars, jaxpr.invars, jaxpr.outvars, jaxpr.eqns, jaxpr.effects, jaxpr.debug_name
    )
    return ClosedJaxpr(pruned, consts)


@deep
def trace_to_jaxpr(
    fun: Callable[..., Sequence[Any]],
    in_avals: Sequence[ShapedArray],
    info: FunctionInfo | None = None,
) -> ClosedJaxpr:
    """Records ``fun``, which takes and gives flat lists of arrays, on arguments of ``in_avals``.

    >>> from weft.primitives.arithmetic import add_p
    >>> print(trace_to_jaxpr(lambda x: [add_p.bind(x, x)], [ShapedArray((2,), "float32")]))
    { lambda ; a:f32[2]. let
        b:f32[2] = add a a
      in (b,) }
    """
    info = info or FunctionInfo(getattr(fun, "__name__", "<function>"))
    trace = StagingTrace(info)
    args = [trace.new_arg(aval) for aval in in_avals]
    try:
        with set_trace(trace):
            outs = fun(*args)
            for i, out in enumerate(outs):
                if not is_array_like(out):
                    raise TypeError(
                        f"{info} returned {out!r} of type {type(out).__name__} as result {i}; "
                        "results are arrays or numbers"
                    )
            return trace.finish(outs)
    finally:
        trace.finished = True
