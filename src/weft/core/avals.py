"""Abstract values: what is known of an array while a program is traced.

A :class:`ShapedArray` is interned: equal avals are one object, so that signatures are compared by
identity on the call path. Array types announce themselves with :func:`register_array_type`; this
package knows only NumPy arrays and scalars.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.extents import Extent


class ShapedArray:
    """The shape, dtype and weakness of an array.

    >>> str(ShapedArray((3, 4), np.float32))
    'f32[3,4]'
    >>> ShapedArray((2,), "int32") is ShapedArray([2], np.int32)
    True
    """

    __slots__ = ("__weakref__", "dtype", "nbytes", "ndim", "shape", "size", "weak_type")

    shape: tuple[int, ...]
    dtype: np.dtype
    weak_type: bool
    ndim: int
    size: int
    nbytes: int  # of a dense array of this type

    _interned: weakref.WeakValueDictionary[Any, ShapedArray] = weakref.WeakValueDictionary()
    #: The last ones made: types of results that come and go need not be made each time.
    _recent: deque[ShapedArray] = deque(maxlen=256)
    _lock = threading.Lock()

    def __new__(cls, shape: Iterable[int], dtype: Any, weak_type: bool = False) -> ShapedArray:
        key = (shape, dtype, weak_type)
        try:
            found = cls._interned.get(key)
        except TypeError:  # a list for a shape: canonicalised below
            found = None
        if found is not None and _INT.issuperset(map(type, shape)):
            return found
        return cls._intern(shape, dtype, bool(weak_type))

    @classmethod
    def _intern(cls, shape: Iterable[int], dtype: Any, weak_type: bool) -> ShapedArray:
        dims = tuple(_dimension(d, shape) for d in shape)
        key = (dims, dtypes.canonical_dtype(dtype), weak_type)
        with cls._lock:
            aval = cls._interned.get(key)
            if aval is None:
                aval = object.__new__(cls)
                aval.shape, aval.dtype, aval.weak_type = key
                aval.ndim = len(dims)
                aval.size = 1
                for d in dims:
                    aval.size *= d
                aval.nbytes = aval.size * aval.dtype.itemsize
                cls._interned[key] = aval
                cls._recent.append(aval)
        return aval

    def update(self, **changes: Any) -> ShapedArray:
        """The same aval with ``shape``, ``dtype`` or ``weak_type`` changed."""
        fields = {"shape": self.shape, "dtype": self.dtype, "weak_type": self.weak_type}
        return ShapedArray(**{**fields, **changes})

    def strip_weak_type(self) -> ShapedArray:
        """The same aval, strongly typed."""
        return ShapedArray(self.shape, self.dtype) if self.weak_type else self

    def __str__(self) -> str:
        dims = ",".join(map(str, self.shape))
        return f"{dtypes.short_name(self.dtype)}[{dims}]"

    def __repr__(self) -> str:
        weak = ", weak_type=True" if self.weak_type else ""
        return f"ShapedArray({self}{weak})"

    def __reduce__(self) -> Any:
        return ShapedArray, (self.shape, self.dtype, self.weak_type)

    def __copy__(self) -> ShapedArray:
        return self

    def __deepcopy__(self, memo: Any) -> ShapedArray:
        return self


_INT = frozenset([int])  # 3.0 == 3 as a key, but is not a dimension


def _dimension(d: Any, shape: Any) -> int:
    if isinstance(d, Extent):  # of a program for a class of shapes
        return d  # type: ignore[return-value]
    try:
        dim = d.__index__()
    except AttributeError:
        raise TypeError(
            f"a shape is a tuple of integers, got {shape!r} with {d!r} of type {type(d).__name__}"
        ) from None
    if dim < 0:
        raise ValueError(f"a shape has no negative dimensions, got {tuple(shape)}")
    return int(dim)


_array_types: dict[type, Callable[[Any], ShapedArray]] = {}


def register_array_type(cls: type, aval_fn: Callable[[Any], ShapedArray]) -> None:
    """Makes instances of ``cls`` valid operands; ``aval_fn`` gives the aval of one."""
    _array_types[cls] = aval_fn


def is_array_like(value: Any) -> bool:
    """Can ``value`` be an operand: an array, a traced value, or a number?"""
    return (
        type(value) in _array_types
        or isinstance(value, np.ndarray | np.generic | bool | int | float | complex)
        or any(isinstance(value, cls) for cls in _array_types)
    )


def aval_of(value: Any) -> ShapedArray:
    """The aval of an array, traced value or scalar; TypeError for anything else."""
    aval_fn = _array_types.get(type(value))
    if aval_fn is not None:
        return aval_fn(value)
    scalar = dtypes.scalar_type(value)
    if scalar is not None:
        return ShapedArray((), scalar[0], scalar[1])
    if isinstance(value, np.ndarray):
        return ShapedArray(value.shape, value.dtype)
    for cls, fn in list(_array_types.items()):
        if isinstance(value, cls):
            _array_types[type(value)] = fn
            return fn(value)
    raise TypeError(f"{value!r} of type {type(value).__name__} is not an array or a number")
