"""`x.at[...]`: indices that repeat or are out of bounds, and functions applied in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft import lax

X = np.arange(1.0, 7.0, dtype=np.float32)
TWICE = np.array([0, 0, 2, -1])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-6, 5), min_size=1, max_size=6), st.booleans())
def test_a_function_is_applied_once_for_each_time_an_element_is_named(
    index: list[int], traced: bool
) -> None:
    at = np.array(index, np.int32)
    expected = X.copy()
    for i in index:
        expected[i] = 2 * expected[i] + 1

    def apply(x: Any, at: Any) -> Any:
        return x.at[at].apply(lambda v: 2 * v + 1)

    with weft.disable_jit():
        x = wnp.asarray(X)
        out = weft.jit(apply)(x, at) if traced else apply(x, at)
    np.testing.assert_array_equal(out, expected)


def test_apply_of_slices_rows_and_unique_indices() -> None:
    with weft.disable_jit():
        x = wnp.asarray(X.reshape(3, 2))
        np.testing.assert_array_equal(x.at[1:].apply(wnp.negative)[:, 0], [1, -3, -5])
        np.testing.assert_array_equal(x.at[np.array([0, 0])].apply(wnp.square)[0], [1, 16])
        once = x.at[np.array([0, 0])].apply(wnp.square, unique_indices=True)
        np.testing.assert_array_equal(once[0], [1, 4])
        rows = weft.vmap(lambda r, i: r.at[i].apply(wnp.negative))(x, np.array([0, 1, 0]))
    np.testing.assert_array_equal(rows, [[-1, 2], [3, -4], [-5, 6]])


def test_gradients_of_apply() -> None:
    def total(x: Any) -> Any:
        return wnp.sum(x.at[TWICE].apply(wnp.sin))

    with weft.disable_jit():
        slope = weft.grad(total)(X)
    expected = np.ones(6)
    expected[0] = np.cos(np.sin(X[0])) * np.cos(X[0])
    expected[[2, 5]] = np.cos(X[[2, 5]])
    np.testing.assert_allclose(slope, expected, rtol=1e-5)


def test_factors_and_exponents_of_repeated_indices_multiply() -> None:
    v = np.array([2.0, 3.0, 4.0, 0.5], np.float32)
    with weft.disable_jit():
        x = wnp.asarray(X)
        quotient, power = x.at[TWICE].divide(v), x.at[TWICE].power(v)
        cubes = wnp.asarray(np.array([2, 3])).at[0].power(3)
    np.testing.assert_allclose(quotient, X / [6, 1, 4, 1, 1, 0.5], rtol=1e-6)
    np.testing.assert_allclose(power, X ** np.array([6, 1, 4, 1, 1, 0.5]), rtol=1e-5)
    np.testing.assert_array_equal(cubes, [8, 3])


@pytest.mark.parametrize("traced", [False, True])
def test_a_mode_says_what_is_done_out_of_bounds(traced: bool) -> None:
    at = np.array([7, -7, 1], np.int32)

    def program(x: Any, at: Any) -> Any:
        return (
            x.at[at].add(10.0, mode="drop"),
            x.at[at].add(10.0, mode="clip"),
            x.at[at].get(mode="fill", fill_value=-1.0),
            x.at[at].get(mode="clip"),
            x.at[at].apply(wnp.negative, mode="clip"),
        )

    with weft.disable_jit():
        x = wnp.asarray(X)
        outs = (weft.jit(program) if traced else program)(x, at)
    wanted = (
        [1, 12, 3, 4, 5, 6],
        [11, 12, 3, 4, 5, 16],
        [-1, -1, 2],
        [6, 1, 2],
        [-1, -2, 3, 4, 5, -6],
    )
    for out, expected in zip(outs, wanted, strict=True):
        np.testing.assert_array_equal(out, expected)


def test_static_indices_out_of_bounds_are_errors_without_a_mode() -> None:
    with pytest.raises(IndexError, match="index 7 is out of bounds for axis 0 with size 6"):
        wnp.asarray(X).at[np.array([7])].apply(wnp.sin)


def test_scatter_sub() -> None:
    numbers = lax.ScatterDimensionNumbers((), (0,), (0,))
    with weft.disable_jit():
        out = lax.scatter_sub(X, TWICE[:3, None], 1.0 * np.ones(3, np.float32), numbers)
    np.testing.assert_array_equal(out, [-1, 2, 2, 4, 5, 6])


def test_all_of_an_array_is_assigned_from_numpy() -> None:
    """The result was NumPy's own array, which could not take the place of x."""

    def assigned(x: Any) -> Any:
        y = x * 2
        y[:] = X
        return y

    x = wnp.ones(6)
    assert type(x.at[:].set(X)) is weft.Array
    np.testing.assert_array_equal(assigned(x), X)
    np.testing.assert_array_equal(weft.jit(assigned)(x), X)
    np.testing.assert_array_equal(weft.grad(lambda x: assigned(x).sum())(x), np.zeros(6))
    scalar = wnp.array(5.0)
    scalar[()] = 3.0
    assert float(scalar) == 3.0


GRID = X.reshape(2, 3)
MASKED = {
    "set": lambda x: x.at[x > 0].set(7),
    "add": lambda x: x.at[x > 0].add(2.5),
    "multiply": lambda x: x.at[(x > 0,)].multiply(-1),
    "min": lambda x: x.at[x > 0].min(0.25),
    "rows": lambda x: x.at[x[:, 0] > 0].set(wnp.arange(3.0)),
    "a row of rows": lambda x: x.at[x[:, 0] > 0].add(wnp.arange(3.0)[None]),
    "columns": lambda x: x.T.at[x[0] > 0].divide(2.0),
}


@pytest.mark.parametrize("name", MASKED)
def test_traced_masks_choose_where_one_value_is_written(name):
    program, x = MASKED[name], GRID - 2.5
    np.testing.assert_allclose(weft.jit(program)(x), program(wnp.asarray(x)), rtol=1e-6)
    weft.test_util.check_grads(weft.jit(program), (x,), 1, modes="rev")


def test_assignment_to_traced_masks():
    def clipped(x):
        x = x * 1
        x[x < 0] = 0
        return x

    np.testing.assert_array_equal(weft.jit(clipped)(GRID - 3), np.maximum(GRID - 3, 0))
    np.testing.assert_array_equal(weft.vmap(weft.vmap(clipped))(GRID - 3), np.maximum(GRID - 3, 0))
    with pytest.raises(weft.errors.ConcretizationError, match=r"one value: x\.at\[mask\]\.set"):
        weft.jit(lambda x: x.at[x > 0].set(wnp.arange(2.0)))(GRID)
    with pytest.raises(weft.errors.ConcretizationError, match="boolean mask"):
        weft.jit(lambda x: x[x > 0])(GRID)


@pytest.mark.parametrize("kind", ["set", "add", "multiply", "min", "max", "divide", "power"])
def test_modes_that_do_not_exist_are_refused_whatever_the_index(kind):
    x = wnp.ones(3)
    for index in (0, slice(1, 2), wnp.array([0, 5])):
        with pytest.raises(ValueError, match="mode='wrap' is not a way to treat indices"):
            getattr(x.at[index], kind)(1.0, mode="wrap")
        with pytest.raises(ValueError, match="mode='wrap' is not a way to treat indices"):
            x.at[index].get(mode="wrap")
        with pytest.raises(ValueError, match="mode='wrap' is not a way to treat indices"):
            x.at[index].apply(wnp.sin, mode="wrap")
