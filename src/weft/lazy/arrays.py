"""Lazy arrays: arrays of Weft and where their elements lie."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from weft import numpy as wnp
from weft import tree
from weft.lazy.spaces import Space
from weft.numpy._common import Value, check_arraylike, shape_of

Method = Callable[["LazyArray", Any], "LazyArray"]


def _binary(name: str, swapped: bool = False) -> Method:
    function = getattr(operator, name.strip("_"), None) or getattr(operator, name)

    def method(self: LazyArray, other: Any) -> LazyArray:
        from weft.lazy.operations import lazy

        pair = (other, self) if swapped else (self, other)
        return lazy(function, *pair)

    return method


def _both(name: str) -> tuple[Method, Method]:
    """The operator for the left operand, and for the right one."""
    return _binary(f"__{name}__"), _binary(f"__{name}__", swapped=True)


@tree.register_node_class
class LazyArray:
    """Elements at the points of an index space: a function of indices that is known there.

    values: an array of Weft, delayed or traced, with the elements in the order of the ranges.
    space: the :class:`Space`, of the same shape.

    It is a tree of one leaf: functions of lazy arrays can be jitted, differentiated and batched.
    Operators apply to elements, as :func:`weft.lazy.lazy` does.
    """

    __slots__ = ("space", "values")

    def __init__(self, values: Any, space: Space | None = None) -> None:
        check_arraylike("lazy.LazyArray", values)
        self.values: Value = wnp.asarray(values)
        self.space = Space(*self.values.shape) if space is None else space
        if self.space.shape != self.values.shape:
            raise ValueError(
                f"weft.lazy: values of shape {shape_of(values)} do not fill {self.space}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The numbers of elements along each axis."""
        return self.space.shape

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the elements."""
        return self.values.dtype

    def tree_flatten(self) -> tuple[tuple[Value], Space]:
        """The values, and the space as structure."""
        return (self.values,), self.space

    @classmethod
    def tree_unflatten(cls, space: Space, children: Any) -> LazyArray:
        """A lazy array of these values."""
        array = object.__new__(cls)
        (array.values,) = children
        array.space = space
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.values.__array__(dtype, copy=copy)

    def __repr__(self) -> str:
        return f"LazyArray({self.dtype}, {self.space})"

    def __neg__(self) -> LazyArray:
        return LazyArray(-self.values, self.space)

    def __abs__(self) -> LazyArray:
        return LazyArray(abs(self.values), self.space)

    __add__, __radd__ = _both("add")
    __sub__, __rsub__ = _both("sub")
    __mul__, __rmul__ = _both("mul")
    __truediv__, __rtruediv__ = _both("truediv")
    __floordiv__, __rfloordiv__ = _both("floordiv")
    __mod__, __rmod__ = _both("mod")
    __pow__, __rpow__ = _both("pow")
    __and__, __rand__ = _both("and")
    __or__, __ror__ = _both("or")
    __xor__, __rxor__ = _both("xor")
    __lt__, __le__ = _binary("__lt__"), _binary("__le__")
    __gt__, __ge__ = _binary("__gt__"), _binary("__ge__")

    # Beside NumPy's arrays, operators are those of lazy arrays.
    __array_ufunc__ = None


def as_lazy(x: Any) -> LazyArray:
    """An array, a number or a lazy array as a lazy array; arrays lie at 0, 1, 2, …

    >>> weft.lazy.as_lazy(np.arange(3)).shape
    (3,)
    """
    return x if isinstance(x, LazyArray) else LazyArray(x)
