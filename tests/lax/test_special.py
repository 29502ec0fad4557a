"""Special functions: against SciPy and mpmath, at their edges, and their derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import scipy.special as ss
from hypothesis import given
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft import lax

INF, NAN = np.inf, np.nan
FLOATS = [np.float32, np.float64]
RNG = np.random.default_rng(7)


def relative(got: Any, expected: np.ndarray) -> float:
    """The largest relative error, in units of the dtype's epsilon."""
    result = np.asarray(got)
    error = np.abs(result.astype(np.float64) - expected) / np.abs(expected)
    return float(error.max() / np.finfo(result.dtype).eps)


def decades(low: float, high: float, count: int = 200) -> np.ndarray:
    return 10.0 ** RNG.uniform(low, high, count)


# The bound is in epsilons: relative errors of the result, over the given arguments.
CASES: list[tuple[Callable[..., Any], Callable[..., Any], tuple[np.ndarray, ...], float]] = [
    (lax.lgamma, ss.gammaln, (decades(-30, 30),), 4),
    (lax.digamma, ss.digamma, (decades(-5, 10),), 6),
    (lax.digamma, ss.digamma, (-RNG.uniform(0.1, 0.9, 50) - np.arange(50),), 30),
    (lax.zeta, ss.zeta, (RNG.uniform(1.01, 8, 200), decades(-1, 3)), 12),
    (lax.polygamma, ss.polygamma, (RNG.integers(0, 5, 200) * 1.0, RNG.uniform(0.1, 30, 200)), 12),
    (lax.igamma, ss.gammainc, (x := decades(-2, 2), x * decades(-0.2, 0.3)), 100),
    (lax.igammac, ss.gammaincc, (x, x * decades(-0.5, 0.1)), 100),
    (
        lax.betainc,
        ss.betainc,
        (a := decades(-1, 2), b := decades(-1, 2), np.clip(a / (a + b), 0.05, 0.95)),
        100,
    ),
    (lax.bessel_i0e, ss.i0e, (RNG.uniform(-30, 30, 200),), 8),
    (lax.bessel_i1e, ss.i1e, (RNG.uniform(-30, 30, 200),), 12),
]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("function", "oracle", "arguments", "bound"), CASES)
def test_close_to_scipy(
    function: Callable[..., Any],
    oracle: Callable[..., Any],
    arguments: tuple[np.ndarray, ...],
    bound: float,
    dtype: type,
) -> None:
    given_ = [x.astype(dtype) for x in arguments]
    expected = oracle(*(x.astype(np.float64) for x in given_))
    assert relative(weft.jit(function)(*given_), expected) <= bound


@given(st.floats(-1e-3, 1e-3), st.sampled_from([1.0, 2.0]))
def test_lgamma_keeps_its_digits_near_its_roots(offset: float, root: float) -> None:
    x = root + offset
    expected = float(mp.loggamma(mp.mpf(x)))
    got = float(lax.lgamma(np.float64(x).reshape(1))[0])
    assert abs(got - expected) <= 4 * np.spacing(abs(expected))


@given(st.floats(-1e-3, 1e-3))
def test_digamma_keeps_its_digits_near_its_root(offset: float) -> None:
    x = 1.4616321449683623 + offset
    with mp.workprec(120):
        expected = float(mp.digamma(mp.mpf(x)))
    got = float(lax.digamma(np.full(1, x))[0])
    assert abs(got - expected) <= 8 * np.spacing(abs(expected))


