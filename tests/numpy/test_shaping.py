"""Functions on shapes, joining, splitting and creation, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
M = X[0]
V = X[0, 0]

SAME_AS_NUMPY = {
    "reshape": lambda np: np.reshape(X, (4, -1)),
    "reshape F": lambda np: np.reshape(X, (4, 6), order="F"),
    "ravel": lambda np: np.ravel(X),
    "ravel F": lambda np: np.ravel(X, order="F"),
    "transpose": lambda np: np.transpose(X),
    "transpose axes": lambda np: np.transpose(X, (1, -1, 0)),
    "moveaxis": lambda np: np.moveaxis(X, 0, -1),
    "moveaxis several": lambda np: np.moveaxis(X, (0, 1), (-1, 0)),
    "swapaxes": lambda np: np.swapaxes(X, 0, 2),
    "matrix_transpose": lambda np: np.matrix_transpose(X),
    "squeeze": lambda np: np.squeeze(X[None, :, :1], (0, 2)),
    "expand_dims": lambda np: np.expand_dims(X, (0, -1)),
    "broadcast_to": lambda np: np.broadcast_to(V, (3, 4)),
    "flip": lambda np: np.flip(X, (0, 2)),
    "flip all": lambda np: np.flip(X),
    "fliplr": lambda np: np.fliplr(M),
    "flipud": lambda np: np.flipud(M),
    "roll": lambda np: np.roll(X, 5),
    "roll axes": lambda np: np.roll(X, (1, -2), (0, 2)),
    "roll same axis": lambda np: np.roll(X, (1, 1), (2, 2)),
    "rot90": lambda np: np.rot90(M),
    "rot90 k": lambda np: np.rot90(X, 3, (0, 2)),
    "rot180": lambda np: np.rot90(M, 2),
    "diagonal": lambda np: np.diagonal(X, 1, 1, 2),
    "diagonal below": lambda np: np.diagonal(M, -1),
    "diagonal outside": lambda np: np.diagonal(M, 9),
    "diag": lambda np: np.diag(V, -2),
    "diag of matrix": lambda np: np.diag(M, 1),
    "trace": lambda np: np.trace(M),
    "tril": lambda np: np.tril(X, 1),
    "triu": lambda np: np.triu(M, -1),
    "tri": lambda np: np.tri(3, 5, 1),
    "eye": lambda np: np.eye(3, 4, -1),
    "identity": lambda np: np.identity(3),
    "concatenate": lambda np: np.concatenate([X, X], 1),
    "concatenate flat": lambda np: np.concatenate([X, V], None),
    "stack": lambda np: np.stack([M, M], -1),
    "vstack": lambda np: np.vstack([V, M]),
    "hstack": lambda np: np.hstack([M, M]),
    "hstack vectors": lambda np: np.hstack([V, V]),
    "dstack": lambda np: np.dstack([M, M]),
    "column_stack": lambda np: np.column_stack([V, V]),
    "append": lambda np: np.append(M, V),
    "block": lambda np: np.block([[M, M], [M, M]]),
    "tile": lambda np: np.tile(M, (2, 1, 3)),
    "tile number": lambda np: np.tile(V, 2),
    "repeat": lambda np: np.repeat(M, 2, 1),
    "repeat flat": lambda np: np.repeat(M, 3),
    "repeat each": lambda np: np.repeat(M, [0, 2, 1], 0),
    "pad": lambda np: np.pad(M, ((1, 2), (0, 3)), constant_values=7),
    "pad edge": lambda np: np.pad(M, 2, "edge"),
    "pad wrap": lambda np: np.pad(V, (3, 1), "wrap"),
    "pad reflect": lambda np: np.pad(M, (2, 1), "reflect"),
    "pad symmetric": lambda np: np.pad(V, 3, "symmetric"),
    "pad ramp": lambda np: np.pad(M, (2, 3), "linear_ramp", end_values=((3, -4), (1, 2))),
    "pad mean": lambda np: np.pad(M, 1, "mean", stat_length=2),
    "pad median": lambda np: np.pad(V, (0, 2), "median"),
    "pad extremes": lambda np: np.pad(np.pad(M, 1, "maximum"), 2, "minimum"),
    "pad odd": lambda np: np.pad(np.pad(V, (9, 1), "reflect", reflect_type="odd"), 1, "edge"),
    "pad symmetric odd": lambda np: np.pad(M, 7, "symmetric", reflect_type="odd"),
    "pad values": lambda np: np.pad(V, (1, 2), constant_values=(8, 9)),
    "resize": lambda np: np.resize(V, (3, 3)),
    "atleast_1d": lambda np: np.atleast_1d(np.float32(3)),
    "atleast_2d": lambda np: np.atleast_2d(V),
    "atleast_3d": lambda np: np.atleast_3d(M),
    "arange": lambda np: np.arange(7),
    "arange bounds": lambda np: np.arange(3, 20, 4),
    "arange down": lambda np: np.arange(5, -5, -3),
    "arange empty": lambda np: np.arange(5, 2),
    "arange float": lambda np: np.arange(0.5, 3, 0.25),
    "linspace": lambda np: np.linspace(-1, 2, 7),
    "linspace open": lambda np: np.linspace(0, 1, 5, endpoint=False),
    "linspace one": lambda np: np.linspace(2, 3, 1),
    "linspace arrays": lambda np: np.linspace(V, 2 * V, 3, axis=-1),
    "logspace": lambda np: np.logspace(0, 2, 5),
    "geomspace": lambda np: np.geomspace(1, 100, 5),
    "zeros": lambda np: np.zeros((2, 0)),
    "full": lambda np: np.full((2, 3), 5),
    "full_like": lambda np: np.full_like(M, 2),
    "indices": lambda np: np.indices((2, 3)),
    "diff": lambda np: np.diff(X, 2, 2),
    "diff ends": lambda np: np.diff(V, prepend=0.0, append=np.float32(9)),
    "ediff1d": lambda np: np.ediff1d(M),
    "gradient": lambda np: np.gradient(V**2),
    "gradient axis": lambda np: np.gradient(M**2, 2.0, axis=1),
    "trapezoid": lambda np: np.trapezoid(M, dx=0.5),
    "trapezoid x": lambda np: np.trapezoid(M, V**2, axis=1),
    "interp": lambda np: np.interp(np.asarray([-1.0, 0.5, 2.5, 9.0]), V, V**2),
    "interp ends": lambda np: np.interp(np.asarray([-1.0, 9.0]), V, V, left=-5, right=7),
    "searchsorted": lambda np: np.searchsorted(V, np.asarray([0.0, 1.5, 3.0, 9.0])),
    "searchsorted right": lambda np: np.searchsorted(V, np.asarray([0.0, 3.0]), "right"),
    "polyval": lambda np: np.polyval(np.asarray([2.0, 0.0, -1.0]), M),
    "polyder": lambda np: np.polyder(np.asarray([2.0, 3.0, -1.0])),
    "convolve": lambda np: np.convolve(V, np.asarray([1.0, 2.0, 3.0])),
    "convolve same": lambda np: np.convolve(V, np.asarray([1.0, 2.0]), "same"),
    "convolve valid": lambda np: np.convolve(np.asarray([1.0, 2.0]), V, "valid"),
    "correlate": lambda np: np.correlate(V, np.asarray([1.0, 2.0]), "full"),
    "cov": lambda np: np.cov(M * M),
    "vander": lambda np: np.vander(V, 3),
    "kron": lambda np: np.kron(M, V),
    "cross": lambda np: np.cross(X[0].T, X[1].T),
    "outer": lambda np: np.outer(V, M),
    "array_equal": lambda np: np.array_equal(M, M),
    "allclose": lambda np: np.allclose(M, M + 1e-9),
    "isclose": lambda np: np.isclose(V, V + 1e-9),
    "choose": lambda np: np.choose(np.asarray([0, 1, 0, 1]), [V, 2 * V]),
    "compress": lambda np: np.compress(np.asarray([True, False, True]), M, 0),
}


def check(result, expected):
    assert result.shape == expected.shape
    assert np.dtype(result.dtype).kind == expected.dtype.kind
    np.testing.assert_allclose(np.asarray(result), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("case", SAME_AS_NUMPY)
def test_same_as_numpy(case):
    with weft.disable_jit():
        result = SAME_AS_NUMPY[case](wnp)
    check(result, np.asarray(SAME_AS_NUMPY[case](np)))


def test_splitting():
    with weft.disable_jit():
        for name, argument, axis in [
            ("split", 3, 1),
            ("split", [1, 2], 2),
            ("array_split", 3, 2),
            ("split", [3, -1], 2),
        ]:
            results = getattr(wnp, name)(X, argument, axis)
            for result, expected in zip(results, getattr(np, name)(X, argument, axis), strict=True):
                check(result, expected)
        assert [x.shape for x in wnp.unstack(X, axis=1)] == [(2, 4)] * 3


def test_meshgrid():
    for indexing in ("xy", "ij"):
        for sparse in (False, True):
            with weft.disable_jit():
                grids = wnp.meshgrid(V, V[:2], indexing=indexing, sparse=sparse)
            for grid, expected in zip(
                grids, np.meshgrid(V, V[:2], indexing=indexing, sparse=sparse), strict=True
            ):
                check(grid, expected)


@given(st.permutations(range(4)), st.lists(st.integers(-5, 5), min_size=4, max_size=4))
@settings(max_examples=40)
def test_chains_of_views(order, shifts):
    x = np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5)

    def chain(np, x):
        y = np.roll(np.transpose(x, order), shifts, (0, 1, 2, 3))
        y = np.reshape(np.flip(y, 1), (-1, y.shape[-1]))
        return np.pad(y[1:, ::2], 1)[:, ::-1].T

    with weft.disable_jit():
        check(chain(wnp, wnp.asarray(x)), chain(np, x))


def test_creation_dtypes():
    with weft.disable_jit():
        assert wnp.zeros(3).dtype == np.float32
        assert wnp.asarray([1, 2]).dtype == np.int32
        assert wnp.asarray([1, 2**40]).dtype == np.int64
        assert wnp.asarray([1.5]).dtype == np.float32
        assert wnp.asarray(np.array([1.5])).dtype == np.float64
        assert wnp.asarray([True]).dtype == np.bool_
        assert wnp.arange(2**31, 2**31 + 2).dtype == np.int64
        assert wnp.arange(3.0).dtype == np.float32
        assert wnp.zeros_like(np.zeros(2, np.int64)).dtype == np.int64
        assert wnp.float32(3).dtype == np.float32
        assert wnp.int64(3).dtype == np.int64
        assert wnp.array([wnp.float32(1), 2.0]).tolist() == [1, 2]
        assert wnp.array(5, ndmin=2).shape == (1, 1)
        assert wnp.zeros(2, wnp.bfloat16).dtype == wnp.bfloat16
        assert wnp.result_type(np.zeros(1, np.int32), 1.0) == np.float32


def test_asarray_copies_numpy_data():
    data = np.zeros(3, np.float32)
    x = wnp.asarray(data)
    data[0] = 5
    assert x.tolist() == [0, 0, 0]
    assert wnp.asarray(x) is x


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: wnp.reshape(M, (5, 2)),
            ValueError,
            "weft.numpy.reshape: cannot reshape array of shape (3, 4) (12 elements) into (5, 2) "
            "(10 elements)",
        ),
        (lambda: wnp.reshape(M, (5, -1)), ValueError, "into (5, -1) (a multiple of 5 elements)"),
        (lambda: wnp.reshape(M, (-1, -1)), ValueError, "only one size may be -1"),
        (lambda: wnp.reshape(M, (1.5, 2)), TypeError, "a shape is made of integers, got (1.5, 2)"),
        (lambda: wnp.transpose(M, (0, 0)), ValueError, "must name each of the 2 axes"),
        (lambda: wnp.squeeze(M, 0), ValueError, "axis 0 has length 3, not 1"),
        (
            lambda: wnp.broadcast_to(M, (3, 5)),
            ValueError,
            "shape (3, 4) does not broadcast to (3, 5)",
        ),
        (
            lambda: wnp.concatenate([M, V[None, :3]]),
            ValueError,
            "array 1 has shape (1, 3), which does not match (3, 4) except along axis 0",
        ),
        (lambda: wnp.concatenate([]), ValueError, "there must be at least one array"),
        (lambda: wnp.concatenate(3), TypeError, "give a sequence of arrays, got int"),
        (lambda: wnp.concatenate([np.float32(1)]), ValueError, "use weft.numpy.stack"),
        (lambda: wnp.stack([M, V]), ValueError, "array 1 has shape (4,), array 0 has (3, 4)"),
        (
            lambda: wnp.split(V, 3),
            ValueError,
            "4 elements do not divide into 3 equal parts; weft.numpy.array_split allows",
        ),
        (lambda: wnp.zeros(-1), ValueError, "sizes cannot be negative, got shape (-1,)"),
        (lambda: wnp.zeros("a"), TypeError, "a shape is made of integers, got 'a'"),
        (lambda: wnp.asarray([[1, 2], [3]]), ValueError, "the nested sequence is ragged"),
        (
            lambda: wnp.asarray("text"),
            TypeError,
            "a str with elements of dtype <U4 is not numeric data",
        ),
        (
            lambda: wnp.asarray([wnp.zeros(2), wnp.zeros(3)]),
            ValueError,
            "ragged: rows have shapes (2,), (3,)",
        ),
        (lambda: wnp.arange(0, 3, 0), ValueError, "step cannot be 0"),
        (lambda: wnp.pad(V, 1, "average"), ValueError, "mode 'average' is not one of"),
        (lambda: wnp.pad(V, 1, "edge", end_values=1), TypeError, "mode 'edge' takes no end_values"),
        (lambda: wnp.pad(V, 1, lambda *_: None), TypeError, "it returned None"),
        (lambda: wnp.pad(V, 1, "mean", stat_length=0), ValueError, "stat_length has to be posi"),
        (
            lambda: wnp.pad(V, 1, "reflect", reflect_type="o"),
            ValueError,
            "'even' or 'odd', got",
        ),
        (lambda: wnp.pad(V, -1), ValueError, "pad_width cannot be negative"),
        (lambda: wnp.tril(V), ValueError, "needs at least two axes, got shape (4,)"),
        (lambda: wnp.zeros(3, "float128"), TypeError, "float128"),
        (lambda: wnp.roll(V, (1, 2), 0), ValueError, "2 shifts for 1 axes"),
        (
            lambda: wnp.asarray(np.zeros(2), copy=False),
            ValueError,
            "must be copied into a weft array",
        ),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


def test_traced_shifts_roll():
    rolled = weft.jit(lambda x, n: wnp.roll(x, (n, 1), (1, 2)))(X, 2)
    check(rolled, np.roll(X, (2, 1), (1, 2)))


def test_traced_sizes_name_the_argument():
    with pytest.raises(TypeError, match="static"):
        weft.jit(lambda n: wnp.arange(n))(3)
    with pytest.raises(TypeError, match="static"):
        weft.jit(lambda n: wnp.zeros(n))(3)


@pytest.mark.parametrize(
    "case",
    [
        "roll axes",
        "concatenate",
        "pad edge",
        "tile",
        "diag",
        "rot90",
        "tril",
        "linspace",
        "interp",
        "repeat each",
    ],
)
def test_compiled(case):
    check(weft.jit(lambda: SAME_AS_NUMPY[case](wnp))(), np.asarray(SAME_AS_NUMPY[case](np)))
    check(SAME_AS_NUMPY[case](wnp), np.asarray(SAME_AS_NUMPY[case](np)))


def test_a_function_pads_each_vector_along_each_axis() -> None:
    def border(vector: Any, width: tuple[int, int], axis: int, options: dict[str, Any]) -> Any:
        vector = vector.at[: width[0]].set(options["value"] + axis)
        return vector.at[vector.shape[0] - width[1] :].set(-1)

    got = wnp.pad(wnp.ones((1, 2)), ((1, 0), (0, 1)), border, value=7)
    assert got.tolist() == [[7.0, 7.0, -1.0], [1.0, 1.0, -1.0]]
