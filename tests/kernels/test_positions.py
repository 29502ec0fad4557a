"""Integers made of indices: what a position says is true of every value."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from weft.kernels.positions import position
from weft.terms import ops
from weft.terms.affine import Affine, Axis
from weft.terms.term import Const, Index, Map, Term, postorder

I32 = np.dtype(np.int32)
ROWS, COLUMNS = Axis("i", 7), Axis("j", 9)


def number(value: int) -> Term:
    return Const(np.int32(value), I32)


leaves = st.one_of(
    st.builds(number, st.integers(-5, 40)),
    st.builds(
        lambda a, b, c: Index(Affine(((ROWS, a), (COLUMNS, b)), c), I32),
        st.integers(-3, 3),
        st.integers(-3, 3),
        st.integers(-9, 9),
    ),
    st.builds(
        lambda axis, c, d: Index(Affine.of(axis * 1 + c).floordiv(d), I32),
        st.sampled_from([Affine.of(ROWS), Affine.of(COLUMNS)]),
        st.integers(-9, 9),
        st.integers(1, 5),
    ),
)


def larger(parts: st.SearchStrategy[Term]) -> st.SearchStrategy[Term]:
    return st.one_of(
        st.builds(lambda a, b: Map("add", (a, b), I32), parts, parts),
        st.builds(lambda a, b: Map("sub", (a, b), I32), parts, parts),
        st.builds(lambda a: Map("neg", (a,), I32), parts),
        st.builds(lambda a, k: Map("mul", (a, number(k)), I32), parts, st.integers(-4, 4)),
        st.builds(lambda a, k: Map("div", (a, number(k)), I32), parts, st.integers(1, 6)),
    )


def values(term: Term) -> Any:
    at = {ROWS: np.arange(7)[:, None], COLUMNS: np.arange(9)[None, :]}
    found: dict[Term, Any] = {}
    for t in postorder(term):
        if isinstance(t, Const):
            found[t] = np.asarray(t.value, I32)
        elif isinstance(t, Index):
            found[t] = np.asarray(t.expr.evaluate(at)).astype(I32)
        else:
            assert isinstance(t, Map)
            found[t] = ops.evaluate(t.op, tuple(found[a] for a in t.args), I32)
    return found[term]


@given(st.recursive(leaves, larger, max_leaves=6))
def test_every_value_is_within_its_slack(term: Term) -> None:
    found = position(term)
    if found is None:
        return
    at = {ROWS: np.arange(7)[:, None], COLUMNS: np.arange(9)[None, :]}
    exact = values(term)
    slack = exact * found.scale - found.expr.evaluate(at)
    assert found.lo <= slack.min() and slack.max() <= found.hi
    least, most = found.bounds()
    assert least <= exact.min() and exact.max() <= most


def test_a_quotient_rounded_down_is_known() -> None:
    """As floor_divide writes it: one less where the signs differ, which they never do."""
    i = Index(Affine.of(COLUMNS), I32)
    quotient = Map("div", (i, number(4)), I32)
    below = Map("lt", (i, number(0)), np.dtype(np.bool_))
    less = Map("sub", (quotient, number(1)), I32)
    found = position(Map("select", (below, less, quotient), I32))
    assert found is not None
    assert (found.expr, found.scale, found.lo, found.hi) == (Affine.of(COLUMNS), 4, -3, 0)
