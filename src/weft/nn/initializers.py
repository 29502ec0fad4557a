"""Initial weights: functions of a key, a shape and a dtype; `jax.nn.initializers`' numbers.

An initializer is called as ``init(key, shape, dtype=...)``. The numbers of one key are those of JAX
up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np

import weft.numpy as wnp
from weft import lax, random
from weft.core import dtypes
from weft.numpy._common import ArrayLike, DType, Value, canonical_axes, canonical_shape
from weft.random import Key

__all__ = [
    "Initializer",
    "constant",
    "delta_orthogonal",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "zeros",
]

Axes = int | Sequence[int]
Mode = Literal["fan_in", "fan_out", "fan_avg", "fan_geo_avg"]
Distribution = Literal["truncated_normal", "normal", "uniform"]


class Initializer(Protocol):
    """What makes initial weights of a shape from a key."""

    def __call__(self, key: Key, shape: Any, dtype: DType = None) -> Value:
        """Weights of `shape` and of `dtype`, by default the one that the initializer has."""
        ...


def _dtype(given: DType, default: DType = None) -> np.dtype:
    chosen = default if given is None else given
    return dtypes.float32 if chosen is None else dtypes.canonical_dtype(chosen)


def zeros(key: Key, shape: Any, dtype: DType = None) -> Value:
    """Zeros, of float32 by default; the key is not looked at.

    >>> weft.nn.initializers.zeros(weft.random.key(0), (2,))
    Array([0., 0.], dtype=float32)
    """
    return wnp.zeros(shape, _dtype(dtype))


def ones(key: Key, shape: Any, dtype: DType = None) -> Value:
    """Ones, of float32 by default; the key is not looked at.

    >>> weft.nn.initializers.ones(weft.random.key(0), (2,))
    Array([1., 1.], dtype=float32)
    """
    return wnp.ones(shape, _dtype(dtype))


def constant(value: ArrayLike, dtype: DType = None) -> Initializer:
    """An initializer that repeats `value`, which broadcasts to the shape.

    >>> weft.nn.initializers.constant(0.5)(weft.random.key(0), (2,))
    Array([0.5, 0.5], dtype=float32)
    """
    default = dtype

    def init(key: Key, shape: Any, dtype: DType = None) -> Value:
        return wnp.full(shape, value, _dtype(dtype, default))

    return init


def uniform(scale: ArrayLike = 1e-2, dtype: DType = None) -> Initializer:
    """An initializer with uniform numbers in [0, scale).

    >>> weft.nn.initializers.uniform(0.1)(weft.random.key(0), (3, 4)).shape
    (3, 4)
    """
    default = dtype

    def init(key: Key, shape: Any, dtype: DType = None) -> Value:
        kind = _dtype(dtype, default)
        return random.uniform(key, shape, kind) * wnp.asarray(scale, kind)

    return init


def normal(stddev: ArrayLike = 1e-2, dtype: DType = None) -> Initializer:
    """An initializer with normal numbers of standard deviation `stddev`; `dtype` may be complex.

    >>> weft.nn.initializers.normal(2.0)(weft.random.key(0), (2, 3)).shape
    (2, 3)
    """
    default = dtype

    def init(key: Key, shape: Any, dtype: DType = None) -> Value:
        kind = _dtype(dtype, default)
        return random.normal(key, shape, kind) * wnp.asarray(stddev, kind)

    return init


def truncated_normal(
    stddev: ArrayLike = 1e-2,
    dtype: DType = None,
    lower: ArrayLike = -2.0,
    upper: ArrayLike = 2.0,
) -> Initializer:
    """An initializer with standard normal numbers between `lower` and `upper`, times `stddev`.

    `stddev` is not that of the result, which is less.

    >>> weft.nn.initializers.truncated_normal(0.1)(weft.random.key(0), (3, 4)).shape
    (3, 4)
    """
    default = dtype

    def init(key: Key, shape: Any, dtype: DType = None) -> Value:
        kind = _dtype(dtype, default)
        numbers = random.truncated_normal(key, lower, upper, shape, kind)
        return numbers * wnp.asarray(stddev, kind)

    return init


# ---------------------------------------------------------------- scaled by numbers of inputs


#: Standard deviations of what is truncated: normal numbers at ±2, complex ones at magnitude 2.
_TRUNCATED, _TRUNCATED_COMPLEX = 0.87962566103423978, 0.95311164380491208


def variance_scaling(
    scale: float,
    mode: Mode,
    distribution: Distribution,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: DType = None,
) -> Initializer:
    """An initializer whose numbers have mean 0 and variance scale / n.

    Parameters
    ----------
    mode: n is the number of inputs ("fan_in"), of outputs ("fan_out"), or their arithmetic or
        geometric mean ("fan_avg", "fan_geo_avg").
    distribution: "truncated_normal" (at two standard deviations), "normal" or "uniform".
    in_axis, out_axis: axes of inputs and outputs; all others, but for those of `batch_axis`, are a
        receptive field that counts for both.
    dtype: floating-point or complex.

    Raises
    ------
    ValueError: for other modes and distributions, and shapes without these axes.

    >>> init = weft.nn.initializers.variance_scaling(1.0, "fan_in", "uniform")
    >>> bool(abs(init(weft.random.key(0), (3, 4))).max() <= 1)
    True
    """
    default = dtype
    if mode not in _MEANS:
        raise ValueError(
            f"weft.nn.initializers.variance_scaling: mode is one of {list(_MEANS)}, got {mode!r}"
        )
    if distribution not in ("truncated_normal", "normal", "uniform"):
        raise ValueError(
            "weft.nn.initializers.variance_scaling: distribution is 'truncated_normal', 'normal' "
            f"or 'uniform', got {distribution!r}"
        )

    def init(key: Key, shape: Any, dtype: DType = None) -> Value:
        kind = _dtype(dtype, default)
        sizes = canonical_shape("nn.initializers.variance_scaling", shape)
        count = _MEANS[mode](*_fans(sizes, in_axis, out_axis, batch_axis))
        variance = wnp.asarray(scale / count, kind)
        deviation = lax.sqrt(variance)
        is_complex = dtypes.is_complex(kind)
        if distribution == "normal":
            return random.normal(key, sizes, kind) * deviation
        if distribution == "uniform":
            if is_complex:
                return _in_disc(key, sizes, kind) * deviation
            return random.uniform(key, sizes, kind, -1) * lax.sqrt(3 * variance)
        if is_complex:
            numbers = _truncated_complex(key, sizes, kind)
            return numbers * (deviation / wnp.asarray(_TRUNCATED_COMPLEX, kind))
        numbers = random.truncated_normal(key, -2, 2, sizes, kind)
        return numbers * (deviation / wnp.asarray(_TRUNCATED, kind))

    return init


_MEANS: dict[str, Any] = {
    "fan_in": lambda inputs, outputs: inputs,
    "fan_out": lambda inputs, outputs: outputs,
    "fan_avg": lambda inputs, outputs: (inputs + outputs) / 2,
    "fan_geo_avg": lambda inputs, outputs: (inputs * outputs) ** 0.5,
}


def _fans(
    shape: tuple[int, ...], in_axis: Axes, out_axis: Axes, batch_axis: Axes
) -> tuple[float, float]:
    """Numbers of inputs and outputs of weights of this shape."""
    if in_axis == -2 and len(shape) < 2:
        raise ValueError(
            "weft.nn.initializers: numbers of inputs and outputs are taken from the last two axes, "
            f"and shape is {shape}: give it two axes, or say in_axis"
        )

    def size(axes: Axes) -> int:
        return math.prod(shape[a] for a in canonical_axes("nn.initializers", axes, len(shape)))

    field = math.prod(shape) / size(in_axis) / size(out_axis) / size(batch_axis)
    return size(in_axis) * field, size(out_axis) * field


def _in_disc(key: Key, shape: tuple[int, ...], dtype: np.dtype) -> Value:
    """Complex numbers uniform in a disc, with variance 1."""
    return _turned(key, shape, dtype, lambda u: wnp.sqrt(2 * u))


def _truncated_complex(key: Key, shape: tuple[int, ...], dtype: np.dtype) -> Value:
    """Complex normal numbers of magnitude at most 2."""
    return _turned(key, shape, dtype, lambda u: wnp.sqrt(-wnp.log(1 - (1 - np.exp(-4.0)) * u)))


def _turned(key: Key, shape: tuple[int, ...], dtype: np.dtype, radius: Any) -> Value:
    """Numbers with a random angle, and the radius that a uniform number gives."""
    real = np.dtype(f"float{4 * dtype.itemsize}")
    for_radius, for_angle = random.split(key)
    r = radius(random.uniform(for_radius, shape, real))
    angle = 2 * np.pi * random.uniform(for_angle, shape, real)
    return lax.complex(r * lax.cos(angle), r * lax.sin(angle))


def glorot_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: DType = None
) -> Initializer:
    """Uniform numbers of variance 2 / (inputs + outputs) (Glorot and Bengio, 2010).

    >>> weft.nn.initializers.glorot_uniform()(weft.random.key(0), (3, 4)).shape
    (3, 4)
    """
    return variance_scaling(1.0, "fan_avg", "uniform", in_axis, out_axis, batch_axis, dtype)


def glorot_normal(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: DType = None
) -> Initializer:
    """Truncated normal numbers of variance 2 / (inputs + outputs).

    >>> weft.nn.initializers.glorot_normal()(weft.random.key(0), (3, 4)).shape
    (3, 4)
    """
    return variance_scaling(
        1.0, "fan_avg", "truncated_normal", in_axis, out_axis, batch_axis, dtype
    )


def lecun_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: DType = None
) -> Initializer:
    """Uniform numbers of variance 1 / inputs (LeCun et al., 1998).

    >>> weft.nn.initializers.lecun_uniform()(weft.random.key(0), (3, 4)).shape
    (3, 4)
    """
    return variance_scaling(1.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def lecun_normal(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: DType = None
) -> Initializer:
    """Truncated normal numbers of variance 1 / inputs.

    >>> weft.nn.initializers.lecun_normal()(weft.random.key(0), (3, 4)).shape
    (3, 4)
    """
    return variance_scaling(1.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def he_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: DType = None
) -> Initializer:
    """Uniform numbers of variance 2 / inputs (He et al., 2015), for layers with `relu`.

    >>> weft.nn.initializers.he_uniform()(weft.random.key(0), (3, 4)).shape
    (3, 4)
    """
    return variance_scaling(2.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def he_normal(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: DType = None
) -> Initializer:
    """Truncated normal numbers of variance 2 / inputs, for layers with `relu`.

    >>> weft.nn.initializers.he_normal()(weft.random.key(0), (3, 4)).shape
    (3, 4)
    """
    return variance_scaling(2.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


xavier_uniform, xavier_normal = glorot_uniform, glorot_normal
kaiming_uniform, kaiming_normal = he_uniform, he_normal


# ---------------------------------------------------------------- orthogonal


def orthogonal(scale: ArrayLike = 1.0, column_axis: int = -1, dtype: DType = None) -> Initializer:
    """An initializer with orthonormal rows or columns, times `scale` (Saxe et al., 2014).

    Columns run along `column_axis`, rows along all others; whichever are fewer are orthonormal.

    Raises
    ------
    ValueError: for shapes with fewer than two axes.

    >>> q = weft.nn.initializers.orthogonal()(weft.random.key(0), (2, 3))
    >>> np.allclose(q @ q.T, np.eye(2), atol=1e-6)
    Array(True, dtype=bool)
    """
    default = dtype

    def init(key: Key, shape: Any, dtype: DType = None) -> Value:
        kind = _dtype(dtype, default)
        sizes = canonical_shape("nn.initializers.orthogonal", shape)
        if len(sizes) < 2:
            raise ValueError(
                f"weft.nn.initializers.orthogonal: weights have two axes or more, got shape {sizes}"
            )
        if 0 in sizes:
            return wnp.zeros(sizes, kind)
        (column,) = canonical_axes("nn.initializers.orthogonal", column_axis, len(sizes))
        others = [size for axis, size in enumerate(sizes) if axis != column]
        q = random.orthogonal(key, math.prod(others), (), kind, sizes[column])
        q = wnp.moveaxis(wnp.reshape(q, (*others, sizes[column])), -1, column)
        return wnp.asarray(scale, kind) * q

    return init


def delta_orthogonal(
    scale: ArrayLike = 1.0, column_axis: int = -1, dtype: DType = None
) -> Initializer:
    """An initializer of convolutions that is `orthogonal` at the centre of the window, 0 elsewhere.

    Shapes have one to three axes of a window, then inputs and at least as many outputs (Xiao et
    al., 2018).

    >>> weft.nn.initializers.delta_orthogonal()(weft.random.key(0), (3, 3, 3)).shape
    (3, 3, 3)
    """
    default = dtype

    def init(key: Key, shape: Any, dtype: DType = None) -> Value:
        kind = _dtype(dtype, default)
        sizes = canonical_shape("nn.initializers.delta_orthogonal", shape)
        if len(sizes) not in (3, 4, 5) or sizes[-1] < sizes[-2]:
            raise ValueError(
                "weft.nn.initializers.delta_orthogonal: shapes are one to three axes of a window, "
                f"inputs, and at least as many outputs, got {sizes}"
            )
        matrix = orthogonal(scale, column_axis, kind)(key, sizes[-2:])
        centre = tuple((size - 1) // 2 for size in sizes[:-2])
        return wnp.zeros(sizes, kind).at[centre].set(matrix)

    return init
