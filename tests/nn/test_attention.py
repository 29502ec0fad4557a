"""`dot_product_attention` against its definition in float64, over its options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft import nn


def random(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def expected(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
    query_seq_lengths: Any = None,
    key_value_seq_lengths: Any = None,
    local_window_size: Any = None,
) -> np.ndarray:
    """One query at a time, from the keys that it sees."""
    (batch, targets, heads, width), (_, sources, shared, _) = q.shape, k.shape
    whole = (batch, heads, targets, sources)
    bias = np.zeros(whole) if bias is None else np.broadcast_to(bias, whole)
    seen = np.ones(whole, bool) if mask is None else np.broadcast_to(mask, whole).copy()
    t, s = np.arange(targets)[:, None], np.arange(sources)
    if is_causal:
        seen &= t >= s
    if local_window_size is not None:
        window = local_window_size
        left, right = (window, window) if isinstance(window, int) else window
        seen &= (t - left <= s) & (s <= t + right)
    if key_value_seq_lengths is not None:
        seen &= (s < key_value_seq_lengths[:, None])[:, None, None, :]
    k, v = (np.repeat(x.astype(float), heads // shared, 2) for x in (k, v))
    scores = np.einsum("bthd,bshd->bhts", q.astype(float), k)
    scores = scores * (width**-0.5 if scale is None else scale) + bias
    scores = np.where(seen, scores, -1e300)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    out = np.einsum("bhts,bshd->bthd", weights, v)
    if query_seq_lengths is not None:
        out *= (np.arange(targets) < query_seq_lengths[:, None])[:, :, None, None]
    return np.where(seen.any(-1).swapaxes(1, 2)[..., None], out, np.nan)


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_every_option(data: st.DataObject) -> None:
    draw = data.draw
    batch, shared, each, targets, sources = (draw(st.integers(1, n)) for n in (2, 2, 3, 5, 6))
    heads = shared * each
    q = random(0, batch, targets, heads, 4)
    k, v = random(1, batch, sources, shared, 4), random(2, batch, sources, shared, 4)
    options: dict[str, Any] = {}
    square = tuple(draw(st.sampled_from([1, n])) for n in (batch, heads, targets, sources))
    if draw(st.booleans()):
        options["bias"] = random(3, *square)
    if draw(st.booleans()):
        options["mask"] = random(4, *square) > -0.5
    if draw(st.booleans()):
        options["scale"] = 0.7
    if draw(st.booleans()):
        options["is_causal"] = True
    if draw(st.booleans()):
        options["local_window_size"] = draw(st.sampled_from([1, (2, 0), (0, 3), (1, -1)]))
    lengths = st.lists(st.integers(1, 6), min_size=batch, max_size=batch)
    for name in ("query_seq_lengths", "key_value_seq_lengths"):
        if draw(st.booleans()):
            options[name] = np.array(draw(lengths), np.int32)
    with weft.disable_jit():
        found = np.asarray(nn.dot_product_attention(q, k, v, **options))
    assert found.shape == q.shape and np.isfinite(found).all()
    wanted = expected(q, k, v, **options)
    defined = np.isfinite(wanted)  # a query that sees nothing gets some mean
    np.testing.assert_allclose(found[defined], wanted[defined], rtol=2e-5, atol=1e-5)


def test_residual_and_axes() -> None:
    q, k, v = random(0, 3, 2, 4), random(1, 5, 2, 4), random(2, 5, 2, 4)
    with weft.disable_jit():
        out, residual = nn.dot_product_attention(q, k, v, return_residual=True)
    scores = np.einsum("thd,shd->ths", q, k) / 2
    np.testing.assert_allclose(residual, np.log(np.exp(scores).sum(-1)), rtol=1e-5)
    np.testing.assert_allclose(out, expected(q[None], k[None], v[None])[0], rtol=1e-5, atol=1e-6)


def test_half_types_are_summed_in_float32() -> None:
    q, k, v = (random(i, 1, 4, 2, 8) for i in range(3))
    half = [wnp.asarray(x, wnp.bfloat16) for x in (q, k, v)]
    with weft.disable_jit():
        found = nn.dot_product_attention(*half)
    assert found.dtype == wnp.bfloat16
    exact = expected(*(np.asarray(x).astype(np.float32) for x in half))
    np.testing.assert_allclose(np.asarray(found).astype(float), exact, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"local_window_size": (40, 0)}])
def test_scores_are_streamed(options: dict[str, Any]) -> None:
    """What kernels hand to each other is linear in the number of positions."""
    q, k, v = random(0, 1, 512, 4, 32), random(1, 1, 512, 2, 32), random(2, 1, 512, 2, 32)
    report = weft.explain(lambda *qkv: nn.dot_product_attention(*qkv, **options), q, k, v)
    assert report.peak_intermediate_bytes < 4 * q.nbytes
    found = weft.jit(lambda *qkv: nn.dot_product_attention(*qkv, **options))(q, k, v)
    np.testing.assert_allclose(found, expected(q, k, v, **options), rtol=2e-4, atol=2e-5)


def test_compiled_gradient() -> None:
    q, k, v = random(0, 1, 64, 2, 16), random(1, 1, 64, 1, 16), random(2, 1, 64, 1, 16)

    def loss(*qkv: Any) -> Any:
        return (nn.dot_product_attention(*qkv, is_causal=True) ** 2).sum()

    found = weft.jit(weft.grad(loss, (0, 1, 2)))(q, k, v)
    with weft.disable_jit():
        wanted = weft.grad(loss, (0, 1, 2))(*(x.astype(np.float64) for x in (q, k, v)))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_errors() -> None:
    q, k = np.ones((2, 3, 4), np.float32), np.ones((5, 3, 4), np.float32)
    attend = nn.dot_product_attention
    start = "weft.nn.dot_product_attention: "
    for error, call in {
        "query has axes": lambda: attend(q[0], k, k),
        "key and value of one shape": lambda: attend(q, k, k[:4]),
        "query, key and value of one floating-point dtype, got float32, float16": lambda: attend(
            q, k.astype("float16"), k.astype("float16")
        ),
        "query of shape .* need equal batches and widths": lambda: attend(
            q, k[..., :3], k[..., :3]
        ),
        "3 query heads cannot share 2 key heads": lambda: attend(q, k[:, :2], k[:, :2]),
        "mask is bool, got float32": lambda: attend(q, k, k, mask=np.ones((2, 5), np.float32)),
        r"bias broadcasts to \(B, N, T, S\)": lambda: attend(q, k, k, np.ones((1,) * 5)),
        "bias of shape .* for 3 heads, not 2": lambda: attend(q, k, k, np.ones((2, 2, 5))),
        r"query_seq_lengths is int32 of shape \(1,\), got int64": lambda: attend(
            q, k, k, query_seq_lengths=np.array([1])
        ),
        "implementation is None or 'xla', got 'cudnn'": lambda: attend(
            q, k, k, implementation="cudnn"
        ),
    }.items():
        with pytest.raises(ValueError, match=start + error):
            call()
