"""Window functions. Without `kaiser`'s `beta` they have no argument but their length, which is
static: they are constants, computed in double precision and rounded once.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np

from weft import lax
from weft.array import from_numpy
from weft.core import dtypes
from weft.numpy._common import ArrayLike, Value, dtype_of, promote_inexact, shape_of


def _length(name: str, M: int) -> int:
    try:
        return max(operator.index(M), 0)
    except TypeError:
        raise TypeError(
            f"weft.numpy.{name}: the length M must be an integer, got {type(M).__name__}"
        ) from None


def _window(name: str, M: int, function: Callable[[int], np.ndarray]) -> Value:
    return from_numpy(function(_length(name, M)).astype(np.float32), owned=True)


def bartlett(M: int) -> Value:
    """The triangular window of `M` points, 0 at both ends, as float32.

    >>> bartlett(5)
    Array([0. , 0.5, 1. , 0.5, 0. ], dtype=float32)
    """
    return _window("bartlett", M, np.bartlett)


def blackman(M: int) -> Value:
    """The Blackman window 0.42 − 0.5 cos(2πn/(M−1)) + 0.08 cos(4πn/(M−1)), as float32.

    >>> blackman(3).round(3)
    Array([-0.,  1., -0.], dtype=float32)
    """
    return _window("blackman", M, np.blackman)


def hamming(M: int) -> Value:
    """The Hamming window 0.54 − 0.46 cos(2πn/(M−1)), as float32.

    >>> hamming(3)
    Array([0.08, 1.  , 0.08], dtype=float32)
    """
    return _window("hamming", M, np.hamming)


def hanning(M: int) -> Value:
    """The Hann window 0.5 − 0.5 cos(2πn/(M−1)), as float32.

    >>> hanning(5)
    Array([0. , 0.5, 1. , 0.5, 0. ], dtype=float32)
    """
    return _window("hanning", M, np.hanning)


def kaiser(M: int, beta: ArrayLike) -> Value:
    """The Kaiser window I0(β √(1 − (2n/(M−1) − 1)²)) / I0(β), differentiable in `beta`.

    A number of Python gives float32.

    >>> kaiser(3, 8.6).round(4)
    Array([0.0013, 1.    , 0.0013], dtype=float32)
    """
    size = _length("kaiser", M)
    (beta,) = promote_inexact("kaiser", beta)
    if shape_of(beta):
        raise ValueError(f"weft.numpy.kaiser: beta must be a number, got shape {shape_of(beta)}")
    dtype = dtype_of(beta)
    if size <= 1:
        return lax.broadcast_in_dim(np.ones((), dtype), (size,), ())
    place = np.arange(size) * (2 / (size - 1)) - 1
    return i0(beta * np.sqrt(np.clip(1 - place * place, 0, None)).astype(dtype)) / i0(beta)


def i0(x: ArrayLike) -> Value:
    """The modified Bessel function of the first kind and order 0 of real numbers.

    >>> i0(np.array([0.0, 1.0])).round(4)
    Array([1.    , 1.2661], dtype=float32)
    """
    from weft.scipy.special import i0 as bessel

    (x,) = promote_inexact("i0", x)
    if dtypes.is_complex(dtype_of(x)):
        raise TypeError("weft.numpy.i0: complex numbers are not supported, take the real part")
    return bessel(x)
