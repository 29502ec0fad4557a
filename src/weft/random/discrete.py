"""Integers, booleans and classes."""

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
    shape_of,
)
from weft.numpy.creation import asarray
from weft.random.continuous import checked_mode, gumbel
from weft.random.keys import Key, checked_key, random_bits, split
from weft.random.uniform import drawn_shape, spread, uniform, uniform_of


def bernoulli(key: Key, p: ArrayLike = 0.5, shape: Any = None, mode: str = "low") -> Value:
    """Booleans that are True with probability `p`.

    With the `mode` "low" probabilities count down to 2^−23 in float32, with "high" to 2^−46.

    >>> weft.random.bernoulli(weft.random.key(0), 0.5, (3,))
    Array([False, False,  True], dtype=bool)
    """
    check_arraylike("random.bernoulli", p)
    wanted = shape_of(p) if shape is None else canonical_shape("random.bernoulli", shape)
    target = wnp.result_type(p, 1.0)
    key = checked_key("bernoulli", key)
    chance = spread("bernoulli", p, wanted, target)
    if checked_mode("bernoulli", mode) == "low":
        return lax.lt(uniform_of(key, wanted, target, 0.0, 1.0), chance)
    drawn = uniform_of(key, (2, *wanted), target, 0.0, 1.0)
    fine = drawn[1] * np.asarray(2.0 ** -wnp.finfo(target).nmant, target)
    return lax.lt(fine, lax.sub(chance, drawn[0]))


def randint(
    key: Key, shape: Any, minval: ArrayLike, maxval: ArrayLike, dtype: DType = None
) -> Value:
    """Integers in [minval, maxval), int32 by default; minval where the range is empty.

    Two words of bits are reduced modulo the range, so that it is uniform to 2^−32 (2^−64).

    >>> weft.random.randint(weft.random.key(0), (3,), 0, 10)
    Array([9, 0, 2], dtype=int32)
    """
    target = dtypes.int32 if dtype is None else dtypes.canonical_dtype(dtype)
    if not dtypes.is_integer(target):
        raise TypeError(f"weft.random.randint: dtype must be an integer, got {target}")
    check_arraylike("random.randint", minval, maxval)
    for name, bound in (("minval", minval), ("maxval", maxval)):
        if not dtypes.is_integer(aval_of(bound).dtype):
            raise TypeError(f"weft.random.randint: {name} must be an integer, got {aval_of(bound)}")
    wanted = canonical_shape("random.randint", shape)
    # Narrow integers are drawn in 32 bits: their bounds, the excluded one too, fit there.
    work = target if target.itemsize >= 4 else dtypes.int32
    above = target == work and _exceeds(maxval, np.iinfo(work).max)
    low, high = _clipped(minval, wanted, target, work), _clipped(maxval, wanted, target, work)
    drawn = _randint(checked_key("randint", key), wanted, low, high, above, work)
    return lax.convert_element_type(drawn, target)


def _exceeds(bound: ArrayLike, limit: int) -> Any:
    """Whether a bound is greater than the dtype's largest value."""
    if isinstance(bound, int | np.integer):
        return int(bound) > limit
    if np.iinfo(aval_of(bound).dtype).max <= limit:
        return False
    return wnp.greater(bound, limit)


def _clipped(bound: ArrayLike, shape: tuple[int, ...], target: np.dtype, work: np.dtype) -> Value:
    """A bound limited to what `target` holds (one more if `work` has room), in `work`."""
    info = np.iinfo(target)
    least, most = int(info.min), int(info.max) + (work != target)
    if isinstance(bound, int | np.integer):
        bound = np.asarray(min(max(int(bound), least), most), work)
    else:
        limits = np.iinfo(aval_of(bound).dtype)
        if limits.min < least or limits.max > most:
            bound = wnp.clip(bound, max(least, int(limits.min)), min(most, int(limits.max)))
    return spread("randint", bound, shape, work)


