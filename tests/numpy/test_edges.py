"""Functions at their edges: nothing to sum, nothing but NaN, numbers out of bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.nn
import weft.numpy as wnp

METHODS = ("interpolated_inverted_cdf", "hazen", "weibull", "median_unbiased", "normal_unbiased")


@settings(max_examples=40)
@given(
    st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=9),
    st.sampled_from(METHODS),
    st.sampled_from([0.0, 0.02, 0.25, 0.5, 0.8, 1.0]),
    st.integers(0, 3),
)
def test_quantiles_lie_where_those_of_numpy_do(values, method, q, missing):
    x = np.asarray(values, np.float32)
    expected = np.quantile(x, q, method=method)
    found = wnp.quantile(x, q, method=method)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    with weft.disable_jit():
        traced = weft.jit(lambda q: wnp.quantile(x, q, method=method))(np.float32(q))
        padded = wnp.nanquantile(np.append(x, [np.nan] * missing), q, method=method)
    np.testing.assert_allclose(traced, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(padded, expected, rtol=1e-5, atol=1e-5)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.integers(0, 9))
@settings(max_examples=30)
def test_repeats_of_a_given_length_are_cut_or_go_on_with_the_last(counts, total):
    x, n = np.arange(len(counts)) * 10, sum(counts)
    with weft.disable_jit():
        repeated = weft.jit(lambda r: wnp.repeat(x, r, total_repeat_length=total))
        found = np.asarray(repeated(np.asarray(counts)))
    expected = np.repeat(x, counts)[:total].tolist() + [x[-1]] * max(0, total - n)
    assert found.tolist() == expected
    twice = wnp.repeat(x, 2, total_repeat_length=2 * x.size)
    assert twice.tolist() == np.repeat(x, 2).tolist()


def test_repeats_that_do_not_fit_are_refused():
    x = wnp.arange(3)
    with pytest.raises(ValueError, match=r"repeats of shape \(2,\) for 3 elements along axis 0"):
        wnp.repeat(x, np.array([1, 2]), total_repeat_length=4)
    with pytest.raises(ValueError, match=r"total_repeat_length=2 of 0 elements along axis 0"):
        wnp.repeat(x[:0], 1, total_repeat_length=2)
    with pytest.raises(TypeError, match="repeats are integers, got float32"):
        wnp.repeat(x, np.float32(1), total_repeat_length=2)
    with pytest.raises(weft.errors.ConcretizationError, match="total_repeat_length=n"):
        weft.jit(lambda r: wnp.repeat(x, r))(np.array([1, 2, 0]))


@pytest.mark.parametrize("shape, axis", [((0,), 0), ((3, 0), 1), ((0, 3), 0), ((1, 2), 0)])
def test_an_integral_over_nothing_is_zero(shape, axis):
    y = np.ones(shape, np.float32)
    x = np.arange(shape[axis], dtype=np.float32)
    np.testing.assert_array_equal(wnp.trapezoid(y, axis=axis), np.trapezoid(y, axis=axis))
    np.testing.assert_array_equal(wnp.trapezoid(y, x, axis=axis), np.trapezoid(y, x, axis=axis))


def test_softmax_of_nothing_and_of_what_is_masked():
    for shape in ((0,), (2, 0), (0, 2)):
        assert weft.nn.softmax(wnp.zeros(shape)).shape == shape
        assert weft.nn.log_softmax(wnp.zeros(shape)).shape == shape
    rows = wnp.asarray([[1.0, 1.0], [1.0, 2.0]])
    shown = np.array([[True, True], [False, False]])
    assert weft.nn.softmax(rows, where=shown).tolist() == [[0.5, 0.5], [0, 0]]


def test_the_place_of_an_extremum_of_nothing_but_nan_is_minus_one():
    x = np.array([[1, np.nan, 3], [np.nan] * 3], np.float32)
    assert wnp.nanargmax(x, axis=1).tolist() == [2, -1]
    assert wnp.nanargmin(x, axis=1, keepdims=True).tolist() == [[0], [-1]]
    assert int(wnp.nanargmax(np.array([1, 5, 2]))) == 1


def test_modes_of_updates_hold_for_numbers_too():
    x = wnp.arange(6.0).reshape(2, 3)
    assert float(x.at[5, 1].get(mode="fill", fill_value=-1.0)) == -1
    assert x.at[-3].get(mode="fill", fill_value=7.0).tolist() == [7, 7, 7]
    assert x.at[5, 1:].get(mode="clip").tolist() == [4, 5]
    assert x.at[2].add(1.0, mode="drop").tolist() == x.tolist()
    assert x.at[2, ::2].set(9.0, mode="clip").tolist() == [[0, 1, 2], [9, 4, 9]]
    with pytest.raises(IndexError, match="index 5 is out of bounds for axis 0 with size 2"):
        x.at[5, 1].get()


def test_distances_of_infinity_and_safe_casts_are_those_of_numpy():
    x = np.array([np.inf, -np.inf, np.nan, 3e38, -1, 0], np.float32)
    np.testing.assert_array_equal(wnp.spacing(x), np.spacing(x))
    for a, b in (("int32", "float32"), ("int16", "float32"), ("int64", "float64"), ("u1", "i1")):
        assert wnp.can_cast(a, b) == np.can_cast(a, b)
    assert wnp.can_cast(weft.numpy.bfloat16, "float32")


def test_what_is_returned_beside_a_result_is_an_array():
    mean, count = wnp.average(wnp.arange(4.0), returned=True)
    assert type(count) is weft.Array and float(mean) == 1.5 and float(count) == 4
    values, step = wnp.linspace(0, 1, 4, endpoint=False, retstep=True)
    assert float(step) == 0.25 and step.dtype == values.dtype
    assert np.isnan(float(wnp.linspace(0, 1, 1, retstep=True)[1]))
