"""`weft.numpy.fft`: discrete Fourier transforms with NumPy's names, and the Array API's.

All transforms can be jitted, differentiated and batched, and take any length and any axes.
float64 and complex128 are transformed in double precision; everything else, integers and 16-bit
floats included, in single precision.

`norm` says which direction is divided by the number n of elements: the inverse for ``"backward"``
(the default), the other one for ``"forward"``, and for ``"ortho"`` both, by its square root.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import lax
from weft.array.calls import at_once
from weft.core import dtypes
from weft.lax import fourier as _fourier  # noqa: F401 registers the portable form
from weft.numpy._common import (
    ArrayLike,
    DType,
    Value,
    canonical_axis,
    check_arraylike,
    dtype_of,
    shape_of,
)
from weft.numpy.classify import conj
from weft.numpy.creation import asarray, check_device
from weft.numpy.shaping import roll
from weft.primitives import fft as primitive
from weft.primitives.fft import FftType, half_length

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]

Axes = Sequence[int] | None
Sizes = Sequence[int] | None

#: Which directions are scaled: what is wanted of the transform to the spectrum, and of the inverse.
_NORMS = ("backward", "ortho", "forward")
_OPPOSITE = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _norm(name: str, norm: str | None) -> str:
    if norm is None:
        return "backward"
    if norm not in _NORMS:
        raise ValueError(
            f"weft.numpy.fft.{name}: norm is 'backward', 'ortho' or 'forward', got {norm!r}"
        )
    return norm


def _operand(name: str, a: ArrayLike, kind: FftType) -> Value:
    """`a` in a dtype that the transform takes."""
    check_arraylike(f"fft.{name}", a)
    dtype = dtype_of(a)
    wide = dtype in (np.float64, np.complex128)
    if kind is not FftType.RFFT:
        return asarray(a, dtypes.complex128 if wide else dtypes.complex64)
    if dtypes.is_complex(dtype):
        raise TypeError(
            f"weft.numpy.fft.{name}: argument 0 must be real, got {dtype}; use "
            f"{name.replace('rfft', 'fft').replace('ihfft', 'ifft')}, or its real part (a.real)"
        )
    return asarray(a, np.float64 if wide else np.float32)


def _one_axis(
    name: str, kind: FftType, a: ArrayLike, n: int | None, axis: int, norm: str | None
) -> Value:
    """A transform of one axis."""
    check_arraylike(f"fft.{name}", a)
    if not shape_of(a):
        raise ValueError(f"weft.numpy.fft.{name}: argument 0 needs an axis, it is a scalar")
    s = None if n is None else (n,)
    return _transformed(name, kind, a, s, (operator.index(axis),), norm)


def _transformed(
    name: str, kind: FftType, a: ArrayLike, s: Sizes, axes: Axes, norm: str | None
) -> Value:
    norm = _norm(name, norm)
    x = _operand(name, a, kind)
    found = _axes(name, x, s, axes)
    if not found:
        return x
    sizes = _sizes(name, kind, x, s, found)
    for axis, n in zip(found, sizes, strict=True):
        is_half = kind is FftType.IRFFT and axis == found[-1]
        x = _fitted(x, axis, half_length(n) if is_half else n)
    result = primitive.fft(x, kind, found, sizes)
    count = math.prod(sizes)
    if norm == "ortho":
        factor = math.sqrt(count) if kind.inverse else 1 / math.sqrt(count)
    else:
        factor = {"backward": 1.0, "forward": count if kind.inverse else 1 / count}[norm]
    return result if factor == 1 else result * factor


def _axes(name: str, x: Value, s: Sizes, axes: Axes) -> tuple[int, ...]:
    """The axes to transform; without `axes` all of them, or the last ones if there are sizes."""
    ndim = len(shape_of(x))
    if axes is None:
        count = ndim if s is None else len(s)
        axes = range(ndim - count, ndim)
        if count > ndim:
            raise ValueError(
                f"weft.numpy.fft.{name}: s={tuple(s or ())} has sizes for {count} axes, the array "
                f"has {ndim}"
            )
    found = tuple(canonical_axis(f"fft.{name}", axis, ndim) for axis in axes)
    if len(set(found)) != len(found):
        raise ValueError(f"weft.numpy.fft.{name}: axes={tuple(axes)} has an axis twice")
    return found


def _sizes(name: str, kind: FftType, x: Value, s: Sizes, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The length of every transform: those of the array where `s` does not say, or says -1."""
    own = [shape_of(x)[axis] for axis in axes]
    if kind is FftType.IRFFT:
        own[-1] = 2 * (own[-1] - 1)
    if s is not None:
        if len(s) != len(axes):
            raise ValueError(
                f"weft.numpy.fft.{name}: s={tuple(s)} and axes={axes} must have as many elements"
            )
        given = map(operator.index, s)
        own = [size if n == -1 else n for n, size in zip(given, own, strict=True)]
    for n in own:
        if n < 1:
            raise ValueError(
                f"weft.numpy.fft.{name}: a transform has at least one element, got {n}; say "
                "how many with n= or s="
            )
    return tuple(own)