EDGES: list[tuple[Callable[..., Any], list[tuple[float, ...]], list[float]]] = [
    (
        lax.lgamma,
        [(0.0,), (-0.0,), (-1.0,), (-2.0,), (INF,), (-INF,), (NAN,), (1.0,), (-1e20,)],
        [INF, INF, INF, INF, INF, INF, NAN, 0.0, INF],
    ),
    (
        lax.digamma,
        [(0.0,), (-1.0,), (INF,), (-INF,), (NAN,)],
        [NAN, NAN, INF, NAN, NAN],
    ),
    (
        lax.zeta,
        [(1.0, 1.0), (0.5, 1.0), (2.0, 0.0), (2.0, -1.0), (2.5, -1.5), (INF, 1.0), (2.0, INF)],
        [INF, NAN, INF, INF, NAN, 1.0, 0.0],
    ),
    (
        lax.polygamma,
        [(1.0, 0.0), (1.0, -1.0), (1.5, 1.0), (-1.0, 1.0), (0.0, NAN)],
        [INF, INF, NAN, NAN, NAN],
    ),
    (
        lax.igamma,
        [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (-1.0, 1.0), (1.0, -1.0), (1.0, INF), (NAN, 1.0)],
        [1.0, 0.0, NAN, NAN, NAN, 1.0, NAN],
    ),
    (
        lax.igammac,
        [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (-1.0, 1.0), (1.0, INF), (INF, 1.0)],
        [0.0, 1.0, NAN, NAN, 0.0, 1.0],
    ),
    (
        lax.betainc,
        [(1.0, 1.0, 0.0), (1.0, 1.0, 1.0), (0.0, 1.0, 0.5), (1.0, 0.0, 0.5), (0.0, 0.0, 0.5)]
        + [(-1.0, 1.0, 0.5), (1.0, 1.0, -0.1), (1.0, 1.0, 1.1), (INF, 1.0, 0.5), (1.0, INF, 0.5)],
        [0.0, 1.0, 1.0, 0.0, NAN, NAN, NAN, NAN, 0.0, 1.0],
    ),
    (lax.bessel_i0e, [(0.0,), (INF,), (-INF,), (NAN,)], [1.0, 0.0, 0.0, NAN]),
    (lax.bessel_i1e, [(-0.0,), (INF,), (-INF,), (NAN,)], [-0.0, 0.0, -0.0, NAN]),
]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("function", "arguments", "expected"), EDGES)
def test_edges(
    function: Callable[..., Any],
    arguments: list[tuple[float, ...]],
    expected: list[float],
    dtype: type,
) -> None:
    columns = np.array(arguments, dtype).T
    got = np.asarray(function(*columns))
    np.testing.assert_allclose(got, np.array(expected, dtype), rtol=1e-12)
    zero = np.array(expected) == 0
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(np.array(expected)[zero]))


