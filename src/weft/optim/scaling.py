"""Transformations that scale updates: the parts of optimizers."""

from __future__ import annotations

from typing import Any, NamedTuple

from weft import numpy as wnp
from weft import tree
from weft.numpy._common import DType
from weft.optim.base import GradientTransformation, Params, Updates, masked, needed, stateless
from weft.optim.numerics import (
    first_count,
    next_count,
    norm,
    root_mean_square,
    running_mean,
    squared_magnitude,
    unbiased,
    zeros_like,
)
from weft.optim.schedules import ScalarOrSchedule, Schedule


def scale(step_size: Any) -> GradientTransformation:
    """Updates times `step_size`.

    >>> rule = weft.optim.scale(-0.5)
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0]
    Array([-1.5,  2. ], dtype=float32)
    """
    return stateless(lambda updates, params: tree.map(lambda g: step_size * g, updates))


class ScaleByScheduleState(NamedTuple):
    """The number of steps done."""

    count: Any


def scale_by_schedule(step_size_fn: Schedule) -> GradientTransformation:
    """Updates times what `step_size_fn` gives for the number of steps done.

    >>> weft.optim.scale_by_schedule(lambda step: 0.5).update(
    ...     np.array([3.0, -4.0]),
    ...     weft.optim.scale_by_schedule(lambda step: 0.5).init(np.ones(2)),
    ... )[0]
    Array([ 1.5, -2. ], dtype=float32)
    """

    def init(params: Params) -> ScaleByScheduleState:
        return ScaleByScheduleState(first_count())

    def update(
        updates: Updates, state: ScaleByScheduleState, params: Params = None
    ) -> tuple[Updates, ScaleByScheduleState]:
        size = step_size_fn(state.count)
        scaled = tree.map(lambda g: wnp.asarray(size, wnp.asarray(g).dtype) * g, updates)
        return scaled, ScaleByScheduleState(next_count(state.count))

    return GradientTransformation(init, update)


def scale_by_learning_rate(
    learning_rate: ScalarOrSchedule, *, flip_sign: bool = True
) -> GradientTransformation:
    """Updates times the learning rate, a number or a schedule, and downhill with `flip_sign`.

    >>> rule = weft.optim.scale_by_learning_rate(0.1)
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0]
    Array([-0.3,  0.4], dtype=float32)
    """
    sign = -1 if flip_sign else 1
    if callable(learning_rate):
        return scale_by_schedule(lambda count: sign * learning_rate(count))
    return scale(sign * learning_rate)


class TraceState(NamedTuple):
    """The sum of past updates."""

    trace: Params


def trace(
    decay: Any, nesterov: bool = False, accumulator_dtype: DType = None
) -> GradientTransformation:
    """Momentum: updates plus `decay` times the sum of past ones (Nesterov's looks a step ahead).

    >>> rule = weft.optim.trace(0.9)
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0]
    Array([ 3., -4.], dtype=float32)
    """

    def init(params: Params) -> TraceState:
        return TraceState(zeros_like(params, accumulator_dtype))

    def update(
        updates: Updates, state: TraceState, params: Params = None
    ) -> tuple[Updates, TraceState]:
        def add(g: Any, t: Any) -> Any:
            return g + decay * t

        total = tree.map(add, updates, state.trace)
        ahead = tree.map(add, updates, total) if nesterov else total
        kept = tree.map(lambda t, old: wnp.asarray(t, old.dtype), total, state.trace)
        return ahead, TraceState(kept)

    return GradientTransformation(init, update)


class EmaState(NamedTuple):
    """The number of steps done and the running mean of updates."""

    count: Any
    ema: Params


