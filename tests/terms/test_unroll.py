"""Short folds inside other folds are written out, and mean the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.terms.affine import Affine, Axis
from weft.terms.interpret import evaluate_over
from weft.terms.monoids import MONOIDS
from weft.terms.term import Fold, Load, Map, Term, Value, postorder
from weft.terms.unroll import SHORT, unroll_inner

F64 = np.dtype(np.float64)


def distances(points: int, others: int, coordinates: int, inner: str, outer: str) -> Fold:
    """outer over j of (inner over d of (x[i, d] - y[j, d])²)."""
    i, j, d = Axis("i", points), Axis("j", others), Axis("d", coordinates)
    x, y = Value("x", (points, coordinates), F64), Value("y", (others, coordinates), F64)
    left = Load(x, (Affine.of(i), Affine.of(d)))
    right = Load(y, (Affine.of(j), Affine.of(d)))
    apart = Map("sub", (left, right), F64)
    square = Map("mul", (apart, apart), F64)
    within = Fold(MONOIDS[inner], (d,), (square,))
    return Fold(MONOIDS[outer], (j,), (within,))


def folds(term: Term) -> list[Fold]:
    return [t for t in postorder(term) if isinstance(t, Fold)]


def value(term: Term) -> np.ndarray:
    rng = np.random.default_rng(0)
    values = sorted({t.value for t in postorder(term) if isinstance(t, Load)}, key=lambda v: v.name)
    memory = {v: rng.standard_normal(v.shape) for v in values}
    axes = sorted(term.axes, key=lambda a: a.name)
    # Values are the same objects before and after, so their numbers are, too.
    return evaluate_over(term, axes, memory)


@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, SHORT),
    st.sampled_from(["add", "max", "min"]),
    st.sampled_from(["add", "max", "min"]),
)
def test_writing_out_changes_nothing(
    points: int, others: int, coordinates: int, inner: str, outer: str
) -> None:
    term = distances(points, others, coordinates, inner, outer)
    unrolled = unroll_inner(term)
    assert len(folds(unrolled)) == 1
    np.testing.assert_allclose(value(unrolled), value(term), rtol=1e-13)


def test_sums_of_products_stay_fused() -> None:
    term = unroll_inner(distances(2, 3, 4, "add", "min"))
    ops = [t.op for t in postorder(term) if isinstance(t, Map)]
    assert ops.count("fma") == 3 and ops.count("add") == 0


@pytest.mark.parametrize("coordinates", [SHORT + 1, 1000])
def test_long_folds_stay_loops(coordinates: int) -> None:
    term = distances(2, 3, coordinates, "add", "min")
    assert unroll_inner(term) is term


def test_a_fold_by_itself_stays_a_loop() -> None:
    (inner,) = [f for f in folds(distances(2, 3, 4, "add", "min")) if f.over[0].name == "d"]
    assert unroll_inner(inner) is inner
