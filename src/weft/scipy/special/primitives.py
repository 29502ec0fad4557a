"""Special functions with approximations of their own, as primitives: see `weft.lax.special`.

Polynomials are in `coefficients`; what each is of stands there.
"""

from __future__ import annotations

import math
from fractions import Fraction

from weft.core import dtypes
from weft.core.avals import aval_of
from weft.lax import elementwise as ew
from weft.lax.special import coefficients as lax_coefficients
from weft.lax.special import digamma
from weft.lax.special.composed import Value, composed, polynomial
from weft.numpy import where
from weft.scipy.special.coefficients import DOUBLE, SINGLE
from weft.transforms.control_flow import fori_loop

ROOT_TWO = math.sqrt(2)
LOG_ROOT_TWO_PI = 0.5 * math.log(2 * math.pi)
EULER = 0.5772156649015328606
INF, NAN = math.inf, math.nan


def table(x: Value) -> dict[str, tuple[float, ...]]:
    """Coefficients for the dtype of ``x``."""
    return DOUBLE if aval_of(x).dtype == dtypes.float64 else SINGLE


def mapped(x: Value, name: str, middle: float, half: float) -> Value:
    """The polynomial ``name`` of t, where ``x = middle + half t``."""
    return polynomial((x - middle) * (1 / half), table(x)[name])


# ---------------------------------------------------------------- error functions


def _erfcx(x: Value) -> Value:
    size = abs(x)
    finite = where(size == INF, 0.0, size)
    t = where(size == INF, 1.0, (finite - 2.0) / (finite + 2.0))
    value = polynomial(t, table(x)["erfcx"]) / (1.0 + 2.0 * size)
    return where(x < 0.0, 2.0 * ew.exp(size * size) - value, value)


erfcx_p = composed(
    "erfcx",
    _erfcx,
    jvp=(lambda t, ans, x: t * (2.0 * x * ans - 2.0 / math.sqrt(math.pi)),),
)
erfcx = erfcx_p.bind


def _ndtr(x: Value) -> Value:
    """From -1 on by erfc; before, exp(-x²/2) of x in two parts, the square of one of them exact.

    The rounding of x/√2 would be magnified by x².
    """
    low = where((x < -1.0) & (x > -1e3), x, -1.0)
    high = ew.round(16.0 * low) / 16.0
    rest = (low - high) * (low + high)
    scaled = _erfcx(low * (-1.0 / ROOT_TWO))
    tail = 0.5 * scaled * ew.exp(-0.5 * high * high) * ew.exp(-0.5 * rest)
    return where(x < -1.0, where(x > -1e3, tail, 0.0), 0.5 * ew.erfc(x * (-1.0 / ROOT_TWO)))


ndtr_p = composed(
    "ndtr",
    _ndtr,
    jvp=(lambda t, ans, x: t * (ew.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)),),
)
ndtr = ndtr_p.bind

#: Where the sum of `_dawsn` is taken at, and over how many pairs (Rybicki 1989): the error is that
#: of exp(-(π/2h)²).
_STEP, _PAIRS = 0.25, 13


def _dawsn(x: Value) -> Value:
    size = where(abs(x) < 1e4, abs(x), 1e4)
    nearest = 2.0 * ew.round(0.5 * size / _STEP)
    rest = size - nearest * _STEP
    grow = ew.exp(2.0 * _STEP * rest)
    ahead, behind = grow, 1.0 / grow
    up, down = grow * grow, behind * behind
    total = size * 0.0
    for k in range(_PAIRS):
        n = 2 * k + 1
        weight = math.exp(-((n * _STEP) ** 2))
        total = total + weight * (ahead / (nearest + n) + behind / (nearest - n))
        ahead, behind = ahead * up, behind * down
    value = total * ew.exp(-rest * rest) / math.sqrt(math.pi)
    square = x * x
    # Around 0 by its series, far away by that of 1/x.
    coefficients = [(-2.0) ** k / math.prod(range(1, 2 * k + 2, 2)) for k in range(12)]
    near = x * polynomial(where(size < 0.5, square, 0.0), coefficients)
    inverse = 1.0 / where(size >= 1e4, x, 1.0)
    tail = 0.5 * inverse * (1.0 + 0.5 * inverse * inverse)
    far = where(size >= 1e4, tail, ew.sign(x) * value)
    return where(size < 0.5, near, far)


