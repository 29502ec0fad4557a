"""Images of other sizes: resampling by products with matrices of weights, as in `jax.image`.

Every axis is resampled by itself: the result along it is a matrix, of one kernel's values around
each sample, times the image. So it differentiates, also in scale and translation.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft import lax
from weft import numpy as wnp
from weft.core import dtypes
from weft.lax.precision import Precision, check_precision
from weft.numpy._common import (
    ArrayLike,
    Value,
    canonical_axis,
    canonical_shape,
    check_arraylike,
    promote_inexact,
    shape_of,
)

__all__ = ["ResizeMethod", "resize", "scale_and_translate"]


class ResizeMethod(enum.Enum):
    """How pixels between pixels are made, by name or as member.

    NEAREST: the nearest one. LINEAR: from both neighbours. CUBIC: Keys' cubic kernel with
    a = −0.5. CUBIC_PYTORCH: with a = −0.75 and repeated edges, where antialiasing is off. LANCZOS3,
    LANCZOS5: windowed sincs. AREA: the mean over the area of the pixel.
    """

    NEAREST = 0
    LINEAR = 1
    LANCZOS3 = 2
    LANCZOS5 = 3
    CUBIC = 4
    CUBIC_PYTORCH = 5
    AREA = 6

    @staticmethod
    def from_string(s: str) -> ResizeMethod:
        """The method of a name such as "linear" or "bicubic"."""
        if s not in _NAMES:
            raise ValueError(f"weft.image: the method is one of {sorted(_NAMES)}, got {s!r}")
        return _NAMES[s]


_NAMES = {
    "nearest": ResizeMethod.NEAREST,
    "linear": ResizeMethod.LINEAR,
    "bilinear": ResizeMethod.LINEAR,
    "trilinear": ResizeMethod.LINEAR,
    "triangle": ResizeMethod.LINEAR,
    "lanczos3": ResizeMethod.LANCZOS3,
    "lanczos5": ResizeMethod.LANCZOS5,
    "cubic": ResizeMethod.CUBIC,
    "bicubic": ResizeMethod.CUBIC,
    "tricubic": ResizeMethod.CUBIC,
    "cubic-pytorch": ResizeMethod.CUBIC_PYTORCH,
    "bicubic-pytorch": ResizeMethod.CUBIC_PYTORCH,
    "area": ResizeMethod.AREA,
}


def resize(
    image: ArrayLike,
    shape: Any,
    method: str | ResizeMethod,
    antialias: bool = True,
    precision: Any = Precision.HIGHEST,
) -> Value:
    """`image` with another shape, resampled along the axes whose size changes.

    Parameters
    ----------
    shape: with as many axes as `image`. method: see :class:`ResizeMethod`.
    antialias: when an axis shrinks, widen the kernel so that every pixel counts.
    precision: accepted for compatibility.

    Returns
    -------
    An array of that shape, floating-point but for "nearest".

    Raises
    ------
    ValueError: for another number of axes, and unknown methods.

    >>> weft.image.resize(np.asarray([0.0, 4.0]), (4,), "linear")
    Array([0., 1., 3., 4.], dtype=float32)
    """
    method = ResizeMethod.from_string(method) if isinstance(method, str) else method
    check_precision("weft.image.resize", precision)
    wanted = _checked_shape("resize", image, shape)
    own = shape_of(image)
    axes = [axis for axis, size in enumerate(wanted) if size != own[axis]]
    if method is ResizeMethod.NEAREST:
        image = wnp.asarray(image)
        for axis in axes:
            places = (np.arange(wanted[axis], dtype=np.float32) + 0.5) * np.float32(own[axis])
            index = np.floor(places / np.float32(wanted[axis])).astype(np.int32)
            image = wnp.take(image, index, axis, mode="clip")
        return image
    (image,) = promote_inexact("image.resize", image)
    scales = [wanted[axis] / own[axis] if wanted[axis] else 1.0 for axis in axes]
    return _resample(image, wanted, axes, scales, [0.0] * len(axes), method, antialias)


def scale_and_translate(
    image: ArrayLike,
    shape: Any,
    spatial_dims: Sequence[int],
    scale: ArrayLike,
    translation: ArrayLike,
    method: str | ResizeMethod,
    antialias: bool = True,
    precision: Any = Precision.HIGHEST,
) -> Value:
    """`image` scaled, then moved, along some of its axes, and seen through a frame of `shape`.

    The point x of the image gets to x · scale + translation; the first pixel reaches from 0 to 1.
    What comes from outside of the image is 0.

    Parameters
    ----------
    shape: with as many axes as `image`; the same sizes along other axes.
    spatial_dims: the axes. scale, translation: a number for each of them; they may be traced and
        differentiated.
    method: see :class:`ResizeMethod`; not "nearest".
    antialias, precision: as for :func:`resize`.

    >>> image = np.asarray([1.0, 2.0, 3.0])
    >>> scale, move = np.asarray([1.0]), np.asarray([1.0])
    >>> weft.image.scale_and_translate(image, (4,), (0,), scale, move, "linear")
    Array([0., 1., 2., 3.], dtype=float32)
    """
    name = "image.scale_and_translate"
    method = ResizeMethod.from_string(method) if isinstance(method, str) else method
    if method is ResizeMethod.NEAREST:
        raise ValueError(f"weft.{name} has no method 'nearest'; weft.image.resize has")
    check_precision("weft.image.scale_and_translate", precision)
    wanted = _checked_shape("scale_and_translate", image, shape)
    count = len(tuple(spatial_dims))
    scale, translation = promote_inexact(name, scale, translation)
    if shape_of(scale) != (count,) or shape_of(translation) != (count,):
        raise ValueError(
            f"weft.{name}: scale and translation have a number for each of {count} spatial_dims, "
            f"got shapes {shape_of(scale)} and {shape_of(translation)}"
        )
    (image,) = promote_inexact(name, image)
    axes = [canonical_axis(name, axis, len(wanted)) for axis in spatial_dims]
    scales, moves = ([x[i] for i in range(count)] for x in (scale, translation))
    return _resample(image, wanted, axes, scales, moves, method, antialias)


def _checked_shape(name: str, image: ArrayLike, shape: Any) -> tuple[int, ...]:
    check_arraylike(f"image.{name}", image)
    wanted = canonical_shape(f"image.{name}", shape)
    if len(wanted) != len(shape_of(image)):
        raise ValueError(
            f"weft.image.{name}: an image of shape {shape_of(image)} gets a shape with as many "
            f"axes, not {wanted}"
        )
    return wanted


def _resample(
    image: Value,
    shape: tuple[int, ...],
    axes: Sequence[int],
    scales: Sequence[Any],
    moves: Sequence[Any],
    method: ResizeMethod,
    antialias: bool,
) -> Value:
    result = wnp.asarray(image)
    precise = dtypes.promote_types(result.real.dtype, dtypes.float32)
    kind, _ = dtypes.result_type(np.zeros(1, precise), *scales, *moves)
    repeat_edges = method is ResizeMethod.CUBIC_PYTORCH and not antialias
    kernel = _keys_cubic if method is ResizeMethod.CUBIC_PYTORCH and antialias else _KERNELS[method]
    for axis, scale, move in zip(axes, scales, moves, strict=True):
        step = wnp.asarray(1.0 / wnp.asarray(scale, kind))
        weights = _weights(
            result.shape[axis], shape[axis], step, move, kernel, antialias, repeat_edges
        )
        product = wnp.tensordot(result, weights.astype(result.dtype), ((axis,), (0,)))
        result = wnp.moveaxis(product, -1, axis)
    return result


def _weights(
    size: int,
    wanted: int,
    step: Value,
    move: Any,
    kernel: Callable[[Value], Value] | None,
    antialias: bool,
    repeat_edges: bool,
) -> Value:
    """What each of `size` elements counts for each of `wanted` ones, `step` apart: a matrix."""
    kind = step.dtype
    pixels = wnp.arange(wanted, dtype=kind)
    samples = (pixels + 0.5 - move) * step - 0.5
    if repeat_edges:
        # Two elements beyond each edge, which are the edge again.
        beyond = np.arange(-2, size + 2)
        inside = np.clip(beyond, 0, size - 1)
        weights = _cubic(abs(samples - beyond[:, None].astype(kind)), -0.75)
        matrix = wnp.zeros((size, wanted), kind)
        return _normalized(matrix.at[inside].add(weights))
    places = wnp.arange(size, dtype=kind)[:, None]
    if kernel is None:
        left = (pixels - move) * step
        overlap = wnp.minimum(left + step, places + 1) - wnp.maximum(left, places)
        weights = wnp.maximum(overlap, 0)
    else:
        width = wnp.maximum(step, 1) if antialias else wnp.asarray(1, kind)
        weights = kernel(abs(samples - places) / width)
    seen = (samples >= -0.5) & (samples <= size - 0.5)
    return wnp.where(seen, _normalized(weights), 0)


def _normalized(weights: Value) -> Value:
    """Weights with sum 1 in every column, or 0 where there are none."""
    total = wnp.sum(weights, 0, keepdims=True)
    some = abs(total) > 1000 * float(np.finfo(np.float32).eps)
    return wnp.where(some, weights / wnp.where(some, total, 1), 0)


# ---------------------------------------------------------------- kernels, of distances


def _triangle(x: Value) -> Value:
    return wnp.maximum(0, 1 - x)


def _cubic(x: Value, a: float) -> Value:
    """The piecewise cubic of Keys (1981): it interpolates, and is smooth at 1 and 2."""
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return wnp.where(x >= 2, 0, wnp.where(x >= 1, far, near))


def _keys_cubic(x: Value) -> Value:
    return _cubic(x, -0.5)


def _lanczos(radius: int) -> Callable[[Value], Value]:
    def kernel(x: Value) -> Value:
        apart = wnp.where(x > 1e-3, x, 1)  # nearer than that the kernel is 1 in float32
        angle = np.pi * apart
        value = radius * lax.sin(angle) * lax.sin(angle / radius) / (angle * angle)
        return wnp.where(x > radius, 0, wnp.where(x > 1e-3, value, 1))

    return kernel


_KERNELS: dict[ResizeMethod, Callable[[Value], Value] | None] = {
    ResizeMethod.LINEAR: _triangle,
    ResizeMethod.LANCZOS3: _lanczos(3),
    ResizeMethod.LANCZOS5: _lanczos(5),
    ResizeMethod.CUBIC: _keys_cubic,
    ResizeMethod.CUBIC_PYTORCH: None,
    ResizeMethod.AREA: None,
}
