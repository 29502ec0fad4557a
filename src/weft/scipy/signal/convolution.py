"""Convolutions of any number of axes: by sums of products, or by Fourier transforms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import weft.numpy as wnp
from weft import lax
from weft.core import dtypes
from weft.numpy._common import ArrayLike, Value, canonical_axis, dtype_of, promote, promote_inexact

_MODES = ("full", "same", "valid")
#: Products of a convolution for which Fourier transforms are worth their start.
_MANY_PRODUCTS = 1 << 22


def _pair(name: str, in1: ArrayLike, in2: ArrayLike, mode: str) -> tuple[Value, Value]:
    if mode not in _MODES:
        raise ValueError(
            f"weft.scipy.signal.{name}: mode is 'full', 'same' or 'valid', got {mode!r}"
        )
    a, b = (wnp.asarray(x) for x in promote(f"scipy.signal.{name}", in1, in2))
    if a.ndim != b.ndim:
        raise ValueError(
            f"weft.scipy.signal.{name}: both inputs have as many axes, got shapes {a.shape} and "
            f"{b.shape}"
        )
    if not a.size or not b.size:
        raise ValueError(
            f"weft.scipy.signal.{name}: inputs have elements, got shapes {a.shape} and {b.shape}"
        )
    return a, b


def _ordered(name: str, a: Value, b: Value, axes: Sequence[int]) -> tuple[Value, Value]:
    """For ``"valid"``: the larger one first, which makes no difference to the result."""
    larger = [a.shape[d] >= b.shape[d] for d in axes]
    if all(larger):
        return a, b
    if all(a.shape[d] <= b.shape[d] for d in axes):
        return b, a
    raise ValueError(
        f"weft.scipy.signal.{name}: mode='valid' needs one input that is at least as large along "
        f"every axis, got shapes {a.shape} and {b.shape}"
    )


def _slid(a: Value, b: Value) -> Value:
    """Sums of products of `a` with `b` reversed, wherever `b` fits inside."""
    spatial = a.ndim
    if not spatial:
        return a * b
    exact = not dtypes.is_inexact(dtype_of(a))
    flipped = wnp.flip(b)[None, None]
    out = lax.conv_general_dilated(
        a[None, None],
        flipped,
        (1,) * spatial,
        [(0, 0)] * spatial,
        preferred_element_type=dtype_of(a) if exact else None,
    )
    return out[0, 0]


def _centred(full: Value, shape: Sequence[int], late: bool = False) -> Value:
    """The middle of a full convolution, of a given shape; of two, the later one if `late`."""
    starts = [(n - m + late) // 2 for n, m in zip(full.shape, shape, strict=True)]
    return full[tuple(slice(s, s + m) for s, m in zip(starts, shape, strict=True))]


def _direct(name: str, a: Value, b: Value, mode: str) -> Value:
    if mode == "valid":
        return _slid(*_ordered(name, a, b, range(a.ndim)))
    full = _slid(wnp.pad(a, [(n - 1, n - 1) for n in b.shape]) if a.ndim else a, b)
    return full if mode == "full" else _centred(full, a.shape)


def _either(name: str, a: Value, b: Value, mode: str, method: str) -> Value:
    if method not in ("auto", "direct", "fft"):
        raise ValueError(
            f"weft.scipy.signal.{name}: method is 'auto', 'direct' or 'fft', got {method!r}"
        )
    many = math.prod(a.shape) * math.prod(b.shape) > _MANY_PRODUCTS
    if method == "fft" or (method == "auto" and many and dtypes.is_inexact(dtype_of(a))):
        return fftconvolve(a, b, mode)
    return _direct(name, a, b, mode)


def convolve(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    method: str = "auto",
    precision: Any = None,
) -> Value:
    """The convolution of arrays with as many axes.

    `mode` is ``"full"``, ``"same"`` (the middle, of the shape of `in1`) or ``"valid"`` (without
    the borders, where arrays overlap in part). `method` is ``"direct"``, ``"fft"``, or ``"auto"``,
    which takes the second for large floating-point arrays. `precision` is not used.

    >>> weft.scipy.signal.convolve(np.array([1., 2., 3.]), np.array([1., 1.]))
    Array([1., 3., 5., 3.], dtype=float32)
    """
    del precision
    a, b = _pair("convolve", in1, in2, mode)
    return _either("convolve", a, b, mode, method)


def correlate(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    method: str = "auto",
    precision: Any = None,
) -> Value:
    """The cross-correlation: `convolve` with `in2` reversed and conjugated.

    >>> weft.scipy.signal.correlate(np.array([1., 2., 3.]), np.array([0., 1.]))
    Array([1., 2., 3., 0.], dtype=float32)
    """
    del precision
    a, b = _pair("correlate", in1, in2, mode)
    return _either("correlate", a, wnp.conj(wnp.flip(b)), mode, method)


def _planes(name: str, in1: ArrayLike, in2: ArrayLike, mode: str) -> tuple[Value, Value]:
    a, b = _pair(name, in1, in2, mode)
    if a.ndim != 2:
        raise ValueError(f"weft.scipy.signal.{name}: inputs have two axes, got shape {a.shape}")
    return a, b


def _with_boundary(
    name: str, a: Value, b: Value, mode: str, boundary: str, fillvalue: Any, late: bool = False
) -> Value:
    modes = {"fill": "constant", "wrap": "wrap", "symm": "symmetric"}
    if boundary not in modes:
        raise ValueError(
            f"weft.scipy.signal.{name}: boundary is 'fill', 'wrap' or 'symm', got {boundary!r}"
        )
    if mode == "valid":
        return _slid(*_ordered(name, a, b, (0, 1)))
    options = {"constant_values": fillvalue} if boundary == "fill" else {}
    padded = wnp.pad(a, [(n - 1, n - 1) for n in b.shape], mode=modes[boundary], **options)
    full = _slid(padded, b)
    return full if mode == "full" else _centred(full, a.shape, late)


def convolve2d(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    boundary: str = "fill",
    fillvalue: ArrayLike = 0,
    precision: Any = None,
) -> Value:
    """The convolution of matrices; beyond its border `in1` is `fillvalue` (``boundary="fill"``),
    comes again (``"wrap"``) or is mirrored (``"symm"``).

    >>> weft.scipy.signal.convolve2d(np.ones((2, 2)), np.ones((2, 2)))
    Array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]], dtype=float32)
    """
    del precision
    a, b = _planes("convolve2d", in1, in2, mode)
    return _with_boundary("convolve2d", a, b, mode, boundary, fillvalue)


def correlate2d(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    boundary: str = "fill",
    fillvalue: ArrayLike = 0,
    precision: Any = None,
) -> Value:
    """The cross-correlation of matrices; arguments are those of `convolve2d`.

    >>> weft.scipy.signal.correlate2d(np.ones((2, 2)), np.ones((2, 2)), mode="valid")
    Array([[4.]], dtype=float32)
    """
    del precision
    a, b = _planes("correlate2d", in1, in2, mode)
    b = wnp.conj(wnp.flip(b))
    return _with_boundary("correlate2d", a, b, mode, boundary, fillvalue, late=True)


def _fast_length(n: int) -> int:
    """The least length from n on that has no prime factors but 2, 3 and 5."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def fftconvolve(
    in1: ArrayLike, in2: ArrayLike, mode: str = "full", axes: Sequence[int] | int | None = None
) -> Value:
    """`convolve` by Fourier transforms, over `axes`; the other axes broadcast.

    Integers are taken as float32.

    >>> weft.scipy.signal.fftconvolve(np.array([1., 2., 3.]), np.array([1., 1.])).round(3)
    Array([1., 3., 5., 3.], dtype=float32)
    """
    first, second = promote_inexact("scipy.signal.fftconvolve", in1, in2)
    a, b = _pair("fftconvolve", first, second, mode)
    if not a.ndim:
        return a * b
    given = range(a.ndim) if axes is None else [axes] if isinstance(axes, int) else axes
    found = [canonical_axis("scipy.signal.fftconvolve", d, a.ndim) for d in given]
    if not found:
        raise ValueError("weft.scipy.signal.fftconvolve: axes has at least one axis")
    if mode == "valid":
        a, b = _ordered("fftconvolve", a, b, found)
    full = [a.shape[d] + b.shape[d] - 1 for d in found]
    sizes = [_fast_length(n) for n in full]
    wide = dtype_of(a)
    if dtypes.is_complex(wide):
        product = wnp.fft.fftn(a, sizes, found) * wnp.fft.fftn(b, sizes, found)
        result = wnp.fft.ifftn(product, sizes, found)
    else:
        product = wnp.fft.rfftn(a, sizes, found) * wnp.fft.rfftn(b, sizes, found)
        result = wnp.fft.irfftn(product, sizes, found).astype(wide)
    for d, n in zip(found, full, strict=True):
        start, size = 0, n
        if mode == "same":
            start, size = (n - a.shape[d]) // 2, a.shape[d]
        elif mode == "valid":
            start, size = b.shape[d] - 1, a.shape[d] - b.shape[d] + 1
        result = lax.slice_in_dim(result, start, start + size, axis=d)
    return result
