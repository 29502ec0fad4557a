"""Collectives over named axes: their meaning, derivatives, and use within other transformations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft import lax

X = np.arange(12.0, dtype=np.float32).reshape(4, 3)
SQUARE = np.arange(64.0, dtype=np.float32).reshape(4, 4, 4)
LONG = np.arange(64.0, dtype=np.float32).reshape(4, 8, 2)


def over(f: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return weft.vmap(f, axis_name="i", **options)


def tiles(x: np.ndarray, axis: int) -> list[np.ndarray]:
    return np.split(x, 4, axis)


MEANINGS: dict[str, tuple[Callable[[Any], Any], np.ndarray, np.ndarray]] = {
    "psum": (lambda x: lax.psum(x, "i"), X, np.tile(X.sum(0), (4, 1))),
    "psum of a number": (lambda x: x + lax.psum(2, "i"), X, X + 8),
    "pmean": (lambda x: lax.pmean(x, "i"), X, np.tile(X.mean(0), (4, 1))),
    "pmean of integers": (
        lambda x: lax.pmean(x.astype(int), "i"),
        X,
        np.tile(X.mean(0), (4, 1)),
    ),
    "pmax": (lambda x: lax.pmax(x, "i"), X, np.tile(X.max(0), (4, 1))),
    "pmin": (lambda x: lax.pmin(x, "i"), X, np.tile(X.min(0), (4, 1))),
    "axis_size": (lambda x: x * lax.axis_size("i"), X, 4 * X),
    "axis_index": (lambda x: lax.axis_index("i") + 0 * x, X, np.arange(4)[:, None] + 0 * X),
    "all_gather": (lambda x: lax.all_gather(x, "i"), X, np.stack([X] * 4)),
    "all_gather, last": (lambda x: lax.all_gather(x, "i", axis=-1), X, np.stack([X.T] * 4)),
    "all_gather, tiled": (
        lambda x: lax.all_gather(x, "i", tiled=True),
        X,
        np.stack([X.reshape(-1)] * 4),
    ),
    "psum_scatter": (lambda x: lax.psum_scatter(x, "i"), SQUARE, SQUARE.sum(0)),
    "psum_scatter, second": (
        lambda x: lax.psum_scatter(x, "i", scatter_dimension=1),
        SQUARE,
        SQUARE.sum(0).T,
    ),
    "psum_scatter, tiled": (
        lambda x: lax.psum_scatter(x, "i", tiled=True),
        LONG,
        np.stack(tiles(LONG.sum(0), 0)),
    ),
    "all_to_all": (lambda x: lax.all_to_all(x, "i", 0, 0), SQUARE, SQUARE.swapaxes(0, 1)),
    "all_to_all, apart": (
        lambda x: lax.all_to_all(x, "i", 0, 1),
        SQUARE,
        SQUARE.transpose(1, 2, 0),
    ),
    "all_to_all, tiled": (
        lambda x: lax.all_to_all(x, "i", 0, 1, tiled=True),
        LONG,
        np.stack([np.concatenate(list(part), 1) for part in tiles(LONG, 1)]),
    ),
    "pswapaxes": (lambda x: lax.pswapaxes(x, "i", 1), SQUARE, SQUARE.transpose(2, 1, 0)),
    "pshuffle": (lambda x: lax.pshuffle(x, "i", [2, 0, 3, 1]), X, X[[2, 0, 3, 1]]),
    "ppermute": (
        lambda x: lax.ppermute(x, "i", [(0, 1), (1, 2), (3, 0)]),
        X,
        np.stack([X[3], X[0], X[1], 0 * X[0]]),
    ),
    "a tree": (
        lambda x: lax.psum({"a": x, "b": [2 * x]}, "i")["b"][0],
        X,
        np.tile(2 * X.sum(0), (4, 1)),
    ),
}


@pytest.mark.parametrize("name", MEANINGS)
def test_meaning(name: str) -> None:
    f, x, expected = MEANINGS[name]
    for call in (over(f), weft.jit(over(f)), over(weft.jit(f))):
        np.testing.assert_allclose(call(x), expected, rtol=1e-6)


@pytest.mark.parametrize("name", MEANINGS)
def test_under_another_axis(name: str) -> None:
    f, x, expected = MEANINGS[name]
    stacked = np.stack([x, x + 1], 1)  # mapped over its second axis
    outer = np.asarray(weft.vmap(over(f), in_axes=1)(stacked))
    np.testing.assert_allclose(outer[0], expected, rtol=1e-6)
    np.testing.assert_allclose(outer[1], over(f)(x + 1), rtol=1e-6)


@given(st.permutations(range(5)), st.integers(0, 5))
def test_any_partial_permutation(order: list[int], count: int) -> None:
    pairs = list(enumerate(order))[:count]
    x = np.arange(10.0).reshape(5, 2) + 1
    expected = np.zeros_like(x)
    for source, destination in pairs:
        expected[destination] = x[source]
    with weft.disable_jit():
        np.testing.assert_array_equal(over(lambda x: lax.ppermute(x, "i", pairs))(x), expected)


LINEAR = [n for n in MEANINGS if n not in ("psum of a number", "pmax", "pmin", "axis_index")]
LINEAR.remove("pmean of integers")


@pytest.mark.parametrize("name", LINEAR)
def test_transposes(name: str) -> None:
    """Inside the mapped function as outside: ⟨y, f(x)⟩ = ⟨fᵀ(y), x⟩, summed over the axis."""
    f, x, expected = MEANINGS[name]
    y = np.random.default_rng(0).standard_normal(expected.shape).astype(np.float32)
    inside = over(lambda x, y: weft.vjp(f, x)[1](y)[0])(x, y)
    outside = weft.vjp(over(f), x)[1](y)[0]
    np.testing.assert_allclose(inside, outside, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.sum(outside * x), np.sum(y * expected), rtol=1e-4)


def test_derivatives_of_reductions_from_outside() -> None:
    x = np.array([1.0, 4.0, 2.0], np.float32)
    slope = weft.grad(lambda x: over(lambda x: lax.pmax(x * x, "i"))(x).sum())(x)
    np.testing.assert_allclose(slope, [0, 24, 0])
    inside = over(weft.grad(lambda x: lax.psum(x * x, "i")))(x)
    np.testing.assert_allclose(inside, 2 * 3 * x)  # every element's sum depends on x


def test_in_control_flow() -> None:
    def steps(x: Any) -> Any:
        return lax.scan(lambda c, v: (lax.psum(c + v, "i") / 10, c), x[0], x)

    carry, history = over(steps)(X)
    c = X[:, 0]
    for n in range(3):
        np.testing.assert_allclose(np.asarray(history)[:, n], c, rtol=1e-6)
        c = np.full(4, (c + X[:, n]).sum() / 10, np.float32)
    np.testing.assert_allclose(carry, c, rtol=1e-6)

    def doubled(x: Any) -> Any:
        return lax.while_loop(lambda c: lax.psum(c.sum(), "i") < 1000, lambda c: 2 * c, x)

    np.testing.assert_allclose(over(doubled)(X), 16 * X)

    def chosen(x: Any) -> Any:
        return lax.cond(x[0] > 3, lambda x: x, lambda x: -x, x) + lax.psum(x, "i")

    expected = np.where(X[:, :1] > 3, X, -X) + X.sum(0)
    np.testing.assert_allclose(over(chosen)(X), expected)


def test_programs_of_unmapped_arguments_see_the_axis() -> None:
    f = weft.jit(lambda y: lax.psum(y, "i") + lax.axis_index("i"))
    np.testing.assert_allclose(over(lambda x: x + f(2.0))(X), X + 8 + np.arange(4)[:, None])


def test_a_traced_function_is_traced_anew_for_another_size() -> None:
    f = weft.jit(lambda x: x * lax.axis_size("i"))
    np.testing.assert_allclose(over(f)(np.ones(4, np.float32)), 4)
    np.testing.assert_allclose(over(f)(np.ones(3, np.float32)), 3)


def test_several_names() -> None:
    def f(x: Any) -> Any:
        return lax.psum(x, ("i", "j")), lax.psum(x, "j"), lax.axis_index(("i", "j"))

    both, inner, index = weft.vmap(weft.vmap(f, axis_name="j"), axis_name="i")(X)
    np.testing.assert_allclose(both, np.full((4, 3), X.sum()))
    np.testing.assert_allclose(inner, np.repeat(X.sum(1)[:, None], 3, 1))
    np.testing.assert_array_equal(index, np.arange(12).reshape(4, 3))


def test_the_innermost_axis_of_a_name() -> None:
    total = over(over(lambda x: lax.psum(x, "i")))(X)
    np.testing.assert_allclose(total, np.repeat(X.sum(1)[:, None], 3, 1))


def test_custom_rules_and_checkpoints() -> None:
    @weft.custom_jvp
    def shared(x: Any) -> Any:
        return lax.pmax(x, "i")

    shared.defjvps(lambda t, ans, x: lax.psum(t, "i"))
    np.testing.assert_allclose(over(lambda x: shared(2.0) + x)(X), X + 2)
    np.testing.assert_allclose(over(weft.grad(shared))(X[:, 0]), 4)

    @weft.checkpoint
    def squares(x: Any) -> Any:
        return lax.psum((x * x).sum(), "i")

    np.testing.assert_allclose(over(weft.grad(squares))(X), 8 * X)


def test_they_print_by_name() -> None:
    f = over(weft.jit(lambda x: lax.psum(x, "i")))
    assert "psum" not in str(weft.make_jaxpr(f)(X))

    def inner(x: Any) -> Any:
        text.append(str(weft.make_jaxpr(lambda x: lax.psum(x, "i"))(x)))
        return x

    text: list[str] = []
    over(inner)(X)
    assert "psum[axis_name='i']" in text[0]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: lax.psum(X, "i"), NameError, "unbound axis name: 'i'.*axis_name='i'"),
        (
            lambda: over(lambda x: lax.psum(x, "j"))(X),
            NameError,
            "unbound axis name: 'j'.*the names in scope are 'i'",
        ),
        (
            lambda: over(lambda x: lax.ppermute(x, "i", [(0, 4)]))(X),
            ValueError,
            "leaves the axis 'i', which has size 4",
        ),
        (
            lambda: over(lambda x: lax.ppermute(x, "i", [(0, 1), (2, 1)]))(X),
            ValueError,
            "a source or a destination twice",
        ),
        (
            lambda: over(lambda x: lax.pshuffle(x, "i", [0, 0, 1, 2]))(X),
            ValueError,
            "no permutation of the axis 'i'",
        ),
        (
            lambda: over(lambda x: lax.psum_scatter(x, "i"))(X),
            ValueError,
            r"psum_scatter needs a dimension 0 of 4, the size of the named axis, got f32\[3\]",
        ),
        (
            lambda: over(lambda x: lax.all_to_all(x, "i", 0, 0, tiled=True))(X),
            ValueError,
            "a multiple of 4",
        ),
        (
            lambda: over(weft.grad(lambda x: lax.pmax(x, "i")))(X[:, 0]),
            NotImplementedError,
            "lax.pmax has no derivative inside the mapped function",
        ),
        (
            lambda: over(lambda x: lax.all_gather(x, "i", axis_index_groups=[[0, 1], [2, 3]]))(X),
            NotImplementedError,
            "axis_index_groups is not supported",
        ),
    ],
)
def test_errors(call: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_batch_normalisation() -> None:
    def normalised(x: Any) -> Any:
        centred = x - lax.pmean(x, "i")
        return centred / wnp.sqrt(lax.pmean(centred * centred, "i") + 1e-5)

    expected = (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-5)
    np.testing.assert_allclose(weft.jit(over(normalised))(X), expected, rtol=1e-5)
