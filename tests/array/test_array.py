"""Arrays as Python objects: protocols, conversions, printing, changes in place, errors."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import re
import weakref

import ml_dtypes
import numpy as np
import pytest

import weft
import weft.numpy as wnp


@pytest.fixture(params=["operation by operation", "delayed"], autouse=True)
def mode(request):
    with weft.disable_jit(request.param != "delayed"):
        yield request.param


def test_attributes():
    x = wnp.zeros((3, 4), np.float64)
    assert (x.shape, x.ndim, x.size, x.itemsize, x.nbytes) == ((3, 4), 2, 12, 8, 96)
    assert x.dtype == np.float64
    assert x.device == "cpu"
    assert len(x) == 3
    assert x.T.shape == x.mT.shape == (4, 3)
    assert x.__array_namespace__() is wnp


def test_scalars_convert_to_python():
    x = wnp.asarray(2.5) + 1
    assert (float(x), int(x), bool(x), complex(x)) == (3.5, 3, True, 3.5 + 0j)
    assert x.item() == 3.5
    assert f"{x:.3f}" == "3.500"
    assert [10, 20, 30][wnp.asarray(1) + 1] == 30
    assert math.sqrt(wnp.asarray(4.0)) == 2
    assert round(wnp.asarray(2.567), 1) == pytest.approx(2.6, abs=1e-6)
    assert wnp.asarray([[7]]).item() == 7
    assert wnp.arange(4).item(2) == 2


def test_iteration_and_membership():
    x = wnp.arange(6).reshape(3, 2)
    assert [row.tolist() for row in x] == [[0, 1], [2, 3], [4, 5]]
    assert 5 in x and 9 not in x
    first, *_ = x
    assert first.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda x: bool(x),
            ValueError,
            "the truth value of an array with several elements is ambiguous, here f32[3]: use "
            "x.any(), x.all()",
        ),
        (lambda x: bool(x[:0]), ValueError, "the truth value of an empty array"),
        (lambda x: float(x), TypeError, "converts to a Python float, got f32[3]"),
        (
            lambda x: [0][x[0]],
            TypeError,
            "only an integer array without axes can be a Python index, got f32[]",
        ),
        (lambda x: hash(x), TypeError, "a weft.Array is not hashable, here f32[3]"),
        (lambda x: len(x[0]), TypeError, "len() of an array without axes"),
        (lambda x: iter(x[0]).__next__(), TypeError, "iteration over an array without axes"),
        (lambda x: x.item(), ValueError, "item() needs an array with one element, got f32[3]"),
        (lambda x: x.numpy(), AttributeError, "np.asarray(x) gives a NumPy array"),
        (lambda x: x.backward(), AttributeError, "weft.grad(f) differentiates functions"),
        (lambda x: x.reshap(3), AttributeError, "did you mean x.reshape?"),
        (lambda x: x.__array__(np.int32, copy=False), ValueError, "copy=False forbids"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call(wnp.ones(3))
    assert text in str(caught.value)


# What the printing tests show is JAX's layout.
PRINTED = [
    (lambda: wnp.arange(3.0), "Array([0., 1., 2.], dtype=float32)"),
    (lambda: wnp.asarray(1.0), "Array(1., dtype=float32, weak_type=True)"),
    (lambda: wnp.asarray([True]), "Array([ True], dtype=bool)"),
    (lambda: wnp.zeros((0, 3)), "Array([], shape=(0, 3), dtype=float32)"),
    (lambda: wnp.asarray([1 + 2j]), "Array([1.+2.j], dtype=complex64)"),
    (lambda: wnp.ones(3, wnp.bfloat16), "Array([1, 1, 1], dtype=bfloat16)"),
    (
        lambda: wnp.arange(12.0).reshape(2, 6),
        "Array([[ 0.,  1.,  2.,  3.,  4.,  5.],\n       [ 6.,  7.,  8.,  9., 10., 11.]], "
        "dtype=float32)",
    ),
]


@pytest.mark.parametrize(("make", "text"), PRINTED)
def test_repr(make, text):
    assert repr(make()) == text


def test_str_and_summaries():
    assert str(wnp.arange(3)) == "[0 1 2]"
    assert "..." in repr(wnp.zeros((200, 200)))
    assert f"{wnp.arange(3)}" == "[0 1 2]"


def test_numpy_views_are_read_only_and_keep_the_bytes():
    x = wnp.arange(4.0) * 2
    view = np.asarray(x)
    assert not view.flags.writeable
    assert np.array(x, copy=True).flags.writeable
    del x
    gc.collect()
    assert view.tolist() == [0, 2, 4, 6]
    assert np.asarray(wnp.arange(3), np.float64).dtype == np.float64


def test_pickle_and_copies():
    x = wnp.asarray(2.0) * 3
    for again in (pickle.loads(pickle.dumps(x)), copy.copy(x), copy.deepcopy(x), x.copy()):
        assert again is not x
        assert again.aval is x.aval
        assert float(again) == 6
    assert pickle.loads(pickle.dumps(wnp.ones(2, wnp.bfloat16))).dtype == ml_dtypes.bfloat16


def test_dlpack_gives_and_borrows():
    x = wnp.arange(4.0) + 1
    given = np.from_dlpack(x)
    assert given.tolist() == [1, 2, 3, 4]
    owner = np.arange(4, dtype=np.float32)
    borrowed = wnp.from_dlpack(owner)
    total = borrowed + 0
    owner[0] = 100
    assert total.tolist() == [0, 1, 2, 3]  # done before the owner wrote
    assert borrowed.tolist() == [100, 1, 2, 3]
    assert wnp.from_dlpack(owner, copy=True).tolist() == [100, 1, 2, 3]


def test_methods():
    x = wnp.arange(6.0).reshape(2, 3)
    n = np.arange(6.0).reshape(2, 3)
    for call in (
        lambda x: x.sum(), lambda x: x.mean(0), lambda x: x.var(1), lambda x: x.std(),
        lambda x: x.min(1),
        lambda x: x.max(), lambda x: x.prod(0), lambda x: x.any(), lambda x: x.all(1),
        lambda x: x.argmax(1), lambda x: x.argmin(), lambda x: x.cumsum(0), lambda x: x.cumprod(1),
        lambda x: x.reshape(3, 2), lambda x: x.reshape((6,)), lambda x: x.reshape(-1),
        lambda x: x.transpose(), lambda x: x.transpose(1, 0), lambda x: x.transpose((1, 0)),
        lambda x: x.ravel(), lambda x: x.flatten(), lambda x: x[None].squeeze(0),
        lambda x: x.swapaxes(0, 1), lambda x: x.dot(x.T), lambda x: x.clip(1, 3),
        lambda x: x.round(), lambda x: x.take(np.array([0, 2]), 1), lambda x: x.repeat(2, 0),
        lambda x: x.astype(np.int32), lambda x: x.conj(), lambda x: x.real, lambda x: x.imag,
        lambda x: x.diagonal(), lambda x: x.trace(), lambda x: -x, lambda x: +x,
        lambda x: abs(x - 2),
        lambda x: x @ x.T, lambda x: x // 2, lambda x: x % 2, lambda x: 2 ** x, lambda x: x >= 2,
        lambda x: divmod(x, 2)[1], lambda x: 1 / (x + 1), lambda x: 5 - x, lambda x: 7 // (x + 1),
    ):  # fmt: skip
        np.testing.assert_allclose(np.asarray(call(x)), call(n), rtol=1e-6)


# ---------------------------------------------------------------- changing in place


def test_assignment_rebinds_the_handle():
    x = wnp.zeros(3)
    other, before = x, x + 0
    x[1] = 5.0
    x[0] += 1
    assert x.tolist() == other.tolist() == [1, 5, 0]
    assert before.tolist() == [0, 0, 0]


def test_assignment_does_not_reach_copies_and_pending_work():
    x = wnp.zeros(3)
    duplicate, doubled = x.copy(), x * 2 + 1
    x[:] = 9
    assert duplicate.tolist() == [0, 0, 0]
    assert doubled.tolist() == [1, 1, 1]
    y = x.reshape(3).copy()
    y[0] = 1
    assert x.tolist() == [9, 9, 9]


def test_augmented_operators_make_new_values():
    x = y = wnp.ones(2)
    x += 1
    assert (x.tolist(), y.tolist()) == ([2, 2], [1, 1])


def test_assignment_through_a_basic_index_is_refused():
    x = wnp.zeros((2, 3))
    with pytest.raises(TypeError, match=r"Write x\[0, \.\.\.\] = v as one index"):
        x[0][1] = 5
    with pytest.raises(TypeError, match=r"result of x\[1:, ::2\]"):
        x[1:, ::2][0] = 5
    for row in x:
        with pytest.raises(TypeError, match="would not change"):
            row[0] = 1
    mine = x[0].copy()
    mine[1] = 5
    assert mine.tolist() == [0, 5, 0]
    picked = x[np.array([0, 1])]
    picked[0] = 1  # not a view in NumPy either


def test_assignment_to_a_basic_index_of_what_nobody_holds():
    def rows(x):
        first, second = x + 1  # NumPy's are views of an array that is gone
        first[0] = 5
        return first, second[1:]

    for way in (rows, weft.jit(rows)):
        first, rest = way(wnp.zeros((2, 2)))
        assert (first.tolist(), rest.tolist()) == ([5, 1], [1])
    x = wnp.arange(4.0) * 2
    x = x[1:]
    x[0] = 9
    assert x.tolist() == [9, 4, 6]


def test_traced_values_are_instances_of_array():
    seen = []

    def f(x):
        seen.append((isinstance(x, weft.Array), issubclass(type(x), weft.Array)))
        return (x * 2).sum()

    for transformed in (f, weft.jit(f), weft.grad(f), weft.jit(weft.hessian(f))):
        transformed(wnp.ones(3))
    weft.vmap(f)(wnp.ones((2, 3)))
    assert set(seen) == {(True, True)}
    for other in (1.0, np.ones(3), [wnp.ones(3)], None):
        assert not isinstance(other, weft.Array)
    assert not issubclass(np.ndarray, weft.Array)


VIEWS = {
    "x.T": lambda x: x.T,
    "x.mT": lambda x: x.mT,
    "x.ravel(...)": lambda x: x.ravel(),
    "x.reshape(...)": lambda x: x.reshape(3, 2),
    "x.transpose(...)": lambda x: x.transpose(1, 0),
    "x.swapaxes(...)": lambda x: x.swapaxes(0, 1),
    "x.squeeze(...)": lambda x: x.squeeze(),
    "x.view(...)": lambda x: x.view(np.int32),
    "x.real": lambda x: x.real,
}


@pytest.mark.parametrize("written", VIEWS)
def test_assignment_through_a_view_is_refused_while_the_array_is_held(written):
    view = VIEWS[written]
    x = wnp.arange(6.0).reshape(2, 3)
    y = view(x)
    with pytest.raises(TypeError, match=re.escape(f"the result of {written}, a value of its own")):
        y[0] = 1
    for mine in (y.copy(), view(x + 0), view(x) + 0):
        mine[0] = 1
        assert np.all(np.asarray(mine)[0] == 1)
    del x
    y[0] = 1
    assert np.all(np.asarray(y)[0] == 1)


def test_assignment_to_what_numpy_copies_is_fine():
    x = wnp.arange(6.0).reshape(2, 3)
    for copied in (x.T.ravel(), x.T.reshape(6), x[:, 1].reshape(2), x.flatten()):
        copied[0] = 9
        assert copied.tolist()[0] == 9
    with pytest.raises(TypeError, match=re.escape("x.ravel(...)")):
        x.reshape(3, 2).ravel()[0] = 9
    with pytest.raises(TypeError, match=re.escape("x.T")):
        x[0].T[0] = 9
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_assignment_through_a_view_of_an_argument_is_refused():
    def f(x):
        x.T[0] = 1
        return x

    with pytest.raises(TypeError, match=re.escape("the result of x.T")):
        weft.jit(f)(wnp.ones((2, 2)))


def test_assignment_of_lists_and_arrays():
    x = wnp.zeros((2, 2))
    x[0] = [1, 2]
    x[1, :] = np.array([3, 4])
    assert x.tolist() == [[1, 2], [3, 4]]


def test_arguments_of_traced_functions_are_not_changed_in_place():
    def f(x):
        x[0] = 1.0
        return x

    with weft.disable_jit(False):
        for transformed in (weft.jit(f), weft.vmap(f), weft.grad(lambda x: f(x).sum())):
            with pytest.raises(TypeError, match=r"Write x = x\.at\[\.\.\.\]\.set\(v\)"):
                transformed(np.ones((2, 2), np.float32))


def test_intermediates_of_traced_functions_can_be_changed_in_place():
    def f(x):
        y = x * 2
        y[0] = 7.0
        y[1] += 1
        return y

    with weft.disable_jit(False):
        assert weft.jit(f)(np.ones(3, np.float32)).tolist() == [7, 3, 2]
        assert weft.vmap(f)(np.ones((1, 3), np.float32)).tolist() == [[7, 3, 2]]
        assert weft.grad(lambda x: f(x).sum())(np.ones(3, np.float32)).tolist() == [0, 2, 2]


def test_captured_arrays_are_not_changed_in_place():
    outside = wnp.zeros(3)

    def f(x):
        outside[0] = x
        return x

    with (
        weft.disable_jit(False),
        pytest.raises(TypeError, match="does not depend on the traced arg"),
    ):
        weft.jit(f)(1.0)


def test_traces_keep_the_value_they_captured():
    outside = wnp.ones(2)
    with weft.disable_jit(False):
        f = weft.jit(lambda x: x + outside)
        assert f(np.zeros(2, np.float32)).tolist() == [1, 1]
        outside[0] = 50
        assert f(np.zeros(2, np.float32)).tolist() == [1, 1]


def test_at():
    x = wnp.arange(4.0)
    assert x.at[1].set(9).tolist() == [0, 9, 2, 3]
    assert x.at[1:3].add(1).tolist() == [0, 2, 3, 3]
    assert x.at[1].subtract(1).tolist() == [0, 0, 2, 3]
    assert x.at[::2].multiply(3).tolist() == [0, 1, 6, 3]
    assert x.at[2].divide(4).tolist() == [0, 1, 0.5, 3]
    assert x.at[2:].power(2).tolist() == [0, 1, 4, 9]
    assert x.at[2].min(1).tolist() == [0, 1, 1, 3]
    assert x.at[0].max(1).tolist() == [1, 1, 2, 3]
    assert x.at[1:].apply(lambda v: -v).tolist() == [0, -1, -2, -3]
    assert x.at[np.array([1, 1])].add(1).tolist() == [0, 3, 2, 3]
    assert x.at[2].get() == 2
    assert x.tolist() == [0, 1, 2, 3]


def test_at_says_what_it_has():
    x = wnp.arange(4.0)
    assert repr(x.at[1:, None]) == (
        "<x.at[1:, None] of f32[4]: set, add, subtract, multiply, divide, power, min, max, apply "
        "and get>"
    )
    with pytest.raises(AttributeError, match=r"x\.at\[\.\.\.\] has no 'put'; it has set, add, sub"):
        x.at[0].put(1)
    with pytest.raises(AttributeError, match=r"x\.at has no 'set': index it first, x\.at\["):
        x.at.set(1)
    with pytest.raises(
        TypeError, match=r"x\.at\[index\] = value changes nothing.* write x = x\.at\["
    ):
        x.at[0] = 1
    with pytest.raises(
        TypeError, match=r"x\.at\[index\] \+= value changes nothing.*\.add\(value\)"
    ):
        x.at[0] += 1
    with pytest.raises(TypeError, match=r"in brackets: x\.at\[index\]\.set\(value\)"):
        x.at(0).set(1)


# ---------------------------------------------------------------- deletion


def test_deleted_arrays_name_themselves():
    x = wnp.ones(3) + 1
    kept = x * 2
    x.delete()
    assert x.is_deleted()
    assert kept.tolist() == [4, 4, 4]
    for use in (lambda: x + 1, lambda: np.asarray(x), lambda: x.tolist()):
        with pytest.raises(
            RuntimeError,
            match=r"the array f32\[3\] was deleted by Array.delete\(\), at .*test_array",
        ):
            use()
    assert repr(x) == "<deleted weft.Array f32[3]>"


def test_nothing_keeps_an_array_alive():
    x = wnp.ones(3) + 1
    reference = weakref.ref(x)
    del x
    gc.collect()
    assert reference() is None
