"""Elementwise functions on operands of one dtype and shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weft import tree
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.lax.examples import EXAMPLES
from weft.lax.operands import ArrayLike, Value, is_scalar, operand, operands, repeat_scalars
from weft.lax.precision import AccuracyMode, Tolerance
from weft.primitives import arithmetic, bitwise, comparison, convert, transcendental
from weft.primitives import complex as complex_parts
from weft.primitives import select as selection
from weft.primitives.arithmetic import RoundingMethod
from weft.primitives.reduce_precision import reduce_precision as _reduce_precision


def _unary(name: str, apply: Callable[[Value], Value], doc: str) -> Callable[[ArrayLike], Value]:
    def function(x: ArrayLike) -> Value:
        return apply(operand(name, x))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{doc}, element by element." + EXAMPLES.get(name, "")
    return function


def _accurate(name: str, apply: Callable[[Value], Value], doc: str) -> Callable[..., Value]:
    """As `_unary`, for functions that JAX computes more or less accurately."""

    def function(x: ArrayLike, *, accuracy: Tolerance | AccuracyMode | None = None) -> Value:
        if not isinstance(accuracy, Tolerance | AccuracyMode | None):
            raise TypeError(
                f"lax.{name}: accuracy is a lax.AccuracyMode or lax.Tolerance, got {accuracy!r}."
            )
        return apply(operand(name, x))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{doc}, element by element.\n\n`accuracy` is accepted for compatibility: errors are those "
        "of ``docs/accuracy.md``." + EXAMPLES.get(name, "")
    )
    return function


def _binary(
    name: str, apply: Callable[[Value, Value], Value], doc: str
) -> Callable[[ArrayLike, ArrayLike], Value]:
    def function(x: ArrayLike, y: ArrayLike) -> Value:
        return apply(*operands(name, x, y))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{doc}, element by element.\n\nBoth operands have one dtype and shape; a number beside an "
        "array takes the array's." + EXAMPLES.get(name, "")
    )
    return function


# arithmetic
neg = _unary("neg", arithmetic.neg, "-x")
sign = _unary("sign", arithmetic.sign, "-1, 0 or 1 by the sign of x; NaN and -0.0 are kept")
abs = _unary("abs", arithmetic.abs, "The absolute value")
floor = _unary("floor", arithmetic.floor, "The greatest integer not above x")
ceil = _unary("ceil", arithmetic.ceil, "The least integer not below x")
is_finite = _unary("is_finite", comparison.is_finite, "Whether x is neither infinite nor NaN")
add = _binary("add", arithmetic.add, "x + y")
sub = _binary("sub", arithmetic.sub, "x - y")
div = _binary("div", arithmetic.div, "x / y; integers truncate toward zero")
rem = _binary("rem", arithmetic.rem, "The remainder of x / y, with the sign of x")
max = _binary("max", arithmetic.max, "The greater of x and y; NaN if either is")
min = _binary("min", arithmetic.min, "The lesser of x and y; NaN if either is")

# exponentials, logarithms, roots
exp = _accurate("exp", transcendental.exp, "e to the power x")
exp2 = _accurate("exp2", transcendental.exp2, "2 to the power x")
expm1 = _accurate("expm1", transcendental.expm1, "exp(x) - 1, accurate near 0")
log = _accurate("log", transcendental.log, "The natural logarithm")
log1p = _accurate("log1p", transcendental.log1p, "log(1 + x), accurate near 0")
logistic = _accurate("logistic", transcendental.logistic, "1 / (1 + exp(-x))")
sqrt = _accurate("sqrt", transcendental.sqrt, "The square root")
rsqrt = _accurate("rsqrt", transcendental.rsqrt, "1 / sqrt(x)")
cbrt = _accurate("cbrt", transcendental.cbrt, "The cube root")

# trigonometric and hyperbolic functions
sin = _accurate("sin", transcendental.sin, "The sine")
cos = _accurate("cos", transcendental.cos, "The cosine")
tan = _accurate("tan", transcendental.tan, "The tangent")
asin = _unary("asin", transcendental.asin, "The arc sine")
acos = _unary("acos", transcendental.acos, "The arc cosine")
atan = _unary("atan", transcendental.atan, "The arc tangent")
atan2 = _binary("atan2", transcendental.atan2, "The angle of the point (y, x), from -pi to pi")
sinh = _unary("sinh", transcendental.sinh, "The hyperbolic sine")
cosh = _unary("cosh", transcendental.cosh, "The hyperbolic cosine")
tanh = _accurate("tanh", transcendental.tanh, "The hyperbolic tangent")
asinh = _unary("asinh", transcendental.asinh, "The inverse hyperbolic sine")
acosh = _unary("acosh", transcendental.acosh, "The inverse hyperbolic cosine")
atanh = _unary("atanh", transcendental.atanh, "The inverse hyperbolic tangent")

# error functions
erf = _unary("erf", transcendental.erf, "The error function")
erfc = _unary("erfc", transcendental.erfc, "1 - erf(x), accurate where erf(x) is near 1")
erf_inv = _unary("erf_inv", transcendental.erf_inv, "The inverse of the error function")

# comparisons
eq = _binary("eq", comparison.eq, "x == y")
ne = _binary("ne", comparison.ne, "x != y")
lt = _binary("lt", comparison.lt, "x < y")
le = _binary("le", comparison.le, "x <= y")
gt = _binary("gt", comparison.gt, "x > y")
ge = _binary("ge", comparison.ge, "x >= y")

# bits
bitwise_and = _binary("bitwise_and", bitwise.and_, "x & y")
bitwise_or = _binary("bitwise_or", bitwise.or_, "x | y")
bitwise_xor = _binary("bitwise_xor", bitwise.xor, "x ^ y")
bitwise_not = _unary("bitwise_not", bitwise.not_, "~x")
shift_left = _binary("shift_left", bitwise.shift_left, "x << y; 0 when y is the width or more")
shift_right_logical = _binary(
    "shift_right_logical", bitwise.shift_right_logical, "x >> y, filling with zeros"
)
shift_right_arithmetic = _binary(
    "shift_right_arithmetic", bitwise.shift_right_arithmetic, "x >> y, filling with the top bit"
)
population_count = _unary("population_count", bitwise.population_count, "The number of bits set")
clz = _unary("clz", bitwise.clz, "The number of zero bits above the highest bit set")

# parts of complex numbers
real = _unary("real", complex_parts.real, "The real part of a complex number")
imag = _unary("imag", complex_parts.imag, "The imaginary part of a complex number")
complex = _binary("complex", complex_parts.complex, "x + iy from real x and y")
conj = _unary("conj", complex_parts.conj, "The conjugate of a complex number")


def mul(x: ArrayLike, y: ArrayLike, *, out_dtype: Any = None) -> Value:
    """x * y, element by element, in their dtype or in `out_dtype`.

    Both operands have one dtype and shape; a number beside an array takes the array's.

    >>> lax.mul(np.array([1, 2]), 3)
    Array([3, 6], dtype=int32)
    """
    x, y = operands("mul", x, y)
    if out_dtype is not None:
        x, y = convert_element_type(x, out_dtype), convert_element_type(y, out_dtype)
    return arithmetic.mul(x, y)


def round(x: ArrayLike, rounding_method: RoundingMethod = RoundingMethod.AWAY_FROM_ZERO) -> Value:
    """The nearest integer to each element; `rounding_method` decides halfway between two.

    >>> lax.round(np.array([0.5, 1.5]), lax.RoundingMethod.TO_NEAREST_EVEN)
    Array([0., 2.], dtype=float32)
    """
    return arithmetic.round(operand("round", x), rounding_method)


def nextafter(x1: ArrayLike, x2: ArrayLike) -> Value:
    """The float next to `x1` in the direction of `x2`, element by element.

    >>> lax.nextafter(np.array([1.0]), 2.0) > 1
    Array([ True], dtype=bool)
    """
    return arithmetic.nextafter(*operands("nextafter", x1, x2))


def square(x: ArrayLike) -> Value:
    """``x * x``, element by element.

    >>> lax.square(np.array([2, 3]))
    Array([4, 9], dtype=int32)
    """
    return transcendental.integer_pow(operand("square", x), 2)


def reciprocal(x: ArrayLike) -> Value:
    """``1 / x``, element by element.

    >>> lax.reciprocal(np.array([2.0, 4.0]))
    Array([0.5 , 0.25], dtype=float32)
    """
    return transcendental.integer_pow(operand("reciprocal", x), -1)


def integer_pow(x: ArrayLike, y: int) -> Value:
    """`x` to a constant integer power `y`, element by element.

    >>> lax.integer_pow(np.array([2, 3]), 3)
    Array([ 8, 27], dtype=int32)
    """
    return transcendental.integer_pow(operand("integer_pow", x), y)


def pow(x: ArrayLike, y: ArrayLike) -> Value:
    """`x` to the power `y`, element by element.

    `x` is floating-point; `y` has its dtype, or is an array of integers of its shape. A Python
    integer `y` is the same as :func:`integer_pow`.

    >>> lax.pow(np.array([2.0, 3.0]), 2)
    Array([4., 9.], dtype=float32)
    """
    if isinstance(y, int) and not isinstance(y, bool):
        return integer_pow(x, y)
    if not is_scalar(y) and dtypes.is_integer(aval_of(operand("pow", y)).dtype):
        return transcendental.pow(*repeat_scalars([operand("pow", x), y]))
    return transcendental.pow(*operands("pow", x, y))


def clamp(min: ArrayLike, x: ArrayLike, max: ArrayLike) -> Value:
    """`x`, but not below `min` nor above `max`, which are scalars or of the shape of `x`.

    >>> lax.clamp(0, np.array([-1, 1, 5]), 3)
    Array([0, 1, 3], dtype=int32)
    """
    example = np.zeros((), aval_of(operand("clamp", x)).dtype)

    def bound(value: ArrayLike) -> Value:
        # A number beside an array takes its dtype; it need not be repeated to its shape.
        return operands("clamp", value, example)[0] if is_scalar(value) else operand("clamp", value)

    if is_scalar(x):
        return arithmetic.clamp(*operands("clamp", min, x, max))
    return arithmetic.clamp(bound(min), x, bound(max))


def select(pred: ArrayLike, on_true: ArrayLike, on_false: ArrayLike) -> Value:
    """`on_true` where `pred` holds, else `on_false`.

    The cases have one dtype and shape; `pred` is a boolean scalar or array of that shape.

    >>> lax.select(np.array([True, False]), np.array([1, 2]), np.array([3, 4]))
    Array([1, 4], dtype=int32)
    """
    return selection.select_n(operand("select", pred), *operands("select", on_false, on_true))


def select_n(which: ArrayLike, *cases: ArrayLike) -> Value:
    """``cases[which]``, element by element; `which` is boolean (two cases) or int32.

    >>> lax.select_n(np.array([1, 0]), np.array([1, 2]), np.array([3, 4]))
    Array([3, 2], dtype=int32)
    """
    return selection.select_n(operand("select_n", which), *operands("select_n", *cases))


def convert_element_type(
    operand: ArrayLike, new_dtype: Any = None, weak_type: bool = False
) -> Value:
    """The values of `operand` in another dtype.

    From floating point to integers: truncated toward zero, saturated at the ends of the range, and
    NaN becomes 0. Between integers: wrapped. To booleans: whether the value is not 0.

    >>> lax.convert_element_type(np.array([1.5, 2.5]), np.int32)
    Array([1, 2], dtype=int32)
    """
    dtype = aval_of(operand).dtype if new_dtype is None else new_dtype
    return convert.convert_element_type(operand, dtype, weak_type)


def bitcast_convert_type(operand: ArrayLike, new_dtype: Any) -> Value:
    """The bits of `operand` read as another dtype.

    A narrower dtype adds a last axis that holds the parts; a wider one removes such an axis.

    >>> lax.bitcast_convert_type(np.array([1.0]), np.int32)
    Array([1065353216], dtype=int32)
    """
    return convert.bitcast_convert_type(operand, new_dtype)


def stop_gradient(x: Any) -> Any:
    """`x`, an array or a tree of them, as a constant for differentiation.

    >>> weft.grad(lambda x: x * lax.stop_gradient(x))(3.0)
    Array(3., dtype=float32)
    """

    def stop(leaf: Any) -> Any:
        inexact = dtypes.is_inexact(aval_of(operand("stop_gradient", leaf)).dtype)
        return selection.stop_gradient(leaf) if inexact else leaf

    return tree.map(stop, x)


def reduce_precision(operand: ArrayLike, exponent_bits: int, mantissa_bits: int) -> Value:
    """Floats rounded to what a format of these widths could hold, element by element.

    Ties go to even, what is too large becomes infinite and what would be subnormal zero; the dtype
    stays.

    >>> lax.reduce_precision(np.asarray([1.2345, 1e6]), exponent_bits=5, mantissa_bits=10)
    Array([1.234375,      inf], dtype=float32)
    """
    return _reduce_precision(operand, exponent_bits, mantissa_bits)


def mulhi(x: ArrayLike, y: ArrayLike, /) -> Value:
    """The upper half of the bits of the whole product of integers, element by element.

    >>> lax.mulhi(np.asarray([2**20], np.int32), np.asarray([2**20], np.int32))
    Array([256], dtype=int32)
    """
    x, y = operands("mulhi", x, y)
    aval = aval_of(x)
    if not dtypes.is_integer(aval.dtype):
        raise TypeError(f"lax.mulhi needs integers, got {aval}.")
    bits = 8 * aval.dtype.itemsize
    if bits < 64:
        wide = np.dtype(f"{'u' if dtypes.is_unsigned(aval.dtype) else ''}int{2 * bits}")
        product = mul(convert_element_type(x, wide), convert_element_type(y, wide))
        return convert_element_type(shift_right_arithmetic(product, bits), aval.dtype)
    # Schoolbook multiplication of halves; of signed numbers the upper one keeps the sign.
    shift = shift_right_logical if dtypes.is_unsigned(aval.dtype) else shift_right_arithmetic
    (x0, x1), (y0, y1) = ((bitwise_and(v, 0xFFFFFFFF), shift(v, 32)) for v in (x, y))
    low = shift_right_logical(mul(x0, y0), 32)
    middle = add(mul(x1, y0), low)
    rest = add(mul(x0, y1), bitwise_and(middle, 0xFFFFFFFF))
    return add(mul(x1, y1), add(shift(middle, 32), shift(rest, 32)))
