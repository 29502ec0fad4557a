"""Arrays among Python's protocols: conversions, copies, pickles, buffers, formats, bit views."""

from __future__ import annotations

import copy
import math
import operator
import pickle

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import weft
import weft.numpy as wnp
from weft.core import dtypes

EVERY = tuple(dtypes.SHORT_NAMES)


@st.composite
def data(draw, max_dims=3):
    """NumPy data of any dtype of Weft, zero-sized ones included."""
    dtype = draw(st.sampled_from(EVERY))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=max_dims, min_side=0, max_side=4))
    size = math.prod(shape) * dtype.itemsize
    raw = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), np.uint8)
    raw = raw % 2 if dtype == np.bool_ else raw
    return raw.view(dtype).reshape(shape) if size else np.zeros(shape, dtype)


def same(x, expected):
    x = np.asarray(x)
    assert (x.shape, x.dtype) == (expected.shape, expected.dtype)
    assert x.tobytes() == expected.tobytes()


# ---------------------------------------------------------------- bytes


@settings(max_examples=60)
@given(data())
def test_every_way_out_and_back_keeps_the_bits(n):
    x = wnp.asarray(n)
    same(x, n)
    assert bytes(x) == x.tobytes() == n.tobytes()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(x, protocol))
        assert again.aval is x.aval
        same(again, n)
    for again in (copy.copy(x), copy.deepcopy(x), x.copy(), copy.deepcopy([x])[0]):
        assert again is not x and again.aval is x.aval
        same(again, n)
    assert str(x) == str(n)


def test_asarray_views_and_array_copies():
    x = wnp.arange(3.0) + 1
    view = np.asarray(x)
    assert view.ctypes.data == np.asarray(x, copy=False).ctypes.data
    assert not view.flags.writeable
    mine = np.array(x)
    mine[0] = 9
    assert x.tolist() == [1, 2, 3]
    assert np.asarray(x, np.float64).dtype == np.float64
    assert np.asarray(x, copy=True).flags.writeable
    assert np.array([x, x]).shape == (2, 3)
    with pytest.raises(ValueError, match=r"a weft array f32\[3\] as float64 needs a copy"):
        x.__array__(np.float64, copy=False)
    # Where arrays have the buffer protocol, NumPy reads that and says it in its own words.
    with pytest.raises(ValueError, match=r"needs a copy|Unable to avoid copy"):
        np.asarray(x, np.float64, copy=False)


def test_pickles_go_out_of_band():
    x = wnp.arange(1000.0)
    buffers: list[pickle.PickleBuffer] = []
    stream = pickle.dumps(x, 5, buffer_callback=buffers.append)
    assert len(stream) < 500 and len(buffers) == 1
    assert buffers[0].raw().nbytes == 4000
    shared = bytearray(buffers[0].raw())
    again = pickle.loads(stream, buffers=[shared])
    shared[:] = bytes(4000)  # an array is a value, whoever owns the memory it came in
    assert again.tolist() == x.tolist()


def test_copies_do_not_see_assignments():
    x = wnp.zeros(2)
    copies = [copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))]
    x[0] = 1
    assert [c.tolist() for c in copies] == [[0, 0]] * 3


def test_the_buffer_protocol():
    x = wnp.arange(6, dtype=np.int16).reshape(2, 3)
    memory = x.__buffer__(0)  # what memoryview(x) asks for, from Python 3.12 on
    assert (memory.readonly, memory.format, memory.shape) == (True, "h", (2, 3))
    assert memory.tolist() == x.tolist()
    with pytest.raises(BufferError, match=r"a weft array is read-only, here i16\[2,3\]"):
        x.__buffer__(1)
    with pytest.raises(BufferError, match="bfloat16 has no format"):
        wnp.ones(2, wnp.bfloat16).__buffer__(0)


# ---------------------------------------------------------------- numbers


@settings(max_examples=60)
@given(data(max_dims=0))
def test_numbers_convert_as_numpys_do(n):
    x = wnp.asarray(n)
    assert repr(x.item()) == repr(n.item()) == repr(x.tolist())
    assert bool(x) == bool(n)
    assert repr(complex(x)) == repr(complex(n.item()))
    if n.dtype.kind != "c":
        assert repr(float(x)) == repr(float(n.item()))
        if math.isfinite(float(x)):
            assert int(x) == int(n.item())
            for rounded in (math.floor, math.ceil, math.trunc):
                assert rounded(x) == rounded(n.item())
    assert format(x) == str(x)
    spec = "" if n.dtype == np.bool_ else ".3f" if n.dtype.kind not in "iu" else "+06d"
    assert format(x, spec) == format(n[()], spec)


