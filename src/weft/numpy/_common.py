"""What every function of the namespace needs: argument checks, promotion, broadcasting, axes.

Primitives are strict; this module is where NumPy's leniency is translated into explicit conversions
and broadcasts. Errors name the public function (``weft.numpy.add``) and the argument.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from weft import lax
from weft.array import Array, alias, from_numpy
from weft.core import dtypes
from weft.core.avals import ShapedArray, aval_of, is_array_like
from weft.core.trace import Tracer
from weft.primitives.shaping import broadcast_in_dim

Value = Any  # an Array or a tracer
ArrayLike = Any  # an Array, a tracer, a NumPy array or a scalar
DType = Any
Axis = int | Sequence[int] | None

PYTHON_SCALARS = (bool, int, float, complex)

#: What knows its aval.
_TYPED = Array, Tracer
_NUMPY = np.ndarray, np.generic
_REALS = frozenset([int, float])
_SCALARS = *PYTHON_SCALARS, np.generic


_BESIDE = ("nn.", "random.", "scipy.", "lazy.", "ops.", "image.", "flatten_util.")


def public_name(name: str) -> str:
    """What users call the function: `nn`, `random`, `scipy` and others stand beside `numpy`."""
    return f"weft.{name}" if name.startswith(_BESIDE) else f"weft.numpy.{name}"


def check_arraylike(name: str, *args: Any) -> None:
    """Raises TypeError naming the first argument that is not an array or a number."""
    for position, arg in enumerate(args):
        kind = type(arg)
        if kind is Array or kind in PYTHON_SCALARS:
            continue
        if isinstance(arg, Tracer):
            continue
        if isinstance(arg, _NUMPY):
            try:
                dtypes.canonical_dtype(arg.dtype)
            except TypeError as error:
                raise TypeError(f"{public_name(name)}: argument {position}: {error}") from None
            continue
        if is_array_like(arg):
            continue
        advice = ""
        if isinstance(arg, list | tuple) or hasattr(arg, "__array__"):
            advice = "; make an array of it with weft.numpy.asarray(...)"
        elif arg is None:
            advice = "; did a function return nothing?"
        raise TypeError(
            f"{public_name(name)}: argument {position} must be an array or a number, "
            f"got {kind.__name__}{advice}"
        )


def only_values(name: str, out: None, where: None) -> None:
    """Raises TypeError unless a ufunc's arguments `out` and `where` are None, as in JAX."""
    no_out(name, out)
    if where is not None:
        raise TypeError(
            f"{public_name(name)}: where must be None: without out it leaves elements undefined; "
            f"use weft.numpy.where(mask, {public_name(name)}(...), other)"
        )


def no_out(name: str, out: None) -> None:
    """Raises TypeError unless NumPy's argument `out` is None: results are new arrays."""
    if out is not None:
        raise TypeError(
            f"{public_name(name)}: out must be None: results are new arrays, which replace what a "
            "name stands for (x = ...)"
        )


def check_ordered(name: str, *args: Any) -> None:
    """Raises TypeError naming the first argument that is complex, for what compares numbers."""
    check_arraylike(name, *args)
    for position, arg in enumerate(args):
        aval = aval_of(arg)
        if dtypes.is_complex(aval.dtype):
            raise TypeError(
                f"{public_name(name)}: argument {position} is {aval}, and complex numbers have no "
                "order; compare their parts or magnitudes"
            )


def is_scalar(x: Any) -> bool:
    """Whether `x` is a number of Python or NumPy (not an array of any kind)."""
    return isinstance(x, _SCALARS)


def scalar_constant(name: str, value: Any, dtype: np.dtype) -> np.ndarray:
    """A number as a 0-d array of `dtype`; refuses integers that do not fit."""
    try:
        with np.errstate(over="ignore"):
            if dtypes.is_integer(dtype) or dtype == np.bool_:
                return np.asarray(value, dtype)
            return np.asarray(value).astype(dtype)
    except OverflowError:
        info = np.iinfo(dtype)
        raise OverflowError(
            f"{public_name(name)}: the integer {value} does not fit {dtype} ({info.min} to "
            f"{info.max}); "
            "convert the array first (x.astype(...))"
        ) from None


