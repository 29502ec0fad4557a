"""Random programs for property tests, and the comparison of two levels' meanings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from weft.core.avals import ShapedArray, aval_of
from weft.core.interpret import numpy_closed
from weft.core.jaxpr import ClosedJaxpr
from weft.core.staging import trace_to_jaxpr
from weft.primitives import (
    argreduce,
    arithmetic,
    comparison,
    convert,
    creation,
    cumulative,
    dot_general,
    dynamic_slice,
    indexing,
    joining,
    reduction,
    select,
    shaping,
    slicing,
)
from weft.terms.check import check_program
from weft.terms.interpret import interpret
from weft.terms.lower import lower_jaxpr
from weft.terms.region import Program
from weft.terms.tensor import with_parts


def trace(fun: Callable[..., Any], *args: Any) -> ClosedJaxpr:
    """The jaxpr of a function of arrays that returns a list of arrays."""
    return trace_to_jaxpr(fun, [ShapedArray(np.shape(a), np.asarray(a).dtype) for a in args])


def agree(fun: Callable[..., Any], *args: Any) -> Program:
    """Lowers, checks and runs ``fun`` on ``args``; its terms must mean what its jaxpr means."""
    return agree_closed(trace(fun, *args), *args)


def agree_closed(closed: ClosedJaxpr, *args: Any) -> Program:
    """:func:`agree` for a jaxpr."""
    program = lower_jaxpr(closed)
    check_program(program)
    results = interpret(program, *args)
    for got, want in zip(results, numpy_closed(closed, *args), strict=True):
        want = with_parts(want)
        assert got.shape == want.shape and got.dtype == want.dtype
        assert_close(got, want)
    return program


def assert_close(got: np.ndarray, want: np.ndarray) -> None:
    """Equal integers; floats within the rounding of another order of summation."""
    if got.dtype.kind in "biu":
        np.testing.assert_array_equal(got, want)
        return
    tolerance = {2: 2e-2, 4: 1e-5}.get(got.dtype.itemsize, 1e-10)
    np.testing.assert_allclose(
        got.astype(np.float64), want.astype(np.float64), rtol=tolerance, atol=tolerance
    )


# -- random programs -------------------------------------------------------------------------------

Draw = Callable[[Any], Any]
Value = Any


def _shape(x: Value) -> tuple[int, ...]:
    return aval_of(x).shape


def _kind(x: Value) -> str:
    return aval_of(x).dtype.kind


def _unary(draw: Draw, x: Value, pool: list[Value]) -> Value:
    return draw(st.sampled_from([arithmetic.neg, arithmetic.sign, _square]))(x)


def _square(x: Value) -> Value:
    return arithmetic.mul(x, x)


def _partner(draw: Draw, x: Value, pool: list[Value]) -> Value:
    same = [y for y in pool if aval_of(y).dtype == aval_of(x).dtype and _shape(y) == _shape(x)]
    return draw(st.sampled_from(same))


def _binary(draw: Draw, x: Value, pool: list[Value]) -> Value:
    ops = [arithmetic.add, arithmetic.sub, arithmetic.mul, arithmetic.max, arithmetic.min]
    return draw(st.sampled_from(ops))(x, _partner(draw, x, pool))


def _choose(draw: Draw, x: Value, pool: list[Value]) -> Value:
    y = _partner(draw, x, pool)
    return select.select_n(comparison.lt(x, y), x, y)


def _convert(draw: Draw, x: Value, pool: list[Value]) -> Value:
    return convert.convert_element_type(x, draw(st.sampled_from(["float32", "int32"])))


def _broadcast(draw: Draw, x: Value, pool: list[Value]) -> Value:
    position, n = draw(st.integers(0, len(_shape(x)))), draw(st.integers(0, 3))
    shape = (*_shape(x)[:position], n, *_shape(x)[position:])
    kept = [d if d < position else d + 1 for d in range(len(_shape(x)))]
    return shaping.broadcast_in_dim(x, shape, kept)


def _reshape(draw: Draw, x: Value, pool: list[Value]) -> Value:
    size = math.prod(_shape(x))
    if size == 0:
        return shaping.reshape(x, (0, 2))
    first = draw(st.sampled_from([d for d in range(1, size + 1) if size % d == 0]))
    rest = size // first
    second = draw(st.sampled_from([d for d in range(1, rest + 1) if rest % d == 0]))
    return shaping.reshape(x, (first, second, rest // second))


def _transpose(draw: Draw, x: Value, pool: list[Value]) -> Value:
    return shaping.transpose(x, draw(st.permutations(range(len(_shape(x))))))


def _slice(draw: Draw, x: Value, pool: list[Value]) -> Value:
    starts, limits, strides = [], [], []
    for n in _shape(x):
        start = draw(st.integers(0, n))
        starts.append(start)
        limits.append(draw(st.integers(start, n)))
        strides.append(draw(st.integers(1, 3)))
    return slicing.slice(x, starts, limits, strides)


def _rev(draw: Draw, x: Value, pool: list[Value]) -> Value:
    return shaping.rev(x, [d for d in range(len(_shape(x))) if draw(st.booleans())])


def _pad(draw: Draw, x: Value, pool: list[Value]) -> Value:
    config = []
    for n in _shape(x):
        interior = draw(st.integers(0, 2))
        low = draw(st.integers(-2, 2))
        spread = n + max(n - 1, 0) * interior
        config.append((low, draw(st.integers(max(-2, -low - spread), 2)), interior))
    return slicing.pad(x, np.asarray(7, aval_of(x).dtype), config)


def _concatenate(draw: Draw, x: Value, pool: list[Value]) -> Value:
    if not _shape(x):
        return x
    axis = draw(st.integers(0, len(_shape(x)) - 1))
    return joining.concatenate([x, _partner(draw, x, pool), x], axis)


def _some_axes(draw: Draw, x: Value) -> tuple[int, ...]:
    return tuple(d for d in range(len(_shape(x))) if draw(st.booleans()))


def _reduce(draw: Draw, x: Value, pool: list[Value]) -> Value:
    ops = [reduction.reduce_sum, reduction.reduce_max, reduction.reduce_min, reduction.reduce_prod]
    return draw(st.sampled_from(ops))(x, _some_axes(draw, x))


def _argreduce(draw: Draw, x: Value, pool: list[Value]) -> Value:
    axes = [d for d, n in enumerate(_shape(x)) if n]
    if not axes:
        return x
    op = draw(st.sampled_from([argreduce.argmax, argreduce.argmin]))
    return op(x, draw(st.sampled_from(axes)))


def _cumulate(draw: Draw, x: Value, pool: list[Value]) -> Value:
    if not _shape(x):
        return x
    ops = [cumulative.cumsum, cumulative.cummax, cumulative.cummin]
    axis = draw(st.integers(0, len(_shape(x)) - 1))
    return draw(st.sampled_from(ops))(x, axis, draw(st.booleans()))


def _dot(draw: Draw, x: Value, pool: list[Value]) -> Value:
    y = _partner(draw, x, pool)
    axes = draw(st.permutations(range(len(_shape(x)))))
    contracted = draw(st.integers(0, len(axes)))
    batch = draw(st.integers(contracted, len(axes)))
    numbers = axes[:contracted], axes[contracted:batch]
    return dot_general.dot_general(x, y, ((numbers[0], numbers[0]), (numbers[1], numbers[1])))


def _start(draw: Draw) -> Value:
    return np.int32(draw(st.integers(-3, 6)))


def _window(draw: Draw, x: Value, pool: list[Value]) -> Value:
    starts = [_start(draw) for _ in _shape(x)]
    return dynamic_slice.dynamic_slice(x, starts, [draw(st.integers(0, n)) for n in _shape(x)])


def _update(draw: Draw, x: Value, pool: list[Value]) -> Value:
    starts = [_start(draw) for _ in _shape(x)]
    sizes = [draw(st.integers(0, n)) for n in _shape(x)]
    patch = slicing.slice(arithmetic.neg(x), [0] * len(sizes), sizes)
    return dynamic_slice.dynamic_update_slice(x, patch, starts)


def _rows(draw: Draw) -> np.ndarray:
    return np.array(draw(st.lists(st.integers(-4, 5), min_size=1, max_size=3)), np.int32)[:, None]


def _take(draw: Draw, x: Value, pool: list[Value]) -> Value:
    if not _shape(x) or _shape(x)[0] == 0:
        return x
    numbers = indexing.GatherDimensionNumbers(tuple(range(1, len(_shape(x)))), (0,), (0,))
    mode = draw(st.sampled_from(["clip", "fill", "promise_in_bounds"]))
    fill = 3 if mode == "fill" else None
    sizes = (1, *_shape(x)[1:])
    return indexing.gather(x, _rows(draw), numbers, sizes, mode=mode, fill_value=fill)


def _put(draw: Draw, x: Value, pool: list[Value]) -> Value:
    if not _shape(x) or _shape(x)[0] == 0:
        return x
    rows = _rows(draw)
    numbers = indexing.ScatterDimensionNumbers(tuple(range(1, len(_shape(x)))), (0,), (0,))
    shape = (len(rows), *_shape(x)[1:])
    count = math.prod(shape)
    dtype = aval_of(x).dtype
    updates = shaping.reshape(creation.iota(dtype, (count,), 0), shape)
    op = draw(st.sampled_from([indexing.scatter, indexing.scatter_add, indexing.scatter_max]))
    return op(x, rows, updates, numbers, mode=draw(st.sampled_from(["clip", "drop"])))


STEPS = [
    _unary,
    _binary,
    _choose,
    _convert,
    _broadcast,
    _reshape,
    _transpose,
    _slice,
    _rev,
    _pad,
    _concatenate,
    _reduce,
    _argreduce,
    _cumulate,
    _dot,
    _window,
    _update,
    _take,
    _put,
]

#: Larger intermediate results are not made.
_MOST_ELEMENTS = 600


@st.composite
def programs(draw: Draw, steps: int = 8) -> tuple[ClosedJaxpr, list[np.ndarray]]:
    """A jaxpr of random operations with arguments for it (small integers, also as floats)."""
    shapes = draw(st.lists(st.lists(st.integers(0, 4), max_size=3), min_size=1, max_size=3))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    args = [
        rng.integers(-3, 4, shape).astype(draw(st.sampled_from([np.float32, np.int32])))
        for shape in shapes
    ]

    def fun(*inputs: Value) -> list[Value]:
        pool = list(inputs)
        for _ in range(draw(st.integers(1, steps))):
            x = draw(st.sampled_from(pool))
            out = draw(st.sampled_from(STEPS))(draw, x, pool)
            if math.prod(_shape(out)) <= _MOST_ELEMENTS and len(_shape(out)) <= 4:
                pool.append(out)
        return pool[len(inputs) :] or pool[:1]

    return trace(fun, *args), args
