"""Loops on a matrix unit as LLVM instructions: the tiles of x86 (AMX).

The totals stay in tile registers 0 to 3, matrices of the left operand are loaded into 4 and 5,
those of the right one into 6 and 7.  Totals come and go by way of memory, a row of registers for
each row of the tile, so that what is around the loop has them in vector registers as usual.  A
thread configures its tiles for each loop and releases them after it: tiles in use are part of what
a change of threads has to save.  Terms that do not fill a matrix follow with narrower ones.
"""

from __future__ import annotations

from weft.codegen.llvm_text import Function, Value
from weft.kernels.matrix import Contracted, is_mixed
from weft.structs import struct
from weft.terms.dots import MatrixUnit

_LEFT, _RIGHT = 4, 6
_PRODUCTS = {"dot_bf16": "tdpbf16ps", "dot_u8s8": "tdpbusd"}
_TURNED = {"dot_u8s8": "tdpbsud"}


@struct(frozen=True)
class Operand:
    """Words in memory: a pointer to the first, and words from a line of them to the next one."""

    pointer: str
    stride: int


def pitch(unit: MatrixUnit) -> int:
    """Totals in a row of the memory that they come and go by."""
    return unit.wide * unit.columns


def emit_loop(
    f: Function,
    unit: MatrixUnit,
    parts: Contracted,
    bounds: tuple[int, int],
    left: Operand,
    right: Operand,
    totals: str,
    zero: bool,
) -> None:
    """Add the products over ``bounds`` to what is at ``totals``, or to ``zero``."""
    rows, columns = parts.rows.extent, parts.columns.extent
    lo, hi = bounds
    whole = lo + (hi - lo) // unit.terms * unit.terms
    nest = _Tiles(f, unit, _cut(rows, unit.rows), _cut(columns, unit.columns), totals)
    multiply = (_TURNED if parts.swapped and is_mixed(parts.dot) else _PRODUCTS)[parts.dot]
    for start, end, terms in ((lo, whole, unit.terms), (whole, hi, hi - whole)):
        if start == end:
            continue
        nest.configure(terms)
        nest.each_total("zero" if zero and start == lo else "load")
        if end - start == terms:
            nest.step(multiply, left, right, start)
        else:
            with f.loop(start, end, terms, at_least_once=True) as loop:
                nest.step(multiply, left, right, loop.index)
                loop.carry()
        nest.each_total("store")
        nest.tell("tilerelease")


def _cut(extent: int, size: int) -> list[int]:
    return [min(size, extent - start) for start in range(0, extent, size)]


@struct
class _Tiles:
    """The instructions on a tile of totals of ``rows`` × ``columns`` matrices."""

    f: Function
    unit: MatrixUnit
    rows: list[int]
    columns: list[int]
    totals: str

    def tell(self, name: str, *arguments: tuple[str, Value]) -> None:
        types = ", ".join(kind for kind, _ in arguments)
        values = ", ".join(f"{kind} {value}" for kind, value in arguments)
        self.f.module.declare(f"declare void @llvm.x86.{name}({types})")
        self.f.do(f"call void @llvm.x86.{name}({values})")

    def configure(self, terms: int) -> None:
        """The shape of each tile: its rows, and the bytes of one."""
        shapes = {_LEFT + i: (m, terms) for i, m in enumerate(self.rows)}
        shapes |= {_RIGHT + j: (terms, n) for j, n in enumerate(self.columns)}
        for i, m in enumerate(self.rows):
            shapes |= {i * self.unit.wide + j: (m, n) for j, n in enumerate(self.columns)}
        widths = [4 * shapes.get(t, (0, 0))[1] for t in range(8)]
        table = [1, *[0] * 15, *(b for w in widths for b in (w, 0)), *[0] * 16]
        table += [shapes.get(t, (0, 0))[0] for t in range(8)] + [0] * 8
        self.tell("ldtilecfg", ("ptr", self.f.module.data("i8", table)))

    def each_total(self, what: str) -> None:
        """Zero the totals, or have them from memory or there."""
        line = pitch(self.unit)
        for i in range(len(self.rows)):
            for j in range(len(self.columns)):
                tile = i * self.unit.wide + j
                if what == "zero":
                    self.tell("tilezero", ("i8", tile))
                    continue
                at = i * self.unit.rows * line + j * self.unit.columns
                self.move("tileloadd64" if what == "load" else "tilestored64", tile, at, line)

    def move(self, name: str, tile: int, at: int, line: int) -> None:
        pointer = self.f.gep("i32", self.totals, at)
        self.tell(name, ("i8", tile), ("ptr", pointer), ("i64", 4 * line))

    def step(self, multiply: str, left: Operand, right: Operand, k: Value) -> None:
        """One matrix of each operand along the fold."""
        f = self.f
        a, b = f.gep("i32", left.pointer, k), f.gep("i32", right.pointer, f.mul(k, right.stride))
        for j in range(len(self.columns)):
            pointer = f.gep("i32", b, j * self.unit.columns)
            self._load(_RIGHT + j, pointer, right.stride)
        for i in range(len(self.rows)):
            pointer = f.gep("i32", a, i * self.unit.rows * left.stride)
            self._load(_LEFT + i, pointer, left.stride)
            for j in range(len(self.columns)):
                tiles = (i * self.unit.wide + j, _LEFT + i, _RIGHT + j)
                self.tell(multiply, *(("i8", tile) for tile in tiles))

    def _load(self, tile: int, pointer: str, stride: int) -> None:
        self.tell("tileloadd64", ("i8", tile), ("ptr", pointer), ("i64", 4 * stride))
