"""Sorting arrays along an axis, others moved along with them.

`sort` compares by its first ``num_keys`` operands, one after the other, and gives every operand in
that order. NaN comes last, -0 equals 0, and complex numbers are compared by their real and then
their imaginary part, as in ``jax.lax.sort``. Equal elements keep their order if ``is_stable``.

In compiled programs short rows are sorted by counting (`weft.lax.portable.sorting`) where that is
cheaper than a call of a routine, `SortRoutine`. There long vectors with one key of 32 or 64 bits
are sorted by `weft.runtime.radix_sort`, others by NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from typing import Any, ClassVar

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.linear import is_zero
from weft.core.primitive import Primitive
from weft.primitives.creation import iota
from weft.primitives.indexing import GatherDimensionNumbers, GatherScatterMode, gather
from weft.primitives.routines import Price, apply, def_routine
from weft.primitives.rules import (
    KEY_REMEDY,
    Dims,
    Value,
    Values,
    check_axes,
    check_same_shape,
    shape_of,
)
from weft.primitives.shaping import batch_first, expand_dims
from weft.structs import struct
from weft.terms.lower import Lowering
from weft.terms.tensor import AnyTensor

#: Elements up to which one call of NumPy's stable sort is faster than several of its fast ones.
FEW = 256
#: Elements up to which it is faster than sorting words of key and index.
WORDS = 4000

sort_p = Primitive("sort", multiple_results=True)


def sort(
    operands: Values, dimension: int, is_stable: bool = True, num_keys: int = 1
) -> list[Value]:
    """All operands in the order of the first `num_keys` along `dimension`."""
    return sort_p.bind(
        *operands, dimension=int(dimension), is_stable=bool(is_stable), num_keys=int(num_keys)
    )


@struct(frozen=True)
class OrderRoutine:
    """``routine(*keys)`` gives the positions that sort along ``dimension``; equal ones stay.

    Routines of equal parameters are equal, so that programs that differ in nothing else are shared.
    """

    #: It keeps none of the arrays (see `HostCallback`).
    borrows: ClassVar[bool] = True

    dimension: int

    def __str__(self) -> str:
        return "order"

    def __call__(self, *keys: np.ndarray) -> list[np.ndarray]:
        return [_order(keys, self.dimension)]


@struct(frozen=True)
class SortRoutine:
    """``routine(*arrays)`` gives the arrays in the order of the first ``num_keys``.

    Equal elements keep their order, unless a single array is sorted that need not be ``is_stable``.
    """

    borrows: ClassVar[bool] = True

    dimension: int
    is_stable: bool
    num_keys: int
    #: Which of the arrays are wanted; () for all.
    wanted: tuple[bool, ...] = ()

    def __str__(self) -> str:
        return "sort"

    def only(self, wanted: tuple[bool, ...]) -> SortRoutine:
        """The routine without some of its results."""
        return replace(self, wanted=wanted)

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        if len(arrays) == 1 and _is_for_digits(arrays, self.dimension):
            from weft.runtime import radix_sort

            (key,) = arrays
            out = np.empty(key.shape, key.dtype)
            keys = np.ascontiguousarray(key).reshape(-1)
            if radix_sort.sort_keys(keys, out.reshape(-1)) or not self.is_stable:
                return [out]
        return self._moved(arrays, _order)

    def by_numpy(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """The meaning."""
        return self._moved(arrays, _order_by_numpy)

    def _moved(self, arrays: Sequence[np.ndarray], order_of: Any) -> list[np.ndarray]:
        keys = [part for x in arrays[: self.num_keys] for part in _comparable(x)]
        if len(arrays) == len(keys) == 1:
            key = keys[0]
            few = key.size <= FEW or _has_few_digits(key)
            if few or not (self.is_stable and _tells_zeros_apart(key)):
                ordered = np.sort(key, axis=self.dimension, kind="stable" if few else None)
                return [ordered.astype(arrays[0].dtype, copy=False)]
        order = order_of(arrays[: self.num_keys], self.dimension)
        if order.ndim > 1:
            order = _flat_positions(order, self.dimension)
        wanted = self.wanted or (True,) * len(arrays)
        return [x.take(order) for x in compress(arrays, wanted)]


def _is_for_digits(keys: Sequence[np.ndarray], axis: int) -> bool:
    """Whether the native radix sort is for them."""
    (key, *more) = keys
    if more or key.size <= FEW or key.size != key.shape[axis]:
        return False
    from weft.runtime import radix_sort

    return radix_sort.sorts(key.dtype, key.size)


def _order(keys: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """The positions along ``axis`` that sort stably by ``keys``, the first being primary."""
    if not _is_for_digits(keys, axis):
        return _order_by_numpy(keys, axis)
    from weft.runtime import radix_sort

    order = np.empty(keys[0].size, np.int32)
    radix_sort.sort_order(np.ascontiguousarray(keys[0]).reshape(-1), order)
    return order.reshape(keys[0].shape)


def _order_by_numpy(keys: Sequence[np.ndarray], axis: int) -> np.ndarray:
    return _stable_order([part for key in keys for part in _comparable(key)], axis)


def _comparable(x: np.ndarray) -> list[np.ndarray]:
    """Arrays that NumPy itself can order; their lexicographic order is that of ``x``."""
    if dtypes.is_complex(x.dtype):
        return [x.real, x.imag]
    return [x.astype(np.float32) if x.dtype == dtypes.bfloat16 else x]


def _tells_zeros_apart(x: np.ndarray) -> bool:
    """Whether equal elements can differ: only zeros can, by their sign."""
    return x.dtype.kind == "f" and bool(np.any(np.signbit(x) & (x == 0)))


def _stable_order(keys: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """The indices along ``axis`` that sort by ``keys``, the first being primary."""
    if len(keys) > 1:
        return np.lexsort(tuple(reversed(keys)), axis=axis)
    (key,) = keys
    plain = key.size <= WORDS or _has_few_digits(key)
    if plain or key.itemsize > 4 or key.shape[axis] >= 2**32:
        return np.argsort(key, axis=axis, kind="stable")
    # Key and index in one word: those sort by vector instructions, ten times as fast.
    words = np.ascontiguousarray(np.moveaxis(_ordered_words(key) << 32, axis, -1))
    words |= np.arange(key.shape[axis])
    words.sort(axis=-1)
    return np.moveaxis(words & (2**32 - 1), -1, axis)


def _has_few_digits(x: np.ndarray) -> bool:
    """Whether NumPy sorts ``x`` stably by its digits: integers of at most two bytes."""
    return x.dtype.kind in "iub" and x.itemsize <= 2


def _ordered_words(x: np.ndarray) -> np.ndarray:
    """32-bit numbers, as int64, in the order of the elements of ``x``."""
    if x.dtype.kind != "f":
        return x.astype(np.int64) - (2**31 if x.dtype == np.uint32 else 0)
    # Adding 0 makes -0 equal 0. Negative floats order as their bits without the sign do, reversed.
    with np.errstate(invalid="ignore"):  # a signalling NaN
        canonical = np.where(np.isnan(x), np.float32(np.nan), x.astype(np.float32) + np.float32(0))
    bits = canonical.view(np.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64)


def _flat_positions(order: np.ndarray, axis: int) -> np.ndarray:
    """Where in the flat array the elements at ``order`` along ``axis`` lie."""
    inner = math.prod(order.shape[axis + 1 :])
    starts = np.arange(order.size).reshape(order.shape)
    along_axis = np.arange(order.shape[axis]).reshape(-1, *(1,) * (order.ndim - axis - 1))
    return starts + (order - along_axis) * inner


@sort_p.def_type
def _(*xs: ShapedArray, dimension: int, is_stable: bool, num_keys: int) -> list[ShapedArray]:
    if not xs:
        raise TypeError("sort needs at least one operand, got none.")
    check_same_shape("sort", *xs)
    check_axes("sort", xs[0], (dimension,), "dimension")
    if not 1 <= num_keys <= len(xs):
        raise ValueError(
            f"sort compares by its first num_keys operands, so that 1 <= num_keys <= {len(xs)}, "
            f"the number of operands; got num_keys={num_keys}."
        )
    for x in xs[:num_keys]:
        if dtypes.is_key(x.dtype):
            raise TypeError(f"sort compares {x}, and random keys have no order. {KEY_REMEDY}")
    return list(xs)


@sort_p.def_numpy
def _(*xs: np.ndarray, **params: Any) -> list[np.ndarray]:
    return SortRoutine(**params).by_numpy(*xs)


@sort_p.def_jvp
def _(
    primals: Values, tangents: Values, *, dimension: int, is_stable: bool, num_keys: int
) -> tuple[list[Value], list[Value]]:
    shape = shape_of(primals[0])
    if all(is_zero(t) for t in tangents):
        return sort(primals, dimension, is_stable, num_keys), list(tangents)
    index_dtype = np.dtype(np.int32 if shape[dimension] < 2**31 else np.int64)
    index = iota(index_dtype, shape, dimension)
    *outs, order = sort([*primals, index], dimension, is_stable, num_keys)
    return outs, [t if is_zero(t) else along(t, order, dimension) for t in tangents]


def along(x: Value, order: Value, axis: int) -> Value:
    """The elements of `x` at the positions `order` along `axis`, a permutation for each row."""
    shape = shape_of(x)
    others = tuple(d for d in range(len(shape)) if d != axis)
    return gather(
        x,
        expand_dims(order, (len(shape),)),
        GatherDimensionNumbers((), (axis,), (axis,), others, others),
        tuple(min(n, 1) for n in shape),
        unique_indices=True,
        mode=GatherScatterMode.PROMISE_IN_BOUNDS,
    )


@sort_p.def_batch
def _(
    axis_size: int, args: Values, dims: Dims, *, dimension: int, is_stable: bool, num_keys: int
) -> tuple[list[Value], list[int]]:
    outs = sort(batch_first(axis_size, args, dims), dimension + 1, is_stable, num_keys)
    return outs, [0] * len(outs)


#: Elements of a row up to which the portable form counts.
COUNTED = 256


def _price(*xs: AnyTensor, dimension: int, is_stable: bool, num_keys: int) -> Price:
    """Measured on two cores (AVX-512) for 16 to 10⁶ elements in rows of 8 to 256."""
    n = xs[0].shape[dimension]
    rows = math.prod(xs[0].shape) // n
    if any(dtypes.is_key(x.dtype) for x in xs) or n < 2:
        return Price(library=0.0, portable=math.inf)
    words = sum(max(x.dtype.itemsize, 4) / 4 for x in xs[:num_keys])
    if len(xs) == 1 and not dtypes.is_complex(xs[0].dtype):
        library = 6e-6 + rows * 40e-9 + rows * n * 1e-9
    else:
        library = 8e-6 + rows * 60e-9 + rows * n * 6e-9
    portable = rows * n * (n * 0.06e-9 * words + 0.8e-9 * len(xs))
    return Price(library, portable if n <= COUNTED else math.inf)


def _library(ctx: Lowering, *xs: AnyTensor, **params: Any) -> Sequence[AnyTensor]:
    axis, count = params["dimension"], params["num_keys"]
    length = xs[0].shape[axis]
    if length < 2:
        return list(xs)
    alone = len(xs) == 1 or any(dtypes.is_key(x.dtype) for x in xs)
    if alone or ctx.hasty:  # which has nothing to compile then
        return ctx.call(SortRoutine(**params), xs, ctx.out_avals)
    # What nobody needs is not moved, and the others are read where they are used.
    order_dtype = np.dtype(np.int32 if length < 2**31 else np.int64)
    order_type = [ShapedArray(xs[0].shape, order_dtype)]
    order = ctx.call(OrderRoutine(axis), xs[:count], order_type)
    return apply(ctx, lambda order, *ys: [along(y, order, axis) for y in ys], *order, *xs)


def_routine(sort_p, _price, _library, lambda *xs, **_: list(xs))
