"""The gamma function, its relatives, and binomial coefficients."""

from __future__ import annotations

import math
import operator
from fractions import Fraction

import numpy as np

import weft.numpy as wnp
from weft import lax
from weft.core import dtypes
from weft.numpy._common import ArrayLike, Value, dtype_of
from weft.scipy.special import primitives
from weft.scipy.special.elementary import inexact, reals


def gammaln(x: ArrayLike) -> Value:
    """``log|Γ(x)|``; inf at 0, -1, -2 …

    >>> weft.scipy.special.gammaln(np.array([1., 2.]))
    Array([0., 0.], dtype=float32)
    """
    return lax.lgamma(*reals("gammaln", x))


def loggamma(x: ArrayLike) -> Value:
    """``log Γ(x)``: NaN for negative real numbers, whose logarithm is complex.

    Complex arguments need a real part that is not negative.

    >>> weft.scipy.special.loggamma(np.array([1.0, 5.0])).round(4)
    Array([0.    , 3.1781], dtype=float32)
    """
    (x,) = inexact("loggamma", x)
    if not dtypes.is_complex(dtype_of(x)):
        return wnp.where(x < 0, wnp.nan, lax.lgamma(x))
    # Γ(z) = Γ(z + 10) / (z (z + 1) …), and Stirling's series for z + 10.
    shift = sum(wnp.log(x + k) for k in range(10))
    z = x + 10
    inverse = 1 / z
    square = inverse * inverse
    series = sum(
        float(Fraction(b) / (2 * k * (2 * k - 1))) * square ** (k - 1)
        for k, b in enumerate(_bernoulli(16)[2::2], 1)
    )
    value = (z - 0.5) * wnp.log(z) - z + 0.5 * math.log(2 * math.pi) + series * inverse - shift
    return wnp.where(wnp.real(x) < 0, wnp.nan, value)


def gammasgn(x: ArrayLike) -> Value:
    """The sign of ``Γ(x)``: NaN at -1, -2 …

    >>> weft.scipy.special.gammasgn(np.array([2., -0.5]))
    Array([ 1., -1.], dtype=float32)
    """
    (x,) = reals("gammasgn", x)
    floor = wnp.floor(x)
    odd = floor - 2 * wnp.floor(floor / 2) != 0
    negative = wnp.where(floor == x, wnp.nan, wnp.where(odd, -1.0, 1.0)).astype(dtype_of(x))
    zero = wnp.copysign(1.0, x).astype(dtype_of(x))
    return wnp.where(x < 0, negative, wnp.where(x == 0, zero, wnp.where(wnp.isnan(x), x, 1)))


def gamma(x: ArrayLike) -> Value:
    """``Γ(x)``: NaN at -1, -2 …

    >>> weft.scipy.special.gamma(np.array([5.])).round(3)
    Array([24.], dtype=float32)
    """
    return primitives.gamma(*reals("gamma", x))


def digamma(x: ArrayLike) -> Value:
    """The derivative of `gammaln`.

    >>> weft.scipy.special.digamma(np.array([1.0, 5.0])).round(4)
    Array([-0.5772,  1.5061], dtype=float32)
    """
    return lax.digamma(*reals("digamma", x))


def polygamma(n: ArrayLike, x: ArrayLike) -> Value:
    """The n-th derivative of `digamma`.

    >>> weft.scipy.special.polygamma(1, np.array([1.0, 5.0])).round(4)
    Array([1.6449, 0.2213], dtype=float32)
    """
    return lax.polygamma(*reals("polygamma", n, x))


def zeta(x: ArrayLike, q: ArrayLike | None = None) -> Value:
    """Hurwitz's ``Σ (k + q)**-x``, k = 0, 1, …; Riemann's without `q`.

    >>> weft.scipy.special.zeta(np.array([2.]))
    Array([1.644934], dtype=float32)
    """
    return lax.zeta(*reals("zeta", x, 1.0 if q is None else q))


def gammainc(a: ArrayLike, x: ArrayLike) -> Value:
    """The regularized lower incomplete gamma function.

    >>> weft.scipy.special.gammainc(2.0, np.array([1.0, 5.0])).round(4)
    Array([0.2642, 0.9596], dtype=float32)
    """
    return lax.igamma(*reals("gammainc", a, x))


def gammaincc(a: ArrayLike, x: ArrayLike) -> Value:
    """The regularized upper incomplete gamma function.

    >>> weft.scipy.special.gammaincc(2.0, np.array([1.0, 5.0])).round(4)
    Array([0.7358, 0.0404], dtype=float32)
    """
    return lax.igammac(*reals("gammaincc", a, x))


def betainc(a: ArrayLike, b: ArrayLike, x: ArrayLike) -> Value:
    """The regularized incomplete beta function.

    >>> weft.scipy.special.betainc(2.0, 3.0, np.array([0.0, 0.5, 1.0]))
    Array([0.    , 0.6875, 1.    ], dtype=float32)
    """
    return lax.betainc(*reals("betainc", a, b, x))


#: Stirling's corrections of log Γ(x), x ≥ 8.
_STIRLING = (
    1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400
)  # fmt: skip


def _correction(x: Value) -> Value:
    inverse = 1 / x
    square = inverse * inverse
    total = wnp.zeros_like(x)
    for c in reversed(_STIRLING):
        total = total * square + c
    return total * inverse


