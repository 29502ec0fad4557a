"""`weft.scipy.cluster.vq`: the nearest of given points."""

from __future__ import annotations

import numpy as np

import weft.numpy as wnp
from weft.numpy._common import ArrayLike, Value, promote_inexact

__all__ = ["vq"]


def vq(obs: ArrayLike, code_book: ArrayLike, check_finite: bool = True) -> tuple[Value, Value]:
    """``(codes, distances)``: for each row of `obs` the index of the nearest row of `code_book`,
    and how far it is. Vectors are taken for columns; `check_finite` has no effect.

    >>> vq(np.array([[0., 0.], [3., 4.]]), np.array([[0., 0.]]))[1]
    Array([0., 5.], dtype=float32)
    """
    del check_finite
    x, centres = (wnp.asarray(v) for v in promote_inexact("scipy.cluster.vq", obs, code_book))
    if x.ndim != centres.ndim or x.ndim not in (1, 2) or x.shape[1:] != centres.shape[1:]:
        raise ValueError(
            "weft.scipy.cluster.vq.vq: obs and code_book have two axes (or one), the last of one "
            f"size, got shapes {x.shape} and {centres.shape}"
        )
    if x.ndim == 1:
        x, centres = x[:, None], centres[:, None]
    apart = x[:, None, :] - centres
    distances = wnp.sqrt(wnp.sum(apart * apart, -1))
    codes = wnp.argmin(distances, -1).astype(np.int32)
    return codes, wnp.take_along_axis(distances, codes[:, None], -1)[:, 0]
