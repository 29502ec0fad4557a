"""Which functions of the namespace have the methods of a ufunc, and what makes those fast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weft import lax
from weft.numpy import division, reductions, special, ufuncs
from weft.numpy._common import ArrayLike, DType, Value, convert
from weft.numpy.indexing import write
from weft.numpy.ufunc_objects import attach


def _running(cumulative: Callable[[Value, int], Value]) -> Callable[..., Value]:
    """A running reduction of primitives as `accumulate`."""

    def accumulate(x: Value, axis: int, dtype: DType = None) -> Value:
        return cumulative(x if dtype is None else convert("accumulate", x, dtype), axis)

    return accumulate


def _scatter(kind: str) -> Callable[..., Value]:
    """An update that combines as `at`: it does not mind in which order indices come."""

    def at(x: Value, indices: Any, b: ArrayLike) -> Value:
        return write(x, indices, b, kind)

    return at


def _subtracted(x: Value, indices: Any, b: ArrayLike) -> Value:
    return write(x, indices, ufuncs.negative(b), "add")


def _extremum(reduction: Callable[..., Value]) -> Callable[..., Value]:
    """A reduction that keeps dtypes as `reduce`."""

    def reduce(a: ArrayLike, *, dtype: DType, **options: Any) -> Value:
        x = a if dtype is None else ufuncs.as_type("reduce", a, dtype)
        return reduction(x, **options)

    return reduce


def _logical(reduction: Callable[..., Value], combine: Callable[..., Value]) -> Any:
    """A question about all elements as `reduce`."""

    def reduce(a: ArrayLike, *, dtype: DType, initial: Any, **options: Any) -> Value:
        result = reduction(a, **options)
        result = result if initial is None else combine(result, initial)
        return result if dtype is None else ufuncs.as_type("reduce", result, dtype)

    return reduce


#: Functions that fold from left to right, element by element.
_OTHERS = (
    *(ufuncs.arctan2, ufuncs.divide, division.floor_divide, division.float_power, division.fmod),
    *(ufuncs.nextafter, division.power, division.remainder, ufuncs.left_shift, ufuncs.right_shift),
    *(ufuncs.equal, ufuncs.not_equal, ufuncs.less, ufuncs.less_equal, ufuncs.greater),
    *(ufuncs.greater_equal, special.copysign, special.fmax, special.fmin, special.heaviside),
    special.hypot,
)


def install() -> None:
    """Attaches the methods; importing `weft.numpy` does it."""
    cumsum, cumprod = reductions.cumsum, reductions.cumprod
    attach(ufuncs.add, 0, reduce=reductions.sum, accumulate=cumsum, at=_scatter("add"))
    attach(ufuncs.multiply, 1, reduce=reductions.prod, accumulate=cumprod, at=_scatter("multiply"))
    largest, smallest = _extremum(reductions.max), _extremum(reductions.min)
    attach(ufuncs.maximum, reduce=largest, accumulate=_running(lax.cummax), at=_scatter("max"))
    attach(ufuncs.minimum, reduce=smallest, accumulate=_running(lax.cummin), at=_scatter("min"))
    attach(ufuncs.subtract, at=_subtracted)
    attach(ufuncs.logical_and, True, reduce=_logical(reductions.all, ufuncs.logical_and))
    attach(ufuncs.logical_or, False, reduce=_logical(reductions.any, ufuncs.logical_or))
    attach(ufuncs.logical_xor, False)
    attach(ufuncs.bitwise_and, -1)
    attach(ufuncs.bitwise_or, 0)
    attach(ufuncs.bitwise_xor, 0)
    attach(special.logaddexp, float("-inf"), accumulate=_running(lax.cumlogsumexp))
    attach(special.logaddexp2, float("-inf"))
    for function in _OTHERS:
        attach(function)
