"""Arrays from Python and NumPy data, and arrays of constants."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import lax
from weft.array import Array, alias, borrow_numpy, from_numpy, is_array
from weft.array.calls import at_once
from weft.array.dlpack import import_array
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.core.trace import Tracer, current_trace, eval_trace
from weft.numpy._common import (
    ArrayLike,
    DType,
    Value,
    as_result,
    broadcast_shape,
    broadcast_to_shape,
    canonical_shape,
    check_arraylike,
    convert,
    dtype_of,
    is_scalar,
    scalar_constant,
    shape_of,
)
from weft.numpy.ufuncs import as_type


def asarray(
    a: Any,
    dtype: DType = None,
    order: str | None = None,
    *,
    copy: bool | None = None,
    device: Any = None,
) -> Value:
    """`a` as an array: weft arrays as they are, NumPy data and nested sequences copied.

    NumPy arrays keep their dtype, 64-bit ones included. Python numbers, and sequences of them, get
    the defaults: int32 (int64 where they do not fit), float32, complex64. A single number is weakly
    typed; one of NumPy's float64 or complex128 keeps its digits.

    >>> np.asarray([1.0, 2.0])
    Array([1., 2.], dtype=float32)

    Raises
    ------
    TypeError: for what is not numeric data. ValueError: for ragged sequences and `copy=False`.
    """
    _check_order("asarray", order)
    check_device("asarray", device)
    result = _asarray("asarray", a, dtype, copy)
    return alias(result) if copy and result is a else result


def array(
    object: Any,
    dtype: DType = None,
    copy: bool = True,
    order: str | None = "K",
    ndmin: int = 0,
    *,
    device: Any = None,
) -> Value:
    """As `asarray`, always a new array, with at least `ndmin` axes.

    >>> np.array([[1, 2], [3, 4]])
    Array([[1, 2],
           [3, 4]], dtype=int32)
    """
    _check_order("array", order)
    check_device("array", device)
    result = _asarray("array", object, dtype, None)
    if result is object and copy:
        result = alias(result)
    missing = ndmin - len(shape_of(result))
    if missing > 0:
        result = lax.reshape(result, (1,) * missing + shape_of(result))
    return result


def copy(a: ArrayLike, order: str | None = None) -> Value:
    """A new array with the same elements.

    >>> np.copy(np.arange(2))
    Array([0, 1], dtype=int32)
    """
    check_arraylike("copy", a)
    return array(a, copy=True, order=order)


def check_device(name: str, device: Any) -> None:
    """Raises ValueError unless the device is None or "cpu", where new arrays are."""
    if device not in (None, "cpu"):
        raise ValueError(
            f"weft.numpy.{name} makes arrays on the CPU, got device={device!r}: move the result, "
            f"weft.device_put(x, {device!r})"
        )


def _check_order(name: str, order: str | None) -> None:
    if order not in (None, "C", "K", "A"):
        raise ValueError(
            f"weft.numpy.{name}: order={order!r} is not supported; arrays have no memory order"
        )


def _asarray(name: str, a: Any, dtype: DType, copy: bool | None) -> Value:
    target = None if dtype is None else dtypes.canonical_dtype(dtype)
    if isinstance(a, Array | Tracer):
        if target is None or target == aval_of(a).dtype:
            return a if target is None or not aval_of(a).weak_type else _strong(a, target)
        if copy is False:
            raise ValueError(f"weft.numpy.{name}: {aval_of(a)} as {target} needs a copy")
        return convert(name, a, target)
    if copy is False:
        raise ValueError(
            f"weft.numpy.{name}: a {type(a).__name__} must be copied into a weft array "
            "(weft.numpy.from_dlpack borrows memory)"
        )
    if is_scalar(a):
        return _from_scalar(name, a, target)
    if isinstance(a, list | tuple) and _contains_arrays(a):
        return _stack_nested(name, a, target)
    return from_numpy(_to_numpy(name, a, target), owned=False)


def _strong(a: Value, dtype: np.dtype) -> Value:
    return lax.convert_element_type(a, dtype)


def _from_scalar(name: str, value: Any, target: np.dtype | None) -> Array:
    aval = aval_of(value)
    if target is None:
        # A float64 of NumPy keeps its digits; it still takes the dtype of what it meets.
        exact = isinstance(value, np.float64 | np.complex128)
        data = scalar_constant(name, value, value.dtype if exact else aval.dtype)
        return from_numpy(data, aval.weak_type, owned=True)
    return from_numpy(np.array(scalar_constant(name, value, target)), owned=True)


def _to_numpy(name: str, a: Any, target: np.dtype | None) -> np.ndarray:
    """NumPy data of what is not an array of ours, in a dtype of Weft."""
    try:
        data = np.asarray(a)
    except ValueError as error:
        raise ValueError(
            f"weft.numpy.{name}: the nested sequence is ragged: {error}; every row needs the same "
            "length"
        ) from None
    if data.dtype == object or (
        data.dtype.kind in "SUVMm" and data.dtype not in dtypes.SHORT_NAMES
    ):
        raise TypeError(
            f"weft.numpy.{name}: a {type(a).__name__} with elements of dtype {data.dtype} is not "
            "numeric data"
        )
    others = isinstance(a, np.ndarray) or hasattr(a, "__array__")
    if target is not None:
        if not others:
            _check_range(name, data, target)
        with np.errstate(all="ignore"):
            return data.astype(target)
    if others:
        return data.astype(dtypes.canonical_dtype(data.dtype), copy=False)
    return data.astype(_default_dtype(data))


def _check_range(name: str, data: np.ndarray, target: np.dtype) -> None:
    """Python's integers have to fit, as in NumPy; those of arrays wrap around."""
    if data.dtype.kind in "iu" and target.kind in "iu" and data.size:
        info = np.iinfo(target)
        for extreme in (int(data.min()), int(data.max())):
            if not info.min <= extreme <= info.max:
                raise OverflowError(
                    f"weft.numpy.{name}: {extreme} does not fit into {target}, which goes from "
                    f"{info.min} to {info.max}; weft.numpy.asarray(x).astype({target}) wraps around"
                )


