"""Activations: functions of single elements. Integers become floating-point, but for extrema."""

from __future__ import annotations

import numpy as np

from weft import lax
from weft.nn.operands import floating
from weft.numpy import abs, clip, exp, expm1, log, logaddexp, maximum, minimum, tanh, where
from weft.numpy._common import ArrayLike, Value, canonical_axes, shape_of
from weft.numpy.creation import asarray
from weft.numpy.ufuncs import constant_like, sqrt, square
from weft.transforms.custom_jvp import custom_jvp


def identity(x: ArrayLike) -> Value:
    """`x` itself, as an array of its dtype: the activation of linear layers.

    >>> weft.nn.identity(2.0)
    Array(2., dtype=float32, weak_type=True)
    """
    return asarray(x)


def relu(x: ArrayLike) -> Value:
    """max(x, 0), with derivative 0 at 0; NaN stays NaN.

    >>> weft.nn.relu(np.array([-1.0, 2.0]))
    Array([0., 2.], dtype=float32)
    """
    x = asarray(x)
    return where(x <= 0, constant_like(x, 0), x)


def relu6(x: ArrayLike) -> Value:
    """min(max(x, 0), 6), with derivative 0 at 0 and 6; NaN stays NaN.

    >>> weft.nn.relu6(np.array([-1.0, 2.0, 8.0]))
    Array([0., 2., 6.], dtype=float32)
    """
    x = floating("relu6", x)
    return where(x <= 0, constant_like(x, 0), where(x >= 6, constant_like(x, 6), x))


def sigmoid(x: ArrayLike) -> Value:
    """1 / (1 + exp(−x)).

    >>> weft.nn.sigmoid(np.array([0.0, 2.0])).round(4)
    Array([0.5   , 0.8808], dtype=float32)
    """
    return lax.logistic(floating("sigmoid", x))


def softplus(x: ArrayLike) -> Value:
    """log(1 + exp(x)) without overflow, with smooth derivatives of any order.

    >>> weft.nn.softplus(np.array([0.0, 2.0])).round(4)
    Array([0.6931, 2.1269], dtype=float32)
    """
    return _softplus(floating("softplus", x))


@custom_jvp
def _softplus(x: Value) -> Value:
    return logaddexp(x, 0.0)


@_softplus.defjvp
def _softplus_jvp(primals: tuple[Value], tangents: tuple[Value]) -> tuple[Value, Value]:
    (x,), (t,) = primals, tangents
    return _softplus(x), t * lax.logistic(x)


def soft_sign(x: ArrayLike) -> Value:
    """x / (1 + |x|).

    >>> weft.nn.soft_sign(np.array([-1.0, 3.0]))
    Array([-0.5 ,  0.75], dtype=float32)
    """
    x = floating("soft_sign", x)
    return x / (abs(x) + 1)


def silu(x: ArrayLike) -> Value:
    """x · sigmoid(x), also called swish.

    >>> weft.nn.silu(np.array([-1.0, 2.0])).round(4)
    Array([-0.2689,  1.7616], dtype=float32)
    """
    x = floating("silu", x)
    return x * lax.logistic(x)


swish = silu


def log_sigmoid(x: ArrayLike) -> Value:
    """log(sigmoid(x)) without underflow.

    >>> weft.nn.log_sigmoid(np.array([0.0, 2.0])).round(4)
    Array([-0.6931, -0.1269], dtype=float32)
    """
    return -softplus(-floating("log_sigmoid", x))


def mish(x: ArrayLike) -> Value:
    """x · tanh(softplus(x)).

    >>> weft.nn.mish(np.array([-1.0, 2.0])).round(4)
    Array([-0.3034,  1.944 ], dtype=float32)
    """
    x = floating("mish", x)
    return x * tanh(softplus(x))


def gelu(x: ArrayLike, approximate: bool = True) -> Value:
    """x · Φ(x) with the normal distribution function Φ; by default its approximation with tanh.

    Hendrycks and Gimpel, "Gaussian error linear units" (2016).

    >>> weft.nn.gelu(np.array([-1.0, 2.0])).round(4)
    Array([-0.1588,  1.9546], dtype=float32)
    """
    x = floating("gelu", x)
    if approximate:
        inner = np.sqrt(2 / np.pi) * (x + 0.044715 * (x * x * x))
        return x * (0.5 * (1.0 + tanh(inner)))
    return 0.5 * x * lax.erfc(-x * np.sqrt(0.5))


def leaky_relu(x: ArrayLike, negative_slope: ArrayLike = 1e-2) -> Value:
    """x where it is not negative, else negative_slope · x.

    >>> weft.nn.leaky_relu(np.array([-1.0, 2.0]), 0.25)
    Array([-0.25,  2.  ], dtype=float32)
    """
    x = floating("leaky_relu", x)
    return where(x >= 0, x, negative_slope * x)


def elu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Value:
    """x where it is positive, else alpha · (exp(x) − 1).

    >>> weft.nn.elu(np.array([-1.0, 2.0])).round(4)
    Array([-0.6321,  2.    ], dtype=float32)
    """
    x = floating("elu", x)
    # The exponential of the branch not taken must not overflow: its gradient would be NaN.
    return where(x > 0, x, alpha * expm1(where(x > 0, 0.0, x)))


