"""`weft.lazy`: arrays as functions on strided index spaces, after Petalisp.

A lazy array has elements at the points of a :class:`Space`, a product of ranges that may start
anywhere and be strided. Few operations are enough: `lazy` applies a function to elements,
`lazy_reduce` folds the first axis, `lazy_reshape` moves, selects and repeats, `lazy_fuse`,
`lazy_overwrite` and `lazy_stack` join. The product of two matrices is

>>> from weft.lazy import compute, lazy, lazy_reduce, lazy_reshape
>>> A, B = np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(3, 2)
>>> product = lazy(np.multiply, lazy_reshape(A, "m n -> n m 1"), lazy_reshape(B, "n k -> n 1 k"))
>>> compute(lazy_reduce(np.add, product))
Array([[10., 13.],
       [28., 40.]], dtype=float32)

Petalisp (Heisig and Köstler, "Petalisp: run time code generation for operations on
strided arrays", 2018) is where the model comes from. `docs/lazy.md` has its programs again.
"""

from __future__ import annotations

from weft.array.asynchronous import compute_async
from weft.lazy.arrays import LazyArray, as_lazy
from weft.lazy.operations import (
    compute,
    lazy,
    lazy_fuse,
    lazy_indices,
    lazy_overwrite,
    lazy_reduce,
    lazy_reshape,
    lazy_stack,
    lazy_windows,
)
from weft.lazy.spaces import Space
from weft.lazy.transformations import Transformation, transformation

__all__ = [
    "LazyArray",
    "Space",
    "Transformation",
    "as_lazy",
    "compute",
    "compute_async",
    "lazy",
    "lazy_fuse",
    "lazy_indices",
    "lazy_overwrite",
    "lazy_reduce",
    "lazy_reshape",
    "lazy_stack",
    "lazy_windows",
    "transformation",
]
