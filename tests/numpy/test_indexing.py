"""Indexing against NumPy: random indices, updates, and the texts of errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft.array.value import from_numpy
from weft.compile import compiled

SHAPES = st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple)


@st.composite
def slices(draw, size):
    bound = st.none() | st.integers(-size - 2, size + 2)
    step = draw(st.none() | st.integers(-3, 3).filter(bool))
    return slice(draw(bound), draw(bound), step)


@st.composite
def index_of(draw, shape, advanced=True):
    """A random index of an array of that shape, valid for NumPy.

    Integer arrays broadcast to a common shape; a mask is the only array of its index.
    """
    batch = draw(st.lists(st.integers(1, 3), max_size=2))
    entries, axis, arrays, masked = [], 0, 0, False
    while axis < len(shape):
        size = shape[axis]
        kinds = ["slice", "slice", "none", "stop"] + (["int"] if size else [])
        if advanced and not masked:
            kinds += ["array", "scalar array"] if size else []
            kinds += [] if arrays else ["mask"]
        kind = draw(st.sampled_from(kinds))
        position = st.integers(-size, size - 1)
        if kind == "stop":
            break
        if kind == "none":
            entries.append(None)
            continue
        if kind == "slice":
            entries.append(draw(slices(size)))
        elif kind == "int":
            entries.append(draw(position))
        elif kind == "scalar array":
            entries.append(np.asarray(draw(position), np.int32))
        elif kind == "array":
            own = batch[draw(st.integers(0, len(batch))) :]
            count = int(np.prod(own))
            values = draw(st.lists(position, min_size=count, max_size=count))
            entries.append(np.asarray(values, np.int32).reshape(own))
        else:
            entries.append(
                np.asarray(draw(st.lists(st.booleans(), min_size=size, max_size=size)), bool)
            )
            masked = True
        arrays += "array" in kind
        axis += 1
    if draw(st.booleans()):
        entries.append(Ellipsis)
    return tuple(entries)


@st.composite
def cases(draw, advanced=True):
    shape = draw(SHAPES)
    index = draw(index_of(shape, advanced))
    return shape, index


def sample(shape):
    return np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape) + 1


def numpy_reads(x, index):
    try:
        return x[index]
    except IndexError:
        return None


@given(cases())
@settings(max_examples=300)
def test_reads_as_numpy_does(case):
    shape, index = case
    x = sample(shape)
    expected = numpy_reads(x, index)
    if expected is None:
        return
    with weft.disable_jit():
        result = wnp.asarray(x)[index]
    assert result.shape == expected.shape
    np.testing.assert_array_equal(np.asarray(result), expected)


@given(cases())
@settings(max_examples=150)
def test_dynamic_indices_read_as_static_ones(case):
    shape, index = case
    x = sample(shape)
    expected = numpy_reads(x, index)
    if expected is None:
        return
    dynamic = tuple(
        wnp.asarray(e) if isinstance(e, np.ndarray) and e.dtype != bool else e for e in index
    )
    with weft.disable_jit():
        result = wnp.asarray(x)[dynamic]
    assert result.shape == expected.shape
    np.testing.assert_array_equal(np.asarray(result), expected)


@given(cases(), st.sampled_from(["set", "add", "multiply", "min", "max"]), st.booleans())
@settings(max_examples=300)
def test_updates_as_numpy_does(case, kind, scalar):
    shape, index = case
    x = sample(shape)
    read = numpy_reads(x, index)
    if read is None:
        return
    values = np.float32(3) if scalar else np.arange(read.size, dtype=np.float32).reshape(read.shape)
    expected = x.copy()
    if kind == "set":
        expected[index] = values
    else:
        ufunc = {"add": np.add, "multiply": np.multiply, "min": np.minimum, "max": np.maximum}[kind]
        ufunc.at(expected, index, values)
    with weft.disable_jit():
        result = getattr(wnp.asarray(x).at[index], kind)(values)
    np.testing.assert_array_equal(np.asarray(result), expected)


@given(cases(advanced=False), st.sampled_from(["f4", "i8", "?", "c8", "i1"]), st.booleans())
@settings(max_examples=200)
def test_small_parts_of_arrays_with_values_are_read_without_a_program(case, dtype, weak):
    shape, index = case
    x = sample(shape).astype(dtype)
    expected = numpy_reads(x, index)
    if expected is None:
        return
    whole = from_numpy(x, weak_type=weak)
    before = compiled.count
    part = whole[index]
    np.testing.assert_array_equal(np.asarray(part), expected)
    assert compiled.count == before
    with weft.disable_jit():
        assert part.aval is whole[index].aval


def pending(x, weak, how):
    """An array of the values of x that has yet to be computed."""
    whole = from_numpy(x, weak_type=weak)
    if how == "written" and x.size:
        place = (0,) * x.ndim
        return whole.at[place].set(x[place])
    return wnp.where(True, whole, whole)


@given(
    cases(advanced=False),
    st.sampled_from(["f4", "i8", "?", "c8"]),
    st.booleans(),
    st.sampled_from(["written", "made"]),
)
@settings(max_examples=60)
def test_pending_arrays_are_read_alike_at_indices_that_vary(case, dtype, weak, how):
    shape, index = case
    x = sample(shape).astype(dtype)
    expected = numpy_reads(x, index)
    if expected is None:
        return
    with weft.disable_jit():
        aval = pending(x, weak, how)[index].aval
    for place, whole in [(..., x), (index, expected)]:
        part = pending(x, weak, how)[place]
        np.testing.assert_array_equal(np.asarray(part), whole)
    assert part.aval is aval


def test_indices_that_vary_are_checked():
    x = wnp.zeros(4)

    def read(i):
        x[0] = 1
        return float(x[i])

    assert [read(i) for i in (0, -4, 3)] == [1, 1, 0]
    for i in (4, -5):
        with pytest.raises(IndexError, match=f"index {i} is out of bounds for axis 0 with size 4"):
            read(i)


def test_reads_inside_transformations_are_operations():
    x = wnp.arange(4.0).block_until_ready()
    assert "slice" in str(weft.make_jaxpr(lambda: x[1])())
    assert float(weft.grad(lambda x: x[1] * x[2])(x)[2]) == 1
    keys = weft.random.split(weft.random.key(1), 4).block_until_ready()
    for part in (keys[1], keys[1:3], keys[::2]):
        assert part.dtype == keys.dtype
    assert (weft.random.key_data(keys[::2]) == weft.random.key_data(keys)[::2]).all()


@given(cases())
@settings(max_examples=15)
def test_compiled_reads_and_writes_agree_with_numpy(case):
    shape, index = case
    x = sample(shape)
    read = numpy_reads(x, index)
    if read is None:
        return
    expected = x.copy()
    expected[index] = 7
    result = weft.jit(lambda a: (a[index], a.at[index].set(7)))(x)
    np.testing.assert_array_equal(np.asarray(result[0]), read)
    np.testing.assert_array_equal(np.asarray(result[1]), expected)


def test_dynamic_indices_out_of_bounds_follow_jax():
    with weft.disable_jit():
        x = wnp.arange(5.0)
        far = wnp.asarray([7, -9])
        assert x[far].tolist() == [4, 0]  # reads clip
        assert x.at[far].set(9.0).tolist() == [0, 1, 2, 3, 4]  # writes drop
        assert x.at[far].set(9.0, mode="clip").tolist() == [9, 1, 2, 3, 9]
        assert np.isnan(np.asarray(x.at[far].get(mode="fill"))).all()
        assert x.at[far].get(mode="fill", fill_value=5).tolist() == [5, 5]
        assert x[wnp.asarray(9)] == 4


def test_take_and_take_along_axis():
    x = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    with weft.disable_jit():
        np.testing.assert_array_equal(wnp.take(x, np.array([2, 0]), 1), np.take(x, [2, 0], 1))
        np.testing.assert_array_equal(wnp.take(x, np.array([[5]])), np.take(x, [[5]]))
        wrapped = wnp.take(x, wnp.asarray([5, -1]), 0, mode="wrap")
        np.testing.assert_array_equal(wrapped, np.take(x, [5, -1], 0, mode="wrap"))
        assert np.isnan(np.asarray(wnp.take(x, wnp.asarray([5]), 0))).all()
        order = np.argsort(-x, 1)
        expected = np.take_along_axis(x, order, 1)
        np.testing.assert_array_equal(wnp.take_along_axis(x, order, 1), expected)
        row = np.array([[1, 0, 2, 1]])
        expected = np.take_along_axis(x, row, 0)
        np.testing.assert_array_equal(wnp.take_along_axis(x, row, 0), expected)


@pytest.mark.parametrize(
    ("index", "error", "text"),
    [
        (5, IndexError, "index 5 is out of bounds for axis 0 with size 3"),
        ((0, -5), IndexError, "index -5 is out of bounds for axis 1 with size 4"),
        (np.array([0, 3]), IndexError, "index 3 is out of bounds for axis 0 with size 3"),
        ((0, 0, 0), IndexError, "too many indices for an array of shape (3, 4): 3 given, it has 2"),
        ((..., ...), IndexError, "only have one ellipsis"),
        (1.5, TypeError, "cannot be indexed with 1.5 (float); indices are integers: int("),
        (np.float32(1.5), TypeError, "cannot be indexed with 1.5 (float32); indices are integers"),
        (np.array(1.5), TypeError, "cannot be indexed with an array of dtype float64; convert"),
        ("a", TypeError, "cannot be indexed with 'a' (str)"),
        (np.ones(4, bool), IndexError, "mask of shape (4,) does not match axis 0 of size 3"),
        (slice(None, None, 0), ValueError, "slice step cannot be 0"),
        (slice(1.5), TypeError, "slice bounds are integers or None"),
    ],
)
def test_errors_of_indices(index, error, text):
    x = wnp.zeros((3, 4))
    with pytest.raises(error) as caught:
        x[index]
    assert text in str(caught.value)


def test_traced_masks_and_bounds_say_what_to_do():
    with pytest.raises(TypeError, match=r"where\(mask, x, y\)"):
        weft.jit(lambda x: x[x > 0])(np.ones(3, np.float32))
    with pytest.raises(TypeError, match="dynamic_slice"):
        weft.jit(lambda x, n: x[:n])(np.ones(3, np.float32), 2)


def test_update_errors():
    x = wnp.zeros((3, 4))
    with pytest.raises(ValueError, match=r"values of shape \(3,\) do not fit the shape \(4,\)"):
        x.at[0].set(np.ones(3))
    with pytest.raises(TypeError, match=r"at\[\.\.\.\]\.set: argument 0 must be an array"):
        x.at[0].set("a")
    with pytest.raises(TypeError, match=r"unknown arguments \['made_up'\]"):
        x.at[0].set(1, made_up=True)
