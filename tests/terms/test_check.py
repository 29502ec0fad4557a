"""The checker accepts what lowering makes and names what is wrong in anything else."""

from __future__ import annotations

import re

import numpy as np
import pytest

from weft.terms import build
from weft.terms.affine import Affine, Axis
from weft.terms.bounds import Fact, bounds_given, is_proven
from weft.terms.check import TermError, check_program
from weft.terms.interpret import interpret
from weft.terms.liveness import prune
from weft.terms.monoids import ADD, ARGMAX
from weft.terms.print import format_program
from weft.terms.region import Block, Call, Carry, Def, For, If, Program, Scatter, While
from weft.terms.term import Const, Dynamic, Fold, Fuse, Index, Load, Map, Proj, Scan, Term, Value

F32, I32, BOOL = np.dtype(np.float32), np.dtype(np.int32), np.dtype(np.bool_)
P, Q = Axis("i", 4), Axis("j", 3)
X = Value("x", (4, 3), F32)
N = Value("n", (4,), I32)
Y = Value("y", (4,), F32)
S = Value("s", (), F32)
XIJ = Load(X, (Affine.of(P), Affine.of(Q)))
ONE = build.const(1, F32)


def definition(term: Term, axes=(P, Q), value: Value | None = None) -> Def:
    return Def(value or Value("y", tuple(a.extent for a in axes), term.dtype), tuple(axes), term)


def program(*steps, outputs=()) -> Program:
    return Program((X, N), tuple(outputs), Block(list(steps)))


def rejects(message: str, *steps, outputs=()) -> None:
    with pytest.raises(TermError, match=re.escape(message)):
        check_program(program(*steps, outputs=outputs))


def at(value: Value, *index) -> Load:
    return Load(value, tuple(map(Affine.of, index)))


def test_accepts():
    doubled = definition(Map("add", (XIJ, XIJ), F32))
    check_program(program(doubled, outputs=[doubled.value]))


def test_definitions():
    rejects("y of type f32[4] is defined over axes [i:4, j:3]", definition(XIJ, (P, Q), Y))
    rejects("defined by a term of float32", definition(XIJ, (P, Q), Value("y", (4, 3), I32)))
    rejects("y is defined a second time\nin f32 y[i:4, j:3] = x[i,j]", *[definition(XIJ)] * 2)
    rejects(
        "axis j:3 is free in the term, but not an axis of the step: x[i,j]", definition(XIJ, [P])
    )
    square = Value("q", (4, 4), F32)
    rejects("an axis occurs twice", definition(at(X, P, 0), (P, P), square))
    rejects(
        "y is used before it is defined: y[i]", definition(at(Y, P), [P], Value("z", (4,), F32))
    )
    rejects("output y is not defined", outputs=[Y])


def test_operations():
    half = build.const(1, np.float16)
    rejects("add of operands of dtypes float32, float16", definition(Map("add", (XIJ, half), F32)))
    rejects("add takes 2 operands, got 1: add(x[i,j])", definition(Map("add", (XIJ,), F32)))
    rejects("there is no scalar operation 'gemm'", definition(Map("gemm", (XIJ,), F32)))
    rejects("lt of float32, float32 has dtype float32", definition(Map("lt", (XIJ, XIJ), F32)))
    rejects("select of operands of dtypes float32", definition(Map("select", (XIJ, XIJ, XIJ), F32)))
    wide = np.dtype(np.int64)
    rejects("bitcast of float32 to int64", definition(Map("bitcast", (XIJ,), wide)))
    rejects("an index is a number, not a bool", definition(Index(Affine.of(P), BOOL), [P]))
    constant = Const(1, F32)
    constant.value = np.int64(1)
    rejects("a constant of int64 said to be of float32", definition(constant, ()))


def test_loads():
    rejects(
        "load x[i+1,j] is not proven in bounds: index 0 is i+1, in 1..4, but the value is "
        "f32[4,3]\nin f32 y[i:4, j:3] = x[i+1,j]",
        definition(at(X, Affine.of(P) + 1, Q)),
    )
    check_program(program(definition(at(X, Affine.of(P).floordiv(2) + 2, Q))))
    wild = Affine.of(Dynamic(at(N, P), 0, 4))
    rejects("index 0 is clamp(n[i], 0, 4), in 0..4", definition(at(X, wild, Q)))
    rejects(
        "the dynamic index 1.0 is not an integer", definition(at(X, Dynamic(ONE, 0, 3), Q), [Q])
    )
    empty = Affine.of(Dynamic(at(N, P), 3, 2))
    rejects("the dynamic index has the empty range 3..2", definition(at(X, empty, Q)))
    none = Axis("e", 0)
    check_program(program(definition(at(X, Affine.of(none) + 9, 0), [none])))