def _fitted(x: Value, axis: int, size: int) -> Value:
    """Cut at, or padded with zeros to, a size."""
    have = shape_of(x)[axis]
    if have > size:
        return lax.slice_in_dim(x, 0, size, axis=axis)
    if have == size:
        return x
    widths = [(0, size - have if d == axis else 0, 0) for d in range(len(shape_of(x)))]
    return lax.pad(x, np.zeros((), dtype_of(x)), widths)


# ---------------------------------------------------------------- one axis


@at_once
def fft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Value:
    """``X[k] = Σ_j a[j] exp(-2πi jk/n)`` along `axis`; complex.

    `a` is cut or padded with zeros to `n` elements.

    >>> fft(np.array([1., 0., 0., 0.]))
    Array([1.+0.j, 1.+0.j, 1.+0.j, 1.+0.j], dtype=complex64)
    """
    return _one_axis("fft", FftType.FFT, a, n, axis, norm)


@at_once
def ifft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Value:
    """The inverse of `fft`: ``a[j] = Σ_k X[k] exp(2πi jk/n) / n`` along `axis`; complex.

    >>> ifft(np.array([10., -2. + 2j, -2., -2. - 2j])).real
    Array([1., 2., 3., 4.], dtype=float32)
    """
    return _one_axis("ifft", FftType.IFFT, a, n, axis, norm)


@at_once
def rfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Value:
    """The first ``n // 2 + 1`` elements of the spectrum of real numbers; the others are conjugates.

    >>> rfft(np.array([1., 2., 3., 4.]))
    Array([10.+0.j, -2.+2.j, -2.+0.j], dtype=complex64)
    """
    return _one_axis("rfft", FftType.RFFT, a, n, axis, norm)


@at_once
def irfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Value:
    """The `n` real numbers of which `a` is half of the spectrum; the inverse of `rfft`.

    `n` is ``2 * (size - 1)`` by default, so that it has to be given where it is odd. Imaginary
    parts of elements that are their own conjugates are not read.

    >>> irfft(np.array([10., -2. + 2j, -2.]))
    Array([1., 2., 3., 4.], dtype=float32)
    """
    return _one_axis("irfft", FftType.IRFFT, a, n, axis, norm)


@at_once
def hfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Value:
    """The real spectrum, of `n` elements, of a Hermitian signal of which `a` is the first half.

    >>> hfft(np.array([10., -2. + 2j, -2.])) / 4
    Array([1., 4., 3., 2.], dtype=float32)
    """
    check_arraylike("fft.hfft", a)
    return _one_axis("hfft", FftType.IRFFT, conj(a), n, axis, _OPPOSITE[_norm("hfft", norm)])


@at_once
def ihfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Value:
    """The first half of the Hermitian signal that has the real spectrum `a`; inverse of `hfft`.

    >>> hfft(ihfft(np.array([1., 4., 3., 2.])))
    Array([1., 4., 3., 2.], dtype=float32)
    """
    return conj(_one_axis("ihfft", FftType.RFFT, a, n, axis, _OPPOSITE[_norm("ihfft", norm)]))


# ---------------------------------------------------------------- several axes


@at_once
def fftn(a: ArrayLike, s: Sizes = None, axes: Axes = None, norm: str | None = None) -> Value:
    """`fft` over several axes.

    `axes` are the last ``len(s)``, or all if there is no `s` either; ``-1`` in `s` is the size that
    the array has.

    >>> fftn(np.ones((2, 2)))
    Array([[4.+0.j, 0.+0.j],
           [0.+0.j, 0.+0.j]], dtype=complex64)
    """
    return _transformed("fftn", FftType.FFT, a, s, axes, norm)


@at_once
def ifftn(a: ArrayLike, s: Sizes = None, axes: Axes = None, norm: str | None = None) -> Value:
    """`ifft` over several axes, which are chosen as in `fftn`.

    >>> np.fft.ifftn(np.ones((2, 2))).real
    Array([[1., 0.],
           [0., 0.]], dtype=float32)
    """
    return _transformed("ifftn", FftType.IFFT, a, s, axes, norm)


@at_once
def rfftn(a: ArrayLike, s: Sizes = None, axes: Axes = None, norm: str | None = None) -> Value:
    """`rfft` over the last of `axes`, then `fft` over the others; axes are chosen as in `fftn`.

    >>> np.fft.rfftn(np.ones((2, 2))).real
    Array([[4., 0.],
           [0., 0.]], dtype=float32)
    """
    return _transformed("rfftn", FftType.RFFT, a, s, axes, norm)


@at_once
def irfftn(a: ArrayLike, s: Sizes = None, axes: Axes = None, norm: str | None = None) -> Value:
    """`ifft` over all but the last of `axes`, then `irfft` over that; the inverse of `rfftn`.

    >>> np.fft.irfftn(np.ones((2, 2)))
    Array([[1., 0.],
           [0., 0.]], dtype=float32)
    """
    return _transformed("irfftn", FftType.IRFFT, a, s, axes, norm)


