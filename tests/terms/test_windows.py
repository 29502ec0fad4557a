"""Stacked windows as views: the same values, and no array of all windows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
from weft import numpy as wnp
from weft.terms.affine import Affine, Axis
from weft.terms.check import check_program
from weft.terms.interpret import interpret
from weft.terms.lower import lower_jaxpr
from weft.terms.region import Block, Def, Region, Scatter
from weft.terms.region import Program as Terms
from weft.terms.term import FUSES
from weft.terms.windows import _digits, slide_windows

ROWS, COLUMNS = 12, 14
X = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS)


def slid(function: Callable[..., Any], *args: Any) -> tuple[Terms, Terms]:
    """The terms of a straight program, before and after."""
    terms = lower_jaxpr(weft.make_jaxpr(function)(*args))
    steps = tuple(s for s in terms.block.steps if isinstance(s, Def | Scatter))
    found = slide_windows(Region(terms.inputs, steps, terms.outputs))
    after = dataclasses.replace(terms, block=Block(list(found.steps)))
    check_program(after)
    return terms, after


def fused(terms: Terms) -> int:
    """Definitions with pieces."""
    return sum(isinstance(s, Def) and bool(s.term.holds & FUSES) for s in terms.block.steps)


@st.composite
def grids(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Starts of windows in a grid, by row and by column, and how far apart their elements are."""
    rows = draw(st.integers(1, 3)), draw(st.integers(-1, 2))
    columns = draw(st.integers(1, 4)), draw(st.integers(-1, 2))
    starts = [tuple(3 + n * by for n in range(count)) for count, by in (rows, columns)]
    return starts[0], starts[1], draw(st.integers(1, 2))


@settings(max_examples=40)
@given(grids(), st.integers(0, 2), st.booleans())
def test_grids_of_windows(grid: Any, axis: int, joined: bool) -> None:
    rows, columns, apart = grid
    several = [(i, j) for i in rows for j in columns]

    def windows(x: Any) -> Any:
        cut = [x[i : i + 1 : apart, j : j + 2 * apart : apart] for i, j in several]
        if joined:
            return wnp.concatenate(cut, min(axis, 1)) * 2
        return wnp.stack(cut, axis) * 2

    before, after = slid(windows, X)
    for a, e in zip(interpret(after, X), interpret(before, X), strict=True):
        np.testing.assert_array_equal(a, e)
    if not joined:
        assert fused(after) == 0


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), min_size=2, max_size=9))
def test_any_windows_at_all(starts: list[tuple[int, int]]) -> None:
    def windows(x: Any) -> Any:
        return wnp.stack([x[i : i + 2, j : j + 3] for i, j in starts], 1).sum(0)

    before, after = slid(windows, X)
    for a, e in zip(interpret(after, X), interpret(before, X), strict=True):
        np.testing.assert_array_equal(a, e)


def test_windows_of_different_arrays_stay_apart() -> None:
    _, after = slid(lambda x, y: wnp.stack([x[:2], y[1:3]]) + 1, X, X)
    assert fused(after) == 1


def test_stacks_of_stacks() -> None:
    def windows(x: Any) -> Any:
        return wnp.stack([wnp.stack([x[i : i + 4, j : j + 5] for j in range(3)]) for i in range(3)])

    before, after = slid(lambda x: windows(x) - 1, X)
    assert fused(before) == 4 and fused(after) == 0 and len(after.block.steps) == 1
    np.testing.assert_array_equal(interpret(after, X)[0], interpret(before, X)[0])


def test_an_output_is_kept() -> None:
    def windows(x: Any) -> Any:
        several = wnp.stack([x[n : n + 3] for n in range(3)])
        return several, several.sum(0)

    before, after = slid(windows, X)
    for a, e in zip(interpret(after, X), interpret(before, X), strict=True):
        np.testing.assert_array_equal(a, e)


@pytest.mark.parametrize("radices", [(), (3,), (2, 6), (4, 8)])
def test_digits(radices: tuple[int, ...]) -> None:
    axis = Axis("a", 24)
    for n in range(24):
        digits = [d.substitute({axis: Affine((), n)}).const for d in _digits(axis, radices)]
        weights = (1, *radices)
        assert sum(d * w for d, w in zip(digits, weights, strict=True)) == n
        for digit, lower, upper in zip(digits, weights, radices, strict=False):
            assert 0 <= digit < upper // lower


def test_convolution_by_stacked_windows_is_one_kernel() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 8, 18, 18)).astype(np.float32)
    w = rng.standard_normal((16, 8, 3, 3)).astype(np.float32)

    def in_a_row(np_: Any, x: Any, w: Any) -> Any:
        cut = [x[:, :, i : i + 16, j : j + 16] for i in range(3) for j in range(3)]
        return np_.einsum("knchw,ock->nohw", np_.stack(cut), w.reshape(16, 8, 9))

    def in_a_square(np_: Any, x: Any, w: Any) -> Any:
        def row(i: int) -> Any:
            return np_.stack([x[:, :, i : i + 16, j : j + 16] for j in range(3)], -1)

        cut = np_.stack([row(i) for i in range(3)], -2)
        return np_.einsum("nchwij,ocij->nohw", cut, w)

    for function in (in_a_row, in_a_square):
        compiled = weft.jit(lambda x, w, f=function: f(wnp, x, w))
        np.testing.assert_allclose(compiled(x, w), function(np, x, w), rtol=1e-4, atol=1e-4)
        report = weft.explain(compiled, x, w)
        assert len(report.kernels) == 1
        assert report.peak_intermediate_bytes < 9 * x.nbytes / 4
