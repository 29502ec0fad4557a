"""Terms as polynomials of a number in them, compared with moving it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.terms.affine import Affine, Axis
from weft.terms.build import cast, const, op
from weft.terms.expansion import DEGREE, expansion, is_multiple
from weft.terms.interpret import evaluate_over
from weft.terms.term import Load, Term, Value, replace_subterms

F64 = np.dtype(np.float64)
I = Axis("i", 3)  # noqa: E741
C, X = Value("c", (), F64), Value("x", (3,), F64)
MOVING, OTHER = Load(C, ()), Load(X, (Affine.of(I),))


def polynomials() -> st.SearchStrategy[Term]:
    numbers = st.floats(-2, 2).map(lambda v: const(v, F64))
    leaves = st.one_of(st.just(MOVING), st.just(OTHER), numbers)

    def grown(inner: st.SearchStrategy[Term]) -> st.SearchStrategy[Term]:
        pairs = st.tuples(st.sampled_from(("add", "sub", "mul")), inner, inner)
        return st.one_of(
            pairs.map(lambda p: op(*p)),
            inner.map(lambda t: op("neg", t)),
            inner.map(lambda t: op("div", t, const(4.0, F64))),
        )

    return st.recursive(leaves, grown, max_leaves=6)


def value(term: Term, c: float, x: np.ndarray) -> np.ndarray:
    found: Any = evaluate_over(term, (I,), {C: np.array(c), X: x})
    return np.broadcast_to(found, (3,))


@settings(max_examples=100)
@given(polynomials(), st.floats(-1, 1), st.floats(-1, 1))
def test_an_expansion_is_the_term_where_the_number_is(term: Term, c: float, delta: float) -> None:
    found = expansion(term, MOVING)
    if found is None:
        return
    assert 1 <= len(found) <= DEGREE + 1
    x = np.array([-1.5, 0.25, 2.0])
    total = sum(
        value(coefficient, c, x) * delta**n
        for n, coefficient in enumerate(found)
        if coefficient is not None
    )
    np.testing.assert_allclose(total, value(term, c + delta, x), rtol=1e-9, atol=1e-9)


def test_squares() -> None:
    apart = op("sub", OTHER, MOVING)
    found = expansion(op("mul", apart, apart), MOVING)
    assert found is not None and len(found) == 3
    assert found[2] == const(1.0, F64)


@pytest.mark.parametrize(
    "term",
    [
        op("exp", op("sub", OTHER, MOVING)),
        op("abs", MOVING),
        op("div", OTHER, MOVING),
        op("max", OTHER, MOVING),
    ],
)
def test_what_is_no_polynomial_has_none(term: Term) -> None:
    assert expansion(term, MOVING) is None


def test_high_powers_are_left() -> None:
    power: Term = MOVING
    for _ in range(DEGREE):
        power = op("mul", power, MOVING)
    assert expansion(power, MOVING) is None


def test_multiples() -> None:
    third = op("div", MOVING, const(3.0, F64))
    assert is_multiple(MOVING, MOVING) and is_multiple(third, MOVING)
    assert is_multiple(op("neg", op("mul", const(2.0, F64), third)), MOVING)
    assert is_multiple(cast(third, np.dtype(np.float32)), MOVING)
    assert not is_multiple(op("add", third, const(1.0, F64)), MOVING)
    assert not is_multiple(op("div", const(1.0, F64), MOVING), MOVING)
    assert not is_multiple(op("mul", MOVING, MOVING), MOVING)
    assert not is_multiple(replace_subterms(third, {MOVING: OTHER}), MOVING)