def as_result(x: ArrayLike) -> Value:
    """`x` as what a function gives when there was nothing to do: another handle of an array, and
    an array of what NumPy or Python brought."""
    if isinstance(x, Array):  # or a traced value
        return alias(x)
    aval = aval_of(x)
    return from_numpy(np.asarray(x, aval.dtype), aval.weak_type)


def convert(name: str, x: ArrayLike, dtype: np.dtype, weak: bool = False) -> Value:
    """`x` converted to `dtype`; a number becomes a constant without an operation."""
    if is_scalar(x):
        number = _python_number(x, dtype) if weak else x
        if weak and aval_of(number) is ShapedArray((), dtype, True):
            return number
        return scalar_constant(name, x, dtype)
    aval = aval_of(x)
    if aval.dtype == dtype:  # primitives do not mind weakness; their result is weak if all are
        return x
    return lax.convert_element_type(x, dtype, weak_type=weak)


def _python_number(x: Any, dtype: np.dtype) -> Any:
    """A scalar as Python's number of the kind of `dtype`: those are weakly typed."""
    if dtypes.is_floating(dtype):
        return float(x)
    return complex(x) if dtypes.is_complex(dtype) else x


def broadcast_to_shape(x: Value, shape: tuple[int, ...]) -> Value:
    """`x` repeated to `shape`, which it is known to broadcast to; no operation when it has it."""
    own = aval_of(x).shape
    if own == shape:
        return x
    return lax.broadcast_in_dim(x, shape, tuple(range(len(shape) - len(own), len(shape))))


