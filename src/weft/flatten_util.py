"""Trees of arrays as vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weft import numpy as wnp
from weft import tree
from weft.core import dtypes
from weft.numpy._common import Value, check_arraylike, dtype_of, shape_of

__all__ = ["ravel_pytree"]


def ravel_pytree(pytree: Any) -> tuple[Value, Callable[[Value], Any]]:
    """The elements of a tree of arrays as one vector, and the function that takes them apart again.

    The vector has the promoted dtype of the leaves (float32 if there are none); the function gives
    each leaf its own dtype back, or that of its argument if all leaves have one dtype. It raises
    ValueError for vectors of another length, and TypeError for another dtype otherwise.

    >>> vector, unravel = weft.flatten_util.ravel_pytree({"a": np.ones(2), "b": np.zeros((1, 2))})
    >>> vector
    Array([1., 1., 0., 0.], dtype=float32)
    >>> unravel(vector + 1)
    {'a': Array([2., 2.], dtype=float32), 'b': Array([[1., 1.]], dtype=float32)}
    """
    leaves, treedef = tree.flatten(pytree)
    check_arraylike("flatten_util.ravel_pytree", *leaves)
    shapes = [shape_of(leaf) for leaf in leaves]
    kinds = [dtype_of(leaf) for leaf in leaves]
    common = dtypes.result_type(*leaves)[0] if leaves else dtypes.float32
    parts = [wnp.ravel(wnp.asarray(leaf, common)) for leaf in leaves]
    vector = wnp.concatenate(parts) if parts else wnp.zeros(0, common)
    total = sum(int(np.prod(shape)) for shape in shapes)

    def unravel(flat: Value) -> Any:
        if shape_of(flat) != (total,):
            raise ValueError(
                f"unravel takes a vector of {total} elements, as ravel_pytree made it, got shape "
                f"{shape_of(flat)}"
            )
        one_dtype = set(kinds) <= {common}
        if not one_dtype and dtype_of(flat) != common:
            raise TypeError(
                f"unravel takes a vector of {common}, as ravel_pytree made it, got {dtype_of(flat)}"
            )
        taken, start = [], 0
        for shape, kind in zip(shapes, kinds, strict=True):
            stop = start + int(np.prod(shape))
            leaf = wnp.reshape(wnp.asarray(flat)[start:stop], shape)
            if not one_dtype and dtypes.is_complex(common) and not dtypes.is_complex(kind):
                leaf = wnp.real(leaf)
            taken.append(leaf if one_dtype else leaf.astype(kind))
            start = stop
        return tree.unflatten(treedef, taken)

    return vector, unravel
