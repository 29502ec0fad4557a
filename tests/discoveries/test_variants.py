"""Programs that nobody had in mind: discoveries in other words, other bases, masks and norms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.discoveries.catalog import Discovery, Measured, measure

S, D = 1024, 32
HEAD = ((S, D),) * 3


def measured(function: Callable[..., Any], *shapes: tuple[int, ...]) -> Measured:
    return measure(Discovery(0, "", function, shapes, lambda m: True))


def base_two(np_: Any, q: Any, k: Any, v: Any) -> Any:
    s = q @ k.T * 0.18
    e = np_.exp2(s - s.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)) @ v


def keys_first(np_: Any, q: Any, k: Any, v: Any) -> Any:
    s = k @ q.T / 8
    e = np_.exp(s - s.max(0))
    return (e / e.sum(0)).T @ v


def divided_last(np_: Any, q: Any, k: Any, v: Any) -> Any:
    s = q @ k.T / 8
    e = np_.exp(s - s.max(-1, keepdims=True))
    return (e @ v) / e.sum(-1, keepdims=True)


def without_maximum(np_: Any, q: Any, k: Any, v: Any) -> Any:
    e = np_.exp(q @ k.T / 8)
    return (e @ v) / e.sum(-1, keepdims=True)


def linear_bias(np_: Any, q: Any, k: Any, v: Any) -> Any:
    n = np_.arange(S)
    s = q @ k.T / 8 - 0.1 * abs(n[:, None] - n)
    e = np_.exp(s - s.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)) @ v


def prefix(np_: Any, q: Any, k: Any, v: Any) -> Any:
    n = np_.arange(S)
    s = np_.where((n[:, None] >= n) | (n < 100), q @ k.T / 8, -1e9)
    e = np_.exp(s - s.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)) @ v


def sigmoid(np_: Any, q: Any, k: Any, v: Any) -> Any:
    return (1 / (1 + np_.exp(-(q @ k.T / 8)))) @ v


def sum_of_magnitudes(np_: Any, q: Any, k: Any, v: Any) -> Any:
    s = q @ k.T
    return (s / abs(s).sum(-1, keepdims=True)) @ v


def sum_of_squares(np_: Any, q: Any, k: Any, v: Any) -> Any:
    s = q @ k.T
    return (s / np_.sqrt((s * s).sum(-1, keepdims=True))) @ v


def squared_relu(np_: Any, q: Any, k: Any, v: Any) -> Any:
    return (np_.maximum(q @ k.T / 8, 0) ** 2) @ v


@pytest.mark.parametrize(
    "function",
    [
        base_two,
        keys_first,
        divided_last,
        without_maximum,
        linear_bias,
        prefix,
        sigmoid,
        sum_of_magnitudes,
        sum_of_squares,
        squared_relu,
    ],
)
def test_attention_in_other_words(function: Callable[..., Any]) -> None:
    """No array of scores, and nothing is read again but what a pass before has made of the rows."""
    m = measured(function, *HEAD)
    assert m.peak < S * S
    assert m.dram < 4 * sum(np.prod(s) for s in HEAD) * 4


def places(np_: Any) -> tuple[Any, Any]:
    return np_.arange(S)[:, None], np_.arange(S)


def masked(np_: Any, shown: Any, s: Any) -> Any:
    return np_.where(shown, s, -np.inf)


def nested_choices(np_: Any, s: Any) -> Any:
    i, j = places(np_)
    return masked(np_, i - j < 128, masked(np_, i >= j, s))


def blocks(np_: Any) -> Any:
    return np_.repeat(np_.arange(S // 64), 64)


@pytest.mark.parametrize(
    ("mask", "part"),
    [
        (lambda np_, s: np_.where(places(np_)[1] > places(np_)[0], -np.inf, s), 0.6),
        (lambda np_, s: s + np_.triu(np_.full((S, S), -np.inf), 1), 0.6),
        (lambda np_, s: masked(np_, abs(places(np_)[0] - places(np_)[1]) < 128, s), 0.4),
        (nested_choices, 0.3),
        (lambda np_, s: masked(np_, places(np_)[0] // 64 == places(np_)[1] // 64, s), 0.3),
        (lambda np_, s: masked(np_, blocks(np_)[:, None] == blocks(np_), s), 0.3),
        (lambda np_, s: masked(np_, places(np_)[0] // 64 >= places(np_)[1] // 64, s), 0.7),
    ],
)
def test_tiles_that_masks_hide_are_skipped(mask: Callable[..., Any], part: float) -> None:
    """Spelled in other ways: of all products about the part that a mask shows is computed."""

    def function(np_: Any, q: Any, k: Any, v: Any) -> Any:
        s = mask(np_, q @ k.T / 8)
        e = np_.exp(s - s.max(-1, keepdims=True))
        return (e / e.sum(-1, keepdims=True)) @ v

    m = measured(function, *HEAD)
    assert m.kernels == 1 and m.flops < part * 5 * S * S * D


def test_heads_in_the_middle() -> None:
    def function(np_: Any, q: Any, k: Any, v: Any) -> Any:
        s = np_.einsum("bihd,bjhd->bhij", q, k) / 8
        e = np_.exp(s - s.max(-1, keepdims=True))
        return np_.einsum("bhij,bjhd->bihd", e / e.sum(-1, keepdims=True), v)

    m = measured(function, *((2, 512, 4, D),) * 3)
    assert m.kernels == 1 and m.peak < 2 * 4 * 512 * 512


@pytest.mark.parametrize(
    "function",
    [
        lambda np_, x, y: abs(x[:, None] - y[None]).sum(-1).min(1),
        lambda np_, x, y: np_.exp(-abs(x[:, None] - y[None]).sum(-1)).sum(1),
        lambda np_, x, y: (x @ y.T / np_.sqrt((y * y).sum(1))).max(1),
    ],
)
def test_other_distances(function: Callable[..., Any]) -> None:
    m = measured(function, (1500, 16), (1500, 16))
    assert m.peak < 1500 * 1500


@pytest.mark.parametrize(
    "function",
    [
        lambda np_, x: x.std(0),
        lambda np_, x: ((x - x.mean(1, keepdims=True)) ** 3).mean(1) / x.std(1) ** 3,
        lambda np_, x: np_.cumprod(x, 1)[:, -1],
    ],
)
def test_other_moments_and_ends_take_one_pass(function: Callable[..., Any]) -> None:
    m = measured(function, (4096, 4096))
    assert m.kernels == 1 and m.dram < 1.05 * 4 * 4096 * 4096
