"""Schedules: functions from the number of steps done to a learning rate (or another number)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from weft import numpy as wnp

Schedule = Callable[[Any], Any]
ScalarOrSchedule = float | Schedule | Any


def constant_schedule(value: Any) -> Schedule:
    """`value` at every step.

    >>> weft.optim.constant_schedule(0.1)(7)
    0.1
    """
    return lambda count: value


def polynomial_schedule(
    init_value: Any,
    end_value: Any,
    power: Any,
    transition_steps: int,
    transition_begin: int = 0,
) -> Schedule:
    """From `init_value` to `end_value` in `transition_steps`, as (1 − progress)^power falls.

    >>> weft.optim.polynomial_schedule(1.0, 0.0, 2, 10)(5)
    Array(0.25, dtype=float32, weak_type=True)
    """
    if transition_steps <= 0:
        return constant_schedule(init_value)

    def schedule(count: Any) -> Any:
        done = wnp.clip(wnp.asarray(count) - transition_begin, 0, transition_steps)
        return (init_value - end_value) * (1 - done / transition_steps) ** power + end_value

    return schedule


def linear_schedule(
    init_value: Any, end_value: Any, transition_steps: int, transition_begin: int = 0
) -> Schedule:
    """From `init_value` to `end_value` along a line of `transition_steps`.

    >>> weft.optim.linear_schedule(1.0, 0.0, 4)(1)
    Array(0.75, dtype=float32, weak_type=True)
    """
    return polynomial_schedule(init_value, end_value, 1, transition_steps, transition_begin)


def exponential_decay(
    init_value: float,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> Schedule:
    """init_value · decay_rate^(steps / transition_steps), in whole powers with `staircase`.

    `end_value` is a lower bound, or an upper one if `decay_rate` exceeds 1.

    >>> weft.optim.exponential_decay(1.0, 2, 0.25)(2)
    Array(0.25, dtype=float32, weak_type=True)
    """
    if transition_steps <= 0 or decay_rate == 0:
        return constant_schedule(init_value)

    def schedule(count: Any) -> Any:
        done = wnp.asarray(count) - transition_begin
        power = done / transition_steps
        if staircase:
            power = wnp.floor(power)
        value = wnp.where(done <= 0, init_value, init_value * wnp.power(decay_rate, power))
        if end_value is None:
            return value
        bound = wnp.maximum if decay_rate < 1 else wnp.minimum
        return bound(value, end_value)

    return schedule


def cosine_decay_schedule(
    init_value: float, decay_steps: int, alpha: float = 0.0, exponent: float = 1.0
) -> Schedule:
    """From `init_value` to alpha · init_value along half a cosine (Loshchilov and Hutter, 2017).

    >>> weft.optim.cosine_decay_schedule(2.0, 10)(10)
    Array(0., dtype=float32, weak_type=True)
    """
    if decay_steps <= 0:
        raise ValueError(
            f"weft.optim.cosine_decay_schedule: decay_steps is positive, got {decay_steps}"
        )

    def schedule(count: Any) -> Any:
        done = wnp.minimum(wnp.asarray(count), decay_steps)
        wave = 0.5 * (1 + wnp.cos(math.pi * done / decay_steps))
        return init_value * ((1 - alpha) * wave**exponent + alpha)

    return schedule


def piecewise_constant_schedule(
    init_value: float, boundaries_and_scales: Mapping[int, float] | None = None
) -> Schedule:
    """`init_value`, times each scale from the step on that it belongs to.

    >>> weft.optim.piecewise_constant_schedule(1.0, {2: 0.5})(3)
    Array(0.5, dtype=float32, weak_type=True)
    """

    def schedule(count: Any) -> Any:
        value = wnp.asarray(init_value)
        for boundary, scale in sorted((boundaries_and_scales or {}).items()):
            value = wnp.where(wnp.asarray(count) >= boundary, value * scale, value)
        return value

    return schedule


def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """One schedule after the other; each counts from the boundary where it begins.

    Raises
    ------
    ValueError: if there is not one boundary less than there are schedules.

    >>> weft.optim.join_schedules([lambda t: 1.0, lambda t: 2.0], [3])(4)
    Array(2., dtype=float32, weak_type=True)
    """
    if len(boundaries) != len(schedules) - 1:
        raise ValueError(
            f"weft.optim.join_schedules: {len(schedules)} schedules have {len(schedules) - 1} "
            f"boundaries between them, got {len(boundaries)}"
        )

    def schedule(count: Any) -> Any:
        step = wnp.asarray(count)
        value = schedules[0](step)
        for boundary, following in zip(boundaries, schedules[1:], strict=True):
            value = wnp.where(step < boundary, value, following(step - boundary))
        return value

    return schedule


def warmup_constant_schedule(init_value: float, peak_value: float, warmup_steps: int) -> Schedule:
    """Linear from `init_value` to `peak_value`, which stays.

    >>> weft.optim.warmup_constant_schedule(0.0, 1.0, 4)(1)
    Array(0.25, dtype=float32, weak_type=True)
    """
    return linear_schedule(init_value, peak_value, warmup_steps)


def warmup_cosine_decay_schedule(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    decay_steps: int,
    end_value: float = 0.0,
    exponent: float = 1.0,
) -> Schedule:
    """Linear to `peak_value` in `warmup_steps`, then along half a cosine to `end_value`.

    `decay_steps` counts all steps, those of the warm-up included.

    >>> rate = weft.optim.warmup_cosine_decay_schedule(0.0, 1.0, 10, 110)
    >>> [round(float(rate(step)), 3) for step in (0, 5, 10, 60, 200)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    alpha = 0.0 if peak_value == 0 else end_value / peak_value
    warmup = linear_schedule(init_value, peak_value, warmup_steps)
    decay = cosine_decay_schedule(peak_value, decay_steps - warmup_steps, alpha, exponent)
    return join_schedules([warmup, decay], [warmup_steps])


def warmup_exponential_decay_schedule(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> Schedule:
    """Linear to `peak_value` in `warmup_steps`, then `exponential_decay`.

    >>> weft.optim.warmup_exponential_decay_schedule(0.0, 1.0, 4, 2, 0.5)(1)
    Array(0.25, dtype=float32, weak_type=True)
    """
    warmup = linear_schedule(init_value, peak_value, warmup_steps)
    decay = exponential_decay(
        peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value
    )
    return join_schedules([warmup, decay], [warmup_steps])
