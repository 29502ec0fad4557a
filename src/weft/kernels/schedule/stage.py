"""Copying windows of a buffer into scratch, packed for the loop that reuses them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from weft.kernels.ir import Barrier, Buffer, For, Kernel, Load, Stmt, Store, Var, walk
from weft.kernels.ranges import loop_range
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.folds import unused_name
from weft.kernels.schedule.tile import tile
from weft.kernels.schedule.tree import find_loop, has_loop, path_to, replace_loop
from weft.structs import struct
from weft.terms.affine import Affine, Axis, Interval, row_major


@struct(frozen=True)
class Layout:
    """How a staged window lies in scratch.

    ``order`` is the order of the window's dimensions (row-major, outermost first; the source's
    own by default).  ``panel = (dimension, width)`` cuts that dimension into panels: the panel's
    number becomes the outermost dimension and the position inside it the innermost, so that a
    loop over the others reads a panel contiguously.  ``pad`` elements separate consecutive
    innermost rows, to keep them out of each other's cache sets.
    """

    order: tuple[int, ...] | None = None
    panel: tuple[int, int] | None = None
    pad: int = 0


def stage(
    kernel: Kernel,
    buffer: Buffer,
    at: Axis,
    level: str = "thread",
    layout: Layout = Layout(),
    scratch: Buffer | None = None,
    vector: int = 16,
    reading: Collection[Axis] = (),
) -> Kernel:
    """Copy what a loop reads of ``buffer`` into scratch before the loop, and read it there::

        for i: for j: for k: … load b[k, j] …
        →
        for p: for k: for r in 0:32: store s[p, k, r] = load b[k, 32·p + r]      (copy, vectorised)
        barrier                                                                 (shared only)
        for i: for j: for k: … load s[j//32, k, j%32] …

    ``level`` is ``thread`` (private, copied by the thread that uses it) or ``shared`` (copied by
    all threads together, with barriers around).  ``scratch`` names an earlier stage's buffer of
    the same shape to use again.  ``vector`` is the width of the copy; 0 leaves its loops as they
    are.  With ``reading`` only reads
    that depend on one of these axes are redirected.  Refuses buffers written in
    the kernel, guarded or data-dependent reads, reads whose windows differ, and cooperative
    copies inside a parallel loop.
    """
    path = path_to(kernel, at)
    loop = path[-1]
    reads = _reads(kernel, buffer, loop, frozenset(reading))
    if level == "shared" and any(x.kind == "parallel" for x in path[:-1]):
        raise ScheduleError(
            f"cannot copy {buffer.name} cooperatively inside a parallel loop; stage it per thread"
        )
    window = _Window.of(buffer, reads, loop)
    packing = _Packing(window, layout)
    reused = scratch is not None
    if scratch is None:
        names = {b.name for b in (*kernel.params, *kernel.scratch)}
        name = unused_name(f"{buffer.name}_packed", names)
        strides = packing.strides()
        scratch = Buffer(name, packing.shape(), buffer.dtype, "scratch", level, strides)
        kernel = kernel.evolve(scratch=(*kernel.scratch, scratch))
    packing.check_fits(scratch, level)
    copies, inner = packing.copy(buffer, scratch, level == "shared")
    moved = _Redirect(reads, scratch, window, packing).loop(loop)
    around: list[Stmt] = [*copies, moved]
    if level == "shared":
        fence: list[Stmt] = [Barrier()] if reused or len(path) > 1 else []
        around = [*fence, *copies, Barrier(), moved]
    return _tiled(replace_loop(kernel, at, lambda _: around), inner, vector)


def stage_writes(
    kernel: Kernel, buffer: Buffer, at: Axis, layout: Layout = Layout(), vector: int = 16
) -> Kernel:
    """Write into private scratch inside a loop, and copy the window to its place after the loop::

        for i: … store b[k, i] = x …
        →
        for i: … store s[i, k] = x …
        for k: for i: store b[k, i] = load s[i, k]                              (copy, vectorised)

    Refuses loops that read the buffer or do not write the whole window: guarded, predicated or
    data-dependent writes, writes whose windows differ, and windows with gaps.
    """
    loop = path_to(kernel, at)[-1]
    writes = [s for s in walk(loop.body) if isinstance(s, Store) and s.buffer is buffer]
    if len(writes) != 1 or any(isinstance(s, Load) and s.buffer is buffer for s in walk(loop.body)):
        raise ScheduleError(
            f"the loop over {at} reads {buffer.name} or does not store to it exactly once"
        )
    if writes[0].guards or writes[0].predicate is not None:
        raise ScheduleError(f"stores to {buffer.name} are guarded: their window has gaps")
    window = _Window.of(buffer, writes, loop)
    if not _writes_whole_box(loop, writes[0]):
        raise ScheduleError(f"the loop over {at} does not write every element of its window")
    packing = _Packing(window, layout)
    name = unused_name(f"{buffer.name}_packed", {b.name for b in (*kernel.params, *kernel.scratch)})
    scratch = Buffer(name, packing.shape(), buffer.dtype, "scratch", "thread", packing.strides())
    kernel = kernel.evolve(scratch=(*kernel.scratch, scratch))
    copies, inner = packing.copy(buffer, scratch, shared=False, back=True)
    moved = _Redirect(writes, scratch, window, packing).loop(loop)
    return _tiled(replace_loop(kernel, at, lambda _: [moved, *copies]), inner, vector)


def _writes_whole_box(loop: For, write: Store) -> bool:
    """Whether ``loop`` writes a box: every dimension follows one axis of its own, step by step."""
    steps = {s.axis: s.step for s in walk([loop]) if isinstance(s, For)}
    steps.update((a, 1) for a in write.value.axes)
    used: set[Axis] = set()
    for expr in write.index:
        local = [a for a in expr.axes() if a in steps]
        if len(local) > 1 or used.intersection(local):
            return False
        if any(not expr.is_affine_in(a) or abs(expr.coefficient(a) * steps[a]) != 1 for a in local):
            return False
        used.update(local)
    return True


def _tiled(kernel: Kernel, inner: Sequence[tuple[Axis, int | None, bool]], vector: int) -> Kernel:
    """Tile the innermost axes of copies."""
    for axis, width, lanes in inner:
        if vector and has_loop(kernel, axis):
            kernel = tile(kernel, axis, min(width or vector, find_loop(kernel, axis).trip), lanes)
    return kernel


def _reads(kernel: Kernel, buffer: Buffer, loop: For, reading: frozenset[Axis]) -> list[Load]:
    if any(isinstance(s, Store) and s.buffer is buffer for s in walk(kernel.body)):
        raise ScheduleError(f"{buffer.name} is written in the kernel: a copy would go stale")
    reads = [
        s
        for s in walk(loop.body)
        if isinstance(s, Load)
        and s.buffer is buffer
        and (not reading or any(i.axes() & reading for i in s.index))
    ]
    if not reads:
        raise ScheduleError(f"the loop over {loop.axis} does not read {buffer.name}")
    for read in reads:
        if read.guards:
            raise ScheduleError(f"reads of {buffer.name} are guarded; the copy has no padding")
        if any(i.dynamics() for i in read.index):
            raise ScheduleError(f"reads of {buffer.name} depend on data; their window is unknown")
    return reads


@struct(frozen=True)
class _Window:
    """A box of a buffer: in dimension d, ``size[d]`` elements from ``base[d]`` on."""

    base: tuple[Affine, ...]
    size: tuple[int, ...]
    outside: frozenset[Axis]

    @staticmethod
    def of(buffer: Buffer, reads: Sequence[Load | Store], loop: For) -> _Window:
        inside = {s.axis: loop_range(s) for s in walk([loop]) if isinstance(s, For)}
        tiles = {a for r in reads for a in (r.out if isinstance(r, Load) else r.value).axes}
        local = inside.keys() | tiles
        outside = frozenset(a for r in reads for i in r.index for a in i.axes()) - local
        base: list[Affine] = []
        size: list[int] = []
        for d in range(len(buffer.shape)):
            parts = [_halves(r.index[d], outside, buffer) for r in reads]
            if any(p[0] != parts[0][0] for p in parts):
                raise ScheduleError(
                    f"reads of {buffer.name} in the loop over {loop.axis} have different windows "
                    f"in dimension {d}"
                )
            lo, hi = _hull([p[1].bounds(inside) for p in parts])
            base.append(parts[0][0] + lo)
            size.append(hi - lo + 1)
        return _Window(tuple(base), tuple(size), outside)

    def position(self, index: Sequence[Affine]) -> list[Affine]:
        """An index of the buffer as an index of the window."""
        return [i - b for i, b in zip(index, self.base, strict=True)]


def _halves(expr: Affine, outside: frozenset[Axis], buffer: Buffer) -> tuple[Affine, Affine]:
    """The part of an index that is constant inside the loop, and the part that is not."""
    constant = Affine()
    for atom, k in expr.terms:
        term = Affine(((atom, k),))
        axes = term.axes()
        if axes <= outside and axes:
            constant = constant + term
        elif axes & outside:
            raise ScheduleError(f"index {expr} of {buffer.name} mixes inner and outer axes")
    return constant, expr - constant


def _hull(intervals: Sequence[Interval]) -> Interval:
    return min(lo for lo, _ in intervals), max(hi for _, hi in intervals)


class _Packing:
    """A window laid out in scratch."""

    def __init__(self, window: _Window, layout: Layout) -> None:
        self.window = window
        rank = len(window.size)
        self.order = layout.order if layout.order is not None else tuple(range(rank))
        if sorted(self.order) != list(range(rank)):
            raise ScheduleError(f"{self.order} is not an order of the window's {rank} dimensions")
        self.panel = layout.panel
        self.pad = layout.pad
        if self.panel is not None:
            d, width = self.panel
            if not 0 <= d < rank or width < 1:
                raise ScheduleError(f"no panels of {width} in dimension {d} of {rank}")
            self.order = (*(x for x in self.order if x != d), d)

    def shape(self) -> tuple[int, ...]:
        sizes = [self.window.size[d] for d in self.order]
        if self.panel is None:
            return tuple(sizes)
        width = self.panel[1]
        return (-(-sizes[-1] // width), *sizes[:-1], width)

    def strides(self) -> tuple[int, ...] | None:
        if not self.pad:
            return None
        shape = self.shape()
        return row_major((*shape[:-1], shape[-1] + self.pad))

    def index(self, position: Sequence[Affine]) -> tuple[Affine, ...]:
        """Where an element of the window lies in scratch."""
        placed = [position[d] for d in self.order]
        if self.panel is None:
            return tuple(placed)
        last, width = placed[-1], self.panel[1]
        return (last.floordiv(width), *placed[:-1], last.mod(width))

    def check_fits(self, scratch: Buffer, level: str) -> None:
        shape = self.shape()
        small = len(shape) != len(scratch.shape) or any(
            a > b for a, b in zip(shape, scratch.shape, strict=False)
        )
        if small or scratch.level != level:
            raise ScheduleError(
                f"scratch {scratch.name}{list(scratch.shape)} ({scratch.level}) does not hold a "
                f"window of {list(shape)} ({level})"
            )

    # -- the copy ----------------------------------------------------------------------------------

    def copy(
        self, source: Buffer, scratch: Buffer, shared: bool, back: bool = False
    ) -> tuple[list[Stmt], list[tuple[Axis, int | None, bool]]]:
        """The copying loops, and the innermost axes to tile: axis, width (None: vector), lanes."""
        if self.panel is None:
            return self.nest(source, scratch, shared, [Affine()] * len(self.order), None, back)
        d, width = self.panel
        size = self.window.size[d]
        out: list[Stmt] = []
        inner: list[tuple[Axis, int | None, bool]] = []
        if size >= width:
            p = Axis("p", size // width)
            start = [Affine()] * len(self.order)
            start[d] = Affine.of(p) * width
            body, tiles = self.nest(source, scratch, False, start, width, back)
            kind = "parallel" if shared else "serial"
            out.append(For(p, 0, p.extent, 1, body, kind))
            inner += tiles
        if size % width:
            start = [Affine()] * len(self.order)
            start[d] = Affine.of(size // width * width)
            body, tiles = self.nest(source, scratch, shared, start, size % width, back)
            out += body
            inner += tiles
        return out, inner

    def nest(
        self,
        source: Buffer,
        scratch: Buffer,
        shared: bool,
        start: Sequence[Affine],
        width: int | None,
        back: bool = False,
    ) -> tuple[list[Stmt], list[tuple[Axis, int | None, bool]]]:
        """Loops over the window (over one panel of it), the source's contiguous axis innermost."""
        sizes = list(self.window.size)
        if self.panel is not None and width is not None:
            sizes[self.panel[0]] = width
        axes = [Axis(f"w{d}", n) for d, n in enumerate(sizes)]
        position = [s + a for s, a in zip(start, axes, strict=True)]
        value = Var(source.dtype)
        index = tuple(b + p for b, p in zip(self.window.base, position, strict=True))
        there = self.index(position)
        body: list[Stmt] = [Load(value, source, index), Store(scratch, there, value)]
        if back:
            body = [Load(value, scratch, there), Store(source, index, value)]
        contiguous = min(range(len(axes)), key=lambda d: (source.element_strides[d] != 1, -d))
        straight = contiguous == self.order[-1]
        loops = [d for d in self.order if d != contiguous]
        for d in [contiguous, *reversed(loops)]:
            body = [For(axes[d], 0, sizes[d], 1, body)]
        if shared:
            body = [replace(body[0], kind="parallel")] if isinstance(body[0], For) else body
        if straight:
            return body, [(axes[contiguous], None, True)]
        # A copy that transposes moves squares: contiguous to read and, turned, to write.
        return body, [(axes[self.order[-1]], None, True), (axes[contiguous], None, False)]


class _Redirect:
    """Rewrites accesses to a buffer to accesses to its copy."""

    def __init__(
        self, moved: Sequence[Load | Store], scratch: Buffer, window: _Window, packing: _Packing
    ) -> None:
        self.moved, self.scratch = {id(r) for r in moved}, scratch
        self.window, self.packing = window, packing

    def loop(self, loop: For) -> For:
        return replace(loop, body=[self.statement(s) for s in loop.body])

    def statement(self, stmt: Stmt) -> Stmt:
        if isinstance(stmt, For):
            return self.loop(stmt)
        if isinstance(stmt, Load | Store) and id(stmt) in self.moved:
            index = self.packing.index(self.window.position(stmt.index))
            return replace(stmt, buffer=self.scratch, index=index)
        return stmt
