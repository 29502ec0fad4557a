"""Random keys as elements of arrays, and the words they are made of.

A key lies in memory as its two words of 32 bits. NumPy sees it as a record of one 64-bit field,
compiled code as a 64-bit word: whatever moves elements moves keys.
"""

from __future__ import annotations

import numpy as np

from weft.core.avals import ShapedArray
from weft.core.dtypes import key_fry, stored, uint32
from weft.core.primitive import Primitive
from weft.primitives.elementwise import batch_rule
from weft.primitives.rules import (
    Dims,
    Value,
    Values,
    check_same_shape,
    def_no_derivative,
    listing,
    zero_tangent,
)
from weft.terms import build
from weft.terms.lower import Indices, Lowering, Tensor
from weft.terms.term import Term

# ---------------------------------------------------------------- random_wrap

random_wrap_p = Primitive("random_wrap")
random_wrap_p.pointwise = True
random_wrap = random_wrap_p.bind  # random_wrap(first, second): keys of those uint32 words


@random_wrap_p.def_type
def _(first: ShapedArray, second: ShapedArray) -> ShapedArray:
    if first.dtype != np.uint32 or second.dtype != np.uint32:
        raise TypeError(f"random_wrap needs uint32 words, got {listing((first, second))}.")
    check_same_shape("random_wrap", first, second)
    return ShapedArray(first.shape, key_fry)


@random_wrap_p.def_numpy
def _(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    words = first.astype(np.uint64) | (second.astype(np.uint64) << np.uint64(32))
    return np.asarray(words).view(key_fry.dtype)


@random_wrap_p.def_lower
def _(ctx: Lowering, first: Tensor, second: Tensor) -> Tensor:
    def element(index: Indices) -> Term:
        low, high = (build.cast(x.at(index), key_fry.words) for x in (first, second))
        shift = build.const(32, key_fry.words)
        return build.op("or", low, build.op("shift_left", high, shift))

    return ctx.define(first.shape, key_fry.words, element)


random_wrap_p.def_batch(batch_rule(random_wrap_p))
def_no_derivative(random_wrap_p)

# ---------------------------------------------------------------- random_unwrap

random_unwrap_p = Primitive("random_unwrap", multiple_results=True)
random_unwrap = random_unwrap_p.bind  # random_unwrap(keys): their two words


@random_unwrap_p.def_type
def _(keys: ShapedArray) -> list[ShapedArray]:
    if keys.dtype is not key_fry:
        raise TypeError(f"random_unwrap needs random keys, got {keys}.")
    return [ShapedArray(keys.shape, uint32)] * 2


@random_unwrap_p.def_numpy
def _(keys: np.ndarray) -> list[np.ndarray]:
    words = stored(keys)
    return [words.astype(np.uint32), (words >> np.uint64(32)).astype(np.uint32)]


@random_unwrap_p.def_lower
def _(ctx: Lowering, keys: Tensor) -> list[Tensor]:
    def elements(index: Indices) -> list[Term]:
        word = keys.at(index)
        high = build.op("shift_right_logical", word, build.const(32, key_fry.words))
        return [build.cast(word, uint32), build.cast(high, uint32)]

    return ctx.define_all(keys.shape, [uint32, uint32], elements)


@random_unwrap_p.def_jvp
def _(primals: Values, tangents: Values) -> tuple[Values, Values]:
    outs = random_unwrap(*primals)
    return outs, [zero_tangent(out) for out in outs]


@random_unwrap_p.def_batch
def _(axis_size: int, args: Values, dims: Dims) -> tuple[list[Value], Dims]:
    return random_unwrap(*args), [dims[0], dims[0]]
