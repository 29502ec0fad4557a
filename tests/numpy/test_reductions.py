"""Reductions and running sums against NumPy."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp

NAMES = ["sum", "prod", "max", "min", "mean", "var", "std", "any", "all", "ptp", "count_nonzero"]


@st.composite
def cases(draw):
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=0, max_size=3)))
    axes = draw(
        st.none()
        | st.lists(st.integers(0, max(len(shape) - 1, 0)), unique=True, max_size=len(shape))
    )
    if axes is not None:
        axes = tuple(a - len(shape) if draw(st.booleans()) else a for a in axes if shape)
    return shape, axes, draw(st.booleans())


def sample(shape, dtype=np.float32):
    values = np.random.default_rng(len(shape) + sum(shape)).standard_normal(shape)
    return np.asarray(values * 3).astype(dtype)


def check(result, expected, rtol=1e-5):
    np.testing.assert_allclose(np.asarray(result), expected, rtol=rtol, atol=1e-6)
    assert result.shape == np.shape(expected)


@given(cases(), st.sampled_from(NAMES))
@settings(max_examples=200)
def test_reductions_over_axes(case, name):
    shape, axes, keepdims = case
    x = sample(shape)
    if name == "ptp" and axes == ():
        return
    with weft.disable_jit():
        result = getattr(wnp, name)(x, axis=axes, keepdims=keepdims)
    check(result, getattr(np, name)(x, axis=axes, keepdims=keepdims))


@given(cases(), st.sampled_from(["sum", "prod", "mean", "var", "std", "max", "min", "any", "all"]))
@settings(max_examples=100)
def test_where(case, name):
    shape, axes, keepdims = case
    x = sample(shape)
    mask = sample(shape, np.float64) > -1
    extra = {"initial": -5.0} if name in ("max", "min") else {}
    with weft.disable_jit(), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # means of nothing
        result = getattr(wnp, name)(x, axis=axes, keepdims=keepdims, where=mask, **extra)
        expected = getattr(np, name)(x, axis=axes, keepdims=keepdims, where=mask, **extra)
    check(result, expected)


@pytest.mark.parametrize(
    ("name", "dtype", "result"),
    [
        ("sum", np.int8, np.int32),
        ("sum", np.uint8, np.uint32),
        ("sum", bool, np.int32),
        ("sum", np.int64, np.int64),
        ("sum", np.float16, np.float16),
        ("prod", np.int16, np.int32),
        ("cumsum", np.int8, np.int8),
        ("mean", np.int32, np.float32),
        ("mean", np.float64, np.float64),
        ("var", np.complex64, np.float32),
        ("max", np.uint8, np.uint8),
        ("argmax", np.float64, np.int32),
    ],
)
def test_dtypes_of_results(name, dtype, result):
    with weft.disable_jit():
        assert getattr(wnp, name)(np.ones(4, dtype)).dtype == result


def test_halves_are_summed_in_single_precision():
    x = np.full(5000, 0.1, np.float16)
    with weft.disable_jit():
        assert abs(float(wnp.sum(x)) - 500) < 1
        assert abs(float(wnp.mean(x)) - 0.1) < 1e-3


def test_variance_options():
    x = sample((4, 5))
    with weft.disable_jit():
        check(wnp.var(x, 0, ddof=1), np.var(x, 0, ddof=1))
        check(wnp.std(x, 1, correction=1), np.std(x, 1, ddof=1))
        check(wnp.var(x + 1000, 1), np.var((x + 1000).astype(np.float64), 1), rtol=1e-3)
        z = (x + 1j * x[::-1]).astype(np.complex64)
        check(wnp.var(z, 0), np.var(z, 0))


def test_averages():
    x, weights = sample((3, 4)), np.array([1.0, 2.0, 0.5], np.float32)
    with weft.disable_jit():
        check(wnp.average(x, 0, weights), np.average(x, 0, weights))
        result, total = wnp.average(x, 1, returned=True)
        check(result, np.average(x, 1))
        check(total, np.full(3, 4.0))


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("name", ["cumsum", "cumprod", "argmax", "argmin", "nancumsum"])
def test_along_one_axis(name, axis):
    x = sample((3, 5))
    with weft.disable_jit():
        check(getattr(wnp, name)(x, axis), getattr(np, name)(x, axis))


def test_argmax_prefers_nan_and_the_first():
    with weft.disable_jit():
        assert int(wnp.argmax(np.array([1.0, np.nan, 3.0]))) == 1
        assert int(wnp.argmax(np.array([3, 1, 3]))) == 0
        assert wnp.argmax(np.zeros((2, 3)), axis=1, keepdims=True).shape == (2, 1)
        assert wnp.argmin(np.zeros((2, 3)), keepdims=True).shape == (1, 1)


@pytest.mark.parametrize(
    "name", ["nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanvar", "nanstd"]
)
def test_functions_that_ignore_nan(name):
    x = sample((3, 4))
    x[0, 1] = x[2, 2] = np.nan
    with weft.disable_jit():
        check(getattr(wnp, name)(x, axis=1), getattr(np, name)(x, axis=1))
        check(getattr(wnp, name)(x), getattr(np, name)(x))


@pytest.mark.parametrize("left_out", [np.nan, np.inf])
def test_elements_left_out_of_a_variance_have_no_slope(left_out):
    x = np.array([1.0, left_out, 3.0, 7.0])
    kept = x[np.isfinite(x)]
    slope = weft.grad(lambda x: wnp.var(x, where=wnp.isfinite(x)))(x)
    check(slope[np.isfinite(x)], 2 * (kept - kept.mean()) / 3)
    assert float(slope[1]) == 0
    if np.isnan(left_out):
        check(weft.grad(wnp.nanvar)(x), np.asarray(slope))


def test_running_sums_with_initial():
    with weft.disable_jit():
        assert wnp.cumulative_sum(np.array([1, 2, 3]), include_initial=True).tolist() == [
            0,
            1,
            3,
            6,
        ]
        assert wnp.cumulative_prod(np.array([1, 2, 3])).tolist() == [1, 2, 6]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: wnp.sum(np.ones((2, 3)), axis=2),
            ValueError,
            "weft.numpy.sum: axis 2 is out of bounds for an array with 2 axes",
        ),
        (
            lambda: wnp.sum(np.ones((2, 3)), axis=(0, 0)),
            ValueError,
            "axis=(0, 0) names an axis twice",
        ),
        (
            lambda: wnp.sum(np.ones(2), axis=1.5),
            TypeError,
            "axis must be an integer, got 1.5 (float)",
        ),
        (
            lambda: wnp.max(np.ones((0, 3)), axis=0),
            ValueError,
            "weft.numpy.max: no max of no elements: f64[0,3] over axis 0",
        ),
        (lambda: wnp.argmin(np.ones(0)), ValueError, "no element to point at"),
        (lambda: wnp.max(np.ones(2), where=np.array([True, False])), ValueError, "give initial="),
        (
            lambda: wnp.sum(np.ones(2), where=np.array([1, 0])),
            TypeError,
            "where= must be a boolean array, got dtype int64",
        ),
        (
            lambda: wnp.mean(np.ones(2), dtype=int),
            TypeError,
            "dtype must be floating-point, got int32",
        ),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


def test_empty_sums():
    with weft.disable_jit():
        assert float(wnp.sum(np.ones((0, 3)))) == 0
        assert wnp.prod(np.ones((0, 3)), axis=0).tolist() == [1, 1, 1]
        assert float(wnp.max(np.ones(0), initial=3.0)) == 3


def test_compiled_reductions_agree():
    x = sample((6, 37))

    def f(x):
        return x.sum(0), x.mean(), x.var(-1), x.max(1, keepdims=True), x.cumsum(1), x.argmin(1)

    for results in (weft.jit(f)(x), f(wnp.asarray(x))):
        expected = f(x)
        for result, value in zip(results, expected, strict=True):
            check(result, value, rtol=1e-4)
