"""Staging, printing, checking and interpreting jaxprs."""

from __future__ import annotations

import numpy as np
import pytest

import weft.core as core
from weft.core import ClosedJaxpr, Eqn, Jaxpr, Literal, ShapedArray, Var
from weft.primitives.arithmetic import add, add_p, mul, mul_p, neg
from weft.primitives.shaping import broadcast_in_dim

F3 = ShapedArray((3,), np.float32)


def test_printing_is_in_the_notation_of_jax():
    const = np.ones(3, np.float32)

    def f(x, y):
        return [add(mul(x, const), broadcast_in_dim(y, (3,), ())), y]

    closed = core.trace_to_jaxpr(f, [F3, ShapedArray((), np.float32)])
    assert str(closed) == (
        "{ lambda a:f32[3]; b:f32[3] c:f32[]. let\n"
        "    d:f32[3] = mul b a\n"
        "    e:f32[3] = broadcast_in_dim[broadcast_dimensions=() shape=(3,)] c\n"
        "    f:f32[3] = add d e\n"
        "  in (f, c) }"
    )
    core.check_jaxpr(closed)


def test_empty_programs_and_literals_print_on_one_line():
    closed = core.trace_to_jaxpr(lambda x: [x, np.float32(2)], [F3])
    assert str(closed) == "{ lambda ; a:f32[3]. let in (a, 2.0:f32[]) }"


def test_variables_have_more_than_one_letter_when_needed():
    def f(x):
        for _ in range(27):
            x = neg(x)
        return [x]

    assert "bb:f32[3] = neg ba" in str(core.trace_to_jaxpr(f, [F3]))


def test_interpreters_agree_and_free_what_is_dead():
    def f(x, y):
        z = mul(x, y)
        return [add(z, z), y]

    closed = core.trace_to_jaxpr(f, [F3, F3])
    x, y = np.float32([1, 2, 3]), np.float32([4, 5, 6])
    for run in (core.eval_closed, core.numpy_closed):
        a, b = run(closed, x, y)
        np.testing.assert_array_equal(a, 2 * x * y)
        np.testing.assert_array_equal(b, y)


def test_deep_programs_do_not_recurse():
    def f(x):
        for _ in range(10_000):
            x = neg(x)
        return [x]

    closed = core.trace_to_jaxpr(f, [F3])
    core.check_jaxpr(closed)
    np.testing.assert_array_equal(core.numpy_closed(closed, np.ones(3))[0], np.ones(3))
    assert str(closed).count(" = neg ") == 10_000


def test_unused_equations_and_constants_are_dropped():
    def f(x):
        mul(x, np.ones(3, np.float32))
        return [x]

    closed = core.trace_to_jaxpr(f, [F3])
    assert closed.eqns == [] and closed.consts == []


def test_hoisting_makes_constants_arguments():
    closed = core.trace_to_jaxpr(lambda x: [add(x, np.ones(3, np.float32))], [F3])
    hoisted = closed.hoisted()
    assert hoisted.consts == [] and len(hoisted.in_avals) == 2
    assert hoisted is closed.hoisted()


def _wrong_jaxpr():
    a, b, c = Var(F3), Var(F3), Var(ShapedArray((2,), np.float32))
    good = Eqn(add_p, [a, a], [b], {})
    bad = Eqn(mul_p, [a, b], [c], {})
    return Jaxpr([], [a], [c], [good, bad])


def test_the_checker_points_at_the_equation():
    with pytest.raises(core.JaxprError) as error:
        core.check_jaxpr(_wrong_jaxpr())
    text = str(error.value)
    assert text.startswith(
        "equation 1 ('mul') is wrong: c has type f32[2] but the rule gives f32[3]"
    )
    assert "     b:f32[3] = add a a\n" in text
    assert "  -> c:f32[2] = mul a b" in text


def test_the_checker_finds_undefined_and_doubly_defined_variables():
    a, b = Var(F3), Var(F3)
    with pytest.raises(core.JaxprError, match="b is used before it is defined"):
        core.check_jaxpr(Jaxpr([], [a], [b], [Eqn(add_p, [a, b], [Var(F3)], {})]))
    with pytest.raises(core.JaxprError, match="a is defined twice"):
        core.check_jaxpr(Jaxpr([], [a], [a], [Eqn(add_p, [a, a], [a], {})]))
    with pytest.raises(core.JaxprError, match=r"the result b:f32\[3\] is not defined"):
        core.check_jaxpr(Jaxpr([], [a], [b], []))


def test_the_checker_compares_constants_with_their_variables():
    jaxpr = Jaxpr([Var(F3)], [], [], [])
    with pytest.raises(core.JaxprError, match=r"type f32\[2\] is given for a constvar f32\[3\]"):
        core.check_jaxpr(ClosedJaxpr(jaxpr, [np.ones(2, np.float32)]))


def test_literals_are_scalars():
    with pytest.raises(ValueError, match=r"a literal is a scalar, not of type f32\[3\]"):
        Literal(np.ones(3), F3)


def test_missing_rules_name_the_primitive_and_the_transformation():
    lonely = core.Primitive("lonely")
    with pytest.raises(core.MissingRuleError, match="'lonely' has no jvp rule: it cannot be diff"):
        lonely.rule("jvp")


def test_a_rule_is_set_once():
    twice = core.Primitive("twice")
    twice.def_type(lambda x: x)
    with pytest.raises(ValueError, match="'twice' already has a type rule"):
        twice.def_type(lambda x: x)


def test_equations_know_the_users_line():
    closed = core.trace_to_jaxpr(lambda x: [neg(x)], [F3])
    source = closed.eqns[0].source
    assert source.file == __file__ and "neg(x)" in source.text()


def test_effects_keep_equations_alive_and_in_order():
    shout = core.Primitive("shout", multiple_results=True)
    shout.def_type(lambda *avals, word: [])
    shout.def_effects(lambda *, word: frozenset(["output"]))

    def f(x):
        shout.bind(x, word="one")
        shout.bind(x, word="two")
        return [x]

    closed = core.trace_to_jaxpr(f, [F3])
    assert [eqn.params["word"] for eqn in closed.eqns] == ["one", "two"]
    assert closed.effects == {"output"}
