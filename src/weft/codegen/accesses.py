"""Loads and stores of tiles: which instructions move the registers of one access.

Lanes next to each other in memory are one vector.  Strided lanes are transposed in registers when
another tile axis is contiguous, thinned out of contiguous vectors when they are close together, and
gathered or scattered otherwise.  Guarded lanes are masked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import gcd

from weft.codegen import strided
from weft.codegen.addresses import Address, Indexer
from weft.codegen.llvm_text import Function, Value, literal, mangle
from weft.codegen.tiles import Layout, Position, memory_type
from weft.core.extents import Extent
from weft.kernels import ir
from weft.structs import struct
from weft.terms.affine import Affine, Axis

#: Bytes that outputs and the arena are aligned to.
BASE_ALIGNMENT = 64

Masks = Callable[[Position], str | None]


@struct
class Access:
    """One buffer access being emitted: its tile, hoisted pointer, and index beyond the pointer.

    ``grid`` divides every value that the hoisted part takes, in elements (0 for an access without
    one); ``plain`` says that all elements are touched.
    """

    buffer: ir.Buffer
    layout: Layout
    pointer: str
    rest: Affine
    grid: int = 1
    plain: bool = True

    @property
    def element(self) -> str:
        return memory_type(self.buffer.dtype)

    @property
    def kind(self) -> str:
        """Type of a register in memory."""
        width = self.layout.width
        return self.element if width == 1 else f"<{width} x {self.element}>"

    def contiguous_axis(self) -> Axis | None:
        """The unrolled axis along which memory is contiguous while the lanes are strided."""
        lane = self.layout.lane
        if lane is None or self.layout.width < 4 or not self.plain:
            return None
        stride = self.rest.coefficient(lane)
        far = isinstance(stride, Extent) or abs(stride) >= 2
        if not far or not self.rest.is_affine_in(lane):
            return None
        for axis in self.layout.unrolled:
            if self.rest.is_affine_in(axis) and self.rest.coefficient(axis) == 1:
                return axis if axis.extent > 1 else None
        return None

    def aligned(self, address: Address) -> bool:
        """Whether the register at ``address`` is aligned to its own size."""
        if self.buffer.role != "output" or not isinstance(address.scalar, int):
            return False
        size = self.buffer.dtype.itemsize
        whole = self.layout.width * size
        return BASE_ALIGNMENT % whole == 0 and gcd(self.grid, address.scalar) * size % whole == 0


class Memory:
    """Emits the accesses of one kernel."""

    def __init__(self, f: Function, indexer: Indexer) -> None:
        self.f = f
        self.indexer = indexer
        self.streamed = False

    def address(self, access: Access, position: Position) -> Address:
        pinned = {a: Affine((), n) for a, n in zip(access.layout.unrolled, position, strict=False)}
        return self.indexer.address(access.rest, access.layout, position, pinned)

    # -- loads -------------------------------------------------------------------------------------

    def load(self, access: Access, masks: Masks) -> dict[Position, str]:
        """Registers of a tile, by position."""
        axis = access.contiguous_axis()
        if axis is not None:
            return self._load_rows(access, axis)
        return {p: self._load(access, p, masks(p)) for p in access.layout.positions()}

    def _load(self, access: Access, position: Position, mask: str | None) -> str:
        f, width, kind = self.f, access.layout.width, access.kind
        address = self.address(access, position)
        if width == 1:
            return self._load_scalar(access, address, mask)
        if address.vector is not None:
            return self._gather(access, address, mask)
        if address.stride == 1:
            pointer = f.gep(access.element, access.pointer, address.scalar)
            if mask is None:
                return f.load(kind, pointer)
            return f.masked_load(kind, pointer, mask, literal(kind, 0))
        if mask is None and address.stride == 0:
            return f.splat(kind, self._load_scalar(access, address, None))
        if mask is None and abs(address.stride) <= strided.MAX_STRIDE:
            return self._thin(access, address)
        return self._gather(access, address, mask)

    def _load_scalar(self, access: Access, address: Address, mask: str | None) -> str:
        f, element = self.f, access.element

        def inside() -> list[Value]:
            return [f.load(element, f.gep(element, access.pointer, address.scalar))]

        if mask is None:
            return str(inside()[0])
        return f.if_(mask, inside, lambda: [literal(element, 0)], [element])[0]

    def _thin(self, access: Access, address: Address) -> str:
        """Lanes a few elements apart: contiguous vectors, then one shuffle for each but one."""
        f, kind = self.f, access.kind
        plan = strided.thinning(access.layout.width, address.stride)
        starts = [f.add(address.scalar, at) for at, _ in plan]
        vectors = [f.load(kind, f.gep(access.element, access.pointer, at)) for at in starts]
        return strided.thin(f, kind, vectors, [lanes for _, lanes in plan])

    def _load_rows(self, access: Access, axis: Axis) -> dict[Position, str]:
        """Contiguous rows along ``axis``, transposed square by square."""
        f, kind = self.f, access.kind
        registers: dict[Position, str] = {}
        for corner, count in _squares(access.layout, axis):
            columns = [_moved(access.layout, axis, corner, n) for n in range(count)]
            if self._close(access, corner):
                registers.update((p, self._thin(access, self.address(access, p))) for p in columns)
                continue
            rows = ["poison"] * access.layout.width
            for lane, pointer in enumerate(self._row_pointers(access, axis, corner)):
                if count == access.layout.width:
                    rows[lane] = f.load(kind, pointer)
                else:
                    mask = lane_mask(access.layout.width, count)
                    rows[lane] = f.masked_load(kind, pointer, mask, literal(kind, 0))
            turned = strided.transpose(f, kind, rows)
            registers.update(zip(columns, turned, strict=False))
        return registers

    def _close(self, access: Access, corner: Position) -> bool:
        """Whether the lanes are so close together that thinning is cheaper than turning."""
        full = access.layout.active(corner[-1]) == access.layout.width
        address = self.address(access, corner)
        return full and address.vector is None and abs(address.stride) <= strided.MAX_STRIDE

    def _row_pointers(self, access: Access, axis: Axis, corner: Position) -> list[str]:
        """Where the row of every active lane starts."""
        address = self.address(access, corner)
        lanes = range(access.layout.active(corner[-1]))
        apart = address.apart or address.stride
        starts = [self.f.add(address.scalar, self.f.mul(apart, n)) for n in lanes]
        return [self.f.gep(access.element, access.pointer, at) for at in starts]

    def _gather(self, access: Access, address: Address, mask: str | None) -> str:
        f, width, kind = self.f, access.layout.width, access.kind
        return f.call(
            kind,
            f"llvm.masked.gather.{mangle(kind)}.v{width}p0",
            (f"<{width} x ptr> align {access.buffer.dtype.itemsize}", self._each(access, address)),
            (f"<{width} x i1>", mask or "splat (i1 true)"),
            (kind, literal(kind, 0)),
        )

    def _each(self, access: Access, address: Address) -> str:
        """A pointer for every lane."""
        width = access.layout.width
        offsets = self.indexer.vector(address, width)
        return self.f.i(
            f"getelementptr inbounds {access.element}, ptr {access.pointer}, "
            f"<{width} x i64> {offsets}"
        )

    # -- stores ------------------------------------------------------------------------------------

    def store(
        self, access: Access, values: Mapping[Position, str], masks: Masks, streaming: bool
    ) -> None:
        """Write the registers of a tile; ``streaming``: past the caches where alignment allows."""
        axis = access.contiguous_axis()
        if axis is not None:
            self._store_rows(access, axis, values, streaming)
            return
        for position, value in values.items():
            self._store(access, position, value, masks(position), streaming)

    def _store(
        self, access: Access, position: Position, value: str, mask: str | None, streaming: bool
    ) -> None:
        f, width = self.f, access.layout.width
        address = self.address(access, position)
        if width == 1:
            pointer = f.gep(access.element, access.pointer, address.scalar)
            if mask is None:
                f.store(access.element, value, pointer)
            else:
                f.if_(mask, lambda: f.store(access.element, value, pointer))
        elif address.vector is None and address.stride == 1:
            pointer = f.gep(access.element, access.pointer, address.scalar)
            if mask is None:
                self._store_vector(access, value, pointer, streaming and access.aligned(address))
            else:
                f.masked_store(access.kind, value, pointer, mask)
        elif address.vector is None and address.stride == -1 and mask is None:
            first = f.add(address.scalar, 1 - width)
            turned = f.shuffle(access.kind, value, "poison", list(range(width - 1, -1, -1)))
            f.store(access.kind, turned, f.gep(access.element, access.pointer, first))
        else:
            self._scatter(access, address, mask, value)

    def _store_vector(self, access: Access, value: str, pointer: str, streaming: bool) -> None:
        if streaming:
            self.streamed = True
            whole = access.layout.width * access.buffer.dtype.itemsize
            self.f.store(access.kind, value, pointer, align=whole, nontemporal=True)
        else:
            self.f.store(access.kind, value, pointer)

    def _store_rows(
        self, access: Access, axis: Axis, values: Mapping[Position, str], streaming: bool
    ) -> None:
        """Transpose square by square, then store contiguous rows along ``axis``."""
        f, kind, width = self.f, access.kind, access.layout.width
        for corner, count in _squares(access.layout, axis):
            if self._store_dense(access, axis, corner, values, streaming):
                continue
            columns = [values[_moved(access.layout, axis, corner, n)] for n in range(count)]
            rows = strided.transpose(f, kind, [*columns, *["poison"] * (width - count)])
            address = self.address(access, corner)
            apart = address.stride * access.buffer.dtype.itemsize
            aligned = (
                access.aligned(address) and apart % (width * access.buffer.dtype.itemsize) == 0
            )
            for row, pointer in zip(rows, self._row_pointers(access, axis, corner), strict=False):
                if count == width:
                    self._store_vector(access, row, pointer, streaming and aligned)
                else:
                    f.masked_store(kind, row, pointer, lane_mask(width, count))

    def _store_dense(
        self,
        access: Access,
        axis: Axis,
        corner: Position,
        values: Mapping[Position, str],
        streaming: bool,
    ) -> bool:
        """Rows so short that they follow each other without a gap: whole vectors of them."""
        width = access.layout.width
        address = self.address(access, corner)
        whole = axis.extent == address.stride and access.layout.active(corner[-1]) == width
        if not whole or address.stride > min(width, strided.MAX_STRIDE):
            return False
        columns = [values[_moved(access.layout, axis, corner, n)] for n in range(axis.extent)]
        for n, vector in enumerate(strided.interlace(self.f, access.kind, columns)):
            start = self.f.add(address.scalar, n * width)
            pointer = self.f.gep(access.element, access.pointer, start)
            self._store_vector(access, vector, pointer, streaming and access.aligned(address))
        return True

    def _scatter(self, access: Access, address: Address, mask: str | None, value: str) -> None:
        width, kind = access.layout.width, access.kind
        self.f.call(
            "void",
            f"llvm.masked.scatter.{mangle(kind)}.v{width}p0",
            (kind, value),
            (f"<{width} x ptr> align {access.buffer.dtype.itemsize}", self._each(access, address)),
            (f"<{width} x i1>", mask or "splat (i1 true)"),
        )


def _squares(layout: Layout, axis: Axis) -> list[tuple[Position, int]]:
    """First positions of the squares that ``axis`` and the lanes form, and their used columns."""
    at = layout.unrolled.index(axis)
    return [
        (p, min(layout.width, axis.extent - p[at]))
        for p in layout.positions()
        if p[at] % layout.width == 0
    ]


def _moved(layout: Layout, axis: Axis, corner: Position, n: int) -> Position:
    at = layout.unrolled.index(axis)
    return (*corner[:at], corner[at] + n, *corner[at + 1 :])


def lane_mask(width: int, active: int) -> str:
    """A constant mask of the first ``active`` lanes."""
    return "<" + ", ".join(f"i1 {'true' if n < active else 'false'}" for n in range(width)) + ">"
