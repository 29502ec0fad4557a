"""Threefry-2x32: a counter-based generator of random bits.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). Twenty
rounds, in five groups of four; after each group a rotating part of the key is added. Bit for bit
the function that ``jax.random`` is built on.
"""

from __future__ import annotations

import numpy as np

from weft.core.avals import ShapedArray
from weft.core.primitive import Primitive
from weft.primitives.rules import (
    Dims,
    Value,
    Values,
    check_same_shape,
    listing,
    shape_of,
    zero_tangent,
)
from weft.primitives.shaping import batch_first, broadcast_in_dim
from weft.terms import build
from weft.terms.lower import Indices, Lowering, Tensor
from weft.terms.term import Term

#: Left rotations of the four rounds of even and odd groups.
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
#: The third word of the key schedule is the exclusive or of the key words and this constant.
PARITY = 0x1BD11BDA

# ---------------------------------------------------------------- threefry2x32

threefry2x32_p = Primitive("threefry2x32", multiple_results=True)


def threefry2x32(key1: Value, key2: Value, x1: Value, x2: Value) -> list[Value]:
    """Two words of random bits for each counter ``(x1, x2)``, under the key ``(key1, key2)``.

    All are uint32. The key words are scalars, or of the shape of the counters.
    """
    return threefry2x32_p.bind(key1, key2, x1, x2)


@threefry2x32_p.def_type
def _(key1: ShapedArray, key2: ShapedArray, x1: ShapedArray, x2: ShapedArray) -> list[ShapedArray]:
    avals = (key1, key2, x1, x2)
    if any(aval.dtype != np.uint32 for aval in avals):
        raise TypeError(f"threefry2x32 needs uint32 keys and counters, got {listing(avals)}.")
    check_same_shape("threefry2x32 (counters)", x1, x2)
    for key in (key1, key2):
        if key.shape not in ((), x1.shape):
            raise ValueError(
                f"threefry2x32 needs key words that are scalars or of the shape of the counters, "
                f"got {listing(avals)}."
            )
    out = ShapedArray(x1.shape, np.uint32)
    return [out, out]


@threefry2x32_p.def_numpy
def _(key1: np.ndarray, key2: np.ndarray, x1: np.ndarray, x2: np.ndarray) -> list[np.ndarray]:
    keys = (key1, key2, key1 ^ key2 ^ np.uint32(PARITY))
    # 1-d at least: NumPy warns about wrapping scalars, not about wrapping arrays.
    x, y = np.atleast_1d(x1 + keys[0]), np.atleast_1d(x2 + keys[1])
    with np.errstate(over="ignore"):
        for group in range(5):
            for rotation in ROTATIONS[group % 2]:
                x = x + y
                y = (y << np.uint32(rotation)) | (y >> np.uint32(32 - rotation))
                y = x ^ y
            x = x + keys[(group + 1) % 3]
            y = y + keys[(group + 2) % 3] + np.uint32(group + 1)
    return [x.reshape(x1.shape), y.reshape(x1.shape)]


@threefry2x32_p.def_lower
def _(ctx: Lowering, key1: Tensor, key2: Tensor, x1: Tensor, x2: Tensor) -> list[Tensor]:
    def word(value: Value) -> Value:
        return build.const(value, np.uint32)

    def elements(index: Indices) -> list[Term]:
        first, second = (key.at(index if key.ndim else ()) for key in (key1, key2))
        keys = (first, second, build.op("xor", build.op("xor", first, second), word(PARITY)))
        x, y = build.op("add", x1.at(index), keys[0]), build.op("add", x2.at(index), keys[1])
        for group in range(5):
            for rotation in ROTATIONS[group % 2]:
                x = build.op("add", x, y)
                left = build.op("shift_left", y, word(rotation))
                right = build.op("shift_right_logical", y, word(32 - rotation))
                y = build.op("xor", x, build.op("or", left, right))
            x = build.op("add", x, keys[(group + 1) % 3])
            key = build.op("add", keys[(group + 2) % 3], word(group + 1))
            y = build.op("add", y, key)
        return [x, y]

    return ctx.define_all(x1.shape, [x1.dtype, x1.dtype], elements)


@threefry2x32_p.def_jvp
def _(primals: Values, tangents: Values) -> tuple[Values, Values]:
    outs = threefry2x32(*primals)
    return outs, [zero_tangent(out) for out in outs]


@threefry2x32_p.def_batch
def _(axis_size: int, args: Values, dims: Dims) -> tuple[Values, Dims]:
    x1, x2 = batch_first(axis_size, args[2:], dims[2:])

    def key(word: Value, dim: int | None) -> Value:
        if shape_of(word) == ():
            return word
        if dim is not None and len(shape_of(word)) == 1:
            return broadcast_in_dim(word, shape_of(x1), (0,))
        return batch_first(axis_size, [word], [dim])[0]

    return threefry2x32(key(args[0], dims[0]), key(args[1], dims[1]), x1, x2), [0, 0]