def betaln(a: ArrayLike, b: ArrayLike) -> Value:
    """``log|B(a, b)|``, without cancellation where arguments are large.

    >>> weft.scipy.special.betaln(np.array([1.]), np.array([1.]))
    Array([0.], dtype=float32)
    """
    a, b = reals("betaln", a, b)
    small, large = wnp.minimum(a, b), wnp.maximum(a, b)
    # Both small; then by differences of Stirling's formula, which cancel on paper.
    neither = lax.lgamma(small) + (lax.lgamma(large) - lax.lgamma(small + large))
    far = large >= 8
    y = wnp.where(far, large, 8)
    x = wnp.where(far & (small > 0), small, 1)
    difference = _correction(y) - _correction(x + y)
    one = lax.lgamma(x) - (y - 0.5) * wnp.log1p(x / y) - x * (wnp.log(x + y) - 1) + difference
    z = wnp.where(x >= 8, x, 8)
    both = (
        0.5 * math.log(2 * math.pi)
        - 0.5 * wnp.log(y)
        - (z - 0.5) * wnp.log1p(y / z)
        - y * wnp.log1p(z / y)
        + _correction(z)
        + (_correction(y) - _correction(z + y))
    )
    return wnp.where(far & (small > 0), wnp.where(x >= 8, both, one), neither)


def beta(a: ArrayLike, b: ArrayLike) -> Value:
    """``Γ(a) Γ(b) / Γ(a + b)``.

    >>> weft.scipy.special.beta(np.array([2.]), np.array([1.]))
    Array([0.5], dtype=float32)
    """
    a, b = reals("beta", a, b)
    return gammasgn(a) * gammasgn(b) * gammasgn(a + b) * wnp.exp(betaln(a, b))


def multigammaln(a: ArrayLike, d: int) -> Value:
    """The logarithm of the multivariate gamma function of dimension `d`.

    >>> weft.scipy.special.multigammaln(np.array([3.0, 5.0]), 2).round(4)
    Array([1.5502, 6.2042], dtype=float32)
    """
    count = operator.index(d)
    (x,) = reals("multigammaln", a)
    constant = 0.25 * count * (count - 1) * math.log(math.pi)
    return sum((lax.lgamma(x - 0.5 * k) for k in range(count)), wnp.full_like(x, constant))


def factorial(n: ArrayLike, exact: bool = False) -> Value:
    """``n!`` as a floating-point number; 0 for negative `n`.

    >>> weft.scipy.special.factorial(np.array([4.])).round(3)
    Array([24.], dtype=float32)
    """
    if exact:
        raise NotImplementedError(
            "weft.scipy.special.factorial: exact=True is not supported; use math.factorial"
        )
    (n,) = reals("factorial", n)
    return wnp.where(n < 0, 0, primitives.gamma(wnp.where(n < 0, 0, n) + 1))


def comb(N: ArrayLike, k: ArrayLike, *, exact: bool = False, repetition: bool = False) -> Value:
    """How many ways there are to choose `k` of `N` things; with `repetition`, any number of times.

    0 where `k` is negative or greater than `N`, or `N` is negative.

    >>> weft.scipy.special.comb(np.array([5.]), np.array([2.])).round(3)
    Array([10.], dtype=float32)
    """
    if exact:
        raise NotImplementedError(
            "weft.scipy.special.comb: exact=True is not supported; use math.comb"
        )
    n, chosen = reals("comb", N, k)
    if repetition:
        nothing = (n == 0) & (chosen == 0)
        return wnp.where(nothing, 1, comb(n + chosen - 1, chosen))
    valid = (chosen >= 0) & (chosen <= n)
    x, y = wnp.where(valid, n, 1), wnp.where(valid, chosen, 0)
    value = wnp.exp(-wnp.log1p(x) - betaln(x - y + 1, y + 1))
    return wnp.where(valid, value, 0)


def poch(z: ArrayLike, m: ArrayLike) -> Value:
    """Pochhammer's ``Γ(z + m) / Γ(z)``.

    >>> weft.scipy.special.poch(np.array([1.]), np.array([3.])).round(3)
    Array([6.], dtype=float32)
    """
    z, m = reals("poch", z, m)
    sign = gammasgn(z + m) * gammasgn(z)
    value = sign * wnp.exp(lax.lgamma(z + m) - lax.lgamma(z))
    return wnp.where(m == 0, wnp.ones_like(z), value)


def _bernoulli(count: int) -> list[Fraction]:
    """B(0), B(1) = -1/2, … by Akiyama and Tanigawa's algorithm."""
    found = []
    row: list[Fraction] = []
    for m in range(count + 1):
        row.append(Fraction(1, m + 1))
        for j in range(m, 0, -1):
            row[j - 1] = j * (row[j - 1] - row[j])
        found.append(row[0] if m != 1 else -row[0])
    return found


def bernoulli(n: int) -> Value:
    """Bernoulli numbers B(0) to B(n), with ``B(1) = -1/2``.

    >>> weft.scipy.special.bernoulli(2)
    Array([ 1.        , -0.5       ,  0.16666667], dtype=float32)
    """
    count = operator.index(n)
    if count < 0:
        raise ValueError(f"weft.scipy.special.bernoulli: n is not negative, got {count}")
    with np.errstate(over="ignore"):
        return wnp.asarray(np.array([float(b) for b in _bernoulli(count)]).astype(np.float32))
