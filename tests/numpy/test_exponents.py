"""`frexp`, `ldexp` and `modf` on every floating-point dtype, bit for bit, and their derivatives."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weft
import weft.numpy as wnp

HALVES = [np.float16, ml_dtypes.bfloat16]
DTYPES = [np.float32, np.float64, *HALVES]


def numbers(dtype):
    """Numbers of every size, subnormal ones and special values."""
    info = ml_dtypes.finfo(dtype)
    tiny, least = float(info.tiny), float(info.smallest_subnormal)
    with np.errstate(over="ignore"):
        few = [0.0, 1.0, 1.5, 2.0, 0.75, 3.14159, 1e4, float(info.max), tiny, 0.3 * tiny, least]
        few += [7 * least, np.inf, np.nan]
        return np.array(few + [-x for x in few], dtype)


def same(a, b):
    a, b = np.asarray(a), np.asarray(b)
    assert a.dtype == b.dtype
    wide = np.float64
    np.testing.assert_array_equal(a.astype(wide), b.astype(wide))
    signs = ~np.isnan(b.astype(wide))
    assert np.all(np.signbit(a.astype(wide)) == np.signbit(b.astype(wide)), where=signs)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
def test_frexp_and_modf_are_numpys(dtype):
    x = numbers(dtype)
    wide = x if x.dtype.itemsize > 2 else x.astype(np.float32)
    mantissa, exponent = wnp.frexp(x)
    expected, number = np.frexp(wide)
    same(mantissa, expected.astype(dtype))
    finite = np.isfinite(wide)
    assert np.array_equal(np.asarray(exponent)[finite], number[finite])
    assert np.all(np.asarray(exponent)[~finite] == 0)
    for ours, theirs in zip(wnp.modf(x), np.modf(wide), strict=True):
        same(ours, theirs.astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
def test_ldexp_rounds_once(dtype):
    x = numbers(dtype)[:, None]
    n = np.array(
        [0, 1, -1, 7, -20, 130, -130, 1000, -1022, -1074, 2000, -2000, 2**31 - 1], np.int32
    )
    wide = x.astype(np.longdouble)
    with np.errstate(over="ignore", under="ignore"):
        expected = np.ldexp(wide, np.clip(n, -5000, 5000)).astype(np.float64)
        if np.dtype(dtype) != np.float64:
            expected = expected.astype(np.float32).astype(dtype)
    same(wnp.ldexp(x, n), expected)


@given(st.floats(width=64, allow_nan=False), st.integers(-2500, 2500))
def test_ldexp_is_numpys_for_any_float64(x, n):
    with np.errstate(over="ignore", under="ignore"):
        same(wnp.ldexp(np.array([x]), np.array([n])), np.ldexp(np.array([x]), n))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_ldexp_takes_exponents_of_any_integer_dtype(dtype):
    far = np.array([3, np.iinfo(dtype).max], dtype)
    with np.errstate(over="ignore"):
        expected = np.float32([1.5 * 8, np.ldexp(np.float32(1.5), min(int(far[1]), 300))])
    same(wnp.ldexp(np.float32([1.5, 1.5]), far), expected)


def test_derivatives():
    x = np.float32([6.0, -0.75, 0.1])
    mantissa = weft.grad(lambda x: wnp.frexp(x)[0].sum())(x)
    same(mantissa, np.exp2(-np.frexp(x)[1]).astype(np.float32))
    same(weft.grad(lambda x: wnp.ldexp(x, np.int32(3)).sum())(x), np.float32([8, 8, 8]))
    same(weft.grad(lambda x: wnp.modf(x)[0].sum())(x), np.float32([1, 1, 1]))
    same(weft.grad(lambda x: wnp.modf(x)[1].sum())(x), np.float32([0, 0, 0]))


def test_integers_become_floats():
    mantissa, exponent = wnp.frexp(np.int32([6]))
    assert (mantissa.dtype, exponent.dtype) == (np.float32, np.int32)
    assert wnp.ldexp(np.int32([3]), 1).tolist() == [6.0]


@pytest.mark.parametrize("name", ["frexp", "modf"])
def test_complex_numbers_are_refused(name):
    with pytest.raises(TypeError, match=rf"weft.numpy.{name}: complex64 has no exponent"):
        getattr(wnp, name)(np.complex64([1]))
    with pytest.raises(TypeError, match=r"weft\.numpy\.ldexp: complex64"):
        wnp.ldexp(np.complex64([1]), 1)


def test_exponents_must_be_integers():
    with pytest.raises(TypeError, match="x2 must be an integer exponent, got float32"):
        wnp.ldexp(np.float32([1]), np.float32([1]))


@pytest.mark.parametrize("name", ["floor", "ceil", "trunc", "fix"])
def test_rounding_complex_numbers_is_refused(name):
    with pytest.raises(TypeError, match=r"complex64 has no order to round by"):
        getattr(wnp, name)(np.complex64([1]))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_running_sums_keep_their_dtype_and_cumulative_ones_widen(dtype):
    x = np.array([100, 100], dtype)
    with np.errstate(over="ignore"):
        same(wnp.cumsum(x), np.cumsum(x, dtype=dtype))
        same(wnp.cumprod(x), np.cumprod(x, dtype=dtype))
    assert wnp.cumulative_sum(x).tolist() == [100, 200]
    assert wnp.cumsum(np.array([True, True])).dtype == np.int32