def central(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """Fourth-order differences in float64."""
    h = 1e-3 * np.maximum(1, np.abs(x))
    return (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h)


DERIVATIVES: list[tuple[Callable[..., Any], Callable[..., Any], int, tuple[np.ndarray, ...]]] = [
    (lax.lgamma, ss.gammaln, 0, (np.array([0.3, 1.0, 2.5, 17.0, -0.7]),)),
    (lax.digamma, ss.digamma, 0, (np.array([0.4, 1.46, 3.0, 12.0, -0.7]),)),
    (lax.zeta, ss.zeta, 1, (np.array([1.5, 3.0]), np.array([0.7, 4.0]))),
    (lax.polygamma, ss.polygamma, 1, (np.array([0.0, 1.0, 2.0]), np.array([0.7, 4.0, 9.0]))),
    (lax.igamma, ss.gammainc, 0, (np.array([0.5, 2.0, 8.0, 9.0]), np.array([0.3, 5.0, 7.0, 12.0]))),
    (lax.igamma, ss.gammainc, 1, (np.array([0.5, 2.0, 8.0]), np.array([0.3, 5.0, 7.0]))),
    (lax.igammac, ss.gammaincc, 0, (np.array([0.5, 2.0, 8.0]), np.array([0.3, 5.0, 7.0]))),
    (lax.igammac, ss.gammaincc, 1, (np.array([0.5, 2.0, 8.0]), np.array([0.3, 5.0, 7.0]))),
    (lax.betainc, ss.betainc, 2, (np.array([0.5, 3]), np.array([2.0, 9.0]), np.array([0.3, 0.6]))),
    (lax.bessel_i0e, ss.i0e, 0, (np.array([-9.0, -2.0, 0.5, 20.0]),)),
    (lax.bessel_i1e, ss.i1e, 0, (np.array([-9.0, -2.0, 0.5, 20.0]),)),
]


@pytest.mark.parametrize(("function", "oracle", "argnum", "arguments"), DERIVATIVES)
def test_derivatives(
    function: Callable[..., Any],
    oracle: Callable[..., Any],
    argnum: int,
    arguments: tuple[np.ndarray, ...],
) -> None:
    def moved(x: np.ndarray) -> np.ndarray:
        return oracle(*arguments[:argnum], x, *arguments[argnum + 1 :])

    slope = weft.vmap(weft.grad(function, argnum))(*arguments)
    np.testing.assert_allclose(slope, central(moved, arguments[argnum]), rtol=1e-7, atol=1e-9)


def test_bessel_slopes_at_zero() -> None:
    assert float(weft.grad(lax.bessel_i0e)(0.0)) == 0.0
    assert float(weft.grad(lax.bessel_i1e)(0.0)) == 0.5


@pytest.mark.parametrize("shape", [0.2, 1.0, 3.0, 40.0])
def test_gamma_samples_move_along_quantiles(shape: float) -> None:
    """A quantile of the distribution is a sample whose probability does not change."""
    chance = np.array([0.05, 0.5, 0.99])
    expected = central(lambda a: ss.gammaincinv(a, chance), np.full(3, shape))
    samples = ss.gammaincinv(shape, chance)
    got = lax.random_gamma_grad(np.full(3, shape), samples)
    np.testing.assert_allclose(got, expected, rtol=2e-6)


@pytest.mark.parametrize("dtype", [wnp.float16, wnp.bfloat16])
def test_half_types_are_rounded_once(dtype: Any) -> None:
    x = wnp.asarray([0.1, 1.5, 3.25, 60.0], dtype)
    got = lax.lgamma(x)
    assert got.dtype == dtype
    wide = lax.lgamma(x.astype(np.float32)).astype(dtype)
    np.testing.assert_array_equal(np.asarray(got), np.asarray(wide))


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (2, 1, 3)])
@pytest.mark.parametrize("function", [lax.lgamma, lax.digamma, lax.bessel_i0e, lax.bessel_i1e])
def test_every_shape_and_level(function: Callable[..., Any], shape: tuple[int, ...]) -> None:
    x = RNG.uniform(0.1, 9, shape)
    with weft.disable_jit():
        meaning = np.asarray(function(x))
    np.testing.assert_allclose(function(x), meaning, rtol=1e-14)
    np.testing.assert_allclose(weft.jit(function)(x), meaning, rtol=1e-14)


def test_loops_run_at_every_level() -> None:
    a, x = RNG.uniform(0.1, 9, (2, 3)), RNG.uniform(0.1, 9, (2, 3))
    with weft.disable_jit():
        meaning = np.asarray(lax.igamma(a, x))
    np.testing.assert_allclose(weft.jit(lax.igamma)(a, x), meaning, rtol=1e-13)
    mapped = weft.vmap(lax.igamma, (0, None))(a, x[0])
    np.testing.assert_allclose(mapped, ss.gammainc(a, x[0]), rtol=1e-12)


def test_they_print_by_name() -> None:
    text = str(weft.make_jaxpr(weft.grad(lax.lgamma))(3.0))
    assert "digamma" in text and "while" not in text


def test_integers_are_refused() -> None:
    with pytest.raises(TypeError, match=r"lgamma needs real floating-point operands.*i32\[3\]"):
        lax.lgamma(wnp.arange(3))


def test_operands_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="igamma needs operands of one shape"):
        lax.igamma(np.ones(3), np.ones((2, 3)))


@pytest.mark.parametrize(
    ("function", "argnum", "arguments", "words"),
    [
        (lax.zeta, 0, (2.0, 3.0), "lax.zeta has no derivative with respect to x"),
        (lax.polygamma, 0, (2.0, 3.0), "lax.polygamma has no derivative with respect to m"),
        (lax.betainc, 0, (2.0, 3.0, 0.5), "lax.betainc has no derivative with respect to a"),
        (lax.igamma_grad_a, 0, (2.0, 3.0), "lax.igamma_grad_a has no derivative"),
    ],
)
def test_missing_derivatives_are_refused(
    function: Callable[..., Any], argnum: int, arguments: tuple[float, ...], words: str
) -> None:
    with pytest.raises(NotImplementedError, match=words):
        weft.grad(function, argnum)(*arguments)
