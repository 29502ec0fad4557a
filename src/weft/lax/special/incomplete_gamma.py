"""The incomplete gamma functions P and Q, and how gamma samples move with their shape.

A series where x is small (NIST Digital Library of Mathematical Functions 8.7.1), a continued
fraction where it is large (8.9.2), evaluated by Lentz' method (Thompson and Barnett, 1986). The
factor x^a exp(-x)/Γ(a) in front of both is taken from Stirling's formula for large a, so that
large numbers do not cancel in its exponent.
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
from weft.lax.special.loops import State, iterate, log1p_minus, scalar_by_scalar, with_derivative
from weft.numpy import where


def _log_factor(a: Value, x: Value) -> Value:
    """log(x^a exp(-x) / Γ(a))."""
    large = a >= 8.0
    big = where(large, a, 8.0)
    ratio = (x - big) / big
    stirling = big * log1p_minus(ratio) + 0.5 * ew.log(big * (0.5 / math.pi))
    stirling = stirling - gamma.stirling_correction(big)
    small = where(large, 1.0, a)
    plain = small * ew.log(x) - x - gamma.lgamma(small)
    return where(large, stirling, plain)


def _series_start(a: Value) -> State:
    """(term, sum): the sum of x^n / (a+1)…(a+n), a times which is what P is a factor of."""
    one = ew.exp(a * 0.0)
    return one, one


def _series_step(x: Value, a: Value, n: Value, state: State) -> State:
    term, total = state[:2]
    term = term * x / (a + n)
    return term, total + term


def _fraction_start(x: Value, a: Value) -> State:
    """(c, d, h) of Lentz' method; h becomes Q without its factor."""
    tiny = _tiny(x)
    b = x + 1.0 - a
    b = where(abs(b) < tiny, tiny, b)
    d = 1.0 / b
    return constant(x, 1.0 / tiny) + 0.0 * a, d, d


def _fraction_step(x: Value, a: Value, n: Value, state: State) -> State:
    c, d, h = state[:3]
    tiny = _tiny(x)
    numerator = n * (a - n)
    b = x + 1.0 - a + 2.0 * n
    d = numerator * d + b
    d = 1.0 / where(abs(d) < tiny, tiny, d)
    c = b + numerator / c
    c = where(abs(c) < tiny, tiny, c)
    return c, d, h * c * d


def _tiny(x: Value) -> float:
    return float(np.finfo(aval_of(x).dtype).tiny) * 1e6


def _by_fraction(a: Value, x: Value) -> Value:
    return (x > 1.0) & (x > a)


def _small_step(x: Value, a: Value, n: Value, state: State) -> State:
    """(power, sum): the sum of (-x)^n / n! / (a + n)."""
    power, total = state
    power = power * (-x) / n
    return power, total + power / (a + n)


def _small_upper(a: Value, x: Value, enabled: Value) -> Value:
    """Q for a ≤ 1/2 and x ≤ 1, which are 1 - x^a/Γ(1 + a) and a little more (8.7.3)."""
    eps = epsilon(x)
    _, total = iterate(
        (constant(x, 1.0), constant(x, 0.0)),
        lambda n, state: _small_step(x, a, n, state),
        lambda state: abs(state[0]) > 0.1 * eps,
        enabled,
    )
    exponent = a * ew.log(x) - gamma.lgamma_near_one(a)
    return -ew.expm1(exponent) - ew.exp(exponent) * a * total


def _tails(a: Value, x: Value) -> tuple[Value, Value, Value]:
    """(whether the fraction serves, P by the series, Q by the fraction), inside the domain."""
    eps = epsilon(x)
    above = _by_fraction(a, x)
    _, total = iterate(
        _series_start(a),
        lambda n, state: _series_step(x, a, n, state),
        lambda state: state[0] > state[1] * (0.5 * eps),
        ~above,
    )
    *_, h = iterate(
        _fraction_start(x, a),
        lambda n, state: _fraction_step(x, a, n, state),
        lambda state: abs(state[0] * state[1] - 1.0) > 0.5 * eps,
        above,
    )
    factor = ew.exp(_log_factor(a, x))
    return above, factor * total / a, factor * h


def _inside(a: Value, x: Value) -> tuple[Value, Value, Value]:
    """Whether the arguments are finite and positive, and arguments that are."""
    inside = (a > 0.0) & (x > 0.0) & (a < math.inf) & (x < math.inf)
    return inside, where(inside, a, 1.0), where(inside, x, 1.0)


def _outside(a: Value, x: Value, at_zero: float) -> Value:
    """P (``at_zero`` is 0) or Q (1) where the formulas do not hold."""
    value = where(x == 0.0, constant(x, at_zero), 1.0 - at_zero)
    # a → 0 and x → ∞ put all of the mass below x; a → ∞ all of it above.
    value = where((a == math.inf) & (x < math.inf), at_zero, value)
    valid = (a >= 0.0) & (x >= 0.0) & ~((a == 0.0) & (x == 0.0))
    valid = valid & ~((a == math.inf) & (x == math.inf))
    return where(valid, value, math.nan)


