"""Variances of rows that no cache holds, in one pass over memory: as accurate as two."""

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
from weft.kernels.machine import cpu_machine
from weft.kernels.moments import in_blocks
from weft.terms.check import check_program
from weft.terms.interpret import interpret
from weft.terms.lower import lower_jaxpr
from weft.terms.region import Block, Def, Region, Scatter
from weft.terms.region import Program as Terms

#: Caches so small that rows of a few thousand elements do not fit.
SMALL = cpu_machine(2, 64, (8 << 10, 16 << 10, 32 << 10))


def blocked(function: Callable[..., Any], *args: Any) -> tuple[Terms, Terms]:
    terms = lower_jaxpr(weft.make_jaxpr(function)(*args))
    steps = tuple(s for s in terms.block.steps if isinstance(s, Def | Scatter))
    found = in_blocks(Region(terms.inputs, steps, terms.outputs), SMALL)
    after = dataclasses.replace(terms, block=Block(list(found.steps)))
    check_program(after)
    return terms, after


def parts(terms: Terms) -> int:
    return sum(s.value.name.endswith(".parts") for s in terms.block.steps)  # type: ignore[union-attr]


def moment(power: int, keepdims: bool = True) -> Callable[..., Any]:
    def function(x: Any, axis: Any) -> Any:
        apart = x - x.mean(axis, keepdims=True)
        product = apart
        for _ in range(power - 1):
            product = product * apart
        return product.mean(axis, keepdims=keepdims)

    return function


@settings(max_examples=12)
@given(
    st.sampled_from([((12288,), None), ((2, 9000), 1), ((4, 64, 60), None), ((8192, 3), 0)]),
    st.integers(2, 4),
    st.booleans(),
)
def test_central_moments(case: Any, power: int, keepdims: bool) -> None:
    shape, axis = case
    x = np.random.default_rng(power).standard_normal(shape) + 100
    before, after = blocked(lambda a: moment(power, keepdims)(a, axis), x)
    assert parts(after) == 1
    np.testing.assert_allclose(
        interpret(after, x)[0], interpret(before, x)[0], rtol=1e-8, atol=1e-12
    )


def test_it_is_no_less_accurate() -> None:
    """Float32, far from 0: rounding errors of both against exact arithmetic."""
    x = (np.random.default_rng(0).standard_normal(1 << 15) + 1000).astype(np.float32)
    before, after = blocked(lambda a: a.var(), x)
    exact = x.astype(np.float64).var()
    first, second = (abs(float(interpret(t, x)[0]) / exact - 1) for t in (before, after))
    assert parts(after) == 1 and second <= max(first, 1e-6)


def test_blocks_of_very_different_numbers() -> None:
    x = np.repeat(np.array([1e6, -1e6, 3.0, 0.0], np.float64), 4096)
    x += np.random.default_rng(0).standard_normal(x.size)
    _, after = blocked(lambda a: a.var(), x)
    np.testing.assert_allclose(interpret(after, x)[0], x.var(), rtol=1e-12)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_special_values(special: float) -> None:
    x = np.zeros(16384)
    x[12345] = special
    before, after = blocked(lambda a: a.var(), x)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(interpret(after, x)[0], interpret(before, x)[0])


def test_what_is_left_alone() -> None:
    x = np.zeros(16384)
    for function in (
        lambda a: a.sum(),
        lambda a: ((a - a.max()) ** 2).sum(),
        lambda a: wnp.exp(a - a.mean()).sum(),
        lambda a: ((a - (a.mean() + 5)) ** 2).sum(),
        lambda a: ((a - a[:8192].mean()) ** 2).sum(),
    ):
        before, after = blocked(function, x)
        assert after.block.steps == before.block.steps
    before, after = blocked(lambda a: a.var(), np.zeros(1000))  # it fits
    assert after.block.steps == before.block.steps


def test_two_moments_share_their_parts() -> None:
    def both(a: Any) -> Any:
        apart = a - a.mean()
        return (apart**2).mean(), (apart * apart * apart).mean()

    x = np.random.default_rng(0).standard_normal(16384)
    before, after = blocked(both, x)
    assert parts(after) == 1
    for a, e in zip(interpret(after, x), interpret(before, x), strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-12)


def test_a_variance_is_one_pass_over_memory() -> None:
    x = np.zeros(1 << 26, np.float32)
    report = weft.explain(lambda a: a.var(), x)
    assert report.bytes_moved["DRAM"] < 1.1 * x.nbytes
    assert len(report.kernels) <= 2
    rows = np.zeros((2, 1 << 26), np.float32)
    report = weft.explain(lambda a: a.std(1), rows)
    assert report.bytes_moved["DRAM"] < 1.1 * rows.nbytes


def test_exact_numerics_change_no_sum() -> None:
    def attention(q: Any, k: Any, v: Any) -> Any:
        s = q @ k.T
        p = wnp.exp(s - s.max(-1, keepdims=True))
        return p / p.sum(-1, keepdims=True) @ v

    shapes = [np.zeros((2048, 64), np.float32)] * 3
    x = np.zeros(1 << 26, np.float32)
    before = weft.config.numerics
    weft.config.numerics = "exact"
    apart, passes = weft.explain(attention, *shapes), weft.explain(lambda a: a.var(), x)
    weft.config.numerics = before
    assert len(apart.kernels) > 1
    assert passes.bytes_moved["DRAM"] > 1.9 * x.nbytes
