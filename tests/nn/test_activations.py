"""`weft.nn`: values against their definitions in float64, gradients, extreme arguments."""

from __future__ import annotations

import math

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from weft import nn

X = np.linspace(-6, 6, 24, dtype=np.float32).reshape(4, 6)
D = X.astype(np.float64)
ERF = np.vectorize(math.erf)
SIGMOID = 1 / (1 + np.exp(-D))
SOFTPLUS = np.log1p(np.exp(D))
EXPECTED = {
    "relu": np.maximum(D, 0),
    "relu6": np.clip(D, 0, 6),
    "sigmoid": SIGMOID,
    "softplus": SOFTPLUS,
    "soft_sign": D / (1 + abs(D)),
    "silu": D * SIGMOID,
    "swish": D * SIGMOID,
    "log_sigmoid": np.log(SIGMOID),
    "mish": D * np.tanh(SOFTPLUS),
    "gelu": D / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (D + 0.044715 * D**3))),
    "leaky_relu": np.where(D > 0, D, 0.01 * D),
    "elu": np.where(D > 0, D, np.expm1(D)),
    "celu": np.where(D > 0, D, np.expm1(D)),
    "selu": 1.0507009873554805 * np.where(D > 0, D, 1.6732632423543772 * np.expm1(D)),
    "hard_tanh": np.clip(D, -1, 1),
    "hard_sigmoid": np.clip(D + 3, 0, 6) / 6,
    "hard_silu": D * np.clip(D + 3, 0, 6) / 6,
    "identity": D,
    "squareplus": (D + np.sqrt(D**2 + 4)) / 2,
    "sparse_plus": np.where(D < -1, 0, np.where(D > 1, D, (D + 1) ** 2 / 4)),
    "sparse_sigmoid": np.clip((D + 1) / 2, 0, 1),
    "logmeanexp": np.log(np.exp(D).mean()),
    "glu": D[:, :3] * SIGMOID[:, 3:],
    "softmax": np.exp(D) / np.exp(D).sum(-1, keepdims=True),
    "log_softmax": D - np.log(np.exp(D).sum(-1, keepdims=True)),
    "logsumexp": np.log(np.exp(D).sum()),
    "standardize": (D - D.mean(-1, keepdims=True)) / np.sqrt(D.var(-1, keepdims=True) + 1e-5),
    "normalize": D / np.sqrt((D**2).sum(-1, keepdims=True)),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_values(name):
    with weft.disable_jit():
        result = getattr(nn, name)(X)
    assert result.dtype == np.float32
    np.testing.assert_allclose(np.asarray(result), EXPECTED[name], rtol=1e-5, atol=2e-6)


def test_log1mexp():
    x = np.array([1e-30, 1e-4, 0.5, 0.69314, 0.69315, 3.0, 30.0], np.float32)
    near = np.minimum(x, 1).astype(float)
    wanted = np.where(
        x < 1, np.log(-np.expm1(-near)), np.log1p(-np.exp(-np.float64(np.maximum(x, 1))))
    )
    with weft.disable_jit():
        np.testing.assert_allclose(nn.log1mexp(x), wanted, rtol=3e-6)
        slope = weft.vmap(weft.grad(nn.log1mexp))(x)
        np.testing.assert_allclose(slope, 1 / np.expm1(x.astype(float)), rtol=1e-6)
        assert nn.log1mexp(np.float32(0)) == -np.inf and np.isnan(nn.log1mexp(np.float32(-1)))


def test_stable_standardize():
    far = X + np.float32(1e4)
    with weft.disable_jit():
        found = np.asarray(nn.standardize(far, algorithm="stable"))
    np.testing.assert_allclose(found, EXPECTED["standardize"], atol=2e-3)
    with pytest.raises(ValueError, match="algorithm is 'fast' or 'stable', got 'exact'"):
        nn.standardize(X, algorithm="exact")


