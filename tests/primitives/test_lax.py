"""The lax functions: numbers beside arrays, composite functions, general reductions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft import lax
from weft.core.avals import aval_of

f32 = np.arange(6, dtype=np.float32).reshape(2, 3)
i32 = np.arange(6, dtype=np.int32).reshape(2, 3)


def test_every_public_name_exists_and_is_documented() -> None:
    control_flow = {"associative_scan", "cond", "fori_loop", "map", "scan", "switch", "while_loop"}
    for name in set(lax.__all__) - control_flow:
        assert getattr(lax, name).__doc__, name


@pytest.mark.parametrize("number", [2, 2.5, True, np.float64(2.5), np.int64(2), np.float32(2)])
def test_a_number_takes_the_dtype_and_shape_of_the_array(number: Any) -> None:
    for out in (lax.mul(f32, number), lax.mul(number, f32)):
        assert (out.dtype, out.shape) == (np.float32, (2, 3))
        np.testing.assert_array_equal(out, f32 * np.float32(number))


def test_numbers_alone_stay_weak() -> None:
    assert lax.add(1, 2).dtype == np.int32
    assert lax.add(1, 2.5).dtype == np.float32
    assert aval_of(lax.full((2,), 2**40)).dtype == np.int64
    assert lax.full((2,), 1.0).dtype == np.float32


def test_a_zero_dimensional_array_is_repeated() -> None:
    np.testing.assert_array_equal(lax.add(f32, np.asarray(1, np.float32)), f32 + 1)
    np.testing.assert_array_equal(lax.select(np.asarray(True), f32, 0.0), f32)


def test_numbers_as_bounds_paddings_and_exponents() -> None:
    np.testing.assert_array_equal(lax.clamp(1, f32, 3), np.clip(f32, 1, 3))
    np.testing.assert_array_equal(lax.clamp(1, i32, np.asarray(3, np.int32)), np.clip(i32, 1, 3))
    assert lax.clamp(0.0, 5.0, 1.0) == 1
    np.testing.assert_array_equal(lax.pow(f32, 2), f32**2)
    np.testing.assert_allclose(lax.pow(f32, 0.5), np.sqrt(f32), rtol=1e-6)
    np.testing.assert_array_equal(lax.pow(f32, i32), f32**i32)
    np.testing.assert_array_equal(lax.pow(2.0, i32), 2.0**i32)
    np.testing.assert_array_equal(lax.square(i32), i32**2)
    np.testing.assert_allclose(lax.reciprocal(f32 + 1), 1 / (f32 + 1))


def test_full_and_iota() -> None:
    np.testing.assert_array_equal(lax.full((2, 3), 7, np.int8), np.full((2, 3), 7, np.int8))
    np.testing.assert_array_equal(lax.full_like(f32, 7), np.full_like(f32, 7))
    assert lax.full_like(f32, 1, np.int32, (4,)).shape == (4,)
    assert lax.full((), 1.5).shape == ()
    np.testing.assert_array_equal(lax.iota(np.int32, 4), np.arange(4))
    np.testing.assert_array_equal(lax.broadcasted_iota(np.int32, (2, 3), -1), [[0, 1, 2]] * 2)


def test_axes() -> None:
    assert lax.expand_dims(f32, (0, -1)).shape == (1, 2, 3, 1)
    assert lax.squeeze(f32.reshape(1, 2, 3, 1), (0, -1)).shape == (2, 3)
    assert lax.collapse(f32.reshape(1, 2, 3), 1).shape == (1, 6)
    assert lax.collapse(f32.reshape(1, 2, 3), 0, 2).shape == (2, 3)
    np.testing.assert_array_equal(lax.broadcast(f32, (4,)), np.stack([f32] * 4))
    assert lax.broadcast_to_rank(f32, 4).shape == (1, 1, 2, 3)
    assert lax.broadcast_shapes((2, 1), (3,)) == (2, 3)
    np.testing.assert_array_equal(lax.reshape(f32, (6,), (1, 0)), f32.T.reshape(6))
    np.testing.assert_array_equal(lax.rev(f32, (-1,)), f32[:, ::-1])
    np.testing.assert_array_equal(lax.concatenate([f32, f32], -1), np.concatenate([f32, f32], 1))


def test_slices() -> None:
    x = np.arange(10)
    np.testing.assert_array_equal(lax.slice_in_dim(x, 2, -1, 3), x[2:-1:3])
    np.testing.assert_array_equal(lax.slice_in_dim(f32, None, 2, axis=1), f32[:, :2])
    np.testing.assert_array_equal(lax.index_in_dim(f32, -1, 1), f32[:, -1:])
    np.testing.assert_array_equal(lax.index_in_dim(f32, 0, 0, keepdims=False), f32[0])
    left, none, right = lax.split(x, (3, 0, 7))
    np.testing.assert_array_equal(np.concatenate([left, none, right]), x)
    np.testing.assert_array_equal(lax.dynamic_slice_in_dim(f32, 1, 2, axis=-1), f32[:, 1:])
    taken = lax.index_take(f32, (np.array([1, -1, 0]), np.array([0, 2, -1])), (0, 1))
    np.testing.assert_array_equal(taken, f32[[1, -1, 0], [0, 2, -1]])
    np.testing.assert_array_equal(lax.index_take(f32, (np.array([2, 0]),), (1,)), f32[:, [2, 0]].T)
    np.testing.assert_array_equal(lax.dynamic_slice(f32, np.array([1, 0]), (1, 2)), f32[1:, :2])


def test_products() -> None:
    m = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(lax.dot(f32, m), f32 @ m)
    np.testing.assert_array_equal(lax.dot(f32[0], m), f32[0] @ m)
    a, b = np.ones((2, 3, 4)), np.ones((2, 4, 5))
    np.testing.assert_array_equal(lax.batch_matmul(a, b), a @ b)
    np.testing.assert_array_equal(
        lax.dot_general(f32, f32, (((-1,), (-1,)), ((), ()))), f32 @ f32.T
    )


def test_stop_gradient_takes_trees() -> None:
    out = lax.stop_gradient({"a": f32, "b": (i32, 2.0)})
    np.testing.assert_array_equal(out["a"], f32)
    assert out["b"][0] is i32


@pytest.mark.parametrize(
    ("computation", "init", "wanted"),
    [
        (lax.add, 1.0, lambda x: x.sum(1) + 1),
        (lax.mul, 1.0, lambda x: x.prod(1)),
        (lax.max, -np.inf, lambda x: x.max(1)),
        (lax.min, np.inf, lambda x: x.min(1)),
        (lambda x, y: lax.add(y, x), 0.0, lambda x: x.sum(1)),
    ],
)
def test_reduce_recognises_one_operation(computation: Any, init: Any, wanted: Any) -> None:
    np.testing.assert_allclose(lax.reduce(f32, init, computation, (1,)), wanted(f32))


@given(st.integers(0, 9), st.integers(0, 3))
def test_reduce_folds_with_any_associative_function(count: int, rows: int) -> None:
    rng = np.random.default_rng(count)
    x, y = rng.normal(size=(2, rows, count))

    def later_maximum(a: Any, b: Any) -> Any:  # (value, payload): of equal values the later one
        keep = lax.gt(a[0], b[0])
        return lax.select(keep, a[0], b[0]), lax.select(keep, a[1], b[1])

    value, payload = lax.reduce((x, y), (-np.inf, 0.0), later_maximum, (1,))
    if count:
        np.testing.assert_array_equal(value, x.max(1))
        np.testing.assert_array_equal(payload, y[np.arange(rows), x.argmax(1)])
    else:
        np.testing.assert_array_equal(value, np.full(rows, -np.inf))

    def affine(a: Any, b: Any) -> Any:  # composition of maps p * v + q: not commutative
        return lax.mul(a[0], b[0]), lax.add(lax.mul(a[1], b[0]), b[1])

    p, q = lax.reduce((x, y), (1.0, 0.0), affine, (1,))
    for row in range(rows):
        slope, offset = 1.0, 0.0
        for a, b in zip(x[row], y[row], strict=True):
            slope, offset = slope * a, offset * a + b
        np.testing.assert_allclose([p[row], q[row]], [slope, offset], rtol=1e-9, atol=1e-12)
