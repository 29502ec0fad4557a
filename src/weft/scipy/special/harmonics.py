"""Functions on the sphere."""

from __future__ import annotations

from typing import Any

import numpy as np

import weft.numpy as wnp
from weft import lax
from weft.core import dtypes
from weft.core.trace import Tracer
from weft.numpy._common import (
    ArrayLike,
    Value,
    broadcast,
    check_arraylike,
    dtype_of,
    promote_inexact,
)


def sph_harm_y(
    n: ArrayLike,
    m: ArrayLike,
    theta: ArrayLike,
    phi: ArrayLike,
    diff_n: int | None = None,
    n_max: int | None = None,
) -> Value:
    """Spherical harmonics: Y of degree n and order m, normalised, with the sign of Condon and
    Shortley.

    Parameters
    ----------
    n, m: integers, ``|m| <= n``. theta: the angle from the pole. phi: the angle around it.
    diff_n: has to be None. n_max: the greatest `n`, which must be given where `n` is traced.

    Returns
    -------
    Complex numbers of the shape that the arguments broadcast to; differentiable in the angles.

    >>> np.round(weft.scipy.special.sph_harm_y(1, 0, 0.0, 0.0), 4)
    Array(0.4886+0.j, dtype=complex64)
    """
    name = "scipy.special.sph_harm_y"
    if diff_n is not None:
        raise NotImplementedError(f"weft.{name}: diff_n is None; weft.jvp gives derivatives")
    check_arraylike(name, n, m, theta, phi)
    if not (dtypes.is_integer(dtype_of(n)) and dtypes.is_integer(dtype_of(m))):
        raise TypeError(f"weft.{name}: n and m are integers, got {dtype_of(n)} and {dtype_of(m)}")
    if n_max is None:
        if isinstance(n, Tracer):
            raise ValueError(f"weft.{name}: where n is traced, n_max has to be given, as an int")
        n_max = int(np.max(np.asarray(n), initial=0))
    theta, phi = promote_inexact(name, theta, phi)
    kind = dtype_of(theta)
    degree, order = (wnp.asarray(x, kind) for x in (n, m))
    degree, order, theta, phi = broadcast(name, degree, order, theta, phi)
    theta, phi = wnp.asarray(theta), wnp.asarray(phi)
    size = abs(order)
    legendre = _normalised(degree, size, wnp.cos(theta), wnp.sin(theta), n_max)
    # Y of -m is the conjugate of that of m, with the sign of (-1)^m.
    sign = wnp.where((order < 0) & (wnp.mod(size, 2) == 1), -1, 1)
    value = sign * legendre
    return lax.complex(value * wnp.cos(order * phi), value * wnp.sin(order * phi))


def _normalised(n: Value, m: Value, x: Value, s: Value, most: int) -> Value:
    """Associated Legendre functions of degree n and order m, so that harmonics have norm 1.

    First P(m, m), a product of m factors, then three terms at a time up to P(n, m).
    """
    start = wnp.full_like(x, np.sqrt(0.25 / np.pi))

    def diagonal(i: Any, p: Value) -> Value:
        i = i + 1.0
        return wnp.where(i <= m, -wnp.sqrt((2 * i + 1) / (2 * i)) * s * p, p)

    def upward(i: Any, state: tuple[Value, Value]) -> tuple[Value, Value]:
        last, here = state
        i = i + 1.0
        moves = (i > m) & (i <= n)
        room = wnp.where(moves, i * i - m * m, 1)
        a = wnp.sqrt((4 * i * i - 1) / room)
        b = wnp.sqrt(wnp.where(moves, (i - 1) ** 2 - m * m, 0) / (4 * (i - 1) ** 2 - 1 + 0 * m))
        following = a * (x * here - wnp.where(i > m + 1, b, 0) * last)
        return wnp.where(moves, here, last), wnp.where(moves, following, here)

    top = lax.fori_loop(0, most, diagonal, start)
    result = lax.fori_loop(0, most, upward, (wnp.zeros_like(x), top))[1]
    return wnp.where((m > n) | (n < 0), 0, result)
