"""Fourier transforms over any axes: complex, and between real numbers and half of a spectrum.

The spectrum of real numbers is Hermitian, ``X[n - k] = conj(X[k])``, so that the last axis of the
transform needs ``n // 2 + 1`` of its elements: `RFFT` computes those and `IRFFT` takes them back.
Transforms to a spectrum are unscaled, inverse ones are divided by the number of elements.

All four are linear. In the convention that cotangents pair with values as ``Re(ct * z)``, a complex
transform is its own transpose; see `_rfft_transpose` and `_irfft_transpose` for the others.
"""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from weft.config import config
from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.primitive import Primitive
from weft.primitives.arithmetic import mul
from weft.primitives.complex import COMPLEX, PART, conj
from weft.primitives.convert import convert_element_type
from weft.primitives.routines import Price, def_routine
from weft.primitives.rules import (
    Axes,
    Batched,
    Dims,
    Shape,
    Value,
    Values,
    check_accepts,
    check_axes,
    def_linear,
    dtype_of,
    shape_of,
)
from weft.primitives.shaping import broadcast_in_dim, full
from weft.structs import struct
from weft.terms.lower import Lowering
from weft.terms.tensor import AnyTensor


class FftType(enum.Enum):
    """What a transform takes and gives.

    ``FFT`` and ``IFFT`` are complex; ``RFFT`` takes real numbers and gives half of their spectrum,
    ``IRFFT`` is its inverse.
    """

    FFT = "fft"
    IFFT = "ifft"
    RFFT = "rfft"
    IRFFT = "irfft"

    @property
    def inverse(self) -> bool:
        """Whether it goes from a spectrum back."""
        return self in (FftType.IFFT, FftType.IRFFT)


fft_p = Primitive("fft")


def fft(x: Value, kind: FftType, axes: Sequence[int], lengths: Sequence[int]) -> Value:
    """The transform of `x` over `axes`, of which the last is the one that is halved.

    `lengths` are those of the axes, that of the last before it is halved.
    """
    return fft_p.bind(x, kind=kind, axes=tuple(axes), lengths=tuple(lengths))


@fft_p.def_type
def _(x: ShapedArray, *, kind: FftType, axes: Axes, lengths: Shape) -> ShapedArray:
    check_axes("fft", x, axes)
    if not axes or len(axes) != len(lengths):
        raise ValueError(
            f"fft needs a length for each of at least one axis, got axes={axes} and "
            f"lengths={lengths}."
        )
    check_accepts("fft", PART if kind is FftType.RFFT else COMPLEX, x)
    halved = (*lengths[:-1], half_length(lengths[-1]))
    given = tuple(x.shape[axis] for axis in axes)
    wanted = halved if kind is FftType.IRFFT else lengths
    if given != wanted:
        raise ValueError(
            f"fft of {x} as {kind.name} over axes {axes} with lengths={lengths} needs axes of "
            f"sizes {wanted}, got {given}. Cut or pad the operand first."
        )
    result = {FftType.RFFT: halved, FftType.IRFFT: lengths}.get(kind, lengths)
    shape = list(x.shape)
    for axis, n in zip(axes, result, strict=True):
        shape[axis] = n
    dtype = x.dtype
    if kind is FftType.RFFT:
        dtype = dtypes.complex_dtype(dtype)
    elif kind is FftType.IRFFT:
        dtype = dtypes.real_dtype(dtype)
    return ShapedArray(tuple(shape), dtype)


def half_length(n: int) -> int:
    """How many elements of the spectrum of n real numbers tell the others."""
    return n // 2 + 1 if n else 0


@fft_p.def_numpy
def _(x: np.ndarray, *, kind: FftType, axes: Axes, lengths: Shape) -> np.ndarray:
    if 0 in lengths or not x.size:
        aval = fft_p.out_avals(
            ShapedArray(x.shape, x.dtype), kind=kind, axes=axes, lengths=lengths
        )[0]
        return np.zeros(aval.shape, aval.dtype)
    function = getattr(np.fft, f"{kind.value}n")
    with np.errstate(all="ignore"):
        return np.asarray(function(x, s=lengths, axes=axes))


def _transpose(ct: Value, x: Any, *, kind: FftType, axes: Axes, lengths: Shape) -> Value:
    if kind is FftType.RFFT:
        return _rfft_transpose(ct, axes, lengths)
    if kind is FftType.IRFFT:
        return _irfft_transpose(ct, axes, lengths)
    return fft(ct, kind, axes, lengths)


def _rfft_transpose(ct: Value, axes: Axes, lengths: Shape) -> Value:
    # Re Σ_k ct_k exp(-2πi jk/n) is the sum over the Hermitian spectrum of which conj(ct) is half,
    # but for elements that are there twice.
    count = float(math.prod(lengths))
    spectrum = mul(conj(ct), _once_or_twice(ct, axes[-1], lengths[-1], (count, count / 2)))
    return fft(spectrum, FftType.IRFFT, axes, lengths)


def _irfft_transpose(ct: Value, axes: Axes, lengths: Shape) -> Value:
    count = float(math.prod(lengths))
    spectrum = conj(fft(ct, FftType.RFFT, axes, lengths))
    return mul(spectrum, _once_or_twice(spectrum, axes[-1], lengths[-1], (1 / count, 2 / count)))


