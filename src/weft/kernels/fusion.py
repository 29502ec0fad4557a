"""Which definitions of a region get memory, and which are computed where they are used.

The region is read backwards, consumers first.  A definition that is not stored is computed inside
the kernels of its *roots* (stored definitions), at index maps composed along the way; from these
effective uses follow how often each element would be computed again, and whether a fold could run
in the loops of its consumer.  Storing costs bytes, computing again costs operations: the cheaper
one is taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod

from weft.core.extents import typical
from weft.kernels.machine import Machine
from weft.terms.affine import Affine, Axis, delinearize
from weft.terms.region import Def, Region, Scatter
from weft.terms.term import (
    Const,
    Fold,
    Fuse,
    Index,
    Load,
    Map,
    Proj,
    Scan,
    Term,
    Value,
    known_index,
    postorder,
    substitute,
)

MAX_USES = 12  # effective uses followed before a definition is simply stored
MAX_NODES = 600  # operators in one kernel's term; keeps compile time linear in the program

# Nanoseconds per element and vectorised operation, one core; only the ratio to memory matters here.
_OPERATION_NS = {
    **dict.fromkeys(("exp", "exp2", "log", "sin", "cos", "logistic", "rsqrt", "log1p"), 0.25),
    **dict.fromkeys(("tanh", "expm1", "erf", "erfc", "tan", "sqrt", "div", "cbrt", "log2"), 0.35),
    **dict.fromkeys(("pow", "asin", "acos", "atan", "atan2", "sinh", "cosh", "erf_inv"), 1.0),
    **dict.fromkeys(("asinh", "acosh", "atanh", "rem", "log10"), 1.0),
}
_CHEAP_NS = 0.03


@dataclass(frozen=True)
class Use:
    """A definition read at ``index`` in the kernel of ``root``, under folds over ``over``.

    ``in_product`` says that it is an operand of a contraction, ``in_fuse`` that it is in a piece.
    """

    root: Def | Scatter
    index: tuple[Affine, ...]
    over: tuple[Axis, ...] = ()
    in_fuse: bool = False
    in_product: bool = False


@dataclass
class Choice:
    """The outcome: definitions to store, interior ones, and which of those to keep as rows.

    A *row* is an interior definition read in several passes over its last axes: it is computed once
    per iteration of the loops over its first ``rows[value]`` axes and kept in cache.
    """

    stored: list[Def | Scatter] = field(default_factory=list)
    interior: dict[Value, Def] = field(default_factory=dict)
    rows: dict[Value, int] = field(default_factory=dict)


def choose(region: Region, machine: Machine) -> Choice:
    """Decide for every definition of ``region``."""
    choice = Choice()
    needed = set(region.outputs) | _fixed(region)
    producers = {s.value: s for s in region.steps}
    uses: dict[Value, list[Use]] = {v: [] for v in producers}
    weight = _weights(region)
    contracted: set[int] = set()  # roots that are the epilogue of a contraction already
    for step in reversed(region.steps):
        if isinstance(step, Def) and step.value not in needed:
            if not uses[step.value]:
                continue  # dead: nothing reads it
            if _inline(step, uses[step.value], weight[step.value], machine, contracted):
                choice.interior[step.value] = step
                if is_contraction(step.term):
                    contracted.add(id(uses[step.value][0].root))
                depth = _row_depth(step, uses[step.value], weight[step.value], machine)
                if depth is not None:
                    choice.rows[step.value] = depth
                for reading in _loads(step.term):
                    if reading.load.value in uses:
                        for use in uses[step.value]:
                            _add(uses[reading.load.value], _through(use, step, reading))
                continue
        choice.stored.append(step)
        for term in step.terms:
            for r in _loads(term):
                if r.load.value in uses:
                    use = Use(step, r.load.index, r.over, r.in_fuse, r.in_product)
                    _add(uses[r.load.value], use)
    choice.stored.reverse()
    return choice


def _add(uses: list[Use], use: Use) -> None:
    if use not in uses:
        uses.append(use)


def _through(use: Use, step: Def, reading: _Reading) -> Use:
    """The use of what ``step`` reads, seen from the root that uses ``step``."""
    mapping = dict(zip(step.axes, use.index, strict=True))
    index = tuple(
        i.substitute(mapping, lambda t: known_index(substitute(t, mapping)))
        for i in reading.load.index
    )
    return Use(
        use.root,
        index,
        (*use.over, *reading.over),
        use.in_fuse or reading.in_fuse,
        use.in_product or reading.in_product,
    )


def _fixed(region: Region) -> set[Value]:
    """Values that must be in memory: operands of scatters."""
    return {s.operand for s in region.steps if isinstance(s, Scatter)}


@dataclass(frozen=True)
class _Reading:
    """A load inside a term: the axes of the folds around it, and what kinds of terms are."""

    load: Load
    over: tuple[Axis, ...]
    in_fuse: bool
    in_product: bool


def _loads(term: Term) -> list[_Reading]:
    """Every load of a term, once for each surrounding that it has."""
    found: list[_Reading] = []
    seen: set[tuple[Term, tuple[Axis, ...], bool, bool]] = set()
    stack: list[tuple[Term, tuple[Axis, ...], bool, bool]] = [(term, (), False, False)]
    while stack:
        item = stack.pop()
        if item in seen:
            continue
        seen.add(item)
        t, over, fused, product = item
        if isinstance(t, Load):
            found.append(_Reading(t, over, fused, product))
        if isinstance(t, Fold):
            over = (*over, *t.over)
            product = product or _sums_products(t)
        elif isinstance(t, Scan):
            over = (*over, t.over)
        fused = fused or isinstance(t, Fuse)
        stack.extend((c, over, fused, product) for c in t.children)
    return found


def operation_ns(term: Term) -> float:
    """Estimated time per element of the operations of ``term`` (those inside folds excluded)."""
    total = 0.0
    stack, seen = [term], set()
    while stack:
        t = stack.pop()
        if t in seen or isinstance(t, Fold | Scan | Proj):
            continue
        seen.add(t)
        if isinstance(t, Map):
            total += _OPERATION_NS.get(t.op, _CHEAP_NS)
        stack.extend(t.children)
    return total


def own_folds(term: Term) -> list[Fold]:
    """Folds in a term, outermost first."""
    return [t for t in reversed(postorder(term)) if isinstance(t, Fold)]


def has_scan(term: Term) -> bool:
    """Whether a term holds a running reduction."""
    return any(isinstance(t, Scan) for t in postorder(term))


def is_contraction(term: Term) -> bool:
    """Whether a fold sums a product of two factors that do not have the same free axes.

    Such a fold reuses each loaded element many times, so its operands should be plain memory.
    """
    return any(_sums_products(fold) for fold in own_folds(term))


def _sums_products(fold: Fold) -> bool:
    body = fold.bodies[0]
    if fold.monoid.name != "add" or not isinstance(body, Map) or body.op != "mul":
        return False
    a, b = (x.axes for x in body.args)
    return bool((a - b) - set(fold.over)) and bool((b - a) - set(fold.over))


@dataclass
class _Weight:
    """What computing one element of a definition takes, with everything elementwise before it.

    ``behind`` are the definitions that would be inlined; shared ones count once.
    """

    ns: float
    nodes: int
    behind: frozenset[Value]


def _weights(region: Region) -> dict[Value, _Weight]:
    own: dict[Value, tuple[float, int]] = {}
    weights: dict[Value, _Weight] = {}
    for step in region.steps:
        if not isinstance(step, Def):
            continue
        own[step.value] = (operation_ns(step.term), len(postorder(step.term)))
        behind: set[Value] = {step.value}
        if not own_folds(step.term):
            for reading in _loads(step.term):
                before = weights.get(reading.load.value)
                if before is not None and before.nodes <= MAX_NODES:
                    behind |= before.behind
        ns = sum(own[v][0] for v in behind)
        nodes = sum(own[v][1] for v in behind)
        weights[step.value] = _Weight(ns, nodes, frozenset(behind))
    return weights


def _inline(
    step: Def, uses: list[Use], weight: _Weight, machine: Machine, contracted: set[int]
) -> bool:
    """Whether to compute ``step`` where it is used instead of storing it.

    ``contracted`` are the roots that have a contraction in them already: a kernel takes one.
    """
    term = step.term
    if isinstance(term, Load | Const):
        return True  # a view or a constant: nothing to compute
    if has_scan(term) or len(uses) > MAX_USES or weight.nodes > MAX_NODES:
        return False
    folds = own_folds(term)
    if is_contraction(term):
        return len(uses) == 1 and _is_epilogue(step, uses[0]) and id(uses[0].root) not in contracted
    if folds:
        return id(uses[0].root) not in contracted and _rows_fit(step, uses, machine)
    if isinstance(term, Index):
        return True
    if any(use.in_product for use in uses):
        return False
    size = max(1, typical(step.value.size))
    # A piece of a fuse is a loop of its own, over what the piece covers.
    points = (min(_points(u), size) if u.in_fuse else _points(u) for u in uses)
    again = sum(points) / size - 1
    if again <= 0.01:
        return True
    one_root = len({id(u.root) for u in uses}) == 1
    memory = machine.traffic_ns(size * step.value.dtype.itemsize) / size
    # Within one kernel a row can be kept in cache instead, which is cheaper than memory.
    return again * weight.ns <= 2 * memory or (one_root and again <= len(uses) - 1 + 0.01)


def _points(use: Use) -> float:
    """How often the use evaluates the definition: the root's loops down to the innermost it depends
    on, times the loops of the folds around it that it depends on (or that are outside of those)."""
    axes = frozenset().union(*(i.axes() for i in use.index)) if use.index else frozenset()
    count = 1.0
    for loops in (use.root.axes, use.over):
        depth = max((n + 1 for n, a in enumerate(loops) if a in axes), default=0)
        count *= prod(typical(a.extent) for a in loops[:depth])
    return count


def _row_depth(step: Def, uses: list[Use], weight: _Weight, machine: Machine) -> int | None:
    """How many leading axes a row of ``step`` is fixed by, or None when it is better recomputed.

    Reading a row back costs what its cache level costs; it pays when computing it costs more.
    """
    roots = {id(u.root) for u in uses}
    if len(uses) < 2 or len(roots) != 1 or any(u.in_fuse for u in uses):
        return None
    depth = 0
    shared = zip(*(u.index for u in uses), strict=True)
    bound = set(uses[0].root.axes)
    for parts in shared:
        if any(p != parts[0] for p in parts) or not parts[0].axes() <= bound:
            break
        depth += 1
    if depth == len(step.axes) or not any(u.over for u in uses):
        return None
    row = prod(typical(a.extent) for a in step.axes[depth:]) * step.value.dtype.itemsize
    second = machine.levels[min(1, len(machine.levels) - 1)].capacity
    if row > second // 4:
        return None
    read_back = 2 * step.value.dtype.itemsize / machine.levels[1].bandwidth
    return depth if weight.ns > read_back else None


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


def _rows_fit(step: Def, uses: list[Use], machine: Machine) -> bool:
    """Whether a fold can run inside the outer loops of its only root, once per outer iteration."""
    roots = {id(u.root) for u in uses}
    if len(roots) != 1 or any(u.in_fuse or u.in_product for u in uses):
        return False
    root = uses[0].root
    if not isinstance(root, Def) or is_contraction(root.term):
        return False
    outer = _outer_axes(root, uses)
    if outer is None:
        return False
    parallel = prod(typical(a.extent) for a in outer)
    folded = prod(typical(a.extent) for f in own_folds(step.term) for a in f.over)
    work = folded * max(1, typical(step.value.size))
    return parallel >= 4 * machine.threads or work <= machine.small_work


def _outer_axes(root: Def, uses: Iterable[Use]) -> tuple[Axis, ...] | None:
    """The leading loops of ``root`` that bind all ``uses``, if they are the same for all."""
    result: tuple[Axis, ...] | None = None
    for use in uses:
        axes = frozenset().union(*(i.axes() for i in use.index)) if use.index else frozenset()
        wide = {a for a in axes if a.extent > 1}
        depth = len(wide)
        loops = [a for a in root.axes if a.extent > 1]
        if set(loops[:depth]) != wide:
            return None
        if result is not None and result != tuple(loops[:depth]):
            return None
        result = tuple(loops[:depth])
    return result
