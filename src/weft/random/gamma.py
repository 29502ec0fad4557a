"""The gamma distribution and those that are made of it.

Samples are drawn by rejection (Marsaglia and Tsang, A simple method for generating gamma
variables, 2000), each from a key of its own. They are differentiable in the shape, by implicit
reparameterization (`lax.random_gamma_grad`).
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from weft import lax, nn
from weft import numpy as wnp
from weft.core.avals import aval_of
from weft.numpy._common import ArrayLike, DType, Value, canonical_shape, shape_of
from weft.random.continuous import exponential, normal, random_signs
from weft.random.keys import Key, checked_key, split
from weft.random.uniform import drawn_shape, float_dtype, spread, uniform
from weft.transforms.custom_jvp import custom_jvp
from weft.transforms.vmap import vmap


def gamma(key: Key, a: ArrayLike, shape: Any = None, dtype: DType = None) -> Value:
    """Numbers from the gamma distribution of shape `a` and scale 1.

    Parameters
    ----------
    a: positive; of a shape that broadcasts to `shape`, which is its own by default.

    >>> weft.random.gamma(weft.random.key(0), 3.0, (2,)).shape
    (2,)
    """
    return _gamma(*_prepared("gamma", key, a, shape, dtype))


def loggamma(key: Key, a: ArrayLike, shape: Any = None, dtype: DType = None) -> Value:
    """Logarithms of the numbers that `gamma` gives, also where those underflow.

    >>> weft.random.loggamma(weft.random.key(0), 2.0, (2,)).round(4)
    Array([0.4636, 0.5653], dtype=float32)
    """
    return _loggamma(*_prepared("loggamma", key, a, shape, dtype))


def _prepared(name: str, key: Key, a: ArrayLike, shape: Any, dtype: DType) -> tuple[Key, Value]:
    target = float_dtype(name, dtype)
    wanted = drawn_shape(name, shape, a)
    return checked_key(name, key), spread(name, a, wanted, target)


@custom_jvp
def _gamma(key: Key, a: Value) -> Value:
    return _each(key, a, _gamma_of_one)


@custom_jvp
def _loggamma(key: Key, a: Value) -> Value:
    return _each(key, a, _loggamma_of_one)


def _gamma_slope(t: Value, sample: Value, key: Key, a: Value) -> Value:
    return t * lax.random_gamma_grad(a, sample)


def _loggamma_slope(t: Value, sample: Value, key: Key, a: Value) -> Value:
    tiny = float(wnp.finfo(aval_of(a).dtype).tiny)
    size = lax.exp(sample)
    size = wnp.where(size == 0, wnp.full((), tiny, aval_of(a).dtype), size)
    return t * (lax.random_gamma_grad(a, size) / size)


_gamma.defjvps(None, _gamma_slope)
_loggamma.defjvps(None, _loggamma_slope)


def _each(key: Key, a: Value, draw: Any) -> Value:
    keys = split(key, prod(shape_of(a)))
    return vmap(draw)(keys, a.reshape(-1)).reshape(shape_of(a))


def _gamma_of_one(key: Key, a: Value) -> Value:
    d, v, last = _marsaglia_tsang(key, a)
    remainder = 1 - uniform(last, (), aval_of(a).dtype)
    boost = lax.select(a >= 1, wnp.ones_like(a), lax.pow(remainder, 1 / a))
    return d * v * boost


def _loggamma_of_one(key: Key, a: Value) -> Value:
    d, v, last = _marsaglia_tsang(key, a)
    log_remainder = -exponential(last, (), aval_of(a).dtype)
    nothing = (a >= 1) | (log_remainder == 0)
    boost = lax.select(nothing, wnp.zeros_like(a), log_remainder * (1 / a))
    return lax.log(d) + lax.log(v) + boost


def _marsaglia_tsang(key: Key, a: Value) -> tuple[Value, Value, Key]:
    """(d, v, key): d·v is a sample of shape a, or a + 1 for a < 1; the key is for what follows.

    A sample of shape a + 1 times the a-th root of a uniform number is one of shape a.
    """
    dtype = aval_of(a).dtype
    zero, third = wnp.zeros_like(a), np.asarray(1 / 3, dtype)
    d = lax.select(a >= 1, a, a + 1) - third
    c = third / lax.sqrt(d)

    def refused(state: Any) -> Value:
        _, square, v, u = state
        quickly = u >= 1 - np.asarray(0.0331, dtype) * (square * square)
        return quickly & (lax.log(u) >= square * 0.5 + d * ((1 - v) + lax.log(v)))

    def not_positive(state: Any) -> Value:
        return state[2] <= 0

    def another(state: Any) -> Any:
        first, second = split(state[0])
        x = normal(second, (), dtype)
        return first, x, 1 + x * c

    def attempt(state: Any) -> Any:
        following, for_x, for_u = split(state[0], 3)
        _, x, root = lax.while_loop(not_positive, another, (for_x, zero, zero - 1))
        return following, x * x, root * root * root, uniform(for_u, (), dtype)

    first, last = split(key)
    start = (first, zero, zero + 1, zero + 2)  # refused
    _, _, v, _ = lax.while_loop(refused, attempt, start)
    return d, v, last


def beta(key: Key, a: ArrayLike, b: ArrayLike, shape: Any = None, dtype: DType = None) -> Value:
    """Numbers from the beta distribution of parameters `a` and `b`.

    >>> weft.random.beta(weft.random.key(0), 2.0, 3.0, (2,)).round(4)
    Array([0.2363, 0.4905], dtype=float32)
    """
    target = float_dtype("beta", dtype)
    wanted = drawn_shape("beta", shape, a, b)
    first, second = split(checked_key("beta", key))
    x = loggamma(first, spread("beta", a, wanted, target), wanted, target)
    y = loggamma(second, spread("beta", b, wanted, target), wanted, target)
    greater = lax.max(x, y)
    x, y = lax.exp(x - greater), lax.exp(y - greater)
    return x / (x + y)


def dirichlet(key: Key, alpha: ArrayLike, shape: Any = None, dtype: DType = None) -> Value:
    """Probabilities from Dirichlet's distribution; `alpha` has a last axis of concentrations.

    `shape` is that of the result without the last axis.

    >>> weft.random.dirichlet(weft.random.key(0), np.ones(3)).round(4)
    Array([0.3647, 0.4283, 0.207 ], dtype=float32)
    """
    target = float_dtype("dirichlet", dtype)
    own = shape_of(alpha)
    if not own:
        raise ValueError(
            "weft.random.dirichlet: alpha needs an axis of concentrations, got a scalar"
        )
    lead = own[:-1] if shape is None else canonical_shape("random.dirichlet", shape)
    return nn.softmax(loggamma(key, alpha, (*lead, own[-1]), target), -1)


def chisquare(key: Key, df: ArrayLike, shape: Any = None, dtype: DType = None) -> Value:
    """Numbers from the χ² distribution with `df` degrees of freedom.

    >>> weft.random.chisquare(weft.random.key(0), 2.0, (2,)).round(4)
    Array([1.237 , 1.4526], dtype=float32)
    """
    target = float_dtype("chisquare", dtype)
    wanted = drawn_shape("chisquare", shape, df)
    half = spread("chisquare", df, wanted, target) / 2
    return lax.exp(loggamma(key, half, wanted, target)) * 2


def f(
    key: Key, dfnum: ArrayLike, dfden: ArrayLike, shape: Any = None, dtype: DType = None
) -> Value:
    """Numbers from the F distribution with `dfnum` and `dfden` degrees of freedom.

    >>> weft.random.f(weft.random.key(0), 2.0, 3.0, (2,)).round(4)
    Array([3.2703, 0.0634], dtype=float32)
    """
    target = float_dtype("f", dtype)
    wanted = drawn_shape("f", shape, dfnum, dfden)
    above, below = (spread("f", x, wanted, target) for x in (dfnum, dfden))
    for_below, for_above = split(checked_key("f", key))
    numerator = chisquare(for_above, above, wanted, target) / above
    return numerator / (chisquare(for_below, below, wanted, target) / below)


def t(key: Key, df: ArrayLike, shape: Any = None, dtype: DType = None) -> Value:
    """Numbers from Student's t distribution with `df` degrees of freedom.

    >>> weft.random.t(weft.random.key(0), 3.0, (2,)).round(4)
    Array([ 0.6902, -3.2393], dtype=float32)
    """
    target = float_dtype("t", dtype)
    wanted = drawn_shape("t", shape, df)
    half = spread("t", df, wanted, target) / 2
    for_normal, for_gamma = split(checked_key("t", key))
    return normal(for_normal, wanted, target) * lax.sqrt(
        half / gamma(for_gamma, half, wanted, target)
    )


def generalized_normal(key: Key, p: float, shape: Any = (), dtype: DType = None) -> Value:
    """Numbers with density proportional to exp(-|x|^p).

    >>> weft.random.generalized_normal(weft.random.key(0), 2.0, (2,)).round(4)
    Array([0.9543, 0.0902], dtype=float32)
    """
    target = float_dtype("generalized_normal", dtype)
    wanted = canonical_shape("random.generalized_normal", shape)
    for_size, for_sign = split(checked_key("generalized_normal", key))
    size = gamma(for_size, 1 / p, wanted, target)
    return random_signs(for_sign, wanted, target) * size ** (1 / p)


def ball(key: Key, d: int, p: float = 2, shape: Any = (), dtype: DType = None) -> Value:
    """Points in the unit ball of the p-norm in `d` dimensions, uniformly.

    By the method of Barthe, Guédon, Mendelson and Naor (2005). The result has a last axis of `d`
    coordinates.

    >>> weft.random.ball(weft.random.key(0), 2).round(4)
    Array([0.9172, 0.3928], dtype=float32)
    """
    target = float_dtype("ball", dtype)
    wanted = canonical_shape("random.ball", shape)
    first, second = split(checked_key("ball", key))
    g = generalized_normal(first, p, (*wanted, d), target)
    e = exponential(second, wanted, target)
    norm = ((lax.abs(g) ** p).sum(-1) + e) ** (1 / p)
    return g / norm[..., None]