def _once_or_twice(like: Value, axis: int, n: int, factors: tuple[float, float]) -> Value:
    """One factor where an element of half a spectrum of length n stands for itself, another where
    it stands for its conjugate as well."""
    weights = np.full(half_length(n), factors[1], dtypes.real_dtype(dtype_of(like)))
    if n:
        weights[0] = factors[0]
        if n % 2 == 0:
            weights[-1] = factors[0]
    return broadcast_in_dim(convert_element_type(weights, dtype_of(like)), shape_of(like), (axis,))


def_linear(fft_p, _transpose)


@fft_p.def_batch
def _(
    axis_size: int, args: Values, dims: Dims, *, kind: FftType, axes: Axes, lengths: Shape
) -> Batched:
    (x,), (batched,) = args, dims
    moved = tuple(axis + (axis >= batched) for axis in axes)
    return fft(x, kind, moved, lengths), batched


# ---------------------------------------------------------------- forms

#: Numbers up to which NumPy is as fast as SciPy, whose import takes 50 ms.
FEW = 1 << 12


@struct(frozen=True)
class FftRoutine:
    """The transform by SciPy with at most so many threads, of few numbers by NumPy."""

    #: It keeps none of the arrays (see `HostCallback`).
    borrows: ClassVar[bool] = True

    kind: FftType
    axes: Axes
    lengths: Shape
    workers: int

    def __str__(self) -> str:
        return self.kind.value

    def __call__(self, x: np.ndarray) -> list[np.ndarray]:
        where: Any
        name, where = self.kind.value, (self.lengths, self.axes)
        if len(self.axes) == 1:  # which is checked in half the time
            where = self.lengths[0], self.axes[0]
        else:
            name += "n"
        if x.size <= FEW:
            return [getattr(np.fft, name)(x, *where)]
        import scipy.fft

        return [getattr(scipy.fft, name)(x, *where, workers=self.workers)]


#: Prime factors up to this are sums of so many products; lengths with greater ones are convolved.
LARGEST_RADIX = 64
#: What a pass of the portable form transforms at a time is about this long.
_USUAL_RADIX = 20


@functools.cache
def radices(n: int) -> tuple[int, ...] | None:
    """Factors of n, of about equal size, by which the portable form transforms in turn.

    None if a prime factor is too large for sums of so many products.

    >>> radices(1024), radices(1000), radices(97)
    ((16, 8, 8), (10, 10, 10), None)
    """
    primes = _prime_factors(n)
    if primes and primes[-1] > LARGEST_RADIX:
        return None
    factors = [1] * max(1, math.ceil(math.log(max(n, 1)) / math.log(_USUAL_RADIX) - 1e-9))
    for prime in reversed(primes):
        factors[factors.index(min(factors))] *= prime
    return tuple(sorted((r for r in factors if r > 1), reverse=True))


def _prime_factors(n: int) -> list[int]:
    """Ascending."""
    found = []
    divisor = 2
    while divisor * divisor <= n:
        while n % divisor == 0:
            found.append(divisor)
            n //= divisor
        divisor += 1
    return [*found, n] if n > 1 else found


def convolved_length(n: int) -> int:
    """The power of two at which a transform of length n is a cyclic convolution (Bluestein)."""
    return 1 << (2 * n - 2).bit_length()


#: Seconds of a call of SciPy from compiled code, of copying an element there and back, and of its
#: work for each element and halving: in vectors along a batch, and for few transforms.
_CALL, _COPY, _VECTOR, _SINGLE = 12e-6, 1.5e-9, 0.15e-9, 0.5e-9
#: Seconds until the portable form starts, of its pass over an element, and of each product there.
_START, _PASS, _PRODUCT = 2e-6, 1.5e-9, 0.07e-9
#: Transforms that take longer are shared by threads.
_WORTH_SHARING = 200e-6


def _price(x: AnyTensor, *, kind: FftType, axes: Axes, lengths: Shape) -> Price:
    elements = x.size * (0.5 if kind is FftType.RFFT else 1)
    halvings = math.log2(max(2, math.prod(lengths)))
    work = _VECTOR if x.size >= 8 * max(lengths) else _SINGLE
    return Price(
        _CALL + elements * (_COPY + halvings * work),
        _START + elements * sum(map(_portable_price, lengths)),
    )


def _portable_price(n: int) -> float:
    """Seconds for an element of a transform of length n."""
    factors = radices(n)
    if factors is None:
        longer = convolved_length(n)
        return longer / n * (2 * _portable_price(longer) + 4 * _PASS)
    return sum(_PASS + _PRODUCT * r for r in factors)


def _library(
    ctx: Lowering, x: AnyTensor, *, kind: FftType, axes: Axes, lengths: Shape
) -> Sequence[AnyTensor]:
    price = _price(x, kind=kind, axes=axes, lengths=lengths)
    workers = config.threads if price.library > _WORTH_SHARING else 1
    return ctx.call(FftRoutine(kind, axes, lengths, workers), (x,), ctx.out_avals)


def _empty(x: Value, *, kind: FftType, axes: Axes, lengths: Shape) -> list[Value]:
    aval = ShapedArray(shape_of(x), dtype_of(x))
    (out,) = fft_p.out_avals(aval, kind=kind, axes=axes, lengths=lengths)
    return [full(out.shape, 0, out.dtype)]


def_routine(fft_p, _price, _library, _empty)
