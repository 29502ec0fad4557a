"""log, log1p and log2, and the reduction the inverse hyperbolic functions share.

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
