"""`weft.numpy` as a namespace of the Array API standard, 2025.12: every function takes the calls
that the standard describes, and gives for every dtype what NumPy, such a namespace too, gives.
"""

from __future__ import annotations

import ast
import inspect

import numpy as np
import pytest

import weft
import weft.numpy as wnp

#: The standard's signatures, and the functions that have them.
SIGNATURES = {
    "x, /": """
        abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor
        imag isfinite isinf isnan log log10 log1p log2 logical_not matrix_transpose negative
        nonzero positive real reciprocal round sign signbit sin sinh sqrt square tan tanh trunc
        unique_all unique_counts unique_inverse unique_values finfo iinfo linalg.det linalg.eig
        linalg.eigh linalg.eigvals linalg.eigvalsh linalg.inv linalg.matrix_transpose
        linalg.slogdet linalg.svdvals""",
    "x1, x2, /": """add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift
        bitwise_xor can_cast copysign divide equal floor_divide greater greater_equal hypot less
        less_equal logaddexp logical_and logical_or logical_xor matmul maximum minimum multiply
        nextafter not_equal pow remainder subtract linalg.matmul linalg.outer linalg.solve
        linalg.matrix_power tile""",
    "x, /, *, axis=None, keepdims=False": "all any argmax argmin count_nonzero max mean min",
    "shape, *, dtype=None, device=None": "empty ones zeros",
    "x, /, *, dtype=None, device=None": "empty_like ones_like zeros_like",
    "x, /, *, k=0": "tril triu",
    "arrays, /, *, axis=0": "concat stack",
    "x, /, axis": "expand_dims squeeze",
    "x, /, *, axis=-1, descending=False, stable=True": "argsort sort",
    "x, /, *, axis=None, dtype=None, include_initial=False": "cumulative_prod cumulative_sum",
    "x, /, *, axis=None, dtype=None, keepdims=False": "prod sum",
    "x, /, *, axis=None, correction=0.0, keepdims=False": "std var",
    "start, /, stop=None, step=1, *, dtype=None, device=None": "arange",
    "obj, /, *, dtype=None, device=None, copy=None": "asarray",
    "n_rows, n_cols=None, /, *, k=0, dtype=None, device=None": "eye",
    "x, /, *, device=None, copy=None": "from_dlpack",
    "shape, fill_value, *, dtype=None, device=None": "full",
    "x, /, fill_value, *, dtype=None, device=None": "full_like",
    "start, stop, /, num, *, dtype=None, device=None, endpoint=True": "linspace",
    "*arrays, indexing='xy'": "meshgrid",
    "x, dtype, /, *, copy=True, device=None": "astype",
    "dtype, kind": "isdtype",
    "*arrays": "result_type broadcast_arrays broadcast_shapes",
    "x, /, min=None, max=None": "clip",
    "x, indices, /, *, axis=None": "take",
    "x, indices, /, *, axis=-1": "take_along_axis",
    "x1, x2, /, *, axes=2": "tensordot linalg.tensordot",
    "x1, x2, /, *, axis=-1": "vecdot linalg.vecdot linalg.cross",
    "x, /, shape": "broadcast_to",
    "x, /, *, axis=None": "flip",
    "x, source, destination, /": "moveaxis",
    "x, /, axes": "permute_dims",
    "x, repeats, /, *, axis=None": "repeat",
    "x, /, shape, *, copy=None": "reshape",
    "x, /, shift, *, axis=None": "roll",
    "x, /, *, axis=0": "unstack",
    "x1, x2, /, *, side='left', sorter=None": "searchsorted",
    "condition, x1, x2, /": "where",
    "x1, x2, /, *, invert=False": "isin",
    "x, /, *, axis=-1, n=1, prepend=None, append=None": "diff",
    "x, /, *, n=None, axis=-1, norm='backward'": """fft.fft fft.hfft fft.ifft fft.ihfft fft.irfft
        fft.rfft""",
    "x, /, *, s=None, axes=None, norm='backward'": "fft.fftn fft.ifftn fft.irfftn fft.rfftn",
    "n, /, *, d=1.0, dtype=None, device=None": "fft.fftfreq fft.rfftfreq",
    "x, /, *, axes=None": "fft.fftshift fft.ifftshift",
    "x, /, *, rtol=None": "linalg.matrix_rank linalg.pinv",
    "x, /, *, upper=False": "linalg.cholesky",
    "x, /, *, offset=0": "linalg.diagonal",
    "x, /, *, keepdims=False, ord='fro'": "linalg.matrix_norm",
    "x, /, *, mode='reduced'": "linalg.qr",
    "x, /, *, full_matrices=True": "linalg.svd",
    "x, /, *, offset=0, dtype=None": "linalg.trace",
    "x, /, *, axis=None, keepdims=False, ord=2": "linalg.vector_norm",
}


