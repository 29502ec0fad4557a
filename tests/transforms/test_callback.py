"""Calls back to Python: values, order, errors, batching."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft import lax

SCALAR = weft.ShapeDtypeStruct((), np.float32)


def shape(*sizes: int) -> Any:
    return weft.ShapeDtypeStruct(sizes, np.float32)


@pytest.mark.parametrize("wrap", [weft.jit, lambda f: f], ids=["jit", "eager"])
def test_pure_callback_sits_in_the_middle_of_a_program(wrap: Any) -> None:
    @wrap
    def run(x: Any) -> Any:
        s = weft.pure_callback(lambda a, b: (np.sort(a), b + 1), (shape(4), SCALAR), x * 2, x[0])
        return wnp.concatenate([s[0], s[1][None]]) * 10

    x = np.array([3, 1, 2, 0], np.float32)
    np.testing.assert_array_equal(run(x), [0, 20, 40, 60, 40])


def test_arguments_keep_their_structure_and_outlive_the_call() -> None:
    kept = []

    def host(tree: Any, *, scale: Any) -> Any:
        kept.append(tree["a"])
        return {"out": tree["a"] * scale}

    f = weft.jit(
        lambda x: weft.pure_callback(host, {"out": shape(3)}, {"a": x + 1}, scale=x[0])["out"]
    )
    x = np.array([2, 3, 4], np.float32)
    np.testing.assert_array_equal(f(x), (x + 1) * 2)
    f(x * 0)
    np.testing.assert_array_equal(kept[0], x + 1)


def test_callbacks_inside_loops_run_once_an_iteration_in_order() -> None:
    seen: list[float] = []

    @weft.jit
    def run(x: Any) -> Any:
        def body(_: Any, c: Any) -> Any:
            weft.io_callback(lambda v: seen.append(float(v)), None, c)
            return c * 2

        return lax.fori_loop(0, 5, body, x)

    assert float(run(np.float32(1))) == 32
    assert seen == [1, 2, 4, 8, 16]


def test_exception_of_a_callback_reaches_the_caller_and_the_next_call_works() -> None:
    def host(x: np.ndarray) -> np.ndarray:
        if x < 0:
            raise KeyError("negative")
        return np.sqrt(x)

    f = weft.jit(lambda x: weft.pure_callback(host, SCALAR, x) + 1)
    with pytest.raises(KeyError, match="negative"):
        f(np.float32(-1))
    assert float(f(np.float32(4))) == 3


def test_what_was_promised_is_checked() -> None:
    f = weft.jit(lambda x: weft.pure_callback(lambda a: a[:2], shape(3), x))
    with pytest.raises(ValueError, match=r"result 0 of callback .* float32\[2\].*float32\[3\]"):
        f(np.ones(3, np.float32))
    g = weft.jit(lambda x: weft.pure_callback(lambda a: (a, a), shape(3), x))
    with pytest.raises(TypeError, match="promised"):
        g(np.ones(3, np.float32))


@pytest.mark.parametrize("method", ["sequential", "expand_dims", "broadcast_all"])
def test_vmap_of_a_callback(method: str) -> None:
    def one(x: Any, y: Any) -> Any:
        return weft.pure_callback(lambda a, b: a * b + 1, SCALAR, x, y, vmap_method=method)

    x = np.arange(5, dtype=np.float32)
    got = weft.jit(weft.vmap(one, in_axes=(0, None)))(x, np.float32(3))
    np.testing.assert_array_equal(got, x * 3 + 1)


def test_vmap_without_a_method_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="vmap_method"):
        weft.vmap(lambda x: weft.pure_callback(np.sin, SCALAR, x))(np.ones(3, np.float32))


def test_gradient_of_a_callback_says_what_to_do() -> None:
    with pytest.raises(TypeError, match="custom_jvp"):
        weft.grad(lambda x: weft.pure_callback(np.sin, SCALAR, x))(np.float32(1))


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="a function is needed"):
        weft.pure_callback(3, SCALAR, 1.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="vmap_method is one of"):
        weft.pure_callback(np.sin, SCALAR, 1.0, vmap_method="legacy")


def recording(ordered: bool = False) -> tuple[list[float], Any]:
    """Values that a callback saw, and a function that calls it."""
    seen: list[float] = []

    def host(x: np.ndarray) -> np.ndarray:
        seen.append(float(x))
        return x + 1

    return seen, lambda x: weft.io_callback(host, SCALAR, x, ordered=ordered)


ELEMENTS = st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=4)


@settings(max_examples=12, deadline=None)
@given(ELEMENTS, st.sampled_from([lambda f: f, weft.jit]))
def test_effects_under_vmap_are_those_of_each_element_in_turn(elements: Any, wrap: Any) -> None:
    seen, note = recording()

    def f(chosen: Any, x: Any) -> Any:
        x = lax.cond(chosen, note, lambda x: x * 2, x)
        return lax.while_loop(lambda c: c < 3, note, x)

    chosen = np.array([c for c, _ in elements])
    x = np.array([v for _, v in elements], np.float32)
    expected = [f(c, v) for c, v in zip(chosen, x, strict=True)]
    np.testing.assert_array_equal(expected, expected)  # computed now
    branches = [float(v) for c, v in elements if c]
    loops = [float(k) for c, v in elements for k in range(v + 1 if c else 2 * v, 3)]
    assert sorted(seen) == sorted(branches + loops)
    seen.clear()
    np.testing.assert_array_equal(wrap(weft.vmap(f))(chosen, x), expected)
    assert seen == branches + loops


def test_nested_and_unmapped_effects() -> None:
    seen, note = recording()
    x = np.arange(4, dtype=np.float32).reshape(2, 2)
    np.testing.assert_array_equal(weft.vmap(weft.vmap(note))(x), x + 1)
    assert sorted(seen) == [0, 1, 2, 3]
    seen.clear()
    both = weft.vmap(lambda p, x: lax.cond(p, note, lambda x: x, x), in_axes=(None, 0))
    np.testing.assert_array_equal(both(True, x[1]), [3, 4])
    np.testing.assert_array_equal(both(False, x[1]), [2, 3])
    assert seen == [2, 3]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda f: lambda x: f(x),
        weft.jit,
        lambda f: lambda x: lax.cond(x > 1, f, lambda x: x, x),
        lambda f: lambda x: lax.while_loop(lambda c: c < 3, f, x),
    ],
)
def test_ordered_calls_cannot_be_mapped(wrap: Any) -> None:
    _, note = recording(ordered=True)
    with pytest.raises(ValueError) as error:
        weft.vmap(wrap(note))(np.arange(3, dtype=np.float32))
    text = str(error.value)
    assert text.startswith("io_callback host with ordered=True under vmap: the elements")
    assert "With ordered=False, the default, there is one call for each\nAt " in text
    assert text.endswith("weft.io_callback(host, SCALAR, x, ordered=ordered)")


def test_what_calls_back_and_sees_the_other_elements() -> None:
    def branch(x: Any) -> Any:
        weft.debug.print("{}", x)
        return lax.psum(x, "i")

    f = weft.vmap(lambda p, x: lax.cond(p, branch, lambda x: x, x), axis_name="i")
    with pytest.raises(NotImplementedError, match="along 'i': move one of the two out") as error:
        f(np.array([True, False]), np.ones(2, np.float32))
    assert "lax.cond(p, branch" in str(error.value)


def test_effects_beside_collectives_are_refused_where_elements_differ() -> None:
    _, note = recording()

    def f(x: Any) -> Any:
        return lax.while_loop(lambda c: c < 3, lambda c: note(c) + 0 * lax.psum(c, "i"), x)

    def g(x: Any) -> Any:
        return lax.cond(x > 1, lambda c: note(c) + lax.psum(c, "i"), lambda c: c, x)

    x = np.arange(3, dtype=np.float32)
    for function, what in ((f, "while_loop under vmap with a condition"), (g, "cond under vmap")):
        with pytest.raises(NotImplementedError, match=f"^{what}.*combines elements"):
            weft.vmap(function, axis_name="i")(x)