def ema(decay: Any, debias: bool = True, accumulator_dtype: DType = None) -> GradientTransformation:
    """The running mean of updates, ``decay * mean + (1 - decay) * update``.

    >>> rule = weft.optim.ema(0.9)
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0]
    Array([ 3., -4.], dtype=float32)
    """

    def init(params: Params) -> EmaState:
        return EmaState(first_count(), zeros_like(params, accumulator_dtype))

    def update(
        updates: Updates, state: EmaState, params: Params = None
    ) -> tuple[Updates, EmaState]:
        means, count = running_mean(updates, state.ema, decay), next_count(state.count)
        return (unbiased(means, decay, count) if debias else means), EmaState(count, means)

    return GradientTransformation(init, update)


class ScaleByAdamState(NamedTuple):
    """The number of steps done, and the running means of updates and of their squares."""

    count: Any
    mu: Params
    nu: Params


def scale_by_adam(
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: DType = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """The running mean of updates over the root of that of their squares (Kingma and Ba, 2015).

    Parameters
    ----------
    b1, b2: decays of the two means. eps, eps_root: added to the root, and to what it is taken of.
    mu_dtype: of the mean of updates. nesterov: look a step ahead (Dozat, 2016).

    >>> rule = weft.optim.scale_by_adam()
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0].round(4)
    Array([ 1., -1.], dtype=float32)
    """

    def init(params: Params) -> ScaleByAdamState:
        return ScaleByAdamState(first_count(), zeros_like(params, mu_dtype), _real_zeros(params))

    def update(
        updates: Updates, state: ScaleByAdamState, params: Params = None
    ) -> tuple[Updates, ScaleByAdamState]:
        mu = running_mean(updates, state.mu, b1)
        nu = running_mean(tree.map(squared_magnitude, updates), state.nu, b2)
        count = next_count(state.count)
        if nesterov:
            mean = ahead(updates, mu, b1, count)
        else:
            mean = unbiased(mu, b1, count)
        scaled = tree.map(
            lambda m, v: m / (wnp.sqrt(v + eps_root) + eps), mean, unbiased(nu, b2, count)
        )
        return scaled, ScaleByAdamState(count, mu, nu)

    return GradientTransformation(init, update)


def _real_zeros(params: Params) -> Params:
    return tree.map(lambda p: squared_magnitude(wnp.zeros_like(p)), params)


def ahead(updates: Updates, means: Updates, decay: Any, count: Any) -> Updates:
    """Nesterov's running mean of updates: the next one, as if the last update came again."""
    following = unbiased(means, decay, count + 1)
    current = unbiased(updates, decay, count)
    return tree.map(lambda m, g: decay * m + (1 - decay) * g, following, current)


class ScaleByLionState(NamedTuple):
    """The number of steps done and the running mean of updates."""

    count: Any
    mu: Params


def scale_by_lion(b1: Any = 0.9, b2: Any = 0.99, mu_dtype: DType = None) -> GradientTransformation:
    """The sign of a mean of update and running mean (Chen et al., 2023).

    Parameters
    ----------
    b1: the weight of the running mean in the step. b2: its decay.

    >>> rule = weft.optim.scale_by_lion()
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0]
    Array([ 1., -1.], dtype=float32)
    """

    def init(params: Params) -> ScaleByLionState:
        return ScaleByLionState(first_count(), zeros_like(params, mu_dtype))

    def update(
        updates: Updates, state: ScaleByLionState, params: Params = None
    ) -> tuple[Updates, ScaleByLionState]:
        signs = tree.map(lambda g, m: wnp.sign((1 - b1) * g + b1 * m), updates, state.mu)
        mu = running_mean(updates, state.mu, b2)
        return signs, ScaleByLionState(next_count(state.count), mu)

    return GradientTransformation(init, update)


class ScaleByRmsState(NamedTuple):
    """The running mean of squares of updates."""

    nu: Params


def scale_by_rms(
    decay: Any = 0.9, eps: Any = 1e-8, initial_scale: Any = 0.0
) -> GradientTransformation:
    """Updates over the root of the running mean of their squares (Tieleman and Hinton, 2012).

    >>> rule = weft.optim.scale_by_rms()
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0].round(4)
    Array([ 3.1623, -3.1623], dtype=float32)
    """

    def init(params: Params) -> ScaleByRmsState:
        return ScaleByRmsState(tree.map(lambda z: z + initial_scale, _real_zeros(params)))

    def update(
        updates: Updates, state: ScaleByRmsState, params: Params = None
    ) -> tuple[Updates, ScaleByRmsState]:
        nu = running_mean(tree.map(squared_magnitude, updates), state.nu, decay)
        scaled = tree.map(lambda g, v: g / wnp.sqrt(v + eps), updates, nu)
        return scaled, ScaleByRmsState(nu)

    return GradientTransformation(init, update)


class ScaleByRssState(NamedTuple):
    """The sum of squares of updates."""

    sum_of_squares: Params


def scale_by_rss(initial_accumulator_value: Any = 0.1, eps: Any = 1e-7) -> GradientTransformation:
    """Updates over the root of the sum of their squares so far (Duchi, Hazan and Singer, 2011).

    >>> rule = weft.optim.scale_by_rss()
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0].round(4)
    Array([ 0.9945, -0.9969], dtype=float32)
    """

    def init(params: Params) -> ScaleByRssState:
        start = initial_accumulator_value
        return ScaleByRssState(tree.map(lambda z: z + start, _real_zeros(params)))

    def update(
        updates: Updates, state: ScaleByRssState, params: Params = None
    ) -> tuple[Updates, ScaleByRssState]:
        squares = tree.map(lambda g, s: s + squared_magnitude(g), updates, state.sum_of_squares)
        scaled = tree.map(lambda g, s: wnp.where(s > 0, g / wnp.sqrt(s + eps), 0), updates, squares)
        return scaled, ScaleByRssState(squares)

    return GradientTransformation(init, update)


def scale_by_trust_ratio(
    min_norm: Any = 0.0, trust_coefficient: Any = 1.0, eps: Any = 0.0
) -> GradientTransformation:
    """Each array of updates times the norm of its parameters over its own (You et al., 2020).

    Norms are at least `min_norm`; where one is 0 the update stays as it is.

    >>> rule = weft.optim.scale_by_trust_ratio()
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0].round(4)
    Array([ 0.8485, -1.1314], dtype=float32)
    """

    def scaled(g: Any, p: Any) -> Any:
        own, other = (wnp.maximum(norm(x), min_norm) for x in (g, p))
        ratio = trust_coefficient * other / (wnp.where(own == 0, 1, own) + eps)
        return g * wnp.where((own == 0) | (other == 0), wnp.asarray(1, ratio.dtype), ratio)

    def function(updates: Updates, params: Params) -> Updates:
        return tree.map(scaled, updates, needed("scale_by_trust_ratio", params))

    return stateless(function)


def scale_by_param_block_rms(min_scale: Any = 1e-3) -> GradientTransformation:
    """Each array of updates times the root mean square of its parameters, at least `min_scale`.

    >>> rule = weft.optim.scale_by_param_block_rms()
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0]
    Array([ 3., -4.], dtype=float32)
    """

    def function(updates: Updates, params: Params) -> Updates:
        params = needed("scale_by_param_block_rms", params)
        return tree.map(
            lambda g, p: g * wnp.maximum(root_mean_square(p), min_scale), updates, params
        )

    return stateless(function)


def add_decayed_weights(weight_decay: Any = 0.0, mask: Any = None) -> GradientTransformation:
    """Updates plus `weight_decay` times parameters, of those for which `mask` holds.

    >>> rule = weft.optim.add_decayed_weights(0.1)
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0]
    Array([ 3.1, -3.9], dtype=float32)
    """

    def function(updates: Updates, params: Params) -> Updates:
        params = needed("add_decayed_weights", params)
        return tree.map(lambda g, p: g + weight_decay * p, updates, params)

    decay = stateless(function)
    return decay if mask is None else masked(decay, mask)
