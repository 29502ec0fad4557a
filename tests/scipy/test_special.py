"""`weft.scipy.special` against SciPy and mpmath, at its edges, its derivatives and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import scipy.special as ss

import weft
import weft.numpy as wnp
from weft.scipy import special

INF, NAN = np.inf, np.nan
RNG = np.random.default_rng(3)


def decades(low: float, high: float, count: int = 150) -> np.ndarray:
    return 10.0 ** RNG.uniform(low, high, count)


def between(low: float, high: float, count: int = 150) -> np.ndarray:
    return RNG.uniform(low, high, count)


def both_signs(x: np.ndarray) -> np.ndarray:
    return x * RNG.choice([-1, 1], x.shape)


# Where SciPy's own errors are larger than the bounds.
ORACLES: dict[str, Callable[[Any], Any]] = {
    "erfcx": lambda x: mp.exp(x * x) * mp.erfc(x),
    "dawsn": lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x),
    "log_ndtr": lambda x: mp.log(mp.ncdf(x)),
    "ndtr": mp.ncdf,
    "exp1": mp.e1,
    "expi": mp.ei,
}


def oracle(name: str, *xs: np.ndarray) -> np.ndarray:
    if name not in ORACLES:
        return getattr(ss, name)(*xs)
    with mp.workprec(200):
        return np.array([float(ORACLES[name](mp.mpf(float(x)))) for x in xs[0]])


# Relative errors, in epsilons of the dtype.
CASES: list[tuple[str, tuple[np.ndarray, ...], float]] = [
    ("erfcx", (np.concatenate([decades(-4, 1.3), -decades(-3, 0.9)]),), 30),
    ("dawsn", (both_signs(decades(-4, 1.3)),), 8),
    ("log_ndtr", (between(-30, 5),), 30),
    ("ndtri", (np.concatenate([decades(-30, -0.4), between(0.01, 0.99)]),), 40),
    ("ndtr", (between(-36, 8),), 5),
    ("exp1", (decades(-6, 1.8),), 8),
    ("expi", (np.concatenate([decades(-6, 1.8), -decades(-6, 1.8)]),), 8),
    ("expn", (RNG.integers(0, 12, 150) * 1.0, decades(-4, 1.8)), 60),
    ("spence", (np.concatenate([decades(-4, -0.2), decades(0.2, 4)]),), 10),
    ("xlogy", (between(0, 3), between(2, 3)), 4),
    ("xlog1py", (between(0, 3), between(2, 3)), 4),
    ("entr", (between(1.5, 3),), 4),
    ("rel_entr", (between(2, 3), between(0.1, 1)), 10),
    ("kl_div", (between(2, 3), between(0.1, 1)), 20),
    ("logit", (between(0.6, 1),), 20),
    ("expit", (between(-9, 9),), 10),
    ("boxcox", (decades(0.3, 1), between(-2, 2)), 30),
    ("boxcox1p", (decades(-6, 1), between(-2, 2)), 30),
    ("gamma", (np.concatenate([decades(-3, 1.5), -between(0.1, 0.9), -between(5.1, 30.9)]),), 7),
    ("gammaln", (decades(0.5, 5),), 6),
    ("loggamma", (decades(0.5, 5),), 6),
    ("beta", (decades(-2, 1), decades(-2, 1)), 60),
    ("factorial", (RNG.integers(0, 30, 50) * 1.0,), 7),
    ("comb", (RNG.integers(5, 30, 50) * 1.0, RNG.integers(0, 30, 50) * 1.0), 80),
    ("poch", (between(0.1, 5), between(0, 5)), 60),
    ("gammainc", (between(0.5, 9), between(0.5, 9)), 100),
    ("zeta", (between(1.1, 9), between(0.1, 9)), 20),
    ("i0", (between(-20, 20),), 40),
    ("i1", (between(0.1, 20),), 40),
    ("owens_t", (both_signs(between(0, 3)), both_signs(decades(-2, 2))), 200),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [name for name, _, _ in CASES])
def test_close_to_scipy(name: str, dtype: Any) -> None:
    _, arguments, bound = next(case for case in CASES if case[0] == name)
    args = [x.astype(dtype) for x in arguments]
    found = weft.jit(getattr(special, name))(*args)
    assert found.dtype == dtype
    wanted = oracle(name, *(x.astype(np.float64) for x in args))
    limits = np.finfo(dtype)
    inside = (abs(wanted) < limits.max) & ((abs(wanted) > limits.tiny) | (wanted == 0))
    error = abs(np.asarray(found, np.float64) - wanted)[inside]
    assert np.all(error <= bound * float(limits.eps) * abs(wanted)[inside])


def test_betaln_does_not_cancel() -> None:
    a, b = decades(-2, 6, 60), decades(-2, 6, 60)
    found = np.asarray(special.betaln(a, b))
    wanted = [float(mp.log(mp.beta(mp.mpf(x), mp.mpf(y)))) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-13)


def test_sine_cosine_and_fresnel_integrals() -> None:
    for dtype in (np.float32, np.float64):
        step = 20 * float(np.finfo(dtype).eps)
        for name, most in (("sici", 5), ("fresnel", 3)):
            x = both_signs(decades(-3, most)).astype(dtype)
            wanted = getattr(ss, name)(x.astype(np.float64))
            for a, b in zip(getattr(special, name)(x), wanted, strict=True):
                np.testing.assert_allclose(a, b, rtol=step, atol=step)
        # where the power series gives way, of which the last terms cancel
        x = np.linspace(0.9, 1.75, 200).astype(dtype)
        for a, b in zip(special.fresnel(x), ss.fresnel(x.astype(np.float64)), strict=True):
            np.testing.assert_allclose(a, b, rtol=step / 4)


def test_functions_of_complex_numbers() -> None:
    z = between(-6, 6) + 1j * between(-2, 6)
    np.testing.assert_allclose(special.wofz(z), ss.wofz(z), rtol=2e-13)
    np.testing.assert_allclose(
        special.wofz(z.astype(np.complex64)), ss.wofz(z), rtol=2e-5, atol=1e-6
    )
    z = between(0, 9) + 1j * between(-9, 9)
    np.testing.assert_allclose(special.loggamma(z), ss.loggamma(z), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(special.expit(z), 1 / (1 + np.exp(-z)), rtol=1e-9)


def test_bessel_functions_of_several_orders() -> None:
    x = np.concatenate([[0.0], between(-20, 20, 40)])
    found = special.bessel_jn(x, v=6)
    assert found.shape == (7, 41)
    np.testing.assert_allclose(found, ss.jv(np.arange(7)[:, None], x), atol=1e-14)


def test_numbers_of_bernoulli_and_many_dimensions() -> None:
    np.testing.assert_allclose(special.bernoulli(12), ss.bernoulli(12), rtol=1e-6, atol=1e-7)
    x = between(5, 9)
    np.testing.assert_allclose(special.multigammaln(x, 3), ss.multigammaln(x, 3), rtol=1e-13)
    a = RNG.normal(size=(3, 4))
    np.testing.assert_allclose(special.softmax(a), ss.softmax(a), rtol=1e-12)
    np.testing.assert_allclose(special.log_softmax(a, axis=1), ss.log_softmax(a, 1), rtol=1e-12)
    np.testing.assert_allclose(special.logsumexp(a, 0), ss.logsumexp(a, 0), rtol=1e-12)


EDGES: list[tuple[str, list[tuple[float, ...]], list[float]]] = [
    ("erfcx", [(INF,), (-INF,), (NAN,), (0.0,)], [0, INF, NAN, 1]),
    ("dawsn", [(INF,), (0.0,), (NAN,), (-1e300,)], [0, 0, NAN, -5e-301]),
    ("log_ndtr", [(INF,), (-INF,), (-1e10,), (NAN,)], [0, -INF, -5e19, NAN]),
    ("ndtri", [(0.0,), (1.0,), (0.5,), (-0.1,), (1.1,), (NAN,)], [-INF, INF, 0, NAN, NAN, NAN]),
    ("exp1", [(0.0,), (INF,), (-1.0,), (NAN,)], [INF, 0, NAN, NAN]),
    ("expi", [(0.0,), (INF,), (-INF,), (NAN,)], [-INF, INF, 0, NAN]),
    ("expn", [(2.0, 0.0), (1.0, 0.0), (3.0, INF), (1.5, 1.0), (2.0, -1.0)], [1, INF, 0, NAN, NAN]),
    ("spence", [(0.0,), (1.0,), (-1.0,), (INF,)], [np.pi**2 / 6, 0, NAN, -INF]),
    ("xlogy", [(0.0, 0.0), (0.0, NAN), (1.0, 0.0)], [0, NAN, -INF]),
    ("xlog1py", [(0.0, -1.0), (0.0, NAN)], [0, NAN]),
    ("entr", [(0.0,), (-1.0,), (NAN,)], [0, -INF, NAN]),
    ("rel_entr", [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (-1.0, 1.0)], [0, 0, INF, INF]),
    ("kl_div", [(0.0, 2.0), (1.0, 0.0), (NAN, 1.0)], [2, INF, NAN]),
    ("gamma", [(0.0,), (-0.0,), (-1.0,), (INF,), (NAN,)], [INF, -INF, NAN, INF, NAN]),
    ("gammasgn", [(-1.0,), (-0.5,), (-1.5,), (2.0,)], [NAN, -1, 1, 1]),
    ("factorial", [(-1.0,), (0.0,)], [0, 1]),
    ("comb", [(3.0, 4.0), (3.0, -1.0), (3.0, 3.0), (-1.0, 0.0)], [0, 0, 1, 0]),
    ("poch", [(0.0, 0.0), (2.0, 0.0)], [1, 1]),
    ("boxcox", [(2.0, 0.0), (0.0, 0.0)], [np.log(2), -INF]),
    ("logit", [(0.0,), (1.0,), (2.0,)], [-INF, INF, NAN]),
    ("owens_t", [(0.0, 1.0), (1.0, 0.0), (0.0, INF)], [0.125, 0, 0.25]),
]


@pytest.mark.parametrize(("name", "points", "wanted"), EDGES, ids=[e[0] for e in EDGES])
def test_edges(name: str, points: list[tuple[float, ...]], wanted: list[float]) -> None:
    args = [np.array(column, np.float64) for column in zip(*points, strict=True)]
    found = np.asarray(getattr(special, name)(*args))
    np.testing.assert_allclose(found, np.array(wanted), rtol=1e-6, atol=1e-15)


SLOPES: list[tuple[str, tuple[float, ...], int]] = [
    ("erfcx", (0.7,), 0),
    ("dawsn", (1.3,), 0),
    ("log_ndtr", (-3.0,), 0),
    ("log_ndtr", (2.0,), 0),
    ("ndtri", (0.02,), 0),
    ("ndtri", (0.6,), 0),
    ("exp1", (0.4,), 0),
    ("expi", (2.5,), 0),
    ("expi", (-2.5,), 0),
    ("expn", (3.0, 0.4), 1),
    ("expn", (0.0, 1.4), 1),
    ("spence", (0.3,), 0),
    ("spence", (1.0,), 0),
    ("xlogy", (2.0, 3.0), 0),
    ("xlogy", (2.0, 3.0), 1),
    ("xlog1py", (2.0, 3.0), 1),
    ("entr", (0.4,), 0),
    ("rel_entr", (0.4, 0.7), 0),
    ("kl_div", (0.4, 0.7), 1),
    ("boxcox", (1.5, 0.0), 1),
    ("boxcox", (1.5, 0.7), 0),
    ("gamma", (2.5,), 0),
    ("gamma", (-1.5,), 0),
    ("betaln", (0.5, 20.0), 1),
    ("betaln", (30.0, 20.0), 0),
    ("poch", (1.5, 2.0), 0),
    ("owens_t", (0.7, 1.5), 0),
    ("owens_t", (-0.7, 0.5), 1),
    ("i0", (1.5,), 0),
    ("i1", (-1.5,), 0),
]


@pytest.mark.parametrize(("name", "point", "at"), SLOPES)
def test_derivatives_are_limits_of_differences(
    name: str, point: tuple[float, ...], at: int
) -> None:
    h = 1e-5

    def f(x: Any) -> Any:
        args = [np.asarray(v) for v in point]
        return getattr(special, name)(*args[:at], x, *args[at + 1 :])

    x = np.asarray(point[at])
    slope = weft.grad(f)
    with weft.disable_jit():
        ahead, behind = np.asarray(x + h), np.asarray(x - h)
        difference = (float(f(ahead)) - float(f(behind))) / (2 * h)
        np.testing.assert_allclose(float(slope(x)), difference, rtol=1e-6, atol=1e-8)
        difference = (float(slope(ahead)) - float(slope(behind))) / (2 * h)
        second = float(weft.grad(slope)(x))
    np.testing.assert_allclose(second, difference, rtol=1e-5, atol=1e-6)


def test_derivatives_of_pairs() -> None:
    x, h = np.asarray(1.3), 1e-6
    ahead, behind = np.asarray(x + h), np.asarray(x - h)
    for f in (special.sici, special.fresnel):
        for k in (0, 1):
            difference = (float(f(ahead)[k]) - float(f(behind)[k])) / (2 * h)
            slope = float(weft.grad(lambda x, f=f, k=k: f(x)[k])(x))
            np.testing.assert_allclose(slope, difference, rtol=1e-8)


def test_other_dtypes_and_batches() -> None:
    assert special.ndtri(np.array([0, 1], np.int32)).dtype == np.float32
    half = special.erfcx(np.array([0.5, 2.0], np.float16))
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, ss.erfcx([0.5, 2.0]), rtol=1e-3)
    x = between(0.5, 3, 6)
    np.testing.assert_allclose(
        weft.vmap(special.expn, in_axes=(None, 0))(2.0, x), ss.expn(2, x), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: special.erfcx(np.ones(2) * 1j), TypeError, r"erfcx: arguments must be real, got"),
        (
            lambda: special.gamma("x"),
            TypeError,
            r"scipy\.special\.gamma: argument 0 must be an array",
        ),
        (lambda: special.factorial(3, exact=True), NotImplementedError, r"use math\.factorial"),
        (lambda: special.bernoulli(-1), ValueError, "n is not negative, got -1"),
        (lambda: special.bessel_jn(1.0, v=60), ValueError, "0 <= v < n_iter is needed"),
        (lambda: wnp.asarray(special.comb(3, 2, exact=True)), NotImplementedError, r"math\.comb"),
    ],
)
def test_errors_say_what_to_do(call: Callable[[], Any], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call()
