"""Continuous distributions that are functions of uniform and normal numbers."""

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
    canonical_shape,
    shape_of,
)
from weft.random.keys import Key, checked_key, split
from weft.random.uniform import drawn_shape, float_dtype, spread, uniform, uniform_of


def normal(key: Key, shape: Any = (), dtype: DType = None) -> Value:
    """Numbers from the standard normal distribution, by the inverse error function.

    >>> weft.random.normal(weft.random.key(0), (2,)).round(4)
    Array([1.6226, 2.0253], dtype=float32)
    """
    target = dtypes.float32 if dtype is None else dtypes.canonical_dtype(dtype)
    wanted = canonical_shape("random.normal", shape)
    if dtypes.is_complex(target):
        part = dtypes.real_dtype(target)
        first, second = split(key)
        real, imag = normal(first, wanted, part), normal(second, wanted, part)
        return lax.complex(real, imag) / np.sqrt(np.array(2, part))
    target = float_dtype("normal", target)
    low = np.nextafter(np.array(-1, target), np.array(0, target), dtype=target)
    u = uniform_of(checked_key("normal", key), wanted, target, low, np.array(1, target))
    root = lax.broadcast_in_dim(np.asarray(np.sqrt(2), target), wanted, ())
    return lax.mul(root, lax.erf_inv(u))


def truncated_normal(
    key: Key, lower: ArrayLike, upper: ArrayLike, shape: Any = None, dtype: DType = None
) -> Value:
    """Standard normal numbers that lie in [lower, upper].

    >>> weft.random.truncated_normal(weft.random.key(0), -1.0, 1.0, (2,)).round(4)
    Array([0.8619, 0.9413], dtype=float32)
    """
    target = float_dtype("truncated_normal", dtype)
    if shape is None:
        wanted = np.broadcast_shapes(shape_of(lower), shape_of(upper))
    else:
        wanted = canonical_shape("random.truncated_normal", shape)
    root = np.asarray(np.sqrt(2), target)
    below = wnp.asarray(lower, target)
    above = wnp.asarray(upper, target)
    a, b = lax.erf(below / root), lax.erf(above / root)
    u = uniform_of(checked_key("truncated_normal", key), wanted, target, a, b)
    values = root * lax.erf_inv(u)
    # Rounding may reach the limits.
    infinite = np.asarray(np.inf, target)
    return wnp.clip(values, wnp.nextafter(below, infinite), wnp.nextafter(above, -infinite))


def exponential(key: Key, shape: Any = (), dtype: DType = None) -> Value:
    """Numbers from the exponential distribution of mean 1.

    >>> weft.random.exponential(weft.random.key(0), (2,)).round(4)
    Array([2.9501, 3.8434], dtype=float32)
    """
    target = float_dtype("exponential", dtype)
    wanted = canonical_shape("random.exponential", shape)
    u = uniform_of(checked_key("exponential", key), wanted, target, 0.0, 1.0)
    return lax.neg(lax.log1p(lax.neg(u)))  # 1 − u is never 0


def gumbel(key: Key, shape: Any = (), dtype: DType = None, mode: str | None = None) -> Value:
    """Numbers from the standard Gumbel distribution.

    With the `mode` "low", the default, no float32 is greater than about 16; with "high", which
    takes twice the bits, 32.

    >>> weft.random.gumbel(weft.random.key(0), (2,)).round(4)
    Array([2.9234, 3.8326], dtype=float32)
    """
    target = float_dtype("gumbel", dtype)
    wanted = canonical_shape("random.gumbel", shape)
    key = checked_key("gumbel", key)
    limits = wnp.finfo(target)
    if checked_mode("gumbel", "low" if mode is None else mode) == "low":
        u = uniform_of(key, wanted, target, np.asarray(limits.tiny, target), 1.0)
        return -wnp.log(-wnp.log(u))
    high, low = _two(uniform_of(key, (2, *wanted), target, 0.0, 1.0))
    fine = high + low * np.asarray(2.0**-limits.nmant, target) + np.asarray(limits.tiny, target)
    return -wnp.log(-wnp.log1p(-wnp.where(high >= 0.5, high, fine)))


