"""Uniform numbers, and what distributions share: dtypes, shapes and parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft import lax
from weft import numpy as wnp
from weft.core import dtypes
from weft.numpy._common import (
    ArrayLike,
    DType,
    Value,
    broadcast_shape,
    canonical_shape,
    check_arraylike,
    shape_of,
)
from weft.numpy.creation import asarray
from weft.random.keys import Key, checked_key, random_bits


def float_dtype(name: str, dtype: DType) -> np.dtype:
    """The dtype asked for, float32 by default; TypeError if it is not floating-point."""
    target = dtypes.float32 if dtype is None else dtypes.canonical_dtype(dtype)
    if not dtypes.is_floating(target):
        raise TypeError(f"weft.random.{name}: dtype must be floating-point, got {target}")
    return target


def uniform(
    key: Key,
    shape: Any = (),
    dtype: DType = None,
    minval: ArrayLike = 0.0,
    maxval: ArrayLike = 1.0,
) -> Value:
    """Uniform numbers in [minval, maxval).

    Random bits fill the mantissa of a number in [1, 2), from which 1 is subtracted.

    >>> weft.random.uniform(weft.random.key(0), (2,)).round(4)
    Array([0.9477, 0.9786], dtype=float32)
    """
    target = float_dtype("uniform", dtype)
    wanted = canonical_shape("random.uniform", shape)
    return uniform_of(checked_key("uniform", key), wanted, target, minval, maxval)


def _mantissa_bits(dtype: np.dtype) -> int:
    return int(wnp.finfo(dtype).nmant)


def uniform_of(
    key: Key, shape: tuple[int, ...], dtype: np.dtype, minval: ArrayLike, maxval: ArrayLike
) -> Value:
    """`uniform`, for a shape and dtype that have been checked."""
    low = spread("uniform", minval, shape, dtype)
    high = spread("uniform", maxval, shape, dtype)
    width, mantissa = 8 * dtype.itemsize, _mantissa_bits(dtype)
    word = np.dtype(f"uint{width}")
    drawn = 8 if mantissa < 8 else width  # bfloat16 has 7 bits to fill: JAX draws a byte for them
    filling = lax.convert_element_type(random_bits(key, shape, np.dtype(f"uint{drawn}")), word)
    shift = lax.broadcast_in_dim(np.asarray(drawn - mantissa, word), shape, ())
    one = lax.broadcast_in_dim(np.asarray(1, dtype).view(word), shape, ())
    filled = lax.bitwise_or(lax.shift_right_logical(filling, shift), one)
    floats = lax.bitcast_convert_type(filled, dtype)
    unit = lax.sub(floats, lax.broadcast_in_dim(np.ones((), dtype), shape, ()))
    # Rounding may reach below minval.
    return lax.max(low, lax.add(lax.mul(unit, lax.sub(high, low)), low))


def spread(name: str, x: ArrayLike, shape: tuple[int, ...], dtype: np.dtype) -> Value:
    """A parameter as an array of the result's shape and dtype."""
    check_arraylike(f"random.{name}", x)
    own = shape_of(x)
    try:
        fits = np.broadcast_shapes(own, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"weft.random.{name}: a parameter of shape {own} does not broadcast to shape={shape}"
        )
    value = asarray(x, dtype)
    return lax.broadcast_in_dim(value, shape, tuple(range(len(shape) - len(own), len(shape))))


def drawn_shape(name: str, shape: Any, *parameters: ArrayLike) -> tuple[int, ...]:
    """`shape`, or the shape that the parameters broadcast to if it is None."""
    check_arraylike(f"random.{name}", *parameters)
    if shape is not None:
        return canonical_shape(f"random.{name}", shape)
    return broadcast_shape(f"random.{name}", *map(shape_of, parameters))
