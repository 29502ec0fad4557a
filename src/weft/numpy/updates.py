"""What is written to the elements of an array: values of its dtype, in the shape they fill."""

from __future__ import annotations

import numpy as np

from weft import lax
from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.numpy._common import (
    ArrayLike,
    Value,
    broadcast_to_shape,
    convert,
    dtype_of,
    is_scalar,
    shape_of,
)


def combined(kind: str, old: Value, new: Value) -> Value:
    """Old elements and updates, added, multiplied, or the smaller or larger of them."""
    new = fitted(new, shape_of(old))
    if kind == "add" and dtype_of(old) == np.bool_:
        return lax.bitwise_or(old, new)
    if kind == "multiply" and dtype_of(old) == np.bool_:
        return lax.bitwise_and(old, new)
    operations = {"add": lax.add, "multiply": lax.mul, "min": lax.min, "max": lax.max}
    return operations[kind](old, new)


def cast_updates(values: ArrayLike, aval: ShapedArray, kind: str) -> Value:
    """Updates in the dtype of the array; TypeError for complex numbers that it cannot hold."""
    if not is_scalar(values) and dtypes.result_type(aval, values)[0] != aval.dtype:
        source = dtype_of(values)
        if dtypes.is_complex(source) and not dtypes.is_complex(aval.dtype):
            raise TypeError(
                f"x.at[...].{kind}: values of dtype {source} do not fit an array of dtype "
                f"{aval.dtype}; "
                "take the real part, or convert x first"
            )
    return convert(f"ndarray.at[...].{kind}", values, aval.dtype)


def fitted(updates: Value, shape: tuple[int, ...]) -> Value:
    """Updates repeated to the shape they are written to (leading axes of length 1 may go)."""
    own = shape_of(updates)
    extra = len(own) - len(shape)
    if extra > 0 and all(n == 1 for n in own[:extra]):
        updates, own = lax.reshape(updates, own[extra:]), own[extra:]
    fits = len(own) <= len(shape) and all(
        n in (1, m) for n, m in zip(own, shape[len(shape) - len(own) :], strict=True)
    )
    if not fits:
        raise ValueError(
            f"values of shape {own} do not fit the shape {shape} of the elements they are written "
            "to"
        )
    return broadcast_to_shape(updates, shape)


def write_where(x: Value, mask: Value, values: Value) -> Value:
    """`x` with values, which are broadcast to its shape, where a mask over its first axes holds."""
    shape = shape_of(x)
    spread = lax.broadcast_in_dim(mask, shape, tuple(range(len(shape_of(mask)))))
    return lax.select_n(spread, x, fitted(values, shape))
