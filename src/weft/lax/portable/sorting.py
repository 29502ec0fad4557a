"""Sorting in Weft's own operations, for short rows and for every device.

The elements of short rows are counted: the place of each is how many come before it, which takes
no branches and shares nothing between elements (Knuth, The Art of Computer Programming, volume 3,
section 5.2, "comparison counting"). Longer rows are sorted bit by bit, the least significant
first (section 5.2.5): stable, and a fixed number of passes.

Either way elements are compared as integers of the same order, in which NaN is the greatest and
-0 is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import aval_of
from weft.lax.elementwise import imag, real
from weft.primitives.arithmetic import add, sub
from weft.primitives.bitwise import (
    and_p,
    or_p,
    shift_right_arithmetic_p,
    shift_right_logical_p,
    xor_p,
)
from weft.primitives.comparison import eq, le, lt, ne
from weft.primitives.convert import bitcast_convert_type, convert_element_type
from weft.primitives.creation import iota
from weft.primitives.cumulative import cumsum
from weft.primitives.indexing import scatter
from weft.primitives.reduction import reduce_sum
from weft.primitives.select import select_n
from weft.primitives.shaping import broadcast_in_dim, expand_dims, full_like, move_axis
from weft.primitives.sort import COUNTED, along, sort_p
from weft.primitives.windows import GatherScatterMode, ScatterDimensionNumbers
from weft.transforms.control_flow import fori_loop

Value = Any


@sort_p.def_portable
def _(*xs: Value, dimension: int, is_stable: bool, num_keys: int) -> list[Value]:
    del is_stable  # it always is
    last = aval_of(xs[0]).ndim - 1
    rows = [move_axis(x, dimension, last) for x in xs]
    words = [word for x in rows[:num_keys] for word in _words(x)]
    if aval_of(rows[0]).shape[-1] <= COUNTED:
        places = _places(words)
        done = [_placed(x, places) for x in rows]
    else:
        order = _order(words)
        done = [along(x, order, last) for x in rows]
    return [move_axis(x, last, dimension) for x in done]


# ---------------------------------------------------------------- elements as integers


def _words(x: Value) -> list[Value]:
    """Integers that order as the elements of ``x`` do, the first being primary."""
    dtype = aval_of(x).dtype
    if dtypes.is_complex(dtype):
        return [*_words(real(x)), *_words(imag(x))]
    if dtypes.is_bool(dtype):
        return [convert_element_type(x, dtypes.int32)]
    if not dtypes.is_floating(dtype):
        return [x]
    if dtype.itemsize < 4:
        return _words(convert_element_type(x, dtypes.float32))
    bits = 8 * dtype.itemsize
    signed = np.dtype(f"int{bits}")
    plain = select_n(ne(x, x), x, full_like(x, np.nan))
    plain = select_n(eq(x, full_like(x, 0)), plain, full_like(x, 0))
    word = bitcast_convert_type(plain, signed)
    sign = shift_right_arithmetic_p.bind(word, full_like(word, bits - 1))
    return [xor_p.bind(word, and_p.bind(sign, full_like(word, np.iinfo(signed).max)))]


def _unsigned(word: Value) -> Value:
    """An integer as an unsigned one of the same order."""
    dtype = aval_of(word).dtype
    if dtype.kind == "u":
        return word
    bits = bitcast_convert_type(word, np.dtype(f"uint{8 * dtype.itemsize}"))
    return xor_p.bind(bits, full_like(bits, 1 << (8 * dtype.itemsize - 1)))


# ---------------------------------------------------------------- counting


def _places(words: Sequence[Value]) -> Value:
    """How many elements of its row come before each: those that are less, and equal ones to its
    left."""
    shape = aval_of(words[0]).shape
    n, rank = shape[-1], len(shape)
    pairs = (*shape, n)

    def other(word: Value) -> Value:
        return broadcast_in_dim(word, pairs, (*range(rank - 1), rank))

    def own(word: Value) -> Value:
        return broadcast_in_dim(word, pairs, range(rank))

    square = lt(iota(dtypes.int32, (n, n), 1), iota(dtypes.int32, (n, n), 0))
    left = broadcast_in_dim(square, pairs, (rank - 1, rank))
    *primary, last = [(other(word), own(word)) for word in words]
    before = select_n(left, lt(*last), le(*last))
    for pair in reversed(primary):
        before = or_p.bind(lt(*pair), and_p.bind(eq(*pair), before))
    return reduce_sum(convert_element_type(before, dtypes.int32), (rank,))


def _placed(x: Value, places: Value) -> Value:
    """The elements of each row at their places, a permutation."""
    last = aval_of(places).ndim - 1
    rows = tuple(range(last))
    return scatter(
        x,
        expand_dims(places, (last + 1,)),
        x,
        ScatterDimensionNumbers((), (last,), (last,), rows, rows),
        unique_indices=True,
        mode=GatherScatterMode.PROMISE_IN_BOUNDS,
    )


# ---------------------------------------------------------------- bit by bit


def _order(words: Sequence[Value]) -> Value:
    """The positions that sort each row, least significant words first."""
    shape = aval_of(words[0]).shape
    start = iota(dtypes.int32, shape, len(shape) - 1)
    return reduce(_sorted_by, (_unsigned(word) for word in reversed(words)), start)


def _sorted_by(order: Value, word: Value) -> Value:
    """``order``, sorted once more by ``word``: those with equal words keep their order."""
    last = aval_of(order).ndim - 1
    first = along(word, order, last)

    def by_bit(k: Value, state: tuple[Value, Value]) -> tuple[Value, Value]:
        order, word = state
        shift = broadcast_in_dim(
            convert_element_type(k, aval_of(word).dtype), aval_of(word).shape, ()
        )
        bit = and_p.bind(shift_right_logical_p.bind(word, shift), full_like(word, 1))
        one = convert_element_type(bit, dtypes.int32)
        ones = cumsum(one, axis=last)
        index = iota(dtypes.int32, aval_of(order).shape, last)
        zeros = sub(index, sub(ones, one))  # before it
        total = broadcast_in_dim(
            reduce_sum(sub(full_like(one, 1), one), (last,)), aval_of(one).shape, range(last)
        )
        place = select_n(eq(one, full_like(one, 1)), zeros, add(total, sub(ones, one)))
        return _placed(order, place), _placed(word, place)

    bits = 8 * aval_of(word).dtype.itemsize
    sorted_order, _ = fori_loop(0, bits, by_bit, (order, first))
    return sorted_order
