"""Pooling: windows of the spatial axes, each folded to one element, as Flax has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft import lax
from weft.core import dtypes
from weft.nn.operands import floating
from weft.numpy._common import ArrayLike, Value, shape_of
from weft.numpy.creation import asarray


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

    >>> x = np.arange(4.0).reshape(4, 1)
    >>> weft.nn.pool(x, 0.0, lax.add, (2,), (2,))[:, 0]
    Array([1., 5.], dtype=float32)
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
    """The least element of each window; see :func:`pool`. Padding never is.

    >>> weft.nn.min_pool(np.arange(4.0).reshape(1, 4, 1), (2,), (2,)).ravel()
    Array([0., 2.], dtype=float32)
    """
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

    >>> weft.nn.avg_pool(np.arange(4.0).reshape(1, 4, 1), (2,), (2,)).ravel()
    Array([0.5, 2.5], dtype=float32)
    """
    x = floating("avg_pool", inputs)
    total = _pool("avg_pool", x, 0, lax.add, window_shape, strides, padding)
    if count_include_pad:
        return total / int(np.prod(window_shape))
    spatial = shape_of(x)[-len(tuple(window_shape)) - 1 : -1]
    ones = lax.full((*spatial, 1), 1, x.dtype)
    return total / _pool("avg_pool", ones, 0, lax.add, window_shape, strides, padding)
