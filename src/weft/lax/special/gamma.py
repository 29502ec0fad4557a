"""The gamma function's logarithm, its derivatives, and Hurwitz' zeta function.

Where a function has a root, the approximation has the root as a factor, so that results near it
have small relative errors. Arguments are moved into the approximations' intervals by recurrence,
to the left half-plane by reflection (NIST Digital Library of Mathematical Functions, 5.5 and
5.15), and large ones are left to Stirling's series (5.11).
"""

from __future__ import annotations

import math

import numpy as np

from weft.core.avals import aval_of
from weft.lax import elementwise as ew
from weft.lax.special.composed import (
    Function,
    Value,
    composed,
    constant,
    epsilon,
    not_differentiable,
    polynomial,
    public,
    table,
)
from weft.numpy import where

_LARGE = 8  # from here on Stirling's series
_DIGAMMA_LARGE = 10
_ZETA_TERMS = 10  # summed before Euler and Maclaurin's formula takes over


def _from_nearest_integer(x: Value) -> Value:
    return x - ew.round(x, ew.RoundingMethod.TO_NEAREST_EVEN)


def _lgamma(x: Value) -> Value:
    t = table(x)
    reflected = x < -0.5
    near_zero = (abs(x) < 0.5) | (x == -0.5)
    z = where(reflected, 1.0 - x, where(near_zero, x + 1.0, x))
    # [1/2, 3/2): the root 1; x itself near 0, where 1 + x would lose its digits
    from_one = where(near_zero, x, z - 1.0)
    around_one = lgamma_near_one(from_one) + 0.0  # no -0 at the root
    # [3/2, 8): the root 2, after steps down to below 3
    product = constant(x, 1.0)
    rest = z
    for _ in range(_LARGE - 3):
        steps = rest >= 3.0
        rest = where(steps, rest - 1.0, rest)
        product = where(steps, product * rest, product)
    from_two = rest - 2.0
    around_two = from_two * polynomial(from_two, t["lgamma_two"]) + ew.log(product)
    result = where(z < 1.5, around_one, where(z < float(_LARGE), around_two, stirling(z)))
    result = where(near_zero, result - ew.log(abs(x)), result)
    sine = ew.sin(_from_nearest_integer(x) * math.pi)
    mirrored = math.log(math.pi) - ew.log(abs(sine)) - result
    infinite = abs(x) == math.inf
    return where(infinite, abs(x), where(reflected, mirrored, result))


def lgamma_near_one(t: Value) -> Value:
    """log Γ(1 + t) for |t| ≤ 1/2, accurate for small t."""
    return t * polynomial(t, table(t)["lgamma_one"])


def stirling(z: Value) -> Value:
    """log Γ(z) for z ≥ 8."""
    half_log_2pi_e = 0.5 * math.log(2 * math.pi) - 0.5
    return (z - 0.5) * (ew.log(z) - 1.0) + half_log_2pi_e + stirling_correction(z)


def stirling_correction(z: Value) -> Value:
    """log Γ(z) - (z - 1/2) log z + z - log(2π)/2 for z ≥ 8."""
    inverse = 1.0 / z
    return inverse * polynomial(inverse * inverse, table(z)["stirling"])


def _digamma(x: Value) -> Value:
    t = table(x)
    reflected = x < -0.5
    z = where(reflected, 1.0 - x, x)
    # ψ(z) = ψ(z ± n) ∓ the sum of n reciprocals, kept as one fraction
    above, below = constant(x, 0.0), constant(x, 1.0)
    for _ in range(2):
        steps = z < 1.0
        above = where(steps, above * z - below, above)
        below = where(steps, below * z, below)
        z = where(steps, z + 1.0, z)
    large = z >= float(_DIGAMMA_LARGE)
    for _ in range(_DIGAMMA_LARGE - 2):
        steps = (z > 2.0) & (z < float(_DIGAMMA_LARGE))
        z = where(steps, z - 1.0, z)
        above = where(steps, above * z + below, above)
        below = where(steps, below * z, below)
    first, second, third = t["digamma_root"]
    to_root = ((z - first) - second) - third
    around_root = to_root * polynomial(z - 1.5, t["digamma"]) + above / below
    inverse = 1.0 / z
    square = inverse * inverse
    tail = ew.log(z) - 0.5 * inverse - square * polynomial(square, t["digamma_tail"])
    result = where(large, where(z == math.inf, z, tail), around_root)
    mirrored = result - math.pi / ew.tan(_from_nearest_integer(x) * math.pi)
    pole = (x <= 0.0) & (x == ew.floor(x))
    return where(pole, math.nan, where(reflected, mirrored, result))


