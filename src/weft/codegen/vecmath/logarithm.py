"""log, log1p, log2 and log10, and the reduction the inverse hyperbolic functions share.

x = m · 2^e with m in [3/4, 3/2), so that e = 0 around 1 and log(x) = e·ln 2 + log(1 + t) with
t = m - 1 has no cancellation there. log(1 + t) = t - t²/2 + t³·P(t). AVX-512 splits m and e in one
instruction each, special values included; elsewhere it is integer arithmetic on the bits.
"""

from __future__ import annotations

from weft.codegen.vecmath import coefficients
from weft.codegen.vecmath.vec import Vec

INF = float("inf")


def decompose(v: Vec, x: str) -> tuple[str, str]:
    """(m, e): x = m · 2^e, m in [3/4, 3/2), e a float. Right for normal x only (AVX-512: all)."""
    if v.wide_avx512:
        m = v.get_mantissa(x)
        e = v.get_exponent(x)
        return m, v.select(v.compare("olt", m, 1.0), v.add(e, 1.0), e)
    one = v.bias << v.mantissa_bits
    three_quarters = one - (1 << (v.mantissa_bits - 1))
    bits = v.to_bits(x)
    # The biased exponent, counted from 3/4 · 2^k on; positive, so a logical shift will do.
    biased = v.integer("lshr", v.integer("add", bits, one - three_quarters), v.mantissa_bits)
    shifted = v.integer("shl", biased, v.mantissa_bits)
    m = v.from_bits(v.integer("add", v.integer("sub", bits, shifted), one))
    return m, v.sub(v.small_integer_to_float(biased), float(v.bias))


def log_of_parts(v: Vec, t: str, e: str | None, tail: str | None = None) -> str:
    """log(1 + t + tail) + e·ln 2 for t in [-1/4, 1/2] and a small `tail`."""
    hi, lo = coefficients.LN2_DOUBLE if v.is_double else coefficients.LN2_SINGLE
    t2 = v.mul(t, t)
    rest = v.mul(v.mul(v.approximation("log", t), t), t2)
    if e is not None:
        rest = v.fma(e, lo, rest)
    if tail is not None:
        rest = v.add(rest, tail)
    rest = v.fma(t2, -0.5, rest)
    result = v.add(t, rest)
    return result if e is None else v.fma(e, hi, result)


def _normal(v: Vec, x: str) -> tuple[str, float, str | None]:
    """(x·2^k in subnormal lanes, k, which lanes those are)."""
    if v.wide_avx512:
        return x, 0.0, None
    k = v.mantissa_bits + 2
    small = v.compare("olt", x, v.smallest_normal)
    return v.select(small, v.mul(x, 2.0**k), x), float(k), small


def _special(v: Vec, x: str, result: str) -> str:
    """0 → -inf, negative → NaN, +inf and NaN → themselves."""
    result = v.select(v.compare("oeq", x, 0.0), -INF, result)
    result = v.select(v.compare("olt", x, 0.0), float("nan"), result)
    return v.select(v.compare("ueq", x, INF), x, result)


def log(v: Vec, x: str) -> str:
    """Natural logarithm; at most 1.5 ulp."""
    normal, k, small = _normal(v, x)
    m, e = decompose(v, normal)
    if small is not None:
        e = v.select(small, v.sub(e, k), e)
    result = log_of_parts(v, v.sub(m, 1.0), e)
    # getmant and getexp give log its special values too.
    return result if v.wide_avx512 else _special(v, x, result)


def log1p_sum(v: Vec, hi: str, lo: str | None = None, extra: str | None = None) -> str:
    """log(1 + hi + lo) + extra·ln 2 for hi > -1 and |lo| within a few ulp of hi.

    1 + hi is formed with its rounding error, which joins lo; both are scaled by the exponent.
    """
    u, error = v.two_sum(hi, 1.0)
    if lo is not None:
        error = v.add(error, lo)
    m, e = decompose(v, u)
    if v.wide_avx512:
        error = v.scalef(error, v.neg(e))
    else:
        # Half the error times 2^(1-e), which is 0 for the largest u: the error is nothing there.
        three_quarters = (v.bias << v.mantissa_bits) - (1 << (v.mantissa_bits - 1))
        one = v.bias << v.mantissa_bits
        biased = v.integer("add", v.to_bits(u), one - three_quarters)
        exponent = v.integer(
            "and", biased, ((1 << (v.bits - 1 - v.mantissa_bits)) - 1) << v.mantissa_bits
        )
        twice = v.from_bits(v.integer("sub", 2 * one + (1 << v.mantissa_bits), exponent))
        error = v.mul(v.mul(error, 0.5), twice)
    t, tail = v.fast_two_sum(v.sub(m, 1.0), error)
    return log_of_parts(v, t, v.add(e, extra) if extra else e, tail)


def log1p(v: Vec, x: str) -> str:
    """log(1 + x); at most 1.5 ulp."""
    result = log1p_sum(v, x)
    result = v.select(v.compare("olt", v.abs(x), 2.0 ** -(v.mantissa_bits + 2)), x, result)
    result = v.select(v.compare("oeq", x, -1.0), -INF, result)
    result = v.select(v.compare("olt", x, -1.0), float("nan"), result)
    return v.select(v.compare("ueq", x, INF), x, result)


