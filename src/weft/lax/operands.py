"""What the functions of :mod:`weft.lax` accept: arrays as they are, and numbers beside them.

These functions do not promote: their array operands have one dtype already. A Python number takes
the dtype and shape of the array it meets, if its kind fits (an int may meet a float array, a float
may not meet an int array).
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import aval_of, is_array_like
from weft.primitives.shaping import broadcast_in_dim

Value = Any  # an Array or a tracer
ArrayLike = Any  # an Array, a tracer, a NumPy array or a number

_SCALARS = (bool, int, float, complex, np.generic)


def is_scalar(x: Any) -> bool:
    """Whether `x` is a number of Python or NumPy, not an array of any kind."""
    return isinstance(x, _SCALARS)


def operand(name: str, x: ArrayLike) -> Value:
    """`x` itself if it can be an operand; ``TypeError`` that says what to do otherwise."""
    if is_array_like(x):
        return x
    advice = ""
    if isinstance(x, list | tuple):
        advice = " Make it an array first, with weft.numpy.asarray(...)."
    elif x is None:
        advice = " Did a function return nothing?"
    raise TypeError(f"lax.{name} needs arrays or numbers, got a {type(x).__name__}.{advice}")


def operands(name: str, *xs: ArrayLike) -> list[Value]:
    """Operands of one dtype and shape: numbers take those of the arrays beside them."""
    arrays = [operand(name, x) for x in xs if not isinstance(x, _SCALARS)]
    if len(arrays) == len(xs):
        return repeat_scalars(arrays)
    dtype, weak = dtypes.result_type(*xs)
    if arrays:
        _check_fits(name, dtype, aval_of(arrays[0]).dtype, xs)

    def filled(x: ArrayLike) -> Value:
        if not is_scalar(x) or (weak and aval_of(x).dtype == dtype):
            return x  # a number that meets none but numbers stays weak
        return constant(x, dtype)

    return repeat_scalars([filled(x) for x in xs])


def _check_fits(name: str, dtype: np.dtype, array_dtype: np.dtype, xs: Sequence[Any]) -> None:
    numbers = [x for x in xs if isinstance(x, _SCALARS)]
    if dtypes.result_type(array_dtype, *numbers)[0] != array_dtype:
        shown = " and ".join(repr(x) if isinstance(x, _SCALARS) else str(aval_of(x)) for x in xs)
        raise TypeError(
            f"lax.{name} does not promote, and got {shown}. Convert one of them with "
            "lax.convert_element_type, or use weft.numpy, which promotes."
        )


def constant(x: Any, dtype: np.dtype) -> np.ndarray:
    """A number as a 0-d array of `dtype`; ``OverflowError`` for an integer that does not fit."""
    if dtypes.is_integer(dtype):
        return np.asarray(x).astype(dtype) if isinstance(x, float) else np.asarray(x, dtype)
    with np.errstate(over="ignore"):
        return np.asarray(x).astype(dtype)


def repeat_scalars(xs: list[Value]) -> list[Value]:
    """0-d operands repeated to the shape of the first that is not 0-d."""
    shapes = [aval_of(x).shape for x in xs]
    shape = next((s for s in shapes if s), ())
    if not shape or all(shapes):
        return xs
    return [x if s else broadcast_in_dim(x, shape, ()) for x, s in zip(xs, shapes, strict=True)]


def canonical_axis(name: str, axis: Any, ndim: int) -> int:
    """`axis` counted from the front; negative ones count from the back."""
    number = operator.index(axis)
    if not -ndim <= number < ndim:
        raise ValueError(
            f"lax.{name} got axis {number}, out of bounds for an array with "
            f"{ndim} {'axis' if ndim == 1 else 'axes'}."
        )
    return number % ndim


def canonical_axes(name: str, axes: Any, ndim: int) -> tuple[int, ...]:
    """Axes counted from the front; one integer is one axis."""
    given = (axes,) if isinstance(axes, int | np.integer) else axes
    return tuple(canonical_axis(name, axis, ndim) for axis in given)


def canonical_shape(name: str, shape: Any) -> tuple[int, ...]:
    """A shape as a tuple of Python integers."""
    try:
        return tuple(operator.index(size) for size in shape)
    except TypeError as error:
        raise TypeError(
            f"lax.{name} needs a shape made of integers, got {shape!r}: {error}"
        ) from None
