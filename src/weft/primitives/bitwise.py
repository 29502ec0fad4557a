"""Operations on the bits of booleans and integers. A shift by the width or more shifts all out."""

from __future__ import annotations

import numpy as np

from weft.core import dtypes
from weft.primitives.elementwise import elementwise
from weft.primitives.rules import BITS, INTEGER

# ---------------------------------------------------------------- and, or, xor, not

and_p = elementwise("and", BITS, 2, numpy=np.bitwise_and)
and_ = and_p.bind

or_p = elementwise("or", BITS, 2, numpy=np.bitwise_or)
or_ = or_p.bind

xor_p = elementwise("xor", BITS, 2, numpy=np.bitwise_xor)
xor = xor_p.bind

not_p = elementwise("not", BITS, 1, numpy=np.invert)
not_ = not_p.bind

# ---------------------------------------------------------------- shifts, counts


def _width(x: np.ndarray) -> int:
    return x.dtype.itemsize * 8


def _unsigned(x: np.ndarray) -> np.ndarray:
    return x.view(np.dtype(f"u{x.dtype.itemsize}"))


def _in_range(x: np.ndarray, amount: np.ndarray) -> np.ndarray:
    return _unsigned(amount) < _width(x)  # a negative amount reads as a huge one


def _shift_left(x: np.ndarray, amount: np.ndarray) -> np.ndarray:
    inside = _in_range(x, amount)
    return np.where(inside, np.left_shift(x, np.where(inside, amount, 0)), x.dtype.type(0))


def _shift_right_logical(x: np.ndarray, amount: np.ndarray) -> np.ndarray:
    inside = _in_range(x, amount)
    shifted = np.right_shift(_unsigned(x), np.where(inside, _unsigned(amount), 0))
    return np.where(inside, shifted.astype(x.dtype), x.dtype.type(0))


def _shift_right_arithmetic(x: np.ndarray, amount: np.ndarray) -> np.ndarray:
    if not dtypes.is_signed(x.dtype):
        # The sign bit is the top bit of an unsigned integer as well, as XLA defines it.
        signed = np.dtype(f"i{x.dtype.itemsize}")
        return _shift_right_arithmetic(x.view(signed), amount.view(signed)).view(x.dtype)
    inside = _in_range(x, amount)
    return np.right_shift(x, np.where(inside, amount, x.dtype.type(_width(x) - 1)))


shift_left_p = elementwise("shift_left", INTEGER, 2, numpy=_shift_left)
shift_left = shift_left_p.bind

shift_right_logical_p = elementwise("shift_right_logical", INTEGER, 2, numpy=_shift_right_logical)
shift_right_logical = shift_right_logical_p.bind

shift_right_arithmetic_p = elementwise(
    "shift_right_arithmetic", INTEGER, 2, numpy=_shift_right_arithmetic
)
shift_right_arithmetic = shift_right_arithmetic_p.bind

population_count_p = elementwise(
    "population_count", INTEGER, 1, numpy=lambda x: np.bitwise_count(_unsigned(x))
)
population_count = population_count_p.bind


def _leading_zeros(x: np.ndarray) -> np.ndarray:
    """Zeros above the highest bit set, found by halving."""
    rest = _unsigned(x)
    zeros = np.full(x.shape, _width(x), rest.dtype)
    shift = _width(x) // 2
    while shift:
        above = rest >> rest.dtype.type(shift)
        zeros = np.where(above != 0, zeros - rest.dtype.type(shift), zeros)
        rest = np.where(above != 0, above, rest)
        shift //= 2
    return zeros - rest


clz_p = elementwise("clz", INTEGER, 1, numpy=_leading_zeros)
clz = clz_p.bind
