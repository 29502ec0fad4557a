"""Random programs through the public API: mixed dtypes, indexing, loops, branches, vmap and grad.

A program is a list of steps over a growing list of values. Whatever the numbers of a step are, it
means something: operands are picked modulo what there is, cut or repeated to shapes that fit.
Bodies of loops, branches and mapped functions are programs too. So every example runs, and shrinks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import weft
from weft import lax
from weft import numpy as wnp
from weft.core import dtypes

DTYPES = tuple(
    dtypes.canonical_dtype(d)
    for d in (
        "f4",
        "i4",
        "f4",
        "?",
        "f8",
        "u1",
        "i8",
        "f2",
        "u4",
        "i2",
        "f4",
        "i4",
        "i1",
        "u2",
        "u8",
        "bfloat16",
    )
)
SHAPES = (
    *((), (1,), (3,), (8,), (17,)),
    *((2, 3), (5, 1), (4, 4), (3, 0), (2, 1, 3), (7, 33), (3, 2, 4)),
)


@dataclass(frozen=True)
class Step:
    """One operation: what, on which earlier values, with which numbers, around which program."""

    kind: str
    picks: tuple[int, ...]
    numbers: tuple[int, ...]
    body: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Program:
    """Inputs (shape, dtype) and steps; calling it returns its last values."""

    inputs: tuple[tuple[tuple[int, ...], np.dtype], ...]
    steps: tuple[Step, ...]

    def __call__(self, *arrays: Any) -> list[Any]:
        return run(self.steps, arrays)[-3:]

    def arrays(self, seed: int = 0) -> list[np.ndarray]:
        """Inputs: small integers and halves, so that most sums are exact."""
        rng = np.random.default_rng(seed)
        arrays = []
        for shape, dtype in self.inputs:
            whole = np.asarray(rng.integers(0 if dtype.kind in "ub" else -4, 5, shape))
            arrays.append(np.asarray(whole / 2 if dtypes.is_floating(dtype) else whole, dtype))
        return arrays


def run(steps: Sequence[Step], values: Sequence[Any]) -> list[Any]:
    """The values given and those of the steps."""
    found = list(values)
    for step in steps:
        found.append(OPERATIONS[step.kind](step, found))
    return found


# ---------------------------------------------------------------- operands that fit


def pick(step: Step, values: Sequence[Any], n: int = 0) -> Any:
    return values[step.picks[n] % len(values)]


def is_float(x: Any) -> bool:
    return dtypes.is_floating(x.dtype)


def as_float(x: Any) -> Any:
    return x if is_float(x) else x.astype(np.float32)


def as_int(x: Any) -> Any:
    """Integers that do not depend on how float sums are rounded."""
    if is_float(x):
        return (x > 0.7).astype(np.int32)
    return x.astype(np.int32)


def fit(x: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """The elements of ``x``, cut or repeated to ``shape``; floats become integers by size."""
    if is_float(x) and not dtypes.is_floating(dtype):
        x = as_int(x)
    x = x.astype(dtype)
    if x.shape == shape:
        return x
    size = int(np.prod(shape))
    flat = x.reshape(-1)
    if flat.shape[0] == 0:
        return wnp.ones(shape, dtype)
    return wnp.resize(flat, (size,)).reshape(shape)


def like(x: Any, other: Any) -> Any:
    return fit(x, other.shape, other.dtype)


def pair(step: Step, values: Sequence[Any]) -> tuple[Any, Any]:
    """Two operands that broadcast: equal shapes, or one of a single row or a scalar."""
    x, y = pick(step, values), pick(step, values, 1)
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        y = fit(y, x.shape, y.dtype)
    return x, y


# ---------------------------------------------------------------- elementwise


def unary(f: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda step, values: f(pick(step, values))


def binary(f: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda step, values: f(*pair(step, values))


def integers(f: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def apply(step: Step, values: Sequence[Any]) -> Any:
        x, y = pair(step, values)
        return f(as_int(x), as_int(y))

    return apply


def numeric(x: Any) -> Any:
    return x.astype(np.int32) if x.dtype == np.bool_ else x


def comparison(f: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def apply(step: Step, values: Sequence[Any]) -> Any:
        x, y = pair(step, values)
        return f(as_int(x), as_int(y)) if step.numbers[0] % 4 else f(x + 0.37, y)

    return apply


def cast(step: Step, values: Sequence[Any]) -> Any:
    x = pick(step, values)
    return fit(x, x.shape, DTYPES[step.numbers[0] % len(DTYPES)])


def where(step: Step, values: Sequence[Any]) -> Any:
    x, y = pair(step, values)
    mask = as_int(pick(step, values, 2)) % 2 == 1
    shape = np.broadcast_shapes(x.shape, y.shape)
    return wnp.where(fit(mask, shape, np.dtype(bool)), x, y)


# ---------------------------------------------------------------- shapes and reductions


def axis_of(step: Step, x: Any) -> int:
    return step.numbers[0] % x.ndim


def ranked(f: Callable[[Step, Any], Any]) -> Callable[..., Any]:
    def apply(step: Step, values: Sequence[Any]) -> Any:
        x = pick(step, values)
        return f(step, x) if x.ndim else x.reshape(1)

    return apply


def reduction(f: Callable[..., Any], nonempty: bool = False) -> Callable[..., Any]:
    def apply(step: Step, x: Any) -> Any:
        if nonempty and 0 in x.shape:
            return x
        keep = bool(step.numbers[1] % 2)
        axis = None if step.numbers[2] % 3 == 0 else axis_of(step, x)
        return f(x, axis=axis, keepdims=keep)

    return ranked(apply)


def strided(step: Step, x: Any) -> Any:
    start, stop = sorted(n % (x.shape[0] + 1) for n in step.numbers[:2])
    stride = step.numbers[2] % 3 + 1
    at = slice(start, stop, stride)
    if step.numbers[2] % 2:
        at = slice(stop - 1 if stop else None, start - 1 if start else None, -stride)
    return x[..., None, at] if x.ndim == 1 else x[at]


def join(step: Step, values: Sequence[Any]) -> Any:
    x, y = pick(step, values), pick(step, values, 1)
    if x.ndim == 0:
        return wnp.stack([x, fit(y, (), y.dtype)])
    axis = axis_of(step, x)
    shape = tuple(step.numbers[1] % 4 if d == axis else n for d, n in enumerate(x.shape))
    return wnp.concatenate([x, fit(y, shape, y.dtype)], axis)


def padded(step: Step, x: Any) -> Any:
    widths = [(0, 0)] * x.ndim
    widths[axis_of(step, x)] = (step.numbers[1] % 3, step.numbers[2] % 3)
    mode = ("constant", "edge")[step.numbers[1] % 2 if 0 not in x.shape else 0]
    return wnp.pad(x, widths, mode=mode)


def product(step: Step, values: Sequence[Any]) -> Any:
    x, y = numeric(pick(step, values)), numeric(pick(step, values, 1))
    if x.ndim == 0 or y.ndim == 0:
        return x * y
    inner = x.shape[-1]
    y = fit(y, (inner, y.shape[-1]), y.dtype)
    return (x @ y) * 0.5 if step.numbers[0] % 2 else x @ y


# ---------------------------------------------------------------- indexing


def take(step: Step, values: Sequence[Any]) -> Any:
    """Elements at indices that may be out of range: they are clamped, or count from the end."""
    x, at = pick(step, values), as_int(pick(step, values, 1)) - step.numbers[0] % 3
    if x.ndim == 0 or x.shape[0] == 0 or at.ndim > 2:
        return x
    at = wnp.atleast_1d(at)  # an index that is one known integer may not be out of range
    return (x[at], x[at, ..., None], x.at[at].get(mode="fill", fill_value=1))[step.numbers[1] % 3]


def update(step: Step, values: Sequence[Any]) -> Any:
    x, y = numeric(pick(step, values)), pick(step, values, 1)
    if x.ndim == 0 or x.shape[0] == 0:
        return x
    at = fit(as_int(pick(step, values, 2)), (step.numbers[0] % 5,), np.dtype(np.int32))
    ref = x.at[at] if step.numbers[1] % 2 else x.at[..., step.numbers[0] % max(x.shape[-1], 1)]
    shape = x[at].shape if step.numbers[1] % 2 else x.shape[:-1]
    y = fit(y, shape, x.dtype)
    if 0 in x.shape:
        return x
    if step.numbers[2] % 4 == 0:
        return ref.set(y[:1] if y.ndim else y)
    return (ref.add, ref.max, ref.min)[step.numbers[2] % 4 - 1](y)


def starts_of(step: Step, values: Sequence[Any], x: Any) -> list[Any]:
    at = fit(as_int(pick(step, values, 1)), (max(x.ndim, 1),), np.dtype(np.int32))
    return [at[d] * 3 - 4 for d in range(x.ndim)]


def window_of(step: Step, x: Any) -> tuple[int, ...]:
    return tuple(min(n, 1 + step.numbers[d % 3] % 4) for d, n in enumerate(x.shape))


def dynamic(step: Step, values: Sequence[Any]) -> Any:
    x = pick(step, values)
    sizes = window_of(step, x)
    return lax.dynamic_slice(x, starts_of(step, values, x), sizes)


def dynamic_update(step: Step, values: Sequence[Any]) -> Any:
    x = pick(step, values)
    sizes = window_of(step, x)
    y = fit(pick(step, values, 2), sizes, x.dtype)
    return lax.dynamic_update_slice(x, y, starts_of(step, values, x))


# ---------------------------------------------------------------- programs within programs


def inner(step: Step, values: Sequence[Any], *more: Any) -> Any:
    """The last value of the step's body, which sees the values around it."""
    return run(step.body, [*values[-4:], *more])[-1]