def test_folds():
    r = Axis("r", 3)
    total = Fold(ADD, (r,), (at(X, P, r),))
    check_program(program(definition(total, [P])))
    rejects("axis r:3 is bound twice", definition(Fold(ADD, (r, r), (at(X, P, r),)), [P]))
    rejects("axis r:3 is bound twice", definition(Fold(ADD, (r,), (total,)), [P]))
    pair = Fold(ARGMAX, (r,), (at(X, P, r), at(X, P, r)))
    rejects("argmax needs an integer position, got float32", definition(Proj(pair, 1), [P]))
    pair = Fold(ARGMAX, (r,), (at(X, P, r), Index(Affine.of(r), I32)))
    check_program(program(definition(Proj(pair, 1), [P])))
    beyond = Proj(pair, 1)
    beyond.position = 2
    rejects("component 2 of a fold with 2", definition(beyond, [P]))
    long = Axis("k", 4)
    scan = Scan(ADD, r, Affine.of(long), (at(X, P, r),))
    rejects("the end k of the scan is not proven within r:3", definition(scan, (P, long)))


def test_pieces():
    inside = at(X, P, Affine.of(Q) - 1)
    good = Fuse(Affine.of(Q), ((0, 1, ONE), (1, 3, inside)))
    check_program(program(definition(good)))
    short = Fuse(Affine.of(Q), ((0, 1, ONE), (1, 2, inside)))
    rejects("the pieces of a fuse do not cover its index, which is in 0..2", definition(short))
    gap = Fuse(Affine.of(Q), ((0, 1, ONE), (2, 3, inside)))
    rejects("the pieces of a fuse do not follow one another at 2:3", definition(gap))
    mixed = Fuse(Affine.of(Q), ((0, 1, ONE), (1, 3, build.const(1, I32))))
    rejects("a fuse of pieces of dtypes float32 and int32", definition(mixed))
    early = Fuse(Affine.of(Q), ((0, 2, inside), (2, 3, ONE)))
    rejects("load x[i,j-1] is not proven in bounds: index 1 is j-1, in -1..0", definition(early))


def test_scatters():
    def scatter(**changes):
        fields = dict(
            value=Y,
            operand=Value("z", (4,), F32),
            axes=(P,),
            index=(Affine.of(P),),
            update=at(X, P, 0),
        )
        return Scatter(**{**fields, **changes})

    zero = definition(ONE, [P], scatter().operand)
    operand = zero.value
    check_program(program(zero, scatter(operand=operand)))
    rejects("z is used before it is defined", scatter())
    rejects("scatter combines by 'mean'", zero, scatter(operand=operand, combine="mean"))
    rejects("the guard is of float32, not bool", zero, scatter(operand=operand, guard=ONE))
    rejects("into float32 of a term of int32", zero, scatter(operand=operand, update=at(N, P)))
    late = (Affine.of(P) + 1,)
    rejects(
        "scatter to y is not proven in bounds: index 0 is i+1, in 1..4, but the value is f32[4]",
        zero,
        scatter(operand=operand, index=late),
    )


def carry(exit_value: Value, **changes) -> Carry:
    fields = dict(init=S, entry=Value("e", (), F32), exit=exit_value, result=Value("r", (), F32))
    return Carry(**{**fields, **changes})


def test_loops():
    start = definition(ONE, (), S)
    after = Value("a", (), F32)
    counter = Value("c", (), I32)
    step = definition(ONE, (), after)
    check_program(program(start, For(2, counter, (carry(after),), Block([step]))))
    rejects("the counter c is not", For(2, Value("c", (), F32), (), Block()))
    outside = For(2, counter, (carry(S),), Block())
    rejects("the carry e leaves as s, which the body does not define", start, outside)
    twice = For(2, counter, (carry(after), carry(after)), Block([step]))
    rejects("a leaves the body as two carries", start, twice)
    changed = For(2, counter, (carry(after, entry=Value("e", (2,), F32)),), Block([step]))
    rejects("the carry e changes its type: f32[], f32[2], f32[], f32[]", start, changed)
    endless = While(Block(), S, (), Block())
    rejects("the predicate s is not a scalar bool", start, endless)


def test_branches():
    start = definition(ONE, (), S)
    index = Value("b", (), I32)
    chosen = definition(build.const(0, I32), (), index)
    result = Value("r", (), F32)
    rejects("the index s of type f32[] is not", start, If(S, (), (), ()))
    foreign = If(index, (Block(),), ((S,),), (result,))
    rejects("branch 0 gives s, which it does not define", start, chosen, foreign)
    inner = Value("q", (2,), F32)
    other = If(index, (Block([definition(ONE, [Axis("i", 2)], inner)]),), ((inner,),), (result,))
    rejects("branch 0 gives f32[2] for f32[]", chosen, other)


