"""Losses against their formulas in NumPy, at extreme arguments, and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
from weft.nn import losses
from weft.test_util import check_grads

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(2, 4, 5))
P = np.exp(Y) / np.exp(Y).sum(-1, keepdims=True)
LOGP = X - np.log(np.exp(X).sum(-1, keepdims=True))
LABELS = np.array([0, 3, 4, 1], np.int32)
BITS = (Y > 0).astype(float)
CHANCE = 1 / (1 + np.exp(-X))
ENTROPY = -BITS * np.log(CHANCE) - (1 - BITS) * np.log(1 - CHANCE)
MASK = np.array([True, True, False, True, True])


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x**2).sum(-1, keepdims=True))


D = abs(X - Y)
CASES: dict[str, tuple[tuple[Any, ...], np.ndarray]] = {
    "squared_error": ((X, Y), D**2),
    "l2_loss": ((X, Y), D**2 / 2),
    "huber_loss": ((X, Y, 0.7), np.where(D < 0.7, D**2 / 2, 0.7 * (D - 0.35))),
    "log_cosh": ((X, Y), np.log(np.cosh(D))),
    "hinge_loss": ((X, np.sign(Y)), np.maximum(0, 1 - X * np.sign(Y))),
    "sigmoid_binary_cross_entropy": ((X, BITS), ENTROPY),
    "softmax_cross_entropy": ((X, P), -(P * LOGP).sum(-1)),
    "softmax_cross_entropy_with_integer_labels": ((X, LABELS), -LOGP[range(4), LABELS]),
    "smooth_labels": ((P, 0.1), 0.9 * P + 0.02),
    "kl_divergence": ((LOGP, P), (P * (np.log(P) - LOGP)).sum(-1)),
    "cosine_similarity": ((X, Y), (unit(X) * unit(Y)).sum(-1)),
    "cosine_distance": ((X, Y), 1 - (unit(X) * unit(Y)).sum(-1)),
    "poly_loss_cross_entropy": (
        (X, P),
        -(P * LOGP).sum(-1) + 2 * (1 - (P * np.exp(LOGP)).sum(-1)),
    ),
    "sigmoid_focal_loss": (
        (X, BITS, 0.25),
        np.where(BITS > 0, 0.25 * (1 - CHANCE) ** 2, 0.75 * CHANCE**2) * ENTROPY,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_formula_and_gradient(name: str) -> None:
    args, wanted = CASES[name]
    with weft.disable_jit():
        np.testing.assert_allclose(getattr(losses, name)(*args), wanted, rtol=1e-12, atol=1e-14)
        check_grads(lambda x: getattr(losses, name)(x, *args[1:]), (args[0],), order=1)


def test_masked_classes_do_not_count() -> None:
    some = np.where(MASK, X, -np.inf)
    logs = X - np.log(np.exp(some).sum(-1, keepdims=True))
    shares = np.where(MASK, P, 0)
    labels = np.array([0, 3, 4, 1])
    with weft.disable_jit():
        found = losses.softmax_cross_entropy(X, shares, where=MASK)
        np.testing.assert_allclose(found, -(shares * np.where(MASK, logs, 0)).sum(-1), rtol=1e-12)
        found = losses.softmax_cross_entropy_with_integer_labels(X, labels, where=MASK)
        np.testing.assert_allclose(found, -logs[range(4), labels], rtol=1e-12)


def test_extreme_arguments() -> None:
    far = np.array([-1e4, 1e4], np.float32)
    with weft.disable_jit():
        assert losses.log_cosh(far).tolist() == [pytest.approx(1e4 - np.log(2))] * 2
        assert losses.sigmoid_binary_cross_entropy(far, np.array([0.0, 0.0])).tolist() == [0, 1e4]
        assert losses.cosine_similarity(np.zeros(3), np.ones(3), 1e-6).tolist() == 0
        slope = weft.grad(lambda x: losses.cosine_similarity(x, np.ones(3), 1e-6))(np.zeros(3))
        assert np.isfinite(np.asarray(slope)).all()
        assert losses.kl_divergence(np.log([0.5, 0.5]), np.array([1.0, 0.0])) == np.log(2)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"weft.nn.losses.l2_loss: predictions of shape \(4, 5\)"):
        losses.l2_loss(X, Y[0])
    with pytest.raises(TypeError, match="labels are integers, got float64"):
        losses.softmax_cross_entropy_with_integer_labels(X, Y[:, 0])
