"""NumPy's own functions on arrays of Weft: NEP 13 and NEP 18."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.numpy as wnp

X = np.arange(6, dtype=np.float32).reshape(2, 3)
ROW = X[1]

#: Functions that `weft.numpy` has, in NumPy's ways to call them.
CALLS = [
    lambda x: np.add(x, 1),
    lambda x: np.sin(x),
    lambda x: np.true_divide(x, x + 1),
    lambda x: np.divmod(x, 2)[1],
    lambda x: np.maximum(x, [1, 2, 3]),
    lambda x: np.matmul(x, X.T),
    lambda x: np.add.reduce(x),
    lambda x: np.multiply.reduce(x, axis=None),
    lambda x: np.maximum.reduce(x, 1, keepdims=True),
    lambda x: np.logical_and.reduce(x, axis=1),
    lambda x: np.add.accumulate(x),
    lambda x: np.multiply.accumulate(x, axis=1),
    lambda x: np.maximum.accumulate(x),
    lambda x: np.add.reduceat(x[0], [0, 1]),
    lambda x: np.subtract.reduce(x, axis=1),
    lambda x: np.spacing(x),
    lambda x: np.apply_along_axis(np.sum, 1, x),
    lambda x: np.subtract.outer(x, ROW),
    lambda x: np.multiply.outer(ROW, x),
    lambda x: np.concatenate([x, X]),
    lambda x: np.concatenate((x, X), axis=1, dtype=np.float64),
    lambda x: np.mean(x),
    lambda x: np.sum(x, 0, None, None, True),
    lambda x: np.std(x, 0, None, None, 1),
    lambda x: np.var(x, axis=1, ddof=1),
    lambda x: np.clip(x, 1, 4),
    lambda x: np.clip(x, a_min=1, a_max=4),
    lambda x: np.take(x, [2, 0], axis=1),
    lambda x: np.dot(x, [1, 2, 3]),
    lambda x: np.where(x > 2, x, [7, 8, 9]),
    lambda x: np.reshape(x, (3, 2)),
    lambda x: np.pad(x, 1),
    lambda x: np.pad(x, 1, constant_values=3),
    lambda x: np.pad(x, 1, "mean", stat_length=2),
    lambda x: np.einsum("ij,kj->ik", x, X),
    lambda x: np.meshgrid(x[0], ROW)[1],
    lambda x: np.split(x, [1], axis=1)[1],
    lambda x: np.zeros_like(x),
    lambda x: np.full_like(x, 3),
    lambda x: np.zeros(3, np.float32, like=x),
    lambda x: np.percentile(x, [10, 50]),
    lambda x: np.linalg.norm(x, axis=1),
    lambda x: np.sqrt(np.exp(x)) @ ROW,
]


@pytest.mark.parametrize("call", CALLS)
def test_results_are_arrays_of_weft(call) -> None:
    expected = call(X)
    for result in (call(wnp.asarray(X)), weft.jit(call)(X)):
        assert type(result) is weft.Array
        np.testing.assert_allclose(np.asarray(result), expected, rtol=1e-6)


def test_answers_about_types_are_pythons() -> None:
    x = wnp.asarray(X)
    assert (np.shape(x), np.ndim(x), np.size(x), np.size(x, 1)) == ((2, 3), 2, 6, 3)
    assert np.result_type(x, np.float64) == np.float64
    assert np.iscomplexobj(x) is False
    assert np.array_repr(x) == repr(x)


def test_they_are_differentiated_and_batched() -> None:
    slope = weft.grad(lambda x: np.sum(np.sin(x) * ROW))(ROW)
    np.testing.assert_allclose(np.asarray(slope), np.cos(ROW) * ROW, rtol=1e-5)
    assert weft.vmap(np.sum)(X).tolist() == [3, 12]


def test_out_and_where_write_to_arrays_of_numpy() -> None:
    x, target = wnp.asarray(X), np.zeros((2, 3))
    assert np.add(x, 1, out=target) is target
    assert np.multiply(x, 10, out=target, where=x > 3) is target
    np.testing.assert_array_equal(target, [[1, 2, 3], [4, 40, 50]])
    assert np.mean(x, axis=0, out=target[0]).tolist() == [1.5, 2.5, 3.5]
    quotient, remainder = np.divmod(x, 2, out=(None, target))
    assert type(quotient) is weft.Array and remainder is target
    target += x
    assert target.tolist() == (X % 2 + X).tolist()
    with pytest.raises(TypeError, match="same_kind"):
        np.add(x, 0.5, out=np.zeros((2, 3), int))


def test_what_weft_does_not_have_runs_in_numpy() -> None:
    x = wnp.asarray(X)
    for call in (
        lambda x: np.asarray_chkfinite(x),
        lambda x: np.real_if_close(x),
        lambda x: np.emath.sqrt(x - 1),
    ):
        result = call(x)
        assert type(result) is np.ndarray
        np.testing.assert_allclose(result, call(X), rtol=1e-6)
    counts = np.zeros(3)
    np.add.at(counts, wnp.array([0, 2, 2]), wnp.ones(3))
    np.copyto(counts[:1], wnp.asarray(5.0))
    assert counts.tolist() == [5, 0, 2]


REFUSED = [
    (lambda x: np.add(x, 1, out=x), "numpy.add: out cannot be a weft array, which is a value"),
    (lambda x: np.sum(x, out=x), "write x = weft.numpy.sum(...)"),
    (lambda x: np.add.at(x, [0], 1), "write x = x.at[index].add(values)"),
    (lambda x: np.fill_diagonal(x, 1), "numpy.fill_diagonal cannot change a weft array"),
    (lambda x: np.copyto(x, X), "write x = x.at[index].set(values)"),
    (lambda x: np.sin(x, where=X > 1), "use weft.numpy.where(mask, weft.numpy.sin(...), other)"),
    (lambda x: np.add(x, 1, dtype=np.float64), "numpy.add of weft arrays does not take dtype"),
    (
        lambda x: np.concatenate([x, x], casting="no"),
        "weft.numpy.concatenate, which has no argument 'casting'",
    ),
    (lambda x: np.add(x, None), "weft.numpy.add: argument 1 must be an array or a number"),
]


@pytest.mark.parametrize(("call", "text"), REFUSED)
def test_what_is_refused(call, text) -> None:
    for function in (call, weft.jit(call)):
        with pytest.raises(TypeError) as caught:
            function(wnp.asarray(X))
        assert text in str(caught.value)


def test_traced_values_have_no_view() -> None:
    with pytest.raises(TypeError, match=r"numpy\.real_if_close of a traced value of type f32") as e:
        weft.jit(lambda matrix: np.real_if_close(matrix))(X)
    assert "It is the argument matrix. Use weft.numpy in place of numpy" in str(e.value)
    with pytest.raises(TypeError, match=r"numpy\.add with out= of a traced value"):
        weft.jit(lambda x: np.add(x, 1, out=np.zeros((2, 3))))(X)
    with pytest.raises(TypeError, match=r"numpy\.real_if_close of a value .* being differentiated"):
        weft.grad(lambda x: wnp.sum(np.real_if_close(x)))(X)


class Foreign:
    """An array of another library, which answers NumPy itself."""

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        return "foreign"

    def __array_function__(self, function, types, args, kwargs):
        return "foreign"


def test_other_libraries_may_take_over() -> None:
    x = wnp.ones(3)
    assert np.add(x, Foreign()) == "foreign"
    assert np.concatenate([x, Foreign()]) == "foreign"
    with pytest.raises(TypeError, match="no implementation found"):
        np.concatenate([x, np.ma.array([1.0])])


def test_ufuncs_of_others_with_names_of_numpys_are_theirs() -> None:
    special = pytest.importorskip("scipy.special")
    assert type(special.log1p(wnp.ones(3))) is np.ndarray


@pytest.mark.parametrize(
    "name",
    [
        "abs",
        "around",
        "array_split",
        "ceil",
        "clip",
        "concatenate",
        "conj",
        "copy",
        "diff",
        "fix",
        "flip",
        "floor",
        "full_like",
        "imag",
        "isinf",
        "isnan",
        "isposinf",
        "iscomplex",
        "nan_to_num",
        "positive",
        "real",
        "reshape",
        "round",
        "signbit",
        "split",
        "squeeze",
        "trunc",
    ],
)
def test_functions_with_nothing_to_do_give_arrays_of_weft(name):
    function = getattr(wnp, name)
    more = {"full_like": (2.5,), "split": (1,), "array_split": (1,), "reshape": (-1,)}.get(name, ())
    for x in (np.ones(1, np.float32), np.arange(3), np.array([True])):
        result = function([x] if name == "concatenate" else x, *more)
        for part in result if isinstance(result, list | tuple) else [result]:
            assert type(part) is weft.Array
    assert type(wnp.full((), 2.5)) is weft.Array
    assert type(wnp.linalg.det(np.eye(2, dtype=np.float32))) is weft.Array


def test_a_float64_of_numpy_keeps_its_digits_and_adapts():
    third = np.float64(1) / 3
    x = wnp.asarray(third)
    assert (x.dtype, x.weak_type, float(x)) == (np.float64, True, third)
    assert wnp.asarray(np.complex128(third * 1j)).item() == third * 1j
    assert (x * wnp.ones(2, np.float32)).dtype == np.float32
    assert (x * wnp.ones(2)).dtype == np.float32
    assert (x * 3).dtype == np.float64
    assert wnp.asarray(1 / 3).dtype == np.float32


def test_operands_that_are_no_numbers_are_left_to_numpy():
    x, nothing = np.broadcast_arrays(wnp.ones(2), None)
    assert type(x) is np.ndarray and nothing.tolist() == [None, None]
    a, b = np.broadcast_arrays(wnp.ones((2, 1)), [1, 2, 3])
    assert type(a) is type(b) is weft.Array and b.shape == (2, 3)


def test_sliding_windows():
    windows = np.lib.stride_tricks.sliding_window_view
    x = np.arange(24.0).reshape(2, 3, 4)
    for args in (((1, 2, 2),), (2, 1), ((2, 2), (2, 2)), ((0,), (1,)), (3, -1)):
        found = windows(wnp.asarray(x), *args)
        assert type(found) is weft.Array
        np.testing.assert_array_equal(found, windows(x, *args))
    for args, text in (
        ((5, 1), "window of length 5 does not fit axis 1, which has 3 elements"),
        (((1, 2), 1), r"window_shape \(1, 2\) needs one length for each of the axes \(1,\)"),
        (((1, 1, 1), None, True), "nobody can write through them"),
    ):
        with pytest.raises(ValueError, match=text):
            wnp.lib.stride_tricks.sliding_window_view(x, *args[:2], writeable=len(args) > 2)


def test_atleast_gives_libraries_the_arrays_of_numpy_that_they_hand_on_to_c():
    for function in (np.atleast_1d, np.atleast_2d, np.atleast_3d):
        assert type(function(wnp.arange(3))) is np.ndarray
    assert [type(a) for a in np.atleast_1d(wnp.ones(2), 3.0)] == [np.ndarray, np.ndarray]
    assert weft.jit(np.atleast_2d)(wnp.arange(3)).shape == (1, 3)


@pytest.mark.parametrize("method", ["L-BFGS-B", "SLSQP"])
def test_gradients_for_the_optimizers_of_scipy(method):
    optimize = pytest.importorskip("scipy.optimize")
    f = weft.jit(lambda x: ((x - 1) ** 2 * wnp.arange(1.0, 5.0)).sum())
    found = optimize.minimize(f, np.zeros(4), jac=weft.jit(weft.grad(f)), method=method)
    np.testing.assert_allclose(found.x, np.ones(4), atol=1e-4)


@pytest.mark.parametrize(("value", "kind"), [(2**31, "int32"), (300, "uint8"), (-1, "uint64")])
def test_integers_of_python_have_to_fit(value, kind):
    for given in ([value], [[0], [value]], value):
        with pytest.raises(OverflowError, match=f"{value} does not fit .*{kind}"):
            wnp.array(given, kind)
        with pytest.raises(OverflowError):
            np.array(given, kind)
    assert wnp.array(np.array([value]), kind).tolist() == np.array([value]).astype(kind).tolist()
