"""Contractions of narrow numbers by words: several neighbours along the fold in one 32-bit lane.

Processors multiply and add narrow numbers by instructions that take words of them: two bfloat16
numbers or int16 integers, or four bytes, of which one operand's are unsigned. Such an instruction
is an operation on words, `Dot`, with the sum so far as third operand. A contraction for a machine
that has it packs its operands into words first (an array of its own, whose cost is that of reading
them once) and folds over words; nothing else about the contraction is special.

Bytes of equal signs meet an instruction that wants unsigned times signed by moving one side by 128,
which is flipping its top bit, and taking 128 times the sum of the other side off again. Integers
wrap, so all of this is exact.

The sums of bfloat16 products are kept in float32; the instruction takes subnormal numbers for zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.core.dtypes import bfloat16, float32, int8, int16, int32, uint8, uint32
from weft.structs import struct

WORD = uint32


@struct(frozen=True)
class Dot:
    """``total + Σ left part · right part`` over the parts of two words, in the dtype of ``total``.

    ``feature`` is the processor's (as LLVM names it) that has an instruction for it.
    """

    name: str
    left: np.dtype
    right: np.dtype
    total: np.dtype
    feature: str

    @property
    def count(self) -> int:
        """Parts in a word."""
        return WORD.itemsize // self.left.itemsize

    def meaning(self, left: Any, right: Any, total: Any) -> Any:
        """On NumPy arrays of words and totals."""
        a, b = (
            np.ascontiguousarray(np.asarray(words)[..., None]).view(part).astype(self.total)
            for words, part in ((left, self.left), (right, self.right))
        )
        return np.asarray(total + (a * b).sum(-1, dtype=self.total), self.total)


DOTS = {
    dot.name: dot
    for dot in (
        Dot("dot_bf16", bfloat16, bfloat16, float32, "avx512bf16"),
        Dot("dot_u8s8", uint8, int8, int32, "avx512vnni"),
        Dot("dot_s16", int16, int16, int32, "avx512vnni"),
    )
}
_OF_DTYPE = {bfloat16: "dot_bf16", int8: "dot_u8s8", uint8: "dot_u8s8", int16: "dot_s16"}

#: Contractions with fewer rows, columns or terms than this are not worth packing.
LEAST = 8

#: Contractions with fewer rows or columns than this leave most of a matrix unit idle.
LEAST_ON_UNIT = 16


@struct(frozen=True)
class MatrixUnit:
    """A unit that adds products of small matrices of words to one of totals, in one instruction.

    That is ``c[i, j] += Σ dot(a[i, p], b[p, j])`` over ``rows`` × ``columns`` × ``terms`` words, in
    ``cycles``; its registers hold ``tall`` × ``wide`` matrices of totals side by side. ``features``
    are the processor's (as LLVM names them) that have it.
    """

    name: str
    dot: str
    features: frozenset[str]
    rows: int = 16
    columns: int = 16
    terms: int = 16
    cycles: float = 16.0
    tall: int = 2
    wide: int = 2


#: Eight tile registers: four matrices of totals, two of each operand.
MATRIX_UNITS = (
    MatrixUnit("amx", "dot_bf16", frozenset(("amx-tile", "amx-bf16"))),
    MatrixUnit("amx", "dot_u8s8", frozenset(("amx-tile", "amx-int8"))),
)


def units_of(features: frozenset[str]) -> tuple[MatrixUnit, ...]:
    """The matrix units of a processor."""
    return tuple(unit for unit in MATRIX_UNITS if unit.features <= features)


def dots_of(features: frozenset[str]) -> frozenset[str]:
    """Names of the operations that a processor has instructions for."""
    return frozenset(dot.name for dot in DOTS.values() if dot.feature in features)


def dot_for(dtype: np.dtype, result: np.dtype, available: frozenset[str]) -> Dot | None:
    """The operation that contracts arrays of ``dtype`` into ``result``, if the machine has one."""
    dot = DOTS.get(_OF_DTYPE.get(dtype, ""))
    if dot is None or dot.name not in available or result.itemsize > dot.total.itemsize:
        return None
    return dot
