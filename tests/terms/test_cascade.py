"""Moving values: what becomes of terms and folds, against evaluating them again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.terms.affine import Affine, Axis
from weft.terms.build import const, fold, op, select
from weft.terms.cascade import FREE, RULES, UNKNOWN, Change, Factor, Shift, change, repaired
from weft.terms.interpret import evaluate_over
from weft.terms.monoids import ADD, MAX, MUL
from weft.terms.ops import OPS
from weft.terms.term import Load, Map, Term, Value

FLOAT = np.dtype(np.float64)
i, j = Axis("i", 3), Axis("j", 5)
x = Value("x", (3, 5), FLOAT)
old, new = Value("m", (3,), FLOAT), Value("m_new", (3,), FLOAT)
X = Load(x, (Affine.of(i), Affine.of(j)))
M = Load(old, (Affine.of(i),))
MOVING = {old: new}
APART = frozenset([j])


def test_every_operation_has_a_rule() -> None:
    assert RULES.keys() == OPS.keys()


def changed(term: Term) -> Change:
    return change(term, MOVING, APART)


def value_of(term: Term, data: dict[Value, np.ndarray]) -> np.ndarray:
    return np.asarray(evaluate_over(term, (i, j), data))


@st.composite
def bodies(draw: st.DrawFn) -> Term:
    """Terms in which the moving value goes through operations with rules."""
    term: Term = op("sub", X, M)
    kinds = ["neg", "mul_const", "add_free", "sub_free", "div_const", "exp", "mul_free", "self"]
    kinds += ["select", "max"]
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=5)):
        if kind == "neg":
            term = op("neg", term)
        elif kind == "mul_const":
            term = op("mul", const(0.5, FLOAT), term)
        elif kind == "add_free":
            term = op("add", term, X)
        elif kind == "sub_free":
            term = op("sub", X, term)
        elif kind == "div_const":
            term = op("div", term, const(2.0, FLOAT))
        elif kind == "exp":
            term = op("exp", term)
        elif kind == "mul_free":
            term = op("mul", term, X)
        elif kind == "self":
            term = op("add", term, term)
        elif kind == "max":
            term = op("max", term, term)
        else:
            term = select(op("gt", X, const(0.0, FLOAT)), term, const(0.0, FLOAT))
    return term


@given(bodies(), st.integers(0, 1 << 30))
def test_a_change_is_what_it_says(term: Term, seed: int) -> None:
    found = changed(term)
    dice = np.random.default_rng(seed)
    data = {v: dice.uniform(-1, 1, v.shape) for v in (x, old, new)}
    before = value_of(term, data)
    after = value_of(term, {**data, old: data[new]})
    if isinstance(found, Factor):
        np.testing.assert_allclose(before * value_of(found.by, data), after, 1e-9)
        assert j not in found.by.axes
    elif isinstance(found, Shift):
        np.testing.assert_allclose(before + value_of(found.by, data), after, 1e-9, 1e-9)
        assert j not in found.by.axes
    elif found is FREE:
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("name", sorted(n for n in OPS if OPS[n].result == "same"))
def test_what_moves_is_never_free(name: str) -> None:
    args = tuple(op("sub", X, M) for _ in range(OPS[name].arity))
    assert changed(Map(name, args, FLOAT)) is not FREE


def test_cascades_of_exponentials() -> None:
    weight = op("exp", op("sub", X, M))
    by = repaired(fold(ADD, [j], weight), MOVING, APART)
    assert isinstance(by, Factor)
    assert isinstance(repaired(fold(ADD, [j], op("mul", weight, X)), MOVING, APART), Factor)
    assert repaired(fold(MUL, [j], weight), MOVING, APART) is UNKNOWN
    assert repaired(fold(ADD, [j], op("sub", X, M)), MOVING, APART) is UNKNOWN
    assert isinstance(repaired(fold(MAX, [j], op("sub", X, M)), MOVING, APART), Shift)
    assert repaired(fold(ADD, [j], X), MOVING, APART) is FREE


def test_factors_are_the_same_for_all_that_is_folded() -> None:
    scaled = op("exp", op("mul", X, op("sub", X, M)))  # the exponent moves by x·(m - m')
    assert changed(scaled) is UNKNOWN
