"""Error functions, exponential integrals and Bessel functions, with SciPy's names."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import numpy as np

import weft.numpy as wnp
from weft import lax
from weft.core import dtypes
from weft.numpy._common import ArrayLike, Value, dtype_of
from weft.scipy.special import primitives as p
from weft.scipy.special.elementary import inexact, reals
from weft.transforms.control_flow import scan
from weft.transforms.custom_jvp import custom_jvp

# ---------------------------------------------------------------- error functions


def erf(x: ArrayLike) -> Value:
    """The error function.

    >>> weft.scipy.special.erf(np.array([0.0, 1.0])).round(4)
    Array([0.    , 0.8427], dtype=float32)
    """
    return lax.erf(*reals("erf", x))


def erfc(x: ArrayLike) -> Value:
    """``1 - erf(x)``, without cancellation.

    >>> weft.scipy.special.erfc(np.array([0.0, 1.0])).round(4)
    Array([1.    , 0.1573], dtype=float32)
    """
    return lax.erfc(*reals("erfc", x))


def erfinv(x: ArrayLike) -> Value:
    """The inverse of `erf`.

    >>> weft.scipy.special.erfinv(np.array([0.0, 0.5])).round(4)
    Array([0.    , 0.4769], dtype=float32)
    """
    return lax.erf_inv(*reals("erfinv", x))


def erfcx(x: ArrayLike) -> Value:
    """``exp(x²) erfc(x)``, which does not underflow.

    >>> weft.scipy.special.erfcx(np.array([0.]))
    Array([1.], dtype=float32)
    """
    return p.erfcx(*reals("erfcx", x))


def dawsn(x: ArrayLike) -> Value:
    """Dawson's integral ``exp(-x²) ∫₀ˣ exp(t²) dt``.

    >>> weft.scipy.special.dawsn(np.array([0.0, 1.0])).round(4)
    Array([0.    , 0.5381], dtype=float32)
    """
    return p.dawsn(*reals("dawsn", x))


def ndtr(x: ArrayLike) -> Value:
    """The standard normal distribution function.

    >>> weft.scipy.special.ndtr(np.array([0.]))
    Array([0.5], dtype=float32)
    """
    return p.ndtr(*reals("ndtr", x))


def log_ndtr(x: ArrayLike, series_order: int = 3) -> Value:
    """The logarithm of `ndtr`, also where that underflows; `series_order` is not used.

    >>> weft.scipy.special.log_ndtr(np.array([0.0, -9.0])).round(4)
    Array([ -0.6931, -43.6282], dtype=float32)
    """
    del series_order
    return p.log_ndtr(*reals("log_ndtr", x))


def ndtri(p: ArrayLike) -> Value:
    """The inverse of `ndtr`: the quantiles of the standard normal distribution.

    >>> weft.scipy.special.ndtri(np.array([0.5]))
    Array([0.], dtype=float32)
    """
    from weft.scipy.special.primitives import ndtri

    return ndtri(*reals("ndtri", p))


@functools.cache
def _weideman(count: int) -> tuple[float, tuple[float, ...]]:
    """The scale and the coefficients, highest power first, of Weideman's rational approximation."""
    scale = math.sqrt(count / math.sqrt(2))
    m = 4 * count
    theta = np.arange(-m + 1, m) * np.pi / m
    t = scale * np.tan(theta / 2)
    values = np.concatenate([[0.0], np.exp(-t * t) * (scale**2 + t * t)])
    spectrum = np.real(np.fft.fft(np.fft.fftshift(values))) / (2 * m)
    return scale, tuple(spectrum[1 : count + 1][::-1].tolist())


def wofz(z: ArrayLike) -> Value:
    """Faddeeva's ``exp(-z²) erfc(-iz)``, complex (Weideman 1994).

    >>> weft.scipy.special.wofz(np.array([0j])).real
    Array([1.], dtype=float32)
    """
    (z,) = inexact("wofz", z)
    if not dtypes.is_complex(dtype_of(z)):
        z = z.astype(np.result_type(dtype_of(z), np.complex64))
    return _wofz(z)


@custom_jvp
def _wofz(z: Value) -> Value:
    scale, coefficients = _weideman(44 if dtype_of(z) == np.complex128 else 20)
    below = wnp.imag(z) < 0
    upper = wnp.where(below, -z, z)
    divisor = scale - 1j * upper
    t = (scale + 1j * upper) / divisor
    total = wnp.zeros_like(z)
    for c in coefficients:
        total = total * t + c
    value = 2 * total / (divisor * divisor) + (1 / math.sqrt(math.pi)) / divisor
    return wnp.where(below, 2 * wnp.exp(-z * z) - value, value).astype(dtype_of(z))


