"""Schedules against their formulas, before, during and after what they change."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weft
from weft import optim


def value(schedule: optim.Schedule, step: int) -> float:
    with weft.disable_jit():
        return float(schedule(step))


STEPS = st.integers(0, 40)


@given(STEPS, st.sampled_from([1, 2, 0.5]), st.integers(0, 9), st.integers(1, 20))
def test_polynomial(step: int, power: float, begin: int, length: int) -> None:
    done = min(max(step - begin, 0), length) / length
    found = value(optim.polynomial_schedule(2.0, 0.5, power, length, begin), step)
    assert math.isclose(found, 0.5 + 1.5 * (1 - done) ** power, rel_tol=1e-5, abs_tol=1e-6)


@given(STEPS, st.booleans(), st.integers(0, 9), st.sampled_from([None, 0.3]))
def test_exponential(step: int, staircase: bool, begin: int, least: float | None) -> None:
    power = max(step - begin, 0) / 8
    wanted = 2 * 0.7 ** (math.floor(power) if staircase else power)
    wanted = max(wanted, least or 0)
    schedule = optim.exponential_decay(2.0, 8, 0.7, begin, staircase, least)
    assert math.isclose(value(schedule, step), wanted, rel_tol=1e-5)


@given(STEPS)
def test_warmups(step: int) -> None:
    up = min(step / 10, 1)
    turn = math.pi * min(max(step - 10, 0), 20) / 20
    wanted = up if step < 10 else 0.1 + 0.9 * (1 + math.cos(turn)) / 2
    found = value(optim.warmup_cosine_decay_schedule(0.0, 1.0, 10, 30, 0.1), step)
    assert math.isclose(found, wanted, rel_tol=1e-5, abs_tol=1e-6)
    assert math.isclose(value(optim.warmup_constant_schedule(0.0, 1.0, 10), step), up, rel_tol=1e-5)
    found = value(optim.warmup_exponential_decay_schedule(0.0, 1.0, 10, 5, 0.5), step)
    assert math.isclose(found, up * 0.5 ** (max(step - 10, 0) / 5), rel_tol=1e-5)


@given(STEPS)
def test_pieces(step: int) -> None:
    found = value(optim.piecewise_constant_schedule(8.0, {10: 0.5, 20: 0.25}), step)
    assert found == (8 if step < 10 else 4 if step < 20 else 1)
    joined = optim.join_schedules([optim.constant_schedule(3.0), lambda count: count], [7])
    assert value(joined, step) == (3 if step < 7 else step - 7)


def test_schedules_count_from_zero() -> None:
    optimizer = optim.sgd(lambda count: 10.0 ** -(count + 1))
    with weft.disable_jit():
        state = optimizer.init(np.zeros(1))
        for rate in (0.1, 0.01, 0.001):
            updates, state = optimizer.update(np.ones(1), state)
            np.testing.assert_allclose(updates, [-rate], rtol=1e-6)


def test_errors() -> None:
    with pytest.raises(ValueError, match="decay_steps is positive, got 0"):
        optim.cosine_decay_schedule(1.0, 0)
    with pytest.raises(ValueError, match="2 schedules have 1 boundaries between them, got 2"):
        optim.join_schedules([optim.constant_schedule(1.0)] * 2, [1, 2])
