"""Meanings and derivatives at points where libraries differ, stated by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from weft import lax
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.core.linear import Zero
from weft.lax import GatherDimensionNumbers, ScatterDimensionNumbers
from weft.primitives import (
    arithmetic,
    bitwise,
    cumulative,
    indexing,
    shaping,
    slicing,
    transcendental,
)
from weft.primitives.random_bits import threefry2x32
from weft.transforms.jvp import jvp_flat

inf, nan = np.inf, np.nan


def slope(function: Callable[..., Any], *xs: Any, at: int = 0) -> Any:
    """The derivative of an elementwise function in one of its operands."""
    arrays = [np.asarray(x, np.float64) for x in xs]
    tangents = [np.ones_like(x) if k == at else Zero(aval_of(x)) for k, x in enumerate(arrays)]
    _, (t,) = jvp_flat(lambda *a: [function(*a)], arrays, tangents)
    return np.zeros_like(arrays[0]) if not isinstance(t, np.ndarray) else t


# ---------------------------------------------------------------- integers


def test_integer_division_truncates_and_survives_zero_and_overflow() -> None:
    x = np.array([7, -7, 7, -7, 5, -(2**31)], np.int32)
    y = np.array([2, 2, -2, -2, 0, -1], np.int32)
    np.testing.assert_array_equal(lax.div(x, y), [3, -3, -3, 3, -1, -(2**31)])
    np.testing.assert_array_equal(lax.rem(x, y), [1, -1, 1, -1, 5, 0])
    u = np.array([7, 5], np.uint32)
    v = np.array([2, 0], np.uint32)
    np.testing.assert_array_equal(lax.div(u, v), [3, 2**32 - 1])
    np.testing.assert_array_equal(lax.rem(u, v), [1, 5])


def test_shifts_by_the_width_or_more_shift_all_out() -> None:
    x = np.array([-8, -8, -8, -8], np.int32)
    y = np.array([1, 31, 32, -1], np.int32)
    np.testing.assert_array_equal(bitwise.shift_left(x, y), [-16, 0, 0, 0])
    np.testing.assert_array_equal(bitwise.shift_right_logical(x, y), [2**31 - 4, 1, 0, 0])
    np.testing.assert_array_equal(bitwise.shift_right_arithmetic(x, y), [-4, -1, -1, -1])


def test_integers_wrap() -> None:
    top = np.array([2**31 - 1], np.int32)
    assert lax.add(top, 1) == -(2**31)
    assert lax.abs(np.array([-128], np.int8)) == -128
    assert lax.integer_pow(np.array([3], np.uint8), 6) == 729 % 256


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64])
def test_floats_saturate_when_converted_to_integers(dtype: Any) -> None:
    info = np.iinfo(dtype)
    x = np.array([nan, inf, -inf, 1e30, -1e30, 2.9, -0.9], np.float32)
    wanted = np.array([0, info.max, info.min, info.max, info.min, 2, 0], dtype)
    for source in (np.float32, np.float64, dtypes.bfloat16):
        out = lax.convert_element_type(x.astype(source), dtype)
        np.testing.assert_array_equal(out, wanted)
        assert out.dtype == dtype


def test_conversions_of_booleans_and_complex_numbers() -> None:
    np.testing.assert_array_equal(
        lax.convert_element_type(np.array([0.0, nan, -0.5]), np.bool_), [False, True, True]
    )
    np.testing.assert_array_equal(
        lax.convert_element_type(np.array([1.5 + 2j]), np.float32), np.float32([1.5])
    )


# ---------------------------------------------------------------- floating point


def test_rounding_halfway() -> None:
    x = np.array([0.5, 1.5, -0.5, 2.5, 0.49999997, -0.0], np.float32)
    away = lax.round(x)
    even = lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN)
    np.testing.assert_array_equal(away, [1, 2, -1, 3, 0, 0])
    np.testing.assert_array_equal(even, [0, 2, 0, 2, 0, 0])
    assert np.signbit(away[-1])


def test_nan_goes_through_extrema_and_signs() -> None:
    x = np.array([nan, 1.0, nan, -0.0])
    y = np.array([1.0, nan, nan, -0.0])
    for op in (lax.max, lax.min):
        np.testing.assert_array_equal(np.isnan(op(x, y)), [True, True, True, False])
    assert np.isnan(lax.clamp(0.0, np.array([nan]), 1.0))
    assert np.isnan(lax.reduce_max(np.array([1.0, nan]), (0,)))
    assert np.isnan(lax.sign(x)[0])
    assert np.signbit(lax.sign(x)[3])
    assert lax.argmax(np.array([1.0, nan, 7.0, nan]), 0) == 1
    assert lax.argmin(np.array([1.0, nan, -7.0]), 0) == 1


def test_logistic_neither_overflows_nor_loses_its_tail() -> None:
    x = np.array([-inf, -800.0, -40.0, 0.0, 800.0, inf])
    np.testing.assert_allclose(lax.logistic(x), [0, 0, np.exp(-40.0), 0.5, 1, 1], rtol=1e-15)


def test_sixteen_bit_sums_are_accumulated_in_thirty_two() -> None:
    x = np.full(4096, 1.0, np.float16)
    assert lax.reduce_sum(x, (0,)) == 4096
    assert lax.cumsum(x.astype(dtypes.bfloat16))[-1] == 4096
    assert lax.dot(x, x) == 4096
    ones = np.ones((1, 4096), np.float16)
    assert lax.dot(ones, ones.T, preferred_element_type=np.float32).dtype == np.float32


def test_reducing_nothing_gives_the_identity() -> None:
    for dtype, low, high in ((np.float32, -inf, inf), (np.int8, -128, 127), (np.bool_, 0, 1)):
        x = np.zeros((0, 2), dtype)
        np.testing.assert_array_equal(lax.reduce_max(x, (0,)), [low, low])
        np.testing.assert_array_equal(lax.reduce_min(x, (0,)), [high, high])
    assert lax.reduce_and(np.zeros(0, np.int32), (0,)) == -1
    assert lax.reduce_or(np.zeros(0, np.bool_), (0,)) == np.False_


# ---------------------------------------------------------------- derivatives at special points


def test_slopes_where_a_function_has_a_corner_or_an_end() -> None:
    for function, x, wanted in (
        (lax.sqrt, 0.0, inf),
        (lax.cbrt, 0.0, inf),
        (lax.rsqrt, 0.0, -inf),
        (lax.asin, 1.0, inf),
        (lax.acos, -1.0, -inf),
        (lax.atanh, 1.0, inf),
        (lax.acosh, 1.0, inf),
        (lax.log1p, -1.0, inf),
        (lax.erf_inv, 1.0, inf),
        (lax.abs, 0.0, 1.0),
        (lax.sign, 0.0, 0.0),
        (lax.floor, 1.0, 0.0),
        (lax.tanh, 400.0, 0.0),
        (lax.logistic, -800.0, 0.0),
    ):
        with np.errstate(all="ignore"):
            assert slope(function, x) == wanted, function.__name__


def test_ties_share_the_slope() -> None:
    assert slope(lax.max, 2.0, 2.0) == 0.5
    assert slope(lax.min, 2.0, 2.0, at=1) == 0.5
    x = np.array([3.0, 1.0, 3.0, 3.0])
    for k, wanted in enumerate([1 / 3, 0, 1 / 3, 1 / 3]):
        t = np.eye(4)[k]
        _, (total,) = jvp_flat(lambda v: [lax.reduce_max(v, (0,))], [x], [t])
        assert total == pytest.approx(wanted)
        _, (running,) = jvp_flat(lambda v: [cumulative.cummax(v, 0)], [x], [t])
        assert running[-1] == pytest.approx(wanted)


def test_slopes_of_powers_at_zero() -> None:
    x = np.array([0.0, 0.0, 0.0, 0.0, -2.0])
    y = np.array([0.0, 1.0, 2.0, 0.5, 3.0])
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(slope(lax.pow, x, y), [0, 1, 0, inf, 12])
        np.testing.assert_array_equal(slope(lax.pow, x[:4], y[:4], at=1), np.zeros(4))
    for exponent, wanted in ((0, 0.0), (1, 1.0), (2, 0.0)):
        assert slope(lambda v, y=exponent: transcendental.integer_pow(v, y), 0.0) == wanted


def test_slopes_of_a_clamp_at_its_bounds() -> None:
    x = np.array([0.5, 1.0, 1.5, 2.0, 3.0])
    lo, hi = np.full(5, 1.0), np.full(5, 2.0)
    np.testing.assert_array_equal(slope(arithmetic.clamp, lo, x, hi, at=1), [0, 0, 1, 0, 0])
    np.testing.assert_array_equal(slope(arithmetic.clamp, lo, x, hi, at=0), [1, 0, 0, 0, 0])
    np.testing.assert_array_equal(slope(arithmetic.clamp, lo, x, hi, at=2), [0, 0, 0, 0, 1])


def test_products_with_zeros_have_the_right_slopes() -> None:
    for x in ([0.0, 3.0, 2.0], [0.0, 0.0, 2.0], [1.0, 2.0, 3.0]):
        for k in range(3):
            wanted = np.prod([v for j, v in enumerate(x) if j != k])
            t = np.eye(3)[k]
            _, (total,) = jvp_flat(lambda v: [lax.reduce_prod(v, (0,))], [np.array(x)], [t])
            _, (running,) = jvp_flat(lambda v: [lax.cumprod(v)], [np.array(x)], [t])
            assert total == running[-1] == wanted


# ---------------------------------------------------------------- moving elements


def test_pad_by_example() -> None:
    x = np.array([1, 2, 3], np.int32)
    np.testing.assert_array_equal(lax.pad(x, 9, [(2, 1, 0)]), [9, 9, 1, 2, 3, 9])
    np.testing.assert_array_equal(lax.pad(x, 9, [(0, 0, 2)]), [1, 9, 9, 2, 9, 9, 3])
    np.testing.assert_array_equal(lax.pad(x, 9, [(-1, 2, 1)]), [9, 2, 9, 3, 9, 9])


def test_gather_by_mode() -> None:
    x = np.arange(5, dtype=np.float32)
    at = np.array([[-1], [1], [4]], np.int32)
    numbers = GatherDimensionNumbers((1,), (), (0,))
    clipped = lax.gather(x, at, numbers, (2,), mode="clip")
    np.testing.assert_array_equal(clipped, [[0, 1], [1, 2], [3, 4]])
    filled = lax.gather(x, at, numbers, (2,))
    np.testing.assert_array_equal(filled, [[nan, nan], [1, 2], [nan, nan]])
    filled = lax.gather(x.astype(np.int32), at, numbers, (2,), fill_value=7)
    np.testing.assert_array_equal(filled, [[7, 7], [1, 2], [7, 7]])


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [(np.int32, -(2**31)), (np.uint8, 255), (np.bool_, True), (np.float64, nan)],
)
def test_what_a_gather_fills_with(dtype: Any, fill: Any) -> None:
    assert indexing.default_fill_value(np.dtype(dtype)) == pytest.approx(fill, nan_ok=True)


def test_the_last_of_several_updates_stays_and_alone_has_a_derivative() -> None:
    x = np.zeros(3)
    at = np.array([[1], [1], [7], [2]], np.int32)
    numbers = ScatterDimensionNumbers((), (0,), (0,))
    updates = np.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(lax.scatter(x, at, updates, numbers), [0, 2, 4])
    np.testing.assert_array_equal(lax.scatter(x, at, updates, numbers, mode="clip"), [0, 2, 4])
    np.testing.assert_array_equal(lax.scatter_add(x, at, updates, numbers), [0, 3, 4])
    np.testing.assert_array_equal(lax.scatter_max(x, at, updates, numbers), [0, 2, 4])


def test_dynamic_slices_are_clamped_and_count_from_the_end() -> None:
    x = np.arange(5, dtype=np.int32)
    np.testing.assert_array_equal(lax.dynamic_slice(x, (4,), (3,)), [2, 3, 4])
    np.testing.assert_array_equal(lax.dynamic_slice(x, (-2,), (2,)), [3, 4])
    start = np.array(-2, np.int64)
    np.testing.assert_array_equal(lax.dynamic_slice(x, (start,), (2,)), [3, 4])
    np.testing.assert_array_equal(lax.dynamic_update_slice(x, x[:2], (9,)), [0, 1, 2, 0, 1])
    np.testing.assert_array_equal(lax.dynamic_index_in_dim(x, 3, keepdims=False), 3)
    np.testing.assert_array_equal(lax.dynamic_update_index_in_dim(x, 9, 1, 0), [0, 9, 2, 3, 4])


def test_bits_of_floats() -> None:
    x = np.array([1.0, -0.0], np.float32)
    np.testing.assert_array_equal(
        lax.bitcast_convert_type(x, np.uint32), np.array([0x3F800000, 0x80000000], np.uint32)
    )
    halves = lax.bitcast_convert_type(x, np.uint16)
    np.testing.assert_array_equal(halves, [[0, 0x3F80], [0, 0x8000]])
    np.testing.assert_array_equal(lax.bitcast_convert_type(halves, np.float32), x)


# ---------------------------------------------------------------- random bits


@pytest.mark.parametrize(
    ("key", "counter", "wanted"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_the_published_vectors(key: Any, counter: Any, wanted: Any) -> None:
    words = [np.asarray(word, np.uint32) for word in (*key, *counter)]
    assert tuple(int(word) for word in threefry2x32(*words)) == wanted


# ---------------------------------------------------------------- nothing where nothing is to do


def test_shaping_that_changes_nothing_adds_no_operation() -> None:
    x = np.ones((2, 3))
    assert shaping.reshape(x, (2, 3)) is x
    assert shaping.transpose(x, (0, 1)) is x
    assert shaping.broadcast_in_dim(x, (2, 3), (0, 1)) is x
    assert slicing.slice(x, (0, 0), (2, 3), (1, 1)) is x
    assert slicing.pad(x, 0.0, [(0, 0, 0)] * 2) is x
    assert lax.reduce_sum(x, ()) is x


# ---------------------------------------------------------------- sorting


def test_sorting_puts_nan_last_and_keeps_equal_elements_in_order() -> None:
    for dtype in (np.float32, np.float64, np.float16, dtypes.bfloat16):
        x = np.array([nan, 0.0, -0.0, inf, -inf, -nan, -0.0], dtype)
        keys, order = lax.sort((x, np.arange(7, dtype=np.int32)))
        np.testing.assert_array_equal(order, [4, 1, 2, 6, 3, 0, 5])
        np.testing.assert_array_equal(np.signbit(keys)[1:4], [False, True, True])
        np.testing.assert_array_equal(np.isnan(lax.sort(x))[-2:], [True, True])


@pytest.mark.parametrize("dtype", [*"?bhilBHILefd", dtypes.bfloat16], ids=str)
@pytest.mark.parametrize(("shape", "axis"), [((1000,), 0), ((30, 40), 0), ((5, 9, 7), 1)])
def test_sorting_of_random_bits_is_stable(dtype: Any, shape: tuple[int, ...], axis: int) -> None:
    dtype, size = np.dtype(dtype), int(np.prod(shape))
    rng = np.random.default_rng(size)
    x = rng.integers(0, 256, size * dtype.itemsize, np.uint8).view(dtype).copy()
    if dtype == np.bool_:
        x = rng.integers(0, 2, size).astype(np.bool_)
    x[::3] = rng.integers(0, 3, x[::3].size).astype(dtype)
    if dtypes.is_floating(dtype):
        x[::7], x[::11] = -0.0, nan
    x = x.reshape(shape)
    with np.errstate(invalid="ignore"):  # signalling NaN
        wide = x.astype(np.float64) if dtypes.is_floating(dtype) else x
    wanted = np.argsort(wide, axis, kind="stable")
    index = np.argsort(np.zeros(shape), axis, kind="stable")
    _, order = lax.sort((x, index), axis)
    np.testing.assert_array_equal(order, wanted)
    alone = np.asarray(lax.sort(x, axis))
    assert alone.dtype == dtype
    with np.errstate(invalid="ignore", divide="ignore"):
        alone = alone.astype(wide.dtype)
        np.testing.assert_array_equal(alone, np.take_along_axis(wide, wanted, axis))
        if dtypes.is_floating(dtype):  # the signs of zeros
            np.testing.assert_array_equal(1 / alone, 1 / np.take_along_axis(wide, wanted, axis))


def test_sorting_by_two_keys_and_complex_numbers() -> None:
    a, b = np.array([1, 0, 1, 0]), np.array([3.0, 2.0, -1.0, 2.0])
    first, second, order = lax.sort((a, b, np.arange(4)), num_keys=2)
    np.testing.assert_array_equal(order, [1, 3, 2, 0])
    np.testing.assert_array_equal(first, [0, 0, 1, 1])
    np.testing.assert_array_equal(second, [2, 2, -1, 3])
    z = np.array([1 + 1j, 1 - 1j, -5 + 9j, nan + 0j])
    np.testing.assert_array_equal(lax.sort(z)[:3], [-5 + 9j, 1 - 1j, 1 + 1j])


def test_top_k_takes_the_first_of_equal_elements() -> None:
    x = np.array([[3, 1, 3, 2], [0, 0, 0, 0]], np.uint8)
    values, indices = lax.top_k(x, 3)
    np.testing.assert_array_equal(values, [[3, 3, 2], [0, 0, 0]])
    np.testing.assert_array_equal(indices, [[0, 2, 3], [0, 1, 2]])
    assert (values.dtype, indices.dtype) == (np.uint8, np.int32)
    values, indices = lax.top_k(x, 1, axis=0)
    np.testing.assert_array_equal(indices, [[0, 0, 0, 0]])
    values, _ = lax.top_k(np.array([1.0, nan, 2.0]), 2)
    np.testing.assert_array_equal(values, [nan, 2.0])
    assert lax.top_k(x, 0)[0].shape == (2, 0)


def test_the_magnitude_of_complex_numbers_has_a_second_derivative() -> None:
    import weft

    def cube(x: Any) -> Any:
        return lax.abs(x) ** 3

    z, d, h = np.asarray(1 + 2j), np.asarray(0.5 - 1j), 1e-6
    gradient = weft.grad(cube)
    second = np.asarray(weft.jvp(gradient, (z,), (d,))[1])
    ahead, behind = (np.asarray(gradient(np.asarray(z + s * d))) for s in (h, -h))
    np.testing.assert_allclose(second, (ahead - behind) / (2 * h), rtol=1e-7)
    assert np.asarray(weft.grad(lax.abs)(np.asarray(0j))) == 0