def function_of(namespace, name):
    for part in name.split("."):
        namespace = getattr(namespace, part)
    return namespace


@pytest.mark.parametrize("text", SIGNATURES)
def test_calls_of_the_standard(text):
    arguments = ast.parse(f"lambda {text}: 0", mode="eval").body.args
    count = len(arguments.posonlyargs) + (3 if arguments.vararg else 0)
    named = [a.arg for a in arguments.args + arguments.kwonlyargs]
    given = dict.fromkeys(named)
    positional = [None] * (
        len(arguments.posonlyargs + arguments.args) + (3 if arguments.vararg else 0)
    )
    for name in SIGNATURES[text].split():
        signature = inspect.signature(function_of(wnp, name))
        signature.bind(*[None] * count, **given)
        by_name = {a.arg: None for a in arguments.kwonlyargs}
        signature.bind(*positional, **by_name)


# ---------------------------------------------------------------- what they give

BOOL = ["bool"]
SIGNED = ["int8", "int16", "int32", "int64"]
INTEGERS = [*SIGNED, "uint8", "uint16", "uint32", "uint64"]
REAL = ["float32", "float64"]
FLOATING = [*REAL, "complex64", "complex128"]
NUMERIC = INTEGERS + FLOATING
ALL = BOOL + NUMERIC
VALUES = {"b": [True, False, True], "i": [-3, 1, 5], "u": [4, 1, 7], "f": [-2.5, 0.5, 3.0]}

#: Elementwise functions by the dtypes that the standard has them for.
UNARY = {
    "isfinite isinf isnan positive negative abs square sign": NUMERIC,
    "acos acosh asin asinh atan atanh cos cosh exp expm1 log log10 log1p log2": FLOATING,
    "reciprocal sin sinh sqrt tan tanh": FLOATING,
    "conj imag real": FLOATING[2:],
    "bitwise_invert": BOOL + INTEGERS,
    "ceil floor trunc": INTEGERS + REAL,
    "round": NUMERIC,
    "signbit": REAL,
    "logical_not": BOOL,
}
BINARY = {
    "add subtract multiply": NUMERIC,
    "equal not_equal": ALL,
    "pow divide": FLOATING,
    "atan2 copysign hypot logaddexp nextafter": REAL,
    "bitwise_and bitwise_or bitwise_xor": BOOL + INTEGERS,
    "bitwise_left_shift bitwise_right_shift": INTEGERS[4:],
    "less less_equal greater greater_equal maximum minimum floor_divide remainder": INTEGERS + REAL,
    "logical_and logical_or logical_xor": BOOL,
}
#: Other functions of an array with two rows.
OTHERS = {
    "max min argmax argmin sort argsort cumulative_sum": INTEGERS + REAL,
    "sum prod": NUMERIC,
    "mean": FLOATING,
    "std var": REAL,
    "all any count_nonzero flip unstack": ALL,
    "diff": NUMERIC,
}


def cases(table):
    return [
        (n, d) for names, ds in table.items() for n in names.split() for d in ds if n != "real_"
    ]


def sample(dtype):
    kind = np.dtype(dtype).kind
    values = VALUES.get(kind, [1 + 2j, -0.5j, 3.0])
    return np.array(values).astype(dtype)


