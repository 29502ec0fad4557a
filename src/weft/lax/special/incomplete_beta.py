"""The regularized incomplete beta function.

The continued fraction of NIST Digital Library of Mathematical Functions 8.17.22 by Lentz' method,
on the side of the mean where it converges fast.
"""

from __future__ import annotations

import math

import numpy as np

from weft.core.avals import aval_of
from weft.lax import elementwise as ew
from weft.lax.special import gamma
from weft.lax.special.composed import (
    Function,
    Value,
    composed,
    constant,
    epsilon,
    not_differentiable,
    public,
)
from weft.lax.special.loops import State, iterate, log1p_minus, scalar_by_scalar
from weft.numpy import where


def _log_factor(a: Value, b: Value, x: Value, y: Value) -> Value:
    """log(x^a y^b / B(a, b)), y = 1 - x.

    Stirling's formula stands for the gamma functions of large numbers, in forms in which nothing
    large cancels.
    """
    # the smaller and the larger parameter, and the bases of their powers
    ordered = a <= b
    s, m = where(ordered, a, b), where(ordered, b, a)
    u, v = where(ordered, x, y), where(ordered, y, x)
    log_v = where(u < 0.5, ew.log1p(-u), ew.log(v))
    one_large, both_large = m >= 8.0, s >= 8.0
    # both large: deviations from the mean s/(s + m)
    p, q = where(both_large, s, 8.0), where(one_large, m, 8.0)
    excess = u * q - v * p
    both = p * log1p_minus(excess / p) + q * log1p_minus(-excess / q)
    both = both + 0.5 * ew.log(p / (p + q) * q * (0.5 / math.pi))
    correction = gamma.stirling_correction(p + q) - gamma.stirling_correction(q)
    both = both + (correction - gamma.stirling_correction(p))
    # one large: Γ(s + m)/Γ(m) as one
    r = where(both_large, 1.0, s)
    correction = gamma.stirling_correction(r + q) - gamma.stirling_correction(q)
    one = r * (ew.log(u * (r + q)) - 1.0) + (q - 0.5) * ew.log1p(r / q) + m * log_v
    one = one - gamma.lgamma(r) + correction
    # none
    w = where(one_large, 1.0, m)
    none = s * ew.log(u) + m * log_v + gamma.lgamma(r + w) - gamma.lgamma(r) - gamma.lgamma(w)
    return where(both_large, both, where(one_large, one, none))


def _fraction(a: Value, b: Value, x: Value, enabled: Value) -> Value:
    """What I(a, b, x) is without the factor x^a (1 - x)^b / (a B(a, b))."""
    tiny = float(np.finfo(aval_of(x).dtype).tiny) * 1e6
    total = a + b

    def away_from_zero(v: Value) -> Value:
        return where(abs(v) < tiny, tiny, v)

    def half(coefficient: Value, c: Value, d: Value) -> tuple[Value, Value]:
        return away_from_zero(1.0 + coefficient / c), 1.0 / away_from_zero(1.0 + coefficient * d)

    def step(m: Value, state: State) -> State:
        c, d, h, _ = state
        twice = a + 2.0 * m
        c, d = half(m * (b - m) * x / ((twice - 1.0) * twice), c, d)
        h = h * c * d
        c, d = half(-(a + m) * (total + m) * x / (twice * (twice + 1.0)), c, d)
        return c, d, h * c * d, c * d

    one = constant(x, 1.0)
    d = 1.0 / away_from_zero(1.0 - total * x / (a + 1.0))
    going = 0.5 * epsilon(x)
    state = iterate((one, d, d, 2.0 * one), step, lambda s: abs(s[3] - 1.0) > going, enabled)
    return state[2]


def _betainc(a: Value, b: Value, x: Value) -> Value:
    inside = (a > 0.0) & (b > 0.0) & (a < math.inf) & (b < math.inf) & (x > 0.0) & (x < 1.0)
    a1, b1, x1 = where(inside, a, 1.0), where(inside, b, 1.0), where(inside, x, 0.5)
    swapped = x1 > (a1 + 1.0) / (a1 + b1 + 2.0)
    y1 = 1.0 - x1
    p, q = where(swapped, b1, a1), where(swapped, a1, b1)
    below, above = where(swapped, y1, x1), where(swapped, x1, y1)
    tail = ew.exp(_log_factor(p, q, below, above)) * _fraction(p, q, below, inside) / p
    value = where(swapped, 1.0 - tail, tail)
    # All of the mass lies at 0 (a = 0 or b = ∞) or at 1 (b = 0 or a = ∞).
    at_zero, at_one = (a == 0.0) | (b == math.inf), (b == 0.0) | (a == math.inf)
    edge = where((x == 0.0) | (at_one & (x < 1.0)), constant(x, 0.0), 1.0)
    valid = (a >= 0.0) & (b >= 0.0) & (x >= 0.0) & (x <= 1.0) & ~(at_zero & at_one)
    return where(inside, value, where(valid, edge, math.nan))


def _density(a: Value, b: Value, x: Value) -> Value:
    beta = gamma.lgamma(a) + gamma.lgamma(b) - gamma.lgamma(a + b)
    return ew.exp((a - 1.0) * ew.log(x) + (b - 1.0) * ew.log1p(-x) - beta)


betainc_p = composed(
    "betainc",
    scalar_by_scalar(_betainc),
    jvp=(
        not_differentiable("betainc", "a"),
        not_differentiable("betainc", "b"),
        lambda t, ans, a, b, x: t * _density(a, b, x),
    ),
    loops=True,
)
betainc: Function = public(
    "betainc",
    betainc_p,
    """The regularized incomplete beta function I(a, b, x), element by element.

    The probability that a beta variable of parameters a and b is below x; NaN for negative
    parameters and for x outside [0, 1]. It is differentiable in x.
    """,
)
