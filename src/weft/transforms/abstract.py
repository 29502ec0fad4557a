"""What a function is without values: its jaxpr, and the shapes and dtypes of its results."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from weft.core.avals import ShapedArray, aval_of, register_array_type
from weft.core.axis_names import MappedSize, named_axis
from weft.core.staging import trace_to_jaxpr
from weft.transforms.functions import (
    check_callable,
    flat_function,
)


class ShapeDtypeStruct:
    """The shape and dtype of an array, where its values do not matter.

    >>> a, b = ShapeDtypeStruct((2, 3), "float32"), ShapeDtypeStruct((3,), "float32")
    >>> weft.eval_shape(np.dot, a, b)
    ShapeDtypeStruct(shape=(2,), dtype=float32)
    """

    __slots__ = ("aval",)

    def __init__(self, shape: Sequence[int], dtype: Any, weak_type: bool = False):
        self.aval = ShapedArray(shape, dtype, weak_type)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape."""
        return self.aval.shape

    @property
    def dtype(self) -> np.dtype:
        """The dtype."""
        return self.aval.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.aval.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.aval.size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShapeDtypeStruct) and self.aval is other.aval

    def __hash__(self) -> int:
        return hash(self.aval)

    def __repr__(self) -> str:
        return f"ShapeDtypeStruct(shape={self.shape}, dtype={self.dtype})"


register_array_type(ShapeDtypeStruct, lambda struct: struct.aval)


# ---------------------------------------------------------------- tracing


def make_jaxpr(
    fun: Callable[..., Any],
    static_argnums: int | Sequence[int] = (),
    axis_env: Sequence[tuple[Hashable, int]] | None = None,
    return_shape: bool = False,
) -> Callable[..., Any]:
    """A function that gives the jaxpr of ``fun`` for its arguments, instead of running it.

    ``static_argnums`` are positions of arguments that are Python values. ``axis_env`` gives names
    and sizes of axes for collectives. With ``return_shape`` the shapes and dtypes of the results,
    in their containers, come with the jaxpr.

    >>> make_jaxpr(lambda x: x * 2)(1.0)
    { lambda ; a:f32[]. let
        b:f32[] = mul a 2.0:f32[]
      in (b,) }
    """
    check_callable("make_jaxpr", fun)
    static = (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)

    @functools.wraps(fun)
    def traced(*args: Any, **kwargs: Any) -> Any:
        places = {i % len(args) for i in static}
        moving = [i for i in range(len(args)) if i not in places]

        @functools.wraps(fun)
        def of_moving(*values: Any, **keywords: Any) -> Any:
            full = list(args)
            for place, value in zip(moving, values, strict=True):
                full[place] = value
            return fun(*full, **keywords)

        flat, leaves = flat_function(
            "make_jaxpr", of_moving if places else fun, [args[i] for i in moving], kwargs
        )
        with ExitStack() as axes:
            for name, size in axis_env or ():
                axes.enter_context(named_axis(MappedSize(size, name)))
            closed = trace_to_jaxpr(flat, [aval_of(x) for x in leaves], flat.info)
        if not return_shape:
            return closed
        return closed, flat.unflatten(list(map(_struct, closed.out_avals)))

    return traced


def _struct(aval: ShapedArray) -> ShapeDtypeStruct:
    return ShapeDtypeStruct(aval.shape, aval.dtype, aval.weak_type)


def typeof(x: Any) -> ShapedArray:
    """The type of an array, traced value or number.

    >>> weft.typeof(np.zeros((2, 3)))
    ShapedArray(f32[2,3])
    """
    return aval_of(x)


def eval_shape(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The shapes and dtypes of the results of ``fun``, as ``ShapeDtypeStruct``, without computing.

    Arguments are arrays or ``ShapeDtypeStruct``.

    >>> weft.eval_shape(lambda x: x @ x.T, weft.ShapeDtypeStruct((3, 2), np.float32))
    ShapeDtypeStruct(shape=(3, 3), dtype=float32)
    """
    check_callable("eval_shape", fun)
    flat, leaves = flat_function("eval_shape", fun, args, kwargs)
    closed = trace_to_jaxpr(flat, [aval_of(x) for x in leaves], flat.info)
    return flat.unflatten(list(map(_struct, closed.out_avals)))
