"""Arrays while they are lowered: functions on their index spaces.

A `Tensor` is a value (or a constant) read through an affine index map. A `ComplexTensor` is two of
them: below the primitives there are only real numbers, and an array of complex ones is, in memory,
an array with one more axis of length 2, as in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from weft.core.dtypes import complex_dtype, is_complex, real_dtype
from weft.structs import struct
from weft.terms.affine import Affine, Axis
from weft.terms.complex_math import Complex
from weft.terms.term import Const, Load, Term, Value

Indices = tuple[Affine, ...]

#: Names of the axes of definitions, by dimension.
_AXIS_NAMES = "ijklmnop"


def axis_name(dimension: int) -> str:
    """``i``, ``j``, … for the dimensions of a definition."""
    return _AXIS_NAMES[dimension] if dimension < len(_AXIS_NAMES) else f"i{dimension}"


def new_axes(shape: Sequence[int]) -> tuple[Axis, ...]:
    """A fresh axis for each dimension."""
    return tuple(Axis(axis_name(d), n) for d, n in enumerate(shape))


def points(axes: Sequence[Axis]) -> Indices:
    """The axes as index expressions; an axis of extent 1 is the constant 0."""
    return tuple(Affine() if a.extent == 1 else Affine.of(a) for a in axes)


class Tensor:
    """An array as a function on its index space: ``source`` read through an affine map.

    ``source`` is a `Const` that every index reads, or a `Value` that is read at ``index``:
    expressions over ``axes``, one axis for each dimension of the tensor. ``index`` is None where
    the value is read as it is.
    """

    __slots__ = ("axes", "dtype", "index", "shape", "source")

    def __init__(
        self,
        source: Value | Const,
        shape: tuple[int, ...],
        axes: tuple[Axis, ...] = (),
        index: Indices | None = None,
    ) -> None:
        self.source = source
        self.shape = shape
        self.dtype = source.dtype
        self.axes = axes
        self.index = index

    @staticmethod
    def whole(value: Value) -> Tensor:
        """A value read as it is."""
        return Tensor(value, value.shape)

    @staticmethod
    def constant(value: Any, dtype: np.dtype, shape: tuple[int, ...] = ()) -> Tensor:
        """The same scalar everywhere."""
        return Tensor(Const(value, dtype), shape)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def is_whole(self) -> bool:
        """Whether this is a value in its own layout."""
        return self.index is None and isinstance(self.source, Value)

    def at(self, index: Sequence[Affine | Axis | int]) -> Term:
        """The element at ``index``, one expression for each dimension."""
        if isinstance(self.source, Const):
            return self.source
        return Load(self.source, self._mapped(index))

    def view(self, shape: tuple[int, ...], move: Callable[[Indices], Sequence[Affine]]) -> Tensor:
        """The tensor of ``shape`` whose element at ``index`` is this one's at ``move(index)``."""
        if isinstance(self.source, Const):
            return Tensor(self.source, shape)
        axes = new_axes(shape)
        start = points(axes)
        index = self._mapped(move(start))
        if shape == self.source.shape and index == start:
            return Tensor(self.source, shape)
        return Tensor(self.source, shape, axes, index)

    def _mapped(self, index: Sequence[Affine | Axis | int]) -> Indices:
        exprs = tuple(map(Affine.of, index))
        if self.index is None:
            return exprs
        mapping = dict(zip(self.axes, exprs, strict=True))
        return tuple(e.substitute(mapping) for e in self.index)

    def __repr__(self) -> str:
        return f"Tensor({self.source!r}, {self.shape})"


class ComplexTensor:
    """An array of complex numbers: a tensor of real parts and one of imaginary parts.

    ``memory`` is the value of shape ``[*shape, 2]`` that it is, if it is one as it lies in memory:
    parts in turn, as NumPy has them. What is computed is kept in two values.
    """

    __slots__ = ("dtype", "im", "memory", "re", "shape")

    def __init__(self, re: Tensor, im: Tensor, memory: Value | None = None) -> None:
        self.re = re
        self.im = im
        self.shape = re.shape
        self.dtype = complex_dtype(re.dtype)
        self.memory = memory

    @staticmethod
    def whole(value: Value) -> ComplexTensor:
        """The complex numbers whose parts are the last axis of ``value``."""
        parts = Tensor.whole(value)
        shape = value.shape[:-1]
        re = parts.view(shape, lambda index: (*index, Affine.of(0)))
        im = parts.view(shape, lambda index: (*index, Affine.of(1)))
        return ComplexTensor(re, im, value)

    @staticmethod
    def constant(value: Any, dtype: np.dtype, shape: tuple[int, ...] = ()) -> ComplexTensor:
        """The same number everywhere."""
        number, part = dtype.type(value), real_dtype(dtype)
        re, im = (Tensor.constant(x, part, shape) for x in (number.real, number.imag))
        return ComplexTensor(re, im)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def at(self, index: Sequence[Affine | Axis | int]) -> Complex:
        """The parts of the element at ``index``."""
        return self.re.at(index), self.im.at(index)

    def view(
        self, shape: tuple[int, ...], move: Callable[[Indices], Sequence[Affine]]
    ) -> ComplexTensor:
        """As `Tensor.view`."""
        return ComplexTensor(self.re.view(shape, move), self.im.view(shape, move))

    def __repr__(self) -> str:
        return f"ComplexTensor({self.re!r}, {self.im!r})"


AnyTensor = Tensor | ComplexTensor


def real_parts(tensors: Iterable[AnyTensor]) -> list[Tensor]:
    """The tensors, with both parts in place of a complex one."""
    found: list[Tensor] = []
    for t in tensors:
        found += (t.re, t.im) if isinstance(t, ComplexTensor) else (t,)
    return found


def from_parts(parts: Iterable[Tensor], like: Iterable[Any]) -> list[AnyTensor]:
    """What `real_parts` took apart, put together where what it is ``like`` has a complex dtype."""
    rest = iter(parts)
    return [
        ComplexTensor(next(rest), next(rest)) if is_complex(x.dtype) else next(rest) for x in like
    ]


def tensor_of(value: Value, like: Any) -> AnyTensor:
    """A value as the tensor it means: parts of complex numbers if it is ``like`` such an array."""
    return ComplexTensor.whole(value) if is_complex(like.dtype) else Tensor.whole(value)


def constant_tensor(value: Any, dtype: np.dtype) -> AnyTensor:
    """A scalar of any dtype."""
    make = ComplexTensor if is_complex(dtype) else Tensor
    return make.constant(value, dtype)


def with_parts(array: np.ndarray) -> np.ndarray:
    """Complex numbers as an array with an axis of parts; other arrays themselves."""
    if not is_complex(array.dtype):
        return array
    parts = np.ascontiguousarray(array).view(real_dtype(array.dtype))
    return parts.reshape((*array.shape, 2))


@struct(frozen=True)
class OnPairs:
    """A routine on complex arrays, as one on arrays with an axis of parts in their places."""

    routine: Any
    inputs: tuple[bool, ...]
    outputs: tuple[bool, ...]

    def __call__(self, *arrays: np.ndarray, **params: Any) -> list[np.ndarray]:
        given = [
            np.ascontiguousarray(x).view(complex_dtype(x.dtype))[..., 0] if pairs else x
            for x, pairs in zip(arrays, self.inputs, strict=True)
        ]
        return [
            with_parts(np.asarray(y)) if pairs else y
            for y, pairs in zip(self.routine(*given, **params), self.outputs, strict=True)
        ]

    def __str__(self) -> str:
        return str(self.routine)
