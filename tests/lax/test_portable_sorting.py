"""Sorting in Weft's own operations: the same order as NumPy's, of every dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from weft import lax
from weft.primitives.sort import COUNTED, SortRoutine
from weft.terms.lower import lower_jaxpr
from weft.terms.region import Call

DTYPES = ["bool", "int8", "uint8", "int16", "uint32", "int64", "uint64"]
DTYPES += ["float16", "bfloat16", "float32", "float64", "complex64"]
SHAPES = [((9,), 0), ((3, 5), 0), ((2, 3, 4), 1), ((COUNTED + 9,), 0), ((2, 1), 1), ((3, 0), 0)]


@pytest.fixture(autouse=True)
def portable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weft.config, "routines", "portable")


def special(rng: np.random.Generator, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Few values, so that many are equal, and all that have a place of their own."""
    dtype = wnp.dtype(name)
    if name == "bool":
        return rng.random(shape) < 0.5
    if name.startswith("complex"):
        parts = special(rng, (*shape, 2), "float32")
        return np.ascontiguousarray(parts).view(dtype)[..., 0]
    if "int" in name:
        ends = [np.iinfo(dtype).min, np.iinfo(dtype).max, 0, 1, 2]
        return rng.choice(np.array(ends, dtype), shape)
    values = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-45, 2.0]
    with np.errstate(over="ignore", under="ignore"):
        return rng.choice(np.array(values), shape).astype(dtype)


def same(actual: Any, expected: np.ndarray) -> None:
    """Equal, and zeros of equal sign."""
    got, wanted = (np.asarray(x) for x in (actual, expected))
    if wanted.dtype == wnp.bfloat16:
        got, wanted = got.astype(np.float32), wanted.astype(np.float32)
    np.testing.assert_array_equal(got, wanted)
    if wanted.dtype.kind == "f":
        numbers = wanted == wanted
        np.testing.assert_array_equal(np.signbit(got[numbers]), np.signbit(wanted[numbers]))


@pytest.mark.parametrize(("shape", "axis"), SHAPES, ids=str)
@pytest.mark.parametrize("name", DTYPES)
def test_the_order_is_that_of_numpy(name: str, shape: tuple[int, ...], axis: int) -> None:
    rng = np.random.default_rng(7)
    keys, more = special(rng, shape, name), special(rng, shape, "float32")
    index = np.arange(keys.size, dtype=np.int32).reshape(shape)
    operands = [keys, more, index]
    sort = weft.jit(lambda *xs: lax.sort(xs, axis, num_keys=2))
    expected = SortRoutine(axis, True, 2).by_numpy(*operands)
    for actual, wanted in zip(sort(*operands), expected, strict=True):
        same(actual, wanted)


def test_one_array_is_sorted_stably() -> None:
    x = special(np.random.default_rng(3), (4, 20), "float32")
    order = np.asarray(weft.jit(lambda x: wnp.argsort(x, 1))(x))
    same(weft.jit(lambda x: lax.sort(x, 1))(x), np.take_along_axis(x, order, 1))


def test_short_rows_are_counted_where_that_is_cheaper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weft.config, "routines", "price")
    chosen = [
        weft.jit(lambda x: wnp.sort(x, 1)).lower(wnp.ones(shape)).as_text("terms")
        for shape in ((1000, 9), (9, 1000))
    ]
    assert "portable sort of f32[1000,9]" in chosen[0]
    assert "library sort of f32[9,1000]" in chosen[1]


def test_results_of_a_sort_that_nobody_needs_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weft.config, "routines", "library")
    x = np.array([2.0, np.nan, -1.0], np.float32)
    closed = weft.make_jaxpr(wnp.argsort)(x)
    (call,) = (s for s in lower_jaxpr(closed, hasty=True).block.steps if isinstance(s, Call))
    assert len(call.outputs) == 1 and call.routine(x, np.arange(3))[0].tolist() == [2, 0, 1]
