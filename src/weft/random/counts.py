"""Numbers of events: Poisson's, the binomial and the multinomial distribution.

Small means are drawn event by event, large ones by transformed rejection (Hörmann, 1993).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft import lax
from weft import numpy as wnp
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.numpy._common import ArrayLike, DType, Value, promote_inexact, shape_of
from weft.numpy.creation import asarray
from weft.random.keys import Key, checked_key, split
from weft.random.uniform import drawn_shape, float_dtype, spread, uniform

#: log k! - (k + 1/2) log(k + 1) + (k + 1) - log(2π)/2 for k = 0, …, 9
_STIRLING_TAIL = (
    0.0810614667953272,
    0.0413406959554092,
    0.0276779256849983,
    0.02079067210376509,
    0.0166446911898211,
    0.0138761288230707,
    0.0118967099458917,
    0.0104112652619720,
    0.00925546218271273,
    0.00833056343336287,
)


def poisson(key: Key, lam: ArrayLike, shape: Any = None, dtype: DType = None) -> Value:
    """How many events happen where `lam` are expected: integers, int32 by default.

    >>> weft.random.poisson(weft.random.key(0), 3.0, (3,))
    Array([0, 0, 4], dtype=int32)
    """
    target = dtypes.int32 if dtype is None else dtypes.canonical_dtype(dtype)
    if not dtypes.is_integer(target):
        raise TypeError(f"weft.random.poisson: dtype must be an integer, got {target}")
    wanted = drawn_shape("poisson", shape, lam)
    key = checked_key("poisson", key)
    rate = spread("poisson", lam, wanted, dtypes.float32)
    few = (rate != rate) | (rate < 10)
    # What the other method is for gets a rate with which this one ends soon.
    small = _poisson_by_product(key, wnp.where(few, rate, 0), target)
    large = _poisson_by_rejection(key, wnp.where(few, 1e5, rate), target)
    return wnp.where(rate == 0, 0, wnp.where(few, small, large)).astype(target)


def _poisson_by_product(key: Key, rate: Value, dtype: np.dtype) -> Value:
    """How many uniform numbers can be multiplied before the product is below exp(-rate) (Knuth)."""
    shape = shape_of(rate)

    def unfinished(state: Any) -> Value:
        return wnp.any(state[1] > -rate)

    def multiply(state: Any) -> Any:
        count, log_product, key = state
        key, subkey = split(key)
        count = wnp.where(log_product > -rate, count + 1, count)
        return count, log_product + lax.log(uniform(subkey, shape)), key

    start = (wnp.zeros(shape, dtype), wnp.zeros(shape, dtypes.float32), key)
    return lax.while_loop(unfinished, multiply, start)[0] - 1


def _poisson_by_rejection(key: Key, rate: Value, dtype: np.dtype) -> Value:
    shape = shape_of(rate)
    log_rate = lax.log(rate)
    b = 0.931 + 2.53 * lax.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_r = 0.9277 - 3.6224 / (b - 2)

    def attempt(u: Value, v: Value) -> tuple[Value, Value]:
        u = u - 0.5
        inner = 0.5 - lax.abs(u)
        k = lax.floor((2 * a / inner + b) * u + rate + 0.43)
        s = lax.log(v * inverse_alpha / (a / (inner * inner) + b))
        likely = s <= -rate + k * log_rate - lax.lgamma(k + 1)
        refused = (k < 0) | ((inner < 0.013) & (v > inner))
        return k, ((inner >= 0.07) & (v <= v_r)) | (~refused & likely)

    return _until_accepted(key, shape, dtypes.float32, attempt).astype(dtype)


def _until_accepted(key: Key, shape: tuple[int, ...], dtype: np.dtype, attempt: Any) -> Value:
    """Every element's last accepted k; all go on drawing until none is without."""

    def unfinished(state: Any) -> Value:
        return ~wnp.all(state[1])

    def again(state: Any) -> Any:
        kept, accepted, key = state
        key, for_u, for_v = split(key, 3)
        k, accept = attempt(uniform(for_u, shape, dtype), uniform(for_v, shape, dtype))
        return wnp.where(accept, k, kept), accepted | accept, key

    start = (wnp.full(shape, -1, dtype), wnp.zeros(shape, bool), key)
    return lax.while_loop(unfinished, again, start)[0]


