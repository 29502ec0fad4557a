"""asin, acos, atan and atan2.

asin: x + x³·P(x²) up to 1/2; above, π/2 - 2·asin(√((1-x)/2)), where (1-x)/2 is exact.
atan2: the quotient of the smaller by the larger of |y| and |x| is reduced to |q| ≤ tan(π/8) by
atan(n/d) = π/4 + atan((n-d)/(n+d)); the multiples of π/4 are added as a sum of two parts.
"""

from __future__ import annotations

from weft.codegen.vecmath import coefficients
from weft.codegen.vecmath.trigonometric import divide_sums
from weft.codegen.vecmath.vec import Vec

TAN_PI_8 = 0.41421356237309503
INF = float("inf")


def _half_pi(v: Vec) -> tuple[float, float]:
    table = coefficients.PI_2_DOUBLE if v.is_double else coefficients.PI_2_SINGLE
    return table[0], table[1]


def _arcsine_parts(v: Vec, x: str) -> tuple[str, str, str, str]:
    """(big, a, s, w): asin(a) = s + w for a = |x| ≤ 1/2; else asin(√((1-a)/2)) = s + w."""
    a = v.abs(x)
    big = v.compare("ogt", a, 0.5)
    half = v.mul(v.sub(1.0, a), 0.5)
    z = v.select(big, half, v.mul(a, a))
    root = v.sqrt(half)
    square, low = v.two_product(root, root)
    lost = v.sub(v.sub(half, square), low)  # of the root, times twice the root
    lost = v.div(v.mul(lost, 0.5), v.at_least(root, v.smallest_normal))
    s = v.select(big, root, a)
    w = v.mul(v.mul(v.approximation("asin", z), z), s)
    return big, a, s, v.select(big, v.add(w, lost), w)


def asin(v: Vec, x: str) -> str:
    """Arcsine; NaN outside [-1, 1]; at most 1.5 ulp."""
    hi, lo = _half_pi(v)
    big, _, s, w = _arcsine_parts(v, x)
    head, rest = v.fast_two_sum(hi, v.mul(s, -2.0))
    large = v.add(head, v.add(rest, v.fma(w, -2.0, lo)))
    return v.copysign(v.select(big, large, v.add(s, w)), x)


def acos(v: Vec, x: str) -> str:
    """Arccosine; NaN outside [-1, 1]; at most 1.5 ulp.

    2·asin(√((1-x)/2)) near 1, π minus it near -1, π/2 - asin(x) between: all are
    base ∓ (head + rest) with base 0, π and π/2.
    """
    hi, lo = _half_pi(v)
    big, _, s, w = _arcsine_parts(v, x)
    negative = v.compare("olt", x, 0.0)
    double_s, double_w = v.add(s, s), v.add(w, w)
    amount = v.select(big, double_s, s)
    amount_low = v.select(big, double_w, w)
    # The amount is added where acos grows with it: left of 0 in the middle, right of 1/2.
    minus = v.select(negative, -1.0, 1.0)
    grows = v.select(big, minus, v.neg(minus))
    base = v.select(big, v.select(negative, 2.0 * hi, 0.0), hi)
    base_low = v.select(big, v.select(negative, 2.0 * lo, 0.0), lo)
    head, rest = v.fast_two_sum(base, v.mul(amount, grows))
    return v.add(head, v.add(rest, v.fma(amount_low, grows, base_low)))


def _angle(v: Vec, n: str, d: str, flip: str | None) -> str:
    """atan(n/d), or π minus it in the lanes `flip`; n, d ≥ 0 of moderate size, not both 0."""
    hi, lo = _half_pi(v)
    steep = v.compare("ogt", n, d)
    small, large = v.select(steep, d, n), v.select(steep, n, d)
    middle = v.compare("ogt", small, v.mul(large, TAN_PI_8))
    difference, difference_low = v.fast_two_sum(v.neg(large), small)
    total, total_low = v.fast_two_sum(large, small)
    q = divide_sums(
        v,
        v.select(middle, difference, small), v.select(middle, difference_low, 0.0),
        v.select(middle, total, large), v.select(middle, total_low, 0.0),
    )  # fmt: skip
    z = v.mul(q, q)
    w = v.mul(v.mul(v.approximation("atan", z), z), q)
    base, low = v.select(middle, hi / 2, 0.0), v.select(middle, lo / 2, 0.0)
    base = v.select(steep, v.sub(hi, base), base)  # π/2 - π/4 is exact
    low = v.select(steep, v.sub(lo, low), low)
    turn = steep
    if flip is not None:
        flipped, error = v.fast_two_sum(2.0 * hi, v.neg(base))
        low = v.select(flip, v.add(error, v.sub(2.0 * lo, low)), low)
        base = v.select(flip, flipped, base)
        turn = v.function.i(f"xor {v.bool_type} {steep}, {flip}")
    q, w = v.select(turn, v.neg(q), q), v.select(turn, v.neg(w), w)
    head, rest = v.fast_two_sum(base, q)
    return v.add(head, v.add(v.add(rest, low), w))


def atan(v: Vec, x: str) -> str:
    """Arctangent; at most 1.5 ulp."""
    a = v.at_most(v.abs(x), v.by_type(2.0**60, 2.0**900))
    return v.copysign(_angle(v, a, v.const(1.0), None), x)


def atan2(v: Vec, y: str, x: str) -> str:
    """The angle of the point (x, y) in [-π, π], signed zeros and infinities as in C; 2 ulp."""
    n, d = v.abs(y), v.abs(x)
    either = v.either(v.compare("oeq", n, INF), v.compare("oeq", d, INF))
    # With an infinity only who is infinite counts; 0·NaN keeps the NaN.
    n_limit = v.select(v.compare("oeq", n, INF), 1.0, v.mul(n, 0.0))
    d_limit = v.select(v.compare("oeq", d, INF), 1.0, v.mul(d, 0.0))
    n, d = v.select(either, n_limit, n), v.select(either, d_limit, d)
    origin = v.both(v.compare("oeq", n, 0.0), v.compare("oeq", d, 0.0))
    d = v.select(origin, 1.0, d)
    far = v.by_type(60.0, 900.0)
    shift = v.by_type(60.0, 200.0)
    larger = v.select(v.compare("ogt", n, d), n, d)
    scale = v.select(v.compare("ogt", larger, 2.0**far), 2.0**-shift, 1.0)
    scale = v.select(v.compare("olt", larger, 2.0**-far), 2.0**shift, scale)
    left = v.integer_compare("slt", v.to_bits(x), 0)
    return v.copysign(_angle(v, v.mul(n, scale), v.mul(d, scale), left), y)
