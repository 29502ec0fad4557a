"""Addresses of tile accesses: affine indices to pointers, as much as possible outside inner loops.

An access to a buffer is one linear expression over loop axes, tile axes, divisions and dynamic
indices. The loops' part is computed once where each loop begins (LLVM's loop strength reduction
then turns it into pointer increments), registers differ by constants, and the lane axis decides the
kind of access: stride one is a vector load, stride zero one element for all lanes, anything else a
gather.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from weft.codegen.llvm_text import Function, Value
from weft.codegen.tiles import Layout, Position
from weft.core.extents import Extent, larger
from weft.structs import struct
from weft.terms.affine import Affine, Axis, Dynamic, FloorDiv


@struct
class Scope:
    """One loop being written: its axis, its value, and code hoisted to the start of its body."""

    axis: Axis | None
    index: Value
    slot: int
    lines: list[str] = field(default_factory=list)
    pointers: dict[object, str] = field(default_factory=dict)
    splats: dict[object, str] = field(default_factory=dict)


@struct(frozen=True)
class Address:
    """Element offset of one register: ``scalar + lane·stride`` or a vector of offsets.

    ``apart`` is the distance of lanes that the vector is made of, where it is an extent.
    """

    scalar: Value
    stride: int
    vector: str | None = None
    apart: Value = 0


class Indexer:
    """Evaluates index expressions for the registers of a tile, within the current loops."""

    def __init__(self, function: Function, dynamic: Callable[[Dynamic, Position, Layout], str]):
        self.f = function
        self.scopes: list[Scope] = []
        self._dynamic = dynamic
        #: The register of an extent that each call brings along.
        self.extent: Callable[[Any], Value] = lambda number: number

    # -- hoisting ----------------------------------------------------------------------------------

    def _depth(self, expr: Affine) -> int:
        """Index of the innermost scope that ``expr`` depends on."""
        axes = expr.axes()
        for depth in range(len(self.scopes) - 1, -1, -1):
            if self.scopes[depth].axis in axes:
                return depth
        return 0

    def hoisted(self, depth: int, key: object, build: Callable[[], str]) -> str:
        """The value of ``build()``, emitted once at the start of scope ``depth``."""
        scope = self.scopes[depth]
        if key not in scope.pointers:
            if depth == len(self.scopes) - 1 and scope.slot < 0:
                scope.pointers[key] = build()
            else:
                lines, self.f._lines = self.f._lines, scope.lines
                try:
                    scope.pointers[key] = build()
                finally:
                    self.f._lines = lines
        return scope.pointers[key]

    def pointer(self, element: str, base: str, linear: Affine) -> tuple[str, int]:
        """Pointer for the loop-axis part of ``linear``, and the constant left over."""
        current = base
        rest = list(linear.terms)
        prefix: list[tuple[object, int]] = []
        for depth in range(len(self.scopes)):
            here = [(a, k) for a, k in rest if self._depth(Affine(((a, k),))) == depth]
            if not here:
                continue
            prefix += here
            key = (base, element, tuple(prefix))
            previous = current
            part = Affine(here)

            def build(part: Affine = part, previous: str = previous) -> str:
                return self.f.gep(element, previous, self.scalar(part))

            current = self.hoisted(depth, key, build)
            rest = [t for t in rest if t not in here]
        return current, linear.const

    # -- evaluation --------------------------------------------------------------------------------

    def scalar(self, expr: Affine) -> Value:
        """Value of an expression over loop axes only."""
        total: Value = self.extent(expr.const)
        for atom, k in expr.terms:
            total = self.f.add(total, self.f.mul(self._scalar_atom(atom), self.extent(k)))
        return total

    def _scalar_atom(self, atom: Axis | FloorDiv | Dynamic) -> Value:
        if isinstance(atom, Axis):
            for scope in reversed(self.scopes):
                if scope.axis is atom:
                    return scope.index
            raise ValueError(f"index uses axis {atom}, which no enclosing loop defines")
        if isinstance(atom, FloorDiv):
            return self._floor_division(atom)
        raise ValueError(f"dynamic index {atom} where only loop axes are allowed")

    def _floor_division(self, atom: FloorDiv) -> Value:
        numerator = self.scalar(atom.numerator)
        divisor = self.extent(atom.divisor)
        if isinstance(numerator, int) and isinstance(divisor, int):
            return numerator // divisor
        if atom.numerator.bounds()[0] < 0:
            shift = -(atom.numerator.bounds()[0] // atom.divisor)
            moved = self.f.add(numerator, self.extent(shift * atom.divisor))
            return self.f.sub(self.f.i(f"udiv i64 {moved}, {divisor}"), self.extent(shift))
        return self.f.i(f"udiv i64 {numerator}, {divisor}")

    def address(
        self, linear: Affine, layout: Layout, position: Position, pinned: Mapping[Axis, Affine]
    ) -> Address:
        """Offset of the register at ``position``; ``pinned``: its unrolled axes as constants."""
        expr = linear.substitute(pinned) if pinned else linear
        lane, chunk = layout.lane, position[-1]
        stride = 0
        plain: list[tuple[Axis | FloorDiv | Dynamic, int]] = []
        wide: list[tuple[FloorDiv | Dynamic, int]] = []
        const = expr.const
        apart: Value = 0
        for atom, k in expr.terms:
            if atom is lane and isinstance(k, Extent):
                apart = self.extent(k)
            elif atom is lane:
                stride = k
                const += k * chunk * layout.width
            elif isinstance(atom, Axis) or (
                isinstance(atom, FloorDiv) and self._of_loops(atom, lane)
            ):
                plain.append((atom, k))
            else:
                wide.append((atom, k))
        scalar: Value = self.f.add(self.scalar(Affine(plain)), self.extent(const))
        vector: str | None = None
        if isinstance(apart, str):
            scalar = self.f.add(scalar, self.f.mul(apart, chunk * layout.width))
            vector = self._apart(apart, layout.width)
        for atom, k in wide:
            piece = self._wide_atom(atom, layout, position, pinned)
            if self._is_wide(atom, layout):
                scaled = self._scaled(piece, k, layout.width)
                vector = scaled if vector is None else self._plus(vector, scaled, layout.width)
            else:
                scalar = self.f.add(scalar, self.f.mul(piece, self.extent(k)))
        return Address(scalar, stride, vector, apart)

    def _of_loops(self, atom: FloorDiv, lane: Axis | None) -> bool:
        """Whether the atom depends on loop axes only."""
        expr = Affine(((atom, 1),))
        return lane not in expr.axes() and not expr.dynamics()

    def _is_wide(self, atom: FloorDiv | Dynamic, layout: Layout) -> bool:
        """Whether the atom differs from lane to lane."""
        return layout.width > 1 and layout.lane in Affine(((atom, 1),)).axes()

    def _wide_atom(
        self,
        atom: FloorDiv | Dynamic,
        layout: Layout,
        position: Position,
        pinned: Mapping[Axis, Affine],
    ) -> str:
        if isinstance(atom, Dynamic):
            return self._dynamic(atom, position, layout)
        inner = self.address(atom.numerator, layout, position, pinned)
        shift = larger(0, -(atom.numerator.bounds()[0] // atom.divisor))
        width = layout.width if self._is_wide(atom, layout) else 1
        moved = self.vector(inner, width)
        kind = "i64" if width == 1 else f"<{width} x i64>"
        shifted = isinstance(shift, Extent) or shift > 0
        if shifted:
            moved = self.f.i(f"add {kind} {moved}, {self._splat(shift * atom.divisor, width)}")
        quotient = self.f.i(f"udiv {kind} {moved}, {self._splat(atom.divisor, width)}")
        if not shifted:
            return quotient
        return self.f.i(f"sub {kind} {quotient}, {self._splat(shift, width)}")

    def _apart(self, stride: str, width: int) -> str:
        """The offsets of lanes that lie an open ``stride`` apart."""
        splat = self.f.splat(f"<{width} x i64>", stride)
        steps = ", ".join(f"i64 {n}" for n in range(width))
        return self.f.i(f"mul <{width} x i64> {splat}, <{steps}>")

    def _scaled(self, vector: str, k: int, width: int) -> str:
        if k == 1:
            return vector
        return self.f.i(f"mul <{width} x i64> {vector}, {self._splat(k, width)}")

    def _splat(self, number: Any, width: int) -> Value:
        """A number or an extent in ``width`` lanes."""
        value = self.extent(number)
        if width == 1:
            return value
        if isinstance(value, int):
            return f"splat (i64 {value})"
        return self.f.splat(f"<{width} x i64>", value)

    def _plus(self, a: str, b: str, width: int) -> str:
        return self.f.i(f"add <{width} x i64> {a}, {b}")

    def vector(self, address: Address, width: int) -> str:
        """All lanes' offsets as one i64 vector (a scalar for one lane)."""
        if width == 1:
            return str(address.scalar)
        kind = f"<{width} x i64>"
        total = self.f.splat(kind, address.scalar)
        if address.stride:
            steps = ", ".join(f"i64 {address.stride * n}" for n in range(width))
            total = self.f.i(f"add {kind} {total}, <{steps}>")
        if address.vector is not None:
            total = self.f.i(f"add {kind} {total}, {address.vector}")
        return total
