"""Functions of neural networks: activations, softmax and its kin, `one_hot`, pooling.

Names, defaults and gradients are those of `jax.nn`, and of Flax for pooling. All accept integers
(which become floating-point, but for extrema) and any shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft import lax
from weft.core import dtypes
from weft.numpy import (
    abs,
    clip,
    exp,
    expm1,
    log,
    logaddexp,
    maximum,
    mean,
    minimum,
    where,
)
from weft.numpy import max as max_of
from weft.numpy import sum as sum_of
from weft.numpy import tanh as tanh
from weft.numpy._common import (
    ArrayLike,
    Axis,
    DType,
    Value,
    canonical_axes,
    promote_inexact,
    shape_of,
)
from weft.numpy.classify import isfinite
from weft.numpy.creation import asarray
from weft.numpy.ufuncs import constant_like, sqrt, square
from weft.transforms.custom_jvp import custom_jvp


def _float(name: str, x: ArrayLike) -> Value:
    (x,) = promote_inexact(f"nn.{name}", x)
    return asarray(x)


# ---------------------------------------------------------------- activations


def relu(x: ArrayLike) -> Value:
    """max(x, 0), with derivative 0 at 0; NaN stays NaN."""
    x = asarray(x)
    return where(x <= 0, constant_like(x, 0), x)


def relu6(x: ArrayLike) -> Value:
    """min(max(x, 0), 6), with derivative 0 at 0 and 6; NaN stays NaN."""
    x = _float("relu6", x)
    return where(x <= 0, constant_like(x, 0), where(x >= 6, constant_like(x, 6), x))


def sigmoid(x: ArrayLike) -> Value:
    """1 / (1 + exp(−x))."""
    return lax.logistic(_float("sigmoid", x))


def softplus(x: ArrayLike) -> Value:
    """log(1 + exp(x)) without overflow, with smooth derivatives of any order."""
    return _softplus(_float("softplus", x))


@custom_jvp
def _softplus(x: Value) -> Value:
    return logaddexp(x, 0.0)


@_softplus.defjvp
def _softplus_jvp(primals: tuple[Value], tangents: tuple[Value]) -> tuple[Value, Value]:
    (x,), (t,) = primals, tangents
    return _softplus(x), t * lax.logistic(x)


def soft_sign(x: ArrayLike) -> Value:
    """x / (1 + |x|)."""
    x = _float("soft_sign", x)
    return x / (abs(x) + 1)


def silu(x: ArrayLike) -> Value:
    """x · sigmoid(x), also called swish."""
    x = _float("silu", x)
    return x * lax.logistic(x)


swish = silu


def log_sigmoid(x: ArrayLike) -> Value:
    """log(sigmoid(x)) without underflow."""
    return -softplus(-_float("log_sigmoid", x))


def mish(x: ArrayLike) -> Value:
    """x · tanh(softplus(x))."""
    x = _float("mish", x)
    return x * tanh(softplus(x))


def gelu(x: ArrayLike, approximate: bool = True) -> Value:
    """x · Φ(x) with the normal distribution function Φ; by default its approximation with tanh.

    Hendrycks and Gimpel, "Gaussian error linear units" (2016).
    """
    x = _float("gelu", x)
    if approximate:
        inner = np.sqrt(2 / np.pi) * (x + 0.044715 * (x * x * x))
        return x * (0.5 * (1.0 + tanh(inner)))
    return 0.5 * x * lax.erfc(-x * np.sqrt(0.5))


def leaky_relu(x: ArrayLike, negative_slope: ArrayLike = 1e-2) -> Value:
    """x where it is not negative, else negative_slope · x."""
    x = _float("leaky_relu", x)
    return where(x >= 0, x, negative_slope * x)


def elu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Value:
    """x where it is positive, else alpha · (exp(x) − 1)."""
    x = _float("elu", x)
    # The exponential of the branch not taken must not overflow: its gradient would be NaN.
    return where(x > 0, x, alpha * expm1(where(x > 0, 0.0, x)))


def celu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Value:
    """max(x, 0) + min(0, alpha · (exp(x / alpha) − 1))."""
    x = _float("celu", x)
    return maximum(x, 0.0) + alpha * expm1(minimum(x, 0.0) / alpha)


def selu(x: ArrayLike) -> Value:
    """The self-normalising ELU of Klambauer et al. (2017)."""
    return 1.0507009873554804934193349852946 * elu(x, 1.6732632423543772848170429916717)


def hard_tanh(x: ArrayLike) -> Value:
    """x limited to [−1, 1], with derivative 1 at both ends."""
    x = asarray(x)
    return where(x > 1, constant_like(x, 1), where(x < -1, constant_like(x, -1), x))


def hard_sigmoid(x: ArrayLike) -> Value:
    """relu6(x + 3) / 6."""
    return relu6(_float("hard_sigmoid", x) + 3.0) / 6.0


def hard_silu(x: ArrayLike) -> Value:
    """x · hard_sigmoid(x)."""
    return x * hard_sigmoid(x)


hard_swish = hard_silu


def glu(x: ArrayLike, axis: int = -1) -> Value:
    """The first half along `axis` times the sigmoid of the second half."""
    x = _float("glu", x)
    (number,) = canonical_axes("nn.glu", axis, len(shape_of(x)))
    size = shape_of(x)[number]
    if size % 2:
        raise ValueError(f"weft.nn.glu: axis {number} has odd length {size}; it is cut into halves")
    first = lax.slice_in_dim(x, 0, size // 2, axis=number)
    return first * sigmoid(lax.slice_in_dim(x, size // 2, size, axis=number))


# ---------------------------------------------------------------- along axes


def logsumexp(
    a: ArrayLike,
    axis: Axis = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
    where: ArrayLike | None = None,
) -> Any:
    """log(sum(b · exp(a))) over `axis` without overflow; −inf where nothing is summed.

    With `return_sign`, the logarithm of the magnitude and the sign of the sum.
    """
    from weft.numpy import sign, squeeze

    x = _float("logsumexp", a)
    axes = canonical_axes("nn.logsumexp", axis, len(shape_of(x)))
    largest = max_of(x, axes, keepdims=True, initial=-np.inf, where=where)
    # An infinite maximum would give inf − inf; shift by 0 then.
    shift = lax.stop_gradient(_select(isfinite(largest), largest))
    weights = exp(x - shift) if b is None else b * exp(x - shift)
    total = sum_of(weights, axes, keepdims=True, where=where)
    magnitude = log(abs(total)) if return_sign or b is not None else log(total)
    result = magnitude + shift
    if b is not None and not return_sign:
        result = _select_or(total >= 0, result, np.nan)
    if not keepdims:
        result, total = squeeze(result, axes), squeeze(total, axes)
    return (result, sign(total)) if return_sign else result


def _select(condition: Value, x: Value) -> Value:
    return lax.select_n(condition, constant_like(x, 0), x)


def _select_or(condition: Value, x: Value, otherwise: float) -> Value:
    return lax.select_n(condition, constant_like(x, otherwise), x)


def softmax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Value:
    """exp(x) over its sum along `axis`, shifted by the maximum so that nothing overflows.

    Elements where `where` does not hold get 0.
    """
    x = _float("softmax", x)
    axes = canonical_axes("nn.softmax", axis, len(shape_of(x)))
    largest = max_of(
        x, axes, keepdims=True, initial=None if where is None else -np.inf, where=where
    )
    unnormalised = exp(x - lax.stop_gradient(largest))
    if where is not None:
        unnormalised = _masked(where, unnormalised)
    return unnormalised / sum_of(unnormalised, axes, keepdims=True)


def _masked(mask: ArrayLike, x: Value) -> Value:
    from weft.numpy.select import where_mask

    return where_mask(x, mask, 0)


def log_softmax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Value:
    """log(softmax(x)) without underflow."""
    x = _float("log_softmax", x)
    axes = canonical_axes("nn.log_softmax", axis, len(shape_of(x)))
    largest = max_of(
        x, axes, keepdims=True, initial=None if where is None else -np.inf, where=where
    )
    shifted = x - lax.stop_gradient(largest)
    result = shifted - log(sum_of(exp(shifted), axes, keepdims=True, where=where))
    if where is None:
        return result
    from weft.numpy.select import where_mask

    return where_mask(result, where, -np.inf)


def standardize(
    x: ArrayLike,
    axis: Axis = -1,
    mean: ArrayLike | None = None,
    variance: ArrayLike | None = None,
    epsilon: ArrayLike = 1e-5,
    where: ArrayLike | None = None,
) -> Value:
    """(x − mean) / √(variance + epsilon), both taken over `axis` unless given."""
    x = _float("standardize", x)
    centre = _mean(x, axis, where) if mean is None else mean
    if variance is None:
        variance = _mean(square(x), axis, where) - square(centre)
        variance = clip(variance, 0)
    return (x - centre) * lax.rsqrt(asarray(variance + epsilon))


def _mean(x: Value, axis: Axis, where: ArrayLike | None) -> Value:
    return mean(x, axis, keepdims=True, where=where)


def normalize(x: ArrayLike, axis: Axis = -1, epsilon: ArrayLike = 1e-12) -> Value:
    """x over its Euclidean norm along `axis`, which is taken to be at least `epsilon`."""
    x = _float("normalize", x)
    norm = sqrt(sum_of(square(x), axis, keepdims=True))
    return x / maximum(norm, epsilon)


def one_hot(x: ArrayLike, num_classes: int, *, dtype: DType = None, axis: int = -1) -> Value:
    """Vectors with 1 at the index `x` and 0 elsewhere, along a new axis; zeros for indices out of
    range.

    >>> one_hot(np.asarray([0, 2]), 3)
    Array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    x = asarray(x)
    target = dtypes.float32 if dtype is None else dtypes.canonical_dtype(dtype)
    ndim = len(shape_of(x)) + 1
    (number,) = canonical_axes("nn.one_hot", axis, ndim)
    shape = list(shape_of(x))
    shape.insert(number, int(num_classes))
    others = tuple(d for d in range(ndim) if d != number)
    index = lax.broadcast_in_dim(x, tuple(shape), others)
    classes = lax.broadcasted_iota(index.dtype, tuple(shape), number)
    return lax.convert_element_type(lax.eq(index, classes), target)