def _two(name: str, kind: FftType, a: ArrayLike, s: Sizes, axes: Axes, norm: str | None) -> Value:
    if axes is None or len(axes) != 2:
        raise ValueError(f"weft.numpy.fft.{name}: axes are two, got {axes!r}")
    return _transformed(name, kind, a, s, axes, norm)


@at_once
def fft2(a: ArrayLike, s: Sizes = None, axes: Axes = (-2, -1), norm: str | None = None) -> Value:
    """`fftn` over two axes.

    >>> np.fft.fft2(np.ones((2, 2))).real
    Array([[4., 0.],
           [0., 0.]], dtype=float32)
    """
    return _two("fft2", FftType.FFT, a, s, axes, norm)


@at_once
def ifft2(a: ArrayLike, s: Sizes = None, axes: Axes = (-2, -1), norm: str | None = None) -> Value:
    """`ifftn` over two axes.

    >>> np.fft.ifft2(np.ones((2, 2))).real
    Array([[1., 0.],
           [0., 0.]], dtype=float32)
    """
    return _two("ifft2", FftType.IFFT, a, s, axes, norm)


@at_once
def rfft2(a: ArrayLike, s: Sizes = None, axes: Axes = (-2, -1), norm: str | None = None) -> Value:
    """`rfftn` over two axes.

    >>> np.fft.rfft2(np.ones((2, 2))).real
    Array([[4., 0.],
           [0., 0.]], dtype=float32)
    """
    return _two("rfft2", FftType.RFFT, a, s, axes, norm)


@at_once
def irfft2(a: ArrayLike, s: Sizes = None, axes: Axes = (-2, -1), norm: str | None = None) -> Value:
    """`irfftn` over two axes.

    >>> np.fft.irfft2(np.ones((2, 2)))
    Array([[1., 0.],
           [0., 0.]], dtype=float32)
    """
    return _two("irfft2", FftType.IRFFT, a, s, axes, norm)


# ---------------------------------------------------------------- frequencies


def _frequencies(name: str, n: int, d: ArrayLike, dtype: DType, device: Any, half: bool) -> Value:
    try:
        count = operator.index(n)
    except TypeError:
        raise TypeError(f"weft.numpy.fft.{name}: n is an int, got {n!r}") from None
    if count < 1:
        raise ValueError(f"weft.numpy.fft.{name}: n is at least 1, got {count}")
    check_device(f"fft.{name}", device)
    wanted = np.dtype(np.float32) if dtype is None else dtypes.canonical_dtype(dtype)
    numbers = np.arange(count // 2 + 1) if half else np.fft.fftfreq(count, 1 / count)
    if isinstance(d, int | float):
        return asarray(np.asarray(numbers / (count * d)), wanted)
    return asarray(np.asarray(numbers), wanted) / (count * asarray(d, wanted))


def fftfreq(n: int, d: ArrayLike = 1.0, *, dtype: DType = None, device: Any = None) -> Value:
    """The frequency of each element of a spectrum of `n` samples that are `d` apart.

    >>> fftfreq(4, 0.5)
    Array([ 0. ,  0.5, -1. , -0.5], dtype=float32)
    """
    return _frequencies("fftfreq", n, d, dtype, device, half=False)


def rfftfreq(n: int, d: ArrayLike = 1.0, *, dtype: DType = None, device: Any = None) -> Value:
    """The frequency of each element of what `rfft` gives for `n` samples that are `d` apart.

    >>> rfftfreq(4, 0.5)
    Array([0. , 0.5, 1. ], dtype=float32)
    """
    return _frequencies("rfftfreq", n, d, dtype, device, half=True)


def _shifted(name: str, x: ArrayLike, axes: int | Axes, sign: int) -> Value:
    check_arraylike(f"fft.{name}", x)
    shape = shape_of(x)
    if axes is None:
        axes = range(len(shape))
    numbers = [operator.index(axes)] if isinstance(axes, int | np.integer) else list(axes)
    numbers = [canonical_axis(f"fft.{name}", axis, len(shape)) for axis in numbers]
    return roll(x, [sign * (shape[axis] // 2) for axis in numbers], numbers)


@at_once
def fftshift(x: ArrayLike, axes: int | Axes = None) -> Value:
    """With frequency 0 in the middle of every axis (or of `axes`).

    >>> fftshift(fftfreq(5, 0.2))
    Array([-2., -1.,  0.,  1.,  2.], dtype=float32)
    """
    # ⌊n/2⌋ places forward, so that element 0 comes to lie at n // 2.
    return _shifted("fftshift", x, axes, 1)


@at_once
def ifftshift(x: ArrayLike, axes: int | Axes = None) -> Value:
    """The inverse of `fftshift`, which it differs from for odd sizes.

    >>> ifftshift(fftshift(fftfreq(5, 0.2)))
    Array([ 0.,  1.,  2., -2., -1.], dtype=float32)
    """
    return _shifted("ifftshift", x, axes, -1)