_wofz.defjvps(lambda t, ans, z: t * (2j / math.sqrt(math.pi) - 2 * z * ans))


def fresnel(x: ArrayLike) -> tuple[Value, Value]:
    """``(S, C)``: the integrals of ``sin(πt²/2)`` and ``cos(πt²/2)`` from 0 to `x`.

    >>> weft.scipy.special.fresnel(np.array([1.0]))[0].round(4)
    Array([0.4383], dtype=float32)
    """
    (x,) = reals("fresnel", x)
    return _fresnel(x)


@custom_jvp
def _fresnel(x: Value) -> tuple[Value, Value]:
    dtype = dtype_of(x)
    size = abs(x)
    small = wnp.where(size < 1.2, size, 0)
    # Power series of C + iS in (iπx²/2), 4k + 1 and 4k + 3 apart.
    square = small * small * (math.pi / 2)
    fourth = -square * square
    cosine, sine = wnp.zeros_like(x), wnp.zeros_like(x)
    for k in range(11, -1, -1):
        cosine = cosine * fourth + 1 / (math.factorial(2 * k) * (4 * k + 1))
        sine = sine * fourth + 1 / (math.factorial(2 * k + 1) * (4 * k + 3))
    large = wnp.where(size < 1.2, 2, wnp.where(size < 1e8, size, 1e8)).astype(dtype)
    # C + iS = (1 + i)/2 (1 - exp(iπx²/2) w(z)), z = √π (1 + i) x / 2; the phase by turns.
    z = large * (math.sqrt(math.pi) / 2)
    w = _wofz(lax.complex(z, z))
    wide = large.astype(np.float64)
    square_of_large = wide * wide
    phase = (square_of_large - 4 * wnp.floor(square_of_large / 4)) * (math.pi / 2)
    phase = phase.astype(dtype)
    turn = lax.complex(wnp.cos(phase), wnp.sin(phase))
    whole = (0.5 + 0.5j) * (1 - turn * w)
    is_small = size < 1.2
    c = wnp.where(is_small, small * cosine, wnp.real(whole))
    s = wnp.where(is_small, small * square * sine, wnp.imag(whole))
    sign = wnp.sign(x)
    return (sign * s).astype(dtype), (sign * c).astype(dtype)


def _fresnel_jvp(primals: tuple, tangents: tuple) -> Any:
    (x,), (t,) = primals, tangents
    x = wnp.asarray(x)
    angle = x * x * (math.pi / 2)
    return _fresnel(x), (t * wnp.sin(angle), t * wnp.cos(angle))


_fresnel.defjvp(_fresnel_jvp)

#: Nodes and weights of Gauss and Legendre on [0, 1].
_NODES, _WEIGHTS = ((x / 2).tolist() for x in np.polynomial.legendre.leggauss(32))


def owens_t(h: ArrayLike, a: ArrayLike) -> Value:
    """Owen's ``T(h, a)``: how likely normal x, y have ``x > h`` and ``0 < y < a x``.

    >>> weft.scipy.special.owens_t(np.array([0.0, 1.0]), 1.0).round(4)
    Array([0.125 , 0.0667], dtype=float32)
    """
    h, a = reals("owens_t", h, a)
    h, slope = abs(h), abs(a)
    steep = slope > 1
    # T(h, a) + T(ah, 1/a) is a formula of normal distributions.
    product = wnp.where(h == 0, 0, wnp.where(h == 0, 1, slope) * h)
    level = wnp.where(steep, product, h)
    reach = wnp.where(steep, 1 / wnp.where(steep, slope, 1), slope)
    total = wnp.zeros_like(h)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        x = reach * (node + 0.5)
        total = total + weight * wnp.exp(-0.5 * level * level * (1 + x * x)) / (1 + x * x)
    value = total * reach * (1 / (2 * math.pi))
    tail, other = 0.5 * lax.erfc(h / math.sqrt(2)), 0.5 * lax.erfc(product / math.sqrt(2))
    value = wnp.where(steep, 0.5 * (tail + other) - tail * other - value, value)
    return wnp.where(a < 0, -value, value)


# ---------------------------------------------------------------- exponential integrals


def expi(x: ArrayLike) -> Value:
    """The exponential integral ``Ei(x)``: that of ``exp(t)/t`` from -inf to `x`.

    >>> weft.scipy.special.expi(np.array([0.5, 1.0])).round(4)
    Array([0.4542, 1.8951], dtype=float32)
    """
    return p.expi(*reals("expi", x))


def exp1(x: ArrayLike) -> Value:
    """The exponential integral ``E₁(x)``: that of ``exp(-t)/t`` from `x` to inf; NaN below 0.

    >>> weft.scipy.special.exp1(np.array([0.5, 1.0])).round(4)
    Array([0.5598, 0.2194], dtype=float32)
    """
    return p.exp1(*reals("exp1", x))