def scan(step: Step, values: Sequence[Any]) -> Any:
    carry, xs = numeric(pick(step, values)), pick(step, values, 1)
    if xs.ndim == 0:
        xs = xs.reshape(1)
    if xs.shape[0] == 0:
        return carry

    def body(c: Any, x: Any) -> tuple[Any, Any]:
        out = inner(step, values, c, x)
        return like(out, c), (c if step.numbers[0] % 3 == 0 else out)

    last, ys = lax.scan(body, carry, xs, reverse=bool(step.numbers[1] % 2))
    return last if step.numbers[2] % 2 else ys


def while_loop(step: Step, values: Sequence[Any]) -> Any:
    state = pick(step, values)
    bound = fit(as_int(pick(step, values, 1)), (), np.dtype(np.int32)) % 4

    def body(loop: tuple[Any, Any]) -> tuple[Any, Any]:
        return loop[0] + 1, like(inner(step, values, loop[1]), loop[1])

    return lax.while_loop(lambda loop: loop[0] < bound, body, (wnp.int32(0), state))[1]


def fori(step: Step, values: Sequence[Any]) -> Any:
    state, other = pick(step, values), pick(step, values, 1)

    def body(i: Any, loop: tuple[Any, Any]) -> tuple[Any, Any]:
        a, b = loop  # they change places, so that a copy or a swap is needed
        return like(b, a), like(inner(step, values, a, b, wnp.asarray(i)), b)

    return lax.fori_loop(0, step.numbers[0] % 4, body, (state, other))[step.numbers[1] % 2]


