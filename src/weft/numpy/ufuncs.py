"""Elementwise functions: NumPy's ufuncs, as promotion, broadcasting and one or a few primitives.

Most are a row of a table: a name, the strict operation, and what dtypes it promotes to. Functions
whose meaning NumPy and the primitive divide differently (floor division, powers, …) are written out
below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weft import lax
from weft.array import Array
from weft.array.calls import at_once
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.numpy._common import (
    ArrayLike,
    Value,
    as_result,
    broadcast,
    check_arraylike,
    convert,
    dtype_of,
    is_scalar,
    no_out,
    only_values,
    promote,
    promote_and_broadcast,
    promote_inexact,
    scalar_constant,
)
from weft.numpy.ufunc_examples import EXAMPLES
from weft.primitives import arithmetic, transcendental

Op = Callable[..., Value]


def _named(function: Any, name: str, doc: str) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc + EXAMPLES.get(name, "")
    return function


def unary(name: str, op: Op, doc: str, inexact: bool = False) -> Callable[[ArrayLike], Value]:
    """A function of one array; `inexact` makes integers floating-point first."""

    def function(x: ArrayLike, /) -> Value:
        (x,) = promote_inexact(name, x) if inexact else promote(name, x)
        return op(x)

    return at_once(_named(function, name, doc + _CONTRACT))


def binary(
    name: str, op: Op, doc: str, inexact: bool = False
) -> Callable[[ArrayLike, ArrayLike], Value]:
    """A function of two arrays of a common dtype and shape."""

    def function(x1: ArrayLike, x2: ArrayLike, /, *, out: None = None, where: None = None) -> Value:
        only_values(name, out, where)
        return op(*promote_and_broadcast(name, x1, x2, inexact=inexact))

    return at_once(_named(function, name, doc + _CONTRACT))


_CONTRACT = "\n\nOperands are arrays or numbers; they are promoted and broadcast as in NumPy."


def bitwise(name: str, op: Op, doc: str) -> Callable[[ArrayLike, ArrayLike], Value]:
    """A function of two arrays of bits: integers or booleans."""

    def function(x1: ArrayLike, x2: ArrayLike, /, *, out: None = None, where: None = None) -> Value:
        only_values(name, out, where)
        _check_bits(name, x1, x2)
        return op(*promote_and_broadcast(name, x1, x2))

    return at_once(_named(function, name, doc + _CONTRACT))


def _check_bits(name: str, *args: ArrayLike) -> None:
    check_arraylike(name, *args)
    for position, arg in enumerate(args):
        if dtypes.is_inexact(dtype_of(arg)):
            raise TypeError(
                f"weft.numpy.{name}: argument {position} must be integer or boolean, "
                f"got {aval_of(arg)}"
            )


def logical(name: str, op: Op, doc: str) -> Callable[..., Value]:
    """A function of the truth of its operands (whether they are not zero)."""

    def function(x1: ArrayLike, x2: ArrayLike, /, *, out: None = None, where: None = None) -> Value:
        only_values(name, out, where)
        check_arraylike(name, x1, x2)
        return op(*broadcast(name, truth(x1), truth(x2)))

    return at_once(_named(function, name, doc + _CONTRACT))


def truth(x: ArrayLike) -> Value:
    """`x != 0`, and `x` itself when it is boolean."""
    if is_scalar(x):
        return np.asarray(bool(x))
    if dtype_of(x) == np.bool_:
        return x
    return lax.ne(x, zeros_of(x))


def constant_like(x: Value, value: Any) -> Value:
    """A number repeated in the shape and dtype of `x`."""
    aval = aval_of(x)
    constant = np.asarray(value).astype(aval.dtype)
    return lax.broadcast_in_dim(constant, aval.shape, ()) if aval.shape else constant


def zeros_of(x: Value) -> Value:
    """Zeros in the shape and dtype of `x`."""
    return constant_like(x, 0)


# ---------------------------------------------------------------- one primitive each

add = binary("add", lambda x, y: _plus(x, y), "x1 + x2; for booleans, logical or.")
multiply = binary("multiply", lambda x, y: _times(x, y), "x1 · x2; for booleans, logical and.")
divide = true_divide = binary(
    "divide", arithmetic.div, "x1 / x2, floating-point also for integers.", True
)
maximum = binary("maximum", lax.max, "The larger of two elements; NaN if either is.")
minimum = binary("minimum", lax.min, "The smaller of two elements; NaN if either is.")
arctan2 = atan2 = binary("arctan2", lax.atan2, "The angle of the point (x2, x1), in radians.", True)
nextafter = binary("nextafter", lax.nextafter, "The next float from x1 towards x2.", True)

bitwise_and = bitwise("bitwise_and", lax.bitwise_and, "x1 & x2, bit by bit.")
bitwise_or = bitwise("bitwise_or", lax.bitwise_or, "x1 | x2, bit by bit.")
bitwise_xor = bitwise("bitwise_xor", lax.bitwise_xor, "x1 ^ x2, bit by bit.")

equal = binary("equal", lax.eq, "x1 == x2.")
not_equal = binary("not_equal", lax.ne, "x1 != x2.")
less = binary("less", lax.lt, "x1 < x2.")
less_equal = binary("less_equal", lax.le, "x1 <= x2.")
greater = binary("greater", lax.gt, "x1 > x2.")
greater_equal = binary("greater_equal", lax.ge, "x1 >= x2.")

logical_and = logical("logical_and", lax.bitwise_and, "Whether both are not zero.")
logical_or = logical("logical_or", lax.bitwise_or, "Whether either is not zero.")
logical_xor = logical("logical_xor", lax.bitwise_xor, "Whether exactly one is not zero.")


def logical_not(x: ArrayLike, /) -> Value:
    """Whether the element is zero.

    >>> np.logical_not(np.array([0, 2]))
    Array([ True, False], dtype=bool)
    """
    check_arraylike("logical_not", x)
    return lax.bitwise_not(truth(x))


exp = unary("exp", lax.exp, "e to the power x.", True)
exp2 = unary("exp2", lax.exp2, "2 to the power x.", True)
expm1 = unary("expm1", lax.expm1, "exp(x) − 1, exact near 0.", True)
log = unary("log", lax.log, "The natural logarithm.", True)
log1p = unary("log1p", lax.log1p, "log(1 + x), exact near 0.", True)
sqrt = unary("sqrt", lax.sqrt, "The square root.", True)
cbrt = unary("cbrt", lax.cbrt, "The cube root.", True)
sin = unary("sin", lax.sin, "The sine of an angle in radians.", True)
cos = unary("cos", lax.cos, "The cosine of an angle in radians.", True)
tan = unary("tan", lax.tan, "The tangent of an angle in radians.", True)
arcsin = asin = unary("arcsin", lax.asin, "The angle in [−π/2, π/2] with sine x.", True)
arccos = acos = unary("arccos", lax.acos, "The angle in [0, π] with cosine x.", True)
arctan = atan = unary("arctan", lax.atan, "The angle in [−π/2, π/2] with tangent x.", True)
sinh = unary("sinh", lax.sinh, "The hyperbolic sine.", True)
cosh = unary("cosh", lax.cosh, "The hyperbolic cosine.", True)
tanh = unary("tanh", lax.tanh, "The hyperbolic tangent.", True)
arcsinh = asinh = unary("arcsinh", lax.asinh, "The inverse hyperbolic sine.", True)
arccosh = acosh = unary("arccosh", lax.acosh, "The inverse hyperbolic cosine.", True)
arctanh = atanh = unary("arctanh", lax.atanh, "The inverse hyperbolic tangent.", True)


def _plus(x: Value, y: Value) -> Value:
    return lax.bitwise_or(x, y) if _is_bool(x) else arithmetic.add(x, y)


def _times(x: Value, y: Value) -> Value:
    return lax.bitwise_and(x, y) if _is_bool(x) else arithmetic.mul(x, y)


def _is_bool(x: Value) -> bool:
    dtype = x.aval.dtype if type(x) is Array else dtype_of(x)
    return dtype.kind == "b"


@at_once
def subtract(x1: ArrayLike, x2: ArrayLike, /, *, out: None = None, where: None = None) -> Value:
    """x1 − x2. Booleans have no difference: use logical_xor.

    >>> np.subtract(np.array([1, 2]), 3)
    Array([-2, -1], dtype=int32)
    """
    only_values("subtract", out, where)
    x1, x2 = promote_and_broadcast("subtract", x1, x2)
    _refuse_bool("subtract", x1, "use weft.numpy.logical_xor (x ^ y)")
    return arithmetic.sub(x1, x2)


@at_once
def negative(x: ArrayLike, /, *, out: None = None, where: None = None) -> Value:
    """−x. Booleans have no negative: use logical_not.

    >>> np.negative(np.array([1, -2]))
    Array([-1,  2], dtype=int32)
    """
    only_values("negative", out, where)
    (x,) = promote("negative", x)
    _refuse_bool("negative", x, "use weft.numpy.logical_not (~x)")
    return lax.neg(x)


def _refuse_bool(name: str, x: Value, advice: str) -> None:
    if dtype_of(x) == np.bool_:
        raise TypeError(f"weft.numpy.{name}: booleans are not numbers; {advice}")


def positive(x: ArrayLike, /) -> Value:
    """+x: a number's own value.

    >>> np.positive(np.array([-2, 3]))
    Array([-2,  3], dtype=int32)
    """
    (x,) = promote("positive", x)
    return as_result(x)


@at_once
def absolute(x: ArrayLike, /) -> Value:
    """The magnitude; real for complex numbers.

    >>> np.absolute(np.array([-2, 3]))
    Array([2, 3], dtype=int32)
    """
    (x,) = promote("absolute", x)
    if dtype_of(x) == np.bool_ or dtypes.is_unsigned(dtype_of(x)):
        return as_result(x)
    return lax.abs(x)


abs = absolute


def fabs(x: ArrayLike, /) -> Value:
    """The magnitude as a floating-point number.

    >>> np.fabs(np.array([-2, 3]))
    Array([2., 3.], dtype=float32)
    """
    (x,) = promote_inexact("fabs", x)
    return lax.abs(x)


@at_once
def sign(x: ArrayLike, /) -> Value:
    """−1, 0 or 1 by the sign of x; x / |x| for complex numbers; NaN for NaN.

    >>> np.sign(np.array([-2.0, 0.0, 3.0]))
    Array([-1.,  0.,  1.], dtype=float32)
    """
    (x,) = promote("sign", x)
    _refuse_bool("sign", x, "booleans have no sign")
    result = lax.sign(x)
    # The primitive leaves -0 as it is.
    return lax.add(result, zeros_of(x)) if dtypes.is_inexact(dtype_of(x)) else result


def _rounding(name: str, op: Op, doc: str) -> Callable[[ArrayLike], Value]:
    """A rounding function, which leaves integers and booleans alone."""

    def function(x: ArrayLike, /) -> Value:
        (x,) = promote(name, x)
        dtype = dtype_of(x)
        if dtypes.is_complex(dtype):
            raise TypeError(
                f"weft.numpy.{name}: {dtype} has no order to round by; round x.real and x.imag"
            )
        return op(x) if dtypes.is_floating(dtype) else as_result(x)

    return _named(function, name, doc)


floor = _rounding("floor", lax.floor, "The largest integer that is not greater.")
ceil = _rounding("ceil", lax.ceil, "The smallest integer that is not less.")
rint = unary(
    "rint",
    lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN),
    "The nearest integer, as a float; halves go to the even neighbour.",
    True,
)
trunc = fix = _rounding(
    "trunc",
    lambda x: lax.select_n(lax.lt(x, zeros_of(x)), lax.floor(x), lax.ceil(x)),
    "The integer part: rounding towards zero.",
)


@at_once
def round(a: ArrayLike, decimals: int = 0, out: None = None) -> Value:
    """a rounded to `decimals` places, halves to the even neighbour; `out` must be None.

    >>> np.round(np.array([0.5, 1.5, 2.25]), 1)
    Array([0.5, 1.5, 2.2], dtype=float32)
    """
    no_out("round", out)
    (x,) = promote("round", a)
    dtype = dtype_of(x)
    if decimals == 0 or dtypes.is_complex(dtype):
        if dtypes.is_complex(dtype):
            return lax.complex(round(lax.real(x), decimals), round(lax.imag(x), decimals))
        return rint(x) if dtypes.is_floating(dtype) else as_result(x)
    if not dtypes.is_floating(dtype):
        if decimals > 0:
            return as_result(x)
        factor = 10 ** (-decimals)
        rounded = round(divide(x, factor)) * factor
        return lax.convert_element_type(rounded, dtype)
    factor = constant_like(x, float(10**decimals) if decimals > 0 else 10.0**decimals)
    scaled = lax.round(lax.mul(x, factor), lax.RoundingMethod.TO_NEAREST_EVEN)
    return lax.div(scaled, factor)


around = round


@at_once
def square(x: ArrayLike, /) -> Value:
    """x · x.

    >>> np.square(np.array([-2, 3]))
    Array([4, 9], dtype=int32)
    """
    (x,) = promote("square", x)
    return _times(x, x)


@at_once
def reciprocal(x: ArrayLike, /) -> Value:
    """1 / x, floating-point also for integers.

    >>> np.reciprocal(np.array([2.0, 4.0]))
    Array([0.5 , 0.25], dtype=float32)
    """
    (x,) = promote_inexact("reciprocal", x)
    return lax.div(constant_like(x, 1), x)


@at_once
def log2(x: ArrayLike, /) -> Value:
    """The logarithm to base 2; that of a power of two is exact.

    >>> np.log2(np.array([1, 8]))
    Array([0., 3.], dtype=float32)
    """
    (x,) = promote_inexact("log2", x)
    if dtypes.is_complex(dtype_of(x)):
        return lax.div(lax.log(x), constant_like(x, np.log(2.0)))
    return transcendental.log2(x)


@at_once
def log10(x: ArrayLike, /) -> Value:
    """The logarithm to base 10; that of a power of ten is exact.

    >>> np.log10(np.array([1, 1000]))
    Array([0., 3.], dtype=float32)
    """
    (x,) = promote_inexact("log10", x)
    if dtypes.is_complex(dtype_of(x)):
        return lax.div(lax.log(x), constant_like(x, np.log(10.0)))
    return transcendental.log10(x)


# ---------------------------------------------------------------- division and powers


@at_once
def floor_divide(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """The largest integer not greater than x1 / x2, in the operands' common dtype.

    With an infinity it is x1 / x2, as the Array API standard says (NumPy: NaN for an infinite `x1`,
    and -1 for an infinite `x2` of the other sign).

    >>> np.floor_divide(np.array([7, -7]), 2)
    Array([ 3, -4], dtype=int32)
    >>> np.floor_divide(np.array([np.inf, 7.0]), np.array([2.0, -np.inf]))
    Array([inf, -0.], dtype=float32)
    """
    x1, x2 = promote_and_broadcast("floor_divide", x1, x2)
    dtype = dtype_of(x1)
    _refuse_bool("floor_divide", x1, "convert them first (x.astype(int))")
    if dtypes.is_complex(dtype):
        raise TypeError("weft.numpy.floor_divide: complex numbers have no order to round by")
    if dtypes.is_unsigned(dtype):
        return lax.div(x1, x2)
    if dtypes.is_signed(dtype):
        quotient, remainder = lax.div(x1, x2), lax.rem(x1, x2)
        inexact = lax.ne(remainder, zeros_of(x1))
        below = lax.bitwise_and(lax.ne(lax.sign(x1), lax.sign(x2)), inexact)
        return lax.select_n(below, quotient, lax.sub(quotient, constant_like(x1, 1)))
    infinite = lax.eq(lax.max(lax.abs(x1), lax.abs(x2)), constant_like(x1, np.inf))
    return lax.select_n(infinite, _float_divmod(x1, x2)[0], lax.div(x1, x2))


@at_once
def remainder(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """x1 − x2 · floor(x1 / x2): the remainder with the sign of the divisor; 0 for integers by 0.

    >>> np.remainder(np.array([7, -7]), 3)
    Array([1, 2], dtype=int32)
    """
    divisor = x2
    x1, x2 = promote_and_broadcast("remainder", x1, x2)
    _refuse_bool("remainder", x1, "convert them first (x.astype(int))")
    if dtypes.is_complex(dtype_of(x1)):
        raise TypeError("weft.numpy.remainder: complex numbers have no order to round by")
    rest = _rem(x1, x2, divisor)
    if dtypes.is_unsigned(dtype_of(x1)):
        return rest
    zero = zeros_of(x1)
    differs = lax.ne(lax.lt(rest, zero), lax.lt(x2, zero))
    whole = lax.eq(rest, zero)
    adjust = lax.bitwise_and(differs, lax.bitwise_not(whole))
    result = lax.select_n(adjust, rest, lax.add(rest, x2))
    if not dtypes.is_floating(dtype_of(x1)):
        return result
    # Zero with the divisor's sign, and the slope of `rest`.
    still = lax.stop_gradient(rest)
    signed = lax.select_n(lax.lt(x2, zero), lax.sub(rest, still), lax.neg(lax.sub(still, rest)))
    return lax.select_n(whole, result, signed)


mod = remainder


def _rem(x1: Value, x2: Value, divisor: ArrayLike) -> Value:
    """`lax.rem`, but 0 for integers by 0, as in NumPy; ``divisor`` is `x2` as it was given."""
    rest = lax.rem(x1, x2)
    if not dtypes.is_integer(dtype_of(x1)) or (isinstance(divisor, int) and divisor):
        return rest
    zero = zeros_of(x1)
    return lax.select_n(lax.eq(x2, zero), rest, zero)


@at_once
def fmod(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """The remainder with the sign of the dividend, as C's `fmod`; 0 for integers by 0.

    >>> np.fmod(np.array([7, -7]), 3)
    Array([ 1, -1], dtype=int32)
    """
    divisor = x2
    x1, x2 = promote_and_broadcast("fmod", x1, x2)
    return _rem(x1, x2, divisor)


@at_once
def divmod(x1: ArrayLike, x2: ArrayLike, /) -> tuple[Value, Value]:
    """`(floor_divide(x1, x2), remainder(x1, x2))`.

    >>> np.divmod(np.array([7, -7]), 3)
    (Array([ 2, -3], dtype=int32), Array([1, 2], dtype=int32))
    """
    x1, x2 = promote_and_broadcast("divmod", x1, x2)
    if dtypes.is_floating(dtype_of(x1)):
        return _float_divmod(x1, x2)
    return floor_divide(x1, x2), remainder(x1, x2)


def _float_divmod(x1: Value, x2: Value) -> tuple[Value, Value]:
    """As Python's: the quotient is rounded after the remainder is taken out, so they agree.

    The remainder taken out has the sign of `x1`, so that an infinite divisor does no harm.
    """
    truncated, zero = lax.rem(x1, x2), zeros_of(x1)
    quotient = lax.div(lax.sub(x1, truncated), x2)
    below = lax.bitwise_and(
        lax.ne(truncated, zero), lax.ne(lax.lt(truncated, zero), lax.lt(x2, zero))
    )
    quotient = lax.select_n(below, quotient, lax.sub(quotient, constant_like(x1, 1)))
    rounded = lax.round(quotient, lax.RoundingMethod.TO_NEAREST_EVEN)
    ratio = lax.div(x1, x2)
    # A quotient of zero has the sign of the ratio.
    rounded = lax.select_n(lax.eq(rounded, zero), rounded, lax.mul(ratio, zero))
    by_zero = lax.eq(x2, zero)
    return lax.select_n(by_zero, rounded, ratio), remainder(x1, x2)


def power(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """x1 to the power x2. A Python integer exponent multiplies, and keeps exact dtypes.

    Negative integer powers of integers are refused, as in NumPy: make the base floating-point.

    >>> np.power(np.array([2, 3]), 2)
    Array([4, 9], dtype=int32)
    """
    check_arraylike("power", x1, x2)
    if type(x2) is int and not is_scalar(x1):
        return _static_power(x1, x2)
    dtype, _ = dtypes.result_type(x1, x2)
    x1, x2 = promote_and_broadcast("power", x1, x2)
    if dtype == np.bool_:
        x1, x2 = (lax.convert_element_type(x, np.dtype(np.int8)) for x in (x1, x2))
        return _integer_power(x1, x2)
    return _integer_power(x1, x2) if dtypes.is_integer(dtype) else lax.pow(x1, x2)


pow = power


def _static_power(x: Value, exponent: int) -> Value:
    dtype = dtype_of(x)
    if dtype == np.bool_:
        x, dtype = lax.convert_element_type(x, dtypes.int32), dtypes.int32
    if dtypes.is_inexact(dtype):
        return lax.integer_pow(x, exponent)
    if exponent < 0:
        raise ValueError(
            f"weft.numpy.power: integers to the negative power {exponent} are not integers; "
            f"convert the base {aval_of(x)} to a floating-point dtype first"
        )
    return lax.integer_pow(x, exponent)


def _integer_power(base: Value, exponent: Value) -> Value:
    """By repeated squaring over the bits of the exponent; negative exponents give 0 or ±1."""
    one, zero = constant_like(base, 1), zeros_of(base)
    result, square_, rest = one, base, exponent
    for _ in range(dtype_of(base).itemsize * 8):
        odd = lax.ne(lax.bitwise_and(rest, one), zero)
        result = lax.select_n(odd, result, lax.mul(result, square_))
        square_ = lax.mul(square_, square_)
        rest = lax.shift_right_logical(rest, one)
    if dtypes.is_unsigned(dtype_of(base)):
        return result
    # A unit keeps its value to any power; other bases to a negative power truncate to 0.
    unit = lax.eq(lax.mul(base, base), one)
    negative_exponent = lax.lt(exponent, zero)
    return lax.select_n(lax.bitwise_and(negative_exponent, lax.bitwise_not(unit)), result, zero)


@at_once
def float_power(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """x1 to the power x2, computed in floating-point.

    >>> np.float_power(np.array([2, 3]), -1)
    Array([0.5       , 0.33333334], dtype=float32)
    """
    return lax.pow(*promote_and_broadcast("float_power", x1, x2, inexact=True))


@at_once
def left_shift(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """x1 · 2^x2 for integers, by shifting bits.

    >>> np.left_shift(np.array([1, 3]), 2)
    Array([ 4, 12], dtype=int32)
    """
    _check_bits("left_shift", x1, x2)
    return lax.shift_left(*promote_and_broadcast("left_shift", x1, x2))


@at_once
def right_shift(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """floor(x1 / 2^x2) for integers, by shifting bits.

    >>> np.right_shift(np.array([8, -8]), 1)
    Array([ 4, -4], dtype=int32)
    """
    _check_bits("right_shift", x1, x2)
    x1, x2 = promote_and_broadcast("right_shift", x1, x2)
    shift = lax.shift_right_logical if dtypes.is_unsigned(dtype_of(x1)) else _arithmetic_shift
    return shift(x1, x2)


def _arithmetic_shift(x1: Value, x2: Value) -> Value:
    return lax.shift_right_arithmetic(x1, x2)


@at_once
def bitwise_not(x: ArrayLike, /) -> Value:
    """~x: every bit flipped; logical not for booleans.

    >>> np.bitwise_not(np.array([0, 5]))
    Array([-1, -6], dtype=int32)
    """
    _check_bits("bitwise_not", x)
    (x,) = promote("bitwise_not", x)
    return lax.bitwise_not(x)


invert = bitwise_invert = bitwise_not
bitwise_left_shift, bitwise_right_shift = left_shift, right_shift


@at_once
def bitwise_count(x: ArrayLike, /) -> Value:
    """The number of bits set in |x|, as uint8.

    >>> np.bitwise_count(np.array([7, 8]))
    Array([3, 1], dtype=uint8)
    """
    _check_bits("bitwise_count", x)
    counted = lax.population_count(absolute(x))
    return lax.convert_element_type(counted, dtypes.uint8)


# ---------------------------------------------------------------- conversion


def as_type(name: str, x: ArrayLike, dtype: Any) -> Value:
    """`x` converted to `dtype` (a dtype of any spelling), strongly typed."""
    target = dtypes.canonical_dtype(dtype)
    if is_scalar(x):
        return scalar_constant(name, x, target)
    return convert(name, x, target) if aval_of(x).weak_type is False else _strong(x, target)


def _strong(x: Value, dtype: np.dtype) -> Value:
    return lax.convert_element_type(x, dtype)
