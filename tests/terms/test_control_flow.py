"""Loops and branches: terms against jaxprs, and what is carried."""

from __future__ import annotations

import numpy as np

import weft
from tests.terms.programs import agree
from weft import lax, tree
from weft.core.avals import aval_of
from weft.primitives.arithmetic import add, mul
from weft.primitives.reduction import reduce_sum
from weft.terms.region import For, If, Scatter, While

X = np.arange(6, dtype=np.float32).reshape(3, 2)


def flat(fun):
    return lambda *args: tree.leaves(fun(*args))


def one_more(i):
    return add(i, lax.full_like(i, 1))


def body(carry, x):
    return add(mul(carry, x), x), (add(carry, x), mul(x, x))


def total(carry, xs):
    leaves = tree.leaves(lax.scan(body, carry, xs))
    sums = [reduce_sum(t, tuple(range(aval_of(t).ndim))) for t in leaves]
    return add(add(sums[0], sums[1]), sums[2])


def test_scan():
    for reverse in (False, True):
        program = agree(flat(lambda c, x, r=reverse: lax.scan(body, c, x, reverse=r)), X[0], X)
        loop = program.block.steps[-1]
        assert isinstance(loop, For) and loop.length == 3 and len(loop.carries) == 3
        puts = [s for s in loop.body.steps if isinstance(s, Scatter)]
        assert len(puts) == 2 and all(s.unique and s.combine == "set" for s in puts)


def test_empty_scan():
    agree(flat(lambda c, x: lax.scan(body, c, x)), X[0], X[:0])


def test_derivatives_and_batches_of_scan():
    agree(flat(weft.grad(total, argnums=(0, 1))), X[0], X)
    agree(flat(weft.vmap(total, in_axes=(None, 1))), np.float32(1), X)


def test_while_that_swaps_its_carries():
    def loop(n, x):
        return lax.while_loop(
            lambda s: lax.lt(s[0], n),
            lambda s: (one_more(s[0]), s[2], mul(s[1], s[1])),
            (np.int32(0), x, x),
        )

    program = agree(flat(loop), np.int32(3), X)
    step = program.block.steps[-1]
    assert isinstance(step, While)
    assert len({c.exit for c in step.carries}) == 3
    assert all(c.exit is not c.entry for c in step.carries)


def test_what_the_body_passes_on_is_not_carried():
    def loop(n, x, y):
        return lax.while_loop(
            lambda s: lax.lt(s[0], n),
            lambda s: (one_more(s[0]), s[1], add(s[1], s[2])),
            (np.int32(0), x, y),
        )

    program = agree(flat(loop), np.int32(3), X, X)
    step = program.block.steps[-1]
    assert len(step.carries) == 2
    assert program.outputs[1] is program.inputs[1]
    agree(flat(lambda c, x: lax.scan(lambda c, x: (c, add(c, x)), c, x)), X[0], X)


def test_unchanged_carries_stay_where_they_are():
    @weft.jit
    def same(y):
        return y

    def loop(n, x):
        return lax.while_loop(
            lambda s: lax.lt(s[0], n), lambda s: (one_more(s[0]), same(s[1])), (np.int32(0), x)
        )

    step = agree(flat(loop), np.int32(3), X).block.steps[-1]
    assert all(c.exit is c.entry for c in step.carries[1:])


def test_mapped_while():
    def loop(n, x):
        return lax.while_loop(
            lambda s: lax.lt(s[0], n), lambda s: (one_more(s[0]), add(s[1], x)), (np.int32(0), x)
        )

    agree(flat(weft.vmap(loop)), np.arange(3, dtype=np.int32), X)


def test_cond_gives_each_result_a_value_of_its_own():
    for taken in (True, False):
        program = agree(
            flat(lambda p, x: lax.cond(p, lambda x: (x, x), lambda x: (mul(x, x), x), x)),
            np.bool_(taken),
            X,
        )
        step = program.block.steps[-1]
        assert isinstance(step, If)
        assert all(len(set(outputs)) == 2 for outputs in step.outputs)


def test_nested_control_flow():
    def step(s):
        return lax.cond(
            lax.gt(s[0], np.int32(1)), lambda s: s, lambda s: (s[0], mul(s[1], s[1])), s
        )

    def loop(n, x):
        def advance(s):
            i, y = step(s)
            return one_more(i), y

        return lax.while_loop(lambda s: lax.lt(s[0], n), advance, (np.int32(0), x))

    agree(flat(loop), np.int32(4), X)


def test_calls_are_inlined():
    @weft.jit
    def inner(x):
        return mul(x, x)

    program = agree(flat(weft.jit(lambda x: weft.checkpoint(inner)(inner(x)))), X)
    assert len(program.block.steps) == 2


def test_unused_results_of_loops_are_not_computed():
    program = agree(flat(lambda c, x: lax.scan(body, c, x)[0]), X[0], X)
    (loop,) = program.block.steps
    assert len(loop.carries) == 1 and len(loop.body.steps) == 2
    assert agree(lambda c, x: [c], X[0], X).block.steps == []


def test_carries_that_carries_need_are_kept():
    def loop(n, x, y):
        def step(s):
            i, a, b, c = s
            return one_more(i), add(a, b), mul(b, y), add(c, c)

        return lax.while_loop(lambda s: lax.lt(s[0], n), step, (np.int32(0), x, x, x))[1]

    program = agree(flat(loop), np.int32(3), X, X)
    step = program.block.steps[-1]
    assert len(step.carries) == 3 and len(step.body.steps) == 3


def test_unused_results_of_branches_are_not_computed():
    def choose(p, x):
        return lax.cond(p, lambda x: (x, mul(x, x)), lambda x: (add(x, x), x), x)[0]

    program = agree(flat(choose), np.bool_(True), X)
    assert [len(b.steps) for b in program.block.steps[-1].branches] == [1, 1]


def test_equal_equations_are_lowered_once():
    def twice(x):
        return add(mul(x, x), weft.jit(lambda x: mul(x, x))(x)), mul(x, x)

    assert len(agree(flat(twice), X).block.steps) == 2


def test_what_branches_compute_is_not_used_outside_them():
    def f(p, x):
        y = lax.cond(p, lambda x: mul(x, x), lambda x: add(mul(x, x), mul(x, x)), x)
        return add(y, mul(x, x))

    program = agree(flat(f), np.bool_(True), X)
    (branches,) = [s for s in program.block.steps if isinstance(s, If)]
    assert sorted(len(b.steps) for b in branches.branches) == [1, 2]


def test_checkpoints_are_computed_again():
    program = agree(flat(lambda x: add(mul(x, x), weft.checkpoint(lambda x: mul(x, x))(x))), X)
    assert len(program.block.steps) == 3
