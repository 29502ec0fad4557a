"""Powers, exponentials, logarithms, trigonometry and error functions, of floating-point numbers.

Derivatives are written with the result where that is more accurate or cheaper, and in factored form
(``(1 - x) * (1 + x)``) where the expanded one would cancel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.primitive import Primitive
from weft.core.shape_classes import keep_params
from weft.primitives.arithmetic import add, div, mul, neg, sub
from weft.primitives.comparison import eq
from weft.primitives.convert import convert_element_type
from weft.primitives.elementwise import batch_rule, elementwise, jvp_rule, numpy_meaning
from weft.primitives.rules import (
    FLOAT,
    INEXACT,
    NUMBER,
    Apply,
    Value,
    all_weak,
    check_accepts,
    check_same_dtype,
    check_same_shape,
    dtype_of,
)
from weft.primitives.select import select_n
from weft.primitives.shaping import full_like
from weft.terms import build
from weft.terms.complex_math import complex_op, from_real
from weft.terms.lower import Indices, Lowering, Tensor
from weft.terms.tensor import AnyTensor, ComplexTensor
from weft.terms.term import Term


def _scale(x: Value, factor: float) -> Value:
    return mul(x, full_like(x, factor))


def _plus(x: Value, constant: float) -> Value:
    return add(x, full_like(x, constant))


def _square(x: Value) -> Value:
    return mul(x, x)


def _one_minus_square(x: Value) -> Value:
    one = full_like(x, 1)
    return mul(sub(one, x), add(one, x))


# ---------------------------------------------------------------- exponentials

exp_p = elementwise("exp", INEXACT, 1, numpy=np.exp, jvp=(lambda t, ans, x: mul(t, ans),))
exp = exp_p.bind

exp2_p = elementwise(
    "exp2",
    INEXACT,
    1,
    numpy=np.exp2,
    jvp=(lambda t, ans, x: mul(t, _scale(ans, math.log(2))),),
)
exp2 = exp2_p.bind

expm1_p = elementwise(
    "expm1", INEXACT, 1, numpy=np.expm1, jvp=(lambda t, ans, x: mul(t, _plus(ans, 1)),)
)
expm1 = expm1_p.bind


def _logistic(x: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(x))  # never overflows
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


logistic_p = elementwise(
    "logistic",
    FLOAT,
    1,
    numpy=_logistic,
    jvp=(lambda t, ans, x: mul(t, mul(ans, sub(full_like(ans, 1), ans))),),
)
logistic = logistic_p.bind

# ---------------------------------------------------------------- logarithms

log_p = elementwise("log", INEXACT, 1, numpy=np.log, jvp=(lambda t, ans, x: div(t, x),))
log = log_p.bind

log1p_p = elementwise(
    "log1p", INEXACT, 1, numpy=np.log1p, jvp=(lambda t, ans, x: div(t, _plus(x, 1)),)
)
log1p = log1p_p.bind

log2_p = elementwise(
    "log2", FLOAT, 1, numpy=np.log2, jvp=(lambda t, ans, x: div(_scale(t, 1 / math.log(2)), x),)
)
log2 = log2_p.bind

log10_p = elementwise(
    "log10", FLOAT, 1, numpy=np.log10, jvp=(lambda t, ans, x: div(_scale(t, 1 / math.log(10)), x),)
)
log10 = log10_p.bind

# ---------------------------------------------------------------- roots

sqrt_p = elementwise(
    "sqrt", INEXACT, 1, numpy=np.sqrt, jvp=(lambda t, ans, x: div(_scale(t, 0.5), ans),)
)
sqrt = sqrt_p.bind

rsqrt_p = elementwise(
    "rsqrt",
    INEXACT,
    1,
    numpy=lambda x: 1 / np.sqrt(x),
    jvp=(lambda t, ans, x: mul(t, _scale(div(ans, x), -0.5)),),
)
rsqrt = rsqrt_p.bind

cbrt_p = elementwise(
    "cbrt",
    FLOAT,
    1,
    numpy=np.cbrt,
    jvp=(lambda t, ans, x: div(_scale(t, 1 / 3), _square(ans)),),
)
cbrt = cbrt_p.bind

# ---------------------------------------------------------------- pow, integer_pow

pow_p = Primitive("pow")
pow = pow_p.bind  # pow(x, y): y has the dtype of x, or an integer dtype


@pow_p.def_type
def _(x: ShapedArray, y: ShapedArray) -> ShapedArray:
    check_accepts("pow", INEXACT, x)
    if not dtypes.is_integer(y.dtype):
        check_same_dtype("pow", x, y)
    check_same_shape("pow", x, y)
    return ShapedArray(x.shape, x.dtype, all_weak(x, y))


@pow_p.def_numpy
def _(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(np.power(x, y.astype(x.dtype)), x.dtype)


def _pow_jvp_base(t: Value, ans: Value, x: Value, y: Value) -> Value:
    y = convert_element_type(y, dtype_of(x))
    slope = mul(y, pow(x, _plus(y, -1)))
    zero = full_like(y, 0)
    return mul(t, select_n(eq(y, zero), slope, zero))  # x ** 0 is 1 for every x, 0 included


def _pow_jvp_exponent(t: Value, ans: Value, x: Value, y: Value) -> Value:
    # 0 ** y is flat in y; log(1) stands for log(0) to say so without a NaN.
    safe = select_n(eq(x, full_like(x, 0)), x, full_like(x, 1))
    return mul(t, mul(log(safe), ans))


pow_p.def_jvp(jvp_rule(pow_p, (_pow_jvp_base, _pow_jvp_exponent)))
pow_p.def_batch(batch_rule(pow_p))


pow_p.def_sizes(keep_params)


@pow_p.def_lower
def _(ctx: Lowering, x: Tensor, y: Tensor) -> Tensor:
    return ctx.define(
        x.shape,
        x.dtype,
        lambda index: build.op("pow", x.at(index), build.cast(y.at(index), x.dtype)),
    )


@pow_p.def_lower_complex
def _(ctx: Lowering, x: ComplexTensor, y: AnyTensor) -> ComplexTensor:
    part = dtypes.real_dtype(x.dtype)

    def element(index: Indices) -> Any:
        if isinstance(y, ComplexTensor):
            return complex_op("pow", x.at(index), y.at(index))
        return complex_op("pow", x.at(index), from_real(build.cast(y.at(index), part)))

    return ctx.define_complex(x.shape, x.dtype, element)


integer_pow_p = Primitive("integer_pow")


def integer_pow(x: Value, y: int) -> Value:
    """`x` to a constant integer power."""
    return integer_pow_p.bind(x, y=int(y))


@integer_pow_p.def_type
def _(x: ShapedArray, *, y: int) -> ShapedArray:
    check_accepts("integer_pow", NUMBER, x)
    if y < 0 and dtypes.is_integer(x.dtype):
        raise TypeError(
            f"integer_pow cannot raise integers to a negative power, got {x} and y={y}. Convert "
            "the operand to a floating-point dtype first."
        )
    return x


def _integer_pow(x: np.ndarray, *, y: int) -> Any:
    if not dtypes.is_integer(x.dtype):
        wide = x.astype(np.float32) if x.dtype.itemsize == 2 else x
        return np.power(wide, np.asarray(y, wide.dtype)).astype(x.dtype)
    power, result = x, np.ones_like(x)
    while y:  # by squaring, so that products wrap as products of that dtype do
        result = result * power if y & 1 else result
        power, y = power * power, y >> 1
    return result


def _integer_pow_jvp(t: Value, ans: Value, x: Value, *, y: int) -> Value:
    if y == 0:
        return full_like(t, 0)
    return mul(t, _scale(integer_pow(x, y - 1), y))


integer_pow_p.def_numpy(numpy_meaning(_integer_pow))
integer_pow_p.def_jvp(jvp_rule(integer_pow_p, (_integer_pow_jvp,)))
integer_pow_p.def_batch(batch_rule(integer_pow_p))


integer_pow_p.def_sizes(keep_params)


def _by_squaring(op: Callable[..., Any], one: Any, x: Any, y: int) -> Any:
    """`x` to the power `y` by squaring, as lax evaluates it, with operations `op(name, *args)`."""
    left, result, square = abs(y), None, x
    if y < 0:  # first, so that only results themselves overflow or underflow
        square = op("div", one, x)
    while left:
        if left & 1:
            result = square if result is None else op("mul", result, square)
        left >>= 1
        if left:
            square = op("mul", square, square)
    return one if result is None else result


@integer_pow_p.def_lower
def _(ctx: Lowering, x: Tensor, *, y: int) -> Tensor:
    dtype = build.accumulator_dtype(x.dtype)

    def element(index: Indices) -> Term:
        power = _by_squaring(build.op, build.const(1, dtype), build.cast(x.at(index), dtype), y)
        return build.cast(power, x.dtype)

    return ctx.define(x.shape, x.dtype, element)


@integer_pow_p.def_lower_complex
def _(ctx: Lowering, x: ComplexTensor, *, y: int) -> ComplexTensor:
    one = ComplexTensor.constant(1, x.dtype).at(())
    return ctx.define_complex(
        x.shape, x.dtype, lambda index: _by_squaring(complex_op, one, x.at(index), y)
    )


# ---------------------------------------------------------------- trigonometry

sin_p = elementwise("sin", INEXACT, 1, numpy=np.sin, jvp=(lambda t, ans, x: mul(t, cos(x)),))
sin = sin_p.bind

cos_p = elementwise("cos", INEXACT, 1, numpy=np.cos, jvp=(lambda t, ans, x: neg(mul(t, sin(x))),))
cos: Apply = cos_p.bind

tan_p = elementwise(
    "tan", INEXACT, 1, numpy=np.tan, jvp=(lambda t, ans, x: mul(t, _plus(_square(ans), 1)),)
)
tan = tan_p.bind

asin_p = elementwise(
    "asin",
    INEXACT,
    1,
    numpy=np.arcsin,
    jvp=(lambda t, ans, x: mul(t, rsqrt(_one_minus_square(x))),),
)
asin = asin_p.bind

acos_p = elementwise(
    "acos",
    INEXACT,
    1,
    numpy=np.arccos,
    jvp=(lambda t, ans, x: neg(mul(t, rsqrt(_one_minus_square(x)))),),
)
acos = acos_p.bind

atan_p = elementwise(
    "atan", INEXACT, 1, numpy=np.arctan, jvp=(lambda t, ans, x: div(t, _plus(_square(x), 1)),)
)
atan = atan_p.bind


def _radius_squared(x: Value, y: Value) -> Value:
    return add(_square(x), _square(y))


atan2_p = elementwise(
    "atan2",
    FLOAT,
    2,
    numpy=np.arctan2,
    jvp=(
        lambda t, ans, x, y: mul(t, div(y, _radius_squared(x, y))),
        lambda t, ans, x, y: mul(t, div(neg(x), _radius_squared(x, y))),
    ),
)
atan2 = atan2_p.bind

# ---------------------------------------------------------------- hyperbolic functions

sinh_p = elementwise("sinh", INEXACT, 1, numpy=np.sinh, jvp=(lambda t, ans, x: mul(t, cosh(x)),))
sinh = sinh_p.bind

cosh_p = elementwise("cosh", INEXACT, 1, numpy=np.cosh, jvp=(lambda t, ans, x: mul(t, sinh(x)),))
cosh: Apply = cosh_p.bind

tanh_p = elementwise(
    "tanh", INEXACT, 1, numpy=np.tanh, jvp=(lambda t, ans, x: mul(t, _one_minus_square(ans)),)
)
tanh = tanh_p.bind

asinh_p = elementwise(
    "asinh",
    INEXACT,
    1,
    numpy=np.arcsinh,
    jvp=(lambda t, ans, x: mul(t, rsqrt(_plus(_square(x), 1))),),
)
asinh = asinh_p.bind

acosh_p = elementwise(
    "acosh",
    INEXACT,
    1,
    numpy=np.arccosh,
    jvp=(lambda t, ans, x: mul(t, mul(rsqrt(_plus(x, -1)), rsqrt(_plus(x, 1)))),),
)
acosh = acosh_p.bind

atanh_p = elementwise(
    "atanh",
    INEXACT,
    1,
    numpy=np.arctanh,
    jvp=(lambda t, ans, x: div(t, _one_minus_square(x)),),
)
atanh = atanh_p.bind

# ---------------------------------------------------------------- error functions

_TWO_OVER_SQRT_PI = 2 / math.sqrt(math.pi)


def _special(name: str, x: np.ndarray) -> np.ndarray:
    import scipy.special  # only here: the meaning of three functions NumPy lacks

    # SciPy knows neither bfloat16 nor, for all functions, float16.
    wide = x if x.dtype.itemsize >= 4 else x.astype(np.float32)
    return getattr(scipy.special, name)(wide)


def _bell(t: Value, x: Value, factor: float) -> Value:
    return mul(_scale(t, factor), exp(neg(_square(x))))


erf_p = elementwise(
    "erf",
    FLOAT,
    1,
    numpy=lambda x: _special("erf", x),
    jvp=(lambda t, ans, x: _bell(t, x, _TWO_OVER_SQRT_PI),),
)
erf = erf_p.bind

erfc_p = elementwise(
    "erfc",
    FLOAT,
    1,
    numpy=lambda x: _special("erfc", x),
    jvp=(lambda t, ans, x: _bell(t, x, -_TWO_OVER_SQRT_PI),),
)
erfc = erfc_p.bind

erf_inv_p = elementwise(
    "erf_inv",
    FLOAT,
    1,
    numpy=lambda x: np.copysign(_special("erfinv", x), x),
    jvp=(lambda t, ans, x: mul(_scale(t, 1 / _TWO_OVER_SQRT_PI), exp(_square(ans))),),
)
erf_inv = erf_inv_p.bind
