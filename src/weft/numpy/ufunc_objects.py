"""`ufunc`: an elementwise function with `reduce`, `accumulate`, `at`, `reduceat` and `outer`.

`frompyfunc` makes one of a Python function. The namespace's own functions of two arrays stay plain
functions, for they are called millions of times; `attach` gives them these methods as attributes:
`np.multiply.outer(x, y)`, `np.maximum.accumulate(x)`. Where there is a reduction or
running reduction of its own it is used, otherwise a `scan`, so that all of it is differentiated and
batched.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from weft import lax
from weft.core import dtypes
from weft.numpy._common import (
    ArrayLike,
    Axis,
    DType,
    Value,
    broadcast_to_shape,
    canonical_axes,
    canonical_axis,
    check_arraylike,
    convert,
    dtype_of,
    no_out,
    shape_of,
)
from weft.numpy.creation import asarray
from weft.numpy.editing import delivered
from weft.numpy.functional import vectorize
from weft.numpy.indexing import read, write
from weft.numpy.joining import concatenate
from weft.numpy.select import where as choose
from weft.numpy.shaping import moveaxis
from weft.numpy.taking import take
from weft.transforms.abstract import eval_shape

Function = Callable[..., Any]


class ufunc:
    """A function of `nin` numbers with `nout` results, on arrays: mapped over elements, broadcast.

    Parameters
    ----------
    func: takes and returns numbers (arrays without axes, traced).
    nin, nout: how many arguments it takes, and results it has.
    name, nargs: what it is called (`func`'s name), and how many arguments it has in all (`nin`).
    identity: what `reduce` gives for no elements: `func(identity, x) == x`. None if there is none.
    call, reduce, accumulate, at, reduceat: faster functions that do what the methods do.

    >>> hypotenuse = np.ufunc(lambda x, y: np.sqrt(x * x + y * y), 2, 1, identity=0)
    >>> hypotenuse(np.array([3.0, 5.0]), np.array([4.0, 12.0]))
    Array([ 5., 13.], dtype=float32)
    >>> hypotenuse.reduce(np.array([2.0, 3.0, 6.0]))
    Array(7., dtype=float32)
    """

    def __init__(
        self,
        func: Function,
        /,
        nin: int,
        nout: int,
        *,
        name: str | None = None,
        nargs: int | None = None,
        identity: Any = None,
        call: Function | None = None,
        reduce: Function | None = None,
        accumulate: Function | None = None,
        at: Function | None = None,
        reduceat: Function | None = None,
    ):
        self.__doc__ = func.__doc__
        self.__name__ = str(name or getattr(func, "__name__", "function"))
        self.nin, self.nout = operator.index(nin), operator.index(nout)
        self.nargs = self.nin if nargs is None else operator.index(nargs)
        self.identity = identity
        self._func = func
        self._call = call or vectorize(func)
        self._reduce, self._accumulate, self._at = reduce, accumulate, at
        self._reduceat = reduceat

    def __repr__(self) -> str:
        return f"<weft.numpy.ufunc '{self.__name__}'>"

    def __call__(self, *args: ArrayLike, out: None = None, where: None = None) -> Any:
        """The function of each element; arguments are broadcast."""
        no_out(self.__name__, out)
        if where is not None:
            raise TypeError(
                f"weft.numpy.{self.__name__}: where= would leave elements undefined; use "
                "weft.numpy.where(mask, ..., other)"
            )
        if len(args) != self.nin:
            raise TypeError(
                f"weft.numpy.{self.__name__} takes {self.nin} arguments, got {len(args)}"
            )
        check_arraylike(self.__name__, *args)
        return self._call(*args)

    # ------------------------------------------------------------ reductions

    def reduce(
        self,
        a: ArrayLike,
        axis: Axis = 0,
        dtype: DType = None,
        out: None = None,
        keepdims: bool = False,
        initial: ArrayLike | None = None,
        where: ArrayLike | None = None,
    ) -> Value:
        """The function of all elements along `axis` (or axes; None is all), from the first on.

        `initial` comes before the first, `where` leaves elements out; then there must be an
        `initial` or an identity. `dtype` is that of the elements and the result.

        >>> np.subtract.reduce(np.array([10, 3, 2]))
        Array(5, dtype=int32)
        """
        self._check_binary("reduce")
        no_out(f"{self.__name__}.reduce", out)
        check_arraylike(f"{self.__name__}.reduce", a)
        if self._reduce is not None:
            options: Any = {"dtype": dtype, "initial": initial, "where": where}
            return self._reduce(a, axis=axis, keepdims=keepdims, **options)
        return self._fold(asarray(a), axis, dtype, keepdims, initial, where)

    def _fold(
        self, x: Value, axis: Axis, dtype: DType, keepdims: bool, initial: Any, where: Any
    ) -> Value:
        """The reduction as a scan over the axes together."""
        name = f"{self.__name__}.reduce"
        axes = canonical_axes(name, axis, len(shape_of(x)))
        initial = self.identity if initial is None else initial
        if where is not None and initial is None:
            raise ValueError(
                f"weft.numpy.{name}: where= needs an initial value; the function has no identity"
            )
        x = self._typed(x, dtype)
        mask = None if where is None else broadcast_to_shape(asarray(where), shape_of(x))
        rows, *masks = (_rows(v, axes) for v in ((x,) if mask is None else (x, mask)))
        if initial is not None:
            start = convert(name, asarray(initial), dtype_of(x))
            carry = broadcast_to_shape(start, shape_of(rows)[1:])
        elif shape_of(rows)[0]:
            carry, rows = rows[0], rows[1:]
        else:
            raise ValueError(
                f"weft.numpy.{name}: there are no elements along axis {axis}, and the function has "
                "no identity; give an initial value"
            )

        def step(total: Value, row: tuple[Value, ...]) -> tuple[Value, None]:
            value, *holds = row
            new = convert(name, self._call(total, value), dtype_of(x))
            return (choose(holds[0], new, total) if holds else new), None

        result = lax.scan(step, carry, (rows, *masks))[0] if shape_of(rows)[0] else carry
        if not keepdims:
            return result
        return result.reshape(tuple(1 if d in axes else n for d, n in enumerate(shape_of(x))))

    def accumulate(
        self, a: ArrayLike, axis: int = 0, dtype: DType = None, out: None = None
    ) -> Value:
        """The reductions of all elements up to each one, along `axis`.

        >>> np.maximum.accumulate(np.array([1, 3, 2]))
        Array([1, 3, 3], dtype=int32)
        """
        self._check_binary("accumulate")
        name = f"{self.__name__}.accumulate"
        no_out(name, out)
        check_arraylike(name, a)
        x = asarray(a)
        number = canonical_axis(name, axis, len(shape_of(x)))
        if self._accumulate is not None:
            return self._accumulate(x, number, dtype)
        x = self._typed(x, dtype)
        if not shape_of(x)[number]:
            return x

        def step(total: Value, row: Value) -> tuple[Value, Value]:
            new = convert(name, self._call(total, row), dtype_of(x))
            return new, new

        rows = moveaxis(x, number, 0)
        if shape_of(rows)[0] > 1:
            _, rest = lax.scan(step, rows[0], rows[1:])
            rows = concatenate([rows[:1], rest])
        return moveaxis(rows, 0, number)

    def reduceat(
        self,
        a: ArrayLike,
        indices: ArrayLike,
        axis: int = 0,
        dtype: DType = None,
        out: None = None,
    ) -> Value:
        """The reductions of slices along `axis`, each from one of `indices` to the next.

        Where the next is not greater, the slice has one element; the last one goes to the end.

        >>> np.add.reduceat(np.array([1, 2, 3, 4]), np.array([0, 2]))
        Array([3, 7], dtype=int32)
        """
        self._check_binary("reduceat")
        name = f"{self.__name__}.reduceat"
        no_out(name, out)
        check_arraylike(name, a, indices)
        x, starts = asarray(a), asarray(indices)
        number = canonical_axis(name, axis, len(shape_of(x)))
        if len(shape_of(starts)) != 1 or not dtypes.is_integer(dtype_of(starts)):
            raise ValueError(
                f"weft.numpy.{name}: indices must be a vector of integers, got shape "
                f"{shape_of(starts)} and dtype {dtype_of(starts)}"
            )
        if self._reduceat is not None:
            return self._reduceat(x, starts, axis=number, dtype=dtype)
        x = moveaxis(self._typed(x, dtype), number, 0)
        size = shape_of(x)[0]
        end = convert(name, asarray(np.asarray([size])), dtype_of(starts))
        ends = concatenate([starts[1:], end])
        shape = (-1,) + (1,) * (len(shape_of(x)) - 1)

        def step(total: Value, entry: tuple[Value, Value]) -> tuple[Value, None]:
            k, row = entry
            inside = ((k > starts) & (k < ends)).reshape(shape)
            new = convert(name, self._call(total, row[None]), dtype_of(x))
            return choose(inside, new, total), None

        numbers = lax.broadcasted_iota(dtype_of(starts), (size,), 0)
        result, _ = lax.scan(step, take(x, starts, 0, mode="clip"), (numbers, x))
        return moveaxis(result, 0, number)

    # ------------------------------------------------------------ the rest

    def at(
        self,
        a: ArrayLike,
        indices: Any,
        b: ArrayLike | None = None,
        /,
        *,
        inplace: bool = True,
    ) -> Value:
        """The array with the function applied to the elements at `indices` (and to `b`).

        As often as an index is named. The array `a` stands for the result too, as with
        `a[indices] = …`, unless `inplace=False`.

        >>> np.add.at(np.zeros(3), np.array([0, 2, 2]), 1.0, inplace=False)
        Array([1., 0., 2.], dtype=float32)
        """
        name = f"{self.__name__}.at"
        check_arraylike(name, a, *(() if b is None else (b,)))
        x = asarray(a)
        if self._at is not None and b is not None:
            result = self._at(x, indices, b)
        else:
            result = self._at_one_by_one(name, x, indices, b)
        return delivered(name, a, result, inplace)

    def _at_one_by_one(self, name: str, x: Value, indices: Any, b: ArrayLike | None) -> Value:
        """One element after the other: an index may be named again."""
        places = read(lax.broadcasted_iota(dtypes.int32, (x.size,), 0).reshape(x.shape), indices)
        flat = places.reshape(-1)
        operands = () if b is None else (broadcast_to_shape(asarray(b), shape_of(places)),)

        def step(values: Value, entry: tuple[Value, ...]) -> tuple[Value, None]:
            place, *rest = entry
            new = self._call(values[place], *rest)
            return write(values, place, convert(name, new, dtype_of(values))), None

        if not shape_of(flat)[0]:
            return x
        rows = (flat, *(v.reshape(-1) for v in operands))
        return lax.scan(step, x.reshape(-1), rows)[0].reshape(x.shape)

    def outer(self, A: ArrayLike, B: ArrayLike, /) -> Any:
        """The function of every element of `A` with every element of `B`, the axes of `A` first.

        >>> np.multiply.outer(np.array([1, 2]), np.array([3, 4]))
        Array([[3, 4],
               [6, 8]], dtype=int32)
        """
        self._check_binary("outer")
        check_arraylike(f"{self.__name__}.outer", A, B)
        left = asarray(A)
        return self._call(left.reshape(shape_of(left) + (1,) * len(shape_of(B))), B)

    def _check_binary(self, method: str) -> None:
        if self.nin != 2 or self.nout != 1:
            raise ValueError(
                f"weft.numpy.{self.__name__}.{method} is for functions of two arguments with one "
                f"result; this one has {self.nin} and {self.nout}"
            )

    def _typed(self, x: Value, dtype: DType) -> Value:
        """Elements in the dtype in which they are reduced: that of the function's result."""
        if dtype is None:
            one = lax.broadcast_in_dim(np.ones((), dtype_of(x)), (), ())
            target = eval_shape(self._func, one, one).dtype
        else:
            target = dtypes.canonical_dtype(dtype)
        return convert(self.__name__, x, target)


def _rows(x: Value, axes: tuple[int, ...]) -> Value:
    """`x` with `axes` as one first axis."""
    x = moveaxis(x, axes, tuple(range(len(axes))))
    shape = shape_of(x)
    count = int(np.prod(shape[: len(axes)]))
    return x.reshape((count, *shape[len(axes) :]))


def frompyfunc(func: Function, /, nin: int, nout: int, *, identity: Any = None) -> ufunc:
    """A Python function of `nin` numbers with `nout` results as a `ufunc`.

    It is traced, so it is written with functions of Weft; results have Weft's dtypes.

    >>> np.frompyfunc(lambda x, y: x * 10 + y, 2, 1).reduce(np.array([1, 2, 3]))
    Array(123, dtype=int32)
    """
    return ufunc(func, nin, nout, identity=identity)


_METHODS = ("reduce", "accumulate", "reduceat", "at", "outer")


def attach(function: Any, identity: Any = None, **faster: Any) -> None:
    """Gives a function of two arrays the methods of a ufunc as attributes, and `identity`."""
    kind = ufunc(function, 2, 1, name=function.__name__, identity=identity, call=function, **faster)
    for name in _METHODS:
        setattr(function, name, getattr(kind, name))
    function.nin, function.nout, function.nargs, function.identity = 2, 1, 2, identity