def checked_mode(name: str, mode: str) -> str:
    """How many bits go into a number: "low" or "high"; ValueError for anything else."""
    if mode not in ("low", "high"):
        raise ValueError(f"weft.random.{name}: mode is 'low' or 'high', got {mode!r}")
    return mode


def _two(x: Value) -> tuple[Value, Value]:
    """The two halves of an array along its first axis."""
    return x[0], x[1]


def laplace(key: Key, shape: Any = (), dtype: DType = None) -> Value:
    """Numbers from the standard Laplace distribution.

    >>> weft.random.laplace(weft.random.key(0), (2,)).round(4)
    Array([-2.257 , -3.1503], dtype=float32)
    """
    target = float_dtype("laplace", dtype)
    wanted = canonical_shape("random.laplace", shape)
    low = np.asarray(-1.0 + wnp.finfo(target).epsneg, target)
    u = uniform_of(checked_key("laplace", key), wanted, target, low, 1.0)
    return lax.mul(lax.sign(u), lax.log1p(lax.neg(lax.abs(u))))


def logistic(key: Key, shape: Any = (), dtype: DType = None) -> Value:
    """Numbers from the standard logistic distribution.

    >>> weft.random.logistic(weft.random.key(0), (2,)).round(4)
    Array([2.8964, 3.8218], dtype=float32)
    """
    target = float_dtype("logistic", dtype)
    wanted = canonical_shape("random.logistic", shape)
    tiny = np.asarray(wnp.finfo(target).tiny, target)
    u = uniform_of(checked_key("logistic", key), wanted, target, tiny, 1.0)
    return wnp.log(u / (1 - u))


def cauchy(key: Key, shape: Any = (), dtype: DType = None) -> Value:
    """Numbers from the standard Cauchy distribution.

    >>> weft.random.cauchy(weft.random.key(0), (2,)).round(4)
    Array([ 6.0275, 14.8379], dtype=float32)
    """
    target = float_dtype("cauchy", dtype)
    wanted = canonical_shape("random.cauchy", shape)
    eps = np.asarray(wnp.finfo(target).eps, target)
    u = uniform_of(checked_key("cauchy", key), wanted, target, eps, 1.0)
    return wnp.tan(np.asarray(np.pi, target) * (u - np.asarray(0.5, target)))


def lognormal(key: Key, sigma: ArrayLike = 1.0, shape: Any = None, dtype: DType = None) -> Value:
    """Numbers whose logarithms are normal with standard deviation `sigma`.

    >>> weft.random.lognormal(weft.random.key(0), 1.0, (2,)).round(4)
    Array([5.0665, 7.5781], dtype=float32)
    """
    target = float_dtype("lognormal", dtype)
    wanted = drawn_shape("lognormal", shape, sigma)
    return lax.exp(lax.mul(normal(key, wanted, target), spread("lognormal", sigma, wanted, target)))


def pareto(key: Key, b: ArrayLike, shape: Any = None, dtype: DType = None) -> Value:
    """Numbers x ≥ 1 with density b x^(-b-1).

    >>> weft.random.pareto(weft.random.key(0), 2.0, (2,)).round(4)
    Array([4.3713, 6.8326], dtype=float32)
    """
    target = float_dtype("pareto", dtype)
    wanted = drawn_shape("pareto", shape, b)
    return lax.exp(lax.div(exponential(key, wanted, target), spread("pareto", b, wanted, target)))


def rayleigh(key: Key, scale: ArrayLike, shape: Any = None, dtype: DType = None) -> Value:
    """Lengths of plane vectors with normal coordinates of standard deviation `scale`.

    >>> weft.random.rayleigh(weft.random.key(0), 1.0, (2,)).round(4)
    Array([0.3279, 0.2081], dtype=float32)
    """
    target = float_dtype("rayleigh", dtype)
    wanted = drawn_shape("rayleigh", shape, scale)
    root = lax.sqrt(lax.log(uniform(key, wanted, target)) * -2.0)
    return lax.mul(spread("rayleigh", scale, wanted, target), root)


