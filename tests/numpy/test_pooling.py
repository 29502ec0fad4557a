"""Pooling, reductions over windows, and running log-sums of exponentials."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft import lax, nn

FOLDS = {"add": (np.sum, 0), "max": (np.max, -(2**31)), "min": (np.min, 2**31 - 1)}
FOLDS["mul"] = (np.prod, 1)


def plain(
    x: np.ndarray, name: str, window: Any, strides: Any, pads: Any, base: Any, dilation: Any
) -> np.ndarray:
    """The definition: every window folded by itself, elements outside left out."""
    fold, identity = FOLDS[name]
    grown = [
        (n - 1) * b + 1 + low + high for n, b, (low, high) in zip(x.shape, base, pads, strict=True)
    ]
    padded = np.full(grown, identity, x.dtype)
    padded[
        tuple(
            slice(low, low + (n - 1) * b + 1, b)
            for n, b, (low, _) in zip(x.shape, base, pads, strict=True)
        )
    ] = x
    spans = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    counts = [max(0, (n - r) // s + 1) for n, r, s in zip(grown, spans, strides, strict=True)]
    out = np.empty(counts, x.dtype)
    for place in itertools.product(*map(range, counts)):
        part = tuple(
            slice(p * s, p * s + r, d)
            for p, s, r, d in zip(place, strides, spans, dilation, strict=True)
        )
        out[place] = fold(padded[part])
    return out


@st.composite
def calls(draw: st.DrawFn) -> tuple[Any, ...]:
    ndim = draw(st.integers(1, 2))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(ndim))

    shape, window = each(1, 6), each(1, 6)
    pads = list(zip(each(0, 2), each(0, 2), strict=True))
    x = np.random.default_rng(draw(st.integers(0, 99))).integers(-5, 6, shape).astype(np.int32)
    return x, (window, each(1, 3), pads, each(1, 2), each(1, 2))


@settings(max_examples=40, deadline=None)
@given(calls(), st.sampled_from(sorted(FOLDS)))
def test_reduce_window_is_its_definition(call: tuple[Any, ...], name: str) -> None:
    x, arguments = call
    with weft.disable_jit():
        out = lax.reduce_window(x, FOLDS[name][1], getattr(lax, name), *arguments)
        # A function that is not recognised gives the same.
        same = lax.reduce_window(
            x, FOLDS[name][1], lambda a, b: getattr(lax, name)(a, b) + 0, *arguments
        )
    expected = plain(x, name, *arguments)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(same, expected)


def test_several_operands_keep_their_order() -> None:
    """The composition of affine functions is associative and does not commute."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 9)), rng.standard_normal((2, 9))

    def then(f: Any, g: Any) -> Any:
        return f[0] * g[0], f[1] * g[0] + g[1]

    with weft.disable_jit():
        out = lax.reduce_window((a, b), (1.0, 0.0), then, (1, 5), (1, 2), "VALID")
    for k in range(3):
        scale, shift = np.ones(2), np.zeros(2)
        for j in range(2 * k, 2 * k + 5):
            scale, shift = scale * a[:, j], shift * a[:, j] + b[:, j]
        np.testing.assert_allclose(out[0][:, k], scale)
        np.testing.assert_allclose(out[1][:, k], shift)


def test_an_initial_value_counts_once() -> None:
    x = np.arange(4.0, dtype=np.float32)
    with weft.disable_jit():
        out = lax.reduce_window(x, 10.0, lax.add, (2,), (1,), [(1, 0)])
    np.testing.assert_array_equal(out, [10, 11, 13, 15])


@pytest.mark.parametrize("name", ["max", "min", "avg"])
def test_pooling(name: str) -> None:
    x = np.random.default_rng(0).standard_normal((2, 5, 6, 3)).astype(np.float32)
    fold = {"max": np.max, "min": np.min, "avg": np.mean}[name]
    with weft.disable_jit():
        out = getattr(nn, f"{name}_pool")(x, (2, 3), strides=(2, 3))
        one = getattr(nn, f"{name}_pool")(x[0], (2, 3), strides=(2, 3), padding="VALID")
    expected = fold(x[:, :4].reshape(2, 2, 2, 2, 3, 3), axis=(2, 4))
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one, expected[0], rtol=1e-5, atol=1e-6)


def test_padding_of_means() -> None:
    x = np.ones((4, 1), np.float32)
    with weft.disable_jit():
        zeros = nn.avg_pool(x, (3,), padding="SAME")
        none = nn.avg_pool(x, (3,), padding=[(1, 1)], count_include_pad=False)
        most = nn.max_pool(-x, (3,), padding="SAME")
    np.testing.assert_allclose(zeros[:, 0], [2 / 3, 1, 1, 2 / 3], rtol=1e-6)
    np.testing.assert_array_equal(none, x)
    np.testing.assert_array_equal(most, -x)


def test_the_first_of_equal_elements_gets_the_gradient_of_an_extremum() -> None:
    x = np.array([[1.0], [3.0], [3.0], [2.0]])

    def total(x: Any) -> Any:
        return wnp.sum(nn.max_pool(x, (3,)))

    with weft.disable_jit():
        np.testing.assert_array_equal(weft.grad(total)(x)[:, 0], [0, 2, 0, 0])
        batched = weft.vmap(weft.grad(total))(np.stack([x, -x]))
    np.testing.assert_array_equal(batched[1][:, 0], [1, 0, 0, 1])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.booleans(), st.integers(0, 99))
def test_cumlogsumexp(n: int, reverse: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.choice(
        [-np.inf, np.inf, -1e3, 1e3, 0.5, 1.0], (2, n), p=[0.2, 0.05, 0.2, 0.2, 0.2, 0.15]
    )
    with weft.disable_jit():
        out = lax.cumlogsumexp(x, 1, reverse)
    y = x[:, ::-1] if reverse else x
    with np.errstate(invalid="ignore"):
        expected = np.logaddexp.accumulate(y, axis=1)
    np.testing.assert_allclose(out, expected[:, ::-1] if reverse else expected, rtol=1e-12)


CASES = [
    (
        lambda x: lax.reduce_window(x, (0.0, 1.0), lax.add, (1,), (1,), "SAME"),
        "initial values of the same structure",
    ),
    (
        lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 2), (1,), "SAME"),
        "needs window_dimensions as 1 positive integers",
    ),
    (
        lambda x: lax.reduce_window(x, 0.0, lax.add, (2,), (1,), [(1, 1), (0, 0)]),
        "needs padding as 1 (low, high) pairs",
    ),
    (lambda x: nn.max_pool(x, (2,)), "need a feature axis beside one spatial axis"),
    (lambda x: nn.avg_pool(x[:, None], (2,), padding=[]), "padding needs a (low, high) pair"),
]


@pytest.mark.parametrize(("call", "text"), CASES)
def test_errors(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        call(np.ones(4, np.float32))
