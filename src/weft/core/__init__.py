"""The core of the front end: avals and dtypes, primitives, traces, and jaxprs."""

from __future__ import annotations

from weft.core import dtypes
from weft.core.avals import ShapedArray, aval_of, is_array_like, register_array_type
from weft.core.check import check_jaxpr
from weft.core.dtypes import canonical_dtype, float0, promote_types, result_type
from weft.core.interpret import eval_closed, eval_jaxpr, eval_jaxpr_numpy, numpy_closed
from weft.core.jaxpr import Atom, ClosedJaxpr, Eqn, Jaxpr, Literal, Var, dce, last_uses, subjaxprs
from weft.core.linear import UndefPrimal, Zero, is_undef, is_zero
from weft.core.primitive import Primitive
from weft.core.print import format_eqn, format_jaxpr
from weft.core.source import Source, describe, user_source
from weft.core.staging import FunctionInfo, StagedTracer, StagingTrace, trace_to_jaxpr
from weft.core.trace import (
    EvalTrace,
    Trace,
    Tracer,
    captured,
    current_trace,
    eval_trace,
    register_array_methods,
    set_capture,
    set_evaluator,
    set_trace,
)
from weft.errors import (
    ConcretizationError,
    JaxprError,
    LeakedTracerError,
    MissingRuleError,
)

__all__ = [
    "Atom",
    "ClosedJaxpr",
    "ConcretizationError",
    "Eqn",
    "EvalTrace",
    "FunctionInfo",
    "Jaxpr",
    "JaxprError",
    "LeakedTracerError",
    "Literal",
    "MissingRuleError",
    "Primitive",
    "ShapedArray",
    "Source",
    "StagedTracer",
    "StagingTrace",
    "Trace",
    "Tracer",
    "UndefPrimal",
    "Var",
    "Zero",
    "aval_of",
    "canonical_dtype",
    "captured",
    "check_jaxpr",
    "current_trace",
    "dce",
    "describe",
    "dtypes",
    "eval_closed",
    "eval_jaxpr",
    "eval_jaxpr_numpy",
    "eval_trace",
    "float0",
    "format_eqn",
    "format_jaxpr",
    "is_array_like",
    "is_undef",
    "is_zero",
    "last_uses",
    "numpy_closed",
    "promote_types",
    "register_array_methods",
    "register_array_type",
    "result_type",
    "set_capture",
    "set_evaluator",
    "set_trace",
    "subjaxprs",
    "trace_to_jaxpr",
    "user_source",
]