def broadcast_shape(name: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """NumPy's broadcast of shapes, or a ValueError that shows them."""
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        shown = ", ".join(map(str, shapes))
        raise ValueError(
            f"{public_name(name)}: shapes {shown} do not broadcast: aligned at the last axis, "
            "lengths must be equal or 1"
        ) from None


def broadcast(name: str, *args: Value) -> list[Value]:
    """Operands repeated to their common shape."""
    shape = broadcast_shape(name, *(aval_of(arg).shape for arg in args))
    return [broadcast_to_shape(arg, shape) for arg in args]


def promote(name: str, *args: ArrayLike) -> list[Value]:
    """Operands converted to their common dtype."""
    if _dtype_of_all(args) is not None:
        return list(args)
    check_arraylike(name, *args)
    dtype, weak = dtypes.result_type(*args)
    return [convert(name, arg, dtype, weak) for arg in args]


def _dtype_of_all(args: Sequence[Any]) -> np.dtype | None:
    """The dtype of arrays and tracers that agree on it; None for others."""
    dtype = None
    for x in args:
        if not isinstance(x, _TYPED) or (dtype is not None and x.aval.dtype is not dtype):
            return None
        dtype = x.aval.dtype
    return dtype


def promote_inexact(name: str, *args: ArrayLike) -> list[Value]:
    """As `promote`, with integers and booleans made floating-point."""
    dtype = _dtype_of_all(args)
    if dtype is not None and dtypes.is_inexact(dtype):
        return list(args)
    check_arraylike(name, *args)
    dtype, weak = inexact_type(*args)
    return [convert(name, arg, dtype, weak) for arg in args]


def inexact_type(*args: Any) -> tuple[np.dtype, bool]:
    """The promoted (dtype, weak), where exact dtypes become the default float."""
    dtype, weak = dtypes.result_type(*args)
    if not dtypes.is_inexact(dtype):
        dtype = dtypes.float32
    return dtype, weak


def promote_and_broadcast(name: str, *args: ArrayLike, inexact: bool = False) -> list[Value]:
    """Operands of one dtype and shape, ready for a strict primitive."""
    if len(args) == 2:
        a, b = args
        if isinstance(a, _TYPED) and isinstance(b, _TYPED):
            if a.aval is b.aval and (not inexact or dtypes.is_inexact(a.aval.dtype)):
                return [a, b]
            joined = _joined(name, a.aval, b.aval, inexact)
            return [_fitted(name, a, *joined), _fitted(name, b, *joined)]
        if type(b) in _REALS and isinstance(a, _TYPED) and _takes_reals(a.aval):
            return [a, _repeated(name, b, a.aval)]
        if type(a) in _REALS and isinstance(b, _TYPED) and _takes_reals(b.aval):
            return [_repeated(name, a, b.aval), b]
    promoted = promote_inexact(name, *args) if inexact else promote(name, *args)
    return broadcast(name, *promoted)


def _takes_reals(aval: ShapedArray) -> bool:
    """Whether real numbers of Python beside such an array take its dtype."""
    return aval.dtype.kind == "f" and not aval.weak_type


def _repeated(name: str, number: float, aval: ShapedArray) -> Value:
    """A number as an array like `aval`."""
    constant = scalar_constant(name, number, aval.dtype)
    return broadcast_in_dim(constant, aval.shape, ()) if aval.shape else constant


@lru_cache(4096)
def _joined(
    name: str, a: ShapedArray, b: ShapedArray, inexact: bool
) -> tuple[np.dtype, bool, tuple[int, ...]]:
    """What two arrays become beside each other: dtype, weakness and shape."""
    types = (a.dtype, a.weak_type), (b.dtype, b.weak_type)
    dtype, weak = dtypes.promote_weak(types)
    if inexact and not dtypes.is_inexact(dtype):
        dtype = dtypes.float32
    return dtype, weak, broadcast_shape(name, a.shape, b.shape)


def _fitted(name: str, x: Value, dtype: np.dtype, weak: bool, shape: tuple[int, ...]) -> Value:
    if x.aval.dtype is not dtype:
        return broadcast_to_shape(convert(name, x, dtype, weak), shape)
    own = x.aval.shape
    if own == shape:
        return x
    return broadcast_in_dim(x, shape, tuple(range(len(shape) - len(own), len(shape))))


def canonical_axis(name: str, axis: Any, ndim: int) -> int:
    """`axis` counted from the front; NumPy's AxisError (a ValueError and an IndexError) when the
    array does not have it."""
    try:
        number = operator.index(axis)
    except TypeError:
        raise TypeError(
            f"{public_name(name)}: axis must be an integer, got {axis!r} ({type(axis).__name__})"
        ) from None
    if not -ndim <= number < ndim:
        raise np.exceptions.AxisError(
            f"{public_name(name)}: axis {number} is out of bounds for an array with "
            f"{ndim} {'axis' if ndim == 1 else 'axes'}"
        )
    return number % ndim


def canonical_axes(name: str, axis: Axis, ndim: int) -> tuple[int, ...]:
    """Axes counted from the front and sorted; None means all of them."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, list | tuple) else (axis,)
    axes = sorted(canonical_axis(name, a, ndim) for a in given)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{public_name(name)}: axis={axis!r} names an axis twice")
    return tuple(axes)


def canonical_shape(name: str, shape: Any) -> tuple[int, ...]:
    """A shape as a tuple of Python integers; one integer is a vector's length."""
    sizes = shape if isinstance(shape, list | tuple | np.ndarray) else (shape,)
    result = []
    for size in sizes:
        if isinstance(size, Tracer):
            size = size.__index__()
        try:
            result.append(operator.index(size))
        except TypeError:
            raise TypeError(
                f"{public_name(name)}: a shape is made of integers, got {shape!r}"
            ) from None
    if any(size < 0 for size in result):
        raise ValueError(
            f"{public_name(name)}: sizes cannot be negative, got shape {tuple(result)}"
        )
    return tuple(result)


def shape_of(x: ArrayLike) -> tuple[int, ...]:
    """The shape of an array or number."""
    return aval_of(x).shape


def dtype_of(x: ArrayLike) -> np.dtype:
    """The dtype an array or number has by itself."""
    return aval_of(x).dtype
