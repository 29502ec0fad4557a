"""sin, cos and tan for every finite input.

|x| = n·π/2 + r with |r| ≤ π/4. Up to `_threshold` π/2 is subtracted in parts (Cody & Waite 1980):
with FMA in three full-length parts, without in four, the first ones short enough that n·part is
exact. Beyond it a branch calls `argument_reduction`, exact for all inputs; in a vector without such
lanes the branch is one test. Signs are handled apart, so that -0 stays -0.
"""

from __future__ import annotations

from weft.codegen.vecmath import coefficients
from weft.codegen.vecmath.argument_reduction import reduce_large
from weft.codegen.vecmath.vec import Vec

TWO_OVER_PI = 0.6366197723675814


def _threshold(v: Vec) -> float:
    """Up to here the parts of π/2 leave r accurate, next to multiples of π/2 too."""
    if v.features.fma:
        return v.by_type(1e5, 1e8)
    return v.by_type(12800.0, 1.6e6)


def _reduce(v: Vec, a: str, with_tail: bool) -> tuple[str, str | None, str]:
    """(r, tail, n) for a ≥ 0: a = n·π/2 + r + tail; two low bits of the integer n matter."""
    n = v.round_product(a, TWO_OVER_PI)
    parts: tuple[float, ...]
    if v.features.fma:
        parts = coefficients.PI_2_DOUBLE if v.is_double else coefficients.PI_2_SINGLE
    else:
        parts = coefficients.PI_2_SHORT_DOUBLE if v.is_double else coefficients.PI_2_SHORT_SINGLE
    r, tail = (_subtract_exactly if with_tail else _subtract)(v, a, n.real, parts)
    big = v.compare("ogt", a, _threshold(v))
    types = [v.type, v.int_type] + ([v.type] if with_tail else [])

    def rare() -> list[str]:
        large_r, large_tail, large_n = reduce_large(v, a, big, _threshold(v))
        values = [v.select(big, large_r, r), v.integer_select(big, large_n, n.integer)]
        return [*values, v.select(big, large_tail, tail)] if tail else values

    def usual() -> list[str]:
        return [r, n.integer, tail] if tail else [r, n.integer]

    merged = v.function.if_(v.any(big), rare, usual, types, unlikely=True)
    return merged[0], merged[2] if with_tail else None, merged[1]


def _subtract(v: Vec, a: str, n: str, parts: tuple[float, ...]) -> tuple[str, str | None]:
    """a - n·(sum of parts), accurate to about 1 ulp."""
    if not v.features.fma:  # more parts, so more roundings
        return _subtract_exactly(v, a, n, parts)[0], None
    for part in parts:
        a = v.fnma(n, part, a)
    return a, None


def _subtract_exactly(v: Vec, a: str, n: str, parts: tuple[float, ...]) -> tuple[str, str | None]:
    """a - n·(sum of parts) as an unevaluated sum of two."""
    r, tail = v.fnma(n, parts[0], a), None
    for part in parts[1:-1]:
        p = v.mul(n, part)
        r, lost = v.two_sum(r, v.neg(p))
        if v.features.fma:  # otherwise the parts are short and the product exact
            lost = v.sub(lost, v.product_error(n, part, p))
        tail = v.add(tail, lost) if tail else lost
    assert tail is not None
    return v.two_sum(r, v.fnma(n, parts[-1], tail))


def _sin_cos(v: Vec, r: str) -> tuple[str, str]:
    """sin and cos of |r| ≤ π/4."""
    z = v.mul(r, r)
    s = v.fma(v.mul(v.approximation("sin", z), z), r, r)
    quartic = v.mul(v.mul(z, z), v.approximation("cos", z))
    return s, v.add(v.fma(z, -0.5, quartic), 1.0)


def _odd(v: Vec, n: str) -> str:
    return v.integer_compare("ne", v.integer("and", n, 1), 0)


def sin(v: Vec, x: str) -> str:
    """Sine; at most 2 ulp for all finite x."""
    r, _, n = _reduce(v, v.abs(x), False)
    s, c = _sin_cos(v, r)
    sign = v.integer("xor", v.integer("shl", n, v.bits - 2), v.to_bits(x))
    sign = v.integer("and", sign, 1 << (v.bits - 1))
    return v.flip_sign(v.select(_odd(v, n), c, s), sign)


def cos(v: Vec, x: str) -> str:
    """Cosine; at most 2 ulp for all finite x."""
    r, _, n = _reduce(v, v.abs(x), False)
    s, c = _sin_cos(v, r)
    n = v.integer("add", n, 1)  # cos(a) = sin(a + π/2)
    sign = v.integer("and", v.integer("shl", n, v.bits - 2), 1 << (v.bits - 1))
    return v.flip_sign(v.select(_odd(v, n), c, s), sign)


def tan(v: Vec, x: str) -> str:
    """Tangent; at most 2 ulp for all finite x.

    A quotient of sine and cosine (or its inverse), each with the part its rounding lost; the
    quotient is corrected by its remainder, with one division in all.
    """
    r, tail, n = _reduce(v, v.abs(x), True)
    assert tail is not None
    z = v.mul(r, r)
    cubic = v.mul(v.mul(v.approximation("sin", z), z), r)
    s, s_lost = v.fast_two_sum(r, cubic)
    rest = v.fma(z, -0.5, v.mul(v.mul(z, z), v.approximation("cos", z)))
    c, c_lost = v.fast_two_sum(1.0, rest)
    s_lost = v.fma(c, tail, s_lost)
    c_lost = v.fnma(s, tail, c_lost)
    odd = _odd(v, n)
    q = divide_sums(
        v, v.select(odd, c, s), v.select(odd, c_lost, s_lost),
        v.select(odd, s, c), v.select(odd, s_lost, c_lost),
    )  # fmt: skip
    # -1/tan in odd quadrants
    sign = v.integer("xor", v.integer("shl", n, v.bits - 1), v.to_bits(x))
    return v.flip_sign(q, v.integer("and", sign, 1 << (v.bits - 1)))


def divide_sums(v: Vec, a: str, a_low: str, b: str, b_low: str) -> str:
    """(a + a_low) / (b + b_low), almost correctly rounded; a/b must neither over- nor underflow."""
    q, correction = divide_parts(v, a, a_low, b, b_low, v.div(1.0, b))
    return v.add(q, correction)


def divide_parts(v: Vec, a: str, a_low: str, b: str, b_low: str, inverse: str) -> tuple[str, str]:
    """The quotient of `divide_sums` as an unevaluated sum, given 1/b rounded."""
    q = v.mul(a, inverse)  # within two ulp; its remainder corrects it
    p, p_low = v.two_product(q, b)
    rest = v.sub(v.sub(a, p), p_low)
    rest = v.add(rest, v.fnma(q, b_low, a_low))
    if not v.features.fma:
        # Split products of tiny numbers underflow; q has to do there.
        tiny = v.smallest_normal * 2.0 ** (2 * v.mantissa_bits + 2)
        rest = v.select(v.compare("olt", v.abs(a), tiny), 0.0, rest)
    return q, v.mul(rest, inverse)
