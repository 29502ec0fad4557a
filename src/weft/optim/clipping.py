"""Limits on updates."""

from __future__ import annotations

from typing import Any

from weft import numpy as wnp
from weft import tree
from weft.optim.base import GradientTransformation, Params, Updates, needed, stateless
from weft.optim.numerics import global_norm, root_mean_square, squared_magnitude


def clip(max_delta: Any) -> GradientTransformation:
    """Every element of an update limited to [−max_delta, max_delta].

    >>> rule = weft.optim.clip(1.0)
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0]
    Array([ 1., -1.], dtype=float32)
    """
    return stateless(
        lambda updates, params: tree.map(lambda g: wnp.clip(g, -max_delta, max_delta), updates)
    )


def clip_by_global_norm(max_norm: Any) -> GradientTransformation:
    """All updates scaled together so that their `global_norm` is at most `max_norm`.

    Pascanu, Mikolov and Bengio (2013).

    >>> optimizer = weft.optim.clip_by_global_norm(1.0)
    >>> optimizer.update(np.asarray([3.0, 4.0]), optimizer.init(None))[0]
    Array([0.6, 0.8], dtype=float32)
    """

    def function(updates: Updates, params: Params) -> Updates:
        size = global_norm(updates)
        factor = wnp.where(size < max_norm, 1.0, max_norm / size)
        return tree.map(lambda g: g * wnp.asarray(factor, wnp.asarray(g).dtype), updates)

    return stateless(function)


def clip_by_block_rms(threshold: Any) -> GradientTransformation:
    """Each array of updates scaled so that its root mean square is at most `threshold`.

    >>> rule = weft.optim.clip_by_block_rms(1.0)
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0].round(4)
    Array([ 0.8485, -1.1314], dtype=float32)
    """

    def limited(g: Any) -> Any:
        return g / wnp.maximum(1.0, root_mean_square(g) / threshold)

    return stateless(lambda updates, params: tree.map(limited, updates))


def adaptive_grad_clip(clipping: Any, eps: Any = 1e-3) -> GradientTransformation:
    """Updates of each unit limited to `clipping` times the norm of its weights, at least `eps`.

    Units are columns of matrices, single vectors and numbers, and the last axis of convolutions'
    weights. Brock, De, Smith and Simonyan, "High-performance large-scale image recognition without
    normalization" (2021).

    >>> rule = weft.optim.adaptive_grad_clip(0.1)
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0].round(4)
    Array([ 0.0849, -0.1131], dtype=float32)
    """

    def limited(g: Any, p: Any) -> Any:
        size, most = _unit_norm(g), clipping * wnp.maximum(_unit_norm(p), eps)
        return wnp.where(size > most, g * (most / wnp.maximum(size, 1e-6)), g)

    def function(updates: Updates, params: Params) -> Updates:
        return tree.map(limited, updates, needed("adaptive_grad_clip", params))

    return stateless(function)


def _unit_norm(x: Any) -> Any:
    squares = squared_magnitude(x)
    ndim = squares.ndim
    axes = tuple(range(ndim)) if ndim <= 1 else tuple(range(ndim - 1))
    return wnp.sqrt(wnp.sum(squares, axes, keepdims=True))
