"""Losses: how far predictions are from targets, for each example, with Optax's names and defaults.

None of them averages over a batch; gradients are finite wherever the loss is.
"""

from __future__ import annotations

import numpy as np

from weft import lax
from weft.core import dtypes
from weft.nn.activations import log_sigmoid, softplus
from weft.nn.along import log_softmax, logsumexp
from weft.nn.operands import floating
from weft.numpy import abs, clip, expand_dims, maximum, minimum, sqrt, square, take_along_axis
from weft.numpy import sum as sum_of
from weft.numpy import where as where_
from weft.numpy._common import ArrayLike, Axis, Value, check_arraylike, dtype_of, shape_of
from weft.numpy.creation import asarray
from weft.scipy.special import xlogy

__all__ = [
    "cosine_distance",
    "cosine_similarity",
    "hinge_loss",
    "huber_loss",
    "kl_divergence",
    "l2_loss",
    "log_cosh",
    "poly_loss_cross_entropy",
    "sigmoid_binary_cross_entropy",
    "sigmoid_focal_loss",
    "smooth_labels",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels",
    "squared_error",
]


def squared_error(predictions: ArrayLike, targets: ArrayLike | None = None) -> Value:
    """(predictions − targets)², elementwise; targets are 0 by default.

    >>> weft.nn.losses.squared_error(np.asarray([1.0, 3.0]), np.asarray([1.0, 1.0]))
    Array([0., 4.], dtype=float32)
    """
    return square(_difference("squared_error", predictions, targets))


def l2_loss(predictions: ArrayLike, targets: ArrayLike | None = None) -> Value:
    """Half of `squared_error`.

    >>> weft.nn.losses.l2_loss(np.array([3.0]), np.array([1.0]))
    Array([2.], dtype=float32)
    """
    return 0.5 * square(_difference("l2_loss", predictions, targets))


def _difference(name: str, predictions: ArrayLike, targets: ArrayLike | None) -> Value:
    x = floating(f"losses.{name}", predictions)
    if targets is None:
        return x
    y = floating(f"losses.{name}", targets)
    if shape_of(x) != shape_of(y):
        raise ValueError(
            f"weft.nn.losses.{name}: predictions of shape {shape_of(x)} and targets of shape "
            f"{shape_of(y)}; give them one shape, or pass their difference"
        )
    return x - y


def huber_loss(
    predictions: ArrayLike, targets: ArrayLike | None = None, delta: float = 1.0
) -> Value:
    """Half the squared error up to a distance of `delta`, linear beyond (Huber, 1964).

    >>> weft.nn.losses.huber_loss(np.asarray([0.5, 3.0]))
    Array([0.125, 2.5  ], dtype=float32)
    """
    distance = abs(_difference("huber_loss", predictions, targets))
    near = minimum(distance, delta)
    return 0.5 * square(near) + delta * (distance - near)


def log_cosh(predictions: ArrayLike, targets: ArrayLike | None = None) -> Value:
    """log(cosh(predictions − targets)): quadratic near 0, linear far away, smooth, no overflow.

    >>> weft.nn.losses.log_cosh(np.array([0.0, 100.0])).round(4)
    Array([ 0.    , 99.3069], dtype=float32)
    """
    x = _difference("log_cosh", predictions, targets)
    return x + softplus(-2.0 * x) - np.log(2.0)


def hinge_loss(predictor_outputs: ArrayLike, targets: ArrayLike) -> Value:
    """max(0, 1 − output · target) for targets of −1 and 1.

    >>> weft.nn.losses.hinge_loss(np.array([0.5, 3.0]), np.array([1, 1]))
    Array([0.5, 0. ], dtype=float32)
    """
    x = floating("losses.hinge_loss", predictor_outputs)
    return maximum(0, 1 - x * asarray(targets))


def sigmoid_binary_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Value:
    """−log of the probability of `labels`, which are 1 with probability sigmoid(logits).

    Labels are 0, 1, or probabilities; shapes broadcast.

    >>> logits, labels = np.asarray([0.0, 100.0]), np.asarray([1.0, 0.0])
    >>> weft.nn.losses.sigmoid_binary_cross_entropy(logits, labels)
    Array([  0.6931472, 100.       ], dtype=float32)
    """
    x = floating("losses.sigmoid_binary_cross_entropy", logits)
    y = asarray(labels).astype(x.dtype)
    return -y * log_sigmoid(x) - (1 - y) * log_sigmoid(-x)


def softmax_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    axis: Axis = -1,
    where: ArrayLike | None = None,
) -> Value:
    """−Σ labels · log_softmax(logits) along `axis`, of the classes where `where` holds.

    Labels are probabilities, such as `one_hot` or `smooth_labels` make; shapes broadcast.

    >>> weft.nn.losses.softmax_cross_entropy(np.asarray([0.0, 50.0]), np.asarray([1.0, 0.0]))
    Array(50., dtype=float32)
    """
    x = floating("losses.softmax_cross_entropy", logits)
    logs = log_softmax(x, axis, where)
    terms = labels * (logs if where is None else where_(where, logs, 0))
    return -sum_of(terms, axis, where=where)


