"""Elementwise functions: NumPy's ufuncs, as promotion, broadcasting and one or a few primitives.

Most are a row of a table: a name, the strict operation, and what dtypes it promotes to. Functions
that take more are written out below; division that rounds and powers are in `weft.numpy.division`.
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
    """A number repeated in the shape and dtype of `x`, weak if that is."""
    aval = aval_of(x)
    constant = np.asarray(value).astype(aval.dtype)
    if aval.weak_type and dtypes.scalar_type(constant.item()) == (aval.dtype, True):
        constant = constant.item()
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
    refuse_bool("subtract", x1, "use weft.numpy.logical_xor (x ^ y)")
    return arithmetic.sub(x1, x2)


@at_once
def negative(x: ArrayLike, /, *, out: None = None, where: None = None) -> Value:
    """−x. Booleans have no negative: use logical_not.

    >>> np.negative(np.array([1, -2]))
    Array([-1,  2], dtype=int32)
    """
    only_values("negative", out, where)
    (x,) = promote("negative", x)
    refuse_bool("negative", x, "use weft.numpy.logical_not (~x)")
    return lax.neg(x)


def refuse_bool(name: str, x: Value, advice: str) -> None:
    """Raises `TypeError` for booleans, which ``name`` does not take, with advice on what to do."""
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
    refuse_bool("sign", x, "booleans have no sign")
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


# ---------------------------------------------------------------- shifts and bits


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
