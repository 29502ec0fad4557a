"""Initial weights: JAX's numbers for the same key, and the statistics that their names promise."""

from __future__ import annotations

import numpy as np
import pytest

import weft
from weft.nn import initializers

#: Four elements of JAX 0.10.2's weights of shape (3, 2, 4) from key 7.
FROM_JAX = {
    "glorot_normal": [-0.5096226, -0.4680342, -0.1186967, 0.3552276],
    "glorot_uniform": [-0.4967937, -0.4737365, -0.1487326, 0.3940428],
    "he_normal": [-0.8826921, -0.8106591, -0.2055887, 0.6152723],
    "he_uniform": [-0.860472, -0.8205357, -0.2576125, 0.6825023],
    "lecun_normal": [-0.6241576, -0.5732225, -0.1453732, 0.4350632],
    "lecun_uniform": [-0.6084455, -0.5802063, -0.1821595, 0.482602],
    "normal": [-0.0147755, -0.0134241, -0.0032869, 0.0099961],
    "uniform": [0.0006976, 0.0008973, 0.0037119, 0.0084125],
    "truncated_normal": [-0.0134483, -0.0123508, -0.0031323, 0.009374],
    "orthogonal": [-0.6355706, -0.3059525, -0.4650273, 0.1153589],
    "delta_orthogonal": [0.4849812, -0.5548469, 0.6615272, -0.1389963],
}
#: The first element of complex ones, by mode and distribution, of axes (in, out, batch).
COMPLEX_FROM_JAX = {
    "fan_in truncated_normal": -0.5361959934234619 - 1.0545315742492676j,
    "fan_in normal": 0.6431954503059387 + 0.26219412684440613j,
    "fan_in uniform": -0.48741865158081055 - 0.9586015939712524j,
    "fan_out uniform": -0.5969634652137756 - 1.1740423440933228j,
    "fan_avg uniform": -0.5339403748512268 - 1.0500954389572144j,
    "fan_geo_avg uniform": -0.5394173860549927 - 1.0608670711517334j,
}


@pytest.mark.parametrize("name", FROM_JAX)
def test_numbers_are_those_of_jax(name: str) -> None:
    with weft.disable_jit():
        weights = np.asarray(getattr(initializers, name)()(weft.random.key(7), (3, 2, 4)))
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights.ravel()[8:12], FROM_JAX[name], rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", COMPLEX_FROM_JAX)
def test_complex_numbers_are_those_of_jax(name: str) -> None:
    mode, distribution = name.split()
    init = initializers.variance_scaling(2.0, mode, distribution, 0, (1,), 2)
    with weft.disable_jit():
        weights = np.asarray(init(weft.random.key(7), (3, 2, 4), np.complex64))
    np.testing.assert_allclose(weights.flat[0], COMPLEX_FROM_JAX[name], rtol=2e-5)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("distribution", ["truncated_normal", "normal", "uniform"])
def test_variance(distribution: str, dtype: type) -> None:
    init = initializers.variance_scaling(3.0, "fan_out", distribution, dtype=dtype)
    with weft.disable_jit():
        weights = np.asarray(init(weft.random.key(0), (5, 40, 50)))
    assert weights.dtype == dtype
    assert abs(np.mean(abs(weights) ** 2) * 250 / 3 - 1) < 0.05


def test_aliases_and_constants() -> None:
    assert initializers.xavier_normal is initializers.glorot_normal
    assert initializers.kaiming_uniform is initializers.he_uniform
    key = weft.random.key(0)
    with weft.disable_jit():
        assert initializers.zeros(key, (2,), np.float16).dtype == np.float16
        assert initializers.ones(key, (2,)).tolist() == [1, 1]
        assert initializers.constant(np.array([1, 2]))(key, (2, 2)).tolist() == [[1, 2], [1, 2]]


def test_orthogonal_columns() -> None:
    with weft.disable_jit():
        w = np.asarray(initializers.orthogonal(2.0, 0)(weft.random.key(1), (2, 3, 2)))
        assert initializers.orthogonal()(weft.random.key(1), (0, 3)).shape == (0, 3)
    columns = w.reshape(2, 6)
    np.testing.assert_allclose(columns @ columns.T, 4 * np.eye(2), atol=1e-5)


def test_errors() -> None:
    key, scaled = weft.random.key(0), initializers.variance_scaling
    for error, call in {
        "mode is one of .*, got 'fan'": lambda: scaled(1.0, "fan", "normal"),
        "distribution is .*, got 'gaussian'": lambda: scaled(1.0, "fan_in", "gaussian"),
        r"shape is \(3,\): give it two axes": lambda: initializers.he_normal()(key, (3,)),
        "two axes or more": lambda: initializers.orthogonal()(key, (3,)),
        "at least as many outputs": lambda: initializers.delta_orthogonal()(key, (3, 4, 2)),
    }.items():
        with pytest.raises(ValueError, match=error):
            call()
