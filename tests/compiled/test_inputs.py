"""Arrays of every layout, size and rank as inputs; outputs of every origin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
from weft import lax
from weft import numpy as wnp

BASE = np.arange(24, dtype=np.float32).reshape(4, 6)


def read_only() -> np.ndarray:
    x = BASE.copy()
    x.setflags(write=False)
    return x


LAYOUTS = {
    "transposed": BASE.T,
    "strided and reversed": BASE[::2, ::-1],
    "repeated by stride 0": np.broadcast_to(np.float32(3), (5, 4)),
    "column-major": np.asfortranarray(BASE),
    "read-only": read_only(),
    "of the other byte order": BASE.astype(">f4"),
    "unaligned": np.frombuffer(b"\0" + BASE.tobytes(), np.uint8)[1:].view(np.float32),
    "a window": np.lib.stride_tricks.sliding_window_view(BASE, 3, 1),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_of_numpy_arrays(name: str) -> None:
    x = LAYOUTS[name]
    expected = np.asarray(x, np.float32) * 2 + 1
    before = x.copy()
    for result in (weft.jit(lambda x: x * 2 + 1)(x), wnp.asarray(x) * 2 + 1, wnp.add(x * 2, 1)):
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(x, before)


def test_arguments_are_read_before_the_call_returns() -> None:
    x = np.ones(1000, np.float32)
    y = weft.jit(lambda x: (x, x + 1))(x)
    x[:] = 7
    np.testing.assert_array_equal(y[0], np.ones(1000))
    np.testing.assert_array_equal(y[1], np.full(1000, 2))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0, 2), (2, 3, 0)])
def test_zero_elements(shape: tuple[int, ...]) -> None:
    x = np.zeros(shape, np.float32)

    @weft.jit
    def program(x: Any) -> Any:
        return x * 2, x.sum(), x.sum(0), wnp.cumsum(x, 0), x.T, wnp.concatenate([x, x]), x[::-1]

    expected = (x * 2, x.sum(), x.sum(0), np.cumsum(x, 0), x.T, np.concatenate([x, x]), x[::-1])
    for a, e in zip(program(x), expected, strict=True):
        np.testing.assert_array_equal(a, e)
        assert a.shape == e.shape


def test_loops_over_nothing() -> None:
    carry, ys = weft.jit(lambda x: lax.scan(lambda c, x: (c + x, c), 1.0, x))(np.zeros(0, "f4"))
    assert (float(carry), ys.shape) == (1.0, (0,))
    assert weft.jit(lambda x: lax.fori_loop(3, 1, lambda i, x: x + 1, x))(2.0) == 2.0
    assert weft.vmap(lambda x: x + 1)(np.zeros((0, 4), "f4")).shape == (0, 4)


def test_products_of_nothing() -> None:
    a = weft.jit(wnp.matmul)(np.zeros((2, 0), "f4"), np.zeros((0, 3), "f4"))
    np.testing.assert_array_equal(a, np.zeros((2, 3)))
    assert weft.jit(wnp.matmul)(np.zeros((0, 2), "f4"), np.zeros((2, 3), "f4")).shape == (0, 3)


def test_eight_axes() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-4, 5, (2, 3, 1, 2, 3, 2, 1, 4)).astype(np.float32)
    order = (7, 0, 5, 2, 1, 6, 3, 4)

    @weft.jit
    def program(x: Any) -> Any:
        y = x.transpose(order)
        return y, y.sum((1, 3, 4)), x[:, ::2, 0, :, 1, ..., ::-1], wnp.flip(y, (0, 4)).reshape(-1)

    y = x.transpose(order)
    expected = (y, y.sum((1, 3, 4)), x[:, ::2, 0, :, 1, ..., ::-1], np.flip(y, (0, 4)).reshape(-1))
    for a, e in zip(program(x), expected, strict=True):
        np.testing.assert_array_equal(a, e)


def test_twenty_million_elements() -> None:
    x = np.arange(20_000_000, dtype=np.int32)
    y, total = weft.jit(lambda x: (x * 3 + 1, (x % 5).sum()))(x)
    np.testing.assert_array_equal(y, x * 3 + 1)
    assert int(total) == 40_000_000


def test_sums_of_millions_are_accurate() -> None:
    x = np.random.default_rng(0).random(5_000_000, np.float32)
    exact = x.sum(dtype=np.float64)
    assert abs(float(weft.jit(wnp.sum)(x)) - exact) <= 2e-7 * exact


OUTPUTS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "an argument": (lambda x: x, 3),
    "an argument twice, a result twice": (lambda x: (x, x, x + 1, x + 1), (3, 3, 4, 4)),
    "a constant": (lambda x: (wnp.asarray([1, 2]), 5), ([1, 2], 5)),
    "nothing": (lambda x: None, None),
    "a view of an argument": (lambda x: (x.reshape(1, 1), x.T), ([[3]], 3)),
    "one value of two shapes": (lambda x: ((x + 1).reshape(1), x + 1), ([4], 4)),
    "a carry that does not change": (
        lambda x: lax.fori_loop(0, 3, lambda i, c: (c[0], c[1] + c[0]), (x, x)),
        (3, 12),
    ),
    "carries that change places": (
        lambda x: lax.fori_loop(0, 3, lambda i, c: (c[1], c[0]), (x, x + 1)),
        (4, 3),
    ),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_of_every_origin(name: str) -> None:
    function, expected = OUTPUTS[name]
    results = weft.tree.leaves(weft.jit(function)(np.float32(3)))
    wanted = [expected] if not isinstance(expected, tuple) else list(expected)
    for a, e in zip(results, wanted if expected is not None else [], strict=True):
        np.testing.assert_array_equal(a, e)
    assert len({id(x) for x in results}) == len(results)


def test_arguments_that_nothing_reads() -> None:
    f = weft.jit(lambda used, unused: used + 1)
    assert f(1.0, np.zeros((100, 100), np.float32)) == 2.0
    assert f(1.0, {"a": [np.zeros(3)], "b": None}) == 2.0


def test_a_donated_argument_is_gone() -> None:
    step = weft.jit(lambda state, x: state + x, donate_argnums=0)
    state, x = wnp.arange(5.0) + 0, wnp.ones(5)
    for _ in range(3):
        state = step(state, x)
    np.testing.assert_array_equal(state, np.arange(5.0) + 3)
    np.testing.assert_array_equal(step(np.zeros(5, np.float32), x), np.ones(5))
    step(state, x)
    with pytest.raises(RuntimeError, match=r"f32\[5\] was donated to a jitted function"):
        state.sum()
    with pytest.raises(RuntimeError, match=r"Use the result of the call that took it"):
        step(state, x)


def test_an_array_donated_and_read_keeps_its_value_for_the_reader() -> None:
    step = weft.jit(lambda a, b: (a * 2, b + 1), donate_argnums=0)
    x = wnp.arange(4.0) + 0
    doubled, increased = step(x, x)
    np.testing.assert_array_equal(doubled, [0, 2, 4, 6])
    np.testing.assert_array_equal(increased, [1, 2, 3, 4])
