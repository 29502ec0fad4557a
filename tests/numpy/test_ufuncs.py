"""Elementwise functions against NumPy: values, dtypes, broadcasting, promotion, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp

FLOATS = [np.float32, np.float64]
INTEGERS = [np.int32, np.int64, np.uint32, np.int8, np.uint8]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-30, 1e30, np.inf, -np.inf, np.nan, 3.0]

ANY_UNARY = [
    "negative",
    "positive",
    "absolute",
    "sign",
    "square",
    "floor",
    "ceil",
    "trunc",
    "rint",
    "isnan",
    "isinf",
    "isfinite",
]
FLOAT_UNARY = [
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sqrt",
    "cbrt",
    "sin",
    "cos",
    "tan",
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "arcsinh",
    "arccosh",
    "arctanh",
    "reciprocal",
    "deg2rad",
    "rad2deg",
    "sinc",
    "fabs",
    "signbit",
]
BINARY = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "floor_divide",
    "remainder",
    "maximum",
    "minimum",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "fmax",
    "fmin",
    "logical_and",
    "logical_or",
    "logical_xor",
]
FLOAT_BINARY = [
    "arctan2",
    "hypot",
    "logaddexp",
    "logaddexp2",
    "copysign",
    "heaviside",
    "fmod",
    "nextafter",
]
INTEGER_BINARY = ["bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift", "power"]


def check(result, expected, rtol=2e-6, atol=1e-7):
    """Equal values; the dtype is checked by the caller where it is NumPy's."""
    np.testing.assert_allclose(np.asarray(result), expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ANY_UNARY + FLOAT_UNARY)
def test_unary_floats(name, dtype):
    x = np.array(
        SPECIAL if name in ANY_UNARY else [*SPECIAL[:7], 0.3, 0.9, 2.0, np.inf, np.nan], dtype
    )
    with weft.disable_jit(), np.errstate(all="ignore"):
        result = getattr(wnp, name)(x)
        expected = getattr(np, name)(x)
    assert result.dtype == expected.dtype
    check(result, expected)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("name", [n for n in ANY_UNARY if n != "rint"] + ["invert"])
def test_unary_integers(name, dtype):
    x = np.array([0, 1, 5, 100, -3 if np.iinfo(dtype).min else 3], dtype)
    with weft.disable_jit(), np.errstate(all="ignore"):
        result = getattr(wnp, name)(x)
        expected = getattr(np, name)(x)
    assert result.dtype == expected.dtype
    check(result, expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BINARY + FLOAT_BINARY)
def test_binary_floats(name, dtype):
    values = np.array(SPECIAL, dtype)
    x, y = values[:, None], values[None, :]
    with weft.disable_jit(), np.errstate(all="ignore"):
        result = getattr(wnp, name)(x, y)
        expected = getattr(np, name)(x, y)
    assert result.dtype == expected.dtype
    if name == "floor_divide":  # infinities: Python's quotient is rounded after the remainder
        keep = np.isfinite(x) & np.isfinite(y)
        result, expected = np.asarray(result)[keep], expected[keep]
    check(result, expected)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("name", BINARY + INTEGER_BINARY)
def test_binary_integers(name, dtype):
    signed = np.iinfo(dtype).min < 0
    x = np.array([0, 1, 7, 100, -8 if signed else 8, -1 if signed else 9], dtype)[:, None]
    y = np.array([1, 2, 3, 5, -3 if signed else 4], dtype)
    if name in ("left_shift", "right_shift", "power"):
        y = np.abs(y)
    with weft.disable_jit(), np.errstate(all="ignore"):
        result = getattr(wnp, name)(x, y)
        expected = getattr(np, name)(x, y)
    if name != "divide":
        assert result.dtype == expected.dtype
    check(result, expected, rtol=1e-6)


@given(
    st.lists(st.sampled_from([1, 2, 3]), max_size=3),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.integers(0, 3),
)
@settings(max_examples=60)
def test_broadcasting(shape, ones, drop):
    other = tuple(1 if flag else n for n, flag in zip(shape, ones, strict=False))[drop:]
    x = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    y = np.arange(int(np.prod(other)), dtype=np.float32).reshape(other) + 1
    with weft.disable_jit():
        np.testing.assert_array_equal(np.asarray(wnp.add(x, y)), x + y)
        np.testing.assert_array_equal(np.asarray(wnp.asarray(y) * x), y * x)


