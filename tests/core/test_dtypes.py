"""Promotion, weak types and avals."""

from __future__ import annotations

import copy
import itertools
import pickle

import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from weft.core import ShapedArray, aval_of, canonical_dtype, dtypes, promote_types, result_type

DTYPES = list(dtypes.SHORT_NAMES)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("int8", "uint8", "int16"),
        ("int32", "uint32", "int64"),
        ("int64", "uint64", "float32"),
        ("int64", "float16", "float16"),
        ("int32", "float32", "float32"),
        ("bfloat16", "float16", "float32"),
        ("float64", "complex64", "complex128"),
        ("bool", "uint8", "uint8"),
    ],
)
def test_promotion_follows_the_lattice(a, b, expected):
    dtype = ml_dtypes.bfloat16 if a == "bfloat16" else a
    assert promote_types(dtype, b) == np.dtype(expected)


def test_promotion_is_commutative_and_idempotent():
    for a, b in itertools.product(DTYPES, repeat=2):
        assert promote_types(a, b) == promote_types(b, a)
        assert promote_types(a, promote_types(a, b)) == promote_types(a, b)
        assert promote_types(a, a) == a


@given(st.lists(st.sampled_from(DTYPES), min_size=3, max_size=3))
def test_promotion_is_associative(three):
    a, b, c = three
    # int64 with uint64 is a float of no particular width, which only n-ary promotion can keep.
    assume(not {"int64", "uint64"} <= {dtype.name for dtype in three})
    assert promote_types(promote_types(a, b), c) == promote_types(a, promote_types(b, c))


@pytest.mark.parametrize(
    ("args", "dtype", "weak"),
    [
        ((1,), "int32", True),
        ((2.0,), "float32", True),
        ((1, 2.5), "float32", True),
        ((True, 1), "int32", True),
        ((np.float16(1), 2.0), "float16", False),
        ((np.int8(1), 300), "int8", False),
        ((np.float64(1), np.float32(1)), "float32", False),
        ((np.zeros(2, np.float64), 1.0), "float64", False),
        ((np.int32(1), 2**40), "int64", False),
        ((2**40,), "int64", True),
        ((2**63,), "uint64", True),
        ((np.zeros(2, np.float32), 2**40), "float32", False),
        ((np.zeros(2, np.int32), 1.5), "float32", True),
    ],
)
def test_scalars_are_weak(args, dtype, weak):
    assert result_type(*args) == (np.dtype(dtype), weak)


def test_integers_of_more_than_64_bits_are_refused():
    with pytest.raises(OverflowError, match="does not fit in 64 bits"):
        aval_of(2**64)


def test_unknown_dtypes_are_refused():
    with pytest.raises(TypeError, match="dtype object is not supported; Weft has bool"):
        canonical_dtype(object)
    with pytest.raises(TypeError, match=r"'nonsense' is not a dtype$"):
        canonical_dtype("nonsense")
    with pytest.raises(TypeError, match=r"'flaot32' is not a dtype; did you mean 'float32'\?"):
        canonical_dtype("flaot32")


def test_python_types_mean_the_defaults():
    assert canonical_dtype(float) == np.float32
    assert canonical_dtype(int) == np.int32
    assert canonical_dtype(">f4") is dtypes.float32


def test_avals_are_interned():
    a = ShapedArray((3, 4), np.float32)
    assert ShapedArray([3, np.int64(4)], "float32") is a
    assert a.update(weak_type=True).strip_weak_type() is a
    assert a.update(shape=(4,)) is ShapedArray((4,), np.float32)
    assert pickle.loads(pickle.dumps(a)) is a
    assert copy.deepcopy(a) is a
    assert (a.ndim, a.size, a.nbytes, str(a)) == (2, 12, 48, "f32[3,4]")


def test_bad_shapes_are_refused():
    with pytest.raises(TypeError, match=r"a shape is a tuple of integers, got \(3\.0,\)"):
        ShapedArray((3.0,), np.float32)
    with pytest.raises(ValueError, match=r"no negative dimensions, got \(-1,\)"):
        ShapedArray((-1,), np.float32)


def test_things_that_are_not_arrays_have_no_aval():
    with pytest.raises(TypeError, match="'a' of type str is not an array or a number"):
        aval_of("a")