def weibull_min(
    key: Key,
    scale: ArrayLike,
    concentration: ArrayLike,
    shape: Any = (),
    dtype: DType = None,
) -> Value:
    """Numbers from Weibull's distribution of minima.

    >>> weft.random.weibull_min(weft.random.key(0), 1.0, 2.0, (2,)).round(4)
    Array([1.7176, 1.9605], dtype=float32)
    """
    target = float_dtype("weibull_min", dtype)
    wanted = canonical_shape("random.weibull_min", shape)
    power = 1.0 / wnp.asarray(concentration, target)
    unit = exponential(key, wanted, target)
    return unit**power * wnp.asarray(scale, target)


def maxwell(key: Key, shape: Any = (), dtype: DType = None) -> Value:
    """Lengths of vectors in space with standard normal coordinates.

    >>> weft.random.maxwell(weft.random.key(0), (2,)).round(4)
    Array([2.6311, 0.991 ], dtype=float32)
    """
    target = float_dtype("maxwell", dtype)
    vectors = normal(key, (*canonical_shape("random.maxwell", shape), 3), target)
    return wnp.sqrt(wnp.sum(vectors * vectors, axis=-1))


def double_sided_maxwell(
    key: Key, loc: ArrayLike, scale: ArrayLike, shape: Any = (), dtype: DType = None
) -> Value:
    """Numbers like `maxwell`'s, scaled, with either sign, around `loc`.

    The result has the axes of `shape` followed by those of the parameters.

    >>> weft.random.double_sided_maxwell(weft.random.key(0), 0.0, 1.0, (2,)).round(4)
    Array([1.5457, 1.5741], dtype=float32)
    """
    target = float_dtype("double_sided_maxwell", dtype)
    own = drawn_shape("double_sided_maxwell", None, loc, scale)
    wanted = (*(canonical_shape("random.double_sided_maxwell", shape) or own), *own)
    first, second = split(key)
    sizes = maxwell(first, wanted, target)
    signs = random_signs(second, wanted, target)
    return signs * sizes * wnp.asarray(scale, target) + wnp.asarray(loc, target)


def random_signs(key: Key, shape: tuple[int, ...], dtype: np.dtype) -> Value:
    """-1 or 1 with equal probability, as numbers of `dtype`."""
    heads = lax.lt(uniform(key, shape), wnp.full(shape, 0.5, dtypes.float32))
    return 2 * lax.convert_element_type(heads, dtype) - 1


def wald(key: Key, mean: ArrayLike, shape: Any = None, dtype: DType = None) -> Value:
    """Numbers from Wald's (the inverse Gaussian) distribution with scale 1.

    By the transformation of Michael, Schucany and Haas (1976).

    >>> weft.random.wald(weft.random.key(0), 1.0, (2,)).round(4)
    Array([0.3806, 0.4157], dtype=float32)
    """
    target = float_dtype("wald", dtype)
    wanted = drawn_shape("wald", shape, mean)
    mu = spread("wald", mean, wanted, target)
    first, second = split(key)
    y = lax.square(normal(first, wanted, target))
    u = uniform(second, wanted, target)
    root = lax.sqrt(4 * mu * y + lax.square(mu) * lax.square(y))
    x = mu + lax.square(mu) * y / 2 - mu / 2 * root
    return lax.select(lax.le(u, mu / (mu + x)), x, lax.square(mu) / x)


def triangular(
    key: Key,
    left: ArrayLike,
    mode: ArrayLike,
    right: ArrayLike,
    shape: Any = None,
    dtype: DType = None,
) -> Value:
    """Numbers whose density rises from `left` to `mode` and falls to `right`, linearly.

    >>> weft.random.triangular(weft.random.key(0), 0.0, 0.5, 1.0, (2,)).round(4)
    Array([0.8382, 0.8965], dtype=float32)
    """
    target = float_dtype("triangular", dtype)
    wanted = drawn_shape("triangular", shape, left, mode, right)
    low, peak, high = (spread("triangular", x, wanted, target) for x in (left, mode, right))
    u = uniform(key, wanted, target)
    rising = low + lax.sqrt(u * (high - low) * (peak - low))
    falling = high - lax.sqrt((1 - u) * (high - low) * (high - peak))
    return lax.select(lax.lt(u, (peak - low) / (high - low)), rising, falling)