@pytest.mark.parametrize(
    ("left", "right", "dtype"),
    [
        (np.float32(1), 2.5, np.float32),
        (np.zeros(1, np.float16), 2.5, np.float16),
        (np.zeros(1, np.int32), 2.5, np.float32),
        (np.zeros(1, np.int32), 2, np.int32),
        (np.zeros(1, np.uint8), 2, np.uint8),
        (np.zeros(1, np.int64), np.float32(1), np.float32),
        (np.zeros(1, np.float64), np.zeros(1, np.float32), np.float64),
        (np.zeros(1, np.float32), np.float64(1), np.float32),
        (np.zeros(1, np.int32), 2**40, np.int64),
        (np.zeros(1, np.float32), 1j, np.complex64),
        (np.zeros(1, bool), 1, np.int32),
        (True, 1, np.int32),
        (1, 2.0, np.float32),
    ],
)
def test_promotion_of_operators(left, right, dtype):
    with weft.disable_jit():
        assert (wnp.asarray(left) + right).dtype == dtype
        assert (right + wnp.asarray(left)).dtype == dtype
        assert wnp.add(left, right).dtype == dtype


def test_python_scalars_stay_weak():
    with weft.disable_jit():
        assert (wnp.asarray(1.0) * 2).weak_type
        assert not (wnp.float32(1.0) * 2).weak_type
        assert (wnp.asarray(2.0) + np.zeros(2, np.float16)).dtype == np.float16


def test_numpy_operands_give_way():
    with weft.disable_jit():
        x = wnp.ones(3)
        for result in (np.ones(3, np.float32) + x, np.float32(2) * x, x - np.ones(3, np.float32)):
            assert isinstance(result, weft.Array)
        assert isinstance(np.asarray(x), np.ndarray)


def test_power_of_static_exponents():
    with weft.disable_jit():
        x = np.array([1, -2, 3], np.int32)
        assert (wnp.asarray(x) ** 3).tolist() == [1, -8, 27]
        assert (2 ** wnp.arange(4)).tolist() == [1, 2, 4, 8]
        check(wnp.asarray(x, np.float32) ** -2, (1.0 * x) ** -2)
        check(wnp.power(2.0, x), np.power(2.0, x))
        with pytest.raises(ValueError, match="integers to the negative power -1"):
            wnp.asarray(x) ** -1


def test_rounding_to_decimals():
    x = np.array([0.125, 2.5, -1.45, 123.456], np.float32)
    with weft.disable_jit():
        for decimals in (0, 1, 2, -1):
            check(wnp.round(x, decimals), np.round(x, decimals), rtol=1e-5)
        assert wnp.round(np.array([15, 25, 14]), -1).tolist() == [20, 20, 10]


def test_complex_parts():
    z = np.array([1 + 2j, -3j, 0], np.complex64)
    with weft.disable_jit():
        for name in ("real", "imag", "conjugate", "absolute", "angle", "square", "isfinite"):
            check(getattr(wnp, name)(z), getattr(np, name)(z))
        check(wnp.exp(z), np.exp(z))