def _zeta(s: Value, q: Value) -> Value:
    coefficients = table(s)["zeta"]
    total = constant(s, 0.0)
    for k in range(_ZETA_TERMS):
        total = total + (q + float(k)) ** -s
    a = q + float(_ZETA_TERMS)
    power = a**-s
    # a·a^-s is the more accurate, where a^-s keeps its digits.
    tiny = float(np.finfo(aval_of(s).dtype).tiny) / epsilon(s)
    tail = where(power < tiny, a ** (1.0 - s), a * power)
    total = total + tail / (s - 1.0) + 0.5 * power
    # The derivatives of a^-s: each has two more factors than the one before it.
    inverse_square = 1.0 / (a * a)
    factor = s * power / a
    for k, c in enumerate(coefficients):
        total = total + factor * c
        n = 2.0 * k + 1.0
        factor = factor * (s + n) * (s + (n + 1.0)) * inverse_square
    pole = (q <= 0.0) & (q == ew.floor(q))
    total = where(pole, math.inf, total)
    # Negative bases have real powers for integers only.
    total = where((q < 0.0) & ~pole & (s != ew.floor(s)), math.nan, total)
    total = where((s == math.inf) | (q == math.inf), _zeta_limit(s, q), total)
    total = where(s == 1.0, math.inf, where(s < 1.0, math.nan, total))
    return where((s != s) | (q != q), math.nan, total)


def _zeta_limit(s: Value, q: Value) -> Value:
    """The only term that matters is q^-s."""
    return where(
        q == 1.0, 1.0, where(q > 1.0, 0.0, where(q > 0.0, constant(q, math.inf), math.nan))
    )


def _polygamma(m: Value, x: Value) -> Value:
    sign = where(_from_nearest_integer(0.5 * m) == 0.0, constant(m, -1.0), 1.0)
    value = sign * ew.exp(_lgamma(m + 1.0)) * _zeta(m + 1.0, x)
    value = where(m == 0.0, _digamma(x), value)
    return where((m < 0.0) | (m != ew.floor(m)), math.nan, value)


lgamma_p = composed("lgamma", _lgamma, jvp=(lambda t, ans, x: t * digamma(x),))
digamma_p = composed("digamma", _digamma, jvp=(lambda t, ans, x: t * polygamma(_ones(x), x),))
zeta_p = composed(
    "zeta",
    _zeta,
    jvp=(
        not_differentiable("zeta", "x"),
        lambda t, ans, s, q: t * (-s * zeta(s + 1.0, q)),
    ),
)
polygamma_p = composed(
    "polygamma",
    _polygamma,
    jvp=(
        not_differentiable("polygamma", "m"),
        lambda t, ans, m, x: t * polygamma(m + 1.0, x),
    ),
)


def _ones(x: Value) -> Value:
    return constant(x, 1.0)


lgamma: Function = public(
    "lgamma",
    lgamma_p,
    """The logarithm of the absolute value of the gamma function, element by element.

    It is inf at 0 and at the negative integers. Relative errors are a few ulp for positive x; for
    negative x, absolute errors are (the roots there are not factored out).
    """,
)
digamma: Function = public(
    "digamma",
    digamma_p,
    """ψ, the derivative of `lgamma`, element by element; NaN at 0 and at the negative integers.""",
)
zeta: Function = public(
    "zeta",
    zeta_p,
    """Hurwitz' zeta function ``sum((k + q)**-x for k in 0, 1, …)``, element by element.

    The first operand is x > 1 (inf at 1, NaN below), the second q. It is differentiable in q.
    """,
)
polygamma: Function = public(
    "polygamma",
    polygamma_p,
    """The derivative of order m ≥ 0 of `digamma` at x, element by element.

    m holds integers in the dtype of x (NaN for others), and is no argument to differentiate by.
    """,
)
