"""Stages of a jitted function: traced, lowered, compiled."""

from __future__ import annotations

from functools import partial

import numpy as onp
import pytest

import weft
import weft.numpy as np


@partial(weft.jit, static_argnames="power")
def f(x, *, power=1):
    return {"y": (np.exp(x["a"]) * x["b"]) ** power, "n": x["b"].sum()}


ARGS = {"a": onp.ones((3, 40), onp.float32), "b": onp.arange(40.0, dtype=onp.float32)}


@pytest.mark.parametrize(
    ("level", "words"),
    [
        ("jaxpr", "f32[3,40]"),
        ("terms", "exp"),
        ("saturated", "exp"),
        ("schedule", "serial"),
        ("program", "launch"),
        ("llvm", "define"),
        ("assembly", "ret"),
    ],
)
def test_every_level_is_text(level, words):
    lowered = f.lower(ARGS)
    assert words in lowered.as_text(level)
    if level == "terms":
        assert lowered.as_text() == lowered.as_text(level)


def test_the_compiled_program_is_that_of_the_jitted_function():
    shapes = weft.tree.map(lambda x: weft.ShapeDtypeStruct(x.shape, x.dtype), ARGS)
    lowered = f.lower(shapes, power=2)
    compiled = lowered.compile()
    assert (
        lowered.out_info["y"].shape == (3, 40) and str(lowered.in_avals[0][0]["a"]) == "f32[3,40]"
    )
    expected = f(ARGS, power=2)
    found = compiled(ARGS)
    assert weft.tree.structure(found) == compiled.out_tree == lowered.out_tree
    for a, b in zip(weft.tree.leaves(found), weft.tree.leaves(expected), strict=True):
        onp.testing.assert_array_equal(a, b)
    assert compiled.stats is f.stats(ARGS, power=2)
    assert f.trace(ARGS, power=2).lower().out_tree == lowered.out_tree
    assert f.eval_shape(ARGS)["n"].shape == ()
    assert "define" in compiled.as_text() and repr(compiled) == "<Compiled 'f'>"


def test_a_compiled_program_takes_only_what_it_was_compiled_for():
    compiled = weft.jit(lambda x, y: x + y["k"]).lower(1.0, {"k": np.ones(3)}).compile()
    onp.testing.assert_array_equal(compiled(2.0, {"k": onp.ones(3, onp.float32)}), [3, 3, 3])
    onp.testing.assert_array_equal(
        weft.grad(lambda x: compiled(x, {"k": np.ones(3)}).sum())(2.0), 3
    )
    with pytest.raises(TypeError) as error:
        compiled(1.0, {"k": np.ones(4)})
    assert "(args, kwargs)[0][1]['k'] has type f32[4], it was compiled for f32[3]." in str(
        error.value
    )
    with pytest.raises(TypeError, match=r"of the structure \(\(\*, \{'k': \*\}\), \{\}\), got"):
        compiled(1.0)
    with pytest.raises(TypeError, match="is 's' of type str"):
        compiled("s", {"k": np.ones(3)})
    with pytest.raises(ValueError, match=r"a level is one of jaxpr, terms, .*; got 'stablehlo'"):
        f.lower(ARGS).as_text("stablehlo")


def test_clear_caches_forgets_programs_and_results_stay_right():
    g = weft.jit(lambda x: x * 3)
    x = np.ones(3)
    first = g.trace(x)
    assert g.trace(x) is first and float((x + 41).sum()) == 126
    weft.clear_caches()
    assert g.trace(x) is not first
    onp.testing.assert_array_equal(g(x), [3, 3, 3])
    assert float((x + 41).sum()) == 126
