"""Modified Bessel functions of the first kind, scaled so that they do not overflow.

Polynomials of x up to 8 and of 1/x beyond (as in Cephes, S. L. Moshier, 1989).
"""

from __future__ import annotations

from weft.lax import elementwise as ew
from weft.lax.special.composed import Function, Value, composed, polynomial, public, table
from weft.numpy import where


def _scaled(x: Value, near: str, far: str, factor: Value) -> Value:
    t = table(x)
    small = where(x <= 8.0, x, 8.0)
    large = where(x <= 8.0, 8.0, x)
    around = factor * polynomial(small * 0.25 - 1.0, t[near])
    return where(x <= 8.0, around, polynomial(16.0 / large - 1.0, t[far]) * ew.rsqrt(large))


def _i0e(x: Value) -> Value:
    size = abs(x)
    return where(x != x, x, _scaled(size, "i0e", "i0e_tail", ew.exp(size * 0.0)))


def _i1e(x: Value) -> Value:
    size = abs(x)
    value = _scaled(size, "i1e", "i1e_tail", where(size <= 8.0, size, 8.0))
    return where((x == 0.0) | (x != x), x, where(x < 0.0, -value, value))


bessel_i0e_p = composed(
    "bessel_i0e",
    _i0e,
    jvp=(lambda t, ans, x: t * (bessel_i1e(x) - ew.sign(x) * ans),),
)


def _i1e_slope(x: Value, ans: Value) -> Value:
    """exp(-|x|) (I₀ - I₁/x) - sign(x) ans; 1/2 at 0."""
    zero = x == 0.0
    divisor = where(zero, 1.0, x)
    return where(zero, 0.5, bessel_i0e(x) - ans * (ew.sign(x) + 1.0 / divisor))


bessel_i1e_p = composed("bessel_i1e", _i1e, jvp=(lambda t, ans, x: t * _i1e_slope(x, ans),))

bessel_i0e: Function = public(
    "bessel_i0e",
    bessel_i0e_p,
    """exp(-|x|) I₀(x) with the modified Bessel function of order 0, element by element.""",
)
bessel_i1e: Function = public(
    "bessel_i1e",
    bessel_i1e_p,
    """exp(-|x|) I₁(x) with the modified Bessel function of order 1, element by element.""",
)
