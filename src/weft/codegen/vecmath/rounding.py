"""Rounding to integers, sign and nextafter."""

from __future__ import annotations

from weft.codegen.vecmath.vec import Vec


def round_even(v: Vec, x: str) -> str:
    """The nearest integer, ties to even; keeps -0.

    Without an instruction for it: adding 2^(mantissa bits) to |x| rounds it.
    """
    if v.features.rounding:
        return v._intrinsic("roundeven", x)
    limit = 2.0**v.mantissa_bits
    a = v.abs(x)
    rounded = v.copysign(v.sub(v.add(a, limit), limit), x)
    return v.select(v.compare("olt", a, limit), rounded, x)


def floor(v: Vec, x: str) -> str:
    """The greatest integer not above `x`; exact."""
    if v.features.rounding:
        return v._intrinsic("floor", x)
    near = round_even(v, x)
    return v.select(v.compare("ogt", near, x), v.sub(near, 1.0), near)


def ceil(v: Vec, x: str) -> str:
    """The least integer not below `x`; exact."""
    if v.features.rounding:
        return v._intrinsic("ceil", x)
    return v.neg(floor(v, v.neg(x)))


def trunc(v: Vec, x: str) -> str:
    """The integer part, towards zero; keeps -0."""
    if v.features.rounding:
        return v._intrinsic("trunc", x)
    return v.copysign(floor(v, v.abs(x)), x)


def round_away(v: Vec, x: str) -> str:
    """The nearest integer, ties away from zero.

    trunc(|x| + ½) with the number below ½, so that 0.49999997 does not reach 1; from
    2^(mantissa bits) on every number is an integer.
    """
    a = v.abs(x)
    below_half = 0.5 - 2.0 ** -(v.mantissa_bits + 2)
    rounded = trunc(v, v.add(a, below_half))
    integer = v.compare("uge", a, 2.0**v.mantissa_bits)
    return v.select(integer, x, v.copysign(rounded, x))


def sign(v: Vec, x: str) -> str:
    """-1, 1, or x itself when it is ±0 or NaN."""
    unit = v.copysign(1.0, x)
    return v.select(v.compare("one", x, 0.0), unit, x)


def nextafter(v: Vec, x: str, y: str) -> str:
    """The neighbour of x in the direction of y; y when they are equal."""
    bits = v.to_bits(x)
    up = v.compare("olt", x, y)
    positive = v.compare("ogt", x, 0.0)
    outwards = v.function.i(f"xor {v.bool_type} {up}, {positive}")  # false: away from zero
    stepped = v.integer("add", bits, v.integer_select(outwards, -1, 1))
    result = v.from_bits(stepped)
    smallest = 2.0 ** (1 - v.bias - v.mantissa_bits)
    result = v.select(v.compare("oeq", x, 0.0), v.copysign(smallest, y), result)
    result = v.select(v.compare("oeq", x, y), y, result)
    return v.select(v.compare("uno", x, y), float("nan"), result)
