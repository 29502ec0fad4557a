"""Packing neighbours along an axis into words, for contractions (`weft.terms.dots`)."""

from __future__ import annotations

import numpy as np

from weft.terms import build
from weft.terms.dots import WORD, Dot
from weft.terms.lower import Indices, Lowering, Tensor
from weft.terms.term import Term


def packed(ctx: Lowering, x: Tensor, axis: int, dot: Dot, flips: bool) -> Tensor:
    """``x`` in words of neighbours along ``axis``, zeros after the last; ``flips`` their top bits.

    Flipping the top bit moves bytes by 128, from one sign to the other.
    """
    extent, count = x.shape[axis], dot.count
    bits = np.dtype(f"u{x.dtype.itemsize}")
    shape = (*x.shape[:axis], -(-extent // count), *x.shape[axis + 1 :])

    def part(index: Indices, n: int) -> Term:
        at = (*index[:axis], index[axis] * count + n, *index[axis + 1 :])
        number = build.bitcast(x.at(at), bits)
        if flips:
            number = build.op("xor", number, build.const(1 << (8 * bits.itemsize - 1), bits))
        word = build.cast(number, WORD)
        if n:
            word = build.op("shift_left", word, build.const(8 * bits.itemsize * n, WORD))
        last = (extent - n + count - 1) // count
        return build.within(index[axis], 0, last, word, build.const(0, WORD))

    def element(index: Indices) -> Term:
        word = part(index, 0)
        for n in range(1, count):
            word = build.op("or", word, part(index, n))
        return word

    return ctx.define(shape, WORD, element)
