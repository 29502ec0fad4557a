"""Fourier transforms in Weft's own operations: of any length, by products with small matrices.

A length ``n = r m`` is transformed by a matrix product over the r numbers that are m apart, by
factors of magnitude 1, and by transforms of length m (Cooley and Tukey 1965), all in one array
whose digits of the index are put in order at the end. A length with a large prime factor is a
convolution with a chirp, of a length that is a power of two (Bluestein 1970). Matrices and factors
are constants, rounded once from double precision: their angles are exact fractions of a turn.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import weft.numpy as wnp
from weft import lax
from weft.primitives.fft import FftType, convolved_length, fft_p, radices
from weft.primitives.rules import Axes, Shape

Value = Any


@fft_p.def_portable
def _(x: Value, *, kind: FftType, axes: Axes, lengths: Shape) -> Value:
    last = axes[-1]
    if kind is FftType.RFFT:
        x = _along(x, last, _of_reals)
        others = axes[:-1]
    elif kind is FftType.IRFFT:
        others = axes[:-1]
    else:
        others = axes
    for axis in others:
        x = _along(x, axis, lambda rows: _complex(rows, kind.inverse))
    if kind is FftType.IRFFT:
        x = _along(x, last, lambda rows: _to_reals(rows, lengths[-1]))
    return x / math.prod(lengths) if kind.inverse else x


def _along(x: Value, axis: int, transform: Any) -> Value:
    """The transform of one axis."""
    return wnp.moveaxis(transform(wnp.moveaxis(x, axis, -1)), -1, axis)


def _turns(numerator: np.ndarray, n: int, dtype: Any, inverse: bool) -> np.ndarray:
    """``exp(∓2πi numerator / n)``, exact for whole quarters of a turn."""
    quarters, rest = np.divmod(4 * (np.asarray(numerator, np.int64) % n), n)
    turns = np.exp((0.5j * np.pi / n) * rest) * np.array([1, 1j, -1, -1j])[quarters]
    return (turns if inverse else np.conj(turns)).astype(dtype)


def _complex(x: Value, inverse: bool) -> Value:
    """Unscaled transforms of rows of complex numbers."""
    n = x.shape[-1]
    factors = radices(n)
    if factors is None:
        return _convolved(x, inverse)
    done, rest = 1, n
    parts = wnp.reshape(wnp.stack([wnp.real(x), wnp.imag(x)]), (2, -1, n))
    for r in factors:
        # Digits of the index of the result that are done come last, the newest first: after the
        # last step they are in order.
        m = rest // r
        parts = wnp.reshape(parts, (2, -1, r, m, done))
        matrix = _matrix(r, x.dtype, inverse)
        # Vectors run along the digits that are done, or else along the new one.
        if done > 1:
            parts = wnp.einsum("akct,cbtmd->abmkd", matrix, parts)
        else:
            parts = wnp.einsum("cbtmd,akct->abmkd", parts, matrix)
        if m > 1:
            turns = _turns(np.outer(np.arange(m), np.arange(r)), rest, x.dtype, inverse)
            re, im = (np.ascontiguousarray(part)[..., None] for part in (turns.real, turns.imag))
            parts = wnp.stack([parts[0] * re - parts[1] * im, parts[0] * im + parts[1] * re])
        rest, done = m, done * r
    parts = wnp.reshape(parts, (2, *x.shape))
    return lax.complex(parts[0], parts[1])


def _matrix(r: int, dtype: Any, inverse: bool) -> np.ndarray:
    """The transform of r numbers, ``[part, k, part, t]``: a complex product as one of reals."""
    turns = _turns(np.outer(np.arange(r), np.arange(r)), r, dtype, inverse)
    rows = np.stack([turns.real, -turns.imag]), np.stack([turns.imag, turns.real])
    return np.ascontiguousarray(np.moveaxis(np.stack(rows), 1, 2))


def _convolved(x: Value, inverse: bool) -> Value:
    """With ``jk = (j² + k² - (k - j)²) / 2``, the sum over j is a convolution with a chirp."""
    n = x.shape[-1]
    m = convolved_length(n)
    index = np.arange(n, dtype=np.int64)
    chirp = _turns(index * index, 2 * n, np.complex128, inverse)
    filled = np.zeros(m, np.complex128)
    filled[:n] = np.conj(chirp)
    filled[m - n + 1 :] = np.conj(chirp[:0:-1])
    response = (np.fft.fft(filled) / m).astype(x.dtype)
    chirp = chirp.astype(x.dtype)
    padded = wnp.pad(x * chirp, [(0, 0)] * (x.ndim - 1) + [(0, m - n)])
    convolved = _complex(_complex(padded, False) * response, True)
    return convolved[..., :n] * chirp


def _of_reals(x: Value) -> Value:
    """Half of the spectrum of real rows; pairs of an even row are taken for complex numbers."""
    n = x.shape[-1]
    if n % 2:
        return _complex(wnp.asarray(x, _complex_dtype(x)), False)[..., : n // 2 + 1]
    half = n // 2
    pairs = _complex(lax.complex(x[..., ::2], x[..., 1::2]), False)
    # Spectra of the numbers at even and at odd places: Z[k] = E[k] + i O[k], both Hermitian.
    ahead = wnp.concatenate([pairs, pairs[..., :1]], -1)
    behind = wnp.conj(wnp.flip(ahead, -1))
    turn = _turns(np.arange(half + 1), n, ahead.dtype, False)
    return (ahead + behind) / 2 - (0.5j * turn).astype(ahead.dtype) * (ahead - behind)


def _to_reals(x: Value, n: int) -> Value:
    """Unscaled real rows of length n from half of their spectrum."""
    # What is its own conjugate in the spectrum of real numbers counts by its real part.
    own = np.zeros(x.shape[-1], bool)
    own[0] = True
    if n % 2 == 0:
        own[-1] = True
    x = lax.complex(wnp.real(x), wnp.where(own, np.zeros((), _real_dtype(x)), wnp.imag(x)))
    if n % 2:
        mirrored = wnp.conj(wnp.flip(x[..., 1:], -1))
        return wnp.real(_complex(wnp.concatenate([x, mirrored], -1), True))
    half = n // 2
    ahead, behind = x[..., :half], wnp.conj(wnp.flip(x[..., 1:], -1))
    turn = _turns(np.arange(half), n, x.dtype, True)
    pairs = _complex((ahead + behind) + (1j * turn).astype(x.dtype) * (ahead - behind), True)
    both = wnp.stack([wnp.real(pairs), wnp.imag(pairs)], -1)
    return wnp.reshape(both, (*x.shape[:-1], n))


def _complex_dtype(x: Value) -> np.dtype:
    return np.result_type(x.dtype, np.complex64)


def _real_dtype(x: Value) -> np.dtype:
    return np.empty(0, x.dtype).real.dtype
