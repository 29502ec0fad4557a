"""Hypergeometric functions of real numbers, by series and the transformations that make them short.

Formula numbers are those of the NIST Digital Library of Mathematical Functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from weft.core.primitive import Primitive
from weft.lax import elementwise as ew
from weft.lax.special.composed import Value, composed, epsilon, not_differentiable
from weft.lax.special.gamma import lgamma
from weft.lax.special.loops import State, iterate, scalar_by_scalar
from weft.numpy import where
from weft.numpy._common import ArrayLike, promote_and_broadcast
from weft.transforms.api import jvp

#: Where the asymptotic series of Kummer's function is short.
FAR = 100.0


def _series(ratio: Callable[[Value], Value], like: Value, enabled: Value) -> Value:
    """1 + t1 + t2 + …, where ``t_n = t_(n-1) ratio(n - 1)``."""
    half = 0.5 * epsilon(like)

    def step(n: Value, state: State) -> State:
        term, total = state
        term = term * ratio(n - 1.0)
        return term, total + term

    def going(state: State) -> Value:
        term, total = state
        return abs(term) > half * abs(total)

    one = ew.exp(like * 0.0)
    return iterate((one, one), step, going, enabled)[1]


def _whole(x: Value) -> Value:
    """Whether x is 0 or a negative integer: a pole of the gamma function."""
    return (x <= 0.0) & (x == ew.round(x))


def _sign_of_gamma(x: Value) -> Value:
    odd = ew.floor(x) - 2.0 * ew.floor(0.5 * ew.floor(x)) != 0.0
    return where((x < 0.0) & odd, -1.0, 1.0)


def _gamma_ratio(numerators: list[Value], denominators: list[Value]) -> Value:
    """A quotient of products of gamma functions; 0 where a denominator has a pole."""
    log, sign, zero = numerators[0] * 0.0, 1.0 + numerators[0] * 0.0, False
    for x, way in [*((n, 1.0) for n in numerators), *((d, -1.0) for d in denominators)]:
        pole = _whole(x)
        safe = where(pole, 1.0, x)
        log, sign = log + way * lgamma(safe), sign * _sign_of_gamma(safe)
        if way < 0:
            zero = zero | pole
    return where(zero, 0.0, sign * ew.exp(log))


# ---------------------------------------------------------------- Kummer's function


def _kummer(a: Value, b: Value, x: Value, enabled: Value) -> Value:
    return _series(lambda k: (a + k) / (b + k) * x / (k + 1.0), x, enabled)


def _asymptotic(p: Value, q: Value, size: Value, enabled: Value) -> Value:
    """Σ (p)_k (q)_k / k! size^-k, as far as it gets smaller."""
    half = 0.5 * epsilon(size)

    def step(n: Value, state: State) -> State:
        term, total, _ = state
        following = term * (p + n - 1.0) * (q + n - 1.0) / (n * size)
        return following, total + following, abs(following) < abs(term)

    def going(state: Any) -> Value:
        term, total, falling = state
        return falling & (abs(term) > half * abs(total))

    one = ew.exp(size * 0.0)
    return iterate((one, one, one > 0.0), step, going, enabled)[1]


def _hyp1f1(a: Value, b: Value, x: Value) -> Value:
    finite = (abs(x) < math.inf) & (abs(a) < math.inf) & (abs(b) < math.inf)
    good = finite & ~_whole(b)
    a1, b1, x1 = where(good, a, 1.0), where(good, b, 1.0), where(good, x, 0.0)
    # A polynomial; the exponential times one; Kummer's transformation (13.2.39) for negative x.
    polynomial, other = _whole(a1), _whole(b1 - a1)
    turned = ~polynomial & (other | (x1 < 0.0))
    p, z = where(turned, b1 - a1, a1), where(turned, -x1, x1)
    far = ~polynomial & ~other & (abs(x1) > FAR)
    near = _kummer(p, b1, where(far, 0.0, z), good & ~far)
    near = where(turned, ew.exp(x1), 1.0) * near
    # 13.7.2; the exponential has gone where x is negative.
    size = where(far, abs(x1), 1.0)
    tail = _asymptotic(b1 - p, 1.0 - p, size, good & far)
    grown = ew.exp(where(turned, 0.0, size) + (p - b1) * ew.log(size))
    distant = _gamma_ratio([b1], [p]) * grown * tail
    value = where(far, distant, near)
    pole = where(a == 0.0, 1.0, math.inf)
    return where(good, value, where(_whole(b) & finite, pole, math.nan))


def _slope(fun: Callable[..., Value], place: int) -> Callable[..., Value]:
    """The derivative of a function of scalars by one of them, carried through its loops."""

    def derivative(*xs: Value) -> Value:
        def along(x: Value) -> Value:
            return fun(*xs[:place], x, *xs[place + 1 :])

        return jvp(along, (xs[place],), (ew.exp(xs[place] * 0.0),))[1]

    return derivative


def _parameter_terms(name: str, fun: Callable[..., Value], count: int) -> list[Any]:
    """Terms of the derivative by parameters, as functions of their own."""
    total = count + 1

    def term(place: int) -> Any:
        slope = composed(
            f"{name}_by_{place}",
            scalar_by_scalar(_slope(fun, place)),
            jvp=[not_differentiable(f"{name}_by_{place}", f"operand {i}") for i in range(total)],
            loops=True,
        )
        return lambda t, ans, *xs: t * slope.bind(*xs)

    return [term(place) for place in range(count)]


hyp1f1_p: Primitive = composed(
    "hyp1f1",
    scalar_by_scalar(_hyp1f1),
    jvp=(
        *_parameter_terms("hyp1f1", _hyp1f1, 2),
        lambda t, ans, a, b, x: t * (a / b) * hyp1f1_p.bind(a + 1.0, b + 1.0, x),
    ),
    loops=True,
)


def hyp1f1(a: ArrayLike, b: ArrayLike, x: ArrayLike) -> Value:
    """Kummer's function, Σ (a)_k / (b)_k x^k / k!, of real numbers that broadcast.

    It is inf where `b` is 0 or a negative integer (1 if `a` is 0), and differentiable in all three;
    in the parameters once.

    >>> np.round(weft.scipy.special.hyp1f1(1.0, 2.0, np.asarray([1.0])), 4)  # e - 1
    Array([1.7183], dtype=float32)
    """
    return hyp1f1_p.bind(*promote_and_broadcast("scipy.special.hyp1f1", a, b, x, inexact=True))


# ---------------------------------------------------------------- Gauss's function


def _gauss(a: Value, b: Value, c: Value, x: Value, enabled: Value) -> Value:
    return _series(lambda k: (a + k) * (b + k) / (c + k) * x / (k + 1.0), x, enabled)


def _unit(a: Value, b: Value, c: Value, x: Value, enabled: Value) -> Value:
    """For x from 0 to 1, and no parameter that makes a polynomial."""
    d = c - a - b
    apart = abs(d - ew.round(d))
    # Around 1 by 15.8.4, which has no value where c - a - b is an integer, and little near one.
    flipped = enabled & (x > 0.9) & (apart > 0.01)
    safe = where(flipped, d, 0.5)
    y = where(flipped, 1.0 - x, 0.0)
    one = _gauss(a, b, 1.0 - safe, y, flipped) * _gamma_ratio([c, safe], [c - a, c - b])
    two = _gauss(c - a, c - b, 1.0 + safe, y, flipped) * _gamma_ratio([c, -safe], [a, b])
    around_one = one + two * ew.exp(safe * ew.log(where(flipped, y, 1.0)))
    # 15.8.1: with c - a - b positive the terms fall faster.
    steep = d < 0.0
    p, q = where(steep, c - a, a), where(steep, c - b, b)
    plain = enabled & ~flipped
    z = where(plain, x, 0.0)
    direct = _gauss(p, q, c, z, plain) * where(steep, ew.exp(d * ew.log1p(-z)), 1.0)
    return where(flipped, around_one, direct)


def _hyp2f1(a: Value, b: Value, c: Value, x: Value) -> Value:
    # A polynomial, of the lower degree of two, ends before a pole of c.
    ends_a, ends_b = _whole(a), _whole(b)
    degree = where(ends_a & ends_b, where(a > b, -a, -b), where(ends_a, -a, -b))
    polynomial = (ends_a | ends_b) & ~(_whole(c) & (-c < degree))
    finite = (abs(a) < math.inf) & (abs(b) < math.inf) & (abs(c) < math.inf) & (abs(x) < math.inf)
    p = where(polynomial & finite, -degree, 1.0)
    q = where(polynomial & finite, where(ends_a & (degree == -a), b, a), 1.0)
    r = where(polynomial & finite & ~(_whole(c) & (degree == 0.0)), c, 1.0)
    short = _gauss(p, q, r, where(polynomial & finite, x, 0.0), polynomial & finite)

    inside = finite & ~polynomial & ~_whole(c) & (x < 1.0)
    a1, b1, c1 = where(inside, a, 1.0), where(inside, b, 1.0), where(inside, c, 1.0)
    x1 = where(inside, x, 0.0)
    # Pfaff's transformation (15.8.1) takes negative numbers to those from 0 to 1.
    negative = x1 < 0.0
    q1, z = where(negative, c1 - b1, b1), where(negative, x1 / (x1 - 1.0), x1)
    # c - b may have made a polynomial.
    ends = _whole(q1)
    closed = _gauss(a1, q1, c1, where(ends, z, 0.0), inside & ends)
    open_ = _unit(a1, where(ends, 0.5, q1), c1, where(ends, 0.0, z), inside & ~ends)
    value = where(ends, closed, open_)
    value = value * where(negative, ew.exp(-a1 * ew.log1p(-where(negative, x1, 0.0))), 1.0)

    d = c - a - b
    converges = finite & ~polynomial & ~_whole(c) & (x == 1.0) & (d > 0.0)
    c2, d2 = where(converges, c, 2.0), where(converges, d, 1.0)
    at_one = _gamma_ratio(
        [c2, d2], [where(converges, c - a, 1.0), where(converges, c - b, 1.0)]
    )  # 15.4.20
    edge = where(converges, at_one, where(finite, math.inf, math.nan))
    return where(polynomial & finite, short, where(inside, value, edge))


hyp2f1_p: Primitive = composed(
    "hyp2f1",
    scalar_by_scalar(_hyp2f1),
    jvp=(
        *_parameter_terms("hyp2f1", _hyp2f1, 3),
        lambda t, ans, a, b, c, x: t * (a * b / c) * hyp2f1_p.bind(a + 1.0, b + 1.0, c + 1.0, x),
    ),
    loops=True,
)


def hyp2f1(a: ArrayLike, b: ArrayLike, c: ArrayLike, x: ArrayLike) -> Value:
    """Gauss's function, Σ (a)_k (b)_k / (c)_k x^k / k!, of real numbers that broadcast.

    It is inf beyond 1 and where `c` is 0 or a negative integer, unless the sum ends before, and
    differentiable in all four; in the parameters once.

    >>> np.round(weft.scipy.special.hyp2f1(1.0, 1.0, 2.0, np.asarray([0.5])), 4)  # 2 log 2
    Array([1.3863], dtype=float32)
    """
    operands = promote_and_broadcast("scipy.special.hyp2f1", a, b, c, x, inexact=True)
    return hyp2f1_p.bind(*operands)