dawsn_p = composed("dawsn", _dawsn, jvp=(lambda t, ans, x: t * (1.0 - 2.0 * x * ans),))
dawsn = dawsn_p.bind


def _log_ndtr(x: Value) -> Value:
    low = where(x < 0.0, x, 0.0)
    tail = ew.log(0.5 * _erfcx(low * (-1 / ROOT_TWO))) - 0.5 * low * low
    return where(x < 0.0, tail, ew.log1p(-0.5 * ew.erfc(x * (1 / ROOT_TWO))))


log_ndtr_p = composed(
    "log_ndtr",
    _log_ndtr,
    jvp=(lambda t, ans, x: t * math.sqrt(2 / math.pi) / erfcx(x * (-1 / ROOT_TWO)),),
)
log_ndtr = log_ndtr_p.bind


def _ndtri(p: Value) -> Value:
    middle = ROOT_TWO * ew.erf_inv(2.0 * p - 1.0)
    q = where(p > 0.5, 1.0 - p, p)
    inside = (q > 0.0) & (q < 0.1)
    level = ew.log(where(inside, q, 0.1))
    # Abramowitz and Stegun, 26.2.22, then Newton's method for log Φ(x) = log q.
    s = ew.sqrt(-2.0 * level)
    x = (2.30753 + 0.27061 * s) / (1.0 + s * (0.99229 + 0.04481 * s)) - s
    for _ in range(4):
        scaled = _erfcx(x * (-1 / ROOT_TWO))
        excess = ew.log(0.5 * scaled) - 0.5 * x * x - level
        x = x - excess * scaled * math.sqrt(math.pi / 2)
    tail = where(p > 0.5, -x, x)
    outside = where(p == 0.0, -INF, where(p == 1.0, INF, NAN))
    return where(inside, tail, where((q >= 0.1) & (q <= 0.5), middle, outside))


ndtri_p = composed(
    "ndtri",
    _ndtri,
    jvp=(lambda t, ans, p: t * math.sqrt(2 * math.pi) * ew.exp(0.5 * ans * ans),),
)
ndtri = ndtri_p.bind

# ---------------------------------------------------------------- exponential integrals


def _exp1(x: Value) -> Value:
    small = where((x > 0.0) & (x <= 1.0), x, 1.0)
    near = small * mapped(small, "exp1_1", 0.5, 0.5) - ew.log(small) - EULER
    large = where(x > 1.0, x, 1.0)
    inverse = 1.0 / large
    middle, tail = (
        mapped(inverse, "exp1_4", 0.625, 0.375),
        mapped(inverse, "exp1_tail", 0.125, 0.125),
    )
    far = where(large <= 4.0, middle, tail) * ew.exp(-large) * inverse
    value = where(x <= 1.0, near, far)
    return where(x < 0.0, NAN, where(x == 0.0, INF, where(x != x, x, value)))


exp1_p = composed("exp1", _exp1, jvp=(lambda t, ans, x: -t * ew.exp(-x) / x,))
exp1 = exp1_p.bind

#: The root of Ei, as a sum: subtracting the first is exact.
_ROOT = 0.37250739336013794, 1.7421228695008868e-08


def _expi(x: Value) -> Value:
    y = where(x > 0.0, x, 1.0)
    low = where(y <= 6.0, y, 1.0)
    apart = (low - _ROOT[0]) - _ROOT[1]
    root = _ROOT[0] + _ROOT[1]
    # Around the root the logarithm is that of a number close to 1.
    close = abs(apart) < 0.1
    log = where(close, ew.log1p(where(close, apart, 0.0) / root), ew.log(low / root))
    near = log + apart * mapped(low, "expi_6", 3.0, 3.0)
    high = where(y > 6.0, y, 6.0)
    scaled = where(
        high <= 12.0,
        mapped(where(high <= 12.0, high, 6.0), "expi_12", 9.0, 3.0),
        where(
            high <= 24.0,
            mapped(where(high <= 24.0, high, 12.0), "expi_24", 18.0, 6.0),
            mapped(1.0 / where(high > 24.0, high, 24.0), "expi_tail", 1 / 48, 1 / 48),
        ),
    )
    # In two halves: it may be in range where exp(x) is not.
    root_of_exp = ew.exp(0.5 * high)
    far = (scaled * (root_of_exp / where(high == INF, 1.0, high))) * root_of_exp
    negative = -_exp1(where(x < 0.0, -x, 1.0))
    value = where(x < 0.0, negative, where(y <= 6.0, near, far))
    return where(x == 0.0, -INF, where(x != x, x, value))


