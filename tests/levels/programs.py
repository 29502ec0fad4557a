"""Random array programs for comparing levels: straight-line code over a growing list of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from weft import lax

F32 = np.dtype(np.float32)
SIZES = (1, 2, 3, 5, 7, 16, 17, 33, 70)


@dataclass(frozen=True)
class Step:
    """One operation of a program: what to do, to which earlier arrays, with which numbers."""

    kind: str
    picks: tuple[int, ...]
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """Input shapes and steps; calling it with arrays runs it and returns its last results."""

    shapes: tuple[tuple[int, ...], ...]
    steps: tuple[Step, ...]
    dtype: np.dtype = F32

    def __call__(self, *arrays: Any) -> list[Any]:
        values = list(arrays)
        for step in self.steps:
            values.append(_OPERATIONS_OF[self.dtype.kind][step.kind](step, values))
        return values[-2:]


def _pick(step: Step, values: Sequence[Any], n: int = 0) -> Any:
    return values[step.picks[n] % len(values)]


def _unary(f: Callable[[Any], Any]) -> Callable[[Step, Sequence[Any]], Any]:
    return lambda step, values: f(_pick(step, values))


def _fitted(x: Any, y: Any) -> tuple[Any, Any]:
    """Cut and broadcast two arrays to one shape."""
    rank = max(x.ndim, y.ndim)
    x = lax.reshape(x, (1,) * (rank - x.ndim) + tuple(x.shape))
    y = lax.reshape(y, (1,) * (rank - y.ndim) + tuple(y.shape))
    shape = tuple(
        b if a == 1 else a if b == 1 else min(a, b) for a, b in zip(x.shape, y.shape, strict=True)
    )
    return _cut(x, shape), _cut(y, shape)


def _cut(x: Any, shape: tuple[int, ...]) -> Any:
    limits = tuple(min(a, b) for a, b in zip(x.shape, shape, strict=True))
    x = lax.slice(x, (0,) * len(shape), limits)
    return lax.broadcast_in_dim(x, shape, tuple(range(len(shape))))


def _binary(f: Callable[[Any, Any], Any]) -> Callable[[Step, Sequence[Any]], Any]:
    return lambda step, values: f(*_fitted(_pick(step, values), _pick(step, values, 1)))


def _reduce(f: Callable[[Any, tuple[int, ...]], Any], keep: bool) -> Callable[..., Any]:
    def run(step: Step, values: Sequence[Any]) -> Any:
        x = _pick(step, values)
        if x.ndim == 0:
            return x
        axis = step.numbers[0] % x.ndim
        y = f(x, (axis,))
        return lax.expand_dims(y, (axis,)) if keep else y

    return run


def _transpose(step: Step, values: Sequence[Any]) -> Any:
    x = _pick(step, values)
    turn = step.numbers[0] % max(1, x.ndim)
    return lax.transpose(x, tuple((d + turn) % x.ndim for d in range(x.ndim)))


def _flatten(step: Step, values: Sequence[Any]) -> Any:
    x = _pick(step, values)
    if x.ndim < 2:
        return x
    at = step.numbers[0] % (x.ndim - 1)
    return lax.reshape(x, (*x.shape[:at], x.shape[at] * x.shape[at + 1], *x.shape[at + 2 :]))


def _slice(step: Step, values: Sequence[Any]) -> Any:
    x = _pick(step, values)
    if x.ndim == 0:
        return x
    axis = step.numbers[0] % x.ndim
    start = step.numbers[1] % x.shape[axis]
    stride = 1 + step.numbers[2] % 3
    starts = tuple(start if d == axis else 0 for d in range(x.ndim))
    strides = tuple(stride if d == axis else 1 for d in range(x.ndim))
    return lax.slice(x, starts, tuple(x.shape), strides)


def _pad(step: Step, values: Sequence[Any]) -> Any:
    x = _pick(step, values)
    config = [(n % 3, n // 3 % 3, 0) for n in (*step.numbers, 1, 1)][: x.ndim]
    return lax.pad(x, np.asarray(0.5, x.dtype), config)


def _concatenate(step: Step, values: Sequence[Any]) -> Any:
    x, y = _pick(step, values), _pick(step, values, 1)
    if x.ndim == 0 or x.ndim != y.ndim:
        return x
    axis = step.numbers[0] % x.ndim
    shape = tuple(y.shape[d] if d == axis else x.shape[d] for d in range(x.ndim))
    limits = tuple(min(a, b) for a, b in zip(y.shape, shape, strict=True))
    y = lax.slice(y, (0,) * y.ndim, limits)
    if any(y.shape[d] != x.shape[d] for d in range(x.ndim) if d != axis):
        return x
    return lax.concatenate([x, y], axis)


def _dot(step: Step, values: Sequence[Any]) -> Any:
    x, y = _pick(step, values), _pick(step, values, 1)
    if x.ndim == 0 or y.ndim == 0:
        return lax.neg(x)
    a, b = step.numbers[0] % x.ndim, step.numbers[1] % y.ndim
    n = min(x.shape[a], y.shape[b])
    x = lax.slice_in_dim(x, 0, n, axis=a)
    y = lax.slice_in_dim(y, 0, n, axis=b)
    if x.ndim + y.ndim > 5:
        return x
    return lax.mul(lax.dot_general(x, y, (((a,), (b,)), ((), ()))), 1 / max(1, n))


_OPERATIONS: dict[str, Callable[[Step, Sequence[Any]], Any]] = {
    "exp": _unary(lambda x: lax.exp(lax.min(x, np.float32(2)))),
    "tanh": _unary(lax.tanh),
    "abs_sqrt": _unary(lambda x: lax.sqrt(lax.abs(x))),
    "neg": _unary(lax.neg),
    "add": _binary(lax.add),
    "sub": _binary(lax.sub),
    "mul": _binary(lax.mul),
    "max": _binary(lax.max),
    "where": _binary(lambda x, y: lax.select(lax.lt(x, y), x, lax.mul(y, np.float32(0.5)))),
    "sum": _reduce(lambda x, a: lax.reduce_sum(x, axes=a), False),
    "sum_keep": _reduce(lambda x, a: lax.reduce_sum(x, axes=a), True),
    "max_keep": _reduce(lambda x, a: lax.reduce_max(x, axes=a), True),
    "prod": _reduce(lambda x, a: lax.reduce_prod(lax.tanh(x), axes=a), False),
    "transpose": _transpose,
    "flatten": _flatten,
    "slice": _slice,
    "reverse": _unary(lambda x: lax.rev(x, tuple(range(x.ndim)))),
    "pad": _pad,
    "concatenate": _concatenate,
    "dot": _dot,
}


def _squashed(z: Any) -> Any:
    """z / (1 + |z|)."""
    size = lax.add(lax.abs(z), 1.0)
    return lax.div(z, lax.complex(size, lax.sub(size, size)))


_COMPLEX: dict[str, Callable[[Step, Sequence[Any]], Any]] = {
    **{
        name: operation
        for name, operation in _OPERATIONS.items()
        if name not in ("exp", "tanh", "abs_sqrt", "max", "max_keep", "where", "prod")
    },
    "squashed": _unary(_squashed),
    "exp": _unary(lambda z: lax.exp(_squashed(z))),
    "sqrt": _unary(lambda z: lax.sqrt(lax.mul(z, z))),
    "conj": _unary(lax.conj),
    "exchanged": _unary(lambda z: lax.complex(lax.imag(z), lax.real(z))),
    "where": _binary(lambda x, y: lax.select(lax.lt(lax.real(x), lax.abs(y)), x, y)),
    "prod": _reduce(lambda z, a: lax.reduce_prod(_squashed(z), axes=a), False),
}
_OPERATIONS_OF = {"f": _OPERATIONS, "c": _COMPLEX}

_shapes = st.lists(st.sampled_from(SIZES), min_size=1, max_size=3).map(tuple)
_numbers = st.tuples(*[st.integers(0, 100)] * 3)


def _programs(
    operations: dict[str, Any], dtypes: st.SearchStrategy[np.dtype]
) -> st.SearchStrategy[Program]:
    steps = st.builds(
        Step, st.sampled_from(sorted(operations)), st.tuples(*[st.integers(0, 50)] * 2), _numbers
    )
    return st.builds(
        Program,
        st.lists(_shapes, min_size=1, max_size=3).map(tuple),
        st.lists(steps, min_size=1, max_size=8).map(tuple),
        dtypes,
    )


programs = _programs(_OPERATIONS, st.just(F32))
complex_programs = _programs(
    _COMPLEX, st.sampled_from([np.dtype(np.complex64), np.dtype(np.complex128)])
)


def inputs_of(program: Program, seed: int = 0) -> list[np.ndarray]:
    """Standard normal arrays of the program's shapes."""
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(s) for s in program.shapes]
    if program.dtype.kind == "c":
        arrays = [x + 1j * rng.standard_normal(x.shape) for x in arrays]
    return [x.astype(program.dtype) for x in arrays]
