"""exp, exp2, expm1 and logistic.

e^x = 2^n · e^r with n = round(x / ln 2) and |r| ≤ ln(2)/2; ln 2 is subtracted in two parts so that
n·(first part) is exact. The exponent is applied once at the end, by `Vec.scale`, so that results
that overflow or are subnormal are rounded once.
"""

from __future__ import annotations

from weft.codegen.vecmath import coefficients
from weft.codegen.vecmath.vec import Rounded, Vec

LOG2_E = 1.4426950408889634


def split_exp(v: Vec, x: str, tail: str | None = None) -> tuple[str, Rounded]:
    """(p, n) with e^(x + tail) = p · 2^n; `tail` is a small correction. x must be clamped."""
    q, n = split_expm1(v, x, tail)
    return v.add(q, 1.0), n


def split_expm1(v: Vec, x: str, tail: str | None = None) -> tuple[str, Rounded]:
    """(q, n) with e^(x + tail) = (1 + q) · 2^n, as `split_exp`."""
    hi, lo = coefficients.LN2_DOUBLE if v.is_double else coefficients.LN2_SINGLE
    n = v.round_product(x, LOG2_E)
    near = v.fnma(n.real, hi, x)
    r = v.fnma(n.real, lo, near)
    if tail is None:
        q = v.fma(v.mul(r, r), v.approximation("exp", r), r)
    else:
        tail = v.add(tail, v.fnma(n.real, lo, v.sub(near, r)))  # with what rounding r lost
        square = v.mul(v.mul(r, r), v.approximation("exp", r))
        q = v.add(r, v.fma(tail, v.add(v.add(r, square), 1.0), square))
    return q, n


def _limits(v: Vec) -> tuple[float, float]:
    """Below the first e^x rounds to 0, above the second to infinity."""
    return (-746.0, 710.0) if v.is_double else (-104.0, 89.0)


def exp(v: Vec, x: str) -> str:
    """e^x; at most 1 ulp."""
    p, n = split_exp(v, v.clamp(x, *_limits(v)))
    return v.scale(p, n)


def exp2(v: Vec, x: str) -> str:
    """2^x; at most 1 ulp."""
    x = v.clamp(x, *((-1076.0, 1025.0) if v.is_double else (-151.0, 129.0)))
    n = v.round_product(x, 1.0)
    f = v.sub(x, n.real)
    return v.scale(v.fma(v.approximation("exp2", f), f, 1.0), n)


def expm1(v: Vec, x: str) -> str:
    """e^x - 1; at most 2 ulp.

    With h = 2^(n-1), half the result is h·r + (h - 1/2) + h·(e^r - 1 - r): the first two terms
    are one rounding, the rest is small.
    """
    a = v.clamp(x, -40.0, _limits(v)[1])
    hi, lo = coefficients.LN2_DOUBLE if v.is_double else coefficients.LN2_SINGLE
    n = v.round_product(a, LOG2_E)
    near = v.fnma(n.real, hi, a)
    r = v.fnma(n.real, lo, near)
    low = v.fnma(n.real, lo, v.sub(near, r))
    rest = v.fma(v.mul(r, r), v.approximation("exp", r), low)
    h = v.power_of_two(n.integer, -1)
    result = v.fma(h, rest, v.fma(h, r, v.sub(h, 0.5)))
    # Halving would lose the last bit of subnormals and the sign of zero.
    return v.select(
        v.compare("olt", v.abs(x), 2.0 ** -(v.mantissa_bits + 3)), x, v.add(result, result)
    )


def logistic(v: Vec, x: str) -> str:
    """1 / (1 + e^-x), from e^-|x| so that nothing overflows; at most 2 ulp.

    The quotient is corrected by what rounding 1 + e^-|x| lost, to first order.
    """
    e = exp(v, v.neg(v.abs(x)))
    total, lost = v.fast_two_sum(1.0, e)
    q = v.div(v.select(v.compare("olt", x, 0.0), e, 1.0), total)
    return v.fnma(q, lost, q)