expi_p = composed("expi", _expi, jvp=(lambda t, ans, x: t * ew.exp(x) / x,))
expi = expi_p.bind

#: Terms of the continued fraction of Eₙ(x), x ≥ 1, and of its series below.
_FRACTIONS, _TERMS = 90, 22


def _expn(n: Value, x: Value) -> Value:
    from weft.lax.special.gamma import digamma, lgamma

    small = where((x > 0.0) & (x < 1.0), x, 0.5)
    order = where(n > 0.0, n, 1.0)
    # Abramowitz and Stegun, 5.1.12; the term with a logarithm takes the place of one of the series.
    log = ew.log(small)
    parity = 1.0 - 2.0 * ((order - 1.0) - 2.0 * ew.floor((order - 1.0) * 0.5))
    special = parity * ew.exp((order - 1.0) * log - lgamma(order)) * (digamma(order) - log)
    total, power = special, small * 0.0 + 1.0
    for m in range(_TERMS):
        gap = order - (m + 1.0)
        total = total + where(gap == 0.0, 0.0, power / where(gap == 0.0, 1.0, gap))
        power = power * small * (-1.0 / (m + 1))

    large = where(x >= 1.0, x, 1.0)

    def fraction(count: Value, value: Value) -> Value:
        k = ew.convert_element_type(_FRACTIONS - count, aval_of(x).dtype)
        return k * (order - 1.0 + k) / (large + order + 2.0 * k - value)

    value = fori_loop(0, _FRACTIONS, fraction, large * 0.0)
    far = ew.exp(-large) / (large + order - value)
    value = where(x < 1.0, total, far)
    value = where(n == 0.0, ew.exp(-x) / x, value)
    at_zero = where(n > 1.0, 1.0 / where(n > 1.0, n - 1.0, 1.0), INF)
    value = where(x == 0.0, at_zero, where(x == INF, 0.0, value))
    return where((x < 0.0) | (n < 0.0) | (n != ew.floor(n)) | (x != x), NAN, value)


def _expn_slope(t: Value, ans: Value, n: Value, x: Value) -> Value:
    return -t * where(n == 0.0, ans + ans / x, expn(where(n > 0.0, n - 1.0, 0.0), x))


expn_p = composed("expn", _expn, jvp=(None, _expn_slope), loops=True)
expn = expn_p.bind


_TAIL = 1 / 128, 1 / 128


def _sine_and_cosine_integrals(size: Value) -> tuple[Value, Value]:
    """Si and Ci of numbers from 0 on."""
    low = where(size < 4.0, size, 1.0)
    square = low * low
    near_sine = low * mapped(square, "si_4", 8.0, 8.0)
    log = ew.log(where(low == 0.0, 1.0, low))
    near_cosine = square * mapped(square, "ci_4", 8.0, 8.0) + log + EULER
    high = where(size >= 4.0, size, 4.0)
    high = where(high == INF, 1e30, high)
    inverse = 1.0 / high
    u = inverse * inverse
    middle = high < 8.0
    f, g = (
        where(middle, mapped(u, f"si_{k}_8", 5 / 128, 3 / 128), mapped(u, f"si_{k}_tail", *_TAIL))
        for k in "fg"
    )
    f, g = f * inverse, g * u
    sine, cosine = ew.sin(high), ew.cos(high)
    far_sine = (math.pi / 2 - f * cosine) - g * sine
    far_cosine = f * sine - g * cosine
    return where(size < 4.0, near_sine, far_sine), where(size < 4.0, near_cosine, far_cosine)


def _si(x: Value) -> Value:
    value, _ = _sine_and_cosine_integrals(abs(x))
    return where(x == 0.0, x, where(x < 0.0, -value, value))


def _ci(x: Value) -> Value:
    _, value = _sine_and_cosine_integrals(abs(x))
    return where(x < 0.0, NAN, where(x == 0.0, -INF, where(x == INF, 0.0, value)))


def _sinc(x: Value) -> Value:
    zero = x == 0.0
    return where(zero, 1.0, ew.sin(x) / where(zero, 1.0, x))


