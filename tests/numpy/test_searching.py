"""Insertion into sorted vectors: `searchsorted` and `digitize`, by comparison and by bisection."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp

#: On both sides of the number of edges that are all compared with.
SIZES = (1, 2, 3, 7, 64, 65, 129)


@settings(max_examples=40)
@given(
    st.sampled_from(SIZES),
    st.sampled_from(["float32", "float64", "int32", "uint8"]),
    st.sampled_from(["left", "right"]),
    st.integers(0, 1 << 30),
)
def test_insertions_among_equal_elements_and_nans(size, dtype, side, seed):
    rng = np.random.default_rng(seed)
    a, v = rng.integers(0, 20, size).astype(dtype), rng.integers(0, 23, (2, 9)).astype(dtype)
    if np.dtype(dtype).kind == "f":
        a[: seed % size] = np.nan
        v[0, :2], v[1, 0], v[1, 1] = np.nan, np.inf, -np.inf
    a = np.sort(a)
    compiled = weft.jit(lambda a, v: wnp.searchsorted(a, v, side))
    for found in compiled(a, v), wnp.searchsorted(wnp.asarray(a), wnp.asarray(v), side):
        np.testing.assert_array_equal(found, np.searchsorted(a, v, side))
        assert found.dtype == np.int32 and not found.weak_type
    assert int(wnp.searchsorted(a, v[0, 0], side)) == np.searchsorted(a, v[0, 0], side)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("right", [False, True])
def test_bins_whose_edges_fall_own_the_edges_that_numpy_says(size, right):
    rng = np.random.default_rng(size)
    edges = np.sort(rng.integers(0, 20, size).astype(np.float32))
    x = rng.integers(-2, 23, (4, 5)).astype(np.float32)
    x[0, 0] = np.nan
    for bins in (edges, edges[::-1].copy()):
        traced = weft.jit(wnp.digitize, static_argnums=2)(x, bins, right)
        for found in traced, wnp.digitize(x, bins, right):
            np.testing.assert_array_equal(found, np.digitize(x, bins, right))


def test_methods_are_checked():
    for name in ("searchsorted", "digitize"):
        with pytest.raises(ValueError, match=rf"weft\.numpy\.{name}: method is 'scan'"):
            getattr(wnp, name)(np.ones(3), np.ones(2), method="fast")


@settings(max_examples=12)
@given(st.sampled_from((1, 2, 5, 70)), st.sampled_from(["f4", "f8"]), st.integers(0, 1 << 30))
def test_small_arrays_outside_jit_give_what_jit_gives(size, dtype, seed):
    rng = np.random.default_rng(seed)
    points, values = np.sort(rng.normal(size=size)).astype(dtype), rng.normal(size=size)
    x = rng.normal(size=(2, 4)).astype(dtype)
    x[0, 0], x[0, 1], x[1, 0] = np.nan, points[0], points[-1]
    found = wnp.interp(x, points, values.astype(dtype), left=-7.0)
    with weft.disable_jit():
        expected = weft.jit(wnp.interp)(x, points, values.astype(dtype), left=-7.0)
    np.testing.assert_array_equal(found, expected)
    assert found.aval is expected.aval
    assert float(wnp.interp(0.5, wnp.arange(3.0), wnp.arange(3.0) * 2)) == 1
    counts, edges = wnp.histogram(wnp.asarray(x[1]), 3)
    np.testing.assert_array_equal(counts, np.histogram(x[1], np.asarray(edges))[0])
    assert counts.dtype == np.int32 and not counts.weak_type


def test_counting_leaves_out_what_is_beyond_a_given_length():
    assert wnp.bincount(np.array([5, 2_000_000_000, 1]), length=7).tolist() == [0, 1, 0, 0, 0, 1, 0]


@pytest.mark.parametrize("dtype", ["i1", "u1", "i4", "u8"])
def test_counts_of_a_length_that_the_dtype_does_not_hold(dtype):
    x = wnp.asarray(np.array([1, 3, 1], dtype))
    expected = np.bincount(np.asarray(x).astype(int), minlength=300)
    for count in (wnp.bincount, weft.jit(wnp.bincount, static_argnames="length")):
        found = count(x, length=300)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == np.int32 and not found.weak_type


def test_counting_takes_unsigned_numbers_beyond_signed_ones():
    x = wnp.asarray(np.array([2**63, 1], np.uint64))
    assert wnp.bincount(x, length=3).tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match=f"too large, {2**63}; .* with length="):
        wnp.bincount(x)


def test_bins_that_end_with_nan_rise():
    rising = np.array([0, 1, 1, 3, np.nan], np.float32)
    x = np.array([0.5, 1, np.nan, -1, 9, np.inf, -np.inf], np.float32)
    for bins in (rising, rising[::-1].copy(), rising[3:], np.full(3, np.nan, np.float32)):
        rises = np.isnan(bins[-1])
        in_order = np.searchsorted(bins if rises else bins[::-1], x, "right")
        expected = in_order if rises else bins.size - in_order
        for digitize in (wnp.digitize, weft.jit(wnp.digitize)):
            np.testing.assert_array_equal(digitize(wnp.asarray(x), wnp.asarray(bins)), expected)


def test_random_keys_have_no_order_to_search():
    keys = weft.random.split(weft.random.key(0), 3)
    with pytest.raises(TypeError, match="A random key is no number"):
        wnp.searchsorted(keys, keys)