def test_logmeanexp_of_some():
    with weft.disable_jit():
        found = nn.logmeanexp(X, axis=1, where=X > 0, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = np.log(np.sum(np.exp(D), 1, where=D > 0) / np.sum(D > 0, 1))
    np.testing.assert_allclose(np.asarray(found)[2:, 0], wanted[2:], rtol=1e-6)


def test_far_sparse_plus_has_derivatives():
    with weft.disable_jit():
        slopes = weft.vmap(weft.grad(nn.sparse_plus))(np.array([-1e30, 0.5, 1e30], np.float32))
    assert np.asarray(slopes).tolist() == [0, 0.75, 1]


def test_exact_gelu():
    with weft.disable_jit():
        result = nn.gelu(X, approximate=False)
    np.testing.assert_allclose(
        np.asarray(result), D / 2 * (1 + ERF(D / np.sqrt(2))), rtol=2e-5, atol=1e-6
    )


def test_extreme_arguments():
    far = np.array([-1e4, 1e4, np.inf, -np.inf], np.float32)
    with weft.disable_jit():
        assert nn.softmax(far[:2]).tolist() == [0, 1]
        assert nn.log_softmax(far[:2]).tolist() == [-2e4, 0]
        assert float(nn.logsumexp(far[:2])) == 1e4
        assert float(nn.logsumexp(far[3:])) == -np.inf
        assert float(nn.logsumexp(far[2:3])) == np.inf
        assert nn.softplus(far).tolist() == [0, 1e4, np.inf, 0]
        assert nn.sigmoid(far).tolist() == [0, 1, 1, 0]
        assert nn.elu(far).tolist() == [-1, 1e4, np.inf, -1]
        assert np.isnan(float(nn.relu(np.float32(np.nan))))


def test_masks():
    mask = X > 0
    with weft.disable_jit():
        result = np.asarray(nn.softmax(X[2:], where=mask[2:]))
        expected = np.where(mask, np.exp(D), 0)[2:]
        np.testing.assert_allclose(result, expected / expected.sum(-1, keepdims=True), rtol=1e-5)
        total = nn.logsumexp(X, where=mask)
        np.testing.assert_allclose(float(total), np.log(np.exp(D[mask]).sum()), rtol=1e-6)


def test_logsumexp_options():
    with weft.disable_jit():
        weighted = nn.logsumexp(X, axis=1, b=np.float32(2.0), keepdims=True)
        expected = np.log(2 * np.exp(D).sum(1, keepdims=True))
        np.testing.assert_allclose(np.asarray(weighted), expected, rtol=1e-6)
        value, sign = nn.logsumexp(X, axis=0, b=np.float32(-1.0), return_sign=True)
        np.testing.assert_allclose(np.asarray(value), np.log(np.exp(D).sum(0)), rtol=1e-6)
        assert sign.tolist() == [-1] * 6


def test_one_hot():
    with weft.disable_jit():
        assert nn.one_hot(np.array([0, 2, 5]), 3).tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
        assert nn.one_hot(np.array([1]), 2, axis=0).tolist() == [[0], [1]]
        assert nn.one_hot(1, 3, dtype=np.int32).dtype == np.int32


@pytest.mark.parametrize(
    "name", ["relu", "softplus", "gelu", "silu", "elu", "softmax", "log_softmax"]
)
def test_gradients_against_differences(name):
    function = getattr(nn, name)
    weights = np.cos(np.arange(6.0))
    x = np.array([-2.0, -0.7, 0.3, 1.1, 2.0, -3.0])

    def loss(x):
        return (function(x) * weights).sum()

    with weft.disable_jit():
        gradient = np.asarray(weft.grad(loss)(x))
        steps = np.eye(6) * 1e-6
        differences = [(float(loss(x + h)) - float(loss(x - h))) / 2e-6 for h in steps]
    np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=1e-7)


def test_gradients_at_special_points():
    with weft.disable_jit():
        assert float(weft.grad(nn.relu)(np.float32(0))) == 0
        assert float(weft.grad(nn.elu)(np.float32(200))) == 1
        assert float(weft.grad(nn.softplus)(np.float32(-200))) == 0
        assert float(weft.grad(lambda x: nn.logsumexp(x)[None].sum())(np.float32(3))) == 1


def test_compiled_softmax():
    for result in (weft.jit(nn.softmax)(X), nn.softmax(wnp.asarray(X))):
        np.testing.assert_allclose(np.asarray(result), EXPECTED["softmax"], rtol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match=r"weft.nn.glu: axis 1 has odd length 3"):
        nn.glu(np.ones((2, 3)))
    with pytest.raises(TypeError, match=r"weft.nn.silu: argument 0 must be an array"):
        nn.silu([1.0])
