"""Re-indexing of terms: a program whose definitions are all inlined means the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from tests.terms.programs import assert_close, programs
from weft.terms.affine import Affine, Axis
from weft.terms.build import const, op
from weft.terms.interpret import interpret
from weft.terms.lower import lower_jaxpr
from weft.terms.region import Block, Def, Program
from weft.terms.term import Fold, Load, Term, Value, fuse, postorder, substitute

MOST_NODES = 3000


def inlined(program: Program) -> Program | None:
    """Every definition in terms of inputs alone; None where that is impossible or too large."""
    terms: dict[Value, Def] = {}
    size = 0

    def expand(load: Load) -> Term:
        step = terms.get(load.value)
        if step is None:
            return load
        return substitute(step.term, dict(zip(step.axes, load.index, strict=True)))

    for step in program.block.steps:
        if not isinstance(step, Def):
            return None
        term = substitute(step.term, {}, expand)
        size += len(postorder(term))
        if size > MOST_NODES:
            return None
        terms[step.value] = Def(step.value, step.axes, term)
    kept = [terms[v] for v in dict.fromkeys(program.outputs) if v in terms]
    return Program(program.inputs, program.outputs, Block(kept), program.constants)


@given(programs())
def test_inlining_every_definition_changes_nothing(case):
    closed, args = case
    program = lower_jaxpr(closed)
    whole = inlined(program)
    if whole is None:
        return
    # Some compositions take place over spaces too large for the vectorised interpreter.
    axes = {a for s in whole.block.steps for t in postorder(s.term) for a in _all_axes(t)}
    if np.prod([float(max(a.extent, 1)) for a in axes]) > 1e6:
        return
    for got, want in zip(interpret(whole, *args), interpret(program, *args), strict=True):
        assert_close(got, want)


def _all_axes(term: Term) -> frozenset[Axis]:
    return term.axes | frozenset(getattr(term, "over", ())) if isinstance(term, Fold) else term.axes


def test_substitution_drops_pieces_out_of_range():
    i, j = Axis("i", 8), Axis("j", 3)
    x = Value("x", (8,), np.dtype(np.float32))
    head, tail = Load(x, (Affine.of(i),)), Load(x, (Affine.of(i) - 1,))
    pieces = fuse(Affine.of(i), ((0, 4, head), (4, 8, tail)))
    assert substitute(pieces, {i: Affine.of(j)}) == Load(x, (Affine.of(j),))
    assert substitute(pieces, {i: Affine.of(j) + 4}) == Load(x, (Affine.of(j) + 3,))
    both = substitute(pieces, {i: Affine.of(j) + 2})
    assert repr(both) == "{j+2 in 0:4 -> x[j+2]; 4:8 -> x[j+1]}"


def test_deep_terms_need_no_recursion():
    x = Value("x", (), np.dtype(np.float32))

    def negated(start: Term) -> Term:
        for _ in range(20_000):
            start = op("neg", start)
        return start

    deep = negated(Load(x, ()))
    assert len(postorder(deep)) == 20_001
    assert substitute(deep, {}) is deep
    again = substitute(negated(Load(Value("z", (), x.dtype), ())), {}, lambda _: Load(x, ()))
    assert again is not deep and again == deep
    step = Def(Value("y", (), deep.dtype), (), deep)
    program = Program((x,), (step.value,), Block([step]))
    assert interpret(program, np.float32(3))[0] == 3


def test_equality_of_shared_terms_is_linear():
    x = Value("x", (4,), np.dtype(np.float32))
    i = Axis("i", 4)

    def doubled(times: int) -> Term:
        term: Term = Load(x, (Affine.of(i).floordiv(2),))
        for _ in range(times):
            term = op("add", term, term)
        return term

    assert doubled(100) == doubled(100)
    assert doubled(100) != doubled(101)
    assert hash(doubled(100)) == hash(doubled(100))


def test_equality_tells_apart():
    i, j = Axis("i", 4), Axis("i", 4)
    x = Value("x", (4,), np.dtype(np.float32))
    assert Load(x, (Affine.of(i),)) != Load(x, (Affine.of(j),))
    assert const(0.0, np.float32) != const(-0.0, np.float32)
    assert const(np.nan, np.float32) == const(np.nan, np.float32)
    assert const(1, np.int32) != const(1, np.int64)
    assert Load(x, (Affine.of(i),)) != Load(Value("x", (4,), x.dtype), (Affine.of(i),))