def _igamma(a: Value, x: Value) -> Value:
    inside, a1, x1 = _inside(a, x)
    above, p, q = _tails(a1, x1)
    return where(inside, where(above, 1.0 - q, p), _outside(a, x, 0.0))


def _igammac(a: Value, x: Value) -> Value:
    inside, a1, x1 = _inside(a, x)
    above, p, q = _tails(a1, x1)
    small = (a1 <= 0.5) & (x1 <= 1.0)
    s = _small_upper(where(small, a1, 0.5), where(small, x1, 1.0), small)
    value = where(small, s, where(above, q, 1.0 - p))
    return where(inside, value, _outside(a, x, 1.0))


def _slope(a: Value, x: Value) -> Value:
    """dP/da divided by x^a exp(-x)/Γ(a), inside the domain."""
    eps = epsilon(x)
    above = _by_fraction(a, x)

    def moving(state: State) -> Value:
        term, total, slope, whole = state
        return (term > total * (0.5 * eps)) | (abs(slope) > abs(whole) * (0.5 * eps))

    start, step = with_derivative(_series_start, lambda a, n, s: _series_step(x, a, n, s), a)
    _, total, _, total_slope = iterate(start, step, moving, ~above)

    def turning(state: State) -> Value:
        c, d, h, c_slope, d_slope, h_slope = state
        factor_slope = c_slope * d + c * d_slope
        still = abs(c * d - 1.0) > 0.5 * eps
        return still | (abs(h * factor_slope) > abs(h_slope) * eps)

    start, step = with_derivative(
        lambda a: _fraction_start(x, a), lambda a, n, s: _fraction_step(x, a, n, s), a
    )
    _, _, h, _, _, h_slope = iterate(start, step, turning, above)
    log_slope = ew.log(x) - gamma.digamma(a)
    series = (total * (log_slope - 1.0 / a) + total_slope) / a
    return where(above, -(h * log_slope + h_slope), series)


def _igamma_grad_a(a: Value, x: Value) -> Value:
    inside, a1, x1 = _inside(a, x)
    slope = _slope(a1, x1) * ew.exp(_log_factor(a1, x1))
    return where(inside, slope, where((a > 0.0) & (x >= 0.0), 0.0, math.nan))


def _random_gamma_grad(a: Value, x: Value) -> Value:
    inside, a1, x1 = _inside(a, x)
    return where(inside, -x1 * _slope(a1, x1), where((a > 0.0) & (x == 0.0), 0.0, math.nan))


def _density(a: Value, x: Value) -> Value:
    """dP/dx."""
    return ew.exp(-x + (a - 1.0) * ew.log(x) - gamma.lgamma(a))


igamma_p = composed(
    "igamma",
    scalar_by_scalar(_igamma),
    jvp=(
        lambda t, ans, a, x: t * igamma_grad_a(a, x),
        lambda t, ans, a, x: t * _density(a, x),
    ),
    loops=True,
)
igammac_p = composed(
    "igammac",
    scalar_by_scalar(_igammac),
    jvp=(
        lambda t, ans, a, x: -t * igamma_grad_a(a, x),
        lambda t, ans, a, x: -t * _density(a, x),
    ),
    loops=True,
)
igamma_grad_a_p = composed(
    "igamma_grad_a",
    scalar_by_scalar(_igamma_grad_a),
    jvp=(not_differentiable("igamma_grad_a", "a"), not_differentiable("igamma_grad_a", "x")),
    loops=True,
)
random_gamma_grad_p = composed(
    "random_gamma_grad",
    scalar_by_scalar(_random_gamma_grad),
    jvp=(
        not_differentiable("random_gamma_grad", "a"),
        not_differentiable("random_gamma_grad", "sample"),
    ),
    loops=True,
)

igamma: Function = public(
    "igamma",
    igamma_p,
    """The regularized lower incomplete gamma function P(a, x), element by element.

    The probability that a gamma variable of shape a is below x; NaN for negative arguments.
    """,
)
igammac: Function = public(
    "igammac",
    igammac_p,
    """The regularized upper incomplete gamma function Q(a, x) = 1 - P, element by element.""",
)
igamma_grad_a: Function = public(
    "igamma_grad_a", igamma_grad_a_p, """The derivative of `igamma` by its first operand."""
)
random_gamma_grad: Function = public(
    "random_gamma_grad",
    random_gamma_grad_p,
    """How a sample of the gamma distribution moves with the shape a: -(dP/da) / (dP/dx).

    Implicit reparameterization (Figurnov, Mohamed and Mnih, 2018).
    """,
)