def test_integers_are_indices():
    x = wnp.asarray(2, np.uint8)
    assert operator.index(x) == 2
    assert "abc"[x] == "c"
    assert list(range(x)) == [0, 1]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: float(wnp.ones(1)), TypeError, "converts to a Python float, got f32[1]; index it"),
        (lambda: int(wnp.asarray(1j)), TypeError, "a complex number does not convert to a Python"),
        (lambda: operator.index(wnp.ones((), bool)), TypeError, "only an integer array without ax"),
        (lambda: operator.index(wnp.arange(1)), TypeError, "index, got i32[1]"),
        (lambda: f"{wnp.ones(2):.2f}", TypeError, "the format '.2f' is for one number, and this"),
        (lambda: {wnp.ones(2): 1}, TypeError, "a weft.Array is not hashable, here f32[2]"),
        (lambda: wnp.ones(2).put(0, 1), AttributeError, "x.at[i].set(v) changes elements"),
        (lambda: wnp.ones(2).strides, AttributeError, "arrays have no memory order"),
        (lambda: wnp.ones(2).astype(int, casting="safe"), TypeError, "with casting='safe'"),
        (
            lambda: wnp.ones(2).__array_namespace__(api_version="1066.10"),
            ValueError,
            "weft.numpy is no namespace of version '1066.10' of the Array API standard",
        ),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


def test_namespaces():
    for x in (wnp.ones(2), wnp.ones(2) + 1):
        assert x.__array_namespace__(api_version="2025.12") is wnp
    assert weft.jit(lambda x: x.__array_namespace__().sum(x))(wnp.ones(2)) == 2


# ---------------------------------------------------------------- containers


def test_iteration():
    x = wnp.asarray([3.0, 1.0, 2.0])
    assert [type(item) for item in x] == [weft.Array] * 3
    assert [float(item) for item in x] == [3, 1, 2]
    assert [float(item) for item in reversed(x)] == [2, 1, 3]
    assert sorted(x, key=float)[0] == 1
    assert (max(x), min(x), sum(x)) == (3, 1, 6)
    assert dict(zip("abc", x, strict=True))["b"] == 1
    assert [row.shape for row in wnp.ones((2, 0, 3))] == [(0, 3)] * 2
    assert 2 in x and 2.5 not in x and wnp.asarray(3) in x


def test_operators_take_either_side():
    x, n = wnp.asarray([[1, 2], [3, 4]]), np.asarray([[1, 2], [3, 4]], np.int32)
    for call in (
        lambda a, b: a @ b, lambda a, b: a + b, lambda a, b: divmod(a, b)[0],
        lambda a, b: a ** b, lambda a, b: a << b, lambda a, b: a & b, lambda a, b: a >= b,
        lambda a, b: a % b, lambda a, b: a // b, lambda a, b: a ^ b, lambda a, b: a != b,
    ):  # fmt: skip
        for result in (call(x, x), call(x, n), call(n, x)):
            assert type(result) is weft.Array
            np.testing.assert_array_equal(np.asarray(result), call(n, n))


def test_in_place_operators_make_new_values():
    for update in ("+=", "-=", "*=", "/=", "//=", "%=", "**=", "@="):
        x = wnp.asarray([[2.0, 1.0], [1.0, 3.0]])
        before, names = x, {"x": x}
        exec(f"x {update} x", {}, names)
        assert type(names["x"]) is weft.Array and names["x"] is not before
        assert before.tolist() == [[2, 1], [1, 3]]


def test_comparison_with_what_is_no_array():
    x = wnp.ones(2)
    assert (x == None, x != None, x == "a") == (False, True, False)  # noqa: E711
    with pytest.raises(TypeError, match=r"unsupported operand type\(s\) for \+: 'Array' and 'str'"):
        x + "a"


# ---------------------------------------------------------------- views of bits


@settings(max_examples=80)
@given(data(), st.sampled_from(EVERY))
def test_view_is_numpys(n, dtype):
    x = wnp.asarray(n)
    try:
        expected = n.view(dtype)
    except ValueError:
        with pytest.raises(ValueError, match=r"view of .* the last axis|without axes"):
            x.view(dtype)
        return
    if dtype == np.bool_:
        expected = expected.view(np.uint8) != 0
    with weft.disable_jit():
        same(x.view(dtype), expected)


def test_view_is_traced_and_batched():
    x = wnp.asarray([1.0, -2.0])
    expected = np.asarray([1, -2], np.float32).view(np.uint8)
    same(weft.jit(lambda x: x.view(np.uint8))(x), expected)
    same(weft.vmap(lambda x: x.view(np.int16))(x[:, None]), expected.view(np.int16).reshape(2, 2))
    assert x.view() is not x and x.view().tolist() == [1, -2]
    assert x.view(ml_dtypes.bfloat16).shape == (4,)
