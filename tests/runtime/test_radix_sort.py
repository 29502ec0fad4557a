"""The native radix sort against NumPy, by itself and behind `lax.sort`."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from weft import lax
from weft.runtime import radix_sort

DTYPES = tuple(map(np.dtype, ("f4", "f8", "i4", "u4", "i8", "u8")))
SIZES = (radix_sort.WORTH, radix_sort.WORTH + 3, 100_003)


def numbers(dtype: np.dtype, size: int) -> np.ndarray:
    """Numbers over the whole range, infinities and both kinds of NaN among the floats."""
    rng = np.random.default_rng(size)
    if dtype.kind == "f":
        x = (rng.standard_normal(size) * 10.0 ** rng.integers(-30, 30, size)).astype(dtype)
        x[[5, 7, 8, 9]] = np.nan, -np.nan, np.inf, -np.inf
        return x
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, size, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", SIZES)
def test_keys_and_orders(dtype: np.dtype, size: int) -> None:
    assert radix_sort.sorts(dtype, size)
    x = numbers(dtype, size)
    out = np.empty_like(x)
    assert radix_sort.sort_keys(x, out)
    np.testing.assert_array_equal(out, np.sort(x))
    with np.errstate(invalid="ignore"):  # remainders of infinities
        few = (np.round(x / 300) % 7 if dtype.kind == "f" else x % dtype.type(7)).astype(dtype)
    few[::50] = 0
    if dtype.kind == "f":
        few[25::50] = -0.0
        assert not radix_sort.sort_keys(few, out)
    for keys in (x, few):
        order = np.empty(size, np.int32)
        radix_sort.sort_order(keys, order)
        np.testing.assert_array_equal(order, np.argsort(keys, kind="stable"))


def test_what_is_not_for_it() -> None:
    assert not radix_sort.sorts(np.dtype(np.float32), 100)
    assert not radix_sort.sorts(np.dtype(np.float16), 1 << 20)
    assert not radix_sort.sorts(np.dtype(np.complex64), 1 << 20)


def test_sorting_of_long_vectors() -> None:
    x = numbers(np.dtype(np.float32), 20_000)
    x[::100], x[50::100] = 0.0, -0.0
    index = np.arange(x.size, dtype=np.int32)
    kept = x.copy()
    values, order = weft.jit(lambda x, i: lax.sort((x, i)))(x, index)
    expected = np.argsort(x, kind="stable")
    np.testing.assert_array_equal(order, expected)
    np.testing.assert_array_equal(np.signbit(values), np.signbit(x[expected]))
    alone = np.asarray(weft.jit(lax.sort)(x))
    np.testing.assert_array_equal(alone, x[expected])
    zeros = alone == 0
    np.testing.assert_array_equal(np.signbit(alone[zeros]), np.signbit(x[expected][zeros]))
    np.testing.assert_array_equal(x, kept)
    column = weft.jit(lambda x: wnp.sort(x, axis=0))(x[:, None])
    np.testing.assert_array_equal(column[:, 0], x[expected])


def test_the_gradient_is_the_permutation() -> None:
    x = np.random.default_rng(0).standard_normal(9000)
    weights = np.arange(9000.0)
    slope = weft.jit(weft.grad(lambda x: wnp.sum(wnp.sort(x) * weights)))(x)
    np.testing.assert_array_equal(np.asarray(slope)[np.argsort(x)], weights)
