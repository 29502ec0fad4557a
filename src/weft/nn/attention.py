"""Attention by dot products.

It is composed from products and a softmax, nothing else: that the square of scores never exists as
a whole, and that blocks which a mask hides are left out, is the compiler's doing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft import lax
from weft.core import dtypes
from weft.nn.along import logsumexp, softmax
from weft.numpy import arange, einsum, where
from weft.numpy._common import ArrayLike, Value, check_arraylike, dtype_of, shape_of
from weft.numpy.creation import asarray

NAME = "weft.nn.dot_product_attention"


def dot_product_attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    bias: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    *,
    scale: float | None = None,
    is_causal: bool = False,
    query_seq_lengths: ArrayLike | None = None,
    key_value_seq_lengths: ArrayLike | None = None,
    local_window_size: int | tuple[int, int] | None = None,
    implementation: str | None = None,
    return_residual: bool = False,
) -> Any:
    """softmax(scale · query keyᵀ + bias) value, for each head: means of values, weighted by scores.

    Sizes are B sequences of T queries and S keys; N heads of queries and K of keys and values, a
    divisor of N (each is shared by N / K neighbouring query heads); H numbers for each head.

    Parameters
    ----------
    query: (B, T, N, H) or (T, N, H). key, value: (B, S, K, H) or (S, K, H), of query's dtype.
    bias: added to the scores; up to four axes, each of B, N, T, S or 1.
    mask: as `bias`, bool; scores where it does not hold count for nothing.
    scale: by default 1 / √H.
    is_causal: query t sees keys up to t.
    query_seq_lengths, key_value_seq_lengths: int32 of shape (B,); keys beyond are not seen, results
        of queries beyond are 0.
    local_window_size: (left, right) or one number: query t sees keys from t − left to t + right.
    implementation: accepted for compatibility: None or "xla".
    return_residual: return ``(result, r)`` with r the log-sum-exp of each query's scores, of shape
        (B, T, N) or (T, N), which is not differentiated.

    Returns
    -------
    An array of query's shape and dtype. Half types are computed in float32. A query that may see no
    key at all gets a mean of values, not NaN.

    Raises
    ------
    ValueError: if shapes, dtypes or numbers of heads do not fit.

    >>> q, k, v = np.ones((2, 1, 4)), np.ones((3, 1, 4)), np.arange(12.0).reshape(3, 1, 4)
    >>> weft.nn.dot_product_attention(q, k, v, is_causal=True)[:, 0]
    Array([[0., 1., 2., 3.],
           [2., 3., 4., 5.]], dtype=float32)
    """
    if implementation not in (None, "xla"):
        raise ValueError(f"{NAME}: implementation is None or 'xla', got {implementation!r}")
    wanted = shape_of(query)
    q, k, v = (_four_axes(*pair) for pair in (("query", query), ("key", key), ("value", value)))
    sequences, targets, heads, width = shape_of(q)
    sources, shared = shape_of(k)[1:3]
    _check_operands(q, k, v)
    kind = dtypes.promote_types(q.dtype, dtypes.float32)
    groups = (shared, heads // shared)
    q = lax.reshape(q, (sequences, targets, *groups, width))

    scores = einsum("btkgh,bskh->bkgts", q, k, preferred_element_type=kind)
    scores = scores * (width**-0.5 if scale is None else scale)
    if bias is not None:
        scores = (scores + _beside_scores("bias", bias, *groups)).astype(kind)
    allowed = None if mask is None else _beside_scores("mask", mask, *groups)
    if allowed is not None and allowed.dtype != np.bool_:
        raise ValueError(f"{NAME}: mask is bool, got {allowed.dtype}; additive masks are a bias")
    within = _lengths("query_seq_lengths", query_seq_lengths, sequences, targets)
    if within is not None:
        allowed = _and(allowed, within[:, None, None, :, None])
    present = _lengths("key_value_seq_lengths", key_value_seq_lengths, sequences, sources)
    if present is not None:
        allowed = _and(allowed, present[:, None, None, None, :])
    least = -0.7 * float(np.finfo(np.float32).max)  # finite: rows that see nothing are not NaN
    if allowed is not None:
        scores = where(allowed, scores, least)
    scores = _by_position(scores, is_causal, local_window_size, least)

    weights = softmax(scores).astype(k.dtype)
    result = einsum("bkgts,bskh->btkgh", weights, v)
    if within is not None:
        result = where(within[:, :, None, None, None], result, 0)
    result = lax.reshape(result, wanted)
    if not return_residual:
        return result
    residual = einsum("bkgt->btkg", logsumexp(scores, -1).astype(k.dtype))
    return result, lax.stop_gradient(lax.reshape(residual, wanted[:-1]))


def _four_axes(name: str, x: ArrayLike) -> Value:
    check_arraylike("nn.dot_product_attention", x)
    shape = shape_of(x)
    if len(shape) not in (3, 4):
        raise ValueError(
            f"{NAME}: {name} has axes (batch, position, head, width), with or without the first, "
            f"got shape {shape}"
        )
    return asarray(x) if len(shape) == 4 else lax.expand_dims(asarray(x), (0,))


def _check_operands(q: Value, k: Value, v: Value) -> None:
    if shape_of(v) != shape_of(k):
        raise ValueError(f"{NAME}: key and value of one shape, got {shape_of(k)} and {shape_of(v)}")
    if not q.dtype == k.dtype == v.dtype or not dtypes.is_floating(q.dtype):
        raise ValueError(
            f"{NAME}: query, key and value of one floating-point dtype, got {q.dtype}, {k.dtype} "
            f"and {v.dtype}"
        )
    (batch, _, heads, width), (k_batch, _, shared, k_width) = shape_of(q), shape_of(k)
    if (batch, width) != (k_batch, k_width):
        raise ValueError(
            f"{NAME}: query of shape {shape_of(q)} and key of shape {shape_of(k)} need equal "
            "batches and widths (first and last axes)"
        )
    if not shared or heads % shared:
        raise ValueError(
            f"{NAME}: {heads} query heads cannot share {shared} key heads: a multiple is needed"
        )


def _beside_scores(name: str, x: ArrayLike, shared: int, each: int) -> Value:
    """`x` of axes (B, N, T, S) with those of the scores: (B, K, N / K, T, S)."""
    check_arraylike("nn.dot_product_attention", x)
    shape = shape_of(x)
    if len(shape) > 4:
        raise ValueError(f"{NAME}: {name} broadcasts to (B, N, T, S), got shape {shape}")
    batch, heads, *square = (1,) * (4 - len(shape)) + shape
    if heads not in (1, shared * each):
        raise ValueError(f"{NAME}: {name} of shape {shape} for {shared * each} heads, not {heads}")
    split = (1, 1) if heads == 1 else (shared, each)
    return lax.reshape(asarray(x), (batch, *split, *square))


def _lengths(name: str, lengths: ArrayLike | None, batch: int, size: int) -> Value | None:
    """Which positions lie within each sequence, of shape (batch, size)."""
    if lengths is None:
        return None
    check_arraylike("nn.dot_product_attention", lengths)
    if shape_of(lengths) != (batch,) or dtype_of(lengths) != np.int32:
        raise ValueError(
            f"{NAME}: {name} is int32 of shape ({batch},), got {dtype_of(lengths)} of shape "
            f"{shape_of(lengths)}"
        )
    return arange(size) < asarray(lengths)[:, None]


def _and(mask: Value | None, other: Value) -> Value:
    return other if mask is None else mask & other


def _by_position(scores: Value, causal: bool, window: Any, least: float) -> Value:
    """Scores that the positions of query and key allow, and nothing elsewhere."""
    targets, sources = shape_of(scores)[-2:]
    left, right = (window, window) if isinstance(window, int) else window or (None, None)
    if causal:
        right = 0 if right is None else min(right, 0)
    t, s = arange(targets)[:, None], arange(sources)[None, :]
    allowed = None
    if right is not None:
        allowed = t >= s if right == 0 else t + right >= s
    if left is not None:
        allowed = _and(allowed, t - left <= s)
    if allowed is None:
        return scores

    def sees(query: int) -> bool:
        first = 0 if left is None else max(query - left, 0)
        last = sources - 1 if right is None else min(query + right, sources - 1)
        return first <= last

    # -inf makes weights 0 whatever the others are, so that blocks of them need not be computed. It
    # must not fill a row; the number of keys seen is concave in the row, so least at an end.
    everywhere = not targets or (sees(0) and sees(targets - 1))
    return where(allowed, scores, -np.inf if everywhere else least)
