"""pow, integer powers, cbrt and 1/√x.

pow is 2^(y·log2 x). Its error is that of the logarithm times y·log2 x, up to 1075, so the logarithm
needs 11 bits more than the result: pow in float computes in double; pow in double keeps the
logarithm as a sum of two doubles (Dekker arithmetic). Zeros, infinities, NaN and negative bases are
put right in one rare branch.
"""

from __future__ import annotations

from weft.codegen.vecmath.logarithm import decompose, log2_in_double, log2_sum
from weft.codegen.vecmath.rounding import trunc
from weft.codegen.vecmath.vec import Vec

INF = float("inf")
NAN = float("nan")


def pow_(v: Vec, x: str, y: str) -> str:
    """x^y as C's pow defines it for every pair; at most 1 ulp in float, 2 in double."""
    a = v.abs(x)
    result = (_pow_double if v.is_double else _pow_single)(v, a, y)
    usual = v.both(v.compare("ogt", x, 0.0), v.compare("olt", x, INF))
    unusual = v.invert(v.both(usual, v.is_finite(y)))
    [result] = v.function.if_(
        v.any(unusual),
        lambda: [_pow_special(v, x, y, a, result)],
        lambda: [result],
        [v.type],
        unlikely=True,
    )
    return result


def _pow_special(v: Vec, x: str, y: str, a: str, result: str) -> str:
    """x^y in all lanes, given |x|^y for the finite and non-zero ones."""
    negative_y = v.compare("olt", y, 0.0)
    result = v.select(v.compare("oeq", a, 0.0), v.select(negative_y, INF, 0.0), result)
    result = v.select(v.compare("oeq", a, INF), v.select(negative_y, 0.0, INF), result)
    # y = ±inf: grows when |x| > 1 and y > 0 or both the other way round.
    grows = v.function.i(f"xor {v.bool_type} {v.compare('ogt', a, 1.0)}, {negative_y}")
    limit = v.select(v.compare("oeq", a, 1.0), 1.0, v.select(grows, INF, 0.0))
    result = v.select(v.compare("oeq", v.abs(y), INF), limit, result)
    result = v.select(v.compare("uno", x, y), NAN, result)
    whole = v.compare("oeq", trunc(v, y), y)
    half = v.mul(y, 0.5)
    # Infinite y counts as an even integer.
    odd = v.both(whole, v.compare("one", trunc(v, half), half))
    result = v.select(odd, v.flip_sign(result, v.sign_bit(x)), result)
    finite_negative = v.both(v.compare("olt", x, 0.0), v.compare("olt", a, INF))
    result = v.select(v.both(finite_negative, v.invert(whole)), NAN, result)
    one = v.either(v.compare("oeq", x, 1.0), v.compare("oeq", y, 0.0))
    return v.select(one, 1.0, result)


def _pow_single(v: Vec, a: str, y: str) -> str:
    """a^y for finite a > 0, through double."""
    w = v.like("double")
    x, y = v.widen(a), v.widen(y)
    log2 = log2_in_double(w, x)
    p = w.clamp(w.mul(y, log2), -200.0, 200.0)
    n = w.round_product(p, 1.0)
    r = w.approximation("exp2_single", w.sub(p, n.real))
    return v.narrow_from_double(w.mul(r, w.power_of_two(n.integer)))


def _pow_double(v: Vec, a: str, y: str) -> str:
    """a^y for finite a > 0."""
    hi, lo = log2_sum(v, a)
    y = v.clamp(y, -(2.0**66), 2.0**66)  # |log2 a| ≥ 2^-53 unless a = 1: the result is the same
    p, p_low = v.two_product(y, hi)
    p_low = v.fma(y, lo, p_low)
    bounded = v.clamp(p, -1100.0, 1100.0)
    p_low = v.select(v.compare("one", p, bounded), 0.0, p_low)
    n = v.round_product(bounded, 1.0)
    f = v.add(v.sub(bounded, n.real), p_low)
    return v.scale(v.fma(v.approximation("exp2", f), f, 1.0), n)


def integer_power(v: Vec, x: str, n: int) -> str:
    """x^n for a fixed integer n by squaring; 1 for n = 0. Each product rounds once."""
    if n == 0:
        return v.const(1.0)
    result, square, left = None, x, abs(n)
    while left:
        if left & 1:
            result = square if result is None else v.mul(result, square)
        left >>= 1
        if left:
            square = v.mul(square, square)
    assert result is not None
    return v.div(1.0, result) if n < 0 else result


def rsqrt(v: Vec, x: str) -> str:
    """1/√x: two roundings, at most 1 ulp."""
    return v.div(1.0, v.sqrt(x))


def cbrt(v: Vec, x: str) -> str:
    """Cube root; at most 1 ulp.

    |x| = m · 2^r · 8^q with r in {-1, 0, 1}. A polynomial gives m^(-1/3) to a few digits, one
    third-order step makes it y, and c = m·2^r·y² gets a Newton correction with exact c³.
    """
    a = v.abs(x)
    k = v.mantissa_bits + 2
    small = v.compare("olt", a, v.smallest_normal)
    m, e = decompose(v, v.select(small, v.mul(a, 2.0**k), a))
    e = v.sub(e, v.select(small, float(k), 0.0))
    q = v.round_product(e, 1.0 / 3.0)
    r = v.fma(q.real, -3.0, e)
    up, down = v.compare("ogt", r, 0.5), v.compare("olt", r, -0.5)
    y = v.approximation("inverse_cbrt", m)
    y = v.mul(y, v.select(up, 2.0 ** (-1 / 3), v.select(down, 2.0 ** (1 / 3), 1.0)))
    m = v.mul(m, v.select(up, 2.0, v.select(down, 0.5, 1.0)))
    h = v.fnma(v.mul(m, y), v.mul(y, y), 1.0)
    y = v.fma(v.mul(y, h), v.fma(h, 2.0 / 9.0, 1.0 / 3.0), y)
    square = v.mul(y, y)
    c = v.mul(m, square)
    c2, c2_low = v.two_product(c, c)
    c3, c3_low = v.two_product(c2, c)
    rest = v.fnma(c2_low, c, v.sub(v.sub(m, c3), c3_low))
    c = v.fma(rest, v.mul(square, 1.0 / 3.0), c)
    result = v.mul(c, v.power_of_two(q.integer))
    ordinary = v.both(v.compare("ogt", a, 0.0), v.compare("olt", a, INF))
    return v.select(ordinary, v.copysign(result, x), x)
