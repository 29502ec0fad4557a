"""Generators of random bits below :mod:`weft.random`, which is what programs should use."""

from __future__ import annotations

import enum
from functools import partial
from math import prod
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray, aval_of
from weft.lax.elementwise import (
    add,
    bitcast_convert_type,
    bitwise_or,
    convert_element_type,
    shift_left,
    shift_right_logical,
)
from weft.lax.operands import ArrayLike, Value, canonical_shape, operand
from weft.lax.shaping import broadcast_in_dim, broadcasted_iota, concatenate, full, reshape
from weft.primitives.random_bits import threefry2x32
from weft.primitives.slicing import slice_along


class RandomAlgorithm(enum.IntEnum):
    """Names that JAX gives to generators; Weft has one, Threefry."""

    RNG_DEFAULT = 0
    RNG_THREE_FRY = 1
    RNG_PHILOX = 2


def rng_bit_generator(
    key: ArrayLike,
    shape: Any,
    dtype: Any = np.uint32,
    algorithm: RandomAlgorithm = RandomAlgorithm.RNG_DEFAULT,
) -> tuple[Value, Value]:
    """``(key, bits)``: random bits, and the key for the next ones.

    Parameters
    ----------
    key: two words of a Threefry key, then two of a 64-bit counter: uint32 of shape (4,), or
        uint64 of shape (2,).
    shape, dtype: of the bits, an unsigned dtype.
    algorithm: RNG_DEFAULT or RNG_THREE_FRY. As JAX says of its own, the bits of a key may be others
        on other devices and in other versions; here they are those of Threefry, on all.

    >>> key = np.arange(4, dtype=np.uint32)
    >>> key, bits = lax.rng_bit_generator(key, (2, 3))
    >>> key, bits.shape
    (Array([0, 1, 5, 3], dtype=uint32), (2, 3))
    """
    name = "rng_bit_generator"
    if algorithm not in (RandomAlgorithm.RNG_DEFAULT, RandomAlgorithm.RNG_THREE_FRY):
        raise ValueError(f"lax.{name} has RNG_THREE_FRY only, got {algorithm!r}.")
    aval = aval_of(operand(name, key))
    if aval.shape != {np.dtype(np.uint32): (4,), np.dtype(np.uint64): (2,)}.get(aval.dtype):
        raise TypeError(f"lax.{name} needs a key u32[4] or u64[2], got {aval}.")
    target = dtypes.canonical_dtype(dtype)
    if not dtypes.is_unsigned(target):
        raise TypeError(f"lax.{name}: dtype is an unsigned integer, got {target}.")
    sizes = canonical_shape(name, shape)
    words = _words(key) if aval.dtype == np.uint64 else key
    first, second, low, high = (reshape(slice_along(words, i, i + 1, 0), ()) for i in range(4))
    counter = bitwise_or(_wide(low), shift_left(_wide(high), np.asarray(32, np.uint64)))
    per_block = 8 // target.itemsize  # elements of two words
    blocks = -(-prod(sizes) // per_block)
    steps = broadcasted_iota(np.uint64, (blocks,), 0)
    counts = add(broadcast_in_dim(counter, (blocks,), ()), steps)
    halves = threefry2x32(first, second, _low(counts), _high(counts))
    pairs = concatenate([reshape(half, (blocks, 1)) for half in halves], 1)
    bits = pairs if target.itemsize == 4 else bitcast_convert_type(pairs, target)
    bits = reshape(bits, (blocks * per_block,))
    bits = reshape(slice_along(bits, 0, prod(sizes), 0), sizes)
    after = add(counter, full((), blocks, np.uint64))
    new = concatenate([reshape(w, (1,)) for w in (first, second, _low(after), _high(after))], 0)
    if aval.dtype == np.uint64:
        new = bitcast_convert_type(reshape(new, (2, 2)), np.uint64)
    return new, bits


def _words(key: Value) -> Value:
    return reshape(bitcast_convert_type(key, np.uint32), (4,))


def _wide(x: Value) -> Value:
    return convert_element_type(x, np.uint64)


def _low(x: Value) -> Value:
    return convert_element_type(x, np.uint32)


def _high(x: Value) -> Value:
    by = full(aval_of(x).shape, 32, np.uint64)
    return convert_element_type(shift_right_logical(x, by), np.uint32)


def rng_uniform(a: ArrayLike, b: ArrayLike, shape: Any) -> Value:
    """Uniform numbers in [a, b) from a hidden state: others at each call, even of one program.

    For experiments; :func:`weft.random.uniform` gives numbers that can be had again. `a` and `b`
    are scalars of one dtype, floating-point or integer.

    >>> x = lax.rng_uniform(0.0, 1.0, (3,))
    >>> x.shape, bool(((x >= 0) & (x < 1)).all())
    ((3,), True)
    """
    from weft.transforms.callback import io_callback

    name = "rng_uniform"
    low, high = aval_of(operand(name, a)), aval_of(operand(name, b))
    if low.shape or high.shape or low.dtype != high.dtype:
        raise TypeError(f"lax.{name} needs two scalars of one dtype, got {low} and {high}.")
    if not (dtypes.is_floating(low.dtype) or dtypes.is_integer(low.dtype)):
        raise TypeError(f"lax.{name} needs floating-point or integer bounds, got {low.dtype}.")
    sizes = canonical_shape(name, shape)
    return io_callback(partial(_draw, sizes), ShapedArray(sizes, low.dtype), a, b)


_STATE = np.random.default_rng()


def _draw(shape: tuple[int, ...], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if dtypes.is_integer(a.dtype):
        return _STATE.integers(a, b, shape, a.dtype)
    return _STATE.uniform(a, b, shape).astype(a.dtype)
