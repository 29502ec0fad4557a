"""Which definitions of a region get memory, and which are computed where they are used: estimates.

The region is read backwards, consumers first.  A definition that is not stored is computed inside
the kernels of its *roots* (stored definitions), at index maps composed along the way; from these
effective uses follow how often each element would be computed again, and whether a fold could run
in the loops of its consumer.  Storing costs bytes, computing again costs operations: what seems
cheaper is taken, unless the caller decides otherwise.  Decisions that could have gone another way
are reported with what is at stake, for `weft.kernels.partition` to settle them by price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from math import prod
from typing import Literal

from weft.core.extents import Extent, typical
from weft.kernels.machine import Machine
from weft.kernels.pieces import MAX_PIECES
from weft.kernels.uses import (
    MAX_NODES,
    Use,
    Weight,
    has_scan,
    is_contraction,
    only_axis,
    own_folds,
    points,
    readings,
    share_loops,
    through,
    weights,
)
from weft.structs import struct
from weft.terms.affine import Affine, Axis, delinearize
from weft.terms.region import Def, Region, Scatter
from weft.terms.term import FOLDS, FUSES, Const, Index, Load, Value
from weft.terms.unroll import is_short

MAX_USES = 12  # effective uses looked at before a definition is simply stored
FOLLOWED = 8 * MAX_USES  # uses of a view that are uses of what it views, where they may be fewer
#: Operands computed as they are packed: sides of the contraction at least so long, so many products
#: at least, and so many operators at most, as packing loops come several times.
PACKED_SIDE = 32
PACKED_WORK = 1 << 20
PACKED_NODES = 40
ONE_BY_ONE = 0.2  # nanoseconds of a vectorised operation that are not spent on single elements
MANY = 16  # iterations per thread that leave no doubt about parallelism

#: ``store`` it in memory, compute it where it is used (``inline``), or keep a ``row`` of it there.
Side = Literal["store", "inline", "row"]


@struct(frozen=True)
class Open:
    """A decision with more than one legal outcome: what was taken, and what could be instead.

    ``stake`` is an estimate from above of the nanoseconds that another side could save. ``even``
    says that another side is to be taken if it costs no more.
    """

    value: Value
    side: Side
    others: tuple[Side, ...]
    stake: float
    even: bool = False


@struct
class Choice:
    """The outcome: definitions to store, interior ones, and which of those to keep as rows.

    A *row* is an interior definition read in several passes over its last axes: it is computed once
    per iteration of the loops over its first ``rows[value]`` axes and kept in cache.
    ``order`` gives the loops of stored definitions whose folds need some of them outermost.
    ``joined`` are pairs of stored definitions to compute in one kernel though neither needs the
    other.
    """

    stored: list[Def | Scatter] = field(default_factory=list)
    interior: dict[Value, Def] = field(default_factory=dict)
    rows: dict[Value, int] = field(default_factory=dict)
    order: dict[Value, tuple[Axis, ...]] = field(default_factory=dict)
    joined: tuple[tuple[Value, Value], ...] = ()
    open: list[Open] = field(default_factory=list)

    def side_of(self, value: Value) -> Side:
        """What was decided for a definition."""
        return "row" if value in self.rows else "inline" if value in self.interior else "store"


def choose(region: Region, machine: Machine, sides: Mapping[Value, Side] | None = None) -> Choice:
    """Decide for every definition of ``region``; ``sides`` are taken where they are legal."""
    return _Chooser(region, machine, sides or {}).run()


class _Chooser:
    """The walk backwards; ``uses`` are those of each definition in the kernels of its roots."""

    def __init__(self, region: Region, machine: Machine, sides: Mapping[Value, Side]) -> None:
        self.region = region
        self.machine = machine
        self.sides = sides
        self.choice = Choice()
        #: Without repetition, in the order found; no more than `FOLLOWED` of each definition.
        self.uses: dict[Value, dict[Use, None]] = {s.value: {} for s in region.steps}
        self.crowded: set[Value] = set()  # definitions with more
        self.weight = weights(region)
        self.definition = {s.value: s for s in region.steps if isinstance(s, Def)}
        #: Roots that are the epilogue of contractions already.
        self.contracted: dict[Value, list[Def]] = {}
        #: Roots in whose loops interior folds run.
        self.folding: set[Value] = set()

    def run(self) -> Choice:
        choice = self.choice
        needed = set(self.region.outputs) | _fixed(self.region)
        for step in reversed(self.region.steps):
            uses = list(self.uses[step.value])
            if isinstance(step, Def) and step.value not in needed:
                if not uses:
                    continue  # dead: nothing reads it
                side = self.decide(step, uses)
                if side != "store":
                    self.place(step, uses, side)
                    continue
            choice.stored.append(step)
            for term in step.terms:
                for r in readings(term):
                    self.add(Use(step, r.load.index, r.over, r.in_fuse, r.in_product), r.load)
        choice.stored.reverse()
        return choice

    def place(self, step: Def, uses: list[Use], side: Side) -> None:
        """Make ``step`` interior: what it reads is used by its roots."""
        root = uses[0].root
        if is_contraction(step.term):
            self.contracted.setdefault(root.value, []).append(step)
        elif own_folds(step.term) and isinstance(root, Def):
            order = self.order_for(root, uses)
            if order is not None and order != root.axes:
                self.choice.order[root.value] = order
        self.choice.interior[step.value] = step
        if step.term.holds & FOLDS:
            self.folding.update(use.root.value for use in uses)
        if side == "row":
            depth = self.choice.rows[step.value] = _row_depth(uses)
            uses = [_row_use(step, uses, depth)]
        for reading in readings(step.term):
            if reading.load.value in self.uses:
                for use in uses:
                    self.add(through(use, step, reading), reading.load)
                if step.value in self.crowded:
                    self.crowded.add(reading.load.value)

    def add(self, use: Use, load: Load) -> None:
        uses = self.uses.get(load.value)
        if uses is None:
            return
        uses[use] = None
        if len(uses) > FOLLOWED:
            del uses[use]
            self.crowded.add(load.value)

    # -- decisions ---------------------------------------------------------------------------------

    def decide(self, step: Def, uses: list[Use]) -> Side:
        """What to do with ``step``: as wished where that is legal, else as estimated."""
        legal, side, stake = self.sides_of(step, uses)
        wished = self.sides.get(step.value)
        if wished in legal:
            side = wished
        if len(legal) > 1:
            others = tuple(s for s in legal if s != side)
            even = is_contraction(step.term)
            self.choice.open.append(Open(step.value, side, others, stake, even))
        return side

    def sides_of(self, step: Def, uses: list[Use]) -> tuple[tuple[Side, ...], Side, float]:
        """Legal sides, the one that seems best, and what another could save at most (ns)."""
        term, weight = step.term, self.weight[step.value]
        if isinstance(term, Load | Const):  # a view or a constant: nothing to compute
            return ("inline",), "inline", 0.0
        crowded = len(uses) > MAX_USES or step.value in self.crowded
        if has_scan(term) or crowded or weight.nodes > MAX_NODES:
            return ("store",), "store", 0.0
        if is_contraction(term):
            return self.contraction_sides(step, uses)
        if own_folds(term):
            return self.fold_sides(step, uses)
        if isinstance(term, Index):
            return ("inline",), "inline", 0.0
        if any(use.in_product for use in uses):
            packed = self.is_prologue(step, uses, weight)
            return (("inline",), "inline", 0.0) if packed else (("store",), "store", 0.0)
        if any(self.is_cut_often(step, use) for use in uses):
            few = all(self.pieces(u.root) <= 4 * MAX_PIECES for u in uses)
            if not few:
                return ("store",), "store", 0.0
            # Pieces of pieces are mostly cut at the same places: the price sees how many are left.
            return ("store", "inline"), "store", 2 * self.traffic(step.value)
        return self.element_sides(step, uses, weight)

    def is_prologue(self, step: Def, uses: list[Use], weight: Weight) -> bool:
        """Whether ``step`` is an operand that one contraction packs: computed as it is packed.

        What could be the epilogue of a contraction before it is left to that.
        """
        use = uses[0]
        plain = all(only_axis(i) or not i.axes() for i in use.index)
        if len(uses) > 1 or use.in_fuse or not plain or not isinstance(use.root, Def):
            return False
        if self.machine.kind != "cpu" or weight.nodes > PACKED_NODES or step.term.holds & FUSES:
            return False
        if any(isinstance(a.extent, Extent) for a in (*use.root.axes, *use.over)):
            return False
        size = max(1, step.value.size)
        length = prod(a.extent for a in use.over)
        reused = use.root.value.size * length // size
        if min(size // max(1, length), reused) < PACKED_SIDE or size * reused < PACKED_WORK:
            return False
        return not any(
            v is not step.value and v.size == step.value.size and self.contracts(v)
            for v in weight.behind
        )

    def contracts(self, value: Value) -> bool:
        """Whether a definition is a contraction."""
        step = self.definition.get(value)
        return step is not None and is_contraction(step.term)

    def contraction_sides(self, step: Def, uses: list[Use]) -> tuple[tuple[Side, ...], Side, float]:
        """What reads a contraction is its epilogue; that of several, where they share a nest."""
        if len(uses) > 1 or not _is_epilogue(step, uses[0]):
            return ("store",), "store", 0.0
        others = self.contracted.get(uses[0].root.value, [])
        if not others:
            return ("inline",), "inline", 0.0
        if not all(share_loops(step.term, other.term) for other in others):
            return ("store",), "store", 0.0
        return ("store", "inline"), "store", 2 * self.traffic(step.value)

    def is_cut_often(self, step: Def, use: Use) -> bool:
        """Whether ``step``, put together of pieces, would be a piece among very many."""
        cut = use.in_fuse and step.term.holds & FUSES
        return bool(cut) and self.pieces(use.root) > MAX_PIECES

    def pieces(self, root: Def | Scatter) -> int:
        """How many pieces a kernel is put together of; a scatter writes its updates as one."""
        return self.weight[root.value].pieces if isinstance(root, Def) else 1

    def fold_sides(self, step: Def, uses: list[Use]) -> tuple[tuple[Side, ...], Side, float]:
        """A fold runs where it is used, or in a kernel of its own."""
        root = uses[0].root
        if self.is_nested(step, uses):
            return self.nested_sides(step, uses)
        blocked = any(u.in_fuse or u.in_product or u.root is not root for u in uses)
        if blocked or not isinstance(root, Def) or is_contraction(root.term):
            return ("store",), "store", 0.0
        order = self.order_for(root, uses)
        if order is None or root.value in self.contracted:
            return ("store",), "store", 0.0
        outer = _wide(uses[0])
        parallel = prod(typical(a.extent) for a in outer)
        work = prod(typical(a.extent) for f in own_folds(step.term) for a in f.over)
        work *= max(1, typical(step.value.size))
        # Both passes over the data of an iteration may be served by a cache.
        read = [r.load.value for r in readings(step.term)]
        stake = sum(self.traffic(v) for v in dict.fromkeys(read)) if outer else 0.0
        if order != (self.choice.order.get(root.value) or root.axes):
            return ("inline", "store"), "store", stake
        enough = parallel >= 4 * self.machine.threads
        single = root.value.size == 1 and not self.idles(step, root)
        if single or enough or work <= self.machine.small_work:
            sure = parallel >= 4 * MANY * self.machine.threads or single
            return ("inline", "store"), "inline", 0.0 if sure else stake
        return ("inline", "store"), "store", stake

    def is_nested(self, step: Def, uses: list[Use]) -> bool:
        """Whether a short fold is used by a fold of one root only: it can run inside of that."""
        root = uses[0].root
        if not isinstance(root, Def) or is_contraction(root.term):
            return False
        if root.value in self.contracted or not all(map(is_short, own_folds(step.term))):
            return False
        return all(
            u.root is root
            and u.over
            and not (u.in_fuse or u.in_product)
            and u.axes - set(root.axes)
            for u in uses
        )

    def nested_sides(self, step: Def, uses: list[Use]) -> tuple[tuple[Side, ...], Side, float]:
        """A short fold inside another one, computed for each of its points, or stored before."""
        root = uses[0].root
        size = max(1, typical(step.value.size))
        order = self.choice.order.get(root.value, root.axes)
        again = sum(points(use, order) for use in uses) / size - 1.0
        moved = 2 * self.traffic(step.value)
        side: Side = "inline" if again <= 0.01 and not self.idles(step, root) else "store"
        return ("inline", "store"), side, moved

    def idles(self, step: Def, root: Def | Scatter) -> bool:
        """Whether ``step`` inside of ``root`` leaves multiprocessors idle: what has few results is
        shared among the threads of a CPU, but not among the blocks of a grid."""
        few, many = typical(root.value.size), typical(step.value.size)
        return self.machine.kind == "gpu" and few < self.machine.threads < many

    def order_for(self, root: Def, uses: list[Use]) -> tuple[Axis, ...] | None:
        """The loops of ``root``, those that all ``uses`` depend on outermost; None if there are
        other uses, or folds that need another order."""
        wide = _wide(uses[0])
        if any(_wide(use) != wide for use in uses[1:]):
            return None
        order = self.choice.order.get(root.value, root.axes)
        loops = [a for a in order if a.extent > 1]
        if set(loops[: len(wide)]) == wide:
            return order
        plain = all(only_axis(i) or not i.axes() for u in uses for i in u.index)
        moved = root.value in self.choice.order or self.holds_folds(root)
        if moved or not plain or not wide < set(loops) or has_scan(root.term):
            return None
        return (*(a for a in order if a in wide), *(a for a in order if a not in wide))

    def holds_folds(self, root: Def) -> bool:
        """Whether a fold runs in the loops of ``root`` already, as they stand."""
        return bool(root.term.holds & FOLDS) or root.value in self.folding

    def element_sides(
        self, step: Def, uses: list[Use], weight: Weight
    ) -> tuple[tuple[Side, ...], Side, float]:
        """Elementwise: stored, computed again for each use, or kept in cache for a while."""
        size = max(1, typical(step.value.size))
        # A piece of a fuse is a loop of its own, over what the piece covers.
        again = -1.0
        for use in uses:
            order = self.choice.order.get(use.root.value, use.root.axes)
            often = points(use, order)
            again += (min(often, size) if use.in_fuse else often) / size
        rows = self.keeps_rows(step, uses)
        computed = max(0.0, again) * weight.ns * size
        if again <= 0.01:
            if not rows and weight.ns >= ONE_BY_ONE and all(map(_is_one_by_one, uses)):
                return ("store", "inline"), "store", 2 * self.traffic(step.value)
            if not rows:
                return ("inline",), "inline", 0.0
            return ("inline", "row"), "inline", 0.0
        roots = len({u.root.value for u in uses})
        moved = self.traffic(step.value)
        # Within one kernel a row can be kept in cache instead, which is cheaper than memory.
        inline = computed <= 2 * moved or (roots == 1 and again <= len(uses) - 1 + 0.01)
        stake = min(computed, moved) if inline else moved * (1 + roots)
        if inline and rows:
            # Reading a row back costs what its cache level costs.
            read_back = 2 * step.value.dtype.itemsize / self.machine.levels[1].bandwidth
            kept: Side = "row" if weight.ns > read_back else "inline"
            other: Side = "inline" if kept == "row" else "row"
            return (kept, other, "store"), kept, max(stake, 0.5 * computed)
        legal: tuple[Side, ...] = ("inline", "store", "row") if rows else ("inline", "store")
        return legal, "inline" if inline else "store", stake

    def keeps_rows(self, step: Def, uses: list[Use]) -> bool:
        """Whether ``step`` can be kept as rows: read by one kernel in passes over its last axes."""
        roots = {u.root.value for u in uses}
        if len(uses) < 2 or len(roots) != 1 or any(u.in_fuse for u in uses):
            return False
        root = uses[0].root
        if not isinstance(root, Def) or has_scan(root.term):
            return False  # kernels of scatters and of running folds keep none
        depth = _row_depth(uses)
        if depth == len(step.axes) or not any(u.over for u in uses):
            return False
        if roots & self.choice.order.keys():
            return False
        row = prod(typical(a.extent) for a in step.axes[depth:]) * step.value.dtype.itemsize
        second = self.machine.levels[min(1, len(self.machine.levels) - 1)].capacity
        return row <= second // 4

    def traffic(self, value: Value) -> float:
        """Nanoseconds to write or read a value once, where it lives."""
        return self.machine.traffic_ns(typical(value.size) * value.dtype.itemsize)


def _fixed(region: Region) -> set[Value]:
    """Values that must be in memory: operands of scatters."""
    return {s.operand for s in region.steps if isinstance(s, Scatter)}


def _wide(use: Use) -> set[Axis]:
    """The axes of more than one iteration that a use depends on."""
    return {a for a in use.axes if a.extent > 1}


def _is_one_by_one(use: Use) -> bool:
    """Whether a fold uses what does not vary along its root's loops.

    Where those lie across lanes it would be computed one by one, else again for each of their
    iterations.
    """
    wide = _wide(use) & set(use.over)
    return bool(wide) and not _wide(use) & set(use.root.axes) and use.root.value.size > 1


def _row_depth(uses: list[Use]) -> int:
    """How many leading axes of a definition are the same, and fixed by the root's loops."""
    depth = 0
    bound = set(uses[0].root.axes)
    for parts in zip(*(u.index for u in uses), strict=True):
        if any(p != parts[0] for p in parts) or not parts[0].axes() <= bound:
            break
        depth += 1
    return depth