def test_where_select_clip():
    x = np.array([-2.0, -0.5, 0.5, 2.0, np.nan], np.float32)
    with weft.disable_jit():
        check(wnp.where(x > 0, x, -1), np.where(x > 0, x, np.float32(-1)))
        assert wnp.where(np.array([True]), np.int32(1), 2.5).dtype == np.float32
        check(wnp.clip(x, -1, 1), np.clip(x, -1, 1))
        check(wnp.clip(x, max=0), np.clip(x, None, 0))
        conditions, choices = [x > 1, x > 0], [x, 2 * x]
        check(wnp.select(conditions, choices, -1), np.select(conditions, choices, -1))
        check(
            wnp.nan_to_num(np.array([np.nan, np.inf, -np.inf, 1], np.float32), posinf=9),
            [0, 9, np.finfo(np.float32).min, 1],
        )
        assert wnp.where(x > 0)[0].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: wnp.add([1, 2], 3),
            TypeError,
            "weft.numpy.add: argument 0 must be an array or a number, got list; make an array of "
            "it with weft.numpy.asarray(...)",
        ),
        (
            lambda: wnp.add(1, None),
            TypeError,
            "argument 1 must be an array or a number, got NoneType; did a function return nothing?",
        ),
        (
            lambda: wnp.ones(3) + wnp.ones(4),
            ValueError,
            "weft.numpy.add: shapes (3,), (4,) do not broadcast",
        ),
        (
            lambda: wnp.subtract(True, False),
            TypeError,
            "weft.numpy.subtract: booleans are not numbers; use weft.numpy.logical_xor",
        ),
        (lambda: -wnp.asarray(True), TypeError, "use weft.numpy.logical_not (~x)"),
        (
            lambda: wnp.ones(3) & 1,
            TypeError,
            "weft.numpy.bitwise_and: argument 0 must be integer or boolean, got f32[3]",
        ),
        (
            lambda: wnp.zeros(2, np.uint8) + 300,
            OverflowError,
            "weft.numpy.add: the integer 300 does not fit uint8 (0 to 255)",
        ),
        (lambda: wnp.ones(2) + [1, 2], TypeError, "an operand is a list"),
        (lambda: wnp.ones(2) + "a", TypeError, "unsupported operand"),
        (lambda: wnp.where(True, 1), ValueError, "give both x and y, or neither"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


def test_compiled_chain_agrees():
    x = np.linspace(-3, 3, 37, dtype=np.float32)

    def chain(x):
        y = wnp.tanh(x) * 2 - wnp.maximum(x, 0.5) / 3
        return wnp.where(x > 0, wnp.exp(-(y**2)), abs(y)) + x // 2 + x % 1.5

    with weft.disable_jit():
        expected = np.asarray(chain(x))
    check(weft.jit(chain)(x), expected, rtol=1e-5, atol=1e-6)
    check(chain(wnp.asarray(x)), expected, rtol=1e-5, atol=1e-6)


def test_out_and_where_are_none():
    x = wnp.ones(2)
    assert wnp.add(x, 1, out=None, where=None).tolist() == [2, 2]
    for function in (wnp.maximum, wnp.bitwise_or, wnp.logical_or, wnp.subtract, wnp.logaddexp):
        with pytest.raises(TypeError, match=f"{function.__name__}: out must be None"):
            function(True, True, out=np.zeros(()))
        with pytest.raises(
            TypeError, match=f"where must be None.*where.mask, .*{function.__name__}"
        ):
            function(True, True, where=True)


def test_axes_out_of_bounds_are_index_errors_too():
    for kind in (IndexError, ValueError, np.exceptions.AxisError):
        with pytest.raises(kind, match="expand_dims: axis 3 is out of bounds for an array with 2"):
            wnp.expand_dims(wnp.ones(2), 3)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_remainders_of_integers_by_zero_are_zero(dtype):
    x, y = np.array([7, 0, 5], dtype), np.array([0, 0, 3], dtype)
    for name in ("remainder", "fmod"):
        for f in (getattr(wnp, name), weft.jit(getattr(wnp, name))):
            assert f(x, y).tolist() == [0, 0, 2]
        assert getattr(wnp, name)(x, 0).tolist() == [0, 0, 0]
    assert wnp.divmod(x, y)[1].tolist() == [0, 0, 2]


def test_remainders_of_multiples_have_the_slope_of_their_neighbours():
    x = np.array([1.0, 2.0, 0.0, -2.0, 2.0, -3.0, 2.5], np.float32)
    y = np.array([1.0, 1.0, 1.0, 1.0, -1.0, -1.5, 1.0], np.float32)
    for f in (wnp.remainder, lambda a, b: wnp.divmod(a, b)[1]):
        for wrap in (lambda g: g, weft.jit):
            slopes = weft.grad(lambda a, b, f=f, wrap=wrap: wrap(f)(a, b).sum(), (0, 1))(x, y)
            assert slopes[0].tolist() == [1] * 7
            assert slopes[1].tolist() == (-np.floor(x / y)).tolist()


@pytest.mark.parametrize("wrap", [lambda f: f, weft.jit])
def test_functions_of_numbers_stay_weak(wrap):
    """What is computed of a Python number takes the dtype of the array that it meets."""
    small, half = np.ones(2, np.int8), np.ones(2, np.float16)
    for f in (abs, np.sign, lambda v: v // 2, lambda v: v % 2, lambda v: divmod(v, 2)[1]):
        assert wrap(lambda v, f=f: f(v) * small)(wnp.asarray(7)).dtype == np.int8
        assert wrap(lambda v, f=f: f(v) * half)(wnp.asarray(2.5)).dtype == np.float16
    for f in (weft.nn.relu, wnp.reciprocal, wnp.fabs, lambda v: wnp.hypot(v, v)):
        assert wrap(lambda v, f=f: f(v) * half)(wnp.asarray(2.5)).dtype == np.float16
    assert not wrap(lambda v: v == v)(wnp.asarray(7)).weak_type