def cond(step: Step, values: Sequence[Any]) -> Any:
    chosen = fit(as_int(pick(step, values)), (), np.dtype(np.int32)) % 2 == 1
    x, half = pick(step, values, 1), len(step.body) // 2
    first = Step("", step.picks, step.numbers, step.body[:half])
    second = Step("", step.picks, step.numbers, step.body[half:])
    return lax.cond(
        chosen,
        lambda x: like(inner(first, values, x), x),
        lambda x: like(inner(second, values, x), x),
        x,
    )


def vmap(step: Step, values: Sequence[Any]) -> Any:
    x, y = pick(step, values), pick(step, values, 1)
    if x.ndim == 0:
        x = x.reshape(1)
    axis = axis_of(step, x)
    shared = step.numbers[1] % 2 == 0 or x.shape[axis] not in y.shape[:1]
    if x.shape[axis] == 0:
        return x
    mapped = weft.vmap(lambda a, b: inner(step, values, b, a), (axis, None if shared else 0))
    return mapped(x, y)


def without_while(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps with loops of a known length: others have no reverse mode."""
    return tuple(
        Step("fori" if s.kind == "while" else s.kind, s.picks, s.numbers, without_while(s.body))
        for s in steps
    )


def grad(step: Step, values: Sequence[Any]) -> Any:
    step = Step(step.kind, step.picks, step.numbers, without_while(step.body))
    x = wnp.tanh(as_float(pick(step, values)))

    def loss(x: Any) -> Any:
        y = inner(step, values, x)
        return wnp.sum(as_float(y)).astype(np.float32) + wnp.sum(x * x)

    return weft.grad(loss)(x)


def nested_jit(step: Step, values: Sequence[Any]) -> Any:
    return weft.jit(lambda x: inner(step, values, x))(pick(step, values))


OPERATIONS: dict[str, Callable[[Step, Sequence[Any]], Any]] = {
    "tanh": unary(lambda x: wnp.tanh(as_float(x))),
    "exp": unary(lambda x: wnp.exp(wnp.minimum(as_float(x), 2))),
    "abs_sqrt": unary(lambda x: wnp.sqrt(wnp.abs(as_float(x)) + 0.5)),
    "neg": unary(lambda x: -numeric(x)),
    "not": unary(lambda x: ~(as_int(x) if is_float(x) else x)),
    "add": binary(lambda x, y: x + y),
    "sub": binary(lambda x, y: numeric(x) - numeric(y)),
    "mul": binary(lambda x, y: x * y),
    "max": binary(wnp.maximum),
    "floor_divide": integers(lambda x, y: x // y),
    "remainder": integers(lambda x, y: x % y),
    "shift": integers(lambda x, y: (x << (y & 7)) ^ (y >> 1)),
    "and": binary(lambda x, y: (as_int(x) > 0) & (as_int(y) > 0)),
    "less": comparison(lambda x, y: x < y),
    "equal": comparison(lambda x, y: x == y),
    "where": where,
    "cast": cast,
    "sum": reduction(lambda x, **k: wnp.sum(numeric(x), **k)),
    "mean": reduction(lambda x, **k: wnp.mean(numeric(x), **k), nonempty=True),
    "max_over": reduction(wnp.max, nonempty=True),
    "any": reduction(lambda x, **k: wnp.any(as_int(x) > 0, **k)),
    "argmax": reduction(lambda x, **k: wnp.argmax(as_int(x), **k), nonempty=True),
    "cumsum": ranked(lambda s, x: wnp.cumsum(numeric(x), axis=axis_of(s, x))),
    "transpose": unary(lambda x: x.T),
    "flatten": unary(lambda x: x.reshape(-1)),
    "flip": ranked(lambda s, x: wnp.flip(x, axis_of(s, x))),
    "roll": ranked(lambda s, x: wnp.roll(x, s.numbers[1] % 7 - 3, axis_of(s, x))),
    "strided": ranked(strided),
    "join": join,
    "pad": ranked(padded),
    "product": product,
    "take": take,
    "update": update,
    "dynamic": dynamic,
    "dynamic_update": dynamic_update,
    "scan": scan,
    "while": while_loop,
    "fori": fori,
    "cond": cond,
    "vmap": vmap,
    "grad": grad,
    "jit": nested_jit,
}

NESTED = ("scan", "while", "fori", "cond", "vmap", "grad", "jit")
PLAIN = tuple(k for k in OPERATIONS if k not in NESTED)

_picks = st.tuples(*[st.integers(0, 50)] * 3)
_numbers = st.tuples(*[st.integers(0, 100)] * 3)


def steps(depth: int, most: int) -> st.SearchStrategy[tuple[Step, ...]]:
    """Lists of steps, with bodies ``depth`` deep."""
    plain = st.builds(Step, st.sampled_from(PLAIN), _picks, _numbers)
    if depth == 0:
        return st.lists(plain, min_size=1, max_size=most).map(tuple)
    nested = st.builds(Step, st.sampled_from(NESTED), _picks, _numbers, steps(depth - 1, 3))
    return st.lists(plain | nested, min_size=1, max_size=most).map(tuple)


programs = st.builds(
    Program,
    st.lists(
        st.tuples(st.sampled_from(SHAPES), st.sampled_from(DTYPES)), min_size=1, max_size=4
    ).map(tuple),
    steps(2, 6),
)
