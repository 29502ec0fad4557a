"""Reductions over sliding windows by any associative function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft import tree
from weft.core.avals import aval_of
from weft.core.primitive import Primitive
from weft.lax.folding import Combine, Folding, combine_arrays
from weft.lax.operands import Value
from weft.lax.padding import padtype_to_pads, pairs, per_axis
from weft.primitives import arithmetic
from weft.primitives import reduce_window as windows
from weft.primitives.reduction import greatest, least
from weft.primitives.slicing import pad, slice_along

_MONOIDS: dict[Primitive, tuple[Callable[..., Value], Callable[[np.dtype], Any]]] = {
    arithmetic.add_p: (windows.reduce_window_sum, lambda dtype: 0),
    arithmetic.max_p: (windows.reduce_window_max, least),
    arithmetic.min_p: (windows.reduce_window_min, greatest),
}


def reduce_window(
    operand: Any,
    init_value: Any,
    computation: Callable[[Any, Any], Any],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int] | None = None,
    padding: str | Sequence[tuple[int, int]] = "VALID",
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> Any:
    """Fold every window of arrays with an associative function.

    Parameters
    ----------
    operand: an array, or a tree of arrays of one shape.
    init_value: a scalar, or a like tree of them: what each window starts from and what the arrays
        are padded with; the identity of `computation`.
    computation: ``computation(a, b)`` takes and returns such trees of scalars.  Addition, maximum
        and minimum become reductions of their own; any other function is applied to arrays of
        neighbours, log2(size) times along each axis of the window.
    window_dimensions, window_strides: the size of a window along each axis, and how far apart
        windows are, by default 1.
    padding: (low, high) pairs, or "SAME", "SAME_LOWER", "VALID" for the sizes before dilation.
    base_dilation, window_dilation: how far apart elements of the arrays are laid out, with
        `init_value` between, and how far apart those of a window are.

    >>> x = np.asarray([[1.0, 5.0, 2.0, 4.0]])
    >>> lax.reduce_window(x, -np.inf, lax.max, (1, 2), (1, 2), "VALID")
    Array([[5., 4.]], dtype=float32)
    """
    folding = Folding("reduce_window", operand, init_value, computation)
    shape, dtype = folding.avals[0].shape, folding.avals[0].dtype
    window, strides, base, dilation = (
        per_axis("reduce_window", what, given, len(shape))
        for what, given in (
            ("window_dimensions", window_dimensions),
            ("window_strides", window_strides),
            ("base_dilation", base_dilation),
            ("window_dilation", window_dilation),
        )
    )
    if isinstance(padding, str):
        spans = list(map(windows.reach, window, dilation))
        pads = padtype_to_pads(shape, spans, strides, padding)
    else:
        pads = pairs("reduce_window", padding, len(shape))
    config = [(low, high, b - 1) for (low, high), b in zip(pads, base, strict=True)]
    primitive = folding.recognised()
    if primitive not in _MONOIDS:
        xs = [
            _padded(x, start, config) for x, start in zip(folding.xs, folding.starts, strict=True)
        ]
        return folding.finish(_fold_windows(folding.combine, xs, window, strides, dilation))
    apply, identity = _MONOIDS[primitive]
    neutral = np.asarray(identity(dtype), dtype)
    folded = apply(_padded(folding.xs[0], neutral, config), window, strides, dilation)
    if _is_number(folding.starts[0], neutral):
        return tree.unflatten(folding.structure, [folded])
    return folding.finish([folded])


def _padded(x: Value, value: Value, config: Sequence[tuple[int, int, int]]) -> Value:
    return pad(x, value, config) if any(any(c) for c in config) else x


def _is_number(x: Value, value: Any) -> bool:
    """Whether `x` is known to be that number."""
    return isinstance(x, np.ndarray | np.generic) and bool(x == value)


def _fold_windows(
    combine: Combine,
    xs: Sequence[Value],
    window: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
) -> list[Value]:
    """Fold along the last axis first, so that elements stay in row-major order."""
    xs = list(xs)
    counts = windows.window_counts(
        aval_of(xs[0]).shape, tuple(window), tuple(strides), tuple(dilation)
    )
    for axis in range(len(window) - 1, -1, -1):
        if counts[axis]:
            xs = _fold_along(combine, xs, axis, window[axis], dilation[axis])
        limit = (counts[axis] - 1) * strides[axis] + 1 if counts[axis] else 0
        xs = [slice_along(x, 0, limit, axis, strides[axis]) for x in xs]
    return xs


def _fold_along(combine: Combine, xs: list[Value], axis: int, size: int, step: int) -> list[Value]:
    """All windows of `size` elements, `step` apart: put together from those of powers of two."""
    places = aval_of(xs[0]).shape[axis] - windows.reach(size, step) + 1
    done: list[Value] | None = None
    covered, width = 0, 1
    while True:
        if size & width:
            part = [slice_along(x, covered * step, covered * step + places, axis) for x in xs]
            done = part if done is None else combine_arrays(combine, done, part)
            covered += width
        if covered == size:
            return done or xs
        length = aval_of(xs[0]).shape[axis] - width * step
        left = [slice_along(x, 0, length, axis) for x in xs]
        right = [slice_along(x, width * step, width * step + length, axis) for x in xs]
        xs = combine_arrays(combine, left, right)
        width *= 2


def reduce_window_shape_tuple(
    operand_shape: Sequence[int],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """The shape of :func:`reduce_window`'s result.

    >>> lax.reduce_window_shape_tuple((5, 7), (2, 3), (1, 2), [(0, 0), (1, 1)])
    (4, 4)
    """
    ndim = len(operand_shape)
    base = base_dilation or (1,) * ndim
    grown = [
        low + high + ((n - 1) * b + 1 if n else 0)
        for n, b, (low, high) in zip(operand_shape, base, padding, strict=True)
    ]
    return windows.window_counts(
        tuple(grown),
        tuple(window_dimensions),
        tuple(window_strides),
        tuple(window_dilation or (1,) * ndim),
    )