def _row_use(step: Def, uses: list[Use], depth: int) -> Use:
    """How the row of ``step`` itself is computed: once for each iteration of the loops it is in."""
    row = step.axes[depth:]
    index = (*uses[0].index[:depth], *map(Affine.of, row))
    return Use(uses[0].root, index, row, in_product=any(use.in_product for use in uses))


def _is_epilogue(step: Def, use: Use) -> bool:
    """A contraction computed once per element of its root, outside any other fold."""
    if use.over or use.in_fuse or not isinstance(use.root, Def) or own_folds(use.root.term):
        return False
    parts: dict[Axis, list[tuple[Affine, int]]] = {}
    for index, size in zip(use.index, step.value.shape, strict=True):
        axes = index.axes()
        if len(axes) > 1 or (not axes and not index.is_constant):
            return False
        for axis in axes:
            parts.setdefault(axis, []).append((index, size))
    wanted = {a for a in use.root.axes if a.extent > 1}
    return wanted == {a for a in parts if a.extent > 1} and all(
        _is_split(axis, found) for axis, found in parts.items()
    )


def _is_split(axis: Axis, parts: list[tuple[Affine, int]]) -> bool:
    """Whether these indices, of these sizes, are an axis or together its row-major parts."""
    sizes = tuple(size for _, size in parts)
    if len(parts) > 1 and prod(sizes) != axis.extent:
        return False
    return tuple(i for i, _ in parts) == delinearize(Affine.of(axis), sizes)
