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
from weft.primitives.random_keys import random_unwrap, random_wrap

Key = Value

#: The name of the generator, as users say it.
THREEFRY = "threefry2x32"


def key_dtype(impl_spec: Any = None) -> Any:
    """The dtype of keys of a generator, ``key<fry>``: the one there is, and the default.

    >>> weft.random.key_dtype()
    key<fry>
    """
    if impl_spec is not None and impl_spec not in (THREEFRY, "fry"):
        try:
            known = dtypes.is_key(dtypes.canonical_dtype(impl_spec))
        except TypeError:
            known = False
        if not known:
            raise ValueError(
                f"weft.random: the generator is {THREEFRY!r}, with keys of dtype "
                f"{dtypes.key_fry}, got {impl_spec!r}"
            )
    return dtypes.key_fry


def key(seed: ArrayLike, *, impl: Any = None, dtype: Any = None) -> Key:
    """A key, a scalar of dtype ``key<fry>``, from an integer seed.

    Numbers give the low 32 bits, 64-bit arrays both words.

    >>> weft.random.key(0)
    Array((), dtype=key<fry>) overlaying:
    [0 0]

    Raises
    ------
    TypeError: if the seed is not one integer. ValueError: for generators other than Threefry.
    """
    first, second = _seeded("key", seed, impl, dtype)
    return random_wrap(first, second)


def PRNGKey(seed: ArrayLike, *, impl: Any = None) -> Key:
    """As `key`, but a raw key: the two uint32 words themselves, without a dtype of their own.

    >>> weft.random.PRNGKey(0)
    Array([0, 0], dtype=uint32)
    """
    return wnp.stack(_seeded("PRNGKey", seed, impl, None))


def _seeded(name: str, seed: ArrayLike, impl: Any, dtype: Any) -> tuple[Value, Value]:
    """The words of the key of a seed."""
    key_dtype(dtype if impl is None else impl)
    check_arraylike(f"random.{name}", seed)
    aval = aval_of(seed)
    if aval.shape or not dtypes.is_integer(aval.dtype):
        raise TypeError(f"weft.random.{name}: a seed is one integer, got {aval}")
    zero = np.zeros((), np.uint32)
    if isinstance(seed, int | np.integer):
        # As in JAX by default, numbers have 32 bits; an int64 array fills both words.
        return zero, np.asarray(int(seed) & 0xFFFFFFFF, np.uint32)
    word = asarray(seed)
    if aval.dtype.itemsize < 8:
        return zero, lax.convert_element_type(word, dtypes.uint32)
    wide = lax.convert_element_type(word, dtypes.uint64)
    high = lax.shift_right_logical(wide, np.asarray(32, np.uint64))
    return lax.convert_element_type(high, dtypes.uint32), lax.convert_element_type(
        wide, dtypes.uint32
    )


def key_data(keys: Key) -> Value:
    """The words of keys, uint32 along a last axis of length 2; raw keys are their own words.

    >>> weft.random.key_data(weft.random.key(7))
    Array([0, 7], dtype=uint32)
    """
    check_arraylike("random.key_data", keys)
    if dtypes.is_key(aval_of(keys).dtype):
        return wnp.stack(random_unwrap(keys), -1)
    return _raw_keys("key_data", keys)


def wrap_key_data(key_bits_array: ArrayLike, *, impl: Any = None, dtype: Any = None) -> Key:
    """Keys of dtype ``key<fry>`` from their words: uint32 with a last axis of length 2.

    >>> weft.random.wrap_key_data(np.array([0, 7], np.uint32)) == weft.random.key(7)
    Array(True, dtype=bool)
    """
    key_dtype(dtype if impl is None else impl)
    check_arraylike("random.wrap_key_data", key_bits_array)
    words = _raw_keys("wrap_key_data", asarray(key_bits_array))
    return random_wrap(words[..., 0], words[..., 1])


