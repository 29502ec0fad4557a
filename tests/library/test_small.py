"""`weft.ops`, `flatten_util`, `dlpack` and `errors`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft import dlpack, errors, flatten_util, ops
from weft.test_util import check_grads


@pytest.fixture(autouse=True)
def _one_operation_at_a_time() -> Iterator[None]:
    with weft.disable_jit():
        yield


# ---------------------------------------------------------------- segments

FOLDS = {
    "segment_sum": (np.add, 0),
    "segment_prod": (np.multiply, 1),
    "segment_max": (np.maximum, -np.inf),
    "segment_min": (np.minimum, np.inf),
}


@pytest.mark.parametrize("name", FOLDS)
@given(st.data())
def test_segments(name: str, data: st.DataObject) -> None:
    fold, start = FOLDS[name]
    ids = np.array(data.draw(st.lists(st.integers(-1, 5), max_size=8)), np.int32)
    values = np.arange(1.0, 2 * len(ids) + 1).reshape(len(ids), 2)
    wanted = np.full((4, 2), start)
    for i, value in zip(ids, values, strict=True):
        if 0 <= i < 4:
            wanted[i] = fold(wanted[i], value)
    bucket = data.draw(st.sampled_from([None, 1, 3]))
    with weft.disable_jit():
        found = getattr(ops, name)(values, ids, 4, bucket_size=bucket)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_number_of_segments_and_integers() -> None:
    ids = np.array([0, 2], np.uint8)
    assert ops.segment_sum(np.array([1, 2], np.int8), ids).tolist() == [1, 0, 2]
    assert ops.segment_max(np.array([1, 2], np.int8), ids).tolist() == [1, -128, 2]
    assert ops.segment_min(np.array([True, False]), ids).tolist() == [True, True, False]
    assert ops.segment_sum(np.zeros(0), np.zeros(0, np.int32)).shape == (0,)


def test_segments_have_derivatives() -> None:
    ids = np.array([1, 0, 1])
    for name in ("segment_sum", "segment_max", "segment_min"):
        check_grads(lambda x, name=name: getattr(ops, name)(x, ids, 2), (np.array([1.0, 2, 3]),), 1)


def test_errors_of_segments() -> None:
    ids = np.array([0, 1])
    for kind, error, call in (
        (ValueError, r"data of shape \(3,\)", lambda: ops.segment_sum(np.ones(3), ids)),
        (ValueError, "num_segments is not", lambda: ops.segment_max(np.ones(2), ids, -1)),
        (ValueError, "bucket_size is", lambda: ops.segment_min(np.ones(2), ids, 2, bucket_size=0)),
        (TypeError, "are integers, got float", lambda: ops.segment_prod(np.ones(2), np.ones(2))),
        (
            ValueError,
            "inside of transformations num_segments has to be given",
            lambda: weft.make_jaxpr(lambda i: ops.segment_sum(np.ones(2), i))(ids),
        ),
    ):
        with pytest.raises(kind, match=error):
            call()


# ---------------------------------------------------------------- trees as vectors


def test_trees_as_vectors() -> None:
    tree = {"a": np.ones((2, 2), np.float32), "b": (np.arange(3.0),), "c": np.int32(7)}
    vector, unravel = flatten_util.ravel_pytree(tree)
    assert vector.dtype == np.float64 and vector.tolist() == [1, 1, 1, 1, 0, 1, 2, 7]
    back = unravel(vector)
    for one, other in zip(weft.tree.leaves(back), weft.tree.leaves(tree), strict=True):
        assert one.dtype == other.dtype and np.array_equal(one, other)
    with pytest.raises(TypeError, match="unravel takes a vector of float64"):
        unravel(wnp.asarray(vector, wnp.float32))
    with pytest.raises(ValueError, match="unravel takes a vector of 8 elements"):
        unravel(vector[1:])


def test_vectors_of_one_dtype_may_become_another() -> None:
    vector, unravel = flatten_util.ravel_pytree([np.ones(2, np.float32)])
    assert unravel(wnp.asarray(vector, wnp.bfloat16))[0].dtype == wnp.bfloat16
    vector, unravel = flatten_util.ravel_pytree({})
    assert vector.shape == (0,) and unravel(vector) == {}
    check_grads(lambda x: flatten_util.ravel_pytree({"x": x, "y": x * x})[0], (np.ones(2),), 1)


# ---------------------------------------------------------------- names


def test_dlpack() -> None:
    data = np.arange(3.0)
    assert dlpack.from_dlpack(data).tolist() == [0, 1, 2]
    supported: dict[Any, bool] = {"float32": True, wnp.bfloat16: True, "U1": False, object: False}
    for dtype, wanted in supported.items():
        assert dlpack.is_supported_dtype(dtype) is wanted


def test_errors_have_the_names_of_jax() -> None:
    assert errors.ConcretizationTypeError is errors.ConcretizationError
    assert errors.UnexpectedTracerError is errors.LeakedTracerError
    assert errors.JaxprTypeError is errors.JaxprError
    with pytest.raises(errors.ConcretizationError):
        weft.make_jaxpr(lambda x: bool(x))(1.0)
