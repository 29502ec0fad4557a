"""`weft.scipy.optimize`: minimisation by BFGS, which can be jitted and batched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import weft.numpy as wnp
from weft import lax, tree
from weft.numpy._common import ArrayLike, Value, check_arraylike, promote_inexact, shape_of
from weft.transforms.api import value_and_grad

__all__ = ["OptimizeResults", "minimize"]


class OptimizeResults(NamedTuple):
    """What `minimize` has found.

    x: where it has come to. success: whether the gradient is as small as asked. status: 0 for that,
    1 after too many iterations, 3 and 5 where no step along a line was found, -1 otherwise.
    fun, jac: the function and its gradient there. hess_inv: an estimate of the inverse of the
    Hessian. nfev, njev, nit: numbers of values, of gradients and of iterations.
    """

    x: Value
    success: Value
    status: Value
    fun: Value
    jac: Value
    hess_inv: Value | None
    nfev: Value
    njev: Value
    nit: Value


def minimize(
    fun: Callable[..., Any],
    x0: ArrayLike,
    args: tuple[Any, ...] = (),
    *,
    method: str,
    tol: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> OptimizeResults:
    """Where a function of a vector is least, from `x0` downhill.

    Parameters
    ----------
    fun: ``fun(x, *args)`` gives a number, and is differentiable. x0: of shape (n,), real.
    method: "BFGS": quasi-Newton steps with a line search for Wolfe's conditions (Nocedal and
        Wright, 2006, algorithms 6.1, 3.5 and 3.6).
    tol: that of the gradient, unless `options` has ``gtol``.
    options: ``maxiter`` (by default 200 for each number of x0), ``gtol`` (1e-5; at most that in
        ``norm``), ``norm`` (inf: the order of the norm), ``line_search_maxiter`` (10).

    Raises
    ------
    ValueError: for other methods, options and shapes. TypeError: if `args` is not a tuple.

    >>> def valley(x):
    ...     return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    >>> found = weft.scipy.optimize.minimize(valley, np.asarray([-1.0, 1.0]), method="BFGS")
    >>> np.round(found.x, 2)
    Array([1., 1.], dtype=float32)
    """
    name = "weft.scipy.optimize.minimize"
    if not isinstance(args, tuple):
        raise TypeError(f"{name}: args is a tuple, got {type(args).__name__}")
    if method.lower() != "bfgs":
        raise ValueError(f"{name}: the method is 'BFGS', got {method!r}")
    check_arraylike("scipy.optimize.minimize", x0)
    if len(shape_of(x0)) != 1:
        raise ValueError(f"{name}: x0 is a vector, got shape {shape_of(x0)}")
    settings: dict[str, Any] = {
        "maxiter": None,
        "gtol": 1e-5,
        "norm": np.inf,
        "line_search_maxiter": 10,
    }
    unknown = set(options or {}) - set(settings)
    if unknown:
        raise ValueError(f"{name}: options are {sorted(settings)}, got {sorted(unknown)}")
    if tol is not None:
        settings["gtol"] = tol
    settings.update(options or {})
    (start,) = promote_inexact("scipy.optimize.minimize", x0)
    return _bfgs(lambda x: fun(x, *args), wnp.asarray(start), **settings)


class _State(NamedTuple):
    x: Value
    f: Value
    g: Value
    inverse: Value
    previous: Value
    count: Value
    calls: Value
    failed: Value
    reason: Value


def _bfgs(
    fun: Callable[[Value], Value],
    x0: Value,
    maxiter: int | None,
    gtol: float,
    norm: float,
    line_search_maxiter: int,
) -> OptimizeResults:
    n = x0.shape[0]
    most = 200 * n if maxiter is None else maxiter
    identity = wnp.eye(n, dtype=x0.dtype)
    zero, no = wnp.zeros((), wnp.int32), wnp.asarray(False)

    def settled(g: Value) -> Value:
        return wnp.linalg.norm(g, norm) < gtol

    def going(s: _State) -> Value:
        return ~settled(s.g) & ~s.failed & (s.count < most)

    def step(s: _State) -> _State:
        direction = -s.inverse @ s.g
        found = _line_search(fun, s, direction, line_search_maxiter)
        move, turn = found.a * direction, found.g - s.g
        scale = 1 / (turn @ move)
        left = identity - scale * wnp.outer(move, turn)
        inverse = left @ s.inverse @ left.T + scale * wnp.outer(move, move)
        return _State(
            s.x + move,
            found.f,
            found.g,
            wnp.where(wnp.isfinite(scale), inverse, s.inverse),
            s.f,
            s.count + 1,
            s.calls + found.calls,
            ~found.good,
            found.reason,
        )

    f, g = value_and_grad(fun)(x0)
    before = f + wnp.linalg.norm(g) / 2  # so that the first step is as long as the gradient says
    first = _State(x0, f, g, identity, before, zero, zero + 1, no, zero)
    end = lax.while_loop(going, step, first)
    success = settled(end.g) & ~end.failed
    status = wnp.where(end.failed, 2 + end.reason, -1)
    status = wnp.where(end.count == most, 1, status)
    status = wnp.where(settled(end.g), 0, status)
    return OptimizeResults(
        end.x, success, status, end.f, end.g, end.inverse, end.calls, end.calls, end.count
    )


# ---------------------------------------------------------------- along a line

#: Wolfe's conditions: f falls by this share of what the slope promises, which falls to this share.
_FALL, _FLATTEN = 1e-4, 0.9


class _Point(NamedTuple):
    """A step along the line, the function there, its slope along the line and its gradient."""

    a: Value
    f: Value
    slope: Value
    g: Value


class _Found(NamedTuple):
    a: Value
    f: Value
    g: Value
    calls: Value
    good: Value
    reason: Value  # 1 where the interval has shrunk to nothing, 3 after too many steps


def _choose(condition: Value, one: Any, other: Any) -> Any:
    return tree.map(lambda a, b: wnp.where(condition, a, b), one, other)


def _line_search(fun: Callable[[Value], Value], s: _State, direction: Value, most: int) -> _Found:
    """A step that fulfils Wolfe's strong conditions: doubled, then enclosed (algorithm 3.5)."""

    def at(a: Value) -> _Point:
        f, g = value_and_grad(fun)(s.x + a * direction)
        return _Point(a, f, g @ direction, g)

    kind = s.x.dtype
    origin = _Point(wnp.zeros((), kind), s.f, s.g @ direction, s.g)

    def too_high(p: _Point) -> Value:
        return p.f > origin.f + _FALL * p.a * origin.slope

    def flat(p: _Point) -> Value:
        return abs(p.slope) <= -_FLATTEN * origin.slope

    guess = 1.01 * 2 * (s.f - s.previous) / origin.slope
    first = wnp.where(guess > 1, 1, guess).astype(kind)

    def searching(state: Any) -> Value:
        _, _, _, done, failed, i, _ = state
        return ~done & ~failed & (i <= most)

    def extend(state: Any) -> Any:
        last, best, a, _, _, i, calls = state
        here = at(a)
        over = too_high(here) | ((here.f >= last.f) & (i > 1))
        good = flat(here) & ~over
        past = (here.slope >= 0) & ~over & ~good
        low, high = _choose(over, last, here), _choose(over, here, last)
        inner, failed, more = _zoom(at, too_high, flat, origin, low, high, over | past)
        best = _choose(good, here, _choose(over | past, inner, best))
        done = over | past | good
        return here, best, 2 * a, done, failed, i + 1, calls + 1 + more

    no, one = wnp.asarray(False), wnp.ones((), wnp.int32)
    start = (origin, origin, first, no, no, one, 0 * one)
    _, best, _, done, failed, i, calls = lax.while_loop(searching, extend, start)
    reason = wnp.where(failed, 1, wnp.where(i > most, 3, 0))
    # Steps of nothing would leave the direction as it is.
    least = 0.0 if kind == np.float64 else 1e-8
    a = wnp.where(abs(best.a) < least, wnp.sign(best.a) * least, best.a)
    return _Found(a, best.f, best.g, calls, done & ~failed, reason)


