"""How special functions are declared: elementwise primitives whose lowering is a program.

``composed("lgamma", fun, jvp=(term,))`` is a primitive like those of
`weft.primitives.elementwise`, with rules for every transformation, so that a derivative is a
formula of special functions again and not that of an approximation. ``fun`` is written with
operators, :mod:`weft.lax` and `where` on traced float32 or float64 arrays; half types are computed
in float32 and rounded once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from inspect import Parameter, Signature
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray, aval_of
from weft.core.interpret import numpy_closed
from weft.core.jaxpr import ClosedJaxpr
from weft.core.primitive import Primitive
from weft.core.staging import FunctionInfo, trace_to_jaxpr
from weft.lax import elementwise as ew
from weft.lax.examples import EXAMPLES
from weft.lax.operands import ArrayLike, Value, operands
from weft.lax.special.coefficients import DOUBLE, SINGLE
from weft.primitives.elementwise import Tangent, elementwise
from weft.primitives.rules import FLOAT
from weft.primitives.shaping import full_like

Function = Callable[..., Value]


def composed(
    name: str,
    fun: Function,
    jvp: Sequence[Tangent | None],
    loops: bool = False,
) -> Primitive:
    """Declare the primitive of ``fun``, which has one operand for each term of ``jvp``.

    ``loops`` says that ``fun`` iterates until all of its elements have converged.
    """

    @lru_cache(maxsize=64)
    def program(shape: tuple[int, ...], dtype: np.dtype) -> ClosedJaxpr:
        work = dtypes.float64 if dtype == dtypes.float64 else dtypes.float32

        def rounded_once(*xs: Value) -> list[Value]:
            wide = [ew.convert_element_type(x, work) for x in xs]
            return [ew.convert_element_type(fun(*wide), dtype)]

        avals = [ShapedArray(shape, dtype)] * len(jvp)
        return trace_to_jaxpr(rounded_once, avals, FunctionInfo(name))

    def meaning(*xs: np.ndarray) -> np.ndarray:
        (result,) = numpy_closed(program(xs[0].shape, xs[0].dtype), *xs)
        return result

    def lowered(ctx: Any, *xs: Any) -> Any:
        (result,) = ctx.inline(program(xs[0].shape, xs[0].dtype), xs)
        return result

    terms = [None if term is None else _on_arrays(term) for term in jvp]
    primitive = elementwise(name, FLOAT, len(jvp), numpy=meaning, jvp=terms, lowered=lowered)
    primitive.pointwise = not loops
    if loops:  # which are made for the shape that they run on, not for a class of shapes
        del primitive.rules["sizes"]
    return primitive


def _on_arrays(term: Tangent) -> Tangent:
    """The term of a derivative, which is written with operators: on NumPy's arrays those would be
    NumPy's, which make scalars, that have no dtype of their own here, of single elements."""
    from weft.numpy import asarray

    def applied(*xs: Value) -> Value:
        return term(*(asarray(x) if isinstance(x, np.ndarray) else x for x in xs))

    return applied


def public(name: str, primitive: Primitive, doc: str) -> Function:
    """The function of :mod:`weft.lax` that applies ``primitive`` to operands of one dtype."""
    named = [Parameter(x, Parameter.POSITIONAL_OR_KEYWORD) for x in _OPERANDS.get(name, ("x",))]
    signature = Signature(named)

    def function(*xs: ArrayLike, **keywords: ArrayLike) -> Value:
        return primitive.bind(*operands(name, *signature.bind(*xs, **keywords).args))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc + EXAMPLES.get(name, "")
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


#: The operands of functions that have more than x.
_OPERANDS = {
    "betainc": ("a", "b", "x"),
    "igamma": ("a", "x"),
    "igamma_grad_a": ("a", "x"),
    "igammac": ("a", "x"),
    "polygamma": ("m", "x"),
    "random_gamma_grad": ("a", "x"),
    "zeta": ("x", "q"),
}


def not_differentiable(name: str, operand: str) -> Tangent:
    """The term of an operand on which the function depends, but by no known formula."""

    def refuse(t: Value, ans: Value, *xs: Value) -> Value:
        raise NotImplementedError(
            f"lax.{name} has no derivative with respect to {operand}: if {operand} is a constant, "
            "keep it out of what is differentiated, or use lax.stop_gradient"
        )

    return refuse


# -- what the definitions share --------------------------------------------------------------------


def table(x: Value) -> dict[str, tuple[float, ...]]:
    """Coefficients for the dtype of ``x``."""
    return DOUBLE if aval_of(x).dtype == dtypes.float64 else SINGLE


def polynomial(x: Value, coefficients: Sequence[float]) -> Value:
    """By Horner's rule, the lowest power first."""
    total = constant(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total


def constant(x: Value, value: float) -> Value:
    """``value`` in the shape and dtype of ``x``."""
    return full_like(x, value)


def epsilon(x: Value) -> float:
    """The distance from 1 to the next number of the dtype of ``x``."""
    return float(np.finfo(aval_of(x).dtype).eps)
