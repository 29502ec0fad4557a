"""Distributions made of others: equal to `jax.random`, and distributed as they say."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from typing import Any

import numpy as np
import pytest
import scipy.stats as stats

import weft
import weft.numpy as wnp
from weft import random

KEY = np.array([0, 42], np.uint32)


def singles(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


CALLS: dict[str, Callable[[], Any]] = {
    "gamma": lambda: random.gamma(KEY, singles(0.3, 1.0, 2.5, 40.0)),
    "loggamma": lambda: random.loggamma(KEY, singles(1e-3, 0.3, 2.5, 40.0)),
    "beta": lambda: random.beta(KEY, 0.5, 2.0, (4,)),
    "dirichlet": lambda: random.dirichlet(KEY, singles(0.5, 1.0, 3.0), (2,)),
    "chisquare": lambda: random.chisquare(KEY, 3.0, shape=(4,)),
    "f": lambda: random.f(KEY, 3.0, 5.0, shape=(4,)),
    "t": lambda: random.t(KEY, 3.0, (4,)),
    "poisson": lambda: random.poisson(KEY, singles(0, 0.5, 5, 9.9, 10, 100, 1e4)),
    "binomial": lambda: random.binomial(
        KEY,
        singles(10, 100, 1000, 5, 20, -1, inf),
        singles(0.5, 0.05, 0.3, 0.9, 0.99, 0.5, 0.5),
    ),
    "multinomial": lambda: random.multinomial(KEY, 50.0, singles(0.2, 0.3, 0.5)),
    "geometric": lambda: random.geometric(KEY, 0.3, shape=(6,)),
    "pareto": lambda: random.pareto(KEY, 2.0, shape=(4,)),
    "weibull_min": lambda: random.weibull_min(KEY, 2.0, 1.5, shape=(4,)),
    "rayleigh": lambda: random.rayleigh(KEY, 2.0, shape=(4,)),
    "wald": lambda: random.wald(KEY, 2.0, shape=(4,)),
    "triangular": lambda: random.triangular(KEY, 0.0, 1.0, 3.0, shape=(4,)),
    "lognormal": lambda: random.lognormal(KEY, 0.5, shape=(4,)),
    "maxwell": lambda: random.maxwell(KEY, shape=(4,)),
    "double_sided_maxwell": lambda: random.double_sided_maxwell(KEY, 1.0, 2.0, shape=(4,)),
    "generalized_normal": lambda: random.generalized_normal(KEY, 3.0, shape=(4,)),
    "ball": lambda: random.ball(KEY, 3, shape=(2,)),
    "multivariate_normal": lambda: random.multivariate_normal(
        KEY, singles(1, -1), np.array([[2, 0.5], [0.5, 1]], np.float32), (2,)
    ),
    "multivariate_normal of several": lambda: random.multivariate_normal(
        KEY, np.zeros((3, 2), np.float32), np.diag(singles(1, 2))
    ),
    "orthogonal": lambda: random.orthogonal(KEY, 2),
    "orthogonal columns": lambda: random.orthogonal(KEY, 3, (2,), m=2),
    "orthogonal rows": lambda: random.orthogonal(KEY, 2, m=3),
    "gamma gradient": lambda: weft.grad(lambda a: random.gamma(KEY, a, (5,)).sum())(2.0),
    "loggamma gradient": lambda: weft.grad(lambda a: random.loggamma(KEY, a, (5,)).sum())(0.2),
}

# Written down from jax 0.10.2 with its default settings, for PRNGKey(42).
JAX: dict[str, Any] = {
    "multivariate_normal": [
        [0.9599712491035461, -0.5730453729629517],
        [1.418187141418457, -0.751824140548706],
    ],
    "multivariate_normal of several": [
        [-0.02830461598932743, 0.6606242060661316],
        [0.2957029640674591, 0.21714670956134796],
        [-0.12403281778097153, 0.30677565932273865],
    ],
    "orthogonal": [
        [-0.09528422355651855, 0.9954500794410706],
        [0.9954500794410706, 0.09528429061174393],
    ],
    "orthogonal columns": [
        [
            [-0.08792734146118164, 0.8722633719444275],
            [0.918591320514679, 0.2578020393848419],
            [-0.3853037655353546, 0.41556569933891296],
        ],
        [
            [-0.9120513200759888, 0.09860805422067642],
            [0.330043226480484, 0.7525968551635742],
            [-0.2433796525001526, 0.6510564088821411],
        ],
    ],
    "orthogonal rows": [
        [-0.08792734146118164, 0.918591320514679, -0.3853037655353546],
        [0.8722633719444275, 0.2578020393848419, 0.41556569933891296],
    ],
    "gamma": [0.43624743819236755, 0.33158406615257263, 4.194111347198486, 36.873268127441406],
    "loggamma": [-537.9234008789062, -1.1391260623931885, 1.4336814880371094, 3.6074867248535156],
    "beta": [0.27497145533561707, 0.15737295150756836, 0.5494621992111206, 0.012798871845006943],
    "dirichlet": [
        [0.16127800941467285, 0.05350642278790474, 0.7852154970169067],
        [0.016318079084157944, 0.10349566489458084, 0.8801862597465515],
    ],
    "chisquare": [5.87071418762207, 1.3978509902954102, 5.559423446655273, 1.4829895496368408],
    "f": [0.7283635139465332, 0.35692548751831055, 0.23560737073421478, 0.15563176572322845],
    "t": [0.08987478166818619, -1.7357467412948608, 2.3520190715789795, 1.1635191440582275],
    "poisson": [0, 1, 3, 7, 5, 90, 9946],
    "binomial": [6.0, 7.0, 285.0, 4.0, 20.0, nan, inf],
    "multinomial": [13.0, 16.0, 21.0],
    "geometric": [3, 2, 2, 2, 3, 2],
    "pareto": [1.3985118865966797, 1.7672069072723389, 1.6143138408660889, 1.5093004703521729],
    "weibull_min": [1.5326144695281982, 2.181030750274658, 1.943356990814209, 1.7568422555923462],
    "rayleigh": [2.3933022022247314, 1.7571814060211182, 1.9678773880004883, 2.1503593921661377],
    "wald": [2.226588487625122, 3.9277124404907227, 0.38947534561157227, 0.9742456674575806],
    "triangular": [1.2485027313232422, 1.6139203310012817, 1.4826433658599854, 1.3770694732666016],
    "lognormal": [0.9859473705291748, 1.2630960941314697, 1.159340739250183, 1.0797969102859497],
    "maxwell": [0.553582489490509, 0.293285071849823, 1.708603024482727, 1.5084577798843384],
    "double_sided_maxwell": [
        -1.7620434761047363,
        -0.3513779640197754,
        5.444042682647705,
        2.351099967956543,
    ],
    "generalized_normal": [
        -0.6937108635902405,
        -0.27624452114105225,
        0.8334611654281616,
        0.07319477945566177,
    ],
    "ball": [
        [0.3234022855758667, 0.061338748782873154, 0.01824338734149933],
        [0.4372413158416748, -0.07705393433570862, 0.3594384789466858],
    ],
    "gamma gradient": 5.1866607666015625,
    "loggamma gradient": 137.6273956298828,
}


@pytest.mark.parametrize("name", JAX)
def test_equal_to_jax(name: str) -> None:
    # Logarithms may differ in their last bits, and differences of sizes in a few more.
    got = np.asarray(weft.jit(CALLS[name])())
    np.testing.assert_allclose(got, JAX[name], rtol=2e-6, atol=1e-8)


N = 4000
#: (samples, the distribution they are of); counts are compared by their cumulative chances too.
DISTRIBUTIONS: dict[str, tuple[Callable[[], Any], Any]] = {
    "gamma of 0.4": (lambda: random.gamma(KEY, 0.4, (N,)), stats.gamma(0.4)),
    "gamma of 7": (lambda: random.gamma(KEY, 7.0, (N,), np.float64), stats.gamma(7)),
    "beta": (lambda: random.beta(KEY, 0.5, 2.0, (N,)), stats.beta(0.5, 2)),
    "chisquare": (lambda: random.chisquare(KEY, 3.0, (N,)), stats.chi2(3)),
    "f": (lambda: random.f(KEY, 3.0, 5.0, (N,)), stats.f(3, 5)),
    "t": (lambda: random.t(KEY, 3.0, (N,)), stats.t(3)),
    "pareto": (lambda: random.pareto(KEY, 2.0, (N,)), stats.pareto(2)),
    "weibull_min": (
        lambda: random.weibull_min(KEY, 2.0, 1.5, (N,)),
        stats.weibull_min(1.5, scale=2),
    ),
    "rayleigh": (lambda: random.rayleigh(KEY, 2.0, (N,)), stats.rayleigh(scale=2)),
    "wald": (lambda: random.wald(KEY, 2.0, (N,)), stats.invgauss(2.0)),
    "triangular": (
        lambda: random.triangular(KEY, 0.0, 1.0, 4.0, (N,)),
        stats.triang(0.25, scale=4),
    ),
    "lognormal": (lambda: random.lognormal(KEY, 0.5, (N,)), stats.lognorm(0.5)),
    "maxwell": (lambda: random.maxwell(KEY, (N,)), stats.maxwell()),
    "generalized_normal": (
        lambda: random.generalized_normal(KEY, 3.0, (N,)),
        stats.gennorm(3),
    ),
    "poisson of 3": (lambda: random.poisson(KEY, 3.0, (N,)), stats.poisson(3)),
    "poisson of 50": (lambda: random.poisson(KEY, 50.0, (N,)), stats.poisson(50)),
    "binomial of 8": (lambda: random.binomial(KEY, 8, 0.7, (N,)), stats.binom(8, 0.7)),
    "binomial of 90": (lambda: random.binomial(KEY, 90, 0.3, (N,)), stats.binom(90, 0.3)),
    "geometric": (lambda: random.geometric(KEY, 0.3, (N,)), stats.geom(0.3)),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributed_as_they_say(name: str) -> None:
    draw, distribution = DISTRIBUTIONS[name]
    x = np.sort(np.asarray(weft.jit(draw)()).astype(np.float64))
    upto = np.searchsorted(x, x, side="right") / N
    # Kolmogorov and Smirnov's distance; beyond this bound in one of a thousand draws.
    assert np.abs(upto - distribution.cdf(x)).max() < 1.95 / np.sqrt(N) + 1 / N


def test_points_of_a_ball_fill_it_evenly() -> None:
    points = np.asarray(weft.jit(lambda: random.ball(KEY, 3, 2, (N,)))())
    volume = np.sort((points**2).sum(-1) ** 1.5)
    assert np.abs(volume - np.arange(N) / N).max() < 1.95 / np.sqrt(N) + 1 / N
    assert np.abs(points.mean(0)).max() < 0.05


def test_multinomial_counts_add_up() -> None:
    counts = np.asarray(random.multinomial(KEY, 30, np.full((5, 4), 0.25, np.float32)))
    np.testing.assert_array_equal(counts.sum(-1), 30)


def test_gamma_moves_with_its_shape_as_its_quantiles_do() -> None:
    def sample(a: Any) -> Any:
        return random.gamma(KEY, a, (), np.float64)

    a = 2.5
    x, slope = weft.value_and_grad(sample)(np.float64(a).reshape(()))
    chance = stats.gamma(a).cdf(float(x))
    h = 1e-4
    expected = (stats.gamma(a + h).ppf(chance) - stats.gamma(a - h).ppf(chance)) / (2 * h)
    np.testing.assert_allclose(slope, expected, rtol=1e-5)


def test_batched_keys() -> None:
    keys = random.split(KEY, 3)
    mapped = np.asarray(weft.vmap(lambda k: random.gamma(k, 2.0, (2,)))(keys))
    each = [np.asarray(random.gamma(keys[i], 2.0, (2,))) for i in range(3)]
    np.testing.assert_allclose(mapped, each, rtol=2e-6)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: random.gamma(KEY, 1.0, dtype=int), TypeError, "dtype must be floating-point"),
        (
            lambda: random.gamma(KEY, np.ones(3), (2,)),
            ValueError,
            "a parameter of shape (3,) does not broadcast to shape=(2,)",
        ),
        (lambda: random.dirichlet(KEY, 1.0), ValueError, "alpha needs an axis of concentrations"),
        (lambda: random.poisson(KEY, 1.0, dtype=float), TypeError, "dtype must be an integer"),
        (lambda: random.gamma([0, 42], 1.0), TypeError, "gamma"),
    ],
)
def test_errors(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


def test_names_of_generators() -> None:
    assert random.key_impl(random.key(0)) == "threefry2x32"
    assert wnp.asarray(random.key_data(KEY)).tolist() == [0, 42]


# ---------------------------------------------------------------- vectors and matrices


@pytest.mark.parametrize("method", ["cholesky", "eigh", "svd"])
def test_the_covariance_of_normal_vectors(method: str) -> None:
    cov = np.array([[2.0, 0.6, 0], [0.6, 1, -0.3], [0, -0.3, 0.5]])
    x = np.asarray(random.multivariate_normal(KEY, np.zeros(3), cov, (20000,), method=method))
    np.testing.assert_allclose(np.cov(x.T), cov, atol=0.06)


def test_semidefinite_covariances() -> None:
    cov = np.ones((2, 2), np.float32)
    x = np.asarray(random.multivariate_normal(KEY, np.zeros(2), cov, (9,), method="svd"))
    np.testing.assert_allclose(x[:, 0], x[:, 1], atol=1e-3)


def test_unitary_matrices() -> None:
    u = np.asarray(random.orthogonal(KEY, 3, (2,), np.complex64))
    np.testing.assert_allclose(
        u @ np.conj(np.swapaxes(u, -1, -2)), np.broadcast_to(np.eye(3), (2, 3, 3)), atol=1e-5
    )
    traces = np.trace(np.asarray(random.orthogonal(KEY, 3, (4000,))), axis1=1, axis2=2)
    # Of Haar's measure the trace has mean 0 and variance 1.
    assert abs(traces.mean()) < 0.06 and abs(traces.var() - 1) < 0.08


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: random.orthogonal(KEY, 2.5), TypeError, "n is an int, got 2.5"),
        (lambda: random.orthogonal(KEY, -1), ValueError, "n is not negative, got -1"),
        (
            lambda: random.multivariate_normal(KEY, np.zeros(2), np.eye(3)),
            ValueError,
            r"needs cov of shape \(\.\.\., 2, 2\)",
        ),
        (
            lambda: random.multivariate_normal(KEY, np.zeros((3, 2)), np.eye(2), (2,)),
            ValueError,
            "broadcast",
        ),
        (
            lambda: random.multivariate_normal(KEY, np.zeros(2), np.eye(2), method="lu"),
            ValueError,
            "method is 'cholesky', 'eigh' or 'svd'",
        ),
    ],
)
def test_errors_of_vectors_and_matrices(call: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call()
