"""Regions through the rules: what comes back is well formed, equal, and no dearer."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import weft
from tests.levels import programs as random_programs
from weft import numpy as wnp
from weft.machines import host_machine
from weft.saturate.pieces import pieces
from weft.saturate.saturate import Saturation, saturate
from weft.terms.check import check_program
from weft.terms.interpret import interpret
from weft.terms.lower import lower_jaxpr
from weft.terms.region import Block, Def, Region, Scatter
from weft.terms.region import Program as Terms
from weft.terms.term import Fold, Scan, postorder


def lowered(function: Callable[..., Any], *args: Any) -> Terms:
    return lower_jaxpr(weft.make_jaxpr(function)(*args))


def saturated(terms: Terms, numerics: str = "real") -> tuple[Terms, list[Saturation]]:
    """``terms``, a straight program, after the rules."""
    steps = tuple(s for s in terms.block.steps if isinstance(s, Def | Scatter))
    assert len(steps) == len(terms.block.steps)
    region = Region(terms.inputs, steps, terms.outputs)
    found, pieces = saturate(region, host_machine(2), numerics, worth=0.0)
    return dataclasses.replace(terms, block=Block(list(found.steps))), pieces


def operations(terms: Terms) -> int:
    """Points that the folds of a program visit."""
    total = 0
    for step in terms.block.steps:
        for t in postorder(*step.terms):
            if isinstance(t, Fold | Scan):
                over = t.over if isinstance(t, Fold) else (t.over,)
                axes = t.bodies[0].axes | set(over)
                total += int(np.prod([a.extent for a in axes]))
    return total


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


CASES: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...], float]] = {
    "sum of a product": (lambda a, b: (a @ b).sum(), (normal(30, 40), normal(40, 50)), 0.06),
    "trace": (lambda a, b: wnp.trace(a @ b), (normal(30, 40), normal(40, 30)), 0.06),
    "diagonal": (lambda a, b: wnp.diagonal(a @ b), (normal(30, 40), normal(40, 30)), 0.06),
    "a row": (lambda a, b: (a @ b)[3], (normal(30, 40), normal(40, 50)), 0.06),
    "some columns, after an operation": (
        lambda a, b: wnp.maximum(a @ b, 0)[:, 2:4],
        (normal(30, 40), normal(40, 50)),
        0.06,
    ),
    "a chain that ends in a vector": (
        lambda a, b, c, x: a @ b @ c @ x,
        (normal(30, 40), normal(40, 50), normal(50, 30), normal(30)),
        0.06,
    ),
    "a long chain": (
        lambda a, b, c, d, e, f: a @ b @ c @ d @ e @ f,
        (
            normal(30, 20),
            normal(20, 50),
            normal(50, 5),
            normal(5, 40),
            normal(40, 9),
            normal(9, 30),
        ),
        0.7,
    ),
    "low rank": (
        lambda x, w, a, b: x @ w + (x @ a) @ b,
        (normal(300, 60), normal(60, 50), normal(60, 4), normal(4, 50)),
        0.9,
    ),
    "the end of a running sum": (lambda x: wnp.cumsum(x, 0)[-1], (normal(300, 40),), 1.01),
    "complementary masks": (
        lambda x: wnp.where(x > 0, x, 0).sum() + wnp.where(x > 0, 0, x).sum(),
        (normal(300, 40),),
        0.51,
    ),
    "a mask and its negation": (
        lambda x: wnp.where(x > 0, x, 0).sum(0) + wnp.where(~(x > 0), x, 0).sum(0),
        (normal(300, 40),),
        0.51,
    ),
    "Gram matrix times vector": (lambda x, y: (x.T @ x) @ y, (normal(80, 60), normal(60)), 0.05),
    "rows scaled before a product": (
        lambda x, g, w: (x / wnp.sqrt((x * x).mean(-1, keepdims=True)) * g) @ w,
        (normal(300, 60), normal(60), normal(60, 50)),
        1.01,
    ),
    "normalised weights": (
        lambda p, v: (p / p.sum(-1, keepdims=True)) @ v,
        (np.abs(normal(200, 200)), normal(200, 8)),
        1.01,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_cheaper_way_is_found_and_equal(name: str) -> None:
    function, args, least = CASES[name]
    terms = lowered(function, *args)
    found, pieces = saturated(terms)
    check_program(found)
    assert any(p.changed for p in pieces)
    assert operations(found) <= least * operations(terms)
    assert not any(isinstance(t, Scan) for s in found.block.steps for t in postorder(*s.terms))
    for a, b in zip(interpret(terms, *args), interpret(found, *args), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-11, atol=1e-11 * np.abs(a).max())


#: What only computes fewer elements, each as before.
PARTS = ("trace", "diagonal", "a row", "some columns, after an operation")


@pytest.mark.parametrize("name", [name for name in CASES if name not in PARTS])
def test_floats_are_not_reordered_unless_allowed(name: str) -> None:
    function, args, _ = CASES[name]
    terms = lowered(function, *args)
    found, _ = saturated(terms, "exact")
    assert operations(found) == operations(terms)
    for a, b in zip(interpret(terms, *args), interpret(found, *args), strict=True):
        # NumPy's sums depend on the layout of what they add up.
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12 * np.abs(a).max())


def test_a_running_sum_that_is_read_where_it_ends_may_stay_one() -> None:
    x = np.arange(600.0).reshape(200, 3)
    terms = lowered(lambda x: wnp.cumsum(x, 0)[-1], x)
    found, _ = saturated(terms, "exact")
    assert any(isinstance(t, Scan) for s in found.block.steps for t in postorder(*s.terms))
    weft.config.numerics = "exact"
    try:
        found_sum = weft.jit(lambda x: wnp.cumsum(x, 0)[-1])(x)
    finally:
        weft.config.numerics = "real"
    np.testing.assert_array_equal(found_sum, x.sum(0))


SPRINKLED = {
    "NaN": (np.nan, 1.0),
    "infinite": (np.inf, 1.0),
    "zero": (-0.0, 1.0),
    "huge": (1e99, 1e90),
    "tiny": (5e-324, 1e-140),
}


@pytest.mark.parametrize("kind", SPRINKLED)
@pytest.mark.parametrize(
    "name", ["sum of a product", "low rank", "complementary masks", "normalised weights"]
)
def test_special_values_stay_where_they_are(name: str, kind: str) -> None:
    function, args, _ = CASES[name]
    special, scale = SPRINKLED[kind]
    args = tuple(a * scale for a in args)
    args[0][3, 5] = special
    terms = lowered(function, *args)
    found, _ = saturated(terms)
    with np.errstate(all="ignore"):
        for a, b in zip(interpret(terms, *args), interpret(found, *args), strict=True):
            finite = np.isfinite(a)
            np.testing.assert_array_equal(finite, np.isfinite(b))
            top = np.abs(a[finite]).max(initial=0.0)
            np.testing.assert_allclose(b[finite], a[finite], rtol=1e-10, atol=1e-10 * top)


@pytest.mark.parametrize("sizes", [(0, 4, 3), (4, 0, 3), (1, 1, 1), (5, 1, 1)])
def test_axes_without_elements_and_of_one(sizes: tuple[int, int, int]) -> None:
    n, k, m = sizes
    a, b, c = normal(n, k), normal(k, m), normal(m, 1)[:, 0]
    terms = lowered(lambda a, b, c: ((a @ b) @ c * 2, (a @ b).sum(), (a * 3).sum(1)), a, b, c)
    found, _ = saturated(terms)
    for x, y in zip(interpret(terms, a, b, c), interpret(found, a, b, c), strict=True):
        np.testing.assert_allclose(y, x, rtol=1e-12, atol=1e-12)


def test_running_folds_stand_by_themselves() -> None:
    def centred(x: Any, w: Any) -> Any:
        y = wnp.sin(x) @ (w * 0.3)
        total = wnp.cumsum(x * 0.5, axis=1)
        products = (y.T @ x)[:1] * 0.1 + y
        return total - total.max(1, keepdims=True), products.sum() * 0.1

    x, w = normal(6, 28), normal(28, 28)
    found, _ = saturated(lowered(centred, x, w))
    within = [t for s in found.block.steps for t in postorder(*s.terms) if isinstance(t, Scan)]
    roots = [s.term for s in found.block.steps if isinstance(s, Def) and isinstance(s.term, Scan)]
    assert len(within) == len(roots) == 1
    total = np.cumsum(x * 0.5, axis=1)
    result, _ = weft.jit(centred)(x, w)
    np.testing.assert_allclose(result, total - total.max(1, keepdims=True), rtol=1e-12, atol=1e-12)


def test_integers_are_reordered_even_then() -> None:
    a, b, x = (
        np.arange(n * m, dtype=np.int32).reshape(n, m) for n, m in ((30, 30), (30, 30), (30, 1))
    )
    terms = lowered(lambda a, b, x: a @ b @ x, a, b, x)
    found, _ = saturated(terms, "exact")
    assert operations(found) < 0.1 * operations(terms)
    np.testing.assert_array_equal(interpret(found, a, b, x)[0], a @ b @ x)


@settings(max_examples=80)
@given(random_programs.programs)
def test_random_programs_keep_their_meaning(program: random_programs.Program) -> None:
    args = random_programs.inputs_of(program)
    terms = lowered(program, *args)
    if any(not isinstance(s, Def | Scatter) for s in terms.block.steps):
        return
    found, _ = saturated(terms)
    check_program(found)
    with np.errstate(all="ignore"):
        pairs = zip(interpret(found, *args), interpret(terms, *args), strict=True)
        for actual, expected in pairs:
            scale = 1 + np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected))
            np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-5 * scale)


def test_the_same_program_gives_the_same_terms() -> None:
    function, args, _ = CASES["a long chain"]
    texts = {
        str([str(s.terms) for s in saturated(lowered(function, *args))[0].block.steps])
        for _ in range(3)
    }
    assert len(texts) == 1


def test_other_processes_find_the_same_terms_and_kernels() -> None:
    program = (
        "import numpy as np, weft; weft.config.cache_dir = None\n"
        "weft.config.dump = {'saturated', 'schedule'}\n"
        "from weft import numpy as wnp\n"
        "a, b = np.ones((90, 80), 'f'), np.ones((80, 70), 'f')\n"
        "f = lambda a, b, c: wnp.tanh((a @ b) @ c / wnp.exp(a).sum(1)[:, None])[:9] @ b.sum(1)\n"
        "weft.jit(f)(a, b, np.ones((70, 80), 'f'))\n"
        "def attention(q, k, v, w):\n"
        "    s = q @ k.T; p = wnp.exp(s - s.max(-1, keepdims=True))\n"
        "    return (p / p.sum(-1, keepdims=True)) @ v, v @ w, v @ (w + 1)\n"
        "weft.jit(attention)(*[np.ones((512, 64), 'f')] * 3, np.ones((64, 128), 'f'))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stderr
        for seed in ("1", "2")
    }
    assert len(texts) == 1
    text = texts.pop()
    assert "sum[" in text and "kernel " in text and "_moved" in text


def test_what_is_cheap_is_left_alone() -> None:
    terms = lowered(lambda a, b: (a @ b).sum(), normal(3, 4), normal(4, 5))
    region = Region(terms.inputs, tuple(terms.block.steps), terms.outputs)  # type: ignore[arg-type]
    found, (piece,) = saturate(region, host_machine(2), "real")
    assert found is region and piece.skipped == "too cheap"


def test_long_regions_are_cut_where_few_values_are_alive() -> None:
    def layers(x: Any, w: Any) -> Any:
        for _ in range(40):
            x = x + wnp.tanh(x @ w) * wnp.exp(-x)
        return x

    terms = lowered(layers, normal(8, 8), normal(8, 8))
    region = Region(terms.inputs, tuple(terms.block.steps), terms.outputs)  # type: ignore[arg-type]
    parts = pieces(region, longest=24)
    assert tuple(s for p in parts for s in p.steps) == region.steps
    assert max(len(p.steps) for p in parts) <= 24
    assert all(len(p.outputs) == 1 for p in parts)


def test_equal_layers_are_searched_once() -> None:
    def layers(x: Any, *ws: Any) -> Any:
        for w in ws:
            h = wnp.tanh((x @ w[0]) @ (w[1] @ x[:, :1]))
            x = x + wnp.exp(-h * h) * wnp.cos(x) + wnp.sin(h) * wnp.tanh(x)
        return x

    weights = [(normal(32, 32), normal(32, 32)) for _ in range(40)]
    terms = lowered(layers, normal(32, 32), *weights)
    _, found = saturated(terms)
    runs = {id(p.search.found) for p in found if p.search is not None}
    assert len(found) >= 4 and len(runs) <= 3


def test_a_forked_process_finds_what_its_parent_does() -> None:
    function, args, _ = CASES["a long chain"]
    terms = lowered(function, *args)
    expected = operations(saturated(terms)[0])
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        # Another size, so that nothing is remembered.
        other = lowered(function, *[np.pad(a, 1) for a in args])
        ratio = operations(saturated(other)[0]) / operations(other)
        same = operations(saturated(terms)[0]) == expected
        os.write(write, b"same" if same and ratio < 0.7 else b"different")
        os._exit(0)
    os.close(write)
    assert os.read(read, 100) == b"same"
    os.waitpid(child, 0)
    os.close(read)
