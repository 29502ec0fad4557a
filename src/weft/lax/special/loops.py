"""Iterating until convergence, element by element, with or without a derivative carried along."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from weft.core.avals import aval_of
from weft.lax import elementwise as ew
from weft.lax import shaping
from weft.lax.special.composed import Value, polynomial
from weft.numpy import where
from weft.transforms.api import jvp
from weft.transforms.control_flow import while_loop
from weft.transforms.vmap import vmap

State = tuple[Value, ...]

#: Far beyond what arguments within the range of float32 need; float64 may ask for more than ends.
MOST = 20_000


def scalar_by_scalar(fun: Callable[..., Value]) -> Callable[..., Value]:
    """``fun`` of scalars, with loops of its own, as a function of arrays of one shape."""

    def on_arrays(*xs: Value) -> Value:
        shape = aval_of(xs[0]).shape
        if not shape:
            return fun(*xs)
        flat = (shaping.reshape(x, (prod(shape),)) for x in xs)
        return shaping.reshape(vmap(fun)(*flat), shape)

    return on_arrays


def iterate(
    start: State,
    step: Callable[[Value, State], State],
    going: Callable[[State], Value],
    enabled: Value,
) -> State:
    """``step(n, state)`` for n = 1, 2, … while ``going(state)``, at most `MOST` times."""

    def unfinished(carry: Any) -> Value:
        n, state = carry
        return enabled & (n <= float(MOST)) & going(state)

    def body(carry: Any) -> Any:
        n, state = carry
        return n + 1.0, step(n, state)

    one = ew.exp(start[0] * 0.0)
    return while_loop(unfinished, body, (one, start))[1]


def with_derivative(
    start: Callable[[Value], State],
    step: Callable[[Value, Value, State], State],
    a: Value,
) -> tuple[State, Callable[[Value, State], State]]:
    """The state and step of a loop that also carries the derivatives by ``a``, after the values.

    ``start(a)`` and ``step(a, n, state)`` are the loop without them.
    """
    one = ew.exp(a * 0.0)
    values, slopes = jvp(start, (a,), (one,))
    count = len(values)

    def both(n: Value, state: State) -> State:
        moved, slopes = jvp(lambda a, *s: step(a, n, s), (a, *state[:count]), (one, *state[count:]))
        return (*moved, *slopes)

    return (*values, *slopes), both


def log1p_minus(x: Value) -> Value:
    """log(1 + x) - x, by a series in s = x/(2 + x) where the two are close."""
    s = x / (x + 2.0)
    near = polynomial(s * s, [2 / (2 * k + 3) for k in range(18)])
    return where(abs(x) < 0.5, s * (s * s * near - x), ew.log1p(x) - x)