def _raw_keys(name: str, value: Any) -> Value:
    aval = aval_of(value)
    if aval.dtype != np.uint32 or aval.shape[-1:] != (2,):
        raise TypeError(
            f"weft.random.{name}: the words of keys are uint32 with a last axis of length 2, got "
            f"{aval}"
        )
    return value


def key_impl(keys: Key) -> str:
    """The name of the generator that keys are for.

    >>> str(weft.random.key_impl(weft.random.key(0)))
    'threefry2x32'
    """
    check_arraylike("random.key_impl", keys)
    if not dtypes.is_key(aval_of(keys).dtype):
        _raw_keys("key_impl", keys)
    return THREEFRY


def checked_key(name: str, value: Any) -> Key:
    """`value`, if it is one key, typed or raw; TypeError that names the function otherwise."""
    check_arraylike(f"random.{name}", value)
    aval = aval_of(value)
    if dtypes.is_key(aval.dtype):
        if aval.shape:
            raise ValueError(
                f"weft.random.{name}: takes one key, got {aval}; take one of them, keys[0], or "
                "draw with each: weft.vmap(f)(keys)"
            )
    elif aval.dtype != np.uint32 or aval.shape != (2,):
        advice = "; split(key) gives several keys, take one: key, subkey = split(key)"
        raise TypeError(
            f"weft.random.{name}: a key is {dtypes.key_fry}[], as weft.random.key(seed) makes it, "
            f"or u32[2], got {aval}"
            + (advice if aval.dtype == np.uint32 and aval.ndim == 2 else "")
        )
    return value


def words_of(key: Key) -> tuple[Value, Value]:
    """The two words of one key, typed or raw."""
    first, second = random_unwrap(key) if dtypes.is_key(aval_of(key).dtype) else (key[0], key[1])
    return first, second


def made_like(key: Key, first: Value, second: Value) -> Key:
    """Keys of words, typed or raw as ``key`` is."""
    if dtypes.is_key(aval_of(key).dtype):
        return random_wrap(first, second)
    return wnp.stack([first, second], -1)


def split(key: Key, num: Any = 2) -> Value:
    """`num` new keys (an integer or a shape), as an array of keys: raw ones of a raw key.

    >>> key, subkey = weft.random.split(weft.random.key(0))
    """
    shape = canonical_shape("random.split", num)
    first, second = hash_counts(checked_key("split", key), shape)
    return made_like(key, first, second)


def fold_in(key: Key, data: ArrayLike) -> Key:
    """A new key from a key and an integer, such as a step number.

    >>> weft.random.key_data(weft.random.fold_in(weft.random.key(0), 1))
    Array([ 928981903, 3453687069], dtype=uint32)
    """
    key = checked_key("fold_in", key)
    aval = aval_of(data)
    if aval.shape or not dtypes.is_integer(aval.dtype):
        raise TypeError(f"weft.random.fold_in: data is one integer, got {aval}")
    if isinstance(data, int | np.integer):
        word: Value = np.asarray(int(data) & 0xFFFFFFFF, np.uint32)
    else:
        word = lax.convert_element_type(asarray(data), dtypes.uint32)
    zero = np.zeros((), np.uint32)
    first, second = threefry2x32(*words_of(key), zero, word)
    return made_like(key, first, second)


def clone(key: Key) -> Key:
    """The same keys again, for numbers that shall be equal on purpose.

    >>> weft.random.clone(weft.random.key(0)) == weft.random.key(0)
    Array(True, dtype=bool)
    """
    key_impl(key)
    return wnp.array(key)


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
    return threefry2x32(*words_of(key), high, low)


def bits(key: Key, shape: Any = (), dtype: DType = None) -> Value:
    """Uniformly random bits as unsigned integers of 8, 16, 32 (the default) or 64 bits.

    >>> weft.random.bits(weft.random.key(0), (2,))
    Array([4070199207, 4202968722], dtype=uint32)
    """
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
