"""erf, erfc and erf_inv.

erfc(x) = e^(-x²) · Q(t)/(x + 2) with t = (x - 2)/(x + 2): the mapped function is almost constant,
so one polynomial serves up to where erfc underflows (Shepherd & Laframboise 1981). x² is formed
with its rounding error, which e^(-x²) would multiply.
"""

from __future__ import annotations

from weft.codegen.vecmath.exponential import split_exp, split_expm1
from weft.codegen.vecmath.logarithm import log
from weft.codegen.vecmath.trigonometric import divide_parts
from weft.codegen.vecmath.vec import Rounded, Vec

INF = float("inf")
ERFC_CENTRE = 0.375  # t is counted from here, so that for large x the first term dominates


def erf(v: Vec, x: str) -> str:
    """Error function; at most 2 ulp.

    x + x·P(x²) up to 1; beyond, 1 - erfc(|x|), of which a few digits less are needed.
    """
    a = v.abs(x)
    z = v.mul(x, x)
    small = v.fma(v.approximation("erf", z), x, x)
    if v.is_double:
        bounded = v.at_most(a, 6.0)
        inverse = v.div(1.0, v.add(bounded, 2.0))
        t = v.sub(v.mul(v.sub(bounded, 2.0), inverse), ERFC_CENTRE)
        p, n = split_exp(v, v.neg(v.mul(bounded, bounded)))
        p = v.mul(p, v.mul(v.approximation("erfc", t), inverse))
    else:
        exponent = v.approximation("log_erfc", v.sub(v.at_most(a, 4.0), 1.0))
        p, n = split_exp(v, exponent)
    tail = v.scalef(p, n.real) if v.wide_avx512 else v.mul(p, v.power_of_two(n.integer))
    large = v.copysign(v.sub(1.0, tail), x)
    return v.select(v.compare("ogt", a, 1.0), large, small)


def _split_erfc(v: Vec, a: str) -> tuple[str, Rounded, str]:
    """(p, n, s): erfc(a) = p · 2^n = s · e^(-a²), for a from 0.8 to the bound of the fit."""
    d, d_low = v.two_sum(a, 2.0)
    inverse, zero = v.div(1.0, d), v.const(0.0)
    t = v.add(*divide_parts(v, v.sub(a, 2.0), zero, d, d_low, inverse))
    t = v.sub(t, ERFC_CENTRE)
    # The last step of the polynomial with its errors, which would be the largest.
    first, *others = v.coefficients("erfc")
    product, low = v.two_product(v.polynomial(t, others), t)
    head, error = v.fast_two_sum(first, product)
    scaled, rest = divide_parts(v, head, v.add(low, error), d, d_low, inverse)
    square, low = v.two_product(a, a)
    q, n = split_expm1(v, v.neg(square), v.neg(low))
    rest = v.fma(rest, q, rest)
    return v.add(scaled, v.fma(scaled, q, rest)), n, scaled


def erfc(v: Vec, x: str) -> str:
    """1 - erf(x), accurate in its tail; at most 2 ulp."""
    a = v.abs(x)
    p, n, _ = _split_erfc(v, v.at_most(a, v.by_type(10.2, 27.4)))
    tail = v.scale(p, n)
    large = v.select(v.compare("olt", x, 0.0), v.sub(2.0, tail), tail)
    # 1 - x - x·P(x²), the first difference with its error
    head, rest = v.fast_two_sum(1.0, v.neg(x))
    small = v.add(head, v.fnma(v.approximation("erf", v.mul(x, x)), x, rest))
    return v.select(v.compare("ult", a, 0.8), small, large)


def erf_inv(v: Vec, x: str) -> str:
    """Inverse error function; ±inf at ±1, NaN beyond; at most 2 ulp.

    x·P(x²) up to 3/4; beyond, w·(7/8 + Q(w)) with w = √(-log(1 - |x|)), where 1 - |x| is exact. In
    double Q gives nine digits, and a Newton step on erfc the others.
    """
    a = v.abs(x)
    small = v.mul(v.approximation("erf_inv", v.mul(x, x)), x)
    tail = v.sub(1.0, a)
    power = v.neg(log(v, tail))
    w = v.sqrt(power)
    q = v.mul(v.approximation("erf_inv_tail", v.sub(w, v.by_type(2.6, 3.6))), w)
    if v.is_double:
        large = _erfc_newton(v, v.fma(w, 0.875, q), tail)
    else:
        # What rounding the root lost, times dy/dw, which is close to 1.
        square, low = v.two_product(w, w)
        lost = v.sub(v.sub(power, square), low)
        rest = v.add(q, v.div(v.mul(lost, 0.5), w))
        head, error = v.fast_two_sum(w, v.mul(w, -0.125))
        large = v.add(head, v.add(error, rest))
    large = v.copysign(v.select(v.compare("oeq", a, 1.0), INF, large), x)
    return v.select(v.compare("ogt", a, 0.75), large, small)


def _erfc_newton(v: Vec, y: str, target: str) -> str:
    """y + (erfc(y) - target) / (2/√π · e^(-y²)), with e^(-y²) taken from erfc's own factors."""
    p, n, scaled = _split_erfc(v, v.at_most(y, 6.0))
    half_root_pi = 0.886226925452758
    value = v.mul(p, v.power_of_two(n.integer))
    step = v.mul(v.div(v.sub(value, target), value), v.mul(scaled, half_root_pi))
    return v.add(y, step)
