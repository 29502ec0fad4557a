"""Optimizers: transformations whose updates are added to the parameters.

Names, arguments and defaults are Optax's. A learning rate is a number or a schedule; a mask says
which parameters decay, as in :func:`weft.optim.masked`.
"""

from __future__ import annotations

from typing import Any

from weft import numpy as wnp
from weft import tree
from weft.numpy._common import DType
from weft.optim.base import GradientTransformation, Params, chain, identity, partition
from weft.optim.clipping import clip_by_block_rms
from weft.optim.factored import scale_by_factored_rms
from weft.optim.orthogonal import scale_by_muon
from weft.optim.scaling import (
    add_decayed_weights,
    ema,
    scale,
    scale_by_adam,
    scale_by_learning_rate,
    scale_by_lion,
    scale_by_param_block_rms,
    scale_by_rms,
    scale_by_rss,
    scale_by_trust_ratio,
    trace,
)
from weft.optim.schedules import ScalarOrSchedule

Mask = Any  # a tree of bools, or a function from parameters to one


def sgd(
    learning_rate: ScalarOrSchedule,
    momentum: Any = None,
    nesterov: bool = False,
    accumulator_dtype: DType = None,
) -> GradientTransformation:
    """Gradient descent, with `momentum` if given: the share of past updates that comes along.

    >>> optimizer = weft.optim.sgd(0.1, momentum=0.9)
    >>> x, slope = np.asarray(2.0), weft.grad(lambda x: x * x)
    >>> state = optimizer.init(x)
    >>> for _ in range(3):
    ...     updates, state = optimizer.update(slope(x), state)
    ...     x = weft.optim.apply_updates(x, updates)
    >>> round(float(x), 4)
    0.124
    """
    first = identity() if momentum is None else trace(momentum, nesterov, accumulator_dtype)
    return chain(first, scale_by_learning_rate(learning_rate))


def adam(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: DType = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Adam (Kingma and Ba, 2015); see :func:`weft.optim.scale_by_adam`.

    >>> optimizer = weft.optim.adam(0.1)
    >>> x = np.asarray([2.0, -300.0])
    >>> updates, state = optimizer.update(2 * x, optimizer.init(x))
    >>> np.round(updates, 3)  # at first, the learning rate in the direction of each sign
    Array([-0.1,  0.1], dtype=float32)
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        scale_by_learning_rate(learning_rate),
    )