def _default_dtype(data: np.ndarray) -> np.dtype:
    """The dtype for a sequence of Python numbers, which NumPy made 64-bit."""
    if data.dtype == np.int64:
        info = np.iinfo(np.int32)
        fits = not data.size or (data.min() >= info.min and data.max() <= info.max)
        return dtypes.int32 if fits else dtypes.int64
    defaults = {dtypes.float64: dtypes.float32, dtypes.complex128: dtypes.complex64}
    return defaults.get(data.dtype, dtypes.canonical_dtype(data.dtype))


def _contains_arrays(sequence: Sequence[Any]) -> bool:
    """Whether an array of ours, or a NumPy array, is somewhere in nested sequences."""
    stack = [sequence]
    while stack:
        for item in stack.pop():
            if isinstance(item, Array | Tracer | np.ndarray | np.generic):
                return True
            if isinstance(item, list | tuple):
                stack.append(item)
    return False


def _stack_nested(name: str, a: Any, target: np.dtype | None) -> Value:
    """Nested sequences with arrays among their leaves, stacked level by level."""
    from weft.numpy.joining import stack

    if not isinstance(a, list | tuple):
        return a
    if not a:
        return from_numpy(np.zeros((0,), target or dtypes.float32), owned=True)
    rows = [_stack_nested(name, item, None) for item in a]
    shapes = {shape_of(row) for row in rows}
    if len(shapes) > 1:
        raise ValueError(
            f"weft.numpy.{name}: the nested sequence is ragged: rows have shapes "
            + ", ".join(map(str, sorted(shapes)))
        )
    result = stack(rows)
    return result if target is None else convert(name, result, target)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Value:
    """An array over the memory of another library's array (PyTorch, NumPy, …), without a copy.

    The owner may still change that memory, so work that reads it is evaluated at once. An array
    whose elements do not lie one after the other in C order is copied.

    Parameters
    ----------
    x: an object with `__dlpack__` and `__dlpack_device__`, in memory of the CPU.
    device: None or "cpu".
    copy: True always copies, False never does, None only where it must.

    Raises
    ------
    BufferError: if the memory cannot be shared: `copy=False` and a strided array, or another
        device. TypeError: for objects without `__dlpack__`, and dtypes that Weft does not have.

    >>> np.from_dlpack(np.arange(2))
    Array([0, 1], dtype=int32)
    """
    check_device("from_dlpack", device)
    if is_array(x):
        return alias(x)
    if not hasattr(x, "__dlpack__"):
        raise TypeError(
            f"weft.numpy.from_dlpack takes an array with __dlpack__, got {type(x).__name__}; "
            "weft.numpy.asarray makes an array of other data"
        )
    data = import_array(x)
    if copy:
        return from_numpy(data)
    if copy is False and not (data.flags.c_contiguous and data.flags.aligned):
        raise BufferError(
            f"weft.numpy.from_dlpack: an array of shape {data.shape} with strides {data.strides} "
            "is not contiguous, and copy=False forbids copying it"
        )
    return borrow_numpy(data)