def test_facts_tighten_bounds():
    i, k = Axis("i", 10), Axis("k", 3)
    moved = Affine.of(i) + k - 1
    inside = Fact(moved, 0, 10)
    assert bounds_given(moved, (inside,)) == (0, 9)
    assert bounds_given(moved * -2 + 1, (inside,)) == (-17, 1)
    assert bounds_given(moved.floordiv(2), (inside,)) == (0, 4)
    assert bounds_given(Affine.of(i), (Fact(Affine.of(i) * -1 + 9, 0, 4),)) == (6, 9)
    assert not is_proven(moved, 0, 10, ())


def test_small_spaces_are_enumerated():
    i = Axis("i", 12)
    square = Affine.of(i) - Affine.of(i).floordiv(2) * 2 + Affine.of(i).floordiv(2) * 2
    assert is_proven(square, 0, 12, ())
    odd = Affine.of(i).floordiv(3) * 2 - Affine.of(i).floordiv(2)
    assert bounds_given(odd, ())[0] < -1 and is_proven(odd, -2, 3, ())


def test_the_interpreter_finds_loads_out_of_bounds():
    x, n = np.zeros((4, 3), np.float32), np.zeros(4, np.int32)
    late = program(definition(at(X, Affine.of(P) + 1, Q)))
    with pytest.raises(IndexError, match=re.escape("out of bounds in x[i+1,j]")):
        interpret(late, x, n)
    guarded = Fuse(Affine.of(Q), ((0, 1, ONE), (1, 3, at(X, P, Affine.of(Q) - 1))))
    step = definition(guarded)
    (result,) = interpret(program(step, outputs=[step.value]), x, n)
    assert (result[:, 0] == 1).all() and (result[:, 1:] == 0).all()


def test_the_interpreter_checks_its_arguments():
    with pytest.raises(TypeError, match="takes 2 arguments, got 1"):
        interpret(program(), np.zeros((4, 3)))
    with pytest.raises(ValueError, match=re.escape("input n has shape (4,), got (3,)")):
        interpret(program(), np.zeros((4, 3)), np.zeros(3))


def test_constructors_refuse_nonsense():
    with pytest.raises(TypeError, match="add needs operands of one dtype, got float32, int32"):
        build.op("add", ONE, build.const(1, I32))
    with pytest.raises(ValueError, match="no scalar operation 'select' of operands of one dtype"):
        build.op("select", ONE)
    with pytest.raises(TypeError, match="neg takes 1 operands, got 2"):
        build.op("neg", ONE, ONE)
    with pytest.raises(TypeError, match="select needs a bool predicate, got float32"):
        build.select(ONE, ONE, ONE)
    with pytest.raises(TypeError, match="bitcast of float32 to int64, which has another width"):
        build.bitcast(ONE, np.dtype(np.int64))
    with pytest.raises(
        ValueError, match=re.escape("load of x with 1 indices; its shape is (4, 3)")
    ):
        at(X, P)
    with pytest.raises(ValueError, match="fold over argmax takes 2 bodies, got 1"):
        Fold(ARGMAX, (P,), (ONE,))
    with pytest.raises(ValueError, match="the end depends on the axis itself"):
        Scan(ADD, P, Affine.of(P), (ONE,))


class Halves:
    """A routine that gives both halves of an array."""

    def __call__(self, x: np.ndarray, first: int) -> list[np.ndarray]:
        return [x[:first], x[first:]]

    def __str__(self) -> str:
        return "halves"


def test_calls():
    top, rest = Value("top", (1, 3), F32), Value("rest", (3, 3), F32)
    call = Call(Halves(), (X,), (top, rest), {"first": 1})
    whole = program(call, outputs=[rest])
    check_program(whole)
    assert "  top:f32[1,3], rest:f32[3,3] = call halves(x)" in format_program(whole).splitlines()
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    (result,) = interpret(whole, x, np.zeros(4))
    np.testing.assert_array_equal(result, x[1:])
    rejects("top is used before it is defined", Call(Halves(), (top,), (rest,)))


def test_calls_are_never_dropped():
    top, rest = Value("top", (1, 3), F32), Value("rest", (3, 3), F32)
    call = Call(Halves(), (X,), (top, rest), {"first": 1})
    loop = For(2, Value("c", (), I32), (), Block([call]))
    unused = definition(XIJ)
    pruned = prune(program(unused, loop))
    (kept,) = pruned.block.steps
    assert kept.body.steps == [call]