def adamw(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: DType = None,
    weight_decay: Any = 1e-4,
    mask: Mask = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Adam with decay of weights beside it, not within (Loshchilov and Hutter, 2019).

    >>> rule = weft.optim.adamw(0.1)
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0].round(4)
    Array([-0.1,  0.1], dtype=float32)
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def lamb(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-6,
    eps_root: Any = 0.0,
    weight_decay: Any = 0.0,
    mask: Mask = None,
) -> GradientTransformation:
    """AdamW with updates in proportion to each array's norm (You et al., 2020).

    >>> rule = weft.optim.lamb(0.1)
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0].round(4)
    Array([-0.1,  0.1], dtype=float32)
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_trust_ratio(),
        scale_by_learning_rate(learning_rate),
    )


def lion(
    learning_rate: ScalarOrSchedule,
    b1: Any = 0.9,
    b2: Any = 0.99,
    mu_dtype: DType = None,
    weight_decay: Any = 1e-3,
    mask: Mask = None,
) -> GradientTransformation:
    """Steps of one size, in the direction of the sign of a running mean (Chen et al., 2023).

    >>> rule = weft.optim.lion(0.1)
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0]
    Array([-0.1001,  0.0999], dtype=float32)
    """
    return chain(
        scale_by_lion(b1, b2, mu_dtype),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def rmsprop(
    learning_rate: ScalarOrSchedule,
    decay: Any = 0.9,
    eps: Any = 1e-8,
    initial_scale: Any = 0.0,
    momentum: Any = None,
    nesterov: bool = False,
) -> GradientTransformation:
    """Gradients over the root of the running mean of their squares (Tieleman and Hinton, 2012).

    >>> rule = weft.optim.rmsprop(0.1)
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0].round(4)
    Array([-0.3162,  0.3162], dtype=float32)
    """
    return chain(
        scale_by_rms(decay, eps, initial_scale),
        scale_by_learning_rate(learning_rate),
        identity() if momentum is None else trace(momentum, nesterov),
    )


def adagrad(
    learning_rate: ScalarOrSchedule,
    initial_accumulator_value: Any = 0.1,
    eps: Any = 1e-7,
) -> GradientTransformation:
    """Gradients over the root of the sum of their squares (Duchi, Hazan and Singer, 2011).

    >>> rule = weft.optim.adagrad(0.1)
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0].round(4)
    Array([-0.0994,  0.0997], dtype=float32)
    """
    return chain(
        scale_by_rss(initial_accumulator_value, eps), scale_by_learning_rate(learning_rate)
    )


def adafactor(
    learning_rate: ScalarOrSchedule | None = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: float = 0.8,
    decay_offset: int = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: float | None = 1.0,
    momentum: float | None = None,
    dtype_momentum: DType = "float32",
    weight_decay_rate: float | None = None,
    eps: float = 1e-30,
    factored: bool = True,
    weight_decay_mask: Mask = None,
) -> GradientTransformation:
    """Adaptive steps whose state is as small as rows and columns (Shazeer and Stern, 2018).

    See :func:`weft.optim.scale_by_factored_rms`; updates are then limited to a root mean square of
    `clipping_threshold` and, by default, taken relative to that of the parameters.

    >>> optimizer, w = weft.optim.adafactor(0.1), np.ones(3)
    >>> updates, state = optimizer.update(2 * w, optimizer.init(w), w)
    >>> updates.shape
    (3,)
    """
    parts = [scale_by_factored_rms(factored, decay_rate, decay_offset, min_dim_size_to_factor, eps)]
    if clipping_threshold is not None:
        parts.append(clip_by_block_rms(clipping_threshold))
    if learning_rate is not None:
        parts.append(scale_by_learning_rate(learning_rate, flip_sign=False))
    if multiply_by_parameter_scale:
        parts.append(scale_by_param_block_rms())
    if momentum is not None:
        parts.append(ema(momentum, debias=False, accumulator_dtype=dtype_momentum))
    if weight_decay_rate is not None:
        parts.append(add_decayed_weights(weight_decay_rate, weight_decay_mask))
    return chain(*parts, scale(-1))


def muon(
    learning_rate: ScalarOrSchedule,
    ns_coeffs: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
    ns_steps: int = 5,
    beta: Any = 0.95,
    eps: float = 1e-8,
    weight_decay: Any = 0.0,
    weight_decay_mask: Mask = None,
    mu_dtype: DType = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    adam_b1: Any = 0.9,
    adam_b2: Any = 0.999,
    adam_eps_root: Any = 0.0,
    adam_weight_decay: Any = 0.0,
) -> GradientTransformation:
    """Nearly orthogonal steps for matrices, AdamW for all else (Jordan et al., "Muon", 2024).

    >>> optimizer, w = weft.optim.muon(0.1), np.eye(2)
    >>> updates, state = optimizer.update(2 * w, optimizer.init(w), w)
    >>> updates.shape
    (2, 2)
    """

    def labels(params: Params) -> Any:
        return tree.map(lambda p: "muon" if wnp.ndim(p) == 2 else "adam", params)

    for_matrices = chain(
        scale_by_muon(
            ns_coeffs, ns_steps, beta, eps, mu_dtype, nesterov=nesterov, adaptive=adaptive
        ),
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_learning_rate(learning_rate),
    )
    for_others = adamw(
        learning_rate,
        adam_b1,
        adam_b2,
        eps,
        adam_eps_root,
        mu_dtype,
        adam_weight_decay,
        nesterov=nesterov,
    )
    return partition({"muon": for_matrices, "adam": for_others}, labels)
