"""Functions of `weft.lax` beside the primitives: stacks, ragged products, windows, generators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft import lax

RNG = np.random.default_rng(0)
INTEGERS = ["int8", "uint8", "int32", "uint32", "int64", "uint64"]


@pytest.fixture(autouse=True)
def _one_operation_at_a_time() -> Iterator[None]:
    with weft.disable_jit():
        yield


@given(st.integers(0, 2**32), st.sampled_from(INTEGERS))
def test_mulhi(seed: int, name: str) -> None:
    info = np.iinfo(name)
    x, y = np.random.default_rng(seed).integers(info.min, info.max, (2, 4), name, endpoint=True)
    x[0] = y[0] = info.min
    wanted = [(int(a) * int(b)) >> info.bits for a, b in zip(x, y, strict=True)]
    with weft.disable_jit():
        assert np.asarray(lax.mulhi(x, y)).tolist() == wanted


def test_stacks_and_tiles() -> None:
    x = RNG.normal(size=(2, 3))
    np.testing.assert_array_equal(lax.stack([x, -x], -1), np.stack([x, -x], -1))
    for one, other in zip(lax.unstack(x, 1), x.T, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(lax.tile(x, (2, 3)), np.tile(x, (2, 3)))
    assert lax.tile(x, (0, 1)).shape == (0, 3)
    assert lax.empty((2, 1), np.int8).dtype == np.int8
    np.testing.assert_array_equal(lax.broadcast_like(x[:1], np.ones((4, 2, 3))), [[x[0]] * 2] * 4)
    assert np.asarray(lax.shape_as_value(())).shape == (0,)
    assert lax.shape_as_value((2**40, 1)).dtype == np.int64
    kinds = {True: "bool", 2: "int32", 1j: "complex64", bool: "bool", float: "float32"}
    for value, kind in (*kinds.items(), (np.float16, "float16"), ("int8", "int8")):
        assert lax.dtype(value) == kind
    assert lax.mul(x, x, out_dtype=np.float32).dtype == np.float32


def ragged(x: np.ndarray, w: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    out, start = np.zeros((len(x), w.shape[-1])), 0
    for matrix, size in zip(w, sizes, strict=True):
        out[start : start + size] = x[start : start + size] @ matrix
        start += size
    return out


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4))
def test_ragged_products(sizes: list[int]) -> None:
    rows, count = 6, np.minimum(np.cumsum(sizes), 6)
    counts = np.diff(count, prepend=0).astype(np.int32)
    x, w = RNG.normal(size=(rows, 2)), RNG.normal(size=(len(sizes), 2, 3))
    with weft.disable_jit():
        np.testing.assert_allclose(lax.ragged_dot(x, w, counts), ragged(x, w, counts), atol=1e-12)
        batched = lax.ragged_dot_general(
            np.stack([x, 2 * x]),
            np.stack([w, w]),
            np.stack([counts, counts[::-1]]),
            lax.RaggedDotDimensionNumbers((((2,), (2,)), ((0,), (0,))), (1,), (1,)),
        )
        np.testing.assert_allclose(batched[1], ragged(2 * x, w, counts[::-1]), atol=1e-12)
        # Contracted: one product of columns for each group.
        y = RNG.normal(size=(rows, 3))
        numbers = lax.RaggedDotDimensionNumbers((((0,), (0,)), ((), ())), (0,), ())
        found = lax.ragged_dot_general(x, y, counts, numbers)
        ends = np.cumsum(counts)
        wanted = [x[e - n : e].T @ y[e - n : e] for e, n in zip(ends, counts, strict=True)]
        np.testing.assert_allclose(found, wanted, atol=1e-12)
        # A batch axis: what belongs to no group is 0.
        numbers = lax.RaggedDotDimensionNumbers((((1,), (1,)), ((0,), (0,))), (0,), ())
        found = lax.ragged_dot_general(x, x, counts, numbers)
        wanted = np.where(np.arange(rows) < ends[-1], (x * x).sum(1), 0)
        np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("layout", [("NCHW", "OIHW", "NCHW"), ("NHWC", "HWIO", "NHWC")])
def test_windows(layout: tuple[str, str, str]) -> None:
    x, w = RNG.normal(size=(2, 3, 5, 6)), RNG.normal(size=(4, 3, 2, 3))
    options: dict[str, Any] = {"window_strides": (2, 1), "padding": [(1, 0), (1, 1)]}
    lhs = x if layout[0] == "NCHW" else x.transpose(0, 2, 3, 1)
    rhs = w if layout[0] == "NCHW" else w.transpose(2, 3, 1, 0)
    wanted = lax.conv_general_dilated(lhs, rhs, dimension_numbers=layout, **options)
    assert lax.conv_general_shape_tuple(lhs.shape, rhs.shape, (2, 1), [(1, 0), (1, 1)], layout) == (
        wanted.shape
    )
    patches = lax.conv_general_dilated_patches(lhs, (2, 3), dimension_numbers=layout, **options)
    features = layout[2].index("C")
    found = np.moveaxis(np.asarray(patches), features, -1) @ w.reshape(4, -1).T
    np.testing.assert_allclose(np.moveaxis(found, -1, features), wanted, atol=1e-12)
    # The same weights at every place.
    space = [n for n, name in zip(wanted.shape, layout[2], strict=True) if name in "HW"]
    own = np.broadcast_to(w.reshape(4, -1, 1, 1), (4, 18, *space))
    own = own if layout[0] == "NCHW" else own.transpose(2, 3, 1, 0)
    local = lax.conv_general_dilated_local(
        lhs, own, filter_shape=(2, 3), dimension_numbers=layout, **options
    )
    np.testing.assert_allclose(local, wanted, atol=1e-12)


def test_transposed_convolutions() -> None:
    x, w = RNG.normal(size=(1, 5, 2)), RNG.normal(size=(3, 4, 2))
    pads = [(1, 0)]
    moved = lax.conv_transpose(
        x, w, (2,), pads, dimension_numbers=("NHC", "HOI", "NHC"), use_consistent_padding=True
    )
    plain = lax.conv_transpose(x, w, (2,), [(1, 2)], dimension_numbers=("NHC", "HOI", "NHC"))
    np.testing.assert_array_equal(moved, plain)
    for padding in ("SAME", "VALID", [(1, 2)]):
        shape = lax.conv_transpose_shape_tuple(
            x.shape, w.shape, (2,), padding, ("NHC", "HOI", "NHC")
        )
        out = lax.conv_transpose(x, w, (2,), padding, dimension_numbers=("NHC", "HOI", "NHC"))
        assert shape == out.shape


def test_generators() -> None:
    key = np.array([1, 2, 3, 4], np.uint32)
    after, bits = lax.rng_bit_generator(key, (5,))
    assert np.asarray(after).tolist() == [1, 2, 6, 4] and bits.dtype == np.uint32
    _, more = lax.rng_bit_generator(key, (2, 6))
    assert np.array_equal(np.ravel(more)[:5], bits)
    _, later = lax.rng_bit_generator(after, (6,))
    assert np.array_equal(np.ravel(more)[6:], later)
    wide = key.view(np.uint64)
    after, same = lax.rng_bit_generator(wide, (5,), algorithm=lax.RandomAlgorithm.RNG_THREE_FRY)
    assert np.array_equal(same, bits) and after.dtype == np.uint64
    for dtype in (np.uint8, np.uint16, np.uint64):
        drawn = np.asarray(lax.rng_bit_generator(key, (4096,), dtype)[1])
        assert drawn.dtype == dtype
        share = np.unpackbits(drawn.view(np.uint8)).mean()
        assert abs(share - 0.5) < 0.01
    x = np.asarray(lax.rng_uniform(np.float32(2), np.float32(3), (200,)))
    assert x.dtype == np.float32 and x.min() >= 2 and x.max() < 3
    assert not np.array_equal(x, lax.rng_uniform(np.float32(2), np.float32(3), (200,)))
    assert set(np.asarray(lax.rng_uniform(np.int32(0), np.int32(3), (100,)))) == {0, 1, 2}


def test_map_in_batches() -> None:
    x = RNG.normal(size=(7, 2))
    for size in (1, 3, 7, 10):
        found = lax.map(lambda v: {"s": v.sum(), "v": v}, x, batch_size=size)
        np.testing.assert_allclose(found["s"], x.sum(1), rtol=1e-12)
        np.testing.assert_array_equal(found["v"], x)


def test_negative_indices_can_be_refused() -> None:
    x = np.arange(5)
    start = wnp.asarray(-2, wnp.int32)
    assert int(lax.dynamic_index_in_dim(x, start, keepdims=False)) == 3
    clamped = {"allow_negative_indices": False}
    assert int(lax.dynamic_index_in_dim(x, start, keepdims=False, **clamped)) == 0
    assert lax.dynamic_slice(x, (start,), (2,), **clamped).tolist() == [0, 1]
    assert lax.dynamic_slice(x, (-2,), (2,), allow_negative_indices=[True]).tolist() == [3, 4]
    assert lax.dynamic_update_slice(x, x[:1] + 9, (start,), **clamped).tolist() == [9, 1, 2, 3, 4]


def test_hints() -> None:
    assert lax.dce_sink(np.ones(2)) is None
    with pytest.raises(NotImplementedError, match=r"functions for \['cuda'\] and no default"):
        lax.platform_dependent(1.0, cuda=lambda x: x)
    with pytest.raises(TypeError, match="'tpu' is a function, got 3"):
        lax.platform_dependent(1.0, tpu=3, default=lambda x: x)
    with pytest.raises(TypeError, match="optimization_barrier needs arrays"):
        lax.optimization_barrier("x")


def test_settings_are_accepted_and_checked() -> None:
    x = np.ones((2, 2))
    for precision in (None, "highest", lax.Precision.HIGH, ("float32", None), "BF16_BF16_F32"):
        assert float(lax.dot(x, x, precision=precision)[0, 0]) == 2
    numbers = (((0,), (0,)), ((), ()))
    assert float(lax.dot(x, x, dimension_numbers=numbers)[0, 0]) == 2
    with pytest.raises(ValueError, match=r"lax.dot: precision is None, .* got 'best'"):
        lax.dot(x, x, precision="best")
    assert float(lax.exp(0.0, accuracy=lax.AccuracyMode.HIGHEST)) == 1
    with pytest.raises(TypeError, match=r"lax\.sin: accuracy is a lax\.AccuracyMode"):
        lax.sin(0.0, accuracy=3)
    assert float(lax.zeta(x=wnp.asarray(2.0), q=wnp.asarray(1.0))) == pytest.approx(np.pi**2 / 6)


def test_primitives_have_the_names_of_jax() -> None:
    assert lax.exp_p.name == "exp" and lax.regularized_incomplete_beta_p.name == "betainc"
    assert lax.linear_solve_p.name == "custom_linear_solve"
    jaxpr = weft.make_jaxpr(lambda x: lax.while_loop(lambda v: v < 3, lambda v: v + 1, x))(0)
    assert jaxpr.jaxpr.eqns[0].primitive is lax.while_p
    with pytest.raises(AttributeError, match="has no attribute 'nothing_p'"):
        _ = lax.nothing_p


def test_errors() -> None:
    for kind, error, call in (
        (ValueError, "lax.stack needs one array", lambda: lax.stack([])),
        (ValueError, r"lax.tile of an array of shape \(2,\)", lambda: lax.tile(np.ones(2), (1, 2))),
        (
            ValueError,
            r"shape \(3,\) does not broadcast to \(2,\)",
            lambda: lax.broadcast_like(np.ones(3), np.ones(2)),
        ),
        (TypeError, "lax.mulhi needs integers", lambda: lax.mulhi(np.ones(2), np.ones(2))),
        (ValueError, "lax.dtype of None", lambda: lax.dtype(None)),
        (TypeError, "approx_max_k needs floating", lambda: lax.approx_max_k(np.arange(3), 1)),
        (
            TypeError,
            r"needs a key u32\[4\] or u64\[2\]",
            lambda: lax.rng_bit_generator(np.zeros(3, np.uint32), (2,)),
        ),
        (
            ValueError,
            "has RNG_THREE_FRY only",
            lambda: lax.rng_bit_generator(
                np.zeros(4, np.uint32), (2,), algorithm=lax.RandomAlgorithm.RNG_PHILOX
            ),
        ),
        (
            TypeError,
            "two scalars of one dtype",
            lambda: lax.rng_uniform(np.zeros(2), np.ones(2), ()),
        ),
        (
            TypeError,
            r"group_sizes .* have one axis",
            lambda: lax.ragged_dot(np.ones((3, 2)), np.ones((1, 2, 2)), np.ones((1, 1), np.int32)),
        ),
        (
            NotImplementedError,
            "has no group_offset",
            lambda: lax.ragged_dot(
                np.ones((3, 2)), np.ones((1, 2, 2)), np.array([3]), group_offset=np.array([0])
            ),
        ),
    ):
        with pytest.raises(kind, match=error):
            call()