def binomial(key: Key, n: ArrayLike, p: ArrayLike, shape: Any = None, dtype: DType = None) -> Value:
    """How many of `n` trials succeed, each with probability `p`, as floating-point numbers.

    NaN for a negative `n` or a negative or NaN `p`; inf for an infinite `n`.

    >>> weft.random.binomial(weft.random.key(0), 10, 0.5, (3,))
    Array([6., 7., 5.], dtype=float32)
    """
    target = float_dtype("binomial", dtype)
    wanted = drawn_shape("binomial", shape, n, p)
    key = checked_key("binomial", key)
    (chance,) = promote_inexact("random.binomial", asarray(p))
    work = aval_of(chance).dtype
    count, chance = spread("binomial", n, wanted, work), spread("binomial", chance, wanted, work)
    rare = chance < 0.5
    q = wnp.where(rare, chance, 1 - chance)
    bad_count, bad_chance = (count != count) | (count < 0), (q != q) | (q < 0)
    q = wnp.where(bad_chance, 0.01, q)
    few = bad_count | (count * q <= 10)
    count = lax.floor(count)
    small = _binomial_by_waiting(key, wnp.where(few, count, 0), q)
    large = _binomial_by_rejection(key, wnp.where(few, 1e4, count), wnp.where(few, 0.5, q))
    drawn = wnp.where(few, small, large).astype(target)
    infinite = wnp.isinf(count)
    drawn = wnp.where(bad_count | bad_chance, np.nan, wnp.where(infinite, np.inf, drawn))
    plain = rare | bad_count | (chance != chance) | infinite
    return wnp.where(plain, drawn, count.astype(target) - drawn)


def _binomial_by_waiting(key: Key, count: Value, p: Value) -> Value:
    """How many geometric waiting times fit into `count` trials (Devroye, 1986)."""
    shape = shape_of(p)
    log_failure = lax.log1p(-p)

    def unfinished(state: Any) -> Value:
        return wnp.any(state[1] <= count)

    def wait(state: Any) -> Any:
        successes, trials, key = state
        subkey, key = split(key)
        successes = wnp.where(trials <= count, successes + 1, successes)
        waiting = lax.ceil(lax.log(uniform(subkey, shape, aval_of(p).dtype)) / log_failure)
        return successes, trials + waiting, key

    start = (wnp.zeros_like(p), wnp.zeros_like(p), key)
    return lax.while_loop(unfinished, wait, start)[0] - 1


def _binomial_by_rejection(key: Key, count: Value, p: Value) -> Value:
    deviation = lax.sqrt(count * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    centre = count * p + 0.5
    v_r = 0.92 - 4.2 / b
    odds = p / (1 - p)
    alpha = (2.83 + 5.1 / b) * deviation
    mode = lax.floor((count + 1) * p)

    def attempt(u: Value, v: Value) -> tuple[Value, Value]:
        u = u - 0.5
        inner = 0.5 - lax.abs(u)
        quickly = (inner >= 0.07) & (v <= v_r)
        k = lax.floor((2 * a / inner + b) * u + centre)
        refused = (k < 0) | (k > count)
        v = lax.log(v * alpha / (a / (inner * inner) + b))
        bound = (
            (mode + 0.5) * lax.log((mode + 1) / (odds * (count - mode + 1)))
            + (count + 1) * lax.log((count - mode + 1) / (count - k + 1))
            + (k + 0.5) * lax.log(odds * (count - k + 1) / (k + 1))
            + _stirling_tail(mode)
            + _stirling_tail(count - mode)
            - _stirling_tail(k)
            - _stirling_tail(count - k)
        )
        return k, quickly | (~refused & (v <= bound))

    return _until_accepted(key, shape_of(p), aval_of(p).dtype, attempt)


def _stirling_tail(k: Value) -> Value:
    table = wnp.asarray(_STIRLING_TAIL, aval_of(k).dtype)
    square = (k + 1) * (k + 1)
    series = (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1)
    return wnp.where(k <= 9, table[lax.floor(wnp.clip(k, 0, 9)).astype(dtypes.int32)], series)


def multinomial(
    key: Key,
    n: ArrayLike,
    p: ArrayLike,
    *,
    shape: Any = None,
    dtype: DType = None,
    unroll: int | bool = 1,
) -> Value:
    """How many of `n` trials have each outcome; `p` has a last axis of probabilities.

    `shape` is that of the result, its last axis included, and the shape of `p` by default. Each
    count is binomial, given those before it.

    >>> weft.random.multinomial(weft.random.key(0), 10, np.array([0.5, 0.5]))
    Array([7., 3.], dtype=float32)
    """
    target = float_dtype("multinomial", dtype)
    n, chances = promote_inexact("random.multinomial", asarray(n), asarray(p))
    wanted = drawn_shape("multinomial", shape, chances)
    n = wnp.broadcast_to(n, wanted[:-1])
    chances = wnp.moveaxis(wnp.broadcast_to(chances, wanted), -1, 0)
    left = lax.cumsum(chances, 0, reverse=True)
    ratios = wnp.clip(chances / wnp.where(left == 0, 1, left), 0, 1)

    def draw(remaining: Value, given: Any) -> tuple[Value, Value]:
        ratio, key = given
        count = binomial(key, remaining, ratio, dtype=aval_of(remaining).dtype)
        return remaining - count, count

    keys = split(checked_key("multinomial", key), wanted[-1])
    _, counts = lax.scan(draw, n, (ratios, keys), unroll=unroll)
    return wnp.moveaxis(counts, 0, -1).astype(target)
