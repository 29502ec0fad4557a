"""Sizes of arrays and trees, and running means."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weft import numpy as wnp
from weft import tree
from weft.core import dtypes
from weft.numpy._common import DType


def squared_magnitude(x: Any) -> Any:
    """|x|², real for complex numbers."""
    x = wnp.asarray(x)
    return wnp.real(x * wnp.conj(x)) if dtypes.is_complex(x.dtype) else x * x


def global_norm(updates: Any) -> Any:
    """The Euclidean norm of all elements of a tree of arrays, as if they were one vector.

    >>> weft.optim.global_norm({"a": np.asarray([3.0, 0.0]), "b": np.asarray(4.0)})
    Array(5., dtype=float32)
    """
    return wnp.sqrt(sum(wnp.sum(squared_magnitude(x)) for x in tree.leaves(updates)))


def norm(x: Any) -> Any:
    """The Euclidean norm of all elements of an array."""
    return wnp.sqrt(wnp.sum(squared_magnitude(x)))


def root_mean_square(x: Any) -> Any:
    """√mean(|x|²) of all elements of an array."""
    return wnp.sqrt(wnp.mean(squared_magnitude(x)))


def zeros_like(params: Any, dtype: DType = None) -> Any:
    """A tree of zeros like `params`, of their dtypes or of `dtype`."""
    return tree.map(lambda p: wnp.zeros_like(p, dtype=dtype), params)


def running_mean(updates: Any, means: Any, decay: Any) -> Any:
    """decay · mean + (1 − decay) · update, for trees, in the dtypes of the means."""
    return tree.map(lambda g, m: wnp.asarray(decay * m + (1 - decay) * g, m.dtype), updates, means)


def unbiased(means: Any, decay: Any, count: Any) -> Any:
    """Running means that began at 0, divided by the weight that they have."""
    return tree.map(lambda m: m / weight(decay, count, m.dtype), means)


def weight(decay: Any, count: Any, dtype: np.dtype) -> Any:
    """1 − decay^count, the sum of `count` weights of a running mean, as a number of `dtype`."""
    # The power would be rounded to the numbers near 1, and little of the difference be left.
    rate = math.log(decay) if isinstance(decay, float) and decay > 0 else wnp.log(decay)
    return wnp.asarray(-wnp.expm1(as_real(count, dtype) * rate), dtype)


def as_real(count: Any, dtype: np.dtype) -> Any:
    """A number of steps in the precision of `dtype`, at least that of float32."""
    return wnp.asarray(
        count, wnp.float64 if dtype in (wnp.float64, wnp.complex128) else wnp.float32
    )


def first_count() -> Any:
    """The number of steps done before the first one."""
    return wnp.zeros((), wnp.int32)


def next_count(count: Any) -> Any:
    """count + 1, or count where that does not fit int32."""
    most = int(wnp.iinfo(wnp.int32).max)
    return wnp.where(count < most, count + 1, most)
