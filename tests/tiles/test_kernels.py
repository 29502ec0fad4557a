"""Kernels of the user's: what they compute, in programs and transformations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
from tests.tiles import kernels
from weft import numpy as wnp
from weft import tiles
from weft.core.interpret import eval_jaxpr_numpy
from weft.core.jaxpr import ClosedJaxpr

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def rows_softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


CASES = {
    "saxpy": (kernels.saxpy, (2.0, normal(100), normal(100)), lambda a, x, y: a * x + y),
    "softmax": (kernels.softmax, (normal(21, 30),), rows_softmax),
    "matmul": (kernels.matmul, (normal(40, 37), normal(37, 50)), np.matmul),
    "staged": (
        lambda a, b: kernels.matmul(a, b, block=8, stage=True),
        (normal(20, 17), normal(17, 9)),
        np.matmul,
    ),
    "attention": (
        kernels.attention,
        (normal(40, 8), normal(40, 8), normal(40, 8)),
        lambda q, k, v: rows_softmax(q @ k.T / np.sqrt(8, dtype=np.float32)) @ v,
    ),
    "blur": (
        kernels.blur,
        (normal(30),),
        lambda x: {"mean": (s := x[:-2] + x[1:-1] + x[2:]) / 3, "sums": s},
    ),
    "turned": (
        kernels.turned,
        (normal(5, 10),),
        lambda x: (x.sum(1), (x + np.where(np.arange(10) % 2, np.arange(5)[:, None], 0)).T),
    ),
}


def close(found: Any, expected: Any) -> None:
    for a, b in zip(weft.tree.leaves(found), weft.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(a), b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", CASES)
def test_examples(name: str) -> None:
    kernel, arguments, expected = CASES[name]
    close(kernel(*arguments), expected(*arguments))
    assert weft.tree.structure(kernel(*arguments)) == weft.tree.structure(expected(*arguments))


@pytest.mark.parametrize("name", CASES)
def test_the_interpreter_means_the_same(name: str) -> None:
    kernel, arguments, expected = CASES[name]
    closed = weft.make_jaxpr(kernel)(*arguments)
    found = eval_jaxpr_numpy(closed.jaxpr, closed.consts, *arguments)
    close(found, expected(*arguments))


def test_in_programs() -> None:
    x, y, w = normal(6, 20, 30), normal(6, 20, 30), normal(30, 10)

    @weft.jit
    def program(x: Any, y: Any, w: Any) -> Any:
        mixed = weft.vmap(weft.vmap(kernels.saxpy, in_axes=(None, 0, 0)), (None, 0, 0))(2, x, y)
        products = weft.vmap(kernels.matmul, in_axes=(0, None))(mixed, w)
        return wnp.sum(weft.vmap(kernels.softmax, in_axes=2, out_axes=2)(products), axis=0)

    expected = np.moveaxis(rows_softmax(np.moveaxis((2 * x + y) @ w, 2, 0)), 0, 2).sum(0)
    close(program(x, y, w), expected)


def test_a_derivative_of_its_own() -> None:
    product = weft.custom_vjp(lambda a, b: kernels.matmul(a, b))
    product.defvjp(
        lambda a, b: (kernels.matmul(a, b), (a, b)),
        lambda saved, ct: (kernels.matmul(ct, saved[1].T), kernels.matmul(saved[0].T, ct)),
    )
    a, b = normal(9, 7), normal(7, 20)
    found = weft.grad(lambda a, b: wnp.sum(wnp.sin(product(a, b))), argnums=(0, 1))(a, b)
    c = np.cos(a @ b)
    close(found, (c @ b.T, a.T @ c))
    with pytest.raises(
        weft.errors.MissingRuleError, match=r"'matmul' has no derivative: .*custom_"
    ):
        weft.grad(lambda a: wnp.sum(kernels.matmul(a, b)))(a)


def test_other_dtypes_and_shapes() -> None:
    @weft.kernel
    def parity(x: Any) -> Any:
        out, odd = tiles.output((), x.dtype), tiles.output((), "bool")
        total = tiles.zeros((), x.dtype)
        for i in tiles.steps(2, x.shape[0], 3):
            total += x[i].sum().astype(x.dtype)
        out[()] = total
        odd[...] = total[...] % 2 == 1
        return out, odd

    x = np.arange(12, dtype=np.int64) ** 2
    total, odd = parity(x)
    assert (total.dtype, int(total), bool(odd)) == (np.int64, x[2:].sum(), bool(x[2:].sum() % 2))
    assert np.asarray(kernels.saxpy(1.0, np.zeros(0, "f"), np.zeros(0, "f"))).shape == (0,)
    halves = weft.numpy.ones((20, 20), "bfloat16")
    assert kernels.matmul(wnp.ones((4, 20)), halves.astype("float32")).dtype == np.float32


def test_methods_and_arguments_in_trees() -> None:
    class Layer:
        def __init__(self, scale: float) -> None:
            self.scale = scale

        @weft.kernel
        def apply(self: Any, x: Any) -> Any:
            out = tiles.output(x["a"].shape, "float32")
            for i in tiles.grid((x["a"].shape[0], 2)):
                out[i] = x["a"][i] - x["b"]
            return out

    found = Layer.apply.__get__(1.0)({"a": np.arange(5.0, dtype="f"), "b": 2})
    close(found, np.arange(-2.0, 3.0))


def test_a_program_on_disk_knows_its_kernels() -> None:
    """The key of a program tells kernels apart by what they do."""
    from weft.core.canonical import jaxpr_key, key_digest

    x = wnp.ones(8)

    def scaled(by: float) -> ClosedJaxpr:
        @weft.kernel
        def scale(x: Any) -> Any:
            out = tiles.output(x.shape, x.dtype)
            for i in tiles.grid((x.shape[0], 4)):
                out[i] = x[i] * by
            return out

        return weft.make_jaxpr(scale)(x)

    digests = [key_digest(jaxpr_key(scaled(by))) for by in (2.0, 2.0, 3.0)]
    assert digests[0] is not None
    assert digests[0] == digests[1] != digests[2]


def test_reports_know_kernels_of_the_users() -> None:
    report = weft.explain(lambda a, b: wnp.tanh(kernels.matmul(a + 1, b)), *normal(2, 20, 20))
    (own,) = (k for k in report.kernels if k.name == "matmul")
    assert own.flops >= 2 * 20**3
    assert [line.file for line in own.source_lines] == [kernels.__file__]
    assert "matmul" in str(report)


# -- random kernels --------------------------------------------------------------------------------

UNARY = (lambda t: -t, wnp.tanh, lambda t: t * t, lambda t: wnp.where(t > 0, t, 0.5 * t))
BINARY = (wnp.add, wnp.subtract, wnp.multiply, wnp.maximum)
Step = tuple[int, int, int]


def random_kernel(steps: list[Step], shape: tuple[int, int], block: tuple[int, int]) -> Any:
    """A kernel over a matrix that does ``steps`` with tiles of rows and two blocks of memory."""
    m, n = shape

    @weft.kernel
    def made(x: Any, w: Any) -> Any:
        out, sums = tiles.output((m, n), "float32"), tiles.output((m,), "float32")
        for i in tiles.grid((m, block[0])):
            rows, column = tiles.zeros((i, n)), tiles.full((i,), 0.5, "float32")
            for j in tiles.steps(n, block[1]):
                known = [x[i], rows[...], wnp.broadcast_to(column[...][:, None], (i.size, n))]
                for kind, a, b in steps:
                    s, t = known[a % len(known)], known[b % len(known)]
                    if kind < 4:
                        known.append(UNARY[kind](s))
                    elif kind < 8:
                        known.append(BINARY[kind - 4](s, t))
                    elif kind == 8:
                        known.append(s @ w[:])
                    elif kind == 9:
                        known.append(s - t.max(axis=1, keepdims=True))
                    elif kind == 10:
                        known.append(s + wnp.sum(x[i, j], axis=1)[:, None])
                    elif kind == 11:
                        column[...] = wnp.tanh(s.sum(axis=1))
                    elif kind == 12:
                        rows[...] = wnp.tanh(s)
                    elif kind == 13:
                        rows[:, j.start] = wnp.tanh(t[:, 0])
                    else:
                        rows[...] = wnp.tanh(rows[...][:, ::-1] + s)
                column[...] = wnp.tanh(column[...] + known[-1].sum(axis=1))
            out[i] = rows[...] + x[i]
            sums[i] = column
        return out, sums

    return made


@settings(max_examples=12)
@given(
    steps=st.lists(st.tuples(st.integers(0, 14), st.integers(0, 9), st.integers(0, 9)), max_size=6),
    shape=st.tuples(st.integers(1, 11), st.integers(1, 11)),
    block=st.tuples(st.integers(1, 6), st.integers(1, 6)),
)
def test_random_kernels(steps: list[Step], shape: tuple[int, int], block: tuple[int, int]) -> None:
    kernel = random_kernel(steps, shape, block)
    rng = np.random.default_rng(1)
    x = rng.normal(size=shape).astype("f")
    w = rng.normal(size=(shape[1], shape[1])).astype("f")
    closed = weft.make_jaxpr(kernel)(x, w)
    close(weft.jit(kernel)(x, w), eval_jaxpr_numpy(closed.jaxpr, closed.consts, x, w))