def assert_as_numpy(call, *operands):
    with np.errstate(all="ignore"), weft.disable_jit():
        wanted, found = call(np, *operands), call(wnp, *map(wnp.asarray, operands))
    several = isinstance(wanted, tuple | list)
    for a, w in zip(found if several else [found], wanted if several else [wanted], strict=True):
        assert a.shape == w.shape
        # Sums, counts and indices have the default dtype of integers, which is 32 bits wide.
        defaults = (w.dtype, np.dtype(f"{w.dtype.kind}4")) if w.dtype.kind in "iu" else (w.dtype,)
        assert a.dtype in defaults
        np.testing.assert_allclose(a, w, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "dtype"), cases(UNARY))
def test_functions_of_one_array(name, dtype):
    assert_as_numpy(lambda xp, x: getattr(xp, name)(x), sample(dtype))


@pytest.mark.parametrize(("name", "dtype"), cases(BINARY))
def test_functions_of_two_arrays(name, dtype):
    x = sample(dtype)
    assert_as_numpy(lambda xp, x, y: getattr(xp, name)(x, y), x, x[::-1].copy())
    number = {"b": True, "c": 2.0, "f": 2.0}.get(x.dtype.kind, 2)
    assert_as_numpy(lambda xp, x: getattr(xp, name)(x, number), x)


@pytest.mark.parametrize(("name", "dtype"), cases(OTHERS))
def test_functions_along_axes(name, dtype):
    x = np.stack([sample(dtype), sample(dtype)[::-1]])
    for axis in (0, -1):
        assert_as_numpy(lambda xp, x, a=axis: getattr(xp, name)(x, axis=a), x)


@pytest.mark.parametrize("dtype", ALL)
def test_functions_of_any_dtype(dtype):
    def call(xp, x, y):
        real = xp.isdtype(x.dtype, ("bool", "integral", "real floating"))
        yield from (xp.tril(x), xp.triu(x, k=1), xp.matrix_transpose(x), xp.permute_dims(x, (1, 0)))
        yield from (xp.expand_dims(x, axis=1), xp.squeeze(x[:1], axis=0), xp.roll(x, 1))
        yield from (xp.repeat(x, 2, axis=1), xp.tile(x, (2, 1)), xp.moveaxis(x, 0, 1))
        yield from (xp.concat([x, x], axis=None), xp.stack([y, y]), xp.broadcast_to(x, (4, 2, 3)))
        yield from (xp.take(x, xp.asarray([0, -1]), axis=1), xp.isin(x, y[:1]))
        yield from (xp.take_along_axis(x, xp.asarray([[0], [2]])), xp.where(x == y, x, y[0]))
        yield from (xp.ones_like(x), xp.full_like(x, 1), xp.zeros((2,), dtype=x.dtype))
        yield from (
            xp.eye(2, 3, k=1, dtype=x.dtype),
            xp.astype(x, xp.complex128),
            xp.reshape(x, (-1,)),
        )
        yield from xp.nonzero(x)
        if real:
            yield from (xp.searchsorted(xp.sort(y), y, side="right"), xp.clip(x, y, y))
        if xp.isdtype(x.dtype, "numeric"):
            yield from (xp.matmul(x, y), xp.tensordot(y, y, axes=1), xp.vecdot(x, y))
            yield from (xp.arange(0, 5, 2, dtype=x.dtype), *xp.meshgrid(y, y, indexing="ij"))
            yield xp.linspace(0, 3, 5, dtype=x.dtype, endpoint=False)
        yield from (xp.unique_counts(x)[1], xp.unique_inverse(y)[1])

    x = np.stack([sample(dtype), sample(dtype)[::-1]])
    assert_as_numpy(lambda xp, x, y: list(call(xp, x, y)), x, x[0])


#: Dtypes among which the standard has promotion (uint64 has none with signed integers).
FAMILIES = (BOOL, SIGNED, INTEGERS[4:], [*SIGNED, *INTEGERS[4:-1]], FLOATING)


