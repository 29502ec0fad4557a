"""Functions of integers: common divisors and multiples, bits packed into bytes."""

from __future__ import annotations

import operator

import numpy as np

from weft import lax
from weft.array.calls import at_once
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.numpy._common import (
    ArrayLike,
    Value,
    canonical_axis,
    check_arraylike,
    dtype_of,
    promote_and_broadcast,
    shape_of,
)
from weft.numpy.creation import asarray
from weft.numpy.division import remainder
from weft.numpy.reductions import any as any_of
from weft.numpy.reductions import sum as sum_of
from weft.numpy.select import where
from weft.numpy.shaping import moveaxis, ravel
from weft.numpy.ufuncs import absolute, truth


def _integers(name: str, x1: ArrayLike, x2: ArrayLike) -> list[Value]:
    check_arraylike(name, x1, x2)
    for argument, x in (("x1", x1), ("x2", x2)):
        if not dtypes.is_integer(dtype_of(x)):
            raise TypeError(f"weft.numpy.{name}: {argument} must be integers, got {aval_of(x)}")
    return promote_and_broadcast(name, x1, x2)


@at_once
def gcd(x1: ArrayLike, x2: ArrayLike) -> Value:
    """The greatest common divisor of integers, element by element (Euclid's algorithm).

    Operands are promoted and broadcast; gcd(0, 0) is 0. One loop runs until all elements are done.

    >>> gcd(np.array([12, 0, -8]), 18)
    Array([ 6, 18,  2], dtype=int32)

    Raises
    ------
    TypeError: for dtypes that are not integers.
    """
    first, second = (absolute(x) for x in _integers("gcd", x1, x2))

    def step(state: tuple[Value, Value]) -> tuple[Value, Value]:
        a, b = state
        done = b == 0
        return where(done, a, b), where(done, b, remainder(a, where(done, 1, b)))

    return lax.while_loop(lambda state: any_of(state[1] != 0), step, (first, second))[0]


@at_once
def lcm(x1: ArrayLike, x2: ArrayLike) -> Value:
    """The least common multiple of integers, element by element; 0 where one is 0.

    >>> lcm(np.array([4, 0, -3]), 6)
    Array([12,  0,  6], dtype=int32)

    Raises
    ------
    TypeError: for dtypes that are not integers.
    """
    first, second = (absolute(x) for x in _integers("lcm", x1, x2))
    divisor = gcd(first, second)
    return first // where(divisor == 0, 1, divisor) * second


_BIT_ORDERS = ("big", "little")


def _weights(name: str, bitorder: str) -> np.ndarray:
    """How far the bits of a byte are shifted, in the order in which they are stored."""
    if bitorder not in _BIT_ORDERS:
        raise ValueError(f"weft.numpy.{name}: bitorder is 'big' or 'little', got {bitorder!r}")
    places = np.arange(8, dtype=np.uint8)
    return places[::-1].copy() if bitorder == "big" else places


def packbits(a: ArrayLike, axis: int | None = None, bitorder: str = "big") -> Value:
    """Eight booleans (or integers, of which it is asked whether they are 0) in each uint8.

    Along `axis`, or of the flat array without it; n elements give ⌈n/8⌉ bytes, the last one filled
    with zeros. "big" puts the first element into the highest bit.

    >>> packbits(np.array([1, 0, 1]))
    Array([160], dtype=uint8)

    Raises
    ------
    TypeError: for floating-point and complex elements.
    """
    check_arraylike("packbits", a)
    shifts = _weights("packbits", bitorder)
    x = asarray(a)
    if dtypes.is_inexact(dtype_of(x)):
        raise TypeError(f"weft.numpy.packbits: a must be booleans or integers, got {aval_of(x)}")
    x = ravel(x) if axis is None else x
    number = canonical_axis("packbits", 0 if axis is None else axis, len(shape_of(x)))
    bits = moveaxis(truth(x), number, -1)
    *lead, size = shape_of(bits)
    missing = -size % 8
    bits = lax.pad(bits, np.asarray(False), [(0, 0, 0)] * len(lead) + [(0, missing, 0)])
    bits = lax.reshape(bits, (*lead, (size + missing) // 8, 8))
    packed = sum_of(lax.convert_element_type(bits, np.dtype(np.uint8)) << shifts, -1, np.uint8)
    return moveaxis(packed, -1, number)


def unpackbits(
    a: ArrayLike, axis: int | None = None, count: int | None = None, bitorder: str = "big"
) -> Value:
    """The eight bits of each uint8, as uint8, along `axis` (of the flat array without it).

    `count` takes the first so many of them, adding zeros where there are fewer, or drops the last
    `-count`.

    >>> unpackbits(np.array([160], np.uint8), count=3)
    Array([1, 0, 1], dtype=uint8)

    Raises
    ------
    TypeError: for other dtypes than uint8.
    """
    check_arraylike("unpackbits", a)
    shifts = _weights("unpackbits", bitorder)
    x = asarray(a)
    if dtype_of(x) != np.uint8:
        raise TypeError(f"weft.numpy.unpackbits: a must be uint8, got {aval_of(x)}")
    x = ravel(x) if axis is None else x
    number = canonical_axis("unpackbits", 0 if axis is None else axis, len(shape_of(x)))
    bytes_ = moveaxis(x, number, -1)
    bits = (bytes_[..., None] >> shifts) & np.uint8(1)
    *lead, size = shape_of(bytes_)
    bits = lax.reshape(bits, (*lead, size * 8))
    if count is not None:
        wanted = operator.index(count)
        wanted = max(wanted + size * 8, 0) if wanted < 0 else wanted
        bits = bits[..., :wanted]
        missing = wanted - shape_of(bits)[-1]
        bits = lax.pad(bits, np.uint8(0), [(0, 0, 0)] * len(lead) + [(0, missing, 0)])
    return moveaxis(bits, -1, number)
