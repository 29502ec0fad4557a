"""Elementary functions on vectors, as LLVM text: at most 2 ulp over the whole domain.

`Vec` is the arithmetic; `FUNCTIONS` maps names to functions that take a `Vec` and value names and
return a value name:

    v = Vec(function, "float", 16, Features.of(features))
    y = FUNCTIONS["tanh"](v, x)

Measured bounds, in ulps of the result, are in docs/vector-math.md; tests/codegen/test_vecmath.py
holds every function to them, and tools/exhaustive_ulp.py measures all 2^32 floats.
"""

from __future__ import annotations

from collections.abc import Callable

from weft.codegen.vecmath import (
    error_function,
    exponential,
    hyperbolic,
    inverse_trigonometric,
    logarithm,
    power,
    rounding,
    trigonometric,
)
from weft.codegen.vecmath.power import integer_power
from weft.codegen.vecmath.vec import Features, Vec

UNARY: dict[str, Callable[[Vec, str], str]] = {
    "exp": exponential.exp,
    "exp2": exponential.exp2,
    "expm1": exponential.expm1,
    "logistic": exponential.logistic,
    "log": logarithm.log,
    "log1p": logarithm.log1p,
    "log2": logarithm.log2,
    "log10": logarithm.log10,
    "sin": trigonometric.sin,
    "cos": trigonometric.cos,
    "tan": trigonometric.tan,
    "asin": inverse_trigonometric.asin,
    "acos": inverse_trigonometric.acos,
    "atan": inverse_trigonometric.atan,
    "sinh": hyperbolic.sinh,
    "cosh": hyperbolic.cosh,
    "tanh": hyperbolic.tanh,
    "asinh": hyperbolic.asinh,
    "acosh": hyperbolic.acosh,
    "atanh": hyperbolic.atanh,
    "erf": error_function.erf,
    "erfc": error_function.erfc,
    "erf_inv": error_function.erf_inv,
    "cbrt": power.cbrt,
    "rsqrt": power.rsqrt,
    "sqrt": Vec.sqrt,
    "abs": Vec.abs,
    "neg": Vec.neg,
    "floor": rounding.floor,
    "ceil": rounding.ceil,
    "trunc": rounding.trunc,
    "round_even": rounding.round_even,
    "round_away": rounding.round_away,
    "sign": rounding.sign,
}

BINARY: dict[str, Callable[[Vec, str, str], str]] = {
    "pow": power.pow_,
    "atan2": inverse_trigonometric.atan2,
    "rem": rounding.rem,
    "nextafter": rounding.nextafter,
}

FUNCTIONS: dict[str, Callable[..., str]] = {**UNARY, **BINARY}

__all__ = ["BINARY", "FUNCTIONS", "UNARY", "Features", "Vec", "integer_power"]
