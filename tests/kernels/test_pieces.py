"""What loops leave of fuses: the same elements, without the pieces that are elsewhere."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weft
import weft.lax
import weft.numpy as wnp
from weft.kernels.pieces import breakpoints, entered
from weft.terms.affine import Affine, Axis
from weft.terms.build import const, op
from weft.terms.interpret import interpret
from weft.terms.monoids import ADD
from weft.terms.region import Block, Def, Program
from weft.terms.term import (
    Fold,
    Fuse,
    Index,
    Load,
    Term,
    Value,
    fuse,
    postorder,
    shared,
    substitute,
)

F32 = np.dtype(np.float32)
N, M = 9, 7
X = Value("x", (N, M), F32)


def evaluated(axes: tuple[Axis, ...], term: Term) -> np.ndarray:
    result = Value("r", tuple(a.extent for a in axes), term.dtype)
    program = Program((X,), (result,), Block([Def(result, axes, term)]))
    return interpret(program, np.arange(N * M, dtype=np.float32).reshape(N, M))[0]


@st.composite
def terms(draw: st.DrawFn, i: Axis, j: Axis) -> Term:
    """Fuses of fuses, along either axis or both, of elements, positions and sums."""
    over = Axis("k", M)

    def make(depth: int) -> Term:
        kind = draw(
            st.sampled_from(["x", "index", "sum"] if not depth else ["fuse", "fuse", "add"])
        )
        if kind == "x":
            return Load(X, (Affine.of(i), Affine.of(j)))
        if kind == "index":
            return Index(Affine.of(i) * 2 + j, F32)
        if kind == "sum":
            return Fold(ADD, (over,), (Load(X, (Affine.of(i), Affine.of(over))),))
        if kind == "add":
            return op("add", make(depth - 1), make(depth - 1))
        where = draw(
            st.sampled_from([Affine.of(i), Affine.of(j) + 2, -Affine.of(i) + N, Affine.of(i) + j])
        )
        lo, hi = where.bounds()
        cuts = sorted({lo, hi + 1, *draw(st.lists(st.integers(lo, hi), max_size=3))})
        pieces = [(a, b, make(depth - 1)) for a, b in pairwise(cuts)]
        return fuse(where, tuple(pieces))

    return make(3)


@given(st.data())
def test_pieces_of_a_loop_are_what_they_were(data: st.DataObject) -> None:
    i, j = Axis("i", N), Axis("j", M)
    term = data.draw(terms(i, j))
    lo = data.draw(st.integers(0, N - 1))
    hi = data.draw(st.integers(lo + 1, N))
    axis, part = Axis("i", N), Axis("i", hi - lo)
    (inside,) = entered((term,), i, axis, {axis: (lo, hi - 1)})
    assert i not in inside.axes
    found = evaluated((part, j), substitute(inside, {axis: Affine.of(part) + lo}))
    np.testing.assert_array_equal(found, evaluated((i, j), term)[lo:hi])
    for fused in (t for t in postorder(inside) if isinstance(t, Fuse)):
        if fused.index.axes() == {axis}:
            low, high = fused.index.bounds({axis: (lo, hi - 1)})
            assert all(a <= high and low < b for a, b, _ in fused.pieces)


def test_loops_without_cuts_inside_have_one_piece() -> None:
    i, axis = Axis("i", N), Axis("i", N)
    zero, one = const(0, F32), Load(X, (Affine.of(i), Affine()))
    term = Fuse(Affine.of(i), ((0, 2, zero), (2, 5, one), (5, N, zero)))
    cuts = breakpoints(term, i)
    assert cuts == [0, 2, 5, N]
    moved = [zero, Load(X, (Affine.of(axis), Affine())), zero]
    for (a, b), piece in zip(pairwise(cuts), moved, strict=True):
        (inside,) = entered((term,), i, axis, {axis: (a, b - 1)})
        assert inside == Fuse(Affine.of(axis), ((a, b, piece),))


def test_equal_terms_become_one() -> None:
    i = Axis("i", N)

    def element() -> Term:
        return op("neg", Load(X, (Affine.of(i), Affine())))

    first, second = shared(op("add", element(), element()), element())
    assert first.children[0] is first.children[1] is second


@pytest.mark.parametrize("shape", [(17, 19), (5, 7)])
def test_pieces_in_a_piece_that_a_loop_never_enters_are_left_out(shape: tuple[int, int]) -> None:
    """Two `roll`s made flat ended in an `OpenExtentError`."""
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    found = weft.jit(lambda x: wnp.roll(wnp.roll(x, 5), -2, 1).reshape(1, -1))(x)
    np.testing.assert_array_equal(np.asarray(found), np.roll(np.roll(x, 5), -2, 1).reshape(1, -1))
