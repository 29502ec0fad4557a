"""Contractions of narrow numbers by words, on processors with instructions for them and without."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.compiled.agreement import run_compiled
from weft import lax
from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.interpret import numpy_closed
from weft.core.staging import trace_to_jaxpr
from weft.terms.check import check_program
from weft.terms.dots import DOTS
from weft.terms.interpret import interpret
from weft.terms.lower import lower_jaxpr

NARROW = tuple(map(np.dtype, ("i1", "u1", "i2"))) + (dtypes.bfloat16,)


def numbers(shape: tuple[int, ...], dtype: np.dtype, seed: int) -> np.ndarray:
    """Every integer of the dtype, or small floats whose sums are exact."""
    rng = np.random.default_rng(seed)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max + 1, shape).astype(dtype)
    return rng.integers(-8, 9, shape).astype(dtype)


def product(left: str, right: str, wide: Any) -> Any:
    """The contraction of two operands whose axes are named: b batch, k and l contracted."""
    names = [[axes.index(c) for c in "kl"] for axes in (left, right)]
    batch = ([left.index("b")], [right.index("b")]) if "b" in left else ([], [])

    def contract(x: Any, y: Any) -> list[Any]:
        return [lax.dot_general(x, y, (names, batch), preferred_element_type=wide)]

    return contract


CASES = st.tuples(
    st.sampled_from(NARROW),
    st.sampled_from(["mkl", "kml", "bmlk", "lkmb"]),
    st.sampled_from(["kln", "nlk", "lnk"]),
    st.fixed_dictionaries(
        {"m": st.integers(8, 40), "n": st.integers(8, 70), "k": st.integers(8, 67)}
    ),
    st.integers(1, 3),
    st.booleans(),
)


def case(drawn: Any) -> tuple[Any, list[np.ndarray]]:
    dtype, left, right, sizes, few, widens = drawn
    sizes = {**sizes, "l": few, "b": 2}
    right = right + "b" if "b" in left else right
    wide = None
    if widens:
        wide = np.float32 if dtype == dtypes.bfloat16 else np.int32
    arrays = [
        numbers(tuple(sizes[c] for c in names), dtype, seed)
        for seed, names in enumerate((left, right))
    ]
    return product(left, right, wide), arrays


@settings(max_examples=25)
@given(CASES)
def test_terms_by_words_mean_the_same(drawn: Any) -> None:
    contract, arrays = case(drawn)
    closed = trace_to_jaxpr(contract, [ShapedArray(x.shape, x.dtype) for x in arrays])
    program = lower_jaxpr(closed, frozenset(DOTS))
    check_program(program)
    (got,), (want,) = interpret(program, *arrays), numpy_closed(closed, *arrays)
    np.testing.assert_array_equal(got.astype(np.float64), want.astype(np.float64), strict=True)


@settings(max_examples=12)
@given(CASES)
def test_machine_code_by_words(drawn: Any) -> None:
    contract, arrays = case(drawn)
    closed = trace_to_jaxpr(contract, [ShapedArray(x.shape, x.dtype) for x in arrays])
    (got,), (want,) = run_compiled(contract, arrays), numpy_closed(closed, *arrays)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got.astype(np.float64), want.astype(np.float64), strict=True)