# ---------------------------------------------------------------- pooling


def pool(
    inputs: ArrayLike,
    init: Any,
    reduce_fn: Callable[[Any, Any], Any],
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: str | Sequence[tuple[int, int]] = "VALID",
) -> Value:
    """Windows of the spatial axes folded with `reduce_fn`, an associative function.

    Parameters
    ----------
    inputs: batch axes, spatial axes, and a feature axis last; there may be no batch axis.
    init: the identity of `reduce_fn`.
    window_shape: the size of the window along each spatial axis.
    strides: how far apart windows are; by default 1.
    padding: "SAME", "VALID", or (low, high) pairs for the spatial axes.

    Raises
    ------
    ValueError: if there are too few axes, or numbers not for each spatial axis.
    """
    return _pool("pool", asarray(inputs), init, reduce_fn, window_shape, strides, padding)


def _pool(
    name: str,
    x: Value,
    init: Any,
    reduce_fn: Callable[[Any, Any], Any],
    window_shape: Sequence[int],
    strides: Sequence[int] | None,
    padding: str | Sequence[tuple[int, int]],
) -> Value:
    window = tuple(window_shape)
    steps = (1,) * len(window) if strides is None else tuple(strides)
    batch = len(shape_of(x)) - len(window) - 1
    if batch < 0 or len(steps) != len(window):
        raise ValueError(
            f"weft.nn.{name}: inputs of shape {shape_of(x)} need a feature axis beside one spatial "
            f"axis for each number of window_shape {window} and strides {steps}"
        )
    if not isinstance(padding, str):
        if len(padding) != len(window):
            raise ValueError(
                f"weft.nn.{name}: padding needs a (low, high) pair for each of {len(window)} "
                f"spatial axes, got {padding!r}"
            )
        padding = [*[(0, 0)] * batch, *padding, (0, 0)]
    ones = (1,) * batch
    return lax.reduce_window(x, init, reduce_fn, (*ones, *window, 1), (*ones, *steps, 1), padding)


