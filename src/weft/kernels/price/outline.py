"""The outline of a kernel: a loop tree whose leaves are blocks of register operations and accesses.

This is all that a price depends on.  Tiles are ordinary loops here: the tile axes of an access are
dimensions of its footprint, and a statement counts once per register of its tile.  Accesses that
differ only by a constant are one access with several segments.  What is not affine is approximated:

- a division ``a // d`` moves every ``d`` iterations: the loop over ``a`` becomes two dimensions;
- a dynamic index moves at random: its values are spread evenly over their range, the innermost loop
  jumping farthest;
- guarded elements count as accessed.
"""

from __future__ import annotations

from dataclasses import field

import numpy as np

from weft.kernels import ir
from weft.kernels.ir import Buffer, Kernel, Load, Store, Var
from weft.kernels.price.footprint import Dims, line_count, merge
from weft.structs import struct
from weft.terms.affine import Affine, Atom, Axis, Dynamic, FloorDiv

Terms = dict[Atom, int]  # coefficients in bytes


@struct(eq=False, slots=True)
class Access:
    """One access of a block: ``run`` bytes and ``segments`` of one execution; ``terms`` move it.

    It starts ``start`` bytes into the buffer where all loops are at zero, and one execution stays
    within ``span`` bytes (None where that is not known).
    """

    buffer: Buffer
    write: bool
    streaming: bool
    terms: Terms
    run: int
    segments: Dims
    start: int
    span: int | None

    def dims_of(self, loop: Nest) -> Dims:
        """The dimensions that ``loop`` adds to the footprint."""
        terms = self.terms
        if loop.plain:
            stride = terms.get(loop.axis, 0) * loop.step
            return [(abs(stride), loop.trip)] if stride and loop.trip > 1 else []
        return _dims(terms, loop.axis, loop.step, loop.trip, loop.varying)


@struct(eq=False, slots=True)
class Block:
    """Consecutive statements of a loop body, per execution.

    ``product``, ``sum``, ``other`` and ``divide`` are cycles on their units, ``load``, ``store``
    and ``shuffle`` those on theirs; ``issued`` counts instructions and ``arithmetic`` those that
    compute. ``depth`` is the latency of the longest chain, ``live`` the most registers in use at a
    time, and ``flops`` the floating-point operations of all elements.
    """

    accesses: list[Access] = field(default_factory=list)
    product: float = 0.0
    sum: float = 0.0
    other: float = 0.0
    divide: float = 0.0
    load: float = 0.0
    store: float = 0.0
    shuffle: float = 0.0
    issued: float = 0.0
    arithmetic: float = 0.0
    depth: float = 0.0
    live: int = 0
    flops: int = 0
    barriers: int = 0


@struct(eq=False, slots=True)
class Nest:
    """A loop: ``trip`` iterations of ``step`` from ``lo``.

    ``recurrence`` is the latency from carry to carry; ``unrolled`` loops are written out in the
    body of their parent.  ``plain`` says that no access moves with it other than linearly;
    ``varying`` are the dynamic variables that change with it otherwise.  The whole kernel is a
    loop of one iteration.
    """

    axis: Axis
    lo: int
    step: int
    trip: int
    parallel: bool
    unrolled: bool = False
    children: list[Nest | Block] = field(default_factory=list)
    carries: int = 0
    recurrence: float = 0.0
    plain: bool = True
    varying: frozenset[Var] = frozenset()

    @property
    def innermost(self) -> bool:
        """Whether its iterations follow each other with no loop between."""
        return not any(isinstance(c, Nest) and not c.unrolled for c in self.children)


# -- addresses -------------------------------------------------------------------------------------


def byte_terms(buffer: Buffer, index: tuple[Affine, ...]) -> tuple[Terms, int]:
    """The address of an access in bytes: coefficients of its atoms and the constant."""
    size = buffer.dtype.itemsize
    terms: Terms = {}
    const = 0
    for expr, stride in zip(index, buffer.element_strides, strict=True):
        stride *= size
        const += expr.const * stride
        for atom, k in expr.terms:
            terms[atom] = terms.get(atom, 0) + k * stride
    # ``x[ij // n, ij - n * (ij // n)]`` moves along a line: its divisions cancel.
    return {atom: k for atom, k in terms.items() if k}, const


