"""docs/accuracy.md holds: a sample of every elementwise function, and the page itself."""

from __future__ import annotations

import functools
import re

import numpy as np
import pytest
from tools.mpmath_ulp import FUNCTIONS as SPECIAL
from tools.mpmath_ulp import PAGE as SPECIAL_PAGE
from tools.mpmath_ulp import arguments as special_arguments
from tools.mpmath_ulp import errors as special_errors
from tools.ulp_tables import DTYPES, F32, F64, FUNCTIONS, PAGE, Function, arguments, ulps

import weft
from weft import numpy as wnp

#: Together in one program, since LLVM starts once for each.
GROUPS = {
    "one argument": [f for f in FUNCTIONS.values() if f.arity == 1],
    "two arguments": [f for f in FUNCTIONS.values() if f.arity == 2],
}
SIZE = 6_000


@functools.cache
def results(group: str, dtype: np.dtype) -> tuple[tuple[np.ndarray, ...], list[np.ndarray]]:
    """Arguments, and what every function of a group makes of them."""
    functions = GROUPS[group]
    args = arguments(functions[0], dtype, SIZE)
    compiled = weft.jit(lambda *xs: [f.call(*xs) for f in functions])
    return args, [np.asarray(y) for y in compiled(*args)]


def exact(function: Function, args: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray | None]:
    """The reference, and what errors are relative to."""
    wide = [a.astype(np.float64).astype(np.longdouble) for a in args]
    value = function.reference(*wide)
    return value, None if function.scale is None else function.scale(value, *wide)


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
@pytest.mark.parametrize("group", GROUPS)
def test_errors_stay_within_their_bounds(group: str, dtype: np.dtype) -> None:
    args, values = results(group, dtype)
    for function, y in zip(GROUPS[group], values, strict=True):
        with np.errstate(all="ignore"):
            error = ulps(y, *exact(function, args))
        worst = int(np.argmax(error))
        where = [a[worst] for a in args]
        assert error[worst] <= function.bound, (function.name, where, y[worst], error[worst])


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d.itemsize == 2], ids=str)
@pytest.mark.parametrize("group", GROUPS)
def test_half_types_are_rounded_once_from_float32(group: str, dtype: np.dtype) -> None:
    args, values = results(group, dtype)
    functions = GROUPS[group]
    single = weft.jit(lambda *xs: [f.call(*xs) for f in functions])
    with np.errstate(all="ignore"):
        wide = single(*(a.astype(F32) for a in args))
        for function, y, in_float32 in zip(functions, values, wide, strict=True):
            expected = np.asarray(in_float32).astype(dtype)
            same = (y == expected) | (np.isnan(y) & np.isnan(expected))
            assert same.all(), (function.name, [a[~same][0] for a in args])


def test_the_page_has_every_function_within_its_bounds() -> None:
    rows = re.findall(
        r"^\| (\S+) \| ([\d.]+)\*? \| [^|]* \| ([\d.]+) \| [^|]* \| ([\d.]+) \| ([\d.]+) \|$",
        PAGE.read_text(),
        re.MULTILINE,
    )
    assert [name for name, *_ in rows] == list(FUNCTIONS)
    for name, *errors in rows:
        bound = FUNCTIONS[name].bound
        for error, limit in zip(map(float, errors), (bound, bound, 0.51, 0.51), strict=True):
            assert error <= limit + 0.005, name  # the page has two digits


def test_logarithms_of_powers_are_exact() -> None:
    for dtype, most in ((np.float32, 38), (np.float64, 308)):
        tens = np.array([float(f"1e{k}") for k in range(-most, most + 1)]).astype(dtype)
        twos = np.ldexp(dtype(1), np.arange(-100, 101))
        logs = weft.jit(lambda x, y: [wnp.log10(x), wnp.log2(y)])(tens, twos)
        assert np.asarray(logs[0]).tolist() == list(range(-most, most + 1))
        assert np.asarray(logs[1]).tolist() == list(range(-100, 101))


def test_remainders_have_the_sign_of_the_divisor() -> None:
    x, y = np.meshgrid(np.array([-2.0, -1, -0.0, 0.0, 1, 2, 2.5]), np.array([-1.0, 1, 2, -2]))
    actual = np.asarray(weft.jit(wnp.remainder)(x, y))
    np.testing.assert_array_equal(actual, np.remainder(x, y))
    np.testing.assert_array_equal(np.signbit(actual), np.signbit(np.remainder(x, y)))


def test_derivatives_of_what_is_computed_in_parts() -> None:
    def slope(f, x):
        return float(weft.grad(f)(np.float64(x)))

    for x in (0.3, -1.0, 1.75, 2.0):
        step = 1e-6
        expected = (np.sinc(x + step) - np.sinc(x - step)) / (2 * step)
        assert slope(wnp.sinc, x) == pytest.approx(expected, abs=1e-5)
        either = slope(lambda t: wnp.logaddexp2(t, 0.5), x)
        assert either == pytest.approx(2**x / (2**x + 2**0.5), rel=1e-5)
    assert float(weft.grad(weft.grad(wnp.sinc))(0.0)) == pytest.approx(-(np.pi**2) / 3, rel=1e-5)
    assert slope(wnp.log2, 3.0) == pytest.approx(1 / (3 * np.log(2)), rel=1e-5)
    assert slope(wnp.log10, 3.0) == pytest.approx(1 / (3 * np.log(10)), rel=1e-5)


#: Of the special functions, those whose compilation takes no time to speak of.
COMPILED_FAST = [
    "erf",
    "erfc",
    "ndtr",
    "log_ndtr",
    "expit",
    "logit",
    "entr",
    "digamma",
    "i0",
    "i1",
    "i0e",
    "i1e",
    "exp1",
]


def test_special_functions_stay_within_what_their_page_says() -> None:
    number = r"([\d.e+-]+)"
    found = re.findall(
        rf"^\| ([^|]+?)(?: †)? \| {number} \| {number} \| {number} \| \S+ \| {number} \| \S+ \|$",
        SPECIAL_PAGE.read_text(),
        re.MULTILINE,
    )
    assert [name for name, *_ in found] == [f.name for f in SPECIAL]
    limits = {name: float(limit) for name, _, _, _, limit in found}
    for function in (f for f in SPECIAL if f.name in COMPILED_FAST):
        x = special_arguments(function, F64, 40)
        y = np.asarray(weft.jit(function)(x))
        # Other arguments than the page's: theirs may be a little worse.
        assert special_errors(function, x, y).max() <= 1.5 * limits[function.name] + 1, (
            function.name
        )