@pytest.mark.parametrize("dtype", ALL)
def test_promotion_and_kinds(dtype):
    for family in FAMILIES:
        for other in family if dtype in family else ():
            wanted = np.result_type(np.dtype(dtype), np.dtype(other))
            assert wnp.result_type(getattr(wnp, dtype), getattr(wnp, other)) == wanted
            assert wnp.can_cast(np.dtype(dtype), wanted)
    own = wnp.zeros(1, dtype).dtype
    assert [wnp.isdtype(own, k) for k in KINDS] == [np.isdtype(np.dtype(dtype), k) for k in KINDS]


KINDS = ("bool", "signed integer", "unsigned integer", "integral", "real floating")
KINDS += ("complex floating", "numeric")


@pytest.mark.parametrize("dtype", FLOATING)
def test_linear_algebra_and_transforms(dtype):
    def call(xp, x):
        for name in ("det", "inv", "pinv", "cholesky", "svdvals", "eigvalsh", "matrix_norm"):
            yield getattr(xp.linalg, name)(x)
        yield from (xp.linalg.vector_norm(x, axis=1), xp.linalg.trace(x), xp.linalg.diagonal(x))
        yield from (xp.linalg.matrix_power(x, 3), xp.linalg.solve(x, x[0]), xp.linalg.slogdet(x)[1])
        for name in ("fft", "ifft", "fftn", "ifftn", "irfft", "hfft", "fftshift", "ifftshift"):
            yield getattr(xp.fft, name)(x)
        if xp.isdtype(x.dtype, "real floating"):
            yield from (xp.fft.rfft(x), xp.fft.rfftn(x), xp.fft.ihfft(x))

    x = np.array([[2, 1], [1, 3]]).astype(dtype)
    assert_as_numpy(lambda xp, x: list(call(xp, x)), x)
    for name in ("eigh", "qr", "slogdet", "svd"):
        mine, theirs = getattr(wnp.linalg, name)(wnp.asarray(x)), getattr(np.linalg, name)(x)
        assert mine._fields == theirs._fields


# ---------------------------------------------------------------- special values

SPECIAL = np.array([0.0, -0.0, 1, -1, 2, -2, 0.5, -0.5, 3, np.inf, -np.inf, np.nan, 1e300, -1e300])
PARTS = [0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan]
UNARY_REAL = """abs acos acosh asin asinh atan atanh ceil cos cosh exp expm1 floor log log10 log1p
    log2 negative positive reciprocal round sign sin sinh sqrt square tan tanh trunc"""
BINARY_REAL = """add atan2 copysign divide floor_divide hypot logaddexp maximum minimum multiply
    nextafter pow remainder subtract"""
UNARY_COMPLEX = """abs acos acosh asin asinh atan atanh cos cosh exp expm1 log log1p sin sinh sqrt
    square tan tanh"""


def assert_special(name, *operands):
    """Equal to NumPy's, infinities, NaNs and the signs of zeros included."""
    with np.errstate(all="ignore"), weft.disable_jit():
        wanted, found = getattr(np, name)(*operands), np.asarray(getattr(wnp, name)(*operands))
        if name == "floor_divide":  # where the standard differs from NumPy
            wanted = np.where(np.isinf(operands).any(0), np.divide(*operands), wanted)
    if np.iscomplexobj(wanted):
        for part in (np.real, np.imag):
            np.testing.assert_allclose(part(found), part(wanted), rtol=1e-9, atol=1e-15)
        return
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    zero = wanted == 0
    np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(wanted[zero]))


@pytest.mark.parametrize("name", UNARY_REAL.split())
def test_special_values_of_one(name):
    assert_special(name, SPECIAL)


@pytest.mark.parametrize("name", BINARY_REAL.split())
def test_special_values_of_two(name):
    a, b = (x.ravel() for x in np.meshgrid(SPECIAL, SPECIAL))
    assert_special(name, a, b)


@pytest.mark.parametrize("name", UNARY_COMPLEX.split())
def test_special_values_of_complex_numbers(name):
    assert_special(name, np.array([complex(x, y) for x in PARTS for y in PARTS]))