def _zoom(
    at: Callable[[Value], _Point],
    too_high: Callable[[_Point], Value],
    flat: Callable[[_Point], Value],
    origin: _Point,
    low: _Point,
    high: _Point,
    enabled: Value,
) -> tuple[_Point, Value, Value]:
    """A good step between `low`, where f is lower, and `high`, by interpolation (algorithm 3.6)."""
    least = 1e-10 if low.a.dtype == np.float64 else 1e-5

    def searching(state: Any) -> Value:
        *_, done, failed, _ = state
        return enabled & ~done & ~failed

    def shrink(state: Any) -> Any:
        low, high, old, best, _, failed, j = state
        width = high.a - low.a
        failed = failed | (abs(width) <= least) | (j >= 30)
        here = at(_between(low, high, old, j > 0))
        up = too_high(here) | (here.f >= low.f)
        done = flat(here) & ~up
        turned = (here.slope * width >= 0) & ~up & ~done
        old = _choose(up | turned, high, low)
        high = _choose(up, here, _choose(turned, low, high))
        low = _choose(up | done, low, here)
        return low, high, old, _choose(done, here, best), done, failed, j + 1

    no = wnp.asarray(False)
    start = (low, high, high, low, no, no, wnp.zeros((), wnp.int32))
    *_, best, done, failed, count = lax.while_loop(searching, shrink, start)
    return best, failed & ~done, count


def _between(low: _Point, high: _Point, old: _Point, has_old: Value) -> Value:
    """The least point of a cubic, or else a parabola, through what is known; or the middle."""
    b, c = high.a - low.a, old.a - low.a
    rise_b, rise_c = high.f - low.f - low.slope * b, old.f - low.f - low.slope * c
    scale = (b * c) ** 2 * (b - c)
    cube = (c**2 * rise_b - b**2 * rise_c) / scale
    square = (b**3 * rise_c - c**3 * rise_b) / scale
    cubic = low.a + (-square + wnp.sqrt(square**2 - 3 * cube * low.slope)) / (3 * cube)
    parabola = low.a - low.slope * b**2 / (2 * rise_b)
    left, right = wnp.minimum(low.a, high.a), wnp.maximum(low.a, high.a)

    def inside(a: Value, margin: float) -> Value:
        return (a > left + margin * abs(b)) & (a < right - margin * abs(b))  # not if a is NaN

    middle = 0.5 * (low.a + high.a)
    result = wnp.where(inside(parabola, 0.1), parabola, middle)
    return wnp.where(has_old & inside(cubic, 0.2), cubic, result)