def expn(n: ArrayLike, x: ArrayLike) -> Value:
    """The exponential integral ``Eₙ(x)``: that of ``exp(-xt)/tⁿ`` from 1 to inf.

    >>> weft.scipy.special.expn(2, np.array([0.5, 1.0])).round(4)
    Array([0.3266, 0.1485], dtype=float32)
    """
    return p.expn(*reals("expn", n, x))


def sici(x: ArrayLike) -> tuple[Value, Value]:
    """``(Si, Ci)``: the integrals of ``sin(t)/t`` from 0, and of ``cos(t)/t`` from inf, to `x`.

    Ci is that of the magnitude of `x`, the real part of what it is for negative numbers.

    >>> weft.scipy.special.sici(np.array([1.0]))[0].round(4)
    Array([0.9461], dtype=float32)
    """
    (x,) = reals("sici", x)
    return p.si(x), p.ci(lax.abs(x))


def spence(x: ArrayLike) -> Value:
    """The dilogarithm ``Li₂(1 - x)``: the integral of ``log(t)/(1 - t)`` from 1 to `x`.

    >>> weft.scipy.special.spence(np.array([0.]))
    Array([1.644934], dtype=float32)
    """
    return p.spence(*reals("spence", x))


# ---------------------------------------------------------------- Bessel functions


def i0e(x: ArrayLike) -> Value:
    """``exp(-|x|) I₀(x)``.

    >>> weft.scipy.special.i0e(np.array([0.0, 1.0])).round(4)
    Array([1.    , 0.4658], dtype=float32)
    """
    return lax.bessel_i0e(*reals("i0e", x))


def i1e(x: ArrayLike) -> Value:
    """``exp(-|x|) I₁(x)``.

    >>> weft.scipy.special.i1e(np.array([0.0, 1.0])).round(4)
    Array([0.    , 0.2079], dtype=float32)
    """
    return lax.bessel_i1e(*reals("i1e", x))


def i0(x: ArrayLike) -> Value:
    """The modified Bessel function of the first kind and order 0.

    >>> weft.scipy.special.i0(np.array([0.0, 1.0])).round(4)
    Array([1.    , 1.2661], dtype=float32)
    """
    (x,) = reals("i0", x)
    return wnp.exp(abs(x)) * lax.bessel_i0e(x)


def i1(x: ArrayLike) -> Value:
    """The modified Bessel function of the first kind and order 1.

    >>> weft.scipy.special.i1(np.array([0.0, 1.0])).round(4)
    Array([0.    , 0.5652], dtype=float32)
    """
    (x,) = reals("i1", x)
    return wnp.exp(abs(x)) * lax.bessel_i1e(x)


def bessel_jn(z: ArrayLike, *, v: int, n_iter: int = 50) -> Value:
    """Bessel functions ``J₀(z)`` … ``J_v(z)``, along a new first axis, by Miller's recurrence.

    `n_iter` is the order that the recurrence starts at: well above `v` and the size of `z`.

    >>> weft.scipy.special.bessel_jn(np.array(1.0), v=1).round(4)
    Array([0.7652, 0.4401], dtype=float32)
    """
    order, start = operator.index(v), operator.index(n_iter)
    if not 0 <= order < start:
        raise ValueError(
            f"weft.scipy.special.bessel_jn: 0 <= v < n_iter is needed, got v={v}, n_iter={n_iter}"
        )
    (z,) = reals("bessel_jn", z)
    safe = wnp.where(z == 0, 1, z)
    tiny = wnp.full_like(z, float(np.finfo(dtype_of(z)).tiny) ** 0.5)

    def down(state: tuple[Value, ...], k: Value) -> tuple[tuple[Value, ...], Value]:
        above, here, total = state
        below = 2 * (k + 1) / safe * here - above
        total = total + wnp.where(k % 2 == 0, wnp.where(k == 0, 1, 2) * below, 0)
        # All that is known is a common factor: numbers are brought back before they overflow.
        scale = wnp.where(abs(below) > 1e10, 1e-10, 1).astype(dtype_of(z))
        return (here * scale, below * scale, total * scale), (below, scale)

    orders = np.arange(start - 1, -1, -1).astype(dtype_of(z))
    zero = wnp.zeros_like(z)
    (_, _, total), (values, scales) = scan(down, (zero, tiny, zero), orders)
    # A value is scaled by its own factor and all after it.
    after = wnp.flip(wnp.cumprod(wnp.flip(scales, 0), 0), 0)
    found = wnp.flip(values * after / total, 0)[: order + 1]
    first = wnp.reshape(np.arange(order + 1) == 0, (-1, *[1] * z.ndim))
    return wnp.where(z == 0, first.astype(dtype_of(z)), found)
