"""sinh, cosh, tanh and their inverses.

Near zero by odd polynomials, elsewhere from e^|x|; the inverses through `log1p_sum`, whose argument
is a sum of two parts, so that only the logarithm's own rounding counts.
"""

from __future__ import annotations

from weft.codegen.vecmath.exponential import split_exp
from weft.codegen.vecmath.logarithm import log1p_sum
from weft.codegen.vecmath.vec import Vec

INF = float("inf")
NAN = float("nan")


def _odd_polynomial(v: Vec, name: str, x: str) -> str:
    z = v.mul(x, x)
    return v.fma(v.mul(v.approximation(name, z), z), x, x)


def _half_exponential(v: Vec, a: str) -> tuple[str, str]:
    """(e^a/2, e^-a/2) for a ≥ 0; the first overflows only where sinh and cosh do."""
    p, n = split_exp(v, v.at_most(a, v.by_type(90.0, 711.0)))
    half = v.scale(p, n, offset=-1)
    return half, v.div(0.25, half)


def sinh(v: Vec, x: str) -> str:
    """Hyperbolic sine; at most 2 ulp."""
    a = v.abs(x)
    grow, decay = _half_exponential(v, a)
    small = _odd_polynomial(v, "sinh", x)
    return v.select(v.compare("olt", a, 1.0), small, v.copysign(v.sub(grow, decay), x))


def cosh(v: Vec, x: str) -> str:
    """Hyperbolic cosine; at most 2 ulp."""
    grow, decay = _half_exponential(v, v.abs(x))
    return v.add(grow, decay)


def tanh(v: Vec, x: str) -> str:
    """Hyperbolic tangent; at most 2 ulp.

    1 - 2/(e^(2|x|) + 1) beyond 5/8, where it rounds well, up to where it is 1.
    """
    a = v.abs(x)
    p, n = split_exp(v, v.at_most(v.add(a, a), v.by_type(20.0, 44.0)))
    e = v.scalef(p, n.real) if v.wide_avx512 else v.mul(p, v.power_of_two(n.integer))
    large = v.sub(1.0, v.div(2.0, v.add(e, 1.0)))
    small = _odd_polynomial(v, "tanh", x)
    return v.copysign(v.select(v.compare("olt", a, 0.625), small, large), x)


def _tiny(v: Vec, a: str) -> str:
    """Where f(x) = x + O(x³) rounds to x."""
    return v.compare("olt", a, 2.0 ** -(v.mantissa_bits // 2 + 3))


def _huge(v: Vec, a: str) -> str:
    """Where 1 + a rounds to a, far below where a² overflows."""
    return v.compare("ogt", a, v.by_type(2.0**30, 2.0**60))


def asinh(v: Vec, x: str) -> str:
    """log(|x| + √(x² + 1)) with the sign of x; at most 2 ulp.

    As log1p(a + a²/(1 + √(a² + 1))); for huge a, log(a) + ln 2.
    """
    a = v.abs(x)
    huge = _huge(v, a)
    square = v.mul(a, a)
    root = v.sqrt(v.add(square, 1.0))
    hi, lo = v.fast_two_sum(a, v.div(square, v.add(root, 1.0)))
    hi, lo = v.select(huge, a, hi), v.select(huge, 0.0, lo)
    result = log1p_sum(v, hi, lo, v.select(huge, 1.0, 0.0))
    result = v.select(_tiny(v, a), a, result)
    return v.copysign(v.select(v.compare("ueq", a, INF), a, result), x)


def acosh(v: Vec, x: str) -> str:
    """log(x + √(x² - 1)); NaN below 1; at most 2 ulp.

    As log1p(t + √(t² + 2t)) with t = x - 1, exact near 1.
    """
    huge = _huge(v, x)
    t = v.sub(x, 1.0)
    root = v.sqrt(v.fma(t, t, v.add(t, t)))
    hi, lo = v.fast_two_sum(root, t)
    hi, lo = v.select(huge, x, hi), v.select(huge, 0.0, lo)
    result = log1p_sum(v, hi, lo, v.select(huge, 1.0, 0.0))
    result = v.select(v.compare("ult", x, 1.0), NAN, result)
    return v.select(v.compare("oeq", x, INF), x, result)


def atanh(v: Vec, x: str) -> str:
    """½·log1p(2a/(1-a)) with the sign of x; ±inf at ±1, NaN beyond; at most 2 ulp."""
    a = v.abs(x)
    double = v.add(a, a)
    d, d_low = v.fast_two_sum(1.0, v.neg(a))
    inverse = v.div(1.0, d)
    q = v.mul(double, inverse)
    p, p_low = v.two_product(q, d)
    rest = v.fnma(q, d_low, v.sub(v.sub(double, p), p_low))
    result = v.mul(log1p_sum(v, q, v.mul(rest, inverse)), 0.5)
    result = v.select(_tiny(v, a), a, result)
    result = v.select(v.compare("oeq", a, 1.0), INF, result)
    return v.copysign(v.select(v.compare("ugt", a, 1.0), NAN, result), x)