@at_once
def astype(x: ArrayLike, dtype: DType, /, *, copy: bool = True, device: Any = None) -> Value:
    """`x` converted to `dtype`. Floats are truncated towards zero; complex numbers lose the
    imaginary part.

    >>> np.astype(np.array([1.9, -1.9]), int)
    Array([ 1, -1], dtype=int32)
    """
    check_arraylike("astype", x)
    check_device("astype", device)
    result = as_type("astype", x, dtype)
    return alias(result) if result is x else result


# ---------------------------------------------------------------- constants


@at_once
def full(shape: Any, fill_value: ArrayLike, dtype: DType = None, *, device: Any = None) -> Value:
    """An array of that shape filled with a number (or an array that broadcasts to it).

    >>> np.full(2, 7)
    Array([7, 7], dtype=int32)
    """
    shape = canonical_shape("full", shape)
    check_device("full", device)
    check_arraylike("full", fill_value)
    target = dtype_of(fill_value) if dtype is None else dtypes.canonical_dtype(dtype)
    value = convert("full", fill_value, target)
    broadcast_shape("full", shape_of(value), shape)
    axes = tuple(range(len(shape) - len(shape_of(value)), len(shape)))
    return as_result(lax.broadcast_in_dim(value, shape, axes))


def zeros(shape: Any, dtype: DType = None, *, device: Any = None) -> Value:
    """An array of zeros, float32 unless `dtype` says otherwise.

    >>> np.zeros(2)
    Array([0., 0.], dtype=float32)
    """
    check_device("zeros", device)
    return _filled("zeros", shape, 0, dtype)


def ones(shape: Any, dtype: DType = None, *, device: Any = None) -> Value:
    """An array of ones, float32 unless `dtype` says otherwise.

    >>> np.ones(2)
    Array([1., 1.], dtype=float32)
    """
    check_device("ones", device)
    return _filled("ones", shape, 1, dtype)


def empty(shape: Any, dtype: DType = None, *, device: Any = None) -> Value:
    """An array of that shape; Weft has no undefined values, so it holds zeros.

    >>> np.empty(2)
    Array([0., 0.], dtype=float32)
    """
    check_device("empty", device)
    return _filled("empty", shape, 0, dtype)


def _filled(name: str, shape: Any, value: int, dtype: DType) -> Value:
    target = dtypes.float32 if dtype is None else dtypes.canonical_dtype(dtype)
    constant = np.asarray(value, target)
    shape = canonical_shape(name, shape)
    if not shape and current_trace() is eval_trace:
        return from_numpy(constant)
    return lax.broadcast_in_dim(constant, shape, ())


@at_once
def zeros_like(
    a: ArrayLike, dtype: DType = None, shape: Any = None, *, device: Any = None
) -> Value:
    """Zeros with the shape and dtype of `a`.

    >>> np.zeros_like(np.arange(2))
    Array([0, 0], dtype=int32)
    """
    check_device("zeros_like", device)
    return _like("zeros_like", a, 0, dtype, shape)


@at_once
def ones_like(a: ArrayLike, dtype: DType = None, shape: Any = None, *, device: Any = None) -> Value:
    """Ones with the shape and dtype of `a`.

    >>> np.ones_like(np.arange(2))
    Array([1, 1], dtype=int32)
    """
    check_device("ones_like", device)
    return _like("ones_like", a, 1, dtype, shape)


def empty_like(
    prototype: ArrayLike, dtype: DType = None, shape: Any = None, *, device: Any = None
) -> Value:
    """An array with the shape and dtype of `prototype`; it holds zeros.

    >>> np.empty_like(np.arange(2))
    Array([0, 0], dtype=int32)
    """
    check_device("empty_like", device)
    return _like("empty_like", prototype, 0, dtype, shape)


