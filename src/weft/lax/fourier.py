"""``lax.fft``: Fourier transforms over the last axes."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np

from weft.core import dtypes
from weft.core.avals import aval_of
from weft.lax.operands import ArrayLike, Value, operand
from weft.lax.portable import fourier as _portable  # noqa: F401 registers the portable form
from weft.primitives import fft as primitive
from weft.primitives.convert import convert_element_type
from weft.primitives.fft import FftType


def fft(x: ArrayLike, fft_type: FftType | str, fft_lengths: Sequence[int] | int) -> Value:
    """The discrete Fourier transform over the last ``len(fft_lengths)`` axes.

    `fft_type` is `FftType.FFT`, ``IFFT`` (both of complex arrays), ``RFFT`` (of real ones, to half
    of their spectrum along the last axis) or ``IRFFT`` (its inverse), or a name of theirs.
    `fft_lengths` are the lengths of the axes, of the whole spectrum for the last. Inverse
    transforms are divided by the product of the lengths.

    float32 goes with complex64, float64 with complex128; integers and 16-bit floats are taken as
    float32. Raises ``ValueError`` for axes of other sizes and for complex operands of ``RFFT``.

    >>> lax.fft(np.array([1., 0., 0., 0.]), "rfft", (4,))
    Array([1.+0.j, 1.+0.j, 1.+0.j], dtype=complex64)
    """
    a = operand("fft", x)
    kind = _kind(fft_type)
    try:
        lengths = tuple(map(operator.index, _listed(fft_lengths)))
    except TypeError:
        raise TypeError(
            f"lax.fft: fft_lengths is a sequence of ints, got {fft_lengths!r}."
        ) from None
    aval = aval_of(a)
    if not 1 <= len(lengths) <= aval.ndim:
        raise ValueError(
            f"lax.fft: fft_lengths={lengths} names {len(lengths)} axes of an operand {aval}."
        )
    a = convert_element_type(a, _operand_dtype(kind, aval.dtype))
    axes = tuple(range(aval.ndim - len(lengths), aval.ndim))
    return primitive.fft(a, kind, axes, lengths)


def _listed(lengths: Sequence[int] | int) -> Sequence[int]:
    return (lengths,) if isinstance(lengths, int | np.integer) else lengths


def _kind(fft_type: FftType | str) -> FftType:
    if isinstance(fft_type, FftType):
        return fft_type
    try:
        return FftType[fft_type.upper()]
    except (AttributeError, KeyError):
        names = ", ".join(kind.name for kind in FftType)
        raise ValueError(f"lax.fft: fft_type is one of {names}, got {fft_type!r}.") from None


def _operand_dtype(kind: FftType, dtype: np.dtype) -> np.dtype:
    """What a transform of this kind takes an array of `dtype` as."""
    wide = dtype in (np.float64, np.complex128)
    if kind is not FftType.RFFT:
        return dtypes.complex128 if wide else dtypes.complex64
    if dtypes.is_complex(dtype):
        raise ValueError(
            f"lax.fft: RFFT takes real numbers, got {dtype}; use FFT, or the real part "
            "(lax.real(x))."
        )
    return np.dtype(np.float64 if wide else np.float32)