def softmax_cross_entropy_with_integer_labels(
    logits: ArrayLike, labels: ArrayLike, axis: int = -1, where: ArrayLike | None = None
) -> Value:
    """As `softmax_cross_entropy`, for labels that are numbers of classes.

    `labels` has the shape of `logits` without `axis`; the classes where `where` does not hold have
    probability 0.

    >>> logits = np.asarray([[0.0, 0.0], [0.0, 50.0]])
    >>> weft.nn.losses.softmax_cross_entropy_with_integer_labels(logits, np.asarray([0, 0]))
    Array([ 0.6931472, 50.       ], dtype=float32)
    """
    name = "nn.losses.softmax_cross_entropy_with_integer_labels"
    x = floating(name[3:], logits)
    check_arraylike(name, labels)
    if not dtypes.is_integer(dtype_of(labels)):
        raise TypeError(f"weft.{name}: labels are integers, got {dtype_of(labels)}")
    of_label = take_along_axis(x, expand_dims(asarray(labels), axis), axis)
    return logsumexp(x, axis, where=where) - lax.squeeze(of_label, (axis,))


def smooth_labels(labels: ArrayLike, alpha: float) -> Value:
    """(1 − alpha) · labels + alpha / classes, with classes in the last axis (Szegedy et al., 2016).

    >>> weft.nn.losses.smooth_labels(np.asarray([0.0, 1.0]), 0.5)
    Array([0.25, 0.75], dtype=float32)
    """
    y = floating("losses.smooth_labels", labels)
    return (1 - alpha) * y + alpha / shape_of(y)[-1]


def kl_divergence(
    log_predictions: ArrayLike,
    targets: ArrayLike,
    axis: Axis = -1,
    where: ArrayLike | None = None,
) -> Value:
    """Σ targets · (log(targets) − log_predictions) along `axis`; targets of 0 add nothing.

    >>> uniform = np.log(np.asarray([0.5, 0.5]))
    >>> weft.nn.losses.kl_divergence(uniform, np.asarray([0.0, 1.0]))
    Array(0.6931472, dtype=float32)
    """
    y = floating("losses.kl_divergence", targets)
    return sum_of(xlogy(y, y) - y * asarray(log_predictions), axis, where=where)


def cosine_similarity(
    predictions: ArrayLike,
    targets: ArrayLike,
    epsilon: float = 0.0,
    axis: Axis = -1,
) -> Value:
    """The cosine of the angle between vectors along `axis`, with norms of at least `epsilon`.

    >>> weft.nn.losses.cosine_similarity(np.asarray([1.0, 1.0]), np.asarray([0.0, 3.0]))
    Array(0.70710677, dtype=float32)
    """
    x = floating("losses.cosine_similarity", predictions)
    y = floating("losses.cosine_similarity", targets)
    return sum_of(_unit(x, axis, epsilon) * _unit(y, axis, epsilon), axis)


def _unit(x: Value, axis: Axis, epsilon: float) -> Value:
    squared = sum_of(square(x), axis, keepdims=True)
    # Of a vector of zeros the root has no derivative: it is taken of 1 instead.
    norm = sqrt(where_(squared > 0, squared, 1))
    return x / maximum(where_(squared > 0, norm, 0), epsilon)


def cosine_distance(
    predictions: ArrayLike, targets: ArrayLike, epsilon: float = 0.0, axis: Axis = -1
) -> Value:
    """1 − `cosine_similarity`.

    >>> weft.nn.losses.cosine_distance(np.array([1.0, 0.0]), np.array([1.0, 1.0])).round(4)
    Array(0.2929, dtype=float32)
    """
    return 1.0 - cosine_similarity(predictions, targets, epsilon, axis)


def poly_loss_cross_entropy(
    logits: ArrayLike, labels: ArrayLike, epsilon: float = 2.0, axis: Axis = -1
) -> Value:
    """Cross-entropy + epsilon · (1 − probability of the labels) (PolyLoss, Leng et al., 2022).

    >>> logits, labels = np.array([0.0, 0.0]), np.array([1.0, 0.0])
    >>> weft.nn.losses.poly_loss_cross_entropy(logits, labels).round(4)
    Array(1.6931, dtype=float32)
    """
    x = floating("losses.poly_loss_cross_entropy", logits)
    chance = sum_of(labels * lax.exp(log_softmax(x, axis)), axis)
    return softmax_cross_entropy(x, labels, axis) + epsilon * (1 - chance)


def sigmoid_focal_loss(
    logits: ArrayLike, labels: ArrayLike, alpha: float | None = None, gamma: float = 2.0
) -> Value:
    """Binary cross-entropy times (1 − p)^gamma, p the chance of the label (Lin et al., 2017).

    With `alpha`, examples of label 1 weigh alpha and others 1 − alpha.

    >>> weft.nn.losses.sigmoid_focal_loss(np.array([0.0, 2.0]), np.array([1, 1])).round(4)
    Array([0.1733, 0.0018], dtype=float32)
    """
    x = floating("losses.sigmoid_focal_loss", logits)
    y = asarray(labels).astype(x.dtype)
    p = lax.logistic(x)
    wrong = clip(1 - (p * y + (1 - p) * (1 - y)), 0, 1)
    loss = sigmoid_binary_cross_entropy(x, y) * wrong**gamma
    return loss if alpha is None else (alpha * y + (1 - alpha) * (1 - y)) * loss
