"""Where the elements of a tile live: vector registers, chunked along the lane axis.

A tile with axes ``(i:8, j:40)`` and lane axis ``j`` at 16 lanes is 8 × 3 registers, the last of
each row only half used.  Elements in unused lanes have arbitrary values: stores mask them,
reductions replace them by the identity.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from weft.codegen.llvm_text import literal, vector
from weft.kernels.ir import Var
from weft.structs import struct
from weft.terms.affine import Axis

#: bfloat16 is the integer of its bits: for LLVM's `bfloat`, a processor without instructions for it
#: converts to float and back (through calls) wherever a value is chosen, moved or shuffled.
ELEMENT = {
    "bool": "i1",
    "int8": "i8",
    "int16": "i16",
    "int32": "i32",
    "int64": "i64",
    "uint8": "i8",
    "uint16": "i16",
    "uint32": "i32",
    "uint64": "i64",
    "float16": "half",
    "bfloat16": "i16",
    "float32": "float",
    "float64": "double",
}

Position = tuple[int, ...]


@cache  # a dtype makes its name anew each time it is asked
def element_type(dtype: np.dtype) -> str:
    """LLVM type of a scalar of ``dtype`` in a register."""
    try:
        return ELEMENT[dtype.name]
    except KeyError:
        raise TypeError(f"the CPU code generator has no registers for dtype {dtype.name}") from None


def memory_type(dtype: np.dtype) -> str:
    """LLVM type of a scalar of ``dtype`` in memory (bool takes a byte)."""
    return "i8" if dtype == np.bool_ else element_type(dtype)


def constant(dtype: np.dtype, value: Any, lanes: int = 1) -> str:
    """``value`` in every lane of a register of ``dtype``."""
    number = np.asarray(value, dtype)
    bits = number.view(np.uint16) if dtype.name == "bfloat16" else number
    return literal(vector(element_type(dtype), lanes), bits.item())


def lane_width(extent: int, lanes: int) -> int:
    """Lanes of the registers of a lane axis: the machine's, or the next power of two if shorter."""
    width = 1
    while width < extent and width < lanes:
        width *= 2
    return width


@struct(frozen=True)
class Layout:
    """Registers of a tile: unrolled axes in the variable's order, then chunks of the lane axis."""

    unrolled: tuple[Axis, ...]
    lane: Axis | None
    width: int
    chunks: int

    @staticmethod
    def of(var: Var, lanes: frozenset[Axis], machine_lanes: int) -> Layout:
        """The layout of ``var`` when ``lanes`` are the lane axes of its kernel."""
        across = [a for a in var.axes if a in lanes]
        if len(across) > 1:
            raise ValueError(f"{var} has two lane axes {across}; a register has one direction")
        unrolled = tuple(a for a in var.axes if a not in lanes)
        if not across:
            return Layout(unrolled, None, 1, 1)
        extent = across[0].extent
        width = lane_width(extent, machine_lanes)
        return Layout(unrolled, across[0], width, -(-extent // width))

    def positions(self) -> Iterator[Position]:
        """Register positions in row-major order; the last component is the chunk."""
        ranges = [range(a.extent) for a in self.unrolled]
        return itertools.product(*ranges, range(self.chunks))

    def active(self, chunk: int) -> int:
        """Used lanes of the registers of ``chunk``."""
        if self.lane is None:
            return 1
        return min(self.width, self.lane.extent - chunk * self.width)


@struct
class Tile:
    """A variable's registers: SSA names by position."""

    layout: Layout
    element: str
    registers: dict[Position, str]