si_p = composed("si", _si, jvp=(lambda t, ans, x: t * _sinc(x),))
ci_p = composed("ci", _ci, jvp=(lambda t, ans, x: t * ew.cos(x) / x,))
si, ci = si_p.bind, ci_p.bind

# ---------------------------------------------------------------- dilogarithm

#: B(2k)/(2k + 1)!, k = 1, 2, …
_DILOGARITHM = [
    float(Fraction(*b) / math.factorial(2 * k + 3))
    for k, b in enumerate(
        ((1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510))
    )
]


def _spence(x: Value) -> Value:
    """Li₂(1 - x), with 1 - x brought to [-1/2, 1/2] by its functional equations."""
    inverted = x > 1.5
    y = where(inverted, 1.0 / where(inverted, x, 1.0), x)
    reflected = y < 0.5
    w = where(reflected, -y, y - 1.0)
    u = -ew.log1p(w)
    square = u * u
    value = u - 0.25 * square + u * square * polynomial(square, _DILOGARITHM)
    safe = where((y > 0.0) & (y < 1.0), y, 0.5)
    product = where(y > 0.0, ew.log(safe) * ew.log1p(-safe), 0.0)
    value = where(reflected, math.pi**2 / 6 - product - value, value)
    log = ew.log(where(inverted, x, 1.0))
    value = where(inverted, -0.5 * log * log - value, value)
    return where(x < 0.0, NAN, where(x == INF, -INF, value))


def _spence_slope(t: Value, ans: Value, x: Value) -> Value:
    # log(x) / (1 - x), around 1 by its series, which has derivatives there.
    w = x - 1.0
    close = abs(w) < 1e-3
    series = polynomial(where(close, w, 0.0), [(-1.0) ** (k + 1) / (k + 1) for k in range(6)])
    return t * where(close, series, -ew.log(x) / where(close, 1.0, w))


spence_p = composed("spence", _spence, jvp=(_spence_slope,))
spence = spence_p.bind


# ---------------------------------------------------------------- the gamma function


def _gamma(x: Value) -> Value:
    """From [2, 3] by exact steps of 1, from 10 on by Stirling's formula, below 0 by reflection.

    No step rounds an argument whose rounding Γ would magnify.
    """
    size = abs(x)
    finite = where(size == INF, 1.0, size)
    high, low = _stirling(where(finite < 10.0, 10.0, finite))
    value = where(finite < 10.0, _by_steps(where(finite < 10.0, finite, 2.5)), high)
    rest = where(finite < 10.0, 1.0, low)
    # Γ(-x) = -π / (x sin(πx) Γ(x)), with the sine of what is left beside the nearest integer.
    nearest = ew.round(finite)
    odd = nearest - 2.0 * ew.floor(0.5 * nearest) != 0.0
    sine = ew.sin(math.pi * (finite - nearest))
    below = math.pi / (finite * where(odd, sine, -sine) * value) / rest
    below = where(finite == ew.floor(finite), NAN, below)
    result = where(x < 0.0, below, value * rest)
    result = where(x == 0.0, 1.0 / x, result)
    return where(size == INF, where(x > 0.0, x, NAN), result)


def _by_steps(x: Value) -> Value:
    """Γ(x) for 0 < x < 10."""
    lowest = where(x < 1.0, x + 2.0, where(x < 2.0, x + 1.0, 2.0 + (x - ew.floor(x))))
    value = mapped(lowest, "gamma", 2.5, 0.5)
    for k in range(1, 8):
        value = value * where(x - k >= 2.0, x - k, 1.0)
    return value / where(x < 1.0, x * (x + 1.0), where(x < 2.0, x, 1.0))


def _stirling(x: Value) -> tuple[Value, Value]:
    """Two factors of Γ(x) for x ≥ 10, neither of which overflows before Γ does."""
    table = (
        lax_coefficients.DOUBLE if aval_of(x).dtype == dtypes.float64 else lax_coefficients.SINGLE
    )
    inverse = 1.0 / x
    series = ew.exp(inverse * polynomial(inverse * inverse, table["stirling"]))
    power = ew.pow(x, 0.5 * x - 0.25)
    return math.sqrt(2.0 * math.pi) * series * (power * ew.exp(-x)), power


gamma_p = composed("gamma", _gamma, jvp=(lambda t, ans, x: t * ans * digamma(x),))
gamma = gamma_p.bind
