"""Sorting and order statistics: equal to NumPy, compiled, differentiated and batched."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import weft
import weft.numpy as wnp
from weft.core import ConcretizationError

nan, inf = np.nan, np.inf
RNG = np.random.default_rng(3)
X = RNG.standard_normal((3, 4, 5)).astype(np.float32)
TIES = RNG.integers(0, 3, (4, 6)).astype(np.int32)
DTYPES = ("float32", "float64", "float16", "int32", "uint8", "int64", "bool")
METHODS = ("linear", "lower", "higher", "midpoint", "nearest")
AXES = (None, 0, 1, -1)


@st.composite
def array_and_axis(draw, dtypes=DTYPES, least=0):
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=3, min_side=least, max_side=6))
    elements = None
    if dtype.kind == "f":
        special = st.sampled_from([nan, inf, -inf, 0.0, -0.0, 1.0])
        elements = st.integers(-4, 4).map(lambda n: n / 2) | special
    elif dtype.kind in "iu":
        elements = st.integers(max(-5, int(np.iinfo(dtype).min)), 5)
    x = draw(arrays.arrays(dtype, shape, elements=elements))
    return x, draw(st.sampled_from([None, *range(-len(shape), len(shape))]))


@given(array_and_axis())
def test_sort_and_argsort(case):
    x, axis = case
    with weft.disable_jit():
        np.testing.assert_array_equal(wnp.sort(x, axis), np.sort(x, axis))
        order = wnp.argsort(x, axis)
        np.testing.assert_array_equal(order, np.argsort(x, axis, stable=True))
        assert order.dtype == np.int32
        down = np.asarray(wnp.argsort(x, axis, descending=True))
        flat = x.ravel() if axis is None else x
        values = np.take_along_axis(flat, down, axis or 0)
        np.testing.assert_array_equal(values, wnp.sort(x, axis, descending=True))


def test_descending_order_is_stable():
    assert wnp.argsort(np.array([1, 3, 1, 3]), descending=True).tolist() == [1, 3, 0, 2]


@given(array_and_axis(dtypes=("int32", "float32"), least=1), st.integers(1, 3))
def test_lexsort(case, count):
    x, axis = case
    axis = -1 if axis is None else axis
    keys = [np.roll(x, n, -1) for n in range(count)]
    with weft.disable_jit():
        np.testing.assert_array_equal(wnp.lexsort(keys, axis), np.lexsort(keys, axis))
        np.testing.assert_array_equal(wnp.lexsort(np.stack(keys), axis), np.lexsort(keys, axis))


@given(array_and_axis(dtypes=("float32", "float64", "int32"), least=1))
def test_order_statistics(case):
    x, axis = case
    q = np.array([0.0, 0.3, 0.5, 0.75, 1.0])
    with weft.disable_jit(), np.errstate(all="ignore"):
        for keepdims in (False, True):
            close(wnp.median(x, axis, keepdims=keepdims), np.median(x, axis, keepdims=keepdims))
        for method in METHODS:
            wide = np.asarray(x, np.float64)
            if not np.isinf(wide).any():
                close(
                    wnp.quantile(x, q, axis, method=method),
                    np.quantile(wide, q, axis, method=method),
                )


def close(actual, wanted):
    assert actual.shape == np.shape(wanted)
    np.testing.assert_allclose(np.asarray(actual), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("axis", [*AXES, (0, 2), (1, 0)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_order_statistics_of_compiled_programs(axis, keepdims):
    q = np.array([0.1, 0.9])
    for method in METHODS:
        wanted = np.quantile(X, q, axis, method=method, keepdims=keepdims)
        run = weft.jit(lambda x, m=method: wnp.quantile(x, q, axis, method=m, keepdims=keepdims))
        close(run(X), wanted)
    close(wnp.median(X, axis, keepdims=keepdims), np.median(X, axis, keepdims=keepdims))
    close(wnp.percentile(X, 30, axis), np.percentile(X, 30, axis))
    traced = weft.jit(lambda x, q: wnp.percentile(x, q, axis, keepdims=keepdims))
    close(traced(X, np.float32([10, 90])), np.percentile(X, [10, 90], axis, keepdims=keepdims))
    close(traced(X, np.float32(25)), np.percentile(X, 25, axis, keepdims=keepdims))


@pytest.mark.parametrize("axis", AXES)
def test_statistics_without_nan(axis):
    x = X.copy()
    x[np.random.default_rng(5).uniform(size=x.shape) < 0.2] = nan
    close(wnp.nanmedian(x, axis), np.nanmedian(x, axis))
    close(wnp.nanquantile(x, [0.2, 0.7], axis), np.nanquantile(x, [0.2, 0.7], axis))
    close(wnp.nanpercentile(x, 35, axis), np.nanpercentile(x, 35, axis))
    for method in ("lower", "higher", "nearest"):
        close(
            wnp.nanquantile(x, 0.4, axis, method=method),
            np.nanquantile(x, 0.4, axis, method=method),
        )
    assert np.isnan(wnp.median(x)) and np.isnan(wnp.nanmedian(np.full(3, nan, np.float32)))


def test_dtypes_of_order_statistics():
    assert wnp.median(np.arange(4)).dtype == np.float32
    assert wnp.quantile(X, np.array([0.5])).dtype == np.float32
    assert wnp.quantile(X.astype(np.float64), 0.5).dtype == np.float64
    half = np.array([1, 2, 4, 60000], ml_dtypes.bfloat16)
    assert wnp.median(half).dtype == half.dtype
    assert float(wnp.median(half)) == 3


def test_infinite_neighbours_without_weight_do_not_count():
    x = np.array([1.0, 2.0, inf], np.float32)
    assert float(wnp.quantile(x, 0.5)) == 2
    assert float(wnp.median(x)) == 2
    assert float(wnp.quantile(x, 1.0)) == inf


def test_compiled_sorts_and_methods():
    x = wnp.asarray(X)
    for axis in AXES:
        np.testing.assert_array_equal(x.sort(axis), np.sort(X, axis))
        np.testing.assert_array_equal(x.argsort(axis), np.argsort(X, axis, stable=True))
        np.testing.assert_array_equal(
            weft.jit(lambda x, a=axis: x.sort(a, descending=True))(X),
            -np.sort(-X, axis),
        )
    run = weft.jit(lambda t: wnp.lexsort([t[0], t[1]]) + t[0].argsort())
    np.testing.assert_array_equal(
        run(TIES), np.lexsort([TIES[0], TIES[1]]) + np.argsort(TIES[0], stable=True)
    )
    loop = weft.jit(lambda x: weft.lax.fori_loop(0, 3, lambda _, y: wnp.sort(y * -1), x))
    np.testing.assert_array_equal(loop(X[0, 0]), np.sort(-X[0, 0]))


def test_partitions():
    for kth in (0, 2, -1):
        parts = np.asarray(wnp.partition(TIES, kth, 1))
        assert (parts[:, :kth] <= parts[:, kth : kth + 1 or None][:, :1]).all()
        order = np.asarray(wnp.argpartition(TIES, kth, 1))
        np.testing.assert_array_equal(np.take_along_axis(TIES, order, 1), parts)
    with pytest.raises(ValueError, match="partition: there is no element 6 among 6"):
        wnp.partition(TIES, 6, 1)


# ---------------------------------------------------------------- distinct values, positions


@given(array_and_axis())
def test_unique(case):
    x, axis = case
    if axis is not None and (x.dtype.kind == "f" or 0 in x.shape):
        axis = None  # NumPy compares rows of floats by their bytes
    names = {"return_index": True, "return_inverse": True, "return_counts": True}
    with weft.disable_jit():
        wanted = np.unique(x, axis=axis, **names)
        for actual, expected in zip(wnp.unique(x, axis=axis, **names), wanted, strict=True):
            np.testing.assert_array_equal(actual, expected)
        np.testing.assert_array_equal(wnp.unique(x, axis=axis), wanted[0])
        for name, index in zip(names, wanted[1:], strict=True):
            np.testing.assert_array_equal(wnp.unique(x, axis=axis, **{name: True})[1], index)


@given(array_and_axis())
def test_positions(case):
    x, _ = case
    with weft.disable_jit():
        np.testing.assert_array_equal(wnp.argwhere(x), np.argwhere(x))
        np.testing.assert_array_equal(wnp.flatnonzero(x), np.flatnonzero(x))


def test_sizes_that_depend_on_values_cannot_be_traced():
    with pytest.raises(ConcretizationError) as e:
        weft.jit(wnp.unique)(TIES)
    assert "unique() of a traced value of type i32[4,6] while" in str(e.value)
    assert "depends on values: call it outside weft.jit and weft.vmap" in str(e.value)


def test_distinct_values_have_derivatives():
    slope = weft.grad(lambda x: (wnp.unique(x) * np.float32([1, 10])).sum())
    assert slope(np.float32([2, 1, 2])).tolist() == [10, 1, 0]


# ---------------------------------------------------------------- transformations

FUNCTIONS = {
    "sort": lambda x: wnp.sort(x, 0) * np.arange(12.0).reshape(3, 4),
    "sort descending": lambda x: wnp.sort(x, descending=True)[:, :2] ** 2,
    "sort flat": lambda x: wnp.sort(x, None) * np.arange(12.0),
    "argsort": lambda x: wnp.take_along_axis(x, wnp.argsort(x, 1), 1)[:, 1:] ** 3,
    "top_k": lambda x: weft.lax.top_k(x, 2)[0] ** 2,
    "sort_key_val": lambda x: weft.lax.sort_key_val(x, x**2)[1] * np.arange(4.0),
    "several": lambda x: weft.lax.sort((x, x + 1, x.sum() * x), 0, num_keys=2)[2],
    "median": lambda x: wnp.median(x, 0) ** 2,
    "median of all": lambda x: wnp.median(x) ** 2,
    "quantile": lambda x: wnp.quantile(x, np.array([0.3, 0.8]), 1) ** 2,
    "traced quantile": lambda x: wnp.quantile(x, wnp.abs(wnp.sin(x[0, 0])), 0),
    "nanmedian": lambda x: wnp.nanmedian(wnp.where(x > 0.5, nan, x), 1) ** 2,
    "partition": lambda x: wnp.partition(x, 1, 1)[:, :1] ** 2,
}
EXAMPLES = np.random.default_rng(11).standard_normal((4, 3, 4))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_vmap_is_a_loop(name):
    function = FUNCTIONS[name]
    expected = np.stack([np.asarray(function(wnp.asarray(x))) for x in EXAMPLES])
    first = weft.vmap(function)(EXAMPLES)
    np.testing.assert_allclose(np.asarray(first), expected, rtol=1e-10, atol=1e-12)
    last = weft.jit(weft.vmap(function, in_axes=2))(np.moveaxis(EXAMPLES, 0, 2))
    np.testing.assert_allclose(np.asarray(last), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_limits_of_differences(name):
    def total(x):
        return wnp.sum(FUNCTIONS[name](wnp.asarray(x)) * 1.5)

    x, h = EXAMPLES[0], 1e-6
    with weft.disable_jit():
        wanted = np.zeros_like(x)
        for index in np.ndindex(x.shape):
            step = np.zeros_like(x)
            step[index] = h
            wanted[index] = (float(total(x + step)) - float(total(x - step))) / (2 * h)
    np.testing.assert_allclose(weft.jit(weft.grad(total))(x), wanted, rtol=1e-6, atol=1e-7)


# ---------------------------------------------------------------- errors


def test_errors():
    with pytest.raises(ValueError, match=r"weft\.numpy\.sort: axis 3 is out of bounds"):
        wnp.sort(TIES, 3)
    with pytest.raises(ValueError, match="kind='bogo' is not a sort"):
        wnp.sort(TIES, kind="bogo")
    with pytest.raises(TypeError, match="order= is for structured arrays"):
        wnp.argsort(TIES, order="x")
    with pytest.raises(ValueError, match="lexsort: keys must have one shape"):
        wnp.lexsort([TIES, TIES[0]])
    with pytest.raises(TypeError, match="there must be at least one key"):
        wnp.lexsort([])
    with pytest.raises(ValueError, match="quantile: method is one of"):
        wnp.quantile(X, 0.5, method="cubic")
    with pytest.raises(ValueError, match="quantile: q must be from 0 to 1"):
        wnp.quantile(X, 1.5)
    with pytest.raises(ValueError, match="percentile: q must be from 0 to 100"):
        wnp.percentile(X, [-1, 5])
    with pytest.raises(ValueError, match=r"q must be a number or a vector, got shape \(1, 1\)"):
        wnp.quantile(X, [[0.5]])
    with pytest.raises(ValueError, match="median: no median of no elements"):
        wnp.median(np.zeros((0, 2)), 0)
    with pytest.raises(TypeError, match="median: complex numbers have no order"):
        wnp.median(np.array([1j]))


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_weighted_quantiles(axis):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(4, 5)), rng.integers(0, 4, (4, 5)) + 0.5
    holes = np.where(x > 1, np.nan, x)
    q = np.array([0, 0.1, 0.5, 0.9, 1])
    for name, data in (("quantile", x), ("quantile", holes), ("nanpercentile", holes)):
        ours, theirs = getattr(wnp, name), getattr(np, name)
        parts = q * 100 if "percentile" in name else q
        for options in ({}, {"weights": w}):
            options = {"axis": axis, "method": "inverted_cdf", **options}
            found = ours(wnp.asarray(data), parts, **options)
            np.testing.assert_allclose(found, theirs(data, parts, **options))
    along = wnp.quantile(x, 0.3, axis=1, weights=w[0], method="inverted_cdf", keepdims=True)
    wanted = np.quantile(x, 0.3, axis=1, weights=w[0], method="inverted_cdf", keepdims=True)
    np.testing.assert_allclose(along, wanted)


def test_weights_of_quantiles_are_checked():
    with pytest.raises(ValueError, match="only method='inverted_cdf' takes weights, not 'linear'"):
        wnp.quantile(wnp.ones(3), 0.5, weights=wnp.ones(3))
    with pytest.raises(ValueError, match=r"weights of shape \(2,\) are neither one for each"):
        wnp.quantile(wnp.ones(3), 0.5, weights=wnp.ones(2), method="inverted_cdf")