def log2(v: Vec, x: str) -> str:
    """Logarithm to base 2; at most 2 ulp, exact for powers of two.

    log(1 + t)/ln 2 with the quotient's leading part kept apart from its rounding error.
    """
    normal, k, small = _normal(v, x)
    m, e = decompose(v, normal)
    if small is not None:
        e = v.select(small, v.sub(e, k), e)
    t = v.sub(m, 1.0)
    t2 = v.mul(t, t)
    rest = v.fma(t2, -0.5, v.mul(v.mul(v.approximation("log", t), t), t2))
    hi, lo = v.fast_two_sum(t, rest)
    inverse = coefficients.LOG2_E_DOUBLE if v.is_double else coefficients.LOG2_E_SINGLE
    p, error = v.two_product(hi, inverse[0])
    low = v.fma(hi, inverse[1], v.fma(lo, inverse[0], error))
    total, remainder = v.fast_two_sum(e, p)
    return _special(v, x, v.add(total, v.add(remainder, low)))


def log10(v: Vec, x: str) -> str:
    """Logarithm to base 10; at most 1 ulp, exact for powers of ten.

    log2(x)·log10(2): in double for float32, with sums of two for float64.
    """
    if v.is_double:
        hi, lo = log2_sum(v, x)
        hi, lo = multiply_sums(v, hi, lo, *map(v.const, coefficients.LOG10_2_DOUBLE))
        return _special(v, x, v.add(hi, lo))
    w = v.like("double")
    wide = log2_in_double(w, v.widen(x))
    result = v.narrow_from_double(w.mul(wide, coefficients.LOG10_2_DOUBLE[0]))
    return _special(v, x, result)


def log2_in_double(w: Vec, x: str) -> str:
    """log2(x) to about 2^-40 in double, for finite x > 0 that are normal there.

    With s = (m-1)/(m+1) and m in [√½, √2): log2 x = e + s·P(s²).
    """
    one = w.bias << 52
    bits = w.to_bits(x)
    offset = one - 0x3FE6A09E667F3BCD  # so that m is in [√½, √2)
    biased = w.integer("lshr", w.integer("add", bits, offset), 52)
    shifted = w.integer("shl", biased, 52)
    m = w.from_bits(w.integer("add", w.integer("sub", bits, shifted), one))
    e = w.sub(w.small_integer_to_float(biased), 1023.0)
    s = w.div(w.sub(m, 1.0), w.add(m, 1.0))
    return w.fma(w.approximation("log2_single", w.mul(s, s)), s, e)


def log2_sum(v: Vec, a: str) -> tuple[str, str]:
    """log2(a) = hi + lo to about 2^-67, for finite a > 0 in double.

    With s = (m-1)/(m+1): log m = 2s + s³·(2/3 + s²·P(s²)); s, s² and the product are sums of two.
    """
    k = 54.0
    small = v.compare("olt", a, v.smallest_normal)
    a = v.select(small, v.mul(a, 2.0**k), a)
    m, e = decompose(v, a)
    # From [3/4, 3/2) to [√½, √2): a shorter series.
    above = v.compare("ogt", m, 1.4142135623730951)
    m = v.select(above, v.mul(m, 0.5), m)
    e = v.add(e, v.select(above, 1.0, 0.0))
    e = v.sub(e, v.select(small, k, 0.0))
    numerator = v.sub(m, 1.0)
    d, d_low = v.two_sum(m, 1.0)
    inverse = v.div(1.0, d)
    s = v.mul(numerator, inverse)
    p, p_low = v.two_product(s, d)
    rest = v.sub(v.sub(numerator, p), p_low)
    s_low = v.mul(v.fnma(s, d_low, rest), inverse)
    z, z_low = v.two_product(s, s)
    z_low = v.fma(v.add(s, s), s_low, z_low)
    third = 2.0 / 3.0
    third_low = 3.700743415417188e-17  # 2/3 - third
    c, c_low = v.fast_two_sum(third, v.mul(v.approximation("log_tail", z), z))
    c_low = v.add(c_low, third_low)
    c, c_low = multiply_sums(v, c, c_low, z, z_low)
    c, c_low = multiply_sums(v, c, c_low, s, s_low)
    log, log_low = v.fast_two_sum(v.add(s, s), c)
    log_low = v.add(log_low, v.fma(s_low, 2.0, c_low))
    log, log_low = multiply_sums(v, log, log_low, *map(v.const, coefficients.LOG2_E_DOUBLE))
    hi, lo = v.fast_two_sum(e, log)
    return v.fast_two_sum(hi, v.add(lo, log_low))


def multiply_sums(v: Vec, a: str, a_low: str, b: str, b_low: str) -> tuple[str, str]:
    """(a + a_low)·(b + b_low) as such a sum."""
    p, error = v.two_product(a, b)
    return p, v.add(error, v.fma(a, b_low, v.mul(a_low, b)))
