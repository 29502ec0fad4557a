"""Permutations and choices."""

from __future__ import annotations

import math
import operator
from typing import Any

from weft import lax
from weft import numpy as wnp
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.numpy._common import (
    ArrayLike,
    Value,
    canonical_axis,
    canonical_shape,
    check_arraylike,
    promote_inexact,
    shape_of,
)
from weft.numpy.creation import asarray
from weft.random.continuous import gumbel
from weft.random.discrete import randint
from weft.random.keys import Key, checked_key, random_bits, split
from weft.random.uniform import uniform


def permutation(key: Key, x: ArrayLike, axis: int = 0, independent: bool = False) -> Value:
    """`x` with the slices along `axis` in random order; for an integer, of ``arange(x)``.

    With `independent`, each row along the axis has an order of its own.

    >>> weft.random.permutation(weft.random.key(0), 5)
    Array([0, 1, 4, 3, 2], dtype=int32)
    """
    key = checked_key("permutation", key)
    check_arraylike("random.permutation", x)
    if not shape_of(x):
        return _shuffled(key, wnp.arange(_size("permutation", x)), 0)
    number = canonical_axis("random.permutation", axis, len(shape_of(x)))
    if independent or len(shape_of(x)) == 1:
        return _shuffled(key, asarray(x), number)
    order = _shuffled(key, wnp.arange(shape_of(x)[number]), 0)
    return wnp.take(x, order, number)


def shuffle(key: Key, x: ArrayLike, axis: int = 0) -> Value:
    """`x` with the elements of each row along `axis` in a random order of its own.

    >>> np.sort(weft.random.shuffle(weft.random.key(0), np.arange(5)))
    Array([0, 1, 2, 3, 4], dtype=int32)
    """
    return permutation(key, x, axis, independent=True)


def _size(name: str, x: ArrayLike) -> int:
    if not dtypes.is_integer(aval_of(x).dtype):
        raise TypeError(
            f"weft.random.{name}: needs an array with an axis or a number of elements, got "
            f"{aval_of(x)}"
        )
    return operator.index(x)


def _shuffled(key: Key, x: Value, axis: int) -> Value:
    """Sorted by random words; again by other ones, so often that ties hardly matter."""
    size = math.prod(shape_of(x))
    rounds = math.ceil(3 * math.log(max(1, size)) / math.log(2**32 - 1))
    for _ in range(rounds):
        key, subkey = split(key)
        _, x = lax.sort_key_val(random_bits(subkey, shape_of(x), dtypes.uint32), x, axis)
    return x


def choice(
    key: Key,
    a: ArrayLike,
    shape: Any = (),
    replace: bool = True,
    p: ArrayLike | None = None,
    axis: int = 0,
    mode: str | None = None,
) -> Value:
    """Random elements (slices along `axis`) of `a`; for an integer, of ``arange(a)``.

    Parameters
    ----------
    shape: how many are drawn; it takes the place of `axis` in the result.
    replace: whether an element may be drawn more than once.
    p: the probability of each; equal ones without it.
    mode: that of `gumbel`, which is used to draw by probabilities without replacement.

    >>> weft.random.choice(weft.random.key(0), 10, (3,), replace=False)
    Array([0, 1, 8], dtype=int32)
    """
    key = checked_key("choice", key)
    check_arraylike("random.choice", a)
    wanted = canonical_shape("random.choice", shape)
    own = shape_of(a)
    number = canonical_axis("random.choice", axis, len(own)) if own else 0
    size = own[number] if own else _size("choice", a)
    result_shape = (*own[:number], *wanted, *own[number + 1 :])
    drawn = math.prod(wanted)
    if drawn == 0:
        return wnp.zeros(result_shape, aval_of(a).dtype)
    if size < 1 or (not replace and drawn > size):
        raise ValueError(
            f"weft.random.choice: cannot draw {drawn} of {size} elements"
            + ("" if replace else " without replacement (replace=False)")
        )
    if p is None and not replace:
        order = permutation(key, asarray(a) if own else size, number)
        return lax.reshape(lax.slice_in_dim(order, 0, drawn, axis=number), result_shape)
    index = (
        randint(key, wanted, 0, size) if p is None else _drawn(key, size, wanted, replace, p, mode)
    )
    return wnp.take(a, index, number).reshape(result_shape) if own else index


def _drawn(
    key: Key, size: int, shape: tuple[int, ...], replace: bool, p: ArrayLike, mode: str | None
) -> Value:
    """Indices drawn with probabilities `p`."""
    (weights,) = promote_inexact("random.choice", asarray(p))
    if shape_of(weights) != (size,):
        raise ValueError(
            f"weft.random.choice: p must have one probability for each of {size} elements, got "
            f"shape {shape_of(weights)}"
        )
    if replace:
        upto = wnp.cumsum(weights)
        r = upto[-1] * (1 - uniform(key, shape, aval_of(upto).dtype))
        return wnp.searchsorted(upto, r)
    # The greatest of log p + Gumbel noise are a sample without replacement (Vieira, 2014).
    noisy = gumbel(key, (size,), aval_of(weights).dtype, mode) + wnp.log(weights)
    return lax.reshape(lax.top_k(noisy, math.prod(shape))[1], shape)
