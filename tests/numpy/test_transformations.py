"""Functions of the namespace under vmap and grad: composed from primitives, so all of them work."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.numpy as wnp

FUNCTIONS = {
    "var": lambda x: wnp.var(x, 0),
    "std": lambda x: wnp.std(x),
    "norm": lambda x: wnp.linalg.norm(x, axis=1),
    "logaddexp": lambda x: wnp.logaddexp(x, x.T[:3, :3] if x.shape == (3, 3) else 0.3),
    "einsum": lambda x: wnp.einsum("ij,kj->ki", x, x),
    "matmul": lambda x: x @ x.T,
    "power": lambda x: (x**2 + 1) ** 1.5,
    "where": lambda x: wnp.where(x > 0, wnp.exp(x), x * 2),
    "clip": lambda x: wnp.clip(x, -0.5, 0.5),
    "cumsum": lambda x: wnp.cumsum(x, 1) ** 2,
    "roll and pad": lambda x: wnp.pad(wnp.roll(x, 1, 0), 1, "edge") ** 2,
    "concatenate": lambda x: wnp.concatenate([x, x[::-1] * 2], 1) ** 2,
    "at set": lambda x: x.at[1, :2].set(x[0, :2] ** 2) * x,
    "at strided": lambda x: x.at[::2, 1].multiply(x[1, 1]),
    "at add with indices": lambda x: x.at[np.array([0, 0, 2])].add(x * x),
    "indices": lambda x: x[np.array([2, 0]), 1:] ** 2,
    "traced index": lambda x: x[wnp.asarray(1) + 0] ** 3,
    "take_along_axis": lambda x: wnp.take_along_axis(x, np.array([[1], [0], [1]]), 1) ** 2,
    "diagonal": lambda x: wnp.diagonal(x) ** 2,
    "max": lambda x: wnp.max(x, 0),
    "prod": lambda x: wnp.prod(x, 1),
    "trapezoid": lambda x: wnp.trapezoid(x**2, axis=0),
    "interp": lambda x: wnp.interp(x[0], np.arange(4.0) - 2, np.array([1.0, 3.0, -1.0, 2.0])),
    "arctan2": lambda x: wnp.arctan2(x, x + 5),
    "hypot": lambda x: wnp.hypot(x, x + 1),
    "mod": lambda x: wnp.mod(x, 0.7) * x,
    "meshgrid": lambda x: sum(wnp.meshgrid(x[0], x[1])) ** 2,
    "polyval": lambda x: wnp.polyval(x[0], x[1]),
    "kron": lambda x: wnp.kron(x, x[0]),
    "average": lambda x: wnp.average(x, 0, weights=x[:, 0] ** 2 + 1),
    "split": lambda x: wnp.multiply(*wnp.split(x[:, :2], 2, 1)),
    "tile and repeat": lambda x: wnp.tile(wnp.repeat(x, 2, 1), (2, 1)) ** 2,
    "nanmean": lambda x: wnp.nanmean(x, 1) ** 2,
    "sinc": lambda x: wnp.sinc(x),
    "triangles": lambda x: wnp.tril(x) @ wnp.triu(x[:, :3]).T,
    "cov": lambda x: wnp.cov(x),
}
EXAMPLES = np.random.default_rng(7).standard_normal((4, 3, 3))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_vmap_is_a_loop(name):
    function = FUNCTIONS[name]
    with weft.disable_jit():
        mapped = weft.vmap(function)(EXAMPLES)
        expected = [np.asarray(function(wnp.asarray(x))) for x in EXAMPLES]
    np.testing.assert_allclose(np.asarray(mapped), np.stack(expected), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_against_differences(name):
    function = FUNCTIONS[name]
    x = EXAMPLES[0]

    def loss(x):
        y = function(wnp.asarray(x))
        return (y * np.cos(np.arange(float(y.size))).reshape(y.shape)).sum()

    with weft.disable_jit():
        gradient = np.asarray(weft.grad(loss)(x))
        for place in [(0, 0), (1, 2), (2, 1)]:
            step = np.zeros_like(x)
            step[place] = 1e-6
            difference = (float(loss(x + step)) - float(loss(x - step))) / 2e-6
            assert gradient[place] == pytest.approx(difference, rel=1e-5, abs=1e-7)


def test_gradients_are_defined_where_branches_meet():
    with weft.disable_jit():
        assert float(weft.grad(lambda x: wnp.logaddexp(x, 1.0))(1.0)) == 0.5
        assert float(weft.grad(wnp.sinc)(0.0)) == 0
        assert np.isfinite(float(weft.grad(lambda x: wnp.hypot(x, 0.0))(2.0)))
        assert weft.grad(lambda x: wnp.maximum(x, 0.0).sum())(np.zeros(2)).tolist() == [0.5, 0.5]
