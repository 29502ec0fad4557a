"""Questions about dtypes and values: what promotion gives, limits, kinds, parts of numbers."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from weft import lax
from weft.core import dtypes
from weft.numpy._common import ArrayLike, Value, as_result, check_arraylike, dtype_of, shape_of


def _dtype(x: Any) -> np.dtype:
    """The dtype of an array, or that a name stands for."""
    return dtypes.canonical_dtype(x if isinstance(x, type) else getattr(x, "dtype", x))


def result_type(*args: Any) -> np.dtype:
    """The dtype of an operation on arrays, numbers and dtypes.

    >>> np.result_type(np.float16, np.int32)
    dtype('float16')
    """
    return dtypes.result_type(*args)[0]


class FloatInfo:
    """The limits of a floating-point dtype, as numbers of Python.

    The attributes are those of `numpy.finfo`: bits, dtype, eps, max, min, smallest_normal, tiny,
    smallest_subnormal, epsneg, resolution, precision, … Numbers of Python take the dtype of the
    arrays that they meet.
    """

    def __init__(self, info: Any):
        self._info = info

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._info, name)
        number = isinstance(value, np.generic) and not isinstance(value, np.integer)
        return float(value) if number else value

    def __repr__(self) -> str:
        return repr(self._info)


def finfo(type: Any, /) -> FloatInfo:
    """The limits of a floating-point dtype (or that of an array); of parts of complex numbers.

    >>> np.finfo(np.float32).eps
    1.1920928955078125e-07
    """
    return FloatInfo(ml_dtypes.finfo(dtypes.real_dtype(_dtype(type))))


def iinfo(type: Any, /) -> Any:
    """The limits of an integer dtype (or that of an array).

    >>> np.iinfo(np.int8).max
    127
    """
    return np.iinfo(_dtype(type))


def can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
    """Whether arrays of one dtype become the other.

    By NumPy's rules: "safe" keeps every value, "same_kind" may round, "unsafe" may do anything,
    "equiv" changes the byte order at most, "no" nothing.

    >>> np.can_cast(np.int32, np.float64), np.can_cast(np.int32, np.float32)
    (True, False)
    """
    source, target = _dtype(from_), _dtype(to)
    return np.can_cast(source, target, casting)  # type: ignore[arg-type]


def issubdtype(arg1: Any, arg2: Any) -> bool:
    """Whether a dtype belongs to a class of dtypes; bfloat16 is floating.

    The dtype of random keys belongs to ``weft.dtypes.prng_key``, and to ``generic``.

    >>> np.issubdtype(np.int8, np.integer)
    True
    """
    if isinstance(arg1, dtypes.KeyDtype) or arg2 in (dtypes.prng_key, dtypes.extended):
        classes = (dtypes.prng_key, dtypes.extended, np.generic)
        return isinstance(arg1, dtypes.KeyDtype) and arg2 in classes
    if np.dtype(arg1) == ml_dtypes.bfloat16:
        return arg2 in (np.floating, np.inexact, np.number, np.generic) or arg1 == arg2
    return np.issubdtype(arg1, arg2)


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind of the Array API standard ("real floating", "integral", …).

    >>> np.isdtype(np.float32, ("integral", "real floating"))
    True
    """
    kinds = kind if isinstance(kind, tuple) else (kind,)
    own = _dtype(dtype)
    if own == ml_dtypes.bfloat16:
        names = ("real floating", "numeric")
        return any(k in names if isinstance(k, str) else own == np.dtype(k) for k in kinds)
    return np.isdtype(own, tuple(k if isinstance(k, str) else np.dtype(k) for k in kinds))


def isscalar(element: Any) -> bool:
    """Whether a value is a number or an array without axes.

    >>> np.isscalar(3.0), np.isscalar(np.ones(1))
    (True, False)
    """
    return np.isscalar(element) or getattr(element, "ndim", None) == 0


def iterable(y: Any) -> bool:
    """Whether `iter(y)` works.

    >>> np.iterable(np.ones(2)), np.iterable(2)
    (True, False)
    """
    try:
        iter(y)
    except TypeError:
        return False
    return True


def iscomplexobj(x: Any) -> bool:
    """Whether an array has a complex dtype.

    >>> np.iscomplexobj(np.ones(2))
    False
    """
    return dtypes.is_complex(dtypes.result_type(x)[0])


def isrealobj(x: Any) -> bool:
    """Whether an array has a dtype that is not complex.

    >>> np.isrealobj(np.ones(2))
    True
    """
    return not iscomplexobj(x)


def iscomplex(x: ArrayLike) -> Value:
    """Whether an element has an imaginary part that is not 0.

    >>> np.iscomplex(np.array([1 + 1j, 2]))
    Array([ True, False], dtype=bool)
    """
    check_arraylike("iscomplex", x)
    if not dtypes.is_complex(dtype_of(x)):
        return as_result(lax.broadcast_in_dim(np.asarray(False), shape_of(x), ()))
    imaginary = lax.imag(x)
    return lax.ne(imaginary, lax.full_like(imaginary, 0))


def isreal(x: ArrayLike) -> Value:
    """Whether an element has an imaginary part of 0.

    >>> np.isreal(np.array([1 + 1j, 2]))
    Array([False,  True], dtype=bool)
    """
    check_arraylike("isreal", x)
    return lax.bitwise_not(iscomplex(x))