def _dims(
    terms: Terms, axis: Axis, step: int, trip: int, varying: frozenset[Var] = frozenset()
) -> Dims:
    """Dimensions that ``trip`` iterations of ``axis`` add to an address with divisions in it."""
    moves: list[tuple[int, int]] = [(1, terms.get(axis, 0) * step)]  # (iterations, bytes)
    jumps: list[int] = []
    for atom, k in terms.items():
        if isinstance(atom, FloorDiv):
            inner = abs(atom.numerator.coefficient(axis)) * step
            if inner:
                moves.append((max(1, atom.divisor // inner), k * max(1, inner // atom.divisor)))
            elif not atom.numerator.is_affine_in(axis):
                jumps.append(abs(k))
        elif isinstance(atom, Dynamic):
            source = atom.source
            if source in varying or axis in source.axes:
                jumps.append(abs(k) * max(1, (atom.hi - atom.lo + 1) // trip))
    dims: Dims = []
    moves.sort()
    for n, (every, _) in enumerate(moves):
        until = moves[n + 1][0] if n + 1 < len(moves) else trip
        count = -(-min(until, trip) // every)
        stride = sum(by * (every // period) for period, by in moves[: n + 1])
        if count > 1 and stride and every < trip:
            dims.append((abs(stride), count))
    if not jumps or trip < 2:
        return dims
    # However it moves, an iteration visits one place. A random one has no alignment: the odd line
    # keeps it off power-of-two strides.
    return [(max(*(s for s, _ in dims), *(jump + 64 for jump in jumps), 64), trip)]


def _moves_otherwise(terms: Terms) -> bool:
    return any(not isinstance(a, Axis) for a in terms)


def base_box(buffer: Buffer, terms: Terms, tiles: list[Axis]) -> tuple[int, Dims]:
    """Run and segments of one tile."""
    if _moves_otherwise(terms):
        dims = [d for a in tiles for d in _dims(terms, a, 1, a.extent)]
    else:
        dims = [(abs(terms[a]), a.extent) for a in tiles if a.extent > 1 and terms.get(a)]
    return merge(buffer.dtype.itemsize, dims, 64)


def group(accesses: list[Access]) -> list[Access]:
    """Unite accesses of one block that differ only by where they start."""
    groups: dict[tuple[object, ...], list[Access]] = {}
    for access in accesses:
        key = (access.buffer, access.write, access.streaming, frozenset(access.terms.items()))
        groups.setdefault(key, []).append(access)
    return [_united(members) for members in groups.values()]


def _united(members: list[Access]) -> Access:
    first = max(members, key=lambda a: line_count(a.run, a.segments, 64))
    if len(members) == 1:
        return first
    starts = sorted({a.start for a in members})
    runs = [[starts[0], starts[0] + first.run]]
    for start in starts[1:]:
        if start <= runs[-1][1] + 63:
            runs[-1][1] = max(runs[-1][1], start + first.run)
        else:
            runs.append([start, start + first.run])
    segments = list(first.segments)
    if len(runs) > 1:
        segments.append(((runs[-1][0] - runs[0][0]) // (len(runs) - 1), len(runs)))
    run = round(sum(end - start for start, end in runs) / len(runs))
    run, segments = merge(run, segments, 64)
    span = None if first.span is None else starts[-1] - starts[0] + first.span
    return Access(
        first.buffer, first.write, first.streaming, first.terms, run, segments, starts[0], span
    )


# -- registers -------------------------------------------------------------------------------------


@struct(frozen=True, slots=True)
class Registers:
    """How a tile lies in registers: how many, of ``width`` lanes; ``elements`` in all."""

    count: int
    width: int
    elements: int
    lane: Axis | None


def lanes_of(kernel: Kernel, vector_bytes: int) -> int:
    """Lanes of a register: as many as fit of the narrowest element computed with (at least 4
    bytes).
    """
    narrowest = 8
    for stmt in ir.walk(kernel.body):
        for var in ir.outputs_of(stmt):
            if var.axes and var.dtype != np.bool_ and not kernel.lanes.isdisjoint(var.axes):
                narrowest = min(narrowest, var.dtype.itemsize)
    return vector_bytes // max(4, narrowest)


class TileShapes:
    """The registers of tiles, by their axes."""

    def __init__(self, kernel: Kernel, vector_bytes: int) -> None:
        self.lanes = kernel.lanes
        self.width = lanes_of(kernel, vector_bytes)
        self.known: dict[tuple[Axis, ...], Registers] = {}

    def of(self, axes: tuple[Axis, ...]) -> Registers:
        """Registers of a tile with these axes."""
        found = self.known.get(axes)
        if found is None:
            found = self.known[axes] = self._of(axes)
        return found

    def _of(self, axes: tuple[Axis, ...]) -> Registers:
        count = elements = width = 1
        lane = None
        for axis in axes:
            elements *= axis.extent
            if axis in self.lanes:
                lane = axis
                while width < axis.extent and width < self.width:
                    width *= 2
                count *= -(-axis.extent // width)
            else:
                count *= axis.extent
        return Registers(count, width, elements, lane)


def store_axes(stmt: Store, loops: set[Axis]) -> tuple[Axis, ...]:
    """Tile axes of a store: its value's, and those of its index that are no loops."""
    axes = dict.fromkeys(stmt.value.axes)
    for expr in stmt.index:
        for atom, _ in expr.terms:
            if isinstance(atom, Axis):
                if atom not in loops:
                    axes.setdefault(atom)
            else:
                axes.update((a, None) for a in Affine(((atom, 1),)).axes() if a not in loops)
    return tuple(axes)


def access_of(stmt: Load | Store, axes: tuple[Axis, ...]) -> Access:
    """The access of a statement with these tile axes."""
    buffer = stmt.buffer
    terms, start = byte_terms(buffer, stmt.index)
    run, segments = base_box(buffer, terms, list(axes))
    span: int | None = None
    if not _moves_otherwise(terms):
        moves = [terms.get(a, 0) * (a.extent - 1) for a in axes]
        start += sum(min(0, m) for m in moves)
        span = buffer.dtype.itemsize + sum(abs(m) for m in moves)
    write = isinstance(stmt, Store)
    return Access(buffer, write, stmt.streaming, terms, run, segments, start, span)
