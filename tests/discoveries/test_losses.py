"""Cross-entropy with integer labels: no matrix of probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

import weft
from tests.discoveries.catalog import MACHINE
from weft import numpy as wnp
from weft.planning import plan_program

ROWS, WIDTH, CLASSES = 256, 16, 2048


def cross_entropy(np_: Any, scores: Any, labels: Any) -> Any:
    largest = scores.max(-1, keepdims=True)
    total = np_.log(np_.exp(scores - largest).sum(-1)) + largest[:, 0]
    return (total - np_.take_along_axis(scores, labels[:, None], 1)[:, 0]).mean()


def arguments() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((ROWS, WIDTH), (WIDTH, CLASSES)))
    return x, w, rng.integers(0, CLASSES, ROWS).astype(np.int32)


def test_of_scores() -> None:
    x, w, labels = arguments()
    scores = x @ w
    loss = weft.jit(lambda s, y: cross_entropy(wnp, s, y))
    exact = cross_entropy(np, scores.astype(np.float64), labels)
    np.testing.assert_allclose(loss(scores, labels), exact, rtol=1e-5)
    report = weft.explain(loss, scores, labels)
    assert report.peak_intermediate_bytes < scores.nbytes / 50


def test_of_products() -> None:
    x, w, labels = arguments()
    loss = weft.jit(lambda x, w, y: cross_entropy(wnp, x @ w, y))
    exact = cross_entropy(np, x.astype(np.float64) @ w, labels)
    np.testing.assert_allclose(loss(x, w, labels), exact, rtol=1e-5)


def test_of_products_has_no_array_of_scores() -> None:
    shapes = (4096, 64), (64, 16384)
    arrays = [np.zeros(s, np.float32) for s in shapes]
    labels = np.zeros(4096, np.int32)
    report = weft.explain(lambda x, w, y: cross_entropy(wnp, x @ w, y), *arrays, labels)
    assert report.peak_intermediate_bytes < 4 * 4096 * 16384 / 100
    assert report.flops < 2.3 * 64 * 4096 * 16384


def test_labels_of_a_log_softmax_need_no_array_of_scores() -> None:
    """The label was read of an array of all of them, as it is made of a product and none."""

    def loss(np_: Any, x: Any, w: Any, y: Any) -> Any:
        s = x @ w
        s = s - s.max(-1, keepdims=True)
        log = s - np_.log(np_.exp(s).sum(-1, keepdims=True))
        return -np_.take_along_axis(log, y[:, None], 1).mean()

    x, w, labels = arguments()
    exact = loss(np, x.astype(np.float64), w.astype(np.float64), labels)
    np.testing.assert_allclose(weft.jit(lambda *a: loss(wnp, *a))(x, w, labels), exact, rtol=1e-5)
    large = np.zeros((4096, 64), np.float32), np.zeros((64, 16384), np.float32)
    jaxpr = weft.make_jaxpr(lambda *a: loss(wnp, *a))(*large, np.zeros(4096, np.int32))
    assert plan_program(jaxpr, machine=MACHINE).arena_bytes < 4 * 4096 * 16384 / 100


def test_elements_that_data_choose() -> None:
    """With labels out of range and negative ones, as NumPy's indexing rules say."""
    x, w, labels = arguments()
    labels[:3] = (-1, CLASSES - 1, -CLASSES)

    def chosen(np_: Any, x: Any, w: Any, y: Any) -> Any:
        s = x @ w
        return s[np_.arange(ROWS), y] - s.max(1)

    found = weft.jit(lambda x, w, y: chosen(wnp, x, w, y))(x, w, labels)
    np.testing.assert_allclose(found, chosen(np, x, w, labels), rtol=1e-4, atol=1e-4)


def test_the_gradient_of_products() -> None:
    x, w, labels = arguments()
    loss = lambda x, w, y: cross_entropy(wnp, x @ w, y)  # noqa: E731
    found = weft.jit(weft.grad(loss, argnums=(0, 1)))(x, w, labels)
    scores = x.astype(np.float64) @ w
    p = np.exp(scores - scores.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    p[np.arange(ROWS), labels] -= 1
    for f, e in zip(found, (p @ w.T / ROWS, x.T @ p / ROWS), strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-3, atol=1e-5 * np.abs(e).max())
