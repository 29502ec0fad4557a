"""Random differentiable programs, and how the tests run programs by their NumPy meaning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import weft
from weft.core import check_jaxpr, numpy_closed
from weft.primitives.arithmetic import add, mul, neg, sub
from weft.primitives.comparison import lt
from weft.primitives.dot_general import dot_general_p
from weft.primitives.joining import concatenate
from weft.primitives.reduction import reduce_max, reduce_sum
from weft.primitives.select import select_n
from weft.primitives.shaping import broadcast_in_dim, rev
from weft.primitives.slicing import slice_along
from weft.primitives.transcendental import cos, exp, sin, tanh
from weft.transforms.control_flow import cond, fori_loop, scan, switch

SIZE = 3
MATRIX = np.linspace(-0.7, 0.9, SIZE * SIZE).reshape(SIZE, SIZE)


def meaning(fun: Callable[..., Any], *args: Any) -> Any:
    """The result of a function by tracing it, checking the jaxpr and interpreting it with NumPy."""
    closed, shapes = weft.make_jaxpr(fun, return_shape=True)(*args)
    check_jaxpr(closed)
    leaves = numpy_closed(closed, *weft.tree.leaves(args))
    return weft.tree.unflatten(weft.tree.structure(shapes), leaves)


def full(value: Any) -> Any:
    return broadcast_in_dim(value, (SIZE,), ())


def total(x: Any) -> Any:
    return reduce_sum(x, (0,))


def matvec(x: Any) -> Any:
    return dot_general_p.bind(
        MATRIX, x, dimension_numbers=(((1,), (0,)), ((), ())), preferred_element_type=None
    )


def running(x: Any) -> Any:
    """A scan whose carry and results depend on every element."""

    def step(carry: Any, item: Any) -> Any:
        new = add(mul(sin(carry), item), np.asarray(0.5))
        return new, mul(new, item)

    return scan(step, np.asarray(1.0), x)[1]


def reverse_running(x: Any) -> Any:
    def step(carry: Any, item: Any) -> Any:
        a, count = carry
        return (mul(a, cos(item)), add(count, np.int32(1))), add(a, item)

    return scan(step, (np.asarray(0.7), np.int32(0)), x, reverse=True)[1]


def closing_over(x: Any) -> Any:
    """A loop whose body closes over a traced value."""
    weight = total(x)
    return fori_loop(0, 3, lambda i, v: tanh(add(mul(v, full(weight)), x)), x)


def branching(x: Any) -> Any:
    return cond(lt(total(x), np.asarray(0.3)), lambda v: mul(v, v), lambda v: sin(neg(v)), x)


def choosing(x: Any) -> Any:
    index = weft.lax.convert_element_type(lt(np.asarray(0.1), total(x)), np.int32)
    return switch(index, [lambda v: exp(tanh(v)), lambda v: mul(v, full(total(v)))], x)


UNARY: dict[str, Callable[[Any], Any]] = {
    "sin": sin,
    "tanh": tanh,
    "exp of tanh": lambda x: exp(tanh(x)),
    "neg": neg,
    "rev": lambda x: rev(x, (0,)),
    "matvec": matvec,
    "spread sum": lambda x: full(tanh(total(x))),
    "max": lambda x: full(reduce_max(x, (0,))),
    "roll": lambda x: concatenate([slice_along(x, 1, SIZE, 0), slice_along(x, 0, 1, 0)], 0),
    "relu": lambda x: select_n(lt(full(np.asarray(0.05)), x), full(np.asarray(0.0)), x),
    "running": running,
    "reverse running": reverse_running,
    "closing over": closing_over,
    "branching": branching,
    "choosing": choosing,
    "jitted": lambda x: weft.jit(lambda v: mul(sin(v), v))(x),
    "rematerialised": lambda x: weft.checkpoint(lambda v: sin(mul(v, tanh(v))))(x),
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": add,
    "sub": sub,
    "mul": mul,
    "jitted pair": lambda x, y: weft.jit(lambda a, b: (mul(a, b), add(a, b)))(x, y)[0],
    "scan of pair": lambda x, y: scan(
        lambda c, ab: (add(c, mul(*ab)), tanh(c)), np.asarray(0.2), (x, y)
    )[1],
}


@dataclass(frozen=True)
class RandomProgram:
    """Steps that each add one vector to those known so far; the result is the last."""

    steps: tuple[tuple[str, int, int], ...]

    def __call__(self, x: Any, y: Any) -> Any:
        known = [x, y]
        for name, i, j in self.steps:
            a, b = known[i % len(known)], known[j % len(known)]
            known.append(UNARY[name](a) if name in UNARY else BINARY[name](a, b))
        return known[-1]

    def __repr__(self) -> str:
        return f"RandomProgram({self.steps})"

    def scalar(self, x: Any, y: Any) -> Any:
        return total(self(x, y))


def programs(max_steps: int = 5) -> st.SearchStrategy[RandomProgram]:
    step = st.tuples(st.sampled_from([*UNARY, *BINARY]), st.integers(0, 7), st.integers(0, 7))
    return st.lists(step, min_size=1, max_size=max_steps).map(lambda s: RandomProgram(tuple(s)))


# Values that keep clear of ties and of the places where branches change.
POINTS = [
    (np.array([0.31, -0.74, 0.92]), np.array([0.47, 0.23, -0.58])),
    (np.array([-0.66, 0.83, 0.12]), np.array([-0.35, 0.71, 0.44])),
]

__all__ = ["POINTS", "RandomProgram", "meaning", "programs", "total"]