def celu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Value:
    """max(x, 0) + min(0, alpha · (exp(x / alpha) − 1)).

    >>> weft.nn.celu(np.array([-1.0, 2.0])).round(4)
    Array([-0.6321,  2.    ], dtype=float32)
    """
    x = floating("celu", x)
    return maximum(x, 0.0) + alpha * expm1(minimum(x, 0.0) / alpha)


def selu(x: ArrayLike) -> Value:
    """The self-normalising ELU of Klambauer et al. (2017).

    >>> weft.nn.selu(np.array([-1.0, 2.0])).round(4)
    Array([-1.1113,  2.1014], dtype=float32)
    """
    return 1.0507009873554804934193349852946 * elu(x, 1.6732632423543772848170429916717)


def hard_tanh(x: ArrayLike) -> Value:
    """x limited to [−1, 1], with derivative 1 at both ends.

    >>> weft.nn.hard_tanh(np.array([-2.0, 0.5]))
    Array([-1. ,  0.5], dtype=float32)
    """
    x = asarray(x)
    return where(x > 1, constant_like(x, 1), where(x < -1, constant_like(x, -1), x))


def hard_sigmoid(x: ArrayLike) -> Value:
    """relu6(x + 3) / 6.

    >>> weft.nn.hard_sigmoid(np.array([-4.0, 0.0, 4.0]))
    Array([0. , 0.5, 1. ], dtype=float32)
    """
    return relu6(floating("hard_sigmoid", x) + 3.0) / 6.0


def hard_silu(x: ArrayLike) -> Value:
    """x · hard_sigmoid(x).

    >>> weft.nn.hard_silu(np.array([-4.0, 0.0, 4.0]))
    Array([-0.,  0.,  4.], dtype=float32)
    """
    return x * hard_sigmoid(x)


hard_swish = hard_silu


def glu(x: ArrayLike, axis: int = -1) -> Value:
    """The first half along `axis` times the sigmoid of the second half.

    >>> weft.nn.glu(np.array([1.0, 0.0]))
    Array([0.5], dtype=float32)
    """
    x = floating("glu", x)
    (number,) = canonical_axes("nn.glu", axis, len(shape_of(x)))
    size = shape_of(x)[number]
    if size % 2:
        raise ValueError(f"weft.nn.glu: axis {number} has odd length {size}; it is cut into halves")
    first = lax.slice_in_dim(x, 0, size // 2, axis=number)
    return first * sigmoid(lax.slice_in_dim(x, size // 2, size, axis=number))


def squareplus(x: ArrayLike, b: ArrayLike = 4) -> Value:
    """(x + √(x² + b)) / 2, a softplus without transcendental functions.

    Of the shape that `x` and `b` broadcast to. Barron, "Squareplus" (2021).

    >>> weft.nn.squareplus(np.asarray([-1.5, 0.0, 1.5]))
    Array([0.5, 1. , 2. ], dtype=float32)
    """
    x, b = floating("squareplus", x), floating("squareplus", b)
    return (x + sqrt(square(x) + b)) / 2


def sparse_plus(x: ArrayLike) -> Value:
    """0 up to −1, x from 1 on, and (x + 1)² / 4 in between: a softplus that reaches zero.

    >>> weft.nn.sparse_plus(np.asarray([-2.0, 0.0, 2.0]))
    Array([0.  , 0.25, 2.  ], dtype=float32)
    """
    x = floating("sparse_plus", x)
    # The square of the branch not taken must not overflow: its gradient would be NaN.
    inside = clip(x, -1, 1)
    return where(x <= -1, constant_like(x, 0), where(x >= 1, x, square(inside + 1) / 4))


def sparse_sigmoid(x: ArrayLike) -> Value:
    """(x + 1) / 2 limited to [0, 1]: the derivative of `sparse_plus`.

    >>> weft.nn.sparse_sigmoid(np.asarray([-2.0, 0.5, 2.0]))
    Array([0.  , 0.75, 1.  ], dtype=float32)
    """
    return 0.5 * clip(floating("sparse_sigmoid", x) + 1, 0, 2)


def log1mexp(x: ArrayLike) -> Value:
    """log(1 − exp(−x)) for positive x, to full precision; NaN for negative x.

    Mächler, "Accurately computing log(1 − exp(−|a|))" (2012).

    >>> weft.nn.log1mexp(np.asarray([0.6931472, 20.0]))
    Array([-6.9314718e-01, -2.0611537e-09], dtype=float32)
    """
    return _log1mexp(floating("log1mexp", x))


@custom_jvp
def _log1mexp(x: Value) -> Value:
    return where(x < np.log(2), log(-expm1(-x)), lax.log1p(-exp(-x)))


@_log1mexp.defjvp
def _log1mexp_jvp(primals: tuple[Value], tangents: tuple[Value]) -> tuple[Value, Value]:
    (x,), (t,) = primals, tangents
    return _log1mexp(x), t / expm1(x)