def _randint(
    key: Key, shape: tuple[int, ...], low: Value, high: Value, above: Any, dtype: np.dtype
) -> Value:
    width = 8 * dtype.itemsize
    word = np.dtype(f"uint{width}")
    first, second = split(key)
    higher, lower = random_bits(first, shape, word), random_bits(second, shape, word)
    one = lax.broadcast_in_dim(np.ones((), word), shape, ())
    span = lax.convert_element_type(lax.sub(high, low), word)
    span = lax.select_n(lax.le(high, low), span, one)
    if above is not False:
        # The excluded bound does not fit the dtype: the range reaches its largest value.
        reached = lax.bitwise_and(asarray(above & (high > low)), lax.gt(high, low))
        span = lax.select_n(reached, span, lax.add(span, one))
    # 2^width mod span, in words of that width.
    half = lax.broadcast_in_dim(np.asarray(2 ** (width // 2), word), shape, ())
    multiplier = lax.rem(half, span)
    multiplier = lax.rem(lax.mul(multiplier, multiplier), span)
    offset = lax.rem(
        lax.add(lax.mul(lax.rem(higher, span), multiplier), lax.rem(lower, span)), span
    )
    return lax.add(low, lax.convert_element_type(offset, dtype))


def rademacher(key: Key, shape: Any = (), dtype: DType = None) -> Value:
    """−1 or 1 with equal probability.

    >>> weft.random.rademacher(weft.random.key(0), (3,))
    Array([-1, -1,  1], dtype=int32)
    """
    target = dtypes.int32 if dtype is None else dtypes.canonical_dtype(dtype)
    wanted = canonical_shape("random.rademacher", shape)
    heads = bernoulli(key, 0.5, wanted)
    return asarray(2 * heads.astype(target) - 1, target)


def categorical(
    key: Key,
    logits: ArrayLike,
    axis: int = -1,
    shape: Any = None,
    replace: bool = True,
    mode: str | None = None,
) -> Value:
    """Indices along `axis` with probabilities softmax(logits), by the Gumbel trick.

    `shape` ends with that of `logits` without the axis; what comes before is how many are drawn.
    With ``replace=False`` no class is drawn twice (Kool, van Hoof and Welling, 2019). `mode` is
    that of `gumbel`.

    >>> weft.random.categorical(weft.random.key(0), np.zeros(4), shape=(3,), replace=False)
    Array([1, 0, 3], dtype=int32)
    """
    scores = asarray(logits)
    ndim = len(shape_of(scores))
    if not ndim:
        raise ValueError("weft.random.categorical: logits need an axis of classes")
    number = axis % ndim
    batch = tuple(n for d, n in enumerate(shape_of(scores)) if d != number)
    wanted = batch if shape is None else canonical_shape("random.categorical", shape)
    if wanted[max(len(wanted) - len(batch), 0) :] != batch:
        raise ValueError(
            f"weft.random.categorical: shape={wanted} does not end with the batch shape {batch}"
        )
    lead = wanted[: len(wanted) - len(batch)]
    work = wnp.result_type(scores, 1.0)
    if not replace:
        return _different(scores, number, lead, gumbel(key, shape_of(scores), work, mode))
    noisy = list(wanted[len(lead) :])
    noisy.insert(number, shape_of(scores)[number])
    noise = gumbel(key, (*lead, *noisy), work, mode)
    return wnp.argmax(noise + scores, axis=number + len(lead))


def _different(scores: Value, axis: int, lead: tuple[int, ...], noise: Value) -> Value:
    """The indices of the greatest of noisy scores: as many as ``lead`` has elements."""
    count, classes = math.prod(lead), shape_of(scores)[axis]
    if count > classes:
        raise ValueError(
            f"weft.random.categorical: cannot draw {count} of {classes} classes without "
            "replacement (replace=False)"
        )
    _, found = lax.top_k(wnp.moveaxis(scores + noise, axis, -1), count)
    first = wnp.moveaxis(found, -1, 0)
    return lax.reshape(first, (*lead, *shape_of(first)[1:]))


def geometric(key: Key, p: ArrayLike, shape: Any = None, dtype: DType = None) -> Value:
    """How many trials it takes until the first success, each of probability `p`.

    >>> weft.random.geometric(weft.random.key(0), 0.5, (3,))
    Array([1, 1, 2], dtype=int32)
    """
    target = dtypes.int32 if dtype is None else dtypes.canonical_dtype(dtype)
    wanted = drawn_shape("geometric", shape, p)
    work = wnp.result_type(p, 1.0)
    u = uniform(key, wanted, work)
    u = wnp.where(u == 0, wnp.ones((), work), u)
    failure = lax.log1p(-spread("geometric", p, wanted, work))
    return (lax.floor(lax.div(lax.log(u), failure)) + 1).astype(target)