def max_pool(
    inputs: ArrayLike,
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: str | Sequence[tuple[int, int]] = "VALID",
) -> Value:
    """The greatest element of each window; see :func:`pool`. Padding never is.

    >>> max_pool(np.arange(6.0).reshape(6, 1), (2,), strides=(2,)).ravel()
    Array([1., 3., 5.], dtype=float32)
    """
    x = asarray(inputs)
    least = np.asarray(-np.inf if dtypes.is_floating(x.dtype) else np.iinfo(x.dtype).min, x.dtype)
    return _pool("max_pool", x, least, lax.max, window_shape, strides, padding)


def min_pool(
    inputs: ArrayLike,
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: str | Sequence[tuple[int, int]] = "VALID",
) -> Value:
    """The least element of each window; see :func:`pool`. Padding never is."""
    x = asarray(inputs)
    most = np.asarray(np.inf if dtypes.is_floating(x.dtype) else np.iinfo(x.dtype).max, x.dtype)
    return _pool("min_pool", x, most, lax.min, window_shape, strides, padding)


def avg_pool(
    inputs: ArrayLike,
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: str | Sequence[tuple[int, int]] = "VALID",
    count_include_pad: bool = True,
) -> Value:
    """The mean of each window; see :func:`pool`.

    Padding counts as zeros, or not at all without `count_include_pad`.
    """
    x = _float("avg_pool", inputs)
    total = _pool("avg_pool", x, 0, lax.add, window_shape, strides, padding)
    if count_include_pad:
        return total / int(np.prod(window_shape))
    spatial = shape_of(x)[-len(tuple(window_shape)) - 1 : -1]
    ones = lax.full((*spatial, 1), 1, x.dtype)
    return total / _pool("avg_pool", ones, 0, lax.add, window_shape, strides, padding)
