"""`weft.scipy.fft`: discrete cosine transforms, of the second kind and its inverse, the third.

Those of the second kind are Fourier transforms of the numbers at even places followed by those at
odd places in reverse (Makhoul 1980).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

import numpy as np

import weft.numpy as wnp
from weft.core import dtypes
from weft.numpy._common import ArrayLike, Value, canonical_axis, dtype_of, promote_inexact

__all__ = ["dct", "dctn", "idct", "idctn"]


def dct(
    x: ArrayLike, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None
) -> Value:
    """``2 Σ x[j] cos(πk(2j + 1)/2n)`` along `axis`, cut or padded with zeros to `n`; real.

    `type` is 2, or 3 for ``x[0] + 2 Σ x[k] cos(πk(2j + 1)/2n)``, k > 0. `norm` is ``"backward"``
    (the default), ``"forward"`` or ``"ortho"``, with which the matrix is orthogonal.

    >>> weft.scipy.fft.dct(np.array([1., 1.])).round(3)
    Array([4., 0.], dtype=float32)
    """
    return _along("dct", x, type, n, axis, norm, inverse=False)


def idct(
    x: ArrayLike, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None
) -> Value:
    """The inverse of `dct` with the same arguments.

    >>> weft.scipy.fft.idct(np.array([4., 0.])).round(3)
    Array([1., 1.], dtype=float32)
    """
    return _along("idct", x, type, n, axis, norm, inverse=True)


def dctn(
    x: ArrayLike,
    type: int = 2,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str | None = None,
) -> Value:
    """`dct` over several axes: the last ``len(s)``, or all.

    >>> weft.scipy.fft.dctn(np.ones((2, 2)))
    Array([[16.,  0.],
           [ 0.,  0.]], dtype=float32)
    """
    return _over_axes("dctn", x, type, s, axes, norm, inverse=False)


def idctn(
    x: ArrayLike,
    type: int = 2,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str | None = None,
) -> Value:
    """The inverse of `dctn` with the same arguments.

    >>> weft.scipy.fft.idctn(weft.scipy.fft.dctn(np.ones((2, 2))))
    Array([[1., 1.],
           [1., 1.]], dtype=float32)
    """
    return _over_axes("idctn", x, type, s, axes, norm, inverse=True)


def _over_axes(
    name: str,
    x: ArrayLike,
    type: int,
    s: Sequence[int] | None,
    axes: Sequence[int] | None,
    norm: str | None,
    inverse: bool,
) -> Value:
    ndim = np.ndim(x)
    if axes is None:
        axes = range(ndim) if s is None else range(ndim - len(s), ndim)
    sizes = [None] * len(axes) if s is None else list(s)
    if len(sizes) != len(axes):
        raise ValueError(f"weft.scipy.fft.{name}: s={s} and axes={tuple(axes)} have one length")
    for axis, n in zip(axes, sizes, strict=True):
        x = _along(name, x, type, n, axis, norm, inverse)
    return wnp.asarray(x)


def _along(
    name: str, x: ArrayLike, type: int, n: int | None, axis: int, norm: str | None, inverse: bool
) -> Value:
    if type not in (2, 3):
        raise NotImplementedError(f"weft.scipy.fft.{name}: type is 2 or 3, got {type!r}")
    if norm not in (None, "backward", "ortho", "forward"):
        raise ValueError(
            f"weft.scipy.fft.{name}: norm is 'backward', 'ortho' or 'forward', got {norm!r}"
        )
    (value,) = (wnp.asarray(v) for v in promote_inexact(f"scipy.fft.{name}", x))
    if dtypes.is_complex(dtype_of(value)):
        raise TypeError(f"weft.scipy.fft.{name}: x must be real, got {dtype_of(value)}")
    if dtype_of(value).itemsize < 4:
        value = value.astype(np.float32)
    along = canonical_axis(f"scipy.fft.{name}", axis, value.ndim)
    value = wnp.moveaxis(value, along, -1)
    size = value.shape[-1] if n is None else operator.index(n)
    if size < 1:
        raise ValueError(f"weft.scipy.fft.{name}: a transform has at least one element, got {size}")
    missing = max(size - value.shape[-1], 0)
    value = wnp.pad(value[..., :size], [(0, 0)] * (value.ndim - 1) + [(0, missing)])
    second = (type == 2) != inverse
    result = _second(value, norm) if second else _third(value, norm)
    if norm in (None, "backward"):
        result = result / (2 * size) if inverse else result
    elif norm == "forward":
        result = result if inverse else result / (2 * size)
    return wnp.moveaxis(result, -1, along)


def _turns(n: int, dtype: np.dtype) -> np.ndarray:
    """``exp(-πik/2n)``."""
    return np.exp(-0.5j * np.pi / n * np.arange(n)).astype(dtypes.complex_dtype(dtype))


def _weights(n: int, dtype: np.dtype) -> np.ndarray:
    """What makes the rows of the second kind orthonormal."""
    weights = np.full(n, math.sqrt(1 / (2 * n)))
    weights[0] = math.sqrt(1 / (4 * n))
    return weights.astype(dtype)


def _second(x: Value, norm: str | None) -> Value:
    n, dtype = x.shape[-1], dtype_of(x)
    ordered = wnp.concatenate([x[..., ::2], wnp.flip(x[..., 1::2], -1)], -1)
    result = 2 * wnp.real(wnp.fft.fft(ordered) * _turns(n, dtype))
    return result * _weights(n, dtype) if norm == "ortho" else result


def _third(x: Value, norm: str | None) -> Value:
    n, dtype = x.shape[-1], dtype_of(x)
    if norm == "ortho":  # the transpose of an orthogonal matrix
        x = x / (2 * n * _weights(n, dtype))
    # The inverse of the second kind, times 2n.
    mirrored = wnp.concatenate([wnp.zeros_like(x[..., :1]), wnp.flip(x[..., 1:], -1)], -1)
    spectrum = (x - 1j * mirrored) * np.conj(_turns(n, dtype))
    ordered = wnp.real(wnp.fft.ifft(spectrum)) * n
    half = (n + 1) // 2
    index = np.empty(n, np.int32)
    index[::2], index[1::2] = np.arange(half), np.arange(n - 1, half - 1, -1)
    return wnp.take(ordered, index, axis=-1)