@at_once
def full_like(
    a: ArrayLike,
    fill_value: ArrayLike,
    dtype: DType = None,
    shape: Any = None,
    *,
    device: Any = None,
) -> Value:
    """An array with the shape and dtype of `a` filled with a number.

    >>> np.full_like(np.ones(2), 7)
    Array([7., 7.], dtype=float32)
    """
    check_arraylike("full_like", a, fill_value)
    check_device("full_like", device)
    return full(shape_of(a) if shape is None else shape, fill_value, dtype or dtype_of(a))


def _like(name: str, x: ArrayLike, value: int, dtype: DType, shape: Any) -> Value:
    check_arraylike(name, x)
    return _filled(name, shape_of(x) if shape is None else shape, value, dtype or dtype_of(x))


# ---------------------------------------------------------------- diagonals


@at_once
def eye(
    N: int, M: int | None = None, k: int = 0, dtype: DType = None, *, device: Any = None
) -> Value:
    """An N×M matrix with ones on diagonal `k` and zeros elsewhere.

    >>> np.eye(2, 3, k=1)
    Array([[0., 1., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    check_device("eye", device)
    shape = (operator.index(N), operator.index(N if M is None else M))
    target = dtypes.float32 if dtype is None else dtypes.canonical_dtype(dtype)
    return convert("eye", diagonal_mask(shape, operator.index(k)), target)


@at_once
def identity(n: int, dtype: DType = None) -> Value:
    """The n×n identity matrix.

    >>> np.identity(2)
    Array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    return eye(n, dtype=dtype)


def diagonal_mask(shape: tuple[int, ...], k: int) -> Value:
    """Whether column − row is `k`, over a matrix."""
    return lax.eq(_column_minus_row(shape), _offset(shape, k))


def below_diagonal_mask(shape: tuple[int, ...], k: int) -> Value:
    """Whether column − row is at most `k`, over a matrix."""
    return lax.le(_column_minus_row(shape), _offset(shape, k))


def _column_minus_row(shape: tuple[int, ...]) -> Value:
    return lax.sub(
        lax.broadcasted_iota(dtypes.int32, shape, 1), lax.broadcasted_iota(dtypes.int32, shape, 0)
    )


def _offset(shape: tuple[int, ...], k: int) -> Value:
    # Diagonals beyond the corners are all alike; the number may be too large for the dtype.
    rows, columns = shape
    return lax.broadcast_in_dim(np.asarray(max(-rows, min(k, columns)), np.int32), shape, ())


@at_once
def tri(N: int, M: int | None = None, k: int = 0, dtype: DType = None) -> Value:
    """An N×M matrix with ones at and below diagonal `k`.

    >>> np.tri(2, 3)
    Array([[1., 0., 0.],
           [1., 1., 0.]], dtype=float32)
    """
    shape = (operator.index(N), operator.index(N if M is None else M))
    target = dtypes.float32 if dtype is None else dtypes.canonical_dtype(dtype)
    return convert("tri", below_diagonal_mask(shape, operator.index(k)), target)


@at_once
def tril(m: ArrayLike, k: int = 0) -> Value:
    """The lower triangle of (a stack of) matrices; zeros above diagonal `k`.

    >>> np.tril(np.array([[1, 2], [3, 4]]))
    Array([[1, 0],
           [3, 4]], dtype=int32)
    """
    return _triangle("tril", m, k, lower=True)


@at_once
def triu(m: ArrayLike, k: int = 0) -> Value:
    """The upper triangle of (a stack of) matrices; zeros below diagonal `k`.

    >>> np.triu(np.array([[1, 2], [3, 4]]))
    Array([[1, 2],
           [0, 4]], dtype=int32)
    """
    return _triangle("triu", m, k - 1, lower=False)


def _triangle(name: str, m: ArrayLike, k: int, lower: bool) -> Value:
    check_arraylike(name, m)
    shape = shape_of(m)
    if len(shape) < 2:
        raise ValueError(f"weft.numpy.{name}: needs at least two axes, got shape {shape}")
    mask = broadcast_to_shape(below_diagonal_mask(shape[-2:], operator.index(k)), shape)
    zero = lax.broadcast_in_dim(np.zeros((), dtype_of(m)), shape, ())
    return lax.select_n(mask, zero, m) if lower else lax.select_n(mask, m, zero)
