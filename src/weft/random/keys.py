"""Keys, and bits from them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weft import lax
from weft import numpy as wnp
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.numpy._common import (
    ArrayLike,
    DType,
    Value,
    canonical_shape,
    check_arraylike,
)
from weft.numpy.creation import asarray
from weft.primitives.random_bits import threefry2x32

Key = Value


def key(seed: ArrayLike, *, impl: str | None = None) -> Key:
    """A key from an integer seed: the low 32 bits of a number, both words of a 64-bit array.

    Raises
    ------
    TypeError: if the seed is not one integer. ValueError: for generators other than Threefry.
    """
    if impl not in (None, "threefry2x32"):
        raise ValueError(f"weft.random.key: the generator is 'threefry2x32', got impl={impl!r}")
    check_arraylike("random.key", seed)
    aval = aval_of(seed)
    if aval.shape or not dtypes.is_integer(aval.dtype):
        raise TypeError(f"weft.random.key: a seed is one integer, got {aval}")
    if isinstance(seed, int | np.integer):
        # As in JAX by default, numbers have 32 bits; an int64 array fills both words.
        return asarray(np.array([0, int(seed) & 0xFFFFFFFF], np.uint32))
    word = asarray(seed)
    if aval.dtype.itemsize < 8:
        low = lax.convert_element_type(word, dtypes.uint32)
        return wnp.stack([wnp.zeros((), dtypes.uint32), low])
    wide = lax.convert_element_type(word, dtypes.uint64)
    high_word = lax.shift_right_logical(wide, np.asarray(32, np.uint64))
    return wnp.stack([lax.convert_element_type(w, dtypes.uint32) for w in (high_word, wide)])


PRNGKey = key


def key_data(keys: Key) -> Value:
    """The words of a key, which is the key itself."""
    return keys


def wrap_key_data(data: ArrayLike, *, impl: str | None = None) -> Key:
    """A key from its two words."""
    return checked_key("wrap_key_data", asarray(data))


def checked_key(name: str, value: Any) -> Key:
    """`value`, if it is a key; TypeError that names the function ``name`` otherwise."""
    check_arraylike(f"random.{name}", value)
    aval = aval_of(value)
    if aval.dtype != np.uint32 or aval.shape != (2,):
        advice = "; split(key) gives several keys, take one: key, subkey = split(key)"
        raise TypeError(
            f"weft.random.{name}: a key is u32[2], as weft.random.key(seed) makes it, got {aval}"
            + (advice if aval.dtype == np.uint32 and aval.ndim == 2 else "")
        )
    return value


def split(key: Key, num: Any = 2) -> Value:
    """`num` new keys (an integer or a shape), as an array of keys.

    >>> key, subkey = weft.random.split(weft.random.key(0))
    """
    shape = canonical_shape("random.split", num)
    first, second = hash_counts(checked_key("split", key), shape)
    return wnp.stack([first, second], -1)


def fold_in(key: Key, data: ArrayLike) -> Key:
    """A new key from a key and an integer, such as a step number."""
    key = checked_key("fold_in", key)
    aval = aval_of(data)
    if aval.shape or not dtypes.is_integer(aval.dtype):
        raise TypeError(f"weft.random.fold_in: data is one integer, got {aval}")
    if isinstance(data, int | np.integer):
        word: Value = np.asarray(int(data) & 0xFFFFFFFF, np.uint32)
    else:
        word = lax.convert_element_type(asarray(data), dtypes.uint32)
    zero = np.zeros((), np.uint32)
    first, second = threefry2x32(key[0], key[1], zero, word)
    return wnp.stack([first, second])


def clone(key: Key) -> Key:
    """The same key again, for numbers that shall be equal on purpose."""
    return wnp.array(checked_key("clone", key))


def hash_counts(key: Key, shape: tuple[int, ...]) -> list[Value]:
    """Two words for each element of an array: Threefry of its 64-bit position."""
    size = math.prod(shape)
    if size >= 2**32:
        wide = lax.reshape(lax.broadcasted_iota(dtypes.uint64, (size,), 0), shape)
        shift = lax.broadcast_in_dim(np.asarray(32, np.uint64), shape, ())
        high = lax.convert_element_type(lax.shift_right_logical(wide, shift), dtypes.uint32)
        low = lax.convert_element_type(wide, dtypes.uint32)
    else:
        high = lax.broadcast_in_dim(np.zeros((), np.uint32), shape, ())
        low = lax.reshape(lax.broadcasted_iota(dtypes.uint32, (size,), 0), shape)
    return threefry2x32(key[0], key[1], high, low)


def bits(key: Key, shape: Any = (), dtype: DType = None) -> Value:
    """Uniformly random bits as unsigned integers of 8, 16, 32 (the default) or 64 bits."""
    target = dtypes.uint32 if dtype is None else dtypes.canonical_dtype(dtype)
    if not dtypes.is_unsigned(target):
        raise TypeError(f"weft.random.bits: dtype must be an unsigned integer, got {target}")
    return random_bits(checked_key("bits", key), canonical_shape("random.bits", shape), target)


def random_bits(key: Key, shape: tuple[int, ...], dtype: np.dtype) -> Value:
    """Uniformly random bits, as unsigned integers of ``dtype``."""
    first, second = hash_counts(key, shape)
    if dtype.itemsize == 8:
        high, low = (lax.convert_element_type(word, dtypes.uint64) for word in (first, second))
        shift = lax.broadcast_in_dim(np.asarray(32, np.uint64), shape, ())
        return lax.bitwise_or(lax.shift_left(high, shift), low)
    return lax.convert_element_type(lax.bitwise_xor(first, second), dtype)


def key_impl(keys: Key) -> str:
    """The name of the generator that keys are for."""
    _ = checked_key("key_impl", keys)
    return "threefry2x32"
